//! What is kept of each Kubernetes object: parsed once when it arrives, trimmed to what decisions need.
//!
//! With ten thousand apps in memory this is the difference between megabytes and hundreds of them.

use std::{collections::BTreeMap, iter, time::Duration};

use k8s_openapi::{
    api::{
        apps::v1::Deployment as KubeDeployment,
        core::v1::{Service as KubeService, ServicePort},
        networking::v1::Ingress as KubeIngress,
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use kube::core::Selector;
use serde::{Deserialize, Serialize};
use unidler::{cluster::Version, progress::Reason};

/// The label of a Deployment that is idled; its value is then `true`.
pub(super) const IDLED: &str = "mojanalytics.xyz/idled";
/// The annotation of an idled Deployment that tells when that was, in ISO 8601.
pub(super) const IDLED_AT: &str = "mojanalytics.xyz/idled-at";
/// The annotation of an idled Deployment that tells how many replicas it had.
pub(super) const REPLICAS_WHEN_UNIDLED: &str = "mojanalytics.xyz/replicas-when-unidled";
/// The annotation of an idled Service that holds its selector and ports from before, as JSON.
pub(super) const SERVICE_WHEN_UNIDLED: &str = "mojanalytics.xyz/service-when-unidled";

/// The annotation of a Deployment that remembers how long its last wake-ups took: seconds, the latest first, with
/// commas between.
pub(super) const WAKE_SECONDS: &str = "mojanalytics.xyz/wake-seconds";
/// How many wake-ups it remembers.
const REMEMBERED: usize = 5;
/// The longest time that is believed, in seconds.
const MAX_WAKE_SECONDS: u64 = 3600;

/// The port of a container that the original idler's apps listen at. Used where nothing says better.
const DEFAULT_TARGET_PORT: i32 = 3000;

/// An Ingress.
#[derive(Debug)]
pub(super) struct Ingress {
    /// The hosts of its rules, wildcards included.
    pub(super) hosts: Vec<String>,
}

impl Ingress {
    pub(super) fn parse(ingress: KubeIngress) -> Self {
        let rules = ingress.spec.and_then(|spec| spec.rules).unwrap_or_default();
        Self { hosts: rules.into_iter().filter_map(|rule| rule.host).collect() }
    }
}

/// A Deployment.
#[derive(Debug)]
pub(super) struct Deployment {
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) idled: bool,
    pub(super) idled_at: Option<String>,
    /// The text of the annotation, whatever it is.
    pub(super) replicas_when_unidled: Option<String>,
    /// How long its last wake-ups took, in seconds, the latest first.
    wake_seconds: Vec<u64>,
    pub(super) replicas: u32,
    /// 0 while the status is that of an older generation.
    pub(super) available: u32,
    pub(super) trouble: Option<Reason>,
    /// Its pods, as a label selector for a watch.
    pub(super) selector: String,
    /// The labels that select its pods, if labels alone do.
    match_labels: Option<BTreeMap<String, String>>,
    /// The `app` label of its pods.
    pod_app_label: Option<String>,
    /// The port that a Service should send to, as far as its containers tell.
    target_port: i32,
}

impl Deployment {
    pub(super) fn parse(deployment: KubeDeployment) -> Self {
        let KubeDeployment { metadata, spec, status } = deployment;
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let generation = metadata.generation.unwrap_or_default();
        let is_current = status.observed_generation.unwrap_or_default() >= generation;
        let condition = |kind: &str, value: &str, reason: Option<&str>| {
            status.conditions.iter().flatten().any(|condition| {
                condition.type_ == kind
                    && condition.status == value
                    && (reason.is_none() || condition.reason.as_deref() == reason)
            })
        };
        // https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment
        let trouble = if !is_current {
            None
        } else if condition("ReplicaFailure", "True", None) {
            Some(Reason::PodsRefused)
        } else if condition("Progressing", "False", Some("ProgressDeadlineExceeded")) {
            Some(Reason::RolloutStuck)
        } else {
            None
        };
        let has_expressions = spec.selector.match_expressions.as_ref().is_some_and(|list| !list.is_empty());
        let match_labels = spec.selector.match_labels.clone().filter(|labels| !has_expressions && !labels.is_empty());
        let pods = spec.template;
        let ports = pods.spec.iter().flat_map(|pod| &pod.containers).flat_map(|container| container.ports.iter().flatten());
        let ports: Vec<_> = ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP").collect();
        let target_port = match &*ports {
            [only] => only.container_port,
            several => several
                .iter()
                .find(|port| port.name.as_deref() == Some("http"))
                .map_or(DEFAULT_TARGET_PORT, |port| port.container_port),
        };
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            generation,
            idled: label(&metadata, IDLED).as_deref() == Some("true"),
            idled_at: annotation(&metadata, IDLED_AT),
            replicas_when_unidled: annotation(&metadata, REPLICAS_WHEN_UNIDLED),
            wake_seconds: annotation(&metadata, WAKE_SECONDS).as_deref().map(wake_seconds).unwrap_or_default(),
            // Absent means 1: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#replicas
            replicas: spec.replicas.map_or(1, count),
            available: if is_current { status.available_replicas.map_or(0, count) } else { 0 },
            trouble,
            selector: Selector::try_from(spec.selector).map(|selector| selector.to_string()).unwrap_or_default(),
            match_labels,
            pod_app_label: pods.metadata.and_then(|metadata| label(&metadata, "app")),
            target_port,
        }
    }

    /// The version of what decisions about a Deployment depend on. Its `resourceVersion` would change with each
    /// change of its status, of which a wake-up brings many.
    pub(super) fn version(&self) -> Version {
        let Self { uid, generation, idled, idled_at, replicas_when_unidled, .. } = self;
        Version(format!("{uid}/{generation}/{idled}/{idled_at:?}/{replicas_when_unidled:?}"))
    }

    /// How long a wake-up usually takes: the median of the last ones.
    pub(super) fn usual(&self) -> Option<Duration> {
        let mut sorted = self.wake_seconds.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().map(Duration::from_secs)
    }

    /// The text of [`WAKE_SECONDS`] after one more wake-up.
    pub(super) fn wake_seconds_with(&self, took: Duration) -> String {
        let latest = took.as_secs().clamp(1, MAX_WAKE_SECONDS);
        let all = iter::once(&latest).chain(&self.wake_seconds).take(REMEMBERED);
        all.map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// The replicas to give back: at least 1, at most `max`. What cannot be read means 1.
    pub(super) fn replicas_to_restore(&self, max: u32) -> u32 {
        let wanted = self.replicas_when_unidled.as_deref().and_then(|text| text.trim().parse::<i64>().ok());
        u32::try_from(wanted.unwrap_or(1).clamp(1, i64::from(max))).unwrap_or(max)
    }
}

/// A Service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) points_at: PointsAt,
    /// Its `app` label.
    app_label: Option<String>,
    /// The text of the annotation with its spec from before, whatever it is.
    saved: Option<String>,
}

