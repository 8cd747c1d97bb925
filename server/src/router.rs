//! The whole URL table.

use axum::{
    Router,
    body::Body,
    extract::{FromRef, Request, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Json, Response},
    routing::{any, get, post},
};
use leptos::context::provide_context;
use tower_http::{limit::RequestBodyLimitLayer, services::ServeDir, set_header::SetResponseHeaderLayer};
use unidler::{hub::Hub, progress::Progress};
use unidler_app::api::WAKE_URL;

use crate::{
    app_host::AppHost,
    headers,
    late::Late,
    limits::Streams,
    metrics::Handovers,
    page::page_or_problem,
    problem::Problem,
    site::{FILES_PATH, Site},
    sse::events,
    start_rule::may_start,
};

/// What the handlers share.
#[derive(Clone, Debug, FromRef)]
pub struct AppState {
    /// Starts, joins and looks at wake-ups.
    pub hub: Hub,
    /// The page's files.
    #[from_ref(skip)]
    pub site: Site,
    /// The status of the page.
    #[from_ref(skip)]
    pub page_status: StatusCode,
    /// The event streams that are open.
    pub streams: Streams,
    /// The handovers under way, for the metrics.
    pub handovers: Handovers,
    /// What passes late requests on, if that is wanted.
    pub late: Option<Late>,
}

/// All that the unidler answers. Every path that is not here belongs to the app, and shows the page while the app
/// is not there.
pub fn router(state: AppState) -> Router {
    // What leptos spawns goes to tokio. Only the first call does anything; later ones, in tests, may fail.
    drop(any_spawner::Executor::init_tokio());
    let files = ServeDir::new(&state.site.files).precompressed_br().precompressed_gzip();
    let files = Router::new()
        .fallback_service(files)
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, |response: &Response| {
            response.status().is_success().then_some(headers::IMMUTABLE)
        }));
    // Without a handler of its own, HEAD would be a GET whose body is thrown away, and start a wake-up.
    let events = get(events).head(async || StatusCode::NO_CONTENT);
    Router::new()
        .route("/healthz", get(async || "Still OK"))
        .route("/events", events.clone())
        .route("/events/", events)
        .route("/_unidler/readyz", get(readyz))
        .route("/_unidler/status", get(status))
        .route(WAKE_URL, post(server_function).layer(RequestBodyLimitLayer::new(MAX_BODY)))
        .nest_service(FILES_PATH, files)
        // The rest of the one prefix that is reserved for us.
        .route("/_unidler/{*rest}", any(async || Problem::not_found()))
        .fallback(page_or_problem)
        .with_state(state)
        .layer(middleware::from_fn(headers::add))
}

/// The most bytes that a form may post. It has no fields.
const MAX_BODY: usize = 4 * 1024;

/// Whether visitors can be served, and if not, why.
async fn readyz(State(hub): State<Hub>) -> Response {
    match hub.not_ready() {
        None => "ready".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}")).into_response(),
    }
}

/// Where the app stands, as JSON. Starts nothing.
async fn status(AppHost(host): AppHost, State(hub): State<Hub>, State(handovers): State<Handovers>) -> Json<Progress> {
    let progress = hub.look(&host);
    handovers.note(&host, &progress);
    Json(progress)
}

/// The server function, behind the rule about who may start.
async fn server_function(AppHost(host): AppHost, State(hub): State<Hub>, request: Request<Body>) -> Response {
    if let Err(refusal) = may_start(&host, request.headers()) {
        return Problem::refused(refusal).into_response();
    }
    let context = move || {
        provide_context(hub.clone());
        provide_context(host.clone());
    };
    leptos_axum::handle_server_fns_with_context(context, request).await.into_response()
}
