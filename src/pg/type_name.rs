//! Types by their names.

use super::attempt;
use pgrx::pg_sys;
use sluice_core::settings::TypeFault;
use sluice_core::{Class, Result};
use std::ffi::{CStr, CString};

/// A type with its modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeName {
    pub oid: pg_sys::Oid,
    pub typmod: i32,
}

/// The type that a name such as `numeric(12,2)` means; PostgreSQL's own error where it is written wrongly, and no OID
/// where there is none of the name.
pub fn parse(name: &str) -> TypeName {
    let name = CString::new(name).unwrap_or_default();
    let (mut oid, mut typmod) = (pg_sys::InvalidOid, -1);
    // SAFETY: the text is a C string that outlives the call, which raises an ERROR where it cannot be read.
    unsafe { pg_sys::parseTypeString(name.as_ptr(), &mut oid, &mut typmod, true) };
    TypeName { oid, typmod }
}

/// The type of this name, if a column can have it.
///
/// # Errors
/// A cancellation.
pub fn of_column(name: &str) -> Result<std::result::Result<TypeName, TypeFault>> {
    let found = match attempt::given_up(|| Ok(parse(name))) {
        Ok(found) => found,
        Err(error) if error.class() == Class::Cancelled => return Err(error),
        Err(error) => return Ok(Err(TypeFault::Refused(error.to_string()))),
    };
    // SAFETY: a look-up of a type that exists.
    let is_pseudo = || unsafe { pg_sys::get_typtype(found.oid) as u8 == pg_sys::TYPTYPE_PSEUDO };
    Ok(match found.oid {
        pg_sys::InvalidOid => Err(TypeFault::Unknown),
        _ if is_pseudo() => Err(TypeFault::Pseudo),
        _ => Ok(found),
    })
}

/// The type as a statement names it, with its schema where that is needed.
pub fn sql(of: TypeName) -> String {
    let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY;
    // SAFETY: a look-up of a type that exists; the text is a fresh C string.
    let text = unsafe { CStr::from_ptr(pg_sys::format_type_extended(of.oid, of.typmod, flags as u16)) };
    text.to_string_lossy().into_owned()
}

/// The type below domains, with its modifier: values of it meet no constraint of a domain.
pub fn base(of: TypeName) -> TypeName {
    let mut typmod = of.typmod;
    // SAFETY: a look-up of a type that exists.
    let oid = unsafe { pg_sys::getBaseTypeAndTypmod(of.oid, &mut typmod) };
    TypeName { oid, typmod }
}

/// The collation that values of a type have by default.
pub fn collation(oid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: as above.
    unsafe { pg_sys::get_typcollation(oid) }
}
