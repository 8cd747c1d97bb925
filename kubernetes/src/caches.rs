//! The list of the kinds that are watched for the whole process, and what their objects are found by.
//!
//! Another kind is another field here, with a line in [`Caches::new`], [`Caches::of`], [`Caches::fill`] and
//! [`Caches::all`].

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::{
    apps::v1::{Deployment as KubeDeployment, StatefulSet as KubeStatefulSet},
    core::v1::Service as KubeService,
    discovery::v1::EndpointSlice,
    networking::v1::Ingress as KubeIngress,
};
use kube::{Api, Client};
use tokio::sync::watch;
use unidler::progress::Reason;

use crate::{
    cache::{Cache, Cached, Contact, Kept},
    diversion::slice::{MANAGED_BY, Slice, WorkloadName},
    objects::{
        Destination, Gateway, Grant, HttpRoute, Route, Service, Workload, WorkloadKind, gateway_api,
    },
    settings::ClusterSettings,
};

/// All that apps are found in.
#[derive(Debug)]
pub(crate) struct Caches {
    /// What unidler calls itself.
    pub(crate) manager: Box<str>,
    pub(crate) ingresses: Cache<Route>,
    pub(crate) http_routes: Cache<HttpRoute>,
    pub(crate) gateways: Cache<Gateway>,
    pub(crate) grants: Cache<Grant>,
    pub(crate) deployments: Cache<Workload>,
    pub(crate) stateful_sets: Cache<Workload>,
    pub(crate) services: Cache<Service>,
    /// Those of unidler's own.
    pub(crate) slices: Cache<Slice>,
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
    pub(crate) services: Vec<KubeService>,
    pub(crate) slices: Vec<EndpointSlice>,
}

impl Caches {
    /// Empty ones. Whoever listens is told after every change of one.
    pub(crate) fn new(changed: &watch::Sender<()>, settings: &ClusterSettings) -> Self {
        Self {
            manager: settings.manager().into(),
            ingresses: Cache::new(changed.clone()),
            http_routes: Cache::new(changed.clone()),
            gateways: Cache::new(changed.clone()),
            grants: Cache::new(changed.clone()),
            deployments: Cache::new(changed.clone()),
            stateful_sets: Cache::new(changed.clone()),
            services: Cache::new(changed.clone()),
            slices: Cache::new(changed.clone()),
        }
    }

    /// All that was listed once.
    pub(crate) fn of(listed: Listed, settings: &ClusterSettings) -> Self {
        let Listed {
            ingresses,
            http_routes,
            gateways,
            grants,
            deployments,
            stateful_sets,
            services,
            slices,
        } = listed;
        let (key_label, own) = (&settings.key_label, settings.own_service());
        let manager = settings.manager();
        Self {
            manager: manager.into(),
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
            services: Cache::of(services, key_label, |service| Service::parse(service, &own)),
            slices: Cache::of(slices, key_label, Slice::parse),
        }
    }

    /// Keeps them as the API server has them, for ever.
    pub(crate) async fn fill(&self, client: &Client, settings: &ClusterSettings) {
        let (key_label, own) = (&settings.key_label, settings.own_service());
        let ours = ours(settings);
        let manager = settings.manager();
        tokio::join!(
            self.ingresses.fill(
                Api::<KubeIngress>::all(client.clone()),
                None,
                key_label,
                Route::of_ingress,
            ),
            self.http_routes.fill(
                Api::<gateway_api::HttpRoute>::all(client.clone()),
                None,
                key_label,
                HttpRoute::parse,
            ),
            self.gateways.fill(
                Api::<gateway_api::Gateway>::all(client.clone()),
                None,
                key_label,
                Gateway::parse,
            ),
            self.grants.fill(
                Api::<gateway_api::ReferenceGrant>::all(client.clone()),
                None,
                key_label,
                Grant::parse,
            ),
            self.deployments.fill(
                Api::<KubeDeployment>::all(client.clone()),
                None,
                key_label,
                |each| Workload::parse(each, manager),
            ),
            self.stateful_sets.fill(
                Api::<KubeStatefulSet>::all(client.clone()),
                None,
                key_label,
                |each| Workload::parse_stateful_set(each, manager),
            ),
            self.services.fill(
                Api::<KubeService>::all(client.clone()),
                None,
                key_label,
                |service| Service::parse(service, &own),
            ),
            self.slices.fill(
                Api::<EndpointSlice>::all(client.clone()),
                Some(&ours),
                key_label,
                Slice::parse,
            ),
        );
    }

