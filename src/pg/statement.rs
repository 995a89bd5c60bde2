//! Statements over relations that live for one call: saved plans, their planner settings, their results.
//!
//! A plan that looks up a key for every row of a batch must use the key's index whatever the statistics say: a table
//! that was analysed while it was empty once cost 18 s a batch. The text of such statements (`sluice_core::sql_text`)
//! leaves one join order; [`Planning`] takes away everything but index and address scans, around our own statements
//! only, so that the owner's triggers are planned as the owner set it up.

use crate::pg::rowset::Rowset;
use pgrx::{Spi, pg_sys};
use sluice_core::Result;
use std::ffi::{CStr, CString, c_char};
use std::ptr;

unsafe extern "C-unwind" {
    // Exported by the server (tstoreReceiver.h), not bound by pgrx 0.18.1.
    fn SetTuplestoreDestReceiverParams(
        receiver: *mut pg_sys::DestReceiver,
        store: *mut pg_sys::Tuplestorestate,
        context: pg_sys::MemoryContext,
        detoast: bool,
        target: pg_sys::TupleDesc,
        mismatch: *const c_char,
    );
}

/// An open SPI connection. What is allocated for it goes when it ends.
pub struct Session {
    context: pg_sys::MemoryContext,
}

/// Opens an SPI connection for the body.
pub fn session<R>(body: impl FnOnce(&Session) -> R) -> R {
    Spi::connect_mut(|_| {
        // SAFETY: right after connecting, the current context is the connection's own.
        let context = unsafe { pg_sys::CurrentMemoryContext };
        body(&Session { context })
    })
}

impl Session {
    pub(in crate::pg) fn context(&self) -> pg_sys::MemoryContext {
        self.context
    }
}

/// How a statement is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planning {
    /// As the session's settings say: statements without a join.
    Ordinary,
    /// By key or address only, while planning and running: statements that run no code of the owner's triggers.
    Probe,
    /// By key or address only while planning; runs under the session's settings: statements that fire triggers.
    ProbeThenOrdinary,
}

/// A prepared statement that outlives transactions; freed when dropped.
pub struct Statement {
    plan: pg_sys::SPIPlanPtr,
    planning: Planning,
}

/// The rows of a result, each value as its type's output function writes it.
pub type Texts = Vec<Vec<Option<String>>>;

impl Statement {
    /// Prepares a statement. The relations that it names must be there (see [`Rowset::named`]), now and at each run.
    pub fn prepare(_session: &Session, text: &str, planning: Planning) -> Statement {
        let text = CString::new(text).expect("statements are built from names without NUL");
        // SAFETY: the text is a C string in UTF-8, converted where the database has another encoding; SPI is connected.
        let plan = unsafe {
            let length = text.as_bytes().len() as i32;
            let converted = pg_sys::pg_any_to_server(text.as_ptr(), length, pg_sys::pg_enc::PG_UTF8 as i32);
            pg_sys::SPI_prepare(converted, 0, ptr::null_mut())
        };
        // SAFETY: reads SPI's result code.
        assert!(!plan.is_null(), "SPI_prepare failed with {}", unsafe {
            pg_sys::SPI_result
        });
        // SAFETY: the plan was just made and is not saved yet.
        unsafe { pg_sys::SPI_keepplan(plan) };
        Statement { plan, planning }
    }

    /// Runs it; returns the number of rows that it wrote or returned.
    pub fn run(&self, _session: &Session) -> u64 {
        let done = self.execute(ptr::null_mut());
        // SAFETY: frees the result, if any, of the statement that just ran.
        unsafe { pg_sys::SPI_freetuptable(pg_sys::SPI_tuptable) };
        done
    }

