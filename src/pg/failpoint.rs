//! Named points where a test build can fail, crash or wait, exactly there.
//!
//! Without the feature `failpoints` a point is nothing, and no function exists to set one. With it, the points are set
//! for the whole cluster through shared memory of their own, so that a test steers background processes by SQL.

/// A point of the program, by name.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &str) {}

#[cfg(feature = "failpoints")]
pub use armed::{hit, hits, request, set};

#[cfg(feature = "failpoints")]
mod armed {
    use crate::pg::latch;
    use pgrx::prelude::pg_guard;
    use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};
    use std::time::Duration;

    const POINTS: usize = 16;
    const NAME: usize = 48;

    #[derive(Clone, Copy)]
    struct Point {
        name: [u8; NAME],
        action: Action,
        /// How many hits pass before the action.
        skip: u32,
        hits: u32,
    }

    /// What happens at a point.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub enum Action {
        Off,
        /// Raises an ERROR.
        Error,
        /// Panics.
        Panic,
        /// Kills this process, as a crash would.
        Kill,
        /// Waits until the point is off.
        Pause,
    }

    #[derive(Clone, Copy)]
    struct Points([Point; POINTS]);

    // SAFETY: plain values without pointers.
    unsafe impl PGRXSharedMemory for Points {}

    // SAFETY: the name is ours alone.
    static SHARED: PgLwLock<Points> = unsafe { PgLwLock::new(c"pg_sluice failpoints") };
    const UNSET: Point = Point {
        name: [0; NAME],
        action: Action::Off,
        skip: 0,
        hits: 0,
    };

    /// Asks for the memory; called while the library is being preloaded.
    pub fn request() {
        pg_shmem_init!(SHARED = Points([UNSET; POINTS]));
    }

    fn stored(name: &str) -> [u8; NAME] {
        let mut bytes = [0; NAME];
        let length = name.len().min(NAME);
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        bytes
    }

    /// Sets a point; whether the action is known and there was room.
    pub fn set(name: &str, action: &str, skip: u32) -> bool {
        let action = match action {
            "off" => Action::Off,
            "error" => Action::Error,
            "panic" => Action::Panic,
            "kill9" => Action::Kill,
            "pause" => Action::Pause,
            _ => return false,
        };
        let name = stored(name);
        let mut shared = SHARED.exclusive();
        let at = shared.0.iter().position(|p| p.name == name);
        let at = at.or_else(|| shared.0.iter().position(|p| p.action == Action::Off));
        match at {
            Some(at) => {
                shared.0[at] = Point {
                    name,
                    action,
                    skip,
                    hits: 0,
                }
            }
            None => return false,
        }
        true
    }

    /// How often a point that is set was reached; 0 for one that is not.
    pub fn hits(name: &str) -> u32 {
        let name = stored(name);
        let shared = SHARED.share();
        shared.0.iter().find(|p| p.name == name).map_or(0, |p| p.hits)
    }

    /// A point of the program: does what it was set to.
    pub fn hit(name: &str) {
        match due(name) {
            Action::Off => {}
            Action::Error => pgrx::error!("failpoint {name}"),
            Action::Panic => panic!("failpoint {name}"),
            // SAFETY: ends this very process, which is the point.
            Action::Kill => unsafe {
                libc::raise(libc::SIGKILL);
            },
            Action::Pause => {
                while due(name) == Action::Pause {
                    latch::wait(Duration::from_millis(20));
                }
            }
        }
    }

    fn due(name: &str) -> Action {
        // SAFETY: a pointer comparison with null.
        if unsafe { pg_sys::MyProc.is_null() } {
            return Action::Off;
        }
        let name = stored(name);
        let mut shared = SHARED.exclusive();
        let Some(point) = shared.0.iter_mut().find(|p| p.name == name && p.action != Action::Off) else {
            return Action::Off;
        };
        point.hits += 1;
        if point.hits <= point.skip {
            return Action::Off;
        }
        let action = point.action;
        if action != Action::Pause {
            // Once is enough: after the recovery the same point must let the work pass.
            point.action = Action::Off;
        }
        action
    }
}
