//! PostgreSQL's time zones: the same names and the same rules as its `TimeZone` setting.

use crate::pg::{bgworker, shmem};
use pgrx::pg_sys;
use std::ffi::{CStr, CString};

/// Between 1970-01-01 and 2000-01-01, in seconds.
const EPOCHS: i64 = 946_684_800;
/// The longest name that the server takes.
const LONGEST: usize = 255;

/// A time zone of the server.
pub struct Zone(*mut pg_sys::pg_tz);

impl Zone {
    /// The zone of this name; None where the server knows none.
    pub fn named(name: &str) -> Option<Zone> {
        let name = CString::new(name).ok().filter(|name| name.as_bytes().len() < LONGEST)?;
        // SAFETY: the name is a C string that fits; the server keeps what it returns for as long as the process lives.
        let found = unsafe { pg_sys::pg_tzset(name.as_ptr()) };
        // SAFETY: not null.
        let usable = !found.is_null() && unsafe { pg_sys::pg_tz_acceptable(found) };
        usable.then_some(Zone(found))
    }

    /// The zone of this name, or that of the database.
    pub fn of(name: Option<&str>) -> Zone {
        let named = name.map_or_else(of_database, str::to_owned);
        // The rules may have been taken away since the name was accepted.
        Zone::named(&named)
            .or_else(|| Zone::named("UTC"))
            .expect("PostgreSQL has UTC without any file")
    }

    /// How far its clock is ahead of UTC at a moment (seconds since 2000-01-01 UTC), in seconds.
    pub fn offset_at(&self, moment: i64) -> i64 {
        let time: pg_sys::pg_time_t = moment.saturating_add(EPOCHS);
        // SAFETY: a zone of the server; it returns a static struct, or null for a time beyond its range.
        unsafe {
            let local = pg_sys::pg_localtime(&raw const time, self.0);
            local.as_ref().map_or(0, |local| local.tm_gmtoff)
        }
    }
}

/// The zone of this session.
pub fn of_session() -> String {
    // SAFETY: set when the session starts; its name is a C string of the zone itself.
    unsafe {
        let name = pg_sys::pg_get_timezone_name(pg_sys::session_timezone);
        match name.is_null() {
            true => "UTC".to_owned(),
            false => CStr::from_ptr(name).to_string_lossy().into_owned(),
        }
    }
}

/// The zone that this database has, as its scheduler saw it; a session's own may be another one.
fn of_database() -> String {
    shmem::is_ready()
        .then(|| shmem::zone_of(bgworker::my_database()))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(of_session)
}
