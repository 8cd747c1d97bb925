//! The settings of an object for the sleep of the app that it belongs to.

use std::{fmt::Display, str::FromStr};

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::{self, Timestamp, civil, tz::TimeZone},
};
use unidler::{
    probe::Probes,
    sleep::{
        decide::{Asleep, IdleAfter},
        schedule::Schedule,
    },
    start::Start,
};

use super::{activity_url::ActivityUrl, annotation, label, marks::DOWNSCALER_EXCLUDE_UNTIL};

/// The label of a route or a Namespace whose apps may be put to sleep: `true` or `false`.
const APP: &str = "unidler/app";
/// The annotation with the time without use after which an app sleeps, such as `2h`, or `never`.
const IDLE_AFTER: &str = "unidler/idle-after";
/// The annotation with the hours in which an app is awake.
const AWAKE: &str = "unidler/awake";
/// The annotation with how an app falls asleep outside its hours: `at-once`, or `unused`.
const ASLEEP: &str = "unidler/asleep";
/// The annotation with the time until which an app stays awake as an exception, in RFC 3339.
pub(crate) const KEEP_AWAKE_UNTIL: &str = "unidler/keep-awake-until";
/// The annotation with the URL at which an app reports when it was last used, such as `/api/status#/last_activity`.
pub(crate) const ACTIVITY: &str = "unidler/activity";
/// The annotation with what a visitor has to do to wake an app: `visit`, `button` or `never`.
const WAKE: &str = "unidler/wake";
/// The annotation of a route or a Namespace that decides which apps that something else puts to sleep are adopted:
/// `marked`, `zero` or `never`.
const ADOPT: &str = "unidler/adopt";
/// The annotation with the requests that unidler answers for an app while it sleeps, such as `GET /healthz 200`.
const PROBE: &str = "unidler/probe";
/// The annotations of kube-downscaler, which apply where unidler's own are absent
/// (<https://codeberg.org/hjacobs/kube-downscaler>).
const DOWNSCALER_UPTIME: &str = "downscaler/uptime";
const DOWNSCALER_EXCLUDE: &str = "downscaler/exclude";

/// The settings of one object. Each value is the parsed one, or the reason why it cannot be parsed: in a sentence that
/// names the annotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SleepRules {
    /// Whether its apps may be put to sleep, if its label specifies that.
    pub(crate) is_app: Option<bool>,
    pub(crate) idle_after: Option<Result<IdleAfter, String>>,
    pub(crate) awake: Option<Result<Schedule, String>>,
    pub(crate) asleep: Option<Result<Asleep, String>>,
    pub(crate) keep_awake_until: Option<Result<Timestamp, String>>,
    pub(crate) activity: Option<Result<ActivityUrl, String>>,
    pub(crate) probes: Option<Result<Probes, String>>,
    pub(crate) wake: Option<Result<Start, String>>,
    pub(crate) adopt: Option<Result<Adopt, String>>,
    pub(crate) downscaler: Downscaler,
}

/// Which of the apps that something else puts to sleep are adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adopt {
    /// Those with a mark of their former replicas.
    Marked,
    /// All that have no replicas.
    Zero,
    Never,
}

impl FromStr for Adopt {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "marked" => Ok(Self::Marked),
            "zero" => Ok(Self::Zero),
            "never" => Ok(Self::Never),
            _ => Err("expected marked, zero or never"),
        }
    }
}

/// The settings of the objects of one kind.
pub(crate) type Level<'a> = Vec<&'a SleepRules>;

/// Objects of one kind contradict each other.
pub(crate) struct Contradiction;

/// The settings of some objects of one kind, without those that have none.
pub(crate) fn level<'a>(rules: impl Iterator<Item = &'a Option<Box<SleepRules>>>) -> Level<'a> {
    rules.filter_map(Option::as_deref).collect()
}

