//! How long the sweep leaves an app alone.

use std::time::Duration;

use tokio::time::Instant;

/// How long the sweep leaves an app alone after it has done something for it: doubled each time.
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_mins(1)..=Duration::from_hours(1);

/// The same for what is ordinary.
const SHORT: Duration = Duration::from_secs(15);

/// When the sweep may act for an app again, and how long it leaves it alone after that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) until: Instant,
    pub(super) pause: Duration,
}

impl Backoff {
    /// Of an app for which nothing was done yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            until: now,
            pause: *BACKOFF.start(),
        }
    }

    /// The same of an app that may need it again soon, through no fault of anybody's.
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
