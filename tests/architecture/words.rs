//! Words that may stand in few places or in none.

use crate::source::{Source, has_word};

/// How far above an unsafe block its reason may begin.
const REASON_WITHIN: usize = 6;

/// `unsafe` outside of src/pg, and unsafe code without its reason.
pub fn unsafe_code(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let lines: Vec<&str> = file.text.lines().collect();
        // An exported symbol is no unsafe code: a background worker's entry point is found by its name.
        let is_unsafe = |line: &str| has_word(&line.replace("#[unsafe(no_mangle)]", ""), "unsafe");
        for (number, line) in file.code_lines().filter(|(_, line)| is_unsafe(line)) {
            if !file.path.starts_with("src/pg/") {
                found.push(format!("{}:{number}: unsafe outside of src/pg", file.path));
            } else if !has_reason(&lines, number, line) {
                found.push(format!("{}:{number}: unsafe without `// SAFETY:` above it", file.path));
            }
        }
    }
    found
}

/// Blocks and implementations need `SAFETY:` above or beside them, public functions a section `# Safety`; what a private
/// function does is told at its blocks, and a type needs nothing.
fn has_reason(lines: &[&str], number: usize, code: &str) -> bool {
    let above = |count: usize| &lines[number.saturating_sub(count + 1)..number];
    if code.contains("unsafe {") || code.contains("unsafe impl") || code.trim_end().ends_with("unsafe") {
        return above(REASON_WITHIN).iter().any(|line| line.contains("SAFETY:"));
    }
    if code.contains("pub") && code.contains("unsafe fn ") {
        return above(3 * REASON_WITHIN)
            .iter()
            .any(|line| line.contains("# Safety") || line.contains("SAFETY:"));
    }
    true
}

/// Marks of unfinished work.
pub fn unfinished(files: &[Source]) -> Vec<String> {
    // Spelled in halves, so that this file does not find itself.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let calls = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("db", "g!("),
    ];
    let mut found = Vec::new();
    for file in files {
        for (at, line) in file.text.lines().enumerate() {
            let marked = words
                .iter()
                .find(|word| has_word(line, word))
                .or_else(|| calls.iter().find(|call| line.contains(*call)));
            if let Some(mark) = marked {
                found.push(format!("{}:{}: {mark}", file.path, at + 1));
            }
        }
    }
    found
}

/// `unwrap()`, and `expect` without a reason, outside of tests.
pub fn unwraps(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !is_test_file(&file.path)) {
        let texts: Vec<&str> = file.uncommented.lines().collect();
        for (number, line) in file.code_lines() {
            if line.contains(".unwrap()") || texts[number - 1].contains(".expect(\"\")") {
                found.push(format!("{}:{number}: a panic without a reason", file.path));
            }
        }
    }
    found
}

fn is_test_file(path: &str) -> bool {
    path.split('/')
        .any(|part| part == "tests" || part == "examples" || part == "tests.rs")
}

#[test]
fn unsafe_code_is_found_outside_of_pg_and_without_a_reason() {
    let bad = [
        Source::new("src/store/run.rs", "// SAFETY: no.\nfn f() { unsafe { g() } }"),
        Source::new("src/pg/spi.rs", "fn f() {\n    unsafe { g() }\n}"),
        Source::new("src/pg/spi.rs", "unsafe impl Send for X {}"),
        Source::new("src/pg/spi.rs", "/// Reads.\npub unsafe fn f() {}"),
    ];
    assert_eq!(unsafe_code(&bad).len(), 4);
    let good = [
        Source::new(
            "src/pg/spi.rs",
            "fn f() {\n    // SAFETY: the pointer is ours\n    // alone.\n    unsafe { g() }\n}",
        ),
        Source::new(
            "src/pg/spi.rs",
            "/// # Safety\n/// The caller holds the lock.\npub unsafe fn f() {}",
        ),
        Source::new(
            "src/pg/copy.rs",
            "type Callback = Option<unsafe extern \"C-unwind\" fn() -> i32>;",
        ),
        Source::new("src/pg/hooks.rs", "unsafe fn f() {}"),
        Source::new("src/worker/sync.rs", "#[unsafe(no_mangle)]\npub fn main() {}"),
        Source::new("src/store/run.rs", "// unsafe\nconst A: &str = \"unsafe\";"),
    ];
    assert_eq!(unsafe_code(&good), [""; 0]);
}

#[test]
fn unfinished_work_is_found() {
    let marks = [
        concat!("// TO", "DO: later"),
        concat!("fn f() { to", "do!() }"),
        concat!("db", "g!(x);"),
    ];
    for mark in marks {
        assert_eq!(unfinished(&[Source::new("src/a.rs", mark)]).len(), 1, "{mark}");
    }
}

#[test]
fn a_panic_without_a_reason_is_found() {
    let bad = "fn f() { a().unwrap(); }\nfn g() { a().expect(\"\"); }";
    assert_eq!(unwraps(&[Source::new("src/a.rs", bad)]).len(), 2);
    let good = "// a.unwrap()\nfn f() { a().expect(\"it was checked above\"); b().unwrap_or(1); }";
    assert_eq!(unwraps(&[Source::new("src/a.rs", good)]), [""; 0]);
}
