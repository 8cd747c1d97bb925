//! `unidler keep-awake`: keeps an app awake for a time.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Args;
use k8s_openapi::jiff::{Timestamp, Unit};
use unidler::host::Host;
use unidler_kubernetes::ApiServer;

use super::{host::host, output::print};
use crate::{config::ClusterArgs, duration::duration};

/// The options of `unidler keep-awake`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Options {
    /// Host of the app, as its visitors type it.
    #[arg(value_parser = host)]
    pub host: Host,

    /// How long to keep it awake from now, such as 3h.
    #[arg(value_name = "DURATION", value_parser = duration)]
    pub duration: Duration,
}

impl Options {
    /// Keeps the app awake.
    ///
    /// # Errors
    ///
    /// If there is no such app, or its Services cannot be annotated.
    pub(super) async fn run(self, cluster: &ClusterArgs) -> anyhow::Result<ExitCode> {
        let Self { host, duration } = self;
        let until = Timestamp::now()
            .checked_add(duration)
            .and_then(|until| until.round(Unit::Second))
            .context("the duration is too long")?;
        let api_server = ApiServer::connect().await?;
        let kept = api_server
            .keep_awake(&host, until, &cluster.settings())
            .await?;
        let services = kept.services.join(", ");
        print(&format!(
            "{host} stays awake until {until}: annotated Service {services}"
        ));
        if kept.is_asleep {
            print(&format!(
                "It is asleep now. To wake it: unidler wake {host}"
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
