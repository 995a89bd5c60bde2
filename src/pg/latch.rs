//! Waiting: always on this process's latch, always interruptible, never in a transaction that matters.

use pgrx::pg_sys;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::time::Duration;

/// Waits until the latch is set or `limit` has passed, then serves interrupts (which may raise an ERROR or end the
/// process).
pub fn wait(limit: Duration) {
    let flags = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: MyLatch is this process's own latch.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, flags as i32, millis(limit), pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}

/// Waits as [`wait`] does, but leaves a cancellation to the caller: whether there is one.
pub fn wait_for_cancel(limit: Duration) -> bool {
    let flags = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: MyLatch is this process's own latch; the flags are set by this process's signal handlers only.
    let cancelled = unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, flags as i32, millis(limit), pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
        pg_sys::QueryCancelPending != 0 || pg_sys::ProcDiePending != 0
    };
    if !cancelled {
        pgrx::check_for_interrupts!();
    }
    cancelled
}

/// Does short work that a cancellation which has come must not keep from its end. An ERROR in it resets the hold.
pub fn uninterrupted<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: a counter of this process, as HOLD_INTERRUPTS and RESUME_INTERRUPTS change it.
    unsafe { pg_sys::InterruptHoldoffCount += 1 };
    let done = body();
    // SAFETY: as above.
    unsafe { pg_sys::InterruptHoldoffCount -= 1 };
    done
}

/// Serves interrupts between two pieces of work.
pub fn check_interrupts() {
    pgrx::check_for_interrupts!();
}

/// How threads wake the main thread: they may not set a latch, but they may write to a pipe.
pub struct Bell {
    reader: PipeReader,
}

/// The threads' end of a [`Bell`].
pub struct Rope(Mutex<PipeWriter>);

impl Rope {
    /// Wakes the main thread. When the pipe is full the main thread has enough to wake for.
    pub fn pull(&self) {
        if let Ok(mut writer) = self.0.lock() {
            let _ = writer.write(&[1]);
        }
    }
}

/// A bell and its rope. Both ends never block.
pub fn bell() -> std::io::Result<(Bell, Rope)> {
    let (reader, writer) = std::io::pipe()?;
    for fd in [reader.as_raw_fd(), writer.as_raw_fd()] {
        // SAFETY: the descriptors are open and ours.
        unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
    }
    Ok((Bell { reader }, Rope(Mutex::new(writer))))
}

impl Bell {
    /// Waits until the rope is pulled, the latch is set or `limit` has passed, then serves interrupts.
    pub fn wait(&mut self, limit: Duration) {
        let flags =
            pg_sys::WL_LATCH_SET | pg_sys::WL_SOCKET_READABLE | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        // SAFETY: the latch is this process's own, the descriptor is open for as long as `self`.
        unsafe {
            let fd = self.reader.as_raw_fd();
            pg_sys::WaitLatchOrSocket(
                pg_sys::MyLatch,
                flags as i32,
                fd,
                millis(limit),
                pg_sys::PG_WAIT_EXTENSION,
            );
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
        let mut drained = [0u8; 256];
        while matches!(self.reader.read(&mut drained), Ok(n) if n == drained.len()) {}
        pgrx::check_for_interrupts!();
    }
}

fn millis(limit: Duration) -> core::ffi::c_long {
    core::ffi::c_long::try_from(limit.as_millis())
        .unwrap_or(core::ffi::c_long::MAX)
        .max(1)
}
