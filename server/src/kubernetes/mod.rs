//! A real cluster.
//!
//! ```text
//!  API server ──3 watches──> cache::Cache<Ingress|Deployment|Service>     shared, trimmed, indexed
//!             ──2 watches──> detail::Detail (pods, endpoints)             per app, only while it wakes
//!                                │
//!                 discovery::find, objects, pods                          pure: which app, how far it is
//!                                │
//!                 KubernetesCluster: observe / watch / apply ──> write    three conditional patches
//! ```
//!
//! [`operate`] has the commands for those who run the cluster.

mod cache;
mod connection;
mod counted;
mod detail;
mod discovery;
mod doubts;
mod events;
mod objects;
pub mod operate;
mod pods;
mod retry_after;
mod watching;
mod write;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join4},
    stream::{self, BoxStream},
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService,
        networking::v1::Ingress as KubeIngress,
    },
    jiff::Timestamp,
};
use kube::{Api, Client, Config};
use metrics::gauge;
use tokio::{
    sync::watch,
    time::{Instant, interval},
};
use tracing::warn;
use unidler::{
    cluster::{self, AppId, ApplyError, Cluster, Endpoints, Observation, Observed, Pods, Write},
    host::Host,
    progress::{Progress, Reason},
};

pub use self::counted::API_REQUESTS;
use self::{
    cache::Cache,
    detail::Detail,
    discovery::{Caches, Found, NotFound},
    doubts::Doubts,
    events::Notes,
    objects::{Deployment, Ingress, OwnService, PointsAt, Service},
    watching::Watching,
    write::Writer,
};

/// The metric of how long ago the API server was last known to keep us current, in seconds, by `kind`; 0 while it does.
pub const CONTACT_AGE: &str = "unidler_contact_age_seconds";

/// How often that is brought up to date.
const CONTACT_UPKEEP: Duration = Duration::from_secs(5);
/// How often the log says the same of a host that names no app.
const SAY_AGAIN: Duration = Duration::from_mins(10);
/// How many such hosts are remembered: they are hosts of Ingresses, but who knows how many there are.
const MAX_SAID: usize = 1_000;

/// What the idled state looks like in this cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The label whose value is the app's key.
    pub key_label: String,
    /// The name of unidler's own Service, which idled apps' Services point at.
    pub service_name: String,
    /// The domain of the cluster's DNS names.
    pub cluster_domain: String,
    /// The maximum number of replicas to restore.
    pub max_replicas: u32,
}

impl Settings {
    fn own_service(&self) -> OwnService {
        OwnService {
            name: self.service_name.clone(),
            domain: self.cluster_domain.clone(),
        }
    }
}

/// The cluster that the process runs in, or that a kubeconfig names. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KubernetesCluster {
    inner: Arc<Inner>,
}

struct Inner {
    /// For writes.
    writer: Writer,
    /// For Events on Deployments.
    notes: Notes,
    /// For watches, which are known to end.
    watching_client: Client,
    settings: Settings,
    caches: Caches,
    /// Told after every change of a cache.
    changed: watch::Sender<()>,
    doubts: Doubts,
    /// When the log said of which objects why they are no app.
    said: Mutex<HashMap<String, (Instant, Reason)>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubernetesCluster")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl KubernetesCluster {
    /// Connects to the cluster that the process runs in, else to the one that a kubeconfig names.
    ///
    /// # Errors
    ///
    /// If there is neither, in words that tell what to do. An API server that does not answer is no error: it is
    /// tried again, and readiness tells.
    pub async fn connect(settings: Settings) -> anyhow::Result<Self> {
        Self::new(connection::configuration().await?, settings)
    }

    /// The cluster of a configuration. Nothing is asked of it before [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// If the configuration cannot be used, such as for a certificate that cannot be read.
    pub fn new(config: Config, settings: Settings) -> anyhow::Result<Self> {
        let (writing, watching) = connection::clients(config)?;
        Ok(Self::with_clients(writing, watching, settings))
    }

