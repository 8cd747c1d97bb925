use serde::de::DeserializeOwned;
use unidler::{
    app::{ObjectId, Version},
    cluster::{ApplyError, Write},
};

use super::*;
use crate::{
    caches::{Caches, Listed},
    objects::{IDLED, Service, Workload},
};

const HOST: &str = "tool.example";

/// The objects of an ordinary app, which a test changes.
struct App {
    ingress: Value,
    deployment: Value,
    service: Value,
}

fn app() -> App {
    let metadata = |uid: &str| {
        json!({
            "name": "tool", "namespace": "team", "uid": uid, "resourceVersion": "9", "generation": 7,
            "labels": { "host": HOST }, "annotations": { "note": "kept" },
        })
    };
    let backend = json!({ "service": { "name": "tool", "port": { "name": "http" } } });
    App {
        ingress: json!({
            "metadata": metadata("i1"),
            "spec": { "rules": [{ "host": HOST, "http": { "paths": [{ "pathType": "Prefix", "path": "/", "backend": backend }] } }] },
        }),
        deployment: json!({
            "metadata": metadata("d1"),
            "spec": {
                "replicas": 3, "selector": { "matchLabels": { "app": "tool" } },
                "template": { "metadata": { "labels": { "app": "tool", "tier": "web" } } },
            },
        }),
        service: json!({
            "metadata": metadata("s1"),
            "spec": {
                "type": "ClusterIP", "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"],
                "selector": { "app": "tool", "tier": "web" },
                "ports": [
                    { "name": "http", "port": 8080, "targetPort": "web", "protocol": "TCP" },
                    { "name": "metrics", "port": 9090, "targetPort": 9090, "protocol": "TCP" },
                ],
                "internalTrafficPolicy": "Local", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            },
        }),
    }
}

fn object<T: DeserializeOwned>(json: &Value) -> T {
    serde_json::from_value(json.clone()).expect("an object")
}

fn plan_of(apps: &[App]) -> Result<ExternalNamePlan, NotPlanned> {
    let caches = Caches::of(
        Listed {
            ingresses: apps.iter().map(|app| object(&app.ingress)).collect(),
            deployments: apps.iter().map(|app| object(&app.deployment)).collect(),
            services: apps.iter().map(|app| object(&app.service)).collect(),
            ..Listed::default()
        },
        &ClusterSettings::of_tests(),
    );
    let target = Target::parse(None, &ClusterSettings::of_tests()).expect("an address");
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    decide(
        &Host::parse(HOST).expect("a host"),
        &caches,
        &Surroundings::default(),
        &ClusterSettings::of_tests(),
        &target,
        now,
    )
}

#[test]
fn an_app_is_idled_by_two_patches_on_the_condition_of_what_was_seen() {
    let plan = plan_of(&[app()]).expect("a plan");
    let kept = json!({
        "selector": { "app": "tool", "tier": "web" },
        "ports": [
            { "name": "http", "port": 8080, "protocol": "TCP", "targetPort": "web" },
            { "name": "metrics", "port": 9090, "protocol": "TCP", "targetPort": 9090 },
        ],
        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
    });
    let mut switch = plan.divert.clone();
    let annotation =
        switch["metadata"]["annotations"]["mojanalytics.xyz/service-when-unidled"].take();
    assert_eq!(
        serde_json::from_str::<Value>(annotation.as_str().expect("a text")).expect("JSON"),
        kept
    );
    assert_eq!(
        switch,
        json!({
            "metadata": { "uid": "s1", "resourceVersion": "9", "annotations": { "mojanalytics.xyz/service-when-unidled": null } },
            "spec": {
                "type": "ExternalName", "externalName": "unidler.unidler.svc.cluster.local", "selector": null,
                "ports": [{ "name": "http", "port": 80, "targetPort": 80 }],
            },
        })
    );
    assert_eq!(
        json!(plan.scale),
        json!([
            { "op": "test", "path": "/metadata/uid", "value": "d1" },
            { "op": "test", "path": "/metadata/generation", "value": 7 },
            { "op": "add", "path": "/metadata/labels/mojanalytics.xyz~1idled", "value": "true" },
            { "op": "add", "path": "/metadata/annotations/mojanalytics.xyz~1idled-at", "value": "2026-01-01T00:00:00Z" },
            { "op": "add", "path": "/metadata/annotations/mojanalytics.xyz~1replicas-when-unidled", "value": "3" },
            { "op": "replace", "path": "/spec/replicas", "value": 0 },
        ])
    );
}

