//! Decides about one app, from everything known about it at a given time.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    str::FromStr,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    age::Age,
    brake::{Cause, Hold, Undone},
    duration::duration,
    moment::Moment,
    schedule::{Hours, Schedule},
    verdict::{LastUse, Silence, Source, Use},
};
use crate::app::AppId;

/// How long an app that falls asleep at once outside its hours is left alone after a wake-up, so that a visitor who
/// wakes it then can use it. An app with a shorter time without use is left alone only for that time.
const AT_ONCE_PAUSE: Duration = Duration::from_mins(30);

/// What is known of an app.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Its identifier.
    pub app: &'a AppId,
    /// The time.
    pub now: Timestamp,
    /// What its operators have configured.
    pub rules: &'a Rules,
    /// The time over which wake-ups of apps with the same hours are spread.
    pub wake_spread: Duration,
    /// Its current state.
    pub state: State,
}

/// What the operators of an app have configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The time without use after which it sleeps; `None` if nothing is configured.
    pub idle_after: Option<IdleAfter>,
    /// The hours in which it is awake, used or not; `None` if it has none.
    pub hours: Option<Awake>,
    /// The time until which it stays awake as a one-time exception.
    pub keep_awake_until: Option<Timestamp>,
}

impl Rules {
    /// What puts the app to sleep, and for how long it is left alone after it woke or changed; `None` if nothing ever does.
    #[must_use]
    pub fn sleep(&self) -> Option<(By, Duration)> {
        let hours = self.hours.as_ref();
        let is_at_once = hours.is_some_and(|hours| hours.asleep == Asleep::AtOnce);
        match self.idle_after {
            Some(IdleAfter::Never) => None,
            Some(IdleAfter::Unused(window)) if is_at_once => {
                Some((By::Schedule, window.min(AT_ONCE_PAUSE)))
            }
            Some(IdleAfter::Unused(window)) => Some((By::IdleAfter, window)),
            None => is_at_once.then_some((By::Schedule, AT_ONCE_PAUSE)),
        }
    }
}

/// The time without use after which an app sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleAfter {
    /// Never, and its hours do not put it to sleep either.
    Never,
    /// After this time.
    Unused(Duration),
}

/// The text is neither a time nor `never`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a duration: expected one such as 90m, 2h or 7d, or never")]
pub struct InvalidIdleAfter(String);

impl FromStr for IdleAfter {
    type Err = InvalidIdleAfter;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "never" {
            return Ok(Self::Never);
        }
        duration(text)
            .map(Self::Unused)
            .ok_or_else(|| InvalidIdleAfter(text.to_owned()))
    }
}

/// The hours of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awake {
    /// The schedule.
    pub schedule: Schedule,
    /// What happens outside of them.
    pub asleep: Asleep,
}

/// How an app falls asleep outside its hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asleep {
    /// Once it is unused, as without hours.
    #[default]
    ByActivity,
    /// Whether it is used or not.
    AtOnce,
}

/// The text does not name a way to fall asleep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is unknown: expected at-once or unused")]
pub struct InvalidAsleep(String);

impl FromStr for Asleep {
    type Err = InvalidAsleep;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "at-once" => Ok(Self::AtOnce),
            "unused" => Ok(Self::ByActivity),
            _ => Err(InvalidAsleep(text.to_owned())),
        }
    }
}

/// The current state of an app.
#[derive(Clone, Debug)]
pub enum State {
    /// It is awake.
    Awake(Observed),
    /// It sleeps, and its sleep is recorded.
    Asleep {
        /// When it was put to sleep.
        since: Timestamp,
        /// What put it to sleep, as far as that is known.
        by: Option<By>,
        /// Which of its rules cannot be read, in words: its hours may be among them.
        obstacle: Option<String>,
    },
}

/// What is known of an app that is awake.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Why it cannot be put to sleep, in words; `None` if it can.
    pub obstacle: Option<String>,
    /// How often putting it to sleep was undone.
    pub undone: Option<Undone>,
    /// When it last woke, if it ever slept.
    pub woken: Option<Timestamp>,
    /// When its workloads last changed: a roll-out, or other replicas.
    pub changed: Option<Timestamp>,
    /// When this process began to observe it.
    pub started: Timestamp,
    /// What the sources report about its use, within the window of [`Rules::idle_after`].
    pub seen: Use,
    /// The limit that the brake applies, if any.
    pub hold: Option<Hold>,
}

