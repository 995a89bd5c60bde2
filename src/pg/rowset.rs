//! Decoded rows as a relation that a statement can name: a tuplestore behind an ephemeral named relation.
//!
//! No table is created and no default is evaluated: each field goes through its column type's receive function (what
//! COPY BINARY uses) or, for types without an encoder, through its input function, with the column's type modifier, so
//! that `numeric(10,2)` rounds, `varchar(5)` refuses and domains check as they do in an INSERT. Beyond `work_mem` the
//! rows spill to disk.

use crate::pg::relation::TargetColumn;
use crate::pg::statement::Session;
use pgrx::{PgBuiltInOids, PgMemoryContexts, pg_sys};
use sluice_core::data::FieldFormat;
use sluice_core::error::{Result, TargetError};
use std::ffi::{CStr, CString};
use std::ptr;

/// One column of a rowset.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub type_oid: pg_sys::Oid,
    pub typmod: i32,
    pub collation: pg_sys::Oid,
    pub format: FieldFormat,
}

impl Field {
    /// A field of a target column's type.
    pub fn of(column: &TargetColumn, name: String, format: FieldFormat) -> Field {
        Field {
            name,
            type_oid: column.type_oid,
            typmod: column.typmod,
            collation: column.collation,
            format,
        }
    }

    /// A number of ours, given as text.
    pub fn number(name: &str) -> Field {
        Self::built_in(name, PgBuiltInOids::INT8OID)
    }

    /// A row's address within its table or partition, given as text.
    pub fn row_id(name: &str) -> Field {
        Self::built_in(name, PgBuiltInOids::TIDOID)
    }

    /// The table or partition that holds a row, given as the text of its OID.
    pub fn part(name: &str) -> Field {
        Self::built_in(name, PgBuiltInOids::OIDOID)
    }

    fn built_in(name: &str, type_oid: PgBuiltInOids) -> Field {
        Field {
            name: name.into(),
            type_oid: type_oid.value(),
            typmod: -1,
            collation: pg_sys::InvalidOid,
            format: FieldFormat::Text,
        }
    }
}

/// Rows in a tuplestore with the shape they have.
pub struct Rowset {
    store: *mut pg_sys::Tuplestorestate,
    shape: pg_sys::TupleDesc,
    rows: u64,
}

/// An empty store for a batch: read in order and again from its start, gone with the transaction.
pub(in crate::pg) fn new_store() -> *mut pg_sys::Tuplestorestate {
    // SAFETY: needs a transaction, which a session has.
    unsafe { pg_sys::tuplestore_begin_heap(true, false, pg_sys::work_mem) }
}

impl Rowset {
    pub(in crate::pg) fn from_parts(
        store: *mut pg_sys::Tuplestorestate,
        shape: pg_sys::TupleDesc,
        rows: u64,
    ) -> Rowset {
        Rowset { store, shape, rows }
    }

    pub fn len(&self) -> u64 {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Lets statements inside `body` name these rows as a relation.
    pub fn named<R>(&self, session: &Session, name: &str, body: impl FnOnce() -> R) -> R {
        let name = CString::new(name).expect("our own names have no NUL");
        self.register(session, &name);
        let result = body();
        // SAFETY: registered above in the same connection.
        unsafe { pg_sys::SPI_unregister_relation(name.as_ptr()) };
        result
    }

    fn register(&self, session: &Session, name: &CStr) {
        // SAFETY: SPI_register_relation makes its list in the current memory context, which must live as long as the
        // connection: the session's own. In a shorter one the next look into the list would crash.
        unsafe {
            PgMemoryContexts::For(session.context()).switch_to(|_| {
                let size = size_of::<pg_sys::EphemeralNamedRelationData>();
                let relation = pg_sys::palloc0(size).cast::<pg_sys::EphemeralNamedRelationData>();
                (*relation).md.name = pg_sys::pstrdup(name.as_ptr());
                (*relation).md.tupdesc = self.shape;
                (*relation).md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
                (*relation).md.enrtuples = self.rows as f64;
                (*relation).reldata = self.store.cast();
                let code = pg_sys::SPI_register_relation(relation);
                assert!(code >= 0, "SPI_register_relation failed with {code}");
            });
        }
    }
}

impl Drop for Rowset {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the store is ended once; after an error the transaction's end releases it instead.
            unsafe { pg_sys::tuplestore_end(self.store) };
        }
    }
}

/// Builds a rowset row by row.
pub struct RowsetWriter {
    rowset: Rowset,
    readers: Vec<Reader>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    /// What a type's function allocates for one row.
    scratch: PgMemoryContexts,
    table: String,
}

impl RowsetWriter {
    /// `table` names the target in errors.
    pub fn new(session: &Session, fields: &[Field], table: &str) -> RowsetWriter {
        // SAFETY: the shape and the functions' caches are allocated in the session's context and used within it.
        let (shape, readers) = unsafe {
            PgMemoryContexts::For(session.context()).switch_to(|_| {
                let readers = fields.iter().map(|f| Reader::new(f, session.context())).collect();
                (describe(fields), readers)
            })
        };
        RowsetWriter {
            rowset: Rowset::from_parts(new_store(), shape, 0),
            readers,
            values: vec![pg_sys::Datum::null(); fields.len()],
            nulls: vec![true; fields.len()],
            scratch: PgMemoryContexts::new("sluice row"),
            table: table.into(),
        }
    }

