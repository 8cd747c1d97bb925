//! What the handlers share.

use std::sync::Arc;

use axum::http::StatusCode;
use unidler::hub::Hub;

use crate::{late::Late, limits::Streams, metrics::Handovers, site::Site};

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Starts, joins and looks at wake-ups.
    pub hub: Hub,
    /// The page's files.
    pub site: Site,
    /// The status of the page of an app that exists.
    pub page_status: StatusCode,
    /// Who may show the page in a frame, as sources of a Content-Security-Policy; `None` is nobody.
    pub frame_ancestors: Option<Arc<str>>,
    /// The event streams that are open.
    pub streams: Streams,
    /// The handovers under way, for the metrics.
    pub handovers: Handovers,
    /// What passes late requests on, if that is wanted.
    pub late: Option<Late>,
}
