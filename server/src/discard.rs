//! Reads and discards request bodies.
//!
//! Unread bodies have to be read all the same: if the connection is closed while one is being sent, the client sees a
//! reset instead of the response. An ingress turns that into a 502 of its own.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use futures::StreamExt;
use tokio::time::timeout;

use crate::problem::Problem;

/// How long a body may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body up to a maximum size, and discards it.
///
/// # Errors
///
/// If it is larger, or takes too long.
pub(crate) async fn discard(body: Body, most: usize) -> Result<(), Problem> {
    if body.size_hint().lower() > most as u64 {
        return Err(Problem::too_large());
    }
    let reading = async {
        let mut chunks = body.into_data_stream();
        let mut read = 0;
        while let Some(chunk) = chunks.next().await {
            read += chunk.map_err(|_| Problem::too_large())?.len();
            if read > most {
                return Err(Problem::too_large());
            }
        }
        Ok(())
    };
    timeout(TIMEOUT, reading)
        .await
        .unwrap_or_else(|_| Err(Problem::too_slow()))
}