/// What to do about an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it stays awake.
    StayAwake(Stay),
    /// Put it to sleep.
    Idle(By),
    /// Nothing: it stays asleep.
    StayAsleep {
        /// When its hours wake it.
        until: Option<Moment>,
        /// Which of its rules cannot be read, in words.
        obstacle: Option<String>,
    },
    /// Wake it: its hours have begun.
    WakeBySchedule,
}

/// What puts an app to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// An explicit command.
    Command,
    /// It sleeps already, and its record was lost.
    Repair,
    /// It sleeps already, because of something else.
    Adopt,
    /// It was not used.
    IdleAfter,
    /// Its hours are over.
    Schedule,
}

impl By {
    const ALL: [Self; 5] = [
        Self::Command,
        Self::Repair,
        Self::Adopt,
        Self::IdleAfter,
        Self::Schedule,
    ];

    /// What has this name in an app's record.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == name)
    }

    /// Whether it is a rule, which never puts an app to sleep within its hours.
    #[must_use]
    pub fn is_rule(self) -> bool {
        matches!(self, Self::IdleAfter | Self::Schedule)
    }

    /// Its name in an app's record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "cli",
            Self::Repair => "repair",
            Self::Adopt => "adopt",
            Self::IdleAfter => "idle-after",
            Self::Schedule => "schedule",
        }
    }
}

/// Why an app stays awake. The durations are the remaining ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It never sleeps.
    Never,
    /// An operator keeps it awake for now.
    KeptAwake(Duration),
    /// Its hours are not over.
    InHours {
        /// When they will be.
        until: Option<Moment>,
    },
    /// No rule puts it to sleep.
    NoRule,
    /// It cannot be put to sleep, for this reason.
    Obstacle(String),
    /// Putting it to sleep was undone.
    Undone {
        /// By what.
        cause: Cause,
        /// How long the app is still left alone.
        remaining: Duration,
    },
    /// Too little time has passed since one of these events.
    Recent {
        /// The event.
        what: What,
        /// How long ago.
        ago: Duration,
        /// How long the app is still left alone.
        remaining: Duration,
    },
    /// It was used.
    Used {
        /// The last use.
        last: LastUse,
        /// How long the app stays awake without further use, if the source knows when it was used.
        remaining: Option<Duration>,
    },
    /// No source knows whether it was used.
    Unknown(Silence),
    /// The brake holds, because enough other apps were put to sleep.
    Held(Hold),
}

/// Events after which an app is left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It woke.
    Woken,
    /// Its workloads changed.
    Changed,
    /// This process began.
    Started,
    /// It could not be put to sleep.
    Attempted,
}

/// Decides what to do about an app.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Decision {
    match &facts.state {
        State::Awake(observed) => match may_sleep(facts, observed) {
            Ok(by) => Decision::Idle(by),
            Err(stay) => Decision::StayAwake(stay),
        },
        State::Asleep {
            since,
            by,
            obstacle,
        } => match (asleep(facts, *since, *by), obstacle) {
            (Some(wakes), _) if wakes.at() <= facts.now => Decision::WakeBySchedule,
            (until, obstacle) => Decision::StayAsleep {
                until,
                obstacle: obstacle.clone(),
            },
        },
    }
}

