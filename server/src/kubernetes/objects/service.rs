//! A Service: where it points, where it has to point when its app is awake, and its addresses inside the cluster.

use std::{collections::BTreeMap, net::SocketAddr};

use k8s_openapi::{
    api::{
        core::v1::{Service as KubeService, ServicePort, ServiceSpec},
        networking::v1::ServiceBackendPort,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde::{Deserialize, Serialize};
use unidler::{cluster::Version, host::Host};

use super::{Deployment, Ingress, SERVICE_WHEN_UNIDLED, annotation, label};

/// A Service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) points_at: PointsAt,
    /// Where it has an address of its own: that, and its ports.
    addresses: Vec<(ServiceBackendPort, SocketAddr)>,
    /// Its `app` label.
    app_label: Option<String>,
    /// The text of the annotation with its spec from before, whatever it is.
    saved: Option<String>,
}

/// Where a Service points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PointsAt {
    Unidler,
    Pods,
    Elsewhere,
}

impl Service {
    /// Parses a Service. `own_name` is the name of the Service of ours that idled ones point at.
    pub(crate) fn parse(service: KubeService, own_name: &str) -> Self {
        let KubeService { metadata, spec, .. } = service;
        let spec = spec.unwrap_or_default();
        let points_at = match spec.type_.as_deref() {
            // An address of its own outside the cluster would follow the change of type: hands off (CVE-2020-8554).
            Some("ExternalName") if spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty()) => PointsAt::Elsewhere,
            Some("ExternalName") if spec.external_name.as_deref().is_some_and(|name| is_own_address(name, own_name)) => {
                PointsAt::Unidler
            }
            Some("ExternalName") => PointsAt::Elsewhere,
            _ => PointsAt::Pods,
        };
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            addresses: if points_at == PointsAt::Pods { addresses(&spec) } else { Vec::new() },
            points_at,
            app_label: label(&metadata, "app"),
            saved: annotation(&metadata, SERVICE_WHEN_UNIDLED),
        }
    }

    /// The version of the whole Service. Nothing but a change of what it means changes that.
    pub(crate) fn version(&self) -> Version {
        Version(format!("{}/{}", self.uid, self.resource_version))
    }

    /// The address inside the cluster to which an Ingress sends the requests for a host, if that is a single one.
    pub(crate) fn address(&self, name: &str, ingress: &Ingress, host: &Host) -> Option<SocketAddr> {
        let is_of = |port: &ServiceBackendPort, own: &ServiceBackendPort| match (&port.name, port.number) {
            (Some(_), _) => port.name == own.name,
            (None, number) => number == own.number,
        };
        let mut addresses = ingress.ports(host, name).map(|port| self.addresses.iter().find(|(own, _)| is_of(port, own)));
        let (_, first) = addresses.next()??;
        addresses.all(|other| other.is_some_and(|(_, other)| other == first)).then_some(*first)
    }

    pub(crate) fn has_saved(&self) -> bool {
        self.saved.is_some()
    }

    /// What the Service has to point at when its app is awake, if that is known.
    ///
    /// Its own spec from before, if it was kept; else the original idler's values where they select the pods of
    /// the Deployment; else what the Deployment itself selects.
    pub(crate) fn when_unidled(&self, deployment: &Deployment) -> Option<ServiceWhenUnidled> {
        if let Some(saved) = &self.saved {
            return serde_json::from_str(saved).ok().filter(|saved: &ServiceWhenUnidled| !saved.selector.is_empty());
        }
        let by_app_label = self
            .app_label
            .clone()
            .filter(|app| deployment.pod_app_label.as_ref().is_none_or(|label| label == app))
            .map(|app| BTreeMap::from([("app".to_owned(), app)]));
        let selector = by_app_label.or_else(|| deployment.match_labels.clone())?;
        let port = ServicePort {
            name: Some("http".to_owned()),
            port: 80,
            target_port: Some(IntOrString::Int(deployment.target_port)),
            ..ServicePort::default()
        };
        Some(ServiceWhenUnidled { selector, ports: vec![port], ..ServiceWhenUnidled::default() })
    }
}

