//! Which addresses Rampart connects to on behalf of a tenant.
//!
//! A tenant names hosts (a kubeconfig's server, a proxy); a name may point anywhere, and differently a second later.
//! So the check is made on the address of each connection, by [`EgressPolicy::resolve`], and never on the name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The operator's setting that allows more than public addresses.
pub const EGRESS_SETTING: &str = "RAMPART_EGRESS_ALLOW";

/// Which addresses may be connected to: public ones, and what the operator allows beside them.
///
/// An address of a cloud's metadata service is allowed only by a network of exactly that address, never by a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Networks that are allowed although they are not public.
    pub allow: Vec<IpNet>,
}

/// An address that the policy keeps Rampart from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {range}: connections there are not allowed; an operator can allow it with {EGRESS_SETTING}")]
pub struct EgressDenied {
    /// The address as it was about to be dialled.
    pub address: IpAddr,
    /// What the address belongs to, such as `a loopback address`.
    pub range: &'static str,
}

/// Why a host has no address to connect to.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The name does not resolve.
    #[error("the name {host} does not resolve")]
    Unresolved {
        /// The name that was looked up.
        host: String,
        /// The resolver's answer, when it gave one.
        #[source]
        source: Option<std::io::Error>,
    },
    /// Every address of the host is denied; this is the first.
    #[error("{host}: {denied}")]
    Denied {
        /// The name or literal address.
        host: String,
        /// The first denied address.
        denied: EgressDenied,
    },
}

/// Addresses that look public or lie in wider ranges and serve credentials to whoever asks from inside.
const METADATA: &[IpAddr] = &[
    // AWS, Azure, GCP, OpenStack; ECS task credentials; EKS pod identity.
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    // Azure's wire server, Alibaba Cloud, Oracle Cloud.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // AWS and EKS pod identity over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

/// Special-purpose ranges of the IANA registries that are not globally reachable.
const V4: &[(Ipv4Addr, u8, &str)] = &[
    (Ipv4Addr::UNSPECIFIED, 8, "an address of this host"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private address"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "a carrier-grade NAT address"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "a loopback address"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link-local address"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private address"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "a reserved address"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "a documentation address"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a relay address"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private address"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "a benchmarking address"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "a documentation address"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "a documentation address"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a multicast address"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved address"),
];

/// The same for IPv6, where only `2000::/3` is handed out to the public at all.
const V6: &[(Ipv6Addr, u8, &str)] = &[
    (Ipv6Addr::LOCALHOST, 128, "a loopback address"),
    (Ipv6Addr::UNSPECIFIED, 128, "an address of this host"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "a private address"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "a link-local address"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "a multicast address"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "a reserved address"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "a documentation address"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "a documentation address"),
];

impl EgressPolicy {
    /// Every network, save for the clouds' metadata services.
    pub fn anywhere() -> Self {
        Self { allow: vec![Ipv4Net::default().into(), Ipv6Net::default().into()] }
    }

    /// Whether `address` may be connected to. An IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4) is
    /// judged as the IPv4 address that the packet ends at.
    pub fn check(&self, address: IpAddr) -> Result<(), EgressDenied> {
        let target = embedded(address);
        let denied = |range| EgressDenied { address, range };
        if METADATA.contains(&target) {
            let named = self.allow.iter().any(|net| net.prefix_len() == net.max_prefix_len() && net.addr() == target);
            return if named { Ok(()) } else { Err(denied("a metadata address")) };
        }
        match special_range(target) {
            Some(range) if !self.allow.iter().any(|net| net.contains(&target) || net.contains(&address)) => {
                Err(denied(range))
            }
            _ => Ok(()),
        }
    }

    /// The addresses of `host` that may be connected to, at least one. `host` is a name or a literal address, the
    /// latter with or without brackets. Connect to what comes back and to nothing else: a second look-up of the same
    /// name may answer differently.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = match IpAddr::from_str(literal) {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => tokio::net::lookup_host((host, port))
                .await
                .map_err(|source| EgressError::Unresolved { host: host.to_owned(), source: Some(source) })?
                .collect(),
        };
        let mut denied = None;
        let mut allowed = Vec::with_capacity(found.len());
        for address in found {
            match self.check(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(error) => denied = denied.or(Some(error)),
            }
        }
        match denied {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(denied) => Err(EgressError::Denied { host: host.to_owned(), denied }),
            None => Err(EgressError::Unresolved { host: host.to_owned(), source: None }),
        }
    }
}

