//! Idling for those who may not write `EndpointSlice`s, such as users with the role `edit`: they leave a wish on the Service,
//! and unidler's server does the rest, if it would do that for anybody.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use futures::{StreamExt, stream};
use k8s_openapi::{
    api::{
        core::v1::Service as KubeService, discovery::v1::EndpointSlice,
        networking::v1::Ingress as KubeIngress,
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api,
    api::{ListParams, Patch},
};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tracing::warn;
use unidler::{app::AppId, host::Host, hub::Hub};

use super::{App, Asked, NotPlanned, Services, of_namespace, slices};
use crate::{
    api_server::ApiServer,
    autoscalers::Autoscalers,
    caches::{Caches, Listed, ours},
    cluster::KubernetesCluster,
    diversion::slice::Slice,
    objects::{IDLE_WISH, gateway_api},
    patch::params,
    rights::Right,
    settings::ClusterSettings,
};

/// For how long a wish counts: an app that somebody has woken is not to be put to sleep by an old one.
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// How much later than here it may be where a wish comes from.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// How long the server may take to fulfil a wish: it looks for them every 15 seconds.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_secs(1);

/// The wishes that the server is asked to fulfil.
#[derive(Debug)]
pub struct Wishes {
    cluster: KubernetesCluster,
    /// Those that were refused, so that it is said once.
    refused: HashSet<(String, String, Timestamp)>,
}

impl Wishes {
    /// Those of a cluster.
    #[must_use]
    pub fn new(cluster: KubernetesCluster) -> Self {
        Self {
            cluster,
            refused: HashSet::new(),
        }
    }

    /// Has the apps put to sleep whose owners wish that, each in a task of its own. To be called several times a minute.
    pub async fn fulfil(&mut self, hub: &Hub) {
        let now = Timestamp::now();
        self.refused
            .retain(|(_, _, wished)| now.duration_since(*wished) < FRESH);
        for (app, wished) in self.due(now) {
            let hub = hub.clone();
            if let Ok(id) = wished {
                tokio::spawn(async move {
                    if let Err(why) = hub.idle(&id).await {
                        warn!(%app, "not idled, as its owner wishes: {}", why.cause);
                    }
                });
            } else if let (Err(NotPlanned::Refused(why)), Services::These(namespace, names)) =
                (&wished, &app.services)
            {
                self.refuse(namespace, names, &format!("{why:#}")).await;
            }
        }
    }

    /// The apps of which each Service that is awake carries a fresh wish.
    fn due(&self, now: Timestamp) -> Vec<(App, Result<AppId, NotPlanned>)> {
        let observer = &self.cluster.observer;
        let caches = &observer.caches;
        if caches.unusable().is_some() {
            return Vec::new();
        }
        let mut wished = BTreeMap::<String, BTreeSet<String>>::new();
        for service in caches.services.all() {
            let is_fresh = |wish: Timestamp| {
                let age = now.duration_since(wish);
                let slice = caches.slice_of(&service.namespace, &service.name);
                let woken = slice.and_then(|slice| slice.value.woken());
                age < FRESH && age > -SKEW && woken.is_none_or(|woken| woken < wish)
            };
            if service.value.wish.is_some_and(is_fresh) {
                let of_namespace = wished.entry(service.namespace.clone()).or_default();
                of_namespace.insert(service.name.clone());
            }
        }
        let apps = wished.iter().flat_map(|(namespace, wished)| {
            let apps = of_namespace(namespace, caches).into_iter();
            apps.filter(|app| {
                let Services::These(_, names) = &app.services else {
                    return false;
                };
                let mut awake = names
                    .iter()
                    .filter(|name| !caches.is_diverted(namespace, name))
                    .peekable();
                awake.peek().is_some() && awake.all(|name| wished.contains(name))
            })
        });
        let planned = apps.map(|app| {
            let Services::These(namespace, names) = &app.services else {
                return (app, Err(NotPlanned::Already));
            };
            let services = (namespace.clone(), names.clone());
            // The server may not look at autoscalers.
            let autoscalers = Autoscalers::default();
            let plan = slices::decide(&services, caches, &autoscalers, observer.settings(), now);
            (app, plan.map(|plan| plan.found.id))
        });
        planned.collect()
    }

    /// Says once why a wish is refused: in the log, and on the workloads.
    async fn refuse(&mut self, namespace: &str, names: &BTreeSet<String>, why: &str) {
        let caches = &self.cluster.observer.caches;
        for name in names {
            let Some(service) = caches.services.named(namespace, name) else {
                continue;
            };
            let Some(wish) = service.value.wish else {
                continue;
            };
            if self
                .refused
                .insert((namespace.to_owned(), name.clone(), wish))
            {
                warn!(%service, "not idled, as its owner wishes: {why}");
                for workload in caches.selected(&service) {
                    self.cluster.note_refusal(&workload, why).await;
                }
            }
        }
    }
}

/// What became of a wish.
#[derive(Debug)]
pub enum Wished {
    /// The app sleeps.
    Asleep,
    /// It sleeps already.
    Already,
    /// It does not sleep yet; with what to look at.
    Pending(String),
}

impl ApiServer {
    /// Whether one may write `EndpointSlice`s in all namespaces, as idling needs.
    ///
    /// # Errors
    ///
    /// If the API server does not say.
    pub async fn may_divert(&self) -> anyhow::Result<bool> {
        let create = Right {
            group: "discovery.k8s.io".into(),
            resource: "endpointslices".into(),
            verb: "create",
            why: "",
            optional: false,
        };
        let may = self.may(None, &create).await;
        may.context("cannot ask what you may do in the cluster")
    }

    /// Leaves the wish that apps of a namespace be put to sleep, and waits for unidler's server to do it.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be read, or a Service not be annotated.
    pub async fn wish(
        &self,
        asked: &Asked,
        namespace: &str,
        settings: &ClusterSettings,
    ) -> anyhow::Result<Vec<(App, anyhow::Result<Wished>)>> {
        let caches = self.listing_of(namespace, settings).await?;
        let apps = match asked {
            Asked::Namespace(namespace) => of_namespace(namespace, &caches),
            Asked::Hosts(hosts, _) => hosts
                .iter()
                .map(|host| App {
                    hosts: vec![host.to_string()],
                    services: Services::These(
                        namespace.to_owned(),
                        services_named(host, namespace, &caches),
                    ),
                })
                .collect(),
        };
        let wish = |app: App| async {
            let Services::These(_, names) = &app.services else {
                return (app, Ok(Wished::Already));
            };
            let wished = self.wish_for(namespace, names, &caches, settings).await;
            (app, wished)
        };
        let wished: Vec<_> = stream::iter(apps)
            .map(wish)
            .buffered(super::AT_ONCE)
            .collect()
            .await;
        Ok(wished)
    }

    async fn wish_for(
        &self,
        namespace: &str,
        names: &BTreeSet<String>,
        caches: &Caches,
        settings: &ClusterSettings,
    ) -> anyhow::Result<Wished> {
        ensure!(
            !names.is_empty(),
            "no route in the namespace {namespace} leads it to a Service there"
        );
        let awake: Vec<_> = names
            .iter()
            .filter(|name| !caches.is_diverted(namespace, name))
            .collect();
        if awake.is_empty() {
            return Ok(Wished::Already);
        }
        let services: Api<KubeService> = Api::namespaced(self.client.clone(), namespace);
        let now = Timestamp::now();
        let annotations = json!({ IDLE_WISH: now.to_string() });
        let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        for name in &awake {
            let annotated = services
                .patch(name, &params(settings.manager()), &patch)
                .await;
            annotated
                .with_context(|| format!("cannot leave the wish on Service {namespace}/{name}"))?;
        }
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let mut asleep = 0;
            for name in &awake {
                let slice = slices
                    .get_opt(&Slice::name_of(name, settings.manager()))
                    .await;
                let slice = slice.context("cannot see whether the app is idled")?;
                asleep += usize::from(slice.is_some_and(|slice| Slice::parse(slice).diverts()));
            }
            if asleep == awake.len() {
                return Ok(Wished::Asleep);
            }
            sleep(LOOK).await;
        }
        Ok(Wished::Pending(format!(
            "unidler was asked to idle it, and has not done so within {} s. If it refuses, an Event says why: kubectl -n \
             {namespace} get events --field-selector reason=NotIdled",
            PATIENCE.as_secs()
        )))
    }

    /// As much of a namespace as idling its apps by a wish needs.
    async fn listing_of(
        &self,
        namespace: &str,
        settings: &ClusterSettings,
    ) -> anyhow::Result<Caches> {
        let ours = ListParams::default().labels(&ours(settings));
        let everything = ListParams::default();
        let cannot = |kinds: &str| anyhow!("cannot list the {kinds} of the namespace {namespace}");
        let client = || self.client.clone();
        let ingresses = Api::<KubeIngress>::namespaced(client(), namespace);
        let http_routes = Api::<gateway_api::HttpRoute>::namespaced(client(), namespace);
        let services = Api::<KubeService>::namespaced(client(), namespace);
        let slices = Api::<EndpointSlice>::namespaced(client(), namespace);
        let listed = Listed {
            ingresses: ingresses
                .list(&everything)
                .await
                .with_context(|| cannot("Ingresses"))?
                .items,
            // The kind may be absent, or not for everybody: then its hosts are not found.
            http_routes: http_routes
                .list(&everything)
                .await
                .map(|list| list.items)
                .unwrap_or_default(),
            services: services
                .list(&everything)
                .await
                .with_context(|| cannot("Services"))?
                .items,
            slices: slices
                .list(&ours)
                .await
                .with_context(|| cannot("EndpointSlices"))?
                .items,
            ..Listed::default()
        };
        Ok(Caches::of(listed, settings))
    }
}

/// The Services of a namespace that a host leads to by its routes. Whether a Gateway has accepted those is for the server to
/// know.
fn services_named(host: &Host, namespace: &str, caches: &Caches) -> BTreeSet<String> {
    let by_ingress = caches.services_of(host);
    let by_ingress = by_ingress
        .filter(|(of, _)| of == namespace)
        .map(|(_, names)| names)
        .unwrap_or_default();
    let routes = caches.naming(host);
    let backends = routes.iter().flat_map(|route| &route.value.backends);
    let by_route = backends
        .filter(|backend| *backend.namespace == *namespace)
        .map(|backend| backend.service.to_string());
    by_ingress.into_iter().chain(by_route).collect()
}
