//! A workload with replicas: whether it is idled, how many replicas it has and had, and its condition.
//!
//! Other kinds are defined as data in [`kind`]. A custom resource is interpreted by its conventions in [`custom`].

mod custom;
pub(crate) mod kind;

use std::{fmt, sync::Arc};

use k8s_openapi::{
    api::{
        apps::v1::{
            Deployment as KubeDeployment, DeploymentSpec, DeploymentStatus,
            StatefulSet as KubeStatefulSet, StatefulSetSpec,
        },
        core::v1::{PodSpec, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ManagedFieldsEntry, ObjectMeta},
    jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone},
};
use kube::core::{ApiResource, Selector};
use unidler::{
    app::{Trouble, Version},
    progress::Reason,
};

use crate::cache::RSTUDIO_LABEL;

use super::{
    IDLED, IDLED_AT, NO_SIGN, REPLICAS_WHEN_UNIDLED, TITLE, WAKE_SECONDS, annotation,
    bonds::{Bonds, Named},
    keeper::Keeper,
    label,
    labels::Labels,
    marks,
    pod_requests::PodRequests,
    refusal::refusal,
    sleep_rules::SleepRules,
    title,
    wake_seconds::WakeSeconds,
};
use kind::WorkloadKind;

/// The port on which the apps of the 2020 idler listen: that of the login if there is one, otherwise that of the app
/// itself.
pub(crate) const LOGIN_PORT: i32 = 3000;

/// The annotation with the manifest of the last `kubectl apply`.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The annotation that a Deployment gets with its first `ReplicaSet`.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// How long after marking a Deployment its idler may take to scale it to zero, by hand or with slow webhooks.
const MARKED_LATELY: SignedDuration = SignedDuration::from_mins(5);

/// A workload with a `/scale` subresource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Workload {
    pub(crate) kind: Arc<WorkloadKind>,
    pub(crate) uid: String,
    /// Of the whole object, including its status: for a write to `/scale`, which does not support a more precise
    /// condition.
    pub(crate) resource_version: Box<str>,
    pub(crate) generation: i64,
    pub(crate) idled: bool,
    pub(crate) idled_at: Option<String>,
    /// The text of the annotation, unparsed.
    pub(crate) replicas_when_unidled: Option<String>,
    pub(crate) wake_seconds: WakeSeconds,
    pub(crate) replicas: u32,
    /// Whether its number of replicas is not specified, so that it could not be restored.
    pub(crate) is_uncounted: bool,
    /// How many replicas it had before unidler scaled it to zero, as far as that is known, if nothing has scaled it
    /// since. Server-side apply records that on the object itself.
    pub(crate) taken: Option<u32>,
    /// How many replicas it had before something else scaled it to zero, as recorded in the mark of that program, if it
    /// has none now.
    pub(crate) mark: Option<u32>,
    /// Whether kube-downscaler has scaled it to 0. It does so again within a minute, unless an annotation excludes the workload.
    pub(crate) is_downscaled: bool,
    /// How many replicas the last applied manifest specifies, if it has none now.
    pub(crate) applied: Option<u32>,
    /// How many replicas it had, and until when, as far as this process has observed, if it has none now.
    pub(crate) lost: Option<(u32, Timestamp)>,
    /// Whether another release of unidler has scaled it to zero, and nothing has scaled it since.
    pub(crate) is_taken_elsewhere: bool,
    /// Whether unidler has restored its replicas, and nothing has scaled it since. For custom kinds that is not known.
    pub(crate) is_woken: bool,
    /// The field manager, other than unidler, that has last set the number of its replicas. For custom kinds that is
    /// not known.
    pub(crate) scaled_by: Option<Box<str>>,
    /// The number of ready replicas; 0 while the status is of an older generation. Services route to ready pods, even
    /// before `minReadySeconds` have passed, which makes them available. `None` if the status does not include it.
    pub(crate) ready: Option<u32>,
    /// The problem that its status reports, if the status is not of an older generation.
    trouble: Option<Trouble>,
    /// When anything except its status was last changed.
    pub(crate) changed: Option<Timestamp>,
    /// Whether its controller has not processed that change yet, or has created no pod since.
    is_podless: bool,
    /// Its pods, as a label selector for a watch.
    pub(crate) selector: String,
    /// The labels that select its pods, if the selector consists of labels only.
    pub(crate) match_labels: Option<Labels>,
    /// The labels of its pods.
    pub(crate) pod_labels: Labels,
    /// The port that a Service should route to, if that is certain. See [`target_port`].
    pub(crate) target_port: Option<i32>,
    /// The human-readable name of the app.
    pub(crate) title: Option<String>,
    /// Whether its key label is misspelt, as the chart of `RStudio` writes it.
    pub(crate) is_misspelt: bool,
    /// Whether it has annotations.
    pub(crate) has_annotations: bool,
    /// The tool that keeps it as it is in Git.
    pub(crate) keeper: Option<Box<Keeper>>,
    /// The controller that owns it and keeps it as it is.
    pub(crate) controller: Option<Box<Controller>>,
    /// Its settings for the sleep of its app.
    pub(crate) sleep: Option<Box<SleepRules>>,
    /// Its relations to other workloads, from its annotations.
    pub(crate) bonds: Option<Box<Bonds>>,
    /// The resource requests of each of its pods.
    pub(crate) requests: PodRequests,
    /// The Deployment whose pod template it uses, as a Rollout with a `workloadRef` does.
    pub(crate) template_of: Option<Box<str>>,
}

