//! Decides which writes idle an app, and when not to idle it.
//!
//! An app must come back in its original state. So everything that a wake-up could not restore is a reason to refuse,
//! and each refusal says what to do instead.

mod checks;
mod external_name;
mod slices;
mod wishes;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context, anyhow, ensure};
use futures::{Stream, StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use unidler::{app::AppId, host::Host, hub::NotIdled, sleep::decide::By};

pub(crate) use self::checks::unserved;
pub use self::{checks::NotPlanned, wishes::Wishes};
pub(crate) use self::{checks::lost_port, slices::unfit};
use self::{external_name::ExternalNamePlan, slices::SlicePlan};
pub use crate::target::Target;
use crate::{
    caches::Caches, diversion::Handover, listing::Listing, operator::Operator,
    settings::ClusterSettings, surroundings::Surroundings,
};

/// How many apps are idled at the same time: most of it is waiting for ingress controllers.
const AT_ONCE: usize = 10;

/// Which apps are to be put to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The apps of these hosts, optionally only in this namespace.
    Hosts(Vec<Host>, Option<String>),
    /// All apps in a namespace that its routes point to.
    Namespace(String),
}

/// An app that is to be put to sleep. It is displayed as its hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The hosts by which it was requested, possibly wildcards. There is at least one.
    hosts: Vec<String>,
    services: Services,
}

/// The Services of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Services {
    /// Those that a host routes to, optionally only in this namespace.
    Of(Host, Option<String>),
    /// These Services of a namespace.
    These(String, BTreeSet<String>),
}

impl App {
    /// Its namespace and the names of its Services, if they are known without reading from the cluster.
    pub(crate) fn services(&self) -> Option<(&str, &BTreeSet<String>)> {
        match &self.services {
            Services::These(namespace, names) => Some((namespace, names)),
            Services::Of(..) => None,
        }
    }

    /// Whether it is known to consist of Services of another one.
    fn is_part_of(&self, other: &Self) -> bool {
        match (self.services(), other.services()) {
            (Some((home, names)), Some((other, all))) => home == other && names.is_subset(all),
            _ => false,
        }
    }

    /// Adds the hosts of another finding of the same app.
    pub(crate) fn also(&mut self, other: Self) {
        for host in other.hosts {
            if !self.hosts.contains(&host) {
                self.hosts.push(host);
            }
        }
    }

    /// The hosts by which it was found, possibly wildcards.
    pub(crate) fn hosts(&self) -> &[String] {
        &self.hosts
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hosts.join(", "))
    }
}

/// The writes that put an app to sleep, each on the condition of the observed state. It is displayed for a dry run.
#[derive(Debug)]
pub enum Plan {
    /// With `EndpointSlice`s of unidler's own.
    Slice(SlicePlan),
    /// With a Service that is an `ExternalName`.
    ExternalName(ExternalNamePlan),
}

impl Plan {
    pub(crate) fn app(&self) -> &AppId {
        match self {
            Self::Slice(plan) => &plan.found.id,
            Self::ExternalName(plan) => &plan.app,
        }
    }

    /// The message after it was carried out.
    #[must_use]
    pub fn done(&self) -> String {
        match self {
            Self::Slice(plan) => plan.done(),
            Self::ExternalName(plan) => plan.done(),
        }
    }

    /// The error after it could not be carried out.
    fn explained(&self, why: &NotIdled) -> anyhow::Error {
        match self {
            Self::Slice(plan) => plan.explained(why),
            Self::ExternalName(plan) => plan.explained(why),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slice(plan) => plan.fmt(f),
            Self::ExternalName(plan) => plan.fmt(f),
        }
    }
}

/// The writes for each requested app.
#[must_use]
pub fn plans(
    asked: &Asked,
    Listing(caches): &Listing,
    surroundings: &Surroundings,
    settings: &ClusterSettings,
    handover: &Handover,
    now: Timestamp,
) -> Vec<(App, Result<Plan, NotPlanned>)> {
    planned(asked, caches, surroundings, settings, handover, now)
}

impl Operator {
    /// Puts apps to sleep, or leaves each unchanged. For each it returns the plan at the last moment, or the reason why
    /// it is not asleep.
    ///
    /// If killed in between, it leaves a running app whose Services point to unidler. The server treats that as an
    /// unfinished wake-up, and routes the visitors back.
    pub fn idle<'a>(
        &'a self,
        asked: &Asked,
        surroundings: &'a Surroundings,
        handover: &'a Handover,
    ) -> impl Stream<Item = (App, Result<Plan, NotPlanned>)> + 'a {
        let now = Timestamp::now();
        let decide = move |app: &App, now| {
            let (caches, settings) = (self.caches(), &self.settings);
            decide(app, caches, surroundings, settings, handover, now)
        };
        let (caches, settings) = (self.caches(), &self.settings);
        let apps = planned(asked, caches, surroundings, settings, handover, now);
        let idle = move |(app, planned): (App, Result<Plan, NotPlanned>)| async move {
            if planned.is_err() {
                return (app, planned);
            }
            // The initial plan may be outdated by now.
            let now = Timestamp::now();
            let mut plan = match decide(&app, now) {
                Ok(plan) => plan,
                Err(why) => return (app, Err(why)),
            };
            let outcome = self.hub.idle(plan.app(), By::Command).await;
            if let Plan::Slice(plan) = &mut plan {
                plan.look_again(self.caches());
            }
            let outcome = outcome.map_err(|why| plan.explained(&why).into());
            (app, outcome.map(|()| plan))
        };
        stream::iter(apps).map(idle).buffered(AT_ONCE)
    }
}

