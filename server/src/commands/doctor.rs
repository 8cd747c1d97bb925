//! `unidler doctor`: finds problems that keep apps from being idled and woken.

use std::process::ExitCode;

use clap::Args;
use unidler_kubernetes::{
    ApiServer, ServiceAccount,
    doctor::{self, Severity, Snapshot},
};

use super::output::{Output, json, print};
use crate::config::ClusterArgs;

/// The options of `unidler doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Options {
    /// Service account whose permissions are checked [default: the pod's own inside a cluster, else that with the name of
    /// unidler's Service].
    #[arg(long, value_name = "NAMESPACE:NAME")]
    pub service_account: Option<ServiceAccount>,

    /// Output format.
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
}

impl Options {
    /// Prints all problems.
    ///
    /// # Errors
    ///
    /// If the cluster cannot be reached.
    pub(super) async fn run(self, cluster: &ClusterArgs) -> anyhow::Result<ExitCode> {
        let api_server = ApiServer::connect().await?;
        let snapshot =
            Snapshot::take(&api_server, cluster.settings(), self.service_account).await?;
        let findings = doctor::findings(&snapshot);
        print(&match self.output {
            Output::Text => doctor::text(&findings),
            Output::Json => json(&findings),
        });
        let has_error = findings
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        Ok(if has_error {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}
