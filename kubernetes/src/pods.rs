//! Determines the progress of an app's pods from their statuses. Pure.
//!
//! Only a step and a typed reason leave this file, never a name or a text of the cluster.
//!
//! What a pod waits for, in the order of its life:
//!
//! | where | what Kubernetes says | step | reason | given up |
//! |---|---|---|---|---|
//! | scheduler | `SchedulingGated` | scheduling | held back | |
//! | | `Unschedulable`: resources, pods, ports | scheduling | no room | |
//! | | `Unschedulable`: volumes, claims | scheduling | volume pending | |
//! | | `Unschedulable`: taints, selectors, affinity, spread | scheduling | no server | |
//! | | `SchedulerError` for 30 s, or nothing for a minute | scheduling | platform not ready | |
//! | kubelet | nothing for a minute after scheduling | pulling | platform not ready | |
//! | | pod refused or evicted (phase `Failed`) | scheduling | no room, no server, policy | |
//! | | `PodReadyToStartContainers=False` for 30 s | pulling | sandbox pending | |
//! | image | `ErrImagePull`, `RegistryUnavailable`, `ImageInspectError` | pulling | image unavailable | |
//! | | `ImagePullBackOff`, `InvalidImageName`, `ErrImageNeverPull` | pulling | image unavailable | yes |
//! | | `SignatureValidationFailed` | pulling | policy refused | yes |
//! | container | `CreateContainerConfigError` | starting | bad configuration | if something is not there |
//! | | `CreateContainerError`, `RunContainerError`, hooks, all others | starting | cannot run | |
//! | | `CrashLoopBackOff`, or ended twice and not up for 30 s | starting | crash loop, out of memory, cannot run | back-off, from the third restart on |
//! | probes | running for 30 s, not ready; readiness gates | checking | not passing checks | |
//!
//! References: [pod lifecycle], [pod conditions], [scheduling gates]; the reasons are those of the kubelet's source.
//!
//! [pod lifecycle]: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
//! [pod conditions]: https://kubernetes.io/docs/concepts/workloads/pods/pod-condition/
//! [scheduling gates]: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/

use k8s_openapi::{
    api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use unidler::{
    app::{Pods, Trouble},
    progress::{Reason, Step},
};

use crate::objects::NO_SIGN;

/// How long a state may last before it counts as a problem of the pod.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);
/// The number of restarts from which a container that is not ready counts as one that keeps stopping.
const KEEPS_STOPPING: i32 = 2;
/// The number of restarts from which the kubelet's back-off is so long that it no longer expects the container to stay
/// up. Before that, an app may only be waiting for its database.
const GIVEN_UP: i32 = 3;
/// How long a pod that its node rejected still explains the lack of other pods. Such pods remain for days.
const RECENT: SignedDuration = SignedDuration::from_mins(1);

/// The combined state of a workload's pods: that of the most advanced one.
///
/// The pods must be the workload's own. Of several generations, only the newest counts.
pub(crate) fn read<'a>(pods: impl IntoIterator<Item = &'a Pod>, now: Timestamp) -> Pods {
    let present = pods.into_iter().filter(|pod| !is_leaving(pod)).collect();
    let (ended, alive): (Vec<_>, Vec<_>) = newest_generation(present)
        .into_iter()
        .partition(|pod| has_ended(pod));
    let alive: Vec<_> = alive.into_iter().map(|pod| of_pod(pod, now)).collect();
    // A pod that the scheduler has not processed yet provides no information.
    let is_well = |pods: &Pods| pods.trouble.is_none() && pods.step > Some(Step::Scheduling);
    let is_any_well = alive.iter().any(is_well);
    let hopeful = alive
        .into_iter()
        .filter(|pods| !(is_any_well && pods.trouble.is_some_and(|trouble| trouble.given_up)));
    let furthest = hopeful.max_by_key(|pods| (pods.step, is_well(pods), pods.trouble.is_some()));

    let recent = ended
        .into_iter()
        .filter(|pod| created(pod).is_some_and(|at| now.duration_since(at) < RECENT));
    let turned_away = recent.max_by_key(|pod| created(pod)).and_then(turned_away);
    match furthest {
        // The node may reject this pod as well.
        Some(pods) if pods.trouble.is_none() && pods.step < Some(Step::Starting) => Pods {
            trouble: turned_away,
            ..pods
        },
        Some(pods) => pods,
        None => Pods {
            step: turned_away.map(|_| Step::Scheduling),
            trouble: turned_away,
            restarts: 0,
        },
    }
}

