//! Limits how many apps are put to sleep at a time, and how long an app is left alone after something has woken it
//! against unidler.
//!
//! Both are derived from what is recorded in the cluster, so that replicas share it and a restart forgets nothing. A
//! time in the future, from a clock that differs from ours, counts as now, and never as past.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::age::Age;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// The maximum number of apps in a minute.
const PER_MINUTE: usize = 20;

/// The maximum share that is put to sleep within an hour of the apps that were awake within the last day, but always at
/// least one app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brake {
    percent: u8,
}

/// The text is not a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a percentage from 0% to 100%")]
pub struct InvalidBrake(String);

impl Default for Brake {
    fn default() -> Self {
        Self { percent: 20 }
    }
}

impl FromStr for Brake {
    type Err = InvalidBrake;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_suffix('%')
            .and_then(|number| number.parse().ok())
            .filter(|percent| *percent <= 100)
            .map(|percent| Self { percent })
            .ok_or_else(|| InvalidBrake(text.to_owned()))
    }
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}

/// The limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The limit per minute.
    Minute,
    /// The limit per hour.
    Hour,
}

/// Reports that no more apps are put to sleep for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The limit that applies for longest.
    pub limit: Limit,
    /// The number of apps that it allows.
    pub allowed: usize,
    /// For how long it still applies.
    pub remaining: Duration,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = match self.limit {
            Limit::Minute => "minute",
            Limit::Hour => "hour",
        };
        let allowed = self.allowed;
        let apps = if allowed == 1 { "app" } else { "apps" };
        let remaining = Age(self.remaining);
        write!(
            f,
            "the brake holds for another {remaining}: at most {allowed} {apps} within one {limit}"
        )
    }
}

impl Brake {
    /// Whether an app that was put to sleep at a time counts.
    #[must_use]
    pub fn counts(now: Timestamp, idled: Timestamp) -> bool {
        Age::of(idled, now).0 < HOUR
    }

    /// Whether an app that fell asleep at a time is one of those of which a share may fall asleep. Apps that have slept for
    /// longer would allow all others to fall asleep at once.
    #[must_use]
    pub fn shares(now: Timestamp, since: Timestamp) -> bool {
        Age::of(since, now).0 < DAY
    }

    /// Whether the next app has to wait: `apps` is the number of those that share the limit, and `idled` has the times at
    /// which some were put to sleep, in any order.
    #[must_use]
    pub fn hold(
        self,
        now: Timestamp,
        idled: impl IntoIterator<Item = Timestamp>,
        apps: usize,
    ) -> Option<Hold> {
        let counted = idled.into_iter().filter(|idled| Self::counts(now, *idled));
        let mut ages: Vec<Duration> = counted.map(|idled| Age::of(idled, now).0).collect();
        ages.sort_unstable();
        let share = apps.saturating_mul(self.percent.into()) / 100;
        [
            (Limit::Minute, MINUTE, PER_MINUTE),
            (Limit::Hour, HOUR, share.max(1)),
        ]
        .into_iter()
        .filter_map(|(limit, period, allowed)| {
            // As many as are allowed are younger than this one, or it is the last of them.
            let oldest = *ages.get(allowed - 1)?;
            let remaining = period.checked_sub(oldest).filter(|left| !left.is_zero())?;
            Some(Hold {
                limit,
                allowed,
                remaining,
            })
        })
        .max_by_key(|hold| hold.remaining)
    }
}

/// How often in a row an app did not stay asleep, because it was soon undone or could not be completed, and when that
/// last happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The number of times in a row.
    pub times: NonZeroU32,
    /// When it last happened.
    pub last: Timestamp,
    /// The cause of the last time.
    #[serde(flatten)]
    pub cause: Cause,
}

/// What keeps an app from staying asleep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Something else restored its replicas: the name that it goes by, if known.
    Returned(Option<String>),
    /// A write was rejected.
    Refused,
}

