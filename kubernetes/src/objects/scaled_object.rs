//! A `ScaledObject` of KEDA, which determines the replicas of a workload ([KEDA: scaling deployments]).
//!
//! [KEDA: scaling deployments]: https://keda.sh/docs/latest/concepts/scaling-deployments/

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::Deserialize;
use serde_json::Value;

use super::{Workload, annotation, marks, resource::resource, scale_target::ScaleTarget};
use crate::cache::Cached;

/// The annotation that has KEDA keep a workload at a number of replicas, and do nothing else for it.
pub(crate) const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
/// The annotation that makes KEDA ignore a workload.
const PAUSED: &str = "autoscaling.keda.sh/paused";

/// In the format of the API server. It may have been stored before its fields were validated: one that cannot be parsed
/// must not hide others.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct KedaScaledObject {
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
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
    pub(crate) target: ScaleTarget,
    pub(crate) scaling: Scaling,
    /// Whether kube-downscaler has paused it. It does so again within a minute, unless an annotation excludes it.
    pub(crate) is_downscaled: bool,
}

/// What determines the replicas of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// KEDA; it would, if kube-downscaler had not paused it for a while.
    Active,
    /// KEDA has been told to keep it at 0.
    PausedAtZero(Pause),
    /// KEDA has been told to ignore it, or to keep it at another number.
    Paused,
}

/// What a pause at 0 keeps a workload from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    /// The minimum number of replicas when it has any: never 0.
    pub(crate) replicas: u32,
    /// Whether KEDA would keep it running if it were not paused.
    pub(crate) stays_up: bool,
}

impl ScaledObject {
    pub(crate) fn parse(KedaScaledObject { metadata, spec }: KedaScaledObject) -> Self {
        let count = |field: &str| u32::try_from(spec[field].as_u64()?).ok();
        let minimum = count("minReplicaCount").unwrap_or_default();
        // Without use it goes down to that.
        let stays_up = count("idleReplicaCount").unwrap_or(minimum) > 0;
        let is_downscaled = marks::is_downscaled(&metadata);
        let is_paused = || annotation(&metadata, PAUSED).is_some_and(|text| !is_false(&text));
        let scaling = match annotation(&metadata, PAUSED_REPLICAS).as_deref() {
            // Any other number would stay: kube-downscaler would bring it back each morning.
            Some("0") if is_downscaled && (!stays_up || marks::has_original_pause(&metadata)) => {
                Scaling::Active
            }
            Some("0") => Scaling::PausedAtZero(Pause {
                replicas: minimum.max(1),
                stays_up,
            }),
            Some(_) => Scaling::Paused,
            None if is_paused() => Scaling::Paused,
            None => Scaling::Active,
        };
        let target = &spec["scaleTargetRef"];
        let text = |field: &str| target[field].as_str().filter(|text| !text.is_empty());
        Self {
            target: ScaleTarget {
                api_version: Some(text("apiVersion").unwrap_or("apps/v1").to_owned()),
                kind: text("kind").unwrap_or("Deployment").to_owned(),
                name: text("name").unwrap_or_default().to_owned(),
            },
            scaling,
            is_downscaled,
            uid: metadata.uid.unwrap_or_default().into(),
        }
    }
}

/// Parses a boolean like KEDA: any value that it cannot parse means paused.
fn is_false(text: &str) -> bool {
    ["0", "f", "F", "false", "False", "FALSE"].contains(&text)
}

impl Cached<ScaledObject> {
    /// Whether it determines the replicas of a workload.
    pub(crate) fn scales(&self, workload: &Cached<Workload>) -> bool {
        self.value.target.is(&self.namespace, workload)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(annotations: &Value, spec: &Value) -> ScaledObject {
        let object =
            json!({ "metadata": { "name": "web", "annotations": annotations }, "spec": spec });
        ScaledObject::parse(serde_json::from_value(object).expect("a ScaledObject"))
    }

    #[test]
    fn what_is_paused_at_zero_is_known_with_what_it_would_have() {
        let downscaled = json!({ PAUSED_REPLICAS: "0", "downscaler/original-replicas": "-1" });
        let paused_before = json!({
            PAUSED_REPLICAS: "0", "downscaler/original-replicas": "3", "downscaler/original-pause-replicas": "3",
        });
        let at_zero = |replicas, stays_up| Scaling::PausedAtZero(Pause { replicas, stays_up });
        for (annotations, minimum, idle, expected) in [
            (json!({}), json!(2), None, Scaling::Active),
            (
                json!({ PAUSED_REPLICAS: "0" }),
                json!(2),
                None,
                at_zero(2, true),
            ),
            (
                json!({ PAUSED_REPLICAS: "0" }),
                json!(2),
                Some(0),
                at_zero(2, false),
            ),
            (
                json!({ PAUSED_REPLICAS: "0" }),
                json!(0),
                None,
                at_zero(1, false),
            ),
            (
                json!({ PAUSED_REPLICAS: "0" }),
                json!(null),
                None,
                at_zero(1, false),
            ),
            (
                json!({ PAUSED_REPLICAS: "0" }),
                json!(-1),
                None,
                at_zero(1, false),
            ),
            (
                json!({ PAUSED_REPLICAS: "0" }),
                json!(5_000_000_000_u64),
                None,
                at_zero(1, false),
            ),
            (downscaled.clone(), json!(2), None, at_zero(2, true)),
            (downscaled, json!(0), None, Scaling::Active),
            (paused_before, json!(2), None, Scaling::Active),
            (
                json!({ PAUSED_REPLICAS: "3" }),
                json!(2),
                None,
                Scaling::Paused,
            ),
            (
                json!({ PAUSED_REPLICAS: "00" }),
                json!(2),
                None,
                Scaling::Paused,
            ),
            (
                json!({ PAUSED_REPLICAS: "none" }),
                json!(2),
                None,
                Scaling::Paused,
            ),
            (json!({ PAUSED: "true" }), json!(2), None, Scaling::Paused),
            (json!({ PAUSED: "yes" }), json!(2), None, Scaling::Paused),
            (json!({ PAUSED: "False" }), json!(2), None, Scaling::Active),
        ] {
            let spec = json!({ "scaleTargetRef": { "name": "web" }, "minReplicaCount": minimum, "idleReplicaCount": idle });
            let scaling = parsed(&annotations, &spec).scaling;
            assert_eq!(scaling, expected, "{annotations} {minimum}");
        }
    }

    #[test]
    fn it_scales_a_deployment_unless_it_says_otherwise() {
        let target = |spec: Value| {
            let target = parsed(&json!({}), &spec).target;
            [
                target.api_version.unwrap_or_default(),
                target.kind,
                target.name,
            ]
        };
        let deployment = ["apps/v1", "Deployment", "web"];
        let rollout = ["argoproj.io/v1alpha1", "Rollout", "web"];
        for (reference, expected) in [
            (json!({ "name": "web" }), deployment),
            (
                json!({ "apiVersion": "", "kind": "", "name": "web" }),
                deployment,
            ),
            (
                json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web" }),
                rollout,
            ),
            (json!("web"), ["apps/v1", "Deployment", ""]),
        ] {
            assert_eq!(target(json!({ "scaleTargetRef": reference })), expected);
        }
        assert_eq!(target(Value::Null), ["apps/v1", "Deployment", ""]);
    }
}
