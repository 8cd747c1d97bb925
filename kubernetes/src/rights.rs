//! The permissions that the server needs, and the account that it runs as.

use std::{borrow::Cow, str::FromStr};

use crate::settings::ClusterSettings;

/// An action that the server performs in every namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) group: Cow<'static, str>,
    /// With a subresource behind a slash, as in a role.
    pub(crate) resource: Cow<'static, str>,
    pub(crate) verb: &'static str,
    /// The consequence if it is missing.
    pub(crate) why: &'static str,
    /// Whether apps wake without it.
    pub(crate) optional: bool,
}

/// The permissions in `deploy/rbac.yaml`, with the kinds of these settings.
pub(crate) fn rights(settings: &ClusterSettings) -> Vec<Right> {
    const ENDPOINTS: &str = "Visitors are redirected before the Service has a ready endpoint.";
    const SLEEP: &str = "No app is put to sleep, and no Namespace can have its apps adopted.";
    const EVENTS: &str = "Workloads do not show the outcome of their wake-ups.";
    const EXTERNAL_NAME: &str = "Apps whose Service is an ExternalName cannot be woken.";
    const FIND: &str = "No app is found, so none is woken.";
    const FIND_ROUTES: &str = "Apps with an HTTPRoute are unavailable, and no app is put to sleep.";
    const FIND_WORKLOADS: &str =
        "Apps with such a workload are unavailable, and no app is put to sleep.";
    const KEDA: &str = "An app that KEDA keeps at 0 is not adopted as such. Where apps without a mark are adopted, apps that KEDA scales are too.";
    const WAKE: &str = "No app can be woken.";
    fn right(
        group: impl Into<Cow<'static, str>>,
        resource: impl Into<Cow<'static, str>>,
        verb: &'static str,
        why: &'static str,
    ) -> Right {
        Right {
            group: group.into(),
            resource: resource.into(),
            verb,
            why,
            optional: false,
        }
    }
    fn optional(
        group: &'static str,
        resource: &'static str,
        verb: &'static str,
        why: &'static str,
    ) -> Right {
        Right {
            optional: true,
            ..right(group, resource, verb, why)
        }
    }
    let custom = settings.scalables().flat_map(|kind| {
        let of_kind = |resource: String, verb: &'static str, why: &'static str| {
            right(kind.group().to_owned(), resource, verb, why)
        };
        let scale = format!("{}/scale", kind.resource());
        [
            of_kind(kind.resource().to_owned(), "list", FIND_WORKLOADS),
            of_kind(kind.resource().to_owned(), "watch", FIND_WORKLOADS),
            of_kind(scale, "patch", WAKE),
        ]
    });
    let mut rights = vec![
        right("networking.k8s.io", "ingresses", "list", FIND),
        right("networking.k8s.io", "ingresses", "watch", FIND),
        right(
            "gateway.networking.k8s.io",
            "httproutes",
            "list",
            FIND_ROUTES,
        ),
        right(
            "gateway.networking.k8s.io",
            "httproutes",
            "watch",
            FIND_ROUTES,
        ),
        right("gateway.networking.k8s.io", "gateways", "list", FIND_ROUTES),
        right(
            "gateway.networking.k8s.io",
            "gateways",
            "watch",
            FIND_ROUTES,
        ),
        right(
            "gateway.networking.k8s.io",
            "referencegrants",
            "list",
            FIND_ROUTES,
        ),
        right(
            "gateway.networking.k8s.io",
            "referencegrants",
            "watch",
            FIND_ROUTES,
        ),
        right("apps", "deployments", "list", FIND),
        right("apps", "deployments", "watch", FIND),
        right("apps", "statefulsets", "list", FIND_WORKLOADS),
        right("apps", "statefulsets", "watch", FIND_WORKLOADS),
        right("apps", "deployments/scale", "patch", WAKE),
        right("apps", "statefulsets/scale", "patch", WAKE),
    ];
    rights.extend(custom);
    rights.extend([
        right("", "services", "list", FIND),
        right("", "services", "watch", FIND),
        right("discovery.k8s.io", "endpointslices", "list", FIND),
        right("discovery.k8s.io", "endpointslices", "watch", ENDPOINTS),
        right(
            "discovery.k8s.io",
            "endpointslices",
            "create",
            "Visitors of a sleeping app no longer find it once its EndpointSlice is gone.",
        ),
        right("discovery.k8s.io", "endpointslices", "patch", WAKE),
        optional(
            "discovery.k8s.io",
            "endpointslices/restricted",
            "create",
            "On OpenShift, no EndpointSlice may point to unidler.",
        ),
        optional("apps", "deployments", "patch", EXTERNAL_NAME),
        optional("", "services", "patch", EXTERNAL_NAME),
        optional("", "namespaces", "list", SLEEP),
        optional("", "namespaces", "watch", SLEEP),
        optional("autoscaling", "horizontalpodautoscalers", "list", SLEEP),
        optional("keda.sh", "scaledobjects", "list", KEDA),
        optional("keda.sh", "scaledobjects", "watch", KEDA),
        optional(
            "metrics.k8s.io",
            "pods",
            "list",
            "Apps are not kept awake by their CPU use.",
        ),
        optional("networking.k8s.io", "ingressclasses", "list", SLEEP),
        optional("gateway.networking.k8s.io", "gatewayclasses", "list", SLEEP),
        optional(
            "",
            "pods",
            "watch",
            "Visitors do not see the progress of the pods, or why a pod does not start.",
        ),
        optional("events.k8s.io", "events", "create", EVENTS),
        optional("events.k8s.io", "events", "patch", EVENTS),
    ]);
    rights
}

/// A service account of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl FromStr for ServiceAccount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((namespace, name))
                if !namespace.is_empty() && !name.is_empty() && !name.contains(':') =>
            {
                Ok(Self {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => Err(
                "expected namespace and name with a colon between them, such as unidler:unidler"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_written_as_namespace_and_name() {
        let account = ServiceAccount {
            namespace: "tools".into(),
            name: "unidler".into(),
        };
        assert_eq!("tools:unidler".parse(), Ok(account));
        for text in ["", "unidler", ":", "a:", ":b", "a:b:c"] {
            assert!(text.parse::<ServiceAccount>().is_err(), "{text:?}");
        }
    }
}
