//! The host of a request, as an axum extractor.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use unidler::host::Host;

use crate::problem::Problem;

/// The host that the visitor typed: the `Host` header, or `:authority` on HTTP/2. No other header is trusted, in
/// particular not `X-Forwarded-Host`.
#[derive(Clone, Debug)]
pub struct AppHost(pub Host);

impl<S: Sync> FromRequestParts<S> for AppHost {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let mut headers = parts.headers.get_all(header::HOST).iter();
        let name = match (parts.uri.authority(), headers.next(), headers.next()) {
            (Some(authority), ..) => Some(authority.as_str()),
            (None, Some(only), None) => only.to_str().ok(),
            (None, ..) => None,
        };
        name.and_then(|name| Host::parse(name).ok())
            .map(Self)
            .ok_or_else(Problem::bad_host)
    }
}