/// The controller of an object, in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Controller {
    pub(crate) api_version: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) name: Box<str>,
}

/// The relevant fields of a workload's status.
struct Status {
    /// The generation that it describes, if it is included.
    generation: Option<i64>,
    /// The number of all pods, ready or not.
    made: Option<i32>,
    ready: Option<i32>,
    trouble: Option<Trouble>,
}

impl Workload {
    /// `manager` is the name of unidler as a field manager.
    pub(crate) fn parse(deployment: KubeDeployment, manager: &str) -> Self {
        let KubeDeployment {
            metadata,
            spec,
            status,
        } = deployment;
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let status = Status {
            trouble: trouble_of(&metadata, &spec, &status),
            generation: Some(status.observed_generation.unwrap_or_default()),
            made: Some(status.replicas.unwrap_or_default()),
            ready: Some(status.ready_replicas.unwrap_or_default()),
        };
        let DeploymentSpec {
            replicas,
            selector,
            template,
            ..
        } = spec;
        let kind = WorkloadKind::deployment();
        Self::with(&kind, &metadata, replicas, &status)
            .of_template(selector, template)
            .scaled(&metadata, replicas, manager)
    }

    pub(crate) fn parse_stateful_set(set: KubeStatefulSet, manager: &str) -> Self {
        let KubeStatefulSet {
            metadata,
            spec,
            status,
        } = set;
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let status = Status {
            trouble: None,
            generation: Some(status.observed_generation.unwrap_or_default()),
            made: Some(status.replicas),
            ready: Some(status.ready_replicas.unwrap_or_default()),
        };
        let StatefulSetSpec {
            replicas,
            selector,
            template,
            ..
        } = spec;
        let kind = WorkloadKind::stateful_set();
        Self::with(&kind, &metadata, replicas, &status)
            .of_template(selector, template)
            .scaled(&metadata, replicas, manager)
    }

