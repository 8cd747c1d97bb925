//! The server over real HTTP, on the played cluster and a port of its own.

mod connections;
mod forward;
mod harness;
mod program;

use std::{collections::HashSet, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use unidler::progress::{Phase, Progress, Reason, Step};

use unidler_server::limits::Limits;

use self::harness::{NAVIGATE, Server};

#[tokio::test]
async fn a_navigation_gets_the_page_and_starts_nothing() {
    let server = Server::start().await;
    let page = server
        .get("quick.localhost", "/reports?year=2026", &[NAVIGATE])
        .await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    for (name, value) in [
        ("x-unidler", env!("CARGO_PKG_VERSION")),
        ("cache-control", "no-store"),
        ("x-robots-tag", "noindex"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("vary", "Sec-Fetch-Mode, Accept, Accept-Language, Prefer"),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    assert!(
        page.text().contains("This app is asleep"),
        "{}",
        page.text()
    );
    assert!(!page.headers.contains_key("set-cookie"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.phase("quick.localhost").await, Phase::Asleep);
    assert_eq!(server.writes("quick.localhost"), 0);
}

#[tokio::test]
async fn a_form_that_is_turned_away_gets_words_and_the_way_back() {
    let server = Server::start().await;
    for (path, headers, back) in [
        (
            "/a/r%20x/_unidler/wake",
            vec![NAVIGATE, ("origin", "https://evil.example")],
            "../../r%20x",
        ),
        // A browser that says nothing of where the form was, and one that says just enough for the way back.
        (
            "/_unidler/wake",
            vec![NAVIGATE, ("sec-fetch-site", "none")],
            "../",
        ),
        (
            "/r/_unidler/wake",
            vec![
                NAVIGATE,
                ("origin", "null"),
                ("referer", "http://quick.localhost/r/?q=a%20b"),
            ],
            "http://quick.localhost/r/?q=a%20b",
        ),
    ] {
        let refused = server
            .send(Method::POST, "quick.localhost", path, &headers)
            .await;
        assert_eq!(
            (refused.status, refused.header("content-type")),
            (StatusCode::FORBIDDEN, "text/html; charset=utf-8"),
            "{path}"
        );
        let text = refused.text();
        for words in [
            "The request to start the app was turned away.",
            &format!("<a href=\"{back}\">Check again</a>"),
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        for of_page in ["data-start", " src=", "modulepreload"] {
            assert!(
                !text.contains(of_page),
                "nothing starts by itself: {of_page} in {text}"
            );
        }
        assert!(
            refused
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
    }
    let welsh = [
        NAVIGATE,
        ("sec-fetch-site", "cross-site"),
        ("accept-language", "cy"),
    ];
    let refused = server
        .send(Method::POST, "quick.localhost", "/_unidler/wake", &welsh)
        .await;
    assert!(
        refused.text().contains("<html lang=\"cy\">"),
        "{}",
        refused.text()
    );
    assert_eq!(server.writes("quick.localhost"), 0);
}

#[tokio::test]
async fn the_page_speaks_the_language_that_the_visitor_likes_best() {
    let server = Server::start().await;
    for (accepted, tag, words) in [
        ("cy-GB,cy;q=0.9,en;q=0.5", "cy", "Mae'r ap hwn yn cysgu"),
        ("fr", "en", "This app is asleep"),
    ] {
        let page = server
            .get(
                "quick.localhost",
                "/",
                &[NAVIGATE, ("accept-language", accepted)],
            )
            .await;
        assert!(
            page.text().contains(&format!("<html lang=\"{tag}\">")),
            "{}",
            page.text()
        );
        assert!(page.text().contains(words), "{}", page.text());
    }
}

#[tokio::test]
async fn the_policy_of_the_page_allows_nothing_that_is_not_ours() {
    let server = Server::start().await;
    let page = server.get("quick.localhost", "/", &[NAVIGATE]).await;
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    for word in [
        "unsafe-inline",
        "unsafe-eval'",
        "strict-dynamic",
        "http:",
        "https:",
        "*",
    ] {
        assert!(
            !policy.replace("'wasm-unsafe-eval'", "").contains(word),
            "{word} in {policy}"
        );
    }
    let nonce = policy
        .split("'nonce-")
        .nth(1)
        .and_then(|rest| rest.split('\'').next())
        .expect("a nonce");
    let count = |text: &str| page.text().matches(text).count();
    // What is data does not run, and needs no nonce.
    let data = count("<script type=\"application/json\"");
    let (inline, of_file) = (
        count("<script") + count("<style") - data,
        count("<script defer src=\"./_unidler/pkg/loader-"),
    );
    assert_eq!(
        (count(&format!("nonce=\"{nonce}\"")), of_file),
        (inline - 1, 1),
        "on what is inline, and nowhere else"
    );
    let other = server.get("quick.localhost", "/", &[NAVIGATE]).await;
    assert_ne!(
        policy,
        other.header("content-security-policy"),
        "a nonce is used once"
    );
}

#[tokio::test]
async fn what_is_no_navigation_gets_a_problem_and_never_html() {
    let server = Server::start().await;
    for (method, headers) in [
        (Method::GET, &[("accept", "application/json")][..]),
        (
            Method::GET,
            &[
                ("accept", "*/*"),
                ("sec-fetch-mode", "no-cors"),
                ("sec-fetch-dest", "image"),
            ],
        ),
        (
            Method::POST,
            &[("accept", "application/json, text/plain, */*")],
        ),
        (
            Method::GET,
            &[("upgrade", "websocket"), ("connection", "upgrade")],
        ),
        (Method::DELETE, &[]),
    ] {
        let answer = server
            .send(method.clone(), "quick.localhost", "/api/thing.js", headers)
            .await;
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{method} {headers:?}"
        );
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(!answer.header("retry-after").is_empty());
        assert_eq!(answer.json()["progress"]["phase"], "asleep");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert_eq!(server.writes("quick.localhost"), 0);
}

#[tokio::test]
async fn the_stream_tells_every_step_and_ends_with_success() {
    let server = Server::start().await;
    let mut stream = server.events("quick.localhost", "/events/").await;
    assert_eq!(stream.status, StatusCode::OK);
    assert_eq!(stream.header("content-type"), "text/event-stream");
    assert_eq!(stream.header("x-accel-buffering"), "no");
    assert_eq!(stream.header("cache-control"), "no-store");

    let events = stream.rest().await;
    let (last, before) = events.split_last().expect("events");
    assert!(before.iter().all(|event| event.name == "progress"));
    assert_eq!(
        (last.name.as_str(), last.progress.phase),
        ("success", Phase::Ready { notice: None })
    );
    assert!(events.is_sorted_by(|a, b| a.id < b.id), "ids increase");
    assert!(
        events
            .iter()
            .all(|event| (2000..=5000).contains(&event.retry_ms))
    );
    assert!(
        events
            .iter()
            .all(|event| event.progress.reference == last.progress.reference)
    );
    assert!(
        last.progress.timeline.len() >= 6,
        "each snapshot is complete"
    );
    assert_eq!(server.writes("quick.localhost"), 3);
}

#[tokio::test]
async fn visitors_join_the_wake_up_under_way_on_either_path() {
    let server = Server::start().await;
    let mut first = server.events("quick.localhost", "/events").await;
    let begun = first.next().await.expect("an event");
    let mut second = server.events("quick.localhost", "/events/").await;
    let joined = second.next().await.expect("an event");
    assert_eq!(begun.progress.reference, joined.progress.reference);
    drop(first);
    assert_eq!(
        second.rest().await.last().expect("an event").name,
        "success"
    );
    assert_eq!(server.writes("quick.localhost"), 3);
}

#[tokio::test]
async fn who_comes_again_gets_the_present_state_whatever_the_last_event_id() {
    let server = Server::start().await;
    for id in ["-1", "99999999999999999999", "abc", ""] {
        let mut stream = server
            .stream("slow.localhost", "/events/", &[("last-event-id", id)])
            .await;
        assert_eq!(
            stream.next().await.expect("an event").name,
            "progress",
            "{id:?}"
        );
    }
}

/// The headers of a browser that sends no Fetch Metadata, as none does over plain HTTP.
const PLAIN_HTTP: (&str, &str) = (
    "user-agent",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/143.0 Safari/537.36",
);
const OWN: (&str, &str) = ("origin", "http://quick.localhost");

#[tokio::test]
async fn nobody_starts_anything_who_may_not() {
    let server = Server::start().await;
    for (method, path, headers, status) in [
        (Method::HEAD, "/events/", &[][..], StatusCode::NO_CONTENT),
        (
            Method::HEAD,
            "/_unidler/events",
            &[],
            StatusCode::NO_CONTENT,
        ),
        (Method::HEAD, "/", &[NAVIGATE], StatusCode::OK),
        (
            Method::HEAD,
            "/",
            &[("prefer", "wait=5")],
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (
            Method::GET,
            "/",
            &[NAVIGATE, ("sec-purpose", "prefetch")],
            StatusCode::OK,
        ),
        (
            Method::GET,
            "/favicon.ico",
            &[],
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (
            Method::OPTIONS,
            "/events/",
            &[],
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (
            Method::POST,
            "/events/",
            &[],
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (
            Method::GET,
            "/events/",
            &[("sec-fetch-site", "cross-site")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::GET,
            "/events/",
            &[("sec-fetch-site", "same-site")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::GET,
            "/events/",
            &[("sec-fetch-site", "none")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::GET,
            "/events/",
            &[("origin", "https://evil.example")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::GET,
            "/events/",
            &[("referer", "https://evil.example/")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::GET,
            "/events/",
            &[("sec-purpose", "prefetch;prerender")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::GET,
            "/_unidler/events",
            &[("sec-fetch-site", "cross-site")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::POST,
            "/_unidler/events",
            &[],
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (
            Method::POST,
            "/_unidler/wake",
            &[("sec-fetch-site", "cross-site")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::POST,
            "/_unidler/wake",
            &[("origin", "null")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::POST,
            "/_unidler/wake",
            &[("origin", "null"), NAVIGATE, PLAIN_HTTP],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::POST,
            "/_unidler/wake",
            &[PLAIN_HTTP],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::POST,
            "/_unidler/wake",
            &[OWN, ("sec-purpose", "prefetch;prerender")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::POST,
            "/reports/_unidler/wake",
            &[("sec-fetch-site", "cross-site")],
            StatusCode::FORBIDDEN,
        ),
        (
            Method::GET,
            "/_unidler/wake",
            &[],
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (
            Method::GET,
            "/",
            &[("prefer", "wait=0"), PLAIN_HTTP],
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        (
            Method::POST,
            "/",
            &[("prefer", "wait=5"), PLAIN_HTTP],
            StatusCode::FORBIDDEN,
        ),
        (Method::GET, "/_unidler/status", &[], StatusCode::OK),
        (Method::GET, "/_unidler/nothing", &[], StatusCode::NOT_FOUND),
    ] {
        let answer = server
            .send(method.clone(), "quick.localhost", path, headers)
            .await;
        assert_eq!(answer.status, status, "{method} {path} {headers:?}");
    }
    // What a browser sends for `<img>`, `<script>`, `fetch` and `EventSource` over plain HTTP, without referrer, and for the
    // app's own stream in a tab that was left open.
    for headers in [
        &[
            PLAIN_HTTP,
            (
                "accept",
                "image/avif,image/webp,image/apng,image/*,*/*;q=0.8",
            ),
        ][..],
        &[PLAIN_HTTP, ("accept", "*/*")],
        &[PLAIN_HTTP, ("accept", "text/event-stream")],
        &[
            PLAIN_HTTP,
            ("accept", "text/event-stream"),
            ("referer", "http://quick.localhost/board"),
        ],
        &[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
        ],
        &[OWN],
    ] {
        for path in [
            "/events",
            "/events/",
            "/_unidler/events",
            "/board/_unidler/events",
        ] {
            let mut stream = server.stream("quick.localhost", path, headers).await;
            let event = stream.next().await.expect("an event");
            assert_eq!(
                (event.name.as_str(), event.progress.phase),
                ("progress", Phase::Asleep),
                "{path} {headers:?}"
            );
        }
    }
    let mut stream = server
        .stream("quick.localhost", "/_unidler/events", &[])
        .await;
    assert_eq!(
        stream.next().await.expect("an event").progress.phase,
        Phase::Asleep,
        "below our own path nobody starts by listening"
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.writes("quick.localhost"), 0);
    assert_eq!(server.phase("quick.localhost").await, Phase::Asleep);
}

#[tokio::test]
async fn a_post_of_the_apps_own_origin_starts_the_app_and_whoever_listens_hears_of_it() {
    for headers in [
        &[][..],
        &[OWN, PLAIN_HTTP, ("accept", "*/*")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            ("accept", "*/*"),
        ],
        &[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            ("origin", "null"),
        ],
    ] {
        let server = Server::start().await;
        let mut listening = server
            .stream(
                "quick.localhost",
                "/reports/x/_unidler/events",
                &[PLAIN_HTTP],
            )
            .await;
        assert_eq!(
            listening.next().await.expect("an event").progress.phase,
            Phase::Asleep
        );
        let answer = server
            .send(
                Method::POST,
                "quick.localhost",
                "/reports/x/_unidler/wake",
                headers,
            )
            .await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{headers:?}");
        assert_eq!(answer.json()["host"], "quick.localhost");
        assert_eq!(
            listening.rest().await.last().expect("an event").name,
            "success"
        );
        assert_eq!(server.writes("quick.localhost"), 3);
    }
}

#[tokio::test]
async fn a_visitor_who_listens_to_another_replica_gets_the_app_also_if_the_one_that_started_it_goes()
 {
    let mut first = Server::start().await;
    let second = first.beside().await;
    first
        .send(Method::POST, "quick.localhost", "/_unidler/wake", &[])
        .await;
    let mut stream = second
        .stream("quick.localhost", "/_unidler/events", &[PLAIN_HTTP])
        .await;
    while second.writes("quick.localhost") == 0 {
        stream.next().await.expect("an event");
    }
    first.shut_down();
    first.ended().await;
    assert_eq!(
        stream.rest().await.last().expect("an event").name,
        "success"
    );
}

#[tokio::test]
async fn a_navigation_gets_the_page_wherever_it_leads_and_a_post_is_told_that_it_is_lost() {
    let server = Server::start().await;
    for path in ["/events", "/events/", "/healthz"] {
        let page = server
            .get(
                "quick.localhost",
                path,
                &[
                    NAVIGATE,
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-site", "none"),
                ],
            )
            .await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (StatusCode::OK, "text/html; charset=utf-8"),
            "{path}"
        );
    }
    for headers in [
        &[NAVIGATE, PLAIN_HTTP, ("origin", "https://idp.example")][..],
        &[NAVIGATE, ("sec-fetch-mode", "navigate")],
    ] {
        let page = server
            .send(Method::POST, "quick.localhost", "/saml/acs", headers)
            .await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (StatusCode::SERVICE_UNAVAILABLE, "text/html; charset=utf-8")
        );
        assert!(
            page.text().contains("&quot;lost_post&quot;:true"),
            "{}",
            page.text()
        );
    }
    assert!(
        server
            .get("quick.localhost", "/saml", &[NAVIGATE])
            .await
            .text()
            .contains("&quot;lost_post&quot;:false")
    );
    assert_eq!(server.writes("quick.localhost"), 0);
}

#[tokio::test]
async fn an_address_without_an_app_is_not_found() {
    let server = Server::start().await;
    for host in ["not-found.localhost", "elsewhere.example"] {
        let page = server.get(host, "/reports", &[NAVIGATE]).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            "{host}"
        );
        let problem = server.get(host, "/reports", &[]).await;
        assert_eq!(
            (problem.status, problem.header("content-type")),
            (StatusCode::NOT_FOUND, "application/problem+json")
        );
        assert_eq!(
            problem.header("retry-after"),
            "",
            "there is no point in that"
        );
    }
    assert_eq!(
        server
            .get("ambiguous.localhost", "/", &[NAVIGATE])
            .await
            .status,
        StatusCode::OK,
        "there is one app too many"
    );
}

#[tokio::test]
async fn the_page_asks_below_its_own_address() {
    let server = Server::start().await;
    for (path, prefix, reserved) in [
        ("/", "", "./_unidler"),
        ("/reports/x", "", "./x/_unidler"),
        ("/reports/", "", "./_unidler"),
        ("/", "/team/reports", "./reports/_unidler"),
    ] {
        let page = server
            .get(
                "quick.localhost",
                path,
                &[NAVIGATE, ("x-forwarded-prefix", prefix)],
            )
            .await;
        for place in ["pkg/unidler.abc.js\"", "pkg/unidler.abc.wasm\"", "wake?"] {
            assert!(
                page.text().contains(&format!("=\"{reserved}/{place}")),
                "{place} in {}",
                page.text()
            );
        }
        assert!(
            page.text()
                .contains(&format!("&quot;reserved&quot;:&quot;{reserved}&quot;")),
            "{}",
            page.text()
        );
    }
    for path in ["/reports/_unidler/status", "/a/_unidler/b/_unidler/status"] {
        assert_eq!(
            server.get("quick.localhost", path, &[]).await.json()["phase"],
            "asleep",
            "{path}"
        );
    }
    assert_eq!(
        server
            .get(
                "quick.localhost",
                "/reports/_unidler/pkg/unidler.abc.js",
                &[]
            )
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_plain_form_starts_the_app_and_leads_back_to_the_page() {
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    let server = Server::start().await;
    for page in [
        "http://quick.localhost/reports?year=2026",
        "http://quick.localhost/r?q=a%20b&flag",
        "http://quick.localhost/reports",
        "http://quick.localhost:8080//x",
    ] {
        let headers = [("accept", "text/html"), FORM, ("referer", page)];
        let answer = server
            .send(Method::POST, "quick.localhost", "/_unidler/wake", &headers)
            .await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (StatusCode::SEE_OTHER, page)
        );
    }
    for (path, back) in [
        ("/reports/x/_unidler/wake", "../../x"),
        (
            "/reports/x/_unidler/wake?/x?q=a%20b&/c",
            "../../x?q=a%20b&/c",
        ),
        ("/reports/x/_unidler/wake?/?q", "../?q"),
        ("/reports/x/_unidler/wake?//evil.example/", "../../x"),
        ("/reports/x/_unidler/wake?https://evil.example/", "../../x"),
        ("/_unidler/wake", "../"),
        ("/_unidler/wake?/evil.example", "../"),
    ] {
        let answer = server
            .send(
                Method::POST,
                "quick.localhost",
                path,
                &[("accept", "text/html"), FORM, OWN],
            )
            .await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (StatusCode::SEE_OTHER, back)
        );
    }
    let page = server
        .get("quick.localhost", "/reports?year=2026", &[NAVIGATE])
        .await;
    assert!(
        page.text().contains("http-equiv=\"refresh\""),
        "the page looks again by itself"
    );
}

#[tokio::test]
async fn each_way_of_not_finding_an_app_has_a_reason_of_its_own() {
    let server = Server::start().await;
    for (host, reason) in [
        ("not-found.localhost", Reason::NoRoute),
        ("elsewhere.example", Reason::NoRoute),
        ("ambiguous.localhost", Reason::AmbiguousRoute),
        ("switched-off.localhost", Reason::SwitchedOff),
    ] {
        let events = server.events(host, "/events/").await.rest().await;
        let last = events.last().expect("an event");
        assert_eq!(
            (last.name.as_str(), last.progress.phase),
            ("failure", Phase::Failed { reason }),
            "{host}"
        );
        assert!(!last.progress.reference.is_empty());
    }
}

#[tokio::test]
async fn the_loader_is_compressed_for_who_accepts_that() {
    let server = Server::start().await;
    let page = server.get("quick.localhost", "/", &[NAVIGATE]).await;
    let address = page
        .text()
        .split("<script defer src=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("an address")
        .to_owned();
    let address = format!("/{}", address.trim_start_matches('/'));
    let plain = server.get("quick.localhost", &address, &[]).await;
    let gzipped = server
        .get(
            "quick.localhost",
            &address,
            &[("accept-encoding", "br, gzip")],
        )
        .await;
    assert_eq!(
        (
            plain.header("content-encoding"),
            gzipped.header("content-encoding")
        ),
        ("", "gzip")
    );
    assert_eq!(
        (plain.header("vary"), gzipped.header("vary")),
        ("Accept-Encoding", "Accept-Encoding")
    );
}

#[tokio::test]
async fn a_host_that_is_no_name_is_refused_everywhere() {
    let server = Server::start().await;
    for host in ["[::1]", "127.0.0.1", "a..b", "a@b", "-a.example"] {
        for path in ["/", "/events/", "/_unidler/status"] {
            for (headers, content_type) in [
                (&[NAVIGATE][..], "text/plain; charset=utf-8"),
                (&[], "application/problem+json"),
            ] {
                let answer = server.get(host, path, headers).await;
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{host} {path}");
                assert_eq!(
                    answer.header("content-type"),
                    content_type,
                    "a person gets words"
                );
            }
        }
    }
    assert_eq!(
        server.get("anything at all", "/healthz", &[]).await.text(),
        "Still OK",
        "liveness asks for no host"
    );
}

#[tokio::test]
async fn one_wake_up_too_many_waits_in_line_and_starts_by_itself() {
    let server = Server::with(1, Limits::default()).await;
    let mut first = server.events("quick.localhost", "/events/").await;
    while !matches!(
        first.next().await.expect("an event").progress.phase,
        Phase::Waking {
            step: Step::Restoring,
            ..
        }
    ) {}
    let told = server
        .events("ingress-lags.localhost", "/events/")
        .await
        .rest()
        .await;
    let in_line = Phase::Waking {
        step: Step::Finding,
        reason: Some(Reason::ManyStarting),
    };
    assert!(
        told.iter().any(|event| event.progress.phase == in_line),
        "{told:?}"
    );
    assert_eq!(
        told.last().map(|event| event.name.as_str()),
        Some("success")
    );
}

#[tokio::test]
async fn one_stream_too_many_is_told_when_to_come_again() {
    let server = Server::with(
        100,
        Limits {
            per_app: 1,
            ..Limits::default()
        },
    )
    .await;
    let first = server.events("slow.localhost", "/events/").await;
    let answer = server.get("slow.localhost", "/events/", &[]).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(
        server.events("quick.localhost", "/events/").await.status,
        StatusCode::OK,
        "another app has its own places"
    );
    drop(first);
    let place = async {
        while server.events("slow.localhost", "/events/").await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), place)
        .await
        .expect("a place is given back");
}

/// Headers with their values, sorted, but for those that frame the body or are others each time.
fn snapshot(headers: &HeaderMap) -> Vec<String> {
    let passing = [
        "content-length",
        "date",
        "etag",
        "last-modified",
        "transfer-encoding",
    ];
    let lasting = headers
        .iter()
        .filter(|(name, _)| !passing.contains(&name.as_str()));
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = value.to_str().expect("text");
        let nonce = value
            .split("'nonce-")
            .nth(1)
            .and_then(|rest| rest.split('\'').next())
            .unwrap_or("no nonce");
        format!("{name}: {}", value.replace(nonce, "once"))
    };
    sorted(lasting.map(line))
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn each_kind_of_answer_has_its_headers_and_no_others() {
    let server = Server::start().await;
    let vary = "vary: Sec-Fetch-Mode, Accept, Accept-Language, Prefer";
    let problem = "content-type: application/problem+json";
    let text = "content-type: text/plain; charset=utf-8";
    let kept_never = "cache-control: no-store";
    let kept_for_ever = "cache-control: public, max-age=31536000, immutable";
    for (path, sent, status, own) in [
        (
            "/reports",
            NAVIGATE,
            200,
            &[
                "content-type: text/html; charset=utf-8",
                POLICY,
                vary,
                kept_never,
            ][..],
        ),
        (
            "/reports",
            ANYTHING,
            503,
            &[problem, "retry-after: 5", vary, kept_never],
        ),
        (
            "/events/",
            ANYTHING,
            200,
            &[
                "content-type: text/event-stream",
                "x-accel-buffering: no",
                vary,
                kept_never,
            ],
        ),
        (
            "/events/",
            ("sec-fetch-site", "cross-site"),
            403,
            &[problem, vary, kept_never],
        ),
        (
            "/_unidler/events",
            ANYTHING,
            200,
            &[
                "content-type: text/event-stream",
                "x-accel-buffering: no",
                kept_never,
            ],
        ),
        (
            "/_unidler/status",
            ANYTHING,
            200,
            &["content-type: application/json", kept_never],
        ),
        (
            "/_unidler/pkg/unidler.abc.js",
            ANYTHING,
            200,
            &[
                "content-type: text/javascript",
                kept_for_ever,
                "accept-ranges: bytes",
                "vary: accept-encoding",
            ],
        ),
        ("/_unidler/pkg/unidler.old.js", ANYTHING, 404, &[kept_never]),
        ("/_unidler/nothing", ANYTHING, 404, &[problem, kept_never]),
        (
            "/_unidler/wake",
            ANYTHING,
            405,
            &["allow: POST", problem, kept_never],
        ),
        ("/healthz", ANYTHING, 200, &[text, kept_never]),
        ("/_unidler/readyz", ANYTHING, 200, &[text, kept_never]),
    ] {
        // Without the body: that of a stream would not end soon.
        let answer = server.stream("slow.localhost", path, &[sent]).await;
        assert_eq!(answer.status, status, "{path} {sent:?}");
        let all = EVERYWHERE.iter().chain(own).map(ToString::to_string);
        assert_eq!(snapshot(&answer.headers), sorted(all), "{path} {sent:?}");
    }
}

/// What every answer has: whose it is, and that nothing may stay behind on the app's own origin.
const EVERYWHERE: [&str; 5] = [
    concat!("x-unidler: ", env!("CARGO_PKG_VERSION")),
    "x-robots-tag: noindex",
    "x-content-type-options: nosniff",
    "referrer-policy: same-origin",
    "cross-origin-resource-policy: same-origin",
];
/// What the page may do.
const POLICY: &str = "content-security-policy: default-src 'none'; script-src 'nonce-once' 'self' 'wasm-unsafe-eval'; \
    style-src 'nonce-once' 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// What `curl` sends.
const ANYTHING: (&str, &str) = ("accept", "*/*");

#[tokio::test]
async fn files_with_a_hash_may_be_kept_for_ever_and_nothing_else() {
    let server = Server::start().await;
    let file = server
        .get(
            "quick.localhost",
            "/_unidler/pkg/unidler.abc.js",
            &[("accept-encoding", "br")],
        )
        .await;
    assert_eq!(
        (file.status, file.header("content-encoding")),
        (StatusCode::OK, "br")
    );
    assert!(file.header("cache-control").contains("immutable"));
    let missing = server
        .get("quick.localhost", "/_unidler/pkg/unidler.old.js", &[])
        .await;
    assert_eq!(
        (missing.status, missing.header("cache-control")),
        (StatusCode::NOT_FOUND, "no-store")
    );
    for path in [
        "/_unidler/pkg/../../secret",
        "/_unidler/pkg/%2e%2e/%2e%2e/secret",
    ] {
        assert_ne!(
            server.get("quick.localhost", path, &[]).await.status,
            StatusCode::OK,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_app_answers_in_our_place_once_it_is_up() {
    let server = Server::start().await;
    server
        .events("quick.localhost", "/events/")
        .await
        .rest()
        .await;
    let app = server
        .until("quick.localhost", "/reports?year=2026", |answer| {
            !answer.headers.contains_key("x-unidler")
        })
        .await;
    assert_eq!(app.status, StatusCode::OK);
    assert!(app.text().contains("/reports?year=2026"), "{}", app.text());

    server
        .send(Method::POST, "quick.localhost", "/idle", &[])
        .await;
    server
        .until("quick.localhost", "/_unidler/status", |answer| {
            answer.text().contains("\"phase\":\"asleep\"")
        })
        .await;
}

#[tokio::test]
async fn shutdown_turns_readiness_off_and_ends_every_stream() {
    let mut server = Server::start().await;
    assert_eq!(
        server
            .get("x.localhost", "/_unidler/readyz", &[])
            .await
            .text(),
        "ready"
    );
    let mut stream = server.events("slow.localhost", "/events/").await;
    stream.next().await.expect("an event");
    server.shut_down();
    assert!(
        stream
            .rest()
            .await
            .iter()
            .all(|event| event.name == "progress"),
        "nobody sees a failure"
    );
    server.ended().await;
}

#[tokio::test]
async fn http2_without_tls_is_spoken_as_well() {
    let server = Server::start().await;
    let status = server.http2("quick.localhost", "/_unidler/status").await;
    let progress: Progress = serde_json::from_str(status.text()).expect("a snapshot");
    assert_eq!(
        (progress.host.as_str(), progress.phase),
        ("quick.localhost", Phase::Asleep)
    );
}

#[tokio::test]
async fn every_page_has_a_reference_of_its_own() {
    let server = Server::start().await;
    let mut references = HashSet::new();
    for _ in 0..20 {
        let status = server
            .get("not-found.localhost", "/_unidler/status", &[])
            .await;
        references.insert(status.json()["reference"].to_string());
    }
    assert_eq!(references.len(), 20);
}

#[tokio::test]
async fn who_prefers_to_wait_is_held_and_sent_to_the_same_address_again() {
    let server = Server::start().await;
    let held = server
        .send(
            Method::POST,
            "quick.localhost",
            "/api/jobs?a=b",
            &[("prefer", "wait=30")],
        )
        .await;
    assert_eq!(held.status, 307, "which keeps method and body");
    assert_eq!(held.headers["location"], "./jobs?a=b");
    assert_eq!(held.headers["preference-applied"], "wait");
    assert_eq!(server.writes("quick.localhost"), 3);
    // The ingress has followed meanwhile.
    let app = server
        .send(
            Method::POST,
            "quick.localhost",
            "/api/jobs?a=b",
            &[("prefer", "wait=30")],
        )
        .await;
    assert!(!app.headers.contains_key("x-unidler"), "{}", app.text());
}

#[tokio::test]
async fn who_waits_in_vain_is_told_when_to_come_again() {
    let server = Server::start().await;
    for (host, phase) in [
        ("slow.localhost", "waking"),
        ("image-missing.localhost", "failed"),
        ("not-found.localhost", "failed"),
    ] {
        let wait = if phase == "waking" {
            "wait=1"
        } else {
            "wait=30"
        };
        let told = server.get(host, "/", &[("prefer", wait)]).await;
        let comes_again = host != "not-found.localhost";
        assert_eq!(
            (told.status, told.header("retry-after")),
            if comes_again {
                (StatusCode::SERVICE_UNAVAILABLE, "5")
            } else {
                (StatusCode::NOT_FOUND, "")
            },
            "{host}"
        );
        assert!(
            told.text().contains(&format!("\"phase\":\"{phase}\"")),
            "{}",
            told.text()
        );
    }
    let refused = server
        .get(
            "quick.localhost",
            "/",
            &[("prefer", "wait=9"), ("sec-fetch-site", "cross-site")],
        )
        .await;
    assert_eq!(refused.status, 403);
    assert_eq!(server.writes("quick.localhost"), 0);
}
