//! The engine's only access to a cluster.

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
    /// The app that a host routes to, or the reason why there is none. From memory: no request, no waiting.
    ///
    /// # Errors
    ///
    /// The reason that a visitor of this host is shown.
    fn find(&self, host: &Host) -> Result<AppId, Reason>;

    /// All apps that a host routes to. From memory.
    fn apps(&self) -> Vec<AppId>;

    /// What is known of an app at this moment. From memory, so details that are only watched while an app wakes are
    /// missing.
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

    /// The apps that sleep and that have to wake with another one, since hosts of that would not work without them. From
    /// memory.
    fn companions(&self, _app: &AppId) -> Vec<AppId> {
        Vec::new()
    }

    /// How requests for a host can get to its app from inside the cluster, if they can. From memory.
    fn way(&self, _host: &Host) -> Option<Way> {
        None
    }

    /// Records the outcome of a wake-up in the cluster, for operators. Fire and forget.
    fn note(&self, _app: &AppId, _outcome: &Progress) {}

    /// Why no app can be looked up yet; `None` once that is possible.
    fn not_ready(&self) -> Option<String> {
        None
    }
}

/// How requests reach an app from inside the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To one of its ready endpoints. Its routes point to the app or to unidler, and to nothing else.
    Endpoint(SocketAddr),
    /// To the address of its Service, which only selects the app's pods. Where its routes point at this moment is
    /// unknown.
    Service(SocketAddr),
    /// To one of its endpoints, whose pod is terminating. The app is falling asleep, and its ingress may still route
    /// visitors to that pod for some seconds.
    Draining(SocketAddr),
    /// Possibly to an endpoint whose pod is terminating: this is known once the app is [watched](Cluster::watch). No
    /// other endpoint counts, since the app has no replicas.
    Fading,
    /// Possibly to an endpoint: this is known once the app is [watched](Cluster::watch).
    Unwatched,
}

/// One write. Each is minimal, names its object, and carries the version of it that it was decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Restore the replicas of a workload.
    Scale {
        /// Which workload.
        workload: ObjectId,
        /// Its version.
        version: Version,
        /// The replicas, at least 1.
        replicas: u32,
    },
    /// Remove the idle marks from a workload.
    ClearIdled {
        /// Which workload.
        workload: ObjectId,
        /// Its version.
        version: Version,
        /// The time from restoring its replicas to its availability, to be recorded for the next visitor; `None` if it
        /// was not observed completely.
        took: Option<Duration>,
    },
    /// Route the visitors of a Service to the app again.
    Restore {
        /// Which Service.
        service: ObjectId,
        /// Its version.
        version: Version,
        /// What is remembered of it, for a diversion that takes its record along.
        ended: Ended,
    },
    /// Divert the visitors of a Service to unidler, in a way that [`Restore`](Self::Restore) can undo.
    Divert {
        /// Which Service.
        service: ObjectId,
        /// Its version.
        version: Version,
        /// What puts the app to sleep; `None` if it sleeps already.
        by: Option<By>,
    },
    /// Scale a workload to zero, and record how many replicas it had.
    Idle {
        /// Which workload.
        workload: ObjectId,
        /// Its version.
        version: Version,
    },
}

/// How the sleep of an app ended, as far as the writer that routes its visitors back has observed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The app was woken here.
    Woken {
        /// As in [`Write::ClearIdled`].
        took: Option<Duration>,
    },
    /// Something else has restored the replicas of the app.
    Undone,
    /// The app could not be put to sleep: a write was rejected, or reverted at once.
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

/// Why a write was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The object has changed in the meantime. Observe again and decide again.
    #[error("the object has changed meanwhile")]
    Conflict,
    /// A permission is missing.
    #[error("the cluster forbids it: {0}")]
    Forbidden(String),
    /// The cluster rejects the write as invalid. That is a bug in unidler.
    #[error("the cluster finds it invalid: {0}")]
    Invalid(String),
    /// The cluster does not respond, or asks for a later retry.
    #[error("the cluster does not answer: {message}")]
    Unreachable {
        /// Its error message, or a description of what happened instead.
        message: String,
        /// How long to wait before the next request, if the cluster asks for that.
        retry_after: Option<Duration>,
    },
}

impl ApplyError {
    /// The reason that visitors are shown if the write keeps failing.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Forbidden(_) => Reason::PermissionMissing,
            Self::Invalid(_) => Reason::Internal,
            Self::Conflict | Self::Unreachable { .. } => Reason::ApiUnreachable,
        }
    }
}
