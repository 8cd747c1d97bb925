//! The kinds that are watched for the whole process, and the terms by which their objects are found.
//!
//! Another kind is another field here, with a line in [`Caches::new`], [`Caches::of`], [`Caches::fill`] and
//! [`Caches::all`]. Operators name further kinds of custom workloads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use futures::future::{OptionFuture, join_all};
use k8s_openapi::api::{
    apps::v1::{Deployment as KubeDeployment, StatefulSet as KubeStatefulSet},
    core::v1::{Namespace as KubeNamespace, Service as KubeService},
    discovery::v1::EndpointSlice,
    networking::v1::Ingress as KubeIngress,
};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Client,
    core::{ApiResource, DynamicObject},
};
use tokio::sync::watch;
use unidler::progress::Reason;

use crate::{
    cache::{Cache, Cached, Contact, Kept},
    client::Source,
    diversion::slice::{MANAGED_BY, Slice, WorkloadName},
    found::Found,
    objects::{
        Controller, Destination, Gateway, Grant, HttpRoute, Namespace, Route, Scalable,
        ScaledObject, Service, Workload, WorkloadKind,
        bonds::{Named, Need},
        gateway_api, group_of,
        scaled_object::KedaScaledObject,
    },
    settings::ClusterSettings,
};

/// The maximum length of a chain of workloads that own each other.
const MAX_MAKERS: usize = 4;
/// Namespaces of the cluster itself, which the admission policies protect as well.
const PROTECTED: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The kinds that every app depends on.
const REQUIRED: [&str; 4] = ["Ingresses", "Deployments", "Services", "EndpointSlices"];

/// All objects that apps are looked up in.
#[derive(Debug)]
pub(crate) struct Caches {
    /// The name of unidler as a manager of objects.
    pub(crate) manager: Box<str>,
    /// The namespace of its own Service.
    pub(crate) own_namespace: Box<str>,
    pub(crate) ingresses: Cache<Route>,
    pub(crate) http_routes: Cache<HttpRoute>,
    pub(crate) gateways: Cache<Gateway>,
    pub(crate) grants: Cache<Grant>,
    pub(crate) deployments: Cache<Workload>,
    pub(crate) stateful_sets: Cache<Workload>,
    pub(crate) custom: Box<[CustomKind]>,
    pub(crate) services: Cache<Service>,
    /// The slices that belong to unidler.
    pub(crate) slices: Cache<Slice>,
    /// The maximum number of replicas to restore for an app.
    pub(crate) max_replicas: u32,
    /// Whether these are the caches of the server, which adopts apps.
    pub(crate) is_server: bool,
    /// `None` if nothing depends on them, or if unidler may not list them.
    pub(crate) namespaces: Option<Cache<Namespace>>,
    /// The `ScaledObject`s of KEDA. Only adoption uses them.
    pub(crate) scaled_objects: Option<Cache<ScaledObject>>,
}

/// The workloads of a custom kind.
#[derive(Debug)]
pub(crate) struct CustomKind {
    scalable: Scalable,
    /// Their human-readable name.
    name: String,
    /// Whether the API server did not have the kind when it was asked for a list.
    is_absent: bool,
    workloads: Cache<Workload>,
}

impl CustomKind {
    fn new(scalable: Scalable, workloads: Cache<Workload>) -> Self {
        Self {
            name: scalable.plural(),
            is_absent: false,
            scalable,
            workloads,
        }
    }

    /// Returns the parser of its objects, which share the description of their kind.
    fn parse(scalable: &Scalable) -> impl Fn(DynamicObject) -> Workload {
        let kind = OnceLock::new();
        move |object| {
            let workload = Workload::parse_custom(object, scalable, kind.get());
            kind.get_or_init(|| Arc::clone(&workload.kind));
            workload
        }
    }
}

/// All objects that apps can be made of, as the API server lists them.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) ingresses: Vec<KubeIngress>,
    pub(crate) http_routes: Vec<gateway_api::HttpRoute>,
    pub(crate) gateways: Vec<gateway_api::Gateway>,
    pub(crate) grants: Vec<gateway_api::ReferenceGrant>,
    pub(crate) deployments: Vec<KubeDeployment>,
    pub(crate) stateful_sets: Vec<KubeStatefulSet>,
    /// The objects of each custom kind; `None` if the cluster does not have the kind.
    pub(crate) custom: Vec<(Scalable, Option<Vec<DynamicObject>>)>,
    pub(crate) services: Vec<KubeService>,
    pub(crate) slices: Vec<EndpointSlice>,
    pub(crate) namespaces: Option<Vec<KubeNamespace>>,
}

