//! What happens in the browser: the event stream, polling where that fails, the probe and the handover.
//!
//! ```text
//!          ┌──────────────── lost: again, with backoff ────────────────┐
//!          v                                                           │
//!   start, and listen ── failure ──> poll until it heals ── waking ──> ┘
//!          │                              │
//!          └── success ──> probe <────────┘ ready, or answered by the app itself
//!                            │ twice in a row the app and not us
//!                            v
//!                         handover
//! ```

use futures::{
    StreamExt,
    future::{Either, select},
    stream::select_all,
};
use gloo_net::{
    eventsource::{State, futures::EventSource},
    http::{Request, Response},
};
use gloo_timers::future::TimeoutFuture;
use leptos::{ev, prelude::*, task::spawn_local};
use unidler::progress::{Phase, Progress, Reason, Step};
use web_sys::{RequestCache, RequestRedirect, ResponseType};

use crate::{
    start::{Start, from_json},
    wake::Live,
};

/// How often the page looks at the clock, and at the state of its connection.
const TICK_MS: u32 = 1_000;
/// After how many ticks without any event the page polls as well: a proxy may be swallowing the stream.
const SILENT_TICKS: u32 = 5;
/// How often a page that polls does so.
const POLL_MS: u32 = 2_000;
/// How often the app's address is probed.
const PROBE_MS: u32 = 300;
/// So many answers in a row have to be the app's: with several ingress pods, one may be ahead of the others.
const PROBES: u32 = 2;
/// After how many probes it is looked whether the app is still up.
const PROBES_A_LOOK: u32 = 7;
/// How long to wait before a dead stream is created anew: doubled each time.
const BACKOFF_MS: std::ops::RangeInclusive<u32> = 1_000..=30_000;
/// For how long the connection may be gone before the page says so: an ordinary reconnection is not worth a word.
const GRACE_MS: u64 = 4_000;

/// Starts to follow the wake-up, until the app is there.
pub(crate) fn follow(live: Live) {
    // For as long as the page lives.
    window_event_listener(ev::visibilitychange, move |_| live.roused.set_value(true));
    window_event_listener(ev::online, move |_| live.roused.set_value(true));
    spawn_local(async move {
        let mut backoff = *BACKOFF_MS.start();
        // A page that was rendered as failed did not come here to start anything.
        let mut end = match live.progress.get_untracked().phase {
            Phase::Failed { reason } => End::Failed(reason),
            _ => listen(live).await,
        };
        loop {
            end = match end {
                End::AppIsUp => match hand_over(live).await {
                    Some(end) => end,
                    None => return,
                },
                End::Failed(reason) => heal(live, reason).await,
                // The stream may be gone because the app has taken its address over.
                End::Lost => match look(live).await {
                    Some(end) => end,
                    None => {
                        for _ in 0..backoff / TICK_MS {
                            live.note_contact(false);
                            TimeoutFuture::new(TICK_MS).await;
                            if live.take_roused() {
                                backoff = *BACKOFF_MS.start();
                                break;
                            }
                        }
                        backoff = (backoff * 2).min(*BACKOFF_MS.end());
                        listen(live).await
                    }
                },
                End::Waking => {
                    backoff = *BACKOFF_MS.start();
                    listen(live).await
                }
            };
        }
    });
}

/// Begins again after a failure, without leaving the page: its fragment would be lost.
pub(crate) fn retry(live: Live) {
    live.progress.update(|progress| progress.phase = Phase::Waking { step: Step::Finding, reason: None });
    // Whoever polls after the failure sees what comes of it. A plain request: leptos' own client for server functions
    // would weigh a quarter of the module.
    spawn_local(start(live));
}

/// Starts the app, or tries again after a failure.
async fn start(live: Live) {
    drop(Request::post(&live.start.with_value(Start::wake_url)).send().await);
}

/// How listening or polling ended.
enum End {
    /// The cluster, or the app itself, says that it is up.
    AppIsUp,
    Failed(Reason),
    /// It is waking: there is something to listen to.
    Waking,
    /// The stream is gone without a result.
    Lost,
}

impl Live {
    /// Notes whether there is a connection at this moment.
    fn note_contact(self, connected: bool) {
        let now = now_ms();
        if connected {
            self.last_contact_ms.set_value(now);
        }
        self.connected.set(now - self.last_contact_ms.get_value() < GRACE_MS);
    }

    /// Whether there is a reason to look at once, since this was asked last.
    fn take_roused(self) -> bool {
        self.roused.try_update_value(std::mem::take).unwrap_or_default()
    }

    /// Shows a snapshot, and tells whether it is the end.
    fn show(self, progress: Progress) -> Option<End> {
        let phase = progress.phase;
        self.note_contact(true);
        self.arrived_ms.set_value(now_ms());
        self.age_ms.set(0);
        self.progress.set(progress);
        match phase {
            Phase::Ready { .. } => Some(End::AppIsUp),
            Phase::Failed { reason } => Some(End::Failed(reason)),
            Phase::Asleep | Phase::Waking { .. } => None,
        }
    }
}

