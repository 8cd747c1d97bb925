//! A custom resource with a `/scale` subresource, such as a Rollout. Its structure is known only by convention, so each
//! field is only used if it has the expected type.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{api::core::v1::PodSpec, apimachinery::pkg::apis::meta::v1::LabelSelector};
use kube::core::{DynamicObject, Selector};
use serde::Deserialize;
use serde_json::Value;
use unidler::{app::Trouble, progress::Reason};

use super::{
    Labels, PodRequests, Status, Workload,
    kind::{Scalable, WorkloadKind},
};

/// The selector of its pods in its status. A CRD may choose any field as the `labelSelectorPath` of its scale, which is
/// only visible to users who may read CRDs; these are the common ones.
const SELECTORS: [&str; 2] = ["/status/selector", "/status/labelSelector"];

impl Workload {
    /// `kind` is that of the previously parsed objects, if there were any.
    pub(crate) fn parse_custom(
        DynamicObject {
            types,
            metadata,
            data,
        }: DynamicObject,
        scalable: &Scalable,
        kind: Option<&Arc<WorkloadKind>>,
    ) -> Self {
        let named = types.map_or_else(|| scalable.plural(), |types| types.kind);
        let kind = match kind {
            Some(same) if same.resource.kind == named => Arc::clone(same),
            _ => Arc::new(scalable.kind(&named)),
        };
        let number = |path: &str| i32::try_from(data.pointer(path)?.as_i64()?).ok();
        let (selector, selected) = selector(&data);
        let labels = read::<BTreeMap<_, _>>(&data, "/spec/template/metadata/labels");
        let labels = labels.filter(|labels: &BTreeMap<String, String>| !labels.is_empty());
        let ready = number("/status/readyReplicas").or_else(|| number("/status/availableReplicas"));
        let status = Status {
            generation: observed_generation(&data),
            made: number("/status/replicas"),
            // Most controllers omit a zero.
            ready: ready.or_else(|| kind.default_replicas.map(|_| 0)),
            trouble: trouble(&data),
        };
        let is_of_deployment = data
            .pointer("/spec/workloadRef/kind")
            .is_some_and(|kind| kind == "Deployment");
        let template_of = data
            .pointer("/spec/workloadRef/name")
            .and_then(Value::as_str);
        Self {
            selector,
            pod_labels: labels.map_or_else(|| selected.clone(), Labels::from),
            match_labels: Some(selected).filter(|labels| !labels.is_empty()),
            target_port: None,
            requests: read::<PodSpec>(&data, "/spec/template/spec")
                .as_ref()
                .map(PodRequests::of)
                .unwrap_or_default(),
            template_of: template_of.filter(|_| is_of_deployment).map(Into::into),
            // Nothing of unidler's own remains on it: only the slices record the replicas that it had.
            ..Self::with(&kind, &metadata, number("/spec/replicas"), &status)
        }
    }

    /// Adds the information about the pods from a Deployment: the one whose template it uses, or the one that it has
    /// created.
    pub(crate) fn with_pods_of(&self, deployment: &Self) -> Self {
        let mut same = self.clone();
        same.pod_labels = deployment.pod_labels.clone();
        same.requests = deployment.requests;
        if same.selector.is_empty() {
            same.selector.clone_from(&deployment.selector);
            same.match_labels.clone_from(&deployment.match_labels);
        }
        same
    }
}

/// The selector of its pods, for a watch, and the labels that all of them have because of it.
fn selector(data: &Value) -> (String, Labels) {
    // A CRD may have a selector like those of Deployments or like those of Services.
    let spec = read::<BTreeMap<_, _>>(data, "/spec/selector")
        .map(|labels: BTreeMap<String, String>| LabelSelector {
            match_labels: Some(labels),
            match_expressions: None,
        })
        .or_else(|| read::<LabelSelector>(data, "/spec/selector"));
    let spec = spec.and_then(|selector| {
        let labels = selector.match_labels.clone().unwrap_or_default();
        let selector = Selector::try_from(selector).ok()?.to_string();
        (!selector.is_empty()).then(|| (selector, labels.into()))
    });
    spec.unwrap_or_else(|| {
        let mut texts = SELECTORS
            .iter()
            .filter_map(|path| data.pointer(path)?.as_str());
        let text = texts.find(|text| !text.is_empty()).unwrap_or_default();
        (text.to_owned(), required(text))
    })
}

/// The labels that a selector requires. Its other requirements do not matter here.
fn required(selector: &str) -> Labels {
    // A list of values in parentheses falls into parts that require nothing.
    let labels = selector.split(',').filter_map(|requirement| {
        let (name, value) = requirement.split_once('=')?;
        let value = value.strip_prefix('=').unwrap_or(value);
        (!name.ends_with('!')).then(|| (name.trim().to_owned(), value.trim().to_owned()))
    });
    labels.collect::<BTreeMap<_, _>>().into()
}

/// The generation that its status describes. Rollouts write it as text.
fn observed_generation(data: &Value) -> Option<i64> {
    let observed = data.pointer("/status/observedGeneration")?;
    observed
        .as_i64()
        .or_else(|| observed.as_str()?.parse().ok())
}

/// The problem that its conditions report: for Rollouts, and others that resemble Deployments.
fn trouble(data: &Value) -> Option<Trouble> {
    let mut conditions = data.pointer("/status/conditions")?.as_array()?.iter();
    let is_stuck = |condition: &Value| {
        condition["type"] == "Progressing"
            && condition["status"] == "False"
            && condition["reason"] == "ProgressDeadlineExceeded"
    };
    conditions
        .any(is_stuck)
        .then_some(Trouble::given_up(Reason::RolloutStuck))
}

