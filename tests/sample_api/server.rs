//! The server: a thread that accepts, a thread for each connection, and one request after the other on each.

use std::collections::HashMap;
use std::io::{self, BufReader};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::answer::Answer;
use crate::catalogue::{Catalogue, Snapshot};
use crate::compress;
use crate::control;
use crate::deliver::{After, Wire};
use crate::fault::{Fault, Script};
use crate::gate::{Gate, Stop, lock, wait_until};
use crate::listing::{Listing, page_asked};
use crate::log::{Log, RequestLine};
use crate::paging::Scheme;
use crate::request::{self, NoRequest, Request};
use crate::settings::Settings;

/// All that connections and the one who steers the server share.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) catalogue: Mutex<Catalogue>,
    pub(crate) script: Mutex<Script>,
    pub(crate) gate: Gate,
    pub(crate) log: Log,
    settings: RwLock<Settings>,
    stop: Stop,
    connections: Mutex<HashMap<u64, Arc<TcpStream>>>,
    connection_gone: Condvar,
    last_connection: AtomicU64,
}

/// One connection: its number, and where it comes from.
struct Peer {
    connection: u64,
    remote: SocketAddr,
}

impl Server {
    pub(crate) fn new(address: SocketAddr, products: u64, settings: Settings, log: Log) -> Server {
        Server {
            address,
            catalogue: Mutex::new(Catalogue::new(products)),
            script: Mutex::default(),
            gate: Gate::default(),
            log,
            settings: RwLock::new(settings),
            stop: Stop::default(),
            connections: Mutex::default(),
            connection_gone: Condvar::new(),
            last_connection: AtomicU64::new(0),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        lock(&self.catalogue).snapshot()
    }

    pub(crate) fn settings(&self) -> RwLockReadGuard<'_, Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settings_mut(&self) -> RwLockWriteGuard<'_, Settings> {
        self.settings.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts until stopped.
    pub(crate) fn run(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stop.is_set() {
                return;
            }
            match stream {
                Ok(stream) => self.begin_connection(stream),
                // Out of file descriptors: some will be free again.
                Err(_) => drop(self.stop.wait(Duration::from_millis(10))),
            }
        }
    }

    /// Ends all connections, whatever they wait for, and the accepting thread.
    pub(crate) fn stop(&self) {
        self.stop.set();
        self.gate.open_for_good();
        let _ = TcpStream::connect(self.address); // wakes the accepting thread; if that fails it has already ended
        for stream in lock(&self.connections).values() {
            let _ = stream.shutdown(Shutdown::Both); // the client may have left before
        }
        wait_until(
            &self.connections,
            &self.connection_gone,
            Duration::from_secs(5),
            HashMap::is_empty,
        );
    }

    fn begin_connection(self: &Arc<Self>, stream: TcpStream) {
        let Ok(remote) = stream.peer_addr() else { return };
        let peer = Peer {
            connection: self.last_connection.fetch_add(1, Ordering::Relaxed) + 1,
            remote,
        };
        let stream = Arc::new(stream);
        lock(&self.connections).insert(peer.connection, Arc::clone(&stream));
        let connection = peer.connection;
        let server = Arc::clone(self);
        let serve = move || {
            let _ = server.serve(&stream, &peer); // a broken connection is the client's affair
            drop(stream);
            server.end_connection(connection);
        };
        let name = format!("sample-api-{connection}");
        if thread::Builder::new()
            .name(name)
            .stack_size(512 * 1024)
            .spawn(serve)
            .is_err()
        {
            self.end_connection(connection);
        }
    }

    fn end_connection(&self, connection: u64) {
        lock(&self.connections).remove(&connection);
        self.connection_gone.notify_all();
    }

    fn serve(&self, stream: &TcpStream, peer: &Peer) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut input = BufReader::with_capacity(16 * 1024, stream);
        let mut body = Vec::new();
        while !self.stop.is_set() {
            let mut wire = Wire {
                stream,
                stop: &self.stop,
                sent: 0,
            };
            let after = match request::read(stream, &mut input) {
                Ok(request) if request.path.starts_with("/_control/") => control::serve(self, &request, &mut wire)?,
                Ok(request) => self.exchange(&request, peer, &mut wire, &mut body)?,
                Err(NoRequest::Gone) => return Ok(()),
                Err(NoRequest::Refused(status)) => wire.send(&Answer::error(status, None), false, After::Close)?,
            };
            if after == After::Close {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One logged request; `body` is memory to be used again.
    fn exchange(&self, request: &Request, peer: &Peer, wire: &mut Wire, body: &mut Vec<u8>) -> io::Result<After> {
        let scheme = Scheme::of_path(&request.path);
        let page = scheme.map(|scheme| page_asked(request, scheme, &self.snapshot(), &self.settings()));
        let mut entered = self.log.begin(line(request, peer, page));
        if let Some(page) = page {
            self.gate.pass(page);
        }
        let faults = lock(&self.script).take(&request.path, page);
        let mut answer = self.answer(request, scheme, &faults, std::mem::take(body));
        apply(&faults, &mut answer);
        let sending = how_to_send(request, &faults);
        self.pause(&faults);
        if !sending.is_some_and(Fault::is_silent) {
            let bytes = if request.is_head() { 0 } else { answer.body.len() as u64 };
            self.log.answer(&entered, answer.status, bytes);
        }
        let after = if request.closes { After::Close } else { After::Keep };
        let after = match sending {
            Some(fault) => wire.send_badly(&answer, fault, after),
            None => {
                self.log.settle(&mut entered);
                wire.send(&answer, request.is_head(), after)
            }
        };
        self.log
            .end(entered, wire.sent, |target| self.settings().auth.redact(target));
        *body = answer.body;
        after
    }

    /// All delays, one after the other; cut short when the server stops.
    fn pause(&self, faults: &[Fault]) {
        for fault in faults {
            if let Fault::DelayHeaders(pause) = fault {
                self.stop.wait(*pause);
            }
        }
    }

    fn answer(&self, request: &Request, scheme: Option<Scheme>, faults: &[Fault], body: Vec<u8>) -> Answer {
        let settings = self.settings().clone();
        if !settings.auth.admits(request) {
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
            snapshot: &self.snapshot(),
            settings: &settings,
            faults,
        }
        .answer(body)
    }
}

fn line(request: &Request, peer: &Peer, page: Option<u64>) -> RequestLine {
    RequestLine {
        ordinal: 0,
        at: SystemTime::now(),
        method: request.method.clone(),
        target: request.target.clone(),
        page,
        status: None,
        bytes: 0,
        headers: request.headers.clone(),
        body: request.body.clone(),
        remote: peer.remote,
        connection: peer.connection,
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
