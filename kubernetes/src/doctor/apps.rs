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
        what: format!("{workload} has the label {RSTUDIO_LABEL}, and others of its app {key_label}"),
        why: "unidler understands both; other programs may not.".into(),
        fix: format!(
            "write it like the others in the app's chart, or: kubectl -n {} label {} {} {key_label}={key} {RSTUDIO_LABEL}-",
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
            what: format!("Service {namespace}/{name} leads to {address}, which is not there"),
            why: "Visitors of the app get an error of the ingress, and nobody wakes it.".into(),
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
                "What Service {namespace}/{name} kept of itself before it was idled cannot be used"
            ),
            format!(
                "Its annotation {SERVICE_WHEN_UNIDLED} is not a selector and ports, so the app cannot be woken."
            ),
            annotate(example),
        ),
        Uncertain::Pods => (
            "service-spec-lost",
            format!("Nothing tells where Service {namespace}/{name} led before it was idled"),
            format!(
                "Neither its annotation {SERVICE_WHEN_UNIDLED} nor a label does, so the app cannot be woken."
            ),
            annotate(example),
        ),
        Uncertain::Port(likely) => (
            "service-port-unclear",
            format!(
                "Nothing tells to which port Service {namespace}/{name} led before it was idled"
            ),
            format!(
                "{} has several ports or containers, and a wrong guess could lead visitors past a login, so the app cannot be \
                 woken.",
                found
                    .workloads
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            // If there is a login, it listens on port 3000.
            format!(
                "{} with the app's own port, or that of its login, in the place of 3000",
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
                "Deployment {namespace}/{name} is idled, and Service {namespace}/{} does not lead to unidler",
                service.name
            ),
            "Visitors of the app get an error of the ingress, and nobody wakes it.",
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
                "Service {namespace}/{} leads to unidler, and Deployment {namespace}/{name} is not idled",
                service.name
            ),
            "It has 0 replicas without the mark, which means that somebody has switched it off: no visitor wakes it.",
            format!(
                "if visitors should wake it: kubectl -n {namespace} label deployment {name} {IDLED}=true"
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
            what: format!("{route} leads to the port {port} of {service}"),
            why: "While the app is idled that has only the port `http`, 80, so visitors get an error of the ingress.".into(),
            fix: format!("name the Service's port `http` and let the {kind} say `http`, or let both be 80"),
        })
    };
    found.routes.iter().filter_map(finding).collect()
}
