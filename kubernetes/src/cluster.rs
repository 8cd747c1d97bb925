//! The engine's access to a real cluster.

use std::sync::Arc;

use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use k8s_openapi::jiff::Timestamp;
use kube::{Client, Config};
use metrics::counter;
use tracing::warn;
use unidler::{
    app::{AppId, Observation},
    cluster::{ApplyError, Cluster, Way, Write},
    host::Host,
    progress::{Progress, Reason},
    sleep::brake::{Cause, Undone},
};

use crate::{
    cache::Cached,
    client,
    diversion::{Handover, slice::Slice},
    events::Notes,
    found::Found,
    objects::Workload,
    observe::Observer,
    settings::ClusterSettings,
    undone::{self, UNDONE},
    watching::Watching,
    writer::Writer,
};

/// The cluster that the process runs in, or that a kubeconfig names. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KubernetesCluster {
    pub(crate) observer: Arc<Observer>,
    writer: Writer,
    /// Records Events on workloads.
    notes: Arc<Notes>,
}

impl KubernetesCluster {
    /// Connects to the cluster that the process runs in, else to the one that a kubeconfig names.
    ///
    /// # Errors
    ///
    /// If there is neither, with an explanation of what to do. An unreachable API server is not an error: the
    /// connection is retried, and readiness reports it.
    pub async fn connect(settings: ClusterSettings) -> anyhow::Result<Self> {
        Self::new(client::configuration().await?, settings)
    }

    /// The cluster of a configuration. It receives no request before [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// If the configuration cannot be used, such as for a certificate that cannot be read.
    pub fn new(config: Config, settings: ClusterSettings) -> anyhow::Result<Self> {
        let (writing, watching) = client::clients(config)?;
        Ok(Self::with_clients(writing, watching, settings))
    }

    pub(crate) fn with_clients(
        writing: Client,
        watching: Client,
        settings: ClusterSettings,
    ) -> Self {
        Self {
            notes: Arc::new(Notes::new(writing.clone())),
            writer: Writer::new(writing, &settings),
            observer: Arc::new(Observer::new(watching, settings)),
        }
    }

    /// The same cluster, with permission to put apps to sleep.
    #[must_use]
    pub fn idling(self, handover: Handover) -> Self {
        Self {
            writer: self.writer.idling(handover),
            ..self
        }
    }

    /// Has a slice of unidler's own route nobody here any more, if it is as it was seen.
    pub(crate) async fn empty_slice(&self, slice: &Cached<Slice>) -> Result<(), ApplyError> {
        self.writer.empty_slice(slice).await
    }

    /// Deletes a slice of unidler's own, if it is unchanged since it was observed.
    pub(crate) async fn delete_slice(&self, slice: &Cached<Slice>) -> Result<(), ApplyError> {
        self.writer.delete_slice(slice).await
    }

    /// Records on a workload why it is not put to sleep, although its owner has requested that.
    pub(crate) async fn note_refusal(&self, workload: &Cached<Workload>, why: &str) {
        self.notes.refusal(workload, why).await;
    }

    /// Records what keeps an app from staying asleep.
    fn note_undone(&self, found: Found, undone: Undone) {
        let (cause, until) = (&undone.cause, undone.until());
        warn!(app = %found.id, times = undone.times, "{cause}: left alone until {until}");
        if let Cause::Returned(by) = cause {
            counter!(UNDONE, "by" => undone::tool(by.as_deref())).increment(1);
        }
        let notes = Arc::clone(&self.notes);
        tokio::spawn(async move {
            for workload in &found.workloads {
                notes.undone(workload, &undone).await;
            }
        });
    }

    /// Checks whether the API server responds at all.
    pub(crate) async fn expect_answer(&self) -> anyhow::Result<()> {
        self.writer.expect_answer().await
    }

    /// Fills the caches, forever.
    pub async fn run(&self) {
        self.observer.run().await;
    }

    /// Keeps the metrics of the caches and of idled apps up to date, forever. This computes for a while where there are
    /// thousands of apps, so it is a task of its own, on a runtime with several threads.
    pub async fn measure(&self) {
        self.observer.measure().await;
    }
}

impl Cluster for KubernetesCluster {
    fn find(&self, host: &Host) -> Result<AppId, Reason> {
        self.observer.app_of(host).map(|found| found.id)
    }

    fn apps(&self) -> Vec<AppId> {
        self.observer
            .apps()
            .into_iter()
            .map(|found| found.id)
            .collect()
    }

    fn companions(&self, app: &AppId) -> Vec<AppId> {
        let found = self.observer.app(app);
        let companions = found.map(|found| self.observer.caches.companions(&found));
        let companions = companions.unwrap_or_default().into_iter();
        companions.map(|found| found.id).collect()
    }

    fn observe(&self, app: &AppId) -> Observation {
        self.observer
            .app(app)
            .map(|found| self.observer.observed(&found, None))
            .map_err(|error| error.reason)
    }

    fn watch(&self, app: &AppId) -> BoxStream<'static, Observation> {
        let watching = Watching::new(Arc::clone(&self.observer), app.clone());
        stream::unfold(watching, Watching::next).boxed()
    }

    fn apply<'a>(
        &'a self,
        app: &'a AppId,
        write: &'a Write,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        async move {
            let found = self.observer.app(app).map_err(|_| ApplyError::Conflict)?;
            let destination = self.observer.destination();
            let undone = found.undone_by(write, Timestamp::now());
            self.writer
                .apply(&found, write, destination.as_ref(), undone.as_ref())
                .await?;
            if let Some(undone) = undone {
                self.note_undone(found, undone);
            }
            Ok(())
        }
        .boxed()
    }

    fn way(&self, host: &Host) -> Option<Way> {
        let found = self.observer.app_of(host).ok()?;
        found.way(host, &self.observer.reachable, Timestamp::now())
    }

    fn note(&self, app: &AppId, outcome: &Progress) {
        let Ok(found) = self.observer.app(app) else {
            return;
        };
        let (notes, outcome) = (Arc::clone(&self.notes), outcome.clone());
        tokio::spawn(async move {
            for workload in &found.workloads {
                notes.write(workload, &outcome).await;
            }
        });
    }

    fn not_ready(&self) -> Option<String> {
        self.observer.not_ready()
    }
}
