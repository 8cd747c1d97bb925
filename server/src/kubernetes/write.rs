//! The three writes of a wake-up, as conditional patches.
//!
//! A patch of the Deployment tests what it was decided on (its uid, its generation and the idle marks) and the API
//! server refuses it with 422 if one of them is different. Its `resourceVersion` would be the wrong condition: the
//! status of a Deployment that wakes changes many times a second. Nothing but what it means changes a Service, so
//! its patch carries the `resourceVersion`, and the API server answers 409.

use std::time::Duration;

use json_patch::{
    AddOperation, Patch as JsonPatch, PatchOperation, RemoveOperation, ReplaceOperation,
    TestOperation,
    jsonptr::{PointerBuf, Token},
};
use k8s_openapi::api::{apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tracing::info;
use unidler::cluster::{ApplyError, Write};

use super::{
    cache::Cached,
    discovery::Found,
    objects::{
        Deployment, IDLED, IDLED_AT, REPLICAS_WHEN_UNIDLED, SERVICE_WHEN_UNIDLED, Service,
        ServiceWhenUnidled, WAKE_SECONDS,
    },
    retry_after::retry_after,
};

/// The name under which the API server notes our changes in `managedFields`.
const FIELD_MANAGER: &str = "unidler";
/// How long the API server may take for a write: visitors are told within five seconds that it does not answer.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Does the writes.
#[derive(Clone)]
pub(super) struct Writer {
    client: Client,
}

impl Writer {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Does a write, if what it was decided on still holds.
    pub(super) async fn apply(&self, found: &Found, write: &Write) -> Result<(), ApplyError> {
        let Found {
            deployment,
            service,
            ..
        } = found;
        let is_current = match write {
            Write::Scale { version, .. } | Write::ClearIdled { version, .. } => {
                *version == deployment.value.version()
            }
            Write::RestoreService { version } => *version == service.value.version(),
        };
        if !is_current {
            return Err(ApplyError::Conflict);
        }
        let request = async {
            match write {
                Write::Scale { replicas, .. } => {
                    self.patch_deployment(deployment, scale(&deployment.value, *replicas))
                        .await
                }
                Write::ClearIdled { took, .. } => {
                    self.patch_deployment(deployment, clear_idled(&deployment.value, *took))
                        .await
                }
                Write::RestoreService { .. } => match service.value.when_unidled(&deployment.value)
                {
                    Ok(restored) => {
                        self.patch_service(service, restore_service(&service.value, &restored))
                            .await
                    }
                    Err(_) => Err(ApplyError::Conflict),
                },
            }
        };
        let no_answer = |_| unreachable(format!("no answer within {} s", TIMEOUT.as_secs()), None);
        tokio::time::timeout(TIMEOUT, request)
            .await
            .map_err(no_answer)?
    }

    async fn patch_deployment(
        &self,
        deployment: &Cached<Deployment>,
        patch: JsonPatch,
    ) -> Result<(), ApplyError> {
        let Cached {
            namespace, name, ..
        } = deployment;
        let api: Api<KubeDeployment> = Api::namespaced(self.client.clone(), namespace);
        api.patch(name, &params(), &Patch::<()>::Json(patch))
            .await
            .map_err(classify)?;
        info!(%namespace, deployment = %name, "patched Deployment {namespace}/{name}");
        Ok(())
    }

    async fn patch_service(
        &self,
        service: &Cached<Service>,
        patch: Value,
    ) -> Result<(), ApplyError> {
        let Cached {
            namespace, name, ..
        } = service;
        let api: Api<KubeService> = Api::namespaced(self.client.clone(), namespace);
        api.patch(name, &params(), &Patch::Merge(patch))
            .await
            .map_err(classify)?;
        info!(%namespace, service = %name, "patched Service {namespace}/{name}");
        Ok(())
    }
}

pub(super) fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    }
}

fn scale(deployment: &Deployment, replicas: u32) -> JsonPatch {
    let mut operations = conditions(deployment);
    operations.push(PatchOperation::Replace(ReplaceOperation {
        path: pointer(["spec", "replicas"]),
        value: json!(replicas),
    }));
    JsonPatch(operations)
}

