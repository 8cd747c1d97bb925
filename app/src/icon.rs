//! The icon of the tab, which follows the state: a moon, a sun, a ring. Inline, since a request for a file may already
//! reach the app.

use unidler::progress::Phase;

const MOON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cpath fill='%236d6ae8' d='M21 3a13 13 0 1 0 8 18A11 11 0 0 1 21 3z'/%3E%3C/svg%3E";
const SUN: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Ccircle fill='%232a9d63' cx='16' cy='16' r='13'/%3E%3C/svg%3E";
const RING: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Ccircle fill='none' stroke='%23c8442d' stroke-width='6' cx='16' cy='16' r='11'/%3E%3C/svg%3E";

/// The icon for a state.
#[must_use]
pub fn icon(phase: Phase) -> &'static str {
    match phase {
        Phase::Asleep | Phase::Waking { .. } => MOON,
        Phase::Ready { .. } => SUN,
        Phase::Failed { .. } => RING,
    }
}
