use kube::ResourceExt;
use serde_json::{Value, json};

use super::*;
use crate::{autoscalers::Autoscalers, caches::Listed, controllers::Classes};

fn object<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("an object")
}

/// A namespace with two apps, of which one has two hosts, one with a Service that cannot be idled, and unidler.
fn caches() -> Caches {
    caches_of(|_| {})
}

/// The same with a change.
fn caches_of(change: impl FnOnce(&mut Listed)) -> Caches {
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
    let mut listed = Listed {
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
    };
    change(&mut listed);
    Caches::of(listed, &ClusterSettings::of_tests())
}

#[test]
fn what_falls_asleep_as_a_part_of_an_app_is_not_refused() {
    let caches = caches_of(|listed| {
        let path = |service: &str| json!({ "backend": { "service": { "name": service, "port": { "name": "http" } } } });
        let paths = [path("web"), path("api")];
        listed.ingresses.push(object(json!({
            "metadata": { "name": "both", "namespace": "team" },
            "spec": { "rules": [{ "host": "both.example", "http": { "paths": paths } }] },
        })));
    });
    let told = told_of(
        &Asked::Namespace("team".into()),
        &caches,
        &Surroundings::default(),
    );
    let [both, node] = &*told else {
        panic!("{told:?}")
    };
    let hosts = "both.example, api.example, web.example, www.web.example: ";
    assert!(both.starts_with(hosts), "{both}");
    assert!(node.starts_with("*.node.example: "), "{node}");
}

#[test]
fn an_app_is_in_the_namespace_of_its_services_wherever_its_routes_are() {
    let caches = caches_of(|listed| {
        let accepted = json!([{ "type": "Accepted", "status": "True" }]);
        let gateway = json!({ "name": "web", "namespace": "gateway" });
        let backend = json!({ "name": "api", "namespace": "team", "port": 80 });
        listed.http_routes = vec![object(json!({
            "metadata": { "name": "api", "namespace": "gateway" },
            "spec": { "parentRefs": [gateway], "hostnames": ["far.example"], "rules": [{ "backendRefs": [backend] }] },
            "status": { "parents": [{ "parentRef": gateway, "conditions": accepted }] },
        }))];
        let listener = json!({ "name": "http", "port": 80, "protocol": "HTTP" });
        listed.gateways = vec![object(json!({
            "metadata": gateway,
            "spec": { "gatewayClassName": "web", "listeners": [listener] },
        }))];
        let from = json!({ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "gateway" });
        listed.grants = vec![object(json!({
            "metadata": { "name": "routes", "namespace": "team" },
            "spec": { "from": [from], "to": [{ "group": "", "kind": "Service" }] },
        }))];
    });
    let apps = super::of_namespace("team", &caches);
    let apps: Vec<_> = apps.iter().map(ToString::to_string).collect();
    assert!(
        apps.contains(&"api.example, far.example".to_owned()),
        "{apps:?}"
    );
}

/// Each app, with what is planned or why nothing is.
fn told(asked: &Asked) -> Vec<String> {
    told_of(asked, &caches(), &Surroundings::default())
}

fn told_of(asked: &Asked, caches: &Caches, surroundings: &Surroundings) -> Vec<String> {
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let (settings, handover) = (ClusterSettings::of_tests(), Handover::Slice);
    let planned = planned(asked, caches, surroundings, &settings, &handover, now);
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
            "www.web.example, web.example: scaled Deployment team/web from 2 to 0 replicas. The next visit restores them.",
            "api.example: scaled Deployment team/api from 2 to 0 replicas. The next visit restores them.",
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
    assert!(api.starts_with("api.example: scaled Deployment team/api from 2 to 0 replicas"));
    assert!(web.starts_with(
        "web.example, www.web.example: scaled Deployment team/web from 2 to 0 replicas"
    ));
    assert!(super::of_namespace("nowhere", &caches()).is_empty());
}

#[test]
fn a_host_of_which_nothing_is_known_is_named() {
    let host = Host::parse("nobody.example").expect("a host");
    let told = told(&Asked::Hosts(vec![host], None));
    assert_eq!(
        told,
        [
            "nobody.example: no Ingress or HTTPRoute routes nobody.example to a Service: `kubectl get ingress -A` lists the hosts"
        ]
    );
}

