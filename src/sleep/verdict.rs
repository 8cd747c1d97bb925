//! What sources report about the use of one app within a window, and what follows from all of them together.
//!
//! Any source that saw the app used wins, whatever the others report. Otherwise, one source that covered the whole
//! window and saw nothing is enough. If every source is silent, the use is [unknown](Use::Unknown), and the app stays
//! awake.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::age::Age;

/// A source of information about an app's use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The requests that its ingress counts.
    Requests,
    /// The app's own report at its activity URL.
    Activity,
    /// How busy its pods are.
    Cpu,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Activity => "activity",
            Self::Cpu => "CPU",
        })
    }
}

/// What a source reports about an app for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The app was used within the window.
    Used {
        /// The age of the last use, if the source knows it.
        ago: Option<Duration>,
    },
    /// The source looked at the whole window, and the app was not used.
    Unused,
    /// The source cannot say.
    Silent(Why),
}

impl Verdict {
    /// The verdict of a source that knows when the app was last used.
    ///
    /// A time in the future comes from a clock that differs from ours. It counts as use of unknown age.
    #[must_use]
    pub fn of_last_use(last: Timestamp, now: Timestamp, window: Duration) -> Self {
        match Duration::try_from(now.duration_since(last)) {
            Ok(ago) if ago >= window => Self::Unused,
            Ok(ago) => Self::Used { ago: Some(ago) },
            Err(_) => Self::Used { ago: None },
        }
    }
}

/// The report of a source that can keep an app awake, but never put it to sleep: an app without load may well be in
/// use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Veto {
    /// The app was used within the window.
    Used {
        /// The age of the last use, if the source knows it.
        ago: Option<Duration>,
    },
    /// The source cannot say.
    Silent(Why),
}

impl From<Veto> for Verdict {
    fn from(veto: Veto) -> Self {
        match veto {
            Veto::Used { ago } => Self::Used { ago },
            Veto::Silent(why) => Self::Silent(why),
        }
    }
}

/// The answer of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of [`Source::Requests`].
    Requests(Verdict),
    /// Of [`Source::Activity`].
    Activity(Verdict),
    /// Of [`Source::Cpu`].
    Cpu(Veto),
}

impl Answer {
    fn split(self) -> (Source, Verdict) {
        match self {
            Self::Requests(verdict) => (Source::Requests, verdict),
            Self::Activity(verdict) => (Source::Activity, verdict),
            Self::Cpu(veto) => (Source::Cpu, veto.into()),
        }
    }
}

/// Why a source does not report on an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// No answer from Prometheus.
    PrometheusDown,
    /// Prometheus answered with an error.
    PrometheusRefuses,
    /// The response of Prometheus does not match the query, or has no number in it.
    PrometheusUnreadable,
    /// The ingress was not scraped for a part of the window.
    PrometheusGaps,
    /// The ingress was scraped too rarely for a window of this length.
    RarelyScraped,
    /// Nothing has shown yet that the requests of this app are counted.
    NeverCounted,
    /// Its requests were counted before, but none since its ingress began to serve it anew, and another ingress may be
    /// serving it now.
    NotCountedSince,
    /// Its ingress does not count all of its requests.
    PartlyCounted,
    /// Its routes are of several classes, and perhaps not all of their controllers are counted.
    SeveralClasses,
    /// Something counts that sees no visitors, such as the sidecars of other apps.
    OthersCounted,
    /// Another Service is counted under the same name.
    SharedName,
    /// The ingresses of several clusters are counted.
    SeveralClusters,
    /// The ingress was restarted within the window.
    IngressRestarted,
    /// No request was counted for any app recently, which is also how a broken query looks.
    NothingCounted,
    /// Its visitors hold connections that are counted once, when they begin or end.
    OpenConnections,
    /// No endpoint of the app answered at its activity URL.
    ActivityDown,
    /// The activity URL responded with a status other than 200.
    ActivityStatus(u16),
    /// The response of the activity URL has no time.
    ActivityUnreadable,
    /// There are no CPU metrics of the app.
    NoCpuMetrics,
    /// Its containers have no CPU requests to compare with.
    NoCpuRequests,
    /// The app is not busy, which does not mean that it is not used.
    NotBusy,
}

