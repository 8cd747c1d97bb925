//! Follows a wake-up: the event stream, polling where that fails, and when to start the app.
//!
//! ```text
//!   each second, or with each event: what is known now?
//!     asleep           start the app, with a POST; a hidden tab does not
//!     waking           listen; poll as well while the stream cannot be trusted
//!     failed           poll until it heals; to try again is the visitor's choice
//!     ready            ask several times a second until somebody else answers
//! ```
//!
//! Deciding who answers, handing over, and limiting how soon an app is asked to start again are up to `loader.js`:
//! whatever the phase, asking hands the visitor over as soon as the app responds.

use std::pin::Pin;

use futures::{
    Stream, StreamExt,
    future::{Either, select},
    stream::select_all,
};
use gloo_net::eventsource::{State, futures::EventSource};
use gloo_timers::future::TimeoutFuture;
use leptos::{ev, prelude::*, task::spawn_local};
use unidler::progress::{Phase, Progress, Step};
use wasm_bindgen::JsValue;

use super::{clock::now_ms, loader};
use crate::{live::Live, start::from_json};

/// Interval between looks at the clock and at the state of the connection.
const TICK_MS: u32 = 1_000;
/// Interval between polls.
const POLL_MS: u64 = 2_000;
/// Interval between requests of a page that waits for the app to respond.
const PROBE_MS: u32 = 300;
/// How long a new stream may stay silent before the page polls as well: a proxy may be swallowing the events.
const OPENS_MS: u64 = 5_000;
/// How long a stream may be silent before the page no longer trusts it: the server sends something every 10 seconds.
const SILENCE_MS: u64 = 25_000;
/// How long to wait before a dead stream is opened again: doubled each time.
const BACKOFF_MS: std::ops::RangeInclusive<u64> = 1_000..=30_000;
/// How long the connection may be lost before the page reports it: a short reconnection is not worth mentioning.
const GRACE_MS: f64 = 8_000.0;

/// Starts to follow the wake-up, until the app is there.
pub(crate) fn follow(live: Live) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since the page was opened"
    )]
    loader::note_heard(now_ms() as f64);
    if let Phase::Ready { .. } = live.known_phase() {
        live.ready_since_ms.set_value(Some(now_ms()));
    }
    // For as long as the page lives.
    window_event_listener(ev::visibilitychange, move |_| live.roused.set_value(true));
    window_event_listener(ev::online, move |_| live.roused.set_value(true));
    spawn_local(async move {
        loop {
            live.tick();
            TimeoutFuture::new(TICK_MS).await;
        }
    });
    spawn_local(async move {
        let mut ear = Ear::default();
        let mut asked_ms = 0;
        loop {
            let is_ready = matches!(live.known_phase(), Phase::Ready { .. });
            // An open stream would keep the app awake, and from now on opening the app is up to the visitor.
            if live.known_phase().is_terminal() || loader::flag("settled") {
                ear.close();
            } else {
                ear.open_when_due(now_ms());
            }
            if let Some(progress) = ear.hear(if is_ready { PROBE_MS } else { TICK_MS }).await {
                live.show(progress);
            }
            let is_roused = live.take_roused();
            if is_roused {
                ear.backoff_ms = *BACKOFF_MS.start();
            }
            let is_trusted = ear.is_trusted(now_ms());
            live.trusted.set_value(is_trusted && ear.heard_ms.is_some());
            // An app that has just become ready is no longer waited for.
            let is_ready = matches!(live.known_phase(), Phase::Ready { .. });
            let is_due = is_ready || is_roused || (!is_trusted && now_ms() - asked_ms >= POLL_MS);
            if is_due && !live.retrying.get_value() {
                asked_ms = now_ms();
                if let Some(json) = loader::ask().await
                    && let Some(progress) = from_json(&json)
                {
                    live.show(progress);
                }
            }
            if live.known_phase() == Phase::Asleep {
                spawn_local(loader::start_when_due());
            }
        }
    });
}

/// Tries again after a failure, or starts the app, without leaving the page: its fragment would be lost.
pub(crate) fn retry(live: Live, form: JsValue) {
    let before = live.progress.get_untracked();
    live.progress.update(|progress| {
        progress.phase = Phase::Waking {
            step: Step::Finding,
            reason: None,
        }
    });
    live.retrying.set_value(true);
    spawn_local(async move {
        let is_accepted = loader::press(form).await;
        live.retrying.set_value(false);
        live.tick();
        if !is_accepted {
            live.progress.set(before);
        }
    });
}

impl Live {
    /// The last known phase, for code that only runs now and then.
    fn known_phase(self) -> Phase {
        self.progress.read_untracked().phase
    }

