//! Apps that are left between awake and asleep, with nobody there.

use std::{collections::HashSet, sync::PoisonError, time::Duration};

use tokio::time::Instant;

use super::{Hub, Mandate};
use crate::step::{Next, is_unfinished, next_step};

/// How long the sweep leaves an app alone after it has done something for it: doubled each time.
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_mins(1)..=Duration::from_hours(1);

/// When the sweep may act for an app again, and how long it leaves it alone after that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    until: Instant,
    pause: Duration,
}

impl Hub {
    /// Has finished what is half done and waits for nothing but a write: to be called several times a minute.
    ///
    /// It takes no slot, counts no outcome, and leaves alone what cannot be helped with a write, such as an app
    /// that never becomes ready. An app that needs it again and again gets it ever more seldom.
    pub fn sweep(&self) {
        let (now, inner) = (Instant::now(), &*self.inner);
        let mut backoffs = inner
            .backoffs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut unfinished = HashSet::new();
        for app in inner.cluster.apps() {
            let observation = inner.cluster.observe(&app);
            if !observation.as_ref().is_ok_and(is_unfinished) {
                continue;
            }
            unfinished.insert(app.clone());
            let backoff = backoffs.get(&app).copied().unwrap_or(Backoff {
                until: now,
                pause: *BACKOFF.start(),
            });
            let mut wakes = inner.wakes();
            let is_driven = wakes
                .get(&app)
                .is_some_and(|wake| wake.mandate() > Mandate::Watch);
            if backoff.until <= now
                && !is_driven
                && matches!(next_step(&observation), Next::Write(_))
            {
                backoffs.insert(app.clone(), backoff.next(now));
                self.enter(&mut wakes, &app, None, Mandate::Finish);
            }
        }
        // An app that is left so again soon after it was finished is not a new one.
        backoffs
            .retain(|app, backoff| unfinished.contains(app) || backoff.until + backoff.pause > now);
    }
}

impl Backoff {
    fn next(self, now: Instant) -> Self {
        Self {
            until: now + self.pause,
            pause: (self.pause * 2).min(*BACKOFF.end()),
        }
    }
}
