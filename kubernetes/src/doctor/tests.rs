use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{snapshot::Unseen, *};
use crate::{
    autoscalers::Autoscalers,
    caches::{Caches, Listed},
    controllers::Classes,
    listing::Listing,
    objects::Scalable,
    rights::{Right, rights},
    settings::ClusterSettings,
    surroundings::Surroundings,
};

/// The objects of an idled app, an unidler and an ingress class, which a test changes.
struct Cluster {
    ingresses: Vec<Value>,
    deployments: Vec<Value>,
    services: Vec<Value>,
    class: Value,
    http_routes: Vec<Value>,
    gateways: Vec<Value>,
    gateway_classes: Vec<Value>,
    slices: Vec<Value>,
    own_endpoints: Option<usize>,
    autoscalers: Vec<Value>,
    missing_rights: Vec<Right>,
    unseen: Vec<Unseen>,
}

fn metadata(namespace: &str, name: &str, labels: &Value) -> Value {
    json!({ "namespace": namespace, "name": name, "labels": labels, "annotations": {} })
}

fn healthy() -> Cluster {
    let key = json!({ "host": "tool.example" });
    let backend = json!({ "service": { "name": "tool", "port": { "name": "http" } } });
    let rule = json!({ "host": "tool.example", "http": { "paths": [{ "pathType": "Prefix", "path": "/", "backend": backend }] } });
    let kept = json!({ "selector": { "app": "tool" }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] });
    let mut service = metadata("team", "tool", &key);
    service["annotations"] = json!({ "mojanalytics.xyz/service-when-unidled": kept.to_string() });
    Cluster {
        ingresses: vec![
            json!({ "metadata": metadata("team", "tool", &key), "spec": { "ingressClassName": "web", "rules": [rule] } }),
        ],
        deployments: vec![json!({
            "metadata": metadata("team", "tool", &json!({ "host": "tool.example", "mojanalytics.xyz/idled": "true" })),
            "spec": {
                "replicas": 0, "selector": { "matchLabels": { "app": "tool" } },
                "template": { "metadata": { "labels": { "app": "tool" } }, "spec": { "containers": [{ "name": "tool" }] } },
            },
        })],
        services: vec![
            json!({
                "metadata": service,
                "spec": { "type": "ExternalName", "externalName": "unidler.unidler.svc.cluster.local" },
            }),
            json!({ "metadata": metadata("unidler", "unidler", &json!({})), "spec": {} }),
        ],
        class: json!({ "metadata": { "name": "web" }, "spec": { "controller": "haproxy-ingress.github.io/controller" } }),
        http_routes: Vec::new(),
        gateways: Vec::new(),
        gateway_classes: Vec::new(),
        slices: Vec::new(),
        own_endpoints: Some(2),
        autoscalers: Vec::new(),
        missing_rights: Vec::new(),
        unseen: Vec::new(),
    }
}

fn objects<T: DeserializeOwned>(json: Vec<Value>) -> Vec<T> {
    json.into_iter()
        .map(|object| serde_json::from_value(object).expect("an object"))
        .collect()
}

fn findings_of(change: impl FnOnce(&mut Cluster)) -> Vec<Finding> {
    findings(&snapshot_of(change))
}

fn snapshot_of(change: impl FnOnce(&mut Cluster)) -> Snapshot {
    let mut cluster = healthy();
    change(&mut cluster);
    let Cluster {
        ingresses,
        deployments,
        services,
        class,
        http_routes,
        gateways,
        gateway_classes,
        slices,
        own_endpoints,
        autoscalers,
        missing_rights,
        unseen,
    } = cluster;
    Snapshot {
        settings: ClusterSettings::of_tests(),
        account: Some("unidler:unidler".parse().expect("an account")),
        listing: Listing(Caches::of(
            Listed {
                ingresses: objects(ingresses),
                deployments: objects(deployments),
                services: objects(services),
                http_routes: objects(http_routes),
                gateways: objects(gateways),
                slices: objects(slices),
                ..Listed::default()
            },
            &ClusterSettings::of_tests(),
        )),
        surroundings: Surroundings {
            autoscalers: Autoscalers::of(objects(autoscalers)),
            classes: Classes {
                ingress: objects(vec![class]),
                gateway: objects(gateway_classes),
            },
            unseen: None,
        },
        own_endpoints,
        missing_rights,
        unseen,
    }
}

