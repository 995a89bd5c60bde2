//! Cancelling what the process runs when its time is over.

use core::ffi::c_int;
use std::time::Duration;

unsafe extern "C-unwind" {
    // Exported by the server (utils/timeout.h), not bound by pgrx 0.18.1.
    fn enable_timeout_after(id: c_int, delay_ms: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// `STATEMENT_TIMEOUT` of the server's `TimeoutId`, the same in every release that we build for. A background worker arms
/// it for no statement of its own.
const STATEMENT_TIMEOUT: c_int = 3;

/// A limit that holds until the value is dropped.
pub struct Limited;

impl Limited {
    pub fn new(limit: Duration) -> Limited {
        let millis = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the server has registered this timeout for every process that is connected to a database.
        unsafe { enable_timeout_after(STATEMENT_TIMEOUT, millis) };
        Limited
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // SAFETY: raises nothing. What has come stays known, so that the error says what it was.
        unsafe { disable_timeout(STATEMENT_TIMEOUT, true) };
    }
}
