//! One request for products, from its entry in the log to the last byte of its answer.

use std::io;
use std::net::SocketAddr;
use std::time::SystemTime;

use crate::answer::Answer;
use crate::compress;
use crate::deliver::{After, Wire};
use crate::fault::Fault;
use crate::gate::lock;
use crate::listing::{Listing, page_asked};
use crate::log::RequestLine;
use crate::paging::Scheme;
use crate::request::Request;
use crate::script::Met;
use crate::server::Server;
use crate::settings::Auth;

/// One connection: its number, and where it comes from.
pub(crate) struct Peer {
    pub(crate) connection: u64,
    pub(crate) remote: SocketAddr,
}

pub(crate) struct Exchange<'a> {
    pub(crate) server: &'a Server,
    pub(crate) request: &'a Request,
    pub(crate) peer: &'a Peer,
}

impl Exchange<'_> {
    /// Answers; `body` is memory to be used again.
    pub(crate) fn run(&self, wire: &mut Wire, body: &mut Vec<u8>) -> io::Result<After> {
        let (server, request) = (self.server, self.request);
        let scheme = Scheme::of_path(&request.path);
        let page = scheme.map(|scheme| page_asked(request, scheme, &server.snapshot(), &server.settings()));
        let mut entered = server.log.begin(self.line(page));
        if let Some(page) = page {
            server.gate.pass(page);
        }
        let faults = self.faults(scheme, page);
        let mut answer = self.answer(scheme, &faults, std::mem::take(body));
        apply(&faults, &mut answer);
        self.pause(&faults);
        let sending = how_to_send(request, &faults);
        if !sending.is_some_and(Fault::is_silent) {
            let bytes = if request.is_head() { 0 } else { answer.body.len() as u64 };
            server.log.answer(&entered, answer.status, bytes);
        }
        if sending.is_none() {
            server.log.settle(&mut entered);
        }
        let after = self.send(&answer, sending, wire);
        server
            .log
            .end(entered, wire.sent, |target| server.settings().auth.redact(target));
        *body = answer.body;
        after
    }

    fn faults(&self, scheme: Option<Scheme>, page: Option<u64>) -> Vec<Fault> {
        let size = scheme.and_then(|scheme| self.request.query.get(scheme.size_param()));
        lock(&self.server.script).take(Met {
            path: &self.request.path,
            page,
            size: size.and_then(|size| size.parse().ok()),
            at_once: self.server.log.open(),
        })
    }

    fn send(&self, answer: &Answer, sending: Option<&Fault>, wire: &mut Wire) -> io::Result<After> {
        let after = if self.request.closes { After::Close } else { After::Keep };
        match sending {
            Some(fault) => wire.send_badly(answer, fault, after),
            None => wire.send(answer, self.request.is_head(), after),
        }
    }

    /// The entry of the log, before anything is known of the answer.
    fn line(&self, page: Option<u64>) -> RequestLine {
        RequestLine {
            ordinal: 0,
            at: SystemTime::now(),
            method: self.request.method.clone(),
            target: self.request.target.clone(),
            page,
            status: None,
            bytes: 0,
            headers: self.request.headers.clone(),
            body: self.request.body.clone(),
            remote: self.peer.remote,
            connection: self.peer.connection,
        }
    }

    /// All delays, one after the other; cut short when the server stops.
    fn pause(&self, faults: &[Fault]) {
        for fault in faults {
            if let Fault::DelayHeaders(pause) = fault {
                self.server.stop.wait(*pause);
            }
        }
    }

    fn answer(&self, scheme: Option<Scheme>, faults: &[Fault], body: Vec<u8>) -> Answer {
        let request = self.request;
        let settings = self.server.settings().clone();
        let is_admitted = match settings.auth {
            Auth::Issued => lock(&self.server.oauth).admits(request),
            _ => settings.auth.admits(request),
        };
        if !is_admitted {
            let mut refusal = Answer::error(401, None);
            refusal.set_header("WWW-Authenticate", settings.auth.challenge());
            return refusal;
        }
        let Some(scheme) = scheme else {
            return Answer::error(404, None);
        };
        if !matches!(request.method.as_str(), "GET" | "HEAD" | "POST") {
            let mut refusal = Answer::error(405, None);
            refusal.set_header("Allow", "GET, HEAD, POST");
            return refusal;
        }
        Listing {
            request,
            scheme,
            snapshot: &self.server.snapshot(),
            settings: &settings,
            faults,
        }
        .answer(body)
    }
}

/// The faults that change what is answered, after the page was written.
fn apply(faults: &[Fault], answer: &mut Answer) {
    for fault in faults {
        match fault {
            Fault::Answer { status, headers, body } => {
                *answer = Answer {
                    status: *status,
                    headers: headers.clone(),
                    body: body.clone(),
                };
            }
            Fault::Headers(headers) => answer.set_headers(headers),
            Fault::Gzip => {
                answer.body = compress::gzip(&answer.body);
                answer.set_header("Content-Encoding", "gzip");
            }
            Fault::GzipBomb { bytes } => {
                answer.body = compress::gzip_bomb(*bytes);
                answer.set_header("Content-Encoding", "gzip");
            }
            _ => {}
        }
    }
}

/// The last of the faults that change how it is sent; those of a body mean nothing to HEAD.
fn how_to_send<'a>(request: &Request, faults: &'a [Fault]) -> Option<&'a Fault> {
    let last = faults.iter().rev().find(|fault| fault.is_about_sending())?;
    (!request.is_head() || last.is_silent()).then_some(last)
}
