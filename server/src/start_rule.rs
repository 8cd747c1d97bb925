//! Decides which requests may start a wake-up.
//!
//! The page is served on the app's own origin, before the app's own login: anybody may wake an app by visiting it. But
//! another site must not be able to do so through a visitor's browser, nor an old tab of the app through its own
//! `EventSource("/events")`, nor a browser that only prefetches. So browsers start an app with a POST from the app's
//! own origin, which only the page sends; programs start it with any request.

use axum::http::{HeaderMap, HeaderName, Method, header};
use unidler::host::Host;

/// Why a request may not start anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another site sent it ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/)).
    CrossSite,
    /// The browser prefetches for a visit that may never come.
    Prefetch,
}

/// What a request may do about the wake-up of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Start it, or join the one under way.
    Start,
    /// Join the one under way, or wait for somebody to start it.
    Join,
}

/// The headers with which browsers announce a prefetch.
const PURPOSES: [HeaderName; 3] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
];
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request to `host` may do.
///
/// # Errors
///
/// [`Refusal`] if a header of the request objects, or if a browser's POST cannot show that it comes from the app's own
/// origin. Over plain HTTP, browsers send no `Sec-Fetch-Site`, but every POST has an `Origin`.
pub fn leave(host: &Host, method: &Method, headers: &HeaderMap) -> Result<Leave, Refusal> {
    let looks_ahead = |purpose: &str| purpose.contains("prefetch") || purpose.contains("prerender");
    if PURPOSES
        .iter()
        .any(|name| text(headers, name).is_some_and(looks_ahead))
    {
        return Err(Refusal::Prefetch);
    }
    match (origin(host, headers), is_browser(headers)) {
        (Origin::Other, _) => Err(Refusal::CrossSite),
        (Origin::Own | Origin::Unknown, true) if *method != Method::POST => Ok(Leave::Join),
        (Origin::Unknown, true) => Err(Refusal::CrossSite),
        (Origin::Own, true) | (_, false) => Ok(Leave::Start),
    }
}

/// Whether a request to `host` comes from another site, according to its headers.
#[must_use]
pub fn is_cross_site(host: &Host, headers: &HeaderMap) -> bool {
    origin(host, headers) == Origin::Other
}

/// The page that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Own,
    Other,
    Unknown,
}

fn origin(host: &Host, headers: &HeaderMap) -> Origin {
    let site = text(headers, &SEC_FETCH_SITE);
    let names = |name| text(headers, name).map(|url| host_of(url).as_ref() == Some(host));
    // A page whose referrer policy an ingress has set to `no-referrer` sends `null`, which carries no information if
    // the browser itself reports the request as same-origin.
    let own_origin = match text(headers, &header::ORIGIN) {
        Some("null") if site == Some("same-origin") => None,
        _ => names(&header::ORIGIN),
    };
    let all = [
        site.map(|site| site == "same-origin"),
        own_origin,
        names(&header::REFERER),
    ];
    if all.contains(&Some(false)) {
        Origin::Other
    } else if all.contains(&Some(true)) {
        Origin::Own
    } else {
        Origin::Unknown
    }
}

/// Whether a request has any header that only browsers send.
pub(crate) fn is_browser(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        name.as_str().starts_with("sec-fetch-")
            || *name == header::ORIGIN
            || *name == header::REFERER
    }) || text(headers, &header::USER_AGENT).is_some_and(|agent| agent.starts_with("Mozilla/"))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers
        .get(name)
        .map(|value| value.to_str().unwrap_or_default())
}

/// The host of an absolute URL or an origin. The port does not matter: proxies change it.
pub(crate) fn host_of(url: &str) -> Option<Host> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Host::parse(authority).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIREFOX: (&str, &str) = (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    );

    #[test]
    fn programs_start_with_anything_and_browsers_with_a_post_of_their_own_origin() {
        let host = Host::parse("app.example").expect("a host");
        let (start, join) = (Ok(Leave::Start), Ok(Leave::Join));
        let (cross, ahead) = (Err(Refusal::CrossSite), Err(Refusal::Prefetch));
        for (headers, get, post) in [
            (&[][..], start, start),
            (
                &[("user-agent", "curl/8.5.0"), ("accept", "*/*")],
                start,
                start,
            ),
            (&[FIREFOX], join, cross),
            (&[("sec-fetch-mode", "no-cors")], join, cross),
            (&[("sec-fetch-site", "same-origin")], join, start),
            (
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("referer", "https://app.example/a?b"),
                ],
                join,
                start,
            ),
            (
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("origin", "null"),
                    FIREFOX,
                ],
                join,
                start,
            ),
            (&[("origin", "https://app.example")], join, start),
            (
                &[("origin", "http://APP.example:8080"), FIREFOX],
                join,
                start,
            ),
            (&[("referer", "https://app.example")], join, start),
            (&[("sec-fetch-site", "cross-site")], cross, cross),
            (&[("sec-fetch-site", "same-site")], cross, cross),
            (&[("sec-fetch-site", "none")], cross, cross),
            (&[("sec-fetch-site", "")], cross, cross),
            (&[("origin", "https://evil.example")], cross, cross),
            (&[("origin", "null")], cross, cross),
            (
                &[("origin", "https://app.example@evil.example")],
                cross,
                cross,
            ),
            (
                &[("origin", "https://app.example.evil.example")],
                cross,
                cross,
            ),
            (
                &[("referer", "https://evil.example/https://app.example/")],
                cross,
                cross,
            ),
            (
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("origin", "https://evil.example"),
                ],
                cross,
                cross,
            ),
            (&[("sec-purpose", "prefetch")], ahead, ahead),
            (
                &[
                    ("sec-purpose", "prefetch;prerender"),
                    ("sec-fetch-site", "same-origin"),
                ],
                ahead,
                ahead,
            ),
            (&[("purpose", "prefetch")], ahead, ahead),
            (&[("x-moz", "prefetch")], ahead, ahead),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        value.parse().expect("a value"),
                    )
                })
                .collect();
            assert_eq!(leave(&host, &Method::GET, &map), get, "GET {headers:?}");
            assert_eq!(leave(&host, &Method::POST, &map), post, "POST {headers:?}");
        }
    }
}
