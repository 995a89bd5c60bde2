//! Stopping is prompt, whatever the network does, and leaves no thread behind for long.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_core::http::HttpError;
use sluice_core::pagination::Stop;
use sluice_core::retry::RetryPolicy;
use sluice_fetch::{MemoryTransport, Poll, Transport, start};

use crate::reading::{Numbers, begin, by_page, ok, spec};
use crate::scripted::Scripted;

/// Sooner than any request's time limit, and on a crowded machine too.
const AT_ONCE: Duration = Duration::from_secs(3);

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn dropping_a_read_returns_at_once_while_a_request_hangs() {
    let server = Scripted::new(|_, stream| drop(stream.read(&mut [0; 1])));
    let (read, _) = begin(server.spec(), Arc::new(server.transport()));
    wait_until("the request was not sent", || server.requests().len() == 1);
    let began = Instant::now();
    drop(read);
    assert!(began.elapsed() < AT_ONCE);
}

#[test]
fn stopping_returns_at_once_and_closing_the_transport_frees_the_thread() {
    let server = Scripted::new(|_, stream| drop(stream.read(&mut [0; 1])));
    let (transport, decode) = (Arc::new(server.transport()), Arc::new(Numbers));
    let read = start(
        server.spec(),
        Arc::clone(&transport) as Arc<dyn Transport>,
        Arc::clone(&decode),
        Arc::new(|| ()),
    );
    wait_until("the request was not sent", || server.requests().len() == 1);
    let began = Instant::now();
    read.stop();
    transport.close();
    assert_eq!(read.poll(), Poll::Pending);
    assert!(began.elapsed() < AT_ONCE);
    wait_until("the threads did not end", || Arc::strong_count(&decode) == 1);
}

#[test]
fn a_stopped_read_ends_its_waits_for_retries() {
    let transport = MemoryTransport::new(|_| {
        Err(HttpError::Refused {
            remote: "api.example:443".into(),
        })
    });
    let mut spec = spec(by_page(Stop::Empty));
    spec.retry = RetryPolicy {
        attempts: 12,
        cap: Duration::from_secs(600),
        ..RetryPolicy::default()
    };
    let decode = Arc::new(Numbers);
    let read = start(spec, Arc::new(transport), Arc::clone(&decode), Arc::new(|| ()));
    wait_until("no retry was waited for", || read.waiting().is_some());
    let waiting = read.waiting().unwrap();
    assert!(
        waiting.starts_with("retry ") && waiting.ends_with(": connection to api.example:443 was refused"),
        "{waiting}"
    );
    drop(read);
    wait_until("the threads did not end", || Arc::strong_count(&decode) == 1);
}

#[test]
fn a_finished_read_leaves_no_threads() {
    let decode = Arc::new(Numbers);
    let transport = Arc::new(MemoryTransport::new(|_| ok("[]")));
    let read = start(
        spec(by_page(Stop::Empty)),
        transport,
        Arc::clone(&decode),
        Arc::new(|| ()),
    );
    wait_until("the threads did not end", || Arc::strong_count(&decode) == 1);
    assert!(matches!(read.poll(), Poll::Page(page) if page.last));
    assert_eq!(read.poll(), Poll::Finished);
}
