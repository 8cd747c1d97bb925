//! `unidler demo`: stands in for the ingress and the apps in front of the very same router.
//!
//! It differs from production only in its cluster and in this file.

use axum::{
    Router,
    extract::{Request, State},
    http::Method,
    middleware::{self, Next},
    response::{Html, IntoResponse, Redirect, Response},
};
use unidler::demo::{DemoCluster, Route};
use unidler_app::demo::{app_page, start_page};

use crate::{app_host::AppHost, state::AppState};

/// What the stand-in needs.
#[derive(Clone, Debug)]
struct Ingress {
    cluster: DemoCluster,
    css: String,
}

/// The router with the stand-in in front.
pub fn router(cluster: DemoCluster, state: AppState) -> Router {
    let ingress = Ingress {
        cluster,
        css: state.site.assets.css.text.clone(),
    };
    crate::router::router(state).layer(middleware::from_fn_with_state(ingress, route))
}

async fn route(
    State(ingress): State<Ingress>,
    host: Result<AppHost, crate::problem::Problem>,
    request: Request,
    next: Next,
) -> Response {
    let Ingress { cluster, css } = ingress;
    let Ok(AppHost(host)) = host else {
        return next.run(request).await;
    };
    if host.as_str() == "localhost" && request.uri().path() == "/" {
        return Html(start_page(&css, &port(&request))).into_response();
    }
    match cluster.route(&host) {
        Route::Unidler => next.run(request).await,
        Route::App(_) if request.uri().path() == "/idle" && request.method() == Method::POST => {
            cluster.idle(&host);
            Redirect::to("/").into_response()
        }
        Route::App(scene) => {
            let path_and_query = request
                .uri()
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default();
            Html(app_page(&css, scene, &path_and_query)).into_response()
        }
    }
}

/// The `:port` of the request's own address, for links to the scenes.
fn port(request: &Request) -> String {
    let host = request
        .headers()
        .get("host")
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    host.split_once(':')
        .map(|(_, port)| format!(":{port}"))
        .unwrap_or_default()
}
