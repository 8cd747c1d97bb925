//! A model-based property test: hubs on a small world that injects faults, crashes, stale reads and rivals at every
//! step, in thousands of seeded runs and in paused time.
//!
//! The world keeps the truth and checks it with each write. What the hubs see is older than the truth by a delay.

use std::collections::VecDeque;

use futures::future::{BoxFuture, join_all};
use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::{
    cluster::{ApplyError, Deployment, Observation, Observed, Pods, Service, Version, Write},
    progress::Reason,
};

/// The truth about the one app of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
struct App {
    /// Counts the changes that matter to writes: the version of both objects.
    generation: u64,
    idled: bool,
    replicas: u32,
    /// When its replicas were asked for.
    since: Option<Instant>,
    service_is_ours: bool,
}

const REPLICAS: u32 = 2;
const START: Duration = Duration::from_secs(8);

impl App {
    fn available(&self) -> bool {
        self.replicas > 0 && self.since.is_some_and(|since| since.elapsed() >= START)
    }

    fn is_up(&self) -> bool {
        self.available() && !self.service_is_ours
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

/// What somebody else does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// A human, or an autoscaler.
    ScaleUp,
    /// The idler, or something that keeps the app down.
    IdleAgain,
    /// The unidler's process is killed and started again.
    Crash,
    /// The cluster's API cannot be watched for some seconds.
    Disconnect,
}

/// One run.
#[derive(Clone, Debug)]
struct Script {
    hubs: usize,
    faults: Vec<Fault>,
    deeds: Vec<(u64, Deed)>,
    /// How old what a hub sees may be, in milliseconds.
    staleness: u64,
}

fn script() -> impl Strategy<Value = Script> {
    let fault = prop_oneof![
        4 => Just(Fault::None), 2 => Just(Fault::Conflict), 1 => Just(Fault::Lost), 1 => Just(Fault::AnswerLost), 1 => Just(Fault::Forbidden)
    ];
    let deed = prop_oneof![Just(Deed::ScaleUp), Just(Deed::IdleAgain), Just(Deed::Crash), Just(Deed::Disconnect)];
    let deeds = proptest::collection::vec((0_u64..20_000, deed), 0..4);
    (1_usize..4, proptest::collection::vec(fault, 0..8), deeds, 0_u64..1_500)
        .prop_map(|(hubs, faults, deeds, staleness)| Script { hubs, faults, deeds, staleness })
}

#[derive(Clone, Debug)]
struct World {
    truth: Arc<Mutex<Truth>>,
    staleness: Duration,
}

#[derive(Debug)]
struct Truth {
    app: App,
    /// What there was to see, and since when.
    history: VecDeque<(Instant, App)>,
    faults: VecDeque<Fault>,
    connected: bool,
    /// Whether the app was ever up.
    was_up: bool,
    effective: Vec<&'static str>,
}

impl World {
    fn new(script: &Script) -> Self {
        let app = App { generation: 1, idled: true, replicas: 0, since: None, service_is_ours: true };
        let truth = Truth {
            history: VecDeque::from([(Instant::now(), app.clone())]),
            app,
            faults: script.faults.iter().copied().collect(),
            connected: true,
            was_up: false,
            effective: Vec::new(),
        };
        Self { truth: Arc::new(Mutex::new(truth)), staleness: Duration::from_millis(script.staleness) }
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().expect("no panic in the world")
    }

    fn deed(&self, deed: Deed) {
        let mut truth = self.truth();
        match deed {
            Deed::ScaleUp if truth.app.replicas > 0 => truth.change(|app| app.replicas = 5),
            // The idler idles what runs: first the Service, then the Deployment, as one here.
            Deed::IdleAgain if truth.app.replicas > 0 => truth.change(|app| {
                (app.idled, app.replicas, app.since, app.service_is_ours) = (true, 0, None, true);
            }),
            Deed::Disconnect => truth.connected = false,
            Deed::ScaleUp | Deed::IdleAgain | Deed::Crash => {}
        }
    }