/// Plans each app once, however many hosts it has.
fn planned(
    asked: &Asked,
    caches: &Caches,
    surroundings: &Surroundings,
    settings: &ClusterSettings,
    handover: &Handover,
    now: Timestamp,
) -> Vec<(App, Result<Plan, NotPlanned>)> {
    let apps = match asked {
        Asked::Hosts(hosts, namespace) => hosts
            .iter()
            .map(|host| App {
                hosts: vec![host.to_string()],
                services: Services::Of(host.clone(), namespace.clone()),
            })
            .collect(),
        Asked::Namespace(namespace) => of_namespace(namespace, caches),
    };
    let mut planned: Vec<(App, Result<Plan, NotPlanned>)> = Vec::new();
    for app in apps {
        let plan = decide(&app, caches, surroundings, settings, handover, now);
        let is_same = |(_, other): &&mut (App, Result<Plan, NotPlanned>)| matches!((&plan, other), (Ok(plan), Ok(other)) if plan.app() == other.app());
        match planned.iter_mut().find(is_same) {
            Some((same, _)) => {
                let is_new = |host: &String| !same.hosts.contains(host);
                let hosts: Vec<_> = app.hosts.into_iter().filter(is_new).collect();
                same.hosts.extend(hosts);
            }
            None => planned.push((app, plan)),
        }
    }
    without_parts(planned)
}

/// Leaves out the apps that are refused alone and fall asleep as a part of another one, which precedes them and gets their
/// hosts.
fn without_parts(
    planned: Vec<(App, Result<Plan, NotPlanned>)>,
) -> Vec<(App, Result<Plan, NotPlanned>)> {
    let mut left = Vec::<(App, Result<Plan, NotPlanned>)>::new();
    for (app, plan) in planned {
        let mut wholes = left.iter_mut().filter(|_| plan.is_err());
        match wholes.find(|(other, plan)| plan.is_ok() && app.is_part_of(other)) {
            Some((whole, _)) => whole.also(app),
            None => left.push((app, plan)),
        }
    }
    left
}

/// The apps of a namespace.
fn of_namespace(namespace: &str, caches: &Caches) -> Vec<App> {
    apps(caches, |own| own == namespace)
}

/// All apps.
pub(crate) fn of_cluster(caches: &Caches) -> Vec<App> {
    apps(caches, |_| true)
}

/// The apps whose Services are in some namespaces: in each, those with the most Services first, so that an app that is a part
/// of another one follows it.
fn apps(caches: &Caches, is_wanted: impl Fn(&str) -> bool) -> Vec<App> {
    let routes = caches.routes();
    let mut services = BTreeMap::<(&str, &str), BTreeSet<String>>::new();
    for rule in routes.iter().flat_map(|route| &route.value.rules) {
        let backends = rule.backends.iter();
        for backend in backends.filter(|backend| is_wanted(&backend.namespace)) {
            let of_host = services
                .entry((&backend.namespace, &rule.host))
                .or_default();
            of_host.insert(backend.service.to_string());
        }
    }
    let mut hosts = BTreeMap::<(&str, BTreeSet<String>), Vec<String>>::new();
    for ((namespace, host), services) in services {
        let of_services = hosts.entry((namespace, services)).or_default();
        of_services.push(host.to_owned());
    }
    let app = |((namespace, services), hosts): ((&str, _), _)| App {
        hosts,
        services: Services::These(namespace.to_owned(), services),
    };
    let mut apps: Vec<_> = hosts.into_iter().collect();
    apps.sort_by_cached_key(|((namespace, services), hosts)| {
        (*namespace, Reverse(services.len()), hosts.clone())
    });
    apps.into_iter().map(app).collect()
}

pub(crate) fn decide(
    app: &App,
    caches: &Caches,
    surroundings: &Surroundings,
    settings: &ClusterSettings,
    handover: &Handover,
    now: Timestamp,
) -> Result<Plan, NotPlanned> {
    match handover {
        Handover::Slice => {
            let services = match &app.services {
                Services::Of(host, wanted) => {
                    let services = caches
                        .services_of(host)
                        .with_context(|| unserved(host, caches))?;
                    expect_namespace(&services.0, wanted.as_ref())?;
                    services
                }
                Services::These(namespace, names) => (namespace.clone(), names.clone()),
            };
            slices::decide(&services, caches, surroundings, settings, now).map(Plan::Slice)
        }
        Handover::ExternalName(target) => {
            let Target {
                name, namespace, ..
            } = target;
            caches.services.named(namespace, name).with_context(|| {
                format!(
                    "Service {namespace}/{name} does not exist, so nothing would wake the app: install unidler, or set \
                     --unidler-host to its address"
                )
            })?;
            let host = match &app.services {
                Services::Of(host, _) => host.clone(),
                Services::These(..) => {
                    let mut hosts = app.hosts.iter().filter_map(|host| Host::parse(host).ok());
                    let none = || anyhow!("it has only wildcard hosts: name one of its hosts");
                    hosts.next().ok_or_else(none)?
                }
            };
            let plan = external_name::decide(&host, caches, surroundings, settings, target, now)?;
            let wanted = match &app.services {
                Services::Of(_, wanted) => wanted.as_ref(),
                Services::These(namespace, _) => Some(namespace),
            };
            expect_namespace(&plan.namespace, wanted)?;
            Ok(Plan::ExternalName(plan))
        }
    }
}

fn expect_namespace(namespace: &str, wanted: Option<&String>) -> anyhow::Result<()> {
    ensure!(
        wanted.is_none_or(|wanted| wanted == namespace),
        "its app is in the namespace {namespace}"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
