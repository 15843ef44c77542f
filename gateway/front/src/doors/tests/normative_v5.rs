//! The normative statements of MQTT 5 (OASIS Standard, appendix B) that a server can break.

use super::normative::{Case, Step, Step::*, all, assert_complete, case, door_status, join, run};
use super::*;

/// Sections, and how many statements each has.
#[rustfmt::skip]
const SECTIONS: &[(&str, u32)] = &[
    ("1.5.4", 3), ("1.5.5", 1), ("1.5.7", 1), ("2.1.3", 1), ("2.2.1", 6), ("2.2.2", 1), ("3.1.0", 2), ("3.1.2", 30), ("3.1.3", 12),
    ("3.1.4", 6), ("3.2.0", 2), ("3.2.2", 22), ("3.3.1", 13), ("3.3.2", 20), ("3.3.4", 10), ("3.4.2", 3), ("3.5.2", 3), ("3.6.1", 1),
    ("3.6.2", 3), ("3.7.2", 3), ("3.8.1", 1), ("3.8.3", 5), ("3.8.4", 8), ("3.9.2", 2), ("3.9.3", 2), ("3.10.1", 1), ("3.10.3", 2),
    ("3.10.4", 6), ("3.11.2", 2), ("3.11.3", 2), ("3.12.4", 1), ("3.14.0", 1), ("3.14.1", 1), ("3.14.2", 4), ("3.14.4", 3),
    ("3.15.1", 1), ("3.15.2", 3), ("4.1.0", 2), ("4.2.0", 1), ("4.3.1", 1), ("4.3.2", 5), ("4.3.3", 13), ("4.4.0", 2), ("4.5.0", 2),
    ("4.6.0", 6), ("4.7.0", 1), ("4.7.1", 2), ("4.7.2", 1), ("4.7.3", 4), ("4.8.2", 6), ("4.9.0", 3), ("4.10.0", 4), ("4.11.0", 1),
    ("4.12.0", 7), ("4.12.1", 2), ("4.13.1", 1), ("4.13.2", 1), ("6.0.0", 4),
];

/// Statements that no exchange with this server can prove, and why.
#[rustfmt::skip]
const EXCEPTIONS: &[(&str, &str)] = &[
    ("2.2.1-1", "the standard has no statement of this number"),
    ("3.1.2-20 3.1.2-21 3.1.2-30 3.2.2-4 3.2.2-5 3.2.2-11 3.2.2-14 3.2.2-15 3.2.2-17 3.2.2-18 3.2.2-21 3.3.2-10 3.3.4-6 3.3.4-8 4.3.3-5 \
      4.3.3-6 4.5.0-2 4.6.0-1 4.6.0-2 4.6.0-3 4.6.0-4 4.10.0-2 4.12.0-7 3.14.4-1 4.3.3-4", "binds the client"),
    ("3.2.2-9 3.2.2-10 3.2.2-12 3.2.2-13", "QoS 2 and retained messages are supported"),
    ("3.2.2-16", "the assigned client id is the door's name: whoever has its certificate is that door, and takes its place"),
    ("3.1.3-6 3.1.3-7", "needs a certificate: `connack_says_what_the_server_offers`"),
    ("3.2.2-20 4.11.0-1", "no server reference is ever sent"),
    ("3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8", "what is retained is the door's last status, whether or not the reader has asked for it; an empty \
      payload is no status and is not taken"),
    ("3.3.4-3 3.3.4-4 3.3.4-5", "subscription identifiers are not offered, and CONNACK says so"),
    ("3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2 3.14.2-3 3.14.2-4 3.15.2-2 \
      3.15.2-3 3.1.2-29", "no reason string is ever sent, and a user property only with PUBLISH"),
    ("3.3.2-8 3.3.2-9 3.3.2-11 3.1.2-26 3.1.2-27", "no topic alias is ever sent to a client"),
    ("4.3.3-1 4.3.3-2 4.3.3-3 4.3.3-7 4.3.3-13", "no message is sent with QoS 2: subscriptions get at most 1"),
    ("4.7.2-1", "there are no topics that begin with $, and nobody may subscribe above a prefix"),
    ("4.8.2-1 4.8.2-2 4.8.2-3 4.8.2-4 4.8.2-5 4.8.2-6", "shared subscriptions are not offered, and CONNACK says so"),
    ("3.15.1-1 3.15.2-1 4.12.0-2 4.12.0-3 4.12.0-4 4.12.0-5 4.12.1-1 4.12.1-2", "no authentication method is offered: see 4.12.0-1"),
    ("4.1.0-1 4.2.0-1", "shown by every other case: TCP is the only transport, and no session is discarded under a connection"),
    ("4.1.0-2", "`the_session_that_expires_first_makes_room` and its neighbour: an expired session is gone"),
    ("3.1.3-9 3.1.2-8", "`a_delayed_will_comes_later_unless_the_door_is_back`"),
    ("3.3.2-5 3.3.2-6", "`a_status_expires`: by the front's clock, which these cases do not move"),
    ("3.3.2-7", "`topic_aliases_are_resolved_and_checked`: another connection does not know them"),
    ("3.1.2-22", "`a_silent_client_is_disconnected_and_told_the_servers_keep_alive`"),
    ("4.3.2-3", "refers to section 4.4"),
    ("6.0.0-1 6.0.0-2 6.0.0-3 6.0.0-4", "no WebSocket listener"),
];

