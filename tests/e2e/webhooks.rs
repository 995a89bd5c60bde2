//! Payloads that others send us: written once, in order, through the job's own mapping, and judged by the next read.

use crate::incremental::{follower, following};
use crate::shop::{PAGES, SOON, Shop};
use sluice_e2e::{Db, wait_until};

/// Waits until no payload waits, and none is being written.
fn written(shop: &mut Shop) {
    wait_until(&mut shop.db, "every payload is written", SOON, |db| {
        db.is_true(
            "SELECT NOT EXISTS (SELECT FROM sluice.sync_ingest WHERE status = 'queued')
                AND NOT EXISTS (SELECT FROM sluice.sync_runs WHERE status IN ('scheduled', 'running', 'publishing'))",
        )
    });
}

fn send(shop: &mut Shop, payload: &str) -> i64 {
    shop.app
        .number(&format!("SELECT sluice.ingest('products', '{payload}')"))
}

/// A job in mode upsert on a table of two columns, which has never read anything.
fn never_read(mode: &str) -> Shop {
    let mut shop = Shop::open(300);
    shop.app
        .exec("CREATE TABLE products (id bigint PRIMARY KEY, name text NOT NULL, price numeric)");
    shop.app.exec(&format!(
        "SELECT sluice.create_job('products', 'shop', '/page/products', mode => '{mode}', schedule => 'manual',
                                  settings => '{PAGES}')"
    ));
    shop
}

fn rows(db: &mut Db) -> String {
    db.text("SELECT coalesce(string_agg(concat_ws(' ', id, name, price), ', ' ORDER BY id), '') FROM app.products")
}

