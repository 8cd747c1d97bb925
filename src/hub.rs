//! One driver for each waking app, however many visitors wait for it.
//!
//! A driver is a task that belongs to the hub and not to a visitor: a visitor who leaves cancels nothing. It
//! looks at what is observed, does the [next step](crate::step::next_step) and publishes a snapshot through a
//! [`watch`] channel, of which only the latest value counts. So a slow reader costs one snapshot and not a
//! queue, and who comes late sees the present state at once.
//!
//! A driver ends when the app is up, when there is nothing to watch, or at the deadline; and always with a
//! terminal snapshot. A failure that somebody could mend does not end it: it watches on, and says so when the
//! app recovers. Nothing is remembered after that: whoever joins next gets the truth from the cluster.

mod driver;
pub mod meter;

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::driver::Driver;
use crate::{
    cluster::Cluster,
    host::Host,
    progress::{Mark, Notice, Phase, Progress, Step},
    step::{Next, next_step},
};

/// For how long a wake-up has to look unfinished before it is taken up.
const SETTLE: Duration = Duration::from_secs(3);

/// The limits of a [`Hub`].
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a wake-up may take before its visitors are told that it failed.
    pub deadline: Duration,
    /// How many apps may be waking at the same time.
    pub max_wakes: usize,
}

impl Default for Settings {
    /// Ten minutes, as long as a Deployment's own `progressDeadlineSeconds`; a hundred apps.
    fn default() -> Self {
        Self { deadline: Duration::from_mins(10), max_wakes: 100 }
    }
}

/// Too many apps are waking already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many apps are waking up at the moment; try again in a few seconds")]
pub struct Busy;

/// Lets visitors start, join and look at wake-ups. Cheap to clone; all clones are one hub.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: Arc<dyn Cluster>,
    settings: Settings,
    /// The wake-ups under way. A std mutex: it is never held across an await.
    wakes: Mutex<HashMap<Host, Arc<Wake>>>,
    /// The drivers' tasks.
    tasks: TaskTracker,
    /// Whether this process is about to end, so that visitors should be sent elsewhere.
    draining: AtomicBool,
    /// Ends all drivers.
    shutdown: CancellationToken,
}

/// One wake-up.
struct Wake {
    host: Host,
    reference: String,
    started: Instant,
    /// What its visitors see. The sender lives here, so that a snapshot outlives the driver.
    state: watch::Sender<State>,
    /// Ends its driver: at shutdown, or when it is replaced by a retry.
    cancelled: CancellationToken,
}

/// A [`Progress`] without what is the same for the whole wake-up.
#[derive(Clone, Debug)]
struct State {
    revision: u64,
    phase: Phase,
    restarts: u32,
    usual: Option<Duration>,
    timeline: Vec<Mark>,
}

impl Hub {
    /// A hub for the apps of `cluster`.
    #[must_use]
    pub fn new(cluster: Arc<dyn Cluster>, settings: Settings) -> Self {
        let inner = Inner {
            cluster,
            settings,
            wakes: Mutex::default(),
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
            shutdown: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts the wake-up of an app, or joins the one under way.
    ///
    /// The stream yields the present snapshot at once, then each later one, and ends after a terminal one or
    /// at [shutdown](Self::shutdown).
    ///
    /// # Errors
    ///
    /// [`Busy`] if this would be one wake-up too many.
    pub fn join(&self, host: &Host) -> Result<impl Stream<Item = Progress> + Send + use<>, Busy> {
        Ok(self.start_or_join(host)?.snapshots())
    }

    /// Begins again if the wake-up under way has failed; else the same as [`join`](Self::join) without
    /// listening.
    ///
    /// # Errors
    ///
    /// [`Busy`] if this would be one wake-up too many.
    pub fn retry(&self, host: &Host) -> Result<(), Busy> {
        let failed = {
            let mut wakes = self.inner.wakes();
            let has_failed = wakes.get(host).is_some_and(|wake| wake.state.borrow().phase.is_terminal());
            if has_failed { wakes.remove(host) } else { None }
        };
        if let Some(failed) = failed {
            failed.cancelled.cancel();
        }
        self.start_or_join(host).map(drop)
    }

    /// Where an app stands. Starts nothing.
    #[must_use]
    pub fn look(&self, host: &Host) -> Progress {
        if let Some(wake) = self.inner.wakes().get(host) {
            return wake.snapshot(wake.state.borrow().clone());
        }
        let observation = self.inner.cluster.observe(host);
        let phase = match next_step(&observation) {
            Next::Done => Phase::Ready { notice: Some(Notice::AlreadyAwake) },
            Next::Fail(reason) => Phase::Failed { reason },
            Next::Write(_) | Next::Wait { .. } => Phase::Asleep,
        };
        Progress {
            reference: new_reference(),
            host: host.to_string(),
            revision: 0,
            elapsed_ms: 0,
            usual_ms: observation.ok().and_then(|observed| observed.deployment.usual).map(milliseconds),
            phase,
            restarts: 0,
            timeline: Vec::new(),
        }
    }

    /// Where inside the cluster an app answers that is up, if that is known.
    #[must_use]
    pub fn address(&self, host: &Host) -> Option<SocketAddr> {
        self.inner.cluster.address(host)
    }

    /// Why nothing can be said of any app yet; `None` when it can.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        if self.is_draining() { Some("shutting down".to_owned()) } else { self.inner.cluster.not_ready() }
    }

    /// Takes up every wake-up that somebody began and nobody finished, and answers how many there are.
    ///
    /// It looks twice: an app that is just being idled looks the same, between the writes of whoever does it.
    pub async fn finish_unfinished(&self) -> usize {
        let cluster = &self.inner.cluster;
        let before = cluster.unfinished();
        if before.is_empty() {
            return 0;
        }
        sleep(SETTLE).await;
        let still = cluster.unfinished().into_iter().filter(|host| before.contains(host));
        still.filter(|host| self.start_or_join(host).is_ok()).count()
    }

    /// Turns readiness off. Everything goes on as before.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// Whether this process is about to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Relaxed)
    }

