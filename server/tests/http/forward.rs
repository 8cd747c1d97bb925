//! Requests that still reach unidler for an app that is up: a real one, on a port of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{
    FutureExt,
    future::{BoxFuture, pending, ready},
    stream::{self, BoxStream, StreamExt},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use unidler::{
    app::{
        self, AppId, Bonds, Diversion, Endpoints, Leads, ObjectId, Observation, Pods, Record,
        Service, Version, Workload,
    },
    cluster::{ApplyError, Cluster, Way, Write},
    host::Host,
    hub::Forward,
    progress::{Forwarding, Phase, Progress, Reason},
    start::Start,
};
use unidler_server::forward::Forwarder;

use crate::harness::{NAVIGATE, Server};

const HOST: &str = "tool.example";
/// What the app has for monitors.
const PROBES: &str = "GET /alive 204, GET /healthz 299";

/// A cluster with one app.
#[derive(Debug)]
struct OneApp {
    replicas: u32,
    /// Whether its visitors are led to unidler, beside it.
    is_diverted: bool,
    /// How it can be reached: to an endpoint only once it is watched.
    way: Way,
    is_watched: AtomicBool,
    /// Whether anything is known of it but its address: not while the API server is away.
    is_known: bool,
}

impl OneApp {
    /// One whose ingress never follows.
    fn up(address: SocketAddr) -> Self {
        Self {
            replicas: 1,
            is_diverted: false,
            way: Way::Service(address),
            is_watched: AtomicBool::new(false),
            is_known: true,
        }
    }

    /// One with a ready endpoint, which is being woken, or put to sleep.
    fn between(address: SocketAddr) -> Self {
        Self {
            is_diverted: true,
            way: Way::Endpoint(address),
            ..Self::up(address)
        }
    }
}

impl Cluster for OneApp {
    fn find(&self, _: &Host) -> Result<AppId, Reason> {
        Ok(AppId::new("app"))
    }

    fn apps(&self) -> Vec<AppId> {
        vec![AppId::new("app")]
    }

    fn observe(&self, _: &AppId) -> Observation {
        let version = || Version(String::new());
        let workload = Workload {
            id: ObjectId::new("workload"),
            version: version(),
            record: (self.replicas == 0).then_some(Record {
                replicas: 1,
                is_recent: false,
                is_fleeting: false,
            }),
            replicas: self.replicas,
            available: if self.is_known { self.replicas } else { 0 },
            trouble: None,
            pods: Pods::default(),
            usual: None,
            bonds: Bonds::default(),
        };
        let leads = if self.is_diverted {
            Leads::Here(Diversion {
                endpoints: Some(Endpoints::Ready),
                ..Diversion::instead(true)
            })
        } else if self.replicas == 0 {
            Leads::Here(Diversion::instead(true))
        } else {
            Leads::ToApp {
                endpoints: Endpoints::Ready,
            }
        };
        Ok(app::App {
            connected: self.is_known,
            title: None,
            probes: PROBES.parse().expect("probes"),
            start: Start::default(),
            wakes: None,
            services: vec![Service {
                id: ObjectId::new("service"),
                version: version(),
                leads,
            }],
            workloads: vec![workload],
        })
    }

    fn watch(&self, app: &AppId) -> BoxStream<'static, Observation> {
        self.is_watched.store(true, Ordering::Relaxed);
        stream::once(ready(self.observe(app)))
            .chain(stream::once(pending()))
            .boxed()
    }

    fn apply<'a>(&'a self, _: &'a AppId, _: &'a Write) -> BoxFuture<'a, Result<(), ApplyError>> {
        ready(Err(ApplyError::Conflict)).boxed()
    }

    fn way(&self, _: &Host) -> Option<Way> {
        let way = match self.way {
            Way::Endpoint(_) if !self.is_watched.load(Ordering::Relaxed) => Way::Unwatched,
            way => way,
        };
        let is_there = self.replicas > 0 || matches!(way, Way::Draining(_));
        is_there.then_some(way)
    }
}

/// An app that tells what it has been asked, and counts.
struct App {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl App {
    async fn start() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&asked));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    /// unidler in front of it, where it has so many replicas.
    async fn behind(&self, replicas: u32) -> Server {
        let app = OneApp {
            replicas,
            ..OneApp::up(self.address)
        };
        Server::of(app, Forward::Always).await
    }
}