impl Undone {
    /// Until when the app is left alone: an hour, doubled with each further time.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        let doublings = self.times.get() - 1;
        let hours = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.last
            .checked_add(HOUR.saturating_mul(hours))
            .unwrap_or(Timestamp::MAX)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned(Some(by)) => write!(f, "putting it to sleep was undone by {by}"),
            Self::Returned(None) => f.write_str("putting it to sleep was undone"),
            Self::Refused => f.write_str("it could not be put to sleep"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// What holds `percent` of `apps`, after one was put to sleep so many seconds ago for each of `ages`.
    fn hold(percent: u8, apps: usize, ages: &[i64]) -> Option<(Limit, usize, u64)> {
        let idled = ages.iter().map(|age| NOW - SignedDuration::from_secs(*age));
        Brake { percent }
            .hold(NOW, idled, apps)
            .map(|hold| (hold.limit, hold.allowed, hold.remaining.as_secs()))
    }

    #[test]
    fn a_fifth_of_all_apps_may_be_put_to_sleep_within_an_hour() {
        for (percent, apps, ages, expected) in [
            (20, 50, [].as_slice(), None),
            (20, 50, &[10; 9], None),
            (20, 50, &[10; 10], Some((Limit::Hour, 10, 3590))),
            // The oldest of ten has to be an hour ago, in whatever order they come.
            (20, 15, &[10, 3000, 20], Some((Limit::Hour, 3, 600))),
            (20, 15, &[3000, 20, 10], Some((Limit::Hour, 3, 600))),
            (20, 15, &[10, 3600, 20], None),
            (20, 15, &[10, 3599, 20], Some((Limit::Hour, 3, 1))),
            // One more than there may be, because somebody has lowered the limit: two have to be an hour ago.
            (20, 15, &[10, 3000, 2000, 20], Some((Limit::Hour, 3, 1600))),
            // One is always allowed, and no part of one.
            (20, 0, &[], None),
            (20, 1, &[10], Some((Limit::Hour, 1, 3590))),
            (20, 9, &[10], Some((Limit::Hour, 1, 3590))),
            (20, 10, &[10], None),
            (0, 1000, &[], None),
            (0, 1000, &[10], Some((Limit::Hour, 1, 3590))),
            (100, 3, &[10, 10], None),
            (100, 3, &[10, 10, 10], Some((Limit::Hour, 3, 3590))),
        ] {
            assert_eq!(
                hold(percent, apps, ages),
                expected,
                "{percent}% of {apps}: {ages:?}"
            );
        }
    }

    #[test]
    fn twenty_apps_may_be_put_to_sleep_within_a_minute() {
        for (ages, expected) in [
            ([10; 19].as_slice(), None),
            (&[10; 20], Some((Limit::Minute, 20, 50))),
            (&[60; 20], None),
            (&[10; 500], Some((Limit::Hour, 400, 3590))),
        ] {
            assert_eq!(
                hold(20, 2000, ages),
                expected,
                "{} of {:?}",
                ages.len(),
                ages[0]
            );
        }
        // What began long ago does not hide what is new.
        let mut ages = [1000; 100].to_vec();
        ages.extend([5; 20]);
        assert_eq!(hold(20, 2000, &ages), Some((Limit::Minute, 20, 55)));
    }

    #[test]
    fn a_time_in_the_future_never_counts_as_past() {
        for ahead in [-1, -3600, -100_000_000] {
            assert_eq!(hold(20, 5, &[ahead]), Some((Limit::Hour, 1, 3600)));
            assert_eq!(hold(20, 2000, &[ahead; 20]), Some((Limit::Minute, 20, 60)));
        }
    }

    #[test]
    fn an_app_is_left_alone_for_twice_as_long_each_time() {
        for (times, hours) in [(1, 1), (2, 2), (3, 4), (8, 128)] {
            let undone = Undone {
                times: NonZeroU32::new(times).expect("a number"),
                last: NOW,
                cause: Cause::Returned(None),
            };
            assert_eq!(
                undone.until(),
                NOW + SignedDuration::from_hours(hours),
                "{times}"
            );
        }
        for times in [25, 32, 33, u32::MAX] {
            let undone = Undone {
                times: NonZeroU32::new(times).expect("a number"),
                last: Timestamp::MAX,
                cause: Cause::Returned(None),
            };
            assert_eq!(undone.until(), Timestamp::MAX);
        }
    }

    #[test]
    fn a_brake_is_a_percentage() {
        for text in ["0%", "20%", "100%"] {
            let brake: Brake = text.parse().expect("a brake");
            assert_eq!(brake.to_string(), text);
        }
        assert_eq!(Brake::default().to_string(), "20%");
        for text in ["", "%", "20", "101%", "-1%", "20 %", "0.5%", "1000%"] {
            let error = text.parse::<Brake>().expect_err(text);
            assert_eq!(
                error.to_string(),
                format!("\"{text}\" is not a percentage from 0% to 100%")
            );
        }
    }

    #[test]
    fn a_hold_says_for_how_long() {
        let hold = |allowed| Hold {
            limit: Limit::Hour,
            allowed,
            remaining: Duration::from_mins(43),
        };
        let text = hold(1).to_string();
        assert_eq!(
            text,
            "the brake holds for another 43 min: at most 1 app within one hour"
        );
        let text = hold(400).to_string();
        assert_eq!(
            text,
            "the brake holds for another 43 min: at most 400 apps within one hour"
        );
    }
}
