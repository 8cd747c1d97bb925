//! Whether each app is found.

use std::collections::BTreeSet;

use k8s_openapi::api::{
    apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService, networking::v1::Ingress as KubeIngress,
};
use kube::ResourceExt;
use unidler::{host::Host, progress::Reason};

use super::{
    super::{
        super::{
            Settings,
            discovery::{find, hosts_of, key_of},
            objects::IDLED,
        },
        idle::{backends, leads_to_unidler},
    },
    Finding, Severity, Snapshot, apps, label_command,
};

/// Looks for the app of every host as the server would, and then for idled objects that belong to none.
pub(super) fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let Snapshot { settings, objects, .. } = snapshot;
    let (ingresses, deployments, services) = objects.caches(settings);
    let mut findings = Vec::new();
    // Namespace and key of the apps that an Ingress serves.
    let mut served = BTreeSet::new();
    for ingress in ingresses.all() {
        for host in hosts_of(&ingress, &settings.key_label) {
            served.insert((ingress.namespace.clone(), ingress.key.clone()));
            match find(&host, key_of(&host, &settings.key_label), &ingresses, &deployments, &services) {
                Ok(found) => findings.extend(apps::findings(snapshot, &host, &found)),
                Err(reason) => findings.extend(not_found(snapshot, &ingress.namespace, &host, reason)),
            }
        }
    }
    findings.extend(unserved(snapshot, &served));
    findings
}

/// An app of which an Ingress is there, and something is missing or there twice.
fn not_found(snapshot: &Snapshot, namespace: &str, host: &Host, reason: Reason) -> Option<Finding> {
    let Snapshot { settings, objects, .. } = snapshot;
    let Settings { key_label, .. } = settings;
    let key = key_of(host, key_label);
    let serving: Vec<&KubeIngress> = with_key(&objects.ingresses, settings, None, key)
        .into_iter()
        .filter(|ingress| !backends(ingress, host).is_empty())
        .collect();
    let deployments = with_key(&objects.deployments, settings, Some(namespace), key);
    let services = with_key(&objects.services, settings, Some(namespace), key);
    let is_idled = deployments.iter().any(|deployment| is_marked(deployment))
        || services.iter().any(|service| leads_to_unidler((*service).clone(), settings));

    let (check, what, why, mend) = match reason {
        Reason::NoDeployment | Reason::NoService => {
            let (kind, name) = if reason == Reason::NoService {
                ("Service", behind(&serving, host))
            } else {
                ("Deployment", selected(&objects.deployments, namespace, &services))
            };
            (
                "label-missing",
                format!("No {kind} in namespace {namespace} has the label {key_label}={key}, which its Ingress has"),
                "The unidler does not find the app, so it can be neither idled nor woken.",
                label_command(settings, namespace, &kind.to_lowercase(), name.as_deref(), key),
            )
        }
        Reason::AmbiguousIngress | Reason::AmbiguousDeployment | Reason::AmbiguousService => {
            let (kind, names) = match reason {
                Reason::AmbiguousIngress => ("ingress", names(&serving)),
                Reason::AmbiguousDeployment => ("deployment", names(&deployments)),
                _ => ("service", names(&services)),
            };
            (
                "key-duplicate",
                format!("Several objects have the label {key_label}={key} of {host}: {kind} {names}"),
                "The unidler does not know which one is meant, so the app can be neither idled nor woken.",
                format!("take it off all but one: kubectl -n NAMESPACE label {kind} NAME {key_label}-"),
            )
        }
        // The host is one that an Ingress serves.
        _ => return None,
    };
    let severity = if is_idled { Severity::Error } else { Severity::Warning };
    Some(Finding { severity, check, what, why: why.into(), mend })
}

/// Idled objects whose app no Ingress serves.
fn unserved(snapshot: &Snapshot, served: &BTreeSet<(String, String)>) -> Vec<Finding> {
    let Snapshot { settings, objects, .. } = snapshot;
    let idled = objects.deployments.iter().filter(|deployment| is_marked(deployment));
    let leading = objects.services.iter().filter(|service| leads_to_unidler((*service).clone(), settings));
    let idled = idled.map(|object| Idled::of(object, "deployment", settings));
    let idled = idled.chain(leading.map(|object| Idled::of(object, "service", settings)));
    idled.filter_map(|object| object.finding(snapshot, served)).collect()
}

/// A Deployment or a Service that is idled.
struct Idled {
    kind: &'static str,
    namespace: String,
    name: String,
    key: Option<String>,
}

impl Idled {
    fn of(object: &impl ResourceExt, kind: &'static str, Settings { key_label, .. }: &Settings) -> Self {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        Self { kind, namespace, name, key: object.labels().get(key_label).cloned() }
    }

