use serde_json::{Value, json};

use super::*;
use crate::caches::Listed;

fn object<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("an object")
}

/// A namespace with two apps, of which one has two hosts, one with a Service that cannot be idled, and unidler.
fn caches() -> Caches {
    let service = |namespace: &str, name: &str, kind: &str, ip: &str| {
        object(json!({
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "type": kind, "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
                "selector": { "app": name }, "ports": [{ "name": "http", "port": 80 }] },
        }))
    };
    let deployment = |name: &str| {
        let labels = json!({ "app": name });
        object(json!({
            "metadata": { "name": name, "namespace": "team" },
            "spec": { "replicas": 2, "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels } } },
        }))
    };
    let rule = |host: &str, service: &str| {
        let backend = json!({ "service": { "name": service, "port": { "name": "http" } } });
        json!({ "host": host, "http": { "paths": [{ "backend": backend }] } })
    };
    let ingress = |namespace: &str, rules: &[Value]| {
        object(
            json!({ "metadata": { "name": "all", "namespace": namespace }, "spec": { "rules": rules } }),
        )
    };
    Caches::of(
        Listed {
            ingresses: vec![
                ingress(
                    "team",
                    &[
                        rule("web.example", "web"),
                        rule("api.example", "api"),
                        rule("www.web.example", "web"),
                        rule("*.node.example", "node"),
                    ],
                ),
                ingress("elsewhere", &[rule("else.example", "web")]),
            ],
            deployments: ["web", "api", "node"].map(deployment).into(),
            services: vec![
                service("team", "web", "ClusterIP", "10.0.0.1"),
                service("team", "api", "ClusterIP", "10.0.0.2"),
                service("team", "node", "NodePort", "10.0.0.3"),
                service("unidler", "unidler", "ClusterIP", "10.0.0.9"),
            ],
            ..Listed::default()
        },
        &ClusterSettings::of_tests(),
    )
}

/// Each app, with what is planned or why nothing is.
fn told(asked: &Asked) -> Vec<String> {
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let (caches, settings) = (caches(), ClusterSettings::of_tests());
    let planned = planned(asked, &caches, &settings, &Handover::Slice, now);
    let told = planned.into_iter().map(|(app, plan)| match plan {
        Ok(plan) => format!("{app}: {}", plan.done()),
        Err(why) => format!("{app}: {why}"),
    });
    told.collect()
}

#[test]
fn an_app_of_several_hosts_is_idled_once() {
    let hosts = [
        "www.web.example",
        "api.example",
        "web.example",
        "web.example",
    ];
    let hosts = hosts.map(|host| Host::parse(host).expect("a host"));
    assert_eq!(
        told(&Asked::Hosts(hosts.into(), None)),
        [
            "www.web.example, web.example: Deployment team/web has 0 replicas and gets 2 back when somebody visits it.",
            "api.example: Deployment team/api has 0 replicas and gets 2 back when somebody visits it.",
        ]
    );
}

#[test]
fn a_namespace_is_all_that_its_routes_lead_to() {
    let told = told(&Asked::Namespace("team".into()));
    let [node, api, web] = &*told else {
        panic!("{told:?}")
    };
    assert!(
        node.starts_with("*.node.example: Service team/node is of type NodePort: "),
        "{node}"
    );
    assert!(api.starts_with("api.example: Deployment team/api has 0 replicas"));
    assert!(web.starts_with("web.example, www.web.example: Deployment team/web has 0 replicas"));
    assert!(super::of_namespace("nowhere", &caches()).is_empty());
}

#[test]
fn a_host_of_which_nothing_is_known_is_named() {
    let host = Host::parse("nobody.example").expect("a host");
    let told = told(&Asked::Hosts(vec![host], None));
    assert_eq!(
        told,
        [
            "nobody.example: no Ingress leads nobody.example to a Service, and no HTTPRoute: `kubectl get ingress -A` shows which hosts there are"
        ]
    );
}
