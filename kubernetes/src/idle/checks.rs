//! Checks whether an app may be idled, and explains what to do if not.

use std::fmt;

use anyhow::{anyhow, bail, ensure};
use unidler::{host::Host, hub::Cause, progress::Reason};

use crate::{
    autoscalers::Autoscalers,
    cache::Cached,
    caches::Caches,
    controllers::{Advice, Class, Verdict},
    lookup::{Defect, NotFound, keys_of},
    objects::{
        Backend, Irreversible, Port, Route, RouteKind, Service, ServiceWhenUnidled, Workload,
    },
    surroundings::Surroundings,
    target::PORT,
};

/// Why there is nothing to write.
#[derive(Debug)]
pub enum NotPlanned {
    /// It is idled already.
    Already,
    /// It must not be idled, with an explanation of what to do.
    Refused(anyhow::Error),
}

impl fmt::Display for NotPlanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Already => f.write_str("it is already idled"),
            Self::Refused(why) => write!(f, "{why:#}"),
        }
    }
}

impl From<anyhow::Error> for NotPlanned {
    fn from(why: anyhow::Error) -> Self {
        Self::Refused(why)
    }
}

/// The fields of a Service to keep, if nothing else is lost.
pub(crate) fn kept(service: &Cached<Service>) -> anyhow::Result<ServiceWhenUnidled> {
    let instead = "Use a ClusterIP Service with a selector behind the Ingress instead, and put the key label on it";
    service.value.to_keep().map_err(|why| match why {
        Irreversible::ExternalName => anyhow!(
            "{service} is an ExternalName that points elsewhere: there are no pods behind it to idle"
        ),
        Irreversible::Type(other) => anyhow!(
            "{service} is of type {other}: its ports or its address outside of the cluster would be lost. {instead}"
        ),
        Irreversible::Headless => anyhow!(
            "{service} is headless: clients that look up its pods by DNS would get a different answer after the wake-up. {instead}"
        ),
        Irreversible::ExternalIps => {
            anyhow!("{service} has external IPs, which would point to unidler. {instead}")
        }
        Irreversible::NoSelector => {
            anyhow!("{service} has no selector: its pods could not be found again. {instead}")
        }
    })
}

/// Checks that the replicas of a workload can be restored.
pub(crate) fn expect_counted(workload: &Cached<Workload>) -> anyhow::Result<()> {
    ensure!(
        !workload.value.is_uncounted,
        "{workload} does not specify its replicas, so they could not be restored: set its spec.replicas"
    );
    Ok(())
}

/// Checks that a workload stays at 0 replicas until it is woken.
pub(crate) fn expect_scalable(
    workload: &Cached<Workload>,
    autoscalers: &Autoscalers,
) -> anyhow::Result<()> {
    let Cached { namespace, .. } = workload;
    if let Some(controller) = &workload.value.controller {
        bail!(
            "{workload} is managed by {controller}, which would scale it up again at once: scale down {controller} instead. If that \
             has a scale subresource, unidler can do so: add its kind to --scalable, here and on the server"
        );
    }
    let Some(autoscaler) = autoscalers
        .iter()
        .find(|each| each.owns_zero() && each.scales(workload))
    else {
        return Ok(());
    };
    match &autoscaler.keda {
        Some(keda) => bail!(
            "KEDA scales {workload} to and from 0 by itself (ScaledObject {namespace}/{keda}): leave that to it, or pause it with \
             `kubectl -n {namespace} annotate scaledobject {keda} autoscaling.keda.sh/paused=true`"
        ),
        None => bail!(
            "{autoscaler} scales {workload} to and from 0 by itself: leave that to it, or let it keep one replica with \
             `kubectl -n {namespace} patch hpa {} -p '{{\"spec\":{{\"minReplicas\":1}}}}'`",
            autoscaler.name
        ),
    }
}

/// Checks that the controllers that serve a route can route its visitors to unidler.
pub(crate) fn expect_controller(
    route: &Cached<Route>,
    is_external_name: bool,
    caches: &Caches,
    surroundings: &Surroundings,
) -> anyhow::Result<()> {
    for class in surroundings.classes.of_route(route, caches) {
        if let Some(Verdict::Cannot(Advice { why, fix })) = class.verdict(is_external_name) {
            let Class {
                kind,
                name,
                controller,
            } = class;
            bail!("{kind} {name} (controller {controller}) serves {route}. {why} Instead, {fix}");
        }
    }
    Ok(())
}

