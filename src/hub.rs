//! One driver for each app that somebody waits for, however many visitors do.
//!
//! A driver is a task that belongs to the hub and not to a visitor: a visitor who leaves cancels nothing. It
//! looks at what is observed, does the [next step](crate::step::next_step) if somebody wants it done, and publishes
//! a snapshot through a [`watch`] channel, of which only the latest value counts. A slow reader therefore costs one
//! snapshot instead of a queue, and latecomers see the current state immediately.
//!
//! A driver does as much as is [wanted](Mandate): a visitor who [starts](Hub::start) an app wants it woken, the
//! [sweep](Hub::sweep) wants finished what is half done, and a visitor who only [joins](Hub::join) wants to see. It
//! ends when nobody wants anything any more. A failure that can be fixed does not end it: as long as somebody asks
//! about the app, it keeps watching and reports when the app recovers. Nothing is remembered after that: whoever
//! joins next gets the truth from the cluster.
//!
//! As many apps may start at a time as there are [slots](Settings::max_wakes). Others wait in line for one.

mod driver;
pub mod metrics;
mod sweep;
mod visit;
mod wake;

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    driver::Driver,
    sweep::Backoff,
    visit::Visit,
    wake::{Listener, Wake},
};
use crate::{
    cluster::{AppId, Cluster},
    host::Host,
    progress::{Mark, Phase, Progress, Reason, Step},
    step,
};

/// For how long a wake-up counts as one that somebody waits for after the last sign of it. Longer than a page takes
/// to come again, whose stream was cut.
const INTEREST: Duration = Duration::from_secs(60);
/// What a visitor who starts an app sees at first.
const FIRST: Phase = Phase::Waking {
    step: Step::Finding,
    reason: None,
};

/// The limits of a [`Hub`].
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a wake-up may take before its visitors are told that it failed.
    pub deadline: Duration,
    /// How many apps may be starting at the same time.
    pub max_wakes: usize,
}

impl Default for Settings {
    /// Ten minutes, as long as a Deployment's own `progressDeadlineSeconds`; a hundred apps.
    fn default() -> Self {
        Self {
            deadline: Duration::from_mins(10),
            max_wakes: 100,
        }
    }
}

type Wakes = HashMap<AppId, Arc<Wake>>;

/// Lets visitors start, join and look at wake-ups. Cheap to clone; all clones are one hub.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: Arc<dyn Cluster>,
    settings: Settings,
    /// What is under way. A std mutex: it is never held across an await.
    wakes: Mutex<Wakes>,
    /// One for each app that may be starting at the same time. First come, first served.
    slots: Arc<Semaphore>,
    /// When the sweep may act again for an app.
    backoffs: Mutex<HashMap<AppId, Backoff>>,
    /// How many apps are being woken.
    waking: AtomicUsize,
    /// The drivers' tasks.
    tasks: TaskTracker,
    /// Whether this process is about to end, so that visitors should be sent elsewhere.
    draining: AtomicBool,
    /// Ends all drivers.
    shutdown: CancellationToken,
}

/// How much a driver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mandate {
    /// It only watches; and finishes for those who listen what somebody else has started and left.
    Watch,
    /// It finishes what somebody else left half done. No visitor waits for that, so it costs no slot, is counted
    /// nowhere, and ends with the first write that fails.
    Finish,
    /// It wakes the app for a visitor.
    Wake,
}

