//! From a configuration to a running server, and to its end.

use std::{future::Future, net::Ipv6Addr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, http::StatusCode};
use tokio::{net::TcpListener, time::interval};
use tracing::info;
use unidler::{
    cluster::Cluster,
    demo::DemoCluster,
    hub::{self, Hub},
};

use crate::{
    config::{Command, Config, Listen, PageStatus},
    demo,
    kubernetes::{self, KubernetesCluster},
    router::{AppState, router},
    site::Site,
};

/// How often wake-ups that nobody finished are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// How often it is looked whether the caches are filled, so that the first sweep comes soon.
const FIRST_SWEEP: Duration = Duration::from_millis(500);

/// Runs the server until `shutdown` is done.
///
/// # Errors
///
/// If it cannot start: no cluster, no files, no port.
pub async fn run(
    command: Option<Command>,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let site = Site::open(config.site.clone())?;
    match command {
        Some(Command::Demo) => {
            let cluster = DemoCluster::default();
            let listener = listen(config.port).await?;
            let port = listener.local_addr()?.port();
            info!("the demo is at http://localhost:{port}/");
            let hub = hub(Arc::new(cluster.clone()), &config);
            serve(listener, demo::router(cluster, state(hub.clone(), site, &config)), hub, shutdown).await
        }
        None => {
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
            let sweeping = tokio::spawn(sweep(hub.clone()));
            let result = serve(listener, router(state(hub.clone(), site, &config)), hub, shutdown).await;
            watching.abort();
            sweeping.abort();
            result
        }
    }
}

/// Serves until `shutdown` is done, then ends the streams and lets the rest finish.
///
/// # Errors
///
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    hub: Hub,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let shutdown = async move {
        shutdown.await;
        info!("shutting down");
        hub.shutdown().await;
    };
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await.context("cannot serve")
}

fn hub(cluster: Arc<dyn Cluster>, config: &Config) -> Hub {
    let max_wakes = usize::try_from(config.max_wakes).unwrap_or(usize::MAX);
    Hub::new(cluster, hub::Settings { deadline: config.deadline(), max_wakes })
}

fn state(hub: Hub, site: Site, config: &Config) -> AppState {
    let page_status = match config.page_status {
        PageStatus::Ok => StatusCode::OK,
        PageStatus::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    AppState { hub, site, page_status }
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
        let unfinished = hub.finish_unfinished();
        if unfinished > 0 {
            info!(unfinished, "taking up wake-ups that nobody finished");
        }
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
