//! A Service: where it points, where it has to point when its app is awake, and its addresses inside the cluster.

use std::{
    collections::{BTreeMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use k8s_openapi::{
    api::core::v1::{Service as KubeService, ServicePort, ServiceSpec},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
    jiff::Timestamp,
};
use serde::{Deserialize, Serialize};
use unidler::app::Version;

use super::{
    IDLE_WISH, SERVICE_WHEN_UNIDLED, TITLE, annotation, annotation_in,
    keeper::Keeper,
    label,
    labels::Labels,
    marks::{self, Target},
    route::Port,
    sleep_rules::SleepRules,
    title,
    workload::{LOGIN_PORT, Workload},
};

/// unidler's own Service, as other Services refer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnService {
    /// Its name, in any namespace.
    pub(crate) name: String,
    /// The domain of the cluster's DNS names, such as `cluster.local`.
    pub(crate) domain: String,
}

impl OwnService {
    /// Whether an address is that of the Service: `<name>.<namespace>.svc` or `<name>.<namespace>.svc.<domain>`. In any
    /// other domain, it belongs to another system.
    pub(crate) fn is_at(&self, address: &str) -> bool {
        self.namespace_in(address).is_some()
    }

    /// The namespace in an address of the Service.
    pub(crate) fn namespace_in<'a>(&self, address: &'a str) -> Option<&'a str> {
        let address = address.strip_suffix('.').unwrap_or(address);
        let (namespace, rest) = address
            .strip_prefix(&*self.name)?
            .strip_prefix('.')?
            .split_once('.')?;
        let is_inside = rest == "svc" || rest.strip_prefix("svc.") == Some(&*self.domain);
        (is_inside && !namespace.is_empty()).then_some(namespace)
    }
}

/// Where a slice of unidler's own has to point: to its own Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The name of unidler as a manager: the name of the Service.
    pub(crate) manager: String,
    /// Its addresses inside the cluster, at most one of each family.
    pub(crate) addresses: Vec<IpAddr>,
    /// Its port.
    pub(crate) port: i32,
}

impl Destination {
    /// The address for a Service: that of the first of its families that exists.
    pub(crate) fn address(&self, service: &Service) -> Option<IpAddr> {
        let families = service.ip_families();
        families
            .into_iter()
            .find_map(|family| self.of_family(family == "IPv6"))
    }

    /// The address of a family.
    pub(crate) fn of_family(&self, is_ipv6: bool) -> Option<IpAddr> {
        let mut addresses = self.addresses.iter();
        addresses
            .find(|address| address.is_ipv6() == is_ipv6)
            .copied()
    }
}

/// A Service.
#[derive(Debug, PartialEq)]
pub(crate) struct Service {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) points_at: PointsAt,
    /// Where it points if it is an `ExternalName`.
    pub(crate) external_name: Option<Box<str>>,
    /// The fields that it has if it is not an `ExternalName`.
    own: Option<Box<Own>>,
    /// Its `app` label.
    app_label: Option<String>,
    /// The text of the annotation with its original spec, unparsed.
    saved: Option<String>,
    /// The labels that it selects now. An idler may leave them on an `ExternalName`, where they have no effect.
    pub(crate) selector: Labels,
    /// The human-readable name of the app.
    pub(crate) title: Option<String>,
    /// When somebody requested that its app be put to sleep.
    pub(crate) wish: Option<Timestamp>,
    /// The workloads behind it that something else has put to sleep, as recorded on it.
    pub(crate) marked: Box<[Target]>,
    /// The tool that keeps it as it is in Git.
    pub(crate) keeper: Option<Box<Keeper>>,
    /// Its settings for the sleep of its app.
    pub(crate) sleep: Option<Box<SleepRules>>,
}

/// The fields of a Service that is not an `ExternalName`, apart from its selector.
#[derive(Debug, PartialEq)]
struct Own {
    /// Its addresses inside the cluster, at most one of each family.
    ips: Box<[IpAddr]>,
    ports: Box<[ServicePort]>,
    ip_families: Option<Vec<String>>,
    ip_family_policy: Option<String>,
    /// Why it cannot temporarily become an `ExternalName`.
    irreversible: Option<Irreversible>,
    /// Whether its endpoints are ready before their pods are.
    publishes_not_ready: bool,
    /// An annotation that makes visitors bypass its endpoints.
    unfit: Option<&'static str>,
}

