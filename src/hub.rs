//! One driver for each app that somebody waits for, however many visitors do.
//!
//! A driver is a task that belongs to the hub and not to a visitor: a visitor who leaves cancels nothing. It
//! looks at what is observed, does the [next step](crate::step::next_step) if somebody wants it done, and publishes
//! a snapshot through a [`watch`](tokio::sync::watch) channel, of which only the latest value counts. A slow reader therefore costs one
//! snapshot instead of a queue, and latecomers see the current state immediately.
//!
//! A driver does only what is requested: a visitor who [starts](Hub::start) an app requests its wake-up, the
//! [sweep](Hub::sweep) requests that half-done work is finished, and a visitor who only [joins](Hub::join) requests to
//! watch. A caller that [idles](Hub::idle) the app requests its sleep, for as long as no visitor requests its wake-up.
//! A driver ends when nothing is requested any more. A failure that can be fixed does not end it: as long as somebody
//! asks about the app, it keeps watching and reports when the app recovers. Nothing is remembered after that: the next
//! visitor who joins gets the current state from the cluster.
//!
//! The number of apps that may start at the same time is the number of [slots](Settings::max_wakes). Others queue for
//! one.

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
    /// [shutdown](Self::shutdown), or when something else replaces the wake-up. A wake-up that has to wait for a slot
    /// reports that, and starts by itself.
    pub fn start(&self, host: &Host) -> impl Stream<Item = Progress> + Send + use<> {
        self.listen(host, Mandate::Wake)
    }

    /// Listens to a host's app without starting it. As [`start`](Self::start), but a sleeping app yields only one
    /// snapshot, and more follow once somebody starts it. A wake-up that was started elsewhere is still finished if
    /// nothing else does so.
    pub fn join(&self, host: &Host) -> impl Stream<Item = Progress> + Send + use<> {
        self.listen(host, Mandate::Watch)
    }

    /// Starts a host's app without listening, or restarts it after a failure, and returns its state. A wake-up that
    /// ended as soon as it began is not repeated at once: each one costs requests and log lines, and strangers can ask
    /// for it.
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

    /// The state of a host's app. From memory, and starts nothing; but it counts as a sign that somebody waits.
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

    /// Puts an app to sleep: diverts its visitors to unidler, then scales it to zero. An attempt that cannot be
    /// completed is undone. A visitor who comes in between gets the app.
    ///
    /// The caller has to make sure that the app may be idled.
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
        // A driver sends its result before it ends.
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

    /// The status of the response to a request for a host's app while the app is not up, if its operators have
    /// configured one.
    #[must_use]
    pub fn probe(&self, host: &Host, method: &str, path: &str) -> Option<u16> {
        self.observe(host).ok()?.probes.status(method, path)
    }

    /// Wakes an app without a visitor, as its schedule does.
    pub fn wake(&self, app: &AppId) {
        let inner = &self.inner;
        inner.enter(&mut inner.wakes(), app, None, Mandate::Wake);
    }

    /// Why no app can be looked up yet; `None` once that is possible.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        if self.is_draining() {
            Some("shutting down".to_owned())
        } else {
            self.inner.cluster.not_ready()
        }
    }

    /// Turns readiness off. Everything else continues as before.
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
