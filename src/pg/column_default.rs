//! What a column's default gives.

use pgrx::pg_sys;
use std::ffi::CStr;

/// A column's default, or its type's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDefault {
    pub now: Expression,
    /// Whether rows that were there before the column have a value that is kept beside the table
    /// (`pg_attribute.attmissingval`), until it is written anew.
    pub is_stored: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    None,
    /// One that always gives the same.
    Immutable(String),
    /// One that may give another value each time.
    Changing,
}

/// The default of a column of a relation; none where there is no such relation.
pub fn of(relation: pg_sys::Oid, attnum: i16) -> ColumnDefault {
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    let none = ColumnDefault {
        now: Expression::None,
        is_stored: false,
    };
    // SAFETY: any OID may be asked for; a missing relation is answered by NULL. It stays open until the text is copied out.
    unsafe {
        let open = pg_sys::try_relation_open(relation, lock);
        if open.is_null() {
            return none;
        }
        let attributes = (*(*open).rd_att).attrs.as_slice((*(*open).rd_att).natts as usize);
        let found = attributes.iter().find(|attribute| attribute.attnum == attnum);
        let default = found.map_or(none, |attribute| ColumnDefault {
            now: read(open, attnum),
            is_stored: attribute.atthasmissing,
        });
        pg_sys::relation_close(open, lock);
        default
    }
}

/// # Safety
/// `relation` is open and has a column of that number.
unsafe fn read(relation: pg_sys::Relation, attnum: i16) -> Expression {
    // SAFETY: as promised; the expression and its text live in the current memory context.
    unsafe {
        let expression = pg_sys::build_column_default(relation, attnum.into());
        if expression.is_null() {
            return Expression::None;
        }
        if pg_sys::contain_mutable_functions(expression) {
            return Expression::Changing;
        }
        let name = (*(*relation).rd_rel).relname.data.as_ptr();
        let context = pg_sys::deparse_context_for(name, (*relation).rd_id);
        let text = pg_sys::deparse_expression(expression, context, false, false);
        Expression::Immutable(CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}
