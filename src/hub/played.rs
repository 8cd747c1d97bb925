//! A cluster of apps whose fates a test sets, without anything that goes wrong by chance.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use futures::{
    future::{BoxFuture, FutureExt, ready},
    stream::BoxStream,
};
use tokio::time::{Instant, interval};
use tokio_stream::wrappers::IntervalStream;

use super::*;
use crate::{
    app::{
        self, AppId, Bonds, Diversion, Endpoints, Leads, ObjectId, Observation, Pods, Record,
        Service, Trouble, Version, Workload,
    },
    cluster::{ApplyError, Ended, Write},
    probe::Probes,
    progress::{Phase, Reason, Step},
};

/// What becomes of an app that has its replicas.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It is up after this time.
    Up(Duration),
    /// After a second it is in trouble, for ever.
    Stuck(Step, Reason, bool),
    /// It never becomes ready, and says nothing.
    Silent,
}

/// One app, idled at first.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) fate: Fate,
    pub(super) idled: bool,
    pub(super) replicas: u32,
    pub(super) since: Option<Instant>,
    pub(super) is_ours: bool,
    /// Whether visitors are led here beside the app's own endpoints, so that nothing is marked on the workload.
    pub(super) is_beside: bool,
    pub(super) restarts: u32,
    pub(super) title: Option<&'static str>,
    pub(super) start: Start,
    /// Counts how often it was marked.
    pub(super) marks: u32,
    /// Whether it may be put to sleep.
    pub(super) is_to_sleep: bool,
    /// Whether that was lately.
    pub(super) is_marked_lately: bool,
    /// How long it took, as recorded with the marks.
    pub(super) took: Option<Duration>,
    /// How its sleep ended last, as recorded with its Service.
    pub(super) ended: Option<Ended>,
    /// The writes that a policy refuses.
    pub(super) refused: &'static [&'static str],
    /// Whether no write gets through.
    pub(super) is_out_of_reach: bool,
    workload_version: u64,
    service_version: u64,
}

/// When, for which app, and what.
type Written = (Instant, String, &'static str);

/// Cheap to clone; all clones are one cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Played {
    apps: Arc<Mutex<BTreeMap<String, App>>>,
    writes: Arc<Mutex<Vec<Written>>>,
    notes: Arc<Mutex<Vec<Phase>>>,
}

impl App {
    /// Somebody else changes it.
    fn changed(&mut self, change: impl FnOnce(&mut Self)) {
        let before = (self.idled, self.replicas, self.marks, self.is_ours);
        change(self);
        self.workload_version +=
            u64::from((self.idled, self.replicas, self.marks) != (before.0, before.1, before.2));
        self.service_version += u64::from(self.is_ours != before.3);
    }

    fn is_available(&self) -> bool {
        let age = self.since.map(|since| since.elapsed());
        matches!((self.fate, age), (Fate::Up(after), Some(age)) if self.replicas > 0 && age >= after)
    }

    fn observe(&self, endpoints: Endpoints) -> app::App {
        let is_stuck = self
            .since
            .is_some_and(|since| since.elapsed() >= Duration::from_secs(1));
        let pods = match self.fate {
            Fate::Stuck(step, reason, given_up) if is_stuck => Pods {
                step: Some(step),
                trouble: Some(Trouble { reason, given_up }),
                restarts: self.restarts,
            },
            _ => Pods {
                step: self.since.map(|_| Step::Starting),
                trouble: None,
                restarts: self.restarts,
            },
        };
        let workload = Workload {
            id: ObjectId::new("workload"),
            version: Version(format!("d{}", self.workload_version)),
            record: self.idled.then_some(Record {
                replicas: 1,
                is_recent: self.is_marked_lately,
                is_fleeting: false,
            }),
            replicas: self.replicas,
            available: if self.is_available() {
                self.replicas
            } else {
                0
            },
            trouble: None,
            pods,
            usual: None,
            bonds: Bonds::default(),
        };
        let leads = match self.is_ours {
            true => Leads::Here(Diversion {
                endpoints: self.is_beside.then_some(endpoints),
                ..Diversion::instead(true)
            }),
            false => Leads::ToApp { endpoints },
        };
        app::App {
            connected: true,
            title: self.title.map(str::to_owned),
            probes: Probes::default(),
            start: self.start,
            wakes: None,
            services: vec![Service {
                id: ObjectId::new("service"),
                version: Version(format!("s{}", self.service_version)),
                leads,
            }],
            workloads: vec![workload],
        }
    }
}

impl Played {
    /// Idled apps by name: each is reached by `<name>.localhost` and by what is below that.
    pub(super) fn new(fates: impl IntoIterator<Item = (String, Fate)>) -> Self {
        let app = |fate| App {
            fate,
            idled: true,
            replicas: 0,
            since: None,
            is_ours: true,
            is_beside: false,
            restarts: 0,
            title: None,
            start: Start::default(),
            marks: 1,
            is_to_sleep: false,
            is_marked_lately: false,
            took: None,
            ended: None,
            refused: &[],
            is_out_of_reach: false,
            workload_version: 1,
            service_version: 1,
        };
        let apps = fates
            .into_iter()
            .map(|(name, fate)| (name, app(fate)))
            .collect();
        Self {
            apps: Arc::new(Mutex::new(apps)),
            ..Self::default()
        }
    }

    pub(super) fn one(fate: Fate) -> Self {
        Self::new([("app".to_owned(), fate)])
    }

    pub(super) fn hub(&self, max_wakes: usize) -> Hub {
        Hub::new(
            Arc::new(self.clone()),
            Settings {
                max_wakes,
                ..Settings::default()
            },
        )
    }

