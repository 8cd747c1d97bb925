//! How visitors reach an app.

use crate::{
    found::Found,
    listing::Listing,
    objects::{Backend, RouteKind},
};

/// How visitors reach an app: for all of its routes, which hosts they lead to which ports of its Services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub(crate) ways: Vec<Way>,
    /// Whether it has been asleep before, so that its visitors have met unidler's own page.
    pub(crate) has_slept: bool,
}

/// One way to an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) route: RouteKind,
    /// Perhaps a wildcard. `None` is whatever no rule of the route is for.
    pub(crate) host: Option<String>,
    pub(crate) backend: Backend,
    /// Whether an annotation keeps its requests from being counted.
    pub(crate) is_uncounted: bool,
}

impl Served {
    pub(crate) fn of(found: &Found) -> Self {
        let ways = found.routes.iter().flat_map(|route| {
            let ways = route.value.ways();
            let own = ways.filter(|(_, backend)| found.has(backend));
            own.map(|(host, backend)| Way {
                route: route.value.kind.clone(),
                host: host.map(ToOwned::to_owned),
                backend: backend.clone(),
                is_uncounted: route.value.is_uncounted,
            })
        });
        let mut workloads = found.workloads.iter();
        Self {
            ways: ways.collect(),
            has_slept: !found.slices.is_empty()
                || workloads.any(|workload| workload.value.wake_seconds.usual().is_some()),
        }
    }
}

/// How visitors reach each app of a cluster.
#[must_use]
pub fn served(Listing(caches): &Listing) -> Vec<Served> {
    caches.apps().iter().map(Served::of).collect()
}
