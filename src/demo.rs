//! A simulated cluster: each [`Scene`] is an app with a script.
//!
//! `unidler demo` and the tests run the whole product on it. The simulation covers only what a cluster does by itself
//! after a write; every write comes from the engine, and is conditional here as well. Time is [`tokio::time`], so a
//! test may pause it.

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
        self, AppId, Bonds, Diversion, Endpoints, Leads, ObjectId, Observation, Pods, Record,
        Service, Trouble, Version, Workload,
    },
    cluster::{ApplyError, Cluster, Write},
    host::Host,
    probe::Probes,
    progress::{Reason, Step},
};

/// Where the demo's ingress sends a visitor.
#[derive(Clone, Copy, Debug)]
pub enum Route {
    /// To unidler.
    Unidler,
    /// To the app.
    App(&'static Scene),
}

/// The delay between the start of one part of an app and that of the next.
const NEXT_PART: Duration = ms(4_000);
/// The delay after which the replicas are taken away again, in a scene where something does that.
const UNDONE: Duration = ms(800);

/// The simulated cluster.
///
/// Cheap to clone; all clones are one cluster.
#[derive(Clone, Debug, Default)]
pub struct DemoCluster {
    apps: Arc<Mutex<HashMap<&'static str, App>>>,
}

/// The state of a scene's app, as it results from the writes.
#[derive(Clone, Debug)]
struct App {
    parts: Vec<Part>,
    /// Counts the changes of the Service, and serves as its version.
    service_writes: u64,
    /// When its Service was pointed back to the app.
    serving: Option<Instant>,
    /// When it was last visited.
    visited: Option<Instant>,
}

/// The state of a workload, as it results from the writes. The default is an idled one.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// Counts its changes, and serves as its version.
    writes: u64,
    /// When it got replicas.
    scaled: Option<Instant>,
    /// Whether the idle marks are gone.
    cleared: bool,
}

impl DemoCluster {
    /// Where the ingress routes a visitor now: it follows the Service with a delay.
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

    /// Records a visit to the app of a scene.
    pub fn visit(&self, scene: &Scene) {
        if let Some(app) = self.apps().get_mut(scene.name) {
            app.visited = Some(Instant::now());
        }
    }

    /// The apps that have not been visited for so long that they fall asleep.
    #[must_use]
    pub fn unused(&self) -> Vec<AppId> {
        let apps = self.apps();
        let is_unused = |scene: &&Scene| {
            let app = apps.get(scene.name);
            let used = app.and_then(|app| app.visited.max(Some(app.serving?)));
            let unused = used.map(|used| used.elapsed());
            scene.idle_after.is_some_and(|after| unused >= Some(after))
        };
        let unused = scenes().filter(is_unused);
        unused.map(|scene| AppId::new(scene.name)).collect()
    }

    /// Idles an app again.
    pub fn idle(&self, host: &Host) {
        if let Some((scene, app)) = self.scene(host) {
            let idled = |part: &Part| Part {
                writes: part.writes + 1,
                ..Part::default()
            };
            let app = App {
                parts: app.parts.iter().map(idled).collect(),
                service_writes: app.service_writes + 1,
                serving: None,
                visited: None,
            };
            self.apps().insert(scene.name, app);
        }
    }

    /// The number of writes to an app.
    #[must_use]
    pub fn writes(&self, host: &Host) -> u64 {
        self.scene(host).map_or(0, |(_, app)| {
            let of_parts = app.parts.iter().map(|part| part.writes);
            app.service_writes + of_parts.sum::<u64>()
        })
    }

    fn scene(&self, host: &Host) -> Option<(&'static Scene, App)> {
        self.played(host.as_str().strip_suffix(".localhost")?)
    }

    fn played(&self, name: &str) -> Option<(&'static Scene, App)> {
        let scene = scenes().find(|scene| scene.name == name)?;
        Some((
            scene,
            self.apps()
                .get(scene.name)
                .cloned()
                .unwrap_or_else(|| App::of(scene)),
        ))
    }

    fn apps(&self) -> MutexGuard<'_, HashMap<&'static str, App>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, app: &AppId, write: &Write) -> Result<(), ApplyError> {
        let (scene, mut app) = self.played(app.as_str()).ok_or(ApplyError::Conflict)?;
        let (id, seen) = write.target();
        // The Service's name is not a number.
        let index = id.as_str().parse::<usize>();
        let mut part = index.ok().and_then(|index| app.parts.get_mut(index));
        let writes = match &mut part {
            Some(part) => &mut part.writes,
            None => &mut app.service_writes,
        };
        if *seen != version(*writes) {
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
        *writes += 1;
        match (write, part) {
            (Write::Scale { .. }, Some(part)) => part.scaled = Some(Instant::now()),
            (Write::ClearIdled { .. }, Some(part)) => part.cleared = true,
            (Write::Idle { .. }, Some(part)) => (part.scaled, part.cleared) = (None, false),
            (Write::Restore { .. }, None) => app.serving = Some(Instant::now()),
            (Write::Divert { .. }, None) => app.serving = None,
            (_, _) => return Err(ApplyError::Conflict),
        }
        self.apps().insert(scene.name, app);
        Ok(())
    }
}

fn version(writes: u64) -> Version {
    Version(writes.to_string())
}

impl Part {
    fn observe(&self, index: usize, scene: &Scene) -> Workload {
        let later = NEXT_PART * u32::try_from(index).unwrap_or_default();
        let age = self
            .scaled
            .map(|since| since.elapsed().saturating_sub(later));
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
        Workload {
            id: ObjectId::new(&index.to_string()),
            version: version(self.writes),
            record: is_marked.then_some(Record {
                replicas: 1,
                is_recent: false,
                is_fleeting: false,
            }),
            replicas: u32::from(self.scaled.is_some() && !is_undone),
            available: u32::from(matches!(act, Some(Act::Available))),
            trouble: None,
            pods,
            usual: scene.usual,
            bonds: Bonds::default(),
        }
    }
}

impl App {
    /// The idled app of a scene.
    fn of(scene: &Scene) -> Self {
        Self {
            parts: vec![Part::default(); scene.parts],
            service_writes: 0,
            serving: None,
            visited: None,
        }
    }

    fn observe(&self, scene: &Scene) -> app::App {
        let leads = match self.serving {
            Some(_) => Leads::ToApp {
                endpoints: Endpoints::Ready,
            },
            None => Leads::Here(Diversion::instead(true)),
        };
        app::App {
            connected: true,
            title: scene.title.map(str::to_owned),
            probes: Probes::default(),
            start: scene.start,
            wakes: None,
            services: vec![Service {
                id: ObjectId::new("service"),
                version: version(self.service_writes),
                leads,
            }],
            workloads: (0..)
                .zip(&self.parts)
                .map(|(index, part)| part.observe(index, scene))
                .collect(),
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

    /// Polls ten times a second, which is as fast as anybody can notice.
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
