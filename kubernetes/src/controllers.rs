//! Ingress and gateway controllers: whether they route visitors of a sleeping app to unidler.

use k8s_openapi::api::networking::v1::IngressClass;
use kube::ResourceExt;

use crate::{
    cache::Cached,
    caches::Caches,
    objects::{Route, RouteKind, gateway_api::GatewayClass},
};

/// The known behaviour of a controller.
struct Controller {
    /// The prefixes of `spec.controller` in its `IngressClass`, or of `spec.controllerName` in its `GatewayClass`.
    names: &'static [&'static str],
    slice: Verdict,
    external_name: Verdict,
}

/// Whether a controller routes the visitors of a sleeping app to unidler, and back.
pub(crate) enum Verdict {
    Works,
    /// With a certain setting, or only in some versions.
    Perhaps(Advice),
    Cannot(Advice),
}

pub(crate) struct Advice {
    pub(crate) why: &'static str,
    pub(crate) fix: &'static str,
}

use Verdict::{Cannot, Perhaps, Works};

const ANOTHER_CONTROLLER: &str = "put an ingress controller in the cluster behind it, and set that controller's class on the apps";
const SLICE_INSTEAD: &str = "wake the app, and idle it again without --handover external-name, which leaves its Service as it is";

/// The known controllers, with the sources of the information. Gateway API controllers reject `ExternalName` Services,
/// so `idle` does not offer them.
const CONTROLLERS: &[Controller] = &[
    Controller {
        // The names that Kubernetes, Azure and others use.
        names: &[
            "k8s.io/ingress-nginx",
            "k8s.io/internal-nginx",
            "webapprouting.kubernetes.azure.com/nginx",
        ],
        slice: Works,
        // According to `backends_with_external_name` in its balancer.lua, on its main branch.
        external_name: Perhaps(Advice {
            why: "Versions in use keep routing visitors to the former ExternalName of a Service until their nginx reloads \
                  (kubernetes/ingress-nginx issues 8308, 8440, 11844). Visitors then wait on the page for an app that is ready.",
            fix: "start unidler with --forward always, which forwards such visitors to the app; or idle without --handover \
                  external-name",
        }),
    },
    Controller {
        names: &["traefik.io/ingress-controller"],
        slice: Works,
        external_name: Perhaps(Advice {
            why: "Traefik refuses Services of type ExternalName unless that is allowed, and answers visitors with 502 for up to two \
                  seconds after an app has woken.",
            fix: "start it with --providers.kubernetesingress.allowexternalnameservices=true, if it is not yet; or idle without \
                  --handover external-name",
        }),
    },
    Controller {
        names: &["projectcontour.io/"],
        slice: Perhaps(Advice {
            why: "Contour before 1.29 reads EndpointSlices only with a feature flag (projectcontour/contour pull request 5745).",
            fix: "add useEndpointSlices=true to featureFlags in its configuration, or update it",
        }),
        external_name: Perhaps(Advice {
            why: "Contour refuses Services of type ExternalName by default (its documentation, External Service Routing).",
            fix: "set enableExternalNameService: true in its configuration, if it is not yet",
        }),
    },
    Controller {
        names: &["nginx.org/ingress-controller"],
        slice: Works,
        external_name: Cannot(Advice {
            why: "F5's NGINX Ingress Controller supports Services of type ExternalName only with NGINX Plus and a resolver.",
            fix: SLICE_INSTEAD,
        }),
    },
    Controller {
        names: &["haproxy.org/ingress-controller"],
        slice: Works,
        external_name: Perhaps(Advice {
            why: "HAProxy Technologies' controller resolves an ExternalName once (haproxytech/kubernetes-ingress issue 100).",
            fix: SLICE_INSTEAD,
        }),
    },
    Controller {
        names: &["cilium.io/"],
        slice: Works,
        external_name: Cannot(Advice {
            why: "Cilium does not support Services of type ExternalName (cilium/cilium issue 24495).",
            fix: SLICE_INSTEAD,
        }),
    },
    Controller {
        names: &["ingress.k8s.aws/alb"],
        slice: Cannot(Advice {
            why: "With target type `ip`, the AWS Load Balancer Controller accepts only pods of the Service's namespace as targets \
                  (kubernetes-sigs/aws-load-balancer-controller issue 4017). With `instance` it needs Services of type NodePort, \
                  which cannot be idled.",
            fix: ANOTHER_CONTROLLER,
        }),
        external_name: Cannot(Advice {
            why: "The AWS Load Balancer Controller has no targets for a Service of type ExternalName and answers 503 \
                  (kubernetes-sigs/aws-load-balancer-controller issue 3505).",
            fix: ANOTHER_CONTROLLER,
        }),
    },
    Controller {
        names: &["azure/application-gateway"],
        slice: Perhaps(Advice {
            why: "It is not known whether the Application Gateway Ingress Controller accepts endpoints that are not pods.",
            fix: "try it with one app; if that fails, put an ingress controller in the cluster behind it",
        }),
        external_name: Cannot(Advice {
            why: "The Application Gateway Ingress Controller does not support Services of type ExternalName \
                  (Azure/application-gateway-kubernetes-ingress issue 87).",
            fix: ANOTHER_CONTROLLER,
        }),
    },
    Controller {
        names: &[GCE],
        slice: Cannot(Advice {
            why: "GKE's ingress routes visitors to pods through network endpoint groups, and drops other endpoints \
                  (kubernetes/ingress-gce pull request 1952).",
            fix: ANOTHER_CONTROLLER,
        }),
        external_name: Cannot(Advice {
            why: "GKE's ingress requires Services of type NodePort or LoadBalancer and refuses ExternalName \
                  (kubernetes/ingress-gce issue 1169).",
            fix: ANOTHER_CONTROLLER,
        }),
    },
    Controller {
        names: &["networking.gke.io/"],
        slice: Cannot(Advice {
            why: "GKE's gateways route visitors to pods through network endpoint groups, and drop other endpoints \
                  (kubernetes/ingress-gce pull request 1952).",
            fix: "put a gateway controller in the cluster behind it, and attach the apps' routes to the Gateway of that controller",
        }),
        external_name: Works,
    },
    Controller {
        names: &["application-networking.k8s.aws/"],
        slice: Cannot(Advice {
            why: "VPC Lattice accepts only pods as targets.",
            fix: "attach the apps' routes to the Gateway of a controller in the cluster",
        }),
        external_name: Works,
    },
    Controller {
        names: &["istio.io/"],
        slice: Perhaps(Advice {
            why: "In ambient mode, Istio before 1.24 ignores endpoints that are not pods (istio/istio issue 53653).",
            fix: "update Istio if it is older than 1.24",
        }),
        external_name: Works,
    },
];

