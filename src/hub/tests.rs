//! The hub on the played cluster, in paused time.

use std::{pin::pin, sync::Mutex, time::Duration};

use futures::{
    future::{BoxFuture, join_all},
    stream::BoxStream,
};
use tokio::time::{Instant, sleep};

use super::{
    played::{Fate, Played},
    *,
};
use crate::{
    app::{App, AppId, Observation},
    cluster::{ApplyError, Ended, Write},
    demo::DemoCluster,
    progress::{Notice, Phase, Reason, Step},
};

fn host(name: &str) -> Host {
    Host::parse(&format!("{name}.localhost")).expect("a host")
}

fn hub_of(cluster: &DemoCluster) -> Hub {
    Hub::new(Arc::new(cluster.clone()), Settings::default())
}

async fn all_snapshots(hub: &Hub, name: &str) -> Vec<Progress> {
    hub.start(&host(name)).collect().await
}

async fn last_phase(hub: &Hub, name: &str) -> Phase {
    all_snapshots(hub, name)
        .await
        .last()
        .expect("a snapshot")
        .phase
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
        [
            Step::Finding,
            Step::Restoring,
            Step::Scheduling,
            Step::Pulling,
            Step::Starting,
            Step::Checking,
            Step::Connecting
        ]
    );
    assert!(last.timeline.is_sorted_by_key(|mark| mark.at_ms));
    assert!(snapshots.is_sorted_by(|a, b| a.revision < b.revision));
    assert!(
        snapshots
            .iter()
            .all(|progress| progress.reference == last.reference)
    );
}

#[tokio::test(start_paused = true)]
async fn a_visitor_sees_how_many_parts_of_an_app_are_up() {
    let cluster = DemoCluster::default();
    let snapshots = all_snapshots(&hub_of(&cluster), "three-parts").await;
    let mut parts: Vec<_> = snapshots
        .iter()
        .filter_map(|progress| progress.parts.map(|parts| (parts.up, parts.of)))
        .collect();
    parts.dedup();
    assert_eq!(parts, [(0, 3), (1, 3), (2, 3), (3, 3)]);
    assert_eq!(cluster.writes(&host("three-parts")), 7);
    let alone = all_snapshots(&hub_of(&cluster), "quick").await;
    assert!(alone.iter().all(|progress| progress.parts.is_none()));
}

#[tokio::test(start_paused = true)]
async fn fifty_visitors_cost_as_many_writes_as_one() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    let visits = join_all((0..50).map(|_| last_phase(&hub, "quick"))).await;
    assert!(
        visits
            .iter()
            .all(|phase| *phase == Phase::Ready { notice: None })
    );
    assert_eq!(cluster.writes(&host("quick")), 3);
}

