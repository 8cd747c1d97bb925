//! Evaluates what an ingress controller counts.
//!
//! A counter begins with the first request that it counts, and `increase` does not see that one. So use is a counter that grew,
//! or that was not there all the time. An unused app and a query that no longer matches look the same: nothing
//! grows. So an app only counts as unused if a series that the controller has from its start is present in the whole window; if a
//! counter of the app is present now, which shows that the controller serves the app under the queried name; and if a request of any
//! app was counted in the window or on the day before it, which shows that visitors still reach this controller.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write,
    time::Duration,
};

use tokio::time::Instant;
use unidler::sleep::verdict::{Verdict, Why};

use super::{
    health::{PARTS, Targets},
    latest::Latest,
    prometheus::{Labels, Matchers, Prometheus, Samples, Series},
    question::{PART, labelled, milliseconds},
};
use crate::{
    objects::RouteKind,
    usage::ways::{Served, Way, Ways},
};

/// The maximum age of a counter that counts as present: longer than the interval between two scrapes.
const RECENT: Duration = Duration::from_secs(150);
/// How long it is remembered that visitors of an app hold connections. The query runs once an hour, and takes samples
/// at hourly intervals.
const MEMORY: &str = "[14d:1h]";
/// In how many steps the last use is looked for.
const STEPS: u32 = 100;
/// Interval between the history queries.
const HOUR: Duration = Duration::from_hours(1);
/// How long the answer to a history query remains valid; and for how long before a window no app may be used until all
/// of them seem to be served by something that is not counted.
const DAY: Duration = Duration::from_hours(24);

/// How an ingress controller counts requests.
pub(super) struct Controller {
    /// The counter of requests.
    pub(super) requests: Series,
    /// A series that each of its pods has from its start.
    pub(super) heartbeat: Series,
    /// Series that only something else has which counts in the same way, and sees no visitors.
    pub(super) others: Option<Series>,
    /// The labels that name a Service.
    pub(super) names: &'static [&'static str],
    /// The label with the kind of the requests.
    pub(super) kind: &'static str,
    /// Whether requests of a kind stay open.
    pub(super) streams: fn(kind: &str) -> Streams,
    /// The name under which it counts requests that take a way. `None` if it does not count all of them.
    pub(super) name_of: fn(&Way) -> Option<String>,
    /// The name to which the count of a series belongs.
    pub(super) name_in: fn(&Labels) -> String,
}

/// Whether visitors hold connections, which are counted when they end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Streams {
    #[default]
    None,
    /// Events that a page listens to, possibly unidler's own page.
    Events,
    /// Any other connections that stay open.
    Lasting,
}

impl Controller {
    /// The query that runs every minute.
    fn question(&self, matchers: &Matchers, window: Duration) -> String {
        let kind = self.kind;
        let [requests, heartbeat, up, start] = [
            self.requests,
            self.heartbeat,
            Series::all("up"),
            Series::all("process_start_time_seconds"),
        ]
        .map(|series| matchers.select(series));
        let names = self.labels();
        let all = milliseconds(window);
        let part = window / PARTS;
        let mut question = labelled(
            &format!(
                // A counter that was not there at the beginning; one that was not there all the time that its pod was; one that
                // grew. The sum of something and what is no number is none.
                "sum by ({names}) (({requests} unless {requests} offset {all}) \
                 or (count_over_time({requests}[{all}]) < on (job, instance) group_left () min by (job, instance) (count_over_time({heartbeat}[{all}]))) \
                 or increase({requests}[{all}]))"
            ),
            "use",
        );
        let mut also = |query: &str, name: &str| {
            question.push_str(" or ");
            question.push_str(&labelled(query, name));
        };
        // Prometheus keeps returning a series for some minutes after its last sample.
        let recent = milliseconds(part.min(RECENT));
        also(
            &format!(
                "group by ({names}, {kind}) ({requests} and last_over_time({requests}[{recent}]))"
            ),
            "counted",
        );
        for index in 0..PARTS {
            let mut query = format!("count_over_time({heartbeat}[{}]", milliseconds(part));
            if index > 0 {
                _ = write!(query, " offset {}", milliseconds(part * index));
            }
            query.push(')');
            also(&query, &index.to_string());
        }
        // Includes pods of the same kind that were never scraped.
        also(
            &format!(
                "avg_over_time({up}[{all}]) and on (job, namespace, service, container, app, app_kubernetes_io_name) {heartbeat}"
            ),
            "up",
        );
        also(
            &format!("changes({start}[{all}]) and on (job, instance) {heartbeat}"),
            "restarts",
        );
        // Whatever differs was used, since a counter begins with a request. Longer than the window, or what was used last
        // would never seem unused.
        let day = milliseconds(window + DAY);
        also(
            &format!(
                "count({requests} != {requests} offset {day} or {requests} unless {requests} offset {day})"
            ),
            "lately",
        );
        if let Some(others) = self.others {
            also(&format!("group({})", matchers.select(others)), "others");
        }
        question
    }