fn autoscaler(labels: &Value, min_replicas: i32) -> Value {
    json!({
        "metadata": metadata("team", "tool", labels),
        "spec": { "minReplicas": min_replicas, "maxReplicas": 3, "scaleTargetRef": { "kind": "Deployment", "name": "tool" } },
    })
}

#[test]
fn a_kind_that_is_named_and_not_there_is_told() {
    let mut snapshot = snapshot_of(|_| {});
    let sandboxes: Scalable = "sandboxes.v1.example.com".parse().expect("a kind");
    let rollouts = "rollouts.v1alpha1.argoproj.io".parse().expect("a kind");
    let listed = Listed {
        custom: vec![(rollouts, None), (sandboxes.clone(), None)],
        ..Listed::default()
    };
    let caches = Caches::of(listed, &snapshot.settings);
    snapshot.listing = Listing(caches);
    assert_eq!(kinds::findings(&snapshot), [], "nobody has named them");
    snapshot.settings.scalable = vec![sandboxes];
    let found = kinds::findings(&snapshot);
    let [Finding { what, fix, .. }] = &*found else {
        panic!("{found:?}")
    };
    assert!(what.contains("sandboxes.v1.example.com") && fix.contains("--api-group=example.com"));
}

/// A copy under another name.
fn twin(object: &Value) -> Value {
    let mut twin = object.clone();
    twin["metadata"]["name"] = json!("twin");
    twin
}

#[test]
fn a_healthy_cluster_is_silent_idled_or_awake() {
    assert_eq!(findings_of(|_| {}), []);
    let awake = findings_of(|cluster| {
        cluster.deployments[0]["metadata"]["labels"] = json!({ "host": "tool.example" });
        cluster.deployments[0]["spec"]["replicas"] = json!(1);
        cluster.services[0]["spec"] = json!({ "type": "ClusterIP", "selector": { "app": "tool" } });
    });
    assert_eq!(awake, []);
    let waking = findings_of(|cluster| cluster.deployments[0]["spec"]["replicas"] = json!(1));
    assert_eq!(waking, []);
    assert_eq!(text(&[]), "No problems found.");
}

/// An app needs no label but that of its Deployment, and may have as many hosts and Ingresses as it likes.
#[test]
fn an_app_that_is_found_is_well() {
    let unlabelled = findings_of(|cluster| {
        cluster.services[0]["metadata"]["labels"] = json!({});
        cluster.ingresses[0]["metadata"]["labels"] = json!({});
    });
    assert_eq!(unlabelled, []);
    let another_host = findings_of(|cluster| {
        cluster.ingresses[0]["spec"]["rules"][0]["host"] = json!("other.example");
    });
    assert_eq!(another_host, []);
    let twice = findings_of(|cluster| {
        let twin = twin(&cluster.ingresses[0]);
        cluster.ingresses.push(twin);
    });
    assert_eq!(twice, []);
    let stranger = findings_of(|cluster| {
        let mut stranger = cluster.ingresses[0].clone();
        stranger["metadata"]["namespace"] = json!("elsewhere");
        cluster.ingresses.push(stranger);
    });
    assert_eq!(stranger, []);
    let awake_without_labels = findings_of(|cluster| {
        cluster.services[0]["spec"] = json!({ "type": "ClusterIP", "selector": { "app": "tool" } });
        cluster.deployments[0]["spec"]["replicas"] = json!(1);
        cluster.deployments[0]["metadata"]["labels"] = json!({});
    });
    assert_eq!(awake_without_labels, []);
}

/// A fault of a cluster: its severity, the check that reports it, and a part of the fix.
type Fault = (fn(&mut Cluster), Severity, &'static str, &'static str);

