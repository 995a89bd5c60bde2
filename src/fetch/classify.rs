//! ureq's errors as ours: by variant and error kind, never by text. Their texts are dropped: some hold a whole URL.

use std::io::{self, ErrorKind};

use rustls::{AlertDescription, CertificateError};
use sluice_core::data::excerpt;
use sluice_core::http::{Breakage, HttpError, Phase, SizeLimit, TlsProblem, remote};
use sluice_core::url_policy::join::PathError;
use ureq::{Error, Timeout};
use ureq_proto::Error as Protocol;
use url::Url;

/// The failure of a request to `url`.
pub(crate) fn classify(error: Error, url: &Url) -> HttpError {
    let remote = remote(url);
    match error {
        Error::Other(inner) => match inner.downcast::<HttpError>() {
            Ok(ours) => *ours,
            Err(_) => HttpError::Connect { remote },
        },
        Error::Timeout(timeout) => HttpError::Timeout {
            remote,
            phase: phase(timeout),
        },
        Error::HostNotFound => HttpError::Resolve {
            host: url.host_str().unwrap_or_default().to_owned(),
        },
        Error::Io(error) => classify_io(error, url),
        Error::Rustls(error) => HttpError::Tls {
            remote,
            problem: tls_problem(&error),
        },
        Error::Tls(_) | Error::Pem(_) => HttpError::Tls {
            remote,
            problem: TlsProblem::BadCertificate,
        },
        Error::LargeResponseHeader(..) | Error::Protocol(Protocol::HttpParseTooManyHeaders) => HttpError::TooLarge {
            remote,
            limit: SizeLimit::Head,
        },
        Error::Protocol(_) | Error::BodyStalled => HttpError::Broken {
            remote,
            how: Breakage::Garbled,
        },
        Error::RequireHttpsOnly(_) | Error::TlsRequired => HttpError::PlainHttp {
            host: url.host_str().unwrap_or_default().to_owned(),
        },
        Error::Http(_) | Error::BadUri(_) => unsendable(url),
        _ => HttpError::Connect { remote },
    }
}

/// An address that is a URL and no request's target.
pub(crate) fn unsendable(url: &Url) -> HttpError {
    HttpError::BadPath {
        path: excerpt(url.path()),
        reason: PathError::Unsendable,
    }
}

/// The failure behind an I/O error of a connection or of a body that is being read.
pub(crate) fn classify_io(error: io::Error, url: &Url) -> HttpError {
    let remote = remote(url);
    if let Some(problem) = error.get_ref().and_then(|inner| inner.downcast_ref()).map(tls_problem) {
        return HttpError::Tls { remote, problem };
    }
    let kind = error.kind();
    if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        return classify(Error::from(error), url);
    }
    match kind {
        ErrorKind::ConnectionRefused => HttpError::Refused { remote },
        ErrorKind::UnexpectedEof => HttpError::Broken {
            remote,
            how: Breakage::Truncated,
        },
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::NotConnected => {
            HttpError::Broken {
                remote,
                how: Breakage::Reset,
            }
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => HttpError::Timeout {
            remote,
            phase: Phase::Response,
        },
        _ => HttpError::Connect { remote },
    }
}

fn phase(timeout: Timeout) -> Phase {
    match timeout {
        Timeout::Resolve => Phase::Resolve,
        Timeout::Connect => Phase::Connect,
        Timeout::SendRequest | Timeout::SendBody | Timeout::PerWrite => Phase::Send,
        Timeout::RecvBody => Phase::Body,
        _ => Phase::Response,
    }
}

fn tls_problem(error: &rustls::Error) -> TlsProblem {
    use CertificateError::*;
    let reason = match error {
        rustls::Error::InvalidCertificate(reason) => reason,
        rustls::Error::AlertReceived(alert) if is_of_certificate(*alert) => return TlsProblem::ClientCertificate,
        _ => return TlsProblem::Handshake,
    };
    match reason {
        Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => TlsProblem::Expired,
        NotValidForName | NotValidForNameContext { .. } => TlsProblem::WrongName,
        UnknownIssuer => TlsProblem::UnknownIssuer,
        Revoked => TlsProblem::Revoked,
        _ => TlsProblem::BadCertificate,
    }
}

/// What servers say of a client's certificate (RFC 8446 section 6.2), a missing one included.
fn is_of_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::CertificateRequired
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_core::Class;
    use sluice_core::error::Explain;

    fn of(error: Error) -> (Class, &'static str, String) {
        let url = Url::parse("https://api.example/v1/x?api_key=hunter2").unwrap();
        let ours = classify(error, &url);
        let told = format!("{ours} {:?} {:?} {ours:?}", ours.detail(), ours.hint());
        (ours.class(), ours.sqlstate(), told)
    }

    fn io(kind: ErrorKind) -> Error {
        Error::Io(kind.into())
    }

    /// F-N3: an expired certificate, a wrong name, an unknown authority.
    #[test]
    fn failures_are_told_apart_by_structure() {
        use Class::*;
        let certificate = |reason| Error::Rustls(rustls::Error::InvalidCertificate(reason));
        let wrapped = |error: rustls::Error| Error::Io(io::Error::new(ErrorKind::InvalidData, error));
        let table = [
            (Error::HostNotFound, Network, "08001"),
            (io(ErrorKind::ConnectionRefused), Network, "08001"),
            (io(ErrorKind::NetworkUnreachable), Network, "08001"),
            (io(ErrorKind::ConnectionReset), Network, "08006"),
            (io(ErrorKind::BrokenPipe), Network, "08006"),
            (io(ErrorKind::UnexpectedEof), Network, "08006"),
            (Error::Protocol(Protocol::ChunkLenNotAscii), Network, "08006"),
            (Error::Protocol(Protocol::HttpParseTooManyHeaders), Data, "54000"),
            (Error::LargeResponseHeader(9, 8), Data, "54000"),
            (Error::Timeout(ureq::Timeout::Resolve), Timeout, "08001"),
            (Error::Timeout(ureq::Timeout::Connect), Timeout, "08001"),
            (Error::Timeout(ureq::Timeout::Global), Timeout, "08006"),
            (Error::Timeout(ureq::Timeout::RecvBody), Timeout, "08006"),
            (certificate(CertificateError::Expired), Config, "08001"),
            (certificate(CertificateError::UnknownIssuer), Config, "08001"),
            (
                wrapped(rustls::Error::InvalidCertificate(CertificateError::NotValidForName)),
                Config,
                "08001",
            ),
            (wrapped(rustls::Error::HandshakeNotComplete), Network, "08001"),
            (
                Error::RequireHttpsOnly("http://h/?api_key=hunter2".into()),
                Config,
                "SY007",
            ),
            (Error::BadUri("http://h/?api_key=hunter2".into()), Config, "22023"),
        ];
        for (error, class, sqlstate) in table {
            let shown = format!("{error:?}");
            let (c, s, told) = of(error);
            assert_eq!((c, s), (class, sqlstate), "{shown}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn an_error_that_was_wrapped_on_its_way_through_a_reader_is_found_again() {
        let timeout = Error::Timeout(ureq::Timeout::RecvBody).into_io();
        assert_eq!(of(Error::Io(timeout)).0, Class::Timeout);
    }
}