/// The controller of the classes `gce` and `gce-internal`, which exist without an object.
const GCE: &str = "gce";

/// The classes of a cluster, which name its controllers.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    pub(crate) ingress: Vec<IngressClass>,
    pub(crate) gateway: Vec<GatewayClass>,
}

/// A class with its controller.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) controller: String,
}

impl Class {
    /// The verdict on its controller, if known: for an app that is idled by its Service, or by a slice.
    pub(crate) fn verdict(&self, is_external_name: bool) -> Option<&'static Verdict> {
        let mut known = CONTROLLERS.iter();
        let known = known.find(|known| {
            let mut names = known.names.iter();
            names.any(|name| self.controller.starts_with(name))
        })?;
        Some(if is_external_name {
            &known.external_name
        } else {
            &known.slice
        })
    }
}

impl Classes {
    /// The classes that serve a route.
    pub(crate) fn of_route(&self, route: &Cached<Route>, caches: &Caches) -> Vec<Class> {
        match &route.value.kind {
            RouteKind::Ingress { class } => self.of_ingress(class.as_deref()).into_iter().collect(),
            RouteKind::HttpRoute { .. } => {
                let Some(route) = caches.http_routes.named(&route.namespace, &route.name) else {
                    return Vec::new();
                };
                let gateways = caches.gateways_of(&route);
                let classes = gateways.iter().filter_map(|(_, gateway)| {
                    let name = &gateway.value.class;
                    let mut classes = self.gateway.iter();
                    let class = classes.find(|class| class.name_any() == **name)?;
                    Some(Class {
                        kind: "GatewayClass",
                        name: name.to_string(),
                        controller: class.spec.controller_name.clone(),
                    })
                });
                classes.collect()
            }
        }
    }

    /// The class of an Ingress and its controller ([Kubernetes: Ingress class]).
    ///
    /// [Kubernetes: Ingress class]: https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class
    fn of_ingress(&self, class: Option<&str>) -> Option<Class> {
        let is_default = |class: &&IngressClass| {
            class
                .annotations()
                .get("ingressclass.kubernetes.io/is-default-class")
                .is_some_and(|value| value == "true")
        };
        let kind = "IngressClass";
        let mut classes = self.ingress.iter();
        let class = match class {
            Some(name @ (GCE | "gce-internal")) => {
                return Some(Class {
                    kind,
                    name: name.to_owned(),
                    controller: GCE.to_owned(),
                });
            }
            Some(name) => classes.find(|class| class.name_any() == name),
            None => classes.find(is_default),
        }?;
        Some(Class {
            kind,
            name: class.name_any(),
            controller: class.spec.as_ref()?.controller.clone()?,
        })
    }
}
