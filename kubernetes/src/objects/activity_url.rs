//! Where an app reports when it was last used.

use std::str::{self, FromStr};

use http::uri::PathAndQuery;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// Numbers from this one on are milliseconds: as seconds, it would be in the year 5138.
const MILLISECONDS: f64 = 1e11;
/// Times before this one are ignored: 2000-01-01, in seconds. A zero often means that an app does not know.
const EARLIEST: i64 = 946_684_800;

/// A path of an app, optionally with `#` and a JSON pointer into its response ([RFC 6901]), such as
/// `/api/status#/last_activity`.
///
/// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActivityUrl {
    pub(crate) path: PathAndQuery,
    pointer: Box<str>,
}

impl FromStr for ActivityUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, pointer) = text.split_once('#').unwrap_or((text, ""));
        let is_path = path.starts_with('/') && !path.starts_with("//");
        let is_pointer = pointer.is_empty() || pointer.starts_with('/');
        let path = path.parse().ok().filter(|_| is_path && is_pointer);
        let path = path.ok_or_else(|| {
            format!("\"{text}\" is not a path such as /last-seen or /api/status#/last_activity")
        })?;
        Ok(Self {
            path,
            pointer: pointer.into(),
        })
    }
}

impl ActivityUrl {
    /// When the app was last used, according to its response: in seconds or milliseconds since 1970, or in RFC 3339.
    pub(crate) fn last_use(&self, answer: &[u8]) -> Option<Timestamp> {
        let json = match serde_json::from_slice(answer) {
            Ok(json) => json,
            Err(_) => Value::String(str::from_utf8(answer).ok()?.to_owned()),
        };
        let time = match json.pointer(&self.pointer)? {
            Value::Number(number) => since_1970(number.as_f64()?),
            Value::String(text) => {
                let text = text.trim();
                let number = || since_1970(text.parse().ok()?);
                text.parse().ok().or_else(number)
            }
            _ => None,
        };
        time.filter(|time: &Timestamp| time.as_second() >= EARLIEST)
    }
}

fn since_1970(number: f64) -> Option<Timestamp> {
    let seconds = if number >= MILLISECONDS {
        number / 1e3
    } else {
        number
    };
    if !seconds.is_finite() {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a fraction of a second does not matter, and what is too large is refused"
    )]
    Timestamp::from_second(seconds as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activity_url_is_a_path_with_a_pointer_into_its_answer() {
        for text in [
            "/last-seen",
            "/api/status#/last_activity",
            "/a?b=c#/d/0",
            "/#",
        ] {
            assert!(text.parse::<ActivityUrl>().is_ok(), "{text}");
        }
        for text in [
            "",
            "last-seen",
            "//other.example/",
            "http://other.example/",
            "/a b",
            "/a#b",
        ] {
            assert!(text.parse::<ActivityUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_is_a_time_in_one_of_the_usual_ways_or_none() {
        let at = Some("2026-12-01T15:00:00Z".parse().expect("a time"));
        for (url, answer, expected) in [
            ("/", "1796137200", at),
            ("/", " 1796137200.5\n", at),
            ("/", "1796137200000", at),
            ("/", "2026-12-01T15:00:00Z", at),
            ("/", "\"2026-12-01T16:00:00+01:00\"", at),
            ("/#/a/b", "{\"a\": {\"b\": \"1796137200\"}}", at),
            ("/#/a/0", "{\"a\": [1796137200000]}", at),
            // Nobody knows.
            ("/", "0", None),
            ("/", "-1", None),
            ("/", "0001-01-01T00:00:00Z", None),
            ("/", "\"1970-01-01T00:00:00Z\"", None),
            ("/", "1e400", None),
            ("/", "NaN", None),
            ("/", "inf", None),
            ("/", "1e18", None),
            ("/", "", None),
            ("/", "2026-12-01T15:00:00", None),
            ("/", "<html>1796137200</html>", None),
            ("/", "{\"a\": 1796137200}", None),
            ("/#/b", "{\"a\": 1796137200}", None),
            ("/#/a", "{\"a\": null}", None),
            ("/#/a", "{\"a\": true}", None),
            ("/#/a", "1796137200", None),
            ("/#/a", "{\"a\": 17961", None),
            ("/", "\u{0}", None),
        ] {
            let url: ActivityUrl = url.parse().expect("a URL");
            assert_eq!(
                url.last_use(answer.as_bytes()),
                expected,
                "{url:?} {answer}"
            );
        }
        let url: ActivityUrl = "/".parse().expect("a URL");
        assert_eq!(url.last_use(&[0xff, 0xfe]), None);
    }
}