/// The part of a Service that idling takes away. This is the JSON in [`SERVICE_WHEN_UNIDLED`].
///
/// The last two are what the API server itself drops from an `ExternalName` besides the addresses that it assigned;
/// without them it would give the Service the cluster's defaults ([Kubernetes: dual-stack Services]).
///
/// [Kubernetes: dual-stack Services]: https://kubernetes.io/docs/concepts/services-networking/dual-stack/#services
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceWhenUnidled {
    pub(crate) selector: BTreeMap<String, String>,
    pub(crate) ports: Vec<ServicePort>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ip_families: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ip_family_policy: Option<String>,
}

/// The addresses of a Service inside the cluster: of its TCP ports, where it has an address and selects pods.
fn addresses(spec: &ServiceSpec) -> Vec<(ServiceBackendPort, SocketAddr)> {
    // A Service without selector leads to whatever addresses somebody has written down for it.
    let selects = spec.selector.as_ref().is_some_and(|selector| !selector.is_empty());
    // Not a number if it is headless.
    let ip = spec.cluster_ip.as_deref().filter(|_| selects).and_then(|ip| ip.parse().ok());
    let ports = spec.ports.iter().flatten().filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
    let address = |port: &ServicePort| {
        let own = ServiceBackendPort { name: port.name.clone(), number: Some(port.port) };
        Some((own, SocketAddr::new(ip?, u16::try_from(port.port).ok()?)))
    };
    ports.filter_map(address).collect()
}

