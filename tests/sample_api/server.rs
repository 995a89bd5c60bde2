//! The server: a thread that accepts, a thread for each connection, and one request after the other on each.

use std::collections::HashMap;
use std::io::{self, BufReader};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::Duration;

use crate::answer::Answer;
use crate::catalogue::{Catalogue, Snapshot};
use crate::control;
use crate::deliver::{After, Wire};
use crate::exchange::{Exchange, Peer};
use crate::gate::{Gate, Stop, lock, wait_until};
use crate::log::Log;
use crate::oauth::{OAuthServer, TOKEN_PAGE};
use crate::request::{self, NoRequest};
use crate::script::Script;
use crate::settings::Settings;

/// All that connections and the one who steers the server share.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) catalogue: Mutex<Catalogue>,
    pub(crate) script: Mutex<Script>,
    pub(crate) gate: Gate,
    pub(crate) log: Log,
    pub(crate) oauth: Mutex<OAuthServer>,
    settings: RwLock<Settings>,
    pub(crate) stop: Stop,
    connections: Mutex<HashMap<u64, Arc<TcpStream>>>,
    connection_gone: Condvar,
    last_connection: AtomicU64,
}

impl Server {
    pub(crate) fn new(address: SocketAddr, products: u64, settings: Settings, log: Log) -> Server {
        Server {
            address,
            catalogue: Mutex::new(Catalogue::new(products)),
            script: Mutex::default(),
            gate: Gate::default(),
            log,
            oauth: Mutex::default(),
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
                Ok(request) if request.path.starts_with("/oauth/") => {
                    self.gate.pass(TOKEN_PAGE);
                    let base = format!("http://{}", self.address);
                    let answer = lock(&self.oauth).serve(&request, &base);
                    wire.send(&answer, false, if request.closes { After::Close } else { After::Keep })?
                }
                Ok(request) => Exchange {
                    server: self,
                    request: &request,
                    peer,
                }
                .run(&mut wire, &mut body)?,
                Err(NoRequest::Gone) => return Ok(()),
                Err(NoRequest::Refused(status)) => wire.send(&Answer::error(status, None), false, After::Close)?,
            };
            if after == After::Close {
                return Ok(());
            }
        }
        Ok(())
    }
}
