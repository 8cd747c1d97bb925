//! The event stream ([HTML: server-sent events]).
//!
//! Each event is a complete snapshot, so a client that comes late or reconnects needs exactly one; `Last-Event-ID` is
//! therefore ignored.
//!
//! [HTML: server-sent events]: https://html.spec.whatwg.org/multipage/server-sent-events.html

use std::time::Duration;

use axum::{
    http::HeaderName,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::{Stream, StreamExt, future, stream, stream::BoxStream};
use tokio::time::{Instant, timeout};
use unidler::{host::Host, hub::Hub, progress::Progress};

use crate::{limits::Permit, start_rule::Leave};

/// How often a quiet stream sends a sign of life: proxies cut silent connections, nginx after a minute, and the page no
/// longer trusts a connection that was silent for longer. A comment would be enough for proxies, but pages cannot see
/// it.
const ALIVE: Duration = Duration::from_secs(10);
/// The delay before a browser reconnects, in milliseconds: randomized, so that not all reconnect at once.
const RETRY_MS: std::ops::RangeInclusive<u64> = 2_000..=5_000;
/// The delay before a browser reconnects if its stream ends because this process does, in milliseconds.
const COME_AGAIN_MS: std::ops::RangeInclusive<u64> = 1_000..=5_000;

/// The stream of an app, which is started if the request may do that. `told` converts each snapshot before it is sent.
pub(crate) fn stream<T>(
    hub: &Hub,
    host: &Host,
    leave: Leave,
    permit: Permit,
    told: impl Fn(Progress) -> T + Send + 'static,
) -> Response
where
    T: Future<Output = Progress> + Send + 'static,
{
    let snapshots = match leave {
        Leave::Start => hub.start(host).boxed(),
        Leave::Join => hub.join(host).boxed(),
    };
    let events = encode(snapshots.then(told).boxed())
        .chain(farewell(hub.clone()))
        .map(move |event| {
            // The permit lives as long as the stream.
            let _ = &permit;
            event
        });
    // nginx would otherwise hold the events back until its buffer is full.
    (
        [(HeaderName::from_static("x-accel-buffering"), "no")],
        Sse::new(events),
    )
        .into_response()
}

fn encode(
    snapshots: BoxStream<'static, Progress>,
) -> impl Stream<Item = Result<Event, axum::Error>> {
    let retry = Duration::from_millis(fastrand::u64(RETRY_MS));
    stream::unfold(
        (snapshots, None::<(Progress, Instant)>),
        move |(mut snapshots, last)| async move {
            let (event, last) = match (timeout(ALIVE, snapshots.next()).await, last) {
                (Ok(None), _) => return None,
                (Ok(Some(progress)), _) => {
                    let event = Event::default()
                        .event(progress.phase.event_name())
                        .id(progress.revision.to_string())
                        .retry(retry);
                    (event.json_data(&progress), Some((progress, Instant::now())))
                }
                (Err(_), Some((progress, since))) => {
                    (alive(&progress, since), Some((progress, since)))
                }
                // A first snapshot is always available at once.
                (Err(_), None) => (Ok(Event::default().comment("")), None),
            };
            Some((event, (snapshots, last)))
        },
    )
}

/// Repeats the last snapshot, with the time that has passed since.
fn alive(progress: &Progress, since: Instant) -> Result<Event, axum::Error> {
    let later = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let elapsed_ms = progress.elapsed_ms.saturating_add(later);
    Event::default()
        .event("alive")
        .id(progress.revision.to_string())
        .json_data(Progress {
            elapsed_ms,
            ..progress.clone()
        })
}

/// The last event when this process ends: when to reconnect, randomized, so that not all reconnect at once.
fn farewell(hub: Hub) -> impl Stream<Item = Result<Event, axum::Error>> {
    let come_again = || Event::default().retry(Duration::from_millis(fastrand::u64(COME_AGAIN_MS)));
    stream::once(async move { hub.is_draining().then(|| Ok(come_again())) })
        .filter_map(future::ready)
}

#[cfg(test)]
mod tests {
    use unidler::progress::{Phase, Step};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_says_every_ten_seconds_that_it_is_alive_and_how_the_app_stands() {
        let progress = Progress {
            reference: "k3v9-2m7q".to_owned(),
            host: "app.example".to_owned(),
            title: None,
            revision: 3,
            elapsed_ms: 500,
            usual_ms: None,
            phase: Phase::Waking {
                step: Step::Pulling,
                reason: None,
            },
            restarts: 0,
            parts: None,
            forwarding: None,
            timeline: Vec::new(),
        };
        let begun = Instant::now();
        let mut events = Box::pin(encode(
            stream::once(future::ready(progress))
                .chain(stream::pending())
                .boxed(),
        ));
        drop(events.next().await.expect("an event").expect("JSON"));
        for seconds in [10, 20] {
            let event = format!(
                "{:?}",
                events.next().await.expect("an event").expect("JSON")
            );
            assert_eq!(begun.elapsed().as_secs(), seconds);
            for part in [
                "event: alive",
                "k3v9-2m7q",
                &format!("\\\"elapsed_ms\\\":{}", 500 + seconds * 1_000),
            ] {
                assert!(event.contains(part), "{part} in {event}");
            }
        }
    }
}
