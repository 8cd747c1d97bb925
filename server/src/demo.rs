//! `unidler demo`: stands in for the ingress and the apps, in front of the same router as in production.
//!
//! It differs from production only in its cluster and in this file.

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    http::Method,
    middleware::{self, Next},
    response::{Html, IntoResponse, Redirect, Response},
};
use tokio::time::interval;
use unidler::{
    demo::{DemoCluster, Route},
    hub::Hub,
    sleep::decide::By,
};
use unidler_app::demo::{app_page, start_page};

use crate::{app_host::AppHost, state::AppState};

/// The state of the stand-in.
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
            cluster.visit(scene);
            let path_and_query = request
                .uri()
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default();
            Html(app_page(&css, scene, &path_and_query)).into_response()
        }
    }
}

/// Puts apps to sleep that have not been visited for a while, until it is aborted: the stand-in for the ingress
/// provides the information that otherwise comes from Prometheus.
pub(crate) async fn doze(cluster: DemoCluster, hub: Hub) {
    let mut checks = interval(Duration::from_secs(1));
    loop {
        checks.tick().await;
        for app in cluster.unused() {
            let hub = hub.clone();
            tokio::spawn(async move {
                // A visitor may come in between.
                let _ = hub.idle(&app, By::IdleAfter).await;
            });
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt;
    use unidler::{host::Host, hub::Settings, progress::Phase};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_app_falls_asleep_that_nobody_visits_and_a_visitor_wakes_it() {
        let cluster = DemoCluster::default();
        let hub = Hub::new(Arc::new(cluster.clone()), Settings::default());
        tokio::spawn(doze(cluster.clone(), hub.clone()));
        let host = Host::parse("dozy.localhost").expect("a host");
        let wait = async |seconds| tokio::time::sleep(Duration::from_secs(seconds)).await;
        for _ in 0..2 {
            assert_eq!(hub.look(&host).phase, Phase::Asleep);
            let _: Vec<_> = hub.start(&host).collect().await;
            wait(1).await;
            let Route::App(scene) = cluster.route(&host) else {
                panic!("it is not up");
            };
            for _ in 0..3 {
                wait(15).await;
                assert!(matches!(cluster.route(&host), Route::App(_)), "it is used");
                cluster.visit(scene);
            }
            wait(30).await;
            assert!(matches!(cluster.route(&host), Route::Unidler));
        }
    }
}
