//! A program of somebody else's whose output is wanted: what prints a key, or a secret.

use crate::pg::{latch, signals};
use sluice_core::Result;
use sluice_core::error::{Error, InternalError};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

const LIMIT: Duration = Duration::from_secs(10);
const SLICE: Duration = Duration::from_millis(20);
/// More than any number of keys has.
const LONGEST: u64 = 64 * 1024;

/// What it printed, or why that is not known.
pub type Printed = std::result::Result<Zeroizing<Vec<u8>>, String>;

/// A program that is killed, with all that it has started, where it is not waited for to its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            signals::kill_group(&self.0);
            let _ = self.0.wait();
        }
    }
}

/// What the command prints within its time. What it complains of goes to the server's log.
pub fn output(mut command: Command) -> Result<Printed> {
    let started = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut program = match started {
        Ok(child) => Running(child),
        Err(error) => return Ok(Err(format!("It could not be started: {error}."))),
    };
    let receiver = read_apart(&mut program.0)?;
    let deadline = Instant::now() + LIMIT;
    let mut printed = None;
    loop {
        match (&printed, receiver.recv_timeout(SLICE)) {
            (None, Ok(text)) => printed = Some(text),
            (None, Err(RecvTimeoutError::Disconnected)) => printed = Some(None),
            _ => {}
        }
        if printed.is_some()
            && let Some(status) = program.0.try_wait().transpose()
        {
            let is_good = status.is_ok_and(|status| status.success());
            return Ok(printed.flatten().filter(|_| is_good).ok_or_else(|| FAILED.into()));
        }
        if Instant::now() >= deadline {
            return Ok(Err(format!("It did not end within {} seconds.", LIMIT.as_secs())));
        }
        if latch::wait_for_cancel(Duration::from_millis(1)) {
            drop(program);
            latch::check_interrupts();
            return Ok(Err("It was cancelled.".into()));
        }
    }
}

const FAILED: &str = "It ended with a failure; what it says of that stands in the server's log.";

/// Reads what a program prints on a thread; None where that cannot be read to its end.
fn read_apart(child: &mut Child) -> Result<Receiver<Option<Zeroizing<Vec<u8>>>>> {
    let stdout = child.stdout.take();
    let (sender, receiver) = sync_channel(1);
    let read = move || {
        let mut text = Zeroizing::new(Vec::new());
        let whole = stdout.map(|stdout| stdout.take(LONGEST).read_to_end(&mut text));
        let _ = sender.send(whole.is_some_and(|read| read.is_ok()).then_some(text));
    };
    let thread = std::thread::Builder::new().name("sl-key".into());
    let started = signals::with_all_blocked(|| thread.spawn(read));
    started.map_err(|e| Error::Internal(InternalError::Os { what: e.to_string() }))?;
    Ok(receiver)
}
