//! Plain requests and responses.

/// Placeholder.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HttpError {}
impl crate::error::Explain for HttpError {
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
