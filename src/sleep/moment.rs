//! A future time, in words.

use std::fmt;

use jiff::{Timestamp, Zoned, tz::TimeZone};

/// A future time, displayed as briefly as is unambiguous now: `19:00`, `Mon 07:30` or `2026-12-24 07:30`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    at: Zoned,
    now: Zoned,
}

impl Moment {
    /// A time as it is displayed now in a time zone.
    #[must_use]
    pub fn new(at: Timestamp, now: Timestamp, zone: TimeZone) -> Self {
        Self {
            at: at.to_zoned(zone.clone()),
            now: now.to_zoned(zone),
        }
    }

    /// The time with its date and time zone, such as `2026-12-24 07:30 (Europe/London)`: for readers who may be
    /// anywhere.
    #[must_use]
    pub fn in_full(&self) -> String {
        self.at.strftime("%Y-%m-%d %H:%M (%Q)").to_string()
    }

    /// The time.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at.timestamp()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.at.date().duration_since(self.now.date()).as_hours() / 24;
        let format = match days {
            0 => "%H:%M",
            1..=6 => "%a %H:%M",
            _ => "%Y-%m-%d %H:%M",
        };
        write!(f, "{}", self.at.strftime(format))?;
        // Any other time zone was chosen by an operator, who knows it.
        if self.at.time_zone() == &TimeZone::UTC {
            f.write_str(" UTC")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_as_short_as_can_be_understood() {
        for (at, now, zone, expected) in [
            (
                "2026-11-30T19:00:00Z",
                "2026-11-30T12:00:00Z",
                "Europe/London",
                "19:00",
            ),
            (
                "2026-07-06T18:00:00Z",
                "2026-07-06T12:00:00Z",
                "Europe/London",
                "19:00",
            ),
            (
                "2026-12-01T00:00:00Z",
                "2026-11-30T12:00:00Z",
                "Europe/London",
                "Tue 00:00",
            ),
            (
                "2026-12-06T23:59:00Z",
                "2026-11-30T00:00:00Z",
                "Europe/London",
                "Sun 23:59",
            ),
            (
                "2026-12-07T00:00:00Z",
                "2026-11-30T23:59:00Z",
                "Europe/London",
                "2026-12-07 00:00",
            ),
            // It is the day of the zone that counts.
            (
                "2026-11-30T16:00:00Z",
                "2026-11-30T14:00:00Z",
                "Asia/Tokyo",
                "Tue 01:00",
            ),
            (
                "2026-11-30T19:00:00Z",
                "2026-11-30T12:00:00Z",
                "UTC",
                "19:00 UTC",
            ),
            (
                "2026-11-29T19:00:00Z",
                "2026-11-30T12:00:00Z",
                "UTC",
                "2026-11-29 19:00 UTC",
            ),
        ] {
            let zone = TimeZone::get(zone).expect("a zone");
            let time = |text: &str| text.parse().expect("an instant");
            assert_eq!(Moment::new(time(at), time(now), zone).to_string(), expected);
        }
    }
}
