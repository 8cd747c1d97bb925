//! The ways by which visitors reach Services.

use std::collections::HashMap;

use crate::{
    caches::Caches,
    listing::Listing,
    objects::{Backend, RouteKind},
};

/// The ways by which visitors reach each Service of a cluster, asleep or awake.
#[derive(Debug, Default)]
pub struct Ways(HashMap<(Box<str>, Box<str>), Served>);

/// The ways by which visitors reach some Services: which hosts are routed to which of their ports, in all routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    pub(super) ways: Vec<Way>,
    /// Whether one of them has routed to unidler before, so that visitors have seen its page.
    pub(super) has_slept: bool,
}

/// One way to a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) route: RouteKind,
    /// Possibly a wildcard. `None` stands for requests that match no rule of the route.
    pub(super) host: Option<String>,
    pub(super) backend: Backend,
    /// Whether an annotation keeps its requests from being counted.
    pub(super) is_uncounted: bool,
}

impl Ways {
    /// The ways in a cluster.
    #[must_use]
    pub fn of(Listing(caches): &Listing) -> Self {
        Self::in_caches(caches)
    }

    pub(crate) fn in_caches(caches: &Caches) -> Self {
        let mut ways = Self::default();
        for route in caches.routes() {
            for (host, backend) in route.value.ways() {
                ways.add(Way {
                    route: route.value.kind.clone(),
                    host: host.map(ToOwned::to_owned),
                    backend: backend.clone(),
                    is_uncounted: route.value.is_uncounted,
                });
            }
        }
        for ((namespace, service), served) in &mut ways.0 {
            // A slice remains when its app wakes.
            served.has_slept = caches.slice_of(namespace, service).is_some();
        }
        ways
    }

    fn add(&mut self, way: Way) {
        let Backend {
            namespace, service, ..
        } = &way.backend;
        let service = (namespace.clone(), service.clone());
        self.0.entry(service).or_default().ways.push(way);
    }

    /// The ways to an app: to some Services of a namespace.
    #[must_use]
    pub fn to<'a>(&self, namespace: &str, services: impl IntoIterator<Item = &'a str>) -> Served {
        let mut all = Served::default();
        for service in services {
            if let Some(served) = self.0.get(&(namespace.into(), service.into())) {
                all.ways.extend(served.ways.iter().cloned());
                all.has_slept |= served.has_slept;
            }
        }
        all
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Way> {
        self.0.values().flat_map(|served| &served.ways)
    }

    /// The ways to some apps.
    #[cfg(test)]
    pub(super) fn to_all(apps: &[Served]) -> Self {
        let mut ways = Self::default();
        for way in apps.iter().flat_map(|app| &app.ways) {
            ways.add(way.clone());
        }
        ways
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{caches::Listed, objects::Port, settings::ClusterSettings};

    fn parsed<T: serde::de::DeserializeOwned>(json: Value) -> T {
        serde_json::from_value(json).expect("an object")
    }

    fn ingress(name: &str, annotations: &Value, rules: &Value) -> Value {
        let metadata = json!({ "name": name, "namespace": "team", "annotations": annotations });
        json!({ "metadata": metadata, "spec": { "ingressClassName": "web", "rules": rules } })
    }

    fn rule(host: &str, service: &str) -> Value {
        let backend = json!({ "service": { "name": service, "port": { "number": 80 } } });
        json!({ "host": host, "http": { "paths": [{ "backend": backend }] } })
    }

    #[test]
    fn the_ways_to_an_app_are_those_of_all_routes_to_its_services() {
        let none = json!({});
        let uncounted =
            json!({ "traefik.ingress.kubernetes.io/router.observability.metrics": "false" });
        let slice = json!({
            "metadata": {
                "name": "api-unidler", "namespace": "team",
                "labels": { "kubernetes.io/service-name": "api", "endpointslice.kubernetes.io/managed-by": "unidler" },
            },
            "addressType": "IPv4", "endpoints": [],
        });
        let listed = Listed {
            ingresses: vec![
                parsed(ingress(
                    "one",
                    &none,
                    &json!([rule("a.example", "web"), rule("b.example", "api")]),
                )),
                parsed(ingress(
                    "two",
                    &none,
                    &json!([rule("*.example", "web"), rule("c.example", "other")]),
                )),
                parsed(ingress("three", &uncounted, &json!([rule("", "web")]))),
            ],
            slices: vec![parsed(slice)],
            ..Listed::default()
        };
        let ways = Ways::in_caches(&Caches::of(listed, &ClusterSettings::of_tests()));
        let way = |host: Option<&str>, service: &str, is_uncounted: bool| Way {
            route: RouteKind::Ingress {
                class: Some("web".into()),
            },
            host: host.map(ToOwned::to_owned),
            backend: Backend {
                namespace: "team".into(),
                service: service.into(),
                port: Port::Number(80),
            },
            is_uncounted,
        };
        let mut web = ways.to("team", ["web"]);
        web.ways.sort_by_key(|way| way.host.clone());
        let expected = vec![
            way(None, "web", true),
            way(Some("*.example"), "web", false),
            way(Some("a.example"), "web", false),
        ];
        assert_eq!(
            web,
            Served {
                ways: expected,
                has_slept: false
            }
        );
        let api = vec![way(Some("b.example"), "api", false)];
        assert_eq!(
            ways.to("team", ["api"]),
            Served {
                ways: api,
                has_slept: true
            }
        );
        assert_eq!(ways.to("team", ["web", "api"]).ways.len(), 4);
        assert!(ways.to("team", ["web", "api"]).has_slept);
        assert_eq!(ways.to("another", ["web"]), Served::default());
        assert_eq!(ways.all().count(), 5);
    }
}