impl Caches {
    /// Creates empty caches. `changed` is notified after every change of one.
    pub(crate) fn new(changed: &watch::Sender<()>, settings: &ClusterSettings) -> Self {
        Self {
            manager: settings.manager().into(),
            own_namespace: settings.service_namespace.as_str().into(),
            ingresses: Cache::new(changed.clone()),
            http_routes: Cache::new(changed.clone()),
            gateways: Cache::new(changed.clone()),
            grants: Cache::new(changed.clone()),
            deployments: Cache::new(changed.clone()),
            stateful_sets: Cache::new(changed.clone()),
            custom: settings
                .scalables()
                .map(|scalable| CustomKind::new(scalable, Cache::new(changed.clone())))
                .collect(),
            services: Cache::new(changed.clone()),
            slices: Cache::new(changed.clone()),
            max_replicas: settings.max_replicas,
            is_server: settings.is_server,
            namespaces: settings.is_server.then(|| Cache::new(changed.clone())),
            // A wake-up does not depend on these, and KEDA updates their status often.
            scaled_objects: settings
                .is_server
                .then(|| Cache::new(watch::Sender::new(()))),
        }
    }

    /// Creates caches of objects that were listed once.
    pub(crate) fn of(listed: Listed, settings: &ClusterSettings) -> Self {
        let Listed {
            ingresses,
            http_routes,
            gateways,
            grants,
            deployments,
            stateful_sets,
            custom,
            services,
            slices,
            namespaces,
        } = listed;
        let (key_label, own) = (&settings.key_label, settings.own_service());
        let manager = settings.manager();
        Self {
            manager: manager.into(),
            own_namespace: settings.service_namespace.as_str().into(),
            ingresses: Cache::of(ingresses, key_label, Route::of_ingress),
            http_routes: Cache::of(http_routes, key_label, HttpRoute::parse),
            gateways: Cache::of(gateways, key_label, Gateway::parse),
            grants: Cache::of(grants, key_label, Grant::parse),
            deployments: Cache::of(deployments, key_label, |each| {
                Workload::parse(each, manager)
            }),
            stateful_sets: Cache::of(stateful_sets, key_label, |each| {
                Workload::parse_stateful_set(each, manager)
            }),
            custom: custom
                .into_iter()
                .map(|(scalable, objects)| {
                    let is_absent = objects.is_none();
                    let objects = objects.into_iter().flatten();
                    let workloads = Cache::of(objects, key_label, CustomKind::parse(&scalable));
                    CustomKind {
                        is_absent,
                        ..CustomKind::new(scalable, workloads)
                    }
                })
                .collect(),
            services: Cache::of(services, key_label, |service| Service::parse(service, &own)),
            slices: Cache::of(slices, key_label, Slice::parse),
            max_replicas: settings.max_replicas,
            is_server: settings.is_server,
            namespaces: namespaces
                .map(|namespaces| Cache::of(namespaces, key_label, Namespace::parse)),
            scaled_objects: None,
        }
    }