#[test]
fn each_fault_is_told_once_with_its_fix() {
    use Severity::{Error, Note, Warning};
    let faults: &[Fault] = &[
        (
            |cluster| cluster.ingresses.clear(),
            Error,
            "host-not-served",
            "kubectl -n team edit ingress",
        ),
        (
            |cluster| {
                let mut stranger = [
                    &cluster.ingresses[0],
                    &cluster.deployments[0],
                    &cluster.services[0],
                ]
                .map(Clone::clone);
                for object in &mut stranger {
                    object["metadata"]["namespace"] = json!("elsewhere");
                }
                let [ingress, deployment, service] = stranger;
                cluster.ingresses.push(ingress);
                cluster.deployments.push(deployment);
                cluster.services.push(service);
            },
            Error,
            "host-duplicate",
            "a host of its own",
        ),
        (
            |cluster| {
                let twin = twin(&cluster.deployments[0]);
                cluster.deployments.push(twin);
            },
            Error,
            "key-duplicate",
            "label deployment NAME host-",
        ),
        (
            |cluster| {
                cluster.services[0]["metadata"]["annotations"] =
                    json!({ "mojanalytics.xyz/service-when-unidled": "{}" });
            },
            Error,
            "service-spec-lost",
            "annotate service tool",
        ),
        (
            |cluster| {
                cluster.services[0]["metadata"]["annotations"] = json!({});
                cluster.deployments[0]["spec"]["selector"] =
                    json!({ "matchExpressions": [{ "key": "app", "operator": "Exists" }] });
            },
            Error,
            "service-spec-lost",
            "annotate service tool",
        ),
        (
            |cluster| {
                cluster.services[0]["metadata"]["annotations"] = json!({});
                cluster.deployments[0]["spec"]["template"]["spec"]["containers"][0]["ports"] =
                    json!([{ "containerPort": 8080 }, { "containerPort": 9090 }]);
            },
            Error,
            "service-port-unclear",
            r#"mojanalytics.xyz/service-when-unidled='{"ports":[{"name":"http","port":80,"targetPort":3000}],"selector":{"app":"tool"}}' with"#,
        ),
        (
            |cluster| drop(cluster.services.pop()),
            Error,
            "unidler-missing",
            "kubectl apply -f deploy/",
        ),
        (
            |cluster| {
                cluster.services[0]["spec"] =
                    json!({ "type": "ClusterIP", "selector": { "app": "tool" } });
            },
            Error,
            "half-idled",
            "kubectl -n team scale deployment tool --replicas=1",
        ),
        (
            |cluster| {
                cluster.deployments[0]["metadata"]["labels"] = json!({ "host": "tool.example" });
            },
            Error,
            "half-idled",
            "kubectl -n team label deployment tool mojanalytics.xyz/idled=true",
        ),
        (
            |cluster| {
                cluster.ingresses[0]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
                    ["name"] = json!("front");
            },
            Error,
            "not-behind-ingress",
            "kubectl -n team edit ingress tool",
        ),
        (
            |cluster| {
                cluster.ingresses[0]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
                    ["port"] = json!({ "number": 8080 });
            },
            Error,
            "port-lost",
            "refer to it by that name in the Ingress",
        ),
        (
            |cluster| {
                cluster.missing_rights = rights(&ClusterSettings::of_tests())
                    .into_iter()
                    .filter(|right| right.verb == "patch")
                    .take(1)
                    .collect();
            },
            Error,
            "permission-missing",
            "kubectl apply -f deploy/rbac.yaml",
        ),
        (
            |cluster| {
                cluster.missing_rights = rights(&ClusterSettings::of_tests())
                    .into_iter()
                    .filter(|right| right.resource == "pods")
                    .collect();
            },
            Warning,
            "permission-missing",
            "kubectl apply -f deploy/rbac.yaml",
        ),
        (
            |cluster| cluster.class["spec"]["controller"] = json!("k8s.io/ingress-nginx"),
            Warning,
            "ingress-controller",
            "--forward always",
        ),
        (
            |cluster| {
                cluster.class = json!({
                    "metadata": { "name": "t", "annotations": { "ingressclass.kubernetes.io/is-default-class": "true" } },
                    "spec": { "controller": "traefik.io/ingress-controller" },
                });
                cluster.ingresses[0]["spec"]["ingressClassName"].take();
            },
            Warning,
            "ingress-controller",
            "allowexternalnameservices=true",
        ),
        (
            |cluster| {
                cluster.ingresses[0]["spec"]["ingressClassName"].take();
                cluster.ingresses[0]["metadata"]["annotations"] =
                    json!({ "kubernetes.io/ingress.class": "gce" });
            },
            Error,
            "ingress-controller",
            "ingress controller in the cluster",
        ),
        (
            |cluster| {
                let labels = &mut cluster.deployments[0]["metadata"]["labels"];
                labels["unidler-key"] = json!("tool.example");
            },
            Note,
            "label-misspelt",
            "unidler-key-",
        ),
        (
            |cluster| cluster.autoscalers = vec![autoscaler(&json!({}), 1)],
            Note,
            "autoscaler",
            "none needed",
        ),
        (
            |cluster| cluster.autoscalers = vec![autoscaler(&json!({}), 0)],
            Warning,
            "autoscaler",
            "kubectl -n team patch hpa tool",
        ),
        (
            |cluster| {
                cluster.autoscalers =
                    vec![autoscaler(&json!({ "scaledobject.keda.sh/name": "so" }), 1)];
            },
            Warning,
            "autoscaler",
            "annotate scaledobject so",
        ),
        (
            |cluster| {
                cluster.deployments[0]["metadata"]["annotations"] =
                    json!({ "argocd.argoproj.io/tracking-id": "tools:apps/Deployment:team/tool" });
            },
            Warning,
            "gitops-owner",
            "of Application tools",
        ),
        (
            |cluster| {
                cluster.services[0]["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] =
                    json!("tools");
            },
            Warning,
            "gitops-owner",
            "annotate service tool kustomize.toolkit.fluxcd.io/reconcile=disabled",
        ),
        (
            |cluster| {
                let metadata = &mut cluster.deployments[0]["metadata"];
                metadata["labels"]["app.kubernetes.io/instance"] = json!("tools");
                metadata["managedFields"] = json!([{ "manager": "argocd-controller" }]);
            },
            Warning,
            "gitops-owner",
            "of Application tools",
        ),
        (
            |cluster| {
                cluster.deployments[0]["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"] =
                    json!("tools");
            },
            Warning,
            "gitops-owner",
            "spec.driftDetection.ignore",
        ),
        (
            |cluster| {
                cluster.class["spec"]["controller"] =
                    json!("webapprouting.kubernetes.azure.com/nginx");
            },
            Warning,
            "ingress-controller",
            "--forward always",
        ),
        (
            |cluster| {
                cluster.unseen = vec![Unseen {
                    what: "IngressClasses",
                    error: "forbidden".into(),
                }];
            },
            Warning,
            "not-looked-at",
            "as a cluster administrator",
        ),
    ];
    for (change, severity, check, fix) in faults {
        let found = findings_of(change);
        let [only] = &*found else {
            panic!("{check}: {found:#?}")
        };
        assert_eq!(
            (only.severity, only.check),
            (*severity, *check),
            "{only:#?}"
        );
        assert!(only.fix.contains(fix), "{only:#?}\nis not: {fix}");
    }
}

/// What it warns of is what a wake-up refuses to guess.
#[test]
fn doctor_and_a_wake_up_agree_on_the_port_that_an_app_is_restored_to() {
    let tcp = |port: u16| json!({ "containerPort": port });
    let udp = |port: u16| json!({ "containerPort": port, "protocol": "UDP" });
    for (ports, restored) in [
        (json!([tcp(8080), udp(53)]), Some(8080)),
        (json!([udp(53), udp(8125)]), Some(3000)),
        (json!([tcp(3000), tcp(8080), udp(53)]), Some(3000)),
        (json!([tcp(8080), tcp(9090), udp(53)]), None),
    ] {
        let snapshot = snapshot_of(|cluster| {
            cluster.services[0]["metadata"]["annotations"] = json!({});
            cluster.deployments[0]["spec"]["template"]["spec"]["containers"][0]["ports"] =
                ports.clone();
        });
        let checks: Vec<_> = findings(&snapshot)
            .iter()
            .map(|finding| finding.check)
            .collect();
        let warned: &[_] = match restored {
            Some(_) => &[],
            None => &["service-port-unclear"],
        };
        assert_eq!(checks, warned, "{ports}");
        let apps = snapshot.listing.0.apps();
        let to = apps[0].when_unidled(&apps[0].services[0].value);
        let port = to
            .ok()
            .map(|service| json!(service)["ports"][0]["targetPort"].take());
        assert_eq!(port, restored.map(|port: u16| json!(port)), "{ports}");
    }
}

#[test]
fn what_is_no_ones_business_is_not_told() {
    let helm = json!({ "host": "tool.example", "app.kubernetes.io/managed-by": "Helm", "mojanalytics.xyz/idled": "true" });
    assert_eq!(
        findings_of(|cluster| cluster.deployments[0]["metadata"]["labels"] = helm),
        []
    );
    let elsewhere = findings_of(|cluster| {
        let mut other = autoscaler(&json!({}), 0);
        other["spec"]["scaleTargetRef"]["name"] = json!("other");
        cluster.autoscalers = vec![other];
        cluster.services.push(json!({
            "metadata": metadata("team", "db", &json!({})),
            "spec": { "type": "ExternalName", "externalName": "db.example" },
        }));
    });
    assert_eq!(elsewhere, []);
}

/// The commands know an app by what the server knows it by.
#[test]
fn an_object_that_is_being_deleted_is_gone_and_each_key_label_counts() {
    let leaving = findings_of(|cluster| {
        let mut leaving = twin(&cluster.deployments[0]);
        leaving["metadata"]["labels"] = json!({ "mojanalytics.xyz/idled": "true" });
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        cluster.deployments.push(leaving);
    });
    assert_eq!(leaving, []);
    let rstudio = findings_of(|cluster| {
        cluster.deployments[0]["metadata"]["labels"] =
            json!({ "unidler-key": "tool.example", "mojanalytics.xyz/idled": "true" });
        cluster.ingresses.clear();
        cluster.services.remove(0);
    });
    let [only] = &*rstudio else {
        panic!("{rstudio:#?}")
    };
    assert_eq!(only.check, "host-not-served");
}

#[test]
fn the_worst_comes_first_and_each_has_its_lines() {
    let found = findings_of(|cluster| {
        cluster.autoscalers = vec![autoscaler(&json!({}), 1)];
        cluster.missing_rights = rights(&ClusterSettings::of_tests())
            .into_iter()
            .filter(|right| right.resource == "services")
            .collect();
    });
    assert_eq!(
        text(&found),
        "error: ServiceAccount unidler/unidler lacks permission to list, watch, patch services in all namespaces [permission-missing]\n  \
         why: Apps whose Service is an ExternalName cannot be woken. No app is found, so none is woken.\n  \
         fix: kubectl apply -f deploy/rbac.yaml, which has the rule {apiGroups: [\"\"], resources: [\"services\"], verbs: [list, watch, patch]}; \
         or pass the account that unidler runs as with --service-account\n\n\
         note: HorizontalPodAutoscaler team/tool scales Deployment team/tool, which belongs to an app [autoscaler]\n  \
         why: It is inactive while the app is idled, and resumes from the restored replicas.\n  \
         fix: none needed if this is intended\n"
    );
}

/// The rights that are looked at are those that are shipped.
#[test]
fn the_rights_are_those_of_the_shipped_role() {
    let list = |line: &str, name: &str| -> Option<Vec<String>> {
        let list = line
            .trim()
            .trim_start_matches("- ")
            .strip_prefix(name)?
            .trim()
            .strip_prefix('[')?
            .strip_suffix(']')?;
        Some(
            list.split(',')
                .map(|item| item.trim().trim_matches('"').to_owned())
                .collect(),
        )
    };
    let mut shipped = Vec::new();
    let (mut groups, mut resources) = (Vec::new(), Vec::new());
    for line in include_str!("../../../deploy/rbac.yaml").lines() {
        if let Some(found) = list(line, "apiGroups:") {
            groups = found;
        } else if let Some(found) = list(line, "resources:") {
            resources = found;
        } else if let Some(verbs) = list(line, "verbs:") {
            let each =
                |verb: &String| format!("{}/{} {verb}", groups.join(","), resources.join(","));
            shipped.extend(verbs.iter().map(each).collect::<Vec<_>>());
        }
    }
    let looked_at = rights(&ClusterSettings::of_tests())
        .into_iter()
        .map(|right| format!("{}/{} {}", right.group, right.resource, right.verb));
    assert_eq!(shipped, looked_at.collect::<Vec<_>>());
}

/// The same app, asleep by an `EndpointSlice`.
fn asleep_by_slice(cluster: &mut Cluster) {
    let record = json!({
        "v": 1, "phase": "asleep", "since": "2026-01-01T00:00:00Z", "by": "cli",
        "workloads": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "tool", "uid": "", "replicas": 1, "generation": 1 }],
    });
    cluster.deployments[0]["metadata"] = metadata("team", "tool", &json!({}));
    cluster.services[0] = json!({
        "metadata": metadata("team", "tool", &json!({})),
        "spec": { "clusterIP": "10.0.0.1", "selector": { "app": "tool" }, "ports": [{ "name": "http", "port": 80 }] },
    });
    cluster.services[1]["spec"] =
        json!({ "clusterIP": "10.0.0.9", "ports": [{ "name": "http", "port": 80 }] });
    let labels = json!({ "kubernetes.io/service-name": "tool", "endpointslice.kubernetes.io/managed-by": "unidler" });
    let mut slice = metadata("team", "tool-unidler", &labels);
    slice["annotations"] = json!({ "unidler/record": record.to_string() });
    cluster.slices = vec![json!({
        "metadata": slice, "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.9"] }],
        "ports": [{ "name": "http", "port": 80 }],
    })];
}

