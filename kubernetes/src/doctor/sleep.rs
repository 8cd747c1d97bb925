//! Checks whether the sleep settings of objects can be parsed, and whether apps sleep as configured.

use std::fmt::Display;

use k8s_openapi::jiff::Timestamp;
use unidler::sleep::brake::Cause;

use super::{
    finding::{Finding, Severity},
    gitops::exception,
};
use crate::{
    cache::{Cache, Cached},
    caches::Caches,
    diversion::slice::Slice,
    objects::sleep_rules::SleepRules,
    undone::tool,
};

pub(crate) fn findings(caches: &Caches) -> Vec<Finding> {
    let mut findings = unreadable(caches);
    let slices = caches.slices.all();
    findings.extend(slices.iter().filter_map(|slice| undone(caches, slice)));
    findings
}

/// An app that is left alone because it does not stay asleep.
fn undone(caches: &Caches, slice: &Cached<Slice>) -> Option<Finding> {
    let undone = slice.value.history.as_ref()?.undone.as_ref()?;
    let until = undone.until();
    if until < Timestamp::now() {
        return None;
    }
    let Cached { namespace, .. } = slice;
    let name = &slice.value.service;
    let service = caches.services.named(namespace, name)?;
    let times = match undone.times.get() {
        1 => String::new(),
        times => format!(" {times} times in a row"),
    };
    let awake = format!("kubectl -n {namespace} annotate service {name} unidler/idle-after=never");
    let (check, what, fix) = match &undone.cause {
        Cause::Returned(by) => {
            let workloads = caches.selected(&service);
            // A manager with another name has acted on its own.
            let is_keepers = by
                .as_deref()
                .is_none_or(|by| matches!(tool(Some(by)), "argo-cd" | "flux" | "helm"));
            let kept = workloads
                .iter()
                .filter(|_| is_keepers)
                .find_map(|workload| {
                    let keeper = workload.value.keeper.as_deref()?;
                    Some(exception(workload, keeper, "/spec/replicas"))
                });
            let by = by.as_deref().unwrap_or("something");
            let workload = workloads
                .first()
                .map_or_else(|| "its workload".to_owned(), ToString::to_string);
            let fix = kept.map_or_else(
                || format!("have {by} leave the replicas of {workload} alone, or keep the app awake: {awake}"),
                |(_, _, fix)| fix,
            );
            let what = format!("{service} was put to sleep, and {by} undid that{times}");
            ("idling-undone", what, fix)
        }
        Cause::Refused => (
            "idling-failed",
            format!("{service} could not be put to sleep{times}"),
            format!("look for \"write failed\" in unidler's log, or keep the app awake: {awake}"),
        ),
    };
    Some(Finding {
        severity: Severity::Warning,
        check,
        what,
        why: format!("The app is left alone until {until}."),
        fix,
    })
}

/// Settings that cannot be parsed.
fn unreadable(caches: &Caches) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut read = |object: &dyn Display, rules: &Option<Box<SleepRules>>| {
        for why in rules.iter().flat_map(|rules| rules.unreadable()) {
            findings.push(Finding {
                severity: Severity::Warning,
                check: "sleep-unreadable",
                what: format!("An annotation of {object} cannot be read: {why}"),
                why: "The annotation is ignored, and its apps are not put to sleep until it is fixed."
                    .to_owned(),
                fix: "correct the annotation: see docs/reference/annotations.md".to_owned(),
            });
        }
    };
    for route in caches.routes() {
        read(&route, &route.value.sleep);
    }
    for service in caches.services.all() {
        read(&service, &service.value.sleep);
    }
    for workload in caches.workloads().flat_map(Cache::all) {
        read(&workload, &workload.value.sleep);
    }
    for namespace in caches.namespaces.iter().flat_map(Cache::all) {
        read(
            &format_args!("Namespace {}", namespace.name),
            &namespace.value.sleep,
        );
    }
    findings
}
