//! An Ingress: which hosts it serves, and to which Services and ports it leads them.

use k8s_openapi::{
    api::networking::v1::{Ingress as KubeIngress, IngressBackend, ServiceBackendPort},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::Timestamp,
};

use super::{TITLE, annotation, title};

/// The annotation of an Ingress with more hosts that lead where its rules do, with commas between ([ingress-nginx]).
///
/// [ingress-nginx]: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#server-alias
const SERVER_ALIAS: &str = "nginx.ingress.kubernetes.io/server-alias";

/// The annotation of an Ingress with the name of its class, from before that had a field ([Kubernetes: deprecated annotation]).
///
/// [Kubernetes: deprecated annotation]: https://kubernetes.io/docs/concepts/services-networking/ingress/#deprecated-annotation
const CLASS: &str = "kubernetes.io/ingress.class";

/// The annotations, and their values, that have ingress-nginx go through the cluster IP of a Service, or speak something else
/// than HTTP to it ([ingress-nginx]).
///
/// [ingress-nginx]: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/
const UNFIT: [(&str, &[&str]); 2] = [
    ("nginx.ingress.kubernetes.io/service-upstream", &["true"]),
    (
        "nginx.ingress.kubernetes.io/backend-protocol",
        &["HTTPS", "GRPC", "GRPCS", "FCGI", "AUTO_HTTP"],
    ),
];

fn unfit(metadata: &ObjectMeta) -> Option<&'static str> {
    let is_set = |(name, values): &&(&'static str, &[&str])| {
        annotation(metadata, name).is_some_and(|value| values.contains(&&*value))
    };
    UNFIT.iter().find(is_set).map(|(name, _)| *name)
}

/// An Ingress.
#[derive(Debug, PartialEq)]
pub(crate) struct Ingress {
    pub(crate) rules: Box<[Rule]>,
    /// Where it leads whatever is for no host of a rule.
    others: Box<[Backend]>,
    /// The name of its class.
    pub(crate) class: Option<Box<str>>,
    /// When it was created: of several that claim a host, the oldest counts.
    pub(crate) created: Option<Timestamp>,
    /// What people call the app.
    pub(crate) title: Option<String>,
    /// The annotation by which its visitors would not reach unidler through a slice.
    pub(crate) unfit: Option<&'static str>,
}

/// A Service that an Ingress leads to, and its port.
pub(crate) type Backend = (String, ServiceBackendPort);

/// What an Ingress does with a host.
#[derive(Debug, PartialEq)]
pub(crate) struct Rule {
    /// In lower case, perhaps a wildcard.
    pub(crate) host: String,
    /// The Services that it leads to, and their ports.
    pub(crate) backends: Box<[Backend]>,
}

impl Ingress {
    pub(crate) fn parse(ingress: KubeIngress) -> Self {
        let KubeIngress { metadata, spec, .. } = ingress;
        let spec = spec.unwrap_or_default();
        let service = |backend: IngressBackend| {
            backend
                .service
                .and_then(|service| Some((service.name, service.port?)))
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
            // What no path of the rule serves goes to the default
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
            rules: rules.into(),
            others: others.into(),
            class: class.map(Into::into),
            created,
            title: title(annotation(&metadata, TITLE)),
            unfit: unfit(&metadata),
        }
    }

    /// Where a rule leads. One host may have several rules.
    pub(crate) fn backends<'a>(&'a self, rule: &'a str) -> impl Iterator<Item = &'a Backend> {
        self.rules
            .iter()
            .filter(move |each| each.host == rule)
            .flat_map(|rule| &rule.backends)
    }

    /// The ports of a Service that it leads to, for whatever host.
    pub(crate) fn ports<'a>(
        &'a self,
        service: &'a str,
    ) -> impl Iterator<Item = &'a ServiceBackendPort> {
        let backends = self.rules.iter().flat_map(|rule| &rule.backends);
        backends
            .chain(&self.others)
            .filter(move |(name, _)| name == service)
            .map(|(_, port)| port)
    }
}
