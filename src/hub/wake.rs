//! One wake-up: the state that its visitors see, and what they request of its driver.

use std::{
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    metrics,
    snapshot::{FIRST, given_up, milliseconds, new_reference},
};
use crate::{
    app::{App, AppId},
    host::Host,
    progress::{Mark, Parts, Phase, Progress, Reason},
    step::Goal,
};

/// How long after the last sign of interest a wake-up still counts as one that somebody waits for. Longer than a page
/// takes to reconnect after its stream was cut.
const INTEREST: Duration = Duration::from_secs(60);
/// The minimum age of a wake-up that has ended before another one replaces it.
const AGAIN: Duration = Duration::from_secs(2);

/// How much a driver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mandate {
    /// It only watches, but finishes for its listeners what another driver has started and left unfinished.
    Watch,
    /// It finishes what something else left half done. No visitor waits for that, so it takes no slot, is not counted,
    /// and ends with the first write that fails.
    Finish,
    /// It puts the app to sleep.
    Idle,
    /// It wakes the app for a visitor, which takes precedence over everything else.
    Wake,
}

impl Mandate {
    /// The state that the app is to reach.
    pub(super) fn goal(self) -> Goal {
        match self {
            Self::Idle => Goal::Asleep,
            Self::Watch | Self::Finish | Self::Wake => Goal::Awake,
        }
    }
}

/// The work under way for one app.
pub(super) struct Wake {
    pub(super) app: AppId,
    pub(super) reference: String,
    /// The state that its visitors see. The sender lives here, so that a snapshot outlives the driver.
    state: watch::Sender<State>,
    /// What visitors and the sweep request. A std mutex: it is never held across an await.
    demand: Mutex<Demand>,
    /// Has its driver look at the demand again.
    pub(super) nudge: Notify,
    /// Cancelled to end its driver: at shutdown, or when the wake-up is replaced.
    pub(super) cancelled: CancellationToken,
}

struct Demand {
    mandate: Mandate,
    /// The host of the visitor who started it.
    host: Option<Host>,
    /// The last sign of interest from a visitor without an open stream.
    asked: Instant,
    /// When it was last looked at.
    looked: Option<Instant>,
    /// Whether it was also started without a visitor, so that nobody has to wait for it.
    is_scheduled: bool,
}

/// A [`Progress`] without the fields that are the same for the whole wake-up.
#[derive(Clone, Debug)]
struct State {
    revision: u64,
    /// When the wake-up began; or, for a sleeping app, when it was first looked at.
    began: Instant,
    /// How long it took, if it has come to an end.
    took_ms: Option<u64>,
    phase: Phase,
    restarts: u32,
    parts: Option<Parts>,
    usual: Option<Duration>,
    title: Option<String>,
    timeline: Vec<Mark>,
}

impl State {
    fn begin(&mut self, phase: Phase) {
        (self.began, self.took_ms, self.restarts) = (Instant::now(), None, 0);
        self.phase = phase;
        self.timeline.clear();
        self.mark();
    }

    /// Records the step in the timeline if it is new, and returns the previous one.
    fn mark(&mut self) -> Option<Mark> {
        let Phase::Waking { step, .. } = self.phase else {
            return None;
        };
        let before = self.timeline.last().copied();
        if before.is_some_and(|before| before.step >= step) {
            return None;
        }
        self.timeline.push(Mark {
            step,
            at_ms: milliseconds(self.began.elapsed()),
        });
        before
    }
}

impl Wake {
    pub(super) fn new(
        app: AppId,
        host: Option<&Host>,
        mandate: Mandate,
        phase: Phase,
        cancelled: CancellationToken,
    ) -> Self {
        let began = Instant::now();
        let mut state = State {
            revision: 1,
            began,
            took_ms: None,
            phase,
            restarts: 0,
            parts: None,
            usual: None,
            title: None,
            timeline: Vec::new(),
        };
        state.begin(phase);
        let wake = Self {
            app,
            reference: new_reference(),
            state: watch::Sender::new(state),
            demand: Mutex::new(Demand {
                mandate,
                host: host.cloned(),
                asked: began,
                looked: None,
                is_scheduled: host.is_none() && mandate == Mandate::Wake,
            }),
            nudge: Notify::new(),
            cancelled,
        };
        if mandate == Mandate::Wake {
            wake.log_start();
        }
        wake
    }

    fn log_start(&self) {
        let Self { app, reference, .. } = self;
        let host = self.host().map(tracing::field::display);
        info!(%app, host, reference, "waking app");
    }

