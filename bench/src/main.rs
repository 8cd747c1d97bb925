//! Measures the shipped program, as a process of its own, next to a bare server of the same kind or to a limit.
//!
//! ```text
//! bench PROGRAM [streams|page|caches|requests|idling]...
//! ```
//!
//! Nothing here fails because something is slow: a busy machine says little in milliseconds. What counts are the
//! ratios to the [peer], which is measured in the same minute by the same client. Needs Linux, whose `/proc` tells what a
//! process uses.

mod api;
mod apps;
mod caches;
mod client;
mod idling;
mod page;
mod peer;
mod program;
mod requests;
mod streams;
mod table;
mod visitor;

use std::{env, path::PathBuf};

use anyhow::{Context, bail};

/// What can be measured, in this order.
const PARTS: [&str; 5] = ["streams", "page", "caches", "requests", "idling"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let first = arguments
        .next()
        .context("say which program to measure: bench dist/unidler")?;
    let wanted: Vec<String> = arguments.collect();
    // This program once more, as what the measured one is compared with.
    if first == peer::ARGUMENT {
        return peer::serve().await;
    }
    if let Some(unknown) = wanted.iter().find(|part| !PARTS.contains(&part.as_str())) {
        bail!(
            "there is no part {unknown:?}; there are {}",
            PARTS.join(", ")
        );
    }
    let program = PathBuf::from(first)
        .canonicalize()
        .context("there is no such program; `make build` leaves it in dist/")?;
    println!(
        "{} cores, {} of memory",
        std::thread::available_parallelism()?,
        program::total_memory()?
    );
    for part in PARTS
        .into_iter()
        .filter(|part| wanted.is_empty() || wanted.iter().any(|wanted| wanted == part))
    {
        println!();
        match part {
            "streams" => streams::measure(&program).await,
            "page" => page::measure(&program).await,
            "caches" => caches::measure(&program).await,
            "requests" => requests::measure(&program).await,
            _ => idling::measure(&program).await,
        }
        .with_context(|| format!("cannot measure {part}"))?;
    }
    Ok(())
}
