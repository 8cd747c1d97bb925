//! The scenes of the demo: each shows one thing that a visitor may be told.

use std::time::Duration;

use crate::progress::{Reason, Step};

/// An app of the demo and how its wake-up goes.
#[derive(Debug)]
pub struct Scene {
    /// The first label of its host: `<name>.localhost`.
    pub name: &'static str,
    /// One sentence on what is to be seen.
    pub summary: &'static str,
    pub(super) plot: Plot,
    /// How long its last wake-ups took.
    pub(super) usual: Option<Duration>,
    /// How long the ingress takes to notice that the Service points elsewhere.
    pub(super) ingress_lag: Duration,
}

/// What happens in a scene.
#[derive(Debug)]
pub(super) enum Plot {
    /// It cannot be told which app the host names; or whatever else ends it before it begins.
    Lost(Reason),
    /// It has no replicas, and is not marked as idled.
    SwitchedOff,
    /// What its pods do, by time since they were asked for.
    Wakes(&'static [(Duration, Act)]),
    /// Something else takes its replicas away again.
    Undone,
    /// The cluster lets nobody write.
    Forbidden,
    /// The cluster does not answer.
    Unreachable,
}

/// What its pods do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Step(Step),
    Trouble(Step, Reason),
    /// As often as this.
    Crashes(u32),
    Available,
}

use Act::{Available, Crashes, Step as At, Trouble};
use Step::{Checking, Pulling, Scheduling, Starting};

pub(super) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Scene {
    const fn new(name: &'static str, summary: &'static str, plot: Plot) -> Self {
        Self { name, summary, plot, usual: None, ingress_lag: ms(300) }
    }

    const fn wakes(name: &'static str, summary: &'static str, acts: &'static [(Duration, Act)]) -> Self {
        Self::new(name, summary, Plot::Wakes(acts))
    }

    const fn lost(name: &'static str, summary: &'static str, reason: Reason) -> Self {
        Self::new(name, summary, Plot::Lost(reason))
    }

    const fn usually(self, usual: Duration) -> Self {
        Self { usual: Some(usual), ..self }
    }

    const fn with_ingress_lag(self, ingress_lag: Duration) -> Self {
        Self { ingress_lag, ..self }
    }

    pub(super) fn acts(&self) -> &'static [(Duration, Act)] {
        match self.plot {
            Plot::Wakes(acts) => acts,
            _ => &[],
        }
    }
}

/// The scenes, in the order of the start page and by its headings.
pub const CHAPTERS: &[(&str, &[Scene])] = &[
    ("They wake", WAKING),
    ("They wait for something", WAITING),
    ("They cannot start", FAILING),
    ("They cannot even be found", LOST),
];

/// All of the scenes.
pub fn scenes() -> impl Iterator<Item = &'static Scene> {
    CHAPTERS.iter().flat_map(|(_, scenes)| *scenes)
}

const WAKING: &[Scene] = &[
    Scene::wakes(
        "quick",
        "Wakes in a few seconds: the usual case.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Pulling)),
            (ms(1_200), At(Starting)),
            (ms(2_000), At(Checking)),
            (ms(3_000), Available),
        ],
    )
    .usually(ms(3_000)),
    Scene::wakes(
        "slow",
        "Takes half a minute: a large image on a new node.",
        &[
            (ms(0), At(Scheduling)),
            (ms(3_000), At(Pulling)),
            (ms(20_000), At(Starting)),
            (ms(24_000), At(Checking)),
            (ms(30_000), Available),
        ],
    )
    .usually(ms(30_000)),
    Scene::wakes(
        "late",
        "Usually takes five seconds, and today three quarters of a minute: the page says so.",
        &[(ms(0), At(Scheduling)), (ms(500), At(Pulling)), (ms(40_000), At(Starting)), (ms(45_000), Available)],
    )
    .usually(ms(5_000)),
    Scene::wakes(
        "ingress-lags",
        "Is up in two seconds, but the ingress notices only ten seconds later.",
        &[(ms(0), At(Scheduling)), (ms(700), At(Starting)), (ms(2_000), Available)],
    )
    .usually(ms(2_000))
    .with_ingress_lag(ms(10_000)),
    Scene::wakes(
        "ingress-stuck",
        "Is up in two seconds, but the ingress does not notice for ten minutes: after one the page says so.",
        &[(ms(0), At(Scheduling)), (ms(700), At(Starting)), (ms(2_000), Available)],
    )
    .usually(ms(2_000))
    .with_ingress_lag(ms(600_000)),
    Scene::wakes(
        "mended",
        "Its image is missing at first; somebody pushes it, and the page heals by itself.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Pulling)),
            (ms(2_000), Trouble(Pulling, Reason::ImageUnavailable)),
            (ms(12_000), At(Starting)),
            (ms(14_000), Available),
        ],
    ),
];

