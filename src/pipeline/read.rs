//! Where a read begins: at its checkpoint, or anew at the first page.

use super::Work;
use super::page_size;
use super::plan::Plan;
use crate::pg::clock::{self, Timestamp};
use crate::store::run::Counts;
use crate::store::state::{self, State};
use crate::store::{brought, page, reject, run, undo};
use sluice_core::Result;
use sluice_core::cursor::Watch;
use sluice_core::data::{Aside, Column, Mapping, SingularQuery, content_hash};
use sluice_core::error::{Error, InternalError};
use sluice_core::http::Method;
use sluice_core::job::Mode;
use sluice_core::pagination::{KnownPage, PageToken, Pagination, Position, Stop};
use sluice_core::settings::{OnMissing, OnNewField, Verify};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The read of a held run, as publishing needs it.
pub fn of_generation(work: &Work, plan: &Plan, generation: i64) -> Result<ReadState> {
    let mut state = state::load(work.job, clock::now())?;
    (state.total_first, state.total_last, state.longest_pause) = run::read_facts(work.run)?;
    // The state speaks of the latest read.
    state.definition = None;
    let pages = page::of_generation(work.job, generation)?;
    Ok(ReadState::stored(
        generation,
        pages.len(),
        known_mapping(plan, &state),
        state,
    ))
}

/// A read in progress: one generation, over all runs that continue it.
#[derive(Clone)]
pub struct ReadState {
    pub generation: i64,
    /// Rows go straight into the target; otherwise pages are stored and published at the end.
    pub direct: bool,
    /// The whole collection is read, its pages are stored, and what it no longer has is gone. Otherwise an upsert.
    pub whole: bool,
    /// The first load of a `replace` job: nothing of it was in the target before.
    pub first_load: bool,
    /// Rows are copied in without a look for what is there; until a key turns out to come twice.
    pub copy: bool,
    pub complete: bool,
    pub next_page: i64,
    pub next_token: Option<String>,
    /// Known from the job, or from an earlier first page; else the first page of this read decides.
    pub mapping: Option<Arc<Mapping>>,
    /// Pages that need not be decoded and applied again: hash → records.
    pub known: HashMap<Vec<u8>, u64>,
    /// Every row is compared in this read, whatever its page's hash says.
    pub verifying: bool,
    /// Records of the pages that earlier runs committed.
    pub records_before: i64,
    /// When this run began to read.
    pub began: Instant,
    pub state: State,
}

impl ReadState {
    /// A whole read whose pages are all stored: what is missing is to publish them.
    pub fn stored(generation: i64, pages: usize, mapping: Option<Arc<Mapping>>, state: State) -> ReadState {
        ReadState {
            generation,
            direct: false,
            whole: true,
            first_load: false,
            copy: false,
            complete: true,
            next_page: i64::try_from(pages).unwrap_or(i64::MAX).saturating_add(1),
            next_token: None,
            mapping,
            known: HashMap::new(),
            verifying: true,
            records_before: 0,
            began: Instant::now(),
            state,
        }
    }

    /// Where the fetch threads begin, in the caller's transaction; None: at the first page.
    pub fn position(&self, job: i64) -> Result<Option<Position>> {
        if self.next_page <= 1 {
            return Ok(None);
        }
        Ok(Some(Position {
            number: u64::try_from(self.next_page).map_err(|_| corrupt())?,
            token: Some(PageToken(self.next_token.clone().ok_or_else(corrupt)?)),
            total_seen: self.state.total_last.and_then(|total| u64::try_from(total).ok()),
            pages_seen: self.state.total_pages.and_then(|pages| u64::try_from(pages).ok()),
            records: u64::try_from(self.records_before).unwrap_or(0),
            before: page::seen(job, self.generation, 1)?,
        }))
    }
}

fn corrupt() -> Error {
    Error::Internal(InternalError::Corrupt {
        what: "the checkpoint".into(),
    })
}

