//! What a plan promises: every record once and in order, whatever the order of the answers, the length of the pages
//! and the place where an earlier read stopped.

use proptest::prelude::*;

use super::simulation::{Reader, Remote, Scheme};
use super::{Answer, Ask, PageToken, Pagination, Position, ReadPlan, Seen, Source, Stop, Totals, Verdict};
use crate::class::Class;
use crate::error::Explain;
use crate::http::HttpError;

fn any_remote() -> impl Strategy<Value = Remote> {
    let scheme = prop_oneof![
        Just(Scheme::Page),
        Just(Scheme::Offset),
        Just(Scheme::LinkHeader),
        Just(Scheme::Keyset),
        Just(Scheme::None)
    ];
    let stop = prop_oneof![
        Just(Stop::Empty),
        Just(Stop::Short),
        Just(Stop::NotFound),
        Just(Stop::Total)
    ];
    (scheme, stop, 0u64..400, 1u64..60, any::<[bool; 3]>()).prop_map(
        |(scheme, stop, size, clamp, [declares_total, declares_pages, is_ragged])| {
            // A read that stops at a short page cannot have short pages before its end.
            let is_ragged = is_ragged && stop != Stop::Short;
            let declares_total = declares_total || (stop == Stop::Total && !declares_pages);
            Remote {
                scheme,
                stop,
                size,
                clamp,
                declares_total,
                declares_pages,
                is_ragged,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_delivered_exactly_once_and_in_order(
        remote in any_remote(), page_size in prop::option::of(1u64..60), window in 1u64..12, seed: u64,
    ) {
        let mut reader = Reader::new(&remote, page_size, window, seed);
        prop_assert!(reader.read(u64::MAX).unwrap());
        prop_assert_eq!(&reader.delivered, &(0..remote.size).collect::<Vec<_>>());
        prop_assert!(reader.widest as u64 <= window);
    }

    #[test]
    fn a_resume_from_any_page_equals_the_uninterrupted_read(
        remote in any_remote(), page_size in prop::option::of(1u64..60), stops in prop::collection::vec(1u64..6, 1..6),
        seed: u64,
    ) {
        let mut reader = Reader::new(&remote, page_size, 5, seed);
        let mut is_over = false;
        for pages in stops {
            is_over = is_over || reader.read(pages).unwrap();
        }
        prop_assert!(is_over || reader.read(u64::MAX).unwrap());
        prop_assert_eq!(&reader.delivered, &(0..remote.size).collect::<Vec<_>>());
    }
}

fn numbered(stop: Stop, total: Option<Source>) -> Pagination {
    Pagination::Page {
        param: "page".into(),
        start: 1,
        size_param: Some("size".into()),
        totals: Totals {
            records: total,
            pages: None,
        },
        stop,
    }
}

fn offsets(stop: Stop) -> Pagination {
    Pagination::Offset {
        param: "offset".into(),
        limit_param: Some("limit".into()),
        totals: Totals::default(),
        stop,
    }
}

fn plan(pagination: &Pagination, page_size: u64) -> ReadPlan {
    ReadPlan::new(pagination, Some(page_size), Position::default()).unwrap()
}

fn answer(ask: &Ask, records: u64) -> Answer {
    Answer {
        number: ask.number,
        epoch: ask.epoch,
        status: 200,
        records,
        total: None,
        total_pages: None,
        next: None,
        digest: Some(blake3::hash(ask.token.0.as_bytes()).into()),
    }
}

fn asks(plan: &mut ReadPlan, through: u64) -> Vec<String> {
    std::iter::from_fn(|| plan.next_ask(through))
        .map(|ask| ask.token.0)
        .collect()
}

fn take(plan: &mut ReadPlan, records: u64) -> Verdict {
    let ask = plan.next_ask(u64::MAX).unwrap();
    plan.answered(answer(&ask, records)).unwrap()
}

#[test]
fn the_first_page_is_asked_for_alone() {
    let mut plan = plan(&numbered(Stop::Empty, None), 10);
    let first = plan.next_ask(8).unwrap();
    assert_eq!(plan.next_ask(8), None);
    plan.answered(answer(&first, 10)).unwrap();
    assert_eq!(asks(&mut plan, 6), ["2", "3", "4", "5", "6"]);
}

#[test]
fn a_short_page_does_not_end_the_read() {
    let mut plan = plan(&numbered(Stop::Empty, None), 10);
    take(&mut plan, 10);
    let verdict = take(&mut plan, 7);
    assert_eq!(
        verdict,
        Verdict::Page {
            last: false,
            next: Some(PageToken("3".into()))
        }
    );
    assert_eq!(
        asks(&mut plan, 9),
        ["3"],
        "after a short page the read goes on one by one"
    );
}

#[test]
fn a_clamped_page_size_sets_the_step() {
    let mut plan = plan(&offsets(Stop::Empty), 500);
    assert_eq!(
        take(&mut plan, 100),
        Verdict::Page {
            last: false,
            next: Some(PageToken("100".into()))
        }
    );
    assert_eq!(
        take(&mut plan, 100),
        Verdict::Page {
            last: false,
            next: Some(PageToken("200".into()))
        }
    );
    assert_eq!(asks(&mut plan, 5), ["200", "300", "400"]);
}

#[test]
fn what_was_fetched_ahead_of_a_shorter_page_is_asked_for_again() {
    let mut plan = plan(&offsets(Stop::Empty), 10);
    take(&mut plan, 10);
    let ahead: Vec<Ask> = std::iter::from_fn(|| plan.next_ask(4)).collect();
    assert_eq!(
        ahead.iter().map(|a| a.token.0.as_str()).collect::<Vec<_>>(),
        ["10", "20", "30"]
    );
    plan.answered(answer(&ahead[0], 4)).unwrap();
    assert!(!plan.wants(ahead[1].number, ahead[1].epoch));
    assert_eq!(plan.answered(answer(&ahead[1], 10)), Ok(Verdict::Stale));
    let again = plan.next_ask(9).unwrap();
    assert_eq!((again.number, again.token.0.as_str()), (3, "14"));
}

#[test]
fn answers_past_the_first_end_page_are_ignored() {
    let mut plan = plan(&numbered(Stop::Empty, None), 10);
    take(&mut plan, 10);
    let ahead: Vec<Ask> = std::iter::from_fn(|| plan.next_ask(5)).collect();
    assert_eq!(
        plan.answered(answer(&ahead[0], 0)),
        Ok(Verdict::Page { last: true, next: None })
    );
    assert!(plan.is_finished());
    assert_eq!(plan.answered(answer(&ahead[1], 10)), Ok(Verdict::Stale));
}

#[test]
fn an_empty_page_in_the_middle_does_not_end_a_read_that_stops_by_total() {
    let mut plan = plan(&numbered(Stop::Total, Some(Source::Header("x".into()))), 10);
    let mut go = |records, expected: Option<&str>| {
        let ask = plan.next_ask(u64::MAX).unwrap();
        let verdict = plan
            .answered(Answer {
                total: Some(25),
                ..answer(&ask, records)
            })
            .unwrap();
        let next = expected.map(|token| PageToken(token.into()));
        assert_eq!(
            verdict,
            Verdict::Page {
                last: next.is_none(),
                next
            }
        );
    };
    go(10, Some("2"));
    go(0, Some("3"));
    go(10, Some("4"));
    go(5, None);
}

#[test]
fn a_total_that_is_never_reached_ends_at_the_first_empty_page_past_it() {
    let mut plan = plan(&numbered(Stop::Total, Some(Source::Header("x".into()))), 10);
    for (records, last) in [(10, false), (8, false), (8, false), (0, true)] {
        let ask = plan.next_ask(u64::MAX).unwrap();
        let verdict = plan
            .answered(Answer {
                total: Some(30),
                ..answer(&ask, records)
            })
            .unwrap();
        assert!(
            matches!(verdict, Verdict::Page { last: l, .. } if l == last),
            "{verdict:?}"
        );
    }
}

#[test]
fn a_read_that_stops_by_total_needs_one() {
    let mut plan = plan(&numbered(Stop::Total, Some(Source::Header("x".into()))), 10);
    let ask = plan.next_ask(1).unwrap();
    assert_eq!(
        plan.answered(answer(&ask, 10)),
        Err(HttpError::MissingTotal { page: 1 })
    );
    assert!(plan.is_finished());
}

#[test]
fn status_404_ends_a_read_only_past_its_first_page() {
    let mut plan = plan(&numbered(Stop::NotFound, None), 10);
    for status in [400, 404, 410, 416, 422] {
        assert!(!plan.is_end_when_absent(1, status) && plan.is_end_when_absent(2, status));
    }
    take(&mut plan, 10);
    let ask = plan.next_ask(2).unwrap();
    assert_eq!(
        plan.answered(Answer {
            status: 404,
            ..answer(&ask, 0)
        }),
        Ok(Verdict::End)
    );
    assert!(plan.is_finished());
}

/// A 400 of something in front of the API is not the end of a collection that has told where it ends.
#[test]
fn a_doubtful_status_before_the_declared_end_is_a_failure() {
    let total = Source::Header("x-total".into());
    for (records, pages) in [(Some(30), None), (None, Some(3))] {
        let mut plan = plan(&numbered(Stop::NotFound, Some(total.clone())), 10);
        let ask = plan.next_ask(1).unwrap();
        let first = Answer {
            total: records,
            total_pages: pages,
            ..answer(&ask, 10)
        };
        plan.answered(first).unwrap();
        let ends = |status| plan.is_end_when_absent(2, status);
        assert_eq!([400, 422, 404, 410, 416].map(ends), [false, false, true, true, true]);
    }
}

#[test]
fn a_remote_that_gives_empty_pages_for_ever_is_a_loop() {
    let mut plan = plan(&Pagination::LinkHeader, 10);
    let mut empty = |number: u64, next: bool| {
        let ask = plan.next_ask(u64::MAX).unwrap();
        plan.answered(Answer {
            next: next.then(|| PageToken(format!("https://h.example/{number}"))),
            ..answer(&ask, 0)
        })
    };
    for number in 1..1000 {
        assert!(matches!(empty(number, true), Ok(Verdict::Page { last: false, .. })));
    }
    assert_eq!(empty(1000, true), Err(HttpError::PaginationLoop { page: 1000 }));
}

#[test]
fn a_remote_that_ignores_the_page_parameter_is_a_loop() {
    let mut plan = plan(&numbered(Stop::Empty, None), 10);
    let same = Some([7; 32]);
    let first = plan.next_ask(1).unwrap();
    plan.answered(Answer {
        digest: same,
        ..answer(&first, 10)
    })
    .unwrap();
    let second = plan.next_ask(2).unwrap();
    let error = plan
        .answered(Answer {
            digest: same,
            ..answer(&second, 10)
        })
        .unwrap_err();
    assert_eq!((error.class(), error.sqlstate()), (Class::PaginationLoop, "SY006"));
    assert!(plan.is_finished() && plan.next_ask(9).is_none());
}

#[test]
fn a_link_that_was_followed_before_is_a_loop_unless_its_page_is_empty() {
    let link = |name: &str| Some(PageToken(format!("https://h.example/{name}")));
    // a → b → a → b …: comparing with the previous token alone would not see it.
    for (records, expected) in [(5, None), (0, Some(Verdict::Page { last: true, next: None }))] {
        let mut plan = plan(&Pagination::LinkHeader, 10);
        for next in ["a", "b"] {
            let ask = plan.next_ask(9).unwrap();
            plan.answered(Answer {
                next: link(next),
                ..answer(&ask, 5)
            })
            .unwrap();
        }
        let ask = plan.next_ask(9).unwrap();
        let verdict = plan.answered(Answer {
            next: link("a"),
            ..answer(&ask, records)
        });
        assert_eq!(verdict.ok(), expected);
    }
}

#[test]
fn an_empty_page_with_a_new_link_goes_on() {
    let mut plan = plan(&Pagination::LinkHeader, 10);
    let ask = plan.next_ask(9).unwrap();
    let next = Some(PageToken("https://h.example/b".into()));
    let verdict = plan.answered(Answer {
        next: next.clone(),
        ..answer(&ask, 0)
    });
    assert_eq!(verdict, Ok(Verdict::Page { last: false, next }));
}

#[test]
fn the_page_after_a_link_is_fetched_while_this_one_is_decoded() {
    let link = |name: &str| PageToken(format!("https://h.example/{name}"));
    let mut plan = plan(&Pagination::LinkHeader, 10);
    let first = plan.next_ask(9).unwrap();
    plan.foresee(first.number, first.epoch, Some(&link("b")));
    assert_eq!(
        plan.next_ask(9),
        None,
        "the first page is alone until it was answered well"
    );
    plan.answered(Answer {
        next: Some(link("b")),
        ..answer(&first, 5)
    })
    .unwrap();
    let second = plan.next_ask(9).unwrap();
    plan.foresee(second.number, second.epoch, Some(&link("c")));
    let third = plan.next_ask(9).unwrap();
    assert_eq!((third.number, &third.token), (3, &link("c")));
    plan.answered(Answer {
        next: Some(link("c")),
        ..answer(&second, 5)
    })
    .unwrap();
    assert!(plan.wants(third.number, third.epoch));
    assert_eq!(
        plan.answered(answer(&third, 5)),
        Ok(Verdict::Page { last: true, next: None })
    );
}

fn linked(name: &str) -> PageToken {
    PageToken(format!("https://h.example/{name}"))
}

/// Where a read of links goes on that has had the pages at `tokens`, each with the records of its token's bytes.
fn position_after(tokens: &[&str], next: &str) -> Position {
    let seen = |token: &&str| Seen {
        token: linked(token),
        records: 5,
        digest: digest_of(token),
    };
    Position {
        number: tokens.len() as u64 + 1,
        token: Some(linked(next)),
        before: tokens.iter().map(seen).collect(),
        ..Position::default()
    }
}

fn digest_of(text: &str) -> [u8; 32] {
    blake3::hash(text.as_bytes()).into()
}

#[test]
fn a_resumed_read_knows_the_links_and_the_pages_that_came_before_it() {
    let start = position_after(&["", "a", "b"], "c");
    let mut plan = ReadPlan::new(&Pagination::LinkHeader, None, start.clone()).unwrap();
    let fourth = plan.next_ask(9).unwrap();
    let back = Answer {
        next: Some(linked("a")),
        ..answer(&fourth, 5)
    };
    assert_eq!(plan.answered(back), Err(HttpError::PaginationLoop { page: 4 }));

    let mut plan = ReadPlan::new(&Pagination::LinkHeader, None, start).unwrap();
    let fourth = plan.next_ask(9).unwrap();
    let same_page = Answer {
        next: Some(linked("d")),
        digest: Some(digest_of("b")),
        ..answer(&fourth, 5)
    };
    assert_eq!(plan.answered(same_page), Err(HttpError::PaginationLoop { page: 4 }));
}

#[test]
fn a_token_of_another_scheme_is_refused() {
    let start = Position {
        number: 4,
        token: Some(PageToken("https://h.example/x".into())),
        ..Position::default()
    };
    let error = ReadPlan::new(&offsets(Stop::Empty), None, start).unwrap_err();
    assert_eq!(error, HttpError::BadToken { page: 4 });
}

#[test]
fn declared_pages_end_a_numbered_read_without_a_request_past_them() {
    let totals = Totals {
        records: None,
        pages: Some(Source::Header("x-pages".into())),
    };
    for stop in [Stop::Empty, Stop::Total] {
        let pagination = Pagination::Page {
            param: "page".into(),
            start: 0,
            size_param: None,
            totals: totals.clone(),
            stop,
        };
        let mut plan = plan(&pagination, 10);
        let mut pages = Vec::new();
        // The second page is empty: it ends only a read that stops there.
        for records in [10, 0, 10] {
            let Some(ask) = plan.next_ask(9) else { break };
            let came = Answer {
                total_pages: Some(3),
                ..answer(&ask, records)
            };
            pages.push(plan.answered(came).unwrap());
        }
        let read = if stop == Stop::Total { 3 } else { 2 };
        assert_eq!(pages.len(), read, "{stop:?}");
        assert!(
            matches!(pages.last(), Some(Verdict::Page { last: true, .. })),
            "{stop:?}"
        );
        assert_eq!(asks(&mut plan, 9), [""; 0], "{stop:?}");
    }
}
