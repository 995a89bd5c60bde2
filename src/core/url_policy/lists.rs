//! The lists of networks and hosts that the server's settings hold: read as a whole, or refused as a whole. An entry
//! that was passed over would close a way that its writer believes to be open.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Host;

/// An entry that a list cannot hold; its text is a sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListFault {
    #[error("\"{entry}\" is not a network")]
    Network { entry: String },
    /// An address without the length of its network.
    #[error("\"{address}\" is an address, not a network")]
    Address { address: IpAddr },
    #[error("\"{entry}\" is not a host name")]
    Host { entry: String },
    /// Requests name the host otherwise, so that the entry would never match.
    #[error("Host \"{entry}\" is called \"{name}\" in requests")]
    HostSpelling { entry: String, name: String },
}

impl ListFault {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            ListFault::Network { .. } => {
                "Write networks as address/length, separated by commas: '127.0.0.0/8, fd00::/8'.".into()
            }
            ListFault::Address { address } => format!("For this address alone write '{}'.", IpNet::from(*address)),
            ListFault::Host { .. } => {
                "Write names without scheme, port and path, separated by commas: 'api.example.com, *.example.org'."
                    .into()
            }
            ListFault::HostSpelling { name, .. } => format!("Write '{name}'."),
        }
    }
}

/// Networks that are named as CIDR blocks.
pub type Networks = Vec<IpNet>;

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// Reads `sluice.allowed_networks`: CIDR blocks (RFC 4632, RFC 4291).
pub fn parse_networks(text: &str) -> Result<Networks, ListFault> {
    entries(text).map(network).collect()
}

fn network(entry: &str) -> Result<IpNet, ListFault> {
    entry.parse().map_err(|_| match entry.parse() {
        Ok(address) => ListFault::Address { address },
        Err(_) => ListFault::Network { entry: entry.into() },
    })
}

/// Reads `sluice.allowed_hosts`: exact names, or `*.example.com` for every name below.
pub fn parse_hosts(text: &str) -> Result<Vec<String>, ListFault> {
    entries(text).map(host).collect()
}

fn host(entry: &str) -> Result<String, ListFault> {
    if entry.parse::<IpAddr>().is_ok() {
        return Ok(entry.into());
    }
    let (wildcard, name) = match entry.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", entry),
    };
    let fault = || ListFault::Host { entry: entry.into() };
    let Ok(Host::Domain(read)) = Host::parse(name) else {
        return Err(fault());
    };
    if name.contains(['*', '%']) || read.split('.').next().is_none_or(str::is_empty) {
        return Err(fault());
    }
    if read != name.to_ascii_lowercase() {
        return Err(ListFault::HostSpelling {
            entry: entry.into(),
            name: format!("{wildcard}{read}"),
        });
    }
    Ok(entry.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_whole() {
        assert_eq!(parse_networks("").unwrap(), []);
        let read = parse_networks(" 127.0.0.0/8,fd00::/8 , ").unwrap();
        assert_eq!(read, ["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
    }

    #[test]
    fn one_entry_that_is_no_network_refuses_the_list() {
        for (text, told, hint) in [
            ("127.0.0.0/8, local", "\"local\" is not a network", "address/length"),
            ("10.0.0.0/33", "\"10.0.0.0/33\" is not a network", "address/length"),
            ("10.0.0.0/8;127.0.0.0/8", "is not a network", "commas"),
            (
                "127.0.0.1",
                "\"127.0.0.1\" is an address, not a network",
                "'127.0.0.1/32'",
            ),
            ("::1", "\"::1\" is an address, not a network", "'::1/128'"),
        ] {
            let fault = parse_networks(text).unwrap_err();
            assert!(fault.to_string().contains(told), "{text}: {fault}");
            assert!(fault.hint().contains(hint), "{text}: {}", fault.hint());
        }
    }

    #[test]
    fn hosts_are_names_wildcards_below_a_name_and_addresses() {
        let text = "api.example.com, *.shop.example, API.example., 127.0.0.1, ::1, localhost";
        assert_eq!(parse_hosts(text).unwrap().len(), 6);
    }

    #[test]
    fn one_entry_that_no_request_could_match_refuses_the_list() {
        for (text, told, hint) in [
            (
                "ok.example, https://api.example.com",
                "is not a host name",
                "without scheme",
            ),
            ("api.example.com:443", "is not a host name", "port"),
            ("api.example.com/v1", "is not a host name", "path"),
            ("two words.example", "is not a host name", "commas"),
            ("*", "is not a host name", "*.example.org"),
            ("api.*.example", "is not a host name", "*.example.org"),
            ("*.", "is not a host name", "*.example.org"),
            (
                "*.größe.example",
                "is called \"*.xn--gre-6ka8i.example\"",
                "'*.xn--gre-6ka8i.example'",
            ),
        ] {
            let fault = parse_hosts(text).unwrap_err();
            assert!(fault.to_string().contains(told), "{text}: {fault}");
            assert!(fault.hint().contains(hint), "{text}: {}", fault.hint());
        }
    }
}