/// The words in which `api.example` is refused, or what would be done.
fn told_of_api(caches: &Caches, surroundings: &Surroundings) -> String {
    let asked = Asked::Hosts(vec![Host::parse("api.example").expect("a host")], None);
    told_of(&asked, caches, surroundings).remove(0)
}

#[test]
fn what_another_scales_to_and_from_zero_is_left_to_it() {
    let autoscaler = |min: Option<u32>, labels: Value, target: &str| {
        let spec = json!({ "minReplicas": min, "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": target } });
        let metadata = json!({ "name": "hpa", "namespace": "team", "labels": labels });
        Surroundings {
            autoscalers: Autoscalers::of(vec![object(
                json!({ "metadata": metadata, "spec": spec }),
            )]),
            ..Surroundings::default()
        }
    };
    let told = |surroundings| told_of_api(&caches(), &surroundings);
    let keda = json!({ "scaledobject.keda.sh/name": "so" });
    for (surroundings, way_out) in [
        (
            autoscaler(Some(0), json!({}), "api"),
            "kubectl -n team patch hpa hpa",
        ),
        (
            autoscaler(Some(1), keda, "api"),
            "kubectl -n team annotate scaledobject so",
        ),
    ] {
        let told = told(surroundings);
        assert!(
            told.contains("to and from 0 by itself") && told.contains(way_out),
            "{told}"
        );
    }
    for surroundings in [
        autoscaler(Some(0), json!({}), "another"),
        autoscaler(Some(1), json!({}), "api"),
        autoscaler(None, json!({}), "api"),
    ] {
        let told = told(surroundings);
        assert!(told.contains("from 2 to 0 replicas"), "{told}");
    }
}

#[test]
fn an_app_whose_controller_cannot_lead_its_visitors_here_is_refused() {
    let class = |controller: &str| {
        let metadata = json!({ "name": "public", "annotations": { "ingressclass.kubernetes.io/is-default-class": "true" } });
        Surroundings {
            classes: Classes {
                ingress: vec![object(
                    json!({ "metadata": metadata, "spec": { "controller": controller } }),
                )],
                ..Classes::default()
            },
            ..Surroundings::default()
        }
    };
    let refused = told_of_api(&caches(), &class("ingress.k8s.aws/alb"));
    assert!(
        refused
            .contains("IngressClass public (controller ingress.k8s.aws/alb) serves Ingress team/")
            && refused.contains("Instead, put an ingress controller in the cluster"),
        "{refused}"
    );
    for controller in ["traefik.io/ingress-controller", "example.com/of-our-own"] {
        let told = told_of_api(&caches(), &class(controller));
        assert!(told.contains("from 2 to 0 replicas"), "{told}");
    }
}

/// Another Service in front of the pods of `api.example`, and perhaps a route to it.
fn beside_api(kind: &str, is_routed: bool) -> Caches {
    caches_of(|listed| {
        let api = listed
            .services
            .iter()
            .find(|service| service.name_any() == "api");
        let mut beside = json!(api.expect("the Service"));
        beside["metadata"]["name"] = json!("beside");
        json_patch::merge(
            &mut beside["spec"],
            &json!({ "type": kind, "clusterIP": "10.0.0.99", "clusterIPs": ["10.0.0.99"] }),
        );
        listed.services.push(object(beside));
        if is_routed {
            let backend = json!({ "service": { "name": "beside", "port": { "number": 80 } } });
            let rule =
                json!({ "host": "beside.example", "http": { "paths": [{ "backend": backend }] } });
            let metadata = json!({ "name": "beside", "namespace": "team" });
            listed.ingresses.push(object(
                json!({ "metadata": metadata, "spec": { "rules": [rule] } }),
            ));
        }
    })
}

#[test]
fn all_services_with_routes_to_the_same_pods_sleep_together() {
    let written = |caches: &Caches| {
        let api = App {
            hosts: vec!["api.example".into()],
            services: Services::These("team".into(), ["api".to_owned()].into()),
        };
        let (settings, surroundings) = (ClusterSettings::of_tests(), Surroundings::default());
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        let plan = decide(
            &api,
            caches,
            &surroundings,
            &settings,
            &Handover::Slice,
            now,
        );
        plan.expect("a plan").to_string()
    };
    assert!(written(&beside_api("ClusterIP", true)).contains("beside-unidler"));
    assert!(!written(&beside_api("ClusterIP", false)).contains("beside-unidler"));
    for kind in ["LoadBalancer", "NodePort"] {
        let told = told_of_api(&beside_api(kind, false), &Surroundings::default());
        assert!(
            told.contains("Service team/beside exposes the same pods"),
            "{told}"
        );
    }
}

