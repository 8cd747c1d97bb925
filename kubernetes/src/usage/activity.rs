//! Asks apps for their own use, at a path of theirs such as `/api/status#/last_activity`.
//!
//! An app is asked at all of its endpoints: the latest answer counts, and if one is missing or not ready, none of them
//! counts. An app that was used is not asked again before its window is over, since no answer could put it to sleep
//! until then.

use std::{collections::HashMap, mem, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, future::try_join_all, stream};
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::{
    api::discovery::v1::EndpointSlice,
    jiff::{SignedDuration, Timestamp, fmt::rfc2822},
};
use kube::api::ListParams;
use tokio::time::timeout;
use unidler::{
    app::AppId,
    sleep::verdict::{Verdict, Why},
};

use crate::{
    api_server::ApiServer,
    diversion::slice::SERVICE_NAME,
    endpoints::{State, addresses, endpoints_in, is_of_controller, state},
    objects::activity_url::ActivityUrl,
};

/// How long an app may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many apps are asked at the same time.
const AT_ONCE: usize = 64;
/// How soon an app is asked again after it gave no answer, or a time in the future.
const AGAIN: Duration = Duration::from_mins(5);
/// How far our clock may be ahead of that of an app.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(10);
/// The maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// An app that is asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: AppId,
    pub(crate) url: ActivityUrl,
    /// The time without use after which it would sleep.
    pub(crate) window: Duration,
    pub(crate) namespace: String,
    pub(crate) service: String,
    /// The name of the Service's port: empty if it has none.
    pub(crate) port: Box<str>,
    /// The host that its visitors use.
    pub(crate) host: String,
}

/// The answers of all apps.
pub(crate) struct Activity {
    client: Client<HttpConnector, Empty<Bytes>>,
    known: HashMap<AppId, Known>,
}

/// The answer of an app.
#[derive(Debug)]
struct Known {
    url: ActivityUrl,
    asked: Timestamp,
    said: Result<Timestamp, Why>,
}

impl Known {
    /// Whether another answer could change the verdict.
    fn is_due(&self, window: Duration, now: Timestamp) -> bool {
        let has_passed = |since: Timestamp, time: Duration| {
            Duration::try_from(now.duration_since(since)).is_ok_and(|passed| passed >= time)
        };
        match self.said {
            Ok(last) if last <= now => has_passed(last, window),
            Ok(_) | Err(_) => has_passed(self.asked, AGAIN),
        }
    }

    fn verdict(&self, window: Duration, now: Timestamp) -> Verdict {
        match self.said {
            // The verdict at that time: only another answer shows what has happened since.
            Ok(last) => match Verdict::of_last_use(last, self.asked, window) {
                Verdict::Used { ago: Some(_) } => Verdict::Used {
                    ago: Duration::try_from(now.duration_since(last)).ok(),
                },
                verdict => verdict,
            },
            Err(why) => Verdict::Silent(why),
        }
    }
}

impl Activity {
    /// Starts without any answers.
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(PATIENCE));
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self {
            client,
            known: HashMap::new(),
        }
    }

    /// Asks all apps whose answers may have changed. To be called every minute.
    pub(crate) async fn refresh(
        &mut self,
        apps: Vec<Asked>,
        api_server: &ApiServer,
        now: Timestamp,
    ) {
        let mut before = mem::take(&mut self.known);
        let mut due = Vec::new();
        for app in apps {
            match before.remove(&app.id) {
                Some(known) if known.url == app.url && !known.is_due(app.window, now) => {
                    self.known.insert(app.id, known);
                }
                _ => due.push(app),
            }
        }
        let client = &self.client;
        let asked = stream::iter(due).map(|app| async move {
            let said = timeout(PATIENCE, last_use(client, &app, api_server)).await;
            let known = Known {
                url: app.url,
                asked: now,
                said: said.unwrap_or(Err(Why::ActivityDown)),
            };
            (app.id, known)
        });
        let asked: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
        self.known.extend(asked);
    }

    /// The verdict of an app about its own use in a window.
    pub(crate) fn verdict(&self, app: &AppId, window: Duration, now: Timestamp) -> Verdict {
        match self.known.get(app) {
            Some(known) => known.verdict(window, now),
            None => Verdict::Silent(Why::ActivityDown),
        }
    }
}

/// When an app was last used, according to its endpoints.
async fn last_use(
    client: &Client<HttpConnector, Empty<Bytes>>,
    app: &Asked,
    api_server: &ApiServer,
) -> Result<Timestamp, Why> {
    let of_service = ListParams::default().labels(&format!("{SERVICE_NAME}={}", app.service));
    let slices = api_server.list_in(&app.namespace, &of_service).await;
    let slices: Vec<EndpointSlice> = slices.map_err(|_| Why::ActivityDown)?;
    let addresses = all_addresses(&slices, &app.port).ok_or(Why::ActivityDown)?;
    let answers = addresses
        .into_iter()
        .map(|address| ask(client, app, address));
    let answers = try_join_all(answers).await?;
    answers.into_iter().max().ok_or(Why::ActivityDown)
}

