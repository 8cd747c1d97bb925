//! Tools that undo the sleep of apps.

/// The metric of how often putting an app to sleep was undone, by the tool that did it.
pub const UNDONE: &str = "unidler_idlings_undone_total";

/// The tools that the metric distinguishes. Anyone who may change an app can choose any name.
pub const TOOLS: [&str; 6] = ["argo-cd", "flux", "helm", "kubectl", "autoscaler", "other"];

/// The [`TOOLS`] entry for a field manager.
pub(crate) fn tool(manager: Option<&str>) -> &'static str {
    let manager = manager.unwrap_or_default();
    match manager.split('-').next().unwrap_or_default() {
        "argocd" => "argo-cd",
        "kustomize" | "flux" => "flux",
        "helm" if manager == "helm-controller" => "flux",
        "helm" => "helm",
        "kubectl" => "kubectl",
        // The controller manager only sets replicas for its autoscaler.
        "kube" | "keda" => "autoscaler",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_known_by_what_they_call_themselves() {
        for (manager, expected) in [
            (Some("argocd-controller"), "argo-cd"),
            (Some("kustomize-controller"), "flux"),
            (Some("helm-controller"), "flux"),
            (Some("helm"), "helm"),
            (Some("kubectl-scale"), "kubectl"),
            (Some("kube-controller-manager"), "autoscaler"),
            (Some("somebody"), "other"),
            (None, "other"),
        ] {
            assert_eq!(tool(manager), expected, "{manager:?}");
            assert!(TOOLS.contains(&expected));
        }
    }
}
