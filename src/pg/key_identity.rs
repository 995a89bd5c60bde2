//! By what a key is recognised: by its bytes, or, for types of which equal values may be written in several ways (citext,
//! collations that ignore case, `\x41` and `A` as bytea), by the hash that the type itself has for its equality.
//!
//! Two hashes with other seeds make 128 bits. A value that the type does not take, and a type without a hash, are known by
//! their bytes.

use crate::pg::relation::Target;
use crate::pg::rowset::{Field, Reader};
use crate::pg::transaction;
use pgrx::{PgMemoryContexts, pg_sys};
use sluice_core::data::{key_fields, split_keys};
use sluice_core::error::{Error, Result};
use sluice_core::keys::KeyId;
use std::cell::RefCell;
use std::collections::HashSet;

/// How the keys of a target are recognised.
pub struct KeyIdentity(Option<RefCell<Parts>>);

/// One for each column of the key.
struct Parts {
    columns: Vec<Part>,
    /// What the types' functions allocate for one key.
    scratch: PgMemoryContexts,
}

enum Part {
    Bytes,
    Hash {
        reader: Reader,
        entry: *mut pg_sys::TypeCacheEntry,
        collation: pg_sys::Oid,
    },
}

impl KeyIdentity {
    /// For use within the open transaction.
    pub fn new(target: &Target, key: &[String]) -> KeyIdentity {
        let found = key.iter().map(|name| target.column(name));
        let is_plain = found.clone().flatten().all(|column| column.is_known_by_bytes);
        if is_plain || found.clone().any(|column| column.is_none()) {
            return KeyIdentity(None);
        }
        let scratch = PgMemoryContexts::new("sluice key identity");
        let part = |column: &crate::pg::relation::TargetColumn| {
            let field = Field::of(column, column.name.clone(), column.encoding().format());
            if column.is_known_by_bytes {
                Part::Bytes
            } else {
                Part::of(&field)
            }
        };
        KeyIdentity(Some(RefCell::new(Parts {
            columns: found.flatten().map(part).collect(),
            scratch,
        })))
    }

    /// What each of these keys is recognised by.
    pub fn ids<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Result<Vec<KeyId>> {
        let Some(parts) = &self.0 else {
            return Ok(keys.map(KeyId::of).collect());
        };
        let keys: Vec<&[u8]> = keys.collect();
        let mut parts = parts.borrow_mut();
        let mut all =
            |keys: &[&[u8]]| transaction::attempt(|| Ok(keys.iter().map(|key| parts.id(key)).collect::<Vec<_>>()));
        match all(&keys) {
            Ok(ids) => Ok(ids),
            // One of them is no value of its type: the record was refused for it.
            Err(Error::Database(refusal)) if refusal.may_be_a_records() => keys
                .iter()
                .map(|key| match all(&[key]) {
                    Ok(ids) => Ok(ids[0]),
                    Err(Error::Database(refusal)) if refusal.may_be_a_records() => Ok(KeyId::of(key)),
                    Err(other) => Err(other),
                })
                .collect(),
            Err(other) => Err(other),
        }
    }

    pub fn id(&self, key: &[u8]) -> Result<KeyId> {
        Ok(self.ids(std::iter::once(key))?[0])
    }

    /// The same without their order.
    pub fn ids_of<'k>(&self, keys: impl Iterator<Item = &'k Vec<u8>>) -> Result<HashSet<KeyId>> {
        Ok(self.ids(keys.map(Vec::as_slice))?.into_iter().collect())
    }

    /// Hands out each key of these bytes, of so many columns, with what it is recognised by.
    pub fn each(&self, keys: &[u8], columns: usize, mut take: impl FnMut(&[u8], KeyId)) -> Result<()> {
        if self.0.is_none() {
            split_keys(keys, columns).for_each(|key| take(key, KeyId::of(key)));
            return Ok(());
        }
        let ids = self.ids(split_keys(keys, columns))?;
        split_keys(keys, columns).zip(ids).for_each(|(key, id)| take(key, id));
        Ok(())
    }
}

impl Parts {
    fn id(&mut self, key: &[u8]) -> KeyId {
        let mut told = Vec::new();
        for (part, field) in self.columns.iter_mut().zip(key_fields(key)) {
            // SAFETY: the values are used before the scratch context is reset.
            unsafe {
                self.scratch
                    .switch_to(|_| part.tell(field.unwrap_or_default(), &mut told))
            };
        }
        // SAFETY: the hashes were copied; nothing points into the scratch context any more.
        unsafe { self.scratch.reset() };
        KeyId::of(&told)
    }
}

/// Another one for each half of the 128 bits.
const SEEDS: [i64; 2] = [0, 1];

impl Part {
    fn of(field: &Field) -> Part {
        let wanted = pg_sys::TYPECACHE_HASH_EXTENDED_PROC_FINFO as i32;
        // SAFETY: a look-up by a column's type; the cache keeps its entries as long as the process lives.
        let entry = unsafe { pg_sys::lookup_type_cache(field.type_oid, wanted) };
        // SAFETY: the entry was just looked up.
        if unsafe { (*entry).hash_extended_proc_finfo.fn_oid } == pg_sys::InvalidOid {
            return Part::Bytes;
        }
        // SAFETY: reads which type a domain is of. A domain's checks are not asked: the value is in the table, or was refused.
        let type_oid = unsafe { pg_sys::getBaseType(field.type_oid) };
        let field = Field {
            type_oid,
            ..field.clone()
        };
        // SAFETY: the transaction's context outlives the reader, which is used within the transaction only.
        let reader = Reader::new(&field, unsafe { pg_sys::CurTransactionContext });
        Part::Hash {
            reader,
            entry,
            collation: field.collation,
        }
    }

    /// Writes down what the field is recognised by.
    fn tell(&mut self, bytes: &[u8], told: &mut Vec<u8>) {
        let Part::Hash {
            reader,
            entry,
            collation,
        } = self
        else {
            told.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            told.extend_from_slice(bytes);
            return;
        };
        let Some(value) = reader.read(Some(bytes)) else {
            told.extend_from_slice(bytes);
            return;
        };
        for seed in SEEDS {
            // SAFETY: the function is the type's own, for a value of it and a number; the entry is never freed.
            let hash = unsafe {
                let function = &raw mut (**entry).hash_extended_proc_finfo;
                pg_sys::FunctionCall2Coll(function, *collation, value, pg_sys::Datum::from(seed))
            };
            told.extend_from_slice(&hash.value().to_be_bytes());
        }
    }
}
