//! What the tests of several stages share.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "only tests have this module")]

use protocol::{
    ClockQuality, CredentialHash, Direction, Event, EventKind, Instant, Mode, Outcome, ScanId, ScanRecord, Text,
    Verdict,
};

/// Event `number` of a staff member at the main entrance.
pub fn event(number: u64) -> Event {
    Event {
        number,
        door: "main-in".parse().unwrap(),
        received_at: Instant::from_unix_ms(1_795_390_264_120),
        decided_at: Instant::from_unix_ms(1_795_390_264_121),
        subject: EventKind::Scan(ScanRecord {
            id: ScanId { epoch: 1, seq: number },
            scanned_at: Instant::from_unix_ms(1_795_390_264_100),
            direction: Direction::In,
            credential: CredentialHash([7; 16]),
            clock: ClockQuality::Good,
            kind: None,
            pass: None,
        }),
        verdict: Verdict {
            outcome: Outcome::Granted,
            open: true,
            reason: "staff-working-hours".into(),
            text: Text::new("Silakan masuk", "Please come in"),
            mode: Mode::Enforce,
            would_be: None,
            person: None,
            class: None,
            status: None,
            policies: Vec::new(),
            policy_set: None,
            shadow: None,
            language: None,
            zone: None,
        },
        encrypted: None,
        happened_at: None,
        marks: protocol::event::Marks::default(),
    }
}
