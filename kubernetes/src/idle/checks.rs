//! Which apps are not idled, and what to do about it.

use anyhow::{bail, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment as KubeDeployment,
    core::v1::{Service as KubeService, ServiceSpec},
    networking::v1::{Ingress as KubeIngress, IngressServiceBackend},
};
use kube::ResourceExt;
use unidler::{host::Host, progress::Reason};

use crate::{
    lookup::{NotFound, keys_of},
    objects::ServiceWhenUnidled,
    target::PORT,
};

/// What a Service has to keep, if that is all that it loses.
///
/// Waking makes it a `ClusterIP` again. Whatever else can be reached from outside of the cluster, or has no pods of
/// its own, would not be what it was ([Kubernetes: Service type]).
///
/// [Kubernetes: Service type]: https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types
pub(crate) fn kept(service: &KubeService) -> anyhow::Result<ServiceWhenUnidled> {
    let name = format!(
        "Service {}/{}",
        service.namespace().unwrap_or_default(),
        service.name_any()
    );
    let instead = "Let the Ingress lead to an ordinary Service (type ClusterIP, with a selector) that has the key label instead";
    let spec = service.spec.clone().unwrap_or_default();
    match spec.type_.as_deref().unwrap_or("ClusterIP") {
        "ClusterIP" => {}
        "ExternalName" => bail!(
            "{name} is an ExternalName that leads elsewhere: there are no pods behind it to idle"
        ),
        other => bail!(
            "{name} is of type {other}: its ports or its address outside of the cluster would be lost. {instead}"
        ),
    }
    let ServiceSpec {
        cluster_ip,
        external_ips,
        selector,
        ports,
        ..
    } = spec;
    ensure!(
        cluster_ip.as_deref() != Some("None"),
        "{name} is headless: those who look its pods up by DNS would get another answer after the wake-up. {instead}"
    );
    ensure!(
        external_ips.is_none_or(|ips| ips.is_empty()),
        "{name} has external IPs, which would lead to the unidler. {instead}"
    );
    let selector = selector.unwrap_or_default();
    ensure!(
        !selector.is_empty(),
        "{name} has no selector: nobody would find its pods again. {instead}"
    );
    Ok(ServiceWhenUnidled {
        selector,
        ports: ports.unwrap_or_default(),
        ip_families: spec.ip_families,
        ip_family_policy: spec.ip_family_policy,
    })
}

/// Whether visitors who come through an Ingress ask for a port that the Service has while the app is idled.
pub(crate) fn expect_ingress(ingress: &KubeIngress, service: &str) -> anyhow::Result<()> {
    let name = format!(
        "Ingress {}/{}",
        ingress.namespace().unwrap_or_default(),
        ingress.name_any()
    );
    if let Some(port) = backends(ingress)
        .into_iter()
        .filter(|backend| backend.name == service)
        .find_map(lost_port)
    {
        bail!(
            "{name} leads to the port {port} of Service {service}, and while the app is idled that has only the port \
             `http`, 80: name one of the Service's ports `http` and let the Ingress say `http`, or let both be 80"
        );
    }
    Ok(())
}

/// The Services that an Ingress leads to.
pub(crate) fn backends(ingress: &KubeIngress) -> Vec<&IngressServiceBackend> {
    let spec = ingress.spec.as_ref();
    let rules = spec
        .and_then(|spec| spec.rules.as_ref())
        .into_iter()
        .flatten();
    let paths = rules
        .filter_map(|rule| rule.http.as_ref())
        .flat_map(|http| &http.paths);
    let default = spec.and_then(|spec| spec.default_backend.as_ref());
    paths
        .map(|path| &path.backend)
        .chain(default)
        .filter_map(|backend| backend.service.as_ref())
        .collect()
}

/// The port that a backend asks for, if the Service of an idled app does not have it.
pub(crate) fn lost_port(backend: &IngressServiceBackend) -> Option<String> {
    let port = backend.port.as_ref()?;
    match (&port.name, port.number) {
        (Some(name), _) => (name != PORT.0).then(|| format!("`{name}`")),
        (None, Some(number)) => (number != PORT.1).then(|| number.to_string()),
        (None, None) => None,
    }
}

/// Whether the Service's pods are those of the Deployment. Otherwise another app would lose its visitors.
pub(crate) fn expect_pods(
    deployment: &KubeDeployment,
    kept: &ServiceWhenUnidled,
) -> anyhow::Result<()> {
    let labels = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.template.metadata.as_ref())
        .and_then(|pods| pods.labels.as_ref());
    let labels = labels.cloned().unwrap_or_default();
    for (name, value) in &kept.selector {
        ensure!(
            labels.get(name) == Some(value),
            "it selects {name}={value}, which the Deployment's pods do not have"
        );
    }
    Ok(())
}

/// Why no app was found, and what to do.
pub(crate) fn no_app(error: &NotFound, host: &Host, key_label: &str) -> anyhow::Error {
    let key = keys_of(host)
        .first()
        .copied()
        .unwrap_or_default()
        .to_owned();
    let text = match error.reason {
        Reason::NoRoute => format!(
            "no Ingress has the label {key_label}={key}, and none leads {host} to an app that has such a label: `kubectl get \
             ingress -A` shows which hosts there are"
        ),
        Reason::HostNotServed => {
            format!("the Ingress with the key of {host} has no rule for it: {error}")
        }
        Reason::NoWorkload => format!(
            "no Deployment has the key of {host} in the namespace of its Ingress ({error}): give it the same {key_label} as \
             the Service, or `kubectl -n NAMESPACE label deployment NAME {key_label}={key}`"
        ),
        Reason::NoService => format!("what leads {host} on leads nowhere: {error}"),
        Reason::AmbiguousWorkload => format!(
            "several Deployments have the key of {host} ({error}): take the label off all but one, `kubectl -n NAMESPACE label \
             deployment NAME {key_label}-`"
        ),
        Reason::AmbiguousRoute => {
            format!("several Ingresses lead {host} to different apps: {error}")
        }
        Reason::AmbiguousService => {
            format!("several Services of {host} are those of different apps: {error}")
        }
        other => format!("the app cannot be found: {other:?}"),
    };
    anyhow::anyhow!(text)
}
