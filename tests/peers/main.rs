//! Tables against servers that we did not write, compared with their source row by row. scripts/test-peers.sh installs
//! the servers and runs this: `make test-peers`.

mod datasette; // Debian's package index: some 60,000 records, the next page by its address or a Link header
mod httpbin; // what HTTP itself does: encodings, status codes, redirects, delays, credentials
mod json_server; // numbered pages, totals in a header, records changed by other clients, reads of what changed, ETags
mod kinto; // the next page in a header of its own, Basic, reads of what changed with tombstones
mod oidc; // tokens of OAuth 2: one refresh at a time, rotation, a grant that is taken away where a token comes twice
mod peer; // their processes, and a client of theirs
mod stage; // a server with a connection to one of them