/// Whether a pod is terminating, or about to be evicted
/// ([`DisruptionTarget`](https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions)).
fn is_leaving(pod: &Pod) -> bool {
    let is_target = |status: &PodStatus| condition(status, "DisruptionTarget").is_some_and(is_true);
    pod.metadata.deletion_timestamp.is_some()
        || (!has_ended(pod) && pod.status.as_ref().is_some_and(is_target))
}

/// Whether a pod is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.is_some_and(|status| condition(status, "Ready").is_some_and(is_true))
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// The pods with the same owner as the latest pod. During a rollout, there are also pods of the previous `ReplicaSet`.
fn newest_generation(mut pods: Vec<&Pod>) -> Vec<&Pod> {
    let latest = pods.iter().max_by_key(|pod| created(pod)).copied();
    pods.retain(|pod| {
        latest.is_some_and(|latest| {
            created(pod) == created(latest) || creator(pod) == creator(latest)
        })
    });
    pods
}

fn creator(pod: &Pod) -> Option<&str> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| &*owner.uid)
}

fn of_pod(pod: &Pod, now: Timestamp) -> Pods {
    let nothing = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&nothing);
    let scheduled = condition(status, "PodScheduled");
    if !scheduled.is_some_and(is_true) {
        return Pods {
            step: Some(Step::Scheduling),
            trouble: unscheduled(pod, scheduled, now),
            restarts: 0,
        };
    }
    let containers = Containers::of(pod, status);
    let restarts = containers
        .all()
        .map(|container| count(container.restart_count))
        .fold(0, u32::saturating_add);
    if let Some((step, trouble)) = containers.trouble(now) {
        return Pods {
            step: Some(step),
            trouble: Some(trouble),
            restarts,
        };
    }
    let step = containers.step();
    let trouble = match step {
        Step::Checking if is_slow_to_be_ready(status, &containers, now) => {
            Some(Reason::NotPassingChecks)
        }
        Step::Checking => None,
        _ if has_been_false(condition(status, "PodReadyToStartContainers"), now) => {
            Some(Reason::SandboxPending)
        }
        _ if is_ignored(status) && gives_no_sign(scheduled.and_then(changed), now) => {
            Some(Reason::PlatformNotReady)
        }
        _ if containers
            .sidecars
            .iter()
            .any(|sidecar| sidecar.started != Some(true) && has_run(sidecar, now)) =>
        {
            Some(Reason::NotPassingChecks)
        }
        _ => None,
    };
    Pods {
        step: Some(step),
        trouble: trouble.map(Trouble::waiting),
        restarts,
    }
}

/// Why a pod has not been assigned to a node.
fn unscheduled(pod: &Pod, scheduled: Option<&PodCondition>, now: Timestamp) -> Option<Trouble> {
    let message = scheduled
        .and_then(|condition| condition.message.as_deref())
        .unwrap_or_default();
    let reason = match scheduled.and_then(|condition| condition.reason.as_deref()) {
        Some("SchedulingGated") => Reason::HeldBack,
        Some("Unschedulable") => unschedulable(message),
        Some("SchedulerError") if concerns_storage(message) => Reason::VolumePending,
        // The scheduler retries at once: a single lost race or connection does not matter.
        Some("SchedulerError") if has_been_false(scheduled, now) => Reason::PlatformNotReady,
        Some("SchedulerError") => return None,
        _ if gives_no_sign(created(pod), now) => Reason::PlatformNotReady,
        _ => return None,
    };
    Some(Trouble::waiting(reason))
}

/// What the scheduler lacks. Its message covers all nodes in one sentence, followed by the reason why preemption does
/// not help.
fn unschedulable(message: &str) -> Reason {
    let message = message
        .split("preemption:")
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let lacks_room = [
        "insufficient ",
        "too many pods",
        "free ports",
        "allocate all claims",
        "resource claim",
        "resourceclaim",
    ];
    if lacks_room.iter().any(|words| message.contains(words)) {
        Reason::NoRoom
    } else if concerns_storage(&message) {
        Reason::VolumePending
    } else {
        Reason::NoServer
    }
}

