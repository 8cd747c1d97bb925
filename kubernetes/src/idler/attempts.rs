//! Recent attempts to put apps to sleep or to wake them, whose completion has not been observed.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;
use unidler::app::AppId;

/// How soon an unsuccessful attempt for an app may be repeated.
const AGAIN: Duration = Duration::from_mins(10);

/// What is attempted for an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Sleep,
    /// Nothing: the app should sleep, but there is an obstacle. Finding that out takes long.
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

    /// Forgets the attempts that may be repeated.
    pub(super) fn expire(&mut self) {
        self.0.retain(|_, (_, begun)| begun.elapsed() < AGAIN);
    }

    /// Ends an attempt, if it is one of these.
    pub(super) fn end(&mut self, app: &AppId, attempts: &[Attempt]) {
        if self.of(app, attempts).is_some() {
            self.0.remove(app);
        }
    }

    /// How long ago one of these attempts began.
    pub(super) fn of(&self, app: &AppId, attempts: &[Attempt]) -> Option<Duration> {
        let (attempt, begun) = self.0.get(app)?;
        attempts.contains(attempt).then(|| begun.elapsed())
    }

    /// How long ago the last attempt to put an app to sleep was, and for how long the app is still left alone; `None`
    /// if there was none.
    pub(super) fn pause(&self, app: &AppId) -> Option<(Duration, Duration)> {
        let ago = self.of(app, &[Attempt::Sleep, Attempt::Obstacle])?;
        Some((ago, AGAIN.saturating_sub(ago)))
    }
}
