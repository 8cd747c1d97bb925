//! What is watched for a single app while it wakes, and only then: its pods and its endpoints.
//!
//! Each is one watch request that begins with the present objects, so a wake-up costs two reads. Both are
//! optional: without the permission the page works, with less detail.

use std::{collections::HashMap, fmt::Debug, sync::Arc, time::Duration};

use futures::{StreamExt, pin_mut};
use k8s_openapi::{
    api::{core::v1::Pod, discovery::v1::EndpointSlice},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};
use unidler::cluster::{Endpoints, Pods};

use super::{discovery::Found, pods};

/// How long one watch request lasts, in seconds. A connection that is dead but silent is noticed not much later.
const WATCH_SECONDS: u32 = 30;
/// How long to wait before a watch that ended is begun again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long to wait where the permission is missing.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);

/// The pods and endpoints of one app. Dropping it ends both watches.
#[derive(Debug)]
pub(super) struct Detail {
    /// What the watches depend on.
    of: (String, String, String),
    pods: Watched<Pod>,
    endpoints: Watched<EndpointSlice>,
}

impl Detail {
    pub(super) fn watch(client: &Client, found: &Found) -> Self {
        let of = Self::of(found);
        let (namespace, selector, service) = &of;
        let endpoints = format!("kubernetes.io/service-name={service}");
        Self {
            pods: Watched::new(Api::namespaced(client.clone(), namespace), selector),
            endpoints: Watched::new(Api::namespaced(client.clone(), namespace), &endpoints),
            of,
        }
    }

    /// Whether these are still the pods and endpoints to watch.
    pub(super) fn is_of(&self, found: &Found) -> bool {
        self.of == Self::of(found)
    }

    fn of(found: &Found) -> (String, String, String) {
        let Found { deployment, service, .. } = found;
        (deployment.namespace.clone(), deployment.value.selector.clone(), service.name.clone())
    }

    /// How far the pods are.
    pub(super) fn pods(&self) -> Pods {
        match &*self.pods.latest.borrow() {
            Objects::Known(objects) => pods::read(objects.values().map(|pod| &**pod), Timestamp::now()),
            Objects::Forbidden => Pods::default(),
        }
    }

    /// Whether a ready endpoint is behind the Service.
    pub(super) fn endpoints(&self) -> Endpoints {
        match &*self.endpoints.latest.borrow() {
            Objects::Known(objects) if objects.values().any(|slice| slice.endpoints.iter().any(is_ready)) => Endpoints::Ready,
            Objects::Known(_) => Endpoints::NotReady,
            Objects::Forbidden => Endpoints::Forbidden,
        }
    }

    /// Waits until either has changed.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            () = self.pods.changed() => {}
            () = self.endpoints.changed() => {}
        }
    }
}

/// Absent means ready: <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ready>.
fn is_ready(endpoint: &k8s_openapi::api::discovery::v1::Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

/// The objects of one selector, as a task of its own sees them.
#[derive(Debug)]
struct Watched<K> {
    latest: watch::Receiver<Objects<K>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
enum Objects<K> {
    /// By name.
    Known(HashMap<String, Arc<K>>),
    /// The permission is missing.
    Forbidden,
}

impl<K> Watched<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
{
    fn new(api: Api<K>, selector: &str) -> Self {
        let (sender, latest) = watch::channel(Objects::Known(HashMap::new()));
        let params = WatchParams::default().labels(selector).timeout(WATCH_SECONDS);
        let task = tokio::spawn(keep_watching(api, params, sender));
        Self { latest, _task: AbortOnDropHandle::new(task) }
    }

    async fn changed(&mut self) {
        if self.latest.changed().await.is_err() {
            // The task ends only with this; without it there is nothing to wait for.
            std::future::pending::<()>().await;
        }
    }
}

async fn keep_watching<K>(api: Api<K>, params: WatchParams, sender: watch::Sender<Objects<K>>)
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    let kind = K::kind(&());
    loop {
        // Without a version a watch begins with what is there at present:
        // https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-watch
        match api.watch(&params, "").await {
            Ok(events) => {
                let mut objects = HashMap::new();
                pin_mut!(events);
                while let Some(Ok(event)) = events.next().await {
                    match event {
                        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                            objects.insert(object.name_any(), Arc::new(object));
                        }
                        WatchEvent::Deleted(object) => {
                            objects.remove(&object.name_any());
                        }
                        WatchEvent::Bookmark(_) => continue,
                        WatchEvent::Error(status) => {
                            debug!(%kind, %status, "watch ended");
                            break;
                        }
                    }
                    sender.send_replace(Objects::Known(objects.clone()));
                }
                sleep(PAUSE).await;
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                debug!(%kind, %status, "no permission for details");
                sender.send_replace(Objects::Forbidden);
                sleep(FORBIDDEN_PAUSE).await;
            }
            Err(error) => {
                warn!(%kind, %error, "cannot watch; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}
