//! A source file, read so that rules can be checked by plain search: comments and strings are told apart from code.

use std::path::{Path, PathBuf};

/// A file of the tree.
pub struct Source {
    /// From the repository's root, with `/`.
    pub path: String,
    pub text: String,
    /// The text with every comment, string and character literal blanked; the lines stay where they are.
    pub code: String,
    /// The text with every comment blanked, and strings kept.
    pub uncommented: String,
    /// For each line, whether it belongs to a `#[cfg(test)]` module.
    pub in_tests: Vec<bool>,
}

impl Source {
    /// A file as it would be with this text.
    pub fn new(path: &str, text: &str) -> Source {
        let (code, uncommented) = blank(text);
        let in_tests = test_lines(&code);
        Source {
            path: path.to_string(),
            text: text.to_string(),
            code,
            uncommented,
            in_tests,
        }
    }

    /// A file of the repository.
    pub fn read(path: &str) -> Source {
        let full = root().join(path);
        let text = std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
        Source::new(path, &text)
    }

    /// The code's lines outside of tests, with their numbers from 1.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.lines().enumerate();
        lines
            .filter(|(at, _)| !self.in_tests[*at])
            .map(|(at, line)| (at + 1, line))
    }
}

/// The repository's root: the folder of the control file.
fn root() -> PathBuf {
    let start = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = start
        .ancestors()
        .find(|folder| folder.join("pg_sluice.control").exists());
    found.expect("this crate lies in the repository").to_path_buf()
}

/// The Rust files below a folder, in order; none where there is no such folder.
pub fn rust_files(folder: &str) -> Vec<Source> {
    files(folder, "rs")
}

/// The SQL files below a folder, in order.
pub fn sql_files(folder: &str) -> Vec<Source> {
    files(folder, "sql")
}

/// What the golden tests expect, file by file.
pub fn golden_files(folder: &str) -> Vec<Source> {
    files(folder, "out")
}

/// The pages of a folder of documentation.
pub fn pages(folder: &str) -> Vec<Source> {
    files(folder, "md")
}

fn files(folder: &str, extension: &str) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(
                    path.strip_prefix(&root)
                        .expect("it lies below the root")
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }
    found.sort();
    let mut sources: Vec<Source> = found.iter().map(|path| Source::read(path)).collect();
    mark_test_files(&mut sources);
    sources
}

/// A file that is declared as `#[cfg(test)] mod name;` is a test in all its lines.
fn mark_test_files(sources: &mut [Source]) {
    let declared: Vec<String> = sources.iter().flat_map(test_modules).collect();
    for source in sources.iter_mut().filter(|source| declared.contains(&source.path)) {
        source.in_tests.fill(true);
    }
}

/// The paths that a file's declared test modules may have.
fn test_modules(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.code.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    let names = declared.filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'));
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let own = source.path.trim_end_matches(".rs");
    names
        .flat_map(|name| [format!("{folder}/{name}.rs"), format!("{own}/{name}.rs")])
        .collect()
}

/// Whether `word` stands at `at` as a whole word.
pub fn is_word_at(text: &str, at: usize, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let before = text[..at].chars().next_back().is_some_and(is_part);
    let after = text[at + word.len()..].chars().next().is_some_and(is_part);
    !before && !after
}

/// Whether a text has a word, as a whole word.
pub fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| is_word_at(text, at, word))
}

/// The name that a text begins with.
pub fn leading_name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Rust text without (comments and literals, comments only).
fn blank(text: &str) -> (String, String) {
    let (mut code, mut uncommented) = (String::new(), String::new());
    let mut rest = text;
    while !rest.is_empty() {
        let (length, is_comment, is_literal) = token(rest, code.chars().next_back());
        let (taken, left) = rest.split_at(length);
        push(&mut code, taken, is_comment || is_literal);
        push(&mut uncommented, taken, is_comment);
        rest = left;
    }
    (code, uncommented)
}

fn push(out: &mut String, taken: &str, blanked: bool) {
    if blanked {
        out.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
    } else {
        out.push_str(taken);
    }
}

/// The length in bytes of what the text begins with, and whether that is a comment or a literal.
fn token(text: &str, before: Option<char>) -> (usize, bool, bool) {
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let first = text.chars().next().map_or(1, char::len_utf8);
    if text.starts_with("//") {
        return (text.find('\n').unwrap_or(text.len()), true, false);
    }
    if text.starts_with("/*") {
        return (text.find("*/").map_or(text.len(), |at| at + 2), true, false);
    }
    if text.starts_with('"') {
        return (string_length(text), false, true);
    }
    if !in_name && let Some(length) = raw_string_length(text) {
        return (length, false, true);
    }
    if !in_name && let Some(length) = char_length(text) {
        return (length, false, true);
    }
    (first, false, false)
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string_length(text: &str) -> Option<usize> {
    let start = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = start.len() - start.trim_start_matches('#').len();
    let body = start[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |at| at + close.len());
    Some(text.len() - body.len() + end)
}

/// A character literal; not a lifetime.
fn char_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    if body.starts_with('\\') {
        return body[2..].find('\'').map(|at| at + 4);
    }
    let first = body.chars().next()?;
    body[first.len_utf8()..]
        .starts_with('\'')
        .then_some(first.len_utf8() + 2)
}

/// The line of the brace that closes the first one at or after a line; the last line where none does.
pub fn closing_line(lines: &[&str], from: usize) -> usize {
    let mut depth = 0;
    for (at, line) in lines.iter().enumerate().skip(from) {
        for c in line.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => continue,
            }
            if depth == 0 {
                return at;
            }
        }
    }
    lines.len() - 1
}

fn test_lines(code: &str) -> Vec<bool> {
    let lines: Vec<&str> = code.lines().collect();
    let mut in_tests = vec![false; lines.len()];
    for start in 0..lines.len() {
        if !lines[start].trim_start().starts_with("#[cfg(test)]") {
            continue;
        }
        let is_module = lines
            .iter()
            .skip(start)
            .take(3)
            .any(|line| has_word(line, "mod") && line.contains('{'));
        if is_module {
            in_tests[start..=closing_line(&lines, start)].fill(true);
        }
    }
    in_tests
}

#[test]
fn comments_and_literals_are_not_code() {
    let text =
        "let a = \"un\\\"safe\"; // unsafe\nlet b = r#\"x \" unsafe\"#; let c = '\"'; fn f<'a>() { /* unsafe\n */ }";
    let source = Source::new("x.rs", text);
    assert!(!has_word(&source.code, "unsafe"), "{}", source.code);
    assert!(source.uncommented.contains("un\\\"safe") && !source.uncommented.contains("// unsafe"));
    assert_eq!(source.code.lines().count(), text.lines().count());
    assert!(source.code.contains("fn f<'a>() {"), "{}", source.code);
}

#[test]
fn the_lines_of_a_test_module_are_known() {
    let source = Source::new(
        "x.rs",
        "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n",
    );
    assert_eq!(source.in_tests, [false, true, true, true, true, false]);
}

#[test]
fn a_file_that_is_a_test_module_is_a_test() {
    let parent = Source::new(
        "src/core/pagination/mod.rs",
        "#[cfg(test)]\nmod plan_tests;\nmod page;\n",
    );
    let mut sources = [parent, Source::new("src/core/pagination/plan_tests.rs", "fn a() {}\n")];
    mark_test_files(&mut sources);
    assert_eq!(
        (&sources[0].in_tests[..], &sources[1].in_tests[..]),
        (&[false; 3][..], &[true][..])
    );
}
