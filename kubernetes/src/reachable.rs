//! Where apps can be reached whose endpoints are watched.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use unidler::app::ObjectId;

/// A ready endpoint of a Service: where it answers, by the name of the port.
pub(crate) type Ready = Box<[(Box<str>, SocketAddr)]>;

/// The ready endpoints of those Services that somebody watches. What nobody watches any more is not in it.
#[derive(Debug, Default)]
pub(crate) struct Reachable(Mutex<HashMap<ObjectId, Weak<Vec<Ready>>>>);

impl Reachable {
    /// Has all see the ready endpoints of a Service, until what this gives is dropped, or somebody else says what they are.
    pub(crate) fn publish(&self, service: ObjectId, ready: Vec<Ready>) -> Arc<Vec<Ready>> {
        let ready = Arc::new(ready);
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        services.retain(|_, ready| ready.strong_count() > 0);
        services.insert(service, Arc::downgrade(&ready));
        ready
    }

    /// The ready endpoints of a Service, if they are known.
    pub(crate) fn of(&self, service: &ObjectId) -> Option<Arc<Vec<Ready>>> {
        let services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        services.get(service)?.upgrade()
    }
}

/// One of some endpoints, at a port.
pub(crate) fn any_at(ready: &[Ready], port: &str) -> Option<SocketAddr> {
    let at = |(name, address): &(Box<str>, SocketAddr)| (**name == *port).then_some(*address);
    let addresses = ready.iter().filter_map(|ports| ports.iter().find_map(at));
    fastrand::choose_multiple(addresses, 1).pop()
}
