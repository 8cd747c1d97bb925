//! Every path that is not one of ours: the page for a browser that navigates, a problem for everybody else, unless they
//! would rather wait. And the app's own answer, where its ingress is late.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use k8s_openapi::jiff::Timestamp;
use leptos::{context::provide_context, view};
use unidler_app::{
    page::{Page, PageContext},
    start::Start,
    words::Language,
};

use crate::{
    app_host::AppHost,
    patience,
    problem::{Problem, RETRY_AFTER},
    router::AppState,
};

/// What the choice between page and problem depends on.
const VARY: HeaderValue = HeaderValue::from_static("Sec-Fetch-Mode, Accept, Accept-Language, Prefer");

/// The page, or the problem; for an app that is up, its own answer if late requests are passed on. Starts nothing, unless
/// the request wants to wait.
pub(crate) async fn page_or_problem(AppHost(host): AppHost, State(state): State<AppState>, request: Request<Body>) -> Response {
    let progress = state.hub.look(&host);
    state.handovers.note(&host, &progress);
    let (parts, body) = request.into_parts();
    // Whether it is up is for the app to say: what is known of it may be a moment old.
    if let Some(late) = &state.late
        && let Some(address) = state.hub.address(&host)
        && let Some(answer) = late.pass_on(&host, address, Request::from_parts(parts.clone(), body)).await
    {
        return answer;
    }
    // What is answered by ourselves depends on no body.
    let request = Request::from_parts(parts, Body::empty());
    let mut response = if is_navigation(request.method(), request.headers()) {
        let language = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let language = language.map_or_else(Language::default, Language::accepted);
        let now = Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
        let start = Start { progress, language, now, lost_post: false };
        let context = PageContext {
            start: start.clone(),
            assets: state.site.assets.clone(),
            brand: state.site.brand.clone(),
            base: unidler_app::page::base(request.uri().path()),
            frame_ancestors: None,
        };
        let provide = move || {
            provide_context(start.clone());
            provide_context(context.clone());
        };
        let render = leptos_axum::render_app_async_with_context(provide, || view! { <Page/> });
        let mut response = render(request).await;
        *response.status_mut() = state.page_status;
        if state.page_status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    } else if let Some(wait) = patience::preferred(request.headers()) {
        match patience::hold(&host, request.uri(), request.headers(), &state, wait).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        }
    } else {
        Problem::not_up(progress).into_response()
    };
    response.headers_mut().insert(header::VARY, VARY);
    response
}

/// Whether a browser wants to show the answer as a document. An `Accept` that merely allows anything does not say so.
fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let reads = *method == Method::GET || *method == Method::HEAD;
    let accepts_html = text("accept").is_some_and(|accept| accept.contains("text/html"));
    reads && accepts_html && text("upgrade").is_none() && text("sec-fetch-mode").is_none_or(|mode| mode == "navigate")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn only_a_navigation_gets_html() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (method, headers, navigation) in [
            (Method::GET, &[("accept", chromium), ("sec-fetch-mode", "navigate")][..], true),
            (Method::GET, &[("accept", chromium)], true),
            (Method::HEAD, &[("accept", chromium)], true),
            (Method::GET, &[], false),
            (Method::GET, &[("accept", "*/*")], false),
            (Method::GET, &[("accept", "application/json")], false),
            (Method::GET, &[("accept", "*/*"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")], false),
            (Method::GET, &[("accept", chromium), ("sec-fetch-mode", "cors")], false),
            (Method::GET, &[("accept", chromium), ("upgrade", "websocket")], false),
            (Method::POST, &[("accept", chromium), ("sec-fetch-mode", "navigate")], false),
        ] {
            let map =
                headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
            assert_eq!(is_navigation(&method, &map), navigation, "{method} {headers:?}");
        }
    }
}
