//! Whose a path is: ours, or the app's.
//!
//! ```text
//!  /reports/x/_unidler/status?a=b
//!  └─ base ──┘         └ what follows the last `/_unidler/` decides
//! ```
//!
//! An app may own only a part of its host, such as `/reports`, and its ingress may strip that part before it forwards a
//! request. So nothing of ours has a fixed place: the page asks below its own address.

use std::fmt::Write;

use unidler_app::api::{EVENTS, FILES, READY, RESERVED, STATUS, WAKE};

/// Whose a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// Ours.
    Reserved {
        /// What comes before: the address of the page, without slashes at its end.
        base: &'a str,
        /// What is there.
        what: Reserved<'a>,
    },
    /// The app's.
    App,
}

/// What is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved<'a> {
    /// The event stream, which joins a wake-up and never starts one.
    Events,
    /// The state of the app as JSON.
    Status,
    /// What a browser posts to, to start the app.
    Wake,
    /// Readiness.
    Ready,
    /// A file of the page, by its name.
    File(&'a str),
    /// Nothing.
    Nothing,
}

impl<'a> Place<'a> {
    /// Of a path.
    #[must_use]
    pub fn of(path: &'a str) -> Self {
        let Some((base, rest)) = path.rsplit_once(RESERVED) else {
            return Self::App;
        };
        let what = match rest {
            EVENTS => Reserved::Events,
            STATUS => Reserved::Status,
            WAKE => Reserved::Wake,
            READY => Reserved::Ready,
            _ => rest
                .strip_prefix(FILES)
                .map_or(Reserved::Nothing, Reserved::File),
        };
        Self::Reserved { base, what }
    }
}

/// Where from the page at `path` to find what is ours, as a relative reference: `./x/_unidler` from `/reports/x`.
///
/// Relative, so that it holds where the ingress has stripped a prefix. If that was the whole path, `prefix` is what the
/// ingress says that it was (`X-Forwarded-Prefix`).
#[must_use]
pub fn reserved_from(path: &str, prefix: Option<&str>) -> String {
    let segment = last_segment(visited(path, prefix));
    format!(".{segment}{}", RESERVED.trim_end_matches('/'))
}

/// Where to find `path` from itself, as a relative reference like that of [`reserved_from`].
#[must_use]
pub fn same(path: &str, prefix: Option<&str>) -> String {
    match last_segment(visited(path, prefix)).as_str() {
        "" => "./".to_owned(),
        segment => format!(".{segment}"),
    }
}

/// The path whose last segment is that of the visitor's address.
fn visited<'a>(path: &'a str, prefix: Option<&'a str>) -> &'a str {
    if path == "/" {
        prefix.unwrap_or_default()
    } else {
        path
    }
}

/// Back from `…/_unidler/wake` to the page, as a relative reference.
#[must_use]
pub fn back_to(base: &str) -> String {
    match last_segment(base).as_str() {
        "" => "../".to_owned(),
        segment => format!("../..{segment}"),
    }
}

/// The last segment of a path with its slash, if it has any. What a browser would not have sent as it is becomes
/// escaped: a backslash would count as a slash, and a quotation mark would need escaping in JSON.
fn last_segment(path: &str) -> String {
    let segment = path.rsplit_once('/').map_or("", |(_, segment)| segment);
    let mut escaped = String::new();
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => escaped.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*'
            | b'+' | b',' | b';' | b'=' | b':' | b'@' => {
                escaped.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    if escaped.is_empty() {
        escaped
    } else {
        format!("/{escaped}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_last_reserved_part_decides() {
        let ours = |base, what| Place::Reserved { base, what };
        for (path, place) in [
            ("/", Place::App),
            ("/events/", Place::App),
            ("/_unidler", Place::App),
            ("/a_unidler/status", Place::App),
            ("/_unidler/status", ours("", Reserved::Status)),
            ("/_unidler/events", ours("", Reserved::Events)),
            ("/reports/_unidler/wake", ours("/reports", Reserved::Wake)),
            (
                "/reports/x/_unidler/readyz",
                ours("/reports/x", Reserved::Ready),
            ),
            ("/_unidler/pkg/a.js", ours("", Reserved::File("a.js"))),
            (
                "/a/_unidler/wake/_unidler/pkg/a.js",
                ours("/a/_unidler/wake", Reserved::File("a.js")),
            ),
            ("/_unidler/metrics", ours("", Reserved::Nothing)),
            ("/_unidler/", ours("", Reserved::Nothing)),
            ("/_unidler/status/", ours("", Reserved::Nothing)),
        ] {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }

    #[test]
    fn the_page_finds_what_is_ours_and_the_form_finds_the_page() {
        for (path, prefix, there, back, same_path) in [
            ("/", None, "./_unidler", "../", "./"),
            ("/x", None, "./x/_unidler", "../../x", "./x"),
            ("/reports/x", None, "./x/_unidler", "../../x", "./x"),
            ("/reports/", None, "./_unidler", "../", "./"),
            (
                "/",
                Some("/team/reports"),
                "./reports/_unidler",
                "../",
                "./reports",
            ),
            ("/x", Some("/reports"), "./x/_unidler", "../../x", "./x"),
            ("/a:b", None, "./a:b/_unidler", "../../a:b", "./a:b"),
            (
                "//evil.example",
                None,
                "./evil.example/_unidler",
                "../../evil.example",
                "./evil.example",
            ),
            (
                "/\\evil.example",
                None,
                "./%5Cevil.example/_unidler",
                "../../%5Cevil.example",
                "./%5Cevil.example",
            ),
            (
                "/a%20\"b",
                None,
                "./a%20%22b/_unidler",
                "../../a%20%22b",
                "./a%20%22b",
            ),
        ] {
            assert_eq!(reserved_from(path, prefix), there, "{path} {prefix:?}");
            assert_eq!(back_to(path), back, "{path}");
            assert_eq!(same(path, prefix), same_path, "{path} {prefix:?}");
        }
    }
}
