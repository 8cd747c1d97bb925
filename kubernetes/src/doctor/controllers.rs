//! Apps behind controllers that do not route the visitors of a sleeping app to unidler, or only with some settings.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    finding::{Finding, Severity},
    snapshot::Snapshot,
};
use crate::{
    controllers::{Class, Verdict},
    found::Found,
};

/// The maximum number of hosts that a finding lists.
const MAX_HOSTS: usize = 3;

/// One finding for each class that an app uses and whose controller is known to have limitations.
pub(crate) fn findings(snapshot: &Snapshot, apps: &[Found]) -> Vec<Finding> {
    let mut used = BTreeMap::<(Class, bool), BTreeSet<&str>>::new();
    for app in apps {
        let classes = &snapshot.surroundings.classes;
        let routes = app.routes.iter();
        for class in routes.flat_map(|route| classes.of_route(route, &snapshot.listing.0)) {
            let hosts = used.entry((class, app.is_of_2020())).or_default();
            hosts.extend(app.hosts());
        }
    }
    let finding = |((class, is_external_name), hosts): ((Class, bool), BTreeSet<&str>)| {
        let (severity, advice) = match class.verdict(is_external_name)? {
            Verdict::Works => return None,
            Verdict::Perhaps(advice) => (Severity::Warning, advice),
            Verdict::Cannot(advice) => (Severity::Error, advice),
        };
        let Class {
            kind,
            name,
            controller,
        } = class;
        let hosts = listed(&hosts);
        Some(Finding {
            severity,
            check: "ingress-controller",
            what: format!("{kind} {name} (controller {controller}) serves {hosts}"),
            why: advice.why.into(),
            fix: advice.fix.into(),
        })
    };
    used.into_iter().filter_map(finding).collect()
}

fn listed(hosts: &BTreeSet<&str>) -> String {
    let named: Vec<_> = hosts.iter().copied().take(MAX_HOSTS).collect();
    let named = named.join(", ");
    match hosts.len().saturating_sub(MAX_HOSTS) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
