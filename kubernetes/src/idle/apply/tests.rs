use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use json_patch::AddOperation;
use kube::{Client, client::Body};
use serde_json::Value;
use tower::service_fn;
use unidler::host::Host;

use super::*;

/// What the API server answers to each request in its turn: the request, the status, the object.
type Answers = &'static [(&'static str, u16, fn() -> Value)];

const SWITCH: &str = "PATCH services";
const SCALE: &str = "PATCH deployments";
const READ_SERVICE: &str = "GET services";
const READ_DEPLOYMENT: &str = "GET deployments";

fn switched() -> Value {
    let spec =
        json!({ "type": "ExternalName", "externalName": "unidler.unidler.svc.cluster.local" });
    json!({ "metadata": { "name": "tool", "uid": "s1", "resourceVersion": "10" }, "spec": spec })
}

fn pointed_back() -> Value {
    json!({ "metadata": { "name": "tool", "uid": "s1", "resourceVersion": "11" }, "spec": { "type": "ClusterIP" } })
}

fn scaled() -> Value {
    let metadata = json!({
        "name": "tool", "uid": "d1", "generation": 8, "labels": { "mojanalytics.xyz/idled": "true" },
        "annotations": { IDLED_AT: "2026-01-01T00:00:00Z", "mojanalytics.xyz/replicas-when-unidled": "2" },
    });
    json!({ "metadata": metadata, "spec": { "replicas": 0, "selector": {}, "template": {} } })
}

fn running() -> Value {
    json!({ "metadata": { "name": "tool", "uid": "d1" }, "spec": { "replicas": 2, "selector": {}, "template": {} } })
}

fn trouble() -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "told by the API server" })
}

/// Carries a plan out against an API server that answers like this; gives the result, and the bodies of the requests.
async fn carried_out(answers: Answers) -> (Result<(), String>, Vec<Value>) {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let left: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(answers.iter().collect()));
    let (noted, coming) = (Arc::clone(&bodies), Arc::clone(&left));
    let server = service_fn(move |request: Request<Body>| {
        let (noted, coming) = (Arc::clone(&noted), Arc::clone(&coming));
        async move {
            let kind = if request.uri().path().contains("/services/") {
                "services"
            } else {
                "deployments"
            };
            let asked = format!("{} {kind}", request.method());
            let body = request.into_body().collect_bytes().await?;
            noted
                .lock()
                .expect("a lock")
                .push(serde_json::from_slice(&body).unwrap_or_default());
            let (expected, status, answer) = coming
                .lock()
                .expect("a lock")
                .pop_front()
                .expect("no more requests");
            assert_eq!(asked, *expected);
            let mut answer = answer();
            if *status >= 400 {
                answer["code"] = json!(status);
            }
            Ok::<_, kube::Error>(
                Response::builder()
                    .status(*status)
                    .body(Body::from(answer.to_string().into_bytes()))
                    .expect("an answer"),
            )
        }
    });
    let plan = Plan {
        host: Host::parse("tool.example").expect("a host"),
        namespace: "team".into(),
        service: "tool".into(),
        divert: json!({ "spec": { "type": "ExternalName" } }),
        kept: serde_json::from_value(json!({ "selector": { "app": "tool" }, "ports": [] }))
            .expect("a spec"),
        deployment: "tool".into(),
        scale: JsonPatch(vec![PatchOperation::Add(AddOperation {
            path: pointer(["spec", "replicas"]),
            value: json!(0),
        })]),
        replicas: 2,
        idled_at: "2026-01-01T00:00:00Z".into(),
    };
    let settings = ClusterSettings::of_tests();
    let api = ApiServer {
        client: Client::new(server, "default"),
        in_cluster: false,
    };
    let result = api
        .idle(&plan, &settings)
        .await
        .map_err(|error| format!("{error:#}"));
    assert!(
        left.lock().expect("a lock").is_empty(),
        "not asked: {left:?}"
    );
    let bodies = bodies.lock().expect("a lock").clone();
    (result, bodies)
}

