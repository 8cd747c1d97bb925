//! A route: the hosts that it serves, and the Services and ports that it routes them to. Each kind of route has a file
//! of its own below this one.

pub(crate) mod http_route;
mod ingress;

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use unidler::host::Host;

use super::sleep_rules::SleepRules;

/// A route, whatever its kind.
#[derive(Debug, PartialEq)]
pub(crate) struct Route {
    pub(crate) kind: RouteKind,
    pub(crate) rules: Box<[Rule]>,
    /// Where it routes requests that match no host of a rule.
    others: Box<[Backend]>,
    /// When it was created: of several that claim a host, the oldest counts.
    pub(crate) created: Option<Timestamp>,
    /// The human-readable name of the app.
    pub(crate) title: Option<String>,
    /// The annotation by which its visitors would not reach unidler through a slice.
    pub(crate) unfit: Option<&'static str>,
    /// Whether an annotation keeps its requests from being counted.
    pub(crate) is_uncounted: bool,
    /// Its settings for the sleep of its apps.
    pub(crate) sleep: Option<Box<SleepRules>>,
}

/// A kind of route, with the fields that only that kind has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RouteKind {
    Ingress {
        /// The name of its class.
        class: Option<Box<str>>,
    },
    HttpRoute {
        /// The names of the classes of the Gateways that have accepted it.
        classes: BTreeSet<Box<str>>,
    },
}

impl RouteKind {
    /// Its name in the API.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ingress { .. } => "Ingress",
            Self::HttpRoute { .. } => "HTTPRoute",
        }
    }

    /// Its name for `kubectl`.
    pub(crate) fn resource(&self) -> &'static str {
        match self {
            Self::Ingress { .. } => "ingress",
            Self::HttpRoute { .. } => "httproute",
        }
    }

    /// Whether several controllers may serve it.
    pub(crate) fn has_several_classes(&self) -> bool {
        match self {
            Self::Ingress { .. } => false,
            Self::HttpRoute { classes } => classes.len() > 1,
        }
    }
}

/// A rule of a route for a host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// In lower case, possibly a wildcard.
    pub(crate) host: String,
    /// The Services that it routes to, and their ports.
    pub(crate) backends: Box<[Backend]>,
}

/// A port of a Service that a route points to.
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
    /// Whether it belongs to a Service.
    pub(crate) fn is_of(&self, namespace: &str, service: &str) -> bool {
        *self.namespace == *namespace && *self.service == *service
    }
}

impl Route {
    /// The backends of its rules for exactly this host or wildcard. One host may have several rules.
    pub(crate) fn backends<'a>(&'a self, rule: &'a str) -> impl Iterator<Item = &'a Backend> {
        self.rules
            .iter()
            .filter(move |each| each.host == rule)
            .flat_map(|rule| &rule.backends)
    }

    /// The backends for each host or wildcard, and those for requests that match none of them, without a host.
    pub(crate) fn ways(&self) -> impl Iterator<Item = (Option<&str>, &Backend)> {
        let ruled = self.rules.iter().flat_map(|rule| {
            let backends = rule.backends.iter();
            backends.map(|backend| (Some(rule.host.as_str()), backend))
        });
        ruled.chain(self.others.iter().map(|backend| (None, backend)))
    }

    /// Whether one of its rules serves a host.
    pub(crate) fn serves(&self, rule: &Rule, host: &Host) -> bool {
        match self.kind {
            RouteKind::Ingress { .. } => host.is_served_by(&rule.host),
            RouteKind::HttpRoute { .. } => common(&rule.host, host.as_str()) == Some(host.as_str()),
        }
    }

    /// The ports of a Service that it points to, for any host.
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

/// The hosts that two names or wildcards have in common, as a name or wildcard. In the Gateway API, a wildcard is for any
/// number of labels ([Hostname]).
///
/// [Hostname]: https://gateway-api.sigs.k8s.io/reference/spec/#hostname
fn common<'a>(a: &'a str, b: &'a str) -> Option<&'a str> {
    let covers = |wildcard: &str, name: &str| {
        wildcard == name
            || wildcard.strip_prefix('*').is_some_and(|rest| {
                rest.is_empty() || (name.len() > rest.len() && name.ends_with(rest))
            })
    };
    if covers(a, b) {
        Some(b)
    } else {
        covers(b, a).then_some(a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_hosts_of_two_names_are_those_of_the_narrower_one() {
        for (a, b, expected) in [
            ("a.example", "a.example", Some("a.example")),
            ("a.example", "b.example", None),
            ("*.example", "a.example", Some("a.example")),
            ("*.example", "a.b.example", Some("a.b.example")),
            ("*.example", "example", None),
            ("*.example", "an-example", None),
            ("*.example", "*.b.example", Some("*.b.example")),
            ("*.a.example", "*.b.example", None),
            ("*", "a.example", Some("a.example")),
            ("*", "*.example", Some("*.example")),
            ("*", "*", Some("*")),
        ] {
            assert_eq!(common(a, b), expected, "{a} {b}");
            assert_eq!(common(b, a), expected, "{b} {a}");
        }
    }
}
