//! Lists the idled apps, as a table or as JSON.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use unidler::sleep::age::Age;

use crate::{
    cache::Cached,
    caches::Caches,
    found::Found,
    listing::Listing,
    objects::{PodRequests, Workload},
    settings::ClusterSettings,
};

/// The placeholder for an unknown value.
const UNKNOWN: &str = "unknown";

/// An app that is idled.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct IdledApp {
    /// Its hosts, as far as a route serves them.
    hosts: Vec<String>,
    namespace: String,
    form: Form,
    /// Since when, if that is recorded.
    since: Option<Timestamp>,
    /// What put it to sleep, if that is recorded: `cli`, `idle-after`, `schedule` or `repair`.
    by: Option<String>,
    /// The workloads whose replicas a wake-up restores.
    workloads: Vec<IdledWorkload>,
    /// How many seconds a wake-up usually takes, if there was one.
    wake_seconds: Option<u64>,
    /// Whether visitors are routed to unidler. If not, none of them wakes it, and `unidler doctor` says what to do.
    wakes: bool,
}

/// How the visitors of an idled app are routed to unidler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    /// With an `EndpointSlice` of unidler's own.
    Slice,
    /// With a Service that is an `ExternalName`.
    ExternalName,
}

/// A workload without replicas.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct IdledWorkload {
    kind: String,
    name: String,
    /// How many replicas a wake-up restores.
    replicas: u32,
}

/// The idled apps, by host.
#[must_use]
pub fn apps(Listing(caches): &Listing, settings: &ClusterSettings) -> Vec<IdledApp> {
    idled(caches, &caches.apps(), settings)
}

/// The state of sleeping apps at a given time.
#[derive(Debug)]
pub(crate) struct Asleep {
    /// The number of apps, by their form and by what put them to sleep: `unknown` if that is not recorded.
    pub(crate) apps: BTreeMap<(&'static str, String), u32>,
    /// The resources that their pods would request.
    pub(crate) requests: PodRequests,
}

impl Asleep {
    pub(crate) fn of(caches: &Caches, settings: &ClusterSettings) -> Self {
        let found = caches.apps();
        let mut apps = BTreeMap::new();
        for app in idled(caches, &found, settings) {
            let form = match app.form {
                Form::Slice => "slice",
                Form::ExternalName => "external-name",
            };
            let by = app.by.unwrap_or_else(|| UNKNOWN.to_owned());
            *apps.entry((form, by)).or_default() += 1;
        }
        Self {
            apps,
            requests: requests(caches, &found, settings),
        }
    }
}

/// Two apps may need the same workload.
fn requests(caches: &Caches, apps: &[Found], settings: &ClusterSettings) -> PodRequests {
    let max = settings.max_replicas;
    let parts = apps.iter().flat_map(|found| {
        let parts = found.parts();
        parts.filter_map(move |part| Some((part, found.replicas_to_restore(part, max)?)))
    });
    let deployments = caches.deployments.all();
    let marked = deployments
        .iter()
        .filter(|deployment| deployment.value.idled)
        .map(|deployment| (deployment, deployment.value.replicas_to_restore(max)));
    let asleep = parts
        .chain(marked)
        .filter(|(part, _)| part.value.replicas == 0)
        .map(|(part, replicas)| (part.id(), part.value.requests * replicas));
    asleep.collect::<BTreeMap<_, _>>().into_values().sum()
}

fn idled(caches: &Caches, apps: &[Found], settings: &ClusterSettings) -> Vec<IdledApp> {
    let mut of_workload = HashMap::<_, Vec<&Found>>::new();
    for found in apps {
        for workload in &found.workloads {
            of_workload.entry(workload.id()).or_default().push(found);
        }
    }
    let mut rows: Vec<_> = caches
        .deployments
        .all()
        .iter()
        .filter(|deployment| deployment.value.idled)
        .map(|deployment| {
            let apps = of_workload.get(&deployment.id());
            by_external_name(deployment, apps.map_or(&[], Vec::as_slice), settings)
        })
        .collect();
    // All Services of one host form one app.
    let mut sliced = BTreeMap::<_, IdledApp>::new();
    for found in apps {
        if let Some(row) = by_slice(found, settings) {
            let app = (row.namespace.clone(), row.hosts.clone());
            match sliced.entry(app) {
                Entry::Vacant(vacant) => drop(vacant.insert(row)),
                Entry::Occupied(mut same) => same.get_mut().join(row),
            }
        }
    }
    rows.extend(sliced.into_values());
    rows.sort();
    rows
}

fn hosts<'a>(apps: impl Iterator<Item = &'a Found>) -> Vec<String> {
    let hosts: BTreeSet<&str> = apps.flat_map(Found::hosts).collect();
    hosts.into_iter().map(ToOwned::to_owned).collect()
}

