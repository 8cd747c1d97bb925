//! A small API server, without TLS: it lists and watches the objects of some apps, takes patches, and counts.

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, patch},
};
use futures::{Stream, StreamExt, future, stream};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, task::AbortHandle, time::sleep};
use tower::ServiceExt;

use crate::apps::{self, App, OF_UNIDLER};

/// The version of what is listed. Each change adds one.
const LISTED: usize = 1_000_000;

/// How long controllers take to notice a change.
const CONTROLLERS: Duration = Duration::from_millis(100);

/// How often it is looked whether everything is being watched.
const LOOK: Duration = Duration::from_millis(10);

/// The API server. It ends with this value.
#[derive(Debug)]
pub(crate) struct Api {
    objects: Objects,
    pub(crate) port: u16,
    task: AbortHandle,
    folder: TempDir,
}

#[derive(Clone, Debug)]
struct Objects {
    ingresses: Kind,
    deployments: Kind,
    services: Kind,
    /// The slices of unidler's own.
    slices: Kind,
    namespaces: Kind,
    /// Kinds of which there are no objects.
    none: Kind,
    /// The number of the app that is up.
    up: Arc<watch::Sender<Option<usize>>>,
    counts: Arc<Counts>,
}

/// The requests for single apps: all but the lists and watches that serve all apps at once.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) writes: AtomicUsize,
    pub(crate) reads: AtomicUsize,
}

/// The objects of one kind.
#[derive(Clone, Debug)]
struct Kind {
    /// As JSON, in the order of their numbers.
    objects: Arc<Mutex<Vec<String>>>,
    /// All watch events so far.
    changes: Arc<watch::Sender<Vec<String>>>,
    /// Changes when the history of the watches is forgotten.
    forgotten: Arc<watch::Sender<()>>,
    /// How many lists have been read to their end.
    lists: Arc<watch::Sender<usize>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    #[serde(default)]
    watch: bool,
    limit: Option<usize>,
    #[serde(rename = "continue")]
    from: Option<usize>,
    #[serde(default)]
    resource_version: String,
    timeout_seconds: Option<u64>,
}

impl Api {
    /// Starts one with these apps.
    pub(crate) async fn start(apps: impl IntoIterator<Item = App>) -> anyhow::Result<Self> {
        let mut namespaces = BTreeSet::new();
        let (mut ingresses, mut deployments, mut services, mut slices) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for app in apps {
            namespaces.insert(app.namespace);
            ingresses.push(app.ingress.to_string());
            deployments.push(app.deployment.to_string());
            services.push(app.service.to_string());
            slices.extend(app.slice.map(|slice| slice.to_string()));
        }
        services.push(apps::own_service().to_string());
        let objects = Objects {
            ingresses: Kind::new(ingresses),
            deployments: Kind::new(deployments),
            services: Kind::new(services),
            slices: Kind::new(slices),
            namespaces: Kind::new(namespaces.iter().map(|name| apps::home(name)).collect()),
            none: Kind::new(Vec::new()),
            up: Arc::new(watch::channel(None).0),
            counts: Arc::default(),
        };
        let router = Router::new()
            .route(
                "/apis/networking.k8s.io/v1/ingresses",
                get(async |State(all): State<Objects>, Query(wanted)| all.ingresses.read(&wanted)),
            )
            .route(
                "/apis/apps/v1/deployments",
                get(async |State(all): State<Objects>, Query(wanted)| {
                    all.deployments.read(&wanted)
                }),
            )
            .route(
                "/apis/apps/v1/statefulsets",
                get(async |State(all): State<Objects>, Query(wanted)| all.none.read(&wanted)),
            )
            .route(
                "/apis/discovery.k8s.io/v1/endpointslices",
                get(async |State(all): State<Objects>, Query(wanted)| all.slices.read(&wanted)),
            )
            .route(
                "/api/v1/namespaces",
                get(async |State(all): State<Objects>, Query(wanted)| all.namespaces.read(&wanted)),
            )
            .route(
                "/apis/autoscaling/v2/horizontalpodautoscalers",
                get(async |State(all): State<Objects>, Query(wanted)| all.none.read(&wanted)),
            )
            .route(
                "/apis/networking.k8s.io/v1/ingressclasses",
                get(async |State(all): State<Objects>, Query(wanted)| all.none.read(&wanted)),
            )
            .route(
                "/api/v1/services",
                get(async |State(all): State<Objects>, Query(wanted)| all.services.read(&wanted)),
            )
            .route(
                "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
                patch(patch_scale),
            )
            .route(
                "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}",
                patch(patch_slice),
            )
            .route("/api/v1/namespaces/{namespace}/pods", get(watch_pods))
            .route(
                "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
                get(watch_endpoints),
            )
            .with_state(objects.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(serve(listener, router)).abort_handle();
        Ok(Self {
            objects,
            port,
            task,
            folder: kubeconfig(port)?,
        })
    }

    /// The kubeconfig that names it.
    pub(crate) fn kubeconfig(&self) -> anyhow::Result<String> {
        let path = self.folder.path().join(KUBECONFIG);
        Ok(path
            .to_str()
            .context("the folder has a strange name")?
            .to_owned())
    }

    /// The length of all that it lists, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.objects
            .kinds()
            .iter()
            .flat_map(|kind| kind.objects().iter().map(String::len).collect::<Vec<_>>())
            .sum()
    }

