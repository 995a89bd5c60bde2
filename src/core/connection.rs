//! What a connection's options mean.
/// A definition that cannot work as it stands.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {}
impl crate::error::Explain for ConfigError {
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
