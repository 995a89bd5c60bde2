//! Connections, checked once more.
//!
//! The chain is `Gate → TCP → Watch → Handshake`. The gate stands directly before the sockets: whatever resolved the name,
//! and however the addresses came here, only a checked address is connected to. The chain has no proxy and no other
//! way to a socket.

use std::io::ErrorKind;

use sluice_core::http::{HttpError, TlsProblem, remote};
use sluice_core::url_policy::address::AddressPolicy;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, RustlsConnector, TcpConnector, Transport,
};
use url::Url;

pub(crate) fn connector(policy: AddressPolicy) -> impl Connector<()> {
    Gate { policy }
        .chain(TcpConnector::default())
        .chain(Watch)
        .chain(Handshake(RustlsConnector::default()))
}

/// Lets only checked addresses pass.
#[derive(Debug)]
struct Gate {
    policy: AddressPolicy,
}

impl Connector<()> for Gate {
    type Out = ();

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<()>, Error> {
        for address in &details.addrs {
            self.policy.check(address.ip()).map_err(|refusal| {
                let host = details.uri.host().unwrap_or_default().to_owned();
                Error::Other(Box::new(HttpError::BlockedAddress {
                    host,
                    address: address.ip().to_canonical(),
                    refusal,
                }))
            })?;
        }
        Ok(None)
    }
}

/// TLS, whose failures are told apart from those of the connection below it: a peer that does not speak TLS closes the
/// connection or says nothing at all.
#[derive(Debug)]
struct Handshake(RustlsConnector);

impl<In: Transport> Connector<In> for Handshake {
    type Out = <RustlsConnector as Connector<In>>::Out;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        self.0.connect(details, chained).map_err(|error| match error {
            Error::Io(io) if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => Error::Io(io),
            Error::Io(_) | Error::Timeout(_) => unanswered(details),
            other => other,
        })
    }
}

fn unanswered(details: &ConnectionDetails) -> Error {
    let remote = Url::parse(&details.uri.to_string()).map_or_else(|_| String::new(), |url| remote(&url));
    let problem = TlsProblem::Handshake;
    Error::Other(Box::new(HttpError::Tls { remote, problem }))
}

/// Wraps each connection in [`Watched`].
#[derive(Debug)]
struct Watch;

impl<In: Transport> Connector<In> for Watch {
    type Out = Watched<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Watched<In>>, Error> {
        Ok(chained.map(Watched))
    }
}

/// A connection whose resets are told apart from its end. ureq takes a reset for the end of a body that is delimited
/// by the connection's close, and would pass on half a page.
#[derive(Debug)]
struct Watched<T>(T);

impl<T: Transport> Transport for Watched<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout).map_err(|error| match error {
            Error::Io(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted) => {
                Error::Io(ErrorKind::BrokenPipe.into())
            }
            other => other,
        })
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_core::url_policy::address::Refusal;
    use std::net::TcpListener;
    use std::time::Duration;
    use ureq::unversioned::resolver::DefaultResolver;

    /// S-23: whatever a resolver says, the address itself is checked where the socket is made.
    #[test]
    fn an_address_that_a_resolver_let_through_is_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = ureq::config::Config::builder()
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(5)))
            .build();
        let agent = ureq::Agent::with_parts(config, connector(AddressPolicy::default()), DefaultResolver::default());
        let refused = agent.get(format!("http://127.0.0.1:{port}/")).call().unwrap_err();
        let Error::Other(inner) = refused else {
            panic!("{refused:?}")
        };
        assert!(matches!(
            inner.downcast_ref::<HttpError>(),
            Some(HttpError::BlockedAddress {
                refusal: Refusal::NotPublic("loopback"),
                ..
            })
        ));
        assert!(listener.accept().is_err(), "nobody came");
    }
}
