//! What follows from the answers of a scripted Prometheus.

#![expect(
    clippy::needless_pass_by_value,
    reason = "so that `json!` can stand in the call"
)]

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, routing::post};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{BoxError, service_fn};
use unidler::sleep::verdict::Why;

use super::{prometheus::Series, *};
use crate::{
    objects::{Backend, Port, RouteKind},
    usage::ways::Way,
};

const WINDOW: Duration = Duration::from_hours(2);
const USED: Verdict = Verdict::Used { ago: None };

fn silent(why: Why) -> Verdict {
    Verdict::Silent(why)
}

/// How a scripted Prometheus answers a query.
type Answer = Box<dyn Fn(&str) -> (StatusCode, String) + Send + Sync>;

/// A Prometheus whose answers a test sets, and the queries that it was asked.
#[derive(Clone)]
struct Scripted {
    answer: Arc<Mutex<Option<Answer>>>,
    queries: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Does not answer at all.
    fn silent() -> Self {
        Self {
            answer: Arc::default(),
            queries: Arc::default(),
        }
    }

    fn answers(&self, answer: impl Fn(&str) -> (StatusCode, String) + Send + Sync + 'static) {
        *self.answer.lock().expect("a lock") = Some(Box::new(answer));
    }

    /// Answers the hourly question with `history`, every other one with `samples`.
    fn gives(&self, samples: Vec<Value>, history: Vec<Value>) {
        self.answers(move |query| {
            (
                StatusCode::OK,
                vector(if query.contains(PART) {
                    &samples
                } else {
                    &history
                }),
            )
        });
    }

    fn is_silent(&self) {
        *self.answer.lock().expect("a lock") = None;
    }

    fn requests(&self, dialect: Dialect) -> Requests {
        let scripted = self.clone();
        let server = service_fn(move |request: Request<Body>| {
            let scripted = scripted.clone();
            async move {
                assert_eq!(request.uri().path(), "/api/v1/query");
                let form = request
                    .into_body()
                    .collect()
                    .await
                    .expect("a body")
                    .to_bytes();
                let query = form_urlencoded::parse(&form)
                    .find(|(name, _)| name == "query")
                    .expect("a query")
                    .1
                    .into_owned();
                scripted.queries.lock().expect("a lock").push(query.clone());
                let answered = scripted
                    .answer
                    .lock()
                    .expect("a lock")
                    .as_ref()
                    .map(|answer| answer(&query));
                let Some((status, body)) = answered else {
                    return std::future::pending().await;
                };
                let body = Body::from(body.into_bytes());
                Ok::<_, BoxError>(
                    Response::builder()
                        .status(status)
                        .body(body)
                        .expect("an answer"),
                )
            }
        });
        Requests::of(
            Prometheus::of(kube::Client::new(server, "default")),
            dialect,
            Matchers::default(),
        )
    }

    fn asked(&self) -> usize {
        self.queries.lock().expect("a lock").len()
    }
}

/// The label by which parts of an answer differ.
const PART: &str = "unidler";

fn vector(samples: &[Value]) -> String {
    json!({ "status": "success", "data": { "resultType": "vector", "result": samples } })
        .to_string()
}

fn sample(labels: Value, value: &str) -> Value {
    json!({ "metric": labels, "value": [1_764_403_200.123, value] })
}

/// All is well with one Traefik.
fn healthy() -> Vec<Value> {
    let target = |part: &str, value: &str| {
        sample(
            json!({ PART: part, "job": "traefik", "instance": "10.0.0.1:9100" }),
            value,
        )
    };
    let mut samples: Vec<_> = (0..8).map(|part| target(&part.to_string(), "60")).collect();
    samples.extend([
        target("up", "1"),
        target("restarts", "0"),
        sample(json!({ PART: "lately" }), "3"),
    ]);
    samples
}

/// What was counted under a name in the window, and that it is counted now.
fn counted(name: &str, protocol: &str, uses: &str) -> [Value; 2] {
    [
        sample(json!({ PART: "use", "service": name }), uses),
        sample(
            json!({ PART: "counted", "service": name, "protocol": protocol }),
            "1",
        ),
    ]
}

fn before(name: &str, protocol: &str) -> Value {
    sample(json!({ "service": name, "protocol": protocol }), "1")
}

fn way(namespace: &str, service: &str) -> Way {
    Way {
        route: RouteKind::Ingress {
            class: Some("traefik".into()),
        },
        host: Some(format!("{service}.example")),
        backend: Backend {
            namespace: namespace.into(),
            service: service.into(),
            port: Port::Number(80),
        },
        is_uncounted: false,
    }
}

fn app(ways: Vec<Way>) -> Served {
    Served {
        ways,
        has_slept: false,
    }
}

fn tool() -> Served {
    app(vec![way("team", "tool")])
}

const TOOL: &str = "team-tool-80@kubernetes";

/// What is known of one app after one question.
async fn known(scripted: &Scripted, dialect: Dialect, apps: &[Served]) -> Verdict {
    let mut requests = scripted.requests(dialect);
    requests.refresh(&BTreeSet::from([WINDOW])).await;
    requests
        .of_all(&Ways::to_all(apps))
        .verdict(&apps[0], WINDOW)
}

async fn by_traefik(samples: Vec<Value>, history: Vec<Value>, apps: &[Served]) -> Verdict {
    let scripted = Scripted::silent();
    scripted.gives(samples, history);
    known(&scripted, Dialect::Traefik, apps).await
}