impl Hub {
    /// A hub for the apps of `cluster`.
    #[must_use]
    pub fn new(cluster: Arc<dyn Cluster>, settings: Settings) -> Self {
        let inner = Inner {
            cluster,
            settings,
            wakes: Mutex::default(),
            slots: Arc::new(Semaphore::new(
                settings.max_wakes.clamp(1, Semaphore::MAX_PERMITS),
            )),
            backoffs: Mutex::default(),
            waking: AtomicUsize::new(0),
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
            shutdown: CancellationToken::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Starts the wake-up of a host's app, or joins the one under way.
    ///
    /// The stream yields the current snapshot at once, then each later one, and ends after a terminal one or at
    /// [shutdown](Self::shutdown). A wake-up that has to wait for a slot says so and starts by itself.
    pub fn start(&self, host: &Host) -> impl Stream<Item = Progress> + Send + use<> {
        self.listen(host, Mandate::Wake)
    }

    /// Listens to a host's app without starting it. As [`start`](Self::start); an app that sleeps is one snapshot,
    /// and more follow when somebody starts it. What somebody else has started is finished all the same if nobody
    /// else does it.
    pub fn join(&self, host: &Host) -> impl Stream<Item = Progress> + Send + use<> {
        self.listen(host, Mandate::Watch)
    }

    /// Starts a host's app without listening, anew if it has failed, and answers where it stands. One that has ended as soon
    /// as it began is not begun again at once: each costs requests and lines in the log, and strangers can ask for it.
    pub fn retry(&self, host: &Host) -> Progress {
        let app = match self.inner.cluster.find(host) {
            Ok(app) => app,
            Err(reason) => return nowhere(host, reason),
        };
        let mut wakes = self.inner.wakes();
        let ended = wakes.get(&app).filter(|wake| wake.phase().is_terminal());
        if let Some(wake) = ended.filter(|wake| wake.is_young()) {
            return wake.snapshot(host);
        }
        let enter = if ended.is_some() {
            Self::begin
        } else {
            Self::enter
        };
        enter(self, &mut wakes, &app, Some(host), Mandate::Wake).snapshot(host)
    }

    /// Where a host's app stands. From memory, and starts nothing; but it counts as a sign that somebody waits.
    #[must_use]
    pub fn look(&self, host: &Host) -> Progress {
        let app = match self.inner.cluster.find(host) {
            Ok(app) => app,
            Err(reason) => return nowhere(host, reason),
        };
        if let Some(wake) = self.inner.wakes().get(&app) {
            wake.look();
            return wake.snapshot(host);
        }
        let observation = self.inner.cluster.observe(&app);
        let phase = step::phase(&observation);
        let (usual, title) = observation
            .map(|observed| (observed.deployment.usual, observed.title))
            .unwrap_or_default();
        Progress {
            usual_ms: usual.map(milliseconds),
            title,
            ..unstarted(host, phase)
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
        if self.is_draining() {
            Some("shutting down".to_owned())
        } else {
            self.inner.cluster.not_ready()
        }
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

    /// Ends all drivers and streams. What is half done is resumed by another replica or after a restart.
    pub async fn shutdown(&self) {
        self.drain();
        self.inner.shutdown.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    fn listen(&self, host: &Host, mandate: Mandate) -> impl Stream<Item = Progress> + Send + use<> {
        let visit = Visit::new(self.clone(), host.clone(), mandate);
        stream::unfold(Some(visit), async |visit| visit?.next().await)
            .take_until(self.inner.shutdown.clone().cancelled_owned())
    }

    fn attach(&self, host: &Host, mandate: Mandate) -> Result<Listener, Reason> {
        let app = self.inner.cluster.find(host)?;
        let mut wakes = self.inner.wakes();
        Ok(Listener::new(
            self.enter(&mut wakes, &app, Some(host), mandate),
            host.clone(),
        ))
    }

    /// The wake-up of an app, with at least this mandate.
    fn enter(
        &self,
        wakes: &mut Wakes,
        app: &AppId,
        host: Option<&Host>,
        mandate: Mandate,
    ) -> Arc<Wake> {
        match wakes.get(app) {
            Some(wake) if wake.accepts(host, mandate) => Arc::clone(wake),
            _ => self.begin(wakes, app, host, mandate),
        }
    }

    /// A new wake-up, in the place of any other.
    fn begin(
        &self,
        wakes: &mut Wakes,
        app: &AppId,
        host: Option<&Host>,
        mandate: Mandate,
    ) -> Arc<Wake> {
        let phase = match mandate {
            Mandate::Wake => FIRST,
            Mandate::Watch | Mandate::Finish => step::phase(&self.inner.cluster.observe(app)),
        };
        let wake = Arc::new(Wake::new(
            app.clone(),
            host,
            mandate,
            phase,
            self.inner.shutdown.child_token(),
        ));
        if let Some(replaced) = wakes.insert(app.clone(), Arc::clone(&wake)) {
            replaced.cancel();
        }
        self.inner
            .tasks
            .spawn(Driver::new(Arc::clone(&self.inner), Arc::clone(&wake)).run());
        wake
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
    fn wakes(&self) -> MutexGuard<'_, Wakes> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is shown of a host that leads to no app, or not to one that is known.
fn nowhere(host: &Host, reason: Reason) -> Progress {
    let phase = step::phase(&Err(reason));
    let timeline = if let Phase::Waking { step, .. } = phase {
        vec![Mark { step, at_ms: 0 }]
    } else {
        Vec::new()
    };
    Progress {
        timeline,
        ..unstarted(host, phase)
    }
}

/// A snapshot that belongs to no wake-up.
fn unstarted(host: &Host, phase: Phase) -> Progress {
    Progress {
        reference: new_reference(),
        host: host.to_string(),
        title: None,
        revision: 0,
        elapsed_ms: 0,
        usual_ms: None,
        phase,
        restarts: 0,
        timeline: Vec::new(),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Eight characters that are easy to read out: no vowels, nothing that looks like something else. Random enough
/// to find a line in a log, which is all it is for.
fn new_reference() -> String {
    const ALPHABET: [char; 27] = [
        '2', '3', '4', '5', '6', '7', '8', '9', 'b', 'c', 'd', 'f', 'g', 'h', 'j', 'k', 'm', 'n',
        'p', 'q', 'r', 's', 't', 'v', 'w', 'x', 'z',
    ];
    let part = || {
        fastrand::choose_multiple(ALPHABET, 4)
            .into_iter()
            .collect::<String>()
    };
    format!("{}-{}", part(), part())
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod played;
#[cfg(test)]
mod tests;
