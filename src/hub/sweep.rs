//! Finishes apps that were left between awake and asleep, without a visitor.

use std::{collections::HashSet, sync::PoisonError};

use tokio::time::Instant;

use super::{Hub, backoff::Backoff, wake::Mandate};
use crate::{
    app::Observation,
    progress::Step,
    step::{Goal, Next, is_missing, is_unfinished, next_step},
};

impl Hub {
    /// Finishes half-done work that only needs a write. To be called several times a minute.
    ///
    /// It takes no slot, counts no outcome, and ignores problems that no write can solve, such as an app that never
    /// becomes ready. An app that needs it repeatedly is retried with increasing backoff.
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
            let is_missing = observation
                .as_ref()
                .is_ok_and(|app| app.services.iter().any(is_missing));
            let first = match is_missing {
                true => Backoff::ordinary(now),
                false => Backoff::new(now),
            };
            let backoff = backoffs.get(&app).copied().unwrap_or(first);
            let mut wakes = inner.wakes();
            let is_driven = wakes
                .get(&app)
                .is_some_and(|wake| wake.mandate() > Mandate::Watch);
            if backoff.until <= now && !is_driven && needs_a_write(&observation) {
                backoffs.insert(app.clone(), backoff.next(now));
                self.inner.enter(&mut wakes, &app, None, Mandate::Finish);
            }
        }
        // Keep the backoff of an app that is left unfinished again soon after it was finished.
        backoffs
            .retain(|app, backoff| unfinished.contains(app) || backoff.until + backoff.pause > now);
    }
}

/// Whether a write is due, or will be as soon as the endpoints have been observed.
fn needs_a_write(observation: &Observation) -> bool {
    match next_step(observation, Goal::Awake) {
        Next::Write(_) => true,
        Next::Wait { step, reason: None } => step == Step::Connecting,
        Next::Wait { .. } | Next::Done | Next::Fail(_) => false,
    }
}
