//! A query of the operator's own.
//!
//! It returns how often each app was used within a window, including 0: by `namespace` and `service`, or by `host`. The
//! operator is responsible for its correctness. There is no verdict on an app that the result does not name, nor is an
//! app considered unused if its series did not exist in each part of the window.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    str::FromStr,
    time::Duration,
};

use tokio::time::Instant;
use unidler::sleep::verdict::{Verdict, Why};

use super::{
    health::PARTS,
    latest::Latest,
    prometheus::{Labels, Prometheus, Samples},
    question::{PART, labelled, milliseconds},
};
use crate::usage::ways::{Served, Way};

/// The maximum age of a series' samples if it counts as present: enough for two scrapes.
const RECENT: Duration = Duration::from_mins(5);

/// How long after the last use of any app an answer without any counts.
const DAY: Duration = Duration::from_hours(24);

/// The placeholder for the window in a query.
const WINDOW: &str = "$window";

/// A query for any window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(String);

impl FromStr for Query {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains(WINDOW) {
            true => Ok(Self(text.to_owned())),
            // Without the placeholder, all windows would be the same.
            false => Err(format!(
                "the query does not contain {WINDOW}, which stands for the window, as in increase(requests_total[{WINDOW}])"
            )),
        }
    }
}

impl Query {
    fn of(&self, window: Duration) -> String {
        // The line break ends a possible comment at the end of the query.
        format!("({}\n)", self.0.replace(WINDOW, &milliseconds(window)))
    }

    /// The query that runs every minute: the use in the whole window, whether each series exists now, and in how many
    /// parts of the window it existed. The parts overlap, and end at whole multiples of half a part, not now.
    fn question(&self, window: Duration) -> String {
        let part = window / PARTS;
        let parts = format!("[{}:{}]", milliseconds(window), milliseconds(part / 2));
        [
            labelled(&self.of(window), "use"),
            labelled(&self.of(part.min(RECENT)), "now"),
            labelled(
                &format!("count_over_time({}{parts})", self.of(part)),
                "parts",
            ),
            labelled(&format!("count_over_time(vector(1){parts})"), "all"),
        ]
        .join(" or ")
    }
}

/// How often something was used, as far as is known.
#[derive(Clone, Copy, Debug)]
struct Uses {
    count: f64,
    /// Whether that is known for the whole window. A counter that does not exist all the time may have counted requests
    /// that were never scraped.
    is_whole: bool,
}

/// A parsed answer: how often each was used.
#[derive(Debug, Default)]
struct Reading {
    services: HashMap<(String, String), Uses>,
    hosts: HashMap<String, Uses>,
}

impl Reading {
    fn of(samples: Samples) -> Result<Self, Why> {
        let (mut uses, mut parts, mut all) = (Vec::new(), HashMap::new(), None);
        let mut present = HashSet::new();
        for (mut labels, value) in samples {
            let part = labels.take(PART);
            // Aggregation drops this label.
            labels.take("__name__");
            match part.as_deref() {
                Some("use") => uses.push((labels, value)),
                Some("now") => {
                    present.insert(labels.sorted());
                }
                Some("parts") => {
                    parts.insert(labels.sorted(), value);
                }
                Some("all") => all = Some(value),
                _ => return Err(Why::PrometheusUnreadable),
            }
        }
        let all = all.ok_or(Why::PrometheusUnreadable)?;
        let mut reading = Self::default();
        for (labels, value) in uses {
            let Some(known) = reading.entry(&labels) else {
                continue;
            };
            // Negative values must not cancel out positive ones.
            known.count += if value < 0.0 { f64::NAN } else { value };
            let series = labels.sorted();
            known.is_whole &=
                present.contains(&series) && parts.get(&series).is_some_and(|parts| *parts >= all);
        }
        Ok(reading)
    }

    fn has_uses(&self) -> bool {
        let mut uses = self.services.values().chain(self.hosts.values());
        uses.any(|uses| uses.count > 0.0)
    }