    /// Creates a workload without information about its pods.
    fn with(
        kind: &Arc<WorkloadKind>,
        metadata: &ObjectMeta,
        replicas: Option<i32>,
        status: &Status,
    ) -> Self {
        let generation = metadata.generation.unwrap_or_default();
        let is_current = status.generation.is_none_or(|of| of >= generation);
        let is_podless = !is_current || (replicas != Some(0) && status.made == Some(0));
        Self {
            kind: Arc::clone(kind),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default().into(),
            generation,
            idled: label(metadata, IDLED).as_deref() == Some("true"),
            idled_at: annotation(metadata, IDLED_AT),
            replicas_when_unidled: annotation(metadata, REPLICAS_WHEN_UNIDLED),
            wake_seconds: WakeSeconds::parse(annotation(metadata, WAKE_SECONDS).as_deref()),
            replicas: replicas.map_or(kind.default_replicas.unwrap_or(1), count),
            is_uncounted: replicas.is_none() && kind.default_replicas.is_none(),
            taken: None,
            is_downscaled: replicas == Some(0) && marks::is_downscaled(metadata),
            mark: marks::replicas(metadata).filter(|_| replicas == Some(0)),
            applied: last_applied(metadata).filter(|_| replicas == Some(0)),
            lost: None,
            is_taken_elsewhere: false,
            is_woken: false,
            scaled_by: None,
            ready: if is_current {
                status.ready.map(count)
            } else {
                Some(0)
            },
            trouble: status.trouble.filter(|_| is_current),
            changed: changed_at(metadata),
            is_podless,
            sleep: SleepRules::of(metadata),
            selector: String::new(),
            match_labels: None,
            pod_labels: Labels::default(),
            target_port: None,
            title: title(annotation(metadata, TITLE)),
            is_misspelt: label(metadata, RSTUDIO_LABEL).is_some(),
            has_annotations: metadata.annotations.is_some(),
            keeper: Keeper::of(metadata),
            bonds: Bonds::of(metadata),
            controller: Controller::of(metadata),
            requests: PodRequests::default(),
            template_of: None,
        }
    }

    /// Adds the information about the pods from a template.
    fn of_template(self, selector: LabelSelector, pods: PodTemplateSpec) -> Self {
        let has_expressions = selector
            .match_expressions
            .as_ref()
            .is_some_and(|list| !list.is_empty());
        let match_labels = selector
            .match_labels
            .clone()
            .filter(|labels| !has_expressions && !labels.is_empty())
            .map(Labels::from);
        Self {
            selector: Selector::try_from(selector)
                .map(|selector| selector.to_string())
                .unwrap_or_default(),
            match_labels,
            target_port: target_port(pods.spec.as_ref()),
            requests: pods.spec.as_ref().map(PodRequests::of).unwrap_or_default(),
            pod_labels: pods
                .metadata
                .and_then(|metadata| metadata.labels)
                .unwrap_or_default()
                .into(),
            ..self
        }
    }

    /// Adds what the API server has recorded about changes of the replicas.
    fn scaled(self, metadata: &ObjectMeta, replicas: Option<i32>, manager: &str) -> Self {
        Self {
            taken: taken(metadata, replicas, manager),
            is_taken_elsewhere: replicas == Some(0) && is_taken_elsewhere(metadata, manager),
            is_woken: is_woken(metadata, replicas, manager),
            scaled_by: scaled_by(metadata, manager).map(Into::into),
            ..self
        }
    }

    /// The version of the fields of a Deployment that decisions depend on. Its `resourceVersion` would change with each
    /// change of its status, and a wake-up causes many of those.
    pub(crate) fn version(&self) -> Version {
        let Self {
            uid,
            generation,
            idled,
            idled_at,
            replicas_when_unidled,
            ..
        } = self;
        Version(format!(
            "{uid}/{generation}/{idled}/{idled_at:?}/{replicas_when_unidled:?}"
        ))
    }

