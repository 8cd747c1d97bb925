//! A Service whose visitors are diverted by an `EndpointSlice` of unidler's own.
//!
//! The Service is not touched. While its app sleeps, the slice has one endpoint: the address of unidler's own Service,
//! to which ingress controllers connect as they do to any pod. While the app is awake, the slice stays, without
//! endpoints. The state of the app before it was idled is recorded on the slice.

use std::{net::IpAddr, num::NonZeroU32};

use k8s_openapi::{
    api::discovery::v1::EndpointSlice,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::{SignedDuration, Timestamp},
};
use kube::api::Preconditions;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use unidler::{
    cluster::Ended,
    sleep::{
        brake::{Cause, Undone},
        decide::By,
    },
};

use crate::{
    cache::Cached,
    objects::{Destination, Service, WakeSeconds, Workload, annotation, label},
};

/// The label with the manager of a slice.
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The label with the Service that a slice belongs to.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The annotation that contains a [`Record`].
const RECORD: &str = "unidler/record";
/// The annotation that contains a [`History`].
const HISTORY: &str = "unidler/history";
/// The annotation that contains the durations of the last wake-ups in seconds, the latest first.
const WAKE_SECONDS: &str = "unidler/wake-seconds";

/// The maximum length of an annotation according to the admission policies.
const MAX_ANNOTATION: usize = 4096;
/// By how much a [`History`] may be longer than the [`Record`] from which it is created, or vice versa.
const HISTORY_ADDS: usize = 320;
/// The maximum length of a field manager's name according to the API server.
const MAX_NAME: usize = 128;

/// How soon after the slice was written the end of the sleep counts as undoing it. This includes the grace period of
/// the app, and the time until the app is running again and its visitors are routed back.
const UNDONE: SignedDuration = SignedDuration::from_mins(5);

/// How soon after a wake-up a sleep that is caused by something else counts as one that ignores visitors.
const SOON: SignedDuration = SignedDuration::from_mins(10);
/// After how many such wake-ups in a row the visitor has to request another one explicitly.
const IN_VAIN: u32 = 3;

/// How long after a wake-up an ingress may continue to route an app's visitors here.
const LATE: SignedDuration = SignedDuration::from_mins(1);

/// A slice of unidler's own.
#[derive(Debug, PartialEq)]
pub(crate) struct Slice {
    uid: Box<str>,
    resource_version: Box<str>,
    /// The family of its addresses, which is immutable.
    is_ipv6: bool,
    /// The Service that it belongs to.
    pub(crate) service: Box<str>,
    /// Where it points; `None` while the app is awake.
    address: Option<IpAddr>,
    /// The names of its ports, and their numbers.
    ports: Box<[(Box<str>, i32)]>,
    /// The state of the app before it was idled. It exists as long as the slice diverts.
    pub(crate) record: Option<Box<Record>>,
    /// When the app was last idled and woken, while it is awake.
    pub(crate) history: Option<Box<History>>,
    pub(crate) wake_seconds: WakeSeconds,
}

/// The state of an app before it was idled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// The version of this format.
    v: u8,
    /// The workloads behind the Service, each with the replicas that it had: never 0.
    pub(crate) workloads: Box<[Recorded]>,
    phase: RecordPhase,
    /// When it was idled.
    pub(crate) since: Timestamp,
    /// What put it to sleep, such as `cli`.
    pub(crate) by: String,
    /// The number of consecutive wake-ups before, each soon after the previous one.
    #[serde(default, skip_serializing_if = "is_zero")]
    wakes: u32,
    /// How often its sleep was undone before.
    #[serde(
        default,
        deserialize_with = "plain_undone",
        skip_serializing_if = "Option::is_none"
    )]
    undone: Option<Undone>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecordPhase {
    /// The workloads are about to be scaled to zero.
    Idling,
    /// The workloads had already been scaled to zero.
    Asleep,
}

/// A workload in its former state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recorded {
    #[serde(flatten)]
    pub(crate) workload: WorkloadName,
    /// The UID of the object.
    pub(crate) uid: String,
    /// The number of replicas that it had.
    pub(crate) replicas: u32,
    /// Its `metadata.generation` at that time. A later one, with replicas, means that something has woken it.
    pub(crate) generation: i64,
}

