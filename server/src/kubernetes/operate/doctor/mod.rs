//! What is not as it should be, from nothing but a snapshot of the cluster.
//!
//! Each finding says what it is, why it matters and what mends it. Apps are looked for as the server would
//! ([`finding`]), those that are found are looked at ([`apps`]), and then what is around them ([`around`]).

mod apps;
mod around;
mod finding;

use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, networking::v1::IngressClass};
use kube::ResourceExt;
use serde::Serialize;

use super::{super::Settings, ServiceAccount, api::Objects};

/// What is looked at.
pub(super) struct Snapshot {
    pub(super) settings: Settings,
    /// Whose rights were looked at; `None` if our own.
    pub(super) account: Option<ServiceAccount>,
    pub(super) objects: Objects,
    pub(super) classes: Vec<IngressClass>,
    pub(super) autoscalers: Vec<HorizontalPodAutoscaler>,
    /// Those of [`RIGHTS`] that the unidler does not have.
    pub(super) missing_rights: Vec<Right>,
    pub(super) unseen: Vec<Unseen>,
}

/// Something that could not be looked at.
#[derive(Debug)]
pub(super) struct Unseen {
    pub(super) what: &'static str,
    pub(super) error: String,
}

/// Something that the server does in every namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Right {
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) verb: &'static str,
    /// What does not work without it.
    pub(super) why: &'static str,
    /// Whether apps wake without it.
    pub(super) optional: bool,
}

/// What `deploy/rbac.yaml` allows.
pub(super) const RIGHTS: &[Right] = &{
    const EVENTS: &str = "Deployments do not show how their wake-ups went.";
    const FIND: &str = "No app is found, so none is woken.";
    const WAKE: &str = "No app can be woken.";
    const fn right(
        group: &'static str,
        resource: &'static str,
        verb: &'static str,
        why: &'static str,
    ) -> Right {
        Right {
            group,
            resource,
            verb,
            why,
            optional: false,
        }
    }
    [
        right("networking.k8s.io", "ingresses", "list", FIND),
        right("networking.k8s.io", "ingresses", "watch", FIND),
        right("apps", "deployments", "list", FIND),
        right("apps", "deployments", "watch", FIND),
        right("apps", "deployments", "patch", WAKE),
        right("", "services", "list", FIND),
        right("", "services", "watch", FIND),
        right("", "services", "patch", WAKE),
        right(
            "discovery.k8s.io",
            "endpointslices",
            "watch",
            "Visitors are sent on before anybody answers behind the Service.",
        ),
        Right {
            optional: true,
            ..right(
                "",
                "pods",
                "watch",
                "Visitors are not told how far the pods are, nor why one does not start.",
            )
        },
        Right {
            optional: true,
            ..right("events.k8s.io", "events", "create", EVENTS)
        },
        Right {
            optional: true,
            ..right("events.k8s.io", "events", "patch", EVENTS)
        },
    ]
};

/// How bad a finding is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Visitors of an app do not reach it.
    Error,
    /// They may not, or somebody will undo the idling.
    Warning,
    /// Good to know.
    Note,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The name of the check, which does not change.
    pub(super) check: &'static str,
    /// What is found, and of which object.
    pub(super) what: String,
    /// Why it matters.
    pub(super) why: String,
    /// What mends it: a command where there is one.
    pub(super) mend: String,
}

/// Looks at everything. The worst comes first.
pub(super) fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let caches = snapshot.objects.caches(&snapshot.settings);
    let found = caches.apps();
    let mut findings = finding::findings(snapshot, &caches, &found);
    findings.extend(around::findings(snapshot, &found));
    findings.sort();
    findings.dedup();
    findings
}

/// For people.
pub(super) fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "All is well.".to_owned();
    }
    let block = |Finding {
                     severity,
                     check,
                     what,
                     why,
                     mend,
                 }: &Finding| {
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        format!("{severity}: {what} [{check}]\n  why:  {why}\n  mend: {mend}\n")
    };
    findings.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn is(object: &impl ResourceExt, namespace: &str, name: &str) -> bool {
    object.namespace().as_deref() == Some(namespace) && object.name_any() == name
}

/// The command that gives an object the key, or tells how if it is not clear which one.
fn label_command(
    Settings { key_label, .. }: &Settings,
    namespace: &str,
    kind: &str,
    name: Option<&str>,
    key: &str,
) -> String {
    format!(
        "kubectl -n {namespace} label {kind} {} {key_label}={key} --overwrite",
        name.unwrap_or("NAME")
    )
}

#[cfg(test)]
mod tests;