    /// A label that a selector requires and that its pods lack; `None` if they are selected.
    pub(crate) fn lacks<'a>(&self, selector: &'a Labels) -> Option<(&'a str, &'a str)> {
        let is_lacking = |(name, value): &(&str, &str)| {
            self.kind.generation_label != Some(name) && self.pod_labels.get(name) != Some(value)
        };
        selector.iter().find(is_lacking)
    }

    /// Whether it specifies its own pods.
    pub(crate) fn knows_pods(&self) -> bool {
        self.template_of.is_none() && !self.pod_labels.is_empty()
    }

    /// Whether a reference refers to a workload of this kind with this name.
    pub(crate) fn is_called(&self, named: &Named, name: &str) -> bool {
        let ApiResource {
            kind,
            plural,
            group,
            ..
        } = &self.kind.resource;
        named.is(kind, plural, group, name)
    }

    /// The current problem, apart from those of its pods.
    pub(crate) fn trouble(&self, now: Timestamp) -> Option<Trouble> {
        // Not all kinds report that their pods are rejected.
        let nothing_happens = || {
            let is_slow = self.is_podless && now.duration_since(self.changed?) >= NO_SIGN;
            is_slow.then_some(Trouble::waiting(Reason::PlatformNotReady))
        };
        self.trouble.or_else(nothing_happens)
    }

    /// The number of replicas to restore: at least 1, at most `max`. A value that cannot be parsed means 1.
    pub(crate) fn replicas_to_restore(&self, max: u32) -> u32 {
        let of_old = || {
            self.idled_at
                .as_deref()
                .and_then(|text| text.rsplit_once([';', ',']).map(|(_, replicas)| replicas))
        };
        let wanted = self
            .replicas_when_unidled
            .as_deref()
            .or_else(of_old)
            .and_then(whole_number);
        u32::try_from(wanted.unwrap_or(1).clamp(1, i64::from(max))).unwrap_or(max)
    }

    /// Whether its marks are [recent](MARKED_LATELY), or of unknown age.
    pub(crate) fn is_marked_lately(&self, now: Timestamp) -> bool {
        self.idled
            && self
                .idled_at_time()
                .is_none_or(|then| now.duration_since(then) < MARKED_LATELY)
    }

    /// When it was idled, if the annotation contains that in ISO 8601. A time without a zone is in UTC; before 2019 it
    /// was followed by the number of replicas, after a semicolon or a comma.
    pub(crate) fn idled_at_time(&self) -> Option<Timestamp> {
        let text = self.idled_at.as_deref()?;
        let time = |text: &str| {
            let text = text.trim();
            let in_utc = || {
                text.parse::<DateTime>()
                    .ok()?
                    .to_zoned(TimeZone::UTC)
                    .ok()
                    .map(|zoned| zoned.timestamp())
            };
            text.parse::<Timestamp>().ok().or_else(in_utc)
        };
        let (before, replicas) = text.rsplit_once([';', ',']).unwrap_or((text, "1"));
        time(if replicas.trim().parse::<u32>().is_ok() {
            before
        } else {
            text
        })
    }
}

/// The port that a Service should route to. A guess could bypass the login that a proxy in the pod provides, so there
/// is none: it is [`LOGIN_PORT`] if a container declares it; the only port of the only container, or [`LOGIN_PORT`], as
/// in the 2020 idler, if that declares none; otherwise it is unknown.
fn target_port(pod: Option<&PodSpec>) -> Option<i32> {
    let (init, main) = pod
        .map(|pod| {
            (
                pod.init_containers.as_deref().unwrap_or_default(),
                &*pod.containers,
            )
        })
        .unwrap_or_default();
    // A sidecar is an init container with the restart policy `Always`
    // (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
    let sidecars = init
        .iter()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let containers: Vec<_> = main.iter().chain(sidecars).collect();
    let ports = containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    let tcp = ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
    let ports: Vec<i32> = tcp.map(|port| port.container_port).collect();
    match (&*ports, &*containers) {
        (ports, _) if ports.contains(&LOGIN_PORT) => Some(LOGIN_PORT),
        ([only], [_]) => Some(*only),
        ([], [] | [_]) => Some(LOGIN_PORT),
        _ => None,
    }
}

