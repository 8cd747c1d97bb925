//! How long a start takes and what memory it needs, by the number of apps in the cluster; what it needs when all of them
//! have to be listed again; and whether a page for one of many is slower.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::{
    api::Api,
    apps,
    client::{Connection, HTML},
    program::{PATIENCE, Program},
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
/// How often everything is listed again: what the allocator keeps of one list adds to the next.
const RELISTS: usize = 5;
/// The memory limit of the pods in `deploy/`.
const POD: Kib = Kib(128.0 * 1024.0);

pub(crate) async fn measure(program: &Path) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut none: Option<(Duration, Kib)> = None;
    let mut most = (Duration::ZERO, Duration::ZERO, Kib(0.0));
    for apps in APPS {
        let api = Api::start((0..apps).map(apps::idled)).await?;
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
        let relist = relist(&api, &server).await?;
        let (start_of_none, memory_of_none) = *none.get_or_insert((start, resident));
        most = (start, alone, relist);
        let size = Kib(f64::from(u32::try_from(api.size())?) / 1024.0);
        rows.push([
            apps.to_string(),
            size.to_string(),
            ms(alone),
            ms(start),
            ratio(start.as_secs_f64(), start_of_none.as_secs_f64()),
            resident.to_string(),
            peak.to_string(),
            relist.to_string(),
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
            "relist",
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
    println!(
        "When all of them are listed again, it takes {} of the {POD} that its pod has: {}.",
        most.2,
        most.2.fits(POD)
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
        "/apis/discovery.k8s.io/v1/endpointslices",
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

/// The most memory that it has while everything is listed again, all kinds at the same time: the view that it has stays
/// until the new one is complete.
async fn relist(api: &Api, server: &Program) -> anyhow::Result<Kib> {
    server.forget_peak()?;
    for _ in 0..RELISTS {
        timeout(PATIENCE, api.forget())
            .await
            .context("nothing is listed again")??;
        sleep(SETTLE).await;
    }
    server.peak()
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
