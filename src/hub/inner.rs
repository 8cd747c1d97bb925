//! The state that all visits, drivers and the sweep of a hub share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};

use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{backoff::Backoff, wake::Wake};
use crate::{app::AppId, cluster::Cluster};

/// When requests are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// From the wake-up of an app until a minute after its visitors were routed to it, and while it is put to sleep.
    Handover,
    /// Whenever the app is up: for an ingress that never notices.
    Always,
    /// Never: for networks that do not let unidler reach the apps.
    Never,
}

/// The limits of a [`Hub`](super::Hub).
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a wake-up may take before its visitors are told that it failed.
    pub deadline: Duration,
    /// How many apps may be starting at the same time.
    pub max_wakes: usize,
    /// How long an app keeps its replicas after its visitors have been diverted: longer than it takes until its ingress
    /// follows.
    pub idle_grace: Duration,
    /// When to forward requests that reach unidler for a running app.
    pub forward: Forward,
}

impl Default for Settings {
    /// Ten minutes, as long as a Deployment's own `progressDeadlineSeconds`; a hundred apps; three seconds, one more than
    /// [Traefik] waits between two changes.
    ///
    /// [Traefik]: https://doc.traefik.io/traefik/reference/install-configuration/providers/overview/
    fn default() -> Self {
        Self {
            deadline: Duration::from_mins(10),
            max_wakes: 100,
            idle_grace: Duration::from_secs(3),
            forward: Forward::Handover,
        }
    }
}

pub(super) type Wakes = HashMap<AppId, Arc<Wake>>;

/// The state of a hub, shared by all of its clones.
pub(super) struct Inner {
    pub(super) cluster: Arc<dyn Cluster>,
    pub(super) settings: Settings,
    /// The wake-ups under way. A std mutex: it is never held across an await.
    wakes: Mutex<Wakes>,
    /// One for each app that may be starting at the same time. First come, first served.
    pub(super) slots: Arc<Semaphore>,
    /// When the sweep may act again for an app.
    pub(super) backoffs: Mutex<HashMap<AppId, Backoff>>,
    /// How many apps are being woken.
    pub(super) waking: AtomicUsize,
    /// The drivers' tasks.
    pub(super) tasks: TaskTracker,
    /// Whether this process is about to end, so that visitors should be sent elsewhere.
    pub(super) draining: AtomicBool,
    /// Ends all drivers.
    pub(super) shutdown: CancellationToken,
}

impl Inner {
    pub(super) fn new(cluster: Arc<dyn Cluster>, settings: Settings) -> Self {
        Self {
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
        }
    }

    /// Locks the wake-ups. A panic elsewhere cannot leave the map half changed, so a poisoned lock is used all the
    /// same.
    pub(super) fn wakes(&self) -> MutexGuard<'_, Wakes> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
