//! The hours in which an app is awake, as its annotation specifies them.
//!
//! ```text
//! schedule = entry *("," entry)                   at most 50
//! entry    = "always" | "never" | weekly | once
//! weekly   = days " " time "-" time " " zone      Mon-Fri 07:30-19:00 Europe/London
//! days     = day ["-" day]                        Sat, Mon-Fri, or across the end of the week: Sat-Mon
//! time     = hh:mm                                24:00 is the end of the day
//! zone     = a name of the IANA database or UTC
//! once     = instant ("/" | "-") instant          2026-12-01T00:00:00Z/2026-12-02T00:00:00Z, RFC 3339
//! ```
//!
//! This includes the grammar of kube-downscaler, with `true` and `false` for `always` and `never`. Only its short forms,
//! which take days, zone or end from its own configuration, are refused. Times that end before they begin are those of a
//! night, which belongs to the day on which it begins: `Fri 22:00-06:00` ends on Saturday.
//!
//! Where clocks are put forward, a skipped time stands for the moment of the change. Where they are put back, a time
//! that occurs twice begins a span the first time and ends it the second time: if in doubt, an app is awake for too
//! long.

use std::{ops::Range, str::FromStr};

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Weekday},
    tz::{AmbiguousOffset, TimeZone},
};

/// Enough for every use, and few enough to be evaluated every minute for every app.
const MAX_ENTRIES: usize = 50;
/// The maximum number of adjoining spans to follow: those of the days of more than a year.
const MAX_CHAIN: usize = 400;
/// How many days ahead to look for the next occurrence of a weekly span: up to two in a row may be skipped because of a
/// clock change that leaves out the hour or the day.
const AHEAD: i64 = 22;

/// When an app is to be awake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At all times.
    Always,
    /// Within these spans, which may overlap.
    Spans(Vec<Span>),
}

/// One span of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Weekly(Weekly),
    Once(Range<Timestamp>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Weekly {
    first: Weekday,
    last: Weekday,
    from: TimeOfDay,
    to: TimeOfDay,
    zone: TimeZone,
}

/// Minutes since midnight: 1440 is the end of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TimeOfDay(i16);

impl TimeOfDay {
    const START: Self = Self(0);
    const END: Self = Self(24 * 60);
}

/// How a time relates to a schedule. Spans that overlap or touch count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    /// Within a span.
    Inside {
        /// When it began; `None` if that is more than a year ago, or if it has no beginning.
        since: Option<Timestamp>,
        /// When it ends; `None` if that is in more than a year, or never.
        until: Option<Timestamp>,
    },
    /// Within none.
    Outside {
        /// When the next one begins, if there is one.
        next: Option<Timestamp>,
    },
}

impl Schedule {
    /// How a time relates to this schedule.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Hours {
        let spans = match self {
            Self::Always => {
                return Hours::Inside {
                    since: None,
                    until: None,
                };
            }
            Self::Spans(spans) => spans,
        };
        let near = |time| spans.iter().flat_map(move |span| span.near(time));
        let until = chain(now, |end| {
            near(end)
                .filter(|span| span.contains(&end))
                .map(|span| span.end)
                .max()
        });
        if until == Some(now) {
            let next = spans.iter().filter_map(|span| span.next(now)).min();
            return Hours::Outside { next };
        }
        let since = chain(now, |start| {
            near(start)
                .filter(|span| span.start < start && start <= span.end)
                .map(|span| span.start)
                .min()
        });
        Hours::Inside { since, until }
    }

    /// The time zone to show its times in: that of its first weekly span, otherwise UTC.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        let zone = match self {
            Self::Always => None,
            Self::Spans(spans) => spans.iter().find_map(|span| match &span.0 {
                Kind::Weekly(weekly) => Some(weekly.zone.clone()),
                Kind::Once(_) => None,
            }),
        };
        zone.unwrap_or(TimeZone::UTC)
    }
}

/// Follows spans from one to the next until the last; `None` if there are too many of them.
fn chain(from: Timestamp, next: impl Fn(Timestamp) -> Option<Timestamp>) -> Option<Timestamp> {
    let mut time = from;
    for _ in 0..MAX_CHAIN {
        match next(time) {
            Some(further) => time = further,
            None => return Some(time),
        }
    }
    None
}