    /// Adds a row: one item a field, `None` for NULL.
    pub fn add<'a>(&mut self, fields: impl IntoIterator<Item = Option<&'a [u8]>>) -> Result<()> {
        let mut count = 0;
        let result = self.fill(fields, &mut count);
        if result.is_ok() && count == self.readers.len() {
            let (values, nulls) = (self.values.as_ptr(), self.nulls.as_ptr());
            // SAFETY: both arrays have one entry for each column of the shape; the store copies the row.
            unsafe {
                let (store, shape) = (self.rowset.store, self.rowset.shape);
                pg_sys::tuplestore_putvalues(store, shape, values.cast_mut(), nulls.cast_mut());
            }
            self.rowset.rows += 1;
        }
        // SAFETY: the row was copied or is given up; nothing points into the scratch context any more.
        unsafe { self.scratch.reset() };
        result?;
        match count == self.readers.len() {
            true => Ok(()),
            false => Err(self.malformed(count)),
        }
    }

    fn fill<'a>(&mut self, fields: impl IntoIterator<Item = Option<&'a [u8]>>, count: &mut usize) -> Result<()> {
        for field in fields {
            let Some(reader) = self.readers.get_mut(*count) else {
                return Err(self.malformed(*count + 1));
            };
            // SAFETY: the value is used before the scratch context is reset.
            let value = unsafe { self.scratch.switch_to(|_| reader.read(field)) };
            let Some(value) = value else {
                return Err(self.malformed(*count + 1));
            };
            self.nulls[*count] = field.is_none();
            self.values[*count] = value;
            *count += 1;
        }
        Ok(())
    }

    fn malformed(&self, column: usize) -> sluice_core::Error {
        TargetError::MalformedBatch {
            table: self.table.clone(),
            column,
        }
        .into()
    }

    pub fn finish(self) -> Rowset {
        self.rowset
    }
}

fn describe(fields: &[Field]) -> pg_sys::TupleDesc {
    // SAFETY: each entry is within the count that the descriptor was made for; names are C strings and are copied.
    unsafe {
        let shape = pg_sys::CreateTemplateTupleDesc(fields.len() as i32);
        for (number, field) in (1..).zip(fields) {
            let name = CString::new(field.name.as_str()).expect("our own names have no NUL");
            pg_sys::TupleDescInitEntry(shape, number, name.as_ptr(), field.type_oid, field.typmod, 0);
            pg_sys::TupleDescInitEntryCollation(shape, number, field.collation);
        }
        shape
    }
}

/// Turns the bytes of one column's fields into values.
pub(in crate::pg) struct Reader {
    function: pg_sys::FmgrInfo,
    parameter: pg_sys::Oid,
    typmod: i32,
    format: FieldFormat,
    /// The field with a NUL behind it: receive functions may scribble on their input, and look one byte further.
    buffer: Vec<u8>,
}

impl Reader {
    /// `context` is where the type's function keeps what it remembers; the reader must not outlive it.
    pub(in crate::pg) fn new(field: &Field, context: pg_sys::MemoryContext) -> Reader {
        let mut function = pg_sys::FmgrInfo::default();
        let (mut oid, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        // SAFETY: look-ups by a type's OID; the function's cache lives in a context that outlives the reader.
        unsafe {
            match field.format {
                FieldFormat::Binary => pg_sys::getTypeBinaryInputInfo(field.type_oid, &mut oid, &mut parameter),
                FieldFormat::Text => pg_sys::getTypeInputInfo(field.type_oid, &mut oid, &mut parameter),
            }
            pg_sys::fmgr_info_cxt(oid, &mut function, context);
        }
        Reader {
            function,
            parameter,
            typmod: field.typmod,
            format: field.format,
            buffer: Vec::new(),
        }
    }

    /// The value, in the current memory context; `None` when the function did not take all the bytes.
    pub(in crate::pg) fn read(&mut self, field: Option<&[u8]>) -> Option<pg_sys::Datum> {
        if let Some(bytes) = field {
            self.buffer.clear();
            self.buffer.extend_from_slice(bytes);
            self.buffer.push(0);
        }
        match self.format {
            FieldFormat::Binary => self.receive(field.is_none()),
            FieldFormat::Text => self.input(field.is_none()),
        }
    }

    /// NULL goes through the function too: a domain may refuse it.
    fn receive(&mut self, null: bool) -> Option<pg_sys::Datum> {
        let length = self.buffer.len().saturating_sub(1) as i32;
        let mut text = pg_sys::StringInfoData {
            data: self.buffer.as_mut_ptr().cast(),
            len: length,
            maxlen: length + 1,
            cursor: 0,
        };
        let argument = if null { ptr::null_mut() } else { &raw mut text };
        // SAFETY: the function was looked up for this type; the buffer outlives the call and nothing grows it.
        let value = unsafe { pg_sys::ReceiveFunctionCall(&mut self.function, argument, self.parameter, self.typmod) };
        (null || text.cursor == length).then_some(value)
    }

    fn input(&mut self, null: bool) -> Option<pg_sys::Datum> {
        let text = if null { ptr::null_mut() } else { self.server_text()? };
        // SAFETY: the function was looked up for this type; the text is a C string in the server's encoding or NULL.
        Some(unsafe { pg_sys::InputFunctionCall(&mut self.function, text, self.parameter, self.typmod) })
    }

    /// The buffer as a C string in the server's encoding; none if a NUL is inside.
    fn server_text(&mut self) -> Option<*mut std::ffi::c_char> {
        CStr::from_bytes_with_nul(&self.buffer).ok()?;
        let length = self.buffer.len() as i32 - 1;
        // SAFETY: the buffer is a C string of that length, which is checked and converted where encodings differ.
        Some(unsafe { pg_sys::pg_any_to_server(self.buffer.as_ptr().cast(), length, pg_sys::pg_enc::PG_UTF8 as i32) })
    }
}