    /// Ends all drivers and streams. What is half done is taken up by another replica or after a restart.
    pub async fn shutdown(&self) {
        self.drain();
        self.inner.shutdown.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    fn start_or_join(&self, host: &Host) -> Result<Arc<Wake>, Busy> {
        let mut wakes = self.inner.wakes();
        if let Some(wake) = wakes.get(host) {
            return Ok(Arc::clone(wake));
        }
        if wakes.len() >= self.inner.settings.max_wakes {
            return Err(Busy);
        }
        let wake = Arc::new(Wake::new(host.clone(), self.inner.shutdown.child_token()));
        wakes.insert(host.clone(), Arc::clone(&wake));
        meter::waking(wakes.len());
        info!(%host, reference = wake.reference, "wake-up begins");
        let driver = Driver { inner: Arc::clone(&self.inner), wake: Arc::clone(&wake) };
        self.inner.tasks.spawn(driver.run());
        Ok(wake)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("cluster", &self.inner.cluster)
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// A panic elsewhere cannot leave the map half changed, so a poisoned lock is as good as any.
    fn wakes(&self) -> MutexGuard<'_, HashMap<Host, Arc<Wake>>> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake {
    fn new(host: Host, cancelled: CancellationToken) -> Self {
        let (state, _) = watch::channel(State {
            revision: 1,
            phase: Phase::Waking { step: Step::Finding, reason: None },
            restarts: 0,
            usual: None,
            timeline: vec![Mark { step: Step::Finding, at_ms: 0 }],
        });
        Self { host, reference: new_reference(), started: Instant::now(), state, cancelled }
    }

    fn elapsed_ms(&self) -> u64 {
        milliseconds(self.started.elapsed())
    }

    fn snapshot(&self, state: State) -> Progress {
        let State { revision, phase, restarts, usual, timeline } = state;
        Progress {
            reference: self.reference.clone(),
            host: self.host.to_string(),
            revision,
            elapsed_ms: self.elapsed_ms(),
            usual_ms: usual.map(milliseconds),
            phase,
            restarts,
            timeline,
        }
    }

    fn snapshots(self: Arc<Self>) -> impl Stream<Item = Progress> + Send + use<> {
        let mut states = self.state.subscribe();
        states.mark_changed();
        let cancelled = self.cancelled.clone().cancelled_owned();
        stream::unfold(Some((self, states)), async |listening| {
            let (wake, mut states) = listening?;
            states.changed().await.ok()?;
            let progress = wake.snapshot(states.borrow_and_update().clone());
            let listening = (!progress.phase.is_terminal()).then_some((wake, states));
            Some((progress, listening))
        })
        .take_until(cancelled)
    }

    /// Whether visitors are being told of something that stands in the way.
    fn is_troubled(&self) -> bool {
        !matches!(self.state.borrow().phase, Phase::Waking { reason: None, .. })
    }

    /// Publishes how often the app's containers were started again and how long it usually takes, if that is news.
    fn publish_facts(&self, restarts: u32, usual: Option<Duration>) {
        self.state.send_if_modified(|state| {
            let facts = (state.restarts.max(restarts), state.usual.or(usual));
            let is_news = facts != (state.restarts, state.usual);
            if is_news {
                (state.restarts, state.usual) = facts;
                state.revision += 1;
            }
            is_news
        });
    }

    /// Publishes a phase if it is news, and answers whether it is. Steps are marked when they are first reached, and never go back: a pod
    /// that is replaced does not undo what the visitor has seen.
    fn publish(&self, phase: Phase) -> bool {
        let at_ms = self.elapsed_ms();
        let is_news = self.state.send_if_modified(|state| {
            let phase = match (phase, state.timeline.last()) {
                (Phase::Waking { step, reason }, Some(last)) => Phase::Waking { step: step.max(last.step), reason },
                (phase, _) => phase,
            };
            if state.phase == phase {
                return false;
            }
            if let Phase::Waking { step, .. } = phase
                && state.timeline.last().is_none_or(|last| last.step < step)
            {
                if let Some(last) = state.timeline.last() {
                    meter::step_took(last.step, Duration::from_millis(at_ms.saturating_sub(last.at_ms)));
                }
                state.timeline.push(Mark { step, at_ms });
            }
            state.phase = phase;
            state.revision += 1;
            true
        });
        if is_news {
            meter::reached(phase, &self.state.borrow().timeline, Duration::from_millis(at_ms));
            let Self { host, reference, .. } = self;
            match phase {
                Phase::Failed { reason } => warn!(%host, reference, ?reason, elapsed_ms = at_ms, "wake-up fails"),
                Phase::Waking { step, reason } => info!(%host, reference, ?step, ?reason, elapsed_ms = at_ms, "wake-up goes on"),
                Phase::Ready { .. } => info!(%host, reference, elapsed_ms = at_ms, "app is ready"),
                Phase::Asleep => {}
            }
        }
        is_news
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Eight characters that are easy to read out: no vowels, nothing that looks like something else. Random enough
/// to find a line in a log, which is all it is for.
fn new_reference() -> String {
    const ALPHABET: [char; 27] = [
        '2', '3', '4', '5', '6', '7', '8', '9', 'b', 'c', 'd', 'f', 'g', 'h', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'v',
        'w', 'x', 'z',
    ];
    let part = || fastrand::choose_multiple(ALPHABET, 4).into_iter().collect::<String>();
    format!("{}-{}", part(), part())
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