    /// Somebody else changes an app.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut App)) {
        self.apps
            .lock()
            .expect("no panic")
            .get_mut(name)
            .expect("an app")
            .changed(change);
    }

    /// Somebody began to wake it long ago.
    pub(super) fn leave_half_awake(&self, name: &str) {
        self.change(name, |app| {
            (app.replicas, app.since) = (1, Some(Instant::now()));
        });
    }

    pub(super) fn state(&self, name: &str) -> App {
        self.apps.lock().expect("no panic")[name].clone()
    }

    pub(super) fn is_awake(&self, name: &str) -> bool {
        let app = self.state(name);
        app.replicas > 0 && !app.idled && !app.is_ours
    }

    /// What was written for an app, and when.
    pub(super) fn writes(&self, name: &str) -> Vec<(Instant, &'static str)> {
        let writes = self.writes.lock().expect("no panic");
        writes
            .iter()
            .filter(|(_, of, _)| of == name)
            .map(|(at, _, write)| (*at, *write))
            .collect()
    }

    pub(super) fn notes(&self) -> Vec<Phase> {
        self.notes.lock().expect("no panic").clone()
    }

    fn observe_with(&self, app: &AppId, endpoints: impl FnOnce(&App) -> Endpoints) -> Observation {
        let apps = self.apps.lock().expect("no panic");
        let app = apps.get(app.as_str()).ok_or(Reason::NoWorkload)?;
        Ok(app.observe(endpoints(app)))
    }

    fn watched(&self, app: &AppId) -> Observation {
        self.observe_with(app, |app| {
            if app.is_available() {
                Endpoints::Ready
            } else {
                Endpoints::NotReady
            }
        })
    }

    fn write(&self, id: &AppId, write: &Write) -> Result<(), ApplyError> {
        let mut apps = self.apps.lock().expect("no panic");
        let app = apps.get_mut(id.as_str()).ok_or(ApplyError::Conflict)?;
        let (_, seen) = write.target();
        let (name, now) = match write {
            Write::Scale { .. } => ("scale", format!("d{}", app.workload_version)),
            Write::Restore { .. } => ("restore", format!("s{}", app.service_version)),
            Write::ClearIdled { .. } => ("clear", format!("d{}", app.workload_version)),
            Write::Divert { .. } => ("divert", format!("s{}", app.service_version)),
            Write::Idle { .. } => ("idle", format!("d{}", app.workload_version)),
        };
        let current = seen.0 == now;
        self.writes
            .lock()
            .expect("no panic")
            .push((Instant::now(), id.to_string(), name));
        if app.is_out_of_reach {
            return Err(ApplyError::Unreachable {
                message: "no route to host".into(),
                retry_after: None,
            });
        }
        if app.refused.contains(&name) {
            return Err(ApplyError::Forbidden("a policy".into()));
        }
        if !current {
            return Err(ApplyError::Conflict);
        }
        assert!(
            app.idled || app.is_ours || app.is_to_sleep,
            "written to an app that is not idled: {write:?}"
        );
        match write {
            Write::Scale { replicas, .. } => {
                app.changed(|app| (app.replicas, app.since) = (*replicas, Some(Instant::now())));
            }
            Write::Restore { ended, .. } => {
                app.ended = Some(*ended);
                (app.is_ours, app.service_version) = (false, app.service_version + 1);
                app.idled &= !app.is_beside;
            }
            Write::ClearIdled { took, .. } => {
                app.changed(|app| (app.idled, app.took) = (false, *took));
            }
            Write::Divert { .. } => app.changed(|app| app.is_ours = true),
            Write::Idle { .. } => app.changed(|app| {
                (app.idled, app.replicas, app.since) = (true, 0, None);
            }),
        }
        Ok(())
    }
}

impl Cluster for Played {
    fn find(&self, host: &Host) -> Result<AppId, Reason> {
        let name = host
            .as_str()
            .strip_suffix(".localhost")
            .ok_or(Reason::NoRoute)?;
        let name = name.rsplit('.').next().unwrap_or(name);
        self.apps
            .lock()
            .expect("no panic")
            .contains_key(name)
            .then(|| AppId::new(name))
            .ok_or(Reason::NoRoute)
    }

    fn apps(&self) -> Vec<AppId> {
        self.apps
            .lock()
            .expect("no panic")
            .keys()
            .map(|name| AppId::new(name))
            .collect()
    }

    /// Those whose names begin with `pair-` share a host.
    fn companions(&self, app: &AppId) -> Vec<AppId> {
        let is_one = |name: &str| name.starts_with("pair-");
        let mut apps = self.apps();
        apps.retain(|other| is_one(app.as_str()) && is_one(other.as_str()) && other != app);
        apps.retain(|other| !self.is_awake(other.as_str()));
        apps
    }

    fn observe(&self, app: &AppId) -> Observation {
        self.observe_with(app, |_| Endpoints::Unknown)
    }

    fn watch(&self, app: &AppId) -> BoxStream<'static, Observation> {
        let (cluster, app) = (self.clone(), app.clone());
        IntervalStream::new(interval(Duration::from_millis(100)))
            .map(move |_| cluster.watched(&app))
            .boxed()
    }

    fn apply<'a>(
        &'a self,
        app: &'a AppId,
        write: &'a Write,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        ready(self.write(app, write)).boxed()
    }

    fn note(&self, _: &AppId, outcome: &Progress) {
        self.notes.lock().expect("no panic").push(outcome.phase);
    }
}
