//! Whether each app is found.

use std::collections::BTreeSet;

use k8s_openapi::api::{apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService};
use kube::ResourceExt;
use unidler::{host::Host, progress::Reason};

use super::{
    apps,
    finding::{Finding, Severity},
    snapshot::{Snapshot, label_command},
};
use crate::{
    caches::Caches,
    idle::{backends, leads_to_unidler},
    lookup::{Found, NotFound},
    objects::IDLED,
    settings::ClusterSettings,
};

/// Looks at every app that is found, then for rules of Ingresses that should lead to one, and then for idled objects that
/// belong to none.
pub(crate) fn findings(snapshot: &Snapshot, caches: &Caches, found: &[Found]) -> Vec<Finding> {
    let mut findings: Vec<_> = found
        .iter()
        .flat_map(|found| apps::findings(snapshot, found))
        .collect();
    let ingresses = caches.ingresses.all();
    let rules: BTreeSet<&str> = ingresses
        .iter()
        .flat_map(|ingress| &ingress.value.rules)
        .map(|rule| &*rule.host)
        .collect();
    for rule in rules {
        if let Err(Some(error)) = caches.decided(rule, Host::parse(rule).ok().as_ref()) {
            findings.extend(not_found(snapshot, rule, &error));
        }
    }
    findings.extend(unserved(snapshot, found));
    findings
}

/// A host whose app is not found, because something is missing or there twice.
fn not_found(snapshot: &Snapshot, rule: &str, error: &NotFound) -> Option<Finding> {
    let Snapshot {
        settings, objects, ..
    } = snapshot;
    let ClusterSettings { key_label, .. } = settings;
    let is_involved = |kind: &str, object: &dyn Fn() -> (String, String)| {
        let (namespace, name) = object();
        error
            .involved
            .iter()
            .any(|involved| *involved == format!("{kind} {namespace}/{name}"))
    };
    fn id<K: ResourceExt>(object: &K) -> (String, String) {
        (object.namespace().unwrap_or_default(), object.name_any())
    }
    let services: Vec<_> = objects
        .services
        .iter()
        .filter(|object| is_involved("Service", &|| id(*object)))
        .collect();
    let deployments: Vec<_> = objects
        .deployments
        .iter()
        .filter(|object| is_involved("Deployment", &|| id(*object)))
        .collect();
    let ingress = objects
        .ingresses
        .iter()
        .find(|object| is_involved("Ingress", &|| id(*object)))?;
    let (namespace, ingress_name) = id(ingress);
    let keys = services
        .iter()
        .map(|service| service.labels())
        .chain([ingress.labels()]);
    let key = keys
        .filter_map(|labels| labels.get(key_label))
        .next()
        .map_or_else(|| rule.to_owned(), ToOwned::to_owned);
    let same_key = |deployment: &&KubeDeployment| {
        deployment.namespace().as_deref() == Some(&namespace)
            && deployment.labels().get(key_label) == Some(&key)
    };
    let is_idled = objects
        .deployments
        .iter()
        .filter(same_key)
        .chain(deployments.iter().copied())
        .any(is_marked)
        || services
            .iter()
            .any(|service| leads_to_unidler((*service).clone(), settings));

    let (check, what, why, mend) = match error.reason {
        Reason::NoWorkload => (
            "label-missing",
            format!(
                "No Deployment in namespace {namespace} has the label {key_label}={key} of the app of {rule}"
            ),
            "The unidler does not find the app, so it can be neither idled nor woken.",
            label_command(
                settings,
                &namespace,
                "deployment",
                selected(&objects.deployments, &namespace, &services).as_deref(),
                &key,
            ),
        ),
        Reason::NoService => (
            "not-behind-ingress",
            format!("{rule} leads nowhere: {error}"),
            "Visitors of the app would not come to the unidler, so it can be neither idled nor woken.",
            format!(
                "let it lead to the app's Service: kubectl -n {namespace} edit ingress {ingress_name}"
            ),
        ),
        Reason::AmbiguousWorkload => (
            "key-duplicate",
            format!("Several Deployments have the key of {rule}: {error}"),
            "The unidler does not know which one is meant, so the app can be neither idled nor woken.",
            format!(
                "take it off all but one: kubectl -n {namespace} label deployment NAME {key_label}-"
            ),
        ),
        Reason::AmbiguousRoute | Reason::AmbiguousService => (
            "host-duplicate",
            format!("{rule} leads to several apps: {error}"),
            "The unidler does not know which one a visitor wants, so none can be idled or woken there.",
            "give each app a host of its own".to_owned(),
        ),
        // The host is one that an Ingress serves.
        _ => return None,
    };
    let severity = if is_idled {
        Severity::Error
    } else {
        Severity::Warning
    };
    Some(Finding {
        severity,
        check,
        what,
        why: why.into(),
        mend,
    })
}

