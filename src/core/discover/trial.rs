//! Finding which of several parameters a remote obeys, with few requests.

use super::answer::{Beside, Page};
use super::prober::{Outcome, Prober};
use serde_json::Value;

/// A parameter that may bring another page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    pub kind: Kind,
    pub param: String,
    pub value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Page,
    Offset,
    Keyset,
    Token,
    Size,
    Since,
}

impl Trial {
    pub fn new(kind: Kind, param: &str, value: impl Into<Value>) -> Trial {
        Trial {
            kind,
            param: param.to_owned(),
            value: value.into(),
        }
    }

    pub fn pair(&self) -> (&str, Value) {
        (&self.param, self.value.clone())
    }

    /// `page=2`
    pub fn shown(&self) -> String {
        let value = self
            .value
            .as_str()
            .map_or_else(|| self.value.to_string(), str::to_owned);
        format!("{}={value}", self.param)
    }
}

/// What was tried.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// Parameters that changed nothing.
    pub ignored: Vec<String>,
    /// The remote takes an unknown parameter for a filter: it then has no records.
    pub filters: bool,
    pub refused: Vec<String>,
}

impl Tried {
    pub fn shown(&self) -> String {
        let ignored = match self.ignored.as_slice() {
            [] => String::new(),
            params => format!("Without effect: {}. ", params.join(", ")),
        };
        let refused = match self.refused.as_slice() {
            [] => String::new(),
            params => format!("Refused: {}. ", params.join(", ")),
        };
        format!("{ignored}{refused}").trim_end().to_owned()
    }
}

/// Tries the first `singly` parameters one by one and the others together; where they are obeyed together, halves
/// them until one is left.
pub(super) fn obeyed(
    prober: &mut Prober,
    trials: &[Trial],
    singly: usize,
    takes: &dyn Fn(&Page) -> bool,
    tried: &mut Tried,
) -> Option<(Trial, Page)> {
    let (single, rest) = trials.split_at(singly.min(trials.len()));
    for trial in single {
        if let Some(page) = together(prober, std::slice::from_ref(trial), takes, tried) {
            return Some((trial.clone(), page));
        }
    }
    if rest.is_empty() || tried.filters {
        return None;
    }
    let mut page = together(prober, rest, takes, tried)?;
    let mut left = rest;
    while left.len() > 1 {
        let (first, second) = left.split_at(left.len().div_ceil(2));
        let mut unsaid = Tried::default();
        left = match together(prober, first, takes, &mut unsaid) {
            Some(found) => {
                page = found;
                first
            }
            None if prober.stopped.is_some() => return None,
            None => second,
        };
    }
    tried.ignored.retain(|param| *param != left[0].param);
    Some((left[0].clone(), page))
}

fn together(prober: &mut Prober, trials: &[Trial], takes: &dyn Fn(&Page) -> bool, tried: &mut Tried) -> Option<Page> {
    let params: Vec<(&str, Value)> = trials.iter().map(Trial::pair).collect();
    let names = trials.iter().map(|trial| trial.param.clone());
    match prober.with(&params) {
        Outcome::Page(page) if takes(&page) => return Some(*page),
        Outcome::Page(_) => tried.ignored.extend(names),
        Outcome::Refused => tried.refused.extend(names),
        Outcome::Untold => {}
    }
    None
}

/// Tries one parameter whose first value means the first page. Without records it may be past the end, or be a filter:
/// then the first value shows which.
pub(super) fn numbered(
    prober: &mut Prober,
    first: &Page,
    trial: &Trial,
    begin: u64,
    tried: &mut Tried,
) -> Option<Page> {
    let Outcome::Page(page) = prober.with(&[trial.pair()]) else {
        if prober.stopped.is_none() {
            tried.refused.push(trial.param.clone());
        }
        return None;
    };
    match page.beside(first) {
        Beside::Others => return Some(*page),
        Beside::Empty => {
            let back = prober.with(&[(&trial.param, begin.into())]).page()?;
            if back.beside(first) == Beside::Same {
                return Some(*page);
            }
            tried.filters = true;
        }
        Beside::Same | Beside::Some => {}
    }
    tried.ignored.push(trial.param.clone());
    None
}
