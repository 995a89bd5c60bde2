//! Files with secrets below the directories that a superuser names, read when they are needed.

use crate::pg::{key_file, settings};
use sluice_core::secret::{KeyFileFault, LONGEST_VALUE, ReferenceFault};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};
use zeroize::Zeroizing;

/// To a file of root's the server's user has rights by its group.
const GROUP_READS: u32 = 0o040;

/// The content of a file that `role` may have, which is an admin or has a folder of its own.
///
/// # Errors
/// A file that lies elsewhere, also by a link; that others can read or replace; or that is no file.
pub fn read(path: &Path, role: &str, is_admin: bool) -> Result<Zeroizing<Vec<u8>>, ReferenceFault> {
    // Before anything is looked at: nobody learns what lies elsewhere.
    let outside = || ReferenceFault::Outside { role: role.into() };
    if !is_allowed(path, role, is_admin, false) {
        return Err(outside());
    }
    let real = fs::canonicalize(path).map_err(|error| fault(&error))?;
    if !is_allowed(&real, role, is_admin, true) {
        return Err(outside());
    }
    // No link any more, and no waiting for whoever writes to a pipe.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(&real);
    let file = opened.map_err(|error| fault(&error))?;
    let found = file.metadata().map_err(|error| fault(&error))?;
    if let Some(complaint) = key_file::complaint(&real, &found, GROUP_READS) {
        return Err(ReferenceFault::File(complaint));
    }
    // A value and the end of its line.
    let most = LONGEST_VALUE as u64 + 2;
    let mut content = Zeroizing::new(Vec::with_capacity(LONGEST_VALUE + 3));
    let read = file.take(most + 1).read_to_end(&mut content);
    read.map_err(|error| fault(&error))?;
    match content.len() as u64 > most {
        true => Err(ReferenceFault::File(KeyFileFault::TooLarge)),
        false => Ok(content),
    }
}

/// Whether it lies in a directory for this role; `real`: as the directories are without links.
fn is_allowed(path: &Path, role: &str, is_admin: bool, real: bool) -> bool {
    settings::secret_directories().iter().any(|directory| {
        let directory = match real {
            true => fs::canonicalize(directory).ok(),
            false => Some(directory.clone()),
        };
        let below = directory.and_then(|directory| path.strip_prefix(directory).ok().map(Path::to_path_buf));
        below.is_some_and(|below| {
            let mut parts = below.components();
            let own = matches!(parts.next(), Some(Component::Normal(first)) if first.to_str() == Some(role));
            (is_admin && below.components().next().is_some()) || own && parts.next().is_some()
        })
    })
}

fn fault(error: &std::io::Error) -> ReferenceFault {
    ReferenceFault::File(match error.kind() {
        ErrorKind::NotFound => KeyFileFault::Missing,
        _ => KeyFileFault::Unreadable,
    })
}
