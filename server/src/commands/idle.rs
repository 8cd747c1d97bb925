//! `unidler idle`: puts an app to sleep.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use k8s_openapi::jiff::Timestamp;
use unidler::host::Host;
use unidler_kubernetes::{
    ApiServer,
    idle::{self, Target},
};

use super::output::print;
use crate::config::ClusterArgs;

/// How visitors are led to unidler while the app sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HandoverArg {
    /// By an `EndpointSlice` of unidler's own. The Service is left as it is, and nothing needs a label.
    #[default]
    Slice,
    /// By making the Service an `ExternalName`, as the idler of 2020 does.
    ExternalName,
}

/// The options of `unidler idle`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Options {
    /// The app's host, as its visitors type it.
    #[arg(value_parser = host)]
    pub host: Host,

    /// How visitors are led to unidler while the app sleeps.
    #[arg(long, value_enum, default_value_t)]
    pub handover: HandoverArg,

    /// With --handover external-name, the address of unidler's Service inside the cluster [default: SERVICE.unidler.svc.DOMAIN, with those of --service
    /// and --cluster-domain].
    #[arg(long, value_name = "NAME.NAMESPACE.svc.DOMAIN")]
    pub unidler_host: Option<String>,

    /// Print what would be written, and write nothing.
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
        match self.handover {
            HandoverArg::Slice => {
                let listing = api_server.listing(&settings).await?;
                let plan = idle::plan_slices(&self.host, &listing, &settings, Timestamp::now())?;
                if self.dry_run {
                    print(&plan.to_string());
                } else {
                    print(&plan.apply(&settings).await?.done());
                }
            }
            HandoverArg::ExternalName => {
                let target = Target::parse(self.unidler_host.as_deref(), &settings)?;
                api_server.expect_service(&target).await?;
                let listing = api_server.listing(&settings).await?;
                let plan = idle::plan(&self.host, &listing, &settings, &target, Timestamp::now())?;
                if self.dry_run {
                    print(&plan.to_string());
                } else {
                    print(&plan.apply(&settings, &target).await?.done());
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn host(text: &str) -> Result<Host, String> {
    Host::parse(text).map_err(|_| {
        "write the host as the app's Ingress has it, such as tool.example.org".to_owned()
    })
}