    /// Keeps the caches in sync with the API server, forever.
    pub(crate) async fn fill(&self, client: &Client, settings: &ClusterSettings) {
        let (key_label, own) = (&settings.key_label, settings.own_service());
        let ours = ours(settings);
        let manager = settings.manager();
        let custom = self.custom.iter().map(|kind| {
            let source = Source::custom(client, kind.scalable.api_resource());
            let parse = CustomKind::parse(&kind.scalable);
            kind.workloads.fill(source, None, key_label, parse)
        });
        tokio::join!(
            join_all(custom),
            self.ingresses.fill(
                Source::<KubeIngress>::new(client),
                None,
                key_label,
                Route::of_ingress,
            ),
            self.http_routes.fill(
                Source::<gateway_api::HttpRoute>::optional(client),
                None,
                key_label,
                HttpRoute::parse,
            ),
            self.gateways.fill(
                Source::<gateway_api::Gateway>::optional(client),
                None,
                key_label,
                Gateway::parse,
            ),
            self.grants.fill(
                Source::<gateway_api::ReferenceGrant>::optional(client),
                None,
                key_label,
                Grant::parse,
            ),
            self.deployments.fill(
                Source::<KubeDeployment>::new(client),
                None,
                key_label,
                |each| Workload::parse(each, manager),
            ),
            self.stateful_sets.fill(
                Source::<KubeStatefulSet>::new(client),
                None,
                key_label,
                |each| Workload::parse_stateful_set(each, manager),
            ),
            self.services.fill(
                Source::<KubeService>::new(client),
                None,
                key_label,
                |service| Service::parse(service, &own),
            ),
            self.slices.fill(
                Source::<EndpointSlice>::new(client),
                Some(&ours),
                key_label,
                Slice::parse,
            ),
            OptionFuture::from(self.namespaces.as_ref().map(|namespaces| {
                namespaces.fill(
                    Source::<KubeNamespace>::new(client),
                    None,
                    key_label,
                    Namespace::parse,
                )
            })),
            OptionFuture::from(self.scaled_objects.as_ref().map(|scaled_objects| {
                let source = Source::<KedaScaledObject>::optional(client);
                let source = source.without(
                    "apps that KEDA keeps at 0 are not known as such, nor those that it scales",
                );
                scaled_objects.fill(source, None, key_label, ScaledObject::parse)
            })),
        );
    }

    /// Each cache, with the name of its objects.
    pub(crate) fn all(&self) -> Vec<(&str, &dyn Contact)> {
        let custom = self.custom.iter();
        let mut all: Vec<(&str, &dyn Contact)> = vec![
            ("Ingresses", &self.ingresses),
            ("HTTPRoutes", &self.http_routes),
            ("Gateways", &self.gateways),
            ("ReferenceGrants", &self.grants),
            ("Deployments", &self.deployments),
            ("StatefulSets", &self.stateful_sets),
            ("Services", &self.services),
            ("EndpointSlices", &self.slices),
        ];
        all.extend(custom.map(|kind| (&*kind.name, &kind.workloads as &dyn Contact)));
        all
    }