fn with(rest: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut samples = healthy();
    samples.extend(rest);
    samples
}

#[tokio::test]
async fn an_app_without_requests_is_unused_only_if_it_is_known_to_be_counted() {
    let no_history = Vec::new;
    for (what, samples, history, expected) in [
        (
            "quiet",
            with(counted(TOOL, "http", "0")),
            no_history(),
            Verdict::Unused,
        ),
        (
            "visited",
            with(counted(TOOL, "http", "1")),
            no_history(),
            USED,
        ),
        (
            "visited a lot",
            with(counted(TOOL, "http", "+Inf")),
            no_history(),
            USED,
        ),
        (
            "no number",
            with(counted(TOOL, "http", "NaN")),
            no_history(),
            silent(Why::PrometheusUnreadable),
        ),
        (
            "below nothing",
            with(counted(TOOL, "http", "-1")),
            no_history(),
            silent(Why::PrometheusUnreadable),
        ),
        (
            "never visited",
            with([]),
            no_history(),
            silent(Why::NeverCounted),
        ),
        // A label that was renamed looks like this, and so does an Ingress that another controller has taken over.
        (
            "not since a restart",
            with([]),
            vec![before(TOOL, "http")],
            silent(Why::NotCountedSince),
        ),
        (
            "others alone",
            with(counted("team-other-80@kubernetes", "http", "1")),
            no_history(),
            silent(Why::NeverCounted),
        ),
        (
            "another kind of route",
            with(counted("team-tool-http-80@kubernetesgateway", "http", "0")),
            no_history(),
            silent(Why::NeverCounted),
        ),
        // What was counted was used, whatever else there is not.
        (
            "visited, and no health",
            counted(TOOL, "http", "1").into(),
            no_history(),
            USED,
        ),
        (
            "quiet, and no health",
            counted(TOOL, "http", "0").into(),
            no_history(),
            silent(Why::NothingCounted),
        ),
        (
            "nothing",
            Vec::new(),
            Vec::new(),
            silent(Why::NothingCounted),
        ),
        (
            "a WebSocket",
            with(counted(TOOL, "websocket", "0")),
            no_history(),
            silent(Why::OpenConnections),
        ),
        (
            "gRPC",
            with(counted(TOOL, "grpc", "0")),
            no_history(),
            silent(Why::OpenConnections),
        ),
        (
            "events",
            with(counted(TOOL, "sse", "0")),
            no_history(),
            silent(Why::OpenConnections),
        ),
        (
            "a WebSocket a week ago",
            with(counted(TOOL, "http", "0")),
            vec![before(TOOL, "websocket"), before(TOOL, "http")],
            silent(Why::OpenConnections),
        ),
    ] {
        assert_eq!(
            by_traefik(samples, history, &[tool()]).await,
            expected,
            "{what}"
        );
    }
}

#[tokio::test]
async fn the_events_of_an_app_that_has_slept_may_be_those_of_the_page() {
    let slept = Served {
        has_slept: true,
        ..tool()
    };
    for (protocol, expected) in [
        ("sse", Verdict::Unused),
        ("websocket", silent(Why::OpenConnections)),
    ] {
        let samples = with(counted(TOOL, protocol, "0"));
        assert_eq!(
            by_traefik(samples, Vec::new(), std::slice::from_ref(&slept)).await,
            expected,
            "{protocol}"
        );
    }
}

#[tokio::test]
async fn an_ingress_that_was_not_watched_says_nothing() {
    let target = |part: &str, value: &str| {
        sample(
            json!({ PART: part, "job": "traefik", "instance": "10.0.0.1:9100" }),
            value,
        )
    };
    let without = |part: &str| {
        healthy()
            .into_iter()
            .filter(|sample| sample["metric"][PART] != part)
            .chain(counted(TOOL, "http", "0"))
            .collect::<Vec<_>>()
    };
    let gaps = silent(Why::PrometheusGaps);
    for (what, samples, expected) in [
        ("a gap", without("3"), gaps),
        ("down now", without("0"), gaps),
        ("new", without("7"), gaps),
        ("no `up`", without("up"), gaps),
        ("no start", without("restarts"), Verdict::Unused),
        // Its visitors may have been moved to another ingress, which is not scraped.
        (
            "no use of any app for a day",
            without("lately"),
            silent(Why::NothingCounted),
        ),
        (
            "a restart",
            [without("restarts"), vec![target("restarts", "1")]].concat(),
            silent(Why::IngressRestarted),
        ),
        (
            "seldom up",
            [without("up"), vec![target("up", "0.89")]].concat(),
            gaps,
        ),
        (
            "another part",
            [without("restarts"), vec![target("9", "1")]].concat(),
            silent(Why::PrometheusUnreadable),
        ),
        (
            "another question",
            vec![before(TOOL, "http")],
            silent(Why::PrometheusUnreadable),
        ),
    ] {
        assert_eq!(
            by_traefik(samples, Vec::new(), &[tool()]).await,
            expected,
            "{what}"
        );
    }
}

