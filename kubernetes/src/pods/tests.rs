use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Noon. Half a minute before and half a minute less a second before decide.
const NOON: &str = "2026-01-01T12:00:00Z";
const LONG_AGO: &str = "2026-01-01T11:59:30Z";
/// A minute before noon, and a second later: how long somebody may give no sign.
const NO_SIGN: &str = "2026-01-01T11:59:00Z";
const SOME_SIGN: &str = "2026-01-01T11:59:01Z";
const JUST_NOW: &str = "2026-01-01T11:59:31Z";

fn pod(status: &Value) -> Pod {
    serde_json::from_value(json!({ "status": status })).expect("a pod")
}

fn read_at_noon(pods: &[Pod]) -> Pods {
    read(pods, NOON.parse().expect("a time"))
}

fn of_status(status: &Value) -> Pods {
    read_at_noon(&[pod(status)])
}

/// What a pod in trouble says: the step, the reason, and whether the cluster has given up.
fn troubled(step: Step, reason: Reason, given_up: bool) -> (Option<Step>, Option<Trouble>) {
    (Some(step), Some(Trouble { reason, given_up }))
}

fn waiting_for(step: Step, reason: Reason) -> (Option<Step>, Option<Trouble>) {
    troubled(step, reason, false)
}

fn well(step: Step) -> (Option<Step>, Option<Trouble>) {
    (Some(step), None)
}

fn seen(pods: &Pods) -> (Option<Step>, Option<Trouble>) {
    (pods.step, pods.trouble)
}

fn unscheduled_for(reason: &str, message: &str) -> Value {
    json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": reason, "message": message }] })
}

fn unscheduled_since(since: &str, reason: &str, message: &str) -> Value {
    let mut status = unscheduled_for(reason, message);
    status["conditions"][0]["lastTransitionTime"] = json!(since);
    status
}

fn scheduled(containers: &Value) -> Value {
    json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True" }], "containerStatuses": containers })
}

/// The status with one more condition.
fn with_condition(mut status: Value, kind: &str, value: &str, since: &str) -> Value {
    let conditions = status["conditions"].as_array_mut().expect("conditions");
    conditions.push(json!({ "type": kind, "status": value, "lastTransitionTime": since }));
    status
}

fn container(ready: bool, restarts: i32, state: &Value, last: &Value) -> Value {
    json!({
        "name": "c", "image": "i", "imageID": "", "ready": ready, "restartCount": restarts,
        "state": state, "lastState": last,
    })
}

fn waiting_state(reason: &str, message: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": message } })
}

fn ended(reason: &str) -> Value {
    json!({ "terminated": { "exitCode": 1, "reason": reason } })
}

fn running_since(since: &str) -> Value {
    json!({ "running": { "startedAt": since } })
}

fn waiting(reason: &str) -> Value {
    waiting_with(reason, "")
}

fn waiting_with(reason: &str, message: &str) -> Value {
    scheduled(&json!([container(
        false,
        0,
        &waiting_state(reason, message),
        &json!({})
    )]))
}

fn backing_off(restarts: i32, last: &str) -> Value {
    scheduled(&json!([container(
        false,
        restarts,
        &waiting_state("CrashLoopBackOff", ""),
        &ended(last)
    )]))
}

fn running(restarts: i32, since: &str) -> Value {
    scheduled(&json!([container(
        false,
        restarts,
        &running_since(since),
        &ended("Error")
    )]))
}

fn all_are(cases: impl IntoIterator<Item = (Value, (Option<Step>, Option<Trouble>))>) {
    for (status, expected) in cases {
        assert_eq!(seen(&of_status(&status)), expected, "{status}");
    }
}

