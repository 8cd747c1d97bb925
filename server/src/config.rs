//! The configuration: one struct, which is the command line and the environment at once.
//!
//! Nothing is required. A value that makes no sense is refused at the start, with what would.

use std::{
    collections::HashSet, env, ffi::OsString, fmt, net::SocketAddr, path::PathBuf, str::FromStr,
    sync::Arc,
};

use axum::http::HeaderName;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use unidler::host::Host;

use crate::{brand::Brand, kubernetes::operate, traces::Collector};

/// Wakes idled Kubernetes apps on their next visit and shows visitors the progress.
#[derive(Debug, Parser)]
#[command(name = "unidler", version, max_term_width = 100)]
pub struct Cli {
    /// What to do instead of serving the cluster's idled apps.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What every command needs to know of the cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What the server needs.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run against a simulated cluster, without Kubernetes. Open the start page in a browser to wake the demo apps.
    Demo,
    /// What else there is to do in a cluster.
    #[command(flatten)]
    Operate(operate::Command),
}

impl Cli {
    /// Reads the command line and the environment of this process. Ends the process if they make no sense.
    #[must_use]
    pub fn read() -> Self {
        let arguments: Vec<OsString> = env::args_os().collect();
        let matches = Self::command_for(&arguments).get_matches_from(arguments);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The command line as these arguments need it. A variable that is empty counts as not set. The commands for operators
    /// have no flags of the server, and none of its variables: those in an operator's shell are meant for something else.
    fn command_for(arguments: &[OsString]) -> clap::Command {
        let command = Self::command().mut_args(|argument| {
            let is_empty = argument
                .get_env()
                .and_then(env::var_os)
                .is_some_and(|value| value.is_empty());
            if is_empty {
                argument.env(None)
            } else {
                argument
            }
        });
        if !Self::is_for_operators(arguments) {
            return command;
        }
        let of_server = ServerArgs::augment_args(clap::Command::new("server"));
        let of_server: HashSet<_> = of_server
            .get_arguments()
            .map(|argument| argument.get_id().clone())
            .collect();
        command.mut_args(|argument| {
            if of_server.contains(argument.get_id()) {
                argument.global(false).env(None)
            } else {
                argument
            }
        })
    }

    fn is_for_operators(arguments: &[OsString]) -> bool {
        let names = operate::Command::augment_subcommands(clap::Command::new("operate"));
        let lenient = Self::command()
            .mut_args(|argument| argument.env(None))
            .ignore_errors(true)
            .disable_help_flag(true);
        let matches = lenient.try_get_matches_from(arguments);
        matches.is_ok_and(|matches| {
            matches
                .subcommand_name()
                .is_some_and(|name| names.find_subcommand(name).is_some())
        })
    }
}

/// What every command needs to know of the cluster.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// Label that ties together an app's Ingress, Deployment and Service. With `host`, its value is the full hostname; with
    /// any other label, the first part of the hostname.
    #[arg(long, env = "UNIDLE_KEY_LABEL", default_value = "host", value_name = "LABEL", value_parser = label, global = true)]
    pub unidle_key_label: String,

    /// Name of unidler's own Service. Services of idled apps point to a Service with this name, in any namespace.
    #[arg(
        long,
        env = "UNIDLER_SERVICE",
        default_value = "unidler",
        value_name = "NAME",
        global = true
    )]
    pub service: String,

    /// Domain of the cluster's DNS names. An idled app's Service points to SERVICE.NAMESPACE.svc.DOMAIN.
    #[arg(
        long,
        env = "UNIDLER_CLUSTER_DOMAIN",
        default_value = "cluster.local",
        value_name = "DOMAIN",
        global = true
    )]
    pub cluster_domain: String,

    /// Maximum number of replicas to restore when an app wakes.
    #[arg(long, env = "UNIDLER_MAX_REPLICAS", default_value = "10", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_replicas: u32,

    /// Log format. Logs go to standard error; RUST_LOG sets the level.
    #[arg(
        long,
        env = "UNIDLER_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT",
        global = true
    )]
    pub log_format: LogFormat,
}

