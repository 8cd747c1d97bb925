//! `unidler idle`: puts apps to sleep.

use std::{pin::pin, process::ExitCode, time::Duration};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use unidler::host::Host;
use unidler_kubernetes::{
    ApiServer, Handover, Operator,
    idle::{self, Asked, NotPlanned, Target},
};

use super::{
    host::host,
    output::{complain, print},
};
use crate::config::ClusterArgs;

/// The time limit for idling, and then for undoing it.
const DEADLINE: Duration = Duration::from_secs(60);

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
    /// Hosts of the apps, as their visitors type them.
    #[arg(value_parser = host, required_unless_present = "namespace")]
    pub hosts: Vec<Host>,

    /// Namespace of the hosts' Services. Without hosts, idle all apps of the namespace that can be idled.
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// How visitors are routed to unidler while an app sleeps.
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
    /// Idles the apps, or prints the writes that this would take. Each app gets one line with the result, or the reason
    /// for a refusal.
    ///
    /// # Errors
    ///
    /// If the cluster cannot be reached.
    pub(super) async fn run(self, cluster: &ClusterArgs) -> anyhow::Result<ExitCode> {
        let settings = cluster.settings();
        let handover = match self.handover {
            HandoverArg::Slice => Handover::Slice,
            HandoverArg::ExternalName => {
                let target = Target::parse(self.unidler_host.as_deref(), &settings)?;
                Handover::ExternalName(target)
            }
        };
        let mut tally = Tally::default();
        let asked = match &self.namespace {
            Some(namespace) if self.hosts.is_empty() => Asked::Namespace(namespace.clone()),
            namespace => Asked::Hosts(self.hosts, namespace.clone()),
        };
        let api_server = ApiServer::connect().await?;
        if handover == Handover::Slice && !api_server.may_divert().await? {
            let namespace = self.namespace.context(
                "you lack permission to write EndpointSlices in all namespaces, so unidler's server has to idle the app for you: set \
                 --namespace to the app's namespace",
            )?;
            ensure!(
                !self.dry_run,
                "you lack permission to write EndpointSlices, so --dry-run cannot show what unidler would write"
            );
            for (app, wished) in api_server.wish(&asked, &namespace, &settings).await? {
                tally.count(&app, wished, |()| {
                    format!("Idled {app}, by unidler's server.")
                });
            }
        } else if self.dry_run {
            let surroundings = api_server.surroundings().await?;
            let listing = api_server.listing(&settings).await?;
            let now = Timestamp::now();
            let plans = idle::plans(&asked, &listing, &surroundings, &settings, &handover, now);
            for (app, plan) in plans {
                tally.count(&app, plan, |plan| format!("{app}:\n{plan}\n"));
            }
        } else {
            let surroundings = api_server.surroundings().await?;
            let operator = Operator::start(settings, Some(handover.clone()), DEADLINE).await?;
            {
                let mut outcomes = pin!(operator.idle(&asked, &surroundings, &handover));
                while let Some((app, outcome)) = outcomes.next().await {
                    tally.count(&app, outcome, |plan| {
                        format!("Idled {app}: {}", plan.done())
                    });
                }
            }
            operator.stop().await;
        }
        Ok(tally.exit_code(&asked))
    }
}

/// The number of apps that are, or would be, asleep in the end.
#[derive(Default)]
struct Tally {
    asleep: usize,
    awake: usize,
}

impl Tally {
    fn count<T>(
        &mut self,
        app: &idle::App,
        outcome: Result<T, NotPlanned>,
        done: impl FnOnce(&T) -> String,
    ) {
        match outcome {
            Ok(what) => {
                self.asleep += 1;
                print(&done(&what));
            }
            Err(NotPlanned::Already) => {
                self.asleep += 1;
                print(&format!("{app} is already idled."));
            }
            Err(NotPlanned::Refused(why)) => {
                self.awake += 1;
                complain(&format!("{app} is not idled: {why:#}"));
            }
        }
    }

    /// A host has to be idled for success; in a namespace, only the apps that can be idled have to be.
    fn exit_code(&self, asked: &Asked) -> ExitCode {
        let is_done = match asked {
            Asked::Hosts(..) => self.awake == 0,
            Asked::Namespace(namespace) => {
                if self.asleep + self.awake == 0 {
                    complain(&format!(
                        "no route in the namespace {namespace} routes to a Service there"
                    ));
                }
                self.asleep > 0
            }
        };
        if is_done {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
