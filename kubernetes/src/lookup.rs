//! Finds the app of a host.
//!
//! ```text
//!  host ──> rules of routes ──> Services ──> what they select, and what their slices have recorded; in the 2020
//!           exact before wildcard            form, Deployments with the same key in the same namespace
//! ```
//!
//! Requests reach unidler through a Service that currently points to it. So among several candidates one with such a
//! Service is preferred; candidates without an app do not count. Among several namespaces the one with the oldest route
//! wins, as in ingress controllers: permission to create a route allows nobody to block an app or to receive its
//! requests. If several candidates remain, waking one could mean waking the wrong app, so none is woken.

mod adoption;
mod groups;
mod http_routes;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use k8s_openapi::jiff::Timestamp;
use unidler::{app::AppId, host::Host, progress::Reason, start::Start};

pub(crate) use self::{groups::Unmet, http_routes::Defect};
use crate::{
    adoption::Adoption,
    cache::{Cache, Cached},
    caches::{Caches, of_key, of_namespace},
    diversion::slice::Slice,
    found::Found,
    objects::{Backend, HttpRoute, PointsAt, Route, Service, Workload},
};

/// The maximum length of a label value.
const MAX_LABEL: usize = 63;

/// The values that the key label may have for a host: the complete host, as much of it as fits into a label, or its
/// first part.
pub(crate) fn keys_of(host: &Host) -> Vec<&str> {
    let whole = host.as_str();
    // A host is ASCII.
    let cut = &whole[..whole.len().min(MAX_LABEL)];
    let mut keys = vec![cut, cut.trim_end_matches(['-', '.']), host.first_label()];
    keys.dedup();
    keys
}

/// A possible app: a Service, the Deployment behind it, and the routes that point to it.
struct Candidate {
    routes: Vec<Arc<Cached<Route>>>,
    deployment: Arc<Cached<Workload>>,
    service: Arc<Cached<Service>>,
}

impl Candidate {
    /// How likely it is that a visitor who reaches unidler wants this app: only if its Service points to unidler.
    fn rank(&self) -> (bool, bool) {
        let is_here = self.is_here();
        (is_here, is_here && self.deployment.value.idled)
    }

    fn is_here(&self) -> bool {
        self.service.value.points_at == PointsAt::Unidler
    }

    /// When the first of its routes was created. `None` counts as never.
    fn since(&self) -> Option<Timestamp> {
        let routes = self.routes.iter();
        routes.filter_map(|route| route.value.created).min()
    }

    fn id(&self) -> AppId {
        AppId::new(&format!(
            "{}/{}/{}",
            self.service.namespace, self.service.name, self.deployment.name
        ))
    }
}

/// Why no app was found, and which objects were examined.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NotFound {
    pub(crate) reason: Reason,
    pub(crate) involved: Vec<Involved>,
}

/// An object that was examined. It is logged as `Ingress team/tool`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Involved {
    Route(Arc<Cached<Route>>),
    Service(Arc<Cached<Service>>),
    Workload(Arc<Cached<Workload>>),
    /// A missing object, in words.
    Gone(String),
}

impl fmt::Display for Involved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(route) => route.fmt(f),
            Self::Service(service) => service.fmt(f),
            Self::Workload(deployment) => deployment.fmt(f),
            Self::Gone(words) => f.write_str(words),
        }
    }
}

/// The objects, for the log.
impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let involved: Vec<_> = self.involved.iter().map(ToString::to_string).collect();
        f.write_str(&involved.join(", "))
    }
}

/// The hosts of rules that can serve a host, in the order in which controllers use them: the host itself, then
/// wildcards, the longest first.
fn rules_for(host: &Host) -> impl Iterator<Item = String> {
    fn parent(name: &str) -> Option<&str> {
        name.split_once('.').map(|(_, parent)| parent)
    }
    let parents = std::iter::successors(parent(host.as_str()), |name| parent(name));
    std::iter::once(host.as_str().to_owned())
        .chain(parents.map(|parent| format!("*.{parent}")))
        .chain([HttpRoute::ALL.to_owned()])
}

/// A rule that serves a host, with the routes that have it.
struct Served {
    rule: String,
    routes: Vec<Arc<Cached<Route>>>,
}