/// Starts the wake-up, which the stream alone does not, and listens.
async fn listen(live: Live) -> End {
    start(live).await;
    let Ok(mut source) = EventSource::new(&live.start.with_value(Start::events_url)) else { return End::Lost };
    let subscriptions = ["progress", "success", "failure"].map(|name| source.subscribe(name));
    let mut events = select_all(subscriptions.into_iter().flatten());
    let mut silent_ticks = 0;
    let mut heard = false;
    loop {
        match select(events.next(), TimeoutFuture::new(TICK_MS)).await {
            Either::Left((Some(Ok((_, message))), _)) => {
                heard = true;
                let snapshot = message.data().as_string().and_then(|data| from_json(&data));
                if let Some(end) = snapshot.and_then(|snapshot| live.show(snapshot)) {
                    return end;
                }
            }
            Either::Left(_) => return End::Lost,
            Either::Right(_) => {
                // From the clock and not from the number of ticks: a hidden tab gets few of them.
                live.age_ms.set(now_ms() - live.arrived_ms.get_value());
                live.note_contact(source.state() == State::Open);
                silent_ticks = if heard && source.state() == State::Open { 0 } else { silent_ticks + 1 };
                if (live.take_roused() || silent_ticks >= SILENT_TICKS)
                    && let Some(end) = look(live).await
                {
                    return end;
                }
            }
        }
    }
}

/// Polls once, shows what comes of it, and tells whether that is the end.
async fn look(live: Live) -> Option<End> {
    match poll(live).await {
        Answer::Apps => Some(End::AppIsUp),
        // Nobody is waking it at this moment; the next stream starts that.
        Answer::Ours(progress) if progress.phase == Phase::Asleep => None,
        Answer::Ours(progress) => live.show(progress),
        Answer::None => None,
    }
}

/// Polls after a failure until there is something better to say. To poll starts nothing.
async fn heal(live: Live, failure: Reason) -> End {
    loop {
        TimeoutFuture::new(POLL_MS).await;
        match poll(live).await {
            Answer::Apps => return End::AppIsUp,
            Answer::None => live.note_contact(false),
            Answer::Ours(progress) => match progress.phase {
                Phase::Waking { .. } => return End::Waking,
                // Whatever made the app impossible to find has been mended.
                Phase::Asleep if failure.is_discovery() => return End::Waking,
                // Given up. To try again is the visitor's choice.
                Phase::Asleep => live.note_contact(true),
                // Ready; or failed still, again after another try, or for another reason.
                Phase::Failed { .. } | Phase::Ready { .. } => {
                    if let Some(end) = live.show(progress) {
                        return end;
                    }
                }
            },
        }
    }
}

/// Waits until the app answers at the visitor's own address, and goes there. Answers what to do instead if the app
/// is not up any more.
async fn hand_over(live: Live) -> Option<End> {
    let since = now_ms();
    let mut answers = 0;
    for probes in 1_u32.. {
        let probe = Request::get(&here()).cache(RequestCache::NoStore).redirect(RequestRedirect::Manual).send();
        answers = if probe.await.is_ok_and(|answer| is_apps(&answer)) { answers + 1 } else { 0 };
        if answers == PROBES {
            break;
        }
        // It may have been put to sleep again meanwhile.
        if answers == 0
            && probes.is_multiple_of(PROBES_A_LOOK)
            && let Answer::Ours(progress) = poll(live).await
        {
            match progress.phase {
                Phase::Asleep | Phase::Waking { .. } => {
                    live.opening_ms.set(None);
                    return Some(End::Waking);
                }
                Phase::Failed { reason } => return Some(End::Failed(reason)),
                Phase::Ready { .. } => {}
            }
        }
        live.opening_ms.set(Some(now_ms() - since));
        TimeoutFuture::new(PROBE_MS).await;
    }
    // Not `replace`: with a fragment in the address that would only scroll. A reload keeps the whole address as
    // well and leaves no entry of this page to go back to.
    drop(window().location().reload());
    None
}

/// Who answered a request of ours, and what.
enum Answer {
    Ours(Progress),
    Apps,
    None,
}

async fn poll(live: Live) -> Answer {
    match Request::get(&live.start.with_value(Start::status_url))
        .cache(RequestCache::NoStore)
        .redirect(RequestRedirect::Manual)
        .send()
        .await
    {
        Ok(response) if is_apps(&response) => Answer::Apps,
        Ok(response) => {
            let text = response.text().await.unwrap_or_default();
            from_json(&text).map_or(Answer::None, Answer::Ours)
        }
        Err(_) => Answer::None,
    }
}

/// Whether the app gave this answer: it is not marked as ours, and not what a proxy says for an app that it does
/// not reach. A redirect is an answer: many apps send a visitor to their login first.
fn is_apps(response: &Response) -> bool {
    response.type_() == ResponseType::Opaqueredirect
        || (response.headers().get("x-unidler").is_none() && ![502, 503, 504].contains(&response.status()))
}

fn here() -> String {
    window().location().href().unwrap_or_default()
}

/// Milliseconds on a clock that only goes forward.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since the page was opened")]
pub(crate) fn now_ms() -> u64 {
    window().performance().map_or(0, |clock| clock.now() as u64)
}