#[test]
fn a_pod_without_a_node_says_what_the_scheduler_lacks() {
    let unschedulable = |message: &str| unscheduled_for("Unschedulable", message);
    let by_message = [
        (
            Reason::NoRoom,
            "0/3 nodes are available: 3 Insufficient memory.",
        ),
        (
            Reason::NoRoom,
            "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient nvidia.com/gpu.",
        ),
        (
            Reason::NoRoom,
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had volume node affinity conflict.",
        ),
        (
            Reason::NoRoom,
            "0/1 nodes are available: 1 Too many pods. preemption: 0/1 nodes are available: 1 No preemption victims.",
        ),
        (
            Reason::NoRoom,
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
        ),
        (
            Reason::NoRoom,
            "0/1 nodes are available: 1 cannot allocate all claims.",
        ),
        (
            Reason::NoRoom,
            "ResourceClaim team/gpu was not created for Pod team/app (Pod is not owner)",
        ),
        (
            Reason::VolumePending,
            "pod has unbound immediate PersistentVolumeClaims",
        ),
        (
            Reason::VolumePending,
            "0/1 nodes are available: persistentvolumeclaim \"data\" not found.",
        ),
        (
            Reason::VolumePending,
            "0/2 nodes are available: 2 node(s) had volume node affinity conflict.",
        ),
        (
            Reason::VolumePending,
            "0/2 nodes are available: 2 node(s) exceed max volume count.",
        ),
        (
            Reason::VolumePending,
            "0/1 nodes are available: 1 node(s) did not have enough free storage.",
        ),
        (
            Reason::VolumePending,
            "0/1 nodes are available: 1 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s).",
        ),
        (
            Reason::NoServer,
            "0/3 nodes are available: 3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.",
        ),
        (
            Reason::NoServer,
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: Insufficient x",
        ),
        (
            Reason::NoServer,
            "0/3 nodes are available: 3 node(s) were unschedulable.",
        ),
        (
            Reason::NoServer,
            "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.",
        ),
        (
            Reason::NoServer,
            "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints.",
        ),
        (Reason::NoServer, "no nodes available to schedule pods"),
    ];
    all_are(by_message.map(|(reason, message)| {
        (
            unschedulable(message),
            waiting_for(Step::Scheduling, reason),
        )
    }));
    all_are([
        (
            unscheduled_for("SchedulingGated", "Scheduling is blocked"),
            waiting_for(Step::Scheduling, Reason::HeldBack),
        ),
        (
            unscheduled_since(LONG_AGO, "SchedulerError", "binding rejected"),
            waiting_for(Step::Scheduling, Reason::PlatformNotReady),
        ),
        (
            unscheduled_since(JUST_NOW, "SchedulerError", "already assigned to a node"),
            well(Step::Scheduling),
        ),
        (
            unscheduled_for("SchedulerError", "binding volumes: timed out"),
            waiting_for(Step::Scheduling, Reason::VolumePending),
        ),
        (json!({ "phase": "Pending" }), well(Step::Scheduling)),
    ]);
}

#[test]
fn a_pod_that_nobody_looks_at_is_the_platforms_doing_after_a_minute() {
    let created = |at: &str| -> Pod {
        serde_json::from_value(
            json!({ "metadata": { "creationTimestamp": at }, "status": { "phase": "Pending" } }),
        )
        .expect("a pod")
    };
    assert_eq!(
        seen(&read_at_noon(&[created(SOME_SIGN)])),
        well(Step::Scheduling)
    );
    assert_eq!(
        seen(&read_at_noon(&[created(NO_SIGN)])),
        waiting_for(Step::Scheduling, Reason::PlatformNotReady)
    );

    let scheduled_at = |at: &str| json!({ "conditions": [{ "type": "PodScheduled", "status": "True", "lastTransitionTime": at }] });
    let mut acknowledged = scheduled_at(NO_SIGN);
    acknowledged["startTime"] = json!(NO_SIGN);
    all_are([
        (scheduled_at(SOME_SIGN), well(Step::Pulling)),
        (
            scheduled_at(NO_SIGN),
            waiting_for(Step::Pulling, Reason::PlatformNotReady),
        ),
        (acknowledged, well(Step::Pulling)),
    ]);
}