impl Served {
    /// The backends of the rule, each with its route: those of the oldest route first, as in the Gateway API.
    fn backends(&self) -> Vec<(&Cached<Route>, &Backend)> {
        let mut routes: Vec<_> = self.routes.iter().map(|route| &**route).collect();
        routes.sort_by_key(|route| (route.value.created, &route.namespace, &route.name));
        let backends = routes.into_iter().flat_map(|route| {
            let backends = route.value.backends(&self.rule);
            backends.map(move |backend| (route, backend))
        });
        backends.collect()
    }
}

impl Caches {
    /// All routes.
    pub(crate) fn routes(&self) -> Vec<Arc<Cached<Route>>> {
        let http_routes = self.http_routes.all();
        let http_routes = http_routes.iter().filter_map(|route| self.served(route));
        self.ingresses
            .all()
            .into_iter()
            .chain(http_routes)
            .collect()
    }

    /// The routes that point to a Service.
    pub(crate) fn routes_to(&self, namespace: &str, service: &str) -> Vec<Arc<Cached<Route>>> {
        let mut routes = self.ingresses.get(&of_namespace(namespace, service));
        routes.extend(self.http_routes_to(namespace, service));
        routes
    }

    /// The rules that serve a host: exact before wildcard, a longer wildcard before a shorter one.
    fn serving(&self, host: &Host) -> Vec<Served> {
        // Listeners may cut a wildcard to an exact host.
        let naming = self.naming(host);
        let http_routes: Vec<_> = naming
            .iter()
            .filter_map(|route| self.served(route))
            .collect();
        let served = rules_for(host).map(|rule| {
            let mut routes = self.ingresses.get(&rule);
            routes.extend(http_routes.iter().cloned());
            routes.retain(|route| {
                let mut rules = route.value.rules.iter();
                rules.any(|own| own.host == rule && route.value.serves(own, host))
            });
            Served { rule, routes }
        });
        served.filter(|served| !served.routes.is_empty()).collect()
    }

    /// The rules of all routes.
    fn rules(&self) -> impl Iterator<Item = Served> {
        let mut rules = BTreeMap::<String, Vec<_>>::new();
        for route in self.routes() {
            let hosts: BTreeSet<_> = route.value.rules.iter().map(|rule| &rule.host).collect();
            for host in hosts {
                let same = rules.entry(host.clone()).or_default();
                same.push(Arc::clone(&route));
            }
        }
        let rules = rules.into_iter();
        rules.map(|(rule, routes)| Served { rule, routes })
    }

    /// Finds the app of a host.
    pub(crate) fn find(&self, host: &Host) -> Result<Found, NotFound> {
        let rules = self.serving(host);
        let mut error = None;
        // Controllers prefer an exact host to a wildcard, if it has a backend. An exact host without an app does not
        // hide an app that points here: anybody may have created that route.
        let mut leads_elsewhere = false;
        for served in &rules {
            let sliced = self.sliced(served, true);
            if let Some(found) = sliced.or_else(|| self.just_woken(served)) {
                return found;
            }
            match self.decided(served, Some(host)) {
                Ok(found) if found.is_here() || !leads_elsewhere => return Ok(self.marked(found)),
                Ok(_) => {}
                Err(why) => error = error.or(why),
            }
            leads_elsewhere |= self.leads_anywhere(served);
        }
        // An app that is awake again is still found.
        let awake = rules.iter().find_map(|served| self.sliced(served, false));
        awake.unwrap_or_else(|| Err(error.unwrap_or_else(|| self.nobodys(host))))
    }

    /// The app of the Services that a rule points to and that have slices of unidler's own: those whose visitors are
    /// diverted now, or those whose visitors were diverted before. `None` if there are none.
    fn sliced(&self, served: &Served, is_here: bool) -> Option<Result<Found, NotFound>> {
        let is_wanted = |backend: &Backend| {
            let service = self.services.named(&backend.namespace, &backend.service);
            let slice = self.slice_of(&backend.namespace, &backend.service);
            service.is_some_and(|service| service.value.points_at == PointsAt::Pods)
                && slice.is_some_and(|slice| slice.value.diverts() == is_here)
        };
        let mut wanted = served.backends();
        wanted.retain(|(_, backend)| is_wanted(backend));
        // As above: among several namespaces, the oldest claim wins.
        let namespace = &wanted.first()?.1.namespace;
        let names: BTreeSet<&str> = wanted
            .iter()
            .filter(|(_, backend)| backend.namespace == *namespace)
            .map(|(_, backend)| &*backend.service)
            .collect();
        Some(self.of_services(namespace, &names))
    }

