//! An `HTTPRoute`. What it serves depends on its [Gateways](Gateway) and on [`ReferenceGrant`s](crate::objects::Grant)
//! as well.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::{Backend, Port, Route, RouteKind, Rule, common};
use crate::objects::{
    Gateway, TITLE, annotation,
    gateway_api::{self, BackendRef, GROUP, ParentRef, ParentStatus},
    sleep_rules::SleepRules,
    title,
};

/// An `HTTPRoute` as written, before Gateways and grants are taken into account.
#[derive(Debug, PartialEq)]
pub(crate) struct HttpRoute {
    /// In lower case, possibly wildcards. If there are none, it applies to all hosts of its listeners.
    hostnames: Box<[Box<str>]>,
    /// The Gateways that have accepted it.
    pub(crate) parents: Box<[Parent]>,
    /// The Services that it points to, and their ports.
    pub(crate) backends: Box<[Backend]>,
    created: Option<Timestamp>,
    title: Option<String>,
    sleep: Option<Box<SleepRules>>,
}

/// The parent that a route is attached to: listeners of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
    /// The name of one listener.
    section: Option<Box<str>>,
    /// The port of listeners.
    port: Option<i32>,
}

impl Parent {
    /// `None` if it is not a Gateway. `namespace` is that of the route.
    fn of(parent: &ParentRef, namespace: &str) -> Option<Self> {
        let is_gateway = parent.group.as_deref().unwrap_or(GROUP) == GROUP
            && parent.kind.as_deref().unwrap_or("Gateway") == "Gateway";
        is_gateway.then(|| Self {
            namespace: parent.namespace.as_deref().unwrap_or(namespace).into(),
            name: parent.name.as_str().into(),
            section: parent.section_name.as_deref().map(Into::into),
            port: parent.port,
        })
    }

    /// The hosts of those of its Gateway's listeners that it is attached to. `namespace` is that of the route.
    pub(crate) fn hostnames<'a>(
        &'a self,
        gateway: &'a Gateway,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let listeners = gateway.listeners.iter().filter(move |listener| {
            self.section
                .as_ref()
                .is_none_or(|section| *section == listener.name)
                && self.port.is_none_or(|port| port == listener.port)
                && (listener.is_for_all || *self.namespace == *namespace)
        });
        listeners.map(|listener| listener.hostname.as_deref().unwrap_or(HttpRoute::ALL))
    }
}

impl HttpRoute {
    /// Stands for all hosts.
    pub(crate) const ALL: &str = "*";

    pub(crate) fn parse(route: gateway_api::HttpRoute) -> Self {
        let gateway_api::HttpRoute {
            metadata,
            spec,
            status,
        } = route;
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let wanted: Vec<_> = spec
            .parent_refs
            .iter()
            .filter_map(|parent| Parent::of(parent, namespace))
            .collect();
        let accepted = status.parents.iter().filter(|parent| is_accepted(parent));
        let mut parents: Vec<_> = accepted
            .filter_map(|parent| Parent::of(&parent.parent_ref, namespace))
            // Its status may still list parents to which it is no longer attached.
            .filter(|parent| wanted.contains(parent))
            .collect();
        // Several controllers may have accepted it for the same parent.
        parents.dedup();
        let rules = spec.rules.iter().flat_map(|rule| &rule.backend_refs);
        let mut backends = Vec::new();
        for backend in rules.filter_map(|backend| service(backend, namespace)) {
            if !backends.contains(&backend) {
                backends.push(backend);
            }
        }
        let hostnames = spec.hostnames.iter();
        Self {
            hostnames: hostnames
                .map(|hostname| hostname.to_ascii_lowercase().into())
                .collect(),
            parents: parents.into(),
            backends: backends.into(),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            title: title(annotation(&metadata, TITLE)),
            sleep: SleepRules::of(&metadata),
        }
    }

    /// The hosts that it names, [all](Self::ALL) if it names none.
    pub(crate) fn hostnames(&self) -> impl Iterator<Item = &str> {
        let all = self.hostnames.is_empty().then_some(Self::ALL);
        self.hostnames.iter().map(|hostname| &**hostname).chain(all)
    }

    /// The part of one of its hosts that listeners accept.
    pub(crate) fn taken<'a>(
        hostname: &'a str,
        listeners: &[&'a str],
    ) -> impl Iterator<Item = &'a str> {
        let listeners = listeners.iter();
        listeners.filter_map(move |listener| common(hostname, listener))
    }

    /// The effective route for these hosts, to these of its Services, by Gateways of these classes.
    pub(crate) fn route<'a>(
        &self,
        hosts: impl IntoIterator<Item = &'a str>,
        is_granted: impl Fn(&Backend) -> bool,
        classes: BTreeSet<Box<str>>,
    ) -> Route {
        let backends: Box<[Backend]> = self
            .backends
            .iter()
            .filter(|backend| is_granted(backend))
            .cloned()
            .collect();
        let rule = |host: &str| Rule {
            host: host.to_owned(),
            backends: backends.clone(),
        };
        Route {
            kind: RouteKind::HttpRoute { classes },
            rules: hosts.into_iter().map(rule).collect(),
            others: Box::default(),
            created: self.created,
            title: self.title.clone(),
            unfit: None,
            is_uncounted: false,
            sleep: self.sleep.clone(),
        }
    }
}

/// Whether a controller reports it as accepted, for any generation: the status may be outdated.
fn is_accepted(parent: &ParentStatus) -> bool {
    let mut conditions = parent.conditions.iter();
    conditions.any(|condition| condition.kind == "Accepted" && condition.status == "True")
}

/// The Service of a reference, if requests are routed to one.
fn service(backend: &BackendRef, namespace: &str) -> Option<Backend> {
    let is_service = backend.group.as_deref().unwrap_or_default().is_empty()
        && backend.kind.as_deref().unwrap_or("Service") == "Service";
    (is_service && backend.weight != Some(0)).then_some(())?;
    Some(Backend {
        namespace: backend.namespace.as_deref().unwrap_or(namespace).into(),
        service: backend.name.as_str().into(),
        port: Port::Number(backend.port?),
    })
}
