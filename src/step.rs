//! Decides the next step for an app, purely from what is observed.
//!
//! The order of the writes follows from the rules below and is stored nowhere: whether it is killed at any point, raced
//! by another replica or helped by hand, unidler arrives at the same next step.
//!
//! ```text
//! awake:    replicas 0 -> n   ->   the Services lead to the app again   ->   the idle marks come off
//! asleep:   the Services lead to unidler   ->   replicas n -> 0, with the idle marks
//! ```
//!
//! On the way up, the marks go last, because they are the record: as long as they exist, an app that is scaled down
//! halfway is known to be idled, and with how many replicas. On the way down, the Services come first: as long as the
//! app has its replicas, any replica of unidler that finds it between the two writes routes its visitors back.
//!
//! An app with several workloads wakes in waves, each once everything that it needs is available, and falls asleep in
//! the reverse order.

use crate::{
    app::{App, Diversion, Effect, Endpoints, Leads, Observation, Service, Trouble, Workload},
    cluster::{Ended, Write},
    order,
    progress::{Notice, Phase, Reason, Step},
    start::Start,
};

/// The state that an app is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Running, with its visitors routed to it.
    Awake,
    /// Without replicas, and its visitors routed to unidler.
    Asleep,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Write this.
    Write(Write),
    /// Wait for the cluster.
    Wait {
        /// The step that is waited for.
        step: Step,
        /// The problem, as long as it may pass.
        reason: Option<Reason>,
    },
    /// Nothing: the app has reached its goal.
    Done,
    /// Nothing: the goal cannot be reached in the present state.
    Fail(Reason),
}

/// Decides the next step towards a goal.
#[must_use]
pub fn next_step(observation: &Observation, goal: Goal) -> Next {
    match observation {
        Ok(app) if goal == Goal::Awake => wake(app),
        Ok(app) => idle(app),
        Err(reason) if reason.may_pass() => Next::Wait {
            step: Step::Finding,
            reason: Some(*reason),
        },
        Err(reason) => Next::Fail(*reason),
    }
}

fn idle(app: &App) -> Next {
    if let Some(reason) = app.services.iter().find_map(|service| lost(&service.leads)) {
        return Next::Fail(reason);
    }
    if app.own().next().is_none() {
        return Next::Fail(Reason::SwitchedOff);
    }
    if !app.connected {
        return unreachable(Step::Finding);
    }
    if is_in_use(app).is_some() {
        return Next::Wait {
            step: Step::Finding,
            reason: None,
        };
    }
    let to_divert =
        |service: &&Service| matches!(service.leads, Leads::ToApp { .. }) || is_astray(service);
    if let Some(service) = app.services.iter().find(to_divert) {
        return Next::Write(Write::Divert {
            service: service.id.clone(),
            version: service.version.clone(),
            by: None,
        });
    }
    match order::next_to_idle(app) {
        Some(workload) => Next::Write(Write::Idle {
            workload: workload.id.clone(),
            version: workload.version.clone(),
        }),
        None => Next::Done,
    }
}

/// What keeps an app awake: a workload of its own that something else awake uses.
#[must_use]
pub fn is_in_use(app: &App) -> Option<&Workload> {
    order::own_in_use(app)
}

fn wake(app: &App) -> Next {
    if let Some(reason) = app.services.iter().find_map(|service| lost(&service.leads)) {
        return Next::Fail(reason);
    }
    if app.own().next().is_none() {
        return Next::Fail(Reason::SwitchedOff);
    }
    if let Some(service) = app.services.iter().find(|service| is_unwanted(service)) {
        return Next::Write(Write::Restore {
            service: service.id.clone(),
            version: service.version.clone(),
            ended: Ended::Undone,
        });
    }
    if let Some(service) = app.services.iter().find(|service| is_astray(service)) {
        return Next::Write(Write::Divert {
            service: service.id.clone(),
            version: service.version.clone(),
            by: None,
        });
    }
    let asleep = app
        .parts()
        .filter(|workload| workload.replicas == 0 && order::may_wake(app, workload))
        .find_map(|workload| Some((workload, workload.record?)));
    if let Some((workload, record)) = asleep {
        return Next::Write(Write::Scale {
            workload: workload.id.clone(),
            version: workload.version.clone(),
            replicas: record.replicas,
        });
    }
    // Each Service is restored by itself: once its app responds, it does not wait for the others.
    let is_due = |service: &&Service| match &service.leads {
        Leads::Here(diversion) => has_app_behind(app, diversion),
        Leads::ToApp { .. } | Leads::Elsewhere => false,
    };
    if let Some(service) = app.services.iter().find(is_due) {
        return Next::Write(Write::Restore {
            service: service.id.clone(),
            version: service.version.clone(),
            ended: Ended::Woken { took: None },
        });
    }
    if app.waiting().next().is_some() {
        return wait_for_workloads(app);
    }
    if app.leads_here() {
        return match app.connected {
            false => unreachable(Step::Connecting),
            true => Next::Wait {
                step: Step::Connecting,
                reason: None,
            },
        };
    }
    if let Some(workload) = app.own().find(|workload| workload.record.is_some()) {
        return Next::Write(Write::ClearIdled {
            workload: workload.id.clone(),
            version: workload.version.clone(),
            took: None,
        });
    }
    match app.connected {
        false => unreachable(Step::Connecting),
        true if is_answering(app) => Next::Done,
        true => Next::Wait {
            step: Step::Connecting,
            reason: None,
        },
    }
}

