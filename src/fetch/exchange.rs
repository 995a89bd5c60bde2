//! The work of one thread: take an ask, send its request until it is answered for good, decode, deliver.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use sluice_core::class::Class;
use sluice_core::error::Error;
use sluice_core::error_rule::Action;
use sluice_core::http::status::{self, Meaning};
use sluice_core::http::{HttpError, Request, Response};
use sluice_core::pagination::{Answer, Ask, KnownPage, PageToken, Pagination, Source, declared_in, link_header, next};
use sluice_core::rate::{Asks, Hold, Why};
use sluice_core::retry::{rate_wait, repeated_as};

use crate::failures::{FailedRequest, Sequel};
use crate::order::{Failed, Fetched};
use crate::pace::Permit;
use crate::pages::{Decode, PageFacts};
use crate::pool::{Admission, Shared, Wait};
use crate::transport::Transport;

/// Longest time that one request may spend in short rate-limit waits: then the worker is given back all the same.
const LONGEST_RATE_WAIT: Duration = Duration::from_secs(60);

/// What a thread of the read does until no page is left for it.
pub(crate) fn work<D: Decode>(shared: &Shared<D::Page>, transport: &dyn Transport, decode: &D) {
    while let Some(ask) = shared.take_ask() {
        let mut job = PageWork {
            shared,
            transport,
            decode,
            ask: &ask,
            requests: 0,
        };
        // A bug in a decoder must end this read and nothing else. The panicking work owns what it changes.
        let outcome = catch_unwind(AssertUnwindSafe(|| job.run()));
        let requests = job.requests;
        match outcome {
            Ok(Ok(Some(fetched))) => shared.deliver(ask, Ok(fetched)),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => shared.deliver(ask, Err(Failed { error, requests })),
            Err(_) => {
                let error = HttpError::Panicked { page: ask.number }.into();
                shared.deliver(ask, Err(Failed { error, requests }));
            }
        }
    }
}

/// What an answer that does not count is to the plan of a read.
const NO_SUCH_PAGE: u16 = 404;

/// How many redirects one request may meet.
pub(crate) const MOST_REDIRECTS: u32 = 3;

/// What became of sending a request once.
enum Sent {
    Answered(Response, Meaning),
    Redirected(Request),
    /// A rule takes the answer for a page without records.
    Ignored(Response),
}

/// A request that was answered for good; it may be one that a redirect led to.
struct Exchanged {
    request: Request,
    response: Response,
    meaning: Meaning,
    ignored: bool,
}

struct PageWork<'a, D: Decode> {
    shared: &'a Shared<D::Page>,
    transport: &'a dyn Transport,
    decode: &'a D,
    ask: &'a Ask,
    requests: u32,
}

impl<'a, D: Decode> PageWork<'a, D> {
    /// None: the page is not wanted any more.
    fn run(&mut self) -> Result<Option<Fetched<D::Page>>, Error> {
        // One page more is asked for: where it is empty, the read is not too long.
        self.check_number(self.ask.number.saturating_sub(1))?;
        let fetched = self.page()?;
        if fetched.as_ref().is_some_and(|fetched| fetched.answer.records > 0) {
            self.check_number(self.ask.number)?;
        }
        Ok(fetched)
    }

    fn check_number(&self, number: u64) -> Result<(), HttpError> {
        match self.shared.spec.limits.pages {
            Some(limit) if number > limit => Err(HttpError::TooManyPages { limit }),
            _ => Ok(()),
        }
    }

