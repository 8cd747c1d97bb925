//! A Namespace, as far as it affects the sleep of its apps.

use k8s_openapi::api::core::v1::Namespace as KubeNamespace;

use super::sleep_rules::SleepRules;

/// A Namespace.
#[derive(Debug, PartialEq)]
pub(crate) struct Namespace {
    pub(crate) sleep: Option<Box<SleepRules>>,
}

impl Namespace {
    pub(crate) fn parse(KubeNamespace { metadata, .. }: KubeNamespace) -> Self {
        Self {
            sleep: SleepRules::of(&metadata),
        }
    }
}
