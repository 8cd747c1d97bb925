//! `unidler status`: lists idled apps.

use std::process::ExitCode;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use unidler_kubernetes::{ApiServer, status};

use super::output::{Output, json, print};
use crate::config::ClusterArgs;

/// The options of `unidler status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct Options {
    /// Output format.
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
}

impl Options {
    /// Lists the idled apps.
    ///
    /// # Errors
    ///
    /// If the cluster cannot be reached.
    pub(super) async fn run(self, cluster: &ClusterArgs) -> anyhow::Result<ExitCode> {
        let settings = cluster.settings();
        let listing = ApiServer::connect().await?.listing(&settings).await?;
        let apps = status::apps(&listing, &settings);
        print(&match self.output {
            Output::Text => status::table(&apps, Timestamp::now()),
            Output::Json => json(&apps),
        });
        Ok(ExitCode::SUCCESS)
    }
}
