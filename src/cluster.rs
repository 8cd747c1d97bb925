//! The only door to a cluster, and what is observed through it.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use futures::{future::BoxFuture, stream::BoxStream};

use crate::{
    host::Host,
    progress::{Progress, Reason, Step},
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
    /// the cluster is an [`Observed::connected`] that is false.
    fn watch(&self, app: &AppId) -> BoxStream<'static, Observation>;

    /// Does one write, on the condition that the object still has the version that the write was decided on.
    fn apply<'a>(
        &'a self,
        app: &'a AppId,
        write: &'a Write,
    ) -> BoxFuture<'a, Result<(), ApplyError>>;

    /// The address inside the cluster at which the app of a host answers, if that is known. From memory.
    fn address(&self, _host: &Host) -> Option<SocketAddr> {
        None
    }

    /// Records the outcome of a wake-up in the cluster, for operators. Fire and forget.
    fn note(&self, _app: &AppId, _outcome: &Progress) {}

    /// Why nothing can be said of any app yet; `None` when it can.
    fn not_ready(&self) -> Option<String> {
        None
    }
}

/// Which app. Only a [`Cluster`] can read it; everybody else compares. Several hosts may lead to one app.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppId(Arc<str>);

impl AppId {
    /// The app that a cluster calls by this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name that the cluster gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An app as observed, or why there is no telling which app it is.
pub type Observation = Result<Observed, Reason>;

/// An app as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Whether this is current as far as anybody can know.
    pub connected: bool,
    /// What its operators call it, for visitors: at most 80 characters.
    pub title: Option<String>,
    /// Its Deployment.
    pub deployment: Deployment,
    /// Its Service.
    pub service: Service,
    /// Its pods, where they may be read.
    pub pods: Pods,
}

/// What matters of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The version of what is decided on.
    pub version: Version,
    /// Whether it is marked as idled.
    pub idled: bool,
    /// The replicas that are asked for.
    pub replicas: u32,
    /// The replicas it had before it was idled: at least 1, at most the configured maximum.
    pub replicas_when_unidled: u32,
    /// The replicas that are available, or 0 while the status is that of an older generation.
    pub available: u32,
    /// What its conditions complain of.
    pub trouble: Option<Trouble>,
    /// Whether it was marked so lately, or nobody knows when, that whoever did that may still be about to take its replicas.
    pub marked_lately: bool,
    /// How long its last wake-ups took, taken together; `None` before the first.
    pub usual: Option<Duration>,
}

/// Where a Service points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// At us: the app is idled.
    Idled {
        /// The version that this is.
        version: Version,
        /// Whether it is known what it has to point at instead.
        restorable: bool,
    },
    /// At pods.
    Serving {
        /// Whether one of them answers.
        endpoints: Endpoints,
    },
    /// At something that is neither.
    Elsewhere,
}

/// What is known of the endpoints behind a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// At least one is ready.
    Ready,
    /// None is ready.
    NotReady,
    /// They have not been looked at. That is never taken for success.
    Unknown,
    /// They may not be read: the permission is optional, and without it a Deployment that is available is believed.
    Forbidden,
}

/// How far the pods are, taken together. All of it is optional detail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// The step of the pod that is furthest.
    pub step: Option<Step>,
    /// What they complain of.
    pub trouble: Option<Trouble>,
    /// How often their containers have been started again.
    pub restarts: u32,
}

/// What stands in the way of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it is.
    pub reason: Reason,
    /// Whether the cluster has given up, or only tries again after ever longer pauses.
    pub given_up: bool,
}

impl Trouble {
    /// Trouble that the cluster has given up on.
    #[must_use]
    pub const fn given_up(reason: Reason) -> Self {
        Self {
            reason,
            given_up: true,
        }
    }

    /// Trouble that the cluster still deals with.
    #[must_use]
    pub const fn waiting(reason: Reason) -> Self {
        Self {
            reason,
            given_up: false,
        }
    }
}

/// One write. Each is minimal, and carries the version of the object that it was decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Give the Deployment its replicas back.
    Scale {
        /// The Deployment's version.
        version: Version,
        /// The replicas, at least 1.
        replicas: u32,
    },
    /// Take the idle label and the idle annotations off the Deployment.
    ClearIdled {
        /// The Deployment's version.
        version: Version,
        /// How long the app took from its replicas to its availability, to be remembered for the next visitor;
        /// `None` if nobody has seen the whole of it.
        took: Option<Duration>,
    },
    /// Point the Service at the app again.
    RestoreService {
        /// The Service's version.
        version: Version,
    },
}

/// The version of an object, compared for equality only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub String);

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
