//! All patches that unidler writes, each on the condition of the observed state.
//!
//! A patch of the Deployment tests the fields that the decision is based on (its UID, its generation and the idle
//! marks), and the API server rejects it with 422 if one of them differs. Its `resourceVersion` would be the wrong
//! condition: the status of a waking Deployment changes many times a second. A Service only changes when its meaning
//! does, so its patch carries the `resourceVersion`, and the API server answers 409.

use std::time::Duration;

use json_patch::{
    AddOperation, Patch as JsonPatch, PatchOperation, RemoveOperation, ReplaceOperation,
    TestOperation,
    jsonptr::{PointerBuf, Token},
};
use k8s_openapi::jiff::{Timestamp, Unit};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    cache::Cached,
    objects::{
        IDLED, IDLED_AT, REPLICAS_WHEN_UNIDLED, SERVICE_WHEN_UNIDLED, ScaledObject, Service,
        ServiceWhenUnidled, WAKE_SECONDS, Workload,
        marks::{DOWNSCALER, DOWNSCALER_EXCLUDE_UNTIL},
        scaled_object::PAUSED_REPLICAS,
    },
    target::{PORT, Target},
};

/// `manager` is the name under which the API server notes the change in `managedFields`.
pub(crate) fn params(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.into()),
        ..PatchParams::default()
    }
}

pub(crate) fn scale(deployment: &Workload, replicas: u32) -> JsonPatch {
    let mut operations = conditions(deployment);
    operations.push(PatchOperation::Replace(ReplaceOperation {
        path: pointer(["spec", "replicas"]),
        value: json!(replicas),
    }));
    JsonPatch(operations)
}

/// The merge patch of `/scale`. A JSON patch could not test for zero, which a Scale omits. Its `resourceVersion` is
/// that of the whole workload, and the only condition that works for custom resources: those ignore a `uid`.
pub(crate) fn scaled(workload: &Workload, resource_version: &str, replicas: u32) -> Value {
    json!({
        "metadata": { "uid": workload.uid, "resourceVersion": resource_version },
        "spec": { "replicas": replicas },
    })
}

/// The merge patch of a workload that makes kube-downscaler ignore it until a given time. The mark of kube-downscaler
/// is removed, since both together would make it keep the workload running.
pub(crate) fn excluded(workload: &Workload, until: Timestamp) -> Value {
    json!({ "metadata": {
        "uid": workload.uid, "resourceVersion": workload.resource_version,
        "annotations": { DOWNSCALER: null, DOWNSCALER_EXCLUDE_UNTIL: in_seconds(until) },
    } })
}

/// The patch of a `ScaledObject` that makes KEDA keep its workload at some replicas, if it is still paused at 0;
/// without a number, KEDA scales it again. If kube-downscaler has paused it, kube-downscaler ignores it until a given
/// time.
pub(crate) fn resumed(
    scaled_object: &ScaledObject,
    replicas: Option<u32>,
    until: Timestamp,
) -> JsonPatch {
    let annotation = |name: &str| pointer(["metadata", "annotations", name]);
    let test = |path: PointerBuf, value: Value| PatchOperation::Test(TestOperation { path, value });
    let mut operations = vec![
        test(pointer(["metadata", "uid"]), json!(scaled_object.uid)),
        test(annotation(PAUSED_REPLICAS), json!("0")),
        match replicas {
            Some(replicas) => PatchOperation::Replace(ReplaceOperation {
                path: annotation(PAUSED_REPLICAS),
                value: json!(replicas.to_string()),
            }),
            None => PatchOperation::Remove(RemoveOperation {
                path: annotation(PAUSED_REPLICAS),
            }),
        },
    ];
    if scaled_object.is_downscaled {
        operations.push(PatchOperation::Remove(RemoveOperation {
            path: annotation(DOWNSCALER),
        }));
        operations.push(PatchOperation::Add(AddOperation {
            path: annotation(DOWNSCALER_EXCLUDE_UNTIL),
            value: json!(in_seconds(until)),
        }));
    }
    JsonPatch(operations)
}

/// A time in the format of kube-downscaler, which does not support fractions of seconds.
fn in_seconds(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}