/// Checks that a route refers to a port that the Service still has while the app is idled.
pub(crate) fn expect_route(route: &Cached<Route>, service: &Cached<Service>) -> anyhow::Result<()> {
    ensure!(
        !matches!(route.value.kind, RouteKind::HttpRoute { .. }),
        "{route} routes to {service}, but Gateway API controllers refuse ExternalName Services: idle the app with \
         --handover slice"
    );
    if let Some(port) = lost_port(&route.value, service) {
        bail!(
            "{route} routes to port {port} of {service}, which only has port 80, named `http`, while the app is idled: name one \
             of the Service's ports `http` and refer to it by that name in the {}, or use port 80 in both",
            route.value.kind.name()
        );
    }
    Ok(())
}

/// The port of a Service that a route refers to, if the Service lacks it while the app is idled.
///
/// An `HTTPRoute` has another problem: it cannot refer to such a Service at all.
pub(crate) fn lost_port(route: &Route, service: &Cached<Service>) -> Option<String> {
    if let RouteKind::HttpRoute { .. } = route.kind {
        return None;
    }
    let mut ports = route.ports(&service.namespace, &service.name);
    ports.find_map(|port| match port {
        Port::Name(name) => (**name != *PORT.0).then(|| format!("`{name}`")),
        Port::Number(number) => (*number != PORT.1).then(|| number.to_string()),
    })
}

/// Whether the Service's pods are those of the Deployment. Otherwise another app would lose its visitors.
pub(crate) fn expect_pods(deployment: &Workload, service: &Service) -> anyhow::Result<()> {
    match deployment.lacks(&service.selector) {
        Some((name, value)) => {
            bail!("it selects {name}={value}, which the Deployment's pods do not have")
        }
        None => Ok(()),
    }
}

/// Explains why no route points from a host to a Service.
pub(crate) fn unserved(host: &Host, caches: &Caches) -> String {
    let why = caches.naming(host).into_iter().find_map(|route| {
        let defect = caches.defects(&route).into_iter().next()?;
        Some(match defect {
            Defect::Unaccepted => format!("{route} names {host}, but no Gateway has accepted it"),
            Defect::HostRefused(hostname) => {
                format!("{route} names {host}, but no listener of its Gateways accepts {hostname}")
            }
            Defect::Ungranted(Backend {
                namespace, service, ..
            }) => format!(
                "{route} routes {host} to Service {namespace}/{service}, but no ReferenceGrant in {namespace} allows that"
            ),
        })
    });
    why.unwrap_or_else(|| {
        format!(
            "no Ingress or HTTPRoute routes {host} to a Service: `kubectl get ingress -A` lists the hosts"
        )
    })
}

/// Explains why no app was found, and what to do.
pub(crate) fn no_app(error: &NotFound, host: &Host, key_label: &str) -> anyhow::Error {
    let key = keys_of(host)
        .first()
        .copied()
        .unwrap_or_default()
        .to_owned();
    let text = match error.reason {
        Reason::NoRoute => format!(
            "no Ingress has the label {key_label}={key}, and none routes {host} to an app with such a label: `kubectl get \
             ingress -A` lists the hosts"
        ),
        Reason::HostNotServed => {
            format!("the Ingress with the key of {host} has no rule for it: {error}")
        }
        Reason::NoWorkload => format!(
            "no Deployment has the key of {host} in the namespace of its Ingress ({error}): give it the same {key_label} as \
             the Service, or `kubectl -n NAMESPACE label deployment NAME {key_label}={key}`"
        ),
        Reason::NoService => format!("{host} is not routed to an app's Service: {error}"),
        Reason::AmbiguousWorkload => format!(
            "several Deployments have the key of {host} ({error}): remove the label from all but one with `kubectl -n NAMESPACE \
             label deployment NAME {key_label}-`"
        ),
        Reason::AmbiguousRoute => {
            format!("several Ingresses route {host} to different apps: {error}")
        }
        Reason::AmbiguousService => {
            format!("several Services of {host} belong to different apps: {error}")
        }
        other => format!("the app cannot be found: {other:?}"),
    };
    anyhow!(text)
}

/// The error after a failed attempt that was undone completely.
pub(crate) fn undone(cause: &Cause) -> anyhow::Error {
    match cause {
        Cause::Woken => anyhow!(
            "the app was woken in the meantime, by a visitor or by unidler's server, and stays awake: try again"
        ),
        cause => anyhow!("the app is as it was: {cause}"),
    }
}
