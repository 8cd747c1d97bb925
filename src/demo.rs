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
    app::{
        self, AppId, Diversion, Endpoints, Leads, ObjectId, Observation, Pods, Record, Service,
        Trouble, Version, Workload,
    },
    cluster::{ApplyError, Cluster, Write},
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
    /// Counts the changes of the workload, and its version.
    workload_writes: u64,
    /// The same of the Service.
    service_writes: u64,
    /// When its workload got replicas.
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
        let Some((scene, app)) = self.scene(host) else {
            return Route::Unidler;
        };
        match app.serving {
            Some(since) if since.elapsed() >= scene.ingress_lag => Route::App(scene),
            _ => Route::Unidler,
        }
    }

    /// Idles an app again.
    pub fn idle(&self, host: &Host) {
        if let Some((scene, app)) = self.scene(host) {
            self.apps().insert(
                scene.name,
                App {
                    workload_writes: app.workload_writes + 1,
                    service_writes: app.service_writes + 1,
                    ..App::default()
                },
            );
        }
    }

    /// How many writes an app has seen.
    #[must_use]
    pub fn writes(&self, host: &Host) -> u64 {
        self.scene(host)
            .map_or(0, |(_, app)| app.workload_writes + app.service_writes)
    }

    fn scene(&self, host: &Host) -> Option<(&'static Scene, App)> {
        self.played(host.as_str().strip_suffix(".localhost")?)
    }

    fn played(&self, name: &str) -> Option<(&'static Scene, App)> {
        let scene = scenes().find(|scene| scene.name == name)?;
        Some((
            scene,
            self.apps().get(scene.name).copied().unwrap_or_default(),
        ))
    }

    fn apps(&self) -> MutexGuard<'_, HashMap<&'static str, App>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, app: &AppId, write: &Write) -> Result<(), ApplyError> {
        let (scene, mut app) = self.played(app.as_str()).ok_or(ApplyError::Conflict)?;
        let (_, seen) = write.target();
        let now = match write {
            Write::Scale { .. } | Write::ClearIdled { .. } | Write::Idle { .. } => {
                app.workload_writes
            }
            Write::Restore { .. } | Write::Divert { .. } => app.service_writes,
        };
        if *seen != version(now) {
            return Err(ApplyError::Conflict);
        }
        match scene.plot {
            Plot::Forbidden => return Err(ApplyError::Forbidden("the demo".to_owned())),
            Plot::Unreachable => {
                return Err(ApplyError::Unreachable {
                    message: "the demo".to_owned(),
                    retry_after: None,
                });
            }
            _ => {}
        }
        match write {
            Write::Scale { .. } => {
                (app.scaled, app.workload_writes) = (Some(Instant::now()), now + 1);
            }
            Write::ClearIdled { .. } => (app.cleared, app.workload_writes) = (true, now + 1),
            Write::Restore { .. } => {
                (app.serving, app.service_writes) = (Some(Instant::now()), now + 1);
            }
            Write::Divert { .. } => (app.serving, app.service_writes) = (None, now + 1),
            Write::Idle { .. } => {
                (app.scaled, app.cleared, app.workload_writes) = (None, false, now + 1);
            }
        }
        self.apps().insert(scene.name, app);
        Ok(())
    }
}

fn version(writes: u64) -> Version {
    Version(writes.to_string())
}

impl App {
    fn observe(&self, scene: &Scene) -> app::App {
        let age = self.scaled.map(|since| since.elapsed());
        let acts = scene.acts();
        let act = age.and_then(|age| {
            acts.iter()
                .rev()
                .find(|(from, _)| *from <= age)
                .map(|(_, act)| *act)
        });
        let pods = match act {
            Some(Act::Step(step)) => Pods {
                step: Some(step),
                ..Pods::default()
            },
            Some(Act::Trouble(step, reason)) => Pods {
                step: Some(step),
                trouble: Some(Trouble {
                    reason,
                    given_up: !reason.may_pass(),
                }),
                ..Pods::default()
            },
            Some(Act::Stumbles(step, reason)) => Pods {
                step: Some(step),
                trouble: Some(Trouble::waiting(reason)),
                ..Pods::default()
            },
            Some(Act::Crashes(restarts)) => Pods {
                step: Some(Step::Starting),
                trouble: Some(Trouble::given_up(Reason::CrashLoop)),
                restarts,
            },
            Some(Act::Available) | None => Pods::default(),
        };
        let is_undone = matches!(scene.plot, Plot::Undone) && age > Some(UNDONE);
        let is_marked = !self.cleared && !matches!(scene.plot, Plot::SwitchedOff);
        let workload = Workload {
            id: ObjectId::new("workload"),
            version: version(self.workload_writes),
            record: is_marked.then_some(Record {
                replicas: 1,
                is_recent: false,
            }),
            replicas: u32::from(self.scaled.is_some() && !is_undone),
            available: u32::from(matches!(act, Some(Act::Available))),
            trouble: None,
            pods,
            usual: scene.usual,
        };
        let leads = match self.serving {
            Some(_) => Leads::ToApp {
                endpoints: Endpoints::Ready,
            },
            None => Leads::Here(Diversion { restorable: true }),
        };
        app::App {
            connected: true,
            title: scene.title.map(str::to_owned),
            services: vec![Service {
                id: ObjectId::new("service"),
                version: version(self.service_writes),
                leads,
            }],
            workloads: vec![workload],
        }
    }
}

impl Cluster for DemoCluster {
    fn find(&self, host: &Host) -> Result<AppId, Reason> {
        let (scene, _) = self.scene(host).ok_or(Reason::NoRoute)?;
        match scene.plot {
            Plot::Lost(reason) if reason.is_discovery() => Err(reason),
            _ => Ok(AppId::new(scene.name)),
        }
    }

    fn apps(&self) -> Vec<AppId> {
        scenes().map(|scene| AppId::new(scene.name)).collect()
    }

    fn observe(&self, app: &AppId) -> Observation {
        let (scene, app) = self.played(app.as_str()).ok_or(Reason::NoRoute)?;
        match scene.plot {
            Plot::Lost(reason) => Err(reason),
            _ => Ok(app.observe(scene)),
        }
    }

    /// Looks ten times a second, as quick as anybody can tell.
    fn watch(&self, app: &AppId) -> BoxStream<'static, Observation> {
        let mut ticks = interval(ms(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (cluster, app) = (self.clone(), app.clone());
        IntervalStream::new(ticks)
            .map(move |_| cluster.observe(&app))
            .boxed()
    }

    fn apply<'a>(
        &'a self,
        app: &'a AppId,
        write: &'a Write,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        ready(self.write(app, write)).boxed()
    }
}
