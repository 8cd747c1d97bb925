//! The settings that describe the idled state in a cluster.

use std::time::Duration;

use crate::objects::{OwnService, Scalable};

/// The settings that describe the idled state in this cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The label whose value is the app's key.
    pub key_label: String,
    /// The name of unidler's own Service, which the Services of idled apps point to.
    pub service_name: String,
    /// Its namespace. An `ExternalName` may point to a Service with its name in any other namespace.
    pub service_namespace: String,
    /// The domain of the cluster's DNS names.
    pub cluster_domain: String,
    /// The maximum number of replicas to restore.
    pub max_replicas: u32,
    /// How long an app keeps its replicas after its visitors have been diverted.
    pub idle_grace: Duration,
    /// Kinds of custom workloads, besides Rollouts.
    pub scalable: Vec<Scalable>,
    /// Whether this is the server. Only the server adopts apps, and keeps visitors from waking some. A command wakes any app.
    pub is_server: bool,
}

impl ClusterSettings {
    /// The name of unidler as the manager of slices and in `managedFields`: two releases in one cluster have Services
    /// with different names.
    pub(crate) fn manager(&self) -> &str {
        &self.service_name
    }

    /// All kinds of custom workloads.
    pub(crate) fn scalables(&self) -> impl Iterator<Item = Scalable> {
        Scalable::and_rollouts(&self.scalable).into_iter()
    }

    pub(crate) fn own_service(&self) -> OwnService {
        OwnService {
            name: self.service_name.clone(),
            domain: self.cluster_domain.clone(),
        }
    }
}

#[cfg(test)]
impl ClusterSettings {
    /// The settings that the tests share.
    pub(crate) fn of_tests() -> Self {
        Self {
            key_label: "host".into(),
            service_name: "unidler".into(),
            service_namespace: "unidler".into(),
            cluster_domain: "cluster.local".into(),
            max_replicas: 10,
            idle_grace: Duration::from_secs(3),
            scalable: Vec::new(),
            is_server: true,
        }
    }
}
