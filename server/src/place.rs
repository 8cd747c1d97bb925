//! Decides whether a path belongs to unidler or to the app.
//!
//! ```text
//!  /reports/x/_unidler/status?a=b
//!  └─ base ──┘         └ what follows the last `/_unidler/` decides
//! ```
//!
//! An app may own only a part of its host, such as `/reports`, and its ingress may strip that part before it forwards a
//! request. So unidler's resources have no fixed location: the page sends its requests below its own address.

use std::fmt::Write;

use axum::http::HeaderMap;
use unidler_app::api::{EVENTS, FILES, READY, RESERVED, STATUS, WAKE};

/// The owner of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// unidler.
    Reserved {
        /// The part before: the address of the page, without trailing slashes.
        base: &'a str,
        /// The resource.
        what: Reserved<'a>,
    },
    /// The app.
    App,
}

/// A resource of unidler's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved<'a> {
    /// The event stream, which joins a wake-up and never starts one.
    Events,
    /// The state of the app as JSON.
    Status,
    /// The target of the browser's POST that starts the app.
    Wake,
    /// Readiness.
    Ready,
    /// A file of the page, by its name.
    File(&'a str),
    /// Nothing.
    Nothing,
}

impl<'a> Place<'a> {
    /// Classifies a path.
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

/// The prefix that an ingress reports to have stripped from the path.
pub(crate) fn prefix(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-forwarded-prefix")?.to_str().ok()
}

/// Where to find unidler's resources from the page at `path`, as a relative reference: `./x/_unidler` from
/// `/reports/x`.
///
/// It is relative, so that it still works where the ingress has stripped a prefix. If that was the whole path, `prefix`
/// is the stripped path as reported by the ingress (`X-Forwarded-Prefix`).
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

/// The path that ends with the last segment of the visitor's address.
fn visited<'a>(path: &'a str, prefix: Option<&'a str>) -> &'a str {
    if path == "/" {
        prefix.unwrap_or_default()
    } else {
        path
    }
}

/// What the address of a form records about the page that contains it: `/x?y=z` for `/reports/x?y=z`. It is stored in
/// the query, from which [`back_to`] takes it.
#[must_use]
pub fn way_back(path: &str, prefix: Option<&str>, query: Option<&str>) -> String {
    let way = match last_segment(visited(path, prefix)) {
        segment if segment.is_empty() => "/".to_owned(),
        segment => segment,
    };
    match query {
        Some(query) => format!("{way}?{query}"),
        None => way,
    }
}

/// The way back from `…/_unidler/wake` to the page, as a relative reference. `way` is the query of the request, which
/// is used if it is a [way back](way_back) to that very page: it cannot point anywhere else.
#[must_use]
pub fn back_to(base: &str, prefix: Option<&str>, way: Option<&str>) -> String {
    let segment = last_segment(base);
    let way = way.unwrap_or_default();
    let (named, query) = way.find('?').map_or((way, ""), |at| way.split_at(at));
    if named == "/" {
        return format!("../{query}");
    }
    let own = if base.is_empty() {
        last_segment(visited("/", prefix))
    } else {
        segment.clone()
    };
    if !own.is_empty() && named == own {
        return format!("../..{own}{query}");
    }
    match segment.as_str() {
        "" => "../".to_owned(),
        segment => format!("../..{segment}"),
    }
}

/// The last segment of a path with its slash, if it has any. Characters that a browser would not have sent unescaped
/// are escaped: a backslash would count as a slash, and a quotation mark would need escaping in JSON.
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
            assert_eq!(back_to(path, None, None), back, "{path}");
            assert_eq!(same(path, prefix), same_path, "{path} {prefix:?}");
        }
    }

    #[test]
    fn a_form_leads_back_to_the_very_page_and_nowhere_else() {
        for (path, prefix, query, way, base, back) in [
            (
                "/x",
                None,
                Some("q=a%20b"),
                "/x?q=a%20b",
                "/x",
                "../../x?q=a%20b",
            ),
            (
                "/a/x",
                None,
                Some("?/b?c"),
                "/x??/b?c",
                "/a/x",
                "../../x??/b?c",
            ),
            ("/a/x/", None, None, "/", "/a/x", "../"),
            ("/a/x/", None, Some("q"), "/?q", "/a/x", "../?q"),
            ("/", None, Some(""), "/?", "", "../?"),
            (
                "//evil.example",
                None,
                Some("q"),
                "/evil.example?q",
                "//evil.example",
                "../../evil.example?q",
            ),
            // Where an ingress takes the whole path off.
            (
                "/",
                Some("/team/reports"),
                Some("q"),
                "/reports?q",
                "",
                "../../reports?q",
            ),
        ] {
            assert_eq!(way_back(path, prefix, query), way, "{path}");
            assert_eq!(back_to(base, prefix, Some(way)), back, "{path}");
        }
        for way in [
            "",
            "x",
            "/y",
            "/y?q",
            "//evil.example",
            "/x/",
            "/x/../..",
            "/..",
            "/../y",
            "/%2e%2e",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "https:/x",
            "javascript:alert(1)",
            "/x#",
            "/x%3Fq",
            "/X",
            "t=1",
            "/reports",
        ] {
            assert_eq!(
                back_to("/a/x", Some("/team/reports"), Some(way)),
                "../../x",
                "{way}"
            );
        }
        for way in ["/evil.example", "//evil.example", "/x?q"] {
            assert_eq!(back_to("", None, Some(way)), "../", "{way}");
        }
        // Whatever follows, a reference that begins like this stays on its host.
        for way in [
            "/?//evil.example",
            "/?\\evil.example",
            "/?https://evil.example",
        ] {
            assert!(
                back_to("/a/x", None, Some(way)).starts_with("../?"),
                "{way}"
            );
        }
    }
}
