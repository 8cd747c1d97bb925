//! Who may start a wake-up.
//!
//! The page is served on the app's own origin, before the app's own login: anybody may wake an app by visiting it,
//! but no other site may do so through somebody's browser, and a browser that only looks ahead does not either.

use axum::http::{HeaderMap, HeaderName, header};
use unidler::host::Host;

/// Why a request may not start anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another site asks for it ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/)).
    CrossSite,
    /// The browser fetches ahead of a visit that may never come.
    Prefetch,
}

/// The headers with which browsers say that they look ahead.
const PURPOSES: [HeaderName; 3] =
    [HeaderName::from_static("sec-purpose"), HeaderName::from_static("purpose"), HeaderName::from_static("x-moz")];

/// Whether a request to `host` may start a wake-up.
///
/// Absent headers are no objection: a plain `curl` sends none, and neither does a browser on plain HTTP.
///
/// # Errors
///
/// [`Refusal`] if a header of the request objects.
pub fn may_start(host: &Host, headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if PURPOSES.iter().any(|name| text(name).is_some_and(|purpose| purpose.contains("prefetch") || purpose.contains("prerender")))
    {
        return Err(Refusal::Prefetch);
    }
    let same_origin = text(&HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin");
    let same_host = [header::ORIGIN, header::REFERER].iter().filter_map(text).all(|url| host_of(url).as_ref() == Some(host));
    if same_origin && same_host { Ok(()) } else { Err(Refusal::CrossSite) }
}

/// The host of an absolute URL or an origin. The port does not matter: proxies change it.
fn host_of(url: &str) -> Option<Host> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Host::parse(authority).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_start_and_who_may_not() {
        let host = Host::parse("app.example").expect("a host");
        let (allowed, cross, ahead) = (Ok(()), Err(Refusal::CrossSite), Err(Refusal::Prefetch));
        for (headers, verdict) in [
            (&[][..], allowed),
            (&[("sec-fetch-site", "same-origin")], allowed),
            (&[("sec-fetch-site", "same-origin"), ("referer", "https://app.example/a?b")], allowed),
            (&[("origin", "https://app.example")], allowed),
            (&[("origin", "http://APP.example:8080")], allowed),
            (&[("referer", "https://app.example")], allowed),
            (&[("sec-fetch-site", "cross-site")], cross),
            (&[("sec-fetch-site", "same-site")], cross),
            (&[("sec-fetch-site", "none")], cross),
            (&[("sec-fetch-site", "")], cross),
            (&[("origin", "https://evil.example")], cross),
            (&[("origin", "null")], cross),
            (&[("origin", "https://app.example@evil.example")], cross),
            (&[("origin", "https://app.example.evil.example")], cross),
            (&[("referer", "https://evil.example/https://app.example/")], cross),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], cross),
            (&[("sec-purpose", "prefetch")], ahead),
            (&[("sec-purpose", "prefetch;prerender"), ("sec-fetch-site", "same-origin")], ahead),
            (&[("purpose", "prefetch")], ahead),
            (&[("x-moz", "prefetch")], ahead),
        ] {
            let map: HeaderMap =
                headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value"))).collect();
            assert_eq!(may_start(&host, &map), verdict, "{headers:?}");
        }
    }
}