#[test]
fn volumes_and_networks_that_take_their_time_are_not_a_download() {
    let sandbox = |value: &str, since: &str| {
        with_condition(
            waiting("ContainerCreating"),
            "PodReadyToStartContainers",
            value,
            since,
        )
    };
    all_are([
        (sandbox("False", JUST_NOW), well(Step::Pulling)),
        (
            sandbox("False", LONG_AGO),
            waiting_for(Step::Pulling, Reason::SandboxPending),
        ),
        (sandbox("True", LONG_AGO), well(Step::Pulling)),
    ]);
}

#[test]
fn every_reason_of_the_kubelet_to_hold_a_container_back_has_its_word() {
    use Reason::{BadConfiguration, CannotRun, ImageUnavailable, PolicyRefused, SandboxPending};
    use Step::{Pulling, Starting};
    all_are([
        (scheduled(&json!([])), well(Pulling)),
        (waiting("ContainerCreating"), well(Pulling)),
        (waiting("PodInitializing"), well(Pulling)),
        (
            waiting("ErrImagePull"),
            waiting_for(Pulling, ImageUnavailable),
        ),
        (
            waiting("RegistryUnavailable"),
            waiting_for(Pulling, ImageUnavailable),
        ),
        (
            waiting("ImageInspectError"),
            waiting_for(Pulling, ImageUnavailable),
        ),
        (
            waiting("ImagePullBackOff"),
            troubled(Pulling, ImageUnavailable, true),
        ),
        (
            waiting("InvalidImageName"),
            troubled(Pulling, ImageUnavailable, true),
        ),
        (
            waiting("ErrImageNeverPull"),
            troubled(Pulling, ImageUnavailable, true),
        ),
        (
            waiting("SignatureValidationFailed"),
            troubled(Pulling, PolicyRefused, true),
        ),
        (
            waiting_with(
                "ImagePullBackOff",
                "Back-off pulling image \"i\": SignatureValidationFailed: no",
            ),
            troubled(Pulling, PolicyRefused, true),
        ),
        (
            waiting("CreatePodSandboxError"),
            waiting_for(Pulling, SandboxPending),
        ),
        (
            waiting_with(
                "CreateContainerConfigError",
                "configmap \"settings\" not found",
            ),
            troubled(Starting, BadConfiguration, true),
        ),
        (
            waiting_with(
                "CreateContainerConfigError",
                "couldn't find key URL in Secret team/db",
            ),
            troubled(Starting, BadConfiguration, true),
        ),
        (
            waiting_with(
                "CreateContainerConfigError",
                "failed to sync secret cache: timed out waiting for the condition",
            ),
            waiting_for(Starting, BadConfiguration),
        ),
        (
            waiting_with(
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root",
            ),
            troubled(Starting, CannotRun, true),
        ),
        (
            waiting("CreateContainerError"),
            waiting_for(Starting, CannotRun),
        ),
        (
            waiting("RunContainerError"),
            waiting_for(Starting, CannotRun),
        ),
        (
            waiting("PreCreateHookError"),
            waiting_for(Starting, CannotRun),
        ),
        (
            waiting("PreStartHookError"),
            waiting_for(Starting, CannotRun),
        ),
        (
            waiting("PostStartHookError"),
            waiting_for(Starting, CannotRun),
        ),
        (waiting("StartError"), waiting_for(Starting, CannotRun)),
        (
            waiting("ContainerCannotRun"),
            waiting_for(Starting, CannotRun),
        ),
        (
            waiting("AnErrorOfTomorrow"),
            waiting_for(Starting, CannotRun),
        ),
    ]);
}

