//! A client of the Prometheus HTTP API.

use std::{collections::HashMap, str::FromStr, time::Duration};

use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use serde::Deserialize;
use tokio::time;
use tracing::{info, warn};
use unidler::sleep::verdict::Why;

use super::access::{Access, TokenFile};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// The time series of a metric.
#[derive(Clone, Copy)]
pub(super) struct Series {
    pub(super) metric: &'static str,
    /// The matchers that select some of them: the content of a selector's braces.
    pub(super) matchers: &'static str,
}

impl Series {
    pub(super) const fn all(metric: &'static str) -> Self {
        Self {
            metric,
            matchers: "",
        }
    }
}

/// The matchers for the time series that count: the content of a selector's braces, such as `cluster="west"`. All, by
/// default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matchers(String);

impl FromStr for Matchers {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(['=', '!']).unwrap_or_default();
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        // Prometheus validates the rest of the grammar, and rejects everything that it does not understand.
        if !is_name(name.trim()) || !value.contains('"') || text.contains(['{', '}']) {
            return Err("write matchers without braces, such as cluster=\"west\"");
        }
        Ok(Self(text.to_owned()))
    }
}

impl Matchers {
    /// The selector for those of some series that match.
    pub(super) fn select(&self, Series { metric, matchers }: Series) -> String {
        match (matchers, &*self.0) {
            ("", "") => metric.to_owned(),
            ("", matchers) | (matchers, "") => format!("{metric}{{{matchers}}}"),
            (matchers, more) => format!("{metric}{{{matchers}, {more}}}"),
        }
    }
}

/// The time series that a query gives, each with its labels and its value at the time of the query.
pub(super) type Samples = Vec<(Labels, f64)>;

/// The labels of a time series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Labels(HashMap<String, String>);

impl Labels {
    /// The value of a label. An absent one is empty.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The value of a label as exposed by the scraped program. If the target has a label with the same name, Prometheus
    /// renames that of the program ([Prometheus: `honor_labels`]).
    ///
    /// [Prometheus: `honor_labels`]: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config
    pub(super) fn of_program(&self, name: &str) -> &str {
        match self.get(&format!("exported_{name}")) {
            "" => self.get(name),
            own => own,
        }
    }

    /// Removes a label and returns its value.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// The labels in a defined order.
    pub(super) fn sorted(&self) -> Vec<(String, String)> {
        let mut labels: Vec<_> = self.0.clone().into_iter().collect();
        labels.sort();
        labels
    }
}

/// An answer of the API ([Prometheus: HTTP API]).
///
/// [Prometheus: HTTP API]: https://prometheus.io/docs/prometheus/latest/querying/api/
#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    /// What may be missing from it, and why.
    warnings: Option<Vec<String>>,
    /// The same, as reported by `VictoriaMetrics`.
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Sample>,
}

/// A histogram has no value, and no query asks for one.
#[derive(Deserialize)]
struct Sample {
    metric: Labels,
    value: (f64, String),
}

/// Prometheus does not respond properly.
#[derive(Debug)]
struct Failure {
    why: Why,
    detail: String,
}

impl Failure {
    fn new(why: Why, detail: &impl ToString) -> Self {
        let detail = detail.to_string().chars().take(300).collect();
        Self { why, detail }
    }
}

/// A client of Prometheus.
pub(super) struct Prometheus {
    client: Client,
    token: Option<TokenFile>,
    /// The last problem.
    failing: Option<Why>,
}

impl Prometheus {
    pub(super) fn new(access: Access) -> anyhow::Result<Self> {
        Ok(Self {
            token: access.token.clone(),
            ..Self::of(access.client()?)
        })
    }

    pub(super) fn of(client: Client) -> Self {
        Self {
            client,
            token: None,
            failing: None,
        }
    }

    /// The current result of a query.
    pub(super) async fn ask(&mut self, query: &str) -> Result<Samples, Why> {
        let asked = time::timeout(PATIENCE, self.answer(query)).await;
        let answered =
            asked.unwrap_or_else(|elapsed| Err(Failure::new(Why::PrometheusDown, &elapsed)));
        match answered {
            Ok(samples) => {
                if self.failing.take().is_some() {
                    info!("Prometheus answers again");
                }
                Ok(samples)
            }
            Err(Failure { why, detail }) => {
                if self.failing.replace(why) != Some(why) {
                    warn!(detail, "cannot count requests: {why}");
                }
                Err(why)
            }
        }
    }

    async fn answer(&self, query: &str) -> Result<Samples, Failure> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("timeout", &format!("{}s", PATIENCE.as_secs()))
            .finish();
        let mut request = Request::post("/api/v1/query")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(form.into_bytes().into())
            .map_err(|error| Failure::new(Why::PrometheusUnreadable, &error))?;
        if let Some(token) = &self.token {
            let bearer = token.bearer().await;
            let bearer =
                bearer.map_err(|why| Failure::new(Why::PrometheusRefuses, &format!("{why:#}")))?;
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        let response = self.client.send(request).await;
        let response = response.map_err(|error| Failure::new(Why::PrometheusDown, &error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        let body = body.map_err(|error| Failure::new(Why::PrometheusDown, &error))?;
        let answer = serde_json::from_slice::<Answer>(&body.to_bytes());
        // Errors of Prometheus have other statuses than 200, and so do those of a proxy in front of it.
        if !status.is_success() {
            let detail = answer.map_or_else(|_| String::new(), |answer| answer.error);
            return Err(Failure::new(
                Why::PrometheusRefuses,
                &format!("{status} {detail}"),
            ));
        }
        let unreadable = |detail: &str| Failure::new(Why::PrometheusUnreadable, &detail);
        let answer = answer.map_err(|error| unreadable(&error.to_string()))?;
        if answer.status != "success" {
            return Err(Failure::new(Why::PrometheusRefuses, &answer.error));
        }
        let mut warnings = answer.warnings.unwrap_or_default();
        // Thanos, and Prometheus before 2.54, report such information about the query as warnings.
        warnings.retain(|warning| !warning.starts_with("PromQL info:"));
        if answer.is_partial || !warnings.is_empty() {
            return Err(unreadable(&format!(
                "the answer is not complete: {}",
                warnings.join("; ")
            )));
        }
        let samples = answer
            .data
            .ok_or_else(|| unreadable("there is no data"))?
            .result;
        let sample = |Sample {
                          metric,
                          value: (_, value),
                      }| match value.parse() {
            Ok(value) => Ok((metric, value)),
            Err(_) => Err(unreadable(&format!("{value} is no number"))),
        };
        samples.into_iter().map(sample).collect()
    }
}
