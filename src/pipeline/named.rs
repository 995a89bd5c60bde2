//! The record that an error of PostgreSQL is about, where bad records end the run.

use super::apply::{Applier, KeepUndo};
use super::batch::current_target;
use super::gone;
use super::plan::Plan;
use super::refused::{Care, Sieve, Suspect, Writing, is_the_same, nth};
use crate::pg::transaction;
use sluice_core::Class;
use sluice_core::call::CallError;
use sluice_core::data::{self, Mapping};
use sluice_core::error::{DatabaseError, Error};
use std::sync::Arc;

type Result<T, E = Error> = std::result::Result<T, E>;

/// The most records that are looked at for the one that an error is about.
const MOST_COMPARED: u64 = 100;

/// The error with the record that it is about, where PostgreSQL refused one; else as it was. Nothing is written. A
/// cancellation of the search is what is told instead of it. `text` gives the records of a page.
pub fn named(error: Error, pages: &[Suspect], writing: Writing, text: &dyn Fn(i64) -> Option<String>) -> Error {
    let Error::Database(refusal) = error else { return error };
    if refusal.class() != Class::Data {
        return Error::Database(refusal);
    }
    let (mapping, mut found) = (writing.mapping, None);
    let ended = transaction::run(|| -> Result<()> {
        Care::PartsAndConstraints.begin()?;
        let mut sieve = Sieve::new(writing, MOST_COMPARED);
        sieve.take(pages)?;
        let mut refused = sieve.finish()?.0;
        let same = refused.iter().position(|one| is_the_same(&refusal, &one.error));
        found = same
            .or((!refused.is_empty()).then_some(0))
            .map(|at| refused.swap_remove(at));
        // Nothing of it stays.
        Err(CallError::Stopped.into())
    });
    match (ended, found) {
        (Err(cancelled), _) if !is_our_end(&cancelled) && cancelled.class() == Class::Cancelled => cancelled,
        (_, Some(refused)) => {
            let texts = text(refused.page);
            let record = texts.as_deref().and_then(|text| nth(text, refused.record));
            Error::Database(DatabaseError {
                record: record.map(|record| Box::new(refused.told(record, mapping))),
                ..refused.error
            })
        }
        _ => Error::Database(refusal),
    }
}

fn is_our_end(error: &Error) -> bool {
    matches!(error, Error::Call(CallError::Stopped))
}

/// The same for stored pages of a read, by their numbers and hashes; as it was where the search cannot be done.
pub fn named_in_store(error: Error, plan: &Plan, mapping: &Arc<Mapping>, pages: &[(i64, Vec<u8>)]) -> Error {
    if error.class() != Class::Data {
        return error;
    }
    let job = plan.job.id;
    let found = transaction::run(|| {
        let applier = Applier::new(&current_target(plan)?, mapping)?;
        let texts = pages
            .iter()
            .map(|(number, hash)| Ok((*number, gone::body_text(job, hash)?)));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let sifted = texts.iter().map(|(_, text)| data::sift(text, mapping));
        let sifted = sifted.collect::<Result<Vec<_>, _>>()?;
        Ok((applier, texts, sifted))
    });
    let (applier, texts, sifted) = match found {
        Ok(found) => found,
        Err(other) if other.class() == Class::Cancelled => return other,
        Err(_) => return error,
    };
    let suspect = |((number, _), sifted): (&(i64, String), &'_ data::Sifted)| (*number, sifted.places().collect());
    let places: Vec<(i64, Vec<u64>)> = texts.iter().zip(&sifted).map(suspect).collect();
    let suspects: Vec<Suspect> = places
        .into_iter()
        .zip(&sifted)
        .map(|((number, places), sifted)| Suspect {
            number,
            page: &sifted.page,
            places,
        })
        .collect();
    let writing = Writing {
        target: &plan.target,
        mapping,
        write: &|page| applier.merge(&[page], KeepUndo::No),
        swapping: Some(&applier),
    };
    let text = |number| {
        texts
            .iter()
            .find(|(other, _)| *other == number)
            .map(|(_, text)| text.clone())
    };
    named(error, &suspects, writing, &text)
}
