//! What is idled, as a table or as JSON.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::{
    cache::Cached, found::Found, listing::Listing, objects::Workload, settings::ClusterSettings,
};

/// An app that is idled.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct IdledApp {
    /// Its hosts, as far as an Ingress serves them.
    hosts: Vec<String>,
    namespace: String,
    deployment: String,
    /// Since when, if its annotation tells.
    idled_at: Option<Timestamp>,
    /// How many replicas a wake-up gives back.
    replicas: u32,
    /// How many seconds a wake-up usually takes, if there was one.
    wake_seconds: Option<u64>,
    /// Whether its Service leads to the unidler. If not, no visitor wakes it: `unidler doctor` tells what to do.
    wakes: bool,
}

/// The idled apps, by host.
#[must_use]
pub fn apps(Listing(caches): &Listing, settings: &ClusterSettings) -> Vec<IdledApp> {
    let id =
        |deployment: &Cached<Workload>| (deployment.namespace.clone(), deployment.name.clone());
    let apps = caches.apps();
    let mut apps_of = BTreeMap::<_, Vec<&Found>>::new();
    for found in &apps {
        for workload in &found.workloads {
            apps_of.entry(id(workload)).or_default().push(found);
        }
    }
    let deployments = caches.deployments.all();
    let idled = deployments
        .iter()
        .filter(|deployment| deployment.value.idled);
    let row = |object: &Arc<Cached<Workload>>| {
        let deployment = &object.value;
        let found = apps_of
            .get(&id(object))
            .map(Vec::as_slice)
            .unwrap_or_default();
        let hosts: BTreeSet<&str> = found.iter().flat_map(|found| found.hosts()).collect();
        IdledApp {
            hosts: hosts.into_iter().map(ToOwned::to_owned).collect(),
            namespace: object.namespace.clone(),
            deployment: object.name.clone(),
            idled_at: deployment.idled_at_time(),
            replicas: deployment.replicas_to_restore(settings.max_replicas),
            wake_seconds: deployment.usual().map(|usual| usual.as_secs()),
            wakes: found.iter().any(|found| found.is_here()),
        }
    };
    let mut apps: Vec<_> = idled.map(row).collect();
    apps.sort();
    apps
}

/// A table with aligned columns, or a sentence if there is nothing in it.
#[must_use]
pub fn table(apps: &[IdledApp], now: Timestamp) -> String {
    if apps.is_empty() {
        return "No app is idled.".to_owned();
    }
    let head = ["HOST", "NAMESPACE", "IDLED", "REPLICAS", "WAKES IN"].map(ToOwned::to_owned);
    let rows = apps.iter().map(|app| {
        [
            if app.hosts.is_empty() {
                format!("- ({})", app.deployment)
            } else {
                app.hosts.join(",")
            },
            app.namespace.clone(),
            app.idled_at.map_or_else(
                || "unknown".to_owned(),
                |at| format!("{} ago", age(now.as_second() - at.as_second())),
            ),
            app.replicas.to_string(),
            match app.wake_seconds {
                _ if !app.wakes || app.hosts.is_empty() => "never: see `unidler doctor`".to_owned(),
                Some(seconds) => {
                    format!("about {}", age(i64::try_from(seconds).unwrap_or(i64::MAX)))
                }
                None => "unknown".to_owned(),
            },
        ]
    });
    aligned(&[vec![head], rows.collect()].concat())
}

/// The two largest units of a time in seconds.
fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
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
    use serde_json::{Value, json};

    use super::*;
    use crate::caches::Caches;

    fn parsed<T: serde::de::DeserializeOwned>(json: Value) -> T {
        serde_json::from_value(json).expect("an object")
    }

    fn objects(host: &str, annotations: &Value, external_name: &str) -> Listing {
        let metadata = |labels: Value, annotations: &Value| json!({ "name": "tool", "namespace": "team", "labels": labels, "annotations": annotations });
        let key = json!({ "host": host });
        let backend = json!({ "service": { "name": "tool", "port": { "name": "http" } } });
        let rules = json!([{ "host": host, "http": { "paths": [{ "backend": backend }] } }]);
        Listing(Caches::of(
            vec![parsed(
                json!({ "metadata": metadata(key.clone(), &json!({})), "spec": { "rules": rules } }),
            )],
            vec![parsed(json!({
                "metadata": metadata(json!({ "host": host, "mojanalytics.xyz/idled": "true" }), annotations),
                "spec": { "replicas": 0, "selector": {}, "template": {} },
            }))],
            vec![parsed(json!({
                "metadata": metadata(key, &json!({})),
                "spec": { "type": "ExternalName", "externalName": external_name },
            }))],
            &ClusterSettings::of_tests(),
        ))
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
                "hosts": ["tool.example"], "namespace": "team", "deployment": "tool", "idled_at": "2026-01-01T00:00:00Z",
                "replicas": 2, "wake_seconds": 40, "wakes": true,
            }])
        );
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

    #[test]
    fn nothing_idled_is_a_sentence() {
        assert_eq!(
            table(
                &apps(
                    &Listing(Caches::of(
                        vec![],
                        vec![],
                        vec![],
                        &ClusterSettings::of_tests()
                    )),
                    &ClusterSettings::of_tests()
                ),
                Timestamp::UNIX_EPOCH
            ),
            "No app is idled."
        );
    }

    #[test]
    fn times_are_told_in_units_that_fit() {
        for (seconds, told) in [
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_700, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(age(seconds), told);
        }
    }
}
