//! The parts around the island that follow its state: the title, the icon, announcements for screen readers, the
//! clipboard, the notification.

use leptos::{ev::MouseEvent, prelude::*, task::spawn_local};
use unidler::progress::Phase;
use web_sys::{Notification, NotificationPermission};

use super::clock::now_ms;
use crate::{icon::icon, live::Live, text, words::Words};

/// The minimum time between two announcements, except before the last one.
const QUIET_MS: u64 = 5_000;
/// How long the button confirms that it has copied.
const COPIED_MS: u32 = 2_000;

/// Keeps the title, the icon and the announcements in sync with the state.
pub(crate) fn keep_up(live: Live, words: &'static Words, announced: RwSignal<String>) {
    let phase = Memo::new(move |_| live.phase());
    Effect::new(move || {
        let phase = phase.get();
        let document = document();
        let progress = live.progress.read_untracked();
        document.set_title(&text::title(words, &progress));
        if let Ok(Some(link)) = document.query_selector("link[rel=icon]") {
            drop(link.set_attribute("href", icon(phase)));
        }
    });
    let announcement = move || text::announcement(words, &live.progress.read(), live.handover());
    // Screen readers read out the initially rendered text anyway.
    let said_at = StoredValue::new(now_ms());
    let said = StoredValue::new(untrack(announcement));
    Effect::new(move || {
        let phase = phase.get();
        // An announcement that became due in the meantime is made at a tick of the clock.
        live.age_ms.track();
        let text = announcement();
        let is_due = phase.is_terminal() || now_ms() - said_at.get_value() >= QUIET_MS;
        if is_due && said.get_value() != text {
            said_at.set_value(now_ms());
            said.set_value(text.clone());
            announced.set(text);
        }
    });
}

/// Makes the copy button work where there is a clipboard: only in a secure context.
pub(crate) fn copies(
    live: Live,
    time: RwSignal<String>,
    can_copy: RwSignal<bool>,
    copied: RwSignal<bool>,
) -> impl Fn(MouseEvent) + Copy + 'static {
    let phase = Memo::new(move |_| live.phase());
    Effect::new(move || {
        can_copy.set(window().is_secure_context());
        if let Phase::Failed { .. } = phase.get() {
            // In the format that the server uses.
            let iso = String::from(js_sys::Date::new_0().to_iso_string());
            time.set(format!(
                "{} UTC",
                iso.get(..16).unwrap_or_default().replace('T', " ")
            ));
        }
    });
    move |_| {
        let text = live.progress.with_untracked(|progress| {
            format!(
                "{} {} {}",
                progress.reference,
                progress.host,
                time.get_untracked()
            )
        });
        let writing = window().navigator().clipboard().write_text(&text);
        spawn_local(async move {
            if wasm_bindgen_futures::JsFuture::from(writing).await.is_ok() {
                copied.set(true);
                gloo_timers::future::TimeoutFuture::new(COPIED_MS).await;
                copied.set(false);
            }
        });
    }
}

/// Makes the notification button work where there are notifications and the visitor has not refused them.
pub(crate) fn tells(
    live: Live,
    words: &'static Words,
    can_tell: RwSignal<bool>,
    will_tell: RwSignal<bool>,
) -> impl Fn(MouseEvent) + Copy + 'static {
    let phase = Memo::new(move |_| live.phase());
    Effect::new(move || {
        // Only in a secure context, and not in every browser.
        let there_are = js_sys::Reflect::has(&window(), &"Notification".into()).unwrap_or_default();
        can_tell.set(there_are && Notification::permission() != NotificationPermission::Denied);
    });
    Effect::new(move || {
        let progress = live.progress.read_untracked();
        let text = match phase.get() {
            Phase::Ready { .. } => words.up.of(progress.title.as_deref()),
            failed @ Phase::Failed { .. } => {
                text::heading(words, failed).of(progress.title.as_deref())
            }
            Phase::Asleep | Phase::Waking { .. } => return,
        };
        if will_tell.get_untracked() {
            will_tell.set(false);
            // Some browsers only allow this from a service worker. Then there is no notification.
            drop(Notification::new(&format!("{text} – {}", progress.host)));
        }
    });
    move |_| {
        let Ok(asking) = Notification::request_permission() else {
            return;
        };
        spawn_local(async move {
            drop(wasm_bindgen_futures::JsFuture::from(asking).await);
            let permission = Notification::permission();
            will_tell.set(permission == NotificationPermission::Granted);
            can_tell.set(permission != NotificationPermission::Denied);
        });
    }
}
