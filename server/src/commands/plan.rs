//! `unidler plan`: shows which apps would be put to sleep, and why the others would not.

use std::process::ExitCode;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use unidler_kubernetes::{ApiServer, idler};

use super::output::{Output, json, print};
use crate::{config::ClusterArgs, sleep::SleepArgs};

/// The options of `unidler plan`: those of the server, so that it decides what that would.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Options {
    /// What decides.
    #[command(flatten)]
    pub sleep: SleepArgs,

    /// Output format.
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
}

impl Options {
    /// Shows what would happen to each app now. Everything that the server has to have watched for a while counts as
    /// watched.
    ///
    /// # Errors
    ///
    /// If the cluster cannot be reached.
    pub(super) async fn run(self, cluster: &ClusterArgs) -> anyhow::Result<ExitCode> {
        let settings = cluster.settings();
        let mut idler = self.sleep.idler(Timestamp::MIN)?;
        let api_server = ApiServer::connect().await?;
        let listing = api_server.listing(&settings).await?;
        let surroundings = api_server.surroundings().await?;
        let now = Timestamp::now();
        let planned = idler
            .plan_of(&listing, &api_server, &surroundings, &settings, now)
            .await;
        print(&match self.output {
            Output::Text => idler::table(&planned),
            Output::Json => json(&idler::rows(&planned, now)),
        });
        Ok(ExitCode::SUCCESS)
    }
}