/// Returns what puts the app to sleep, or the first reason against it. Permanent reasons come before temporary ones.
fn may_sleep(facts: &Facts<'_>, observed: &Observed) -> Result<By, Stay> {
    let Facts { now, rules, .. } = *facts;
    let until = |time: Timestamp| {
        Duration::try_from(time.duration_since(now))
            .ok()
            .filter(|left| !left.is_zero())
    };

    if rules.idle_after == Some(IdleAfter::Never) {
        return Err(Stay::Never);
    }
    if let Some(left) = rules.keep_awake_until.and_then(until) {
        return Err(Stay::KeptAwake(left));
    }
    if let Some(Awake { schedule, .. }) = &rules.hours
        && let Hours::Inside { until, .. } = schedule.at(now)
    {
        let until = until.map(|until| Moment::new(until, now, schedule.zone()));
        return Err(Stay::InHours { until });
    }
    let (by, pause) = rules.sleep().ok_or(Stay::NoRule)?;
    if let Some(obstacle) = &observed.obstacle {
        return Err(Stay::Obstacle(obstacle.clone()));
    }
    if let Some(undone) = &observed.undone
        && let Some(remaining) = until(undone.until())
    {
        let cause = undone.cause.clone();
        return Err(Stay::Undone { cause, remaining });
    }
    let recent = [
        (What::Woken, observed.woken),
        (What::Changed, observed.changed),
        (What::Started, Some(observed.started)),
    ];
    let youngest = recent
        .into_iter()
        .filter_map(|(what, time)| Some((what, Age::of(time?, now).0)))
        .min_by_key(|(_, ago)| *ago);
    if let Some((what, ago)) = youngest
        && ago < pause
    {
        return Err(Stay::Recent {
            what,
            ago,
            remaining: pause - ago,
        });
    }
    if by == By::IdleAfter {
        match &observed.seen {
            Use::Used(last) => {
                // Busy pods keep an app awake only while they are busy.
                let ago = last.ago.filter(|_| last.by != Source::Cpu);
                let remaining = ago.map(|ago| pause.saturating_sub(ago));
                return Err(Stay::Used {
                    last: *last,
                    remaining,
                });
            }
            Use::Unknown(silence) => return Err(Stay::Unknown(silence.clone())),
            Use::Unused => {}
        }
    }
    match observed.hold {
        Some(hold) => Err(Stay::Held(hold)),
        None => Ok(by),
    }
}

/// When its hours wake an app that sleeps.
fn asleep(facts: &Facts<'_>, since: Timestamp, by: Option<By>) -> Option<Moment> {
    let Awake { schedule, .. } = facts.rules.hours.as_ref()?;
    let now = facts.now;
    let start = match schedule.at(now) {
        Hours::Inside {
            since: Some(start), ..
        } if since < start => Some(start),
        // Its hours were set after that. A time in the future is that of a clock by which these hours are over.
        Hours::Inside { .. } if by.is_some_and(By::is_rule) && since < now => Some(since),
        // It was put to sleep on purpose within these hours: the next ones wake it.
        Hours::Inside {
            until: Some(until), ..
        } => match schedule.at(until) {
            Hours::Outside { next } => next,
            Hours::Inside { .. } => None,
        },
        Hours::Inside { .. } => None,
        Hours::Outside { next } => next,
    };
    let wakes = wakes_at(facts, schedule, start?);
    Some(Moment::new(wakes, now, schedule.zone()))
}

/// When a span that begins at `start` wakes this app. The time is always within the span, however short that is.
fn wakes_at(facts: &Facts<'_>, schedule: &Schedule, start: Timestamp) -> Timestamp {
    let length = match schedule.at(start) {
        Hours::Inside {
            until: Some(until), ..
        } => Age::of(start, until).0,
        Hours::Inside { until: None, .. } | Hours::Outside { .. } => Duration::MAX,
    };
    let spread = facts.wake_spread.min(length).as_secs().max(1);
    // All replicas of unidler get the same result: the hasher is not keyed.
    let mut hasher = DefaultHasher::new();
    facts.app.hash(&mut hasher);
    let offset = Duration::from_secs(hasher.finish() % spread);
    start.checked_add(offset).unwrap_or(start)
}

