//! The task that looks after one app.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, pending},
    stream::BoxStream,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tracing::{Instrument, Span, field, info, info_span, warn};

use super::{
    idling::{Cause, Idling},
    inner::Inner,
    metrics,
    snapshot::given_up,
    wake::{Mandate, Wake, at},
};
use crate::{
    app::{App, Diversion, Effect, Endpoints, Leads, ObjectId, Observation, Version, Workload},
    cluster::{ApplyError, Ended, Write},
    progress::{Notice, Phase, Reason, Step},
    step::{self, Goal, Next, next_step},
};

/// How often a wake-up restores the replicas, if something else takes them away again.
const MAX_SCALES: u32 = 3;
/// How long the effect of a write may take to be observed before the write is retried. A retry carries the version that
/// it was decided on, so it costs nothing but a conflict.
const EFFECT: Duration = Duration::from_secs(5);
/// How long to wait after a write that failed: doubled each time.
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(10);
/// The maximum time that an API server can ask unidler to wait.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);
/// How long an app that something else has left half awake has to stay unchanged before it is written to: an app that
/// is being idled looks the same between the writes of its idler. A visitor waits at most this long.
const SETTLE: Duration = Duration::from_secs(5);
/// The same without a waiting visitor: as long as one admission webhook may delay the next write of another client.
const SETTLE_ALONE: Duration = Duration::from_secs(10);
/// The same, after the grace period, where the app may be in the middle of being idled.
const SETTLE_AFTER_GRACE: Duration = Duration::from_secs(7);
/// How long marks stay that may be the first write of an idler, which would rely on them when it scales the app down
/// next. They do not keep visitors from a running app.
const SETTLE_MARKS: Duration = Duration::from_secs(60);
/// How long a write is left to the replica that was asked for it, before another one does it for its own visitors.
const TAKE_OVER: Duration = Duration::from_secs(3);
/// How long an idled app has to look unreachable before the sweep starts it without a visitor.
const STRANDED: Duration = Duration::from_secs(60);
/// How long a reason is shown without any change before it counts as a failure. A reason that may pass is shown for
/// longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an app has to look asleep before that is trusted: each object is only as current as its own watch.
const CONFIRM: Duration = Duration::from_secs(1);
/// How long an app stays watched for a visitor after it has become ready: the page still sends requests.
const LINGER: Duration = Duration::from_secs(60);

/// The driver of one app.
pub(super) struct Driver {
    inner: Arc<Inner>,
    wake: Arc<Wake>,
    pace: Pace,
    sight: Sight,
    slot: Slot,
    /// Whether a visitor has started it.
    is_visited: bool,
    /// Whether the app was observed in any state other than up.
    was_down: bool,
    /// The trouble that it is in, and since when.
    trouble: Option<(Trouble, Instant)>,
    /// When the wake-up has taken too long.
    deadline: Option<Instant>,
    /// Whether that time has passed.
    gave_up: bool,
    /// Since when it has been asked to finish half-done work.
    finishing: Option<Instant>,
    /// Until when it is watched after it has become ready.
    lingers: Option<Instant>,
    /// The attempt to put the app to sleep, until that has ended.
    idling: Option<Idling>,
    /// Whether it is among those that are being woken.
    is_counted: bool,
    /// When to look again if no event comes before.
    alarm: Option<Instant>,
    span: Span,
}

/// What is shown for an app that makes no progress.
type Trouble = (Step, Reason, u32);

/// Its place among the apps that are starting.
enum Slot {
    None,
    InLine(BoxFuture<'static, Option<OwnedSemaphorePermit>>),
    /// Given back when it is dropped.
    Held {
        _permit: OwnedSemaphorePermit,
    },
}

/// What to do about a write.
enum Plan {
    /// This driver does not do it.
    Leave,
    /// Too early: the last write has not shown its effect yet, or has failed.
    Hold,
    /// Too early: the observed state may be in the middle of another client's change.
    Settle,
    /// Other apps are starting.
    Queue,
    /// It has been done the maximum number of times.
    Refuse,
    Do,
}

impl Driver {
    pub(super) fn new(inner: Arc<Inner>, wake: Arc<Wake>, idling: Option<Idling>) -> Self {
        Self {
            inner,
            wake,
            pace: Pace::new(),
            sight: Sight::default(),
            slot: Slot::None,
            is_visited: false,
            was_down: false,
            trouble: None,
            deadline: None,
            gave_up: false,
            finishing: None,
            lingers: None,
            idling,
            is_counted: false,
            alarm: None,
            span: Span::none(),
        }
    }

    pub(super) async fn run(mut self) {
        let cancelled = self.wake.cancelled.clone();
        cancelled.run_until_cancelled(self.drive()).await;
    }

