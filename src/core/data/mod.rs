//! From a body's text to rows: the records in it, the columns of each record, the bytes that PostgreSQL's COPY takes.
pub mod path;

/// Placeholder.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DataError {}
impl crate::error::Explain for DataError {
    fn class(&self) -> crate::class::Class {
        match *self {}
    }
    fn sqlstate(&self) -> &'static str {
        match *self {}
    }
    fn detail(&self) -> Option<String> {
        match *self {}
    }
    fn hint(&self) -> Option<String> {
        match *self {}
    }
}
