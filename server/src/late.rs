//! Requests for an app that is up, which its ingress still sends here.
//!
//! Ingress controllers notice late that a Service points elsewhere, and some never do. With `--proxy-late-requests`,
//! such a request is passed on to the address of the app's Service inside the cluster, also one for another
//! protocol such as WebSocket, and whoever sent it cannot tell the difference.
//!
//! ```text
//! browser ──> ingress, which is late ──> page_or_problem ── app is up? ──> Late::pass_on ──> ClusterIP of its Service
//! ```
//!
//! The address is that of a Service which selects pods, at the port that the Ingress shows to the world for this very
//! host. It never comes from the request, and never from an `ExternalName`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Uri, Version,
        header::{self, CONNECTION, UPGRADE},
        uri::{Authority, PathAndQuery, Scheme},
    },
    response::Response,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use metrics::counter;
use tokio::{
    io::copy_bidirectional,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tracing::debug;
use unidler::host::Host;

use crate::headers::{AppsOwn, entries};

/// The metric of requests that were passed on, by `outcome`: `answered` or `unreachable`.
pub const PASSED_ON: &str = "unidler_late_requests_total";
/// The most conversations in another protocol at the same time: they outlast the requests that they began with.
const MAX_UPGRADED: usize = 1_000;
/// How long a connection to an app may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection is kept that nobody uses, and how many of each app: requests stop when the ingress has noticed.
const IDLE: (Duration, usize) = (Duration::from_secs(15), 32);
/// Our name in the header `Via` ([RFC 9110, 7.6.3](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.3)), by which a
/// request is known that has come back.
const VIA: &str = "1.1 unidler";
/// What concerns one connection and not the request
/// ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)), besides what `Connection` lists.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    UPGRADE,
];

/// Passes requests on.
#[derive(Clone, Debug)]
pub struct Late {
    client: Client<HttpConnector, Body>,
    upgraded: Arc<Semaphore>,
}

impl Default for Late {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE.0).pool_max_idle_per_host(IDLE.1);
        Self { client: client.build(connector), upgraded: Arc::new(Semaphore::new(MAX_UPGRADED)) }
    }
}

impl Late {
    /// Passes a request on to the app of `host`, which is up at `address`. `None` if the app cannot be reached, or if
    /// the request has been passed on before.
    pub(crate) async fn pass_on(&self, host: &Host, address: SocketAddr, mut request: Request) -> Option<Response> {
        if has_been_here(request.headers()) {
            debug!(%host, %address, "a request that was passed on has come back: the address is our own");
            return None;
        }
        let of_visitor = request.extensions_mut().remove::<OnUpgrade>();
        join_cookies(request.headers_mut());
        // The host that the app was found by: in HTTP/2 and in the absolute form it is in the URI, whatever the header says
        // (https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2).
        if let Some(authority) = request.uri().authority() {
            let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
            let named = HeaderValue::from_str(&format!("{}{port}", authority.host())).ok()?;
            request.headers_mut().insert(header::HOST, named);
        }
        *request.uri_mut() = at(address, request.uri())?;
        *request.version_mut() = Version::HTTP_11;
        let upgrade = match end_to_end(request.headers_mut()) {
            true => Some((of_visitor?, Arc::clone(&self.upgraded).try_acquire_owned().ok()?)),
            false => None,
        };
        request.headers_mut().append(header::VIA, HeaderValue::from_static(VIA));
        match self.client.request(request).await {
            Ok(response) => {
                counter!(PASSED_ON, "outcome" => "answered").increment(1);
                Some(passed_back(response.map(Body::new), upgrade))
            }
            Err(error) => {
                counter!(PASSED_ON, "outcome" => "unreachable").increment(1);
                debug!(%host, %address, %error, "the app is up, but does not answer here");
                None
            }
        }
    }
}

fn has_been_here(headers: &HeaderMap) -> bool {
    entries(headers, &header::VIA).any(|entry| entry == VIA)
}

/// The same path and query at another address.
fn at(address: SocketAddr, uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let authority: Authority = address.to_string().parse().ok()?;
    Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path).build().ok()
}

/// Makes one header of the cookies, which HTTP/2 may have in several
/// ([RFC 9113, 8.2.3](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3)).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// Takes off what concerns one connection, but for the wish for another protocol. Whether there is one.
fn end_to_end(headers: &mut HeaderMap) -> bool {
    let listed: Vec<HeaderName> = entries(headers, &CONNECTION).filter_map(|name| name.parse().ok()).collect();
    let upgrade = headers.get(UPGRADE).filter(|_| listed.contains(&UPGRADE)).cloned();
    // Whoever lists the host means no good.
    for name in listed.iter().chain(&HOP_BY_HOP).filter(|name| **name != header::HOST) {
        headers.remove(name);
    }
    let Some(protocol) = upgrade else { return false };
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
    true
}

/// The app's answer for the visitor. If the two agree on another protocol, what they say in it goes to and fro.
fn passed_back(mut response: Response, of_visitor: Option<(OnUpgrade, OwnedSemaphorePermit)>) -> Response {
    let of_app = response.extensions_mut().remove::<OnUpgrade>();
    let is_upgraded = end_to_end(response.headers_mut());
    if let (true, Some((of_visitor, place)), Some(of_app)) = (is_upgraded, of_visitor, of_app) {
        tokio::spawn(async move {
            let (Ok(visitor), Ok(app)) = (of_visitor.await, of_app.await) else { return };
            drop(copy_bidirectional(&mut TokioIo::new(visitor), &mut TokioIo::new(app)).await);
            drop(place);
        });
    }
    response.extensions_mut().insert(AppsOwn);
    response
}
