use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::error::Explain;

/// A whole read of 100 records by a paginated scheme without a total.
fn read() -> ReadFacts {
    ReadFacts {
        complete: true,
        gapless: true,
        records: 100,
        distinct_keys: 100,
        longest_pause: Duration::from_secs(1),
        ..ReadFacts::default()
    }
}

fn empty() -> ReadFacts {
    ReadFacts {
        records: 0,
        distinct_keys: 0,
        ..read()
    }
}

fn live(rows_before: u64, candidates_gone: u64, gone_confirmed: u64) -> Live {
    Live {
        rows_before,
        candidates_gone,
        gone_confirmed,
    }
}

fn with(document: &str) -> Settings {
    Settings::parse(document).unwrap()
}

fn published(decision: &Decision) -> (ReadState, Removals, Reason) {
    match decision {
        Decision::Publish {
            state,
            removals,
            reason,
        } => (*state, *removals, *reason),
        other => panic!("{other:?}"),
    }
}

fn state_of(decision: &Decision) -> ReadState {
    decision.state()
}

#[test]
fn a_read_that_lists_every_row_removes_nothing() {
    let decision = decide(&read(), &live(100, 0, 0), &Settings::default());
    assert_eq!(
        published(&decision),
        (ReadState::Records, Removals::None, Reason::NothingGone)
    );
}

#[test]
fn a_single_page_and_no_pagination_are_proof() {
    let facts = ReadFacts { proof: true, ..read() };
    let decision = decide(&facts, &live(100, 3, 0), &Settings::default());
    assert_eq!(published(&decision), (ReadState::Records, Removals::All, Reason::Proof));
}

#[test]
fn a_declared_total_confirms_when_it_stays_and_equals_the_keys() {
    let facts = ReadFacts {
        declared_first: Some(100),
        declared_last: Some(100),
        ..read()
    };
    let decision = decide(&facts, &live(100, 3, 0), &Settings::default());
    assert_eq!(
        published(&decision),
        (ReadState::Records, Removals::All, Reason::DeclaredTotal)
    );
}

#[test]
fn a_total_on_one_page_only_does_not_confirm() {
    for (first, last) in [(Some(100), None), (None, Some(100)), (None, None)] {
        let facts = ReadFacts {
            declared_first: first,
            declared_last: last,
            ..read()
        };
        let decision = decide(&facts, &live(100, 3, 1), &Settings::default());
        assert_eq!(
            published(&decision),
            (ReadState::Records, Removals::Confirmed, Reason::TwoReads)
        );
        assert_eq!(Removals::Confirmed.count(&live(100, 3, 1)), 1);
    }
}

