//! The hub on the played cluster, in paused time.

use futures::{
    future::{BoxFuture, join_all},
    stream::BoxStream,
};

use super::*;
use crate::{
    cluster::{ApplyError, Observation, Observed, Write},
    demo::DemoCluster,
    progress::Reason,
};

fn host(name: &str) -> Host {
    Host::parse(&format!("{name}.localhost")).expect("a host")
}

fn hub_of(cluster: &DemoCluster) -> Hub {
    Hub::new(Arc::new(cluster.clone()), Settings::default())
}

async fn all_snapshots(hub: &Hub, name: &str) -> Vec<Progress> {
    hub.join(&host(name)).expect("room for a wake-up").collect().await
}

async fn last_phase(hub: &Hub, name: &str) -> Phase {
    all_snapshots(hub, name).await.last().expect("a snapshot").phase
}

#[tokio::test(start_paused = true)]
async fn a_visitor_sees_each_step_and_the_end() {
    let hub = hub_of(&DemoCluster::default());
    let snapshots = all_snapshots(&hub, "quick").await;

    let last = snapshots.last().expect("a snapshot");
    assert_eq!(last.phase, Phase::Ready { notice: None });
    let steps: Vec<Step> = last.timeline.iter().map(|mark| mark.step).collect();
    assert_eq!(
        steps,
        [Step::Finding, Step::Restoring, Step::Scheduling, Step::Pulling, Step::Starting, Step::Checking, Step::Connecting]
    );
    assert!(last.timeline.is_sorted_by_key(|mark| mark.at_ms));
    assert!(snapshots.is_sorted_by(|a, b| a.revision < b.revision));
    assert!(snapshots.iter().all(|progress| progress.reference == last.reference));
}

#[tokio::test(start_paused = true)]
async fn fifty_visitors_cost_as_many_writes_as_one() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    let visits = join_all((0..50).map(|_| last_phase(&hub, "quick"))).await;
    assert!(visits.iter().all(|phase| *phase == Phase::Ready { notice: None }));
    assert_eq!(cluster.writes(&host("quick")), 3);
}

#[tokio::test(start_paused = true)]
async fn three_replicas_of_ours_write_three_times_in_all() {
    let cluster = DemoCluster::default();
    let hubs = [(); 3].map(|()| hub_of(&cluster));
    let visits = join_all(hubs.iter().map(|hub| last_phase(hub, "quick"))).await;
    assert!(visits.iter().all(|phase| matches!(phase, Phase::Ready { .. })));
    assert_eq!(cluster.writes(&host("quick")), 3);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_awake_is_told_so_and_nothing_is_written() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    last_phase(&hub, "quick").await;
    assert_eq!(last_phase(&hub, "quick").await, Phase::Ready { notice: Some(Notice::AlreadyAwake) });
    assert_eq!(cluster.writes(&host("quick")), 3);
}

#[tokio::test(start_paused = true)]
async fn a_visitor_who_leaves_cancels_nothing() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    {
        let mut visit = std::pin::pin!(hub.join(&host("quick")).expect("room for a wake-up"));
        visit.next().await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(cluster.writes(&host("quick")), 3);
    assert!(hub.inner.tasks.is_empty(), "the driver has ended");
    assert!(hub.inner.wakes().is_empty(), "nothing is remembered");
}

