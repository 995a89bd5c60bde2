//! Every way in which an exchange with the remote fails.
//!
//! A variant says by structure what happened; class, SQLSTATE, detail and hint follow from it. Messages name the remote
//! as `host:port` and never hold a query, a credential or a header's value.

use std::net::IpAddr;
use std::time::Duration;

use url::Url;

use crate::class::Class;
use crate::counted::counted;
use crate::error::Explain;
use crate::rate::{Hold, Why};
use crate::url_policy::address::Refusal;
use crate::url_policy::join::PathError;

/// The part of an exchange that a time limit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Resolve,
    Connect,
    /// Sending the request.
    Send,
    /// Waiting for the response's headers, or the request as a whole.
    Response,
    Body,
}

/// How a transfer broke after the connection stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// The peer reset the connection.
    Reset,
    /// The peer closed the connection before the response was complete.
    Truncated,
    /// What came is not HTTP/1.1 (bad status line, header, chunk).
    Garbled,
}

/// Why TLS could not be agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsProblem {
    Expired,
    WrongName,
    UnknownIssuer,
    Revoked,
    /// Any other fault of the certificate.
    BadCertificate,
    /// The remote wants a certificate, or another one.
    ClientCertificate,
    /// No common version or cipher, or the handshake broke.
    Handshake,
}

/// Which bound a response went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeLimit {
    /// Decoded bytes of the body.
    Body(u64),
    /// Decoded bytes per byte on the wire.
    Ratio(u32),
    /// The response's head.
    Head,
}

/// A failed exchange.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    #[error("could not resolve host \"{host}\"")]
    Resolve { host: String },
    #[error("connection to {remote} was refused")]
    Refused { remote: String },
    #[error("could not connect to {remote}")]
    Connect { remote: String },
    #[error("could not agree on TLS with {remote}")]
    Tls { remote: String, problem: TlsProblem },
    #[error("transfer from {remote} broke")]
    Broken { remote: String, how: Breakage },
    #[error("{remote} did not answer in time")]
    Timeout { remote: String, phase: Phase },
    /// `excerpt`: at most 200 characters of a JSON body, control characters escaped, credentials redacted.
    #[error("{remote} answered with status {status}")]
    Status {
        remote: String,
        path: String,
        status: u16,
        excerpt: Option<String>,
        retry_after: Option<Duration>,
    },
    /// A good status, and a rule that takes the answer for a failure.
    #[error("the answer of {remote} is an error")]
    AnswerIsError {
        remote: String,
        path: String,
        status: u16,
        excerpt: Option<String>,
        retry_after: Option<Duration>,
    },
    /// The error budget of a run is spent. `in_row`: with those that followed each other.
    #[error("{failed} requests failed{}", if *.in_row { " in a row" } else { "" })]
    TooManyFailures {
        failed: u32,
        in_row: bool,
        last: Box<HttpError>,
    },
    /// A status that is no failure but says that this is not the collection (202, 206, 304 without a validator …).
    #[error("{remote} answered with status {status}, which is no complete page")]
    NotAPage { remote: String, path: String, status: u16 },
    /// `to_origin`: None where the target is no http or https address, or is missing.
    #[error("{remote} redirects elsewhere (status {status})")]
    Redirected {
        remote: String,
        status: u16,
        to_origin: Option<String>,
    },
    #[error("address {address} of host \"{host}\" is not allowed")]
    BlockedAddress {
        host: String,
        address: IpAddr,
        refusal: Refusal,
    },
    #[error("host \"{host}\" is not allowed")]
    BlockedHost { host: String },
    #[error("connection without TLS to \"{host}\" is not allowed")]
    PlainHttp { host: String },
    #[error("next link of page {page} leads out of the connection's base URL")]
    ForeignLink { page: u64, to_origin: Option<String> },
    #[error("Link header of page {page} cannot be read")]
    BadLink { page: u64 },
    #[error("page {page} names its next page in a way that cannot be followed")]
    BadNext { page: u64 },
    #[error("last record of page {page} has no value in the column of the keyset")]
    MissingKey { page: u64 },
    #[error("path \"{path}\" is not usable")]
    BadPath { path: String, reason: PathError },
    #[error("page token of page {page} cannot be used")]
    BadToken { page: u64 },
    /// `restarts`: how often the read had begun again because of such an answer.
    #[error("{remote} no longer knows the token of page {page}")]
    TokenLost {
        remote: String,
        page: u64,
        status: u16,
        restarts: u32,
    },
    #[error("response of {remote} is too large")]
    TooLarge { remote: String, limit: SizeLimit },
    #[error("response of {remote} cannot be decoded")]
    BadEncoding { remote: String, encoding: String },
    #[error("pagination repeats itself at page {page}")]
    PaginationLoop { page: u64 },
    #[error("page {page} has no total")]
    MissingTotal { page: u64 },
    #[error("read has more than {}", counted(*.limit, "page"))]
    TooManyPages { limit: u64 },
    #[error("request header \"{name}\" cannot be sent")]
    BadHeader { name: String },
    /// Nothing was sent: the budget of host and credential says when it may be.
    #[error("requests to {remote} have to wait")]
    RateWait { remote: String, wait: Duration, why: Why },
    #[error("could not start a fetch thread")]
    NoThread,
    #[error("internal error in a fetch thread")]
    Panicked { page: u64 },
}

