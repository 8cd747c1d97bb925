//! The rules of an app: among the settings of its routes, Services, workloads and Namespace, those nearest to its
//! visitors apply.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use unidler::sleep::{
    decide::{Asleep, Awake, Decision, IdleAfter, Rules, State, Stay},
    schedule::Hours,
};

use super::settings::IdlerSettings;
use crate::{
    caches::Caches,
    found::Found,
    objects::{
        activity_url::ActivityUrl,
        sleep_rules::{ACTIVITY, Contradiction, Level, SleepRules, level, nearest},
    },
};

/// The settings of an app's operators.
#[derive(Default)]
pub(super) struct AppRules {
    /// `None` if nothing permits putting it to sleep.
    pub(super) rules: Option<Rules>,
    /// Where the app reports when it was last used.
    pub(super) activity: Option<ActivityUrl>,
    /// The setting that cannot be parsed or is contradictory, because of which it stays awake.
    pub(super) obstacle: Option<String>,
}

/// The settings of the app's objects, starting with those nearest to its visitors.
struct Levels<'a> {
    routes: Level<'a>,
    services: Level<'a>,
    workloads: Level<'a>,
    namespace: Level<'a>,
}

impl AppRules {
    /// The time without use after which it sleeps, if it does.
    pub(super) fn window(&self) -> Option<Duration> {
        match self.rules.as_ref()?.idle_after? {
            IdleAfter::Unused(window) => Some(window),
            IdleAfter::Never => None,
        }
    }

    /// Whether anything may ever put it to sleep.
    pub(super) fn may_sleep(&self) -> bool {
        let rules = self.rules.as_ref();
        rules.is_some_and(|rules| self.obstacle.is_none() && rules.sleep().is_some())
    }

    /// The rules of the app that consists of some Services of a namespace: what is said of one of them permits nothing for
    /// the others, unless they are in front of the same workloads.
    pub(super) fn of(
        namespace: &str,
        names: &BTreeSet<String>,
        caches: &Caches,
        settings: &IdlerSettings,
    ) -> Self {
        let mut left = names.clone();
        // A route may name Services that do not exist.
        left.retain(|name| caches.services.named(namespace, name).is_some());
        let mut all = Vec::new();
        while let Some(name) = left.pop_first() {
            let mut same = BTreeSet::from([name]);
            if !left.is_empty() {
                same = caches.with_siblings(namespace, &same);
                left.retain(|name| !same.contains(name));
            }
            all.push(Self::of_same(namespace, &same, caches, settings));
        }
        all.into_iter().reduce(Self::and).unwrap_or_default()
    }

    /// The rules for what falls asleep together with something else.
    fn and(self, other: Self) -> Self {
        // What may not sleep has no rules, but its hours wake it if it does.
        let (rules, others) = match (self.rules, other.rules) {
            (None, None) => return Self::default(),
            (rules, others) => (rules.unwrap_or_default(), others.unwrap_or_default()),
        };
        let mut obstacle = self.obstacle.or(other.obstacle);
        if self.activity.is_some() || other.activity.is_some() {
            let several = || format!("{ACTIVITY} says nothing of the other Services of its host");
            obstacle.get_or_insert_with(several);
        }
        let idle_after = match (rules.idle_after, others.idle_after) {
            (Some(IdleAfter::Never), _) | (_, Some(IdleAfter::Never)) => Some(IdleAfter::Never),
            (Some(IdleAfter::Unused(one)), Some(IdleAfter::Unused(other))) => {
                Some(IdleAfter::Unused(one.max(other)))
            }
            // At most its hours put one of them to sleep.
            (None, _) | (_, None) => None,
        };
        let hours = match (rules.hours, others.hours) {
            (Some(one), Some(other)) if one.schedule != other.schedule => {
                obstacle.get_or_insert_with(|| contradiction("unidler/awake"));
                Some(one)
            }
            (Some(one), Some(other)) if one.asleep == other.asleep => Some(one),
            (Some(Awake { schedule, .. }), _) | (None, Some(Awake { schedule, .. })) => {
                Some(Awake {
                    schedule,
                    asleep: Asleep::ByActivity,
                })
            }
            (None, None) => None,
        };
        Self {
            rules: Some(Rules {
                idle_after,
                hours,
                keep_awake_until: rules.keep_awake_until.max(others.keep_awake_until),
            }),
            activity: None,
            obstacle,
        }
    }