    async fn drive(&mut self) {
        let mut observations: BoxStream<'static, Observation> =
            self.inner.cluster.watch(&self.wake.app);
        let mut latest: Option<Observation> = None;
        loop {
            self.alarm = None;
            self.begin();
            self.pace.expire();
            if let Some(observation) = &latest {
                self.consider(observation).await;
            }
            if self.is_over() {
                return;
            }
            let wake = Arc::clone(&self.wake);
            tokio::select! {
                () = at(self.alarm) => {}
                Some(observation) = observations.next() => latest = Some(observation),
                () = wake.nudge.notified() => {}
                () = self.slot.granted() => self.start(),
            }
        }
    }

    /// Starts the deadline: the time in the queue does not count.
    fn start(&mut self) {
        self.deadline = Some(Instant::now() + self.inner.settings.deadline);
        self.wake.start();
    }

    /// Sets the deadline and the trace span for newly requested work.
    fn begin(&mut self) {
        let mandate = self.wake.mandate();
        if mandate > Mandate::Watch && self.deadline.is_none() {
            let settings = &self.inner.settings;
            let grace = match mandate {
                Mandate::Idle => settings.idle_grace,
                Mandate::Watch | Mandate::Finish | Mandate::Wake => Duration::ZERO,
            };
            self.deadline = Some(Instant::now() + settings.deadline + grace);
        }
        self.finishing = self
            .finishing
            .or(Some(Instant::now()))
            .filter(|_| mandate == Mandate::Finish);
        if mandate == Mandate::Wake && !self.is_visited {
            (self.is_visited, self.lingers) = (true, None);
            let Wake { app, reference, .. } = &*self.wake;
            let host = self.wake.host().map(field::display);
            self.span = info_span!("wake-up", %app, host, reference, outcome = field::Empty);
        }
    }

    async fn consider(&mut self, observation: &Observation) {
        if let Ok(app) = observation {
            self.wake.publish_facts(app);
            self.sight.note(app);
            self.pace.note_sight(app);
        }
        if self.wake.mandate().goal() == Goal::Asleep {
            return self.consider_idling(observation).await;
        }
        if let Ok(app) = observation
            && self.undo(app).await
        {
            return;
        }
        let next = next_step(observation, Goal::Awake);
        self.was_down |= !matches!(
            next,
            Next::Done
                | Next::Wait {
                    step: Step::Connecting,
                    ..
                }
        );
        if !matches!(next, Next::Write(Write::Scale { .. })) && matches!(self.slot, Slot::InLine(_))
        {
            self.slot = Slot::None;
            self.start();
        }
        let mandate = self.wake.mandate();
        match next {
            Next::Write(write) => {
                let plan = self.plan(&write, observation);
                match plan {
                    Plan::Do => self.write(write).await,
                    Plan::Queue => self.publish(Phase::Waking {
                        step: Step::Finding,
                        reason: Some(Reason::ManyStarting),
                    }),
                    Plan::Refuse => self.publish(Phase::Failed {
                        reason: Reason::ScaledDown,
                    }),
                    Plan::Leave | Plan::Hold | Plan::Settle => match step::phase(observation) {
                        Phase::Ready { .. } => self.publish_ready(),
                        // The phase that the write has published still applies.
                        _ if mandate == Mandate::Wake && matches!(plan, Plan::Hold) => {}
                        phase => self.publish(phase),
                    },
                }
                if matches!(plan, Plan::Leave) {
                    self.finish();
                }
            }
            // It sleeps, and what it needs is running or starting for other apps.
            Next::Wait { .. } | Next::Fail(_)
                if mandate != Mandate::Wake && step::is_sleeping(observation) =>
            {
                self.publish(step::phase(observation));
                self.finish();
            }
            Next::Wait { step, reason } => {
                let phase = self.phase_of_wait(step, reason, observation);
                self.publish(phase);
                self.finish();
            }
            Next::Done => {
                self.publish_ready();
                self.wake.end_finish();
                self.forget();
            }
            Next::Fail(reason) => {
                self.publish(Phase::Failed { reason });
                self.finish();
            }
        }
    }

    /// The wake-up is over. Later changes of the app have another cause, or belong to another wake-up.
    fn forget(&mut self) {
        (self.is_visited, self.was_down, self.gave_up) = (false, false, false);
        (self.trouble, self.deadline) = (None, None);
        self.pace = Pace::new();
    }

