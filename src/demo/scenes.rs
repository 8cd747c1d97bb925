//! The scenes of the demo: each shows one situation that a visitor may meet.

use std::time::Duration;

use crate::{
    progress::{Reason, Step},
    start::Start,
};

/// An app of the demo and the course of its wake-up.
#[derive(Debug)]
pub struct Scene {
    /// The first label of its host: `<name>.localhost`.
    pub name: &'static str,
    /// One sentence on what it demonstrates.
    pub summary: &'static str,
    pub(super) plot: Plot,
    /// How long its last wake-ups took.
    pub(super) usual: Option<Duration>,
    /// How long the ingress takes to notice that the Service points elsewhere.
    pub(super) ingress_lag: Duration,
    /// What its team calls it.
    pub(super) title: Option<&'static str>,
    /// The number of its workloads. Each starts some seconds after the one before.
    pub(super) parts: usize,
    /// What a visitor has to do to wake it.
    pub(super) start: Start,
    /// After how long without a visit it falls asleep, if it does.
    pub idle_after: Option<Duration>,
}

/// What happens in a scene.
#[derive(Debug)]
pub(super) enum Plot {
    /// The app of the host cannot be identified, or the wake-up fails for another reason before it begins.
    Lost(Reason),
    /// It has no replicas, and is not marked as idled.
    SwitchedOff,
    /// What its pods do, by the time since their replicas were requested.
    Wakes(&'static [(Duration, Act)]),
    /// Something else takes its replicas away again.
    Undone,
    /// The cluster forbids every write.
    Forbidden,
    /// The cluster does not answer.
    Unreachable,
}

/// What its pods do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Step(Step),
    /// A problem. If its reason is not one that may pass by itself, the cluster has given up.
    Trouble(Step, Reason),
    /// The same, but the cluster is still trying.
    Stumbles(Step, Reason),
    /// The number of container restarts so far.
    Crashes(u32),
    Available,
}

use Act::{Available, Crashes, Step as At, Stumbles, Trouble};
use Step::{Checking, Pulling, Scheduling, Starting};

pub(super) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Scene {
    const fn new(name: &'static str, summary: &'static str, plot: Plot) -> Self {
        Self {
            name,
            summary,
            plot,
            usual: None,
            ingress_lag: ms(300),
            title: None,
            parts: 1,
            start: Start::Visit,
            idle_after: None,
        }
    }

    const fn wakes(
        name: &'static str,
        summary: &'static str,
        acts: &'static [(Duration, Act)],
    ) -> Self {
        Self::new(name, summary, Plot::Wakes(acts))
    }

    const fn lost(name: &'static str, summary: &'static str, reason: Reason) -> Self {
        Self::new(name, summary, Plot::Lost(reason))
    }

    const fn usually(self, usual: Duration) -> Self {
        Self {
            usual: Some(usual),
            ..self
        }
    }

    const fn with_ingress_lag(self, ingress_lag: Duration) -> Self {
        Self {
            ingress_lag,
            ..self
        }
    }

    const fn titled(self, title: &'static str) -> Self {
        Self {
            title: Some(title),
            ..self
        }
    }

    const fn of_parts(self, parts: usize) -> Self {
        Self { parts, ..self }
    }

    const fn started_by(self, start: Start) -> Self {
        Self { start, ..self }
    }

    const fn idled_after(self, idle_after: Duration) -> Self {
        Self {
            idle_after: Some(idle_after),
            ..self
        }
    }

    pub(super) fn acts(&self) -> &'static [(Duration, Act)] {
        match self.plot {
            Plot::Wakes(acts) => acts,
            _ => &[],
        }
    }
}

