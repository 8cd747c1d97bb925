//! `POST …/_unidler/wake`: the only request with which a browser starts a wake-up, or tries again after a failure.
//!
//! A script gets 202 and the state of the app. A plain form, from a browser without scripts, gets 303 back to the
//! address that it came from.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Json, Response},
};
use unidler::host::Host;

use crate::{
    discard::discard,
    navigation::is_navigation,
    place::{back_to, prefix},
    problem::Problem,
    start_rule::{host_of, leave},
    state::AppState,
};

/// The maximum size of a posted form in bytes. It has no fields.
const MAX_BODY: usize = 4 * 1024;

pub(crate) async fn wake(
    state: &AppState,
    host: &Host,
    base: &str,
    request: Request,
) -> Result<Response, Problem> {
    leave(host, request.method(), request.headers()).map_err(Problem::refused)?;
    let (parts, body) = request.into_parts();
    discard(body, MAX_BODY).await?;
    state.hub.retry(host);
    if is_navigation(&parts.headers) {
        return Ok(see(&page_of(host, base, &parts)));
    }
    let progress = state.hub.look(host);
    let progress = state.told(host, progress).await;
    Ok((StatusCode::ACCEPTED, Json(progress)).into_response())
}

/// Redirects to a page.
pub(crate) fn see(page: &str) -> Response {
    match HeaderValue::from_str(page) {
        Ok(page) => (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response(),
        Err(_) => Problem::not_found().into_response(),
    }
}

/// The page that contained a form, or the page that should have contained it.
pub(crate) fn page_of(host: &Host, base: &str, parts: &Parts) -> String {
    referer(host, base, &parts.headers)
        .unwrap_or_else(|| back_to(base, prefix(&parts.headers), parts.uri.query()))
}

/// The page that contained a form, byte for byte. The address is absolute, since a path may begin with two slashes.
/// Under a stricter `Referrer-Policy` the header has only the origin, which is not that page unless `base` says so. An
/// ingress may have stripped a prefix from `base`.
fn referer(host: &Host, base: &str, headers: &HeaderMap) -> Option<String> {
    let page = headers.get(header::REFERER)?.to_str().ok()?;
    let rest = page
        .strip_prefix("https://")
        .or_else(|| page.strip_prefix("http://"))?;
    let path = rest
        .split(['?', '#'])
        .next()
        .and_then(|rest| rest.split_once('/'))
        .map_or("", |(_, path)| path);
    let is_page = format!("/{path}")
        .trim_end_matches('/')
        .ends_with(base.trim_end_matches('/'));
    (is_page && host_of(page).as_ref() == Some(host)).then(|| page.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_form_leads_back_to_the_very_address_and_to_no_other_host() {
        let host = Host::parse("app.example").expect("a host");
        for (page, is_ours) in [
            ("https://app.example/prefix/r/?q=/x", true),
            ("https://app.example/r?q=a%20b&flag&c=d+e", true),
            ("https://app.example//evil.example/r", true),
            // No more than the origin.
            ("https://app.example/", false),
            ("https://app.example/x?/r", false),
            ("https://evil.example/", false),
            ("https://app.example@evil.example/", false),
            ("https://app.example\\@evil.example/", false),
            ("javascript://app.example/%0aalert(1)", false),
            ("//app.example/", false),
            ("/x", false),
        ] {
            let headers = HeaderMap::from_iter([(header::REFERER, HeaderValue::from_static(page))]);
            assert_eq!(
                referer(&host, "/r", &headers).as_deref(),
                is_ours.then_some(page),
                "{page}"
            );
        }
        let headers = HeaderMap::from_iter([(
            header::REFERER,
            HeaderValue::from_static("http://app.example:8080"),
        )]);
        assert_eq!(
            referer(&host, "", &headers).as_deref(),
            Some("http://app.example:8080")
        );
    }
}
