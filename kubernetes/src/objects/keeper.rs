//! Who keeps an object as it is in Git.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{annotation, label};

/// The tool that keeps an object as it is in Git, with what it calls the set that the object is in. Helm alone is none: it
/// writes only when somebody runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// The name of an Application.
    ArgoCd(String),
    /// The name of a Kustomization.
    Flux(String),
}

impl Keeper {
    /// Boxed, since most objects have none.
    pub(super) fn of(metadata: &ObjectMeta) -> Option<Box<Self>> {
        let argo = annotation(metadata, "argocd.argoproj.io/tracking-id")
            .or_else(|| label(metadata, "argocd.argoproj.io/instance"));
        // A tracking id is `<application>:<group>/<kind>:<namespace>/<name>`.
        let argo = argo.and_then(|id| id.split(':').next().map(ToOwned::to_owned));
        let is_kept = || {
            annotation(metadata, "kustomize.toolkit.fluxcd.io/reconcile").as_deref()
                != Some("disabled")
        };
        let flux = || label(metadata, "kustomize.toolkit.fluxcd.io/name").filter(|_| is_kept());
        argo.map(Self::ArgoCd)
            .or_else(|| flux().map(Self::Flux))
            .map(Box::new)
    }
}
