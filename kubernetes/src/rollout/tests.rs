//! The watches of one app against a scripted API server, in paused time.

use axum::body::{Body, Bytes};
use futures::{FutureExt, channel::mpsc};
use http::{Request, Response};
use kube::client::Body as KubeBody;
use serde_json::{Value, json};
use tokio::sync::mpsc as tokio_mpsc;
use tower::service_fn;
use unidler::app::AppId;

use super::*;
use crate::{objects::OwnService, reachable::any_at};

/// A watch request, which the test answers.
struct Asked {
    resource: String,
    query: String,
    answer: tokio::sync::oneshot::Sender<Response<Body>>,
}

/// The open end of a watch.
struct Open(mpsc::UnboundedSender<Result<Bytes, std::io::Error>>);

impl Open {
    fn tell(&self, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({ "type": kind, "object": object }));
        self.0
            .unbounded_send(Ok(line.into()))
            .expect("somebody watches");
    }

    /// That all that was there has been told.
    fn complete(&self) {
        let metadata = json!({ "resourceVersion": "9", "annotations": { "k8s.io/initial-events-end": "true" } });
        self.tell(
            "BOOKMARK",
            &json!({ "kind": "Pod", "apiVersion": "v1", "metadata": metadata }),
        );
    }
}

struct Server {
    asked: tokio_mpsc::UnboundedReceiver<Asked>,
    client: Client,
}

impl Server {
    fn new() -> Self {
        let (sender, asked) = tokio_mpsc::unbounded_channel();
        let server = service_fn(move |request: Request<KubeBody>| {
            let (answer, answered) = tokio::sync::oneshot::channel();
            let resource = request
                .uri()
                .path()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            let query = request.uri().query().unwrap_or_default().to_owned();
            sender
                .send(Asked {
                    resource,
                    query,
                    answer,
                })
                .expect("a test");
            answered.map(|answer| answer.map_err(|_| std::io::Error::other("refused")))
        });
        Self {
            asked,
            client: Client::new(
                tower::ServiceBuilder::new()
                    .layer(crate::retry_after::KeepRetryAfter)
                    .service(server),
                "ns",
            ),
        }
    }

    /// Opens the next watch of a resource; another one's stays without an answer.
    async fn open(&mut self, resource: &str) -> Open {
        let (sender, receiver) = mpsc::unbounded();
        let asked = self.next(resource).await;
        asked
            .answer
            .send(Response::new(Body::from_stream(receiver)))
            .expect("somebody waits");
        Open(sender)
    }

    async fn next(&mut self, resource: &str) -> Asked {
        let mut others = Vec::new();
        loop {
            let asked = self.asked.recv().await.expect("a request");
            if asked.resource == resource {
                // They are still to be answered.
                return asked;
            }
            others.push(asked);
        }
    }

    /// Both watches, whichever comes first.
    async fn both(&mut self) -> (Open, Open) {
        let (mut pods, mut slices) = (None, None);
        while pods.is_none() || slices.is_none() {
            let (sender, receiver) = mpsc::unbounded();
            let asked = self.asked.recv().await.expect("a request");
            asked
                .answer
                .send(Response::new(Body::from_stream(receiver)))
                .expect("somebody waits");
            *(if asked.resource == "pods" {
                &mut pods
            } else {
                &mut slices
            }) = Some(Open(sender));
        }
        (pods.expect("both"), slices.expect("both"))
    }
}

fn status(code: u16, retry_after: Option<u32>) -> Response<Body> {
    let status = json!({ "kind": "Status", "status": "Failure", "code": code, "message": "no" });
    let answer = Response::builder().status(code);
    let answer = match retry_after {
        Some(seconds) => answer.header("retry-after", seconds),
        None => answer,
    };
    answer
        .body(Body::from(status.to_string()))
        .expect("an answer")
}

