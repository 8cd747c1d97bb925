//! Objects beside an app that decide whether it can sleep: autoscalers, and the classes of its routes.

use futures::future::try_join;
use kube::api::ListParams;

use crate::{api_server::ApiServer, autoscalers::Autoscalers, controllers::Classes};

/// The surroundings of the apps in a cluster. The commands list them; the server only has the permission if it puts
/// apps to sleep by itself.
#[derive(Debug, Default)]
pub struct Surroundings {
    pub(crate) autoscalers: Autoscalers,
    pub(crate) classes: Classes,
    /// Why the classes are not known.
    pub(crate) unseen: Option<String>,
}

impl ApiServer {
    /// Lists the surroundings of the apps in the cluster.
    ///
    /// # Errors
    ///
    /// If the autoscalers cannot be listed. Only administrators may list classes: for others, they are unknown.
    pub async fn surroundings(&self) -> anyhow::Result<Surroundings> {
        let everything = ListParams::default();
        let classes = try_join(self.list(&everything), self.list_if_any()).await;
        let (classes, unseen) = match classes {
            Ok((ingress, gateway)) => (Classes { ingress, gateway }, None),
            Err(error) => (Classes::default(), Some(error.to_string())),
        };
        Ok(Surroundings {
            autoscalers: self.autoscalers().await?,
            classes,
            unseen,
        })
    }
}
