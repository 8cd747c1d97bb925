//! Apps that sleep and whose workloads no longer exist. Their visitors are routed to the Service again, as they were before.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::{info, warn};
use unidler::{app::ObjectId, cluster::ApplyError};

use crate::{
    cache::Cached,
    caches::Caches,
    cluster::KubernetesCluster,
    diversion::slice::{Recorded, Slice},
};

/// How long the workloads have to be gone: somebody may be replacing them.
const PATIENCE: Duration = Duration::from_mins(10);

/// Takes unidler off the Services of such apps.
#[derive(Debug)]
pub struct Deserted {
    cluster: KubernetesCluster,
    /// Since when each of their slices has been seen as such.
    since: HashMap<ObjectId, Instant>,
}

impl Deserted {
    /// Looks at the apps of a cluster.
    #[must_use]
    pub fn new(cluster: KubernetesCluster) -> Self {
        Self {
            cluster,
            since: HashMap::new(),
        }
    }

    /// Takes unidler off the Services whose workloads have been gone for ten minutes. To be called several times a minute.
    pub async fn release(&mut self) {
        let Some(deserted) = self.cluster.observer.caches.deserted() else {
            return;
        };
        for slice in self.due(deserted, Instant::now()) {
            let Cached {
                namespace, value, ..
            } = &*slice;
            match self.cluster.empty_slice(&slice).await {
                Ok(()) => info!(
                    %namespace, service = %value.service,
                    "stopped routing visitors here: the workload behind the Service has been gone for ten minutes"
                ),
                Err(ApplyError::Conflict) => {}
                Err(error) => warn!(
                    %namespace, service = %value.service, %error,
                    "the workload behind the Service is gone, but its visitors are still routed here"
                ),
            }
        }
    }

    /// Those that have been deserted for long enough.
    fn due(&mut self, deserted: Vec<Arc<Cached<Slice>>>, now: Instant) -> Vec<Arc<Cached<Slice>>> {
        self.since = deserted
            .iter()
            .map(|slice| {
                let id = slice.id();
                let since = self.since.get(&id).copied().unwrap_or(now);
                (id, since)
            })
            .collect();
        let is_due = |slice: &Arc<Cached<Slice>>| {
            let since = self.since.get(&slice.id());
            since.is_some_and(|since| now.duration_since(*since) >= PATIENCE)
        };
        deserted.into_iter().filter(is_due).collect()
    }
}

impl Caches {
    /// The slices that route visitors here, and behind whose Services nothing exists any more; `None` if the view of the cluster is
    /// not current.
    ///
    /// A kind that this process does not watch may still exist: what recorded one is left as it is.
    fn deserted(&self) -> Option<Vec<Arc<Cached<Slice>>>> {
        let is_gone = |slice: &Slice, namespace: &str| {
            let is_gone = |Recorded { workload, .. }: &Recorded| {
                workload.api_version.starts_with("apps/")
                    && self.workload(namespace, workload).is_none()
            };
            let service = self.services.named(namespace, &slice.service);
            slice.recorded().iter().all(is_gone)
                && service.is_some_and(|service| self.selected(&service).is_empty())
        };
        let mut slices = self.slices.all();
        slices.retain(|slice| slice.value.diverts() && is_gone(&slice.value, &slice.namespace));
        self.are_current().then_some(slices)
    }
}

#[cfg(test)]
mod tests {
    use kube::{Client, client::Body};
    use serde_json::{Value, json};
    use tower::service_fn;

    use super::*;
    use crate::{caches::Listed, settings::ClusterSettings};

    /// A cluster with an app asleep whose record names a workload, and with the workloads of a name.
    fn caches(recorded: (&str, &str), workloads: &[&str]) -> Caches {
        fn parsed<T: serde::de::DeserializeOwned>(json: Value) -> T {
            serde_json::from_value(json).expect("an object")
        }
        let (api_version, kind) = recorded;
        let workload = json!({
            "apiVersion": api_version, "kind": kind, "name": "web", "uid": "u", "replicas": 2, "generation": 1,
        });
        let record = json!({
            "v": 1, "workloads": [workload], "phase": "idling", "since": "2026-12-01T12:00:00Z", "by": "cli",
        });
        let slice = json!({
            "metadata": {
                "name": "web-unidler", "namespace": "team", "uid": "s", "resourceVersion": "7",
                "labels": { "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "unidler" },
                "annotations": { "unidler/record": record.to_string() },
            },
            "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.1"] }],
        });
        let deployment = |name: &&str| {
            let template = json!({ "metadata": { "labels": { "app": name } } });
            let spec = json!({ "replicas": 0, "selector": {}, "template": template });
            parsed(json!({ "metadata": { "name": name, "namespace": "team" }, "spec": spec }))
        };
        let service = json!({
            "metadata": { "name": "web", "namespace": "team" },
            "spec": { "clusterIP": "10.0.0.9", "selector": { "app": "web" } },
        });
        let listed = Listed {
            slices: vec![parsed(slice)],
            services: vec![parsed(service)],
            deployments: workloads.iter().map(deployment).collect(),
            ..Listed::default()
        };
        Caches::of(listed, &ClusterSettings::of_tests())
    }

    const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");

    #[test]
    fn an_app_is_deserted_when_nothing_of_it_exists_that_would_be_seen() {
        let count = |caches: &Caches| caches.deserted().map(|slices| slices.len());
        assert_eq!(count(&caches(DEPLOYMENT, &[])), Some(1));
        assert_eq!(count(&caches(DEPLOYMENT, &["other"])), Some(1));
        assert_eq!(count(&caches(DEPLOYMENT, &["web"])), Some(0));
        let unwatched = ("example.org/v1", "Tool");
        assert_eq!(count(&caches(unwatched, &[])), Some(0));
        let unread = caches(DEPLOYMENT, &[]);
        unread.stateful_sets.forbid();
        assert_eq!(count(&unread), None);
    }

    #[tokio::test]
    async fn it_is_left_alone_for_ten_minutes_and_begins_anew_when_something_was_there() {
        let nobody = service_fn(|_: http::Request<Body>| {
            std::future::pending::<Result<http::Response<Body>, tower::BoxError>>()
        });
        let client = Client::new(nobody, "default");
        let settings = ClusterSettings::of_tests();
        let cluster = KubernetesCluster::with_clients(client.clone(), client, settings);
        let mut deserted = Deserted::new(cluster);
        let begin = Instant::now();
        let mut due = |workloads: &[&str], minutes: u64| {
            let slices = caches(DEPLOYMENT, workloads).deserted();
            let now = begin + Duration::from_mins(minutes);
            deserted.due(slices.expect("a current view"), now).len()
        };
        assert_eq!(due(&[], 0), 0);
        assert_eq!(due(&[], 9), 0);
        assert_eq!(due(&[], 10), 1);
        assert_eq!(due(&["web"], 11), 0);
        assert_eq!(due(&[], 12), 0);
        assert_eq!(due(&[], 21), 0);
        assert_eq!(due(&[], 22), 1);
    }
}