    async fn consider_idling(&mut self, observation: &Observation) {
        match next_step(observation, Goal::Asleep) {
            Next::Write(write) if self.pace.is_reversed(&write) => self.stop_idling(Cause::Woken),
            Next::Write(Write::Divert { .. })
                if self.idling.as_ref().is_some_and(Idling::is_late) =>
            {
                self.stop_idling(Cause::Late);
            }
            Next::Write(write) if !self.pace.allows(&write) => self.ring_at(self.pace.until),
            Next::Write(write) => match self.grace_ends(&write) {
                Some(ends) if ends > Instant::now() => self.ring_at(Some(ends)),
                _ => self.write(write).await,
            },
            Next::Wait { .. } => {
                let used = observation.as_ref().ok().and_then(step::is_in_use);
                if let Some(workload) = used {
                    self.stop_idling(Cause::InUse(workload.id.clone()));
                }
            }
            Next::Done => match self.sight.latest_change().map(|since| since + CONFIRM) {
                Some(confirmed) if confirmed > Instant::now() => self.ring_at(Some(confirmed)),
                _ => {
                    if let Some(idling) = self.idling.take() {
                        idling.succeed();
                    }
                    self.wake.end_idling(Mandate::Watch);
                }
            },
            Next::Fail(reason) => self.stop_idling(Cause::App(reason)),
        }
        self.publish(step::phase(observation));
    }

    /// Until when an app that is being put to sleep keeps its replicas.
    fn grace_ends(&self, write: &Write) -> Option<Instant> {
        let is_idle = matches!(write, Write::Idle { .. });
        let since = self.sight.services_since().filter(|_| is_idle)?;
        Some(since + self.inner.settings.idle_grace)
    }

    /// Aborts putting the app to sleep, and has the writes so far undone.
    fn stop_idling(&mut self, cause: Cause) {
        warn!(app = %self.wake.app, reference = self.wake.reference, %cause, "aborted idling app");
        if let Some(idling) = &mut self.idling {
            idling.failed.get_or_insert(cause);
        }
        self.wake.end_idling(Mandate::Finish);
        self.deadline = None;
        self.wake.nudge.notify_one();
    }

    /// Whether the writes that put the app to sleep are being undone.
    fn is_undoing(&self) -> bool {
        let idling = self.idling.as_ref();
        idling.is_some_and(|idling| idling.failed.is_some())
    }

    /// Undoes the writes that put the app to sleep, and reports when none of them is left. An app that has lost its
    /// replicas is woken like any other; one whose visitors were only diverted gets them back at once, whether it is up
    /// or not. Returns whether there was something to undo.
    async fn undo(&mut self, app: &App) -> bool {
        let Some(idling) = &mut self.idling else {
            return false;
        };
        // If nothing else has ended the attempt, a visitor who wants the app woken has.
        idling.failed.get_or_insert(Cause::Woken);
        let is_ours = |id: &ObjectId| self.pace.idled.contains_key(id);
        let mut taken = app.workloads.iter().filter(|each| is_ours(&each.id));
        let mut services = app.services.iter().filter(|each| is_ours(&each.id));
        let diverted = services.find(|service| matches!(service.leads, Leads::Here(_)));
        match (taken.next(), diverted) {
            (None, Some(service)) => {
                let write = Write::Restore {
                    service: service.id.clone(),
                    version: service.version.clone(),
                    ended: Ended::Woken { took: None },
                };
                if self.pace.allows(&write) {
                    self.write(write).await;
                } else {
                    self.ring_at(self.pace.until);
                }
                true
            }
            (first, diverted) => {
                let is_down =
                    |workload: &Workload| workload.replicas == 0 || workload.record.is_some();
                let is_left = diverted.is_some() || first.into_iter().chain(taken).any(is_down);
                if let Some(idling) = self.idling.take_if(|_| !is_left) {
                    idling.fail(true);
                }
                false
            }
        }
    }

    /// There is nothing to finish, unless the sweep has seen something that this driver has not observed yet.
    fn finish(&mut self) {
        // Undoing goes on until the deadline.
        if self.is_undoing() {
            return;
        }
        match self.finishing.map(|since| since + EFFECT) {
            Some(later) if later > Instant::now() => self.ring_at(Some(later)),
            _ => self.wake.end_finish(),
        }
    }