/// Identifies a workload in the namespace of the Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkloadName {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// The last sleep of an app that is awake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History {
    /// When it was last idled.
    pub(crate) idled: Timestamp,
    /// When it was woken after that.
    pub(crate) woken: Timestamp,
    /// What put it to sleep.
    pub(crate) by: String,
    /// The workloads behind the Service, as last recorded.
    pub(crate) workloads: Box<[Recorded]>,
    /// The number of consecutive wake-ups by then, each soon after the previous one, if something else puts the app to
    /// sleep.
    #[serde(default, skip_serializing_if = "is_zero")]
    wakes: u32,
    /// How often its sleep was undone.
    #[serde(
        default,
        deserialize_with = "plain_undone",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) undone: Option<Undone>,
}

impl Record {
    pub(crate) fn new(workloads: Box<[Recorded]>, now: Timestamp, by: By) -> Self {
        Self {
            v: 1,
            workloads,
            phase: RecordPhase::Idling,
            since: now,
            by: by.as_str().to_owned(),
            wakes: 0,
            undone: None,
        }
    }

    /// The same record for an app with this history.
    pub(crate) fn after(self, history: Option<&History>) -> Self {
        let is_soon = |history: &&History| self.since.duration_since(history.woken) < SOON;
        Self {
            wakes: history.filter(is_soon).map_or(0, |history| history.wakes),
            undone: history.and_then(|history| history.undone.clone()),
            ..self
        }
    }

    fn is_adopted(&self) -> bool {
        By::named(&self.by) == Some(By::Adopt)
    }

    /// How often in a row the app did not stay asleep, if this ends its sleep now.
    pub(crate) fn undone(&self, cause: Cause, now: Timestamp) -> Option<Undone> {
        let is_soon = now.duration_since(self.since) < UNDONE;
        let before = self.undone.as_ref();
        let times = before.map_or(0, |before| before.times.get());
        let undone = Undone {
            times: NonZeroU32::MIN.saturating_add(times),
            last: now,
            cause: plain(cause),
        };
        (is_soon || undone.cause == Cause::Refused).then_some(undone)
    }

    /// Whether it and the history that it will become may be written: the admission policies limit annotations.
    pub(crate) fn fits(&self) -> bool {
        json!(self).to_string().len() <= MAX_ANNOTATION - HISTORY_ADDS
    }
}

impl Recorded {
    /// `replicas` are its current ones, or those that it had until unidler scaled it to zero.
    pub(crate) fn new(workload: &Cached<Workload>, replicas: u32) -> Self {
        let Cached { name, value, .. } = workload;
        Self {
            workload: WorkloadName {
                api_version: value.kind.resource.api_version.clone(),
                kind: value.kind.resource.kind.clone(),
                name: name.clone(),
            },
            uid: value.uid.clone(),
            replicas,
            generation: value.generation,
        }
    }
}

impl WorkloadName {
    /// Whether it belongs to a workload of the same namespace.
    pub(crate) fn is_of(&self, workload: &Cached<Workload>) -> bool {
        workload.value.kind.is(&self.api_version, &self.kind) && self.name == workload.name
    }
}

impl Slice {
    pub(crate) fn parse(slice: EndpointSlice) -> Self {
        let EndpointSlice {
            metadata,
            address_type,
            endpoints,
            ports,
        } = slice;
        let address = endpoints
            .first()
            .and_then(|endpoint| endpoint.addresses.first());
        let port = |port: k8s_openapi::api::discovery::v1::EndpointPort| {
            Some((port.name.unwrap_or_default().into(), port.port?))
        };
        Self {
            uid: metadata.uid.clone().unwrap_or_default().into(),
            resource_version: metadata.resource_version.clone().unwrap_or_default().into(),
            is_ipv6: address_type == "IPv6",
            service: label(&metadata, SERVICE_NAME).unwrap_or_default().into(),
            address: address.and_then(|address| address.parse().ok()),
            ports: ports.into_iter().flatten().filter_map(port).collect(),
            record: json_in(&metadata, RECORD),
            history: json_in(&metadata, HISTORY),
            wake_seconds: WakeSeconds::parse(annotation(&metadata, WAKE_SECONDS).as_deref()),
        }
    }

