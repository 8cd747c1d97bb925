//! Finds the workloads that belong to others: their workers, and those that they need.
//!
//! The need for a workload in another namespace only counts if the needed workload allows it: otherwise anybody who may
//! annotate a workload of their own could have any other put to sleep.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use unidler::app::Bonds;

use crate::{
    cache::Cached,
    caches::{Caches, of_namespace, of_need, of_worker},
    diversion::slice::Slice,
    group::{Group, Holder},
    objects::{PointsAt, Service, Workload, bonds::Need},
};

/// Workloads by name, which includes their namespace.
type ByName = BTreeMap<String, Arc<Cached<Workload>>>;

/// Why a need does not count.
#[derive(Clone, Debug)]
pub(crate) enum Unmet {
    /// There is no such workload.
    Missing,
    /// It is in another namespace, and does not allow workloads there to need it.
    Ungranted(Arc<Cached<Workload>>),
    /// It is the cluster's own, or unidler's.
    Protected,
}

impl Caches {
    /// Adds the workers of some workloads, recursively.
    pub(super) fn with_workers(&self, mut all: ByName) -> ByName {
        let mut left: Vec<_> = all.values().cloned().collect();
        while let Some(owner) = left.pop() {
            for worker in self.workers(&owner) {
                if all
                    .insert(worker.to_string(), Arc::clone(&worker))
                    .is_none()
                {
                    left.push(worker);
                }
            }
        }
        all
    }

    /// The relations of an app's workloads to others. The app's own Services route to those in `behind`.
    pub(super) fn group(&self, own: &ByName, behind: &BTreeSet<String>) -> Group {
        let mut members = own.clone();
        let mut left: Vec<_> = own.values().cloned().collect();
        let mut needs = BTreeMap::new();
        while let Some(user) = left.pop() {
            let workers = match needs.contains_key(&user.to_string()) {
                true => self.workers(&user),
                false => Vec::new(),
            };
            for need in self.needs(&user).into_iter().chain(workers) {
                let name = need.to_string();
                if members.insert(name.clone(), Arc::clone(&need)).is_none() {
                    needs.insert(name, Arc::clone(&need));
                    left.push(need);
                }
            }
        }
        let bonds = |(name, workload): (&String, &Arc<Cached<Workload>>)| {
            let owner = self
                .owner(workload)
                .filter(|of| members.contains_key(&of.to_string()));
            let bonds = Bonds {
                needs: self.needs(workload).iter().map(|need| need.id()).collect(),
                of: owner.map(|owner| owner.id()),
                is_need: needs.contains_key(name),
                is_in_use: false,
                is_woken_for_app: false,
            };
            (workload.id(), bonds)
        };
        let unread = self.unread().join(" and ");
        let unread = (!unread.is_empty()).then_some(Holder::Unread(unread));
        let held = members.iter().filter_map(|(name, workload)| {
            if let Some(unread) = &unread {
                return Some((workload.id(), unread.clone()));
            }
            let is_user = |user: &Arc<Cached<Workload>>| {
                user.value.replicas > 0 && !members.contains_key(&user.to_string())
            };
            let user = self.users(workload).into_iter().find(is_user);
            let service = || {
                let service = self.awake_service(workload);
                service.filter(|_| !behind.contains(name))
            };
            let holder = user.map(Holder::User);
            let holder = holder.or_else(|| service().map(Holder::Service))?;
            Some((workload.id(), holder))
        });
        let woken = match needs.values().any(|need| need.value.is_woken) {
            true => self.private(own, &needs),
            false => Vec::new(),
        };
        let woken = woken.into_iter().filter(|need| need.value.is_woken);
        Group {
            bonds: members.iter().map(bonds).collect(),
            held: held.collect(),
            woken: woken.map(Cached::id).collect(),
            needs: needs.into_values().collect(),
        }
    }

