//! How a run fails: what is told where, and what is left behind.

use crate::scene::{SOON, Scene, run_status, workers_of};
use sluice_e2e::wait_until;

/// The end of a run, as everybody sees it; `{remote}` stands for the API's host and port, an empty text for none.
pub struct Failure<'a> {
    pub class: &'a str,
    pub sqlstate: &'a str,
    pub message: &'a str,
    pub detail: &'a str,
    pub hint: &'a str,
    /// How many requests reached the API.
    pub requests: usize,
}

/// Settings under which nothing is tried twice and no record is left out.
pub fn once(settings: &str) -> String {
    let rest = settings
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .expect("an object");
    let comma = if rest.is_empty() { "" } else { ", " };
    format!("{{\"on_bad_record\": \"fail\", \"retry\": {{\"request_attempts\": 1}}{comma}{rest}}}")
}

/// Runs the job `product`, which must fail as expected, with nothing written and no worker left.
pub fn fails(scene: &mut Scene, expected: &Failure) {
    let before = scene.rows();
    fails_after(scene, expected);
    assert_eq!(scene.rows(), before, "nothing is written");
}

/// The same where pages were written before the fault.
pub fn fails_after(scene: &mut Scene, expected: &Failure) {
    scene.api.clear_log();
    let error = scene.app.error("CALL sluice.sync('product')");
    told_in_views(scene, expected);
    told_to_the_caller(scene, &error, expected);
    assert_eq!(scene.api.requests().len(), expected.requests, "requests");
    wait_until(&mut scene.admin, "the worker is gone", SOON, |db| {
        workers_of(db).is_empty()
    });
}

fn told_in_views(scene: &mut Scene, expected: &Failure) {
    let told = scene.app.rows(
        "SELECT error_class, sqlstate, error_message, coalesce(error_detail, ''), coalesce(error_hint, '') \
         FROM sluice.sync_runs ORDER BY id DESC LIMIT 1",
    );
    let wanted = [
        expected.class,
        expected.sqlstate,
        expected.message,
        expected.detail,
        expected.hint,
    ];
    let remote = scene.api.address().to_string();
    let wanted = wanted.map(|text| Some(text.replace("{remote}", &remote)));
    assert_eq!(told.rows[0], wanted);
    let status = run_status(&mut scene.app);
    assert!(status == "failed" || status == "retryable", "{status}");
    let told = scene
        .app
        .rows("SELECT error_class, error_message, status FROM sluice.sync_status WHERE data_type = 'product'");
    let standing = if status == "retryable" {
        "waiting_for_retry"
    } else {
        "idle"
    };
    assert_eq!(
        told.rows[0],
        [wanted[0].clone(), wanted[2].clone(), Some(standing.into())]
    );
}

fn told_to_the_caller(scene: &mut Scene, error: &sluice_e2e::SqlError, expected: &Failure) {
    let remote = scene.api.address().to_string();
    let message = expected.message.replace("{remote}", &remote);
    let detail = error.detail.as_deref().unwrap_or_default();
    assert_eq!(error.sqlstate, expected.sqlstate, "{error}");
    assert!(detail.starts_with(&message), "{error}");
    if !expected.hint.is_empty() {
        assert_eq!(error.hint.as_deref(), Some(expected.hint), "{error}");
    }
}
