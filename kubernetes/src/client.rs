//! Connects to the API server.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Config, Resource,
    client::ClientBuilder,
    config::{InClusterError, KubeConfigOptions},
    core::{ApiResource, DynamicObject},
};

use crate::{request_metrics::CountRequests, retry_after::KeepRetryAfter};

/// How long a connection to the API server may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the API server may be silent during a watch: longer than a watch request lasts.
const READ_TIMEOUT: Duration = Duration::from_secs(40);
/// The context of an error when a client cannot be created.
pub(crate) const UNUSABLE: &str = "cannot use the configuration of the Kubernetes cluster";

/// The objects of a kind, in the whole cluster or in one namespace.
pub(crate) struct Source<K> {
    pub(crate) api: Api<K>,
    pub(crate) kind: ApiResource,
    /// Whether a cluster may lack the kind.
    pub(crate) may_be_absent: bool,
    /// The consequence if unidler may not read them.
    pub(crate) without: &'static str,
}

/// The consequence for most kinds if unidler may not read them.
const WITHOUT: &str = "apps that depend on them are unavailable, and no app is put to sleep";

impl<K: Resource<DynamicType = ()>> Source<K> {
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            api: Api::all(client.clone()),
            kind: ApiResource::erase::<K>(&()),
            may_be_absent: false,
            without: WITHOUT,
        }
    }

    /// The objects in a namespace.
    pub(crate) fn in_namespace(client: &Client, namespace: &str) -> Self
    where
        K: Resource<Scope = NamespaceResourceScope>,
    {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            ..Self::new(client)
        }
    }

    /// The objects of a kind that a cluster may lack.
    pub(crate) fn optional(client: &Client) -> Self {
        Self {
            may_be_absent: true,
            ..Self::new(client)
        }
    }

    /// Sets the consequence if unidler may not read them.
    pub(crate) fn without(self, without: &'static str) -> Self {
        Self { without, ..self }
    }
}

impl Source<DynamicObject> {
    /// The objects of a custom kind.
    pub(crate) fn custom(client: &Client, kind: ApiResource) -> Self {
        Self {
            api: Api::all_with(client.clone(), &kind),
            kind,
            may_be_absent: true,
            without: WITHOUT,
        }
    }
}

/// The clients for writes, and for watches, which may be silent.
pub(crate) fn clients(mut config: Config) -> anyhow::Result<(Client, Client)> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // The engine has a retry policy of its own, and informs the visitors.
    config.default_retry = false;
    let client = |config| {
        let builder = ClientBuilder::try_from(config).context(UNUSABLE)?;
        anyhow::Ok(
            builder
                .with_layer(&KeepRetryAfter)
                .with_layer(&CountRequests)
                .build(),
        )
    };
    let writing = client(config.clone())?;
    config.read_timeout = Some(READ_TIMEOUT);
    Ok((writing, client(config)?))
}

/// The cluster that the process runs in, else the one that a kubeconfig names.
///
/// # Errors
///
/// If there is neither. Inside a cluster, the problem there is the error, unless a kubeconfig names another one.
pub(crate) async fn configuration() -> anyhow::Result<Config> {
    let in_cluster = match Config::incluster() {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    let other = Config::from_kubeconfig(&KubeConfigOptions::default()).await;
    match (in_cluster, other) {
        (_, Ok(config)) => Ok(config),
        (InClusterError::ReadEnvironmentVariable(_), Err(error)) => Err(error).context(
            "found no Kubernetes cluster: run unidler inside one, or name a kubeconfig with KUBECONFIG, or try it without a \
             cluster with `unidler demo`",
        ),
        (error, Err(_)) => Err(error).context("cannot use the ServiceAccount of the pod that unidler runs in"),
    }
}

/// Whether the API server does not have a kind that it could not list.
///
/// The API server checks the permission before it looks up the kind, so a rejection may mean either. Every client may
/// list the existing kinds ([Kubernetes: discovery]).
///
/// [Kubernetes: discovery]: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles
pub(crate) async fn is_absent(client: &Client, kind: &ApiResource, error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) if status.code == 404 => true,
        kube::Error::Api(status) if status.code == 403 => {
            match client.list_api_group_resources(&kind.api_version).await {
                Ok(kinds) => !kinds.resources.iter().any(|each| each.name == kind.plural),
                Err(kube::Error::Api(status)) => status.code == 404,
                Err(_) => false,
            }
        }
        _ => false,
    }
}
