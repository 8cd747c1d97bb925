//! Connections that are not as they should be, and a thousand at once.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use unidler_server::limits::Limits;

use crate::harness::{NAVIGATE, Server};

/// Says something and answers what comes until the end, if that comes in time.
async fn say(server: &Server, words: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(&server.address)
        .await
        .expect("a connection");
    stream.write_all(words).await.expect("it is sent");
    let mut answer = Vec::new();
    // A reset is an end as well.
    let reading = async { stream.read_to_end(&mut answer).await.map_or(0, |read| read) };
    timeout(Duration::from_secs(15), reading).await.ok()?;
    Some(answer)
}

#[tokio::test]
async fn who_never_ends_a_request_is_closed_and_nobody_else_waits_for_that() {
    let server = Server::start().await;
    let half: Vec<&[u8]> = vec![
        b"",
        b"G",
        b"PRI * HT",
        b"GET / HTTP/1.1\r\nHost: quick.localhost\r\nX-Slow: ",
    ];
    let lingering = join_all(
        half.iter()
            .cycle()
            .take(200)
            .map(|words| say(&server, words)),
    );
    let others = async {
        for _ in 0..20 {
            let begun = Instant::now();
            assert_eq!(
                server.get("quick.localhost", "/healthz", &[]).await.status,
                StatusCode::OK
            );
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "others are answered meanwhile"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (lingering, ()) = tokio::join!(lingering, others);
    assert!(
        lingering.iter().all(Option::is_some),
        "each was closed in time"
    );
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let large = [
        b"GET / HTTP/1.1\r\nHost: quick.localhost\r\nX-Large: ".as_slice(),
        &[b'a'; 64 * 1024],
        b"\r\n\r\n",
    ]
    .concat();
    let answer = say(&server, &large).await.expect("an end");
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let many = (0..1000)
        .map(|n| format!("X-{n}: 1\r\n"))
        .collect::<String>();
    let answer = say(
        &server,
        format!("GET / HTTP/1.1\r\nHost: quick.localhost\r\n{many}\r\n").as_bytes(),
    )
    .await
    .expect("an end");
    assert!(
        answer.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let head = "POST /_unidler/wake HTTP/1.1\r\nHost: quick.localhost\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n";
    let answer = say(&server, head.as_bytes()).await.expect("an end");
    assert!(
        answer.starts_with(b"HTTP/1.1 413"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(server.writes("quick.localhost"), 0);
}

#[tokio::test]
async fn two_hosts_in_one_request_are_refused() {
    let server = Server::start().await;
    let request = "GET / HTTP/1.1\r\nHost: quick.localhost\r\nHost: slow.localhost\r\nConnection: close\r\n\r\n";
    let answer = say(&server, request.as_bytes()).await.expect("an end");
    assert!(
        answer.starts_with(b"HTTP/1.1 400"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_end_with_the_process_and_are_told_when_to_come_again() {
    let mut server = Server::with(100, Limits::default()).await;
    let mut streams =
        join_all((0..1_000).map(|_| server.events("slow.localhost", "/events/"))).await;
    for stream in &mut streams {
        stream.next().await.expect("an event");
    }
    let begun = Instant::now();
    server.shut_down();
    let mut retries = Vec::new();
    for mut stream in streams {
        assert!(
            stream
                .rest()
                .await
                .iter()
                .all(|event| event.name == "progress"),
            "nobody sees a failure"
        );
        retries.push(stream.last_retry_ms);
    }
    server.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(retries.iter().all(|retry| (1_000..=5_000).contains(retry)));
    let (least, most) = (
        retries.iter().min().expect("some"),
        retries.iter().max().expect("some"),
    );
    assert!(most - least > 2_000, "not all at once: {least} to {most}");
}

/// Opens a connection with the beginning of a request, and keeps it.
async fn hold(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address)
        .await
        .expect("a connection");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: quick.localhost\r\n")
        .await
        .expect("it is sent");
    stream
}

#[tokio::test]
async fn probes_are_answered_when_there_is_no_room_for_visitors() {
    let server = Server::with_connections(5).await;
    let held = join_all((0..5).map(|_| hold(&server))).await;
    for _ in 0..3 {
        for (path, status) in [
            ("/healthz", 200),
            ("/_unidler/readyz", 200),
            ("/", 503),
            ("/_unidler/status", 503),
        ] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: quick.localhost\r\n\r\n");
            let answer = timeout(Duration::from_secs(1), say(&server, request.as_bytes()))
                .await
                .expect("soon")
                .expect("an end");
            let answer = String::from_utf8_lossy(&answer);
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{path}: {answer}"
            );
            assert!(
                answer.contains("connection: close") && answer.contains("x-unidler"),
                "{path}: {answer}"
            );
        }
    }
    for (request, back) in [
        ("GET /r?q", "5;url="),
        ("POST /r/_unidler/wake", "5;url=../../r"),
    ] {
        let request = format!(
            "{request} HTTP/1.1\r\nHost: quick.localhost\r\nAccept: text/html\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = say(&server, request.as_bytes()).await.expect("an end");
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 5"),
            "{answer}"
        );
        assert!(
            answer.contains("Too many people are waiting here right now.")
                && answer.contains(&format!("content=\"{back}\"")),
            "people get words, and are back at their page soon: {answer}"
        );
    }
    // Those who hold the places are served as before.
    for mut stream in held {
        stream
            .write_all(b"Connection: close\r\n\r\n")
            .await
            .expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 503"),
            "a problem, since it is no navigation: {answer}"
        );
        assert!(answer.contains("asleep"), "{answer}");
    }
    assert_eq!(
        server.get("quick.localhost", "/", &[NAVIGATE]).await.status,
        StatusCode::OK,
        "there is room again"
    );
}

#[tokio::test]
async fn a_form_whose_body_never_comes_is_given_up() {
    let server = Server::start().await;
    let head = "POST /_unidler/wake HTTP/1.1\r\nHost: quick.localhost\r\nContent-Length: 9\r\n\r\n";
    let answer = say(&server, head.as_bytes()).await.expect("an end");
    assert!(
        answer.starts_with(b"HTTP/1.1 408"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(server.writes("quick.localhost"), 0);
}

/// Sends all of it before it reads anything, as some ingresses do, and yields how the answer begins.
async fn send_all_first(server: &Server, head: &str, body: usize) -> String {
    let mut stream = TcpStream::connect(&server.address)
        .await
        .expect("a connection");
    let head = format!("{head}Content-Length: {body}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("it is sent");
    stream
        .write_all(&vec![b'a'; body])
        .await
        .expect("all of it is taken");
    let mut begin = [0; 12];
    stream
        .read_exact(&mut begin)
        .await
        .expect("an answer, and no reset");
    String::from_utf8_lossy(&begin).into_owned()
}

#[tokio::test]
async fn what_is_uploaded_to_a_sleeping_app_is_read_before_it_is_answered() {
    let server = Server::start().await;
    let large = 5 * 1024 * 1024;
    let (accept, page) = NAVIGATE;
    for header in ["", &format!("{accept}: {page}\r\n")] {
        let head = format!("POST /import HTTP/1.1\r\nHost: quick.localhost\r\n{header}");
        assert_eq!(send_all_first(&server, &head, large).await, "HTTP/1.1 503");
    }
    let head = "POST /import HTTP/1.1\r\nHost: many-starting.localhost\r\nPrefer: wait=1\r\n";
    assert_eq!(send_all_first(&server, head, large).await, "HTTP/1.1 503");
}

#[tokio::test]
async fn a_form_that_meets_the_limit_of_connections_is_called_lost() {
    let server = Server::with_connections(1).await;
    let _visitor = hold(&server).await;
    let (accept, page) = NAVIGATE;
    for (method, path, is_lost) in [
        ("POST", "/contact", true),
        ("GET", "/contact", false),
        ("POST", "/_unidler/wake", false),
    ] {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: quick.localhost\r\n{accept}: {page}\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = say(&server, request.as_bytes()).await.expect("an end");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert_eq!(
            answer.contains("What you sent did not arrive"),
            is_lost,
            "{method} {path}: {answer}"
        );
        assert_eq!(
            answer.contains("http-equiv=\"refresh\""),
            !is_lost,
            "{method} {path}: {answer}"
        );
    }
}