impl HttpError {
    /// A request to `remote` that has to wait for longer than it can be waited for.
    pub fn rate_wait(remote: &str, hold: Hold) -> HttpError {
        HttpError::RateWait {
            remote: remote.to_owned(),
            wait: hold.wait,
            why: hold.why,
        }
    }

    /// A probe of `base` that did not end within its own time limit.
    pub fn probe_timeout(base: &Url) -> HttpError {
        HttpError::Timeout {
            remote: super::remote(base),
            phase: Phase::Response,
        }
    }
}

impl Explain for HttpError {
    fn class(&self) -> Class {
        use HttpError::*;
        match self {
            Resolve { .. } | Refused { .. } | Connect { .. } | Broken { .. } => Class::Network,
            Tls {
                problem: TlsProblem::Handshake,
                ..
            } => Class::Network,
            Timeout { .. } => Class::Timeout,
            Status {
                status, retry_after, ..
            } => super::status::class_of(*status, *retry_after),
            AnswerIsError { .. } => Class::Server,
            TooManyFailures { last, .. } => last.class(),
            NotAPage { .. }
            | BadLink { .. }
            | BadNext { .. }
            | MissingKey { .. }
            | TooLarge { .. }
            | BadEncoding { .. }
            | MissingTotal { .. } => Class::Data,
            Tls { .. } | Redirected { .. } | BlockedAddress { .. } | BlockedHost { .. } => Class::Config,
            PlainHttp { .. } | ForeignLink { .. } | BadPath { .. } | BadToken { .. } | BadHeader { .. } => {
                Class::Config
            }
            TooManyPages { .. } | TokenLost { .. } => Class::Config,
            PaginationLoop { .. } => Class::PaginationLoop,
            RateWait { .. } => Class::RateLimit,
            NoThread => Class::Resource,
            Panicked { .. } => Class::Internal,
        }
    }

    fn sqlstate(&self) -> &'static str {
        use HttpError::*;
        match self {
            Resolve { .. } | Refused { .. } | Connect { .. } | Tls { .. } => "08001",
            Timeout {
                phase: Phase::Resolve | Phase::Connect,
                ..
            } => "08001",
            Timeout { .. } | Broken { .. } => "08006",
            Status {
                status, retry_after, ..
            } => super::status::sqlstate(*status, *retry_after),
            AnswerIsError { .. } => "22032",
            TooManyFailures { last, .. } => last.sqlstate(),
            NotAPage { .. }
            | BadLink { .. }
            | BadNext { .. }
            | MissingKey { .. }
            | BadEncoding { .. }
            | MissingTotal { .. } => "22032",
            Redirected { .. } | ForeignLink { .. } => "22023",
            BlockedAddress { .. } | BlockedHost { .. } | PlainHttp { .. } => "SY007",
            BadPath { .. } | BadToken { .. } | BadHeader { .. } | TokenLost { .. } => "22023",
            TooLarge { .. } | TooManyPages { .. } => "54000",
            PaginationLoop { .. } => "SY006",
            RateWait { .. } => "08004",
            NoThread => "53000",
            Panicked { .. } => "XX000",
        }
    }

    fn detail(&self) -> Option<String> {
        super::error_text::detail(self)
    }

    fn hint(&self) -> Option<String> {
        super::error_text::hint(self).map(str::to_owned)
    }
}
