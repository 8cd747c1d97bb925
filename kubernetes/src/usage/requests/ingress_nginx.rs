//! How ingress-nginx counts.
//!
//! It adds a request when it ends, under the namespace and the name of the Service, whatever the port ([ingress-nginx:
//! monitoring]). What comes for a host that no rule names exactly, it does not count, unless it counts without hosts.
//!
//! [ingress-nginx: monitoring]: https://kubernetes.github.io/ingress-nginx/user-guide/monitoring/

use super::{
    controller::{Controller, Streams},
    prometheus::Series,
};
use crate::{objects::RouteKind, usage::ways::Way};

pub(super) static INGRESS_NGINX: Controller = Controller {
    requests: Series::all("nginx_ingress_controller_requests"),
    // Of its configuration, of which there is one from the start.
    heartbeat: Series::all("nginx_ingress_controller_config_last_reload_successful"),
    names: &["namespace", "service"],
    kind: "status",
    // A connection that was upgraded. It may report the class of the status alone.
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
        RouteKind::Ingress { .. } | RouteKind::HttpRoute => None,
    }
}