    /// The same, if it was woken recently: requests that its ingress still routes here do not belong to another app.
    fn just_woken(&self, served: &Served) -> Option<Result<Found, NotFound>> {
        let now = Timestamp::now();
        self.sliced(served, false).filter(|found| {
            found.as_ref().is_ok_and(|found| {
                let mut slices = found.slices.iter();
                slices.any(|slice| slice.value.was_here_lately(now))
            })
        })
    }

    /// The app of some Services of a namespace. It consists of the workloads that they select now, and those that their
    /// slices have recorded.
    pub(crate) fn of_services(
        &self,
        namespace: &str,
        names: &BTreeSet<&str>,
    ) -> Result<Found, NotFound> {
        let gone = |reason, kind: &str, name: &str| NotFound {
            reason,
            involved: vec![Involved::Gone(format!("{kind} {namespace}/{name}"))],
        };
        let joined: Vec<_> = names.iter().copied().collect();
        let joined = joined.join("+");
        let services: Vec<_> = names
            .iter()
            .filter_map(|name| self.services.named(namespace, name))
            .collect();
        if services.is_empty() {
            return Err(gone(Reason::NoService, "Service", &joined));
        }
        let mut slices: Vec<_> = names
            .iter()
            .filter_map(|name| self.slice_of(namespace, name))
            .collect();
        let unread = || NotFound {
            reason: Reason::PermissionMissing,
            involved: Vec::new(),
        };
        let mut all_recorded = slices.iter().flat_map(|slice| slice.value.recorded());
        if all_recorded.any(|recorded| self.is_unread(&recorded.workload)) {
            return Err(unread());
        }
        let recorded = |service: &Arc<Cached<Service>>| {
            let slice = slices
                .iter()
                .find(|slice| *slice.value.service == *service.name);
            let recorded = slice.iter().flat_map(|slice| slice.value.recorded());
            let recorded = recorded.filter_map(|each| self.workload(namespace, &each.workload));
            recorded.collect::<Vec<_>>()
        };
        let behind = |service: &Arc<Cached<Service>>| {
            let mut workloads = recorded(service);
            workloads.retain(|workload| workload.value.lacks(&service.value.selector).is_none());
            workloads.extend(self.selected(service));
            workloads
        };
        let by_name = |workload: Arc<Cached<Workload>>| (workload.to_string(), workload);
        let visited: BTreeMap<_, _> = services.iter().flat_map(behind).map(by_name).collect();
        let names_of_visited: BTreeSet<_> = visited.keys().cloned().collect();
        let mut workloads = self.with_workers(visited);
        let mut group = self.group(&workloads, &names_of_visited);
        // A recorded workload that no longer belongs to the app in any other way only counts while it sleeps because of
        // that. Permission to write a slice may not include permission to scale.
        let is_left = |workload: &Arc<Cached<Workload>>| {
            let is_same = |need: &Arc<Cached<Workload>>| need.id() == workload.id();
            workload.value.taken.is_some() && !group.needs.iter().any(is_same)
        };
        let left = services.iter().flat_map(recorded).filter(is_left);
        let left: Vec<_> = left
            .map(by_name)
            .filter(|(name, _)| !workloads.contains_key(name))
            .collect();
        if !left.is_empty() {
            workloads.extend(left);
            group = self.group(&workloads, &names_of_visited);
        }
        let asleep = workloads.values().chain(&group.needs);
        for slice in self.recording(asleep) {
            let is_same = |own: &Arc<Cached<Slice>>| own.id() == slice.id();
            if !slices.iter().any(is_same) {
                slices.push(slice);
            }
        }
        let mut members = workloads.values().chain(&group.needs);
        if members.any(|workload| self.needs_unread(&workload.value)) {
            return Err(unread());
        }
        if workloads.is_empty() {
            return Err(gone(Reason::NoWorkload, "what is behind Service", &joined));
        }
        let routes: BTreeMap<_, _> = names
            .iter()
            .flat_map(|name| self.routes_to(namespace, name))
            .map(|route| (route.to_string(), route))
            .collect();
        let mut found = Found {
            id: AppId::new(&format!("{namespace}/{joined}")),
            routes: routes.into_values().collect(),
            services,
            workloads: workloads.into_values().collect(),
            group,
            slices,
            home: self.home(namespace),
            adoption: Adoption::Unknown,
            adopted: HashMap::new(),
            scaled_objects: Vec::new(),
        };
        self.adopt(&mut found);
        Ok(found)
    }

