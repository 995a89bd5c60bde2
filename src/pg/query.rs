//! A query that a user gave us: what it is, and running it within a time.

use crate::pg::timeout::Limited;
use crate::pg::{attempt, identity, spi};
use pgrx::prelude::*;
use pgrx::{PgList, pg_sys};
use sluice_core::Result;
use sluice_core::foreach::QueryFault;
use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

/// The columns of one SELECT that changes nothing, in their order; not run.
pub fn columns(query: &str) -> std::result::Result<Vec<String>, QueryFault> {
    let text = CString::new(query).map_err(|_| QueryFault::NotOneSelect)?;
    Spi::connect_mut(|_| {
        // SAFETY: the text is a C string in UTF-8, converted where the database has another encoding. What the parser
        // and SPI give is read within this connection, whose memory it lies in.
        unsafe {
            let length = text.as_bytes().len() as i32;
            let text = pg_sys::pg_any_to_server(text.as_ptr(), length, pg_sys::pg_enc::PG_UTF8 as i32);
            if !is_one_select(text) {
                return Err(QueryFault::NotOneSelect);
            }
            let plan = pg_sys::SPI_prepare(text, 0, std::ptr::null_mut());
            if plan.is_null() {
                return Err(QueryFault::NotOneSelect);
            }
            let source: *mut pg_sys::CachedPlanSource =
                pg_sys::list_nth(pg_sys::SPI_plan_get_plan_sources(plan), 0).cast();
            let analysed = PgList::<pg_sys::Query>::from_pg((*source).query_list);
            let changes = |query: *mut pg_sys::Query| (*query).hasModifyingCTE || !(*query).rowMarks.is_null();
            if analysed.iter_ptr().any(changes) {
                return Err(QueryFault::Changes);
            }
            Ok(names((*source).resultDesc))
        }
    })
}

/// # Safety
/// The text is a C string in the server's encoding.
unsafe fn is_one_select(text: *const c_char) -> bool {
    // SAFETY: the caller's text; a list of raw statements, each a node with its tag.
    unsafe {
        let parsed = pg_sys::raw_parser(text, pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let statements = PgList::<pg_sys::RawStmt>::from_pg(parsed);
        let Some(only) = statements.get_ptr(0).filter(|_| statements.len() == 1) else {
            return false;
        };
        let node = (*only).stmt;
        (*node).type_ == pg_sys::NodeTag::T_SelectStmt && (*node.cast::<pg_sys::SelectStmt>()).intoClause.is_null()
    }
}

/// # Safety
/// The descriptor is valid, or null.
unsafe fn names(shape: pg_sys::TupleDesc) -> Vec<String> {
    if shape.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's descriptor holds so many attributes, each with a name that ends in NUL.
    unsafe {
        let attributes = (*shape).attrs.as_slice((*shape).natts as usize);
        let name =
            |a: &pg_sys::FormData_pg_attribute| CStr::from_ptr(a.attname.data.as_ptr()).to_string_lossy().into_owned();
        attributes.iter().map(name).collect()
    }
}

/// The rows of such a query, each as the text of a JSON object; one more than `most` where there are more. It runs in a
/// transaction that can write nothing, and is cancelled after `limit`.
pub fn rows_as_json(query: &str, most: u64, limit: Duration) -> Result<Vec<String>> {
    let _limited = Limited::new(limit);
    read_only(query, most.saturating_add(1))
}

/// The first row of such a query, in a session: it can write nothing, and takes as long as the caller lets it.
pub fn first_row_as_json(query: &str) -> Result<Option<String>> {
    Ok(attempt::given_up(|| read_only(query, 1))?.into_iter().next())
}

/// The same with the rights of an ordinary role that the caller may become.
pub fn first_row_as_json_of(role: pg_sys::Oid, query: &str) -> Result<Option<String>> {
    let row = || identity::restricted_to(role, || read_only(query, 1));
    Ok(attempt::given_up(row)?.into_iter().next())
}

/// From here on the transaction can write nothing.
fn read_only(query: &str, limit: u64) -> Result<Vec<String>> {
    identity::set_for_session("transaction_read_only", "on");
    // The line ends keep a comment at the query's end from reaching further.
    let sql = format!(
        "SELECT pg_catalog.convert_to(pg_catalog.to_jsonb(q)::pg_catalog.text, 'UTF8') FROM (\n{query}\n) AS q LIMIT {limit}"
    );
    spi::rows(&sql, &[], |r| {
        Ok(String::from_utf8_lossy(&r.need::<Vec<u8>>(1)?).into_owned())
    })
}
