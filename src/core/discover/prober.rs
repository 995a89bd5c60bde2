//! Asking the remote, a few times at most.

use super::answer::{Page, View};
use crate::class::Class;
use crate::error::{Error, HttpError};
use crate::http::Response;
use crate::pagination::with_param;
use url::Url;

/// Requests of one discovery, the first included.
pub(super) const MOST_REQUESTS: u32 = 8;

/// What came of a question to the remote.
pub(super) enum Outcome {
    Page(Box<Page>),
    /// The remote refused the request itself (400, 404, 422 …): an answer of a kind.
    Refused,
    /// It was not asked, or there was no answer to it.
    Untold,
}

impl Outcome {
    pub fn page(self) -> Option<Page> {
        match self {
            Outcome::Page(page) => Some(*page),
            _ => None,
        }
    }
}

/// Sends one request. The only thing in a discovery that is done, not decided: its caller does it.
pub type Send<'a> = dyn FnMut(&Url) -> Result<Response, Error> + 'a;

pub(super) struct Prober<'a, 'b> {
    send: &'a mut Send<'b>,
    view: &'a View,
    /// The job's own URL, with the parameters that are known to be needed.
    pub first: Url,
    pub asked: u32,
    /// Why nothing more is asked.
    pub stopped: Option<String>,
}

impl<'a, 'b> Prober<'a, 'b> {
    pub fn new(send: &'a mut Send<'b>, view: &'a View, first: &Url) -> Prober<'a, 'b> {
        Prober {
            send,
            view,
            first: first.clone(),
            asked: 1,
            stopped: None,
        }
    }

    /// The first page with these parameters.
    pub fn with(&mut self, params: &[(&str, String)]) -> Outcome {
        let url = params
            .iter()
            .fold(self.first.clone(), |url, (name, value)| with_param(&url, name, value));
        self.at(&url)
    }

    /// The page at an address, which was checked to lie below the base.
    pub fn at(&mut self, url: &Url) -> Outcome {
        if self.stopped.is_some() {
            return Outcome::Untold;
        }
        if self.asked >= MOST_REQUESTS {
            self.stopped = Some(format!("Nothing more was asked after {MOST_REQUESTS} requests."));
            return Outcome::Untold;
        }
        self.asked += 1;
        match (self.send)(url) {
            Ok(response) => match self.view.page(&response) {
                Ok(page) => Outcome::Page(Box::new(page)),
                Err(_) => Outcome::Refused,
            },
            Err(Error::Http(HttpError::Status { status, .. }))
                if matches!(status, 400..=499) && !matches!(status, 401 | 403 | 408 | 425 | 429) =>
            {
                Outcome::Refused
            }
            Err(error) => {
                let wait = if error.class() == Class::RateLimit {
                    " Try again later."
                } else {
                    ""
                };
                self.stopped = Some(format!("Request {} failed: {error}.{wait}", self.asked));
                Outcome::Untold
            }
        }
    }
}
