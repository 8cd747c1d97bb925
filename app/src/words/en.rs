//! English.

use unidler::progress::{Reason, Step};

use super::{Explanation, Named, Words};

pub(super) const WORDS: Words = Words {
    asleep: Named {
        plain: "This app is asleep",
        named: "{} is asleep",
    },
    asleep_lead: "It was put to sleep to save resources. Waking it up takes a moment.",
    waking: Named {
        plain: "Waking up the app",
        named: "Waking up {}",
    },
    waking_lead: "It was put to sleep to save resources. You do not need to do anything: the app will open here as soon as it is ready.",
    ready: Named {
        plain: "Almost there",
        named: "Almost there",
    },
    ready_lead: "The app is running. Waiting for it to respond.",
    already_awake_lead: "The app is already running. Waiting for it to respond.",
    not_reachable_lead: "The app is running, but its address still brings you here. This can take another minute. This page will keep trying.",
    held_lead: "Every attempt to open the app brought you back here. Wait a minute, then open it yourself.",
    stayed_lead: "The app should be open by now. If it is not, open it yourself.",
    failed: Named {
        plain: "The app cannot start",
        named: "{} cannot start",
    },
    not_found: Named {
        plain: "We cannot find this app",
        named: "We cannot find this app",
    },
    reconnecting: "Connection lost. Reconnecting…",
    crowded: "Too many people are waiting here right now. We will try again in a few seconds.",
    refused: "The request to start the app was turned away. Try again, or reload this page.",
    lost_post: "What you sent did not arrive, because the app was asleep. Send it again when the app is ready.",
    resend: "Send it again",
    steps: "Progress",
    bar: "Wake-up progress",
    start: "Wake up the app",
    wakes: "The app wakes up by itself on {}.",
    retry: "Try again",
    check: "Check again",
    open: "Open the app",
    reference: "Reference",
    host: "Address",
    time: "Time",
    copy: "Copy these details",
    copied: "Copied",
    tell: "Notify me when it is ready",
    will_tell: "We will notify you when it is ready",
    up: Named {
        plain: "The app is ready",
        named: "{} is ready",
    },
    step,
    reason,
    duration,
    restarts,
    parts,
    usually,
    longer,
};

fn step(step: Step) -> &'static str {
    match step {
        Step::Finding => "Finding the app",
        Step::Restoring => "Turning it back on",
        Step::Scheduling => "Finding a server to run it on",
        Step::Pulling => "Downloading it",
        Step::Starting => "Starting it",
        Step::Checking => "Checking that it is ready",
        Step::Connecting => "Connecting it to its address",
        Step::Opening => "Opening the app",
    }
}

const SETUP: &str = "Waiting will not help. The team that runs the app needs to fix this.";
const UNLIKELY: &str = "Waiting is unlikely to help. Contact the team that runs the app. This page will continue automatically once the problem is fixed.";

