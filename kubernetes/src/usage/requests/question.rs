//! Combines several Prometheus queries into one.

use std::time::Duration;

/// The label that identifies the part of the combined query to which a series belongs.
pub(super) const PART: &str = "unidler";

/// A query as a part of a combined query.
pub(super) fn labelled(query: &str, part: &str) -> String {
    format!(r#"label_replace({query}, "{PART}", "{part}", "", "")"#)
}

/// A duration in the syntax of queries.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
