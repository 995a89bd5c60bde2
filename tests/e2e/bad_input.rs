//! What the remote gets wrong: each fault ends the run with its class, SQLSTATE, message, detail and hint, after the
//! requests that it deserves, with nothing written and no worker left.
//!
//! Size: one fault a test, each with the whole text that is told.

use crate::failure::{Failure, fails, once};
use crate::scene::{SOON, Scene, create_job};
use sample_api::{Auth, Fault, Options, Rule, SampleApi};
use sluice_e2e::{Cluster, eventually};
use std::net::TcpListener;

/// A scene with the job `product`, one request an attempt.
pub fn shop() -> Scene {
    let mut scene = Scene::on(Cluster::shared());
    scene.job_with(&once("{}"));
    scene
}

/// The same with a collection of one page.
fn all_at_once() -> Scene {
    let mut scene = Scene::on(Cluster::shared());
    scene.app.exec(
        &create_job(
            "product",
            &once("{\"pagination\": {\"type\": \"none\"}, \"page_size\": null}"),
        )
        .replace("/page/", "/none/"),
    );
    scene
}

/// The failure of a first page that meets this fault.
fn fails_on(fault: Fault, expected: &Failure) {
    let mut scene = shop();
    scene.api.misbehave(fault);
    fails(&mut scene, expected);
}

fn move_to(scene: &mut Scene, base_url: &str) {
    scene
        .admin
        .exec(&format!("ALTER SERVER shop OPTIONS (SET base_url '{base_url}')"));
}

/// F-N1.
#[test]
fn a_host_that_nobody_knows() {
    let mut scene = shop();
    move_to(&mut scene, "https://nowhere.invalid");
    fails(
        &mut scene,
        &Failure {
            class: "network",
            sqlstate: "08001",
            message: "could not resolve host \"nowhere.invalid\"",
            detail: "",
            hint: "Check the host name in the connection's base URL, and the server's DNS.",
            requests: 0,
        },
    );
}

/// F-N2.
#[test]
fn a_connection_that_is_refused() {
    let mut scene = shop();
    // A port that nobody listens on: held by us until the end, but never accepted from.
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    move_to(&mut scene, &format!("http://127.0.0.1:{port}"));
    fails(
        &mut scene,
        &Failure {
            class: "network",
            sqlstate: "08001",
            message: &format!("connection to 127.0.0.1:{port} was refused"),
            detail: "",
            hint: "Check that the remote runs, and that this server may reach it.",
            requests: 0,
        },
    );
}

/// F-N2.
#[test]
fn a_remote_that_never_answers() {
    let mut scene = Scene::on(Cluster::shared());
    scene.job_with(&once("{\"timeouts\": {\"request\": \"300 ms\"}}"));
    scene.api.misbehave(Fault::Hang);
    fails(
        &mut scene,
        &Failure {
            class: "timeout",
            sqlstate: "08006",
            message: "{remote} did not answer in time",
            detail: "The time limit passed while waiting for the response.",
            hint: "The setting timeouts.request (timeouts.probe in a first look) allows more time; a smaller page_size needs less.",
            requests: 1,
        },
    );
}

#[test]
fn a_path_that_is_not_there() {
    fails_on(
        Fault::status(404, &[]),
        &Failure {
            class: "config",
            sqlstate: "22023",
            message: "{remote} answered with status 404",
            detail: "The request was for /page/products. The remote said: {\"error\":\"status 404\"}",
            hint: "Check the path, and the base URL that it is appended to.",
            requests: 1,
        },
    );
}

#[test]
fn credentials_that_are_not_accepted() {
    let mut scene = shop();
    scene.api.set(|settings| settings.auth = Auth::Bearer("another".into()));
    fails(
        &mut scene,
        &Failure {
            class: "auth",
            sqlstate: "28000",
            message: "{remote} answered with status 401",
            detail: "The request was for /page/products. The remote said: {\"error\":\"Unauthorized\"}",
            hint: "Check the connection's auth options, and set the secret again with sluice.set_secret.",
            requests: 1,
        },
    );
}

#[test]
fn credentials_that_may_not_read_this() {
    fails_on(
        Fault::status(403, &[]),
        &Failure {
            class: "auth",
            sqlstate: "28000",
            message: "{remote} answered with status 403",
            detail: "The request was for /page/products. The remote said: {\"error\":\"status 403\"}",
            hint: "The credentials are known but may not read this. Check their rights at the remote.",
            requests: 1,
        },
    );
}

#[test]
fn a_server_error_is_told_when_its_attempts_are_used_up() {
    fails_on(
        Fault::status(500, &[]),
        &Failure {
            class: "server",
            sqlstate: "08006",
            message: "{remote} answered with status 500",
            detail: "The request was for /page/products. The remote said: {\"error\":\"status 500\"}",
            hint: "The fault is the remote's: a job tries again by itself, and whoever runs the remote can mend it.",
            requests: 1,
        },
    );
}

