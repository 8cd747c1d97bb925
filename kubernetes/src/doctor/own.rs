//! unidler itself.

use super::{
    finding::{Finding, Severity},
    snapshot::Snapshot,
};
use crate::{found::Found, objects::PointsAt};

pub(crate) fn findings(snapshot: &Snapshot, apps: &[Found]) -> Vec<Finding> {
    let mut findings: Vec<_> = absent(snapshot).into_iter().collect();
    findings.extend(unneeded(snapshot, apps));
    findings
}

/// Whether unidler has no endpoints to serve the visitors of sleeping apps.
fn absent(snapshot: &Snapshot) -> Option<Finding> {
    let caches = &snapshot.listing.0;
    let settings = &snapshot.settings;
    let (namespace, name) = (&settings.service_namespace, &settings.service_name);
    let slices = caches.slices.all();
    let is_missed = slices.iter().any(|slice| slice.value.diverts());
    let why =
        "Visitors of sleeping apps get an error from the ingress, and nothing wakes the apps.";
    if caches.services.named(namespace, name).is_none() {
        return is_missed.then(|| Finding {
            severity: Severity::Error,
            check: "unidler-missing",
            what: format!(
                "Service {namespace}/{name}, to which sleeping apps point, does not exist"
            ),
            why: why.into(),
            fix: "install unidler there, or set --service to its Service".into(),
        });
    }
    (snapshot.own_endpoints == Some(0)).then(|| Finding {
        severity: Severity::Error,
        check: "unidler-not-ready",
        what: format!("No pod of Service {namespace}/{name} is ready"),
        why: why.into(),
        fix: format!(
            "kubectl -n {namespace} get pods; their log and /readyz on the admin port show what they are waiting for"
        ),
    })
}

/// Whether the permissions for apps in the 2020 form could be removed. As long as no app sleeps, it is unknown which
/// form will be used.
fn unneeded(snapshot: &Snapshot, apps: &[Found]) -> Option<Finding> {
    let caches = &snapshot.listing.0;
    let mut services = caches.services.all().into_iter();
    let mut missing = snapshot.missing_rights.iter();
    let is_needed = services.any(|service| service.value.points_at == PointsAt::Unidler)
        || apps.iter().any(Found::is_of_2020);
    let is_granted = !missing.any(|right| right.verb == "patch" && right.resource == "services");
    let is_in_use = !caches.slices.all().is_empty();
    (is_in_use && is_granted && !is_needed).then(|| Finding {
        severity: Severity::Note,
        check: "permission-unneeded",
        what: "No app sleeps with an ExternalName Service".into(),
        why: "unidler has permission to patch Deployments and Services, which it needs only for such apps.".into(),
        fix: "once the idler of 2020 is gone, install the chart with compatibility.externalName: false".into(),
    })
}
