//! A server for one test, and a client that reads real event streams.

use std::{fs, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method, Request, Response, StatusCode, Uri},
};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use unidler::{
    cluster::Cluster,
    demo::DemoCluster,
    host::Host,
    hub::{Forward, Hub, Settings},
    progress::{Phase, Progress},
};
use unidler_server::{
    brand::Brand,
    connections, demo,
    forward::Forwarder,
    limits::{Limits, Streams},
    metrics::Handovers,
    router::router,
    serve::{self, serve},
    site::Site,
    state::AppState,
};

/// The header that a browser sends when somebody opens a page.
pub(crate) const NAVIGATE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// More connections than any test makes.
const MANY: usize = 2_000;

type Body = hyper::body::Incoming;

pub(crate) struct Server {
    pub(crate) address: String,
    cluster: DemoCluster,
    client: Client<HttpConnector, Empty<Bytes>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    _site: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(100, Limits::default()).await
    }

    pub(crate) async fn with(max_wakes: usize, limits: Limits) -> Self {
        let cluster = DemoCluster::default();
        let hub = Hub::new(
            Arc::new(cluster.clone()),
            Settings {
                max_wakes,
                ..Settings::default()
            },
        );
        let router = |state| demo::router(cluster.clone(), state);
        Self::serve(
            cluster.clone(),
            hub,
            limits,
            MANY,
            Forwarder::default(),
            router,
        )
        .await
    }

    /// Another one in front of the same cluster, as a second replica.
    pub(crate) async fn beside(&self) -> Self {
        let cluster = self.cluster.clone();
        let hub = Hub::new(Arc::new(cluster.clone()), Settings::default());
        let router = |state| demo::router(cluster.clone(), state);
        Self::serve(
            cluster.clone(),
            hub,
            Limits::default(),
            MANY,
            Forwarder::default(),
            router,
        )
        .await
    }

    /// With room for so many connections.
    pub(crate) async fn with_connections(connections: usize) -> Self {
        let cluster = DemoCluster::default();
        let hub = Hub::new(Arc::new(cluster.clone()), Settings::default());
        let router = |state| demo::router(cluster.clone(), state);
        Self::serve(
            cluster.clone(),
            hub,
            Limits::default(),
            connections,
            Forwarder::default(),
            router,
        )
        .await
    }

    /// In front of another cluster than the demo's.
    pub(crate) async fn of(cluster: impl Cluster, forward: Forward) -> Self {
        Self::forwarding(cluster, forward, Forwarder::default()).await
    }

    /// The same, which forwards in its own way.
    pub(crate) async fn forwarding(
        cluster: impl Cluster,
        forward: Forward,
        forwarder: Forwarder,
    ) -> Self {
        let settings = Settings {
            forward,
            ..Settings::default()
        };
        let hub = Hub::new(Arc::new(cluster), settings);
        Self::serve(
            DemoCluster::default(),
            hub,
            Limits::default(),
            MANY,
            forwarder,
            router,
        )
        .await
    }

    async fn serve(
        cluster: DemoCluster,
        hub: Hub,
        limits: Limits,
        connections: usize,
        forwarder: Forwarder,
        router: impl FnOnce(AppState) -> Router,
    ) -> Self {
        let site = site();
        let state = AppState {
            hub: hub.clone(),
            site: Site::open(Some(site.path().to_owned()), &Brand::default()).expect("a site"),
            page_status: StatusCode::OK,
            frame_ancestors: None,
            streams: Streams::new(limits),
            handovers: Handovers::default(),
            forwarder,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (stop, stopped) = oneshot::channel();
        let connections = connections::Limits {
            connections,
            drain: Duration::from_secs(5),
        };
        let limits = serve::Limits {
            connections,
            delay: Duration::ZERO,
        };
        let task = tokio::spawn(serve(listener, router(state), hub, limits, async {
            drop(stopped.await);
        }));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            address,
            cluster,
            client,
            stop: Some(stop),
            task,
            _site: site,
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        Answer::read(request(&self.client, &self.address, method, host, path, headers).await).await
    }

    pub(crate) async fn get(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, host, path, headers).await
    }

    pub(crate) async fn events(&self, host: &str, path: &str) -> EventStream {
        self.stream(host, path, &[]).await
    }

    pub(crate) async fn stream(
        &self,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> EventStream {
        let (parts, body) = request(
            &self.client,
            &self.address,
            Method::GET,
            host,
            path,
            headers,
        )
        .await
        .into_parts();
        EventStream {
            status: parts.status,
            headers: parts.headers,
            body,
            text: String::new(),
            last_retry_ms: 0,
        }
    }

    /// An answer over HTTP/2 without TLS, on a connection of its own: there the host is part of the URI.
    pub(crate) async fn http2(&self, host: &str, path: &str) -> Answer {
        let stream = TcpStream::connect(&self.address)
            .await
            .expect("a connection");
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        let request = Request::builder()
            .uri(format!("http://{host}{path}"))
            .body(Empty::<Bytes>::new())
            .expect("a request");
        Answer::read(sender.send_request(request).await.expect("an answer")).await
    }

    /// Asks until an answer is as it should be.
    pub(crate) async fn until(
        &self,
        host: &str,
        path: &str,
        good: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let asking = async {
            loop {
                let answer = self.get(host, path, &[NAVIGATE]).await;
                if good(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, asking)
            .await
            .expect("an answer as it should be")
    }

    pub(crate) async fn progress(&self, host: &str) -> Progress {
        let status = self.get(host, "/_unidler/status", &[]).await;
        serde_json::from_str(status.text()).expect("a snapshot")
    }

    pub(crate) async fn phase(&self, host: &str) -> Phase {
        self.progress(host).await.phase
    }

    pub(crate) fn writes(&self, host: &str) -> u64 {
        self.cluster.writes(&Host::parse(host).expect("a host"))
    }

    pub(crate) fn shut_down(&mut self) {
        self.stop.take();
    }

    pub(crate) async fn ended(self) {
        drop(self.client);
        timeout(PATIENCE, self.task)
            .await
            .expect("an end")
            .expect("no panic");
    }
}

/// A folder with files as the build leaves them.
pub(crate) fn site() -> TempDir {
    let site = tempfile::tempdir().expect("a folder");
    let files = site.path().join("_unidler/pkg");
    fs::create_dir_all(&files).expect("a folder");
    for name in [
        "unidler.abc.js",
        "unidler.abc.js.br",
        "unidler.abc.wasm",
        "unidler.abc.css",
    ] {
        fs::write(files.join(name), "/* */").expect("a file");
    }
    site
}

async fn request(
    client: &Client<HttpConnector, Empty<Bytes>>,
    address: &str,
    method: Method,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<Body> {
    let uri: Uri = format!("http://{address}{path}").parse().expect("a URI");
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::new()).expect("a request");
    timeout(PATIENCE, client.request(request))
        .await
        .expect("an answer in time")
        .expect("an answer")
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = timeout(PATIENCE, body.collect())
            .await
            .expect("a body in time")
            .expect("a body")
            .to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.text()).expect("JSON")
    }
}

