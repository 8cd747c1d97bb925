//! Durations as people write them.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Parses a duration greater than zero, such as `90s`, `1h30m` or `7d`. A day has 24 hours, a week seven days; months and
/// years have no fixed length.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let span = text.parse::<Span>().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let duration = Duration::try_from(duration.ok()?).ok()?;
    (!duration.is_zero()).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, expected) in [
            ("90s", 90),
            ("10m", 600),
            ("1h30m", 5400),
            ("1 minute", 60),
            ("7d", 7 * 24 * 3600),
            ("1w 12h", 180 * 3600),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_secs(expected)),
                "{text}"
            );
        }
        for text in ["", "10", "-5m", "0s", "soon", "1 month", "9999999999999d"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
