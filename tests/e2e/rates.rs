//! The rate budget of a host and a credential: shared by all workers, learned from answers, kept over crashes.

use crate::shop::{PAGES, SOON, Shop};
use sample_api::{Fault, Rule};
use sluice_e2e::{Stop, eventually, kill9, wait_until};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One request at a time, so that the log shows what was waited for.
const ALONE: &str = r#"{"records": "$.data", "page_size": 100, "commit_every": {"pages": 1}, "concurrency": 1,
    "pagination": {"type": "page", "size_param": "per_page", "total": "$.meta.total"}, "retry": {"request_cap": "1 ms"}}"#;

pub fn option(shop: &mut Shop, name: &str, value: &str) {
    shop.db
        .exec(&format!("ALTER SERVER shop OPTIONS (ADD {name} '{value}')"));
}

fn start(shop: &mut Shop, job: &str) {
    shop.app.exec(&format!("SELECT sluice.start_sync('{job}')"));
}

fn wait_for_status(shop: &mut Shop, job: &str, status: &str) {
    let sql = format!("SELECT status FROM sluice.sync_status WHERE data_type = '{job}'");
    wait_until(&mut shop.db, &format!("{job} is {status}"), SOON, |db| {
        db.value(&sql).as_deref() == Some(status)
    });
}

fn wait_for_success(shop: &mut Shop, job: &str) {
    let sql = format!("SELECT status FROM sluice.sync_runs WHERE data_type = '{job}' ORDER BY id DESC LIMIT 1");
    wait_until(&mut shop.db, &format!("{job} has succeeded"), SOON, |db| {
        db.value(&sql).as_deref() == Some("succeeded")
    });
}

pub fn budget(shop: &mut Shop, column: &str) -> String {
    shop.db
        .value(&format!("SELECT {column} FROM sluice.sync_rate_limits"))
        .unwrap_or_else(|| "NULL".into())
}

fn wait_for_budget(shop: &mut Shop, condition: &str) {
    let sql = format!("SELECT {condition} FROM sluice.sync_rate_limits");
    wait_until(&mut shop.db, condition, SOON, |db| db.is_true(&sql));
}

/// Seconds at which requests came, from the first on.
fn times(shop: &Shop) -> Vec<f64> {
    let at = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let times: Vec<f64> = shop.api.requests().iter().map(|line| at(line.at)).collect();
    let first = times.first().copied().unwrap_or(0.0);
    times.into_iter().map(|time| time - first).collect()
}

/// Moves pg_sluice's clock; the launcher looks at once.
fn clock(shop: &mut Shop, seconds: u32) {
    let value = format!("{seconds} s");
    shop.cluster.configure("sluice.debug_clock_offset", &value);
    shop.db.exec("SELECT pg_reload_conf()");
    let shown = format!("SELECT current_setting('sluice.debug_clock_offset')::interval = '{value}'");
    wait_until(&mut shop.db, "the clock is moved", SOON, |db| db.is_true(&shown));
}

/// P10: one rate and one concurrency for both workers.
#[test]
fn two_jobs_on_one_host_keep_to_one_rate_and_one_concurrency() {
    let mut shop = Shop::open(2_000);
    option(&mut shop, "requests_per_second", "20");
    option(&mut shop, "burst", "3");
    option(&mut shop, "max_concurrency", "3");
    shop.create_job("one", "/page/products", PAGES);
    shop.create_job(
        "two",
        "/offset/products",
        &PAGES.replace(
            "\"page\", \"size_param\": \"per_page\"",
            "\"offset\", \"limit_param\": \"limit\"",
        ),
    );
    shop.api.misbehave(Fault::DelayHeaders(Duration::from_millis(200)));
    shop.api.clear_log();
    start(&mut shop, "one");
    start(&mut shop, "two");
    for job in ["one", "two"] {
        wait_for_success(&mut shop, job);
    }
    let times = times(&shop);
    assert!(times.len() >= 40, "{}", times.len());
    assert!(shop.api.most_at_once() <= 3, "{} at once", shop.api.most_at_once());
    // Threads that are kept from running send late, and never early: half a second for those.
    for (first, from) in times.iter().enumerate() {
        for (last, until) in times.iter().enumerate().skip(first) {
            let allowed = (until - from + 0.5) * 20.0 + 3.0;
            assert!(((last - first + 1) as f64) <= allowed, "{first} to {last}: {times:?}");
        }
    }
    assert!(
        times[times.len() - 1] >= (times.len() - 3) as f64 / 20.0 - 0.5,
        "{times:?}"
    );
    assert_eq!(
        budget(&mut shop, "requests_per_second || ' ' || in_flight || ' ' || waiters"),
        "20 0 0"
    );
}