fn raw(bytes: &[u8]) -> Vec<Step> {
    vec![Dial, Send(bytes.to_vec()), Ends]
}

/// A connected door `a` with a clean start and these properties.
fn door(properties: &[u8]) -> Vec<Step> {
    vec![Dial, Send(connect_v5("a", 2, 60, properties, &[])), Begins(0x20, vec![0, 0])]
}

/// A CONNECT that is refused with this reason.
fn denied(reason: u8, flags: u8, properties: &[u8], rest: &[u8]) -> Vec<Step> {
    let connect = connect_v5("a", flags, 60, properties, rest);
    vec![Dial, Send([connect, vec![0xC0, 0]].concat()), Get(vec![0x20, 3, 0, reason, 0]), Ends]
}

/// A connected door that sends something for which its connection ends with this reason.
fn refused(reason: u8, bytes: &[u8]) -> Vec<Step> {
    join([door(&[]), vec![Send([bytes, &[0xC0, 0]].concat()), Get(vec![0xE0, 1, reason]), Ends]])
}

fn sent(bytes: Vec<u8>) -> Vec<Step> {
    vec![Send(bytes)]
}

fn monitor(options: u8) -> Vec<Step> {
    vec![
        Dial,
        Send(connect_v5("monitor-1", 2, 60, &[], &[])),
        Begins(0x20, vec![0, 0]),
        Send(subscribe(5, 5, "gapura/v1/regency/+/status", options)),
        Get(vec![0x90, 4, 0, 5, 0, options & 1]),
    ]
}

fn scan_topic() -> String {
    prefix("a") + "scan"
}

fn status_topic() -> String {
    prefix("a") + "status"
}

fn subscribed(filter: &str, options: u8) -> Vec<Step> {
    vec![Send(subscribe(5, 2, filter, options)), Get(vec![0x90, 4, 0, 2, 0, options & 1])]
}

fn will(properties: &[u8]) -> Vec<u8> {
    [block(properties), text(status_topic().as_bytes()), text(&door_status())].concat()
}

fn status(flags: u8, properties: &[u8]) -> Vec<u8> {
    let mut bytes = publish(5, &status_topic(), 1, 3, properties, &door_status());
    bytes[0] |= flags;
    bytes
}

/// Properties of a message, of every kind that subscribers get unchanged.
const OF_MESSAGE: &[u8] = b"\x01\x01\x03\0\x04text\x08\0\x01r\x09\0\x01c\x26\0\x01b\0\x011\x26\0\x01a\0\x012";