/// Whatever is kept is what a wake-up finds.
#[test]
fn a_wake_up_gives_back_what_idling_took() {
    let plan = plan_of(&[app()]).expect("a plan");
    let mut service = app().service;
    json_patch::merge(&mut service, &plan.divert);
    let service = Service::parse(object(&service), &ClusterSettings::of_tests().own_service());
    assert_eq!(service.points_at, PointsAt::Unidler);

    let mut deployment = app().deployment;
    json_patch::patch(&mut deployment, &plan.scale).expect("the conditions hold");
    let deployment = Workload::parse(object(&deployment), "unidler");
    assert!(deployment.idled && deployment.replicas == 0);
    assert_eq!(deployment.replicas_to_restore(10), 3);

    let spec = app().service["spec"].clone();
    let restored = json!(service.when_unidled(&deployment).expect("it is known"));
    for field in ["selector", "ports", "ipFamilies", "ipFamilyPolicy"] {
        assert_eq!(restored[field], spec[field], "{field}");
    }
}

#[test]
fn a_deployment_without_annotations_gets_a_place_for_them() {
    let mut app = app();
    app.deployment["metadata"]["annotations"].take();
    let mut deployment = app.deployment.clone();
    deployment["metadata"]
        .as_object_mut()
        .expect("an object")
        .remove("annotations");
    let plan = plan_of(&[app]).expect("a plan");
    json_patch::patch(&mut deployment, &plan.scale).expect("there is a place");
}

/// What a test changes of an app, and what it is then told.
type Refusal = (fn(&mut App), &'static str);

#[test]
fn what_could_not_be_woken_as_it_was_is_refused() {
    let refusals: &[Refusal] = &[
        (
            |app| {
                for object in [&mut app.ingress, &mut app.deployment, &mut app.service] {
                    object["metadata"]["labels"] = json!({});
                }
            },
            "no Ingress has the label host=tool.example",
        ),
        (
            |app| app.deployment["metadata"]["labels"] = json!({}),
            "no Deployment has the key of tool.example",
        ),
        (
            |app| app.service["metadata"]["namespace"] = json!("other"),
            "Service team/tool, which does not exist",
        ),
        (
            |app| app.ingress["spec"]["rules"][0]["host"] = json!("other.example"),
            "has no rule for it: Ingress team/tool",
        ),
        (
            |app| app.deployment["metadata"]["labels"][IDLED] = json!("true"),
            "only half of it is idled",
        ),
        (
            |app| app.service["spec"] = json!({ "type": "ExternalName", "externalName": "unidler.tools.svc.cluster.local" }),
            "only half of it is idled",
        ),
        (
            |app| {
                app.service["spec"] =
                    json!({ "type": "ExternalName", "externalName": "db.example" });
            },
            "points elsewhere",
        ),
        (
            |app| app.service["spec"]["type"] = json!("NodePort"),
            "is of type NodePort",
        ),
        (
            |app| app.service["spec"]["type"] = json!("LoadBalancer"),
            "is of type LoadBalancer",
        ),
        (
            |app| app.service["spec"]["clusterIP"] = json!("None"),
            "is headless",
        ),
        (
            |app| app.service["spec"]["externalIPs"] = json!(["192.0.2.1"]),
            "has external IPs",
        ),
        (
            |app| app.service["spec"]["selector"] = json!({}),
            "has no selector",
        ),
        (
            |app| app.service["spec"]["selector"]["tier"] = json!("db"),
            "does not point to Deployment team/tool: it selects tier=db",
        ),
        (
            |app| app.deployment["spec"]["replicas"] = json!(0),
            "is turned off",
        ),
        (
            |app| app.deployment["spec"]["replicas"] = json!(11),
            "at most 10 would be restored",
        ),
        (
            |app| {
                app.ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] =
                    json!("front");
            },
            "Ingress team/tool, Service team/front, which does not exist",
        ),
        (
            |app| {
                app.ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] =
                    json!({ "number": 8080 });
            },
            "routes to port 8080 of Service team/tool",
        ),
        (
            |app| {
                for object in [&mut app.ingress, &mut app.deployment, &mut app.service] {
                    object["metadata"]["namespace"] = json!("unidler");
                }
                app.service["metadata"]["name"] = json!("unidler");
                app.ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] =
                    json!("unidler");
            },
            "it is unidler's own: it cannot wake itself",
        ),
    ];
    for (change, told) in refusals {
        let mut app = app();
        change(&mut app);
        let error = format!("{:#}", plan_of(&[app]).expect_err(told));
        assert!(error.contains(told), "{error}\nis not: {told}");
    }
}

