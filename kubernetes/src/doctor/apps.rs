//! Checks whether an app that was found can be idled and woken.

use std::sync::Arc;

use serde_json::json;

use super::{
    finding::{Finding, Severity},
    snapshot::Snapshot,
};
use crate::{
    cache::{Cached, RSTUDIO_LABEL},
    found::Found,
    idle::lost_port,
    objects::{IDLED, PointsAt, Route, SERVICE_WHEN_UNIDLED, Service, Uncertain, Workload},
};

/// The problems of an app.
pub(crate) fn findings(snapshot: &Snapshot, found: &Found) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in &found.services {
        findings.extend(idled_service(snapshot, found, service));
        for workload in &found.workloads {
            findings.extend(half_idled(snapshot, workload, service));
        }
        findings.extend(lost_ports(found, service));
    }
    findings.extend(
        found
            .workloads
            .iter()
            .filter_map(|each| misspelt(snapshot, each)),
    );
    findings
}

/// Whether a key label is misspelt, as it is in the chart of `RStudio`.
fn misspelt(snapshot: &Snapshot, workload: &Cached<Workload>) -> Option<Finding> {
    let key_label = &snapshot.settings.key_label;
    let key = workload.key.as_deref()?;
    (workload.value.is_misspelt && key_label != RSTUDIO_LABEL).then(|| Finding {
        severity: Severity::Note,
        check: "label-misspelt",
        what: format!("{workload} has the label {RSTUDIO_LABEL}, but the other objects of its app have {key_label}"),
        why: "unidler understands both; other programs may not.".into(),
        fix: format!(
            "use the same label as the others in the app's chart, or: kubectl -n {} label {} {} {key_label}={key} {RSTUDIO_LABEL}-",
            workload.namespace,
            workload.value.kind.resource.plural,
            workload.name
        ),
    })
}

/// Whether the Service of an idled app points to an existing Service, and can be restored.
fn idled_service(snapshot: &Snapshot, found: &Found, service: &Cached<Service>) -> Option<Finding> {
    if service.value.points_at != PointsAt::Unidler {
        return None;
    }
    let (namespace, name) = (&service.namespace, &service.name);
    let address = service.value.external_name.as_deref()?;
    let own = snapshot.settings.own_service();
    let unidler = own
        .namespace_in(address)
        .and_then(|namespace| snapshot.listing.0.services.named(namespace, &own.name));
    if unidler.is_none() {
        return Some(Finding {
            severity: Severity::Error,
            check: "unidler-missing",
            what: format!("Service {namespace}/{name} points to {address}, which does not exist"),
            why: "Visitors get an error from the ingress, and nothing wakes the app.".into(),
            fix: "install unidler there: kubectl apply -f deploy/".into(),
        });
    }
    let uncertain = found.when_unidled(&service.value).err()?;
    let annotate = |value: &str| {
        format!(
            "kubectl -n {namespace} annotate service {name} --overwrite {SERVICE_WHEN_UNIDLED}='{value}'"
        )
    };
    let example =
        r#"{"selector":{"app":"APP"},"ports":[{"name":"http","port":80,"targetPort":3000}]}"#;
    let (check, what, why, fix) = match uncertain {
        Uncertain::Saved => (
            "service-spec-lost",
            format!(
                "The fields that were saved of Service {namespace}/{name} before it was idled cannot be used"
            ),
            format!(
                "Its annotation {SERVICE_WHEN_UNIDLED} does not contain a selector and ports, so the app cannot be woken."
            ),
            annotate(example),
        ),
        Uncertain::Pods => (
            "service-spec-lost",
            format!(
                "There is no record of where Service {namespace}/{name} pointed before it was idled"
            ),
            format!(
                "Neither its annotation {SERVICE_WHEN_UNIDLED} nor a label shows which pods it selected, so the app cannot be woken."
            ),
            annotate(example),
        ),
        Uncertain::Port(likely) => (
            "service-port-unclear",
            format!(
                "There is no record of the port that Service {namespace}/{name} pointed to before it was idled"
            ),
            format!(
                "{} has several ports or containers, and a wrong guess could let visitors bypass a login, so the app cannot \
                 be woken.",
                found
                    .workloads
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            // If there is a login, it listens on port 3000.
            format!(
                "{} with the port of the app, or of its login, instead of 3000",
                annotate(&json!(likely).to_string())
            ),
        ),
    };
    Some(Finding {
        severity: Severity::Error,
        check,
        what,
        why,
        fix,
    })
}

/// Whether the Deployment and the Service of an app are in the same state. An app with replicas and marks is just
/// waking.
fn half_idled(
    snapshot: &Snapshot,
    deployment: &Cached<Workload>,
    service: &Cached<Service>,
) -> Option<Finding> {
    let (namespace, name) = (&deployment.namespace, &deployment.name);
    let (is_idled, leads_to_us) = (
        deployment.value.idled,
        service.value.points_at == PointsAt::Unidler,
    );
    let (what, why, fix) = if deployment.value.replicas > 0 || is_idled == leads_to_us {
        return None;
    } else if is_idled {
        (
            format!(
                "Deployment {namespace}/{name} is idled, but Service {namespace}/{} does not point to unidler",
                service.name
            ),
            "Visitors get an error from the ingress, and nothing wakes the app.",
            format!(
                "kubectl -n {namespace} scale deployment {name} --replicas={}; kubectl -n {namespace} label deployment {name} {IDLED}-",
                deployment
                    .value
                    .replicas_to_restore(snapshot.settings.max_replicas)
            ),
        )
    } else {
        (
            format!(
                "Service {namespace}/{} points to unidler, but Deployment {namespace}/{name} is not idled",
                service.name
            ),
            "The Deployment has 0 replicas but no idle label, so unidler treats it as turned off on purpose and does not wake it.",
            format!(
                "to let visitors wake it: kubectl -n {namespace} label deployment {name} {IDLED}=true"
            ),
        )
    };
    Some(Finding {
        severity: Severity::Error,
        check: "half-idled",
        what,
        why: why.into(),
        fix,
    })
}

/// Whether visitors reach unidler while the app is idled: through each route that points to it.
fn lost_ports(found: &Found, service: &Cached<Service>) -> Vec<Finding> {
    let is_idled = found.is_idled() || service.value.points_at == PointsAt::Unidler;
    let finding = |route: &Arc<Cached<Route>>| {
        let port = lost_port(&route.value, service)?;
        let kind = route.value.kind.name();
        Some(Finding {
            severity: if is_idled { Severity::Error } else { Severity::Warning },
            check: "port-lost",
            what: format!("{route} routes to port {port} of {service}"),
            why: "While the app is idled, the Service only has port 80, named `http`, so visitors get an error from the ingress.".into(),
            fix: format!("name the Service's port `http` and refer to it by that name in the {kind}, or use port 80 in both"),
        })
    };
    found.routes.iter().filter_map(finding).collect()
}
