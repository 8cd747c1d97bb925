//! The wire types: what the server reports and the page shows.
//!
//! Every event and every JSON status is one [`Progress`]: a complete snapshot, so a visitor who comes late or
//! reconnects needs exactly one of them. The vocabulary is closed: no name of a pod, node, image or namespace
//! fits into these types, so none can reach a page. The one text from the cluster is the title that an app's
//! operators wrote for its visitors.

use serde::{Deserialize, Serialize};

/// Where the wake-up of one app stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Progress {
    /// The id that a visitor can give to the operators of the app. It is in the log as well.
    pub reference: String,
    /// The host that the visitor typed.
    pub host: String,
    /// The name that the app's operators have given it, if any: at most 80 characters of plain text.
    pub title: Option<String>,
    /// Increases with each snapshot of a wake-up. The `id:` of the event.
    pub revision: u64,
    /// Milliseconds since the wake-up began.
    pub elapsed_ms: u64,
    /// How many milliseconds a wake-up of this app usually takes; `None` without history.
    pub usual_ms: Option<u64>,
    /// The current phase.
    pub phase: Phase,
    /// How often the app's containers have restarted so far.
    pub restarts: u32,
    /// How many of the app's parts are running, if it has several.
    pub parts: Option<Parts>,
    /// What happens to requests that still reach unidler for a ready app; `None` if unidler answers them itself.
    pub forwarding: Option<Forwarding>,
    /// The steps reached so far, in order, the present one last.
    pub timeline: Vec<Mark>,
}

/// When a step was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The step.
    pub step: Step,
    /// Milliseconds from the beginning of the wake-up.
    pub at_ms: u64,
}

/// The progress of an app with several workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// How many are running.
    pub up: u32,
    /// How many there are.
    pub of: u32,
}

/// The state of a wake-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody is waking the app. Only a page or a JSON status says this, never an event.
    Asleep,
    /// Under way.
    Waking {
        /// The current step.
        step: Step,
        /// The problem, where waiting may well be enough.
        reason: Option<Reason>,
    },
    /// The cluster reports the app as ready. Terminal.
    Ready {
        /// [`Notice::AlreadyAwake`] if there was nothing to do.
        notice: Option<Notice>,
    },
    /// The wake-up cannot succeed in the present state. Terminal for an event stream.
    Failed {
        /// Why.
        reason: Reason,
    },
}

impl Phase {
    /// Whether this phase ends an event stream.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Failed { .. })
    }

    /// The name of the event that carries it. A failure is never called `error`, since browsers use that name for a
    /// lost connection.
    #[must_use]
    pub fn event_name(self) -> &'static str {
        match self {
            Self::Asleep | Self::Waking { .. } => "progress",
            Self::Ready { .. } => "success",
            Self::Failed { .. } => "failure",
        }
    }

    /// Its name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Asleep => "asleep",
            Self::Waking { .. } => "waking",
            Self::Ready { .. } => "ready",
            Self::Failed { .. } => "failed",
        }
    }
}

/// The steps of a wake-up, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Looking the app up.
    Finding,
    /// Restoring the replicas.
    Restoring,
    /// A pod waits for a node.
    Scheduling,
    /// A node fetches the image.
    Pulling,
    /// The containers start.
    Starting,
    /// The containers run; the readiness probe has not passed yet.
    Checking,
    /// The Service points to the app again; waiting for a ready endpoint.
    Connecting,
    /// The browser waits until the app answers at its own address. Only the page knows this step.
    Opening,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Finding,
        Self::Restoring,
        Self::Scheduling,
        Self::Pulling,
        Self::Starting,
        Self::Checking,
        Self::Connecting,
        Self::Opening,
    ];
}

/// A remark about a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The app was not idled: nothing was written.
    AlreadyAwake,
}

/// Why an app does not wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No route serves this host.
    NoRoute,
    /// A route carries the app's key, but none of its rules serves this host.
    HostNotServed,
    /// Routes in several namespaces map this host to different apps.
    AmbiguousRoute,
    /// No workload carries the app's key in the namespace of its route.
    NoWorkload,
    /// More than one workload does.
    AmbiguousWorkload,
    /// The Service that the route names does not exist.
    NoService,
    /// The route points to Services of different apps.
    AmbiguousService,
    /// The Service is an `ExternalName` that points to something else.
    ServiceElsewhere,
    /// There is no record of the pods that the Service selected before the app was idled.
    ServiceUnknown,
    /// The app has no replicas and is not marked as idled: somebody else switched it off.
    SwitchedOff,
    /// Something else scaled it down again, more than once.
    ScaledDown,
    /// It sleeps, and its operators do not want visitors to wake it.
    NotByVisitors,
    /// A container's image cannot be pulled.
    ImageUnavailable,
    /// A container keeps ending after its start.
    CrashLoop,
    /// A container keeps ending because it exceeds its memory limit.
    OutOfMemory,
    /// A container cannot be created or run as specified.
    CannotRun,
    /// A container's configuration refers to something that does not exist.
    BadConfiguration,
    /// The maximum number of apps is starting; this one starts when one of them is done.
    ManyStarting,
    /// No node has room for a pod.
    NoRoom,
    /// No node matches the constraints of the pods, however much room it has.
    NoServer,
    /// A pod's volume is not ready yet.
    VolumePending,
    /// A pod's node has not prepared its volumes or its network yet.
    SandboxPending,
    /// Something holds the pods back on purpose: a scheduling gate, or a Deployment that was paused before its first pod.
    HeldBack,
    /// A component that the cluster needs to start pods is not working: a webhook, a controller, the scheduler, a node.
    PlatformNotReady,
    /// A quota or a limit range refuses the pods.
    PodsRefused,
    /// A rule refuses the pods: a policy, Pod Security, a signature.
    PolicyRefused,
    /// The containers run, but the readiness probe does not pass.
    NotPassingChecks,
    /// The workload did not make progress within its own deadline.
    RolloutStuck,
    /// unidler lacks a permission in the cluster.
    PermissionMissing,
    /// The cluster's API does not answer.
    ApiUnreachable,
    /// The wake-up took longer than unidler waits.
    DeadlinePassed,
    /// Something broke in unidler itself.
    Internal,
}

