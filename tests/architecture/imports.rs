//! Who may use whom.

use crate::source::{Source, has_word, is_word_at, leading_name};

/// What a folder must not use: modules of the extension (`crate::…`) and words (crates, standard modules, calls).
struct Rule {
    folder: &'static str,
    modules: &'static [&'static str],
    words: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        folder: "src/core/",
        modules: &[],
        words: &[
            "pgrx",
            "pg_sys",
            "ureq",
            "sluice_fetch",
            "std::fs",
            "std::thread",
            "std::process",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "ToSocketAddrs",
            "Instant::now",
            "SystemTime::now",
            "thread_rng",
        ],
    },
    Rule {
        folder: "src/fetch/",
        modules: &[],
        words: &["pgrx", "pg_sys"],
    },
    Rule {
        folder: "src/pg/",
        modules: &["store", "pipeline", "worker", "api"],
        words: &["sluice_fetch", "ureq"],
    },
    Rule {
        folder: "src/store/",
        modules: &["pipeline", "worker", "api"],
        words: &["sluice_fetch", "ureq", "pg_sys"],
    },
    Rule {
        folder: "src/pipeline/",
        modules: &["worker", "api"],
        words: &["ureq", "pg_sys"],
    },
    Rule {
        folder: "src/worker/",
        modules: &["api"],
        words: &["sluice_fetch", "ureq", "pg_sys"],
    },
    // A call asks and a worker does. Looks that write nothing stay in the session: probes of the remote through
    // pipeline::probe, what a rollback would do through pipeline::preview.
    Rule {
        folder: "src/api/",
        modules: &["pipeline", "worker"],
        words: &["sluice_fetch", "ureq", "pg_sys"],
    },
    Rule {
        folder: "src/lib.rs",
        modules: &[],
        words: &["sluice_fetch", "ureq", "pg_sys"],
    },
];

/// What one folder's rule leaves open.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("src/api/", "pipeline::probe"),
    ("src/api/", "pipeline::preview"),
    // A device's code is asked for in the session, since the person is shown it.
    ("src/api/", "pipeline::tokens"),
    // Where a secret is kept is looked at when that is said, so that a slip is an error there.
    ("src/api/", "pipeline::reference"),
];

/// Every use of something that lies above, as `path:line: uses what`.
pub fn violations(files: &[Source]) -> Vec<String> {
    // Examples and integration tests look from outside.
    let is_code = |file: &&Source| !file.path.contains("/examples/") && !file.path.contains("/tests/");
    let pairs = files
        .iter()
        .filter(is_code)
        .flat_map(|file| RULES.iter().map(move |rule| (file, rule)));
    pairs
        .filter(|(file, rule)| file.path.starts_with(rule.folder))
        .flat_map(|(file, rule)| check(file, rule))
        .collect()
}

fn check(file: &Source, rule: &Rule) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in file.code_lines() {
        let used = rule.words.iter().filter(|word| has_word(line, word));
        found.extend(used.map(|word| format!("{}:{number}: uses {word}", file.path)));
    }
    for (number, path) in grouped_paths(file, "std::") {
        let used = rule.words.iter().filter_map(|word| word.strip_prefix("std::"));
        let used = used.filter(|module| leading_name(&path) == *module);
        found.extend(used.map(|module| format!("{}:{number}: uses std::{module}", file.path)));
    }
    let single = paths(file, "crate::");
    for (number, path) in single.into_iter().chain(grouped_paths(file, "crate::")) {
        let is_exception = |(folder, allowed): &(&str, &str)| *folder == rule.folder && path.starts_with(allowed);
        if rule.modules.contains(&leading_name(&path)) && !EXCEPTIONS.iter().any(is_exception) {
            found.push(format!("{}:{number}: uses crate::{path}", file.path));
        }
    }
    found
}

/// Where a prefix such as `crate::` stands outside of tests: the line's number, and what follows.
fn places<'a>(file: &'a Source, prefix: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let found = file
        .code
        .match_indices(prefix)
        .filter(|(at, _)| is_word_at(&file.code, *at, prefix.trim_end_matches(':')));
    let numbered = found.map(|(at, _)| {
        (
            file.code[..at].matches('\n').count() + 1,
            &file.code[at + prefix.len()..],
        )
    });
    numbered.filter(|(number, _)| !file.in_tests[number - 1])
}

