//! What a parent had in the published read of the whole collection: it stands for the parent where that has failed.

use crate::pg::clock;
use crate::pipeline::decode::Arrived;
use crate::store::{page, state};
use sluice_core::Result;
use sluice_core::data::{Mapping, PageHash};
use sluice_core::foreach::Parent;
use sluice_core::pagination::PageToken;
use sluice_fetch::FetchedPage;

/// None where what it had is not known in the form of this read.
pub fn pages(job: i64, mapping: Option<&Mapping>, parent: &Parent) -> Result<Option<Vec<Arrived>>> {
    let state = state::load(job, clock::now())?;
    let same_mapping = mapping.map(|m| m.version().0.to_vec()) == state.published_version;
    let Some(whole) = state
        .whole_generation
        .filter(|whole| !state.direct && same_mapping && state.published_generation == Some(*whole))
    else {
        // Before the first read of the whole collection a parent has had nothing.
        let has_nothing = state.direct || state.whole_generation.is_none();
        return Ok(has_nothing.then(Vec::new));
    };
    let identity = parent.identity();
    let arrived = |(_, hash, records): (i64, Vec<u8>, i64)| {
        Some(Arrived {
            hash: PageHash(<[u8; 32]>::try_from(hash).ok()?),
            records: u64::try_from(records).unwrap_or(0),
            bytes: 0,
            fresh: None,
            parent: Some(identity),
        })
    };
    let pages = page::of_parent(job, whole, &identity)?;
    // It had none, or the read was one that did not lie below parents.
    if pages.is_empty() && !page::have_parents(job, whole)? {
        return Ok(None);
    }
    Ok(pages.into_iter().map(arrived).collect())
}

/// Such a page as one of this read.
pub fn standing_in(number: u64, arrived: Arrived) -> FetchedPage<Arrived> {
    FetchedPage {
        number,
        token: PageToken("kept".into()),
        next: None,
        last: true,
        records: arrived.records,
        page: Some(arrived),
        total: None,
        total_pages: None,
        bytes: 0,
        etag: None,
        last_modified: None,
        requests: 0,
        ignored: false,
    }
}
