//! The normative statements of MQTT 3.1.1 (OASIS Standard, appendix B) that a server can break.

use super::normative::{Case, Step, Step::*, all, assert_complete, case, door_status, join, run};
use super::*;

/// Sections, and how many statements each has.
#[rustfmt::skip]
const SECTIONS: &[(&str, u32)] = &[
    ("1.5.3", 3), ("2.2.2", 2), ("2.3.1", 7), ("3.1.0", 2), ("3.1.2", 24), ("3.1.3", 11), ("3.1.4", 5), ("3.2.0", 1),
    ("3.2.2", 6), ("3.3.1", 12), ("3.3.2", 3), ("3.3.4", 1), ("3.3.5", 2), ("3.6.1", 1), ("3.8.1", 1), ("3.8.3", 4),
    ("3.8.4", 6), ("3.9.3", 2), ("3.10.1", 1), ("3.10.3", 2), ("3.10.4", 6), ("3.12.4", 1), ("3.14.1", 1), ("3.14.4", 3),
    ("4.1.0", 2), ("4.2.0", 1), ("4.3.1", 1), ("4.3.2", 2), ("4.3.3", 2), ("4.4.0", 1), ("4.5.0", 2), ("4.6.0", 6),
    ("4.7.1", 3), ("4.7.2", 1), ("4.7.3", 4), ("4.8.0", 2), ("6.0.0", 4),
];

/// Statements that no exchange with this server can prove, and why.
#[rustfmt::skip]
const EXCEPTIONS: &[(&str, &str)] = &[
    ("2.3.1-2 2.3.1-3 3.1.2-23 3.14.4-1 3.14.4-2 4.5.0-2 4.6.0-1 4.6.0-2 4.6.0-3 4.6.0-4 3.2.2-5 4.7.1-1", "binds the client"),
    ("3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-11", "what is retained is the door's last status, whether or not the reader has asked for it; \
      an empty payload is no status and is not taken"),
    ("3.3.1-12", "the same: a status without RETAIN is remembered as well, since a door without one cannot be shown"),
    ("3.1.2-16 3.1.2-17", "which wills are retained follows from the same"),
    ("3.3.5-2", "a message that may not be published ends the connection, as section 3.3.5 allows; see the case of 3.3.5-1 for others"),
    ("4.3.3-1", "no message is sent with QoS 2: subscriptions get at most 1"),
    ("3.1.2-15", "a will with QoS 3 is tested as 3.1.2-14; the values 0 to 2 with 3.1.2-9"),
    ("4.7.2-1", "there are no topics that begin with $, and nobody may subscribe above a prefix"),
    ("4.1.0-1 4.2.0-1", "shown by every other case: TCP is the only transport, and no session is discarded under a connection"),
    ("6.0.0-1 6.0.0-2 6.0.0-3 6.0.0-4", "no WebSocket listener"),
];

fn raw(bytes: &[u8]) -> Vec<Step> {
    vec![Dial, Send(bytes.to_vec()), Ends]
}

/// A connected door `a`.
fn door(clean: bool) -> Vec<Step> {
    vec![Dial, Send(connect_v3("a", u8::from(clean) << 1, 60, &[])), Begins(0x20, vec![])]
}

/// A monitor that hears all status, at QoS 1.
fn monitor() -> Vec<Step> {
    let filter = "gapura/v1/regency/+/status";
    vec![
        Dial,
        Send(connect_v3("monitor-1", 2, 60, &[])),
        Get(vec![0x20, 2, 0, 0]),
        Send(subscribe(3, 5, filter, 1)),
        Get(vec![0x90, 3, 0, 5, 1]),
    ]
}

fn sent(bytes: Vec<u8>) -> Vec<Step> {
    vec![Send(bytes)]
}

/// A connected door that sends something for which its connection must end.
fn refused(bytes: &[u8]) -> Vec<Step> {
    join([door(true), vec![Send(bytes.to_vec()), Ends]])
}

fn scan_topic() -> String {
    prefix("a") + "scan"
}

fn status_topic() -> String {
    prefix("a") + "status"
}

/// What follows the client id of a CONNECT with a will.
fn will() -> Vec<u8> {
    [text(status_topic().as_bytes()), text(&door_status())].concat()
}

