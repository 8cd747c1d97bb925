//! Forwards requests for a running app that its ingress still routes here.
//!
//! Ingress controllers notice with a delay that an app is awake, and some never do. In the meantime they route some
//! visitors here. Such a request is forwarded to the app inside the cluster, even if it switches to another protocol (a
//! WebSocket), and its sender cannot tell the difference.
//!
//! ```text
//! browser ──> ingress ──> visit::answer ─ Hub::forwards: where to? ──> Forwarder::forward ──> the app
//!                              └── not reached: the page      └── reached, but no answer: 502 or 504
//! ```
//!
//! The address is that of a ready endpoint from the cluster's own controller, or of a Service that selects pods, at the
//! port that a route shows for this very host. It never comes from the request, and never from an `ExternalName`. It is
//! the last known one: an unreachable API server is no reason to turn visitors away from a reachable app.

use std::{hash::BuildHasher, net::SocketAddr, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version,
        header::{self, CONNECTION, UPGRADE},
        uri::{Authority, PathAndQuery, Scheme},
    },
    response::Response,
};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use metrics::counter;
use tokio::{
    io::copy_bidirectional,
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;
use unidler::host::Host;

use crate::{
    connections::Lease,
    headers::{AppsOwn, entries},
    problem::Problem,
};

/// The metric of requests that were forwarded, by `outcome`: `answered`, `unreachable`, `broken` or `timed_out`.
pub const FORWARDED: &str = "unidler_forwarded_requests_total";
/// How long connecting to an app may take; and how long a mere connection test may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TRY_TIMEOUT: Duration = Duration::from_millis(500);
/// How long an unused connection is kept, and how many per app: as long as a page takes to request its files. Apps
/// close theirs after two seconds (gunicorn) or five (Node.js, uvicorn), and a POST that coincides with that is lost.
const IDLE: (Duration, usize) = (Duration::from_secs(1), 32);
/// How long an app may take to begin its response, since the last part of the request was sent.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// How long a connection is silent before the kernel probes whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_mins(1);
/// The only protocol that a request may be upgraded to. Others, such as h2c, would allow clients to bypass the path
/// rules of the ingress.
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
/// Hop-by-hop headers ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)), besides those that
/// `Connection` lists.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    UPGRADE,
];

/// Forwards requests.
#[derive(Clone, Debug)]
pub struct Forwarder {
    client: Client<HttpConnector, Body>,
    answer_timeout: Duration,
    /// Makes the names in the header `Via` unique to this process.
    process: std::hash::RandomState,
}

/// Why there is no response from the app.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The app has not received anything of the request.
    NothingSent,
    /// The app may have acted on the request, so it must not be repeated automatically.
    Lost(Problem),
}

impl Default for Forwarder {
    fn default() -> Self {
        Self::with_answer_timeout(ANSWER_TIMEOUT)
    }
}

