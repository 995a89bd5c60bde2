//! The statement that makes the job, and texts that fit into a terminal.

use crate::job::LONGEST_NAME;
use crate::sql_text::literal;
use serde_json::Value;

/// A member of the settings: its name, and its JSON text.
pub type Member = (String, String);

/// `SELECT sluice.create_job(…);` with each setting on a line of its own.
pub fn create_job(call: &Call<'_>, settings: &[Member]) -> String {
    let mut lines = vec![
        "SELECT sluice.create_job(".to_owned(),
        format!("  {},", literal(call.name)),
        format!("  {},", literal(call.connection)),
        format!("  {},", literal(call.path)),
    ];
    if let Some(mode) = call.mode {
        lines.push(format!("  mode => {},", literal(mode)));
    }
    if !call.key.is_empty() {
        let columns: Vec<String> = call.key.iter().map(|column| literal(column)).collect();
        lines.push(format!("  key => ARRAY[{}],", columns.join(", ")));
    }
    if settings.is_empty() {
        let last = lines.last_mut().map(|line| line.pop());
        debug_assert!(last.is_some(), "there are lines");
    } else {
        lines.push(format!("  settings => {}", literal(&document(settings))));
    }
    format!("{});", lines.join("\n"))
}

/// What a job is called with, beside its settings.
pub struct Call<'a> {
    pub name: &'a str,
    pub connection: &'a str,
    pub path: &'a str,
    pub mode: Option<&'a str>,
    pub key: &'a [String],
}

/// The settings document, readable.
pub fn document(settings: &[Member]) -> String {
    let members: Vec<String> = settings
        .iter()
        .map(|(name, raw)| format!("  {}: {}", Value::from(name.as_str()), unfolded(raw)))
        .collect();
    format!("{{\n{}}}", members.join(",\n"))
}

/// An object with each member on a line; other values as they are.
fn unfolded(raw: &str) -> String {
    const SHORT: usize = 28;
    let members = match crate::data::JsonKind::of(raw) {
        crate::data::JsonKind::Object if raw.len() > SHORT => crate::data::members_of(raw),
        _ => return raw.to_owned(),
    };
    let Ok(members) = members else { return raw.to_owned() };
    let lines: Vec<String> = members
        .iter()
        .map(|member| format!("    {}: {}", Value::from(member.name.as_str()), member.raw))
        .collect();
    format!("{{\n{}\n  }}", lines.join(",\n"))
}

/// Members as a JSON object on one line.
pub fn object(members: &[Member]) -> String {
    let texts: Vec<String> = members
        .iter()
        .map(|(name, raw)| format!("{}: {raw}", Value::from(name.as_str())))
        .collect();
    format!("{{{}}}", texts.join(", "))
}

/// A name for a job from its path: the last segment that is a word.
pub fn job_name(path: &str, connection: &str) -> String {
    let is_word =
        |segment: &&str| segment.chars().any(char::is_alphabetic) && !segment.contains('{') && !is_version(segment);
    let last = path.split('/').rev().find(is_word).unwrap_or(connection);
    let stem = last.split_once('.').map_or(last, |(stem, _)| stem);
    let plain = |c: char| if c.is_alphanumeric() { c } else { '_' };
    let name: String = stem.to_lowercase().chars().map(plain).collect();
    let name = name.trim_matches('_');
    let end = name.floor_char_boundary(LONGEST_NAME);
    match &name[..end] {
        "" => "job".to_owned(),
        name => name.to_owned(),
    }
}

/// `v1`, `v2.1`
fn is_version(segment: &str) -> bool {
    let rest = segment.strip_prefix('v').unwrap_or_default();
    !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// The text in lines of at most this many characters, where words allow; each sentence begins a line.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for sentence in text.split_inclusive(". ") {
        let mut line = String::new();
        for word in sentence.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}
