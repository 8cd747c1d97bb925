//! Other programs that scale apps.

use super::{
    finding::{Finding, Severity},
    snapshot::Snapshot,
};
use crate::{autoscalers::Autoscaler, found::Found};

/// Autoscalers of apps.
pub(crate) fn findings(snapshot: &Snapshot, apps: &[Found]) -> Vec<Finding> {
    let finding = |autoscaler: &Autoscaler| {
        let mut workloads = apps.iter().flat_map(Found::parts);
        let workload = workloads.find(|workload| autoscaler.scales(workload))?;
        let Autoscaler {
            namespace, name, ..
        } = autoscaler;
        let (severity, why, fix) = if let Some(keda) = &autoscaler.keda {
            (
                Severity::Warning,
                "KEDA scales to and from 0 on its own: it may start an idled app without a visit, or stop an app that is waking.",
                format!(
                    "kubectl -n {namespace} annotate scaledobject {keda} autoscaling.keda.sh/paused-replicas=0 while the app is idled"
                ),
            )
        } else if autoscaler.owns_zero() {
            (
                Severity::Warning,
                "It may scale the app to 0 replicas and back without idling it.",
                format!(
                    "kubectl -n {namespace} patch hpa {name} -p '{{\"spec\":{{\"minReplicas\":1}}}}'"
                ),
            )
        } else {
            (
                Severity::Note,
                "It is inactive while the app is idled, and resumes from the restored replicas.",
                "none needed if this is intended".to_owned(),
            )
        };
        Some(Finding {
            severity,
            check: "autoscaler",
            what: format!("{autoscaler} scales {workload}, which belongs to an app"),
            why: why.into(),
            fix,
        })
    };
    snapshot
        .surroundings
        .autoscalers
        .iter()
        .filter_map(finding)
        .collect()
}
