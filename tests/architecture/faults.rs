//! Every fault of the matrix in RELIABILITY (network, remote data, credentials), and every rule of its security that a test
//! can show, is named by a test that covers it.

use crate::source::Source;

/// Installation and surface, who the worker is, outbound requests, secrets, OAuth 2, roles and audit; dump, restore, copies,
/// upgrades and standbys. S-27 and S-43 are pages of the documentation.
const RULES: [&str; 51] = [
    "S-1", "S-2", "S-3", "S-4", "S-5", "S-6", "S-7", "S-10", "S-11", "S-12", "S-13", "S-14", "S-15", "S-16", "S-20",
    "S-21", "S-22", "S-23", "S-24", "S-25", "S-26", "S-30", "S-31", "S-32", "S-33", "S-34", "S-35", "S-36", "S-37",
    "S-38", "S-40", "S-41", "S-42", "S-44", "S-45", "S-46", "S-47", "S-50", "S-51", "S-52", "O-30", "O-31", "O-32",
    "O-34", "O-35", "F-D8", "F-O13", "F-O14", "F-O16", "F-P2", "F-P3",
];

/// The rows that no comment of a test names.
pub fn violations(files: &[Source]) -> Vec<String> {
    let rows = (1..=18)
        .map(|n| format!("F-N{n}"))
        .chain((1..=25).map(|n| format!("F-R{n}")))
        .chain((1..=6).map(|n| format!("F-A{n}")));
    let rows = rows.chain(RULES.iter().map(|row| (*row).to_string()));
    let told = rows.filter_map(|row| {
        let is_named = files.iter().any(|file| names(&file.text, &row));
        (!is_named).then(|| format!("{row} is named by no test"))
    });
    told.collect()
}

/// Whether a line of comment names the row, and not only one whose number begins alike.
fn names(text: &str, row: &str) -> bool {
    let comments = text.lines().filter_map(|line| line.trim_start().strip_prefix("//"));
    comments.into_iter().any(|line| {
        line.match_indices(row)
            .any(|(at, _)| !line[at + row.len()..].starts_with(|c: char| c.is_ascii_digit()))
    })
}

#[test]
fn a_row_is_named_by_a_comment_only_and_by_its_whole_number() {
    assert!(names("    /// F-R1: a page.\n", "F-R1"));
    assert!(!names("/// F-R12.\nlet a = \"F-R1\";", "F-R1"));
    assert_eq!(violations(&[]).len(), 100);
}
