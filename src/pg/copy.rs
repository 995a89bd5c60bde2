//! Rows straight into a table through PostgreSQL's own COPY: the fastest way in, for empty and append-only targets.
//!
//! The C functions leave to their caller what the COPY command checks: privileges, row security, read-only
//! transactions. [`copy_rows`] does that first.

use crate::pg::relation::{Target, refuse_row_security, require_insert};
use pgrx::{PgMemoryContexts, pg_guard, pg_sys};
use sluice_core::error::Result;
use std::cell::Cell;
use std::ffi::{CString, c_void};
use std::ptr;

/// Signature, flags and the length of the header's extension of COPY's binary format.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of -1 ends the data.
const TRAILER: &[u8] = &[0xff, 0xff];

/// Copies tuples of COPY's binary format (without header and trailer) into the target's `columns`; returns how many.
///
/// Every check, default, trigger, index and partition of the table applies. Fails as COPY fails; 23505 means that a key
/// was there already.
pub fn copy_rows(target: &Target, columns: &[String], rows: &[&[u8]]) -> Result<u64> {
    refuse_row_security(target)?;
    require_insert(target, columns)?;
    for column in columns {
        target.expect_column(column)?;
    }
    let mut source = Source {
        chunks: rows,
        next: Part::Header,
        offset: 0,
    };
    // What COPY's set-up allocates goes with this context, not with the caller's.
    let mut context = PgMemoryContexts::new("sluice copy");
    // SAFETY: nothing that is allocated inside is used after the context has gone.
    Ok(unsafe { context.switch_to(|_| copy_from(target, columns, &mut source)) })
}

/// # Safety
/// To be called in a transaction, in a memory context that outlives the call.
unsafe fn copy_from(target: &Target, columns: &[String], source: &mut Source) -> u64 {
    // The source is found by the callback while COPY runs, and by nothing afterwards, errors included.
    let _registered = Registered::new(source);
    // SAFETY: the relation is opened under the lock that COPY needs and closed with that lock kept; each call is made
    // in the order that the COPY command makes it; an error unwinds to the caller, whose abort releases everything.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(c"COPY FROM".as_ptr());
        let relation = pg_sys::table_open(target.oid, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
        let parse = pg_sys::make_parsestate(ptr::null_mut());
        let lock = pg_sys::RowExclusiveLock as i32;
        pg_sys::addRangeTableEntryForRelation(parse, relation, lock, ptr::null_mut(), false, false);
        let state = pg_sys::BeginCopyFrom(
            parse,
            relation,
            ptr::null_mut(),
            ptr::null(),
            false,
            Some(read_source),
            name_list(columns),
            binary_format(),
        );
        let copied = pg_sys::CopyFrom(state);
        pg_sys::EndCopyFrom(state);
        pg_sys::free_parsestate(parse);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        pg_sys::CommandCounterIncrement();
        copied
    }
}

/// # Safety
/// To be called where PostgreSQL may allocate.
unsafe fn name_list(columns: &[String]) -> *mut pg_sys::List {
    columns.iter().fold(ptr::null_mut(), |list, column| {
        // SAFETY: as the function's; the name is copied.
        unsafe { pg_sys::lappend(list, string_node(column).cast()) }
    })
}

/// # Safety
/// To be called where PostgreSQL may allocate.
unsafe fn string_node(text: &str) -> *mut pg_sys::Node {
    let text = CString::new(text).expect("names from the catalog have no NUL");
    // SAFETY: as the function's; makeString keeps the copy.
    unsafe { pg_sys::makeString(pg_sys::pstrdup(text.as_ptr())).cast() }
}

/// # Safety
/// To be called where PostgreSQL may allocate.
unsafe fn binary_format() -> *mut pg_sys::List {
    // SAFETY: as the function's; makeDefElem keeps the copied name.
    unsafe {
        let name = pg_sys::pstrdup(c"format".as_ptr());
        pg_sys::lappend(
            ptr::null_mut(),
            pg_sys::makeDefElem(name, string_node("binary"), -1).cast(),
        )
    }
}

/// What COPY reads: header, chunks of tuples, trailer.
struct Source<'a> {
    chunks: &'a [&'a [u8]],
    next: Part,
    offset: usize,
}

#[derive(Clone, Copy)]
enum Part {
    Header,
    Chunk(usize),
    Trailer,
    End,
}

impl Source<'_> {
    fn current(&self) -> Option<&[u8]> {
        match self.next {
            Part::Header => Some(HEADER),
            Part::Chunk(i) => Some(self.chunks[i]),
            Part::Trailer => Some(TRAILER),
            Part::End => None,
        }
    }

    fn advance(&mut self) {
        let following = match self.next {
            Part::Header => 0,
            Part::Chunk(i) => i + 1,
            Part::Trailer | Part::End => {
                self.next = Part::End;
                return;
            }
        };
        self.next = if following < self.chunks.len() {
            Part::Chunk(following)
        } else {
            Part::Trailer
        };
    }

    /// Fills `out` as far as the present part goes; 0 only at the end.
    fn read(&mut self, out: &mut [u8]) -> usize {
        while let Some(part) = self.current() {
            let left = &part[self.offset..];
            if left.is_empty() {
                self.offset = 0;
                self.advance();
                flush_ahead();
                continue;
            }
            let count = left.len().min(out.len());
            out[..count].copy_from_slice(&left[..count]);
            self.offset += count;
            return count;
        }
        0
    }
}

/// Has the WAL writer write and flush what there is of the log, so that the commit waits for the last bit only.
fn flush_ahead() {
    // SAFETY: a global of this process: the end of the last record that it has inserted, 0 before the first.
    let inserted = unsafe { pg_sys::XactLastRecEnd };
    if inserted != 0 {
        // SAFETY: may be called by any process with shared memory; up to there all was inserted.
        unsafe { pg_sys::XLogSetAsyncXactLSN(inserted) };
    }
}

thread_local! {
    /// The running COPY's source: PostgreSQL's callback has no argument of its own. One COPY runs at a time.
    static SOURCE: Cell<*mut c_void> = const { Cell::new(ptr::null_mut()) };
}

/// Makes a source known to the callback, and the previous one again when it goes (a trigger of the target may COPY too).
struct Registered(*mut c_void);

impl Registered {
    fn new(source: &mut Source) -> Self {
        Registered(SOURCE.replace(ptr::from_mut(source).cast()))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        SOURCE.set(self.0);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn read_source(out: *mut c_void, _at_least: i32, at_most: i32) -> i32 {
    pgrx::check_for_interrupts!();
    let Ok(length) = usize::try_from(at_most) else { return 0 };
    // SAFETY: `Registered` keeps the pointer valid while COPY runs, and nothing else touches the source meanwhile;
    // COPY gives a buffer of at_most bytes.
    let count = unsafe {
        let source = &mut *SOURCE.get().cast::<Source>();
        source.read(std::slice::from_raw_parts_mut(out.cast(), length))
    };
    count as i32
}