#[tokio::test(start_paused = true)]
async fn what_shares_a_host_with_the_app_of_a_visitor_wakes_with_it() {
    let up = Fate::Up(Duration::from_secs(5));
    for (is_watched, is_other_watched) in [(false, false), (true, false), (false, true)] {
        let names = ["pair-api", "pair-docs", "pair-web", "other"];
        let cluster = Played::new(names.map(|name| (name.to_owned(), up)));
        let hub = cluster.hub(10);
        // From pages in tabs that nobody looks at.
        let joined = [(is_watched, "pair-web"), (is_other_watched, "pair-api")];
        let joined = joined.into_iter().filter(|(is_open, _)| *is_open);
        for (_, name) in joined {
            tokio::spawn(hub.join(&host(name)).collect::<Vec<_>>());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(matches!(
            last_phase(&hub, "pair-web").await,
            Phase::Ready { .. }
        ));
        tokio::time::sleep(Duration::from_secs(10)).await;
        let awake = names.map(|name| cluster.is_awake(name));
        assert_eq!(
            awake,
            [true, true, true, false],
            "{is_watched} {is_other_watched}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn three_replicas_of_ours_write_three_times_in_all() {
    let cluster = DemoCluster::default();
    let hubs = [(); 3].map(|()| hub_of(&cluster));
    let visits = join_all(hubs.iter().map(|hub| last_phase(hub, "quick"))).await;
    assert!(
        visits
            .iter()
            .all(|phase| matches!(phase, Phase::Ready { .. }))
    );
    assert_eq!(cluster.writes(&host("quick")), 3);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_awake_is_told_so_and_nothing_is_written() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    last_phase(&hub, "quick").await;
    assert_eq!(
        last_phase(&hub, "quick").await,
        Phase::Ready {
            notice: Some(Notice::AlreadyAwake)
        }
    );
    assert_eq!(cluster.writes(&host("quick")), 3);
}

#[tokio::test(start_paused = true)]
async fn a_visitor_who_leaves_cancels_nothing() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    {
        let mut visit = std::pin::pin!(hub.start(&host("quick")));
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
    for (name, reason) in [
        ("not-found", Reason::NoRoute),
        ("ambiguous", Reason::AmbiguousRoute),
        ("no-such-scene", Reason::NoRoute),
    ] {
        assert_eq!(last_phase(&hub, name).await, Phase::Failed { reason });
        assert_eq!(hub.look(&host(name)).phase, Phase::Failed { reason });
        assert_eq!(cluster.writes(&host(name)), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_was_switched_off_is_left_alone() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    assert_eq!(
        last_phase(&hub, "switched-off").await,
        Phase::Failed {
            reason: Reason::SwitchedOff
        }
    );
    assert_eq!(cluster.writes(&host("switched-off")), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_the_stream_but_not_the_watching() {
    let hub = hub_of(&DemoCluster::default());
    let snapshots = all_snapshots(&hub, "mended").await;
    let failure = snapshots.last().expect("a snapshot");
    assert_eq!(
        failure.phase,
        Phase::Failed {
            reason: Reason::ImageUnavailable
        }
    );
    assert!(failure.elapsed_ms < 5_000, "told within seconds");

    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(matches!(
        hub.look(&host("mended")).phase,
        Phase::Ready { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn trouble_that_may_pass_is_told_while_the_wake_up_goes_on() {
    let hub = hub_of(&DemoCluster::default());
    let snapshots = all_snapshots(&hub, "no-room").await;
    let told = Phase::Waking {
        step: Step::Scheduling,
        reason: Some(Reason::NoRoom),
    };
    assert!(snapshots.iter().any(|progress| progress.phase == told));
    assert_eq!(
        snapshots.last().map(|progress| progress.phase),
        Some(Phase::Ready { notice: None })
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_always_ends_in_a_terminal_snapshot() {
    let settings = Settings {
        deadline: Duration::from_secs(10),
        ..Settings::default()
    };
    let hub = Hub::new(Arc::new(DemoCluster::default()), settings);
    assert_eq!(
        last_phase(&hub, "slow").await,
        Phase::Failed {
            reason: Reason::DeadlinePassed
        }
    );
    assert_eq!(
        last_phase(&hub, "no-room").await,
        Phase::Failed {
            reason: Reason::NoRoom
        }
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_also_that_of_an_app_on_its_way_which_visitors_may_not_start() {
    let cluster = Played::one(Fate::Silent);
    cluster.change("app", |app| {
        (app.start, app.replicas) = (Start::Never, 1);
    });
    let settings = Settings::default();
    let begun = Instant::now();
    assert_eq!(
        last_phase(&cluster.hub(1), "app").await,
        Phase::Failed {
            reason: Reason::DeadlinePassed
        }
    );
    assert_eq!(begun.elapsed(), settings.deadline);

    // Nor is there no end if they may start it from now on: this one asked before.
    let hub = cluster.hub(1);
    let mut snapshots = pin!(hub.start(&host("app")));
    snapshots.next().await;
    cluster.change("app", |app| {
        (app.start, app.replicas, app.since) = (Start::Button, 0, None);
    });
    assert_eq!(
        snapshots
            .map(|progress| progress.phase)
            .collect::<Vec<_>>()
            .await,
        [
            Phase::Asleep,
            Phase::Failed {
                reason: Reason::NotByVisitors
            }
        ]
    );
    assert!(cluster.writes("app").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_retry_begins_anew_after_a_failure_and_changes_nothing_before() {
    let hub = hub_of(&DemoCluster::default());
    let failure = all_snapshots(&hub, "image-missing")
        .await
        .pop()
        .expect("a snapshot");
    let joined = all_snapshots(&hub, "image-missing")
        .await
        .pop()
        .expect("a snapshot");
    assert_eq!(
        joined.reference, failure.reference,
        "the failed wake-up is still the one under way"
    );

    hub.retry(&host("image-missing"));
    let retried = all_snapshots(&hub, "image-missing")
        .await
        .pop()
        .expect("a snapshot");
    assert_ne!(retried.reference, failure.reference);

    hub.retry(&host("slow"));
    let first = hub.look(&host("slow")).reference;
    hub.retry(&host("slow"));
    assert_eq!(
        hub.look(&host("slow")).reference,
        first,
        "a wake-up under way is not disturbed"
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_every_stream_without_a_failure() {
    let hub = hub_of(&DemoCluster::default());
    let visit = hub.start(&host("slow"));
    hub.shutdown().await;
    let snapshots: Vec<Progress> = visit.collect().await;
    assert!(
        snapshots
            .iter()
            .all(|progress| !progress.phase.is_terminal())
    );
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
        let cluster = Arc::new(Self {
            cluster: DemoCluster::default(),
            faults: Mutex::new(faults),
            attempts: Mutex::default(),
        });
        (
            Hub::new(
                Arc::clone(&cluster) as Arc<dyn Cluster>,
                Settings::default(),
            ),
            cluster,
        )
    }
}

impl Cluster for Faulty {
    fn find(&self, host: &Host) -> Result<AppId, Reason> {
        self.cluster.find(host)
    }
    fn apps(&self) -> Vec<AppId> {
        self.cluster.apps()
    }
    fn observe(&self, app: &AppId) -> Observation {
        self.cluster.observe(app)
    }
    fn watch(&self, app: &AppId) -> BoxStream<'static, Observation> {
        self.cluster.watch(app)
    }
    fn apply<'a>(
        &'a self,
        app: &'a AppId,
        write: &'a Write,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        self.attempts.lock().expect("no panic").push(Instant::now());
        let fault = self.faults.lock().expect("no panic").pop();
        match fault {
            Some(fault) => Box::pin(async { Err(fault) }),
            None => self.cluster.apply(app, write),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_does_not_answer_is_tried_at_most_once_a_second_and_visitors_are_told() {
    let (hub, cluster) = Faulty::hub(vec![unreachable_for(None); 3]);
    let snapshots = all_snapshots(&hub, "quick").await;
    let told = Phase::Waking {
        step: Step::Restoring,
        reason: Some(Reason::ApiUnreachable),
    };
    assert!(
        snapshots
            .iter()
            .any(|progress| progress.phase == told && progress.elapsed_ms < 5_000)
    );
    assert_eq!(
        snapshots.last().map(|progress| progress.phase),
        Some(Phase::Ready { notice: None })
    );
    let attempts = cluster.attempts.lock().expect("no panic");
    assert_eq!(attempts.len(), 6);
    assert!(
        attempts[..4]
            .windows(2)
            .all(|pair| pair[1] - pair[0] >= Duration::from_secs(1))
    );
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_decided_again() {
    let (hub, cluster) = Faulty::hub(vec![ApplyError::Conflict; 2]);
    assert_eq!(
        last_phase(&hub, "quick").await,
        Phase::Ready { notice: None }
    );
    assert_eq!(cluster.cluster.writes(&host("quick")), 3);
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_told_soon_and_heals() {
    let (hub, _) = Faulty::hub(vec![
        ApplyError::Forbidden("patch deployments/scale".into());
        2
    ]);
    let snapshots = all_snapshots(&hub, "quick").await;
    let last = snapshots.last().expect("an end");
    assert_eq!(
        last.phase,
        Phase::Failed {
            reason: Reason::PermissionMissing
        }
    );
    assert!(last.elapsed_ms < 5_000);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(matches!(
        hub.look(&host("quick")).phase,
        Phase::Ready { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_refused_once_is_no_missing_permission() {
    let (hub, _) = Faulty::hub(vec![ApplyError::Forbidden(
        "the roles are not known yet".into(),
    )]);
    let snapshots = all_snapshots(&hub, "quick").await;
    assert!(
        !snapshots
            .iter()
            .any(|progress| matches!(progress.phase, Phase::Failed { .. })),
        "{snapshots:?}"
    );
    assert_eq!(
        snapshots.last().map(|progress| progress.phase),
        Some(Phase::Ready { notice: None })
    );
}

fn unreachable_for(retry_after: Option<Duration>) -> ApplyError {
    ApplyError::Unreachable {
        message: "refused".into(),
        retry_after,
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_that_asks_for_patience_gets_it() {
    let (hub, cluster) = Faulty::hub(vec![unreachable_for(Some(Duration::from_secs(30)))]);
    assert_eq!(
        last_phase(&hub, "quick").await,
        Phase::Ready { notice: None }
    );
    let attempts = cluster.attempts.lock().expect("no panic");
    assert!(attempts[1] - attempts[0] >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_run_of_conflicts_is_tried_at_most_once_a_second() {
    let (hub, cluster) = Faulty::hub(vec![ApplyError::Conflict; 5]);
    assert_eq!(
        last_phase(&hub, "quick").await,
        Phase::Ready { notice: None }
    );
    let attempts = cluster.attempts.lock().expect("no panic");
    assert_eq!(attempts.len(), 8);
    assert!(
        attempts[..6]
            .windows(2)
            .all(|pair| pair[1] - pair[0] >= Duration::from_secs(1))
    );
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
    let told = Phase::Waking {
        step: Step::Pulling,
        reason: Some(Reason::ScaledDown),
    };
    let told_at_first = Phase::Waking {
        step: Step::Scheduling,
        reason: Some(Reason::ScaledDown),
    };
    assert!(
        snapshots
            .iter()
            .any(|progress| [told, told_at_first].contains(&progress.phase)),
        "{snapshots:?}"
    );
    assert_eq!(
        snapshots.last().map(|progress| progress.phase),
        Some(Phase::Failed {
            reason: Reason::ScaledDown
        })
    );
}

#[tokio::test(start_paused = true)]
async fn an_app_that_falls_asleep_again_and_again_is_woken_each_time_that_a_visitor_comes() {
    let cluster = DemoCluster::default();
    let hub = hub_of(&cluster);
    for cycle in 0..6 {
        assert!(
            matches!(last_phase(&hub, "quick").await, Phase::Ready { .. }),
            "cycle {cycle}"
        );
        // A request that reaches unidler in the meantime does the same.
        hub.inner.wakes().values().for_each(|wake| wake.look());
        cluster.idle(&host("quick"));
        tokio::time::sleep(seconds(1)).await;
        assert_eq!(
            hub.look(&host("quick")).phase,
            Phase::Asleep,
            "cycle {cycle}"
        );
        assert_eq!(hub.inner.wakes().len(), 1, "still watched");
    }
}

/// A cluster that panics.
#[derive(Debug)]
struct Broken;

impl Cluster for Broken {
    fn find(&self, _: &Host) -> Result<AppId, Reason> {
        Ok(AppId::new("broken"))
    }
    fn apps(&self) -> Vec<AppId> {
        Vec::new()
    }
    fn observe(&self, _: &AppId) -> Observation {
        Err(Reason::NoRoute)
    }
    fn watch(&self, _: &AppId) -> BoxStream<'static, Observation> {
        futures::stream::once(async { panic!("a bug") })
            .map(|observed: App| Ok(observed))
            .boxed()
    }
    fn apply<'a>(&'a self, _: &'a AppId, _: &'a Write) -> BoxFuture<'a, Result<(), ApplyError>> {
        unreachable!("nothing is ever observed")
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_leaves_no_visitor_waiting() {
    let hub = Hub::new(Arc::new(Broken), Settings::default());
    assert_eq!(
        last_phase(&hub, "quick").await,
        Phase::Failed {
            reason: Reason::Internal
        }
    );
    assert!(hub.inner.wakes().is_empty());
}

const READY: Phase = Phase::Ready { notice: None };
const IN_LINE: Phase = Phase::Waking {
    step: Step::Finding,
    reason: Some(Reason::ManyStarting),
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How long somebody waits for an app who starts it now.
async fn time_to_ready(hub: &Hub, name: &str) -> Duration {
    let begun = Instant::now();
    assert_eq!(last_phase(hub, name).await, READY);
    begun.elapsed()
}

/// A visitor as the page is one: listens, and asks again and again when the stream has ended.
async fn stay(hub: Hub, name: String) {
    loop {
        all_snapshots(&hub, &name).await;
        for _ in 0..10 {
            tokio::time::sleep(seconds(5)).await;
            let _ = hub.look(&host(&name));
        }
    }
}

const DEAD: [Fate; 4] = [
    Fate::Stuck(Step::Pulling, Reason::ImageUnavailable, true),
    Fate::Stuck(Step::Scheduling, Reason::NoRoom, false),
    Fate::Stuck(Step::Starting, Reason::CrashLoop, true),
    Fate::Silent,
];

/// Ten dead apps and a healthy one.
fn ten_dead_apps(fate: impl Fn(usize) -> Fate) -> Played {
    let dead = (0..10).map(|number| (format!("dead{number}"), fate(number)));
    Played::new(dead.chain([("app".to_owned(), Fate::Up(seconds(5)))]))
}

#[tokio::test(start_paused = true)]
async fn ten_dead_apps_with_visitors_do_not_hold_a_healthy_one_up() {
    let alone = time_to_ready(&Played::one(Fate::Up(seconds(5))).hub(3), "app").await;
    for silent in [false, true] {
        // One that says nothing keeps its slot as long as it is asked about: of those, there is room for two.
        let fate = |number| DEAD[if silent && number < 2 { 3 } else { number % 3 }];
        let cluster = ten_dead_apps(fate);
        let hub = cluster.hub(3);
        let visitors: Vec<_> = (0..10)
            .map(|number| tokio::spawn(stay(hub.clone(), format!("dead{number}"))))
            .collect();
        tokio::time::sleep(seconds(30)).await;
        assert_eq!(
            time_to_ready(&hub, "app").await,
            alone,
            "silent ones: {silent}"
        );
        assert!(
            (0..10).all(|number| !cluster.writes(&format!("dead{number}")).is_empty()),
            "all of them had their turn"
        );
        visitors.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test(start_paused = true)]
async fn ten_dead_apps_that_are_half_awake_take_no_slot_with_visitors_or_without() {
    let alone = time_to_ready(&Played::one(Fate::Up(seconds(5))).hub(3), "app").await;
    for visited in [false, true] {
        let cluster = ten_dead_apps(|number| DEAD[number % 4]);
        (0..10).for_each(|number| cluster.leave_half_awake(&format!("dead{number}")));
        let hub = cluster.hub(3);
        hub.sweep();
        let visitors = (0..10)
            .filter(|_| visited)
            .map(|number| tokio::spawn(stay(hub.clone(), format!("dead{number}"))));
        let visitors: Vec<_> = visitors.collect();
        tokio::time::sleep(seconds(2)).await;
        assert_eq!(
            time_to_ready(&hub, "app").await,
            alone,
            "visited: {visited}"
        );
        visitors.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_that_waits_in_line_says_so_and_starts_when_its_turn_comes() {
    let cluster = Played::new(
        ["first", "second", "third"].map(|name| (name.to_owned(), Fate::Up(seconds(5)))),
    );
    let hub = cluster.hub(1);
    let told = join_all(["first", "second", "third"].map(|name| all_snapshots(&hub, name))).await;
    for (place, told) in told.iter().enumerate() {
        assert_eq!(
            told.iter().any(|progress| progress.phase == IN_LINE),
            place > 0,
            "{told:?}"
        );
        let last = told.last().expect("a snapshot");
        assert_eq!(last.phase, READY);
        assert_eq!(
            last.elapsed_ms / 5_000,
            place as u64 + 1,
            "one after the other, in the order in which they came"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_in_the_line_is_for_somebody_who_waits() {
    let cluster = Played::new([
        ("slow".to_owned(), Fate::Silent),
        ("app".to_owned(), Fate::Up(seconds(5))),
    ]);
    let hub = cluster.hub(1);
    let _slow = tokio::spawn(stay(hub.clone(), "slow".to_owned()));
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(
        hub.retry(&host("app")).phase,
        Phase::Waking {
            step: Step::Finding,
            reason: None
        }
    );
    for _ in 0..10 {
        tokio::time::sleep(seconds(30)).await;
        assert_eq!(hub.look(&host("app")).phase, IN_LINE, "to look is to wait");
    }
    tokio::time::sleep(seconds(61)).await;
    assert_eq!(hub.look(&host("app")).phase, Phase::Asleep);
    assert!(cluster.writes("app").is_empty());
    assert!(
        cluster.notes().is_empty(),
        "nobody was there to see it fail"
    );
}

/// As when the hours of many apps begin.
#[tokio::test(start_paused = true)]
async fn apps_that_nobody_waits_for_keep_their_places_in_the_line_and_start_one_after_another() {
    let names = ["a", "b", "c"];
    let up = |seconds| Fate::Up(Duration::from_secs(seconds));
    let apps = names.map(|name| (name.to_owned(), up(20)));
    let cluster = Played::new(apps.into_iter().chain([("slow".to_owned(), up(90))]));
    let hub = cluster.hub(1);
    let visitor = tokio::spawn(stay(hub.clone(), "slow".to_owned()));
    tokio::time::sleep(seconds(1)).await;
    for name in names {
        hub.wake(&AppId::new(name));
    }
    tokio::time::sleep(seconds(200)).await;
    let started = names.map(|name| {
        assert!(cluster.is_awake(name), "{name}");
        cluster.writes(name)[0].0
    });
    let mut started = started.to_vec();
    started.sort();
    for pair in started.windows(2) {
        assert!(pair[1] - pair[0] >= seconds(20));
    }
    visitor.abort();
}

/// By another replica, for which there is another line.
#[tokio::test(start_paused = true)]
async fn an_app_that_somebody_else_starts_after_long_has_all_its_time() {
    let slow = Settings::default().deadline * 2;
    let apps = [("app", Duration::from_secs(20)), ("slow", slow)];
    let apps = apps.map(|(name, after)| (name.to_owned(), Fate::Up(after)));
    let cluster = Played::new(apps);
    let hub = cluster.hub(1);
    let visitor = tokio::spawn(stay(hub.clone(), "slow".to_owned()));
    tokio::time::sleep(seconds(1)).await;
    // So that its slot is held for longer than the deadline.
    hub.wake(&AppId::new("app"));
    tokio::time::sleep(Settings::default().deadline - seconds(5)).await;
    cluster.leave_half_awake("app");
    let watching = hub.join(&host("app"));
    let phases: Vec<_> = watching.map(|progress| progress.phase).collect().await;
    assert!(
        matches!(phases.last(), Some(Phase::Ready { .. })),
        "{phases:?}"
    );
    assert!(
        !phases
            .iter()
            .any(|phase| matches!(phase, Phase::Failed { .. })),
        "{phases:?}"
    );
    visitor.abort();
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_given_back_when_nobody_asks_any_more_and_the_wake_up_goes_on() {
    let cluster = Played::new([
        ("slow".to_owned(), Fate::Up(seconds(300))),
        ("app".to_owned(), Fate::Up(seconds(5))),
    ]);
    let hub = cluster.hub(1);
    hub.retry(&host("slow"));
    tokio::time::sleep(seconds(30)).await;
    let begun = Instant::now();
    assert_eq!(last_phase(&hub, "app").await, READY);
    assert!(
        (seconds(34)..seconds(37)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    tokio::time::sleep(seconds(300)).await;
    assert!(cluster.is_awake("slow"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_wake_up_is_watched_as_long_as_somebody_asks() {
    let cluster = Played::one(Fate::Stuck(Step::Pulling, Reason::ImageUnavailable, true));
    let hub = cluster.hub(1);
    assert_eq!(
        last_phase(&hub, "app").await,
        Phase::Failed {
            reason: Reason::ImageUnavailable
        }
    );
    for _ in 0..10 {
        tokio::time::sleep(seconds(50)).await;
        assert!(matches!(hub.look(&host("app")).phase, Phase::Failed { .. }));
    }
    cluster.change("app", |app| app.fate = Fate::Up(seconds(1)));
    tokio::time::sleep(seconds(2)).await;
    assert!(matches!(hub.look(&host("app")).phase, Phase::Ready { .. }));
    assert!(cluster.is_awake("app"));

    let cluster = Played::one(Fate::Stuck(Step::Pulling, Reason::ImageUnavailable, true));
    let hub = cluster.hub(1);
    last_phase(&hub, "app").await;
    tokio::time::sleep(seconds(61)).await;
    assert!(hub.inner.tasks.is_empty(), "nobody asks");
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_an_app_that_recovers_is_still_shown_as_ready() {
    let cluster = Played::one(Fate::Silent);
    let hub = cluster.hub(1);
    assert_eq!(
        last_phase(&hub, "app").await,
        Phase::Failed {
            reason: Reason::DeadlinePassed
        }
    );
    tokio::time::sleep(seconds(30)).await;
    assert_eq!(
        hub.look(&host("app")).phase,
        Phase::Failed {
            reason: Reason::DeadlinePassed
        },
        "for whoever still looks"
    );
    cluster.change("app", |app| app.fate = Fate::Up(seconds(1)));
    hub.sweep();
    tokio::time::sleep(seconds(15)).await;
    assert!(matches!(hub.look(&host("app")).phase, Phase::Ready { .. }));
    assert_eq!(
        cluster.notes(),
        [Phase::Failed {
            reason: Reason::DeadlinePassed
        }],
        "once"
    );
}

#[tokio::test(start_paused = true)]
async fn joining_starts_nothing_and_shows_what_another_replica_does() {
    let cluster = Played::one(Fate::Up(seconds(5)));
    let (driving, joined) = (cluster.hub(1), cluster.hub(1));
    let listening = tokio::spawn(joined.join(&host("app")).collect::<Vec<_>>());
    tokio::time::sleep(seconds(120)).await;
    assert!(cluster.writes("app").is_empty());
    assert_eq!(joined.look(&host("app")).phase, Phase::Asleep);

    let begun = Instant::now();
    let driving = tokio::spawn({
        let driving = driving.clone();
        async move { all_snapshots(&driving, "app").await }
    });
    tokio::time::sleep(seconds(3)).await;
    let seen = joined.look(&host("app"));
    assert_eq!(
        seen.phase,
        Phase::Waking {
            step: Step::Starting,
            reason: None
        }
    );
    assert!(
        seen.elapsed_ms <= 3_000,
        "since it was started: {}",
        seen.elapsed_ms
    );
    assert_eq!(
        driving
            .await
            .expect("no panic")
            .last()
            .map(|progress| progress.phase),
        Some(READY)
    );
    let told = listening.await.expect("no panic");
    assert_eq!(
        told.first().map(|progress| progress.phase),
        Some(Phase::Asleep)
    );
    assert_eq!(told.last().map(|progress| progress.phase), Some(READY));
    assert!(begun.elapsed() < seconds(6));
    assert_eq!(
        cluster.writes("app").len(),
        3,
        "all by the one that was asked to"
    );
    assert_eq!(cluster.notes(), [READY], "and counted there");
}

#[tokio::test(start_paused = true)]
async fn a_visitor_who_joins_at_another_replica_is_not_left_when_the_one_that_drove_is_gone() {
    let cluster = Played::one(Fate::Up(seconds(10)));
    let (driving, other) = (cluster.hub(1), cluster.hub(1));
    driving.retry(&host("app"));
    tokio::time::sleep(seconds(2)).await;
    driving.shutdown().await;
    let begun = Instant::now();
    assert_eq!(
        other
            .join(&host("app"))
            .collect::<Vec<_>>()
            .await
            .last()
            .map(|progress| progress.phase),
        Some(READY)
    );
    assert!(
        begun.elapsed() < seconds(12),
        "{:?}, of which the app takes eight",
        begun.elapsed()
    );
    tokio::time::sleep(seconds(6)).await;
    assert!(cluster.is_awake("app"), "marks and all");
}

#[tokio::test(start_paused = true)]
async fn whoever_joined_goes_on_when_somebody_starts_the_app_here() {
    let cluster = Played::one(Fate::Up(seconds(5)));
    let hub = cluster.hub(1);
    let listening = tokio::spawn(hub.join(&host("app")).collect::<Vec<_>>());
    tokio::time::sleep(seconds(600)).await;
    hub.retry(&host("app"));
    let told = listening.await.expect("no panic");
    assert_eq!(told[0].phase, Phase::Asleep);
    assert!(matches!(told[1].phase, Phase::Waking { reason: None, .. }));
    assert!(
        told.iter().all(|progress| progress.elapsed_ms < 6_000),
        "the time is that of the wake-up: {told:?}"
    );
    assert!(told.is_sorted_by(|a, b| a.revision < b.revision));
    assert_eq!(told.last().map(|progress| progress.phase), Some(READY));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_only_looks_never_says_ready_without_having_seen_an_endpoint() {
    let cluster = Played::one(Fate::Up(seconds(5)));
    let (driving, other) = (cluster.hub(1), cluster.hub(1));
    assert_eq!(other.look(&host("app")).phase, Phase::Asleep);
    let waking = tokio::spawn(async move { last_phase(&driving, "app").await });
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(
        other.look(&host("app")).phase,
        Phase::Waking {
            step: Step::Starting,
            reason: None
        }
    );
    waking.await.expect("no panic");
    assert_eq!(
        other.look(&host("app")).phase,
        Phase::Waking {
            step: Step::Connecting,
            reason: None
        }
    );
    assert!(other.inner.tasks.is_empty());
    assert_eq!(
        last_phase(&other, "app").await,
        Phase::Ready {
            notice: Some(Notice::AlreadyAwake)
        }
    );
}

#[tokio::test(start_paused = true)]
async fn many_hosts_of_one_app_are_one_wake_up_and_each_visitor_keeps_the_host() {
    let cluster = Played::one(Fate::Up(seconds(5)));
    let hub = cluster.hub(1);
    let names: Vec<String> = (0..20).map(|number| format!("host{number}.app")).collect();
    let told = join_all(names.iter().map(|name| all_snapshots(&hub, name))).await;
    for (name, told) in names.iter().zip(&told) {
        assert!(
            told.iter()
                .all(|progress| progress.host == format!("{name}.localhost"))
        );
        assert_eq!(told.last().map(|progress| progress.phase), Some(READY));
        assert_eq!(told[0].reference, told.last().expect("an end").reference);
    }
    assert_eq!(cluster.writes("app").len(), 3);
    assert_eq!(hub.inner.wakes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_host_without_an_app_starts_no_driver() {
    let hub = Played::one(Fate::Silent).hub(1);
    let stranger = Host::parse("stranger.example").expect("a host");
    let failed = Phase::Failed {
        reason: Reason::NoRoute,
    };
    assert_eq!(
        hub.start(&stranger)
            .collect::<Vec<_>>()
            .await
            .last()
            .map(|progress| progress.phase),
        Some(failed)
    );
    assert_eq!(
        hub.join(&stranger)
            .collect::<Vec<_>>()
            .await
            .last()
            .map(|progress| progress.phase),
        Some(failed)
    );
    assert_eq!(hub.retry(&stranger).phase, failed);
    assert_eq!(hub.look(&stranger).phase, failed);
    assert!(hub.inner.tasks.is_empty() && hub.inner.wakes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_that_has_ended_took_as_long_as_it_did() {
    let cluster = Played::one(Fate::Up(seconds(3)));
    let hub = cluster.hub(1);
    let ended = all_snapshots(&hub, "app").await.pop().expect("its end");
    tokio::time::sleep(seconds(5)).await;
    let later = hub.look(&host("app"));
    assert_eq!(later.reference, ended.reference);
    assert_eq!(later.elapsed_ms, ended.elapsed_ms);
}

#[tokio::test(start_paused = true)]
async fn visitors_wake_an_app_only_as_its_operators_let_them() {
    for (start, shown, is_woken) in [
        (Start::Visit, Phase::Asleep, true),
        (Start::Button, Phase::Asleep, true),
        (
            Start::Retry,
            Phase::Failed {
                reason: Reason::ScaledDown,
            },
            true,
        ),
        (
            Start::Never,
            Phase::Failed {
                reason: Reason::NotByVisitors,
            },
            false,
        ),
    ] {
        let cluster = Played::new([("app".to_owned(), Fate::Up(Duration::from_secs(1)))]);
        cluster.change("app", |app| app.start = start);
        let hub = cluster.hub(1);
        assert_eq!(hub.look(&host("app")).phase, shown, "{start:?}");
        assert_eq!(hub.starts(&host("app")).0, start);
        let joined = hub
            .join(&host("app"))
            .take(1)
            .collect::<Vec<_>>()
            .await
            .remove(0);
        assert_eq!(
            joined.phase, shown,
            "{start:?}: for a visitor who only looks"
        );
        hub.retry(&host("app"));
        let last = hub.start(&host("app")).map(|progress| progress.phase);
        let last = last
            .take_until(sleep(Duration::from_secs(20)))
            .collect::<Vec<_>>()
            .await;
        let is_ready = matches!(last.last(), Some(Phase::Ready { .. }));
        assert_eq!(is_ready, is_woken, "{start:?}: {last:?}");
        assert_eq!(cluster.writes("app").is_empty(), !is_woken, "{start:?}");
    }
    // Its hours do.
    let cluster = Played::new([("app".to_owned(), Fate::Up(Duration::from_secs(1)))]);
    cluster.change("app", |app| app.start = Start::Never);
    let hub = cluster.hub(1);
    hub.wake(&AppId::new("app"));
    let seen = hub.join(&host("app")).map(|progress| progress.phase);
    let seen = seen.collect::<Vec<_>>().await;
    assert!(matches!(seen.last(), Some(Phase::Ready { .. })), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_title_of_an_app_is_shown() {
    let cluster = Played::one(Fate::Up(seconds(1)));
    cluster.change("app", |app| app.title = Some("Road works"));
    let hub = cluster.hub(1);
    assert_eq!(hub.look(&host("app")).title.as_deref(), Some("Road works"));
    assert_eq!(
        all_snapshots(&hub, "app")
            .await
            .pop()
            .and_then(|progress| progress.title)
            .as_deref(),
        Some("Road works")
    );
}

#[tokio::test(start_paused = true)]
async fn trouble_fails_at_once_when_the_cluster_gives_up_and_else_after_a_while() {
    // What it is, whether the cluster has given up, and after how many seconds that is a failure, if ever.
    for (reason, given_up, fails) in [
        (Reason::ImageUnavailable, true, Some(1)),
        (Reason::ImageUnavailable, false, Some(31)),
        (Reason::CrashLoop, true, Some(1)),
        (Reason::BadConfiguration, false, Some(31)),
        (Reason::PodsRefused, false, Some(31)),
        (Reason::RolloutStuck, true, Some(1)),
        (Reason::NoRoom, false, None),
        (Reason::VolumePending, false, None),
        (Reason::NotPassingChecks, false, None),
    ] {
        let hub = Played::one(Fate::Stuck(Step::Starting, reason, given_up)).hub(1);
        let told = all_snapshots(&hub, "app").await;
        let last = told.last().expect("an end");
        assert_eq!(last.phase, Phase::Failed { reason });
        let deadline = Settings::default().deadline.as_secs();
        assert_eq!(
            last.elapsed_ms / 1_000,
            fails.unwrap_or(deadline),
            "{reason:?}, given up: {given_up}"
        );
        let shown = Phase::Waking {
            step: Step::Starting,
            reason: Some(reason),
        };
        assert_eq!(
            told.iter().any(|progress| progress.phase == shown),
            !given_up,
            "it is shown before: {told:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_that_changes_is_given_time_and_a_failure_stays_one_while_the_cluster_tries_again()
{
    let cluster = Played::one(Fate::Stuck(Step::Starting, Reason::CrashLoop, false));
    let hub = cluster.hub(1);
    let waiting = tokio::spawn({
        let hub = hub.clone();
        async move { all_snapshots(&hub, "app").await }
    });
    for restarts in 1..4 {
        tokio::time::sleep(seconds(20)).await;
        assert!(!waiting.is_finished(), "after {restarts} restarts");
        cluster.change("app", |app| app.restarts = restarts);
    }
    let last = waiting.await.expect("no panic").pop().expect("an end");
    assert_eq!(
        (last.phase, last.elapsed_ms / 1_000),
        (
            Phase::Failed {
                reason: Reason::CrashLoop
            },
            90
        )
    );

    cluster.change("app", |app| app.restarts = 4);
    tokio::time::sleep(seconds(1)).await;
    assert!(matches!(hub.look(&host("app")).phase, Phase::Failed { .. }));
}

/// A minute of sweeps, as the server does them.
async fn sweep_for(hub: &Hub, minutes: u32) {
    for _ in 0..minutes {
        hub.sweep();
        tokio::time::sleep(seconds(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_sweep_finishes_what_is_half_done_and_tells_nobody() {
    let cluster = Played::one(Fate::Up(seconds(1)));
    cluster.leave_half_awake("app");
    let hub = cluster.hub(1);
    tokio::time::sleep(seconds(2)).await;
    sweep_for(&hub, 1).await;
    assert!(cluster.is_awake("app"));
    assert_eq!(
        cluster
            .writes("app")
            .iter()
            .map(|(_, write)| *write)
            .collect::<Vec<_>>(),
        ["restore", "clear"]
    );
    assert!(cluster.notes().is_empty() && hub.inner.tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_sweep_leaves_alone_what_no_write_can_help() {
    for fate in DEAD {
        let cluster = Played::one(fate);
        cluster.leave_half_awake("app");
        let hub = cluster.hub(1);
        for _ in 0..60 {
            hub.sweep();
            assert!(hub.inner.wakes().is_empty(), "{fate:?}");
            tokio::time::sleep(seconds(60)).await;
        }
        assert!(
            cluster.writes("app").is_empty() && cluster.notes().is_empty(),
            "{fate:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_there_any_more_and_a_failed_wake_up_is_left_alone() {
    let cluster = Played::one(Fate::Stuck(Step::Starting, Reason::CrashLoop, true));
    let hub = cluster.hub(1);
    hub.retry(&host("app"));
    sweep_for(&hub, 60).await;
    assert_eq!(
        cluster.notes(),
        [Phase::Failed {
            reason: Reason::CrashLoop
        }],
        "told once, to who started it"
    );
    assert_eq!(cluster.writes("app").len(), 1);
    assert!(hub.inner.tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_sweep_tries_ever_more_seldom() {
    let cluster = Played::one(Fate::Up(seconds(1)));
    cluster.leave_half_awake("app");
    cluster.change("app", |app| app.refused = &["restore"]);
    let hub = cluster.hub(1);
    tokio::time::sleep(seconds(2)).await;
    sweep_for(&hub, 5 * 60).await;
    let attempts = cluster.writes("app");
    let pauses: Vec<u64> = attempts
        .windows(2)
        .map(|pair| ((pair[1].0 - pair[0].0).as_secs() + 30) / 60)
        .collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60], "minutes");
    assert!(cluster.notes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_idled_app_whose_service_somebody_puts_back_is_woken_after_two_looks_a_minute_apart() {
    let cluster = Played::one(Fate::Up(seconds(1)));
    cluster.change("app", |app| app.is_ours = false);
    let hub = cluster.hub(1);
    let begun = Instant::now();
    sweep_for(&hub, 3).await;
    assert!(cluster.is_awake("app"));
    let after = cluster.writes("app")[0].0 - begun;
    assert!((seconds(60)..seconds(130)).contains(&after), "{after:?}");
    assert!(cluster.notes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_just_being_idled_is_left_alone() {
    // By the Service first, by the label first, and with a visitor or without.
    for service_first in [true, false] {
        for visited in [true, false] {
            let cluster = Played::one(Fate::Up(seconds(1)));
            cluster.change("app", |app| {
                (app.idled, app.is_ours) = (!service_first, service_first);
            });
            cluster.leave_half_awake("app");
            tokio::time::sleep(seconds(10)).await;
            cluster.change("app", |app| app.marks += 1);
            let hub = cluster.hub(1);
            if visited {
                hub.retry(&host("app"));
            }
            let joined = cluster.hub(1).join(&host("app"));
            let joined = tokio::spawn(joined.collect::<Vec<_>>());
            hub.sweep();
            tokio::time::sleep(seconds(4)).await;
            assert!(
                cluster.writes("app").is_empty(),
                "Service first: {service_first}, visited: {visited}"
            );
            cluster.change("app", |app| {
                (app.idled, app.replicas, app.since, app.is_ours) = (true, 0, None, true);
            });
            tokio::time::sleep(seconds(30)).await;
            let state = cluster.state("app");
            // Whoever found it up was shown in, and it goes to sleep after that.
            assert_eq!(
                state.replicas > 0,
                visited && service_first,
                "Service first: {service_first}, visited: {visited}"
            );
            assert!(state.idled || cluster.is_awake("app"));
            joined.abort();
        }
    }
}

/// Its page still asks, so that it is still watched.
#[tokio::test(start_paused = true)]
async fn an_app_that_is_idled_right_after_it_was_woken_is_left_alone_as_well() {
    let cluster = Played::one(Fate::Up(seconds(1)));
    cluster.change("app", |app| app.is_beside = true);
    let hub = cluster.hub(1);
    assert_eq!(last_phase(&hub, "app").await, READY);
    assert_eq!(hub.look(&host("app")).phase, READY, "its page asks");
    tokio::time::sleep(seconds(5)).await;
    let woken = cluster.writes("app").len();
    cluster.change("app", |app| app.is_ours = true);
    tokio::time::sleep(seconds(1)).await;
    hub.sweep();
    tokio::time::sleep(seconds(3)).await;
    assert_eq!(cluster.writes("app").len(), woken);
    cluster.change("app", |app| {
        (app.idled, app.replicas, app.since) = (true, 0, None);
    });
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(cluster.writes("app").len(), woken, "it sleeps");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_marked_by_hand_keeps_its_marks_until_it_is_taken_down() {
    for visited in [true, false] {
        let cluster = Played::one(Fate::Up(seconds(1)));
        cluster.leave_half_awake("app");
        cluster.change("app", |app| {
            (app.is_ours, app.is_marked_lately) = (false, true);
        });
        let hub = cluster.hub(1);
        if visited {
            hub.retry(&host("app"));
        }
        for _ in 0..5 {
            hub.sweep();
            tokio::time::sleep(seconds(10)).await;
        }
        cluster.change("app", |app| (app.replicas, app.since) = (0, None));
        assert!(
            cluster.writes("app").is_empty() && cluster.state("app").idled,
            "visited: {visited}: {:?}",
            cluster.writes("app")
        );
        sweep_for(&hub, 5).await;
        assert!(
            cluster.is_awake("app"),
            "visited: {visited}: {:?}",
            cluster.writes("app")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn marks_that_cannot_be_taken_off_keep_nobody_from_the_app() {
    let cluster = Played::one(Fate::Up(seconds(1)));
    let hub = cluster.hub(1);
    cluster.change("app", |app| app.refused = &["clear"]);
    assert_eq!(last_phase(&hub, "app").await, READY);
    assert!(cluster.state("app").idled, "the sweep takes them off");
    cluster.change("app", |app| app.refused = &[]);
    sweep_for(&hub, 3).await;
    assert!(cluster.is_awake("app"));
    assert_eq!(cluster.notes(), [READY]);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_an_app_took_is_recorded_by_whoever_has_seen_the_whole_of_it() {
    let cluster = Played::one(Fate::Up(seconds(5)));
    last_phase(&cluster.hub(1), "app").await;
    assert_eq!(cluster.state("app").took, Some(seconds(5)));

    let cluster = Played::one(Fate::Up(seconds(5)));
    cluster.leave_half_awake("app");
    last_phase(&cluster.hub(1), "app").await;
    assert!(cluster.is_awake("app"));
    assert_eq!(cluster.state("app").took, None);
}

/// An app that is up, and may be put to sleep.
fn awake() -> Played {
    let cluster = Played::one(Fate::Up(Duration::ZERO));
    cluster.change("app", |app| {
        (app.idled, app.replicas, app.since) = (false, 1, Some(Instant::now()));
        (app.is_ours, app.is_to_sleep) = (false, true);
    });
    cluster
}

/// An attempt to put an app to sleep of which some writes are refused: what it says, and how long it takes.
async fn idle_in_vain(cluster: &Played, refused: &'static [&'static str]) -> (NotIdled, Duration) {
    cluster.change("app", |app| app.refused = refused);
    let begun = Instant::now();
    let outcome = cluster.hub(1).idle(&AppId::new("app"), By::Command).await;
    (outcome.expect_err("a policy"), begun.elapsed())
}

fn names(cluster: &Played) -> Vec<&'static str> {
    let writes = cluster.writes("app").into_iter();
    writes.map(|(_, name)| name).collect()
}

/// The browser then comes again. A stream that said no more would keep it for ever.
#[tokio::test(start_paused = true)]
async fn a_stream_ends_if_its_app_is_put_to_sleep_while_it_does_not_come_up() {
    let cluster = Played::one(Fate::Silent);
    cluster.change("app", |app| (app.idled, app.replicas) = (false, 1));
    let hub = cluster.hub(1);
    let joined = tokio::spawn(hub.join(&host("app")).collect::<Vec<_>>());
    sleep(seconds(20)).await;
    assert!(!joined.is_finished());
    _ = hub.idle(&AppId::new("app"), By::Command).await;
    sleep(seconds(1)).await;
    assert!(joined.is_finished());
}

#[tokio::test(start_paused = true)]
async fn an_app_is_put_to_sleep_by_two_writes_and_its_visitors_come_first() {
    let cluster = awake();
    let hub = cluster.hub(1);
    assert_eq!(hub.idle(&AppId::new("app"), By::Command).await, Ok(()));
    assert_eq!(names(&cluster), ["divert", "idle"]);
    let writes = cluster.writes("app");
    let apart = writes[1].0 - writes[0].0;
    assert!(
        apart >= Duration::from_secs(3),
        "the ingress needs time: {apart:?}"
    );
    assert_eq!(hub.look(&host("app")).phase, Phase::Asleep);
    tokio::time::sleep(Duration::from_mins(5)).await;
    hub.sweep();
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(names(&cluster), ["divert", "idle"], "and stays asleep");
    assert!(hub.inner.tasks.is_empty());
    assert_eq!(cluster.notes(), [], "nobody was woken");
}

#[tokio::test(start_paused = true)]
async fn an_app_whose_wake_up_has_failed_is_put_back_to_sleep_by_one_write() {
    let cluster = Played::one(Fate::Silent);
    let hub = cluster.hub(1);
    assert!(matches!(
        last_phase(&hub, "app").await,
        Phase::Failed { .. }
    ));
    cluster.change("app", |app| app.is_to_sleep = true);
    let before = names(&cluster).len();
    sweep_for(&hub, 5).await;
    assert_eq!(hub.idle(&AppId::new("app"), By::IdleAfter).await, Ok(()));
    assert_eq!(&names(&cluster)[before..], ["idle"]);
    assert_eq!(hub.look(&host("app")).phase, Phase::Asleep);
}

#[tokio::test(start_paused = true)]
async fn the_ingress_has_as_long_as_its_operators_say_whatever_other_replicas_see_meanwhile() {
    let cluster = awake();
    let of = || {
        let settings = Settings {
            idle_grace: seconds(15),
            ..Settings::default()
        };
        Hub::new(Arc::new(cluster.clone()), settings)
    };
    let (hub, other) = (of(), of());
    let app = AppId::new("app");
    let (outcome, ()) = futures::join!(hub.idle(&app, By::Command), async {
        for _ in 0..15 {
            other.sweep();
            sleep(seconds(1)).await;
        }
    });
    assert_eq!(outcome, Ok(()));
    assert_eq!(names(&cluster), ["divert", "idle"]);
    let writes = cluster.writes("app");
    assert!(writes[1].0 - writes[0].0 >= seconds(15));
    sweep_for(&other, 5).await;
    assert_eq!(names(&cluster), ["divert", "idle"], "and stays asleep");
}

/// Whoever has come since is not seen by what was known then.
#[tokio::test(start_paused = true)]
async fn an_unused_app_stays_awake_if_half_a_minute_has_passed_since_that_was_known() {
    for (by, is_late) in [
        (By::IdleAfter, true),
        (By::Schedule, true),
        (By::Command, false),
    ] {
        let cluster = awake();
        cluster.change("app", |app| app.is_out_of_reach = true);
        let hub = cluster.hub(1);
        let app = AppId::new("app");
        let api_server = async {
            tokio::time::sleep(Duration::from_secs(35)).await;
            cluster.change("app", |app| app.is_out_of_reach = false);
        };
        let (outcome, ()) = futures::join!(hub.idle(&app, by), api_server);
        let cause = outcome.err().map(|error| error.cause);
        assert_eq!(cause, is_late.then_some(Cause::Late), "{by:?}");
        assert_eq!(cluster.is_awake("app"), is_late, "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_cannot_be_put_to_sleep_is_left_as_it_was() {
    let cluster = awake();
    let (NotIdled { cause, is_undone }, _) = idle_in_vain(&cluster, &["idle"]).await;
    assert_eq!(
        cause.to_string(),
        "cannot scale workload: the cluster forbids it: a policy"
    );
    assert!(is_undone && cluster.is_awake("app"));
    assert_eq!(names(&cluster), ["divert", "idle", "idle", "restore"]);
    assert_eq!(cluster.state("app").ended, Some(Ended::Failed));
}

/// Such as an admission webhook, or a controller that watches.
#[tokio::test(start_paused = true)]
async fn an_app_that_gets_its_replicas_back_at_once_was_not_put_to_sleep() {
    for (after, expected) in [
        (Duration::ZERO, Err(Cause::Woken)),
        (Duration::from_secs(20), Ok(())),
    ] {
        let cluster = awake();
        let hub = cluster.hub(1);
        let app = AppId::new("app");
        let somebody = async {
            while names(&cluster) != ["divert", "idle"] {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(after).await;
            cluster.change("app", |app| {
                (app.idled, app.replicas, app.since) = (false, 1, Some(Instant::now()));
            });
        };
        let (outcome, ()) = futures::join!(hub.idle(&app, By::IdleAfter), somebody);
        assert_eq!(outcome.map_err(|error| error.cause), expected);
        sweep_for(&hub, 5).await;
        assert_eq!(names(&cluster), ["divert", "idle", "restore"]);
        assert!(cluster.is_awake("app"));
        let ended = match expected {
            Err(_) => Ended::Failed,
            Ok(()) => Ended::Undone,
        };
        assert_eq!(cluster.state("app").ended, Some(ended));
    }
}

#[tokio::test(start_paused = true)]
async fn a_visitor_who_comes_while_an_app_is_put_to_sleep_gets_it() {
    let cluster = awake();
    cluster.change("app", |app| app.refused = &["idle"]);
    let hub = cluster.hub(1);
    let app = AppId::new("app");
    let visitor = async {
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        assert_eq!(names(&cluster), ["divert", "idle"]);
        last_phase(&hub, "app").await
    };
    let (outcome, phase) = futures::join!(hub.idle(&app, By::Command), visitor);
    assert_eq!(outcome.expect_err("a visitor").cause, Cause::Woken);
    assert!(matches!(phase, Phase::Ready { .. }) && cluster.is_awake("app"));
    let ended = cluster.state("app").ended;
    assert_eq!(ended, Some(Ended::Woken { took: None }), "as it was to be");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_somebody_wakes_while_it_is_put_to_sleep_stays_awake() {
    let cluster = awake();
    let hub = cluster.hub(1);
    let app = AppId::new("app");
    let somebody = async {
        while names(&cluster) != ["divert"] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cluster.change("app", |app| app.is_ours = false);
    };
    let (outcome, ()) = futures::join!(hub.idle(&app, By::Command), somebody);
    assert_eq!(
        outcome,
        Err(NotIdled {
            cause: Cause::Woken,
            is_undone: true
        })
    );
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(cluster.is_awake("app"));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_being_woken_is_not_put_to_sleep() {
    let cluster = Played::one(Fate::Up(Duration::from_secs(5)));
    let hub = cluster.hub(1);
    hub.retry(&host("app"));
    let outcome = hub.idle(&AppId::new("app"), By::Command).await;
    assert_eq!(outcome.expect_err("a visitor").cause, Cause::Woken);
    assert!(matches!(last_phase(&hub, "app").await, Phase::Ready { .. }));
    assert_eq!(names(&cluster), ["scale", "restore", "clear"]);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_is_not_ready_gets_its_visitors_back_as_well() {
    let cluster = awake();
    cluster.change("app", |app| app.fate = Fate::Silent);
    let (error, took) = idle_in_vain(&cluster, &["idle"]).await;
    assert!(error.is_undone);
    assert!(!cluster.state("app").is_ours, "though nobody waited for it");
    assert!(took < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_somebody_switches_off_in_between_gets_its_service_back() {
    let cluster = awake();
    let hub = cluster.hub(1);
    let app = AppId::new("app");
    let somebody = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.change("app", |app| (app.replicas, app.since) = (0, None));
    };
    let (outcome, ()) = futures::join!(hub.idle(&app, By::Command), somebody);
    let NotIdled { cause, is_undone } = outcome.expect_err("it is off");
    assert_eq!((cause, is_undone), (Cause::App(Reason::SwitchedOff), true));
    assert_eq!(names(&cluster), ["divert", "restore"]);
    assert_eq!(cluster.state("app").replicas, 0, "and stays off");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_undone_is_tried_until_the_deadline_and_then_said() {
    let cluster = awake();
    let (error, took) = idle_in_vain(&cluster, &["idle", "restore"]).await;
    assert!(!error.is_undone);
    assert!(took <= Settings::default().deadline * 2);
    let restores = names(&cluster)
        .into_iter()
        .filter(|name| *name == "restore");
    assert!(restores.count() > 10);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_nothing_was_written_for_is_as_it_was() {
    let cluster = awake();
    cluster.change("app", |app| app.fate = Fate::Silent);
    let (error, took) = idle_in_vain(&cluster, &["divert"]).await;
    assert!(error.is_undone);
    assert!(took < Duration::from_secs(10), "at once");
}