    /// The workloads of each kind.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &Cache<Workload>> {
        let custom = self.custom.iter().map(|kind| &kind.workloads);
        [&self.deployments, &self.stateful_sets]
            .into_iter()
            .chain(custom)
    }

    /// The custom kinds that were absent from the cluster when they were listed.
    pub(crate) fn absent_kinds(&self) -> impl Iterator<Item = &Scalable> {
        let absent = self.custom.iter().filter(|kind| kind.is_absent);
        absent.map(|kind| &kind.scalable)
    }

    /// The workload with a name as it is recorded in a slice.
    pub(crate) fn workload(
        &self,
        namespace: &str,
        named: &WorkloadName,
    ) -> Option<Arc<Cached<Workload>>> {
        let workload = self.named(namespace, &named.name, |workload| named.is_of(workload))?;
        Some(self.with_pods(workload))
    }

    /// The workload with a name that satisfies a condition: workloads of several kinds may have the same name.
    fn named(
        &self,
        namespace: &str,
        name: &str,
        is_it: impl Fn(&Cached<Workload>) -> bool,
    ) -> Option<Arc<Cached<Workload>>> {
        let mut workloads = self
            .workloads()
            .filter_map(|cache| cache.named(namespace, name));
        workloads.find(|workload| is_it(workload))
    }

    /// The workloads that are found by a term.
    pub(crate) fn workloads_by(&self, term: &str) -> Vec<Arc<Cached<Workload>>> {
        let workloads = self.workloads().flat_map(|cache| cache.get(term));
        workloads.map(|workload| self.with_pods(workload)).collect()
    }

    /// The workload that an annotation refers to.
    pub(crate) fn called(&self, namespace: &str, named: &Named) -> Option<Arc<Cached<Workload>>> {
        let is_it = |workload: &Cached<Workload>| workload.value.is_called(named, &workload.name);
        let workload = self.named(namespace, &named.name, is_it)?;
        Some(self.with_pods(workload))
    }

    /// Whether a namespace is the cluster's own or unidler's, where nothing is put to sleep.
    pub(crate) fn is_protected(&self, namespace: &str) -> bool {
        PROTECTED.contains(&namespace) || *namespace == *self.own_namespace
    }

    /// The workloads whose pods a Service selects. A workload that is owned by another one is replaced by its owner.
    pub(crate) fn selected(&self, service: &Cached<Service>) -> Vec<Arc<Cached<Workload>>> {
        if service.value.selector.is_empty() {
            return Vec::new();
        }
        let selector = &service.value.selector;
        let namespace = of_namespace(&service.namespace, "");
        let may_be_selected = |workload: &Cached<Workload>| {
            !workload.value.knows_pods() || workload.value.lacks(selector).is_none()
        };
        let selected: BTreeMap<_, _> = self
            .workloads()
            .flat_map(|cache| cache.get_where(&namespace, may_be_selected))
            .map(|workload| self.with_pods(workload))
            .filter(|workload| workload.value.lacks(selector).is_none())
            .map(|workload| self.topmost(workload))
            .map(|workload| ((workload.name.clone(), workload.to_string()), workload))
            .collect();
        selected.into_values().collect()
    }

    /// Adds to some Services of a namespace the others that routes point to and that are in front of the same
    /// workloads: their visitors would lose the app as well.
    pub(crate) fn with_siblings(
        &self,
        namespace: &str,
        names: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let all = self.services.get(&of_namespace(namespace, ""));
        let mut names = names.clone();
        loop {
            let own = all.iter().filter(|service| names.contains(&service.name));
            let workloads: Vec<_> = own.flat_map(|service| self.selected(service)).collect();
            let siblings = all.iter().filter(|service| {
                !names.contains(&service.name)
                    && self.is_before(service, &workloads)
                    && !self.routes_to(namespace, &service.name).is_empty()
            });
            let siblings: Vec<_> = siblings.map(|service| service.name.clone()).collect();
            if siblings.is_empty() {
                return names;
            }
            names.extend(siblings);
        }
    }

    /// A Service that does not belong to the app, but that gives visitors from outside of the cluster access to the
    /// app's pods without a route.
    pub(crate) fn exposed(&self, found: &Found) -> Option<Arc<Cached<Service>>> {
        let workloads: Vec<_> = found.to_idle().into_iter().cloned().collect();
        let namespaces: BTreeSet<_> = workloads.iter().map(|each| &each.namespace).collect();
        let mut services = namespaces
            .into_iter()
            .flat_map(|namespace| self.services.get(&of_namespace(namespace, "")));
        services.find(|service| {
            service.value.is_exposed()
                && found.service(&service.id()).is_none()
                && self.is_before(service, &workloads)
        })
    }

    /// Whether a Service selects pods of one of some workloads.
    pub(crate) fn is_before(
        &self,
        service: &Cached<Service>,
        workloads: &[Arc<Cached<Workload>>],
    ) -> bool {
        let selector = &service.value.selector;
        !selector.is_empty()
            && workloads.iter().any(|workload| {
                workload.namespace == service.namespace && workload.value.lacks(selector).is_none()
            })
    }

    /// A workload with the description of its pods. For some custom kinds, only a Deployment has that: one whose
    /// template they use, or that they have created.
    fn with_pods(&self, workload: Arc<Cached<Workload>>) -> Arc<Cached<Workload>> {
        let Cached {
            namespace, value, ..
        } = &*workload;
        let deployment = match &value.template_of {
            Some(name) => self.deployments.named(namespace, name),
            None if value.pod_labels.is_empty() => {
                let mut made = self.deployments.get(&of_namespace(namespace, ""));
                made.retain(|made| {
                    let maker = self.maker(made);
                    maker.is_some_and(|maker| maker.value.uid == value.uid)
                });
                made.pop()
            }
            None => None,
        };
        let Some(deployment) = deployment else {
            return workload;
        };
        Arc::new(Cached {
            namespace: namespace.clone(),
            name: workload.name.clone(),
            key: workload.key.clone(),
            value: value.with_pods_of(&deployment.value),
        })
    }

    /// The workload to scale instead of another one: its owner, if that is a workload as well.
    fn topmost(&self, workload: Arc<Cached<Workload>>) -> Arc<Cached<Workload>> {
        // Anybody may write owners, and they may form a cycle.
        let makers = std::iter::successors(Some(workload), |made| self.maker(made));
        let topmost = makers.take(MAX_MAKERS).last();
        self.with_pods(topmost.expect("itself at least"))
    }

    /// The workload that owns another one.
    fn maker(&self, made: &Cached<Workload>) -> Option<Arc<Cached<Workload>>> {
        let Controller {
            api_version,
            kind,
            name,
        } = made.value.controller.as_deref()?;
        self.named(&made.namespace, name, |workload| {
            workload.value.kind.is(api_version, kind)
        })
    }

    /// Where slices have to point, if unidler's own Service exists.
    pub(crate) fn destination(&self, settings: &ClusterSettings) -> Option<Destination> {
        let own = self
            .services
            .named(&settings.service_namespace, &settings.service_name)?;
        own.value.destination(&self.manager)
    }

    /// The slice of a Service.
    pub(crate) fn slice_of(&self, namespace: &str, service: &str) -> Option<Arc<Cached<Slice>>> {
        let slice = self
            .slices
            .named(namespace, &Slice::name_of(service, &self.manager))?;
        (*slice.value.service == *service).then_some(slice)
    }

    /// Whether the slice of a Service diverts its visitors.
    pub(crate) fn is_diverted(&self, namespace: &str, service: &str) -> bool {
        let slice = self.slice_of(namespace, service);
        slice.is_some_and(|slice| slice.value.diverts())
    }

    /// The kinds that unidler may not read, apart from those that every app depends on. An app that may depend on one
    /// of them is not found, and nothing is put to sleep.
    pub(crate) fn unread(&self) -> Vec<&str> {
        let all = self.all().into_iter();
        all.filter(is_unread).map(|(kinds, _)| kinds).collect()
    }

    /// The kinds that unidler may read, or has to be able to read.
    fn readable(&self) -> Vec<(&str, &dyn Contact)> {
        let mut all = self.all();
        all.retain(|each| !is_unread(each));
        all
    }

    /// The kinds of workloads that may not be read.
    fn unread_workloads(&self) -> impl Iterator<Item = ApiResource> {
        let is_unread = self.stateful_sets.is_forbidden();
        let stateful_sets = is_unread.then(|| WorkloadKind::stateful_set().resource.clone());
        let custom = self.custom.iter();
        let custom = custom.filter(|kind| kind.workloads.is_forbidden());
        let custom = custom.map(|kind| kind.scalable.api_resource());
        stateful_sets.into_iter().chain(custom)
    }

    /// Whether unidler may not read a workload that a slice has recorded.
    pub(crate) fn is_unread(&self, recorded: &WorkloadName) -> bool {
        let group = group_of(&recorded.api_version);
        // Without any objects of a custom kind, the name that they use for their kind is unknown.
        self.unread_workloads()
            .any(|kind| kind.group == group && (group != "apps" || kind.kind == recorded.kind))
    }

    /// Whether a workload that a slice has recorded would not be seen if it existed: its kind may not be read, or is not
    /// watched.
    pub(crate) fn is_unseen(&self, recorded: &WorkloadName) -> bool {
        let group = group_of(&recorded.api_version);
        let mut custom = self.custom.iter();
        let is_watched = group == "apps" || custom.any(|kind| kind.scalable.group() == group);
        !is_watched || self.is_unread(recorded)
    }

    /// Whether a workload needs one that may not be read.
    pub(crate) fn needs_unread(&self, user: &Workload) -> bool {
        let mut needs = user.bonds.iter().flat_map(|bonds| &bonds.needs);
        needs.any(|Need { workload, .. }| {
            self.unread_workloads()
                .any(|kind| workload.is(&kind.kind, &kind.plural, &kind.group, &workload.name))
        })
    }

    /// Whether all readable caches are current, as far as can be known.
    pub(crate) fn are_connected(&self) -> bool {
        let mut readable = self.readable().into_iter();
        readable.all(|(_, cache)| cache.is_connected())
    }

    /// Why nothing can be looked up yet; `None` once it can.
    pub(crate) fn unusable(&self) -> Option<Reason> {
        let readable = self.readable();
        if readable.iter().any(|(_, cache)| cache.is_forbidden()) {
            Some(Reason::PermissionMissing)
        } else if readable.iter().any(|(_, cache)| !cache.is_synced()) {
            Some(Reason::ApiUnreachable)
        } else {
            None
        }
    }

    /// Whether they are current enough to put apps to sleep: an object that is missing in an outdated view may exist.
    pub(crate) fn may_decide(&self) -> bool {
        let namespaces = self.namespaces.as_ref();
        self.are_current()
            && namespaces
                .is_some_and(|namespaces| namespaces.is_synced() && namespaces.is_connected())
    }

    /// Whether nothing that exists is missing from them, as far as that can be known.
    pub(crate) fn are_current(&self) -> bool {
        self.unusable().is_none() && self.unread().is_empty() && self.are_connected()
    }

    /// Why they cannot be relied on; `None` if they can.
    pub(crate) fn not_ready(&self) -> Option<String> {
        why_not_ready(&self.readable())
    }

    /// The same of all kinds, whether or not all apps depend on them.
    pub(crate) fn incomplete(&self) -> Option<String> {
        why_not_ready(&self.all())
    }

    /// Requests a relist of all, unless one is under way. `may_list` is only called in that case.
    pub(crate) fn doubt(&self, may_list: impl FnOnce() -> bool) {
        let readable = self.readable();
        if readable.iter().all(|(_, cache)| !cache.is_listing()) && may_list() {
            for (_, cache) in readable {
                cache.doubt();
            }
            // No wake-up waits for these, but what they say of an app may be outdated, too.
            if let Some(namespaces) = &self.namespaces {
                namespaces.doubt();
            }
            if let Some(scaled_objects) = &self.scaled_objects {
                scaled_objects.doubt();
            }
        }
    }
}

