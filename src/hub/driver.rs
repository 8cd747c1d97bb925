//! The task that wakes one app.

use std::{mem, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, Span, field, info, info_span, warn};

use super::{Inner, Wake, meter};
use crate::{
    cluster::{ApplyError, Observation, Version, Write},
    progress::{Notice, Phase, Reason, Step},
    step::{Next, next_step},
};

/// How often a wake-up gives an app its replicas, if something else takes them away again.
const MAX_SCALES: u32 = 3;
/// How long the effect of a write may take to be observed, before it is tried again. It carries the version that
/// it was decided on, so that costs nothing but a conflict.
const EFFECT: Duration = Duration::from_secs(5);
/// How long to wait after a write that failed: doubled each time.
const BACKOFF: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);
/// The longest that an API server can ask us to wait.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// What drives one wake-up.
pub(super) struct Driver {
    pub(super) inner: Arc<Inner>,
    pub(super) wake: Arc<Wake>,
}

impl Driver {
    pub(super) async fn run(self) {
        let Wake { host, reference, .. } = &*self.wake;
        let span = info_span!("wake-up", %host, reference, outcome = field::Empty);
        let cancelled = self.wake.cancelled.clone();
        cancelled.run_until_cancelled(self.drive()).instrument(span).await;
    }

    async fn drive(&self) {
        let mut observations: BoxStream<'static, Observation> = self.inner.cluster.watch(&self.wake.host);
        let mut latest: Option<Observation> = None;
        let mut pace = Pace::new();
        let deadline = self.wake.started + self.inner.settings.deadline;
        loop {
            tokio::select! {
                () = sleep_until(deadline) => return self.give_up(),
                () = pace.reconsider() => {}
                Some(observation) = observations.next() => latest = Some(observation),
            }
            let Some(observation) = &latest else { continue };
            if let Ok(observed) = observation {
                self.wake.publish_facts(observed.pods.restarts, observed.deployment.usual);
            }
            match next_step(observation) {
                Next::Write(write) if !pace.allows(&write) => {}
                Next::Write(Write::Scale { .. }) if pace.scales == MAX_SCALES => {
                    return self.publish(Phase::Failed { reason: Reason::ScaledDown });
                }
                Next::Write(write) => self.write(write, &mut pace).await,
                Next::Wait { step, reason } => self.publish(Phase::Waking { step, reason }),
                Next::Done => {
                    let notice = (!pace.has_written).then_some(Notice::AlreadyAwake);
                    return self.publish(Phase::Ready { notice });
                }
                Next::Fail(reason) => {
                    self.publish(Phase::Failed { reason });
                    if reason.is_discovery() {
                        return;
                    }
                }
            }
        }
    }

    async fn write(&self, write: Write, pace: &mut Pace) {
        let Wake { host, reference, .. } = &*self.wake;
        let step = step_of(&write);
        if pace.is_scaled_down(&write) {
            self.publish(Phase::Waking { step, reason: Some(Reason::ScaledDown) });
        } else if !self.wake.is_troubled() {
            self.publish(Phase::Waking { step, reason: None });
        }
        let span = info_span!("write", ?write);
        let result = self.inner.cluster.apply(host, &pace.with_time(write.clone())).instrument(span).await;
        match &result {
            Ok(()) => info!(%host, reference, ?write, "written"),
            Err(ApplyError::Conflict) => info!(%host, reference, ?write, "not written: the object has changed meanwhile"),
            Err(error) => {
                warn!(%host, reference, ?write, %error, "not written");
                match error.reason() {
                    reason if reason.may_pass() => self.publish(Phase::Waking { step, reason: Some(reason) }),
                    // An API server that has just started refuses what it allows a moment later, when it knows its
                    // roles: it is believed when it says so twice.
                    reason if pace.was_refused => self.publish(Phase::Failed { reason }),
                    _ => {}
                }
            }
        }
        pace.note(write, &result);
    }

    /// Tells the visitors, and at an end the cluster as well.
    fn publish(&self, phase: Phase) {
        let is_news = self.wake.publish(phase);
        let is_end = matches!(phase, Phase::Ready { notice: None } | Phase::Failed { .. });
        if is_news && phase.is_terminal() {
            Span::current().record("outcome", field::debug(phase));
        }
        if is_news && is_end {
            let state = self.wake.state.borrow().clone();
            self.inner.cluster.note(&self.wake.host, &self.wake.snapshot(state));
        }
    }

