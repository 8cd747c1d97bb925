//! Apps that are left between awake and asleep, with nobody there.

use std::{collections::HashSet, sync::PoisonError};

use tokio::time::Instant;

use super::{Hub, backoff::Backoff, wake::Mandate};
use crate::{
    app::Observation,
    progress::Step,
    step::{Goal, Next, is_missing, is_unfinished, next_step},
};

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
        // An app that is left so again soon after it was finished is not a new one.
        backoffs
            .retain(|app, backoff| unfinished.contains(app) || backoff.until + backoff.pause > now);
    }
}

/// Whether a write is due, or is as soon as somebody looks at the endpoints.
fn needs_a_write(observation: &Observation) -> bool {
    match next_step(observation, Goal::Awake) {
        Next::Write(_) => true,
        Next::Wait { step, reason: None } => step == Step::Connecting,
        Next::Wait { .. } | Next::Done | Next::Fail(_) => false,
    }
}
