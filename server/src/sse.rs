//! The event stream ([HTML: server-sent events]).
//!
//! Each event is a complete snapshot, so whoever comes late or again needs exactly one; a `Last-Event-ID` is
//! therefore nothing to look at.
//!
//! [HTML: server-sent events]: https://html.spec.whatwg.org/multipage/server-sent-events.html

use std::time::Duration;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, future, stream};
use unidler::{hub::Hub, progress::Progress};

use crate::{app_host::AppHost, limits::Streams, problem::Problem, start_rule::may_start};

/// How often a comment keeps a quiet stream alive: proxies cut those, nginx after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// After how many milliseconds a browser reconnects: spread, so that not all come at once.
const RETRY_MS: std::ops::RangeInclusive<u64> = 2_000..=5_000;

/// After how many milliseconds a browser comes again whose stream ends because this process does.
const COME_AGAIN_MS: std::ops::RangeInclusive<u64> = 1_000..=5_000;

/// `GET /events` and `GET /events/`: starts the wake-up of the app, or joins the one under way.
pub(crate) async fn events(
    AppHost(host): AppHost,
    State(hub): State<Hub>,
    State(streams): State<Streams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    may_start(&host, &headers).map_err(Problem::refused)?;
    let place = streams.place(&host, &headers).ok_or_else(Problem::crowded)?;
    let events = encode(hub.start(&host)).chain(farewell(hub)).map(move |event| {
        // The stream has its place for as long as it is.
        let _ = &place;
        event
    });
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // nginx would hold the events back until it has a bufferful.
    Ok(([(HeaderName::from_static("x-accel-buffering"), "no")], stream).into_response())
}

fn encode(snapshots: impl Stream<Item = Progress>) -> impl Stream<Item = Result<Event, axum::Error>> {
    let retry = Duration::from_millis(fastrand::u64(RETRY_MS));
    snapshots.map(move |progress| {
        let event = Event::default().event(progress.phase.event_name()).id(progress.revision.to_string()).retry(retry);
        event.json_data(&progress)
    })
}

/// What is said last when this process ends: when to come again, spread so that not all come at once.
fn farewell(hub: Hub) -> impl Stream<Item = Result<Event, axum::Error>> {
    let come_again = || Event::default().retry(Duration::from_millis(fastrand::u64(COME_AGAIN_MS)));
    stream::once(async move { hub.is_draining().then(|| Ok(come_again())) }).filter_map(future::ready)
}
