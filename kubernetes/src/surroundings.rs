//! Objects beside an app that decide whether it can sleep: autoscalers, and the classes of its routes.

use futures::future::try_join;
use kube::api::ListParams;

use crate::{api_server::ApiServer, autoscalers::Autoscalers, controllers::Classes};

/// What surrounds the apps of a cluster. The commands list it; the server may do so only where it puts apps to
/// sleep by itself.
#[derive(Debug, Default)]
pub struct Surroundings {
    pub(crate) autoscalers: Autoscalers,
    pub(crate) classes: Classes,
    /// Why those are not known.
    pub(crate) unseen: Option<String>,
}

impl ApiServer {
    /// What surrounds the apps of the cluster.
    ///
    /// # Errors
    ///
    /// If the autoscalers cannot be listed. Classes are for administrators to see: what others do not see is not known.
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
