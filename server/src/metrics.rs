//! The program's metrics for Prometheus. There are none without `--admin-port`.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>. No label names a host, a namespace or an app: strangers
//! could create any number of time series by asking for hosts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use unidler::{
    host::Host,
    hub::{self, Hub},
    progress::{Phase, Progress},
};
use unidler_kubernetes::{
    API_REQUESTS, ASLEEP_CPU, ASLEEP_MEMORY, CONTACT_AGE, IDLED_APPS,
    idler::DECISIONS,
    undone::{TOOLS, UNDONE},
};

use crate::{forward::FORWARDED, limits::VISITORS, problem::REFUSED};

/// How long the ingress kept routing requests here for an app that was ready, in seconds.
pub const HANDOVER: &str = "unidler_handover_seconds";
/// Whether visitors can be served: 1 or 0.
pub const READY: &str = "unidler_ready";
/// Always 1; its label `version` has the version of the program.
pub const BUILD: &str = "unidler_build_info";

/// The upper bounds of the buckets of times, in seconds: from a small app on a warm node to the deadline.
const BUCKETS: [f64; 11] = [
    0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];
/// Interval at which recorded values are aggregated, so that memory does not grow when nothing scrapes the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of the metrics.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder.
    ///
    /// # Errors
    ///
    /// If the process has another recorder already.
    pub fn start() -> anyhow::Result<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)?
            .build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).context("cannot count")?;
        describe();
        tokio::spawn(upkeep(handle.clone()));
        Ok(Self(handle))
    }

    /// Renders the current values in the Prometheus text format.
    #[must_use]
    pub fn render(&self, hub: &Hub) -> String {
        gauge!(READY).set(if hub.not_ready().is_none() { 1.0 } else { 0.0 });
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        self.0.render()
    }
}

