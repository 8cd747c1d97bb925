//! The kinds of workloads, as data: any kind with a `/scale` subresource.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::core::ApiResource;

/// A kind of workload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WorkloadKind {
    /// Its API resource.
    pub(crate) resource: ApiResource,
    /// Its human-readable name: `Deployment`, or `Sandbox.example.com` if the group is not a well-known one.
    pub(crate) name: Box<str>,
    /// The controller of its pods.
    pub(crate) pods: PodsController,
    /// Whether its `/scale` supports server-side apply. That of custom resources returns an error.
    pub(crate) takes_apply: bool,
    /// The number of replicas if `spec.replicas` is absent, if that is known.
    pub(crate) default_replicas: Option<u32>,
    /// A label that its controller adds to its pods, and to the selectors of Services that route to some of them.
    pub(crate) generation_label: Option<&'static str>,
}

/// The controller of a workload's pods, according to their `ownerReferences`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodsController {
    /// The workload.
    Itself,
    /// A `ReplicaSet`, whose name consists of that of the workload and a hash without a dash.
    ReplicaSet,
    /// Unknown: its pods are those that its selector selects and that belong to no other workload.
    Unknown,
}

static DEPLOYMENT: LazyLock<Arc<WorkloadKind>> = LazyLock::new(|| {
    WorkloadKind::built_in(
        ApiResource::erase::<Deployment>(&()),
        PodsController::ReplicaSet,
    )
});
static STATEFUL_SET: LazyLock<Arc<WorkloadKind>> = LazyLock::new(|| {
    WorkloadKind::built_in(
        ApiResource::erase::<StatefulSet>(&()),
        PodsController::Itself,
    )
});

impl WorkloadKind {
    pub(crate) fn deployment() -> Arc<Self> {
        Arc::clone(&DEPLOYMENT)
    }

    pub(crate) fn stateful_set() -> Arc<Self> {
        Arc::clone(&STATEFUL_SET)
    }

    fn built_in(resource: ApiResource, pods: PodsController) -> Arc<Self> {
        Arc::new(Self {
            name: (*resource.kind).into(),
            resource,
            pods,
            takes_apply: true,
            // https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#replicas
            default_replicas: Some(1),
            generation_label: None,
        })
    }

    /// Whether an API version and a kind refer to this kind. A kind may have several versions.
    pub(crate) fn is(&self, api_version: &str, kind: &str) -> bool {
        self.resource.group == group_of(api_version) && self.resource.kind == kind
    }
}

/// The group of an API version; empty for the core's.
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// A kind of custom workloads, as kubectl names it: `rollouts.v1alpha1.argoproj.io`.
///
/// The objects themselves contain the name of their kind. So no request is needed about a kind that the cluster may not
/// have, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalable {
    resource: Box<str>,
    version: Box<str>,
    group: Box<str>,
}

impl Scalable {
    /// The kind of [Argo Rollouts](https://argo-rollouts.readthedocs.io/).
    pub(crate) fn rollouts() -> Self {
        Self {
            resource: "rollouts".into(),
            version: "v1alpha1".into(),
            group: "argoproj.io".into(),
        }
    }

    /// The kinds to look for: the configured ones, and Rollouts.
    pub(crate) fn and_rollouts(named: &[Self]) -> Vec<Self> {
        let mut all = vec![Self::rollouts()];
        for kind in named {
            // Another version of the same kind.
            all.retain(|other| other.plural() != kind.plural());
            all.push(kind.clone());
        }
        all
    }

    /// The plural with its group and without its version.
    pub(crate) fn plural(&self) -> String {
        let Self {
            resource, group, ..
        } = self;
        format!("{resource}.{group}")
    }

    /// The group.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// The plural, as used in a role.
    pub(crate) fn resource(&self) -> &str {
        &self.resource
    }

    /// Its API resource, as far as that is known without any of its objects.
    pub(crate) fn api_resource(&self) -> ApiResource {
        self.called(self.plural())
    }

    fn called(&self, kind: String) -> ApiResource {
        let Self {
            resource,
            version,
            group,
        } = self;
        ApiResource {
            group: group.to_string(),
            version: version.to_string(),
            api_version: format!("{group}/{version}"),
            kind,
            plural: resource.to_string(),
        }
    }

