//! Apps that sleep with an `EndpointSlice`.

use super::{
    finding::{Finding, Severity},
    snapshot::Snapshot,
};
use crate::{cache::Cached, diversion::slice::Slice, idle::unfit};

pub(crate) fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let slices = snapshot.listing.0.slices.all();
    slices
        .iter()
        .filter_map(|slice| finding(snapshot, slice))
        .collect()
}

fn finding(snapshot: &Snapshot, slice: &Cached<Slice>) -> Option<Finding> {
    let caches = &snapshot.listing.0;
    let Cached {
        namespace, value, ..
    } = slice;
    let name = &value.service;
    let delete = format!("kubectl -n {namespace} delete endpointslice {}", slice.name);
    let error = |check, what, why: &str, fix| {
        Some(Finding {
            severity: Severity::Error,
            check,
            what,
            why: why.to_owned(),
            fix,
        })
    };
    let Some(service) = caches.services.named(namespace, name) else {
        let recorded = value.recorded().iter();
        let asleep = recorded.filter(|recorded| {
            let workload = caches.workload(namespace, &recorded.workload);
            workload.is_some_and(|workload| workload.value.replicas == 0)
        });
        let asleep: Vec<_> = asleep
            .map(|recorded| {
                format!(
                    "kubectl -n {namespace} scale {}/{} --replicas={}",
                    recorded.workload.kind.to_lowercase(),
                    recorded.workload.name,
                    recorded.replicas
                )
            })
            .collect();
        let wake = asleep.iter().map(|command| format!("{command}; "));
        return value.diverts().then(|| Finding {
            severity: Severity::Warning,
            check: "slice-without-service",
            what: format!("{slice} belongs to Service {namespace}/{name}, which does not exist"),
            why: "Nothing wakes the app, and a new Service with that name would be asleep at once."
                .into(),
            fix: format!(
                "create the Service again; or {}{delete}",
                wake.collect::<String>()
            ),
        });
    };
    if !value.diverts() {
        return None;
    }
    let mut recorded = value.recorded().iter();
    if !recorded.any(|recorded| caches.workload(namespace, &recorded.workload).is_some())
        && caches.selected(&service).is_empty()
    {
        return error(
            "workload-gone",
            format!("{service} is asleep, but the workload behind it no longer exists"),
            "Its visitors see that the app cannot be started.",
            format!("create the workload again, or: {delete}"),
        );
    }
    let routes = caches.routes_to(namespace, name);
    if let Some(why) = unfit(&service, &routes) {
        return error(
            "asleep-unfit",
            why.to_string(),
            "The app is asleep, but its visitors may not reach unidler, so nothing would wake it.",
            format!(
                "wake the app: unidler wake HOST; or restore it by hand: scale it up, then {delete}"
            ),
        );
    }
    None
}
