//! The objects of an app.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::{api::core::v1::ServicePort, jiff::Timestamp};
use unidler::{
    app::{AppId, Bonds, ObjectId, Version},
    cluster::{Ended, Way, Write},
    host::Host,
    probe::Probes,
    sleep::brake::{Cause, Undone},
    start::Start,
};

use crate::{
    adoption::Adoption,
    cache::Cached,
    diversion::slice::{Recorded, Slice},
    group::{Group, Holder},
    objects::{
        Backend, Namespace, Pause, PointsAt, Route, ScaledObject, Scaling, Service,
        ServiceWhenUnidled, Uncertain, Workload, sleep_rules::SleepRules,
    },
    reachable::{self, Reachable},
};

/// The objects of an app. Its Services and workloads are all in one namespace; its routes and the workloads that it
/// needs may be in others.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its name. It does not change when the objects do, and identifies them in the log.
    pub(crate) id: AppId,
    /// The routes that point to its Services.
    pub(crate) routes: Vec<Arc<Cached<Route>>>,
    /// The Services that its routes point to.
    pub(crate) services: Vec<Arc<Cached<Service>>>,
    /// The workloads behind them, with their workers.
    pub(crate) workloads: Vec<Arc<Cached<Workload>>>,
    /// The workloads that those need.
    pub(crate) group: Group,
    /// The slices of unidler's own for its Services, and other slices that record the replicas or the needs of its
    /// workloads.
    pub(crate) slices: Vec<Arc<Cached<Slice>>>,
    /// The namespace of its Services, if unidler may read it.
    pub(crate) home: Option<Arc<Cached<Namespace>>>,
    /// Whether it is adopted if something else puts it to sleep.
    pub(crate) adoption: Adoption,
    /// The replicas to restore for each adopted workload.
    pub(crate) adopted: HashMap<ObjectId, u32>,
    /// The `ScaledObject`s of its workloads.
    pub(crate) scaled_objects: Vec<Arc<Cached<ScaledObject>>>,
}

impl Found {
    /// The Service with this identifier.
    pub(crate) fn service(&self, id: &ObjectId) -> Option<&Cached<Service>> {
        let mut services = self.services.iter();
        services
            .find(|service| service.id() == *id)
            .map(|service| &**service)
    }

    /// The workload with this identifier.
    pub(crate) fn workload(&self, id: &ObjectId) -> Option<&Cached<Workload>> {
        let mut parts = self.parts();
        parts
            .find(|workload| workload.id() == *id)
            .map(|workload| &**workload)
    }

