//! Every message that a definition or a call can meet is shown by a golden file, with its detail and hint.
//!
//! A message is the text of `#[error("…")]`, or a word of a `Display` of a fault; what is put into it may be anything. A
//! golden file shows it where its fixed pieces stand in one line, in their order.

use crate::source::Source;

/// Where the messages of definitions and calls are written.
const FILES: [&str; 12] = [
    "src/core/alert.rs",
    "src/core/from_page.rs",
    "src/core/settings/fault.rs",
    "src/core/job/fault.rs",
    "src/core/job/function.rs",
    "src/core/job/path.rs",
    "src/core/connection/error.rs",
    "src/core/connection/fault.rs",
    "src/core/secret/fault.rs",
    "src/core/url_policy/fault.rs",
    "src/core/oauth/fault.rs",
    "src/core/call.rs",
];

/// What psql alone cannot bring about, and what it would need.
const ELSEWHERE: &[(&str, &str)] = &[
    ("setting {} is given twice", "another type: jsonb has each key once"),
    ("job {} needs a key", "a remote's first page"),
    ("the records have no member {} for the key", "a remote's first page"),
    ("the key file does not hold a key", "another key file"),
    ("the key file holds a placeholder, not a key", "another key file"),
    ("the key command gave no key", "another configuration"),
    ("secret {} was sealed with another key", "another key file"),
    ("secret {} is damaged", "a damaged table"),
    (
        "secret {} is stored in a format that this release does not know",
        "another release",
    ),
    ("pg_sluice is not loaded at server start", "another configuration"),
    ("the server is a standby", "another server"),
    ("secrets cannot be used without a key", "another configuration"),
    ("the owner of job \"{job}\" was dropped", "a scheduler"),
    ("no worker could be started for job \"{job}\"", "a scheduler"),
    ("the run of job \"{job}\" was left waiting", "a scheduler"),
    ("job \"{name}\" is disabled", "crashes"),
    ("run {run} is not held", "a run"),
    ("run {run} cannot be rolled back to", "runs"),
    ("run {run} of job \"{job}\" ended as {status}", "a run"),
    ("the run was stopped", "a run"),
    ("function {name}(jsonb) belongs to another role now", "a call"),
    ("function {name}(jsonb) belongs to a superuser", "a call"),
    ("the worker ended while it made the call", "a crash"),
    ("function {name} failed: {}", "a run"),
    ("function {name} took longer than {limit:?}", "a run"),
    ("the run took longer than {limit:?}", "a run"),
    ("job \"{job}\" has an open run", "a run"),
    ("no parent could be read", "a run"),
    ("setting \"foreach.query\" took longer than {limit:?}", "a run"),
    ("setting \"foreach.query\" has more than {limit} rows", "a run"),
    ("the collection has more {what} than the limit of {limit}", "a run"),
    ("secret {} is no private key that can sign", "an authorization server"),
    ("the token of connection {} is damaged", "a damaged table"),
    ("{remote} gave no token ({code})", "an authorization server"),
    ("the answer of {remote} holds no token", "an authorization server"),
    (
        "the token of connection {} could not be renewed",
        "an authorization server",
    ),
];

/// Messages that no golden file shows, and exceptions that are none any more.
pub fn unshown(golden: &[Source]) -> Vec<String> {
    let sources = FILES.map(Source::read);
    let messages: Vec<(&str, String)> = sources.iter().flat_map(of_file).collect();
    let is_excepted = |message: &str| ELSEWHERE.iter().any(|(excepted, _)| *excepted == message);
    let missing = messages
        .iter()
        .filter(|(_, message)| !is_shown(message, golden) && !is_excepted(message));
    let missing =
        missing.map(|(path, message)| format!("{path}: \"{message}\" stands in no file of tests/pg_regress/expected"));
    let stale = ELSEWHERE
        .iter()
        .filter(|(excepted, _)| is_shown(excepted, golden) || !messages.iter().any(|(_, message)| message == excepted));
    let stale = stale.map(|(excepted, _)| format!("\"{excepted}\" needs no exception any more"));
    missing.chain(stale).collect()
}

/// The messages that a file of faults has.
fn of_file(file: &Source) -> Vec<(&str, String)> {
    let errors = file.text.split("#[error(\"").skip(1).map(literal);
    let displays = file.text.split("impl fmt::Display for ").skip(1);
    let displays = displays.map(|text| text.split("\n}").next().unwrap_or_default());
    let words = displays.flat_map(|body| body.split("=> \"").skip(1).map(literal));
    errors
        .chain(words)
        .map(|message| (file.path.as_str(), message))
        .collect()
}

/// A literal up to its closing quote, without its escapes.
fn literal(rest: &str) -> String {
    let mut text = String::new();
    let mut characters = rest.chars();
    while let Some(c) = characters.next().filter(|c| *c != '"') {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    text
}

fn is_shown(message: &str, golden: &[Source]) -> bool {
    let pieces = fixed_pieces(message);
    golden
        .iter()
        .flat_map(|file| file.text.lines())
        .any(|line| holds_in_order(line, &pieces))
}

/// A message's text outside of its braces.
fn fixed_pieces(message: &str) -> Vec<&str> {
    message
        .split('{')
        .map(|part| part.split_once('}').map_or(part, |(_, fixed)| fixed))
        .collect()
}

fn holds_in_order(line: &str, pieces: &[&str]) -> bool {
    let mut rest = line;
    pieces.iter().all(|piece| match rest.split_once(piece) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[test]
fn a_message_is_found_whatever_is_put_into_it() {
    let golden = [Source::new("a.out", "ERROR:  22023: setting \"a\" is given twice\n")];
    let file = Source::new(
        "a.rs",
        "#[error(\"setting {} is given twice\", quoted(.path))]\n#[error(\"\\\"{a}\\\" is b\")]\n",
    );
    let shown: Vec<bool> = of_file(&file)
        .iter()
        .map(|(_, message)| is_shown(message, &golden))
        .collect();
    assert_eq!(shown, [true, false]);
    let words = Source::new(
        "a.rs",
        "impl fmt::Display for Fault {\n    A => \"is too long\",\n}\nlet x = y => \"no\";\n",
    );
    assert_eq!(of_file(&words), [("a.rs", "is too long".to_owned())]);
}
