//! The file without which a server starts nothing: `sluice.arm_file`.
//!
//! A copy of a data directory (a base backup, a disk image) has the system identifier, the settings and the jobs of its
//! original, and would take part in its work. What it has not is a file elsewhere on the original's machine. Where the
//! copy is started on that same machine, the file says which data directory it is for.

use crate::pg::{key_file, settings};
use sluice_core::arm_file::{ArmFileFault, names_directory};
use std::fs;
use std::io::Read;
use std::path::Path;

/// More than a list of directories needs.
const LONGEST: u64 = 64 * 1024;

/// Why nothing may start on this server; None where no file is asked for, or it is there.
pub fn fault() -> Option<ArmFileFault> {
    let path = settings::arm_file()?;
    let path = Path::new(&path);
    let Some(text) = read(path) else {
        return Some(ArmFileFault::Missing);
    };
    let data = key_file::data_directory();
    let real = fs::canonicalize(&data).unwrap_or(data);
    if fs::canonicalize(path).is_ok_and(|path| path.starts_with(&real)) {
        return Some(ArmFileFault::BelowDataDirectory);
    }
    match names_directory(&text, &real.to_string_lossy()) {
        true => None,
        false => Some(ArmFileFault::NamesAnother),
    }
}

fn read(path: &Path) -> Option<String> {
    // Whatever else it might be could keep a reader waiting.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let file = fs::File::open(path).ok()?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}
