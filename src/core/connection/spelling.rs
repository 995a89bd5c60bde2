//! The nearest valid word to a misspelt one, for hints.

/// The word of `valid` that `given` most likely meant, or none when nothing is near.
///
/// Near is at most one edit for each three characters of the longer word (an insertion, a removal, an exchange, or two
/// neighbours swapped); case and the difference between `-` and `_` do not count.
pub fn nearest<'a>(given: &str, valid: &[&'a str]) -> Option<&'a str> {
    let given = fold(given);
    let near = |word: &&'a str| {
        let word_folded = fold(word);
        let allowed = (given.len().max(word_folded.len()) / 3).max(1);
        let edits = edits(&given, &word_folded);
        (edits <= allowed).then_some((edits, *word))
    };
    if given.len() > 64 {
        return None;
    }
    valid
        .iter()
        .filter_map(near)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

fn fold(word: &str) -> Vec<char> {
    word.trim()
        .chars()
        .map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() })
        .collect()
}

/// The optimal string alignment distance, with three rows of its matrix at a time.
fn edits(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let same = left[i - 1] == right[j - 1];
            let mut best = (above[j - 1] + usize::from(!same))
                .min(above[j] + 1)
                .min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
}

/// A person's text as it may stand in a message: on one line, quoted, cut after 60 characters.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("\"{}\"", shown.replace("\\\"", "\"").replace("\\'", "'"))
}

/// What was found instead, as a sentence: the text where it is short and plain, otherwise only its length, since it may
/// be something that was pasted by mistake.
pub fn found(text: &str) -> String {
    let plain = text
        .chars()
        .all(|c| c.is_alphanumeric() || " _-.,:;/+%()[]{}\"'$@*<>=".contains(c));
    match text.chars().count() {
        0 => "It is empty.".to_owned(),
        1..=40 if plain => format!("It is {}.", quoted(text)),
        count => format!("What was given has {count} characters and is not repeated here."),
    }
}

/// Words as a list in a sentence: `a, b, c`.
pub fn list(words: &[&str]) -> String {
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 5] = ["page_size", "pagination", "params", "on_empty", "max_shrink"];

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        for (given, meant) in [
            ("page_sise", "page_size"),
            ("pagesize", "page_size"),
            ("page-size", "page_size"),
            ("PAGE_SIZE", "page_size"),
            ("pagniation", "pagination"),
            ("param", "params"),
            ("on_emtpy", "on_empty"),
        ] {
            assert_eq!(nearest(given, &WORDS), Some(meant), "{given}");
        }
    }

    #[test]
    fn a_word_that_is_like_nothing_finds_nothing() {
        for given in ["", "colour", "x", "definitely_not_a_setting"] {
            assert_eq!(nearest(given, &WORDS), None, "{given}");
        }
        assert_eq!(nearest(&"page_size".repeat(1000), &WORDS), None);
    }

    #[test]
    fn swapped_neighbours_are_one_edit() {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        assert_eq!(edits(&chars("ab"), &chars("ba")), 1);
        assert_eq!(edits(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(edits(&chars(""), &chars("abc")), 3);
    }

    #[test]
    fn a_text_is_shown_on_one_line() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert!(quoted(&"x".repeat(500)).chars().count() < 70);
        assert!(!found("Bearer\u{0}eyJhbGciOi").contains("eyJ"));
        assert!(!found(&"s".repeat(41)).contains("sss"));
    }
}
