//! The configuration: one struct, which is the command line and the environment at once.
//!
//! Nothing is required. A value that makes no sense is refused at the start, with what would.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use axum::http::HeaderName;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{brand::Brand, kubernetes::operate, traces::Collector};

/// Wakes idled Kubernetes apps when somebody visits them, and shows the visitor how it goes.
#[derive(Debug, Parser)]
#[command(name = "unidler", version, max_term_width = 100)]
pub struct Cli {
    /// What to do instead of serving the cluster's idled apps.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The configuration.
    #[command(flatten)]
    pub config: Config,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Play a cluster: no Kubernetes needed. Open the start page in a browser and wake the apps on it.
    Demo,
    /// What else there is to do in a cluster.
    #[command(flatten)]
    Operate(operate::Command),
}

/// The configuration of the server.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub struct Config {
    /// Port to listen at, on all addresses; or an address and a port, such as 127.0.0.1:8080.
    #[arg(long, env = "PORT", default_value = "8080", value_name = "[ADDRESS]:PORT", global = true)]
    pub port: Listen,

    /// Label of Ingress, Deployment and Service whose value is the app's key: with `host` the whole host, with any
    /// other label the host's first part.
    #[arg(long, env = "UNIDLE_KEY_LABEL", default_value = "host", value_name = "LABEL", value_parser = label, global = true)]
    pub unidle_key_label: String,

    /// Name of the unidler's own Service, in any namespace, that idled apps' Services point at.
    #[arg(long, env = "UNIDLER_SERVICE", default_value = "unidler", value_name = "NAME", global = true)]
    pub service: String,

    /// Most replicas that an app is given back.
    #[arg(long, env = "UNIDLER_MAX_REPLICAS", default_value = "10", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_replicas: u32,

    /// Seconds after which a wake-up has failed.
    #[arg(long, env = "UNIDLER_DEADLINE", default_value = "600", value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub deadline: u64,

    /// Most apps that may be waking at the same time.
    #[arg(long, env = "UNIDLER_MAX_WAKES", default_value = "100", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_wakes: u32,

    /// Most event streams at the same time.
    #[arg(long, env = "UNIDLER_MAX_STREAMS", default_value = "20000", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_streams: u32,

    /// Most event streams of one app at the same time.
    #[arg(long, env = "UNIDLER_MAX_STREAMS_PER_APP", default_value = "5000", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_streams_per_app: u32,

    /// Most event streams of one client at the same time, if --client-header tells who that is.
    #[arg(long, env = "UNIDLER_MAX_STREAMS_PER_CLIENT", default_value = "50", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_streams_per_client: u32,

    /// Header in which the ingress tells the client's address, such as X-Forwarded-For. Name one only if the ingress
    /// sets it itself.
    #[arg(long, env = "UNIDLER_CLIENT_HEADER", value_name = "HEADER", global = true)]
    pub client_header: Option<HeaderName>,

    /// Most connections at the same time.
    #[arg(long, env = "UNIDLER_MAX_CONNECTIONS", default_value = "25000", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_connections: u32,

    /// Seconds from the signal to stop, when readiness goes off, to the end of the streams.
    #[arg(long, env = "UNIDLER_SHUTDOWN_DELAY", default_value = "3", value_name = "SECONDS", global = true)]
    pub shutdown_delay: u64,

    /// Port, or address and port, of the metrics for Prometheus, at /metrics. Without it there are none: strangers
    /// reach the other port.
    #[arg(long, env = "UNIDLER_METRICS_PORT", value_name = "[ADDRESS]:PORT", global = true)]
    pub metrics_port: Option<Listen>,

    /// Pass requests on to an app that is up while its ingress, which has not noticed yet, still sends them here:
    /// to the address of its Service inside the cluster. Network policies must allow that.
    #[arg(long, env = "UNIDLER_PROXY_LATE_REQUESTS", global = true)]
    pub proxy_late_requests: bool,

    /// HTTP status of the page. Some proxies replace pages that come with 503 by their own.
    #[arg(long, env = "UNIDLER_PAGE_STATUS", default_value = "200", value_name = "STATUS", global = true)]
    pub page_status: PageStatus,

    /// Folder of the page's files [default: the folder `site` beside the program].
    #[arg(long, env = "UNIDLER_SITE", value_name = "FOLDER", global = true)]
    pub site: Option<PathBuf>,

    /// How the log is written, to the standard error. What it tells is set by RUST_LOG.
    #[arg(long, env = "UNIDLER_LOG_FORMAT", default_value = "text", value_name = "FORMAT", global = true)]
    pub log_format: LogFormat,

    /// Collector that traces of the wake-ups are sent to, as OTLP over HTTP, such as `http://collector:4318`. Other
    /// variables of OpenTelemetry, such as `OTEL_SERVICE_NAME`, count as well.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", global = true)]
    pub otlp_endpoint: Option<Collector>,

    /// The operators' face on the page.
    #[command(flatten)]
    pub brand: Brand,
}