fn status_acked() -> Vec<Step> {
    vec![Get(vec![0x40, 2, 0, 3])]
}

/// A status as a subscriber gets it.
fn received(head: u8, properties: &[u8]) -> Step {
    let pkid = if head & 6 == 0 { vec![] } else { vec![0, 1] };
    Get(packet(head, &[text(status_topic().as_bytes()), pkid, block(properties), door_status()].concat()))
}

#[rustfmt::skip] // A table.
fn connects() -> Vec<Case> {
    let head = |rest: &[u8]| packet(0x10, &[b"\0\x04MQTT\x05\x02\0\x3C", rest].concat());
    let malformed = |bytes: Vec<u8>| vec![Dial, Send(bytes), Get(vec![0x20, 3, 0, 0x81, 0]), Ends];
    let accepted = |flags, properties: &[u8], rest: &[u8]| vec![Dial, Send(connect_v5("a", flags, 60, properties, rest)), Begins(0x20, vec![0, 0]), Quiet];
    vec![
        case("3.1.0-1", raw(&[0xC0, 0])),
        case("3.1.0-2", refused(0x82, &connect_v5("a", 2, 60, &[], &[]))),
        case("3.1.2-1", raw(&packet(0x10, b"\0\x04HTTP\x05\x02\0\x3C\0\0\x01a"))),
        case("3.1.2-2 3.14.0-1", vec![Dial, Send(packet(0x10, b"\0\x04MQTT\x06\x02\0\x3C\0\0\x01a")), Get(vec![0x20, 3, 0, 0x84, 0]), Ends]),
        case("3.1.2-3", denied(0x81, 0x03, &[], &[])),
        case("3.1.2-11", denied(0x81, 0x0A, &[], &[])),
        case("3.1.2-12", denied(0x81, 0x1E, &[], &will(&[]))),
        case("3.1.2-13", denied(0x81, 0x22, &[], &[])),
        case("3.1.2-9", denied(0x81, 0x06, &[], &[])),
        case("3.1.2-16", denied(0x81, 0x02, &[], &text(b"user"))),
        case("3.1.2-17", denied(0x81, 0x82, &[], &[])),
        case("3.1.2-18", denied(0x81, 0x82, &[], &[text(b"user"), text(b"pass")].concat())),
        case("3.1.2-19", denied(0x81, 0xC2, &[], &text(b"user"))),
        case("3.1.2-19 3.1.3-1", accepted(0xC6, &[], &[will(&[]), text(b"user"), text(b"\xFF\0\xFE")].concat())),
        case("3.1.2-18", accepted(0x42, &[], &text(b"pass"))),
        case("3.1.3-3 3.1.4-1 3.1.4-2", malformed(head(b"\0"))),
        case("3.1.3-4", malformed(head(b"\0\0\x02\xC3\x28"))),
        case("1.5.4-1", malformed(head(b"\0\0\x03\xED\xA0\x80"))),
        case("1.5.4-2", malformed(head(b"\0\0\x02a\0"))),
        case("1.5.5-1", malformed(head(b"\x80\0\0\x01a"))),
        case("1.5.5-1", join([door(&[]), sent(vec![0xC0, 0x80, 0]), vec![Get(vec![0xE0, 1, 0x81]), Ends]])),
        case("1.5.7-1", denied(0x81, 2, b"\x26\0\x01a\0\x01\xFF", &[])),
        case("3.1.3-11", denied(0x81, 0x06, &[], &[vec![0], text(b"\xFF"), text(b"x")].concat())),
        case("3.1.3-12", denied(0x81, 0x82, &[], &text(b"\xFF"))),
        case("3.1.3-5 3.1.3-2", accepted(2, &[], &[])),
        case("3.1.3-8 3.2.2-6 3.2.2-7 3.2.2-8 3.1.4-6", vec![Dial, Send([connect_v5("no door", 2, 60, &[], &[]), vec![0xC0, 0]].concat()), Get(vec![0x20, 3, 0, 0x85, 0]), Ends]),
        case("4.12.0-1", denied(0x8C, 2, b"\x15\0\x01x", &[])),
        case("4.12.0-6", denied(0x82, 2, b"\x16\0\x01x", &[])),
        // A property twice, of another packet, unknown, beyond its block, and with a value that it cannot have.
        case("3.1.4-1", denied(0x82, 2, b"\x21\0\x01\x21\0\x02", &[])),
        case("3.1.4-1", denied(0x81, 2, b"\x23\0\x01", &[])),
        case("3.1.4-1", denied(0x81, 2, b"\x7F\0", &[])),
        case("3.1.4-1", denied(0x81, 2, b"\x11\0", &[])),
        case("3.1.4-1", denied(0x82, 2, b"\x21\0\0", &[])),
        case("3.1.4-1", denied(0x82, 2, b"\x27\0\0\0\0", &[])),
        case("3.1.4-1", denied(0x82, 2, b"\x19\x02", &[])),
        case("3.1.4-1", denied(0x82, 2, b"\x17\x02", &[])),
        case("3.1.4-3", join([door(&[]), door(&[]), vec![Quiet, Use(0), Get(vec![0xE0, 1, 0x8E]), Ends]])),
        case("3.1.4-5 3.2.0-1 3.2.0-2 3.2.2-1 2.2.2-1", vec![Dial, Send([connect_v5("a", 2, 60, &[], &[]), vec![0xC0, 0]].concat()), Begins(0x20, vec![0, 0]), Get(vec![0xD0, 0]), Quiet]),
        case("3.1.2-4 3.1.2-5 3.1.2-6 3.1.2-23 3.1.4-4 3.2.2-2 3.2.2-3", join([
            door(b"\x11\0\0\0\x3C"), vec![Cut, Away],
            vec![Dial, Send(connect_v5("a", 0, 60, b"\x11\0\0\0\x3C", &[])), Begins(0x20, vec![1, 0]), Cut, Away],
            vec![Dial, Send(connect_v5("a", 2, 60, &[], &[])), Begins(0x20, vec![0, 0]), Cut, Away],
            vec![Dial, Send(connect_v5("a", 0, 60, &[], &[])), Begins(0x20, vec![0, 0])],
        ])),
        case("3.1.2-7 3.1.2-14 3.1.3-10 3.3.2-17", join([
            monitor(9), vec![Dial, Send(connect_v5("a", 0x0E, 60, &[], &will(OF_MESSAGE))), Begins(0x20, vec![0, 0]), Cut, Use(0), received(0x32, OF_MESSAGE)],
        ])),
        case("3.1.2-15", join([monitor(9), vec![Dial, Send(connect_v5("a", 0x2E, 60, &[], &will(&[]))), Begins(0x20, vec![0, 0]), Cut, Use(0), received(0x33, &[])]])),
        case("3.1.2-10 3.14.4-3", join([
            monitor(1), vec![Dial, Send(connect_v5("a", 0x0E, 60, &[], &will(&[]))), Begins(0x20, vec![0, 0]), Send(vec![0xE0, 0]), Ends],
            vec![Use(0), Holds(0x32, b"offline".to_vec()), Quiet],
        ])),
        case("3.1.2-28", vec![Dial, Send(connect_v5("a", 2, 60, b"\x19\0", &[])), Get(packet(0x20, b"\0\0\x13\x21\0\x40\x27\0\0\x60\0\x22\0\x08\x25\x01\x28\x01\x29\0\x2A\0"))]),
        // No larger than the client takes: what may be left out is left out, and what may not is refused.
        case("3.2.2-19 3.1.2-24", vec![Dial, Send(connect_v5("a", 2, 60, b"\x19\x01\x27\0\0\0\x20", &[])), Get(packet(0x20, b"\0\0\x0C\x21\0\x40\x27\0\0\x60\0\x29\0\x2A\0"))]),
        case("3.1.2-24", denied(0x95, 2, b"\x27\0\0\0\x10", &[])),
        case("3.2.2-22", vec![Dial, Send(connect_v5("a", 2, 1, &[], &[])), Begins(0x20, vec![0, 0]), Get(vec![0xE0, 1, 0x8D]), Ends]),
    ]
}