#[rustfmt::skip] // A table.
fn connects() -> Vec<Case> {
    let accepted = |flags, rest: &[u8]| {
        vec![Dial, Send(connect_v3("a", flags, 60, rest)), Get(vec![0x20, 2, 0, 0]), Quiet]
    };
    let denied = |flags, rest: &[u8]| raw(&connect_v3("a", flags, 60, rest));
    vec![
        case("3.1.0-1", raw(&[0xC0, 0])),
        case("3.1.0-2", refused(&connect_v3("a", 2, 60, &[]))),
        case("3.1.2-1", raw(&packet(0x10, b"\0\x04HTTP\x04\x02\0\x3C\0\x01a"))),
        case("3.1.2-2", vec![Dial, Send(packet(0x10, b"\0\x04MQTT\x84\x02\0\x3C\0\x01a")), Get(vec![0x20, 2, 0, 1]), Ends]),
        case("3.1.2-2", vec![Dial, Send(packet(0x10, b"\0\x06MQIsdp\x83\x02\0\x3C\0\x01a")), Get(vec![0x20, 2, 0, 1]), Ends]),
        case("3.1.2-3", denied(0x03, &[])),
        case("3.1.2-11 3.1.2-13", denied(0x0A, &[])),
        case("3.1.2-14", denied(0x1E, &will())),
        case("3.1.2-11", denied(0x22, &[])),
        case("3.1.2-9", denied(0x06, &[])),
        case("3.1.2-9 3.1.3-1", accepted(0x0E, &will())),
        case("3.1.2-18", denied(0x02, &text(b"user"))),
        case("3.1.2-19", denied(0x82, &[])),
        case("3.1.2-20", denied(0x82, &[text(b"user"), text(b"pass")].concat())),
        case("3.1.2-21", denied(0xC2, &text(b"user"))),
        case("3.1.2-22", denied(0x42, &text(b"pass"))),
        case("3.1.2-20 3.1.2-21", accepted(0xC2, &[text(b"user"), text(b"\xFF\0\xFE")].concat())),
        case("3.1.3-3 3.1.4-1", raw(&packet(0x10, b"\0\x04MQTT\x04\x02\0\x3C"))),
        case("3.1.3-4", raw(&packet(0x10, b"\0\x04MQTT\x04\x02\0\x3C\0\x02\xC3\x28"))),
        case("1.5.3-1", raw(&packet(0x10, b"\0\x04MQTT\x04\x02\0\x3C\0\x03\xED\xA0\x80"))),
        case("1.5.3-2", raw(&packet(0x10, b"\0\x04MQTT\x04\x02\0\x3C\0\x02a\0"))),
        case("1.5.3-3 4.7.3-4", join([door(true), sent(subscribe(3, 1, &format!("\u{FEFF}{}", scan_topic()), 0)), vec![Get(vec![0x90, 3, 0, 1, 0x80])]])),
        case("3.1.3-5", join([door(true), vec![Quiet]])),
        case("3.1.3-6 3.1.3-7 3.1.3-8 3.2.2-4", vec![Dial, Send(connect_v3("", 0, 60, &[])), Get(vec![0x20, 2, 0, 2]), Ends]),
        case("3.1.3-9 3.1.4-5 3.2.2-6", vec![Dial, Send([connect_v3("no door", 2, 60, &[]), vec![0xC0, 0]].concat()), Get(vec![0x20, 2, 0, 2]), Ends]),
        case("3.1.3-10", denied(0x06, &[text(b"\xFF"), text(b"x")].concat())),
        case("3.1.3-11", denied(0x82, &text(b"\xFF"))),
        case("3.1.4-2 3.1.3-2", join([door(true), door(true), vec![Quiet, Use(0), Ends]])),
        case("3.1.4-3 3.1.4-4 3.2.0-1 3.2.2-1", vec![Dial, Send([connect_v3("a", 2, 60, &[]), vec![0xC0, 0]].concat()), Get(vec![0x20, 2, 0, 0]), Get(vec![0xD0, 0])]),
        case("3.1.2-4 3.2.2-2 3.2.2-3 3.1.2-5 4.4.0-1", join([
            door(false), sent(subscribe(3, 1, &(prefix("a") + "decision"), 1)), vec![Get(vec![0x90, 3, 0, 1, 1])],
            sent(publish(3, &scan_topic(), 1, 9, &[], &scan(1))), vec![Keep, Begins(0x32, vec![]), Get(vec![0x40, 2, 0, 9]), Cut, Away],
            vec![Dial, Send(connect_v3("a", 0, 60, &[])), Get(vec![0x20, 2, 1, 0]), Begins(0x3A, vec![]), Send(vec![0xE0, 0]), Ends],
        ])),
        case("3.1.2-6 3.1.2-7", join([
            door(false), vec![Send(vec![0xE0, 0]), Ends],
            vec![Dial, Send(connect_v3("a", 2, 60, &[])), Get(vec![0x20, 2, 0, 0]), Send(vec![0xE0, 0]), Ends],
            vec![Dial, Send(connect_v3("a", 0, 60, &[])), Get(vec![0x20, 2, 0, 0])],
        ])),
        case("3.1.2-8", join([monitor(), vec![Dial, Send(connect_v3("a", 0x0E, 60, &will())), Get(vec![0x20, 2, 0, 0]), Cut, Use(0), Holds(0x32, door_status())]])),
        case("3.1.2-10 3.1.2-12 3.14.4-3", join([
            monitor(), vec![Dial, Send(connect_v3("a", 0x0E, 60, &will())), Get(vec![0x20, 2, 0, 0]), Send(vec![0xE0, 0]), Ends],
            vec![Use(0), Holds(0x32, b"offline".to_vec()), Quiet],
        ])),
        case("3.1.2-24", vec![Dial, Send(connect_v3("a", 2, 1, &[])), Get(vec![0x20, 2, 0, 0]), Ends]),
    ]
}

