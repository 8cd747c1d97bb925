//! The marks in which other programs record how many replicas a workload had before they scaled it to zero.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::{annotation, label};

/// The annotation of kube-downscaler (<https://codeberg.org/hjacobs/kube-downscaler>) and its successors.
pub(crate) const DOWNSCALER: &str = "downscaler/original-replicas";
/// Of kube-downscaler on a `ScaledObject`: at how many replicas somebody else had paused it.
const DOWNSCALER_PAUSE: &str = "downscaler/original-pause-replicas";
/// The time until which kube-downscaler ignores a workload, in RFC 3339 with whole seconds.
pub(crate) const DOWNSCALER_EXCLUDE_UNTIL: &str = "downscaler/exclude-until";
/// The label or annotation that marks the workloads of aergia (<https://github.com/uselagoon/aergia-controller>), and
/// the one with the replicas that each had: under its present name and the previous one.
const AERGIA: [(&str, &str); 2] = [
    ("idling.lagoon.sh/idled", "idling.lagoon.sh/unidle-replicas"),
    ("idling.amazee.io/idled", "idling.amazee.io/unidle-replicas"),
];
/// The annotation of `oc idle` on a workload
/// (<https://docs.redhat.com/en/documentation/openshift_container_platform/latest/html/building_applications/idling-applications>).
const OPENSHIFT: &str = "idling.alpha.openshift.io/previous-scale";
/// The corresponding annotation on a Service, with the workloads behind it.
const OPENSHIFT_TARGETS: &str = "idling.alpha.openshift.io/unidle-targets";

/// A workload that a Service names as idled.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Target {
    pub(crate) kind: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) replicas: u32,
}

/// How many replicas a workload had, according to the first readable mark on it: never 0.
pub(super) fn replicas(metadata: &ObjectMeta) -> Option<u32> {
    let number = |name: &str| {
        let text = annotation(metadata, name)?;
        text.trim().parse().ok().filter(|replicas| *replicas > 0)
    };
    let of_aergia = || {
        let marked = AERGIA.iter().find(|(mark, _)| {
            let marks = [annotation(metadata, mark), label(metadata, mark)];
            marks.into_iter().flatten().any(|text| text == "true")
        });
        marked.map(|(_, replicas)| number(replicas).unwrap_or(1))
    };
    number(DOWNSCALER)
        .or_else(of_aergia)
        .or_else(|| number(OPENSHIFT))
}

/// Whether kube-downscaler has put a workload to sleep.
pub(super) fn is_downscaled(metadata: &ObjectMeta) -> bool {
    annotation(metadata, DOWNSCALER).is_some()
}

/// Whether kube-downscaler has changed somebody else's pause of a `ScaledObject`.
pub(super) fn has_original_pause(metadata: &ObjectMeta) -> bool {
    annotation(metadata, DOWNSCALER_PAUSE).is_some()
}

/// The workloads that a Service names as idled.
pub(super) fn targets(metadata: &ObjectMeta) -> Box<[Target]> {
    let text = annotation(metadata, OPENSHIFT_TARGETS);
    let targets = text.and_then(|text| serde_json::from_str::<Vec<Target>>(&text).ok());
    let mut targets = targets.unwrap_or_default();
    targets.retain(|target| target.replicas > 0);
    targets.into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn metadata(labels: &Value, annotations: &Value) -> ObjectMeta {
        let metadata = json!({ "labels": labels, "annotations": annotations });
        serde_json::from_value(metadata).expect("metadata")
    }

    #[test]
    fn each_program_is_read_by_its_own_marks() {
        let none = json!({});
        let idled = |domain: &str| json!({ format!("{domain}/idled"): "true" });
        for (labels, annotations, wanted) in [
            (
                &none,
                json!({ "downscaler/original-replicas": "3" }),
                Some(3),
            ),
            (&none, json!({ "downscaler/original-replicas": "0" }), None),
            (
                &none,
                json!({ "downscaler/original-replicas": "all" }),
                None,
            ),
            (
                &none,
                json!({ "idling.amazee.io/unidle-replicas": "2" }),
                None,
            ),
            (
                &idled("idling.amazee.io"),
                json!({ "idling.amazee.io/unidle-replicas": "2" }),
                Some(2),
            ),
            (&idled("idling.lagoon.sh"), json!({}), Some(1)),
            (
                &none,
                json!({ "idling.lagoon.sh/idled": "true", "idling.lagoon.sh/unidle-replicas": "-4" }),
                Some(1),
            ),
            (
                &none,
                json!({ "idling.alpha.openshift.io/previous-scale": "4" }),
                Some(4),
            ),
            (&none, json!({ "unidler/record": "5" }), None),
        ] {
            let read = replicas(&metadata(labels, &annotations));
            assert_eq!(read, wanted, "{labels} {annotations}");
        }
    }

    #[test]
    fn a_service_of_openshift_names_what_is_behind_it() {
        let of = |text: &str| {
            let annotations = json!({ "idling.alpha.openshift.io/unidle-targets": text });
            targets(&metadata(&json!({}), &annotations))
        };
        let list = json!([
            { "kind": "Deployment", "name": "web", "group": "apps", "replicas": 2 },
            { "kind": "DeploymentConfig", "name": "old", "replicas": 0 },
        ]);
        let names: Vec<_> = of(&list.to_string())
            .iter()
            .map(|target| (target.name.to_string(), target.replicas))
            .collect();
        assert_eq!(names, [("web".to_owned(), 2)]);
        assert!(of("[{").is_empty() && of("{}").is_empty());
    }
}
