//! A model-based property test: hubs on a small world that injects faults, crashes, stale reads and rivals at every
//! step, in thousands of seeded runs and in paused time.
//!
//! The world keeps the truth and checks it with each write. One to four workloads and a Service have a version each, as
//! in a real API server, and what a hub sees of either is older than the truth by a delay of its own. Rivals change
//! them in one write each, in the order that their program has, and may die in between.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use futures::future::{BoxFuture, join, join_all};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until};

use super::*;
use crate::{
    app::{
        App, AppId, Bonds, Diversion, Effect, Endpoints, Leads, ObjectId, Observation, Pods,
        Record, Service, Version, Workload,
    },
    cluster::{ApplyError, Write},
    probe::Probes,
    progress::{Phase, Reason},
};

const REPLICAS: u32 = 2;
/// How long a pod takes to become available.
const START: Duration = Duration::from_secs(8);
const DEADLINE: Duration = Duration::from_secs(120);
/// At least as long as the interval of the server's sweeps.
const SWEEP: Duration = Duration::from_secs(60);
/// How long the sweeps go on, and where faults have them back off up to an hour.
const AFTERWARDS: Duration = Duration::from_mins(20);
const AFTER_FAULTS: Duration = Duration::from_hours(8);
/// The longest that an idled app may be out of everybody's reach, if nothing goes wrong with the repair: until the
/// next sweep, the minute for which that looks at it, and what a write may take. A group is repaired in waves, each of
/// which may take as long.
const REACH: Duration = Duration::from_secs(135);
/// How much older than what a hub sees of it something may be when it is written.
const SIGHT: Duration = Duration::from_secs(1);

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    version: u64,
    idled: bool,
    replicas: u32,
    /// When its replicas were asked for.
    since: Option<Instant>,
    /// Whether unidler was the last to set its replicas, to zero. Counts only where a slice diverts.
    is_taken: bool,
    /// Whether unidler was the last to set its replicas, and has given it some since it put the app to sleep.
    is_woken: bool,
    /// Whether somebody else has scaled to zero what was awake, and not marked it: such a workload stays down.
    is_switched_off: bool,
    /// Whether visitors have reached it since it was asleep.
    was_awake: bool,
}

impl Part {
    /// Whether it is known what it was before it was idled: it is marked, or a slice that diverts has it in its record, or
    /// the workload itself shows that unidler has scaled it to zero.
    fn is_recorded(&self, index: usize, address: &Address) -> bool {
        self.idled || address.has_recorded(index) || (self.is_taken && self.replicas == 0)
    }

    /// Looks at it after a change, of the Service's too.
    fn look(&mut self, index: usize, address: &Address) {
        let is_recorded = self.is_recorded(index, address);
        self.was_awake |= !self.idled && self.replicas > 0 && !address.is_ours;
        if is_recorded && self.replicas == 0 {
            self.was_awake = false;
        }
    }

    fn is_available(&self, at: Instant) -> bool {
        self.replicas > 0
            && self
                .since
                .is_some_and(|since| at.saturating_duration_since(since) >= START)
    }
}

/// The Service, with its slice.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    version: u64,
    is_ours: bool,
    /// The workloads in the record of the slice, where it is a slice that diverts.
    record: Vec<usize>,
}

impl Address {
    fn has_recorded(&self, part: usize) -> bool {
        self.is_ours && self.record.contains(&part)
    }
}

/// What there was to see of an object, and since when.
#[derive(Debug)]
struct History<T>(VecDeque<(Instant, T)>);

impl<T: Clone> History<T> {
    fn new(first: T) -> Self {
        Self(VecDeque::from([(Instant::now(), first)]))
    }

    fn now(&self) -> &T {
        &self.0.back().expect("it begins with one").1
    }

    fn seen(&self, age: Duration) -> T {
        let then = Instant::now().checked_sub(age);
        let seen = self
            .0
            .iter()
            .rev()
            .find(|(since, _)| then.is_some_and(|then| *since <= then));
        seen.or(self.0.front())
            .map_or_else(|| self.now().clone(), |(_, seen)| seen.clone())
    }

    /// Whether something was true of it at any time since then.
    fn was(&self, age: Duration, is: impl Fn(&T) -> bool) -> bool {
        let then = Instant::now().checked_sub(age);
        let mut until = None;
        self.0.iter().rev().any(|(since, state)| {
            let is_recent = until.is_none_or(|until| then.is_none_or(|then| until >= then));
            until = Some(*since);
            is_recent && is(state)
        })
    }

