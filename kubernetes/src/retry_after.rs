//! How long an API server asks clients to wait.
//!
//! It does so with a header ([RFC 9110, 10.2.3]), which the client's errors do not include. So the header is written
//! into the body of the same response, where a `Status` has a field for it.
//!
//! [RFC 9110, 10.2.3]: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3

use std::{
    io,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response, header};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use serde_json::{Value, json};
use tower::{BoxError, Layer, Service};

/// The body of a response, passed through or rewritten.
type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The maximum size of an error response.
const MAX_ERROR: usize = 1 << 20;

/// How long the API server asks to wait, if its response was an error that includes this.
pub(crate) fn retry_after(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else {
        return None;
    };
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// The layer that writes the header into the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepRetryAfter;

/// A client whose errors include when to retry.
#[derive(Clone, Debug)]
pub(crate) struct Keeping<S>(S);

impl<S> Layer<S> for KeepRetryAfter {
    type Service = Keeping<S>;

    fn layer(&self, inner: S) -> Keeping<S> {
        Keeping(inner)
    }
}

impl<S, B, R> Service<Request<B>> for Keeping<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.0.call(request);
        async move {
            let answer = answer.await?;
            Ok(kept(answer.map(boxed)).await)
        }
        .boxed()
    }
}

async fn kept(answer: Response<Body>) -> Response<Body> {
    let seconds = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
    let Some(seconds) = seconds.filter(|_| answer.status().as_u16() >= 400) else {
        return answer;
    };
    let (mut parts, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ERROR).collect().await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    // The error response of a proxy is not a `Status`.
    let mut status: Value = serde_json::from_slice(&body).ok().filter(Value::is_object).unwrap_or_else(
        || json!({ "status": "Failure", "code": parts.status.as_u16(), "message": String::from_utf8_lossy(&body).trim() }),
    );
    if !status["details"].is_object() {
        status["details"] = json!({});
    }
    status["details"]["retryAfterSeconds"] = json!(seconds);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, full(status.to_string()))
}

fn boxed<B>(body: B) -> Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(io::Error::other).boxed_unsync()
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::{Api, Client, ResourceExt, api::ListParams};
    use tower::{ServiceBuilder, service_fn};

    use super::*;

    async fn answered(
        status: u16,
        seconds: Option<&'static str>,
        body: &'static str,
    ) -> Result<Vec<String>, (String, Option<u64>)> {
        let server = service_fn(move |_: Request<kube::client::Body>| async move {
            let mut answer = Response::builder().status(status);
            if let Some(seconds) = seconds {
                answer = answer.header("retry-after", seconds);
            }
            Ok::<_, BoxError>(answer.body(full(body)).expect("an answer"))
        });
        let client = Client::new(
            ServiceBuilder::new().layer(KeepRetryAfter).service(server),
            "default",
        );
        let listed = Api::<Pod>::all(client).list(&ListParams::default()).await;
        listed
            .map(|list| list.items.iter().map(ResourceExt::name_any).collect())
            .map_err(|error| {
                let after = retry_after(&error).map(|after| after.as_secs());
                let kube::Error::Api(status) = error else {
                    panic!("{error}")
                };
                (status.message, after)
            })
    }

    #[tokio::test]
    async fn an_error_says_when_to_come_again_and_only_its_own_header_counts() {
        let status = r#"{"kind":"Status","status":"Failure","message":"later","code":429}"#;
        let own = r#"{"kind":"Status","status":"Failure","message":"later","code":429,"details":{"retryAfterSeconds":3}}"#;
        let list = r#"{"metadata":{},"items":[{"metadata":{"name":"a"}}]}"#;
        let told = |after: Option<u64>| Err(("later".to_owned(), after));
        assert_eq!(answered(429, Some("7"), status).await, told(Some(7)));
        assert_eq!(answered(429, None, status).await, told(None));
        assert_eq!(answered(429, None, own).await, told(Some(3)));
        assert_eq!(answered(429, Some("0"), status).await, told(None));
        assert_eq!(
            answered(503, Some("5"), "later").await,
            told(Some(5)),
            "of a proxy"
        );
        assert_eq!(
            answered(503, Some("Fri, 31 Dec 1999 23:59:59 GMT"), "later").await,
            told(None)
        );
        assert_eq!(
            answered(200, Some("7"), list).await,
            Ok(vec!["a".to_owned()])
        );
    }
}
