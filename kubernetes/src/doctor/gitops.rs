//! Tools that keep objects of apps as they are in Git.

use super::finding::{Finding, Severity};
use crate::{
    cache::{Cached, Kept},
    found::Found,
    objects::Keeper,
};

pub(crate) fn findings(apps: &[Found]) -> Vec<Finding> {
    let workloads = apps.iter().flat_map(Found::parts);
    let workloads = workloads.filter_map(|workload| {
        let keeper = workload.value.keeper.as_deref();
        owner(workload, keeper, "/spec/replicas")
    });
    // Only idling in the 2020 form changes the Service.
    let services = apps.iter().filter(|app| app.is_of_2020());
    let services = services.flat_map(|app| &app.services);
    let services = services.filter_map(|service| {
        let keeper = service.value.keeper.as_deref();
        owner(service, keeper, "/spec")
    });
    workloads.chain(services).collect()
}

fn owner<T: Kept>(object: &Cached<T>, keeper: Option<&Keeper>, pointer: &str) -> Option<Finding> {
    let (tool, whose, fix) = exception(object, keeper?, pointer);
    Some(Finding {
        severity: Severity::Warning,
        check: "gitops-owner",
        what: format!("{object} is managed by {tool} ({whose})"),
        why: "The next sync may undo the idling, or leave the app half-idled after a wake-up."
            .into(),
        fix,
    })
}

/// The tool that manages an object, its name for the set that the object belongs to, and how to exclude a field from
/// it.
pub(super) fn exception<'a, T: Kept>(
    object: &Cached<T>,
    keeper: &'a Keeper,
    pointer: &str,
) -> (&'static str, &'a str, String) {
    let (kind, namespace, name) = (object.value.kind(), &object.namespace, &object.name);
    match keeper {
        Keeper::ArgoCd(application) => {
            let fix = format!(
                "add {{group: '*', kind: {kind}, jsonPointers: [{pointer}]}} to spec.ignoreDifferences of Application \
                 {application}, and RespectIgnoreDifferences=true to its syncOptions"
            );
            ("Argo CD", application, fix)
        }
        Keeper::Flux(kustomization) => {
            let kind = kind.to_lowercase();
            let fix = format!(
                "kubectl -n {namespace} annotate {kind} {name} kustomize.toolkit.fluxcd.io/reconcile=disabled"
            );
            ("Flux", kustomization, fix)
        }
        Keeper::FluxHelm(release) => {
            let fix = format!(
                "if HelmRelease {release} has driftDetection, add {{paths: [{pointer}], target: {{kind: {kind}, name: {name}}}}} to \
                 spec.driftDetection.ignore"
            );
            ("Flux", release, fix)
        }
    }
}