#[test]
fn a_container_that_ends_is_backed_off_from_before_it_is_given_up() {
    use Step::Starting;
    all_are([
        (
            backing_off(1, "Error"),
            waiting_for(Starting, Reason::CrashLoop),
        ),
        (
            backing_off(2, "Error"),
            waiting_for(Starting, Reason::CrashLoop),
        ),
        (
            backing_off(3, "Error"),
            troubled(Starting, Reason::CrashLoop, true),
        ),
        (
            backing_off(3, "Completed"),
            troubled(Starting, Reason::CrashLoop, true),
        ),
        (
            backing_off(3, "ContainerStatusUnknown"),
            troubled(Starting, Reason::CrashLoop, true),
        ),
        (
            backing_off(3, "OOMKilled"),
            troubled(Starting, Reason::OutOfMemory, true),
        ),
        (
            backing_off(3, "StartError"),
            troubled(Starting, Reason::CannotRun, true),
        ),
        (
            backing_off(3, "ContainerCannotRun"),
            troubled(Starting, Reason::CannotRun, true),
        ),
        (
            scheduled(&json!([container(false, 0, &ended("Error"), &json!({}))])),
            well(Starting),
        ),
        (
            scheduled(&json!([container(
                false,
                2,
                &ended("OOMKilled"),
                &ended("Error")
            )])),
            waiting_for(Starting, Reason::OutOfMemory),
        ),
    ]);
}

#[test]
fn a_container_that_has_run_for_half_a_minute_is_passing_its_checks_whatever_came_before() {
    all_are([
        (running(0, JUST_NOW), well(Step::Checking)),
        (
            running(0, LONG_AGO),
            waiting_for(Step::Checking, Reason::NotPassingChecks),
        ),
        (running(1, JUST_NOW), well(Step::Checking)),
        (
            running(2, JUST_NOW),
            waiting_for(Step::Starting, Reason::CrashLoop),
        ),
        (
            running(9, LONG_AGO),
            waiting_for(Step::Checking, Reason::NotPassingChecks),
        ),
    ]);
}

#[test]
fn readiness_gates_hold_back_a_pod_whose_containers_are_ready() {
    let gated = |since: &str| {
        let status = scheduled(&json!([container(
            true,
            0,
            &running_since(LONG_AGO),
            &json!({})
        )]));
        with_condition(
            with_condition(status, "ContainersReady", "True", since),
            "Ready",
            "False",
            since,
        )
    };
    all_are([
        (gated(JUST_NOW), well(Step::Checking)),
        (
            gated(LONG_AGO),
            waiting_for(Step::Checking, Reason::NotPassingChecks),
        ),
        (
            with_condition(running(0, LONG_AGO), "Ready", "True", LONG_AGO),
            well(Step::Checking),
        ),
    ]);
}

#[test]
fn a_change_of_resources_under_way_holds_nothing_back() {
    for kind in ["PodResizePending", "PodResizeInProgress"] {
        let status = with_condition(running(0, JUST_NOW), kind, "True", LONG_AGO);
        assert_eq!(seen(&of_status(&status)), well(Step::Checking), "{kind}");
    }
}

/// A pod with an init container, or with a sidecar, before its only container.
fn with_init(is_sidecar: bool, init: &Value, main: &Value) -> Pods {
    let mut init = init.clone();
    init["name"] = json!("first");
    let restart_policy = is_sidecar.then_some("Always");
    let pod: Pod = serde_json::from_value(json!({
        "spec": { "containers": [], "initContainers": [{ "name": "first", "restartPolicy": restart_policy }] },
        "status": {
            "conditions": [{ "type": "PodScheduled", "status": "True" }],
            "initContainerStatuses": [init], "containerStatuses": [main],
        },
    }))
    .expect("a pod");
    read_at_noon(&[pod])
}

