//! The commands for those who run the cluster: `idle`, `status` and `doctor`.
//!
//! ```text
//!  api ──Objects──> idle::plan ──Plan──> carry_out      two conditional patches, or none
//!                   status::apps ────────> stdout
//!  api ─Snapshot──> doctor::findings ────> stdout
//! ```
//!
//! [`api`] and [`carry_out`] do all that needs the cluster. The rest is pure.

mod api;
mod carry_out;
mod doctor;
mod idle;
mod status;

use std::{
    io::Write,
    process::ExitCode,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand, ValueEnum};
use k8s_openapi::jiff::Timestamp;
use unidler::host::Host;

use super::Settings;
use crate::config;

/// What to do in a cluster, once.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Idle an app: no replicas, and its Service leads to the unidler, which wakes it for the next visitor.
    ///
    /// An Ingress must lead the host to a Service, and one Deployment in its namespace must have the app's key.
    /// Nothing is written for an app that could not be woken up as it was.
    ///
    /// The Service is switched first and switched back if the Deployment cannot be scaled. Its cluster IP is another
    /// one after the wake-up; whoever uses its name notices nothing.
    ///
    /// Exit code: 0 if the app is idled, 2 if it is not.
    Idle(Idle),
    /// List the apps that are idled.
    ///
    /// Exit code: 0, or 2 if the cluster cannot be asked.
    Status(Status),
    /// Look whether the cluster is set up so that apps can be idled and woken, and tell what mends what is not.
    ///
    /// Exit code: 0 if there is no error, whatever else was found; 1 if there is one; 2 if the cluster cannot be asked.
    Doctor(Doctor),
}

/// The options of `unidler idle`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Idle {
    /// The app's host, as its visitors type it.
    #[arg(value_parser = host)]
    pub host: Host,

    /// The address of unidler's Service inside the cluster [default: SERVICE.unidler.svc.DOMAIN, with those of --service
    /// and --cluster-domain].
    #[arg(long, value_name = "NAME.NAMESPACE.svc.DOMAIN")]
    pub unidler_host: Option<String>,

    /// Print the two patches, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// The options of `unidler status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct Status {
    /// How to write it.
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
}

/// The options of `unidler doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Doctor {
    /// The service account whose rights are looked at [default: one's own inside a cluster, else unidler:unidler].
    #[arg(long, value_name = "NAMESPACE:NAME")]
    pub service_account: Option<ServiceAccount>,

    /// How to write it.
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For machines: a JSON array.
    Json,
}

/// A service account of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl FromStr for ServiceAccount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((namespace, name))
                if !namespace.is_empty() && !name.is_empty() && !name.contains(':') =>
            {
                Ok(Self {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => Err(
                "write namespace and name with a colon between, such as unidler:unidler".to_owned(),
            ),
        }
    }
}

fn host(text: &str) -> Result<Host, String> {
    Host::parse(text).map_err(|_| {
        "write the host as the app's Ingress has it, such as tool.example.org".to_owned()
    })
}

/// Does what a command says, and writes the result to the standard output.
///
/// # Errors
///
/// If it cannot be done, in words that tell what to do.
pub async fn run(command: Command, config: &config::ClusterArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings {
        key_label: config.unidle_key_label.clone(),
        service_name: config.service.clone(),
        cluster_domain: config.cluster_domain.clone(),
        max_replicas: config.max_replicas,
    };
    let api = api::connect().await?;
    match command {
        Command::Idle(Idle {
            host,
            unidler_host,
            dry_run,
        }) => {
            let target = idle::Target::parse(unidler_host.as_deref(), &settings)?;
            api.expect_service(&target).await?;
            let objects = api.objects().await?;
            let plan = idle::plan(&host, &objects, &settings, &target, now())?;
            if dry_run {
                print(&plan.to_string());
            } else {
                api.carry_out(&plan, &settings).await?;
                print(&plan.done());
            }
        }
        Command::Status(Status { output }) => {
            let apps = status::apps(&api.objects().await?, &settings);
            print(&match output {
                Output::Text => status::table(&apps, now()),
                Output::Json => json(&apps),
            });
        }
        Command::Doctor(Doctor {
            service_account,
            output,
        }) => {
            let snapshot = api.snapshot(settings, service_account).await?;
            let findings = doctor::findings(&snapshot);
            print(&match output {
                Output::Text => doctor::text(&findings),
                Output::Json => json(&findings),
            });
            if findings
                .iter()
                .any(|finding| finding.severity == doctor::Severity::Error)
            {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// To the standard output. Nobody is there to hear that it is closed.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// This second.
fn now() -> Timestamp {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Timestamp::from_second(i64::try_from(seconds).unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_written_as_namespace_and_name() {
        let account = ServiceAccount {
            namespace: "tools".into(),
            name: "unidler".into(),
        };
        assert_eq!("tools:unidler".parse(), Ok(account));
        for text in ["", "unidler", ":", "a:", ":b", "a:b:c"] {
            assert!(text.parse::<ServiceAccount>().is_err(), "{text:?}");
        }
    }
}
