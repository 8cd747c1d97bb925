//! The tool that keeps an object as it is in Git.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{annotation, label};

/// The tool that keeps an object as it is in Git, with its name for the set that the object belongs to. Helm alone does
/// not count: it only writes when somebody runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// The name of an Application.
    ArgoCd(String),
    /// The name of a Kustomization.
    Flux(String),
    /// The name of a `HelmRelease` of Flux, which undoes changes if drift detection is enabled.
    FluxHelm(String),
}

/// The field managers of Argo CD in `managedFields`.
const ARGO_CD: [&str; 2] = ["argocd-controller", "argocd-application-controller"];

impl Keeper {
    /// Boxed, since most objects have none.
    pub(super) fn of(metadata: &ObjectMeta) -> Option<Box<Self>> {
        let argo = annotation(metadata, "argocd.argoproj.io/tracking-id")
            .or_else(|| label(metadata, "argocd.argoproj.io/instance"))
            // Many tools set its default label, so it only counts where Argo CD has written.
            .or_else(|| {
                label(metadata, "app.kubernetes.io/instance").filter(|_| is_argo_cds(metadata))
            });
        // A tracking id is `<application>:<group>/<kind>:<namespace>/<name>`.
        let argo = argo.and_then(|id| id.split(':').next().map(ToOwned::to_owned));
        let is_kept = || {
            annotation(metadata, "kustomize.toolkit.fluxcd.io/reconcile").as_deref()
                != Some("disabled")
        };
        let flux = || label(metadata, "kustomize.toolkit.fluxcd.io/name").filter(|_| is_kept());
        let helm = || label(metadata, "helm.toolkit.fluxcd.io/name");
        argo.map(Self::ArgoCd)
            .or_else(|| flux().map(Self::Flux))
            .or_else(|| helm().map(Self::FluxHelm))
            .map(Box::new)
    }
}

fn is_argo_cds(metadata: &ObjectMeta) -> bool {
    let mut entries = metadata.managed_fields.iter().flatten();
    entries.any(|entry| {
        let manager = entry.manager.as_deref();
        manager.is_some_and(|manager| ARGO_CD.contains(&manager))
    })
}