/// The same behind an `HTTPRoute`, which a Gateway has accepted.
fn behind_http_route(cluster: &mut Cluster) {
    asleep_by_slice(cluster);
    cluster.ingresses.clear();
    let parent = json!({ "name": "web", "namespace": "gateway" });
    cluster.http_routes = vec![json!({
        "metadata": metadata("team", "tool", &json!({})),
        "spec": {
            "parentRefs": [parent], "hostnames": ["tool.example"],
            "rules": [{ "backendRefs": [{ "name": "tool", "port": 80 }] }],
        },
        "status": { "parents": [{ "parentRef": parent, "conditions": [{ "type": "Accepted", "status": "True" }] }] },
    })];
    let listener = json!({ "name": "web", "protocol": "HTTP", "port": 80, "allowedRoutes": { "namespaces": { "from": "All" } } });
    cluster.gateways = vec![json!({
        "metadata": metadata("gateway", "web", &json!({})),
        "spec": { "gatewayClassName": "class", "listeners": [listener] },
    })];
    cluster.gateway_classes = vec![
        json!({ "metadata": { "name": "class" }, "spec": { "controllerName": "traefik.io/gateway-controller" } }),
    ];
}

fn checks(change: impl FnOnce(&mut Cluster)) -> Vec<(Severity, &'static str)> {
    let findings = findings_of(|cluster| {
        change(cluster);
        cluster.missing_rights = rights(&ClusterSettings::of_tests())
            .into_iter()
            .filter(|right| right.optional)
            .collect();
    });
    let other = findings
        .iter()
        .filter(|finding| finding.check != "permission-missing");
    other
        .map(|finding| (finding.severity, finding.check))
        .collect()
}

