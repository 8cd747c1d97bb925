//! Sends traces of the wake-ups to an OpenTelemetry collector, if one is configured.
//!
//! A wake-up is a span with the host and the reference, which the log has as well; log messages during the wake-up are
//! its events, and each write is a child span. They come from the spans that the engine creates for any subscriber.
//!
//! ```text
//! hub ── tracing ──┬── the log, without spans
//!                  └── Traces::layer ── batches ── OTLP over HTTP ──> collector
//! ```

use std::{env, str::FromStr, thread, time::Duration};

use axum::http::Uri;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource, runtime,
    trace::{SdkTracerProvider, span_processor_with_async_runtime::BatchSpanProcessor},
};
use tokio::{sync::oneshot, time::timeout};
use tracing::{Subscriber, level_filters::LevelFilter, warn};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

/// How long the collector may take to respond.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long sending the last batch may take at shutdown.
const FLUSH: Duration = Duration::from_secs(2);

/// Where traces are sent to: `http://HOST[:PORT]` of an OTLP collector, below which it has `/v1/traces`
/// ([OTLP specification](https://opentelemetry.io/docs/specs/otlp/#otlphttp-request)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector(String);

impl FromStr for Collector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Option<Uri> = text.parse().ok();
        match uri {
            Some(uri) if uri.scheme_str() == Some("http") && uri.query().is_none() => {
                Ok(Self(format!("{}/v1/traces", text.trim_end_matches('/'))))
            }
            _ => Err("expected the URL of a collector that takes OTLP over HTTP, such as http://collector:4318; \
                      https is not supported"
                .to_owned()),
        }
    }
}

/// Sends traces to a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts sending, from within tokio. An unreachable collector is not an error, but is logged.
    ///
    /// # Errors
    ///
    /// If the environment variables of OpenTelemetry, other than the endpoint, are invalid.
    pub fn start(collector: &Collector) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(HyperClient::with_default_connector(TIMEOUT, None))
            .with_endpoint(&collector.0)
            .with_timeout(TIMEOUT)
            .build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let mut resource = Resource::builder().with_attribute(version);
        if env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("unidler");
        }
        let batches = BatchSpanProcessor::builder(exporter, runtime::Tokio).build();
        Ok(Self {
            provider: SdkTracerProvider::builder()
                .with_resource(resource.build())
                .with_span_processor(batches)
                .build(),
        })
    }

    /// The layer that listens to the spans of the engine.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let ours = Targets::new().with_target("unidler", LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("unidler"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    }

    /// Sends the remaining traces, if the collector accepts them in time.
    pub async fn finish(self) {
        let (done, finished) = oneshot::channel();
        // The call blocks, and a blocked thread of tokio would keep the process alive for as long.
        thread::spawn(move || done.send(self.provider.shutdown()));
        match timeout(FLUSH, finished).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => warn!(%error, "could not send the last traces"),
            Ok(Err(_)) | Err(_) => {
                warn!("could not send the last traces: the collector did not answer in time");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_an_address_of_http() {
        for (text, sent_to) in [
            (
                "http://collector:4318",
                Some("http://collector:4318/v1/traces"),
            ),
            (
                "http://collector.tracing/",
                Some("http://collector.tracing/v1/traces"),
            ),
            (
                "http://[::1]:4318/otlp",
                Some("http://[::1]:4318/otlp/v1/traces"),
            ),
            ("https://collector", None),
            ("collector:4318", None),
            ("/v1/traces", None),
            ("", None),
        ] {
            let collector = text.parse::<Collector>().ok().map(|collector| collector.0);
            assert_eq!(collector.as_deref(), sent_to, "{text}");
        }
    }
}
