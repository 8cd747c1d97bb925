//! What the visitor can take away: the reference, and a notification when the app is running.

#![expect(unreachable_pub, reason = "the builders that `#[component]` derives")]

use leptos::prelude::*;
use unidler::progress::Phase;

use super::says::says;
use crate::{live::Live, words::Words};

/// The information to give to the operators of the app. The button is only shown where it works.
#[component]
pub(super) fn Details(live: Live, words: &'static Words, now: String) -> impl IntoView {
    let time = RwSignal::new(now);
    let (can_copy, copied) = (RwSignal::new(false), RwSignal::new(false));
    #[cfg(feature = "hydrate")]
    let copy = crate::browser::chrome::copies(live, time, can_copy, copied);
    #[cfg(not(feature = "hydrate"))]
    let copy = |_: leptos::ev::MouseEvent| {};

    let is_asleep = move || live.phase() == Phase::Asleep;
    let has_failed = move || matches!(live.phase(), Phase::Failed { .. });
    let reference = Signal::derive(move || live.progress.read().reference.clone());
    let button = Signal::derive(move || {
        if copied.get() {
            words.copied
        } else {
            words.copy
        }
        .to_owned()
    });
    view! {
        <dl class="reference" hidden=is_asleep>
            <div><dt>{words.reference}</dt><dd translate="no" use:says=reference>{reference.get_untracked()}</dd></div>
            <div><dt>{words.host}</dt><dd translate="no">{live.progress.read_untracked().host.clone()}</dd></div>
            <div hidden=move || !has_failed()><dt>{words.time}</dt><dd translate="no" use:says=time.into()>{time.get_untracked()}</dd></div>
        </dl>
        <button type="button" class="copy" hidden=move || !(can_copy.get() && has_failed()) on:click=copy use:says=button>
            {words.copy}
        </button>
    }
}

/// The button for visitors who do not want to watch the page until then. It is only shown where it works; the browser
/// asks for permission when it is clicked, and not before.
#[component]
pub(super) fn Tell(live: Live, words: &'static Words) -> impl IntoView {
    let (can_tell, will_tell) = (RwSignal::new(false), RwSignal::new(false));
    #[cfg(feature = "hydrate")]
    let ask = crate::browser::chrome::tells(live, words, can_tell, will_tell);
    #[cfg(not(feature = "hydrate"))]
    let ask = |_: leptos::ev::MouseEvent| {};

    let is_waking = move || matches!(live.phase(), Phase::Waking { .. });
    let button = Signal::derive(move || {
        if will_tell.get() {
            words.will_tell
        } else {
            words.tell
        }
        .to_owned()
    });
    view! {
        <button
            type="button" class="tell" disabled=will_tell on:click=ask use:says=button
            hidden=move || !(can_tell.get() && is_waking())
        >
            {words.tell}
        </button>
    }
}
