//! The commands for those who run the cluster, one file each: its options, and what it does.

pub mod doctor;
pub mod idle;
mod output;
pub mod status;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::ClusterArgs;

/// What to do in a cluster, once.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Operate {
    /// Idle an app: no replicas, and its Service leads to the unidler, which wakes it for the next visitor.
    ///
    /// An Ingress must lead the host to a Service, and one Deployment in its namespace must have the app's key.
    /// Nothing is written for an app that could not be woken up as it was.
    ///
    /// The Service is switched first and switched back if the Deployment cannot be scaled. Its cluster IP is another
    /// one after the wake-up; whoever uses its name notices nothing.
    ///
    /// Exit code: 0 if the app is idled, 2 if it is not.
    Idle(idle::Options),
    /// List the apps that are idled.
    ///
    /// Exit code: 0, or 2 if the cluster cannot be asked.
    Status(status::Options),
    /// Look whether the cluster is set up so that apps can be idled and woken, and tell what mends what is not.
    ///
    /// Exit code: 0 if there is no error, whatever else was found; 1 if there is one; 2 if the cluster cannot be asked.
    Doctor(doctor::Options),
}

impl Operate {
    /// Does what the command says, and writes the result to the standard output.
    ///
    /// # Errors
    ///
    /// If it cannot be done, in words that tell what to do.
    pub async fn run(self, cluster: &ClusterArgs) -> anyhow::Result<ExitCode> {
        match self {
            Self::Idle(options) => options.run(cluster).await,
            Self::Status(options) => options.run(cluster).await,
            Self::Doctor(options) => options.run(cluster).await,
        }
    }
}
