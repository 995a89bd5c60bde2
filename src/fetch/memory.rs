//! A transport without a network, for tests of everything above it.

use std::sync::{Mutex, PoisonError};

use sluice_core::http::{HttpError, Request, Response};

use crate::transport::Transport;

type Answer = dyn Fn(&Request) -> Result<Response, HttpError> + Send + Sync;

/// Answers from a function, and remembers what was asked.
pub struct MemoryTransport {
    answer: Box<Answer>,
    seen: Mutex<Vec<Request>>,
}

impl MemoryTransport {
    pub fn new(answer: impl Fn(&Request) -> Result<Response, HttpError> + Send + Sync + 'static) -> MemoryTransport {
        MemoryTransport {
            answer: Box::new(answer),
            seen: Mutex::new(Vec::new()),
        }
    }

    /// The requests so far, in the order in which they came.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Transport for MemoryTransport {
    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        (self.answer)(request)
    }
}
