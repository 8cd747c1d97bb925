//! The complete URL table: unidler's own paths, by their [place](crate::place); every other path belongs to the app,
//! and [`crate::page`] answers it while the app is not running.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request, State},
    http::{
        HeaderValue, Method, StatusCode, Uri,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY},
    },
    middleware,
    response::{IntoResponse, Json, Response},
};
use tower::ServiceExt;
use tower_http::services::ServeDir;
use unidler::{host::Host, hub::Hub};
use unidler_app::page::{Assets, TextFile};

use crate::{
    app_host::AppHost,
    connections::Lease,
    headers,
    navigation::{is_navigation, reads},
    page,
    place::{Place, Reserved, back_to, prefix},
    problem::Problem,
    site::Site,
    start_rule::{Leave, Refusal, is_cross_site},
    state::AppState,
    visit,
    wake::{see, wake},
};

/// All routes of unidler.
pub fn router(state: AppState) -> Router {
    // Runs the tasks that leptos spawns on tokio. Only the first call has an effect; later ones, in tests, may fail.
    drop(any_spawner::Executor::init_tokio());
    Router::new()
        .fallback(answer)
        .with_state(Arc::new(state))
        .layer(middleware::from_fn(headers::add))
}

async fn answer(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let is_turned_away = request
        .extensions()
        .get::<Lease>()
        .is_some_and(|lease| lease.is_turned_away);
    let place = Place::of(&path);
    let form = match place {
        Place::Reserved {
            base,
            what: Reserved::Wake,
        } => Some(base),
        Place::Reserved { .. } | Place::App => None,
    };
    let is_person = is_navigation(request.headers());
    let (head, body) = request.into_parts();
    // Kept for a readable page, in case the request is rejected.
    let turned_away = (is_person && (is_turned_away || form.is_some())).then(|| head.clone());
    let request = Request::from_parts(head, body);
    let answer = match place {
        // Kubernetes would restart a process that is merely busy.
        Place::App if is_turned_away && path == "/healthz" => Ok(visit::healthz()),
        Place::Reserved {
            what: Reserved::Ready,
            ..
        } if is_turned_away => Ok(readyz(&state.hub)),
        _ if is_turned_away => Err(Problem::full()),
        Place::Reserved { base, what } => reserved(&state, base, what, request).await,
        Place::App => visit::answer(&state, request).await,
    };
    let problem = match answer {
        Ok(answer) => return answer,
        Err(problem) => problem,
    };
    // People get a readable page.
    match turned_away {
        Some(head) => page::turned_away(&state, head, problem, form).await,
        None if is_person => problem.into_text(),
        None => problem.into_response(),
    }
}

async fn reserved(
    state: &Arc<AppState>,
    base: &str,
    what: Reserved<'_>,
    request: Request,
) -> Result<Response, Problem> {
    let reads = reads(request.method());
    match what {
        Reserved::Nothing => return Err(Problem::not_found()),
        Reserved::File(name) => return file(&state.site, name, request).await,
        // Somebody has reloaded the address at which a form was rejected.
        Reserved::Wake if reads && is_navigation(request.headers()) => {
            let prefix = prefix(request.headers());
            return Ok(see(&back_to(base, prefix, request.uri().query())));
        }
        Reserved::Wake if *request.method() != Method::POST => {
            return Err(Problem::method_not_allowed("POST"));
        }
        Reserved::Events | Reserved::Status | Reserved::Ready if !reads => {
            return Err(Problem::method_not_allowed("GET, HEAD"));
        }
        Reserved::Ready => return Ok(readyz(&state.hub)),
        Reserved::Events | Reserved::Status | Reserved::Wake => {}
    }
    let (mut parts, body) = request.into_parts();
    let AppHost(host) = AppHost::from_request_parts(&mut parts, &()).await?;
    let version = parts.version;
    let answer = match what {
        Reserved::Wake => wake(state, &host, base, Request::from_parts(parts, body)).await,
        Reserved::Events if parts.method == Method::HEAD => {
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Reserved::Events if is_cross_site(&host, &parts.headers) => {
            Err(Problem::refused(Refusal::CrossSite))
        }
        Reserved::Events => visit::stream(state, &host, &parts.headers, Leave::Join),
        Reserved::Status => Ok(status(state, &host).await),
        Reserved::Ready | Reserved::File(_) | Reserved::Nothing => Err(Problem::not_found()),
    };
    answer.map(|answer| state.let_go(&host, version, answer))
}

/// Whether visitors can be served. The reason is only in the log and in `unidler doctor`: strangers can reach this
/// port.
fn readyz(hub: &Hub) -> Response {
    match hub.not_ready() {
        None => "ready".into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready").into_response(),
    }
}

/// The state of the app, as JSON. Starts nothing. This address is never forwarded to the app, so the response includes
/// what would happen to other requests.
async fn status(state: &AppState, host: &Host) -> Response {
    // This may begin to watch the app, so that more is known about it.
    let _ = state.hub.forwards(host, false).await;
    let progress = state.hub.look(host);
    Json(state.told(host, progress).await).into_response()
}

/// Serves a file with a hash in its name, which may be cached forever.
async fn file(site: &Site, name: &str, mut request: Request) -> Result<Response, Problem> {
    let Assets { css, loader, .. } = &*site.assets;
    if let Some(TextFile {
        media_type, text, ..
    }) = [css, loader].into_iter().find(|file| file.name == name)
    {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(media_type)),
            (CACHE_CONTROL, headers::IMMUTABLE),
            (VARY, HeaderValue::from_static("Accept-Encoding")),
        ];
        let mut encodings = headers::entries(request.headers(), &ACCEPT_ENCODING);
        return Ok(
            match site
                .gzipped
                .get(name)
                .filter(|_| encodings.any(|encoding| encoding.eq_ignore_ascii_case("gzip")))
            {
                Some(gzipped) => {
                    (headers, [(CONTENT_ENCODING, "gzip")], gzipped.clone()).into_response()
                }
                None => (headers, text.clone()).into_response(),
            },
        );
    }
    *request.uri_mut() = format!("/{name}")
        .parse::<Uri>()
        .map_err(|_| Problem::not_found())?;
    let files = ServeDir::new(&site.files)
        .precompressed_br()
        .precompressed_gzip();
    let mut response = match files.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    };
    if response.status().is_success() {
        response
            .headers_mut()
            .insert(CACHE_CONTROL, headers::IMMUTABLE);
    }
    Ok(response)
}
