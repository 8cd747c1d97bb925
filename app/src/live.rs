//! What the page shows, as signals. The island draws them; what happens in the browser changes them.

use leptos::prelude::*;
use unidler::progress::{Phase, Progress};

use crate::text::Handover;

/// How long the app's address may still route to unidler after the app is ready, before the page mentions it.
const OPENING_IS_SLOW_MS: u64 = 60_000;

/// What the island shows: the last snapshot and what only the browser knows.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// The last snapshot.
    pub progress: RwSignal<Progress>,
    /// When that arrived, on the clock of the page.
    pub arrived_ms: StoredValue<u64>,
    /// Milliseconds that have passed since then.
    pub age_ms: RwSignal<u64>,
    /// Whether the server can be reached, or could until just now.
    pub connected: RwSignal<bool>,
    /// Whether the event stream works.
    pub trusted: StoredValue<bool>,
    /// When the server said that the app is ready.
    pub ready_since_ms: StoredValue<Option<u64>>,
    /// For how many milliseconds the browser has been waiting for the app to respond since then.
    pub opening_ms: RwSignal<Option<u64>>,
    /// Whether the tab has come to the foreground or the network is back: the displayed state may be outdated.
    pub roused: StoredValue<bool>,
    /// Whether the visitor's request to try again is under way: the known state is older than that.
    pub retrying: StoredValue<bool>,
    /// The status that rejected the last request to start the app, or 0.
    pub refused: RwSignal<u16>,
    /// Whether opening the app has led back here too often.
    pub held: RwSignal<bool>,
    /// Whether the app responds and the visitor has to send something again.
    pub up: RwSignal<bool>,
    /// Whether something other than unidler has been answering for so long that the visitor is offered a link.
    pub offers: RwSignal<bool>,
    /// Whether the visitor has sent something that did not arrive: then the app does not open by itself.
    pub lost_post: bool,
}

impl Live {
    /// The state that the server has rendered.
    #[must_use]
    pub fn new(progress: Progress, lost_post: bool) -> Self {
        Self {
            progress: RwSignal::new(progress),
            arrived_ms: StoredValue::new(0),
            age_ms: RwSignal::new(0),
            connected: RwSignal::new(true),
            trusted: StoredValue::new(false),
            ready_since_ms: StoredValue::new(None),
            opening_ms: RwSignal::new(None),
            roused: StoredValue::new(false),
            retrying: StoredValue::new(false),
            refused: RwSignal::new(0),
            held: RwSignal::new(false),
            up: RwSignal::new(false),
            offers: RwSignal::new(false),
            lost_post,
        }
    }

    /// The phase of the app.
    pub(crate) fn phase(self) -> Phase {
        self.progress.read().phase
    }

    /// The progress of handing the visitor over.
    pub(crate) fn handover(self) -> Handover {
        Handover {
            up: self.up.get(),
            held: self.held.get(),
            offers: self.offers.get(),
            slow: self
                .opening_ms
                .get()
                .is_some_and(|ms| ms >= OPENING_IS_SLOW_MS),
            lost_post: self.lost_post,
        }
    }
}