    fn change(&mut self, change: impl FnOnce(&mut T)) {
        let mut changed = self.now().clone();
        change(&mut changed);
        self.0.push_back((Instant::now(), changed));
    }
}

/// What goes wrong with a write.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Conflict,
    /// It is refused, and nothing happens.
    Lost,
    /// It takes effect, but the answer is lost.
    AnswerLost,
    Forbidden,
}

/// One write of somebody else. None asks for a version.
#[derive(Clone, Copy, Debug)]
enum Half {
    Mark(usize),
    ScaleToZero(usize),
    MarkAndScaleToZero(usize),
    DivertService,
}

/// What somebody else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Idlers, by the order of their writes. All leave alone what is marked.
    ServiceFirst,
    WorkloadsFirst,
    LabelFirst,
    /// Somebody marks anew what may be marked already.
    MarkAgain,
    /// An autoscaler, a downscaler or a human, who knows nothing of marks.
    ScaleToZero,
    ScaleUp,
    /// Something else that needs the last of a group is started, or switched off.
    UserStarts,
    UserStops,
    /// A process of unidler puts the app to sleep.
    Idle,
    /// What keeps objects as they are in Git restores the Service, and only that.
    RestoreService,
    /// A process of unidler is killed and started again.
    Crash,
    /// The cluster's API cannot be watched for some seconds.
    Disconnect,
    /// A visitor whom the ingress leads to unidler, for as long as the Service says so.
    Visit,
    /// One who only joins, for a minute.
    Join,
}

/// Something that happens at a time, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Event {
    at: u64,
    deed: Deed,
    /// How long its writes are apart.
    gap: u64,
    /// How many more than one of its writes are done before it dies, modulo all.
    halves: usize,
    hub: usize,
    /// The workload that it is about, if it is about one.
    part: usize,
}

/// One run.
#[derive(Clone, Debug)]
struct Script {
    is_awake: bool,
    /// Whether a slice diverts the visitors, and not the Service itself.
    is_sliced: bool,
    /// Whether each workload needs the next one, of which the last is of the app only because of that.
    is_group: bool,
    parts: usize,
    hubs: usize,
    faults: Vec<Fault>,
    events: Vec<Event>,
    /// How old what a hub sees of the workloads and of the Service may be, in milliseconds.
    staleness: (u64, u64),
}

impl Script {
    fn has(&self, deed: Deed) -> bool {
        self.events.iter().any(|event| event.deed == deed)
    }
}

fn script() -> impl Strategy<Value = Script> {
    let fault = prop_oneof![
        4 => Just(Fault::None), 2 => Just(Fault::Conflict), 1 => Just(Fault::Lost), 1 => Just(Fault::AnswerLost), 1 => Just(Fault::Forbidden)
    ];
    let deed = prop_oneof![
        3 => Just(Deed::ServiceFirst),
        1 => Just(Deed::WorkloadsFirst),
        1 => Just(Deed::LabelFirst),
        1 => Just(Deed::MarkAgain),
        2 => Just(Deed::ScaleToZero),
        1 => Just(Deed::ScaleUp),
        1 => Just(Deed::UserStarts),
        1 => Just(Deed::UserStops),
        3 => Just(Deed::Idle),
        1 => Just(Deed::RestoreService),
        1 => Just(Deed::Crash),
        1 => Just(Deed::Disconnect),
        3 => Just(Deed::Visit),
        2 => Just(Deed::Join),
    ];
    let event = (
        0_u64..20_000,
        deed,
        0_u64..4_000,
        0_usize..60,
        0_usize..3,
        0_usize..4,
    )
        .prop_map(|(at, deed, gap, halves, hub, part)| Event {
            at,
            deed,
            gap,
            halves,
            hub,
            part,
        });
    let faults = prop_oneof![Just(Vec::new()), proptest::collection::vec(fault, 1..8)];
    let events = proptest::collection::vec(event, 0..5);
    (
        any::<(bool, bool, bool)>(),
        prop_oneof![3 => Just(1), 2 => 2_usize..5],
        1_usize..4,
        faults,
        events,
        (0_u64..1_000, 0_u64..1_000),
    )
        .prop_map(
            |((is_awake, is_sliced, is_group), parts, hubs, faults, events, staleness)| Script {
                is_awake,
                is_sliced,
                // The marks of 2020 have no groups.
                is_group: is_group && is_sliced && parts > 1,
                parts,
                hubs,
                faults,
                events,
                staleness,
            },
        )
}

