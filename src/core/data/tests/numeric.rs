//! The numeric encoder against a decoder written from PostgreSQL's description of the layout, and against a plain
//! shifting of the decimal point.

use crate::data::Misfit;
use crate::data::numeric::{shorten, write};
use proptest::prelude::*;

/// Reads the binary form into a plain text such as `-12.50`.
fn decoded(bytes: &[u8]) -> String {
    let words: Vec<i32> = bytes
        .chunks(2)
        .map(|pair| i32::from(i16::from_be_bytes([pair[0], pair[1]])))
        .collect();
    let (count, weight, sign, scale) = (words[0] as u16 as usize, words[1], words[2], words[3] as usize);
    let groups = &words[4..];
    assert_eq!(groups.len(), count);
    assert!(groups.iter().all(|group| (0..10_000).contains(group)), "{groups:?}");
    assert!(
        groups.first() != Some(&0) && groups.last() != Some(&0),
        "not stripped: {groups:?}"
    );
    let group = |weight_of_group: i32| {
        usize::try_from(weight - weight_of_group)
            .ok()
            .and_then(|at| groups.get(at))
            .unwrap_or(&0)
    };
    let whole: String = (0..=weight.max(0))
        .rev()
        .map(|at| format!("{:04}", group(at)))
        .collect();
    let fraction: String = (1..=scale.div_ceil(4) as i32)
        .map(|at| format!("{:04}", group(-at)))
        .collect();
    let whole = whole.trim_start_matches('0');
    plain(
        sign == 0x4000,
        if whole.is_empty() { "0" } else { whole },
        &fraction[..scale],
    )
}

fn plain(negative: bool, whole: &str, fraction: &str) -> String {
    let sign = if negative { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// The same text by moving its decimal point, as PostgreSQL shows it.
fn expected(negative: bool, whole: &str, fraction: &str, exponent: i32) -> String {
    let padding = "0".repeat(400);
    let digits = format!("{padding}{whole}{fraction}{padding}");
    let point = (padding.len() + whole.len()) as i32 + exponent;
    let scale = (fraction.len() as i32 - exponent).max(0) as usize;
    let (before, after) = digits.split_at(point as usize);
    let before = before.trim_start_matches('0');
    let before = if before.is_empty() { "0" } else { before };
    let is_zero = !format!("{whole}{fraction}").contains(|digit| digit != '0');
    plain(negative && !is_zero, before, &after[..scale])
}

fn encoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write(text, &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_number_is_what_was_written(
        negative: bool,
        whole in "0{0,5}[0-9]{1,40}0{0,5}",
        fraction in "(0{0,5}[0-9]{0,40}0{0,5})?",
        exponent in prop::option::of(-300i32..300),
    ) {
        let sign = if negative { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        let power = exponent.map_or(String::new(), |exponent| format!("e{exponent:+}"));
        let text = format!("{sign}{whole}{point}{fraction}{power}");
        let expected = expected(negative, &whole, &fraction, exponent.unwrap_or(0));
        prop_assert_eq!(decoded(&encoded(&text)), expected, "{}", text);
    }

    #[test]
    fn the_short_form_is_the_same_number_without_zeros_at_its_end(whole in "0|[1-9][0-9]{0,11}", fraction in "[0-9]{0,9}0{0,9}") {
        let point = if fraction.is_empty() { "" } else { "." };
        let text = format!("{whole}{point}{fraction}");
        let mut number = encoded(&text);
        shorten(&mut number);
        let kept = if fraction.is_empty() { &text } else { text.trim_end_matches('0').trim_end_matches('.') };
        prop_assert_eq!(decoded(&number), kept);
        prop_assert_eq!(number, encoded(kept));
    }

    #[test]
    fn no_text_makes_the_encoder_panic(text in "[-+0-9.eENaInf]{0,12}") {
        let _ = write(&text, &mut Vec::new());
    }
}

#[test]
fn forty_digits_keep_every_digit() {
    let text = "1234567890123456789012345678901234567890.0987654321098765432109876543210987654321";
    assert_eq!(decoded(&encoded(text)), text);
}

#[test]
fn an_enormous_exponent_is_out_of_range_without_work() {
    for text in [
        "1e999999999999999999999",
        "1e-999999999999999999999",
        "9e131072",
        "1e-16384",
    ] {
        assert_eq!(write(text, &mut Vec::new()), Err(Misfit::OutOfRange), "{text}");
    }
    assert_eq!(encoded("0e999999999999999999999"), [0; 8]);
}

#[test]
fn more_digits_than_a_numeric_holds_are_out_of_range() {
    assert_eq!(write(&"9".repeat(131_073), &mut Vec::new()), Err(Misfit::OutOfRange));
    assert_eq!(decoded(&encoded(&"9".repeat(131_072))).len(), 131_072);
    assert_eq!(
        write(&format!("0.{}", "9".repeat(16_384)), &mut Vec::new()),
        Err(Misfit::OutOfRange)
    );
}
