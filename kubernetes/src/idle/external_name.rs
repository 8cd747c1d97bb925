//! Decides whether an app can be put to sleep in the 2020 form, and with which writes.

use std::fmt;

use anyhow::{Context, anyhow};
use json_patch::Patch as JsonPatch;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use unidler::{
    app::AppId,
    host::Host,
    hub::{Cause, NotIdled},
};

use super::checks::{
    NotPlanned, expect_controller, expect_pods, expect_route, expect_scalable, kept, no_app, undone,
};
use crate::{
    caches::Caches,
    objects::{PointsAt, ServiceWhenUnidled},
    patch::{self, spec_of},
    settings::ClusterSettings,
    surroundings::Surroundings,
    target::Target,
};

/// Two patches that idle an app, each on the condition of the observed state.
#[derive(Debug)]
pub struct ExternalNamePlan {
    pub(crate) app: AppId,
    pub(crate) host: Host,
    pub(crate) namespace: String,
    pub(crate) service: String,
    /// A merge patch, written first: while the app still runs, its visitors already reach unidler.
    pub(crate) divert: Value,
    /// The original fields of the Service, to be restored later.
    pub(crate) kept: ServiceWhenUnidled,
    pub(crate) deployment: String,
    pub(crate) scale: JsonPatch,
    pub(crate) replicas: u32,
}

impl ExternalNamePlan {
    /// The message after it was carried out.
    pub(super) fn done(&self) -> String {
        let Self {
            namespace,
            deployment,
            replicas,
            ..
        } = self;
        format!(
            "scaled Deployment {namespace}/{deployment} from {replicas} to 0 replicas. The next visit restores them."
        )
    }

    /// The error after it could not be carried out.
    pub(super) fn explained(&self, NotIdled { cause, is_undone }: &NotIdled) -> anyhow::Error {
        let Self {
            namespace,
            service,
            kept,
            ..
        } = self;
        match (cause, is_undone) {
            (Cause::Woken, _) | (_, true) => undone(cause),
            (cause, false) => anyhow!(
                "{cause}. Service {namespace}/{service} may still point to unidler. unidler's server restores it within a minute; \
                 without a server, run: kubectl -n {namespace} patch service {service} --type merge -p '{}'",
                json!({ "spec": spec_of(kept) })
            ),
        }
    }
}

/// For a dry run.
impl fmt::Display for ExternalNamePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            namespace,
            service,
            divert,
            deployment,
            scale,
            ..
        } = self;
        writeln!(
            f,
            "To idle {host}, unidler would write these two patches. Nothing was written.\n"
        )?;
        writeln!(
            f,
            "Service {namespace}/{service}, merge patch:\n{divert:#}\n"
        )?;
        write!(f, "Deployment {namespace}/{deployment}, JSON patch:\n[")?;
        for (number, operation) in scale.0.iter().enumerate() {
            write!(
                f,
                "{}\n  {}",
                if number == 0 { "" } else { "," },
                json!(operation)
            )?;
        }
        write!(f, "\n]")
    }
}

/// Decides what to write.
pub(super) fn decide(
    host: &Host,
    caches: &Caches,
    surroundings: &Surroundings,
    settings: &ClusterSettings,
    target: &Target,
    now: Timestamp,
) -> Result<ExternalNamePlan, NotPlanned> {
    let ClusterSettings {
        key_label,
        max_replicas,
        ..
    } = settings;
    let found = caches
        .find(host)
        .map_err(|error| no_app(&error, host, key_label))?;
    let ([deployment], [service]) = (&*found.workloads, &*found.services) else {
        let why = anyhow!(
            "it has several Services or Deployments, which --handover external-name cannot idle together"
        );
        return Err(why.into());
    };
    let namespace = &service.namespace;
    let (deployment_name, service_name) = (&deployment.name, &service.name);

    match (deployment.value.idled, service.value.points_at) {
        (true, PointsAt::Unidler) => return Err(NotPlanned::Already),
        (false, PointsAt::Pods | PointsAt::Elsewhere) => {}
        _ => {
            let why = anyhow!("only half of it is idled: `unidler doctor` says what to do");
            return Err(why.into());
        }
    }
    if (service_name, namespace) == (&target.name, &target.namespace) {
        return Err(anyhow!("it is unidler's own: it cannot wake itself").into());
    }
    let kept = kept(service)?;
    // Including those of other hosts, whose visitors would be cut off.
    for route in &found.routes {
        expect_route(route, service)?;
        expect_controller(route, true, caches, surroundings)?;
    }
    expect_pods(&deployment.value, &service.value).with_context(|| {
        format!("Service {namespace}/{service_name} does not point to Deployment {namespace}/{deployment_name}")
    })?;
    let replicas = deployment.value.replicas;
    if replicas == 0 {
        let why = anyhow!(
            "Deployment {namespace}/{deployment_name} is turned off: it has 0 replicas but is not idled. Idling it would let \
         visitors turn it on. If you want that, first run `kubectl -n {namespace} scale deployment {deployment_name} --replicas=1`"
        );
        return Err(why.into());
    }
    if replicas > *max_replicas {
        let why = anyhow!(
            "Deployment {namespace}/{deployment_name} has {replicas} replicas, but at most {max_replicas} would be restored: \
         raise UNIDLER_MAX_REPLICAS on the server, and pass the same value here with --max-replicas"
        );
        return Err(why.into());
    }
    expect_scalable(deployment, &surroundings.autoscalers)?;

    Ok(ExternalNamePlan {
        app: found.id.clone(),
        host: host.clone(),
        namespace: namespace.clone(),
        service: service_name.clone(),
        divert: patch::divert(&service.value, &kept, target),
        kept,
        deployment: deployment_name.clone(),
        scale: patch::idle(&deployment.value, now),
        replicas,
    })
}

#[cfg(test)]
mod tests;
