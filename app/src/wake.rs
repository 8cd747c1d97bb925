//! The island: what the visitor watches.
//!
//! It starts from the snapshot that the server rendered, so that both draw the same tree. From then on only
//! `live` changes its [`Live`] signals.

use leptos::{prelude::*, tachys::renderer::types::Element};
use unidler::progress::{Phase, Progress, Step};

use crate::{
    start::Start,
    words::{Named, Words},
};

/// What the island shows: the last snapshot and what only the browser knows.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// The last snapshot.
    pub progress: RwSignal<Progress>,
    /// When that arrived, on the clock of the page.
    pub arrived_ms: StoredValue<u64>,
    /// Milliseconds that have passed since then.
    pub age_ms: RwSignal<u64>,
    /// Whether something gets through to the server, or did until just now.
    pub connected: RwSignal<bool>,
    /// Whether the event stream works.
    pub trusted: StoredValue<bool>,
    /// When the server said that the app is ready.
    pub ready_since_ms: StoredValue<Option<u64>>,
    /// For how many milliseconds the browser has been waiting for the app to respond since then.
    pub opening_ms: RwSignal<Option<u64>>,
    /// Whether the tab has come to the front or the network is back: what is shown may be old.
    pub roused: StoredValue<bool>,
    /// Whether the visitor's request to try again is on its way: what is known is older than that.
    pub retrying: StoredValue<bool>,
    /// The status with which the last request to start the app was turned away, or 0.
    pub refused: RwSignal<u16>,
    /// Whether opening the app has led back here too often.
    pub held: RwSignal<bool>,
    /// Whether the app responds and the visitor has to send something again.
    pub up: RwSignal<bool>,
    /// Whether the app, or somebody, has been answering for long, so that the visitor is offered a link.
    pub offers: RwSignal<bool>,
    /// Whether the visitor has sent something that did not arrive: then the app does not open by itself.
    pub lost_post: bool,
}

impl Live {
    fn new(progress: Progress, lost_post: bool) -> Self {
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
}

/// How long the app's address may lead here after the app is ready, before the page says so.
const OPENING_IS_SLOW_MS: u64 = 60_000;

/// Keeps an element's text up to date. A text node would not do: a browser that translates the page replaces those.
fn says(element: Element, text: Signal<String>) {
    Effect::new(move |before: Option<String>| {
        let text = text.get();
        // Not again what it says already: that may be translated by now.
        if before.as_ref() != Some(&text) {
            element.set_text_content(Some(&text));
        }
        text
    });
}

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
        crate::live::follow(live);
        crate::surroundings::keep_up(live, words, announced);
    }

    let phase = move || live.progress.read().phase;
    let heading = Signal::derive(move || {
        if live.up.get() {
            words.up
        } else {
            heading(words, phase())
        }
        .of(live.progress.read().title.as_deref())
    });
    let lead = Signal::derive(move || lead(words, live).to_owned());
    let advice = Signal::derive(move || advice(words, phase()).to_owned());
    let estimate =
        Signal::derive(move || estimate(words, &live.progress.read(), live.age_ms.get()));
    let restarts = Signal::derive(move || match live.progress.read().restarts {
        0 => String::new(),
        count => (words.restarts)(count),
    });
    let connection = Signal::derive(move || connection(words, live).to_owned());
    let bar = Memo::new(move |before| {
        never_back(before, percent(&live.progress.read(), live.age_ms.get()))
    });
    // There are no steps to an app that cannot be found.
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

/// What does not work between the browser and the server.
fn connection(words: &Words, live: Live) -> &'static str {
    match live.refused.get() {
        0 if live.connected.get() => "",
        0 => words.reconnecting,
        429 | 503 => words.crowded,
        _ => words.refused,
    }
}

