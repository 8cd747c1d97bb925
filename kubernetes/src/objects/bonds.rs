//! The relations of a workload to others, from its annotations: the workloads that it needs, the one whose worker it
//! is, and those that may need it.

use std::{fmt, str::FromStr};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::annotation;

/// The annotation with the workloads that have to be ready before this one: `[NAMESPACE/]KIND/NAME`, separated by
/// commas.
pub(crate) const NEEDS: &str = "unidler/needs";
/// The annotation of a worker without a Service: the workload of its namespace that it sleeps and wakes with, `[KIND/]NAME`.
pub(crate) const OF: &str = "unidler/of";
/// The annotation with the namespaces or workloads that may need this workload from another namespace:
/// `NAMESPACE[/KIND/NAME]`, separated by commas.
pub(crate) const NEEDED_BY: &str = "unidler/needed-by";

/// The maximum number of entries in such a list: each is looked up whenever the app is.
const MAX_ENTRIES: usize = 20;
/// The maximum length of an object's name.
const MAX_NAME: usize = 253;
/// The short names of kinds that kubectl accepts.
const SHORT_NAMES: [(&str, &str); 3] = [
    ("deploy", "deployment"),
    ("sts", "statefulset"),
    ("ro", "rollout"),
];

/// The relations of a workload to others, from its annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bonds {
    /// The workloads that it needs.
    pub(crate) needs: Box<[Need]>,
    /// The workload whose worker it is.
    pub(crate) of: Option<Named>,
    /// The namespaces or workloads that may need it from another namespace.
    pub(crate) needed_by: Box<[User]>,
    /// The parts that cannot be parsed, and why.
    pub(crate) unreadable: Box<[Unreadable]>,
}

/// A workload that another one needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Its namespace, if that is not the namespace of the workload that needs it.
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) workload: Named,
}

/// A workload in a known namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    kind: Option<Kind>,
    pub(crate) name: Box<str>,
}

/// The possible users of a workload: everything in a namespace, or one workload there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    namespace: Box<str>,
    workload: Option<Named>,
}

/// A kind as kubectl takes it, in lower case: `deployment`, `deployments`, `deployments.apps`, `deployments.v1.apps`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind(Box<str>);

/// A part of an annotation that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) annotation: &'static str,
    pub(crate) why: String,
}

impl Bonds {
    /// Parses the annotations; `None` if there are none, as on nearly all workloads.
    pub(crate) fn of(metadata: &ObjectMeta) -> Option<Box<Self>> {
        let mut unreadable = Vec::new();
        let bonds = Self {
            needs: list(metadata, NEEDS, &mut unreadable),
            of: list(metadata, OF, &mut unreadable).into_iter().next(),
            needed_by: list(metadata, NEEDED_BY, &mut unreadable),
            unreadable: Box::default(),
        };
        let bonds = Self {
            unreadable: unreadable.into(),
            ..bonds
        };
        (bonds != Self::default()).then(|| Box::new(bonds))
    }
}

/// Parses a list, without the entries that cannot be parsed.
fn list<T: FromStr<Err = String>>(
    metadata: &ObjectMeta,
    name: &'static str,
    unreadable: &mut Vec<Unreadable>,
) -> Box<[T]> {
    let text = annotation(metadata, name).unwrap_or_default();
    let mut entries = text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    let mut note = |why| {
        unreadable.push(Unreadable {
            annotation: name,
            why,
        });
    };
    let read = |entry: &str| entry.parse().map_err(&mut note).ok();
    let list = entries
        .by_ref()
        .take(MAX_ENTRIES)
        .filter_map(read)
        .collect();
    if entries.next().is_some() {
        note(format!("it has more than {MAX_ENTRIES} entries"));
    }
    list
}

impl FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected KIND/NAME or NAMESPACE/KIND/NAME, not {text:?}");
        let (namespace, workload) = match text.split('/').count() {
            2 => (None, text),
            3 => {
                let (namespace, workload) = text.split_once('/').ok_or_else(wrong)?;
                (Some(name_of(namespace).ok_or_else(wrong)?), workload)
            }
            _ => return Err(wrong()),
        };
        let workload = workload.parse().map_err(|_| wrong())?;
        Ok(Self {
            namespace,
            workload,
        })
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected NAME or KIND/NAME, not {text:?}");
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (Some(kind.to_ascii_lowercase()), name),
            None => (None, text),
        };
        let kind = kind.map(|kind| name_of(&kind).map(Kind).ok_or_else(wrong));
        Ok(Self {
            kind: kind.transpose()?,
            name: name_of(name).ok_or_else(wrong)?,
        })
    }
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected NAMESPACE or NAMESPACE/KIND/NAME, not {text:?}");
        let (namespace, workload) = match text.split_once('/') {
            Some((namespace, workload)) if workload.contains('/') => {
                let workload = workload.parse().map_err(|_| wrong())?;
                (namespace, Some(workload))
            }
            Some(_) => return Err(wrong()),
            None => (text, None),
        };
        Ok(Self {
            namespace: name_of(namespace).ok_or_else(wrong)?,
            workload,
        })
    }
}

