//! Requests of nobody known, by the address that they come from. Whoever is recognised does not count.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Addresses that are remembered; those beyond share one budget.
const MOST: usize = 50_000;

/// What each address may still ask.
pub(crate) struct Addresses {
    per_second: f64,
    burst: f64,
    budgets: Mutex<HashMap<IpAddr, Budget>>,
}

struct Budget {
    left: f64,
    at: Instant,
}

impl Addresses {
    /// `per_second` in the long run, four times as many at once.
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, burst: per_second * 4.0, budgets: Mutex::default() }
    }

    /// Whether more is taken from an address; the seconds to wait when it asked too often. Counts nothing: many requests
    /// may be under way of which nobody knows yet whose they are.
    pub(crate) fn check(&self, address: Option<IpAddr>, now: Instant) -> Result<(), u64> {
        let budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Self::key(&budgets, address).unwrap_or_else(|| whose(None));
        let left = budgets.get(&key).map(|budget| self.refilled(budget, now));
        match left {
            Some(left) if left < 1.0 => Err(((1.0 - left) / self.per_second).ceil() as u64),
            _ => Ok(()),
        }
    }

    /// Counts a request that was nobody's. Those that were under way at once may go beyond the budget; they are paid for
    /// by waiting longer.
    pub(crate) fn count(&self, address: Option<IpAddr>, now: Instant) {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if Self::key(&budgets, address).is_none() {
            budgets.retain(|_, budget| self.refilled(budget, now) < self.burst);
        }
        let key = Self::key(&budgets, address).unwrap_or_else(|| whose(None));
        let budget = budgets.entry(key).or_insert(Budget { left: self.burst, at: now });
        *budget = Budget { left: (self.refilled(budget, now) - 1.0).max(-self.burst), at: now };
    }

    /// Where the budget of an address is, or would be; `None` when there is no more room for it.
    fn key(budgets: &HashMap<IpAddr, Budget>, address: Option<IpAddr>) -> Option<IpAddr> {
        Some(whose(address)).filter(|key| budgets.len() < MOST || budgets.contains_key(key))
    }

    fn refilled(&self, budget: &Budget, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(budget.at).as_secs_f64();
        (budget.left + passed * self.per_second).min(self.burst)
    }
}

/// Who shares a budget: an IPv6 network has more addresses than anybody could count.
fn whose(address: Option<IpAddr>) -> IpAddr {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        Some(v4) => v4,
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Where a request comes from: the peer, or what trusted proxies say of whom they speak for.
pub(crate) fn client_address(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut client = peer?.to_canonical();
    let given = headers.get_all("x-forwarded-for").into_iter().filter_map(|value| value.to_str().ok());
    let given: Vec<&str> = given.flat_map(|value| value.split(',')).collect();
    // Each proxy appends whom it heard; what stands left of the first stranger is the stranger's own claim.
    for text in given.iter().rev() {
        if !is_trusted(&client) {
            break;
        }
        let Some(address) = parse(text.trim()) else { break };
        client = address;
    }
    Some(client)
}

/// An address, with or without a port.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let address: Option<IpAddr> = bare.or_else(|| Some(text.parse::<std::net::SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_has_a_budget_of_its_own_that_comes_back() {
        let (limits, now) = (Addresses::new(5), Instant::now());
        let (one, two) = (Some([192, 0, 2, 1].into()), Some([192, 0, 2, 2].into()));
        let take = |address, now| limits.check(address, now).inspect(|()| limits.count(address, now));
        for _ in 0..20 {
            assert_eq!(take(one, now), Ok(()));
        }
        assert_eq!(take(one, now), Err(1));
        assert_eq!(take(two, now), Ok(()));
        let later = now + Duration::from_secs(1);
        assert_eq!((0..9).filter(|_| take(one, later).is_ok()).count(), 5);
        for _ in 0..10 {
            limits.count(one, later);
        }
        assert_eq!(take(one, later + Duration::from_secs(1)), Err(2), "what went beyond is paid for");
    }

    #[test]
    fn one_ipv6_network_is_one_address_and_their_number_is_bounded() {
        let (limits, now) = (Addresses::new(1), Instant::now());
        let of = |network: u32, host: u16| {
            let (high, low) = ((network >> 16) as u16, network as u16);
            Some(IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, high, low, 0, 0, 0, host)))
        };
        let take = |address| limits.check(address, now).inspect(|()| limits.count(address, now));
        assert_eq!((0..10).filter(|host| take(of(1, *host)).is_ok()).count(), 4);
        for network in 2..MOST as u32 + 100 {
            limits.count(of(network, 1), now);
        }
        assert!(limits.budgets.lock().unwrap().len() <= MOST + 1);
        assert!(take(of(1 << 20, 1)).is_err(), "those beyond share one budget");
    }

    #[test]
    fn only_trusted_proxies_say_whom_they_speak_for() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let check = |peer: &str, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            client_address(Some(peer.parse().unwrap()), &headers, &trusted).unwrap().to_string()
        };
        assert_eq!(check("192.0.2.1", &["198.51.100.1"]), "192.0.2.1", "a stranger's word");
        assert_eq!(check("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(check("10.0.0.1", &["1.1.1.1, 198.51.100.1", "10.0.0.2"]), "198.51.100.1", "the first stranger");
        assert_eq!(check("::ffff:10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(check("10.0.0.1", &["198.51.100.1:80"]), "198.51.100.1");
        assert_eq!(check("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(check("10.0.0.1", &[]), "10.0.0.1");
    }
}