    /// The kind of workloads, if its objects use this name for their kind.
    pub(crate) fn kind(&self, kind: &str) -> WorkloadKind {
        let is_rollouts = self.plural() == Self::rollouts().plural();
        WorkloadKind {
            resource: self.called(kind.to_owned()),
            name: if is_rollouts {
                kind.into()
            } else {
                format!("{kind}.{}", self.group).into()
            },
            pods: if is_rollouts {
                PodsController::ReplicaSet
            } else {
                PodsController::Unknown
            },
            takes_apply: false,
            // https://argo-rollouts.readthedocs.io/en/stable/features/specification/
            default_replicas: is_rollouts.then_some(1),
            // https://argo-rollouts.readthedocs.io/en/stable/features/bluegreen/
            generation_label: is_rollouts.then_some("rollouts-pod-template-hash"),
        }
    }
}

impl fmt::Display for Scalable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resource,
            version,
            group,
        } = self;
        write!(f, "{resource}.{version}.{group}")
    }
}

impl FromStr for Scalable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || {
            format!(
                "expected RESOURCE.VERSION.GROUP, such as {}: `kubectl api-resources` lists them",
                Self::rollouts()
            )
        };
        let is_name = |text: &str| {
            let mut bytes = text.bytes();
            text.len() <= 253
                && text.split('.').all(|part| !part.is_empty())
                && bytes.all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)
                })
        };
        // https://kubernetes.io/docs/reference/using-api/#api-versioning
        let is_version = |text: &str| {
            let number = text.strip_prefix('v').unwrap_or_default();
            number.starts_with(|digit: char| digit.is_ascii_digit())
        };
        let (resource, rest) = text.split_once('.').ok_or_else(expected)?;
        let (version, group) = rest.split_once('.').ok_or_else(expected)?;
        if !is_name(text) || !is_version(version) {
            return Err(expected());
        }
        if group == "apps" {
            return Err(
                "the kinds of the group apps cannot be named: Deployments and StatefulSets are known already"
                    .to_owned(),
            );
        }
        Ok(Self {
            resource: resource.into(),
            version: version.into(),
            group: group.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_as_kubectl_has_it() {
        let rollouts = "rollouts.v1alpha1.argoproj.io".parse();
        assert_eq!(rollouts, Ok(Scalable::rollouts()));
        for text in [
            "",
            "rollouts",
            "rollouts.argoproj.io",
            "argoproj.io/v1alpha1/Rollout",
            "Rollouts.v1alpha1.argoproj.io",
            ".v1.example.com",
            "a.v1.",
            "a.v1.example..com",
            "a.version.example.com",
        ] {
            let error = text.parse::<Scalable>().expect_err(text);
            assert!(
                error.contains("such as rollouts.v1alpha1.argoproj.io"),
                "{text}: {error}"
            );
        }
        let error = "replicasets.v1.apps"
            .parse::<Scalable>()
            .expect_err("known");
        assert!(error.contains("known already"), "{error}");
    }

    #[test]
    fn rollouts_are_looked_for_in_the_version_that_somebody_names() {
        let kinds = |named: &[&str]| {
            let named: Vec<Scalable> = named
                .iter()
                .map(|text| text.parse().expect("a kind"))
                .collect();
            let all = Scalable::and_rollouts(&named);
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&[]), ["rollouts.v1alpha1.argoproj.io"]);
        assert_eq!(
            kinds(&["sandboxes.v1.example.com", "rollouts.v2.argoproj.io"]),
            ["sandboxes.v1.example.com", "rollouts.v2.argoproj.io"]
        );
    }

    #[test]
    fn a_kind_is_the_same_in_every_version_and_another_in_every_group() {
        let kind = Scalable::rollouts().kind("Rollout");
        assert!(kind.is("argoproj.io/v1", "Rollout"));
        assert!(!kind.is("example.com/v1alpha1", "Rollout"));
        assert!(!kind.is("argoproj.io/v1alpha1", "Workflow"));
        assert!(WorkloadKind::deployment().is("apps/v1", "Deployment"));
        assert!(!WorkloadKind::deployment().is("example.com/v1", "Deployment"));
    }
}
