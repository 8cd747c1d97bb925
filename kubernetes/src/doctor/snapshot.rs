//! The state of the cluster that `doctor` checks, taken at once.

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

/// The state that is checked.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) settings: ClusterSettings,
    /// The account whose permissions were checked; `None` if it is the current one.
    pub(crate) account: Option<ServiceAccount>,
    pub(crate) listing: Listing,
    pub(crate) surroundings: Surroundings,
    /// The [permissions](crate::rights::rights) that unidler lacks.
    pub(crate) missing_rights: Vec<Right>,
    /// The number of ready endpoints of unidler's own Service, if it could be read.
    pub(crate) own_endpoints: Option<usize>,
    pub(crate) unseen: Vec<Unseen>,
}

impl Snapshot {
    /// Reads everything. Objects that may not be read, other than the kinds that apps consist of, are left out and
    /// noted.
    ///
    /// # Errors
    ///
    /// If the kinds that apps consist of cannot be listed.
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
                namespace: settings.service_namespace.clone(),
                name: settings.service_name.clone(),
            }),
            account => account,
        };
        let missing_rights = seen(
            &mut unseen,
            "unidler's permissions",
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

/// Something that could not be read.
#[derive(Debug)]
pub(crate) struct Unseen {
    pub(crate) what: &'static str,
    pub(crate) error: String,
}

/// The command that labels an object with the key, or a description if it is not clear which object.
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
