//! Names to addresses, under the address policy (S-22, S-23).
//!
//! Checked is what the system's resolver returns. Refused addresses are dropped from mixed answers; where none is
//! left, nothing is connected to. Answers are kept for a minute, so that a name does not change its meaning between
//! two requests of a run and a slow DNS server is not asked for each connection.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sluice_core::http::{HttpError, Phase};
use sluice_core::url_policy::address::AddressPolicy;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer holds.
const KEEP: Duration = Duration::from_secs(60);
/// Lookups of one agent that may be under way. A lookup cannot be broken off, only left behind on its thread.
const MAX_LOOKUPS: usize = 8;
/// As many as ureq takes.
const MAX_ADDRESSES: usize = 16;
const LOOKUP_STACK: usize = 512 * 1024;

/// Resolves `host:port`. The system's resolver, or a test's.
type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

pub(crate) struct PolicyResolver {
    policy: AddressPolicy,
    lookup: Arc<Lookup>,
    under_way: Arc<AtomicUsize>,
    known: Mutex<HashMap<String, (Instant, Vec<SocketAddr>)>>,
}

impl PolicyResolver {
    pub fn new(policy: AddressPolicy) -> PolicyResolver {
        PolicyResolver::with_lookup(policy, |name| name.to_socket_addrs().map(Iterator::collect))
    }

    fn with_lookup(
        policy: AddressPolicy,
        lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> PolicyResolver {
        PolicyResolver {
            policy,
            lookup: Arc::new(lookup),
            under_way: Arc::default(),
            known: Mutex::default(),
        }
    }

    /// The addresses of a URL's host that may be connected to; at least one.
    fn addresses(&self, uri: &Uri, timeout: Duration) -> Result<Vec<SocketAddr>, HttpError> {
        let host = uri.host().unwrap_or_default().to_owned();
        let is_plain = uri.scheme_str() != Some("https");
        let port = uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        let shown = || host.trim_matches(['[', ']']).to_owned();
        if !self.policy.allows_host(&shown()) {
            return Err(HttpError::BlockedHost { host: shown() });
        }
        let found = self.look_up(&format!("{host}:{port}"), timeout, &shown())?;
        let ips: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
        let allowed = self.allowed(found, &shown())?;
        if is_plain && !self.policy.allows_plain_http(&ips) {
            return Err(HttpError::PlainHttp { host: shown() });
        }
        Ok(allowed)
    }

    /// What the policy leaves of an answer; an error where that is nothing.
    fn allowed(&self, found: Vec<SocketAddr>, host: &str) -> Result<Vec<SocketAddr>, HttpError> {
        let mut refused = HttpError::Resolve { host: host.to_owned() };
        let mut allowed = Vec::new();
        for address in found.into_iter().take(MAX_ADDRESSES) {
            match self.policy.check(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(refusal) => {
                    let address = address.ip().to_canonical();
                    refused = HttpError::BlockedAddress {
                        host: host.to_owned(),
                        address,
                        refusal,
                    };
                }
            }
        }
        if allowed.is_empty() { Err(refused) } else { Ok(allowed) }
    }

    fn look_up(&self, name: &str, timeout: Duration, host: &str) -> Result<Vec<SocketAddr>, HttpError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, addresses)) = known().get(name).filter(|(at, _)| at.elapsed() < KEEP) {
            return Ok(addresses.clone());
        }
        let timed_out = || HttpError::Timeout {
            remote: name.to_owned(),
            phase: Phase::Resolve,
        };
        let answer = self.ask(name, timeout).ok_or_else(timed_out)?;
        let addresses = answer.map_err(|_| HttpError::Resolve { host: host.to_owned() })?;
        known().insert(name.to_owned(), (Instant::now(), addresses.clone()));
        Ok(addresses)
    }

    /// Asks on a thread of its own, which may outlive the wait. None: no answer in time, or too many are under way.
    fn ask(&self, name: &str, timeout: Duration) -> Option<io::Result<Vec<SocketAddr>>> {
        let under_way = Arc::clone(&self.under_way);
        if under_way.fetch_add(1, Ordering::AcqRel) >= MAX_LOOKUPS {
            under_way.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let (lookup, name) = (Arc::clone(&self.lookup), name.to_owned());
        let thread = std::thread::Builder::new()
            .name("sl-resolve".to_owned())
            .stack_size(LOOKUP_STACK);
        let spawned = thread.spawn(move || {
            let answer = lookup(&name);
            under_way.fetch_sub(1, Ordering::AcqRel);
            // Nobody may be waiting any more.
            let _ = sender.send(answer);
        });
        if let Err(error) = spawned {
            self.under_way.fetch_sub(1, Ordering::AcqRel);
            return Some(Err(error));
        }
        match receiver.recv_timeout(timeout) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(io::ErrorKind::NotFound.into())),
        }
    }
}

impl Resolver for PolicyResolver {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = self
            .addresses(uri, *timeout.after)
            .map_err(|error| ureq::Error::Other(Box::new(error)))?;
        let mut resolved = self.empty();
        addresses.into_iter().for_each(|address| resolved.push(address));
        Ok(resolved)
    }
}