fn is_unread((kinds, cache): &(&str, &dyn Contact)) -> bool {
    !REQUIRED.contains(kinds) && cache.is_forbidden()
}

fn why_not_ready(caches: &[(&str, &dyn Contact)]) -> Option<String> {
    let why = caches
        .iter()
        .filter_map(|(kinds, cache)| cache.not_ready(kinds));
    why.reduce(|all, one| format!("{all}; {one}"))
}

/// The label selector of unidler's own slices.
pub(crate) fn ours(settings: &ClusterSettings) -> String {
    format!("{MANAGED_BY}={}", settings.manager())
}

impl Kept for Route {
    fn kind(&self) -> &str {
        self.kind.name()
    }

    /// The hosts of its rules, the Services that they point to, and its key.
    fn terms(route: &Cached<Self>) -> Vec<String> {
        let hosts = route.value.rules.iter().map(|rule| rule.host.clone());
        let backends = route.value.rules.iter().flat_map(|rule| &rule.backends);
        let services = backends.map(|backend| of_namespace(&backend.namespace, &backend.service));
        let terms: BTreeSet<_> = hosts
            .chain(services)
            .chain(route.key.as_deref().map(of_key))
            .collect();
        terms.into_iter().collect()
    }
}

impl Kept for HttpRoute {
    fn kind(&self) -> &str {
        "HTTPRoute"
    }

