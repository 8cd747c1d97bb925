//! A problem that `unidler doctor` reports.

use serde::Serialize;

/// The severity of a finding, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Visitors of an app do not reach it.
    Error,
    /// Visitors may not reach it, or something will undo the idling.
    Warning,
    /// Good to know.
    Note,
}

/// A problem that `unidler doctor` reports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Its severity.
    pub severity: Severity,
    /// The stable name of the check.
    pub check: &'static str,
    /// The problem, and the object that has it.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// How to fix it: a command where there is one.
    pub fix: String,
}
