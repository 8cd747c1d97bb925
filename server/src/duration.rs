//! Durations on the command line.

use std::time::Duration;

/// Parses a duration greater than zero.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    unidler::sleep::duration::duration(text)
        .ok_or_else(|| "expected a duration with its unit, such as 90s or 10m".to_owned())
}
