//! The last answers of Prometheus, one for each window.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;
use unidler::sleep::verdict::Why;

use super::prometheus::{Prometheus, Samples};

/// The maximum age of an answer.
const MAX_AGE: Duration = Duration::from_mins(3);

/// An answer, and what follows from it.
#[derive(Debug)]
pub(super) struct Latest<T>(BTreeMap<Duration, (Instant, Result<T, Why>)>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Latest<T> {
    /// Queries each window, and forgets all others.
    pub(super) async fn refresh(
        &mut self,
        prometheus: &mut Prometheus,
        windows: &BTreeSet<Duration>,
        question: impl Fn(Duration) -> String,
        mut read: impl FnMut(Samples) -> Result<T, Why>,
    ) {
        self.keep(|window| windows.contains(window));
        for window in windows {
            let asked = Instant::now();
            let answer = prometheus.ask(&question(*window)).await;
            self.note(*window, asked, answer.and_then(&mut read));
        }
    }

    /// Stores the answer to a query for a window that was sent at a given time.
    fn note(&mut self, window: Duration, asked: Instant, answer: Result<T, Why>) {
        self.0.insert(window, (asked, answer));
    }

    /// Forgets all windows except these.
    fn keep(&mut self, mut is_wanted: impl FnMut(&Duration) -> bool) {
        self.0.retain(|window, _| is_wanted(window));
    }

    /// The longest window, if there is an answer about it.
    pub(super) fn longest(&self) -> Option<Duration> {
        let (window, (_, answer)) = self.0.last_key_value()?;
        answer.is_ok().then_some(*window)
    }

    /// The data about a window: an app that was not used in a longer window was not used in this one.
    pub(super) fn of(&self, window: Duration, now: Instant) -> Result<&T, Why> {
        let (_, (asked, answer)) = self.0.range(window..).next().ok_or(Why::PrometheusDown)?;
        if now.duration_since(*asked) > MAX_AGE {
            return Err(Why::PrometheusDown);
        }
        answer.as_ref().map_err(|why| *why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_for_shorter_windows_as_well_and_not_for_ever() {
        let mut latest = Latest::default();
        let hours = Duration::from_hours;
        let asked = Instant::now();
        latest.note(hours(2), asked, Ok("two"));
        latest.note(hours(16), asked, Err(Why::PrometheusRefuses));
        for (window, minutes, expected) in [
            (hours(1), 0, Ok(&"two")),
            (hours(2), 3, Ok(&"two")),
            (hours(3), 0, Err(Why::PrometheusRefuses)),
            // It was never asked about so long a time.
            (hours(17), 0, Err(Why::PrometheusDown)),
            // Nobody has asked since.
            (hours(2), 4, Err(Why::PrometheusDown)),
        ] {
            let now = asked + Duration::from_mins(minutes);
            assert_eq!(latest.of(window, now), expected, "{window:?} {minutes}");
        }
        latest.keep(|window| *window == hours(16));
        assert_eq!(latest.of(hours(1), asked), Err(Why::PrometheusRefuses));
    }
}