fn concerns_storage(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["volume", "pvc", "pv(s)", "free storage", "available disk"]
        .iter()
        .any(|words| message.contains(words))
}

/// Why a node did not keep a pod.
fn turned_away(pod: &Pod) -> Option<Trouble> {
    let reason = match pod.status.as_ref()?.reason.as_deref()? {
        "Evicted" | "Preempting" | "NodePorts" | "TopologyAffinityError" => Reason::NoRoom,
        reason if reason.starts_with("OutOf") => Reason::NoRoom,
        "AppArmor" | "SysctlForbidden" => Reason::PolicyRefused,
        "DeadlineExceeded" => Reason::CrashLoop,
        // For example `NodeAffinity`, `NodeShutdown`, `Terminated`, `UnexpectedAdmissionError`.
        _ => Reason::NoServer,
    };
    Some(Trouble::waiting(reason))
}

/// Whether the kubelet has not even acknowledged the pod.
fn is_ignored(status: &PodStatus) -> bool {
    let PodStatus {
        conditions,
        container_statuses,
        init_container_statuses,
        start_time,
        ..
    } = status;
    let has_reported = conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ != "PodScheduled");
    !has_reported
        && container_statuses.is_none()
        && init_container_statuses.is_none()
        && start_time.is_none()
}

fn is_slow_to_be_ready(status: &PodStatus, containers: &Containers<'_>, now: Timestamp) -> bool {
    let waits_for_gates = || has_been_true(condition(status, "ContainersReady"), now);
    let is_slow = |container: &&ContainerStatus| !container.ready && has_run(container, now);
    !condition(status, "Ready").is_some_and(is_true)
        && (containers.serving().any(|one| is_slow(&one)) || waits_for_gates())
}

/// The containers of a pod, by their expected behaviour.
struct Containers<'a> {
    /// They run one after the other, and end.
    init: Vec<&'a ContainerStatus>,
    /// They start among the init containers, and keep running ([Kubernetes: sidecar
    /// containers](https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/)).
    sidecars: Vec<&'a ContainerStatus>,
    /// They start last, and keep running.
    main: &'a [ContainerStatus],
}

impl<'a> Containers<'a> {
    fn of(pod: &Pod, status: &'a PodStatus) -> Self {
        let specs = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.init_containers.as_deref())
            .unwrap_or_default();
        let is_sidecar = |container: &&ContainerStatus| {
            specs.iter().any(|spec| {
                spec.name == container.name && spec.restart_policy.as_deref() == Some("Always")
            })
        };
        let (sidecars, init) = status
            .init_container_statuses
            .iter()
            .flatten()
            .partition(is_sidecar);
        Self {
            init,
            sidecars,
            main: status.container_statuses.as_deref().unwrap_or_default(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &'a ContainerStatus> {
        self.init.iter().copied().chain(self.serving())
    }

    /// The containers that keep running.
    fn serving(&self) -> impl Iterator<Item = &'a ContainerStatus> {
        self.sidecars.iter().copied().chain(self.main)
    }

    /// The worst problem among them.
    fn trouble(&self, now: Timestamp) -> Option<(Step, Trouble)> {
        let stopping = self
            .serving()
            .filter(|container| keeps_stopping(container, now));
        let stopping =
            stopping.map(|container| (Step::Starting, Trouble::waiting(why_it_stops(container))));
        self.all()
            .filter_map(held_up)
            .chain(stopping)
            .max_by_key(|(_, trouble)| trouble.given_up)
    }

    fn step(&self) -> Step {
        let has_begun = |container: &ContainerStatus| {
            let states = container.state.iter().chain(&container.last_state);
            states
                .into_iter()
                .any(|state| state.running.is_some() || state.terminated.is_some())
        };
        if !self.main.is_empty() && self.serving().all(is_running) {
            Step::Checking
        } else if self.all().any(has_begun) {
            Step::Starting
        } else {
            Step::Pulling
        }
    }
}