    /// The Services of the oldest namespace that claims a host, whatever is behind them: exact before wildcard.
    pub(crate) fn services_of(&self, host: &Host) -> Option<(String, BTreeSet<String>)> {
        self.serving(host).iter().find_map(|served| {
            let backends = served.backends();
            let namespace = &backends.first()?.1.namespace;
            let own = backends
                .iter()
                .filter(|(_, backend)| backend.namespace == *namespace);
            let names = own.map(|(_, backend)| backend.service.to_string());
            Some((namespace.to_string(), names.collect()))
        })
    }

    fn leads_anywhere(&self, served: &Served) -> bool {
        let backends = served.backends().into_iter();
        let mut services =
            backends.map(|(_, backend)| self.services.named(&backend.namespace, &backend.service));
        services.any(|service| service.is_some())
    }

    /// The app with an identifier.
    pub(crate) fn app(&self, id: &AppId) -> Result<Found, NotFound> {
        if let Some((namespace, services)) = id.as_str().split_once('/')
            && !services.contains('/')
        {
            return self.of_services(namespace, &services.split('+').collect());
        }
        let mut names = id.as_str().split('/');
        let mut name = || names.next().unwrap_or_default();
        let (namespace, service_name, deployment_name) = (name(), name(), name());
        let gone = |reason, kind: &str, name: &str| NotFound {
            reason,
            involved: vec![Involved::Gone(format!("{kind} {namespace}/{name}"))],
        };
        let service = self.services.named(namespace, service_name);
        let service = service.ok_or_else(|| gone(Reason::NoService, "Service", service_name))?;
        let deployment = self.deployments.named(namespace, deployment_name);
        let deployment =
            deployment.ok_or_else(|| gone(Reason::NoWorkload, "Deployment", deployment_name))?;
        let routes = self.routes_to(namespace, service_name);
        if routes.is_empty() {
            return Err(gone(Reason::NoRoute, "Service", service_name));
        }
        let found = Candidate {
            routes,
            deployment,
            service,
        };
        Ok(self.marked(found))
    }

    /// An app that is idled with marks. They do not record the workloads that it needs, which are woken with it and
    /// otherwise left alone.
    fn marked(&self, candidate: Candidate) -> Found {
        let id = candidate.id();
        let Candidate {
            routes,
            deployment,
            service,
        } = candidate;
        let workloads = BTreeMap::from([(deployment.to_string(), deployment)]);
        let mut group = self.group(&workloads, &workloads.keys().cloned().collect());
        group.hold_needs();
        let slices = self.recording(group.needs.iter());
        Found {
            id,
            home: self.home(&service.namespace),
            routes,
            services: vec![service],
            workloads: workloads.into_values().collect(),
            group,
            slices,
            adoption: Adoption::Off,
            adopted: HashMap::new(),
            scaled_objects: Vec::new(),
        }
    }