    /// Forgets the history of all watches at once, as an API server does that starts again, and waits until all has been
    /// listed once more.
    pub(crate) async fn forget(&self) -> anyhow::Result<()> {
        let kinds = self.objects.kinds();
        let watched = async || {
            while kinds
                .iter()
                .any(|kind| kind.forgotten.receiver_count() == 0)
            {
                sleep(LOOK).await;
            }
        };
        watched().await;
        let listed = kinds.map(|kind| (*kind.lists.borrow(), kind.lists.subscribe()));
        for kind in kinds {
            kind.forgotten.send_replace(());
        }
        for (before, mut lists) in listed {
            lists.wait_for(|lists| *lists > before).await?;
        }
        // Who watches from there has read all of it.
        watched().await;
        Ok(())
    }

    /// How many lists were read to their end so far.
    pub(crate) fn lists(&self) -> usize {
        let Objects {
            namespaces, none, ..
        } = &self.objects;
        let others = [namespaces, none].into_iter();
        let kinds = self.objects.kinds().into_iter().chain(others);
        kinds.map(|kind| *kind.lists.borrow()).sum()
    }

    /// The requests for single apps so far: writes and reads.
    pub(crate) fn requests(&self) -> (usize, usize) {
        let Counts { writes, reads } = &*self.objects.counts;
        (
            writes.load(Ordering::Relaxed),
            reads.load(Ordering::Relaxed),
        )
    }

    /// Plays the controllers for an app: once it has replicas they are available, and so are its endpoints.
    pub(crate) async fn bring_up(&self, number: usize) -> anyhow::Result<()> {
        let Objects {
            deployments, up, ..
        } = &self.objects;
        deployments
            .changes
            .subscribe()
            .wait_for(|changes| !changes.is_empty())
            .await?;
        // No controller is quicker. A pod that came before the change would look like one of the app's previous pods.
        sleep(CONTROLLERS).await;
        deployments.change(number, |deployment| {
            for count in [
                "replicas",
                "updatedReplicas",
                "readyReplicas",
                "availableReplicas",
            ] {
                deployment["status"][count] = deployment["spec"]["replicas"].clone();
            }
            deployment["status"]["observedGeneration"] =
                deployment["metadata"]["generation"].clone();
            Ok(())
        })?;
        up.send_replace(Some(number));
        Ok(())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const KUBECONFIG: &str = "kubeconfig";

/// A folder with a kubeconfig in it.
fn kubeconfig(port: u16) -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "bench", "cluster": { "server": format!("http://127.0.0.1:{port}") } }],
        "users": [{ "name": "bench", "user": {} }],
        "contexts": [{ "name": "bench", "context": { "cluster": "bench", "user": "bench" } }],
        "current-context": "bench",
    });
    std::fs::write(folder.path().join(KUBECONFIG), config.to_string())?;
    Ok(folder)
}