/// Whether a name is `<own_name>.<namespace>.svc[.<domain>]`.
pub(crate) fn is_own_address(name: &str, own_name: &str) -> bool {
    let mut labels = name.trim_end_matches('.').split('.');
    labels.next() == Some(own_name)
        && labels.next().is_some_and(|namespace| !namespace.is_empty())
        && labels.next() == Some("svc")
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "so that `json!` can stand in the call")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(json: Value) -> Deployment {
        Deployment::parse(serde_json::from_value(json).expect("a Deployment"))
    }

    fn service(metadata: Value, spec: Value) -> Service {
        Service::parse(serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).expect("a Service"), "unidler")
    }

    #[test]
    fn a_service_points_at_us_only_by_our_name() {
        for (spec, points_at) in [
            (json!({ "type": "ExternalName", "externalName": "unidler.tools.svc.cluster.local" }), PointsAt::Unidler),
            (json!({ "type": "ExternalName", "externalName": "unidler.tools.svc" }), PointsAt::Unidler),
            (json!({ "type": "ExternalName", "externalName": "unidler.example.org" }), PointsAt::Elsewhere),
            (json!({ "type": "ExternalName", "externalName": "other.tools.svc.cluster.local" }), PointsAt::Elsewhere),
            (
                json!({ "type": "ExternalName", "externalName": "unidler.tools.svc", "externalIPs": ["192.0.2.1"] }),
                PointsAt::Elsewhere,
            ),
            (json!({ "type": "ClusterIP", "selector": { "app": "tool" } }), PointsAt::Pods),
            (json!({}), PointsAt::Pods),
        ] {
            assert_eq!(service(json!({}), spec.clone()).points_at, points_at, "{spec}");
        }
    }

    #[test]
    fn the_address_is_the_one_that_the_ingress_shows_to_the_world() {
        let ports = json!([{ "name": "web", "port": 80 }, { "name": "admin", "port": 81 }, { "name": "dns", "port": 53, "protocol": "UDP" }]);
        let up = json!({ "clusterIP": "10.0.0.7", "selector": { "app": "tool" }, "ports": ports });
        let with = |change: Value| {
            let mut spec = up.clone();
            spec.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            spec
        };
        let backend = |port: Value| json!({ "backend": { "service": { "name": "tool", "port": port } } });
        let (web, admin) = (backend(json!({ "name": "web" })), backend(json!({ "number": 81 })));
        let another = json!({ "backend": { "service": { "name": "another", "port": { "number": 82 } } } });
        for (spec, paths, address) in [
            (up.clone(), json!([web]), Some("10.0.0.7:80")),
            (up.clone(), json!([admin]), Some("10.0.0.7:81")),
            (up.clone(), json!([web, another, backend(json!({ "number": 80 }))]), Some("10.0.0.7:80")),
            (with(json!({ "clusterIP": "fd00::7" })), json!([web]), Some("[fd00::7]:80")),
            // It depends on the path, or is nothing that a visitor could reach.
            (up.clone(), json!([web, admin]), None),
            (up.clone(), json!([another]), None),
            (up.clone(), json!([backend(json!({ "name": "dns" }))]), None),
            (up.clone(), json!([backend(json!({ "number": 9090 }))]), None),
            (with(json!({ "clusterIP": "None" })), json!([web]), None),
            (with(json!({ "clusterIP": "" })), json!([web]), None),
            (with(json!({ "selector": {} })), json!([web]), None),
            (with(json!({ "type": "ExternalName", "externalName": "unidler.tools.svc" })), json!([web]), None),
            (with(json!({ "type": "ExternalName", "externalName": "metadata.example" })), json!([web]), None),
        ] {
            let rules = json!([
                { "host": "other.example", "http": { "paths": [admin] } },
                { "host": "tool.example", "http": { "paths": paths } },
            ]);
            let ingress = Ingress::parse(
                serde_json::from_value(json!({ "metadata": {}, "spec": { "rules": rules } })).expect("an Ingress"),
            );
            let host = Host::parse("tool.example").expect("a host");
            let found = service(json!({}), spec.clone()).address("tool", &ingress, &host);
            assert_eq!(found, address.map(|text| text.parse().expect("an address")), "{spec} {paths}");
        }
    }

    fn restored(service_metadata: Value, deployment_spec: Value) -> Option<Value> {
        let deployment = deployment(json!({ "metadata": {}, "spec": deployment_spec }));
        let restored = service(service_metadata, json!({})).when_unidled(&deployment);
        restored.map(|spec| serde_json::to_value(spec).expect("JSON"))
    }

    #[test]
    fn a_service_gets_the_originals_values_where_nothing_says_better() {
        let spec = json!({ "selector": { "matchLabels": { "app": "tool" } }, "template": { "metadata": { "labels": { "app": "tool" } } } });
        assert_eq!(
            restored(json!({ "labels": { "app": "tool" } }), spec),
            Some(json!({ "selector": { "app": "tool" }, "ports": [{ "name": "http", "port": 80, "targetPort": 3000 }] }))
        );
    }

    #[test]
    fn a_service_gets_selector_and_port_of_the_deployment_where_those_are_clear() {
        let spec = |ports: Value| {
            json!({
                "selector": { "matchLabels": { "name": "tool" } },
                "template": {
                    "metadata": { "labels": { "name": "tool", "app": "another" } },
                    "spec": { "containers": [{ "name": "c", "ports": ports }] },
                },
            })
        };
        for (ports, target) in [
            (json!([{ "containerPort": 8080 }]), 8080),
            (json!([{ "containerPort": 9090, "name": "metrics" }, { "containerPort": 8080, "name": "http" }]), 8080),
            (json!([{ "containerPort": 9090 }, { "containerPort": 8080 }]), 3000),
            (json!([{ "containerPort": 53, "protocol": "UDP" }]), 3000),
        ] {
            assert_eq!(
                restored(json!({ "labels": { "app": "tool" } }), spec(ports)),
                Some(json!({ "selector": { "name": "tool" }, "ports": [{ "name": "http", "port": 80, "targetPort": target }] }))
            );
        }
    }

    #[test]
    fn a_service_that_kept_its_spec_gets_exactly_that() {
        let saved = json!({
            "selector": { "a": "b" },
            "ports": [{ "port": 443, "targetPort": "https", "protocol": "TCP" }],
            "ipFamilies": ["IPv6"],
            "ipFamilyPolicy": "SingleStack",
        });
        let metadata = json!({ "labels": { "app": "tool" }, "annotations": { SERVICE_WHEN_UNIDLED: saved.to_string() } });
        assert_eq!(restored(metadata, json!({ "selector": {}, "template": {} })), Some(saved));
    }

    #[test]
    fn a_service_whose_kept_spec_is_garbage_is_not_guessed_at() {
        for saved in ["", "{}", "[]", r#"{"selector":{},"ports":[]}"#] {
            let metadata = json!({ "labels": { "app": "tool" }, "annotations": { SERVICE_WHEN_UNIDLED: saved } });
            assert_eq!(restored(metadata, json!({ "selector": {}, "template": {} })), None, "{saved:?}");
        }
    }

    #[test]
    fn a_service_is_not_restored_where_nothing_tells_its_pods() {
        let spec = json!({ "selector": { "matchExpressions": [{ "key": "app", "operator": "Exists" }] }, "template": {} });
        assert_eq!(restored(json!({}), spec), None);
    }
}