    /// Whether there has been a reason to ask at once since the last call.
    fn take_roused(self) -> bool {
        self.roused
            .try_update_value(std::mem::take)
            .unwrap_or_default()
    }

    /// Updates everything that changes without an event. It uses the clock and not the number of ticks: a hidden tab
    /// gets few of them.
    fn tick(self) {
        let now = now_ms();
        self.age_ms.set(now - self.arrived_ms.get_value());
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since the page was opened"
        )]
        let now_f64 = now as f64;
        if self.trusted.get_value() {
            loader::note_heard(now_f64);
        }
        self.connected
            .set(now_f64 - loader::number("heard") < GRACE_MS);
        let since = self.ready_since_ms.get_value();
        self.opening_ms.set(since.map(|since| now - since));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a status of HTTP"
        )]
        self.refused.set(loader::number("refused") as u16);
        self.held.set(loader::flag("held"));
        self.up.set(loader::flag("up"));
        self.offers.set(loader::flag("offers"));
    }

    /// Shows a snapshot.
    fn show(self, progress: Progress) {
        let now = now_ms();
        let phase = progress.phase;
        if let (Phase::Failed { reason }, Phase::Asleep) = (self.known_phase(), phase)
            && !reason.is_discovery()
        {
            // The wake-up has failed. Trying again is up to the visitor.
            return;
        }
        let is_ready = matches!(phase, Phase::Ready { .. });
        loader::note_ready(is_ready, progress.forwarding);
        self.ready_since_ms
            .update_value(|since| *since = is_ready.then(|| since.unwrap_or(now)));
        self.arrived_ms.set_value(now);
        self.progress.set(progress);
        self.tick();
    }
}

/// Listens to the stream, which never starts the app.
#[derive(Default)]
struct Ear {
    stream: Option<(EventSource, Events)>,
    /// When the stream was opened.
    opened_ms: u64,
    /// When it last received something.
    heard_ms: Option<u64>,
    /// When to open it again.
    due_ms: u64,
    backoff_ms: u64,
}

/// An event of the stream: a snapshot, or `None` if the stream is dead.
type Event = Option<Progress>;
type Events = Pin<Box<dyn Stream<Item = Event>>>;

impl Ear {
    fn close(&mut self) {
        self.stream = None;
        self.heard_ms = None;
        self.due_ms = 0;
        self.backoff_ms = *BACKOFF_MS.start();
    }

    /// Opens the stream if there is none, and replaces one that has died silently.
    fn open_when_due(&mut self, now: u64) {
        if self.stream.is_some() && now - self.heard_ms.unwrap_or(self.opened_ms) >= SILENCE_MS {
            self.lose(now);
        }
        if self.stream.is_some() || now < self.due_ms {
            return;
        }
        let Ok(mut source) = EventSource::new(&loader::events_url()) else {
            return;
        };
        let names = ["progress", "success", "failure", "alive"];
        let subscriptions = names
            .into_iter()
            .filter_map(|name| source.subscribe(name).ok());
        let events = select_all(subscriptions).map(|event| {
            let (_, message) = event.ok()?;
            from_json(&message.data().as_string()?)
        });
        self.stream = Some((source, Box::pin(events)));
        self.opened_ms = now;
        self.heard_ms = None;
    }

    fn lose(&mut self, now: u64) {
        self.stream = None;
        self.heard_ms = None;
        self.due_ms = now + self.backoff_ms;
        self.backoff_ms = (self.backoff_ms * 2).clamp(*BACKOFF_MS.start(), *BACKOFF_MS.end());
    }

    /// Waits for a snapshot, for a limited time.
    async fn hear(&mut self, wait_ms: u32) -> Option<Progress> {
        let wait = TimeoutFuture::new(wait_ms);
        let Some((source, events)) = &mut self.stream else {
            wait.await;
            return None;
        };
        match select(events.next(), wait).await {
            Either::Left((Some(Some(progress)), _)) => {
                self.heard_ms = Some(now_ms());
                self.backoff_ms = *BACKOFF_MS.start();
                Some(progress)
            }
            // The browser reconnects by itself, unless the response was not an event stream.
            Either::Left((_, wait)) => {
                if source.state() == State::Closed {
                    self.lose(now_ms());
                }
                wait.await;
                None
            }
            Either::Right(_) => None,
        }
    }

    /// Whether the events of the stream, or its silence, can be trusted.
    fn is_trusted(&self, now: u64) -> bool {
        let Some((source, _)) = &self.stream else {
            return false;
        };
        match self.heard_ms {
            Some(heard) => source.state() == State::Open && now - heard < SILENCE_MS,
            None => source.state() != State::Closed && now - self.opened_ms < OPENS_MS,
        }
    }
}
