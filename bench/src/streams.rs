//! How many visitors one server holds, what each of them costs, and how soon all of them know.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures::future::try_join_all;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    client::Connection,
    peer,
    program::{PATIENCE, Program},
    table::{Kib, Percentiles, ms, print, ratio},
    visitor::{Told, visit},
};

/// How many visitors there should be.
const VISITORS: usize = 10_000;
/// What they may cost, all together with the server.
const AIM: Kib = Kib(256.0 * 1024.0);
/// How soon all but one of a hundred should know.
const AIM_P99: Duration = Duration::from_secs(1);
/// The files that a process needs for itself.
const OWN_FILES: u64 = 100;
/// How many connections are made at the same time.
const AT_ONCE: usize = 200;
/// A scene that has news at 3, 20, 24 and 30 seconds.
const HOST: &str = "slow.localhost";
/// How long to wait until the memory is what it stays.
const SETTLE: Duration = Duration::from_secs(1);

/// What one server needed.
struct Measured {
    before: Kib,
    after: Kib,
    peak: Kib,
    /// How the slowest event spread of those after which the streams go on.
    news: Percentiles,
    /// How the event spread that ends the streams, so that all connections are closed at the same time.
    end: Percentiles,
}

pub(crate) async fn measure(program: &Path) -> anyhow::Result<()> {
    let files =
        rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let visitors = usize::try_from(files.saturating_sub(OWN_FILES))?.min(VISITORS);
    if visitors < VISITORS {
        println!("Only {visitors} visitors: the system allows {files} open files (`ulimit -Hn`).");
    }
    let bare = measure_peer(visitors)
        .await
        .context("cannot measure the peer")?;
    let ours = measure_program(program, visitors).await?;

    let rows = [("bare hyper", &bare), ("unidler", &ours)].map(|(name, measured)| {
        let Measured {
            before,
            after,
            peak,
            ..
        } = measured;
        let each = Kib((after.0 - before.0) / count(visitors));
        let each_bare = (bare.after.0 - bare.before.0) / count(visitors);
        let values = [
            before.to_string(),
            after.to_string(),
            peak.to_string(),
            each.to_string(),
        ];
        let [before, after, peak, of_each] = values;
        [
            name.to_owned(),
            before,
            after,
            peak,
            of_each,
            ratio(each.0, each_bare),
        ]
    });
    let title = format!("{visitors} event streams held by one server: memory");
    print(
        &title,
        ["", "before", "with all", "at most", "a stream", "ratio"],
        &rows,
    );
    println!(
        "That is {} of the {AIM} that it may be.\n",
        ratio(ours.peak.0, AIM.0)
    );

    let rows = [
        row("bare hyper, news", bare.news, bare.news),
        row("unidler, news", ours.news, bare.news),
        row("bare hyper, the last event", bare.end, bare.end),
        row("unidler, the last event", ours.end, bare.end),
    ];
    let title = "From the first visitor who knows of an event to the others";
    print(title, ["", "p50", "p99", "max", "ratio of p99"], &rows);
    let [news, end] =
        [ours.news, ours.end].map(|spread| ratio(spread.p99.as_secs_f64(), AIM_P99.as_secs_f64()));
    println!(
        "The p99 of news is {news} of the {} that it may be, that of the last event {end}.",
        ms(AIM_P99)
    );
    Ok(())
}

fn row(name: &str, this: Percentiles, bare: Percentiles) -> [String; 5] {
    let Percentiles { p50, p99, max } = this;
    [
        name.to_owned(),
        ms(p50),
        ms(p99),
        ms(max),
        ratio(p99.as_secs_f64(), bare.p99.as_secs_f64()),
    ]
}