fn found(replicas: u32, points_at_us: bool) -> Found {
    let cached = |name: &str| (name.to_owned(), "ns".to_owned());
    let deployment = json!({ "metadata": {}, "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "tool" } }, "template": {} } });
    let spec = match points_at_us {
        true => json!({ "type": "ExternalName", "externalName": "unidler.unidler.svc" }),
        false => json!({ "selector": { "app": "tool" } }),
    };
    let own = OwnService {
        name: "unidler".into(),
        domain: "cluster.local".into(),
    };
    let (name, namespace) = cached("tool");
    let deployment = Workload::parse(
        serde_json::from_value(deployment).expect("a Deployment"),
        "unidler",
    );
    let service = Service::parse(
        serde_json::from_value(json!({ "metadata": {}, "spec": spec })).expect("a Service"),
        &own,
    );
    Found {
        id: AppId::new("ns/tool/tool"),
        routes: Vec::new(),
        workloads: vec![Arc::new(Cached {
            name: name.clone(),
            namespace: namespace.clone(),
            key: None,
            value: deployment,
        })],
        services: vec![Arc::new(Cached {
            name,
            namespace,
            key: None,
            value: service,
        })],
        group: crate::group::Group::default(),
        slices: Vec::new(),
        home: None,
        adoption: crate::adoption::Adoption::Off,
        adopted: HashMap::new(),
        scaled_objects: Vec::new(),
    }
}

fn endpoints_of(rollout: &Rollout) -> Endpoints {
    rollout.endpoints(&ObjectId::new("Service ns/tool"))
}

fn pods_of(rollout: &Rollout) -> Pods {
    rollout.pods(&ObjectId::new("Deployment ns/tool"))
}

/// A pod of the `ReplicaSet` with the name `tool-5d4f`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "so that `json!` can stand in the call"
)]
fn pod(uid: &str, change: Value) -> Value {
    let owner = json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "tool-5d4f", "uid": "r", "controller": true });
    let mut pod = json!({
        "metadata": { "name": uid, "uid": uid, "ownerReferences": [owner] },
        "status": { "conditions": [{ "type": "PodScheduled", "status": "True" }] },
    });
    json_patch::merge(&mut pod, &change);
    pod
}

