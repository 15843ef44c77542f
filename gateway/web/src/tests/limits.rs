//! What the limits turn away, and that others are served meanwhile.

use std::sync::{Condvar, Mutex};

use super::*;

/// Holds back whoever passes until it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let (open, waited) =
            self.changed.wait_timeout_while(self.open.lock().unwrap(), PATIENCE, |open| !*open).unwrap();
        assert!(!waited.timed_out());
        drop(open);
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

fn held_status(gate: &Arc<Gate>) -> impl FnOnce(&mut Sources) + use<> {
    let gate = Arc::clone(gate);
    move |sources| {
        sources.status = Arc::new(move || {
            gate.pass();
            status()
        });
    }
}

const STATUS: &str = "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn one_request_too_many_is_told_to_come_back_and_health_still_answers() {
    let gate = Arc::new(Gate::default());
    let site =
        Site::with(Config { requests_max: 1, events_requests_max: 1, ..Config::default() }, held_status(&gate)).await;
    let mut first = site.connect().await;
    first.write_all(STATUS.as_bytes()).await.unwrap();
    until_busy(&site).await;
    let refused = site.get("/readyz").await;
    assert_eq!((refused.code, refused.problem().0.as_str(), refused.header("retry-after")), (503, "busy", "1"));
    assert_eq!(site.get("/livez").await.code, 200);

    gate.open();
    assert_eq!(timeout(PATIENCE, read_reply(&mut first, false)).await.unwrap().unwrap().code, 200);
    until_free(&site).await;
}

#[tokio::test]
async fn a_source_that_hangs_keeps_its_place_after_its_request_timed_out() {
    let gate = Arc::new(Gate::default());
    let config = Config { requests_max: 1, events_requests_max: 1, request_timeout_ms: 100, ..Config::default() };
    let site = Site::with(config, held_status(&gate)).await;
    let reply = site.get("/api/v1/status").await;
    assert_eq!((reply.code, reply.problem().0.as_str()), (503, "late"));
    assert_eq!(site.get("/api/v1/status").await.problem().0, "busy");
    gate.open();
    until_free(&site).await;
}

#[tokio::test]
async fn requests_for_events_have_a_limit_of_their_own() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let site = Site::with(Config { events_requests_max: 1, ..Config::default() }, |sources| {
        sources.events = Arc::new(move |_, _| {
            held.pass();
            Ok(Vec::new())
        });
    })
    .await;
    let mut first = site.connect().await;
    let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    first.write_all(request.as_bytes()).await.unwrap();
    let waiting = async { while site.events("?limit=0").await.code != 503 {} };
    timeout(PATIENCE, waiting).await.unwrap();
    assert_eq!(site.events("").await.problem().0, "busy");
    assert_eq!(site.get("/api/v1/status").await.code, 200);
    gate.open();
    assert_eq!(timeout(PATIENCE, read_reply(&mut first, false)).await.unwrap().unwrap().code, 200);
}

