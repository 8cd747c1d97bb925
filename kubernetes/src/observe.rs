//! Combines the caches and the watches of a wake-up into the engine's view of an app.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use metrics::gauge;
use tokio::{
    sync::watch,
    task::block_in_place,
    time::{Instant, interval},
};
use tracing::warn;
use unidler::{
    app::{App, AppId, Diversion, Effect, Endpoints, Leads, Pods, Record, Service, Workload},
    host::Host,
    progress::Reason,
    sleep::moment::Moment,
    start::Start,
};

use crate::{
    cache::Cached,
    caches::Caches,
    doubts::Doubts,
    found::Found,
    lookup::NotFound,
    objects::{self, Destination, PodsController, PointsAt},
    reachable::Reachable,
    rollout::Rollout,
    settings::ClusterSettings,
    status::Asleep,
};

/// The metric of how long ago the API server was last known to keep the caches current, in seconds, by `kind`; 0 while
/// it does.
pub const CONTACT_AGE: &str = "unidler_contact_age_seconds";

/// Interval between updates of that metric.
const CONTACT_UPKEEP: Duration = Duration::from_secs(5);
/// The metric of the number of idled apps, by `form`, which is `slice` or `external-name`, and by what put them to
/// sleep (`by`).
pub const IDLED_APPS: &str = "unidler_idled_apps";
/// The metric of the CPU time that the pods of idled apps would request, in cores.
pub const ASLEEP_CPU: &str = "unidler_asleep_cpu_cores";
/// The metric of the memory that they would request, in bytes.
pub const ASLEEP_MEMORY: &str = "unidler_asleep_memory_bytes";
/// Interval between updates of these metrics, which evaluates all apps.
const COUNT_UPKEEP: Duration = Duration::from_secs(30);
/// How often the log repeats a message about a host without an app.
const SAY_AGAIN: Duration = Duration::from_mins(10);
/// The maximum number of such hosts to remember: they are hosts of Ingresses, but there may be any number of those.
const MAX_SAID: usize = 1_000;

/// The namespace and the name of a Service.
pub(crate) type ServiceName = (String, String);

/// When the apps of Services wake by themselves.
pub(crate) type Alarms = HashMap<ServiceName, Moment>;

