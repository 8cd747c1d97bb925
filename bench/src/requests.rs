//! What a wake-up asks of the API server, by the number of visitors who wait for it.

use std::{
    convert::Infallible,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::future::try_join_all;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    api::Api,
    apps,
    program::{PATIENCE, Program},
    table::{ms, print},
    visitor::visit,
};

/// How many visitors there are.
const VISITORS: [usize; 3] = [1, 50, 1_000];
/// What a wake-up takes: restore the replicas, route the visitors back; watch pods and endpoints.
const EXPECTED: (usize, usize) = (2, 2);
/// How long to wait for requests that nobody expects.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) async fn measure(program: &Path) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for visitors in VISITORS {
        let api = Api::start([apps::idled(0)]).await?;
        let server = Program::start(program, &[], &[("KUBECONFIG", &api.kubeconfig()?)])?;
        server.ready().await?;
        // Nothing is ever sent: each visitor drops its end with the first event.
        let (begun, mut beginnings) = mpsc::channel::<Infallible>(1);
        let visits = (0..visitors).map(|_| {
            let (port, begun) = (server.port, begun.clone());
            tokio::spawn(async move { visit(port, &apps::host(0), move || drop(begun)).await })
        });
        let visits: Vec<_> = visits.collect();
        drop(begun);
        timeout(PATIENCE, beginnings.recv())
            .await
            .context("some visitors are told nothing")?;
        // All of them wait for the same wake-up before it goes on.
        let up = Instant::now();
        timeout(PATIENCE, api.bring_up(0))
            .await
            .context("nobody gives the app its replicas")??;
        let told = timeout(PATIENCE, try_join_all(visits))
            .await
            .context("some visitors are never told that the app is up")??;
        let told = told.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let last = told
            .iter()
            .filter_map(|told| told.events.last())
            .map(|(_, at)| *at)
            .max()
            .unwrap_or(up);
        let successes = told.iter().filter(|told| told.last == "success").count();
        sleep(SETTLE).await;
        let (writes, reads) = api.requests();
        let (expected_writes, expected_reads) = EXPECTED;
        rows.push([
            visitors.to_string(),
            format!("{writes} of {expected_writes}"),
            format!("{reads} of {expected_reads}"),
            format!("{successes}"),
            ms(last.duration_since(up)),
        ]);
    }
    print(
        "API requests of one wake-up, besides the lists and watches that all apps share",
        [
            "visitors",
            "writes",
            "reads",
            "told that it is up",
            "last of them after",
        ],
        &rows,
    );
    Ok(())
}