    /// Decides what to do about a write.
    fn plan(&mut self, write: &Write, observation: &Observation) -> Plan {
        let Ok(app) = observation else {
            return Plan::Leave;
        };
        // Marks concern their own workload; where visitors land concerns all workloads.
        let (id, _) = write.target();
        let is_concerned = |workload: &&Workload| match write {
            Write::ClearIdled { .. } | Write::Idle { .. } => workload.id == *id,
            Write::Scale { .. } | Write::Restore { .. } | Write::Divert { .. } => true,
        };
        // Other apps may use the workloads that it needs.
        let mut concerned = app.own().filter(is_concerned);
        let is_ours = concerned
            .clone()
            .all(|workload| self.pace.is_as_scaled(workload));
        let is_marked = app
            .own()
            .all(|workload| workload.record.is_some() || self.pace.is_as_scaled(workload));
        let is_recent =
            concerned.any(|workload| workload.record.is_some_and(|record| record.is_recent));
        let mandate = self.wake.mandate();
        let is_scale = matches!(write, Write::Scale { .. });
        let is_divert = matches!(write, Write::Divert { .. });
        let is_gone = app
            .services
            .iter()
            .any(|service| matches!(service.effect(), Some(Effect::Gone | Effect::Missing)));
        let is_unwanted = app.services.iter().any(step::is_unwanted);
        let is_undone = self.is_undoing() && self.pace.idled.contains_key(id);
        let idling = self.inner.settings.idle_grace + SETTLE_AFTER_GRACE;
        let settle = match mandate {
            Mandate::Finish if is_undone => Duration::ZERO,
            Mandate::Wake if is_scale => Duration::ZERO,
            // A visitor who joined waits for another driver to finish the wake-up, but that one may be gone.
            Mandate::Watch if !self.wake.has_listeners() => return Plan::Leave,
            // Each object is only as current as its own watch: an app that is being woken may look like this.
            Mandate::Finish | Mandate::Watch if is_divert && is_gone => SETTLE_ALONE,
            _ if is_divert => Duration::ZERO,
            Mandate::Finish if is_scale && !app.leads_here() => STRANDED,
            // The process that began was killed in between, or is another replica.
            Mandate::Watch if is_scale && app.is_half_woken() => SETTLE_ALONE,
            Mandate::Finish if is_scale && app.is_half_woken() => idling,
            // The app is asleep, as it should be, or the write is for another driver.
            _ if is_scale => return Plan::Leave,
            // Each object is only as current as its own watch: it may have its replicas already, and not look adopted any more.
            Mandate::Wake if is_unwanted && !self.pace.scaled.is_empty() => SETTLE,
            // The marks are still there, so if its idler takes it down now, the app is known to be idled.
            Mandate::Wake if is_marked && matches!(write, Write::Restore { .. }) => Duration::ZERO,
            _ if is_ours => Duration::ZERO,
            _ if is_recent && matches!(write, Write::ClearIdled { .. }) => SETTLE_MARKS,
            _ if self.is_visited || self.pace.has_written || self.wake.has_listeners() => SETTLE,
            Mandate::Watch | Mandate::Finish | Mandate::Idle | Mandate::Wake => idling,
        };
        if !self.pace.allows(write) {
            self.ring_at(self.pace.until);
            return Plan::Hold;
        }
        if is_scale && self.pace.scales_of(write) == MAX_SCALES {
            return if mandate == Mandate::Wake {
                Plan::Refuse
            } else {
                Plan::Leave
            };
        }
        let leave = if mandate == Mandate::Watch {
            TAKE_OVER
        } else {
            Duration::ZERO
        };
        let settled = self
            .sight
            .since(write)
            .map(|since| since + settle)
            .max(Some(self.sight.due(write) + leave));
        if settled > Some(Instant::now()) {
            self.ring_at(settled);
            return Plan::Settle;
        }
        if is_scale && mandate == Mandate::Wake && !self.slot.take(&self.inner.slots) {
            return Plan::Queue;
        }
        Plan::Do
    }

    async fn write(&mut self, write: Write) {
        let wake = Arc::clone(&self.wake);
        let Wake { app, reference, .. } = &*wake;
        let goal = wake.mandate().goal();
        let is_shown =
            goal == Goal::Awake && (wake.mandate() == Mandate::Wake || wake.has_listeners());
        let step = step_of(&write);
        let rival = self
            .pace
            .is_scaled_down(&write)
            .then_some(Reason::ScaledDown);
        if is_shown && (rival.is_some() || !wake.is_troubled()) {
            self.publish(Phase::Waking {
                step,
                reason: rival,
            });
        }
        if goal == Goal::Awake && !self.is_visited && !self.pace.has_written {
            info!(%app, reference, "resuming unfinished wake-up");
        }
        let span = info_span!(parent: &self.span, "write", ?write);
        let result = self
            .inner
            .cluster
            .apply(app, &self.with_record(write.clone()))
            .instrument(span)
            .await;
        match &result {
            Ok(()) => {
                info!(%app, reference, ?write, "applied write");
                // A driver that has taken over for a visitor who joined completes the work.
                wake.raise(Mandate::Finish);
                if is_shown {
                    self.publish(Phase::Waking {
                        step,
                        reason: rival,
                    });
                }
            }
            Err(ApplyError::Conflict) => {
                info!(%app, reference, ?write, "write skipped: object changed");
            }
            Err(error) => {
                warn!(%app, reference, ?write, %error, "write failed");
                let cause = Cause::Write(write.clone(), error.clone());
                if let Some(idling) = &mut self.idling {
                    idling.last_error = Some(cause.clone());
                }
                match error.reason() {
                    // As below, a rejection is trusted the second time. Any other error may pass.
                    reason if goal == Goal::Asleep => {
                        if self.pace.was_refused && !reason.may_pass() {
                            self.stop_idling(cause);
                        }
                    }
                    // No visitor waits for it: the sweep retries with increasing delays.
                    _ if !is_shown && !self.is_undoing() => wake.end_finish(),
                    _ if !is_shown => {}
                    reason if reason.may_pass() => self.publish(Phase::Waking {
                        step,
                        reason: Some(reason),
                    }),
                    // An API server that has just started rejects requests until it has loaded its roles: a rejection
                    // is trusted the second time.
                    reason if self.pace.was_refused => self.publish(Phase::Failed { reason }),
                    _ => {}
                }
            }
        }
        self.pace.note(write, &result);
        self.ring_at(self.pace.until);
    }