impl Forwarder {
    /// A forwarder that waits this long for the beginning of a response.
    #[must_use]
    pub fn with_answer_timeout(answer_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_keepalive(Some(KEEP_ALIVE));
        connector.set_nodelay(true);
        let mut client = Client::builder(TokioExecutor::new());
        client
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE.0)
            .pool_max_idle_per_host(IDLE.1);
        Self {
            client: client.build(connector),
            answer_timeout,
            process: std::hash::RandomState::new(),
        }
    }

    /// Whether an address accepts connections. A network policy may prevent it.
    pub(crate) async fn reaches(&self, address: SocketAddr) -> bool {
        let connected = timeout(TRY_TIMEOUT, TcpStream::connect(address)).await;
        connected.is_ok_and(|connected| connected.is_ok())
    }

    /// Forwards a request to the app of `host` at `address`.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the app cannot be reached, does not answer, or if the request has been forwarded before.
    pub(crate) async fn forward(
        &self,
        host: &Host,
        address: SocketAddr,
        mut request: Request,
    ) -> Result<Response, Failure> {
        let via = self.via(host);
        if entries(request.headers(), &header::VIA).any(|entry| entry == via) {
            debug!(%host, %address, "forwarded request came back: the app's address is unidler's own");
            return Err(Failure::NothingSent);
        }
        let of_visitor = request
            .extensions_mut()
            .remove::<OnUpgrade>()
            .zip(request.extensions_mut().remove::<Lease>());
        let request = self
            .forwarded(address, &via, request, of_visitor.is_some())
            .ok_or(Failure::NothingSent)?;
        let upgrade = of_visitor.filter(|_| request.headers().contains_key(UPGRADE));
        let (sent, unanswered) = watch::channel(Instant::now());
        let request = request.map(|body| {
            Body::new(body.map_frame(move |frame| {
                sent.send_replace(Instant::now());
                frame
            }))
        });
        let answer = tokio::select! {
            answer = self.client.request(request) => answer,
            () = silence(unanswered, self.answer_timeout) => {
                count("timed_out");
                debug!(%host, %address, "the app does not answer a forwarded request");
                return Err(Failure::Lost(Problem::gateway_timeout()));
            }
        };
        match answer {
            Ok(response)
                if response.status() == StatusCode::SWITCHING_PROTOCOLS && upgrade.is_none() =>
            {
                count("broken");
                Err(Failure::Lost(Problem::bad_gateway()))
            }
            Ok(response) => {
                count("answered");
                Ok(answered(response.map(Body::new), upgrade))
            }
            Err(error) if error.is_connect() => {
                count("unreachable");
                debug!(%host, %address, %error, "cannot connect to the app");
                Err(Failure::NothingSent)
            }
            Err(error) => {
                count("broken");
                debug!(%host, %address, %error, "the app ended a connection without an answer");
                Err(Failure::Lost(Problem::bad_gateway()))
            }
        }
    }

    /// unidler's name in the header `Via` ([RFC 9110, 7.6.3](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.3)), by
    /// which it recognizes a request that has come back. The name is specific to one process and one app: an app may
    /// legitimately call another one, and pass the header on.
    fn via(&self, host: &Host) -> String {
        format!("1.1 unidler-{:016x}", self.process.hash_one(host))
    }

    /// The request to send to the app; `None` if it cannot be built.
    fn forwarded(
        &self,
        address: SocketAddr,
        via: &str,
        mut request: Request,
        can_upgrade: bool,
    ) -> Option<Request> {
        join_cookies(request.headers_mut());
        // The host by which the app was found: in HTTP/2 and in the absolute form it is in the URI, whatever the header
        // says (https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2).
        if let Some(authority) = request.uri().authority() {
            let port = authority
                .port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            let named = HeaderValue::from_str(&format!("{}{port}", authority.host())).ok()?;
            request.headers_mut().insert(header::HOST, named);
        }
        *request.uri_mut() = at(address, request.uri())?;
        *request.version_mut() = Version::HTTP_11;
        let has_body = !request.body().is_end_stream();
        let headers = request.headers_mut();
        if end_to_end(headers) && can_upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, WEBSOCKET);
        }
        // Set for every method: without it, the client would take a GET to have no body.
        if has_body && !headers.contains_key(header::CONTENT_LENGTH) {
            headers.insert(
                header::TRANSFER_ENCODING,
                HeaderValue::from_static("chunked"),
            );
        }
        headers.append(header::VIA, HeaderValue::from_str(via).ok()?);
        Some(request)
    }
}

fn count(outcome: &'static str) {
    counter!(FORWARDED, "outcome" => outcome).increment(1);
}

/// Completes when nothing has been sent for this long.
async fn silence(mut sent: watch::Receiver<Instant>, limit: Duration) {
    loop {
        let last = *sent.borrow_and_update();
        tokio::select! {
            () = sleep_until(last + limit) => return,
            Ok(()) = sent.changed() => {}
        }
    }
}

/// The same path and query at another address.
fn at(address: SocketAddr, uri: &Uri) -> Option<Uri> {
    let path = uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    let authority: Authority = address.to_string().parse().ok()?;
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path)
        .build()
        .ok()
}

/// Joins the cookies, which HTTP/2 may send in several headers ([RFC 9113,
/// 8.2.3](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3)), into one.
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// Removes the hop-by-hop headers. Returns whether they requested or accepted a WebSocket.
fn end_to_end(headers: &mut HeaderMap) -> bool {
    let listed: Vec<HeaderName> = entries(headers, &CONNECTION)
        .filter_map(|name| name.parse().ok())
        .collect();
    let is_upgrade = listed.contains(&UPGRADE)
        && headers.get(UPGRADE).is_some_and(|protocol| {
            protocol
                .as_bytes()
                .eq_ignore_ascii_case(WEBSOCKET.as_bytes())
        });
    // A client that lists the host here is up to no good.
    for name in listed
        .iter()
        .chain(&HOP_BY_HOP)
        .filter(|name| **name != header::HOST)
    {
        headers.remove(name);
    }
    is_upgrade
}

/// The app's response for the visitor. If the two have agreed on a WebSocket, its data is copied in both directions,
/// until either of them or this process ends it.
fn answered(mut response: Response, of_visitor: Option<(OnUpgrade, Lease)>) -> Response {
    let of_app = response.extensions_mut().remove::<OnUpgrade>();
    let is_upgrade =
        end_to_end(response.headers_mut()) && response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if let (true, Some((of_visitor, lease)), Some(of_app)) = (is_upgrade, of_visitor, of_app) {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, WEBSOCKET);
        lease.hold_for(converse(of_visitor, of_app));
    }
    response.extensions_mut().insert(AppsOwn);
    response
}

async fn converse(of_visitor: OnUpgrade, of_app: OnUpgrade) {
    let (Ok(visitor), Ok(app)) = (of_visitor.await, of_app.await) else {
        return;
    };
    drop(copy_bidirectional(&mut TokioIo::new(visitor), &mut TokioIo::new(app)).await);
}
