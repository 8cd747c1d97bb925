//! What an object says of the sleep of the app that it belongs to.

use std::{fmt::Display, str::FromStr};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp};
use unidler::sleep::{
    decide::{Asleep, IdleAfter},
    schedule::Schedule,
};

use super::{annotation, label};

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
/// What kube-downscaler reads, for where ours is absent
/// (<https://codeberg.org/hjacobs/kube-downscaler>).
const DOWNSCALER_UPTIME: &str = "downscaler/uptime";
const DOWNSCALER_EXCLUDE: &str = "downscaler/exclude";
const DOWNSCALER_EXCLUDE_UNTIL: &str = "downscaler/exclude-until";

/// What one object says. Each value is as it was read, or why it could not be: in a sentence that names the annotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SleepRules {
    /// Whether its apps may be put to sleep, if it says so.
    pub(crate) is_app: Option<bool>,
    pub(crate) idle_after: Option<Result<IdleAfter, String>>,
    pub(crate) awake: Option<Result<Schedule, String>>,
    pub(crate) asleep: Option<Result<Asleep, String>>,
    pub(crate) keep_awake_until: Option<Result<Timestamp, String>>,
}

impl SleepRules {
    /// `None` if it says nothing. Boxed, since most objects do not.
    pub(crate) fn of(metadata: &ObjectMeta) -> Option<Box<Self>> {
        let idle_after = read(metadata, IDLE_AFTER);
        let is_excluded = || annotation(metadata, DOWNSCALER_EXCLUDE).as_deref() == Some("true");
        let says = |value: &Option<_>| value.is_some();
        // Whoever writes one of our annotations wants what it says. Those of others are meant for others.
        let is_app = match label(metadata, APP).as_deref() {
            Some(text) => Some(text == "true"),
            None if idle_after.is_some() || says(&annotation(metadata, AWAKE)) => Some(true),
            None => None,
        };
        let rules = Self {
            is_app,
            idle_after: idle_after.or_else(|| is_excluded().then_some(Ok(IdleAfter::Never))),
            awake: read(metadata, AWAKE).or_else(|| read(metadata, DOWNSCALER_UPTIME)),
            asleep: read(metadata, ASLEEP),
            keep_awake_until: read(metadata, KEEP_AWAKE_UNTIL)
                .or_else(|| read(metadata, DOWNSCALER_EXCLUDE_UNTIL)),
        };
        (rules != Self::default()).then(|| Box::new(rules))
    }
}

/// The value of an annotation, if it is there.
fn read<T: FromStr<Err: Display>>(metadata: &ObjectMeta, name: &str) -> Option<Result<T, String>> {
    let text = annotation(metadata, name)?;
    let value = text.trim().parse::<T>();
    Some(value.map_err(|error| format!("{name}: {error}")))
}

#[cfg(test)]
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
    fn an_object_says_whether_its_apps_may_sleep() {
        let is_app =
            |labels, annotations| rules(labels, annotations).and_then(|rules| rules.is_app);
        assert_eq!(rules(json!({ "app": "web" }), json!({})), None);
        assert_eq!(
            is_app(json!({ "unidler/app": "true" }), json!({})),
            Some(true)
        );
        assert_eq!(
            is_app(
                json!({ "unidler/app": "false" }),
                json!({ "unidler/idle-after": "2h" })
            ),
            Some(false)
        );
        assert_eq!(
            is_app(json!({}), json!({ "unidler/idle-after": "2h" })),
            Some(true)
        );
        assert_eq!(
            is_app(json!({}), json!({ "unidler/awake": "always" })),
            Some(true)
        );
        let theirs = json!({ "downscaler/uptime": "Mon-Fri 07:30-19:00 Europe/London" });
        assert_eq!(is_app(json!({}), theirs.clone()), None);
        assert!(matches!(
            rules(json!({}), theirs),
            Some(SleepRules {
                awake: Some(Ok(_)),
                ..
            })
        ));
    }

    #[test]
    fn ours_comes_before_what_others_read() {
        let both = rules(
            json!({}),
            json!({ "unidler/idle-after": "16h", "downscaler/exclude": "true", "downscaler/exclude-until": "2026-12-01T08:00:00Z" }),
        );
        let both = both.expect("rules");
        let wanted = IdleAfter::Unused(Duration::from_hours(16));
        assert_eq!(both.idle_after, Some(Ok(wanted)));
        assert!(matches!(both.keep_awake_until, Some(Ok(_))));
        let theirs = rules(json!({}), json!({ "downscaler/exclude": "true" })).expect("rules");
        assert_eq!(theirs.idle_after, Some(Ok(IdleAfter::Never)));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (name, text) in [
            ("unidler/idle-after", "soon"),
            ("unidler/idle-after", "-2h"),
            ("unidler/awake", "Mon-Fri 9-5"),
            ("unidler/asleep", "later"),
            ("unidler/keep-awake-until", "tomorrow"),
        ] {
            let annotations = json!({ name: text });
            let rules = rules(json!({}), annotations).expect("rules");
            let errors = [
                rules.idle_after.and_then(Result::err),
                rules.awake.and_then(Result::err),
                rules.asleep.and_then(Result::err),
                rules.keep_awake_until.and_then(Result::err),
            ];
            let error = errors.into_iter().flatten().next().unwrap_or_default();
            assert!(
                error.starts_with(&format!("{name}: ")),
                "{name} {text}: {error}"
            );
        }
    }
}