async fn upkeep(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

/// Describes each of the metrics.
pub(crate) fn describe() {
    describe_counter!(
        hub::metrics::OUTCOMES,
        "Outcomes of the wake-ups that visitors started: ready, already_awake, or the reason of a failure."
    );
    describe_histogram!(
        hub::metrics::WAKES,
        Unit::Seconds,
        "How long wake-ups took until the app was ready."
    );
    describe_histogram!(
        hub::metrics::STEPS,
        Unit::Seconds,
        "How long each step of a wake-up took."
    );
    describe_gauge!(hub::metrics::WAKING, "Apps that are waking.");
    describe_gauge!(VISITORS, "Visitors with an open event stream.");
    describe_counter!(REFUSED, "Refused requests, by cause.");
    describe_counter!(API_REQUESTS, "Requests to the API server.");
    describe_gauge!(
        CONTACT_AGE,
        Unit::Seconds,
        "Time since the API server last confirmed that the cache of a kind is current."
    );
    describe_histogram!(
        HANDOVER,
        Unit::Seconds,
        "Time the ingress kept routing requests to unidler after the app was ready."
    );
    describe_counter!(FORWARDED, "Requests forwarded to the app, by outcome.");
    describe_gauge!(
        IDLED_APPS,
        "Idled apps, by form (slice or external-name) and by what put them to sleep."
    );
    describe_gauge!(
        ASLEEP_CPU,
        "Cores that the pods of idled apps would request."
    );
    describe_gauge!(
        ASLEEP_MEMORY,
        Unit::Bytes,
        "Memory that the pods of idled apps would request."
    );
    describe_gauge!(
        DECISIONS,
        "Apps by the last decision about them, such as used, held (by the brake) or sleep (in a dry run: would sleep)."
    );
    describe_counter!(
        UNDONE,
        "How often something else scaled an app up right after it was put to sleep, by what it was."
    );
    describe_gauge!(READY, "1 if visitors can be served, else 0.");
    describe_gauge!(BUILD, "Version of the running program.");
    // Prometheus cannot see the increase of a series that only appears with its first event.
    for cause in [
        "cross_site",
        "prefetch",
        "too_many_connections",
        "too_many_streams",
    ] {
        counter!(REFUSED, "cause" => cause).absolute(0);
    }
    for tool in TOOLS {
        counter!(UNDONE, "by" => tool).absolute(0);
    }
    gauge!(hub::metrics::WAKING).set(0.0);
    gauge!(VISITORS).set(0.0);
}

/// How long without a request until the ingress counts as having followed. The page sends several requests a second.
const FOLLOWED: Duration = Duration::from_secs(10);
/// How long until an ingress counts as one that never follows.
const NEVER: Duration = Duration::from_mins(5);
/// How long an app that was waking is remembered without requests for it.
const FORGOTTEN: Duration = Duration::from_mins(15);
/// The maximum number of handovers that are measured at the same time; further ones are not measured.
const MAX_HANDOVERS: usize = 1_000;

/// Measures how long ingresses take to follow: from the first request for an app that has become ready to the last one.
///
/// Only apps that were observed while waking count, each once per wake-up. An occasional request for an app that has
/// long been awake, from an ingress that never follows, is not a handover.
#[derive(Clone, Debug, Default)]
pub struct Handovers {
    under_way: Arc<Mutex<HashMap<Host, Handover>>>,
}

#[derive(Clone, Copy, Debug)]
enum Handover {
    /// The app is not ready yet.
    Waking { seen: Instant },
    /// The app is ready, and requests still arrive here.
    Late { first: Instant, last: Instant },
}

impl Handovers {
    /// Records that a request has arrived here while the app was in this state.
    pub fn seen(&self, host: &Host, progress: &Progress) {
        self.request(host, progress.phase, Instant::now());
    }

    fn request(&self, host: &Host, phase: Phase, now: Instant) {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, handover| match *handover {
            Handover::Waking { seen } => now.duration_since(seen) < FORGOTTEN,
            Handover::Late { first, last } => {
                let goes_on =
                    now.duration_since(last) < FOLLOWED && now.duration_since(first) < NEVER;
                if !goes_on {
                    histogram!(HANDOVER).record(last.duration_since(first));
                }
                goes_on
            }
        });
        let has_room = under_way.len() < MAX_HANDOVERS;
        match (phase, under_way.get_mut(host)) {
            (Phase::Waking { .. }, None) if has_room => {
                under_way.insert(host.clone(), Handover::Waking { seen: now });
            }
            (Phase::Waking { .. }, Some(Handover::Waking { seen })) => *seen = now,
            (Phase::Ready { .. }, Some(handover)) => {
                let first = match *handover {
                    Handover::Late { first, .. } => first,
                    Handover::Waking { .. } => now,
                };
                *handover = Handover::Late { first, last: now };
            }
            // For all others, there is nothing to measure.
            (
                Phase::Ready { .. } | Phase::Waking { .. } | Phase::Asleep | Phase::Failed { .. },
                _,
            ) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use unidler::progress::Step;

    use super::*;

    /// What dashboard and alerts ask for is there.
    #[test]
    fn whatever_is_watched_is_counted() {
        let counted = [
            hub::metrics::OUTCOMES,
            hub::metrics::WAKES,
            hub::metrics::STEPS,
            hub::metrics::WAKING,
            VISITORS,
            REFUSED,
            API_REQUESTS,
            CONTACT_AGE,
            IDLED_APPS,
            ASLEEP_CPU,
            ASLEEP_MEMORY,
            DECISIONS,
            UNDONE,
            HANDOVER,
            FORWARDED,
            READY,
            BUILD,
        ];
        let watched = concat!(
            include_str!("../../deploy/monitoring/alerts.yaml"),
            include_str!("../../deploy/monitoring/dashboard.json")
        );
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut names = 0;
        for word in watched
            .split(|c| !is_name(c))
            .filter(|word| word.starts_with("unidler_"))
        {
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| word.strip_suffix(part))
                .unwrap_or(word);
            assert!(counted.contains(&name), "{word}");
            names += 1;
        }
        assert!(names > 10, "{names}");
    }

    #[test]
    fn a_handover_begins_with_a_wake_up_and_is_over_when_no_request_comes_any_more() {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .expect("buckets")
            .build_recorder();
        let handle = recorder.handle();
        let (app, other) = (
            Host::parse("a.example").expect("a host"),
            Host::parse("b.example").expect("a host"),
        );
        let (waking, ready) = (
            Phase::Waking {
                step: Step::Pulling,
                reason: None,
            },
            Phase::Ready { notice: None },
        );
        let (handovers, start) = (Handovers::default(), Instant::now());
        let request = |host: &Host, phase, seconds| {
            metrics::with_local_recorder(&recorder, || {
                handovers.request(host, phase, start + Duration::from_secs(seconds));
            });
        };
        for (phase, seconds) in [
            (ready, 0),
            (waking, 1),
            (waking, 100),
            (ready, 110),
            (ready, 113),
            (ready, 117),
        ] {
            request(&app, phase, seconds);
        }
        assert!(!handle.render().contains(HANDOVER), "it may go on");
        request(&other, ready, 127);
        assert!(
            handle.render().contains("unidler_handover_seconds_sum 7\n"),
            "{}",
            handle.render()
        );

        for seconds in (1_000..2_000).step_by(3) {
            request(&other, ready, seconds);
            request(&app, ready, seconds);
        }
        assert!(
            handle
                .render()
                .contains("unidler_handover_seconds_count 1\n"),
            "an app that has long been awake: {}",
            handle.render()
        );

        request(&app, waking, 3_000);
        for seconds in (3_001..4_000).step_by(3) {
            request(&app, ready, seconds);
        }
        let numbers = handle.render();
        assert!(
            numbers.contains("unidler_handover_seconds_count 2\n"),
            "an ingress that never follows counts once: {numbers}"
        );
        assert!(
            numbers.contains("unidler_handover_seconds_sum 304\n"),
            "{numbers}"
        );
    }
}