async fn measure_program(program: &Path, visitors: usize) -> anyhow::Result<Measured> {
    let many = (visitors + 100).to_string();
    let limits = [
        "UNIDLER_MAX_STREAMS",
        "UNIDLER_MAX_STREAMS_PER_APP",
        "UNIDLER_MAX_CONNECTIONS",
    ]
    .map(|name| (name, &*many));
    let mut server = Program::start(program, &["demo"], &limits)?;
    server.ready().await?;
    let before = server.resident()?;
    let visits = open(server.port, visitors).await?;
    sleep(SETTLE).await;
    let after = server.resident()?;
    let told = try_join_all(visits)
        .await?
        .into_iter()
        .collect::<anyhow::Result<Vec<_>>>()?;
    server.still_runs()?;
    let (news, end) = spreads(&told)?;
    Ok(Measured {
        before,
        after,
        peak: server.peak()?.max(after),
        news,
        end,
    })
}

async fn measure_peer(visitors: usize) -> anyhow::Result<Measured> {
    let mut server = peer::start()?;
    let mut control = Connection::open(server.port).await?;
    control.get("localhost", "/", "*/*").await?;
    let before = server.resident()?;
    let visits = open(server.port, visitors).await?;
    sleep(SETTLE).await;
    let after = server.resident()?;
    while visits.iter().any(|visit| !visit.is_finished()) {
        control.get("localhost", "/next", "*/*").await?;
        sleep(2 * SETTLE).await;
    }
    let told = try_join_all(visits)
        .await?
        .into_iter()
        .collect::<anyhow::Result<Vec<_>>>()?;
    server.still_runs()?;
    let (news, end) = spreads(&told)?;
    Ok(Measured {
        before,
        after,
        peak: server.peak()?.max(after),
        news,
        end,
    })
}

/// Opens the streams, and waits until each has had its first event.
async fn open(port: u16, visitors: usize) -> anyhow::Result<Vec<JoinHandle<anyhow::Result<Told>>>> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    // Nothing is ever sent: each visitor drops its end with the first event.
    let (begun, mut beginnings) = mpsc::channel::<Infallible>(1);
    let mut visits = Vec::with_capacity(visitors);
    for _ in 0..visitors {
        let place = Arc::clone(&places).acquire_owned().await?;
        let begun = begun.clone();
        visits.push(tokio::spawn(async move {
            visit(port, HOST, move || drop((place, begun))).await
        }));
    }
    drop(begun);
    timeout(PATIENCE, beginnings.recv())
        .await
        .context("some streams have no event")?;
    Ok(visits)
}

/// How the events spread, from the first receipt to each: the slowest that was news to all, and the last.
///
/// The first event of a stream is no news: it tells what holds.
fn spreads(told: &[Told]) -> anyhow::Result<(Percentiles, Percentiles)> {
    let mut others = told.iter().filter(|told| told.last != "success").peekable();
    if let Some(Told { last, .. }) = others.peek().copied() {
        bail!(
            "{} of {} visitors were not told of a success at last, but of {last:?}",
            others.count(),
            told.len()
        );
    }
    let mut receipts: BTreeMap<u64, Vec<Instant>> = BTreeMap::new();
    for (revision, at) in told.iter().flat_map(|told| told.events.iter().skip(1)) {
        receipts.entry(*revision).or_default().push(*at);
    }
    // A revision that is soon followed by the next does not come to all.
    receipts.retain(|_, receipts| receipts.len() == told.len());
    let spread = |receipts: Vec<Instant>| {
        let first = receipts.iter().min().copied();
        Percentiles::of(
            receipts
                .iter()
                .filter_map(|at| Some(at.duration_since(first?)))
                .collect(),
        )
    };
    let mut spreads: Vec<Percentiles> = receipts.into_values().map(spread).collect();
    let end = spreads.pop();
    let news = spreads.into_iter().max_by_key(|spread| spread.p99);
    news.zip(end)
        .context("the streams were not all open in time for two events: this machine is too busy")
}

fn count(visitors: usize) -> f64 {
    u32::try_from(visitors).map_or(f64::MAX, f64::from)
}
