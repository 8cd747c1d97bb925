//! The client of the Kubernetes API against a scripted API server: every fault that HTTP has to offer.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Json, Response},
    routing::{get, patch},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tracing_subscriber::fmt::MakeWriter;
use unidler::{
    app::{AppId, Diversion, Leads, Observation, Version},
    cluster::{ApplyError, Cluster, Ended, Write},
    host::Host,
    progress::Reason,
};
use unidler_kubernetes::{ClusterSettings, KubernetesCluster};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the API server does with the next request of a kind; when the script is over, what it should.
#[derive(Clone, Debug)]
enum Fault {
    /// An answer with this status; a `Status` with the message, and a header that says when to come again.
    Status(u16, &'static str, u32),
    /// The stream of a watch ends at once.
    Eof,
    /// The stream of a watch brings an error, and ends.
    GoneInStream,
    /// The stream of a watch breaks.
    Reset,
    /// The stream of a watch brings a bookmark and nothing else.
    BookmarkOnly,
}

#[derive(Debug, Default)]
struct Script {
    lists: VecDeque<Fault>,
    watches: VecDeque<Fault>,
    patches: VecDeque<Fault>,
    /// What has been asked: verb and body.
    patched: Vec<(String, String, Value)>,
    replicas: u32,
}

#[derive(Clone, Debug)]
struct Api {
    script: Arc<Mutex<Script>>,
}

impl Api {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no panic")
    }

    fn objects(&self, kind: &str) -> Value {
        let metadata = |more: Value| {
            let mut metadata = json!({ "name": "tool", "namespace": "ns", "uid": "u", "resourceVersion": "7", "labels": { "host": "tool.example" } });
            metadata
                .as_object_mut()
                .expect("an object")
                .extend(more.as_object().expect("an object").clone());
            metadata
        };
        let idled = json!({ "labels": { "host": "tool.example", "app": "tool", "mojanalytics.xyz/idled": "true" }, "generation": 1 });
        let path = json!({ "path": "/", "backend": { "service": { "name": "tool", "port": { "name": "http" } } } });
        match kind {
            "ingresses" => {
                json!({ "metadata": metadata(json!({})), "spec": { "rules": [{ "host": "tool.example", "http": { "paths": [path] } }] } })
            }
            "deployments" => json!({
                "metadata": metadata(idled),
                "spec": { "replicas": self.script().replicas, "selector": { "matchLabels": { "app": "tool" } }, "template": {} },
            }),
            _ => json!({
                "metadata": metadata(json!({ "labels": { "host": "tool.example", "app": "tool" } })),
                "spec": { "type": "ExternalName", "externalName": "unidler.tools.svc.cluster.local" },
            }),
        }
    }
}

fn status((code, message, seconds): (u16, &str, u32)) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message,
    });
    let headers = [("retry-after", seconds.to_string())];
    (
        StatusCode::from_u16(code).expect("a status"),
        headers,
        Json(status),
    )
        .into_response()
}

#[derive(serde::Deserialize)]
struct ListQuery {
    #[serde(default)]
    watch: bool,
}