#[test]
fn what_an_operator_has_made_is_left_to_the_operator() {
    let caches = caches_of(|listed| {
        let owner = json!({ "apiVersion": "example.com/v1", "kind": "Site", "name": "api", "uid": "s", "controller": true });
        listed.deployments[1].metadata.owner_references = Some(vec![object(owner)]);
    });
    let told = told_of_api(&caches, &Surroundings::default());
    assert!(
        told.contains("Deployment team/api is managed by Site api") && told.contains("--scalable"),
        "{told}"
    );
}

/// A custom workload of the namespace.
fn custom(listed: &mut Listed, scalable: &str, json: Value) {
    let object = object(json);
    let scalable = scalable.parse().expect("a kind");
    listed.custom.push((scalable, Some(vec![object])));
}

#[test]
fn what_has_made_a_workload_is_scaled_in_its_place() {
    let site = |spec: Value| {
        let metadata = json!({ "name": "api", "namespace": "team", "uid": "s" });
        json!({ "apiVersion": "example.com/v1", "kind": "Site", "metadata": metadata, "spec": spec })
    };
    let caches = |spec| {
        caches_of(|listed| {
            let owner = json!({ "apiVersion": "example.com/v1", "kind": "Site", "name": "api", "uid": "s", "controller": true });
            listed.deployments[1].metadata.owner_references = Some(vec![object(owner)]);
            custom(listed, "sites.v1.example.com", site(spec));
        })
    };
    let told = told_of_api(&caches(json!({ "replicas": 3 })), &Surroundings::default());
    assert_eq!(
        told,
        "api.example: scaled Site.example.com team/api from 3 to 0 replicas. The next visit restores them."
    );
    let told = told_of_api(&caches(json!({})), &Surroundings::default());
    assert!(told.contains("set its spec.replicas"), "{told}");
}

#[test]
fn workloads_that_claim_to_have_made_each_other_hang_nobody() {
    let caches = caches_of(|listed| {
        let owner = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "a", "controller": true });
        listed.deployments[1].metadata.owner_references = Some(vec![object(owner)]);
    });
    let told = told_of_api(&caches, &Surroundings::default());
    assert!(told.contains("is managed by Deployment api"), "{told}");
}

/// Argo Rollouts leaves it at 0, and it would start the app twice.
#[test]
fn the_deployment_that_a_rollout_takes_its_pods_from_stays_at_zero() {
    let caches = caches_of(|listed| {
        let api = listed.deployments[1].spec.as_mut().expect("a spec");
        api.replicas = Some(0);
        let reference = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "api" });
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": { "name": "rolled", "namespace": "team", "uid": "r" },
            "spec": { "replicas": 3, "workloadRef": reference },
        });
        custom(listed, "rollouts.v1alpha1.argoproj.io", rollout);
    });
    let told = told_of_api(&caches, &Surroundings::default());
    assert_eq!(
        told,
        "api.example: scaled Rollout team/rolled from 3 to 0 replicas. The next visit restores them."
    );
    let asked = Asked::Hosts(vec![Host::parse("api.example").expect("a host")], None);
    let (settings, handover) = (ClusterSettings::of_tests(), Handover::Slice);
    let now = Timestamp::UNIX_EPOCH;
    let planned = planned(
        &asked,
        &caches,
        &Surroundings::default(),
        &settings,
        &handover,
        now,
    );
    let plan = planned[0].1.as_ref().expect("a plan").to_string();
    assert!(
        plan.contains("Rollout team/rolled, merged into /scale"),
        "{plan}"
    );
    assert!(plan.contains("these 2 writes"), "{plan}");
    let record = plan.split("unidler/record").nth(1).expect("a record");
    assert!(
        record.contains(r#"\"kind\":\"Rollout\""#)
            && !record.contains(r#"\"kind\":\"Deployment\""#),
        "{plan}"
    );
}