#[test]
fn init_containers_start_and_may_start_again() {
    let main = container(false, 0, &waiting_state("PodInitializing", ""), &json!({}));
    let init = |restarts, state: &Value| {
        seen(&with_init(
            false,
            &container(false, restarts, state, &ended("Error")),
            &main,
        ))
    };
    assert_eq!(
        init(0, &running_since(LONG_AGO)),
        well(Step::Starting),
        "it may take its time"
    );
    assert_eq!(
        init(2, &running_since(JUST_NOW)),
        well(Step::Starting),
        "it waits for something"
    );
    assert_eq!(init(2, &ended("Error")), well(Step::Starting));
    assert_eq!(
        init(2, &waiting_state("CrashLoopBackOff", "")),
        waiting_for(Step::Starting, Reason::CrashLoop)
    );
    assert_eq!(
        init(3, &waiting_state("CrashLoopBackOff", "")),
        troubled(Step::Starting, Reason::CrashLoop, true)
    );
    assert_eq!(
        init(0, &waiting_state("ErrImagePull", "")),
        waiting_for(Step::Pulling, Reason::ImageUnavailable)
    );

    let done = container(
        true,
        0,
        &json!({ "terminated": { "exitCode": 0, "reason": "Completed" } }),
        &json!({}),
    );
    assert_eq!(
        seen(&with_init(false, &done, &main)),
        well(Step::Starting),
        "it does not go back to the download"
    );
    let up = container(false, 0, &running_since(JUST_NOW), &json!({}));
    assert_eq!(seen(&with_init(false, &done, &up)), well(Step::Checking));
}

#[test]
fn sidecars_have_to_stay_up_and_pass_their_checks_like_the_app() {
    let main_waits = container(false, 0, &waiting_state("PodInitializing", ""), &json!({}));
    let main_is_ready = container(true, 0, &running_since(LONG_AGO), &json!({}));
    let sidecar = |restarts, state: &Value| container(false, restarts, state, &ended("Error"));
    let up = |since| running_since(since);
    let of = |sidecar: &Value, main: &Value| seen(&with_init(true, sidecar, main));
    assert_eq!(
        of(&sidecar(0, &up(JUST_NOW)), &main_waits),
        well(Step::Starting)
    );
    assert_eq!(
        of(&sidecar(0, &up(LONG_AGO)), &main_waits),
        waiting_for(Step::Starting, Reason::NotPassingChecks)
    );
    assert_eq!(
        of(&sidecar(2, &up(JUST_NOW)), &main_is_ready),
        waiting_for(Step::Starting, Reason::CrashLoop)
    );
    assert_eq!(
        of(&sidecar(0, &up(LONG_AGO)), &main_is_ready),
        waiting_for(Step::Checking, Reason::NotPassingChecks)
    );
    assert_eq!(
        of(&sidecar(0, &ended("Error")), &main_is_ready),
        well(Step::Starting),
        "not all of it is up"
    );
}

#[test]
fn restarts_of_all_containers_are_counted() {
    let backing_off = waiting_state("CrashLoopBackOff", "");
    let of = |restarts, ready| container(ready, restarts, &backing_off, &json!({}));
    assert_eq!(
        of_status(&scheduled(&json!([of(3, false), of(1, true)]))).restarts,
        4
    );
    let many = [i32::MAX; 3].map(|restarts| of(restarts, false));
    assert_eq!(
        of_status(&scheduled(&json!(many))).restarts,
        u32::MAX,
        "as many as can be counted"
    );
    assert_eq!(of_status(&scheduled(&json!([of(-1, false)]))).restarts, 0);
}

#[test]
fn the_pod_that_is_furthest_counts() {
    let of =
        |statuses: &[Value]| seen(&read_at_noon(&statuses.iter().map(pod).collect::<Vec<_>>()));
    assert_eq!(
        of(&[waiting("ErrImagePull"), running(0, JUST_NOW)]),
        well(Step::Checking)
    );
    assert_eq!(
        of(&[waiting("ErrImagePull"), waiting("ContainerCreating")]),
        well(Step::Pulling)
    );
    assert_eq!(
        of(&[running(0, LONG_AGO), waiting("ContainerCreating")]),
        waiting_for(Step::Checking, Reason::NotPassingChecks)
    );
}

#[test]
fn a_pod_that_the_cluster_has_given_up_ends_nothing_while_another_is_well() {
    let of =
        |statuses: &[Value]| seen(&read_at_noon(&statuses.iter().map(pod).collect::<Vec<_>>()));
    assert_eq!(
        of(&[backing_off(4, "Error"), waiting("ContainerCreating")]),
        well(Step::Pulling)
    );
    let no_room = unscheduled_for(
        "Unschedulable",
        "0/1 nodes are available: 1 Insufficient cpu.",
    );
    assert_eq!(
        of(&[backing_off(4, "Error"), no_room]),
        troubled(Step::Starting, Reason::CrashLoop, true),
        "more room would not help"
    );
}