/// What to tell whoever runs the app. The button is there only where it works.
#[component]
fn Details(live: Live, words: &'static Words, now: String) -> impl IntoView {
    let time = RwSignal::new(now);
    let (can_copy, copied) = (RwSignal::new(false), RwSignal::new(false));
    #[cfg(feature = "hydrate")]
    let copy = crate::surroundings::copies(live, time, can_copy, copied);
    #[cfg(not(feature = "hydrate"))]
    let copy = |_: leptos::ev::MouseEvent| {};

    let is_asleep = move || live.progress.read().phase == Phase::Asleep;
    let has_failed = move || matches!(live.progress.read().phase, Phase::Failed { .. });
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

/// The button for whoever does not want to look at the page until then. It is there only where it works; the browser
/// asks the visitor at their click, and not before.
#[component]
fn Tell(live: Live, words: &'static Words) -> impl IntoView {
    let (can_tell, will_tell) = (RwSignal::new(false), RwSignal::new(false));
    #[cfg(feature = "hydrate")]
    let ask = crate::surroundings::tells(live, words, can_tell, will_tell);
    #[cfg(not(feature = "hydrate"))]
    let ask = |_: leptos::ev::MouseEvent| {};

    let is_waking = move || matches!(live.progress.read().phase, Phase::Waking { .. });
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

/// What there is to press: plain forms and a link, so that all of it works without scripts.
#[component]
fn Buttons(live: Live, words: &'static Words, wake_url: String) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    let on_submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        crate::live::retry(live, event.target().into());
    };
    #[cfg(not(feature = "hydrate"))]
    let on_submit = |_: leptos::ev::SubmitEvent| {};

    let is_asleep = move || live.progress.read().phase == Phase::Asleep;
    let has_failed = move || matches!(live.progress.read().phase, Phase::Failed { .. });
    let opens = move || {
        live.up.get() || live.held.get() || live.offers.get() || is_slow(live.opening_ms.get())
    };
    view! {
        <form class="start" method="post" action=wake_url.clone() hidden=move || !is_asleep() on:submit=on_submit>
            <button>{words.start}</button>
        </form>
        <form class="retry" method="post" action=wake_url hidden=move || !has_failed() on:submit=on_submit>
            <button>{words.retry}</button>
        </form>
        <button type="button" class="resend" hidden=move || !live.up.get()>{words.resend}</button>
        <p class="open" hidden=move || !opens()><a href="">{words.open}</a></p>
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
        let ms = if step == Step::Opening {
            live.opening_ms.get()
        } else {
            spent_ms(step, &live.progress.read(), elapsed)
        };
        match (state(), ms) {
            (StepState::UnderWay | StepState::Done, Some(ms)) if ms >= 1000 => {
                (words.duration)(ms / 1000)
            }
            _ => String::new(),
        }
    };
    let time = Signal::derive(time);
    view! {
        <li class=move || state().name() aria-current=move || (state() == StepState::UnderWay).then_some("step")>
            <span>{(words.step)(step)}</span>
            <time hidden=move || time.read().is_empty() use:says=time>{time.get_untracked()}</time>
        </li>
    }
}

/// How long a step took, or has taken so far.
fn spent_ms(step: Step, progress: &Progress, age_ms: u64) -> Option<u64> {
    let index = progress
        .timeline
        .iter()
        .position(|mark| mark.step == step)?;
    let end = match progress.timeline.get(index + 1) {
        Some(next) => next.at_ms,
        None if progress.phase.is_terminal() => progress.elapsed_ms,
        None => progress.elapsed_ms + age_ms,
    };
    Some(end.saturating_sub(progress.timeline[index].at_ms))
}

pub(crate) fn heading(words: &Words, phase: Phase) -> Named {
    match phase {
        Phase::Asleep => words.asleep,
        Phase::Waking { .. } => words.waking,
        Phase::Ready { .. } => words.ready,
        Phase::Failed { reason } if reason.is_not_found() => words.not_found,
        Phase::Failed { .. } => words.failed,
    }
}

fn is_slow(opening_ms: Option<u64>) -> bool {
    opening_ms.is_some_and(|ms| ms >= OPENING_IS_SLOW_MS)
}

pub(crate) fn lead(words: &Words, live: Live) -> &'static str {
    match live.progress.read().phase {
        Phase::Failed { reason } => (words.reason)(reason).what,
        _ if live.up.get() => "",
        _ if live.held.get() => words.held_lead,
        _ if live.offers.get() => words.stayed_lead,
        Phase::Waking { reason: None, .. } if live.lost_post => words.asleep_lead,
        Phase::Asleep => words.asleep_lead,
        Phase::Waking { reason: None, .. } => words.waking_lead,
        Phase::Waking {
            reason: Some(reason),
            ..
        } => (words.reason)(reason).what,
        Phase::Ready { .. } if is_slow(live.opening_ms.get()) => words.not_reachable_lead,
        Phase::Ready { notice: Some(_) } => words.already_awake_lead,
        Phase::Ready { notice: None } => words.ready_lead,
    }
}

fn advice(words: &Words, phase: Phase) -> &'static str {
    match phase {
        Phase::Waking {
            reason: Some(reason),
            ..
        }
        | Phase::Failed { reason } => (words.reason)(reason).advice,
        Phase::Asleep | Phase::Waking { reason: None, .. } | Phase::Ready { .. } => "",
    }
}

/// How long without history is long, in milliseconds.
const LONG_MS: u64 = 60_000;

/// How long it usually takes; and when it takes longer, that.
fn estimate(words: &Words, progress: &Progress, age_ms: u64) -> String {
    let elapsed_ms = progress.elapsed_ms + age_ms;
    let long_ms = progress.usual_ms.map_or(LONG_MS, |usual| usual + usual / 2);
    match (progress.phase, progress.usual_ms) {
        // What stands in the way is said already.
        (
            Phase::Waking {
                reason: Some(_), ..
            }
            | Phase::Ready { .. }
            | Phase::Failed { .. },
            _,
        ) => String::new(),
        (Phase::Waking { step, .. }, _) if elapsed_ms >= long_ms => (words.longer)(step).to_owned(),
        (Phase::Asleep | Phase::Waking { .. }, Some(usual)) => {
            (words.usually)(rounded(usual.div_ceil(1000)))
        }
        (Phase::Asleep | Phase::Waking { .. }, None) => String::new(),
    }
}