    /// Runs it and keeps its result as a relation for further statements.
    pub fn rowset(&self, session: &Session) -> Rowset {
        let store = crate::pg::rowset::new_store();
        // SAFETY: the receiver lives in the session's context; the store outlives the run.
        let receiver = unsafe {
            let receiver = pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestTuplestore);
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                let context = session.context;
                SetTuplestoreDestReceiverParams(receiver, store, context, false, ptr::null_mut(), ptr::null());
            });
            receiver
        };
        let rows = self.execute(receiver);
        // SAFETY: the plan has exactly one source, whose result's shape is copied before it can be planned anew.
        let shape = unsafe {
            let source = pg_sys::list_nth(pg_sys::SPI_plan_get_plan_sources(self.plan), 0);
            pg_sys::CreateTupleDescCopy((*source.cast::<pg_sys::CachedPlanSource>()).resultDesc)
        };
        Rowset::from_parts(store, shape, rows)
    }

    /// Runs it and returns its result as text.
    pub fn texts(&self, _session: &Session) -> Texts {
        self.execute(ptr::null_mut());
        // SAFETY: SPI_tuptable is the result of the statement that just ran and is freed after it was copied.
        unsafe {
            let table = pg_sys::SPI_tuptable;
            let texts = read_table(&*table);
            pg_sys::SPI_freetuptable(table);
            texts
        }
    }

    /// Runs it and hands its result out, so many rows at a time, as of the moment it began.
    pub fn each(&self, _session: &Session, rows: i64, mut take: impl FnMut(Texts) -> Result<()>) -> Result<()> {
        // SAFETY: the plan takes no parameters and is one query; the portal is closed below, or by an error's abort.
        let portal = unsafe { pg_sys::SPI_cursor_open(ptr::null(), self.plan, ptr::null_mut(), ptr::null(), false) };
        let mut done = Ok(());
        while done.is_ok() {
            // SAFETY: the portal is open; the table of what was fetched is copied and freed before the next fetch.
            let texts = unsafe {
                pg_sys::SPI_cursor_fetch(portal, true, rows);
                let table = pg_sys::SPI_tuptable;
                let texts = read_table(&*table);
                pg_sys::SPI_freetuptable(table);
                texts
            };
            if texts.is_empty() {
                break;
            }
            done = take(texts);
        }
        // SAFETY: opened above, and fetched from by nobody any more.
        unsafe { pg_sys::SPI_cursor_close(portal) };
        done
    }

    fn execute(&self, receiver: *mut pg_sys::DestReceiver) -> u64 {
        match self.planning {
            Planning::Ordinary => self.execute_now(receiver),
            Planning::Probe => {
                let _pinned = Pinned::new(PROBE_SETTINGS);
                self.execute_now(receiver)
            }
            Planning::ProbeThenOrdinary => {
                self.plan_now();
                self.execute_now(receiver)
            }
        }
    }

    fn plan_now(&self) {
        let _pinned = Pinned::new(PROBE_SETTINGS);
        // SAFETY: the plan is saved, so that its cached form belongs to the current resource owner until released.
        unsafe {
            let cached = pg_sys::SPI_plan_get_cached_plan(self.plan);
            if !cached.is_null() {
                pg_sys::ReleaseCachedPlan(cached, pg_sys::CurrentResourceOwner);
            }
        }
    }

    fn execute_now(&self, receiver: *mut pg_sys::DestReceiver) -> u64 {
        let options = pg_sys::SPIExecuteOptions {
            dest: receiver,
            ..Default::default()
        };
        // SAFETY: the plan takes no parameters; the receiver is NULL (a table of tuples) or a live one.
        unsafe {
            let code = pg_sys::SPI_execute_plan_extended(self.plan, &options);
            assert!(code >= 0, "SPI_execute_plan_extended failed with {code}");
            pg_sys::SPI_processed
        }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: the plan was saved by `prepare` and is freed once.
        unsafe { pg_sys::SPI_freeplan(self.plan) };
    }
}

unsafe fn read_table(table: &pg_sys::SPITupleTable) -> Texts {
    // SAFETY: the caller gives a table that SPI filled: numvals tuples of the shape tupdesc.
    unsafe {
        let columns = (*table.tupdesc).natts;
        let tuples = std::slice::from_raw_parts(table.vals, table.numvals as usize);
        let value = |tuple, column| owned_text(pg_sys::SPI_getvalue(tuple, table.tupdesc, column));
        tuples
            .iter()
            .map(|&tuple| (1..=columns).map(|column| value(tuple, column)).collect())
            .collect()
    }
}

/// Takes a server string over as UTF-8; NULL stays none.
unsafe fn owned_text(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller gives a palloc'd C string in the server's encoding, used by nobody else.
    unsafe {
        let length = CStr::from_ptr(text).to_bytes().len() as i32;
        let converted = pg_sys::pg_server_to_any(text, length, pg_sys::pg_enc::PG_UTF8 as i32);
        let owned = CStr::from_ptr(converted).to_string_lossy().into_owned();
        if converted != text {
            pg_sys::pfree(converted.cast());
        }
        pg_sys::pfree(text.cast());
        Some(owned)
    }
}

type Settings = &'static [(&'static CStr, &'static CStr)];

/// Leaves index scans, address scans and nested loops. JIT is off because the cost of what is switched off would
/// start it.
const PROBE_SETTINGS: Settings = &[
    (c"enable_hashjoin", c"off"),
    (c"enable_mergejoin", c"off"),
    (c"enable_seqscan", c"off"),
    (c"enable_bitmapscan", c"off"),
    (c"enable_material", c"off"),
    (c"jit", c"off"),
];

/// What the text of a value depends on, but for the time zone (the row fingerprints do without it).
const EXACT_TEXT_SETTINGS: Settings = &[
    (c"datestyle", c"ISO, YMD"),
    (c"intervalstyle", c"postgres"),
    (c"extra_float_digits", c"1"),
    (c"bytea_output", c"hex"),
];

/// Settings that hold until the value is dropped; an error ends them with its transaction.
pub struct Pinned(i32);

impl Pinned {
    /// Makes the text of every value exact and the same in each session.
    pub fn exact_text() -> Self {
        Self::new(EXACT_TEXT_SETTINGS)
    }

    /// Sets the time zone, for statements that fire no triggers.
    pub fn time_zone(zone: &str) -> Self {
        let zone = CString::new(zone).expect("a setting's value has no NUL");
        Self::new(&[(c"timezone", &zone)])
    }

    fn new(settings: &[(&CStr, &CStr)]) -> Self {
        // SAFETY: opens a nest level, whose settings end with it.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
        for (name, value) in settings {
            // SAFETY: both are C strings; every role may set these.
            unsafe {
                pg_sys::set_config_option(
                    name.as_ptr(),
                    value.as_ptr(),
                    pg_sys::GucContext::PGC_USERSET,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SAVE,
                    true,
                    0,
                    false,
                );
            }
        }
        Pinned(level)
    }
}

/// The session's time zone.
pub fn time_zone() -> String {
    // SAFETY: the setting always exists, and its text is copied at once.
    unsafe { CStr::from_ptr(pg_sys::GetConfigOption(c"TimeZone".as_ptr(), false, false)) }
        .to_string_lossy()
        .into_owned()
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the level was opened by `new`, and levels opened since have ended.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) };
        }
    }
}
