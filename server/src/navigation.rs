//! Classifies requests: whether they ask for a document to display, and whether they only read.

use axum::http::{HeaderMap, Method};

/// Whether a browser wants to display the response as a document, whatever the method. An `Accept` that merely allows
/// any type is no sign of that.
pub(crate) fn is_navigation(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let accepts_html = text("accept").is_some_and(|accept| accept.contains("text/html"));
    accepts_html
        && text("upgrade").is_none()
        && text("sec-fetch-mode").is_none_or(|mode| mode == "navigate")
}

/// Whether a request only reads.
pub(crate) fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_a_navigation_gets_html() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (headers, navigation) in [
            (
                &[("accept", chromium), ("sec-fetch-mode", "navigate")][..],
                true,
            ),
            (&[("accept", chromium)], true),
            (&[], false),
            (&[("accept", "*/*")], false),
            (&[("accept", "application/json")], false),
            (
                &[
                    ("accept", "*/*"),
                    ("sec-fetch-mode", "no-cors"),
                    ("sec-fetch-dest", "script"),
                ],
                false,
            ),
            (&[("accept", chromium), ("sec-fetch-mode", "cors")], false),
            (&[("accept", chromium), ("upgrade", "websocket")], false),
        ] {
            let map = headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            assert_eq!(is_navigation(&map), navigation, "{headers:?}");
        }
    }
}