    /// The query that runs every hour.
    fn history(&self, matchers: &Matchers) -> String {
        let (requests, kind) = (matchers.select(self.requests), self.kind);
        let names = self.labels();
        format!("group by ({names}, {kind}) ({requests} or last_over_time({requests}{MEMORY}))")
    }

    /// How many seconds ago a counter was seen to have grown since the `step` before, for the last time.
    fn last_use(&self, matchers: &Matchers, window: Duration, step: Duration) -> String {
        let (requests, names) = (matchers.select(self.requests), self.labels());
        let step = milliseconds(step);
        let all = milliseconds(window);
        format!(
            "min by ({names}) (time() - max_over_time(timestamp(\
             ({requests} > {requests} offset {step}) or ({requests} unless {requests} offset {step}))[{all}:{step}]))"
        )
    }

    /// The labels that name a Service, as the controller and as Prometheus may call them.
    fn labels(&self) -> String {
        let labels = self
            .names
            .iter()
            .map(|name| format!("{name}, exported_{name}"));
        labels.collect::<Vec<_>>().join(", ")
    }

    /// The kinds of requests that are counted under each name.
    fn counted<'a>(&self, samples: impl Iterator<Item = &'a Labels>) -> HashMap<String, Streams> {
        let mut counted = HashMap::<_, Streams>::new();
        for labels in samples {
            let streams = (self.streams)(labels.get(self.kind));
            let known = counted.entry((self.name_in)(labels)).or_default();
            *known = streams.max(*known);
        }
        counted
    }

    /// Parses an answer.
    fn read(&self, mut samples: Samples) -> Result<Reading, Why> {
        let mut reading = Reading::default();
        let mut counted = Vec::new();
        for (labels, value) in &mut samples {
            match labels.take(PART).as_deref() {
                Some("use") => *reading.uses.entry((self.name_in)(labels)).or_default() += *value,
                Some("counted") => counted.push(&*labels),
                Some("up") => reading.targets.up.push(*value),
                Some("restarts") => reading.targets.restarts.push(*value),
                Some("lately") => reading.has_uses_lately = *value > 0.0,
                Some("others") => reading.has_others = true,
                Some(part) => {
                    let part = part.parse().ok();
                    part.and_then(|part| reading.targets.scraped(labels, part, *value))
                        .ok_or(Why::PrometheusUnreadable)?;
                }
                None => return Err(Why::PrometheusUnreadable),
            }
        }
        reading.counted = self.counted(counted.into_iter());
        Ok(reading)
    }
}

/// A parsed answer.
#[derive(Debug, Default)]
struct Reading {
    /// The count within the window, by name: 0 if nothing was counted.
    uses: HashMap<String, f64>,
    /// The names under which requests are counted now.
    counted: HashMap<String, Streams>,
    targets: Targets,
    /// Whether any app was used within a day before the window, or since.
    has_uses_lately: bool,
    /// Whether something else counts that sees no visitors.
    has_others: bool,
}

/// What an ingress controller has counted.
pub(super) struct Counts {
    controller: &'static Controller,
    /// The matchers that select the series of this cluster.
    matchers: Matchers,
    latest: Latest<Reading>,
    /// The names under which requests were counted before.
    history: Option<(Instant, HashMap<String, Streams>)>,
    /// How long ago each was last used, as far as that was queried.
    last_uses: HashMap<String, Duration>,
}

impl Counts {
    pub(super) fn of(controller: &'static Controller, matchers: Matchers) -> Self {
        Self {
            controller,
            matchers,
            latest: Latest::default(),
            history: None,
            last_uses: HashMap::new(),
        }
    }

    /// Queries when each was last used within the longest window. No decision is based on that.
    pub(super) async fn ask_last_uses(&mut self, prometheus: &mut Prometheus) {
        let Some(window) = self.latest.longest() else {
            return;
        };
        let step = (window / STEPS).max(Duration::from_secs(1));
        let question = self.controller.last_use(&self.matchers, window, step);
        let samples = prometheus.ask(&question).await.unwrap_or_default();
        for (labels, ago) in samples {
            let Ok(ago) = Duration::try_from_secs_f64(ago) else {
                continue;
            };
            let ago = ago + step;
            let known = self
                .last_uses
                .entry((self.controller.name_in)(&labels))
                .or_insert(ago);
            *known = ago.min(*known);
        }
    }

    pub(super) async fn refresh(
        &mut self,
        prometheus: &mut Prometheus,
        windows: &BTreeSet<Duration>,
    ) {
        let Self {
            controller,
            matchers,
            latest,
            history,
            ..
        } = self;
        let read = |samples| {
            let reading = controller.read(samples)?;
            if let Some((_, history)) = history {
                for (name, streams) in &reading.counted {
                    let known = history.entry(name.clone()).or_default();
                    *known = (*streams).max(*known);
                }
            }
            Ok(reading)
        };
        let question = |window| controller.question(matchers, window);
        latest.refresh(prometheus, windows, question, read).await;
        let is_recent = |(asked, _): &(Instant, _)| asked.elapsed() < HOUR;
        if !self.history.as_ref().is_some_and(is_recent) {
            let asked = Instant::now();
            // Without a new answer, the old one remains valid for a while.
            if let Ok(samples) = prometheus
                .ask(&self.controller.history(&self.matchers))
                .await
            {
                let counted = self
                    .controller
                    .counted(samples.iter().map(|(labels, _)| labels));
                self.history = Some((asked, counted));
            }
        }
    }