#[derive(Clone, Debug)]
struct World {
    truth: Arc<Mutex<Truth>>,
    staleness: (Duration, Duration),
}

#[derive(Debug)]
struct Truth {
    is_sliced: bool,
    is_group: bool,
    parts: Vec<History<Part>>,
    /// Whether something else is awake that needs the last of a group.
    user: History<bool>,
    /// Whether there is such a thing, awake or not.
    is_shared: bool,
    service: History<Address>,
    faults: VecDeque<Fault>,
    connected: bool,
    /// Whether the app was ever up.
    was_up: bool,
    /// Since when nobody can reach an app that is marked as idled, and how many workloads were asleep at most.
    stranded: Option<(Instant, u32)>,
    /// Whether unidler is to put it to sleep.
    is_to_sleep: bool,
    /// Whether nobody else does anything.
    is_alone: bool,
    /// Whether the sweep has nothing to back off from, so that it is known how long that may last.
    is_calm: bool,
    scales: usize,
}

impl World {
    fn new(script: &Script) -> Self {
        let (is_awake, is_sliced) = (script.is_awake, script.is_sliced);
        let part = match is_awake {
            true => Part {
                version: 1,
                idled: false,
                is_taken: false,
                is_woken: false,
                replicas: REPLICAS,
                since: Instant::now().checked_sub(START),
                is_switched_off: false,
                was_awake: true,
            },
            false => Part {
                version: 1,
                idled: !is_sliced,
                is_taken: is_sliced,
                is_woken: false,
                replicas: 0,
                since: None,
                is_switched_off: false,
                was_awake: false,
            },
        };
        let truth = Truth {
            is_sliced,
            is_group: script.is_group,
            user: History::new(false),
            is_shared: script.has(Deed::UserStarts) || script.has(Deed::UserStops),
            parts: (0..script.parts)
                .map(|_| History::new(part.clone()))
                .collect(),
            service: History::new(Address {
                version: 1,
                is_ours: !is_awake,
                record: (0..script.parts).filter(|_| is_sliced).collect(),
            }),
            faults: script.faults.iter().copied().collect(),
            connected: true,
            was_up: is_awake,
            stranded: None,
            is_to_sleep: script.has(Deed::Idle),
            is_alone: script.events.is_empty(),
            is_calm: script.faults.is_empty()
                && script.events.len() <= 2
                && !script.has(Deed::Crash),
            scales: 0,
        };
        let (parts, service) = script.staleness;
        let staleness = (Duration::from_millis(parts), Duration::from_millis(service));
        Self {
            truth: Arc::new(Mutex::new(truth)),
            staleness,
        }
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().expect("no panic in the world")
    }

    /// Does the writes of a deed, some time apart, until it dies.
    async fn write_of_rival(&self, halves: &[Half], event: Event) {
        let done = 1 + event.halves % halves.len().max(1);
        for half in halves.iter().take(done) {
            self.truth().half(*half);
            sleep(Duration::from_millis(event.gap)).await;
        }
    }