/// Idled objects that no Ingress leads to.
fn unserved(snapshot: &Snapshot, found: &[Found]) -> Vec<Finding> {
    let Snapshot {
        settings, objects, ..
    } = snapshot;
    let idled = objects
        .deployments
        .iter()
        .filter(|deployment| is_marked(deployment));
    let leading = objects
        .services
        .iter()
        .filter(|service| leads_to_unidler((*service).clone(), settings));
    let idled = idled.map(|object| Idled::of(object, "deployment", settings));
    let idled = idled.chain(leading.map(|object| Idled::of(object, "service", settings)));
    idled
        .filter_map(|object| object.finding(snapshot, found))
        .collect()
}

/// A Deployment or a Service that is idled.
struct Idled {
    kind: &'static str,
    namespace: String,
    name: String,
    key: Option<String>,
}

impl Idled {
    fn of(
        object: &impl ResourceExt,
        kind: &'static str,
        ClusterSettings { key_label, .. }: &ClusterSettings,
    ) -> Self {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        Self {
            kind,
            namespace,
            name,
            key: object.labels().get(key_label).cloned(),
        }
    }

    fn finding(
        &self,
        Snapshot {
            settings, objects, ..
        }: &Snapshot,
        found: &[Found],
    ) -> Option<Finding> {
        let Self {
            kind,
            namespace,
            name,
            key,
        } = self;
        let ClusterSettings { key_label, .. } = settings;
        let is_this = |found: &Found| {
            let own = if *kind == "service" {
                &found.service.name
            } else {
                &found.deployment.name
            };
            found.service.namespace == *namespace && own == name
        };
        // An Ingress that leads to the app, or should, is told of already where it is looked at.
        let is_of_ingress = objects.ingresses.iter().any(|ingress| {
            let is_behind = *kind == "service"
                && backends(ingress)
                    .iter()
                    .any(|backend| backend.name == *name);
            ingress.namespace().as_deref() == Some(namespace)
                && (is_behind
                    || key
                        .as_ref()
                        .is_some_and(|key| ingress.labels().get(key_label) == Some(key)))
        });
        if found.iter().any(is_this) || is_of_ingress {
            return None;
        }
        let (check, what, mend) = match key {
            Some(key) => (
                "host-not-served",
                format!(
                    "No Ingress in namespace {namespace} leads to the idled app with the label {key_label}={key}"
                ),
                format!("let one lead to its Service: kubectl -n {namespace} edit ingress"),
            ),
            None => (
                "label-missing",
                format!("The idled {kind} {namespace}/{name} has no label {key_label}"),
                label_command(settings, namespace, kind, Some(name), "KEY"),
            ),
        };
        let why =
            "The app is idled, and the unidler does not know of which host: no visitor wakes it."
                .into();
        Some(Finding {
            severity: Severity::Error,
            check,
            what,
            why,
            mend,
        })
    }
}

fn is_marked(deployment: &KubeDeployment) -> bool {
    deployment
        .labels()
        .get(IDLED)
        .is_some_and(|value| value == "true")
}

/// The Deployment whose pods the Services select, if it is one.
fn selected(
    deployments: &[KubeDeployment],
    namespace: &str,
    services: &[&KubeService],
) -> Option<String> {
    let selector = services.first()?.spec.as_ref()?.selector.as_ref()?;
    let is_selected = |deployment: &&KubeDeployment| {
        let pods = deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.template.metadata.as_ref()?.labels.as_ref());
        deployment.namespace().as_deref() == Some(namespace)
            && pods.is_some_and(|labels| {
                selector
                    .iter()
                    .all(|(name, value)| labels.get(name) == Some(value))
            })
    };
    only(
        deployments
            .iter()
            .filter(is_selected)
            .map(ResourceExt::name_any),
    )
}

fn only(names: impl Iterator<Item = String>) -> Option<String> {
    let mut names = names.collect::<BTreeSet<_>>().into_iter();
    let name = names.next()?;
    names.next().is_none().then_some(name)
}
