//! Limits on open event streams: in total, per app and per client.
//!
//! A stream costs some kilobytes and a socket, so the limits are far above normal use; they keep one app or one client
//! from exhausting shared resources.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::{HeaderMap, HeaderName, header};
use metrics::gauge;
use unidler::host::Host;

/// The metric of the number of visitors with an open event stream.
pub const VISITORS: &str = "unidler_visitors";

/// The limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The limit on all streams.
    pub in_all: usize,
    /// The limit on the streams of one app.
    pub per_app: usize,
    /// The limit on the streams of one client.
    pub per_client: usize,
    /// The header in which a trusted proxy reports the client: `Forwarded`, or a list of addresses such as
    /// `X-Forwarded-For`. Without it no header is trusted for that, and there is no limit per client: all requests seem
    /// to come from the proxy.
    pub client_header: Option<HeaderName>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_all: 20_000,
            per_app: 5_000,
            per_client: 50,
            client_header: None,
        }
    }
}

/// The open streams. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Streams {
    limits: Arc<Limits>,
    open: Arc<Mutex<HashMap<Counted, usize>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Counted {
    All,
    App(Host),
    Client(Client),
}

/// Identifies a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    /// One IPv4 address, or an IPv6 network, since a client has all addresses of its /64.
    At(IpAddr),
    /// The proxy did not report it, or not in a known format. All of these count as one client: a limit that anybody
    /// could evade with nonsense would be useless.
    Unknown,
}

impl Client {
    /// Of the last element of the header, which is the one that the trusted proxy has added itself.
    fn of(element: &str, is_forwarded: bool) -> Self {
        let text = if is_forwarded {
            forwarded_for(element)
        } else {
            Some(element)
        };
        match text.and_then(address) {
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self::At(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            Some(address) => Self::At(address),
            None => Self::Unknown,
        }
    }
}

/// The client in an element of `Forwarded` ([RFC 7239, 4](https://www.rfc-editor.org/rfc/rfc7239#section-4)).
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    let (_, node) = { pairs }.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(node.trim().trim_matches('"'))
}

/// Parses an address with or without a port, and for IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    text.parse()
        .ok()
        .or_else(with_port)
        .or_else(bare)
        .map(|address: IpAddr| address.to_canonical())
}

/// Permits one stream, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    streams: Streams,
    counted: Vec<Counted>,
}

