//! The commands for cluster operators, one file each with its options and its implementation.

pub mod doctor;
mod host;
pub mod idle;
pub mod keep_awake;
mod output;
pub mod plan;
pub mod restore;
pub mod status;
pub mod wake;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::ClusterArgs;

/// What to do in a cluster, once.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Operate {
    /// Idle apps: scale them to zero and route their visitors to unidler, which wakes them on the next visit.
    ///
    /// An app is everything behind a host. An app that could not be restored as it was is refused, and nothing is written. Visitors are
    /// routed to unidler first, and back to the app if it cannot be scaled.
    ///
    /// Exit code: 0 if all hosts are idled, or everything in a namespace that can be; 1 if a host is not idled, or nothing in a
    /// namespace; 2 if the cluster cannot be reached.
    Idle(idle::Options),
    /// Wake an app without a visitor.
    ///
    /// Exit code: 0 if it is ready, or without --wait if it is starting; 1 if it cannot start; 2 if it is not ready in time, or the
    /// cluster cannot be reached.
    Wake(wake::Options),
    /// Keep an app awake for a while, regardless of its hours and its use.
    ///
    /// Its Services get the annotation `unidler/keep-awake-until`. To end it sooner, remove that.
    ///
    /// Exit code: 0, or 2 if there is no such app or it cannot be annotated.
    KeepAwake(keep_awake::Options),
    /// Restore all idled apps and remove unidler's `EndpointSlices`: run this before you uninstall unidler.
    ///
    /// The replicas of each app are restored, and its visitors are routed to it once it answers, or after half a minute.
    ///
    /// Exit code: 0 if all apps are restored, 1 if one is not, 2 if the cluster cannot be reached.
    Restore(restore::Options),
    /// Show which apps would be put to sleep now and, for the others, what keeps them awake and until when. It takes the server's options
    /// about sleep. In the server's pod they are set: kubectl -n unidler exec deploy/unidler -- /unidler plan
    ///
    /// Exit code: 0, or 2 if the cluster cannot be reached.
    Plan(plan::Options),
    /// List the idled apps.
    ///
    /// Exit code: 0, or 2 if the cluster cannot be reached.
    Status(status::Options),
    /// Check that apps of this cluster can be idled and woken, and show how to fix what prevents that.
    ///
    /// Exit code: 0 if there is no error, whatever else was found; 1 if there is one; 2 if the cluster cannot be reached.
    Doctor(doctor::Options),
}

impl Operate {
    /// Runs the command, and writes the result to standard output.
    ///
    /// # Errors
    ///
    /// If the command fails, with an explanation of what to do.
    pub async fn run(self, cluster: &ClusterArgs) -> anyhow::Result<ExitCode> {
        match self {
            Self::Idle(options) => options.run(cluster).await,
            Self::Wake(options) => options.run(cluster).await,
            Self::KeepAwake(options) => options.run(cluster).await,
            Self::Restore(options) => options.run(cluster).await,
            Self::Plan(options) => options.run(cluster).await,
            Self::Status(options) => options.run(cluster).await,
            Self::Doctor(options) => options.run(cluster).await,
        }
    }
}
