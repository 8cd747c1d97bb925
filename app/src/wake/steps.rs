//! The list of steps: the state of each, and how long it took.

#![expect(unreachable_pub, reason = "the builders that `#[component]` derives")]

use leptos::prelude::*;
use unidler::progress::{Phase, Progress, Step};

use super::says::says;
use crate::{live::Live, words::Words};

/// The state of a step relative to the current one.
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
pub(super) fn StepItem(live: Live, step: Step, words: &'static Words) -> impl IntoView {
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
pub(super) fn spent_ms(step: Step, progress: &Progress, age_ms: u64) -> Option<u64> {
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
