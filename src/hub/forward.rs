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

impl Hub {
    /// Where requests for a host are forwarded to, if they are. Of an app whose endpoints may be ready and are not watched
    /// yet, that takes a moment.
    pub async fn forwards(&self, host: &Host) -> Option<(SocketAddr, Forwarding)> {
        let inner = &self.inner;
        match self.way(host).await? {
            Way::Endpoint(address) => Some((address, Forwarding::Seamless)),
            Way::Service(address) => {
                let is_waking = || {
                    let app = inner.cluster.find(host);
                    app.is_ok_and(|app| inner.wakes().contains_key(&app))
                };
                let does = inner.settings.forward == Forward::Always || is_waking();
                does.then_some((address, Forwarding::Partial))
            }
            Way::Draining(_) | Way::Unwatched => None,
        }
    }

    /// Where the files of an app's page are that it has served in its last seconds: the page itself may have come from there.
    /// To open it would be too late.
    pub async fn drains(&self, host: &Host) -> Option<SocketAddr> {
        match self.way(host).await? {
            Way::Draining(address) => Some(address),
            Way::Endpoint(_) | Way::Service(_) | Way::Unwatched => None,
        }
    }

    async fn way(&self, host: &Host) -> Option<Way> {
        let inner = &self.inner;
        if inner.settings.forward == Forward::Never {
            return None;
        }
        let app = inner.cluster.find(host).ok()?;
        let mut way = inner.cluster.way(host)?;
        if way == Way::Unwatched {
            let wake = inner.enter(&mut inner.wakes(), &app, Some(host), Mandate::Watch);
            // Its driver stays for as long as somebody asks.
            wake.look();
            // Not for ever: perhaps they cannot be watched.
            while way == Way::Unwatched && wake.is_young() {
                sleep(LOOK_AGAIN).await;
                way = inner.cluster.way(host)?;
            }
        }
        Some(way)
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
