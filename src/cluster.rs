//! The only door to a cluster.

use std::{fmt, net::SocketAddr, time::Duration};

use futures::{future::BoxFuture, stream::BoxStream};

use crate::{
    app::{AppId, ObjectId, Observation, Version},
    host::Host,
    progress::{Progress, Reason},
    sleep::decide::By,
};

/// The engine's view of a cluster. Implementations make no decisions and keep no state about wake-ups.
pub trait Cluster: fmt::Debug + Send + Sync + 'static {
    /// The app that a host leads to, or why it leads to none. From memory: no request, no waiting.
    ///
    /// # Errors
    ///
    /// The reason that a visitor of this host is shown.
    fn find(&self, host: &Host) -> Result<AppId, Reason>;

    /// All apps that a host leads to. From memory.
    fn apps(&self) -> Vec<AppId>;

    /// What is known of an app at this moment. From memory, so that details which are only watched while an app
    /// wakes are missing.
    fn observe(&self, app: &AppId) -> Observation;

    /// What is known of an app, now and after every change. The stream never ends by itself: a lost connection to
    /// the cluster is an [`App::connected`](crate::app::App::connected) that is false.
    fn watch(&self, app: &AppId) -> BoxStream<'static, Observation>;

    /// Does one write, on the condition that the object still has the version that the write was decided on.
    fn apply<'a>(
        &'a self,
        app: &'a AppId,
        write: &'a Write,
    ) -> BoxFuture<'a, Result<(), ApplyError>>;

    /// How requests for a host can get to its app from inside the cluster, if they can. From memory.
    fn way(&self, _host: &Host) -> Option<Way> {
        None
    }

    /// Records the outcome of a wake-up in the cluster, for operators. Fire and forget.
    fn note(&self, _app: &AppId, _outcome: &Progress) {}

    /// Why nothing can be said of any app yet; `None` when it can.
    fn not_ready(&self) -> Option<String> {
        None
    }
}

/// How requests get to an app from inside the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To one of its endpoints, which is ready. Its routes lead there as well, or to unidler: to nothing else.
    Endpoint(SocketAddr),
    /// To the address of its Service, which leads to its pods alone. Where its routes lead at this moment is not known.
    Service(SocketAddr),
    /// To one of its endpoints, whose pod is terminating. The app is falling asleep, and its ingress may still send visitors to
    /// that pod for some seconds.
    Draining(SocketAddr),
    /// Perhaps to an endpoint whose pod is terminating: that is known as soon as the app is [watched](Cluster::watch). No other
    /// endpoint counts, since the app has no replicas.
    Fading,
    /// Perhaps to an endpoint: that is known as soon as the app is [watched](Cluster::watch).
    Unwatched,
}

/// One write. Each is minimal, names its object, and carries the version of it that it was decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Give a workload its replicas back.
    Scale {
        /// Which workload.
        workload: ObjectId,
        /// Its version.
        version: Version,
        /// The replicas, at least 1.
        replicas: u32,
    },
    /// Take the idle marks off a workload.
    ClearIdled {
        /// Which workload.
        workload: ObjectId,
        /// Its version.
        version: Version,
        /// How long it took from its replicas to its availability, to be remembered for the next visitor; `None` if
        /// nobody has seen the whole of it.
        took: Option<Duration>,
    },
    /// Lead the visitors of a Service to the app again.
    Restore {
        /// Which Service.
        service: ObjectId,
        /// Its version.
        version: Version,
        /// What is remembered of it, for a diversion that takes its record along.
        ended: Ended,
    },
    /// Lead the visitors of a Service here, in a way that [`Restore`](Self::Restore) can undo.
    Divert {
        /// Which Service.
        service: ObjectId,
        /// Its version.
        version: Version,
        /// What puts the app to sleep; `None` if it sleeps already.
        by: Option<By>,
    },
    /// Take the replicas of a workload, and record how many there were.
    Idle {
        /// Which workload.
        workload: ObjectId,
        /// Its version.
        version: Version,
    },
}

/// How the sleep of an app ended, as far as whoever leads its visitors back has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The app was woken here.
    Woken {
        /// As in [`Write::ClearIdled`].
        took: Option<Duration>,
    },
    /// Somebody else has given the app its replicas.
    Undone,
    /// The app could not be put to sleep: a write was refused, or reversed at once.
    Failed,
}

impl Write {
    /// The object that it changes, and the version that it was decided on.
    #[must_use]
    pub fn target(&self) -> (&ObjectId, &Version) {
        match self {
            Self::Scale {
                workload, version, ..
            }
            | Self::ClearIdled {
                workload, version, ..
            }
            | Self::Idle { workload, version } => (workload, version),
            Self::Restore {
                service, version, ..
            }
            | Self::Divert {
                service, version, ..
            } => (service, version),
        }
    }
}

/// Why a write was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The object has changed meanwhile. Observe again and decide again.
    #[error("the object has changed meanwhile")]
    Conflict,
    /// A permission is missing.
    #[error("the cluster forbids it: {0}")]
    Forbidden(String),
    /// The cluster finds what was written invalid. That is a mistake of ours.
    #[error("the cluster finds it invalid: {0}")]
    Invalid(String),
    /// The cluster does not answer, or asks for patience.
    #[error("the cluster does not answer: {message}")]
    Unreachable {
        /// What it said, or what happened instead.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
}

impl ApplyError {
    /// What a visitor is told if it goes on like this.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Forbidden(_) => Reason::PermissionMissing,
            Self::Invalid(_) => Reason::Internal,
            Self::Conflict | Self::Unreachable { .. } => Reason::ApiUnreachable,
        }
    }
}