impl Span {
    /// Its occurrences that may contain or touch a time.
    fn near(&self, time: Timestamp) -> impl Iterator<Item = Range<Timestamp>> + use<'_> {
        // Yesterday's span may reach into today, and that of the day before may do so up to its end if a whole day was
        // skipped. Where clocks are put back at midnight, tomorrow's span may have begun.
        self.occurrences(time, -2..=1)
    }

    /// When it next begins after a time.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.occurrences(now, -1..=AHEAD)
            .map(|span| span.start)
            .find(|start| *start > now)
    }

    /// Its occurrences that begin on certain days, counted from the day of `time`. None of them is empty.
    fn occurrences(
        &self,
        time: Timestamp,
        days: std::ops::RangeInclusive<i64>,
    ) -> impl Iterator<Item = Range<Timestamp>> + use<'_> {
        let (once, weekly) = match &self.0 {
            Kind::Once(span) => (Some(span.clone()), None),
            Kind::Weekly(weekly) => (None, Some(weekly)),
        };
        let weekly = weekly.into_iter().flat_map(move |weekly| {
            let today = weekly.zone.to_datetime(time).date();
            days.clone()
                .filter(move |day| weekly.is_of(today.weekday().wrapping_add(*day)))
                .filter_map(move |day| weekly.on(plus(today, day)?))
        });
        once.into_iter().chain(weekly)
    }
}

impl Weekly {
    fn is_of(&self, day: Weekday) -> bool {
        day.since(self.first) <= self.last.since(self.first)
    }

    /// The span that begins on a day, unless a change of the clocks leaves nothing of it.
    fn on(&self, day: Date) -> Option<Range<Timestamp>> {
        let end_day = if self.to < self.from {
            plus(day, 1)?
        } else {
            day
        };
        let start = self.instant(at(day, self.from)?, Twice::First)?;
        let end = self.instant(at(end_day, self.to)?, Twice::Second)?;
        (start < end).then_some(start..end)
    }

    fn instant(&self, time: DateTime, twice: Twice) -> Option<Timestamp> {
        let instant = self.zone.to_ambiguous_timestamp(time);
        match (instant.offset(), twice) {
            // Clocks are put forward: the time does not exist, so the moment of the change stands for it.
            (AmbiguousOffset::Gap { .. }, _) => {
                let before = instant.earlier().ok()?;
                Some(self.zone.following(before).next()?.timestamp())
            }
            (_, Twice::First) => instant.earlier().ok(),
            (_, Twice::Second) => instant.later().ok(),
        }
    }
}

/// Which of two equal times is meant where clocks are put back.
#[derive(Clone, Copy)]
enum Twice {
    First,
    Second,
}

fn plus(day: Date, days: i64) -> Option<Date> {
    day.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

fn at(day: Date, time: TimeOfDay) -> Option<DateTime> {
    let midnight = day.to_datetime(jiff::civil::Time::midnight());
    let minutes = jiff::Span::new().try_minutes(time.0).ok()?;
    midnight.checked_add(minutes).ok()
}

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// It is empty.
    #[error("the schedule is empty: write `never` for an app without hours")]
    Empty,
    /// It has too many entries.
    #[error("the schedule has {0} entries: {MAX_ENTRIES} at most")]
    TooLong(usize),
    /// An entry begins with neither days nor a date.
    #[error(
        "\"{0}\" is not an entry of a schedule: write days, times and a time zone, such as \
         \"Mon-Fri 07:30-19:00 Europe/London\", or `always` or `never`"
    )]
    Entry(String),
    /// The days cannot be parsed.
    #[error("\"{part}\" in \"{entry}\" is not a day or days such as Sat or Mon-Fri")]
    Days {
        /// The text in their place.
        part: String,
        /// The entry.
        entry: String,
    },
    /// The times of day cannot be parsed.
    #[error("\"{part}\" in \"{entry}\" is not a span of times such as 07:30-19:00")]
    Times {
        /// The text in their place.
        part: String,
        /// The entry.
        entry: String,
    },
    /// A span ends when it begins.
    #[error(
        "\"{part}\" in \"{entry}\" begins and ends at the same time: write 00:00-24:00 for the whole day"
    )]
    NoTime {
        /// The times.
        part: String,
        /// The entry.
        entry: String,
    },
    /// An entry has no time zone.
    #[error("\"{0}\" has no time zone: add one such as Europe/London or UTC")]
    NoZone(String),
    /// The time zone is unknown.
    #[error("\"{part}\" in \"{entry}\" is not a time zone such as Europe/London or UTC")]
    Zone {
        /// The text in its place.
        part: String,
        /// The entry.
        entry: String,
    },
    /// An entry begins with a date, but is not a pair of instants.
    #[error(
        "\"{0}\" is not a span of two times with their offsets from UTC, such as \
         2026-12-01T00:00:00Z/2026-12-02T00:00:00Z"
    )]
    Instants(String),
    /// The two instants are in the wrong order.
    #[error("\"{0}\" does not end after it begins")]
    Backwards(String),
}

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err(InvalidSchedule::Empty);
        }
        let count = text.split(',').count();
        if count > MAX_ENTRIES {
            return Err(InvalidSchedule::TooLong(count));
        }
        // Every entry is parsed, even after one that already decides the result: a mistake in any of them is reported.
        text.split(',')
            .map(|entry| parse_entry(entry.trim()))
            .try_fold(Self::Spans(Vec::new()), |so_far, entry| {
                Ok(match (so_far, entry?) {
                    (Self::Spans(mut spans), Self::Spans(more)) => {
                        spans.extend(more);
                        Self::Spans(spans)
                    }
                    _ => Self::Always,
                })
            })
    }
}

