//! What to write to idle an app, and when not to.
//!
//! The app must come back as it was. So whatever a wake-up could not give back is a reason to refuse, and each
//! refusal tells what to do instead.

mod checks;

use std::fmt;

use anyhow::{Context, ensure};
use json_patch::{AddOperation, Patch as JsonPatch, PatchOperation, ReplaceOperation};
use k8s_openapi::{
    api::{apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService},
    jiff::Timestamp,
};
use kube::ResourceExt;
use serde_json::{Value, json};
use unidler::host::Host;

pub(super) use self::checks::{backends, lost_port};
use self::checks::{expect_ingress, expect_pods, kept, no_app};
use super::{
    super::{
        Settings,
        objects::{
            Deployment, IDLED, IDLED_AT, PointsAt, REPLICAS_WHEN_UNIDLED, SERVICE_WHEN_UNIDLED,
            Service, ServiceWhenUnidled,
        },
        write::{pointer, test},
    },
    api::Objects,
};

/// The name and the number of the one port that the Service of an idled app has.
const PORT: (&str, i32) = ("http", 80);

/// Where the Service of an idled app leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// `<name>.<namespace>.svc.<domain>`.
    pub(super) address: String,
    pub(super) name: String,
    pub(super) namespace: String,
}

impl Target {
    /// Parses an address inside the cluster ([Kubernetes: DNS for Services]), which must be that of the unidler's
    /// Service, or else the unidler would not know an app that leads there.
    ///
    /// [Kubernetes: DNS for Services]: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#services
    pub(super) fn parse(address: Option<&str>, settings: &Settings) -> anyhow::Result<Self> {
        let Settings {
            service_name: service,
            cluster_domain: domain,
            ..
        } = settings;
        let address = address.map_or_else(
            || format!("{service}.unidler.svc.{domain}"),
            str::to_ascii_lowercase,
        );
        let own = settings.own_service();
        let namespace = own
            .namespace_in(&address)
            .filter(|_| Host::parse(&address).is_ok())
            .map(ToOwned::to_owned);
        let namespace = namespace.with_context(|| {
            format!(
                "`{address}` is not the address of a Service `{service}`: write --unidler-host {service}.NAMESPACE.svc.{domain}, \
                 or name unidler's Service with --service and the cluster's domain with --cluster-domain, as its server has them"
            )
        })?;
        Ok(Self {
            address,
            name: service.to_owned(),
            namespace,
        })
    }
}

/// Two patches that idle an app, each on the condition of what was seen.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) host: Host,
    pub(super) namespace: String,
    pub(super) service: String,
    /// A merge patch, written first: while the app still runs, its visitors already reach the unidler.
    pub(super) switch: Value,
    /// What the Service keeps, to be given back.
    pub(super) kept: ServiceWhenUnidled,
    pub(super) deployment: String,
    pub(super) scale: JsonPatch,
    pub(super) replicas: u32,
    /// The value of the annotation, which tells our own idling from another one.
    pub(super) idled_at: String,
}

impl Plan {
    /// What is said when it is carried out.
    pub(super) fn done(&self) -> String {
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
            switch,
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
            "Service {namespace}/{service}, merge patch:\n{switch:#}\n"
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
pub(super) fn plan(
    host: &Host,
    objects: &Objects,
    settings: &Settings,
    target: &Target,
    now: Timestamp,
) -> anyhow::Result<Plan> {
    let Settings {
        key_label,
        max_replicas,
        ..
    } = settings;
    let found = objects
        .caches(settings)
        .find(host)
        .map_err(|error| no_app(&error, host, key_label))?;
    let (namespace, parsed) = (&found.deployment.namespace, &found.deployment.value);
    let deployment = named(&objects.deployments, namespace, &found.deployment.name)?;
    let service = named(&objects.services, namespace, &found.service.name)?;
    let (deployment_name, service_name) = (&found.deployment.name, &found.service.name);

    ensure!(
        (service_name, namespace) != (&target.name, &target.namespace),
        "{host} is the unidler's own host: it cannot wake itself"
    );
    ensure!(
        !parsed.idled && found.service.value.points_at != PointsAt::Unidler,
        "{host} is idled already: `unidler status` lists what is, and `unidler doctor` tells if only half of it was done"
    );
    let kept = kept(service)?;
    // Also those of other hosts, whose visitors would be cut off.
    for ingress in &found.ingresses {
        expect_ingress(
            named(&objects.ingresses, namespace, &ingress.name)?,
            service_name,
        )?;
    }
    expect_pods(deployment, &kept).with_context(|| {
        format!("Service {namespace}/{service_name} does not lead to Deployment {namespace}/{deployment_name}")
    })?;
    let replicas = parsed.replicas;
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

    let idled_at = now.to_string();
    Ok(Plan {
        host: host.clone(),
        namespace: namespace.clone(),
        service: service_name.clone(),
        switch: switch(service, &kept, target),
        kept,
        deployment: deployment_name.clone(),
        scale: scale(deployment, parsed, &idled_at),
        replicas,
        idled_at,
    })
}

/// The patch of the Service.
fn switch(service: &KubeService, kept: &ServiceWhenUnidled, target: &Target) -> Value {
    let (name, port) = PORT;
    json!({
        "metadata": {
            "uid": service.uid(),
            "resourceVersion": service.resource_version(),
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
fn scale(deployment: &KubeDeployment, parsed: &Deployment, idled_at: &str) -> JsonPatch {
    let add = |path: [&str; 3], value: &str| {
        PatchOperation::Add(AddOperation {
            path: pointer(path),
            value: json!(value),
        })
    };
    let mut operations = vec![
        test(["metadata", "uid"], json!(parsed.uid)),
        test(["metadata", "generation"], json!(parsed.generation)),
        add(["metadata", "labels", IDLED], "true"),
    ];
    // The labels have the key at least. Of annotations there may be none, and then there is no place for one.
    if deployment.metadata.annotations.is_none() {
        operations.push(PatchOperation::Add(AddOperation {
            path: pointer(["metadata", "annotations"]),
            value: json!({}),
        }));
    }
    operations.extend([
        add(["metadata", "annotations", IDLED_AT], idled_at),
        add(
            ["metadata", "annotations", REPLICAS_WHEN_UNIDLED],
            &parsed.replicas.to_string(),
        ),
        PatchOperation::Replace(ReplaceOperation {
            path: pointer(["spec", "replicas"]),
            value: json!(0),
        }),
    ]);
    JsonPatch(operations)
}

fn named<'a, K: ResourceExt>(
    objects: &'a [K],
    namespace: &str,
    name: &str,
) -> anyhow::Result<&'a K> {
    let mut same = objects.iter().filter(|object| {
        object.namespace().as_deref() == Some(namespace) && object.name_any() == name
    });
    same.next().context("an object is gone")
}

/// Whether a Service leads to the unidler.
pub(super) fn leads_to_unidler(service: KubeService, settings: &Settings) -> bool {
    Service::parse(service, &settings.own_service()).points_at == PointsAt::Unidler
}

#[cfg(test)]
mod tests;
