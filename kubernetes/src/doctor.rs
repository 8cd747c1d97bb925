//! Finds problems purely from a snapshot of the cluster.
//!
//! Each finding says what it is, why it matters and how to fix it. Apps are looked up as in the server ([`lookup`]).
//! Those that are found are checked ([`apps`], [`slices`]), with the workloads that they need ([`groups`]), and then
//! their surroundings: unidler's [own] pods, [`permissions`], [`routes`], their [`controllers`], [`autoscalers`] and
//! [`gitops`].

mod apps;
mod autoscalers;
mod controllers;
mod finding;
mod gitops;
mod groups;
mod kinds;
mod lookup;
mod own;
mod permissions;
mod routes;
mod sleep;
mod slices;
mod snapshot;

pub use self::{
    finding::{Finding, Severity},
    snapshot::Snapshot,
};

/// Checks everything. The worst findings come first.
#[must_use]
pub fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let found = snapshot.listing.0.apps();
    let mut findings = lookup::findings(snapshot, &found);
    findings.extend(groups::findings(&snapshot.listing.0));
    findings.extend(sleep::findings(&snapshot.listing.0));
    findings.extend(permissions::findings(snapshot));
    findings.extend(kinds::findings(snapshot));
    findings.extend(slices::findings(snapshot));
    findings.extend(own::findings(snapshot, &found));
    findings.extend(routes::findings(snapshot));
    findings.extend(controllers::findings(snapshot, &found));
    findings.extend(autoscalers::findings(snapshot, &found));
    findings.extend(gitops::findings(&found));
    findings.sort();
    findings.dedup();
    findings
}

/// Formats the findings for people.
#[must_use]
pub fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "No problems found.".to_owned();
    }
    let block = |Finding {
                     severity,
                     check,
                     what,
                     why,
                     fix,
                 }: &Finding| {
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        format!("{severity}: {what} [{check}]\n  why: {why}\n  fix: {fix}\n")
    };
    findings.iter().map(block).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
