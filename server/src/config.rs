//! The configuration: two structs that define the command line and the environment at once.
//!
//! Nothing is required. An invalid value is rejected at startup, with a hint at valid ones.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use axum::http::HeaderName;
use clap::{Args, ValueEnum};
use unidler::host::Host;

use unidler_kubernetes::{ClusterSettings, Scalable};

use crate::{
    brand::Brand,
    duration::duration,
    sleep::{CheckArgs, SleepArgs},
    traces::Collector,
};

/// What every command needs to know of the cluster.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// For apps of the 2020 form: label that ties together an app's Ingress, Deployment and Service. With `host`, its value is the full
    /// hostname; with any other label, the first part of the hostname.
    #[arg(long, env = "UNIDLE_KEY_LABEL", default_value = "host", value_name = "LABEL", value_parser = label, global = true)]
    pub unidle_key_label: String,

    /// unidler's own Service, to which the visitors of idled apps are routed. Default namespace: that of the pod, or `unidler` outside
    /// a cluster.
    #[arg(
        long,
        env = "UNIDLER_SERVICE",
        default_value = "unidler",
        value_name = "[NAMESPACE/]NAME",
        global = true
    )]
    pub service: ServiceName,

    /// Domain of the cluster's DNS names. In the 2020 form, an idled app's Service points to SERVICE.NAMESPACE.svc.DOMAIN.
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

    /// Time between routing the visitors of an app to unidler and scaling the app to zero: longer than the ingress takes to follow, and
    /// at most 15s.
    #[arg(long, env = "UNIDLER_IDLE_GRACE", default_value = "3s", value_name = "DURATION", value_parser = grace, global = true)]
    pub idle_grace: Duration,

    /// Kinds of custom resources with a scale subresource to idle and wake as well, such as sandboxes.v1.example.com, separated by
    /// commas. Rollouts are always included.
    #[arg(
        long,
        env = "UNIDLER_SCALABLE",
        value_name = "RESOURCE.VERSION.GROUP",
        value_delimiter = ',',
        global = true
    )]
    pub scalable: Vec<Scalable>,

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

/// Where a pod finds the name of its own namespace
/// (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>).
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The name of a Service, optionally with its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    namespace: Option<String>,
    /// The name alone.
    pub name: String,
}

impl ServiceName {
    /// Its namespace: that of this pod if none is given.
    #[must_use]
    pub fn namespace(&self) -> String {
        let own = || std::fs::read_to_string(OWN_NAMESPACE).ok();
        let namespace = self.namespace.clone().or_else(own);
        namespace.map_or_else(|| "unidler".to_owned(), |name| name.trim().to_owned())
    }
}

impl FromStr for ServiceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        let is_name = |text: &str| {
            !text.is_empty()
                && text.len() <= 63
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if is_name(name) && namespace.is_none_or(is_name) {
            Ok(Self {
                namespace: namespace.map(ToOwned::to_owned),
                name: name.to_owned(),
            })
        } else {
            Err(
                "expected the name of a Service, preceded by its namespace if that is another one, such as unidler/unidler",
            )
        }
    }
}

impl ClusterArgs {
    /// The settings that describe the idled state in the cluster.
    #[must_use]
    pub fn settings(&self) -> ClusterSettings {
        ClusterSettings {
            key_label: self.unidle_key_label.clone(),
            service_name: self.service.name.clone(),
            service_namespace: self.service.namespace(),
            cluster_domain: self.cluster_domain.clone(),
            max_replicas: self.max_replicas,
            idle_grace: self.idle_grace,
            scalable: self.scalable.clone(),
            is_server: false,
        }
    }
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

    /// Header with the client's address, such as X-Forwarded-For, whose last entry counts, or Forwarded. Only set this if your ingress sets the header
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

    /// When to forward requests to an app that is ready while its ingress still routes them here. Requests go to the app's
    /// pods or Service inside the cluster; network policies must allow that.
    #[arg(
        long,
        env = "UNIDLER_FORWARD",
        default_value = "handover",
        value_name = "WHEN",
        global = true
    )]
    pub forward: Forward,

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

    /// Which apps sleep.
    #[command(flatten)]
    pub sleep: SleepArgs,

    /// How often that is decided.
    #[command(flatten)]
    pub check: CheckArgs,
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
            Err("expected origins such as https://portal.example.org or https://*.example.org, separated by commas".to_owned())
        }
    }
}

/// Whether a text is an origin, optionally with a wildcard for the first label of its host.
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
        /// The port; 0 means any free port.
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
            "expected a port from 0 to 65535, such as 8080 or :8080, or 127.0.0.1:8080".to_owned()
        })
    }
}

/// Parses the grace period. It is kept short: a visitor who arrives during it reaches the app, and loses it at the end.
fn grace(text: &str) -> Result<Duration, String> {
    let grace = duration(text)?;
    let is_short = grace <= Duration::from_secs(15);
    is_short
        .then_some(grace)
        .ok_or_else(|| "expected at most 15s".to_owned())
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
            "expected the name of a Kubernetes label, such as host or unidle-key or example.org/key"
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

/// When requests are forwarded to an app that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Forward {
    /// While an app wakes, for a minute after that, and while it is put to sleep.
    Handover,
    /// Also for an ingress that keeps routing visitors here.
    Always,
    /// Not at all: network policies keep unidler out. Visitors wait until the ingress has followed.
    Never,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
