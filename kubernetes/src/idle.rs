//! What to write to idle an app, and when not to.
//!
//! The app must come back as it was. So whatever a wake-up could not give back is a reason to refuse, and each
//! refusal tells what to do instead.

mod apply;
mod checks;
mod slices;

use std::fmt;

use anyhow::{Context, bail, ensure};
use json_patch::Patch as JsonPatch;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use unidler::{app::AppId, host::Host};

pub(crate) use self::checks::lost_port;
use self::checks::{expect_pods, expect_route, kept, no_app};
pub use self::slices::{SlicePlan, plan as plan_slices};
pub use crate::target::Target;
use crate::{
    caches::Caches,
    listing::Listing,
    objects::{PointsAt, ServiceWhenUnidled},
    patch,
    settings::ClusterSettings,
};

/// Two patches that idle an app, each on the condition of what was seen.
#[derive(Debug)]
pub struct Plan {
    pub(crate) app: AppId,
    pub(crate) host: Host,
    pub(crate) namespace: String,
    pub(crate) service: String,
    /// A merge patch, written first: while the app still runs, its visitors already reach the unidler.
    pub(crate) divert: Value,
    /// What the Service keeps, to be given back.
    pub(crate) kept: ServiceWhenUnidled,
    pub(crate) deployment: String,
    pub(crate) scale: JsonPatch,
    pub(crate) replicas: u32,
}

impl Plan {
    /// What is said when it is carried out.
    #[must_use]
    pub fn done(&self) -> String {
        let Self {
            host,
            namespace,
            deployment,
            replicas,
            ..
        } = self;
        format!(
            "Idled {host}: Deployment {namespace}/{deployment} has 0 replicas and gets {replicas} back when somebody visits it."
        )
    }
}

/// For a dry run.
impl fmt::Display for Plan {
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
            "To idle {host}, these two patches would be written. Nothing was.\n"
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
///
/// # Errors
///
/// If the app must not be idled, in words that tell what to do.
pub fn plan(
    host: &Host,
    Listing(caches): &Listing,
    settings: &ClusterSettings,
    target: &Target,
    now: Timestamp,
) -> anyhow::Result<Plan> {
    decide(host, caches, settings, target, now)
}

fn decide(
    host: &Host,
    caches: &Caches,
    settings: &ClusterSettings,
    target: &Target,
    now: Timestamp,
) -> anyhow::Result<Plan> {
    let ClusterSettings {
        key_label,
        max_replicas,
        ..
    } = settings;
    let found = caches
        .find(host)
        .map_err(|error| no_app(&error, host, key_label))?;
    let ([deployment], [service]) = (&*found.workloads, &*found.services) else {
        bail!("{host} leads to several Services or Deployments, which are not idled together");
    };
    let namespace = &service.namespace;
    let (deployment_name, service_name) = (&deployment.name, &service.name);

    ensure!(
        (service_name, namespace) != (&target.name, &target.namespace),
        "{host} is the unidler's own host: it cannot wake itself"
    );
    ensure!(
        !deployment.value.idled && service.value.points_at != PointsAt::Unidler,
        "{host} is idled already: `unidler status` lists what is, and `unidler doctor` tells if only half of it was done"
    );
    let kept = kept(service)?;
    // Also those of other hosts, whose visitors would be cut off.
    for route in &found.routes {
        expect_route(route, service)?;
    }
    expect_pods(&deployment.value, &service.value).with_context(|| {
        format!("Service {namespace}/{service_name} does not lead to Deployment {namespace}/{deployment_name}")
    })?;
    let replicas = deployment.value.replicas;
    ensure!(
        replicas > 0,
        "Deployment {namespace}/{deployment_name} is switched off: it has 0 replicas without being idled. A visitor would \
         switch it on. If that is wanted, begin with `kubectl -n {namespace} scale deployment {deployment_name} --replicas=1`"
    );
    ensure!(
        replicas <= *max_replicas,
        "Deployment {namespace}/{deployment_name} has {replicas} replicas, and an app is given back {max_replicas} at most: \
         raise UNIDLER_MAX_REPLICAS of the server, and give the same number here with --max-replicas"
    );

    Ok(Plan {
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
