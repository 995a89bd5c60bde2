//! The token of a run: got before its first request, renewed before it expires, and once where the API refuses it.

use super::{Client, Token, get, outcome};
use crate::pg::shmem;
use crate::pg::{clock, transaction};
use crate::pipeline::Work;
use crate::pipeline::plan::Plan;
use crate::pipeline::remote::pause_in_worker;
use crate::pipeline::secrets;
use crate::store::oauth;
use sluice_core::call::CallError;
use sluice_core::error::HttpError;
use sluice_core::error_rule::Action;
use sluice_core::oauth::Grant as Kind;
use sluice_core::{Error, Result};
use std::time::Duration;

/// What a run knows of its token; nothing where the connection gets none.
pub struct Access {
    token: Option<Token>,
    /// The page at which the API refused the token last: only what it has given since shows that the new one works.
    refused_at: Option<i64>,
}

impl Access {
    /// Gets the token, and puts it into the plan.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open(work: &Work, plan: &mut Plan) -> Result<Access> {
        let mut access = Access {
            token: None,
            refused_at: None,
        };
        access.take(work, plan, None)?;
        Ok(access)
    }

    fn take(&mut self, work: &Work, plan: &mut Plan, refused: Option<i32>) -> Result<()> {
        let Some(client) = Client::of(&plan.server, &plan.options) else {
            return Ok(());
        };
        let pause = |limit: Duration| match shmem::stop_asked(work.slot) {
            true => Err(CallError::Stopped.into()),
            false => pause_in_worker(limit),
        };
        let token = get(&client, refused, &pause)?;
        plan.auth = token.auth.clone();
        plan.renew_at = token.renew_at;
        self.token = Some(token);
        Ok(())
    }

    /// Another token, before the present one expires.
    ///
    /// # Errors
    /// Why there is none.
    pub fn renew_early(&mut self, work: &Work, plan: &mut Plan) -> Result<()> {
        self.take(work, plan, None)
    }

    /// Another token, where it was the token that ended a read at `page`; the read's own error otherwise.
    ///
    /// # Errors
    /// `error`, where no other token helps; or why there is none.
    pub fn renew_after(&mut self, work: &Work, plan: &mut Plan, page: i64, error: Error) -> Result<()> {
        let was_refused = match error.ruling() {
            Some(ruling) => ruling.action == Action::RefreshTokenThenRetry,
            None => matches!(&error, Error::Http(HttpError::Status { status: 401, .. })),
        };
        if !was_refused {
            return Err(error);
        }
        let Some(token) = &self.token else {
            return self.read_again(plan, page, error);
        };
        if self.refused_at == Some(page) {
            return Err(self.give_up(plan, error));
        }
        let version = token.version;
        self.refused_at = Some(page);
        self.take(work, plan, Some(version))
    }

    /// Without tokens: a secret that was set anew since the run began, where a rule asks for it.
    fn read_again(&mut self, plan: &mut Plan, page: i64, error: Error) -> Result<()> {
        if self.refused_at == Some(page) || error.ruling().is_none() {
            return Err(error);
        }
        let now = transaction::run(|| secrets::renewed(&plan.server, &plan.options, &plan.auth))?;
        plan.auth = now.ok_or(error)?;
        self.refused_at = Some(page);
        Ok(())
    }

    /// The API takes not even a new token: a person has to look, and the jobs wait until then.
    fn give_up(&self, plan: &Plan, error: Error) -> Error {
        let client = Client::of(&plan.server, &plan.options);
        let with_consent = client.filter(|client| client.oauth.grant != Kind::ClientCredentials);
        let (Some(client), Some(token)) = (with_consent, &self.token) else {
            return error;
        };
        let refused = client.not_connected(&format!("A new token did not help: {error}."));
        let noted = transaction::run(|| match oauth::by_id(token.grant, clock::now())? {
            Some(grant) if grant.version == token.version => outcome::refused(&grant, &refused),
            _ => Ok(()),
        });
        noted.err().unwrap_or(refused)
    }

    /// The API has taken the token: the refresh token that came with it is good, and the one before is not needed.
    ///
    /// # Errors
    /// What could not be written.
    pub fn has_worked(&self) -> Result<()> {
        match &self.token {
            Some(token) if token.is_unproven => transaction::run(|| oauth::forget_previous(token.grant, token.version)),
            _ => Ok(()),
        }
    }
}