#[tokio::test]
async fn the_use_of_an_app_is_that_of_all_ways_to_it() {
    let api = "team-api-80@kubernetes";
    let gateway = "team-tool-http-80@kubernetesgateway";
    let of_gateway = Way {
        route: http_route(&["web"]),
        ..way("team", "tool")
    };
    let of_another_gateway = Way {
        route: http_route(&["envoy"]),
        ..way("team", "tool")
    };
    let of_two_classes = Way {
        route: http_route(&["envoy", "web"]),
        ..way("team", "tool")
    };
    let of_another_class = Way {
        route: RouteKind::Ingress {
            class: Some("nginx".into()),
        },
        ..way("team", "api")
    };
    let uncounted = Way {
        is_uncounted: true,
        ..way("team", "api")
    };
    let without_host = Way {
        host: None,
        ..way("team", "tool")
    };
    let two = [counted(TOOL, "http", "0"), counted(api, "http", "1")].concat();
    for (what, ways, samples, expected) in [
        (
            "one is used",
            vec![way("team", "tool"), way("team", "api")],
            two.clone(),
            USED,
        ),
        (
            "none is used",
            vec![way("team", "tool"), way("team", "api")],
            counted(TOOL, "http", "0").into(),
            Verdict::Unused,
        ),
        (
            "one holds connections",
            vec![way("team", "tool"), way("team", "api")],
            [counted(TOOL, "http", "0"), counted(api, "websocket", "0")].concat(),
            silent(Why::OpenConnections),
        ),
        (
            "both kinds of route",
            vec![way("team", "tool"), of_gateway.clone()],
            [counted(TOOL, "http", "0"), counted(gateway, "http", "0")].concat(),
            Verdict::Unused,
        ),
        // The Gateway may be that of another controller.
        (
            "one kind alone is counted",
            vec![way("team", "tool"), of_gateway.clone()],
            counted(TOOL, "http", "0").into(),
            silent(Why::NeverCounted),
        ),
        (
            "one class alone is counted",
            vec![way("team", "tool"), of_another_class],
            counted(TOOL, "http", "0").into(),
            silent(Why::NeverCounted),
        ),
        // One request may have been counted long before the other controller took over.
        (
            "one route of two classes",
            vec![of_two_classes],
            counted(gateway, "http", "0").into(),
            silent(Why::SeveralClasses),
        ),
        (
            "two routes of two classes",
            vec![of_gateway, of_another_gateway],
            counted(gateway, "http", "0").into(),
            silent(Why::SeveralClasses),
        ),
        (
            "one way is not counted",
            vec![way("team", "tool"), uncounted],
            counted(TOOL, "http", "0").into(),
            silent(Why::PartlyCounted),
        ),
        (
            "one way has no name",
            vec![way("team", "tool"), without_host],
            counted(TOOL, "http", "0").into(),
            silent(Why::PartlyCounted),
        ),
        (
            "no way",
            vec![],
            counted(TOOL, "http", "0").into(),
            silent(Why::NeverCounted),
        ),
    ] {
        assert_eq!(
            by_traefik(with(samples), Vec::new(), &[app(ways)]).await,
            expected,
            "{what}"
        );
    }
}

#[tokio::test]
async fn what_is_counted_together_with_something_else_says_nothing() {
    let of = |namespace: &str, service: &str| app(vec![way(namespace, service)]);
    let another_class = app(vec![Way {
        route: RouteKind::Ingress {
            class: Some("nginx".into()),
        },
        ..way("a", "b-c")
    }]);
    let quiet = || with(counted("a-b-c-80@kubernetes", "http", "0"));
    for (what, other, expected) in [
        ("another app", of("x", "y"), Verdict::Unused),
        ("the same Service", of("a", "b-c"), Verdict::Unused),
        ("another Service", of("a-b", "c"), silent(Why::SharedName)),
        (
            "a Service with another sign",
            of("a", "b--c"),
            silent(Why::SharedName),
        ),
        (
            "an Ingress of another class",
            another_class,
            silent(Why::SeveralClasses),
        ),
    ] {
        assert_eq!(
            by_traefik(quiet(), Vec::new(), &[of("a", "b-c"), other]).await,
            expected,
            "{what}"
        );
    }
    let used = with(counted("a-b-c-80@kubernetes", "http", "1"));
    assert_eq!(
        by_traefik(used, Vec::new(), &[of("a", "b-c"), of("a-b", "c")]).await,
        USED
    );
}

#[tokio::test]
async fn labels_that_prometheus_has_renamed_are_found() {
    let target = json!({ "namespace": "traefik", "service": "traefik-metrics" });
    let renamed = |part: &str, own: Value, value: &str| {
        let mut labels = target.clone();
        json_patch::merge(&mut labels, &own);
        json_patch::merge(&mut labels, &json!({ PART: part }));
        sample(labels, value)
    };
    let samples = [
        renamed("use", json!({ "exported_service": TOOL }), "0"),
        renamed(
            "counted",
            json!({ "exported_service": TOOL, "protocol": "http" }),
            "1",
        ),
    ];
    assert_eq!(
        by_traefik(with(samples), Vec::new(), &[tool()]).await,
        Verdict::Unused
    );
}

