//! Runs the server, from its configuration to its shutdown.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::{Router, http::StatusCode};
use futures::future::join;
use k8s_openapi::jiff::Timestamp;
use socket2::{Domain, Protocol, Socket, Type};
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
use unidler_kubernetes::{
    ApiServer, ClusterSettings, Deserted, Handover, KubernetesCluster, idle::Wishes,
};

use crate::{
    admin,
    config::{ClusterArgs, Forward, FrameAncestors, Listen, PageStatus, ServerArgs},
    connections, demo,
    forward::Forwarder,
    limits::Streams,
    memory::Capacity,
    metrics::{Handovers, Metrics},
    router::router,
    site::Site,
    state::AppState,
};

/// Interval between searches for unfinished wake-ups.
const SWEEP: Duration = Duration::from_secs(15);
/// Interval between checks whether the caches are filled, so that the first sweep comes soon.
const FIRST_SWEEP: Duration = Duration::from_millis(500);

/// Runs the server until `shutdown` completes: on a simulated cluster if `is_demo`, otherwise on a real one.
///
/// # Errors
///
/// If it cannot start: no cluster, no page assets, or no free port.
pub async fn run(
    is_demo: bool,
    cluster: ClusterArgs,
    config: ServerArgs,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let site = Site::open(config.site.clone(), &config.brand)?;
    let idle_grace = cluster.idle_grace;
    if is_demo {
        let cluster = DemoCluster::default();
        let listener = listen(config.port)?;
        let port = listener.local_addr()?.port();
        info!("the demo is at http://localhost:{port}/");
        let hub = hub(Arc::new(cluster.clone()), idle_grace, &config);
        let limits = Limits {
            delay: Duration::ZERO,
            ..limits(&config)
        };
        let _admin = serve_admin(&config, hub.clone())?;
        let dozing = tokio::spawn(demo::doze(cluster.clone(), hub.clone()));
        let _dozing = AbortOnDropHandle::new(dozing);
        serve(
            listener,
            demo::router(cluster, state(hub.clone(), site, &config)),
            hub,
            limits,
            shutdown,
        )
        .await;
        Ok(())
    } else {
        let settings = ClusterSettings {
            is_server: true,
            ..cluster.settings()
        };
        let cluster = KubernetesCluster::connect(settings).await?;
        let cluster = cluster.idling(Handover::Slice);
        let listener = listen(config.port)?;
        info!(address = %listener.local_addr()?, "listening");
        let watching = tokio::spawn({
            let cluster = cluster.clone();
            async move { cluster.run().await }
        });
        let measuring = tokio::spawn({
            let cluster = cluster.clone();
            async move { cluster.measure().await }
        });
        let api_server = ApiServer::connect().await?;
        let wishes = Wishes::new(cluster.clone(), api_server.clone());
        let deserted = Deserted::new(cluster.clone());
        let hub = hub(Arc::new(cluster.clone()), idle_grace, &config);
        let _admin = serve_admin(&config, hub.clone())?;
        let _idling = if config.sleep.is_on() {
            let idler = config.sleep.idler(Timestamp::now())?;
            let idling = crate::sleep::run(
                idler,
                config.check.clone(),
                api_server,
                cluster,
                hub.clone(),
            );
            Some(AbortOnDropHandle::new(tokio::spawn(idling)))
        } else {
            None
        };
        let sweeping = tokio::spawn(sweep(hub.clone(), wishes, deserted));
        serve(
            listener,
            router(state(hub.clone(), site, &config)),
            hub,
            limits(&config),
            shutdown,
        )
        .await;
        measuring.abort();
        watching.abort();
        sweeping.abort();
        Ok(())
    }
}

/// The limits of the admin port, which only operators reach.
const ADMIN: connections::Limits = connections::Limits {
    connections: 64,
    drain: Duration::ZERO,
};

/// Serves metrics and probes until it is aborted, if an admin port is configured.
fn serve_admin(config: &ServerArgs, hub: Hub) -> anyhow::Result<Option<AbortOnDropHandle<()>>> {
    let Some(port) = config.admin_port else {
        return Ok(None);
    };
    let listener = listen(port)?;
    info!(address = %listener.local_addr()?, "serving metrics and probes");
    let serving = connections::serve(
        listener,
        admin::router(hub, Metrics::start()?),
        ADMIN,
        CancellationToken::new(),
    );
    Ok(Some(AbortOnDropHandle::new(tokio::spawn(serving))))
}

