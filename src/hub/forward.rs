//! Decides whether requests that still reach unidler for a running app are forwarded, and where to.
//!
//! For some seconds around a wake-up, and while an app is put to sleep, its ingress routes some of its visitors here
//! and some to the app. A visitor who has opened the app must neither land on the page again nor get the app's files
//! from here.

use std::{net::SocketAddr, time::Duration};

use tokio::time::sleep;

use super::{Forward, Hub, wake::Mandate};
use crate::{app::Leads, cluster::Way, host::Host, progress::Forwarding};

/// Interval between checks whether the endpoints of an app are known, after their watch has begun.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Which requests for a host are forwarded, and the address that they are forwarded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwards {
    /// All of them: the app is ready.
    All(SocketAddr, Forwarding),
    /// Only the files of its pages, and other requests that those pages send: the app is falling asleep, and its last
    /// pods still respond.
    OfPages(SocketAddr),
}

impl Hub {
    /// Whether and where to forward a request for a host. `is_of_page` says that a page of the app sends it, such as
    /// for a file. If the endpoints of the app are not watched yet, this takes a moment.
    pub async fn forwards(&self, host: &Host, is_of_page: bool) -> Option<Forwards> {
        let inner = &self.inner;
        let forward = inner.settings.forward;
        if forward == Forward::Never {
            return None;
        }
        let app = inner.cluster.find(host).ok()?;
        let is_unknown = |way| way == Way::Unwatched || (is_of_page && way == Way::Fading);
        let mut way = inner.cluster.way(host)?;
        if is_unknown(way) {
            let wake = inner.enter(&mut inner.wakes(), &app, Some(host), Mandate::Watch);
            // Keeps the driver alive for as long as requests come.
            wake.look();
            // Not for long: it may be impossible to watch them.
            while is_unknown(way) && wake.is_young() {
                sleep(LOOK_AGAIN).await;
                way = inner.cluster.way(host)?;
            }
        }
        match way {
            Way::Endpoint(address) => Some(Forwards::All(address, Forwarding::Seamless)),
            Way::Service(address)
                if forward == Forward::Always || inner.wakes().contains_key(&app) =>
            {
                Some(Forwards::All(address, Forwarding::Partial))
            }
            Way::Draining(address) if is_of_page => Some(Forwards::OfPages(address)),
            Way::Service(_) | Way::Draining(_) | Way::Fading | Way::Unwatched => None,
        }
    }

    /// Whether the visitors of a host are routed to its app, so that any request that still reaches unidler is late.
    #[must_use]
    pub fn leads_to_app(&self, host: &Host) -> bool {
        let cluster = &self.inner.cluster;
        let observation = cluster.find(host).and_then(|app| cluster.observe(&app));
        observation.is_ok_and(|app| {
            let mut services = app.services.iter();
            services.all(|service| matches!(service.leads, Leads::ToApp { .. }))
        })
    }
}