#[tokio::test(start_paused = true)]
async fn looking_starts_nothing() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    assert_eq!(hub.look(&host("quick")).phase, Phase::Asleep);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(cluster.writes(&host("quick")), 0);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_cannot_be_told_fails_at_once_and_nothing_is_written() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    for (name, reason) in
        [("not-found", Reason::NoIngress), ("ambiguous", Reason::AmbiguousIngress), ("no-such-scene", Reason::NoIngress)]
    {
        assert_eq!(last_phase(&hub, name).await, Phase::Failed { reason });
        assert_eq!(hub.look(&host(name)).phase, Phase::Failed { reason });
        assert_eq!(cluster.writes(&host(name)), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_was_switched_off_is_left_alone() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    assert_eq!(last_phase(&hub, "switched-off").await, Phase::Failed { reason: Reason::SwitchedOff });
    assert_eq!(cluster.writes(&host("switched-off")), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_the_stream_but_not_the_watching() {
    let hub = hub_of(&DemoCluster::default());
    let snapshots = all_snapshots(&hub, "mended").await;
    let failure = snapshots.last().expect("a snapshot");
    assert_eq!(failure.phase, Phase::Failed { reason: Reason::ImageUnavailable });
    assert!(failure.elapsed_ms < 5_000, "told within seconds");

    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(matches!(hub.look(&host("mended")).phase, Phase::Ready { .. }));
}

#[tokio::test(start_paused = true)]
async fn trouble_that_may_pass_is_told_while_the_wake_up_goes_on() {
    let hub = hub_of(&DemoCluster::default());
    let snapshots = all_snapshots(&hub, "no-room").await;
    let told = Phase::Waking { step: Step::Scheduling, reason: Some(Reason::NoRoom) };
    assert!(snapshots.iter().any(|progress| progress.phase == told));
    assert_eq!(snapshots.last().map(|progress| progress.phase), Some(Phase::Ready { notice: None }));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_always_ends_in_a_terminal_snapshot() {
    let settings = Settings { deadline: Duration::from_secs(10), ..Settings::default() };
    let hub = Hub::new(Arc::new(DemoCluster::default()), settings);
    assert_eq!(last_phase(&hub, "slow").await, Phase::Failed { reason: Reason::DeadlinePassed });
    assert_eq!(last_phase(&hub, "no-room").await, Phase::Failed { reason: Reason::NoRoom });
}

#[tokio::test(start_paused = true)]
async fn a_retry_begins_anew_after_a_failure_and_changes_nothing_before() {
    let hub = hub_of(&DemoCluster::default());
    let failure = all_snapshots(&hub, "image-missing").await.pop().expect("a snapshot");
    let joined = all_snapshots(&hub, "image-missing").await.pop().expect("a snapshot");
    assert_eq!(joined.reference, failure.reference, "the failed wake-up is still the one under way");

    hub.retry(&host("image-missing")).expect("room for a wake-up");
    let retried = all_snapshots(&hub, "image-missing").await.pop().expect("a snapshot");
    assert_ne!(retried.reference, failure.reference);

    hub.retry(&host("slow")).expect("room for a wake-up");
    let first = hub.look(&host("slow")).reference;
    hub.retry(&host("slow")).expect("room for a wake-up");
    assert_eq!(hub.look(&host("slow")).reference, first, "a wake-up under way is not disturbed");
}

#[tokio::test(start_paused = true)]
async fn one_wake_up_too_many_is_refused() {
    let settings = Settings { max_wakes: 1, ..Settings::default() };
    let hub = Hub::new(Arc::new(DemoCluster::default()), settings);
    hub.retry(&host("slow")).expect("the first has room");
    assert!(hub.join(&host("slow")).is_ok(), "the same wake-up has room for everybody");
    assert!(matches!(hub.join(&host("quick")).map(drop), Err(Busy)));
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_every_stream_without_a_failure() {
    let hub = hub_of(&DemoCluster::default());
    let visit = hub.join(&host("slow")).expect("room for a wake-up");
    hub.shutdown().await;
    let snapshots: Vec<Progress> = visit.collect().await;
    assert!(snapshots.iter().all(|progress| !progress.phase.is_terminal()));
}

/// A cluster whose writes fail in a way that a test sets.
#[derive(Debug)]
struct Faulty {
    cluster: DemoCluster,
    /// One for each coming write; then they succeed.
    faults: Mutex<Vec<ApplyError>>,
    attempts: Mutex<Vec<Instant>>,
}

impl Faulty {
    fn hub(faults: Vec<ApplyError>) -> (Hub, Arc<Self>) {
        let cluster = Arc::new(Self { cluster: DemoCluster::default(), faults: Mutex::new(faults), attempts: Mutex::default() });
        (Hub::new(Arc::clone(&cluster) as Arc<dyn Cluster>, Settings::default()), cluster)
    }
}

impl Cluster for Faulty {
    fn observe(&self, host: &Host) -> Observation {
        self.cluster.observe(host)
    }
    fn watch(&self, host: &Host) -> BoxStream<'static, Observation> {
        self.cluster.watch(host)
    }
    fn apply<'a>(&'a self, host: &'a Host, write: &'a Write) -> BoxFuture<'a, Result<(), ApplyError>> {
        self.attempts.lock().expect("no panic").push(Instant::now());
        let fault = self.faults.lock().expect("no panic").pop();
        match fault {
            Some(fault) => Box::pin(async { Err(fault) }),
            None => self.cluster.apply(host, write),
        }
    }
    fn unfinished(&self) -> Vec<Host> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_does_not_answer_is_tried_at_most_once_a_second_and_visitors_are_told() {
    let (hub, cluster) = Faulty::hub(vec![unreachable_for(None); 3]);
    let snapshots = all_snapshots(&hub, "quick").await;
    let told = Phase::Waking { step: Step::Restoring, reason: Some(Reason::ApiUnreachable) };
    assert!(snapshots.iter().any(|progress| progress.phase == told && progress.elapsed_ms < 5_000));
    assert_eq!(snapshots.last().map(|progress| progress.phase), Some(Phase::Ready { notice: None }));
    let attempts = cluster.attempts.lock().expect("no panic");
    assert_eq!(attempts.len(), 6);
    assert!(attempts[..4].windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_decided_again() {
    let (hub, cluster) = Faulty::hub(vec![ApplyError::Conflict; 2]);
    assert_eq!(last_phase(&hub, "quick").await, Phase::Ready { notice: None });
    assert_eq!(cluster.cluster.writes(&host("quick")), 3);
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_told_soon_and_heals() {
    let (hub, _) = Faulty::hub(vec![ApplyError::Forbidden("patch deployments/scale".into()); 2]);
    let snapshots = all_snapshots(&hub, "quick").await;
    let last = snapshots.last().expect("an end");
    assert_eq!(last.phase, Phase::Failed { reason: Reason::PermissionMissing });
    assert!(last.elapsed_ms < 5_000);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(matches!(hub.look(&host("quick")).phase, Phase::Ready { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_refused_once_is_no_missing_permission() {
    let (hub, _) = Faulty::hub(vec![ApplyError::Forbidden("the roles are not known yet".into())]);
    let snapshots = all_snapshots(&hub, "quick").await;
    assert!(!snapshots.iter().any(|progress| matches!(progress.phase, Phase::Failed { .. })), "{snapshots:?}");
    assert_eq!(snapshots.last().map(|progress| progress.phase), Some(Phase::Ready { notice: None }));
}

fn unreachable_for(retry_after: Option<Duration>) -> ApplyError {
    ApplyError::Unreachable { message: "refused".into(), retry_after }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_asks_for_patience_gets_it() {
    let (hub, cluster) = Faulty::hub(vec![unreachable_for(Some(Duration::from_secs(30)))]);
    assert_eq!(last_phase(&hub, "quick").await, Phase::Ready { notice: None });
    let attempts = cluster.attempts.lock().expect("no panic");
    assert!(attempts[1] - attempts[0] >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_run_of_conflicts_is_tried_at_most_once_a_second() {
    let (hub, cluster) = Faulty::hub(vec![ApplyError::Conflict; 5]);
    assert_eq!(last_phase(&hub, "quick").await, Phase::Ready { notice: None });
    let attempts = cluster.attempts.lock().expect("no panic");
    assert_eq!(attempts.len(), 8);
    assert!(attempts[..6].windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_switched_off_again_and_again_is_not_fought_over() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    let rival = tokio::spawn({
        let cluster = cluster.clone();
        async move {
            loop {
                tokio::time::sleep(Duration::from_secs(2)).await;
                cluster.idle(&host("slow"));
            }
        }
    });
    let snapshots = all_snapshots(&hub, "slow").await;
    rival.abort();
    let told = Phase::Waking { step: Step::Pulling, reason: Some(Reason::ScaledDown) };
    let told_at_first = Phase::Waking { step: Step::Scheduling, reason: Some(Reason::ScaledDown) };
    assert!(snapshots.iter().any(|progress| [told, told_at_first].contains(&progress.phase)), "{snapshots:?}");
    assert_eq!(snapshots.last().map(|progress| progress.phase), Some(Phase::Failed { reason: Reason::ScaledDown }));
}

/// A cluster that panics.
#[derive(Debug)]
struct Broken;

impl Cluster for Broken {
    fn observe(&self, _: &Host) -> Observation {
        Err(Reason::NoIngress)
    }
    fn watch(&self, _: &Host) -> BoxStream<'static, Observation> {
        futures::stream::once(async { panic!("a bug") }).map(|observed: Observed| Ok(observed)).boxed()
    }
    fn apply<'a>(&'a self, _: &'a Host, _: &'a Write) -> BoxFuture<'a, Result<(), ApplyError>> {
        unreachable!("nothing is ever observed")
    }
    fn unfinished(&self) -> Vec<Host> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_leaves_no_visitor_waiting() {
    let hub = Hub::new(Arc::new(Broken), Settings::default());
    assert_eq!(last_phase(&hub, "quick").await, Phase::Failed { reason: Reason::Internal });
    assert!(hub.inner.wakes().is_empty());
}

/// An app whose Service points here already, and whose Deployment is idled with the next write.
#[derive(Debug, Default)]
struct BeingIdled {
    looks: Mutex<u32>,
}

impl Cluster for BeingIdled {
    fn observe(&self, _: &Host) -> Observation {
        Err(Reason::NoIngress)
    }
    fn watch(&self, _: &Host) -> BoxStream<'static, Observation> {
        unreachable!("nobody wakes it")
    }
    fn apply<'a>(&'a self, _: &'a Host, _: &'a Write) -> BoxFuture<'a, Result<(), ApplyError>> {
        unreachable!("nobody wakes it")
    }
    fn unfinished(&self) -> Vec<Host> {
        let mut looks = self.looks.lock().expect("no panic");
        *looks += 1;
        if *looks == 1 { vec![host("quick")] } else { Vec::new() }
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_just_being_idled_is_not_woken_by_the_sweep() {
    let cluster = Arc::new(BeingIdled::default());
    let hub = Hub::new(Arc::clone(&cluster) as Arc<dyn Cluster>, Settings::default());
    assert_eq!(hub.finish_unfinished().await, 0);
    assert_eq!(*cluster.looks.lock().expect("no panic"), 2);
    assert!(hub.inner.wakes().is_empty());
}