impl Reason {
    /// All of them, in order.
    pub const ALL: [Self; 32] = [
        Self::NoRoute,
        Self::HostNotServed,
        Self::AmbiguousRoute,
        Self::NoWorkload,
        Self::AmbiguousWorkload,
        Self::NoService,
        Self::AmbiguousService,
        Self::ServiceElsewhere,
        Self::ServiceUnknown,
        Self::SwitchedOff,
        Self::ScaledDown,
        Self::NotByVisitors,
        Self::ImageUnavailable,
        Self::CrashLoop,
        Self::OutOfMemory,
        Self::CannotRun,
        Self::BadConfiguration,
        Self::ManyStarting,
        Self::NoRoom,
        Self::NoServer,
        Self::VolumePending,
        Self::SandboxPending,
        Self::HeldBack,
        Self::PlatformNotReady,
        Self::PodsRefused,
        Self::PolicyRefused,
        Self::NotPassingChecks,
        Self::RolloutStuck,
        Self::PermissionMissing,
        Self::ApiUnreachable,
        Self::DeadlinePassed,
        Self::Internal,
    ];

    /// Whether the app could not be identified. Nothing is watched then.
    #[must_use]
    pub fn is_discovery(self) -> bool {
        matches!(
            self,
            Self::NoRoute
                | Self::HostNotServed
                | Self::AmbiguousRoute
                | Self::NoWorkload
                | Self::AmbiguousWorkload
                | Self::NoService
                | Self::AmbiguousService
        )
    }

    /// Whether there is no app at this address at all.
    #[must_use]
    pub fn is_not_found(self) -> bool {
        matches!(self, Self::NoRoute | Self::HostNotServed | Self::NoWorkload)
    }

    /// Whether it often passes without intervention. Unless the cluster has given up, such a reason is shown while the
    /// wake-up continues; the others become a failure when nothing changes for a while.
    #[must_use]
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            Self::ManyStarting
                | Self::NoRoom
                | Self::NoServer
                | Self::VolumePending
                | Self::SandboxPending
                | Self::HeldBack
                | Self::PlatformNotReady
                | Self::NotPassingChecks
                | Self::ApiUnreachable
        )
    }
}

/// What happens to requests that still reach unidler for a ready app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forwarding {
    /// They are forwarded to the app, and all others reach it as well: the page may open it at once.
    Seamless,
    /// They are forwarded to the app. Others may fail for some seconds, while the ingress routes to neither.
    Partial,
}

impl Forwarding {
    /// Its name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seamless => "seamless",
            Self::Partial => "partial",
        }
    }
}

