//! Missing permissions of unidler, and objects that could not be read.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    finding::{Finding, Severity},
    snapshot::{Snapshot, Unseen},
};
use crate::rights::Right;

pub(crate) fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = missing(snapshot);
    findings.extend(snapshot.unseen.iter().map(unseen));
    findings
}

/// The missing permissions: one finding for each kind of object.
fn missing(
    Snapshot {
        account,
        missing_rights,
        ..
    }: &Snapshot,
) -> Vec<Finding> {
    let who = account.as_ref().map_or_else(
        || "unidler's ServiceAccount".to_owned(),
        |account| format!("ServiceAccount {}/{}", account.namespace, account.name),
    );
    let mut by_resource = BTreeMap::<_, Vec<_>>::new();
    for right in missing_rights {
        by_resource.entry(&*right.resource).or_default().push(right);
    }
    let finding = |(resource, rights): (&str, Vec<&Right>)| {
        let verbs: Vec<_> = rights.iter().map(|right| right.verb).collect();
        let why: BTreeSet<_> = rights.iter().map(|right| right.why).collect();
        Finding {
            severity: if rights.iter().all(|right| right.optional) {
                Severity::Warning
            } else {
                Severity::Error
            },
            check: "permission-missing",
            what: format!(
                "{who} lacks permission to {} {resource} in all namespaces",
                verbs.join(", ")
            ),
            why: why.into_iter().collect::<Vec<_>>().join(" "),
            fix: format!(
                "kubectl apply -f deploy/rbac.yaml, which has the rule {{apiGroups: [\"{}\"], resources: [\"{resource}\"], verbs: [{}]}}; \
                 or pass the account that unidler runs as with --service-account",
                rights.first().map_or("", |right| &*right.group),
                verbs.join(", ")
            ),
        }
    };
    by_resource.into_iter().map(finding).collect()
}

fn unseen(Unseen { what, error }: &Unseen) -> Finding {
    Finding {
        severity: Severity::Warning,
        check: "not-looked-at",
        what: format!("Could not read {what}: {error}"),
        why: "Problems there are not reported.".into(),
        fix: "run `unidler doctor` as a cluster administrator".into(),
    }
}
