//! Sends the writes of a wake-up, and classifies the responses of the API server.

use std::{fmt, time::Duration};

use anyhow::Context;
use json_patch::Patch as JsonPatch;
use k8s_openapi::{
    api::{
        apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService,
        discovery::v1::EndpointSlice,
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::timeout;
use tracing::{info, warn};
use unidler::{
    cluster::{ApplyError, Ended, Write},
    sleep::{brake::Undone, decide::By},
};

use crate::{
    cache::Cached,
    diversion::{
        Handover,
        slice::{self, Record, Slice},
    },
    found::Found,
    objects::{
        Destination, Service, Workload,
        marks::DOWNSCALER_EXCLUDE_UNTIL,
        scaled_object::{KedaScaledObject, PAUSED_REPLICAS},
    },
    patch::{
        clear_idled, divert, excluded, idle, params, restore_service, resumed, scale,
        scale_to_zero, scaled,
    },
    retry_after::retry_after,
    settings::ClusterSettings,
};

/// How long the API server may take for a write: visitors are informed within five seconds that it does not respond.
const TIMEOUT: Duration = Duration::from_secs(4);

/// How long kube-downscaler has to ignore a workload that was woken.
const EXCLUDED: SignedDuration = SignedDuration::from_hours(2);
/// How long instructing another program may take, within a write.
const INSTRUCTING: Duration = Duration::from_secs(1);
/// The name of the missing permission.
const RIGHT: &str = "The permission is rights.adopt of the chart";

/// Performs the writes.
#[derive(Clone)]
pub(crate) struct Writer {
    client: Client,
    params: PatchParams,
    /// How to divert the visitors of idled apps, if this writer idles any.
    handover: Option<Handover>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(client: Client, settings: &ClusterSettings) -> Self {
        Self {
            client,
            params: params(settings.manager()),
            handover: None,
        }
    }

    pub(crate) fn idling(self, handover: Handover) -> Self {
        Self {
            handover: Some(handover),
            ..self
        }
    }

    /// Checks whether the API server responds at all.
    pub(crate) async fn expect_answer(&self) -> anyhow::Result<()> {
        let version = self.client.apiserver_version().await;
        version.map(drop).context("the API server does not answer")
    }

    /// Performs a write, if the state that it was decided on is still current. `destination` is where slices have to
    /// point, if that is known; `undone` is what to record about an idling that the write ends.
    pub(crate) async fn apply(
        &self,
        found: &Found,
        write: &Write,
        destination: Option<&Destination>,
        undone: Option<&Undone>,
    ) -> Result<(), ApplyError> {
        let (id, version) = write.target();
        let workload = found
            .workload(id)
            .filter(|workload| workload.value.version() == *version);
        let service = found
            .service(id)
            .filter(|service| found.version(service) == *version);
        let request = async {
            match (write, workload, service) {
                (Write::Scale { replicas, .. }, Some(workload), _) => {
                    let is_of_2020 = workload.value.idled
                        && workload.value.taken.is_none()
                        && found.recorded(workload).is_none();
                    if is_of_2020 {
                        self.patch_deployment(workload, scale(&workload.value, *replicas))
                            .await
                    } else {
                        let version = self.exclude(workload).await?;
                        let patch = Patch::Merge(scaled(&workload.value, &version, *replicas));
                        self.scale(workload, &patch).await
                    }
                }
                (Write::Idle { .. }, Some(workload), _) => match self.handover {
                    Some(Handover::ExternalName(_)) => {
                        self.patch_deployment(workload, idle(&workload.value, Timestamp::now()))
                            .await
                    }
                    _ if found.is_here() && found.is_remembered(workload) => {
                        self.scale(workload, &scale_to_zero(workload)).await
                    }
                    // The slice was deleted, and with it the record.
                    _ => Err(ApplyError::Conflict),
                },
                (Write::ClearIdled { took, .. }, Some(workload), _) => {
                    self.patch_deployment(workload, clear_idled(&workload.value, *took))
                        .await
                }
                (Write::Restore { ended, .. }, _, Some(service)) => {
                    if let Some(slice) = found.diverting(service) {
                        let now = Timestamp::now();
                        let patch = slice.value.restored(*ended, undone.cloned(), now);
                        return self.patch_slice(slice, patch).await;
                    }
                    let restored = found.when_unidled(&service.value);
                    let restored = restored.map_err(|_| ApplyError::Conflict)?;
                    self.patch_service(service, restore_service(&service.value, &restored))
                        .await
                }
                (Write::Divert { by, .. }, _, Some(service)) => {
                    self.divert(found, service, destination, *by).await
                }
                _ => Err(ApplyError::Conflict),
            }
        };
        let no_answer = |_| unreachable(format!("no answer within {} s", TIMEOUT.as_secs()), None);
        timeout(TIMEOUT, request).await.map_err(no_answer)??;
        if let (Write::Scale { replicas, .. }, Some(workload)) = (write, workload) {
            self.resume(found, workload, *replicas).await;
        }
        Ok(())
    }

    /// Diverts the visitors of a Service; or, if its slice sends them astray, corrects that.
    async fn divert(
        &self,
        found: &Found,
        service: &Cached<Service>,
        destination: Option<&Destination>,
        by: Option<By>,
    ) -> Result<(), ApplyError> {
        let invalid = |why: &str| ApplyError::Invalid(why.to_owned());
        let handover = match (found.diverting(service), &self.handover) {
            (Some(_), _) => &Handover::Slice,
            // In the same way as before.
            (None, _) if by.is_none() && found.is_lost(service) => &Handover::Slice,
            // The app is no longer one whose slice is missing.
            (None, _) if by.is_none() => return Err(ApplyError::Conflict),
            (None, Some(handover)) => handover,
            (None, None) => return Err(invalid("nothing says how the visitors get here")),
        };
        match handover {
            Handover::ExternalName(target) => {
                let kept = service.value.to_keep();
                let kept =
                    kept.map_err(|_| invalid("the Service cannot be given back as it is"))?;
                self.patch_service(service, divert(&service.value, &kept, target))
                    .await
            }
            Handover::Slice => {
                let nowhere = || invalid("unidler's own Service has no address for this Service");
                let destination = destination.ok_or_else(nowhere)?;
                let by = by.unwrap_or(match found.is_to_adopt(service) {
                    true => By::Adopt,
                    false => By::Repair,
                });
                let workloads = found.to_record(service);
                if workloads.is_empty() {
                    return Err(ApplyError::Conflict);
                }
                let record = Record::new(workloads, Timestamp::now(), by);
                match found.slice(service) {
                    Some(slice) => {
                        let record = record.after(slice.value.history.as_deref());
                        let patch = slice.value.diverted(&service.value, destination, &record);
                        self.patch_slice(slice, patch.ok_or_else(nowhere)?).await
                    }
                    None => {
                        let slice = slice::first(service, destination, &record);
                        self.create_slice(&service.namespace, &slice.ok_or_else(nowhere)?)
                            .await
                    }
                }
            }
        }
    }

    /// Makes kube-downscaler ignore a workload for a while, if it has put the workload to sleep and unidler may write
    /// that: otherwise the workload is woken all the same. Returns the resulting version of the workload.
    async fn exclude(&self, workload: &Cached<Workload>) -> Result<String, ApplyError> {
        let version = workload.value.resource_version.to_string();
        if !workload.value.is_downscaled {
            return Ok(version);
        }
        let Cached {
            namespace, name, ..
        } = workload;
        let kind = &workload.value.kind.resource;
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, kind);
        let until = Timestamp::now() + EXCLUDED;
        let patch = Patch::Merge(excluded(&workload.value, until));
        match self.instruct(&api, name, &patch).await {
            Ok(patched) => {
                info!(%namespace, workload = %name, "excluded {workload} from kube-downscaler until {until}");
                Ok(patched.resource_version().unwrap_or(version))
            }
            Err(ApplyError::Conflict) => Err(ApplyError::Conflict),
            Err(why) => {
                warn!(
                    %namespace, workload = %name,
                    "kube-downscaler will put {workload} to sleep again soon, since {DOWNSCALER_EXCLUDE_UNTIL} could not be written: \
                     {why}. {RIGHT}"
                );
                Ok(version)
            }
        }
    }

    /// Stops KEDA from keeping a workload at 0 that has replicas now, if unidler may write that.
    ///
    /// Not before it has them: KEDA acts at once, and an app that something else has scaled up is not a waking app.
    async fn resume(&self, found: &Found, workload: &Cached<Workload>, replicas: u32) {
        let Some((scaled_object, pause)) = found.paused(workload) else {
            return;
        };
        let Cached {
            namespace, name, ..
        } = workload;
        let api = Api::<KedaScaledObject>::namespaced(self.client.clone(), namespace);
        let replicas = (!pause.stays_up).then_some(replicas);
        let until = Timestamp::now() + EXCLUDED;
        let patch = Patch::<()>::Json(resumed(&scaled_object.value, replicas, until));
        match self.instruct(&api, &scaled_object.name, &patch).await {
            Ok(_) => {
                info!(%namespace, workload = %name, "KEDA no longer keeps {workload} at 0 replicas");
            }
            Err(why) => warn!(
                %namespace, workload = %name,
                "KEDA may put {workload} to sleep again, since {PAUSED_REPLICAS} could not be written: {why}. {RIGHT}"
            ),
        }
    }

    /// Writes an instruction to another program.
    async fn instruct<K, P>(
        &self,
        api: &Api<K>,
        name: &str,
        patch: &Patch<P>,
    ) -> Result<K, ApplyError>
    where
        K: Clone + fmt::Debug + DeserializeOwned,
        P: fmt::Debug + Serialize,
    {
        let no_answer = |_| {
            unreachable(
                format!("no answer within {} s", INSTRUCTING.as_secs()),
                None,
            )
        };
        let patching = timeout(INSTRUCTING, api.patch(name, &self.params, patch));
        patching.await.map_err(no_answer)?.map_err(classify)
    }

    /// Scales a workload of any kind.
    async fn scale(
        &self,
        workload: &Cached<Workload>,
        patch: &Patch<Value>,
    ) -> Result<(), ApplyError> {
        let Cached {
            namespace, name, ..
        } = workload;
        let kind = &workload.value.kind.resource;
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, kind);
        let params = match patch {
            Patch::Apply(_) => &self.params.clone().force(),
            _ => &self.params,
        };
        let scaled = api.patch_scale(name, params, patch).await;
        scaled.map_err(classify)?;
        info!(%namespace, workload = %name, "scaled {workload}");
        Ok(())
    }

    async fn create_slice(&self, namespace: &str, slice: &EndpointSlice) -> Result<(), ApplyError> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams {
            field_manager: self.params.field_manager.clone(),
            ..PostParams::default()
        };
        let created = api.create(&params, slice).await.map_err(classify)?;
        info!(%namespace, slice = %created.name_any(), "created EndpointSlice {namespace}/{}", created.name_any());
        Ok(())
    }

    async fn patch_slice(&self, slice: &Cached<Slice>, patch: Value) -> Result<(), ApplyError> {
        let Cached {
            namespace, name, ..
        } = slice;
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        api.patch(name, &self.params, &Patch::Merge(patch))
            .await
            .map_err(classify)?;
        info!(%namespace, slice = %name, "patched {slice}");
        Ok(())
    }

    /// Has a slice route nobody here any more, if it is as it was seen.
    pub(crate) async fn empty_slice(&self, slice: &Cached<Slice>) -> Result<(), ApplyError> {
        let patch = slice.value.restored(Ended::Undone, None, Timestamp::now());
        self.patch_slice(slice, patch).await
    }

    /// Deletes a slice, if it is unchanged since it was observed.
    pub(crate) async fn delete_slice(&self, slice: &Cached<Slice>) -> Result<(), ApplyError> {
        let Cached {
            namespace, name, ..
        } = slice;
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let params = DeleteParams {
            preconditions: Some(slice.value.preconditions()),
            ..DeleteParams::default()
        };
        api.delete(name, &params).await.map_err(classify)?;
        info!(%namespace, slice = %name, "deleted {slice}");
        Ok(())
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
        api.patch(name, &self.params, &Patch::<()>::Json(patch))
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
        api.patch(name, &self.params, &Patch::Merge(patch))
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
        // The object no longer exists, or has changed.
        404 | 409 => ApplyError::Conflict,
        // The API server rejects a JSON Patch whose test fails with this message.
        422 if status
            .message
            .starts_with("the server rejected our request") =>
        {
            ApplyError::Conflict
        }
        // The same status stands for an object that would be invalid, and for a denial by a policy that gives no
        // reason.
        422 if !is_denied(&status.message) => ApplyError::Invalid(status.message),
        400..=428 | 430..=499 => ApplyError::Forbidden(status.message),
        _ => unreachable(status.message, retry_after),
    }
}

/// Whether a policy or a webhook has denied the request
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
