//! `unidler idle`: puts an app to sleep.

use std::process::ExitCode;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use unidler::host::Host;
use unidler_kubernetes::{
    ApiServer,
    idle::{self, Target},
};

use super::output::print;
use crate::config::ClusterArgs;

/// The options of `unidler idle`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Options {
    /// The app's host, as its visitors type it.
    #[arg(value_parser = host)]
    pub host: Host,

    /// The address of unidler's Service inside the cluster [default: SERVICE.unidler.svc.DOMAIN, with those of --service
    /// and --cluster-domain].
    #[arg(long, value_name = "NAME.NAMESPACE.svc.DOMAIN")]
    pub unidler_host: Option<String>,

    /// Print the two patches, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Options {
    /// Idles the app, or prints what that would write.
    ///
    /// # Errors
    ///
    /// If it is not idled, in words that tell what to do.
    pub(super) async fn run(self, cluster: &ClusterArgs) -> anyhow::Result<ExitCode> {
        let settings = cluster.settings();
        let api_server = ApiServer::connect().await?;
        let target = Target::parse(self.unidler_host.as_deref(), &settings)?;
        api_server.expect_service(&target).await?;
        let listing = api_server.listing(&settings).await?;
        let plan = idle::plan(&self.host, &listing, &settings, &target, Timestamp::now())?;
        if self.dry_run {
            print(&plan.to_string());
        } else {
            print(&plan.apply(&settings, &target).await?.done());
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn host(text: &str) -> Result<Host, String> {
    Host::parse(text).map_err(|_| {
        "write the host as the app's Ingress has it, such as tool.example.org".to_owned()
    })
}
