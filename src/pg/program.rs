//! A program of somebody else's whose output is wanted: what prints a key, or a secret.

use crate::pg::{latch, signals};
use sluice_core::Result;
use sluice_core::error::{Error, InternalError};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

const LIMIT: Duration = Duration::from_secs(10);
const SLICE: Duration = Duration::from_millis(20);
/// More than any number of keys has.
const LONGEST: u64 = 64 * 1024;

/// What it printed, or why that is not known.
pub type Printed = std::result::Result<Zeroizing<Vec<u8>>, String>;

/// What the command prints within its time. What it complains of goes to the server's log.
pub fn output(mut command: Command) -> Result<Printed> {
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Ok(Err(format!("It could not be started: {error}."))),
    };
    let pid = child.id();
    let (sender, receiver) = sync_channel(1);
    let read = move || {
        let mut text = Zeroizing::new(Vec::new());
        let stdout = child.stdout.take();
        let whole = stdout.map(|stdout| stdout.take(LONGEST).read_to_end(&mut text));
        let ended = child.wait();
        let _ = sender.send((
            whole.is_some_and(|read| read.is_ok()),
            ended.is_ok_and(|status| status.success()),
            text,
        ));
    };
    let thread = std::thread::Builder::new().name("sl-key".into());
    let started = signals::with_all_blocked(|| thread.spawn(read));
    started.map_err(|e| Error::Internal(InternalError::Os { what: e.to_string() }))?;
    let deadline = Instant::now() + LIMIT;
    loop {
        match receiver.recv_timeout(SLICE) {
            Ok((true, true, text)) => return Ok(Ok(text)),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                return Ok(Err(
                    "It ended with a failure; what it says of that stands in the server's log.".into(),
                ));
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                signals::send(i32::try_from(pid).unwrap_or(0), libc::SIGKILL);
                return Ok(Err(format!("It did not end within {} seconds.", LIMIT.as_secs())));
            }
            Err(RecvTimeoutError::Timeout) => latch::wait(Duration::from_millis(1)),
        }
    }
}
