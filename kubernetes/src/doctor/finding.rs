//! One thing that is not as it should be.

use serde::Serialize;

/// How bad a finding is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Visitors of an app do not reach it.
    Error,
    /// They may not, or somebody will undo the idling.
    Warning,
    /// Good to know.
    Note,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The name of the check, which does not change.
    pub check: &'static str,
    /// What is found, and of which object.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What fixes it: a command where there is one.
    pub fix: String,
}
