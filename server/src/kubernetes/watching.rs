//! The observations of one app, as a stream.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::warn;
use unidler::cluster::{AppId, Observation};

use super::{KubernetesCluster, detail::Detail, discovery::NotFound};

/// How often a wake-up looks again without any event: the time a container has been running is news, too.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long a wake-up goes without news before the caches are doubted: doubled each time, since slow apps are more common
/// than watches that lose something.
const DOUBT: Duration = Duration::from_secs(20);

/// The state of the stream.
pub(super) struct Watching {
    cluster: KubernetesCluster,
    app: AppId,
    changes: watch::Receiver<()>,
    /// From when the app is found, so that what is there before it starts is known.
    detail: Option<Detail>,
    latest: Option<Observation>,
    /// When that came.
    news: Instant,
    /// How long after that the caches are doubted.
    doubt: Duration,
}

impl Watching {
    pub(super) fn new(cluster: KubernetesCluster, app: AppId) -> Self {
        let changes = cluster.inner.changed.subscribe();
        Self {
            cluster,
            app,
            changes,
            detail: None,
            latest: None,
            news: Instant::now(),
            doubt: DOUBT,
        }
    }

    /// Waits for an observation that is different from the latest one.
    pub(super) async fn next(mut self) -> Option<(Observation, Self)> {
        loop {
            let observation = self.observe();
            let involved = observation.as_ref().err().map(ToString::to_string);
            let observation = observation.map_err(|error| error.reason);
            if self.latest.as_ref() != Some(&observation) {
                if let (Err(reason), Some(involved)) = (&observation, involved) {
                    warn!(app = %self.app, ?reason, "lost the app: {involved}");
                }
                self.latest = Some(observation.clone());
                (self.news, self.doubt) = (Instant::now(), DOUBT);
                return Some((observation, self));
            }
            if self.news.elapsed() >= self.doubt {
                self.doubt *= 2;
                self.cluster.doubt();
            }
            let of_detail = async {
                match &mut self.detail {
                    Some(detail) => detail.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender lives as long as the cluster, which this has.
                _ = self.changes.changed() => {}
                () = of_detail => {}
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }

    fn observe(&mut self) -> Result<unidler::cluster::Observed, NotFound> {
        self.changes.mark_unchanged();
        let found = self
            .cluster
            .app(&self.app)
            .inspect_err(|_| self.detail = None)?;
        if self
            .detail
            .as_ref()
            .is_some_and(|detail| !detail.is_of(&found))
        {
            self.detail = None;
        }
        let client = &self.cluster.inner.watching_client;
        let detail = self
            .detail
            .get_or_insert_with(|| Detail::watch(client, &found));
        detail.note(&found);
        Ok(self.cluster.observed(&found, self.detail.as_ref()))
    }
}
