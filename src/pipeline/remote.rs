//! One exchange with a remote outside of a read: on a thread, while the main thread waits on its latch.

use crate::pg::{latch, signals, transaction};
use sluice_core::Result;
use sluice_core::error::{Error, HttpError, InternalError};
use sluice_fetch::Transport;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

const SLICE: Duration = Duration::from_millis(50);

/// How long the caller waits, and how.
pub struct Patience<'a> {
    pub deadline: Instant,
    /// What it ends with where nothing came in time.
    pub timeout: HttpError,
    /// Waits a little; fails where the caller is not to wait any longer.
    pub pause: &'a dyn Fn(Duration) -> Result<()>,
}

/// Waits in a session, whose own transaction is open: a cancellation raises its error.
pub fn pause_in_session(limit: Duration) -> Result<()> {
    latch::wait(limit);
    Ok(())
}

/// Waits in a worker, outside of a transaction.
pub fn pause_in_worker(limit: Duration) -> Result<()> {
    transaction::guarded(|| {
        latch::wait(limit);
        Ok(())
    })
}

/// Runs `work` on a thread and waits for it.
///
/// # Errors
/// What `work` ends with, or a time-out.
pub fn ask<T: Send + 'static>(
    patience: &Patience,
    transport: &Arc<dyn Transport>,
    work: impl FnOnce(&dyn Transport) -> Result<T> + Send + 'static,
) -> Result<T> {
    signals::quiet_thread_panics();
    let (sender, receiver) = sync_channel(1);
    let shared = Arc::clone(transport);
    let thread = std::thread::Builder::new().name("sl-probe".into());
    let started = signals::with_all_blocked(|| thread.spawn(move || sender.send(work(&*shared))));
    started.map_err(|e| Error::Internal(InternalError::Os { what: e.to_string() }))?;
    loop {
        match receiver.try_recv() {
            Ok(result) => return result,
            Err(TryRecvError::Disconnected) => {
                return Err(InternalError::Panic {
                    message: "the probing thread ended".into(),
                }
                .into());
            }
            Err(TryRecvError::Empty) if Instant::now() >= patience.deadline => {
                transport.close();
                return Err(patience.timeout.clone().into());
            }
            Err(TryRecvError::Empty) => match receiver.recv_timeout(Duration::from_millis(1)) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => (patience.pause)(SLICE)?,
            },
        }
    }
}
