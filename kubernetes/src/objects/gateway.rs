//! Gateways and `ReferenceGrant`s, which decide the hosts and Services that an `HTTPRoute` really has.

use super::gateway_api::{self, GROUP, GroupKind};

/// A Gateway.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gateway {
    /// The name of its class.
    pub(crate) class: Box<str>,
    /// The listeners that accept `HTTPRoute`s.
    pub(crate) listeners: Box<[Listener]>,
}

/// A listener of a Gateway.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) name: Box<str>,
    pub(crate) port: i32,
    /// The hostname that it accepts, possibly a wildcard; `None` means all.
    pub(crate) hostname: Option<Box<str>>,
    /// Whether it accepts routes of other namespaces.
    pub(crate) is_for_all: bool,
}

impl Gateway {
    pub(crate) fn parse(gateway: gateway_api::Gateway) -> Self {
        let listeners = gateway.spec.listeners.into_iter().filter_map(Listener::of);
        Self {
            class: gateway.spec.gateway_class_name.into(),
            listeners: listeners.collect(),
        }
    }
}

impl Listener {
    fn of(listener: gateway_api::Listener) -> Option<Self> {
        let allowed = listener.allowed_routes;
        let is_http = matches!(&*listener.protocol, "HTTP" | "HTTPS");
        let takes_kind =
            allowed.kinds.is_empty() || allowed.kinds.iter().any(|kind| kind.kind == "HTTPRoute");
        let is_for_all = match allowed.namespaces.from.as_deref() {
            None | Some("Same") => false,
            Some("None") => return None,
            // The labels of namespaces are not evaluated: it has to be enough that the route was accepted.
            Some(_) => true,
        };
        (is_http && takes_kind).then(|| Self {
            name: listener.name.into(),
            port: listener.port,
            hostname: listener
                .hostname
                .filter(|hostname| !hostname.is_empty())
                .map(|hostname| hostname.to_ascii_lowercase().into()),
            is_for_all,
        })
    }
}

/// A `ReferenceGrant`: the Services of its own namespace that `HTTPRoute`s of other namespaces may refer to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The namespaces of such routes.
    from: Box<[Box<str>]>,
    to: Granted,
}

#[derive(Debug, PartialEq, Eq)]
enum Granted {
    All,
    Named(Box<[Box<str>]>),
}

impl Grant {
    pub(crate) fn parse(grant: gateway_api::ReferenceGrant) -> Self {
        let is_a = |object: &GroupKind, group: &str, kind: &str| {
            object.group.as_deref().unwrap_or_default() == group && object.kind == kind
        };
        let from = grant.spec.from.into_iter();
        let from = from.filter(|from| is_a(from, GROUP, "HTTPRoute"));
        let to = grant.spec.to.into_iter();
        // A grant for all Services has no name.
        let named: Option<_> = to
            .filter(|to| is_a(to, "", "Service"))
            .map(|to| to.name.filter(|name| !name.is_empty()).map(Into::into))
            .collect();
        Self {
            from: from
                .filter_map(|from| from.namespace.map(Into::into))
                .collect(),
            to: named.map_or(Granted::All, Granted::Named),
        }
    }

    /// Whether routes of a namespace may refer to a Service.
    pub(crate) fn grants(&self, from: &str, service: &str) -> bool {
        let is_granted = match &self.to {
            Granted::All => true,
            Granted::Named(names) => names.iter().any(|name| **name == *service),
        };
        is_granted && self.from.iter().any(|namespace| **namespace == *from)
    }
}