/// What it was asked, as text; or, in another protocol, whatever it is told.
async fn answer(State(asked): State<Arc<AtomicUsize>>, mut request: Request) -> Response {
    asked.fetch_add(1, Ordering::Relaxed);
    let on_upgrade = request
        .headers()
        .contains_key(header::UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    if let Some(on_upgrade) = on_upgrade {
        tokio::spawn(async move {
            let (mut from, mut to) =
                tokio::io::split(TokioIo::new(on_upgrade.await.expect("another protocol")));
            tokio::io::copy(&mut from, &mut to).await
        });
        let headers = [
            (header::CONNECTION, "upgrade"),
            (header::UPGRADE, "websocket"),
        ];
        return (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
    }
    let body = axum::body::to_bytes(body, 1_000_000).await.expect("a body");
    let headers: Vec<String> = parts
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().expect("text")))
        .collect();
    let text = format!(
        "{} {}\n{}\n{}",
        parts.method,
        parts.uri,
        headers.concat(),
        String::from_utf8_lossy(&body)
    );
    let headers = [
        ("x-of-app", "yes"),
        ("cache-control", "max-age=60"),
        ("keep-alive", "timeout=5"),
    ];
    (StatusCode::CREATED, headers, Body::from(text)).into_response()
}

/// Sends bytes and reads until the other side closes, or until `end` has come.
async fn say(address: &str, words: &str, end: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream
        .write_all(words.as_bytes())
        .await
        .expect("it is sent");
    let mut answer = String::new();
    let reading = async {
        while !answer.contains(end) {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).await.expect("an answer");
            assert!(read > 0, "it ended: {answer}");
            answer.push_str(std::str::from_utf8(&bytes[..read]).expect("text"));
        }
    };
    timeout(Duration::from_secs(15), reading)
        .await
        .expect("an answer in time");
    (stream, answer)
}

#[tokio::test]
async fn no_connection_to_an_app_is_kept_for_as_long_as_apps_keep_theirs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let connections = Arc::new(AtomicUsize::new(0));
    let accepted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            accepted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
                    stream.write_all(answer).await.expect("it is sent");
                }
            });
        }
    });
    let server = Server::of(OneApp::up(address), Forward::Always).await;
    for (pause, in_all) in [(0, 1), (0, 1), (1_800, 2)] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let answer = server.get("tool.example", "/", &[]).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(connections.load(Ordering::Relaxed), in_all);
    }
}

#[tokio::test]
async fn a_request_reaches_the_app_as_it_was_sent() {
    let app = App::start().await;
    let server = app.behind(1).await;
    let request = "POST /deep//link?q=%2F&r HTTP/1.1\r\nHost: tool.example:8443\r\nX-Forwarded-For: 192.0.2.1\r\nCookie: a=b\r\nCookie: c=d\r\n\
                   Connection: close, X-Hop, Host\r\nX-Hop: 1\r\nTE: trailers\r\nContent-Length: 4\r\n\r\nbody";
    let (_, answer) = say(&server.address, request, "\n\nbody").await;
    let (head, told) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    assert!(
        head.contains("x-of-app: yes") && head.contains("cache-control: max-age=60"),
        "{head}"
    );
    for ours in ["x-unidler", "no-store", "x-robots-tag", "keep-alive"] {
        assert!(!head.contains(ours), "{ours} in {head}");
    }
    assert!(told.starts_with("POST /deep//link?q=%2F&r\n"), "{told}");
    for sent in [
        "host: tool.example:8443\n",
        "x-forwarded-for: 192.0.2.1\n",
        "cookie: a=b; c=d\n",
        "via: 1.1 unidler-",
    ] {
        assert!(told.contains(sent), "{sent} in {told}");
    }
    for of_connection in ["x-hop", "connection:", "te:"] {
        assert!(
            !told.contains(&format!("\n{of_connection}")),
            "{of_connection} in {told}"
        );
    }
}