    /// Each, with what its objects are called.
    pub(crate) fn all(&self) -> [(&'static str, &dyn Contact); 8] {
        [
            ("Ingresses", &self.ingresses),
            ("HTTPRoutes", &self.http_routes),
            ("Gateways", &self.gateways),
            ("ReferenceGrants", &self.grants),
            ("Deployments", &self.deployments),
            ("StatefulSets", &self.stateful_sets),
            ("Services", &self.services),
            ("EndpointSlices", &self.slices),
        ]
    }

    /// The workload of a name, as a slice has it.
    pub(crate) fn workload(
        &self,
        namespace: &str,
        WorkloadName {
            api_version,
            kind,
            name,
        }: &WorkloadName,
    ) -> Option<Arc<Cached<Workload>>> {
        match (&**api_version, &**kind) {
            (WorkloadKind::API_VERSION, "Deployment") => self.deployments.named(namespace, name),
            (WorkloadKind::API_VERSION, "StatefulSet") => self.stateful_sets.named(namespace, name),
            _ => None,
        }
    }

    /// The workloads whose pods a Service selects.
    pub(crate) fn selected(&self, service: &Cached<Service>) -> Vec<Arc<Cached<Workload>>> {
        if service.value.selector.is_empty() {
            return Vec::new();
        }
        let in_namespace = of_namespace(&service.namespace, "");
        let all = [&self.deployments, &self.stateful_sets];
        let mut selected: Vec<_> = all
            .iter()
            .flat_map(|cache| cache.get(&in_namespace))
            .filter(|workload| workload.value.lacks(&service.value.selector).is_none())
            .collect();
        selected.sort_by(|a, b| a.name.cmp(&b.name));
        selected
    }

    /// Where slices have to lead, if unidler's own Service is there.
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

    /// Whether the slice of a Service leads its visitors here.
    pub(crate) fn is_diverted(&self, namespace: &str, service: &str) -> bool {
        let slice = self.slice_of(namespace, service);
        slice.is_some_and(|slice| slice.value.diverts())
    }

    /// Whether all are current as far as anybody can know.
    pub(crate) fn are_connected(&self) -> bool {
        self.all().iter().all(|(_, cache)| cache.is_connected())
    }

    /// Why nothing can be found in them yet; `None` when it can.
    pub(crate) fn unusable(&self) -> Option<Reason> {
        let all = self.all();
        if all.iter().any(|(_, cache)| cache.is_forbidden()) {
            Some(Reason::PermissionMissing)
        } else if all.iter().any(|(_, cache)| !cache.is_synced()) {
            Some(Reason::ApiUnreachable)
        } else {
            None
        }
    }

    /// Why they cannot be relied upon; `None` when they can.
    pub(crate) fn not_ready(&self) -> Option<String> {
        self.all()
            .iter()
            .filter_map(|(kinds, cache)| cache.not_ready(kinds))
            .reduce(|all, one| format!("{all}; {one}"))
    }

    /// Asks for new lists of all, unless one is under way. `may_list` is asked only then.
    pub(crate) fn doubt(&self, may_list: impl FnOnce() -> bool) {
        let all = self.all();
        if all.iter().all(|(_, cache)| !cache.is_listing()) && may_list() {
            for (_, cache) in all {
                cache.doubt();
            }
        }
    }
}

/// The label selector of unidler's own slices.
pub(crate) fn ours(settings: &ClusterSettings) -> String {
    format!("{MANAGED_BY}={}", settings.manager())
}

impl Kept for Route {
    fn kind(&self) -> &'static str {
        self.kind.name()
    }

    /// The hosts of its rules, the Services that they lead to, and its key.
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
    const MAY_BE_ABSENT: bool = true;

    fn kind(&self) -> &'static str {
        "HTTPRoute"
    }

    /// The hosts that it names, and the Services that it leads to.
    fn terms(route: &Cached<Self>) -> Vec<String> {
        let hosts = route.value.hostnames().map(ToOwned::to_owned);
        let backends = route.value.backends.iter();
        let services = backends.map(|backend| of_namespace(&backend.namespace, &backend.service));
        let terms: BTreeSet<_> = hosts.chain(services).collect();
        terms.into_iter().collect()
    }
}

impl Kept for Gateway {
    const MAY_BE_ABSENT: bool = true;

    fn kind(&self) -> &'static str {
        "Gateway"
    }

    fn terms(_: &Cached<Self>) -> Vec<String> {
        Vec::new()
    }
}

impl Kept for Grant {
    const MAY_BE_ABSENT: bool = true;

    fn kind(&self) -> &'static str {
        "ReferenceGrant"
    }

    /// Its namespace.
    fn terms(grant: &Cached<Self>) -> Vec<String> {
        vec![of_namespace(&grant.namespace, "")]
    }
}

impl Kept for Workload {
    fn kind(&self) -> &'static str {
        self.kind.name()
    }

    /// Its namespace, and its key.
    fn terms(workload: &Cached<Self>) -> Vec<String> {
        let keys = [Some(""), workload.key.as_deref()];
        keys.into_iter()
            .flatten()
            .map(|key| of_namespace(&workload.namespace, key))
            .collect()
    }
}

impl Kept for Slice {
    fn kind(&self) -> &'static str {
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

impl Kept for Service {
    fn kind(&self) -> &'static str {
        "Service"
    }

    fn terms(_: &Cached<Self>) -> Vec<String> {
        Vec::new()
    }
}

/// The term of something in a namespace. No host has a slash.
pub(crate) fn of_namespace(namespace: &str, what: &str) -> String {
    format!("{namespace}/{what}")
}

/// The term of a key. No host has an equals sign.
pub(crate) fn of_key(key: &str) -> String {
    format!("={key}")
}
