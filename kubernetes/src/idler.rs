//! Puts apps to sleep by itself, and wakes them when their hours begin.
//!
//! ```text
//!  each minute   rules of each app (objects/sleep_rules)   ─┐
//!                use of each app (usage)                   ─┼─> unidler::sleep::decide ──> Hub::idle, Hub::wake
//!                records and history of the slices         ─┘              └──> `unidler plan`
//! ```
//!
//! The state that is kept from one minute to the next consists of the answers of the sources, the changes of workloads,
//! and the recent attempts. A restart may lose it, since nothing is put to sleep for a while after it.

mod attempts;
mod rules;
mod settings;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    time::Duration,
};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use metrics::gauge;
use serde::Serialize;
use tokio::task::block_in_place;
use tracing::{info, warn};
use unidler::{
    app::{AppId, ObjectId},
    hub::Hub,
    sleep::{
        brake::{Brake, Undone},
        decide::{By, Decision, Facts, Observed, State, Stay, What, decide},
        moment::Moment,
        verdict::{Answer, Use, Verdict, Why},
    },
};

pub use self::settings::IdlerSettings;
use self::{
    attempts::{Attempt, Attempts},
    rules::AppRules,
};
use crate::{
    api_server::ApiServer,
    cache::{Cache, Cached},
    caches::Caches,
    cluster::KubernetesCluster,
    diversion::{Handover, slice::Slice},
    found::Found,
    idle::{self, App, NotPlanned},
    listing::Listing,
    objects::PointsAt,
    observe::ServiceName,
    settings::ClusterSettings,
    surroundings::Surroundings,
    usage::{
        Ways,
        activity::{Activity, Asked},
        cpu::Cpu,
        requests::Requests,
    },
};

/// The maximum number of windows: each takes a query. An app whose window exceeds this number is judged by a longer
/// one.
const MAX_WINDOWS: usize = 16;

/// How long an app may take to answer once it has replicas, before it may be put to sleep again.
const STUCK: SignedDuration = SignedDuration::from_hours(1);

/// The metric of the number of apps, by what was last [decided](Decision::kind) about them.
pub const DECISIONS: &str = "unidler_idle_decisions";

/// Decides which apps sleep.
#[expect(missing_debug_implementations, reason = "a client has nothing to show")]
pub struct Idler {
    settings: IdlerSettings,
    requests: Option<Requests>,
    activity: Activity,
    /// The CPU usage of apps, if it is currently known and counts.
    cpu: Option<Cpu>,
    /// When it started to observe: no app is put to sleep until its window has passed since then.
    started: Timestamp,
    attempts: Attempts,
    /// The generation of each workload, and when it was observed to change. A workload does not record when its
    /// replicas changed.
    generations: HashMap<ObjectId, (i64, Option<Timestamp>)>,
    /// The number of apps by the last decision about them. What no app has any more is 0.
    counts: BTreeMap<&'static str, u32>,
}

/// An app that may be put to sleep.
struct Candidate {
    app: App,
    namespace: String,
    /// The names of the Services that fall asleep together.
    services: BTreeSet<String>,
    rules: AppRules,
}

impl Candidate {
    fn of(app: App, caches: &Caches, settings: &IdlerSettings) -> Option<Self> {
        let (namespace, services) = app.services()?;
        let namespace = namespace.to_owned();
        let services = caches.with_siblings(&namespace, services);
        let rules = AppRules::of(&namespace, &services, caches, settings);
        Some(Self {
            app,
            namespace,
            services,
            rules,
        })
    }

    /// All of it; `None` if it cannot be found as a whole.
    fn found(&self, caches: &Caches) -> Option<Found> {
        let services = self.services.iter().map(String::as_str).collect();
        caches.of_services(&self.namespace, &services).ok()
    }

    /// How to ask when it was last used, if it reports that itself.
    fn asked(&self, caches: &Caches, window: Duration) -> Option<Asked> {
        let url = self.rules.activity.clone()?;
        let found = self.found(caches)?;
        let (host, service, port) = found.reporting()?;
        Some(Asked {
            url,
            window,
            namespace: service.namespace.clone(),
            service: service.name.clone(),
            port: port.name.as_deref().unwrap_or_default().into(),
            host,
            id: found.id.clone(),
        })
    }
}

