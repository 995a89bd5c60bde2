//! How long a file and a function may be.

use crate::source::{Source, closing_line, is_word_at, leading_name};

/// Lines of a file, tests not counted, from which on its head must give a reason in a line with `Size:`.
const FILE_NEEDS_REASON: usize = 450;
/// Lines that no file may exceed, tests not counted.
const FILE_MOST: usize = 700;
/// Lines that no function may exceed.
const FUNCTION_MOST: usize = 80;

/// Every file and every function that is too long.
pub fn violations(files: &[Source]) -> Vec<String> {
    files
        .iter()
        .flat_map(|file| file_length(file).into_iter().chain(long_functions(file)))
        .collect()
}

fn file_length(file: &Source) -> Option<String> {
    let lines = file.in_tests.iter().filter(|in_tests| !**in_tests).count();
    let mut head = file.text.lines().take_while(|line| line.starts_with("//!"));
    let has_reason = head.any(|line| line.contains("Size:"));
    match lines {
        _ if lines > FILE_MOST => Some(format!("{}: {lines} lines, at most {FILE_MOST}", file.path)),
        _ if lines > FILE_NEEDS_REASON && !has_reason => Some(format!(
            "{}: {lines} lines; over {FILE_NEEDS_REASON} the head needs a line `Size:` with the reason",
            file.path
        )),
        _ => None,
    }
}

fn long_functions(file: &Source) -> Vec<String> {
    let lines: Vec<&str> = file.code.lines().collect();
    let starts = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| function_name(line).map(|name| (at, name)));
    let lengths = starts
        .filter(|(at, _)| has_body(&lines, *at))
        .map(|(at, name)| (at, name, closing_line(&lines, at) - at + 1));
    let long = lengths.filter(|(_, _, length)| *length > FUNCTION_MOST);
    long.map(|(at, name, length)| {
        format!(
            "{}:{}: {name} has {length} lines, at most {FUNCTION_MOST}",
            file.path,
            at + 1
        )
    })
    .collect()
}

/// The name of the function that a line declares.
fn function_name(line: &str) -> Option<&str> {
    let at = line
        .match_indices("fn ")
        .map(|(at, _)| at)
        .find(|at| is_word_at(line, *at, "fn"))?;
    let name = leading_name(&line[at + 3..]);
    (!name.is_empty()).then_some(name)
}

/// Whether a declaration is followed by a body rather than by a semicolon.
fn has_body(lines: &[&str], from: usize) -> bool {
    let text = lines[from..].iter().take(20).copied().collect::<Vec<_>>().join("\n");
    let start = text.find("fn ").unwrap_or(0);
    // A semicolon inside brackets belongs to an array's type.
    let mut depth = 0;
    for c in text[start..].chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            '{' => return true,
            ';' if depth == 0 => return false,
            _ => {}
        }
    }
    false
}

#[test]
fn a_long_file_needs_a_reason_and_has_an_end() {
    let long = "fn a() {}\n".repeat(451);
    assert_eq!(violations(&[Source::new("a.rs", &long)]).len(), 1);
    assert_eq!(
        violations(&[Source::new("a.rs", &format!("//! Head.\n//! Size: one table.\n{long}"))]),
        [""; 0]
    );
    let longer = format!("//! Size: one table.\n{}", "fn a() {}\n".repeat(700));
    assert_eq!(violations(&[Source::new("a.rs", &longer)]).len(), 1);
    let tested = format!(
        "fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n",
        "fn a() {}\n".repeat(900)
    );
    assert_eq!(violations(&[Source::new("a.rs", &tested)]), [""; 0]);
}

#[test]
fn a_long_function_is_found() {
    let long = format!(
        "trait T {{\n    fn none(&self, a: [u8; 3]);\n}}\n\nfn long(\n    a: [u8; 3],\n) {{\n{}}}\n",
        "    x();\n".repeat(80)
    );
    let found = violations(&[Source::new("a.rs", &long)]);
    assert_eq!(found, ["a.rs:5: long has 84 lines, at most 80"]);
    let short = format!("fn short() {{\n{}}}\n", "    x(\"}\");\n".repeat(78));
    assert_eq!(violations(&[Source::new("a.rs", &short)]), [""; 0]);
}
