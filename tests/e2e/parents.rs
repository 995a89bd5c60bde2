//! Collections below each row of a local query: which parents are asked for, what is resumed, what is removed.

use crate::shop::{SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::{eventually, kill9, wait_until};

/// The products of each group, page by page of five, with the group's number in a column of its own.
pub const SETTINGS: &str = r#"{"records": "$.data", "page_size": 5, "commit_every": {"pages": 1},
    "pagination": {"type": "page", "size_param": "per_page"},
    "columns": {"id": "$.id", "name": "$.name", "price": "$.price", "group_id": {"parent": "number"}},
    "foreach": {"query": "SELECT number FROM app.groups ORDER BY number"}}"#;

/// A shop with groups 1 to `groups` in a table, and a job that reads the products below each; it has not run yet.
pub fn grouped(products: u64, groups: u64, mode: &str, settings: &str) -> Shop {
    let mut shop = Shop::open(products);
    shop.app.exec(&format!(
        "CREATE TABLE groups (number text PRIMARY KEY); INSERT INTO groups SELECT lpad(g::text, 5, '0') FROM generate_series(1, {groups}) AS g;
         CREATE TABLE products (id bigint PRIMARY KEY, name text, price numeric, group_id text)"
    ));
    create(&mut shop, mode, settings);
    shop
}

fn create(shop: &mut Shop, mode: &str, settings: &str) {
    let settings = settings.replace('\'', "''");
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/groups/{{number}}/products', mode => '{mode}', schedule => 'manual',
                                  settings => '{settings}')"
    ));
}

/// The same for an API that answers each with one page.
fn one_page() -> String {
    let paged = r#""pagination": {"type": "page", "size_param": "per_page"},"#;
    SETTINGS.replace(paged, "").replace(r#""page_size": 5, "#, "")
}

/// What app.products has: rows, groups, the sum of ids, and rows that stand in a wrong group.
pub fn rows(shop: &mut Shop) -> String {
    shop.db.text(
        "SELECT concat_ws(' ', count(*), count(DISTINCT group_id), sum(id),
                count(*) FILTER (WHERE group_id::bigint <> (id + 9) / 10)) FROM app.products",
    )
}

pub fn parents(shop: &mut Shop) -> String {
    shop.db.text(
        "SELECT string_agg(state || ' ' || n, ', ' ORDER BY state)
         FROM (SELECT state, count(*) AS n FROM sluice.sync_parents GROUP BY state) AS s",
    )
}

/// The query may call what anybody has made.
#[test]
fn a_superusers_table_has_no_parents() {
    let mut shop = grouped(10, 1, "replace", SETTINGS);
    shop.app.exec("SELECT sluice.drop_job('products')");
    shop.db.exec("ALTER TABLE app.products OWNER TO postgres");
    let settings = SETTINGS.replace('\'', "''");
    shop.db.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/groups/{{number}}/products', target => 'app.products',
                                  schedule => 'manual', settings => '{settings}')"
    ));
    shop.api.clear_log();
    let error = shop.db.error("CALL sluice.sync('products')");
    assert_eq!(error.sqlstate, "42501");
    let detail = error.detail.unwrap_or_default();
    assert!(detail.contains("query of the setting foreach"), "{detail}");
    assert_eq!(shop.api.requests().len(), 0);
}

#[test]
fn every_parent_is_read_and_its_rows_know_it() {
    for mode in ["replace", "upsert"] {
        let mut shop = grouped(100, 12, mode, SETTINGS);
        shop.sync();
        // Groups 11 and 12 have no products.
        assert_eq!(rows(&mut shop), "100 10 5050 0", "{mode}");
        assert_eq!(parents(&mut shop), "done 12");
        shop.api.change(20.0, 1);
        shop.sync();
        assert_eq!(
            shop.run("concat_ws(' ', inserted, updated, deleted)"),
            "0 20 0",
            "{mode}"
        );
        shop.sync();
        assert_eq!(
            shop.run("concat_ws(' ', inserted, updated, deleted)"),
            "0 0 0",
            "{mode}"
        );
    }
}