pub(super) fn clear_idled(deployment: &Deployment, took: Option<Duration>) -> JsonPatch {
    let mut operations = conditions(deployment);
    // There is a place for an annotation only where there are some already.
    if let Some(took) = took.filter(|_| deployment.idled_at.is_some()) {
        let value = json!(deployment.wake_seconds_with(took));
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

/// What has to be true of a Deployment that is written to.
fn conditions(deployment: &Deployment) -> Vec<PatchOperation> {
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

pub(super) fn restore_service(service: &Service, restored: &ServiceWhenUnidled) -> Value {
    let mut metadata = json!({ "uid": service.uid, "resourceVersion": service.resource_version });
    if service.has_saved() {
        metadata["annotations"] = json!({ SERVICE_WHEN_UNIDLED: null });
    }
    let mut spec = json!(restored);
    spec["type"] = json!("ClusterIP");
    spec["externalName"] = Value::Null;
    // A merge patch merges: with what an idler has left on the `ExternalName` the selector would select less, or nothing.
    for label in service
        .selected
        .iter()
        .filter(|label| !restored.selector.contains_key(*label))
    {
        spec["selector"][label] = Value::Null;
    }
    json!({ "metadata": metadata, "spec": spec })
}

fn classify(error: kube::Error) -> ApplyError {
    let retry_after = retry_after(&error);
    let kube::Error::Api(status) = error else {
        return unreachable(error.to_string(), None);
    };
    match status.code {
        // Not there any more, or not any more what it was.
        404 | 409 => ApplyError::Conflict,
        // A JSON Patch whose test fails is refused in these words.
        422 if status
            .message
            .starts_with("the server rejected our request") =>
        {
            ApplyError::Conflict
        }
        // So are an object that would be invalid, and what a policy denies that gives no reason.
        422 if !is_denied(&status.message) => ApplyError::Invalid(status.message),
        400..=428 | 430..=499 => ApplyError::Forbidden(status.message),
        _ => unreachable(status.message, retry_after),
    }
}

/// Whether a policy or a webhook has said no
/// (<https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>).
fn is_denied(message: &str) -> bool {
    message.contains("denied request:") || message.contains("denied the request")
}

fn unreachable(message: String, retry_after: Option<Duration>) -> ApplyError {
    ApplyError::Unreachable {
        message,
        retry_after,
    }
}

pub(super) fn pointer<const N: usize>(path: [&str; N]) -> PointerBuf {
    PointerBuf::from_tokens(path.map(Token::new))
}

pub(super) fn test<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation {
        path: pointer(path),
        value,
    })
}

pub(super) fn remove<const N: usize>(path: [&str; N]) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation {
        path: pointer(path),
    })
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::{super::objects::OwnService, *};

    fn idled() -> Deployment {
        let json = json!({
            "metadata": {
                "uid": "u1", "generation": 7,
                "labels": { IDLED: "true" },
                "annotations": { IDLED_AT: "2026-01-01T00:00:00Z", REPLICAS_WHEN_UNIDLED: "2" },
            },
            "spec": { "replicas": 0, "selector": {}, "template": {} },
        });
        Deployment::parse(serde_json::from_value(json).expect("a Deployment"))
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

    #[test]
    fn answers_of_the_api_server_are_told_apart() {
        let answer = |code: u16, message: &str| {
            classify(kube::Error::Api(Box::new(
                Status::failure(message, "").with_code(code),
            )))
        };
        assert_eq!(
            answer(409, "the object has been modified"),
            ApplyError::Conflict
        );
        assert_eq!(
            answer(
                422,
                "the server rejected our request due to an error in our request"
            ),
            ApplyError::Conflict
        );
        assert_eq!(answer(404, "not found"), ApplyError::Conflict);
        assert_eq!(
            answer(403, "denied by policy"),
            ApplyError::Forbidden("denied by policy".into())
        );
        let denied = "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no";
        assert_eq!(answer(422, denied), ApplyError::Forbidden(denied.into()));
        assert_eq!(
            answer(422, "spec.ports: Required value"),
            ApplyError::Invalid("spec.ports: Required value".into())
        );
        for code in [429, 500, 503] {
            assert_eq!(answer(code, "later"), unreachable("later".into(), None));
        }
    }
}
