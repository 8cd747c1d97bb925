//! Records the outcome of a wake-up as a Kubernetes Event on the workload, for `kubectl describe`.
//!
//! This needs an optional permission. Without it, or if recording fails, apps wake just as well.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Error,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::{debug, warn};
use unidler::{
    progress::{Phase, Progress},
    sleep::brake::{Cause, Undone},
};

use crate::{cache::Cached, objects::Workload};

/// The maximum length of an Event's note, in characters: the API server accepts 1,024 bytes.
const MAX_NOTE: usize = 250;

/// Writes the Events.
pub(crate) struct Notes {
    recorder: Recorder,
    /// Whether the missing permission has been logged: once is enough.
    told: AtomicBool,
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").finish_non_exhaustive()
    }
}

impl Notes {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            recorder: Recorder::new(
                client,
                Reporter {
                    controller: "unidler".to_owned(),
                    instance: None,
                },
            ),
            told: AtomicBool::new(false),
        }
    }

    /// Records the outcome of an app's wake-up on one of its workloads.
    pub(crate) async fn write(&self, workload: &Cached<Workload>, outcome: &Progress) {
        if let Some(event) = event(outcome) {
            self.publish(workload, &event).await;
        }
    }

    /// Records why an app is not put to sleep, although its owner has requested that.
    pub(crate) async fn refusal(&self, workload: &Cached<Workload>, why: &str) {
        let event = Event {
            type_: EventType::Warning,
            reason: "NotIdled".to_owned(),
            note: Some(why.chars().take(MAX_NOTE).collect()),
            action: "Idle".to_owned(),
            secondary: None,
        };
        self.publish(workload, &event).await;
    }

    /// Records what keeps an app from staying asleep.
    pub(crate) async fn undone(&self, workload: &Cached<Workload>, undone: &Undone) {
        let (cause, until) = (&undone.cause, undone.until());
        let reason = match cause {
            Cause::Returned(_) => "IdlingUndone",
            Cause::Refused => "IdlingFailed",
        };
        let note = format!("unidler: {cause}, so it is left alone until {until}");
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(note.chars().take(MAX_NOTE).collect()),
            action: "Idle".to_owned(),
            secondary: None,
        };
        self.publish(workload, &event).await;
    }

    async fn publish(&self, workload: &Cached<Workload>, event: &Event) {
        let kind = &workload.value.kind.resource;
        let reference = ObjectReference {
            api_version: Some(kind.api_version.clone()),
            kind: Some(kind.kind.clone()),
            name: Some(workload.name.clone()),
            namespace: Some(workload.namespace.clone()),
            uid: Some(workload.value.uid.clone()),
            ..ObjectReference::default()
        };
        match self.recorder.publish(event, &reference).await {
            Ok(()) => {}
            Err(Error::Api(status)) if status.is_forbidden() => {
                if !self.told.swap(true, Ordering::Relaxed) {
                    warn!(
                        "no permission to write Events: grant the role unidler-events to record wake-ups, or do without"
                    );
                }
            }
            Err(error) => debug!(%error, "could not write an Event"),
        }
    }
}

fn event(outcome: &Progress) -> Option<Event> {
    let Progress {
        reference,
        elapsed_ms,
        ..
    } = outcome;
    let seconds = elapsed_ms.div_ceil(1000);
    let (type_, reason, note) = match outcome.phase {
        Phase::Ready { .. } => (
            EventType::Normal,
            "Unidled",
            format!("Woken for a visitor in {seconds} s (reference {reference})"),
        ),
        Phase::Failed { reason } => (
            EventType::Warning,
            "UnidleFailed",
            format!("Not up after {seconds} s: {reason:?} (reference {reference})"),
        ),
        Phase::Asleep | Phase::Waking { .. } => return None,
    };
    Some(Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: "Unidle".to_owned(),
        secondary: None,
    })
}
