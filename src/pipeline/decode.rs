//! From a response to a page, on the fetch threads: find the records, recognise the page, decode what is new.

use super::collect;
use super::new_fields::{NewFields, Wanted};
use super::plan::Plan;
use super::read::{MappingParts, ReadState};
use super::widen::{Waiting, Widenable};
use sluice_core::Result;
use sluice_core::data::{self, Mapping, Noted, PageHash, Sifted};
use sluice_core::foreach::Parent;
use sluice_core::http::Response;
use sluice_core::pagination::{KnownPage, Pagination, Source};
use sluice_core::settings::OnBadRecord;
use sluice_fetch::{Decode, PageFacts};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A page as it comes off a fetch thread.
pub struct Arrived {
    pub hash: PageHash,
    pub records: u64,
    /// Bytes of the records' text.
    pub bytes: u64,
    /// None: the page equals one that was published already.
    pub fresh: Option<Fresh>,
    /// The parent below which it was read.
    pub parent: Option<[u8; 32]>,
}

/// The content of a page that is new.
pub struct Fresh {
    pub sifted: Sifted,
    pub content: Content,
    /// What the page was decoded with.
    pub mapping: Arc<Mapping>,
    pub noted: Noted,
    /// Members that are to have a column.
    pub wanted: Vec<Wanted>,
    /// Records that are rejects unless a column becomes wider.
    pub waiting: Waiting,
}

/// The text of a page's records.
pub enum Content {
    /// Compressed, with its keys: as the page store keeps both.
    Stored {
        body: Vec<u8>,
        keys: Vec<u8>,
        gone: Option<Vec<u8>>,
    },
    /// As it came, where no store keeps it.
    Plain(String),
}

impl Content {
    /// None where the compressed text is damaged.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Content::Stored { body, .. } => Some(data::decompress_text(body, MOST_TEXT).ok()?.into()),
            Content::Plain(text) => Some(text.into()),
        }
    }
}

/// The text of one page never unpacks to more than this.
const MOST_TEXT: usize = 1 << 30;

/// Decodes the pages of one read.
pub struct Decoder {
    pagination: Pagination,
    formats: data::Formats,
    records: data::SingularQuery,
    /// None until the first page has decided; another one when the target gets columns.
    mapping: RwLock<Option<Arc<Mapping>>>,
    new_fields: NewFields,
    /// Those that the target gets in this read are among them.
    widenable: RwLock<Arc<Widenable>>,
    /// What the first page chooses its mapping from; None where the mapping is certain.
    parts: Option<MappingParts>,
    known: HashMap<Vec<u8>, u64>,
    store: bool,
    on_bad_record: OnBadRecord,
    /// Whether a column takes a value of the parent.
    takes_parent: bool,
}

impl Decoder {
    pub fn new(plan: &Plan, read: &ReadState) -> Result<Decoder> {
        Ok(Decoder {
            pagination: plan.settings.pagination.clone(),
            formats: plan.settings.formats.clone(),
            records: plan.settings.records.clone(),
            mapping: RwLock::new(read.mapping.clone()),
            new_fields: NewFields::new(plan, read)?,
            widenable: RwLock::new(Arc::new(Widenable::of(plan)?)),
            parts: read.mapping.is_none().then(|| MappingParts::of(plan)),
            known: read.known.clone(),
            store: read.whole,
            on_bad_record: plan.settings.on_bad_record,
            takes_parent: plan.takes_parent(),
        })
    }

    /// The mapping that is in use; None until the first page has decided.
    pub fn mapping(&self) -> Option<Arc<Mapping>> {
        self.mapping.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on pages are decoded with this mapping, and these columns may become wider. What was decoded with another
    /// mapping is decoded anew: so the mapping comes last.
    pub fn set_columns(&self, mapping: &Arc<Mapping>, widenable: &Arc<Widenable>) {
        *self.widenable.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(widenable);
        *self.mapping.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(mapping));
    }

    pub fn new_fields(&self) -> &NewFields {
        &self.new_fields
    }

    /// Whether the next page is asked for by the last record of an array that is the whole document.
    fn follows_keys(&self) -> bool {
        matches!(self.pagination, Pagination::Keyset { .. }) && self.records.steps.is_empty()
    }

    fn mapping_for(&self, records_text: &str) -> Result<Arc<Mapping>> {
        if let Some(mapping) = self.mapping() {
            return Ok(mapping);
        }
        let members = data::members(records_text)?;
        let parts = self.parts.as_ref();
        let chosen = parts.and_then(|parts| {
            parts.mapping(|name| members.is_empty() && parts.is_keyless() || members.iter().any(|m| m == name))
        });
        let mapping = Arc::new(chosen.ok_or(data::DataError::NoColumns)?);
        if members.is_empty() {
            return Ok(mapping);
        }
        // The first pages below several parents may come at the same moment: one of them decides.
        let mut cell = self.mapping.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(cell.get_or_insert(mapping)))
    }
}

impl Decode for Decoder {
    type Page = Arrived;

    fn decode(&self, response: &Response) -> Result<(Arrived, PageFacts)> {
        self.page(response, None)
    }