    /// The slices that record how many replicas some workloads had until unidler scaled them to zero.
    fn recording<'a>(
        &self,
        workloads: impl Iterator<Item = &'a Arc<Cached<Workload>>>,
    ) -> Vec<Arc<Cached<Slice>>> {
        let taken = workloads.filter(|each| each.value.taken.is_some());
        let slices = taken.flat_map(|workload| {
            let Cached {
                namespace, name, ..
            } = &**workload;
            self.slices.get(&of_namespace(namespace, name))
        });
        slices.collect()
    }

    /// All apps that a host routes to. While one of its Services points to unidler, other Services of a Deployment do
    /// not make it another app.
    pub(crate) fn apps(&self) -> Vec<Found> {
        let candidates = self.rules().flat_map(|served| {
            let host = Host::parse(&served.rule).ok();
            self.candidates(&served, host.as_ref()).into_values()
        });
        let apps: BTreeMap<_, _> = candidates
            .flatten()
            .map(|found| (found.id().as_str().to_owned(), found))
            .collect();
        let id = |found: &Candidate| {
            (
                found.deployment.namespace.clone(),
                found.deployment.name.clone(),
            )
        };
        let here: HashSet<_> = apps
            .values()
            .filter(|found| found.is_here())
            .map(id)
            .collect();
        let labelled = apps
            .into_values()
            .filter(|found| found.is_here() || !here.contains(&id(found)))
            // Apps that sleep with a slice follow below, even if they have a key.
            .filter(|found| found.is_here() || !self.sleeps_by_slice(found))
            .map(|found| self.marked(found));
        let slices = self.slices.all();
        let diverted = slices.iter().filter(|slice| slice.value.diverts());
        let lost = self.lost();
        // Each Service by itself: half-done work on one is finished, whichever hosts route to it.
        let diverted = diverted.filter_map(|slice| {
            let names = BTreeSet::from([&*slice.value.service]);
            self.of_services(&slice.namespace, &names).ok()
        });
        labelled.chain(diverted).chain(lost).collect()
    }

    fn sleeps_by_slice(&self, found: &Candidate) -> bool {
        let Cached {
            namespace, name, ..
        } = &*found.service;
        found.deployment.value.taken.is_some() || self.is_diverted(namespace, name)
    }

    /// The sleeping apps whose Services route to nothing: either unidler has put them to sleep, and the slice was
    /// deleted or another Service routes to the same workload; or something else has, and unidler adopts them.
    fn lost(&self) -> Vec<Found> {
        let (mut taken, mut at_zero) = (HashSet::new(), HashSet::new());
        for workload in self.workloads().flat_map(Cache::all) {
            if workload.value.taken.is_some() {
                taken.insert(workload.namespace.clone());
            } else if workload.value.replicas == 0 {
                at_zero.insert(workload.namespace.clone());
            }
        }
        let mut services = self.services.all();
        services.retain(|service| {
            let Cached {
                namespace,
                name,
                value,
                ..
            } = &**service;
            let may_be_lost = || {
                let routes = self.routes_to(namespace, name);
                let is_adopted = || self.adoption(namespace, [&**name], &routes).is_on();
                !routes.is_empty() && (taken.contains(namespace) || is_adopted())
            };
            (taken.contains(namespace) || at_zero.contains(namespace))
                && value.unfit().is_none()
                && !self.is_diverted(namespace, name)
                && may_be_lost()
        });
        let found = services.into_iter().filter_map(|service| {
            let names = BTreeSet::from([&*service.name]);
            let found = self.of_services(&service.namespace, &names).ok()?;
            let is_lost = found.is_lost(&service);
            (is_lost && (!found.is_to_adopt(&service) || Self::is_fit(&found))).then_some(found)
        });
        found.collect()
    }

    /// A host that routes to a Service of an app, and to another Service that is awake and would not work without the
    /// first.
    pub(crate) fn shared(&self, found: &Found) -> Option<String> {
        let is_awake = |Backend {
                            namespace, service, ..
                        }: &Backend| {
            let named = self.services.named(namespace, service);
            named.is_some_and(|service| service.value.points_at == PointsAt::Pods)
                && !self.is_diverted(namespace, service)
        };
        let mut hosts = found.hosts().into_iter();
        let host = hosts.find(|host| self.beside(found, host).iter().any(is_awake));
        host.map(ToOwned::to_owned)
    }

    /// The Services that unidler keeps asleep and to which hosts are routed that are also routed to a Service of an app: what is
    /// behind one host falls asleep as a whole, and would not work while only a part of it is awake. What visitors of the app
    /// have to do has to be enough to wake them.
    pub(crate) fn companions(&self, found: &Found) -> Vec<Found> {
        let Some(namespace) = found.services.first().map(|own| &*own.namespace) else {
            return Vec::new();
        };
        let is_asleep = |backend: &Backend| {
            let slice = self.slice_of(namespace, &backend.service);
            *backend.namespace == *namespace
                && slice.is_some_and(|slice| slice.value.diverts() && !slice.value.is_adopted())
        };
        let hosts = found.hosts().into_iter();
        let others = hosts.flat_map(|host| self.beside(found, host));
        let names: BTreeSet<_> = others
            .filter(is_asleep)
            .map(|other| other.service)
            .collect();
        let is_by_button = found.start() == Start::Button;
        let found = names.into_iter().filter_map(|name| {
            let found = self.of_services(namespace, &[&*name].into()).ok()?;
            let is_enough =
                found.start() == Start::Visit || (found.start() == Start::Button && is_by_button);
            is_enough.then_some(found)
        });
        found.collect()
    }

    /// What a host, possibly a wildcard, is routed to besides the Services of an app.
    fn beside(&self, found: &Found, host: &str) -> Vec<Backend> {
        let mut routes = self.ingresses.get(host);
        // A listener may cut a route for a wildcard to a narrower one: those that name any host of the wildcard.
        if let Ok(host) = Host::parse(&host.replace('*', "any")) {
            let http_routes = self.naming(&host);
            routes.extend(http_routes.iter().filter_map(|route| self.served(route)));
        }
        let is_other = |backend: &&Backend| {
            let mut own = found.services.iter();
            own.all(|own| !backend.is_of(&own.namespace, &own.name))
        };
        let backends = routes.iter().flat_map(|route| route.value.backends(host));
        backends.filter(is_other).cloned().collect()
    }

    /// The hosts of all rules with their backends: the oldest claim first.
    pub(crate) fn claims(&self) -> Vec<(String, Vec<Backend>)> {
        let claims = self.rules().map(|served| {
            let backends = served.backends().into_iter();
            let backends = backends.map(|(_, backend)| backend.clone()).collect();
            (served.rule, backends)
        });
        claims.collect()
    }

    /// The hosts of rules that should route to an app but do not, with the reason.
    pub(crate) fn not_found(&self) -> Vec<(String, NotFound)> {
        let not_found = |served: Served| {
            let host = Host::parse(&served.rule).ok();
            let why = self.decided(&served, host.as_ref()).err()??;
            Some((served.rule, why))
        };
        self.rules().filter_map(not_found).collect()
    }

    /// The app that a rule routes to. The error is `None` if it routes to none.
    fn decided(&self, served: &Served, host: Option<&Host>) -> Result<Candidate, Option<NotFound>> {
        let (apps, others): (Vec<_>, Vec<_>) = self
            .candidates(served, host)
            .into_values()
            .partition(Result::is_ok);
        let mut apps: Vec<Candidate> = apps.into_iter().flatten().collect();
        let Some(highest) = apps.iter().map(Candidate::rank).max() else {
            return Err(others.into_iter().find_map(Result::err));
        };
        apps.retain(|app| app.rank() == highest);
        // If several namespaces claim the same host, the oldest claim wins in ingress controllers and in the Gateway
        // API.
        let claims = apps
            .iter()
            .filter_map(|app| Some((app.since()?, app.service.namespace.clone())));
        if let Some((since, namespace)) = claims.min_by_key(|(since, _)| *since) {
            apps.retain(|app| app.service.namespace == namespace || app.since() == Some(since));
        }
        let is_one_namespace = apps
            .iter()
            .all(|other| other.service.namespace == apps[0].service.namespace);
        // Other paths of the host may route to other apps. The app with the key of the host is the one that is named
        // after it.
        let keys = host.map(keys_of).unwrap_or_default();
        let has_key = |app: &Candidate| {
            app.deployment
                .key
                .as_deref()
                .is_some_and(|key| keys.contains(&key))
        };
        if is_one_namespace && apps.iter().any(has_key) {
            apps.retain(has_key);
        }
        // Several Services of one Deployment are woken one after the other.
        if apps
            .iter()
            .all(|other| Arc::ptr_eq(&other.deployment, &apps[0].deployment))
        {
            // The Service with the Deployment's own key is the one that routes to its pods.
            let is_own = |app: &Candidate| {
                app.service.key.is_some() && app.service.key == app.deployment.key
            };
            let own = apps.iter().position(is_own).unwrap_or_default();
            return Ok(apps.swap_remove(own));
        }
        let reason = if is_one_namespace {
            Reason::AmbiguousService
        } else {
            Reason::AmbiguousRoute
        };
        let involved = apps.iter().flat_map(|app| {
            let routes = app.routes.iter().cloned().map(Involved::Route);
            routes.chain([
                Involved::Service(Arc::clone(&app.service)),
                Involved::Workload(Arc::clone(&app.deployment)),
            ])
        });
        Err(Some(NotFound {
            reason,
            involved: involved.collect(),
        }))
    }

    /// The app of each Service that a rule points to, if anything shows that it belongs to one. By namespace and name.
    fn candidates(
        &self,
        served: &Served,
        host: Option<&Host>,
    ) -> BTreeMap<(String, String), Result<Candidate, NotFound>> {
        let mut candidates = BTreeMap::new();
        for (route, backend) in served.backends() {
            let id = (backend.namespace.to_string(), backend.service.to_string());
            if let Some(candidate) = (!candidates.contains_key(&id))
                .then(|| self.behind(route, backend, host))
                .flatten()
            {
                candidates.insert(id, candidate);
            }
        }
        candidates
    }

    /// The app that a Service belongs to; `None` if the Service is irrelevant to unidler.
    fn behind(
        &self,
        route: &Cached<Route>,
        Backend {
            namespace,
            service: name,
            ..
        }: &Backend,
        host: Option<&Host>,
    ) -> Option<Result<Candidate, NotFound>> {
        let routes = self.routes_to(namespace, name);
        let involved = |more: Vec<Involved>| {
            let routes = routes.iter().cloned().map(Involved::Route);
            routes.chain(more).collect()
        };
        let Some(service) = self.services.named(namespace, name) else {
            let involved = involved(vec![Involved::Gone(format!(
                "Service {namespace}/{name}, which does not exist"
            ))]);
            return route.key.as_ref().map(|_| {
                Err(NotFound {
                    reason: Reason::NoService,
                    involved,
                })
            });
        };
        let own = service
            .key
            .iter()
            .chain(routes.iter().filter_map(|route| route.key.as_ref()))
            .map(String::as_str);
        let keys = own.chain(host.map(keys_of).unwrap_or_default());
        let with_key = |key: &str| self.deployments.get(&of_namespace(namespace, key));
        let deployments = keys
            .map(with_key)
            .find(|deployments| !deployments.is_empty())
            .unwrap_or_default();
        let is_labelled = service.key.is_some() || routes.iter().any(|route| route.key.is_some());
        let mut idled = deployments
            .iter()
            .filter(|deployment| deployment.value.idled);
        let deployment = match (&*deployments, idled.next(), idled.next()) {
            ([only], ..) => only,
            (_, Some(only), None) => only,
            ([], ..) if is_labelled || service.value.points_at == PointsAt::Unidler => {
                let involved = involved(vec![Involved::Service(Arc::clone(&service))]);
                return Some(Err(NotFound {
                    reason: Reason::NoWorkload,
                    involved,
                }));
            }
            ([], ..) => return None,
            (several, ..) => {
                let involved = involved(several.iter().cloned().map(Involved::Workload).collect());
                return Some(Err(NotFound {
                    reason: Reason::AmbiguousWorkload,
                    involved,
                }));
            }
        };
        Some(Ok(Candidate {
            deployment: Arc::clone(deployment),
            service,
            routes,
        }))
    }

    /// The reason why a host routes to no app.
    fn nobodys(&self, host: &Host) -> NotFound {
        let labelled: Vec<_> = keys_of(host)
            .into_iter()
            .flat_map(|key| self.ingresses.get(&of_key(key)))
            .collect();
        let reason = if labelled.is_empty() {
            Reason::NoRoute
        } else {
            Reason::HostNotServed
        };
        NotFound {
            reason,
            involved: labelled.into_iter().map(Involved::Route).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
