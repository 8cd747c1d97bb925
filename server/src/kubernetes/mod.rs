//! A real cluster.
//!
//! ```text
//!  API server ──3 watches──> cache::Cache<Ingress|Deployment|Service>     shared, trimmed, by key
//!             ──2 watches──> detail::Detail (pods, endpoints)             per app, only while it wakes
//!                                │
//!                 discovery::find, objects, pods                          pure: which app, how far it is
//!                                │
//!                 KubernetesCluster: observe / watch / apply ──> write    three conditional patches
//! ```
//!
//! [`operate`] has the commands for those who run the cluster.

mod cache;
mod counted;
mod detail;
mod discovery;
mod events;
mod objects;
pub mod operate;
mod pods;
mod write;

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join3},
    stream::{self, BoxStream},
};
use k8s_openapi::{
    api::{apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService, networking::v1::Ingress as KubeIngress},
    jiff::Timestamp,
};
use kube::{Api, Client, Config, client::ClientBuilder, config::KubeConfigOptions};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use unidler::{
    cluster::{self, AppId, ApplyError, Cluster, Endpoints, Observation, Observed, Pods, Write},
    host::Host,
    progress::{Progress, Reason},
};

pub use self::counted::API_REQUESTS;
use self::{
    cache::Cache,
    counted::CountRequests,
    detail::Detail,
    discovery::{App, Found, find, find_app, hosts_of, key_of},
    events::Notes,
    objects::{Deployment, Ingress, PointsAt, Service},
    write::Writer,
};

/// How long a connection to the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the API server may be silent while something is watched: longer than a watch request lasts.
const READ_TIMEOUT: Duration = Duration::from_secs(40);
/// How often a wake-up looks again without any event: the time a container has been running is news, too.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long a wake-up goes without news before the caches are doubted: doubled each time, since a list is dear and
/// slow apps are more common than watches that lose something.
const DOUBT: Duration = Duration::from_secs(20);

/// What the idled state looks like in this cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The label whose value is the app's key.
    pub key_label: String,
    /// The name of the Service of ours that idled apps' Services point at.
    pub service_name: String,
    /// The most replicas that an app is given back.
    pub max_replicas: u32,
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
    ingresses: Cache<Ingress>,
    deployments: Cache<Deployment>,
    services: Cache<Service>,
    /// Told after every change of a cache.
    changed: watch::Sender<()>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubernetesCluster").field("settings", &self.settings).finish_non_exhaustive()
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
        Self::new(configuration().await?, settings).context(UNUSABLE)
    }

    /// The cluster of a configuration. Nothing is asked of it before [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// If the configuration cannot be used, such as for a certificate that cannot be read.
    pub fn new(mut config: Config, settings: Settings) -> Result<Self, kube::Error> {
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // The engine has its own idea of patience, and tells the visitors.
        config.default_retry = false;
        let writer = Writer::new(config.clone())?;
        config.read_timeout = Some(READ_TIMEOUT);
        let watching_client = ClientBuilder::try_from(config)?.with_layer(&CountRequests).build();
        let (changed, _) = watch::channel(());
        let inner = Inner {
            notes: Notes::new(writer.client()),
            writer,
            watching_client,
            settings,
            ingresses: Cache::new(changed.clone()),
            deployments: Cache::new(changed.clone()),
            services: Cache::new(changed.clone()),
            changed,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Fills the caches, for ever.
    pub async fn run(&self) {
        let Inner { watching_client: client, settings, ingresses, deployments, services, .. } = &*self.inner;
        let Settings { key_label, service_name, .. } = settings;
        join3(
            ingresses.fill(Api::<KubeIngress>::all(client.clone()), key_label, Ingress::parse),
            deployments.fill(Api::<KubeDeployment>::all(client.clone()), key_label, Deployment::parse),
            services.fill(Api::<KubeService>::all(client.clone()), key_label, |service| Service::parse(service, service_name)),
        )
        .await;
    }

    /// Has the caches filled anew.
    fn doubt(&self) {
        let Inner { ingresses, deployments, services, .. } = &*self.inner;
        ingresses.doubt();
        deployments.doubt();
        services.doubt();
    }

    /// Why nothing can be found at the moment.
    fn blind(&self) -> Result<(), Reason> {
        let Inner { ingresses, deployments, services, .. } = &*self.inner;
        if ingresses.is_forbidden() || deployments.is_forbidden() || services.is_forbidden() {
            return Err(Reason::PermissionMissing);
        }
        if self.not_ready().is_some() {
            return Err(Reason::ApiUnreachable);
        }
        Ok(())
    }

    fn find_by_host(&self, host: &Host) -> Result<Found, Reason> {
        self.blind()?;
        let Inner { settings, ingresses, deployments, services, .. } = &*self.inner;
        find(host, key_of(host, &settings.key_label), ingresses, deployments, services)
    }

    fn find_by_id(&self, app: &AppId) -> Result<Found, Reason> {
        self.blind()?;
        let Inner { ingresses, deployments, services, .. } = &*self.inner;
        let app = App::parse(app).ok_or(Reason::NoIngress)?;
        find_app(app, ingresses, deployments, services)
    }

    fn observed(&self, found: &Found, detail: Option<&Detail>) -> Observed {
        let Inner { settings, ingresses, deployments, services, .. } = &*self.inner;
        let (deployment, service) = (&found.deployment.value, &found.service.value);
        Observed {
            connected: ingresses.is_connected() && deployments.is_connected() && services.is_connected(),
            title: None,
            deployment: cluster::Deployment {
                version: deployment.version(),
                idled: deployment.idled,
                replicas: deployment.replicas,
                replicas_when_unidled: deployment.replicas_to_restore(settings.max_replicas),
                available: deployment.available,
                trouble: deployment.trouble(Timestamp::now()),
                usual: deployment.usual(),
            },
            service: match service.points_at {
                PointsAt::Unidler => {
                    cluster::Service::Idled { version: service.version(), restorable: service.when_unidled(deployment).is_some() }
                }
                PointsAt::Pods => cluster::Service::Serving { endpoints: detail.map_or(Endpoints::Unknown, Detail::endpoints) },
                PointsAt::Elsewhere => cluster::Service::Elsewhere,
            },
            pods: detail.map_or_else(Pods::default, Detail::pods),
        }
    }
}

impl Cluster for KubernetesCluster {
    fn find(&self, host: &Host) -> Result<AppId, Reason> {
        self.find_by_host(host).map(|found| found.app().id())
    }

    fn apps(&self) -> Vec<AppId> {
        let Inner { settings, ingresses, .. } = &*self.inner;
        let hosts = ingresses.all().into_iter().flat_map(|ingress| hosts_of(&ingress, &settings.key_label));
        let apps: HashSet<AppId> = hosts.filter_map(|host| self.find(&host).ok()).collect();
        apps.into_iter().collect()
    }

    fn observe(&self, app: &AppId) -> Observation {
        self.find_by_id(app).map(|found| self.observed(&found, None))
    }

    fn watch(&self, app: &AppId) -> BoxStream<'static, Observation> {
        let watching = Watching {
            cluster: self.clone(),
            app: app.clone(),
            changes: self.inner.changed.subscribe(),
            detail: None,
            latest: None,
            news: Instant::now(),
            doubt: DOUBT,
        };
        stream::unfold(watching, Watching::next).boxed()
    }

    fn apply<'a>(&'a self, app: &'a AppId, write: &'a Write) -> BoxFuture<'a, Result<(), ApplyError>> {
        async move {
            let found = self.find_by_id(app).map_err(|_| ApplyError::Conflict)?;
            self.inner.writer.apply(&found, write).await
        }
        .boxed()
    }

    fn address(&self, host: &Host) -> Option<SocketAddr> {
        let Found { ingress, service, .. } = self.find_by_host(host).ok()?;
        service.value.address(&service.name, &ingress.value, host)
    }

    fn note(&self, app: &AppId, outcome: &Progress) {
        let Ok(found) = self.find_by_id(app) else { return };
        let (inner, outcome) = (Arc::clone(&self.inner), outcome.clone());
        tokio::spawn(async move { inner.notes.write(&found.deployment, &outcome).await });
    }

    fn not_ready(&self) -> Option<String> {
        let Inner { ingresses, deployments, services, .. } = &*self.inner;
        let missing = [ingresses.not_ready("Ingresses"), deployments.not_ready("Deployments"), services.not_ready("Services")];
        missing.into_iter().flatten().reduce(|all, one| format!("{all}; {one}"))
    }
}

