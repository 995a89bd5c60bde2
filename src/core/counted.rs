//! Numbers with what they count, as every message says them.

use std::fmt::Display;

/// `1 job`, `2 jobs`.
pub fn counted<N: Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let ending = agreed(&number, "", "s");
    format!("{number} {noun}{ending}")
}

/// The word that goes with one, or that with any other number.
pub fn agreed<'a, N: PartialEq + From<u8>>(number: &N, one: &'a str, several: &'a str) -> &'a str {
    match *number == N::from(1) {
        true => one,
        false => several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_the_only_number_without_a_plural() {
        assert_eq!(counted(0_i64, "row"), "0 rows");
        assert_eq!(counted(1_u64, "other record"), "1 other record");
        assert_eq!(counted(2_usize, "row"), "2 rows");
        assert_eq!(
            [agreed(&1_u64, "is", "are"), agreed(&0_u64, "is", "are")],
            ["is", "are"]
        );
    }
}