async fn serve(listener: TcpListener, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let router = router.clone();
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            router.clone().oneshot(request.map(Body::new))
        });
        // Small events should not wait for more to come.
        drop(stream.set_nodelay(true));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

impl Objects {
    /// The kinds that apps consist of.
    fn kinds(&self) -> [&Kind; 4] {
        let Self {
            ingresses,
            deployments,
            services,
            slices,
            ..
        } = self;
        [ingresses, deployments, services, slices]
    }

    /// A watch of an object that is there once the app with a number is up. At first there is none.
    fn watch_one(&self, wanted: &Wanted, object: fn(usize) -> Value) -> Response {
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        let mut complete = object(0);
        complete["metadata"] = json!({ "resourceVersion": "1", "annotations": { "k8s.io/initial-events-end": "true" } });
        let complete = json!({ "type": "BOOKMARK", "object": complete }).to_string();
        let begins = stream::once(future::ready(complete));
        let mut up = self.up.subscribe();
        let added = stream::once(async move {
            let number = up.wait_for(Option::is_some).await.ok().and_then(|up| *up);
            let object = object(number.unwrap_or_default());
            json!({ "type": "ADDED", "object": object }).to_string()
        });
        watching(wanted, begins.chain(added).chain(stream::pending()))
    }
}

impl Kind {
    fn new(objects: Vec<String>) -> Self {
        Self {
            objects: Arc::new(Mutex::new(objects)),
            changes: Arc::new(watch::channel(Vec::new()).0),
            forgotten: Arc::new(watch::channel(()).0),
            lists: Arc::new(watch::channel(0).0),
        }
    }

    fn objects(&self) -> MutexGuard<'_, Vec<String>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists them, or watches them from where the list has left off.
    fn read(&self, wanted: &Wanted) -> Response {
        if wanted.watch {
            let seen = wanted
                .resource_version
                .parse::<usize>()
                .map_or(0, |version| version.saturating_sub(LISTED));
            let changes = changes(self.changes.subscribe(), seen);
            let events = stream::select(changes, expired(self.forgotten.subscribe()));
            return watching(wanted, events);
        }
        let objects = self.objects();
        let from = wanted.from.unwrap_or(0).min(objects.len());
        let end = wanted
            .limit
            .filter(|limit| *limit > 0)
            .map_or(objects.len(), |limit| (from + limit).min(objects.len()));
        let next = if end < objects.len() {
            end.to_string()
        } else {
            self.lists.send_modify(|lists| *lists += 1);
            String::new()
        };
        let version = LISTED + self.changes.borrow().len();
        let metadata = json!({ "resourceVersion": version.to_string(), "continue": next });
        let list = format!(
            r#"{{"kind":"List","apiVersion":"v1","metadata":{metadata},"items":[{}]}}"#,
            objects[from..end].join(",")
        );
        ([("content-type", "application/json")], list).into_response()
    }