#[rustfmt::skip] // A table.
fn publishes() -> Vec<Case> {
    let to_status = |flags: u8| {
        let mut bytes = publish(3, &status_topic(), 1, 3, &[], &door_status());
        bytes[0] |= flags;
        bytes
    };
    vec![
        case("2.2.2-1 2.2.2-2", refused(&[0xC1, 0])),
        case("2.3.1-1 4.8.0-1", refused(&publish(3, &scan_topic(), 1, 0, &[], b"x"))),
        case("2.3.1-5 4.3.1-1", join([door(true), sent(publish(3, &scan_topic(), 0, 0, &[], &scan(1))), vec![Keep, Quiet]])),
        case("2.3.1-6 3.3.4-1 4.3.2-2", join([door(true), sent(publish(3, &scan_topic(), 1, 0x1234, &[], &scan(1))), vec![Keep, Get(vec![0x40, 2, 0x12, 0x34])]])),
        case("2.3.1-6 4.3.3-2 3.6.1-1", join([door(true), sent(publish(3, &scan_topic(), 2, 7, &[], &scan(1))), vec![
            Keep, Get(vec![0x50, 2, 0, 7]), Send(publish(3, &scan_topic(), 2, 7, &[], &scan(1))), Get(vec![0x50, 2, 0, 7]),
            Send(vec![0x62, 2, 0, 7]), Get(vec![0x70, 2, 0, 7]), Send(vec![0x60, 2, 0, 7]), Ends,
        ]])),
        case("3.3.1-2", refused(&packet(0x38, &[text(scan_topic().as_bytes()), b"x".to_vec()].concat()))),
        case("3.3.1-4", refused(&packet(0x36, &[text(scan_topic().as_bytes()), vec![0, 1]].concat()))),
        case("3.3.2-1", refused(&packet(0x30, b"\0\x02\xC3\x28"))),
        case("3.3.2-2", refused(&publish(3, &(prefix("a") + "+"), 0, 0, &[], b"x"))),
        case("3.3.5-1 3.3.2-3 4.5.0-1 3.3.1-9 2.3.1-4 4.3.2-1", join([
            monitor(), door(true), sent(to_status(1)), vec![Get(vec![0x40, 2, 0, 3])],
            vec![Use(0), Get(packet(0x32, &[text(status_topic().as_bytes()), vec![0, 1], door_status()].concat()))],
        ])),
        case("3.3.1-8 3.3.1-10", join([
            door(true), sent(to_status(1)), vec![Get(vec![0x40, 2, 0, 3])],
            sent(subscribe(3, 2, &status_topic(), 0)), vec![Get(vec![0x90, 3, 0, 2, 0]), Holds(0x31, door_status()), Quiet],
            sent(to_status(0)), vec![Get(vec![0x40, 2, 0, 3]), Holds(0x30, door_status())],
        ])),
        case("3.3.1-1 3.3.1-3", join([
            door(true), sent(subscribe(3, 2, &status_topic(), 1)), vec![Get(vec![0x90, 3, 0, 2, 1])],
            sent(to_status(8)), vec![Get(vec![0x40, 2, 0, 3]), Holds(0x32, door_status())],
        ])),
        case("4.6.0-5 4.6.0-6", join([
            door(true), sent(subscribe(3, 2, &(prefix("a") + "decision"), 1)), vec![Get(vec![0x90, 3, 0, 2, 1])],
            sent([1, 2].map(|pkid| publish(3, &scan_topic(), 1, pkid, &[], &scan(pkid.into()))).concat()),
            vec![Keep, Begins(0x32, vec![]), Get(vec![0x40, 2, 0, 1]), Keep, Begins(0x32, vec![]), Get(vec![0x40, 2, 0, 2])],
        ])),
        case("4.1.0-2", join([door(false), vec![Cut, Away], vec![Dial, Send(connect_v3("a", 0, 60, &[])), Get(vec![0x20, 2, 1, 0])]])),
        case("4.8.0-2", join([door(true), sent(vec![0x10, 0]), vec![Ends], door(true), vec![Quiet]])),
    ]
}

