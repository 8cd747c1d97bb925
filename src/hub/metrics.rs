//! The metrics of the hub. They go to a recorder of [`metrics`], if one is installed, and cost nothing otherwise.
//!
//! No label names an app: strangers could create any number of time series by asking for hosts.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::progress::{Phase, Progress, Step};

/// Outcomes of the wake-ups that visitors started, by `outcome`: `ready`, `already_awake`, or the reason of a failure.
pub const OUTCOMES: &str = "unidler_outcomes_total";
/// How long wake-ups took until the app was ready, in seconds.
pub const WAKES: &str = "unidler_wake_seconds";
/// How long each `step` took, in seconds.
pub const STEPS: &str = "unidler_step_seconds";
/// How many apps are waking.
pub const WAKING: &str = "unidler_waking";

/// Counts the end of a wake-up that a visitor started; `is_theirs` if nothing had to be written for it.
pub(super) fn ended(outcome: &Progress, is_theirs: bool) {
    let elapsed = Duration::from_millis(outcome.elapsed_ms);
    let name = match outcome.phase {
        Phase::Ready { .. } if is_theirs => "already_awake".to_owned(),
        Phase::Ready { .. } => {
            histogram!(WAKES).record(elapsed);
            "ready".to_owned()
        }
        Phase::Failed { reason } => snake_case(&format!("{reason:?}")),
        Phase::Asleep | Phase::Waking { .. } => return,
    };
    if let (Phase::Ready { .. }, Some(last)) = (outcome.phase, outcome.timeline.last()) {
        step_took(
            last.step,
            elapsed.saturating_sub(Duration::from_millis(last.at_ms)),
        );
    }
    counter!(OUTCOMES, "outcome" => name).increment(1);
}

/// Records the duration of a step that has ended.
pub(super) fn step_took(step: Step, duration: Duration) {
    histogram!(STEPS, "step" => snake_case(&format!("{step:?}"))).record(duration);
}

/// Records the number of waking apps.
pub(super) fn waking(count: usize) {
    // The conversion is exact for every realistic number.
    gauge!(WAKING).set(u32::try_from(count).map_or(f64::MAX, f64::from));
}

/// Converts a name to the spelling that JSON uses.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Reason;

    #[test]
    fn a_reason_has_the_name_that_it_has_on_the_wire() {
        for reason in Reason::ALL {
            let wire = serde_json::to_value(reason).expect("JSON");
            assert_eq!(wire, snake_case(&format!("{reason:?}")));
        }
    }
}
