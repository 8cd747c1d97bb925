//! An Ingress: which hosts it serves, and which ports it shows to the world.

use k8s_openapi::api::networking::v1::{Ingress as KubeIngress, ServiceBackendPort};
use unidler::host::Host;

/// An Ingress.
#[derive(Debug)]
pub(crate) struct Ingress {
    rules: Vec<Rule>,
}

/// What an Ingress does with a host.
#[derive(Debug)]
struct Rule {
    /// Perhaps a wildcard.
    host: String,
    /// The Services that it leads to, and their ports.
    backends: Vec<(String, ServiceBackendPort)>,
}

impl Ingress {
    pub(crate) fn parse(ingress: KubeIngress) -> Self {
        let rules = ingress.spec.and_then(|spec| spec.rules).unwrap_or_default().into_iter().filter_map(|rule| {
            let paths = rule.http.map(|http| http.paths).unwrap_or_default();
            let services = paths.into_iter().filter_map(|path| path.backend.service);
            Some(Rule {
                host: rule.host?,
                backends: services.filter_map(|service| Some((service.name, service.port?))).collect(),
            })
        });
        Self { rules: rules.collect() }
    }

    /// The hosts of its rules, wildcards included.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.host.as_str())
    }

    pub(crate) fn serves(&self, host: &Host) -> bool {
        self.hosts().any(|rule| host.is_served_by(rule))
    }

    /// The ports of a Service that a host leads to.
    pub(super) fn ports<'a>(&'a self, host: &'a Host, service: &'a str) -> impl Iterator<Item = &'a ServiceBackendPort> {
        let rules = self.rules.iter().filter(|rule| host.is_served_by(&rule.host));
        rules.flat_map(|rule| &rule.backends).filter(move |(name, _)| name == service).map(|(_, port)| port)
    }
}