#[test]
fn a_pod_of_which_nothing_is_known_yet_does_not_hide_what_another_waits_for() {
    let of =
        |statuses: &[Value]| seen(&read_at_noon(&statuses.iter().map(pod).collect::<Vec<_>>()));
    let no_volume = unscheduled_for(
        "Unschedulable",
        "pod has unbound immediate PersistentVolumeClaims",
    );
    let new = json!({ "phase": "Pending" });
    assert_eq!(
        of(&[no_volume.clone(), new.clone()]),
        waiting_for(Step::Scheduling, Reason::VolumePending)
    );
    assert_eq!(
        of(&[new.clone(), no_volume]),
        waiting_for(Step::Scheduling, Reason::VolumePending)
    );
    assert_eq!(
        of(&[backing_off(4, "Error"), new]),
        troubled(Step::Starting, Reason::CrashLoop, true)
    );
}

fn owned(owner: &str, created: &str, status: &Value) -> Pod {
    let owner = json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true });
    let metadata = json!({ "creationTimestamp": created, "ownerReferences": [owner] });
    serde_json::from_value(json!({ "metadata": metadata, "status": status })).expect("a pod")
}

#[test]
fn pods_of_an_older_generation_do_not_speak_for_the_newest() {
    let old = owned("old", "2026-01-01T11:50:00Z", &backing_off(9, "Error"));
    let new = owned("new", "2026-01-01T11:59:55Z", &waiting("ErrImagePull"));
    let second = owned("new", "2026-01-01T11:59:56Z", &waiting("ContainerCreating"));
    assert_eq!(
        seen(&read_at_noon(&[old.clone(), new, second])),
        well(Step::Pulling)
    );
    assert_eq!(
        seen(&read_at_noon(&[old])),
        troubled(Step::Starting, Reason::CrashLoop, true),
        "as long as there is no newer one"
    );
}

#[test]
fn a_pod_that_its_node_turned_away_says_why_for_a_minute() {
    let failed = |reason: &str| json!({ "phase": "Failed", "reason": reason, "conditions": [{ "type": "PodScheduled", "status": "True" }] });
    for (reason, told) in [
        ("Evicted", Reason::NoRoom),
        ("Preempting", Reason::NoRoom),
        ("OutOfcpu", Reason::NoRoom),
        ("OutOfmemory", Reason::NoRoom),
        ("OutOfpods", Reason::NoRoom),
        ("TopologyAffinityError", Reason::NoRoom),
        ("NodeAffinity", Reason::NoServer),
        ("NodeShutdown", Reason::NoServer),
        ("Terminated", Reason::NoServer),
        ("UnexpectedAdmissionError", Reason::NoServer),
        ("SysctlForbidden", Reason::PolicyRefused),
        ("DeadlineExceeded", Reason::CrashLoop),
    ] {
        let recent = owned("new", "2026-01-01T11:59:50Z", &failed(reason));
        assert_eq!(
            seen(&read_at_noon(std::slice::from_ref(&recent))),
            waiting_for(Step::Scheduling, told),
            "{reason}"
        );
        let next = owned("new", NOON, &scheduled(&json!([])));
        assert_eq!(
            seen(&read_at_noon(&[recent, next])),
            waiting_for(Step::Pulling, told),
            "{reason}: the next one may fare the same"
        );
        let old = owned("new", "2026-01-01T11:59:00Z", &failed(reason));
        assert_eq!(
            seen(&read_at_noon(&[old])),
            (None, None),
            "{reason}: that was then"
        );
    }
    let up = owned("new", NOON, &running(0, NOON));
    assert_eq!(
        seen(&read_at_noon(&[
            owned("new", "2026-01-01T11:59:50Z", &failed("Evicted")),
            up
        ])),
        well(Step::Checking)
    );
}

