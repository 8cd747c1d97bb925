//! How many event streams there may be: in all, for one app, for one client.
//!
//! A stream costs some kilobytes and a socket, so the limits are far above what people need; they keep one app, or
//! one client, from taking what belongs to all.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::{HeaderMap, HeaderName};
use metrics::gauge;
use unidler::host::Host;

/// The metric of how many visitors have an event stream open.
pub const VISITORS: &str = "unidler_visitors";

/// The limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of all streams.
    pub in_all: usize,
    /// Of the streams of one app.
    pub per_app: usize,
    /// Of the streams of one client.
    pub per_client: usize,
    /// The header in which a trusted proxy tells who the client is. Without it nobody's word is taken for that, and
    /// there is no limit for one client: all seem to come from the proxy.
    pub client_header: Option<HeaderName>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_all: 20_000, per_app: 5_000, per_client: 50, client_header: None }
    }
}

/// The streams that are open. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Streams {
    limits: Arc<Limits>,
    open: Arc<Mutex<HashMap<Counted, usize>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Counted {
    All,
    App(Host),
    Client(IpAddr),
}

/// The place of one stream, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    streams: Streams,
    counted: Vec<Counted>,
}

impl Streams {
    /// None are open yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits: Arc::new(limits), open: Arc::default() }
    }

    /// A place for a stream; `None` if there is none left.
    #[must_use]
    pub fn place(&self, host: &Host, headers: &HeaderMap) -> Option<Place> {
        let Limits { in_all, per_app, per_client, .. } = *self.limits;
        let client = self.client(headers).map(|client| (Counted::Client(client), per_client));
        let wanted: Vec<_> = [(Counted::All, in_all), (Counted::App(host.clone()), per_app)].into_iter().chain(client).collect();
        let mut open = self.open();
        let is_full = wanted.iter().any(|(counted, limit)| open.get(counted).is_some_and(|count| count >= limit));
        if is_full {
            return None;
        }
        let counted: Vec<_> = wanted.into_iter().map(|(counted, _)| counted).collect();
        for counted in &counted {
            *open.entry(counted.clone()).or_default() += 1;
        }
        gauge!(VISITORS).increment(1.0);
        Some(Place { streams: self.clone(), counted })
    }

    /// The client as the trusted proxy tells: the last address of the header is the one that it has added itself.
    fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let value = headers.get_all(self.limits.client_header.as_ref()?).iter().next_back()?;
        value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    }

    /// A panic elsewhere cannot leave the counts half changed, so a poisoned lock is as good as any.
    fn open(&self) -> MutexGuard<'_, HashMap<Counted, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        gauge!(VISITORS).decrement(1.0);
        let mut open = self.streams.open();
        for counted in &self.counted {
            if let Some(count) = open.get_mut(counted) {
                *count -= 1;
                if *count == 0 {
                    open.remove(counted);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Host {
        Host::parse(name).expect("a host")
    }

    fn from(client: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static("x-forwarded-for"), client.parse().expect("a value"))])
    }

    fn streams(in_all: usize, per_app: usize, per_client: usize) -> Streams {
        let client_header = Some(HeaderName::from_static("x-forwarded-for"));
        Streams::new(Limits { in_all, per_app, per_client, client_header })
    }

    #[test]
    fn each_limit_holds_and_a_place_is_given_back() {
        let (a, b, nobody) = (host("a.example"), host("b.example"), HeaderMap::new());
        let places = streams(3, 2, 9);
        let first = places.place(&a, &nobody);
        let _second = places.place(&a, &nobody).expect("a place");
        assert!(places.place(&a, &nobody).is_none(), "the app's places are taken");
        let _third = places.place(&b, &nobody).expect("a place");
        assert!(places.place(&b, &nobody).is_none(), "all places are taken");
        drop(first);
        drop(places.place(&a, &nobody).expect("a place"));
        assert!(places.place(&b, &nobody).is_some());
    }

    #[test]
    fn a_client_is_who_the_proxy_says_and_not_who_it_says_it_is() {
        let places = streams(9, 9, 1);
        let _first = places.place(&host("a.example"), &from("198.51.100.7, 192.0.2.1")).expect("a place");
        assert!(places.place(&host("b.example"), &from("203.0.113.9, 192.0.2.1")).is_none());
        assert!(places.place(&host("b.example"), &from("192.0.2.1, 192.0.2.2")).is_some());
        assert!(places.place(&host("b.example"), &from("nonsense")).is_some());
    }

    #[test]
    fn nothing_is_left_when_all_have_gone() {
        let places = streams(9, 9, 9);
        drop(places.place(&host("a.example"), &from("192.0.2.1")));
        assert!(places.open().is_empty());
    }
}
