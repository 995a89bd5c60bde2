//! Column names from member names: within PostgreSQL's length, distinct, and none that the system has taken.

use super::page::content_hash;
use std::collections::{HashMap, HashSet};

/// NAMEDATALEN - 1: the bytes that a PostgreSQL name keeps.
const MAX_NAME_BYTES: usize = 63;
/// Hex digits of the hash that stands for the rest of a longer name.
const HASH_DIGITS: usize = 8;

/// The system columns of every table.
pub(crate) const SYSTEM_NAMES: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// A column name for each of the distinct member names, in their order.
pub(crate) fn column_names<'n>(members: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    // Names that collide go on numbering where the last one ended: there may be thousands of them.
    let mut numbers: HashMap<String, u64> = HashMap::new();
    members
        .map(|member| {
            let name = possible_name(member);
            let number = numbers.entry(name.clone()).or_insert(1);
            let name = numbered(name, number, |name| taken.contains(name));
            taken.insert(name.clone());
            name
        })
        .collect()
}

/// The name of a column for a member: the member's own, as it is written, where that is possible and free. A name that
/// is too long ends in a hash of the whole, so that it depends on no other member. A name that is taken, or that the
/// system has, gets `_1`, `_2` and so on.
pub fn column_name(member: &str, is_taken: impl Fn(&str) -> bool) -> String {
    numbered(possible_name(member), &mut 1, is_taken)
}

/// The name where it is free, else with the first number from `next` on with which it is.
fn numbered(name: String, next: &mut u64, is_taken: impl Fn(&str) -> bool) -> String {
    let is_free = |name: &str| !SYSTEM_NAMES.contains(&name) && !is_taken(name);
    if is_free(&name) {
        return name;
    }
    loop {
        let other = with_suffix(&name, &format!("_{next}"));
        *next += 1;
        if is_free(&other) {
            return other;
        }
    }
}

/// PostgreSQL has neither empty names nor names with U+0000, nor longer ones; other control characters only mislead.
fn possible_name(member: &str) -> String {
    if member.is_empty() {
        return "_".into();
    }
    let name = member.replace(|c: char| c.is_control(), "_");
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    let hash = content_hash(member.as_bytes());
    with_suffix(&name, &format!("_{}", &hash[..HASH_DIGITS]))
}

fn with_suffix(name: &str, suffix: &str) -> String {
    let end = name.floor_char_boundary(MAX_NAME_BYTES - suffix.len());
    format!("{}{suffix}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_name_is_the_same_whatever_other_members_there_are() {
        let (one, two) = ("x".repeat(62) + "first", "x".repeat(62) + "second");
        let both = column_names([one.as_str(), &two].into_iter());
        let turned = column_names([two.as_str(), &one].into_iter());
        assert_eq!(both, [turned[1].as_str(), &turned[0]]);
        assert_ne!(both[0], both[1]);
        assert_eq!(column_name(&one, |_| false), both[0]);
    }

    #[test]
    fn names_that_differ_in_case_are_different_and_system_names_are_not_given() {
        let names = column_names(["Id", "id", "ID", "ctid", "XMIN", "xmin", "", "a\0b", "a\tb"].into_iter());
        assert_eq!(
            names,
            ["Id", "id", "ID", "ctid_1", "XMIN", "xmin_1", "_", "a_b", "a_b_1"]
        );
    }

    proptest! {
        #[test]
        fn any_members_get_distinct_names_that_postgresql_keeps(members in prop::collection::hash_set("\\PC{0,200}", 0..40)) {
            let names = column_names(members.iter().map(String::as_str));
            let distinct: HashSet<&String> = names.iter().collect();
            prop_assert_eq!(distinct.len(), members.len());
            prop_assert!(names.iter().all(|name| !name.is_empty() && name.len() <= 63 && !name.contains('\0')));
        }
    }
}
