//! Decides the next step for an app, purely from what is observed.
//!
//! The order of the three writes follows from the rules below and is stored nowhere: killed at any point, raced by
//! another replica or helped by hand, unidler comes to the same next step.
//!
//! ```text
//! replicas 0 -> n   ->   the Service points to the app again   ->   the idle marks come off
//! ```
//!
//! The marks go last, because they are the record: as long as they are there, an app that somebody takes down in
//! the middle is known to be idled, and with how many replicas.

use crate::{
    cluster::{Endpoints, Observation, Observed, Service, Write},
    progress::{Notice, Phase, Reason, Step},
};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Write this.
    Write(Write),
    /// Wait for the cluster.
    Wait {
        /// What is waited for.
        step: Step,
        /// What stands in the way, as long as that may pass.
        reason: Option<Reason>,
    },
    /// Nothing: the app is up.
    Done,
    /// Nothing: it cannot be done as things are.
    Fail(Reason),
}

/// Decides the next step.
#[must_use]
pub fn next_step(observation: &Observation) -> Next {
    match observation {
        Ok(observed) => next_of_app(observed),
        Err(reason) if reason.may_pass() => Next::Wait {
            step: Step::Finding,
            reason: Some(*reason),
        },
        Err(reason) => Next::Fail(*reason),
    }
}

fn next_of_app(observed: &Observed) -> Next {
    let Observed {
        connected,
        deployment,
        service,
        pods,
        ..
    } = observed;
    match service {
        Service::Elsewhere => return Next::Fail(Reason::ServiceElsewhere),
        Service::Idled {
            restorable: false, ..
        } => return Next::Fail(Reason::ServiceUnknown),
        Service::Idled { .. } | Service::Serving { .. } => {}
    }
    if deployment.replicas == 0 {
        return if deployment.idled {
            Next::Write(Write::Scale {
                version: deployment.version.clone(),
                replicas: deployment.replicas_when_unidled,
            })
        } else {
            Next::Fail(Reason::SwitchedOff)
        };
    }
    if deployment.available == 0 {
        let step = pods.step.unwrap_or(Step::Scheduling);
        return match pods.trouble.or(deployment.trouble) {
            _ if !connected => unreachable(step),
            Some(trouble) if trouble.given_up => Next::Fail(trouble.reason),
            trouble => Next::Wait {
                step,
                reason: trouble.map(|trouble| trouble.reason),
            },
        };
    }
    match service {
        Service::Idled { version, .. } => Next::Write(Write::RestoreService {
            version: version.clone(),
        }),
        _ if deployment.idled => Next::Write(Write::ClearIdled {
            version: deployment.version.clone(),
            took: None,
        }),
        _ if !connected => unreachable(Step::Connecting),
        _ if is_answering(observed) => Next::Done,
        _ => Next::Wait {
            step: Step::Connecting,
            reason: None,
        },
    }
}

/// A lost connection outweighs what was last seen, which may be long over.
fn unreachable(step: Step) -> Next {
    Next::Wait {
        step,
        reason: Some(Reason::ApiUnreachable),
    }
}

/// Whether visitors reach the app, whatever is left to tidy up.
fn is_answering(observed: &Observed) -> bool {
    let Observed {
        connected,
        deployment,
        service,
        ..
    } = observed;
    let serving = matches!(
        service,
        Service::Serving {
            endpoints: Endpoints::Ready | Endpoints::Forbidden
        }
    );
    *connected && deployment.available > 0 && serving
}

/// Whether an app is left in a state in which it does not stay: the sweep does the next write for it.
///
/// That is an app with replicas that is still marked or whose Service still points here; and one that is marked and
/// has no replicas while its Service points to pods, so that no visitor can reach us to wake it.
#[must_use]
pub fn is_unfinished(observed: &Observed) -> bool {
    let Observed {
        deployment,
        service,
        ..
    } = observed;
    match service {
        Service::Idled { .. } => deployment.replicas > 0,
        Service::Serving { .. } => deployment.idled,
        Service::Elsewhere => false,
    }
}

