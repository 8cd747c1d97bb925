//! How many pages a second one server renders, and how long each takes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use axum::http::StatusCode;
use futures::future::try_join_all;

use crate::{
    client::{Connection, HTML},
    peer,
    program::Program,
    table::{Percentiles, ms, print, ratio},
};

/// How many clients there are. Each asks again as soon as it has its answer.
const CLIENTS: usize = 10;
/// How long each server is asked before the next has its turn.
const TURN: Duration = Duration::from_secs(2);
/// How often each has its turn. What else the machine does then befalls all of them.
const ROUNDS: usize = 3;
const HOST: &str = "quick.localhost";

/// One of the servers, and what was seen of it.
struct Asked<'a> {
    name: &'a str,
    server: &'a Program,
    path: String,
    times: Vec<Duration>,
    cpu: Duration,
}

pub(crate) async fn measure(program: &Path) -> anyhow::Result<()> {
    let ours = Program::start(program, &["demo"], &[])?;
    ours.ready().await?;
    let bare = peer::start()?;
    let (_, page) = Connection::open(ours.port)
        .await?
        .get(HOST, "/", HTML)
        .await?;

    let asked = |name, server, path| Asked {
        name,
        server,
        path,
        times: Vec::new(),
        cpu: Duration::ZERO,
    };
    let same_length = format!("bare hyper, {} bytes", page.len());
    let mut all = [
        asked("bare hyper, \"hello\"", &bare, "/".to_owned()),
        asked(&same_length, &bare, format!("/{}", page.len())),
        asked("unidler, the page", &ours, "/".to_owned()),
    ];
    for asked in &mut all {
        // Not counted: whatever is slow only once.
        ask(asked.server.port, &asked.path, TURN / 4).await?;
    }
    for _ in 0..ROUNDS {
        for asked in &mut all {
            let before = asked.server.cpu()?;
            asked
                .times
                .extend(ask(asked.server.port, &asked.path, TURN).await?);
            asked.cpu += asked.server.cpu()? - before;
        }
    }

    let hello = rate(&all[0]);
    let rows = all.each_ref().map(|asked| {
        let Percentiles { p50, p99, .. } = Percentiles::of(asked.times.clone());
        let cpu = asked.cpu / u32::try_from(asked.times.len()).unwrap_or(u32::MAX).max(1);
        [
            asked.name.to_owned(),
            format!("{:.0}", rate(asked)),
            ms(p50),
            ms(p99),
            format!("{} µs", cpu.as_micros()),
            ratio(hello, rate(asked)),
        ]
    });
    let title = format!("Requests over {CLIENTS} connections");
    print(
        &title,
        ["", "a second", "p50", "p99", "processor", "times slower"],
        &rows,
    );
    Ok(())
}

fn rate(asked: &Asked<'_>) -> f64 {
    let seconds = TURN.as_secs_f64() * f64::from(u32::try_from(ROUNDS).unwrap_or(1));
    f64::from(u32::try_from(asked.times.len()).unwrap_or(u32::MAX)) / seconds
}

/// Asks for some time, and answers how long each answer took.
async fn ask(port: u16, path: &str, time: Duration) -> anyhow::Result<Vec<Duration>> {
    let end = Instant::now() + time;
    let client = async || {
        let mut connection = Connection::open(port).await?;
        let mut times = Vec::new();
        while Instant::now() < end {
            let begun = Instant::now();
            let (status, _) = connection.get(HOST, path, HTML).await?;
            ensure!(status == StatusCode::OK, "it answers {status}");
            times.push(begun.elapsed());
        }
        anyhow::Ok(times)
    };
    Ok(try_join_all((0..CLIENTS).map(|_| client())).await?.concat())
}