/// Where a Service points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PointsAt {
    Unidler,
    Pods,
    Elsewhere,
}

impl Service {
    /// Parses a Service. `own` is the one that Services of idled apps point to.
    pub(crate) fn parse(service: KubeService, own: &OwnService) -> Self {
        let KubeService { metadata, spec, .. } = service;
        let spec = spec.unwrap_or_default();
        let points_at = match spec.type_.as_deref() {
            // An external address of its own would follow the change of type: do not touch it (CVE-2020-8554).
            Some("ExternalName")
                if spec
                    .external_ips
                    .as_ref()
                    .is_some_and(|ips| !ips.is_empty()) =>
            {
                PointsAt::Elsewhere
            }
            Some("ExternalName")
                if spec
                    .external_name
                    .as_deref()
                    .is_some_and(|name| own.is_at(name)) =>
            {
                PointsAt::Unidler
            }
            Some("ExternalName") => PointsAt::Elsewhere,
            _ => PointsAt::Pods,
        };
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            own: (points_at == PointsAt::Pods).then(|| Box::new(Own::of(&metadata, &spec))),
            points_at,
            external_name: spec
                .external_name
                .filter(|_| points_at != PointsAt::Pods)
                .map(Into::into),
            app_label: label(&metadata, "app"),
            saved: annotation(&metadata, SERVICE_WHEN_UNIDLED),
            selector: spec.selector.unwrap_or_default().into(),
            title: title(annotation(&metadata, TITLE)),
            wish: annotation(&metadata, IDLE_WISH).and_then(|wish| wish.parse().ok()),
            marked: marks::targets(&metadata),
            keeper: Keeper::of(&metadata),
            sleep: SleepRules::of(&metadata),
        }
    }

    /// The version of the whole Service. It only changes when the meaning of the Service changes.
    pub(crate) fn version(&self) -> Version {
        Version(format!("{}/{}", self.uid, self.resource_version))
    }

    /// Its TCP port that a route refers to.
    pub(crate) fn port(&self, asked: &Port) -> Option<&ServicePort> {
        let is_asked = |port: &&ServicePort| match asked {
            Port::Name(name) => port.name.as_deref() == Some(name),
            Port::Number(number) => port.port == *number,
        };
        self.own.as_ref()?.tcp_ports().find(is_asked)
    }

    /// Its address inside the cluster, at one of its ports.
    pub(crate) fn address(&self, port: &ServicePort) -> Option<SocketAddr> {
        // A Service without a selector points to arbitrary addresses that somebody has configured.
        let own = self.own.as_ref().filter(|_| !self.selector.is_empty())?;
        Some(SocketAddr::new(
            *own.ips.first()?,
            u16::try_from(port.port).ok()?,
        ))
    }

    /// The families of its addresses, in its order; `IPv4` if none are specified.
    pub(crate) fn ip_families(&self) -> Vec<&str> {
        let families = self
            .own
            .iter()
            .flat_map(|own| own.ip_families.iter().flatten());
        let families: Vec<_> = families.map(String::as_str).collect();
        if families.is_empty() {
            vec!["IPv4"]
        } else {
            families
        }
    }

    /// The names of its TCP ports; empty for a port without a name.
    pub(crate) fn tcp_ports(&self) -> impl Iterator<Item = &str> {
        let ports = self.own.iter().flat_map(|own| own.tcp_ports());
        ports.map(|port| port.name.as_deref().unwrap_or_default())
    }

    /// Where slices have to point, if this is unidler's own Service: to its port `http`, or else to its first port.
    pub(crate) fn destination(&self, manager: &str) -> Option<Destination> {
        let own = self.own.as_ref()?;
        let named = own
            .tcp_ports()
            .find(|port| port.name.as_deref() == Some("http"));
        let port = named.or_else(|| own.tcp_ports().next())?.port;
        (!own.ips.is_empty()).then(|| Destination {
            manager: manager.to_owned(),
            addresses: own.ips.to_vec(),
            port,
        })
    }

    /// Whether it can be reached from outside of the cluster without a route.
    pub(crate) fn is_exposed(&self) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|own| {
            matches!(
                own.irreversible,
                Some(Irreversible::Type(_) | Irreversible::ExternalIps)
            )
        })
    }

    /// Why a slice could not divert its visitors.
    pub(crate) fn unfit(&self) -> Option<Unfit> {
        let Some(own) = &self.own else {
            return Some(Unfit::ExternalName);
        };
        let speaks_tls = |port: &&ServicePort| {
            port.port == 443
                || port
                    .name
                    .as_deref()
                    .is_some_and(|name| name.starts_with("https"))
        };
        match &own.irreversible {
            Some(Irreversible::ExternalName) => Some(Unfit::ExternalName),
            Some(Irreversible::Type(kind)) => Some(Unfit::Type(kind.clone())),
            Some(Irreversible::Headless) => Some(Unfit::Headless),
            Some(Irreversible::ExternalIps) => Some(Unfit::ExternalIps),
            Some(Irreversible::NoSelector) => Some(Unfit::NoSelector),
            None if own.publishes_not_ready => Some(Unfit::PublishesNotReady),
            None if own.unfit.is_some() => own.unfit.map(Unfit::Annotation),
            None => own
                .tcp_ports()
                .find(speaks_tls)
                .map(|port| Unfit::Tls(port.port)),
        }
    }

    /// The fields to keep when it is diverted, if nothing else is lost.
    ///
    /// Waking makes it a `ClusterIP` again. Any other Service that can be reached from outside of the cluster, or that
    /// has no pods of its own, would not be restored to its original state ([Kubernetes: Service type]).
    ///
    /// # Errors
    ///
    /// Why it would not be restored to its original state.
    ///
    /// [Kubernetes: Service type]: https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types
    pub(crate) fn to_keep(&self) -> Result<ServiceWhenUnidled, Irreversible> {
        let own = self.own.as_ref().ok_or(Irreversible::ExternalName)?;
        match &own.irreversible {
            Some(irreversible) => Err(irreversible.clone()),
            None => Ok(ServiceWhenUnidled {
                selector: self.selector.to_map(),
                ports: own.ports.to_vec(),
                ip_families: own.ip_families.clone(),
                ip_family_policy: own.ip_family_policy.clone(),
            }),
        }
    }

    pub(crate) fn has_saved(&self) -> bool {
        self.saved.is_some()
    }

    /// What the Service has to point to while its app is awake, if that is certain.
    ///
    /// That is its original spec, if it was kept; otherwise the labels that select the Deployment's pods, and the port
    /// that the Deployment [is certain of](Workload::target_port). A Service for pods that share their `app` label
    /// with other pods would route to those as well, so that label alone only counts if nothing else selects.
    ///
    /// # Errors
    ///
    /// Why it is not certain.
    pub(crate) fn when_unidled(
        &self,
        deployment: &Workload,
    ) -> Result<ServiceWhenUnidled, Uncertain> {
        if let Some(saved) = &self.saved {
            let saved = serde_json::from_str(saved).ok();
            return saved
                .filter(ServiceWhenUnidled::is_usable)
                .ok_or(Uncertain::Saved);
        }
        let by_app_label = || {
            let app = self
                .app_label
                .clone()
                .filter(|app| deployment.pod_labels.get("app") == Some(app))?;
            Some(BTreeMap::from([("app".to_owned(), app)]))
        };
        let selector = deployment
            .match_labels
            .as_ref()
            .map(Labels::to_map)
            .or_else(by_app_label)
            .ok_or(Uncertain::Pods)?;
        let with_port = |port| {
            let port = ServicePort {
                name: Some("http".to_owned()),
                port: 80,
                target_port: Some(IntOrString::Int(port)),
                ..ServicePort::default()
            };
            ServiceWhenUnidled {
                selector,
                ports: vec![port],
                ..ServiceWhenUnidled::default()
            }
        };
        match deployment.target_port {
            Some(port) => Ok(with_port(port)),
            None => Err(Uncertain::Port(with_port(LOGIN_PORT))),
        }
    }
}

