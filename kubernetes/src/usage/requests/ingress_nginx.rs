//! How ingress-nginx counts.
//!
//! It counts a request when it ends, under the namespace and the name of the Service, whatever the port
//! ([ingress-nginx: monitoring]). Requests for a host that no rule names exactly are not counted, unless it counts
//! without hosts.
//!
//! [ingress-nginx: monitoring]: https://kubernetes.github.io/ingress-nginx/user-guide/monitoring/

use super::{
    controller::{Controller, Streams},
    prometheus::Series,
};
use crate::{objects::RouteKind, usage::ways::Way};

pub(super) static INGRESS_NGINX: Controller = Controller {
    requests: Series::all("nginx_ingress_controller_requests"),
    // A metric of its configuration, which exists from the start.
    heartbeat: Series::all("nginx_ingress_controller_config_last_reload_successful"),
    others: None,
    names: &["namespace", "service"],
    kind: "status",
    // An upgraded connection. The controller may report only the class of the status.
    streams: |status| match status.starts_with('1') {
        true => Streams::Lasting,
        false => Streams::None,
    },
    name_of,
    name_in: |labels| {
        format!(
            "{}/{}",
            labels.of_program("namespace"),
            labels.of_program("service")
        )
    },
};

fn name_of(way: &Way) -> Option<String> {
    let host = way.host.as_deref()?;
    match way.route {
        RouteKind::Ingress { .. } if !host.starts_with('*') => {
            Some(format!("{}/{}", way.backend.namespace, way.backend.service))
        }
        RouteKind::Ingress { .. } | RouteKind::HttpRoute { .. } => None,
    }
}