    /// The entry that a series belongs to; `None` if its labels do not identify one.
    fn entry(&mut self, labels: &Labels) -> Option<&mut Uses> {
        let [namespace, service, host] =
            ["namespace", "service", "host"].map(|name| labels.get(name));
        let nothing = Uses {
            count: 0.0,
            is_whole: true,
        };
        if !namespace.is_empty() && !service.is_empty() {
            let service = (namespace.to_owned(), service.to_owned());
            Some(self.services.entry(service).or_insert(nothing))
        } else if !host.is_empty() {
            Some(
                self.hosts
                    .entry(host.to_ascii_lowercase())
                    .or_insert(nothing),
            )
        } else {
            None
        }
    }

    fn of_service(&self, way: &Way) -> Option<Uses> {
        let service = (
            way.backend.namespace.to_string(),
            way.backend.service.to_string(),
        );
        self.services.get(&service).copied()
    }

    /// The combined use of the hosts of a way.
    fn of_host(&self, way: &Way) -> Option<Uses> {
        let host = way.host.as_deref()?;
        let exact = self.hosts.get(host).copied();
        let Some(domain) = host.strip_prefix('*') else {
            return exact;
        };
        // There may be other hosts that are not known, so only use is conclusive.
        let mut of_domain = self.hosts.iter().filter(|(host, _)| host.ends_with(domain));
        of_domain
            .find(|(_, uses)| uses.count > 0.0)
            .map(|(_, uses)| *uses)
            .or(exact)
    }

    fn verdict(&self, app: &Served) -> Verdict {
        let of_services: Vec<_> = app.ways.iter().map(|way| self.of_service(way)).collect();
        let of_hosts: Vec<_> = app.ways.iter().map(|way| self.of_host(way)).collect();
        let known = || of_services.iter().chain(&of_hosts).flatten();
        if known().any(|uses| uses.count > 0.0) {
            return Verdict::Used { ago: None };
        }
        if known().any(|uses| uses.count != 0.0) {
            return Verdict::Silent(Why::PrometheusUnreadable);
        }
        if !known().all(|uses| uses.is_whole) {
            return Verdict::Silent(Why::PrometheusGaps);
        }
        let is_all = |uses: &[Option<Uses>]| !uses.is_empty() && uses.iter().all(Option::is_some);
        match is_all(&of_services) || is_all(&of_hosts) {
            true => Verdict::Unused,
            false => Verdict::Silent(Why::NeverCounted),
        }
    }
}

/// The answers to the query.
pub(super) struct Answers {
    query: Query,
    latest: Latest<Reading>,
    /// When the answer about the shortest window last had any use in it.
    used: Option<Instant>,
}

impl Answers {
    pub(super) fn to(query: Query) -> Self {
        Self {
            query,
            latest: Latest::default(),
            used: None,
        }
    }

    pub(super) async fn refresh(
        &mut self,
        prometheus: &mut Prometheus,
        windows: &BTreeSet<Duration>,
    ) {
        let Self {
            query,
            latest,
            used,
        } = self;
        let question = |window| query.question(window);
        latest
            .refresh(prometheus, windows, question, Reading::of)
            .await;
        // A longer window would remember a use for longer.
        let now = Instant::now();
        let shortest = windows.first().map(|window| latest.of(*window, now));
        if let Some(Ok(reading)) = shortest
            && reading.has_uses()
        {
            *used = Some(now);
        }
    }

    pub(super) fn verdict(&self, app: &Served, window: Duration, now: Instant) -> Verdict {
        // A broken query returns nothing, or 0 for everything. So do apps that nobody uses, but not for days.
        let is_lately = |used: Instant| now.saturating_duration_since(used) <= DAY;
        match self.latest.of(window, now) {
            Ok(reading) if self.used.is_some_and(is_lately) => reading.verdict(app),
            Ok(_) => Verdict::Silent(Why::NothingCounted),
            Err(why) => Verdict::Silent(why),
        }
    }
}
