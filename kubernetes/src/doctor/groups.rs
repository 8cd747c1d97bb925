//! Checks whether workloads that need others, or are workers of others, get what their annotations ask for.

use super::finding::{Finding, Severity};
use crate::{
    cache::{Cache, Cached},
    caches::Caches,
    lookup::Unmet,
    objects::{
        Workload,
        bonds::{NEEDED_BY, NEEDS, Need, OF},
    },
};

/// The problems in the annotations of all workloads.
pub(crate) fn findings(caches: &Caches) -> Vec<Finding> {
    let mut findings = Vec::new();
    for workload in caches.workloads().flat_map(Cache::all) {
        let Some(bonds) = &workload.value.bonds else {
            continue;
        };
        for unreadable in &bonds.unreadable {
            findings.push(finding(
                "bond-unreadable",
                format!(
                    "The annotation {} of {workload} cannot be read: {}",
                    unreadable.annotation, unreadable.why
                ),
                "What cannot be read is ignored.",
                annotate(&workload, unreadable.annotation, "VALUE"),
            ));
        }
        for need in &bonds.needs {
            findings.extend(unmet(caches, &workload, need));
        }
        if let Some(of) = &bonds.of
            && caches.owner(&workload).is_none()
        {
            findings.push(finding(
                "worker-of-nothing",
                format!("{workload} is a worker of {of}, which does not exist in its namespace"),
                "Nothing puts it to sleep, and nothing wakes it.",
                annotate(&workload, OF, "KIND/NAME"),
            ));
        }
    }
    findings
}

/// The problem with a need.
fn unmet(caches: &Caches, user: &Cached<Workload>, need: &Need) -> Option<Finding> {
    let (check, what, why, fix) = match caches.need(user, need) {
        Err(Unmet::Missing) => (
            "need-missing",
            format!("{user} needs {need}, which does not exist"),
            "It is woken as if it did not need that.".to_owned(),
            annotate(user, NEEDS, "KIND/NAME"),
        ),
        Err(Unmet::Protected) => (
            "need-protected",
            format!("{user} needs {need}, which belongs to the cluster or to unidler"),
            "unidler never puts such a workload to sleep, so nothing has to wake it.".to_owned(),
            annotate(user, NEEDS, "KIND/NAME"),
        ),
        Err(Unmet::Ungranted(needed)) => (
            "need-not-granted",
            format!("{user} needs {needed}, which does not name it"),
            format!(
                "A workload in another namespace only counts if its annotation {NEEDED_BY} contains the namespace of the workload \
                 that needs it: unidler neither wakes it nor puts it to sleep along with that workload."
            ),
            annotate(&needed, NEEDED_BY, &user.namespace),
        ),
        Ok(needed) if caches.depends(&needed, user) => (
            "need-circle",
            format!("{user} needs {needed}, which needs it in turn"),
            "unidler wakes them in no particular order.".to_owned(),
            format!("remove one of the two from the annotation {NEEDS} of the other"),
        ),
        Ok(needed) if needed.value.replicas == 0 && !caches.is_asleep(&needed) => (
            "need-switched-off",
            format!(
                "{user} needs {needed}, which has no replicas and was not put to sleep by unidler"
            ),
            "unidler neither wakes it nor waits for it.".to_owned(),
            scale(&needed),
        ),
        Ok(needed) if needed.value.taken.is_some() && user.value.replicas > 0 => (
            "need-asleep",
            format!("{user} is awake and needs {needed}, which unidler has put to sleep"),
            "It wakes with the next sleeping app that needs it, but not for an app that is already awake."
                .to_owned(),
            scale(&needed),
        ),
        Ok(_) => return None,
    };
    Some(finding(check, what, &why, fix))
}

fn finding(check: &'static str, what: String, why: &str, fix: String) -> Finding {
    Finding {
        severity: Severity::Warning,
        check,
        what,
        why: why.to_owned(),
        fix,
    }
}

fn annotate(workload: &Cached<Workload>, annotation: &str, value: &str) -> String {
    let Cached {
        namespace, name, ..
    } = workload;
    let kind = called(workload);
    format!("kubectl -n {namespace} annotate {kind} {name} --overwrite {annotation}={value}")
}

fn scale(workload: &Cached<Workload>) -> String {
    let Cached {
        namespace, name, ..
    } = workload;
    let kind = called(workload);
    format!("kubectl -n {namespace} scale {kind} {name} --replicas=1")
}

/// The name of its kind for kubectl.
fn called(workload: &Cached<Workload>) -> String {
    workload.value.kind.name.to_lowercase()
}
