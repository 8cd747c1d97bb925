//! Where apps can be reached whose endpoints are watched.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use unidler::app::ObjectId;

/// An endpoint of a Service: where it answers, by the name of the port.
pub(crate) type Ports = Box<[(Box<str>, SocketAddr)]>;

/// The endpoints of a Service that answer.
#[derive(Debug, Default)]
pub(crate) struct Answering {
    pub(crate) ready: Vec<Ports>,
    /// Those of pods that are being deleted, and finish what they have begun.
    pub(crate) draining: Vec<Ports>,
}

/// The endpoints of those Services that somebody watches. What nobody watches any more is not in it.
#[derive(Debug, Default)]
pub(crate) struct Reachable(Mutex<HashMap<ObjectId, Weak<Answering>>>);

impl Reachable {
    /// Has all see the endpoints of a Service, until what this gives is dropped, or somebody else says what they are.
    pub(crate) fn publish(&self, service: ObjectId, endpoints: Answering) -> Arc<Answering> {
        let endpoints = Arc::new(endpoints);
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        services.retain(|_, endpoints| endpoints.strong_count() > 0);
        services.insert(service, Arc::downgrade(&endpoints));
        endpoints
    }

    /// The endpoints of a Service, if they are known.
    pub(crate) fn of(&self, service: &ObjectId) -> Option<Arc<Answering>> {
        let services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        services.get(service)?.upgrade()
    }
}

/// One of some endpoints, at a port.
pub(crate) fn any_at(endpoints: &[Ports], port: &str) -> Option<SocketAddr> {
    let at = |(name, address): &(Box<str>, SocketAddr)| (**name == *port).then_some(*address);
    let addresses = endpoints
        .iter()
        .filter_map(|ports| ports.iter().find_map(at));
    fastrand::choose_multiple(addresses, 1).pop()
}
