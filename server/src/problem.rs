//! Error responses for clients that do not want a page: problem details ([RFC 9457]).
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics::counter;
use serde::Serialize;
use unidler::progress::{Phase, Progress};

use crate::start_rule::Refusal;

/// The metric of rejected requests, by `cause`.
pub const REFUSED: &str = "unidler_refused_total";

/// The `Retry-After` for clients that should retry, in seconds.
pub(crate) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// An error response.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    #[serde(skip)]
    status_code: StatusCode,
    /// The allowed methods, if the method is the problem.
    #[serde(skip)]
    allowed: Option<&'static str>,
    status: u16,
    title: &'static str,
    detail: &'static str,
    /// The state of the app, if that is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Box<Progress>>,
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, detail: &'static str) -> Self {
        Self {
            status_code: status,
            allowed: None,
            status: status.as_u16(),
            title,
            detail,
            progress: None,
        }
    }

    /// The request does not name a host that an app can have.
    #[must_use]
    pub fn bad_host() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "Not the address of an app",
            "unidler answers at the host names of idled apps. The Host header of this request is not a DNS name.",
        )
    }

    /// The app is not running, and the request cannot show a page.
    #[must_use]
    pub fn not_up(progress: Progress) -> Self {
        let detail = match progress.phase {
            Phase::Asleep => "The app is asleep. Open its address in a browser to wake it.",
            Phase::Waking { .. } => "The app is being woken. Try again in a few seconds.",
            Phase::Ready { .. } => {
                "The app is running, but its address does not reach it yet. Try again in a few seconds."
            }
            Phase::Failed { .. } => {
                "The app cannot be woken right now. Open its address in a browser for details."
            }
        };
        let (status, title) = match progress.phase {
            Phase::Failed { reason } if reason.is_not_found() => {
                (StatusCode::NOT_FOUND, "There is no app at this address")
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, "The app is not running"),
        };
        Self {
            progress: Some(Box::new(progress)),
            ..Self::new(status, title, detail)
        }
    }

    /// The request may not start anything.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        let (cause, detail) = match refusal {
            Refusal::CrossSite => (
                "cross_site",
                "Only the app's own address may start it, and this request comes from another site.",
            ),
            Refusal::Prefetch => ("prefetch", "Prefetch requests do not wake apps."),
        };
        count(cause);
        Self::new(StatusCode::FORBIDDEN, "App not started", detail)
    }

    /// There are too many event streams already.
    #[must_use]
    pub fn crowded() -> Self {
        count("too_many_streams");
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests",
            "Too many clients are waiting. Try again in a few seconds.",
        )
    }

    /// There are too many connections already.
    #[must_use]
    pub fn full() -> Self {
        count("too_many_connections");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many connections",
            "Too many clients are connected. Try again in a few seconds.",
        )
    }

    /// The app has closed the connection instead of responding.
    #[must_use]
    pub fn bad_gateway() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "Bad gateway",
            "The app received the request, but closed the connection without answering it.",
        )
    }

    /// The app takes too long to respond.
    #[must_use]
    pub fn gateway_timeout() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "Gateway timeout",
            "The app received the request, but did not answer it in time.",
        )
    }

    /// The same as plain text, for people.
    pub(crate) fn into_text(self) -> Response {
        let Self {
            status_code,
            title,
            detail,
            ..
        } = self;
        (status_code, format!("{title}. {detail}")).into_response()
    }

    /// The method is not supported here.
    #[must_use]
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Method not allowed",
            "This address does not support that method.",
        );
        Self {
            allowed: Some(allowed),
            ..problem
        }
    }

    /// The body exceeds the size limit.
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Body too large",
            "Send this request without a body.",
        )
    }

    /// The body was not received in time.
    #[must_use]
    pub fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "Request too slow",
            "The body of the request did not arrive in time.",
        )
    }

    /// There is nothing at this path.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Not found",
            "unidler has nothing at this path.",
        )
    }
}

fn count(cause: &'static str) {
    counter!(REFUSED, "cause" => cause).increment(1);
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status_code, body).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if matches!(
            self.status_code,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        ) {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Some(allowed) = self.allowed {
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}