    /// Changes an object and tells who watches.
    fn change(
        &self,
        number: usize,
        change: impl FnOnce(&mut Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<Value> {
        let mut objects = self.objects();
        let text = objects.get_mut(number).context("there is no such object")?;
        let mut object: Value = serde_json::from_str(text)?;
        change(&mut object)?;
        self.changes.send_modify(|changes| {
            object["metadata"]["resourceVersion"] = json!((LISTED + changes.len() + 1).to_string());
            changes.push(json!({ "type": "MODIFIED", "object": object }).to_string());
        });
        *text = object.to_string();
        Ok(object)
    }
}

/// The changes after the first `seen` ones, as they come.
fn changes(
    receiver: watch::Receiver<Vec<String>>,
    seen: usize,
) -> impl Stream<Item = String> + Send + 'static {
    stream::unfold((receiver, seen), async |(mut receiver, seen)| {
        let event = receiver
            .wait_for(|changes| changes.len() > seen)
            .await
            .ok()?[seen]
            .clone();
        Some((event, (receiver, seen + 1)))
    })
}

/// What ends a watch whose history is forgotten.
fn expired(mut forgotten: watch::Receiver<()>) -> impl Stream<Item = String> + Send + 'static {
    stream::once(async move {
        if forgotten.changed().await.is_err() {
            future::pending::<()>().await;
        }
        let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "message": "too old resource version", "code": 410 });
        json!({ "type": "ERROR", "object": status }).to_string()
    })
}

/// The answer to a watch: events until the time is over.
fn watching(wanted: &Wanted, events: impl Stream<Item = String> + Send + 'static) -> Response {
    let time = Duration::from_secs(wanted.timeout_seconds.unwrap_or(300));
    let lines = events
        .map(|event| Ok::<_, Infallible>(event + "\n"))
        .take_until(Box::pin(sleep(time)));
    (
        [("content-type", "application/json")],
        Body::from_stream(lines),
    )
        .into_response()
}

async fn watch_pods(State(all): State<Objects>, Query(wanted): Query<Wanted>) -> Response {
    all.watch_one(&wanted, apps::pod)
}

async fn watch_endpoints(State(all): State<Objects>, Query(wanted): Query<Wanted>) -> Response {
    all.watch_one(&wanted, apps::endpoints)
}

/// A merge patch of the replicas.
async fn patch_scale(
    State(all): State<Objects>,
    Path(path): Path<HashMap<String, String>>,
    body: Bytes,
) -> Response {
    all.counts.writes.fetch_add(1, Ordering::Relaxed);
    let change = |deployment: &mut Value| {
        let patch: Value = serde_json::from_slice(&body)?;
        expect_version(deployment, &patch)?;
        deployment["spec"]["replicas"] = patch["spec"]["replicas"].clone();
        let generation = deployment["metadata"]["generation"]
            .as_i64()
            .unwrap_or_default();
        deployment["metadata"]["generation"] = json!(generation + 1);
        Ok(())
    };
    let scaled = all.deployments.change(number(&path), change);
    answer(scaled.map(|deployment| {
        json!({
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": deployment["metadata"],
            "spec": { "replicas": deployment["spec"]["replicas"] },
        })
    }))
}

/// A merge patch.
async fn patch_slice(
    State(all): State<Objects>,
    Path(path): Path<HashMap<String, String>>,
    body: Bytes,
) -> Response {
    all.counts.writes.fetch_add(1, Ordering::Relaxed);
    let change = |slice: &mut Value| {
        let patch = serde_json::from_slice(&body)?;
        expect_version(slice, &patch)?;
        json_patch::merge(slice, &patch);
        Ok(())
    };
    answer(all.slices.change(number(&path), change))
}

/// Fails unless a patch carries the version that an object has.
fn expect_version(object: &Value, patch: &Value) -> anyhow::Result<()> {
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    anyhow::ensure!(version(object) == version(patch), "it has changed");
    Ok(())
}

/// The number in the name of an object. One without is none of them.
fn number(path: &HashMap<String, String>) -> usize {
    let name = path.get("name");
    let name = name.map(|name| name.strip_suffix(OF_UNIDLER).unwrap_or(name));
    name.and_then(|name| name.rsplit('-').next()?.parse().ok())
        .unwrap_or(usize::MAX)
}

fn answer(changed: anyhow::Result<Value>) -> Response {
    match changed {
        Ok(object) => Json(object).into_response(),
        Err(error) => {
            let message = format!("the server rejected our request: {error}");
            let status = json!({ "kind": "Status", "status": "Failure", "reason": "Invalid", "message": message, "code": 422 });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(status)).into_response()
        }
    }
}
