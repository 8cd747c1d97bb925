//! Restores every idled app, for the uninstallation of unidler.
//!
//! No slice of unidler's own may remain that points to a Service that no longer exists. So visitors are routed to their
//! app once it responds, or otherwise after a while: an app that cannot start is not waited for. Only where replicas
//! cannot be restored does the slice remain, since nothing else may record how many there were.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::anyhow;
use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout_at};
use unidler::{
    app::{App, AppId, Effect, Leads, Observation, Service, Workload},
    cluster::{ApplyError, Cluster, Ended, Write},
    step::{Goal, Next, next_step},
};

use crate::{
    cache::Cached,
    caches::Caches,
    diversion::slice::{Recorded, Slice},
    found::Found,
    listing::Listing,
    objects::PointsAt,
    operator::Operator,
    settings::ClusterSettings,
};

/// How many apps are restored at the same time.
const AT_ONCE: usize = 20;
/// How long an app may take to respond.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long all of them together may take, so that callers of this command do not wait in vain.
const PATIENCE_WITH_ALL: Duration = Duration::from_secs(90);
/// How long the effect of a write may take to be observed.
const EFFECT: Duration = Duration::from_secs(2);
/// The maximum number of attempts for a write.
const TRIES: u32 = 4;

type Slices = Vec<Arc<Cached<Slice>>>;

/// An idled app with its former state. It is displayed as its hosts, with the replicas to restore.
#[derive(Debug)]
pub struct IdledApp {
    id: AppId,
    name: String,
    gets: Vec<String>,
    /// Whether it stays asleep, since something else has put it to sleep: only its diversion is removed.
    is_left: bool,
}

impl fmt::Display for IdledApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.gets.join(", "))
    }
}

/// The idled apps, with the replicas to restore for each.
#[must_use]
pub fn idled(Listing(caches): &Listing, settings: &ClusterSettings) -> Vec<IdledApp> {
    idled_in(caches, settings)
}

fn idled_in(caches: &Caches, settings: &ClusterSettings) -> Vec<IdledApp> {
    let apps = caches.apps().into_iter();
    let has_record = |found: &Found| {
        let mut parts = found.parts();
        parts.any(|workload| found.replicas_to_restore(workload, 1).is_some())
    };
    let idled = apps.filter(|found| found.is_here() || has_record(found));
    idled.map(|found| idled_app(&found, settings)).collect()
}

fn idled_app(found: &Found, settings: &ClusterSettings) -> IdledApp {
    let hosts: Vec<_> = found.hosts().into_iter().collect();
    let services = || found.services.iter().map(ToString::to_string);
    let is_left = found.is_left_asleep();
    let gets = found.parts().filter_map(|workload| {
        let replicas = found.replicas_to_restore(workload, settings.max_replicas)?;
        Some(match is_left {
            true => {
                format!("{workload} keeps 0 replicas, since something else has put it to sleep")
            }
            false => format!("{workload} gets {replicas} replicas"),
        })
    });
    IdledApp {
        is_left,
        id: found.id.clone(),
        name: if hosts.is_empty() {
            services().collect::<Vec<_>>().join(", ")
        } else {
            hosts.join(", ")
        },
        gets: gets.collect(),
    }
}

