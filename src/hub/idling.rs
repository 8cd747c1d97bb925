//! The outcome of an attempt to put an app to sleep.

use std::{fmt, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use crate::{
    app::ObjectId,
    cluster::{ApplyError, Write},
    progress::Reason,
    sleep::decide::By,
};

/// How long after a decision that is based on the use of an app, or on the time, the first write may still be made.
const BEGIN: Duration = Duration::from_secs(30);

/// Why an app is not asleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotIdled {
    /// What prevented it.
    pub cause: Cause,
    /// Whether the attempt has been undone completely. If not, the app's visitors may land here until a server's
    /// [sweep](super::Hub::sweep) routes them back.
    pub is_undone: bool,
}

/// What prevents an app from being put to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody wakes it, or has woken it in between.
    Woken,
    /// This workload of the app has to stay awake for something else that is awake.
    InUse(ObjectId),
    /// A write does not succeed.
    Write(Write, ApplyError),
    /// The app cannot be idled in its present state.
    App(Reason),
    /// The attempt did not begin soon enough: the observed use of the app is outdated by now.
    Late,
    /// This process is shutting down.
    Shutdown,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Woken => f.write_str("somebody woke the app in the meantime"),
            Self::InUse(workload) => write!(f, "{workload} has to stay awake for something else"),
            Self::Write(write, error) => {
                let (object, _) = write.target();
                let what = match write {
                    Write::Divert { .. } | Write::Restore { .. } => "switch",
                    Write::Idle { .. } | Write::Scale { .. } => "scale",
                    Write::ClearIdled { .. } => "unmark",
                };
                write!(f, "cannot {what} {object}: {error}")
            }
            Self::App(reason) => write!(f, "the app cannot be idled as it is: {reason:?}"),
            Self::Late => f.write_str("it could not begin in time"),
            Self::Shutdown => f.write_str("unidler is shutting down"),
        }
    }
}

/// An attempt that is under way.
pub(super) struct Idling {
    reply: oneshot::Sender<Result<(), NotIdled>>,
    /// What puts the app to sleep.
    pub(super) by: By,
    /// When that was decided.
    since: Instant,
    /// What has ended the attempt. Its writes are then undone.
    pub(super) failed: Option<Cause>,
    /// The last write that failed, though it may still succeed.
    pub(super) last_error: Option<Cause>,
}

impl Idling {
    pub(super) fn new(by: By) -> (Self, oneshot::Receiver<Result<(), NotIdled>>) {
        let (reply, outcome) = oneshot::channel();
        let idling = Self {
            reply,
            by,
            since: Instant::now(),
            failed: None,
            last_error: None,
        };
        (idling, outcome)
    }

    /// Whether it is too late to divert visitors.
    pub(super) fn is_late(&self) -> bool {
        match self.by {
            By::IdleAfter | By::Schedule => self.since.elapsed() > BEGIN,
            By::Command | By::Repair | By::Adopt => false,
        }
    }

    /// Reports that the app is asleep. The caller may no longer be waiting.
    pub(super) fn succeed(self) {
        let _ = self.reply.send(Ok(()));
    }

    /// Reports that the attempt is over and the app is not asleep. Without a recorded cause, a driver for a visitor has
    /// replaced it.
    pub(super) fn fail(self, is_undone: bool) {
        let cause = self.failed.unwrap_or(Cause::Woken);
        let _ = self.reply.send(Err(NotIdled { cause, is_undone }));
    }
}