/// The paths after a prefix, groups left out.
fn paths(file: &Source, prefix: &str) -> Vec<(usize, String)> {
    let ends = |c: char| !c.is_alphanumeric() && c != '_' && c != ':';
    let single = places(file, prefix).filter(|(_, rest)| !rest.starts_with('{'));
    single
        .map(|(number, rest)| (number, rest.split(ends).next().unwrap_or("").to_string()))
        .collect()
}

/// The paths in groups after a prefix, taken apart one level: `crate::{a::b, c}` gives `a::b` and `c`.
fn grouped_paths(file: &Source, prefix: &str) -> Vec<(usize, String)> {
    let groups = places(file, prefix).filter_map(|(number, rest)| Some((number, rest.strip_prefix('{')?)));
    groups
        .flat_map(|(number, group)| group_members(group).into_iter().map(move |member| (number, member)))
        .collect()
}

/// The members of a group up to its closing brace; inner groups stay with their head.
fn group_members(group: &str) -> Vec<String> {
    let (mut depth, mut members, mut member) = (0, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(std::mem::take(&mut member)),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                if !c.is_whitespace() {
                    member.push(c);
                }
            }
        }
    }
    members.push(member);
    members.retain(|member| !member.is_empty());
    members
}

/// The core's manifest must not name a crate that does input or output.
pub fn core_dependencies(manifest: &str) -> Vec<String> {
    let banned = [
        "pgrx",
        "ureq",
        "tokio",
        "reqwest",
        "postgres",
        "sluice-fetch",
        "rand",
        "chrono",
    ];
    let lines = manifest.lines().filter(|line| !line.trim_start().starts_with('#'));
    let names = lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().to_string());
    names.filter(|name| banned.contains(&name.as_str())).collect()
}

#[test]
fn a_use_from_above_is_found_in_each_spelling() {
    for (path, text) in [
        ("src/core/retry.rs", "fn f() { let t = std::time::Instant::now(); }"),
        ("src/core/data/x.rs", "use std::fs;"),
        ("src/core/data/x.rs", "use std::{fmt, thread::spawn};"),
        ("src/fetch/pool.rs", "use pgrx::prelude::*;"),
        ("src/pg/spi.rs", "use crate::store::job;"),
        ("src/pg/spi.rs", "use crate::{pg::latch, worker};"),
        (
            "src/store/run.rs",
            "use crate::{\n    pg::spi,\n    pipeline::{commit, stage},\n};",
        ),
        ("src/store/run.rs", "use pgrx::pg_sys;"),
        ("src/pipeline/mod.rs", "fn f() { crate::worker::launcher::wake() }"),
        ("src/worker/sync.rs", "use sluice_fetch::start;"),
        ("src/api/job.rs", "use crate::pipeline::apply;"),
    ] {
        assert_eq!(violations(&[Source::new(path, text)]).len(), 1, "{path}: {text}");
    }
}

#[test]
fn what_lies_below_may_be_used() {
    for (path, text) in [
        (
            "src/core/url_policy/address.rs",
            "use std::net::IpAddr; // std::fs is not used",
        ),
        ("src/core/retry.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}"),
        (
            "src/store/run.rs",
            "use crate::pg::{spi, report}; use sluice_core::run::Status;",
        ),
        ("src/worker/sync.rs", "use crate::pipeline; use crate::store::job;"),
        ("src/api/discover.rs", "use crate::pipeline::probe;"),
        (
            "src/api/text.rs",
            "const HELP: &str = \"pg_sys and crate::worker are words here\";",
        ),
    ] {
        assert_eq!(violations(&[Source::new(path, text)]), [""; 0], "{path}: {text}");
    }
}

#[test]
fn a_crate_that_does_io_is_found_in_the_manifest() {
    assert_eq!(
        core_dependencies("[dependencies]\nserde = \"1\"\nureq = { version = \"3\" }\n# tokio = 1\n"),
        ["ureq"]
    );
}
