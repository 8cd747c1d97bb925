//! What to do next about an app, from nothing but what is observed of it.
//!
//! The order of the three writes follows from the rules below, it is stored nowhere: killed anywhere, raced by
//! another replica or helped by a human, whoever looks next comes to the same next step.

use crate::{
    cluster::{Observation, Observed, Service, Write},
    progress::{Reason, Step},
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
        /// What stands in the way.
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
        Err(reason) => wait(true, Step::Finding, Some(*reason)),
    }
}

fn next_of_app(observed: &Observed) -> Next {
    let Observed { connected, deployment, service, pods } = observed;
    match service {
        Service::Elsewhere => return Next::Fail(Reason::ServiceElsewhere),
        Service::Idled { restorable: false, .. } => return Next::Fail(Reason::ServiceUnknown),
        Service::Idled { .. } | Service::Serving { .. } => {}
    }
    if deployment.replicas == 0 {
        return if deployment.idled {
            Next::Write(Write::Scale { version: deployment.version.clone(), replicas: deployment.replicas_when_unidled })
        } else {
            Next::Fail(Reason::SwitchedOff)
        };
    }
    if deployment.available == 0 {
        let step = pods.step.unwrap_or(Step::Scheduling);
        return wait(*connected, step, pods.trouble.or(deployment.trouble).map(|trouble| trouble.reason));
    }
    if deployment.idled {
        return Next::Write(Write::ClearIdled { version: deployment.version.clone(), took: None });
    }
    match service {
        Service::Idled { version, .. } => Next::Write(Write::RestoreService { version: version.clone() }),
        Service::Serving { ready } if *connected && ready.unwrap_or(true) => Next::Done,
        Service::Serving { .. } | Service::Elsewhere => wait(*connected, Step::Connecting, None),
    }
}

/// A lost connection outweighs what was last seen: that may be long over.
fn wait(connected: bool, step: Step, trouble: Option<Reason>) -> Next {
    match if connected { trouble } else { Some(Reason::ApiUnreachable) } {
        Some(reason) if !reason.may_pass() => Next::Fail(reason),
        reason => Next::Wait { step, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Deployment, Pods, Version};

    /// An app as the idler leaves it.
    fn idled() -> Observed {
        Observed {
            connected: true,
            deployment: Deployment {
                version: Version("d1".into()),
                idled: true,
                replicas: 0,
                replicas_when_unidled: 2,
                available: 0,
                trouble: None,
                usual: None,
            },
            service: Service::Idled { version: Version("s1".into()), restorable: true },
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

    fn cleared(o: &mut Observed) {
        available(o);
        o.deployment.idled = false;
    }

    fn serving(ready: Option<bool>) -> impl FnOnce(&mut Observed) {
        move |o| {
            cleared(o);
            o.service = Service::Serving { ready };
        }
    }

    #[test]
    fn the_steps_of_a_wake_up_follow_from_what_is_observed() {
        let d1 = || Version("d1".into());
        assert_eq!(observed(|_| ()), Next::Write(Write::Scale { version: d1(), replicas: 2 }));
        assert_eq!(observed(scaled), Next::Wait { step: Step::Scheduling, reason: None });
        assert_eq!(observed(available), Next::Write(Write::ClearIdled { version: d1(), took: None }));
        assert_eq!(observed(cleared), Next::Write(Write::RestoreService { version: Version("s1".into()) }));
        assert_eq!(observed(serving(Some(false))), Next::Wait { step: Step::Connecting, reason: None });
        assert_eq!(observed(serving(Some(true))), Next::Done);
    }

    #[test]
    fn endpoints_that_may_not_be_read_do_not_hold_anybody_up() {
        assert_eq!(observed(serving(None)), Next::Done);
    }

    #[test]
    fn nothing_is_written_for_an_app_that_is_not_idled() {
        let switched_off = |o: &mut Observed| o.deployment.idled = false;
        assert_eq!(observed(switched_off), Next::Fail(Reason::SwitchedOff));
        let elsewhere = |o: &mut Observed| o.service = Service::Elsewhere;
        assert_eq!(observed(elsewhere), Next::Fail(Reason::ServiceElsewhere));
        for reason in [Reason::NoIngress, Reason::HostNotServed, Reason::AmbiguousIngress] {
            assert_eq!(next_step(&Err(reason)), Next::Fail(reason));
        }
    }

    #[test]
    fn an_app_is_not_scaled_up_if_its_service_could_not_be_restored() {
        let unknown = |o: &mut Observed| o.service = Service::Idled { version: Version("s1".into()), restorable: false };
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
        let serving = |o: &mut Observed| o.service = Service::Serving { ready: Some(false) };
        assert!(matches!(observed(serving), Next::Write(Write::Scale { .. })));
    }

    #[test]
    fn a_lost_connection_is_never_success() {
        let lost = |o: &mut Observed| {
            serving(Some(true))(o);
            o.connected = false;
        };
        assert_eq!(observed(lost), Next::Wait { step: Step::Connecting, reason: Some(Reason::ApiUnreachable) });
    }

    #[test]
    fn a_cluster_that_cannot_be_asked_yet_is_waited_for() {
        let unknown = Err(Reason::ApiUnreachable);
        assert_eq!(next_step(&unknown), Next::Wait { step: Step::Finding, reason: Some(Reason::ApiUnreachable) });
    }

    #[test]
    fn trouble_that_may_pass_is_told_while_waiting_and_other_trouble_fails() {
        let with = |reason| {
            move |o: &mut Observed| {
                scaled(o);
                o.pods = Pods { step: Some(Step::Pulling), trouble: Some(crate::cluster::Trouble::waiting(reason)), restarts: 0 };
            }
        };
        assert_eq!(observed(with(Reason::NoRoom)), Next::Wait { step: Step::Pulling, reason: Some(Reason::NoRoom) });
        assert_eq!(observed(with(Reason::ImageUnavailable)), Next::Fail(Reason::ImageUnavailable));
    }

    #[test]
    fn one_available_replica_is_enough_whatever_the_others_complain_of() {
        let one_of_two = |o: &mut Observed| {
            serving(Some(true))(o);
            o.pods.trouble = Some(crate::cluster::Trouble::given_up(Reason::CrashLoop));
        };
        assert_eq!(observed(one_of_two), Next::Done);
    }
}