/// The value of the first level that has one, if its objects agree.
pub(crate) fn nearest<'a, T: PartialEq>(
    levels: impl IntoIterator<Item = &'a Level<'a>>,
    value: impl Fn(&SleepRules) -> Option<T>,
) -> Option<Result<T, Contradiction>> {
    levels.into_iter().find_map(|level| {
        let mut values = level.iter().filter_map(|rules| value(rules));
        let first = values.next()?;
        Some(if values.all(|other| other == first) {
            Ok(first)
        } else {
            Err(Contradiction)
        })
    })
}

/// The settings of kube-downscaler on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Downscaler {
    pub(crate) is_excluded: bool,
    pub(crate) uptime: Option<Result<Schedule, String>>,
    pub(crate) exclude_until: Option<Result<Timestamp, String>>,
}

/// A time as kube-downscaler reads it: in RFC 3339, or a date, perhaps with a time, in UTC.
struct ExcludeUntil(Timestamp);

impl FromStr for ExcludeUntil {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let until = text.parse::<Timestamp>().or_else(|error| {
            let time = text.parse::<civil::DateTime>().map_err(|_| error)?;
            Ok::<_, jiff::Error>(time.to_zoned(TimeZone::UTC)?.timestamp())
        });
        until.map(Self)
    }
}

fn error<T>(value: Option<&Result<T, String>>) -> Option<&String> {
    value?.as_ref().err()
}

impl SleepRules {
    /// `None` if it has no settings. Boxed, since most objects have none.
    pub(crate) fn of(metadata: &ObjectMeta) -> Option<Box<Self>> {
        let excluded = annotation(metadata, DOWNSCALER_EXCLUDE);
        let rules = Self {
            is_app: label(metadata, APP).map(|text| text == "true"),
            idle_after: read(metadata, IDLE_AFTER),
            awake: read(metadata, AWAKE),
            asleep: read(metadata, ASLEEP),
            keep_awake_until: read(metadata, KEEP_AWAKE_UNTIL),
            activity: read(metadata, ACTIVITY),
            probes: read(metadata, PROBE),
            wake: read(metadata, WAKE),
            adopt: read(metadata, ADOPT),
            downscaler: Downscaler {
                // kube-downscaler treats any value other than `false` as true.
                is_excluded: excluded.is_some_and(|text| !text.eq_ignore_ascii_case("false")),
                uptime: read(metadata, DOWNSCALER_UPTIME),
                exclude_until: read(metadata, DOWNSCALER_EXCLUDE_UNTIL)
                    .map(|until| until.map(|ExcludeUntil(until)| until)),
            },
        };
        (rules != Self::default()).then(|| Box::new(rules))
    }

    /// Why the settings of how it behaves towards visitors while it sleeps cannot be parsed.
    pub(crate) fn unreadable_for_visitors(&self) -> impl Iterator<Item = &String> {
        let errors = [error(self.probes.as_ref()), error(self.wake.as_ref())];
        errors.into_iter().flatten()
    }

    /// Why settings of it cannot be parsed.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = &String> {
        let Self {
            is_app: _,
            idle_after,
            awake,
            asleep,
            keep_awake_until,
            activity,
            probes: _,
            wake: _,
            adopt,
            downscaler:
                Downscaler {
                    is_excluded: _,
                    uptime,
                    exclude_until,
                },
        } = self;
        let errors = [
            error(idle_after.as_ref()),
            error(awake.as_ref()),
            error(asleep.as_ref()),
            error(keep_awake_until.as_ref()),
            error(activity.as_ref()),
            error(adopt.as_ref()),
            error(uptime.as_ref()),
            error(exclude_until.as_ref()),
        ];
        let errors = errors.into_iter().flatten();
        errors.chain(self.unreadable_for_visitors())
    }

    /// Whether it specifies when its app sleeps, which permits that as the label does.
    pub(crate) fn says_when(&self) -> bool {
        self.idle_after.is_some() || self.awake.is_some()
    }
}

