//! What tells the records apart: a member, or two.

use super::Subject;
use super::columns::{self, ProposedColumn, Shape};
use super::composite::{self, Pair};
use crate::data::DataError;

/// What tells the records apart.
pub(super) enum Key<'a> {
    One(&'a ProposedColumn),
    Two(Pair<'a>),
}

impl<'a> Key<'a> {
    pub fn find(sample: &[&str], shape: &'a Shape) -> Result<Option<Key<'a>>, DataError> {
        Ok(match columns::likeliest_key(&columns::unique(sample)?, shape) {
            Some(one) => Some(Key::One(one)),
            None => composite::likeliest_pair(sample, shape)?.map(Key::Two),
        })
    }

    fn members(&self) -> &[&'a ProposedColumn] {
        match self {
            Key::One(one) => std::slice::from_ref(one),
            Key::Two(pair) => &pair.columns,
        }
    }

    /// The columns that the members go into; None where the columns that were given leave one out.
    pub fn columns(&self, subject: &Subject<'a>) -> Option<Vec<&'a str>> {
        self.members().iter().map(|member| column_of(subject, member)).collect()
    }

    pub fn evidence(&self, records: u64) -> String {
        match self {
            Key::One(key) => format!("{}: {records} of {records} distinct", key.column.name),
            Key::Two(Pair {
                columns: [one, other],
                distinct,
            }) => format!(
                "{0} and {1} together: {records} of {records} distinct. Alone {0} has {2}, and {1} {3}.",
                one.column.name, other.column.name, distinct[0], distinct[1]
            ),
        }
    }
}

/// The column that a member goes into; None where the columns that were given leave it out.
fn column_of<'a>(subject: &Subject<'a>, proposed: &'a ProposedColumn) -> Option<&'a str> {
    let Some(columns) = &subject.settings.columns else {
        return Some(&proposed.column.name);
    };
    let given = columns.iter().find(|column| column.query == proposed.column.query);
    given.map(|column| column.name.as_str())
}
