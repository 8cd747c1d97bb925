//! Others who scale apps.

use std::collections::BTreeSet;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::ResourceExt;

use super::{
    finding::{Finding, Severity},
    snapshot::Snapshot,
};
use crate::found::Found;

/// Autoscalers of apps. An ordinary one pauses while there are 0 replicas ([Kubernetes: implicit maintenance mode]).
///
/// [Kubernetes: implicit maintenance mode]: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#implicit-maintenance-mode-deactivation
pub(crate) fn findings(Snapshot { autoscalers, .. }: &Snapshot, apps: &[Found]) -> Vec<Finding> {
    let workloads: BTreeSet<_> = apps
        .iter()
        .flat_map(Found::parts)
        .map(|workload| (&*workload.namespace, &*workload.name))
        .collect();
    let finding = |autoscaler: &HorizontalPodAutoscaler| {
        let spec = autoscaler.spec.as_ref()?;
        let target = &spec.scale_target_ref;
        let namespace = autoscaler.namespace().unwrap_or_default();
        if target.kind != "Deployment" || !workloads.contains(&(&*namespace, &*target.name)) {
            return None;
        }
        let what = format!(
            "HorizontalPodAutoscaler {namespace}/{} scales Deployment {namespace}/{}, which is an app's",
            autoscaler.name_any(),
            target.name
        );
        let keda = autoscaler.labels().get("scaledobject.keda.sh/name");
        let (severity, why, mend) = if let Some(keda) = keda {
            (
                Severity::Warning,
                "KEDA scales to and from 0 by itself: it may start an idled app that nobody visits, or stop one that is waking.",
                format!(
                    "kubectl -n {namespace} annotate scaledobject {keda} autoscaling.keda.sh/paused-replicas=0 while it is idled"
                ),
            )
        } else if spec.min_replicas == Some(0) {
            (
                Severity::Warning,
                "It may take the app to 0 replicas and back without idling it.",
                format!(
                    "kubectl -n {namespace} patch hpa {} -p '{{\"spec\":{{\"minReplicas\":1}}}}'",
                    autoscaler.name_any()
                ),
            )
        } else {
            (
                Severity::Note,
                "It pauses while the app is idled and goes on from the replicas that are given back.",
                "nothing, if that is what you want".to_owned(),
            )
        };
        Some(Finding {
            severity,
            check: "autoscaler",
            what,
            why: why.into(),
            mend,
        })
    };
    autoscalers.iter().filter_map(finding).collect()
}
