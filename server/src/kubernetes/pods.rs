//! How far the pods of an app are, from their statuses. Pure.
//!
//! Only a step and a typed reason leave this file: no name and no text of the cluster does.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus},
    jiff::Timestamp,
};
use unidler::{
    cluster::Pods,
    progress::{Reason, Step},
};

/// After how many restarts a container that is not ready counts as crashing even while it happens to run.
const RESTARTS: i32 = 2;
/// How long a container may run without being ready before the page mentions it.
const CHECKS_ARE_SLOW: Duration = Duration::from_secs(30);

/// What the pods say, taken together: that of the one that is furthest.
pub(super) fn read<'a>(pods: impl IntoIterator<Item = &'a Pod>, now: Timestamp) -> Pods {
    let statuses = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).filter_map(|pod| pod.status.as_ref());
    let alive = statuses.filter(|status| !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")));
    alive.map(|status| of_pod(status, now)).max_by_key(|pods| (pods.step, pods.trouble.is_none())).unwrap_or_default()
}

fn of_pod(status: &PodStatus, now: Timestamp) -> Pods {
    let condition = |kind: &str| status.conditions.iter().flatten().find(|condition| condition.type_ == kind);
    let scheduled = condition("PodScheduled");
    if scheduled.is_none_or(|condition| condition.status != "True") {
        // https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
        let unschedulable = scheduled.filter(|condition| condition.reason.as_deref() == Some("Unschedulable"));
        let trouble = unschedulable.map(|condition| match condition.message.as_deref().unwrap_or_default() {
            message if message.contains("PersistentVolumeClaim") || message.contains("volume") => Reason::VolumePending,
            _ => Reason::NoRoom,
        });
        return Pods { step: Some(Step::Scheduling), trouble, restarts: 0 };
    }
    let containers = || status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let restarts =
        containers().map(|container| u32::try_from(container.restart_count).unwrap_or_default()).fold(0, u32::saturating_add);
    if let Some((step, reason)) = containers().find_map(trouble_of) {
        return Pods { step: Some(step), trouble: Some(reason), restarts };
    }
    let main = status.container_statuses.as_deref().unwrap_or_default();
    let running = |container: &ContainerStatus| container.state.as_ref().and_then(|state| state.running.as_ref()).is_some();
    let step = if !main.is_empty() && main.iter().all(running) {
        Step::Checking
    } else if containers().any(|container| running(container) || container.last_state.as_ref().is_some_and(has_terminated)) {
        Step::Starting
    } else {
        Step::Pulling
    };
    let ready = condition("Ready").is_some_and(|condition| condition.status == "True");
    let trouble = (step == Step::Checking && !ready && main.iter().any(|container| is_slow(container, now)))
        .then_some(Reason::NotPassingChecks);
    Pods { step: Some(step), trouble, restarts }
}

/// What the kubelet says of a container that cannot go on
/// ([Kubernetes: container states](https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-states)).
fn trouble_of(container: &ContainerStatus) -> Option<(Step, Reason)> {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref()).and_then(|waiting| waiting.reason.as_deref());
    match waiting {
        Some(
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError",
        ) => Some((Step::Pulling, Reason::ImageUnavailable)),
        Some("CrashLoopBackOff") => Some((Step::Starting, Reason::CrashLoop)),
        Some("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
            Some((Step::Starting, Reason::BadConfiguration))
        }
        _ if !container.ready && container.restart_count >= RESTARTS => Some((Step::Starting, Reason::CrashLoop)),
        _ => None,
    }
}

fn has_terminated(state: &ContainerState) -> bool {
    state.terminated.is_some()
}

