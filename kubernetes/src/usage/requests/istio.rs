//! How Istio counts.
//!
//! Each proxy adds an HTTP request when it ends, under the namespace and the name of the Service that it is routed to, whatever the
//! host and the port ([Istio: standard metrics]). A gateway reports as the source. So does the sidecar of a pod that calls
//! the Service, which sees nothing of visitors. So matchers have to choose the gateways: [`Requests::new`] demands some, and where they
//! choose anything that is not only a source, nothing is known.
//!
//! [Istio: standard metrics]: https://istio.io/latest/docs/reference/config/metrics/
//! [`Requests::new`]: super::Requests::new

use super::{
    controller::{Controller, Streams},
    prometheus::Series,
};
use crate::usage::ways::Way;

pub(super) static ISTIO: Controller = Controller {
    requests: Series {
        metric: "istio_requests_total",
        matchers: r#"reporter="source""#,
    },
    // A metric of its version, which exists from the start.
    heartbeat: Series {
        metric: "istio_build",
        matchers: r#"component="proxy""#,
    },
    // Of sidecars and waypoints.
    others: Some(Series {
        metric: "istio_requests_total",
        matchers: r#"reporter=~"destination|waypoint""#,
    }),
    names: &["destination_service_namespace", "destination_service_name"],
    kind: "response_code",
    // An upgraded connection.
    streams: |code| match code {
        "101" => Streams::Lasting,
        _ => Streams::None,
    },
    name_of,
    name_in: |labels| {
        format!(
            "{}/{}",
            labels.of_program("destination_service_namespace"),
            labels.of_program("destination_service_name")
        )
    },
};

#[expect(
    clippy::unnecessary_wraps,
    reason = "other controllers do not count everything"
)]
fn name_of(way: &Way) -> Option<String> {
    Some(format!("{}/{}", way.backend.namespace, way.backend.service))
}
