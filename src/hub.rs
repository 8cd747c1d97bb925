//! One driver for each app that somebody waits for, however many visitors do.
//!
//! A driver is a task that belongs to the hub and not to a visitor: a visitor who leaves cancels nothing. It
//! looks at what is observed, does the [next step](crate::step::next_step) if somebody wants it done, and publishes
//! a snapshot through a [`watch`](tokio::sync::watch) channel, of which only the latest value counts. A slow reader therefore costs one
//! snapshot instead of a queue, and latecomers see the current state immediately.
//!
//! A driver does as much as is wanted: a visitor who [starts](Hub::start) an app wants it woken, the
//! [sweep](Hub::sweep) wants finished what is half done, and a visitor who only [joins](Hub::join) wants to see. Whoever
//! [idles](Hub::idle) it wants it asleep, for as long as no visitor wants it woken. It
//! ends when nobody wants anything any more. A failure that can be fixed does not end it: as long as somebody asks
//! about the app, it keeps watching and reports when the app recovers. Nothing is remembered after that: whoever
//! joins next gets the truth from the cluster.
//!
//! As many apps may start at a time as there are [slots](Settings::max_wakes). Others wait in line for one.

mod backoff;
mod driver;
mod enter;
mod forward;
mod idling;
mod inner;
pub mod metrics;
mod snapshot;
mod sweep;
mod visit;
mod wake;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use futures::{Stream, StreamExt, stream};

pub use self::{
    forward::Forwards,
    idling::{Cause, NotIdled},
    inner::{Forward, Settings},
};
use self::{
    inner::Inner,
    snapshot::{milliseconds, nowhere, unstarted},
    visit::Visit,
    wake::Mandate,
};
use crate::{
    app::{AppId, Observation},
    cluster::Cluster,
    host::Host,
    progress::Progress,
    sleep::{decide::By, moment::Moment},
    start::Start,
    step,
};

/// Lets visitors start, join and look at wake-ups. Cheap to clone; all clones are one hub.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

impl Hub {
    /// A hub for the apps of `cluster`.
    #[must_use]
    pub fn new(cluster: Arc<dyn Cluster>, settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner::new(cluster, settings)),
        }
    }

    /// Starts the wake-up of a host's app, or joins the one under way.
    ///
    /// The stream yields the current snapshot at once, then each later one, and ends after a terminal one, at
    /// [shutdown](Self::shutdown), or when something else takes the place of the wake-up. A wake-up that has to wait for a slot says so and starts by itself.
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
        if !self.inner.may_start(&app) {
            return self.look(host);
        }
        let mut wakes = self.inner.wakes();
        let ended = wakes.get(&app).filter(|wake| wake.phase().is_terminal());
        if let Some(wake) = ended.filter(|wake| wake.is_young()) {
            return wake.snapshot(host);
        }
        let enter = if ended.is_some() {
            Inner::begin
        } else {
            Inner::enter
        };
        enter(&self.inner, &mut wakes, &app, Some(host), Mandate::Wake).snapshot(host)
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
            .map(|observed| (observed.usual(), observed.title))
            .unwrap_or_default();
        Progress {
            usual_ms: usual.map(milliseconds),
            title,
            ..unstarted(host, phase)
        }
    }

    /// Puts an app to sleep: its visitors land here, and then its replicas are taken. What cannot be completed is undone.
    /// A visitor who comes in between gets the app.
    ///
    /// Whether the app may be idled is for the caller to know.
    ///
    /// # Errors
    ///
    /// Why the app is not asleep.
    pub async fn idle(&self, app: &AppId, by: By) -> Result<(), NotIdled> {
        let woken = |is_undone| NotIdled {
            cause: Cause::Woken,
            is_undone,
        };
        let outcome = {
            let mut wakes = self.inner.wakes();
            if wakes
                .get(app)
                .is_some_and(|wake| wake.mandate() > Mandate::Watch)
            {
                return Err(woken(true));
            }
            self.inner.begin_idling(&mut wakes, app, by)
        };
        // A driver that ends answers first.
        outcome.await.unwrap_or_else(|_| Err(woken(false)))
    }

    /// What a visitor has to do to wake a host's app, and when that wakes by itself. From memory.
    #[must_use]
    pub fn starts(&self, host: &Host) -> (Start, Option<Moment>) {
        let app = self.observe(host);
        app.map(|app| (app.start, app.wakes)).unwrap_or_default()
    }

    fn observe(&self, host: &Host) -> Observation {
        let cluster = &self.inner.cluster;
        cluster.find(host).and_then(|app| cluster.observe(&app))
    }

    /// The status with which a request to a host's app is answered while that is not up, if its operators have said so.
    #[must_use]
    pub fn probe(&self, host: &Host, method: &str, path: &str) -> Option<u16> {
        self.observe(host).ok()?.probes.status(method, path)
    }

    /// Wakes an app for no visitor, as its hours do.
    pub fn wake(&self, app: &AppId) {
        let inner = &self.inner;
        inner.enter(&mut inner.wakes(), app, None, Mandate::Wake);
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
        let visit = Visit::new(Arc::clone(&self.inner), host.clone(), mandate);
        stream::unfold(Some(visit), async |visit| visit?.next().await)
            .take_until(self.inner.shutdown.clone().cancelled_owned())
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

#[cfg(test)]
mod model;
#[cfg(test)]
mod played;
#[cfg(test)]
mod tests;
