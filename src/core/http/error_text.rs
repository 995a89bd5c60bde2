//! Details and hints of [`HttpError`]: the facts as sentences, and the next step.

use super::{Breakage, HttpError, Phase, SizeLimit, TlsProblem};
use crate::counted::counted;

/// The facts, as whole sentences.
pub(super) fn detail(error: &HttpError) -> Option<String> {
    use HttpError::*;
    let text = match error {
        Tls { problem, .. } => tls(*problem).to_owned(),
        Broken { how, .. } => breakage(*how).to_owned(),
        Timeout { phase, .. } => format!("The time limit passed while waiting for {}.", awaited(*phase)),
        Status {
            path,
            excerpt,
            retry_after,
            ..
        }
        | AnswerIsError {
            path,
            excerpt,
            retry_after,
            ..
        } => {
            let mut text = format!("The request was for {path}.");
            if let Some(excerpt) = excerpt {
                text += &format!(" The remote said: {excerpt}");
            }
            if let Some(wait) = retry_after {
                text += &format!(" It asks to wait {} s.", wait.as_secs());
            }
            text
        }
        TooManyFailures { last, .. } => match detail(last) {
            Some(told) => format!("The last one: {last}. {told}"),
            None => format!("The last one: {last}."),
        },
        NotAPage { path, .. } => format!("The request was for {path}."),
        Redirected { to_origin, .. } | ForeignLink { to_origin, .. } => match to_origin {
            Some(origin) => format!("The target's origin is {}.", crate::data::excerpt(origin)),
            None => "The target is no http or https address.".to_owned(),
        },
        BlockedAddress { refusal, .. } => format!("{refusal}."),
        PlainHttp { .. } => {
            "The base URL begins with http://, so that credentials and data would be readable.".to_owned()
        }
        BadPath { reason, .. } => format!("{reason}."),
        TooLarge { limit, .. } => too_large(*limit),
        BadEncoding { encoding, .. } => format!("The Content-Encoding is {encoding}."),
        PaginationLoop { .. } => {
            "A page or page token came twice within one read, or page after page was empty and named another."
                .to_owned()
        }
        MissingTotal { .. } => {
            "The pagination stops by total, and the answer holds none where `total` points.".to_owned()
        }
        TokenLost { status, restarts, .. } => {
            format!(
                "It answered with status {status}, after the read had begun again {}.",
                counted(*restarts, "time")
            )
        }
        RateWait { wait, why, .. } => format!("For {} s: {}.", wait.as_secs().max(1), why.as_str()),
        Panicked { page } => format!("The thread that worked on page {page} panicked."),
        Resolve { .. } | Refused { .. } | Connect { .. } | BlockedHost { .. } | NoThread => return None,
        BadNext { .. } => {
            "A token is a text or a number, parameters are an object of them, an address is a text; at most 8 kB."
                .to_owned()
        }
        MissingKey { .. } => {
            "Each page begins behind the value that the last record of the page before has there.".to_owned()
        }
        BadLink { .. } | BadToken { .. } | TooManyPages { .. } | BadHeader { .. } => return None,
    };
    Some(text)
}

fn awaited(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolve => "the name to be resolved",
        Phase::Connect => "a connection",
        Phase::Send => "the request to be sent",
        Phase::Response => "the response",
        Phase::Body => "the end of the response's body",
    }
}

fn breakage(how: Breakage) -> &'static str {
    match how {
        Breakage::Reset => "The connection was reset by the remote.",
        Breakage::Truncated => "The connection was closed before the response was complete.",
        Breakage::Garbled => "The response breaks the rules of HTTP/1.1.",
    }
}

fn tls(problem: TlsProblem) -> &'static str {
    match problem {
        TlsProblem::Expired => "The certificate has expired or is not valid yet.",
        TlsProblem::WrongName => "The certificate is for another name.",
        TlsProblem::UnknownIssuer => "The certificate was issued by an authority that is not trusted.",
        TlsProblem::Revoked => "The certificate was revoked.",
        TlsProblem::BadCertificate => "The certificate is not acceptable.",
        TlsProblem::ClientCertificate => "The remote asks for a client certificate, or refuses the one that it got.",
        TlsProblem::Handshake => "The TLS handshake failed.",
    }
}

