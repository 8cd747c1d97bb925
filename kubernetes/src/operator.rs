//! The driver of the commands: it works on caches that are kept current, with the permissions of the user.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use futures::Stream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use unidler::{
    app::App,
    cluster::Cluster,
    host::Host,
    hub::{Hub, Settings},
    progress::{Progress, Reason},
    step::is_unfinished,
};

use crate::{
    caches::Caches, cluster::KubernetesCluster, diversion::Handover, settings::ClusterSettings,
};

/// How long the first view of a large cluster may take.
const READY: Duration = Duration::from_secs(60);
/// How long a rejection may last before it counts: an API server learns of new roles with a delay.
const REFUSED: Duration = Duration::from_secs(5);
/// Interval between checks whether the caches are complete.
const LOOK: Duration = Duration::from_millis(50);
/// How long cleaning up after a wake-up may take. unidler's server does the rest.
const TIDY: Duration = Duration::from_secs(5);

/// Executes the commands: with one set of caches and one hub, however many apps there are.
#[derive(Debug)]
pub struct Operator {
    pub(crate) cluster: KubernetesCluster,
    pub(crate) hub: Hub,
    pub(crate) settings: ClusterSettings,
    _watch: AbortOnDropHandle<()>,
}

impl Operator {
    /// Connects to the cluster, and waits until the caches are complete. `handover` determines how apps are put to
    /// sleep, if any are, and `deadline` how long that or a wake-up may take.
    ///
    /// # Errors
    ///
    /// If there is no cluster, or it cannot be watched.
    pub async fn start(
        settings: ClusterSettings,
        handover: Option<Handover>,
        deadline: Duration,
    ) -> anyhow::Result<Self> {
        let mut cluster = KubernetesCluster::connect(settings.clone()).await?;
        if let Some(handover) = handover {
            cluster = cluster.idling(handover);
        }
        // Filling the caches may take long; whether the API server responds shows at once.
        cluster.expect_answer().await?;
        let watched = cluster.clone();
        let watch = AbortOnDropHandle::new(tokio::spawn(async move { watched.run().await }));
        let began = Instant::now();
        let caches = &cluster.observer.caches;
        while let Some(why) = caches.incomplete() {
            let is_forbidden =
                caches.unusable() == Some(Reason::PermissionMissing) || !caches.unread().is_empty();
            let patience = if is_forbidden { REFUSED } else { READY };
            ensure!(
                began.elapsed() < patience,
                "the cluster cannot be watched: {why}"
            );
            sleep(LOOK).await;
        }
        let limits = Settings {
            deadline,
            max_wakes: usize::MAX,
            idle_grace: settings.idle_grace,
            ..Settings::default()
        };
        let hub = Hub::new(Arc::new(cluster.clone()), limits);
        Ok(Self {
            cluster,
            hub,
            settings,
            _watch: watch,
        })
    }

    /// The caches.
    pub(crate) fn caches(&self) -> &Caches {
        &self.cluster.observer.caches
    }

    /// Wakes the app of a host, as a visitor would. The stream ends with the final snapshot.
    pub fn wake(&self, host: &Host) -> impl Stream<Item = Progress> + Send + use<> {
        self.hub.start(host)
    }

    /// Whether all workloads that wake with an app have their replicas.
    #[must_use]
    pub fn has_replicas(&self, host: &Host) -> bool {
        let app = self
            .cluster
            .find(host)
            .map(|app| self.cluster.observe(&app));
        let is_up = |app: App| app.parts().all(|workload| workload.replicas > 0);
        app.flatten().is_ok_and(is_up)
    }

    /// Waits for the remaining writes after an app is ready.
    pub async fn tidied(&self, host: &Host) {
        let Ok(app) = self.cluster.find(host) else {
            return;
        };
        let tidied = async {
            let is_left = || {
                self.cluster
                    .observe(&app)
                    .is_ok_and(|app| is_unfinished(&app))
            };
            while is_left() {
                sleep(LOOK).await;
            }
        };
        // After the timeout, the server takes over.
        let _ = timeout(TIDY, tidied).await;
    }

    /// Ends all work under way.
    pub async fn stop(self) {
        self.hub.shutdown().await;
    }
}