/// Observes the cluster.
pub(crate) struct Observer {
    /// For watches, which are known to end.
    client: Client,
    settings: ClusterSettings,
    pub(crate) caches: Caches,
    /// The endpoints that the watches of wake-ups have published.
    pub(crate) reachable: Reachable,
    /// Notified after every change of a cache.
    changed: watch::Sender<()>,
    doubts: Doubts,
    /// When the apps of sleeping Services wake by themselves, according to the last decision.
    alarms: RwLock<Alarms>,
    /// When the log reported objects without an app, and with which reason.
    said: Mutex<HashMap<String, (Instant, Reason)>>,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Observer {
    pub(crate) fn new(client: Client, settings: ClusterSettings) -> Self {
        let (changed, _) = watch::channel(());
        Self {
            client,
            caches: Caches::new(&changed, &settings),
            settings,
            reachable: Reachable::default(),
            changed,
            doubts: Doubts::default(),
            alarms: RwLock::default(),
            said: Mutex::default(),
        }
    }

    /// Fills the caches, forever.
    pub(crate) async fn run(&self) {
        self.caches.fill(&self.client, &self.settings).await;
    }

    /// Keeps the metrics of the caches and of idled apps up to date, forever.
    pub(crate) async fn measure(&self) {
        tokio::join!(self.measure_contact(), self.count_idled());
    }

    async fn measure_contact(&self) {
        let mut ticks = interval(CONTACT_UPKEEP);
        loop {
            ticks.tick().await;
            for (kind, cache) in self.caches.all() {
                gauge!(CONTACT_AGE, "kind" => kind.to_ascii_lowercase())
                    .set(cache.since_contact().as_secs_f64());
            }
        }
    }

    async fn count_idled(&self) {
        let mut ticks = interval(COUNT_UPKEEP);
        // Combinations without any apps left are set to zero.
        let mut counts = BTreeMap::new();
        loop {
            ticks.tick().await;
            // Not before everything is known, but soon after.
            let mut changes = self.changes();
            while self.caches.unusable().is_some() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
            // Thousands of apps take a while.
            let asleep = block_in_place(|| Asleep::of(&self.caches, &self.settings));
            let Asleep { apps, requests } = asleep;
            counts.values_mut().for_each(|count| *count = 0);
            counts.extend(apps);
            for ((form, by), count) in &counts {
                gauge!(IDLED_APPS, "form" => *form, "by" => by.clone()).set(*count);
            }
            gauge!(ASLEEP_CPU).set(requests.cores());
            gauge!(ASLEEP_MEMORY).set(requests.memory());
        }
    }

    /// Notified after every change in the view of all apps.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The settings that describe the idled state.
    pub(crate) fn settings(&self) -> &ClusterSettings {
        &self.settings
    }

    pub(crate) fn not_ready(&self) -> Option<String> {
        self.caches.not_ready()
    }

    /// Has the caches relisted, unless that was done recently or is under way.
    pub(crate) fn doubt(&self) {
        self.caches.doubt(|| self.doubts.may_list());
    }

    /// The result of a lookup in the caches, if they can be relied on. An object that is missing in an outdated cache
    /// may exist all the same.
    fn looked_up<T>(
        &self,
        look: impl FnOnce(&Caches) -> Result<T, NotFound>,
    ) -> Result<T, NotFound> {
        let unknown = |reason| NotFound {
            reason,
            involved: Vec::new(),
        };
        if let Some(reason) = self.caches.unusable() {
            return Err(unknown(reason));
        }
        look(&self.caches).map_err(|error| {
            if !self.caches.are_connected() {
                unknown(Reason::ApiUnreachable)
            } else if self.caches.unread().is_empty() {
                error
            } else {
                unknown(Reason::PermissionMissing)
            }
        })
    }

    pub(crate) fn app(&self, app: &AppId) -> Result<Found, NotFound> {
        self.looked_up(|caches| caches.app(app))
    }

    /// All apps that a host routes to.
    pub(crate) fn apps(&self) -> Vec<Found> {
        self.looked_up(|caches| Ok(caches.apps()))
            .unwrap_or_default()
    }

    /// Finds the app of a host. If there is none although there are objects that should form one, the reason is logged.
    pub(crate) fn app_of(&self, host: &Host) -> Result<Found, Reason> {
        self.looked_up(|caches| caches.find(host)).map_err(|error| {
            if !error.involved.is_empty() && self.is_news(&error) {
                warn!(%host, reason = ?error.reason, "found no app: {error}");
            }
            error.reason
        })
    }

    /// Whether this was not logged recently. Keyed by the objects and not by the host: a wildcard lets strangers make
    /// up hosts.
    fn is_news(&self, error: &NotFound) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MAX_SAID {
            said.retain(|_, (when, _)| when.elapsed() < SAY_AGAIN);
        }
        let involved = error.to_string();
        let is_old = said
            .get(&involved)
            .is_some_and(|(when, last)| *last == error.reason && when.elapsed() < SAY_AGAIN);
        let is_news = !is_old && said.len() < MAX_SAID;
        if is_news {
            said.insert(involved, (Instant::now(), error.reason));
        }
        is_news
    }

    /// Stores when apps wake by themselves.
    pub(crate) fn set_alarms(&self, alarms: Alarms) {
        *self.alarms.write().unwrap_or_else(PoisonError::into_inner) = alarms;
    }

    fn wakes(&self, found: &Found) -> Option<Moment> {
        let alarms = self.alarms.read().unwrap_or_else(PoisonError::into_inner);
        found.services.iter().find_map(|service| {
            let service = (service.namespace.clone(), service.name.clone());
            alarms.get(&service).cloned()
        })
    }

    /// Where slices have to point, if that is known.
    pub(crate) fn destination(&self) -> Option<Destination> {
        self.caches.destination(&self.settings)
    }

