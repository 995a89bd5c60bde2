//! The log of requests for products; control paths are not in it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::gate::{lock, wait_until};
use crate::request::find_header;

/// Older lines are forgotten.
const MAX_LINES: usize = 1_000_000;

/// One request. Status and bytes are there before the client has read the answer's end.
#[derive(Clone, Debug)]
pub struct RequestLine {
    /// From 1; goes on after [`crate::SampleApi::clear_log`].
    pub ordinal: u64,
    /// When the request had been read.
    pub at: SystemTime,
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// Which page was asked for, from 1, in every scheme; `None` where the path is none of ours.
    pub page: Option<u64>,
    /// `None` while nothing was answered, and for ever where nothing is.
    pub status: Option<u16>,
    /// Bytes of the body, as sent.
    pub bytes: u64,
    /// In their order, names as they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub remote: SocketAddr,
    /// Which connection, from 1: equal numbers mean that it was kept alive.
    pub connection: u64,
}

impl RequestLine {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    pub fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }

    /// For files and control paths: no header's value, and the target as redacted by the caller.
    pub(crate) fn to_json(&self, target: &str) -> serde_json::Value {
        let at = self
            .at
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        serde_json::json!({
            "ordinal": self.ordinal, "at": at, "method": self.method, "target": target, "page": self.page,
            "status": self.status, "bytes": self.bytes, "authorization": self.authorization().is_some(),
            "remote": self.remote.to_string(), "connection": self.connection,
        })
    }
}

#[derive(Default)]
pub(crate) struct Log {
    state: Mutex<Lines>,
    changed: Condvar,
    file: Option<Mutex<File>>,
    verbose: bool,
}

#[derive(Default)]
struct Lines {
    lines: VecDeque<RequestLine>,
    last_ordinal: u64,
    open: u64,
    most_open: u64,
}

/// A request in the log that has not ended.
pub(crate) struct Entered {
    ordinal: u64,
    open: bool,
}

impl Lines {
    fn get_mut(&mut self, ordinal: u64) -> Option<&mut RequestLine> {
        let first = self.lines.front()?.ordinal;
        self.lines.get_mut(ordinal.checked_sub(first)? as usize)
    }
}

impl Log {
    pub(crate) fn new(file: Option<&Path>, verbose: bool) -> io::Result<Log> {
        let file = file.map(File::create).transpose()?.map(Mutex::new);
        Ok(Log {
            file,
            verbose,
            ..Log::default()
        })
    }

    /// Enters a request, which gets its ordinal here.
    pub(crate) fn begin(&self, mut line: RequestLine) -> Entered {
        let mut state = lock(&self.state);
        state.last_ordinal += 1;
        line.ordinal = state.last_ordinal;
        if state.lines.len() == MAX_LINES {
            state.lines.pop_front();
        }
        state.lines.push_back(line);
        state.open += 1;
        state.most_open = state.most_open.max(state.open);
        self.changed.notify_all();
        Entered {
            ordinal: state.last_ordinal,
            open: true,
        }
    }

    /// What the client is about to receive.
    pub(crate) fn answer(&self, entered: &Entered, status: u16, bytes: u64) {
        if let Some(line) = lock(&self.state).get_mut(entered.ordinal) {
            (line.status, line.bytes) = (Some(status), bytes);
        }
    }

    /// The request no longer counts as unanswered. Said before an answer is sent in one go, for a client that has read
    /// it may ask again before this thread runs on; else [`Log::end`] says it.
    pub(crate) fn settle(&self, entered: &mut Entered) {
        if std::mem::take(&mut entered.open) {
            lock(&self.state).open -= 1;
        }
    }

    /// The request is over; `redact` hides a key in its target.
    pub(crate) fn end(&self, mut entered: Entered, bytes: u64, redact: impl FnOnce(&str) -> String) {
        self.settle(&mut entered);
        let mut state = lock(&self.state);
        let Some(line) = state.get_mut(entered.ordinal) else {
            return;
        };
        line.bytes = bytes;
        if self.file.is_none() && !self.verbose {
            return;
        }
        let text = format!("{}\n", line.to_json(&redact(&line.target)));
        drop(state);
        self.write(&text);
    }

    /// A full disk or a closed stdout is no reason to stop serving.
    fn write(&self, text: &str) {
        if let Some(file) = &self.file {
            let _ = lock(file).write_all(text.as_bytes());
        }
        if self.verbose {
            let _ = io::stdout().write_all(text.as_bytes());
        }
    }

    pub(crate) fn lines(&self) -> Vec<RequestLine> {
        lock(&self.state).lines.iter().cloned().collect()
    }

    /// Calls `each` for every line without copying the log.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&RequestLine)) {
        lock(&self.state).lines.iter().for_each(&mut each);
    }

    pub(crate) fn clear(&self) {
        let mut state = lock(&self.state);
        state.lines.clear();
        state.most_open = state.open;
    }

    /// Requests that are under way.
    pub(crate) fn open(&self) -> u64 {
        lock(&self.state).open
    }

    /// The most requests that were unanswered at one moment.
    pub(crate) fn most_open(&self) -> u64 {
        lock(&self.state).most_open
    }

    pub(crate) fn wait_for(&self, count: usize, timeout: Duration) -> bool {
        wait_until(&self.state, &self.changed, timeout, |state| state.lines.len() >= count)
    }
}
