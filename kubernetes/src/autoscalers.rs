//! `HorizontalPodAutoscaler`s, as far as they affect sleeping apps.

use std::fmt;

use anyhow::Context;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{ResourceExt, api::ListParams};

use crate::{
    api_server::ApiServer,
    cache::Cached,
    objects::{ScaleTarget, Workload},
};

/// The autoscalers of a cluster. Users who run a command may list them; unidler's server need not.
#[derive(Debug, Default)]
pub(crate) struct Autoscalers(Vec<Autoscaler>);

/// An autoscaler. It is displayed as its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Autoscaler {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The `ScaledObject` that it belongs to, if KEDA has created it.
    pub(crate) keda: Option<String>,
    min_replicas: i32,
    target: ScaleTarget,
}

impl Autoscaler {
    /// Whether it scales a workload to and from zero by itself. An ordinary one is inactive while there are no replicas
    /// ([Kubernetes: implicit maintenance mode]).
    ///
    /// [Kubernetes: implicit maintenance mode]: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#implicit-maintenance-mode-deactivation
    pub(crate) fn owns_zero(&self) -> bool {
        self.keda.is_some() || self.min_replicas == 0
    }

    pub(crate) fn scales(&self, workload: &Cached<Workload>) -> bool {
        self.target.is(&self.namespace, workload)
    }
}

impl fmt::Display for Autoscaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace, name, ..
        } = self;
        write!(f, "HorizontalPodAutoscaler {namespace}/{name}")
    }
}

impl Autoscalers {
    pub(crate) fn of(listed: Vec<HorizontalPodAutoscaler>) -> Self {
        let autoscaler = |listed: HorizontalPodAutoscaler| {
            let (namespace, name) = (listed.namespace().unwrap_or_default(), listed.name_any());
            let keda = listed.labels().get("scaledobject.keda.sh/name").cloned();
            let spec = listed.spec?;
            Some(Autoscaler {
                namespace,
                name,
                keda,
                // https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/
                min_replicas: spec.min_replicas.unwrap_or(1),
                target: ScaleTarget {
                    api_version: spec.scale_target_ref.api_version,
                    kind: spec.scale_target_ref.kind,
                    name: spec.scale_target_ref.name,
                },
            })
        };
        Self(listed.into_iter().filter_map(autoscaler).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Autoscaler> {
        self.0.iter()
    }
}

impl ApiServer {
    /// Lists the autoscalers of the cluster.
    ///
    /// # Errors
    ///
    /// If they cannot be listed.
    pub(crate) async fn autoscalers(&self) -> anyhow::Result<Autoscalers> {
        let listed = self.list(&ListParams::default()).await;
        let listed = listed.context(
            "cannot list the HorizontalPodAutoscalers of the cluster, some of which may scale apps to 0 and back by themselves",
        )?;
        Ok(Autoscalers::of(listed))
    }
}
