//! Puts apps to sleep: the options, which `unidler plan` shares, and the loop of the server.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args};
use k8s_openapi::jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use unidler::{
    hub::Hub,
    sleep::{brake::Brake, decide::IdleAfter},
};
use unidler_kubernetes::{
    ApiServer, KubernetesCluster,
    idler::{Idler, IdlerSettings},
    usage::{
        cpu::BusyCpu,
        requests::{Access, Dialect, Headers, Matchers, PrometheusUrl, Requests},
    },
};

use crate::duration::duration;

/// Which apps sleep, and who knows whether they are used.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "Sleep")]
pub struct SleepArgs {
    /// Time without use after which apps are put to sleep, such as 2h: apps of routes and Namespaces with the label unidler/app=true.
    /// With `never`, only apps with an annotation of their own. If not set, no app is put to sleep.
    #[arg(long, env = "UNIDLER_IDLE_AFTER", value_name = "DURATION|never")]
    pub idle_after: Option<IdleAfter>,

    /// Include all apps of the cluster, and not only those with the label. Ingress metrics do not show callers inside the cluster, such
    /// as an ingress controller that asks a login service.
    #[arg(long, env = "UNIDLER_IDLE_ALL", action = ArgAction::SetTrue)]
    pub idle_all: bool,

    /// URL of the Prometheus that scrapes the ingress controller, such as `http://prometheus.monitoring:9090`.
    #[arg(
        long,
        env = "UNIDLER_PROMETHEUS",
        value_name = "URL",
        requires = "requests"
    )]
    pub prometheus: Option<PrometheusUrl>,

    /// Source of request counts: traefik, ingress-nginx, istio, or a query with $window in it. The result of a query has the labels
    /// namespace and service, or host.
    #[arg(
        long,
        env = "UNIDLER_REQUESTS",
        value_name = "CONTROLLER|QUERY",
        requires = "prometheus"
    )]
    pub requests: Option<Dialect>,

    /// Label matchers that select the series of this cluster, such as cluster="west". Required with istio, to select the gateways. Not
    /// for a query: write them into it.
    #[arg(
        long,
        env = "UNIDLER_PROMETHEUS_MATCH",
        value_name = "MATCHERS",
        requires = "prometheus"
    )]
    pub prometheus_match: Option<Matchers>,

    /// File with a bearer token for Prometheus. It is read for each query.
    #[arg(
        long,
        env = "UNIDLER_PROMETHEUS_TOKEN_FILE",
        value_name = "FILE",
        requires = "prometheus"
    )]
    pub prometheus_token_file: Option<PathBuf>,

    /// PEM file with the CA certificates that verify Prometheus, instead of the system's.
    #[arg(
        long,
        env = "UNIDLER_PROMETHEUS_CA",
        value_name = "FILE",
        requires = "prometheus"
    )]
    pub prometheus_ca: Option<PathBuf>,

    /// Headers for Prometheus, one in each line, such as X-Scope-OrgID: team-a.
    #[arg(
        long,
        env = "UNIDLER_PROMETHEUS_HEADERS",
        value_name = "NAME: VALUE",
        requires = "prometheus",
        hide_env_values = true
    )]
    pub prometheus_headers: Option<Headers>,

    /// Share of the requested CPU, such as 20%, from which an app counts as busy and stays awake. Checked with the metrics API just
    /// before an app is put to sleep.
    #[arg(long, env = "UNIDLER_BUSY_CPU", value_name = "PERCENT")]
    pub busy_cpu: Option<BusyCpu>,

    /// Maximum share of apps to put to sleep per hour, of those that were awake within a day: at least one app, and at most 20 per minute.
    #[arg(
        long,
        env = "UNIDLER_IDLE_BRAKE",
        value_name = "PERCENT",
        default_value = "20%"
    )]
    pub idle_brake: Brake,

    /// Time over which wake-ups are spread when the hours of apps begin.
    #[arg(long, env = "UNIDLER_WAKE_SPREAD", value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub wake_spread: Duration,
}

/// What only the server needs of it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "Sleep")]
pub struct CheckArgs {
    /// Interval between checks.
    #[arg(long, env = "UNIDLER_IDLE_CHECK", value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub idle_check: Duration,

    /// Only log which apps would be put to sleep, or woken by their hours.
    #[arg(long, env = "UNIDLER_IDLE_DRY_RUN", action = ArgAction::SetTrue)]
    pub idle_dry_run: bool,
}

impl SleepArgs {
    /// Whether apps are put to sleep at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.idle_after.is_some()
    }

    /// Creates the component that decides. It has been observing since `started`.
    ///
    /// # Errors
    ///
    /// If the configured Prometheus cannot be used.
    pub fn idler(&self, started: Timestamp) -> anyhow::Result<Idler> {
        let settings = IdlerSettings {
            idle_after: match self.idle_after {
                Some(IdleAfter::Unused(window)) => Some(window),
                Some(IdleAfter::Never) | None => None,
            },
            all: self.idle_all,
            brake: self.idle_brake,
            busy_cpu: self.busy_cpu,
            wake_spread: self.wake_spread,
            prometheus: self.prometheus.as_ref().and_then(PrometheusUrl::service),
        };
        let source = self.access()?.zip(self.requests.clone());
        let matchers = self.prometheus_match.clone();
        let requests = source.map(|(access, dialect)| Requests::new(access, dialect, matchers));
        Ok(Idler::new(settings, requests.transpose()?, started))
    }

    /// How to reach Prometheus, if there is one.
    fn access(&self) -> anyhow::Result<Option<Access>> {
        let access = self.prometheus.clone().map(|url| {
            Access::new(
                url,
                self.prometheus_token_file.clone(),
                self.prometheus_ca.clone(),
                &self.prometheus_headers.clone().unwrap_or_default(),
            )
        });
        access.transpose()
    }
}

/// Decides at regular intervals which apps sleep, until it is aborted.
pub(crate) async fn run(
    mut idler: Idler,
    args: CheckArgs,
    api_server: ApiServer,
    cluster: KubernetesCluster,
    hub: Hub,
) {
    let mut checks = interval(args.idle_check);
    // A check that took too long is not made up for.
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        checks.tick().await;
        idler
            .act(&api_server, &cluster, &hub, args.idle_dry_run)
            .await;
    }
}
