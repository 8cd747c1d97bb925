//! Checks whether the ingress was scraped for the whole of a window.

use std::collections::{HashMap, HashSet};

use unidler::sleep::verdict::Why;

use super::prometheus::Labels;

/// The number of parts that a window is divided into, so that gaps are noticed.
pub(super) const PARTS: u32 = 8;

/// One value per part, the latest first.
type Parts = [f64; PARTS as usize];
/// The label that usually distinguishes series of several clusters.
const CLUSTER: &str = "cluster";
/// The minimum number of scrapes in the best part.
const ENOUGH: f64 = 2.0;
/// The minimum share of successful scrapes.
const MIN_UP: f64 = 0.9;

/// The state of the ingress pods within a window, according to Prometheus.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// For each of them, the number of scrapes in each part.
    pub(super) scrapes: HashMap<Vec<(String, String)>, Parts>,
    /// For each of them and others of the same kind, the share of successful scrapes.
    pub(super) up: Vec<f64>,
    /// The number of restarts of each.
    pub(super) restarts: Vec<f64>,
}

impl Targets {
    /// Records the number of scrapes of one in a part. `None` if there is no such part.
    pub(super) fn scraped(&mut self, target: &Labels, part: usize, times: f64) -> Option<()> {
        let parts = self.scrapes.entry(target.sorted()).or_default();
        *parts.get_mut(part)? += times;
        Some(())
    }

    /// Checks that each of them existed, and was scraped, during the whole window.
    ///
    /// A pod that has started or ended in between may have counted requests that were never scraped. So there is no
    /// verdict for the length of a window after a rollout of the ingress.
    pub(super) fn check(&self) -> Result<(), Why> {
        if self.scrapes.is_empty() {
            return Err(Why::NothingCounted);
        }
        // A Prometheus does not set such a label on its own series, but series that other instances send to it have
        // one.
        let cluster = |labels: &'_ Vec<(String, String)>| {
            let mut labels = labels.iter();
            let cluster = labels.find(|(name, _)| name == CLUSTER);
            cluster.map(|(_, cluster)| cluster.clone())
        };
        let clusters: HashSet<_> = self.scrapes.keys().map(cluster).collect();
        if clusters.len() > 1 {
            return Err(Why::SeveralClusters);
        }
        let best = best(self.scrapes.values().flatten().copied());
        if best > 0.0 && best < ENOUGH {
            return Err(Why::RarelyScraped);
        }
        if self.up.is_empty() || !self.up.iter().all(|share| *share >= MIN_UP) {
            return Err(Why::PrometheusGaps);
        }
        let mut incomplete = self.scrapes.values().filter(|parts| !is_complete(parts));
        let is_restarted = !self.restarts.iter().all(|times| *times == 0.0);
        if incomplete.clone().any(|parts| !began_or_ended(parts)) || !self.was_always_there() {
            Err(Why::PrometheusGaps)
        } else if is_restarted || incomplete.next().is_some() {
            Err(Why::IngressRestarted)
        } else {
            Ok(())
        }
    }

    /// Whether at any time one of them was scraped.
    fn was_always_there(&self) -> bool {
        let mut all = Parts::default();
        for (part, times) in self
            .scrapes
            .values()
            .flat_map(|parts| parts.iter().enumerate())
        {
            all[part] += times;
        }
        let enough = enough(self.scrapes.values().flatten().copied());
        all.iter().all(|times| *times >= enough)
    }
}

/// Whether all parts have as many scrapes as the best one, with a tolerance of one or a tenth. The scrape interval is
/// not known.
fn is_complete(parts: &Parts) -> bool {
    let enough = enough(parts.iter().copied());
    // NaN does not pass this comparison.
    parts.iter().all(|times| *times >= enough)
}

/// Whether what is missing is that a pod began or ended within the window, as in a rollout: it was scraped in all parts
/// between, and perhaps for a while in the parts in which it began and ended.
fn began_or_ended(parts: &Parts) -> bool {
    let is_there = |times: &f64| *times > 0.0;
    let (Some(latest), Some(oldest)) = (
        parts.iter().position(is_there),
        parts.iter().rposition(is_there),
    ) else {
        return false;
    };
    let enough = enough(parts.iter().copied());
    let mut between = parts[latest..oldest].iter();
    if latest > 0 {
        between.next();
    }
    between.all(|times| *times >= enough)
}

/// The number of scrapes in the best part.
fn best(parts: impl Iterator<Item = f64>) -> f64 {
    parts.fold(0.0, f64::max)
}

