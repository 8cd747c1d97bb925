//! What is around the apps: rights, ingress controllers, and others who write to the same objects.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::IngressClass;
use kube::ResourceExt;

use super::{
    finding::{Finding, Severity},
    snapshot::{Snapshot, Unseen},
};
use crate::{
    cache::{Cached, Kept},
    found::Found,
    objects::{Ingress, Keeper},
};

pub(crate) fn findings(snapshot: &Snapshot, apps: &[Found]) -> Vec<Finding> {
    let mut findings = rights(snapshot);
    findings.extend(controllers(snapshot, apps));
    findings.extend(autoscalers(snapshot, apps));
    findings.extend(owners(apps));
    findings.extend(snapshot.unseen.iter().map(unseen));
    findings
}

/// What the unidler may not do: one finding for each kind of object.
fn rights(
    Snapshot {
        account,
        missing_rights,
        ..
    }: &Snapshot,
) -> Vec<Finding> {
    let who = account.as_ref().map_or_else(
        || "The unidler's ServiceAccount".to_owned(),
        |account| format!("ServiceAccount {}/{}", account.namespace, account.name),
    );
    let mut by_resource = BTreeMap::<_, Vec<_>>::new();
    for right in missing_rights {
        by_resource.entry(right.resource).or_default().push(right);
    }
    let finding = |(resource, rights): (&str, Vec<&crate::rights::Right>)| {
        let verbs: Vec<_> = rights.iter().map(|right| right.verb).collect();
        let why: BTreeSet<_> = rights.iter().map(|right| right.why).collect();
        Finding {
            severity: if rights.iter().all(|right| right.optional) { Severity::Warning } else { Severity::Error },
            check: "permission-missing",
            what: format!("{who} may not {} {resource} in all namespaces", verbs.join(", ")),
            why: why.into_iter().collect::<Vec<_>>().join(" "),
            mend: "kubectl apply -f deploy/rbac.yaml, or say with --service-account as whom the unidler runs".into(),
        }
    };
    by_resource.into_iter().map(finding).collect()
}

/// An ingress controller that does not follow the switch of a Service as it should.
struct Controller {
    /// How `spec.controller` of its class begins.
    name: &'static str,
    severity: Severity,
    why: &'static str,
    mend: &'static str,
}

/// What is known, with where it is said.
const CONTROLLERS: &[Controller] = &[
    Controller {
        name: "k8s.io/ingress-nginx",
        severity: Severity::Warning,
        // `backends_with_external_name` in its balancer.lua, seen in its main branch.
        why: "Versions in use go on sending visitors to an ExternalName that a Service was before, until their nginx reloads \
              (kubernetes/ingress-nginx issues 8308, 8440, 11844). Visitors then wait at the page for an app that is up.",
        mend: "start the unidler with --proxy-late-requests, which passes such visitors on to the app; or use a build with \
               pull request 8430",
    },
    Controller {
        name: "traefik.io/ingress-controller",
        severity: Severity::Warning,
        why: "Traefik refuses Services of type ExternalName unless that is allowed, and visitors of idled apps get an error.",
        mend: "start it with --providers.kubernetesingress.allowexternalnameservices=true, if it is not yet",
    },
    Controller {
        name: "projectcontour.io/",
        severity: Severity::Warning,
        why: "Contour refuses Services of type ExternalName by default (its documentation, External Service Routing).",
        mend: "set enableExternalNameService: true in its configuration, if it is not yet",
    },
    Controller {
        name: "nginx.org/ingress-controller",
        severity: Severity::Warning,
        why: "F5's NGINX Ingress Controller supports Services of type ExternalName only with NGINX Plus and a resolver.",
        mend: "set resolver-addresses in its ConfigMap (NGINX Plus), or use another controller for the apps that are idled",
    },
    Controller {
        name: "ingress.k8s.aws/alb",
        severity: Severity::Error,
        why: "The AWS Load Balancer Controller has no targets for a Service of type ExternalName and answers 503 \
              (kubernetes-sigs/aws-load-balancer-controller issue 3505).",
        mend: "let it lead to an ingress controller in the cluster, and give the apps that one's class",
    },
    Controller {
        name: "azure/application-gateway",
        severity: Severity::Error,
        why: "The Application Gateway Ingress Controller does not support Services of type ExternalName \
              (Azure/application-gateway-kubernetes-ingress issue 87).",
        mend: "let it lead to an ingress controller in the cluster, and give the apps that one's class",
    },
    Controller {
        name: GCE,
        severity: Severity::Error,
        why: "GKE's ingress wants Services of type NodePort or LoadBalancer and refuses ExternalName (kubernetes/ingress-gce \
              issue 1169).",
        mend: "let it lead to an ingress controller in the cluster, and give the apps that one's class",
    },
];

/// Stands for the classes `gce` and `gce-internal`, which exist without an object.
const GCE: &str = "gce";

/// One finding for each class that an app uses and whose controller is known.
fn controllers(Snapshot { classes, .. }: &Snapshot, apps: &[Found]) -> Vec<Finding> {
    let used: BTreeSet<(String, String)> = apps
        .iter()
        .flat_map(|app| &app.routes)
        .filter_map(|route| class_of(&route.value, classes))
        .collect();
    let finding = |(class, controller): (String, String)| {
        let known = CONTROLLERS
            .iter()
            .find(|known| controller.starts_with(known.name))?;
        Some(Finding {
            severity: known.severity,
            check: "ingress-controller",
            what: format!("Apps have the IngressClass {class}, of the controller {controller}"),
            why: known.why.into(),
            mend: known.mend.into(),
        })
    };
    used.into_iter().filter_map(finding).collect()
}