/// Whether the visitors of a Service should be routed here, but are not.
fn is_astray(service: &Service) -> bool {
    let Leads::Here(diversion) = &service.leads else {
        return false;
    };
    match diversion.effect {
        Effect::Astray | Effect::Gone => true,
        Effect::Missing => diversion.endpoints == Some(Endpoints::NotReady),
        Effect::Leads | Effect::Unwanted => false,
    }
}

/// Whether the visitors of a Service may have to be routed here, but are not.
pub(crate) fn is_missing(service: &Service) -> bool {
    service.effect() == Some(Effect::Missing)
}

/// Whether the visitors of a Service are routed here, but should not be.
pub(crate) fn is_unwanted(service: &Service) -> bool {
    service.effect() == Some(Effect::Unwanted)
}

/// Whether the visitors of a Service would reach the app if they were not diverted. Where that cannot be seen, the whole app
/// has to be available.
fn has_app_behind(app: &App, diversion: &Diversion) -> bool {
    match diversion.endpoints {
        // A workload without replicas still waits for those that it needs.
        Some(Endpoints::Ready) => app.parts().all(|workload| {
            workload.replicas > 0 || !workload.record.is_some_and(|record| record.is_fleeting)
        }),
        Some(Endpoints::NotReady | Endpoints::Unknown) => false,
        Some(Endpoints::Forbidden) | None => app.waiting().next().is_none(),
    }
}

/// Whether an app is asleep, and can be woken for a visitor.
fn is_to_wake(app: &App) -> bool {
    app.is_asleep()
        && app
            .services
            .iter()
            .all(|service| lost(&service.leads).is_none())
}

/// Whether an observed app is asleep, and can be woken for a visitor.
pub(crate) fn is_sleeping(observation: &Observation) -> bool {
    observation.as_ref().is_ok_and(is_to_wake)
}

/// Why visitors could not be routed to the app once it is running.
fn lost(leads: &Leads) -> Option<Reason> {
    match leads {
        Leads::Elsewhere => Some(Reason::ServiceElsewhere),
        Leads::Here(diversion) if !diversion.restorable => Some(Reason::ServiceUnknown),
        Leads::Here(_) | Leads::ToApp { .. } => None,
    }
}

/// Waits for the workloads that have their replicas. The step is that of the least advanced one. The worst problem is
/// shown: one that the cluster has given up on comes first, and one that may pass comes last.
fn wait_for_workloads(app: &App) -> Next {
    let waiting = || app.waiting().filter(|workload| workload.replicas > 0);
    let step = waiting().map(step_of).min().unwrap_or(Step::Scheduling);
    if !app.connected {
        return unreachable(step);
    }
    let gravity = |trouble: &Trouble| (trouble.given_up, !trouble.reason.may_pass());
    let troubles = waiting().filter_map(|workload| workload.pods.trouble.or(workload.trouble));
    // Of several that are equally grave, the first.
    match troubles.rev().max_by_key(gravity) {
        Some(trouble) if trouble.given_up => Next::Fail(trouble.reason),
        trouble => Next::Wait {
            step,
            reason: trouble.map(|trouble| trouble.reason),
        },
    }
}

fn step_of(workload: &Workload) -> Step {
    workload.pods.step.unwrap_or(Step::Scheduling)
}

/// Waits for the connection: its loss outweighs the last observed state, which may be outdated.
fn unreachable(step: Step) -> Next {
    Next::Wait {
        step,
        reason: Some(Reason::ApiUnreachable),
    }
}

/// Whether visitors reach the app, even if there is something left to clean up.
fn is_answering(app: &App) -> bool {
    let answers = |leads: &Leads| {
        matches!(
            leads,
            Leads::ToApp {
                endpoints: Endpoints::Ready | Endpoints::Forbidden
            }
        )
    };
    app.connected
        && app.own().next().is_some()
        && app.waiting().next().is_none()
        && app.services.iter().all(|service| answers(&service.leads))
}

/// Whether an app is in a state that cannot last, so that the sweep does the next write for it.
///
/// This is an app with replicas that still has its marks or whose visitors are still diverted; or an app with marks and
/// without replicas whose visitors are not routed here, so that nobody can wake it.
#[must_use]
pub fn is_unfinished(app: &App) -> bool {
    let is_elsewhere = |leads: &Leads| matches!(leads, Leads::Elsewhere);
    if app
        .services
        .iter()
        .any(|service| is_elsewhere(&service.leads))
    {
        false
    } else if app.leads_here() {
        // A workload that was never idled may be up while the others sleep.
        let is_wrong = app
            .services
            .iter()
            .any(|service| is_astray(service) || is_unwanted(service) || is_missing(service));
        is_wrong || (!app.is_asleep() && app.own().next().is_some())
    } else {
        app.parts().any(|workload| workload.record.is_some())
    }
}