    fn page(&mut self) -> Result<Option<Fetched<D::Page>>, Error> {
        let spec = &self.shared.spec;
        let Some(Exchanged {
            request,
            response,
            meaning,
            ignored,
        }) = self.exchange(spec.request(self.ask)?)?
        else {
            return Ok(None);
        };
        if ignored {
            return Ok(Some(self.ignored(&response)));
        }
        let in_header = self.next_in_header(&request, &response)?;
        if let (Meaning::Unchanged, Some(known)) = (meaning, spec.known(self.ask)) {
            return Ok(Some(self.unchanged(&response, known, in_header)));
        }
        self.shared.foresee(self.ask, in_header.as_ref());
        let (page, facts) = match meaning {
            Meaning::Page => self.decode(&response)?,
            Meaning::NoContent | Meaning::Absent | Meaning::Unchanged => (None, PageFacts::default()),
        };
        let next = match spec.pagination.next() {
            Some(Source::Body(_)) => self.next_named(&request, facts.next.as_deref())?,
            _ => in_header,
        };
        // Nothing but an empty page ends a keyset: where it ended elsewhere, all records behind would count as gone.
        if matches!(spec.pagination, Pagination::Keyset { .. }) && next.is_none() && facts.records > 0 {
            return Err(HttpError::MissingKey { page: self.ask.number }.into());
        }
        Ok(Some(self.fetched(&response, page, &facts, next)))
    }

    fn decode(&self, response: &Response) -> Result<(Option<D::Page>, PageFacts), Error> {
        let _turn = self.shared.turns.take();
        let decoded = self.decode.decode(response);
        let (page, facts) = decoded.map_err(|error| self.shared.spec.auth.redacted(error, &response.body))?;
        Ok((Some(page), facts))
    }

    /// Sends until there is an answer for good. None: the page is not wanted any more.
    fn exchange(&mut self, mut request: Request) -> Result<Option<Exchanged>, Error> {
        let spec = &self.shared.spec;
        let known = spec.known(self.ask);
        if let Some(known) = known {
            spec.condition(&mut request, known);
        }
        let (mut failures, mut redirects) = (0, 0);
        let mut refused = Refused::default();
        let mut last = None;
        loop {
            let permit = match self.admit(&mut refused, last.is_some()) {
                Admission::Go(permit) => permit,
                Admission::Unwanted => return Ok(None),
                Admission::Later(hold) => return Err(put_off(&request, hold, last)),
            };
            self.requests += 1;
            let answered = |request, response, (meaning, ignored)| Exchanged {
                request,
                response,
                meaning,
                ignored,
            };
            let error = match self.send(&request, redirects, permit) {
                Ok(Sent::Answered(response, meaning)) => {
                    spec.failures.answered();
                    return Ok(Some(answered(request, response, (meaning, false))));
                }
                Ok(Sent::Ignored(response)) => {
                    return Ok(Some(answered(request, response, (Meaning::NoContent, true))));
                }
                Ok(Sent::Redirected(elsewhere)) => {
                    redirects += 1;
                    request = elsewhere;
                    if let Some(known) = known {
                        spec.condition(&mut request, known);
                    }
                    continue;
                }
                Err(error) => error,
            };
            let class = match error.ruling().map(|ruling| ruling.action) {
                None => error.class(),
                Some(Action::Retry) => repeated_as(error.class()),
                Some(_) => return Err(error),
            };
            if class == Class::RateLimit {
                let delay = rate_wait(retry_after(&error));
                if error.ruling().is_some() {
                    // A rule says so: from the answer alone the budget could not know.
                    spec.pace.hold(delay);
                }
                // The budget knows how long: nobody who shares it sends before that.
                self.shared.retries.fetch_add(1, Ordering::Relaxed);
                refused.reason = Some(error.to_string());
                self.note(error, Sequel::Repeated(delay));
                continue;
            }
            failures += 1;
            if let Some(spent) = spec.failures.count() {
                return Err(over_budget(error, spent));
            }
            let Some((delay, wait)) = self.backoff(&error, class, failures) else {
                return Err(error);
            };
            self.note(error.clone(), Sequel::Repeated(delay));
            if !self.shared.pause(self.ask, delay, wait) {
                return Ok(None);
            }
            last = Some(error);
        }
    }

