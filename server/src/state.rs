//! The state that the handlers share.

use std::sync::Arc;

use axum::{
    http::{HeaderValue, StatusCode, Version, header::CONNECTION},
    response::Response,
};
use unidler::{
    host::Host,
    hub::{Forwards, Hub},
    progress::{Forwarding, Phase, Progress},
};

use crate::{forward::Forwarder, limits::Streams, metrics::Handovers, site::Site};

/// The state that the handlers share.
#[derive(Debug)]
pub struct AppState {
    /// Starts, joins and looks at wake-ups.
    pub hub: Hub,
    /// The page's files.
    pub site: Site,
    /// The status of the page of an app that exists.
    pub page_status: StatusCode,
    /// The origins that may show the page in a frame, as sources of a Content-Security-Policy; `None` means none.
    pub frame_ancestors: Option<Arc<str>>,
    /// The open event streams.
    pub streams: Streams,
    /// The handovers under way, for the metrics.
    pub handovers: Handovers,
    /// Forwards requests to running apps.
    pub forwarder: Forwarder,
}

impl AppState {
    /// Adapts a snapshot for a visitor who still reaches unidler: for a ready app, it adds whether the app can be
    /// reached through unidler. That is tested, since a network policy may prevent it.
    pub(crate) async fn told(&self, host: &Host, progress: Progress) -> Progress {
        self.handovers.seen(host, &progress);
        let forwarding = match progress.phase {
            // Boxed, since each waiting visitor has room for this future.
            Phase::Ready { .. } => Box::pin(self.forwarding(host)).await,
            Phase::Asleep | Phase::Waking { .. } | Phase::Failed { .. } => None,
        };
        Progress {
            forwarding,
            ..progress
        }
    }

    async fn forwarding(&self, host: &Host) -> Option<Forwarding> {
        let Forwards::All(address, forwarding) = self.hub.forwards(host, false).await? else {
            return None;
        };
        let is_reached = self.forwarder.reaches(address).await;
        is_reached.then_some(forwarding)
    }

    /// Makes an ingress close its connection after the response, if it was kept since the host's visitors were routed
    /// here and they no longer are: otherwise the ingress would continue to use it.
    pub(crate) fn let_go(&self, host: &Host, version: Version, mut response: Response) -> Response {
        let is_late = version < Version::HTTP_2
            && response.status() != StatusCode::SWITCHING_PROTOCOLS
            && self.hub.leads_to_app(host);
        if is_late {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
