//! The resource requests of a workload's pods.

use std::{
    collections::BTreeMap,
    iter::Sum,
    ops::{Add, Mul},
};

use k8s_openapi::{
    api::core::v1::{Container, PodSpec},
    apimachinery::pkg::api::resource::Quantity,
};

/// The resource requests of a pod, as the scheduler counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodRequests {
    /// CPU time, in thousandths of a core.
    pub(crate) millicores: u64,
    /// Memory, in bytes.
    pub(crate) bytes: u64,
}

impl PodRequests {
    /// The requests of a pod: of all its containers, or of the init container that requests more than they do, plus the
    /// overhead of the pod ([Kubernetes: sidecar containers, resource sharing]).
    ///
    /// [Kubernetes: sidecar containers, resource sharing]: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
    pub(crate) fn of(pod: &PodSpec) -> Self {
        let init = pod.init_containers.iter().flatten();
        let is_sidecar = |container: &&Container| {
            container
                .restart_policy
                .as_ref()
                .is_some_and(|policy| *policy == "Always")
        };
        let (sidecars, before): (Vec<_>, Vec<_>) = init.partition(is_sidecar);
        let containers: Self = pod.containers.iter().map(of_container).sum();
        let beside: Self = sidecars.into_iter().map(of_container).sum();
        let largest = before
            .into_iter()
            .map(|container| of_container(container) + beside)
            .fold(containers + beside, Self::max);
        largest + of_quantities(pod.overhead.as_ref())
    }

    /// CPU time, in cores.
    #[expect(clippy::cast_precision_loss, reason = "no cluster has that many")]
    pub(crate) fn cores(self) -> f64 {
        self.millicores as f64 / 1_000.0
    }

    /// Memory, in bytes.
    #[expect(clippy::cast_precision_loss, reason = "no cluster has that much")]
    pub(crate) fn memory(self) -> f64 {
        self.bytes as f64
    }

    fn max(self, other: Self) -> Self {
        Self {
            millicores: self.millicores.max(other.millicores),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

impl Add for PodRequests {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            millicores: self.millicores.saturating_add(other.millicores),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl Sum for PodRequests {
    fn sum<I: Iterator<Item = Self>>(requests: I) -> Self {
        requests.fold(Self::default(), |sum, each| sum + each)
    }
}

impl Mul<u32> for PodRequests {
    type Output = Self;

    fn mul(self, pods: u32) -> Self {
        Self {
            millicores: self.millicores.saturating_mul(pods.into()),
            bytes: self.bytes.saturating_mul(pods.into()),
        }
    }
}

/// The requests of a container. A missing request defaults to the limit.
fn of_container(container: &Container) -> PodRequests {
    let resources = container.resources.as_ref();
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let mut wanted = limits.cloned().unwrap_or_default();
    wanted.extend(requests.cloned().unwrap_or_default());
    of_quantities(Some(&wanted))
}

fn of_quantities(quantities: Option<&BTreeMap<String, Quantity>>) -> PodRequests {
    let amount = |name: &str, unit: f64| {
        let quantity = quantities.and_then(|quantities| quantities.get(name));
        let amount = quantity.and_then(|quantity| amount(&quantity.0));
        (amount.unwrap_or_default() * unit).round()
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is too large or below zero is the nearest that there is"
    )]
    PodRequests {
        millicores: amount("cpu", 1_000.0) as u64,
        bytes: amount("memory", 1.0) as u64,
    }
}

/// Parses an amount of CPU time, in thousandths of a core.
pub(crate) fn cpu_millicores(Quantity(text): &Quantity) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is too large or below zero is the nearest that there is"
    )]
    amount(text).map(|cores| (cores * 1_000.0).round() as u64)
}

/// A number with a suffix, such as `1.5Gi`, `250m` or `1e3` ([Kubernetes: quantity]).
///
/// [Kubernetes: quantity]: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
fn amount(text: &str) -> Option<f64> {
    let exponent = |text: &str| text.parse::<f64>().ok().filter(|amount| amount.is_finite());
    if let Some(amount) = exponent(text) {
        return Some(amount);
    }
    let end = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, suffix) = text.split_at(end);
    let scale = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 2_f64.powi(10),
        "Mi" => 2_f64.powi(20),
        "Gi" => 2_f64.powi(30),
        "Ti" => 2_f64.powi(40),
        "Pi" => 2_f64.powi(50),
        "Ei" => 2_f64.powi(60),
        _ => return None,
    };
    Some(exponent(number)? * scale)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            ("2", Some(2.0)),
            ("0.5", Some(0.5)),
            ("250m", Some(0.25)),
            ("100u", Some(0.0001)),
            ("1Ki", Some(1_024.0)),
            ("1.5Gi", Some(1_610_612_736.0)),
            ("128M", Some(128e6)),
            ("1e3", Some(1e3)),
            ("1E3", Some(1e3)),
            ("2E", Some(2e18)),
            ("", None),
            ("Gi", None),
            ("1 Gi", None),
            ("inf", None),
            ("NaN", None),
            ("1Xi", None),
        ] {
            let amount = amount(text);
            let is_as_expected = match (amount, expected) {
                (Some(amount), Some(expected)) => (amount - expected).abs() <= expected * 1e-9,
                (None, None) => true,
                _ => false,
            };
            assert!(is_as_expected, "{text}: {amount:?}");
        }
    }

    fn of(pod: Value) -> (u64, u64) {
        let pod = serde_json::from_value(pod).expect("a pod");
        let PodRequests { millicores, bytes } = PodRequests::of(&pod);
        (millicores, bytes)
    }

    #[test]
    fn a_pod_asks_for_what_the_scheduler_keeps_for_it() {
        let container = |cpu: &str, memory: &str| {
            let requests = json!({ "cpu": cpu, "memory": memory });
            json!({ "name": "c", "resources": { "requests": requests } })
        };
        let sidecar = |cpu: &str| {
            let mut sidecar = container(cpu, "1Ki");
            sidecar["restartPolicy"] = json!("Always");
            sidecar
        };
        let limited = json!({ "name": "c", "resources": { "limits": { "cpu": "2" }, "requests": { "memory": "1Ki" } } });
        for (pod, expected) in [
            (json!({ "containers": [{ "name": "c" }] }), (0, 0)),
            (
                json!({ "containers": [container("250m", "1Ki"), container("1", "1Ki")] }),
                (1_250, 2_048),
            ),
            (json!({ "containers": [limited] }), (2_000, 1_024)),
            (
                json!({ "containers": [container("100m", "4Ki")], "initContainers": [container("1", "1Ki")] }),
                (1_000, 4_096),
            ),
            (
                json!({ "containers": [container("100m", "1Ki")], "initContainers": [sidecar("300m")], "overhead": { "cpu": "50m" } }),
                (450, 2_048),
            ),
            (json!({ "containers": [container("-1", "what")] }), (0, 0)),
        ] {
            assert_eq!(of(pod.clone()), expected, "{pod}");
        }
    }
}
