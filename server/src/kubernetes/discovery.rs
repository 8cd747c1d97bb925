//! Which app a host names.
//!
//! Exactly one Ingress, one Deployment and one Service must match, in one namespace, and the Ingress must really
//! serve the host. Otherwise whoever may label an Ingress could have somebody else's app woken or blocked.

use std::sync::Arc;

use unidler::{cluster::AppId, host::Host, progress::Reason};

use super::{
    cache::{Cache, Cached},
    objects::{Deployment, Ingress, Service},
};

/// The value of the key label for a host: with the label `host`, the whole host; with any other, such as
/// `unidle-key`, its first DNS label.
pub(super) fn key_of<'a>(host: &'a Host, key_label: &str) -> &'a str {
    if key_label == "host" { host.as_str() } else { host.first_label() }
}

/// The objects of an app.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) ingress: Arc<Cached<Ingress>>,
    pub(super) deployment: Arc<Cached<Deployment>>,
    pub(super) service: Arc<Cached<Service>>,
}

/// An app: the objects of one key in one namespace.
#[derive(Clone, Copy, Debug)]
pub(super) struct App<'a> {
    namespace: &'a str,
    key: &'a str,
}

impl<'a> App<'a> {
    pub(super) fn id(self) -> AppId {
        AppId::new(&format!("{}/{}", self.namespace, self.key))
    }

    /// No namespace has a slash in its name.
    pub(super) fn parse(id: &'a AppId) -> Option<Self> {
        id.as_str().split_once('/').map(|(namespace, key)| Self { namespace, key })
    }
}

impl Found {
    pub(super) fn app(&self) -> App<'_> {
        App { namespace: &self.ingress.namespace, key: &self.ingress.key }
    }
}

/// Finds an app that a host was found to lead to, whatever has become of that host.
pub(super) fn find_app(
    app: App<'_>,
    ingresses: &Cache<Ingress>,
    deployments: &Cache<Deployment>,
    services: &Cache<Service>,
) -> Result<Found, Reason> {
    let ingress = ingresses.get(app.key).into_iter().find(|ingress| ingress.namespace == app.namespace);
    with_ingress(ingress.ok_or(Reason::NoIngress)?, app.key, deployments, services)
}

/// Finds the app of a host.
pub(super) fn find(
    host: &Host,
    key: &str,
    ingresses: &Cache<Ingress>,
    deployments: &Cache<Deployment>,
    services: &Cache<Service>,
) -> Result<Found, Reason> {
    let labelled = ingresses.get(key);
    if labelled.is_empty() {
        return Err(Reason::NoIngress);
    }
    let serving = labelled.into_iter().filter(|ingress| ingress.value.serves(host));
    with_ingress(only(serving, Reason::HostNotServed, Reason::AmbiguousIngress)?, key, deployments, services)
}

fn with_ingress(
    ingress: Arc<Cached<Ingress>>,
    key: &str,
    deployments: &Cache<Deployment>,
    services: &Cache<Service>,
) -> Result<Found, Reason> {
    let namespace = &ingress.namespace;
    let deployments = deployments.get(key).into_iter().filter(|deployment| deployment.namespace == *namespace);
    let services = services.get(key).into_iter().filter(|service| service.namespace == *namespace);
    Ok(Found {
        deployment: only(deployments, Reason::NoDeployment, Reason::AmbiguousDeployment)?,
        service: only(services, Reason::NoService, Reason::AmbiguousService)?,
        ingress,
    })
}

fn only<T>(mut items: impl Iterator<Item = T>, none: Reason, several: Reason) -> Result<T, Reason> {
    let first = items.next().ok_or(none)?;
    if items.next().is_some() { Err(several) } else { Ok(first) }
}

/// The hosts that an Ingress gives to the app of its key.
pub(super) fn hosts_of(ingress: &Cached<Ingress>, key_label: &str) -> Vec<Host> {
    let of_key = |host: &Host| key_of(host, key_label) == ingress.key;
    let hosts = ingress.value.hosts().filter_map(|rule| match rule.strip_prefix("*.") {
        Some(_) if key_label == "host" => Host::parse(&ingress.key).ok().filter(|host| host.is_served_by(rule)),
        Some(parent) => Host::parse(&format!("{}.{parent}", ingress.key)).ok(),
        None => Host::parse(rule).ok(),
    });
    hosts.filter(of_key).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ingress(key: &str, hosts: &[&str]) -> Cached<Ingress> {
        let rules: Vec<_> = hosts.iter().map(|host| json!({ "host": host })).collect();
        let ingress = serde_json::from_value(json!({ "metadata": {}, "spec": { "rules": rules } })).expect("an Ingress");
        Cached { namespace: "ns".into(), name: "name".into(), key: key.into(), value: Ingress::parse(ingress) }
    }

    #[test]
    fn the_key_is_the_host_or_its_first_label() {
        let host = Host::parse("tool.team.example").expect("a host");
        assert_eq!(key_of(&host, "host"), "tool.team.example");
        assert_eq!(key_of(&host, "unidle-key"), "tool");
    }

    #[test]
    fn the_hosts_of_an_ingress_are_those_of_its_key() {
        for (label, key, rules, hosts) in [
            ("host", "tool.example", &["tool.example", "other.example"][..], &["tool.example"][..]),
            ("host", "tool.example", &["*.example"], &["tool.example"]),
            ("host", "tool.example", &["*.elsewhere"], &[]),
            ("unidle-key", "tool", &["tool.example", "other.example", "*.org"], &["tool.example", "tool.org"]),
        ] {
            let found: Vec<String> = hosts_of(&ingress(key, rules), label).iter().map(ToString::to_string).collect();
            assert_eq!(found, hosts, "{label} {key} {rules:?}");
        }
    }
}