fn reason(reason: Reason) -> Explanation {
    let (what, advice) = match reason {
        Reason::NoRoute => (
            "There is no app at this address.",
            "Check the address for typing mistakes. If it is correct, contact the person who gave it to you.",
        ),
        Reason::HostNotServed => (
            "There is an app with this name, but not at this address.",
            "Check the address for typing mistakes. If it is correct, contact the team that runs the app.",
        ),
        Reason::AmbiguousRoute => ("More than one app is set up for this address.", SETUP),
        Reason::NoWorkload => (
            "The app at this address no longer exists.",
            "It may have been removed. Contact the team that ran it.",
        ),
        Reason::AmbiguousWorkload => ("We cannot tell which app belongs to this address.", SETUP),
        Reason::NoService => (
            "The app cannot be connected to this address.",
            "Part of its setup is missing. Contact the team that runs the app.",
        ),
        Reason::AmbiguousService => (
            "We cannot tell how to connect the app to this address.",
            SETUP,
        ),
        Reason::ServiceElsewhere => (
            "This address now points somewhere else.",
            "Waiting will not help. Contact the team that runs the app.",
        ),
        Reason::ServiceUnknown => (
            "There is no record of how this address was connected to the app.",
            "Waiting will not help. Contact the team that runs the app.",
        ),
        Reason::SwitchedOff => (
            "This app has been turned off.",
            "It was turned off on purpose, not put to sleep. Ask the team that runs it when it will be back.",
        ),
        Reason::ScaledDown => (
            "Something keeps turning the app off as soon as we turn it on.",
            "Trying again is unlikely to help. Contact the team that runs the app.",
        ),
        Reason::NotByVisitors => (
            "Visitors cannot wake it up.",
            "Ask the team that runs it when it will be back.",
        ),
        Reason::ImageUnavailable => ("The app cannot be downloaded.", UNLIKELY),
        Reason::CrashLoop => ("The app keeps stopping right after it starts.", UNLIKELY),
        Reason::OutOfMemory => ("The app keeps running out of memory.", UNLIKELY),
        Reason::CannotRun => ("The app is set up in a way that cannot run.", UNLIKELY),
        Reason::BadConfiguration => ("The app is missing a setting that it needs.", UNLIKELY),
        Reason::ManyStarting => (
            "Many apps are starting at the moment.",
            "You do not need to do anything: this app starts as soon as there is room.",
        ),
        Reason::NoRoom => (
            "There is no server with enough room to run the app right now.",
            "Waiting often helps: room may become available within a few minutes.",
        ),
        Reason::NoServer => (
            "There is no server available that can run the app.",
            "Waiting often helps: a suitable server may become available within a few minutes.",
        ),
        Reason::VolumePending => (
            "The app's storage is not ready yet.",
            "Waiting often helps. If it takes more than a few minutes, contact the team that runs the app.",
        ),
        Reason::SandboxPending => (
            "The server is still connecting the app's storage or network.",
            "Waiting often helps. If it takes more than a few minutes, contact the team that runs the app.",
        ),
        Reason::HeldBack => (
            "The app is being held back on purpose.",
            "It will start as soon as it is released. Ask the team that runs it when that will be.",
        ),
        Reason::PlatformNotReady => (
            "The platform cannot start the app at the moment.",
            "This usually passes within a few minutes. This page will continue automatically.",
        ),
        Reason::PodsRefused => (
            "The app is not allowed to start: a limit has been reached.",
            UNLIKELY,
        ),
        Reason::PolicyRefused => (
            "The app is not allowed to start: it breaks a rule of the platform.",
            UNLIKELY,
        ),
        Reason::NotPassingChecks => (
            "The app is running, but is not ready yet.",
            "Waiting often helps: some apps need a while to warm up.",
        ),
        Reason::RolloutStuck => (
            "The app is taking too long to start.",
            "It has had as long as it should need. Contact the team that runs the app. This page will continue automatically once the problem is fixed.",
        ),
        Reason::PermissionMissing => ("We are not allowed to start this app.", UNLIKELY),
        Reason::ApiUnreachable => (
            "The platform that runs the app is not responding.",
            "We are still trying. This page will continue automatically.",
        ),
        Reason::DeadlinePassed => (
            "The app took too long to start.",
            "You can try again. If that does not help, contact the team that runs the app.",
        ),
        Reason::Internal => (
            "Something went wrong on our side.",
            "Try again. If that does not help, contact the team that runs the app.",
        ),
    };
    Explanation { what, advice }
}

fn duration(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

fn restarts(count: u32) -> String {
    match count {
        1 => "It has restarted once so far.".to_owned(),
        count => format!("It has restarted {count} times so far."),
    }
}

fn parts(up: u32, of: u32) -> String {
    format!("{up} of {of} parts are running.")
}

fn usually(seconds: u64) -> String {
    match seconds {
        1 => "This usually takes about a second.".to_owned(),
        2..60 => format!("This usually takes about {seconds} seconds."),
        _ => format!("This usually takes about {}.", duration(seconds)),
    }
}

fn longer(step: Step) -> &'static str {
    match step {
        Step::Finding | Step::Restoring => {
            "This is taking longer than usual: the app is still being turned on."
        }
        Step::Scheduling => {
            "This is taking longer than usual: there is no server to run it on yet."
        }
        Step::Pulling => "This is taking longer than usual: it is still downloading.",
        Step::Starting => "This is taking longer than usual: it is still starting.",
        Step::Checking => "This is taking longer than usual: it is running, but is not ready yet.",
        Step::Connecting | Step::Opening => {
            "This is taking longer than usual: it is not connected to its address yet."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operators look for what a visitor has read to them.
    #[test]
    fn troubleshooting_lists_every_problem_in_the_words_of_the_page() {
        let page = include_str!("../../../docs/troubleshoot.md");
        let reasons = Reason::ALL.into_iter().map(|one| reason(one).what);
        let others = [
            WORDS.not_reachable_lead,
            WORDS.held_lead,
            WORDS.crowded,
            WORDS.refused,
        ];
        for text in reasons.chain(others) {
            let sentence = text.split_inclusive('.').next().unwrap_or_default();
            let row = format!("| {sentence} |");
            assert!(page.contains(&row), "no row {row}");
        }
    }
}
