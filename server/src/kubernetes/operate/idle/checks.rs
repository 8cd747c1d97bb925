//! Which apps are not idled, and what to do about it.

use anyhow::{bail, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment as KubeDeployment,
    core::v1::{Service as KubeService, ServiceSpec},
    networking::v1::{Ingress as KubeIngress, IngressServiceBackend},
};
use kube::ResourceExt;
use unidler::{host::Host, progress::Reason};

use super::{super::super::objects::ServiceWhenUnidled, PORT};

/// What a Service has to keep, if that is all that it loses.
///
/// Waking makes it a `ClusterIP` again. Whatever else can be reached from outside of the cluster, or has no pods of
/// its own, would not be what it was ([Kubernetes: Service type]).
///
/// [Kubernetes: Service type]: https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types
pub(super) fn kept(service: &KubeService) -> anyhow::Result<ServiceWhenUnidled> {
    let name = format!("Service {}/{}", service.namespace().unwrap_or_default(), service.name_any());
    let instead = "Let the Ingress lead to an ordinary Service (type ClusterIP, with a selector) that has the key label instead";
    let spec = service.spec.clone().unwrap_or_default();
    match spec.type_.as_deref().unwrap_or("ClusterIP") {
        "ClusterIP" => {}
        "ExternalName" => bail!("{name} is an ExternalName that leads elsewhere: there are no pods behind it to idle"),
        other => bail!("{name} is of type {other}: its ports or its address outside of the cluster would be lost. {instead}"),
    }
    let ServiceSpec { cluster_ip, external_ips, selector, ports, .. } = spec;
    ensure!(
        cluster_ip.as_deref() != Some("None"),
        "{name} is headless: those who look its pods up by DNS would get another answer after the wake-up. {instead}"
    );
    ensure!(external_ips.is_none_or(|ips| ips.is_empty()), "{name} has external IPs, which would lead to the unidler. {instead}");
    let selector = selector.unwrap_or_default();
    ensure!(!selector.is_empty(), "{name} has no selector: nobody would find its pods again. {instead}");
    Ok(ServiceWhenUnidled {
        selector,
        ports: ports.unwrap_or_default(),
        ip_families: spec.ip_families,
        ip_family_policy: spec.ip_family_policy,
    })
}

/// Whether visitors come through the Service, at a port that it has while the app is idled.
pub(super) fn expect_ingress(ingress: &KubeIngress, host: &Host, service: &str) -> anyhow::Result<()> {
    let name = format!("Ingress {}/{}", ingress.namespace().unwrap_or_default(), ingress.name_any());
    let backends: Vec<_> = backends(ingress, host).into_iter().filter(|backend| backend.name == service).collect();
    ensure!(
        !backends.is_empty(),
        "{name} does not lead {host} to Service {service}, so its visitors would never reach the unidler: put the key label on \
         the Service that it leads to"
    );
    if let Some(port) = backends.into_iter().find_map(lost_port) {
        bail!(
            "{name} leads {host} to the port {port} of Service {service}, and while the app is idled that has only the port \
             `http`, 80: name one of the Service's ports `http` and let the Ingress say `http`, or let both be 80"
        );
    }
    Ok(())
}

/// The Services that an Ingress leads a host to.
pub(in super::super) fn backends<'a>(ingress: &'a KubeIngress, host: &Host) -> Vec<&'a IngressServiceBackend> {
    let rules = ingress.spec.iter().flat_map(|spec| spec.rules.iter().flatten());
    let rules = rules.filter(|rule| rule.host.as_deref().is_some_and(|rule| host.is_served_by(rule)));
    let paths = rules.filter_map(|rule| rule.http.as_ref()).flat_map(|http| &http.paths);
    paths.filter_map(|path| path.backend.service.as_ref()).collect()
}

/// The port that a backend asks for, if the Service of an idled app does not have it.
pub(in super::super) fn lost_port(backend: &IngressServiceBackend) -> Option<String> {
    let port = backend.port.as_ref()?;
    match (&port.name, port.number) {
        (Some(name), _) => (name != PORT.0).then(|| format!("`{name}`")),
        (None, Some(number)) => (number != PORT.1).then(|| number.to_string()),
        (None, None) => None,
    }
}

/// Whether the Service's pods are those of the Deployment. Otherwise another app would lose its visitors.
pub(super) fn expect_pods(deployment: &KubeDeployment, kept: &ServiceWhenUnidled) -> anyhow::Result<()> {
    let labels = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref()).and_then(|pods| pods.labels.as_ref());
    let labels = labels.cloned().unwrap_or_default();
    for (name, value) in &kept.selector {
        ensure!(labels.get(name) == Some(value), "it selects {name}={value}, which the Deployment's pods do not have");
    }
    Ok(())
}

/// Why no app was found, and what to do.
pub(super) fn no_app(reason: Reason, host: &Host, key_label: &str, key: &str, namespace: &str) -> anyhow::Error {
    let label = format!("{key_label}={key}");
    let put = |kind: &str| format!("put it on the app's with `kubectl -n {namespace} label {kind} NAME {label}`");
    let one = |kind: &str| format!("take it off all but one: `kubectl get {kind} -A -l {label}` lists them");
    let text = match reason {
        Reason::NoIngress => format!(
            "no Ingress has the label {label}: {}, or say with --unidle-key-label which label has the key",
            put("ingress")
        ),
        Reason::HostNotServed => format!(
            "the Ingress with the label {label} has no rule for {host}: `kubectl get ingress -A -l {label}` shows its hosts"
        ),
        Reason::AmbiguousIngress => format!("several Ingresses with the label {label} serve {host}: {}", one("ingress")),
        Reason::NoDeployment => {
            format!("no Deployment in the namespace of the Ingress, {namespace}, has the label {label}: {}", put("deployment"))
        }
        Reason::AmbiguousDeployment => format!("several Deployments have the label {label}: {}", one("deployment")),
        Reason::NoService => {
            format!("no Service in the namespace of the Ingress, {namespace}, has the label {label}: {}", put("service"))
        }
        Reason::AmbiguousService => format!("several Services have the label {label}: {}", one("service")),
        other => format!("the app cannot be found: {other:?}"),
    };
    anyhow::anyhow!(text)
}