impl Operator {
    /// Restores all apps, and returns for each whether it succeeded.
    pub fn restore(&self) -> impl Stream<Item = (IdledApp, anyhow::Result<()>)> + '_ {
        let end = Instant::now() + PATIENCE_WITH_ALL;
        let apps = idled_in(self.caches(), &self.settings);
        let restore = move |app: IdledApp| async move {
            let outcome = self.give_back(&app, end).await;
            (app, outcome)
        };
        stream::iter(apps).map(restore).buffer_unordered(AT_ONCE)
    }

    /// Deletes every slice of unidler's own, whatever Service it belongs to, except those of apps that are still asleep:
    /// they could not be restored, or fell asleep in the meantime.
    ///
    /// # Errors
    ///
    /// If one remains, with the reason.
    pub async fn delete_slices(&self) -> anyhow::Result<()> {
        let mut error = None;
        let mut changes = self.cluster.observer.changes();
        for _ in 0..TRIES {
            changes.mark_unchanged();
            let (left, _) = self.slices();
            if left.is_empty() {
                break;
            }
            for slice in left {
                match self.cluster.delete_slice(&slice).await {
                    // It was replaced or deleted in the meantime: the cache is outdated.
                    Ok(()) | Err(ApplyError::Conflict) => {}
                    Err(why) => error = Some(anyhow!("cannot delete {slice}: {why}")),
                }
            }
            let _ = timeout_at(Instant::now() + EFFECT, changes.changed()).await;
        }
        let (left, kept) = self.slices();
        if let Some(first) = left.first() {
            return Err(error.unwrap_or_else(|| anyhow!("{first} still exists and keeps changing")));
        }
        match kept.first() {
            Some(first) => Err(anyhow!(
                "{first} is kept, since it records the replicas of something that is still asleep, or of a kind that --scalable \
                 does not name: run `unidler restore --all` again"
            )),
            None => Ok(()),
        }
    }

    /// The slices of unidler's own: those to delete, and those that record the replicas of what is still asleep.
    fn slices(&self) -> (Slices, Slices) {
        let caches = self.caches();
        let is_needed = |slice: &Cached<Slice>| {
            let diverts = slice.value.diverts();
            let is_asleep = |Recorded { workload, .. }: &Recorded| {
                match caches.workload(&slice.namespace, workload) {
                    // What something else has put to sleep is left asleep.
                    Some(workload) => {
                        workload.value.replicas == 0
                            && (workload.value.taken.is_some()
                                || (diverts && !slice.value.is_adopted()))
                    }
                    None => diverts && caches.is_unseen(workload),
                }
            };
            slice.value.recorded().iter().any(is_asleep)
        };
        let all = caches.slices.all().into_iter();
        all.partition(|slice| !is_needed(slice))
    }

    /// Restores the replicas of an app, and routes its visitors there once it responds. Returns the last error.
    async fn scale_up(&self, id: &AppId, end: Instant) -> Option<anyhow::Error> {
        let patience = end.min(Instant::now() + PATIENCE);
        let mut observations = self.cluster.watch(id);
        let mut latest = observations.next().await;
        let (mut tries, mut error) = (0, None);
        // Proceed as in any wake-up, as long as there is a chance of success.
        while let Some(observation) = &latest {
            let write = match next_step(observation, Goal::Awake) {
                // It routes to nothing, and is about to be routed to the app.
                Next::Write(Write::Divert { .. }) => scale(observation),
                Next::Write(write) => Some(write),
                Next::Wait { .. } => {
                    match timeout_at(patience, observations.next()).await {
                        Ok(next) => latest = next,
                        Err(_) => break,
                    }
                    continue;
                }
                Next::Done | Next::Fail(_) => None,
            };
            let Some(write) = write.filter(|_| tries < TRIES) else {
                break;
            };
            match self.undo(id, &write).await {
                Ok(()) => (tries, error) = (0, None),
                Err(why) => (tries, error) = (tries + 1, Some(failed(&write, &why))),
            }
            if let Ok(next) = timeout_at(Instant::now() + EFFECT, observations.next()).await {
                latest = next;
            }
        }
        // Then route its visitors there in any case, whatever it is still waiting for. The record of the replicas
        // disappears together with the diversion.
        let mut tries = 0;
        while tries < TRIES
            && let Some(write) = scale(&self.cluster.observe(id))
        {
            match self.undo(id, &write).await {
                Ok(()) => tries = 0,
                Err(why) => {
                    tries += 1;
                    error = Some(failed(&write, &why));
                }
            }
            let _ = timeout_at(Instant::now() + EFFECT, observations.next()).await;
        }
        error
    }

    /// Restores the replicas of an app, unless something else has scaled it to zero, and routes its visitors there.
    async fn give_back(&self, app: &IdledApp, end: Instant) -> anyhow::Result<()> {
        let id = &app.id;
        let mut error = match app.is_left {
            true => None,
            false => self.scale_up(id, end).await,
        };
        if !app.is_left && scale(&self.cluster.observe(id)).is_some() {
            return Err(error.unwrap_or_else(|| anyhow!("its replicas could not be restored")));
        }
        let mut observations = self.cluster.watch(id);
        observations.next().await;
        let mut tries = 0;
        while tries < TRIES
            && let Some(write) = take_back(&self.cluster.observe(id))
        {
            match self.undo(id, &write).await {
                Ok(()) => tries = 0,
                Err(why) => {
                    tries += 1;
                    error.get_or_insert(failed(&write, &why));
                }
            }
            let _ = timeout_at(Instant::now() + EFFECT, observations.next()).await;
        }
        let is_back = |app: &App| {
            let mut services = app.services.iter();
            services.all(|service| matches!(service.leads, Leads::ToApp { .. }))
                && app
                    .workloads
                    .iter()
                    .all(|workload| workload.record.is_none())
        };
        match (error, self.cluster.observe(id)) {
            (_, Ok(app)) if is_back(&app) => Ok(()),
            (Some(error), _) => Err(error),
            (None, Ok(_)) => Err(anyhow!(
                "it is not known where its Service pointed, or the Service points elsewhere: `unidler doctor` says what to do"
            )),
            (None, Err(reason)) => Err(anyhow!("it cannot be found: {reason:?}")),
        }
    }

    /// Performs a write of a wake-up, but removes a diversion permanently.
    async fn undo(&self, id: &AppId, write: &Write) -> Result<(), ApplyError> {
        if let Write::Restore { service, .. } = write {
            let found = self.cluster.observer.app(id);
            let found = found.map_err(|_| ApplyError::Conflict)?;
            let service = found.service(service).ok_or(ApplyError::Conflict)?;
            if service.value.points_at == PointsAt::Pods {
                let slice = found.diverting(service).ok_or(ApplyError::Conflict)?;
                return self.cluster.delete_slice(slice).await;
            }
        }
        self.cluster.apply(id, write).await
    }
}

