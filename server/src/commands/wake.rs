//! `unidler wake`: wakes an app without a visitor.

use std::{pin::pin, process::ExitCode, time::Duration};

use clap::Args;
use futures::StreamExt;
use k8s_openapi::jiff::SignedDuration;
use tokio::time::timeout;
use unidler::{
    host::Host,
    progress::{Notice, Phase, Progress, Reason, Step},
};
use unidler_app::words::Language;
use unidler_kubernetes::Operator;

use super::{
    host::host,
    output::{complain, print},
};
use crate::{config::ClusterArgs, duration::duration};

/// How long it may take until an app has its replicas: they are restored once everything that it needs is available.
const START: Duration = Duration::from_mins(5);
/// The deadline of the driver itself: longer than this command ever waits.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// The options of `unidler wake`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Options {
    /// The app's host, as its visitors type it.
    #[arg(value_parser = host)]
    pub host: Host,

    /// How long to wait until the app is ready, such as 90s or 10m. Without it, the command ends when the app has its replicas,
    /// which it gets after what it needs; unidler's server does the rest.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
}

/// The result to report.
enum Outcome {
    Ready(Progress),
    Started,
    Failed(Reason),
    /// With the last known problem.
    TimedOut(Option<Reason>),
}

impl Options {
    /// Wakes the app, and reports the result.
    ///
    /// # Errors
    ///
    /// If the cluster cannot be reached.
    pub(super) async fn run(self, cluster: &ClusterArgs) -> anyhow::Result<ExitCode> {
        let Self { host, wait } = &self;
        let operator = Operator::start(cluster.settings(), None, FOREVER).await?;
        let outcome = self.wake(&operator).await;
        if let Outcome::Ready(_) = outcome {
            operator.tidied(host).await;
        }
        operator.stop().await;
        Ok(match outcome {
            Outcome::Ready(progress) => {
                print(&match progress.phase {
                    Phase::Ready {
                        notice: Some(Notice::AlreadyAwake),
                    } => format!("{host} is already awake."),
                    _ => format!("{host} is awake after {} s.", progress.elapsed_ms / 1000),
                });
                ExitCode::SUCCESS
            }
            Outcome::Started => {
                print(&format!("{host} is starting."));
                ExitCode::SUCCESS
            }
            Outcome::Failed(reason) => {
                complain(&format!("{host} is not awake: {}", explained(reason)));
                ExitCode::FAILURE
            }
            Outcome::TimedOut(reason) => {
                let waited = SignedDuration::try_from(wait.unwrap_or(START)).unwrap_or_default();
                let why =
                    reason.map_or_else(String::new, |reason| format!(": {}", explained(reason)));
                complain(&format!("{host} is not awake after {waited:#}{why}"));
                ExitCode::from(2)
            }
        })
    }

    async fn wake(&self, operator: &Operator) -> Outcome {
        let mut last = None;
        let following = async {
            let mut progress = pin!(operator.wake(&self.host));
            while let Some(progress) = progress.next().await {
                match progress.phase {
                    Phase::Ready { .. } => return Outcome::Ready(progress),
                    Phase::Failed { reason } => return Outcome::Failed(reason),
                    // It takes a moment to observe that a running app responds.
                    Phase::Waking { step, .. }
                        if self.wait.is_none()
                            && (Step::Scheduling..Step::Connecting).contains(&step)
                            && operator.has_replicas(&self.host) =>
                    {
                        return Outcome::Started;
                    }
                    Phase::Waking { reason, .. } => last = reason,
                    Phase::Asleep => {}
                }
            }
            Outcome::Failed(Reason::Internal)
        };
        let waited = timeout(self.wait.unwrap_or(START), following).await;
        waited.unwrap_or(Outcome::TimedOut(last))
    }
}

/// A reason in the words of the page, under which docs/troubleshoot.md lists what to check.
fn explained(reason: Reason) -> &'static str {
    (Language::English.words().reason)(reason).what
}
