//! Rules that people give for errors: what an answer or an SQLSTATE means for a job, where the defaults do not fit its API.
//!
//! A rule looks at structure only: a status, a header, the body as JSON, an SQLSTATE. The first one that holds, by its
//! priority, decides the class and what is done; without one the defaults of [`crate::http`] and [`crate::error`] do.
//! A rule can make a failure of an answer with status 200, and can never make a row disappear: what it ignores leaves a gap.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::class::Class;
use crate::data::DeletedWhen;
use crate::error::Error;
use crate::http::Response;

/// Longest body that a rule looks into: it becomes a tree of values.
pub const LONGEST_BODY: usize = 4 * 1024 * 1024;

/// What is done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The request is sent again in this run, then the retry queue.
    Retry,
    /// The run ends and is queued.
    RetryLater,
    /// The run ends, and a person must act.
    Fail,
    /// The answer counts as a page without records, and the read as one that shows nothing to be gone.
    Ignore,
    /// The credential is renewed where it can be, and the read goes on; else a person must act.
    RefreshTokenThenRetry,
    /// The read begins again at its first page.
    RestartRead,
    /// The run ends, and every job of the connection waits.
    PauseConnection,
}

impl Action {
    pub const ALL: [Action; 7] = [
        Action::Retry,
        Action::RetryLater,
        Action::Fail,
        Action::Ignore,
        Action::RefreshTokenThenRetry,
        Action::RestartRead,
        Action::PauseConnection,
    ];

    /// The word used in tables, views and docs.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Retry => "retry",
            Action::RetryLater => "retry_later",
            Action::Fail => "fail",
            Action::Ignore => "ignore",
            Action::RefreshTokenThenRetry => "refresh_token_then_retry",
            Action::RestartRead => "restart_read",
            Action::PauseConnection => "pause_connection",
        }
    }

    pub fn parse(word: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.as_str() == word)
    }

    /// Whether the retry queue takes a run that ended so.
    pub fn is_queued(self) -> bool {
        matches!(self, Action::Retry | Action::RetryLater | Action::RestartRead)
    }
}

/// The classes that a rule can give: those of failures of a remote or of the database.
pub const CLASSES: [Class; 10] = [
    Class::Network,
    Class::Timeout,
    Class::RateLimit,
    Class::Server,
    Class::Auth,
    Class::Config,
    Class::Data,
    Class::Schema,
    Class::Database,
    Class::Resource,
];

/// What a rule looks for; everything that is given must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pattern {
    /// Any of these.
    pub status: Vec<RangeInclusive<u16>>,
    pub header: Option<HeaderPattern>,
    pub body: Option<BodyPattern>,
    /// Whole SQLSTATEs, or the two characters of a class of them.
    pub sqlstate: Vec<String>,
}

/// A header that is there, with this value where one is given (any case).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPattern {
    pub name: String,
    pub value: Option<String>,
}

/// An expression about the body's document.
#[derive(Debug, Clone, PartialEq)]
pub struct BodyPattern {
    text: String,
    expression: DeletedWhen,
}

impl BodyPattern {
    /// `$.error`, `$.error.code == 'quota' && $.done != true`; `@` means the document, too. None for anything else.
    pub fn parse(text: &str) -> Option<BodyPattern> {
        let expression = DeletedWhen::parse(&root_as_current(text))?;
        Some(BodyPattern {
            text: text.to_owned(),
            expression,
        })
    }

    fn holds(&self, body: &[u8]) -> bool {
        let is_small = body.len() <= LONGEST_BODY;
        is_small && std::str::from_utf8(body).is_ok_and(|text| self.expression.holds(text))
    }
}

/// The expression with its document in the place of a record: `$` outside of quotes is `@`.
fn root_as_current(text: &str) -> String {
    let (mut quote, mut escaped) = (None, false);
    let each = text.chars().map(|character| match (quote, character) {
        _ if escaped => {
            escaped = false;
            character
        }
        (Some(_), '\\') => {
            escaped = true;
            character
        }
        (None, '\'' | '"') => {
            quote = Some(character);
            character
        }
        (Some(open), close) if open == close => {
            quote = None;
            character
        }
        (None, '$') => '@',
        _ => character,
    });
    each.collect()
}