    async fn deed(&self, event: Event) {
        let (parts, is_marked, is_sliced) = {
            let truth = self.truth();
            let is_marked = truth.parts.iter().any(|part| part.now().idled);
            (truth.parts.len(), is_marked, truth.is_sliced)
        };
        let all = |half: fn(usize) -> Half| (0..parts).map(half).collect::<Vec<_>>();
        let part = event.part % parts;
        let halves = match event.deed {
            Deed::ServiceFirst | Deed::WorkloadsFirst | Deed::LabelFirst if is_marked => Vec::new(),
            // Nobody else writes slices.
            Deed::ServiceFirst | Deed::WorkloadsFirst | Deed::LabelFirst | Deed::MarkAgain
                if is_sliced =>
            {
                Vec::new()
            }
            Deed::ServiceFirst => {
                [vec![Half::DivertService], all(Half::MarkAndScaleToZero)].concat()
            }
            Deed::WorkloadsFirst => {
                [all(Half::MarkAndScaleToZero), vec![Half::DivertService]].concat()
            }
            Deed::LabelFirst => [
                all(Half::Mark),
                all(Half::ScaleToZero),
                vec![Half::DivertService],
            ]
            .concat(),
            Deed::MarkAgain => vec![Half::Mark(part)],
            Deed::ScaleToZero => vec![Half::ScaleToZero(part)],
            Deed::ScaleUp => return self.truth().scale_up(part),
            Deed::RestoreService => return self.truth().restore(),
            Deed::UserStarts | Deed::UserStops => {
                let is_awake = event.deed == Deed::UserStarts;
                return self.truth().user.change(|user| *user = is_awake);
            }
            Deed::Disconnect => {
                self.truth().connected = false;
                sleep(Duration::from_secs(5)).await;
                self.truth().connected = true;
                return;
            }
            Deed::Idle | Deed::Crash | Deed::Visit | Deed::Join => return,
        };
        self.write_of_rival(&halves, event).await;
    }

    fn write(&self, write: &Write) -> Result<(), ApplyError> {
        let mut truth = self.truth();
        let fault = truth.faults.pop_front().unwrap_or(Fault::None);
        let lost = || ApplyError::Unreachable {
            message: "lost".into(),
            retry_after: None,
        };
        match fault {
            Fault::None | Fault::AnswerLost => {}
            Fault::Conflict => return Err(ApplyError::Conflict),
            Fault::Lost => return Err(lost()),
            Fault::Forbidden => return Err(ApplyError::Forbidden("for once".into())),
        }
        let service = truth.service.now().clone();
        let (id, seen) = write.target();
        let part = id.as_str().parse::<usize>().ok();
        let workload = part.map(|part| truth.parts[part].now().clone());
        let now = workload
            .as_ref()
            .map_or(service.version, |part| part.version);
        if *seen != version(now) {
            return Err(ApplyError::Conflict);
        }
        let puts_to_sleep = matches!(write, Write::Divert { .. } | Write::Idle { .. });
        let is_marked = |part: usize| truth.parts[part].now().is_recorded(part, &service);
        // A write to a workload carries no version of the slice.
        let was_ours = truth.is_sliced
            && truth
                .service
                .was(self.staleness.1 + SIGHT, |service| service.is_ours);
        let is_idled = service.is_ours || was_ours || (0..truth.parts.len()).any(is_marked);
        assert!(
            is_idled || (puts_to_sleep && truth.is_to_sleep),
            "written to an app that is not idled: {write:?}"
        );
        let sight = self.staleness.0 + SIGHT;
        match (write, part.zip(workload)) {
            (Write::Scale { replicas, .. }, Some((part, workload))) => {
                assert_eq!(
                    (
                        workload.idled || truth.is_sliced,
                        workload.replicas,
                        *replicas
                    ),
                    (true, 0, REPLICAS),
                    "replicas are never lowered"
                );
                for need in truth.needs(part) {
                    let now = Instant::now();
                    let is_enough = |need: &Part| {
                        need.is_available(now) || (need.replicas == 0 && !need.is_taken)
                    };
                    assert!(
                        truth.parts[need].was(sight, is_enough),
                        "what it needs was not available"
                    );
                }
                truth.change_part(part, |part| {
                    (part.replicas, part.since) = (REPLICAS, Some(Instant::now()));
                    (part.is_taken, part.is_switched_off) = (false, false);
                    part.is_woken = true;
                });
                truth.scales += 1;
            }
            (Write::ClearIdled { .. }, Some((part, workload))) => {
                assert!(
                    workload.idled && workload.replicas > 0,
                    "what is down stays marked"
                );
                truth.change_part(part, |part| part.idled = false);
            }
            (Write::Restore { .. }, None) => {
                assert!(service.is_ours);
                let has_come_up = |part: &History<Part>| part.now().is_available(Instant::now());
                // A Service is given back when it has a ready endpoint, if that can be seen.
                let is_enough = match truth.is_sliced {
                    true => truth.parts[..truth.own()].iter().any(has_come_up),
                    false => truth.parts.iter().all(has_come_up),
                };
                assert!(
                    !truth.is_alone || is_enough,
                    "visitors are led to an app that is not up"
                );
                truth.change_service(false);
            }
            (Write::Divert { .. }, None) => truth.change_service(true),
            (Write::Idle { .. }, Some((part, workload))) => {
                assert!(workload.replicas > 0, "what is down is left alone");
                let is_used = |user: usize| {
                    truth.needs(user).contains(&part)
                        && !truth.parts[user].was(sight, |user| user.replicas == 0)
                };
                assert!(
                    !(0..truth.parts.len()).any(is_used),
                    "something of the app that is awake needs it"
                );
                assert!(
                    part < truth.own() || truth.user.was(sight, |is_awake| !is_awake),
                    "something else that is awake needs it"
                );
                match truth.is_sliced {
                    true => truth.change_part(part, |part| {
                        (part.replicas, part.since) = (0, None);
                        (part.is_taken, part.is_switched_off) = (true, false);
                        part.is_woken = false;
                    }),
                    false => truth.half(Half::MarkAndScaleToZero(part)),
                }
            }
            (write, _) => panic!("{write:?} is for another kind of object"),
        }
        if matches!(fault, Fault::AnswerLost) {
            Err(lost())
        } else {
            Ok(())
        }
    }
}