#[test]
fn a_parameter_takes_a_parents_value_too() {
    let mut shop = Shop::open(100);
    shop.app.exec(
        "CREATE TABLE products (id bigint PRIMARY KEY, name text);
         SELECT sluice.create_job('products', 'shop', '/page/products', schedule => 'manual', settings => '{
            \"records\": \"$.data\", \"page_size\": 5, \"pagination\": {\"type\": \"page\", \"size_param\": \"per_page\"},
            \"columns\": {\"id\": \"$.id\", \"name\": \"$.name\"}, \"params\": {\"group\": \"{g}\"},
            \"foreach\": {\"query\": \"SELECT g FROM generate_series(1, 3) AS g -- the first ones\"}}')",
    );
    shop.sync();
    assert_eq!(
        shop.db.text("SELECT count(*) || ' ' || max(id) FROM app.products"),
        "30 30"
    );
}

#[test]
fn a_member_of_a_posted_body_takes_a_parents_value_with_its_kind() {
    let mut shop = Shop::open(100);
    shop.db.exec("ALTER SERVER shop OPTIONS (ADD methods 'GET, POST')");
    shop.app.exec(
        "CREATE TABLE products (id bigint PRIMARY KEY, name text);
         SELECT sluice.create_job('products', 'shop', '/page/products', schedule => 'manual', settings => '{
            \"records\": \"$.data\", \"page_size\": 5, \"concurrency\": 1, \"method\": \"POST\",
            \"body\": {\"filter\": {\"group\": \"{g}\", \"by\": [\"{label}\"]}, \"note\": \"of {g} {\"},
            \"pagination\": {\"type\": \"page\", \"size_param\": \"per_page\"},
            \"columns\": {\"id\": \"$.id\", \"name\": \"$.name\"},
            \"foreach\": {\"query\": \"SELECT g, quote_ident(g || $$ \\\"x$$) AS label FROM generate_series(1, 3) AS g\"}}')",
    );
    shop.sync();
    assert_eq!(
        shop.db.text("SELECT count(*) || ' ' || max(id) FROM app.products"),
        "30 30"
    );
    let first = shop.api.requests().swap_remove(0);
    let sent: String = String::from_utf8(first.body).expect("a body is text");
    let filter = r#""filter":{"by":["\"1 \"\"x\""],"group":1},"note":"of {g} {""#;
    assert!(sent.contains(filter), "{sent}");
}

/// The table is made in the transaction in which the query of parents has run without the right to write.
#[test]
fn a_table_is_made_from_what_the_first_parent_has() {
    let mut shop = Shop::open(100);
    shop.app
        .exec("CREATE TABLE groups (number bigint PRIMARY KEY); INSERT INTO groups SELECT generate_series(2, 4)");
    shop.app.exec(
        r#"SELECT sluice.create_job('products', 'shop', '/page/groups/{number}/products', key => '{id}', schedule => 'manual',
            settings => '{"records": "$.data", "page_size": 5, "pagination": {"type": "page", "size_param": "per_page"},
                "foreach": {"query": "SELECT number FROM app.groups ORDER BY number"}}')"#,
    );
    let asked: Vec<String> = shop.api.requests().into_iter().map(|line| line.target).collect();
    assert!(
        asked.len() == 1 && asked[0].starts_with("/page/groups/2/products"),
        "{asked:?}"
    );
    shop.sync();
    let seen = "SELECT concat_ws(' ', count(*), min(id), max(id), count(price)) FROM app.products";
    assert_eq!(shop.db.text(seen), "30 11 40 30");
    // Declared columns: one of them is the parent's, with a type that takes its values.
    shop.app.exec(
        r#"SELECT sluice.create_job('below', 'shop', '/page/groups/{number}/products', key => '{group_id,id}', schedule => 'manual',
            settings => '{"records": "$.data", "page_size": 5, "pagination": {"type": "page", "size_param": "per_page"},
                "columns": {"group_id": {"parent": "number"}, "id": "$.id", "name": "$.name"},
                "foreach": {"query": "SELECT number FROM app.groups"}}')"#,
    );
    shop.app.exec("CALL sluice.sync('below')");
    let seen = "SELECT concat_ws(' ', count(*), sum(group_id), pg_typeof(min(group_id))) FROM app.below";
    assert_eq!(shop.db.text(seen), "30 90 bigint");
}

