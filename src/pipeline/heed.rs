//! What payloads have to say of keys that a read does not have.

use super::publish::Occasion;
use crate::pg::key_identity::KeyIdentity;
use crate::store::ingest::{self, Word};
use sluice_core::Result;
use sluice_core::keys::KeyId;
use std::collections::HashSet;

/// Keys that payloads brought since the published read began: their rows are the job's own, too.
pub struct Sent {
    /// Before this read began: it should have them.
    pub before: Vec<Vec<u8>>,
    /// After it began: it may have passed their place already, and says nothing of them.
    pub since: Vec<Vec<u8>>,
    /// Those whose rows a payload removed before this read began.
    pub buried: Vec<Vec<u8>>,
}

impl Sent {
    pub fn load(job: i64, form: &str, published: i64, generation: i64) -> Result<Sent> {
        let words = ingest::keys_between(job, form, published, Some(generation))?;
        let (before, buried): (Vec<_>, Vec<_>) = words.into_iter().partition(|(_, word)| *word == Word::Comes);
        let keys = |words: Vec<(Vec<u8>, Word)>| words.into_iter().map(|(key, _)| key).collect();
        Ok(Sent {
            before: keys(before),
            since: keys(ingest::keys_between(job, form, generation, None)?),
            buried: keys(buried),
        })
    }
}

/// What payloads have to say of keys that are missing.
pub struct Heed {
    /// They came later than what is known of their absence.
    pub spared: HashSet<KeyId>,
    /// Their rows were removed.
    pub removed: HashSet<KeyId>,
    /// The read before cannot have missed them.
    pub unconfirmed: HashSet<KeyId>,
    /// How many keys are kept.
    pub most: usize,
}

impl Heed {
    /// A read that is published again is older than all that was sent to us since the published one began.
    pub fn new(sent: &Sent, identity: &KeyIdentity, occasion: Occasion, most: usize) -> Result<Heed> {
        let unconfirmed = identity.ids_of(sent.before.iter().chain(&sent.since))?;
        let spared = match occasion {
            Occasion::Replayed => unconfirmed.clone(),
            Occasion::Read | Occasion::Approved => identity.ids_of(sent.since.iter())?,
        };
        Ok(Heed {
            spared,
            removed: identity.ids_of(sent.buried.iter())?,
            unconfirmed,
            most,
        })
    }
}