/// A row for a Deployment in the 2020 form. `apps` are the apps that it is a workload of.
fn by_external_name(
    object: &Cached<Workload>,
    apps: &[&Found],
    settings: &ClusterSettings,
) -> IdledApp {
    let deployment = &object.value;
    IdledApp {
        hosts: hosts(apps.iter().copied()),
        namespace: object.namespace.clone(),
        form: Form::ExternalName,
        since: deployment.idled_at_time(),
        by: None,
        workloads: vec![IdledWorkload {
            kind: deployment.kind.resource.kind.clone(),
            name: object.name.clone(),
            replicas: deployment.replicas_to_restore(settings.max_replicas),
        }],
        wake_seconds: deployment.wake_seconds.usual().map(|usual| usual.as_secs()),
        wakes: apps.iter().any(|found| found.is_here()),
    }
}

/// A row for an app whose visitors are diverted by a slice of unidler's own.
fn by_slice(found: &Found, settings: &ClusterSettings) -> Option<IdledApp> {
    let service = found.services.first()?;
    let slice = &found.diverting(service)?.value;
    let workload = |workload: &Arc<Cached<Workload>>| {
        let replicas = found.replicas_to_restore(workload, settings.max_replicas)?;
        (workload.value.replicas == 0).then(|| IdledWorkload {
            kind: workload.value.kind.resource.kind.clone(),
            name: workload.name.clone(),
            replicas,
        })
    };
    Some(IdledApp {
        hosts: hosts(std::iter::once(found)),
        namespace: service.namespace.clone(),
        form: Form::Slice,
        since: slice.record.as_ref().map(|record| record.since),
        by: slice.record.as_ref().map(|record| record.by.clone()),
        workloads: found.parts().filter_map(workload).collect(),
        wake_seconds: slice.wake_seconds.usual().map(|usual| usual.as_secs()),
        wakes: true,
    })
}

impl IdledApp {
    /// Merges the row of another Service of the same app.
    fn join(&mut self, other: Self) {
        self.since = self.since.min(other.since);
        self.by = self.by.take().or(other.by);
        self.workloads.extend(other.workloads);
        self.workloads.sort();
        self.workloads.dedup();
        self.wake_seconds = self.wake_seconds.max(other.wake_seconds);
    }
}

