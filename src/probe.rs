//! Requests of monitors, for which a sleeping app does not have to wake.

use std::str::FromStr;

/// Requests that unidler answers for an app while it sleeps, such as `GET /healthz 200`, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes(Vec<Probe>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Probe {
    method: Box<str>,
    path: Box<str>,
    status: u16,
}

/// The text is not a list of probes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a method, a path and a status from 200 to 599, such as GET /healthz 200")]
pub struct InvalidProbe(String);

impl FromStr for Probes {
    type Err = InvalidProbe;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let probe = |text: &str| Probe::parse(text).ok_or_else(|| InvalidProbe(text.to_owned()));
        text.split(',')
            .map(|text| probe(text.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Probes {
    /// The response status for a request, if it matches a probe. `HEAD` is treated like `GET`. The path is without the
    /// query.
    #[must_use]
    pub fn status(&self, method: &str, path: &str) -> Option<u16> {
        let is_asked = |probe: &&Probe| {
            let is_head = method == "HEAD" && *probe.method == *"GET";
            (is_head || *probe.method == *method) && *probe.path == *path
        };
        Some(self.0.iter().find(is_asked)?.status)
    }
}

impl Probe {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (method, path, status) = (words.next()?, words.next()?, words.next()?);
        let is_method = method.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_path = path.starts_with('/') && !path.contains(['?', '#']);
        let status = status.parse().ok()?;
        let is_whole = is_method && is_path && (200..600).contains(&status);
        (is_whole && words.next().is_none()).then(|| Self {
            method: method.into(),
            path: path.into(),
            status,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_a_method_a_path_and_a_status() {
        let probes: Probes = "GET /healthz 200, POST /hook  202,GET /ready 503"
            .parse()
            .expect("probes");
        for (method, path, status) in [
            ("GET", "/healthz", Some(200)),
            ("HEAD", "/healthz", Some(200)),
            ("POST", "/healthz", None),
            ("POST", "/hook", Some(202)),
            ("HEAD", "/hook", None),
            ("GET", "/ready", Some(503)),
            ("GET", "/healthz/", None),
            ("GET", "/", None),
        ] {
            assert_eq!(probes.status(method, path), status, "{method} {path}");
        }
        for text in [
            "",
            "GET /healthz",
            "get /healthz 200",
            "GET healthz 200",
            "GET /a?b 200",
            "GET /healthz 101",
            "GET /healthz 600",
            "GET /healthz OK",
            "GET /healthz 200 OK",
            "GET /healthz 200,",
        ] {
            assert!(text.parse::<Probes>().is_err(), "{text}");
        }
    }
}
