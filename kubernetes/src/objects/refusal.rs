//! Why the API server refuses the pods of a workload, from the message of its `ReplicaFailure` condition.
//!
//! The message comes from admission: quotas, limit ranges, Pod Security, policies, webhooks. There is no better source,
//! since the condition's own reason is `FailedCreate` for all of them ([Kubernetes: admission
//! controllers](https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/)).

use unidler::{app::Trouble, progress::Reason};

/// The first entry whose words are in the message decides, so a denial may quote arbitrary text.
const REFUSALS: &[(&[&str], Trouble)] = &[
    (
        &["exceeded quota", "exceeded hierarchical quota"],
        Trouble::given_up(Reason::PodsRefused),
    ),
    (
        &[
            "denied the request",
            "denied request",
            "violates PodSecurity",
        ],
        Trouble::given_up(Reason::PolicyRefused),
    ),
    // Temporary problems: an unavailable webhook, a new quota, an overloaded API server.
    (
        &[
            "failed calling webhook",
            "failed to call webhook",
            "Internal error occurred",
            "status unknown for quota",
            "timed out",
            "timeout",
            "deadline exceeded",
            "connection refused",
            "currently unable to handle the request",
            "too many requests",
            "retry after",
            "object has been modified",
        ],
        Trouble::waiting(Reason::PlatformNotReady),
    ),
    // Limit ranges.
    (
        &["usage per ", "to request ratio per "],
        Trouble::given_up(Reason::PodsRefused),
    ),
    // A missing ServiceAccount, PriorityClass or RuntimeClass; or requests or limits that a quota demands.
    (
        &["not found", "no PriorityClass", "must specify"],
        Trouble::given_up(Reason::BadConfiguration),
    ),
    (&["is forbidden"], Trouble::given_up(Reason::PolicyRefused)),
    (&["is invalid"], Trouble::given_up(Reason::CannotRun)),
];

/// The meaning of a rejection for a visitor.
pub(crate) fn refusal(message: &str) -> Trouble {
    let decides =
        |(words, _): &&(&[&str], Trouble)| words.iter().any(|words| message.contains(words));
    REFUSALS
        .iter()
        .find(decides)
        .map_or(Trouble::waiting(Reason::PolicyRefused), |(_, trouble)| {
            *trouble
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_limit_only_where_there_is_one() {
        use Reason::{BadConfiguration, CannotRun, PlatformNotReady, PodsRefused, PolicyRefused};
        let given_up = [
            (
                PodsRefused,
                r#"pods "a-1" is forbidden: exceeded quota: team, requested: pods=1, used: pods=4, limited: pods=4"#,
            ),
            (
                PodsRefused,
                r#"pods "a-1" is forbidden: maximum cpu usage per Container is 1, but limit is 2"#,
            ),
            (
                PodsRefused,
                r#"pods "a-1" is forbidden: [minimum memory usage per Pod is 1Gi, but request is 1Mi]"#,
            ),
            (
                PodsRefused,
                r#"pods "a-1" is forbidden: memory max limit to request ratio per Container is 2, but provided ratio is 4"#,
            ),
            (
                PolicyRefused,
                r#"pods "a-1" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false"#,
            ),
            (
                PolicyRefused,
                r#"admission webhook "policy.example" denied the request: no timeout, no quota, not found"#,
            ),
            (
                PolicyRefused,
                r#"pods "a-1" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"#,
            ),
            (
                PolicyRefused,
                r#"pods "a-1" is forbidden: unable to validate against any security context constraint: []"#,
            ),
            (
                PolicyRefused,
                r#"pods "a-1" is forbidden: unable to create new content in namespace a because it is being terminated"#,
            ),
            (
                BadConfiguration,
                r#"pods "a-1" is forbidden: error looking up service account a/b: serviceaccount "b" not found"#,
            ),
            (
                BadConfiguration,
                r#"pods "a-1" is forbidden: no PriorityClass with name high was found"#,
            ),
            (
                BadConfiguration,
                r#"pods "a-1" is forbidden: pod rejected: RuntimeClass "gvisor" not found"#,
            ),
            (
                BadConfiguration,
                r#"pods "a-1" is forbidden: failed quota: team: must specify limits.cpu for: app"#,
            ),
            (
                CannotRun,
                r#"Pod "a-1" is invalid: spec.containers[0].resources.requests: Invalid value: "2""#,
            ),
        ];
        for (reason, message) in given_up {
            assert_eq!(refusal(message), Trouble::given_up(reason), "{message}");
        }
        let passing = [
            (
                PlatformNotReady,
                r#"Internal error occurred: failed calling webhook "w.example": failed to call webhook: Post "https://w.a.svc:443/?timeout=10s": service "w" not found"#,
            ),
            (
                PlatformNotReady,
                r#"Internal error occurred: failed calling webhook "w.example": dial tcp: connection refused"#,
            ),
            (
                PlatformNotReady,
                r#"pods "a-1" is forbidden: status unknown for quota: team, resources: pods"#,
            ),
            (PlatformNotReady, "etcdserver: request timed out"),
            (
                PlatformNotReady,
                "the server is currently unable to handle the request",
            ),
            (PolicyRefused, "something that nobody has thought of"),
            (PolicyRefused, ""),
        ];
        for (reason, message) in passing {
            assert_eq!(refusal(message), Trouble::waiting(reason), "{message}");
        }
    }
}