    pub(super) fn verdict(
        &self,
        names: &Names<'_>,
        app: &Served,
        window: Duration,
        now: Instant,
    ) -> Verdict {
        let reading = match self.latest.of(window, now) {
            Ok(reading) => reading,
            Err(why) => return Verdict::Silent(why),
        };
        let ways = app
            .ways
            .iter()
            .map(|way| (way, (self.controller.name_of)(way)));
        let ways: Vec<_> = ways.collect();
        let uses = |name: &String| reading.uses.get(name).copied().unwrap_or_default();
        // Even if other data is missing, counted requests are a sign of use.
        let names_of_ways = ways.iter().filter_map(|(_, name)| name.as_ref());
        let mut used = names_of_ways.filter(|name| uses(name) > 0.0).peekable();
        if used.peek().is_some() {
            let ago = used.filter_map(|name| self.last_uses.get(name)).min();
            return Verdict::Used { ago: ago.copied() };
        }
        match self.check(reading, names, app, &ways, now) {
            Ok(()) => Verdict::Unused,
            Err(why) => Verdict::Silent(why),
        }
    }

    /// Checks that a count of zero means no use.
    fn check(
        &self,
        reading: &Reading,
        names: &Names<'_>,
        app: &Served,
        ways: &[(&Way, Option<String>)],
        now: Instant,
    ) -> Result<(), Why> {
        reading.targets.check()?;
        if reading.has_others {
            return Err(Why::OthersCounted);
        }
        if !reading.has_uses_lately {
            return Err(Why::NothingCounted);
        }
        let is_good = |(asked, _): &&(Instant, _)| now.duration_since(*asked) <= DAY;
        let (_, history) = self
            .history
            .as_ref()
            .filter(is_good)
            .ok_or(Why::PrometheusDown)?;
        // Requests have to be counted for each kind of route: another controller may serve that kind.
        let mut kinds = HashMap::<&RouteKind, Seen>::new();
        for (way, name) in ways {
            let name = name.as_ref().ok_or(Why::PartlyCounted)?;
            names.check(name)?;
            if way.route.has_several_classes() {
                return Err(Why::SeveralClasses);
            }
            // Without a number, the use is unknown.
            if reading.uses.get(name).is_some_and(|uses| *uses != 0.0) {
                return Err(Why::PrometheusUnreadable);
            }
            let (counted, before) = (reading.counted.get(name), history.get(name));
            match counted.max(before).copied().unwrap_or_default() {
                Streams::None => {}
                Streams::Events if app.has_slept => {}
                Streams::Events | Streams::Lasting => return Err(Why::OpenConnections),
            }
            let seen = match (counted, before) {
                (Some(_), _) => Seen::Now,
                (None, Some(_)) => Seen::Before,
                (None, None) => Seen::Never,
            };
            let best = kinds.entry(&way.route).or_default();
            *best = seen.max(*best);
        }
        match kinds.into_values().min().unwrap_or_default() {
            Seen::Now => Ok(()),
            Seen::Before => Err(Why::NotCountedSince),
            Seen::Never => Err(Why::NeverCounted),
        }
    }

    /// The names of all Services.
    pub(super) fn names<'a>(&self, ways: &'a Ways) -> Names<'a> {
        let mut names = HashMap::<_, Name<'a>>::new();
        for way in ways.all() {
            let Some(name) = (self.controller.name_of)(way) else {
                continue;
            };
            names
                .entry(name)
                .and_modify(|name| name.also(way))
                .or_insert(Name {
                    first: way,
                    trouble: None,
                });
        }
        Names(names)
    }
}

/// Whether requests were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    #[default]
    Never,
    Before,
    Now,
}

/// The ways whose requests are counted under each name.
#[derive(Debug)]
pub(super) struct Names<'a>(HashMap<String, Name<'a>>);

impl Names<'_> {
    /// Checks for problems with a name.
    fn check(&self, name: &str) -> Result<(), Why> {
        match self.0.get(name).map(|name| name.trouble) {
            Some(None) => Ok(()),
            Some(Some(why)) => Err(why),
            None => Err(Why::NeverCounted),
        }
    }
}

/// The ways whose requests are counted under a name.
#[derive(Debug)]
struct Name<'a> {
    first: &'a Way,
    trouble: Option<Why>,
}

impl<'a> Name<'a> {
    /// Adds another way with the same name.
    fn also(&mut self, way: &'a Way) {
        if !way
            .backend
            .is_of(&self.first.backend.namespace, &self.first.backend.service)
        {
            self.trouble = Some(Why::SharedName);
        } else if way.route != self.first.route {
            // Perhaps only one of the controllers counts.
            self.trouble = self.trouble.or(Some(Why::SeveralClasses));
        }
    }
}