/// Continues the open read where it is the same definition and not too old; begins a new one otherwise.
pub fn resume_or_begin(work: &Work, plan: &Plan) -> Result<ReadState> {
    let now = clock::now();
    let state = state::load(work.job, now)?;
    let definition = definition(plan);
    let fresh = state
        .idle
        .is_none_or(|idle| idle <= plan.settings.max_pause.as_secs_f64());
    let same = state.definition.as_deref() == Some(definition.as_str());
    // Whoever emptied the target took away what the published pages, or the first half of this load, are taken for.
    // What is appended may be taken away by whoever works on it.
    let appends = plan.mode == Mode::Append;
    let emptied = !appends
        && (state.published_rows > 0 || state.reading && state.direct && state.page_number > 1)
        && is_empty(plan)?;
    let lost_half = emptied && state.direct;
    // To begin a log anew would append its first pages again.
    let resumed = state.reading && same && (fresh || state.complete || appends) && !lost_half;
    let state = if resumed {
        state
    } else {
        begin(work, plan, &definition, now)?
    };
    run::set_generation(work.run, state.generation)?;
    let mapping = known_mapping(plan, &state);
    // An upsert in between may have changed rows that a former read of the whole collection brought.
    let whole = is_whole(plan, &state);
    let upserted = whole && state.whole_generation != state.published_generation;
    let verifying = emptied
        || upserted
        || !state.skip_valid
        || plan.settings.verify == Verify::Always
        || is_verification_due(plan, &state);
    let known = match (state.published_generation, &mapping) {
        (Some(_), Some(_)) if !state.direct => match state.whole_generation {
            Some(whole) => page::known_stored(work.job, whole)?,
            None => HashMap::new(),
        },
        // A page that is not decoded does not tell how far it reaches.
        _ if plan.settings.cursor.is_some() || appends => HashMap::new(),
        (Some(published), Some(_)) if !verifying => page::known(work.job, published)?,
        _ => HashMap::new(),
    };
    Ok(ReadState {
        generation: state.generation,
        direct: state.direct,
        whole,
        first_load: state.direct && whole,
        copy: state.direct && whole,
        complete: state.complete,
        next_page: state.page_number,
        next_token: state.page_token.clone(),
        known,
        verifying,
        mapping,
        records_before: page::records(work.job, state.generation)?,
        began: Instant::now(),
        state,
    })
}

/// Begins a read whose pages are in the store; its generation.
pub fn begin_stored(work: &Work, plan: &Plan) -> Result<i64> {
    let now = clock::now();
    let former = state::load(work.job, now)?;
    leave(work, plan, &former)?;
    let beginning = state::Beginning {
        definition: &definition(plan),
        direct: false,
        bound: None,
        now,
    };
    let generation = state::begin_read(work.job, &beginning)?;
    run::set_generation(work.run, generation)?;
    Ok(generation)
}

/// Begins a read again at its first page, because the remote does not know a token of its own any more. The generation
/// stays: its ledger then has the pages of this pass only, and pages that are stored already are not stored again. A
/// first load is given up for a new generation instead: the rows of the first pass are in the target, and only the
/// comparison with its pages, in the publishing transaction, shows which of them are gone by now.
///
/// # Errors
/// `lost`, where that has happened too often.
pub fn restart(work: &Work, plan: &Plan, read: &ReadState, lost: Error) -> Result<ReadState> {
    if read.state.restarts >= MOST_RESTARTS {
        return Err(lost);
    }
    let passed = page::known_stored(work.job, read.generation)?;
    if read.first_load {
        state::give_up_read(work.job)?;
    } else {
        let aside = -(read.generation * 10 + i64::from(read.state.restarts));
        page::put_aside(work.job, read.generation, aside)?;
        brought::put_aside(work.job, read.generation, aside)?;
        let forgotten = reject::forget_of(work.job, read.generation, work.run)?;
        let counts = Counts {
            rejected: -forgotten,
            ..Counts::default()
        };
        run::add_counts(work.run, &counts)?;
        state::restart_read(work.job, clock::now())?;
    }
    if read.direct && !read.first_load {
        // What this pass has merged is newer than the published pages.
        state::void_skip(work.job)?;
    }
    let mut again = resume_or_begin(work, plan)?;
    again.state.restarts = read.state.restarts + 1;
    state::note_restarts(work.job, again.state.restarts)?;
    again.began = read.began;
    if !again.direct {
        again.known.extend(passed);
    }
    Ok(again)
}

/// How often a read is begun again for a lost token.
const MOST_RESTARTS: u32 = 3;