/// Parses an integer, also in the format of programs that only have floating-point numbers: `2.0`, `1e+06`.
fn whole_number(text: &str) -> Option<i64> {
    let text = text.trim();
    let fraction = || {
        let number = text
            .parse::<f64>()
            .ok()
            .filter(|_| text.contains(['.', 'e', 'E']))?;
        // Far more than any cluster has, and exactly representable.
        #[expect(clippy::cast_possible_truncation, reason = "checked")]
        (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
    };
    text.parse().ok().or_else(fraction)
}

/// The problem that a current status reports ([Kubernetes: Deployment
/// status](https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status)).
fn trouble_of(
    metadata: &ObjectMeta,
    spec: &DeploymentSpec,
    status: &DeploymentStatus,
) -> Option<Trouble> {
    let condition = |kind: &str, value: &str, reason: &str| {
        status.conditions.iter().flatten().find(|condition| {
            condition.type_ == kind
                && condition.status == value
                && condition.reason.as_deref() == Some(reason)
        })
    };
    // Some of its pods are enough, so rejected ones do not matter if there are others.
    let has_pods = status.replicas.is_some_and(|replicas| replicas > 0);
    let refused = condition("ReplicaFailure", "True", "FailedCreate")
        .or_else(|| condition("Progressing", "False", "ReplicaSetCreateError"))
        .filter(|_| !has_pods);
    if let Some(refused) = refused {
        Some(refusal(refused.message.as_deref().unwrap_or_default()))
    } else if spec.paused == Some(true) && annotation(metadata, REVISION).is_none() {
        // A paused Deployment is scaled like any other, but gets no ReplicaSet if it has none.
        Some(Trouble::given_up(Reason::HeldBack))
    } else {
        condition("Progressing", "False", "ProgressDeadlineExceeded")
            .map(|_| Trouble::given_up(Reason::RolloutStuck))
    }
}

impl Controller {
    fn of(metadata: &ObjectMeta) -> Option<Box<Self>> {
        let mut owners = metadata.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true))?;
        Some(Box::new(Self {
            api_version: (*owner.api_version).into(),
            kind: (*owner.kind).into(),
            name: (*owner.name).into(),
        }))
    }
}

/// For example `Deployment tool`.
impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// How many replicas it had, if unidler has scaled it to zero and nothing has set the number since.
fn taken(metadata: &ObjectMeta, replicas: Option<i32>, manager: &str) -> Option<u32> {
    (replicas == Some(0) && is_taken(metadata, manager))
        .then(|| last_applied(metadata).unwrap_or(1))
}

/// Whether unidler has applied the number of replicas, and nothing has set it since.
fn is_taken(metadata: &ObjectMeta, manager: &str) -> bool {
    is_set_by(metadata, manager, "Apply")
}

/// Whether another manager has applied the number of replicas to `/scale`, as only unidler does.
fn is_taken_elsewhere(metadata: &ObjectMeta, manager: &str) -> bool {
    setters(metadata).any(|entry| {
        entry.manager.as_deref() != Some(manager)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref() == Some("scale")
    })
}

/// Whether unidler has patched the number of replicas, and nothing has set it since.
fn is_woken(metadata: &ObjectMeta, replicas: Option<i32>, manager: &str) -> bool {
    replicas > Some(0) && is_set_by(metadata, manager, "Update")
}

/// Whether this was the last change of the number of replicas. The API server does not record when a `/scale` was
/// changed.
fn is_set_by(metadata: &ObjectMeta, manager: &str, operation: &str) -> bool {
    setters(metadata).any(|entry| {
        entry.manager.as_deref() == Some(manager) && entry.operation.as_deref() == Some(operation)
    })
}

/// The manager, other than unidler, that has last set the number of replicas.
fn scaled_by<'a>(metadata: &'a ObjectMeta, manager: &str) -> Option<&'a str> {
    let others = setters(metadata).filter_map(|entry| {
        let by = entry.manager.as_deref().filter(|by| *by != manager)?;
        Some((entry.time.as_ref().map(|time| time.0), by))
    });
    others.max().map(|(_, by)| by)
}

/// The `managedFields` entries of the managers that own the number of replicas.
fn setters(metadata: &ObjectMeta) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let entries = metadata.managed_fields.iter().flatten();
    entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    })
}

/// The number of replicas in the last applied manifest, if it is not 0.
fn last_applied(metadata: &ObjectMeta) -> Option<u32> {
    let manifest = annotation(metadata, LAST_APPLIED)?;
    let manifest = serde_json::from_str::<serde_json::Value>(&manifest).ok()?;
    let replicas = manifest.pointer("/spec/replicas")?.as_u64()?;
    u32::try_from(replicas)
        .ok()
        .filter(|replicas| *replicas > 0)
}