#[test]
fn a_record_an_array_and_a_page_become_rows_after_the_commit_and_nothing_after_a_rollback() {
    let mut shop = never_read("upsert");
    send(
        &mut shop,
        r#"{"id": 1, "name": "one", "price": 12345678901234567890.123456789}"#,
    );
    send(&mut shop, r#"[{"id": 2, "name": "two"}, {"id": 3, "name": "three"}]"#);
    send(
        &mut shop,
        r#"{"data": [{"id": 4, "name": "four"}], "meta": {"total": 1}}"#,
    );
    send(&mut shop, "[]");
    shop.app.exec("BEGIN");
    send(&mut shop, r#"{"id": 5, "name": "taken back"}"#);
    shop.app.exec("ROLLBACK");
    written(&mut shop);
    assert_eq!(
        rows(&mut shop.db),
        "1 one 12345678901234567890.123456789, 2 two, 3 three, 4 four"
    );
    assert_eq!(shop.db.number("SELECT sum(inserted) FROM sluice.sync_runs"), 4);
    assert_eq!(shop.db.text("SELECT DISTINCT source FROM sluice.sync_runs"), "ingest");
    assert!(shop.api.pages_asked().is_empty(), "nothing is asked of the remote");
}

#[test]
fn the_latest_payload_of_a_key_is_what_stays() {
    let mut shop = never_read("upsert");
    shop.app.exec("BEGIN");
    for number in 1..=300 {
        send(&mut shop, &format!(r#"{{"id": {}, "name": "{number}"}}"#, number % 3));
    }
    shop.app.exec("COMMIT");
    written(&mut shop);
    assert_eq!(rows(&mut shop.db), "0 300, 1 298, 2 299");
    let runs = shop.db.number("SELECT count(*) FROM sluice.sync_runs");
    assert_eq!(runs, 1, "what was committed together is written together");
}

#[test]
fn a_killed_worker_loses_and_doubles_no_payload() {
    for point in ["ingest.applied", "ingest.before_commit"] {
        let mut shop = never_read("upsert");
        shop.app.exec(
            "CREATE TABLE written (id bigint);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN INSERT INTO app.written VALUES (new.id); RETURN new; END';
             CREATE TRIGGER note AFTER INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION note()",
        );
        shop.db.failpoint(point, "kill9");
        shop.app.exec("BEGIN");
        for id in 1..=20 {
            send(&mut shop, &format!(r#"{{"id": {id}, "name": "x"}}"#));
        }
        // The server may be down before the answer comes.
        let _ = shop.app.try_rows("COMMIT");
        shop.recover();
        written(&mut shop);
        let seen = shop
            .db
            .text("SELECT count(*) || ' ' || count(DISTINCT id) FROM app.written");
        assert_eq!(seen, "20 20", "{point}");
        assert_eq!(shop.runs(), ["ingest interrupted", "ingest succeeded"], "{point}");
    }
}

#[test]
fn a_payload_that_cannot_become_rows_is_set_aside_and_those_behind_it_go_on() {
    let mut shop = never_read("upsert");
    shop.app.exec("BEGIN");
    send(&mut shop, r#"{"id": 1, "name": "one"}"#);
    let nameless = send(&mut shop, r#"[{"id": 2, "name": "two"}, {"id": 3, "name": null}]"#);
    let keyless = send(&mut shop, r#"{"name": "no key"}"#);
    let odd = send(&mut shop, r#"[{"id": 4, "name": "x"}, 7]"#);
    let unfit = send(&mut shop, r#"{"id": "four", "name": "x"}"#);
    send(&mut shop, r#"{"id": 5, "name": "five"}"#);
    shop.app.exec("COMMIT");
    written(&mut shop);
    assert_eq!(rows(&mut shop.db), "1 one, 5 five");
    let aside = "SELECT string_agg(concat_ws(' ', id, sqlstate), ', ' ORDER BY id) FROM sluice.sync_ingest WHERE status = 'failed'";
    let expected = format!("{nameless} 23502, {keyless} 23502, {odd} 22032, {unfit} 22P02");
    assert_eq!(shop.db.text(aside), expected);
    let detail = shop.db.text(&format!(
        "SELECT error_detail FROM sluice.sync_ingest WHERE id = {nameless}"
    ));
    assert!(detail.contains("ecord 2") && detail.contains("name"), "{detail}");
    assert!(
        shop.status("error_message").contains("4 payloads"),
        "{}",
        shop.status("error_message")
    );
    // Mended, and tried again.
    shop.app.exec("ALTER TABLE products ALTER COLUMN name DROP NOT NULL");
    assert_eq!(
        shop.app
            .number(&format!("SELECT sluice.retry_ingest('products', {nameless})")),
        1
    );
    written(&mut shop);
    assert_eq!(rows(&mut shop.db), "1 one, 2 two, 3, 5 five");
    assert_eq!(shop.app.number("SELECT sluice.drop_ingest('products')"), 3);
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_ingest"), 0);
    assert_eq!(shop.status("error_message"), "NULL");
}

/// A trigger may refuse a record with an SQLSTATE that nobody knows.
#[test]
fn a_payload_that_a_trigger_refuses_with_a_state_of_its_own_is_set_aside() {
    let mut shop = never_read("upsert");
    shop.app.exec(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN IF NEW.id = 2 THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'AB123'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    shop.app.exec("BEGIN");
    send(&mut shop, r#"{"id": 1, "name": "one"}"#);
    let refused = send(&mut shop, r#"{"id": 2, "name": "two"}"#);
    send(&mut shop, r#"{"id": 3, "name": "three"}"#);
    shop.app.exec("COMMIT");
    written(&mut shop);
    assert_eq!(rows(&mut shop.db), "1 one, 3 three");
    let aside = "SELECT concat_ws(' ', id, status, error_message) FROM sluice.sync_ingest";
    assert_eq!(shop.db.text(aside), format!("{refused} failed not this one"));
}

/// F-R7 for rows that were sent: the remote's collection is what counts.
#[test]
fn the_next_read_of_equal_pages_puts_a_sent_row_right_and_removes_one_that_the_remote_lacks() {
    for mode in ["replace", "upsert"] {
        let mut shop = Shop::with_job(300, PAGES);
        shop.app
            .exec(&format!("SELECT sluice.alter_job('products', mode => '{mode}')"));
        shop.sync();
        shop.sync();
        send(
            &mut shop,
            r#"[{"id": 7, "name": "stale"}, {"id": 9999, "name": "gone already"}]"#,
        );
        written(&mut shop);
        assert_eq!(shop.db.text("SELECT name FROM app.products WHERE id = 7"), "stale");
        assert_eq!(shop.run("concat_ws(' ', inserted, updated)"), "1 1");
        shop.sync();
        assert_eq!(shop.run("updated"), "1", "{mode}");
        match mode {
            "replace" => shop.assert_equal(),
            _ => assert_eq!(shop.app.number("DELETE FROM products WHERE id = 9999 RETURNING 1"), 1),
        }
        shop.assert_equal();
        shop.sync();
        assert_eq!(shop.run("concat_ws(' ', inserted, updated, deleted)"), "0 0 0");
    }
}

#[test]
fn a_row_that_is_sent_in_mid_read_is_left_by_that_read_and_judged_by_the_next() {
    for mode in ["replace", "upsert"] {
        let mut shop = Shop::with_job(300, PAGES);
        shop.app
            .exec(&format!("SELECT sluice.alter_job('products', mode => '{mode}')"));
        shop.sync();
        shop.sync();
        shop.start_and_hold_at(3);
        shop.app.exec("SELECT sluice.stop_sync('products')");
        shop.wait_for_run("stopped");
        shop.api.release();
        send(
            &mut shop,
            r#"[{"id": 7, "name": "stale"}, {"id": 9999, "name": "new"}]"#,
        );
        written(&mut shop);
        shop.sync();
        assert!(
            shop.db.is_true("SELECT count(*) = 1 FROM app.products WHERE id = 9999"),
            "{mode}"
        );
        shop.sync();
        if mode == "upsert" {
            shop.app.exec("DELETE FROM products WHERE id = 9999");
        }
        shop.assert_equal();
    }
}

#[test]
fn a_tombstone_removes_a_row_that_no_read_but_a_payload_has_brought() {
    let settings = following(r#""params": {"tombstones": 1}, "deleted_when": "@.deleted == true", "#);
    let mut shop = follower(300, &settings);
    let sent = r#"[{"id": 301, "name": "new"}, {"id": 302, "name": "newer"}]"#;
    shop.api.add(2);
    send(&mut shop, sent);
    written(&mut shop);
    shop.api.remove_ids(&[301, 302]);
    shop.sync();
    assert_eq!(shop.run("deleted"), "2");
    shop.assert_equal();
    // What is sent again is there again, until the latest tombstone comes once more, for the bound includes.
    send(&mut shop, r#"{"id": 302, "name": "newer"}"#);
    written(&mut shop);
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products WHERE id > 300"), 1);
    shop.sync();
    shop.assert_equal();
}

#[test]
fn a_job_that_is_altered_to_replace_removes_what_was_sent_to_the_upsert() {
    let mut shop = follower(300, PAGES);
    send(&mut shop, r#"{"id": 9999, "name": "new"}"#);
    written(&mut shop);
    shop.app.exec("SELECT sluice.alter_job('products', mode => 'replace')");
    shop.sync();
    shop.sync();
    shop.assert_equal();
}

/// P4: what was sent is as safe from an empty answer as what was read.
#[test]
fn an_empty_answer_removes_no_row_that_was_sent() {
    let mut shop = never_read("replace");
    send(&mut shop, r#"[{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]"#);
    written(&mut shop);
    shop.api
        .misbehave(sample_api::Fault::body(r#"{"data": [], "meta": {"total": 0}}"#));
    shop.failing_sync();
    assert_eq!(rows(&mut shop.db), "1 one, 2 two");
    shop.api.clear_faults();
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 300);
    shop.api.remove_ids(&[2]);
    shop.sync();
    assert_eq!(shop.db.number("SELECT count(*) FROM app.products"), 299);
}

#[test]
fn payloads_wait_for_a_read_under_way_and_come_right_after_it() {
    let mut shop = Shop::loaded(300, PAGES);
    shop.start_and_hold_at(2);
    send(&mut shop, r#"{"id": 9999, "name": "waits"}"#);
    wait_until(&mut shop.db, "it waits", SOON, |db| {
        db.is_true("SELECT waits_for = 'the run under way' FROM sluice.sync_ingest")
    });
    shop.api.release();
    written(&mut shop);
    assert_eq!(
        shop.runs(),
        ["manual succeeded", "manual succeeded", "ingest succeeded"]
    );
    assert_eq!(shop.db.text("SELECT name FROM app.products WHERE id = 9999"), "waits");
}

#[test]
fn a_paused_job_keeps_its_payloads_and_says_so() {
    let mut shop = never_read("upsert");
    shop.app.exec("SELECT sluice.pause_job('products')");
    shop.app.take_notices();
    let id = send(&mut shop, r#"{"id": 1, "name": "one"}"#);
    let told = shop.app.take_notices().join("\n");
    assert_eq!(told, format!("payload {id} waits: job \"products\" is paused"));
    assert_eq!(
        shop.db.text("SELECT waits_for FROM sluice.sync_ingest"),
        "you: resume_job()"
    );
    shop.app.exec("SELECT sluice.resume_job('products')");
    written(&mut shop);
    assert_eq!(rows(&mut shop.db), "1 one");
}

#[test]
fn a_receiver_of_the_owner_takes_payloads_from_a_role_without_rights() {
    let mut shop = never_read("upsert");
    shop.db.exec(
        "CREATE ROLE web LOGIN; CREATE ROLE other LOGIN; SELECT sluice.grant_access('other', 'writer');
         CREATE ROLE watch LOGIN; SELECT sluice.grant_access('watch', 'monitor')",
    );
    shop.app.exec(
        "CREATE FUNCTION receive(payload jsonb) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
            AS 'SELECT sluice.ingest(''products'', payload)';
         REVOKE ALL ON FUNCTION receive FROM PUBLIC; GRANT EXECUTE ON FUNCTION receive TO web; GRANT USAGE ON SCHEMA app TO web",
    );
    shop.app.exec("SELECT sluice.pause_job('products')");
    let mut web = shop.cluster.db_as("web", "postgres");
    web.exec(r#"SELECT app.receive('{"id": 1, "name": "secret"}')"#);
    let direct = web.error(r#"SELECT sluice.ingest('products', '{"id": 2, "name": "x"}')"#);
    assert_eq!(direct.sqlstate, "42501");
    let mut other = shop.cluster.db_as("other", "postgres");
    let foreign = other.error(r#"SELECT sluice.ingest('products', '{"id": 2, "name": "x"}')"#);
    assert_eq!(foreign.sqlstate, "42704", "{foreign}");
    let mut watch = shop.cluster.db_as("watch", "postgres");
    let seen = watch.text("SELECT concat_ws(' ', data_type, status, queued_by, payload) FROM sluice.sync_ingest");
    assert_eq!(seen, "products queued app");
    assert!(
        shop.app
            .is_true("SELECT payload ->> 'name' = 'secret' FROM sluice.sync_ingest")
    );
    shop.app.exec("SELECT sluice.resume_job('products')");
    written(&mut shop);
    assert_eq!(rows(&mut shop.db), "1 secret");
}

#[test]
fn what_was_sent_can_be_rolled_back() {
    let mut shop = Shop::loaded(300, PAGES);
    send(&mut shop, r#"[{"id": 7, "name": "sent"}, {"id": 9999, "name": "new"}]"#);
    written(&mut shop);
    shop.app.exec("CALL sluice.rollback_to('products', resume => true)");
    shop.assert_equal();
    // A row of somebody else that has the key now is not the job's own.
    shop.app.exec("INSERT INTO products (id, name) VALUES (9999, 'local')");
    shop.sync();
    assert_eq!(shop.db.text("SELECT name FROM app.products WHERE id = 9999"), "local");
    // Over several runs, a read among them.
    shop.app.exec("DELETE FROM products WHERE id = 9999");
    send(&mut shop, r#"{"id": 7, "name": "sent"}"#);
    written(&mut shop);
    shop.sync();
    send(&mut shop, r#"{"id": 8, "name": "sent"}"#);
    written(&mut shop);
    let first = shop
        .db
        .number("SELECT min(id) FROM sluice.sync_runs WHERE status = 'succeeded'");
    shop.app.exec(&format!("CALL sluice.rollback_to('products', {first})"));
    shop.assert_equal();
}

#[test]
fn a_cause_outside_of_the_payloads_keeps_them_until_it_is_mended() {
    let mut shop = never_read("upsert");
    shop.app.exec("REVOKE INSERT ON products FROM app");
    send(&mut shop, r#"{"id": 1, "name": "one"}"#);
    wait_until(&mut shop.db, "the run has failed", SOON, |db| {
        db.is_true("SELECT attempts = 1 AND retry_at > now() AND sqlstate = '42501' FROM sluice.sync_ingest")
    });
    assert_eq!(shop.run("status"), "failed");
    assert_eq!(shop.status("error_class"), "config");
    shop.app.exec("GRANT INSERT ON products TO app");
    shop.app.exec("SELECT sluice.retry_ingest('products')");
    written(&mut shop);
    assert_eq!(rows(&mut shop.db), "1 one");
}

/// A call that wants a read gets one, whatever is being written.
#[test]
fn a_read_that_is_asked_for_while_payloads_are_written_comes_right_after_them() {
    let mut shop = Shop::loaded(300, PAGES);
    shop.db.failpoint("ingest.applied", "pause");
    send(&mut shop, r#"{"id": 7, "name": "stale"}"#);
    wait_until(&mut shop.db, "the payload is being written", SOON, |db| {
        db.is_true("SELECT EXISTS (SELECT FROM sluice.sync_runs WHERE source = 'ingest' AND status = 'running')")
    });
    let call = shop
        .cluster
        .db_as("app", "postgres")
        .call("CALL sluice.sync('products')");
    shop.db.failpoint("ingest.applied", "off");
    let (outcome, _) = call.finish();
    outcome.expect("the read");
    shop.assert_equal();
}