#[tokio::test]
async fn an_app_is_idled_by_two_writes() {
    let (result, _) = carried_out(&[
        (SWITCH, 200, switched),
        (SCALE, 200, scaled),
        (READ_SERVICE, 200, switched),
    ])
    .await;
    assert_eq!(result, Ok(()));
}

#[tokio::test]
async fn where_the_service_has_changed_nothing_is_written() {
    let (result, _) = carried_out(&[(SWITCH, 409, trouble)]).await;
    let error = result.expect_err("a conflict");
    assert_eq!(
        error,
        "cannot switch Service team/tool; nothing was written: it has changed meanwhile: try again"
    );
}

#[tokio::test]
async fn where_the_deployment_is_not_scaled_the_service_is_switched_back() {
    let refused: Answers = &[
        (SWITCH, 200, switched),
        (SCALE, 403, trouble),
        (SWITCH, 200, pointed_back),
    ];
    let failed: Answers = &[
        (SWITCH, 200, switched),
        (SCALE, 500, trouble),
        (READ_DEPLOYMENT, 200, running),
        (SWITCH, 200, pointed_back),
    ];
    for answers in [refused, failed] {
        let (result, bodies) = carried_out(answers).await;
        let error = result.expect_err("it was not scaled");
        assert_eq!(
            error,
            "the app is as it was: cannot scale Deployment team/tool: told by the API server"
        );
        let back = bodies.last().expect("a request");
        assert_eq!(
            back["metadata"]["resourceVersion"], "10",
            "on the condition of our own write"
        );
        assert_eq!(
            back["spec"],
            json!({ "type": "ClusterIP", "externalName": null, "selector": { "app": "tool" }, "ports": [] })
        );
    }
}

#[tokio::test]
async fn an_error_after_the_deed_is_none() {
    let (result, _) = carried_out(&[
        (SWITCH, 200, switched),
        (SCALE, 504, trouble),
        (READ_DEPLOYMENT, 200, scaled),
        (READ_SERVICE, 200, switched),
    ])
    .await;
    assert_eq!(result, Ok(()));
}

#[tokio::test]
async fn where_nobody_knows_what_was_done_nothing_more_is() {
    let (result, _) = carried_out(&[
        (SWITCH, 200, switched),
        (SCALE, 504, trouble),
        (READ_DEPLOYMENT, 504, trouble),
    ])
    .await;
    assert!(
        result
            .expect_err("unknown")
            .starts_with("it is unknown whether the app is idled")
    );
}

#[tokio::test]
async fn an_app_that_is_woken_in_between_stays_awake() {
    let (result, bodies) = carried_out(&[
        (SWITCH, 200, switched),
        (SCALE, 200, scaled),
        (READ_SERVICE, 200, pointed_back),
        (SCALE, 200, running),
    ])
    .await;
    assert!(
        result
            .expect_err("a visitor")
            .starts_with("the app was woken meanwhile")
    );
    let undo = bodies.last().and_then(Value::as_array).expect("operations");
    assert!(
        undo.contains(&json!({ "op": "test", "path": "/metadata/generation", "value": 8 })),
        "{undo:?}"
    );
    assert!(
        undo.contains(
            &json!({ "op": "remove", "path": "/metadata/labels/mojanalytics.xyz~1idled" })
        ),
        "{undo:?}"
    );
    assert!(
        undo.contains(&json!({ "op": "replace", "path": "/spec/replicas", "value": 2 })),
        "{undo:?}"
    );
}

#[tokio::test]
async fn who_cannot_switch_back_is_told_how() {
    let (result, _) = carried_out(&[
        (SWITCH, 200, switched),
        (SCALE, 403, trouble),
        (SWITCH, 500, trouble),
    ])
    .await;
    let error = result.expect_err("it was not scaled");
    assert!(
        error.contains("kubectl -n team patch service tool --type merge -p '{\"spec\":"),
        "{error}"
    );
}
