//! Events as they are on disk and on their way upstream.

use proptest::prelude::*;

use super::*;

pub(crate) fn sample() -> Event {
    Event {
        number: 88121,
        door: "main-in".parse().unwrap(),
        received_at: Instant::from_unix_ms(1_795_390_264_120),
        decided_at: Instant::from_unix_ms(1_795_390_264_121),
        subject: EventKind::Scan(ScanRecord {
            id: ScanId { epoch: 3, seq: 1042 },
            scanned_at: Instant::from_unix_ms(1_795_390_264_100),
            direction: Direction::In,
            credential: CredentialHash([7; 16]),
            clock: ClockQuality::Good,
            kind: Some(CredentialKind::Pass),
            pass: Some(PassRecord { id: CredentialHash([8; 16]), one_time_until: None }),
        }),
        verdict: Verdict {
            outcome: Outcome::Granted,
            open: true,
            reason: "staff-working-hours".into(),
            text: Text::new("Silakan masuk", "Please come in"),
            mode: Mode::Enforce,
            would_be: None,
            person: Some("P-0001".into()),
            class: Some(PersonClass::Asn),
            status: Some(HealthStatus::Green),
            policies: vec!["staff-working-hours".into()],
            policy_set: Some("b3:9f2c".into()),
            zone: Some("main".into()),
            shadow: Some(ShadowVerdict {
                policy_set: "b3:77".into(),
                outcome: Outcome::Denied,
                reason: "weekend".into(),
            }),
            language: Some(Language::En),
        },
        encrypted: None,
        happened_at: Some(Instant::from_unix_ms(1_795_390_264_120)),
        marks: Marks(vec![Mark::NumberReused]),
    }
}

#[test]
fn an_event_whose_keys_are_gone_says_so_and_shows_no_sealed_bytes() {
    let part = SealedPart { of: 41, bytes: vec![0xab; 40] };
    let event = Event { encrypted: Some(Encrypted { person: Some(part), helper: None }), ..sample() };
    let read: Event = minicbor::decode(&minicbor::to_vec(&event).unwrap()).unwrap();
    assert_eq!(read, event);
    let json = serde_json::to_value(&event).unwrap();
    assert_eq!((json["erased"].as_bool(), json.get("encrypted")), (Some(true), None));
    assert!(event.is_erased() && !sample().is_erased());
    let of_helper = Encrypted { person: None, helper: event.encrypted.clone().unwrap().person };
    assert!(!Event { encrypted: Some(of_helper), ..sample() }.is_erased());
    assert!(serde_json::to_value(sample()).unwrap().get("erased").is_none());
    assert!(!format!("{event:?}").contains("171"));
}

#[test]
fn an_event_of_every_kind_reads_back_from_json() {
    let malformed = |id| MalformedScan { id, payload_bytes: 6, ..MalformedScan::default() };
    let subjects = [
        sample().subject,
        EventKind::Malformed(malformed(Some(ScanId { epoch: 1, seq: u64::MAX }))),
        EventKind::Malformed(malformed(None)),
        EventKind::Assist(word()),
        EventKind::Assist(AssistRecord { answers: None, person: None, id: None, ..word() }),
    ];
    for subject in subjects {
        let event = Event { subject, ..sample() };
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event, "{json}");
    }
    let part = SealedPart { of: 41, bytes: vec![0xab; 40] };
    let erased = Event { encrypted: Some(Encrypted { person: Some(part), helper: None }), ..sample() };
    let json = serde_json::to_value(&erased).unwrap();
    let read: Event = serde_json::from_value(json.clone()).unwrap();
    assert!(read.is_erased());
    assert_eq!(serde_json::to_value(&read).unwrap(), json);
    let hash = json.to_string().replace("07070707", "0707070x");
    assert!(!serde_json::from_str::<Event>(&hash).unwrap_err().to_string().contains("070x"));
}