#[tokio::test]
async fn ingress_nginx_counts_what_comes_for_hosts_that_it_knows() {
    let nginx = |host: Option<&str>| {
        app(vec![Way {
            route: RouteKind::Ingress {
                class: Some("nginx".into()),
            },
            host: host.map(ToOwned::to_owned),
            backend: Backend {
                namespace: "team".into(),
                service: "tool".into(),
                port: Port::Name("http".into()),
            },
            is_uncounted: false,
        }])
    };
    let counted = |status: &str, uses: &str| {
        let service = json!({ "exported_namespace": "team", "namespace": "ingress", "exported_service": "tool", "service": "metrics" });
        let labelled = |more: Value, value: &str| {
            let mut labels = service.clone();
            json_patch::merge(&mut labels, &more);
            sample(labels, value)
        };
        with([
            labelled(json!({ PART: "use" }), uses),
            labelled(json!({ PART: "counted", "status": status }), "1"),
        ])
    };
    for (host, status, uses, expected) in [
        (Some("tool.example"), "200", "0", Verdict::Unused),
        (Some("tool.example"), "2xx", "0", Verdict::Unused),
        (Some("tool.example"), "200", "2", USED),
        (
            Some("tool.example"),
            "101",
            "0",
            silent(Why::OpenConnections),
        ),
        (
            Some("tool.example"),
            "1xx",
            "0",
            silent(Why::OpenConnections),
        ),
        (Some("*.example"), "200", "0", silent(Why::PartlyCounted)),
        (None, "200", "0", silent(Why::PartlyCounted)),
    ] {
        let scripted = Scripted::silent();
        scripted.gives(counted(status, uses), Vec::new());
        let verdict = known(&scripted, Dialect::IngressNginx, &[nginx(host)]).await;
        assert_eq!(verdict, expected, "{host:?} {status} {uses}");
    }
}

