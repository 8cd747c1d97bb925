//! The island: what the visitor watches.
//!
//! It starts from the snapshot that the server rendered, so that both draw the same tree. From then on only
//! `live` changes its [`Live`] signals.

use leptos::prelude::*;
use unidler::progress::{Phase, Progress, Step};

use crate::{
    api::WAKE_URL,
    words::{Language, Words},
};

/// What the island shows: the last snapshot and what only the browser knows.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// The last snapshot.
    pub progress: RwSignal<Progress>,
    /// Milliseconds that have passed since that snapshot arrived.
    pub age_ms: RwSignal<u64>,
    /// Whether there is a connection to the server, or was one until just now.
    pub connected: RwSignal<bool>,
    /// When there was one last, on the clock of the page.
    pub last_contact_ms: StoredValue<u64>,
    /// Since how many milliseconds the browser has been probing the app's address.
    pub opening_ms: RwSignal<Option<u64>>,
}

/// How long the app's address may lead here after the app is up, before the page says so.
const OPENING_IS_SLOW_MS: u64 = 60_000;

/// The live part of the page.
#[island]
pub fn Wake(
    /// The snapshot to start from.
    initial: Progress,
    /// The language to speak.
    language: Language,
) -> impl IntoView {
    let live = Live {
        progress: RwSignal::new(initial),
        age_ms: RwSignal::new(0),
        connected: RwSignal::new(true),
        last_contact_ms: StoredValue::new(0),
        opening_ms: RwSignal::new(None),
    };
    #[cfg(feature = "hydrate")]
    crate::live::follow(live);

    let words = language.words();
    let phase = move || live.progress.read().phase;
    let lead = move || lead(words, phase(), live.opening_ms.get());
    let advice = move || advice(words, phase());
    let restarts = move || match live.progress.read().restarts {
        0 => String::new(),
        count => (words.restarts)(count),
    };

    view! {
        <main data-phase=move || phase().name() aria-busy=move || (!phase().is_terminal()).to_string()>
            <div class="moon" aria-hidden="true"></div>
            <h1>{move || heading(words, phase())}</h1>
            <p class="lead" role="status">{lead}</p>
            <p class="advice" hidden=move || advice().is_empty()>{advice}</p>
            <p class="restarts" hidden=move || restarts().is_empty()>{restarts}</p>
            <progress max="100" aria-label=words.bar prop:value=move || percent(phase()) value=percent(phase())></progress>
            <ol class="steps" aria-label=words.steps>
                {Step::ALL.map(|step| view! { <StepItem live step words/> })}
            </ol>
            <p class="connection" role="status">{move || if live.connected.get() { "" } else { words.reconnecting }}</p>
            <Retry live words/>
            <p class="open" hidden=move || !is_slow(live.opening_ms.get())><a href="">{words.open}</a></p>
            <dl class="reference" hidden=move || phase() == Phase::Asleep>
                <div><dt>{words.reference}</dt><dd>{move || live.progress.read().reference.clone()}</dd></div>
                <div><dt>{words.host}</dt><dd>{move || live.progress.read().host.clone()}</dd></div>
            </dl>
        </main>
    }
}

/// The button that begins again after a failure. A plain form, so it works without scripts.
#[component]
fn Retry(live: Live, words: &'static Words) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    let on_submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        crate::live::retry(live);
    };
    #[cfg(not(feature = "hydrate"))]
    let on_submit = |_: leptos::ev::SubmitEvent| {};

    let hidden = move || !matches!(live.progress.read().phase, Phase::Failed { .. });
    view! {
        <form class="retry" method="post" action=WAKE_URL hidden=hidden on:submit=on_submit>
            <button>{words.retry}</button>
        </form>
    }
}

/// Where a step stands, as seen from the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepState {
    Waiting,
    UnderWay,
    Done,
    Failed,
}

impl StepState {
    fn of(step: Step, progress: &Progress) -> Self {
        let reached = progress.timeline.last().map(|mark| mark.step);
        match (progress.phase, reached) {
            (Phase::Ready { .. }, _) if step == Step::Opening => Self::UnderWay,
            (Phase::Ready { .. }, _) => Self::Done,
            (_, Some(reached)) if step < reached => Self::Done,
            (Phase::Failed { .. }, Some(reached)) if step == reached => Self::Failed,
            (Phase::Waking { .. }, Some(reached)) if step == reached => Self::UnderWay,
            _ => Self::Waiting,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::UnderWay => "under-way",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

#[component]
fn StepItem(live: Live, step: Step, words: &'static Words) -> impl IntoView {
    let state = move || StepState::of(step, &live.progress.read());
    let time = move || {
        let elapsed = live.age_ms.get();
        let ms = if step == Step::Opening { live.opening_ms.get() } else { spent_ms(step, &live.progress.read(), elapsed) };
        match (state(), ms) {
            (StepState::UnderWay | StepState::Done, Some(ms)) if ms >= 1000 => (words.duration)(ms / 1000),
            _ => String::new(),
        }
    };
    view! {
        <li class=move || state().name() aria-current=move || (state() == StepState::UnderWay).then_some("step")>
            <span>{(words.step)(step)}</span>
            <time>{time}</time>
        </li>
    }
}

/// How long a step took, or has taken so far.
fn spent_ms(step: Step, progress: &Progress, age_ms: u64) -> Option<u64> {
    let index = progress.timeline.iter().position(|mark| mark.step == step)?;
    let end = match progress.timeline.get(index + 1) {
        Some(next) => next.at_ms,
        None if progress.phase.is_terminal() => progress.elapsed_ms,
        None => progress.elapsed_ms + age_ms,
    };
    Some(end.saturating_sub(progress.timeline[index].at_ms))
}

fn heading(words: &Words, phase: Phase) -> &'static str {
    match phase {
        Phase::Asleep => words.asleep,
        Phase::Waking { .. } => words.waking,
        Phase::Ready { .. } => words.ready,
        Phase::Failed { .. } => words.failed,
    }
}

fn is_slow(opening_ms: Option<u64>) -> bool {
    opening_ms.is_some_and(|ms| ms >= OPENING_IS_SLOW_MS)
}

fn lead(words: &Words, phase: Phase, opening_ms: Option<u64>) -> &'static str {
    match phase {
        Phase::Asleep => words.asleep_lead,
        Phase::Waking { reason: None, .. } => words.waking_lead,
        Phase::Waking { reason: Some(reason), .. } | Phase::Failed { reason } => (words.reason)(reason).what,
        Phase::Ready { .. } if is_slow(opening_ms) => words.not_reachable_lead,
        Phase::Ready { notice: Some(_) } => words.already_awake_lead,
        Phase::Ready { notice: None } => words.ready_lead,
    }
}

fn advice(words: &Words, phase: Phase) -> &'static str {
    match phase {
        Phase::Waking { reason: Some(reason), .. } | Phase::Failed { reason } => (words.reason)(reason).advice,
        Phase::Asleep | Phase::Waking { reason: None, .. } | Phase::Ready { .. } => "",
    }
}

/// How full the bar is. Only the app's own answer fills it, and then the page is gone.
fn percent(phase: Phase) -> u32 {
    let step = match phase {
        Phase::Asleep | Phase::Failed { .. } => return 0,
        Phase::Waking { step, .. } => step,
        Phase::Ready { .. } => Step::Opening,
    };
    match step {
        Step::Finding => 3,
        Step::Restoring => 8,
        Step::Scheduling => 15,
        Step::Pulling => 30,
        Step::Starting => 55,
        Step::Checking => 75,
        Step::Connecting => 88,
        Step::Opening => 94,
    }
}
