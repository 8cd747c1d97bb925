//! The writes of `idle`: both, or none.

use anyhow::{Context, bail};
use json_patch::{Patch as JsonPatch, PatchOperation, ReplaceOperation};
use k8s_openapi::api::{apps::v1::Deployment as KubeDeployment, core::v1::Service as KubeService};
use kube::{Api as KubeApi, ResourceExt, api::Patch};
use serde_json::json;

use super::Plan;
use crate::{
    api_server::{ApiServer, explained},
    objects::{Deployment, IDLED_AT, PointsAt, Service},
    patch::{clear_idled, params, pointer, restore_service},
    settings::ClusterSettings,
};

impl ApiServer {
    /// Writes both patches of a plan, or none.
    ///
    /// Killed in between it leaves an app that runs and whose Service leads to the unidler. The server takes that for
    /// a wake-up that nobody finished, and points the Service back.
    ///
    /// # Errors
    ///
    /// If the app is not idled afterwards, in words that tell what it is.
    pub async fn idle(&self, plan: &Plan, settings: &ClusterSettings) -> anyhow::Result<()> {
        let Plan {
            namespace, service, ..
        } = plan;
        let services = self.services(namespace);
        let switched = services
            .patch(service, &params(), &Patch::Merge(&plan.divert))
            .await;
        let switched = switched.map_err(explained).with_context(|| {
            format!("cannot switch Service {namespace}/{service}; nothing was written")
        })?;
        let scaled = match self.scale(plan).await {
            Scaled::Done(scaled) => scaled,
            Scaled::Refused(error) => {
                self.switch_back(plan, switched, settings)
                    .await
                    .with_context(|| format!("{error:#}"))?;
                return Err(error.context("the app is as it was"));
            }
            Scaled::Unknown(error) => {
                // Either end of it is mended by the server: the app is idled, or its Service is pointed back.
                return Err(error.context("it is unknown whether the app is idled: look with `unidler status` in a minute"));
            }
        };
        // Between the two writes the app looks as if a wake-up was not finished. If somebody came just then, or the
        // server looked for such, it has pointed the Service back.
        let now = services
            .get(service)
            .await
            .context("the app is idled, but its Service cannot be read")?;
        let now = Service::parse(now, &settings.own_service());
        if now.points_at == PointsAt::Unidler {
            Ok(())
        } else {
            self.scale_back(plan, scaled).await
        }
    }

    async fn scale(&self, plan: &Plan) -> Scaled {
        let Plan {
            namespace,
            deployment,
            scale,
            idled_at,
            ..
        } = plan;
        let deployments = self.deployments(namespace);
        let error = match deployments
            .patch(deployment, &params(), &Patch::<()>::Json(scale.clone()))
            .await
        {
            Ok(scaled) => return Scaled::Done(scaled.into()),
            Err(error) => error,
        };
        let is_refused =
            matches!(&error, kube::Error::Api(status) if (400..=499).contains(&status.code));
        let error =
            explained(error).context(format!("cannot scale Deployment {namespace}/{deployment}"));
        if is_refused {
            return Scaled::Refused(error);
        }
        // An error of the API server, or no answer from it, says nothing about what was done.
        match deployments.get(deployment).await {
            Ok(now) if now.annotations().get(IDLED_AT) == Some(idled_at) => {
                Scaled::Done(now.into())
            }
            Ok(_) => Scaled::Refused(error),
            Err(_) => Scaled::Unknown(error),
        }
    }

    /// Gives the Deployment its replicas back, in one write.
    async fn scale_back(&self, plan: &Plan, scaled: Box<KubeDeployment>) -> anyhow::Result<()> {
        let Plan {
            namespace,
            deployment,
            replicas,
            ..
        } = plan;
        let JsonPatch(mut undo) = clear_idled(&Deployment::parse(*scaled), None);
        undo.push(PatchOperation::Replace(ReplaceOperation {
            path: pointer(["spec", "replicas"]),
            value: json!(replicas),
        }));
        let undone = self
            .deployments(namespace)
            .patch(deployment, &params(), &Patch::<()>::Json(JsonPatch(undo)))
            .await;
        undone.map_err(explained).with_context(|| {
            format!(
                "the app was woken meanwhile, and Deployment {namespace}/{deployment} cannot be scaled back: \
                 `unidler doctor` tells what to do"
            )
        })?;
        bail!(
            "the app was woken meanwhile, by a visitor or by the server's own look around, and stays awake: try again"
        )
    }

    /// Points the Service at its pods again, in the way a wake-up does.
    async fn switch_back(
        &self,
        plan: &Plan,
        switched: KubeService,
        settings: &ClusterSettings,
    ) -> anyhow::Result<()> {
        let Plan {
            namespace,
            service,
            kept,
            ..
        } = plan;
        let patch = restore_service(&Service::parse(switched, &settings.own_service()), kept);
        let restored = self
            .services(namespace)
            .patch(service, &params(), &Patch::Merge(&patch))
            .await;
        restored.map(drop).map_err(explained).with_context(|| {
            format!(
                "Service {namespace}/{service} leads to the unidler and cannot be switched back. The server does that within a \
                 minute; where none runs: kubectl -n {namespace} patch service {service} --type merge -p '{}'",
                json!({ "spec": patch["spec"] })
            )
        })
    }

    fn deployments(&self, namespace: &str) -> KubeApi<KubeDeployment> {
        KubeApi::namespaced(self.client.clone(), namespace)
    }
}

/// How the second write went.
enum Scaled {
    Done(Box<KubeDeployment>),
    /// It was not done.
    Refused(anyhow::Error),
    Unknown(anyhow::Error),
}

#[cfg(test)]
mod tests;