    /// The hosts that it names, and the Services that it points to.
    fn terms(route: &Cached<Self>) -> Vec<String> {
        let hosts = route.value.hostnames().map(ToOwned::to_owned);
        let backends = route.value.backends.iter();
        let services = backends.map(|backend| of_namespace(&backend.namespace, &backend.service));
        let terms: BTreeSet<_> = hosts.chain(services).collect();
        terms.into_iter().collect()
    }
}

impl Kept for Gateway {
    fn kind(&self) -> &str {
        "Gateway"
    }

    fn terms(_: &Cached<Self>) -> Vec<String> {
        Vec::new()
    }
}

impl Kept for Grant {
    fn kind(&self) -> &str {
        "ReferenceGrant"
    }

    /// Its namespace.
    fn terms(grant: &Cached<Self>) -> Vec<String> {
        vec![of_namespace(&grant.namespace, "")]
    }
}

impl Kept for Workload {
    fn kind(&self) -> &str {
        &self.kind.name
    }

    /// Remembers how many replicas it had before it was scaled to zero.
    fn follow(&mut self, before: &Self) {
        if self.replicas == 0 && self.uid == before.uid {
            self.lost = match before.replicas {
                0 => before.lost,
                replicas => Some((replicas, Timestamp::now())),
            };
        }
    }

