//! Whether what objects say of the sleep of their apps can be read.

use std::fmt::Display;

use super::finding::{Finding, Severity};
use crate::{cache::Cache, caches::Caches, objects::sleep_rules::SleepRules};

/// What cannot be read of it.
pub(crate) fn findings(caches: &Caches) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut read = |object: &dyn Display, rules: &Option<Box<SleepRules>>| {
        for why in rules.iter().flat_map(|rules| rules.unreadable()) {
            findings.push(Finding {
                severity: Severity::Warning,
                check: "sleep-unreadable",
                what: format!("An annotation of {object} cannot be read: {why}"),
                why: "It does not count, and its apps are not put to sleep as long as that is so."
                    .to_owned(),
                mend: "Correct the annotation: see docs/operating.md".to_owned(),
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
