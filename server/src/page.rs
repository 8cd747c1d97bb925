//! The page, rendered for a browser that navigates.

use axum::{
    body::Body,
    extract::{FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use k8s_openapi::jiff::Timestamp;
use leptos::{context::provide_context, view};
use unidler::{
    host::Host,
    progress::{Phase, Progress},
    start::Start as StartBy,
};
use unidler_app::{
    page::{Page, PageContext, TurnedAway},
    start::Start,
    words::Language,
};

use crate::{
    app_host::AppHost,
    navigation::reads,
    place::{prefix, reserved_from, way_back},
    problem::{Problem, RETRY_AFTER},
    state::AppState,
    wake::page_of,
};

/// Renders the page of an app, whatever path was requested.
pub(crate) async fn render(
    state: &AppState,
    host: &Host,
    progress: Progress,
    parts: &Parts,
) -> Response {
    let lost_post = !reads(&parts.method);
    let status = match progress.phase {
        Phase::Failed { reason } if reason.is_not_found() => StatusCode::NOT_FOUND,
        _ if lost_post => StatusCode::SERVICE_UNAVAILABLE,
        _ => state.page_status,
    };
    let mut context = context_of(state, progress, parts, lost_post);
    let (start, wakes) = state.hub.starts(host);
    context.start.waits = start == StartBy::Button;
    context.start.wakes = wakes.map(|moment| moment.in_full());
    let provide = move || provide_context(context.clone());
    let render = leptos_axum::render_app_async_with_context(provide, || view! { <Page/> });
    // The page does not depend on the body.
    let mut response = render(Request::from_parts(parts.clone(), Body::empty())).await;
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

/// The contents and the appearance of a page.
fn context_of(state: &AppState, progress: Progress, parts: &Parts, lost_post: bool) -> PageContext {
    let text = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let start = Start {
        progress,
        language: text("accept-language").map_or_else(Language::default, Language::accepted),
        now: Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        reserved: reserved_from(parts.uri.path(), prefix(&parts.headers)),
        way_back: way_back(parts.uri.path(), prefix(&parts.headers), parts.uri.query()),
        waits: false,
        wakes: None,
        lost_post,
    };
    PageContext {
        start,
        assets: state.site.assets.clone(),
        brand: state.site.brand.clone(),
        frame_ancestors: state.frame_ancestors.clone(),
    }
}

/// The page for a person whose request meets a problem: an explanation, and the way back to the page of the app. `form`
/// is the base of that page if the request was one of its forms.
pub(crate) async fn turned_away(
    state: &AppState,
    mut parts: Parts,
    problem: Problem,
    form: Option<&str>,
) -> Response {
    let Ok(AppHost(host)) = AppHost::from_request_parts(&mut parts, &()).await else {
        return problem.into_text();
    };
    let back = form.map_or_else(String::new, |base| page_of(&host, base, &parts));
    let lost_post = form.is_none() && !reads(&parts.method);
    let context = context_of(state, state.hub.look(&host), &parts, lost_post);
    let (head, _) = problem.into_response().into_parts();
    let is_crowded = head.headers.contains_key(header::RETRY_AFTER);
    let document = move || {
        let (context, back) = (context.clone(), back.clone());
        view! { <TurnedAway context is_crowded back/> }
    };
    let render = leptos_axum::render_app_async(document);
    let mut response = render(Request::from_parts(parts, Body::empty())).await;
    *response.status_mut() = head.status;
    for name in [header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = head.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}
