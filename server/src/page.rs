//! The page, rendered for a browser that navigates.

use axum::{
    body::Body,
    extract::Request,
    http::{StatusCode, header, request::Parts},
    response::Response,
};
use k8s_openapi::jiff::Timestamp;
use leptos::{context::provide_context, view};
use unidler::progress::{Phase, Progress};
use unidler_app::{
    page::{Page, PageContext},
    start::Start,
    words::Language,
};

use crate::{navigation::reads, place::reserved_from, problem::RETRY_AFTER, state::AppState};

/// The page of an app, at whatever path was asked for.
pub(crate) async fn render(state: &AppState, progress: Progress, parts: &Parts) -> Response {
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
