//! The file with the keys that seal secrets: found, checked, read; or what a command prints in its place.
//!
//! A key that others can read, or that lies in every base backup, is refused: it would protect nothing.

use crate::pg::{program, settings};
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::secret::{KeyFileFault, KeyRing, SecretFault, parse_keys};
use std::ffi::CStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use zeroize::Zeroizing;

const DEFAULT_NAME: &str = "pg_sluice.key";

/// The keys, read anew: they are not kept in memory longer than they are needed.
pub fn load() -> Result<KeyRing> {
    if let Some(command) = settings::key_command() {
        return Ok(parse_keys(&printed(&command)?)?);
    }
    let path = path().ok_or_else(no_path)?;
    let fault = |fault| SecretFault::KeyFile {
        path: path.display().to_string(),
        fault,
    };
    let file = fs::metadata(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => fault(KeyFileFault::Missing),
        _ => fault(KeyFileFault::Unreadable),
    })?;
    if let Some(complaint) = complaint(&path, &file, 0) {
        return Err(fault(complaint).into());
    }
    let content = Zeroizing::new(fs::read(&path).map_err(|_| fault(KeyFileFault::Unreadable))?);
    Ok(parse_keys(&content)?)
}

/// What the command of `sluice.key_command` prints.
fn printed(command: &str) -> Result<Zeroizing<Vec<u8>>> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]);
    program::output(shell)?.map_err(|what| SecretFault::KeyCommand { what }.into())
}

/// The configured file, else the default beside postgresql.conf.
fn path() -> Option<PathBuf> {
    if let Some(path) = settings::key_file() {
        return Some(PathBuf::from(path));
    }
    let config = config_directory()?;
    let same = fs::canonicalize(&config).ok()? == fs::canonicalize(data_directory()).ok()?;
    (!same).then(|| config.join(DEFAULT_NAME))
}

/// What is wrong with a file that others must not read or change. `of_root`: the rights that group and others may have to one
/// that root owns; 0: root's are refused.
pub(in crate::pg) fn complaint(path: &Path, file: &fs::Metadata, of_root: u32) -> Option<KeyFileFault> {
    // SAFETY: a call without arguments that cannot fail.
    let user = unsafe { libc::geteuid() };
    let mode = file.mode() & 0o7777;
    let is_roots = of_root != 0 && user != 0 && file.uid() == 0;
    let allowed = if is_roots { of_root } else { 0 };
    if !file.is_file() {
        Some(KeyFileFault::NotAFile)
    } else if file.uid() != user && !is_roots {
        Some(KeyFileFault::NotOwned)
    } else if mode & 0o077 & !allowed != 0 {
        Some(KeyFileFault::Mode { mode })
    } else if is_below_data_directory(path) {
        Some(KeyFileFault::BelowDataDirectory)
    } else if is_replaceable(path, user) {
        Some(KeyFileFault::Replaceable)
    } else {
        None
    }
}

/// Whether a directory above the file, or above a link to it, lets another user put a file of theirs in its place. A sticky
/// one does not.
fn is_replaceable(path: &Path, user: u32) -> bool {
    let Ok(real) = fs::canonicalize(path) else { return true };
    let mut above = real.ancestors().skip(1).chain(path.ancestors().skip(1));
    above.any(|directory| match fs::metadata(directory) {
        Ok(found) => {
            let sticky = found.mode() & 0o1000 != 0;
            let foreign = found.uid() != 0 && found.uid() != user;
            foreign || (found.mode() & 0o022 != 0 && !sticky)
        }
        Err(_) => true,
    })
}

fn is_below_data_directory(path: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(data_directory())) {
        (Ok(path), Ok(data)) => path.starts_with(data),
        _ => true,
    }
}

/// No file is named, and there is no default place for one.
fn no_path() -> CallError {
    let example = "/etc/postgresql/pg_sluice.key";
    CallError::NoKey {
        detail: "sluice.key_file is not set, and the configuration lies in the data directory, where a key is refused."
            .into(),
        hint: format!(
            "As the server's user: (umask 077; openssl rand -hex 32 > {example}), then \
             ALTER SYSTEM SET sluice.key_file = '{example}'; SELECT pg_reload_conf();"
        ),
    }
}

pub(in crate::pg) fn data_directory() -> PathBuf {
    // SAFETY: a C string that is set at the server's start.
    PathBuf::from(
        unsafe { CStr::from_ptr(pgrx::pg_sys::DataDir) }
            .to_string_lossy()
            .into_owned(),
    )
}

fn config_directory() -> Option<PathBuf> {
    // SAFETY: a C string that is set at the server's start, or null.
    let file = unsafe { pgrx::pg_sys::ConfigFileName };
    if file.is_null() {
        return None;
    }
    // SAFETY: checked above.
    let file = unsafe { CStr::from_ptr(file) }.to_string_lossy().into_owned();
    Path::new(&file).parent().map(Path::to_path_buf)
}
