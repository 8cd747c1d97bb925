//! How long something took or how long ago it was, in words.

use std::{fmt, time::Duration};

use jiff::Timestamp;

/// Displayed as its two largest units, such as `40 s`, `14 min`, `2 h 5 min` or `3 d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(pub Duration);

impl Age {
    /// The age of a time. A time in the future, from a clock that differs from ours, counts as now.
    #[must_use]
    pub fn of(time: Timestamp, now: Timestamp) -> Self {
        Self(Duration::try_from(now.duration_since(time)).unwrap_or_default())
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min"),
            (0, _, _) if minutes % 60 == 0 => write!(f, "{hours} h"),
            (0, ..) => write!(f, "{hours} h {} min", minutes % 60),
            _ if hours % 24 == 0 => write!(f, "{days} d"),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_at_most_two_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (7200, "2 h"),
            (7500, "2 h 5 min"),
            (86399, "23 h 59 min"),
            (86400, "1 d"),
            (190_800, "2 d 5 h"),
        ] {
            assert_eq!(Age(Duration::from_secs(seconds)).to_string(), expected);
        }
    }
}
