//! Determines what `HTTPRoute`s effectively serve: of their hosts, those that listeners of Gateways accept; and of
//! their Services, those that they may refer to.

use std::{collections::BTreeSet, sync::Arc};

use unidler::host::Host;

use super::rules_for;
use crate::{
    cache::Cached,
    caches::{Caches, of_namespace},
    objects::{Backend, Gateway, HttpRoute, Parent, Route},
};

/// Why an `HTTPRoute` does not serve everything that it specifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// No Gateway has accepted it.
    Unaccepted,
    /// None of the listeners that it is attached to accepts one of its hosts.
    HostRefused(String),
    /// It may not refer to a Service in another namespace.
    Ungranted(Backend),
}

impl Caches {
    /// The effective route of an `HTTPRoute`; `None` if it serves nothing.
    pub(crate) fn served(&self, route: &Cached<HttpRoute>) -> Option<Arc<Cached<Route>>> {
        let gateways = self.gateways_of(route);
        let listeners = hostnames(&gateways, &route.namespace);
        let hosts: BTreeSet<_> = route
            .value
            .hostnames()
            .flat_map(|hostname| HttpRoute::taken(hostname, &listeners))
            .collect();
        let classes = gateways
            .iter()
            .map(|(_, gateway)| gateway.value.class.clone());
        let is_granted = |backend: &Backend| self.is_granted(&route.namespace, backend);
        let value = route.value.route(hosts, is_granted, classes.collect());
        (!value.rules.is_empty()).then(|| {
            Arc::new(Cached {
                namespace: route.namespace.clone(),
                name: route.name.clone(),
                key: route.key.clone(),
                value,
            })
        })
    }

    /// The reasons why an `HTTPRoute` does not serve everything that it specifies.
    pub(crate) fn defects(&self, route: &Cached<HttpRoute>) -> Vec<Defect> {
        if route.value.parents.is_empty() {
            return vec![Defect::Unaccepted];
        }
        let gateways = self.gateways_of(route);
        let listeners = hostnames(&gateways, &route.namespace);
        let hostnames = route.value.hostnames();
        let not_taken =
            hostnames.filter(|hostname| HttpRoute::taken(hostname, &listeners).next().is_none());
        let backends = route.value.backends.iter();
        let not_granted = backends.filter(|backend| !self.is_granted(&route.namespace, backend));
        not_taken
            .map(|hostname| Defect::HostRefused(hostname.to_owned()))
            .chain(not_granted.cloned().map(Defect::Ungranted))
            .collect()
    }

    /// The `HTTPRoute`s that name a host, whether or not they serve it.
    pub(crate) fn naming(&self, host: &Host) -> Vec<Arc<Cached<HttpRoute>>> {
        let routes = rules_for(host).flat_map(|rule| self.http_routes.get(&rule));
        let mut routes: Vec<_> = routes.collect();
        let id = |route: &Arc<Cached<HttpRoute>>| (route.namespace.clone(), route.name.clone());
        routes.sort_by_key(id);
        routes.dedup_by_key(|route| id(route));
        routes
    }

    /// The effective routes of the `HTTPRoute`s that point to a Service.
    pub(super) fn http_routes_to(&self, namespace: &str, service: &str) -> Vec<Arc<Cached<Route>>> {
        let routes = self.http_routes.get(&of_namespace(namespace, service));
        let served = routes.iter().filter_map(|route| self.served(route));
        served
            .filter(|route| route.value.ports(namespace, service).next().is_some())
            .collect()
    }

    /// The Gateways that have accepted a route.
    pub(crate) fn gateways_of<'a>(
        &self,
        route: &'a Cached<HttpRoute>,
    ) -> Vec<(&'a Parent, Arc<Cached<Gateway>>)> {
        let parents = route.value.parents.iter();
        let gateways = parents.filter_map(|parent| {
            let gateway = self.gateways.named(&parent.namespace, &parent.name)?;
            Some((parent, gateway))
        });
        gateways.collect()
    }

    fn is_granted(&self, namespace: &str, backend: &Backend) -> bool {
        *backend.namespace == *namespace
            || self
                .grants
                .get(&of_namespace(&backend.namespace, ""))
                .iter()
                .any(|grant| grant.value.grants(namespace, &backend.service))
    }
}

fn hostnames<'a>(
    gateways: &'a [(&'a Parent, Arc<Cached<Gateway>>)],
    namespace: &'a str,
) -> Vec<&'a str> {
    let gateways = gateways.iter();
    gateways
        .flat_map(|(parent, gateway)| parent.hostnames(&gateway.value, namespace))
        .collect()
}