fn is_slow(container: &ContainerStatus, now: Timestamp) -> bool {
    let since = container.state.as_ref().and_then(|state| state.running.as_ref()).and_then(|running| running.started_at.as_ref());
    !container.ready && since.is_some_and(|since| now.duration_since(since.0) >= CHECKS_ARE_SLOW.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({ "status": status })).expect("a pod")
    }

    fn scheduled(containers: &Value) -> Value {
        json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True" }], "containerStatuses": containers })
    }

    fn container(ready: bool, restarts: i32, state: &Value) -> Value {
        json!({ "name": "c", "image": "i", "imageID": "", "ready": ready, "restartCount": restarts, "state": state })
    }

    fn waiting(reason: &str) -> Value {
        scheduled(&json!([container(false, 0, &json!({ "waiting": { "reason": reason } }))]))
    }

    fn running(since: &str) -> Value {
        scheduled(&json!([container(false, 0, &json!({ "running": { "startedAt": since } }))]))
    }

    fn read_at_noon(statuses: &[Value]) -> (Option<Step>, Option<Reason>) {
        let pods: Vec<Pod> = statuses.iter().map(pod).collect();
        let noon = "2026-01-01T12:00:00Z".parse().expect("a time");
        let Pods { step, trouble, .. } = read(&pods, noon);
        (step, trouble)
    }

    #[test]
    fn each_state_of_a_pod_is_a_step_and_perhaps_a_reason() {
        let unschedulable = |message: &str| json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message }] });
        for (status, step, trouble) in [
            (json!({ "phase": "Pending" }), Step::Scheduling, None),
            (unschedulable("0/3 nodes are available: 3 Insufficient memory."), Step::Scheduling, Some(Reason::NoRoom)),
            (unschedulable("pod has unbound immediate PersistentVolumeClaims"), Step::Scheduling, Some(Reason::VolumePending)),
            (scheduled(&json!([])), Step::Pulling, None),
            (waiting("ContainerCreating"), Step::Pulling, None),
            (waiting("ErrImagePull"), Step::Pulling, Some(Reason::ImageUnavailable)),
            (waiting("ImagePullBackOff"), Step::Pulling, Some(Reason::ImageUnavailable)),
            (waiting("CrashLoopBackOff"), Step::Starting, Some(Reason::CrashLoop)),
            (waiting("CreateContainerConfigError"), Step::Starting, Some(Reason::BadConfiguration)),
            (running("2026-01-01T11:59:50Z"), Step::Checking, None),
            (running("2026-01-01T11:59:00Z"), Step::Checking, Some(Reason::NotPassingChecks)),
            (
                scheduled(&json!([container(false, 2, &json!({ "running": { "startedAt": "2026-01-01T11:59:58Z" } }))])),
                Step::Starting,
                Some(Reason::CrashLoop),
            ),
        ] {
            assert_eq!(read_at_noon(std::slice::from_ref(&status)), (Some(step), trouble), "{status}");
        }
    }

    #[test]
    fn restarts_of_all_containers_are_counted() {
        let backing_off = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let status = scheduled(&json!([container(false, 3, &backing_off), container(true, 1, &json!({}))]));
        let noon = "2026-01-01T12:00:00Z".parse().expect("a time");
        assert_eq!(read(&[pod(&status)], noon).restarts, 4);
        let many = scheduled(&json!([0, 1, 2].map(|_| container(false, i32::MAX, &backing_off))));
        assert_eq!(read(&[pod(&many)], noon).restarts, u32::MAX, "as many as can be counted");
    }

    #[test]
    fn the_pod_that_is_furthest_counts() {
        assert_eq!(read_at_noon(&[waiting("ErrImagePull"), running("2026-01-01T11:59:59Z")]), (Some(Step::Checking), None));
        assert_eq!(read_at_noon(&[waiting("ErrImagePull"), waiting("ContainerCreating")]), (Some(Step::Pulling), None));
    }

    #[test]
    fn pods_that_are_on_their_way_out_do_not_count() {
        let evicted = json!({ "phase": "Failed", "conditions": [{ "type": "PodScheduled", "status": "True" }] });
        assert_eq!(read_at_noon(&[evicted]), (None, None));
        let noon = "2026-01-01T12:00:00Z".parse().expect("a time");
        let deleted: Pod = serde_json::from_value(json!({
            "metadata": { "deletionTimestamp": "2026-01-01T11:00:00Z" }, "status": waiting("CrashLoopBackOff"),
        }))
        .expect("a pod");
        assert_eq!(read(&[deleted], noon), Pods::default());
        assert_eq!(read(&[], noon), Pods::default());
    }
}