impl Why {
    /// Whether nothing can be known of any app, rather than of this one.
    fn is_of_source(self) -> bool {
        match self {
            Self::PrometheusDown
            | Self::PrometheusRefuses
            | Self::PrometheusUnreadable
            | Self::PrometheusGaps
            | Self::OthersCounted
            | Self::SeveralClusters => true,
            // Also where nobody visits any app for a while.
            Self::NothingCounted
            | Self::RarelyScraped
            | Self::NeverCounted
            | Self::NotCountedSince
            | Self::PartlyCounted
            | Self::SeveralClasses
            | Self::SharedName
            | Self::IngressRestarted
            | Self::OpenConnections
            | Self::ActivityDown
            | Self::ActivityStatus(_)
            | Self::ActivityUnreadable
            | Self::NoCpuMetrics
            | Self::NoCpuRequests
            | Self::NotBusy => false,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrometheusDown => "Prometheus does not answer",
            Self::PrometheusRefuses => "Prometheus refuses the query",
            Self::PrometheusUnreadable => "unexpected answer from Prometheus",
            Self::PrometheusGaps => "Prometheus has gaps",
            Self::RarelyScraped => {
                "this time without use is too short for Prometheus's scrape interval: set at least 16 times that interval"
            }
            Self::NeverCounted => "no request was ever counted",
            Self::NotCountedSince => {
                "no request was counted since its ingress last began to serve it"
            }
            Self::PartlyCounted => "not all of its requests are counted",
            Self::SeveralClasses => {
                "its routes have several classes, and perhaps not all of them are counted"
            }
            Self::OthersCounted => {
                "not only gateways count its requests: choose the gateways with --prometheus-match"
            }
            Self::SharedName => "another Service is counted under the same name",
            Self::SeveralClusters => {
                "Prometheus has series of several clusters: choose this one with --prometheus-match"
            }
            Self::IngressRestarted => "its ingress was restarted",
            Self::NothingCounted => "no request of any app was counted lately",
            Self::OpenConnections => "its connections stay open",
            Self::ActivityDown => "its activity URL does not answer",
            Self::ActivityStatus(status) => {
                return write!(f, "its activity URL answers with status {status}");
            }
            Self::ActivityUnreadable => "its activity URL does not answer with a time",
            Self::NoCpuMetrics => "it has no CPU metrics",
            Self::NoCpuRequests => "its containers request no CPU",
            Self::NotBusy => "it is not busy, but may be in use",
        })
    }
}

/// The combined verdict of all sources about an app for a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// The app was used.
    Used(LastUse),
    /// The app was not used.
    Unused,
    /// Every source is silent.
    Unknown(Silence),
}

/// When an app was last used, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// The maximum age of that use, if a source knows it.
    pub ago: Option<Duration>,
    /// The source that saw it.
    pub by: Source,
}

/// Why each source is silent, in the order in which they were asked. Empty if there are no sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silence(pub Vec<(Source, Why)>);

impl Silence {
    /// Whether a source knows nothing of any app, because something is wrong with it.
    #[must_use]
    pub fn is_of_source(&self) -> bool {
        self.0.iter().any(|(_, why)| why.is_of_source())
    }
}

impl Use {
    /// Combines the reports of all sources.
    #[must_use]
    pub fn of(answers: impl IntoIterator<Item = Answer>) -> Self {
        answers.into_iter().map(Answer::split).fold(
            Self::Unknown(Silence::default()),
            |so_far, (by, verdict)| match (so_far, verdict) {
                (Self::Used(last), Verdict::Used { ago }) => {
                    Self::Used(last.younger(LastUse { ago, by }))
                }
                (_, Verdict::Used { ago }) => Self::Used(LastUse { ago, by }),
                (Self::Unknown(_), Verdict::Unused) => Self::Unused,
                (Self::Unknown(mut silence), Verdict::Silent(why)) => {
                    silence.0.push((by, why));
                    Self::Unknown(silence)
                }
                (known, Verdict::Unused | Verdict::Silent(_)) => known,
            },
        )
    }
}

