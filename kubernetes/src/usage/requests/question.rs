//! Several questions to Prometheus in one query.

use std::time::Duration;

/// The label that says which part of the question a series answers.
pub(super) const PART: &str = "unidler";

/// A query as a part of a question.
pub(super) fn labelled(query: &str, part: &str) -> String {
    format!(r#"label_replace({query}, "{PART}", "{part}", "", "")"#)
}

/// A duration as queries have it.
pub(super) fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