/// How many scrapes a part has to have, compared with the best one. If that has too few, nothing is enough.
fn enough(parts: impl Iterator<Item = f64>) -> f64 {
    let best = best(parts);
    match best >= ENOUGH {
        true => best - f64::max(1.0, best / 10.0),
        false => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(scrapes: &[Parts], up: &[f64], restarts: &[f64]) -> Targets {
        let scrapes = scrapes.iter().enumerate().map(|(index, parts)| {
            let target = vec![("instance".to_owned(), index.to_string())];
            (target, *parts)
        });
        Targets {
            scrapes: scrapes.collect(),
            up: up.to_vec(),
            restarts: restarts.to_vec(),
        }
    }

    #[test]
    fn what_was_counted_in_another_cluster_says_nothing() {
        let of = |clusters: [Option<&str>; 2]| {
            let scrapes = clusters.into_iter().enumerate().map(|(index, cluster)| {
                let instance = Some(["a", "b"][index]);
                let labels = [("cluster", cluster), ("instance", instance)];
                let target = labels
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
                (target.collect(), [60.0; PARTS as usize])
            });
            let targets = Targets {
                scrapes: scrapes.collect(),
                up: vec![1.0],
                restarts: vec![],
            };
            targets.check()
        };
        assert_eq!(of([Some("west"), Some("west")]), Ok(()));
        assert_eq!(of([None, None]), Ok(()));
        assert_eq!(of([Some("west"), Some("east")]), Err(Why::SeveralClusters));
        assert_eq!(of([None, Some("east")]), Err(Why::SeveralClusters));
    }

    #[test]
    fn only_an_ingress_that_was_watched_all_the_time_is() {
        let full = [60.0; PARTS as usize];
        let with = |part: usize, times: f64| {
            let mut parts = full;
            parts[part] = times;
            parts
        };
        let (gaps, restarted) = (Err(Why::PrometheusGaps), Err(Why::IngressRestarted));
        for (what, targets, expected) in [
            ("one", targets(&[full], &[1.0], &[0.0]), Ok(())),
            (
                "three",
                targets(&[full; 3], &[1.0, 0.95, 1.0], &[0.0; 3]),
                Ok(()),
            ),
            // No process says so where there is no `/proc`.
            ("without a start", targets(&[full], &[1.0], &[]), Ok(())),
            (
                "a scrape too few",
                targets(&[with(3, 59.0)], &[1.0], &[]),
                Ok(()),
            ),
            (
                "seldom",
                targets(&[[3.0, 4.0, 4.0, 3.0, 4.0, 4.0, 4.0, 3.0]], &[1.0], &[]),
                Ok(()),
            ),
            ("none", targets(&[], &[], &[]), Err(Why::NothingCounted)),
            (
                "others alone",
                targets(&[], &[1.0], &[0.0]),
                Err(Why::NothingCounted),
            ),
            ("nothing about success", targets(&[full], &[], &[0.0]), gaps),
            ("a gap", targets(&[with(3, 50.0)], &[1.0], &[0.0]), gaps),
            (
                "gone by now",
                targets(&[with(0, 0.0)], &[1.0], &[0.0]),
                gaps,
            ),
            ("new", targets(&[with(7, 0.0)], &[1.0], &[0.0]), gaps),
            (
                "one of two is gone",
                targets(&[full, with(0, 0.0)], &[1.0; 2], &[0.0; 2]),
                restarted,
            ),
            (
                "one of three is new",
                targets(&[full, full, with(7, 0.0)], &[1.0; 3], &[0.0; 3]),
                restarted,
            ),
            (
                "one for another",
                targets(
                    &[
                        [60.0, 60.0, 60.0, 11.0, 0.0, 0.0, 0.0, 0.0],
                        [0.0, 0.0, 0.0, 50.0, 60.0, 60.0, 60.0, 60.0],
                    ],
                    &[1.0; 2],
                    &[0.0; 2],
                ),
                restarted,
            ),
            (
                "for a short while",
                targets(
                    &[full, [0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0]],
                    &[1.0],
                    &[],
                ),
                restarted,
            ),
            (
                "new, with a gap",
                targets(
                    &[full, [60.0, 60.0, 30.0, 60.0, 60.0, 0.0, 0.0, 0.0]],
                    &[1.0],
                    &[],
                ),
                gaps,
            ),
            ("less by now", targets(&[with(0, 20.0)], &[1.0], &[]), gaps),
            (
                "never scraped",
                targets(&[[0.0; PARTS as usize]], &[1.0], &[]),
                gaps,
            ),
            (
                "one of three is down",
                targets(&[full; 3], &[1.0, 0.5, 1.0], &[0.0; 3]),
                gaps,
            ),
            (
                "one never answers",
                targets(&[full], &[1.0, 0.0], &[0.0]),
                gaps,
            ),
            (
                "hardly ever",
                targets(&[[1.0; PARTS as usize]], &[1.0], &[0.0]),
                Err(Why::RarelyScraped),
            ),
            (
                "a restart",
                targets(&[full], &[1.0], &[1.0]),
                Err(Why::IngressRestarted),
            ),
            (
                "no number of scrapes",
                targets(&[with(2, f64::NAN)], &[1.0], &[0.0]),
                gaps,
            ),
            (
                "no number of successes",
                targets(&[full], &[f64::NAN], &[0.0]),
                gaps,
            ),
            (
                "no number of restarts",
                targets(&[full], &[1.0], &[f64::NAN]),
                Err(Why::IngressRestarted),
            ),
        ] {
            assert_eq!(targets.check(), expected, "{what}");
        }
    }
}