    fn unchanged(&self, known: &KnownPage) -> Arrived {
        Arrived {
            hash: PageHash(known.digest),
            records: known.records,
            bytes: 0,
            fresh: None,
            parent: None,
        }
    }
}

/// Decodes the pages below one parent.
pub struct BelowParent {
    pub decoder: Arc<Decoder>,
    pub parent: Parent,
}

impl Decode for BelowParent {
    type Page = Arrived;

    fn decode(&self, response: &Response) -> Result<(Arrived, PageFacts)> {
        self.decoder.page(response, Some(&self.parent))
    }

    fn unchanged(&self, known: &KnownPage) -> Arrived {
        Arrived {
            parent: Some(self.parent.identity()),
            ..self.decoder.unchanged(known)
        }
    }
}

impl Decoder {
    fn page(&self, response: &Response, parent: Option<&Parent>) -> Result<(Arrived, PageFacts)> {
        let total_at = self.pagination.total().and_then(Source::in_body);
        let pages_at = self.pagination.total_pages().and_then(Source::in_body);
        let next_at = self.pagination.next().and_then(Source::in_body);
        let others: Vec<&data::SingularQuery> = [total_at, pages_at, next_at].into_iter().flatten().collect();
        let body = self
            .formats
            .open(&response.body, response.headers.get("content-type"))?;
        if body.is_rows() && next_at.is_some() && !self.follows_keys() {
            return Err(data::DataError::NoNextInRows.into());
        }
        if next_at.is_some() {
            body.ends_in_a_record()?;
        }
        let located = body.locate(&self.records, &others)?;
        let text = match parent {
            Some(parent) if self.takes_parent => Cow::Owned(parent.put_into(located.text)?),
            _ => Cow::Borrowed(located.text),
        };
        let text = text.as_ref();
        let mapping = self.mapping_for(text)?;
        let hash = data::hash(text, mapping.version());
        let mut arrived = match self.known.get(hash.0.as_slice()) {
            Some(records) => Arrived {
                hash,
                records: *records,
                bytes: text.len() as u64,
                fresh: None,
                parent: None,
            },
            None => self.fresh(text, hash, &mapping, &|sifted| body.name_ragged(sifted))?,
        };
        arrived.parent = parent.map(Parent::identity);
        let mut picked = located.picked.into_iter();
        let total = total_at.and_then(|_| picked.next().flatten());
        let total_pages = pages_at.and_then(|_| picked.next().flatten());
        let next = next_at.and_then(|_| picked.next().flatten());
        let facts = PageFacts {
            records: arrived.records,
            total: total.and_then(declared_total),
            total_pages: total_pages.and_then(declared_total),
            next: next.map(str::to_owned),
            digest: Some(arrived.hash.0),
        };
        Ok((arrived, facts))
    }

    /// Decodes a page again, whose mapping is no longer the one in use.
    pub fn decode_anew(&self, arrived: &Arrived, mapping: &Arc<Mapping>) -> Result<Option<Arrived>> {
        let stale = arrived
            .fresh
            .as_ref()
            .filter(|f| f.mapping.version() != mapping.version());
        let Some(fresh) = stale else { return Ok(None) };
        let text = fresh.content.text().ok_or_else(collect::lost)?;
        // What is no record at all was told apart when the page came.
        let name = |sifted: &mut Sifted| sifted.keep_unreadable(&fresh.sifted);
        let anew = self.fresh(&text, data::hash(&text, mapping.version()), mapping, &name)?;
        Ok(Some(Arrived {
            parent: arrived.parent,
            ..anew
        }))
    }

    fn fresh(&self, text: &str, hash: PageHash, mapping: &Arc<Mapping>, name: &dyn Fn(&mut Sifted)) -> Result<Arrived> {
        let (mut sifted, noted) = data::sift_noting(text, mapping, self.new_fields.inferring())?;
        name(&mut sifted);
        let widenable = Arc::clone(&self.widenable.read().unwrap_or_else(PoisonError::into_inner));
        let waiting = widenable.look(text, mapping, &sifted)?;
        if self.on_bad_record == OnBadRecord::Fail {
            let is_bad = |reject: &data::Reject| !waiting.records.contains(&reject.record);
            if let Some(at) = sifted.rejects.iter().position(is_bad) {
                return Err(sifted.rejects.swap_remove(at).error.into());
            }
        }
        let wanted = self.new_fields.look(&noted)?;
        let content = match self.store {
            true => Content::Stored {
                body: data::compress(text.as_bytes()),
                keys: data::compress(&sifted.all_keys()),
                gone: (!sifted.page.gone.is_empty()).then(|| data::compress(&sifted.page.gone)),
            },
            false => Content::Plain(text.to_owned()),
        };
        // Tombstones are records of the page, too: a page that has nothing else is not empty.
        let records = sifted.records();
        Ok(Arrived {
            hash,
            records,
            bytes: text.len() as u64,
            fresh: Some(Fresh {
                sifted,
                content,
                mapping: Arc::clone(mapping),
                noted,
                wanted,
                waiting,
            }),
            parent: None,
        })
    }
}

/// The total that a body declares: a number, or a text that holds one.
fn declared_total(raw: &str) -> Option<u64> {
    raw.trim_matches('"').parse().ok()
}