/// The patch of `/scale` that scales a workload to zero. Server-side apply records unidler as the manager of
/// `spec.replicas`, even at zero. A patch would not, but custom resources accept nothing else: only the slices record
/// that unidler has scaled those to zero.
pub(crate) fn scale_to_zero(workload: &Cached<Workload>) -> Patch<Value> {
    let Cached {
        namespace,
        name,
        value,
        ..
    } = workload;
    if !value.kind.takes_apply {
        return Patch::Merge(scaled(value, &value.resource_version, 0));
    }
    Patch::Apply(json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {
            "namespace": namespace, "name": name,
            "uid": value.uid, "resourceVersion": value.resource_version,
        },
        "spec": { "replicas": 0 },
    }))
}

pub(crate) fn clear_idled(deployment: &Workload, took: Option<Duration>) -> JsonPatch {
    let mut operations = conditions(deployment);
    // An annotation can only be added if there are some already.
    if let Some(took) = took.filter(|_| deployment.idled_at.is_some()) {
        let value = json!(deployment.wake_seconds.with(took));
        operations.push(PatchOperation::Add(AddOperation {
            path: pointer(["metadata", "annotations", WAKE_SECONDS]),
            value,
        }));
    }
    operations.push(remove(["metadata", "labels", IDLED]));
    if deployment.idled_at.is_some() {
        operations.push(remove(["metadata", "annotations", IDLED_AT]));
    }
    if deployment.replicas_when_unidled.is_some() {
        operations.push(remove(["metadata", "annotations", REPLICAS_WHEN_UNIDLED]));
    }
    JsonPatch(operations)
}

/// The conditions for writing to a Deployment.
fn conditions(deployment: &Workload) -> Vec<PatchOperation> {
    let mut operations = vec![
        test(["metadata", "uid"], json!(deployment.uid)),
        test(["metadata", "generation"], json!(deployment.generation)),
        test(["metadata", "labels", IDLED], json!("true")),
    ];
    if let Some(idled_at) = &deployment.idled_at {
        operations.push(test(["metadata", "annotations", IDLED_AT], json!(idled_at)));
    }
    operations
}

/// The spec that makes an `ExternalName` select pods again.
pub(crate) fn spec_of(restored: &ServiceWhenUnidled) -> Value {
    let mut spec = json!(restored);
    spec["type"] = json!("ClusterIP");
    spec["externalName"] = Value::Null;
    spec
}

pub(crate) fn restore_service(service: &Service, restored: &ServiceWhenUnidled) -> Value {
    let mut metadata = json!({ "uid": service.uid, "resourceVersion": service.resource_version });
    if service.has_saved() {
        metadata["annotations"] = json!({ SERVICE_WHEN_UNIDLED: null });
    }
    let mut spec = spec_of(restored);
    // A merge patch merges: together with the labels that an idler has left on the `ExternalName`, the selector would
    // select less, or nothing.
    for (label, _) in service
        .selector
        .iter()
        .filter(|(label, _)| !restored.selector.contains_key(*label))
    {
        spec["selector"][label] = Value::Null;
    }
    json!({ "metadata": metadata, "spec": spec })
}

fn pointer<const N: usize>(path: [&str; N]) -> PointerBuf {
    PointerBuf::from_tokens(path.map(Token::new))
}

fn test<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation {
        path: pointer(path),
        value,
    })
}

fn remove<const N: usize>(path: [&str; N]) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation {
        path: pointer(path),
    })
}

/// The patch of the Service.
pub(crate) fn divert(service: &Service, kept: &ServiceWhenUnidled, target: &Target) -> Value {
    let (name, port) = PORT;
    json!({
        "metadata": {
            "uid": service.uid,
            "resourceVersion": service.resource_version,
            "annotations": { SERVICE_WHEN_UNIDLED: json!(kept).to_string() },
        },
        "spec": {
            "type": "ExternalName",
            "externalName": target.address,
            "selector": null,
            "ports": [{ "name": name, "port": port, "targetPort": port }],
        },
    })
}