#[rustfmt::skip] // A table.
fn publishes() -> Vec<Case> {
    let decision = prefix("a") + "decision";
    let scan_with = |properties: &[u8]| publish(5, &scan_topic(), 1, 9, properties, &scan(1));
    let released = |body: &[u8]| packet(0x62, body);
    vec![
        case("2.1.3-1", refused(0x81, &[0xC1, 0])),
        case("2.2.1-2 4.3.1-1", join([door(&[]), sent(publish(5, &scan_topic(), 0, 0, &[], &scan(1))), vec![Keep, Quiet]])),
        case("2.2.1-3", refused(0x82, &publish(5, &scan_topic(), 1, 0, &[], b"x"))),
        case("2.2.1-5 3.3.4-1 4.3.2-4 4.3.2-5 3.4.2-1", join([door(&[]), sent(scan_with(&[])), vec![Keep, Get(vec![0x40, 2, 0, 9])], sent(scan_with(&[])), vec![Keep, Get(vec![0x40, 2, 0, 9])]])),
        case("4.3.3-8 4.3.3-10 4.3.3-11 4.3.3-12 3.5.2-1 3.6.1-1 3.6.2-1 3.7.2-1", join([door(&[]), sent(publish(5, &scan_topic(), 2, 7, &[], &scan(1))), vec![
            Keep, Get(vec![0x50, 2, 0, 7]), Send(publish(5, &scan_topic(), 2, 7, &[], &scan(1))), Get(vec![0x50, 2, 0, 7]),
            Send(released(&[0, 7])), Get(vec![0x70, 2, 0, 7]), Send(released(&[0, 7, 0x92, 0])), Get(vec![0x70, 3, 0, 7, 0x92]),
            Send(publish(5, &scan_topic(), 2, 7, &[], &scan(1))), Keep, Get(vec![0x50, 2, 0, 7]), Send(packet(0x60, &[0, 7])), Get(vec![0xE0, 1, 0x81]), Ends,
        ]])),
        case("4.3.3-9", join([door(&[]), sent(publish(5, &prefix("b"), 2, 7, &[], b"x")), vec![Get(vec![0x50, 3, 0, 7, 0x87])], sent(publish(5, &scan_topic(), 2, 7, &[], &scan(1))), vec![Keep, Get(vec![0x50, 2, 0, 7])]])),
        case("3.4.2-1 3.6.2-1", refused(0x82, &packet(0x40, &[0, 1, 0x01]))),
        case("3.6.2-1", refused(0x82, &released(&[0, 1, 0x10]))),
        case("3.7.2-1", refused(0x81, &packet(0x70, &[0, 1, 0x92, 2, 0x11, 0]))),
        case("3.3.1-2", refused(0x81, &packet(0x38, &[text(scan_topic().as_bytes()), vec![0]].concat()))),
        case("3.3.1-4", refused(0x81, &packet(0x36, &[text(scan_topic().as_bytes()), vec![0, 1, 0]].concat()))),
        case("3.3.2-1", refused(0x81, &packet(0x30, b"\0\x02\xC3\x28\0"))),
        case("3.3.2-2 4.7.0-1", join([door(&[]), sent(publish(5, &(prefix("a") + "#"), 1, 9, &[], b"x")), vec![Get(vec![0x40, 3, 0, 9, 0x90])]])),
        case("3.3.2-13", refused(0x81, &scan_with(b"\x08\0\x01\xFF"))),
        case("3.3.2-14", join([door(&[]), sent(scan_with(&[&[8][..], &text((prefix("a") + "+").as_bytes())].concat())), vec![Get(vec![0x40, 3, 0, 9, 0x87])]])),
        case("3.3.2-19", refused(0x81, &scan_with(b"\x03\0\x01\xFF"))),
        case("4.13.1-1", refused(0x82, &scan_with(b"\x0B\x01"))),
        case("4.13.1-1", refused(0x82, &scan_with(b"\x01\0\x01\0"))),
        case("4.13.1-1", refused(0x82, &scan_with(b"\x01\x02"))),
        case("4.13.1-1", refused(0x81, &scan_with(b"\x21\0\x01"))),
        case("4.13.1-1", refused(0x81, &packet(0x32, &[text(scan_topic().as_bytes()), b"\0\x09\x7F\x01\x01".to_vec()].concat()))),
        case("4.13.1-1", refused(0x94, &scan_with(b"\x23\0\0"))),
        case("3.3.2-12", join([door(&[]), sent(scan_with(b"\x23\0\x08")), vec![Keep, Get(vec![0x40, 2, 0, 9])], sent(publish(5, "", 1, 9, b"\x23\0\x08", &scan(2))), vec![Keep, Get(vec![0x40, 2, 0, 9])]])),
        case("3.3.2-3 3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-18 3.3.2-20 3.3.1-12 4.5.0-1 2.2.1-4 4.3.2-1 4.3.2-2", join([
            monitor(1), door(&[]), sent(status(1, OF_MESSAGE)), status_acked(), vec![Use(0), received(0x32, OF_MESSAGE)],
        ])),
        case("3.3.1-13", join([monitor(9), door(&[]), sent(status(1, &[])), status_acked(), sent(status(0, &[])), status_acked(), vec![Use(0), received(0x33, &[]), Holds(0x32, door_status())]])),
        case("3.3.1-9", join([door(&[]), sent(status(1, &[])), status_acked(), subscribed(&status_topic(), 0), vec![received(0x31, &[]), Quiet], subscribed(&status_topic(), 0), vec![received(0x31, &[])]])),
        case("3.3.1-10", join([door(&[]), sent(status(1, &[])), status_acked(), subscribed(&status_topic(), 0x10), vec![received(0x31, &[])], subscribed(&status_topic(), 0x10), vec![Quiet]])),
        case("3.3.1-11", join([door(&[]), sent(status(1, &[])), status_acked(), subscribed(&status_topic(), 0x20), vec![Quiet]])),
        case("3.3.1-3", join([door(&[]), subscribed(&status_topic(), 1), sent(status(8, &[])), status_acked(), vec![received(0x32, &[])]])),
        case("3.3.1-1 4.4.0-1", join([
            door(b"\x11\0\0\0\x3C"), subscribed(&decision, 1), sent(scan_with(&[])), vec![Keep, Begins(0x32, vec![]), Get(vec![0x40, 2, 0, 9]), Quiet, Cut, Away],
            vec![Dial, Send(connect_v5("a", 0, 60, &[], &[])), Begins(0x20, vec![1, 0]), Begins(0x3A, vec![])],
        ])),
        case("4.4.0-2", join([
            door(b"\x11\0\0\0\x3C"), subscribed(&decision, 1), sent(scan_with(&[])), vec![Keep, Begins(0x32, vec![]), Get(vec![0x40, 2, 0, 9]), Send(vec![0x40, 3, 0, 1, 0x97]), Quiet, Cut, Away],
            vec![Dial, Send(connect_v5("a", 0, 60, &[], &[])), Begins(0x20, vec![1, 0]), Quiet],
        ])),
        case("3.3.4-2 3.8.4-8", join([door(&[]), subscribed(&status_topic(), 1), subscribed(&(prefix("a") + "+"), 0x20), sent(status(0, &[])), status_acked(), vec![received(0x32, &[]), Quiet]])),
        case("3.8.4-8", join([monitor(1), door(&[]), sent(publish(5, &status_topic(), 0, 0, &[], &door_status())), vec![Use(0), received(0x30, &[])]])),
        case("3.3.4-7 4.9.0-3", join([door(&[]), sent((1..=65).flat_map(|pkid| publish(5, &scan_topic(), 1, pkid, &[], &scan(pkid.into()))).collect()), vec![Get(vec![0xE0, 1, 0x93]), Ends]])),
        case("3.3.4-9 3.3.4-10 4.9.0-1 4.9.0-2", join([
            door(b"\x21\0\x01"), subscribed(&decision, 1), sent(scan_with(&[])), vec![Keep, Begins(0x32, vec![]), Get(vec![0x40, 2, 0, 9])],
            sent(scan_with(&[])), vec![Keep, Get(vec![0x40, 2, 0, 9]), Quiet, Send(vec![0x40, 2, 0, 1]), Begins(0x32, vec![])],
        ])),
        case("4.6.0-5 4.6.0-6", join([
            door(&[]), subscribed(&decision, 1), sent([1, 2].map(|pkid| publish(5, &scan_topic(), 1, pkid, &[], &scan(pkid.into()))).concat()),
            vec![Keep, Begins(0x32, vec![]), Get(vec![0x40, 2, 0, 1]), Keep, Begins(0x32, vec![]), Get(vec![0x40, 2, 0, 2])],
        ])),
        case("4.10.0-1 4.10.0-3 4.10.0-4", join([
            door(&[]), subscribed(&(prefix("a") + "answer"), 0), sent(scan_with(&[&[8][..], &text((prefix("a") + "answer").as_bytes()), b"\x09\0\x01c"].concat())),
            vec![Keep, Holds(0x30, b"answer\x04\x09\0\x01c".to_vec()), Get(vec![0x40, 2, 0, 9])],
        ])),
        case("3.1.2-25", join([door(b"\x27\0\0\0\x20"), subscribed(&decision, 1), sent(scan_with(&[])), vec![Keep, Get(vec![0x40, 2, 0, 9]), Quiet]])),
    ]
}