    /// The needs of an app that nothing else has any use for, awake or not.
    fn private<'a>(&self, own: &ByName, needs: &'a ByName) -> Vec<&'a Cached<Workload>> {
        let mut private: BTreeMap<_, _> = needs
            .iter()
            .filter(|(_, need)| self.visited_by(need).next().is_none())
            .collect();
        loop {
            let is_shared = |need: &Cached<Workload>| {
                let mut others = self.users(need).into_iter().chain(self.owner(need));
                others.any(|other| {
                    let name = other.to_string();
                    !own.contains_key(&name) && !private.contains_key(&name)
                })
            };
            let left = private.clone().into_iter();
            let left: BTreeMap<_, _> = left.filter(|(_, need)| !is_shared(need)).collect();
            if left.len() == private.len() {
                return left.into_values().map(|need| &**need).collect();
            }
            private = left;
        }
    }

    /// The workload of a need, if it counts.
    pub(crate) fn need(
        &self,
        user: &Cached<Workload>,
        need: &Need,
    ) -> Result<Arc<Cached<Workload>>, Unmet> {
        let namespace = need.namespace.as_deref().unwrap_or(&user.namespace);
        if self.is_protected(namespace) {
            return Err(Unmet::Protected);
        }
        let found = self
            .called(namespace, &need.workload)
            .ok_or(Unmet::Missing)?;
        let is_user = |named: &_| user.value.is_called(named, &user.name);
        let mut granted = found.value.bonds.iter().flat_map(|bonds| &bonds.needed_by);
        if *namespace == *user.namespace || granted.any(|own| own.is(&user.namespace, is_user)) {
            Ok(found)
        } else {
            Err(Unmet::Ungranted(found))
        }
    }

    /// The workloads that a workload needs, as far as those needs count.
    fn needs(&self, user: &Cached<Workload>) -> Vec<Arc<Cached<Workload>>> {
        let needs = user.value.bonds.iter().flat_map(|bonds| &bonds.needs);
        needs
            .filter_map(|need| self.need(user, need).ok())
            .collect()
    }

    /// Whether a workload was put to sleep by unidler or by the idler of 2020.
    pub(crate) fn is_asleep(&self, workload: &Cached<Workload>) -> bool {
        let recorded = || {
            self.slices
                .get(&of_namespace(&workload.namespace, &workload.name))
        };
        let is_recorded = |slice: &Arc<Cached<Slice>>| {
            let mut recorded = slice.value.recorded().iter();
            slice.value.diverts() && recorded.any(|each| each.workload.is_of(workload))
        };
        let Workload { taken, idled, .. } = &workload.value;
        taken.is_some() || *idled || recorded().iter().any(is_recorded)
    }

    /// The workload that another one is a worker of.
    pub(crate) fn owner(&self, worker: &Cached<Workload>) -> Option<Arc<Cached<Workload>>> {
        let of = worker.value.bonds.as_ref()?.of.as_ref()?;
        let owner = self.called(&worker.namespace, of)?;
        (owner.id() != worker.id() && !self.is_protected(&worker.namespace)).then_some(owner)
    }

    fn workers(&self, owner: &Cached<Workload>) -> Vec<Arc<Cached<Workload>>> {
        let mut named = self.workloads_by(&of_worker(&owner.namespace, &owner.name));
        named.retain(|worker| self.owner(worker).is_some_and(|of| of.id() == owner.id()));
        named
    }

    /// The workloads that need a workload, and that it does not need in turn.
    pub(crate) fn users(&self, need: &Cached<Workload>) -> Vec<Arc<Cached<Workload>>> {
        let mut named = self.workloads_by(&of_need(&need.namespace, &need.name));
        named.retain(|user| {
            let needs = self.needs(user);
            needs.iter().any(|each| each.id() == need.id()) && !self.depends(need, user)
        });
        named
    }

    /// Whether a workload needs another one, directly or indirectly. A worker needs whatever its workload needs.
    pub(crate) fn depends(&self, user: &Cached<Workload>, need: &Cached<Workload>) -> bool {
        let all = |user: &Cached<Workload>| {
            let owner = self.owner(user);
            let inherited = owner.map(|owner| self.needs(&owner));
            [self.needs(user), inherited.unwrap_or_default()].concat()
        };
        let (mut seen, mut left) = (HashSet::new(), all(user));
        while let Some(next) = left.pop() {
            if next.id() == need.id() {
                return true;
            }
            if seen.insert(next.id()) {
                left.extend(all(&next));
            }
        }
        false
    }

    /// An awake Service through which visitors reach a workload.
    fn awake_service(&self, workload: &Cached<Workload>) -> Option<String> {
        let mut services = self.visited_by(workload);
        let awake = services.find(|service| !self.is_diverted(&service.namespace, &service.name));
        awake.map(|service| service.to_string())
    }

    /// The Services by which visitors reach a workload while it is awake.
    fn visited_by(
        &self,
        workload: &Cached<Workload>,
    ) -> impl Iterator<Item = Arc<Cached<Service>>> {
        let services = self.services.get(&of_namespace(&workload.namespace, ""));
        services.into_iter().filter(|service| {
            let Cached {
                namespace,
                name,
                value,
                ..
            } = &**service;
            value.points_at == PointsAt::Pods
                && !value.selector.is_empty()
                && workload.value.lacks(&value.selector).is_none()
                && !self.routes_to(namespace, name).is_empty()
        })
    }
}