/// Annotations of a Service with which Traefik does not send plain requests to its endpoints
/// (<https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/ingress/>).
const UNFIT: [(&str, &[&str]); 2] = [
    ("traefik.ingress.kubernetes.io/service.nativelb", &["true"]),
    (
        "traefik.ingress.kubernetes.io/service.serversscheme",
        &["https", "h2c"],
    ),
];

impl Own {
    fn of(metadata: &ObjectMeta, spec: &ServiceSpec) -> Self {
        let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
        let has_external_ips = spec
            .external_ips
            .as_ref()
            .is_some_and(|ips| !ips.is_empty());
        let has_selector = spec
            .selector
            .as_ref()
            .is_some_and(|selector| !selector.is_empty());
        let irreversible = if kind != "ClusterIP" {
            Some(Irreversible::Type(kind.into()))
        } else if spec.cluster_ip.as_deref() == Some("None") {
            Some(Irreversible::Headless)
        } else if has_external_ips {
            Some(Irreversible::ExternalIps)
        } else if !has_selector {
            Some(Irreversible::NoSelector)
        } else {
            None
        };
        Self {
            // `None` instead of an address if it is headless. `clusterIPs` includes the address of the other family.
            ips: match &spec.cluster_ips {
                Some(ips) => ips.iter().filter_map(|ip| ip.parse().ok()).collect(),
                None => spec
                    .cluster_ip
                    .iter()
                    .filter_map(|ip| ip.parse().ok())
                    .collect(),
            },
            ports: spec.ports.clone().unwrap_or_default().into(),
            ip_families: spec.ip_families.clone(),
            ip_family_policy: spec.ip_family_policy.clone(),
            irreversible,
            publishes_not_ready: spec.publish_not_ready_addresses == Some(true),
            unfit: annotation_in(metadata, &UNFIT),
        }
    }