pub(crate) struct EventStream {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Body,
    text: String,
    /// What was said last of when to come again; 0 if nothing was.
    pub(crate) last_retry_ms: u64,
}

/// An event of the stream.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: u64,
    pub(crate) retry_ms: u64,
    pub(crate) progress: Progress,
}

impl EventStream {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let event = Event::parse(block);
                let retry = field(block, "retry").map(|retry| retry.parse().expect("a number"));
                self.last_retry_ms = retry.unwrap_or(self.last_retry_ms);
                self.text = rest.to_owned();
                match event {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let frame = timeout(PATIENCE, self.body.frame())
                .await
                .expect("an event in time")?
                .expect("a whole stream");
            let data = frame.into_data().expect("data");
            self.text
                .push_str(std::str::from_utf8(&data).expect("text"));
        }
    }

    pub(crate) async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

impl Event {
    /// Parses the lines of one event; a comment is none.
    fn parse(block: &str) -> Option<Self> {
        Some(Self {
            name: field(block, "event")?.to_owned(),
            id: field(block, "id")?.parse().expect("a number"),
            retry_ms: field(block, "retry").map_or(0, |retry| retry.parse().expect("a number")),
            progress: serde_json::from_str(field(block, "data")?).expect("a snapshot"),
        })
    }
}

fn field<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    block
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