    /// The rules for Services in front of the same workloads.
    fn of_same(
        namespace: &str,
        names: &BTreeSet<String>,
        caches: &Caches,
        settings: &IdlerSettings,
    ) -> Self {
        let of_namespace = caches.namespaces.as_ref();
        let Some(of_namespace) = of_namespace.and_then(|all| all.named("", namespace)) else {
            // The app may be about to be deleted.
            return Self::default();
        };
        let routes = names
            .iter()
            .flat_map(|name| caches.routes_to(namespace, name));
        // A grant to route does not permit putting the app to sleep.
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
        let levels = Levels {
            routes: level(routes.iter().map(|route| &route.value.sleep)),
            services: level(services.iter().map(|service| &service.value.sleep)),
            workloads: level(workloads.iter().map(|each: &Arc<_>| &each.value.sleep)),
            namespace: level([&of_namespace.value.sleep].into_iter()),
        };
        match levels.may_sleep(settings.all) {
            Ok(true) => {
                let mut obstacle = None;
                let rules = levels.rules(settings, &mut obstacle);
                let activity =
                    levels.value(ACTIVITY, &mut obstacle, |rules| rules.activity.clone());
                Self {
                    rules: Some(rules),
                    activity,
                    obstacle,
                }
            }
            Ok(false) => Self::default(),
            Err(Contradiction) => Self {
                rules: Some(Rules::default()),
                activity: None,
                obstacle: Some(contradiction("unidler/app")),
            },
        }
    }
}

fn contradiction(name: &str) -> String {
    format!("conflicting values of {name}")
}

impl Levels<'_> {
    fn all(&self) -> [&Level<'_>; 4] {
        let Self {
            routes,
            services,
            workloads,
            namespace,
        } = self;
        [routes, services, workloads, namespace]
    }

    /// Whether the app may be put to sleep: `all` if no setting decides. Nothing overrides the refusal of a Namespace, a
    /// Service or a workload.
    fn may_sleep(&self, all: bool) -> Result<bool, Contradiction> {
        let label = |rules: &SleepRules| rules.is_app;
        let of_namespace = nearest([&self.namespace], label).transpose()?;
        let behind = self.services.iter().chain(&self.workloads);
        if of_namespace == Some(false) || behind.filter_map(|rules| label(rules)).any(|may| !may) {
            return Ok(false);
        }
        let of_routes = nearest([&self.routes], label).transpose()?;
        let says_when = || {
            self.all()
                .into_iter()
                .flatten()
                .any(|rules| rules.says_when())
        };
        Ok(of_routes
            .or(of_namespace)
            .unwrap_or_else(|| all || says_when()))
    }

    /// `obstacle` is set to the first problem.
    fn rules(&self, settings: &IdlerSettings, obstacle: &mut Option<String>) -> Rules {
        let is_excluded = || {
            let mut all = self.all().into_iter().flatten();
            all.any(|rules| rules.downscaler.is_excluded)
        };
        let idle_after = self
            .value("unidler/idle-after", obstacle, |rules| {
                rules.idle_after.clone()
            })
            .or_else(|| is_excluded().then_some(IdleAfter::Never))
            .or(settings.idle_after.map(IdleAfter::Unused));
        let schedule = self
            .value("unidler/awake", obstacle, |rules| rules.awake.clone())
            .or_else(|| {
                self.value("downscaler/uptime", obstacle, |rules| {
                    rules.downscaler.uptime.clone()
                })
            });
        let asleep = self.value("unidler/asleep", obstacle, |rules| rules.asleep.clone());
        // These differ from host to host. One that cannot be read may be meant to keep visitors from waking the app.
        let all = self.all().into_iter().flatten();
        if let Some(why) = all.flat_map(|rules| rules.unreadable_for_visitors()).next() {
            obstacle.get_or_insert(why.clone());
        }
        Rules {
            idle_after,
            hours: schedule.map(|schedule| Awake {
                schedule,
                asleep: asleep.unwrap_or_default(),
            }),
            keep_awake_until: self.latest_exception(obstacle),
        }
    }

    /// Exceptions do not override each other: one that has expired hides no others.
    fn latest_exception(&self, obstacle: &mut Option<String>) -> Option<Timestamp> {
        let all = self.all().into_iter().flatten();
        let exceptions = all.flat_map(|rules| {
            [&rules.keep_awake_until, &rules.downscaler.exclude_until]
                .into_iter()
                .flatten()
        });
        let mut latest = None;
        for exception in exceptions {
            match exception {
                Ok(until) => latest = latest.max(Some(*until)),
                Err(why) => *obstacle = obstacle.take().or_else(|| Some(why.clone())),
            }
        }
        latest
    }

    fn value<T: PartialEq>(
        &self,
        name: &str,
        obstacle: &mut Option<String>,
        value: impl Fn(&SleepRules) -> Option<Result<T, String>>,
    ) -> Option<T> {
        let wrong = match nearest(self.all(), value)? {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(why)) => why,
            Err(Contradiction) => contradiction(name),
        };
        obstacle.get_or_insert(wrong);
        None
    }
}