/// Serves until `shutdown` completes. Then readiness is off for `delay`, so that visitors are routed elsewhere, before
/// the streams are asked to reconnect and everything ends.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    hub: Hub,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let Limits { connections, delay } = limits;
    let stop = CancellationToken::new();
    let ending = async {
        shutdown.await;
        info!("shutting down");
        hub.drain();
        sleep(delay).await;
        hub.shutdown().await;
        stop.cancel();
    };
    join(
        connections::serve(listener, router, connections, stop.clone()),
        ending,
    )
    .await;
}

/// The limits of [`serve`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The limits on connections.
    pub connections: connections::Limits,
    /// How long readiness is off before shutdown begins.
    pub delay: Duration,
}

fn hub(cluster: Arc<dyn Cluster>, idle_grace: Duration, config: &ServerArgs) -> Hub {
    let deadline = Duration::from_secs(config.deadline);
    Hub::new(
        cluster,
        hub::Settings {
            deadline,
            max_wakes: size(config.max_wakes),
            idle_grace,
            forward: match config.forward {
                Forward::Handover => hub::Forward::Handover,
                Forward::Always => hub::Forward::Always,
                Forward::Never => hub::Forward::Never,
            },
        },
    )
}

fn state(hub: Hub, site: Site, config: &ServerArgs) -> AppState {
    let page_status = match config.page_status {
        PageStatus::Ok => StatusCode::OK,
        PageStatus::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let Capacity {
        connections,
        streams,
        streams_per_app,
    } = capacity(config);
    info!(
        connections,
        streams, streams_per_app, "limiting connections and event streams"
    );
    let streams = Streams::new(crate::limits::Limits {
        in_all: streams,
        per_app: streams_per_app,
        per_client: size(config.max_streams_per_client),
        client_header: config.client_header.clone(),
    });
    AppState {
        hub,
        site,
        page_status,
        frame_ancestors: config
            .frame_ancestors
            .clone()
            .map(|FrameAncestors(sources)| sources),
        streams,
        handovers: Handovers::default(),
        forwarder: Forwarder::default(),
    }
}

/// The maximum number of clients: as configured, or as many as fit into memory.
fn capacity(config: &ServerArgs) -> Capacity {
    let fits = match config.max_connections {
        Some(connections) => Capacity::with(size(connections)),
        None => Capacity::of_process(),
    };
    let streams = config.max_streams.map_or(fits.streams, size);
    let streams_per_app = config.max_streams_per_app.map_or(streams.div_ceil(4), size);
    Capacity {
        streams,
        streams_per_app,
        ..fits
    }
}

fn limits(config: &ServerArgs) -> Limits {
    let connections = capacity(config).connections;
    let drain = Duration::from_secs(config.shutdown_timeout);
    Limits {
        connections: connections::Limits { connections, drain },
        delay: Duration::from_secs(config.shutdown_delay),
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Finishes what a crash left half done, puts apps to sleep whose owners wish that, and gives up those that no longer exist: at the
/// start, and then several times a minute.
async fn sweep(hub: Hub, mut wishes: Wishes, mut deserted: Deserted) {
    let mut soon = interval(FIRST_SWEEP);
    while hub.not_ready().is_some() {
        soon.tick().await;
    }
    info!("ready");
    let mut sweeps = interval(SWEEP);
    loop {
        sweeps.tick().await;
        hub.sweep();
        wishes.fulfil(&hub).await;
        deserted.release().await;
    }
}

/// The maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 1024;

fn listen(listen: Listen) -> anyhow::Result<TcpListener> {
    let listener = match listen {
        Listen::At(address) => bind(address),
        Listen::Everywhere { port } => {
            // The machine has no IPv6.
            bind((Ipv6Addr::UNSPECIFIED, port).into())
                .or_else(|_| bind((Ipv4Addr::UNSPECIFIED, port).into()))
        }
    };
    listener.with_context(|| {
        format!("cannot listen on {listen}: choose another port with PORT or --port")
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // All addresses include all of IPv4, whatever `net.ipv6.bindv6only` is set to.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