impl Streams {
    /// Starts without open streams.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: Arc::new(limits),
            open: Arc::default(),
        }
    }

    /// A permit for a stream; `None` if there is none left.
    #[must_use]
    pub fn permit(&self, host: &Host, headers: &HeaderMap) -> Option<Permit> {
        let Limits {
            in_all,
            per_app,
            per_client,
            ..
        } = *self.limits;
        let client = self
            .client(headers)
            .map(|client| (Counted::Client(client), per_client));
        let wanted: Vec<_> = [
            (Counted::All, in_all),
            (Counted::App(host.clone()), per_app),
        ]
        .into_iter()
        .chain(client)
        .collect();
        let mut open = self.open();
        let is_full = wanted
            .iter()
            .any(|(counted, limit)| open.get(counted).is_some_and(|count| count >= limit));
        if is_full {
            return None;
        }
        let counted: Vec<_> = wanted.into_iter().map(|(counted, _)| counted).collect();
        for counted in &counted {
            *open.entry(counted.clone()).or_default() += 1;
        }
        gauge!(VISITORS).increment(1.0);
        Some(Permit {
            streams: self.clone(),
            counted,
        })
    }

    /// The client as reported by the trusted proxy.
    fn client(&self, headers: &HeaderMap) -> Option<Client> {
        let name = self.limits.client_header.as_ref()?;
        // The last of several lines counts, as does the last of several elements.
        let value = headers
            .get_all(name)
            .iter()
            .next_back()
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let element = value.rsplit(',').next().unwrap_or_default();
        Some(Client::of(element, *name == header::FORWARDED))
    }

    /// Locks the counts. A panic elsewhere cannot leave them half changed, so a poisoned lock is used all the same.
    fn open(&self) -> MutexGuard<'_, HashMap<Counted, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
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
        HeaderMap::from_iter([(
            HeaderName::from_static("x-forwarded-for"),
            client.parse().expect("a value"),
        )])
    }

    fn streams(in_all: usize, per_app: usize, per_client: usize) -> Streams {
        let client_header = Some(HeaderName::from_static("x-forwarded-for"));
        Streams::new(Limits {
            in_all,
            per_app,
            per_client,
            client_header,
        })
    }

    #[test]
    fn each_limit_holds_and_a_permit_is_given_back() {
        let (a, b, nobody) = (host("a.example"), host("b.example"), HeaderMap::new());
        let streams = streams(3, 2, 9);
        let first = streams.permit(&a, &nobody);
        let _second = streams.permit(&a, &nobody).expect("a permit");
        assert!(
            streams.permit(&a, &nobody).is_none(),
            "the app's permits are taken"
        );
        let _third = streams.permit(&b, &nobody).expect("a permit");
        assert!(
            streams.permit(&b, &nobody).is_none(),
            "all permits are taken"
        );
        drop(first);
        drop(streams.permit(&a, &nobody).expect("a permit"));
        assert!(streams.permit(&b, &nobody).is_some());
    }

    #[test]
    fn a_client_is_who_the_proxy_says_and_not_who_it_says_it_is() {
        let streams = streams(9, 9, 1);
        let _first = streams
            .permit(&host("a.example"), &from("198.51.100.7, 192.0.2.1"))
            .expect("a permit");
        assert!(
            streams
                .permit(&host("b.example"), &from("203.0.113.9, 192.0.2.1"))
                .is_none()
        );
        assert!(
            streams
                .permit(&host("b.example"), &from("192.0.2.1, 192.0.2.2"))
                .is_some()
        );
        assert!(
            streams
                .permit(&host("b.example"), &from("nonsense"))
                .is_some()
        );
    }

    #[test]
    fn who_says_nothing_of_use_is_one_client_with_all_others_who_do_not() {
        let streams = streams(9, 9, 1);
        let _first = streams
            .permit(&host("a.example"), &from("nonsense"))
            .expect("a permit");
        for other in ["", "unknown", "more nonsense", "1.2.3.4.5", "_hidden"] {
            assert!(
                streams.permit(&host("b.example"), &from(other)).is_none(),
                "{other}"
            );
        }
        assert!(
            streams
                .permit(&host("b.example"), &HeaderMap::new())
                .is_none()
        );
    }

    #[test]
    fn a_client_is_known_in_whatever_way_a_proxy_writes_it() {
        let v4 = Client::At([192, 0, 2, 1].into());
        let v6 = Client::At(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, 0).into());
        for (element, client) in [
            ("192.0.2.1", v4),
            (" 192.0.2.1:5678", v4),
            ("::ffff:192.0.2.1", v4),
            ("[::ffff:192.0.2.1]:80", v4),
            ("2001:db8:0:7::1", v6),
            ("2001:db8:0:7:ffff::2", v6),
            ("[2001:db8:0:7::3]", v6),
            ("[2001:db8:0:7::4]:443", v6),
            ("for=192.0.2.1", Client::Unknown),
        ] {
            assert_eq!(Client::of(element, false), client, "{element}");
        }
        for (element, client) in [
            ("for=192.0.2.1", v4),
            (" For=\"192.0.2.1:5678\" ; proto=http;by=203.0.113.43", v4),
            ("proto=https;for=\"[2001:db8:0:7::1]:4711\"", v6),
            ("for=unknown", Client::Unknown),
            ("for=_hidden", Client::Unknown),
            ("by=192.0.2.1", Client::Unknown),
            ("192.0.2.1", Client::Unknown),
        ] {
            assert_eq!(Client::of(element, true), client, "{element}");
        }
    }

    #[test]
    fn nothing_is_left_when_all_have_gone() {
        let streams = streams(9, 9, 9);
        drop(streams.permit(&host("a.example"), &from("192.0.2.1")));
        assert!(streams.open().is_empty());
    }
}
