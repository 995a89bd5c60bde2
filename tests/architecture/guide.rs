//! The guide: a newcomer finds every page and every setting.

use crate::source::Source;

/// Pages that docs/guide/README.md does not link to.
pub fn unlisted(pages: &[Source]) -> Vec<String> {
    let name = |page: &Source| page.path.rsplit('/').next().unwrap_or_default().to_string();
    let Some(list) = pages.iter().find(|page| name(page) == "README.md") else {
        return vec!["docs/guide/README.md is missing".to_string()];
    };
    let others = pages.iter().map(name).filter(|name| name != "README.md");
    others
        .filter(|name| !list.text.contains(&format!("({name})")))
        .map(|name| format!("docs/guide/README.md does not list {name}"))
        .collect()
}

/// Keys of the settings document that its table does not name.
pub fn untold(keys: &Source, table: &Source) -> Vec<String> {
    let document = keys.uncommented.split("SETTINGS: Keys").nth(1).unwrap_or_default();
    let known = document.split(']').next().unwrap_or_default();
    let rows: String = table.text.lines().filter(|line| line.starts_with('|')).collect();
    let mut found: Vec<String> = known
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|key| !rows.contains(&format!("`{key}`")))
        .map(|key| format!("docs/guide/first-sync.md has no row for `{key}`"))
        .collect();
    if known.split('"').count() < 3 {
        found.push(format!("{} lists no keys", keys.path));
    }
    found
}

#[test]
fn a_page_that_nobody_finds_and_a_setting_that_nobody_tells_are_found() {
    let list = Source::new("docs/guide/README.md", "[a](a.md)");
    let pages = [
        list,
        Source::new("docs/guide/a.md", ""),
        Source::new("docs/guide/b.md", ""),
    ];
    assert_eq!(unlisted(&pages), ["docs/guide/README.md does not list b.md"]);
    let keys = Source::new(
        "keys.rs",
        "const SETTINGS: Keys = Keys { known: &[\"format\", \"csv\"] };",
    );
    let table = Source::new("first-sync.md", "| `format` | |\n`csv`");
    assert_eq!(untold(&keys, &table), ["docs/guide/first-sync.md has no row for `csv`"]);
}
