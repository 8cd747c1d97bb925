//! The host that a visitor typed.

use std::fmt;

/// A DNS name in lower case, without port and trailing dot.
///
/// Parsed once, from a `Host` header ([RFC 9110, 7.2]), so that nothing has to validate it again. IP addresses are
/// rejected: an Ingress rule cannot name one.
///
/// [RFC 9110, 7.2]: https://www.rfc-editor.org/rfc/rfc9110#section-7.2
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(String);

/// The text is not a host that an app can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Host header is not a DNS name")]
pub struct InvalidHost;

/// The maximum length of a DNS name, in characters ([RFC 1035,
/// 2.3.4](https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4)).
const MAX_NAME: usize = 253;
/// The maximum length of one of its labels.
const MAX_LABEL: usize = 63;

impl Host {
    /// Parses the value of a `Host` header.
    ///
    /// # Errors
    ///
    /// [`InvalidHost`] for everything that is not `name[:port]` with a DNS name.
    pub fn parse(header: &str) -> Result<Self, InvalidHost> {
        let name = match header.split_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            Some(_) => return Err(InvalidHost),
            None => header,
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_dns_name = name.len() <= MAX_NAME && name.split('.').all(is_label);
        let is_address = name
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if is_dns_name && !is_address {
            Ok(Self(name.to_ascii_lowercase()))
        } else {
            Err(InvalidHost)
        }
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first dot.
    #[must_use]
    pub fn first_label(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// Whether a rule of an Ingress serves this host: the same name, or a wildcard for exactly one label
    /// ([Kubernetes: hostname wildcards]).
    ///
    /// [Kubernetes: hostname wildcards]: https://kubernetes.io/docs/concepts/services-networking/ingress/#hostname-wildcards
    #[must_use]
    pub fn is_served_by(&self, rule: &str) -> bool {
        match rule.strip_prefix("*.") {
            Some(parent) => self
                .0
                .split_once('.')
                .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
            None => self.0.eq_ignore_ascii_case(rule),
        }
    }
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_lower_case_without_port_and_trailing_dot() {
        for header in [
            "tool.example.org",
            "TOOL.Example.org",
            "tool.example.org:8080",
            "tool.example.org.",
            "tool.example.org.:80",
        ] {
            assert_eq!(
                Host::parse(header).map(|h| h.to_string()).as_deref(),
                Ok("tool.example.org"),
                "{header}"
            );
        }
    }

    #[test]
    fn what_is_no_dns_name_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "a.".repeat(124));
        for header in [
            "",
            ".",
            "..",
            ":80",
            "a..b",
            "-a.example",
            "a-.example",
            "a_b.example",
            "a b",
            "a@b",
            "a/b",
            "a.example:80:90",
            "a.example:x",
            "[::1]",
            "[::1]:80",
            "127.0.0.1",
            "10.0.0.1:80",
            "ä.example",
            "a\r\nb",
            "*.example",
            &long_label,
            &long_name,
        ] {
            assert_eq!(Host::parse(header), Err(InvalidHost), "{header:?}");
        }
    }

    #[test]
    fn the_longest_name_is_accepted() {
        let name = format!("{}a", "a.".repeat(126));
        assert_eq!(name.len(), MAX_NAME);
        assert!(Host::parse(&name).is_ok());
    }

    #[test]
    fn a_wildcard_rule_serves_exactly_one_label() {
        let host = Host::parse("tool.team.example").expect("a host");
        for (rule, serves) in [
            ("tool.team.example", true),
            ("Tool.Team.Example", true),
            ("*.team.example", true),
            ("*.example", false),
            ("*.tool.team.example", false),
            ("team.example", false),
            ("", false),
            ("*", false),
        ] {
            assert_eq!(host.is_served_by(rule), serves, "{rule}");
        }
    }
}
