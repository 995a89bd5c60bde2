//! Files below the data directory that outlive a process which was killed, for what only it held: sealed answers of token
//! endpoints, from their arrival until they are committed.
//!
//! A table would not do: what is lost is what a commit was too late for. Their loss is no harm beyond that.

use crate::pg::key_file;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

const FOLDER: &str = "pg_sluice_answers";
/// More than is ever written.
const LONGEST: u64 = 1024 * 1024;

/// The place of one grant's answer. Threads may write to it.
pub struct AnswerFile {
    path: PathBuf,
}

impl AnswerFile {
    pub fn of(uuid: &[u8; 16]) -> AnswerFile {
        let name: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        AnswerFile {
            path: key_file::data_directory().join(FOLDER).join(name),
        }
    }

    /// What is kept; None: nothing that could be read.
    pub fn read(&self) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        let file = File::open(&self.path).ok()?;
        file.take(LONGEST).read_to_end(&mut content).ok()?;
        Some(content)
    }

    /// Keeps it, whole or not at all, whatever happens to this process or to the machine from now on.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep(&self, content: &[u8]) -> std::io::Result<()> {
        let folder = self.path.parent().unwrap_or(&self.path);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let part = self.path.with_extension("part");
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&part, &self.path)?;
        File::open(folder)?.sync_all()
    }

    /// It is not needed any more.
    pub fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Forgets all of them, of every database of this server.
pub fn forget_all() {
    let _ = fs::remove_dir_all(key_file::data_directory().join(FOLDER));
}
