//! The rules of an app: of what its routes, Services, workloads and Namespace say, the nearest to its visitors counts.

use std::sync::Arc;

use unidler::sleep::decide::{Awake, Decision, IdleAfter, Rules, State, Stay};

use super::IdlerSettings;
use crate::{caches::Caches, idle::App, objects::sleep_rules::SleepRules};

/// What its operators want of an app.
pub(super) struct AppRules {
    /// `None` if nobody has said that it may be put to sleep.
    pub(super) rules: Option<Rules>,
    /// What of it cannot be read or is contradictory, so that it stays awake.
    pub(super) obstacle: Option<String>,
}

impl AppRules {
    pub(super) fn of(app: &App, caches: &Caches, settings: &IdlerSettings) -> Self {
        let Some((namespace, names)) = app.services() else {
            return Self {
                rules: None,
                obstacle: None,
            };
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let routes = names
            .iter()
            .flat_map(|name| caches.routes_to(namespace, name));
        // A grant to route is no grant to put to sleep.
        let routes: Vec<_> = routes
            .filter(|route| route.namespace == namespace)
            .collect();
        let services = names
            .iter()
            .filter_map(|name| caches.services.named(namespace, name));
        let services: Vec<_> = services.collect();
        let workloads: Vec<_> = services
            .iter()
            .flat_map(|service| caches.selected(service))
            .collect();
        let of_namespace = caches.namespaces.as_ref();
        let of_namespace = of_namespace.and_then(|namespaces| namespaces.named("", namespace));
        let levels = [
            rules_in(routes.iter().map(|route| route.value.sleep.as_deref())),
            rules_in(
                services
                    .iter()
                    .map(|service| service.value.sleep.as_deref()),
            ),
            rules_in(
                workloads
                    .iter()
                    .map(|workload: &Arc<_>| workload.value.sleep.as_deref()),
            ),
            rules_in(
                of_namespace
                    .iter()
                    .map(|namespace| namespace.value.sleep.as_deref()),
            ),
        ];
        let is_app = nearest(&levels, |rules| rules.is_app);
        let may_sleep = is_app.unwrap_or(Ok(settings.all));
        let mut obstacle = None;
        let mut read = Reader {
            levels: &levels,
            obstacle: &mut obstacle,
        };
        let idle_after = read.value("unidler/idle-after", |rules| rules.idle_after.clone());
        let schedule = read.value("unidler/awake", |rules| rules.awake.clone());
        let asleep = read.value("unidler/asleep", |rules| rules.asleep.clone());
        let keep_awake_until = read.value("unidler/keep-awake-until", |rules| {
            rules.keep_awake_until.clone()
        });
        let rules = Rules {
            idle_after: idle_after.or(settings.idle_after.map(IdleAfter::Unused)),
            hours: schedule.map(|schedule| Awake {
                schedule,
                asleep: asleep.unwrap_or_default(),
            }),
            keep_awake_until,
        };
        match may_sleep {
            Ok(true) => Self {
                rules: Some(rules),
                obstacle,
            },
            Ok(false) => Self {
                rules: None,
                obstacle: None,
            },
            Err(Contradiction) => Self {
                rules: Some(rules),
                obstacle: Some(contradiction("unidler/app")),
            },
        }
    }
}

/// What the objects of one level say.
type Level<'a> = Vec<&'a SleepRules>;

/// Objects of the same level say different things.
struct Contradiction;

fn contradiction(name: &str) -> String {
    format!("its objects do not agree about {name}")
}

fn rules_in<'a>(rules: impl Iterator<Item = Option<&'a SleepRules>>) -> Level<'a> {
    rules.flatten().collect()
}

/// What the first level says that says anything, if its objects agree.
fn nearest<T: PartialEq>(
    levels: &[Level<'_>],
    value: impl Fn(&SleepRules) -> Option<T>,
) -> Option<Result<T, Contradiction>> {
    levels.iter().find_map(|level| {
        let mut values = level.iter().filter_map(|rules| value(rules));
        let first = values.next()?;
        Some(if values.all(|other| other == first) {
            Ok(first)
        } else {
            Err(Contradiction)
        })
    })
}

/// Reads values, and keeps the first thing that is wrong with one.
struct Reader<'a, 'b> {
    levels: &'a [Level<'a>],
    obstacle: &'b mut Option<String>,
}

impl Reader<'_, '_> {
    fn value<T: PartialEq>(
        &mut self,
        name: &str,
        value: impl Fn(&SleepRules) -> Option<Result<T, String>>,
    ) -> Option<T> {
        let wrong = match nearest(self.levels, value)? {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(why)) => why,
            Err(Contradiction) => contradiction(name),
        };
        self.obstacle.get_or_insert(wrong);
        None
    }
}

/// What becomes of an app that nobody has said may be put to sleep.
pub(super) fn not_asked(state: &State) -> Decision {
    match state {
        State::Awake(_) => Decision::StayAwake(Stay::NoRule),
        State::Asleep { .. } => Decision::StayAsleep { until: None },
    }
}