/// The addresses of all pods of a Service at a port, except for terminating ones; `None` if one of them is not ready.
fn all_addresses(slices: &[EndpointSlice], port: &str) -> Option<Vec<SocketAddr>> {
    let slices = slices.iter().filter(|slice| is_of_controller(slice));
    let endpoints =
        slices.flat_map(|slice| endpoints_in(slice).map(move |(_, each)| (slice, each)));
    let address = |(slice, endpoint)| match state(endpoint) {
        State::Ready => {
            let ports = addresses(slice, endpoint);
            let mut ports = ports.iter().filter(|(name, _)| **name == *port);
            Some(ports.next().map(|(_, address)| *address))
        }
        State::Silent => Some(None),
        // A terminating pod gets no visitors.
        State::Draining | State::Gone => None,
    };
    endpoints.filter_map(address).collect()
}

async fn ask(
    client: &Client<HttpConnector, Empty<Bytes>>,
    Asked { url, host, .. }: &Asked,
    address: SocketAddr,
) -> Result<Timestamp, Why> {
    let uri = Uri::builder()
        .scheme("http")
        .authority(address.to_string())
        .path_and_query(url.path.clone())
        .build();
    let request = Request::get(uri.map_err(|_| Why::ActivityDown)?)
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json, text/plain")
        .header(
            header::USER_AGENT,
            concat!("unidler/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
        .map_err(|_| Why::ActivityDown)?;
    let response = client.request(request).await;
    let response = response.map_err(|_| Why::ActivityDown)?;
    // A redirect may lead to another app, so its answer does not count.
    if response.status() != StatusCode::OK {
        return Err(Why::ActivityStatus(response.status().as_u16()));
    }
    let ahead = ahead_of(response.headers(), Timestamp::now());
    let answer = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    let answer = answer.map_err(|_| Why::ActivityUnreadable)?.to_bytes();
    let last = url.last_use(&answer).ok_or(Why::ActivityUnreadable)?;
    last.checked_add(ahead).map_err(|_| Why::ActivityUnreadable)
}

/// How far our clock is ahead of that of an app, by the time that its response says it is there. Otherwise a jump of our
/// clock would make everything look unused.
fn ahead_of(headers: &HeaderMap, now: Timestamp) -> SignedDuration {
    let date = headers.get(header::DATE);
    let date = date.and_then(|date| {
        rfc2822::DateTimeParser::new()
            .parse_timestamp(date.as_bytes())
            .ok()
    });
    date.map(|date| now.duration_since(date))
        .filter(|ahead| *ahead > TOLERANCE)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        response::{IntoResponse, Redirect},
        routing::get,
    };
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use crate::diversion::slice::MANAGED_BY;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const WINDOW: Duration = Duration::from_hours(2);

    fn known(asked_minutes_ago: i64, said: Result<i64, Why>) -> Known {
        let minutes_ago = |minutes| NOW - SignedDuration::from_mins(minutes);
        Known {
            url: "/".parse().expect("a URL"),
            asked: minutes_ago(asked_minutes_ago),
            said: said.map(minutes_ago),
        }
    }

    #[test]
    fn only_an_answer_from_after_the_window_says_that_an_app_is_unused() {
        let used = |minutes: Option<u64>| Verdict::Used {
            ago: minutes.map(Duration::from_mins),
        };
        let silent = |why| Verdict::Silent(why);
        for (known, is_due, verdict) in [
            (known(0, Ok(10)), false, used(Some(10))),
            (known(10, Ok(10)), false, used(Some(10))),
            (known(0, Ok(120)), true, Verdict::Unused),
            (known(0, Ok(600)), true, Verdict::Unused),
            // It was in use when it said so, and nobody has asked since.
            (known(30, Ok(130)), true, used(Some(130))),
            // A clock that is ahead.
            (known(0, Ok(-10)), false, used(None)),
            (known(5, Ok(-10)), true, used(None)),
            (
                known(0, Err(Why::ActivityDown)),
                false,
                silent(Why::ActivityDown),
            ),
            (
                known(5, Err(Why::ActivityStatus(500))),
                true,
                silent(Why::ActivityStatus(500)),
            ),
        ] {
            assert_eq!(known.is_due(WINDOW, NOW), is_due, "{known:?}");
            assert_eq!(known.verdict(WINDOW, NOW), verdict, "{known:?}");
        }
    }

    #[test]
    fn a_pod_that_cannot_be_asked_makes_nothing_of_the_others() {
        let endpoint = |ip: &str, ready: bool, terminating: bool| {
            let conditions =
                json!({ "ready": ready, "serving": ready, "terminating": terminating });
            let target = json!({ "kind": "Pod", "uid": ip });
            json!({ "addresses": [ip], "conditions": conditions, "targetRef": target })
        };
        let slice = |manager: &str, port: &str, endpoints: &[Value]| {
            let labels = json!({ MANAGED_BY: manager });
            let slice = json!({
                "metadata": { "labels": labels }, "addressType": "IPv4", "endpoints": endpoints,
                "ports": [{ "name": port, "port": 3000, "protocol": "TCP" }],
            });
            serde_json::from_value::<EndpointSlice>(slice).expect("a slice")
        };
        let pods = |port: &str, endpoints: &[Value]| {
            slice("endpointslice-controller.k8s.io", port, endpoints)
        };
        let (first, second) = (
            endpoint("10.0.0.1", true, false),
            endpoint("10.0.0.2", true, false),
        );
        let [silent, ending] = [(false, false), (true, true)]
            .map(|(ready, terminating)| endpoint("10.0.0.3", ready, terminating));
        let ours = slice("unidler", "http", &[endpoint("10.0.0.9", true, false)]);
        for (slices, expected) in [
            (vec![], Some(vec![])),
            (
                vec![pods("http", &[first.clone(), second.clone()]), ours],
                Some(vec!["10.0.0.1:3000", "10.0.0.2:3000"]),
            ),
            (
                vec![
                    pods("http", std::slice::from_ref(&first)),
                    pods("http", std::slice::from_ref(&second)),
                ],
                Some(vec!["10.0.0.1:3000", "10.0.0.2:3000"]),
            ),
            (
                vec![pods("http", &[first.clone(), ending])],
                Some(vec!["10.0.0.1:3000"]),
            ),
            (vec![pods("http", &[first.clone(), silent])], None),
            (
                vec![pods("http", &[first]), pods("metrics", &[second])],
                None,
            ),
        ] {
            let addresses = all_addresses(&slices, "http");
            let addresses =
                addresses.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
            let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
            assert_eq!(addresses, expected, "{slices:?}");
        }
    }

    #[tokio::test]
    async fn an_endpoint_is_asked_at_the_path_for_the_host_and_anything_unusual_is_no_answer() {
        let of_host = |headers: HeaderMap| async move {
            let host = headers
                .get(header::HOST)
                .and_then(|host| host.to_str().ok());
            match host {
                Some("tool.example") => "1796137200".into_response(),
                _ => StatusCode::NOT_FOUND.into_response(),
            }
        };
        let router = Router::new()
            .route("/seen", get(of_host))
            .route(
                "/broken",
                get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
            )
            .route("/away", get(|| async { Redirect::to("/seen") }))
            .route(
                "/large",
                get(|| async { " ".repeat(MAX_ANSWER) + "1796137200" }),
            )
            .route("/html", get(|| async { "<html>" }))
            .route(
                "/behind",
                get(|| async {
                    (
                        [(header::DATE, "Tue, 01 Dec 2015 15:00:30 GMT")],
                        "1448982000",
                    )
                }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        let Activity { client, .. } = Activity::new();
        let ask = async |url: &str| {
            let app = Asked {
                id: AppId::new("app"),
                url: url.parse().expect("a URL"),
                window: WINDOW,
                namespace: "team".into(),
                service: "tool".into(),
                port: "".into(),
                host: "tool.example".into(),
            };
            ask(&client, &app, address).await
        };
        for (url, expected) in [
            ("/seen", Ok("2026-12-01T15:00:00Z".parse().expect("a time"))),
            ("/broken", Err(Why::ActivityStatus(500))),
            ("/away", Err(Why::ActivityStatus(303))),
            ("/gone", Err(Why::ActivityStatus(404))),
            ("/large", Err(Why::ActivityUnreadable)),
            ("/html", Err(Why::ActivityUnreadable)),
        ] {
            assert_eq!(ask(url).await, expected, "{url}");
        }
        let seconds_ago = Timestamp::now().duration_since(ask("/behind").await.expect("a time"));
        assert!((29..60).contains(&seconds_ago.as_secs()), "{seconds_ago}");
    }

    #[test]
    fn a_clock_that_is_ahead_makes_nothing_older() {
        let ahead = |date: &str| {
            let headers = HeaderMap::from_iter([(header::DATE, date.parse().expect("a value"))]);
            ahead_of(&headers, NOW).as_secs()
        };
        for (date, expected) in [
            ("Wed, 31 Dec 1969 21:00:00 GMT", 3 * 3600),
            ("Wed, 31 Dec 1969 23:59:55 GMT", 0),
            ("Thu, 01 Jan 1970 03:00:00 GMT", 0),
            ("yesterday", 0),
        ] {
            assert_eq!(ahead(date), expected, "{date}");
        }
        assert_eq!(ahead_of(&HeaderMap::new(), NOW), SignedDuration::ZERO);
    }
}
