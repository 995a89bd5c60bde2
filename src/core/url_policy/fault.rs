//! What can be wrong with a base URL or an origin. No variant holds the URL: it may contain a credential.

use std::fmt;

/// Why a URL is refused. Its text completes a sentence that begins with the URL's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlFault {
    /// Neither https nor http.
    Scheme,
    /// A user name or a password before the host.
    Userinfo,
    Query,
    Fragment,
    /// Whitespace, control characters or a backslash.
    Characters,
    /// No host, or a host or port that is none.
    Unreadable,
    /// Dot segments, empty segments or encoded separators in the path.
    Ambiguous,
    /// A path where only an origin is wanted.
    Path,
    TooLong,
    /// A `*` that is not the first label of a name with two further ones.
    Pattern,
    /// Requests spell the host otherwise, so that the pattern would never match, or match what it does not show.
    HostSpelling,
}

impl UrlFault {
    pub const ALL: [UrlFault; 11] = [
        UrlFault::Scheme,
        UrlFault::Userinfo,
        UrlFault::Query,
        UrlFault::Fragment,
        UrlFault::Characters,
        UrlFault::Unreadable,
        UrlFault::Ambiguous,
        UrlFault::Path,
        UrlFault::TooLong,
        UrlFault::Pattern,
        UrlFault::HostSpelling,
    ];

    pub fn detail(self) -> String {
        match self {
            UrlFault::Scheme => {
                "A connection speaks HTTP to one host, so the URL is complete and begins with https://."
            }
            UrlFault::Userinfo => {
                "Options are readable by every role of the cluster. What was given is not repeated here; if it was a \
                 real password, replace it at the remote, since statements are logged."
            }
            UrlFault::Query => {
                "Options are readable by every role of the cluster, and a query often holds a key. What was given is \
                 not repeated here."
            }
            UrlFault::Fragment => "What follows a # is never sent to a server.",
            UrlFault::Characters => {
                "Such characters are dropped or reread on the way, so that the URL means another place."
            }
            UrlFault::Unreadable => {
                "After the scheme come a host name or an address, and a port if it is not the usual one."
            }
            UrlFault::Ambiguous => {
                "Segments such as \"..\" and \"//\", the codes %2e, %2f, %5c and those of control characters, and a % \
                 without two hexadecimal digits are read differently by different servers."
            }
            UrlFault::Path => "An origin is a scheme, a host and a port (RFC 6454).",
            UrlFault::TooLong => "A base URL has at most 2048 bytes.",
            UrlFault::Pattern => {
                "The one * is the first label of a host name with at least two further labels, and stands for every \
                 name below it."
            }
            UrlFault::HostSpelling => {
                "Requests write hosts in ASCII, without codes, without a final dot, and addresses in their usual form."
            }
        }
        .to_owned()
    }

    pub fn hint(self) -> String {
        match self {
            UrlFault::Scheme => "For example: https://api.example.com/v1",
            UrlFault::Userinfo => {
                "Use auth 'basic' with username and secret, and SELECT sluice.set_secret('name', '…') for the password."
            }
            UrlFault::Query => {
                "Give parameters in a job's settings (\"params\"), and a key with auth 'api_key', api_key_in 'query' \
                 and a secret."
            }
            UrlFault::Fragment => "Remove the # and what follows it.",
            UrlFault::Characters => "Write the URL without spaces, line breaks and backslashes.",
            UrlFault::Unreadable => "For example: https://api.example.com:8443/v1",
            UrlFault::Ambiguous => "Write the path as it is meant, segment by segment.",
            UrlFault::Path => "Leave the path away, for example: https://api.example.com",
            UrlFault::TooLong => "Shorten it; the path of a collection belongs to the job.",
            UrlFault::Pattern => {
                "For example: https://*.example.com. For any origin at all: GRANT USAGE ON FOREIGN DATA WRAPPER \
                 pg_sluice TO the role."
            }
            UrlFault::HostSpelling => "For example: https://xn--bcher-kva.example, https://127.0.0.1:8443",
        }
        .to_owned()
    }
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlFault::Scheme => "must begin with https:// or http://",
            UrlFault::Userinfo => "must not contain a user name or a password",
            UrlFault::Query => "must not contain a query",
            UrlFault::Fragment => "must not contain a fragment",
            UrlFault::Characters => "contains a space, a control character or a backslash",
            UrlFault::Unreadable => "is not a URL with a host",
            UrlFault::Ambiguous => "has a path with dot segments, empty segments or encoded separators",
            UrlFault::Path => "must end after the host and port",
            UrlFault::TooLong => "is too long",
            UrlFault::Pattern => "has a * that stands for no names below a host",
            UrlFault::HostSpelling => "has a host that requests spell otherwise",
        })
    }
}