impl Decision {
    /// What kind of decision it is: what is done, or why nothing is. For programs that count.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let stay = match self {
            Self::Idle(_) => return "sleep",
            Self::WakeBySchedule => return "wake",
            Self::StayAsleep { .. } => return "asleep",
            Self::StayAwake(stay) => stay,
        };
        match stay {
            Stay::Never => "never",
            Stay::KeptAwake(_) => "kept_awake",
            Stay::InHours { .. } => "in_hours",
            Stay::NoRule => "no_rule",
            Stay::Obstacle(_) => "obstacle",
            Stay::Undone { .. } => "undone",
            Stay::Recent { .. } => "recent",
            Stay::Used { .. } => "used",
            Stay::Unknown(silence) if silence.is_of_source() => "blind",
            Stay::Unknown(_) => "unknown",
            Stay::Held(_) => "held",
        }
    }

    /// The earliest time at which the app falls asleep, as far as it is known.
    #[must_use]
    pub fn not_before(&self, now: Timestamp) -> Option<Timestamp> {
        let stay = match self {
            Self::Idle(_) => return Some(now),
            Self::StayAsleep { .. } | Self::WakeBySchedule => return None,
            Self::StayAwake(stay) => stay,
        };
        let remaining = match stay {
            Stay::InHours { until } => return until.as_ref().map(Moment::at),
            Stay::KeptAwake(remaining)
            | Stay::Undone { remaining, .. }
            | Stay::Recent { remaining, .. }
            | Stay::Held(Hold { remaining, .. }) => Some(*remaining),
            Stay::Used { remaining, .. } => *remaining,
            Stay::Never | Stay::NoRule | Stay::Obstacle(_) | Stay::Unknown(_) => None,
        };
        now.checked_add(SignedDuration::try_from(remaining?).ok()?)
            .ok()
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StayAwake(stay) => stay.fmt(f),
            Self::Idle(By::Command | By::Repair | By::Adopt) => {
                f.write_str("falls asleep now: requested")
            }
            Self::Idle(By::IdleAfter) => f.write_str("falls asleep now: not used"),
            Self::Idle(By::Schedule) => f.write_str("falls asleep now: outside its hours"),
            Self::StayAsleep { until, obstacle } => {
                f.write_str("asleep")?;
                if let Some(until) = until {
                    write!(f, " until {until}")?;
                }
                match obstacle {
                    Some(obstacle) => write!(f, "; {obstacle}"),
                    None => Ok(()),
                }
            }
            Self::WakeBySchedule => f.write_str("wakes now: its hours have begun"),
        }
    }
}

