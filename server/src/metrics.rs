//! What the program counts, for Prometheus, on a port of its own.
//!
//! The page's port is reached by strangers at the address of every idled app, and how many of those wake is none of
//! their business. So there are no numbers without `--metrics-port`.
//!
//! Names follow <https://prometheus.io/docs/practices/naming/>. No label names a host, a namespace or an app: there
//! would be as many of them as strangers care to ask for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::{Router, routing::get};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use unidler::{
    host::Host,
    hub::{Hub, meter},
    progress::{Phase, Progress},
};

use crate::{kubernetes::API_REQUESTS, late::PASSED_ON, limits::VISITORS, problem::REFUSED};

/// How long the ingress went on to send requests here for an app that was ready, in seconds.
pub const HANDOVER: &str = "unidler_handover_seconds";
/// Whether visitors can be served: 1 or 0.
pub const READY: &str = "unidler_ready";
/// Always 1; its label `version` says which program this is.
pub const BUILD: &str = "unidler_build_info";

/// The upper bounds of the buckets of times, in seconds: from a small app on a warm node to the deadline.
const BUCKETS: [f64; 11] = [0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// How often what is counted is brought together, so that nothing grows if nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts to count, and gives what `--metrics-port` serves.
///
/// # Errors
///
/// If something else in the process counts already.
pub fn router(hub: Hub) -> anyhow::Result<Router> {
    let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS)?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).context("cannot count")?;
    describe();
    tokio::spawn(upkeep(handle.clone()));
    let numbers = get(async move || {
        gauge!(READY).set(if hub.not_ready().is_none() { 1.0 } else { 0.0 });
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        handle.render()
    });
    Ok(Router::new().route("/metrics", numbers.clone()).route("/_unidler/metrics", numbers))
}

async fn upkeep(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

fn describe() {
    describe_counter!(
        meter::OUTCOMES,
        "Outcomes of the wake-ups that visitors started: ready, already_awake, or the reason of a failure."
    );
    describe_histogram!(meter::WAKES, Unit::Seconds, "How long wake-ups took until the app was ready.");
    describe_histogram!(meter::STEPS, Unit::Seconds, "How long each step of a wake-up took.");
    describe_gauge!(meter::WAKING, "How many apps are waking.");
    describe_gauge!(VISITORS, "How many visitors have an event stream open.");
    describe_counter!(REFUSED, "Requests that were refused, by cause.");
    describe_counter!(API_REQUESTS, "Requests to the API server.");
    describe_histogram!(HANDOVER, Unit::Seconds, "How long the ingress went on to send requests here for an app that was ready.");
    describe_counter!(
        PASSED_ON,
        "Requests for an app that was ready, which its ingress still sent here, that were passed on, by outcome."
    );
    describe_gauge!(READY, "Whether visitors can be served.");
    describe_gauge!(BUILD, "Which program this is.");
    // A series that appears with its first event cannot be seen to rise from nothing.
    for cause in ["cross_site", "prefetch", "too_many_streams"] {
        counter!(REFUSED, "cause" => cause).absolute(0);
    }
    gauge!(meter::WAKING).set(0.0);
    gauge!(VISITORS).set(0.0);
}

/// After how long without a request the ingress has followed. The page asks several times a second.
const FOLLOWED: Duration = Duration::from_secs(10);
/// The most handovers that are measured at the same time; more are not.
const MAX_HANDOVERS: usize = 1_000;

/// Measures how long ingresses take to follow: from the first request for an app that is ready to the last one.
#[derive(Clone, Debug, Default)]
pub struct Handovers {
    under_way: Arc<Mutex<HashMap<Host, (Instant, Instant)>>>,
}

impl Handovers {
    /// A request has come here, for an app that stands so.
    pub fn note(&self, host: &Host, progress: &Progress) {
        if let Phase::Ready { .. } = progress.phase {
            self.late_request(host, Instant::now());
        }
    }

    fn late_request(&self, host: &Host, now: Instant) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, (first, last)| {
            let goes_on = now.duration_since(*last) < FOLLOWED;
            if !goes_on {
                histogram!(HANDOVER).record(last.duration_since(*first));
            }
            goes_on
        });
        if under_way.len() < MAX_HANDOVERS || under_way.contains_key(host) {
            under_way.entry(host.clone()).and_modify(|(_, last)| *last = now).or_insert((now, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What dashboard and alerts ask for is there.
    #[test]
    fn whatever_is_watched_is_counted() {
        let counted = [
            meter::OUTCOMES,
            meter::WAKES,
            meter::STEPS,
            meter::WAKING,
            VISITORS,
            REFUSED,
            API_REQUESTS,
            HANDOVER,
            PASSED_ON,
            READY,
            BUILD,
        ];
        let watched =
            concat!(include_str!("../../deploy/monitoring/alerts.yaml"), include_str!("../../deploy/monitoring/dashboard.json"));
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut names = 0;
        for word in watched.split(|c| !is_name(c)).filter(|word| word.starts_with("unidler_")) {
            let name = ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word);
            assert!(counted.contains(&name), "{word}");
            names += 1;
        }
        assert!(names > 10, "{names}");
    }

    #[test]
    fn a_handover_is_over_when_no_request_comes_any_more() {
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("buckets").build_recorder();
        let handle = recorder.handle();
        let host = |name: &str| Host::parse(name).expect("a host");
        metrics::with_local_recorder(&recorder, || {
            let (handovers, start) = (Handovers::default(), Instant::now());
            for seconds in [0, 3, 7] {
                handovers.late_request(&host("a.example"), start + Duration::from_secs(seconds));
            }
            assert!(!handle.render().contains(HANDOVER), "it may go on");
            handovers.late_request(&host("b.example"), start + Duration::from_secs(17));
        });
        let numbers = handle.render();
        assert!(numbers.contains("unidler_handover_seconds_sum 7\n"), "{numbers}");
    }
}
