//! Whether an app that is found can be idled and woken.

use unidler::host::Host;

use super::{
    super::{
        super::{
            discovery::Found,
            objects::{IDLED, PointsAt, SERVICE_WHEN_UNIDLED},
        },
        idle::{backends, lost_port},
    },
    Finding, Severity, Snapshot, is, label_command,
};

/// What is wrong with an app.
pub(super) fn findings(snapshot: &Snapshot, host: &Host, found: &Found) -> Vec<Finding> {
    [idled_service(snapshot, found), half_idled(snapshot, found), ingress(snapshot, host, found)].into_iter().flatten().collect()
}

/// Whether the Service of an idled app leads to somebody, and back.
fn idled_service(snapshot: &Snapshot, Found { deployment, service, .. }: &Found) -> Option<Finding> {
    if service.value.points_at != PointsAt::Unidler {
        return None;
    }
    let (namespace, name) = (&service.namespace, &service.name);
    let services = &snapshot.objects.services;
    let address = services.iter().find(|object| is(*object, namespace, name))?.spec.as_ref()?.external_name.as_deref()?;
    let mut parts = address.split('.');
    let (unidler, its_namespace) = (parts.next()?, parts.next()?);
    if !services.iter().any(|object| is(object, its_namespace, unidler)) {
        return Some(Finding {
            severity: Severity::Error,
            check: "unidler-missing",
            what: format!("Service {namespace}/{name} leads to {address}, which is not there"),
            why: "Visitors of the app get an error of the ingress, and nobody wakes it.".into(),
            mend: "install the unidler there: kubectl apply -f deploy/".into(),
        });
    }
    if service.value.when_unidled(&deployment.value).is_none() {
        let example = r#"{"selector":{"app":"APP"},"ports":[{"name":"http","port":80,"targetPort":3000}]}"#;
        return Some(Finding {
            severity: Severity::Error,
            check: "service-spec-lost",
            what: format!("Nothing tells where Service {namespace}/{name} led before it was idled"),
            why: format!("Neither its annotation {SERVICE_WHEN_UNIDLED} nor a label does, so the app cannot be woken."),
            mend: format!("kubectl -n {namespace} annotate service {name} --overwrite {SERVICE_WHEN_UNIDLED}='{example}'"),
        });
    }
    (!service.value.has_saved() && is_port_unclear(snapshot, namespace, &deployment.name)).then(|| Finding {
        severity: Severity::Warning,
        check: "service-port-unclear",
        what: format!("Nothing tells to which port Service {namespace}/{name} led before it was idled"),
        why: "Its Deployment has several and none is named `http`; the app will get its visitors at 3000.".into(),
        mend: format!("name the right one `http` in the pod template of Deployment {namespace}/{}", deployment.name),
    })
}

/// Whether a Deployment names several ports, and neither `http` nor the one of the original idler among them.
fn is_port_unclear(snapshot: &Snapshot, namespace: &str, name: &str) -> bool {
    let deployment = snapshot.objects.deployments.iter().find(|object| is(*object, namespace, name));
    let pod = deployment.and_then(|deployment| deployment.spec.as_ref()?.template.spec.as_ref());
    let ports: Vec<_> =
        pod.iter().flat_map(|pod| &pod.containers).flat_map(|container| container.ports.iter().flatten()).collect();
    ports.len() > 1 && !ports.iter().any(|port| port.name.as_deref() == Some("http") || port.container_port == 3000)
}

/// Whether the Deployment and the Service of an app tell the same. An app that has replicas and is marked is just waking.
fn half_idled(snapshot: &Snapshot, Found { deployment, service, .. }: &Found) -> Option<Finding> {
    let (namespace, name) = (&deployment.namespace, &deployment.name);
    let (is_idled, leads_to_us) = (deployment.value.idled, service.value.points_at == PointsAt::Unidler);
    let (what, why, mend) = if deployment.value.replicas > 0 || is_idled == leads_to_us {
        return None;
    } else if is_idled {
        (
            format!(
                "Deployment {namespace}/{name} is idled, and Service {namespace}/{} does not lead to the unidler",
                service.name
            ),
            "Visitors of the app get an error of the ingress, and nobody wakes it.",
            format!(
                "kubectl -n {namespace} scale deployment {name} --replicas={}; kubectl -n {namespace} label deployment {name} {IDLED}-",
                deployment.value.replicas_to_restore(snapshot.settings.max_replicas)
            ),
        )
    } else {
        (
            format!("Service {namespace}/{} leads to the unidler, and Deployment {namespace}/{name} is not idled", service.name),
            "It has 0 replicas without the mark, which means that somebody has switched it off: no visitor wakes it.",
            format!("if visitors shall wake it: kubectl -n {namespace} label deployment {name} {IDLED}=true"),
        )
    };
    Some(Finding { severity: Severity::Error, check: "half-idled", what, why: why.into(), mend })
}

/// Whether visitors come to the unidler while the app is idled.
fn ingress(snapshot: &Snapshot, host: &Host, Found { ingress, deployment, service }: &Found) -> Option<Finding> {
    let (namespace, name) = (&ingress.namespace, &ingress.name);
    let is_idled = deployment.value.idled || service.value.points_at == PointsAt::Unidler;
    let severity = if is_idled { Severity::Error } else { Severity::Warning };
    let object = snapshot.objects.ingresses.iter().find(|object| is(*object, namespace, name))?;
    let backends: Vec<_> = backends(object, host).into_iter().filter(|backend| backend.name == service.name).collect();
    if backends.is_empty() {
        return Some(Finding {
            severity,
            check: "not-behind-ingress",
            what: format!("Ingress {namespace}/{name} does not lead {host} to Service {namespace}/{}", service.name),
            why: "That one has the app's key, but visitors of the idled app would not come to the unidler through it.".into(),
            mend: format!(
                "take the label off it, and give it to the one that the Ingress names: {}",
                label_command(&snapshot.settings, namespace, "service", None, &ingress.key)
            ),
        });
    }
    let port = backends.into_iter().find_map(lost_port)?;
    Some(Finding {
        severity,
        check: "port-lost",
        what: format!("Ingress {namespace}/{name} leads {host} to the port {port} of Service {namespace}/{}", service.name),
        why: "While the app is idled that has only the port `http`, 80, so visitors get an error of the ingress.".into(),
        mend: "name the Service's port `http` and let the Ingress say `http`, or let both be 80".into(),
    })
}