fn begin(work: &Work, plan: &Plan, definition: &str, now: Timestamp) -> Result<State> {
    let former = state::load(work.job, now)?;
    let half_loaded = leave(work, plan, &former)?;
    let replaces = plan.mode == Mode::Replace;
    let first = replaces && former.published_generation.is_none() && !half_loaded && is_empty(plan)?;
    let reconciles = is_reconciliation_due(plan, &former);
    let bound = match reconciles {
        true => None,
        false => bound(plan, &former)?,
    };
    let beginning = state::Beginning {
        definition,
        direct: !replaces && !reconciles || first,
        bound: bound.as_deref(),
        now,
    };
    state::begin_read(work.job, &beginning)?;
    page_size::begin(plan, now)?;
    if first {
        let attnums = plan.target.columns.iter().map(|column| column.attnum.into());
        undo::keep(work.job, &undo::UndoBatch::first_load(work.run, attnums.collect()))?;
    }
    state::load(work.job, now)
}

/// Gives up the read in progress, if there is one. Whether it was a first load.
fn leave(work: &Work, plan: &Plan, former: &State) -> Result<bool> {
    // A first load that was given up has rows in the target already: they are this job's own, and the pages that they
    // came from are what the next read is compared with.
    let half_loaded =
        former.reading && former.direct && former.published_generation.is_none() && plan.mode == Mode::Replace;
    if half_loaded && former.page_number > 1 {
        state::adopt_half_load(work.job)?;
    }
    if former.reading && former.direct && former.page_number > 1 {
        // Its first pages are in the target, whatever the published ones say.
        state::void_skip(work.job)?;
    }
    Ok(half_loaded)
}

/// Pages that are asked for only where they are others than the published ones: where a page of that hash need not be
/// decoded, its body is stored (an upsert needs none), and nothing but the remote can have changed since. The last page of
/// a read that ends by a header is asked for in full, since that header may change alone.
pub fn conditions(plan: &Plan, read: &ReadState) -> Result<HashMap<u64, KnownPage>> {
    let (state, settings) = (&read.state, &plan.settings);
    let version = read.mapping.as_ref().map(|mapping| mapping.version().0.to_vec());
    let same =
        version.is_some() && version == state.published_version && state.published_definition == Some(definition(plan));
    // A numbered page of another size is another page, and a longer one would make those of this read look short.
    let may_differ = settings.page_bounds.is_some()
        && (matches!(settings.pagination, Pagination::Page { .. }) || settings.pagination.stop() == Some(Stop::Short));
    let asks_plainly = settings.method == Method::Get && settings.cursor.is_none() && !may_differ;
    let published = state
        .published_generation
        .filter(|_| same && asks_plainly && !read.verifying);
    let Some(published) = published else {
        return Ok(HashMap::new());
    };
    let mut pages = page::validated(plan.job.id, published)?;
    let may_end = settings.pagination.ends_by_header();
    let last = pages.keys().max().copied().unwrap_or(0);
    pages.retain(|number, page| read.known.contains_key(page.digest.as_slice()) && !(may_end && *number >= last));
    Ok(pages)
}

/// Whether the read in progress is one of the whole collection.
fn is_whole(plan: &Plan, state: &State) -> bool {
    plan.mode == Mode::Replace || !state.direct
}

/// Whether a job that reads what changed is to read everything now. The first read does that anyway.
fn is_reconciliation_due(plan: &Plan, state: &State) -> bool {
    let every = plan.settings.reconcile_every.filter(|_| state.cursor.is_some());
    every.is_some_and(|every| state.whole_ago.is_none_or(|ago| ago >= every.as_secs_f64()))
}

/// From where on a new read asks. An empty target is filled from the beginning, whatever was read into it before, unless
/// rows are only added to it.
fn bound(plan: &Plan, former: &State) -> Result<Option<String>> {
    let bound = match (&plan.settings.cursor, &former.cursor) {
        (Some(cursor), Some(watermark)) => cursor.bound(watermark),
        _ => None,
    };
    Ok(match bound {
        Some(bound) if plan.mode == Mode::Append || !is_empty(plan)? => Some(bound),
        _ => None,
    })
}

/// Whether the target holds no row at all, seen as the run-as role.
pub fn is_empty(plan: &Plan) -> Result<bool> {
    let sql = format!("SELECT NOT EXISTS (SELECT FROM {})", plan.target.sql_name());
    Ok(crate::pg::spi::value::<bool>(&sql, &[])?.unwrap_or(false))
}