#[test]
fn what_is_there_twice_is_refused() {
    let in_namespace = |namespace: &str, name: &str| {
        let mut app = app();
        for object in [&mut app.ingress, &mut app.deployment, &mut app.service] {
            object["metadata"]["namespace"] = json!(namespace);
            object["metadata"]["name"] = json!(name);
        }
        app
    };
    let error = |second: App| plan_of(&[app(), second]).expect_err("two").to_string();
    assert!(error(in_namespace("other", "tool")).starts_with("several Ingresses"));
    let mut second = in_namespace("team", "second");
    second.ingress["metadata"]["labels"] = json!({});
    assert!(error(second).starts_with("several Deployments"));
    let mut second = in_namespace("team", "second");
    second.ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] =
        json!("second");
    for object in [&mut second.deployment, &mut second.service] {
        object["metadata"]["labels"] = json!({ "host": "tool" });
    }
    assert!(error(second).starts_with("several Services"));
}

#[test]
fn idled_apps_lead_to_an_address_that_the_server_knows() {
    let of = |service: &str, domain: &str| ClusterSettings {
        service_name: service.into(),
        cluster_domain: domain.into(),
        ..ClusterSettings::of_tests()
    };
    let target = Target::parse(
        Some("Unidler.Tools.svc.example.org"),
        &of("unidler", "example.org"),
    )
    .expect("an address");
    assert_eq!(
        (&*target.address, &*target.namespace),
        ("unidler.tools.svc.example.org", "tools")
    );
    let default = Target::parse(None, &of("waker", "example.org")).expect("an address");
    assert_eq!(default.address, "waker.unidler.svc.example.org");
    for address in [
        "unidler",
        "unidler.tools",
        "unidler.example.org",
        "other.tools.svc.cluster.local",
        "unidler..svc",
        "a b",
        "unidler.tools.svc.evil.example",
    ] {
        assert!(
            Target::parse(Some(address), &ClusterSettings::of_tests()).is_err(),
            "{address}"
        );
    }
}

#[test]
fn a_dry_run_shows_both_patches() {
    let shown = plan_of(&[app()]).expect("a plan").to_string();
    for part in [
        "Service team/tool, merge patch:",
        "\"ExternalName\"",
        "Deployment team/tool, JSON patch:",
        "\"/spec/replicas\"",
    ] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
}

#[test]
fn an_app_is_idled_for_all_of_its_hosts() {
    let with_second_ingress = |port: Value| {
        let mut second = app();
        second.ingress["metadata"] = json!({ "name": "more", "namespace": "team" });
        second.ingress["spec"]["rules"][0]["host"] = json!("www.tool.example");
        second.ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = port;
        second.deployment["metadata"]["namespace"] = json!("elsewhere");
        second.service["metadata"]["namespace"] = json!("elsewhere");
        [app(), second]
    };
    assert!(plan_of(&with_second_ingress(json!({ "number": 80 }))).is_ok());
    let error = plan_of(&with_second_ingress(json!({ "number": 8080 })))
        .expect_err("its visitors would be cut off");
    assert!(
        error
            .to_string()
            .starts_with("Ingress team/more routes to port 8080 of Service team/tool"),
        "{error}"
    );
}

fn plan() -> ExternalNamePlan {
    ExternalNamePlan {
        app: AppId::new("team/tool/tool"),
        host: Host::parse("tool.example").expect("a host"),
        namespace: "team".into(),
        service: "tool".into(),
        divert: json!({}),
        kept: serde_json::from_value(json!({ "selector": { "app": "tool" }, "ports": [] }))
            .expect("a spec"),
        deployment: "tool".into(),
        scale: serde_json::from_value(json!([])).expect("a patch"),
        replicas: 2,
    }
}

fn refused(is_undone: bool) -> NotIdled {
    let write = Write::Idle {
        workload: ObjectId::new("Deployment team/tool"),
        version: Version(String::new()),
    };
    NotIdled {
        cause: Cause::Write(write, ApplyError::Forbidden("a policy".into())),
        is_undone,
    }
}

#[test]
fn what_could_not_be_done_is_named_and_that_nothing_is_left_of_it() {
    assert_eq!(
        plan().explained(&refused(true)).to_string(),
        "the app is as it was: cannot scale Deployment team/tool: the cluster forbids it: a policy"
    );
}

#[test]
fn what_could_not_be_undone_comes_with_the_command_that_does_it() {
    let text = plan().explained(&refused(false)).to_string();
    let command = "kubectl -n team patch service tool --type merge -p \
                   '{\"spec\":{\"externalName\":null,\"ports\":[],\"selector\":{\"app\":\"tool\"},\"type\":\"ClusterIP\"}}'";
    assert!(text.ends_with(command), "{text}");
}
