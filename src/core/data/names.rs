//! Column names from member names: within PostgreSQL's length, distinct, and none that the system has taken.

use std::collections::HashSet;

/// NAMEDATALEN - 1: the bytes that a PostgreSQL name keeps.
const MAX_NAME_BYTES: usize = 63;

/// The system columns of every table.
const SYSTEM_NAMES: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// A column name for each of the distinct member names, in their order. A name that is taken gets `_1`, `_2` and so on.
pub(crate) fn column_names<'n>(members: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut taken: HashSet<String> = SYSTEM_NAMES.map(String::from).into();
    members
        .map(|member| {
            let name = first_free(&possible_name(member), &taken);
            taken.insert(name.clone());
            name
        })
        .collect()
}

/// PostgreSQL has neither empty names nor names with U+0000, and other control characters are no name to work with: the
/// setting `columns` does not take them either.
fn possible_name(member: &str) -> String {
    if member.is_empty() {
        "_".into()
    } else {
        member.replace(char::is_control, "_")
    }
}

fn first_free(name: &str, taken: &HashSet<String>) -> String {
    let numbered = (1u64..).map(|number| with_suffix(name, &format!("_{number}")));
    let mut choices = std::iter::once(with_suffix(name, "")).chain(numbered);
    choices
        .find(|choice| !taken.contains(choice))
        .expect("there are more numbers than names")
}

fn with_suffix(name: &str, suffix: &str) -> String {
    let end = name.floor_char_boundary(MAX_NAME_BYTES - suffix.len());
    format!("{}{suffix}", &name[..end])
}
