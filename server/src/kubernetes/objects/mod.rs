//! What is kept of each Kubernetes object: parsed once when it arrives, trimmed to what decisions need.
//!
//! With ten thousand apps in memory this is the difference between megabytes and hundreds of them.

mod deployment;
mod ingress;
mod refusal;
mod service;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub(super) use self::{
    deployment::Deployment,
    ingress::Ingress,
    service::{PointsAt, Service, ServiceWhenUnidled, is_own_address},
};

/// The label of a Deployment that is idled; its value is then `true`.
pub(super) const IDLED: &str = "mojanalytics.xyz/idled";
/// The annotation of an idled Deployment that tells when that was, in ISO 8601.
pub(super) const IDLED_AT: &str = "mojanalytics.xyz/idled-at";
/// The annotation of an idled Deployment that tells how many replicas it had.
pub(super) const REPLICAS_WHEN_UNIDLED: &str = "mojanalytics.xyz/replicas-when-unidled";
/// The annotation of an idled Service that holds its selector and ports from before, as JSON.
pub(super) const SERVICE_WHEN_UNIDLED: &str = "mojanalytics.xyz/service-when-unidled";

/// The annotation of a Deployment that remembers how long its last wake-ups took: seconds, the latest first, with
/// commas between.
pub(super) const WAKE_SECONDS: &str = "mojanalytics.xyz/wake-seconds";

fn label(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.labels.as_ref()?.get(name).cloned()
}

fn annotation(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.annotations.as_ref()?.get(name).cloned()
}
