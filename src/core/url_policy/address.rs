//! Which network addresses may be connected to (S-22).
//!
//! Checked are resolved addresses, never the text of a URL: `127.1`, `0x7f000001` and a name that resolves to
//! 127.0.0.1 are all the same address. Refused is whatever is not globally reachable (the special-purpose registries
//! of IANA, RFC 6890), unless `sluice.allowed_networks` holds it. Metadata services of cloud providers are refused
//! always: they hand out the machine's credentials to whoever asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("It is a {0} address")]
    NotPublic(&'static str),
    #[error("It is the address of a cloud provider's metadata service, which is never allowed")]
    Metadata,
}

impl Refusal {
    /// The statements that allow the address, where that is possible.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Refusal::NotPublic("loopback") => {
                Some("To allow it: ALTER SYSTEM SET sluice.allowed_networks = '127.0.0.0/8'; SELECT pg_reload_conf();")
            }
            Refusal::NotPublic("private") => Some(
                "To allow it, name its network (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or a part of one): \
                 ALTER SYSTEM SET sluice.allowed_networks = '…'; SELECT pg_reload_conf();",
            ),
            Refusal::NotPublic(_) => Some(
                "To allow it, name its network: ALTER SYSTEM SET sluice.allowed_networks = '…'; SELECT pg_reload_conf();",
            ),
            Refusal::Metadata => Some("Give the address of an API: no setting allows this one."),
        }
    }
}

/// Where requests of this cluster may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// `sluice.allowed_networks`: addresses that are accepted although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// `sluice.allowed_hosts`: exact names, or `*.example.com` for every name below. Empty: every host.
    pub allowed_hosts: Vec<String>,
    /// The server option `plain_http`: http:// to public addresses too.
    pub plain_http: bool,
}

impl AddressPolicy {
    /// Whether an address may be connected to.
    pub fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        if is_metadata(address) {
            return Err(Refusal::Metadata);
        }
        let embedded = embedded_v4(address).map(IpAddr::V4);
        if embedded.is_some_and(is_metadata) {
            return Err(Refusal::Metadata);
        }
        match not_public(address) {
            None => Ok(()),
            // An allowed translation network does not allow what lies behind it.
            Some(_) if self.is_in_allowed_network(address) => embedded.map_or(Ok(()), |behind| self.check(behind)),
            Some(kind) => Err(Refusal::NotPublic(kind)),
        }
    }

    /// Whether `sluice.allowed_networks` holds the address.
    pub fn is_in_allowed_network(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed_networks.iter().any(|network| network.contains(&address))
    }

    /// Whether http:// may be used with a host of these addresses: each lies in an allowed network, or the connection
    /// says so.
    pub fn allows_plain_http(&self, addresses: &[IpAddr]) -> bool {
        let all_allowed = !addresses.is_empty() && addresses.iter().all(|a| self.is_in_allowed_network(*a));
        self.plain_http || all_allowed
    }

    /// Whether a host's name may be asked for at all. Names are compared without case and without a final dot.
    pub fn allows_host(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let matches = |pattern: &String| {
            let pattern = pattern.trim_end_matches('.').to_ascii_lowercase();
            match pattern.strip_prefix("*.") {
                Some(parent) => host
                    .strip_suffix(parent)
                    .is_some_and(|head| head.len() > 1 && head.ends_with('.')),
                None => host == pattern,
            }
        };
        self.allowed_hosts.is_empty() || self.allowed_hosts.iter().any(matches)
    }
}

/// Services that hand out credentials or configuration to the machine that asks: AWS (instance, DNS, time, ECS, EKS),
/// Google, Azure, DigitalOcean, Oracle, Alibaba, OpenStack.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => matches!(
            v4.octets(),
            [169, 254, 169, 254]
                | [169, 254, 169, 253]
                | [169, 254, 169, 123]
                | [169, 254, 170, 2]
                | [169, 254, 170, 23]
                | [168, 63, 129, 16]
                | [192, 0, 0, 192]
                | [100, 100, 100, 200]
        ),
        IpAddr::V6(v6) => matches!(
            v6.segments(),
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23 | 0x253 | 0x123] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
        ),
    }
}