#[rustfmt::skip] // A table.
fn subscriptions() -> Vec<Case> {
    let decision = prefix("a") + "decision";
    let two = |options: u8| [vec![0, 9, 0], text(decision.as_bytes()), vec![options], text(b"elsewhere"), vec![0]].concat();
    let leaving = |bytes: &[u8]| [&two(0)[..2], bytes].concat();
    vec![
        case("3.8.1-1", refused(0x81, &packet(0x80, &two(0)))),
        case("3.8.3-1", refused(0x81, &packet(0x82, b"\0\x01\0\0\x02\xC3\x28\0"))),
        case("3.8.3-2", refused(0x82, &packet(0x82, b"\0\x01\0"))),
        case("3.8.3-3", join([door(&[]), subscribed(&status_topic(), 4), sent(status(0, &[])), status_acked(), vec![Quiet]])),
        case("3.8.3-4", refused(0x82, &subscribe(5, 1, "$share/g/a", 4))),
        case("3.8.3-5", refused(0x81, &subscribe(5, 1, &decision, 0x40))),
        case("3.8.3-5", refused(0x81, &subscribe(5, 1, &decision, 0x80))),
        case("4.13.1-1", refused(0x82, &subscribe(5, 1, &decision, 3))),
        case("4.13.1-1", refused(0x82, &subscribe(5, 1, &decision, 0x30))),
        case("4.13.1-1", refused(0x82, &packet(0x82, b"\0\x01\x02\x0B\0\0\x01a\0"))),
        case("4.13.2-1", refused(0xA1, &packet(0x82, b"\0\x01\x02\x0B\x01\0\x01a\0"))),
        case("2.2.1-6 3.8.4-1 3.8.4-2 3.8.4-5 3.8.4-6 3.9.3-1 3.9.3-2", join([door(&[]), sent(packet(0x82, &two(0))), vec![Get(vec![0x90, 5, 0, 9, 0, 0, 0x87])]])),
        case("3.8.4-7", join([door(&[]), sent(packet(0x82, &two(2))), vec![Get(vec![0x90, 5, 0, 9, 0, 1, 0x87])]])),
        case("3.8.4-3 3.8.4-4", join([
            door(&[]), sent(status(1, &[])), status_acked(), subscribed(&status_topic(), 1), vec![received(0x33, &[])],
            subscribed(&status_topic(), 0), vec![received(0x31, &[])], sent(status(0, &[])), status_acked(), vec![received(0x30, &[])],
        ])),
        case("4.7.1-1 4.7.1-2", join([door(&[]), ["#/a", "a#", "a+/b", "a/++"].into_iter().flat_map(|end| {
            [Send(subscribe(5, 1, &(prefix("a") + end), 0)), Get(vec![0x90, 4, 0, 1, 0, 0x8F])]
        }).collect()])),
        case("4.7.3-1", refused(0x82, &publish(5, "", 1, 9, &[], b"x"))),
        case("4.7.3-1", join([door(&[]), sent(subscribe(5, 1, "", 0)), vec![Get(vec![0x90, 4, 0, 1, 0, 0x8F])]])),
        case("4.7.3-2", refused(0x81, &subscribe(5, 1, "a\0", 0))),
        case("4.7.3-3", join([door(&[]), sent(subscribe(5, 1, &(prefix("a") + &"x".repeat(20_000)), 0)), vec![Get(vec![0x90, 4, 0, 1, 0, 0])]])),
        case("1.5.4-3 4.7.3-4", join([door(&[]), sent(subscribe(5, 1, &format!("\u{FEFF}{decision}"), 0)), vec![Get(vec![0x90, 4, 0, 1, 0, 0x87])]])),
        case("3.10.1-1", refused(0x81, &packet(0xA0, &leaving(b"\0\0\x01a")))),
        case("3.10.3-1", refused(0x81, &packet(0xA2, &leaving(b"\0\0\x01\xFF")))),
        case("3.10.3-2", refused(0x82, &packet(0xA2, &leaving(b"\0")))),
        case("4.13.1-1", refused(0x81, &packet(0xA2, &leaving(b"\x02\x0B\x01\0\x01a")))),
        case("3.10.4-1 3.10.4-2 3.10.4-3 3.10.4-4 3.10.4-5 3.10.4-6 3.11.3-1 3.11.3-2", join([
            door(&[]), subscribed(&decision, 1), sent(publish(5, &scan_topic(), 1, 1, &[], &scan(1))), vec![Keep, Begins(0x32, vec![]), Get(vec![0x40, 2, 0, 1])],
            sent(packet(0xA2, &leaving(&[vec![0], text(decision.as_bytes()), text(b"never")].concat()))), vec![Get(vec![0xB0, 5, 0, 9, 0, 0, 0x11])],
            sent(publish(5, &scan_topic(), 1, 2, &[], &scan(2))), vec![Keep, Get(vec![0x40, 2, 0, 2]), Send(vec![0x40, 2, 0, 1]), Quiet],
        ])),
        // No answer that is larger than the client takes: SUBACK and UNSUBACK cannot be left out.
        case("3.1.2-24", join([door(b"\x27\0\0\0\x16"), sent(packet(0x82, &[&b"\0\x09\0"[..], &b"\0\x01a\0".repeat(20)].concat())), vec![Get(vec![0xE0, 1, 0x95]), Ends]])),
        case("3.1.2-24", join([door(b"\x27\0\0\0\x16"), sent(packet(0xA2, &[&b"\0\x09\0"[..], &b"\0\x01a".repeat(20)].concat())), vec![Get(vec![0xE0, 1, 0x95]), Ends]])),
        case("3.12.4-1", join([door(&[]), sent(vec![0xC0, 0]), vec![Get(vec![0xD0, 0])]])),
        case("4.13.1-1", refused(0x81, &[0xC0, 1, 0])),
        case("3.14.1-1", refused(0x81, &[0xE1, 0])),
        case("3.14.2-1", refused(0x82, &[0xE0, 1, 0x8E])),
        case("3.14.2-2", refused(0x82, &[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 9])),
        case("4.13.1-1", refused(0x81, &[0xE0, 3, 0, 0, 0])),
        case("3.14.4-2", join([door(&[]), sent(vec![0xE0, 0]), vec![Ends]])),
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
