//! The file with the key that seals secrets: found, checked, read.
//!
//! A key that others can read, or that lies in every base backup, is refused: it would protect nothing.

use crate::pg::settings;
use sluice_core::Result;
use sluice_core::call::CallError;
use sluice_core::secret::{MasterKey, parse_key};
use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const DEFAULT_NAME: &str = "pg_sluice.key";

/// The key, read anew: it is not kept in memory longer than it is needed.
pub fn load() -> Result<MasterKey> {
    let path = path().ok_or_else(|| no_key("No key file is set, and the configuration lies in the data directory.", None))?;
    let file = fs::metadata(&path).map_err(|error| no_key(&format!("{}: {}.", path.display(), error.kind()), Some(&path)))?;
    check(&path, &file)?;
    let content = fs::read(&path).map_err(|error| no_key(&format!("{}: {}.", path.display(), error.kind()), Some(&path)))?;
    parse_key(&content).map_err(|fault| no_key(&format!("{}: {fault}.", path.display()), Some(&path)))
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

fn check(path: &Path, file: &fs::Metadata) -> Result<()> {
    // SAFETY: a call without arguments that cannot fail.
    let user = unsafe { libc::geteuid() };
    let complaint = if file.uid() != user {
        Some("it does not belong to the server's user")
    } else if file.mode() & 0o077 != 0 {
        Some("others than its owner can read it")
    } else if !file.is_file() {
        Some("it is no plain file")
    } else if is_below_data_directory(path) {
        Some("it lies below the data directory, and so in every base backup")
    } else {
        None
    };
    match complaint {
        Some(complaint) => Err(no_key(&format!("{}: {complaint}.", path.display()), Some(path)).into()),
        None => Ok(()),
    }
}

fn is_below_data_directory(path: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(data_directory())) {
        (Ok(path), Ok(data)) => path.starts_with(data),
        _ => true,
    }
}

fn no_key(detail: &str, path: Option<&Path>) -> CallError {
    let example = path.map_or_else(|| "/etc/postgresql/pg_sluice.key".to_string(), |p| p.display().to_string());
    let set = if path.is_none() { format!(", then ALTER SYSTEM SET sluice.key_file = '{example}'; SELECT pg_reload_conf();") } else { ".".into() };
    CallError::NoKey {
        detail: detail.to_string(),
        hint: format!("As the server's user: (umask 077; openssl rand -hex 32 > {example}){set}"),
    }
}

fn data_directory() -> PathBuf {
    // SAFETY: a C string that is set at the server's start.
    PathBuf::from(unsafe { CStr::from_ptr(pgrx::pg_sys::DataDir) }.to_string_lossy().into_owned())
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