    fn write(&self, write: &Write) -> Result<(), ApplyError> {
        let mut truth = self.truth();
        let fault = truth.faults.pop_front().unwrap_or(Fault::None);
        let lost = || ApplyError::Unreachable { message: "lost".into(), retry_after: None };
        match fault {
            Fault::None | Fault::AnswerLost => {}
            Fault::Conflict => return Err(ApplyError::Conflict),
            Fault::Lost => return Err(lost()),
            Fault::Forbidden => return Err(ApplyError::Forbidden("for once".into())),
        }
        let (Write::Scale { version, .. } | Write::ClearIdled { version, .. } | Write::RestoreService { version }) = write;
        if *version != truth.app.version() {
            return Err(ApplyError::Conflict);
        }
        let app = truth.app.clone();
        assert!(app.idled || app.service_is_ours, "written to an app that is not idled: {write:?}");
        match write {
            Write::Scale { replicas, .. } => {
                assert_eq!((app.replicas, *replicas), (0, REPLICAS), "replicas are never lowered");
                truth.change(|app| (app.replicas, app.since) = (REPLICAS, Some(Instant::now())));
                truth.effective.push("scale");
            }
            Write::ClearIdled { .. } => {
                assert!(app.idled && app.available());
                truth.change(|app| app.idled = false);
                truth.effective.push("clear");
            }
            Write::RestoreService { .. } => {
                assert!(app.service_is_ours && !app.idled && app.available(), "visitors are not led to what is not there");
                truth.change(|app| app.service_is_ours = false);
                truth.effective.push("restore");
            }
        }
        truth.was_up |= truth.app.is_up();
        if matches!(fault, Fault::AnswerLost) { Err(lost()) } else { Ok(()) }
    }
}

impl Truth {
    fn change(&mut self, change: impl FnOnce(&mut App)) {
        change(&mut self.app);
        self.app.generation += 1;
        self.history.push_back((Instant::now(), self.app.clone()));
    }
}

impl App {
    fn version(&self) -> Version {
        Version(self.generation.to_string())
    }
}

impl Cluster for World {
    fn observe(&self, _: &Host) -> Observation {
        let truth = self.truth();
        let then = Instant::now().checked_sub(self.staleness);
        let seen = truth.history.iter().rev().find(|(since, _)| then.is_some_and(|then| *since <= then));
        let app = seen.or(truth.history.front()).map_or(&truth.app, |(_, app)| app);
        let service = if app.service_is_ours {
            Service::Idled { version: app.version(), restorable: true }
        } else {
            Service::Serving { ready: Some(app.available()) }
        };
        Ok(Observed {
            connected: truth.connected,
            deployment: Deployment {
                version: app.version(),
                idled: app.idled,
                replicas: app.replicas,
                replicas_when_unidled: REPLICAS,
                available: if app.available() { app.replicas } else { 0 },
                trouble: None,
                usual: None,
            },
            service,
            pods: Pods::default(),
        })
    }

    fn watch(&self, host: &Host) -> futures::stream::BoxStream<'static, Observation> {
        let (world, host) = (self.clone(), host.clone());
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(250)));
        ticks.map(move |_| world.observe(&host)).boxed()
    }

    fn apply<'a>(&'a self, _: &'a Host, write: &'a Write) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async {
            // A crash may come before the write, and after it.
            sleep(Duration::from_millis(20)).await;
            let result = self.write(write);
            sleep(Duration::from_millis(20)).await;
            result
        })
    }

    fn unfinished(&self) -> Vec<Host> {
        let host = host();
        let is_unfinished = self.observe(&host).is_ok_and(|observed| observed.is_unfinished());
        if is_unfinished { vec![host] } else { Vec::new() }
    }
}

fn host() -> Host {
    Host::parse("app.example").expect("a host")
}

const DEADLINE: Duration = Duration::from_secs(120);

/// A visitor: comes again when a stream ends without a result, as the page does; until there is one.
async fn visit(world: &World, hub: &Mutex<Hub>) -> Vec<Phase> {
    let mut phases = Vec::new();
    let begun = Instant::now();
    loop {
        let mut snapshots = std::pin::pin!(hub.lock().expect("no panic").join(&host()).expect("room"));
        while let Some(progress) = snapshots.next().await {
            if let Phase::Ready { .. } = progress.phase {
                assert!(world.truth().was_up, "ready, though the app never was");
            }
            phases.push(progress.phase);
        }
        // A failure may heal: the page polls, and so comes again.
        if matches!(phases.last(), Some(Phase::Ready { .. } | Phase::Failed { reason: Reason::ScaledDown })) {
            return phases;
        }
        assert!(begun.elapsed() < DEADLINE * 3, "a stream ends with a result: {phases:?}");
        sleep(Duration::from_secs(1)).await;
    }
}

async fn run(script: Script) {
    let world = World::new(&script);
    let new_hub = || Hub::new(Arc::new(world.clone()), Settings { deadline: DEADLINE, ..Settings::default() });
    let hubs: Vec<Mutex<Hub>> = (0..script.hubs).map(|_| Mutex::new(new_hub())).collect();

    let deeds = async {
        let mut deeds = script.deeds.clone();
        deeds.sort_by_key(|(at, _)| *at);
        let begun = Instant::now();
        for (at, deed) in deeds {
            tokio::time::sleep_until(begun + Duration::from_millis(at)).await;
            world.deed(deed);
            if let Deed::Crash = deed {
                let old = std::mem::replace(&mut *hubs[0].lock().expect("no panic"), new_hub());
                old.shutdown().await;
            }
            if let Deed::Disconnect = deed {
                sleep(Duration::from_secs(5)).await;
                world.truth().connected = true;
            }
        }
    };
    let visits = join_all(hubs.iter().map(|hub| visit(&world, hub)));
    let (visits, ()) = tokio::join!(visits, deeds);
    for phases in &visits {
        assert!(phases.last().is_some_and(|phase| phase.is_terminal()));
    }

    // The sweep, and then one visitor more: whatever was left half done ends in the one good state.
    sleep(world.staleness * 2).await;
    let hub = hubs[0].lock().expect("no panic").clone();
    hub.finish_unfinished().await;
    visit(&world, &hubs[0]).await;
    let truth = world.truth();
    let App { idled, replicas, service_is_ours, .. } = truth.app;
    assert!(!idled && replicas > 0 && !service_is_ours, "{:?}", truth.app);
    let re_idled = script.deeds.iter().filter(|(_, deed)| matches!(deed, Deed::IdleAgain)).count();
    for write in ["scale", "clear", "restore"] {
        let times = truth.effective.iter().filter(|effective| **effective == write).count();
        assert!((1..=1 + re_idled).contains(&times), "{write} took effect {times} times");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_app_ends_awake_and_nothing_is_written_that_should_not_be(script in script()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(run(script));
    }
}
