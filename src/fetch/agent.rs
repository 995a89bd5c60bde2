//! ureq with every setting given by hand.
//!
//! Several defaults of ureq are wrong for a database server: it takes proxies from the environment, follows redirects
//! with custom headers, and waits for ever. Each field is therefore set here, and a test reads each back.

use std::time::Duration;

use sluice_core::url_policy::address::AddressPolicy;
use ureq::config::{Config, IpFamily, RedirectAuthHeaders};

use crate::connector::connector;
use crate::resolver::PolicyResolver;
use crate::spec::{Limits, Timeouts};
use crate::tls::Tls;

const USER_AGENT: &str = concat!("pg_sluice/", env!("CARGO_PKG_VERSION"));
/// Bytes of a response's status line and header fields.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;
/// Shorter than what servers keep idle connections for, so that few are used just as they are closed.
const MAX_IDLE: Duration = Duration::from_secs(4);

/// What an agent has to keep to.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    pub policy: AddressPolicy,
    pub tls: Tls,
    pub timeouts: Timeouts,
    pub limits: Limits,
    /// Connections that are kept for reuse.
    pub connections: usize,
}

pub(crate) fn agent(settings: AgentSettings) -> ureq::Agent {
    let config = config(&settings);
    let resolver = PolicyResolver::new(settings.policy.clone());
    ureq::Agent::with_parts(config, connector(settings.policy), resolver)
}

fn config(settings: &AgentSettings) -> Config {
    let Timeouts { connect, request } = settings.timeouts;
    Config::builder()
        // The resolver decides about http:// by address. Refused here, nobody would hear which address it was, and that
        // it may be allowed.
        .https_only(false)
        .http_status_as_error(false)
        .ip_family(IpFamily::Any)
        .tls_config(settings.tls.config())
        .proxy(None)
        .no_delay(true)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .redirect_auth_headers(RedirectAuthHeaders::Never)
        .save_redirect_history(false)
        .user_agent(USER_AGENT)
        .accept("application/json, */*;q=0.5")
        .accept_encoding("gzip")
        .max_response_header_size(MAX_RESPONSE_HEAD)
        .input_buffer_size(128 * 1024)
        .output_buffer_size(16 * 1024)
        .max_idle_connections(settings.connections)
        .max_idle_connections_per_host(settings.connections)
        .max_idle_age(MAX_IDLE)
        .allow_non_standard_methods(false)
        .timeout_global(Some(request))
        .timeout_per_call(Some(request))
        .timeout_per_read(Some(request))
        .timeout_per_write(Some(request))
        .timeout_resolve(Some(connect))
        .timeout_connect(Some(connect))
        .timeout_send_request(Some(request))
        .timeout_await_100(Some(Duration::from_secs(1)))
        .timeout_send_body(Some(request))
        .timeout_recv_response(Some(request))
        .timeout_recv_body(Some(request))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::config::AutoHeaderValue;
    use ureq::tls::{RootCerts, TlsProvider};

    fn settings(policy: AddressPolicy) -> AgentSettings {
        let timeouts = Timeouts {
            connect: Duration::from_secs(3),
            request: Duration::from_secs(7),
        };
        AgentSettings {
            policy,
            tls: Tls::default(),
            timeouts,
            limits: Limits::default(),
            connections: 5,
        }
    }

    fn text(value: &AutoHeaderValue) -> &str {
        match value {
            AutoHeaderValue::Provided(text) => text,
            other => panic!("{other:?}"),
        }
    }

    /// S-24.
    #[test]
    fn every_setting_of_the_agent_is_as_we_want_it() {
        let config = config(&settings(AddressPolicy::default()));
        assert!(!config.https_only(), "the resolver decides");
        assert!(!config.http_status_as_error());
        assert!(matches!(config.ip_family(), IpFamily::Any));
        assert!(config.proxy().is_none());
        assert!(config.no_delay());
        assert_eq!(config.max_redirects(), 0);
        assert!(!config.max_redirects_will_error());
        assert!(matches!(config.redirect_auth_headers(), RedirectAuthHeaders::Never));
        assert!(!config.save_redirect_history());
        assert_eq!(
            text(config.user_agent()),
            concat!("pg_sluice/", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(text(config.accept()), "application/json, */*;q=0.5");
        assert_eq!(text(config.accept_encoding()), "gzip");
        assert_eq!(config.max_response_header_size(), 65_536);
        assert_eq!(
            (config.input_buffer_size(), config.output_buffer_size()),
            (131_072, 16_384)
        );
        assert_eq!(
            (config.max_idle_connections(), config.max_idle_connections_per_host()),
            (5, 5)
        );
        assert_eq!(config.max_idle_age(), Duration::from_secs(4));
        assert!(!config.allow_non_standard_methods());
    }

    #[test]
    fn every_time_limit_is_set() {
        let config = config(&settings(AddressPolicy::default()));
        let (connect, request) = (Some(Duration::from_secs(3)), Some(Duration::from_secs(7)));
        let t = config.timeouts();
        assert_eq!([t.resolve, t.connect], [connect; 2]);
        let whole = [
            t.global,
            t.per_call,
            t.send_request,
            t.send_body,
            t.recv_response,
            t.recv_body,
        ];
        assert_eq!(whole, [request; 6]);
        assert_eq!([config.timeout_per_read(), config.timeout_per_write()], [request; 2]);
        assert_eq!(t.await_100, Some(Duration::from_secs(1)));
    }

    /// S-25.
    #[test]
    fn certificates_are_verified_against_the_bundled_roots() {
        let config = config(&settings(AddressPolicy::default()));
        let tls = config.tls_config();
        assert!(!tls.disable_verification());
        assert!(tls.use_sni() && tls.client_cert().is_none());
        assert!(matches!(tls.root_certs(), RootCerts::WebPki));
        assert!(matches!(tls.provider(), TlsProvider::Rustls));
    }
}