#[test]
fn what_is_discovered_below_the_first_parent_is_a_job_for_all_of_them() {
    let mut shop = Shop::open(100);
    shop.app
        .exec("CREATE TABLE groups (number bigint PRIMARY KEY); INSERT INTO groups SELECT generate_series(2, 4)");
    let discover = |what: &str, aspect: &str| {
        let settings = r#"{"foreach": {"query": "SELECT number FROM app.groups ORDER BY number"}}"#;
        format!(
            "SELECT {what} FROM sluice.discover('shop', '/page/groups/{{number}}/products', '{settings}') WHERE aspect = '{aspect}'"
        )
    };
    let below = shop.app.text(&discover("proposal", "foreach"));
    assert_eq!(below, r#"{"number": 2}"#);
    for line in shop.api.requests() {
        assert!(line.target.starts_with("/page/groups/2/products"), "{}", line.target);
    }
    let statement = shop.app.text(&discover("evidence", "create_job"));
    shop.app.exec(&statement);
    shop.sync();
    let seen = "SELECT concat_ws(' ', count(*), min(id), max(id), count(price)) FROM app.products";
    assert_eq!(shop.db.text(seen), "30 11 40 30");
}

#[test]
fn a_preview_shows_records_of_the_first_parent_with_its_values() {
    let mut shop = grouped(100, 3, "replace", SETTINGS);
    let settings = SETTINGS.replace('\'', "''");
    for target in ["NULL", "'app.products'"] {
        let seen = shop.app.text(&format!(
            "SELECT concat_ws(' ', count(*), min((row ->> 'id')::int), max((row ->> 'id')::int), min(row ->> 'group_id'), count(problem))
             FROM sluice.preview('shop', '/page/groups/{{number}}/products', '{settings}', {target}, key => '{{id}}')"
        ));
        assert_eq!(seen, "5 1 5 00001 0", "{target}");
    }
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 0);
}