    /// Begins to watch the pods and endpoints of an app.
    pub(crate) fn watch(&self, found: &Found) -> Rollout {
        Rollout::watch(&self.client, found)
    }

    pub(crate) fn observed(&self, found: &Found, rollout: Option<&Rollout>) -> App {
        let now = Timestamp::now();
        let workload = |each: &Arc<Cached<objects::Workload>>| {
            let (id, workload) = (each.id(), &each.value);
            let max = self.settings.max_replicas;
            let is_marked = workload.idled && found.recorded(each).is_none();
            let replicas = found.replicas_to_restore(each, max);
            let record = replicas.map(|replicas| Record {
                replicas,
                is_recent: is_marked && workload.is_marked_lately(now),
                is_fleeting: workload.taken.is_none()
                    && !workload.idled
                    && !found.adopted.contains_key(&id),
            });
            let has_ready = || rollout.and_then(|rollout| rollout.has_ready_pod(&id));
            let own = found.services.iter();
            let of_slices = own
                .filter_map(|service| found.slice(service))
                .filter_map(|slice| slice.value.wake_seconds.usual());
            Workload {
                version: workload.version(),
                record,
                replicas: workload.replicas,
                available: match workload.ready {
                    // Its status includes terminating pods: old ones, if the app was put to sleep a moment ago.
                    Some(_)
                        if workload.kind.pods == PodsController::Itself
                            && has_ready() == Some(false) =>
                    {
                        0
                    }
                    Some(ready) => ready,
                    // If unidler may not read the pods either, endpoints alone decide.
                    None => has_ready().map_or(workload.replicas, u32::from),
                },
                trouble: workload.trouble(now),
                pods: rollout.map_or_else(Pods::default, |rollout| rollout.pods(&id)),
                usual: of_slices.max().or(workload.wake_seconds.usual()),
                bonds: found.bonds(each),
                id,
            }
        };
        let destination = self.caches.destination(&self.settings);
        let service = |each: &Arc<Cached<objects::Service>>| {
            let (id, service) = (each.id(), &each.value);
            let endpoints = || rollout.map_or(Endpoints::Unknown, |rollout| rollout.endpoints(&id));
            let leads = match (service.points_at, found.diverting(each)) {
                (PointsAt::Unidler, _) => {
                    Leads::Here(Diversion::instead(found.when_unidled(service).is_ok()))
                }
                (PointsAt::Pods, Some(slice)) => Leads::Here(Diversion {
                    restorable: true,
                    // As long as unidler's own Service is unknown, nothing can be decided or written.
                    effect: match &destination {
                        _ if found.is_given_up() => Effect::Unwanted,
                        Some(own) if !slice.value.is_current(service, own) => Effect::Astray,
                        _ => Effect::Leads,
                    },
                    endpoints: Some(endpoints()),
                }),
                (PointsAt::Pods, None) if destination.is_some() && found.is_lost(each) => {
                    let is_missing = found.is_to_adopt(each);
                    Leads::Here(Diversion {
                        restorable: true,
                        effect: match is_missing {
                            true => Effect::Missing,
                            false => Effect::Gone,
                        },
                        endpoints: Some(match (is_missing, rollout) {
                            // Any endpoint counts, whatever it belongs to.
                            (true, Some(rollout)) => rollout.anything_behind(&id),
                            _ => endpoints(),
                        }),
                    })
                }
                (PointsAt::Pods, None) => Leads::ToApp {
                    endpoints: endpoints(),
                },
                (PointsAt::Elsewhere, _) => Leads::Elsewhere,
            };
            Service {
                version: found.version(each),
                leads,
                id,
            }
        };
        App {
            connected: self.caches.are_connected(),
            title: found.title(),
            probes: found.probes(),
            start: match self.settings.is_server {
                true => found.start(),
                false => Start::Visit,
            },
            wakes: self.wakes(found),
            services: found.services.iter().map(service).collect(),
            workloads: found.parts().map(workload).collect(),
        }
    }
}