/// The decision about an app.
#[derive(Debug)]
pub struct Planned {
    app: App,
    namespace: String,
    /// The names of the Services that fall asleep together.
    services: BTreeSet<String>,
    /// `None` if it cannot be found as a whole.
    id: Option<AppId>,
    decision: Decision,
}

/// The apps for which to find out whether they can be put to sleep: that takes longer than everything else.
#[derive(Clone, Copy)]
enum Obstacles<'a> {
    OfAll(&'a Surroundings),
    OfUnused(&'a Surroundings),
    Unseen,
}

impl Idler {
    /// An idler that has been observing since a given time. `requests` is the source of request counts, if there is
    /// one.
    #[must_use]
    pub fn new(settings: IdlerSettings, requests: Option<Requests>, started: Timestamp) -> Self {
        Self {
            settings,
            requests,
            activity: Activity::new(),
            cpu: None,
            started,
            attempts: Attempts::default(),
            generations: HashMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Puts apps to sleep and wakes them, as decided now. To be called each minute. With `is_dry_run`, it only logs the
    /// decisions.
    pub async fn act(
        &mut self,
        api_server: &ApiServer,
        cluster: &KubernetesCluster,
        hub: &Hub,
        is_dry_run: bool,
    ) {
        let caches = &cluster.observer.caches;
        self.ask(caches, api_server, Timestamp::now()).await;
        // Checked only now, since asking the sources may have taken a while.
        if let Some(why) = caches.not_ready() {
            warn!("skipped idle check: {why}");
            return;
        }
        self.attempts.expire();
        self.note_changes(caches, Timestamp::now());
        let settings = cluster.observer.settings();
        let plan = |idler: &Self, obstacles: Obstacles<'_>| {
            // Thousands of apps take a second of computation.
            block_in_place(|| idler.plan(caches, settings, Timestamp::now(), obstacles))
        };
        self.cpu = None;
        let mut planned = plan(self, Obstacles::Unseen);
        let mut may_idle = true;
        if planned.iter().any(Planned::is_to_sleep) {
            self.look_at_cpu(api_server).await;
            match surroundings(api_server, caches).await {
                Ok(surroundings) => planned = plan(self, Obstacles::OfUnused(&surroundings)),
                Err(why) => {
                    warn!("putting no app to sleep: {why}");
                    may_idle = false;
                }
            }
        }
        self.count(&planned);
        planned.retain(|planned| may_idle || !planned.is_to_sleep());
        let awaited = planned.iter().filter(|_| !is_dry_run);
        let alarms = awaited.flat_map(Planned::alarms).collect();
        cluster.observer.set_alarms(alarms);
        for Planned {
            app, id, decision, ..
        } in planned
        {
            let Some(id) = id else { continue };
            match decision {
                Decision::Idle(_) | Decision::WakeBySchedule if is_dry_run => {
                    info!(%app, "dry run: {decision}");
                }
                Decision::Idle(by) => {
                    info!(%app, "{decision}");
                    self.attempts.begin(id.clone(), Attempt::Sleep);
                    let hub = hub.clone();
                    tokio::spawn(async move {
                        if let Err(why) = hub.idle(&id, by).await {
                            warn!(%app, "could not put {app} to sleep: {}", why.cause);
                        }
                    });
                }
                Decision::WakeBySchedule => {
                    if self.attempts.of(&id, &[Attempt::Wake]).is_none() {
                        info!(%app, "{decision}");
                        hub.wake(&id);
                        self.attempts.begin(id, Attempt::Wake);
                    }
                }
                Decision::StayAwake(Stay::Obstacle(_)) => {
                    if self.attempts.pause(&id).is_none() {
                        self.attempts.begin(id, Attempt::Obstacle);
                    }
                }
                Decision::StayAwake(_) => self.attempts.end(&id, &[Attempt::Wake]),
                Decision::StayAsleep { .. } => {
                    self.attempts.end(&id, &[Attempt::Sleep, Attempt::Obstacle]);
                }
            }
        }
    }

    /// Updates the metric of the decisions, and logs that the brake begins to hold.
    fn count(&mut self, planned: &[Planned]) {
        let before = mem::take(&mut self.counts);
        self.counts = before.keys().map(|kind| (*kind, 0)).collect();
        let mut hold = None;
        for Planned { decision, .. } in planned {
            let kind = decision.kind();
            *self.counts.entry(kind).or_default() += 1;
            if let Decision::StayAwake(Stay::Held(held)) = decision {
                hold.get_or_insert((kind, held));
            }
        }
        for (kind, count) in &self.counts {
            gauge!(DECISIONS, "decision" => *kind).set(*count);
        }
        if let Some((kind, hold)) = hold
            // Logged once, and not every minute for an hour.
            && before.get(kind).is_none_or(|count| *count == 0)
        {
            warn!(apps = self.counts[kind], "unused apps stay awake: {hold}");
        }
    }

    /// The decisions about all apps of a cluster, as listed.
    pub async fn plan_of(
        &mut self,
        Listing(caches): &Listing,
        api_server: &ApiServer,
        surroundings: &Surroundings,
        settings: &ClusterSettings,
        now: Timestamp,
    ) -> Vec<Planned> {
        self.ask(caches, api_server, now).await;
        if let Some(requests) = &mut self.requests {
            requests.ask_last_uses().await;
        }
        self.look_at_cpu(api_server).await;
        self.plan(caches, settings, now, Obstacles::OfAll(surroundings))
    }

    /// Asks for the CPU usage of apps, if that counts.
    async fn look_at_cpu(&mut self, api_server: &ApiServer) {
        if self.settings.busy_cpu.is_some() {
            self.cpu = Some(api_server.cpu().await);
        }
    }

    fn note_changes(&mut self, caches: &Caches, now: Timestamp) {
        let before = mem::take(&mut self.generations);
        let workloads = caches.workloads().flat_map(Cache::all);
        let generations = workloads.map(|workload| {
            let (id, generation) = (workload.id(), workload.value.generation);
            let since = match before.get(&id) {
                Some((same, since)) if *same == generation => *since,
                Some(_) => Some(now),
                None => None,
            };
            (id, (generation, since))
        });
        self.generations = generations.collect();
    }

    /// When a workload of an app was last changed.
    fn changed(&self, found: &Found) -> Option<Timestamp> {
        let workloads = found.workloads.iter();
        let times = workloads.filter_map(|workload| {
            let seen = self.generations.get(&workload.id());
            let seen = seen.and_then(|(_, since)| *since);
            workload.value.changed.max(seen)
        });
        times.max()
    }

    /// Whether an app is neither asleep nor awake: something has woken it long ago, and it still does not answer.
    fn is_stuck(&self, found: &Found, caches: &Caches, now: Timestamp) -> bool {
        // What happened before this process is not known.
        let is_long_ago =
            |changed: Timestamp| now.duration_since(changed.max(self.started)) >= STUCK;
        let mut workloads = found.workloads.iter();
        self.changed(found).is_some_and(is_long_ago)
            && workloads.any(|each| each.value.replicas > 0 && found.is_selected(each))
            // Visitors may reach its pods in another way.
            && caches.exposed(found).is_none()
    }

    fn candidates(&self, caches: &Caches) -> Vec<Candidate> {
        let apps = idle::of_cluster(caches).into_iter();
        apps.filter_map(|app| Candidate::of(app, caches, &self.settings))
            .collect()
    }

    /// Queries the sources.
    async fn ask(&mut self, caches: &Caches, api_server: &ApiServer, now: Timestamp) {
        let (mut windows, mut asked) = (BTreeSet::new(), Vec::new());
        for candidate in self.candidates(caches) {
            if let Some(window) = candidate.rules.window() {
                windows.insert(window);
                asked.extend(candidate.asked(caches, window));
            }
        }
        // The shortest windows are left out, since a longer one serves their apps as well.
        let own = self.settings.idle_after;
        while windows.len() > MAX_WINDOWS {
            let Some(shortest) = windows.iter().copied().find(|window| Some(*window) != own) else {
                break;
            };
            windows.remove(&shortest);
        }
        if let Some(requests) = &mut self.requests {
            requests.refresh(&windows).await;
        }
        self.activity.refresh(asked, api_server, now).await;
    }

    /// The combined verdict of the sources on an app.
    fn seen(
        &self,
        rules: &AppRules,
        found: Option<&Found>,
        requests: impl FnOnce(Duration) -> Option<Verdict>,
        now: Timestamp,
    ) -> Use {
        let Some(window) = rules.window() else {
            return Use::of([]);
        };
        let activity = rules.activity.as_ref().map(|_| match found {
            Some(found) => self.activity.verdict(&found.id, window, now),
            None => Verdict::Silent(Why::ActivityDown),
        });
        // An app with an activity URL is not put to sleep because of its requests: they can only keep it awake.
        let requests =
            requests(window).filter(|said| activity.is_none() || *said != Verdict::Unused);
        let cpu = self
            .cpu
            .as_ref()
            .zip(self.settings.busy_cpu)
            .zip(found)
            .map(|((cpu, busy), found)| cpu.veto(found, busy));
        let answers = [
            activity.map(Answer::Activity),
            requests.map(Answer::Requests),
            cpu.map(Answer::Cpu),
        ];
        Use::of(answers.into_iter().flatten())
    }

    fn plan(
        &self,
        caches: &Caches,
        settings: &ClusterSettings,
        now: Timestamp,
        obstacles: Obstacles<'_>,
    ) -> Vec<Planned> {
        let ways = Ways::in_caches(caches);
        let counted = self
            .requests
            .as_ref()
            .map(|requests| requests.of_all(&ways));
        let (mut candidates, mut places) = (Vec::<(Candidate, _)>::new(), HashMap::new());
        for candidate in self.candidates(caches) {
            let found = candidate.found(caches);
            let next = candidates.len();
            let id = found.as_ref().map(|found| found.id.clone());
            let place = id.map_or(next, |id| *places.entry(id).or_insert(next));
            match candidates.get_mut(place) {
                // Several hosts may route to one app.
                Some((first, _)) => first.app.also(candidate.app),
                None => candidates.push((candidate, found)),
            }
        }
        let mut idled = self.idled(caches, &candidates, now);
        let shares = |found: &Found| {
            let asleep = since(found).filter(|_| is_asleep(found));
            asleep.is_none_or(|(since, _)| Brake::shares(now, since))
        };
        let may_sleep = candidates
            .iter()
            .filter(|(candidate, _)| candidate.rules.may_sleep());
        let count = may_sleep
            .filter(|(_, found)| found.as_ref().is_some_and(shares))
            .count();
        let mut planned = Vec::new();
        for (candidate, found) in candidates {
            let Candidate {
                app,
                namespace,
                services,
                rules,
            } = candidate;
            let obstacle = |surroundings: &Surroundings| {
                let plan =
                    idle::decide(&app, caches, surroundings, settings, &Handover::Slice, now);
                match plan {
                    Ok(_) | Err(NotPlanned::Already) => {
                        let found = found.as_ref()?;
                        rules::obstacle_of_source(found, caches, &self.settings).or_else(|| {
                            rules::obstacle_of_parts(found, caches, &self.settings, now)
                        })
                    }
                    Err(NotPlanned::Refused(why)) => Some(format!("{why:#}")),
                }
            };
            let is_asleep = found
                .as_ref()
                .is_some_and(|found| is_asleep(found) && !self.is_stuck(found, caches, now));
            let since = found.as_ref().and_then(since);
            let asleep = |(since, by)| State::Asleep {
                since,
                by,
                obstacle: rules.obstacle.clone(),
            };
            let is_half_asleep = !is_asleep && found.as_ref().is_some_and(is_half_asleep);
            let rest = since.filter(|_| is_half_asleep).map(asleep);
            let state = match since.filter(|_| is_asleep) {
                Some(since) => asleep(since),
                None => {
                    let requests = |window| {
                        let served = ways.to(&namespace, services.iter().map(String::as_str));
                        Some(counted.as_ref()?.verdict(&served, window))
                    };
                    State::Awake(Observed {
                        obstacle: rules.obstacle.clone().or_else(|| match obstacles {
                            Obstacles::OfAll(surroundings) => obstacle(surroundings),
                            Obstacles::OfUnused(_) | Obstacles::Unseen => None,
                        }),
                        undone: found.as_ref().and_then(undone),
                        woken: found.as_ref().and_then(woken),
                        changed: found.as_ref().and_then(|found| self.changed(found)),
                        started: self.started,
                        seen: self.seen(&rules, found.as_ref(), requests, now),
                        hold: {
                            let is_own = |idled: &&Idled| idled.is_of(&namespace, &services);
                            let others = idled.iter().filter(|idled| !is_own(idled));
                            let others = others.map(|idled| idled.since);
                            self.settings.brake.hold(now, others, count)
                        },
                    })
                }
            };
            let id = found.as_ref().map(|found| found.id.clone());
            let nobody = AppId::new("");
            // It is woken by the program that has put it to sleep, or by a visitor.
            let is_adopted = |found: &Found| found.is_adopted() || !found.adopted.is_empty();
            let is_adopted = found.as_ref().is_some_and(is_adopted);
            let decision = match &rules.rules {
                Some(rules) if !is_adopted => {
                    let decide = |state| {
                        decide(&Facts {
                            app: id.as_ref().unwrap_or(&nobody),
                            now,
                            rules,
                            wake_spread: self.settings.wake_spread,
                            state,
                        })
                    };
                    let rest = rest.map(decide);
                    match rest.filter(|rest| *rest == Decision::WakeBySchedule) {
                        Some(wakes) => wakes,
                        None => decide(state),
                    }
                }
                Some(_) | None => rules::not_asked(&state),
            };
            let decision = match decision {
                Decision::Idle(by) => self.attempt(by, id.as_ref(), || match obstacles {
                    Obstacles::OfAll(surroundings) | Obstacles::OfUnused(surroundings) => {
                        obstacle(surroundings)
                    }
                    Obstacles::Unseen => None,
                }),
                decision => decision,
            };
            if let Decision::Idle(_) = decision {
                idled.extend(Idled::of(&namespace, &services, now));
            }
            planned.push(Planned {
                app,
                namespace,
                services,
                id,
                decision,
            });
        }
        planned
    }

    /// The apps that were recently put to sleep: each counts once, however many Services it has. An attempt whose
    /// effect is not visible yet counts as well.
    fn idled(
        &self,
        caches: &Caches,
        candidates: &[(Candidate, Option<Found>)],
        now: Timestamp,
    ) -> Vec<Idled> {
        let slices = caches.slices.all();
        let slices = slices.iter().filter_map(|slice| Idled::by(slice));
        let of_slices = slices.filter(|idled| Brake::counts(now, idled.since));
        let mut of_slices: Vec<_> = of_slices.collect();
        let mut idled = Vec::new();
        for (candidate, found) in candidates {
            let Candidate {
                namespace,
                services,
                ..
            } = candidate;
            let own = of_slices.extract_if(.., |idled| idled.is_of(namespace, services));
            let seen = own.map(|idled| idled.since).max();
            let begun = found
                .as_ref()
                .and_then(|found| self.attempts.of(&found.id, &[Attempt::Sleep]));
            let begun = begun.map(|ago| now.checked_sub(ago).unwrap_or(now));
            if let Some(since) = seen.max(begun) {
                idled.extend(Idled::of(namespace, services, since));
            }
        }
        // Those whose routes are gone.
        idled.extend(of_slices);
        idled
    }

    /// The decision about an app that should sleep: to stay awake if that was attempted recently, or if there is an
    /// `obstacle`.
    fn attempt(
        &self,
        by: By,
        app: Option<&AppId>,
        obstacle: impl Fn() -> Option<String>,
    ) -> Decision {
        let stay = match app.and_then(|app| self.attempts.pause(app)) {
            Some((ago, remaining)) => Some(Stay::Recent {
                what: What::Attempted,
                ago,
                remaining,
            }),
            None => obstacle().map(Stay::Obstacle),
        };
        stay.map_or(Decision::Idle(by), Decision::StayAwake)
    }
}

/// The surroundings of the apps in the cluster. Putting an app to sleep takes both these and current caches.
async fn surroundings(api_server: &ApiServer, caches: &Caches) -> Result<Surroundings, String> {
    let surroundings = api_server.surroundings().await;
    let surroundings = surroundings.map_err(|error| format!("{error:#}"))?;
    if let Some(why) = &surroundings.unseen {
        return Err(format!(
            "cannot list the classes of ingress controllers: {why}"
        ));
    }
    match caches.may_decide() {
        true => Ok(surroundings),
        false => Err("the view of the cluster is not current".to_owned()),
    }
}

/// A Service whose app unidler has put to sleep automatically, and when, as far as that counts for the brake.
struct Idled {
    namespace: String,
    service: String,
    since: Timestamp,
}

impl Idled {
    /// The entry for an app, which counts once.
    fn of(namespace: &str, services: &BTreeSet<String>, since: Timestamp) -> Option<Self> {
        let service = services.first()?;
        Some(Self {
            namespace: namespace.to_owned(),
            service: service.clone(),
            since,
        })
    }

    /// The entry according to a slice.
    fn by(slice: &Cached<Slice>) -> Option<Self> {
        let (by, since) = match (&slice.value.record, &slice.value.history) {
            (Some(record), _) => (&record.by, record.since),
            (None, Some(history)) => (&history.by, history.idled),
            (None, None) => return None,
        };
        By::named(by).filter(|by| by.is_rule() || *by == By::Repair)?;
        Some(Self {
            namespace: slice.namespace.clone(),
            service: slice.value.service.to_string(),
            since,
        })
    }

    fn is_of(&self, namespace: &str, services: &BTreeSet<String>) -> bool {
        self.namespace == namespace && services.contains(&self.service)
    }
}

/// The slices of an app's Services.
fn slices(found: &Found) -> impl Iterator<Item = &Slice> {
    let services = found.services.iter();
    services.filter_map(|service| Some(&found.slice(service)?.value))
}

/// Whether an app is asleep, without regard to the workloads that it needs: those may be starting for another app.
fn is_asleep(found: &Found) -> bool {
    let mut services = found.services.iter();
    services.all(|service| found.leads_here(service))
}

/// Whether unidler keeps a part of an app asleep while another part is awake: one that has woken before, or was added.
fn is_half_asleep(found: &Found) -> bool {
    let mut services = found.services.iter();
    let slices = services.clone().filter_map(|each| found.diverting(each));
    let mut slices = slices.peekable();
    slices.peek().is_some()
        && slices.all(|slice| !slice.value.is_adopted())
        && services.all(|each| each.value.points_at == PointsAt::Pods)
}

/// Since when an app is asleep, and what put it to sleep.
fn since(found: &Found) -> Option<(Timestamp, Option<By>)> {
    let recorded = slices(found).filter_map(|slice| slice.record.as_ref());
    let recorded = recorded.map(|record| (record.since, By::named(&record.by)));
    let marked = found.workloads.iter();
    let marked = marked.filter_map(|workload| Some((workload.value.idled_at_time()?, None)));
    recorded.chain(marked).max_by_key(|(since, _)| *since)
}

fn woken(found: &Found) -> Option<Timestamp> {
    let woken = slices(found).filter_map(|slice| Some(slice.history.as_ref()?.woken));
    woken.max()
}

/// The most recently undone idling of its Services.
fn undone(found: &Found) -> Option<Undone> {
    let undone = slices(found).filter_map(|slice| slice.history.as_ref()?.undone.as_ref());
    undone.max_by_key(|undone| undone.last).cloned()
}

/// One app of a plan, for machines.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    hosts: &'a [String],
    namespace: &'a str,
    decision: &'static str,
    why: String,
    /// The earliest time at which it falls asleep, as far as that is known.
    not_before: Option<Timestamp>,
}

impl Planned {
    fn is_to_sleep(&self) -> bool {
        matches!(self.decision, Decision::Idle(_))
    }

    /// When its hours wake it, if it sleeps, for each of its Services: visitors may know only some of them.
    fn alarms(&self) -> impl Iterator<Item = (ServiceName, Moment)> + '_ {
        let until = match &self.decision {
            Decision::StayAsleep { until, .. } => until.as_ref(),
            _ => None,
        };
        let services = self.services.iter();
        let services = services.map(|name| (self.namespace.clone(), name.clone()));
        services.filter_map(move |service| Some((service, until?.clone())))
    }

    fn row(&self, now: Timestamp) -> Row<'_> {
        Row {
            hosts: self.app.hosts(),
            namespace: &self.namespace,
            decision: match self.decision {
                Decision::Idle(_) => "sleep",
                Decision::StayAwake(_) => "stay-awake",
                Decision::StayAsleep { .. } => "stay-asleep",
                Decision::WakeBySchedule => "wake",
            },
            why: self.decision.to_string(),
            not_before: self.decision.not_before(now),
        }
    }
}

/// The plan at a given time, for machines.
#[must_use]
pub fn rows(planned: &[Planned], now: Timestamp) -> impl Serialize + '_ {
    let row = |planned| Planned::row(planned, now);
    planned.iter().map(row).collect::<Vec<_>>()
}

/// A plan for people: one line per app.
#[must_use]
pub fn table(planned: &[Planned]) -> String {
    if planned.is_empty() {
        return "No route points to a Service.".to_owned();
    }
    let width = |planned: &Planned| planned.app.to_string().chars().count();
    let width = planned.iter().map(width).max().unwrap_or_default();
    let line = |planned: &Planned| {
        let app = planned.app.to_string();
        format!("{app:width$}  {}", planned.decision)
    };
    planned.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "so that `json!` can stand in the call"
)]
mod tests;