    fn admit(&self, refused: &mut Refused, has_failed: bool) -> Admission<'a> {
        let asks = match has_failed {
            true => Asks::Ordinary,
            false => self.shared.spec.pace.asks,
        };
        let patience = match refused.waited < LONGEST_RATE_WAIT {
            true => self.shared.spec.pace.patience,
            false => Duration::ZERO,
        };
        let began = refused.reason.is_some().then(Instant::now);
        let admission = self.shared.admit(self.ask, patience, refused.reason.as_deref(), asks);
        refused.waited += began.map_or(Duration::ZERO, |began| began.elapsed());
        admission
    }

    fn send(&self, request: &Request, redirects: u32, permit: Permit<'_>) -> Result<Sent, Error> {
        let spec = &self.shared.spec;
        let began = Instant::now();
        let exchange = self.transport.send(request);
        self.shared.leave(permit, &exchange);
        let response = exchange.map_err(|error| spec.rules.of_failure(error.into(), None))?;
        self.shared.latencies.add(began.elapsed());
        if redirects < MOST_REDIRECTS
            && let Some(elsewhere) = spec.redirected(request, &response)
        {
            return Ok(Sent::Redirected(elsewhere));
        }
        if response.status == 304 && spec.known(self.ask).is_some() {
            return Ok(Sent::Answered(response, Meaning::Unchanged));
        }
        let now = SystemTime::now();
        let error = match status::judge(request, &response, &spec.auth, now) {
            Ok(Meaning::Absent) if self.shared.is_end_when_absent(self.ask.number, response.status) => {
                return Ok(Sent::Answered(response, Meaning::Absent));
            }
            Ok(Meaning::Absent) => {
                let failure = status::failure(request, &response, &spec.auth, now);
                spec.rules.of_failure(failure.into(), Some(&response))
            }
            Ok(meaning) => match self.refused(request, &response) {
                Some(error) => error,
                None => return Ok(Sent::Answered(response, meaning)),
            },
            Err(error) => spec.rules.of_failure(error.into(), Some(&response)),
        };
        match error.ruling().map(|ruling| ruling.action) {
            Some(Action::Ignore) => {
                self.note(error, Sequel::Ignored);
                Ok(Sent::Ignored(response))
            }
            _ => Err(error),
        }
    }

    /// The failure that a good answer is by a rule. A body becomes a tree for it: not on all threads at once.
    fn refused(&self, request: &Request, response: &Response) -> Option<Error> {
        let spec = &self.shared.spec;
        if !spec.rules.look_at_answers() {
            return None;
        }
        let _turn = self.shared.turns.take();
        let error = || status::refused(request, response, &spec.auth, SystemTime::now()).into();
        spec.rules.of_good_answer(response, error)
    }

    fn note(&self, error: Error, sequel: Sequel) {
        self.shared.spec.failures.note(FailedRequest {
            page: self.ask.number,
            attempt: self.requests,
            error,
            sequel,
            at: Instant::now(),
        });
    }

    /// The delay before the request is repeated; None: it is not.
    fn backoff(&self, error: &Error, class: Class, failures: u32) -> Option<(Duration, Wait)> {
        let policy = self.shared.spec.retry;
        let delay = policy.delay(class, failures, self.shared.random())?;
        // A failing server may say how long (503 with Retry-After); within the cap it is believed.
        let delay = retry_after(error).map_or(delay, |asked| delay.max(asked.min(policy.cap)));
        Some((
            delay,
            Wait::Retry {
                attempt: failures + 1,
                attempts: policy.attempts_of(class),
                reason: error.to_string(),
            },
        ))
    }

    /// The next page, where the response's headers name it.
    fn next_in_header(&self, request: &Request, response: &Response) -> Result<Option<PageToken>, HttpError> {
        let spec = &self.shared.spec;
        match (&spec.pagination, spec.pagination.next()) {
            (Pagination::LinkHeader, _) => {}
            (_, Some(Source::Header(name))) => {
                let named = response.headers.get(name).map(next::json_of_header);
                return self.next_named(request, named.as_deref());
            }
            _ => return Ok(None),
        }
        let next = link_header::next(&response.headers, &request.url, &spec.base, self.ask.number)?;
        Ok(next.map(|url| link_header::token(url, &spec.auth)))
    }

    /// The next page that a value (JSON text) names.
    fn next_named(&self, request: &Request, named: Option<&str>) -> Result<Option<PageToken>, HttpError> {
        let spec = &self.shared.spec;
        let context = next::Context {
            request: &request.url,
            first: &spec.first_url()?,
            base: &spec.base,
            auth: &spec.auth,
            place: spec.param_place,
            page: self.ask.number,
        };
        next::token(&spec.pagination, named, &context)
    }

    /// A page whose answer does not count: the read ends there, as if the remote had said that there is no such page.
    fn ignored(&self, response: &Response) -> Fetched<D::Page> {
        let mut fetched = self.fetched(response, None, &PageFacts::default(), None);
        fetched.answer.status = NO_SUCH_PAGE;
        (fetched.answer.total, fetched.answer.total_pages) = (None, None);
        (fetched.etag, fetched.last_modified, fetched.ignored) = (None, None, true);
        fetched
    }

    /// A page that is as it was. What its headers say now is newer than what was kept of it.
    fn unchanged(&self, response: &Response, known: &KnownPage, in_header: Option<PageToken>) -> Fetched<D::Page> {
        let next = in_header.or_else(|| known.next.clone());
        self.shared.foresee(self.ask, next.as_ref());
        let facts = PageFacts {
            records: known.records,
            digest: Some(known.digest),
            ..PageFacts::default()
        };
        let mut fetched = self.fetched(response, Some(self.decode.unchanged(known)), &facts, next);
        fetched.answer.total = fetched.answer.total.or(known.total);
        fetched.answer.total_pages = fetched.answer.total_pages.or(known.total_pages);
        fetched.etag = fetched.etag.or_else(|| known.etag.clone());
        fetched.last_modified = fetched.last_modified.or_else(|| known.last_modified.clone());
        fetched
    }

    fn fetched(
        &self,
        response: &Response,
        page: Option<D::Page>,
        facts: &PageFacts,
        next: Option<PageToken>,
    ) -> Fetched<D::Page> {
        let pagination = &self.shared.spec.pagination;
        let declared = |in_body: Option<u64>, source| in_body.or_else(|| declared_in(&response.headers, source));
        let answer = Answer {
            number: self.ask.number,
            epoch: self.ask.epoch,
            status: response.status,
            records: facts.records,
            total: declared(facts.total, pagination.total()),
            total_pages: declared(facts.total_pages, pagination.total_pages()),
            next,
            digest: Some(facts.digest.unwrap_or_else(|| blake3::hash(&response.body).into())),
        };
        let validator = |name| response.headers.get(name).map(str::to_owned);
        let (etag, last_modified) = (validator("etag"), validator("last-modified"));
        Fetched {
            answer,
            page,
            bytes: response.wire_bytes,
            weight: response.body.len() as u64,
            etag,
            last_modified,
            requests: self.requests,
            ignored: false,
        }
    }
}