/// Where a Service points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PointsAt {
    Unidler,
    Pods,
    Elsewhere,
}

impl Service {
    /// Parses a Service. `own_name` is the name of the Service of ours that idled ones point at.
    pub(super) fn parse(service: KubeService, own_name: &str) -> Self {
        let KubeService { metadata, spec, .. } = service;
        let spec = spec.unwrap_or_default();
        let points_at = match spec.type_.as_deref() {
            // An address of its own outside the cluster would follow the change of type: hands off (CVE-2020-8554).
            Some("ExternalName") if spec.external_ips.is_some_and(|ips| !ips.is_empty()) => PointsAt::Elsewhere,
            Some("ExternalName") if spec.external_name.as_deref().is_some_and(|name| is_own_address(name, own_name)) => {
                PointsAt::Unidler
            }
            Some("ExternalName") => PointsAt::Elsewhere,
            _ => PointsAt::Pods,
        };
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            points_at,
            app_label: label(&metadata, "app"),
            saved: annotation(&metadata, SERVICE_WHEN_UNIDLED),
        }
    }

    /// The version of the whole Service. Nothing but a change of what it means changes that.
    pub(super) fn version(&self) -> Version {
        Version(format!("{}/{}", self.uid, self.resource_version))
    }

    pub(super) fn has_saved(&self) -> bool {
        self.saved.is_some()
    }

    /// What the Service has to point at when its app is awake, if that is known.
    ///
    /// Its own spec from before, if it was kept; else the original idler's values where they select the pods of
    /// the Deployment; else what the Deployment itself selects.
    pub(super) fn when_unidled(&self, deployment: &Deployment) -> Option<ServiceWhenUnidled> {
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
pub(super) struct ServiceWhenUnidled {
    pub(super) selector: BTreeMap<String, String>,
    pub(super) ports: Vec<ServicePort>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ip_families: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ip_family_policy: Option<String>,
}

/// Whether a name is `<own_name>.<namespace>.svc[.<domain>]`.
pub(super) fn is_own_address(name: &str, own_name: &str) -> bool {
    let mut labels = name.trim_end_matches('.').split('.');
    labels.next() == Some(own_name)
        && labels.next().is_some_and(|namespace| !namespace.is_empty())
        && labels.next() == Some("svc")
}

/// Whoever may annotate a Deployment may write this, so what makes no sense is skipped.
fn wake_seconds(text: &str) -> Vec<u64> {
    let times = text.split(',').filter_map(|seconds| seconds.trim().parse().ok());
    times.filter(|seconds| (1..=MAX_WAKE_SECONDS).contains(seconds)).take(REMEMBERED).collect()
}

fn count(replicas: i32) -> u32 {
    u32::try_from(replicas).unwrap_or_default()
}

fn label(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.labels.as_ref()?.get(name).cloned()
}

fn annotation(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.annotations.as_ref()?.get(name).cloned()
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

    fn idled(annotations: Value) -> Deployment {
        deployment(json!({
            "metadata": { "generation": 3, "labels": { "mojanalytics.xyz/idled": "true" }, "annotations": annotations },
            "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "tool" } }, "template": { "metadata": { "labels": { "app": "tool" } } } },
            "status": { "observedGeneration": 3 },
        }))
    }

    #[test]
    fn replicas_are_restored_as_they_were_and_garbage_means_one() {
        for (text, replicas) in
            [("2", 2), ("10", 10), ("1000000", 10), ("0", 1), ("-1", 1), ("abc", 1), ("", 1), ("99999999999999999999", 1)]
        {
            assert_eq!(idled(json!({ REPLICAS_WHEN_UNIDLED: text })).replicas_to_restore(10), replicas, "{text:?}");
        }
        assert_eq!(idled(json!({})).replicas_to_restore(10), 1);
    }

    #[test]
    fn the_usual_time_is_the_median_of_the_last_ones() {
        for (text, usual, then) in [
            ("", None, "7"),
            ("40", Some(40), "7,40"),
            ("30,50,40", Some(40), "7,30,50,40"),
            ("1,2,3,4,5,6,7", Some(3), "7,1,2,3,4"),
            ("x,-1,0,99999999,40", Some(40), "7,40"),
        ] {
            let deployment = idled(json!({ WAKE_SECONDS: text }));
            assert_eq!(deployment.usual(), usual.map(Duration::from_secs), "{text}");
            assert_eq!(deployment.wake_seconds_with(Duration::from_millis(7_400)), then, "{text}");
        }
    }

    #[test]
    fn replicas_of_an_older_generation_do_not_count() {
        let json = |observed| {
            json!({
                "metadata": { "generation": 3 },
                "spec": { "selector": {}, "template": {} },
                "status": { "observedGeneration": observed, "availableReplicas": 2 },
            })
        };
        assert_eq!(deployment(json(2)).available, 0);
        assert_eq!(deployment(json(3)).available, 2);
    }

    #[test]
    fn the_version_changes_with_what_matters_and_not_with_the_status() {
        let before = idled(json!({ IDLED_AT: "2026-01-01T00:00:00Z" }));
        let mut after = idled(json!({ IDLED_AT: "2026-01-01T00:00:00Z" }));
        after.available = 2;
        assert_eq!(before.version(), after.version());
        assert_ne!(before.version(), idled(json!({ IDLED_AT: "2026-02-02T00:00:00Z" })).version(), "idled again");
        after.generation = 4;
        assert_ne!(before.version(), after.version());
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