/// What the server needs.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// Port to listen on, or address and port such as 127.0.0.1:8080. A port alone listens on all addresses.
    #[arg(
        long,
        env = "PORT",
        default_value = "8080",
        value_name = "[ADDRESS]:PORT",
        global = true
    )]
    pub port: Listen,

    /// Port, or address and port, for probes (/healthz, /readyz) and Prometheus metrics (/metrics). Off by default, since
    /// the main port is open to the public.
    #[arg(
        long,
        env = "UNIDLER_ADMIN_PORT",
        value_name = "[ADDRESS]:PORT",
        global = true
    )]
    pub admin_port: Option<Listen>,

    /// Seconds after which a wake-up is considered failed.
    #[arg(long, env = "UNIDLER_DEADLINE", default_value = "600", value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub deadline: u64,

    /// Maximum number of apps starting at the same time. Others wait in line.
    #[arg(long, env = "UNIDLER_MAX_WAKES", default_value = "100", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_wakes: u32,

    /// Maximum number of open connections [default: what fits into half of the memory limit, at most 25000].
    #[arg(long, env = "UNIDLER_MAX_CONNECTIONS", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_connections: Option<u32>,

    /// Maximum number of open event streams [default: four fifths of the connections].
    #[arg(long, env = "UNIDLER_MAX_STREAMS", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_streams: Option<u32>,

    /// Maximum number of open event streams per app [default: a quarter of all].
    #[arg(long, env = "UNIDLER_MAX_STREAMS_PER_APP", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_streams_per_app: Option<u32>,

    /// Maximum number of open event streams per client. Needs --client-header.
    #[arg(long, env = "UNIDLER_MAX_STREAMS_PER_CLIENT", default_value = "50", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..), global = true)]
    pub max_streams_per_client: u32,

    /// Header with the client's address, such as X-Forwarded-For or Forwarded. Only set this if your ingress sets the header
    /// itself; otherwise clients can forge it.
    #[arg(
        long,
        env = "UNIDLER_CLIENT_HEADER",
        value_name = "HEADER",
        global = true
    )]
    pub client_header: Option<HeaderName>,

    /// Seconds between SIGTERM, when readiness turns off, and closing the event streams.
    #[arg(
        long,
        env = "UNIDLER_SHUTDOWN_DELAY",
        default_value = "3",
        value_name = "SECONDS",
        global = true
    )]
    pub shutdown_delay: u64,

    /// Seconds that requests under way, such as forwarded downloads, may take after that.
    #[arg(
        long,
        env = "UNIDLER_SHUTDOWN_TIMEOUT",
        default_value = "20",
        value_name = "SECONDS",
        global = true
    )]
    pub shutdown_timeout: u64,

    /// Forward requests to an app that is awake while its ingress still routes them here. Requests go to the app's address
    /// inside the cluster; network policies must allow that.
    #[arg(long, env = "UNIDLER_PROXY_LATE_REQUESTS", global = true)]
    pub proxy_late_requests: bool,

    /// HTTP status of the page. With 503, search engines keep an app's pages; but some proxies replace 503 responses with
    /// their own error page.
    #[arg(
        long,
        env = "UNIDLER_PAGE_STATUS",
        default_value = "200",
        value_name = "STATUS",
        global = true
    )]
    pub page_status: PageStatus,

    /// Origins that may show the page in a frame, separated by commas, such as `https://portal.example.org`. None by default.
    #[arg(
        long,
        env = "UNIDLER_FRAME_ANCESTORS",
        value_name = "ORIGINS",
        global = true
    )]
    pub frame_ancestors: Option<FrameAncestors>,

    /// Directory with the page's assets [default: `site` next to the executable].
    #[arg(long, env = "UNIDLER_SITE", value_name = "FOLDER", global = true)]
    pub site: Option<PathBuf>,

    /// OTLP/HTTP endpoint to export wake-up traces to, such as `http://collector:4318`. Other OpenTelemetry variables, such as
    /// `OTEL_SERVICE_NAME`, apply too.
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        value_name = "URL",
        global = true
    )]
    pub otlp_endpoint: Option<Collector>,

    /// The operators' face on the page.
    #[command(flatten)]
    pub brand: Brand,
}

/// Origins that may show the page in a frame, as sources of a Content-Security-Policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameAncestors(pub Arc<str>);

impl FromStr for FrameAncestors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let origins: Vec<&str> = text
            .split([',', ' '])
            .filter(|origin| !origin.is_empty())
            .collect();
        if !origins.is_empty() && origins.iter().all(|origin| is_origin(origin)) {
            Ok(Self(origins.join(" ").into()))
        } else {
            Err("write origins such as https://portal.example.org or https://*.example.org, separated by commas".to_owned())
        }
    }
}

/// Whether a text is an origin, perhaps with a wildcard for the first part of its host.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    matches!(scheme, "https" | "http")
        && Host::parse(host.strip_prefix("*.").unwrap_or(host)).is_ok()
        && port.parse::<u16>().is_ok()
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

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere { port } => write!(f, "port {port}"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
            return Ok(Self::Everywhere { port });
        }
        text.parse().map(Self::At).map_err(|_| {
            "write a port from 0 to 65535, such as 8080 or :8080, or 127.0.0.1:8080".to_owned()
        })
    }
}