#[tokio::test]
async fn a_monitor_is_answered_for_an_app_that_sleeps_and_by_one_that_is_up() {
    let app = App::start().await;
    for (replicas, expected) in [(0, 204), (1, 201)] {
        let server = app.behind(replicas).await;
        for method in [Method::GET, Method::HEAD] {
            let answer = server.send(method, HOST, "/alive?a=b", &[]).await;
            assert_eq!(answer.status.as_u16(), expected);
        }
    }
    let server = app.behind(0).await;
    let asked = app.asked.load(Ordering::Relaxed);
    for (path, headers, expected) in [
        ("/healthz", &[][..], 299),
        ("/alive/", &[], 503),
        ("/", &[], 503),
        // Somebody looks at it.
        ("/alive", &[NAVIGATE], 200),
    ] {
        let answer = server.get(HOST, path, headers).await;
        assert_eq!(answer.status.as_u16(), expected, "{path}");
    }
    assert_eq!(
        server.send(Method::POST, HOST, "/alive", &[]).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(server.phase(HOST).await, Phase::Asleep, "nothing was woken");
    assert_eq!(app.asked.load(Ordering::Relaxed), asked);
}

#[tokio::test]
async fn a_navigation_of_http2_gets_the_app_too() {
    let app = App::start().await;
    let server = app.behind(1).await;
    let answer = server.http2(HOST, "/page?a=b").await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert!(
        answer.text().starts_with("GET /page?a=b\n")
            && answer.text().contains("host: tool.example\n"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn the_app_is_told_the_host_that_it_was_found_by() {
    let app = App::start().await;
    let server = app.behind(1).await;
    let request = "GET http://tool.example:8080/a HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n";
    let (_, answer) = say(&server.address, request, "via: 1.1 unidler-").await;
    assert!(
        answer.contains("GET /a\n") && answer.contains("host: tool.example:8080\n"),
        "{answer}"
    );
    assert!(!answer.contains("other.example"), "{answer}");
}

#[tokio::test]
async fn a_web_socket_goes_through() {
    let app = App::start().await;
    let server = app.behind(1).await;
    let request = "GET /socket HTTP/1.1\r\nHost: tool.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (mut stream, head) = say(&server.address, request, "\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 101") && head.contains("upgrade: websocket"),
        "{head}"
    );
    for word in ["ping", "pong"] {
        stream.write_all(word.as_bytes()).await.expect("it is sent");
        let mut echo = [0; 4];
        timeout(Duration::from_secs(15), stream.read_exact(&mut echo))
            .await
            .expect("an echo in time")
            .expect("an echo");
        assert_eq!(&echo, word.as_bytes());
    }
}

#[tokio::test]
async fn what_is_ours_stays_ours() {
    let app = App::start().await;
    let server = app.behind(1).await;
    for path in [
        "/_unidler/status",
        "/_unidler/readyz",
        "/_unidler/unknown",
        "/deep/_unidler/status",
    ] {
        assert!(
            server
                .get(HOST, path, &[])
                .await
                .headers
                .contains_key("x-unidler"),
            "{path}"
        );
    }
    assert_eq!(app.asked.load(Ordering::Relaxed), 0);
    for path in ["/healthz", "/events", "/events/", "/_unidler"] {
        assert_eq!(
            server.get(HOST, path, &[]).await.header("x-of-app"),
            "yes",
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_app_with_an_address_is_asked_whatever_is_known_of_it_otherwise() {
    let app = App::start().await;
    let cluster = OneApp {
        is_known: false,
        ..OneApp::up(app.address)
    };
    let server = Server::of(cluster, Forward::Always).await;
    assert_eq!(server.get(HOST, "/", &[]).await.header("x-of-app"), "yes");
}

#[tokio::test]
async fn the_body_of_any_request_arrives() {
    let app = App::start().await;
    let server = app.behind(1).await;
    let request = "GET /search HTTP/1.1\r\nHost: tool.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    let (_, answer) = say(&server.address, request, "\n\nbody").await;
    assert!(answer.contains("transfer-encoding: chunked\n"), "{answer}");
    let answer = server.get(HOST, "/", &[]).await;
    assert!(
        !answer.text().contains("transfer-encoding"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn nothing_but_a_web_socket_changes_the_protocol() {
    let app = App::start().await;
    let server = app.behind(1).await;
    for protocol in ["h2c", "TLS/1.0", "websocket, h2c"] {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: tool.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMA\r\n\r\n"
        );
        let (_, answer) = say(&server.address, &request, "via: 1.1 unidler-").await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{protocol}: {answer}");
        for hop in ["upgrade", "http2-settings"] {
            assert!(!answer.contains(hop), "{protocol}: {answer}");
        }
    }
}

/// An app on a plain socket: reads a request's head, says this, and closes, or waits for ever.
async fn crude(words: &'static str, closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a head"));
                }
                stream
                    .write_all(words.as_bytes())
                    .await
                    .expect("it is sent");
                if !closes {
                    pending::<()>().await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn what_an_app_offers_its_own_connection_is_not_for_the_visitor() {
    let address = crude(
        "HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2,h2c\r\nContent-Length: 2\r\n\r\nOK",
        false,
    )
    .await;
    let server = Server::of(OneApp::up(address), Forward::Always).await;
    let answer = server.get(HOST, "/", &[]).await;
    assert_eq!(
        (
            answer.text(),
            answer.header("upgrade"),
            answer.header("connection")
        ),
        ("OK", "", "close")
    );
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_asked_for_again() {
    let broken = (crude("", true).await, StatusCode::BAD_GATEWAY);
    let uninvited = (
        crude(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            false,
        )
        .await,
        StatusCode::BAD_GATEWAY,
    );
    let silent = (crude("", false).await, StatusCode::GATEWAY_TIMEOUT);
    for (address, status) in [broken, uninvited, silent] {
        let forwarder = Forwarder::with_answer_timeout(Duration::from_millis(500));
        let server = Server::forwarding(OneApp::up(address), Forward::Always, forwarder).await;
        for (headers, kind) in [
            (&[][..], "application/problem+json"),
            (&[NAVIGATE], "text/plain; charset=utf-8"),
        ] {
            let answer = server.send(Method::POST, HOST, "/order", headers).await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (status, kind)
            );
            assert_eq!(
                (answer.header("retry-after"), answer.header("x-unidler")),
                ("", env!("CARGO_PKG_VERSION"))
            );
        }
    }
}

#[tokio::test]
async fn a_web_socket_ends_with_the_process() {
    let app = App::start().await;
    let mut server = app.behind(1).await;
    let request = "GET /socket HTTP/1.1\r\nHost: tool.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (mut stream, _) = say(&server.address, request, "\r\n\r\n").await;
    server.shut_down();
    let begun = std::time::Instant::now();
    server.ended().await;
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "it is not waited for"
    );
    assert_eq!(
        timeout(Duration::from_secs(5), stream.read(&mut [0; 8]))
            .await
            .expect("an end")
            .unwrap_or_default(),
        0
    );
}

#[tokio::test]
async fn an_app_may_ask_another_one_and_pass_the_header_on() {
    let app = App::start().await;
    let server = app.behind(1).await;
    let first = server.get("gateway.example", "/", &[]).await;
    let via = first
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("via: "))
        .expect("our name")
        .to_owned();
    assert_eq!(
        server
            .get("other.example", "/", &[("via", &via)])
            .await
            .header("x-of-app"),
        "yes"
    );
    assert_eq!(
        server
            .get("gateway.example", "/", &[("via", &via)])
            .await
            .header("x-of-app"),
        "",
        "this one has come back"
    );
}

#[tokio::test]
async fn nothing_is_forwarded_to_an_app_that_is_not_up_or_if_nobody_wants_it() {
    let app = App::start().await;
    let asleep = app.behind(0).await;
    let unwanted = Server::of(OneApp::up(app.address), Forward::Never).await;
    let unwanted_between = Server::of(OneApp::between(app.address), Forward::Never).await;
    for server in [asleep, unwanted, unwanted_between] {
        assert_eq!(
            server.get(HOST, "/", &[]).await.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
    assert_eq!(app.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_app_that_cannot_be_reached_has_its_page() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let server = Server::of(OneApp::up(address), Forward::Always).await;
    let page = server.get(HOST, "/", &[NAVIGATE]).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
    assert!(page.headers.contains_key("x-unidler"));
    let problem = server
        .get(HOST, "/data", &[("accept", "application/json")])
        .await;
    assert_eq!(
        (problem.status, problem.header("retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, "5")
    );
}

#[tokio::test]
async fn an_address_that_is_our_own_is_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (ours, theirs) = (
        listener.local_addr().expect("an address"),
        Arc::new(AtomicUsize::new(0)),
    );
    let server = Server::of(OneApp::up(ours), Forward::Always).await;
    // Whoever asks there asks the server again, as a Service would that selects our own pods.
    let (counted, behind) = (Arc::clone(&theirs), server.address.clone());
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut to = TcpStream::connect(&behind).await.expect("a connection");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    let answer = server.get(HOST, "/", &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(theirs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_app_between_asleep_and_awake_has_its_visitors_from_the_first_one() {
    for forward in [Forward::Handover, Forward::Always] {
        let app = App::start().await;
        let server = Server::of(OneApp::between(app.address), forward).await;
        let first = server.get(HOST, "/reports", &[NAVIGATE]).await;
        assert_eq!(first.header("x-of-app"), "yes", "{forward:?}");
        let file = server.get(HOST, "/style.css", &[]).await;
        assert_eq!(file.header("x-of-app"), "yes", "{forward:?}");
        let Progress {
            phase, forwarding, ..
        } = server.progress(HOST).await;
        assert!(matches!(phase, Phase::Waking { .. }), "{phase:?}");
        assert_eq!(forwarding, None, "of an app that is not ready");
    }
}

#[tokio::test]
async fn a_page_that_was_opened_as_its_app_fell_asleep_gets_its_files() {
    let app = App::start().await;
    let cluster = OneApp {
        replicas: 0,
        way: Way::Draining(app.address),
        ..OneApp::up(app.address)
    };
    let server = Server::of(cluster, Forward::Handover).await;
    let of_page = [("sec-fetch-dest", "style"), ("sec-fetch-mode", "no-cors")];
    let file = server.get(HOST, "/style.css", &of_page).await;
    assert_eq!(file.header("x-of-app"), "yes");
    for path in ["/data", "/healthz"] {
        let of_program = server.get(HOST, path, &[]).await;
        assert!(of_program.headers.contains_key("x-unidler"), "{path}");
    }
    let page = server.get(HOST, "/reports", &[NAVIGATE]).await;
    assert!(page.headers.contains_key("x-unidler"));
    let Progress {
        phase, forwarding, ..
    } = server.progress(HOST).await;
    assert_eq!((phase, forwarding), (Phase::Asleep, None));
    let mut events = server.events(HOST, "/events/").await;
    events.next().await.expect("an event");
    let woken = server.progress(HOST).await.phase;
    assert!(matches!(woken, Phase::Waking { .. }), "{woken:?}");
}

#[tokio::test]
async fn after_the_wake_up_the_page_is_told_how_its_visitor_arrives() {
    let app = App::start().await;
    for (way, forwarding) in [
        (Way::Endpoint(app.address), Forwarding::Seamless),
        (Way::Service(app.address), Forwarding::Partial),
    ] {
        let cluster = OneApp {
            way,
            ..OneApp::up(app.address)
        };
        let server = Server::of(cluster, Forward::Handover).await;
        let own = ("sec-fetch-site", "same-origin");
        server
            .send(Method::POST, HOST, "/_unidler/wake", &[own])
            .await;
        let mut events = server.events(HOST, "/_unidler/events").await;
        let last = events.next().await.expect("an event");
        assert_eq!(last.name, "success");
        for progress in [last.progress, server.progress(HOST).await] {
            assert!(matches!(progress.phase, Phase::Ready { .. }));
            assert_eq!(progress.forwarding, Some(forwarding));
        }
        assert_eq!(server.get(HOST, "/", &[]).await.header("x-of-app"), "yes");
    }
}

#[tokio::test]
async fn no_app_is_said_to_be_reached_that_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let cluster = OneApp {
        way: Way::Endpoint(address),
        ..OneApp::up(address)
    };
    let server = Server::of(cluster, Forward::Handover).await;
    let Progress {
        phase, forwarding, ..
    } = server.progress(HOST).await;
    assert!(matches!(phase, Phase::Ready { .. }), "{phase:?}");
    assert_eq!(forwarding, None);
}

#[tokio::test]
async fn an_app_that_has_long_been_awake_is_forwarded_to_only_where_that_is_wanted() {
    let app = App::start().await;
    for (forward, by_app) in [(Forward::Handover, ""), (Forward::Always, "yes")] {
        let server = Server::of(OneApp::up(app.address), forward).await;
        let answer = server.get(HOST, "/", &[]).await;
        assert_eq!(answer.header("x-of-app"), by_app, "{forward:?}");
    }
}

#[tokio::test]
async fn a_connection_ends_that_an_ingress_has_kept_since_the_app_slept() {
    let app = App::start().await;
    let late = Server::of(OneApp::up(app.address), Forward::Always).await;
    let unwanted = Server::of(OneApp::up(app.address), Forward::Never).await;
    let between = Server::of(OneApp::between(app.address), Forward::Handover).await;
    for (server, connection) in [(late, "close"), (unwanted, "close"), (between, "")] {
        for path in ["/", "/_unidler/status"] {
            let answer = server.get(HOST, path, &[]).await;
            assert_eq!(answer.header("connection"), connection, "{path}");
        }
        assert_eq!(server.http2(HOST, "/").await.header("connection"), "");
    }
}
