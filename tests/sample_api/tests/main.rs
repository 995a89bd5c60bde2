//! The sample API seen from outside, over sockets.
#![expect(
    clippy::unwrap_used,
    reason = "the client and other parts shared by tests fail the test that calls them"
)]

mod access;
mod client;
mod content;
mod control;
mod interleaving;
mod paging;
mod sending;

use sample_api::{Options, SampleApi};

/// A server with that many products.
fn serve(products: u64) -> SampleApi {
    SampleApi::start(Options {
        products,
        ..Options::default()
    })
}