    /// Adds to the write what has to be recorded with it: what puts the app to sleep, or how its sleep ended.
    fn with_record(&self, write: Write) -> Write {
        match write {
            Write::Divert {
                service, version, ..
            } => Write::Divert {
                service,
                version,
                by: self.idling.as_ref().map(|idling| idling.by),
            },
            Write::Restore {
                service, version, ..
            } => Write::Restore {
                service,
                version,
                ended: self.ended(),
            },
            Write::ClearIdled {
                workload, version, ..
            } => {
                let took = self.pace.time_of(&workload);
                Write::ClearIdled {
                    workload,
                    version,
                    took,
                }
            }
            write @ (Write::Scale { .. } | Write::Idle { .. }) => write,
        }
    }

    /// How the sleep of the app ended, as far as this driver has observed it.
    fn ended(&self) -> Ended {
        let is_visited = self.wake.mandate() == Mandate::Wake;
        match &self.idling {
            Some(_) if !is_visited => Ended::Failed,
            None if self.pace.scaled.is_empty() => Ended::Undone,
            _ => Ended::Woken {
                took: self.pace.time(),
            },
        }
    }

    /// Turns a reason that may not pass by itself into a failure if nothing changes for a while.
    fn phase_of_wait(
        &mut self,
        step: Step,
        reason: Option<Reason>,
        observation: &Observation,
    ) -> Phase {
        let Some(reason) = reason.filter(|reason| !reason.may_pass()) else {
            self.trouble = None;
            return Phase::Waking { step, reason };
        };
        let failed = Phase::Failed { reason };
        // Kubernetes retries now and then. A retry alone is no improvement.
        if self.wake.phase() == failed {
            return failed;
        }
        let trouble = (step, reason, observation.as_ref().map_or(0, App::restarts));
        let since = match self.trouble {
            Some((before, since)) if before == trouble => since,
            _ => Instant::now(),
        };
        self.trouble = Some((trouble, since));
        if since.elapsed() >= PATIENCE {
            return failed;
        }
        self.ring_at(Some(since + PATIENCE));
        Phase::Waking {
            step,
            reason: Some(reason),
        }
    }

    fn publish_ready(&mut self) {
        if self.lingers.is_none() {
            let linger = if self.wake.has_audience() {
                LINGER
            } else {
                Duration::ZERO
            };
            self.lingers = Some(Instant::now() + linger);
        }
        if !matches!(self.wake.phase(), Phase::Ready { .. }) {
            let notice = (!self.was_down && !self.pace.has_written).then_some(Notice::AlreadyAwake);
            self.publish(Phase::Ready { notice });
        }
        // Only cleaning up is left.
        self.wake.limit(Mandate::Finish);
        self.span = Span::none();
    }

    /// Publishes a phase to the visitors. The end of a wake-up that a visitor has started is counted, and recorded in
    /// the cluster.
    fn publish(&self, phase: Phase) {
        let is_over_already = self.gave_up && !phase.is_terminal();
        // In the span, so that the traces have the steps as well.
        if is_over_already
            || !self.span.in_scope(|| self.wake.publish(phase))
            || !phase.is_terminal()
            || self.wake.mandate() != Mandate::Wake
        {
            return;
        }
        self.span.record("outcome", field::debug(phase));
        let Some(host) = self.wake.host() else { return };
        let outcome = self.wake.snapshot(&host);
        let is_theirs = matches!(phase, Phase::Ready { .. }) && !self.pace.has_written;
        metrics::ended(&outcome, is_theirs);
        if !is_theirs {
            self.inner.cluster.note(&self.wake.app, &outcome);
        }
    }

