//! Looking at a remote from a session: one request, or a few, bounded by the probe time-out in all.
//!
//! The one stated exception to "no transaction while waiting for the network": the caller's own transaction is open.

use super::plan::{address_policy, check_origin};
use super::{rates, remote, secrets, tokens};
use crate::pg::{clock, settings, transaction};
use crate::store::connection::Server;
use crate::store::rate;
use sluice_core::Result;
use sluice_core::connection::ConnectionOptions;
use sluice_core::data;
use sluice_core::discover::{self, Finding, Remote, Subject};
use sluice_core::error::HttpError;
use sluice_core::error_rule::ErrorRules;
use sluice_core::foreach::{Filled, Parent};
use sluice_core::http::{Auth, Method, Response};
use sluice_core::job::JobPath;
use sluice_core::pagination::ParamPlace;
use sluice_core::rate::Asks;
use sluice_core::retry::RetryPolicy;
use sluice_core::settings::Settings;
use sluice_fetch::probe::{self, Probed};
use sluice_fetch::{Failures, Limits, ReadSpec, Timeouts, Tls};
use sluice_fetch::{Transport, UreqTransport};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is asked, of whom.
pub struct Question {
    server: Server,
    options: ConnectionOptions,
    path: String,
    settings: Settings,
    /// Whose collection is looked at, where the job has parents.
    parent: Option<Parent>,
}

impl Question {
    pub fn of(server: Server, path: &str, settings: Settings) -> Result<Question> {
        JobPath::parse(path)?;
        let options = ConnectionOptions::parse(&server.options)?;
        options.check_method(&server.name, settings.method)?;
        check_origin(&server, &options)?;
        Ok(Question {
            options,
            server,
            path: path.to_string(),
            settings,
            parent: None,
        })
    }

    /// The same below a parent.
    pub fn below(mut self, parent: Parent, filled: Filled) -> Result<Question> {
        self.parent = Some(parent);
        JobPath::parse(&filled.path)?;
        self.path = filled.path;
        (self.settings.params, self.settings.body) = (filled.params, filled.body);
        Ok(self)
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Records with their parent's values, which declared columns may take.
    pub fn with_parent<'t>(&self, records_text: &'t str) -> Result<Cow<'t, str>> {
        Ok(match self.parent.as_ref().filter(|_| self.settings.columns.is_some()) {
            Some(parent) => Cow::Owned(parent.put_into(records_text)?),
            None => Cow::Borrowed(records_text),
        })
    }
}

/// The first page of a collection.
///
/// # Errors
/// A credential that cannot be opened, what the request met, or a time-out where nothing came in `timeouts.probe`.
pub fn first_page(question: &Question) -> Result<FirstPage> {
    let spec = spec(question, credentials(question)?)?;
    let auth = spec.auth.clone();
    let transport: Arc<dyn Transport> = Arc::new(UreqTransport::new(spec.agent_settings()));
    let response = ask(question, deadline(question), &transport, move |transport| {
        probe::first_page(&spec, transport)
    })?;
    Ok(FirstPage { response, auth })
}

/// The answer to a question.
pub struct FirstPage {
    response: Response,
    auth: Auth,
}

impl FirstPage {
    /// What is made of it. Errors repeat no credentials, whatever the answer does.
    pub fn read<T>(&self, made: impl FnOnce(&Response) -> Result<T>) -> Result<T> {
        made(&self.response).map_err(|error| self.auth.redacted(error, &self.response.body))
    }
}

/// One request that a worker sends outside of a transaction.
pub struct Ready {
    spec: ReadSpec,
    limit: Duration,
    timeout: HttpError,
}

/// Makes a request of a worker ready, in transactions of its own: none is open while a token is asked for.
///
/// # Errors
/// A credential that cannot be opened, or a token that cannot be got.
pub fn ready(question: &Question) -> Result<Ready> {
    let (server, options) = (&question.server, &question.options);
    let auth = match tokens::Client::of(server, options) {
        Some(client) => tokens::get(&client, None, &remote::pause_in_worker)?.auth,
        None => transaction::run(|| secrets::auth(server, options))?,
    };
    Ok(Ready {
        spec: transaction::run(|| spec(question, (auth, secrets::tls(server, options)?)))?,
        limit: question.settings.timeouts.probe,
        timeout: HttpError::probe_timeout(&options.base_url),
    })
}

impl Ready {
    /// Sends it.
    ///
    /// # Errors
    /// What the request met, or a time-out.
    pub fn send(self) -> Result<Response> {
        let transport: Arc<dyn Transport> = Arc::new(UreqTransport::new(self.spec.agent_settings()));
        let patience = remote::Patience {
            deadline: Instant::now() + self.limit,
            timeout: self.timeout,
            pause: &remote::pause_in_worker,
        };
        let spec = self.spec;
        let asked = remote::ask(&patience, &transport, move |transport| {
            probe::first_page(&spec, transport)
        });
        rates::announce();
        asked
    }
}