/// Parses an annotation, if it exists.
fn read<T: FromStr<Err: Display>>(metadata: &ObjectMeta, name: &str) -> Option<Result<T, String>> {
    let text = annotation(metadata, name)?;
    let value = text.trim().parse::<T>();
    Some(value.map_err(|error| format!("{name}: {error}")))
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "so that `json!` can stand in the call"
)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn rules(labels: Value, annotations: Value) -> Option<SleepRules> {
        let metadata = json!({ "name": "a", "labels": labels, "annotations": annotations });
        let metadata = serde_json::from_value(metadata).expect("metadata");
        SleepRules::of(&metadata).map(|rules| *rules)
    }

    #[test]
    fn an_object_says_whether_its_apps_may_sleep_and_when() {
        assert_eq!(rules(json!({ "app": "web" }), json!({})), None);
        for (text, is_app) in [("true", true), ("false", false), ("yes", false)] {
            let rules = rules(json!({ "unidler/app": text }), json!({})).expect("rules");
            assert_eq!(rules.is_app, Some(is_app), "{text}");
            assert!(!rules.says_when());
        }
        let hours = json!({ "unidler/idle-after": "16h", "unidler/awake": "always" });
        let hours = rules(json!({}), hours).expect("rules");
        assert!(hours.says_when());
        let wanted = IdleAfter::Unused(Duration::from_hours(16));
        assert_eq!((hours.is_app, hours.idle_after), (None, Some(Ok(wanted))));
    }

    #[test]
    fn what_kube_downscaler_reads_is_read_as_it_does() {
        let read = |annotations| rules(json!({}), annotations).expect("rules").downscaler;
        for (text, is_excluded) in [
            ("true", true),
            ("True", true),
            ("yes", true),
            ("False", false),
        ] {
            let rules = rules(json!({}), json!({ "downscaler/exclude": text }));
            let downscaler = rules.map(|rules| rules.downscaler).unwrap_or_default();
            assert_eq!(downscaler.is_excluded, is_excluded, "{text}");
        }
        for (text, expected) in [
            ("2026-12-01T08:00:00Z", Some("2026-12-01T08:00:00Z")),
            ("2026-12-01T08:00", Some("2026-12-01T08:00:00Z")),
            ("2026-12-01 08:00", Some("2026-12-01T08:00:00Z")),
            ("2026-12-01", Some("2026-12-01T00:00:00Z")),
            ("tomorrow", None),
        ] {
            let until = read(json!({ "downscaler/exclude-until": text })).exclude_until;
            let until = until.expect("a time").ok().map(|until| until.to_string());
            assert_eq!(until.as_deref(), expected, "{text}");
        }
        let both = read(json!({
            "downscaler/uptime": "Mon-Fri 07:30-19:00 Europe/London", "downscaler/exclude-until": "2026-12-01T08:00:00Z",
        }));
        assert!(matches!(
            (both.uptime, both.exclude_until),
            (Some(Ok(_)), Some(Ok(_)))
        ));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (name, text) in [
            ("unidler/idle-after", "soon"),
            ("unidler/idle-after", "-2h"),
            ("unidler/awake", "Mon-Fri 9-5"),
            ("unidler/asleep", "later"),
            ("unidler/keep-awake-until", "tomorrow"),
            ("unidler/adopt", "true"),
            ("unidler/wake", "click"),
        ] {
            let annotations = json!({ name: text });
            let rules = rules(json!({}), annotations).expect("rules");
            let errors = [
                rules.idle_after.and_then(Result::err),
                rules.awake.and_then(Result::err),
                rules.asleep.and_then(Result::err),
                rules.keep_awake_until.and_then(Result::err),
                rules.adopt.and_then(Result::err),
                rules.wake.and_then(Result::err),
            ];
            let error = errors.into_iter().flatten().next().unwrap_or_default();
            assert!(
                error.starts_with(&format!("{name}: ")),
                "{name} {text}: {error}"
            );
        }
    }
}