/// Why the kubelet does not start a container.
fn held_up(container: &ContainerStatus) -> Option<(Step, Trouble)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    let (step, reason, given_up) = match waiting.reason.as_deref()? {
        "ContainerCreating" | "PodInitializing" | "" => return None,
        "SignatureValidationFailed" => (Step::Pulling, Reason::PolicyRefused, true),
        "ImagePullBackOff" if says(&["SignatureValidationFailed"]) => {
            (Step::Pulling, Reason::PolicyRefused, true)
        }
        "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            (Step::Pulling, Reason::ImageUnavailable, true)
        }
        "ErrImagePull" | "RegistryUnavailable" | "ImageInspectError" => {
            (Step::Pulling, Reason::ImageUnavailable, false)
        }
        "CreatePodSandboxError"
        | "ConfigPodSandboxError"
        | "KillPodSandboxError"
        | "NetworkNotReady" => (Step::Pulling, Reason::SandboxPending, false),
        "CrashLoopBackOff" => (
            Step::Starting,
            why_it_stops(container),
            container.restart_count >= GIVEN_UP,
        ),
        "CreateContainerConfigError" if says(&["non-root", "runAsNonRoot"]) => {
            (Step::Starting, Reason::CannotRun, true)
        }
        // A kubelet that has just started reports the same until it has loaded the Secrets and Services.
        "CreateContainerConfigError" => (
            Step::Starting,
            Reason::BadConfiguration,
            says(&["not found", "couldn't find key", "non-existent"]),
        ),
        // For example `CreateContainerError`, `RunContainerError`, `PreStartHookError`, `PostStartHookError`,
        // `StartError`.
        _ => (Step::Starting, Reason::CannotRun, false),
    };
    Some((step, Trouble { reason, given_up }))
}

/// Whether a container has ended repeatedly, without a sign that this is over.
fn keeps_stopping(container: &ContainerStatus, now: Timestamp) -> bool {
    let is_waiting = container
        .state
        .as_ref()
        .is_some_and(|state| state.waiting.is_some());
    !container.ready
        && container.restart_count >= KEEPS_STOPPING
        && !is_waiting
        && !has_run(container, now)
}

fn why_it_stops(container: &ContainerStatus) -> Reason {
    let ends = container
        .state
        .iter()
        .chain(&container.last_state)
        .find_map(|state| state.terminated.as_ref());
    match ends.and_then(|end| end.reason.as_deref()) {
        Some("OOMKilled") => Reason::OutOfMemory,
        Some("StartError" | "ContainerCannotRun") => Reason::CannotRun,
        // For example `Error`, `Completed`, `ContainerStatusUnknown`.
        _ => Reason::CrashLoop,
    }
}

fn is_running(container: &ContainerStatus) -> bool {
    container
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some())
}

/// Whether a container has been running long enough to be expected to be ready.
fn has_run(container: &ContainerStatus, now: Timestamp) -> bool {
    let running = container
        .state
        .as_ref()
        .and_then(|state| state.running.as_ref());
    running.is_some_and(|running| has_passed(running.started_at.as_ref().map(|time| time.0), now))
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == kind)
}

fn is_true(condition: &PodCondition) -> bool {
    condition.status == "True"
}

fn has_been_true(condition: Option<&PodCondition>, now: Timestamp) -> bool {
    has_been(condition, "True", now)
}

fn has_been_false(condition: Option<&PodCondition>, now: Timestamp) -> bool {
    has_been(condition, "False", now)
}

fn has_been(condition: Option<&PodCondition>, value: &str, now: Timestamp) -> bool {
    condition
        .is_some_and(|condition| condition.status == value && has_passed(changed(condition), now))
}

fn changed(condition: &PodCondition) -> Option<Timestamp> {
    condition
        .last_transition_time
        .as_ref()
        .map(|Time(time)| *time)
}

/// Whether something has lasted longer than it should. Without a start time, it has not.
fn has_passed(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_some_and(|since| now.duration_since(since) >= PATIENCE)
}

/// Whether a component that should have acted since then has shown no activity.
fn gives_no_sign(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_some_and(|since| now.duration_since(since) >= NO_SIGN)
}

fn count(restarts: i32) -> u32 {
    u32::try_from(restarts).unwrap_or_default()
}

#[cfg(test)]
#[path = "pods/tests.rs"]
mod tests;