    /// Checks the deadlines, and whether anybody still waits.
    fn tend(&mut self) {
        let now = Instant::now();
        let is_in_line = matches!(self.slot, Slot::InLine(_));
        match self.deadline {
            Some(deadline) if deadline <= now && !is_in_line => self.give_up(),
            Some(deadline) if !is_in_line => self.ring_at(Some(deadline)),
            _ => {}
        }
        match self.wake.interest_ends() {
            Some(_) if is_in_line && self.wake.is_scheduled() => {}
            Some(ends) if ends <= now => {
                // A driver in the queue keeps its place if somebody has asked for the app since.
                if !is_in_line || self.wake.end_unasked() {
                    self.slot = Slot::None;
                }
                if is_in_line {
                    // To publish that the app is asleep, or to set the alarm again.
                    self.wake.nudge.notify_one();
                }
            }
            ends => self.ring_at(ends),
        }
        let (phase, mandate) = (self.wake.phase(), self.wake.mandate());
        let keeps_slot = match phase {
            Phase::Waking { reason, .. } => matches!(reason, None | Some(Reason::ManyStarting)),
            Phase::Asleep | Phase::Ready { .. } | Phase::Failed { .. } => false,
        };
        if !keeps_slot || mandate != Mandate::Wake {
            self.slot = Slot::None;
        }
        if let Phase::Ready { .. } = phase {
            self.ring_at(self.lingers);
        }
        self.count(mandate == Mandate::Wake && !phase.is_terminal());
    }

    /// Ends the wake-up, or the attempt to idle, after the deadline.
    fn give_up(&mut self) {
        self.deadline = None;
        if self.wake.mandate() == Mandate::Idle {
            let idling = self.idling.as_mut();
            let last_error = idling.and_then(|idling| idling.last_error.take());
            return self.stop_idling(last_error.unwrap_or(Cause::App(Reason::DeadlinePassed)));
        }
        if self.wake.mandate() == Mandate::Wake {
            self.publish(given_up(self.wake.phase()));
            self.gave_up = true;
        }
        self.wake.limit(Mandate::Watch);
    }

    fn count(&mut self, is_waking: bool) {
        if is_waking == self.is_counted {
            return;
        }
        self.is_counted = is_waking;
        let others = match is_waking {
            true => self.inner.waking.fetch_add(1, Ordering::Relaxed) + 1,
            false => self.inner.waking.fetch_sub(1, Ordering::Relaxed) - 1,
        };
        metrics::waking(others);
    }

    /// Whether nothing is requested any more. If so, the driver is also removed from the map.
    fn is_over(&mut self) -> bool {
        self.tend();
        if self.wake.mandate() < Mandate::Finish
            && let Some(idling) = self.idling.take()
        {
            idling.fail(false);
        }
        if self.is_wanted() {
            return false;
        }
        let mut wakes = self.inner.wakes();
        // A visitor may have come in the meantime.
        if self.is_wanted() {
            return false;
        }
        if wakes
            .get(&self.wake.app)
            .is_some_and(|wake| Arc::ptr_eq(wake, &self.wake))
        {
            wakes.remove(&self.wake.app);
        }
        drop(wakes);
        self.wake.cancel();
        true
    }

    fn is_wanted(&self) -> bool {
        let now = Instant::now();
        let phase = self.wake.phase();
        match (self.wake.mandate(), phase) {
            (Mandate::Finish | Mandate::Idle, _)
            | (Mandate::Wake, Phase::Asleep | Phase::Waking { .. }) => true,
            // The app cannot even be found: there is nothing to watch.
            (_, Phase::Failed { reason }) if reason.is_discovery() => false,
            // Only the watch knows which of its last pods still answer.
            (Mandate::Watch, Phase::Asleep) => self.wake.has_audience(),
            (_, Phase::Ready { .. }) => self.lingers.is_none_or(|lingers| lingers > now),
            _ => self.wake.interest_ends().is_none_or(|ends| ends > now),
        }
    }

    /// Sets the alarm to this time, unless it rings earlier. A time in the past is ignored.
    fn ring_at(&mut self, at: Option<Instant>) {
        let at = at.filter(|at| *at > Instant::now());
        self.alarm = self.alarm.into_iter().chain(at).min();
    }
}

impl Drop for Driver {
    /// However a driver ends, even by a panic, it is removed from the map, so that no visitor waits for it.
    fn drop(&mut self) {
        self.count(false);
        if let Some(mut idling) = self.idling.take() {
            if self.inner.shutdown.is_cancelled() {
                idling.failed.get_or_insert(Cause::Shutdown);
            }
            idling.fail(false);
        }
        if self.wake.cancelled.is_cancelled() {
            return;
        }
        let mut wakes = self.inner.wakes();
        if wakes
            .get(&self.wake.app)
            .is_some_and(|wake| Arc::ptr_eq(wake, &self.wake))
        {
            wakes.remove(&self.wake.app);
        }
        drop(wakes);
        self.publish(Phase::Failed {
            reason: Reason::Internal,
        });
    }
}

impl Slot {
    /// Returns whether a slot is held, without waiting. If not, it queues for one from now on.
    fn take(&mut self, slots: &Arc<Semaphore>) -> bool {
        if let Self::None = self {
            *self = match Arc::clone(slots).try_acquire_owned() {
                Ok(permit) => Self::Held { _permit: permit },
                Err(_) => Self::InLine(Arc::clone(slots).acquire_owned().map(Result::ok).boxed()),
            };
        }
        matches!(self, Self::Held { .. })
    }