fn parse_entry(entry: &str) -> Result<Schedule, InvalidSchedule> {
    let is = |word: &str| entry.eq_ignore_ascii_case(word);
    if is("always") || is("true") {
        return Ok(Schedule::Always);
    }
    if is("never") || is("false") {
        return Ok(Schedule::Spans(Vec::new()));
    }
    if entry.len() >= 4 && entry.bytes().take(4).all(|byte| byte.is_ascii_digit()) {
        let span = parse_once(entry)?;
        return Ok(Schedule::Spans(vec![Span(Kind::Once(span))]));
    }
    let weekly = parse_weekly(entry)?;
    let is_whole_day = weekly.from == TimeOfDay::START && weekly.to == TimeOfDay::END;
    if is_whole_day && weekly.last.next() == weekly.first {
        return Ok(Schedule::Always);
    }
    Ok(Schedule::Spans(vec![Span(Kind::Weekly(weekly))]))
}

fn parse_once(entry: &str) -> Result<Range<Timestamp>, InvalidSchedule> {
    let instant = |text: &str| text.trim().parse::<Timestamp>().ok();
    // Dates and offsets contain dashes as well, but only one dash has a complete instant on each side.
    let (start, end) = entry
        .match_indices(['/', '-'])
        .find_map(|(at, _)| Some((instant(&entry[..at])?, instant(&entry[at + 1..])?)))
        .ok_or_else(|| InvalidSchedule::Instants(entry.to_owned()))?;
    if start < end {
        Ok(start..end)
    } else {
        Err(InvalidSchedule::Backwards(entry.to_owned()))
    }
}

fn parse_weekly(entry: &str) -> Result<Weekly, InvalidSchedule> {
    let mut words = entry.split_whitespace();
    let (Some(days), Some(times)) = (words.next(), words.next()) else {
        return Err(InvalidSchedule::Entry(entry.to_owned()));
    };
    let (first, last) = parse_days(days).ok_or_else(|| InvalidSchedule::Days {
        part: days.to_owned(),
        entry: entry.to_owned(),
    })?;
    let (from, to) = parse_times(times).ok_or_else(|| InvalidSchedule::Times {
        part: times.to_owned(),
        entry: entry.to_owned(),
    })?;
    if from == to {
        return Err(InvalidSchedule::NoTime {
            part: times.to_owned(),
            entry: entry.to_owned(),
        });
    }
    let zone = words.collect::<Vec<_>>().join(" ");
    if zone.is_empty() {
        return Err(InvalidSchedule::NoZone(entry.to_owned()));
    }
    match TimeZone::get(&zone) {
        Ok(zone) if !zone.is_unknown() => Ok(Weekly {
            first,
            last,
            from,
            to,
            zone,
        }),
        _ => Err(InvalidSchedule::Zone {
            part: zone,
            entry: entry.to_owned(),
        }),
    }
}

fn parse_days(text: &str) -> Option<(Weekday, Weekday)> {
    match text.split_once('-') {
        Some((first, last)) => Some((parse_day(first)?, parse_day(last)?)),
        None => parse_day(text).map(|day| (day, day)),
    }
}

fn parse_day(text: &str) -> Option<Weekday> {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let index = DAYS.iter().position(|day| day.eq_ignore_ascii_case(text))?;
    Weekday::from_monday_zero_offset(i8::try_from(index).ok()?).ok()
}

fn parse_times(text: &str) -> Option<(TimeOfDay, TimeOfDay)> {
    let (from, to) = text.split_once('-')?;
    let from = parse_time(from).filter(|from| *from < TimeOfDay::END)?;
    Some((from, parse_time(to)?))
}