    fn with_clients(writing: Client, watching_client: Client, settings: Settings) -> Self {
        let (changed, _) = watch::channel(());
        let caches = Caches {
            ingresses: Cache::new(changed.clone()),
            deployments: Cache::new(changed.clone()),
            services: Cache::new(changed.clone()),
        };
        let inner = Inner {
            notes: Notes::new(writing.clone()),
            writer: Writer::new(writing),
            watching_client,
            settings,
            caches,
            changed,
            doubts: Doubts::default(),
            said: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Fills the caches, for ever.
    pub async fn run(&self) {
        let Inner {
            watching_client: client,
            settings,
            caches,
            ..
        } = &*self.inner;
        let (key_label, own) = (&settings.key_label, settings.own_service());
        join4(
            caches.ingresses.fill(
                Api::<KubeIngress>::all(client.clone()),
                key_label,
                Ingress::parse,
            ),
            caches.deployments.fill(
                Api::<KubeDeployment>::all(client.clone()),
                key_label,
                Deployment::parse,
            ),
            caches.services.fill(
                Api::<KubeService>::all(client.clone()),
                key_label,
                |service| Service::parse(service, &own),
            ),
            self.measure_contact(),
        )
        .await;
    }

    async fn measure_contact(&self) {
        let Caches {
            ingresses,
            deployments,
            services,
        } = &self.inner.caches;
        let mut ticks = interval(CONTACT_UPKEEP);
        loop {
            ticks.tick().await;
            let ages = [
                ("ingresses", ingresses.since_contact()),
                ("deployments", deployments.since_contact()),
                ("services", services.since_contact()),
            ];
            for (kind, age) in ages {
                gauge!(CONTACT_AGE, "kind" => kind).set(age.as_secs_f64());
            }
        }
    }

    /// Has the caches filled anew, unless that was done not long ago or is being done.
    fn doubt(&self) {
        let Inner {
            caches:
                Caches {
                    ingresses,
                    deployments,
                    services,
                },
            doubts,
            ..
        } = &*self.inner;
        if !ingresses.is_listing()
            && !deployments.is_listing()
            && !services.is_listing()
            && doubts.may_list()
        {
            ingresses.doubt();
            deployments.doubt();
            services.doubt();
        }
    }

    fn is_connected(&self) -> bool {
        let Caches {
            ingresses,
            deployments,
            services,
        } = &self.inner.caches;
        ingresses.is_connected() && deployments.is_connected() && services.is_connected()
    }

    /// What is looked for in the caches, if they can tell. What is not in an old one may be there all the same.
    fn looked_up<T>(
        &self,
        look: impl FnOnce(&Caches) -> Result<T, NotFound>,
    ) -> Result<T, NotFound> {
        let caches = &self.inner.caches;
        let Caches {
            ingresses,
            deployments,
            services,
        } = caches;
        let unknown = |reason| {
            Err(NotFound {
                reason,
                involved: Vec::new(),
            })
        };
        if ingresses.is_forbidden() || deployments.is_forbidden() || services.is_forbidden() {
            return unknown(Reason::PermissionMissing);
        }
        if !ingresses.is_synced() || !deployments.is_synced() || !services.is_synced() {
            return unknown(Reason::ApiUnreachable);
        }
        look(caches).or_else(|error| {
            if self.is_connected() {
                Err(error)
            } else {
                unknown(Reason::ApiUnreachable)
            }
        })
    }

    fn app(&self, app: &AppId) -> Result<Found, NotFound> {
        self.looked_up(|caches| caches.app(app))
    }

    /// Finds the app of a host. The log says why there is none, if there are objects that should be one.
    fn app_of(&self, host: &Host) -> Result<Found, Reason> {
        self.looked_up(|caches| caches.find(host)).map_err(|error| {
            if !error.involved.is_empty() && self.is_news(&error) {
                warn!(%host, reason = ?error.reason, "found no app: {error}");
            }
            error.reason
        })
    }

    /// Whether this was not logged lately. By the objects and not by the host: a wildcard lets strangers make up hosts.
    fn is_news(&self, error: &NotFound) -> bool {
        let mut said = self
            .inner
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MAX_SAID {
            said.retain(|_, (when, _)| when.elapsed() < SAY_AGAIN);
        }
        let involved = error.to_string();
        let is_old = said
            .get(&involved)
            .is_some_and(|(when, last)| *last == error.reason && when.elapsed() < SAY_AGAIN);
        let is_news = !is_old && said.len() < MAX_SAID;
        if is_news {
            said.insert(involved, (Instant::now(), error.reason));
        }
        is_news
    }

    fn observed(&self, found: &Found, detail: Option<&Detail>) -> Observed {
        let max_replicas = self.inner.settings.max_replicas;
        let (deployment, service) = (&found.deployment.value, &found.service.value);
        Observed {
            connected: self.is_connected(),
            title: found.title(),
            deployment: cluster::Deployment {
                version: deployment.version(),
                idled: deployment.idled,
                replicas: deployment.replicas,
                replicas_when_unidled: deployment.replicas_to_restore(max_replicas),
                available: deployment.ready,
                trouble: deployment.trouble(Timestamp::now()),
                usual: deployment.usual(),
            },
            service: match service.points_at {
                PointsAt::Unidler => cluster::Service::Idled {
                    version: service.version(),
                    restorable: service.when_unidled(deployment).is_ok(),
                },
                PointsAt::Pods => cluster::Service::Serving {
                    endpoints: detail.map_or(Endpoints::Unknown, Detail::endpoints),
                },
                PointsAt::Elsewhere => cluster::Service::Elsewhere,
            },
            pods: detail.map_or_else(Pods::default, Detail::pods),
        }
    }
}

impl Cluster for KubernetesCluster {
    fn find(&self, host: &Host) -> Result<AppId, Reason> {
        self.app_of(host).map(|found| found.id())
    }

    fn apps(&self) -> Vec<AppId> {
        self.looked_up(|caches| Ok(caches.apps()))
            .unwrap_or_default()
            .iter()
            .map(Found::id)
            .collect()
    }

    fn observe(&self, app: &AppId) -> Observation {
        self.app(app)
            .map(|found| self.observed(&found, None))
            .map_err(|error| error.reason)
    }

    fn watch(&self, app: &AppId) -> BoxStream<'static, Observation> {
        stream::unfold(Watching::new(self.clone(), app.clone()), Watching::next).boxed()
    }

    fn apply<'a>(
        &'a self,
        app: &'a AppId,
        write: &'a Write,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        async move {
            let found = self.app(app).map_err(|_| ApplyError::Conflict)?;
            self.inner.writer.apply(&found, write).await
        }
        .boxed()
    }

    fn address(&self, host: &Host) -> Option<SocketAddr> {
        let found = self.app_of(host).ok()?;
        found.service.value.address(found.ports(host))
    }

    fn note(&self, app: &AppId, outcome: &Progress) {
        let Ok(found) = self.app(app) else { return };
        let (inner, outcome) = (Arc::clone(&self.inner), outcome.clone());
        tokio::spawn(async move { inner.notes.write(&found.deployment, &outcome).await });
    }

    fn not_ready(&self) -> Option<String> {
        let Caches {
            ingresses,
            deployments,
            services,
        } = &self.inner.caches;
        let missing = [
            ingresses.not_ready("Ingresses"),
            deployments.not_ready("Deployments"),
            services.not_ready("Services"),
        ];
        missing
            .into_iter()
            .flatten()
            .reduce(|all, one| format!("{all}; {one}"))
    }
}

#[cfg(test)]
mod tests;
