//! Which addresses and URLs a request may go to.
pub mod address;
pub mod join;
