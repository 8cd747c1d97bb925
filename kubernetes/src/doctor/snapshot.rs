//! What `doctor` looks at, taken from the cluster at once.

use k8s_openapi::api::{
    autoscaling::v2::HorizontalPodAutoscaler,
    discovery::v1::{Endpoint, EndpointSlice},
    networking::v1::IngressClass,
};
use kube::{ResourceExt, api::ListParams};

use crate::{
    api_server::ApiServer,
    autoscalers::Autoscalers,
    controllers::Classes,
    diversion::slice::SERVICE_NAME,
    listing::Listing,
    objects::gateway_api::GatewayClass,
    rights::{Right, ServiceAccount},
    settings::ClusterSettings,
    surroundings::Surroundings,
};

/// What is looked at.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) settings: ClusterSettings,
    /// Whose rights were looked at; `None` if our own.
    pub(crate) account: Option<ServiceAccount>,
    pub(crate) listing: Listing,
    pub(crate) surroundings: Surroundings,
    /// Those [rights](crate::rights::rights) that unidler does not have.
    pub(crate) missing_rights: Vec<Right>,
    /// How many endpoints of unidler's own Service are ready, if that was seen.
    pub(crate) own_endpoints: Option<usize>,
    pub(crate) unseen: Vec<Unseen>,
}

impl Snapshot {
    /// Looks at everything. What may not be read besides the kinds that apps are made of is left out, and noted.
    ///
    /// # Errors
    ///
    /// If those cannot be listed.
    pub async fn take(
        api_server: &ApiServer,
        settings: ClusterSettings,
        account: Option<ServiceAccount>,
    ) -> anyhow::Result<Self> {
        let listing = api_server.listing(&settings).await?;
        let (mut unseen, everything) = (Vec::new(), ListParams::default());
        let ingress_classes: Vec<IngressClass> = seen(
            &mut unseen,
            "IngressClasses",
            api_server.list(&everything).await,
        );
        let gateway_classes: Vec<GatewayClass> = seen(
            &mut unseen,
            "GatewayClasses",
            api_server.list_if_any().await,
        );
        let of_own = everything
            .clone()
            .labels(&format!("{SERVICE_NAME}={}", settings.service_name));
        let own_endpoints = api_server.list::<EndpointSlice>(&of_own).await;
        let own_endpoints = own_endpoints.map(|slices| {
            let own = slices
                .iter()
                .filter(|slice| slice.namespace().as_ref() == Some(&settings.service_namespace));
            Some(
                own.flat_map(|slice| &slice.endpoints)
                    .filter(is_ready)
                    .count(),
            )
        });
        let own_endpoints = seen(&mut unseen, "unidler's own endpoints", own_endpoints);
        let autoscalers: Vec<HorizontalPodAutoscaler> = seen(
            &mut unseen,
            "HorizontalPodAutoscalers",
            api_server.list(&everything).await,
        );
        let account = match account {
            None if api_server.in_cluster => None,
            None => Some(ServiceAccount {
                namespace: "unidler".to_owned(),
                name: "unidler".to_owned(),
            }),
            account => account,
        };
        let missing_rights = seen(
            &mut unseen,
            "unidler's rights",
            api_server.missing_rights(&settings, account.as_ref()).await,
        );
        Ok(Self {
            settings,
            account,
            listing,
            surroundings: Surroundings {
                autoscalers: Autoscalers::of(autoscalers),
                classes: Classes {
                    ingress: ingress_classes,
                    gateway: gateway_classes,
                },
                unseen: None,
            },
            missing_rights,
            own_endpoints,
            unseen,
        })
    }
}

/// Absent means ready: <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions>.
fn is_ready(endpoint: &&Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.and_then(|conditions| conditions.ready) != Some(false)
}

/// Something that could not be looked at.
#[derive(Debug)]
pub(crate) struct Unseen {
    pub(crate) what: &'static str,
    pub(crate) error: String,
}

/// The command that gives an object the key, or tells how if it is not clear which one.
pub(crate) fn label_command(
    ClusterSettings { key_label, .. }: &ClusterSettings,
    namespace: &str,
    kind: &str,
    name: Option<&str>,
    key: &str,
) -> String {
    format!(
        "kubectl -n {namespace} label {kind} {} {key_label}={key} --overwrite",
        name.unwrap_or("NAME")
    )
}

fn seen<T: Default>(
    unseen: &mut Vec<Unseen>,
    what: &'static str,
    answer: Result<T, kube::Error>,
) -> T {
    answer.unwrap_or_else(|error| {
        unseen.push(Unseen {
            what,
            error: match error {
                kube::Error::Api(status) => status.message.clone(),
                error => error.to_string(),
            },
        });
        T::default()
    })
}
