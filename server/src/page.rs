//! Every path of the app: its own answer, where its ingress is late; else the page for a browser that navigates, also to
//! `/events` or `/healthz`, which many apps have, too; else what programs ask for, or a problem.

use axum::{
    body::Body,
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use k8s_openapi::jiff::Timestamp;
use leptos::{context::provide_context, view};
use unidler::{
    host::Host,
    progress::{Phase, Progress},
};
use unidler_app::{
    page::{Page, PageContext},
    start::Start,
    words::Language,
};

use crate::{
    app_host::AppHost,
    late::Failure,
    patience,
    place::reserved_from,
    problem::{Problem, RETRY_AFTER},
    router::AppState,
    sse,
    start_rule::{Leave, leave},
};

/// What the choice between page and problem depends on.
const VARY: HeaderValue =
    HeaderValue::from_static("Sec-Fetch-Mode, Accept, Accept-Language, Prefer");

/// The app's own answer, the page, or a problem. Starts nothing, unless a program asks for the events or prefers to wait.
pub(crate) async fn answer(state: &AppState, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let host = match AppHost::from_request_parts(&mut parts, &()).await {
        Ok(AppHost(host)) => host,
        // Kubernetes asks at our pod's own address, which is nobody's host.
        Err(_) if is_healthz(&parts) => return healthz(),
        Err(problem) if is_navigation(&parts.headers) => return problem.into_text(),
        Err(problem) => return problem.into_response(),
    };
    let progress = state.hub.look(&host);
    state.handovers.note(&host, &progress);
    // Whether the app is up is for the app to say: what is known of it may be a moment old.
    if let Some(late) = &state.late
        && let Some(address) = state.hub.address(&host)
    {
        match late
            .pass_on(&host, address, Request::from_parts(parts.clone(), body))
            .await
        {
            Ok(answer) => return answer,
            Err(Failure::Lost(problem)) if is_navigation(&parts.headers) => {
                return problem.into_text();
            }
            Err(Failure::Lost(problem)) => return problem.into_response(),
            Err(Failure::NothingSent) => {}
        }
    }
    let mut response = if is_navigation(&parts.headers) {
        page(state, progress, &parts).await
    } else if is_healthz(&parts) {
        return healthz();
    } else if is_events(&parts) {
        events(state, &host, &parts).unwrap_or_else(Problem::into_response)
    } else if let Some(wait) =
        patience::preferred(&parts.headers).filter(|_| parts.method != Method::HEAD)
    {
        patience::hold(state, &host, &parts, wait)
            .await
            .unwrap_or_else(Problem::into_response)
    } else {
        Problem::not_up(progress).into_response()
    };
    response.headers_mut().insert(header::VARY, VARY);
    response
}

/// The page for a browser that navigates.
async fn page(state: &AppState, progress: Progress, parts: &Parts) -> Response {
    let text = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let lost_post = !reads(&parts.method);
    let status = match progress.phase {
        Phase::Failed { reason } if reason.is_not_found() => StatusCode::NOT_FOUND,
        _ if lost_post => StatusCode::SERVICE_UNAVAILABLE,
        _ => state.page_status,
    };
    let start = Start {
        progress,
        language: text("accept-language").map_or_else(Language::default, Language::accepted),
        now: Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        reserved: reserved_from(parts.uri.path(), text("x-forwarded-prefix")),
        lost_post,
    };
    let context = PageContext {
        start: start.clone(),
        assets: state.site.assets.clone(),
        brand: state.site.brand.clone(),
        frame_ancestors: state.frame_ancestors.clone(),
    };
    let provide = move || {
        provide_context(start.clone());
        provide_context(context.clone());
    };
    let render = leptos_axum::render_app_async_with_context(provide, || view! { <Page/> });
    // The page depends on no body.
    let mut response = render(Request::from_parts(parts.clone(), Body::empty())).await;
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
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

/// The stream as programs have known it since 2020, which starts the app. A browser only joins: the request may come from
/// the app itself, in a tab that was left open.
fn events(state: &AppState, host: &Host, parts: &Parts) -> Result<Response, Problem> {
    if parts.method == Method::HEAD {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let leave = leave(host, &parts.method, &parts.headers).map_err(Problem::refused)?;
    stream(state, host, &parts.headers, leave)
}

/// The event stream of an app.
pub(crate) fn stream(
    state: &AppState,
    host: &Host,
    headers: &HeaderMap,
    leave: Leave,
) -> Result<Response, Problem> {
    let place = state
        .streams
        .place(host, headers)
        .ok_or_else(Problem::crowded)?;
    let (handovers, app) = (state.handovers.clone(), host.clone());
    Ok(sse::stream(
        &state.hub,
        host,
        leave,
        place,
        move |progress| handovers.note(&app, progress),
    ))
}

fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Whether a browser wants to show the answer as a document, whatever the method. An `Accept` that merely allows anything
/// does not say so.
pub(crate) fn is_navigation(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let accepts_html = text("accept").is_some_and(|accept| accept.contains("text/html"));
    accepts_html
        && text("upgrade").is_none()
        && text("sec-fetch-mode").is_none_or(|mode| mode == "navigate")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn only_a_navigation_gets_html() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (headers, navigation) in [
            (
                &[("accept", chromium), ("sec-fetch-mode", "navigate")][..],
                true,
            ),
            (&[("accept", chromium)], true),
            (&[], false),
            (&[("accept", "*/*")], false),
            (&[("accept", "application/json")], false),
            (
                &[
                    ("accept", "*/*"),
                    ("sec-fetch-mode", "no-cors"),
                    ("sec-fetch-dest", "script"),
                ],
                false,
            ),
            (&[("accept", chromium), ("sec-fetch-mode", "cors")], false),
            (&[("accept", chromium), ("upgrade", "websocket")], false),
        ] {
            let map = headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            assert_eq!(is_navigation(&map), navigation, "{headers:?}");
        }
    }
}
