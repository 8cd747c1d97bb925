//! A `ScaledObject` of KEDA: what says how many replicas a workload has ([KEDA: scaling deployments]).
//!
//! [KEDA: scaling deployments]: https://keda.sh/docs/latest/concepts/scaling-deployments/

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::Deserialize;

use super::{Workload, annotation, marks, resource::resource, scale_target::ScaleTarget};
use crate::cache::Cached;

/// The annotation that has KEDA keep a workload at a number of replicas, and do nothing else for it.
pub(crate) const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
/// The annotation that has KEDA do nothing for a workload.
const PAUSED: &str = "autoscaling.keda.sh/paused";

/// As the API server has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct KedaScaledObject {
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) scale_target_ref: TargetRef,
    pub(crate) min_replica_count: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TargetRef {
    pub(crate) api_version: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) name: String,
}

resource!(
    KedaScaledObject,
    NamespaceResourceScope,
    "ScaledObject",
    "scaledobjects",
    "keda.sh",
    "v1alpha1"
);

/// A `ScaledObject`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScaledObject {
    pub(crate) uid: Box<str>,
    pub(crate) resource_version: Box<str>,
    pub(crate) target: ScaleTarget,
    pub(crate) scaling: Scaling,
    /// Whether kube-downscaler has paused it. It does so again within a minute, unless an annotation excludes it.
    pub(crate) is_downscaled: bool,
}

/// Who decides how many replicas a workload has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// KEDA does.
    Active,
    /// Somebody has had KEDA keep it at 0.
    PausedAtZero {
        /// How many it has at least while KEDA scales it: never 0.
        replicas: u32,
    },
    /// Somebody has had KEDA leave it alone, or keep it at another number.
    Paused,
}

impl ScaledObject {
    pub(crate) fn parse(KedaScaledObject { metadata, spec }: KedaScaledObject) -> Self {
        let Spec {
            scale_target_ref,
            min_replica_count,
        } = spec;
        // KEDA reads a value that is no number as an error, and changes nothing.
        let scaling = match annotation(&metadata, PAUSED_REPLICAS).map(|text| text.parse::<i32>()) {
            Some(Ok(0)) => Scaling::PausedAtZero {
                replicas: min_replica_count.unwrap_or_default().max(1),
            },
            Some(_) => Scaling::Paused,
            None if annotation(&metadata, PAUSED).is_some_and(|text| text == "true") => {
                Scaling::Paused
            }
            None => Scaling::Active,
        };
        Self {
            target: ScaleTarget {
                api_version: Some(
                    scale_target_ref
                        .api_version
                        .unwrap_or_else(|| "apps/v1".to_owned()),
                ),
                kind: scale_target_ref
                    .kind
                    .unwrap_or_else(|| "Deployment".to_owned()),
                name: scale_target_ref.name,
            },
            scaling,
            is_downscaled: marks::is_downscaled(&metadata),
            uid: metadata.uid.unwrap_or_default().into(),
            resource_version: metadata.resource_version.unwrap_or_default().into(),
        }
    }
}

impl Cached<ScaledObject> {
    /// Whether it says how many replicas a workload has.
    pub(crate) fn scales(&self, workload: &Cached<Workload>) -> bool {
        self.namespace == workload.namespace && self.value.target.is(workload)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(annotations: &Value, spec: &Value) -> ScaledObject {
        let object =
            json!({ "metadata": { "name": "web", "annotations": annotations }, "spec": spec });
        ScaledObject::parse(serde_json::from_value(object).expect("a ScaledObject"))
    }

    #[test]
    fn what_is_paused_at_zero_has_its_minimum_otherwise() {
        let at_zero = |replicas| Scaling::PausedAtZero { replicas };
        for (annotations, minimum, expected) in [
            (json!({}), Some(2), Scaling::Active),
            (json!({ PAUSED_REPLICAS: "0" }), Some(2), at_zero(2)),
            (json!({ PAUSED_REPLICAS: "0" }), Some(0), at_zero(1)),
            (json!({ PAUSED_REPLICAS: "0" }), None, at_zero(1)),
            (
                json!({ PAUSED_REPLICAS: "0", PAUSED: "true" }),
                None,
                at_zero(1),
            ),
            (json!({ PAUSED_REPLICAS: "3" }), None, Scaling::Paused),
            (json!({ PAUSED_REPLICAS: "none" }), None, Scaling::Paused),
            (json!({ PAUSED: "true" }), None, Scaling::Paused),
            (json!({ PAUSED: "false" }), None, Scaling::Active),
        ] {
            let spec = json!({ "scaleTargetRef": { "name": "web" }, "minReplicaCount": minimum });
            assert_eq!(
                parsed(&annotations, &spec).scaling,
                expected,
                "{annotations}"
            );
        }
    }

    #[test]
    fn it_scales_a_deployment_unless_it_says_otherwise() {
        let target = |reference: Value| {
            let target = parsed(&json!({}), &json!({ "scaleTargetRef": reference })).target;
            (target.api_version.unwrap_or_default(), target.kind)
        };
        assert_eq!(
            target(json!({ "name": "web" })),
            ("apps/v1".to_owned(), "Deployment".to_owned())
        );
        assert_eq!(
            target(
                json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web" })
            ),
            ("argoproj.io/v1alpha1".to_owned(), "Rollout".to_owned())
        );
    }
}
