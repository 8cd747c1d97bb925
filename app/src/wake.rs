//! The island: what the visitor watches.
//!
//! It starts from the snapshot that the server rendered, so that both render the same tree. From then on only `browser`
//! changes its [`Live`] signals. Without the module, `show` in `loader.js` fills in the same elements, but fewer of
//! them: by design, since it has to work where the module does not.

mod bar;
mod details;
mod says;
mod steps;

use leptos::prelude::*;
use unidler::progress::{Parts, Phase, Step};

use self::{
    bar::{never_back, percent},
    details::{Details, Tell},
    says::says,
    steps::StepItem,
};
use crate::{live::Live, start::Start, text, words::Words};

/// The live part of the page.
#[island]
pub fn Wake() -> impl IntoView {
    let start = Start::of_page();
    let wake_url = start.wake_url();
    let Start {
        progress,
        language,
        now,
        lost_post,
        ..
    } = start;
    let live = Live::new(progress, lost_post);
    let words = language.words();
    let announced = RwSignal::new(String::new());
    #[cfg(feature = "hydrate")]
    {
        crate::browser::follow::follow(live);
        crate::browser::chrome::keep_up(live, words, announced);
    }

    let phase = move || live.phase();
    let heading = Signal::derive(move || {
        if live.up.get() {
            words.up
        } else {
            text::heading(words, phase())
        }
        .of(live.progress.read().title.as_deref())
    });
    let lead = Signal::derive(move || text::lead(words, phase(), live.handover()).to_owned());
    let advice = Signal::derive(move || text::advice(words, phase()).to_owned());
    let estimate =
        Signal::derive(move || text::estimate(words, &live.progress.read(), live.age_ms.get()));
    let restarts = Signal::derive(move || match live.progress.read().restarts {
        0 => String::new(),
        count => (words.restarts)(count),
    });
    let parts = Signal::derive(move || match live.progress.read().parts {
        Some(Parts { up, of }) if matches!(phase(), Phase::Waking { .. }) => (words.parts)(up, of),
        _ => String::new(),
    });
    let connection = Signal::derive(move || {
        text::connection(words, phase(), live.refused.get(), live.connected.get()).to_owned()
    });
    let bar = Memo::new(move |before| {
        never_back(before, percent(&live.progress.read(), live.age_ms.get()))
    });
    // An app that cannot be found has no steps.
    let never_began = move || {
        let progress = live.progress.read();
        matches!(progress.phase, Phase::Failed { .. }) && progress.timeline.is_empty()
    };

    view! {
        <main data-phase=move || phase().name() aria-busy=move || (!phase().is_terminal()).to_string()>
            <div class="moon" aria-hidden="true"></div>
            <h1 use:says=heading>{heading.get_untracked()}</h1>
            <p class="announced" role="status" use:says=announced.into()></p>
            <p class="notice" hidden=!lost_post>{words.lost_post}</p>
            <p class="lead" use:says=lead>{lead.get_untracked()}</p>
            <p class="estimate" hidden=move || estimate.read().is_empty() use:says=estimate>{estimate.get_untracked()}</p>
            <p class="advice" hidden=move || advice.read().is_empty() use:says=advice>{advice.get_untracked()}</p>
            <p class="restarts" hidden=move || restarts.read().is_empty() use:says=restarts>{restarts.get_untracked()}</p>
            <p class="parts" hidden=move || parts.read().is_empty() use:says=parts>{parts.get_untracked()}</p>
            <progress max="100" aria-label=words.bar hidden=live.up prop:value=bar value=bar.get_untracked()></progress>
            <ol class="steps" aria-label=words.steps hidden=move || never_began() || live.up.get()>
                {Step::ALL.map(|step| view! { <StepItem live step words/> })}
            </ol>
            <p class="connection" role="status" use:says=connection></p>
            <Buttons live words wake_url/>
            <Details live words now/>
            <Tell live words/>
        </main>
    }
}

/// The controls: plain forms and a link, so that all of them work without scripts.
#[component]
fn Buttons(live: Live, words: &'static Words, wake_url: String) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    let on_submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        crate::browser::follow::retry(live, event.target().into());
    };
    #[cfg(not(feature = "hydrate"))]
    let on_submit = |_: leptos::ev::SubmitEvent| {};

    let is_asleep = move || live.phase() == Phase::Asleep;
    let may_retry = move || text::may_retry(live.phase());
    let opens = move || live.handover().opens();
    view! {
        <form class="start" method="post" action=wake_url.clone() hidden=move || !is_asleep() on:submit=on_submit>
            <button>{words.start}</button>
        </form>
        <form class="retry" method="post" action=wake_url hidden=move || !may_retry() on:submit=on_submit>
            <button>{words.retry}</button>
        </form>
        <button type="button" class="resend" hidden=move || !live.up.get()>{words.resend}</button>
        <p class="open" hidden=move || !opens()><a href="">{words.open}</a></p>
    }
}
