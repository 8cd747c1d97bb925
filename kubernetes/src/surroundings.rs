//! Objects beside an app that decide whether it can sleep: autoscalers, and the classes of its routes.

use kube::api::ListParams;

use crate::{api_server::ApiServer, autoscalers::Autoscalers, controllers::Classes};

/// What surrounds the apps of a cluster. The commands list it; the server has no permission to.
#[derive(Debug, Default)]
pub struct Surroundings {
    pub(crate) autoscalers: Autoscalers,
    pub(crate) classes: Classes,
}

impl ApiServer {
    /// What surrounds the apps of the cluster.
    ///
    /// # Errors
    ///
    /// If the autoscalers cannot be listed. Classes are for administrators to see: what others do not see is not known.
    pub async fn surroundings(&self) -> anyhow::Result<Surroundings> {
        let classes = Classes {
            ingress: self.list(&ListParams::default()).await.unwrap_or_default(),
            gateway: self.list_if_any().await.unwrap_or_default(),
        };
        Ok(Surroundings {
            autoscalers: self.autoscalers().await?,
            classes,
        })
    }
}