    fn tcp_ports(&self) -> impl Iterator<Item = &ServicePort> {
        self.ports
            .iter()
            .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
    }
}

/// Why a Service would not be restored to its original state after it was diverted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Irreversible {
    /// It points to a name, and not to pods.
    ExternalName,
    /// It is of a type that can be reached from outside of the cluster.
    Type(Box<str>),
    /// It has no cluster IP.
    Headless,
    /// It has external IP addresses.
    ExternalIps,
    /// Nothing determines its pods.
    NoSelector,
}

/// Why a slice could not divert the visitors of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It points to a name, and not to endpoints.
    ExternalName,
    /// It is of a type whose visitors may come through kube-proxy, which does not forward one cluster IP to another.
    Type(Box<str>),
    /// Its clients may use the addresses of its pods.
    Headless,
    /// It has external IP addresses, whose visitors come through kube-proxy.
    ExternalIps,
    /// Nothing determines its pods.
    NoSelector,
    /// Its endpoints are reported as ready before they are.
    PublishesNotReady,
    /// Ingress controllers speak TLS to this port, which unidler does not.
    Tls(i32),
    /// This annotation makes Traefik use TLS, or the cluster IP.
    Annotation(&'static str),
}

/// Why it is not certain where a Service has to point when its app is awake.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Uncertain {
    /// Its kept spec cannot be used.
    Saved,
    /// Nothing determines its pods.
    Pods,
    /// Its Deployment has several ports, or several containers. Includes the parts that are certain, with the login's
    /// port.
    Port(ServiceWhenUnidled),
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

impl ServiceWhenUnidled {
    /// Whether the API server accepts it for a Service of type `ClusterIP`: otherwise the app would be running without
    /// its Service.
    fn is_usable(&self) -> bool {
        let Self {
            selector, ports, ..
        } = self;
        let has_several = ports.len() > 1;
        let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
        let is_usable = |port: &ServicePort| {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let name = port.name.as_deref().unwrap_or_default();
            is_port(port.port)
                && matches!(protocol, "TCP" | "UDP" | "SCTP")
                && port.node_port.unwrap_or_default() == 0
                && (is_dns_label(name) || (name.is_empty() && !has_several))
                && match &port.target_port {
                    Some(IntOrString::Int(port)) => is_port(*port),
                    Some(IntOrString::String(name)) => is_dns_label(name) && name.len() <= 15,
                    None => true,
                }
        };
        !selector.is_empty()
            && selector
                .iter()
                .all(|(key, value)| is_label_key(key) && (value.is_empty() || is_label_text(value)))
            && !ports.is_empty()
            && ports.iter().all(is_usable)
            && ports.iter().all(|port| {
                names.insert(port.name.as_deref().unwrap_or_default())
                    && numbers.insert((port.port, port.protocol.as_deref().unwrap_or("TCP")))
            })
    }
}

