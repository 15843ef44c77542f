//! The vault by itself: what is encrypted opens again, and nothing else does.

mod destroy;
mod disk;

use proptest::prelude::*;
use protocol::{
    AssistAction, AssistRecord, CredentialHash, Direction, Event, EventKind, Instant, MalformedScan, PassRecord, Via,
};

use super::*;
use base::testing;

fn month() -> Month {
    Month::of(testing::event(1).decided_at)
}

/// Every kind of event, about every kind of subject.
fn any_event() -> impl Strategy<Value = Event> {
    let text = "[A-Za-z0-9 ~:]{0,12}";
    let person = proptest::option::of("P-[0-9]{1,3}");
    let named = proptest::option::of("(P-[0-9]{1,3}|~x|helper:x|Contoh)");
    let credential = proptest::option::of(any::<[u8; 16]>());
    let head = proptest::collection::vec(any::<u8>(), 0..40);
    let fields = (person, named, credential, head, text, text, any::<bool>());
    (1..1_000_000u64, 0..3u8, fields, 0..120_000_000_000i64).prop_map(|(number, kind, fields, later_ms)| {
        let (person, named, credential, payload_head, helper, reason, with_pass) = fields;
        let credential = credential.map(CredentialHash);
        let pass = with_pass.then_some(PassRecord { id: CredentialHash([8; 16]), one_time_until: None });
        let mut event = testing::event(number);
        event.decided_at = Instant::from_unix_ms(event.decided_at.unix_ms() + later_ms);
        event.verdict.person = person;
        match (kind, &mut event.subject) {
            (0, EventKind::Scan(scan)) => {
                scan.pass = pass;
                scan.credential = credential.unwrap_or(scan.credential);
            }
            (1, subject) => {
                *subject = EventKind::Malformed(MalformedScan {
                    id: None,
                    payload_bytes: 9,
                    payload_head,
                    ..MalformedScan::default()
                })
            }
            (_, subject) => {
                *subject = EventKind::Assist(AssistRecord { person: named, credential, pass, ..word(&helper, &reason) })
            }
        }
        event
    })
}

fn word(helper: &str, reason: &str) -> AssistRecord {
    AssistRecord {
        action: AssistAction::Admit,
        helper: helper.into(),
        reason: reason.into(),
        person: None,
        answers: None,
        direction: Direction::In,
        device: "lobby".parse().unwrap(),
        via: Via::Mqtt,
        id: None,
        credential: None,
        pass: None,
    }
}

fn of_person(number: u64, person: &str) -> Event {
    let mut event = testing::event(number);
    event.verdict.person = Some(person.into());
    event
}

fn malformed(number: u64, at: &str) -> Event {
    let mut event = testing::event(number);
    event.decided_at = at.parse().unwrap();
    event.subject = EventKind::Malformed(MalformedScan {
        id: None,
        payload_bytes: 6,
        payload_head: b"SECRET".to_vec(),
        ..MalformedScan::default()
    });
    event
}

fn opened(vault: &Vault, encrypted: &[Event]) -> Vec<Event> {
    let mut events = encrypted.to_vec();
    events.iter_mut().for_each(|event| vault.open_event(event).unwrap());
    events
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens_again_and_shows_nothing_before(
        events in proptest::collection::vec(any_event(), 0..12)
    ) {
        let vault = Vault::in_memory().unwrap();
        let encrypted = vault.encrypt(&events).unwrap();
        prop_assert_eq!(opened(&vault, &encrypted), events.clone());
        for event in &encrypted {
            prop_assert_eq!(&event.verdict.person, &None);
            match &event.subject {
                EventKind::Scan(scan) => prop_assert!(scan.credential == CredentialHash::SEALED && scan.pass.is_none()),
                EventKind::Malformed(malformed) => prop_assert!(malformed.payload_head.is_empty()),
                EventKind::Assist(word) => {
                    let texts = [Some(&word.helper), Some(&word.reason), word.person.as_ref()];
                    prop_assert!(texts.into_iter().flatten().all(String::is_empty));
                    prop_assert!(word.credential.is_none() && word.pass.is_none());
                }
            }
        }
        // Another vault makes nothing of it.
        prop_assert_eq!(opened(&Vault::in_memory().unwrap(), &encrypted), encrypted);
    }
}