/// What keeps a part of an app awake to which the app's own Services do not route, such as a database: its own
/// settings, and those of its Namespace. That others use it does not permit it to sleep.
pub(super) fn obstacle_of_parts(
    found: &Found,
    caches: &Caches,
    settings: &IdlerSettings,
    now: Timestamp,
) -> Option<String> {
    let own: Vec<_> = found
        .services
        .iter()
        .flat_map(|service| caches.selected(service))
        .map(|workload| workload.id())
        .collect();
    let mut parts = found.to_idle().into_iter();
    parts.find_map(|part| {
        if own.contains(&part.id()) {
            return None;
        }
        let namespaces = caches.namespaces.as_ref()?;
        let namespace = namespaces.named("", &part.namespace);
        let of_namespace = namespace.as_ref().map(|namespace| &namespace.value.sleep);
        let levels = Levels {
            routes: Level::new(),
            services: Level::new(),
            workloads: level([&part.value.sleep].into_iter()),
            namespace: level(of_namespace.into_iter()),
        };
        let mut obstacle = None;
        let Rules {
            idle_after,
            hours,
            keep_awake_until,
        } = levels.rules(settings, &mut obstacle);
        let is_inside = |hours: Awake| matches!(hours.schedule.at(now), Hours::Inside { .. });
        let is_elsewhere = found
            .services
            .iter()
            .all(|service| service.namespace != part.namespace);
        let label = |rules: &SleepRules| rules.is_app;
        let says = |level: &Level<'_>| level.iter().find_map(|rules| label(rules));
        let may = match (says(&levels.workloads), says(&levels.namespace)) {
            (Some(false), _) | (_, Some(false)) => false,
            (_, None) if is_elsewhere => settings.all,
            _ => true,
        };
        let stays = idle_after == Some(IdleAfter::Never)
            || keep_awake_until.is_some_and(|until| until > now)
            || hours.is_some_and(is_inside)
            || !may;
        obstacle.or_else(|| {
            stays.then(|| format!("{part} has to stay awake, as it or its Namespace says"))
        })
    })
}

/// Why an app stays awake that is a source for the decisions about others.
pub(super) fn obstacle_of_source(
    found: &Found,
    caches: &Caches,
    settings: &IdlerSettings,
) -> Option<String> {
    let (namespace, name) = settings.prometheus.as_ref()?;
    let asked = caches.services.named(namespace, name)?;
    let source: Vec<_> = caches
        .selected(&asked)
        .iter()
        .map(|each| each.id())
        .collect();
    let mut parts = found.to_idle().into_iter();
    parts
        .any(|part| source.contains(&part.id()))
        .then(|| "unidler asks it who uses other apps".to_owned())
}

/// The decision about an app that nothing permits to put to sleep.
pub(super) fn not_asked(state: &State) -> Decision {
    match state {
        State::Awake(_) => Decision::StayAwake(Stay::NoRule),
        State::Asleep { .. } => Decision::StayAsleep {
            until: None,
            obstacle: None,
        },
    }
}