impl Truth {
    /// How many of the workloads are of the app itself.
    fn own(&self) -> usize {
        self.parts.len() - usize::from(self.is_group)
    }

    /// Whether somebody wants the app, of which nothing but a need is up.
    fn is_begun<'a>(&self, parts: impl DoubleEndedIterator<Item = &'a Part>) -> bool {
        let mut parts = parts.rev();
        let is_need_woken = self.is_group && parts.next().is_some_and(|need| need.is_woken);
        !self.is_shared && is_need_woken && parts.all(|own| own.is_taken)
    }

    /// What a workload needs.
    fn needs(&self, part: usize) -> std::ops::Range<usize> {
        let end = if self.is_group { part + 2 } else { 0 };
        part + 1..end.min(self.parts.len())
    }

    fn change_part(&mut self, part: usize, change: impl FnOnce(&mut Part)) {
        let address = self.service.now().clone();
        self.parts[part].change(|state| {
            change(state);
            state.version += 1;
            state.look(part, &address);
        });
        self.check();
    }

    fn change_service(&mut self, is_ours: bool) {
        // To write what is there already changes nothing, not even the version.
        let is_behind = |part: &History<Part>| part.now().replicas > 0 || part.now().is_taken;
        let behind = self.parts.iter().enumerate();
        let behind = behind.filter(|(_, part)| self.is_sliced && is_behind(part));
        let record: Vec<_> = behind.map(|(index, _)| index).collect();
        if self.service.now().is_ours != is_ours {
            self.service.change(|service| {
                service.is_ours = is_ours;
                service.record = record;
                service.version += 1;
            });
        }
        let address = self.service.now().clone();
        for (index, part) in self.parts.iter_mut().enumerate() {
            let part = &mut part.0.back_mut().expect("it begins with one").1;
            // With the record of the slice goes what was known of whoever is down by somebody else's doing.
            part.is_switched_off |=
                self.is_sliced && part.replicas == 0 && !part.is_recorded(index, &address);
            part.is_woken &= !is_ours;
            part.look(index, &address);
        }
        self.check();
    }

    fn half(&mut self, half: Half) {
        match half {
            // What is at zero and marked is idled, whatever it was.
            Half::Mark(part) => self.change_part(part, |part| {
                (part.idled, part.is_switched_off) = (true, false);
            }),
            Half::ScaleToZero(part) if self.parts[part].now().replicas > 0 => {
                let is_recorded = self.service.now().has_recorded(part);
                self.change_part(part, |part| {
                    part.is_switched_off |= !part.idled && !is_recorded && part.was_awake;
                    (part.replicas, part.since, part.is_taken) = (0, None, false);
                    part.is_woken = false;
                });
            }
            Half::MarkAndScaleToZero(part) => self.change_part(part, |part| {
                (part.idled, part.replicas, part.since) = (true, 0, None);
                part.is_switched_off = false;
            }),
            Half::DivertService => self.change_service(true),
            Half::ScaleToZero(_) => {}
        }
    }

    fn scale_up(&mut self, part: usize) {
        self.change_part(part, |part| {
            part.replicas = part.replicas.max(1) + 1;
            part.since = part.since.or(Some(Instant::now()));
            (part.is_switched_off, part.is_taken) = (false, false);
            part.is_woken = false;
        });
    }

    fn restore(&mut self) {
        self.change_service(false);
    }

    /// Looks at the state after a change.
    fn check(&mut self) {
        let is_ours = self.service.now().is_ours;
        let asleep = (0..self.parts.len()).filter(|part| self.is_asleep(*part));
        let waves = u32::try_from(asleep.count()).expect("few parts");
        let is_stranded = !is_ours && waves > 0;
        match self.stranded {
            Some((since, waves)) if !is_stranded => {
                assert!(
                    !self.is_calm || since.elapsed() <= REACH * waves,
                    "out of reach for {:?}, with {waves} waves to wake",
                    since.elapsed()
                );
                self.stranded = None;
            }
            Some((since, before)) => self.stranded = Some((since, before.max(waves))),
            None if is_stranded => self.stranded = Some((Instant::now(), waves)),
            None => {}
        }
    }

    fn is_recorded(&self, part: usize) -> bool {
        self.parts[part].now().is_recorded(part, self.service.now())
    }

    fn is_asleep(&self, part: usize) -> bool {
        self.is_recorded(part) && self.parts[part].now().replicas == 0
    }

    fn is_up(&self) -> bool {
        let is_part =
            |(index, part): &(usize, &Part)| self.is_recorded(*index) || part.replicas > 0;
        let parts = || {
            let parts = self.parts.iter().map(History::now).enumerate();
            parts.filter(is_part).map(|(_, part)| part)
        };
        !self.service.now().is_ours
            && parts().next().is_some()
            && parts().all(|part| part.is_available(Instant::now()))
    }
}