async fn list(
    State(api): State<Api>,
    Path((_, kind)): Path<(String, String)>,
    Query(query): Query<ListQuery>,
) -> Response {
    if !query.watch {
        // The faults are those of the kinds that every cluster has.
        if matches!(
            &*kind,
            "httproutes" | "gateways" | "referencegrants" | "rollouts"
        ) {
            return Json(json!({ "metadata": { "resourceVersion": "7" }, "items": [] }))
                .into_response();
        }
        if let Some(Fault::Status(code, message, seconds)) = api.script().lists.pop_front() {
            return status((code, message, seconds));
        }
        let items = match &*kind {
            "statefulsets" | "endpointslices" => json!([]),
            kind => json!([api.objects(kind)]),
        };
        return Json(json!({ "metadata": { "resourceVersion": "7" }, "items": items }))
            .into_response();
    }
    let line = |value: Value| format!("{value}\n");
    // Only the Deployments' watch is scripted: the others stay open.
    let fault = if kind == "deployments" {
        api.script().watches.pop_front()
    } else {
        None
    };
    let lines = match fault {
        Some(Fault::Status(code, message, seconds)) => return status((code, message, seconds)),
        Some(Fault::Eof) => return Body::empty().into_response(),
        Some(Fault::GoneInStream) => {
            let gone = json!({ "kind": "Status", "code": 410, "status": "Failure", "message": "too old", "reason": "Expired" });
            return line(json!({ "type": "ERROR", "object": gone })).into_response();
        }
        Some(Fault::Reset) => {
            let broken = stream::iter([
                Ok(Bytes::from_static(b"{\"type\":")),
                Err(std::io::Error::other("reset")),
            ]);
            return Body::from_stream(broken).into_response();
        }
        Some(Fault::BookmarkOnly) => {
            let object = json!({ "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "resourceVersion": "8" } });
            return line(json!({ "type": "BOOKMARK", "object": object })).into_response();
        }
        None => stream::pending::<Result<Bytes, Infallible>>(),
    };
    Body::from_stream(lines).into_response()
}

async fn change(
    State(api): State<Api>,
    Path((_, _, kind, _)): Path<(String, String, String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let content_type = headers["content-type"].to_str().expect("text").to_owned();
    let fault = {
        let mut script = api.script();
        script.patched.push((kind.clone(), content_type, body));
        script.patches.pop_front()
    };
    match fault {
        Some(Fault::Status(code, message, seconds)) => status((code, message, seconds)),
        _ => Json(api.objects(&kind)).into_response(),
    }
}

/// What is logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

struct World {
    api: Api,
    cluster: KubernetesCluster,
    watching: JoinHandle<()>,
}

impl World {
    async fn new(script: Script) -> Self {
        let api = Api {
            script: Arc::new(Mutex::new(script)),
        };
        // Core resources have no group in their path.
        let core = |path: &str| path.replace("/apis/{group}", "/api");
        let (all, one) = (
            "/apis/{group}/{version}/{kind}",
            "/apis/{group}/{version}/namespaces/{ns}/{kind}/{name}",
        );
        let router = Router::new()
            .route(
                all,
                get(
                    |state, Path((_, version, kind)): Path<(String, String, String)>, query| {
                        list(state, Path((version, kind)), query)
                    },
                ),
            )
            .route(&core(all), get(list))
            .route(
                one,
                patch(
                    |state,
                     Path((_, version, ns, kind, name)): Path<(
                        String,
                        String,
                        String,
                        String,
                        String,
                    )>,
                     headers,
                     body| {
                        change(state, Path((version, ns, kind, name)), headers, body)
                    },
                ),
            )
            .route(&core(one), patch(change))
            .with_state(api.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = kube::Config::new(format!("http://{address}").parse().expect("a URI"));
        let settings = ClusterSettings {
            key_label: "host".into(),
            service_name: "unidler".into(),
            service_namespace: "unidler".into(),
            cluster_domain: "cluster.local".into(),
            max_replicas: 10,
            idle_grace: Duration::from_secs(3),
            scalable: Vec::new(),
            is_server: true,
        };
        let cluster = KubernetesCluster::new(config, settings).expect("a client");
        let watching = tokio::spawn({
            let cluster = cluster.clone();
            async move { cluster.run().await }
        });
        Self {
            api,
            cluster,
            watching,
        }
    }

    /// The first observation that is as it should be.
    async fn until(&self, good: impl Fn(&Observation) -> bool) -> Observation {
        let mut observations = self.cluster.watch(&app());
        let looking = async {
            loop {
                let observation = observations.next().await.expect("it never ends");
                if good(&observation) {
                    return observation;
                }
            }
        };
        timeout(PATIENCE, looking)
            .await
            .expect("an observation as it should be")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn host(name: &str) -> Host {
    Host::parse(name).expect("a host")
}

fn app() -> AppId {
    AppId::new("ns/tool/tool")
}

fn is_known(observation: &Observation) -> bool {
    observation
        .as_ref()
        .is_ok_and(|observed| observed.connected)
}

#[tokio::test]
async fn an_idled_app_is_observed_as_it_is() {
    let world = World::new(Script::default()).await;
    let observed = world.until(is_known).await.expect("an app");
    assert!(observed.workloads[0].record.is_some() && observed.workloads[0].replicas == 0);
    assert!(matches!(
        observed.services[0].leads,
        Leads::Here(Diversion {
            restorable: true,
            ..
        })
    ));
    assert_eq!(world.cluster.not_ready(), None);
    assert_eq!(world.cluster.find(&host("tool.example")), Ok(app()));
    assert_eq!(world.cluster.apps(), [app()]);
    assert_eq!(
        world.cluster.find(&host("other.example")),
        Err(Reason::NoRoute)
    );
}

#[tokio::test]
async fn nothing_is_said_of_any_app_before_the_first_lists_are_complete() {
    for code in [429, 500, 503] {
        let faults = VecDeque::from(vec![Fault::Status(code, "not now", 0); 3]);
        let world = World::new(Script {
            lists: faults,
            ..Script::default()
        })
        .await;
        assert!(world.cluster.not_ready().is_some());
        assert_eq!(
            world.cluster.find(&host("tool.example")),
            Err(Reason::ApiUnreachable),
            "and not that there is no such app"
        );
        assert!(world.until(is_known).await.is_ok(), "{code} is survived");
    }
}

#[tokio::test]
async fn a_permission_that_is_missing_is_told_as_such() {
    for code in [401, 403] {
        // Twice for each of the five lists.
        let faults = VecDeque::from(vec![Fault::Status(code, "User \"unidler\" may not", 0); 10]);
        let world = World::new(Script {
            lists: faults,
            ..Script::default()
        })
        .await;
        let why = || {
            world
                .cluster
                .not_ready()
                .is_some_and(|why| why.contains("there is no permission to list "))
        };
        let is_told =
            |observation: &Observation| *observation == Err(Reason::PermissionMissing) && why();
        assert!(world.until(is_told).await.is_err());
        assert!(world.until(is_known).await.is_ok(), "{code} is survived");
    }
}

/// An API server that has just started refuses everything for a moment, until it knows its roles.
#[tokio::test]
async fn a_permission_is_not_missing_for_one_refusal() {
    let faults = VecDeque::from(vec![Fault::Status(403, "User \"unidler\" may not", 0); 3]);
    let world = World::new(Script {
        lists: faults,
        ..Script::default()
    })
    .await;
    let is_told = |observation: &Observation| *observation == Err(Reason::PermissionMissing);
    assert!(
        world
            .until(|observation| is_told(observation) || is_known(observation))
            .await
            .is_ok(),
        "it is not told"
    );
}

#[tokio::test]
async fn whatever_ends_a_watch_what_happened_meanwhile_is_noticed() {
    for fault in [
        Fault::Eof,
        Fault::GoneInStream,
        Fault::Reset,
        Fault::BookmarkOnly,
        Fault::Status(410, "too old", 0),
        Fault::Status(500, "broken", 0),
        Fault::Status(403, "forbidden", 0),
    ] {
        let world = World::new(Script {
            watches: VecDeque::from([fault.clone()]),
            ..Script::default()
        })
        .await;
        let scaled = |observation: &Observation| {
            observation
                .as_ref()
                .is_ok_and(|observed| observed.workloads[0].replicas == 2)
        };
        // A watch that goes on where it ended brings no list; one that must begin anew does.
        if matches!(fault, Fault::Eof | Fault::BookmarkOnly) {
            assert!(
                world
                    .until(is_known)
                    .await
                    .is_ok_and(|observed| observed.workloads[0].available == 0),
                "{fault:?}"
            );
        } else {
            world.api.script().replicas = 2;
            let observed = world
                .until(|observation| scaled(observation) && is_known(observation))
                .await
                .expect("an app");
            assert_eq!(
                observed.workloads[0].available, 0,
                "{fault:?} is never taken for success"
            );
        }
    }
}

/// A running command writes its log to the terminal of whoever called it.
#[tokio::test]
async fn a_watch_that_breaks_once_is_no_warning_and_one_that_cannot_begin_again_is() {
    let broken = Fault::Status(500, "broken", 0);
    for (faults, is_warning) in [
        (vec![Fault::Reset], false),
        (vec![broken.clone()], false),
        (vec![Fault::Reset, broken], true),
    ] {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let world = World::new(Script {
            watches: faults.clone().into(),
            ..Script::default()
        })
        .await;
        let all_of_them = async {
            while !world.api.script().watches.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, all_of_them).await.expect("all faults");
        // The list that follows on the last of them brings it.
        world.api.script().replicas = 2;
        let scaled = |observation: &Observation| {
            observation
                .as_ref()
                .is_ok_and(|observed| observed.workloads[0].replicas == 2)
        };
        world.until(scaled).await.expect("an app");
        assert_eq!(
            log.text()
                .contains("watch failed, retrying kind=Deployment"),
            is_warning,
            "{faults:?}: {}",
            log.text()
        );
    }
}

#[tokio::test]
async fn each_answer_to_a_write_is_understood() {
    let world = World::new(Script::default()).await;
    let observed = world.until(is_known).await.expect("an app");
    let unreachable = |message: &str, seconds: Option<u64>| ApplyError::Unreachable {
        message: message.into(),
        retry_after: seconds.map(Duration::from_secs),
    };
    for (fault, result) in [
        (None, Ok(())),
        (Some((409, "modified", 0)), Err(ApplyError::Conflict)),
        (Some((404, "gone", 0)), Err(ApplyError::Conflict)),
        (
            Some((
                422,
                "the server rejected our request due to an error in our request",
                0,
            )),
            Err(ApplyError::Conflict),
        ),
        (
            Some((422, "is invalid", 0)),
            Err(ApplyError::Invalid("is invalid".into())),
        ),
        (
            Some((403, "no", 0)),
            Err(ApplyError::Forbidden("no".into())),
        ),
        (Some((429, "later", 5)), Err(unreachable("later", Some(5)))),
        (Some((500, "broken", 0)), Err(unreachable("broken", None))),
        (
            Some((503, "starting", 0)),
            Err(unreachable("starting", None)),
        ),
    ] {
        world
            .api
            .script()
            .patches
            .extend(fault.map(|(code, message, seconds)| Fault::Status(code, message, seconds)));
        let write = Write::Scale {
            workload: observed.workloads[0].id.clone(),
            version: observed.workloads[0].version.clone(),
            replicas: 2,
        };
        assert_eq!(
            world.cluster.apply(&app(), &write).await,
            result,
            "{fault:?}"
        );
    }
    assert_eq!(
        world.api.script().patched.len(),
        9,
        "one request each: the client does not try again by itself"
    );
}

#[tokio::test]
async fn a_write_that_was_decided_on_something_else_is_not_even_sent() {
    let world = World::new(Script::default()).await;
    let observed = world.until(is_known).await.expect("an app");
    let write = Write::Restore {
        service: observed.services[0].id.clone(),
        version: Version("of yesterday".into()),
        ended: Ended::Woken { took: None },
    };
    assert_eq!(
        world.cluster.apply(&app(), &write).await,
        Err(ApplyError::Conflict)
    );
    assert!(world.api.script().patched.is_empty());
}

#[tokio::test]
async fn a_service_is_patched_in_four_fields_and_on_the_condition_of_its_version() {
    let world = World::new(Script::default()).await;
    let service = world
        .until(is_known)
        .await
        .expect("an app")
        .services
        .remove(0);
    world
        .cluster
        .apply(
            &app(),
            &Write::Restore {
                service: service.id,
                version: service.version,
                ended: Ended::Woken { took: None },
            },
        )
        .await
        .expect("written");
    let script = world.api.script();
    let (kind, content_type, body) = &script.patched[0];
    assert_eq!(
        (kind.as_str(), content_type.as_str()),
        ("services", "application/merge-patch+json")
    );
    assert_eq!(
        *body,
        json!({
            "metadata": { "uid": "u", "resourceVersion": "7" },
            "spec": {
                "type": "ClusterIP", "externalName": null, "selector": { "app": "tool" },
                "ports": [{ "name": "http", "port": 80, "targetPort": 3000 }],
            },
        })
    );
}