#[tokio::test]
async fn wrong_tokens_that_are_held_back_take_no_requests_place() {
    let config = Config { requests_max: 1, events_requests_max: 1, token_delay_ms: 10_000, ..Config::default() };
    let site = Site::with(config, |_| {}).await;
    let mut guessers = Vec::new();
    for _ in 0..10 {
        let mut stream = site.connect().await;
        stream
            .write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n\r\n")
            .await
            .unwrap();
        guessers.push(stream);
    }
    site.until("the wrong tokens are counted", |site| site.figure("gapura_http_tokens_refused_total") == 10.0).await;
    assert_eq!(site.events("").await.code, 200);
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused() {
    let site = Site::with(Config { head_bytes_max: 2_048, ..Config::default() }, |_| {}).await;
    assert_eq!(site.get_with("/livez", &format!("X: {}\r\n", "x".repeat(1_900))).await.code, 200);
    let reply = site.get_with("/livez", &format!("X: {}\r\n", "x".repeat(2_048))).await;
    assert_eq!((reply.code, reply.problem().0.as_str()), (431, "headers-too-large"));
    let reply = site.get(&format!("/{}", "x".repeat(2_048))).await;
    assert_eq!(reply.code, 431);
}

#[tokio::test]
async fn headers_that_do_not_end_are_cut_off() {
    let site = Site::with(Config { head_bytes_max: 2_048, ..Config::default() }, |_| {}).await;
    let mut stream = site.connect().await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ").await.unwrap();
    while site.refused("head_bytes") == 0.0 {
        if stream.write_all(&[b'x'; 512]).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    closed(&mut stream).await;
    site.until("the cut is counted", |site| site.refused("head_bytes") == 1.0).await;
}

#[tokio::test]
async fn a_request_with_a_body_is_refused() {
    let site = Site::start().await;
    for headers in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let reply = site.get_with("/livez", headers).await;
        assert_eq!((reply.code, reply.problem().0.as_str()), (413, "body-too-large"), "{headers}");
    }
    assert_eq!(site.get_with("/livez", "Content-Length: 0\r\n").await.code, 200);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_freed_place_is_given_again() {
    let config = Config { connections_max: 2, connections_per_address_max: 2, handshakes_max: 2, ..Config::default() };
    let site = Site::with(config, |_| {}).await;
    let (mut first, _second) = (site.connect().await, site.connect().await);
    site.until("both are open", |site| site.figure("gapura_http_connections") == 2.0).await;
    closed(&mut site.connect().await).await;
    assert_eq!(site.refused("connections"), 1.0);
    assert_eq!(exchange(&mut first, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.code, 200);

    drop(first);
    site.until("a place is free", |site| site.figure("gapura_http_connections") == 1.0).await;
    assert_eq!(site.get("/livez").await.code, 200);
}

#[tokio::test]
async fn one_address_cannot_take_every_connection() {
    let site = Site::with(Config { connections_per_address_max: 1, ..Config::default() }, |_| {}).await;
    let _first = site.connect().await;
    site.until("the first is open", |site| site.figure("gapura_http_connections") == 1.0).await;
    closed(&mut site.connect().await).await;
    assert_eq!(site.refused("address"), 1.0);
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_headers_is_cut_off() {
    let config = Config { head_timeout_ms: 100, ..Config::default() };
    let site = Site::with(config, |_| {}).await;
    let mut slow = site.connect().await;
    slow.write_all(b"GET /livez HTTP/1.1\r\nHo").await.unwrap();
    closed(&mut slow).await;
    assert_eq!(site.refused("head_timeout"), 1.0);
}

#[tokio::test]
async fn a_client_that_asks_nothing_is_let_go() {
    let site = Site::with(Config { idle_timeout_ms: 2_000, ..Config::default() }, |_| {}).await;
    let mut idle = site.connect().await;
    assert_eq!(exchange(&mut idle, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.code, 200);
    closed(&mut idle).await;
    site.until("its place is free", |site| site.figure("gapura_http_connections") == 0.0).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off_and_its_place_is_free() {
    let config = Config {
        requests_max: 1,
        events_requests_max: 1,
        request_timeout_ms: 5_000,
        answer_timeout_ms: 5_000,
        ..Config::default()
    };
    let site = Site::with(config, |sources| {
        sources.status = Arc::new(|| {
            let mut status = status();
            // More than any socket buffer takes.
            status.site = "x".repeat(24 << 20);
            status
        });
    })
    .await;
    let mut unread = site.connect().await;
    unread.write_all(STATUS.as_bytes()).await.unwrap();
    until_busy(&site).await;
    site.until("it is cut off", |site| site.refused("answer_timeout") == 1.0).await;
    until_free(&site).await;
}

#[tokio::test]
async fn a_shutdown_answers_what_is_in_flight_and_takes_nothing_new() {
    let gate = Arc::new(Gate::default());
    let site =
        Site::with(Config { requests_max: 1, events_requests_max: 1, ..Config::default() }, held_status(&gate)).await;
    let mut idle = site.connect().await;
    assert_eq!(exchange(&mut idle, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.code, 200);
    let mut asking = site.connect().await;
    asking.write_all(STATUS.as_bytes()).await.unwrap();
    until_busy(&site).await;

    site.shutdown.send(true).unwrap();
    closed(&mut idle).await;
    assert!(TcpStream::connect(site.address).await.is_err());
    assert!(!site.serving.is_finished());
    gate.open();
    assert_eq!(timeout(PATIENCE, read_reply(&mut asking, false)).await.unwrap().unwrap().code, 200);
    timeout(PATIENCE, site.serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let gate = Arc::new(Gate::default());
    let config = Config { shutdown_timeout_ms: 50, ..Config::default() };
    let site = Site::with(config, held_status(&gate)).await;
    let mut asking = site.connect().await;
    asking.write_all(STATUS.as_bytes()).await.unwrap();
    site.until("it is connected", |site| site.figure("gapura_http_connections") == 1.0).await;
    drop(site.shutdown);
    timeout(PATIENCE, site.serving).await.unwrap().unwrap().unwrap();
    gate.open();
}

async fn until_busy(site: &Site) {
    let waiting = async { while site.get("/readyz").await.code != 503 {} };
    timeout(PATIENCE, waiting).await.expect("the only place is taken");
}

async fn until_free(site: &Site) {
    let waiting = async { while site.get("/readyz").await.code != 200 {} };
    timeout(PATIENCE, waiting).await.expect("the only place is free again");
}
