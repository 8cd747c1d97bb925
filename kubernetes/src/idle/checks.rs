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
            Self::Already => f.write_str("it is idled already"),
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
    let instead = "Let the Ingress lead to an ordinary Service (type ClusterIP, with a selector) that has the key label instead";
    service.value.to_keep().map_err(|why| match why {
        Irreversible::ExternalName => anyhow!(
            "{service} is an ExternalName that leads elsewhere: there are no pods behind it to idle"
        ),
        Irreversible::Type(other) => anyhow!(
            "{service} is of type {other}: its ports or its address outside of the cluster would be lost. {instead}"
        ),
        Irreversible::Headless => anyhow!(
            "{service} is headless: those who look its pods up by DNS would get another answer after the wake-up. {instead}"
        ),
        Irreversible::ExternalIps => {
            anyhow!("{service} has external IPs, which would lead to unidler. {instead}")
        }
        Irreversible::NoSelector => {
            anyhow!("{service} has no selector: nobody would find its pods again. {instead}")
        }
    })
}

/// Checks that the replicas of a workload can be restored.
pub(crate) fn expect_counted(workload: &Cached<Workload>) -> anyhow::Result<()> {
    ensure!(
        !workload.value.is_uncounted,
        "{workload} does not say how many replicas it has, so nobody could give them back: set its spec.replicas"
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
            "{workload} is made by {controller}, which would scale it up again at once: scale that down instead. If it has a scale \
             subresource of its own, unidler does so when --scalable names its kind, here and for the server"
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
            bail!(
                "{kind} {name}, of the controller {controller}, serves {route}. {why} Instead, {fix}"
            );
        }
    }
    Ok(())
}

/// Checks that a route refers to a port that the Service still has while the app is idled.
pub(crate) fn expect_route(route: &Cached<Route>, service: &Cached<Service>) -> anyhow::Result<()> {
    ensure!(
        route.value.kind != RouteKind::HttpRoute,
        "{route} leads to {service}, and Gateway API controllers refuse ExternalName Services: idle the app with \
         --handover slice"
    );
    if let Some(port) = lost_port(&route.value, service) {
        bail!(
            "{route} leads to the port {port} of {service}, and while the app is idled that has only the port `http`, 80: name \
             one of the Service's ports `http` and let the {} say `http`, or let both be 80",
            route.value.kind.name()
        );
    }
    Ok(())
}

/// The port of a Service that a route refers to, if the Service lacks it while the app is idled.
///
/// An `HTTPRoute` has another problem: it cannot refer to such a Service at all.
pub(crate) fn lost_port(route: &Route, service: &Cached<Service>) -> Option<String> {
    if route.kind == RouteKind::HttpRoute {
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
                format!("{route} names {host}, but no listener of its Gateways takes {hostname}")
            }
            Defect::Ungranted(Backend {
                namespace, service, ..
            }) => format!(
                "{route} leads {host} to Service {namespace}/{service}, and no ReferenceGrant in {namespace} allows that"
            ),
        })
    });
    why.unwrap_or_else(|| {
        format!(
            "no Ingress leads {host} to a Service, and no HTTPRoute: `kubectl get ingress -A` shows which hosts there are"
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