/// The next workload whose replicas have to be restored.
fn scale(observation: &Observation) -> Option<Write> {
    let workloads = observation.as_ref().ok()?.workloads.iter();
    let mut asleep = workloads.filter(|workload| workload.replicas == 0);
    asleep.find_map(|workload| {
        Some(Write::Scale {
            workload: workload.id.clone(),
            version: workload.version.clone(),
            replicas: workload.record?.replicas,
        })
    })
}

/// The next object that has to be restored, whether or not the app responds to visitors. A workload without replicas
/// keeps its marks, since they record how many it had.
fn take_back(observation: &Observation) -> Option<Write> {
    let app = observation.as_ref().ok()?;
    let is_here = |service: &&Service| match &service.leads {
        Leads::Here(diversion) => {
            diversion.restorable && !matches!(diversion.effect, Effect::Gone | Effect::Missing)
        }
        Leads::ToApp { .. } | Leads::Elsewhere => false,
    };
    if let Some(service) = app.services.iter().find(is_here) {
        return Some(Write::Restore {
            service: service.id.clone(),
            version: service.version.clone(),
            ended: Ended::Woken { took: None },
        });
    }
    let is_marked = |workload: &&Workload| workload.record.is_some() && workload.replicas > 0;
    let workload = app.workloads.iter().find(is_marked);
    let workload = workload.filter(|_| !app.leads_here())?;
    Some(Write::ClearIdled {
        workload: workload.id.clone(),
        version: workload.version.clone(),
        took: None,
    })
}

fn failed(write: &Write, why: &ApplyError) -> anyhow::Error {
    let (object, _) = write.target();
    anyhow!("{object}: {why}")
}
