//! Clients that prefer to wait instead of retrying: `Prefer: wait=60` ([RFC 7240, 4.3]).
//!
//! Such a request wakes the app, is held until the app is running, and is then redirected to the same address with 307,
//! which preserves its method and its body. So no part of it is stored here, however large it is.
//!
//! [RFC 7240, 4.3]: https://www.rfc-editor.org/rfc/rfc7240#section-4.3

use std::time::Duration;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use tokio::time::{sleep, timeout};
use unidler::{host::Host, progress::Phase};

use crate::{
    headers::entries,
    place::{prefix, same},
    problem::Problem,
    start_rule::{Leave, leave},
    state::AppState,
};

/// The maximum time for which a request is held, whatever it prefers: the usual limit of the proxies in front.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long a request is held once the app is running. Its ingress may not have followed yet, and would route it here
/// again: the few redirects that clients follow have to outlast that.
const FOLLOWS: Duration = Duration::from_secs(1);

/// The header with a client's preferences.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// How long the client prefers to wait, if it has a preference.
pub(crate) fn preferred(headers: &HeaderMap) -> Option<Duration> {
    let preferences = entries(headers, &PREFER).flat_map(|entry| entry.split(';'));
    let seconds = preferences
        .filter_map(|preference| preference.trim().split_once('='))
        .find_map(|(name, seconds)| {
            name.trim()
                .eq_ignore_ascii_case("wait")
                .then(|| seconds.trim().trim_matches('"').parse().ok())?
        })?;
    Some(Duration::from_secs(seconds).min(MAX_WAIT))
}

/// Wakes the app, if the request may do that, and responds when the app is running or when there is no point in waiting
/// any longer.
///
/// # Errors
///
/// If the request may not even wait, or if too many requests are waiting.
pub(crate) async fn hold(
    state: &AppState,
    host: &Host,
    parts: &Parts,
    wait: Duration,
) -> Result<Response, Problem> {
    let leave = leave(host, &parts.method, &parts.headers).map_err(Problem::refused)?;
    let _permit = state
        .streams
        .permit(host, &parts.headers)
        .ok_or_else(Problem::crowded)?;
    let mut snapshots = match leave {
        Leave::Start => state.hub.start(host).boxed(),
        Leave::Join => state.hub.join(host).boxed(),
    };
    let end = async {
        while let Some(progress) = snapshots.next().await {
            if progress.phase.is_terminal() {
                return;
            }
        }
    };
    // In either case, the state of the app determines the response.
    drop(timeout(wait, end).await);
    let progress = state.hub.look(host);
    let mut response = match progress.phase {
        Phase::Ready { .. } => {
            sleep(FOLLOWS).await;
            again(&parts.uri, &parts.headers)
        }
        Phase::Asleep | Phase::Waking { .. } | Phase::Failed { .. } => {
            Problem::not_up(progress).into_response()
        }
    };
    response.headers_mut().insert(
        HeaderName::from_static("preference-applied"),
        HeaderValue::from_static("wait"),
    );
    Ok(response)
}

/// Redirects to the same address: with a relative reference, which cannot point to another host, and which also works
/// where an ingress has stripped a prefix from the path.
fn again(uri: &Uri, headers: &HeaderMap) -> Response {
    let mut location = same(uri.path(), prefix(headers));
    if let Some(query) = uri.query() {
        location = format!("{location}?{query}");
    }
    match HeaderValue::from_str(&location) {
        Ok(location) => (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, location)],
        )
            .into_response(),
        Err(_) => Problem::not_found().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_read_as_it_may_be_written() {
        for (value, seconds) in [
            ("wait=10", Some(10)),
            ("respond-async, wait=10", Some(10)),
            ("Wait = \"10\"", Some(10)),
            ("wait=600", Some(60)),
            ("wait=", None),
            ("wait=-1", None),
            ("wait", None),
            ("return=minimal", None),
        ] {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static("prefer"),
                HeaderValue::from_static(value),
            )]);
            assert_eq!(
                preferred(&headers).map(|wait| wait.as_secs()),
                seconds,
                "{value}"
            );
        }
    }

    #[test]
    fn the_same_address_leads_nowhere_else() {
        for (uri, prefix, location) in [
            ("/a/b?c=d", "", "./b?c=d"),
            ("/a/b/?c=/d", "", "./?c=/d"),
            ("//evil.example/a", "", "./a"),
            ("//evil.example", "", "./evil.example"),
            ("/\\evil.example", "", "./%5Cevil.example"),
            ("http://evil.example/a", "", "./a"),
            ("/", "", "./"),
            ("/", "/team/reports", "./reports"),
            ("/x", "/team/reports", "./x"),
        ] {
            let prefix = HeaderValue::from_static(prefix);
            let headers =
                HeaderMap::from_iter([(HeaderName::from_static("x-forwarded-prefix"), prefix)]);
            let answer = again(&uri.parse().expect("a URI"), &headers);
            assert_eq!(answer.headers()[header::LOCATION], location, "{uri}");
        }
    }
}