#[test]
fn an_app_that_sleeps_by_a_slice_is_well() {
    assert_eq!(checks(asleep_by_slice), []);
    assert_eq!(checks(behind_http_route), []);
}

#[test]
fn permissions_that_no_app_needs_are_named_once_apps_sleep_by_slices() {
    let found = findings_of(asleep_by_slice);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].check, "permission-unneeded");
    assert!(found[0].fix.contains("compatibility.externalName: false"));
}

#[test]
fn what_keeps_visitors_of_a_sleeping_app_from_unidler_is_found() {
    use Severity::{Error, Warning};
    type Change = fn(&mut Cluster);
    let cases: [(Change, Severity, &str); 9] = [
        (
            |cluster| cluster.own_endpoints = Some(0),
            Error,
            "unidler-not-ready",
        ),
        (
            |cluster| drop(cluster.services.remove(1)),
            Error,
            "unidler-missing",
        ),
        (
            |cluster| drop(cluster.services.remove(0)),
            Warning,
            "slice-without-service",
        ),
        (
            |cluster| cluster.deployments.clear(),
            Error,
            "workload-gone",
        ),
        (
            |cluster| cluster.services[0]["spec"]["publishNotReadyAddresses"] = json!(true),
            Error,
            "asleep-unfit",
        ),
        (
            |cluster| cluster.services[0]["spec"]["ports"][0]["port"] = json!(443),
            Error,
            "asleep-unfit",
        ),
        (
            |cluster| {
                cluster.ingresses[0]["metadata"]["annotations"] =
                    json!({ "nginx.ingress.kubernetes.io/service-upstream": "true" });
            },
            Error,
            "asleep-unfit",
        ),
        (
            |cluster| cluster.class["spec"]["controller"] = json!("ingress.k8s.aws/alb"),
            Error,
            "ingress-controller",
        ),
        (
            |cluster| {
                let mut claim = cluster.ingresses[0].clone();
                claim["metadata"] = metadata("other", "claim", &json!({}));
                let service = json!({
                    "metadata": metadata("other", "tool", &json!({})),
                    "spec": { "clusterIP": "10.0.0.2", "selector": { "app": "other" }, "ports": [{ "name": "http", "port": 80 }] },
                });
                cluster.ingresses.push(claim);
                cluster.services.push(service);
            },
            Warning,
            "host-contested",
        ),
    ];
    for (change, severity, check) in cases {
        let found = checks(|cluster| {
            asleep_by_slice(cluster);
            change(cluster);
        });
        assert!(found.contains(&(severity, check)), "{check}: {found:?}");
    }
}

