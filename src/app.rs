//! An app as the engine sees it: Services that visitors come through, and workloads that run behind them.
//!
//! Nothing here depends on the kind of an object. The implementation that observes a cluster assigns each object an
//! [`ObjectId`], and gets it back with each [`Write`](crate::cluster::Write).

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    probe::Probes,
    progress::{Parts, Reason, Step},
    sleep::moment::Moment,
    start::Start,
};

/// Identifies an app. Opaque to everything but a [`Cluster`](crate::cluster::Cluster): other code only compares it.
/// Several hosts may route to one app.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppId(Arc<str>);

/// Identifies an object of an app. Opaque to everything but a [`Cluster`](crate::cluster::Cluster): other code only
/// compares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(Arc<str>);

macro_rules! named {
    ($id:ident, $what:literal) => {
        impl $id {
            #[doc = concat!("The ", $what, " that a cluster calls by this name.")]
            #[must_use]
            pub fn new(name: &str) -> Self {
                Self(name.into())
            }

            /// The name that the cluster assigned.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

named!(AppId, "app");
named!(ObjectId, "object");

/// An app as observed, or the reason why it cannot be identified.
pub type Observation = Result<App, Reason>;

/// An app as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Whether this is current, as far as can be known.
    pub connected: bool,
    /// What its operators call it, for visitors: at most 80 characters.
    pub title: Option<String>,
    /// The requests that unidler answers for it while it sleeps.
    pub probes: Probes,
    /// What it takes to wake it.
    pub start: Start,
    /// When it wakes by itself, if it sleeps and that is known.
    pub wakes: Option<Moment>,
    /// The Services that its routes refer to, without duplicates and in a stable order.
    pub services: Vec<Service>,
    /// The workloads behind them with their workers, and everything that those need, without duplicates and in a stable
    /// order.
    pub workloads: Vec<Workload>,
}

/// Something with replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its identifier.
    pub id: ObjectId,
    /// The version that decisions about it are based on.
    pub version: Version,
    /// What it was before it was idled; `None` if it is not.
    pub record: Option<Record>,
    /// The desired number of replicas.
    pub replicas: u32,
    /// The number of available replicas, or 0 while the status is of an older generation.
    pub available: u32,
    /// The problem that its conditions report, if any.
    pub trouble: Option<Trouble>,
    /// The state of its pods, as far as unidler may read them.
    pub pods: Pods,
    /// The usual duration of its wake-ups, derived from the last ones; `None` before the first.
    pub usual: Option<Duration>,
    /// Its relations to other workloads.
    pub bonds: Bonds,
}

/// The relations of a workload to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bonds {
    /// The workloads that have to be available before its replicas are restored. Those outside the app are not waited
    /// for.
    pub needs: Vec<ObjectId>,
    /// The workload that it sleeps and wakes with, if it is a worker of one.
    pub of: Option<ObjectId>,
    /// Whether it is part of this app only because something in the app needs it, directly or indirectly.
    pub is_need: bool,
    /// Whether something else that is awake uses it.
    pub is_in_use: bool,
    /// Whether it has its replicas because this app is wanted: it is only needed, nothing else uses it, and unidler has
    /// woken it since the app was put to sleep.
    pub is_woken_for_app: bool,
}

/// What a workload was before it was idled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The replicas it had: at least 1, at most the configured maximum.
    pub replicas: u32,
    /// Whether it was written so recently, or at an unknown time, that its writer may still be about to scale the
    /// workload to zero.
    pub is_recent: bool,
    /// Whether it is lost when the visitors of a Service are routed to the app again.
    pub is_fleeting: bool,
}

/// A Service that a route refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its identifier.
    pub id: ObjectId,
    /// The version that decisions about it are based on.
    pub version: Version,
    /// Where its visitors land.
    pub leads: Leads,
}

impl Service {
    /// The effect of its diversion, if it has one.
    #[must_use]
    pub fn effect(&self) -> Option<Effect> {
        match &self.leads {
            Leads::Here(diversion) => Some(diversion.effect),
            Leads::ToApp { .. } | Leads::Elsewhere => None,
        }
    }
}

/// Where the visitors of a Service land.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leads {
    /// At unidler.
    Here(Diversion),
    /// At the app's pods.
    ToApp {
        /// Whether one of them is ready.
        endpoints: Endpoints,
    },
    /// At neither of them.
    Elsewhere,
}

