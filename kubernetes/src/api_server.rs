//! The requests of the commands to the API server.

use std::{fmt::Debug, time::Duration};

use anyhow::Context;
use k8s_openapi::{
    NamespaceResourceScope,
    api::authorization::v1::{
        ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
        SubjectAccessReview, SubjectAccessReviewSpec,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api as KubeApi, Client, Config, Resource,
    api::{ListParams, PostParams},
};
use serde::de::DeserializeOwned;

use crate::{
    caches::{Caches, Listed, ours},
    client::{CONNECT_TIMEOUT, Source, UNUSABLE, configuration, is_absent},
    listing::Listing,
    rights::{Right, ServiceAccount, rights},
    settings::ClusterSettings,
};

/// How long the API server may take to respond: long enough for a list in a large cluster.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum number of objects in one response ([Kubernetes: retrieving large results sets in chunks]).
///
/// [Kubernetes: retrieving large results sets in chunks]: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
const PAGE: u32 = 500;

/// The API server, asked once for everything that a command needs. Cheap to clone.
#[expect(missing_debug_implementations, reason = "a client has nothing to show")]
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) client: Client,
    /// Whether this process runs in the cluster.
    pub(crate) in_cluster: bool,
}

impl ApiServer {
    /// Connects to the cluster that the server would use.
    ///
    /// # Errors
    ///
    /// If there is none, with an explanation of what to do.
    pub async fn connect() -> anyhow::Result<Self> {
        let mut config = configuration().await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        // The user is waiting for the command and can run it again.
        config.default_retry = false;
        let client = Client::try_from(config).context(UNUSABLE)?;
        Ok(Self {
            client,
            in_cluster: Config::incluster().is_ok(),
        })
    }

    /// Lists all objects that apps can consist of, as the server sees them: the API server does not know which objects
    /// belong to an app.
    ///
    /// # Errors
    ///
    /// If they cannot be listed.
    pub async fn listing(&self, settings: &ClusterSettings) -> anyhow::Result<Listing> {
        let cannot = |kinds: &str| format!("cannot list the {kinds} of the cluster");
        let ours = ours(settings);
        let everything = ListParams::default();
        let mut custom = Vec::new();
        for scalable in settings.scalables() {
            let source = Source::custom(&self.client, scalable.api_resource());
            let objects = self.list_of(&source, &everything).await;
            let objects = objects.with_context(|| cannot(&scalable.plural()))?;
            custom.push((scalable, objects));
        }
        let namespaces = match self.list(&everything).await {
            Ok(namespaces) => Some(namespaces),
            Err(kube::Error::Api(status)) if status.is_forbidden() => None,
            Err(error) => return Err(error).context(cannot("Namespaces")),
        };
        let listed = Listed {
            namespaces,
            ingresses: self
                .list(&everything)
                .await
                .with_context(|| cannot("Ingresses"))?,
            http_routes: self
                .list_if_any()
                .await
                .with_context(|| cannot("HTTPRoutes"))?,
            gateways: self
                .list_if_any()
                .await
                .with_context(|| cannot("Gateways"))?,
            grants: self
                .list_if_any()
                .await
                .with_context(|| cannot("ReferenceGrants"))?,
            deployments: self
                .list(&everything)
                .await
                .with_context(|| cannot("Deployments"))?,
            stateful_sets: self
                .list(&everything)
                .await
                .with_context(|| cannot("StatefulSets"))?,
            custom,
            services: self
                .list(&everything)
                .await
                .with_context(|| cannot("Services"))?,
            slices: self
                .list(&everything.clone().labels(&ours))
                .await
                .with_context(|| cannot("EndpointSlices"))?,
        };
        Ok(Listing(Caches::of(listed, settings)))
    }

    /// All objects of a kind that may be absent from a cluster.
    pub(crate) async fn list_if_any<K>(&self) -> Result<Vec<K>, kube::Error>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
    {
        let source = Source::optional(&self.client);
        let listed = self.list_of(&source, &ListParams::default()).await?;
        Ok(listed.unwrap_or_default())
    }

    pub(crate) async fn list<K>(&self, params: &ListParams) -> Result<Vec<K>, kube::Error>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
    {
        let listed = self.list_of(&Source::new(&self.client), params).await?;
        Ok(listed.unwrap_or_default())
    }

    /// The objects of a kind in a namespace.
    pub(crate) async fn list_in<K>(
        &self,
        namespace: &str,
        params: &ListParams,
    ) -> Result<Vec<K>, kube::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + DeserializeOwned
            + Clone
            + Debug,
    {
        let source = Source::in_namespace(&self.client, namespace);
        Ok(self.list_of(&source, params).await?.unwrap_or_default())
    }

    /// All objects of a kind; `None` if the cluster does not have the kind.
    pub(crate) async fn list_of<K>(
        &self,
        source: &Source<K>,
        params: &ListParams,
    ) -> Result<Option<Vec<K>>, kube::Error>
    where
        K: DeserializeOwned + Clone + Debug,
    {
        let mut params = params.clone().limit(PAGE);
        let mut objects = Vec::new();
        loop {
            let page = match source.api.list(&params).await {
                Err(error)
                    if source.may_be_absent
                        && is_absent(&self.client, &source.kind, &error).await =>
                {
                    return Ok(None);
                }
                page => page?,
            };
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(Some(objects)),
            }
        }
    }

    /// The permissions that an account lacks; `None` means the current account ([Kubernetes: checking API access]).
    ///
    /// [Kubernetes: checking API access]: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
    pub(crate) async fn missing_rights(
        &self,
        settings: &ClusterSettings,
        account: Option<&ServiceAccount>,
    ) -> Result<Vec<Right>, kube::Error> {
        let mut missing = Vec::new();
        for right in rights(settings) {
            if !self.may(account, &right).await? {
                missing.push(right);
            }
        }
        Ok(missing)
    }

    pub(crate) async fn may(
        &self,
        account: Option<&ServiceAccount>,
        right: &Right,
    ) -> Result<bool, kube::Error> {
        let (resource, subresource) = match right.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (&*right.resource, None),
        };
        let resource_attributes = Some(ResourceAttributes {
            group: Some(right.group.to_string()),
            resource: Some(resource.to_owned()),
            subresource,
            verb: Some(right.verb.to_owned()),
            ..ResourceAttributes::default()
        });
        let (metadata, params) = (ObjectMeta::default(), PostParams::default());
        let status = match account {
            Some(ServiceAccount { namespace, name }) => {
                let groups = [
                    "serviceaccounts".to_owned(),
                    format!("serviceaccounts:{namespace}"),
                    "authenticated".to_owned(),
                ];
                let spec = SubjectAccessReviewSpec {
                    user: Some(format!("system:serviceaccount:{namespace}:{name}")),
                    groups: Some(groups.map(|group| format!("system:{group}")).into()),
                    resource_attributes,
                    ..SubjectAccessReviewSpec::default()
                };
                let review = SubjectAccessReview {
                    metadata,
                    spec,
                    status: None,
                };
                KubeApi::all(self.client.clone())
                    .create(&params, &review)
                    .await?
                    .status
            }
            None => {
                let spec = SelfSubjectAccessReviewSpec {
                    resource_attributes,
                    ..SelfSubjectAccessReviewSpec::default()
                };
                let review = SelfSubjectAccessReview {
                    metadata,
                    spec,
                    status: None,
                };
                KubeApi::all(self.client.clone())
                    .create(&params, &review)
                    .await?
                    .status
            }
        };
        Ok(status.is_some_and(|status| status.allowed))
    }
}