fn is_port(port: i32) -> bool {
    (1..=65535).contains(&port)
}

fn is_dns_label(text: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= 63
        && is_edge(text.chars().next())
        && is_edge(text.chars().next_back())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn is_label_text(text: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && is_edge(text.chars().next())
        && is_edge(text.chars().next_back())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => {
            prefix.len() <= 253 && prefix.split('.').all(is_dns_label) && is_label_text(name)
        }
        None => is_label_text(key),
    }
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "so that `json!` can stand in the call"
)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(json: Value) -> Workload {
        Workload::parse(
            serde_json::from_value(json).expect("a Deployment"),
            "unidler",
        )
    }

    fn service(metadata: Value, spec: Value) -> Service {
        Service::parse(
            serde_json::from_value(json!({ "metadata": metadata, "spec": spec }))
                .expect("a Service"),
            &own(),
        )
    }

    fn own() -> OwnService {
        OwnService {
            name: "unidler".into(),
            domain: "cluster.local".into(),
        }
    }

    #[test]
    fn our_own_address_is_inside_the_cluster() {
        for (address, namespace) in [
            ("unidler.tools.svc.cluster.local", Some("tools")),
            ("unidler.tools.svc.cluster.local.", Some("tools")),
            ("unidler.tools.svc", Some("tools")),
            ("unidler.x.svc.evil.example", None),
            ("unidler.x.svc.cluster.local.evil.example", None),
            ("unidler.svc.cluster.local", None),
            ("unidler..svc", None),
            ("unidler.a.b.svc", None),
            ("unidler-2.tools.svc", None),
            ("other.tools.svc.cluster.local", None),
            ("unidler.tools", None),
            ("", None),
        ] {
            assert_eq!(own().namespace_in(address), namespace, "{address}");
        }
    }

    #[test]
    fn a_service_points_at_us_only_by_our_name() {
        for (spec, points_at) in [
            (
                json!({ "type": "ExternalName", "externalName": "unidler.tools.svc.cluster.local" }),
                PointsAt::Unidler,
            ),
            (
                json!({ "type": "ExternalName", "externalName": "unidler.tools.svc" }),
                PointsAt::Unidler,
            ),
            (
                json!({ "type": "ExternalName", "externalName": "unidler.example.org" }),
                PointsAt::Elsewhere,
            ),
            (
                json!({ "type": "ExternalName", "externalName": "other.tools.svc.cluster.local" }),
                PointsAt::Elsewhere,
            ),
            (
                json!({ "type": "ExternalName", "externalName": "unidler.tools.svc", "externalIPs": ["192.0.2.1"] }),
                PointsAt::Elsewhere,
            ),
            (
                json!({ "type": "ClusterIP", "selector": { "app": "tool" } }),
                PointsAt::Pods,
            ),
            (json!({}), PointsAt::Pods),
        ] {
            assert_eq!(
                service(json!({}), spec.clone()).points_at,
                points_at,
                "{spec}"
            );
        }
    }

    #[test]
    fn only_what_a_route_can_lead_to_has_an_address() {
        let ports = json!([{ "name": "web", "port": 80 }, { "name": "admin", "port": 81 }, { "name": "dns", "port": 53, "protocol": "UDP" }]);
        let up = json!({ "clusterIP": "10.0.0.7", "selector": { "app": "tool" }, "ports": ports });
        let with = |change: Value| {
            let mut spec = up.clone();
            spec.as_object_mut()
                .expect("an object")
                .extend(change.as_object().expect("an object").clone());
            spec
        };
        let web = Port::Name("web".into());
        for (spec, asked, address) in [
            (up.clone(), web.clone(), Some("10.0.0.7:80")),
            (up.clone(), Port::Number(81), Some("10.0.0.7:81")),
            (
                with(json!({ "clusterIP": "fd00::7" })),
                web.clone(),
                Some("[fd00::7]:80"),
            ),
            // It is nothing that a visitor could reach.
            (up.clone(), Port::Name("dns".into()), None),
            (up.clone(), Port::Number(9090), None),
            (with(json!({ "clusterIP": "None" })), web.clone(), None),
            (with(json!({ "clusterIP": "" })), web.clone(), None),
            (with(json!({ "selector": {} })), web.clone(), None),
            (
                with(json!({ "type": "ExternalName", "externalName": "unidler.tools.svc" })),
                web.clone(),
                None,
            ),
            (
                with(json!({ "type": "ExternalName", "externalName": "metadata.example" })),
                web.clone(),
                None,
            ),
        ] {
            let service = service(json!({}), spec.clone());
            let found = service.port(&asked).and_then(|port| service.address(port));
            assert_eq!(
                found,
                address.map(|text| text.parse().expect("an address")),
                "{spec} {asked:?}"
            );
        }
    }

    fn restored(service_metadata: Value, deployment_spec: Value) -> Option<Value> {
        let deployment = deployment(json!({ "metadata": {}, "spec": deployment_spec }));
        let restored = service(service_metadata, json!({})).when_unidled(&deployment);
        restored
            .ok()
            .map(|spec| serde_json::to_value(spec).expect("JSON"))
    }

    #[test]
    fn a_service_gets_the_originals_values_where_nothing_says_better() {
        let spec = json!({ "selector": { "matchLabels": { "app": "tool" } }, "template": { "metadata": { "labels": { "app": "tool" } } } });
        assert_eq!(
            restored(json!({ "labels": { "app": "tool" } }), spec),
            Some(
                json!({ "selector": { "app": "tool" }, "ports": [{ "name": "http", "port": 80, "targetPort": 3000 }] })
            )
        );
    }

    #[test]
    fn a_service_gets_the_port_that_is_certain_and_never_one_past_a_login() {
        let container = |ports: Value| json!({ "name": "c", "ports": ports });
        for (pod, target) in [
            (
                json!({ "containers": [container(json!([{ "containerPort": 8080 }]))] }),
                Some(8080),
            ),
            // 3000 is the login wherever there is one, whatever the others are called.
            (
                json!({ "containers": [
                    container(json!([{ "containerPort": 3000, "name": "proxy" }])),
                    container(json!([{ "containerPort": 8080, "name": "http" }])),
                ] }),
                Some(3000),
            ),
            // The other container may be a login that declares no port.
            (
                json!({ "containers": [container(json!([])), container(json!([{ "containerPort": 8080 }]))] }),
                None,
            ),
            (
                json!({
                    "initContainers": [{ "name": "login", "restartPolicy": "Always" }],
                    "containers": [container(json!([{ "containerPort": 8080 }]))],
                }),
                None,
            ),
            (
                json!({
                    "initContainers": [{ "name": "login", "restartPolicy": "Always", "ports": [{ "containerPort": 3000 }] }],
                    "containers": [container(json!([{ "containerPort": 8080 }]))],
                }),
                Some(3000),
            ),
            (
                json!({ "initContainers": [{ "name": "setup" }], "containers": [container(json!([{ "containerPort": 8080 }]))] }),
                Some(8080),
            ),
            (
                json!({ "containers": [container(json!([
                    { "containerPort": 9090, "name": "metrics" }, { "containerPort": 8080, "name": "http" },
                ]))] }),
                None,
            ),
            (
                json!({ "containers": [container(json!([{ "containerPort": 9090 }, { "containerPort": 8080 }]))] }),
                None,
            ),
            (
                json!({ "containers": [container(json!([{ "containerPort": 53, "protocol": "UDP" }]))] }),
                Some(3000),
            ),
            (json!({ "containers": [container(json!([]))] }), Some(3000)),
            // One of them may be a login at another port.
            (
                json!({ "containers": [container(json!([])), container(json!([]))] }),
                None,
            ),
        ] {
            let spec = json!({
                "selector": { "matchLabels": { "name": "tool" } },
                "template": { "metadata": { "labels": { "name": "tool", "app": "another" } }, "spec": pod },
            });
            let expected = target.map(|target| {
                json!({ "selector": { "name": "tool" }, "ports": [{ "name": "http", "port": 80, "targetPort": target }] })
            });
            assert_eq!(
                restored(json!({ "labels": { "app": "tool" } }), spec),
                expected,
                "{pod}"
            );
        }
    }

    #[test]
    fn a_service_selects_the_pods_of_its_deployment_and_no_others() {
        let spec = |selector: Value, labels: Value| json!({ "selector": selector, "template": { "metadata": { "labels": labels } } });
        let by_labels = |labels: Value| json!({ "matchLabels": labels });
        let by_expression = json!({ "matchExpressions": [{ "key": "app", "operator": "Exists" }] });
        for (spec, selector) in [
            (
                spec(
                    by_labels(json!({ "app": "tool" })),
                    json!({ "app": "tool" }),
                ),
                Some(json!({ "app": "tool" })),
            ),
            // The pods have no `app` label, or another one.
            (
                spec(by_labels(json!({ "name": "x" })), json!({ "name": "x" })),
                Some(json!({ "name": "x" })),
            ),
            (
                spec(by_labels(json!({ "app": "x" })), json!({ "app": "x" })),
                Some(json!({ "app": "x" })),
            ),
            // Web and worker share their `app` label.
            (
                spec(
                    by_labels(json!({ "app": "tool", "tier": "web" })),
                    json!({ "app": "tool", "tier": "web" }),
                ),
                Some(json!({ "app": "tool", "tier": "web" })),
            ),
            (
                spec(by_expression.clone(), json!({ "app": "tool" })),
                Some(json!({ "app": "tool" })),
            ),
            (spec(by_expression.clone(), json!({ "app": "x" })), None),
            (spec(by_expression.clone(), json!({})), None),
        ] {
            let found = restored(json!({ "labels": { "app": "tool" } }), spec.clone())
                .map(|mut spec| spec["selector"].take());
            assert_eq!(found, selector, "{spec}");
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
        assert_eq!(
            restored(metadata, json!({ "selector": {}, "template": {} })),
            Some(saved)
        );
    }

    #[test]
    fn a_service_whose_kept_spec_is_garbage_is_not_guessed_at() {
        let port = json!({ "name": "http", "port": 80 });
        let with = |selector: Value, ports: Value| {
            json!({ "selector": selector, "ports": ports }).to_string()
        };
        let with_port = |change: Value| {
            let mut port = port.clone();
            json_patch::merge(&mut port, &change);
            with(json!({ "app": "tool" }), json!([port]))
        };
        for saved in [
            String::new(),
            "{}".to_owned(),
            "[]".to_owned(),
            with(json!({}), json!([])),
            with(json!({}), json!([port])),
            with(json!({ "app": "tool" }), json!([])),
            with(json!({ "not a label": "tool" }), json!([port])),
            with(json!({ "app": "-" }), json!([port])),
            with(json!({ "app": "tool" }), json!([port, port])),
            with(json!({ "app": "tool" }), json!([port, { "port": 81 }])),
            with_port(json!({ "port": 0 })),
            with_port(json!({ "port": 70_000 })),
            with_port(json!({ "name": "HTTP" })),
            with_port(json!({ "targetPort": 0 })),
            with_port(json!({ "targetPort": "" })),
            with_port(json!({ "protocol": "QUIC" })),
            with_port(json!({ "nodePort": 30_000 })),
        ] {
            let metadata = json!({ "labels": { "app": "tool" }, "annotations": { SERVICE_WHEN_UNIDLED: saved } });
            assert_eq!(
                restored(metadata, json!({ "selector": {}, "template": {} })),
                None,
                "{saved:?}"
            );
        }
    }

    #[test]
    fn a_service_is_not_restored_where_nothing_tells_its_pods() {
        let spec = json!({ "selector": { "matchExpressions": [{ "key": "app", "operator": "Exists" }] }, "template": {} });
        assert_eq!(restored(json!({}), spec), None);
    }
}
