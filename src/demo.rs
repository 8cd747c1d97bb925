//! A cluster that is played: each [`Scene`] is an app with a script.
//!
//! `unidler demo` and the tests run the whole product on it. What is played is only what the cluster does by
//! itself after a write; every write comes from the engine and is conditional here as well. Time is
//! [`tokio::time`], so a test may pause it.

mod scenes;

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

use scenes::{Act, Plot, ms};
pub use scenes::{CHAPTERS, Scene, scenes};

use crate::{
    cluster::{ApplyError, Cluster, Deployment, Observation, Observed, Pods, Service, Trouble, Version, Write},
    host::Host,
    progress::{Reason, Step},
};

/// Where the demo's ingress sends a visitor.
#[derive(Clone, Copy, Debug)]
pub enum Route {
    /// To the unidler.
    Unidler,
    /// To the app.
    App(&'static Scene),
}

/// After how long the replicas are taken away again where something does that.
const UNDONE: Duration = ms(800);

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
        match app.serving {
            Some(since) if since.elapsed() >= scene.ingress_lag => Route::App(scene),
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
        let scene = scenes().find(|scene| scene.name == name)?;
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
        match scene.plot {
            Plot::Forbidden => return Err(ApplyError::Forbidden("the demo".to_owned())),
            Plot::Unreachable => {
                return Err(ApplyError::Unreachable { message: "the demo".to_owned(), retry_after: None });
            }
            _ => {}
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

    fn observe(&self, scene: &Scene) -> Observed {
        let age = self.scaled.map(|since| since.elapsed());
        let acts = scene.acts();
        let act = age.and_then(|age| acts.iter().rev().find(|(from, _)| *from <= age).map(|(_, act)| *act));
        let pods = match act {
            Some(Act::Step(step)) => Pods { step: Some(step), ..Pods::default() },
            Some(Act::Trouble(step, reason)) => {
                Pods { step: Some(step), trouble: Some(Trouble::waiting(reason)), ..Pods::default() }
            }
            Some(Act::Stumbles(step, reason)) => {
                Pods { step: Some(step), trouble: Some(Trouble::waiting(reason)), ..Pods::default() }
            }
            Some(Act::Crashes(restarts)) => {
                Pods { step: Some(Step::Starting), trouble: Some(Trouble::given_up(Reason::CrashLoop)), restarts }
            }
            Some(Act::Available) | None => Pods::default(),
        };
        let is_undone = matches!(scene.plot, Plot::Undone) && age > Some(UNDONE);
        let deployment = Deployment {
            version: self.version(),
            idled: !self.cleared && !matches!(scene.plot, Plot::SwitchedOff),
            replicas: u32::from(self.scaled.is_some() && !is_undone),
            replicas_when_unidled: 1,
            available: u32::from(matches!(act, Some(Act::Available))),
            trouble: None,
            usual: scene.usual,
        };
        let service = match self.serving {
            Some(_) => Service::Serving { ready: Some(true) },
            None => Service::Idled { version: self.version(), restorable: true },
        };
        Observed { connected: true, deployment, service, pods }
    }
}

impl Cluster for DemoCluster {
    fn observe(&self, host: &Host) -> Observation {
        let (scene, app) = self.find(host).ok_or(Reason::NoIngress)?;
        match scene.plot {
            Plot::Lost(reason) => Err(reason),
            _ => Ok(app.observe(scene)),
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