/// The IPv4 address that an IPv6 address leads to: NAT64 (RFC 6052), 6to4 (RFC 3056), IPv4-compatible (RFC 4291).
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let pair = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(pair(high, low)),
        [0x64, 0xff9b, 1, _, _, _, high, low] => Some(pair(high, low)),
        [0x2002, high, low, ..] => Some(pair(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => Some(pair(high, low)),
        _ => None,
    }
}

/// The kind of an address that is not globally reachable, as a word for messages.
fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => not_public_v4(v4),
        IpAddr::V6(v6) => not_public_v6(v6),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, ..] => "unspecified",
        [127, ..] => "loopback",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "shared (carrier-grade NAT)",
        [169, 254, ..] => "link-local",
        [192, 0, 0, _] | [192, 88, 99, _] => "special-purpose",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "documentation",
        [198, 18..=19, ..] => "benchmarking",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

/// Only global unicast space (2000::/3) is public, less the ranges in it that lead elsewhere.
fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0x64, 0xff9b, ..] => "NAT64",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => "documentation",
        [0x2001, 0..=0x01ff, ..] => "special-purpose",
        [0x2002, ..] => "6to4",
        [0xfc00..=0xfdff, ..] => "private",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        [0x2000..=0x3fff, ..] => return None,
        _ => "reserved",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::{Host, Url};

    fn allowing(networks: &[&str]) -> AddressPolicy {
        let allowed_networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        AddressPolicy {
            allowed_networks,
            ..AddressPolicy::default()
        }
    }

    fn kind(policy: &AddressPolicy, address: &str) -> &'static str {
        match policy.check(address.parse().unwrap()) {
            Ok(()) => "public",
            Err(Refusal::NotPublic(kind)) => kind,
            Err(Refusal::Metadata) => "metadata",
        }
    }

    #[test]
    fn only_globally_reachable_addresses_are_public() {
        let table = [
            ("8.8.8.8", "public"),
            ("1.1.1.1", "public"),
            ("93.184.216.34", "public"),
            ("100.63.255.255", "public"),
            ("100.128.0.0", "public"),
            ("172.15.255.255", "public"),
            ("172.32.0.0", "public"),
            ("192.0.1.1", "public"),
            ("198.17.255.255", "public"),
            ("198.20.0.0", "public"),
            ("223.255.255.255", "public"),
            ("0.0.0.0", "unspecified"),
            ("0.255.255.255", "unspecified"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "shared (carrier-grade NAT)"),
            ("100.127.255.255", "shared (carrier-grade NAT)"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("169.254.0.1", "link-local"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.1", "special-purpose"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "special-purpose"),
            ("192.168.0.1", "private"),
            ("198.18.0.1", "benchmarking"),
            ("198.19.255.255", "benchmarking"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.7", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("2606:4700:4700::1111", "public"),
            ("2a00:1450:4001:800::200e", "public"),
            ("2001:200::1", "public"),
            ("2003::1", "public"),
            ("3fff:1000::1", "public"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::2", "reserved"),
            ("::10.0.0.1", "reserved"),
            ("::ffff:8.8.8.8", "public"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.1.2.3", "private"),
            ("::ffff:0:127.0.0.1", "reserved"),
            ("64:ff9b::808:808", "NAT64"),
            ("64:ff9b:1::1", "NAT64"),
            ("100::1", "reserved"),
            ("2001::1", "special-purpose"),
            ("2001:1ff::1", "special-purpose"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "6to4"),
            ("3fff::1", "documentation"),
            ("4000::1", "reserved"),
            ("5f00::1", "reserved"),
            ("fc00::1", "private"),
            ("fdff::1", "private"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
        ];
        for (address, expected) in table {
            assert_eq!(kind(&AddressPolicy::default(), address), expected, "{address}");
        }
    }

    #[test]
    fn metadata_services_stay_refused_where_everything_is_allowed() {
        let everything = allowing(&["0.0.0.0/0", "::/0"]);
        let metadata = [
            "169.254.169.254",
            "169.254.169.253",
            "169.254.170.2",
            "169.254.170.23",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
        ];
        for address in metadata {
            assert_eq!(kind(&everything, address), "metadata", "{address}");
            assert_eq!(kind(&AddressPolicy::default(), address), "metadata", "{address}");
        }
        for address in ["169.254.1.1", "127.0.0.1", "10.0.0.1", "fe80::1", "::1", "fd00::1"] {
            assert_eq!(kind(&everything, address), "public", "{address}");
        }
    }

    #[test]
    fn a_host_in_any_encoding_is_its_address() {
        // What the URL parser makes of them; fetch tests the same with the system's resolver.
        let loopback = [
            "127.0.0.1",
            "127.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
            "0x7f.1",
            "%31%32%37.1",
            "１２７.1",
        ];
        for host in loopback {
            let url = Url::parse(&format!("http://{host}/")).unwrap();
            let Some(Host::Ipv4(v4)) = url.host() else {
                panic!("{host}")
            };
            assert_eq!(
                AddressPolicy::default().check(v4.into()),
                Err(Refusal::NotPublic("loopback")),
                "{host}"
            );
        }
        let url = Url::parse("http://[::ffff:7f00:1]/").unwrap();
        let Some(Host::Ipv6(v6)) = url.host() else { panic!() };
        assert_eq!(
            AddressPolicy::default().check(v6.into()),
            Err(Refusal::NotPublic("loopback"))
        );
    }

    #[test]
    fn an_allowed_network_allows_its_addresses_and_no_others() {
        let policy = allowing(&["127.0.0.0/8", "10.1.0.0/16", "fd12::/16"]);
        for address in ["127.0.0.1", "10.1.255.1", "::ffff:10.1.2.3", "fd12::7"] {
            assert_eq!(policy.check(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in ["10.2.0.1", "::1", "fd13::7", "192.168.0.1"] {
            assert!(policy.check(address.parse().unwrap()).is_err(), "{address}");
        }
    }

    #[test]
    fn an_allowed_translation_network_does_not_allow_what_lies_behind_it() {
        let nat64 = allowing(&["64:ff9b::/96"]);
        assert_eq!(kind(&nat64, "64:ff9b::808:808"), "public");
        assert_eq!(kind(&nat64, "64:ff9b::7f00:1"), "loopback");
        assert_eq!(kind(&nat64, "64:ff9b::a00:1"), "private");
    }

    #[test]
    fn plain_http_needs_every_address_in_an_allowed_network_or_the_connections_word() {
        let ips = |addresses: &[&str]| addresses.iter().map(|a| a.parse().unwrap()).collect::<Vec<IpAddr>>();
        let policy = allowing(&["127.0.0.0/8"]);
        assert!(policy.allows_plain_http(&ips(&["127.0.0.1", "127.0.0.2"])));
        assert!(!policy.allows_plain_http(&ips(&["127.0.0.1", "8.8.8.8"])));
        assert!(!policy.allows_plain_http(&[]));
        assert!(
            AddressPolicy {
                plain_http: true,
                ..policy
            }
            .allows_plain_http(&ips(&["8.8.8.8"]))
        );
    }

    #[test]
    fn host_patterns_match_whole_names() {
        let hosts = vec!["api.example".to_owned(), "*.shop.example".to_owned()];
        let policy = AddressPolicy {
            allowed_hosts: hosts,
            ..AddressPolicy::default()
        };
        for host in ["api.example", "API.example.", "a.shop.example", "a.b.shop.example"] {
            assert!(policy.allows_host(host), "{host}");
        }
        for host in [
            "evil.example",
            "xapi.example",
            "api.example.evil",
            "shop.example",
            "xshop.example",
            ".shop.example",
        ] {
            assert!(!policy.allows_host(host), "{host}");
        }
        assert!(AddressPolicy::default().allows_host("anything.example"));
    }
}