/// The JSON of a [`Progress`]: flat, with `phase` as a word next to the fields of that phase. Written by hand, since
/// the code that serde derives for a flattened enum would weigh more in the browser than all other wire types.
#[derive(Serialize, Deserialize)]
struct Wire {
    reference: String,
    host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    revision: u64,
    elapsed_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usual_ms: Option<u64>,
    phase: PhaseName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<Step>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notice: Option<Notice>,
    #[serde(default)]
    restarts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<Parts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forwarding: Option<Forwarding>,
    timeline: Vec<Mark>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PhaseName {
    Asleep,
    Waking,
    Ready,
    Failed,
}

impl From<Progress> for Wire {
    fn from(progress: Progress) -> Self {
        let Progress {
            reference,
            host,
            title,
            revision,
            elapsed_ms,
            usual_ms,
            phase,
            restarts,
            parts,
            forwarding,
            timeline,
        } = progress;
        let (phase, step, reason, notice) = match phase {
            Phase::Asleep => (PhaseName::Asleep, None, None, None),
            Phase::Waking { step, reason } => (PhaseName::Waking, Some(step), reason, None),
            Phase::Ready { notice } => (PhaseName::Ready, None, None, notice),
            Phase::Failed { reason } => (PhaseName::Failed, None, Some(reason), None),
        };
        Self {
            reference,
            host,
            title,
            revision,
            elapsed_ms,
            usual_ms,
            phase,
            step,
            reason,
            notice,
            restarts,
            parts,
            forwarding,
            timeline,
        }
    }
}

impl TryFrom<Wire> for Progress {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let Wire {
            reference,
            host,
            title,
            revision,
            elapsed_ms,
            usual_ms,
            phase,
            step,
            reason,
            notice,
            restarts,
            parts,
            forwarding,
            timeline,
        } = wire;
        let phase = match (phase, step, reason) {
            (PhaseName::Asleep, ..) => Phase::Asleep,
            (PhaseName::Waking, Some(step), reason) => Phase::Waking { step, reason },
            (PhaseName::Ready, ..) => Phase::Ready { notice },
            (PhaseName::Failed, _, Some(reason)) => Phase::Failed { reason },
            (PhaseName::Waking, None, _) => return Err("waking, without a step"),
            (PhaseName::Failed, _, None) => return Err("failed, without a reason"),
        };
        Ok(Self {
            reference,
            host,
            title,
            revision,
            elapsed_ms,
            usual_ms,
            phase,
            restarts,
            parts,
            forwarding,
            timeline,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn progress(phase: Phase) -> Progress {
        Progress {
            reference: "k3v9-2m7q".into(),
            host: "app.example".into(),
            title: None,
            revision: 3,
            elapsed_ms: 1200,
            usual_ms: None,
            phase,
            restarts: 0,
            parts: None,
            forwarding: None,
            timeline: vec![Mark {
                step: Step::Finding,
                at_ms: 0,
            }],
        }
    }

    fn json_of(phase: Phase) -> Value {
        serde_json::to_value(progress(phase)).expect("a snapshot is JSON")
    }

    #[test]
    fn a_failure_has_phase_reason_and_reference() {
        assert_eq!(
            json_of(Phase::Failed {
                reason: Reason::ImageUnavailable
            }),
            json!({
                "reference": "k3v9-2m7q", "host": "app.example", "revision": 3, "elapsed_ms": 1200,
                "phase": "failed", "reason": "image_unavailable", "restarts": 0,
                "timeline": [{ "step": "finding", "at_ms": 0 }],
            })
        );
    }

    #[test]
    fn a_reason_is_absent_where_there_is_none() {
        let json = json_of(Phase::Waking {
            step: Step::Pulling,
            reason: None,
        });
        assert_eq!(json["phase"], "waking");
        assert_eq!(json["step"], "pulling");
        assert!(json.get("reason").is_none());
    }

    #[test]
    fn every_phase_survives_the_wire() {
        for phase in [
            Phase::Asleep,
            Phase::Waking {
                step: Step::Scheduling,
                reason: Some(Reason::NoRoom),
            },
            Phase::Ready {
                notice: Some(Notice::AlreadyAwake),
            },
            Phase::Ready { notice: None },
            Phase::Failed {
                reason: Reason::NoRoute,
            },
        ] {
            let sent = progress(phase);
            let received: Progress =
                serde_json::from_str(&serde_json::to_string(&sent).expect("to JSON"))
                    .expect("from JSON");
            assert_eq!(received, sent);
            assert_eq!(json_of(phase)["phase"], phase.name());
        }
    }

    #[test]
    fn what_only_some_apps_have_survives_the_wire_and_is_absent_elsewhere() {
        for absent in ["title", "parts", "forwarding"] {
            assert!(json_of(Phase::Asleep).get(absent).is_none());
        }
        let sent = Progress {
            title: Some("Übersicht \"A\"".into()),
            parts: Some(Parts { up: 1, of: 3 }),
            forwarding: Some(Forwarding::Seamless),
            ..progress(Phase::Ready { notice: None })
        };
        let received: Progress =
            serde_json::from_str(&serde_json::to_string(&sent).expect("to JSON"))
                .expect("from JSON");
        assert_eq!(received, sent);
    }

    #[test]
    fn a_snapshot_that_cannot_be_is_refused() {
        for missing in ["reason", "timeline", "phase"] {
            let mut json = json_of(Phase::Failed {
                reason: Reason::NoRoom,
            });
            json.as_object_mut().expect("an object").remove(missing);
            assert!(
                serde_json::from_value::<Progress>(json).is_err(),
                "without {missing}"
            );
        }
    }

    #[test]
    fn a_failure_event_is_never_called_error() {
        assert_eq!(
            Phase::Failed {
                reason: Reason::Internal
            }
            .event_name(),
            "failure"
        );
    }

    #[test]
    fn the_list_of_reasons_is_complete() {
        // Each stands at its own place, and the last one is the last of the enum.
        assert!(
            Reason::ALL
                .iter()
                .enumerate()
                .all(|(place, reason)| *reason as usize == place)
        );
        assert_eq!(Reason::ALL.last(), Some(&Reason::Internal));
    }

    #[test]
    fn steps_are_in_their_order() {
        assert!(Step::ALL.is_sorted());
    }
}