impl Config {
    /// How long a wake-up may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline)
    }
}

/// Where to listen. `8080` and `:8080` mean all addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On all addresses, IPv6 and IPv4.
    Everywhere {
        /// The port; 0 means any that is free.
        port: u16,
    },
    /// On one address.
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
            return Ok(Self::Everywhere { port });
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| "write a port from 0 to 65535, such as 8080 or :8080, or 127.0.0.1:8080".to_owned())
    }
}

/// The name of a label ([Kubernetes: syntax of labels]), since it becomes part of every request.
///
/// [Kubernetes: syntax of labels]: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
fn label(text: &str) -> Result<String, String> {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_name = |name: &str| {
        (1..=63).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let is_prefix = |prefix: &str| prefix.len() <= 253 && prefix.split('.').all(is_name);
    if is_name(name) && prefix.is_none_or(is_prefix) {
        Ok(text.to_owned())
    } else {
        Err("write the name of a Kubernetes label, such as host or unidle-key or example.org/key".to_owned())
    }
}

/// The HTTP status of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PageStatus {
    /// 200 OK.
    #[value(name = "200")]
    Ok,
    /// 503 Service Unavailable.
    #[value(name = "503")]
    Unavailable,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_port_is_written_in_any_of_the_usual_ways() {
        assert_eq!("8080".parse(), Ok(Listen::Everywhere { port: 8080 }));
        assert_eq!(":8080".parse(), Ok(Listen::Everywhere { port: 8080 }));
        assert_eq!("127.0.0.1:80".parse(), Ok(Listen::At(([127, 0, 0, 1], 80).into())));
        for text in ["", ":", "x", "65536", "-1", "8080:", "localhost:8080"] {
            assert!(text.parse::<Listen>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_label_cannot_smuggle_anything_into_a_selector() {
        for text in ["host", "unidle-key", "example.org/key", "a_b.c"] {
            assert_eq!(label(text).as_deref(), Ok(text));
        }
        for text in ["", "a b", "a=b", "a,b", "!a", "-a", "a-", "a/b/c", "/a", "a/", "ä"] {
            assert!(label(text).is_err(), "{text:?}");
        }
    }

    /// The table of the README lists every option with its environment variable and its default.
    #[test]
    fn the_readme_lists_every_option() {
        let readme = include_str!("../../README.md");
        for argument in Cli::command().get_arguments() {
            let Some(variable) = argument.get_env().and_then(|name| name.to_str()) else { continue };
            let default = argument.get_default_values().first().and_then(|value| value.to_str()).unwrap_or_default();
            let flag = argument.get_long().unwrap_or_default();
            let row = format!("| `--{flag}` | `{variable}` | {}", if default.is_empty() { "" } else { "`" });
            let line = readme.lines().find(|line| line.starts_with(&row));
            assert!(
                line.is_some_and(|line| line.contains(&format!("`{default}`")) || default.is_empty()),
                "no row {row}{default}"
            );
        }
    }

    /// The chart can set every option: its template makes the variable from the name of the flag.
    #[test]
    fn the_chart_can_set_every_option() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../deploy/chart/values.schema.json")).expect("a schema");
        let options = schema["properties"]["config"]["properties"].as_object().expect("options");
        let mut flags = Vec::new();
        let command = Cli::command();
        for argument in command.get_arguments() {
            let (Some(flag), Some(variable)) = (argument.get_long(), argument.get_env()) else { continue };
            // The image has its files where the program looks for them.
            if flag == "site" {
                continue;
            }
            let name = flag.to_uppercase().replace('-', "_");
            let made = match flag {
                "port" | "unidle-key-label" => name,
                "otlp-endpoint" => format!("OTEL_EXPORTER_{name}"),
                _ => format!("UNIDLER_{name}"),
            };
            assert_eq!(variable.to_str(), Some(made.as_str()), "the variable of --{flag}");
            flags.push(flag);
        }
        let kebab = |key: &String| {
            key.chars().flat_map(|c| c.is_ascii_uppercase().then_some('-').into_iter().chain([c.to_ascii_lowercase()])).collect()
        };
        let mut known: Vec<String> = options.keys().map(kebab).collect();
        known.sort_unstable();
        flags.sort_unstable();
        assert_eq!(known, flags, "the options in deploy/chart/values.schema.json are the flags");
    }
}
