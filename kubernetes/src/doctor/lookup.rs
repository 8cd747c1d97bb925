//! Checks whether each app is found.

use std::{collections::BTreeSet, sync::Arc};

use unidler::progress::Reason;

use super::{
    apps,
    finding::{Finding, Severity},
    snapshot::{Snapshot, label_command},
};
use crate::{
    cache::Cached,
    found::Found,
    lookup::{Involved, NotFound},
    objects::{PointsAt, Service, Workload},
    settings::ClusterSettings,
};

/// Checks every app that is found, then the rules of Ingresses that should point to one, and then idled objects that
/// belong to none.
pub(crate) fn findings(snapshot: &Snapshot, found: &[Found]) -> Vec<Finding> {
    let mut findings: Vec<_> = found
        .iter()
        .flat_map(|found| apps::findings(snapshot, found))
        .collect();
    for (rule, error) in snapshot.listing.0.not_found() {
        findings.extend(not_found(snapshot, &rule, &error));
    }
    findings.extend(unserved(snapshot, found));
    findings
}

/// A host whose app is not found, because something is missing or exists twice.
fn not_found(
    Snapshot {
        settings, listing, ..
    }: &Snapshot,
    rule: &str,
    error: &NotFound,
) -> Option<Finding> {
    let ClusterSettings { key_label, .. } = settings;
    let route = error.involved.iter().find_map(|involved| match involved {
        Involved::Route(route) => Some(route),
        _ => None,
    })?;
    let services: Vec<_> = error
        .involved
        .iter()
        .filter_map(|involved| match involved {
            Involved::Service(service) => Some(service),
            _ => None,
        })
        .collect();
    let namespace = &route.namespace;
    let mut keys = services
        .iter()
        .map(|service| &service.key)
        .chain([&route.key])
        .flatten();
    let key = keys.next().map_or(rule, String::as_str);
    let deployments = listing.0.deployments.all();
    let mut with_key = deployments.iter().filter(|deployment| {
        deployment.namespace == *namespace && deployment.key.as_deref() == Some(key)
    });
    let is_idled = with_key.any(|deployment| deployment.value.idled)
        || error.involved.iter().any(|involved| match involved {
            Involved::Service(service) => service.value.points_at == PointsAt::Unidler,
            Involved::Workload(deployment) => deployment.value.idled,
            Involved::Route(_) | Involved::Gone(_) => false,
        });

    let (check, what, why, fix) = match error.reason {
        // An app that is awake needs no label, and may share its host.
        Reason::NoWorkload
        | Reason::AmbiguousWorkload
        | Reason::AmbiguousRoute
        | Reason::AmbiguousService
            if !is_idled =>
        {
            return None;
        }
        Reason::NoWorkload => (
            "label-missing",
            format!(
                "No Deployment in namespace {namespace} has the label {key_label}={key} of the app of {rule}"
            ),
            "unidler cannot find the app, so it can be neither idled nor woken.",
            label_command(
                settings,
                namespace,
                "deployment",
                services
                    .first()
                    .and_then(|service| selected(&deployments, service))
                    .as_deref(),
                key,
            ),
        ),
        Reason::NoService => (
            "not-behind-ingress",
            format!("{rule} is not routed to an app's Service: {error}"),
            "Visitors of the app would not reach unidler, so it can be neither idled nor woken.",
            format!(
                "let it route to the app's Service: kubectl -n {namespace} edit {} {}",
                route.value.kind.resource(),
                route.name
            ),
        ),
        Reason::AmbiguousWorkload => (
            "key-duplicate",
            format!("Several Deployments have the key of {rule}: {error}"),
            "unidler cannot determine which one to use, so the app can be neither idled nor woken.",
            format!(
                "remove the label from all but one: kubectl -n {namespace} label deployment NAME {key_label}-"
            ),
        ),
        Reason::AmbiguousRoute | Reason::AmbiguousService => (
            "host-duplicate",
            format!("{rule} is routed to several apps: {error}"),
            "unidler cannot determine which one a visitor wants, so none of them can be idled or woken there.",
            "give each app a host of its own".to_owned(),
        ),
        // An Ingress serves the host.
        _ => return None,
    };
    let severity = if is_idled {
        Severity::Error
    } else {
        Severity::Warning
    };
    Some(Finding {
        severity,
        check,
        what,
        why: why.into(),
        fix,
    })
}