#[test]
fn a_total_that_differs_suppresses_every_removal() {
    for (first, last) in [
        (Some(101), Some(100)),
        (Some(100), Some(99)),
        (Some(99), None),
        (None, Some(0)),
    ] {
        for proof in [true, false] {
            let facts = ReadFacts {
                declared_first: first,
                declared_last: last,
                proof,
                ..read()
            };
            let decision = decide(&facts, &live(100, 3, 3), &with(r#"{"confirm_deletes": false}"#));
            assert_eq!(
                published(&decision),
                (ReadState::Records, Removals::None, Reason::TotalDiffers)
            );
        }
    }
}

#[test]
fn a_key_that_came_twice_suppresses_every_removal() {
    let facts = ReadFacts {
        duplicate_keys: 1,
        proof: true,
        ..read()
    };
    let decision = decide(&facts, &live(100, 3, 3), &Settings::default());
    assert_eq!(
        published(&decision),
        (ReadState::Records, Removals::None, Reason::DuplicateKeys)
    );
}

#[test]
fn a_reject_without_a_key_suppresses_every_removal() {
    let facts = ReadFacts {
        rejects_without_key: 1,
        proof: true,
        ..read()
    };
    let decision = decide(&facts, &live(100, 3, 3), &Settings::default());
    assert_eq!(
        published(&decision),
        (ReadState::Records, Removals::None, Reason::RejectsWithoutKey)
    );
}

#[test]
fn one_read_is_enough_where_the_settings_say_so() {
    let decision = decide(&read(), &live(100, 3, 0), &with(r#"{"confirm_deletes": false}"#));
    assert_eq!(
        published(&decision),
        (ReadState::Records, Removals::All, Reason::OneReadIsEnough)
    );
}

#[test]
fn a_limit_a_gap_and_a_long_pause_remove_nothing_and_hold_nothing() {
    let long_pause = Duration::from_secs(3601);
    for (facts, reason) in [
        (
            ReadFacts {
                complete: false,
                proof: true,
                ..read()
            },
            Reason::Incomplete,
        ),
        (
            ReadFacts {
                gapless: false,
                proof: true,
                ..read()
            },
            Reason::Gap,
        ),
        (
            ReadFacts {
                longest_pause: long_pause,
                proof: true,
                ..read()
            },
            Reason::PausedTooLong,
        ),
    ] {
        let decision = decide(&facts, &live(100, 90, 90), &Settings::default());
        assert_eq!(published(&decision), (ReadState::Records, Removals::None, reason));
    }
}

#[test]
fn rows_are_kept_where_the_settings_say_so_however_many_are_missing() {
    let facts = ReadFacts { proof: true, ..read() };
    let decision = decide(&facts, &live(100, 90, 90), &with(r#"{"on_missing": "keep"}"#));
    assert_eq!(
        published(&decision),
        (ReadState::Records, Removals::None, Reason::KeptBySetting)
    );
}

#[test]
fn a_read_that_would_remove_max_shrink_or_more_is_held() {
    for (rows_before, gone, max_shrink, held) in [
        (100, 49, 0.5, false),
        (100, 50, 0.5, true),
        (100, 100, 0.5, true),
        (10, 5, 0.5, true),
        (9, 9, 0.5, false),
        (30, 3, 0.1, true),
        (30, 2, 0.1, false),
        (10, 9, 1.0, false),
        (10, 10, 1.0, true),
        (1000, 1, 0.001, true),
        (1000, 0, 0.001, false),
    ] {
        let settings = with(&format!(r#"{{"max_shrink": {max_shrink}}}"#));
        let decision = decide(
            &ReadFacts { proof: true, ..read() },
            &live(rows_before, gone, 0),
            &settings,
        );
        assert_eq!(
            matches!(decision, Decision::Hold(_)),
            held,
            "{gone} of {rows_before} at {max_shrink}"
        );
        assert_eq!(shrinks_too_much(&live(rows_before, gone, 0), max_shrink), held);
    }
}

#[test]
fn candidates_count_for_the_shrink_guard_while_unconfirmed_and_while_suppressed() {
    let duplicate = ReadFacts {
        duplicate_keys: 1,
        ..read()
    };
    let differing = ReadFacts {
        declared_first: Some(7),
        ..read()
    };
    for facts in [read(), duplicate, differing] {
        let decision = decide(&facts, &live(100, 60, 0), &Settings::default());
        let Decision::Hold(kept_back) = decision else {
            panic!("{decision:?}")
        };
        assert_eq!(kept_back.state, ReadState::Shrunk);
        assert_eq!(
            (kept_back.class(), kept_back.sqlstate()),
            (crate::Class::Empty, "SY003")
        );
        assert!(kept_back.detail().unwrap().starts_with("Of 100 rows, 60 are missing"));
    }
}

#[test]
fn an_empty_read_follows_on_empty() {
    let rows = live(100, 100, 0);
    assert!(matches!(
        decide(&empty(), &rows, &Settings::default()),
        Decision::RollBack(_)
    ));
    assert!(matches!(
        decide(&empty(), &rows, &with(r#"{"on_empty": "hold"}"#)),
        Decision::Hold(_)
    ));
    let accepted = decide(&empty(), &rows, &with(r#"{"on_empty": "accept"}"#));
    assert_eq!(
        published(&accepted),
        (ReadState::EmptyUnconfirmed, Removals::Confirmed, Reason::TwoReads)
    );
}

#[test]
fn an_accepted_empty_read_still_needs_proof_or_confirmation() {
    let accept = with(r#"{"on_empty": "accept"}"#);
    let proof = ReadFacts { proof: true, ..empty() };
    let total = ReadFacts {
        declared_first: Some(0),
        declared_last: Some(0),
        ..empty()
    };
    let second = live(100, 100, 100);
    assert_eq!(published(&decide(&proof, &live(100, 100, 0), &accept)).1, Removals::All);
    assert_eq!(published(&decide(&total, &live(100, 100, 0), &accept)).1, Removals::All);
    assert_eq!(published(&decide(&empty(), &second, &accept)).1.count(&second), 100);
    assert_eq!(
        published(&decide(&empty(), &live(100, 100, 0), &accept))
            .1
            .count(&live(100, 100, 0)),
        0
    );
}

#[test]
fn an_empty_read_is_confirmed_by_proof_by_a_total_of_zero_or_by_the_second_read() {
    let settings = Settings::default();
    let state = |facts: &ReadFacts, confirmed| state_of(&decide(facts, &live(100, 100, confirmed), &settings));
    assert_eq!(state(&empty(), 0), ReadState::EmptyUnconfirmed);
    assert_eq!(state(&empty(), 99), ReadState::EmptyUnconfirmed);
    assert_eq!(state(&empty(), 100), ReadState::EmptyConfirmed);
    assert_eq!(
        state(&ReadFacts { proof: true, ..empty() }, 0),
        ReadState::EmptyConfirmed
    );
    let zero = ReadFacts {
        declared_first: Some(0),
        declared_last: Some(0),
        ..empty()
    };
    assert_eq!(state(&zero, 0), ReadState::EmptyConfirmed);
    let again = ReadFacts {
        empty_reads_before: 1,
        ..empty()
    };
    assert_eq!(state(&again, 0), ReadState::EmptyConfirmed);
    let cut = ReadFacts {
        complete: false,
        proof: true,
        ..again
    };
    assert_eq!(state(&cut, 0), ReadState::EmptyUnconfirmed);
}

#[test]
fn what_two_empty_reads_in_a_row_confirm_is_removed_only_where_that_is_accepted() {
    let again = ReadFacts {
        empty_reads_before: 1,
        ..empty()
    };
    let rows = live(100, 100, 0);
    let accepted = decide(&again, &rows, &with(r#"{"on_empty": "accept"}"#));
    assert_eq!(
        published(&accepted),
        (ReadState::EmptyConfirmed, Removals::All, Reason::TwoReads)
    );
    let refused = decide(&again, &rows, &Settings::default());
    assert!(matches!(refused, Decision::RollBack(_)), "{refused:?}");
    let held = decide(&again, &rows, &with(r#"{"on_empty": "hold"}"#));
    assert!(matches!(held, Decision::Hold(_)), "{held:?}");
}

#[test]
fn an_empty_collection_stays_empty_without_a_guard() {
    let decision = decide(&empty(), &live(0, 0, 0), &Settings::default());
    let Decision::Publish { removals, .. } = decision else {
        panic!("{decision:?}")
    };
    assert_eq!(removals, Removals::None);
}

#[test]
fn a_missing_path_is_rolled_back_whatever_the_settings() {
    let facts = ReadFacts {
        found: Found::PathMissing,
        proof: true,
        ..empty()
    };
    for on_empty in ["rollback", "hold", "accept"] {
        let decision = decide(
            &facts,
            &live(100, 100, 100),
            &with(&format!(r#"{{"on_empty": "{on_empty}"}}"#)),
        );
        let Decision::RollBack(kept_back) = decision else {
            panic!("{decision:?}")
        };
        assert_eq!(kept_back.state, ReadState::PathMissing);
    }
}

#[test]
fn a_304_publishes_nothing_and_removes_nothing() {
    let facts = ReadFacts {
        found: Found::Unchanged,
        proof: true,
        ..empty()
    };
    let decision = decide(&facts, &live(100, 100, 100), &Settings::default());
    assert_eq!(
        published(&decision),
        (ReadState::Unchanged, Removals::None, Reason::Unchanged)
    );
}

#[test]
fn an_approval_stands_for_confirmation_but_not_for_a_doubtful_read() {
    let settings = Settings::default();
    let rows = live(100, 60, 0);
    assert_eq!(
        decide_approved(&read(), &rows, &settings),
        (Removals::All, Reason::Approved)
    );
    assert_eq!(
        decide_approved(&empty(), &live(100, 100, 0), &settings),
        (Removals::All, Reason::Approved)
    );
    let duplicate = ReadFacts {
        duplicate_keys: 1,
        ..read()
    };
    assert_eq!(
        decide_approved(&duplicate, &rows, &settings),
        (Removals::None, Reason::DuplicateKeys)
    );
}

fn any_facts() -> impl Strategy<Value = ReadFacts> {
    let found = prop::sample::select(vec![Found::Pages, Found::Unchanged, Found::PathMissing]);
    let total = || prop::option::of(0u64..5);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let counts = (0u64..5, 0u64..5, 0u64..2, 0u64..2, 0u32..3);
    (found, flags, 0u64..7200, total(), total(), counts).prop_map(
        |(found, (complete, gapless, proof), pause, first, last, (records, keys, duplicates, rejects, empty))| {
            ReadFacts {
                found,
                complete,
                gapless,
                proof,
                longest_pause: Duration::from_secs(pause),
                declared_first: first,
                declared_last: last,
                distinct_keys: keys.min(records),
                duplicate_keys: duplicates,
                records,
                empty_reads_before: empty,
                rejects_without_key: rejects,
            }
        },
    )
}

fn any_live() -> impl Strategy<Value = Live> {
    (0u64..40, 0u64..=40, 0u64..=40).prop_map(|(rows, gone, confirmed)| {
        let candidates_gone = gone.min(rows);
        live(rows, candidates_gone, confirmed.min(candidates_gone))
    })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let on_empty = prop::sample::select(vec![OnEmpty::RollBack, OnEmpty::Hold, OnEmpty::Accept]);
    let on_missing = prop::sample::select(vec![OnMissing::Delete, OnMissing::Keep]);
    (on_empty, on_missing, 0.01..=1.0, any::<bool>()).prop_map(|(on_empty, on_missing, max_shrink, confirm_deletes)| {
        Settings {
            on_empty,
            on_missing,
            max_shrink,
            confirm_deletes,
            ..Settings::default()
        }
    })
}

fn removed(decision: &Decision, live: &Live) -> u64 {
    match decision {
        Decision::Publish { removals, .. } => removals.count(live),
        Decision::Hold(_) | Decision::RollBack(_) => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_doubtful_read_never_removes(facts in any_facts(), live in any_live(), settings in any_settings()) {
        let differs = |total: Option<u64>| total.is_some_and(|total| total != facts.distinct_keys);
        let doubtful = !facts.complete || !facts.gapless || facts.longest_pause > settings.max_pause
            || facts.duplicate_keys > 0 || facts.rejects_without_key > 0
            || differs(facts.declared_first) || differs(facts.declared_last);
        if doubtful {
            prop_assert_eq!(removed(&decide(&facts, &live, &settings), &live), 0);
            prop_assert_eq!(decide_approved(&facts, &live, &settings).0, Removals::None);
        }
    }

    #[test]
    fn an_empty_read_never_removes_unless_it_is_accepted(live in any_live(), settings in any_settings(), facts in any_facts()) {
        let facts = ReadFacts { records: 0, distinct_keys: 0, ..facts };
        if settings.on_empty != OnEmpty::Accept {
            prop_assert_eq!(removed(&decide(&facts, &live, &settings), &live), 0);
        }
    }

    #[test]
    fn nothing_beyond_max_shrink_goes_unless_empty_was_accepted(
        facts in any_facts(), live in any_live(), settings in any_settings(),
    ) {
        let gone = removed(&decide(&facts, &live, &settings), &live);
        if facts.records > 0 && live.rows_before >= FEWEST_FOR_SHRINK {
            prop_assert!((gone as f64) < settings.max_shrink * live.rows_before as f64 || gone == 0);
        }
    }

    #[test]
    fn without_proof_total_or_setting_only_what_was_missing_twice_goes(
        facts in any_facts(), live in any_live(), settings in any_settings(),
    ) {
        let total = facts.declared_first.is_some() && facts.declared_first == facts.declared_last
            && facts.declared_first == Some(facts.distinct_keys);
        let empty_twice = facts.records == 0 && facts.empty_reads_before > 0;
        if !facts.proof && !total && !empty_twice && settings.confirm_deletes {
            prop_assert!(removed(&decide(&facts, &live, &settings), &live) <= live.gone_confirmed);
        }
    }

    #[test]
    fn rows_that_are_to_be_kept_are_kept(facts in any_facts(), live in any_live(), settings in any_settings()) {
        let settings = Settings { on_missing: OnMissing::Keep, ..settings };
        prop_assert_eq!(removed(&decide(&facts, &live, &settings), &live), 0);
    }

    #[test]
    fn what_is_kept_back_says_why_in_form(facts in any_facts(), live in any_live(), settings in any_settings()) {
        if let Decision::Hold(kept_back) | Decision::RollBack(kept_back) = decide(&facts, &live, &settings) {
            prop_assert!(!kept_back.to_string().contains(['\n', '.']));
            prop_assert!(kept_back.detail().unwrap().ends_with('.') && kept_back.hint().unwrap().ends_with('.'));
        }
    }
}
