//! The requests that an ingress controller counts, as recorded by Prometheus.
//!
//! All apps take one query a minute for each window. Data that is missing, broken or older than a few minutes is never
//! taken for an app without visitors: in that case there is no verdict, and the app stays awake.
//!
//! - [`Dialect`]: which ingress controller counts, or which query says it. Another controller is another file below this one.

mod access;
mod controller;
mod health;
mod ingress_nginx;
mod istio;
mod latest;
mod prometheus;
mod query;
mod question;
mod traefik;

use std::{collections::BTreeSet, str::FromStr, time::Duration};

use anyhow::ensure;
use tokio::time::Instant;
use unidler::sleep::verdict::Verdict;

pub use self::{
    access::{Access, Headers, PrometheusUrl},
    prometheus::Matchers,
    query::Query,
};
use self::{
    controller::{Controller, Counts, Names},
    ingress_nginx::INGRESS_NGINX,
    istio::ISTIO,
    prometheus::Prometheus,
    query::Answers,
    traefik::TRAEFIK,
};
use super::{Served, Ways};

/// How requests are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Traefik counts them, for Ingresses and `HTTPRoute`s.
    Traefik,
    /// ingress-nginx counts them.
    IngressNginx,
    /// The gateways of Istio count them, for Ingresses and `HTTPRoute`s.
    Istio,
    /// A query of the operator's own returns how often apps were used.
    Query(Query),
}

impl FromStr for Dialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |c: char| c.is_ascii_alphabetic() || c == '-';
        match text {
            "traefik" => Ok(Self::Traefik),
            "ingress-nginx" => Ok(Self::IngressNginx),
            "istio" => Ok(Self::Istio),
            name if name.chars().all(is_name) => Err(format!(
                "\"{name}\" is unknown: expected traefik, ingress-nginx, istio, or a query"
            )),
            query => query.parse().map(Self::Query),
        }
    }
}

/// The request counts of all apps, as of a moment ago.
#[expect(missing_debug_implementations, reason = "a client has nothing to show")]
pub struct Requests {
    prometheus: Prometheus,
    counting: Counting,
}

enum Counting {
    Controller(Counts),
    Query(Answers),
}

impl Counting {
    fn of(dialect: Dialect, matchers: Matchers) -> Self {
        let by =
            |controller: &'static Controller| Self::Controller(Counts::of(controller, matchers));
        match dialect {
            Dialect::Traefik => by(&TRAEFIK),
            Dialect::IngressNginx => by(&INGRESS_NGINX),
            Dialect::Istio => by(&ISTIO),
            Dialect::Query(query) => Self::Query(Answers::to(query)),
        }
    }
}

impl Requests {
    /// Starts without any data. The matchers select the series of this cluster.
    ///
    /// # Errors
    ///
    /// If Prometheus needs TLS, and the certificates to verify it cannot be loaded. If there are matchers for a query of the
    /// operator's own, or none for Istio.
    pub fn new(
        access: Access,
        dialect: Dialect,
        matchers: Option<Matchers>,
    ) -> anyhow::Result<Self> {
        let is_query = matches!(dialect, Dialect::Query(_));
        ensure!(
            !is_query || matchers.is_none(),
            "write the matchers into the query: they are only added to those for ingress controllers"
        );
        ensure!(
            dialect != Dialect::Istio || matchers.is_some(),
            "with Istio, matchers have to choose the gateways among all proxies, such as job=\"istio-gateways\""
        );
        let matchers = matchers.unwrap_or_default();
        Ok(Self::of(Prometheus::new(access)?, dialect, matchers))
    }

    fn of(prometheus: Prometheus, dialect: Dialect, matchers: Matchers) -> Self {
        Self {
            prometheus,
            counting: Counting::of(dialect, matchers),
        }
    }

    /// Queries these windows. To be called every minute. It takes at most ten seconds for each.
    pub async fn refresh(&mut self, windows: &BTreeSet<Duration>) {
        match &mut self.counting {
            Counting::Controller(counts) => counts.refresh(&mut self.prometheus, windows).await,
            Counting::Query(answers) => answers.refresh(&mut self.prometheus, windows).await,
        }
    }

    /// Queries when apps were last used, for display only. A query of the operator's own does not provide that.
    pub async fn ask_last_uses(&mut self) {
        if let Counting::Controller(counts) = &mut self.counting {
            counts.ask_last_uses(&mut self.prometheus).await;
        }
    }

    /// The current data about the apps of a cluster. It needs all ways in it, since two Services may be counted under
    /// one name.
    pub fn of_all<'a>(&'a self, ways: &'a Ways) -> Counted<'a> {
        let now = Instant::now();
        Counted(match &self.counting {
            Counting::Controller(counts) => Known::Controller(counts, counts.names(ways), now),
            Counting::Query(answers) => Known::Query(answers, now),
        })
    }
}

/// The data about the apps of a cluster at a given time.
#[expect(missing_debug_implementations, reason = "there is a client behind it")]
pub struct Counted<'a>(Known<'a>);

enum Known<'a> {
    Controller(&'a Counts, Names<'a>, Instant),
    Query(&'a Answers, Instant),
}

impl Counted<'_> {
    /// The verdict on one of the apps, for a window that was queried or a shorter one.
    #[must_use]
    pub fn verdict(&self, app: &Served, window: Duration) -> Verdict {
        match &self.0 {
            Known::Controller(counts, names, now) => counts.verdict(names, app, window, *now),
            Known::Query(answers, now) => answers.verdict(app, window, *now),
        }
    }
}

#[cfg(test)]
mod tests;
