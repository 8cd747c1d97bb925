//! The snapshots that one visitor sees, from the lookup of the host to the end.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    inner::Inner,
    snapshot::{milliseconds, new_reference, nowhere},
    wake::{Listener, Mandate},
};
use crate::{
    host::Host,
    progress::{Phase, Progress, Reason},
};

/// Interval between lookups of a host while the cluster cannot say which app it belongs to.
const FIND_AGAIN: Duration = Duration::from_millis(500);

/// The snapshots of one visitor, as a stream.
pub(super) enum Visit {
    /// The app is known.
    Listening(Listener),
    /// The app is not known. Such a visit costs no driver: anybody may ask for any host.
    Finding(Finding),
}

pub(super) struct Finding {
    inner: Arc<Inner>,
    host: Host,
    mandate: Mandate,
    reference: String,
    since: Instant,
    /// The number of snapshots so far, and why the last one had no app.
    told: (u64, Option<Reason>),
}

impl Visit {
    pub(super) fn new(inner: Arc<Inner>, host: Host, mandate: Mandate) -> Self {
        match inner.attach(&host, mandate) {
            Ok(listener) => Self::Listening(listener),
            Err(_) => {
                let (reference, since) = (new_reference(), Instant::now());
                Self::Finding(Finding {
                    inner,
                    host,
                    mandate,
                    reference,
                    since,
                    told: (0, None),
                })
            }
        }
    }

    /// The next snapshot, and the visit after it, unless that was the last one.
    pub(super) async fn next(self) -> Option<(Progress, Option<Self>)> {
        let mut listener = match self {
            Self::Listening(listener) => listener,
            Self::Finding(finding) => match finding.next().await {
                Found::App(listener) => listener,
                Found::Nothing(progress, finding) => {
                    return Some((progress, finding.map(Self::Finding)));
                }
            },
        };
        let progress = listener.next().await?;
        let goes_on = !progress.phase.is_terminal();
        Some((progress, goes_on.then_some(Self::Listening(listener))))
    }
}

enum Found {
    App(Listener),
    Nothing(Progress, Option<Finding>),
}

impl Finding {
    /// Waits until the app is found, or the reason for not finding it changes.
    async fn next(mut self) -> Found {
        loop {
            let reason = match self.inner.attach(&self.host, self.mandate) {
                Ok(listener) => return Found::App(listener),
                Err(reason) => reason,
            };
            let is_late = self.since.elapsed() >= self.inner.settings.deadline;
            let (revision, told) = self.told;
            if is_late || told != Some(reason) {
                self.told = (revision + 1, Some(reason));
                let mut progress = nowhere(&self.host, reason);
                if is_late {
                    progress.phase = Phase::Failed { reason };
                }
                progress.reference.clone_from(&self.reference);
                (progress.revision, progress.elapsed_ms) =
                    (revision, milliseconds(self.since.elapsed()));
                let finding = (!progress.phase.is_terminal()).then_some(self);
                return Found::Nothing(progress, finding);
            }
            sleep(FIND_AGAIN).await;
        }
    }
}
