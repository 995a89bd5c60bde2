//! What PostgreSQL itself would ask of the current user before a command, for those who act before it asks.

use crate::pg::identity;
use pgrx::pg_sys;

/// Whether the current user has the rights of a database's owner.
pub fn owns_database(database: u32) -> bool {
    let database = pg_sys::Oid::from(database);
    // SAFETY: a catalog look-up inside a transaction; the database was found in it.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_database_ownercheck(database, identity::current_user());
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, identity::current_user());
    }
}

/// Whether the current user has the rights of our extension's owner.
pub fn owns_extension() -> bool {
    // SAFETY: catalog look-ups inside a transaction; missing is allowed.
    unsafe {
        let extension = pg_sys::get_extension_oid(c"pg_sluice".as_ptr(), true);
        if extension == pg_sys::InvalidOid {
            return false;
        }
        #[cfg(feature = "pg15")]
        return pg_sys::pg_extension_ownercheck(extension, identity::current_user());
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::ExtensionRelationId, extension, identity::current_user());
    }
}

/// Whether the current user has the rights of the owner of our schema.
pub fn owns_schema() -> bool {
    // SAFETY: catalog look-ups inside a transaction; missing is allowed.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"sluice".as_ptr(), true);
        if schema == pg_sys::InvalidOid {
            return false;
        }
        #[cfg(feature = "pg15")]
        return pg_sys::pg_namespace_ownercheck(schema, identity::current_user());
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::NamespaceRelationId, schema, identity::current_user());
    }
}

/// Whether the current user may make and rename databases.
pub fn may_create_databases() -> bool {
    let user = identity::current_user();
    // SAFETY: a look-up inside a transaction; the cache's tuple is released after its row was looked at.
    unsafe {
        if pg_sys::superuser_arg(user) {
            return true;
        }
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::AUTHOID as i32, user.into());
        if tuple.is_null() {
            return false;
        }
        let may = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_authid>()).rolcreatedb;
        pg_sys::ReleaseSysCache(tuple);
        may
    }
}