    fn demand(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn mandate(&self) -> Mandate {
        self.demand().mandate
    }

    /// The host of the visitor who started it.
    pub(super) fn host(&self) -> Option<Host> {
        self.demand().host.clone()
    }

    pub(super) fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    /// Whether it has only just begun.
    pub(super) fn is_young(&self) -> bool {
        self.state.borrow().began.elapsed() < AGAIN
    }

    /// Whether its driver can still do what is requested. A wake-up that is over cannot be restarted: a new one
    /// replaces it.
    pub(super) fn accepts(&self, host: Option<&Host>, mandate: Mandate) -> bool {
        let mut demand = self.demand();
        let phase = self.phase();
        demand.asked = Instant::now();
        demand.is_scheduled |= host.is_none() && mandate == Mandate::Wake;
        if mandate <= demand.mandate {
            return mandate < Mandate::Wake || !matches!(phase, Phase::Ready { .. });
        }
        if mandate == Mandate::Wake {
            if phase.is_terminal() {
                return false;
            }
            demand.host = host.cloned();
        }
        demand.mandate = mandate;
        drop(demand);
        if mandate == Mandate::Wake {
            self.log_start();
            if phase == Phase::Asleep {
                self.state.send_modify(|state| {
                    state.begin(FIRST);
                    state.revision += 1;
                });
            }
        }
        self.nudge.notify_one();
        true
    }

    /// Lowers the mandate of its driver to at most this one.
    pub(super) fn limit(&self, mandate: Mandate) {
        let mut demand = self.demand();
        demand.mandate = demand.mandate.min(mandate);
    }

    /// Raises the mandate of its driver to at least this one.
    pub(super) fn raise(&self, mandate: Mandate) {
        let mut demand = self.demand();
        demand.mandate = demand.mandate.max(mandate);
    }

    /// Ends the mandate to finish: nothing is left to do.
    pub(super) fn end_finish(&self) {
        let mut demand = self.demand();
        if demand.mandate == Mandate::Finish {
            demand.mandate = Mandate::Watch;
        }
    }

    /// Ends the mandate to put the app to sleep. The driver undoes its writes so far.
    pub(super) fn end_idling(&self, then: Mandate) {
        let mut demand = self.demand();
        if demand.mandate == Mandate::Idle {
            demand.mandate = then;
        }
    }

    /// Its slot has been granted: from now on it needs a waiting visitor again.
    pub(super) fn start(&self) {
        self.demand().asked = Instant::now();
    }

    /// Whether it keeps its place in the queue even without a waiting visitor.
    pub(super) fn is_scheduled(&self) -> bool {
        self.demand().is_scheduled
    }

    /// Lowers the mandate of its driver to watching, unless somebody has asked for the app in the meantime. Returns
    /// whether it did.
    pub(super) fn end_unasked(&self) -> bool {
        let mut demand = self.demand();
        let is_unasked = !self.has_listeners() && demand.asked + INTEREST <= Instant::now();
        if is_unasked {
            demand.mandate = Mandate::Watch;
        }
        is_unasked
    }

    /// Records that somebody looks at it.
    pub(super) fn look(&self) {
        let (now, mut demand) = (Instant::now(), self.demand());
        (demand.asked, demand.looked) = (now, Some(now));
    }

    /// Whether somebody listens or has looked recently, and so will once more after the end.
    pub(super) fn has_audience(&self) -> bool {
        self.has_listeners()
            || self
                .demand()
                .looked
                .is_some_and(|looked| looked.elapsed() < INTEREST)
    }

    /// Whether somebody listens at this moment.
    pub(super) fn has_listeners(&self) -> bool {
        self.state.receiver_count() > 0
    }

    /// When the interest of visitors ends, judging by the last sign of it; `None` while somebody listens.
    pub(super) fn interest_ends(&self) -> Option<Instant> {
        (!self.has_listeners()).then(|| self.demand().asked + INTEREST)
    }

    pub(super) fn cancel(&self) {
        self.cancelled.cancel();
    }

    pub(super) fn snapshot(&self, host: &Host) -> Progress {
        self.snapshot_of(self.state.borrow().clone(), host)
    }

    fn snapshot_of(&self, state: State, host: &Host) -> Progress {
        let State {
            revision,
            began,
            took_ms,
            phase,
            restarts,
            parts,
            usual,
            title,
            timeline,
        } = state;
        Progress {
            reference: self.reference.clone(),
            host: host.to_string(),
            title,
            revision,
            elapsed_ms: if phase == Phase::Asleep {
                0
            } else {
                took_ms.unwrap_or_else(|| milliseconds(began.elapsed()))
            },
            usual_ms: usual.map(milliseconds),
            phase,
            restarts,
            parts,
            forwarding: None,
            timeline,
        }
    }

    /// Whether visitors are being shown a problem.
    pub(super) fn is_troubled(&self) -> bool {
        !matches!(self.phase(), Phase::Waking { reason: None, .. })
    }

    /// Publishes everything known about the app apart from its phase, if it has changed.
    pub(super) fn publish_facts(&self, app: &App) {
        let App { title, .. } = app;
        let parts = app.progress();
        self.state.send_if_modified(|state| {
            let facts = (
                state.restarts.max(app.restarts()),
                state.usual.or_else(|| app.usual()),
                parts,
            );
            let is_news =
                facts != (state.restarts, state.usual, state.parts) || state.title != *title;
            if is_news {
                (state.restarts, state.usual, state.parts) = facts;
                state.title.clone_from(title);
                state.revision += 1;
            }
            is_news
        });
    }

    /// Publishes a phase if it has changed, and returns whether it has. Steps are recorded when they are first reached,
    /// and never go back: a pod that is replaced does not undo what the visitor has seen.
    pub(super) fn publish(&self, phase: Phase) -> bool {
        let is_wanted = self.mandate() == Mandate::Wake;
        let is_news = self.state.send_if_modified(|state| {
            let phase = match (phase, state.timeline.last()) {
                (Phase::Waking { step, reason }, Some(last)) => Phase::Waking {
                    step: step.max(last.step),
                    reason,
                },
                (phase, _) => phase,
            };
            if state.phase == phase {
                return false;
            }
            state.revision += 1;
            if state.phase == Phase::Asleep || phase == Phase::Asleep {
                state.begin(phase);
                return true;
            }
            state.phase = phase;
            let at = milliseconds(state.began.elapsed());
            state.took_ms = phase.is_terminal().then_some(at);
            if let Some(before) = state.mark()
                && is_wanted
            {
                metrics::step_took(
                    before.step,
                    Duration::from_millis(at.saturating_sub(before.at_ms)),
                );
            }
            true
        });
        if is_news && is_wanted {
            let (Self { app, reference, .. }, state) = (self, self.state.borrow().clone());
            let (host, elapsed_ms) = (
                self.host().map(tracing::field::display),
                milliseconds(state.began.elapsed()),
            );
            match state.phase {
                Phase::Failed { reason } => {
                    warn!(%app, host, reference, ?reason, elapsed_ms, "wake-up failed");
                }
                Phase::Waking { step, reason } => {
                    info!(%app, host, reference, ?step, ?reason, elapsed_ms, "wake-up progressed");
                }
                Phase::Ready { .. } => info!(%app, host, reference, elapsed_ms, "app is ready"),
                Phase::Asleep => {}
            }
        }
        is_news
    }
}

/// A visitor who listens to a wake-up.
pub(super) struct Listener {
    wake: Arc<Wake>,
    states: watch::Receiver<State>,
    host: Host,
    /// When this listener gives up; `None` if it stays as long as the driver.
    ends: Option<Instant>,
}

impl Listener {
    pub(super) fn new(wake: Arc<Wake>, host: Host, ends: Option<Instant>) -> Self {
        let mut states = wake.state.subscribe();
        states.mark_changed();
        Self {
            wake,
            states,
            host,
            ends,
        }
    }

    /// Returns the current snapshot first, then each later one; `None` if something else has replaced this wake-up.
    pub(super) async fn next(&mut self) -> Option<Progress> {
        let is_over = tokio::select! {
            biased;
            changed = self.states.changed() => {
                changed.ok()?;
                false
            }
            () = at(self.ends) => true,
            () = self.wake.cancelled.cancelled() => return None,
        };
        let mut state = self.states.borrow_and_update().clone();
        if is_over {
            state.phase = match given_up(state.phase) {
                Phase::Asleep => Phase::Failed {
                    reason: Reason::NotByVisitors,
                },
                phase => phase,
            };
            state.revision += 1;
        }
        Some(self.wake.snapshot_of(state, &self.host))
    }
}

impl Drop for Listener {
    /// Lets the driver notice that it has one listener less.
    fn drop(&mut self) {
        self.wake.demand().asked = Instant::now();
        self.wake.nudge.notify_one();
    }
}

/// Waits until a point in time, or forever.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => future::pending().await,
    }
}
