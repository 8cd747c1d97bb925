//! The `unidler` program: reads its configuration, starts its log and serves until it is told to stop, or does one of
//! the commands for operators.

use std::{io::IsTerminal, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, warn};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt,
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};
use unidler_server::{
    cli::{Cli, Command},
    config::LogFormat,
    serve,
    traces::Traces,
};

#[tokio::main]
async fn main() -> ExitCode {
    let Cli {
        command,
        cluster,
        server,
    } = Cli::read();
    let is_demo = match command {
        None => false,
        Some(Command::Demo) => true,
        Some(Command::Operate(command)) => {
            // The output of these commands is their result. The log is only for diagnosing problems.
            start_log(cluster.log_format, "warn,unidler::hub=off", None);
            return command.run(&cluster).await.unwrap_or_else(|error| {
                eprintln!("unidler: {error:#}");
                ExitCode::from(2)
            });
        }
    };
    let traces = match server.otlp_endpoint.as_ref().map(Traces::start).transpose() {
        Ok(traces) => traces,
        Err(error) => {
            eprintln!("unidler: cannot send traces: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    start_log(cluster.log_format, "info", traces.as_ref());
    // Each visitor takes a file descriptor, and many systems start with a limit of only a thousand.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        warn!(%error, "cannot raise the limit of open files");
    }
    let result = serve::run(is_demo, cluster, server, told_to_stop()).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(format: LogFormat, default: &str, traces: Option<&Traces>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = fmt::layer().with_writer(std::io::stderr);
    let log = match format {
        LogFormat::Text => log
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    // Each line names the wake-up that it is about, and does not need spans.
    let log = log.with_filter(filter.and(filter_fn(|metadata| !metadata.is_span())));
    registry().with(log).with(traces.map(Traces::layer)).init();
}

/// Done when the process gets SIGTERM, as from Kubernetes, or SIGINT, as from a keyboard.
async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        // Without signal handlers there is no graceful shutdown.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
