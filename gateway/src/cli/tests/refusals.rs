//! What is said where the gateway does not answer well, and where a file cannot be written.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::{Canned, Fake, mode};

#[test]
fn a_refusal_is_one_line_with_what_to_do() {
    let detail = "the token desk has the role viewer, which may not do this";
    let rebuilding = "the ledgers are being rebuilt: 1200 of 88121 events are in";
    for (line, canned, told) in [
        (
            "presence --people",
            Canned::forbidden(detail, &["operator", "admin"]),
            "403 Forbidden: Not for this access token: the token desk has the role viewer, which may not do this; it takes a \
             token with the role operator or admin, as `gapura token add NAME --role operator` makes one",
        ),
        (
            "presence",
            Canned::forbidden(detail, &["viewer", "operator", "attendance", "tracer", "privacy-officer", "admin"]),
            "403 Forbidden: Not for this access token: the token desk has the role viewer, which may not do this; it takes a \
             token with the role viewer, operator, attendance, tracer, privacy-officer or admin, as `gapura token add NAME \
             --role viewer` makes one",
        ),
        (
            "attendance",
            Canned::problem(503, "Not ready", rebuilding).with("retry-after", "5"),
            "503 Service Unavailable: Not ready: the ledgers are being rebuilt: 1200 of 88121 events are in; try again in 5 s",
        ),
        (
            "privacy retention",
            Canned::problem(400, "Bad query", "limit is 0\u{1b}[2J"),
            "400 Bad Request: Bad query: limit is 0\u{fffd}[2J",
        ),
        (
            "presence",
            Canned { body: "<html>".into(), ..Canned::problem(404, "", "") },
            "404 Not Found; is --url the address of a gateway?",
        ),
    ] {
        let gateway = Fake::new([canned]);
        assert_eq!(gateway.gapura(line).error(), format!("{} answers {told}", gateway.url));
    }
}

#[test]
fn no_error_names_a_person_whom_nobody_has_typed() {
    let gateway = Fake::new([Canned::json(r#"{"at":"2026-11-23T01:00:00Z","people":["C-0001"]}"#)]);
    let told = gateway.gapura("presence --people");
    let other = "the gateway is of another version: its answer is not as expected at line 1, column 47";
    assert_eq!(told.error(), other);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = Fake { url: format!("http://{nobody}"), ..Fake::new([]) };
    let told = gone.gapura("attendance --person C-0001");
    assert!(told.error().contains("is the gateway running?") && !told.error().contains("C-0001"), "{}", told.error());
}

#[test]
fn events_that_are_not_in_the_answer_yet_are_warned_of_once() {
    let body = r#"{"at":"2026-11-23T01:00:00Z","zones":[]}"#;
    let behind = |behind: &str| Canned::json(body).with("gapura-through", "881").with("gapura-behind", behind);
    let gateway = Fake::new([behind("0"), behind("1"), behind("20")]);
    gateway.gapura("presence").well();
    let warned = |events: &str| {
        format!(
            "gapura: warning: the newest {events} not in this answer, which ends with event 881; ask again for all\n"
        )
    };
    let told = gateway.gapura("presence");
    assert_eq!((told.errors, told.ended), (warned("1 event is"), Ok(())));
    assert_eq!(gateway.gapura("presence --json").errors, warned("20 events are"));
    let page = |more: &str| {
        let line = "{\"number\":1}\n";
        let page = Canned::json(line).with("gapura-last-event", "1").with("gapura-more", more);
        page.with("gapura-through", "881").with("gapura-behind", "20")
    };
    let gateway = Fake::new([page("true"), page("false")]);
    assert_eq!(gateway.gapura("events --json").errors, warned("20 events are"));
}

#[test]
fn a_file_is_not_overwritten_without_force_and_nothing_is_asked_for_it() {
    let gateway = Fake::new([Canned::json("new")]);
    let file = gateway.path("answer.json");
    std::fs::write(&file, "old").unwrap();
    let line = format!("presence --json --out {}", file.display());
    let refused = format!("{} is there already: choose another name, or replace it with --force", file.display());
    assert_eq!(gateway.gapura(&line).error(), refused);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    assert!(gateway.asked().is_empty());
    gateway.gapura(&format!("{line} --force")).well();
    assert_eq!((std::fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("new", 0o600));
    assert!(gateway.gapura("presence --force").error().contains("--out <FILE>"));
}

#[test]
fn a_refusal_or_a_broken_answer_leaves_no_file() {
    let mut gateway = Fake::new([Canned::problem(403, "Not for you", "")]);
    let file = gateway.path("answer.json");
    let line = format!("presence --json --out {}", file.display());
    assert!(gateway.gapura(&line).error().contains("403"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    gateway.url = format!("http://{}", listener.local_addr().unwrap());
    let breaks_off = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            connection.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123").unwrap();
    });
    let told = gateway.gapura(&line);
    breaks_off.join().unwrap();
    assert!(told.error().contains("broke off"), "{}", told.error());
    let names: Vec<_> = std::fs::read_dir(gateway.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("answer")), "{names:?}");
}

#[test]
fn a_file_in_a_folder_that_is_not_there_is_named() {
    let gateway = Fake::new([Canned::json("{}")]);
    let file = gateway.path("nowhere/answer.json");
    let told = gateway.gapura(&format!("presence --json --out {}", file.display()));
    assert!(told.error().starts_with(&format!("{} was not written: ", file.display())), "{}", told.error());
}
