//! Keeps an app awake for a time, as a single exception to its rules.

use anyhow::Context;
use k8s_openapi::{api::core::v1::Service, jiff::Timestamp};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use unidler::host::Host;

use crate::{
    api_server::ApiServer, idle::unserved, listing::Listing,
    objects::sleep_rules::KEEP_AWAKE_UNTIL, patch, settings::ClusterSettings,
};

/// An app that is kept awake.
#[derive(Debug)]
pub struct KeptAwake {
    /// The annotated Services, each as `namespace/name`.
    pub services: Vec<String>,
    /// Whether it is asleep, so that somebody has to wake it first.
    pub is_asleep: bool,
}

impl ApiServer {
    /// Keeps the app of a host awake until a given time, with an annotation on its Services.
    ///
    /// # Errors
    ///
    /// If no route points from the host to a Service, or if a Service cannot be annotated.
    pub async fn keep_awake(
        &self,
        host: &Host,
        until: Timestamp,
        settings: &ClusterSettings,
    ) -> anyhow::Result<KeptAwake> {
        let Listing(caches) = self.listing(settings).await?;
        let (namespace, names) = caches
            .services_of(host)
            .with_context(|| unserved(host, &caches))?;
        let services: Api<Service> = Api::namespaced(self.client.clone(), &namespace);
        let params: PatchParams = patch::params(settings.manager());
        for name in &names {
            let annotations = json!({ KEEP_AWAKE_UNTIL: until.to_string() });
            let annotated = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
            let annotated = services.patch(name, &params, &annotated).await;
            annotated.with_context(|| format!("cannot annotate Service {namespace}/{name}"))?;
        }
        let mut each = names.iter();
        Ok(KeptAwake {
            is_asleep: each.all(|name| caches.is_diverted(&namespace, name)),
            services: names
                .iter()
                .map(|name| format!("{namespace}/{name}"))
                .collect(),
        })
    }
}
