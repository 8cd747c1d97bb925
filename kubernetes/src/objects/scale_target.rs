//! The target of an autoscaler.

use super::Workload;
use crate::cache::Cached;

/// A workload in the autoscaler's own namespace, as the autoscaler refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScaleTarget {
    /// `None` means any.
    pub(crate) api_version: Option<String>,
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl ScaleTarget {
    /// Whether it refers to this workload. `namespace` is that of the autoscaler.
    pub(crate) fn is(&self, namespace: &str, workload: &Cached<Workload>) -> bool {
        let kind = &workload.value.kind;
        let is_of_kind = match &self.api_version {
            Some(api_version) => kind.is(api_version, &self.kind),
            None => kind.resource.kind == self.kind,
        };
        is_of_kind && namespace == workload.namespace && self.name == workload.name
    }
}