/// Controllers that do not take an `ExternalName` may well take the slice.
#[test]
fn each_form_has_a_verdict_of_its_own() {
    let nginx = |cluster: &mut Cluster| {
        cluster.class["spec"]["controller"] = json!("nginx.org/ingress-controller");
    };
    let by_external_name = checks(nginx);
    assert_eq!(by_external_name, [(Severity::Error, "ingress-controller")]);
    let by_slice = checks(|cluster| {
        asleep_by_slice(cluster);
        nginx(cluster);
    });
    assert_eq!(by_slice, []);
}

#[test]
fn what_an_http_route_does_not_serve_is_found() {
    type Change = fn(&mut Cluster);
    let cases: [(Change, &str, &str); 4] = [
        (
            |cluster| cluster.http_routes[0]["status"] = json!({}),
            "route-not-served",
            "No Gateway has accepted HTTPRoute team/tool",
        ),
        (
            |cluster| {
                cluster.gateways[0]["spec"]["listeners"][0]["hostname"] =
                    json!("*.elsewhere.example");
            },
            "route-not-served",
            "names tool.example, which no listener",
        ),
        (
            |cluster| {
                cluster.http_routes[0]["spec"]["rules"][0]["backendRefs"][0]["namespace"] =
                    json!("other");
            },
            "route-not-served",
            "no ReferenceGrant there",
        ),
        (
            |cluster| {
                cluster.gateway_classes[0]["spec"]["controllerName"] =
                    json!("networking.gke.io/gateway");
            },
            "ingress-controller",
            "GatewayClass class (controller networking.gke.io/gateway) serves tool.example",
        ),
    ];
    for (change, check, what) in cases {
        let found = findings_of(|cluster| {
            behind_http_route(cluster);
            change(cluster);
        });
        assert!(
            found
                .iter()
                .any(|finding| finding.check == check && finding.what.contains(what)),
            "{what}: {found:?}"
        );
    }
}

