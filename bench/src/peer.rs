//! The peer: a bare hyper server that does nothing, in a process of its own.
//!
//! What it needs for a request or for a stream is what no server of this kind can do without.

use std::{convert::Infallible, env, sync::Arc};

use anyhow::Context;
use axum::{
    body::{Body, Bytes},
    http::{Request, Response},
};
use futures::{StreamExt, stream};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::watch};

use crate::program::Program;

/// The argument with which this program is its own peer.
pub(crate) const ARGUMENT: &str = "--serve-as-peer";
/// With this revision the streams end.
const LAST: u64 = 5;
/// As long as a snapshot.
const DATA: &str = concat!(
    r#"{"reference":"k3v9-2m7q","host":"slow.localhost","revision":3,"elapsed_ms":20000,"phase":"waking","step":"starting","#,
    r#""restarts":0,"timeline":[{"step":"finding","at_ms":0},{"step":"restoring","at_ms":0},{"step":"scheduling","at_ms":100},"#,
    r#"{"step":"pulling","at_ms":3000},{"step":"starting","at_ms":20000}]}"#,
);

/// Starts it.
pub(crate) fn start() -> anyhow::Result<Program> {
    Program::start(&env::current_exe()?, &[ARGUMENT], &[])
}

/// Is it.
pub(crate) async fn serve() -> anyhow::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening at {}", listener.local_addr()?);
    let revision = Arc::new(watch::channel(1).0);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let revision = Arc::clone(&revision);
        let service = service_fn(move |request| {
            let answer = answer(&request, &revision);
            async { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

fn answer(request: &Request<Incoming>, revision: &watch::Sender<u64>) -> Response<Body> {
    match request.uri().path() {
        "/events/" => Response::new(Body::from_stream(
            events(revision.subscribe()).map(Ok::<_, Infallible>),
        )),
        "/next" => {
            revision.send_modify(|revision| *revision += 1);
            Response::new(Body::empty())
        }
        // `/123` is an answer of that length.
        path => match path[1..].parse() {
            Ok(length) => Response::new(Body::from(Bytes::from(vec![b'x'; length]))),
            Err(_) => Response::new(Body::from("hello")),
        },
    }
}

fn events(mut revisions: watch::Receiver<u64>) -> impl futures::Stream<Item = String> + Send {
    revisions.mark_changed();
    stream::unfold(Some(revisions), async |revisions| {
        let mut revisions = revisions?;
        revisions.changed().await.ok()?;
        let revision = *revisions.borrow_and_update();
        let (name, next) = if revision == LAST {
            ("success", None)
        } else {
            ("progress", Some(revisions))
        };
        Some((
            format!("event: {name}\nid: {revision}\nretry: 3000\ndata: {DATA}\n\n"),
            next,
        ))
    })
}