    /// The deadline has passed: what stood in the way last is the reason, if anything did.
    fn give_up(&self) {
        let phase = self.wake.state.borrow().phase;
        match phase {
            Phase::Waking { reason, .. } => {
                self.publish(Phase::Failed { reason: reason.unwrap_or(Reason::DeadlinePassed) });
            }
            Phase::Asleep | Phase::Ready { .. } | Phase::Failed { .. } => {}
        }
    }
}

impl Drop for Driver {
    /// However a driver ends, even by a panic: it leaves the map, and no visitor waits for one that is gone.
    fn drop(&mut self) {
        let mut wakes = self.inner.wakes();
        if wakes.get(&self.wake.host).is_some_and(|wake| Arc::ptr_eq(wake, &self.wake)) {
            wakes.remove(&self.wake.host);
            meter::waking(wakes.len());
        }
        drop(wakes);
        let has_ended = self.wake.cancelled.is_cancelled() || self.wake.state.borrow().phase.is_terminal();
        if !has_ended {
            self.publish(Phase::Failed { reason: Reason::Internal });
        }
    }
}

/// When to write: not twice on the same sight, and seldom if it fails.
struct Pace {
    /// Whether anything was written.
    has_written: bool,
    /// How often the app was given its replicas.
    scales: u32,
    /// When that was last, and on which version it was decided.
    scaled: Option<(Instant, Version)>,
    /// The last write, until it is time to consider the same one again: to decide it again on the same version is
    /// to have seen nothing new.
    decided: Option<Write>,
    /// Whether the last write failed for a reason that concerns any other one as well.
    holding: bool,
    /// Whether the last write met a conflict. One is decided again at once; a run of them is not.
    in_conflict: bool,
    /// Whether the last write was refused.
    was_refused: bool,
    /// How long to wait after the next failure.
    pause: Duration,
    /// Until when the above holds.
    until: Option<Instant>,
}

impl Pace {
    fn new() -> Self {
        Self {
            has_written: false,
            scales: 0,
            scaled: None,
            decided: None,
            holding: false,
            in_conflict: false,
            was_refused: false,
            pause: *BACKOFF.start(),
            until: None,
        }
    }

    fn allows(&self, write: &Write) -> bool {
        !self.holding && self.decided.as_ref() != Some(write)
    }

    /// Whether something has taken the replicas away that were given before. To see the same version still is no
    /// sign of that: it may only be old.
    fn is_scaled_down(&self, write: &Write) -> bool {
        match (write, &self.scaled) {
            (Write::Scale { version, .. }, Some((_, scaled_on))) => version != scaled_on,
            _ => false,
        }
    }

    /// The write, with the time that the app took if this has seen the whole of it.
    fn with_time(&self, write: Write) -> Write {
        match write {
            Write::ClearIdled { version, .. } => {
                let took = self.scaled.as_ref().filter(|_| self.scales == 1).map(|(at, _)| at.elapsed());
                Write::ClearIdled { version, took }
            }
            write => write,
        }
    }

    fn note(&mut self, write: Write, result: &Result<(), ApplyError>) {
        let was_in_conflict = mem::replace(&mut self.in_conflict, matches!(result, Err(ApplyError::Conflict)));
        self.was_refused = matches!(result, Err(ApplyError::Forbidden(_)));
        let wait = match result {
            Ok(()) => {
                self.has_written = true;
                if let Write::Scale { version, .. } = &write {
                    self.scales += 1;
                    self.scaled = Some((Instant::now(), version.clone()));
                }
                self.pause = *BACKOFF.start();
                EFFECT
            }
            Err(ApplyError::Conflict) => {
                self.holding = was_in_conflict;
                *BACKOFF.start()
            }
            Err(ApplyError::Forbidden(_)) => {
                self.holding = true;
                self.doubled()
            }
            Err(ApplyError::Unreachable { retry_after, .. }) => {
                self.holding = true;
                self.doubled().max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
            }
        };
        self.until = Some(Instant::now() + wait);
        self.decided = Some(write);
    }

    fn doubled(&mut self) -> Duration {
        let doubled = (self.pause * 2).min(*BACKOFF.end());
        mem::replace(&mut self.pause, doubled)
    }

    /// Waits until it is time to consider the last write again.
    async fn reconsider(&mut self) {
        match self.until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
        (self.decided, self.holding, self.until) = (None, false, None);
    }
}

fn step_of(write: &Write) -> Step {
    match write {
        Write::Scale { .. } => Step::Restoring,
        Write::ClearIdled { .. } | Write::RestoreService { .. } => Step::Connecting,
    }
}
