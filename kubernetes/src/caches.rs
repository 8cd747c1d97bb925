//! The list of the kinds that are watched for the whole process, and what their objects are found by.
//!
//! Another kind is another field here, with a line in [`Caches::new`], [`Caches::of`], [`Caches::fill`] and
//! [`Caches::all`].

use std::collections::BTreeSet;

use futures::future::join3;
use k8s_openapi::api::{
    apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService,
    networking::v1::Ingress as KubeIngress,
};
use kube::{Api, Client};
use tokio::sync::watch;
use unidler::progress::Reason;

use crate::{
    cache::{Cache, Cached, Contact, Kept},
    objects::{Ingress, Service, Workload},
    settings::ClusterSettings,
};

/// All that apps are found in.
#[derive(Debug)]
pub(crate) struct Caches {
    pub(crate) ingresses: Cache<Ingress>,
    pub(crate) deployments: Cache<Workload>,
    pub(crate) services: Cache<Service>,
}

impl Caches {
    /// Empty ones. Whoever listens is told after every change of one.
    pub(crate) fn new(changed: &watch::Sender<()>) -> Self {
        Self {
            ingresses: Cache::new(changed.clone()),
            deployments: Cache::new(changed.clone()),
            services: Cache::new(changed.clone()),
        }
    }

    /// All that was listed once.
    pub(crate) fn of(
        ingresses: Vec<KubeIngress>,
        deployments: Vec<KubeDeployment>,
        services: Vec<KubeService>,
        settings: &ClusterSettings,
    ) -> Self {
        let (key_label, own) = (&settings.key_label, settings.own_service());
        Self {
            ingresses: Cache::of(ingresses, key_label, Ingress::parse),
            deployments: Cache::of(deployments, key_label, Workload::parse),
            services: Cache::of(services, key_label, |service| Service::parse(service, &own)),
        }
    }

    /// Keeps them as the API server has them, for ever.
    pub(crate) async fn fill(&self, client: &Client, settings: &ClusterSettings) {
        let (key_label, own) = (&settings.key_label, settings.own_service());
        join3(
            self.ingresses.fill(
                Api::<KubeIngress>::all(client.clone()),
                key_label,
                Ingress::parse,
            ),
            self.deployments.fill(
                Api::<KubeDeployment>::all(client.clone()),
                key_label,
                Workload::parse,
            ),
            self.services.fill(
                Api::<KubeService>::all(client.clone()),
                key_label,
                |service| Service::parse(service, &own),
            ),
        )
        .await;
    }

    /// Each, with what its objects are called.
    pub(crate) fn all(&self) -> [(&'static str, &dyn Contact); 3] {
        [
            ("Ingresses", &self.ingresses),
            ("Deployments", &self.deployments),
            ("Services", &self.services),
        ]
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

impl Kept for Ingress {
    const KIND: &'static str = "Ingress";

    /// The hosts of its rules, the Services that they lead to, and its key.
    fn terms(ingress: &Cached<Self>) -> Vec<String> {
        let hosts = ingress.value.rules.iter().map(|rule| rule.host.clone());
        let backends = ingress.value.rules.iter().flat_map(|rule| &rule.backends);
        let services = backends.map(|(service, _)| of_namespace(&ingress.namespace, service));
        let terms: BTreeSet<_> = hosts
            .chain(services)
            .chain(ingress.key.as_deref().map(of_key))
            .collect();
        terms.into_iter().collect()
    }
}

impl Kept for Workload {
    const KIND: &'static str = "Deployment";

    /// Its key.
    fn terms(deployment: &Cached<Self>) -> Vec<String> {
        deployment
            .key
            .iter()
            .map(|key| of_namespace(&deployment.namespace, key))
            .collect()
    }

    /// Without a key it is nobody's app.
    fn is_useful(deployment: &Cached<Self>) -> bool {
        deployment.key.is_some()
    }
}

impl Kept for Service {
    const KIND: &'static str = "Service";

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
