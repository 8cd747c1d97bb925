//! Answers every path of the app: with the app's own response, if the app is running and its ingress still routes here;
//! otherwise with the page for a browser that navigates, even to `/events` or `/healthz`, which many apps have, too;
//! otherwise with the response for programs, or a problem.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody},
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use unidler::{
    host::Host,
    hub::Forwards,
    progress::{Phase, Progress, Reason},
};

use crate::{
    app_host::AppHost,
    discard::discard,
    forward::Failure,
    hold,
    navigation::{is_navigation, reads},
    page,
    problem::Problem,
    sse,
    start_rule::{Leave, is_browser, leave},
    state::AppState,
};

/// The headers that decide between page and problem.
const VARY: HeaderValue =
    HeaderValue::from_static("Sec-Fetch-Mode, Accept, Accept-Language, Prefer");

/// The maximum size of a body that is read although there is no app for it.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The app's own answer, the page, or a problem. Starts nothing, unless a program asks for the events or prefers to wait.
///
/// # Errors
///
/// If the request names no host, or was lost on its way to the app: the response does not depend on the requested path.
pub(crate) async fn answer(state: &Arc<AppState>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let host = match AppHost::from_request_parts(&mut parts, &()).await {
        Ok(AppHost(host)) => host,
        // Kubernetes sends its probes to the pod's own address, which is not the host of any app.
        Err(_) if is_healthz(&parts) => return Ok(healthz()),
        Err(problem) => return Err(problem),
    };
    let version = parts.version;
    let answer = answer_of(state, &host, parts, body).await?;
    Ok(state.let_go(&host, version, answer))
}

async fn answer_of(
    state: &Arc<AppState>,
    host: &Host,
    parts: Parts,
    body: Body,
) -> Result<Response, Problem> {
    // Requests of programs wake an app that is falling asleep.
    let is_of_page = is_browser(&parts.headers) && !is_navigation(&parts.headers);
    let forwards = state.hub.forwards(host, is_of_page).await;
    let address = forwards.map(|to| match to {
        Forwards::All(address, _) | Forwards::OfPages(address) => address,
    });
    let mut progress = state.hub.look(host);
    state.handovers.seen(host, &progress);
    // Whether the app is running is for the app to answer: the observed state may be slightly outdated.
    if let Some(address) = address {
        let request = Request::from_parts(parts.clone(), body);
        match state.forwarder.forward(host, address, request).await {
            Ok(answer) => return Ok(answer),
            Err(Failure::Lost(problem)) => return Err(problem),
            Err(Failure::NothingSent) => progress = state.hub.look(host),
        }
    } else if !body.is_end_stream() {
        // A larger one is answered as well, if its client reads the response before it has sent the whole body.
        drop(discard(body, MAX_BODY).await);
        progress = state.hub.look(host);
    }
    let mut response = if is_navigation(&parts.headers) {
        page::render(state, host, progress, &parts).await
    } else if let Some(status) = probe(state, &progress, host, &parts) {
        return Ok(status.into_response());
    } else if is_healthz(&parts) {
        return Ok(healthz());
    } else if is_events(&parts) {
        events(state, host, &parts).unwrap_or_else(Problem::into_response)
    } else if let Some(wait) =
        hold::preferred(&parts.headers).filter(|_| parts.method != Method::HEAD)
    {
        hold::hold(state, host, &parts, wait)
            .await
            .unwrap_or_else(Problem::into_response)
    } else {
        Problem::not_up(progress).into_response()
    };
    response.headers_mut().insert(header::VARY, VARY);
    Ok(response)
}

/// The response to a monitor of an app that is asleep or waking, if its operators have configured one. Failures are not
/// hidden from the monitor.
fn probe(state: &AppState, progress: &Progress, host: &Host, parts: &Parts) -> Option<StatusCode> {
    match progress.phase {
        Phase::Asleep
        | Phase::Waking { .. }
        | Phase::Failed {
            reason: Reason::NotByVisitors,
        } => {}
        Phase::Ready { .. } | Phase::Failed { .. } => return None,
    }
    let status = state
        .hub
        .probe(host, parts.method.as_str(), parts.uri.path())?;
    StatusCode::from_u16(status).ok()
}

/// Liveness.
pub(crate) fn healthz() -> Response {
    "Still OK".into_response()
}

fn is_healthz(parts: &Parts) -> bool {
    parts.uri.path() == "/healthz" && reads(&parts.method)
}

fn is_events(parts: &Parts) -> bool {
    matches!(parts.uri.path(), "/events" | "/events/") && reads(&parts.method)
}

/// The event stream for programs, in its form of 2020, which starts the app. A browser only joins: the request may come
/// from the app itself, in a tab that was left open.
fn events(state: &Arc<AppState>, host: &Host, parts: &Parts) -> Result<Response, Problem> {
    if parts.method == Method::HEAD {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let leave = leave(host, &parts.method, &parts.headers).map_err(Problem::refused)?;
    stream(state, host, &parts.headers, leave)
}

/// The event stream of an app.
pub(crate) fn stream(
    state: &Arc<AppState>,
    host: &Host,
    headers: &HeaderMap,
    leave: Leave,
) -> Result<Response, Problem> {
    let permit = state
        .streams
        .permit(host, headers)
        .ok_or_else(Problem::crowded)?;
    let (of_visit, app) = (Arc::clone(state), host.clone());
    let told = move |progress| {
        let (state, host) = (Arc::clone(&of_visit), app.clone());
        async move { state.told(&host, progress).await }
    };
    Ok(sse::stream(&state.hub, host, leave, permit, told))
}
