//! Commands that need our processes out of the way, and get them out of the way.
//!
//! `DROP DATABASE`, renaming or moving a database and using it as a template all fail while a background worker is
//! connected to it; `DROP EXTENSION` and `ALTER EXTENSION … UPDATE` would wait for, or deadlock with, a run. Before
//! such a command our processes in that database are ended and kept out until the command's (sub)transaction ends; if it
//! is rolled back, runs go on at their checkpoint. The server asks for rights only when it executes the command, so they
//! are asked for here first: a command that it will refuse disturbs nobody.

use crate::pg::{bgworker, catalog, latch, rights, shmem, xact};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CStr;
use std::time::{Duration, Instant};

static mut FORMER: pg_sys::ProcessUtility_hook_type = None;
/// Our processes end within milliseconds; what takes longer than this is left to the command itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Puts our hook in front; called while the library is being preloaded.
pub fn install() {
    // SAFETY: runs once in the postmaster, before any session exists.
    unsafe {
        FORMER = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

unsafe extern "C-unwind" {
    /// The server's own, without the guard that pgrx puts around its binding.
    fn standard_ProcessUtility(
        statement: *mut pg_sys::PlannedStmt,
        query: *const core::ffi::c_char,
        read_only_tree: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        params: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        receiver: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

/// Every command of the cluster comes through here. It is passed on without a guard: one would catch the command's
/// error and raise a poorer one, without position, context and objects, and with XX000 for SQLSTATEs of other people.
#[allow(clippy::too_many_arguments)] // the server's signature
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const core::ffi::c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    receiver: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: passes on exactly what came. An error of the command jumps over this frame, which owns nothing.
    unsafe {
        make_room((*statement).utilityStmt);
        let next = FORMER.unwrap_or(standard_ProcessUtility);
        next(
            statement,
            query,
            read_only_tree,
            context,
            params,
            environment,
            receiver,
            completion,
        );
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn make_room(command: *mut pg_sys::Node) {
    // SAFETY: the command is the server's and lives over this call.
    if let Some(database) = unsafe { database_to_clear(command) } {
        clear(database);
    }
}

/// Ends our processes in a database and keeps them out until this (sub)transaction ends.
fn clear(database: u32) {
    xact::unblock_at_end(database);
    shmem::block(database, bgworker::my_pid());
    let started = Instant::now();
    while !shmem::processes_in(database).is_empty() && started.elapsed() < PATIENCE {
        latch::wait(Duration::from_millis(20));
    }
}

/// The database that this command needs for itself, if it is one of ours to clear and the caller has the right to it.
unsafe fn database_to_clear(node: *mut pg_sys::Node) -> Option<u32> {
    // SAFETY: the node's tag says what it points to.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_DropdbStmt => own((*(node as *mut pg_sys::DropdbStmt)).dbname),
            pg_sys::NodeTag::T_AlterDatabaseStmt => {
                let statement = &*(node as *mut pg_sys::AlterDatabaseStmt);
                option(statement.options, c"tablespace").and_then(|_| own(statement.dbname))
            }
            pg_sys::NodeTag::T_RenameStmt => {
                let statement = &*(node as *mut pg_sys::RenameStmt);
                let database = statement.renameType == pg_sys::ObjectType::OBJECT_DATABASE;
                (database && rights::may_create_databases())
                    .then(|| own(statement.subname))
                    .flatten()
            }
            pg_sys::NodeTag::T_CreatedbStmt => {
                let template = option((*(node as *mut pg_sys::CreatedbStmt)).options, c"template")?;
                // A template that anybody may copy is none of ours: nothing runs in one.
                rights::may_create_databases()
                    .then(|| own(pg_sys::defGetString(template)))
                    .flatten()
            }
            pg_sys::NodeTag::T_DropStmt => {
                let statement = &*(node as *mut pg_sys::DropStmt);
                // The schema belongs to the extension: dropping one drops the other.
                let ours = match statement.removeType {
                    pg_sys::ObjectType::OBJECT_EXTENSION => {
                        names(statement.objects, c"pg_sluice") && rights::owns_extension()
                    }
                    pg_sys::ObjectType::OBJECT_SCHEMA => names(statement.objects, c"sluice") && rights::owns_schema(),
                    _ => false,
                };
                ours.then(bgworker::my_database)
            }
            pg_sys::NodeTag::T_AlterExtensionStmt => {
                let name = (*(node as *mut pg_sys::AlterExtensionStmt)).extname;
                (is(name, c"pg_sluice") && rights::owns_extension()).then(bgworker::my_database)
            }
            _ => None,
        }
    }
}

/// The database of this name, where the current user has the rights of its owner.
unsafe fn own(name: *const core::ffi::c_char) -> Option<u32> {
    if name.is_null() {
        return None;
    }
    // SAFETY: a C string of the parse tree.
    let name = unsafe { CStr::from_ptr(name) }.to_str().ok()?;
    catalog::database_oid(name).filter(|database| rights::owns_database(*database))
}

unsafe fn is(name: *const core::ffi::c_char, wanted: &CStr) -> bool {
    // SAFETY: a C string of the parse tree, or null.
    !name.is_null() && unsafe { CStr::from_ptr(name) } == wanted
}

unsafe fn option(options: *mut pg_sys::List, name: &CStr) -> Option<*mut pg_sys::DefElem> {
    // SAFETY: a list of DefElem, as the grammar makes it.
    unsafe {
        elements(options)
            .map(|element| element as *mut pg_sys::DefElem)
            .find(|element| CStr::from_ptr((**element).defname) == name)
    }
}

unsafe fn names(objects: *mut pg_sys::List, wanted: &CStr) -> bool {
    // SAFETY: the objects of DROP EXTENSION and DROP SCHEMA are String nodes.
    unsafe {
        elements(objects).any(|element| {
            let node = element as *mut pg_sys::Node;
            (*node).type_ == pg_sys::NodeTag::T_String && is((*(node as *mut pg_sys::String)).sval, wanted)
        })
    }
}

unsafe fn elements(list: *mut pg_sys::List) -> impl Iterator<Item = *mut core::ffi::c_void> {
    // SAFETY: a list of pointers, or NIL.
    let length = if list.is_null() { 0 } else { unsafe { (*list).length } };
    // SAFETY: the index is below the list's length.
    (0..length).map(move |i| unsafe { pg_sys::list_nth(list, i) })
}
