//! What the workloads of an app have to do with others, as far as that counts.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use unidler::app::{Bonds, ObjectId};

use crate::{cache::Cached, objects::Workload};

/// What some workloads have to do with others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// What they need, directly or not, with the workers of that.
    pub(crate) needs: Vec<Arc<Cached<Workload>>>,
    /// The bonds of each of them, and of each that is needed.
    pub(crate) bonds: HashMap<ObjectId, Bonds>,
    /// What keeps one of them awake.
    pub(crate) held: HashMap<ObjectId, Holder>,
    /// What is needed, has its replicas from unidler, and is of no use to anything else, awake or not.
    pub(crate) woken: HashSet<ObjectId>,
}

/// What keeps a workload awake, beside the app that is looked at.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    /// Another workload that needs it.
    User(Arc<Cached<Workload>>),
    /// A Service of its own that a route leads to.
    Service(String),
    /// Nothing would say how many replicas it had.
    Nothing,
    /// Perhaps something of a kind that may not be read.
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
    /// What the engine knows of a workload's bonds.
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

    /// Keeps all that is needed awake.
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
