//! The durations of the last wake-ups of an app.

use std::{iter, time::Duration};

/// How many durations are kept.
const REMEMBERED: usize = 5;
/// The maximum duration that is accepted, in seconds.
const MAX_WAKE_SECONDS: u64 = 3600;

/// The durations of the last wake-ups, in seconds, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WakeSeconds(Box<[u64]>);

impl WakeSeconds {
    /// Parses seconds separated by commas. Anyone who may annotate the object can write this, so invalid values are
    /// skipped.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let times = text
            .unwrap_or_default()
            .split(',')
            .filter_map(|seconds| seconds.trim().parse().ok());
        Self(
            times
                .filter(|seconds| (1..=MAX_WAKE_SECONDS).contains(seconds))
                .take(REMEMBERED)
                .collect(),
        )
    }

    /// The usual duration of a wake-up: the median of the last ones.
    pub(crate) fn usual(&self) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted
            .get(sorted.len() / 2)
            .copied()
            .map(Duration::from_secs)
    }

    /// The text after another wake-up.
    pub(crate) fn with(&self, took: Duration) -> String {
        let latest = took.as_secs().clamp(1, MAX_WAKE_SECONDS);
        let all = iter::once(&latest).chain(&self.0).take(REMEMBERED);
        all.map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_time_is_the_median_of_the_last_ones() {
        for (text, usual, then) in [
            ("", None, "7"),
            ("40", Some(40), "7,40"),
            ("30,50,40", Some(40), "7,30,50,40"),
            ("1,2,3,4,5,6,7", Some(3), "7,1,2,3,4"),
            ("x,-1,0,99999999,40", Some(40), "7,40"),
        ] {
            let times = WakeSeconds::parse(Some(text));
            assert_eq!(times.usual(), usual.map(Duration::from_secs), "{text}");
            assert_eq!(times.with(Duration::from_millis(7_400)), then, "{text}");
        }
    }
}
