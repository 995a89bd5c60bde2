//! The command that prints the key, as `ssl_passphrase_command` prints a passphrase: for keys that are kept elsewhere.

use crate::pg::{latch, signals};
use sluice_core::Result;
use sluice_core::error::{Error, InternalError};
use sluice_core::secret::SecretFault;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

const LIMIT: Duration = Duration::from_secs(10);
const SLICE: Duration = Duration::from_millis(20);
/// More than any number of keys has.
const LONGEST: u64 = 64 * 1024;

/// What the command prints. What it complains of goes to the server's log.
pub fn output(command: &str) -> Result<Zeroizing<Vec<u8>>> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| fault(format!("It could not be started: {error}.")))?;
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
            Ok((true, true, text)) => return Ok(text),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                return Err(fault(
                    "It ended with a failure; what it says of that stands in the server's log.".into(),
                ));
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                signals::send(i32::try_from(pid).unwrap_or(0), libc::SIGKILL);
                return Err(fault(format!("It did not end within {} seconds.", LIMIT.as_secs())));
            }
            Err(RecvTimeoutError::Timeout) => latch::wait(Duration::from_millis(1)),
        }
    }
}

fn fault(what: String) -> Error {
    SecretFault::KeyCommand { what }.into()
}
