//! Where requests go that still reach unidler for an app that is up.
//!
//! For some seconds around a wake-up, and while an app is put to sleep, its ingress leads some of its visitors here and some
//! to the app. A visitor who has opened the app must not land on the page again, nor get its files from here.

use std::{net::SocketAddr, time::Duration};

use tokio::time::sleep;

use super::{Forward, Hub, wake::Mandate};
use crate::{app::Leads, cluster::Way, host::Host, progress::Forwarding};

/// How often it is looked whether the endpoints of an app are known that have just begun to be watched.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Which requests for a host are forwarded, and the address that they are forwarded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwards {
    /// All of them: the app is ready.
    All(SocketAddr, Forwarding),
    /// The files of its pages, and what else those ask for: the app is falling asleep, and its last pods still answer.
    OfPages(SocketAddr),
}

impl Hub {
    /// Whether a request for a host is forwarded. `is_of_page` says whether a page of the app sends it, such as for a file. Of an
    /// app whose endpoints are not watched yet, that takes a moment.
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
            // Its driver stays for as long as somebody asks.
            wake.look();
            // Not for ever: perhaps they cannot be watched.
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

    /// Whether the visitors of a host are led to its app, so that whatever still reaches unidler is late.
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