    /// Waits for its slot, if it is in the queue.
    async fn granted(&mut self) {
        let permit = match self {
            Self::InLine(turn) => turn.await,
            Self::None | Self::Held { .. } => None,
        };
        match permit {
            Some(permit) => *self = Self::Held { _permit: permit },
            None => pending().await,
        }
    }
}

/// Since when an app has looked the way it does.
#[derive(Default)]
struct Sight {
    workloads: HashMap<ObjectId, (Version, Instant)>,
    services: HashMap<ObjectId, (Leads, Instant)>,
    /// The write that is due, and since when.
    write: Option<(Write, Instant)>,
}

impl Sight {
    /// Since when a write has been due.
    fn due(&mut self, write: &Write) -> Instant {
        match &self.write {
            Some((before, since)) if before == write => *since,
            _ => {
                let now = Instant::now();
                self.write = Some((write.clone(), now));
                now
            }
        }
    }

    fn note(&mut self, app: &App) {
        let workloads = app.workloads.iter();
        note(
            &mut self.workloads,
            workloads.map(|workload| (&workload.id, workload.version.clone())),
        );
        // Endpoints change by themselves.
        let leads = |leads: &Leads| match leads {
            Leads::ToApp { .. } => Leads::ToApp {
                endpoints: Endpoints::Unknown,
            },
            Leads::Here(diversion) => Leads::Here(Diversion {
                endpoints: None,
                ..diversion.clone()
            }),
            Leads::Elsewhere => Leads::Elsewhere,
        };
        let services = app.services.iter();
        note(
            &mut self.services,
            services.map(|service| (&service.id, leads(&service.leads))),
        );
    }

    /// The time of the last observed change.
    fn latest_change(&self) -> Option<Instant> {
        let workloads = self.workloads.values().map(|(_, since)| *since);
        workloads.max().max(self.services_since())
    }

    /// Since when all Services have sent their visitors to the same place.
    fn services_since(&self) -> Option<Instant> {
        self.services.values().map(|(_, since)| *since).max()
    }