/// Validates the name of an object.
fn name_of(text: &str) -> Option<Box<str>> {
    let is_of_names =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let is_name = !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(is_of_names);
    is_name.then(|| text.into())
}

impl Named {
    /// Whether this refers to a workload.
    pub(crate) fn is(&self, kind: &str, plural: &str, group: &str, name: &str) -> bool {
        let mut own = self.kind.iter();
        *self.name == *name && own.all(|own| own.is(kind, plural, group))
    }
}

impl User {
    /// Whether this includes a workload.
    pub(crate) fn is(&self, namespace: &str, is: impl Fn(&Named) -> bool) -> bool {
        *self.namespace == *namespace && self.workload.as_ref().is_none_or(is)
    }
}

impl Kind {
    fn is(&self, kind: &str, plural: &str, group: &str) -> bool {
        let (resource, rest) = match self.0.split_once('.') {
            Some((resource, rest)) => (resource, Some(rest)),
            None => (&*self.0, None),
        };
        let mut short = SHORT_NAMES.iter();
        let resource = short
            .find(|(short, _)| *short == resource)
            .map_or(resource, |(_, long)| long);
        let is_group = |rest: &str| {
            let version = rest.strip_suffix(group).map(|rest| rest.strip_suffix('.'));
            rest == group || matches!(version, Some(Some(version)) if !version.contains('.'))
        };
        (resource == plural || *resource == *kind.to_ascii_lowercase()) && rest.is_none_or(is_group)
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.workload),
            None => self.workload.fmt(f),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Some(Kind(kind)) => write!(f, "{kind}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bonds(annotations: &[(&str, &str)]) -> Bonds {
        let annotations = annotations.iter().copied();
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let metadata = ObjectMeta {
            annotations: Some(annotations.collect()),
            ..ObjectMeta::default()
        };
        Bonds::of(&metadata).map(|bonds| *bonds).unwrap_or_default()
    }

    #[test]
    fn a_workload_is_named_as_kubectl_takes_it() {
        for (text, is_deployment) in [
            ("deployment/db", true),
            ("Deployments/db", true),
            ("deploy/db", true),
            ("deployment.apps/db", true),
            ("DEPLOYMENTS.v1.apps/db", true),
            ("deployments.v1.example.apps/db", false),
            ("deployments.example.com/db", false),
            ("deployments.myapps/db", false),
            ("statefulset/db", false),
            ("deployment/other", false),
        ] {
            let need: Need = text.parse().expect("a need");
            let is = need.workload.is("Deployment", "deployments", "apps", "db");
            assert_eq!(is, is_deployment, "{text}");
        }
        for (text, kind) in [
            ("sts/db", "StatefulSet"),
            ("statefulsets/db", "StatefulSet"),
        ] {
            let need: Need = text.parse().expect("a need");
            assert!(need.workload.is(kind, "statefulsets", "apps", "db"));
        }
    }

    #[test]
    fn a_list_is_read_as_far_as_it_can_be() {
        let bonds = bonds(&[
            (
                NEEDS,
                " statefulset/db,shared/deployment/redis ,, db, a/b/c/d, deployment/, Shared/deployment/x",
            ),
            (OF, "deployment/web"),
            (NEEDED_BY, "team, other/deployment/web, team/web"),
        ]);
        let needs: Vec<_> = bonds.needs.iter().map(ToString::to_string).collect();
        assert_eq!(needs, ["statefulset/db", "shared/deployment/redis"]);
        assert_eq!(
            bonds.of.map(|of| of.to_string()).as_deref(),
            Some("deployment/web")
        );
        let unreadable = bonds.unreadable.iter().map(|each| each.annotation);
        assert_eq!(
            unreadable.collect::<Vec<_>>(),
            [NEEDS, NEEDS, NEEDS, NEEDS, NEEDED_BY]
        );
        assert!(bonds.unreadable[0].why.contains("\"db\""));

        let is_web = |named: &Named| named.is("Deployment", "deployments", "apps", "web");
        let may_need = |namespace: &str, is: &dyn Fn(&Named) -> bool| {
            bonds.needed_by.iter().any(|user| user.is(namespace, is))
        };
        assert!(may_need("team", &|_| false), "everything there");
        assert!(may_need("other", &is_web));
        assert!(!may_need("other", &|_| false));
        assert!(!may_need("third", &is_web));
    }

    #[test]
    fn long_lists_are_cut_and_most_workloads_say_nothing() {
        let long = vec!["deployment/x"; MAX_ENTRIES + 1].join(",");
        let bonds = bonds(&[(NEEDS, &long)]);
        assert_eq!(
            (bonds.needs.len(), bonds.unreadable.len()),
            (MAX_ENTRIES, 1)
        );
        assert_eq!(Bonds::of(&ObjectMeta::default()), None);
    }
}