const WAITING: &[Scene] = &[
    Scene::wakes(
        "no-room",
        "Waits for a node with room, which comes after a quarter of a minute.",
        &[
            (ms(0), At(Scheduling)),
            (ms(1_000), Trouble(Scheduling, Reason::NoRoom)),
            (ms(15_000), At(Pulling)),
            (ms(18_000), At(Starting)),
            (ms(20_000), Available),
        ],
    ),
    Scene::wakes(
        "no-volume",
        "Waits for its storage, which comes after a quarter of a minute.",
        &[
            (ms(0), At(Scheduling)),
            (ms(1_000), Trouble(Scheduling, Reason::VolumePending)),
            (ms(15_000), At(Starting)),
            (ms(17_000), Available),
        ],
    ),
    Scene::wakes(
        "not-passing",
        "Runs, but does not pass its checks for a quarter of a minute.",
        &[
            (ms(0), At(Starting)),
            (ms(1_000), At(Checking)),
            (ms(2_000), Trouble(Checking, Reason::NotPassingChecks)),
            (ms(17_000), Available),
        ],
    ),
    Scene::wakes(
        "stuck",
        "Does not get anywhere within the time that its Deployment gives it.",
        &[(ms(0), At(Starting)), (ms(1_000), Trouble(Starting, Reason::RolloutStuck))],
    ),
    Scene::new("unreachable", "The cluster does not answer.", Plot::Unreachable),
];

const FAILING: &[Scene] = &[
    Scene::wakes(
        "image-missing",
        "Its image cannot be pulled.",
        &[(ms(0), At(Scheduling)), (ms(500), At(Pulling)), (ms(2_000), Trouble(Pulling, Reason::ImageUnavailable))],
    ),
    Scene::wakes(
        "crash-loop",
        "Ends as soon as it has started, again and again.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Pulling)),
            (ms(1_000), At(Starting)),
            (ms(2_500), Crashes(2)),
            (ms(12_500), Crashes(3)),
            (ms(32_500), Crashes(4)),
        ],
    ),
    Scene::wakes(
        "bad-configuration",
        "Refers to a setting that is not there.",
        &[(ms(0), At(Scheduling)), (ms(1_000), Trouble(Starting, Reason::BadConfiguration))],
    ),
    Scene::wakes(
        "quota",
        "The namespace's quota leaves no room for its pods.",
        &[(ms(800), Trouble(Scheduling, Reason::PodsRefused))],
    ),
    Scene::new("scaled-down", "Something takes its replicas away again and again.", Plot::Undone),
    Scene::new("switched-off", "Somebody scaled it to zero on purpose: it is left alone.", Plot::SwitchedOff),
    Scene::new("forbidden", "The unidler lacks a permission.", Plot::Forbidden),
    Scene::lost("too-late", "Took longer than the unidler waits.", Reason::DeadlinePassed),
    Scene::lost("broken", "Something broke in the unidler itself.", Reason::Internal),
];

const LOST: &[Scene] = &[
    Scene::lost("not-found", "No app has this address.", Reason::NoIngress),
    Scene::lost("not-served", "An app has this name, but its Ingress does not serve the address.", Reason::HostNotServed),
    Scene::lost("ambiguous", "Two apps claim this address.", Reason::AmbiguousIngress),
    Scene::lost("no-deployment", "Its Deployment is gone.", Reason::NoDeployment),
    Scene::lost("two-deployments", "Two Deployments carry its key.", Reason::AmbiguousDeployment),
    Scene::lost("no-service", "Its Service is gone.", Reason::NoService),
    Scene::lost("two-services", "Two Services carry its key.", Reason::AmbiguousService),
    Scene::lost("elsewhere", "Its Service points at something else.", Reason::ServiceElsewhere),
    Scene::lost("not-known", "Nothing tells what its Service selected.", Reason::ServiceUnknown),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator can look at all that a visitor may be told.
    #[test]
    fn every_reason_has_its_scene() {
        let shows = |scene: &Scene, reason: Reason| match scene.plot {
            Plot::Lost(lost) => lost == reason,
            Plot::SwitchedOff => reason == Reason::SwitchedOff,
            Plot::Undone => reason == Reason::ScaledDown,
            Plot::Forbidden => reason == Reason::PermissionMissing,
            Plot::Unreachable => reason == Reason::ApiUnreachable,
            Plot::Wakes(acts) => acts.iter().any(|(_, act)| match act {
                Trouble(_, trouble) => *trouble == reason,
                Crashes(_) => reason == Reason::CrashLoop,
                At(_) | Available => false,
            }),
        };
        for reason in Reason::ALL {
            assert!(scenes().any(|scene| shows(scene, reason)), "{reason:?}");
        }
    }
}
