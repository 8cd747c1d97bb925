//! How long the sweep leaves an app alone.

use std::time::Duration;

use tokio::time::Instant;

/// The time for which the sweep leaves an app alone after it has acted on it: doubled each time.
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_mins(1)..=Duration::from_hours(1);

/// The same after work that is part of normal operation.
const SHORT: Duration = Duration::from_secs(15);

/// When the sweep may act for an app again, and how long it leaves it alone after that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) until: Instant,
    pub(super) pause: Duration,
}

impl Backoff {
    /// For an app that the sweep has not acted on yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            until: now,
            pause: *BACKOFF.start(),
        }
    }

    /// The same, for an app that may soon need another write although nothing is wrong with it.
    pub(super) fn ordinary(now: Instant) -> Self {
        Self {
            until: now,
            pause: SHORT,
        }
    }

    pub(super) fn next(self, now: Instant) -> Self {
        Self {
            until: now + self.pause,
            pause: (self.pause * 2).min(*BACKOFF.end()),
        }
    }
}