    fn finding(&self, Snapshot { settings, objects, .. }: &Snapshot, served: &BTreeSet<(String, String)>) -> Option<Finding> {
        let Self { kind, namespace, name, key } = self;
        let Settings { key_label, .. } = settings;
        let (check, what, mend) = match key {
            Some(key) if served.contains(&(namespace.clone(), key.clone())) => return None,
            Some(key) if !with_key(&objects.ingresses, settings, Some(namespace), key).is_empty() => (
                "host-not-served",
                format!(
                    "The Ingress with the label {key_label}={key} in namespace {namespace} has no rule for a host of that key"
                ),
                format!("give it one, or mend its label: kubectl -n {namespace} edit ingress -l {key_label}={key}"),
            ),
            Some(key) => (
                "host-not-served",
                format!("No Ingress in namespace {namespace} has the label {key_label}={key} of an idled app"),
                label_command(
                    settings,
                    namespace,
                    "ingress",
                    unlabelled_ingress(&objects.ingresses, namespace, key).as_deref(),
                    key,
                ),
            ),
            // The other side of a missing label, which is told already where the rest of the app is found.
            None if kind == &"service" && is_backend_of_app(&objects.ingresses, settings, namespace, name) => return None,
            None => (
                "label-missing",
                format!("The idled {kind} {namespace}/{name} has no label {key_label}"),
                label_command(settings, namespace, kind, Some(name), "KEY"),
            ),
        };
        let why = "The app is idled, and the unidler does not know of which host: no visitor wakes it.".into();
        Some(Finding { severity: Severity::Error, check, what, why, mend })
    }
}

fn is_marked(deployment: &KubeDeployment) -> bool {
    deployment.labels().get(IDLED).is_some_and(|value| value == "true")
}

fn with_key<'a, K: ResourceExt>(objects: &'a [K], settings: &Settings, namespace: Option<&str>, key: &str) -> Vec<&'a K> {
    let has_key = |object: &&K| object.labels().get(&settings.key_label).is_some_and(|value| value == key);
    let is_here = |object: &&K| namespace.is_none() || object.namespace().as_deref() == namespace;
    objects.iter().filter(has_key).filter(is_here).collect()
}

fn names<K: ResourceExt>(objects: &[&K]) -> String {
    let name = |object: &&K| format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    objects.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The Service that the Ingresses lead a host to, if it is one.
fn behind(ingresses: &[&KubeIngress], host: &Host) -> Option<String> {
    only(ingresses.iter().flat_map(|ingress| backends(ingress, host)).map(|backend| backend.name.clone()))
}

/// The Deployment whose pods the Services select, if it is one.
fn selected(deployments: &[KubeDeployment], namespace: &str, services: &[&KubeService]) -> Option<String> {
    let selector = services.first()?.spec.as_ref()?.selector.as_ref()?;
    let is_selected = |deployment: &&KubeDeployment| {
        let pods = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref()?.labels.as_ref());
        deployment.namespace().as_deref() == Some(namespace)
            && pods.is_some_and(|labels| selector.iter().all(|(name, value)| labels.get(name) == Some(value)))
    };
    only(deployments.iter().filter(is_selected).map(ResourceExt::name_any))
}

/// The Ingress in a namespace that serves the host which a key is, if it is one.
fn unlabelled_ingress(ingresses: &[KubeIngress], namespace: &str, key: &str) -> Option<String> {
    let host = Host::parse(key).ok()?;
    let serves =
        |ingress: &&KubeIngress| ingress.namespace().as_deref() == Some(namespace) && !backends(ingress, &host).is_empty();
    only(ingresses.iter().filter(serves).map(ResourceExt::name_any))
}

/// Whether an Ingress with the key label leads to a Service.
fn is_backend_of_app(ingresses: &[KubeIngress], settings: &Settings, namespace: &str, service: &str) -> bool {
    ingresses.iter().any(|ingress| {
        let hosts = ingress.spec.iter().flat_map(|spec| spec.rules.iter().flatten()).filter_map(|rule| rule.host.as_deref());
        ingress.namespace().as_deref() == Some(namespace)
            && ingress.labels().contains_key(&settings.key_label)
            && hosts
                .filter_map(|host| Host::parse(host).ok())
                .any(|host| backends(ingress, &host).iter().any(|to| to.name == service))
    })
}

fn only(names: impl Iterator<Item = String>) -> Option<String> {
    let mut names = names.collect::<BTreeSet<_>>().into_iter();
    let name = names.next()?;
    names.next().is_none().then_some(name)
}