#[rustfmt::skip] // A table.
fn subscriptions() -> Vec<Case> {
    let decision = prefix("a") + "decision";
    let two = |options: u8| [vec![0, 9], text(decision.as_bytes()), vec![options], text(b"elsewhere"), vec![0]].concat();
    vec![
        case("3.8.1-1", refused(&packet(0x80, &two(0)))),
        case("3.8.3-1", refused(&packet(0x82, b"\0\x01\0\x02\xC3\x28\0"))),
        case("3.8.3-3", refused(&packet(0x82, b"\0\x01"))),
        case("3.8.3-4", refused(&subscribe(3, 1, &decision, 3))),
        case("3.8.3-4", refused(&subscribe(3, 1, &decision, 0x04))),
        case("3.8.3-2 4.7.1-2 4.7.1-3", join([door(true), ["#/a", "a#", "a+/b", "a/++"].into_iter().flat_map(|end| {
            [Send(subscribe(3, 1, &(prefix("a") + end), 0)), Get(vec![0x90, 3, 0, 1, 0x80])]
        }).collect()])),
        case("2.3.1-7 3.8.4-1 3.8.4-2 3.8.4-4 3.8.4-5 3.9.3-1 3.9.3-2", join([door(true), vec![Send(packet(0x82, &two(0))), Get(vec![0x90, 4, 0, 9, 0, 0x80])]])),
        case("3.8.4-6", join([door(true), vec![Send(packet(0x82, &two(2))), Get(vec![0x90, 4, 0, 9, 1, 0x80])]])),
        case("3.8.4-3", join([
            door(true), sent(subscribe(3, 1, &decision, 1)), vec![Get(vec![0x90, 3, 0, 1, 1])],
            sent(subscribe(3, 2, &decision, 0)), vec![Get(vec![0x90, 3, 0, 2, 0])],
            sent(publish(3, &scan_topic(), 1, 9, &[], &scan(1))), vec![Keep, Begins(0x30, vec![]), Get(vec![0x40, 2, 0, 9]), Quiet],
        ])),
        case("4.7.3-1", refused(&publish(3, "", 0, 0, &[], b"x"))),
        case("4.7.3-1", join([door(true), vec![Send(subscribe(3, 1, "", 0)), Get(vec![0x90, 3, 0, 1, 0x80])]])),
        case("4.7.3-2", refused(&subscribe(3, 1, "a\0", 0))),
        case("4.7.3-3", join([door(true), vec![Send(subscribe(3, 1, &(prefix("a") + &"x".repeat(20_000)), 0)), Get(vec![0x90, 3, 0, 1, 0])]])),
        case("3.10.1-1", refused(&packet(0xA0, &[vec![0, 9], text(decision.as_bytes())].concat()))),
        case("3.10.3-1", refused(&packet(0xA2, b"\0\x01\0\x02\xC3\x28"))),
        case("3.10.3-2", refused(&packet(0xA2, b"\0\x01"))),
        case("3.10.4-1 3.10.4-2 3.10.4-3 3.10.4-4 3.10.4-5 3.10.4-6", join([
            door(true), sent(subscribe(3, 1, &decision, 1)), vec![Get(vec![0x90, 3, 0, 1, 1])],
            sent(publish(3, &scan_topic(), 1, 1, &[], &scan(1))), vec![Keep, Begins(0x32, vec![]), Get(vec![0x40, 2, 0, 1])],
            sent(packet(0xA2, &[vec![0, 9], text(decision.as_bytes()), text(b"never")].concat())), vec![Get(vec![0xB0, 2, 0, 9])],
            sent(publish(3, &scan_topic(), 1, 2, &[], &scan(2))), vec![Keep, Get(vec![0x40, 2, 0, 2]), Send(vec![0x40, 2, 0, 1]), Quiet],
            sent(packet(0xA2, &[vec![0, 9], text(decision.as_bytes())].concat())), vec![Get(vec![0xB0, 2, 0, 9])],
        ])),
        case("3.12.4-1", join([door(true), vec![Send(vec![0xC0, 0]), Get(vec![0xD0, 0])]])),
        case("3.14.1-1", refused(&[0xE1, 0])),
        case("3.14.1-1", refused(&[0xE0, 1, 0])),
    ]
}

fn cases() -> Vec<Case> {
    [connects(), publishes(), subscriptions()].into_iter().flatten().collect()
}

#[test]
fn every_statement_is_tested_or_excepted_with_a_reason() {
    assert_complete(&all(SECTIONS), &cases(), EXCEPTIONS);
}

#[tokio::test]
async fn connect_and_connack() {
    run(connects()).await;
}

#[tokio::test]
async fn publish_and_its_acknowledgements() {
    run(publishes()).await;
}

#[tokio::test]
async fn subscriptions_ping_and_disconnect() {
    run(subscriptions()).await;
}
