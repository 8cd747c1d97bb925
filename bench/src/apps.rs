//! Apps as they are in a cluster: with all that the API server and its controllers add, since that is what is sent.

use serde_json::{Value, json};

/// The objects of one app.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) namespace: String,
    pub(crate) ingress: Value,
    pub(crate) deployment: Value,
    pub(crate) service: Value,
}

/// The name of an app.
pub(crate) fn name(number: usize) -> String {
    format!("tool-{number:05}")
}

/// The host of an app.
pub(crate) fn host(number: usize) -> String {
    format!("{}.tools.example.org", name(number))
}

/// The namespace of an app: a hundred of them are in one.
pub(crate) fn namespace(number: usize) -> String {
    format!("team-{:03}", number / 100)
}

/// An idled app.
pub(crate) fn idled(number: usize) -> App {
    let (name, host) = (name(number), host(number));
    let service = json!({ "name": name, "port": { "name": "http" } });
    let rule = json!({
        "host": host,
        "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": { "service": service } }] },
    });
    App {
        namespace: namespace(number),
        ingress: json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": metadata(number, "ingress", &json!({}), &json!({
                "cert-manager.io/cluster-issuer": "letsencrypt",
                "nginx.ingress.kubernetes.io/auth-signin": "https://login.example.org/start?rd=$scheme://$host$request_uri",
                "nginx.ingress.kubernetes.io/auth-url": "https://login.example.org/oauth2/auth",
                "nginx.ingress.kubernetes.io/proxy-body-size": "100m",
                "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
            })),
            "spec": {
                "ingressClassName": "nginx",
                "rules": [rule],
                "tls": [{ "hosts": [host], "secretName": format!("{name}-tls") }],
            },
            "status": { "loadBalancer": { "ingress": [{ "hostname": "lb-0123456789abcdef.eu-west-1.elb.example.org" }] } },
        }),
        deployment: deployment(number),
        service: json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(number, "service", &json!({}), &json!({})),
            "spec": {
                "type": "ExternalName",
                "externalName": format!("unidler.{}.svc.cluster.local", namespace(number)),
                "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": 80 }],
                "sessionAffinity": "None",
            },
            "status": { "loadBalancer": {} },
        }),
    }
}

/// An app that is awake.
pub(crate) fn awake(number: usize) -> App {
    let mut app = idled(number);
    let marks =
        ["idled-at", "replicas-when-unidled"].map(|mark| format!("mojanalytics.xyz/{mark}"));
    let metadata = &mut app.deployment["metadata"];
    for (map, mark) in [
        ("labels", "mojanalytics.xyz/idled"),
        ("annotations", &marks[0]),
        ("annotations", &marks[1]),
    ] {
        if let Some(map) = metadata[map].as_object_mut() {
            map.remove(mark);
        }
    }
    app.deployment["spec"]["replicas"] = json!(2);
    app.service["spec"] = json!({
        "type": "ClusterIP",
        "clusterIP": "10.0.0.1",
        "selector": { "app": name(number) },
        "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": "http" }],
    });
    app
}

/// The Namespace of some apps.
pub(crate) fn home(name: &str) -> String {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "resourceVersion": "1" } }).to_string()
}