impl fmt::Debug for PolicyResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyResolver")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_core::url_policy::address::Refusal;

    const SOON: Duration = Duration::from_secs(5);

    fn answering(policy: AddressPolicy, addresses: &[&str]) -> PolicyResolver {
        let found: Vec<SocketAddr> = addresses
            .iter()
            .map(|a| SocketAddr::new(a.parse().unwrap(), 443))
            .collect();
        PolicyResolver::with_lookup(policy, move |_| Ok(found.clone()))
    }

    fn resolve(resolver: &PolicyResolver, uri: &str) -> Result<Vec<String>, HttpError> {
        let addresses = resolver.addresses(&uri.parse().unwrap(), SOON)?;
        Ok(addresses.iter().map(|address| address.ip().to_string()).collect())
    }

    fn loopback() -> AddressPolicy {
        let allowed_networks = vec!["127.0.0.0/8".parse().unwrap()];
        AddressPolicy {
            allowed_networks,
            ..AddressPolicy::default()
        }
    }

    /// F-N11.
    #[test]
    fn every_encoding_of_loopback_resolves_to_a_refused_address() {
        // Straight to the system's resolver, without a URL parser that would normalise them first.
        for host in [
            "127.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
            "127.0.0.1",
            "[::ffff:127.0.0.1]",
            "[::1]",
            "0",
        ] {
            let resolver = PolicyResolver::new(AddressPolicy::default());
            let refused = resolve(&resolver, &format!("https://{host}/"));
            assert!(
                matches!(refused, Err(HttpError::BlockedAddress { .. })),
                "{host}: {refused:?}"
            );
        }
        let allowed = PolicyResolver::new(loopback());
        assert_eq!(resolve(&allowed, "https://0x7f000001/").unwrap(), ["127.0.0.1"]);
    }

    /// F-N11.
    #[test]
    fn refused_addresses_are_dropped_from_a_mixed_answer() {
        let mixed = answering(
            AddressPolicy::default(),
            &["10.0.0.1", "8.8.8.8", "fe80::1", "169.254.169.254"],
        );
        assert_eq!(resolve(&mixed, "https://api.example/").unwrap(), ["8.8.8.8"]);
        let none_left = answering(AddressPolicy::default(), &["10.0.0.1", "fe80::1"]);
        let error = resolve(&none_left, "https://api.example/").unwrap_err();
        let address: IpAddr = "fe80::1".parse().unwrap();
        let refusal = Refusal::NotPublic("link-local");
        assert_eq!(
            error,
            HttpError::BlockedAddress {
                host: "api.example".into(),
                address,
                refusal
            }
        );
    }

    #[test]
    fn plain_http_needs_every_address_to_be_allowed() {
        let all = answering(loopback(), &["127.0.0.1", "127.0.0.2"]);
        assert!(resolve(&all, "http://api.example/").is_ok());
        let mixed = answering(loopback(), &["127.0.0.1", "8.8.8.8"]);
        assert_eq!(
            resolve(&mixed, "http://api.example/"),
            Err(HttpError::PlainHttp {
                host: "api.example".into()
            })
        );
        assert!(resolve(&mixed, "https://api.example/").is_ok());
    }

    #[test]
    fn only_allowed_hosts_are_looked_up() {
        let policy = AddressPolicy {
            allowed_hosts: vec!["api.example".into()],
            ..AddressPolicy::default()
        };
        let resolver = PolicyResolver::with_lookup(policy, |name| panic!("looked up {name}"));
        assert_eq!(
            resolve(&resolver, "https://evil.example/"),
            Err(HttpError::BlockedHost {
                host: "evil.example".into()
            })
        );
    }

    /// F-N11.
    #[test]
    fn an_answer_holds_for_the_run_so_that_a_name_cannot_change_its_meaning() {
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&calls);
        let rebinding = PolicyResolver::with_lookup(AddressPolicy::default(), move |_| {
            let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
            Ok(vec![SocketAddr::new(
                if first { [8, 8, 8, 8] } else { [127, 0, 0, 1] }.into(),
                443,
            )])
        });
        for _ in 0..3 {
            assert_eq!(resolve(&rebinding, "https://api.example/").unwrap(), ["8.8.8.8"]);
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    /// F-N1.
    #[test]
    fn a_lookup_that_hangs_is_left_behind_and_counted() {
        let (release, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let hanging = PolicyResolver::with_lookup(AddressPolicy::default(), move |_| {
            let _ = gate.lock().unwrap().recv();
            Err(io::ErrorKind::NotFound.into())
        });
        let start = Instant::now();
        let uri: Uri = "https://api.example/".parse().unwrap();
        for _ in 0..MAX_LOOKUPS + 2 {
            let error = hanging.addresses(&uri, Duration::from_millis(5)).unwrap_err();
            assert!(
                matches!(
                    error,
                    HttpError::Timeout {
                        phase: Phase::Resolve,
                        ..
                    }
                ),
                "{error:?}"
            );
        }
        assert!(start.elapsed() < SOON);
        assert_eq!(hanging.under_way.load(Ordering::SeqCst), MAX_LOOKUPS);
        drop(release);
    }

    #[test]
    fn a_name_without_addresses_does_not_resolve() {
        let empty = answering(AddressPolicy::default(), &[]);
        assert_eq!(
            resolve(&empty, "https://api.example/"),
            Err(HttpError::Resolve {
                host: "api.example".into()
            })
        );
    }
}