/// The class of an Ingress and its controller ([Kubernetes: Ingress class]).
///
/// [Kubernetes: Ingress class]: https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class
fn class_of(ingress: &Ingress, classes: &[IngressClass]) -> Option<(String, String)> {
    let is_default = |class: &&IngressClass| {
        class
            .annotations()
            .get("ingressclass.kubernetes.io/is-default-class")
            .is_some_and(|value| value == "true")
    };
    let class = match ingress.class.as_deref() {
        Some(name @ (GCE | "gce-internal")) => return Some((name.to_owned(), GCE.to_owned())),
        Some(name) => classes.iter().find(|class| class.name_any() == name),
        None => classes.iter().find(is_default),
    }?;
    Some((class.name_any(), class.spec.as_ref()?.controller.clone()?))
}

/// Autoscalers of apps. An ordinary one pauses while there are 0 replicas ([Kubernetes: implicit maintenance mode]).
///
/// [Kubernetes: implicit maintenance mode]: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#implicit-maintenance-mode-deactivation
fn autoscalers(Snapshot { autoscalers, .. }: &Snapshot, apps: &[Found]) -> Vec<Finding> {
    let workloads: BTreeSet<_> = apps
        .iter()
        .flat_map(|app| &app.workloads)
        .map(|workload| (&*workload.namespace, &*workload.name))
        .collect();
    let finding = |autoscaler: &k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler| {
        let spec = autoscaler.spec.as_ref()?;
        let target = &spec.scale_target_ref;
        let namespace = autoscaler.namespace().unwrap_or_default();
        if target.kind != "Deployment" || !workloads.contains(&(&*namespace, &*target.name)) {
            return None;
        }
        let what = format!(
            "HorizontalPodAutoscaler {namespace}/{} scales Deployment {namespace}/{}, which is an app's",
            autoscaler.name_any(),
            target.name
        );
        let keda = autoscaler.labels().get("scaledobject.keda.sh/name");
        let (severity, why, mend) = if let Some(keda) = keda {
            (
                Severity::Warning,
                "KEDA scales to and from 0 by itself: it may start an idled app that nobody visits, or stop one that is waking.",
                format!(
                    "kubectl -n {namespace} annotate scaledobject {keda} autoscaling.keda.sh/paused-replicas=0 while it is idled"
                ),
            )
        } else if spec.min_replicas == Some(0) {
            (
                Severity::Warning,
                "It may take the app to 0 replicas and back without idling it.",
                format!(
                    "kubectl -n {namespace} patch hpa {} -p '{{\"spec\":{{\"minReplicas\":1}}}}'",
                    autoscaler.name_any()
                ),
            )
        } else {
            (
                Severity::Note,
                "It pauses while the app is idled and goes on from the replicas that are given back.",
                "nothing, if that is what you want".to_owned(),
            )
        };
        Some(Finding {
            severity,
            check: "autoscaler",
            what,
            why: why.into(),
            mend,
        })
    };
    autoscalers.iter().filter_map(finding).collect()
}

/// Who keeps objects of apps as they are in Git.
fn owners(apps: &[Found]) -> Vec<Finding> {
    let workloads = apps.iter().flat_map(|app| &app.workloads);
    let services = apps.iter().flat_map(|app| &app.services);
    let workloads = workloads.filter_map(|workload| {
        let keeper = workload.value.keeper.as_deref();
        owner(workload, keeper, "/spec/replicas")
    });
    let services = services.filter_map(|service| {
        let keeper = service.value.keeper.as_deref();
        owner(service, keeper, "/spec")
    });
    workloads.chain(services).collect()
}

fn owner<T: Kept>(object: &Cached<T>, keeper: Option<&Keeper>, pointer: &str) -> Option<Finding> {
    let (kind, namespace, name) = (T::KIND, &object.namespace, &object.name);
    let (tool, whose, mend) = match keeper? {
        Keeper::ArgoCd(application) => {
            let mend = format!(
                "add {{kind: {kind}, jsonPointers: [{pointer}]}} to spec.ignoreDifferences of Application {application} (with \
                 the group apps for a Deployment), and RespectIgnoreDifferences=true to its syncOptions"
            );
            ("Argo CD", application, mend)
        }
        Keeper::Flux(kustomization) => {
            let kind = kind.to_lowercase();
            let mend = format!(
                "kubectl -n {namespace} annotate {kind} {name} kustomize.toolkit.fluxcd.io/reconcile=disabled"
            );
            ("Flux", kustomization, mend)
        }
    };
    Some(Finding {
        severity: Severity::Warning,
        check: "gitops-owner",
        what: format!("{object} is kept by {tool} ({whose}) as it is in Git"),
        why: "The next synchronization may undo the idling, or idle half of the app again after a wake-up.".into(),
        mend,
    })
}

fn unseen(Unseen { what, error }: &Unseen) -> Finding {
    Finding {
        severity: Severity::Warning,
        check: "not-looked-at",
        what: format!("Could not look at {what}: {error}"),
        why: "Whatever is wrong there is not among these findings.".into(),
        mend: "run this with the rights of an administrator".into(),
    }
}
