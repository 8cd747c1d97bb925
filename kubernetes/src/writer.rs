//! Sends the writes of a wake-up, and sorts what the API server answers.

use std::{fmt, time::Duration};

use json_patch::Patch as JsonPatch;
use k8s_openapi::{
    api::{apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService},
    jiff::Timestamp,
};
use kube::{Api, Client, api::Patch};
use serde_json::Value;
use tracing::info;
use unidler::cluster::{ApplyError, Write};

use crate::{
    cache::Cached,
    found::Found,
    objects::{Service, Workload},
    patch::{clear_idled, divert, idle, params, restore_service, scale},
    retry_after::retry_after,
    target::Target,
};

/// How long the API server may take for a write: visitors are told within five seconds that it does not answer.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Does the writes.
#[derive(Clone)]
pub(crate) struct Writer {
    client: Client,
    /// Where idled apps lead their visitors, if this idles any.
    target: Option<Target>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            target: None,
        }
    }

    pub(crate) fn diverting_to(self, target: Target) -> Self {
        Self {
            target: Some(target),
            ..self
        }
    }

    /// Does a write, if what it was decided on still holds.
    pub(crate) async fn apply(&self, found: &Found, write: &Write) -> Result<(), ApplyError> {
        let (id, version) = write.target();
        let workload = found
            .workload(id)
            .filter(|workload| workload.value.version() == *version);
        let service = found
            .service(id)
            .filter(|service| service.value.version() == *version);
        let request = async {
            match (write, workload, service) {
                (Write::Scale { replicas, .. }, Some(workload), _) => {
                    self.patch_deployment(workload, scale(&workload.value, *replicas))
                        .await
                }
                (Write::ClearIdled { took, .. }, Some(workload), _) => {
                    self.patch_deployment(workload, clear_idled(&workload.value, *took))
                        .await
                }
                (Write::Restore { .. }, _, Some(service)) => {
                    let restored = found.when_unidled(&service.value);
                    let restored = restored.map_err(|_| ApplyError::Conflict)?;
                    self.patch_service(service, restore_service(&service.value, &restored))
                        .await
                }
                (Write::Divert { .. }, _, Some(service)) => {
                    let patch = self.diverting(&service.value)?;
                    self.patch_service(service, patch).await
                }
                (Write::Idle { .. }, Some(workload), _) => {
                    self.patch_deployment(workload, idle(&workload.value, Timestamp::now()))
                        .await
                }
                _ => Err(ApplyError::Conflict),
            }
        };
        let no_answer = |_| unreachable(format!("no answer within {} s", TIMEOUT.as_secs()), None);
        tokio::time::timeout(TIMEOUT, request)
            .await
            .map_err(no_answer)?
    }

    fn diverting(&self, service: &Service) -> Result<Value, ApplyError> {
        let invalid = |why: &str| ApplyError::Invalid(why.to_owned());
        let target = self
            .target
            .as_ref()
            .ok_or_else(|| invalid("nothing says where the visitors of an idled app go"))?;
        let kept = service
            .to_keep()
            .map_err(|_| invalid("the Service cannot be given back as it is"))?;
        Ok(divert(service, &kept, target))
    }

    async fn patch_deployment(
        &self,
        deployment: &Cached<Workload>,
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

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

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
