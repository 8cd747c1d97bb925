//! The admin port for operators: metrics and probes.
//!
//! Strangers can reach the page's port at the address of every idled app. The number of waking apps is none of their
//! business, nor is the reason why unidler is not ready. In addition, a port that strangers have saturated cannot
//! answer probes in time.

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use unidler::hub::Hub;
use unidler_app::api::{METRICS, READY, RESERVED};

use crate::metrics::Metrics;

/// The routes of `--admin-port`.
pub fn router(hub: Hub, metrics: Metrics) -> Router {
    let numbers = get({
        let hub = hub.clone();
        async move || metrics.render(&hub)
    });
    let ready = get(async move || readiness(&hub));
    Router::new()
        .route("/healthz", get(async || "Still OK"))
        .route("/readyz", ready.clone())
        .route(&format!("{RESERVED}{READY}"), ready)
        .route("/metrics", numbers.clone())
        .route(&format!("{RESERVED}{METRICS}"), numbers)
}

/// Whether visitors can be served, and if not, why.
fn readiness(hub: &Hub) -> Response {
    match hub.not_ready() {
        None => "ready".into_response(),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {reason}"),
        )
            .into_response(),
    }
}