/// The scenes in the order of the start page, grouped under its headings.
pub const CHAPTERS: &[(&str, &[Scene])] = &[
    ("Apps that wake", WAKING),
    ("Apps that wait", WAITING),
    ("Apps that fail to start", FAILING),
    ("Apps that cannot be found", LOST),
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
        "dozy",
        "Wakes in a few seconds, and falls asleep by itself 20 seconds after the last visit.",
        &[(ms(0), At(Scheduling)), (ms(500), At(Starting)), (ms(2_000), Available)],
    )
    .usually(ms(2_000))
    .idled_after(ms(20_000)),
    Scene::wakes(
        "manual",
        "Waits for a visitor who presses the button, and then wakes in a few seconds.",
        &[(ms(0), At(Scheduling)), (ms(500), At(Starting)), (ms(2_000), Available)],
    )
    .usually(ms(2_000))
    .started_by(Start::Button),
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
        "Usually takes five seconds, but 45 seconds today: the page says so.",
        &[(ms(0), At(Scheduling)), (ms(500), At(Pulling)), (ms(40_000), At(Starting)), (ms(45_000), Available)],
    )
    .usually(ms(5_000)),
    Scene::wakes(
        "ingress-lags",
        "Is ready in two seconds, but its ingress takes ten more to notice.",
        &[(ms(0), At(Scheduling)), (ms(700), At(Starting)), (ms(2_000), Available)],
    )
    .usually(ms(2_000))
    .with_ingress_lag(ms(10_000)),
    Scene::wakes(
        "ingress-stuck",
        "Is ready in two seconds, but its ingress takes ten minutes to notice: after one minute the page says so.",
        &[(ms(0), At(Scheduling)), (ms(700), At(Starting)), (ms(2_000), Available)],
    )
    .usually(ms(2_000))
    .with_ingress_lag(ms(600_000)),
    Scene::wakes(
        "titled",
        "Has a name, in the annotation unidler/title. The page calls it by that.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Pulling)),
            (ms(13_000), At(Starting)),
            (ms(15_000), Available),
        ],
    )
    .usually(ms(15_000))
    .titled("Prison Population Forecasts and Scenario Planning"),
    Scene::wakes(
        "three-parts",
        "Has three parts that start one after the other: the page says how many are running.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Starting)),
            (ms(3_000), Available),
        ],
    )
    .of_parts(3)
    .usually(ms(11_000)),
    Scene::wakes(
        "mended",
        "Its image is missing at first. Once it has been pushed, the page recovers on its own.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Pulling)),
            (ms(2_000), Trouble(Pulling, Reason::ImageUnavailable)),
            (ms(12_000), At(Starting)),
            (ms(14_000), Available),
        ],
    ),
    Scene::wakes(
        "second-pull",
        "Its image cannot be pulled at first. The second attempt succeeds three seconds later.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Pulling)),
            (ms(1_500), Stumbles(Pulling, Reason::ImageUnavailable)),
            (ms(4_500), At(Pulling)),
            (ms(6_000), At(Starting)),
            (ms(8_000), Available),
        ],
    ),
    Scene::wakes(
        "database-first",
        "Stops a few times until its database is there, and then runs.",
        &[
            (ms(0), At(Starting)),
            (ms(2_000), Stumbles(Starting, Reason::CrashLoop)),
            (ms(12_000), At(Checking)),
            (ms(14_000), Available),
        ],
    ),
];

const WAITING: &[Scene] = &[
    Scene::wakes(
        "many-starting",
        "Waits in line, because many other apps are starting; its turn comes after a quarter of a minute.",
        &[
            (ms(0), Trouble(Scheduling, Reason::ManyStarting)),
            (ms(15_000), At(Scheduling)),
            (ms(16_000), At(Starting)),
            (ms(18_000), Available),
        ],
    ),
    Scene::wakes(
        "no-room",
        "Waits 15 seconds for a node with room.",
        &[
            (ms(0), At(Scheduling)),
            (ms(1_000), Trouble(Scheduling, Reason::NoRoom)),
            (ms(15_000), At(Pulling)),
            (ms(18_000), At(Starting)),
            (ms(20_000), Available),
        ],
    ),
    Scene::wakes(
        "no-server",
        "Waits 15 seconds for a node that it may run on.",
        &[
            (ms(0), At(Scheduling)),
            (ms(1_000), Trouble(Scheduling, Reason::NoServer)),
            (ms(15_000), At(Pulling)),
            (ms(18_000), At(Starting)),
            (ms(20_000), Available),
        ],
    ),
    Scene::wakes(
        "no-volume",
        "Waits 15 seconds for its storage.",
        &[
            (ms(0), At(Scheduling)),
            (ms(1_000), Trouble(Scheduling, Reason::VolumePending)),
            (ms(15_000), At(Starting)),
            (ms(17_000), Available),
        ],
    ),
    Scene::wakes(
        "no-network",
        "Waits 15 seconds until its node has connected storage and network.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Pulling)),
            (ms(2_000), Trouble(Pulling, Reason::SandboxPending)),
            (ms(15_000), At(Starting)),
            (ms(17_000), Available),
        ],
    ),
    Scene::wakes(
        "webhook-down",
        "A webhook that has to allow its pods does not answer for ten seconds.",
        &[
            (ms(500), Trouble(Scheduling, Reason::PlatformNotReady)),
            (ms(10_500), At(Scheduling)),
            (ms(11_000), At(Starting)),
            (ms(13_000), Available),
        ],
    ),
    Scene::wakes(
        "held-back",
        "A scheduling gate holds its pods back on purpose.",
        &[(ms(500), Trouble(Scheduling, Reason::HeldBack))],
    ),
    Scene::wakes(
        "not-passing",
        "Runs, but is not ready for 15 seconds.",
        &[
            (ms(0), At(Starting)),
            (ms(1_000), At(Checking)),
            (ms(2_000), Trouble(Checking, Reason::NotPassingChecks)),
            (ms(17_000), Available),
        ],
    ),
    Scene::new(
        "unreachable",
        "The cluster does not respond.",
        Plot::Unreachable,
    ),
];