#[tokio::test]
async fn istio_counts_by_namespace_and_service_for_all_hosts() {
    let name =
        json!({ "destination_service_namespace": "team", "destination_service_name": "tool" });
    let counted = |code: &str, uses: &str| {
        let labelled = |more: Value, value: &str| {
            let mut labels = name.clone();
            json_patch::merge(&mut labels, &more);
            sample(labels, value)
        };
        with([
            labelled(json!({ PART: "use" }), uses),
            labelled(json!({ PART: "counted", "response_code": code }), "1"),
        ])
    };
    for (host, code, uses, expected) in [
        (Some("tool.example"), "200", "0", Verdict::Unused),
        (Some("*.example"), "404", "0", Verdict::Unused),
        (None, "200", "0", Verdict::Unused),
        (Some("tool.example"), "200", "2", USED),
        (
            Some("tool.example"),
            "101",
            "0",
            silent(Why::OpenConnections),
        ),
    ] {
        let served = app(vec![Way {
            route: http_route(&["web"]),
            host: host.map(ToOwned::to_owned),
            ..way("team", "tool")
        }]);
        let scripted = Scripted::silent();
        scripted.gives(counted(code, uses), Vec::new());
        let verdict = known(&scripted, Dialect::Istio, &[served]).await;
        assert_eq!(verdict, expected, "{host:?} {code} {uses}");
        let queries = scripted.queries.lock().expect("a lock");
        // What a sidecar has received was counted where it was sent, and it sees no visitors.
        assert!(
            queries[0].contains(r#"istio_requests_total{reporter="source"}"#),
            "{}",
            queries[0]
        );
    }
}

/// They count what calls an app from within the mesh, and would make it look as if its visitors were counted.
#[tokio::test]
async fn sidecars_among_the_gateways_of_istio_keep_all_apps_awake() {
    let service =
        json!({ "destination_service_namespace": "team", "destination_service_name": "tool" });
    let part = |more: Value| {
        let mut labels = service.clone();
        json_patch::merge(&mut labels, &more);
        labels
    };
    let mut samples = healthy();
    samples.extend([
        sample(part(json!({ PART: "use" })), "0"),
        sample(
            part(json!({ PART: "counted", "response_code": "200" })),
            "1",
        ),
    ]);
    let verdict = async |samples: Vec<Value>| {
        let scripted = Scripted::silent();
        scripted.gives(samples, Vec::new());
        known(&scripted, Dialect::Istio, &[tool()]).await
    };
    assert_eq!(verdict(samples.clone()).await, Verdict::Unused);
    samples.push(sample(json!({ PART: "others" }), "1"));
    assert_eq!(verdict(samples).await, silent(Why::OthersCounted));
}

fn http_route(classes: &[&str]) -> RouteKind {
    let classes = classes.iter().map(|class| (*class).into());
    RouteKind::HttpRoute {
        classes: classes.collect(),
    }
}

fn access(
    url: &str,
    token: Option<&Path>,
    ca: Option<&Path>,
    headers: &str,
) -> anyhow::Result<Access> {
    Access::new(
        url.parse().expect("an address"),
        token.map(ToOwned::to_owned),
        ca.map(ToOwned::to_owned),
        &headers.into(),
    )
}

#[tokio::test]
async fn prometheus_gets_the_current_token_and_the_headers() {
    let token = tempfile::NamedTempFile::new().expect("a file");
    let seen: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let answer = move |headers: HeaderMap| {
        let text = |name: &str| headers[name].to_str().expect("text").to_owned();
        let noting = vec![text("authorization"), text("x-scope-orgid")];
        noted.lock().expect("a lock").push(noting);
        async { vector(&[]) }
    };
    let server = Router::new().route("/prometheus/api/v1/query", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "http://{}/prometheus",
        listener.local_addr().expect("an address")
    );
    tokio::spawn(axum::serve(listener, server).into_future());

    let access = access(&url, Some(token.path()), None, "X-Scope-OrgID: team-a\n").expect("access");
    let mut prometheus = Prometheus::new(access).expect("a client");
    for content in ["one", "two\n"] {
        std::fs::write(token.path(), content).expect("a file");
        assert_eq!(prometheus.ask("up").await, Ok(Vec::new()));
    }
    let seen = std::mem::take(&mut *seen.lock().expect("a lock"));
    assert_eq!(seen, [["Bearer one", "team-a"], ["Bearer two", "team-a"]]);
    token.close().expect("no file");
    let asked = prometheus.ask("up").await;
    assert_eq!(asked, Err(Why::PrometheusRefuses), "there is no token");
}

#[test]
fn what_is_sent_to_prometheus_is_checked_and_stays_secret() {
    let file = Some(Path::new("file"));
    let (http, https) = ("http://prometheus", "https://prometheus");
    assert!(access(https, file, file, "\nX-Scope-OrgID:a\nx-other: secret\n").is_ok());
    for refused in [
        access(http, None, None, "secret"),
        access(http, None, None, "two words: secret"),
        access(http, None, None, ": secret"),
        access(http, None, None, "name: secret\u{1}"),
        access("http://me:secret@prometheus", None, None, ""),
        access(http, file, None, "authorization: Basic secret"),
        // Nothing would be verified.
        access(http, None, file, "name: secret"),
    ] {
        let refused = format!("{:#}", refused.expect_err("a refusal"));
        assert!(!refused.contains("secret"), "{refused}");
    }
}

#[tokio::test]
async fn istio_is_not_asked_without_a_choice_of_its_gateways() {
    let with = |matchers: Option<&str>| {
        let matchers = matchers.map(|matchers| matchers.parse().expect("matchers"));
        let access = access("http://prometheus", None, None, "").expect("access");
        Requests::new(access, Dialect::Istio, matchers)
    };
    let refused = with(None).err().expect("a refusal").to_string();
    assert!(refused.contains("job=\"istio-gateways\""), "{refused}");
    assert!(with(Some(r#"job="gateways""#)).is_ok());
    let both: Matchers = r#"job="gateways""#.parse().expect("matchers");
    let series = Series {
        metric: "requests",
        matchers: r#"reporter="source""#,
    };
    assert_eq!(
        both.select(series),
        r#"requests{reporter="source", job="gateways"}"#
    );
}

#[tokio::test]
async fn the_last_use_is_known_to_those_who_ask() {
    let scripted = Scripted::silent();
    scripted.answers(|query| {
        let samples = match (query.contains(PART), query.contains("time()")) {
            (true, _) => with(counted(TOOL, "http", "3")),
            (false, true) => vec![
                sample(json!({ "service": TOOL }), "840"),
                sample(json!({ "service": TOOL, "pod": "b" }), "900.5"),
                sample(json!({ "service": "another" }), "NaN"),
            ],
            (false, false) => Vec::new(),
        };
        (StatusCode::OK, vector(&samples))
    });
    let mut requests = scripted.requests(Dialect::Traefik);
    requests.refresh(&BTreeSet::from([WINDOW])).await;
    let ways = Ways::to_all(&[tool()]);
    let verdict = |requests: &Requests| requests.of_all(&ways).verdict(&tool(), WINDOW);
    assert_eq!(verdict(&requests), USED);
    requests.ask_last_uses().await;
    // A hundredth of the window more: that is how exactly it is known.
    let ago = Some(Duration::from_mins(14) + WINDOW / 100);
    assert_eq!(verdict(&requests), Verdict::Used { ago });
}

#[tokio::test]
async fn a_query_of_ones_own_says_what_it_names() {
    let dialect = || {
        "sum by (host) (increase(requests_total[$window]))"
            .parse::<Dialect>()
            .expect("a query")
    };
    let service = |uses: &str| sample(json!({ "namespace": "team", "service": "tool" }), uses);
    let host = |name: &str, uses: &str| sample(json!({ "host": name }), uses);
    let wildcard = app(vec![Way {
        host: Some("*.example".into()),
        ..way("team", "tool")
    }]);
    let two = app(vec![way("team", "tool"), way("team", "api")]);
    for (what, app, samples, expected) in [
        ("a Service", tool(), vec![service("0")], Verdict::Unused),
        ("a used Service", tool(), vec![service("0.5")], USED),
        (
            "a host",
            tool(),
            vec![host("tool.example", "0")],
            Verdict::Unused,
        ),
        (
            "a host in other letters",
            tool(),
            vec![host("Tool.Example", "0")],
            Verdict::Unused,
        ),
        ("a used host", tool(), vec![host("tool.example", "3")], USED),
        (
            "a Service and a used host",
            tool(),
            vec![service("0"), host("tool.example", "3")],
            USED,
        ),
        (
            "twice, once used",
            tool(),
            vec![service("0"), service("1")],
            USED,
        ),
        (
            "no number",
            tool(),
            vec![service("NaN")],
            silent(Why::PrometheusUnreadable),
        ),
        (
            "no number, and nothing",
            tool(),
            vec![service("0"), service("NaN")],
            silent(Why::PrometheusUnreadable),
        ),
        (
            "below nothing",
            tool(),
            vec![service("-1"), service("1")],
            silent(Why::PrometheusUnreadable),
        ),
        (
            "another",
            tool(),
            vec![host("other.example", "1")],
            silent(Why::NeverCounted),
        ),
        (
            "one of two Services",
            two.clone(),
            vec![service("0")],
            silent(Why::NeverCounted),
        ),
        (
            "one of two hosts",
            two,
            vec![host("tool.example", "0")],
            silent(Why::NeverCounted),
        ),
        (
            "a used host of many",
            wildcard.clone(),
            vec![host("a.example", "0"), host("b.example", "1")],
            USED,
        ),
        (
            "unused hosts of many",
            wildcard,
            vec![host("a.example", "0"), host("b.example", "0")],
            silent(Why::NeverCounted),
        ),
        (
            "no labels",
            tool(),
            vec![sample(json!({}), "0")],
            silent(Why::NothingCounted),
        ),
        ("nothing", tool(), vec![], silent(Why::NothingCounted)),
        (
            "nobody uses anything",
            tool(),
            vec![service("0")],
            silent(Why::NothingCounted),
        ),
    ] {
        let mut samples = samples;
        if expected != silent(Why::NothingCounted) {
            samples.push(host("busy.test", "5"));
        }
        let samples = with_parts(&samples, |_| Some("8"), |_| true);
        let scripted = Scripted::silent();
        scripted.answers(move |query| {
            let asked = "(sum by (host) (increase(requests_total[7200000ms]))\n)";
            assert!(query.contains(asked), "{query}");
            (StatusCode::OK, vector(&samples))
        });
        assert_eq!(
            known(&scripted, dialect(), &[app]).await,
            expected,
            "{what}"
        );
    }
}

/// The answer to a query of one's own: of each series how often it was used, and in how many of eight parts it was there.
fn with_parts(
    samples: &[Value],
    parts: impl Fn(&Value) -> Option<&'static str>,
    is_now: impl Fn(&Value) -> bool,
) -> Vec<Value> {
    let labelled = |sample: &Value, part: &str, value: Option<&str>| {
        let mut sample = sample.clone();
        sample["metric"][PART] = json!(part);
        if let Some(value) = value {
            sample["value"][1] = json!(value);
        }
        sample
    };
    let of_series = samples.iter().flat_map(|sample| {
        let there = parts(sample).map(|parts| labelled(sample, "parts", Some(parts)));
        [
            Some(labelled(sample, "use", None)),
            is_now(sample).then(|| labelled(sample, "now", None)),
            there,
        ]
        .into_iter()
        .flatten()
    });
    of_series
        .chain([sample(json!({ PART: "all" }), "8")])
        .collect()
}

/// Prometheus may have begun to scrape in between, or a counter with the first request, which `increase` does not see.
#[tokio::test]
async fn a_query_of_ones_own_says_nothing_of_series_that_were_not_there_all_the_time() {
    let dialect = || {
        "increase(requests_total[$window])"
            .parse::<Dialect>()
            .expect("a query")
    };
    let series = |status: &str, uses: &str| {
        sample(json!({ "host": "tool.example", "status": status }), uses)
    };
    let busy = sample(json!({ "host": "busy.test" }), "5");
    for (what, parts, is_now, uses, expected) in [
        ("all the time", Some("8"), true, "0", Verdict::Unused),
        (
            "since lately",
            Some("7"),
            true,
            "0",
            silent(Why::PrometheusGaps),
        ),
        (
            "until lately",
            Some("8"),
            false,
            "0",
            silent(Why::PrometheusGaps),
        ),
        ("only just", None, true, "0", silent(Why::PrometheusGaps)),
        ("lately, and used", Some("1"), true, "1", USED),
        (
            "no number of parts",
            Some("NaN"),
            true,
            "0",
            silent(Why::PrometheusGaps),
        ),
    ] {
        let samples = [series("200", "0"), series("404", uses), busy.clone()];
        let is_new = |sample: &Value| sample["metric"]["status"] == "404";
        let samples = with_parts(
            &samples,
            |sample| if is_new(sample) { parts } else { Some("8") },
            |sample| is_now || !is_new(sample),
        );
        let scripted = Scripted::silent();
        scripted.answers(move |_| (StatusCode::OK, vector(&samples)));
        assert_eq!(
            known(&scripted, dialect(), &[tool()]).await,
            expected,
            "{what}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_without_any_use_counts_for_a_day_after_the_last_one() {
    let scripted = Scripted::silent();
    let mut requests = scripted.requests("sum(x[$window])".parse().expect("a dialect"));
    let windows = BTreeSet::from([WINDOW]);
    let mut verdict = async |count: &str| {
        let labels = json!({ "namespace": "team", "service": "tool" });
        let samples = with_parts(&[sample(labels, count)], |_| Some("8"), |_| true);
        scripted.answers(move |_| (StatusCode::OK, vector(&samples)));
        requests.refresh(&windows).await;
        let ways = Ways::to_all(&[tool()]);
        requests.of_all(&ways).verdict(&tool(), WINDOW)
    };
    let nothing = silent(Why::NothingCounted);
    assert_eq!(verdict("0").await, nothing, "it may be broken");
    assert_eq!(verdict("1").await, USED);
    tokio::time::advance(Duration::from_hours(23)).await;
    assert_eq!(verdict("0").await, Verdict::Unused);
    tokio::time::advance(Duration::from_hours(2)).await;
    assert_eq!(verdict("0").await, nothing);
}

#[tokio::test]
async fn whatever_is_no_whole_answer_says_nothing() {
    let unreadable = silent(Why::PrometheusUnreadable);
    let refuses = silent(Why::PrometheusRefuses);
    let whole = || json!({ "status": "success", "data": { "resultType": "vector", "result": with(counted(TOOL, "http", "0")) } });
    let but = |change: Value| {
        let mut answer = whole();
        json_patch::merge(&mut answer, &change);
        answer.to_string()
    };
    let error = json!({ "status": "error", "errorType": "execution", "error": "query processing would load too many samples into memory" });
    for (what, status, body, expected) in [
        ("whole", 200, but(json!({})), Verdict::Unused),
        (
            "notes",
            200,
            but(json!({ "infos": ["metric might not be a counter"] })),
            Verdict::Unused,
        ),
        (
            "notes among the warnings",
            200,
            but(
                json!({ "warnings": ["PromQL info: metric might not be a counter, name does not end in _total"] }),
            ),
            Verdict::Unused,
        ),
        (
            "a warning",
            200,
            but(json!({ "warnings": ["store gateway is down"] })),
            unreadable,
        ),
        ("a part", 200, but(json!({ "isPartial": true })), unreadable),
        ("an error", 422, error.to_string(), refuses),
        ("an error with 200", 200, error.to_string(), refuses),
        ("a redirect", 302, String::new(), refuses),
        ("a login", 200, "<html>".to_owned(), unreadable),
        ("a gateway's", 502, "<html>".to_owned(), refuses),
        ("nobody's", 404, "404 page not found".to_owned(), refuses),
        (
            "half",
            200,
            but(json!({})).split_at(300).0.to_owned(),
            unreadable,
        ),
        ("none", 200, String::new(), unreadable),
        ("no data", 200, but(json!({ "data": null })), unreadable),
        (
            "a scalar",
            200,
            but(json!({ "data": { "resultType": "scalar", "result": [1_764_403_200, "0"] } })),
            unreadable,
        ),
        (
            "a matrix",
            200,
            but(
                json!({ "data": { "resultType": "matrix", "result": [{ "metric": {}, "values": [] }] } }),
            ),
            unreadable,
        ),
        (
            "a histogram",
            200,
            but(
                json!({ "data": { "result": [{ "metric": {}, "histogram": [1_764_403_200, {}] }] } }),
            ),
            unreadable,
        ),
        (
            "no number",
            200,
            vector(&[sample(json!({ PART: "use", "service": TOOL }), "none")]),
            unreadable,
        ),
        (
            "endless",
            200,
            " ".repeat(17 << 20),
            silent(Why::PrometheusDown),
        ),
    ] {
        let scripted = Scripted::silent();
        let status = StatusCode::from_u16(status).expect("a status");
        scripted.answers(move |query| match query.contains(PART) {
            true => (status, body.clone()),
            false => (StatusCode::OK, vector(&[])),
        });
        assert_eq!(
            known(&scripted, Dialect::Traefik, &[tool()]).await,
            expected,
            "{what}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_prometheus_that_does_not_answer_is_not_waited_for() {
    let scripted = Scripted::silent();
    let began = Instant::now();
    assert_eq!(
        known(&scripted, Dialect::Traefik, &[tool()]).await,
        silent(Why::PrometheusDown)
    );
    assert!(
        began.elapsed() <= Duration::from_secs(21),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_known_is_forgotten_when_nobody_asks_or_answers_any_more() {
    let scripted = Scripted::silent();
    scripted.gives(with(counted(TOOL, "http", "0")), Vec::new());
    let mut requests = scripted.requests(Dialect::Traefik);
    let (apps, windows) = ([tool()], BTreeSet::from([WINDOW]));
    let verdict = |requests: &Requests| {
        requests
            .of_all(&Ways::to_all(&apps))
            .verdict(&apps[0], WINDOW)
    };
    assert_eq!(
        verdict(&requests),
        silent(Why::PrometheusDown),
        "nothing was asked"
    );

    requests.refresh(&windows).await;
    assert_eq!(verdict(&requests), Verdict::Unused);
    tokio::time::advance(Duration::from_mins(4)).await;
    assert_eq!(
        verdict(&requests),
        silent(Why::PrometheusDown),
        "nobody has asked since"
    );

    requests.refresh(&windows).await;
    assert_eq!(verdict(&requests), Verdict::Unused);
    scripted.is_silent();
    requests.refresh(&windows).await;
    assert_eq!(
        verdict(&requests),
        silent(Why::PrometheusDown),
        "there was no answer"
    );
}

#[tokio::test(start_paused = true)]
async fn without_the_hourly_answer_nothing_is_known_and_an_old_one_is_good_for_a_day() {
    let scripted = Scripted::silent();
    let is_there = Arc::new(AtomicUsize::new(0));
    let there = is_there.clone();
    scripted.answers(move |query| match query.contains(PART) {
        true => (StatusCode::OK, vector(&with(counted(TOOL, "http", "0")))),
        false if there.load(Ordering::Relaxed) == 0 => {
            (StatusCode::SERVICE_UNAVAILABLE, String::new())
        }
        false => (StatusCode::OK, vector(&[])),
    });
    let mut requests = scripted.requests(Dialect::Traefik);
    let (apps, windows) = ([tool()], BTreeSet::from([WINDOW]));
    let verdict = |requests: &Requests| {
        requests
            .of_all(&Ways::to_all(&apps))
            .verdict(&apps[0], WINDOW)
    };
    requests.refresh(&windows).await;
    assert_eq!(
        verdict(&requests),
        silent(Why::PrometheusDown),
        "it is not known whether it holds connections"
    );

    is_there.store(1, Ordering::Relaxed);
    requests.refresh(&windows).await;
    assert_eq!(verdict(&requests), Verdict::Unused);
    is_there.store(0, Ordering::Relaxed);
    for (hours, expected) in [(23, Verdict::Unused), (2, silent(Why::PrometheusDown))] {
        tokio::time::advance(Duration::from_hours(hours)).await;
        requests.refresh(&windows).await;
        assert_eq!(verdict(&requests), expected, "after {hours} more hours");
    }
}

#[tokio::test(start_paused = true)]
async fn all_apps_are_one_query_a_minute() {
    let services: Vec<_> = (0..2000).map(|index| format!("tool-{index}")).collect();
    let names = services
        .iter()
        .map(|service| format!("team-{service}-80@kubernetes"));
    let scripted = Scripted::silent();
    scripted.gives(
        with(names.flat_map(|name| counted(&name, "http", "0"))),
        Vec::new(),
    );
    let mut requests = scripted.requests(Dialect::Traefik);
    let apps: Vec<_> = services
        .iter()
        .map(|service| app(vec![way("team", service)]))
        .collect();
    let ways = Ways::to_all(&apps);
    for (minutes_before, asked) in [(0, 2), (1, 3), (1, 4), (58, 6)] {
        tokio::time::advance(Duration::from_mins(minutes_before)).await;
        requests.refresh(&BTreeSet::from([WINDOW])).await;
        let counted = requests.of_all(&ways);
        let is_unused = |app: &Served| counted.verdict(app, WINDOW) == Verdict::Unused;
        assert!(apps.iter().all(is_unused));
        // And one an hour.
        assert_eq!(scripted.asked(), asked);
    }
    let windows = BTreeSet::from([WINDOW, WINDOW * 2]);
    requests.refresh(&windows).await;
    assert_eq!(scripted.asked(), 8);
}

#[tokio::test]
async fn only_the_series_of_this_cluster_are_asked_for() {
    let scripted = Scripted::silent();
    scripted.gives(with(counted(TOOL, "http", "0")), Vec::new());
    let mut requests = scripted.requests(Dialect::Traefik);
    let matchers: Matchers = r#"cluster="west""#.parse().expect("matchers");
    requests.counting = Counting::of(Dialect::Traefik, matchers);
    requests.refresh(&BTreeSet::from([WINDOW])).await;
    let queries = scripted.queries.lock().expect("a lock");
    for metric in [
        "traefik_service_requests_total",
        "traefik_config_reloads_total",
        "up",
        "process_start_time_seconds",
    ] {
        let selectors = queries.iter().flat_map(|query| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '"';
            query.match_indices(metric).filter_map(move |(at, _)| {
                let rest = &query[at + metric.len()..];
                (!query[..at].ends_with(is_name) && !rest.starts_with(is_name)).then_some(rest)
            })
        });
        let selectors: Vec<_> = selectors.collect();
        let is_ours = |rest: &&str| rest.starts_with(r#"{cluster="west"}"#);
        assert!(
            !selectors.is_empty() && selectors.iter().all(is_ours),
            "{metric}"
        );
    }
}

#[tokio::test]
async fn connections_that_were_seen_are_remembered_when_the_ingress_begins_anew() {
    let scripted = Scripted::silent();
    let mut requests = scripted.requests(Dialect::Traefik);
    let (apps, windows) = ([tool()], BTreeSet::from([WINDOW]));
    for (protocol, expected) in [
        ("http", Verdict::Unused),
        ("websocket", silent(Why::OpenConnections)),
        ("http", silent(Why::OpenConnections)),
    ] {
        scripted.gives(with(counted(TOOL, protocol, "0")), Vec::new());
        requests.refresh(&windows).await;
        let verdict = requests
            .of_all(&Ways::to_all(&apps))
            .verdict(&apps[0], WINDOW);
        assert_eq!(verdict, expected, "{protocol}");
    }
}

#[test]
fn settings_are_understood_or_refused_with_what_to_write() {
    for (text, expected) in [
        ("traefik", Ok(Dialect::Traefik)),
        ("ingress-nginx", Ok(Dialect::IngressNginx)),
        ("istio", Ok(Dialect::Istio)),
        (
            "nginx",
            Err("\"nginx\" is unknown: expected traefik, ingress-nginx, istio, or a query"),
        ),
        (
            "",
            Err("\"\" is unknown: expected traefik, ingress-nginx, istio, or a query"),
        ),
        (
            "up[5m]",
            Err(
                "the query does not contain $window, which stands for the window, as in increase(requests_total[$window])",
            ),
        ),
    ] {
        assert_eq!(
            text.parse::<Dialect>(),
            expected.map_err(ToOwned::to_owned),
            "{text}"
        );
    }
    for (text, is_fine) in [
        (r#"cluster="west""#, true),
        (r#"cluster=~"west|south", tenant!="test""#, true),
        ("west", false),
        ("cluster=west", false),
        (r#"{cluster="west"}"#, false),
        (r#"="west""#, false),
        ("", false),
    ] {
        assert_eq!(text.parse::<Matchers>().is_ok(), is_fine, "{text}");
    }
    for (text, is_fine) in [
        ("http://prometheus.monitoring:9090", true),
        ("https://metrics.example/prometheus/", true),
        ("prometheus:9090", false),
        ("ftp://prometheus", false),
        ("http://", false),
        ("http://prometheus/?x=y", false),
        ("", false),
    ] {
        assert_eq!(text.parse::<PrometheusUrl>().is_ok(), is_fine, "{text}");
    }
}
