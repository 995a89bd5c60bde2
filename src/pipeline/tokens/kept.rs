//! The answer to a token that serves once, kept from its arrival until its tokens are committed.
//!
//! ```text
//! request ─► answer ─► file, sealed, on disk ─► commit ─► file removed ─► used
//! ```
//!
//! A strict server takes a refresh token once, and takes the whole grant away where it comes a second time. Between its
//! answer and our commit the next one would be in one process only: it would be lost with it, or by a transaction that
//! fails. So the thread that reads the answer writes it down before anybody acts on it. Who asks next with the same
//! token, or the same code, finds the answer there and asks nobody.
//!
//! What is left is the time for which the request is on its way: an answer that never comes leaves the former token,
//! which the server may have used up. Whoever is told to stop waits for it a little ([`Linger`]).

use super::Client;
use crate::pg::answer_file::AnswerFile;
use crate::pg::{clock, key_file, latch, transaction};
use crate::store::oauth::Grant;
use sluice_core::http::{Headers, Response};
use sluice_core::oauth::{Fingerprint, LONGEST_KEPT, pack, unpack};
use sluice_core::secret::{KeyRing, SealRandom, SecretLabel, open, seal};
use sluice_core::{Error, Result};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime};
use zeroize::Zeroizing;

const KIND: &str = "oauth_answer";
/// How long the answer is waited for by a process that was told to end. A stop has to be prompt, too.
const LINGER: Duration = Duration::from_millis(800);

/// The place of the answer to one question.
pub struct Kept {
    file: AnswerFile,
    keys: KeyRing,
    /// Threads may not ask the server for randomness.
    random: Zeroizing<[u8; SealRandom::BYTES]>,
    uuid: [u8; 16],
    version: i32,
    origin: String,
    asked: Fingerprint,
}

impl Kept {
    /// # Errors
    /// A key that cannot be read.
    pub fn of(client: &Client, grant: &Grant, asked: Fingerprint) -> Result<Kept> {
        Ok(Kept {
            file: AnswerFile::of(&grant.uuid),
            keys: key_file::load()?,
            random: Zeroizing::new(clock::random_bytes()),
            uuid: grant.uuid,
            version: grant.version,
            origin: client.oauth.origin(),
            asked,
        })
    }

    fn label(&self) -> SecretLabel<'_> {
        SecretLabel {
            name: "(answer)",
            uuid: self.uuid,
            kind: KIND,
            version: u32::try_from(self.version).unwrap_or(0),
            origin: &self.origin,
        }
    }

    /// The answer that a process before this one got, and how old it is.
    pub fn answer(&self) -> Option<(Duration, Response)> {
        let sealed = self.file.read()?;
        let key = self.keys.key_of(&self.label(), &sealed).ok()?;
        let packed = open(key, &self.label(), &sealed).ok()?;
        let (age, body) = unpack(&self.asked, seconds(), &packed)?;
        let response = Response {
            status: 200,
            headers: Headers::new(),
            body: body.to_vec(),
            wire_bytes: 0,
        };
        Some((age, response))
    }

    /// Keeps an answer that may hold tokens. One that cannot be kept is used all the same.
    pub fn keep(&self, response: &Response) {
        if (200..300).contains(&response.status) && response.body.len() <= LONGEST_KEPT {
            let packed = pack(&self.asked, seconds(), &response.body);
            let random = SealRandom::from_bytes(&self.random);
            let _ = self
                .file
                .keep(&seal(self.keys.current(), &self.label(), &packed, random));
        }
    }
}

fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What came of the question is committed.
pub fn forget(grant: &Grant) {
    AnswerFile::of(&grant.uuid).forget();
}

/// Waits on for a little while after it was told to stop.
#[derive(Default)]
pub struct Linger {
    told_at: Cell<Option<Instant>>,
    ends_with: RefCell<Option<Error>>,
}

impl Linger {
    /// Waits as `pause` does.
    ///
    /// # Errors
    /// What `pause` ends with, a little later.
    pub fn pause(&self, limit: Duration, pause: &dyn Fn(Duration) -> Result<()>) -> Result<()> {
        let left = self.told_at.get().map(|at| LINGER.saturating_sub(at.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return match self.ends_with.take() {
                Some(error) => Err(error),
                // The interrupt that came is served now.
                None => pause(limit),
            };
        }
        let interrupted = transaction::guarded(|| Ok(latch::wait_for_cancel(limit)))?;
        if left.is_none() {
            let told = if interrupted { Ok(()) } else { pause(Duration::ZERO) };
            if interrupted || told.is_err() {
                self.told_at.set(Some(Instant::now()));
                *self.ends_with.borrow_mut() = told.err();
            }
        }
        Ok(())
    }
}