    /// Since when everything that a write depends on has been unchanged.
    fn since(&self, write: &Write) -> Option<Instant> {
        let own = |workload| self.workloads.get(workload).map(|(_, since)| *since);
        match write {
            Write::ClearIdled { workload, .. } | Write::Idle { workload, .. } => own(workload),
            Write::Scale { workload, .. } => own(workload).max(self.services_since()),
            Write::Restore { .. } | Write::Divert { .. } => self.latest_change(),
        }
    }
}

/// Records the observed objects of a kind. Those that no longer exist are forgotten.
fn note<'a, T: PartialEq + 'a>(
    seen: &mut HashMap<ObjectId, (T, Instant)>,
    now: impl Iterator<Item = (&'a ObjectId, T)>,
) {
    let mut before = mem::take(seen);
    for (id, value) in now {
        let same = before.remove(id).filter(|(before, _)| *before == value);
        let since = same.map_or_else(Instant::now, |(_, since)| since);
        seen.insert(id.clone(), (value, since));
    }
}

/// Rate-limits writes: never twice on the same observation, and with backoff after failures.
struct Pace {
    /// Whether anything was written.
    has_written: bool,
    /// The workloads whose replicas it has restored.
    scaled: HashMap<ObjectId, Scaled>,
    /// The writes that put the app to sleep: by object, the version that each was decided on.
    idled: HashMap<ObjectId, Version>,
    /// The last write, until it is time to consider the same one again: deciding it again on the same version means
    /// that nothing new was observed.
    decided: Option<Write>,
    /// Whether the last write failed for a reason that affects every other write as well.
    holding: bool,
    /// Whether the last write met a conflict. A single conflict is decided again at once, consecutive ones are not.
    in_conflict: bool,
    /// Whether the last write was rejected.
    was_refused: bool,
    /// How long to wait after the next failure.
    pause: Duration,
    /// Until when the above holds.
    until: Option<Instant>,
}

/// A workload whose replicas were restored.
struct Scaled {
    /// The number of times.
    times: u32,
    /// When that was last, and on which version it was decided.
    at: Instant,
    on: Version,
    /// The version that resulted from it.
    to: Option<Version>,
    /// How long it took from then until the workload was available.
    took: Option<Duration>,
}

impl Pace {
    fn new() -> Self {
        Self {
            has_written: false,
            scaled: HashMap::new(),
            idled: HashMap::new(),
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

    /// How often the replicas of the write's workload have been restored.
    fn scales_of(&self, write: &Write) -> u32 {
        let (id, _) = write.target();
        self.scaled.get(id).map_or(0, |scaled| scaled.times)
    }

    /// Whether something has scaled the workload down again after its replicas were restored. Observing the same
    /// version is no sign of that: the observation may be stale.
    fn is_scaled_down(&self, write: &Write) -> bool {
        let Write::Scale {
            workload, version, ..
        } = write
        else {
            return false;
        };
        let scaled = self.scaled.get(workload);
        scaled.is_some_and(|scaled| scaled.on != *version)
    }

    /// Whether something has reverted a write that put the app to sleep. Observing the same version is no sign of that:
    /// the observation may be stale.
    fn is_reversed(&self, write: &Write) -> bool {
        let (id, version) = write.target();
        self.idled.get(id).is_some_and(|on| on != version)
    }

    /// Records the version and the duration that result from restoring the replicas.
    fn note_sight(&mut self, app: &App) {
        for workload in &app.workloads {
            let Some(scaled) = self.scaled.get_mut(&workload.id) else {
                continue;
            };
            if workload.replicas > 0 && scaled.to.is_none() {
                scaled.to = Some(workload.version.clone());
            }
            if workload.available > 0 && scaled.took.is_none() {
                scaled.took = Some(scaled.at.elapsed());
            }
        }
    }

    /// Whether a workload is unchanged since this wake-up restored its replicas.
    fn is_as_scaled(&self, workload: &Workload) -> bool {
        let scaled = self.scaled.get(&workload.id);
        scaled.is_some_and(|scaled| scaled.to.as_ref() == Some(&workload.version))
    }

    /// How long the app took, from the first workload whose replicas were restored to the last that became available;
    /// `None` if that was not observed completely.
    fn time(&self) -> Option<Duration> {
        let once = || self.scaled.values().filter(|scaled| scaled.times == 1);
        let began = once().map(|scaled| scaled.at).min()?;
        let up = once().filter_map(|scaled| Some(scaled.at + scaled.took?));
        Some(up.max()? - began)
    }

    /// The same for one workload, from restoring its replicas.
    fn time_of(&self, workload: &ObjectId) -> Option<Duration> {
        let scaled = self.scaled.get(workload);
        scaled.filter(|scaled| scaled.times == 1)?.took
    }

    fn note(&mut self, write: Write, result: &Result<(), ApplyError>) {
        let was_in_conflict = mem::replace(
            &mut self.in_conflict,
            matches!(result, Err(ApplyError::Conflict)),
        );
        self.was_refused = matches!(
            result,
            Err(ApplyError::Forbidden(_) | ApplyError::Invalid(_))
        );
        // Without a response, it may have been applied all the same.
        let may_be_done = matches!(result, Ok(()) | Err(ApplyError::Unreachable { .. }));
        if may_be_done && let Write::Divert { .. } | Write::Idle { .. } = &write {
            let (id, version) = write.target();
            self.idled.insert(id.clone(), version.clone());
        }
        let wait = match result {
            Ok(()) => {
                self.has_written = true;
                if let Write::Scale {
                    workload, version, ..
                } = &write
                {
                    let scaled = Scaled {
                        times: self.scales_of(&write) + 1,
                        at: Instant::now(),
                        on: version.clone(),
                        to: None,
                        took: None,
                    };
                    self.scaled.insert(workload.clone(), scaled);
                }
                self.pause = *BACKOFF.start();
                EFFECT
            }
            Err(ApplyError::Conflict) => {
                self.holding = was_in_conflict;
                *BACKOFF.start()
            }
            Err(ApplyError::Forbidden(_) | ApplyError::Invalid(_)) => {
                self.holding = true;
                self.doubled()
            }
            Err(ApplyError::Unreachable { retry_after, .. }) => {
                self.holding = true;
                self.doubled()
                    .max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
            }
        };
        self.until = Some(Instant::now() + wait);
        self.decided = Some(write);
    }

    fn doubled(&mut self) -> Duration {
        let doubled = (self.pause * 2).min(*BACKOFF.end());
        mem::replace(&mut self.pause, doubled)
    }

    /// Allows the last write to be considered again once its time has come.
    fn expire(&mut self) {
        if self.until.is_some_and(|until| until <= Instant::now()) {
            (self.decided, self.holding, self.until) = (None, false, None);
        }
    }
}

fn step_of(write: &Write) -> Step {
    match write {
        Write::Scale { .. } => Step::Restoring,
        Write::ClearIdled { .. }
        | Write::Restore { .. }
        | Write::Divert { .. }
        | Write::Idle { .. } => Step::Connecting,
    }
}