#[test]
fn a_flipped_byte_is_refused_wherever_it_is() {
    let vault = Vault::in_memory().unwrap();
    let event = of_person(1, "P-0001");
    let encrypted = vault.encrypt(std::slice::from_ref(&event)).unwrap().remove(0);
    let part = |event: &Event| event.encrypted.clone().unwrap().person.unwrap();
    for position in 0..part(&encrypted).bytes.len() {
        let mut changed = encrypted.clone();
        changed.encrypted.as_mut().unwrap().person.as_mut().unwrap().bytes[position] ^= 1;
        assert_eq!(opened(&vault, std::slice::from_ref(&changed)), [changed], "byte {position}");
    }
    // Nor does it open in another event, or in another place of its own.
    let elsewhere = Event { number: 2, ..encrypted.clone() };
    assert_eq!(opened(&vault, std::slice::from_ref(&elsewhere)), [elsewhere]);
    let mut moved = encrypted.clone();
    moved.encrypted = Some(protocol::Encrypted { person: None, helper: Some(part(&encrypted)) });
    assert_eq!(opened(&vault, std::slice::from_ref(&moved)), [moved]);
    assert_eq!(opened(&vault, &[encrypted]), [event]);

    let kept = vault.encrypt_for("P-0001", month(), b"look 7", b"whoever").unwrap();
    assert_eq!(vault.open_part(&kept, month(), b"look 7").unwrap().as_deref(), Some(b"whoever".as_slice()));
    assert!(matches!(vault.open_part(&kept, month(), b"look 8"), Err(VaultError::Tampered)));
    assert_eq!(vault.open_part(&kept, month().previous(), b"look 7").unwrap(), None);
    for position in 0..kept.bytes.len() {
        let mut changed = kept.clone();
        changed.bytes[position] ^= 1;
        assert!(matches!(vault.open_part(&changed, month(), b"look 7"), Err(VaultError::Tampered)), "byte {position}");
    }
}

#[test]
fn two_events_of_one_person_have_one_number_and_differ() {
    let vault = Vault::in_memory().unwrap();
    let encrypted = vault.encrypt(&[of_person(1, "P-0001"), of_person(2, "P-0001"), of_person(3, "P-0002")]).unwrap();
    let parts: Vec<_> = encrypted.iter().map(|event| event.encrypted.clone().unwrap().person.unwrap()).collect();
    assert_eq!(parts[0].of, parts[1].of);
    assert_ne!(parts[0].of, parts[2].of);
    assert_ne!(parts[0].bytes, parts[1].bytes);
    assert_eq!(vault.number("P-0001").unwrap(), Some(parts[0].of));
    assert_eq!(vault.subject(parts[2].of).unwrap().as_deref(), Some("P-0002"));
    assert_eq!(vault.subjects(&[parts[0].of, 1]).unwrap(), [Some("P-0001".to_owned()), None]);
}

#[test]
fn each_kind_of_event_is_under_its_own_subjects() {
    let vault = Vault::in_memory().unwrap();
    let credential = CredentialHash([0xab; 16]);
    let mut known = testing::event(4);
    known.verdict.person = Some("P-0003".into());
    known.subject = EventKind::Assist(AssistRecord { credential: Some(credential), ..word("Contoh", "forgot") });
    let mut named = testing::event(5);
    named.subject = EventKind::Assist(AssistRecord { person: Some("P-0004".into()), ..word("Contoh", "forgot") });
    let mut carrier = testing::event(6);
    // No person of the directory has such an id: it must not be taken for a helper's.
    let record = AssistRecord { person: Some("helper:X".into()), credential: Some(credential), ..word("Contoh", "x") };
    carrier.subject = EventKind::Assist(record);
    let mut nobody = testing::event(7);
    nobody.subject = EventKind::Assist(word("Contoh", "the door was stuck"));
    let cases = [
        (of_person(1, "P-0001"), Some("P-0001"), None),
        (testing::event(2), Some("~07070707070707070707070707070707"), None),
        (malformed(3, "2026-11-23T23:59:59Z"), Some("malformed:2026-11-23"), None),
        (known, Some("P-0003"), Some("helper:Contoh")),
        (named, Some("P-0004"), Some("helper:Contoh")),
        (carrier, Some("~abababababababababababababababab"), Some("helper:Contoh")),
        (nobody, None, Some("helper:Contoh")),
    ];
    for (event, person, helper) in cases {
        let encrypted = vault.encrypt(std::slice::from_ref(&event)).unwrap().remove(0).encrypted.unwrap();
        let subject = |part: Option<protocol::SealedPart>| part.map(|part| vault.subject(part.of).unwrap().unwrap());
        assert_eq!(subject(encrypted.person).as_deref(), person, "event {}", event.number);
        assert_eq!(subject(encrypted.helper).as_deref(), helper, "event {}", event.number);
    }
}
