use serde_json::{Value, json};

use super::*;
use crate::{
    cache::Cache,
    caches::Listed,
    diversion::slice::Slice,
    objects::{Gateway, Grant, HttpRoute, Namespace, OwnService, ScaledObject},
    settings::ClusterSettings,
};

/// The objects of a cluster, in short: `KIND NAMESPACE/NAME WORD=VALUE…`.
///
/// Of an Ingress: `key`, `alias` and rules `HOST>SERVICE`. Of a workload: `key`, `rstudio`, `idled`, `pods` that
/// all Services select, or those that select just this, `taken` by unidler, `woken` by it as of a generation, `off`, `needs`, `of` and `needed-by`. Of a Service:
/// `key`, `selects` and `here`. Of a slice: the workloads that it has recorded, `on=KIND:NAME,…` while it leads here and `off=KIND:NAME,…`
/// afterwards, or `adopted` before it. A route or a Namespace, whose namespace is its own, can `adopt`, and a workload have a `mark` or be
/// `controlled` by something. Of a `ScaledObject`: which Deployment it `scales`, at how many replicas it is `paused`, and its `min`imum.
/// Anything can be `leaving`.
fn caches(cluster: &[&str]) -> Caches {
    let (mut ingresses, mut deployments, mut services) = (Vec::new(), Vec::new(), Vec::new());
    let (mut stateful_sets, mut slices, mut namespaces) = (Vec::new(), Vec::new(), Vec::new());
    let mut scaled_objects = Vec::new();
    for line in cluster {
        let mut words = line.split(' ');
        let (kind, id) = (words.next().expect("a kind"), words.next().expect("a name"));
        let (namespace, name) = id.split_once('/').expect("a namespace and a name");
        let mut metadata =
            json!({ "namespace": namespace, "name": name, "labels": {}, "annotations": {} });
        let (mut rules, mut spec) = (Vec::new(), json!({ "selector": { "app": "tool" } }));
        let mut endpoints = json!([]);
        let (mut pods, mut replicas) = (json!({}), None);
        for word in words.filter(|word| !word.is_empty()) {
            match word.split_once('=').unwrap_or((word, "")) {
                ("key", key) => metadata["labels"]["host"] = json!(key),
                ("rstudio", key) => metadata["labels"]["unidler-key"] = json!(key),
                ("alias", hosts) => {
                    metadata["annotations"]["nginx.ingress.kubernetes.io/server-alias"] =
                        json!(hosts);
                }
                ("born", year) => {
                    metadata["creationTimestamp"] = json!(format!("{year}-01-01T00:00:00Z"));
                }
                ("pods", "") => pods = json!({ "metadata": { "labels": { "app": "tool" } } }),
                ("pods", app) => pods = json!({ "metadata": { "labels": { "app": app } } }),
                ("selects", app) => spec["selector"] = json!({ "app": app }),
                ("scales", name) => spec["scaleTargetRef"] = json!({ "name": name }),
                ("min", count) => {
                    spec["minReplicaCount"] = json!(count.parse::<u32>().expect("a number"));
                }
                ("paused", count) => {
                    metadata["annotations"]["autoscaling.keda.sh/paused-replicas"] = json!(count);
                }
                ("off", "") => replicas = Some(0),
                ("mark", text) => {
                    metadata["annotations"]["downscaler/original-replicas"] = json!(text);
                }
                (name @ ("needs" | "of" | "needed-by" | "adopt"), text) => {
                    metadata["annotations"][format!("unidler/{name}")] = json!(text);
                }
                ("taken", _) => {
                    replicas = Some(0);
                    metadata["managedFields"] = json!([{
                        "manager": "unidler", "operation": "Apply", "fieldsV1": { "f:spec": { "f:replicas": {} } },
                    }]);
                }
                ("woken", generation) => {
                    metadata["generation"] = json!(generation.parse::<i64>().expect("a number"));
                    metadata["managedFields"] = json!([{
                        "manager": "unidler", "operation": "Update", "subresource": "scale",
                        "fieldsV1": { "f:spec": { "f:replicas": {} } },
                    }]);
                    replicas = Some(2);
                }
                ("controlled", _) => {
                    let owner = json!({ "apiVersion": "example.org/v1", "kind": "Tool", "name": "tool", "uid": "t", "controller": true });
                    metadata["ownerReferences"] = json!([owner]);
                }
                ("idled", _) => metadata["labels"]["mojanalytics.xyz/idled"] = json!("true"),
                ("leaving", _) => metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
                (how @ ("on" | "adopted"), workloads) => {
                    let by = if how == "on" { "cli" } else { "adopt" };
                    let record =
                        record(workloads).replace(r#""by":"cli""#, &format!(r#""by":"{by}""#));
                    metadata["annotations"]["unidler/record"] = json!(record);
                    endpoints = json!([{ "addresses": ["10.0.0.1"] }]);
                }
                ("off", workloads) => {
                    metadata["annotations"]["unidler/history"] = json!(record(workloads));
                }
                ("here", _) => {
                    spec = json!({ "type": "ExternalName", "externalName": "unidler.unidler.svc.cluster.local" });
                }
                (rule, _) => {
                    let (host, service) = rule.split_once('>').expect("a rule");
                    let backend =
                        json!({ "service": { "name": service, "port": { "name": "http" } } });
                    rules.push(json!({ "host": host, "http": { "paths": [{ "path": "/", "backend": backend }] } }));
                }
            }
        }
        match kind {
            "ingress" => {
                ingresses.push(json!({ "metadata": metadata, "spec": { "rules": rules } }));
            }
            "deployment" => deployments
                .push(json!({ "metadata": metadata, "spec": { "replicas": replicas, "selector": {}, "template": pods } })),
            "statefulset" => stateful_sets
                .push(json!({ "metadata": metadata, "spec": { "replicas": replicas, "selector": {}, "serviceName": "", "template": pods } })),
            "slice" => {
                metadata["labels"]["kubernetes.io/service-name"] =
                    json!(name.strip_suffix("-unidler").expect("the name of a slice"));
                slices.push(json!({ "metadata": metadata, "addressType": "IPv4", "endpoints": endpoints }));
            }
            "namespace" => {
                metadata["namespace"] = Value::Null;
                namespaces.push(json!({ "metadata": metadata }));
            }
            "scaledobject" => scaled_objects.push(json!({ "metadata": metadata, "spec": spec })),
            _ => services.push(json!({ "metadata": metadata, "spec": spec })),
        }
    }
    fn objects<K: serde::de::DeserializeOwned>(json: Vec<Value>) -> Vec<K> {
        json.into_iter()
            .map(|object| serde_json::from_value(object).expect("an object"))
            .collect()
    }
    services.push(json!({
        "metadata": { "namespace": "unidler", "name": "unidler" },
        "spec": { "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{ "name": "http", "port": 80 }] },
    }));
    let own = OwnService {
        name: "unidler".into(),
        domain: "cluster.local".into(),
    };
    Caches {
        ingresses: Cache::of(objects(ingresses), "host", Route::of_ingress),
        deployments: Cache::of(objects(deployments), "host", |each| {
            Workload::parse(each, "unidler")
        }),
        stateful_sets: Cache::of(objects(stateful_sets), "host", |each| {
            Workload::parse_stateful_set(each, "unidler")
        }),
        services: Cache::of(objects(services), "host", |service| {
            Service::parse(service, &own)
        }),
        slices: Cache::of(objects(slices), "host", Slice::parse),
        namespaces: Some(Cache::of(objects(namespaces), "host", Namespace::parse)),
        scaled_objects: Some(Cache::of(
            objects(scaled_objects),
            "host",
            ScaledObject::parse,
        )),
        ..Caches::of(Listed::default(), &ClusterSettings::of_tests())
    }
}

/// What a slice records of workloads: as a record and as a history at once.
fn record(workloads: &str) -> String {
    let workloads = workloads.split(',').map(|workload| {
        let (kind, name) = workload.split_once(':').expect("a kind and a name");
        json!({ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "replicas": 2, "generation": 1 })
    });
    let time = "2026-01-01T00:00:00Z";
    json!({
        "v": 1, "workloads": workloads.collect::<Value>(), "phase": "idling", "since": time, "by": "cli",
        "idled": time, "woken": time,
    })
    .to_string()
}

/// The workloads of the app that a host leads to.
fn workloads_of(cluster: &[&str], host: &str) -> Result<Vec<String>, Reason> {
    let host = Host::parse(host).expect("a host");
    let found = caches(cluster).find(&host).map_err(|error| error.reason)?;
    Ok(found.workloads.iter().map(ToString::to_string).collect())
}

#[test]
fn an_app_that_a_slice_leads_here_needs_no_label() {
    let app = |slice: &'static str| {
        [
            "ingress a/tool born=2024 tool.example>web tool.example>api",
            "service a/web",
            "service a/api",
            "deployment a/front taken",
            "statefulset a/db taken",
            slice,
        ]
    };
    let found = |slice| workloads_of(&app(slice), "tool.example");
    assert_eq!(
        found("service a/none"),
        Err(Reason::NoRoute),
        "without a slice"
    );
    let front = Ok(vec!["Deployment a/front".to_owned()]);
    assert_eq!(found("slice a/web-unidler on=Deployment:front"), front);
    assert_eq!(
        found("slice a/web-unidler off=Deployment:front"),
        front,
        "awake"
    );
    assert_eq!(
        found("slice a/api-unidler on=StatefulSet:db,Deployment:front"),
        Ok(vec![
            "Deployment a/front".to_owned(),
            "StatefulSet a/db".to_owned()
        ])
    );
    assert_eq!(
        found("slice a/web-unidler on=Deployment:gone"),
        Err(Reason::NoWorkload)
    );
}

#[test]
fn what_something_else_has_put_to_sleep_is_adopted_where_its_operators_want_that() {
    // How many replicas the app is to get back, if it is led here by the sweep.
    let adopted = |route: &str, namespace: &str, workload: &str| {
        let route = format!("ingress a/web web.test>web {route}");
        let namespace = format!("namespace a/a {namespace}");
        let workload = format!("deployment a/web pods=web {workload}");
        let cluster = [
            route.trim(),
            namespace.trim(),
            &workload,
            "service a/web selects=web",
        ];
        let caches = caches(&cluster);
        let lost = caches.lost();
        let workload = lost.first().map(|found| Arc::clone(&found.workloads[0]));
        let gets = workload.map(|workload| lost[0].replicas_to_restore(&workload, 10));
        assert_eq!(
            caches.apps().len(),
            lost.len(),
            "the sweep sees it: {cluster:?}"
        );
        gets.flatten()
    };
    for (route, namespace, workload, replicas) in [
        ("adopt=zero", "", "off", Some(1)),
        ("", "adopt=zero", "off", Some(1)),
        ("", "adopt=zero", "off mark=3", Some(3)),
        ("", "adopt=marked", "off mark=3", Some(3)),
        ("", "adopt=marked", "off mark=30", None),
        ("", "adopt=marked", "off", None),
        ("", "adopt=marked", "mark=3", None),
        ("", "", "off mark=3", None),
        ("adopt=never", "adopt=zero", "off mark=3", None),
        ("adopt=marked", "adopt=never", "off mark=3", None),
        ("adopt=marked", "adopt=zero", "off", None),
        ("adopt=zero", "adopt=marked", "off", Some(1)),
        ("", "adopt=zero", "off adopt=never", None),
        ("", "adopt=zero", "off controlled", None),
        ("adopt=yes", "adopt=zero", "off mark=3", None),
        ("", "adopt=zero", "idled off mark=3", None),
    ] {
        let told = adopted(route, namespace, workload);
        assert_eq!(told, replicas, "{route}; {namespace}; {workload}");
    }
}

/// What KEDA scales is its own to wake, unless somebody has had it keep the workload at 0.
#[test]
fn what_keda_keeps_at_zero_is_adopted_and_what_it_has_taken_there_is_not() {
    for (adopt, scaled_object, wanted) in [
        ("marked", "scales=web paused=0 min=2", Some(2)),
        ("marked", "scales=web paused=0", Some(1)),
        ("zero", "scales=web paused=0 min=2", Some(2)),
        ("marked", "scales=web paused=0 min=30", None),
        ("marked", "scales=web", None),
        ("zero", "scales=web", None),
        ("zero", "scales=web min=2", None),
        ("zero", "scales=other", Some(1)),
        ("marked", "scales=web paused=2", None),
        ("zero", "scales=web paused=2", Some(1)),
        ("zero", "scales=web paused=0 min=2 mark=-1", Some(2)),
        ("zero", "scales=web paused=0 mark=-1", None),
    ] {
        let caches = caches(&[
            &format!("namespace a/a adopt={adopt}"),
            "ingress a/web web.test>web",
            "service a/web selects=web",
            "deployment a/web pods=web off",
            &format!("scaledobject a/any {scaled_object}"),
            "scaledobject b/other scales=web paused=0 min=7",
        ]);
        let lost = caches.lost();
        let replicas = lost.first().and_then(|found| {
            let workload = &found.workloads[0];
            found.replicas_to_restore(workload, 10)
        });
        assert_eq!(replicas, wanted, "{adopt}; {scaled_object}");
    }
}

/// Whatever has put the app to sleep need not have told KEDA about all of it.
#[test]
fn what_keda_does_not_scale_wakes_with_what_it_keeps_at_zero() {
    let gets = |adopt: &str| {
        let caches = caches(&[
            &format!("namespace a/a adopt={adopt}"),
            "ingress a/web web.test>web",
            "service a/web selects=web",
            "deployment a/web pods=web off",
            "deployment a/worker of=web off",
            "scaledobject a/web scales=web paused=0 min=2",
        ]);
        let lost = caches.lost();
        let found = lost.first().expect("an app that is adopted");
        let workloads = found.workloads.iter();
        workloads
            .map(|workload| {
                (
                    workload.name.clone(),
                    found.replicas_to_restore(workload, 10),
                )
            })
            .collect::<Vec<_>>()
    };
    let [web, worker] = ["web", "worker"].map(str::to_owned);
    assert_eq!(
        gets("zero"),
        [(web.clone(), Some(2)), (worker.clone(), Some(1))]
    );
    assert_eq!(gets("marked"), [(web, Some(2)), (worker, None)]);
}

/// KEDA's workers and needs are left to it, and keep nobody's app asleep.
#[test]
fn what_keda_scales_of_an_app_is_left_alone() {
    let gets = |others: &[&str]| {
        let mut cluster = vec![
            "namespace a/a adopt=zero",
            "ingress a/web web.test>web",
            "service a/web selects=web",
        ];
        cluster.extend(others);
        let lost = caches(&cluster).lost();
        let adopted = lost.first().into_iter().flat_map(|found| {
            let parts = found.workloads.iter().chain(&found.group.needs);
            let gets = parts.map(|part| (part.name.clone(), found.replicas_to_restore(part, 10)));
            gets.collect::<Vec<_>>()
        });
        adopted.collect::<Vec<_>>()
    };
    let [web, api] = ["web", "api"].map(str::to_owned);
    let scaled = "scaledobject a/api scales=api";
    let web_alone = "deployment a/web pods=web off";
    assert_eq!(
        gets(&[web_alone, "deployment a/api of=web off", scaled]),
        [(api.clone(), None), (web.clone(), Some(1))],
        "a worker"
    );
    assert_eq!(
        gets(&[
            "deployment a/web pods=web off needs=deployment/api",
            "deployment a/api off",
            scaled
        ]),
        [(web, Some(1)), (api, None)],
        "a need"
    );
    assert_eq!(
        gets(&[web_alone, "deployment a/api pods=web off", scaled]),
        [],
        "behind the Service"
    );
}

#[test]
fn an_app_is_given_up_when_keda_scales_it_again() {
    let is_given_up = |scaled_object: &str| {
        let caches = caches(&[
            "namespace a/a adopt=marked",
            "ingress a/web web.test>web",
            "service a/web selects=web",
            "slice a/web-unidler adopted=Deployment:web",
            "deployment a/web pods=web off",
            &format!("scaledobject a/web scales=web {scaled_object}"),
        ]);
        let found = caches.find(&Host::parse("web.test").expect("a host"));
        found.expect("an app").is_given_up()
    };
    assert!(!is_given_up("paused=0"));
    assert!(is_given_up(""));
}

#[test]
fn nothing_is_adopted_of_the_cluster_itself_nor_what_is_beside_something_that_is_awake() {
    let lost = |cluster: &[&str]| caches(cluster).lost().len();
    for (namespace, others, wanted) in [
        ("a", &[][..], 1),
        ("unidler", &[], 0),
        ("kube-system", &[], 0),
        ("a", &["deployment a/other pods=web"], 0),
        // Another way to the same workload.
        (
            "a",
            &[
                "ingress a/admin admin.test>admin adopt=never",
                "service a/admin selects=web",
            ],
            0,
        ),
        (
            "a",
            &[
                "ingress b/admin admin.test>admin adopt=never",
                "service a/admin selects=web",
            ],
            1,
        ),
        // Switched off by itself.
        ("a", &["deployment a/other pods=web off"], 1),
        ("a", &["ingress b/web web.test>web adopt=never"], 1),
    ] {
        let own = [
            format!("namespace x/{namespace} adopt=marked"),
            format!("ingress {namespace}/web web.test>web"),
            format!("service {namespace}/web selects=web"),
            format!("deployment {namespace}/web pods=web off mark=2"),
        ];
        let cluster: Vec<_> = own
            .iter()
            .map(String::as_str)
            .chain(others.iter().copied())
            .collect();
        assert_eq!(lost(&cluster), wanted, "{cluster:?}");
    }
}

#[test]
fn what_is_off_beside_what_is_known_to_have_been_up_was_off_before() {
    let gets = |namespace: &str, workloads: &[&str]| {
        let namespace = format!("namespace x/a adopt={namespace}");
        let own = [
            &*namespace,
            "ingress a/web web.test>web",
            "service a/web selects=web",
        ];
        let cluster: Vec<_> = own.into_iter().chain(workloads.iter().copied()).collect();
        let caches = caches(&cluster);
        let found = caches.of_services("a", &BTreeSet::from(["web"]));
        let found = found.expect("an app");
        let gets = found.parts().filter_map(|workload| {
            let replicas = found.replicas_to_restore(workload, 10)?;
            Some(format!("{}={replicas}", workload.name))
        });
        gets.collect::<Vec<_>>().join(" ")
    };
    let (web, canary) = (
        "deployment a/web pods=web off mark=3",
        "deployment a/canary pods=web off",
    );
    assert_eq!(gets("marked", &[web, canary]), "web=3");
    assert_eq!(gets("zero", &[web, canary]), "web=3");
    let unmarked = "deployment a/web pods=web off";
    assert_eq!(gets("zero", &[unmarked, canary]), "canary=1 web=1");
    let seen = "slice a/web-unidler off=Deployment:web";
    assert_eq!(gets("zero", &[unmarked, canary, seen]), "web=2");
    // Its workers and what it needs as well, as long as all of it is off.
    let worker = "deployment a/worker of=web off mark=1";
    assert_eq!(gets("marked", &[web, worker]), "web=3 worker=1");
    assert_eq!(gets("marked", &["deployment a/web pods=web", worker]), "");
    let sleeping = "deployment a/web pods=web taken";
    let slice = "slice a/web-unidler on=Deployment:web";
    assert_eq!(gets("zero", &[sleeping, slice, canary, worker]), "web=2");
}

#[test]
fn of_an_adopted_app_that_something_else_scales_up_in_part_the_rest_stays_off() {
    let gets = |web: &str| {
        let web = format!("deployment a/web pods=web {web}");
        let caches = caches(&[
            "namespace x/a adopt=zero",
            "ingress a/web web.test>web",
            "service a/web selects=web",
            &web,
            "deployment a/worker of=web off",
            "slice a/web-unidler adopted=Deployment:web,Deployment:worker",
        ]);
        let found = caches.of_services("a", &BTreeSet::from(["web"]));
        let found = found.expect("an app");
        let mut parts = found.parts();
        let worker = parts.find(|workload| workload.name == "worker");
        found.replicas_to_restore(worker.expect("the worker"), 10)
    };
    assert_eq!(gets("off"), Some(2));
    assert_eq!(gets("woken=3"), Some(2), "unidler is waking it");
    assert_eq!(gets(""), None);
}

#[test]
fn an_adopted_app_is_led_back_when_its_operators_do_not_want_it_adopted_any_more() {
    let is_given_up = |namespace: &str, slice: &str, workload: &str| {
        let namespace = format!("namespace a/a {namespace}");
        let (slice, workload) = (
            format!("slice a/web-unidler {slice}=Deployment:web"),
            format!("deployment a/web pods=web {workload}"),
        );
        let route = "ingress a/web web.test>web";
        let cluster = [
            namespace.trim(),
            route,
            "service a/web selects=web",
            &slice,
            &workload,
        ];
        let caches = caches(&cluster);
        let found = caches.of_services("a", &BTreeSet::from(["web"]));
        let found = found.expect("an app");
        found.is_given_up()
    };
    assert!(is_given_up("", "adopted", "off"));
    assert!(is_given_up("adopt=never", "adopted", "off mark=2"));
    assert!(!is_given_up("adopt=zero", "adopted", "off"));
    assert!(!is_given_up("adopt=yes", "adopted", "off"), "who knows");
    assert!(!is_given_up("", "on", "off"), "that is its own sleep");
    assert!(!is_given_up("", "adopted", ""), "it is up");
}

#[test]
fn without_the_permission_to_read_a_kind_what_does_not_depend_on_it_is_found_and_nothing_loses_its_replicas()
 {
    let caches = caches(&[
        "ingress a/web web.test>web",
        "service a/web selects=web",
        "deployment a/web pods=web taken",
        "slice a/web-unidler on=Deployment:web",
        "ingress a/api api.test>api",
        "service a/api selects=api",
        "deployment a/api pods=api taken",
        "slice a/api-unidler on=Deployment:api,StatefulSet:db",
        "ingress a/shop shop.test>shop",
        "service a/shop selects=shop",
        "deployment a/shop pods=shop taken needs=b/statefulset/db",
        "slice a/shop-unidler on=Deployment:shop",
        "ingress a/lost lost.test>lost",
        "service a/lost selects=lost",
        "deployment a/lost pods=lost taken",
    ]);
    let found = |host: &str| {
        let host = Host::parse(host).expect("a host");
        caches.find(&host).map_err(|error| error.reason)
    };
    let lost = caches.services.named("a", "lost").expect("the Service");
    let lost = || {
        let found = caches.of_services("a", &BTreeSet::from(["lost"]));
        found.expect("an app").is_lost(&lost)
    };
    assert!(found("api.test").is_ok() && found("shop.test").is_ok() && lost());
    caches.http_routes.forbid();
    assert!(found("api.test").is_ok() && found("shop.test").is_ok());
    caches.stateful_sets.forbid();
    assert_eq!((caches.unusable(), caches.not_ready()), (None, None));
    assert!(caches.are_connected() && !caches.may_decide());
    assert_eq!(caches.unread(), ["HTTPRoutes", "StatefulSets"]);
    let web = found("web.test").expect("it does not depend on them");
    assert!(
        web.bonds(&web.workloads[0]).is_in_use,
        "perhaps by something that cannot be seen"
    );
    assert_eq!(
        found("api.test").err(),
        Some(Reason::PermissionMissing),
        "a part of it"
    );
    assert_eq!(
        found("shop.test").err(),
        Some(Reason::PermissionMissing),
        "what it needs"
    );
    assert!(
        !lost(),
        "a StatefulSet behind the same Service may be awake"
    );
    caches.services.forbid();
    assert_eq!(caches.unusable(), Some(Reason::PermissionMissing));
}

#[test]
fn what_a_service_selects_by_now_is_a_part_of_its_app_and_what_a_stranger_records_is_not() {
    let app = [
        "ingress a/tool born=2024 tool.example>web",
        "service a/web",
        "slice a/web-unidler on=Deployment:old,Deployment:other",
        "deployment a/other",
    ];
    let found = |more: &[&'static str]| workloads_of(&[&app, more].concat(), "tool.example");
    assert_eq!(found(&[]), Err(Reason::NoWorkload));
    let new = Ok(vec!["Deployment a/new".to_owned()]);
    assert_eq!(found(&["deployment a/new pods"]), new, "under another name");
    assert_eq!(
        found(&["deployment a/new pods", "deployment a/old taken"]),
        Ok(["Deployment a/new", "Deployment a/old"]
            .map(str::to_owned)
            .to_vec())
    );
}

#[test]
fn a_sleeping_app_that_nothing_leads_here_is_found_with_the_replicas_that_any_slice_has_recorded() {
    let lost = |more: &[&'static str]| -> Vec<_> {
        let app = [
            "ingress a/tool born=2024 tool.example>web www.example>admin",
            "service a/web",
            "service a/admin",
            "service a/internal",
            "deployment a/tool pods taken",
        ];
        let apps = caches(&[&app, more].concat()).apps();
        let apps = apps.iter().map(|found| {
            let [workload] = &*found.workloads else {
                panic!("{found:?}");
            };
            (
                found.id.to_string(),
                found.is_here(),
                found.replicas_to_restore(workload, 10),
            )
        });
        let mut apps: Vec<_> = apps.collect();
        apps.sort();
        apps
    };
    let app = |name: &str, is_here, replicas| (name.to_owned(), is_here, Some(replicas));
    assert_eq!(
        lost(&[]),
        [app("a/admin", false, 1), app("a/web", false, 1)]
    );
    assert_eq!(
        lost(&["slice a/web-unidler on=Deployment:tool"]),
        [app("a/admin", false, 2), app("a/web", true, 2)]
    );
    assert_eq!(
        lost(&["slice a/old-unidler on=Deployment:tool"]),
        [app("a/admin", false, 2), app("a/web", false, 2)],
        "the slice of a Service that is gone"
    );
}

#[test]
fn the_services_of_a_host_that_lead_here_are_one_app() {
    let cluster = [
        "ingress a/tool born=2024 tool.example>web tool.example>api",
        "service a/web",
        "service a/api",
        "deployment a/front taken",
        "statefulset a/db taken",
        "slice a/web-unidler on=Deployment:front",
        "slice a/api-unidler on=StatefulSet:db",
    ];
    let all = ["Deployment a/front", "StatefulSet a/db"].map(str::to_owned);
    assert_eq!(workloads_of(&cluster, "tool.example"), Ok(all.to_vec()));
    let caches = caches(&cluster);
    let found = caches
        .find(&Host::parse("tool.example").expect("a host"))
        .expect("an app");
    assert_eq!(found.id.as_str(), "a/api+web");
    assert_eq!(
        caches.app(&found.id).map(|found| found.services.len()),
        Ok(2),
        "by its name as well"
    );
}

#[test]
fn what_hosts_share_with_an_app_is_its_companion_while_it_sleeps() {
    let cluster = [
        "ingress a/tool tool.example>web tool.example>api",
        "ingress a/www www.example>web other.example>docs *.wild>api *.wild>never",
        "ingress b/tool www.example>web tool.example>stranger",
        "service a/web",
        "service a/api",
        "service a/docs",
        "service a/never",
        "deployment a/front taken",
        "statefulset a/db taken",
        "deployment a/docs taken",
        "deployment a/never taken",
        "slice a/web-unidler on=Deployment:front",
        "slice a/docs-unidler on=Deployment:docs",
        "slice a/never-unidler on=Deployment:never",
        "slice a/api-unidler on=StatefulSet:db",
    ];
    let companions = |cluster: &[&str], host: &str| {
        let caches = caches(cluster);
        let found = caches.find(&Host::parse(host).expect("a host"));
        let found = found.expect("an app");
        let companions = caches.companions(&found).into_iter();
        companions
            .map(|found| found.id.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(companions(&cluster, "www.example"), ["a/api"]);
    assert_eq!(companions(&cluster, "other.example"), none);
    assert_eq!(companions(&cluster, "b.wild"), ["a/web"]);
    let [rest @ .., _] = &cluster;
    assert_eq!(companions(rest, "www.example"), none, "it is awake");
}

#[test]
fn a_younger_claim_to_a_host_does_not_get_the_visitors_of_an_older_one() {
    let cluster = [
        "ingress a/tool born=2020 tool.example>web",
        "service a/web",
        "deployment a/front taken",
        "slice a/web-unidler on=Deployment:front",
        "ingress b/tool born=2024 tool.example>web",
        "service b/web",
        "deployment b/other taken",
        "slice b/web-unidler on=Deployment:other",
    ];
    let front = vec!["Deployment a/front".to_owned()];
    assert_eq!(workloads_of(&cluster, "tool.example"), Ok(front));
    let younger_alone: Vec<_> = cluster
        .into_iter()
        .filter(|line| !line.starts_with("slice a/"))
        .collect();
    let other = vec!["Deployment b/other".to_owned()];
    assert_eq!(
        workloads_of(&younger_alone, "tool.example"),
        Ok(other),
        "the older one leads to no app that is here"
    );
}

#[test]
fn a_slice_has_no_effect_on_an_external_name() {
    let mut cluster = TOOL.to_vec();
    cluster.push("slice a/tool-unidler on=Deployment:tool");
    let found = caches(&cluster).find(&Host::parse("tool.example").expect("a host"));
    assert!(found.is_ok_and(|found| found.slices.is_empty()));
}

/// An idled app as the 2020 idler leaves it.
const TOOL: &[&str] = &[
    "ingress a/tool born=2020 key=tool.example tool.example>tool",
    "deployment a/tool key=tool.example idled",
    "service a/tool key=tool.example here",
];

const LONG: &str = "a-name-that-is-longer-than-any-label-can-be.of-a-team-with-a-long.name.example";

/// What there is besides [`TOOL`]; a host; and the app that it names.
type Case = (
    &'static [&'static str],
    &'static str,
    Result<&'static str, Reason>,
);

#[test]
fn a_host_names_the_app_that_its_ingresses_lead_to() {
    let cases: &[Case] = &[
        (&[], "tool.example", Ok("a/tool/tool")),
        (&[], "other.example", Err(Reason::NoRoute)),
        // Several hosts of one Ingress, and several Ingresses of one namespace, are one app.
        (
            &["ingress a/more WWW.tool.example>tool apex.example>tool"],
            "www.tool.example",
            Ok("a/tool/tool"),
        ),
        (
            &["ingress a/more www.tool.example>tool apex.example>tool"],
            "apex.example",
            Ok("a/tool/tool"),
        ),
        (
            &["ingress a/more *.team.example>tool"],
            "any.team.example",
            Ok("a/tool/tool"),
        ),
        (
            &["ingress a/more *.team.example>tool"],
            "one.more.team.example",
            Err(Reason::NoRoute),
        ),
        (
            &["ingress a/more shop.example>tool alias=alias.example,*.alias.example"],
            "alias.example",
            Ok("a/tool/tool"),
        ),
        (
            &["ingress a/more shop.example>tool alias=alias.example,*.alias.example"],
            "www.alias.example",
            Ok("a/tool/tool"),
        ),
        (
            &["ingress a/more key=tool.example tool.example>tool"],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        // Another Service of the host has no app behind it.
        (
            &["ingress a/more tool.example>hooks", "service a/hooks"],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        (
            &["ingress a/more key=tool.example tool.example>gone"],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        // It is another app, which is awake.
        (
            &[
                "ingress a/more tool.example>api",
                "service a/api key=api",
                "deployment a/api key=api",
            ],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        // It is another app, which is idled as well: the path would tell, and is not known.
        (
            &[
                "ingress a/more tool.example>api",
                "service a/api key=api here",
                "deployment a/api key=api idled",
            ],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        (
            &[
                "ingress a/more tool.example>api",
                "service a/api key=tool here",
                "deployment a/api key=tool idled",
            ],
            "tool.example",
            Err(Reason::AmbiguousService),
        ),
        // A second Service of the same Deployment.
        (
            &[
                "ingress a/more tool.example>admin",
                "service a/admin key=tool.example here",
            ],
            "tool.example",
            Ok("a/admin/tool"),
        ),
        // Strangers block nobody.
        (
            &["ingress evil/tool key=tool.example tool.example>tool"],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        (
            &[
                "ingress evil/tool key=tool.example tool.example>tool",
                "service evil/tool here",
            ],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        (
            &[
                "ingress evil/tool key=tool.example tool.example>tool",
                "service evil/tool key=tool.example",
                "deployment evil/tool key=tool.example",
            ],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        (
            &[
                "ingress evil/tool born=2025 key=tool.example tool.example>tool",
                "service evil/tool key=tool.example here",
                "deployment evil/tool key=tool.example idled",
            ],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        // Of the same second, neither is the first.
        (
            &[
                "ingress evil/tool born=2020 key=tool.example tool.example>tool",
                "service evil/tool key=tool.example here",
                "deployment evil/tool key=tool.example idled",
            ],
            "tool.example",
            Err(Reason::AmbiguousRoute),
        ),
        // An app that is awake is not taken over by one that only says that it is idled.
        (
            &[
                "ingress v/app born=2020 key=v.example v.example>app",
                "service v/app key=v.example",
                "deployment v/app key=v.example",
                "ingress evil/app born=2025 key=v.example v.example>app",
                "service evil/app key=v.example",
                "deployment evil/app key=v.example idled",
            ],
            "v.example",
            Ok("v/app/app"),
        ),
        // Once awake, an app is still its own Service, and not another one of the same host.
        (
            &[
                "ingress w/web key=w.example w.example>api w.example>web",
                "service w/api",
                "service w/web key=w.example",
                "deployment w/web key=w.example",
            ],
            "w.example",
            Ok("w/web/web"),
        ),
        // Exact before wildcard, if it leads to a Service.
        (
            &[
                "ingress b/all *.example>all",
                "service b/all here",
                "deployment b/all key=tool idled",
            ],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        (
            &[
                "ingress a/all *.example>all",
                "service a/all key=x here",
                "deployment a/all key=x idled",
            ],
            "other.example",
            Ok("a/all/all"),
        ),
        // An exact host that leads to no app keeps nobody away from one that is here.
        (
            &[
                "ingress a/all *.example>all",
                "service a/all key=x here",
                "deployment a/all key=x idled",
                "ingress b/other other.example>other",
                "service b/other",
            ],
            "other.example",
            Ok("a/all/all"),
        ),
        (
            &[
                "ingress a/all *.example>all",
                "service a/all key=x here",
                "deployment a/all key=x idled",
                "ingress b/other key=other.example other.example>gone",
            ],
            "other.example",
            Ok("a/all/all"),
        ),
        // The key is that of the Service, else that of an Ingress, else it follows from the host.
        (
            &[
                "ingress b/x x.example>x",
                "service b/x here",
                "deployment b/x key=x.example idled",
            ],
            "x.example",
            Ok("b/x/x"),
        ),
        (
            &[
                "ingress b/x x.example>x",
                "service b/x here",
                "deployment b/x key=x idled",
            ],
            "x.example",
            Ok("b/x/x"),
        ),
        (
            &[
                "ingress b/x x.example>x key=k",
                "service b/x here",
                "deployment b/x key=k idled",
            ],
            "x.example",
            Ok("b/x/x"),
        ),
        (
            &[
                "ingress b/x x.example>x",
                "service b/x key=k here",
                "deployment b/x rstudio=k idled",
            ],
            "x.example",
            Ok("b/x/x"),
        ),
        (
            &[
                "ingress b/x x.example>x key=k",
                "service b/x key=l here",
                "deployment b/k key=k idled",
                "deployment b/l key=l idled",
            ],
            "x.example",
            Ok("b/x/l"),
        ),
        (
            &[
                "ingress b/x x.example>x key=k",
                "service b/x key=k here",
                "deployment c/x key=k idled",
            ],
            "x.example",
            Err(Reason::NoWorkload),
        ),
        (
            &["ingress b/x x.example>x", "service b/x here"],
            "x.example",
            Err(Reason::NoWorkload),
        ),
        (
            &["ingress b/x x.example>x", "service b/x"],
            "x.example",
            Err(Reason::NoRoute),
        ),
        (
            &["ingress b/x x.example>x key=x.example"],
            "x.example",
            Err(Reason::NoService),
        ),
        (
            &["ingress b/x x.example>x"],
            "x.example",
            Err(Reason::NoRoute),
        ),
        (
            &["ingress b/x y.example>x key=x.example"],
            "x.example",
            Err(Reason::HostNotServed),
        ),
        (
            &["ingress b/x y.example>x key=x"],
            "x.example",
            Err(Reason::HostNotServed),
        ),
        // Of several Deployments the one that is idled.
        (
            &["deployment a/worker key=tool.example"],
            "tool.example",
            Ok("a/tool/tool"),
        ),
        (
            &["deployment a/worker key=tool.example idled"],
            "tool.example",
            Err(Reason::AmbiguousWorkload),
        ),
        // What is being deleted is as good as gone.
        (
            &[
                "ingress b/x x.example>x key=x leaving",
                "service b/x here",
                "deployment b/x key=x idled",
            ],
            "x.example",
            Err(Reason::NoRoute),
        ),
        (
            &[
                "ingress b/x x.example>x key=x",
                "service b/x here leaving",
                "deployment b/x key=x idled",
            ],
            "x.example",
            Err(Reason::NoService),
        ),
        (
            &[
                "ingress b/x x.example>x key=x",
                "service b/x here",
                "deployment b/x key=x idled leaving",
            ],
            "x.example",
            Err(Reason::NoWorkload),
        ),
    ];
    for (more, host, expected) in cases {
        let caches = caches(&[TOOL, more].concat());
        let found = caches.find(&Host::parse(host).expect("a host"));
        let id = found.as_ref().map(|found| found.id.clone());
        assert_eq!(
            id.as_ref().map(AppId::as_str).map_err(|error| error.reason),
            *expected,
            "{host} of {more:?}"
        );
        if let Ok(found) = found {
            assert_eq!(
                caches.app(&found.id).expect("it is found again").id,
                found.id
            );
            assert!(
                caches.apps().iter().any(|app| app.id == found.id),
                "it is among all apps: {host} of {more:?}"
            );
        }
    }
}

#[test]
fn a_host_that_no_label_can_hold_is_found_by_as_much_as_one_can() {
    let cut = &LONG[..63];
    let host = Host::parse(LONG).expect("a host");
    for key in [cut, cut.trim_end_matches(['-', '.']), host.first_label()] {
        let objects = [
            format!("ingress b/long key={key} {LONG}>long"),
            "service b/long here".to_owned(),
            format!("deployment b/long key={key} idled"),
        ];
        let found = caches(&objects.each_ref().map(String::as_str))
            .find(&host)
            .expect("an app");
        assert_eq!(
            (found.id.as_str(), found.hosts()),
            ("b/long/long", BTreeSet::from([LONG]))
        );
    }
}

/// Otherwise the sweep would take it for one that no visitor can wake, and wake it.
#[test]
fn another_service_of_an_idled_deployment_is_not_another_app() {
    let more = &[
        "ingress a/more key=tool.example hooks.example>hooks",
        "service a/hooks",
    ];
    let apps = |cluster: &[&str]| {
        caches(cluster)
            .apps()
            .iter()
            .map(|app| app.id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(apps(&[TOOL, more].concat()), ["a/tool/tool"]);
    let awake = [
        "ingress a/tool tool.example>tool",
        "deployment a/tool key=tool.example",
        "service a/tool",
    ];
    assert_eq!(
        apps(&[&awake[..], more].concat()),
        ["a/hooks/tool", "a/tool/tool"]
    );
}

#[test]
fn what_is_not_found_is_named() {
    let caches = caches(&[
        "ingress a/tool key=tool.example tool.example>tool",
        "service a/tool here",
    ]);
    let error = caches
        .find(&Host::parse("tool.example").expect("a host"))
        .expect_err("no Deployment");
    assert_eq!(error.to_string(), "Ingress a/tool, Service a/tool");
}

#[test]
fn the_title_is_that_of_the_ingress_then_of_the_service_then_of_the_deployment() {
    let title = |ingress: bool, service: bool| {
        let mut found = caches(TOOL)
            .find(&Host::parse("tool.example").expect("a host"))
            .expect("an app");
        let titled = |name: &str, is_titled: bool| is_titled.then(|| name.to_owned());
        Arc::get_mut(&mut found.workloads[0])
            .expect("the only one")
            .value
            .title = titled("Deployment", true);
        Arc::get_mut(&mut found.services[0])
            .expect("the only one")
            .value
            .title = titled("Service", service);
        Arc::get_mut(&mut found.routes[0])
            .expect("the only one")
            .value
            .title = titled("Ingress", ingress);
        found.title()
    };
    assert_eq!(title(true, true).as_deref(), Some("Ingress"));
    assert_eq!(title(false, true).as_deref(), Some("Service"));
    assert_eq!(title(false, false).as_deref(), Some("Deployment"));
}

/// A host, and who answers for it: the Gateway's listeners are for `*.wild.test` and, on port 81, all hosts.
#[test]
fn an_http_route_serves_what_its_listeners_take_and_it_may_lead_to() {
    let accepted = json!([{ "type": "Accepted", "status": "True", "observedGeneration": 1 }]);
    let parent = json!({ "name": "web", "namespace": "gw", "sectionName": "wild" });
    let whole = json!({ "name": "web", "namespace": "gw" });
    let any = json!({ "name": "web", "namespace": "gw", "port": 81 });
    let own = json!([{ "name": "web", "port": 80 }]);
    let front = Ok("Deployment a/front");
    let none = Err(Reason::NoRoute);
    for (hostnames, parent, conditions, backends, host, expected) in [
        (
            json!(["a.wild.test"]),
            &parent,
            &accepted,
            own.clone(),
            "a.wild.test",
            front,
        ),
        (
            json!(["a.wild.test"]),
            &parent,
            &accepted,
            own.clone(),
            "b.wild.test",
            none,
        ),
        (
            json!(["*.wild.test"]),
            &parent,
            &accepted,
            own.clone(),
            "a.b.wild.test",
            front,
        ),
        (
            json!(["*.test"]),
            &parent,
            &accepted,
            own.clone(),
            "a.wild.test",
            front,
        ),
        (
            json!(["*.test"]),
            &parent,
            &accepted,
            own.clone(),
            "a.test",
            none,
        ),
        (
            json!(["x.test", "a.wild.test"]),
            &parent,
            &accepted,
            own.clone(),
            "x.test",
            none,
        ),
        (
            json!([]),
            &parent,
            &accepted,
            own.clone(),
            "a.wild.test",
            front,
        ),
        (json!([]), &parent, &accepted, own.clone(), "x.test", none),
        (json!([]), &any, &accepted, own.clone(), "x.test", front),
        (
            json!(["x.test"]),
            &whole,
            &accepted,
            own.clone(),
            "x.test",
            front,
        ),
        // Nobody serves it.
        (
            json!(["x.test"]),
            &any,
            &json!([]),
            own.clone(),
            "x.test",
            none,
        ),
        (
            json!(["x.test"]),
            &any,
            &json!([{ "type": "Accepted", "status": "False" }]),
            own.clone(),
            "x.test",
            none,
        ),
        // No request goes there.
        (
            json!(["x.test"]),
            &any,
            &accepted,
            json!([{ "name": "web", "port": 80, "weight": 0 }]),
            "x.test",
            none,
        ),
        (
            json!(["x.test"]),
            &any,
            &accepted,
            json!([{ "kind": "Other", "group": "x.io", "name": "web", "port": 80 }]),
            "x.test",
            none,
        ),
        // The app's namespace is that of the Service.
        (
            json!(["x.test"]),
            &any,
            &accepted,
            json!([{ "namespace": "b", "name": "web", "port": 80 }]),
            "x.test",
            Ok("Deployment b/other"),
        ),
        (
            json!(["x.test"]),
            &any,
            &accepted,
            json!([{ "namespace": "c", "name": "web", "port": 80 }]),
            "x.test",
            none,
        ),
    ] {
        let case = format!("{host} of {hostnames} {parent} {conditions} {backends}");
        fn object<K: serde::de::DeserializeOwned>(json: Value) -> K {
            serde_json::from_value(json).expect("an object")
        }
        let route = object(json!({
            "metadata": { "namespace": "a", "name": "tool", "generation": 2 },
            "spec": { "parentRefs": [parent], "hostnames": hostnames, "rules": [{ "backendRefs": backends }] },
            "status": { "parents": [{ "parentRef": parent, "controllerName": "x", "conditions": conditions }] },
        }));
        let all = json!({ "namespaces": { "from": "All" } });
        let gateway = object(json!({
            "metadata": { "namespace": "gw", "name": "web" },
            "spec": { "listeners": [
                { "name": "wild", "hostname": "*.wild.test", "port": 80, "protocol": "HTTP", "allowedRoutes": all },
                { "name": "any", "port": 81, "protocol": "HTTP", "allowedRoutes": all },
            ] },
        }));
        let grant = object(json!({
            "metadata": { "namespace": "b", "name": "grant" },
            "spec": {
                "from": [{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "a" }],
                "to": [{ "group": "", "kind": "Service", "name": "web" }],
            },
        }));
        let caches = Caches {
            http_routes: Cache::of([route], "host", HttpRoute::parse),
            gateways: Cache::of([gateway], "host", Gateway::parse),
            grants: Cache::of([grant], "host", Grant::parse),
            ..caches(&[
                "service a/web",
                "deployment a/front taken",
                "slice a/web-unidler on=Deployment:front",
                "service b/web",
                "deployment b/other taken",
                "slice b/web-unidler on=Deployment:other",
                "service c/web",
                "deployment c/other",
                "slice c/web-unidler on=Deployment:other",
            ])
        };
        let found = caches.find(&Host::parse(host).expect("a host"));
        let found = found.map(|found| found.workloads[0].to_string());
        assert_eq!(
            found.as_deref().map_err(|error| error.reason),
            expected,
            "{case}"
        );
    }
}

/// What the engine is to know of an app: each workload, `+` if it is only needed, what it needs, whose worker it is, and
/// whether it is in use.
fn group_of(cluster: &[&str]) -> Vec<String> {
    let found = caches(cluster).find(&Host::parse("web.test").expect("a host"));
    let found = found.expect("an app");
    let part = |part: &Arc<Cached<Workload>>| {
        let bonds = found.bonds(part);
        let need = if bonds.is_need { "+" } else { "" };
        let needs: String = bonds.needs.iter().map(|need| format!(" >{need}")).collect();
        let of = bonds.of.map(|of| format!(" <{of}")).unwrap_or_default();
        let used = if bonds.is_in_use { " used" } else { "" };
        format!("{need}{part}{needs}{of}{used}").replace("Deployment ", "")
    };
    found.parts().map(part).collect()
}

#[test]
fn an_app_is_its_workloads_with_their_workers_and_all_that_they_need() {
    let app = |more: &[&'static str]| {
        let app = [
            "ingress a/web web.test>web",
            "service a/web selects=web",
            "slice a/web-unidler on=Deployment:web,Deployment:worker,StatefulSet:db,Deployment:db,Deployment:disk",
        ];
        group_of(&[&app, more].concat())
    };
    // Workers, needs of needs, and workers of needs.
    assert_eq!(
        app(&[
            "deployment a/web pods=web needs=StatefulSet/db,b/deploy/cache",
            "deployment a/worker of=web needs=deployment/web",
            "deployment a/stray of=nothing",
            "statefulset a/db needs=deployments.apps/disk",
            "deployment a/disk",
            "deployment b/cache needed-by=a",
            "deployment b/filler of=Deployment/cache",
            "deployment a/other",
        ]),
        [
            "a/web >StatefulSet a/db >b/cache",
            "a/worker >a/web <a/web",
            "+a/disk",
            "+b/cache",
            "+b/filler <b/cache",
            "+StatefulSet a/db >a/disk",
        ]
    );
    // What does not count: what is not there, does not name its user, or is the cluster's or unidler's own.
    assert_eq!(
        app(&[
            "deployment a/web pods=web needs=deployment/gone,b/deployment/x,b/deployment/y,kube-system/deployment/dns,unidler/deployment/unidler",
            "deployment b/x",
            "deployment b/y needed-by=c,a/deployment/other",
            "deployment kube-system/dns needed-by=a",
            "deployment unidler/unidler needed-by=a",
        ]),
        ["a/web"]
    );
    // Circles end.
    assert_eq!(
        app(&[
            "deployment a/web pods=web needs=deployment/db,deployment/web of=worker",
            "deployment a/worker of=web",
            "deployment a/db needs=deployment/web",
        ]),
        [
            "a/web >a/db >a/web <a/worker",
            "a/worker <a/web",
            "+a/db >a/web"
        ]
    );
}

#[test]
fn what_is_used_by_something_awake_is_held() {
    let db_is_held = |more: &[&'static str]| {
        let app = [
            "ingress a/web web.test>web",
            "service a/web selects=web",
            "slice a/web-unidler on=Deployment:web,Deployment:db",
            "deployment a/web pods=web needs=deployment/db",
        ];
        let group = group_of(&[&app, more].concat());
        let db = group.iter().find(|part| part.starts_with("+a/db"));
        db.expect("it is needed").ends_with(" used")
    };
    let db = "deployment a/db pods=db needed-by=b";
    assert!(!db_is_held(&[db]));
    assert!(db_is_held(&[db, "deployment a/other needs=deployment/db"]));
    assert!(!db_is_held(&[
        db,
        "deployment a/other off needs=deployment/db"
    ]));
    assert!(!db_is_held(&[
        db,
        "deployment a/other taken needs=deployment/db"
    ]));
    assert!(db_is_held(&[
        db,
        "statefulset b/other needs=a/deployment/db"
    ]));
    assert!(
        !db_is_held(&[db, "statefulset c/other needs=a/deployment/db"]),
        "it is not named"
    );
    assert!(
        !db_is_held(&[
            "deployment a/db pods=db needs=deployment/other",
            "deployment a/other needs=deployment/db",
        ]),
        "they need each other"
    );
    // A Service of its own.
    let (service, route) = ("service a/db selects=db", "ingress a/db db.test>db");
    assert!(!db_is_held(&[db, service]), "no visitor comes to it");
    assert!(db_is_held(&[db, service, route]));
    assert!(!db_is_held(&[
        db,
        service,
        route,
        "slice a/db-unidler on=Deployment:db"
    ]));
    // Nothing would say how many replicas it had.
    assert!(db_is_held(&[
        "deployment a/db",
        "slice a/web-unidler on=Deployment:web"
    ]));
}

#[test]
fn a_need_that_unidler_has_woken_since_the_app_fell_asleep_was_woken_for_it() {
    let is_woken_for_app = |more: &[&'static str]| {
        let app = [
            "ingress a/web web.test>web",
            "service a/web selects=web",
            "slice a/web-unidler on=Deployment:web,StatefulSet:db",
        ];
        let cluster = [&app, more].concat();
        let found = caches(&cluster).find(&Host::parse("web.test").expect("a host"));
        let found = found.expect("an app");
        let mut needs = found.group.needs.iter();
        let db = needs.find(|need| need.name == "db").expect("it is needed");
        found.bonds(db).is_woken_for_app
    };
    let web = "deployment a/web pods=web taken needs=statefulset/db";
    let db = "statefulset a/db pods=db woken=3";
    assert!(is_woken_for_app(&[web, db]));
    assert!(
        !is_woken_for_app(&[web, "statefulset a/db pods=db woken=1"]),
        "it was awake before, and is about to be put to sleep"
    );
    assert!(
        !is_woken_for_app(&[web, "statefulset a/db pods=db"]),
        "somebody else has scaled it"
    );
    assert!(
        !is_woken_for_app(&["deployment a/web pods=web off needs=statefulset/db", db]),
        "somebody has scaled the app down since"
    );
    let other = "deployment a/other taken needs=statefulset/db";
    assert!(
        !is_woken_for_app(&[web, db, other]),
        "perhaps for another app that sleeps"
    );
    let own = [
        web,
        db,
        "service a/db selects=db",
        "ingress a/db db.test>db",
        "slice a/db-unidler on=StatefulSet:db",
    ];
    assert!(!is_woken_for_app(&own), "perhaps for its own visitors");
    let through_api = [
        "deployment a/web pods=web taken needs=deployment/api",
        "deployment a/api pods=api taken needs=statefulset/db",
        db,
        "service a/api selects=api",
    ];
    assert!(is_woken_for_app(&through_api), "for a need of the app");
    assert!(
        !is_woken_for_app(&[&through_api[..], &["ingress a/api api.test>api"]].concat()),
        "perhaps for visitors of what needs it"
    );
    assert!(
        !is_woken_for_app(&[
            web,
            "statefulset a/db pods=db woken=3 of=other",
            "deployment a/other taken"
        ]),
        "perhaps as a worker"
    );
}

#[test]
fn replicas_of_a_need_come_from_its_own_namespace_alone() {
    let gets = |more: &[&'static str]| {
        let app = [
            "ingress a/web web.test>web",
            "service a/web selects=web",
            "deployment a/web pods=web taken needs=deployment/db,b/deployment/db",
        ];
        let found = caches(&[&app, more].concat()).find(&Host::parse("web.test").expect("a host"));
        let found = found.expect("an app");
        let needs = found.group.needs.iter();
        let gets = needs.map(|need| found.replicas_to_restore(need, 10));
        gets.collect::<Vec<_>>()
    };
    // In the record of the app, which is in its namespace, there are always two.
    let slice = "slice a/web-unidler on=Deployment:web,Deployment:db";
    let (taken, off) = (
        "deployment b/db taken needed-by=a",
        "deployment b/db off needed-by=a",
    );
    assert_eq!(
        gets(&[slice, "deployment a/db taken", taken]),
        [Some(2), Some(1)]
    );
    assert_eq!(gets(&[slice, "deployment a/db off", off]), [Some(2), None]);
    let slice = "slice a/web-unidler on=Deployment:web";
    assert_eq!(
        gets(&[slice, "deployment a/db off", taken]),
        [None, Some(1)]
    );
    assert_eq!(
        gets(&[
            slice,
            "deployment a/db taken",
            taken,
            "slice b/x-unidler off=Deployment:db"
        ]),
        [Some(1), Some(2)],
        "and what another slice there has recorded"
    );
}

#[test]
fn a_slice_records_what_is_behind_its_own_service_with_workers_and_needs() {
    let found = caches(&[
        "ingress a/web web.test>web web.test>api",
        "service a/web selects=web",
        "service a/api selects=api",
        "slice a/web-unidler on=Deployment:web",
        "deployment a/web pods=web needs=deployment/db",
        "deployment a/worker of=web",
        "deployment a/api pods=api needs=deployment/db,b/deployment/cache,deployment/off",
        "deployment a/db needs=deployment/disk",
        "deployment a/disk taken",
        "deployment a/off off",
        "deployment b/cache needed-by=a",
    ]);
    let recorded = |service: &str| {
        let found = found
            .of_services("a", &["web", "api"].into())
            .expect("an app");
        let service = found.services.iter().find(|each| each.name == service);
        let recorded = found.to_record(service.expect("a Service"));
        let recorded = recorded.into_iter().map(|each| each.workload.name);
        recorded.collect::<Vec<_>>()
    };
    assert_eq!(recorded("web"), ["web", "worker", "db", "disk"]);
    assert_eq!(recorded("api"), ["api", "db", "disk"]);
}
