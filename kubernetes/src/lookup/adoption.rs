//! Which apps unidler adopts: those that something else puts to sleep, if their operators want that.
//!
//! An app is adopted as a whole, and only if it is off as a whole: if an app is partly awake, the program that started
//! it has left the other parts off.

use std::{collections::HashMap, slice, sync::Arc};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use unidler::{app::ObjectId, sleep::decide::By};

use crate::{
    adoption::Adoption,
    cache::{Cache, Cached, Contact, Kept},
    caches::{Caches, of_namespace},
    diversion::slice::{Record, Slice},
    found::Found,
    objects::{
        Namespace, Route, ScaledObject, Service, Workload,
        sleep_rules::{Adopt, SleepRules, level, nearest},
    },
};

/// The time within which a program that puts an app to sleep scales down all of its parts.
const TOGETHER: SignedDuration = SignedDuration::from_mins(10);

impl Caches {
    /// A namespace, as last observed.
    pub(super) fn home(&self, namespace: &str) -> Option<Arc<Cached<Namespace>>> {
        let namespaces = self.namespaces.as_ref();
        namespaces.and_then(|namespaces| namespaces.named("", namespace))
    }

    /// The setting of an app's routes, or else of its Namespace, whose `never` is final. A route only counts for
    /// Services in its own namespace, as for all rules.
    pub(super) fn adoption<'a>(
        &self,
        namespace: &str,
        services: impl IntoIterator<Item = &'a str>,
        routes: &[Arc<Cached<Route>>],
    ) -> Adoption {
        // The slice was deleted, for example by `unidler restore`: it is not created again at once.
        let is_released = |service| {
            let slice = Slice::name_of(service, &self.manager);
            self.slices.is_gone_lately(namespace, &slice)
        };
        // A route that cannot be read may have a setting, and a `ScaledObject` that cannot be read may matter as well.
        let is_current = self.are_connected()
            && self.unread().is_empty()
            && is_known(self.namespaces.as_ref())
            && is_known(self.scaled_objects.as_ref())
            && !routes.is_empty();
        if !self.is_server || !is_current || services.into_iter().any(is_released) {
            return Adoption::Unknown;
        }
        if self.is_protected(namespace) {
            return Adoption::Off;
        }
        let routes = routes.iter().filter(|route| route.namespace == namespace);
        let routes = level(routes.map(|route| &route.value.sleep));
        let home = self.home(namespace);
        let of_home = level(home.iter().map(|each| &each.value.sleep));
        if of_home.iter().any(|rules| is_never(rules)) {
            return Adoption::Off;
        }
        match nearest([&routes, &of_home], |rules| rules.adopt.clone()) {
            Some(Ok(Ok(Adopt::Marked))) => Adoption::Marked,
            Some(Ok(Ok(Adopt::Zero))) => Adoption::Zero,
            Some(Ok(Ok(Adopt::Never))) => Adoption::Off,
            None if home.is_some() => Adoption::Off,
            Some(Ok(Err(_)) | Err(_)) | None => Adoption::Unknown,
        }
    }

    /// Finds out whether an app is adopted, and how many replicas its workloads get.
    pub(super) fn adopt(&self, found: &mut Found) {
        // KEDA matters to a workload only as long as that is down.
        let down = found
            .parts()
            .filter(|workload| workload.value.replicas == 0);
        found.scaled_objects = down.flat_map(|workload| self.scaled_by(workload)).collect();
        // For a running app, adoption does not matter.
        if let Some(first) = found.services.first().filter(|_| found.is_off()) {
            let services = found.services.iter().map(|service| &*service.name);
            found.adoption = self.adoption(&first.namespace, services, &found.routes);
        }
        let mut own = found.workloads.iter();
        // What visitors would wait for is KEDA's to start.
        let is_kedas = |workload: &Cached<Workload>| {
            found.is_scaled_by_keda(workload) && found.is_selected(workload)
        };
        if found.adoption.is_on()
            && own.any(|workload| self.is_kept_off(workload) || is_kedas(workload))
        {
            found.adoption = Adoption::Off;
        }
        if found.adoption.is_on() {
            found.adopted = self.adopted(found);
        }
    }

    /// The replicas to restore for each adopted workload of an app that something else has put to sleep.
    fn adopted(&self, found: &Found) -> HashMap<ObjectId, u32> {
        let is_foreign = |workload: &Arc<Cached<Workload>>| {
            let Workload {
                replicas,
                taken,
                idled,
                ..
            } = &workload.value;
            *replicas == 0 && taken.is_none() && !idled
        };
        let is_ours = |slice: &Cached<Slice>| !slice.value.is_adopted();
        let mut diverting = found
            .services
            .iter()
            .filter_map(|service| found.diverting(service));
        let is_off =
            found.workloads.iter().all(is_foreign) && !diverting.any(is_ours) && self.is_reached();
        if !is_off {
            return HashMap::new();
        }
        let needs = found.group.needs.iter();
        let needs = needs.filter(|need| is_foreign(need) && !self.is_kept_off(need));
        let parts = found.workloads.iter().chain(needs);
        let parts: Vec<_> = parts
            .filter(|workload| {
                self.may_adopt(workload, found) && !found.is_scaled_by_keda(workload)
            })
            .collect();
        let latest = parts
            .iter()
            .filter_map(|part| Some(part.value.lost?.1))
            .max();
        let mark = |part: &Cached<Workload>| part.value.mark.or(found.marked_by_service(part));
        let of_keda = |part: &Cached<Workload>| Some(found.paused(part)?.1.replicas);
        let marked = |part: &Cached<Workload>| mark(part).or_else(|| of_keda(part));
        // A workload that was scaled down long before the others was switched off separately.
        let seen = |part: &Cached<Workload>| {
            let (replicas, since) = part.value.lost?;
            (latest?.duration_since(since) < TOGETHER).then_some(replicas)
        };
        let recorded = |part: &Cached<Workload>| found.recorded_last(part);
        let applied = |part: &Cached<Workload>| part.value.applied;
        type Known<'a> = &'a dyn Fn(&Cached<Workload>) -> Option<u32>;
        let known: &[Known<'_>] = match found.adoption {
            Adoption::Marked => &[&marked],
            _ => &[&mark, &seen, &recorded, &applied, &|_| Some(1)],
        };
        // The first source that knows a workload that visitors would reach: workloads that this source does not know
        // were off before.
        let knows = |known: &&Known<'_>| {
            let mut behind = parts.iter().filter(|part| found.is_selected(part));
            behind.any(|part| known(part).is_some())
        };
        let Some(known) = known.iter().find(knows) else {
            return HashMap::new();
        };
        let adopted = parts
            .iter()
            .filter_map(|part| Some((part.id(), known(part)?.max(of_keda(part).unwrap_or(0)))));
        let adopted: HashMap<_, _> = adopted.collect();
        // If a workload woke with fewer replicas than it had, the program that puts it to sleep next would record the
        // smaller number.
        match adopted
            .values()
            .all(|replicas| *replicas <= self.max_replicas)
        {
            true => adopted,
            false => HashMap::new(),
        }
    }

    /// The `ScaledObject`s of a workload.
    fn scaled_by(&self, workload: &Cached<Workload>) -> Vec<Arc<Cached<ScaledObject>>> {
        let scaled_objects = self.scaled_objects.as_ref();
        let Some(scaled_objects) = scaled_objects.filter(|cache| cache.is_synced()) else {
            return Vec::new();
        };
        let term = of_namespace(&workload.namespace, &workload.name);
        scaled_objects.get_where(&term, |each| each.scales(workload))
    }

    /// Whether visitors can be routed here at all.
    fn is_reached(&self) -> bool {
        let own = self.services.named(&self.own_namespace, &self.manager);
        own.is_some_and(|own| own.value.destination(&self.manager).is_some())
    }

    /// Whether nothing else keeps a workload at 0.
    fn may_adopt(&self, workload: &Cached<Workload>, found: &Found) -> bool {
        let Cached {
            namespace,
            name,
            value,
            ..
        } = workload;
        let is_template =
            |other: &Cached<Workload>| other.value.template_of.as_deref() == Some(&**name);
        let all = of_namespace(namespace, "");
        let mut services = found.services.iter();
        services.all(|service| service.namespace == *namespace)
            && value.controller.is_none()
            && !value.is_taken_elsewhere
            && self
                .workloads()
                .all(|cache| cache.get_where(&all, is_template).is_empty())
    }

    /// Whether a setting of a workload, or of a route to it, keeps it off.
    fn is_kept_off(&self, workload: &Arc<Cached<Workload>>) -> bool {
        let Cached {
            namespace, value, ..
        } = &**workload;
        let says_never = |rules: &Option<Box<SleepRules>>| rules.as_deref().is_some_and(is_never);
        let services = self.services.get(&of_namespace(namespace, ""));
        let before = services
            .iter()
            .filter(|service| self.is_before(service, slice::from_ref(workload)));
        let mut routes = before.flat_map(|service| self.routes_to(namespace, &service.name));
        says_never(&value.sleep)
            || routes.any(|route| route.namespace == *namespace && says_never(&route.value.sleep))
    }

    /// Whether visitors of an app's Services would get here if it were adopted, and whether its former state could be
    /// recorded.
    pub(super) fn is_fit(found: &Found) -> bool {
        let mut services = found.services.iter();
        let fits = |service: &Arc<Cached<Service>>| {
            let record = Record::new(found.to_record(service), Timestamp::UNIX_EPOCH, By::Adopt);
            record.fits()
        };
        services.all(|service| service.value.unfit().is_none() && fits(service))
            && found.routes.iter().all(|route| route.value.unfit.is_none())
    }
}

/// Whether all readable objects of a kind are known.
fn is_known<K: Kept>(cache: Option<&Cache<K>>) -> bool {
    cache.is_none_or(|cache| cache.is_connected() || cache.is_forbidden())
}

fn is_never(rules: &SleepRules) -> bool {
    matches!(rules.adopt, Some(Ok(Adopt::Never)))
}