/// Seconds as people say them.
fn rounded(seconds: u64) -> u64 {
    match seconds {
        0..10 => seconds.max(1),
        10..60 => seconds.div_ceil(5) * 5,
        _ => seconds.div_ceil(30) * 30,
    }
}

/// How full the bar is: within the part that belongs to the present step it moves with the time. Only the app's own
/// answer fills it, and then the page is gone.
fn percent(progress: &Progress, age_ms: u64) -> u8 {
    let step = match progress.phase {
        Phase::Asleep | Phase::Failed { .. } => return 0,
        Phase::Waking { step, .. } => step,
        Phase::Ready { .. } => Step::Opening,
    };
    let (from, to) = part_of(step);
    let percent = match progress.usual_ms {
        Some(usual) => ((progress.elapsed_ms + age_ms) * 90 / usual.max(1)).clamp(from, to),
        None => {
            let next = Step::ALL
                .into_iter()
                .find(|other| *other > step)
                .map_or(to, |next| part_of(next).0);
            let spent_ms = spent_ms(step, progress, age_ms).unwrap_or_default();
            from + (next - from) * spent_ms / (spent_ms + 15_000)
        }
    };
    u8::try_from(percent).unwrap_or_default()
}

/// A snapshot that was long on its way knows less than the clock of the page has said meanwhile.
fn never_back(before: Option<&u8>, percent: u8) -> u8 {
    match (before, percent) {
        (_, 0) | (None, _) => percent,
        (Some(before), _) => percent.max(*before),
    }
}

/// From where to where the bar may be in a step. They overlap, since an app may be quicker in one than in another.
fn part_of(step: Step) -> (u64, u64) {
    match step {
        Step::Finding => (2, 5),
        Step::Restoring => (5, 10),
        Step::Scheduling => (10, 30),
        Step::Pulling => (20, 60),
        Step::Starting => (40, 75),
        Step::Checking => (60, 88),
        Step::Connecting => (88, 94),
        Step::Opening => (95, 95),
    }
}

#[cfg(test)]
mod tests {
    use unidler::progress::{Mark, Reason};

    use super::*;
    use crate::words::Language;

    fn waking(step: Step, elapsed_ms: u64, usual_ms: Option<u64>) -> Progress {
        let timeline = Step::ALL
            .into_iter()
            .filter(|other| *other <= step)
            .map(|step| Mark {
                step,
                at_ms: elapsed_ms,
            })
            .collect();
        Progress {
            reference: String::new(),
            host: String::new(),
            title: None,
            revision: 1,
            elapsed_ms,
            usual_ms,
            phase: Phase::Waking { step, reason: None },
            restarts: 0,
            timeline,
        }
    }

    #[test]
    fn the_estimate_is_what_is_usual_until_it_is_longer() {
        let words = Language::English.words();
        for (elapsed, usual, text) in [
            (0, Some(38_000), "This usually takes about 40 seconds."),
            (56_000, Some(38_000), "This usually takes about 40 seconds."),
            (
                57_000,
                Some(38_000),
                "This is taking longer than usual: it is still downloading.",
            ),
            (0, Some(100_000), "This usually takes about 2 min."),
            (0, Some(300), "This usually takes about a second."),
            (59_000, None, ""),
            (
                60_000,
                None,
                "This is taking longer than usual: it is still downloading.",
            ),
        ] {
            assert_eq!(
                estimate(words, &waking(Step::Pulling, elapsed, usual), 0),
                text,
                "{elapsed} of {usual:?}"
            );
        }
        let troubled = Progress {
            phase: Phase::Waking {
                step: Step::Scheduling,
                reason: Some(Reason::NoRoom),
            },
            ..waking(Step::Scheduling, 99_000, None)
        };
        assert_eq!(
            estimate(words, &troubled, 0),
            "",
            "the reason is said already"
        );
    }

    #[test]
    fn the_bar_never_goes_back_and_is_never_full() {
        for usual in [None, Some(1_000), Some(30_000), Some(600_000)] {
            let mut last = 0;
            let mut elapsed = 0;
            for step in Step::ALL {
                for age in [0, 500, 5_000, 60_000] {
                    let now = percent(&waking(step, elapsed, usual), age);
                    assert!(
                        (last..100).contains(&now),
                        "{step:?} after {elapsed} + {age} of {usual:?}: {now} after {last}"
                    );
                    last = now;
                }
                elapsed += 60_000;
            }
        }
    }

    #[test]
    fn a_late_snapshot_does_not_move_the_bar_back() {
        let usual = Some(3_000);
        let shown = percent(&waking(Step::Pulling, 1_000, usual), 500);
        let late = percent(&waking(Step::Starting, 1_300, usual), 0);
        assert!(late < shown, "{late} and {shown}");
        assert_eq!(never_back(Some(&shown), late), shown);
        assert_eq!(never_back(None, late), late, "the first");
        assert_eq!(
            never_back(Some(&shown), 0),
            0,
            "it has failed, or begins anew"
        );
    }
}