/// The phase of an app for an observer who does nothing about it.
#[must_use]
pub fn phase(observation: &Observation) -> Phase {
    match next_step(observation, Goal::Awake) {
        // The workloads that it needs may be running or starting for other apps.
        Next::Write(Write::Scale { .. }) | Next::Wait { .. } | Next::Fail(_)
            if is_sleeping(observation) =>
        {
            let start = observation
                .as_ref()
                .map_or_else(|_| Start::default(), |app| app.start);
            match start.refusal() {
                Some(reason) => Phase::Failed { reason },
                None => Phase::Asleep,
            }
        }
        Next::Write(Write::Scale { .. }) => Phase::Waking {
            step: Step::Restoring,
            reason: None,
        },
        Next::Write(Write::Divert { .. })
            if observation
                .as_ref()
                .is_ok_and(|app| app.own().all(|workload| workload.replicas == 0)) =>
        {
            Phase::Asleep
        }
        Next::Write(_) if observation.as_ref().is_ok_and(is_answering) => Phase::Ready {
            notice: Some(Notice::AlreadyAwake),
        },
        Next::Write(_) => Phase::Waking {
            step: Step::Connecting,
            reason: None,
        },
        Next::Wait { step, reason } => Phase::Waking { step, reason },
        Next::Done => Phase::Ready {
            notice: Some(Notice::AlreadyAwake),
        },
        Next::Fail(reason) => Phase::Failed { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Bonds, ObjectId, Pods, Record, Version};
    use crate::probe::Probes;

    fn workload(id: &str) -> Workload {
        Workload {
            id: ObjectId::new(id),
            version: Version(format!("{id}.1")),
            record: Some(Record {
                replicas: 2,
                is_recent: false,
                is_fleeting: false,
            }),
            replicas: 0,
            available: 0,
            trouble: None,
            pods: Pods::default(),
            usual: None,
            bonds: Bonds::default(),
        }
    }

    fn diverted(id: &str, restorable: bool) -> Service {
        Service {
            id: ObjectId::new(id),
            version: Version(format!("{id}.1")),
            leads: Leads::Here(Diversion::instead(restorable)),
        }
    }

    /// An app as the idler leaves it.
    fn idled() -> App {
        App {
            probes: Probes::default(),
            start: Start::default(),
            wakes: None,
            connected: true,
            title: None,
            services: vec![diverted("s", true)],
            workloads: vec![workload("w")],
        }
    }

    fn scale(id: &str) -> Next {
        Next::Write(Write::Scale {
            workload: ObjectId::new(id),
            version: Version(format!("{id}.1")),
            replicas: 2,
        })
    }

    fn restore(id: &str) -> Next {
        Next::Write(Write::Restore {
            service: ObjectId::new(id),
            version: Version(format!("{id}.1")),
            ended: Ended::Woken { took: None },
        })
    }

    fn clear(id: &str) -> Next {
        Next::Write(Write::ClearIdled {
            workload: ObjectId::new(id),
            version: Version(format!("{id}.1")),
            took: None,
        })
    }

    fn observed(change: impl FnOnce(&mut App)) -> Next {
        let mut observed = idled();
        change(&mut observed);
        next_step(&Ok(observed), Goal::Awake)
    }

    fn scaled(o: &mut App) {
        o.workloads[0].replicas = 2;
    }

    fn available(o: &mut App) {
        scaled(o);
        o.workloads[0].available = 1;
    }

    fn restored(o: &mut App) {
        available(o);
        o.services[0].leads = Leads::ToApp {
            endpoints: Endpoints::NotReady,
        };
    }

    fn cleared(endpoints: Endpoints) -> impl FnOnce(&mut App) {
        move |o| {
            restored(o);
            o.workloads[0].record = None;
            o.services[0].leads = Leads::ToApp { endpoints };
        }
    }

    #[test]
    fn the_steps_of_a_wake_up_follow_from_what_is_observed() {
        assert_eq!(observed(|_| ()), scale("w"));
        assert_eq!(
            observed(scaled),
            Next::Wait {
                step: Step::Scheduling,
                reason: None
            }
        );
        assert_eq!(observed(available), restore("s"));
        assert_eq!(observed(restored), clear("w"));
        assert_eq!(
            observed(cleared(Endpoints::NotReady)),
            Next::Wait {
                step: Step::Connecting,
                reason: None
            }
        );
        assert_eq!(observed(cleared(Endpoints::Ready)), Next::Done);
    }

    #[test]
    fn an_app_of_several_objects_wakes_in_the_same_order() {
        let mut app = idled();
        app.services.push(diverted("s2", true));
        app.workloads.push(workload("w2"));
        let next = |app: &App| next_step(&Ok(app.clone()), Goal::Awake);
        assert_eq!(next(&app), scale("w"));
        app.workloads[0].replicas = 2;
        assert_eq!(next(&app), scale("w2"));
        app.workloads[1].replicas = 2;
        app.workloads[0].available = 1;
        app.workloads[1].pods.step = Some(Step::Pulling);
        let waits = |step| Next::Wait { step, reason: None };
        assert_eq!(next(&app), waits(Step::Pulling), "for the slower one");
        app.workloads[1].available = 1;
        assert_eq!(next(&app), restore("s"));
        let to_app = |endpoints| Leads::ToApp { endpoints };
        app.services[0].leads = to_app(Endpoints::Ready);
        assert_eq!(next(&app), restore("s2"));
        app.services[1].leads = to_app(Endpoints::NotReady);
        assert_eq!(next(&app), clear("w"));
        app.workloads[0].record = None;
        assert_eq!(next(&app), clear("w2"));
        app.workloads[1].record = None;
        assert_eq!(next(&app), waits(Step::Connecting), "one does not answer");
        app.services[1].leads = to_app(Endpoints::Ready);
        assert_eq!(next(&app), Next::Done);
    }

    /// An app whose own endpoints stand beside what diverts its visitors.
    fn beside(endpoints: Endpoints) -> Leads {
        Leads::Here(Diversion {
            restorable: true,
            effect: Effect::Leads,
            endpoints: Some(endpoints),
        })
    }

    #[test]
    fn each_service_is_restored_as_soon_as_its_own_endpoints_are_ready() {
        let mut app = idled();
        app.services.push(diverted("s2", true));
        app.workloads.push(workload("w2"));
        for workload in &mut app.workloads {
            workload.replicas = 2;
        }
        app.services[0].leads = beside(Endpoints::NotReady);
        app.services[1].leads = beside(Endpoints::Unknown);
        let next = |app: &App| next_step(&Ok(app.clone()), Goal::Awake);
        assert!(matches!(next(&app), Next::Wait { .. }));
        app.workloads[1].available = 2;
        app.services[1].leads = beside(Endpoints::Ready);
        assert_eq!(next(&app), restore("s2"), "the other one is not waited for");
        app.services[1].leads = Leads::ToApp {
            endpoints: Endpoints::Ready,
        };
        app.workloads[1].record = None;
        let waits = |step| Next::Wait { step, reason: None };
        assert_eq!(next(&app), waits(Step::Scheduling));
        app.workloads[0].available = 2;
        assert_eq!(
            next(&app),
            waits(Step::Connecting),
            "available is not ready"
        );
        app.services[0].leads = beside(Endpoints::Ready);
        assert_eq!(next(&app), restore("s"));
    }

    #[test]
    fn an_app_that_goes_down_slowly_is_asleep_whatever_its_endpoints_say() {
        let mut app = idled();
        app.services[0].leads = beside(Endpoints::Ready);
        assert_eq!(next_step(&Ok(app.clone()), Goal::Awake), scale("w"));
        assert_eq!(phase(&Ok(app.clone())), Phase::Asleep);
        assert!(!is_unfinished(&app));
    }

    #[test]
    fn visitors_who_would_not_land_here_are_led_here_again() {
        let mut app = idled();
        for effect in [Effect::Astray, Effect::Gone] {
            app.services[0].leads = Leads::Here(Diversion {
                restorable: true,
                effect,
                endpoints: Some(Endpoints::NotReady),
            });
            let divert = Next::Write(Write::Divert {
                service: ObjectId::new("s"),
                version: Version("s.1".into()),
                by: None,
            });
            for goal in [Goal::Awake, Goal::Asleep] {
                assert_eq!(next_step(&Ok(app.clone()), goal), divert);
            }
            assert_eq!(phase(&Ok(app.clone())), Phase::Asleep);
            assert!(is_unfinished(&app), "without a visitor");
        }
    }

    #[test]
    fn an_app_is_adopted_only_if_nothing_answers_behind_its_service() {
        let mut app = idled();
        for (endpoints, is_diverted) in [
            (Endpoints::NotReady, true),
            (Endpoints::Ready, false),
            (Endpoints::Unknown, false),
            (Endpoints::Forbidden, false),
        ] {
            app.services[0].leads = Leads::Here(Diversion {
                restorable: true,
                effect: Effect::Missing,
                endpoints: Some(endpoints),
            });
            assert!(is_unfinished(&app), "somebody has to look");
            let next = next_step(&Ok(app.clone()), Goal::Awake);
            let diverts = matches!(next, Next::Write(Write::Divert { .. }));
            assert_eq!(diverts, is_diverted, "{endpoints:?}: {next:?}");
        }
    }

    #[test]
    fn visitors_of_an_app_that_nobody_wants_woken_any_more_are_led_back_and_it_is_left_alone() {
        let mut app = idled();
        app.services[0].leads = Leads::Here(Diversion {
            restorable: true,
            effect: Effect::Unwanted,
            endpoints: Some(Endpoints::NotReady),
        });
        assert!(is_unfinished(&app), "without a visitor");
        let restore = Next::Write(Write::Restore {
            service: ObjectId::new("s"),
            version: Version("s.1".into()),
            ended: Ended::Undone,
        });
        assert_eq!(next_step(&Ok(app.clone()), Goal::Awake), restore);
        app.services[0].leads = Leads::ToApp {
            endpoints: Endpoints::NotReady,
        };
        app.workloads[0].record = None;
        assert_eq!(
            next_step(&Ok(app), Goal::Awake),
            Next::Fail(Reason::SwitchedOff)
        );
    }

    #[test]
    fn a_workload_that_somebody_switched_off_stays_off_and_holds_up_nobody() {
        let mut app = idled();
        let mut off = workload("off");
        off.record = None;
        app.workloads.insert(0, off);
        assert_eq!(next_step(&Ok(app.clone()), Goal::Awake), scale("w"));
        app.workloads[1].replicas = 2;
        app.workloads[1].available = 2;
        assert_eq!(next_step(&Ok(app), Goal::Awake), restore("s"));
    }

    #[test]
    fn an_app_fails_with_the_part_that_the_cluster_has_given_up_on() {
        let mut app = idled();
        app.workloads.push(workload("w2"));
        for workload in &mut app.workloads {
            workload.replicas = 2;
        }
        app.workloads[0].trouble = Some(Trouble::waiting(Reason::NoRoom));
        let next = |app: &App| next_step(&Ok(app.clone()), Goal::Awake);
        assert!(matches!(
            next(&app),
            Next::Wait {
                reason: Some(Reason::NoRoom),
                ..
            }
        ));
        app.workloads[1].trouble = Some(Trouble::waiting(Reason::ImageUnavailable));
        assert!(
            matches!(
                next(&app),
                Next::Wait {
                    reason: Some(Reason::ImageUnavailable),
                    ..
                }
            ),
            "what may not pass is shown first"
        );
        app.workloads[1].trouble = Some(Trouble::given_up(Reason::CrashLoop));
        assert_eq!(next(&app), Next::Fail(Reason::CrashLoop));
    }

    #[test]
    fn an_app_is_left_half_woken_if_one_of_its_objects_is() {
        let mut app = idled();
        app.services.push(diverted("s2", true));
        app.workloads.push(workload("w2"));
        assert!(!is_unfinished(&app), "asleep");
        app.workloads[1].replicas = 1;
        assert!(is_unfinished(&app), "one has its replicas back");
        let waking = Phase::Waking {
            step: Step::Restoring,
            reason: None,
        };
        assert_eq!(phase(&Ok(app.clone())), waking);
        app.workloads[1].record = None;
        assert!(!is_unfinished(&app), "one is up, and was never idled");
        assert_eq!(phase(&Ok(app.clone())), Phase::Asleep);
        app.workloads[1].record = app.workloads[0].record;
        app.workloads[0].replicas = 1;
        for service in &mut app.services {
            service.leads = Leads::ToApp {
                endpoints: Endpoints::Ready,
            };
        }
        app.workloads[0].record = None;
        assert!(is_unfinished(&app), "one is marked");
        app.workloads[1].record = None;
        assert!(!is_unfinished(&app), "awake");
    }

    #[test]
    fn an_app_is_half_woken_if_what_it_needs_was_woken_for_it() {
        let mut app = group();
        (app.workloads[3].replicas, app.workloads[3].available) = (2, 2);
        assert!(!is_unfinished(&app), "it may be up for others");
        assert_eq!(phase(&Ok(app.clone())), Phase::Asleep);
        app.workloads[3].bonds.is_woken_for_app = true;
        assert!(is_unfinished(&app));
        assert_eq!(next_step(&Ok(app.clone()), Goal::Awake), scale("api"));
        app.workloads[3].replicas = 0;
        assert!(!is_unfinished(&app), "somebody has switched it off again");
    }

    #[test]
    fn the_marks_stay_until_the_service_is_restored() {
        let unmarked = |o: &mut App| {
            available(o);
            o.workloads[0].record = None;
        };
        assert_eq!(observed(unmarked), restore("s"));
    }

    #[test]
    fn endpoints_that_may_not_be_read_do_not_hold_anybody_up() {
        assert_eq!(observed(cleared(Endpoints::Forbidden)), Next::Done);
    }

    #[test]
    fn endpoints_that_nobody_has_looked_at_are_not_taken_for_success() {
        assert_eq!(
            observed(cleared(Endpoints::Unknown)),
            Next::Wait {
                step: Step::Connecting,
                reason: None
            }
        );
    }

    fn seen(change: impl FnOnce(&mut App)) -> Phase {
        let mut observed = idled();
        change(&mut observed);
        phase(&Ok(observed))
    }

    #[test]
    fn whoever_only_looks_sees_an_app_asleep_only_without_replicas() {
        let connecting = Phase::Waking {
            step: Step::Connecting,
            reason: None,
        };
        let ready = Phase::Ready {
            notice: Some(Notice::AlreadyAwake),
        };
        assert_eq!(seen(|_| ()), Phase::Asleep);
        assert_eq!(
            seen(scaled),
            Phase::Waking {
                step: Step::Scheduling,
                reason: None
            }
        );
        assert_eq!(seen(available), connecting);
        assert_eq!(seen(restored), connecting);
        for (endpoints, phase) in [
            (Endpoints::Unknown, connecting),
            (Endpoints::NotReady, connecting),
            (Endpoints::Ready, ready),
            (Endpoints::Forbidden, ready),
        ] {
            assert_eq!(seen(cleared(endpoints)), phase, "{endpoints:?}");
        }
    }

    #[test]
    fn marks_that_are_left_keep_nobody_from_an_app_that_answers() {
        let marked = |o: &mut App| {
            cleared(Endpoints::Ready)(o);
            o.workloads[0].record = Some(Record {
                replicas: 2,
                is_recent: false,
                is_fleeting: false,
            });
        };
        assert_eq!(
            seen(marked),
            Phase::Ready {
                notice: Some(Notice::AlreadyAwake)
            }
        );
    }

    #[test]
    fn the_sweep_looks_after_apps_that_are_neither_awake_nor_asleep() {
        let unfinished = |change: &dyn Fn(&mut App)| {
            let mut observed = idled();
            change(&mut observed);
            is_unfinished(&observed)
        };
        assert!(!unfinished(&|_| ()), "asleep");
        assert!(!unfinished(&|o| cleared(Endpoints::Ready)(o)), "awake");
        assert!(
            !unfinished(&|o| (o.workloads[0].replicas, o.workloads[0].record) = (0, None)),
            "switched off"
        );
        assert!(unfinished(&scaled));
        assert!(unfinished(&available));
        assert!(unfinished(&restored));
        assert!(unfinished(&|o| {
            available(o);
            o.workloads[0].record = None;
        }));
        let stranded = |o: &mut App| {
            o.services[0].leads = Leads::ToApp {
                endpoints: Endpoints::NotReady,
            }
        };
        assert!(
            unfinished(&stranded),
            "marked, without replicas, and its address does not lead here"
        );
    }

    #[test]
    fn nothing_is_written_for_an_app_that_is_not_idled() {
        let switched_off = |o: &mut App| o.workloads[0].record = None;
        assert_eq!(observed(switched_off), Next::Fail(Reason::SwitchedOff));
        let elsewhere = |o: &mut App| o.services[0].leads = Leads::Elsewhere;
        assert_eq!(observed(elsewhere), Next::Fail(Reason::ServiceElsewhere));
        for reason in [
            Reason::NoRoute,
            Reason::HostNotServed,
            Reason::AmbiguousRoute,
        ] {
            assert_eq!(next_step(&Err(reason), Goal::Awake), Next::Fail(reason));
        }
    }

    #[test]
    fn an_app_is_not_scaled_up_if_its_service_could_not_be_restored() {
        let unknown = |o: &mut App| o.services[0] = diverted("s", false);
        assert_eq!(observed(unknown), Next::Fail(Reason::ServiceUnknown));
    }

    #[test]
    fn replicas_are_never_lowered() {
        let more = |o: &mut App| o.workloads[0].replicas = 9;
        assert!(matches!(observed(more), Next::Wait { .. }));
    }

    /// An idled app of a website and a worker of it, which need an API, which needs a database that is not of the app itself.
    fn group() -> App {
        let mut app = idled();
        app.workloads = ["web", "worker", "api", "db"].map(workload).into();
        app.workloads[0].bonds.needs = vec![ObjectId::new("api"), ObjectId::new("gone")];
        app.workloads[1].bonds.of = Some(ObjectId::new("web"));
        app.workloads[2].bonds.needs = vec![ObjectId::new("db")];
        app.workloads[3].bonds.is_need = true;
        app
    }

    /// What is written to an app until there is nothing to do or nothing but to wait, where each write has its effect.
    fn written(app: &mut App, goal: Goal) -> Vec<String> {
        let mut written = Vec::new();
        loop {
            let Next::Write(write) = next_step(&Ok(app.clone()), goal) else {
                return written;
            };
            let (id, _) = write.target();
            written.push(id.to_string());
            let workload = app.workloads.iter_mut().find(|each| each.id == *id);
            match (&write, workload) {
                (Write::Scale { replicas, .. }, Some(workload)) => workload.replicas = *replicas,
                (Write::Idle { .. }, Some(workload)) => {
                    (workload.replicas, workload.available) = (0, 0);
                }
                _ => return written,
            }
        }
    }

    #[test]
    fn what_an_app_needs_is_woken_before_it_and_workers_with_it() {
        let mut app = group();
        app.services[0].leads = beside(Endpoints::NotReady);
        let wake = |app: &mut App, available: usize| {
            app.workloads[available].available = 1;
            written(app, Goal::Awake)
        };
        assert_eq!(written(&mut app.clone(), Goal::Awake), ["db"]);
        let mut going = app.clone();
        going.workloads[3].available = 2;
        assert_eq!(
            written(&mut going, Goal::Awake).first().map(String::as_str),
            Some("db"),
            "whatever is left of it"
        );
        app.workloads[3].replicas = 2;
        app.workloads[3].pods.step = Some(Step::Pulling);
        assert_eq!(
            next_step(&Ok(app.clone()), Goal::Awake),
            Next::Wait {
                step: Step::Pulling,
                reason: None
            },
            "how far those are that have not got their replicas says nothing"
        );
        assert_eq!(
            app.progress().map(|parts| (parts.up, parts.of)),
            Some((0, 4))
        );
        assert_eq!(wake(&mut app, 3), ["api"]);
        assert_eq!(wake(&mut app, 2), ["web", "worker"]);
        assert_eq!(wake(&mut app, 0), [""; 0], "it has no ready endpoint");
        app.services[0].leads = beside(Endpoints::Ready);
        assert_eq!(next_step(&Ok(app.clone()), Goal::Awake), restore("s"));
        app.services[0].leads = Leads::ToApp {
            endpoints: Endpoints::Ready,
        };
        for workload in &mut app.workloads {
            workload.record = None;
        }
        assert!(
            matches!(next_step(&Ok(app.clone()), Goal::Awake), Next::Wait { .. }),
            "it is awake when its worker is"
        );
        app.workloads[1].available = 1;
        assert_eq!(next_step(&Ok(app), Goal::Awake), Next::Done);
    }

    #[test]
    fn visitors_are_led_to_a_ready_service_whatever_the_other_parts_wait_for() {
        let mut app = group();
        app.workloads[1].bonds.needs = vec![ObjectId::new("db")];
        for up in [0, 2, 3] {
            app.workloads[up].replicas = 2;
        }
        app.workloads[0].available = 1;
        app.services[0].leads = beside(Endpoints::Ready);
        assert_eq!(next_step(&Ok(app.clone()), Goal::Awake), restore("s"));
        // Nobody would know any more how many replicas the worker had.
        for workload in &mut app.workloads {
            workload.record = workload.record.map(|record| Record {
                is_fleeting: true,
                ..record
            });
        }
        assert!(matches!(
            next_step(&Ok(app), Goal::Awake),
            Next::Wait { .. }
        ));
    }

    #[test]
    fn only_what_is_down_and_recorded_is_woken_and_only_that_is_waited_for() {
        // Of the database of a group: its replicas, those that are available, whether there is a record, what is written first.
        for (replicas, available, is_recorded, first) in [
            (0, 0, true, Some("db")),
            (0, 0, false, Some("api")),
            (2, 0, true, None),
            (2, 0, false, None),
            (2, 1, true, Some("api")),
            (2, 1, false, Some("api")),
        ] {
            let mut app = group();
            let db = &mut app.workloads[3];
            (db.replicas, db.available) = (replicas, available);
            db.record = db.record.filter(|_| is_recorded);
            assert_eq!(
                written(&mut app.clone(), Goal::Awake)
                    .first()
                    .map(String::as_str),
                first,
                "{replicas} {available} {is_recorded}"
            );
            assert_eq!(phase(&Ok(app.clone())), Phase::Asleep);
            assert!(!is_unfinished(&app), "nobody wants the app itself");
        }
    }

    #[test]
    fn a_need_that_cannot_start_fails_the_wake_up_and_not_the_app_that_nobody_wakes() {
        let mut app = group();
        app.workloads[3].replicas = 2;
        app.workloads[3].pods.trouble = Some(Trouble::given_up(Reason::CrashLoop));
        assert_eq!(
            next_step(&Ok(app.clone()), Goal::Awake),
            Next::Fail(Reason::CrashLoop)
        );
        assert_eq!(phase(&Ok(app)), Phase::Asleep);
    }

    #[test]
    fn an_app_that_is_up_wakes_what_it_needs() {
        let mut app = group();
        for workload in &mut app.workloads[..3] {
            (workload.replicas, workload.available) = (2, 2);
        }
        assert_eq!(next_step(&Ok(app.clone()), Goal::Awake), scale("db"));
        assert!(is_unfinished(&app));
        let waking = Phase::Waking {
            step: Step::Restoring,
            reason: None,
        };
        assert_eq!(phase(&Ok(app.clone())), waking);
        app.services[0].leads = Leads::ToApp {
            endpoints: Endpoints::Ready,
        };
        for workload in &mut app.workloads[..3] {
            workload.record = None;
        }
        assert_eq!(next_step(&Ok(app.clone()), Goal::Awake), scale("db"));
        assert!(is_unfinished(&app));
        assert_eq!(phase(&Ok(app.clone())), waking);
        app.workloads[3].record = None;
        assert!(!is_unfinished(&app), "it was switched off");
    }

    /// A group that is up and whose visitors are led here.
    fn falling_asleep() -> App {
        let mut app = group();
        for workload in &mut app.workloads {
            (workload.replicas, workload.available) = (2, 2);
        }
        app
    }

    #[test]
    fn what_an_app_needs_falls_asleep_after_it_unless_it_is_in_use() {
        let next = |app: &App| next_step(&Ok(app.clone()), Goal::Asleep);
        let mut app = falling_asleep();
        assert_eq!(
            written(&mut app, Goal::Asleep),
            ["web", "worker", "api", "db"]
        );
        assert_eq!(next(&app), Next::Done);

        let mut shared = falling_asleep();
        shared.workloads[3].bonds.is_in_use = true;
        assert_eq!(written(&mut shared, Goal::Asleep), ["web", "worker", "api"]);
        assert_eq!(next(&shared), Next::Done);
        assert!(!is_unfinished(&shared));

        // A need that stays awake keeps what it needs itself, and the workers of that.
        let mut chain = falling_asleep();
        chain.workloads.push(workload("disk"));
        chain.workloads.push(workload("cleaner"));
        for (index, replicas) in [(4, 2), (5, 2)] {
            chain.workloads[index].replicas = replicas;
            chain.workloads[index].bonds.is_need = true;
        }
        chain.workloads[5].bonds.of = Some(ObjectId::new("disk"));
        chain.workloads[3].bonds.needs = vec![ObjectId::new("disk")];
        assert_eq!(
            written(&mut chain.clone(), Goal::Asleep),
            ["web", "worker", "api", "db", "disk", "cleaner"]
        );
        chain.workloads[3].bonds.is_in_use = true;
        assert_eq!(written(&mut chain, Goal::Asleep), ["web", "worker", "api"]);
    }

    #[test]
    fn an_app_stays_awake_that_something_else_needs() {
        let mut app = falling_asleep();
        app.services[0].leads = Leads::ToApp {
            endpoints: Endpoints::Ready,
        };
        let next = |app: &App| next_step(&Ok(app.clone()), Goal::Asleep);
        app.workloads[2].bonds.is_in_use = true;
        assert_eq!(is_in_use(&app).map(|each| each.id.as_str()), Some("api"));
        assert!(matches!(next(&app), Next::Wait { .. }), "not even diverted");
        app.workloads[2].bonds.is_in_use = false;
        assert!(matches!(next(&app), Next::Write(Write::Divert { .. })));
        // Its need is in use, and needs it in turn for something else.
        app.workloads.push(workload("tool"));
        app.workloads[4].replicas = 2;
        app.workloads[3].bonds.needs = vec![ObjectId::new("tool")];
        app.workloads[3].bonds.is_in_use = true;
        assert_eq!(is_in_use(&app).map(|each| each.id.as_str()), Some("tool"));
        // What it was before somebody switched it off uses nothing.
        app.workloads[2].bonds.is_in_use = true;
        for index in [2, 4] {
            (app.workloads[index].replicas, app.workloads[index].record) = (0, None);
        }
        assert_eq!(is_in_use(&app), None);
    }

    #[test]
    fn workloads_that_need_each_other_have_no_order() {
        let circle = |mut app: App| {
            app.workloads[3].bonds.needs = vec![ObjectId::new("web"), ObjectId::new("db")];
            app
        };
        let mut app = circle(group());
        assert_eq!(
            written(&mut app, Goal::Awake),
            ["web", "worker", "api", "db"]
        );
        let mut app = circle(falling_asleep());
        assert_eq!(
            written(&mut app, Goal::Asleep),
            ["web", "worker", "api", "db"]
        );
        assert_eq!(next_step(&Ok(app), Goal::Asleep), Next::Done);
        // One that only needs something of a circle still comes after it.
        let mut app = circle(group());
        app.workloads[1].bonds.of = None;
        app.workloads[1].bonds.needs = vec![ObjectId::new("web")];
        assert_eq!(written(&mut app, Goal::Awake), ["web", "api", "db"]);
    }

    #[test]
    fn an_app_is_put_to_sleep_services_first() {
        let mut app = idled();
        app.services.push(diverted("s2", true));
        app.workloads.push(workload("w2"));
        let to_app = || Leads::ToApp {
            endpoints: Endpoints::Unknown,
        };
        for service in &mut app.services {
            service.leads = to_app();
        }
        for workload in &mut app.workloads {
            (workload.record, workload.replicas) = (None, 2);
        }
        let next = |app: &App| next_step(&Ok(app.clone()), Goal::Asleep);
        let divert = |id: &str| {
            Next::Write(Write::Divert {
                service: ObjectId::new(id),
                version: Version(format!("{id}.1")),
                by: None,
            })
        };
        let idle = |id: &str| {
            Next::Write(Write::Idle {
                workload: ObjectId::new(id),
                version: Version(format!("{id}.1")),
            })
        };
        let mut lost = app.clone();
        lost.connected = false;
        assert!(
            matches!(next(&lost), Next::Wait { .. }),
            "what is seen may be old"
        );
        let mut elsewhere = app.clone();
        elsewhere.services[1].leads = Leads::Elsewhere;
        assert_eq!(next(&elsewhere), Next::Fail(Reason::ServiceElsewhere));
        let mut unknown = app.clone();
        unknown.services[0] = diverted("s", false);
        assert_eq!(
            next(&unknown),
            Next::Fail(Reason::ServiceUnknown),
            "nobody could lead its visitors back"
        );

        assert_eq!(next(&app), divert("s"));
        app.services[0] = diverted("s", true);
        assert_eq!(next(&app), divert("s2"));
        app.services[1] = diverted("s2", true);
        assert_eq!(next(&app), idle("w"));
        app.workloads[0] = workload("w");
        assert_eq!(next(&app), idle("w2"));
        let mut off = workload("w2");
        off.record = None;
        app.workloads[1] = off;
        assert_eq!(
            next(&app),
            Next::Done,
            "what somebody switched off is left alone"
        );
        app.workloads[0].record = None;
        assert_eq!(next(&app), Next::Fail(Reason::SwitchedOff));
    }

    #[test]
    fn a_half_idled_app_is_woken() {
        // The idler labels and scales in one step and switches the Service in another.
        let serving = |o: &mut App| {
            o.services[0].leads = Leads::ToApp {
                endpoints: Endpoints::NotReady,
            }
        };
        assert!(matches!(
            observed(serving),
            Next::Write(Write::Scale { .. })
        ));
    }

    #[test]
    fn a_lost_connection_is_never_success() {
        let lost = |o: &mut App| {
            cleared(Endpoints::Ready)(o);
            o.connected = false;
        };
        assert_eq!(
            observed(lost),
            Next::Wait {
                step: Step::Connecting,
                reason: Some(Reason::ApiUnreachable)
            }
        );
    }

    #[test]
    fn a_cluster_that_cannot_be_asked_yet_is_waited_for() {
        let unknown = Err(Reason::ApiUnreachable);
        assert_eq!(
            next_step(&unknown, Goal::Awake),
            Next::Wait {
                step: Step::Finding,
                reason: Some(Reason::ApiUnreachable)
            }
        );
    }

    #[test]
    fn trouble_is_shown_while_waiting_until_the_cluster_gives_up() {
        let with = |reason, given_up| {
            move |o: &mut App| {
                scaled(o);
                o.workloads[0].pods = Pods {
                    step: Some(Step::Pulling),
                    trouble: Some(Trouble { reason, given_up }),
                    restarts: 0,
                };
            }
        };
        for reason in [Reason::NoRoom, Reason::ImageUnavailable] {
            assert_eq!(
                observed(with(reason, false)),
                Next::Wait {
                    step: Step::Pulling,
                    reason: Some(reason)
                }
            );
        }
        assert_eq!(
            observed(with(Reason::ImageUnavailable, true)),
            Next::Fail(Reason::ImageUnavailable)
        );
    }

    #[test]
    fn one_available_replica_is_enough_whatever_the_others_complain_of() {
        let one_of_two = |o: &mut App| {
            cleared(Endpoints::Ready)(o);
            o.workloads[0].pods.trouble = Some(Trouble {
                reason: Reason::CrashLoop,
                given_up: true,
            });
        };
        assert_eq!(observed(one_of_two), Next::Done);
    }
}