/// What there is to see of an app for somebody who does nothing about it.
#[must_use]
pub fn phase(observation: &Observation) -> Phase {
    match next_step(observation) {
        Next::Write(Write::Scale { .. }) => Phase::Asleep,
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
    use crate::cluster::{Deployment, Pods, Trouble, Version};

    /// An app as the idler leaves it.
    fn idled() -> Observed {
        Observed {
            connected: true,
            title: None,
            deployment: Deployment {
                version: Version("d1".into()),
                idled: true,
                replicas: 0,
                replicas_when_unidled: 2,
                available: 0,
                trouble: None,
                marked_lately: false,
                usual: None,
            },
            service: Service::Idled {
                version: Version("s1".into()),
                restorable: true,
            },
            pods: Pods::default(),
        }
    }

    fn observed(change: impl FnOnce(&mut Observed)) -> Next {
        let mut observed = idled();
        change(&mut observed);
        next_step(&Ok(observed))
    }

    fn scaled(o: &mut Observed) {
        o.deployment.replicas = 2;
    }

    fn available(o: &mut Observed) {
        scaled(o);
        o.deployment.available = 1;
    }

    fn restored(o: &mut Observed) {
        available(o);
        o.service = Service::Serving {
            endpoints: Endpoints::NotReady,
        };
    }

    fn cleared(endpoints: Endpoints) -> impl FnOnce(&mut Observed) {
        move |o| {
            restored(o);
            o.deployment.idled = false;
            o.service = Service::Serving { endpoints };
        }
    }

    #[test]
    fn the_steps_of_a_wake_up_follow_from_what_is_observed() {
        let d1 = || Version("d1".into());
        assert_eq!(
            observed(|_| ()),
            Next::Write(Write::Scale {
                version: d1(),
                replicas: 2
            })
        );
        assert_eq!(
            observed(scaled),
            Next::Wait {
                step: Step::Scheduling,
                reason: None
            }
        );
        assert_eq!(
            observed(available),
            Next::Write(Write::RestoreService {
                version: Version("s1".into())
            })
        );
        assert_eq!(
            observed(restored),
            Next::Write(Write::ClearIdled {
                version: d1(),
                took: None
            })
        );
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
    fn the_marks_stay_until_the_service_is_restored() {
        let unmarked = |o: &mut Observed| {
            available(o);
            o.deployment.idled = false;
        };
        assert_eq!(
            observed(unmarked),
            Next::Write(Write::RestoreService {
                version: Version("s1".into())
            })
        );
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

    fn seen(change: impl FnOnce(&mut Observed)) -> Phase {
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
        let marked = |o: &mut Observed| {
            cleared(Endpoints::Ready)(o);
            o.deployment.idled = true;
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
        let unfinished = |change: &dyn Fn(&mut Observed)| {
            let mut observed = idled();
            change(&mut observed);
            is_unfinished(&observed)
        };
        assert!(!unfinished(&|_| ()), "asleep");
        assert!(!unfinished(&|o| cleared(Endpoints::Ready)(o)), "awake");
        assert!(
            !unfinished(&|o| (o.deployment.replicas, o.deployment.idled) = (0, false)),
            "switched off"
        );
        assert!(unfinished(&scaled));
        assert!(unfinished(&available));
        assert!(unfinished(&restored));
        assert!(unfinished(&|o| {
            available(o);
            o.deployment.idled = false;
        }));
        let stranded = |o: &mut Observed| {
            o.service = Service::Serving {
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
        let switched_off = |o: &mut Observed| o.deployment.idled = false;
        assert_eq!(observed(switched_off), Next::Fail(Reason::SwitchedOff));
        let elsewhere = |o: &mut Observed| o.service = Service::Elsewhere;
        assert_eq!(observed(elsewhere), Next::Fail(Reason::ServiceElsewhere));
        for reason in [
            Reason::NoRoute,
            Reason::HostNotServed,
            Reason::AmbiguousRoute,
        ] {
            assert_eq!(next_step(&Err(reason)), Next::Fail(reason));
        }
    }

    #[test]
    fn an_app_is_not_scaled_up_if_its_service_could_not_be_restored() {
        let unknown = |o: &mut Observed| {
            o.service = Service::Idled {
                version: Version("s1".into()),
                restorable: false,
            }
        };
        assert_eq!(observed(unknown), Next::Fail(Reason::ServiceUnknown));
    }

    #[test]
    fn replicas_are_never_lowered() {
        let more = |o: &mut Observed| o.deployment.replicas = 9;
        assert!(matches!(observed(more), Next::Wait { .. }));
    }

    #[test]
    fn a_half_idled_app_is_woken() {
        // The idler labels and scales in one step and switches the Service in another.
        let serving = |o: &mut Observed| {
            o.service = Service::Serving {
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
        let lost = |o: &mut Observed| {
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
            next_step(&unknown),
            Next::Wait {
                step: Step::Finding,
                reason: Some(Reason::ApiUnreachable)
            }
        );
    }

    #[test]
    fn trouble_is_shown_while_waiting_until_the_cluster_gives_up() {
        let with = |reason, given_up| {
            move |o: &mut Observed| {
                scaled(o);
                o.pods = Pods {
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
        let one_of_two = |o: &mut Observed| {
            cleared(Endpoints::Ready)(o);
            o.pods.trouble = Some(Trouble {
                reason: Reason::CrashLoop,
                given_up: true,
            });
        };
        assert_eq!(observed(one_of_two), Next::Done);
    }
}
