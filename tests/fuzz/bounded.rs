//! Each target on its corpus, and on changed pieces of it for `SLUICE_FUZZ_SECONDS` (1).
//!
//! A failure is made smaller and written to `target/fuzz/found/NAME/`. `SLUICE_FUZZ_SEED` tries other inputs: the seed of a run
//! that ended without a word (a stack overflow) is in `target/fuzz/NAME.seed`.

use sluice_core::data::content_hash;
use sluice_fuzz::mutate::{Mutator, words};
use sluice_fuzz::{TARGETS, Target};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// No input of a few kilobytes may take so long, in a debug build and beside other tests.
const SLOWEST: Duration = Duration::from_secs(5);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn output() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| folder("../..").join("target")).join("fuzz")
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder("corpus").join(target.name)).expect("each target has a corpus");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("readable").path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("readable"))
        .collect()
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().expect("a whole number"))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What the target says against an input, or None. Panics that are looked for are not printed.
fn complaint(target: &Target, input: &[u8]) -> Option<String> {
    let start = Instant::now();
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    QUIET.set(false);
    match outcome {
        Ok(()) if start.elapsed() > SLOWEST => Some(format!("it took {:?}", start.elapsed())),
        Ok(()) => None,
        Err(panic) => Some(match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(text), _) => text.clone(),
            (_, Some(text)) => (*text).to_owned(),
            _ => "a panic".to_owned(),
        }),
    }
}

fn silence_expected_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !QUIET.get() {
            usual(panic);
        }
    }));
}

/// Leaves out what can be left out, larger pieces first, for a few seconds.
fn smaller(target: &Target, input: Vec<u8>) -> Vec<u8> {
    let end = Instant::now() + Duration::from_secs(3);
    let mut smallest = input;
    let mut length = smallest.len() / 2;
    while length > 0 && Instant::now() < end {
        let mut at = 0;
        while at + length <= smallest.len() && Instant::now() < end {
            let without = [&smallest[..at], &smallest[at + length..]].concat();
            match complaint(target, &without) {
                Some(_) => smallest = without,
                None => at += length,
            }
        }
        length /= 2;
    }
    smallest
}

/// Fails, and leaves a file that does so again.
fn report(target: &Target, input: Vec<u8>) {
    let input = smaller(target, input);
    let said = complaint(target, &input).unwrap_or_default();
    let found = output().join("found").join(target.name);
    std::fs::create_dir_all(&found).expect("target/ can be written");
    let file = found.join(&content_hash(&input)[..16]);
    std::fs::write(&file, &input).expect("target/ can be written");
    panic!(
        "{}: {said}\nThe input is {}:\n{}\nAfter mending it: cp {} tests/fuzz/corpus/{}/",
        target.name,
        file.display(),
        String::from_utf8_lossy(&input).escape_debug(),
        file.display(),
        target.name
    );
}

fn run(target: &Target, seed: u64, length: Duration) {
    let corpus = corpus(target);
    for input in &corpus {
        if complaint(target, input).is_some() {
            report(target, input.clone());
        }
    }
    let file = std::fs::read_to_string(folder("words").join(target.name)).expect("each target has words");
    let mut mutator = Mutator::new(seed, corpus, words(&file));
    let end = Instant::now() + length;
    while Instant::now() < end {
        let input = mutator.next_input();
        if complaint(target, &input).is_some() {
            report(target, input);
        }
    }
}

/// The same inputs each time: what new ones find is for `make fuzz`, not for a change that has nothing to do with it.
const USUAL_SEED: u64 = 9110;

fn bounded(name: &str) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(silence_expected_panics);
    let target = sluice_fuzz::target(name).expect("a target of that name");
    let seed = from_environment("SLUICE_FUZZ_SEED").unwrap_or(USUAL_SEED);
    std::fs::create_dir_all(output()).expect("target/ can be written");
    std::fs::write(output().join(format!("{name}.seed")), seed.to_string()).expect("target/ can be written");
    run(
        target,
        seed,
        Duration::from_secs(from_environment("SLUICE_FUZZ_SECONDS").unwrap_or(1)),
    );
}

/// One test a target, so that each can be run alone and they share the cores.
macro_rules! targets {
    ($($test:ident: $name:literal)*) => {
        $(#[test]
        fn $test() {
            bounded($name);
        })*

        #[test]
        fn every_target_is_run() {
            assert_eq!(TARGETS.map(|target| target.name), [$($name),*]);
        }
    };
}

targets! {
    any_body_gives_the_records_at_the_path_or_an_error: "pages"
    any_csv_is_read_as_the_csv_crate_reads_it: "csv"
    any_lines_of_json_are_one_record_each: "ndjson"
    any_value_is_the_same_in_a_column_or_refused: "fields"
    any_path_picks_what_a_tree_of_values_has: "paths"
    any_link_header_stays_below_the_base: "link_header"
    any_link_that_was_written_is_read: "links"
    any_next_value_that_is_kept_can_be_asked_for: "next"
    any_retry_after_is_a_wait_within_its_bounds: "http_dates"
    any_time_is_that_of_the_calendar: "timestamps"
    any_interval_that_is_read_can_be_written: "intervals"
    any_settings_are_in_range_or_refused_readably: "settings"
    any_url_stays_below_its_base: "urls"
}

#[test]
fn a_failing_input_is_found_and_made_smaller() {
    let fails_on_b = Target {
        name: "b",
        check: |input| assert!(!input.contains(&b'b')),
    };
    let mut mutator = Mutator::new(1, vec![b"a long text".to_vec()], words("\"b\"\n\"\\x62\\\"\""));
    let failing = (0..1000)
        .map(|_| mutator.next_input())
        .find(|input| complaint(&fails_on_b, input).is_some());
    assert_eq!(smaller(&fails_on_b, failing.expect("words are put in")), b"b");
}