fn parse_time(text: &str) -> Option<TimeOfDay> {
    let number = |text: &str, digits: Range<usize>| {
        let is_number = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<i16>().ok()).flatten()
    };
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (number(hours, 1..3)?, number(minutes, 2..3)?);
    let time = TimeOfDay(hours * 60 + minutes);
    (minutes < 60 && time <= TimeOfDay::END).then_some(time)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn schedule(text: &str) -> Schedule {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    /// `in SINCE..UNTIL` or `out, next NEXT`, in UTC.
    fn at(text: &str, now: &str) -> String {
        let show = |time: Option<Timestamp>| {
            time.map_or("-".to_owned(), |time| {
                time.strftime("%m-%dT%H:%M").to_string()
            })
        };
        match schedule(text).at(time(now)) {
            Hours::Inside { since, until } => format!("in {}..{}", show(since), show(until)),
            Hours::Outside { next } => format!("out, next {}", show(next)),
        }
    }

    fn check(table: &[(&str, &str, &str)]) {
        let mut wrong = String::new();
        for (text, now, expected) in table {
            let found = at(text, now);
            if found != *expected {
                let _ = writeln!(wrong, "{text} at {now}: {found}, not {expected}");
            }
        }
        assert!(wrong.is_empty(), "\n{wrong}");
    }

    #[test]
    fn an_app_is_awake_within_its_hours() {
        let office = "Mon-Fri 07:30-19:00 Europe/London";
        check(&[
            // 30 November 2026 is a Monday, and London is at UTC.
            (office, "2026-11-30T07:29:59Z", "out, next 11-30T07:30"),
            (
                office,
                "2026-11-30T07:30:00Z",
                "in 11-30T07:30..11-30T19:00",
            ),
            (
                office,
                "2026-11-30T18:59:59Z",
                "in 11-30T07:30..11-30T19:00",
            ),
            (office, "2026-11-30T19:00:00Z", "out, next 12-01T07:30"),
            (office, "2026-12-04T19:00:00Z", "out, next 12-07T07:30"),
            (office, "2026-12-05T12:00:00Z", "out, next 12-07T07:30"),
            // In July it is an hour ahead.
            (
                office,
                "2026-07-06T06:30:00Z",
                "in 07-06T06:30..07-06T18:00",
            ),
            // Over the end of the year.
            (office, "2026-12-31T20:00:00Z", "out, next 01-01T07:30"),
            ("always", "2026-11-30T12:00:00Z", "in -..-"),
            ("never", "2026-11-30T12:00:00Z", "out, next -"),
            ("Never", "2026-11-30T12:00:00Z", "out, next -"),
            ("false, ALWAYS", "2026-11-30T12:00:00Z", "in -..-"),
            ("never,true", "2026-11-30T12:00:00Z", "in -..-"),
            ("Mon-Sun 00:00-24:00 UTC", "2026-11-30T12:00:00Z", "in -..-"),
            (
                "Thu-Wed 00:00-24:00 Asia/Tokyo",
                "2026-11-30T12:00:00Z",
                "in -..-",
            ),
            // Written in any case and with any blanks.
            (
                "  mon-FRI   7:30-19:00   europe/london ",
                "2026-11-30T12:00:00Z",
                "in 11-30T07:30..11-30T19:00",
            ),
        ]);
    }

    #[test]
    fn days_wrap_around_the_end_of_the_week() {
        let weekend = "Sat-Mon 10:00-12:00 UTC";
        check(&[
            (weekend, "2026-11-27T11:00:00Z", "out, next 11-28T10:00"), // Friday
            (
                weekend,
                "2026-11-28T11:00:00Z",
                "in 11-28T10:00..11-28T12:00",
            ), // Saturday
            (
                weekend,
                "2026-11-29T11:00:00Z",
                "in 11-29T10:00..11-29T12:00",
            ), // Sunday
            (
                weekend,
                "2026-11-30T11:00:00Z",
                "in 11-30T10:00..11-30T12:00",
            ), // Monday
            (weekend, "2026-12-01T11:00:00Z", "out, next 12-05T10:00"), // Tuesday
            (
                "Sat 10:00-12:00 UTC",
                "2026-11-28T12:00:00Z",
                "out, next 12-05T10:00",
            ),
            (
                "Sat-Sat 10:00-12:00 UTC",
                "2026-11-29T11:00:00Z",
                "out, next 12-05T10:00",
            ),
            // The day is that of the zone: it is Sunday in Auckland already.
            (
                "Sun 00:00-24:00 Pacific/Auckland",
                "2026-11-28T11:30:00Z",
                "in 11-28T11:00..11-29T11:00",
            ),
        ]);
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let nights = "Mon-Fri 22:00-06:00 UTC";
        check(&[
            (nights, "2026-11-30T03:00:00Z", "out, next 11-30T22:00"), // early on Monday
            (
                nights,
                "2026-11-30T23:00:00Z",
                "in 11-30T22:00..12-01T06:00",
            ),
            (
                nights,
                "2026-12-05T05:59:00Z",
                "in 12-04T22:00..12-05T06:00",
            ), // early on Saturday
            (nights, "2026-12-05T22:00:00Z", "out, next 12-07T22:00"),
            (
                "Thu 22:00-00:00 UTC",
                "2026-12-31T23:00:00Z",
                "in 12-31T22:00..01-01T00:00",
            ),
            (
                "Thu 22:00-24:00 UTC",
                "2026-12-31T23:00:00Z",
                "in 12-31T22:00..01-01T00:00",
            ),
        ]);
    }

    #[test]
    fn spans_that_overlap_or_touch_are_one() {
        let day = "2026-11-30T12:00:00Z";
        check(&[
            (
                "Mon 08:00-12:30 UTC, Mon 11:00-18:00 UTC",
                day,
                "in 11-30T08:00..11-30T18:00",
            ),
            (
                "Mon 11:00-18:00 UTC, Mon 08:00-12:30 UTC",
                day,
                "in 11-30T08:00..11-30T18:00",
            ),
            (
                "Mon 12:00-18:00 UTC, Mon 08:00-12:00 UTC",
                day,
                "in 11-30T08:00..11-30T18:00",
            ),
            (
                "Mon 08:00-18:00 UTC, Mon 09:00-10:00 UTC",
                day,
                "in 11-30T08:00..11-30T18:00",
            ),
            (
                "Mon 08:00-11:59 UTC, Mon 12:01-18:00 UTC",
                day,
                "out, next 11-30T12:01",
            ),
            // Two teams: London's day ends at 18:00, New York's begins at 14:00 in UTC.
            (
                "Mon-Fri 08:00-18:00 Europe/London, Mon-Fri 09:00-17:00 America/New_York",
                day,
                "in 11-30T08:00..11-30T22:00",
            ),
            // Days and nights in turn, up to the weekend.
            (
                "Mon-Fri 00:00-24:00 UTC",
                "2026-12-02T12:00:00Z",
                "in 11-30T00:00..12-05T00:00",
            ),
            (
                "Mon-Thu 06:00-22:00 UTC, Mon-Thu 22:00-06:00 UTC",
                day,
                "in 11-30T06:00..12-04T06:00",
            ),
            (
                "Mon-Sun 06:00-22:00 UTC, Mon-Sun 22:00-06:00 UTC",
                day,
                "in -..-",
            ),
            // A release on top of office hours.
            (
                "Mon-Fri 08:00-18:00 UTC, 2026-11-30T18:00:00Z/2026-12-01T09:00:00Z",
                day,
                "in 11-30T08:00..12-01T18:00",
            ),
        ]);
    }

    #[test]
    fn a_span_may_be_of_two_instants() {
        let slash = "2026-12-01T00:00:00Z/2026-12-02T00:00:00Z";
        let dash = "2026-12-01T00:00:00Z-2026-12-02T00:00:00Z";
        for text in [
            slash,
            dash,
            "2026-12-01T00:00:00Z - 2026-12-02T00:00:00Z",
            "2026-12-01T01:00:00+01:00-2026-12-01T19:00:00-05:00",
            "2026-11-30T19:00:00-05:00-2026-12-02T01:00:00+01:00",
            "2026-12-01T00:00:00.000Z/2026-12-02T00:00:00-00:00",
        ] {
            check(&[
                (text, "2026-11-30T23:59:59Z", "out, next 12-01T00:00"),
                (text, "2026-12-01T00:00:00Z", "in 12-01T00:00..12-02T00:00"),
                (text, "2026-12-01T23:59:59Z", "in 12-01T00:00..12-02T00:00"),
                (text, "2026-12-02T00:00:00Z", "out, next -"),
            ]);
        }
        // Of whatever length, and however far away.
        let decade = "2020-01-01T00:00:00Z/2030-01-01T00:00:00Z";
        check(&[
            (
                decade,
                "2026-11-30T12:00:00Z",
                "in 01-01T00:00..01-01T00:00",
            ),
            (decade, "2015-11-30T12:00:00Z", "out, next 01-01T00:00"),
        ]);
    }

    #[test]
    fn clocks_are_put_forward() {
        // In London 01:00 to 02:00 is left out on Sunday, 29 March 2026; in New York 02:00 to 03:00 three weeks before.
        check(&[
            (
                "Sun 00:00-24:00 Europe/London",
                "2026-03-29T12:00:00Z",
                "in 03-29T00:00..03-29T23:00",
            ),
            // It begins at the change, and not an hour after it.
            (
                "Sun 01:30-05:00 Europe/London",
                "2026-03-29T00:59:00Z",
                "out, next 03-29T01:00",
            ),
            (
                "Sun 01:30-05:00 Europe/London",
                "2026-03-29T01:00:00Z",
                "in 03-29T01:00..03-29T04:00",
            ),
            (
                "Sun 00:00-01:30 Europe/London",
                "2026-03-29T00:30:00Z",
                "in 03-29T00:00..03-29T01:00",
            ),
            (
                "Sun 00:00-01:00 Europe/London",
                "2026-03-29T00:30:00Z",
                "in 03-29T00:00..03-29T01:00",
            ),
            (
                "Sun 02:00-03:00 Europe/London",
                "2026-03-29T00:30:00Z",
                "out, next 03-29T01:00",
            ),
            // Nothing of it is left this week.
            (
                "Sun 01:10-01:50 Europe/London",
                "2026-03-28T12:00:00Z",
                "out, next 04-05T00:10",
            ),
            (
                "Sun 02:10-02:50 America/New_York",
                "2026-03-08T00:00:00Z",
                "out, next 03-15T06:10",
            ),
            // The night is an hour shorter.
            (
                "Sat 22:00-06:00 Europe/London",
                "2026-03-29T01:30:00Z",
                "in 03-28T22:00..03-29T05:00",
            ),
            // Half an hour, on Lord Howe Island.
            (
                "Sun 02:15-09:00 Australia/Lord_Howe",
                "2026-10-03T15:00:00Z",
                "out, next 10-03T15:30",
            ),
            // Midnight is left out.
            (
                "Sun 00:00-12:00 Asia/Beirut",
                "2026-03-28T21:00:00Z",
                "out, next 03-28T22:00",
            ),
            // Friday, 30 December 2011 is left out in Samoa.
            (
                "Fri 09:00-17:00 Pacific/Apia",
                "2011-12-29T12:00:00Z",
                "out, next 01-05T19:00",
            ),
            (
                "Thu-Sat 00:00-24:00 Pacific/Apia",
                "2011-12-30T12:00:00Z",
                "in 12-29T10:00..12-31T10:00",
            ),
        ]);
    }

    #[test]
    fn clocks_are_put_back() {
        // In London 01:00 to 02:00 comes twice on Sunday, 25 October 2026: until 01:00 in UTC for the first time.
        check(&[
            (
                "Sun 00:00-24:00 Europe/London",
                "2026-10-25T12:00:00Z",
                "in 10-24T23:00..10-26T00:00",
            ),
            (
                "Sun 01:30-05:00 Europe/London",
                "2026-10-25T01:00:00Z",
                "in 10-25T00:30..10-25T05:00",
            ),
            (
                "Sun 00:00-01:30 Europe/London",
                "2026-10-25T00:45:00Z",
                "in 10-24T23:00..10-25T01:30",
            ),
            (
                "Sun 01:10-01:50 Europe/London",
                "2026-10-25T01:00:00Z",
                "in 10-25T00:10..10-25T01:50",
            ),
            (
                "Sun 02:00-05:00 Europe/London",
                "2026-10-25T01:59:00Z",
                "out, next 10-25T02:00",
            ),
            (
                "Sat 22:00-06:00 Europe/London",
                "2026-10-25T01:30:00Z",
                "in 10-24T21:00..10-25T06:00",
            ),
            // The day before comes back for an hour after its end: Saturday in Newfoundland in 2010.
            (
                "Sun 00:00-01:00 America/St_Johns",
                "2010-11-07T02:30:30Z",
                "in 11-07T02:30..11-07T04:30",
            ),
            (
                "Sun 00:00-01:00 America/St_Johns",
                "2010-11-07T03:00:00Z",
                "in 11-07T02:30..11-07T04:30",
            ),
        ]);
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        for text in [
            "Mon-Fri 22:00-06:00 Europe/London",
            "Mon-Sun 00:00-12:00 UTC",
            "always",
            "never",
        ] {
            for now in [Timestamp::MIN, Timestamp::MAX] {
                let _ = schedule(text).at(now);
            }
        }
    }

    #[test]
    fn times_are_shown_in_the_zone_in_which_they_are_written() {
        for (text, expected) in [
            (
                "2026-12-01T00:00:00Z/2026-12-02T00:00:00Z, Sat 10:00-12:00 Asia/Tokyo",
                "Asia/Tokyo",
            ),
            ("2026-12-01T00:00:00+09:00/2026-12-02T00:00:00Z", "UTC"),
            ("always", "UTC"),
            ("never", "UTC"),
        ] {
            assert_eq!(schedule(text).zone().iana_name(), Some(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let many = ["Sat 10:00-12:00 UTC"; 51].join(",");
        let of = |text: &str| {
            format!(
                "\"{text}\" is not an entry of a schedule: write days, times and a time zone, such as \"Mon-Fri 07:30-19:00 Europe/London\", or `always` or `never`"
            )
        };
        let days = |part: &str, entry: &str| {
            format!("\"{part}\" in \"{entry}\" is not a day or days such as Sat or Mon-Fri")
        };
        let times = |part: &str, entry: &str| {
            format!("\"{part}\" in \"{entry}\" is not a span of times such as 07:30-19:00")
        };
        let zone = |part: &str, entry: &str| {
            format!("\"{part}\" in \"{entry}\" is not a time zone such as Europe/London or UTC")
        };
        let instants = |entry: &str| {
            format!(
                "\"{entry}\" is not a span of two times with their offsets from UTC, such as 2026-12-01T00:00:00Z/2026-12-02T00:00:00Z"
            )
        };
        let table = [
            ("", "the schedule is empty: write `never` for an app without hours".to_owned()),
            (" ", "the schedule is empty: write `never` for an app without hours".to_owned()),
            (&many, "the schedule has 51 entries: 50 at most".to_owned()),
            ("sometimes", of("sometimes")),
            ("always, sometimes", of("sometimes")),
            ("Mon,Tue 07:30-19:00 UTC", of("Mon")),
            ("Mon-Fri 07:30-19:00 UTC,", of("")),
            ("Mon-Fry 07:30-19:00 UTC", days("Mon-Fry", "Mon-Fry 07:30-19:00 UTC")),
            ("Mon-Wed-Fri 07:30-19:00 UTC", days("Mon-Wed-Fri", "Mon-Wed-Fri 07:30-19:00 UTC")),
            ("07:30-19:00 UTC", days("07:30-19:00", "07:30-19:00 UTC")),
            ("0 7 * * Mon", days("0", "0 7 * * Mon")),
            ("Mon-Fri 07:30 UTC", times("07:30", "Mon-Fri 07:30 UTC")),
            ("Mon-Fri 07:30-24:01 UTC", times("07:30-24:01", "Mon-Fri 07:30-24:01 UTC")),
            ("Mon-Fri 24:00-06:00 UTC", times("24:00-06:00", "Mon-Fri 24:00-06:00 UTC")),
            ("Mon-Fri 07:60-19:00 UTC", times("07:60-19:00", "Mon-Fri 07:60-19:00 UTC")),
            ("Mon-Fri 07:3-19:00 UTC", times("07:3-19:00", "Mon-Fri 07:3-19:00 UTC")),
            ("Mon-Fri 7-19 UTC", times("7-19", "Mon-Fri 7-19 UTC")),
            ("Mon-Fri +7:30-19:00 UTC", times("+7:30-19:00", "Mon-Fri +7:30-19:00 UTC")),
            ("Mon-Fri 07:30-99999999999:00 UTC", times("07:30-99999999999:00", "Mon-Fri 07:30-99999999999:00 UTC")),
            ("Mon-Fri 07:30 - 19:00 UTC", times("07:30", "Mon-Fri 07:30 - 19:00 UTC")),
            ("Mon-Fri 07:30-07:30 UTC", "\"07:30-07:30\" in \"Mon-Fri 07:30-07:30 UTC\" begins and ends at the same time: write 00:00-24:00 for the whole day".to_owned()),
            ("Mon-Fri 07:30-19:00", "\"Mon-Fri 07:30-19:00\" has no time zone: add one such as Europe/London or UTC".to_owned()),
            ("Mon-Fri 07:30-19:00 Europe/Atlantis", zone("Europe/Atlantis", "Mon-Fri 07:30-19:00 Europe/Atlantis")),
            ("Mon-Fri 07:30-19:00 Etc/Unknown", zone("Etc/Unknown", "Mon-Fri 07:30-19:00 Etc/Unknown")),
            ("Mon-Fri 07:30-19:00 UTC please", zone("UTC please", "Mon-Fri 07:30-19:00 UTC please")),
            ("2026-12-01/2026-12-02", instants("2026-12-01/2026-12-02")),
            ("2026-12-01T00:00:00Z", instants("2026-12-01T00:00:00Z")),
            ("2026-12-01T00:00:00/2026-12-02T00:00:00", instants("2026-12-01T00:00:00/2026-12-02T00:00:00")),
            ("2026-13-01T00:00:00Z/2026-12-02T00:00:00Z", instants("2026-13-01T00:00:00Z/2026-12-02T00:00:00Z")),
            ("2026-12-01T00:00:00Z/2026-12-01T00:00:00Z", "\"2026-12-01T00:00:00Z/2026-12-01T00:00:00Z\" does not end after it begins".to_owned()),
            ("Möntag 07:30-19:00 UTC", days("Möntag", "Möntag 07:30-19:00 UTC")),
        ];
        for (text, expected) in table {
            let error = text.parse::<Schedule>().expect_err(text);
            assert_eq!(error.to_string(), expected);
        }
    }

    const ZONES: [&str; 10] = [
        "UTC",
        "Europe/London",
        "America/New_York",
        "America/St_Johns",
        "America/Havana",
        "Australia/Lord_Howe",
        "Asia/Beirut",
        "Asia/Kathmandu",
        "Africa/Casablanca",
        "Pacific/Apia",
    ];

    /// Times at which something may happen: changes of the clocks in those zones, and in between.
    fn times() -> impl Strategy<Value = Timestamp> {
        let change = (0..ZONES.len(), 2009..2030_i16, 0..4_usize).prop_map(|(zone, year, nth)| {
            let start = time(&format!("{year}-01-01T00:00:00Z"));
            let zone = TimeZone::get(ZONES[zone]).expect("a zone");
            zone.following(start)
                .nth(nth)
                .map_or(start, |change| change.timestamp())
        });
        (change, -1500..60_i64, 0..60_i64).prop_map(|(change, minutes, seconds)| {
            change + jiff::SignedDuration::from_secs(minutes * 60 + seconds)
        })
    }

    fn entries() -> impl Strategy<Value = Vec<Weekly>> {
        let day =
            || (0..7_i8).prop_map(|day| Weekday::from_monday_zero_offset(day).expect("a day"));
        let minute = |range: std::ops::RangeInclusive<i16>| {
            // Full hours meet each other more often.
            prop_oneof![range.clone(), range].prop_map(|minute| {
                if minute % 3 == 0 {
                    minute
                } else {
                    minute / 60 * 60
                }
            })
        };
        let zone = (0..ZONES.len()).prop_map(|zone| TimeZone::get(ZONES[zone]).expect("a zone"));
        let entry = (day(), day(), minute(0..=1439), minute(0..=1440), zone)
            .prop_filter("a span", |(_, _, from, to, _)| from != to)
            .prop_map(|(first, last, from, to, zone)| Weekly {
                first,
                last,
                from: TimeOfDay(from),
                to: TimeOfDay(to),
                zone,
            });
        prop::collection::vec(entry, 1..4)
    }

    /// What a clock on the wall says: whether its day and time are within a span.
    fn is_in_by_the_clock(weekly: &Weekly, time: Timestamp) -> bool {
        let local = weekly.zone.to_datetime(time);
        let minute = TimeOfDay(i16::from(local.hour()) * 60 + i16::from(local.minute()));
        let today = weekly.is_of(local.weekday());
        let yesterday = weekly.is_of(local.weekday().previous());
        if weekly.from < weekly.to {
            today && (weekly.from..weekly.to).contains(&minute)
        } else {
            today && minute >= weekly.from || yesterday && minute < weekly.to
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Walking on from any time, minute by minute, nothing happens that was not announced, and what was announced
        /// happens.
        #[test]
        fn what_is_announced_happens(entries in entries(), start in times()) {
            let schedule = Schedule::Spans(entries.into_iter().map(|weekly| Span(Kind::Weekly(weekly))).collect());
            let mut before = schedule.at(start);
            for minute in 1..1500 {
                let now = start + jiff::SignedDuration::from_mins(minute);
                let hours = schedule.at(now);
                let minute_ago = now - jiff::SignedDuration::from_mins(1);
                let happened = |time: Timestamp| minute_ago < time && time <= now;
                match (before, hours) {
                    (Hours::Inside { until: Some(until), .. }, Hours::Outside { .. }) => prop_assert!(happened(until), "{until} at {now}"),
                    (Hours::Outside { next }, Hours::Inside { since, .. }) => {
                        prop_assert_eq!(next, since);
                        prop_assert!(since.is_some_and(happened), "{:?} at {}", since, now);
                    }
                    (before, hours) => prop_assert_eq!(before, hours, "at {}", now),
                }
                before = hours;
            }
        }

        /// Nobody is outside while the clock on the wall says that it is within hours, and the other way round but where
        /// clocks are put back.
        #[test]
        fn hours_are_those_of_the_clock_on_the_wall(entries in entries(), now in times()) {
            for weekly in entries {
                let schedule = Schedule::Spans(vec![Span(Kind::Weekly(weekly.clone()))]);
                let expected = is_in_by_the_clock(&weekly, now);
                match schedule.at(now) {
                    Hours::Outside { .. } => prop_assert!(!expected),
                    Hours::Inside { since: Some(since), until: Some(until) } if !expected => {
                        let change = weekly.zone.following(since).next().expect("a change");
                        prop_assert!(change.timestamp() <= until, "{since}..{until}");
                    }
                    Hours::Inside { .. } => {}
                }
            }
        }

        #[test]
        fn no_text_is_too_odd_to_be_read(text in ".{0,60}|[MFS][a-z-]{2,7} [0-9:-]{1,12} [A-Za-z/]{0,12}|2026[0-9TZ:/+-]{0,50}") {
            if let Ok(schedule) = text.parse::<Schedule>() {
                let _ = schedule.at(Timestamp::UNIX_EPOCH);
            }
        }
    }
}
