//! A route: which hosts it serves, and to which Services and ports it leads them. Another kind of route is another file
//! below this one.

mod ingress;

use k8s_openapi::jiff::Timestamp;
use unidler::host::Host;

/// A route, whatever its kind.
#[derive(Debug, PartialEq)]
pub(crate) struct Route {
    pub(crate) kind: RouteKind,
    pub(crate) rules: Box<[Rule]>,
    /// Where it leads whatever is for no host of a rule.
    others: Box<[Backend]>,
    /// When it was created: of several that claim a host, the oldest counts.
    pub(crate) created: Option<Timestamp>,
    /// What people call the app.
    pub(crate) title: Option<String>,
    /// The annotation by which its visitors would not reach unidler through a slice.
    pub(crate) unfit: Option<&'static str>,
}

/// A kind of route, with what only that kind has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RouteKind {
    Ingress {
        /// The name of its class.
        class: Option<Box<str>>,
    },
}

impl RouteKind {
    /// What the API server calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ingress { .. } => "Ingress",
        }
    }

    /// What `kubectl` calls it.
    pub(crate) fn resource(&self) -> &'static str {
        match self {
            Self::Ingress { .. } => "ingress",
        }
    }
}

/// What a route does with a host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// In lower case, perhaps a wildcard.
    pub(crate) host: String,
    /// The Services that it leads to, and their ports.
    pub(crate) backends: Box<[Backend]>,
}

/// A port of a Service that a route leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    /// The namespace of the Service, which need not be that of the route.
    pub(crate) namespace: Box<str>,
    /// Its name.
    pub(crate) service: Box<str>,
    pub(crate) port: Port,
}

/// A port of a Service, as a route names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Name(Box<str>),
    Number(i32),
}

impl Backend {
    /// Whether it is one of a Service.
    pub(crate) fn is_of(&self, namespace: &str, service: &str) -> bool {
        *self.namespace == *namespace && *self.service == *service
    }
}

impl Route {
    /// Where its rules for exactly this host or wildcard lead. One host may have several rules.
    pub(crate) fn backends<'a>(&'a self, rule: &'a str) -> impl Iterator<Item = &'a Backend> {
        self.rules
            .iter()
            .filter(move |each| each.host == rule)
            .flat_map(|rule| &rule.backends)
    }

    /// Whether one of its rules serves a host.
    pub(crate) fn serves(&self, rule: &Rule, host: &Host) -> bool {
        match self.kind {
            RouteKind::Ingress { .. } => host.is_served_by(&rule.host),
        }
    }

    /// The ports of a Service that it leads to, for whatever host.
    pub(crate) fn ports<'a>(
        &'a self,
        namespace: &'a str,
        service: &'a str,
    ) -> impl Iterator<Item = &'a Port> {
        let backends = self.rules.iter().flat_map(|rule| &rule.backends);
        backends
            .chain(&self.others)
            .filter(move |backend| backend.is_of(namespace, service))
            .map(|backend| &backend.port)
    }
}