/// The diversion of a Service's visitors to unidler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// Whether it is known where its visitors belong, so that it can be undone.
    pub restorable: bool,
    /// Whether it takes effect. If it does not, it has to be written again.
    pub effect: Effect,
    /// What is known of the app's own endpoints beside it; `None` if the diversion replaces them.
    pub endpoints: Option<Endpoints>,
}

impl Diversion {
    /// A diversion that replaces the app's own endpoints.
    #[must_use]
    pub const fn instead(restorable: bool) -> Self {
        Self {
            restorable,
            effect: Effect::Leads,
            endpoints: None,
        }
    }
}

/// The effect of a diversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It routes visitors to unidler.
    Leads,
    /// It routes visitors to a former address of unidler, or does not cover all of them.
    Astray,
    /// It is absent, although the app is asleep: its visitors reach nothing.
    Gone,
    /// It is absent and has to be created: as far as can be seen, something else has put the app to sleep. Endpoints
    /// that respond behind the Service are evidence against that.
    Missing,
    /// It still routes visitors to unidler, although it should not any more: nobody wants the app woken.
    Unwanted,
}

/// What is known of the endpoints behind a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// At least one is ready.
    Ready,
    /// None is ready.
    NotReady,
    /// They have not been observed. This never counts as success.
    Unknown,
    /// unidler may not read them: the permission is optional, and without it an available workload counts as reachable.
    Forbidden,
}

/// The combined progress of the pods. All of it is optional detail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// The step of the most advanced pod.
    pub step: Option<Step>,
    /// The problem that they report, if any.
    pub trouble: Option<Trouble>,
    /// How often their containers have been restarted.
    pub restarts: u32,
}

/// A problem that keeps an app from getting ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What the problem is.
    pub reason: Reason,
    /// Whether the cluster has given up, or only retries with increasing delays.
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

/// The version of an object, compared for equality only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub String);

impl Workload {
    /// Whether it is up or has to be woken.
    #[must_use]
    pub fn is_part(&self) -> bool {
        self.replicas > 0 || self.record.is_some()
    }
}

impl App {
    /// The workloads that are running or have to be woken. One without replicas and without a [`Record`] was switched
    /// off by something else, and stays off.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &Workload> + Clone {
        self.workloads.iter().filter(|workload| workload.is_part())
    }

    /// The parts that belong to the app itself, and are not only needed by it.
    pub fn own(&self) -> impl DoubleEndedIterator<Item = &Workload> + Clone {
        self.parts().filter(|workload| !workload.bonds.is_need)
    }

    /// The parts that are not available yet. A workload that no longer has replicas may still have pods that respond.
    pub fn waiting(&self) -> impl DoubleEndedIterator<Item = &Workload> + Clone {
        self.parts()
            .filter(|workload| workload.replicas == 0 || workload.available == 0)
    }

    /// How many of its parts are available, if it has several.
    #[must_use]
    pub fn progress(&self) -> Option<Parts> {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let of = count(self.parts().count());
        (of > 1).then(|| Parts {
            up: of - count(self.waiting().count()),
            of,
        })
    }

    /// Whether visitors of one of its Services land here.
    #[must_use]
    pub fn leads_here(&self) -> bool {
        self.services
            .iter()
            .any(|service| matches!(service.leads, Leads::Here(_)))
    }

    /// How often the containers of its pods have been restarted.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        let restarts = self.workloads.iter().map(|workload| workload.pods.restarts);
        restarts.fold(0, u32::saturating_add)
    }

    /// Whether some of its own workloads have their replicas back, while others, or something that they need, do not. A
    /// workload that was never idled may have its replicas while the app is asleep; so may one that the app needs,
    /// unless it was woken for the app.
    #[must_use]
    pub fn is_half_woken(&self) -> bool {
        let is_marked = |workload: &&Workload| workload.record.is_some();
        let is_any_up = self
            .own()
            .filter(is_marked)
            .any(|workload| workload.replicas > 0);
        let is_begun = self
            .workloads
            .iter()
            .any(|workload| workload.replicas > 0 && workload.bonds.is_woken_for_app);
        let mut marked = self.parts().filter(is_marked);
        (is_any_up || is_begun) && marked.any(|workload| workload.replicas == 0)
    }

    /// Whether it waits for a visitor: some of its own workloads have no replicas, and it is not being woken.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        !self.is_half_woken() && self.own().any(|workload| workload.replicas == 0)
    }

    /// How long it takes to wake: as long as its slowest part.
    #[must_use]
    pub fn usual(&self) -> Option<Duration> {
        self.workloads
            .iter()
            .filter_map(|workload| workload.usual)
            .max()
    }
}
