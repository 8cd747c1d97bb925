//! The headers of every answer of ours.
//!
//! We speak on the app's own origin, so nothing may stay behind in the visitor's browser: no cookie, no cached copy,
//! no HSTS.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

/// The mark of our answers. The page asks at its own reserved address until the answer lacks it.
pub const X_UNIDLER: HeaderName = HeaderName::from_static("x-unidler");

// No `Cross-Origin-Opener-Policy`: a login in a popup would lose the page that has opened it, and for good, since that is not
// undone when the app answers.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (
        X_UNIDLER,
        HeaderValue::from_static(env!("CARGO_PKG_VERSION")),
    ),
    (
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Adds them, except to what an app has answered.
pub(crate) async fn add(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.extensions().get::<AppsOwn>().is_some() {
        return response;
    }
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    // Only the files with a hash in their names may be kept, and they have said so.
    let is_immutable = headers
        .get(header::CACHE_CONTROL)
        .is_some_and(|value| *value == IMMUTABLE);
    if !is_immutable {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The entries of a header that is a list, which may be several lines
/// ([RFC 9110, 5.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1)).
pub(crate) fn entries<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let lines = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Marks an answer as the app's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppsOwn;

/// Says that a file may be kept for ever.
pub(crate) const IMMUTABLE: HeaderValue =
    HeaderValue::from_static("public, max-age=31536000, immutable");