/// Idled objects that no Ingress points to.
fn unserved(snapshot: &Snapshot, found: &[Found]) -> Vec<Finding> {
    let caches = &snapshot.listing.0;
    let (deployments, services) = (caches.deployments.all(), caches.services.all());
    let idled = deployments
        .iter()
        .filter(|deployment| deployment.value.idled)
        .map(|deployment| Idled::of(deployment, "deployment"));
    let leading = services
        .iter()
        .filter(|service| service.value.points_at == PointsAt::Unidler)
        .map(|service| Idled::of(service, "service"));
    idled
        .chain(leading)
        .filter_map(|object| object.finding(snapshot, found))
        .collect()
}

/// A Deployment or a Service that is idled.
struct Idled<'a> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    key: Option<&'a str>,
}

impl<'a> Idled<'a> {
    fn of<T>(object: &'a Cached<T>, kind: &'static str) -> Self {
        Self {
            kind,
            namespace: &object.namespace,
            name: &object.name,
            key: object.key.as_deref(),
        }
    }

    fn finding(
        &self,
        Snapshot {
            settings, listing, ..
        }: &Snapshot,
        found: &[Found],
    ) -> Option<Finding> {
        let Self {
            kind,
            namespace,
            name,
            key,
        } = *self;
        let ClusterSettings { key_label, .. } = settings;
        let is_of = |found: &Found| {
            fn has<T>(all: &[Arc<Cached<T>>], namespace: &str, name: &str) -> bool {
                let mut all = all.iter();
                all.any(|object| object.namespace == namespace && object.name == name)
            }
            if kind == "service" {
                has(&found.services, namespace, name)
            } else {
                has(&found.workloads, namespace, name)
            }
        };
        // A route that points to the app, or should, is already reported elsewhere.
        let is_of_route = listing.0.routes().iter().any(|route| {
            let mut ports = route.value.ports(namespace, name);
            let has_key = key.is_some() && route.key.as_deref() == key;
            (kind == "service" && ports.next().is_some())
                || (route.namespace == namespace && has_key)
        });
        if found.iter().any(is_of) || is_of_route {
            return None;
        }
        let (check, what, fix) = match key {
            Some(key) => (
                "host-not-served",
                format!(
                    "No Ingress in namespace {namespace} routes to the idled app with the label {key_label}={key}"
                ),
                format!("let one route to its Service: kubectl -n {namespace} edit ingress"),
            ),
            None => (
                "label-missing",
                format!("The idled {kind} {namespace}/{name} has no label {key_label}"),
                label_command(settings, namespace, kind, Some(name), "KEY"),
            ),
        };
        let why =
            "The app is idled, but unidler does not know its host, so no visit wakes it.".into();
        Some(Finding {
            severity: Severity::Error,
            check,
            what,
            why,
            fix,
        })
    }
}

/// The Deployment whose pods a Service selects, if there is exactly one.
fn selected(deployments: &[Arc<Cached<Workload>>], service: &Cached<Service>) -> Option<String> {
    let selector = &service.value.selector;
    let selected = deployments.iter().filter(|deployment| {
        deployment.namespace == service.namespace
            && !selector.is_empty()
            && deployment.value.lacks(selector).is_none()
    });
    only(selected.map(|deployment| deployment.name.clone()))
}

fn only(names: impl Iterator<Item = String>) -> Option<String> {
    let mut names = names.collect::<BTreeSet<_>>().into_iter();
    let name = names.next()?;
    names.next().is_none().then_some(name)
}
