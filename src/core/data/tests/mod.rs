//! The data path from outside: each file one property or one kind of input.

mod documents;
mod fields;
mod golden;
mod hostile;
mod infer;
mod numeric;
mod paths;
mod rejects;
mod rows;
mod store;
mod time;

use super::{Column, ColumnType, Mapping, SingularQuery};

/// A column filled from the member of its own name.
fn column(name: &str, ty: ColumnType) -> Column {
    Column {
        name: name.into(),
        query: SingularQuery::member(name),
        ty,
        default: None,
    }
}

/// Columns filled from members of the same names; `key` are positions.
fn mapping(columns: &[(&str, ColumnType)], key: &[usize]) -> Mapping {
    let columns = columns.iter().map(|(name, ty)| column(name, *ty)).collect();
    Mapping::new(SingularQuery::root(), columns, key.to_vec(), "target 1")
}

fn query(text: &str) -> SingularQuery {
    SingularQuery::parse(text).unwrap()
}
