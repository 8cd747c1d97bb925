//! An app as the engine sees it: Services that visitors come through, and workloads that run behind them.
//!
//! Nothing here knows a kind of object. Whoever observes a cluster gives each object an [`ObjectId`], and gets it back
//! with each [`Write`](crate::cluster::Write).

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    probe::Probes,
    progress::{Parts, Reason, Step},
    sleep::moment::Moment,
    start::Start,
};

/// Which app. Only a [`Cluster`](crate::cluster::Cluster) can read it; everybody else compares. Several hosts may lead to
/// one app.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppId(Arc<str>);

/// Which object of an app. Only a [`Cluster`](crate::cluster::Cluster) can read it; everybody else compares.
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

            /// The name that the cluster gave it.
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

/// An app as observed, or why there is no telling which app it is.
pub type Observation = Result<App, Reason>;

/// An app as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Whether this is current as far as anybody can know.
    pub connected: bool,
    /// What its operators call it, for visitors: at most 80 characters.
    pub title: Option<String>,
    /// What is answered for it while it sleeps.
    pub probes: Probes,
    /// What it takes to wake it.
    pub start: Start,
    /// When it wakes by itself, if it sleeps and that is known.
    pub wakes: Option<Moment>,
    /// The Services that its routes lead to: each once, in an order that stays the same.
    pub services: Vec<Service>,
    /// What runs behind them, with its workers, and what all of those need: each once, in an order that stays the same.
    pub workloads: Vec<Workload>,
}

/// Something with replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Which one.
    pub id: ObjectId,
    /// The version of what is decided on.
    pub version: Version,
    /// What it was before it was idled; `None` if it is not.
    pub record: Option<Record>,
    /// The replicas that are asked for.
    pub replicas: u32,
    /// The replicas that are available, or 0 while the status is that of an older generation.
    pub available: u32,
    /// What its conditions complain of.
    pub trouble: Option<Trouble>,
    /// Its pods, where they may be read.
    pub pods: Pods,
    /// How long its last wake-ups took, taken together; `None` before the first.
    pub usual: Option<Duration>,
    /// What else it has to do with.
    pub bonds: Bonds,
}

/// What a workload has to do with others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bonds {
    /// What has to be available before it gets its replicas. What is not of the app is not waited for.
    pub needs: Vec<ObjectId>,
    /// The workload that it sleeps and wakes with, if it is a worker of one.
    pub of: Option<ObjectId>,
    /// Whether it is of this app only because something in it needs it, directly or not.
    pub is_need: bool,
    /// Whether something else uses it that is awake.
    pub is_in_use: bool,
    /// Whether it has its replicas because somebody wants this app: it is only needed, nothing else has a use for it, and
    /// unidler has woken it since the app was put to sleep.
    pub is_woken_for_app: bool,
}

/// What a workload was before it was idled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The replicas it had: at least 1, at most the configured maximum.
    pub replicas: u32,
    /// Whether it was written so lately, or nobody knows when, that whoever did that may still be about to take the
    /// replicas.
    pub is_recent: bool,
    /// Whether it is lost when the visitors of a Service are led to the app again.
    pub is_fleeting: bool,
}

/// What a route leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which one.
    pub id: ObjectId,
    /// The version of what is decided on.
    pub version: Version,
    /// Where its visitors land.
    pub leads: Leads,
}

impl Service {
    /// What that which leads its visitors here does, if anything does.
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
    /// Here.
    Here(Diversion),
    /// At the app's pods.
    ToApp {
        /// Whether one of them answers.
        endpoints: Endpoints,
    },
    /// At something that is neither.
    Elsewhere,
}

/// What leads the visitors of a Service here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// Whether it is known where they have to land instead.
    pub restorable: bool,
    /// Whether it does that. If not, it has to be written again.
    pub effect: Effect,
    /// What is known of the app's own endpoints beside it; `None` where there are none as long as it is there.
    pub endpoints: Option<Endpoints>,
}

impl Diversion {
    /// One that takes the place of the app's own endpoints.
    #[must_use]
    pub const fn instead(restorable: bool) -> Self {
        Self {
            restorable,
            effect: Effect::Leads,
            endpoints: None,
        }
    }
}

/// What a diversion does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It leads visitors here.
    Leads,
    /// It leads them where unidler was before, or not all of them.
    Astray,
    /// It is not there, although the app is asleep: its visitors reach nobody.
    Gone,
    /// It is not there, and is to be: something else has put the app to sleep, so far as that is seen. What answers behind the Service
    /// speaks against it.
    Missing,
    /// It leads visitors here who are not to come here any more: nobody wants the app woken.
    Unwanted,
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
    /// They may not be read: the permission is optional, and without it a workload that is available is believed.
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
    /// The workloads that are up or have to be woken. One that has no replicas and no [`Record`] was switched off by
    /// somebody else, and stays off.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &Workload> + Clone {
        self.workloads.iter().filter(|workload| workload.is_part())
    }

    /// Those of its parts that are its own, and not only needed.
    pub fn own(&self) -> impl DoubleEndedIterator<Item = &Workload> + Clone {
        self.parts().filter(|workload| !workload.bonds.is_need)
    }

    /// Those of its parts that are not available yet. What has no replicas any more may still have pods that answer.
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

    /// How often the containers of its pods have been started again.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        let restarts = self.workloads.iter().map(|workload| workload.pods.restarts);
        restarts.fold(0, u32::saturating_add)
    }

    /// Whether some of its own workloads have their replicas back, and others do not, or what they need. A workload that was
    /// never idled may have its replicas while the app is asleep; so may what the app needs, unless that was woken for it.
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
