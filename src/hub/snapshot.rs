//! Snapshots that belong to no wake-up, and helpers for every snapshot.

use std::time::Duration;

use crate::{
    host::Host,
    progress::{Mark, Phase, Progress, Reason, Step},
    step,
};

/// The first phase that a visitor who starts an app sees.
pub(super) const FIRST: Phase = Phase::Waking {
    step: Step::Finding,
    reason: None,
};

/// The snapshot for a host whose app does not exist or cannot be identified.
pub(super) fn nowhere(host: &Host, reason: Reason) -> Progress {
    let phase = step::phase(&Err(reason));
    let timeline = if let Phase::Waking { step, .. } = phase {
        vec![Mark { step, at_ms: 0 }]
    } else {
        Vec::new()
    };
    Progress {
        timeline,
        ..unstarted(host, phase)
    }
}

/// A snapshot that belongs to no wake-up.
pub(super) fn unstarted(host: &Host, phase: Phase) -> Progress {
    Progress {
        reference: new_reference(),
        host: host.to_string(),
        title: None,
        revision: 0,
        elapsed_ms: 0,
        usual_ms: None,
        phase,
        restarts: 0,
        parts: None,
        forwarding: None,
        timeline: Vec::new(),
    }
}

/// The phase after the deadline of a wake-up: the reason is the last known problem, if there was one.
pub(super) fn given_up(phase: Phase) -> Phase {
    match phase {
        Phase::Waking { reason, .. } => Phase::Failed {
            reason: reason.unwrap_or(Reason::DeadlinePassed),
        },
        Phase::Asleep | Phase::Ready { .. } | Phase::Failed { .. } => phase,
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Eight characters that are easy to read out: no vowels, and none that look alike. Random enough to find a line in a
/// log, which is its only purpose.
pub(super) fn new_reference() -> String {
    const ALPHABET: [char; 27] = [
        '2', '3', '4', '5', '6', '7', '8', '9', 'b', 'c', 'd', 'f', 'g', 'h', 'j', 'k', 'm', 'n',
        'p', 'q', 'r', 's', 't', 'v', 'w', 'x', 'z',
    ];
    let part = || {
        fastrand::choose_multiple(ALPHABET, 4)
            .into_iter()
            .collect::<String>()
    };
    format!("{}-{}", part(), part())
}