/// What a collection looks like, by its first page and a few more, for a job of this name. Path and document are those
/// that the job is to have: where it has parents, the question is about the first of them.
///
/// # Errors
/// Those of [`first_page`]; what later requests meet is told as a doubt.
pub fn discover(question: &Question, (path, document): (&str, &str), name: &str) -> Result<Vec<Finding>> {
    let deadline = deadline(question);
    let spec = spec(question, credentials(question)?)?;
    let auth = spec.auth.clone();
    let transport: Arc<dyn Transport> = Arc::new(UreqTransport::new(spec.agent_settings()));
    let remote = Remote {
        first: spec.first_url()?,
        base: spec.base.clone(),
        auth: spec.auth.clone(),
        body: spec.body.clone(),
        place: match (spec.method, &spec.body) {
            (Method::Post, None) => ParamPlace::Body,
            (Method::Post, Some(body)) if body.is_object() => ParamPlace::Body,
            _ => ParamPlace::Query,
        },
    };
    let first = {
        let spec = spec.clone();
        ask(question, deadline, &transport, move |transport| {
            probe::first_page(&spec, transport)
        })?
    };
    let subject = Subject {
        remote,
        connection: &question.server.name,
        path,
        below: question.parent.as_ref().map(|parent| parent.text.as_str()),
        name,
        settings: &question.settings,
        document,
    };
    let found = discover::discover(&subject, &first, &mut |url, body| {
        let (mut spec, url) = (spec.clone(), url.clone());
        spec.body = body.cloned();
        ask(question, deadline, &transport, move |transport| {
            probe::at(&spec, url, transport)
        })
    });
    found.map_err(|error| auth.redacted(error.into(), &first.body))
}

fn deadline(question: &Question) -> Instant {
    Instant::now() + question.settings.timeouts.probe
}

/// Asks once whether the remote works, in transactions of its own: none is open while it is waited for.
///
/// # Errors
/// What the one request met, which the budget has learned.
pub fn knock(question: &Question) -> Result<()> {
    let spec = transaction::run(|| {
        let (server, options) = (&question.server, &question.options);
        // A token would have to be asked for first; that the remote wants one is an answer too.
        let auth = match options.oauth {
            Some(_) => Auth::None,
            None => secrets::auth(server, options)?,
        };
        spec(question, (auth, secrets::tls(server, options)?))
    })?;
    let transport: Arc<dyn Transport> = Arc::new(UreqTransport::new(spec.agent_settings()));
    ask(question, deadline(question), &transport, move |transport| {
        probe::first_page(&spec, transport).map(drop)
    })
}

/// Each step on the way to the remote, as far as it went, with one request. Without a credential none is sent.
pub fn steps(question: &Question) -> Result<Vec<Probed>> {
    let auth = match credentials(question) {
        Ok(auth) => auth,
        Err(error) => return Ok(probe::without_credential(&error)),
    };
    let spec = spec(question, auth)?;
    let wanted = question.settings.clone();
    let transport: Arc<dyn Transport> = Arc::new(UreqTransport::new(spec.agent_settings()));
    ask(question, deadline(question), &transport, move |transport| {
        let count =
            |response: &Response| count(response, &wanted).map_err(|error| spec.auth.redacted(error, &response.body));
        Ok(probe::steps(&spec, transport, count))
    })
}

/// How many records a response holds where the settings say.
fn count(response: &Response, settings: &Settings) -> Result<u64> {
    let body = opened(response, settings)?.without_ragged()?;
    Ok(data::infer(body.locate(&settings.records, &[])?.text, u64::MAX)?.records)
}

/// A response's body in the format that the settings, or the response itself, say.
pub fn opened<'a>(response: &'a Response, settings: &Settings) -> Result<data::Opened<'a>> {
    let content_type = response.headers.get("content-type");
    Ok(settings.formats.open(&response.body, content_type)?)
}

/// Runs `work` on a thread and waits on the latch, so that the caller can be cancelled.
fn ask<T: Send + 'static>(
    question: &Question,
    deadline: Instant,
    transport: &Arc<dyn Transport>,
    work: impl FnOnce(&dyn Transport) -> Result<T> + Send + 'static,
) -> Result<T> {
    let patience = remote::Patience {
        deadline,
        timeout: HttpError::probe_timeout(&question.options.base_url),
        pause: &remote::pause_in_session,
    };
    let asked = remote::ask(&patience, transport, work);
    rates::announce();
    asked
}

/// What proves who asks: what is sent, and what TLS shows.
fn credentials(question: &Question) -> Result<(Auth, Tls)> {
    let (server, options) = (&question.server, &question.options);
    let auth = tokens::in_session(server, options, deadline(question))?;
    Ok((auth, secrets::tls(server, options)?))
}

fn spec(question: &Question, (auth, tls): (Auth, Tls)) -> Result<ReadSpec> {
    let s = &question.settings;
    let budget = rate::budget_of(question.server.oid)?;
    // A person waits, or a breaker is probed; and no longer than the whole look may take.
    let mut pace = rates::pace(budget, rates::terms(&question.options, s), Asks::Insisting)?;
    pace.patience = s.timeouts.probe;
    Ok(ReadSpec {
        base: question.options.base_url.clone(),
        path: question.path.clone(),
        method: s.method,
        body: s.body.clone(),
        params: s.params.clone(),
        headers: s.headers.clone(),
        auth,
        pagination: s.pagination.clone(),
        param_place: s.param_place,
        page_size: s.first_size(),
        concurrency: 1,
        caller_computes: false,
        pace,
        retry: RetryPolicy {
            attempts: 1,
            ..RetryPolicy::default()
        },
        rules: ErrorRules::default(),
        failures: Failures::default(),
        timeouts: Timeouts {
            connect: s.timeouts.connect.min(s.timeouts.probe),
            request: s.timeouts.probe,
        },
        limits: Limits {
            max_body: settings::max_response_bytes(),
            max_ratio: settings::max_decompression_ratio(),
            pages: Some(1),
            ahead: 0,
        },
        policy: address_policy(&question.options),
        tls,
        start: None,
        known: HashMap::new(),
        seed: clock::random_seed(),
    })
}
