//! The only door to a cluster, and what is observed through it.

use std::{fmt, net::SocketAddr, time::Duration};

use futures::{future::BoxFuture, stream::BoxStream};

use crate::{
    host::Host,
    progress::{Progress, Reason, Step},
};

/// What the engine needs of a cluster. It decides nothing and remembers nothing about a wake-up.
pub trait Cluster: fmt::Debug + Send + Sync + 'static {
    /// What is known of an app at this moment. From memory: no request, no waiting.
    fn observe(&self, host: &Host) -> Observation;

    /// What is known of an app, now and after every change. It never ends by itself: a lost connection to the
    /// cluster is a [`Observed::connected`] that is false.
    fn watch(&self, host: &Host) -> BoxStream<'static, Observation>;

    /// Does one write, on the condition that the object still has the version that the write was decided on.
    fn apply<'a>(&'a self, host: &'a Host, write: &'a Write) -> BoxFuture<'a, Result<(), ApplyError>>;

    /// Where inside the cluster an app answers that is up, if that is known. From memory, as [`observe`](Self::observe).
    fn address(&self, _host: &Host) -> Option<SocketAddr> {
        None
    }

    /// Hosts of apps that somebody began to wake and nobody finished: with replicas, but still marked as idled
    /// or with a Service that still points at us.
    fn unfinished(&self) -> Vec<Host>;

    /// Makes a note in the cluster of how a wake-up went, for whoever looks at the app there. Nobody waits for it.
    fn note(&self, _host: &Host, _outcome: &Progress) {}

    /// Why nothing can be said of any app yet; `None` when it can.
    fn not_ready(&self) -> Option<String> {
        None
    }
}

/// An app as observed, or why there is no telling which app it is.
pub type Observation = Result<Observed, Reason>;

/// An app as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Whether this is current as far as anybody can know.
    pub connected: bool,
    /// Its Deployment.
    pub deployment: Deployment,
    /// Its Service.
    pub service: Service,
    /// Its pods, where they may be read.
    pub pods: Pods,
}

impl Observed {
    /// Whether somebody began to wake the app and did not finish.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let Self { deployment, service, .. } = self;
        deployment.replicas > 0 && (deployment.idled || matches!(service, Service::Idled { .. }))
    }
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
        /// Whether one of them is a ready endpoint. `None` where that cannot be read.
        ready: Option<bool>,
    },
    /// At something that is neither.
    Elsewhere,
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
        Self { reason, given_up: true }
    }

    /// Trouble that the cluster still deals with.
    #[must_use]
    pub const fn waiting(reason: Reason) -> Self {
        Self { reason, given_up: false }
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
            Self::Conflict | Self::Unreachable { .. } => Reason::ApiUnreachable,
        }
    }
}
