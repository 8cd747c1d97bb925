//! An Ingress.

use k8s_openapi::api::networking::v1::{Ingress, IngressBackend};

use super::{Backend, Port, Route, RouteKind, Rule};
use crate::objects::{TITLE, annotation, annotation_in, sleep_rules::SleepRules, title};

/// The annotation of an Ingress with additional hosts for its rules, separated by commas ([ingress-nginx]).
///
/// [ingress-nginx]: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#server-alias
const SERVER_ALIAS: &str = "nginx.ingress.kubernetes.io/server-alias";

/// The annotation of an Ingress with the name of its class, from before there was a field for it ([Kubernetes:
/// deprecated annotation]).
///
/// [Kubernetes: deprecated annotation]: https://kubernetes.io/docs/concepts/services-networking/ingress/#deprecated-annotation
const CLASS: &str = "kubernetes.io/ingress.class";

/// The annotations, with their values, that make ingress-nginx use the cluster IP of a Service, or a protocol other
/// than HTTP ([ingress-nginx]).
///
/// [ingress-nginx]: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/
const UNFIT: [(&str, &[&str]); 2] = [
    ("nginx.ingress.kubernetes.io/service-upstream", &["true"]),
    (
        "nginx.ingress.kubernetes.io/backend-protocol",
        &["HTTPS", "GRPC", "GRPCS", "FCGI", "AUTO_HTTP"],
    ),
];

/// The annotation, with its value, that keeps Traefik from counting requests ([Traefik]).
///
/// [Traefik]: https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/ingress/
const UNCOUNTED: [(&str, &[&str]); 1] = [(
    "traefik.ingress.kubernetes.io/router.observability.metrics",
    &["false"],
)];

impl Route {
    /// Parses an Ingress.
    pub(crate) fn of_ingress(ingress: Ingress) -> Self {
        let Ingress { metadata, spec, .. } = ingress;
        let spec = spec.unwrap_or_default();
        let service = |backend: IngressBackend| {
            let service = backend.service?;
            let port = service.port?;
            let name = port.name.map(|name| Port::Name(name.into()));
            Some(Backend {
                namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
                service: service.name.into(),
                port: name.or(port.number.map(Port::Number))?,
            })
        };
        let default = spec.default_backend.and_then(service);
        let (mut rules, mut others) = (Vec::new(), Vec::new());
        for rule in spec.rules.unwrap_or_default() {
            let paths = rule.http.map(|http| http.paths).unwrap_or_default();
            let backends = paths.into_iter().filter_map(|path| service(path.backend));
            let Some(host) = rule.host.filter(|host| !host.is_empty()) else {
                others.extend(backends);
                continue;
            };
            // Requests that match no path of the rule go to the default backend
            // (https://kubernetes.io/docs/concepts/services-networking/ingress/#default-backend).
            rules.push(Rule {
                host: host.to_ascii_lowercase(),
                backends: backends.chain(default.clone()).collect(),
            });
        }
        others.extend(default);
        let aliases = annotation(&metadata, SERVER_ALIAS).unwrap_or_default();
        let of_all: Box<[Backend]> = rules
            .iter()
            .flat_map(|rule| rule.backends.iter().cloned())
            .collect();
        for alias in aliases
            .split(',')
            .map(str::trim)
            .filter(|alias| !alias.is_empty())
        {
            rules.push(Rule {
                host: alias.to_ascii_lowercase(),
                backends: of_all.clone(),
            });
        }
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
        let class = spec
            .ingress_class_name
            .or_else(|| annotation(&metadata, CLASS));
        Self {
            kind: RouteKind::Ingress {
                class: class.map(Into::into),
            },
            rules: rules.into(),
            others: others.into(),
            created,
            title: title(annotation(&metadata, TITLE)),
            unfit: annotation_in(&metadata, &UNFIT),
            sleep: SleepRules::of(&metadata),
            is_uncounted: annotation_in(&metadata, &UNCOUNTED).is_some(),
        }
    }
}
