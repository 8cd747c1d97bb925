//! The languages of the page, and the choice of the one that a visitor prefers.

use serde::{Deserialize, Serialize};

use super::{Words, cy, en};

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

    /// The language that an `Accept-Language` header prefers among those of the page ([RFC 9110,
    /// 12.5.4](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4)).
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
            // Of two with the same quality, the first.
            if best.is_none_or(|(_, best)| quality > best) {
                best = Some((language, quality));
            }
        }
        best.map_or_else(Self::default, |(language, _)| language)
    }
}

#[cfg(test)]
mod tests {
    use unidler::progress::Reason;

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