#[test]
fn places_that_a_worker_held_are_free_when_it_is_gone() {
    let mut shop = Shop::open(500);
    option(&mut shop, "max_concurrency", "1");
    shop.create_job("products", "/page/products", PAGES);
    shop.create_job("other", "/page/products", PAGES);
    shop.start_and_hold_at(3);
    wait_for_budget(&mut shop, "in_flight = 1");
    start(&mut shop, "other");
    wait_for_budget(&mut shop, "waiters = 1");
    // Ended in order, in the middle of a request.
    shop.app.exec("SELECT sluice.stop_sync('products')");
    shop.wait_for_run("running");
    shop.api.release();
    wait_for_success(&mut shop, "other");

    shop.api.hold_page(2);
    shop.app.exec("SELECT sluice.start_sync('other')");
    assert!(shop.api.wait_until_held(2, SOON));
    kill9(shop.worker());
    shop.recover();
    shop.api.release();
    wait_for_success(&mut shop, "other");
    assert_eq!(budget(&mut shop, "in_flight"), "0");
}

/// F-N9, F-N18: each form in which a remote asks to wait holds all of its jobs up, and is no attempt.
#[test]
fn a_refusal_is_waited_out_by_every_job_of_the_host_in_whatever_form_it_says_how_long() {
    let mut shop = Shop::open(500);
    shop.create_job(
        "products",
        "/page/products",
        &ALONE.replace("\"request_cap\"", "\"request_attempts\": 1, \"request_cap\""),
    );
    shop.create_job("other", "/page/products", ALONE);
    let soon = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    let past = (soon - 1000).to_string();
    let forms: [(&[(&str, &str)], f64); 7] = [
        (&[("Retry-After", "2")], 2.0),
        (
            &[
                ("Date", "Fri, 20 Nov 2026 10:00:00 GMT"),
                ("Retry-After", "Fri, 20 Nov 2026 10:00:02 GMT"),
            ],
            2.0,
        ),
        (
            &[
                ("RateLimit-Limit", "9"),
                ("RateLimit-Remaining", "0"),
                ("RateLimit-Reset", "2"),
            ],
            2.0,
        ),
        (&[("RateLimit", "limit=9, remaining=0, reset=2")], 2.0),
        (
            &[("RateLimit", "\"x\";r=0;t=2"), ("RateLimit-Policy", "\"x\";q=9;w=60")],
            2.0,
        ),
        (&[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset-After", "2")], 2.0),
        (&[("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", &past)], 1.0),
    ];
    for (headers, wait) in forms {
        shop.api
            .misbehave(Rule::new(Fault::status(429, headers)).page(3).times(1));
        shop.api.clear_log();
        start(&mut shop, "products");
        let refused = eventually(SOON, || shop.api.requests().iter().any(|line| line.status == Some(429)));
        assert!(refused, "{headers:?}");
        start(&mut shop, "other");
        for job in ["products", "other"] {
            wait_for_success(&mut shop, job);
        }
        let at = shop
            .api
            .requests()
            .iter()
            .position(|line| line.status == Some(429))
            .expect("it was refused");
        let times = times(&shop);
        assert!(times[at + 1] - times[at] >= wait - 0.05, "{headers:?}: {times:?}");
    }
    shop.assert_equal();
    let runs = "SELECT count(*) FROM sluice.sync_runs WHERE status <> 'succeeded' OR attempt <> 1";
    assert_eq!(shop.db.number(runs), 0);
}

/// Nothing is sent before it is new, and no request is refused.
#[test]
fn a_limit_that_a_remote_tells_in_time_is_never_broken() {
    let mut shop = Shop::with_job(500, PAGES);
    let left = |n: &str| {
        let owned = [
            ("X-RateLimit-Limit", "2"),
            ("X-RateLimit-Remaining", n),
            ("X-RateLimit-Reset", "2"),
        ];
        Fault::Headers(owned.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
    };
    shop.api.misbehave(Rule::new(left("1")).page(1).times(1));
    shop.sync();
    let times = times(&shop);
    // The first page, one more, and the others when the window is over.
    assert!(times[2] >= 1.9, "{times:?}");
    shop.assert_equal();
    assert_eq!(budget(&mut shop, "declared_limit"), "2");
}

#[test]
fn a_long_wait_gives_the_worker_back_survives_a_crash_and_goes_on_at_the_page() {
    let mut shop = Shop::open(500);
    shop.create_job("products", "/page/products", ALONE);
    shop.create_job("other", "/page/products", ALONE);
    let told = [("Retry-After", "600")];
    shop.api
        .misbehave(Rule::new(Fault::status(429, &told)).page(3).times(1));
    start(&mut shop, "products");
    wait_for_status(&mut shop, "products", "waiting_for_rate");
    assert_eq!(
        shop.status("action || ', ' || error_message"),
        "wait, the remote asked for it"
    );
    assert_eq!(shop.status("next_run_at > now() + interval '8 min'"), "t");
    wait_until(&mut shop.db, "the worker is gone", SOON, |db| {
        db.pids("sluice worker").is_empty()
    });
    assert_eq!(shop.committed_pages().len(), 2);
    let until = "not_before BETWEEN now() + interval '8 min' AND now() + interval '10 min'";
    assert_eq!(budget(&mut shop, until), "t");
    wait_until(&mut shop.db, "it is kept", SOON, |db| {
        db.is_true("SELECT EXISTS (SELECT FROM sluice._rate WHERE not_before IS NOT NULL)")
    });

    shop.api.clear_log();
    shop.cluster.stop(Stop::Immediate);
    shop.cluster.start_again();
    shop.reconnect();
    assert_eq!(budget(&mut shop, until), "t");
    // Another job of that host waits without a worker, and a look from a session does not ask either.
    shop.app.exec("SET statement_timeout = '5 s'");
    shop.app.error("CALL sluice.sync('other')");
    let told = shop.app.take_notices().concat();
    assert!(told.contains("waiting: the remote asked for it, until 20"), "{told}");
    shop.app.exec("RESET statement_timeout");
    start(&mut shop, "other");
    wait_for_status(&mut shop, "other", "waiting_for_rate");
    let step = "SELECT detail FROM sluice.test_connection('shop', '/page/products', '{\"timeouts\": {\"probe\": \"1 s\"}}') WHERE check_name = 'rate limit'";
    assert!(shop.app.text(step).ends_with("have to wait"));
    assert!(shop.api.requests().is_empty(), "{:?}", shop.api.pages_asked());

    clock(&mut shop, 620);
    for job in ["products", "other"] {
        wait_for_success(&mut shop, job);
    }
    shop.assert_equal();
    let of_products = "SELECT string_agg(source || ' ' || status || ' ' || attempt, ',') FROM sluice.sync_runs WHERE data_type = 'products'";
    assert_eq!(shop.db.text(of_products), "manual succeeded 1");
    assert_eq!(
        shop.api.pages_asked().iter().filter(|page| **page == 1).count(),
        1,
        "only the other job begins"
    );
    assert_eq!(shop.health("consecutive_failures"), "0");
}

/// F-N15, R-11: a dead host is asked once a minute, and what waits goes on when it is back.
#[test]
fn a_host_that_fails_is_left_alone_probed_every_minute_and_retries_are_due_when_it_is_back() {
    let mut shop = Shop::open(500);
    shop.create_job("products", "/page/products", ALONE);
    shop.create_job("other", "/page/products", ALONE);
    shop.sync();
    shop.app
        .exec("SELECT sluice.alter_job(name, schedule => '1 hour') FROM sluice.sync_jobs");
    shop.api.misbehave(Fault::Close);
    shop.api.clear_log();
    shop.failing_sync();
    // The first probe comes after some seconds.
    assert!(shop.api.wait_for_requests(13, SOON));
    wait_for_budget(&mut shop, "breaker = 'open' AND failures = 13");
    assert_eq!(
        shop.db.text("SELECT state FROM sluice.sync_connections"),
        "breaker_open"
    );
    assert_eq!(shop.db.text("SELECT status FROM sluice.sync_retry_queue"), "pending");
    assert_eq!(shop.api.requests().len(), 13);
    // A crash before that is followed by one probe more.
    wait_until(&mut shop.db, "what the probe has shown is kept", SOON, |db| {
        db.is_true("SELECT failures = 13 FROM sluice._rate")
    });

    shop.db.exec(
        "UPDATE sluice._job_state SET next_run_at = now() WHERE job_id = (SELECT id FROM sluice._job WHERE name = 'other')",
    );
    // The state survives a crash. A job whose time has come waits, and is no attempt of anything.
    shop.cluster.stop(Stop::Immediate);
    shop.cluster.start_again();
    shop.reconnect();
    assert_eq!(budget(&mut shop, "breaker"), "open");
    wait_for_status(&mut shop, "other", "waiting_for_rate");
    assert_eq!(shop.api.requests().len(), 13);

    clock(&mut shop, 65);
    assert!(shop.api.wait_for_requests(14, SOON));
    wait_for_budget(&mut shop, "breaker = 'open' AND failures = 14");
    assert_eq!(shop.db.text("SELECT retry_count FROM sluice.sync_retry_queue"), "0");

    shop.api.clear_faults();
    clock(&mut shop, 130);
    for job in ["products", "other"] {
        wait_for_success(&mut shop, job);
    }
    assert_eq!(
        budget(&mut shop, "breaker || ': ' || reason"),
        "closed: the remote answers again"
    );
    assert_eq!(shop.db.text("SELECT state FROM sluice.sync_connections"), "connected");
    assert_eq!(shop.db.text("SELECT status FROM sluice.sync_retry_queue"), "completed");
    let runs = "SELECT string_agg(source || ' ' || status, ', ' ORDER BY id) FROM sluice.sync_runs WHERE data_type = 'products'";
    assert_eq!(
        shop.db.text(runs),
        "manual succeeded, manual retryable, retry succeeded"
    );
}

/// A job that fails before it sends anything tells nothing of the host: another one asks in its turn.
#[test]
fn a_job_that_cannot_ask_keeps_no_host_from_being_asked() {
    let mut shop = Shop::open(500);
    shop.create_job("products", "/page/products", ALONE);
    shop.create_job("other", "/page/products", ALONE);
    shop.api.misbehave(Fault::Close);
    shop.failing_sync();
    wait_for_budget(&mut shop, "breaker = 'open'");
    // It stays the first, since its retry waits.
    shop.db
        .exec("UPDATE sluice._job SET settings = '{\"nonsense\": 1}' WHERE name = 'products'");
    shop.api.clear_faults();
    let closed = (1..=20).any(|minute| {
        clock(&mut shop, 61 * minute);
        eventually(Duration::from_secs(3), || budget(&mut shop, "breaker") == "closed")
    });
    assert!(closed);
}

#[test]
fn a_person_who_asks_for_a_run_is_the_probe_of_an_open_breaker() {
    let mut shop = Shop::with_job(500, ALONE);
    shop.api.misbehave(Fault::status(503, &[]));
    shop.failing_sync();
    wait_for_budget(&mut shop, "breaker = 'open'");
    shop.api.clear_log();
    shop.failing_sync();
    assert_eq!(shop.api.requests().len(), 1, "one request tells enough");
    shop.api.clear_faults();
    shop.sync();
    shop.assert_equal();
    assert_eq!(budget(&mut shop, "breaker"), "closed");
}

/// R-11: no stampede after a restart, and what matters most first.
#[test]
fn a_hundred_jobs_that_are_due_at_start_up_begin_by_priority_and_ask_no_faster_than_the_connection_allows() {
    const WORKERS: usize = 5;
    let mut shop = Shop::with(20, &[("sluice.enabled", "off"), ("sluice.max_workers", "5")]);
    option(&mut shop, "requests_per_second", "25");
    option(&mut shop, "max_concurrency", "4");
    shop.app.exec("CREATE TABLE p (id bigint PRIMARY KEY, name text)");
    for n in 0..100 {
        let priority = ["low", "high", "normal"][n % 3];
        shop.app.exec(&format!(
            "CREATE TABLE p{n} (LIKE p INCLUDING ALL);
             SELECT sluice.create_job('p{n}', 'shop', '/page/products', schedule => '1 day', priority => '{priority}', settings => '{ALONE}')"
        ));
    }
    shop.api.clear_log();
    shop.cluster.configure("sluice.enabled", "on");
    shop.cluster.restart();
    shop.reconnect();
    let done = "SELECT count(*) = 100 FROM sluice.sync_runs WHERE status = 'succeeded'";
    wait_until(&mut shop.db, "all have run", 5 * SOON, |db| db.is_true(done));
    assert_eq!(shop.db.number("SELECT count(*) FROM sluice.sync_runs"), 100);
    let times = times(&shop);
    assert!(
        times.len() >= 100 && shop.api.most_at_once() <= 4,
        "{} requests, {} at once",
        times.len(),
        shop.api.most_at_once()
    );
    for (first, from) in times.iter().enumerate() {
        for (last, until) in times.iter().enumerate().skip(first) {
            let allowed = (until - from + 0.5) * 25.0 + 1.0;
            assert!(((last - first + 1) as f64) <= allowed, "{first} to {last}: {times:?}");
        }
    }
    // Workers that start together may write down their beginnings in any order.
    let sql = "SELECT string_agg(left(j.priority, 1), '' ORDER BY r.started_at) FROM sluice._run r JOIN sluice._job j ON j.id = r.job_id";
    let began = shop.db.text(sql);
    for (at, priority) in began.char_indices() {
        let more_urgent = match priority {
            'h' => 0,
            'n' => 33,
            _ => 66,
        };
        assert!(at + WORKERS >= more_urgent, "{priority} at {at}: {began}");
    }
}

#[test]
fn what_the_remote_asked_for_holds_also_where_the_worker_dies_as_soon_as_it_is_kept() {
    let mut shop = Shop::open(500);
    shop.create_job("products", "/page/products", ALONE);
    let told = [("Retry-After", "600")];
    shop.api
        .misbehave(Rule::new(Fault::status(429, &told)).page(3).times(1));
    shop.db.failpoint("rates.kept", "kill9");
    start(&mut shop, "products");
    shop.recover();
    wait_for_status(&mut shop, "products", "waiting_for_rate");
    assert_eq!(budget(&mut shop, "not_before > now() + interval '8 min'"), "t");
    assert_eq!(shop.api.requests().len(), 3, "{:?}", shop.api.pages_asked());
    clock(&mut shop, 620);
    wait_for_success(&mut shop, "products");
    shop.assert_equal();
    let asked = shop.api.pages_asked();
    assert_eq!(asked.iter().filter(|page| **page < 3).count(), 2, "{asked:?}");
}

#[test]
fn a_role_sees_the_budgets_of_connections_that_it_may_use() {
    let mut shop = Shop::loaded(100, ALONE);
    shop.db
        .exec("CREATE ROLE stranger LOGIN; SELECT sluice.grant_access('stranger', 'writer')");
    let mut stranger = shop.cluster.db_as("stranger", "postgres");
    assert_eq!(stranger.number("SELECT count(*) FROM sluice.sync_rate_limits"), 0);
    let sql = "SELECT connections::text || ' ' || breaker || ' ' || in_flight FROM sluice.sync_rate_limits";
    assert_eq!(shop.app.text(sql), "{shop} closed 0");
    shop.db
        .exec("GRANT pg_monitor TO stranger; GRANT EXECUTE ON FUNCTION sluice._monitor_level() TO stranger");
    assert_eq!(stranger.number("SELECT count(*) FROM sluice.sync_rate_limits"), 1);
}
