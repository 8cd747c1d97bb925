//! The trimmed forms of the Kubernetes objects: parsed once when they arrive, and reduced to what decisions need.
//!
//! With ten thousand apps in memory, this reduces hundreds of megabytes to a few.

pub(crate) mod activity_url;
pub(crate) mod bonds;
mod gateway;
pub(crate) mod gateway_api;
mod keeper;
pub(crate) mod labels;
pub(crate) mod marks;
mod namespace;
mod pod_requests;
mod refusal;
mod resource;
mod route;
mod scale_target;
pub(crate) mod scaled_object;
mod service;
pub(crate) mod sleep_rules;
mod wake_seconds;
mod workload;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::SignedDuration};

pub use self::workload::kind::Scalable;
pub(crate) use self::{
    gateway::{Gateway, Grant},
    keeper::Keeper,
    namespace::Namespace,
    pod_requests::{PodRequests, cpu_millicores},
    route::{
        Backend, Port, Route, RouteKind,
        http_route::{HttpRoute, Parent},
    },
    scale_target::ScaleTarget,
    scaled_object::{Pause, ScaledObject, Scaling},
    service::{
        Destination, Irreversible, OwnService, PointsAt, Service, ServiceWhenUnidled, Uncertain,
        Unfit,
    },
    wake_seconds::WakeSeconds,
    workload::{
        Controller, Workload,
        kind::{PodsController, WorkloadKind, group_of},
    },
};

/// The label of a Deployment that is idled; its value is then `true`.
pub(crate) const IDLED: &str = "mojanalytics.xyz/idled";
/// The annotation of an idled Deployment with the time at which it was idled, in ISO 8601.
pub(crate) const IDLED_AT: &str = "mojanalytics.xyz/idled-at";
/// The annotation of an idled Deployment with the number of replicas that it had.
pub(crate) const REPLICAS_WHEN_UNIDLED: &str = "mojanalytics.xyz/replicas-when-unidled";
/// The annotation of an idled Service with its original selector and ports, as JSON.
pub(crate) const SERVICE_WHEN_UNIDLED: &str = "mojanalytics.xyz/service-when-unidled";

/// The annotation of a Deployment with the durations of its last wake-ups: seconds, the latest first, separated by
/// commas.
pub(crate) const WAKE_SECONDS: &str = "mojanalytics.xyz/wake-seconds";

/// The annotation of an Ingress, Service or Deployment with the human-readable name of the app.
pub(crate) const TITLE: &str = "unidler/title";
/// The annotation of a Service with the time at which somebody requested that its app be put to sleep, in RFC 3339.
pub(crate) const IDLE_WISH: &str = "unidler/idle";
/// The maximum length of a displayed title, in characters.
const MAX_TITLE: usize = 80;

/// How long without a sign of life until a component of the cluster counts as not working. A watch may be silent for 40
/// seconds before that is noticed, and events that it has not delivered are no proof that nothing has happened.
pub(crate) const NO_SIGN: SignedDuration = SignedDuration::from_secs(60);

/// The text of a title for visitors: on one line, without characters that change how text is displayed.
fn title(annotation: Option<String>) -> Option<String> {
    let is_format = |c: char| matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let text: String = annotation?
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    let text: String = text
        .chars()
        .filter(|c| !c.is_control() && !is_format(*c))
        .collect();
    let words = text
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let title: String = words.chars().take(MAX_TITLE).collect();
    Some(title.trim_end().to_owned()).filter(|title| !title.is_empty())
}

pub(crate) fn label(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.labels.as_ref()?.get(name).cloned()
}

/// The first annotation of a table whose value is one of those in the table.
pub(crate) fn annotation_in(
    metadata: &ObjectMeta,
    table: &[(&'static str, &[&str])],
) -> Option<&'static str> {
    let is_set = |(name, values): &&(&'static str, &[&str])| {
        annotation(metadata, name).is_some_and(|value| values.contains(&&*value))
    };
    table.iter().find(is_set).map(|(name, _)| *name)
}

pub(crate) fn annotation(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.annotations.as_ref()?.get(name).cloned()
}
