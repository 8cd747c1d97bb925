//! From a configuration to a running server, and to its end.

use std::{future::Future, net::Ipv6Addr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, http::StatusCode};
use futures::future::join;
use tokio::{
    net::TcpListener,
    time::{interval, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::info;
use unidler::{
    cluster::Cluster,
    demo::DemoCluster,
    hub::{self, Hub},
};

use crate::{
    config::{Config, Listen, PageStatus},
    connections, demo,
    kubernetes::{self, KubernetesCluster},
    late::Late,
    limits::Streams,
    metrics::{self, Handovers},
    router::{AppState, router},
    site::Site,
};

/// How often wake-ups that nobody finished are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// How often it is looked whether the caches are filled, so that the first sweep comes soon.
const FIRST_SWEEP: Duration = Duration::from_millis(500);

/// Runs the server until `shutdown` is done: on a played cluster if `is_demo`, else on a real one.
///
/// # Errors
///
/// If it cannot start: no cluster, no files, no port.
pub async fn run(is_demo: bool, config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let site = Site::open(config.site.clone(), &config.brand)?;
    if is_demo {
        let cluster = DemoCluster::default();
        let listener = listen(config.port).await?;
        let port = listener.local_addr()?.port();
        info!("the demo is at http://localhost:{port}/");
        let hub = hub(Arc::new(cluster.clone()), &config);
        let limits = Limits { delay: Duration::ZERO, ..limits(&config) };
        let _metrics = serve_metrics(&config, hub.clone()).await?;
        serve(listener, demo::router(cluster, state(hub.clone(), site, &config)), hub, limits, shutdown).await;
        Ok(())
    } else {
        let Config { unidle_key_label, service, max_replicas, .. } = config.clone();
        let settings = kubernetes::Settings { key_label: unidle_key_label, service_name: service, max_replicas };
        let cluster = KubernetesCluster::connect(settings).await?;
        let listener = listen(config.port).await?;
        info!(address = %listener.local_addr()?, "listening");
        let watching = tokio::spawn({
            let cluster = cluster.clone();
            async move { cluster.run().await }
        });
        let hub = hub(Arc::new(cluster), &config);
        let _metrics = serve_metrics(&config, hub.clone()).await?;
        let sweeping = tokio::spawn(sweep(hub.clone()));
        serve(listener, router(state(hub.clone(), site, &config)), hub, limits(&config), shutdown).await;
        watching.abort();
        sweeping.abort();
        Ok(())
    }
}

/// The most connections that ask for metrics at the same time.
const MAX_SCRAPES: usize = 16;

/// Serves the metrics, if there is a port for them, until it is aborted.
async fn serve_metrics(config: &Config, hub: Hub) -> anyhow::Result<Option<AbortOnDropHandle<()>>> {
    let Some(port) = config.metrics_port else { return Ok(None) };
    let listener = listen(port).await?;
    info!(address = %listener.local_addr()?, "metrics");
    let serving = connections::serve(listener, metrics::router(hub)?, MAX_SCRAPES, CancellationToken::new());
    Ok(Some(AbortOnDropHandle::new(tokio::spawn(serving))))
}

/// Serves until `shutdown` is done. Then readiness is off for `delay`, so that visitors are led elsewhere, before
/// the streams are told to come again and everything ends.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    hub: Hub,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let Limits { max_connections, delay } = limits;
    let stop = CancellationToken::new();
    let ending = async {
        shutdown.await;
        info!("shutting down");
        hub.drain();
        sleep(delay).await;
        hub.shutdown().await;
        stop.cancel();
    };
    join(connections::serve(listener, router, max_connections, stop.clone()), ending).await;
}

/// The limits of [`serve`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections at the same time.
    pub max_connections: usize,
    /// How long readiness is off before the end begins.
    pub delay: Duration,
}

fn hub(cluster: Arc<dyn Cluster>, config: &Config) -> Hub {
    Hub::new(cluster, hub::Settings { deadline: config.deadline(), max_wakes: size(config.max_wakes) })
}

fn state(hub: Hub, site: Site, config: &Config) -> AppState {
    let page_status = match config.page_status {
        PageStatus::Ok => StatusCode::OK,
        PageStatus::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let streams = Streams::new(crate::limits::Limits {
        in_all: size(config.max_streams),
        per_app: size(config.max_streams_per_app),
        per_client: size(config.max_streams_per_client),
        client_header: config.client_header.clone(),
    });
    AppState {
        hub,
        site,
        page_status,
        streams,
        handovers: Handovers::default(),
        late: config.proxy_late_requests.then(Late::default),
    }
}

fn limits(config: &Config) -> Limits {
    Limits { max_connections: size(config.max_connections), delay: Duration::from_secs(config.shutdown_delay) }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Finishes what a crash left half done: at the start, and every minute.
async fn sweep(hub: Hub) {
    let mut soon = interval(FIRST_SWEEP);
    while hub.not_ready().is_some() {
        soon.tick().await;
    }
    info!("ready");
    let mut sweeps = interval(SWEEP);
    loop {
        sweeps.tick().await;
        hub.sweep();
    }
}

async fn listen(listen: Listen) -> anyhow::Result<TcpListener> {
    let listener = match listen {
        Listen::At(address) => TcpListener::bind(address).await,
        Listen::Everywhere { port } => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(listener),
            // A machine without IPv6.
            Err(_) => TcpListener::bind(("0.0.0.0", port)).await,
        },
    };
    listener.with_context(|| format!("cannot listen at {listen:?}: choose another port with PORT or --port"))
}
