//! What was begun lately for apps, and has not come to its end as far as that was seen.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;
use unidler::app::AppId;

/// How soon what was begun for an app in vain is begun again.
const AGAIN: Duration = Duration::from_mins(10);

/// What is begun for an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Sleep,
    /// Nothing is begun: it was to sleep, but something is in the way. What that is takes long to find out.
    Obstacle,
    Wake,
}

/// The last attempt of each app.
#[derive(Debug, Default)]
pub(super) struct Attempts(HashMap<AppId, (Attempt, Instant)>);

impl Attempts {
    pub(super) fn begin(&mut self, app: AppId, attempt: Attempt) {
        self.0.insert(app, (attempt, Instant::now()));
    }

    /// Forgets what may be begun again.
    pub(super) fn expire(&mut self) {
        self.0.retain(|_, (_, begun)| begun.elapsed() < AGAIN);
    }

    /// One has come to its end.
    pub(super) fn end(&mut self, app: &AppId, attempts: &[Attempt]) {
        if self.of(app, attempts).is_some() {
            self.0.remove(app);
        }
    }

    /// How long ago one of these was begun.
    pub(super) fn of(&self, app: &AppId, attempts: &[Attempt]) -> Option<Duration> {
        let (attempt, begun) = self.0.get(app)?;
        attempts.contains(attempt).then(|| begun.elapsed())
    }

    /// For how long an app is left alone that was to sleep; `None` if it is not.
    pub(super) fn pause(&self, app: &AppId) -> Option<(Duration, Duration)> {
        let ago = self.of(app, &[Attempt::Sleep, Attempt::Obstacle])?;
        Some((ago, AGAIN.saturating_sub(ago)))
    }
}