fn deployment(number: usize) -> Value {
    let name = name(number);
    let labels = json!({ "mojanalytics.xyz/idled": "true" });
    let annotations = json!({
        "deployment.kubernetes.io/revision": "12",
        "mojanalytics.xyz/idled-at": "2026-01-01T00:00:00Z",
        "mojanalytics.xyz/replicas-when-unidled": "2",
        "mojanalytics.xyz/wake-seconds": "41,38,44",
    });
    let variable = |key: &str| json!({ "name": key, "valueFrom": { "secretKeyRef": { "name": "tool-settings", "key": key } } });
    let probe = |path: &str| {
        json!({
            "httpGet": { "path": path, "port": "http", "scheme": "HTTP" },
            "failureThreshold": 3,
            "periodSeconds": 10,
            "successThreshold": 1,
            "timeoutSeconds": 2,
        })
    };
    let variables = [
        "DATABASE_URL",
        "COOKIE_SECRET",
        "CLIENT_ID",
        "CLIENT_SECRET",
        "BUCKET",
        "SENTRY_DSN",
        "LOG_LEVEL",
        "TZ",
    ]
    .map(variable);
    let container = json!({
        "name": "app",
        "image": format!("registry.example.org/tools/{name}@sha256:{:064x}", number),
        "imagePullPolicy": "IfNotPresent",
        "env": variables,
        "ports": [{ "name": "http", "containerPort": 8080, "protocol": "TCP" }],
        "livenessProbe": probe("/healthz"),
        "readinessProbe": probe("/readyz"),
        "resources": { "limits": { "cpu": "1", "memory": "2Gi" }, "requests": { "cpu": "50m", "memory": "256Mi" } },
        "securityContext": { "allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": { "drop": ["ALL"] } },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }, { "name": "tmp", "mountPath": "/tmp" }],
    });
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "lastUpdateTime": "2026-01-01T00:00:00Z",
        })
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(number, "deployment", &labels, &annotations),
        "spec": {
            "replicas": 0,
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            "selector": { "matchLabels": { "app": name } },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
            "template": {
                "metadata": {
                    "labels": { "app": name, "app.kubernetes.io/managed-by": "Helm" },
                    "annotations": { "checksum/config": format!("{number:064x}") },
                },
                "spec": {
                    "containers": [container],
                    "dnsPolicy": "ClusterFirst",
                    "restartPolicy": "Always",
                    "schedulerName": "default-scheduler",
                    "securityContext": { "fsGroup": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
                    "serviceAccountName": name,
                    "terminationGracePeriodSeconds": 30,
                    "volumes": [
                        { "name": "data", "persistentVolumeClaim": { "claimName": name } },
                        { "name": "tmp", "emptyDir": {} },
                    ],
                },
            },
        },
        "status": {
            "observedGeneration": 12,
            "conditions": [
                condition("Progressing", "NewReplicaSetAvailable", &format!("ReplicaSet \"{name}-6d4cf56db6\" has progressed.")),
                condition("Available", "MinimumReplicasAvailable", "Deployment has minimum availability."),
            ],
        },
    })
}

/// What every object has. The label `host` is the app's key.
fn metadata(number: usize, kind: &str, labels: &Value, annotations: &Value) -> Value {
    let name = name(number);
    let mut all_labels = json!({
        "app": name,
        "app.kubernetes.io/managed-by": "Helm",
        "helm.sh/chart": "tool-2.14.0",
        "host": host(number),
    });
    merge(&mut all_labels, labels);
    let mut all_annotations = json!({ "meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace(number) });
    merge(&mut all_annotations, annotations);
    let managed_fields = ["helm", "kube-controller-manager", "idler"]
        .map(|manager| managed(manager, &all_labels, &all_annotations));
    let digit = kind.len();
    json!({
        "name": name,
        "namespace": namespace(number),
        "uid": format!("{number:08x}-0000-4000-8000-{digit:012x}"),
        "resourceVersion": (number + 1).to_string(),
        "generation": 12,
        "creationTimestamp": "2025-01-01T00:00:00Z",
        "managedFields": managed_fields,
        "labels": all_labels,
        "annotations": all_annotations,
    })
}

/// Who has set which field, which is a good part of every object.
fn managed(manager: &str, labels: &Value, annotations: &Value) -> Value {
    let own = |field: &str| (format!("f:{field}"), json!({}));
    let fields = |map: &Value| {
        map.as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| own(key))
            .collect::<Value>()
    };
    let spec = [
        "replicas",
        "selector",
        "strategy",
        "template",
        "ports",
        "type",
        "externalName",
        "rules",
        "tls",
        "ingressClassName",
    ];
    let spec: Value = spec.map(own).into_iter().collect();
    json!({
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": { "f:labels": fields(labels), "f:annotations": fields(annotations) },
            "f:spec": spec,
        },
    })
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.clone());
    }
}