/// Reads a field, if it has the expected type.
fn read<T: for<'de> Deserialize<'de>>(data: &Value, path: &str) -> Option<T> {
    T::deserialize(data.pointer(path)?).ok()
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "so that `json!` can stand in the call"
)]
mod tests {
    use serde_json::json;

    use super::*;

    fn custom(scalable: &str, json: Value) -> Workload {
        let object = serde_json::from_value(json).expect("an object");
        Workload::parse_custom(object, &scalable.parse().expect("a kind"), None)
    }

    fn rollout(json: Value) -> Workload {
        let mut object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": { "name": "web", "uid": "u", "resourceVersion": "7", "generation": 3 },
        });
        json_patch::merge(&mut object, &json);
        custom("rollouts.v1alpha1.argoproj.io", object)
    }

    fn sandbox(json: Value) -> Workload {
        let mut object = json!({
            "apiVersion": "example.com/v1", "kind": "Sandbox", "metadata": { "name": "web", "generation": 3 },
        });
        json_patch::merge(&mut object, &json);
        custom("sandboxes.v1.example.com", object)
    }

    #[test]
    fn a_rollout_is_read_as_a_deployment_is() {
        let web = rollout(json!({
            "spec": {
                "replicas": 3, "selector": { "matchLabels": { "app": "web" } },
                "template": { "metadata": { "labels": { "app": "web", "tier": "front" } } },
            },
            "status": { "observedGeneration": "3", "readyReplicas": 2, "selector": "app=web" },
        }));
        assert_eq!((web.replicas, web.ready, web.generation), (3, Some(2), 3));
        assert_eq!((&*web.selector, &*web.kind.name), ("app=web", "Rollout"));
        assert_eq!(web.pod_labels.get("tier"), Some("front"));
        let lacks = |selector: &[(&str, &str)]| {
            let labels = selector
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let selector = Labels::from(labels.collect::<BTreeMap<_, _>>());
            web.lacks(&selector).is_some()
        };
        let hash = ("rollouts-pod-template-hash", "abc");
        assert!(
            !lacks(&[("app", "web"), hash]),
            "its controller adds that to Services"
        );
        assert!(lacks(&[("app", "api"), hash]));
        let stale = rollout(json!({ "status": { "observedGeneration": "2", "readyReplicas": 2 } }));
        assert_eq!(stale.ready, Some(0), "that was before");
        let unset = rollout(json!({ "status": {} }));
        assert_eq!(
            (unset.replicas, unset.is_uncounted, unset.ready),
            (1, false, Some(0))
        );
        let stuck = json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" });
        let stuck = rollout(json!({ "status": { "conditions": [stuck] } }));
        let trouble = stuck.trouble.map(|trouble| trouble.reason);
        assert_eq!(trouble, Some(Reason::RolloutStuck));
    }

    #[test]
    fn a_rollout_may_take_its_pods_from_a_deployment() {
        let reference = |kind: &str| {
            let spec =
                json!({ "workloadRef": { "apiVersion": "apps/v1", "kind": kind, "name": "old" } });
            rollout(json!({ "spec": spec })).template_of
        };
        assert_eq!(reference("Deployment").as_deref(), Some("old"));
        assert_eq!(reference("PodTemplate"), None);
    }

    /// The selector for a watch, and the labels that a pod of the workload has in any case.
    #[test]
    fn a_selector_is_found_wherever_it_is_usual() {
        for (json, selector, labels) in [
            (
                json!({ "spec": { "selector": { "matchLabels": { "a": "b" } } } }),
                "a=b",
                &[("a", "b")][..],
            ),
            (
                json!({ "spec": { "selector": { "a": "b" } } }),
                "a=b",
                &[("a", "b")],
            ),
            (
                json!({ "status": { "selector": "a=b,c==d" } }),
                "a=b,c==d",
                &[("a", "b"), ("c", "d")],
            ),
            (
                json!({ "status": { "labelSelector": "a=b" } }),
                "a=b",
                &[("a", "b")],
            ),
            (
                json!({ "status": { "selector": "a in (b,c),d=e,f!=g,!h" } }),
                "a in (b,c),d=e,f!=g,!h",
                &[("d", "e")],
            ),
            (
                json!({ "spec": { "selector": {} }, "status": { "selector": "a=b" } }),
                "a=b",
                &[("a", "b")],
            ),
            (
                json!({ "spec": { "selector": 7 }, "status": { "selector": ["a=b"] } }),
                "",
                &[],
            ),
            (json!({}), "", &[]),
        ] {
            let web = sandbox(json.clone());
            let found: Vec<_> = web.pod_labels.iter().collect();
            assert_eq!((&*web.selector, &*found), (selector, labels), "{json}");
        }
    }

    #[test]
    fn what_a_status_does_not_say_is_not_known() {
        for (status, ready) in [
            (json!({}), None),
            (json!({ "readyReplicas": 0 }), Some(0)),
            (json!({ "availableReplicas": 2 }), Some(2)),
            (json!({ "readyReplicas": "two" }), None),
            (
                json!({ "observedGeneration": 2, "readyReplicas": 1 }),
                Some(0),
            ),
        ] {
            assert_eq!(
                sandbox(json!({ "status": status })).ready,
                ready,
                "{status}"
            );
        }
        let web = sandbox(json!({ "spec": "nothing of the kind" }));
        assert!(web.is_uncounted && web.replicas == 1, "it may be up");
        assert_eq!(&*web.kind.name, "Sandbox.example.com");
        let zero = sandbox(json!({ "spec": { "replicas": 0 } }));
        assert!(!zero.is_uncounted && zero.replicas == 0);
    }
}