#[test]
fn what_cannot_be_read_of_the_sleep_of_an_app_is_said() {
    let found = findings_of(|cluster| {
        let mut metadata = metadata("team", "tool", &json!({}));
        metadata["annotations"] = json!({ "unidler/probe": "healthz", "unidler/idle-after": "2h" });
        let deployment = json!({ "metadata": metadata, "spec": { "replicas": 1, "selector": {}, "template": {} } });
        cluster.deployments.push(deployment);
    });
    let unreadable: Vec<_> = found
        .iter()
        .filter(|finding| finding.check == "sleep-unreadable")
        .map(|finding| &*finding.what)
        .collect();
    assert_eq!(
        unreadable,
        [
            "An annotation of Deployment team/tool cannot be read: unidler/probe: \"healthz\" is not a method, a path and a \
             status from 200 to 599, such as GET /healthz 200"
        ]
    );
}

#[test]
fn what_a_workload_says_of_others_is_checked() {
    use Severity::Warning;
    let deployment = |namespace: &str, name: &str, replicas: i32, annotations: Value| {
        let mut metadata = metadata(namespace, name, &json!({}));
        metadata["annotations"] = annotations;
        json!({ "metadata": metadata, "spec": { "replicas": replicas, "selector": {}, "template": {} } })
    };
    let told = |deployments: &[Value]| {
        let findings = findings_of(|cluster| cluster.deployments.extend_from_slice(deployments));
        let told = findings.into_iter().map(
            |Finding {
                 severity,
                 check,
                 fix,
                 ..
             }| {
                assert_eq!(severity, Warning, "{check}");
                (check, fix)
            },
        );
        told.collect::<Vec<_>>()
    };
    let needs = |needs: &str| deployment("team", "user", 1, json!({ "unidler/needs": needs }));
    let shared = |more: Value| deployment("shared", "redis", 1, more);
    let fix = |check, fix: &str| vec![(check, fix.to_owned())];
    assert_eq!(
        told(&[
            needs("shared/deployment/redis"),
            shared(json!({ "unidler/needed-by": "team" }))
        ]),
        []
    );
    assert_eq!(
        told(&[needs("shared/deployment/redis"), shared(json!({}))]),
        fix(
            "need-not-granted",
            "kubectl -n shared annotate deployment redis --overwrite unidler/needed-by=team"
        )
    );
    assert_eq!(
        told(&[needs("deployment/gone")]),
        fix(
            "need-missing",
            "kubectl -n team annotate deployment user --overwrite unidler/needs=KIND/NAME"
        )
    );
    assert_eq!(
        told(&[needs("kube-system/deployment/dns")])[0].0,
        "need-protected"
    );
    assert_eq!(told(&[needs("gone")])[0].0, "bond-unreadable");
    assert_eq!(
        told(&[
            needs("deployment/db"),
            deployment("team", "db", 0, json!({}))
        ]),
        fix(
            "need-switched-off",
            "kubectl -n team scale deployment db --replicas=1"
        )
    );
    let mut asleep = deployment("team", "db", 0, json!({}));
    asleep["metadata"]["managedFields"] = json!([{
        "manager": "unidler", "operation": "Apply", "fieldsV1": { "f:spec": { "f:replicas": {} } },
    }]);
    assert_eq!(
        told(&[needs("deployment/db"), asleep]),
        fix(
            "need-asleep",
            "kubectl -n team scale deployment db --replicas=1"
        )
    );
    let circle = deployment(
        "team",
        "db",
        1,
        json!({ "unidler/needs": "deployment/user" }),
    );
    let circles = told(&[needs("deployment/db"), circle]);
    assert_eq!(
        circles.iter().map(|(check, _)| *check).collect::<Vec<_>>(),
        ["need-circle"; 2]
    );
    let worker = |of: &str| deployment("team", "worker", 1, json!({ "unidler/of": of }));
    assert_eq!(told(&[worker("tool")]), []);
    assert_eq!(
        told(&[worker("statefulset/tool")]),
        fix(
            "worker-of-nothing",
            "kubectl -n team annotate deployment worker --overwrite unidler/of=KIND/NAME"
        )
    );
}