fn too_large(limit: SizeLimit) -> String {
    match limit {
        SizeLimit::Body(bytes) => format!("The decoded body has more than {}.", counted(bytes, "byte")),
        SizeLimit::Ratio(ratio) => format!(
            "The body grows more than {} when it is decoded.",
            counted(ratio, "time")
        ),
        SizeLimit::Head => "The response's header fields are more or larger than is accepted.".to_owned(),
    }
}

/// The next step for the person who reads it.
pub(super) fn hint(error: &HttpError) -> Option<&'static str> {
    use HttpError::*;
    let text = match error {
        Resolve { .. } => "Check the host name in the connection's base URL, and the server's DNS.",
        Refused { .. } | Connect { .. } => "Check that the remote runs, and that this server may reach it.",
        Tls {
            problem: TlsProblem::Handshake,
            ..
        } => "Check that the remote speaks TLS 1.2 or 1.3 on this port.",
        Tls {
            problem: TlsProblem::UnknownIssuer,
            ..
        } => "Give the authority's certificate with the connection's option ca; verification cannot be turned off.",
        Tls {
            problem: TlsProblem::ClientCertificate,
            ..
        } => "Give the connection a certificate that the remote knows: its options client_cert and client_key.",
        Tls { .. } => "The remote's certificate must be mended; verification cannot be turned off.",
        Timeout { .. } => {
            "The setting timeouts.request (timeouts.probe in a first look) allows more time; a smaller page_size needs less."
        }
        Status {
            status, retry_after, ..
        } => return super::status::hint(*status, *retry_after),
        AnswerIsError { .. } => "An error rule says so: SELECT * FROM sluice.error_rules.",
        TooManyFailures { last, .. } => return hint(last),
        NotAPage { .. } => "Check path and params: a page is answered with status 200.",
        Redirected { .. } => {
            "Up to three redirects below the base URL are followed, after POST only 307 and 308. Give the final address as base_url or path."
        }
        BlockedAddress { refusal, .. } => return refusal.hint(),
        BlockedHost { .. } => "The setting sluice.allowed_hosts names the hosts that may be reached.",
        PlainHttp { .. } => {
            "Use https, let sluice.allowed_networks hold every address of the host, or set the server option plain_http 'on'."
        }
        ForeignLink { .. } => "Next links must have the base URL's origin and lie below its path.",
        BadLink { .. } => "Links are read as RFC 8288 says. Another pagination.type may fit this API.",
        BadNext { .. } => {
            "Check pagination.type, and where pagination.next points. A bare number or token needs pagination.param."
        }
        MissingKey { .. } => {
            "Name in pagination.column a column that every record fills, or use another pagination.type."
        }
        BadPath { .. } => "Give a path below the connection's base URL, and a query as the setting params.",
        BadToken { .. } => "Start the read again at the first page.",
        TooLarge {
            limit: SizeLimit::Body(_),
            ..
        } => "Make page_size smaller, or raise sluice.max_response_bytes.",
        TooLarge {
            limit: SizeLimit::Ratio(_),
            ..
        } => {
            "A compressed page never grows so much: where the remote is trusted, raise sluice.max_decompression_ratio."
        }
        TooLarge {
            limit: SizeLimit::Head, ..
        } => "The remote must answer with fewer or smaller header fields.",
        BadEncoding { .. } => "Only gzip is asked for and understood.",
        TokenLost { .. } => {
            "A token must live until its page is asked for: make page_size larger, or the read faster. The next run begins anew."
        }
        PaginationLoop { .. } => "Check pagination.type and its parameter: the remote seems to ignore it.",
        MissingTotal { .. } => "Check pagination.total, or use another pagination.stop.",
        TooManyPages { .. } => "Raise limits.pages, or make page_size larger.",
        BadHeader { .. } => "Header names are tokens, and values are printable ASCII without line breaks.",
        RateWait { .. } => "SELECT * FROM sluice.sync_rate_limits shows the budget. A job waits and goes on by itself.",
        NoThread => "The operating system's limit on threads or memory was reached.",
        Broken { .. } => "A job tries again by itself; where it lasts, look at the remote and what lies between.",
        Panicked { .. } => return None,
    };
    Some(text)
}
