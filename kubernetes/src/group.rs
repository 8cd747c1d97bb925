//! The relations of an app's workloads to others, as far as they count.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use unidler::app::{Bonds, ObjectId};

use crate::{cache::Cached, objects::Workload};

/// The relations of some workloads to others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// The workloads that they need, directly or indirectly, with their workers.
    pub(crate) needs: Vec<Arc<Cached<Workload>>>,
    /// The bonds of each of them, and of each workload that they need.
    pub(crate) bonds: HashMap<ObjectId, Bonds>,
    /// For each of them, what keeps it awake.
    pub(crate) held: HashMap<ObjectId, Holder>,
    /// Needed workloads that have their replicas from unidler, and that nothing else needs, awake or not.
    pub(crate) woken: HashSet<ObjectId>,
}

/// What keeps a workload awake, apart from the app under consideration.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    /// Another workload that needs it.
    User(Arc<Cached<Workload>>),
    /// A Service of its own that a route points to.
    Service(String),
    /// There would be no record of how many replicas it had.
    Nothing,
    /// Possibly an object of a kind that unidler may not read.
    Unread(String),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "{user}, which is awake, needs it"),
            Self::Service(service) => write!(f, "visitors reach it by {service}"),
            Self::Nothing => f.write_str("nothing would record how many replicas it had"),
            Self::Unread(kinds) => write!(
                f,
                "unidler has no permission to read {kinds}, which may depend on it"
            ),
        }
    }
}

impl Group {
    /// The engine's view of a workload's bonds.
    pub(crate) fn bonds(&self, id: &ObjectId) -> Bonds {
        let bonds = self.bonds.get(id).cloned().unwrap_or_default();
        Bonds {
            is_in_use: self.held.contains_key(id),
            ..bonds
        }
    }

    /// What keeps a workload awake.
    pub(crate) fn holder(&self, id: &ObjectId) -> Option<&Holder> {
        self.held.get(id)
    }

    /// Whether it may be incomplete.
    pub(crate) fn is_unread(&self) -> bool {
        let mut holders = self.held.values();
        holders.any(|holder| matches!(holder, Holder::Unread(_)))
    }

    /// Keeps all needed workloads awake.
    pub(crate) fn hold_needs(&mut self) {
        for need in &self.needs {
            self.held.entry(need.id()).or_insert(Holder::Nothing);
        }
    }

    /// Some workloads, with their workers and all that they need.
    pub(crate) fn with(&self, first: impl Iterator<Item = ObjectId>) -> HashSet<ObjectId> {
        let mut all: HashSet<_> = first.collect();
        loop {
            let is_bound = |(id, bonds): &(&ObjectId, &Bonds)| {
                let mut users = all.iter().filter_map(|user| self.bonds.get(user));
                bonds.of.as_ref().is_some_and(|of| all.contains(of))
                    || users.any(|user| user.needs.contains(id))
            };
            let bound = self.bonds.iter().filter(is_bound);
            let new: Vec<_> = bound
                .map(|(id, _)| id.clone())
                .filter(|id| !all.contains(id))
                .collect();
            if new.is_empty() {
                return all;
            }
            all.extend(new);
        }
    }
}