const FAILING: &[Scene] = &[
    Scene::wakes(
        "image-missing",
        "Its image cannot be pulled.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Pulling)),
            (ms(2_000), Trouble(Pulling, Reason::ImageUnavailable)),
        ],
    ),
    Scene::wakes(
        "crash-loop",
        "Stops right after it starts, again and again.",
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
        "out-of-memory",
        "Uses more memory than it may, again and again.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Starting)),
            (ms(2_000), Trouble(Starting, Reason::OutOfMemory)),
        ],
    ),
    Scene::wakes(
        "cannot-run",
        "Names a program that its image does not have.",
        &[
            (ms(0), At(Scheduling)),
            (ms(500), At(Pulling)),
            (ms(1_500), Trouble(Starting, Reason::CannotRun)),
        ],
    ),
    Scene::wakes(
        "bad-configuration",
        "Refers to a setting that does not exist.",
        &[
            (ms(0), At(Scheduling)),
            (ms(1_000), Trouble(Starting, Reason::BadConfiguration)),
        ],
    ),
    Scene::wakes(
        "quota",
        "The namespace's quota leaves no room for its pods.",
        &[(ms(800), Trouble(Scheduling, Reason::PodsRefused))],
    ),
    Scene::wakes(
        "policy",
        "A policy of the cluster refuses its pods.",
        &[(ms(800), Trouble(Scheduling, Reason::PolicyRefused))],
    ),
    Scene::wakes(
        "stuck",
        "Makes no progress within its Deployment's own deadline.",
        &[
            (ms(0), At(Starting)),
            (ms(1_000), Trouble(Starting, Reason::RolloutStuck)),
        ],
    ),
    Scene::new(
        "scaled-down",
        "Something keeps scaling it to zero.",
        Plot::Undone,
    ),
    Scene::new(
        "switched-off",
        "Was scaled to zero on purpose, so unidler leaves it alone.",
        Plot::SwitchedOff,
    ),
    Scene::new("forbidden", "unidler lacks a permission.", Plot::Forbidden),
    Scene::lost(
        "too-late",
        "Took longer than unidler waits.",
        Reason::DeadlinePassed,
    ),
    Scene::lost(
        "broken",
        "Something went wrong in unidler itself.",
        Reason::Internal,
    ),
];

const LOST: &[Scene] = &[
    Scene::lost(
        "not-found",
        "There is no app at this address.",
        Reason::NoRoute,
    ),
    Scene::lost(
        "not-served",
        "An app has this name, but its Ingress does not serve the address.",
        Reason::HostNotServed,
    ),
    Scene::lost(
        "ambiguous",
        "Two apps claim this address.",
        Reason::AmbiguousRoute,
    ),
    Scene::lost("no-workload", "Its Deployment is gone.", Reason::NoWorkload),
    Scene::lost(
        "two-deployments",
        "Two Deployments carry its key.",
        Reason::AmbiguousWorkload,
    ),
    Scene::lost("no-service", "Its Service is gone.", Reason::NoService),
    Scene::lost(
        "two-services",
        "Two Services carry its key.",
        Reason::AmbiguousService,
    ),
    Scene::wakes("closed", "Sleeps, and visitors cannot wake it.", &[]).started_by(Start::Never),
    Scene::lost(
        "elsewhere",
        "Its Service points somewhere else.",
        Reason::ServiceElsewhere,
    ),
    Scene::lost(
        "not-known",
        "There is no record of what its Service selected.",
        Reason::ServiceUnknown,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator can look at all that a visitor may be told.
    #[test]
    fn every_reason_has_its_scene() {
        let shows = |scene: &Scene, reason: Reason| match scene.plot {
            _ if scene.start.refusal().is_some() => scene.start.refusal() == Some(reason),
            Plot::Lost(lost) => lost == reason,
            Plot::SwitchedOff => reason == Reason::SwitchedOff,
            Plot::Undone => reason == Reason::ScaledDown,
            Plot::Forbidden => reason == Reason::PermissionMissing,
            Plot::Unreachable => reason == Reason::ApiUnreachable,
            Plot::Wakes(acts) => acts.iter().any(|(_, act)| match act {
                Trouble(_, trouble) | Stumbles(_, trouble) => *trouble == reason,
                Crashes(_) => reason == Reason::CrashLoop,
                At(_) | Available => false,
            }),
        };
        for reason in Reason::ALL {
            assert!(scenes().any(|scene| shows(scene, reason)), "{reason:?}");
        }
    }
}
