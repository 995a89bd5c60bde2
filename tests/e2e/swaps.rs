//! Values that change places under a unique constraint which PostgreSQL checks row by row.

use crate::shop::Shop;
use sample_api::{Fault, Rule};

const PAGED: &str = r#""records": "$.data", "page_size": 5, "commit_every": {"pages": 1}, "confirm_deletes": false, "max_shrink": 1,
    "on_empty": "accept", "pagination": {"type": "page", "size_param": "per_page"}"#;

/// Serves records `(id, n)` as pages from now on.
fn serve(shop: &Shop, pages: &[&[(u32, &str)]]) {
    shop.api.clear_faults();
    for (number, records) in (1..).zip(pages.iter().chain(&[&[][..]])) {
        let each = records.iter().map(|(id, n)| format!(r#"{{"id": {id}, "n": {n}}}"#));
        let body = format!(r#"{{"data": [{}]}}"#, each.collect::<Vec<_>>().join(","));
        shop.api.misbehave(Rule::new(Fault::body(body)).page(number));
    }
}

/// A shop whose job has loaded these records into a table whose column `n` has this definition.
fn loaded(mode: &str, n: &str, more: &str, records: &[(u32, &str)]) -> Shop {
    let mut shop = Shop::open(1);
    shop.app.exec(&format!(
        "CREATE TABLE products (id bigint PRIMARY KEY, n {n}, note text);
         SELECT sluice.create_job('products', 'shop', '/page/products', mode => '{mode}', schedule => 'manual',
             settings => '{{{PAGED}{more}}}')"
    ));
    serve(&shop, &[records]);
    shop.sync();
    shop.app.exec("UPDATE products SET note = 'ours'");
    shop
}

fn rows(shop: &mut Shop) -> String {
    shop.db
        .text("SELECT string_agg(concat_ws(' ', id, n, note), ', ' ORDER BY id) FROM app.products")
}

const COUNTS: &str = "concat_ws(' ', inserted, updated, deleted, rejected)";

#[test]
fn values_that_change_places_under_a_unique_constraint_do_so() {
    let kinds = [
        ("bigint UNIQUE", ["1", "2", "3", "4"]),
        ("integer NOT NULL UNIQUE", ["1", "2", "3", "4"]),
        ("text NOT NULL UNIQUE", ["\"a\"", "\"b\"", "\"c\"", "\"d\""]),
        (
            "date NOT NULL UNIQUE",
            ["\"2024-01-01\"", "\"2024-01-02\"", "\"2024-01-03\"", "\"2024-01-04\""],
        ),
    ];
    for (kind, [a, b, c, d]) in kinds {
        for (mode, more) in [
            ("replace", ""),
            ("upsert", ""),
            ("replace", r#", "on_bad_record": "fail""#),
        ] {
            let what = format!("{kind} {mode}{more}");
            let mut shop = loaded(mode, kind, more, &[(1, a), (2, b), (3, c), (4, d)]);
            let before = rows(&mut shop);
            // Two that change places, and a third that is new takes what one of them had.
            serve(&shop, &[&[(1, b), (2, a), (3, c), (4, d)]]);
            shop.sync();
            assert_eq!(shop.run(COUNTS), "0 2 0 0", "{what}");
            // A ring of three.
            serve(&shop, &[&[(1, c), (2, b), (3, a), (4, d)]]);
            shop.sync();
            let bare = |text: &str| text.trim_matches('"').to_owned();
            let ring = format!(
                "1 {} ours, 2 {} ours, 3 {} ours, 4 {} ours",
                bare(c),
                bare(b),
                bare(a),
                bare(d)
            );
            assert_eq!(rows(&mut shop), ring, "{what}");
            assert_eq!(shop.run(COUNTS), "0 3 0 0", "{what}");
            for _ in 0..2 {
                shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
                assert_eq!(shop.run("error_message"), "NULL", "{what}");
            }
            assert_eq!(rows(&mut shop), before, "{what}");
        }
    }
}

/// What changes places does so, and what stands in the way of a row that stays is a reject.
#[test]
fn a_value_that_another_row_keeps_is_a_reject_beside_those_that_change_places() {
    for (mode, pages) in [("replace", 2), ("upsert", 1)] {
        let mut shop = loaded(
            mode,
            "text NOT NULL UNIQUE",
            "",
            &[(1, "\"a\""), (2, "\"b\""), (3, "\"c\"")],
        );
        shop.db.exec("INSERT INTO app.products VALUES (9, 'x', 'of others')");
        let all: &[(u32, &str)] = &[(1, "\"b\""), (2, "\"a\""), (3, "\"x\""), (4, "\"c\"")];
        match pages {
            1 => serve(&shop, &[all]),
            _ => serve(&shop, &[&all[..1], &all[1..]]),
        }
        shop.sync();
        let kept = "1 b ours, 2 a ours, 3 c ours, 9 x of others";
        assert_eq!(rows(&mut shop), kept, "{mode}");
        assert_eq!(shop.run(COUNTS), "0 2 0 2", "{mode}");
        let told = "SELECT string_agg(key::jsonb ->> 'id', ' ' ORDER BY key) FROM sluice.sync_rejects";
        assert_eq!(shop.db.text(told), "3 4", "{mode}");
    }
}

/// With rows of two commits of an upsert in each other's way, a replay of what was rejected has both.
#[test]
fn a_replay_writes_what_two_commits_had_in_each_others_way() {
    let mut shop = loaded("upsert", "bigint NOT NULL UNIQUE", "", &[(1, "1"), (2, "2")]);
    serve(&shop, &[&[(1, "2")], &[(2, "1")]]);
    shop.sync();
    assert_eq!(shop.run(COUNTS), "0 0 0 2");
    shop.app.exec("CALL sluice.replay_rejects('products')");
    assert_eq!(rows(&mut shop), "1 2 ours, 2 1 ours");
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    assert_eq!(rows(&mut shop), "1 1 ours, 2 2 ours");
}