fn id_of(part: usize) -> ObjectId {
    ObjectId::new(&part.to_string())
}

fn version(version: u64) -> Version {
    Version(version.to_string())
}

impl Cluster for World {
    fn find(&self, _: &Host) -> Result<AppId, Reason> {
        Ok(app())
    }

    fn apps(&self) -> Vec<AppId> {
        vec![app()]
    }

    fn observe(&self, _: &AppId) -> Observation {
        let mut truth = self.truth();
        let service = truth.service.seen(self.staleness.1);
        let then = Instant::now().checked_sub(self.staleness.0);
        let parts: Vec<_> = truth
            .parts
            .iter()
            .map(|part| part.seen(self.staleness.0))
            .map(|part| {
                let is_available = then.is_some_and(|then| part.is_available(then));
                (part, is_available)
            })
            .collect();
        let is_recorded = |index: usize| parts[index].0.is_recorded(index, &service);
        let is_part = |index: usize| parts[index].0.replicas > 0 || is_recorded(index);
        // Endpoints come of pods and Service, and are seen as late as the pods.
        let was_up = (0..parts.len()).any(is_part)
            && (0..parts.len()).all(|index| parts[index].1 || !is_part(index))
            && !match truth.is_sliced {
                true => service.is_ours,
                false => truth.service.seen(self.staleness.0).is_ours,
            };
        truth.was_up |= was_up;
        let user = truth.user.seen(self.staleness.0);
        let is_begun = truth.is_begun(parts.iter().map(|(part, _)| part));
        let bonds = |index: usize| Bonds {
            needs: truth.needs(index).map(id_of).collect(),
            of: None,
            is_need: index >= truth.own(),
            is_in_use: index >= truth.own() && user,
            is_woken_for_app: index >= truth.own() && is_begun,
        };
        let workload = |(index, (part, is_available)): (usize, &(Part, bool))| Workload {
            id: id_of(index),
            version: version(part.version),
            record: is_recorded(index).then_some(Record {
                replicas: REPLICAS,
                is_recent: false,
                is_fleeting: !part.idled && !part.is_taken,
            }),
            replicas: part.replicas,
            available: if *is_available { part.replicas } else { 0 },
            trouble: None,
            pods: Pods::default(),
            usual: None,
            bonds: bonds(index),
        };
        let endpoints = |is_ready: bool| {
            if is_ready {
                Endpoints::Ready
            } else {
                Endpoints::NotReady
            }
        };
        let behind = || parts[..truth.own()].iter();
        let beside = |effect| {
            let is_ready = behind().any(|(_, is_available)| *is_available);
            Leads::Here(Diversion {
                restorable: true,
                effect,
                endpoints: Some(endpoints(is_ready)),
            })
        };
        let is_lost = truth.is_sliced
            && behind().any(|(part, _)| part.is_taken)
            && behind().all(|(part, _)| part.replicas == 0);
        let leads = match (service.is_ours, truth.is_sliced) {
            (true, true) => beside(Effect::Leads),
            (true, false) => Leads::Here(Diversion::instead(true)),
            (false, _) if is_lost => beside(Effect::Gone),
            (false, true) => Leads::ToApp {
                endpoints: endpoints(behind().any(|(_, is_available)| *is_available)),
            },
            (false, false) => Leads::ToApp {
                endpoints: endpoints(was_up),
            },
        };
        Ok(App {
            connected: truth.connected,
            title: None,
            probes: Probes::default(),
            start: crate::start::Start::default(),
            wakes: None,
            services: vec![Service {
                id: ObjectId::new("service"),
                version: version(service.version),
                leads,
            }],
            workloads: parts.iter().enumerate().map(workload).collect(),
        })
    }