/// The patch of the Deployment. Its `resourceVersion` would be the wrong condition, as for a wake-up.
pub(crate) fn idle(deployment: &Workload, now: Timestamp) -> JsonPatch {
    // The idler of 2020 writes whole seconds, too.
    let idled_at = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let add = |path: [&str; 3], value: &str| {
        PatchOperation::Add(AddOperation {
            path: pointer(path),
            value: json!(value),
        })
    };
    let mut operations = vec![
        test(["metadata", "uid"], json!(deployment.uid)),
        test(["metadata", "generation"], json!(deployment.generation)),
        add(["metadata", "labels", IDLED], "true"),
    ];
    // There is at least the key label. There may be no annotations, and then none can be added.
    if !deployment.has_annotations {
        operations.push(PatchOperation::Add(AddOperation {
            path: pointer(["metadata", "annotations"]),
            value: json!({}),
        }));
    }
    operations.extend([
        add(["metadata", "annotations", IDLED_AT], &idled_at),
        add(
            ["metadata", "annotations", REPLICAS_WHEN_UNIDLED],
            &deployment.replicas.to_string(),
        ),
        PatchOperation::Replace(ReplaceOperation {
            path: pointer(["spec", "replicas"]),
            value: json!(0),
        }),
    ]);
    JsonPatch(operations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::OwnService;

    fn idled() -> Workload {
        let json = json!({
            "metadata": {
                "uid": "u1", "generation": 7,
                "labels": { IDLED: "true" },
                "annotations": { IDLED_AT: "2026-01-01T00:00:00Z", REPLICAS_WHEN_UNIDLED: "2" },
            },
            "spec": { "replicas": 0, "selector": {}, "template": {} },
        });
        Workload::parse(
            serde_json::from_value(json).expect("a Deployment"),
            "unidler",
        )
    }

    #[test]
    fn a_deployment_is_patched_on_the_condition_of_what_was_seen() {
        let conditions = json!([
            { "op": "test", "path": "/metadata/uid", "value": "u1" },
            { "op": "test", "path": "/metadata/generation", "value": 7 },
            { "op": "test", "path": "/metadata/labels/mojanalytics.xyz~1idled", "value": "true" },
            { "op": "test", "path": "/metadata/annotations/mojanalytics.xyz~1idled-at", "value": "2026-01-01T00:00:00Z" },
        ]);
        let with = |changes: Value| {
            let operations =
                [&conditions, &changes].map(|list| list.as_array().expect("a list").clone());
            Value::from(operations.concat())
        };
        assert_eq!(
            json!(scale(&idled(), 2)),
            with(json!([{ "op": "replace", "path": "/spec/replicas", "value": 2 }]))
        );
        assert_eq!(
            json!(clear_idled(&idled(), Some(Duration::from_secs(40)))),
            with(json!([
                { "op": "add", "path": "/metadata/annotations/mojanalytics.xyz~1wake-seconds", "value": "40" },
                { "op": "remove", "path": "/metadata/labels/mojanalytics.xyz~1idled" },
                { "op": "remove", "path": "/metadata/annotations/mojanalytics.xyz~1idled-at" },
                { "op": "remove", "path": "/metadata/annotations/mojanalytics.xyz~1replicas-when-unidled" },
            ]))
        );
    }

    #[test]
    fn a_service_gets_back_all_that_it_kept() {
        let own = OwnService {
            name: "unidler".into(),
            domain: "cluster.local".into(),
        };
        let service = |annotations: Value| {
            let metadata =
                json!({ "uid": "u2", "resourceVersion": "9", "annotations": annotations });
            let spec = json!({ "selector": { "a": "x", "left": "over" } });
            Service::parse(
                serde_json::from_value(json!({ "metadata": metadata, "spec": spec }))
                    .expect("a Service"),
                &own,
            )
        };
        let kept = json!({ "selector": { "a": "b" }, "ports": [{ "port": 80 }], "ipFamilyPolicy": "PreferDualStack" });
        let restored = serde_json::from_value(kept.clone()).expect("a kept spec");
        assert_eq!(
            restore_service(
                &service(json!({ SERVICE_WHEN_UNIDLED: kept.to_string() })),
                &restored
            ),
            json!({
                "metadata": { "uid": "u2", "resourceVersion": "9", "annotations": { SERVICE_WHEN_UNIDLED: null } },
                "spec": {
                    "type": "ClusterIP", "externalName": null,
                    "selector": { "a": "b", "left": null }, "ports": [{ "port": 80 }], "ipFamilyPolicy": "PreferDualStack",
                },
            })
        );
    }
}
