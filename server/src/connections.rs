//! The connections: HTTP/1.1 and HTTP/2 without TLS on one port, with limits that keep a stranger from exhausting
//! shared resources.
//!
//! axum's own `serve` has no limits, so this is hyper's builder. hyper has one limit for the head of a request and for
//! the pause before it; ingresses keep connections for a minute or more and send the next request without a look, while
//! heads should be quick. So the [`Clock`] of a connection keeps the time.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{Request, Version},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{debug, warn};

/// How long the head of a request may take: from its first byte, or for the first request from the start of the
/// connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept. Longer than ingresses keep theirs, since they would otherwise send a request
/// over a connection that is just being closed: 60 seconds in nginx, 90 in Traefik.
const IDLE_TIMEOUT: Duration = Duration::from_secs(95);
/// The maximum size of a request's head in bytes. A buffer starts with a quarter of that, and grows as needed.
const MAX_HEAD: usize = 32 * 1024;
/// The maximum number of concurrent requests over one HTTP/2 connection. Each beyond the first takes a slot of its own.
const MAX_STREAMS: u32 = 100;
/// The maximum number of bytes of a request's or response's body that wait in an HTTP/2 connection.
const WINDOW: u32 = 32 * 1024;
/// How often a quiet HTTP/2 connection is pinged.
const PING: Duration = Duration::from_secs(20);
/// How long a connection is silent before the kernel probes whether the peer is still there, and how long it waits for
/// a peer that does not acknowledge data.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long to wait when no connection can be accepted, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many connections beyond the limit are answered with a rejection at the same time, and how long that may take:
/// probes are among them.
const TURNED_AWAY: usize = 64;
const TURNED_AWAY_TIMEOUT: Duration = Duration::from_secs(3);

/// The limits of [`serve`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum number of concurrent connections.
    pub connections: usize,
    /// How long requests under way may take at shutdown.
    pub drain: Duration,
}

/// The resources of a connection, for its requests, and for any task that takes the connection over.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    place: Arc<OwnedSemaphorePermit>,
    /// The slots for further requests of an HTTP/2 connection.
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Whether there was no slot for this connection or request, so that it is only answered with a rejection.
    pub(crate) is_turned_away: bool,
}

impl Lease {
    /// Keeps the place until `conversation` has ended, and ends it with the process.
    pub(crate) fn hold_for(self, conversation: impl Future<Output = ()> + Send + 'static) {
        let Self {
            place, tasks, stop, ..
        } = self;
        tasks.spawn(async move {
            stop.run_until_cancelled(conversation).await;
            drop(place);
        });
    }
}

/// Serves until `stop` is cancelled, then lets requests under way finish.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let (places, beyond) = (
        Arc::new(Semaphore::new(limits.connections)),
        Arc::new(Semaphore::new(TURNED_AWAY)),
    );
    let tasks = TaskTracker::new();
    let accepting = async {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (place, is_turned_away) = tokio::select! {
                biased;
                place = Arc::clone(&places).acquire_owned() => (place, false),
                place = Arc::clone(&beyond).acquire_owned() => (place, true),
            };
            // The semaphores are never closed.
            let Ok(place) = place.map(Arc::new) else {
                return;
            };
            let lease = Lease {
                place,
                places: Arc::clone(&places),
                tasks: tasks.clone(),
                stop: stop.clone(),
                is_turned_away,
            };
            tasks.spawn(serve_one(stream, router.clone(), lease));
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    tasks.close();
    if timeout(limits.drain, tasks.wait()).await.is_err() {
        warn!(
            connections = tasks.len(),
            "closing connections still open after the shutdown timeout"
        );
    }
}

async fn serve_one(stream: TcpStream, router: Router, lease: Lease) {
    // Small events should be sent without delay.
    drop(stream.set_nodelay(true));
    let socket = SockRef::from(&stream);
    drop(
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(KEEP_ALIVE)
                .with_interval(KEEP_ALIVE / 6),
        ),
    );
    drop(socket.set_tcp_user_timeout(Some(KEEP_ALIVE)));
    let (stop, is_turned_away) = (lease.stop.clone(), lease.is_turned_away);
    let clock = Clock::new();
    let stream = Watched {
        stream,
        clock: clock.clone(),
    };
    let service = service_fn({
        let clock = clock.clone();
        move |mut request: Request<Incoming>| {
            let (busy, requests) = clock.begin(request.version());
            let mut lease = lease.clone();
            let mut further = None;
            if requests > 1 {
                further = Arc::clone(&lease.places).try_acquire_owned().ok();
                lease.is_turned_away |= further.is_none();
            }
            request.extensions_mut().insert(lease);
            let answer = router.clone().oneshot(request.map(Body::new));
            async move {
                let answer = answer.await.unwrap_or_else(|never| match never {});
                Ok::<_, Infallible>(answer.map(|body| Answer {
                    body,
                    _busy: busy,
                    _further: further,
                }))
            }
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .keep_alive(!is_turned_away);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .max_header_list_size(16 * 1024)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4)
        .max_send_buf_size(WINDOW as usize);
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = sleep(TURNED_AWAY_TIMEOUT), if is_turned_away => return,
        due = clock.due() => match due {
            Due::Head => return debug!("closed a connection whose request did not arrive in time"),
            Due::Idle => {
                connection.as_mut().graceful_shutdown();
                match timeout(HEAD_TIMEOUT, connection).await {
                    Ok(result) => result,
                    Err(_) => return,
                }
            }
        },
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!(%error, "a connection ended early");
    }
}

