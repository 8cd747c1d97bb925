//! The checks of the fuzz targets, for code that is private to this crate.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    objects::{self, OwnService, Route, Scalable, Service, ServiceWhenUnidled, Workload},
    pods,
};

/// The parts of an app's objects that people and programs can write.
#[derive(Arbitrary, Debug)]
struct Written<'a> {
    idled: Option<&'a str>,
    idled_at: Option<&'a str>,
    replicas_when_unidled: Option<&'a str>,
    wake_seconds: Option<&'a str>,
    service_when_unidled: Option<&'a str>,
    external_name: Option<&'a str>,
    app_label: Option<&'a str>,
    pod_app_label: Option<&'a str>,
    selector: Vec<(&'a str, &'a str)>,
    ports: Vec<(Option<&'a str>, Option<&'a str>, i32)>,
    generation: i64,
    observed_generation: Option<i64>,
    replicas: Option<i32>,
    available: Option<i32>,
    max_replicas: u32,
    took: Duration,
}

impl Written<'_> {
    fn deployment(&self) -> Value {
        let port = |&(name, protocol, port)| json!({ "name": name, "protocol": protocol, "containerPort": port });
        let ports: Value = self.ports.iter().map(port).collect();
        let selector: Value = self
            .selector
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect();
        json!({
            "metadata": {
                "generation": self.generation,
                "labels": labelled(&[(objects::IDLED, self.idled)]),
                "annotations": labelled(&[
                    (objects::IDLED_AT, self.idled_at),
                    (objects::REPLICAS_WHEN_UNIDLED, self.replicas_when_unidled),
                    (objects::WAKE_SECONDS, self.wake_seconds),
                ]),
            },
            "spec": {
                "replicas": self.replicas,
                "selector": { "matchLabels": selector },
                "template": {
                    "metadata": { "labels": labelled(&[("app", self.pod_app_label)]) },
                    "spec": { "containers": [{ "name": "c", "ports": ports }] },
                },
            },
            "status": { "observedGeneration": self.observed_generation, "readyReplicas": self.available },
        })
    }

    fn service(&self) -> Value {
        json!({
            "metadata": {
                "labels": labelled(&[("app", self.app_label)]),
                "annotations": labelled(&[(objects::SERVICE_WHEN_UNIDLED, self.service_when_unidled)]),
            },
            "spec": { "type": "ExternalName", "externalName": self.external_name },
        })
    }
}

fn labelled(pairs: &[(&str, Option<&str>)]) -> Value {
    pairs
        .iter()
        .filter_map(|(key, value)| Some(((*key).to_owned(), json!((*value)?))))
        .collect()
}

fn check(deployment: &Workload, service: &Service, max_replicas: u32, took: Duration) {
    let max = max_replicas.max(1);
    assert!(
        (1..=max).contains(&deployment.replicas_to_restore(max)),
        "an app gets some replicas, and not too many"
    );
    assert!(
        deployment
            .wake_seconds
            .usual()
            .is_none_or(|usual| (1..=3600).contains(&usual.as_secs())),
        "a usual time can be shown"
    );
    let remembered = deployment.wake_seconds.with(took);
    assert!(
        remembered.len() <= "3600,3600,3600,3600,3600".len(),
        "what is remembered does not grow: {remembered}"
    );
    assert!(remembered.split(',').all(|seconds| {
        seconds
            .parse()
            .is_ok_and(|seconds: u64| (1..=3600).contains(&seconds))
    }));
    assert_eq!(deployment.version(), deployment.version());
    deployment.trouble(Timestamp::MAX);

    if let Ok(restored) = service.when_unidled(deployment) {
        assert!(
            !restored.selector.is_empty(),
            "a Service never gets a selector that selects nothing"
        );
        let json = serde_json::to_string(&restored).expect("it can be sent");
        assert_eq!(
            serde_json::from_str::<ServiceWhenUnidled>(&json).expect("it can be read"),
            restored
        );
    }
}

fn own() -> OwnService {
    OwnService {
        name: "unidler".into(),
        domain: "cluster.local".into(),
    }
}

/// Checks that unidler copes with any content of an app's objects.
///
/// # Panics
///
/// If it does not.
pub fn annotations(data: &[u8]) {
    // As JSON text, which may have unexpected fields.
    if let Ok(deployment) = serde_json::from_slice(data) {
        check(
            &Workload::parse(deployment, "unidler"),
            &Service::parse(Default::default(), &own()),
            10,
            Duration::ZERO,
        );
    }
    if let Ok(custom) = serde_json::from_slice(data) {
        check(
            &Workload::parse_custom(custom, &Scalable::rollouts(), None),
            &Service::parse(Default::default(), &own()),
            10,
            Duration::ZERO,
        );
    }
    if let Ok(service) = serde_json::from_slice(data) {
        check(
            &Workload::parse(Default::default(), "unidler"),
            &Service::parse(service, &own()),
            10,
            Duration::ZERO,
        );
    }
    if let Ok(ingress) = serde_json::from_slice(data) {
        Route::of_ingress(ingress);
    }
    if let Ok(pod) = serde_json::from_slice(data) {
        pods::read([&pod], Timestamp::UNIX_EPOCH);
    }
    // As values of the fields that unidler reads.
    if let Ok(written) = Written::arbitrary(&mut Unstructured::new(data)) {
        let deployment = serde_json::from_value(written.deployment()).expect("a Deployment");
        let service = serde_json::from_value(written.service()).expect("a Service");
        check(
            &Workload::parse(deployment, "unidler"),
            &Service::parse(service, &own()),
            written.max_replicas,
            written.took,
        );
    }
}
