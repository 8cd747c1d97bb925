//! Carries a plan out: with the driver that wakes apps as well, and the other goal.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use unidler::{
    app::AppId,
    cluster::Cluster,
    hub::{Cause, Hub, NotIdled, Settings},
};

use super::{Plan, decide};
use crate::{
    caches::Caches, cluster::KubernetesCluster, diversion::Handover, patch::spec_of,
    settings::ClusterSettings, target::Target,
};

/// How long the first view of a large cluster may take.
const READY: Duration = Duration::from_secs(60);
/// How long to try, and then how long to undo what was done.
const DEADLINE: Duration = Duration::from_secs(60);

impl Plan {
    /// Puts the app to sleep, or leaves it as it was; and says what was planned at the last moment, since the app may have
    /// changed after the first look.
    ///
    /// Killed in between, it leaves an app that runs and whose Service leads to unidler. The server takes that for a
    /// wake-up that nobody finished, and points the Service back.
    ///
    /// # Errors
    ///
    /// If the app is not idled afterwards, in words that say what it is.
    pub async fn apply(&self, settings: &ClusterSettings, target: &Target) -> anyhow::Result<Self> {
        let handover = Handover::ExternalName(target.clone());
        let idler = Idler::start(settings, handover).await?;
        let plan = decide(
            &self.host,
            idler.caches(),
            settings,
            target,
            Timestamp::now(),
        )?;
        match idler.idle(&plan.app).await {
            Ok(()) => Ok(plan),
            Err(error) => Err(plan.explained(&error)),
        }
    }

    fn explained(&self, NotIdled { cause, is_undone }: &NotIdled) -> anyhow::Error {
        let Self {
            namespace,
            service,
            kept,
            ..
        } = self;
        match (cause, is_undone) {
            (Cause::Woken, _) | (_, true) => undone(cause),
            (cause, false) => anyhow!(
                "{cause}. Service {namespace}/{service} may still lead to unidler. Its server leads it back within a minute; \
                 where none runs: kubectl -n {namespace} patch service {service} --type merge -p '{}'",
                json!({ "spec": spec_of(kept) })
            ),
        }
    }
}

/// The driver, on a view of the cluster that is kept current.
pub(super) struct Idler {
    cluster: KubernetesCluster,
    _watch: AbortOnDropHandle<()>,
}

impl Idler {
    /// Waits for the first view of the cluster.
    pub(super) async fn start(
        settings: &ClusterSettings,
        handover: Handover,
    ) -> anyhow::Result<Self> {
        let cluster = KubernetesCluster::connect(settings.clone())
            .await?
            .idling(handover);
        let watched = cluster.clone();
        let watch = AbortOnDropHandle::new(tokio::spawn(async move { watched.run().await }));
        timeout(READY, cluster.ready()).await.with_context(|| {
            let why = cluster.not_ready().unwrap_or_default();
            format!("the cluster cannot be watched: {why}")
        })?;
        Ok(Self {
            cluster,
            _watch: watch,
        })
    }

    /// What there is to see.
    pub(super) fn caches(&self) -> &Caches {
        &self.cluster.observer.caches
    }

    /// Has the driver put an app to sleep.
    pub(super) async fn idle(&self, app: &AppId) -> Result<(), NotIdled> {
        let settings = Settings {
            deadline: DEADLINE,
            ..Settings::default()
        };
        let hub = Hub::new(Arc::new(self.cluster.clone()), settings);
        let outcome = hub.idle(app).await;
        hub.shutdown().await;
        outcome
    }
}

/// What is said of an attempt that has failed and of which nothing is left.
pub(super) fn undone(cause: &Cause) -> anyhow::Error {
    match cause {
        Cause::Woken => anyhow!(
            "the app was woken in the meantime, by a visitor or by unidler's server, and stays awake: try again"
        ),
        cause => anyhow!("the app is as it was: {cause}"),
    }
}

#[cfg(test)]
mod tests {
    use unidler::{
        app::{AppId, ObjectId, Version},
        cluster::{ApplyError, Write},
        host::Host,
    };

    use super::*;

    fn plan() -> Plan {
        Plan {
            app: AppId::new("team/tool/tool"),
            host: Host::parse("tool.example").expect("a host"),
            namespace: "team".into(),
            service: "tool".into(),
            divert: json!({}),
            kept: serde_json::from_value(json!({ "selector": { "app": "tool" }, "ports": [] }))
                .expect("a spec"),
            deployment: "tool".into(),
            scale: serde_json::from_value(json!([])).expect("a patch"),
            replicas: 2,
        }
    }

    fn refused(is_undone: bool) -> NotIdled {
        let write = Write::Idle {
            workload: ObjectId::new("Deployment team/tool"),
            version: Version(String::new()),
        };
        NotIdled {
            cause: Cause::Write(write, ApplyError::Forbidden("a policy".into())),
            is_undone,
        }
    }

    #[test]
    fn what_could_not_be_done_is_named_and_that_nothing_is_left_of_it() {
        assert_eq!(
            plan().explained(&refused(true)).to_string(),
            "the app is as it was: cannot scale Deployment team/tool: the cluster forbids it: a policy"
        );
    }

    #[test]
    fn what_could_not_be_undone_comes_with_the_command_that_does_it() {
        let text = plan().explained(&refused(false)).to_string();
        let command = "kubectl -n team patch service tool --type merge -p \
                       '{\"spec\":{\"externalName\":null,\"ports\":[],\"selector\":{\"app\":\"tool\"},\"type\":\"ClusterIP\"}}'";
        assert!(text.ends_with(command), "{text}");
    }
}
