//! Whatever a request for the events carries, it gets the present snapshot or a plain no.
#![no_main]

use arbitrary::Arbitrary;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Request, Response, StatusCode, header},
};
use libfuzzer_sys::fuzz_target;
use unidler::demo::{DemoCluster, scenes};
use unidler_fuzz::{ask, block_on, next_text, read_event};

#[derive(Arbitrary, Debug)]
struct Visit<'a> {
    host: Host<'a>,
    last_event_id: &'a [u8],
    others: Vec<(Other, &'a [u8])>,
}

#[derive(Arbitrary, Debug)]
enum Host<'a> {
    Scene(usize),
    Any(&'a [u8]),
}

/// The headers that something depends on.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Other {
    Accept,
    Host,
    Origin,
    Purpose,
    Referer,
    SecFetchSite,
    UserAgent,
}

impl Other {
    fn name(self) -> HeaderName {
        match self {
            Self::Accept => header::ACCEPT,
            Self::Host => header::HOST,
            Self::Origin => header::ORIGIN,
            Self::Purpose => HeaderName::from_static("sec-purpose"),
            Self::Referer => header::REFERER,
            Self::SecFetchSite => HeaderName::from_static("sec-fetch-site"),
            Self::UserAgent => header::USER_AGENT,
        }
    }
}

fn request(visit: &Visit<'_>) -> Request<Body> {
    let scene;
    let host = match visit.host {
        Host::Scene(number) => {
            let name = scenes()
                .nth(number % scenes().count())
                .map(|scene| scene.name)
                .unwrap_or_default();
            scene = format!("{name}.localhost");
            scene.as_bytes()
        }
        Host::Any(bytes) => bytes,
    };
    let mut request = Request::builder()
        .uri("/events/")
        .body(Body::empty())
        .expect("a request");
    let others = visit
        .others
        .iter()
        .map(|(other, value)| (other.name(), *value));
    let first = [
        (header::HOST, host),
        (
            HeaderName::from_static("last-event-id"),
            visit.last_event_id,
        ),
    ];
    for (name, value) in first.into_iter().chain(others) {
        // What cannot be a value at all is refused before anybody looks at it.
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers_mut().append(name, value);
        }
    }
    request
}

fuzz_target!(|visit: Visit<'_>| {
    let look = async |answer: Response<Body>| {
        assert!(
            answer.headers().contains_key("x-unidler"),
            "every answer of ours says that it is"
        );
        let (parts, mut body) = answer.into_parts();
        let text = next_text(&mut body).await.expect("an answer has a body");
        match parts.status {
            StatusCode::OK => {
                assert_eq!(parts.headers[header::CONTENT_TYPE], "text/event-stream");
                read_event(&text);
            }
            no => {
                assert!(no.is_client_error(), "{no}");
                assert_eq!(
                    parts.headers[header::CONTENT_TYPE],
                    "application/problem+json"
                );
            }
        }
    };
    block_on(ask(DemoCluster::default(), request(&visit), look));
});
