//! Snapshots that belong to no wake-up, and what every snapshot is made of.

use std::time::Duration;

use crate::{
    host::Host,
    progress::{Mark, Phase, Progress, Reason, Step},
    step,
};

/// What a visitor who starts an app sees at first.
pub(super) const FIRST: Phase = Phase::Waking {
    step: Step::Finding,
    reason: None,
};

/// What is shown of a host that leads to no app, or not to one that is known.
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

/// What is said when the time of a wake-up is over: what stood in its way last is the reason, if anything did.
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

/// Eight characters that are easy to read out: no vowels, nothing that looks like something else. Random enough
/// to find a line in a log, which is all it is for.
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
