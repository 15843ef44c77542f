//! Decisions on passes: what they say counts only while they do, and what is shown twice is noticed.

use protocol::{
    CredentialKind, Direction, Event, EventKind, HealthStatus, Instant, Outcome, PersonClass, Scan, ScanId,
};

use super::{people, wita};
use crate::passes::{HealthRules, NewPass, SigningAlgorithm, SigningKey};
use crate::testing::snapshot;
use crate::{Decided, Passes, Presence, Shown, Snapshot, decide};

/// A site that trusts `key`, and what has happened there.
struct Site {
    snapshot: Snapshot,
    presence: Presence,
    key: SigningKey,
    now: Instant,
}

impl Site {
    fn new() -> Self {
        let der = SigningKey::generate(SigningAlgorithm::Ed25519).unwrap();
        let key = SigningKey::from_pkcs8(&der, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("passes")).unwrap();
        std::fs::write(folder.path().join("passes/key.jwks"), key.public_jwks(None).to_string()).unwrap();
        let passes = Passes::read(folder.path(), HealthRules::default()).unwrap();
        let snapshot = Snapshot { passes: passes.into(), ..snapshot(&people()) };
        Self { snapshot, presence: Presence::default(), key, now: wita(23, "08:00:00") }
    }

    fn pass(&self, subject: &str, change: impl FnOnce(&mut NewPass)) -> String {
        let mut pass = NewPass {
            issuer: "regency".into(),
            subject: subject.into(),
            id: vec![7; 8],
            issued: wita(22, "08:00:00"),
            valid_from: None,
            valid_until: wita(27, "08:00:00"),
            class: Some(PersonClass::Asn),
            opd: Some("tax".into()),
            host: None,
            status: Some((HealthStatus::Green, wita(22, "08:00:00"))),
            one_time: false,
        };
        change(&mut pass);
        self.key.issue(&pass).unwrap()
    }

    /// What is decided after so many seconds, and remembered.
    fn shows(&mut self, seconds: i64, door: &str, direction: Direction, credential: &str) -> Event {
        self.now = Instant::from_unix_ms(self.now.unix_ms() + seconds * 1_000);
        let scan = Scan::new(ScanId { epoch: 1, seq: 1 }, self.now, direction, credential).unwrap();
        let door = door.parse().unwrap();
        let shown =
            Shown { door: &door, received_at: self.now, clock_offset_ms: Some(0), maybe_buffered: false, scan: &scan };
        let Decided { record, verdict, .. } = decide(&self.snapshot, &self.presence, &shown, self.now);
        let (received_at, decided_at) = (self.now, self.now);
        let event = Event {
            number: 1,
            door,
            received_at,
            decided_at,
            subject: EventKind::Scan(record),
            verdict,
            encrypted: None,
            happened_at: None,
            marks: protocol::event::Marks::default(),
        };
        self.presence.remember(&event);
        event
    }

    fn enters(&mut self, credential: &str) -> (Outcome, String) {
        let verdict = self.shows(60, "door-0", Direction::In, credential).verdict;
        assert!(!verdict.text.id.is_empty() && !verdict.text.en.is_empty());
        (verdict.outcome, verdict.reason)
    }
}

#[test]
fn a_genuine_pass_tells_who_it_is_and_how_healthy() {
    let mut site = Site::new();
    let stranger = site.pass("S-1", |_| {});
    let event = site.shows(0, "door-0", Direction::In, &stranger);
    let verdict = &event.verdict;
    assert_eq!((verdict.outcome, verdict.person.as_deref()), (Outcome::Granted, Some("S-1")));
    assert_eq!((verdict.class, verdict.status), (Some(PersonClass::Asn), Some(HealthStatus::Green)));
    let EventKind::Scan(record) = &event.subject else { panic!() };
    assert_eq!((record.kind, record.pass.unwrap().one_time_until), (Some(CredentialKind::Pass), None));

    // Of the directory's colour and the pass's, the worse one holds; the directory says which class somebody is.
    for (subject, colour, expected) in [
        ("asn-green", HealthStatus::Green, (Outcome::Granted, "staff-green")),
        ("asn-green", HealthStatus::Red, (Outcome::Denied, "status-red")),
        ("asn-red", HealthStatus::Green, (Outcome::Denied, "status-red")),
        ("asn-yellow", HealthStatus::Green, (Outcome::Assist, "status-yellow")),
        ("asn-none", HealthStatus::Green, (Outcome::Granted, "staff-green")),
        ("visitor-green", HealthStatus::Green, (Outcome::Granted, "visitor-green-office-hours")),
    ] {
        let pass = site.pass(subject, |pass| pass.status = Some((colour, wita(22, "08:00:00"))));
        let (outcome, reason) = site.enters(&pass);
        assert_eq!((outcome, reason.as_str()), expected, "{subject} {colour}");
    }
}