    /// Whether it routes visitors here, or at least away from the app.
    pub(crate) fn diverts(&self) -> bool {
        self.address.is_some()
    }

    /// Whether its app was adopted after something else had put it to sleep.
    pub(crate) fn is_adopted(&self) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| record.is_adopted())
    }

    /// Whether something else has put the app to sleep again soon after each of several wake-ups.
    pub(crate) fn is_in_vain(&self) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| record.wakes >= IN_VAIN)
    }

    /// Whether it points here: to the current address of unidler's Service, at every port of its own Service.
    pub(crate) fn is_current(&self, service: &Service, destination: &Destination) -> bool {
        // If unidler no longer has an address of this family, it cannot update the slice.
        let Some(address) = destination.of_family(self.is_ipv6) else {
            return true;
        };
        self.address == Some(address)
            && service.tcp_ports().count() == self.ports.len()
            && service.tcp_ports().all(|port| {
                self.ports
                    .iter()
                    .any(|(name, number)| **name == *port && *number == destination.port)
            })
    }

    /// Whether it pointed here until a moment ago, so that an ingress may still route the app's visitors here.
    pub(crate) fn was_here_lately(&self, now: Timestamp) -> bool {
        let history = self.history.as_ref();
        history.is_some_and(|history| now.duration_since(history.woken) < LATE)
    }

    /// Whether an ingress may still route some visitors here and others to the app: one that is running and was not a moment
    /// ago, or the other way round.
    pub(crate) fn is_handover(&self, is_up: bool, now: Timestamp) -> bool {
        let mut records = self.record.iter();
        if self.diverts() {
            is_up || records.any(|record| now.duration_since(record.since) < LATE)
        } else {
            is_up && self.was_here_lately(now)
        }
    }

    /// Only unidler changes the slice, so this is the version of its meaning.
    pub(crate) fn version(&self) -> String {
        format!("{}/{}", self.uid, self.resource_version)
    }

    /// The preconditions for deleting it.
    pub(crate) fn preconditions(&self) -> Preconditions {
        Preconditions {
            uid: Some(self.uid.to_string()),
            resource_version: Some(self.resource_version.to_string()),
        }
    }

    /// The workloads behind its Service, as far as it has recorded them: in its record, or in its history.
    pub(crate) fn recorded(&self) -> &[Recorded] {
        match (&self.record, &self.history) {
            (Some(record), _) => &record.workloads,
            (None, Some(history)) => &history.workloads,
            (None, None) => &[],
        }
    }

    /// The name of the slice of a Service, which ends with the name of its manager.
    pub(crate) fn name_of(service: &str, manager: &str) -> String {
        format!("{service}-{manager}")
    }

    /// The merge patch that routes the visitors to the app again.
    pub(crate) fn restored(&self, ended: Ended, undone: Option<Undone>, now: Timestamp) -> Value {
        let mut annotations = json!({ RECORD: null });
        if let Some(record) = &self.record {
            let mut history = History {
                idled: record.since,
                woken: now,
                by: record.by.clone(),
                workloads: record.workloads.clone(),
                wakes: match ended {
                    Ended::Woken { .. } if record.is_adopted() => record.wakes.saturating_add(1),
                    Ended::Woken { .. } | Ended::Undone | Ended::Failed => 0,
                },
                undone: match record.is_adopted() {
                    true => record.undone.clone(),
                    false => undone,
                },
            };
            // This can happen with a record that an older version wrote.
            if json!(history).to_string().len() > MAX_ANNOTATION {
                history.undone = None;
            }
            annotations[HISTORY] = json!(json!(history).to_string());
        }
        if let Ended::Woken { took: Some(took) } = ended {
            annotations[WAKE_SECONDS] = json!(self.wake_seconds.with(took));
        }
        let Self {
            uid,
            resource_version,
            ..
        } = self;
        json!({
            "metadata": { "uid": uid, "resourceVersion": resource_version, "annotations": annotations },
            "endpoints": [],
        })
    }

    /// The merge patch that diverts the visitors. It keeps the existing record, if there is one.
    pub(crate) fn diverted(
        &self,
        service: &Service,
        destination: &Destination,
        record: &Record,
    ) -> Option<Value> {
        let address = destination.of_family(self.is_ipv6)?;
        let mut patch = diverting(service, address, destination);
        let annotations = match &self.record {
            Some(_) => json!({}),
            None => json!({ RECORD: json!(record).to_string(), HISTORY: null }),
        };
        let Self {
            uid,
            resource_version,
            ..
        } = self;
        patch["metadata"] =
            json!({ "uid": uid, "resourceVersion": resource_version, "annotations": annotations });
        Some(patch)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The first slice of a Service, which diverts its visitors; `None` if there is no address for it.
pub(crate) fn first(
    service: &Cached<Service>,
    destination: &Destination,
    record: &Record,
) -> Option<EndpointSlice> {
    let Cached {
        namespace,
        name,
        value: service,
        ..
    } = service;
    let address = destination.address(service)?;
    let mut slice = diverting(service, address, destination);
    slice["addressType"] = json!(if address.is_ipv6() { "IPv6" } else { "IPv4" });
    slice["metadata"] = json!({
        "name": Slice::name_of(name, &destination.manager),
        "namespace": namespace,
        "labels": { SERVICE_NAME: name, MANAGED_BY: destination.manager },
        "annotations": { RECORD: json!(record).to_string() },
    });
    serde_json::from_value(slice).ok()
}

/// The endpoint and the ports of a slice that diverts.
fn diverting(service: &Service, address: IpAddr, destination: &Destination) -> Value {
    let ports: Vec<_> = service
        .tcp_ports()
        .map(|name| json!({ "name": name, "port": destination.port, "protocol": "TCP" }))
        .collect();
    // These are explicit, since a controller might interpret missing values as it likes.
    let conditions = json!({ "ready": true, "serving": true, "terminating": false });
    json!({
        "endpoints": [{ "addresses": [address], "conditions": conditions }],
        "ports": ports,
    })
}

/// Limits the length and the characters of a cause, which could otherwise make the name of a field manager long or hard
/// to read, in JSON or on a terminal.
fn plain(cause: Cause) -> Cause {
    let is_plain = |c: &char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    match cause {
        Cause::Returned(Some(name)) => {
            Cause::Returned(Some(name.chars().filter(is_plain).take(MAX_NAME).collect()))
        }
        cause => cause,
    }
}

/// Does the same for a cause that is read: anyone with permission to patch slices can put any text there.
fn plain_undone<'de, D: Deserializer<'de>>(undone: D) -> Result<Option<Undone>, D::Error> {
    let undone = Option::<Undone>::deserialize(undone)?;
    Ok(undone.map(|undone| Undone {
        cause: plain(undone.cause),
        ..undone
    }))
}

/// Parses an annotation. One that cannot be parsed counts as absent.
fn json_in<T: for<'de> Deserialize<'de>>(metadata: &ObjectMeta, name: &str) -> Option<Box<T>> {
    serde_json::from_str(&annotation(metadata, name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(annotations: &Value) -> Slice {
        let metadata =
            json!({ "name": "web-unidler", "namespace": "team", "annotations": annotations });
        let slice = json!({ "metadata": metadata, "addressType": "IPv4", "endpoints": [] });
        Slice::parse(serde_json::from_value(slice).expect("a slice"))
    }

    fn record(workloads: usize, since: Timestamp) -> Record {
        let workload = |index| Recorded {
            workload: WorkloadName {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: format!("worker-{index}"),
            },
            uid: "0c9e6679-7425-40de-944b-e07fc1f90ae7".into(),
            replicas: 3,
            generation: 7,
        };
        let workloads = (0..workloads).map(workload).collect();
        Record::new(workloads, since, By::IdleAfter)
    }

    /// The annotations of a slice that has led visitors here and back.
    fn restored(record: &Record, cause: Cause, now: Timestamp) -> Value {
        let annotations = json!({ RECORD: json!(record).to_string() });
        let slice = slice(&annotations);
        let record = slice.record.as_ref().expect("a record");
        let mut patch = slice.restored(Ended::Undone, record.undone(cause, now), now);
        json!({ HISTORY: patch["metadata"]["annotations"][HISTORY].take() })
    }

    #[test]
    fn what_keeps_an_app_from_sleeping_is_counted_if_it_comes_soon_or_is_a_refusal() {
        let since: Timestamp = "2026-12-01T12:00:00Z".parse().expect("a time");
        let at = |minutes| since + SignedDuration::from_mins(minutes);
        let returned = || Cause::Returned(Some("somebody".into()));
        let mut record = record(1, since);
        for (cause, now, expected) in [
            (returned(), at(1), Some(1)),
            (Cause::Refused, at(10), Some(2)),
            (Cause::Returned(None), at(4), Some(3)),
            (returned(), at(5), None),
            (Cause::Refused, at(1), Some(1)),
        ] {
            let slice = slice(&restored(&record, cause.clone(), now));
            let history = slice.history.expect("a history");
            let undone = history.undone.clone();
            let times = undone.as_ref().map(|undone| undone.times.get());
            assert_eq!(times, expected, "{cause:?}");
            if let Some(undone) = undone {
                assert_eq!((undone.last, undone.cause), (now, cause));
            }
            record = record.after(Some(&history));
        }
    }

    #[test]
    fn what_becomes_of_a_record_that_fits_may_be_written_as_well() {
        let since: Timestamp = "2026-12-01T12:00:00.123456789Z".parse().expect("a time");
        let largest = (1..100).map(|count| record(count, since));
        let largest = largest.take_while(Record::fits).last().expect("some fit");
        let long_name = || Cause::Returned(Some("\u{1b}\"m".repeat(MAX_NAME)));
        let longest = Record {
            undone: Some(Undone {
                times: NonZeroU32::MAX,
                last: since,
                cause: plain(long_name()),
            }),
            ..largest.clone()
        };
        for record in [&largest, &longest] {
            let annotations = restored(record, long_name(), since);
            let history = annotations[HISTORY].as_str().expect("a history");
            assert!(json!(record).to_string().len() <= MAX_ANNOTATION);
            assert!(history.len() <= MAX_ANNOTATION, "{}", history.len());
            let added = history.len() - json!(largest).to_string().len();
            assert!(added <= HISTORY_ADDS, "{added}");
        }
    }

    /// Older versions allowed that.
    #[test]
    fn a_record_as_large_as_can_be_leaves_a_history_all_the_same() {
        let since = Timestamp::UNIX_EPOCH;
        let fits = |record: &Record| json!(record).to_string().len() <= MAX_ANNOTATION - 60;
        let largest = (1..100).map(|count| record(count, since));
        let mut largest = largest.take_while(fits).last().expect("some fit");
        while fits(&largest) {
            largest.workloads[0].workload.name.push('x');
        }
        let annotations = restored(&largest, Cause::Refused, since);
        let history = annotations[HISTORY].as_str().expect("a history");
        assert!(history.len() <= MAX_ANNOTATION, "{}", history.len());
        assert!(
            slice(&annotations)
                .history
                .expect("a history")
                .undone
                .is_none()
        );
    }

    /// Anyone with permission to patch slices can put any text there.
    #[test]
    fn a_name_that_is_read_is_plain() {
        let undone = json!({ "times": 1, "last": "2026-12-01T12:00:00Z", "returned": "evil\u{1b}[2J\nname" });
        let history = json!({ "idled": "2026-12-01T12:00:00Z", "woken": "2026-12-01T12:00:10Z", "by": "schedule", "workloads": [], "undone": undone });
        let slice = slice(&json!({ HISTORY: history.to_string() }));
        let undone = slice.history.expect("a history").undone.expect("undone");
        assert_eq!(
            undone.cause.to_string(),
            "putting it to sleep was undone by evil[2Jname"
        );
    }
}