impl LastUse {
    /// The more recent of two. A known age is preferred to an unknown one.
    fn younger(self, other: Self) -> Self {
        match (self.ago, other.ago) {
            (Some(ago), Some(of_other)) if of_other < ago => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }
}

impl fmt::Display for LastUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ago {
            Some(ago) => write!(f, "used {} ago: {}", Age(ago), self.by),
            None => write!(f, "used lately: {}", self.by),
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no source says anything")?;
        for (index, (source, why)) in self.0.iter().enumerate() {
            let sign = if index == 0 { ": " } else { "; " };
            write!(f, "{sign}{why} ({source})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_hours(2);

    fn minutes(ago: u64) -> Verdict {
        Verdict::Used {
            ago: Some(Duration::from_mins(ago)),
        }
    }

    fn words(known: &Use) -> String {
        match known {
            Use::Used(last) => last.to_string(),
            Use::Unused => "not used".to_owned(),
            Use::Unknown(silence) => silence.to_string(),
        }
    }

    #[test]
    fn use_that_any_source_saw_wins_and_the_youngest_is_named() {
        use Answer::{Activity, Cpu, Requests};
        use Verdict::{Silent, Unused};
        let lately = Verdict::Used { ago: None };
        let busy = Veto::Used {
            ago: Some(Duration::ZERO),
        };
        let quiet = Veto::Silent(Why::NotBusy);
        let gaps = Silent(Why::PrometheusGaps);
        let down = Silent(Why::ActivityDown);
        let table: &[(&[Answer], &str)] = &[
            (&[], "no source says anything"),
            (&[Requests(minutes(14))], "used 14 min ago: requests"),
            (&[Requests(lately)], "used lately: requests"),
            (&[Requests(Unused)], "not used"),
            (
                &[Requests(gaps)],
                "no source says anything: Prometheus has gaps (requests)",
            ),
            (
                &[Requests(minutes(14)), Activity(minutes(3))],
                "used 3 min ago: activity",
            ),
            (
                &[Requests(minutes(3)), Activity(minutes(14))],
                "used 3 min ago: requests",
            ),
            (
                &[Requests(lately), Activity(minutes(14))],
                "used 14 min ago: activity",
            ),
            (
                &[Requests(minutes(14)), Activity(lately)],
                "used 14 min ago: requests",
            ),
            (
                &[Requests(Unused), Activity(lately)],
                "used lately: activity",
            ),
            (
                &[Requests(lately), Activity(Unused)],
                "used lately: requests",
            ),
            (&[Requests(gaps), Activity(lately)], "used lately: activity"),
            (&[Requests(lately), Activity(down)], "used lately: requests"),
            (&[Requests(Unused), Activity(down)], "not used"),
            (&[Requests(gaps), Activity(Unused)], "not used"),
            (
                &[Requests(gaps), Activity(down), Cpu(quiet)],
                "no source says anything: Prometheus has gaps (requests); its activity URL does not answer (activity); \
                 it is not busy, but may be in use (CPU)",
            ),
            (&[Requests(Unused), Cpu(busy)], "used 0 s ago: CPU"),
            (&[Requests(Unused), Cpu(quiet)], "not used"),
            (
                &[Cpu(quiet)],
                "no source says anything: it is not busy, but may be in use (CPU)",
            ),
        ];
        for (answers, expected) in table {
            let both_ways = [
                Use::of(answers.iter().copied()),
                Use::of(answers.iter().rev().copied()),
            ];
            assert_eq!(words(&both_ways[0]), *expected, "{answers:?}");
            // Which source is asked first changes nothing but the order of the reasons.
            if !matches!(both_ways[0], Use::Unknown(_)) {
                assert_eq!(both_ways[0], both_ways[1], "{answers:?}");
            }
        }
    }

    #[test]
    fn a_last_use_counts_as_old_only_once_the_whole_window_has_passed() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().expect("a time");
        for (last, expected) in [
            ("2026-11-29T11:46:00Z", minutes(14)),
            ("2026-11-29T12:00:00Z", minutes(0)),
            (
                "2026-11-29T10:00:01Z",
                Verdict::Used {
                    ago: Some(WINDOW - Duration::from_secs(1)),
                },
            ),
            ("2026-11-29T10:00:00Z", Verdict::Unused),
            ("1970-01-01T00:00:00Z", Verdict::Unused),
            // A clock ahead of ours, by a little and by far.
            ("2026-11-29T12:00:01Z", Verdict::Used { ago: None }),
            ("9999-01-01T00:00:00Z", Verdict::Used { ago: None }),
        ] {
            let last = last.parse().expect("a time");
            assert_eq!(Verdict::of_last_use(last, now, WINDOW), expected, "{last}");
        }
    }
}
