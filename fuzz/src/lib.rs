//! What the fuzz targets of the event stream share: the handler of the events on a clock that jumps, and a reader that
//! takes events apart as a browser does.
//!
//! The modules of the server that answer for the events are compiled into this crate. The server as a whole would
//! bring the page with it, which takes a quarter of an hour to build with instrumentation, and is not what is fuzzed.

#![allow(
    dead_code,
    reason = "of the server's modules, only what the events need is used"
)]

#[path = "../../server/src/app_host.rs"]
mod app_host;
#[path = "../../server/src/headers.rs"]
mod headers;
#[path = "../../server/src/limits.rs"]
mod limits;
#[path = "../../server/src/problem.rs"]
mod problem;
#[path = "../../server/src/sse.rs"]
mod sse;
#[path = "../../server/src/start_rule.rs"]
mod start_rule;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, Request, Response},
    middleware,
    routing::get,
};
use futures::future::ready;
use http_body_util::BodyExt;
use tower::ServiceExt;
use unidler::{
    cluster::Cluster,
    hub::{Hub, Settings},
    progress::Progress,
};

use self::{
    app_host::AppHost,
    limits::{Limits, Streams},
    problem::Problem,
    start_rule::leave,
};

/// How long a wake-up may take, on the clock that jumps.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the handler of the events needs.
#[derive(Clone)]
struct Events {
    hub: Hub,
    streams: Streams,
}

/// The events as `server/src/page.rs` gives them.
async fn events(
    AppHost(host): AppHost,
    State(state): State<Events>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let leave = leave(&host, &Method::GET, &headers).map_err(Problem::refused)?;
    let permit = state
        .streams
        .permit(&host, &headers)
        .ok_or_else(Problem::crowded)?;
    Ok(sse::stream(&state.hub, &host, leave, permit, ready))
}

/// Runs something to its end. Nobody waits: where all do, the clock jumps to when the first is done.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(future)
}

/// Asks unidler of a cluster, and hands the answer on before it stops.
pub async fn ask<T>(
    cluster: impl Cluster,
    request: Request<Body>,
    look: impl AsyncFnOnce(Response<Body>) -> T,
) -> T {
    let hub = Hub::new(
        Arc::new(cluster),
        Settings {
            deadline: DEADLINE,
            max_wakes: 1,
            ..Settings::default()
        },
    );
    let state = Events {
        hub: hub.clone(),
        streams: Streams::new(Limits::default()),
    };
    let router = Router::new()
        .route("/events/", get(events))
        .with_state(state)
        .layer(middleware::from_fn(headers::add));
    let answer = router
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    let seen = look(answer).await;
    hub.shutdown().await;
    seen
}

/// The next piece of a body, as text; `None` at its end.
pub async fn next_text(body: &mut Body) -> Option<String> {
    let data = body
        .frame()
        .await?
        .expect("a body has no error")
        .into_data()
        .expect("no trailers");
    Some(String::from_utf8(data.to_vec()).expect("events are UTF-8"))
}

/// Takes the text of one event apart ([HTML: parsing an event stream]), and looks whether it is as it should be.
///
/// [HTML: parsing an event stream]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
///
/// # Panics
///
/// If it is not.
pub fn read_event(text: &str) -> Progress {
    let lines = text
        .strip_suffix("\n\n")
        .expect("an event ends with an empty line");
    let fields: Vec<_> = lines
        .split(['\n', '\r'])
        .map(|line| line.split_once(": ").expect("a line is a field"))
        .collect();
    let only = |name: &str| {
        let mut values = fields
            .iter()
            .filter(|(field, _)| *field == name)
            .map(|(_, value)| *value);
        let value = values
            .next()
            .unwrap_or_else(|| panic!("an event has a field {name}"));
        assert!(values.next().is_none(), "an event has one field {name}");
        value
    };
    assert_eq!(
        fields.len(),
        4,
        "nothing else has become a field: {fields:?}"
    );
    let progress: Progress = serde_json::from_str(only("data")).expect("the data is a snapshot");
    assert_eq!(only("event"), progress.phase.event_name());
    assert_eq!(only("id"), progress.revision.to_string());
    assert!((2_000..=5_000).contains(&only("retry").parse().expect("a number")));
    progress
}