#[test]
fn an_event_reads_back_from_cbor() {
    let event = sample();
    let bytes = minicbor::to_vec(&event).unwrap();
    assert_eq!(minicbor::decode::<Event>(&bytes).unwrap(), event);
}

#[test]
fn an_event_with_a_field_of_a_later_version_is_read() {
    let event = sample();
    let mut bytes = minicbor::to_vec(&event).unwrap();
    // The outer array gets a tenth element.
    assert_eq!(bytes[0], 0x89);
    bytes[0] = 0x8a;
    bytes.push(0x2a);
    assert_eq!(minicbor::decode::<Event>(&bytes).unwrap(), event);
}

#[test]
fn neither_json_nor_debug_show_a_malformed_payload() {
    let mut event = sample();
    event.subject = EventKind::Malformed(MalformedScan {
        id: Some(ScanId { epoch: 1, seq: 2 }),
        payload_bytes: 6,
        payload_head: b"SECRET".to_vec(),
        payload_hash: Some(CredentialHash([9; 16])),
        fault: Some("\"credential\" is empty".into()),
        direction: Some(Direction::Out),
        ..MalformedScan::default()
    });
    let json = serde_json::to_value(&event).unwrap();
    assert_eq!(json["subject"]["malformed"]["seq"], 2);
    assert_eq!(json["subject"]["malformed"]["direction"], "out");
    let shown = format!("{json} {event:?}");
    assert!(!shown.contains("SECRET") && !shown.contains("0909"));
    assert_eq!(minicbor::decode::<Event>(&minicbor::to_vec(&event).unwrap()).unwrap(), event);
}

fn word() -> AssistRecord {
    AssistRecord {
        action: AssistAction::Admit,
        helper: "Contoh Satgas".into(),
        reason: "forgot the badge".into(),
        person: Some("P-0002".into()),
        answers: Some(AnsweredScan { id: ScanId { epoch: 3, seq: 1042 }, event: Some(88121) }),
        direction: Direction::In,
        device: "lobby".parse().unwrap(),
        via: Via::Mqtt,
        id: Some("a-1".into()),
        credential: None,
        pass: None,
    }
}

#[test]
fn a_helpers_word_reads_back_and_is_no_scan() {
    let mut event = sample();
    event.subject = EventKind::Assist(word());
    assert_eq!(minicbor::decode::<Event>(&minicbor::to_vec(&event).unwrap()).unwrap(), event);
    assert_eq!(event.scan_id(), None);
    let json = serde_json::to_value(&event).unwrap();
    let assist = &json["subject"]["assist"];
    assert_eq!((&assist["helper"], &assist["via"]), (&"Contoh Satgas".into(), &"mqtt".into()));
    assert_eq!(assist["answers"], serde_json::json!({ "epoch": 3, "seq": 1042, "event": 88121 }));
    let shown = format!("{:?}", event.subject);
    assert!(!shown.contains("Contoh") && !shown.contains("badge") && !shown.contains("P-0002"), "{shown}");
}

#[test]
fn an_event_from_before_helpers_had_a_word_is_still_read() {
    let digits = BEFORE_HELPERS.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    let bytes: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    let mut expected = sample();
    (expected.verdict.shadow, expected.verdict.language) = (None, None);
    (expected.happened_at, expected.marks) = (None, Marks::default());
    if let EventKind::Scan(scan) = &mut expected.subject {
        (scan.kind, scan.pass) = (None, None);
    }
    assert_eq!(minicbor::decode::<Event>(&bytes).unwrap(), expected);
}

/// An event like [`sample`] as the first version has written it.
const BEFORE_HELPERS: &str = "861a00015839676d61696e2d696e1b000001a2059953381b000001a2059953398200818582031904121b000001a205995324005007070707070707070707070707070707008c00f57373746166662d776f726b696e672d686f757273826d53696c616b616e206d6173756b6e506c6561736520636f6d6520696e01f666502d303030310000817373746166662d776f726b696e672d686f7572736762333a39663263646d61696e";

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(minicbor::decode::<Event>(&bytes));
    }
}
