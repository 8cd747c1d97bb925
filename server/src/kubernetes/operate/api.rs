//! All that the commands ask of the cluster.

use std::{fmt::Debug, time::Duration};

use anyhow::Context;
use k8s_openapi::{
    api::{
        apps::v1::Deployment as KubeDeployment,
        authorization::v1::{
            ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
            SubjectAccessReview, SubjectAccessReviewSpec,
        },
        autoscaling::v2::HorizontalPodAutoscaler,
        core::v1::Service as KubeService,
        networking::v1::{Ingress as KubeIngress, IngressClass},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api as KubeApi, Client, Config, Resource,
    api::{ListParams, PostParams},
};
use serde::de::DeserializeOwned;

use super::{
    super::{
        Settings,
        cache::Cache,
        connection::{CONNECT_TIMEOUT, UNUSABLE, configuration},
        discovery::Caches,
        objects::{Deployment, Ingress, Service},
    },
    ServiceAccount,
    doctor::{RIGHTS, Right, Snapshot, Unseen},
    idle::Target,
};

/// How long the API server may be silent: long enough for a list in a large cluster.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The most objects of one answer ([Kubernetes: retrieving large results sets in chunks]).
///
/// [Kubernetes: retrieving large results sets in chunks]: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
const PAGE: u32 = 500;

/// The three kinds that apps are made of.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) ingresses: Vec<KubeIngress>,
    pub(super) deployments: Vec<KubeDeployment>,
    pub(super) services: Vec<KubeService>,
}

impl Objects {
    /// What the server would know of them.
    pub(super) fn caches(&self, settings: &Settings) -> Caches {
        let (key_label, own) = (&settings.key_label, settings.own_service());
        Caches {
            ingresses: Cache::of(self.ingresses.iter().cloned(), key_label, Ingress::parse),
            deployments: Cache::of(
                self.deployments.iter().cloned(),
                key_label,
                Deployment::parse,
            ),
            services: Cache::of(self.services.iter().cloned(), key_label, |service| {
                Service::parse(service, &own)
            }),
        }
    }
}

/// The cluster.
pub(super) struct Api {
    pub(super) client: Client,
    /// Whether we run in it.
    pub(super) in_cluster: bool,
}

/// Connects to the cluster that the server would use.
pub(super) async fn connect() -> anyhow::Result<Api> {
    let mut config = configuration().await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // A write whose answer was lost would be refused the second time, for a reason that is none.
    config.default_retry = false;
    let client = Client::try_from(config).context(UNUSABLE)?;
    Ok(Api {
        client,
        in_cluster: Config::incluster().is_ok(),
    })
}

impl Api {
    /// All that apps can be made of, as the server sees it: which objects are an app's is not for the API server to say.
    pub(super) async fn objects(&self) -> anyhow::Result<Objects> {
        Ok(Objects {
            ingresses: self
                .list()
                .await
                .context("cannot list the Ingresses of the cluster")?,
            deployments: self
                .list()
                .await
                .context("cannot list the Deployments of the cluster")?,
            services: self
                .list()
                .await
                .context("cannot list the Services of the cluster")?,
        })
    }

    async fn list<K>(&self) -> Result<Vec<K>, kube::Error>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
    {
        let api = KubeApi::<K>::all(self.client.clone());
        let mut params = ListParams::default().limit(PAGE);
        let mut objects = Vec::new();
        loop {
            let page = api.list(&params).await?;
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(objects),
            }
        }
    }

    /// Looks whether the unidler's Service is there: an app that leads nowhere cannot be visited.
    pub(super) async fn expect_service(
        &self,
        Target {
            name, namespace, ..
        }: &Target,
    ) -> anyhow::Result<()> {
        let found = self
            .services(namespace)
            .get_opt(name)
            .await
            .context("cannot read the Service of the unidler")?;
        found.map(drop).with_context(|| {
            format!(
                "there is no Service {namespace}/{name}, so nobody would wake the app: install the unidler, or say with \
                 --unidler-host where it is"
            )
        })
    }

    pub(super) fn services(&self, namespace: &str) -> KubeApi<KubeService> {
        KubeApi::namespaced(self.client.clone(), namespace)
    }

    /// All that `doctor` looks at. What may not be read besides the three kinds is left out, and noted.
    pub(super) async fn snapshot(
        &self,
        settings: Settings,
        account: Option<ServiceAccount>,
    ) -> anyhow::Result<Snapshot> {
        let objects = self.objects().await?;
        let mut unseen = Vec::new();
        let classes: Vec<IngressClass> = seen(&mut unseen, "IngressClasses", self.list().await);
        let autoscalers: Vec<HorizontalPodAutoscaler> =
            seen(&mut unseen, "HorizontalPodAutoscalers", self.list().await);
        let account = match account {
            None if self.in_cluster => None,
            None => Some(ServiceAccount {
                namespace: "unidler".to_owned(),
                name: "unidler".to_owned(),
            }),
            account => account,
        };
        let missing_rights = seen(
            &mut unseen,
            "the unidler's rights",
            self.missing_rights(account.as_ref()).await,
        );
        Ok(Snapshot {
            settings,
            account,
            objects,
            classes,
            autoscalers,
            missing_rights,
            unseen,
        })
    }

    /// The rights that an account does not have; `None` means our own ([Kubernetes: checking API access]).
    ///
    /// [Kubernetes: checking API access]: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
    async fn missing_rights(
        &self,
        account: Option<&ServiceAccount>,
    ) -> Result<Vec<Right>, kube::Error> {
        let mut missing = Vec::new();
        for right in RIGHTS {
            if !self.may(account, right).await? {
                missing.push(*right);
            }
        }
        Ok(missing)
    }

    async fn may(
        &self,
        account: Option<&ServiceAccount>,
        right: &Right,
    ) -> Result<bool, kube::Error> {
        let resource_attributes = Some(ResourceAttributes {
            group: Some(right.group.to_owned()),
            resource: Some(right.resource.to_owned()),
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

fn seen<T: Default>(
    unseen: &mut Vec<Unseen>,
    what: &'static str,
    answer: Result<T, kube::Error>,
) -> T {
    answer.unwrap_or_else(|error| {
        unseen.push(Unseen {
            what,
            error: explained(error).to_string(),
        });
        T::default()
    })
}

/// What the API server said, in words for people.
pub(super) fn explained(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status)
            if status.code == 409
                || status
                    .message
                    .starts_with("the server rejected our request") =>
        {
            anyhow::anyhow!("it has changed meanwhile: try again")
        }
        kube::Error::Api(status) => anyhow::anyhow!(status.message.clone()),
        error => error.into(),
    }
}