/// The rows that the target holds, as the run-as role sees them.
pub fn count(plan: &Plan) -> Result<i64> {
    let sql = format!("SELECT pg_catalog.count(*) FROM {}", plan.target.sql_name());
    Ok(crate::pg::spi::value::<i64>(&sql, &[])?.unwrap_or(0))
}

fn is_verification_due(plan: &Plan, state: &State) -> bool {
    let age = state
        .verified_ago
        .map_or(Duration::MAX, |s| Duration::from_secs_f64(s.max(0.0)));
    age >= plan.settings.verify_every
}

/// The mapping that is certain before a page has come.
pub fn known_mapping(plan: &Plan, state: &State) -> Option<Arc<Mapping>> {
    if plan.columns_given {
        return MappingParts::of(plan).mapping(|_| true).map(Arc::new);
    }
    let (columns, target) = state.mapped.as_ref()?;
    if *target != plan.target.fingerprint() {
        return None;
    }
    MappingParts::of(plan)
        .mapping(|name| columns.iter().any(|c| c == name))
        .map(Arc::new)
}

/// What a mapping is made of, without the plan: the fetch threads may have to make it from the first page.
pub struct MappingParts {
    records: SingularQuery,
    columns: Vec<Column>,
    key: Vec<String>,
    fingerprint: String,
    aside: Aside,
}

impl MappingParts {
    pub fn of(plan: &Plan) -> MappingParts {
        let columns = plan.candidates.iter().filter_map(|(name, query, default)| {
            let ty = plan.target.column(name)?.encoding();
            Some(Column {
                name: name.clone(),
                query: query.clone(),
                ty,
                default: default.clone(),
            })
        });
        MappingParts {
            records: plan.settings.records.clone(),
            columns: columns.collect(),
            key: plan.job.key.clone(),
            fingerprint: fingerprint(plan),
            aside: Aside {
                watch: plan
                    .settings
                    .cursor
                    .as_ref()
                    .map(|cursor| Watch::new(cursor, clock::now().0)),
                deleted_when: plan.settings.deleted_when.clone(),
            },
        }
    }

    /// Whether no column would be left where a page tells of none.
    pub fn is_keyless(&self) -> bool {
        self.key.is_empty()
    }

    /// The mapping of those columns that `used` accepts; key columns are always in it.
    pub fn mapping(&self, used: impl Fn(&str) -> bool) -> Option<Mapping> {
        let chosen = self
            .columns
            .iter()
            .filter(|c| used(&c.name) || self.key.contains(&c.name) || c.query == SingularQuery::nothing());
        let columns: Vec<Column> = chosen.cloned().collect();
        let key = self
            .key
            .iter()
            .map(|k| columns.iter().position(|c| c.name == *k))
            .collect::<Option<Vec<_>>>()?;
        if columns.is_empty() {
            return None;
        }
        let mapping = Mapping::new(self.records.clone(), columns, key, &self.fingerprint);
        Some(mapping.with_aside(self.aside.clone()))
    }
}

/// The target's shape; and what is done with new members, since a page is skipped only where nothing would become of it.
fn fingerprint(plan: &Plan) -> String {
    match plan.settings.on_new_field {
        OnNewField::Ignore => plan.target.fingerprint(),
        other => format!("{}|{other:?}", plan.target.fingerprint()),
    }
}

/// Identifies everything that decides what a read is: a read is never continued under another definition.
pub fn definition(plan: &Plan) -> String {
    let text = format!(
        "{}|{}|{:?}|{:?}|{:?}|{}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}|{}|{:?}",
        plan.options.base_url,
        plan.job.path,
        plan.settings.method,
        plan.settings.body,
        plan.settings.param_place,
        plan.job.mode,
        plan.settings.formats,
        plan.settings.records,
        plan.settings.params,
        plan.settings.headers,
        plan.settings.pagination,
        (plan.settings.page_size, plan.settings.page_bounds),
        plan.settings.columns,
        plan.settings.on_bad_record,
        plan.settings.cursor,
        plan.settings.deleted_when,
        plan.settings.on_missing == OnMissing::Mark,
        plan.settings.foreach,
        plan.job.key,
        plan.target.fingerprint(),
        plan.target.oid,
    );
    content_hash(text.as_bytes())
}