/// A table with aligned columns, or a sentence if there is nothing in it.
#[must_use]
pub fn table(apps: &[IdledApp], now: Timestamp) -> String {
    if apps.is_empty() {
        return "No app is idled.".to_owned();
    }
    let head = ["HOST", "NAMESPACE", "IDLED", "REPLICAS", "WAKES IN"].map(ToOwned::to_owned);
    let names = |app: &IdledApp| {
        let names = app.workloads.iter().map(|workload| &*workload.name);
        names.collect::<Vec<_>>().join(",")
    };
    let replicas = |app: &IdledApp| {
        let replicas = app.workloads.iter().map(|workload| workload.replicas);
        replicas
            .map(|count| count.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    let rows = apps.iter().map(|app| {
        [
            if app.hosts.is_empty() {
                format!("- ({})", names(app))
            } else {
                app.hosts.join(",")
            },
            app.namespace.clone(),
            app.since.map_or_else(
                || UNKNOWN.to_owned(),
                |at| format!("{} ago", Age::of(at, now)),
            ),
            replicas(app),
            match app.wake_seconds {
                _ if !app.wakes || app.hosts.is_empty() => "never: see `unidler doctor`".to_owned(),
                Some(seconds) => format!("about {}", Age(Duration::from_secs(seconds))),
                None => UNKNOWN.to_owned(),
            },
        ]
    });
    aligned(&[vec![head], rows.collect()].concat())
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::{Value, json};

    use super::*;
    use crate::caches::{Caches, Listed};

    fn parsed<T: serde::de::DeserializeOwned>(json: Value) -> T {
        serde_json::from_value(json).expect("an object")
    }

    fn objects(host: &str, annotations: &Value, external_name: &str) -> Listing {
        let listed = app("team", host, annotations, external_name);
        Listing(Caches::of(listed, &ClusterSettings::of_tests()))
    }

    fn app(namespace: &str, host: &str, annotations: &Value, external_name: &str) -> Listed {
        let metadata = |labels: Value, annotations: &Value| json!({ "name": "tool", "namespace": namespace, "labels": labels, "annotations": annotations });
        let key = json!({ "host": host });
        let backend = json!({ "service": { "name": "tool", "port": { "name": "http" } } });
        let rules = json!([{ "host": host, "http": { "paths": [{ "backend": backend }] } }]);
        Listed {
            ingresses: vec![parsed(
                json!({ "metadata": metadata(key.clone(), &json!({})), "spec": { "rules": rules } }),
            )],
            deployments: vec![parsed(json!({
                "metadata": metadata(json!({ "host": host, "mojanalytics.xyz/idled": "true" }), annotations),
                "spec": { "replicas": 0, "selector": {}, "template": { "spec": { "containers": [
                    { "name": "tool", "resources": { "requests": { "cpu": "250m", "memory": "1Gi" } } },
                ] } } },
            }))],
            services: vec![parsed(json!({
                "metadata": metadata(key, &json!({})),
                "spec": { "type": "ExternalName", "externalName": external_name },
            }))],
            ..Listed::default()
        }
    }

    const UNIDLER: &str = "unidler.unidler.svc.cluster.local";

    #[test]
    fn an_idled_app_is_told_with_all_that_matters() {
        let annotations = json!({
            "mojanalytics.xyz/idled-at": "2026-01-01T00:00:00Z",
            "mojanalytics.xyz/replicas-when-unidled": "2",
            "mojanalytics.xyz/wake-seconds": "30,50,40",
        });
        let apps = apps(
            &objects("tool.example", &annotations, UNIDLER),
            &ClusterSettings::of_tests(),
        );
        assert_eq!(
            json!(apps),
            json!([{
                "hosts": ["tool.example"], "namespace": "team", "form": "external-name", "since": "2026-01-01T00:00:00Z", "by": null,
                "workloads": [{ "kind": "Deployment", "name": "tool", "replicas": 2 }], "wake_seconds": 40, "wakes": true,
            }])
        );
        let Listing(caches) = objects("tool.example", &annotations, UNIDLER);
        let Asleep {
            apps: counts,
            requests,
        } = Asleep::of(&caches, &ClusterSettings::of_tests());
        assert_eq!(counts, [(("external-name", UNKNOWN.to_owned()), 1)].into());
        let of_two_pods = PodRequests {
            millicores: 500,
            bytes: 2 << 30,
        };
        assert_eq!(requests, of_two_pods);
        let now = "2026-01-03T05:00:00Z".parse().expect("a time");
        assert_eq!(
            table(&apps, now),
            "HOST           NAMESPACE   IDLED         REPLICAS   WAKES IN\n\
             tool.example   team        2 d 5 h ago   2          about 40 s"
        );
    }

    #[test]
    fn what_nothing_tells_is_unknown_and_what_no_visitor_wakes_is_said() {
        let unknown = apps(
            &objects(
                "tool.example",
                &json!({ "mojanalytics.xyz/idled-at": "\u{1b}[2J" }),
                UNIDLER,
            ),
            &ClusterSettings::of_tests(),
        );
        assert!(
            table(&unknown, Timestamp::UNIX_EPOCH)
                .ends_with("team        unknown   1          unknown"),
            "{unknown:?}"
        );
        let asleep = apps(
            &objects("tool.example", &json!({}), "elsewhere.example"),
            &ClusterSettings::of_tests(),
        );
        assert!(
            table(&asleep, Timestamp::UNIX_EPOCH).ends_with("never: see `unidler doctor`"),
            "{asleep:?}"
        );
    }

    /// Comparing each app with all the others takes minutes, and the server counts twice a minute.
    #[test]
    fn ten_thousand_idled_apps_are_counted_within_seconds() {
        let mut listed = Listed::default();
        for number in 0..10_000 {
            let [namespace, host] = [format!("team-{number}"), format!("tool-{number}.example")];
            let app = app(&namespace, &host, &json!({}), UNIDLER);
            listed.ingresses.extend(app.ingresses);
            listed.deployments.extend(app.deployments);
            listed.services.extend(app.services);
        }
        let settings = ClusterSettings::of_tests();
        let caches = Caches::of(listed, &settings);
        let begun = Instant::now();
        let Asleep { apps, .. } = Asleep::of(&caches, &settings);
        assert_eq!(
            apps,
            [(("external-name", UNKNOWN.to_owned()), 10_000)].into()
        );
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
    }

    #[test]
    fn nothing_idled_is_a_sentence() {
        assert_eq!(
            table(
                &apps(
                    &Listing(Caches::of(Listed::default(), &ClusterSettings::of_tests())),
                    &ClusterSettings::of_tests()
                ),
                Timestamp::UNIX_EPOCH
            ),
            "No app is idled."
        );
    }
}