/// When anything except the status was last changed.
fn changed_at(metadata: &ObjectMeta) -> Option<Timestamp> {
    let by_people = metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.subresource.as_deref() != Some("status"));
    let times = by_people
        .filter_map(|entry| entry.time.as_ref())
        .chain(&metadata.creation_timestamp);
    times.map(|time| time.0).max()
}

fn count(replicas: i32) -> u32 {
    u32::try_from(replicas).unwrap_or_default()
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "so that `json!` can stand in the call"
)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(json: Value) -> Workload {
        Workload::parse(
            serde_json::from_value(json).expect("a Deployment"),
            "unidler",
        )
    }

    fn idled(annotations: Value) -> Workload {
        deployment(json!({
            "metadata": { "generation": 3, "labels": { "mojanalytics.xyz/idled": "true" }, "annotations": annotations },
            "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "tool" } }, "template": { "metadata": { "labels": { "app": "tool" } } } },
            "status": { "observedGeneration": 3 },
        }))
    }

    #[test]
    fn what_unidler_has_taken_is_known_from_the_workload_alone() {
        let taken = |replicas: i32, manager: &str, operation: &str, applied: Option<&str>| {
            deployment(json!({
                "metadata": {
                    "annotations": applied.map(|json| json!({ LAST_APPLIED: json })),
                    "managedFields": [{
                        "manager": manager, "operation": operation, "subresource": "scale",
                        "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:replicas": {} } },
                    }],
                },
                "spec": { "replicas": replicas, "selector": {}, "template": {} },
            }))
            .taken
        };
        assert_eq!(
            taken(0, "unidler", "Apply", Some(r#"{"spec":{"replicas":3}}"#)),
            Some(3)
        );
        for applied in [
            None,
            Some("garbage"),
            Some("{}"),
            Some(r#"{"spec":{"replicas":0}}"#),
        ] {
            assert_eq!(taken(0, "unidler", "Apply", applied), Some(1));
        }
        assert_eq!(taken(2, "unidler", "Apply", None), None, "it is up");
        assert_eq!(
            taken(0, "unidler", "Update", None),
            None,
            "that is a wake-up's"
        );
        assert_eq!(taken(0, "somebody", "Apply", None), None);
    }

    #[test]
    fn replicas_are_restored_as_they_were_and_garbage_means_one() {
        for (text, replicas) in [
            ("2", 2),
            ("10", 10),
            ("1000000", 10),
            ("0", 1),
            ("-1", 1),
            ("abc", 1),
            ("", 1),
            ("99999999999999999999", 1),
            ("2.0", 2),
            ("2e+00", 2),
            ("1e+06", 10),
            ("1.5", 1),
            ("inf", 1),
            ("NaN", 1),
            ("-1e+06", 1),
        ] {
            assert_eq!(
                idled(json!({ REPLICAS_WHEN_UNIDLED: text })).replicas_to_restore(10),
                replicas,
                "{text:?}"
            );
        }
        assert_eq!(idled(json!({})).replicas_to_restore(10), 1);
    }

    #[test]
    fn the_time_of_idling_is_read_in_every_way_that_it_was_ever_written() {
        for (text, time, replicas) in [
            ("2026-01-01T00:00:00Z", Some("2026-01-01T00:00:00Z"), 1),
            ("2026-01-01T01:00:00+01:00", Some("2026-01-01T00:00:00Z"), 1),
            ("2020-01-01T00:00:00", Some("2020-01-01T00:00:00Z"), 1),
            (
                "2020-01-01T00:00:00.123456",
                Some("2020-01-01T00:00:00.123456Z"),
                1,
            ),
            (
                "2018-06-01T12:00:00+00:00;2",
                Some("2018-06-01T12:00:00Z"),
                2,
            ),
            ("2018-06-01T12:00:00,3", Some("2018-06-01T12:00:00Z"), 3),
            ("yesterday", None, 1),
            ("", None, 1),
        ] {
            let deployment = idled(json!({ IDLED_AT: text }));
            assert_eq!(
                deployment.idled_at_time(),
                time.map(|time| time.parse().expect("a time")),
                "{text}"
            );
            assert_eq!(deployment.replicas_to_restore(10), replicas, "{text}");
            let newer = idled(json!({ IDLED_AT: text, REPLICAS_WHEN_UNIDLED: "5" }));
            assert_eq!(newer.replicas_to_restore(10), 5, "{text}");
        }
    }

    #[test]
    fn a_title_is_text_of_at_most_eighty_characters() {
        let long = "ü".repeat(100);
        for (text, title) in [
            ("  Sales\treport\n2026 ", Some("Sales report 2026")),
            ("<b>R&D</b>\u{1b}[2J\u{202e}\u{61c}", Some("<b>R&D</b>[2J")),
            ("\n \u{0}", None),
            ("", None),
            (&*long, Some(&long[..160])),
        ] {
            assert_eq!(
                idled(json!({ TITLE: text })).title.as_deref(),
                title,
                "{text:?}"
            );
        }
    }

    #[test]
    fn whoever_else_has_set_the_replicas_last_is_known() {
        let scaled_by = |entries: &[(&str, &str, &str)]| {
            let entries = entries.iter().map(|(manager, field, time)| {
                json!({
                    "manager": manager, "operation": "Update", "time": time,
                    "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { format!("f:{field}"): {} } },
                })
            });
            let entries: Vec<_> = entries.collect();
            let workload = deployment(json!({ "metadata": { "managedFields": entries } }));
            workload.scaled_by
        };
        let (morning, noon) = ("2026-01-01T06:00:00Z", "2026-01-01T12:00:00Z");
        for (entries, expected) in [
            (vec![], None),
            (vec![("helm", "template", noon)], None),
            (vec![("unidler", "replicas", noon)], None),
            (vec![("helm", "replicas", noon)], Some("helm")),
            (
                vec![
                    ("argocd-controller", "replicas", noon),
                    ("helm", "replicas", morning),
                ],
                Some("argocd-controller"),
            ),
            (
                vec![("unidler", "replicas", noon), ("helm", "replicas", morning)],
                Some("helm"),
            ),
        ] {
            assert_eq!(scaled_by(&entries).as_deref(), expected, "{entries:?}");
        }
    }

    #[test]
    fn replicas_of_an_older_generation_do_not_count() {
        let json = |observed| {
            json!({
                "metadata": { "generation": 3 },
                "spec": { "selector": {}, "template": {} },
                "status": { "observedGeneration": observed, "readyReplicas": 2 },
            })
        };
        assert_eq!(deployment(json(2)).ready, Some(0));
        assert_eq!(deployment(json(3)).ready, Some(2));
    }

    /// A Deployment whose replicas were asked for at noon.
    fn woken(change: Value) -> Workload {
        let mut json = json!({
            "metadata": {
                "generation": 4,
                "annotations": { "deployment.kubernetes.io/revision": "1" },
                "creationTimestamp": "2025-01-01T12:00:00Z",
                "managedFields": [
                    { "manager": "people", "operation": "Apply", "time": "2025-01-01T12:00:00Z" },
                    { "manager": "unidler", "operation": "Update", "time": "2026-01-01T12:00:00Z" },
                    { "manager": "controller", "operation": "Update", "subresource": "status", "time": "2026-01-01T12:00:20Z" },
                ],
            },
            "spec": { "replicas": 2, "selector": {}, "template": {} },
            "status": { "observedGeneration": 4, "replicas": 2 },
        });
        json_patch::merge(&mut json, &change);
        deployment(json)
    }

    fn trouble_at(time: &str, change: Value) -> Option<Trouble> {
        woken(change).trouble(format!("2026-01-01T{time}Z").parse().expect("a time"))
    }

    fn with_condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
        let condition =
            json!({ "type": kind, "status": status, "reason": reason, "message": message });
        json!({ "status": { "replicas": 0, "conditions": [condition] } })
    }

    #[test]
    fn a_deployment_that_its_controller_does_not_look_at_waits_for_the_platform() {
        let stale = json!({ "status": { "observedGeneration": 3 } });
        assert_eq!(trouble_at("12:00:59", stale.clone()), None);
        assert_eq!(
            trouble_at("12:01:00", stale),
            Some(Trouble::waiting(Reason::PlatformNotReady))
        );
        assert_eq!(trouble_at("13:00:00", json!({})), None);
        let mut old = with_condition("Progressing", "False", "ProgressDeadlineExceeded", "");
        old["status"]["observedGeneration"] = json!(3);
        assert_eq!(
            trouble_at("12:00:01", old),
            None,
            "what was before does not count"
        );
    }

    /// A `StatefulSet` whose pods are refused says nothing of it.
    #[test]
    fn a_workload_that_gets_no_pods_waits_for_the_platform() {
        let podless = json!({ "status": { "replicas": 0 } });
        let late = Some(Trouble::waiting(Reason::PlatformNotReady));
        assert_eq!(trouble_at("12:00:59", podless.clone()), None);
        assert_eq!(trouble_at("12:01:00", podless.clone()), late);
        let mut asleep = podless;
        asleep["spec"] = json!({ "replicas": 0 });
        assert_eq!(trouble_at("13:00:00", asleep), None);

        let set = |made| {
            let set = json!({
                "metadata": { "generation": 1, "creationTimestamp": "2026-01-01T12:00:00Z" },
                "spec": { "replicas": 1, "selector": {}, "serviceName": "db", "template": {} },
                "status": { "observedGeneration": 1, "replicas": made },
            });
            let set = serde_json::from_value(set).expect("a StatefulSet");
            let now = "2026-01-01T12:01:00Z".parse().expect("a time");
            Workload::parse_stateful_set(set, "unidler").trouble(now)
        };
        assert_eq!(set(0), late);
        assert_eq!(set(1), None);
    }

    #[test]
    fn conditions_become_reasons() {
        let at_once = |change| trouble_at("12:00:01", change);
        let stuck = with_condition("Progressing", "False", "ProgressDeadlineExceeded", "");
        assert_eq!(
            at_once(stuck),
            Some(Trouble::given_up(Reason::RolloutStuck))
        );
        assert_eq!(
            at_once(with_condition(
                "Progressing",
                "True",
                "ReplicaSetUpdated",
                ""
            )),
            None
        );
        let refused = with_condition(
            "ReplicaFailure",
            "True",
            "FailedCreate",
            "pods \"a\" is forbidden: exceeded quota: q",
        );
        assert_eq!(
            at_once(refused.clone()),
            Some(Trouble::given_up(Reason::PodsRefused))
        );
        let no_set = with_condition(
            "Progressing",
            "False",
            "ReplicaSetCreateError",
            "Failed to create new replica set \"a-1\": replicasets.apps \"a-1\" is forbidden: exceeded quota: q",
        );
        assert_eq!(
            at_once(no_set),
            Some(Trouble::given_up(Reason::PodsRefused))
        );
        let mut one_of_two = refused;
        one_of_two["status"]["replicas"] = json!(1);
        assert_eq!(at_once(one_of_two), None, "one pod is enough");
        assert_eq!(
            at_once(with_condition("ReplicaFailure", "True", "FailedDelete", "")),
            None,
            "too many pods hold nobody up"
        );
    }

    #[test]
    fn only_a_paused_deployment_that_was_never_rolled_out_is_held_back() {
        let paused = json!({ "spec": { "paused": true } });
        assert_eq!(
            trouble_at("12:00:01", paused.clone()),
            None,
            "it can be scaled"
        );
        let mut never = paused;
        never["metadata"] = json!({ "annotations": null });
        assert_eq!(
            trouble_at("12:00:01", never),
            Some(Trouble::given_up(Reason::HeldBack))
        );
    }

    #[test]
    fn the_version_changes_with_what_matters_and_not_with_the_status() {
        let before = idled(json!({ IDLED_AT: "2026-01-01T00:00:00Z" }));
        let mut after = idled(json!({ IDLED_AT: "2026-01-01T00:00:00Z" }));
        after.ready = Some(2);
        assert_eq!(before.version(), after.version());
        assert_ne!(
            before.version(),
            idled(json!({ IDLED_AT: "2026-02-02T00:00:00Z" })).version(),
            "idled again"
        );
        after.generation = 4;
        assert_ne!(before.version(), after.version());
    }
}