    fn watch(&self, app: &AppId) -> futures::stream::BoxStream<'static, Observation> {
        let (world, app) = (self.clone(), app.clone());
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(
            Duration::from_millis(250),
        ));
        ticks.map(move |_| world.observe(&app)).boxed()
    }

    fn apply<'a>(
        &'a self,
        _: &'a AppId,
        write: &'a Write,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async {
            // A crash may come before the write, and after it.
            sleep(Duration::from_millis(20)).await;
            let result = self.write(write);
            sleep(Duration::from_millis(20)).await;
            result
        })
    }
}

fn app() -> AppId {
    AppId::new("app")
}

fn host() -> Host {
    Host::parse("app.example").expect("a host")
}

/// A visitor: comes again when a stream ends without a result, as the page does; until there is one.
async fn visit(world: &World, hub: &Mutex<Hub>) -> Phase {
    let mut phases = Vec::new();
    let begun = Instant::now();
    loop {
        let mut snapshots = std::pin::pin!(hub.lock().expect("no panic").start(&host()));
        while let Some(progress) = snapshots.next().await {
            if let Phase::Ready { .. } = progress.phase {
                assert!(world.truth().was_up, "ready, though the app never was");
            }
            phases.push(progress.phase);
        }
        // A failure may heal: the page polls, and so comes again.
        if let Some(
            end @ (Phase::Ready { .. }
            | Phase::Failed {
                reason: Reason::ScaledDown | Reason::SwitchedOff,
            }),
        ) = phases.last()
        {
            return *end;
        }
        assert!(
            begun.elapsed() < DEADLINE * 3,
            "a stream ends with a result: {phases:?}"
        );
        sleep(Duration::from_secs(1)).await;
    }
}

