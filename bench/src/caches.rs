//! How long a start takes and what memory it needs, by the number of apps in the cluster; and whether a page for one of
//! many is slower.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    api::Api,
    apps,
    client::{Connection, HTML},
    program::Program,
    table::{Kib, Percentiles, ms, print, ratio},
};

/// How many apps there are.
const APPS: [usize; 3] = [0, 1, 10_000];
/// How many starts there are with each number of apps. The quickest counts: whatever else the machine does only slows.
const STARTS: usize = 3;
/// How many pages are asked for.
const PAGES: usize = 500;
/// How long to wait until the memory is what it stays.
const SETTLE: Duration = Duration::from_secs(1);

pub(crate) async fn measure(program: &Path) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut none: Option<(Duration, Kib)> = None;
    let mut most = (Duration::ZERO, Duration::ZERO);
    for apps in APPS {
        let api = Api::start(apps).await?;
        let (mut alone, mut start, mut running) = (Duration::MAX, Duration::MAX, None);
        for _ in 0..STARTS {
            drop(running.take());
            alone = alone.min(read_lists(api.port).await?);
            let server = Program::start(program, &[], &[("KUBECONFIG", &api.kubeconfig()?)])?;
            start = start.min(server.ready().await?);
            running = Some(server);
        }
        let server = running.context("nothing was started")?;
        sleep(SETTLE).await;
        let (resident, peak) = (server.resident()?, server.peak()?);
        let pages = pages(server.port, apps).await?;
        let (start_of_none, memory_of_none) = *none.get_or_insert((start, resident));
        most = (start, alone);
        let size = Kib(f64::from(u32::try_from(api.size())?) / 1024.0);
        rows.push([
            apps.to_string(),
            size.to_string(),
            ms(alone),
            ms(start),
            ratio(start.as_secs_f64(), start_of_none.as_secs_f64()),
            resident.to_string(),
            peak.to_string(),
            ratio(resident.0, memory_of_none.0),
            ms(pages.p50),
            ms(pages.p99),
        ]);
    }
    print(
        "From the start to readiness, by the number of apps",
        [
            "apps",
            "lists",
            "lists alone",
            "start",
            "ratio",
            "memory",
            "at most",
            "ratio",
            "page p50",
            "page p99",
        ],
        &rows,
    );
    println!(
        "With the most apps, the start takes {} times as long as the lists alone.",
        ratio(most.0.as_secs_f64(), most.1.as_secs_f64())
    );
    Ok(())
}

/// Reads the lists as a bare client does, without looking at them: no start with these apps can be quicker.
async fn read_lists(port: u16) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut connection = Connection::open(port).await?;
    for list in [
        "/apis/networking.k8s.io/v1/ingresses",
        "/apis/apps/v1/deployments",
        "/api/v1/services",
    ] {
        let mut next = String::new();
        loop {
            let (_, page) = connection
                .get(
                    "localhost",
                    &format!("{list}?limit=500{next}"),
                    "application/json",
                )
                .await?;
            // The metadata comes first, so that the items need not be parsed for it.
            let head = String::from_utf8_lossy(&page[..page.len().min(200)]).into_owned();
            let metadata = head
                .split_once(r#""metadata":"#)
                .and_then(|(_, rest)| rest.split_once(r#","items""#));
            let metadata: Value = metadata.map_or(Ok(Value::Null), |(metadata, _)| {
                serde_json::from_str(metadata)
            })?;
            match metadata["continue"].as_str() {
                Some(token) if !token.is_empty() => next = format!("&continue={token}"),
                _ => break,
            }
        }
    }
    Ok(begun.elapsed())
}

/// Asks for the pages of apps here and there, one after the other. Without any app that is the page which says so.
async fn pages(port: u16, apps: usize) -> anyhow::Result<Percentiles> {
    let mut connection = Connection::open(port).await?;
    let mut times = Vec::with_capacity(PAGES);
    for page in 0..PAGES {
        let host = apps::host(page * apps / PAGES);
        let begun = Instant::now();
        connection.get(&host, "/", HTML).await?;
        times.push(begun.elapsed());
    }
    Ok(Percentiles::of(times))
}
