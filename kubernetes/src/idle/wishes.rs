//! Idling for users who may not write `EndpointSlice`s, such as those with the role `edit`: they leave a wish on the
//! Service, and unidler's server does the rest, if it would do that for anybody.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use anyhow::{Context, anyhow};
use futures::{StreamExt, stream};
use k8s_openapi::{
    api::{core::v1::Service as KubeService, discovery::v1::EndpointSlice},
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api,
    api::{ListParams, Patch},
};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tracing::warn;
use unidler::{host::Host, hub::Hub, sleep::decide::By};

use super::{App, Asked, NotPlanned, Plan, Services, decide, of_namespace, without_parts};
use crate::{
    api_server::ApiServer,
    caches::{Caches, Listed, ours},
    cluster::KubernetesCluster,
    diversion::{Handover, slice::Slice},
    objects::IDLE_WISH,
    patch::params,
    rights::Right,
    settings::ClusterSettings,
    surroundings::Surroundings,
};

/// How long a wish is valid: an app that was woken must not be put to sleep by an old one.
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// By how much the clock at the origin of a wish may be ahead.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// How long the server may take to fulfil a wish: it checks for them every 15 seconds.
const PATIENCE: Duration = Duration::from_secs(40);
/// Interval between checks whether the server has fulfilled it.
const LOOK: Duration = Duration::from_secs(1);

/// The wishes that the server is asked to fulfil.
#[expect(missing_debug_implementations, reason = "a client has nothing to show")]
pub struct Wishes {
    cluster: KubernetesCluster,
    api_server: ApiServer,
    /// The wishes that were refused, so that each refusal is reported only once.
    refused: HashSet<(String, String, Timestamp)>,
}

impl Wishes {
    /// The wishes in a cluster.
    #[must_use]
    pub fn new(cluster: KubernetesCluster, api_server: ApiServer) -> Self {
        Self {
            cluster,
            api_server,
            refused: HashSet::new(),
        }
    }

    /// Starts to put the apps with a wish to sleep, each in a task of its own. To be called several times a minute.
    pub async fn fulfil(&mut self, hub: &Hub) {
        let now = Timestamp::now();
        self.refused
            .retain(|(_, _, wished)| now.duration_since(*wished) < FRESH);
        let mut due = self.due(now, &Surroundings::default());
        if due.iter().any(|(_, planned)| planned.is_ok()) {
            // The server only has permission to list them if it puts apps to sleep by itself.
            let surroundings = self.api_server.surroundings().await;
            due = self.due(now, &surroundings.unwrap_or_default());
        }
        for (app, planned) in due {
            match planned {
                Ok(plan) => {
                    let (hub, id) = (hub.clone(), plan.app().clone());
                    tokio::spawn(async move {
                        if let Err(why) = hub.idle(&id, By::Command).await {
                            warn!(%app, "could not idle {app} as its owner requested: {}", why.cause);
                        }
                    });
                }
                Err(NotPlanned::Refused(why)) => self.refuse(&app, &format!("{why:#}")).await,
                Err(NotPlanned::Already) => {}
            }
        }
    }

    /// The apps whose awake Services all carry a fresh wish.
    fn due(
        &self,
        now: Timestamp,
        surroundings: &Surroundings,
    ) -> Vec<(App, Result<Plan, NotPlanned>)> {
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
                let history = slice
                    .as_ref()
                    .and_then(|slice| slice.value.history.as_ref());
                age < FRESH && age > -SKEW && history.is_none_or(|history| history.woken < wish)
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
        let settings = observer.settings();
        let planned = apps.map(|app| {
            let plan = decide(&app, caches, surroundings, settings, &Handover::Slice, now);
            (app, plan)
        });
        without_parts(planned.collect())
    }

    /// Reports once why a wish is refused: in the log, and on the workloads.
    async fn refuse(&mut self, app: &App, why: &str) {
        let Services::These(namespace, names) = &app.services else {
            return;
        };
        let caches = &self.cluster.observer.caches;
        for name in names {
            let Some(service) = caches.services.named(namespace, name) else {
                continue;
            };
            let Some(wish) = service.value.wish else {
                continue;
            };
            if self.refused.insert((namespace.clone(), name.clone(), wish)) {
                warn!(%service, "refused to idle {service} as its owner requested: {why}");
                for workload in caches.selected(&service) {
                    self.cluster.note_refusal(&workload, why).await;
                }
            }
        }
    }
}

