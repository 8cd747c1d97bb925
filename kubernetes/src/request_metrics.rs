//! Counts the requests to the API server.

use std::task::{Context, Poll};

use futures::{FutureExt, future::BoxFuture};
use http::{Method, Request, Response, Uri};
use metrics::counter;
use tower::{Layer, Service};

/// The metric of the requests to the API server, by `verb`, `resource` and `code` (`none` if there was no answer).
pub const API_REQUESTS: &str = "unidler_api_requests_total";

/// The layer that counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountRequests;

/// A client whose requests are counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted<S>(S);

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted(inner)
    }
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, resource) = (
            verb(request.method(), request.uri()),
            resource(request.uri()),
        );
        let answer = self.0.call(request);
        async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or_else(
                |_| "none".to_owned(),
                |answer| answer.status().as_str().to_owned(),
            );
            counter!(API_REQUESTS, "verb" => verb, "resource" => resource, "code" => code)
                .increment(1);
            answer
        }
        .boxed()
    }
}

/// The verb of the request, as [Kubernetes] names it.
///
/// [Kubernetes]: https://kubernetes.io/docs/reference/using-api/api-concepts/#api-verbs
fn verb(method: &Method, uri: &Uri) -> &'static str {
    match *method {
        Method::GET if uri.query().is_some_and(|query| query.contains("watch=")) => "watch",
        Method::GET => "list",
        Method::PATCH => "patch",
        Method::POST => "create",
        _ => "other",
    }
}

/// The resource of the request: one of the few that unidler uses.
fn resource(uri: &Uri) -> &'static str {
    let known = [
        "ingresses",
        "httproutes",
        "gateways",
        "referencegrants",
        "deployments",
        "statefulsets",
        "rollouts",
        "services",
        "pods",
        "endpointslices",
        "scaledobjects",
        "events",
    ];
    let parts: Vec<_> = uri.path().split('/').collect();
    // After the group and its version, and possibly after the namespace and its name.
    let about = match parts.as_slice() {
        ["", "api", _, "namespaces", _, about, ..]
        | ["", "apis", _, _, "namespaces", _, about, ..] => about,
        ["", "api", _, about, ..] | ["", "apis", _, _, about, ..] => about,
        _ => "",
    };
    known
        .into_iter()
        .find(|resource| *resource == about)
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_as_what_it_is() {
        for (method, uri, expected) in [
            (
                Method::GET,
                "/apis/networking.k8s.io/v1/ingresses?&labelSelector=host",
                ("list", "ingresses"),
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/pods?&watch=true&labelSelector=x",
                ("watch", "pods"),
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/services/deployments/b?&fieldManager=unidler",
                ("patch", "deployments"),
            ),
            (
                Method::POST,
                "/apis/events.k8s.io/v1/namespaces/a/events?",
                ("create", "events"),
            ),
            (Method::GET, "/version", ("list", "other")),
        ] {
            let uri = uri.parse().expect("a URI");
            assert_eq!((verb(&method, &uri), resource(&uri)), expected, "{uri}");
        }
    }
}
