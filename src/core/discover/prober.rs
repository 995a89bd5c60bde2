//! Asking the remote, a few times at most.

use super::answer::word;
use super::answer::{Page, View};
use super::paging::Remote;
use crate::class::Class;
use crate::data::path::{SingularQuery, Step};
use crate::error::{Error, HttpError};
use crate::http::Response;
use crate::pagination::{ParamPlace, with_param};
use serde_json::Value;
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

/// Sends one request, with a body where one is given. The only thing in a discovery that is done, not decided: its caller
/// does it.
pub type Send<'a> = dyn FnMut(&Url, Option<&Value>) -> Result<Response, Error> + 'a;

pub(super) struct Prober<'a, 'b> {
    send: &'a mut Send<'b>,
    view: &'a View,
    /// The job's own URL, with the parameters that are known to be needed.
    pub first: Url,
    /// The job's own body, with the members that are known to be needed.
    pub body: Option<Value>,
    /// Where parameters go.
    pub place: ParamPlace,
    pub asked: u32,
    /// Why nothing more is asked.
    pub stopped: Option<String>,
}

impl<'a, 'b> Prober<'a, 'b> {
    pub fn new(send: &'a mut Send<'b>, view: &'a View, remote: &Remote) -> Prober<'a, 'b> {
        Prober {
            send,
            view,
            first: remote.first.clone(),
            body: remote.body.clone(),
            place: remote.place,
            asked: 1,
            stopped: None,
        }
    }

    /// The first page with these parameters.
    pub fn with(&mut self, params: &[(&str, Value)]) -> Outcome {
        match self.carrying(params) {
            Some((url, body)) => self.at(&url, body.as_ref()),
            None => Outcome::Refused,
        }
    }

    /// Has all further requests carry a parameter.
    pub fn keep(&mut self, param: (&str, Value)) {
        if let Some((url, body)) = self.carrying(&[param]) {
            (self.first, self.body) = (url, body);
        }
    }

    /// None: a parameter cannot go there.
    fn carrying(&self, params: &[(&str, Value)]) -> Option<(Url, Option<Value>)> {
        let (mut pairs, mut body) = (Vec::new(), self.body.clone());
        for (name, value) in params {
            self.place.add((name, value.clone()), &mut pairs, &mut body)?;
        }
        let add = |url: Url, (name, value): &(String, String)| with_param(&url, name, value);
        Some((pairs.iter().fold(self.first.clone(), add), body))
    }

    /// The members of the job's own body that go by one of these words, as parameters are named.
    pub fn own_params(&self, words: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        if self.place == ParamPlace::Body
            && let Some(body) = &self.body
        {
            own_params(body, &mut Vec::new(), words, &mut found);
        }
        found
    }

    /// The scheme, with what it does not say of where its parameters go.
    pub fn placed(&self, mut scheme: Value) -> Value {
        if self.place == ParamPlace::Query && self.body.as_ref().is_some_and(Value::is_object) {
            scheme["param_in"] = "query".into();
        }
        scheme
    }

    /// The page at an address, which was checked to lie below the base.
    pub fn at(&mut self, url: &Url, body: Option<&Value>) -> Outcome {
        if self.stopped.is_some() {
            return Outcome::Untold;
        }
        if self.asked >= MOST_REQUESTS {
            self.stopped = Some(format!("Nothing more was asked after {MOST_REQUESTS} requests."));
            return Outcome::Untold;
        }
        self.asked += 1;
        match (self.send)(url, body) {
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

/// How deep members of a body are looked at.
const DEPTH: usize = 4;

fn own_params(value: &Value, path: &mut Vec<Step>, words: &[&str], found: &mut Vec<String>) {
    let Value::Object(members) = value else { return };
    for (name, inner) in members {
        path.push(Step::Member(name.clone()));
        if words.contains(&word(name).as_str()) && !inner.is_object() && !inner.is_array() {
            found.push(match path.as_slice() {
                [Step::Member(own)] if !own.starts_with('$') => own.clone(),
                steps => SingularQuery { steps: steps.to_vec() }.to_string(),
            });
        }
        if path.len() < DEPTH {
            own_params(inner, path, words, found);
        }
        path.pop();
    }
}
