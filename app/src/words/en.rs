//! English.

use unidler::progress::{Reason, Step};

use super::{Explanation, Words};

pub(super) const WORDS: Words = Words {
    asleep: "This app is asleep",
    asleep_lead: "Nobody used it for a while, so it was put to sleep. Waking it takes a moment.",
    waking: "Waking the app up",
    waking_lead: "Nobody used it for a while, so it was put to sleep. You do not need to do anything: this page opens it as soon as it is up.",
    ready: "Almost there",
    ready_lead: "The app is up. Your browser is waiting for it to answer.",
    already_awake_lead: "The app is awake already. Your browser is waiting for it to answer.",
    not_reachable_lead: "The app is up, but its address still leads here. That can take another minute; this page keeps trying.",
    failed: "The app cannot start",
    reconnecting: "The connection was lost. Reconnecting…",
    steps: "Progress",
    bar: "Waking up",
    start: "Wake it up",
    retry: "Try again",
    open: "Open the app",
    reference: "Reference",
    host: "Address",
    time: "Time",
    copy: "Copy these details",
    copied: "Copied",
    tell: "Tell me when it is up",
    will_tell: "You will be told when it is up",
    up: "The app is up",
    step,
    reason,
    duration,
    restarts,
    usually,
    longer,
};

fn step(step: Step) -> &'static str {
    match step {
        Step::Finding => "Finding the app",
        Step::Restoring => "Switching it back on",
        Step::Scheduling => "Finding a place to run",
        Step::Pulling => "Fetching its files",
        Step::Starting => "Starting",
        Step::Checking => "Passing its checks",
        Step::Connecting => "Connecting its address",
        Step::Opening => "Opening",
    }
}

fn reason(reason: Reason) -> Explanation {
    let (what, advice) = match reason {
        Reason::NoIngress => {
            ("No app has this address.", "Check the address for a typing mistake. If it is right, tell whoever gave it to you.")
        }
        Reason::HostNotServed => (
            "There is an app of this name, but it does not answer at this address.",
            "Check the address for a typing mistake. If it is right, tell the team that runs the app.",
        ),
        Reason::AmbiguousIngress => {
            ("More than one app claims this address.", "Waiting does not help. The team that runs the app has to sort this out.")
        }
        Reason::NoDeployment => {
            ("The app behind this address is gone.", "It may have been removed. The team that runs it will know.")
        }
        Reason::AmbiguousDeployment => (
            "It is not clear which program belongs to this address.",
            "Waiting does not help. The team that runs the app has to sort this out.",
        ),
        Reason::NoService => (
            "The app behind this address cannot be connected.",
            "A part of its set-up is missing. Please tell the team that runs it.",
        ),
        Reason::AmbiguousService => (
            "It is not clear how to connect the app behind this address.",
            "Waiting does not help. The team that runs the app has to sort this out.",
        ),
        Reason::ServiceElsewhere => {
            ("This address was pointed at something else.", "Waiting does not help. Please tell the team that runs the app.")
        }
        Reason::ServiceUnknown => (
            "It is not known any more how this address was connected to the app.",
            "Waiting does not help. Please tell the team that runs the app.",
        ),
        Reason::SwitchedOff => (
            "This app was switched off, and not just put to sleep.",
            "Somebody did that on purpose. Ask the team that runs it when it will be back.",
        ),
        Reason::ScaledDown => (
            "Something switches the app off again as soon as we switch it on.",
            "Trying again rarely helps. Please tell the team that runs the app.",
        ),
        Reason::ImageUnavailable => (
            "The app's files cannot be fetched.",
            "Waiting rarely helps. Please tell the team that runs the app; this page goes on by itself when it is mended.",
        ),
        Reason::CrashLoop => (
            "The app starts, but stops again straight away.",
            "Waiting rarely helps. Please tell the team that runs the app; this page goes on by itself when it is mended.",
        ),
        Reason::BadConfiguration => (
            "A setting that the app needs is missing.",
            "Waiting does not help. Please tell the team that runs the app; this page goes on by itself when it is mended.",
        ),
        Reason::NoRoom => (
            "There is no free place to run it at the moment.",
            "Waiting often helps: a place may become free, or be added, within a few minutes.",
        ),
        Reason::VolumePending => (
            "The app's storage is not there yet.",
            "Waiting often helps. If it takes more than a few minutes, tell the team that runs the app.",
        ),
        Reason::PodsRefused => (
            "The app is not allowed to start: a limit has been reached.",
            "Waiting rarely helps. Please tell the team that runs the app; this page goes on by itself when it is mended.",
        ),
        Reason::NotPassingChecks => {
            ("The app runs, but does not say yet that it is ready.", "Waiting often helps: some apps need a while to warm up.")
        }
        Reason::RolloutStuck => (
            "The app does not get anywhere.",
            "It was given the time it should need. Please tell the team that runs it; this page goes on by itself when it is mended.",
        ),
        Reason::PermissionMissing => (
            "We are not allowed to start this app.",
            "Waiting does not help. Please tell the team that runs it; this page goes on by itself when it is mended.",
        ),
        Reason::ApiUnreachable => (
            "The platform that runs the app does not answer at the moment.",
            "We are still trying, and this page goes on by itself.",
        ),
        Reason::DeadlinePassed => {
            ("It took too long.", "You can try again. If that does not help, tell the team that runs the app.")
        }
        Reason::Internal => {
            ("Something broke on this page's side.", "Please try again. If that does not help, tell the team that runs the app.")
        }
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
        1 => "It was started again once so far.".to_owned(),
        count => format!("It was started again {count} times so far."),
    }
}

fn usually(seconds: u64) -> String {
    match seconds {
        1 => "Usually about a second.".to_owned(),
        2..60 => format!("Usually about {seconds} seconds."),
        _ => format!("Usually about {}.", duration(seconds)),
    }
}

fn longer(step: Step) -> &'static str {
    match step {
        Step::Finding | Step::Restoring => "This takes longer than usual: the app is still being switched on.",
        Step::Scheduling => "This takes longer than usual: there is no place to run it yet.",
        Step::Pulling => "This takes longer than usual: its files are still being fetched.",
        Step::Starting => "This takes longer than usual: it is still starting.",
        Step::Checking => "This takes longer than usual: it runs, but does not pass its checks yet.",
        Step::Connecting | Step::Opening => "This takes longer than usual: its address does not lead to it yet.",
    }
}