/// F-N15.
#[test]
fn a_login_page_instead_of_json() {
    fails_on(
        Fault::html(),
        &Failure {
            class: "data",
            sqlstate: "22032",
            message: "the answer is an HTML page, not JSON",
            detail: "It begins with: <!DOCTYPE html>\\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>",
            hint: "A login page, a proxy or a wrong path often answers so: check the job's path and the base URL.",
            requests: 1,
        },
    );
}

#[test]
fn a_records_path_that_leads_nowhere() {
    let mut scene = Scene::on(Cluster::shared());
    scene.job_with(&once("{\"records\": \"$.items\"}"));
    fails(
        &mut scene,
        &Failure {
            class: "data",
            sqlstate: "22032",
            message: "the answer has nothing at $.items",
            detail: "",
            hint: "Check the setting \"records\": it names the array of records in the answer.",
            requests: 1,
        },
    );
}

#[test]
fn a_records_path_that_leads_to_an_object() {
    let mut scene = Scene::on(Cluster::shared());
    scene.job_with(&once("{\"records\": \"$.meta\"}"));
    fails(
        &mut scene,
        &Failure {
            class: "data",
            sqlstate: "22032",
            message: "the answer has an object at $.meta, not an array of records",
            detail: "",
            hint: "Check the setting \"records\": it names the array of records in the answer.",
            requests: 1,
        },
    );
}

/// The failure of a first page whose third record has this value (`None`: no such member).
fn fails_on_member(member: &str, value: Option<&str>, expected: &Failure) {
    let (id, member, value) = (3, member.to_string(), value.map(str::to_string));
    fails_on(Fault::AlterRecord { id, member, value }, expected);
}

#[test]
fn a_record_whose_key_is_null_or_missing() {
    for value in [Some("null"), None] {
        fails_on_member(
            "id",
            value,
            &Failure {
                class: "data",
                sqlstate: "23502",
                message: "record 3 has no value for key column \"id\"",
                detail: "",
                hint: "Check the job's \"key\" and the paths of its columns: every record needs a value in each.",
                requests: 1,
            },
        );
    }
}

#[test]
fn a_value_that_does_not_fit_its_column() {
    fails_on_member(
        "stock",
        Some("\"many\""),
        &Failure {
            class: "data",
            sqlstate: "22P02",
            message: "record 3 does not fit column \"stock\" of type integer",
            detail: "The value is \"many\": it is not written as a value of this type.",
            hint: "Give the column a type that takes the value (text takes any), or map another member.",
            requests: 1,
        },
    );
}

#[test]
fn a_number_that_is_too_large_for_its_column() {
    fails_on_member(
        "stock",
        Some("3000000000"),
        &Failure {
            class: "data",
            sqlstate: "22003",
            message: "record 3 does not fit column \"stock\" of type integer",
            detail: "The value is 3000000000: it is out of the type's range.",
            hint: "Give the column a wider type: bigint, numeric or text.",
            requests: 1,
        },
    );
}

#[test]
fn a_text_that_is_too_long_for_its_column() {
    let mut scene = all_at_once();
    scene.app.exec("ALTER TABLE product ALTER COLUMN sku TYPE varchar(5)");
    fails(
        &mut scene,
        &Failure {
            class: "data",
            sqlstate: "22001",
            message: "value too long for type character varying(5)",
            detail: "Record 1 of page 1, key 1, column \"sku\": the value is \"SKU-00000001\".",
            hint: "Give the column a wider type, or map another member.",
            requests: 1,
        },
    );
}

#[test]
fn a_number_with_more_digits_than_its_column() {
    let mut scene = all_at_once();
    scene
        .app
        .exec("ALTER TABLE product ALTER COLUMN price TYPE numeric(3,2)");
    fails(
        &mut scene,
        &Failure {
            class: "data",
            sqlstate: "22003",
            message: "numeric field overflow",
            detail: "Record 1 of page 1, key 1, column \"price\": the value is 8225.65. A field with precision 3, scale 2 must round to an absolute value less than 10^1.",
            hint: "Give the column a wider type, or map another member.",
            requests: 1,
        },
    );
}

/// F-N10.
#[test]
fn a_redirect_to_another_origin_is_not_followed_and_gets_no_credentials() {
    let elsewhere = SampleApi::start(Options::default());
    let mut scene = shop();
    scene.admin.exec(&format!(
        "SELECT sluice.set_secret('token', 'canary-token', origin => '{}'); \
         ALTER SERVER shop OPTIONS (ADD auth 'bearer', ADD secret 'token')",
        scene.api.url()
    ));
    scene
        .api
        .misbehave(Fault::redirect(302, &format!("{}/page/products", elsewhere.url())));
    let origin = elsewhere.url();
    fails(
        &mut scene,
        &Failure {
            class: "config",
            sqlstate: "22023",
            message: "{remote} redirects elsewhere (status 302)",
            detail: &format!("The target's origin is {origin}."),
            hint: "Up to three redirects below the base URL are followed, after POST only 307 and 308. Give the final address as base_url or path.",
            requests: 1,
        },
    );
    assert!(elsewhere.requests().is_empty(), "nothing is sent to the other origin");
    assert_eq!(scene.api.requests()[0].authorization(), Some("Bearer canary-token"));
}

