//! `unidler restore`: restores every app.

use std::{pin::pin, process::ExitCode, time::Duration};

use clap::Args;
use futures::StreamExt;
use unidler_kubernetes::{ApiServer, Operator, restore};

use super::output::{complain, print};
use crate::config::ClusterArgs;

/// The options of `unidler restore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct Options {
    /// Restore all apps, then delete all of unidler's `EndpointSlices`.
    #[arg(long, required = true)]
    pub all: bool,

    /// Print what would be restored, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Options {
    /// Restores the apps, or lists them. Each app gets one line with the result, or the reason for a failure.
    ///
    /// # Errors
    ///
    /// If the cluster cannot be reached.
    pub(super) async fn run(self, cluster: &ClusterArgs) -> anyhow::Result<ExitCode> {
        let settings = cluster.settings();
        if self.dry_run {
            let listing = ApiServer::connect().await?.listing(&settings).await?;
            let idled = restore::idled(&listing, &settings);
            for app in &idled {
                print(&format!("Would restore {app}"));
            }
            if idled.is_empty() {
                print("No app is idled.");
            }
            return Ok(ExitCode::SUCCESS);
        }
        // This command puts nothing to sleep, and does not wait for wake-ups of the driver.
        let operator = Operator::start(settings, None, Duration::ZERO).await?;
        let mut is_done = true;
        {
            let mut outcomes = pin!(operator.restore());
            while let Some((app, outcome)) = outcomes.next().await {
                match outcome {
                    Ok(()) => print(&format!("Restored {app}")),
                    Err(why) => {
                        is_done = false;
                        complain(&format!("not restored: {app}: {why:#}"));
                    }
                }
            }
        }
        if let Err(why) = operator.delete_slices().await {
            is_done = false;
            complain(&format!("{why:#}"));
        }
        operator.stop().await;
        Ok(if is_done {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
