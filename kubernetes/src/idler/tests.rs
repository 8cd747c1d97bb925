use std::time::Duration;

use serde_json::{Value, json};
use unidler::sleep::brake::Brake;

use super::*;
use crate::{caches::Listed, usage::requests::PrometheusUrl};

fn object<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("an object")
}

/// A Tuesday afternoon.
fn now() -> Timestamp {
    "2026-12-01T15:00:00Z".parse().expect("a time")
}

const IN_HOURS: &str = "Mon-Fri 08:00-18:00 UTC";
const OUT_OF_HOURS: &str = "Mon-Fri 08:00-12:00 UTC";

/// Apps of the namespace `team`, each with a host, a Service and a Deployment of its name, and unidler.
struct World {
    apps: Vec<&'static str>,
    namespace: Value,
    /// Labels and annotations of the routes of an app, of its Service, and of its Deployment.
    metadata: Vec<(&'static str, [Value; 3])>,
    /// More Services, each in front of the Deployment of an app.
    more_services: Vec<(&'static str, &'static str)>,
    /// More hosts, each routed to some of the Services.
    hosts: Vec<(&'static str, &'static [&'static str])>,
    /// The slices of apps that sleep.
    slices: Vec<Value>,
    /// Whether they are awake all the same.
    is_awake: bool,
    settings: IdlerSettings,
    /// What was begun just now for these.
    attempted: Vec<&'static str>,
    attempt: Attempt,
    /// Whether all Deployments were seen to change just now.
    is_scaled: bool,
}

impl World {
    fn of(apps: &[&'static str]) -> Self {
        Self {
            apps: apps.to_vec(),
            namespace: json!({}),
            metadata: Vec::new(),
            more_services: Vec::new(),
            hosts: Vec::new(),
            slices: Vec::new(),
            is_awake: false,
            settings: IdlerSettings {
                busy_cpu: None,
                idle_after: Some(Duration::from_hours(2)),
                all: false,
                brake: Brake::default(),
                wake_spread: Duration::from_secs(1),
                prometheus: None,
            },
            attempted: Vec::new(),
            attempt: Attempt::Obstacle,
            is_scaled: false,
        }
    }

    fn with(mut self, app: &'static str, route: Value, service: Value, workload: Value) -> Self {
        self.metadata.push((app, [route, service, workload]));
        self
    }

    fn in_namespace(mut self, metadata: Value) -> Self {
        self.namespace = metadata;
        self
    }

    /// What is decided about each app, in words.
    fn told(&self) -> Vec<String> {
        let planned = self.planned();
        let told = planned
            .iter()
            .map(|planned| format!("{}: {}", planned.app, planned.decision));
        told.collect()
    }

    fn planned(&self) -> Vec<Planned> {
        let mut listed = Listed {
            namespaces: Some(vec![object(named("team", "", &self.namespace))]),
            slices: self.slices.iter().cloned().map(object).collect(),
            ..Listed::default()
        };
        for (namespace, name, ip) in self
            .apps
            .iter()
            .enumerate()
            .map(|(number, app)| ("team", *app, format!("10.0.1.{number}")))
            .chain([("unidler", "unidler", "10.0.0.9".to_owned())])
        {
            let none = [json!({}), json!({}), json!({})];
            let own = self.metadata.iter().find(|(app, _)| *app == name);
            let [route, service, workload] = own.map_or(&none, |(_, own)| own);
            let labels = json!({ "app": name });
            let of_service = |name: &str, metadata: &Value| {
                let mut service = named(name, namespace, metadata);
                service["spec"] = json!({
                    "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
                    "selector": labels, "ports": [{ "name": "http", "port": 80 }],
                });
                object(service)
            };
            listed.services.push(of_service(name, service));
            let more = self.more_services.iter().filter(|(_, app)| *app == name);
            let more = more.map(|(service, _)| of_service(service, &json!({})));
            listed.services.extend(more);
            if namespace == "unidler" {
                continue;
            }
            let backend = json!({ "service": { "name": name, "port": { "number": 80 } } });
            let mut ingress = named(name, namespace, route);
            ingress["spec"] = json!({ "rules": [{ "host": format!("{name}.example"), "http": { "paths": [{ "backend": backend }] } }] });
            // Nobody visits a database.
            if name != "db" {
                listed.ingresses.push(object(ingress));
            }
            let is_asleep = self
                .slices
                .iter()
                .any(|slice| slice["metadata"]["name"] == format!("{name}-unidler"));
            let mut deployment = named(name, namespace, workload);
            deployment["metadata"]["uid"] = json!(name);
            deployment["metadata"]["creationTimestamp"] = json!("2026-11-01T00:00:00Z");
            deployment["spec"] = json!({
                "replicas": if is_asleep && !self.is_awake { 0 } else { 2 },
                "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels } },
            });
            listed.deployments.push(object(deployment));
        }
        for (host, services) in &self.hosts {
            let backend = |service: &&str| json!({ "backend": { "service": { "name": service, "port": { "number": 80 } } } });
            let paths: Vec<_> = services.iter().map(backend).collect();
            let mut ingress = named(host, "team", &json!({}));
            ingress["spec"] = json!({ "rules": [{ "host": host, "http": { "paths": paths } }] });
            listed.ingresses.push(object(ingress));
        }
        let settings = ClusterSettings::of_tests();
        let caches = Caches::of(listed, &settings);
        let mut idler = Idler::new(self.settings.clone(), None, Timestamp::MIN);
        let ids = self.attempted.iter().map(|app| {
            let found = caches.of_services("team", &[*app].into());
            found.expect("an app").id
        });
        idler.note_changes(&caches, now());
        if self.is_scaled {
            for (generation, _) in idler.generations.values_mut() {
                *generation -= 1;
            }
        }
        idler.note_changes(&caches, now());
        for id in ids {
            idler.attempts.begin(id, self.attempt);
        }
        let surroundings = Surroundings::default();
        idler.plan(&caches, &settings, now(), Obstacles::OfAll(&surroundings))
    }
}

fn named(name: &str, namespace: &str, metadata: &Value) -> Value {
    let mut object = json!({ "metadata": { "name": name, "namespace": namespace } });
    json_patch::merge(&mut object["metadata"], metadata);
    object
}

fn may_sleep() -> Value {
    json!({ "labels": { "unidler/app": "true" } })
}

fn annotated(annotations: Value) -> Value {
    json!({ "annotations": annotations })
}

fn slice(service: &str, since: &str) -> Value {
    slice_by("schedule", service, since)
}

fn slice_by(by: &str, service: &str, since: &str) -> Value {
    let workload = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": service, "uid": service, "replicas": 2, "generation": 0 });
    let record =
        json!({ "v": 1, "workloads": [workload], "phase": "asleep", "since": since, "by": by });
    json!({
        "metadata": {
            "name": format!("{service}-unidler"), "namespace": "team",
            "labels": { "kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "unidler" },
            "annotations": { "unidler/record": record.to_string() },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.0.0.9"] }],
        "ports": [{ "name": "http", "port": 80 }],
    })
}

#[test]
fn an_app_sleeps_only_if_somebody_says_that_it_may() {
    let nothing = || json!({});
    assert_eq!(
        World::of(&["web"]).told(),
        ["web.example: no rule puts it to sleep"]
    );
    // Nobody knows whether it is used.
    let unknown = "web.example: no source says anything";
    for world in [
        World::of(&["web"]).in_namespace(may_sleep()),
        World::of(&["web"]).with("web", may_sleep(), nothing(), nothing()),
    ] {
        assert_eq!(world.told(), [unknown]);
    }
    let mut all = World::of(&["web"]);
    all.settings.all = true;
    assert_eq!(all.told(), [unknown]);
    let no = || json!({ "labels": { "unidler/app": "false" } });
    let wish = || annotated(json!({ "unidler/idle-after": "2h" }));
    for (world, told) in [
        (
            World::of(&["web"])
                .in_namespace(may_sleep())
                .with("web", no(), nothing(), nothing()),
            false,
        ),
        // An explicit no of the Namespace is final.
        (
            World::of(&["web"])
                .in_namespace(no())
                .with("web", may_sleep(), nothing(), nothing()),
            false,
        ),
        (
            World::of(&["web"])
                .in_namespace(no())
                .with("web", wish(), nothing(), nothing()),
            false,
        ),
        (
            World::of(&["web"]).with("web", nothing(), nothing(), wish()),
            true,
        ),
        // The label permits it on routes and Namespaces alone, and forbids it anywhere.
        (
            World::of(&["web"]).with("web", nothing(), may_sleep(), may_sleep()),
            false,
        ),
        (
            World::of(&["web"]).with("web", may_sleep(), no(), nothing()),
            false,
        ),
        (
            World::of(&["web"])
                .in_namespace(may_sleep())
                .with("web", wish(), nothing(), no()),
            false,
        ),
    ] {
        let expected = if told {
            unknown
        } else {
            "web.example: no rule puts it to sleep"
        };
        assert_eq!(world.told(), [expected]);
    }
}

#[test]
fn what_is_nearest_to_the_visitor_counts() {
    let never = || annotated(json!({ "unidler/idle-after": "never" }));
    let in_a_day = || annotated(json!({ "unidler/idle-after": "24h" }));
    let told = |route, service, workload| {
        let world = World::of(&["web"]).in_namespace(may_sleep());
        world.with("web", route, service, workload).told().remove(0)
    };
    assert!(told(never(), in_a_day(), in_a_day()).ends_with("it never sleeps"));
    assert!(told(json!({}), never(), in_a_day()).ends_with("it never sleeps"));
    assert!(!told(json!({}), in_a_day(), never()).ends_with("it never sleeps"));
}

#[test]
fn an_exception_that_is_over_hides_none_that_is_not() {
    let until = |time: &str| annotated(json!({ "unidler/keep-awake-until": time }));
    let mut kept = may_sleep();
    json_patch::merge(&mut kept, &until("2026-12-01T18:00:00Z"));
    let world = World::of(&["web"]).in_namespace(kept);
    let world = world.with("web", until("2026-11-01T00:00:00Z"), json!({}), json!({}));
    assert_eq!(world.told(), ["web.example: kept awake for another 3 h"]);
}

#[test]
fn what_cannot_be_read_keeps_an_app_awake_and_is_said() {
    let wrong = annotated(json!({ "unidler/awake": "office hours", "unidler/asleep": "at-once" }));
    let world = World::of(&["web"]).with("web", wrong, json!({}), json!({}));
    let told = world.told().remove(0);
    assert!(told.starts_with("web.example: unidler/awake: "), "{told}");
    // Read only once it sleeps, when it is too late to keep visitors from waking it.
    for name in ["unidler/wake", "unidler/probe"] {
        let wrong = annotated(json!({ name: "Never" }));
        let world = World::of(&["web"]).in_namespace(may_sleep());
        let told = world.with("web", json!({}), json!({}), wrong).told();
        assert!(
            told[0].starts_with(&format!("web.example: {name}: ")),
            "{told:?}"
        );
    }
}

#[test]
fn apps_that_have_slept_for_long_do_not_loosen_the_brake() {
    let hours = annotated(json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" }));
    let apps = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let falls_asleep = |since: &str| {
        let mut world = World::of(&apps).in_namespace(hours.clone());
        world.slices = apps[2..].iter().map(|app| slice(app, since)).collect();
        let told = world.told();
        let falls = told.iter().filter(|told| told.contains("falls asleep now"));
        falls.count()
    };
    assert_eq!(falls_asleep("2026-12-01T08:00:00Z"), 2, "a fifth of ten");
    assert_eq!(falls_asleep("2026-11-20T08:00:00Z"), 1, "a fifth of two");
}

#[test]
fn an_app_that_never_answered_after_it_was_woken_falls_asleep_again() {
    let hours = annotated(json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" }));
    let mut world = World::of(&["web"]).in_namespace(hours);
    world.slices.push(slice("web", "2026-11-30T13:00:00Z"));
    world.is_awake = true;
    let falls_asleep = ["web.example: falls asleep now: outside its hours"];
    assert_eq!(world.told(), falls_asleep);
    // Somebody may be waiting for it.
    world.is_scaled = true;
    assert_eq!(world.told(), ["web.example: asleep until Wed 08:00 UTC"]);
}

#[test]
fn each_host_of_an_app_is_in_the_plan_and_its_page_says_when_the_app_wakes() {
    let hours = annotated(json!({ "unidler/awake": OUT_OF_HOURS }));
    let mut world = World::of(&["web"]).in_namespace(hours);
    world.more_services = vec![("internal", "web")];
    world.hosts = vec![("internal.example", &["internal"])];
    let own = slice("web", "2026-12-01T13:00:00Z");
    let mut other = slice("internal", "2026-12-01T13:00:00Z");
    other["metadata"]["annotations"] = own["metadata"]["annotations"].clone();
    world.slices = vec![own, other];
    let planned = world.planned();
    let [planned] = &planned[..] else {
        panic!("{planned:?}");
    };
    assert_eq!(planned.app.to_string(), "internal.example, web.example");
    let alarms = planned.alarms().map(|((_, service), _)| service);
    assert_eq!(alarms.collect::<Vec<_>>(), ["internal", "web"]);
}

#[test]
fn outside_their_hours_apps_fall_asleep_and_the_brake_holds_most_of_them() {
    let hours = annotated(json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" }));
    let apps = ["a", "b", "c"];
    let mut world = World::of(&apps);
    for app in apps {
        world = world.with(app, hours.clone(), json!({}), json!({}));
    }
    let told = world.told();
    assert_eq!(told[0], "a.example: falls asleep now: outside its hours");
    for held in &told[1..] {
        assert!(held.contains("the brake holds"), "{held}");
    }
    let inside = annotated(json!({ "unidler/awake": IN_HOURS, "unidler/asleep": "at-once" }));
    let world = World::of(&["a"]).with("a", inside, json!({}), json!({}));
    assert_eq!(
        world.told(),
        ["a.example: inside its hours until 18:00 UTC"]
    );
}

#[test]
fn what_an_app_needs_is_asked_as_well() {
    let at_once = || {
        let hours = json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" });
        annotated(hours)
    };
    let needs = annotated(json!({ "unidler/needs": "deployment/db" }));
    let told = |db: Value| {
        let world = World::of(&["db", "web"]).with("web", at_once(), json!({}), needs.clone());
        world.with("db", json!({}), json!({}), db).told()
    };
    let awake = "web.example: Deployment team/db has to stay awake, as it or its Namespace says";
    for db in [
        annotated(json!({ "unidler/idle-after": "never" })),
        annotated(json!({ "unidler/awake": IN_HOURS })),
        json!({ "labels": { "unidler/app": "false" } }),
    ] {
        let told = told(db);
        assert!(told.iter().any(|line| line == awake), "{told:?}");
    }
}

#[test]
fn an_app_that_somebody_keeps_waking_is_left_alone() {
    let hours = annotated(json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" }));
    let told = |times: u32, last: &str| {
        let mut world = World::of(&["web"]).with("web", hours.clone(), json!({}), json!({}));
        let undone = json!({ "times": times, "last": last, "returned": null });
        let history = json!({ "idled": "2026-12-01T12:00:00Z", "woken": "2026-12-01T12:00:10Z", "by": "schedule", "workloads": [], "undone": undone });
        let mut awake = slice("web", "2026-12-01T12:00:00Z");
        awake["endpoints"] = json!([]);
        awake["metadata"]["annotations"] = json!({ "unidler/history": history.to_string() });
        awake["metadata"]["name"] = json!("web-unidler");
        world.slices.push(awake);
        world.is_awake = true;
        world.told().remove(0)
    };
    assert!(told(2, "2026-12-01T14:00:00Z").contains("putting it to sleep was undone"));
    assert!(!told(1, "2026-12-01T12:00:00Z").contains("undone"));
}

#[test]
fn an_app_that_sleeps_wakes_when_its_hours_begin() {
    let told = |hours: &str, by: &str, since: &str| {
        let hours = annotated(json!({ "unidler/awake": hours }));
        let mut world = World::of(&["web"]).with("web", hours, json!({}), json!({}));
        world.slices.push(slice_by(by, "web", since));
        world.told().remove(0)
    };
    let wakes = "web.example: wakes now: its hours have begun";
    assert_eq!(told(IN_HOURS, "cli", "2026-11-30T19:00:00Z"), wakes);
    // Somebody has put it to sleep within them.
    assert_ne!(told(IN_HOURS, "cli", "2026-12-01T14:00:00Z"), wakes);
    // A rule has, before they were set.
    assert_eq!(told(IN_HOURS, "schedule", "2026-12-01T14:00:00Z"), wakes);
    assert_ne!(told(OUT_OF_HOURS, "cli", "2026-11-30T19:00:00Z"), wakes);
}

#[test]
fn hours_wake_what_is_still_asleep_of_a_host() {
    let hours = annotated(json!({ "unidler/awake": IN_HOURS }));
    let mut world = World::of(&["web", "api"]).in_namespace(hours);
    world.hosts = vec![("all.example", &["web", "api"])];
    // A visitor, or a Service that was added, has left it in this state.
    world.slices.push(slice("api", "2026-11-30T19:00:00Z"));
    let wakes = "wakes now: its hours have begun";
    assert_eq!(
        world.told(),
        [
            format!("all.example: {wakes}"),
            format!("api.example: {wakes}"),
            "web.example: inside its hours until 18:00 UTC".to_owned(),
        ]
    );
}

#[test]
fn what_is_said_of_one_service_puts_no_other_to_sleep() {
    let none = || json!({});
    let told = |web: [Value; 3], api: [Value; 3], namespace: Value| {
        let [route, service, workload] = web;
        let world = World::of(&["web", "api"]).in_namespace(namespace);
        let world = world.with("web", route, service, workload);
        let [route, service, workload] = api;
        let mut world = world.with("api", route, service, workload);
        world.hosts = vec![("all.example", &["web", "api"])];
        world.told().remove(0)
    };
    let at_once = json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" });
    let annotations = |all: Value| annotated(all);
    let (at_once, never) = (
        annotations(at_once),
        annotations(json!({ "unidler/idle-after": "never" })),
    );
    let sleeps = "all.example: falls asleep now: outside its hours";
    assert_eq!(
        told(
            [none(), none(), none()],
            [none(), none(), none()],
            at_once.clone()
        ),
        sleeps
    );
    let web = || [at_once.clone(), none(), none()];
    for (api, namespace, expected) in [
        // Nothing permits it for the other one.
        ([none(), none(), none()], none(), "no rule puts it to sleep"),
        (
            [none(), none(), never.clone()],
            may_sleep(),
            "it never sleeps",
        ),
        ([none(), none(), none()], never.clone(), "it never sleeps"),
        (
            [
                annotations(json!({ "unidler/awake": "Sat 08:00-12:00 UTC" })),
                none(),
                none(),
            ],
            may_sleep(),
            "conflicting values of unidler/awake",
        ),
        // It is put to sleep by use alone, which nobody knows.
        (
            [none(), none(), none()],
            may_sleep(),
            "no source says anything",
        ),
        (
            [
                none(),
                annotations(json!({ "unidler/activity": "/" })),
                none(),
            ],
            may_sleep(),
            "unidler/activity says nothing of the other Services of its host",
        ),
    ] {
        assert_eq!(
            told(web(), api, namespace),
            format!("all.example: {expected}")
        );
    }
}

#[test]
fn an_app_counts_once_for_the_brake() {
    let apps = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let hours = json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" });
    let mut world = World::of(&apps).in_namespace(annotated(hours));
    world.hosts = vec![("all.example", &["a", "b", "c"])];
    let since = "2026-12-01T14:59:00Z";
    world.slices = ["a", "b", "c"].map(|app| slice(app, since)).into();
    // Of 13, two may fall asleep within an hour: that host, the nine others, and each host alone that sleeps with it.
    let told = world.told();
    let count = |what: &str| told.iter().filter(|line| line.contains(what)).count();
    let counts = ["falls asleep now", "at most 2 apps within one hour"].map(count);
    assert_eq!(counts, [1, 8], "{told:?}");
}

#[test]
fn hours_that_cannot_be_read_are_named_while_the_app_sleeps() {
    let hours = annotated(json!({ "unidler/awake": "Mon-Fri 9-5" }));
    let mut world = World::of(&["web"]).with("web", hours, json!({}), json!({}));
    world.slices.push(slice("web", "2026-11-30T19:00:00Z"));
    let told = world.told().remove(0);
    assert!(
        told.starts_with("web.example: asleep; unidler/awake: "),
        "{told}"
    );
}

#[test]
fn a_plan_is_a_table_or_json() {
    let mut world = World::of(&["web"]);
    world.slices.push(slice("web", "2026-11-30T19:00:00Z"));
    let planned = world.planned();
    assert_eq!(table(&planned), "web.example  asleep");
    let row = json!([{ "hosts": ["web.example"], "namespace": "team", "decision": "stay-asleep", "why": "asleep", "notBefore": null }]);
    assert_eq!(json!(rows(&planned, now())), row);
    assert_eq!(table(&[]), "No route points to a Service.");
}

/// It is among those that may sleep already.
#[test]
fn an_app_that_has_slept_within_the_hour_is_not_held_by_that() {
    let hours = annotated(json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" }));
    let told = |apps: &[&'static str]| {
        let mut world = World::of(apps);
        for app in apps {
            world = world.with(app, hours.clone(), json!({}), json!({}));
        }
        let history = json!({ "idled": "2026-12-01T14:10:00Z", "woken": "2026-12-01T14:20:00Z", "by": "schedule", "workloads": [] });
        let mut awake = slice("web", "2026-12-01T14:10:00Z");
        awake["endpoints"] = json!([]);
        awake["metadata"]["annotations"] = json!({ "unidler/history": history.to_string() });
        world.slices = vec![awake];
        world.is_awake = true;
        world.told()
    };
    assert_eq!(
        told(&["web"]),
        ["web.example: falls asleep now: outside its hours"]
    );
    let other = told(&["other", "web"]);
    assert!(other[0].contains("the brake holds"), "{other:?}");
}

#[test]
fn what_could_not_be_put_to_sleep_takes_no_place_from_others() {
    let hours = annotated(json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" }));
    let mut world = World::of(&["a", "b"])
        .with("a", hours.clone(), json!({}), json!({}))
        .with("b", hours, json!({}), json!({}));
    world.attempted = vec!["a"];
    let told = world.told();
    assert!(told[0].starts_with("a.example: last attempt "), "{told:?}");
    assert_eq!(told[1], "b.example: falls asleep now: outside its hours");

    // It may be asleep already, and only not be seen yet.
    world.attempt = Attempt::Sleep;
    let told = world.told();
    assert!(told[0].starts_with("a.example: last attempt "), "{told:?}");
    assert!(told[1].contains("the brake holds"), "{told:?}");
}

/// What never sleeps makes no room for others, and an app of many hosts is one app.
#[test]
fn the_brake_is_a_share_of_the_apps_that_may_sleep() {
    let hours = annotated(json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" }));
    let never = annotated(json!({ "unidler/idle-after": "never" }));
    let asleep = |others: &Value| {
        let apps = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let mut world = World::of(&apps);
        for app in apps {
            let rules = if app < "c" { &hours } else { others };
            world = world.with(app, rules.clone(), json!({}), json!({}));
        }
        let told = world.told();
        let asleep = told.iter().filter(|line| line.contains("falls asleep now"));
        asleep.count()
    };
    assert_eq!(asleep(&hours), 2, "a fifth of ten");
    assert_eq!(asleep(&never), 1, "a fifth of two, and at least one");
}

/// A change of the replicas leaves no time on the object.
#[test]
fn an_app_that_was_scaled_is_left_alone() {
    let hours = annotated(json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" }));
    let mut world = World::of(&["a"]).with("a", hours, json!({}), json!({}));
    assert_eq!(
        world.told(),
        ["a.example: falls asleep now: outside its hours"]
    );
    world.is_scaled = true;
    assert_eq!(
        world.told(),
        ["a.example: changed 0 s ago: left alone for another 30 min"]
    );
}

#[test]
fn the_prometheus_that_knows_who_uses_apps_stays_awake() {
    let hours = annotated(json!({ "unidler/awake": OUT_OF_HOURS, "unidler/asleep": "at-once" }));
    let mut world = World::of(&["metrics"]).with("metrics", hours, json!({}), json!({}));
    for (url, is_asked) in [
        ("http://metrics.team:9090", true),
        ("https://metrics.team.svc.cluster.local/prefix", true),
        ("http://metrics.example.org", false),
        ("http://other.team:9090", false),
    ] {
        let url: PrometheusUrl = url.parse().expect("an address");
        world.settings.prometheus = url.service();
        let expected = if is_asked {
            "metrics.example: unidler asks it who uses other apps"
        } else {
            "metrics.example: falls asleep now: outside its hours"
        };
        assert_eq!(world.told(), [expected], "{url:?}");
    }
}
