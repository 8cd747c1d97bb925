//! The kinds that apps are made of, listed once.

use k8s_openapi::api::{
    apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService,
    networking::v1::Ingress as KubeIngress,
};
use kube::ResourceExt;

use crate::{caches::Caches, settings::ClusterSettings};

/// All objects that apps can be made of.
#[derive(Debug, Default)]
pub struct Listing {
    pub(crate) ingresses: Vec<KubeIngress>,
    pub(crate) deployments: Vec<KubeDeployment>,
    pub(crate) services: Vec<KubeService>,
}

impl Listing {
    /// What the server would know of them.
    pub(crate) fn caches(&self, settings: &ClusterSettings) -> Caches {
        Caches::of(&self.ingresses, &self.deployments, &self.services, settings)
    }
}

/// Whether an object has this name.
pub(crate) fn is(object: &impl ResourceExt, namespace: &str, name: &str) -> bool {
    object.namespace().as_deref() == Some(namespace) && object.name_any() == name
}