    /// Its namespace, its key, the workloads that it needs, and the workload that it is a worker of.
    fn terms(workload: &Cached<Self>) -> Vec<String> {
        let namespace = &*workload.namespace;
        let keys = [Some(""), workload.key.as_deref()];
        let keys = keys.into_iter().flatten();
        let bonds = workload.value.bonds.iter();
        let needs = bonds.clone().flat_map(|bonds| &bonds.needs).map(|need| {
            of_need(
                need.namespace.as_deref().unwrap_or(namespace),
                &need.workload.name,
            )
        });
        let owner = bonds.filter_map(|bonds| Some(of_worker(namespace, &bonds.of.as_ref()?.name)));
        let keys = keys.map(|key| of_namespace(namespace, key));
        let terms: BTreeSet<_> = keys.chain(needs).chain(owner).collect();
        terms.into_iter().collect()
    }
}

impl Kept for Slice {
    fn kind(&self) -> &str {
        "EndpointSlice"
    }

    /// The workloads that it records.
    fn terms(slice: &Cached<Self>) -> Vec<String> {
        let recorded = slice.value.recorded().iter();
        recorded
            .map(|recorded| of_namespace(&slice.namespace, &recorded.workload.name))
            .collect()
    }
}

impl Kept for ScaledObject {
    fn kind(&self) -> &str {
        "ScaledObject"
    }

    /// What it scales.
    fn terms(scaled_object: &Cached<Self>) -> Vec<String> {
        let target = &scaled_object.value.target;
        vec![of_namespace(&scaled_object.namespace, &target.name)]
    }
}

impl Kept for Namespace {
    fn kind(&self) -> &str {
        "Namespace"
    }

    fn terms(_: &Cached<Self>) -> Vec<String> {
        Vec::new()
    }
}

impl Kept for Service {
    fn kind(&self) -> &str {
        "Service"
    }

    /// Its namespace.
    fn terms(service: &Cached<Self>) -> Vec<String> {
        vec![of_namespace(&service.namespace, "")]
    }
}

/// The term for workloads that need a workload with this name.
pub(crate) fn of_need(namespace: &str, name: &str) -> String {
    format!("{namespace}>{name}")
}

/// The term for workers of a workload with this name.
pub(crate) fn of_worker(namespace: &str, name: &str) -> String {
    format!("{namespace}<{name}")
}

/// The term for something in a namespace. No host contains a slash.
pub(crate) fn of_namespace(namespace: &str, what: &str) -> String {
    format!("{namespace}/{what}")
}

/// The term for a key. No host contains an equals sign.
pub(crate) fn of_key(key: &str) -> String {
    format!("={key}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_workload_may_exist_that_is_not_seen() {
        let listed = Listed {
            custom: vec![(Scalable::rollouts(), Some(Vec::new()))],
            ..Listed::default()
        };
        let caches = Caches::of(listed, &ClusterSettings::of_tests());
        let is_unseen = |api_version: &str, kind: &str| {
            caches.is_unseen(&WorkloadName {
                api_version: api_version.into(),
                kind: kind.into(),
                name: "tool".into(),
            })
        };
        assert!(!is_unseen("apps/v1", "StatefulSet"));
        assert!(!is_unseen("argoproj.io/v1alpha1", "Rollout"));
        assert!(is_unseen("agents.example/v1", "Sandbox"), "not watched");
        caches.stateful_sets.forbid();
        assert!(is_unseen("apps/v1", "StatefulSet"), "forbidden");
        assert!(!is_unseen("apps/v1", "Deployment"));
    }

    #[test]
    fn how_many_replicas_a_workload_had_is_remembered_as_long_as_it_has_none() {
        let workload = |uid: &str, replicas: i32| {
            let metadata = json!({ "name": "web", "namespace": "team", "uid": uid });
            let spec = json!({ "replicas": replicas, "selector": {}, "template": {} });
            let deployment = json!({ "metadata": metadata, "spec": spec });
            let deployment = serde_json::from_value(deployment).expect("a Deployment");
            Workload::parse(deployment, "unidler")
        };
        let mut latest = workload("a", 3);
        let mut become_of = |uid, replicas| {
            let mut next = workload(uid, replicas);
            next.follow(&latest);
            latest = next;
            latest.lost.map(|(replicas, _)| replicas)
        };
        assert_eq!(become_of("a", 0), Some(3));
        assert_eq!(become_of("a", 0), Some(3), "whatever else changes");
        assert_eq!(become_of("a", 2), None);
        assert_eq!(become_of("a", 0), Some(2));
        assert_eq!(become_of("b", 0), None, "it is another one");
    }
}