    /// Its workloads, followed by those that they need.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Arc<Cached<Workload>>> {
        self.workloads.iter().chain(&self.group.needs)
    }

    /// Whether a workload is idled.
    pub(crate) fn is_idled(&self) -> bool {
        let mut workloads = self.workloads.iter();
        workloads.any(|workload| workload.value.idled || self.recorded(workload).is_some())
    }

    /// Whether a Service points to unidler.
    pub(crate) fn is_here(&self) -> bool {
        let mut services = self.services.iter();
        services.any(|service| self.leads_here(service))
    }

    /// Whether one of its Services routes to unidler, in either way.
    pub(crate) fn leads_here(&self, service: &Cached<Service>) -> bool {
        service.value.points_at == PointsAt::Unidler || self.diverting(service).is_some()
    }

    /// Whether the app sleeps, or slept, by an `ExternalName`.
    pub(crate) fn is_of_2020(&self) -> bool {
        let mut services = self.services.iter();
        services.any(|service| service.value.points_at == PointsAt::Unidler)
            || self.workloads.iter().any(|workload| workload.value.idled)
    }

    /// The slice of unidler's own for a Service.
    pub(crate) fn slice(&self, service: &Cached<Service>) -> Option<&Cached<Slice>> {
        let mut slices = self.slices.iter();
        let own = slices.find(|slice| {
            slice.namespace == service.namespace && *slice.value.service == *service.name
        });
        own.map(|slice| &**slice)
    }

    /// The same, if it diverts the visitors of the Service. It has no effect on an `ExternalName`.
    pub(crate) fn diverting(&self, service: &Cached<Service>) -> Option<&Cached<Slice>> {
        self.slice(service)
            .filter(|slice| service.value.points_at == PointsAt::Pods && slice.value.diverts())
    }

    /// Whether any endpoints of a Service cannot be those of a running app.
    pub(crate) fn is_down(&self, service: &Cached<Service>) -> bool {
        match service.value.points_at {
            PointsAt::Unidler => true,
            PointsAt::Pods => self.diverting(service).is_some() && self.is_off(),
            PointsAt::Elsewhere => false,
        }
    }

    /// Whether all of its workloads have no replicas.
    pub(crate) fn is_off(&self) -> bool {
        let mut workloads = self.workloads.iter();
        workloads.all(|workload| workload.value.replicas == 0)
    }

    /// The undone idling that a write has to record, if the write ends one.
    pub(crate) fn undone_by(&self, write: &Write, now: Timestamp) -> Option<Undone> {
        let Write::Restore { service, ended, .. } = write else {
            return None;
        };
        let slice = self.slice(self.service(service)?)?;
        self.undone(&slice.value, *ended, now)
    }

    /// What interrupted the sleep of the app, if something did and a slice ends like this now.
    ///
    /// The unidler that woke the app need not have seen everything: another one may have done a part. So the objects
    /// show what restored the replicas.
    fn undone(&self, slice: &Slice, ended: Ended, now: Timestamp) -> Option<Undone> {
        // An idling that unidler did not do cannot be undone.
        if slice.is_adopted() {
            return None;
        }
        let returned = self.returned(slice);
        let cause = match ended {
            Ended::Woken { .. } => return None,
            Ended::Undone | Ended::Failed if !returned.is_empty() => {
                let other = returned.iter().find(|workload| !workload.is_woken)?;
                Cause::Returned(other.scaled_by.clone().map(String::from))
            }
            Ended::Undone => return None,
            Ended::Failed => Cause::Refused,
        };
        slice.record.as_ref()?.undone(cause, now)
    }

    /// The recorded workloads of a slice that have lost their replicas since and got them back: each of the two changes
    /// increases the generation. For custom resources, the generation may change for other reasons.
    fn returned(&self, slice: &Slice) -> Vec<&Workload> {
        let returned = slice.recorded().iter().filter_map(|recorded| {
            let mut workloads = self.workloads.iter();
            let workload = &workloads.find(|each| recorded.workload.is_of(each))?.value;
            let is_scaled_twice = workload.generation >= recorded.generation + 2;
            (workload.replicas > 0 && is_scaled_twice).then_some(workload)
        });
        returned.collect()
    }

    /// The former state of a workload, if a slice that diverts visitors has recorded it.
    pub(crate) fn recorded(&self, workload: &Cached<Workload>) -> Option<&Recorded> {
        let diverting = self
            .services
            .iter()
            .filter_map(|service| self.diverting(service));
        // Permission to write slices in one namespace must not allow scaling in another.
        let diverting = diverting.filter(|slice| slice.namespace == workload.namespace);
        let records = diverting.filter_map(|slice| slice.value.record.as_deref());
        let mut workloads = records.flat_map(|record| &record.workloads);
        workloads.find(|recorded| recorded.workload.is_of(workload))
    }

    /// How many replicas a workload had until unidler scaled it to zero: as recorded in any slice, otherwise as
    /// this process has seen it, otherwise as far as the workload itself shows it.
    pub(crate) fn taken(&self, workload: &Cached<Workload>) -> Option<u32> {
        let own = workload.value.taken?;
        let seen = || workload.value.lost.map(|(replicas, _)| replicas);
        Some(self.recorded_last(workload).or_else(seen).unwrap_or(own))
    }

    /// How many replicas a workload had when it was last put to sleep, as recorded in any slice.
    pub(crate) fn recorded_last(&self, workload: &Cached<Workload>) -> Option<u32> {
        let slices = self.slices.iter();
        let slices = slices.filter(|slice| slice.namespace == workload.namespace);
        let recorded = slices.flat_map(|slice| slice.value.recorded());
        let named = recorded.filter(|recorded| recorded.workload.is_of(workload));
        named.map(|recorded| recorded.replicas).max()
    }

    /// How many replicas a workload had until something else scaled it to zero, if it is adopted.
    fn adopted(&self, workload: &Cached<Workload>) -> Option<u32> {
        self.adopted.get(&workload.id()).copied()
    }

    /// The same, as `oc idle` notes it on a Service.
    pub(crate) fn marked_by_service(&self, workload: &Cached<Workload>) -> Option<u32> {
        let mut targets = self
            .services
            .iter()
            .flat_map(|service| &service.value.marked);
        let target = targets.find(|target| {
            *target.kind == workload.value.kind.resource.kind && *target.name == workload.name
        });
        target.map(|target| target.replicas)
    }

    /// How many replicas a workload had until it was scaled to zero, by unidler or by something whose apps unidler
    /// adopts.
    fn asleep(&self, workload: &Cached<Workload>) -> Option<u32> {
        self.taken(workload).or_else(|| self.adopted(workload))
    }

    /// How many replicas to restore for a workload that unidler or another idler has put to sleep.
    pub(crate) fn replicas_to_restore(&self, workload: &Cached<Workload>, max: u32) -> Option<u32> {
        if workload.value.replicas == 0 && self.is_back_in_part() {
            return None;
        }
        let recorded = self.recorded(workload).map(|recorded| recorded.replicas);
        match recorded {
            None if workload.value.idled => Some(workload.value.replicas_to_restore(max)),
            recorded => recorded
                .or_else(|| self.asleep(workload))
                .map(|replicas| replicas.clamp(1, max)),
        }
    }

    /// The workloads whose pods a Service selects and that have replicas, or sleep.
    pub(crate) fn behind(&self, service: &Cached<Service>) -> Vec<&Cached<Workload>> {
        let workloads = self.workloads.iter().map(|workload| &**workload);
        let is_behind = |workload: &&Cached<Workload>| {
            (workload.value.replicas > 0 || self.asleep(workload).is_some())
                && workload.value.lacks(&service.value.selector).is_none()
        };
        workloads.filter(is_behind).collect()
    }

    /// Whether one of its Services selects the pods of a workload.
    pub(crate) fn is_selected(&self, workload: &Cached<Workload>) -> bool {
        let mut services = self.services.iter();
        services.any(|service| workload.value.lacks(&service.value.selector).is_none())
    }

    /// The workloads that a slice has to record: those behind the Service with their workers, and everything that they
    /// need in the same namespace.
    pub(crate) fn to_record(&self, service: &Cached<Service>) -> Box<[Recorded]> {
        let behind = self.behind(service).into_iter().map(Cached::id);
        let all = self.group.with(behind);
        let record = |workload: &Arc<Cached<Workload>>| {
            let Workload {
                replicas,
                is_uncounted,
                ..
            } = &workload.value;
            let is_to_record = workload.namespace == service.namespace
                && !is_uncounted
                && all.contains(&workload.id());
            let replicas = self.asleep(workload).unwrap_or(*replicas);
            (is_to_record && replicas > 0).then(|| Recorded::new(workload, replicas))
        };
        self.parts().filter_map(record).collect()
    }

    /// Whether the replicas of a workload will still be known after unidler has scaled it to zero: a slice that diverts
    /// visitors has recorded them; or the workload is in another namespace, and keeps the mark of unidler.
    pub(crate) fn is_remembered(&self, workload: &Cached<Workload>) -> bool {
        match self.is_elsewhere(workload) {
            true => workload.value.kind.takes_apply,
            false => self.recorded(workload).is_some(),
        }
    }

    fn is_elsewhere(&self, workload: &Cached<Workload>) -> bool {
        let mut services = self.services.iter();
        services.all(|service| service.namespace != workload.namespace)
    }

    /// The `ScaledObject` by which KEDA keeps a workload at 0, and what that keeps it from.
    pub(crate) fn paused(
        &self,
        workload: &Cached<Workload>,
    ) -> Option<(&Cached<ScaledObject>, Pause)> {
        let mut scaled_by = self.scaled_by(workload);
        scaled_by.find_map(|each| match each.value.scaling {
            Scaling::PausedAtZero(pause) => Some((each, pause)),
            Scaling::Active | Scaling::Paused => None,
        })
    }

    /// Whether KEDA scales a workload, to 0 and up again by itself.
    pub(crate) fn is_scaled_by_keda(&self, workload: &Cached<Workload>) -> bool {
        let mut scaled_by = self.scaled_by(workload);
        scaled_by.any(|each| each.value.scaling == Scaling::Active)
    }

    /// The `ScaledObject`s of a workload.
    pub(crate) fn scaled_by<'a>(
        &'a self,
        workload: &Cached<Workload>,
    ) -> impl Iterator<Item = &'a Cached<ScaledObject>> {
        let all = self.scaled_objects.iter().map(|each| &**each);
        all.filter(move |each| each.scales(workload))
    }

    /// What keeps a workload awake, apart from this app.
    pub(crate) fn holder(&self, workload: &Cached<Workload>) -> Option<&Holder> {
        let mut services = self.services.iter();
        let is_to_record = !self.is_elsewhere(workload)
            && !workload.value.is_uncounted
            && services.any(|service| self.diverting(service).is_none());
        let is_forgotten = !is_to_record && !self.is_remembered(workload);
        let holder = self.group.holder(&workload.id());
        holder.or(is_forgotten.then_some(&Holder::Nothing))
    }

    /// The engine's view of a workload's bonds.
    pub(crate) fn bonds(&self, workload: &Cached<Workload>) -> Bonds {
        Bonds {
            is_in_use: self.holder(workload).is_some(),
            is_woken_for_app: self.is_woken_for_this(workload),
            ..self.group.bonds(&workload.id())
        }
    }

    /// Whether a needed workload was woken for this app, which sleeps: unidler has scaled it down and up since the
    /// app's record was written, and nothing has scaled the app's own workloads since.
    fn is_woken_for_this(&self, need: &Cached<Workload>) -> bool {
        let is_scaled = |before: &Recorded| need.value.generation - before.generation >= 2;
        let mut asleep = self
            .workloads
            .iter()
            .filter(|own| self.recorded(own).is_some());
        self.group.woken.contains(&need.id())
            && self.recorded(need).is_some_and(is_scaled)
            && asleep.all(|own| own.value.taken.is_some())
    }

    /// Whether something that it needs is awake, but is no longer needed by anything awake.
    pub(crate) fn has_needs_to_idle(&self) -> bool {
        let is_need = |workload: &&Arc<Cached<Workload>>| {
            let mut needs = self.group.needs.iter();
            needs.any(|need| need.id() == workload.id())
        };
        self.to_idle().iter().any(is_need)
    }

    /// The workloads to scale to zero when the app is put to sleep: all except those that something awake uses.
    pub(crate) fn to_idle(&self) -> Vec<&Arc<Cached<Workload>>> {
        let held = self
            .parts()
            .filter(|workload| self.holder(workload).is_some());
        let held = self.group.with(held.map(|workload| workload.id()));
        let is_to_idle = |workload: &&Arc<Cached<Workload>>| {
            workload.value.replicas > 0 && !held.contains(&workload.id())
        };
        self.parts().filter(is_to_idle).collect()
    }

    /// Whether the app behind a Service sleeps, but its visitors are not diverted: not any more, or not yet.
    pub(crate) fn is_lost(&self, service: &Cached<Service>) -> bool {
        let behind = self.behind(service);
        service.value.points_at == PointsAt::Pods
            && self.diverting(service).is_none()
            // Something else behind it may be awake.
            && !self.group.is_unread()
            && !behind.is_empty()
            && behind.iter().all(|workload| self.asleep(workload).is_some())
    }

    /// Whether the app behind a Service was put to sleep by something else, and is to be adopted.
    pub(crate) fn is_to_adopt(&self, service: &Cached<Service>) -> bool {
        let behind = self.behind(service);
        !behind.is_empty()
            && behind
                .iter()
                .all(|workload| self.adopted(workload).is_some())
    }

    /// Whether something else has put it to sleep, and unidler only wakes it.
    pub(crate) fn is_adopted(&self) -> bool {
        let services = self.services.iter();
        let mut slices = services
            .filter_map(|service| self.diverting(service))
            .peekable();
        slices.peek().is_some() && slices.all(|slice| slice.value.is_adopted())
    }

    /// Whether it is off as a whole, and was put to sleep by something else.
    pub(crate) fn is_left_asleep(&self) -> bool {
        self.is_adopted()
            && self.is_off()
            && self.parts().all(|workload| workload.value.taken.is_none())
    }

    /// Whether it is adopted, and something else has scaled up workloads that visitors reach: those that are still off
    /// stay off. For custom kinds it is unknown what has scaled them.
    fn is_back_in_part(&self) -> bool {
        let up = || {
            let workloads = self.workloads.iter();
            workloads.filter(|workload| workload.value.replicas > 0)
        };
        self.is_adopted()
            && up().any(|workload| self.is_selected(workload))
            && up().all(|workload| workload.value.kind.takes_apply && !workload.value.is_woken)
    }

    /// Whether it was adopted, and should not be any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.adoption == Adoption::Off && self.is_left_asleep()
    }

    /// The version of a Service, with that of its slice.
    pub(crate) fn version(&self, service: &Cached<Service>) -> Version {
        let Version(own) = service.value.version();
        match self.slice(service) {
            Some(slice) => Version(format!("{own}+{}", slice.value.version())),
            None => Version(own),
        }
    }

    /// Where one of its Services has to point while the app is awake, if that is certain: the same for each workload.
    pub(crate) fn when_unidled(&self, service: &Service) -> Result<ServiceWhenUnidled, Uncertain> {
        let workloads = self.workloads.iter();
        let mut possible = workloads.map(|workload| service.when_unidled(&workload.value));
        match possible.next() {
            Some(first) if possible.all(|other| other == first) => first,
            _ => Err(Uncertain::Pods),
        }
    }

    /// How requests for a host can get to the app, if they can.
    pub(crate) fn way(&self, host: &Host, reachable: &Reachable, now: Timestamp) -> Option<Way> {
        let (service, port) = self.backend(host)?;
        let is_diverted = self.diverting(service).is_some();
        if let Some(slice) = self.slice(service) {
            let behind = self.behind(service);
            let is_up = behind.iter().any(|workload| workload.value.replicas > 0);
            let is_handover = slice.value.is_handover(is_up, now);
            match reachable.of(&service.id()) {
                Some(endpoints) => {
                    let name = port.name.as_deref().unwrap_or_default();
                    if let Some(address) = reachable::any_at(&endpoints.ready, name) {
                        return Some(Way::Endpoint(address));
                    }
                    if let Some(address) = reachable::any_at(&endpoints.draining, name) {
                        return Some(Way::Draining(address));
                    }
                }
                None if is_handover && is_up => return Some(Way::Unwatched),
                None if is_handover => return Some(Way::Fading),
                None => {}
            }
        }
        // As long as a slice diverts, the address of the Service leads to unidler as well.
        let address = service.value.address(port).filter(|_| !is_diverted)?;
        Some(Way::Service(address))
    }

    /// The Service and the port that a host routes to, if there is only one.
    pub(crate) fn backend(&self, host: &Host) -> Option<(&Cached<Service>, &ServicePort)> {
        let exact = self.backends(host, true);
        let backends = if exact.is_empty() {
            self.backends(host, false)
        } else {
            exact
        };
        let mut ports = backends.into_iter().map(|backend| {
            let mut services = self.services.iter();
            let service = services.find(|each| backend.is_of(&each.namespace, &each.name))?;
            Some((&**service, service.value.port(&backend.port)?))
        });
        let (service, port) = ports.next()??;
        let is_same = |other: Option<(&Cached<Service>, &ServicePort)>| {
            other.is_some_and(|(of, other)| of.name == service.name && other == port)
        };
        ports.all(is_same).then_some((service, port))
    }

    /// The Service and the port that report when the app was last used, with a host of it: those of its first route, if
    /// possible of one in its own namespace, and for a host that is no wildcard.
    pub(crate) fn reporting(&self) -> Option<(String, &Cached<Service>, &ServicePort)> {
        let rules = self.routes.iter().flat_map(|route| {
            let rules = route.value.rules.iter();
            rules.map(move |rule| (route, rule))
        });
        let ways = rules.flat_map(|(route, rule)| {
            let backends = rule.backends.iter();
            backends.filter_map(move |backend| {
                let mut services = self.services.iter();
                let service = services.find(|each| backend.is_of(&each.namespace, &each.name))?;
                let port = service.value.port(&backend.port)?;
                let is_elsewhere = route.namespace != service.namespace;
                Some((
                    is_elsewhere,
                    rule.host.contains('*'),
                    &rule.host,
                    service,
                    port,
                ))
            })
        });
        let first = ways.min_by_key(|(is_elsewhere, is_wildcard, host, ..)| {
            (*is_elsewhere, *is_wildcard, *host)
        });
        let (.., host, service, port) = first?;
        Some((host.replace('*', "www"), service, port))
    }

    /// The backends of the rules for a host: of those with exactly this host, or of the wildcards.
    fn backends(&self, host: &Host, is_exact: bool) -> Vec<&Backend> {
        let rules = self.routes.iter().flat_map(|route| {
            let rules = route.value.rules.iter();
            rules.filter(|rule| route.value.serves(rule, host))
        });
        rules
            .filter(|rule| (rule.host == host.as_str()) == is_exact)
            .flat_map(|rule| &rule.backends)
            .filter(|backend| self.has(backend))
            .collect()
    }

    /// Whether a backend is one of the app's Services.
    fn has(&self, backend: &Backend) -> bool {
        let mut services = self.services.iter();
        services.any(|service| backend.is_of(&service.namespace, &service.name))
    }

    /// The hosts that route to the app, including wildcards.
    pub(crate) fn hosts(&self) -> BTreeSet<&str> {
        let rules = self.routes.iter().flat_map(|route| &route.value.rules);
        let own = rules.filter(|rule| rule.backends.iter().any(|backend| self.has(backend)));
        own.map(|rule| rule.host.as_str()).collect()
    }

    /// The requests that unidler answers for it while it sleeps.
    pub(crate) fn probes(&self) -> Probes {
        self.rule(|rules| rules.probes.as_ref()).unwrap_or_default()
    }

    /// What it takes to wake it.
    pub(crate) fn start(&self) -> Start {
        let start = self.rule(|rules| rules.wake.as_ref()).unwrap_or_default();
        let mut slices = self
            .services
            .iter()
            .filter_map(|service| self.diverting(service));
        match start {
            Start::Visit if slices.any(|slice| slice.value.is_in_vain()) => Start::Retry,
            start => start,
        }
    }

    /// A setting of its operators: the one nearest to its visitors applies, if it can be parsed.
    fn rule<T: Clone>(
        &self,
        rule: impl Fn(&SleepRules) -> Option<&Result<T, String>>,
    ) -> Option<T> {
        // A grant to route includes nothing else.
        let is_own = |route: &&Arc<Cached<Route>>| {
            let mut services = self.services.iter();
            services.any(|service| service.namespace == route.namespace)
        };
        let routes = self.routes.iter().filter(is_own);
        let routes = routes.map(|route| &route.value.sleep);
        let services = self.services.iter().map(|service| &service.value.sleep);
        let workloads = self.workloads.iter().map(|workload| &workload.value.sleep);
        let home = self.home.iter().map(|namespace| &namespace.value.sleep);
        let all = routes.chain(services).chain(workloads).chain(home);
        let mut written = all.flatten().filter_map(|rules| rule(rules)?.as_ref().ok());
        written.next().cloned()
    }

    /// Its human-readable name.
    pub(crate) fn title(&self) -> Option<String> {
        let routes = self.routes.iter().map(|route| &route.value.title);
        let services = self.services.iter().map(|service| &service.value.title);
        let workloads = self.workloads.iter().map(|workload| &workload.value.title);
        routes
            .chain(services)
            .chain(workloads)
            .flatten()
            .next()
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{objects::OwnService, reachable::Answering};

    fn cached<T>(name: &str, value: T) -> Arc<Cached<T>> {
        Arc::new(Cached {
            namespace: "team".into(),
            name: name.into(),
            key: None,
            value,
        })
    }

    fn object<K: serde::de::DeserializeOwned>(json: Value) -> K {
        serde_json::from_value(json).expect("an object")
    }

    /// Two Services, `web` and `api`, each with a workload of the same name.
    fn two(service_annotations: &Value) -> Found {
        let own = OwnService {
            name: "unidler".into(),
            domain: "cluster.local".into(),
        };
        let service = |(name, ip): (&str, &str)| {
            let ports = json!([{ "name": "http", "port": 80 }]);
            let json = json!({
                "metadata": { "annotations": service_annotations },
                "spec": { "clusterIP": ip, "selector": { "app": name }, "ports": ports },
            });
            cached(name, Service::parse(object(json), &own))
        };
        let workload = |name: &str| {
            let labels = json!({ "app": name });
            let spec = json!({ "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels } } });
            cached(
                name,
                Workload::parse(object(json!({ "spec": spec })), "unidler"),
            )
        };
        let rule = |host: &str, services: &[&str]| {
            let path = |name: &&str| json!({ "backend": { "service": { "name": name, "port": { "name": "http" } } } });
            json!({ "host": host, "http": { "paths": services.iter().map(path).collect::<Value>() } })
        };
        let rules = json!([
            rule("*.example", &["web", "another"]),
            rule("api.example", &["api"]),
            rule("both.example", &["web", "api"]),
        ]);
        Found {
            id: AppId::new("team/two"),
            routes: vec![cached(
                "two",
                Route::of_ingress(object(
                    json!({ "metadata": { "namespace": "team" }, "spec": { "rules": rules } }),
                )),
            )],
            services: [("web", "10.0.0.1"), ("api", "10.0.0.2")]
                .map(service)
                .into(),
            workloads: ["web", "api"].map(workload).into(),
            group: Group::default(),
            slices: Vec::new(),
            home: None,
            adoption: Adoption::Off,
            adopted: HashMap::new(),
            scaled_objects: Vec::new(),
        }
    }

    #[test]
    fn the_engine_names_the_objects() {
        let found = two(&json!({}));
        let service = found.service(&ObjectId::new("Service team/api"));
        assert_eq!(service.map(|service| &*service.name), Some("api"));
        let workload = found.workload(&ObjectId::new("Deployment team/web"));
        assert_eq!(workload.map(|workload| &*workload.name), Some("web"));
        assert!(found.workload(&ObjectId::new("Service team/web")).is_none());
        assert!(found.service(&ObjectId::new("Service other/web")).is_none());
    }

    /// Several unidlers may take part in a wake-up, and each knows only what it has done itself.
    #[test]
    fn what_unidler_has_woken_itself_was_undone_by_nobody() {
        let (since, now) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:20Z");
        let recorded = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u", "replicas": 2, "generation": 4 });
        let record = json!({ "v": 1, "workloads": [recorded], "phase": "asleep", "since": since, "by": "schedule" });
        let annotations = json!({ "unidler/record": record.to_string() });
        let slice = json!({ "metadata": { "annotations": annotations }, "addressType": "IPv4", "endpoints": [] });
        let slice = Slice::parse(object(slice));
        let now: Timestamp = now.parse().expect("a time");
        let woken = Ended::Woken { took: None };
        let somebody = || Some(Cause::Returned(Some("somebody".to_owned())));
        // The generation: taken, and given back, or only edited.
        for (generation, replicas, manager, ended, expected) in [
            (6, 2, "somebody", Ended::Undone, somebody()),
            (6, 2, "somebody", Ended::Failed, somebody()),
            (6, 2, "somebody", woken, None),
            (6, 2, "unidler", Ended::Undone, None),
            (6, 2, "unidler", Ended::Failed, None),
            (4, 2, "somebody", Ended::Undone, None),
            (5, 2, "somebody", Ended::Undone, None),
            (4, 2, "somebody", Ended::Failed, Some(Cause::Refused)),
            (5, 2, "somebody", Ended::Failed, Some(Cause::Refused)),
            // From the wake-up before.
            (4, 2, "unidler", Ended::Failed, Some(Cause::Refused)),
            (5, 0, "unidler", Ended::Undone, None),
        ] {
            let fields = json!({ "f:spec": { "f:replicas": {} } });
            let managed = json!([{ "manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields }]);
            let spec = json!({ "replicas": replicas, "selector": {}, "template": {} });
            let metadata = json!({ "generation": generation, "managedFields": managed });
            let workload = json!({ "metadata": metadata, "spec": spec });
            let mut found = two(&json!({}));
            found.workloads[0] = cached("web", Workload::parse(object(workload), "unidler"));
            let cause = found.undone(&slice, ended, now).map(|undone| undone.cause);
            assert_eq!(
                cause, expected,
                "{generation} {replicas} {manager} {ended:?}"
            );
        }
    }

    #[test]
    fn requests_get_to_an_endpoint_while_the_address_of_the_service_leads_here_as_well() {
        let slice = |leads_here: bool, changed: &str| {
            let addresses: &[&str] = if leads_here { &["10.0.0.9"] } else { &[] };
            let annotations = if leads_here {
                let record = json!({ "v": 1, "workloads": [], "phase": "asleep", "since": changed, "by": "cli" });
                json!({ "unidler/record": record.to_string() })
            } else {
                let history =
                    json!({ "idled": changed, "woken": changed, "by": "cli", "workloads": [] });
                json!({ "unidler/history": history.to_string() })
            };
            let metadata = json!({ "labels": { "kubernetes.io/service-name": "web" }, "annotations": annotations });
            let endpoints: Vec<_> = addresses
                .iter()
                .map(|address| json!({ "addresses": [address] }))
                .collect();
            let json =
                json!({ "metadata": metadata, "addressType": "IPv4", "endpoints": endpoints });
            cached("web-unidler", Slice::parse(object(json)))
        };
        let now: Timestamp = "2026-01-01T00:00:40Z".parse().expect("a time");
        let (lately, long_ago) = ("2026-01-01T00:00:00Z", "2025-12-31T23:59:00Z");
        let address = |text: &str| text.parse().expect("an address");
        let service = Some(Way::Service(address("10.0.0.1:80")));
        let endpoint = Some(Way::Endpoint(address("10.1.0.1:3000")));
        let draining = Some(Way::Draining(address("10.1.0.1:3000")));
        // Replicas; whether a slice diverts the visitors; since when; the way before endpoints are watched, with a ready one,
        // and without one.
        for (replicas, leads_here, changed, unwatched, ready, not_ready) in [
            (1, true, long_ago, Some(Way::Unwatched), endpoint, None),
            (1, false, lately, Some(Way::Unwatched), endpoint, service),
            (1, false, long_ago, service, endpoint, service),
            (0, true, lately, Some(Way::Fading), endpoint, None),
            (0, true, long_ago, None, endpoint, None),
        ] {
            let mut found = two(&json!({}));
            found.slices = vec![slice(leads_here, changed)];
            let labels = json!({ "app": "web" });
            let spec = json!({ "replicas": replicas, "selector": {}, "template": { "metadata": { "labels": labels } } });
            found.workloads = vec![cached(
                "web",
                Workload::parse(object(json!({ "spec": spec })), "unidler"),
            )];
            let reachable = Reachable::default();
            let host = Host::parse("any.example").expect("a host");
            let way = || found.way(&host, &reachable, now);
            let case = (replicas, leads_here, changed);
            assert_eq!(way(), unwatched, "{case:?}");
            let web = || ObjectId::new("Service team/web");
            let ports = [
                ("metrics".into(), address("10.1.0.1:9000")),
                ("http".into(), address("10.1.0.1:3000")),
            ];
            let draining_one = Answering {
                draining: vec![ports.clone().into()],
                ..Answering::default()
            };
            let last = reachable.publish(web(), draining_one);
            assert_eq!(way(), draining, "{case:?}, with one that is going");
            let one = Answering {
                ready: vec![ports.into()],
                ..Answering::default()
            };
            let watched = reachable.publish(web(), one);
            drop(last);
            assert_eq!(way(), ready, "{case:?}, with a ready endpoint");
            let none = reachable.publish(web(), Answering::default());
            drop(watched);
            assert_eq!(way(), not_ready, "{case:?}, without one");
            drop(none);
            assert_eq!(way(), unwatched, "{case:?}, when nobody watches any more");
        }
        let host = Host::parse("any.example").expect("a host");
        let way = two(&json!({})).way(&host, &Reachable::default(), now);
        assert_eq!(way, service, "an app that no slice has ever led here");
    }

    #[test]
    fn a_host_of_several_services_has_no_single_backend() {
        let found = two(&json!({}));
        let backend = |host: &str| {
            let (service, port) = found.backend(&Host::parse(host).expect("a host"))?;
            Some((&*service.name, port.port))
        };
        assert_eq!(backend("any.example"), Some(("web", 80)));
        assert_eq!(backend("api.example"), Some(("api", 80)));
        assert_eq!(backend("both.example"), None);
        assert_eq!(backend("elsewhere.test"), None);
    }

    #[test]
    fn what_a_service_has_not_kept_follows_from_one_workload_alone() {
        let kept = json!({ "selector": { "app": "web" }, "ports": [{ "port": 80 }] });
        let annotation = json!({ crate::objects::SERVICE_WHEN_UNIDLED: kept.to_string() });
        let found = two(&annotation);
        let restored = found.when_unidled(&found.services[0].value);
        assert_eq!(restored.map(|service| json!(service)), Ok(kept));

        let mut found = two(&json!({}));
        let restored = |found: &Found| found.when_unidled(&found.services[0].value);
        assert_eq!(restored(&found), Err(Uncertain::Pods));
        found.workloads.truncate(1);
        assert!(restored(&found).is_ok());
        found.workloads.clear();
        assert_eq!(restored(&found), Err(Uncertain::Pods));
    }
}