impl ApiServer {
    /// Whether the current user may write `EndpointSlice`s in all namespaces, as idling requires.
    ///
    /// # Errors
    ///
    /// If the API server does not answer that.
    pub async fn may_divert(&self) -> anyhow::Result<bool> {
        let create = Right {
            group: "discovery.k8s.io".into(),
            resource: "endpointslices".into(),
            verb: "create",
            why: "",
            optional: false,
        };
        let may = self.may(None, &create).await;
        may.context("cannot check your permissions in the cluster")
    }

    /// Leaves the wish to put apps of a namespace to sleep, and waits for unidler's server to fulfil it.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be read, or if a Service cannot be annotated.
    pub async fn wish(
        &self,
        asked: &Asked,
        namespace: &str,
        settings: &ClusterSettings,
    ) -> anyhow::Result<Vec<(App, Result<(), NotPlanned>)>> {
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
            let wished = match &app.services {
                Services::These(namespace, names) => {
                    self.wish_for(namespace, names, &caches, settings).await
                }
                Services::Of(..) => Err(NotPlanned::Already),
            };
            (app, wished)
        };
        let wished = stream::iter(apps).map(wish).buffered(super::AT_ONCE);
        Ok(wished.collect().await)
    }

    async fn wish_for(
        &self,
        namespace: &str,
        names: &BTreeSet<String>,
        caches: &Caches,
        settings: &ClusterSettings,
    ) -> Result<(), NotPlanned> {
        if names.is_empty() {
            let why = anyhow!("no route in the namespace {namespace} routes it to a Service there");
            return Err(why.into());
        }
        let awake: Vec<_> = names
            .iter()
            .filter(|name| !caches.is_diverted(namespace, name))
            .collect();
        if awake.is_empty() {
            return Err(NotPlanned::Already);
        }
        let services: Api<KubeService> = Api::namespaced(self.client.clone(), namespace);
        let now = Timestamp::now();
        let annotations = json!({ IDLE_WISH: now.to_string() });
        let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
        for name in &awake {
            let annotated = services
                .patch(name, &params(settings.manager()), &patch)
                .await;
            annotated.with_context(|| {
                format!("cannot annotate Service {namespace}/{name} with the request")
            })?;
        }
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let mut asleep = 0;
            for name in &awake {
                let slice = slices
                    .get_opt(&Slice::name_of(name, settings.manager()))
                    .await;
                let slice = slice.context("cannot check whether the app is idled")?;
                asleep += usize::from(slice.is_some_and(|slice| Slice::parse(slice).diverts()));
            }
            if asleep == awake.len() {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        let why = anyhow!(
            "unidler's server was asked to idle it, but has not done so within {} s. If it refuses, an Event says why: kubectl -n \
             {namespace} get events --field-selector reason=NotIdled",
            PATIENCE.as_secs()
        );
        Err(why.into())
    }

    /// Lists the objects of a namespace that idling its apps by a wish requires.
    async fn listing_of(
        &self,
        namespace: &str,
        settings: &ClusterSettings,
    ) -> anyhow::Result<Caches> {
        let cannot = |kinds: &str| format!("cannot list the {kinds} of the namespace {namespace}");
        let everything = ListParams::default();
        let ours = everything.clone().labels(&ours(settings));
        let ingresses = self.list_in(namespace, &everything).await;
        let services = self.list_in(namespace, &everything).await;
        let slices = self.list_in(namespace, &ours).await;
        let http_routes = self.list_in(namespace, &everything).await;
        let listed = Listed {
            ingresses: ingresses.with_context(|| cannot("Ingresses"))?,
            services: services.with_context(|| cannot("Services"))?,
            slices: slices.with_context(|| cannot("EndpointSlices"))?,
            // The kind may be absent, or the user may lack the permission: then its hosts are not found.
            http_routes: http_routes.unwrap_or_default(),
            ..Listed::default()
        };
        Ok(Caches::of(listed, settings))
    }
}

/// The Services of a namespace that its routes point to for a host. Whether a Gateway has accepted those routes is for
/// the server to check.
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
