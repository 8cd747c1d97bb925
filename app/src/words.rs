//! What the page says, by language.
//!
//! A language is one file with one [`Words`]; a message that is missing there does not compile.

mod cy;
mod en;

use serde::{Deserialize, Serialize};
use unidler::progress::{Reason, Step};

/// A language that the page speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English, and what everybody gets whose language we do not speak.
    #[default]
    English,
    /// Welsh.
    Welsh,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::Welsh];

    /// Its tag for `html[lang]` ([BCP 47](https://www.rfc-editor.org/info/bcp47)).
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Welsh => "cy",
        }
    }

    /// Its messages.
    #[must_use]
    pub fn words(self) -> &'static Words {
        match self {
            Self::English => &en::WORDS,
            Self::Welsh => &cy::WORDS,
        }
    }

    /// The one of ours that an `Accept-Language` header likes best
    /// ([RFC 9110, 12.5.4](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4)).
    #[cfg(feature = "ssr")]
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let liking = |range: &str| {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let quality = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |quality| quality.trim().parse::<f32>().ok())?;
            let primary = tag.trim().split('-').next()?;
            let language = Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))?;
            (quality > 0.0).then_some((language, quality))
        };
        let mut best = None;
        for (language, quality) in header.split(',').filter_map(liking) {
            // Of two that are liked as much, the first.
            if best.is_none_or(|(_, best)| quality > best) {
                best = Some((language, quality));
            }
        }
        best.map_or_else(Self::default, |(language, _)| language)
    }
}

/// All that the page says.
#[derive(Debug)]
pub struct Words {
    /// The heading while nobody has started anything yet.
    pub asleep: &'static str,
    /// What to expect then.
    pub asleep_lead: &'static str,
    /// The heading while the app wakes.
    pub waking: &'static str,
    /// What to expect then.
    pub waking_lead: &'static str,
    /// The heading while the browser waits for the app to answer.
    pub ready: &'static str,
    /// What to expect then.
    pub ready_lead: &'static str,
    /// What to expect then if the app was awake all the time.
    pub already_awake_lead: &'static str,
    /// What to expect when the app's address still does not lead to it after a minute.
    pub not_reachable_lead: &'static str,
    /// The heading when it failed.
    pub failed: &'static str,
    /// Said while there is no connection.
    pub reconnecting: &'static str,
    /// The name of the list of steps.
    pub steps: &'static str,
    /// The name of the progress bar.
    pub bar: &'static str,
    /// The button that starts, for browsers without scripts.
    pub start: &'static str,
    /// The button that tries again.
    pub retry: &'static str,
    /// The link that tries the app's address.
    pub open: &'static str,
    /// What precedes the reference id.
    pub reference: &'static str,
    /// What precedes the host.
    pub host: &'static str,
    /// What is being done.
    pub step: fn(Step) -> &'static str,
    /// What stands in the way.
    pub reason: fn(Reason) -> Explanation,
    /// A length of time, in seconds.
    pub duration: fn(u64) -> String,
    /// How long it usually takes, in seconds.
    pub usually: fn(u64) -> String,
    /// Said when it takes longer than usual, with what is still under way.
    pub longer: fn(Step) -> &'static str,
    /// The button that copies the reference, the address and the time.
    pub copy: &'static str,
    /// What it says afterwards.
    pub copied: &'static str,
    /// The button that asks for a notification.
    pub tell: &'static str,
    /// What it says afterwards.
    pub will_tell: &'static str,
    /// The notification.
    pub up: &'static str,
    /// What precedes the time.
    pub time: &'static str,
    /// How often it was started again.
    pub restarts: fn(u32) -> String,
}

/// What stands in the way, in plain words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What happened.
    pub what: &'static str,
    /// What to do, and whether waiting helps.
    pub advice: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_words() {
        for words in Language::ALL.map(Language::words) {
            for (index, reason) in Reason::ALL.iter().enumerate() {
                for other in &Reason::ALL[..index] {
                    assert_ne!((words.reason)(*reason).what, (words.reason)(*other).what, "{reason:?} and {other:?}");
                }
            }
        }
    }

    #[test]
    #[cfg(feature = "ssr")]
    fn the_language_is_the_one_that_is_liked_best() {
        for (header, language) in [
            ("", Language::English),
            ("de, fr;q=0.5", Language::English),
            ("cy", Language::Welsh),
            ("CY-GB, en;q=0.9", Language::Welsh),
            ("en-GB, cy;q=0.9", Language::English),
            ("en;q=0.2, cy;q=0.8", Language::Welsh),
            ("de, cy;q=0.1", Language::Welsh),
            ("cy;q=0, en", Language::English),
            ("cy;q=x", Language::English),
            (";;;,,q=1", Language::English),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    #[test]
    fn durations_are_readable() {
        let duration = Language::English.words().duration;
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (754, "12 min 34 s")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