/// What it means if a client cannot be made.
const UNUSABLE: &str = "cannot use the configuration of the Kubernetes cluster";

/// The cluster that the process runs in, else the one that a kubeconfig names.
async fn configuration() -> anyhow::Result<Config> {
    match Config::incluster() {
        Ok(config) => Ok(config),
        Err(_) => Config::from_kubeconfig(&KubeConfigOptions::default()).await.context(
            "found no Kubernetes cluster: run the unidler inside one, or name a kubeconfig with KUBECONFIG, \
             or try it without a cluster with `unidler demo`",
        ),
    }
}

/// The observations of one app, as a stream.
struct Watching {
    cluster: KubernetesCluster,
    app: AppId,
    changes: watch::Receiver<()>,
    /// Watched from when the app has replicas.
    detail: Option<Detail>,
    latest: Option<Observation>,
    /// When that came.
    news: Instant,
    /// How long after that the caches are doubted.
    doubt: Duration,
}

impl Watching {
    /// Waits for an observation that is different from the latest one.
    async fn next(mut self) -> Option<(Observation, Self)> {
        loop {
            let observation = self.observe();
            if self.latest.as_ref() != Some(&observation) {
                self.latest = Some(observation.clone());
                (self.news, self.doubt) = (Instant::now(), DOUBT);
                return Some((observation, self));
            }
            if self.news.elapsed() >= self.doubt {
                self.doubt *= 2;
                self.cluster.doubt();
            }
            let of_detail = async {
                match &mut self.detail {
                    Some(detail) => detail.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender lives as long as the cluster, which this has.
                _ = self.changes.changed() => {}
                () = of_detail => {}
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }

    fn observe(&mut self) -> Observation {
        self.changes.mark_unchanged();
        let found = self.cluster.find_by_id(&self.app).inspect_err(|_| self.detail = None)?;
        if self.detail.as_ref().is_some_and(|detail| !detail.is_of(&found)) {
            self.detail = None;
        }
        if self.detail.is_none() && found.deployment.value.replicas > 0 {
            self.detail = Some(Detail::watch(&self.cluster.inner.watching_client, &found));
        }
        Ok(self.cluster.observed(&found, self.detail.as_ref()))
    }
}
