//! A cluster that is played: each [`Scene`] is an app with a script for its pods.
//!
//! `unidler demo` and the tests run the whole product on it. What is played is only what the cluster does by
//! itself after a write; every write comes from the engine and is conditional here as well. Time is
//! [`tokio::time`], so a test may pause it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, ready},
    stream::BoxStream,
};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_stream::wrappers::IntervalStream;

use crate::{
    cluster::{ApplyError, Cluster, Deployment, Observation, Observed, Pods, Service, Version, Write},
    host::Host,
    progress::{Reason, Step},
};

/// An app of the demo and how its wake-up goes.
#[derive(Debug)]
pub struct Scene {
    /// The first label of its host: `<name>.localhost`.
    pub name: &'static str,
    /// One sentence on what is to be seen.
    pub summary: &'static str,
    plot: Plot,
}

#[derive(Debug)]
enum Plot {
    /// It cannot be told which app the host names.
    Lost(Reason),
    /// It has no replicas, and is not marked as idled.
    SwitchedOff,
    /// It wakes.
    Wakes {
        /// What its pods do, by time since they were asked for.
        acts: &'static [(Duration, Act)],
        /// How long the ingress takes to notice that the Service points elsewhere.
        ingress_lag: Duration,
    },
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Step(Step),
    Trouble(Step, Reason),
    Available,
}

use Act::{Available, Step as At, Trouble};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const SOON: Duration = ms(300);

/// The scenes, in the order of the start page.
pub const SCENES: &[Scene] = &[
    Scene {
        name: "quick",
        summary: "Wakes in a few seconds: the usual case.",
        plot: Plot::Wakes {
            acts: &[
                (ms(0), At(Step::Scheduling)),
                (ms(500), At(Step::Pulling)),
                (ms(1200), At(Step::Starting)),
                (ms(2000), At(Step::Checking)),
                (ms(3000), Available),
            ],
            ingress_lag: SOON,
        },
    },
    Scene {
        name: "slow",
        summary: "Takes half a minute: a large image on a new node.",
        plot: Plot::Wakes {
            acts: &[
                (ms(0), At(Step::Scheduling)),
                (ms(3_000), At(Step::Pulling)),
                (ms(20_000), At(Step::Starting)),
                (ms(24_000), At(Step::Checking)),
                (ms(30_000), Available),
            ],
            ingress_lag: SOON,
        },
    },
    Scene {
        name: "ingress-lags",
        summary: "Is up in two seconds, but the ingress notices only ten seconds later.",
        plot: Plot::Wakes {
            acts: &[(ms(0), At(Step::Scheduling)), (ms(700), At(Step::Starting)), (ms(2_000), Available)],
            ingress_lag: ms(10_000),
        },
    },
    Scene {
        name: "no-room",
        summary: "Waits for a node with room, which comes after a quarter of a minute.",
        plot: Plot::Wakes {
            acts: &[
                (ms(0), At(Step::Scheduling)),
                (ms(1_000), Trouble(Step::Scheduling, Reason::NoRoom)),
                (ms(15_000), At(Step::Pulling)),
                (ms(18_000), At(Step::Starting)),
                (ms(20_000), Available),
            ],
            ingress_lag: SOON,
        },
    },
    Scene {
        name: "mended",
        summary: "Its image is missing at first; somebody pushes it, and the page heals by itself.",
        plot: Plot::Wakes {
            acts: &[
                (ms(0), At(Step::Scheduling)),
                (ms(500), At(Step::Pulling)),
                (ms(2_000), Trouble(Step::Pulling, Reason::ImageUnavailable)),
                (ms(12_000), At(Step::Starting)),
                (ms(14_000), Available),
            ],
            ingress_lag: SOON,
        },
    },
    Scene {
        name: "image-missing",
        summary: "Its image cannot be pulled.",
        plot: Plot::Wakes {
            acts: &[
                (ms(0), At(Step::Scheduling)),
                (ms(500), At(Step::Pulling)),
                (ms(2_000), Trouble(Step::Pulling, Reason::ImageUnavailable)),
            ],
            ingress_lag: SOON,
        },
    },
    Scene {
        name: "crash-loop",
        summary: "Ends as soon as it has started, again and again.",
        plot: Plot::Wakes {
            acts: &[
                (ms(0), At(Step::Scheduling)),
                (ms(500), At(Step::Pulling)),
                (ms(1_000), At(Step::Starting)),
                (ms(2_500), Trouble(Step::Starting, Reason::CrashLoop)),
            ],
            ingress_lag: SOON,
        },
    },
    Scene {
        name: "quota",
        summary: "The namespace's quota leaves no room for its pods.",
        plot: Plot::Wakes { acts: &[(ms(800), Trouble(Step::Scheduling, Reason::PodsRefused))], ingress_lag: SOON },
    },
    Scene { name: "switched-off", summary: "Somebody scaled it to zero on purpose: it is left alone.", plot: Plot::SwitchedOff },
    Scene { name: "not-found", summary: "No app has this address.", plot: Plot::Lost(Reason::NoIngress) },
    Scene { name: "ambiguous", summary: "Two apps claim this address.", plot: Plot::Lost(Reason::AmbiguousIngress) },
];

