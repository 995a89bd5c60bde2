//! Signals and threads.
//!
//! A signal handler of the server must never run on a thread of ours. A thread inherits the signal mask of the thread
//! that starts it, and so do threads that it starts (ureq resolves names on one): everything is blocked around the start.

use pgrx::pg_sys;
use std::sync::Once;

unsafe extern "C-unwind" {
    /// The server's own SIGTERM handler. pgrx binds it as a Rust function, which is no signal handler.
    fn die(signal: core::ffi::c_int);
    fn StatementCancelHandler(signal: core::ffi::c_int);
    fn SignalHandlerForConfigReload(signal: core::ffi::c_int);
}

/// Runs `start` with all signals blocked in this thread, so that threads started in it never see one.
pub fn with_all_blocked<R>(start: impl FnOnce() -> R) -> R {
    // SAFETY: both masks are plain values on this stack; the former mask is put back before returning.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut former: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut former);
        let result = start();
        libc::pthread_sigmask(libc::SIG_SETMASK, &former, std::ptr::null_mut());
        result
    }
}

/// Installs the server's handlers in a background process and opens it for signals: terminate interrupts a running
/// statement, cancel ends it, SIGHUP is noted.
pub fn install_handlers() {
    // SAFETY: called once at the start of a background process, before anything else runs in it.
    unsafe {
        set_handler(pg_sys::SIGTERM as i32, die);
        set_handler(pg_sys::SIGINT as i32, StatementCancelHandler);
        set_handler(pg_sys::SIGHUP as i32, SignalHandlerForConfigReload);
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

unsafe fn set_handler(signal: i32, handler: unsafe extern "C-unwind" fn(core::ffi::c_int)) {
    // SAFETY: the handlers are the server's own, made for this.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal, Some(handler));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal, Some(handler));
    }
}

/// Reads the settings again when SIGHUP came; whether they were.
pub fn reload_settings_if_asked() -> bool {
    // SAFETY: a flag that only the handler sets; ProcessConfigFile is for the main thread, where this runs.
    unsafe {
        if pg_sys::ConfigReloadPending == 0 {
            return false;
        }
        pg_sys::ConfigReloadPending = 0;
        pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
    }
    true
}

/// Sends `signal` to another process of this cluster; whether it was there.
pub fn send(pid: i32, signal: i32) -> bool {
    // SAFETY: kill(2) touches no memory of ours. The pid comes from shared memory, where only live processes stand.
    pid > 0 && unsafe { libc::kill(pid, signal) == 0 }
}

/// Kills a child that leads a group of its own, with all that it has started.
pub fn kill_group(leader: &std::process::Child) {
    // SAFETY: kill(2) touches no memory of ours. Until the child is waited for, which takes the `Child` itself, its number
    // is no other process's.
    let _ = i32::try_from(leader.id()).map(|pid| unsafe { libc::kill(-pid, libc::SIGKILL) });
}

pub const CANCEL: i32 = libc::SIGINT;
pub const TERMINATE: i32 = libc::SIGTERM;

/// Keeps the panics of our threads out of the server's log: they are caught and reported as errors. The main thread
/// keeps pgrx's hook, which ERRORs need.
pub fn quiet_thread_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("sl-"));
            if !ours {
                former(info);
            }
        }));
    });
}
