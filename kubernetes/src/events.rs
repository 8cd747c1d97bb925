//! Notes on the workload how a wake-up went, as a Kubernetes Event: what `kubectl describe` shows.
//!
//! It needs an optional right. Without it, or if it fails, apps wake just as well.

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

/// The longest note of an Event, in characters: the API server takes 1,024 bytes.
const MAX_NOTE: usize = 250;

/// Writes the Events.
pub(crate) struct Notes {
    recorder: Recorder,
    /// Whether somebody has been told that the right is missing: once is enough.
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

    /// Writes how the wake-up of an app went, on one of its workloads.
    pub(crate) async fn write(&self, workload: &Cached<Workload>, outcome: &Progress) {
        if let Some(event) = event(outcome) {
            self.publish(workload, &event).await;
        }
    }

    /// Writes why an app is not put to sleep, although its owner wishes that.
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

    /// Writes what keeps an app from sleeping.
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
                        "there is no right to write Events: apply the role unidler-events, or do without"
                    );
                }
            }
            Err(error) => debug!(%error, "an Event was not written"),
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
