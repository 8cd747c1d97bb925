//! Routes that do not serve what they specify, or are not the only ones that do.

use unidler::progress::Reason;

use super::{
    finding::{Finding, Severity},
    snapshot::Snapshot,
};
use crate::{
    cache::Cached,
    caches::Caches,
    lookup::Defect,
    objects::{Backend, HttpRoute, PointsAt},
};

pub(crate) fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let caches = &snapshot.listing.0;
    let routes = caches.http_routes.all();
    let mut findings: Vec<_> = routes
        .iter()
        .flat_map(|route| {
            let defects = caches.defects(route).into_iter();
            defects.map(|defect| defective(caches, route, &defect))
        })
        .collect();
    findings.extend(contested(caches));
    findings
}

/// An `HTTPRoute` whose visitors reach neither the app nor unidler.
fn defective(caches: &Caches, route: &Cached<HttpRoute>, defect: &Defect) -> Finding {
    let is_idled = |backend: &Backend| leads_here(caches, &backend.namespace, &backend.service);
    let (concerned, what, fix) = match defect {
        Defect::Unaccepted => (
            route.value.backends.iter().any(is_idled),
            format!("No Gateway has accepted {route}"),
            format!(
                "its status says why: kubectl -n {} describe httproute {}",
                route.namespace, route.name
            ),
        ),
        Defect::HostRefused(host) => (
            route.value.backends.iter().any(is_idled),
            format!("{route} names {host}, which no listener of its Gateways accepts"),
            "give a listener of the Gateway that hostname, a wildcard that covers it, or no hostname"
                .to_owned(),
        ),
        Defect::Ungranted(backend) => (
            is_idled(backend),
            format!(
                "{route} routes to Service {}/{}, but no ReferenceGrant there allows that",
                backend.namespace, backend.service
            ),
            format!(
                "create a ReferenceGrant in namespace {}, from HTTPRoutes in namespace {} to Services",
                backend.namespace, route.namespace
            ),
        ),
    };
    Finding {
        severity: if concerned {
            Severity::Error
        } else {
            Severity::Warning
        },
        check: "route-not-served",
        what,
        why: "Its visitors reach neither the app nor unidler, so the app can be neither idled nor woken through it.".into(),
        fix,
    }
}

/// Hosts that several namespaces claim and at which an app sleeps: the controller decides which of them a visitor
/// reaches.
fn contested(caches: &Caches) -> Vec<Finding> {
    let not_found = caches.not_found();
    let is_duplicate = |host: &str| {
        let mut duplicates = not_found.iter();
        duplicates.any(|(rule, error)| rule == host && error.reason == Reason::AmbiguousRoute)
    };
    let finding = |(host, mut backends): (String, Vec<Backend>)| {
        backends.retain(|backend| {
            let service = caches.services.named(&backend.namespace, &backend.service);
            service.is_some()
        });
        backends.dedup_by(|a, b| a.namespace == b.namespace);
        let is_asleep = backends
            .iter()
            .any(|backend| leads_here(caches, &backend.namespace, &backend.service));
        (is_asleep && backends.len() > 1 && !is_duplicate(&host)).then(|| {
            let namespaces: Vec<_> = backends.iter().map(|backend| &*backend.namespace).collect();
            Finding {
                severity: Severity::Warning,
                check: "host-contested",
                what: format!("{host} is routed to Services in the namespaces {}", namespaces.join(", ")),
                why: "Controllers differ in which route they follow. unidler wakes the app of the oldest route that leads to unidler.".into(),
                fix: "use the host in one namespace only: kubectl get ingress,httproute -A shows where it is used".into(),
            }
        })
    };
    caches.claims().into_iter().filter_map(finding).collect()
}

fn leads_here(caches: &Caches, namespace: &str, service: &str) -> bool {
    let named = caches.services.named(namespace, service);
    named.is_some_and(|service| service.value.points_at == PointsAt::Unidler)
        || caches.is_diverted(namespace, service)
}