/// Measures the timeouts of one connection.
#[derive(Clone, Debug)]
struct Clock(Arc<watch::Sender<State>>);

/// What a connection is doing.
#[derive(Clone, Copy, Debug)]
enum State {
    /// It has been receiving the head of a request since then.
    Head(Instant),
    /// It is answering this many requests.
    Busy { requests: usize, version: Version },
    /// It has been idle since then.
    Idle { since: Instant, version: Version },
}

/// Why a connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// The head of a request takes too long.
    Head,
    /// It is not used.
    Idle,
}

impl Clock {
    /// hyper waits for the first bytes to detect the HTTP version, so the time of the first head starts at once.
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::Head(Instant::now()))))
    }

    /// Records that bytes were received. In HTTP/2 they may be anything, even the answer to a ping of ours.
    fn heard(&self) {
        self.0.send_if_modified(|state| {
            let begins = matches!(state, State::Idle { version, .. } if *version < Version::HTTP_2);
            if begins {
                *state = State::Head(Instant::now());
            }
            begins
        });
    }

    /// Records the beginning of a request, and returns how many there are now. The request ends when the returned guard
    /// is dropped.
    fn begin(&self, version: Version) -> (Busy, usize) {
        let mut requests = 1;
        self.0.send_modify(|state| {
            if let State::Busy {
                requests: before, ..
            } = state
            {
                requests = *before + 1;
            }
            *state = State::Busy { requests, version };
        });
        (Busy(self.clone()), requests)
    }

    /// Completes when the time is up.
    async fn due(&self) -> Due {
        let mut states = self.0.subscribe();
        loop {
            let (due, at) = match *states.borrow_and_update() {
                State::Head(since) => (Due::Head, Some(since + HEAD_TIMEOUT)),
                State::Idle { since, .. } => (Due::Idle, Some(since + IDLE_TIMEOUT)),
                State::Busy { .. } => (Due::Idle, None),
            };
            let over = async {
                match at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return due,
                // The clock itself holds a sender.
                _ = states.changed() => {}
            }
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
struct Busy(Clock);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| {
            if let State::Busy { requests, version } = *state {
                *state = match requests - 1 {
                    0 => State::Idle {
                        since: Instant::now(),
                        version,
                    },
                    requests => State::Busy { requests, version },
                };
            }
        });
    }
}

/// The body of a response, which has been sent when this is dropped.
struct Answer {
    body: Body,
    _busy: Busy,
    _further: Option<OwnedSemaphorePermit>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that notifies the clock when it receives something.
struct Watched {
    stream: TcpStream,
    clock: Clock,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.clock.heard();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many seconds a clock says that time is over, and why.
    async fn due(clock: &Clock) -> (u64, Due) {
        let begun = Instant::now();
        let due = clock.due().await;
        (begun.elapsed().as_secs(), due)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_ten_seconds_and_a_pause_has_longer_than_ingresses_make() {
        let clock = Clock::new();
        assert_eq!(due(&clock).await, (10, Due::Head), "the first head");
        drop(clock.begin(Version::HTTP_11));
        assert_eq!(due(&clock).await, (95, Due::Idle));
        clock.heard();
        assert_eq!(due(&clock).await, (10, Due::Head), "the next head");
        let busy = (clock.begin(Version::HTTP_11), clock.begin(Version::HTTP_11));
        drop(busy.0);
        clock.heard();
        let day = Duration::from_hours(24);
        assert!(
            timeout(day, clock.due()).await.is_err(),
            "an answer may take as long as it takes"
        );
        drop(busy.1);
        assert_eq!(due(&clock).await, (95, Due::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_on_an_idle_http2_connection_is_not_taken_for_a_head() {
        let clock = Clock::new();
        drop(clock.begin(Version::HTTP_2));
        sleep(Duration::from_secs(90)).await;
        clock.heard();
        assert_eq!(due(&clock).await, (5, Due::Idle));
    }
}
