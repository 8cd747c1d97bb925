//! Kinds of custom workloads that are configured, but do not exist.

use super::{
    finding::{Finding, Severity},
    snapshot::Snapshot,
};
use crate::objects::Scalable;

/// The absence of Rollouts is normal, unless they are configured explicitly.
pub(crate) fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let absent = snapshot.listing.0.absent_kinds();
    let named = absent.filter(|kind| snapshot.settings.scalable.contains(kind));
    let finding = |kind: &Scalable| Finding {
        severity: Severity::Warning,
        check: "kind-missing",
        what: format!("The cluster does not have {kind}, which --scalable names"),
        why: "No app whose workloads are of this kind can be idled or woken.".into(),
        fix: format!(
            "install its CRD, or look up the right name with `kubectl api-resources --api-group={}`",
            kind.group()
        ),
    };
    named.map(finding).collect()
}