fn slice(version: &str, manager: &str, uids: &[&str]) -> Value {
    let endpoint = |uid: &&str| json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": true }, "targetRef": { "kind": "Pod", "name": uid, "uid": uid } });
    json!({
        "metadata": { "name": "tool-x", "uid": "s", "resourceVersion": version, "labels": { "endpointslice.kubernetes.io/managed-by": manager } },
        "addressType": "IPv4",
        "endpoints": uids.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

const OWN: &str = "endpointslice-controller.k8s.io";

/// Lets everything happen that can happen now.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_counts_if_it_is_a_living_pod_of_the_app() {
    let alive = || pod("p1", json!({}));
    let cases = [
        (alive(), slice("1", OWN, &["p1"]), Endpoints::Ready),
        (alive(), slice("1", OWN, &[]), Endpoints::NotReady),
        (alive(), slice("1", OWN, &["p0"]), Endpoints::NotReady),
        (
            alive(),
            slice("1", "endpointslicemirroring-controller.k8s.io", &["p1"]),
            Endpoints::NotReady,
        ),
        (alive(), slice("1", "unidler", &["p1"]), Endpoints::NotReady),
        (
            pod(
                "p1",
                json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
            ),
            slice("1", OWN, &["p1"]),
            Endpoints::NotReady,
        ),
        (
            pod("p1", json!({ "metadata": { "ownerReferences": null } })),
            slice("1", OWN, &["p1"]),
            Endpoints::NotReady,
        ),
        (
            pod(
                "p1",
                json!({ "metadata": { "ownerReferences": [{ "kind": "ReplicaSet", "name": "tool-worker-5d4f", "apiVersion": "apps/v1", "uid": "r", "controller": true }] } }),
            ),
            slice("1", OWN, &["p1"]),
            Endpoints::NotReady,
        ),
    ];
    for (pod, slice, expected) in cases {
        let mut server = Server::new();
        let rollout = Rollout::watch(&server.client, &found(1, false));
        assert_eq!(
            endpoints_of(&rollout),
            Endpoints::Unknown,
            "before anything is known"
        );
        let (pods, slices) = server.both().await;
        pods.tell("ADDED", &pod);
        pods.complete();
        slices.tell("ADDED", &slice);
        slices.complete();
        settle().await;
        assert_eq!(endpoints_of(&rollout), expected, "{pod} {slice}");
    }
    let mut server = Server::new();
    let rollout = Rollout::watch(&server.client, &found(1, false));
    let (pods, slices) = server.both().await;
    pods.tell("ADDED", &alive());
    pods.complete();
    let mut answering = slice("1", OWN, &["p1", "p0"]);
    answering["ports"] = json!([
        { "name": "http", "port": 3000, "protocol": "TCP" },
        { "name": "", "port": 9000 },
        { "name": "dns", "port": 53, "protocol": "UDP" },
        { "name": "any" },
    ]);
    slices.tell("ADDED", &answering);
    slices.complete();
    settle().await;
    let reachable = Reachable::default();
    let published = rollout.publish(&reachable);
    let ready = reachable.of(&ObjectId::new("Service ns/tool"));
    let at = |port| any_at(&ready.as_ref()?.ready, port);
    let address = |text: &str| Some(text.parse().expect("an address"));
    assert_eq!(at("http"), address("10.0.0.1:3000"));
    assert_eq!(at(""), address("10.0.0.1:9000"));
    assert_eq!((at("dns"), at("any"), at("other")), (None, None, None));
    assert_eq!(
        ready.as_ref().map(|endpoints| endpoints.ready.len()),
        Some(1),
        "only the living one"
    );
    drop((published, ready));
    assert!(reachable.of(&ObjectId::new("Service ns/tool")).is_none());

    let going = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    for (change, conditions, drains) in [
        (going, json!({ "ready": true }), true),
        (json!({}), json!({ "ready": false }), false),
        (
            json!({}),
            json!({ "ready": true, "terminating": true }),
            true,
        ),
        (
            json!({}),
            json!({ "ready": false, "serving": true, "terminating": true }),
            true,
        ),
        (
            json!({}),
            json!({ "ready": false, "serving": false, "terminating": true }),
            false,
        ),
    ] {
        let mut server = Server::new();
        let rollout = Rollout::watch(&server.client, &found(1, false));
        let (pods, slices) = server.both().await;
        pods.tell("ADDED", &pod("p1", change));
        pods.complete();
        let mut slice = slice("1", OWN, &["p1"]);
        slice["endpoints"][0]["conditions"] = conditions.clone();
        slices.tell("ADDED", &slice);
        slices.complete();
        settle().await;
        assert_eq!(endpoints_of(&rollout), Endpoints::NotReady, "{conditions}");
        let reachable = Reachable::default();
        let _published = rollout.publish(&reachable);
        let endpoints = reachable.of(&ObjectId::new("Service ns/tool"));
        let draining = endpoints.map(|endpoints| endpoints.draining.len());
        assert_eq!(draining, Some(usize::from(drains)), "{conditions}");
    }
}

/// An app that has just fallen asleep, and whose pods are seen at once.
#[tokio::test(start_paused = true)]
async fn a_pod_of_a_workload_without_replicas_is_not_ready_but_drains() {
    let mut server = Server::new();
    let rollout = Rollout::watch(&server.client, &found(0, true));
    let (pods, slices) = server.both().await;
    pods.tell("ADDED", &pod("old", json!({})));
    pods.complete();
    slices.tell("ADDED", &slice("1", OWN, &["old"]));
    slices.complete();
    settle().await;
    assert_eq!(endpoints_of(&rollout), Endpoints::NotReady);
    let reachable = Reachable::default();
    let _published = rollout.publish(&reachable);
    let endpoints = reachable.of(&ObjectId::new("Service ns/tool"));
    let draining = endpoints.map(|endpoints| endpoints.draining.len());
    assert_eq!(draining, Some(1));
}

/// Controllers take a moment to say that the pods of before are going.
#[tokio::test(start_paused = true)]
async fn a_pod_of_before_the_start_does_not_count_for_a_while() {
    let mut server = Server::new();
    let mut rollout = Rollout::watch(&server.client, &found(0, true));
    let (pods, slices) = server.both().await;
    pods.tell("ADDED", &pod("old", json!({})));
    pods.complete();
    slices.tell("ADDED", &slice("1", OWN, &["old"]));
    slices.complete();
    settle().await;
    rollout.remember(&found(0, true));
    rollout.remember(&found(1, false));
    assert_eq!(endpoints_of(&rollout), Endpoints::NotReady);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(endpoints_of(&rollout), Endpoints::NotReady);
    pods.tell("ADDED", &pod("new", json!({})));
    slices.tell("MODIFIED", &slice("2", OWN, &["old", "new"]));
    settle().await;
    assert_eq!(
        endpoints_of(&rollout),
        Endpoints::Ready,
        "a new one counts at once"
    );
    slices.tell("MODIFIED", &slice("3", OWN, &["old"]));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(
        endpoints_of(&rollout),
        Endpoints::Ready,
        "one that has stayed is the app's after all"
    );
}

#[tokio::test(start_paused = true)]
async fn half_a_picture_is_not_shown_and_an_old_one_not_kept() {
    let mut server = Server::new();
    let rollout = Rollout::watch(&server.client, &found(1, false));
    let (pods, slices) = server.both().await;
    let crashing = json!({ "status": { "containerStatuses": [{
        "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 5, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
    }] } });
    pods.tell("ADDED", &pod("p1", crashing));
    settle().await;
    assert_eq!(
        pods_of(&rollout),
        Pods::default(),
        "the other pod may be nearly ready"
    );
    pods.tell("ADDED", &pod("p2", json!({})));
    pods.complete();
    slices.tell("ADDED", &slice("1", OWN, &["p2"]));
    slices.complete();
    settle().await;
    assert!(pods_of(&rollout).step.is_some(), "all of it");
    assert_eq!(endpoints_of(&rollout), Endpoints::Ready);

    // The slice goes while nobody watches: the next watch brings nothing but its completeness.
    drop(slices);
    let slices = server.open("endpointslices").await;
    settle().await;
    assert_eq!(
        endpoints_of(&rollout),
        Endpoints::Ready,
        "until more is known"
    );
    slices.complete();
    settle().await;
    assert_eq!(endpoints_of(&rollout), Endpoints::NotReady);
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_is_not_believed_for_long_and_not_tried_again_and_again() {
    let mut server = Server::new();
    let rollout = Rollout::watch(&server.client, &found(1, false));
    let (pods, slices) = server.both().await;
    pods.tell("ADDED", &pod("p1", json!({})));
    pods.complete();
    slices.tell("ADDED", &slice("1", OWN, &["p1"]));
    slices.complete();
    settle().await;
    assert_eq!(endpoints_of(&rollout), Endpoints::Ready);
    drop(slices);
    let begun = Instant::now();
    let mut requests = 0;
    while begun.elapsed() < Duration::from_secs(120) {
        if let Ok(asked) = timeout(Duration::from_secs(1), server.asked.recv()).await {
            requests += 1;
            asked
                .expect("a request")
                .answer
                .send(status(503, None))
                .expect("somebody waits");
        }
        if begun.elapsed() > Duration::from_secs(12) {
            assert_eq!(
                endpoints_of(&rollout),
                Endpoints::Unknown,
                "after {:?}",
                begun.elapsed()
            );
        }
    }
    assert!((4..=11).contains(&requests), "{requests} in two minutes");
    drop(pods);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_asks_for_patience_gets_it() {
    let mut server = Server::new();
    let _detail = Rollout::watch(&server.client, &found(1, false));
    for _ in 0..2 {
        let asked = server.asked.recv().await.expect("a request");
        asked
            .answer
            .send(status(429, Some(50)))
            .expect("somebody waits");
    }
    let begun = Instant::now();
    server.asked.recv().await.expect("a request");
    assert!(
        begun.elapsed() >= Duration::from_secs(50),
        "after {:?}",
        begun.elapsed()
    );
}

/// Before Kubernetes 1.32 they refuse, or know nothing of it.
#[tokio::test(start_paused = true)]
async fn an_older_api_server_does_not_say_when_it_has_told_everything() {
    for refusal in [Some(422), Some(400), None] {
        let mut server = Server::new();
        let rollout = Rollout::watch(&server.client, &found(1, false));
        let mut open = Vec::new();
        while open.len() < 2 {
            let asked = server.asked.recv().await.expect("a request");
            if asked.query.contains("sendInitialEvents=true")
                && let Some(code) = refusal
            {
                asked
                    .answer
                    .send(status(code, None))
                    .expect("somebody waits");
                continue;
            }
            let (sender, receiver) = mpsc::unbounded();
            asked
                .answer
                .send(Response::new(Body::from_stream(receiver)))
                .expect("somebody waits");
            let watch = Open(sender);
            watch.tell(
                "ADDED",
                &if asked.resource == "pods" {
                    pod("p1", json!({}))
                } else {
                    slice("1", OWN, &["p1"])
                },
            );
            open.push(watch);
        }
        settle().await;
        assert_eq!(endpoints_of(&rollout), Endpoints::Unknown);
        sleep(Duration::from_secs(6)).await;
        assert_eq!(endpoints_of(&rollout), Endpoints::Ready, "{refusal:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_pods_may_not_be_watched_only_slices_count_that_have_changed() {
    let mut server = Server::new();
    let mut rollout = Rollout::watch(&server.client, &found(0, true));
    let mut slices = None;
    // The first refusal may be that of an API server which does not know its roles yet.
    for _ in 0..3 {
        let asked = server.asked.recv().await.expect("a request");
        if asked.resource == "pods" {
            assert_ne!(endpoints_of(&rollout), Endpoints::Forbidden);
            asked
                .answer
                .send(status(403, None))
                .expect("somebody waits");
        } else {
            let (sender, receiver) = mpsc::unbounded();
            asked
                .answer
                .send(Response::new(Body::from_stream(receiver)))
                .expect("somebody waits");
            slices = Some(Open(sender));
        }
    }
    let slices = slices.expect("a watch");
    slices.tell("ADDED", &slice("1", OWN, &["of-days-ago"]));
    slices.complete();
    settle().await;
    assert_eq!(endpoints_of(&rollout), Endpoints::NotReady);
    rollout.remember(&found(0, true));
    rollout.remember(&found(1, true));
    assert_eq!(endpoints_of(&rollout), Endpoints::NotReady);
    slices.tell("MODIFIED", &slice("2", OWN, &["new"]));
    settle().await;
    // That the Service has been restored is seen later than what the controller makes of it.
    rollout.remember(&found(1, true));
    rollout.remember(&found(1, false));
    assert_eq!(endpoints_of(&rollout), Endpoints::Ready);
}

/// Each has a watch of its own, and a Service may lead to the pods of any.
#[tokio::test(start_paused = true)]
async fn an_app_may_have_several_workloads() {
    let mut server = Server::new();
    let mut two = found(1, false);
    let mut other = found(1, false).workloads.swap_remove(0);
    Arc::get_mut(&mut other).expect("the only one").name = "other".into();
    two.workloads.push(other);
    let mut rollout = Rollout::watch(&server.client, &two);
    assert!(rollout.is_of(&two) && !rollout.is_of(&found(1, false)));

    let of_other = json!({ "metadata": { "ownerReferences": [
        { "kind": "ReplicaSet", "name": "other-5d4f", "apiVersion": "apps/v1", "uid": "r", "controller": true },
    ] } });
    let mut watches = Vec::new();
    for is_last in [false, false, true] {
        assert_eq!(endpoints_of(&rollout), Endpoints::Unknown);
        let (sender, receiver) = mpsc::unbounded();
        let asked = server.asked.recv().await.expect("a request");
        let answer = Response::new(Body::from_stream(receiver));
        asked.answer.send(answer).expect("somebody waits");
        let open = Open(sender);
        if asked.resource == "pods" {
            open.tell("ADDED", &pod("p1", of_other.clone()));
        } else {
            open.tell("ADDED", &slice("1", OWN, &["p1"]));
        }
        open.complete();
        watches.push(open);
        rollout.changed().await;
        settle().await;
        assert_eq!(endpoints_of(&rollout) == Endpoints::Ready, is_last);
    }
    let pods = |name: &str| rollout.pods(&ObjectId::new(name));
    assert!(pods("Deployment ns/other").step.is_some());
    assert_eq!(pods("Deployment ns/tool"), Pods::default());
}

/// Nothing on them says whose pods they are: those of a workload of another kind are known by their owners.
#[test]
fn the_pods_of_a_custom_workload_are_those_that_are_no_others() {
    let mut mixed = found(1, false);
    let custom = json!({
        "apiVersion": "example.com/v1", "kind": "Sandbox", "metadata": { "name": "box" },
        "spec": { "replicas": 1, "selector": { "app": "tool" } },
    });
    let sandboxes = "sandboxes.v1.example.com".parse().expect("a kind");
    let custom = serde_json::from_value(custom).expect("an object");
    mixed.workloads.push(Arc::new(Cached {
        name: "box".into(),
        namespace: "ns".into(),
        key: None,
        value: Workload::parse_custom(custom, &sandboxes, None),
    }));
    let owners: Vec<_> = mixed
        .workloads
        .iter()
        .map(|workload| Owner::of(workload))
        .collect();
    let owns = |index: usize, owner: Value| {
        let pod = serde_json::from_value(pod(
            "p",
            json!({ "metadata": { "ownerReferences": owner } }),
        ));
        let (pod, own): (Pod, &Owner) = (pod.expect("a pod"), &owners[index]);
        own.owns(&pod, &own.others(&mixed))
    };
    let controlled_by = |kind: &str, name: &str| json!([{ "apiVersion": "x/v1", "kind": kind, "name": name, "uid": "r", "controller": true }]);
    for (owner, is_of_deployment, is_of_custom) in [
        (controlled_by("ReplicaSet", "tool-5d4f"), true, false),
        (controlled_by("ReplicaSet", "box-5d4f"), false, true),
        (controlled_by("Sandbox", "box"), false, true),
        (Value::Null, false, true),
    ] {
        assert_eq!(owns(0, owner.clone()), is_of_deployment, "{owner}");
        assert_eq!(owns(1, owner.clone()), is_of_custom, "{owner}");
    }
}
