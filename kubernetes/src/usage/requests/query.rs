//! A query of the operator's own.
//!
//! It gives how often each app was used within a window, 0 included: by `namespace` and `service`, or by `host`. Whether that
//! is true is for the operator to know. What it does not name, it says nothing about.

use std::{
    collections::{BTreeSet, HashMap},
    str::FromStr,
    time::Duration,
};

use tokio::time::Instant;
use unidler::sleep::verdict::{Verdict, Why};

use super::{
    latest::Latest,
    prometheus::{Prometheus, Samples},
};
use crate::usage::ways::{Served, Way};

/// What stands for the window in a query.
const WINDOW: &str = "$window";

/// A query that asks about any window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(String);

impl FromStr for Query {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains(WINDOW) {
            true => Ok(Self(text.to_owned())),
            // Without it, all windows would be the same.
            false => Err(format!(
                "the query does not contain {WINDOW}, which stands for the window, as in increase(requests_total[{WINDOW}])"
            )),
        }
    }
}

impl Query {
    fn question(&self, window: Duration) -> String {
        self.0.replace(WINDOW, &format!("{}s", window.as_secs()))
    }
}

/// What an answer says: how often each was used.
#[derive(Debug, Default)]
struct Reading {
    services: HashMap<(String, String), f64>,
    hosts: HashMap<String, f64>,
}

impl Reading {
    fn of(samples: &Samples) -> Result<Self, Why> {
        let mut reading = Self::default();
        for (labels, value) in samples {
            let (namespace, service, host) = (
                labels.get("namespace"),
                labels.get("service"),
                labels.get("host"),
            );
            let uses = if !namespace.is_empty() && !service.is_empty() {
                reading
                    .services
                    .entry((namespace.to_owned(), service.to_owned()))
                    .or_default()
            } else if !host.is_empty() {
                reading.hosts.entry(host.to_ascii_lowercase()).or_default()
            } else {
                continue;
            };
            // What is below nothing does not make up for what is above.
            *uses += if *value < 0.0 { f64::NAN } else { *value };
        }
        // A query that is broken says nothing, or 0 of everything. An ingress where nobody uses anything looks the same.
        let mut uses = reading.services.values().chain(reading.hosts.values());
        if uses.any(|uses| *uses > 0.0) {
            Ok(reading)
        } else {
            Err(Why::NothingCounted)
        }
    }

    fn of_service(&self, way: &Way) -> Option<f64> {
        let service = (
            way.backend.namespace.to_string(),
            way.backend.service.to_string(),
        );
        self.services.get(&service).copied()
    }

    /// All that is known of the hosts of a way.
    fn of_host(&self, way: &Way) -> Option<f64> {
        let host = way.host.as_deref()?;
        let exact = self.hosts.get(host).copied();
        let Some(domain) = host.strip_prefix('*') else {
            return exact;
        };
        // What others there are is not known, so that only use says something.
        let mut of_domain = self.hosts.iter().filter(|(host, _)| host.ends_with(domain));
        of_domain
            .find(|(_, uses)| **uses > 0.0)
            .map(|(_, uses)| *uses)
            .or(exact)
    }

    fn verdict(&self, app: &Served) -> Verdict {
        let of_services: Vec<_> = app.ways.iter().map(|way| self.of_service(way)).collect();
        let of_hosts: Vec<_> = app.ways.iter().map(|way| self.of_host(way)).collect();
        let mut known = of_services.iter().chain(&of_hosts).flatten();
        if known.clone().any(|uses| *uses > 0.0) {
            return Verdict::Used { ago: None };
        }
        if known.any(|uses| *uses != 0.0) {
            return Verdict::Silent(Why::PrometheusUnreadable);
        }
        let is_whole = |uses: &[Option<f64>]| !uses.is_empty() && uses.iter().all(Option::is_some);
        match is_whole(&of_services) || is_whole(&of_hosts) {
            true => Verdict::Unused,
            false => Verdict::Silent(Why::NeverCounted),
        }
    }
}

/// What the query gave.
pub(super) struct Answers {
    query: Query,
    latest: Latest<Reading>,
}

impl Answers {
    pub(super) fn to(query: Query) -> Self {
        Self {
            query,
            latest: Latest::default(),
        }
    }

    pub(super) async fn refresh(
        &mut self,
        prometheus: &mut Prometheus,
        windows: &BTreeSet<Duration>,
    ) {
        let Self { query, latest } = self;
        let question = |window| query.question(window);
        latest
            .refresh(prometheus, windows, question, |samples| {
                Reading::of(&samples)
            })
            .await;
    }

    pub(super) fn verdict(&self, app: &Served, window: Duration, now: Instant) -> Verdict {
        match self.latest.of(window, now) {
            Ok(reading) => reading.verdict(app),
            Err(why) => Verdict::Silent(why),
        }
    }
}