#[test]
fn pods_that_are_on_their_way_out_do_not_count() {
    let evicted =
        json!({ "phase": "Failed", "conditions": [{ "type": "PodScheduled", "status": "True" }] });
    assert_eq!(seen(&of_status(&evicted)), (None, None));
    let deleted: Pod = serde_json::from_value(json!({
        "metadata": { "deletionTimestamp": "2026-01-01T11:00:00Z" }, "status": waiting("CrashLoopBackOff"),
    }))
    .expect("a pod");
    assert_eq!(read_at_noon(&[deleted]), Pods::default());
    let disrupted = with_condition(running(0, JUST_NOW), "DisruptionTarget", "True", JUST_NOW);
    assert_eq!(of_status(&disrupted), Pods::default());
    assert_eq!(read_at_noon(&[]), Pods::default());
}

fn any_text() -> impl Strategy<Value = String> {
    let known = [
        "",
        "True",
        "False",
        "Unknown",
        "Pending",
        "Running",
        "Failed",
        "Unschedulable",
        "SchedulingGated",
        "SchedulerError",
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "CreateContainerConfigError",
        "OOMKilled",
        "Evicted",
        "Insufficient cpu",
        "volume",
        "PodScheduled",
        "PodReadyToStartContainers",
        "ContainersReady",
        "Ready",
        "DisruptionTarget",
        "preemption:",
        "c",
    ];
    prop_oneof![
        proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        any::<String>()
    ]
}

fn any_time() -> impl Strategy<Value = Value> {
    let known = [
        "-009999-01-02T01:59:59Z",
        "1970-01-01T00:00:00Z",
        NOON,
        LONG_AGO,
        "9999-12-30T22:00:00.9Z",
    ];
    prop_oneof![
        Just(Value::Null),
        proptest::sample::select(known.to_vec()).prop_map(Value::from)
    ]
}

fn any_state() -> impl Strategy<Value = Value> {
    (any_text(), any_text(), any_time(), 0..8_u8).prop_map(|(reason, message, at, has)| {
        let waiting = (has & 1 != 0).then(|| json!({ "reason": reason, "message": message }));
        let running = (has & 2 != 0).then(|| json!({ "startedAt": at }));
        let terminated = (has & 4 != 0).then(|| json!({ "exitCode": 1, "reason": reason }));
        json!({ "waiting": waiting, "running": running, "terminated": terminated })
    })
}

fn any_pod() -> impl Strategy<Value = Pod> {
    let containers = || {
        let parts = (
            any::<bool>(),
            any::<Option<bool>>(),
            any::<i32>(),
            any_state(),
            any_state(),
        );
        let one = parts.prop_map(|(ready, started, restarts, state, last)| {
            let mut one = container(ready, restarts, &state, &last);
            one["started"] = json!(started);
            one
        });
        proptest::option::of(prop::collection::vec(one, 0..3))
    };
    let condition = (any_text(), any_text(), any_text(), any_text(), any_time());
    let condition = condition.prop_map(|(kind, status, reason, message, at)| {
        json!({ "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at })
    });
    let conditions = prop::collection::vec(condition, 0..5);
    let pod = (
        any_text(),
        any_text(),
        any_time(),
        any_time(),
        conditions,
        containers(),
        containers(),
    );
    pod.prop_map(|(phase, reason, created, started, conditions, init, main)| {
        serde_json::from_value(json!({
            "metadata": { "creationTimestamp": created },
            "spec": { "containers": [], "initContainers": [{ "name": "c", "restartPolicy": reason }] },
            "status": {
                "phase": phase, "reason": reason, "startTime": started, "conditions": conditions,
                "initContainerStatuses": init, "containerStatuses": main,
            },
        }))
        .expect("a pod")
    })
}

proptest! {
    #[test]
    fn whatever_pods_say_can_be_read(pods in prop::collection::vec(any_pod(), 0..4)) {
        let pods = read_at_noon(&pods);
        prop_assert!(pods.step.is_some() || pods.trouble.is_none(), "trouble is trouble with a step: {pods:?}");
    }
}
