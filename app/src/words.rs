//! The texts of the page, by language.
//!
//! A language is one file with one [`Words`]; a missing text does not compile.

mod cy;
mod en;

use serde::{Deserialize, Serialize};
use unidler::progress::{Reason, Step};

/// A language that the page speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English, also for visitors who prefer other languages.
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
            let quality = parameters
                .trim()
                .strip_prefix("q=")
                .map_or(Some(1.0), |quality| quality.trim().parse::<f32>().ok())?;
            let primary = tag.trim().split('-').next()?;
            let language = Self::ALL
                .into_iter()
                .find(|language| language.tag().eq_ignore_ascii_case(primary))?;
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

/// Every text on the page.
#[derive(Debug)]
pub struct Words {
    /// The heading before the wake-up starts.
    pub asleep: Named,
    /// What to expect then.
    pub asleep_lead: &'static str,
    /// The heading while the app wakes up.
    pub waking: Named,
    /// What to expect then.
    pub waking_lead: &'static str,
    /// The heading while the browser waits for the app to respond.
    pub ready: Named,
    /// What to expect then.
    pub ready_lead: &'static str,
    /// What to expect then if the app was awake all along.
    pub already_awake_lead: &'static str,
    /// What to expect when the app's address still routes to unidler after a minute.
    pub not_reachable_lead: &'static str,
    /// What to do when opening the app led back here too often.
    pub held_lead: &'static str,
    /// What to do when the app answers, and the page has not been left.
    pub stayed_lead: &'static str,
    /// The heading after a failure.
    pub failed: Named,
    /// The heading if there is no such app.
    pub not_found: Named,
    /// Shown while nothing gets through to the server.
    pub reconnecting: &'static str,
    /// Shown when the server has turned the visitor away because of its limits.
    pub crowded: &'static str,
    /// Shown when the server has refused to start the app.
    pub refused: &'static str,
    /// Shown when the visitor has submitted a form to the sleeping app.
    pub lost_post: &'static str,
    /// The button that submits that form again.
    pub resend: &'static str,
    /// The name of the list of steps.
    pub steps: &'static str,
    /// The name of the progress bar.
    pub bar: &'static str,
    /// The button that starts the wake-up where the page does not start it by itself.
    pub start: &'static str,
    /// The button that tries again.
    pub retry: &'static str,
    /// The link that loads the page again where no script does.
    pub check: &'static str,
    /// The link that opens the app's address.
    pub open: &'static str,
    /// The label of the reference id.
    pub reference: &'static str,
    /// The label of the host.
    pub host: &'static str,
    /// What is being done.
    pub step: fn(Step) -> &'static str,
    /// What stands in the way.
    pub reason: fn(Reason) -> Explanation,
    /// A length of time, in seconds.
    pub duration: fn(u64) -> String,
    /// How long it usually takes, in seconds.
    pub usually: fn(u64) -> String,
    /// Shown when it takes longer than usual, with what is still under way.
    pub longer: fn(Step) -> &'static str,
    /// The button that copies the reference, the address and the time.
    pub copy: &'static str,
    /// Its text afterwards.
    pub copied: &'static str,
    /// The button that asks for a notification.
    pub tell: &'static str,
    /// Its text afterwards.
    pub will_tell: &'static str,
    /// The notification.
    pub up: Named,
    /// The label of the time.
    pub time: &'static str,
    /// How often the app has restarted.
    pub restarts: fn(u32) -> String,
}

/// A text about the app, with and without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The text for an app without a name.
    pub plain: &'static str,
    /// The text for an app with one, which replaces `{}`.
    pub named: &'static str,
}

impl Named {
    /// The text for an app of this name.
    #[must_use]
    pub fn of(self, name: Option<&str>) -> String {
        match name {
            Some(name) => self.named.replacen("{}", name, 1),
            None => self.plain.to_owned(),
        }
    }
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
                    assert_ne!(
                        (words.reason)(*reason).what,
                        (words.reason)(*other).what,
                        "{reason:?} and {other:?}"
                    );
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
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (754, "12 min 34 s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