impl fmt::Display for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("it never sleeps"),
            Self::KeptAwake(left) => write!(f, "kept awake for another {}", Age(*left)),
            Self::InHours { until: Some(until) } => write!(f, "inside its hours until {until}"),
            Self::InHours { until: None } => f.write_str("inside its hours"),
            Self::NoRule => f.write_str("no rule puts it to sleep"),
            Self::Obstacle(obstacle) => f.write_str(obstacle),
            Self::Undone { cause, remaining } => {
                write!(f, "{cause}: left alone for another {}", Age(*remaining))
            }
            Self::Recent {
                what,
                ago,
                remaining,
            } => {
                let what = match what {
                    What::Woken => "woken",
                    What::Changed => "changed",
                    What::Started => "unidler started",
                    What::Attempted => "last attempt",
                };
                let (ago, remaining) = (Age(*ago), Age(*remaining));
                write!(f, "{what} {ago} ago: left alone for another {remaining}")
            }
            Self::Used { last, remaining } => {
                last.fmt(f)?;
                match remaining {
                    Some(remaining) => write!(f, "; unused, it sleeps in {}", Age(*remaining)),
                    None => Ok(()),
                }
            }
            Self::Unknown(silence) => silence.fmt(f),
            Self::Held(hold) => hold.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::sleep::{brake::Brake, verdict::Why};

    const WINDOW: Duration = Duration::from_hours(2);
    const OFFICE: &str = "Mon-Fri 07:30-19:00 Europe/London";

    fn time(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    /// Monday, 30 November 2026, an hour after the office has closed.
    fn evening() -> Timestamp {
        time("2026-11-30T20:00:00Z")
    }

    fn ago(minutes: i64) -> Timestamp {
        evening() - SignedDuration::from_mins(minutes)
    }

    fn hours(schedule: &str, asleep: Asleep) -> Option<Awake> {
        let schedule = schedule.parse().expect("a schedule");
        Some(Awake { schedule, asleep })
    }

    fn by_activity() -> Rules {
        Rules {
            idle_after: Some(IdleAfter::Unused(WINDOW)),
            ..Rules::default()
        }
    }

    fn at_once() -> Rules {
        Rules {
            hours: hours(OFFICE, Asleep::AtOnce),
            ..Rules::default()
        }
    }

    /// An app that nobody has used or touched for long.
    fn unused() -> Observed {
        Observed {
            obstacle: None,
            undone: None,
            woken: Some(ago(600)),
            changed: Some(ago(600)),
            started: ago(600),
            seen: Use::Unused,
            hold: None,
        }
    }

    fn used() -> Use {
        Use::Used(LastUse {
            ago: Some(Duration::from_mins(14)),
            by: Source::Requests,
        })
    }

    fn unknown() -> Use {
        Use::Unknown(Silence(vec![(Source::Requests, Why::PrometheusGaps)]))
    }

    fn undone(last: Timestamp) -> Option<Undone> {
        let times = NonZeroU32::new(2).expect("a number");
        let cause = Cause::Returned(Some("somebody".to_owned()));
        Some(Undone { times, last, cause })
    }

    fn hold() -> Option<Hold> {
        Brake::default().hold(evening(), [ago(17)], 5)
    }

    fn decide_about(rules: &Rules, now: Timestamp, state: State) -> Decision {
        decide(&Facts {
            app: &AppId::new("app"),
            now,
            rules,
            wake_spread: Duration::ZERO,
            state,
        })
    }

    fn words(rules: &Rules, observed: Observed) -> String {
        decide_about(rules, evening(), State::Awake(observed)).to_string()
    }

    #[test]
    fn an_unused_app_falls_asleep() {
        let awake = |rules: &Rules| decide_about(rules, evening(), State::Awake(unused()));
        assert_eq!(awake(&by_activity()), Decision::Idle(By::IdleAfter));
        assert_eq!(awake(&at_once()), Decision::Idle(By::Schedule));
        let outside = Rules {
            hours: hours(OFFICE, Asleep::ByActivity),
            ..by_activity()
        };
        assert_eq!(awake(&outside), Decision::Idle(By::IdleAfter));
        assert_eq!(
            [By::IdleAfter, By::Schedule].map(By::as_str),
            ["idle-after", "schedule"]
        );
    }

    /// Each reason in turn, with all of those behind it: the first one decides.
    #[test]
    fn the_reason_that_lasts_longest_comes_first() {
        let mut rules = Rules {
            idle_after: Some(IdleAfter::Never),
            hours: hours("Mon 07:30-21:00 Europe/London", Asleep::ByActivity),
            keep_awake_until: Some(ago(-175)),
        };
        let mut observed = Observed {
            obstacle: Some("an HPA owns its replicas".to_owned()),
            undone: undone(ago(77)),
            woken: Some(ago(3)),
            changed: Some(ago(5)),
            started: ago(4),
            seen: used(),
            hold: hold(),
        };
        let mut expect = |change: &dyn Fn(&mut Rules, &mut Observed), expected: &str| {
            assert_eq!(words(&rules, observed.clone()), expected);
            change(&mut rules, &mut observed);
        };
        expect(&|rules, _| rules.idle_after = None, "it never sleeps");
        expect(
            &|rules, _| rules.keep_awake_until = Some(evening()),
            "kept awake for another 2 h 55 min",
        );
        expect(
            &|rules, _| rules.hours = hours(OFFICE, Asleep::ByActivity),
            "inside its hours until 21:00",
        );
        expect(
            &|rules, _| rules.idle_after = by_activity().idle_after,
            "no rule puts it to sleep",
        );
        expect(
            &|_, observed| observed.obstacle = None,
            "an HPA owns its replicas",
        );
        expect(
            &|_, observed| observed.undone = undone(ago(120)),
            "putting it to sleep was undone by somebody: left alone for another 43 min",
        );
        expect(
            &|_, observed| observed.woken = Some(ago(120)),
            "woken 3 min ago: left alone for another 1 h 57 min",
        );
        expect(
            &|_, observed| observed.started = ago(120),
            "unidler started 4 min ago: left alone for another 1 h 56 min",
        );
        expect(
            &|_, observed| observed.changed = None,
            "changed 5 min ago: left alone for another 1 h 55 min",
        );
        expect(
            &|_, observed| observed.seen = unknown(),
            "used 14 min ago: requests; unused, it sleeps in 1 h 46 min",
        );
        expect(
            &|_, observed| observed.seen = Use::Unused,
            "no source says anything: Prometheus has gaps (requests)",
        );
        expect(
            &|_, observed| observed.hold = None,
            "the brake holds for another 43 min: at most 1 app within one hour",
        );
        expect(&|_, _| {}, "falls asleep now: not used");
    }

    #[test]
    fn a_plan_knows_when_an_app_sleeps_at_the_earliest() {
        let earliest = |rules: &Rules, observed: Observed| {
            decide_about(rules, evening(), State::Awake(observed)).not_before(evening())
        };
        let in_minutes = |minutes: i64| Some(evening() + SignedDuration::from_mins(minutes));
        let rules = by_activity();
        assert_eq!(earliest(&rules, unused()), in_minutes(0));
        for (observed, minutes) in [
            (
                Observed {
                    seen: used(),
                    ..unused()
                },
                106,
            ),
            (
                Observed {
                    woken: Some(ago(3)),
                    ..unused()
                },
                117,
            ),
            (
                Observed {
                    hold: hold(),
                    ..unused()
                },
                43,
            ),
        ] {
            assert_eq!(
                earliest(&rules, observed.clone()),
                in_minutes(minutes),
                "{observed:?}"
            );
        }
        let morning = Rules {
            hours: hours("Mon 07:30-21:00 Europe/London", Asleep::ByActivity),
            ..by_activity()
        };
        assert_eq!(
            earliest(&morning, unused()),
            Some(time("2026-11-30T21:00:00Z"))
        );
        let silent = Observed {
            seen: unknown(),
            ..unused()
        };
        assert_eq!(earliest(&rules, silent), None);
        assert_eq!(earliest(&Rules::default(), unused()), None);
    }

    #[test]
    fn nothing_that_is_unknown_puts_an_app_to_sleep() {
        for seen in [unknown(), Use::of([])] {
            let observed = Observed { seen, ..unused() };
            let decision = decide_about(&by_activity(), evening(), State::Awake(observed));
            assert!(
                matches!(decision, Decision::StayAwake(Stay::Unknown(_))),
                "{decision}"
            );
        }
        // Without a rule, or with hours alone, nothing does either.
        for rules in [
            Rules::default(),
            Rules {
                hours: hours(OFFICE, Asleep::ByActivity),
                ..Rules::default()
            },
            Rules {
                hours: hours("never", Asleep::ByActivity),
                ..Rules::default()
            },
        ] {
            assert_eq!(words(&rules, unused()), "no rule puts it to sleep");
        }
    }

    #[test]
    fn an_app_that_sleeps_at_once_needs_no_verdict() {
        for seen in [used(), unknown(), Use::Unused] {
            let observed = Observed { seen, ..unused() };
            assert_eq!(
                words(&at_once(), observed),
                "falls asleep now: outside its hours"
            );
        }
        // Whoever wakes it outside its hours can use it for half an hour.
        for (rules, minutes, expected) in [
            (
                at_once(),
                3,
                "woken 3 min ago: left alone for another 27 min",
            ),
            (at_once(), 30, "falls asleep now: outside its hours"),
            // Less if it sleeps sooner anyway, and never more.
            (
                Rules {
                    idle_after: Some(IdleAfter::Unused(Duration::from_mins(10))),
                    ..at_once()
                },
                3,
                "woken 3 min ago: left alone for another 7 min",
            ),
            (
                Rules {
                    idle_after: Some(IdleAfter::Unused(Duration::from_hours(16))),
                    ..at_once()
                },
                30,
                "falls asleep now: outside its hours",
            ),
        ] {
            let woken = Some(ago(minutes));
            assert_eq!(words(&rules, Observed { woken, ..unused() }), expected);
        }
        // All else is as without it.
        let keep_awake_until = Some(ago(-60));
        let kept = Rules {
            keep_awake_until,
            ..at_once()
        };
        assert_eq!(words(&kept, unused()), "kept awake for another 1 h");
        let never = Rules {
            idle_after: Some(IdleAfter::Never),
            ..at_once()
        };
        assert_eq!(words(&never, unused()), "it never sleeps");
        let held = Observed {
            hold: hold(),
            ..unused()
        };
        assert_eq!(
            words(&at_once(), held),
            "the brake holds for another 43 min: at most 1 app within one hour"
        );
        let always = Rules {
            hours: hours("always", Asleep::AtOnce),
            ..Rules::default()
        };
        assert_eq!(words(&always, unused()), "inside its hours");
    }

    #[test]
    fn times_in_the_future_never_count_as_old() {
        for minutes in [1, 60 * 24, 60 * 24 * 365] {
            let future = ago(-minutes);
            let rules = by_activity();
            for observed in [
                Observed {
                    woken: Some(future),
                    ..unused()
                },
                Observed {
                    changed: Some(future),
                    ..unused()
                },
                Observed {
                    started: future,
                    ..unused()
                },
                Observed {
                    undone: undone(future),
                    ..unused()
                },
            ] {
                let decision = decide_about(&rules, evening(), State::Awake(observed));
                let stays = matches!(
                    decision,
                    Decision::StayAwake(Stay::Recent { .. } | Stay::Undone { .. })
                );
                assert!(stays, "{decision}");
            }
        }
    }

    fn asleep(schedule: &str, by: Option<By>, since: &str, now: &str) -> String {
        let rules = Rules {
            hours: hours(schedule, Asleep::ByActivity),
            ..Rules::default()
        };
        let since = time(since);
        let state = State::Asleep {
            since,
            by,
            obstacle: None,
        };
        decide_about(&rules, time(now), state).to_string()
    }

    #[test]
    fn hours_wake_an_app_that_fell_asleep_before_they_began() {
        let wakes = "wakes now: its hours have begun";
        for (schedule, since, now, expected) in [
            (
                OFFICE,
                "2026-11-29T20:00:00Z",
                "2026-11-29T21:00:00Z",
                "asleep until Mon 07:30",
            ),
            (
                OFFICE,
                "2026-11-29T20:00:00Z",
                "2026-11-30T07:29:59Z",
                "asleep until 07:30",
            ),
            (
                OFFICE,
                "2026-11-29T20:00:00Z",
                "2026-11-30T07:30:00Z",
                wakes,
            ),
            // However late: the server may have been away.
            (
                OFFICE,
                "2026-11-29T20:00:00Z",
                "2026-11-30T18:59:59Z",
                wakes,
            ),
            (
                OFFICE,
                "2026-11-29T20:00:00Z",
                "2026-11-30T19:00:00Z",
                "asleep until Tue 07:30",
            ),
            // It fell asleep as they began, or within them: somebody wants that.
            (
                OFFICE,
                "2026-11-30T07:30:00Z",
                "2026-11-30T12:00:00Z",
                "asleep until Tue 07:30",
            ),
            (
                OFFICE,
                "2026-11-30T11:00:00Z",
                "2026-11-30T12:00:00Z",
                "asleep until Tue 07:30",
            ),
            (
                OFFICE,
                "2026-12-04T11:00:00Z",
                "2026-12-04T12:00:00Z",
                "asleep until Mon 07:30",
            ),
            // By a clock ahead of ours.
            (
                OFFICE,
                "2026-12-01T12:00:00Z",
                "2026-11-30T12:00:00Z",
                "asleep until Tue 07:30",
            ),
            // Hours without an end that begin, hours that never begin, and hours that are over.
            (
                "always",
                "2026-11-29T20:00:00Z",
                "2026-11-30T12:00:00Z",
                "asleep",
            ),
            (
                "never",
                "2026-11-29T20:00:00Z",
                "2026-11-30T12:00:00Z",
                "asleep",
            ),
            (
                "2026-11-30T08:00:00Z/2026-11-30T18:00:00Z",
                "2026-11-30T12:00:00Z",
                "2026-11-30T12:00:01Z",
                "asleep",
            ),
            (
                "2027-03-01T08:00:00Z/2027-03-01T18:00:00Z",
                "2026-11-30T12:00:00Z",
                "2026-11-30T12:00:01Z",
                "asleep until 2027-03-01 08:00 UTC",
            ),
        ] {
            assert_eq!(
                asleep(schedule, None, since, now),
                expected,
                "{schedule}, since {since}, at {now}"
            );
        }
        let (since, by) = (ago(60), Some(By::IdleAfter));
        let state = |obstacle: Option<&str>| State::Asleep {
            since,
            by,
            obstacle: obstacle.map(ToOwned::to_owned),
        };
        let told = |state| decide_about(&by_activity(), evening(), state).to_string();
        assert_eq!(told(state(None)), "asleep");
        // Its hours may be what cannot be read.
        let wrong = "unidler/awake: expected hours";
        assert_eq!(told(state(Some(wrong))), format!("asleep; {wrong}"));
    }

    #[test]
    fn hours_wake_an_app_that_a_rule_put_to_sleep_before_they_were_set() {
        let wakes = "wakes now: its hours have begun";
        let (since, now) = ("2026-11-30T11:00:00Z", "2026-11-30T12:00:00Z");
        for (by, of_the_office, always) in [
            (Some(By::IdleAfter), wakes, wakes),
            (Some(By::Schedule), wakes, wakes),
            // Somebody wants it to sleep, or may want that.
            (Some(By::Command), "asleep until Tue 07:30", "asleep"),
            (Some(By::Repair), "asleep until Tue 07:30", "asleep"),
            (Some(By::Adopt), "asleep until Tue 07:30", "asleep"),
            (None, "asleep until Tue 07:30", "asleep"),
        ] {
            assert_eq!(asleep(OFFICE, by, since, now), of_the_office, "{by:?}");
            assert_eq!(asleep("always", by, since, now), always, "{by:?}");
            assert_eq!(asleep("never", by, since, now), "asleep", "{by:?}");
        }
        // By a clock ahead of ours, which put it to sleep when these hours were over.
        let (since, now) = ("2026-11-30T19:00:00Z", "2026-11-30T18:59:58Z");
        let by = Some(By::Schedule);
        assert_eq!(asleep(OFFICE, by, since, now), "asleep until Tue 07:30");
    }

    #[test]
    fn what_puts_apps_to_sleep_is_known_by_its_name() {
        for by in By::ALL {
            assert_eq!(By::named(by.as_str()), Some(by));
        }
        assert_eq!(By::named("somebody"), None);
    }

    /// When each of some apps wakes, in seconds after the start of its hours.
    fn offsets(schedule: &str, wake_spread: Duration) -> Vec<i64> {
        let rules = Rules {
            hours: hours(schedule, Asleep::ByActivity),
            ..Rules::default()
        };
        let start = time("2026-12-01T08:00:00Z");
        let of_app = |number| {
            let app = AppId::new(&format!("team/app-{number}"));
            let at = |now| {
                decide(&Facts {
                    app: &app,
                    now,
                    rules: &rules,
                    wake_spread,
                    state: State::Asleep {
                        since: ago(60),
                        by: None,
                        obstacle: None,
                    },
                })
            };
            let Decision::StayAsleep {
                until: Some(until), ..
            } = at(evening())
            else {
                panic!("{}", at(evening()));
            };
            // It does what it says, and not before.
            let a_second_before = at(until.at() - SignedDuration::from_secs(1));
            assert!(
                matches!(a_second_before, Decision::StayAsleep { .. }),
                "{a_second_before}"
            );
            assert_eq!(at(until.at()), Decision::WakeBySchedule);
            until.at().duration_since(start).as_secs()
        };
        (0..200).map(of_app).collect()
    }

    #[test]
    fn wake_ups_are_spread_but_never_beyond_the_hours() {
        let all = offsets("Tue 08:00-18:00 UTC", Duration::from_mins(5));
        assert!(
            all.iter().all(|offset| (0..300).contains(offset)),
            "{all:?}"
        );
        // Each minute gets its share of 40.
        for minute in 0..5 {
            let count = all.iter().filter(|offset| **offset / 60 == minute).count();
            assert!((20..60).contains(&count), "{count} in minute {minute}");
        }
        let short = offsets("Tue 08:00-08:01 UTC", Duration::from_mins(5));
        assert!(
            short.iter().all(|offset| (0..60).contains(offset)),
            "{short:?}"
        );
        assert!(
            offsets("Tue 08:00-18:00 UTC", Duration::ZERO)
                .iter()
                .all(|offset| *offset == 0)
        );
    }
}