/// The name of a label ([Kubernetes: syntax of labels]), since it becomes part of every request.
///
/// [Kubernetes: syntax of labels]: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
fn label(text: &str) -> Result<String, String> {
    let (prefix, name) = text
        .rsplit_once('/')
        .map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_name = |name: &str| {
        (1..=63).contains(&name.len())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let is_prefix = |prefix: &str| prefix.len() <= 253 && prefix.split('.').all(is_name);
    if is_name(name) && prefix.is_none_or(is_prefix) {
        Ok(text.to_owned())
    } else {
        Err(
            "write the name of a Kubernetes label, such as host or unidle-key or example.org/key"
                .to_owned(),
        )
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
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_commands_for_operators_have_no_flags_of_the_server() {
        let parse = |words: &[&str]| {
            let arguments: Vec<OsString> = words.iter().map(Into::into).collect();
            Cli::command_for(&arguments)
                .try_get_matches_from(arguments)
                .map(drop)
        };
        for words in [
            &["unidler", "--port", "1"][..],
            &["unidler", "demo", "--port", "1"],
            &["unidler", "--port", "1", "demo"],
        ] {
            assert!(parse(words).is_ok(), "{words:?}");
        }
        assert!(parse(&["unidler", "status", "--unidle-key-label", "key"]).is_ok());
        assert!(parse(&["unidler", "--unidle-key-label", "key", "status"]).is_ok());
        assert!(parse(&["unidler", "status", "--port", "1"]).is_err());
    }

    #[test]
    fn only_origins_may_show_the_page_in_a_frame() {
        for (text, policy) in [
            ("https://portal.example.org", "https://portal.example.org"),
            (
                "https://a.example, http://b.example:8080",
                "https://a.example http://b.example:8080",
            ),
            ("https://*.example.org", "https://*.example.org"),
        ] {
            assert_eq!(text.parse(), Ok(FrameAncestors(policy.into())));
        }
        for text in [
            "",
            ",",
            "*",
            "https:",
            "https://",
            "'self'",
            "https://a.example/x",
            "https://a.example;script-src *",
            "a.example",
        ] {
            assert!(text.parse::<FrameAncestors>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_is_written_in_any_of_the_usual_ways() {
        assert_eq!("8080".parse(), Ok(Listen::Everywhere { port: 8080 }));
        assert_eq!(":8080".parse(), Ok(Listen::Everywhere { port: 8080 }));
        assert_eq!(
            "127.0.0.1:80".parse(),
            Ok(Listen::At(([127, 0, 0, 1], 80).into()))
        );
        for text in ["", ":", "x", "65536", "-1", "8080:", "localhost:8080"] {
            assert!(text.parse::<Listen>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_label_cannot_smuggle_anything_into_a_selector() {
        for text in ["host", "unidle-key", "example.org/key", "a_b.c"] {
            assert_eq!(label(text).as_deref(), Ok(text));
        }
        for text in [
            "", "a b", "a=b", "a,b", "!a", "-a", "a-", "a/b/c", "/a", "a/", "ä",
        ] {
            assert!(label(text).is_err(), "{text:?}");
        }
    }

    /// The table of the README lists every option with its environment variable and its default.
    #[test]
    fn the_readme_lists_every_option() {
        let readme = include_str!("../../README.md");
        for argument in Cli::command().get_arguments() {
            let Some(variable) = argument.get_env().and_then(|name| name.to_str()) else {
                continue;
            };
            let default = argument
                .get_default_values()
                .first()
                .and_then(|value| value.to_str())
                .unwrap_or_default();
            let flag = argument.get_long().unwrap_or_default();
            let row = format!(
                "| `--{flag}` | `{variable}` | {}",
                if default.is_empty() { "" } else { "`" }
            );
            let line = readme.lines().find(|line| line.starts_with(&row));
            assert!(
                line.is_some_and(
                    |line| line.contains(&format!("`{default}`")) || default.is_empty()
                ),
                "no row {row}{default}"
            );
        }
    }

    /// The chart can set every option: its template makes the variable from the name of the flag.
    #[test]
    fn the_chart_can_set_every_option() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../deploy/chart/values.schema.json"))
                .expect("a schema");
        let options = schema["properties"]["config"]["properties"]
            .as_object()
            .expect("options");
        let mut flags = Vec::new();
        let command = Cli::command();
        for argument in command.get_arguments() {
            let (Some(flag), Some(variable)) = (argument.get_long(), argument.get_env()) else {
                continue;
            };
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
            assert_eq!(
                variable.to_str(),
                Some(made.as_str()),
                "the variable of --{flag}"
            );
            flags.push(flag);
        }
        let kebab = |key: &String| {
            key.chars()
                .flat_map(|c| {
                    c.is_ascii_uppercase()
                        .then_some('-')
                        .into_iter()
                        .chain([c.to_ascii_lowercase()])
                })
                .collect()
        };
        let mut known: Vec<String> = options.keys().map(kebab).collect();
        known.sort_unstable();
        flags.sort_unstable();
        assert_eq!(
            known, flags,
            "the options in deploy/chart/values.schema.json are the flags"
        );
    }
}
