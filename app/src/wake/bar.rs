//! The progress bar.

use unidler::progress::{Phase, Progress, Step};

use super::steps::spent_ms;

/// How full the bar is: within the range of the current step it moves with the time. Only the app's own response fills
/// it, and then the page is gone.
pub(super) fn percent(progress: &Progress, age_ms: u64) -> u8 {
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

/// Keeps the bar from moving back: a snapshot that was delayed may be behind the clock of the page.
pub(super) fn never_back(before: Option<&u8>, percent: u8) -> u8 {
    match (before, percent) {
        (_, 0) | (None, _) => percent,
        (Some(before), _) => percent.max(*before),
    }
}

/// The range of the bar for a step. The ranges overlap, since an app may be quicker in one step than in another.
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
    use unidler::progress::Mark;

    use super::*;

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
            parts: None,
            forwarding: None,
            timeline,
        }
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
