//! The headers of every response that unidler itself gives.
//!
//! unidler responds on the app's own origin, so its responses must leave nothing behind in the visitor's browser: no
//! cookie, no cached copy, no HSTS.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

/// Identifies unidler's own responses. The page polls its reserved address until a response lacks this header.
pub const X_UNIDLER: HeaderName = HeaderName::from_static("x-unidler");

// No `Cross-Origin-Opener-Policy`: a login in a popup would lose the page that opened it, and permanently, since this
// is not undone when the app responds.
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

/// Adds the headers, except to responses of an app.
pub(crate) async fn add(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.extensions().get::<AppsOwn>().is_some() {
        return response;
    }
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    // Only files with a hash in their names may be cached, and they have set this header.
    let is_immutable = headers
        .get(header::CACHE_CONTROL)
        .is_some_and(|value| *value == IMMUTABLE);
    if !is_immutable {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The entries of a header with a list value, which may span several lines ([RFC 9110,
/// 5.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1)).
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

/// Marks a response as the app's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppsOwn;

/// The `Cache-Control` of a file that may be cached forever.
pub(crate) const IMMUTABLE: HeaderValue =
    HeaderValue::from_static("public, max-age=31536000, immutable");
