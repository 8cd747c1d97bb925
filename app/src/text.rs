//! Decides which of the [words](crate::words) the page shows when. Pure.
//!
//! Without the module, `show` in `loader.js` has to choose by itself, from fewer texts: the spec `without` compares the
//! two.

use unidler::progress::{Phase, Progress, Reason};

use crate::words::{Named, Words};

/// The progress of handing the visitor over, as far as only the browser knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// The app responds, and the visitor has to send something again.
    pub up: bool,
    /// Opening the app has led back here too often.
    pub held: bool,
    /// Something other than unidler has been answering for so long that the visitor is offered a link.
    pub offers: bool,
    /// The app's address has been routing here for long although the app is ready.
    pub slow: bool,
    /// The visitor has sent something that did not arrive.
    pub lost_post: bool,
}

impl Handover {
    /// Whether the visitor is offered a link to the app.
    pub(crate) fn opens(self) -> bool {
        self.up || self.held || self.offers || self.slow
    }
}

/// The title of the document.
pub(crate) fn title(words: &Words, progress: &Progress) -> String {
    let heading = heading(words, progress.phase).of(progress.title.as_deref());
    format!("{heading} – {}", progress.host)
}

/// The heading for a phase.
pub(crate) fn heading(words: &Words, phase: Phase) -> Named {
    match phase {
        Phase::Asleep => words.asleep,
        Phase::Waking { .. } => words.waking,
        Phase::Ready { .. } => words.ready,
        Phase::Failed { reason } => failure(words, reason).1,
    }
}

/// The heading for a failure, with the name that the loader uses for it.
pub(crate) fn failure(words: &Words, reason: Reason) -> (&'static str, Named) {
    match reason {
        Reason::NotByVisitors => ("asleep", words.asleep),
        _ if reason.is_not_found() => ("not_found", words.not_found),
        _ => ("failed", words.failed),
    }
}

/// Whether a visitor can try again.
pub(crate) fn may_retry(phase: Phase) -> bool {
    matches!(phase, Phase::Failed { reason } if reason != Reason::NotByVisitors)
}

/// The text below the heading: what is happening, or what the problem is.
pub(crate) fn lead(words: &Words, phase: Phase, handover: Handover) -> &'static str {
    match phase {
        Phase::Failed { reason } => (words.reason)(reason).what,
        _ if handover.up => "",
        _ if handover.held => words.held_lead,
        _ if handover.offers => words.stayed_lead,
        Phase::Waking { reason: None, .. } if handover.lost_post => words.asleep_lead,
        Phase::Asleep => words.asleep_lead,
        Phase::Waking { reason: None, .. } => words.waking_lead,
        Phase::Waking {
            reason: Some(reason),
            ..
        } => (words.reason)(reason).what,
        Phase::Ready { .. } if handover.slow => words.not_reachable_lead,
        Phase::Ready { notice: Some(_) } => words.already_awake_lead,
        Phase::Ready { notice: None } => words.ready_lead,
    }
}

/// The advice: what to do, and whether waiting helps.
pub(crate) fn advice(words: &Words, phase: Phase) -> &'static str {
    match phase {
        Phase::Waking {
            reason: Some(reason),
            ..
        }
        | Phase::Failed { reason } => (words.reason)(reason).advice,
        Phase::Asleep | Phase::Waking { reason: None, .. } | Phase::Ready { .. } => "",
    }
}

/// Describes a problem between the browser and the server. `refused` is the status that rejected the last request to
/// start the app, or 0: it is irrelevant if the app starts all the same.
pub(crate) fn connection(
    words: &Words,
    phase: Phase,
    refused: u16,
    is_connected: bool,
) -> &'static str {
    let needs_start = matches!(phase, Phase::Asleep | Phase::Failed { .. });
    match if needs_start { refused } else { 0 } {
        0 if is_connected => "",
        0 => words.reconnecting,
        429 | 503 => words.crowded,
        _ => words.refused,
    }
}

/// The announcement for screen readers when the state changes.
#[cfg(feature = "hydrate")]
pub(crate) fn announcement(words: &Words, progress: &Progress, handover: Handover) -> String {
    let (heading, detail) = match progress.phase {
        _ if handover.up => (words.up, words.lost_post),
        phase @ Phase::Waking { step, reason: None } => (heading(words, phase), (words.step)(step)),
        phase => (heading(words, phase), lead(words, phase, handover)),
    };
    format!("{}. {detail}", heading.of(progress.title.as_deref()))
}

/// The duration from which a wake-up without history counts as long, in milliseconds.
const LONG_MS: u64 = 60_000;

/// The usual duration of the wake-up, or the reason why it takes longer.
pub(crate) fn estimate(words: &Words, progress: &Progress, age_ms: u64) -> String {
    let elapsed_ms = progress.elapsed_ms + age_ms;
    let long_ms = progress.usual_ms.map_or(LONG_MS, |usual| usual + usual / 2);
    match (progress.phase, progress.usual_ms) {
        // The problem has already been named.
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

/// Rounds seconds to a value that people would use.
fn rounded(seconds: u64) -> u64 {
    match seconds {
        0..10 => seconds.max(1),
        10..60 => seconds.div_ceil(5) * 5,
        _ => seconds.div_ceil(30) * 30,
    }
}

#[cfg(test)]
mod tests {
    use unidler::progress::{Reason, Step};

    use super::*;
    use crate::words::Language;

    fn waking(step: Step, elapsed_ms: u64, usual_ms: Option<u64>) -> Progress {
        Progress {
            reference: String::new(),
            host: String::new(),
            title: None,
            revision: 1,
            elapsed_ms,
            usual_ms,
            phase: Phase::Waking { step, reason: None },
            restarts: 0,
            parts: None,
            forwarding: None,
            timeline: Vec::new(),
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
}