/// Networks separated by commas; a bare address stands for itself alone.
impl FromStr for EgressPolicy {
    type Err = ipnet::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let allow = words
            .map(|word| word.parse::<IpAddr>().map(IpNet::from).or_else(|_| word.parse::<IpNet>()))
            .collect::<Result<_, _>>()?;
        Ok(Self { allow })
    }
}

/// The IPv4 address that an IPv6 address carries, where packets to it end up there; otherwise the address itself.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let segments = v6.segments();
    let [.., high, low] = segments;
    let join = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => join(high, low),
        [0, 0, 0, 0, 0, 0, ..] if high != 0 => join(high, low),
        [0x2002, first, second, ..] => join(first, second),
        _ => address,
    }
}

/// What special range the address lies in; `None` for public addresses.
fn special_range(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => V4
            .iter()
            .find(|(net, bits, _)| {
                let shift = 32 - u32::from(*bits);
                u32::from(v4) >> shift == u32::from(*net) >> shift
            })
            .map(|(_, _, range)| *range),
        IpAddr::V6(v6) => {
            let named = V6.iter().find(|(net, bits, _)| {
                let shift = 128 - u32::from(*bits);
                u128::from(v6) >> shift == u128::from(*net) >> shift
            });
            match named {
                Some((_, _, range)) => Some(range),
                None if v6.segments()[0] >> 13 == 1 => None,
                None => Some("a reserved address"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{EgressError, EgressPolicy};

    #[track_caller]
    fn check(policy: &str, address: &str, denied: Option<&str>) {
        let policy: EgressPolicy = policy.parse().unwrap();
        let found = policy.check(address.parse::<IpAddr>().unwrap());
        assert_eq!(found.err().map(|error| error.range), denied, "{address} under {policy:?}");
    }

    #[test]
    fn only_public_addresses_by_default() {
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2600:1f14::1", "64:ff9b::808:808"] {
            check("", public, None);
        }
        check("", "10.1.2.3", Some("a private address"));
        check("", "172.31.255.255", Some("a private address"));
        check("", "192.168.0.1", Some("a private address"));
        check("", "100.64.0.1", Some("a carrier-grade NAT address"));
        check("", "127.0.0.1", Some("a loopback address"));
        check("", "0.0.0.0", Some("an address of this host"));
        check("", "169.254.1.1", Some("a link-local address"));
        check("", "255.255.255.255", Some("a reserved address"));
        check("", "::1", Some("a loopback address"));
        check("", "::", Some("an address of this host"));
        check("", "fd12::1", Some("a private address"));
        check("", "fe80::1", Some("a link-local address"));
        check("", "64:ff9b:1::a00:1", Some("a reserved address"));
        check("", "2001::1", Some("a reserved address"));
    }

    #[test]
    fn metadata_addresses_need_to_be_named_exactly() {
        for address in
            ["169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "::ffff:169.254.169.254"]
        {
            check("", address, Some("a metadata address"));
            check("0.0.0.0/0,::/0", address, Some("a metadata address"));
        }
        check("169.254.169.254", "169.254.169.254", None);
        check("169.254.169.254/32", "64:ff9b::a9fe:a9fe", None);
    }

    #[test]
    fn ipv4_inside_ipv6_is_judged_as_ipv4() {
        check("", "::ffff:127.0.0.1", Some("a loopback address"));
        check("", "::10.0.0.1", Some("a private address"));
        check("", "64:ff9b::7f00:1", Some("a loopback address"));
        check("", "2002:c0a8:1::", Some("a private address"));
        check("127.0.0.0/8", "::ffff:127.0.0.1", None);
    }

    #[test]
    fn an_allowed_network_opens_itself_only() {
        check("10.0.0.0/8, fd00::/8", "10.255.0.1", None);
        check("10.0.0.0/8, fd00::/8", "fd00::1", None);
        check("10.0.0.0/8, fd00::/8", "192.168.0.1", Some("a private address"));
        assert!("10.0.0.0/33".parse::<EgressPolicy>().is_err());
    }

    #[tokio::test]
    async fn resolving_names_the_setting_that_would_allow_it() {
        let policy = EgressPolicy::default();
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            let error = policy.resolve(host, 443).await.unwrap_err();
            assert!(matches!(error, EgressError::Denied { .. }), "{error}");
            assert!(error.to_string().contains("RAMPART_EGRESS_ALLOW"), "{error}");
        }
        let open: EgressPolicy = "127.0.0.0/8".parse().unwrap();
        assert_eq!(open.resolve("127.0.0.1", 6443).await.unwrap(), ["127.0.0.1:6443".parse().unwrap()]);
    }
}