/// F-R2.
#[test]
fn a_bomb_of_compressed_blanks() {
    fails_on(
        Fault::GzipBomb { bytes: 500_000_000 },
        &Failure {
            class: "data",
            sqlstate: "54000",
            message: "response of {remote} is too large",
            detail: "The body grows more than 100 times when it is decoded.",
            hint: "A compressed page never grows so much: where the remote is trusted, raise sluice.max_decompression_ratio.",
            requests: 1,
        },
    );
}

/// F-N13.
#[test]
fn a_bomb_of_headers() {
    fails_on(
        Fault::HeaderBomb {
            headers: 10_000,
            bytes: 1_000,
        },
        &Failure {
            class: "data",
            sqlstate: "54000",
            message: "response of {remote} is too large",
            detail: "The response's header fields are more or larger than is accepted.",
            hint: "The remote must answer with fewer or smaller header fields.",
            requests: 1,
        },
    );
}

/// F-R1.
#[test]
fn a_body_without_end() {
    let cluster = Cluster::with(&[("sluice.max_response_bytes", "1MB")]);
    let mut scene = Scene::on(&cluster);
    scene.job_with(&once("{}"));
    scene.api.misbehave(Fault::EndlessChunks);
    fails(
        &mut scene,
        &Failure {
            class: "data",
            sqlstate: "54000",
            message: "response of {remote} is too large",
            detail: "The decoded body has more than 1048576 bytes.",
            hint: "Make page_size smaller, or raise sluice.max_response_bytes.",
            requests: 1,
        },
    );
}

#[test]
fn a_loopback_address_that_nobody_has_allowed() {
    let cluster = Cluster::with(&[("sluice.allowed_networks", "")]);
    let mut scene = Scene::on(&cluster);
    scene.job_with(&once("{}"));
    fails(
        &mut scene,
        &Failure {
            class: "config",
            sqlstate: "SY007",
            message: "address 127.0.0.1 of host \"127.0.0.1\" is not allowed",
            detail: "It is a loopback address.",
            hint: "To allow it: ALTER SYSTEM SET sluice.allowed_networks = '127.0.0.0/8'; SELECT pg_reload_conf();",
            requests: 0,
        },
    );
    // The hint's two statements, as they stand.
    scene
        .admin
        .exec("ALTER SYSTEM SET sluice.allowed_networks = '127.0.0.0/8'");
    scene.admin.exec("SELECT pg_reload_conf()");
    let works = eventually(SOON, || scene.app.try_rows("CALL sluice.sync('product')").is_ok());
    assert!(works, "the hint's two statements mend it");
}

#[test]
fn the_metadata_address_whatever_is_allowed() {
    let cluster = Cluster::with(&[("sluice.allowed_networks", "0.0.0.0/0, ::/0")]);
    let mut scene = Scene::on(&cluster);
    scene.job_with(&once("{}"));
    move_to(&mut scene, "http://169.254.169.254");
    fails(
        &mut scene,
        &Failure {
            class: "config",
            sqlstate: "SY007",
            message: "address 169.254.169.254 of host \"169.254.169.254\" is not allowed",
            detail: "It is the address of a cloud provider's metadata service, which is never allowed.",
            hint: "Give the address of an API: no setting allows this one.",
            requests: 0,
        },
    );
}

/// F-N12.
#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let proxy = SampleApi::start(Options::default());
    let names = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    let environment: Vec<(&str, String)> = names.iter().map(|name| (*name, proxy.url())).collect();
    let cluster = Cluster::with_environment(&environment);
    let mut scene = Scene::on(&cluster);
    scene.job();
    scene.sync();
    assert!(proxy.requests().is_empty(), "{:?}", proxy.requests());
    assert_eq!(scene.api.requests().len(), 7);
}

#[test]
fn a_fault_at_a_later_page_keeps_what_came_before_and_the_next_run_goes_on_there() {
    let mut scene = shop();
    scene.api.misbehave(Rule::new(Fault::html()).page(3).times(1));
    let error = scene.app.error("CALL sluice.sync('product')");
    assert_eq!(error.sqlstate, "22032", "{error}");
    assert_eq!(scene.rows(), 20);
    scene.api.clear_log();
    scene.sync();
    assert_eq!(scene.api.pages_asked()[0], 3);
}