/// What a request was told that came too early.
#[derive(Default)]
struct Refused {
    reason: Option<String>,
    /// How long it has waited for that.
    waited: Duration,
}

/// A request that has to wait for longer than is waited out. Where the host is given up for now, its own failure says more.
fn put_off(request: &Request, hold: Hold, last: Option<Error>) -> Error {
    match last {
        Some(error) if hold.why == Why::Breaker => error,
        _ => HttpError::rate_wait(&request.remote(), hold).into(),
    }
}

fn retry_after(error: &Error) -> Option<Duration> {
    match error.cause() {
        Error::Http(HttpError::Status { retry_after, .. } | HttpError::AnswerIsError { retry_after, .. }) => {
            *retry_after
        }
        _ => None,
    }
}

/// The error that ends a read whose budget is spent: what failed last, under the same rule.
fn over_budget(error: Error, (failed, in_row): (u32, bool)) -> Error {
    let over = |last| {
        Error::Http(HttpError::TooManyFailures {
            failed,
            in_row,
            last: Box::new(last),
        })
    };
    match error {
        Error::Http(last) => over(last),
        Error::Ruled(mut ruled) => {
            ruled.error = over_budget(ruled.error, (failed, in_row));
            Error::Ruled(ruled)
        }
        other => other,
    }
}
