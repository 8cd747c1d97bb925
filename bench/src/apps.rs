//! Apps as they are in a cluster: with all that the API server and its controllers add, since that is what is sent.

use serde_json::{Value, json};

/// The objects of one app.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) namespace: String,
    pub(crate) ingress: Value,
    pub(crate) deployment: Value,
    pub(crate) service: Value,
    /// unidler's slice, if it sleeps.
    pub(crate) slice: Option<Value>,
}

/// The address of unidler's own Service.
const OURS: &str = "10.0.0.1";

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

/// unidler's own Service.
pub(crate) fn own_service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "unidler", "namespace": "unidler", "uid": "own", "resourceVersion": "1" },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": OURS,
            "clusterIPs": [OURS],
            "ipFamilies": ["IPv4"],
            "selector": { "app.kubernetes.io/name": "unidler" },
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": "http" }],
        },
    })
}

/// An app that unidler has put to sleep.
pub(crate) fn idled(number: usize) -> App {
    let mut app = awake(number);
    let name = name(number);
    app.deployment["spec"]["replicas"] = json!(0);
    let taken = json!({
        "manager": "unidler",
        "operation": "Apply",
        "apiVersion": "apps/v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": { "f:spec": { "f:replicas": {} } },
        "subresource": "scale",
    });
    if let Some(fields) = app.deployment["metadata"]["managedFields"].as_array_mut() {
        fields.push(taken);
    }
    let record = json!({
        "v": 1,
        "workloads": [{
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": name,
            "uid": app.deployment["metadata"]["uid"],
            "replicas": 2,
            "generation": 11,
        }],
        "phase": "idling",
        "since": "2026-01-01T00:00:00Z",
        "by": "idle-after",
    });
    let annotations =
        json!({ "unidler/record": record.to_string(), "unidler/wake-seconds": "41,38,44" });
    let labels = json!({ "endpointslice.kubernetes.io/managed-by": "unidler", "kubernetes.io/service-name": name });
    let mut metadata = metadata(number, "endpointslice", &labels, &annotations);
    metadata["name"] = json!(format!("{name}{OF_UNIDLER}"));
    app.slice = Some(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [OURS], "conditions": { "ready": true, "serving": true, "terminating": false } }],
        "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }],
    }));
    app
}

/// What the name of a slice of unidler's adds to that of its Service.
pub(crate) const OF_UNIDLER: &str = "-unidler";

/// An app that is awake.
pub(crate) fn awake(number: usize) -> App {
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
                "type": "ClusterIP",
                "clusterIP": "10.0.0.2",
                "clusterIPs": ["10.0.0.2"],
                "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "selector": { "app": name },
                "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": "http" }],
                "sessionAffinity": "None",
            },
            "status": { "loadBalancer": {} },
        }),
        slice: None,
    }
}

/// A pod of an app that is up.
pub(crate) fn pod(number: usize) -> Value {
    let name = name(number);
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];
    let conditions = conditions.map(|kind| json!({ "type": kind, "status": "True" }));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(number),
            "namespace": namespace(number),
            "uid": POD,
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "app": name, "pod-template-hash": "6d4cf56db6" },
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": format!("{name}-6d4cf56db6"),
                "uid": "replicas",
                "controller": true,
            }],
        },
        "spec": { "containers": [{ "name": "app" }], "nodeName": "node" },
        "status": {
            "phase": "Running",
            "podIP": POD_ADDRESS,
            "containerStatuses": [{ "name": "app", "ready": true, "started": true, "restartCount": 0, "image": "", "imageID": "", "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } } }],
            "conditions": conditions,
        },
    })
}

/// What the cluster says of that pod as an endpoint.
pub(crate) fn endpoints(number: usize) -> Value {
    let labels = json!({
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": name(number),
    });
    let pod = json!({ "kind": "Pod", "name": pod_name(number), "namespace": namespace(number), "uid": POD });
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": { "name": format!("{}-x7k2p", name(number)), "namespace": namespace(number), "uid": "endpoints", "resourceVersion": "1", "labels": labels },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [POD_ADDRESS], "conditions": { "ready": true }, "targetRef": pod }],
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
    })
}

const POD: &str = "pod";
const POD_ADDRESS: &str = "10.1.0.1";

fn pod_name(number: usize) -> String {
    format!("{}-6d4cf56db6-b2x4c", name(number))
}

/// The Namespace of some apps.
pub(crate) fn home(name: &str) -> String {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "resourceVersion": "1" } }).to_string()
}

fn deployment(number: usize) -> Value {
    let name = name(number);
    let annotations = json!({ "deployment.kubernetes.io/revision": "12" });
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
        "metadata": metadata(number, "deployment", &json!({}), &annotations),
        "spec": {
            "replicas": 2,
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

/// What every object has.
fn metadata(number: usize, kind: &str, labels: &Value, annotations: &Value) -> Value {
    let name = name(number);
    let mut all_labels = json!({
        "app": name,
        "app.kubernetes.io/managed-by": "Helm",
        "helm.sh/chart": "tool-2.14.0",
    });
    merge(&mut all_labels, labels);
    let mut all_annotations = json!({ "meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace(number) });
    merge(&mut all_annotations, annotations);
    let managed_fields = ["helm", "kube-controller-manager", "kubectl"]
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
