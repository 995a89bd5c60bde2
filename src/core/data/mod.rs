//! From a body's text to rows: the records in it, the columns of each record, the bytes that PostgreSQL's COPY takes.
//!
//! ```text
//! body ─ page::locate ─► the records' text ─ decode ─► rows and keys (tuple splits them again)
//!                             │
//!                             └─ page::hash, body::compress: what is stored, and whether it is the same as before
//! ```
//!
//! No value goes through a tree, and no number through floating point unless its column is: `tree` hands out each
//! selected value's raw text, and `encode` makes the field's bytes of it. All of it is a pure function of text and
//! [`Mapping`], runs on any thread, and answers hostile text with a [`DataError`], never with a panic, recursion without
//! bound, or memory without bound: the rows of a page, and what is told of its bad records, take a few times its text or
//! 256 MB at the most, whatever the number of its records.

mod array;
mod body;
mod column;
mod decimal;
mod decode;
mod deleted;
mod depth;
mod encode;
mod error;
mod escape;
mod format;
mod former;
mod infer;
mod kind;
mod misfit;
mod names;
mod noted;
mod numeric;
mod page;
pub mod path;
mod payload;
mod pick;
mod records;
pub(crate) mod time;
mod tree;
mod tuple;
mod widen;

#[cfg(test)]
mod tests;

pub use body::{compress, decompress, decompress_text};
pub use column::{Aside, Column, ColumnType, FieldFormat, Mapping, MappingVersion};
pub(crate) use decimal::Decimal;
pub use decode::{DecodedPage, Reject, Sifted, decode, sift, sift_noting};
pub use deleted::DeletedWhen;
pub use depth::MAX_DEPTH;
pub(crate) use error::excerpt_of;
pub use error::{DataError, StoredPageFault, excerpt};
pub(crate) use escape::content_of;
pub(crate) use format::MOST_FIELDS;
pub use format::{Csv, Format, Formats, Opened};
pub use former::{Former, Unknown};
pub use infer::{Inferred, InferredColumn, InferredType, infer, infer_at, members, unique_members};
pub use kind::JsonKind;
pub(crate) use kind::trim;
pub use misfit::Misfit;
pub use names::column_name;
pub(crate) use names::{SYSTEM_NAMES, column_names};
pub use noted::{Inferring, Noted, Tally, Unmapped};
pub(crate) use page::text_of;
pub use page::{Located, PageHash, content_hash, content_hash_bytes, hash, locate, locate_with};
pub use path::{PathError, SingularQuery, Step};
pub use payload::payload_records;
pub use pick::{Picker, pick};
pub(crate) use records::members_of;
pub use records::{each_record, key_shown, split_records, value_shown};
pub use tuple::{fields, key_fields, keys_of_rows, page_of_texts, split_keys, split_rows};
pub use widen::Widening;
