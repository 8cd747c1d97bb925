//! Ingress controllers.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::IngressClass;
use kube::ResourceExt;

use super::{
    finding::{Finding, Severity},
    snapshot::Snapshot,
};
use crate::{found::Found, objects::RouteKind};

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
        mend: "start unidler with --forward always, which forwards such visitors to the app; or use a build with \
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
pub(crate) fn findings(Snapshot { classes, .. }: &Snapshot, apps: &[Found]) -> Vec<Finding> {
    let used: BTreeSet<(String, String)> = apps
        .iter()
        .flat_map(|app| &app.routes)
        .filter_map(|route| class_of(&route.value.kind, classes))
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
fn class_of(kind: &RouteKind, classes: &[IngressClass]) -> Option<(String, String)> {
    let RouteKind::Ingress { class } = kind else {
        return None;
    };
    let is_default = |class: &&IngressClass| {
        class
            .annotations()
            .get("ingressclass.kubernetes.io/is-default-class")
            .is_some_and(|value| value == "true")
    };
    let class = match class.as_deref() {
        Some(name @ (GCE | "gce-internal")) => return Some((name.to_owned(), GCE.to_owned())),
        Some(name) => classes.iter().find(|class| class.name_any() == name),
        None => classes.iter().find(is_default),
    }?;
    Some((class.name_any(), class.spec.as_ref()?.controller.clone()?))
}
