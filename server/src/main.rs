//! The `unidler` program: reads its configuration, starts its log and serves until it is told to stop, or does one of
//! the commands for operators.

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, warn};
use tracing_subscriber::EnvFilter;
use unidler_server::{
    config::{Cli, Command, LogFormat},
    kubernetes::operate,
    serve,
};

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, config } = Cli::parse();
    let is_demo = match command {
        None => false,
        Some(Command::Demo) => true,
        Some(Command::Operate(command)) => {
            // Their results are their output. The log is for when something is strange.
            start_log(config.log_format, "warn");
            return operate::run(command, &config).await.unwrap_or_else(|error| {
                eprintln!("unidler: {error:#}");
                ExitCode::from(2)
            });
        }
    };
    start_log(config.log_format, "info");
    // Each visitor is a file descriptor, and many systems begin with as few as a thousand.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        warn!(%error, "cannot raise the limit of open files");
    }
    match serve::run(is_demo, config, told_to_stop()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Done when the process gets SIGTERM, as from Kubernetes, or SIGINT, as from a keyboard.
async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        // Without signals there is no stopping.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