#[test]
fn a_pass_that_does_not_count_says_why_and_lets_out_all_the_same() {
    let mut site = Site::new();
    let good = site.pass("asn-green", |_| {});
    let over = site.pass("asn-green", |pass| pass.valid_until = wita(23, "07:59:59"));
    let early = site.pass("asn-green", |pass| pass.valid_from = Some(wita(24, "08:00:00")));
    let foreign = Site::new().pass("asn-green", |_| {});
    for (credential, fault) in [
        (over.as_str(), "pass-expired"),
        (&early, "pass-not-yet-valid"),
        (&foreign, "pass-unknown-key"),
        ("GP1:~~~", "pass-not-base45"),
    ] {
        let verdict = site.shows(60, "door-0", Direction::In, credential).verdict;
        assert_eq!((verdict.outcome, verdict.open, verdict.reason.as_str()), (Outcome::Denied, false, fault));
        assert_eq!((verdict.status, verdict.policies.as_slice()), (None, ["pass-fault".to_owned()].as_slice()));
        let leaving = site.shows(60, "door-0", Direction::Out, credential).verdict;
        assert_eq!((leaving.open, leaving.reason.as_str()), (true, "exit-always"), "{fault}");
        let observed = site.shows(60, "watch", Direction::In, credential).verdict;
        assert_eq!((observed.open, observed.would_be), (true, Some(Outcome::Denied)), "{fault}");
    }
    assert_eq!(site.enters(&good), (Outcome::Granted, "staff-green".into()));
}

#[test]
fn a_pass_at_two_doors_within_seconds_and_a_one_time_pass_used_again_are_refused() {
    let mut site = Site::new();
    let pass = site.pass("asn-green", |_| {});
    let reason = |site: &mut Site, seconds, door, direction, pass: &str| {
        site.shows(seconds, door, direction, pass).verdict.reason
    };
    assert_eq!(reason(&mut site, 0, "door-0", Direction::In, &pass), "staff-green");
    assert_eq!(reason(&mut site, 4, "door-1", Direction::In, &pass), "pass-replayed");
    assert_eq!(reason(&mut site, 5, "door-0", Direction::In, &pass), "staff-green");
    assert_eq!(reason(&mut site, 4, "door-1", Direction::Out, &pass), "exit-always", "out one may always");

    let once = site.pass("S-2", |pass| (pass.one_time, pass.id) = (true, vec![8; 8]));
    assert_eq!(reason(&mut site, 60, "door-0", Direction::In, &once), "staff-green");
    assert_eq!(reason(&mut site, 2, "door-0", Direction::In, &once), "staff-green", "a double scan");
    assert_eq!(reason(&mut site, 60, "door-0", Direction::Out, &once), "exit-always");
    assert_eq!(reason(&mut site, 60, "door-0", Direction::In, &once), "pass-used");
    assert_eq!(reason(&mut site, 60, "door-1", Direction::In, &once), "pass-used");
}

#[test]
fn an_id_number_that_a_helper_types_goes_through_the_same_rules() {
    let mut site = Site::new();
    let event = site.shows(0, "door-0", Direction::In, "ID: 1987-01");
    let EventKind::Scan(record) = &event.subject else { panic!() };
    assert_eq!((record.kind, event.verdict.reason.as_str()), (Some(CredentialKind::IdNumber), "unknown-credential"));
}