/// Where the demo's ingress sends a visitor.
#[derive(Clone, Copy, Debug)]
pub enum Route {
    /// To the unidler.
    Unidler,
    /// To the app.
    App(&'static Scene),
}

/// The played cluster.
///
/// Cheap to clone; all clones are one cluster.
#[derive(Clone, Debug, Default)]
pub struct DemoCluster {
    apps: Arc<Mutex<HashMap<&'static str, App>>>,
}

/// What the writes have made of a scene's app. The default is an idled one.
#[derive(Clone, Copy, Debug, Default)]
struct App {
    /// Counts the writes: the version of both objects.
    writes: u64,
    /// When its Deployment got replicas.
    scaled: Option<Instant>,
    /// Whether the idle marks are gone.
    cleared: bool,
    /// When its Service was pointed at the app again.
    serving: Option<Instant>,
}

impl DemoCluster {
    /// Where the ingress sends a visitor now: it follows the Service, some time later.
    #[must_use]
    pub fn route(&self, host: &Host) -> Route {
        let Some((scene, app)) = self.find(host) else { return Route::Unidler };
        match (&scene.plot, app.serving) {
            (Plot::Wakes { ingress_lag, .. }, Some(since)) if since.elapsed() >= *ingress_lag => Route::App(scene),
            _ => Route::Unidler,
        }
    }

    /// Idles an app again.
    pub fn idle(&self, host: &Host) {
        if let Some((scene, app)) = self.find(host) {
            self.apps().insert(scene.name, App { writes: app.writes + 1, ..App::default() });
        }
    }

    /// How many writes an app has seen.
    #[must_use]
    pub fn writes(&self, host: &Host) -> u64 {
        self.find(host).map_or(0, |(_, app)| app.writes)
    }

    fn find(&self, host: &Host) -> Option<(&'static Scene, App)> {
        let name = host.as_str().strip_suffix(".localhost")?;
        let scene = SCENES.iter().find(|scene| scene.name == name)?;
        Some((scene, self.apps().get(scene.name).copied().unwrap_or_default()))
    }

    fn apps(&self) -> MutexGuard<'_, HashMap<&'static str, App>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, host: &Host, write: &Write) -> Result<(), ApplyError> {
        let (scene, mut app) = self.find(host).ok_or(ApplyError::Conflict)?;
        let (Write::Scale { version, .. } | Write::ClearIdled { version, .. } | Write::RestoreService { version }) = write;
        if *version != app.version() {
            return Err(ApplyError::Conflict);
        }
        match write {
            Write::Scale { .. } => app.scaled = Some(Instant::now()),
            Write::ClearIdled { .. } => app.cleared = true,
            Write::RestoreService { .. } => app.serving = Some(Instant::now()),
        }
        app.writes += 1;
        self.apps().insert(scene.name, app);
        Ok(())
    }
}

impl App {
    fn version(&self) -> Version {
        Version(self.writes.to_string())
    }

    fn observe(&self, acts: &[(Duration, Act)]) -> Observed {
        let act = self.scaled.and_then(|since| {
            let age = since.elapsed();
            acts.iter().rev().find(|(from, _)| *from <= age).map(|(_, act)| *act)
        });
        let pods = match act {
            Some(At(step)) => Pods { step: Some(step), trouble: None, restarts: 0 },
            Some(Trouble(step, reason)) => Pods { step: Some(step), trouble: Some(reason), restarts: 0 },
            Some(Available) | None => Pods::default(),
        };
        let deployment = Deployment {
            version: self.version(),
            idled: !self.cleared,
            replicas: u32::from(self.scaled.is_some()),
            replicas_when_unidled: 1,
            available: u32::from(matches!(act, Some(Available))),
            trouble: None,
            usual: usual_of(acts),
        };
        let service = match self.serving {
            Some(_) => Service::Serving { ready: Some(true) },
            None => Service::Idled { version: self.version(), restorable: true },
        };
        Observed { connected: true, deployment, service, pods }
    }
}

/// The scenes have been seen before: each takes as long as always. What never comes up has no history.
fn usual_of(acts: &[(Duration, Act)]) -> Option<Duration> {
    let troubled = acts.iter().any(|(_, act)| matches!(act, Trouble(..)));
    acts.iter().find(|(_, act)| matches!(act, Available) && !troubled).map(|(at, _)| *at)
}

impl Cluster for DemoCluster {
    fn observe(&self, host: &Host) -> Observation {
        let (scene, app) = self.find(host).ok_or(Reason::NoIngress)?;
        match scene.plot {
            Plot::Lost(reason) => Err(reason),
            Plot::SwitchedOff => {
                let mut observed = app.observe(&[]);
                observed.deployment.idled = false;
                Ok(observed)
            }
            Plot::Wakes { acts, .. } => Ok(app.observe(acts)),
        }
    }

    /// Looks ten times a second, as quick as anybody can tell.
    fn watch(&self, host: &Host) -> BoxStream<'static, Observation> {
        let mut ticks = interval(ms(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (cluster, host) = (self.clone(), host.clone());
        IntervalStream::new(ticks).map(move |_| cluster.observe(&host)).boxed()
    }

    fn apply<'a>(&'a self, host: &'a Host, write: &'a Write) -> BoxFuture<'a, Result<(), ApplyError>> {
        ready(self.write(host, write)).boxed()
    }

    fn unfinished(&self) -> Vec<Host> {
        Vec::new()
    }
}
