//! How Traefik counts.
//!
//! It counts a request when it ends, under the name of the Service in its configuration ([Traefik: metrics]). Series
//! begin with the first request, and end when their Service has no endpoints for a moment or Traefik restarts.
//!
//! [Traefik: metrics]: https://doc.traefik.io/traefik/reference/install-configuration/observability/metrics/

use super::{
    controller::{Controller, Streams},
    prometheus::Series,
};
use crate::{
    objects::{Port, RouteKind},
    usage::ways::Way,
};

pub(super) static TRAEFIK: Controller = Controller {
    requests: Series::all("traefik_service_requests_total"),
    // A metric of its configuration, which exists from the start.
    heartbeat: Series::all("traefik_config_reloads_total"),
    others: None,
    names: &["service"],
    kind: "protocol",
    streams: |protocol| match protocol {
        "http" => Streams::None,
        "sse" => Streams::Events,
        _ => Streams::Lasting,
    },
    name_of,
    name_in: |labels| labels.of_program("service").to_owned(),
};

fn name_of(way: &Way) -> Option<String> {
    if way.is_uncounted {
        return None;
    }
    let backend = &way.backend;
    let (namespace, service) = (&backend.namespace, &backend.service);
    let port = match &backend.port {
        Port::Name(name) => name.to_string(),
        Port::Number(number) => number.to_string(),
    };
    match way.route {
        RouteKind::Ingress { .. } => {
            // It uses the same name for all default backends, and a route does not show which of the others is one.
            way.host.as_ref()?;
            Some(format!(
                "{}@kubernetes",
                normalized(&format!("{namespace}-{service}-{port}"))
            ))
        }
        RouteKind::HttpRoute { .. } => Some(format!(
            "{}@kubernetesgateway",
            normalized(&format!("{namespace}-{service}-http-{port}"))
        )),
    }
}

/// Replaces each sequence of characters other than letters and digits by one dash.
fn normalized(name: &str) -> String {
    let words: Vec<_> = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Backend;

    #[test]
    fn a_service_is_named_as_traefik_names_it() {
        let ingress = RouteKind::Ingress { class: None };
        let http_route = RouteKind::HttpRoute {
            classes: ["traefik".into()].into(),
        };
        let host = Some("tool.example");
        for (route, host, service, port, expected) in [
            (
                ingress.clone(),
                host,
                "tool",
                Port::Number(80),
                Some("team-tool-80@kubernetes"),
            ),
            (
                ingress.clone(),
                host,
                "tool",
                Port::Name("http".into()),
                Some("team-tool-http@kubernetes"),
            ),
            (
                ingress.clone(),
                host,
                "a--tool",
                Port::Number(80),
                Some("team-a-tool-80@kubernetes"),
            ),
            (ingress, None, "tool", Port::Number(80), None),
            (
                http_route.clone(),
                host,
                "tool",
                Port::Number(80),
                Some("team-tool-http-80@kubernetesgateway"),
            ),
            (
                http_route.clone(),
                Some("*"),
                "tool",
                Port::Number(80),
                Some("team-tool-http-80@kubernetesgateway"),
            ),
        ] {
            let way = Way {
                route,
                host: host.map(ToOwned::to_owned),
                backend: Backend {
                    namespace: "team".into(),
                    service: service.into(),
                    port,
                },
                is_uncounted: false,
            };
            assert_eq!(name_of(&way).as_deref(), expected, "{way:?}");
        }
    }
}
