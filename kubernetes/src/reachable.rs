//! Addresses of apps whose endpoints are watched.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use unidler::app::ObjectId;

/// An endpoint of a Service: its addresses, by the name of the port.
pub(crate) type Ports = Box<[(Box<str>, SocketAddr)]>;

/// The endpoints of a Service that respond.
#[derive(Debug, Default)]
pub(crate) struct Answering {
    pub(crate) ready: Vec<Ports>,
    /// Endpoints of terminating pods, which finish the requests that they have begun.
    pub(crate) draining: Vec<Ports>,
}

/// The endpoints of the Services that are being watched. Services that are no longer watched are not in it.
#[derive(Debug, Default)]
pub(crate) struct Reachable(Mutex<HashMap<ObjectId, Weak<Answering>>>);

impl Reachable {
    /// Publishes the endpoints of a Service, until the returned value is dropped or replaced by another publication.
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

/// Any of some endpoints, at a port.
pub(crate) fn any_at(endpoints: &[Ports], port: &str) -> Option<SocketAddr> {
    let at = |(name, address): &(Box<str>, SocketAddr)| (**name == *port).then_some(*address);
    let addresses = endpoints
        .iter()
        .filter_map(|ports| ports.iter().find_map(at));
    fastrand::choose_multiple(addresses, 1).pop()
}