async fn run(script: Script) {
    let world = World::new(&script);
    let new_hub = || {
        Hub::new(
            Arc::new(world.clone()),
            Settings {
                deadline: DEADLINE,
                ..Settings::default()
            },
        )
    };
    let hubs: Vec<Mutex<Hub>> = (0..script.hubs).map(|_| Mutex::new(new_hub())).collect();
    let begun = Instant::now();

    let events = script.events.iter().map(async |event| {
        sleep_until(begun + Duration::from_millis(event.at)).await;
        let hub = &hubs[event.hub % hubs.len()];
        match event.deed {
            Deed::Crash => {
                let old = std::mem::replace(&mut *hub.lock().expect("no panic"), new_hub());
                old.shutdown().await;
                // As the server does when it starts.
                hub.lock().expect("no panic").sweep();
            }
            Deed::Idle => {
                let hub = hub.lock().expect("no panic").clone();
                let begun = Instant::now();
                let outcome = hub.idle(&app(), By::Command).await;
                let limit = DEADLINE * 2 + Duration::from_secs(10);
                assert!(
                    begun.elapsed() <= limit,
                    "idling took {:?}",
                    begun.elapsed()
                );
                let is_alone = script.hubs == 1 && script.events.len() == 1;
                assert!(
                    !(is_alone && script.is_awake && script.faults.is_empty()) || outcome.is_ok(),
                    "{outcome:?}"
                );
            }
            Deed::Visit if world.truth().service.now().is_ours => drop(visit(&world, hub).await),
            Deed::Join if world.truth().service.now().is_ours => {
                let joined = hub.lock().expect("no panic").join(&host());
                drop(tokio::time::timeout(SWEEP, joined.count()).await);
            }
            _ => world.deed(*event).await,
        }
    });
    let sweeps = async {
        let last = begun
            + if script.faults.is_empty() {
                AFTERWARDS
            } else {
                AFTER_FAULTS
            };
        while Instant::now() < last {
            for hub in &hubs {
                hub.lock().expect("no panic").sweep();
            }
            sleep(SWEEP).await;
        }
    };
    // Somebody starts what is asleep.
    let visits = join_all(
        hubs.iter()
            .filter(|_| !script.is_awake)
            .map(|hub| visit(&world, hub)),
    );
    join(sweeps, join(visits, join_all(events))).await;

    // Whatever was left half done is in a good state, without anybody.
    {
        let truth = world.truth();
        let is_ours = truth.service.now().is_ours;
        let parts = || truth.parts[..truth.own()].iter().map(History::now);
        let mut all = 0..truth.own();
        let is_awake = all.clone().all(|part| !truth.is_recorded(part)) && truth.is_up();
        let is_half_woken = all
            .clone()
            .any(|part| truth.is_recorded(part) && !truth.is_asleep(part))
            || truth.is_begun(truth.parts.iter().map(History::now));
        let is_asleep = is_ours && !is_half_woken && all.any(|part| truth.is_asleep(part));
        let is_off = parts().all(|part| part.is_switched_off && part.replicas == 0);
        assert!(
            is_awake || is_asleep || is_off,
            "{:?}, Service at us: {is_ours}",
            truth.parts
        );
        let taken_down = script
            .events
            .iter()
            .filter(|event| event.deed.takes_down())
            .count();
        assert!(
            truth.scales <= (usize::from(!script.is_awake) + taken_down) * script.parts,
            "scaled {} times",
            truth.scales
        );
    }
    // And one visitor more wakes what is asleep.
    let end = visit(&world, &hubs[0]).await;
    let truth = world.truth();
    match end {
        Phase::Ready { .. } => assert!(truth.is_up()),
        end => {
            let mut parts = truth.parts[..truth.own()].iter().map(History::now);
            let is_explained = match end {
                Phase::Failed {
                    reason: Reason::SwitchedOff,
                } => parts.all(|part| part.is_switched_off),
                _ => parts.any(|part| part.is_switched_off),
            };
            assert!(is_explained, "{end:?}");
        }
    }
}

impl Deed {
    /// Whether the app may have to be woken once more because of it.
    fn takes_down(self) -> bool {
        matches!(
            self,
            Self::ServiceFirst
                | Self::WorkloadsFirst
                | Self::LabelFirst
                | Self::Idle
                | Self::ScaleToZero
                | Self::MarkAgain
        )
    }
}

/// Somebody starts the app again before it sleeps: what it needs follows, one after the other.
#[tokio::test(start_paused = true)]
async fn what_an_app_needs_that_is_started_while_it_falls_asleep_is_woken_in_waves() {
    let event = |at, deed, gap| Event {
        at,
        deed,
        gap,
        halves: 0,
        hub: 0,
        part: 0,
    };
    let script = Script {
        is_awake: true,
        is_sliced: true,
        is_group: true,
        parts: 4,
        hubs: 1,
        faults: Vec::new(),
        events: vec![event(0, Deed::Idle, 0), event(7415, Deed::ScaleUp, 15)],
        staleness: (938, 363),
    };
    run(script).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_with_a_need_is_finished_without_a_visitor() {
    let script = Script {
        is_awake: false,
        is_sliced: true,
        is_group: true,
        parts: 2,
        hubs: 1,
        faults: Vec::new(),
        events: Vec::new(),
        staleness: (0, 0),
    };
    let world = World::new(&script);
    world.truth().change_part(1, |need| {
        (need.replicas, need.since, need.is_taken) = (REPLICAS, Some(Instant::now()), false);
        need.is_woken = true;
    });
    let hub = Hub::new(Arc::new(world.clone()), Settings::default());
    for _ in 0..4 {
        hub.sweep();
        sleep(SWEEP).await;
    }
    assert!(world.truth().is_up());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2700, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_app_ends_awake_or_asleep_and_nothing_is_written_that_should_not_be(script in script()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(run(script));
    }
}
