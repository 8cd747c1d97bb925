//! How to reach Prometheus: where it is, and what it demands of its users.

use std::{fmt, path::PathBuf, str::FromStr};

use anyhow::{Context, ensure};
use http::{HeaderName, HeaderValue, Uri, header};
use kube::{Client, Config};
use tokio::fs;

/// The address of Prometheus, or of another program with its API, such as `http://prometheus.monitoring:9090`,
/// optionally with a path before that of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusUrl(Uri);

impl FromStr for PrometheusUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected a URL such as http://prometheus.monitoring:9090";
        let uri = Uri::from_str(text).map_err(|_| WRONG)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if !is_http || authority.is_empty() {
            return Err(WRONG);
        }
        if uri.query().is_some() {
            return Err("expected a URL without a question mark and what follows it");
        }
        Ok(Self(uri))
    }
}

impl PrometheusUrl {
    fn has_user(&self) -> bool {
        let authority = self.0.authority();
        authority.is_some_and(|authority| authority.as_str().contains('@'))
    }

    fn is_secure(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The namespace and the name of the Service, if it is one of the cluster, such as `prometheus.monitoring.svc`.
    #[must_use]
    pub fn service(&self) -> Option<(String, String)> {
        let mut labels = self.0.host()?.split('.');
        let (name, namespace) = (labels.next()?, labels.next()?);
        let is_of_cluster = matches!(labels.next(), None | Some("svc"));
        is_of_cluster.then(|| (namespace.to_owned(), name.to_owned()))
    }
}

/// Headers for each request to Prometheus: one in each line, such as `X-Scope-OrgID: team-a`. They may be secret, so they are
/// not checked where an error would repeat them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(String);

impl Headers {
    fn parse(&self) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
        let parse = |line: &str| {
            let (name, value) = line.split_once(':')?;
            let name = name.trim().parse::<HeaderName>().ok()?;
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        };
        let lines = self.0.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty());
        lines.map(parse).collect::<Option<Vec<_>>>().context(
            "expected headers for Prometheus, one in each line, such as X-Scope-OrgID: team-a",
        )
    }
}

impl From<&str> for Headers {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Headers").finish_non_exhaustive()
    }
}

/// A file with a token, which may be replaced at any time: those of service accounts are valid for an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenFile(PathBuf);

impl TokenFile {
    /// The value of the header `Authorization`, with the current token.
    pub(super) async fn bearer(&self) -> anyhow::Result<HeaderValue> {
        let Self(path) = self;
        let token = fs::read_to_string(path).await;
        let token = token.with_context(|| format!("cannot read {}", path.display()))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
        let mut bearer = bearer.with_context(|| format!("no token in {}", path.display()))?;
        bearer.set_sensitive(true);
        Ok(bearer)
    }
}

/// How to reach Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    url: PrometheusUrl,
    pub(super) token: Option<TokenFile>,
    ca: Option<PathBuf>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Access {
    /// The address, optionally with a file that has a bearer token, a PEM file with the certificates of the authorities
    /// to trust instead of the system's, and headers.
    ///
    /// # Errors
    ///
    /// If the address names a user, if the headers cannot be parsed, if there are authorities and no TLS, or two ways to
    /// authenticate.
    pub fn new(
        url: PrometheusUrl,
        token: Option<PathBuf>,
        ca: Option<PathBuf>,
        headers: &Headers,
    ) -> anyhow::Result<Self> {
        let headers = headers.parse()?;
        ensure!(
            !url.has_user(),
            "expected a URL of Prometheus without a user name: write the header Authorization instead"
        );
        ensure!(
            ca.is_none() || url.is_secure(),
            "certificates to verify Prometheus need a URL that begins with https"
        );
        let is_authorized = headers
            .iter()
            .any(|(name, _)| name == header::AUTHORIZATION);
        ensure!(
            token.is_none() || !is_authorized,
            "expected either a token for Prometheus or a header Authorization, not both"
        );
        Ok(Self {
            url,
            token: token.map(TokenFile),
            ca,
            headers,
        })
    }

    /// A client.
    pub(super) fn client(self) -> anyhow::Result<Client> {
        let is_secure = self.url.is_secure();
        let PrometheusUrl(uri) = self.url;
        let mut config = Config::new(uri);
        // Otherwise the system's certificates are loaded, of which there may be none.
        let has_own = !is_secure || self.ca.is_some();
        config.root_cert = has_own.then(Vec::new);
        config.root_cert_file = self.ca;
        config.headers = self.headers;
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }
}