impl Pattern {
    fn holds(&self, answer: Option<&Response>, sqlstate: Option<&str>) -> bool {
        if !self.sqlstate.is_empty() {
            let starts = |given: &String| sqlstate.is_some_and(|state| state.starts_with(given.as_str()));
            return self.sqlstate.iter().any(starts);
        }
        let Some(answer) = answer else { return false };
        let status = self.status.is_empty() || self.status.iter().any(|range| range.contains(&answer.status));
        status
            && self.header.as_ref().is_none_or(|header| header.holds(answer))
            && self.body.as_ref().is_none_or(|body| body.holds(&answer.body))
    }
}

impl HeaderPattern {
    fn holds(&self, answer: &Response) -> bool {
        let mut values = answer.headers.get_all(&self.name);
        match &self.value {
            None => values.next().is_some(),
            Some(wanted) => values.any(|value| value.trim().eq_ignore_ascii_case(wanted)),
        }
    }
}

/// `status 500-599, header x-error: quota, body $.error`
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |range: &RangeInclusive<u16>| match range.start() == range.end() {
            true => range.start().to_string(),
            false => format!("{}-{}", range.start(), range.end()),
        };
        let mut parts = Vec::new();
        if !self.status.is_empty() {
            let all: Vec<String> = self.status.iter().map(range).collect();
            parts.push(format!("status {}", all.join(" or ")));
        }
        if let Some(header) = &self.header {
            parts.push(match &header.value {
                Some(value) => format!("header {}: {value}", header.name),
                None => format!("header {}", header.name),
            });
        }
        if let Some(body) = &self.body {
            parts.push(format!("body {}", body.text));
        }
        if !self.sqlstate.is_empty() {
            parts.push(format!("SQLSTATE {}", self.sqlstate.join(" or ")));
        }
        f.write_str(&parts.join(", "))
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorRule {
    pub id: i64,
    pub name: String,
    pub pattern: Pattern,
    /// None: the class that the failure has without the rule.
    pub class: Option<Class>,
    pub action: Action,
    /// For people, in the place of ours.
    pub hint: Option<String>,
    /// For `pause_connection`; None: until a person resumes it.
    pub pause_for: Option<Duration>,
}

/// What a rule has decided about one failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    pub rule: i64,
    pub name: String,
    /// What it looked for.
    pub matched: String,
    pub class: Class,
    pub action: Action,
    pub hint: Option<String>,
    pub pause_for: Option<Duration>,
}

/// A failure that a rule has decided about.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruled {
    pub error: Error,
    pub ruling: Ruling,
}

/// The rules of one job, in the order in which they are asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorRules(Vec<ErrorRule>);

impl ErrorRules {
    pub fn new(rules: Vec<ErrorRule>) -> ErrorRules {
        ErrorRules(rules)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some rule looks at answers.
    pub fn look_at_answers(&self) -> bool {
        self.0.iter().any(|rule| rule.pattern.sqlstate.is_empty())
    }

    /// What the first rule says that holds for an answer that is good by itself, and is none by this rule.
    pub fn of_good_answer(&self, answer: &Response, error: impl FnOnce() -> Error) -> Option<Error> {
        let rule = self.0.iter().find(|rule| rule.pattern.holds(Some(answer), None))?;
        Some(rule.applied_to(error()))
    }

    /// The failure as the first rule that holds for it has it; as it is where none does, or one has decided already.
    pub fn of_failure(&self, error: Error, answer: Option<&Response>) -> Error {
        if self.is_empty() || error.ruling().is_some() || error.class() == Class::Cancelled {
            return error;
        }
        let rule = self
            .0
            .iter()
            .find(|rule| rule.pattern.holds(answer, Some(error.sqlstate())));
        match rule {
            Some(rule) => rule.applied_to(error),
            None => error,
        }
    }
}

impl ErrorRule {
    fn applied_to(&self, error: Error) -> Error {
        let ruling = Ruling {
            rule: self.id,
            name: self.name.clone(),
            matched: self.pattern.to_string(),
            class: self.class.unwrap_or(match self.action {
                Action::RefreshTokenThenRetry => Class::Auth,
                _ => error.class(),
            }),
            action: self.action,
            hint: self.hint.clone(),
            pause_for: self.pause_for,
        };
        Error::Ruled(Box::new(Ruled { error, ruling }))
    }
}

impl fmt::Display for Ruled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Ruled {}

#[cfg(test)]
mod tests;
