//! The whole client against a scripted API server, in paused time: how often it asks, and what it says when it cannot.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{Request, Response},
};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use kube::{Client, client::Body as KubeBody};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tower::{ServiceBuilder, service_fn};
use unidler::{app::AppId, cluster::Cluster, host::Host, progress::Reason};

use crate::{ClusterSettings, KubernetesCluster, cache::Contact, retry_after::KeepRetryAfter};

#[derive(Debug, Default)]
struct Script {
    /// The objects of each kind.
    objects: HashMap<&'static str, Vec<Value>>,
    /// What was listed when, since the start.
    lists: Vec<(String, Duration)>,
    /// The answers to the next lists, instead of the objects: status and `Retry-After`.
    faults: VecDeque<(u16, u32)>,
    /// What is answered to everything, from some time on.
    is_down: bool,
    /// The kinds that it does not have, and what it answers to their lists.
    absent: Vec<(&'static str, u16)>,
    /// How long a list takes.
    takes: Duration,
    /// How long a watch lasts, if it does not last as long as it was asked to.
    lasts: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Server {
    script: Arc<Mutex<Script>>,
    begun: Instant,
}

impl Server {
    fn new(script: Script) -> Self {
        Self {
            script: Arc::new(Mutex::new(script)),
            begun: Instant::now(),
        }
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().expect("no panic")
    }

    async fn answer(self, request: Request<KubeBody>) -> Response<Body> {
        let resource = request
            .uri()
            .path()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let is_watch = request
            .uri()
            .query()
            .is_some_and(|query| query.contains("watch=true"));
        if self.script().is_down {
            return failure(503, 0);
        }
        if request.uri().path() == "/apis/gateway.networking.k8s.io/v1" {
            return failure(404, 0);
        }
        let absent = self.script().absent.clone();
        if let Some((_, status)) = absent.iter().find(|(kind, _)| *kind == resource) {
            return failure(*status, 0);
        }
        if is_watch {
            let lasts = self.script().lasts.unwrap_or(Duration::from_secs(30));
            let silence = futures::stream::once(sleep(lasts))
                .filter_map(|()| async { None::<Result<Bytes, Infallible>> });
            return Response::new(Body::from_stream(silence));
        }
        let (fault, takes) = {
            let mut script = self.script();
            script.lists.push((resource.clone(), self.begun.elapsed()));
            (script.faults.pop_front(), script.takes)
        };
        sleep(takes).await;
        if let Some((status, seconds)) = fault {
            return failure(status, seconds);
        }
        let items = self
            .script()
            .objects
            .get(resource.as_str())
            .cloned()
            .unwrap_or_default();
        Response::new(Body::from(
            json!({ "metadata": { "resourceVersion": "7" }, "items": items }).to_string(),
        ))
    }

    fn cluster(&self) -> KubernetesCluster {
        let server = self.clone();
        let service = service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let client = Client::new(
            ServiceBuilder::new().layer(KeepRetryAfter).service(service),
            "default",
        );
        let settings = ClusterSettings::of_tests();
        let cluster = KubernetesCluster::with_clients(client.clone(), client, settings);
        tokio::spawn({
            let cluster = cluster.clone();
            async move { cluster.run().await }
        });
        cluster
    }

    fn lists_of(&self, resource: &str) -> Vec<Duration> {
        let script = self.script();
        script
            .lists
            .iter()
            .filter(|(of, _)| of == resource)
            .map(|(_, at)| *at)
            .collect()
    }
}

fn failure(status: u16, seconds: u32) -> Response<Body> {
    let body =
        json!({ "kind": "Status", "status": "Failure", "code": status, "message": "not now" });
    let answer = Response::builder()
        .status(status)
        .header("retry-after", seconds);
    answer
        .body(Body::from(body.to_string()))
        .expect("an answer")
}

/// So many apps whose wake-up has begun, and never comes to an end.
fn broken_apps(number: usize) -> Script {
    let metadata = |name: &String, labels: Value| json!({ "name": name, "namespace": "team", "uid": name, "resourceVersion": "1", "labels": labels });
    let names: Vec<String> = (0..number).map(|number| format!("app-{number}")).collect();
    let ingress = |name: &String| {
        let backend = json!({ "service": { "name": name, "port": { "number": 80 } } });
        let rule = json!({ "host": format!("{name}.example"), "http": { "paths": [{ "backend": backend }] } });
        json!({ "metadata": metadata(name, json!({ "host": format!("{name}.example") })), "spec": { "rules": [rule] } })
    };
    let deployment = |name: &String| {
        let labels = json!({ "host": format!("{name}.example"), "mojanalytics.xyz/idled": "true" });
        json!({ "metadata": metadata(name, labels), "spec": { "replicas": 1, "selector": { "matchLabels": { "app": name } }, "template": {} } })
    };
    let service = |name: &String| {
        let spec =
            json!({ "type": "ExternalName", "externalName": "unidler.unidler.svc.cluster.local" });
        json!({ "metadata": metadata(name, json!({})), "spec": spec })
    };
    let objects = HashMap::from([
        ("ingresses", names.iter().map(ingress).collect()),
        ("deployments", names.iter().map(deployment).collect()),
        ("services", names.iter().map(service).collect()),
    ]);
    Script {
        objects,
        ..Script::default()
    }
}

async fn ready(cluster: &KubernetesCluster) {
    timeout(Duration::from_secs(60), async {
        while cluster.not_ready().is_some() {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the lists come");
}

fn host(name: &str) -> Host {
    Host::parse(name).expect("a host")
}

/// Watches apps for so long.
async fn watched(cluster: &KubernetesCluster, apps: &[AppId], time: Duration) {
    let mut watches: FuturesUnordered<_> = apps
        .iter()
        .map(|app| cluster.watch(app).for_each(|_| async {}).boxed())
        .collect();
    assert!(
        timeout(time, watches.next()).await.is_err(),
        "a watch never ends"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hundred_broken_apps_cause_ten_lists_in_ten_minutes() {
    let server = Server::new(broken_apps(100));
    let cluster = server.cluster();
    ready(&cluster).await;
    let apps = cluster.apps();
    assert_eq!(apps.len(), 100);
    watched(&cluster, &apps, Duration::from_mins(10)).await;
    for kind in ["ingresses", "deployments", "services"] {
        let lists = server.lists_of(kind);
        assert!((3..=10).contains(&lists.len()), "{kind}: {lists:?}");
        let gaps = lists.windows(2).skip(1).map(|pair| pair[1] - pair[0]);
        assert!(
            gaps.min().is_some_and(|gap| gap >= Duration::from_mins(1)),
            "{kind}: {lists:?}"
        );
    }
}

/// While one is under way, there is no other, and what the watch knows is as current as it was.
#[tokio::test(start_paused = true)]
async fn a_list_that_takes_long_is_left_to_end() {
    let server = Server::new(broken_apps(3));
    let cluster = server.cluster();
    ready(&cluster).await;
    server.script().takes = Duration::from_mins(5);
    let apps = cluster.apps();
    watched(&cluster, &apps, Duration::from_mins(4)).await;
    assert_eq!(server.lists_of("deployments").len(), 2);
    assert!(
        cluster
            .observe(&apps[0])
            .is_ok_and(|observed| observed.connected)
    );
}

#[tokio::test(start_paused = true)]
async fn what_an_api_server_asks_of_lists_is_done() {
    let kinds = [
        "ingresses",
        "httproutes",
        "gateways",
        "referencegrants",
        "deployments",
        "statefulsets",
        "rollouts",
        "services",
        "endpointslices",
        "namespaces",
        "scaledobjects",
    ];
    let script = Script {
        faults: VecDeque::from(kinds.map(|_| (429, 40))),
        ..broken_apps(1)
    };
    let server = Server::new(script);
    let cluster = server.cluster();
    ready(&cluster).await;
    for kind in kinds {
        let lists = server.lists_of(kind);
        assert!(
            lists.len() == 2 && lists[1] - lists[0] >= Duration::from_secs(40),
            "{kind}: {lists:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_tells_nobody_before_it_is_complete() {
    let server = Server::new(broken_apps(500));
    let cluster = server.cluster();
    let mut changes = cluster.observer.changes();
    let mut told = 0;
    let counting = async {
        while changes.changed().await.is_ok() {
            told += 1;
        }
    };
    assert!(timeout(Duration::from_secs(5), counting).await.is_err());
    assert!(told <= 3, "{told} times for three lists of 500 objects");
}

#[tokio::test(start_paused = true)]
async fn contact_that_is_lost_is_noticed() {
    let server = Server::new(Script {
        lasts: Some(Duration::from_secs(5)),
        ..broken_apps(1)
    });
    let cluster = server.cluster();
    ready(&cluster).await;
    assert_eq!(
        cluster.observer.caches.services.since_contact(),
        Duration::ZERO
    );
    server.script().is_down = true;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(cluster.not_ready(), None, "visitors are told by the page");
    assert!(cluster.observer.caches.services.since_contact() > Duration::from_secs(30));
    assert!(
        cluster.find(&host("app-0.example")).is_ok(),
        "what was known is still shown"
    );
    assert_eq!(
        cluster.find(&host("new.example")),
        Err(Reason::ApiUnreachable),
        "which may be there by now"
    );
    sleep(Duration::from_mins(5)).await;
    let why = cluster.not_ready().expect("not ready");
    assert!(why.contains("could not be watched for"), "{why}");
    server.script().is_down = false;
    ready(&cluster).await;
    assert_eq!(cluster.find(&host("new.example")), Err(Reason::NoRoute));
}

/// Whether it says so, or refuses what it does not have, for want of the permission.
#[tokio::test(start_paused = true)]
async fn a_cluster_may_do_without_the_gateway_api_and_get_it_later() {
    for status in [404, 403] {
        let server = Server::new(Script {
            absent: vec![("httproutes", status)],
            ..broken_apps(1)
        });
        let cluster = server.cluster();
        ready(&cluster).await;
        let routes = &cluster.observer.caches.http_routes;
        assert!(server.begun.elapsed() < Duration::from_secs(5), "{status}");
        assert!(routes.is_connected() && cluster.find(&host("app-0.example")).is_ok());
        let route = json!({ "metadata": { "name": "new", "namespace": "team" } });
        server.script().objects.insert("httproutes", vec![route]);
        server.script().absent.clear();
        sleep(Duration::from_mins(1)).await;
        assert!(routes.named("team", "new").is_some(), "{status}");
    }
}

/// A Service points at ready pods, whether or not they have been ready for `minReadySeconds`.
#[tokio::test(start_paused = true)]
async fn a_replica_that_is_ready_need_not_be_available() {
    let mut script = broken_apps(1);
    script.objects.get_mut("deployments").expect("Deployments")[0]["status"] =
        json!({ "readyReplicas": 1, "availableReplicas": 0 });
    let server = Server::new(script);
    let cluster = server.cluster();
    ready(&cluster).await;
    let observed = cluster.observe(&cluster.apps()[0]).expect("an app");
    assert_eq!(observed.workloads[0].available, 1);
}
