//! The CPU usage of apps' pods, according to the metrics API
//! (<https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/>). It can keep an app awake, but
//! never puts it to sleep.

use std::{collections::HashMap, fmt, str::FromStr};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{
    ResourceExt,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde::Deserialize;
use unidler::sleep::verdict::{Veto, Why};

use crate::{
    api_server::ApiServer,
    cache::Cached,
    client::Source,
    found::Found,
    objects::{Workload, cpu_millicores, labels::Labels},
};

/// The share of its CPU requests from which on an app counts as busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyCpu(u64);

impl FromStr for BusyCpu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text
            .strip_suffix('%')
            .and_then(|number| number.parse().ok());
        percent
            .filter(|percent| (1..=1_000).contains(percent))
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is not a percentage above 0, such as 20%"))
    }
}

impl fmt::Display for BusyCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// The CPU usage of the cluster's pods, by namespace.
#[derive(Debug, Default)]
pub(crate) struct Cpu(HashMap<String, Vec<PodUsage>>);

#[derive(Debug)]
struct PodUsage {
    labels: Labels,
    millicores: u64,
}

#[derive(Deserialize)]
struct Container {
    usage: HashMap<String, Quantity>,
}

impl ApiServer {
    /// Reads the CPU usage of all pods; it is empty if the metrics API does not respond.
    pub(crate) async fn cpu(&self) -> Cpu {
        let kind = GroupVersionKind::gvk("metrics.k8s.io", "v1beta1", "PodMetrics");
        let kind = ApiResource::from_gvk_with_plural(&kind, "pods");
        let source = Source::<DynamicObject>::custom(&self.client, kind);
        match self.list_of(&source, &ListParams::default()).await {
            Ok(pods) => Cpu::of(pods.unwrap_or_default()),
            Err(error) => {
                tracing::debug!(%error, "no CPU metrics");
                Cpu::default()
            }
        }
    }
}

impl Cpu {
    fn of(pods: Vec<DynamicObject>) -> Self {
        let mut usage = HashMap::<String, Vec<PodUsage>>::new();
        for mut pod in pods {
            let containers = pod.data["containers"].take();
            let Ok(containers) = serde_json::from_value::<Vec<Container>>(containers) else {
                continue;
            };
            let millicores = containers
                .iter()
                .filter_map(|container| cpu_millicores(container.usage.get("cpu")?))
                .sum();
            let of_namespace = usage.entry(pod.namespace().unwrap_or_default());
            of_namespace.or_default().push(PodUsage {
                labels: pod.metadata.labels.unwrap_or_default().into(),
                millicores,
            });
        }
        Self(usage)
    }

    /// Whether one of an app's workloads is busy.
    pub(crate) fn veto(&self, found: &Found, BusyCpu(percent): BusyCpu) -> Veto {
        let mut silence = Why::NotBusy;
        for workload in &found.workloads {
            let requested = workload.value.requests.millicores * u64::from(workload.value.replicas);
            match self.of_workload(workload) {
                _ if requested == 0 => silence = Why::NoCpuRequests,
                None => silence = Why::NoCpuMetrics,
                Some(used) if used * 100 >= requested * percent => {
                    return Veto::Used { ago: None };
                }
                Some(_) => {}
            }
        }
        Veto::Silent(silence)
    }

    /// The CPU usage of a workload's pods, in thousandths of a core.
    fn of_workload(&self, workload: &Cached<Workload>) -> Option<u64> {
        let selector = workload.value.match_labels.as_ref()?;
        let pods = self.0.get(&workload.namespace)?.iter();
        let is_selected = |pod: &&PodUsage| {
            selector
                .iter()
                .all(|(name, value)| pod.labels.get(name) == Some(value))
        };
        let used = pods.filter(is_selected).map(|pod| pod.millicores);
        used.reduce(u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        caches::{Caches, Listed},
        settings::ClusterSettings,
    };

    fn found(replicas: u32, requests: &Value) -> Found {
        let labels = json!({ "app": "web" });
        let container = json!({ "name": "app", "resources": { "requests": requests } });
        let template =
            json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
        let metadata = json!({ "name": "web", "namespace": "team" });
        let spec = json!({ "replicas": replicas, "selector": { "matchLabels": labels }, "template": template });
        let deployment = json!({ "metadata": metadata, "spec": spec });
        let service = json!({ "metadata": metadata, "spec": { "selector": labels } });
        let listed = Listed {
            deployments: vec![serde_json::from_value(deployment).expect("a Deployment")],
            services: vec![serde_json::from_value(service).expect("a Service")],
            ..Listed::default()
        };
        let caches = Caches::of(listed, &ClusterSettings::of_tests());
        caches.of_services("team", &["web"].into()).expect("an app")
    }

    fn pod(namespace: &str, app: &str, cpu: &str) -> DynamicObject {
        let metadata = json!({ "name": "p", "namespace": namespace, "labels": { "app": app, "pod-template-hash": "1" } });
        let containers = json!([{ "name": "app", "usage": { "cpu": cpu, "memory": "10Mi" } }]);
        serde_json::from_value(json!({ "metadata": metadata, "containers": containers }))
            .expect("a PodMetrics")
    }

    #[test]
    fn an_app_is_busy_by_what_its_pods_use_of_what_they_request() {
        let busy: BusyCpu = "20%".parse().expect("a percentage");
        let veto = |pods: &[(&str, &str, &str)], found: &Found| {
            let pods = pods
                .iter()
                .map(|(namespace, app, cpu)| pod(namespace, app, cpu));
            Cpu::of(pods.collect()).veto(found, busy)
        };
        let (used, silent) = (Veto::Used { ago: None }, Veto::Silent);
        // Two pods that request half a core each.
        let web = found(2, &json!({ "cpu": "500m" }));
        for (pods, wanted) in [
            (&[("team", "web", "200m")][..], used),
            (
                &[("team", "web", "100m"), ("team", "web", "100000000n")],
                used,
            ),
            (&[("team", "web", "199m")], silent(Why::NotBusy)),
            (
                &[("team", "other", "4"), ("else", "web", "4")],
                silent(Why::NoCpuMetrics),
            ),
            (&[], silent(Why::NoCpuMetrics)),
        ] {
            assert_eq!(veto(pods, &web), wanted, "{pods:?}");
        }
        let modest = found(2, &json!({ "memory": "1Gi" }));
        let busy_pod = [("team", "web", "4")];
        assert_eq!(veto(&busy_pod, &modest), silent(Why::NoCpuRequests));
    }

    #[test]
    fn the_share_is_a_percentage() {
        for text in ["20%", "1%", "150%"] {
            let busy = text.parse::<BusyCpu>().map(|busy| busy.to_string());
            assert_eq!(busy, Ok(text.to_owned()));
        }
        for text in ["", "20", "0%", "-5%", "half"] {
            assert!(text.parse::<BusyCpu>().is_err(), "{text}");
        }
    }
}