/// S-2: what the query calls has the rights of the role that is to own the table, never those of a superuser.
#[test]
fn a_superuser_has_the_query_run_by_the_role_that_is_to_own_the_table() {
    let mut shop = Shop::open(100);
    shop.app.exec(
        "CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql AS $$ BEGIN IF current_user = 'app' THEN RETURN '00002'; END IF; RETURN '00001'; END $$",
    );
    // Names mean what they mean in the session, for the check and for the row.
    shop.db.exec("SET search_path = app, public");
    let make = |owner: &str| {
        let settings = format!(r#"{{"records": "$.data", {owner} "foreach": {{"query": "SELECT who() AS g"}}}}"#);
        format!(
            "SELECT sluice.create_job('made', 'shop', '/page/groups/{{g}}/products', 'app.made', key => '{{id}}', schedule => 'manual', settings => '{settings}')"
        )
    };
    assert_eq!(shop.db.error(&make("")).sqlstate, "42501");
    assert_eq!(shop.db.error(&make(r#""owner": "postgres","#)).sqlstate, "42501");
    shop.api.clear_log();
    shop.db.exec(&make(r#""owner": "app","#));
    let asked = shop.api.requests().swap_remove(0).target;
    assert!(asked.starts_with("/page/groups/00002/"), "{asked}");
    assert_eq!(
        shop.db
            .text("SELECT current_user || ' ' || current_setting('transaction_read_only')"),
        "postgres off"
    );
}

#[test]
fn rows_that_vanish_below_a_parent_or_with_it_are_removed() {
    let mut shop = grouped(100, 10, "replace", &one_page());
    shop.sync();
    shop.api.remove_ids(&[1, 15]);
    shop.sync();
    assert_eq!(shop.run("deleted"), "2");
    shop.app.exec("DELETE FROM groups WHERE number = '00010'");
    shop.sync();
    assert_eq!(shop.run("deleted"), "10");
    assert_eq!(rows(&mut shop), "88 9 4079 0");
    // None left: what was there stays.
    shop.app.exec("DELETE FROM groups");
    shop.failing_sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 88);
}

/// A parent that is gone at the remote says nothing of the others, and nothing of its own rows unless the job says so.
#[test]
fn an_absent_parent_keeps_its_rows_and_the_others_lose_theirs() {
    let mut shop = grouped(100, 10, "replace", &one_page());
    shop.sync();
    shop.api
        .misbehave(Rule::new(Fault::status(404, &[])).path("/page/groups/00003/"));
    shop.api.remove_ids(&[1]);
    for _ in 0..2 {
        shop.sync();
        assert_eq!(parents(&mut shop), "done 9, failed 1");
        assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 99);
        assert_eq!(shop.status("unconfirmed"), "0");
    }
    let told = "SELECT columns ->> 'number' || ': ' || (error_message ~ '404')::text FROM sluice.sync_parents WHERE state = 'failed'";
    assert_eq!(shop.app.text(told), "00003: true");
    // It is there again.
    shop.api.clear_faults();
    shop.api.remove_ids(&[21]);
    shop.sync();
    assert_eq!(shop.run("deleted"), "1");
    // With "empty" 404 means that there are no children.
    shop.api
        .misbehave(Rule::new(Fault::status(404, &[])).path("/page/groups/00003/"));
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"foreach": {"query": "SELECT number FROM app.groups", "absent": "empty"}}')"#);
    shop.sync();
    assert_eq!(shop.run("deleted"), "9");
    shop.app
        .exec(r#"SELECT sluice.alter_job('products', settings => '{"foreach": {"query": "SELECT number FROM app.groups", "absent": "fail"}}')"#);
    assert_eq!(shop.failing_sync().sqlstate, "22023");
}

#[test]
fn a_read_that_is_held_says_why_also_where_a_parent_is_absent() {
    let mut shop = grouped(100, 12, "replace", SETTINGS);
    shop.sync();
    let absent = "INSERT INTO groups VALUES ('/'); DELETE FROM groups WHERE number BETWEEN '00002' AND '00009'";
    shop.app.exec(absent);
    let error = shop.failing_sync();
    let detail = error.detail.unwrap_or_default();
    assert!(detail.contains("Of 100 rows, 80 are missing"), "{detail}");
    assert!(detail.contains("1 of 5 parents could not be read"), "{detail}");
}

#[test]
fn a_killed_run_goes_on_at_the_exact_page_of_the_exact_parent() {
    for mode in ["replace", "upsert"] {
        let mut shop = grouped(100, 10, mode, &SETTINGS.replacen('{', "{\"concurrency\": 1, ", 1));
        shop.api
            .misbehave(Rule::new(Fault::Hang).path("/page/groups/00004/").page(2).times(1));
        shop.start();
        wait_until(&mut shop.db, "three parents and a page are committed", SOON, |db| {
            db.is_true(
                "SELECT count(*) FILTER (WHERE state = 'done') = 3 AND bool_or(state = 'reading' AND pages = 1) FROM sluice.sync_parents",
            )
        });
        shop.api.clear_log();
        let worker = shop.worker();
        kill9(worker);
        shop.recover();
        shop.wait_for_run("succeeded");
        assert_eq!(rows(&mut shop), "100 10 5050 0", "{mode}");
        let asked: Vec<String> = shop.api.requests().into_iter().map(|line| line.target).collect();
        assert!(
            asked[0].starts_with("/page/groups/00004/") && asked[0].contains("page=2"),
            "{mode}: {asked:?}"
        );
        assert!(!asked.iter().any(|target| target.contains("/00003/")), "{asked:?}");
    }
}

#[test]
fn a_crash_at_a_commit_loses_and_doubles_nothing() {
    for point in ["batch.applied", "batch.before_commit", "publish.before_commit"] {
        let mut shop = grouped(60, 6, "replace", SETTINGS);
        shop.db.failpoint(point, "kill9");
        shop.start();
        shop.recover();
        shop.wait_for_run("succeeded");
        assert_eq!(rows(&mut shop), "60 6 1830 0", "{point}");
    }
}

/// S-20: no value of a local table leads anywhere but below its segment.
#[test]
fn hostile_values_lead_nowhere_else_and_stop_nobody() {
    let mut shop = grouped(100, 3, "replace", SETTINGS);
    shop.app.exec(
        r"ALTER TABLE groups DROP CONSTRAINT groups_pkey; ALTER TABLE groups ALTER COLUMN number DROP NOT NULL;
          INSERT INTO groups VALUES ('../../admin'), ('..'), ('.'), ('a/b'), ('%2f'), ('%2e%2e'), (E'x\ny'), (E'a\\b'), (''), (NULL),
              ('?page=1'), ('#x'), ('größe'), ('a b'), ('&x=1'), (';'), ('{number}'), ('http://evil.example/')",
    );
    shop.sync();
    assert_eq!(rows(&mut shop), "30 3 465 0");
    assert_eq!(parents(&mut shop), "done 3, failed 18");
    for line in shop.api.requests() {
        let path = line.target.split('?').next().unwrap_or_default().to_string();
        let segments: Vec<&str> = path.split('/').collect();
        assert!(
            segments.len() == 5 && segments[1] == "page" && segments[2] == "groups" && segments[4] == "products",
            "{path}"
        );
    }
}

#[test]
fn ten_thousand_parents_are_read_by_one_pace() {
    let mut shop = grouped(
        10_000,
        10_000,
        "replace",
        &one_page().replace("\"commit_every\": {\"pages\": 1},", ""),
    );
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 10_000);
    assert_eq!(parents(&mut shop), "done 10000");
    assert!(shop.api.most_at_once() <= 8, "{}", shop.api.most_at_once());
}

#[test]
fn the_query_runs_as_the_owner_reads_only_and_has_its_time() {
    let mut shop = grouped(100, 3, "replace", SETTINGS);
    shop.db
        .exec("CREATE TABLE public.others (number text); INSERT INTO public.others VALUES ('00001')");
    let set = |query: &str| {
        format!(
            "SELECT sluice.alter_job('products', settings => jsonb_build_object('foreach', jsonb_build_object('query', $q${query}$q$, 'timeout', '1 second')))"
        )
    };
    shop.app.exec(&set("SELECT number FROM public.others"));
    assert_eq!(shop.failing_sync().sqlstate, "42501");
    shop.app.exec(
        "CREATE FUNCTION sneak() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN DELETE FROM app.groups; RETURN '00001'; END $f$",
    );
    shop.app.exec(&set("SELECT app.sneak() AS number"));
    assert_eq!(shop.failing_sync().sqlstate, "25006");
    assert_eq!(shop.db.number("SELECT count(*) FROM app.groups"), 3);
    shop.app.exec(&set("SELECT '1' AS number FROM pg_sleep(60)"));
    let slow = shop.failing_sync();
    assert_eq!(slow.sqlstate, "57014", "{slow}");
    assert!(eventually(SOON, || shop.status("error_class") == "timeout"));
    shop.app.exec(&set("SELECT number FROM app.groups"));
    shop.sync();
    assert_eq!(rows(&mut shop), "30 3 465 0");
}

#[test]
fn a_run_that_could_read_no_parent_fails_and_the_next_one_asks_again() {
    let mut shop = grouped(100, 3, "replace", &one_page());
    shop.sync();
    shop.api
        .misbehave(Rule::new(Fault::status(404, &[])).path("/page/groups/"));
    for _ in 0..2 {
        assert_eq!(shop.failing_sync().sqlstate, "22023");
        assert_eq!(shop.status("error_message"), "no parent could be read");
        assert_eq!(rows(&mut shop), "30 3 465 0");
    }
    shop.api.clear_faults();
    shop.sync();
    assert_eq!(parents(&mut shop), "done 3");
}

#[test]
fn what_is_sent_to_a_job_with_parents_leaves_their_columns_alone() {
    let mut shop = grouped(100, 3, "replace", &one_page());
    shop.sync();
    shop.app
        .exec(r#"SELECT sluice.ingest('products', '[{"id": 7, "name": "sent"}, {"id": 500, "name": "new"}]')"#);
    wait_until(&mut shop.db, "the payload is written", SOON, |db| {
        db.is_true("SELECT count(*) = 1 FROM app.products WHERE name = 'sent' AND group_id = '00001'")
    });
    shop.wait_for_run("succeeded");
    for _ in 0..2 {
        shop.sync();
    }
    assert_eq!(rows(&mut shop), "30 3 465 0");
}
