//! The observations of one app, as a stream.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::warn;
use unidler::app::{AppId, Observation};

use crate::{lookup::NotFound, observe::Observer, reachable::Answering, rollout::Rollout};

/// How often a wake-up is observed again without any event: the time for which a container has been running matters,
/// too.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long a wake-up makes no progress before the caches are doubted: doubled each time, since slow apps are more
/// common than watches that lose events.
const DOUBT: Duration = Duration::from_secs(20);

/// The state of the stream.
pub(crate) struct Watching {
    observer: Arc<Observer>,
    app: AppId,
    changes: watch::Receiver<()>,
    /// Watched from the moment when the app is found, so that pods and endpoints from before its start can be told
    /// apart.
    rollout: Option<Rollout>,
    /// The part of it that is published for others.
    published: Vec<Arc<Answering>>,
    latest: Option<Observation>,
    /// When that observation arrived.
    news: Instant,
    /// How long after that to doubt the caches.
    doubt: Duration,
}

impl Watching {
    pub(crate) fn new(observer: Arc<Observer>, app: AppId) -> Self {
        let changes = observer.changes();
        Self {
            observer,
            app,
            changes,
            rollout: None,
            published: Vec::new(),
            latest: None,
            news: Instant::now(),
            doubt: DOUBT,
        }
    }

    /// Waits for an observation that differs from the latest one.
    pub(crate) async fn next(mut self) -> Option<(Observation, Self)> {
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
                self.observer.doubt();
            }
            let of_rollout = async {
                match &mut self.rollout {
                    Some(rollout) => rollout.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender lives as long as the observer, to which this has a reference.
                _ = self.changes.changed() => {}
                () = of_rollout => {}
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }

    fn observe(&mut self) -> Result<unidler::app::App, NotFound> {
        self.changes.mark_unchanged();
        let found = self
            .observer
            .app(&self.app)
            .inspect_err(|_| (self.rollout, self.published) = (None, Vec::new()))?;
        if self
            .rollout
            .as_ref()
            .is_some_and(|rollout| !rollout.is_of(&found))
        {
            self.rollout = None;
        }
        let rollout = self
            .rollout
            .get_or_insert_with(|| self.observer.watch(&found));
        rollout.remember(&found);
        self.published = rollout.publish(&self.observer.reachable);
        Ok(self.observer.observed(&found, self.rollout.as_ref()))
    }
}
