//! A passage: one person through one door, as an event tells it.

use std::fmt;
use std::sync::Arc;

use protocol::{ClockQuality, CredentialHash, Direction, Event, EventKind, Instant, Mark, Outcome};
use serde::Serialize;

/// What the keys of people begin with who are known by their credential only.
const ANONYMOUS: char = '~';

/// Whom a passage is about: the directory's id of a person, or `~` and the hash of a credential that belongs to nobody.
///
/// Its `Debug` form leaves the id out.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Person(Arc<str>);

/// One person through one door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Passage {
    /// The event's number.
    pub number: u64,
    /// When it happened, see [`Event::when`].
    pub at: Instant,
    /// The zone that the door leads into.
    pub zone: Arc<str>,
    /// The door.
    pub door: Arc<str>,
    /// Into the zone, or out of it.
    pub direction: Direction,
    /// The scan arrived late.
    pub late: bool,
    /// `at` is the time of a reader whose clock is off or unknown.
    pub clock_doubtful: bool,
}

/// An event as far as it tells of somebody at a door, whether they passed or not. Who it was is not part of it: see
/// [`Person::of`], and the number in an event that is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Whether the person passed: the door opened, or the scan arrived late.
    pub passed: bool,
    /// Where and when. The zone is empty where the event names none.
    pub passage: Passage,
}

/// What an event's subject tells of somebody at a door.
struct Seen {
    direction: Direction,
    /// How good the reader's clock is.
    clock: ClockQuality,
}

impl Person {
    /// The person with this id in the directory.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// Whoever carries the credential.
    pub fn anonymous(credential: CredentialHash) -> Self {
        Self(format!("{ANONYMOUS}{credential}").into())
    }

    /// Whom an event is about that is not encrypted: the person whom the directory knew, else whoever carried the credential.
    pub fn of(event: &Event) -> Option<Self> {
        let credential = match &event.subject {
            EventKind::Scan(scan) => Some(scan.credential),
            EventKind::Assist(word) => word.credential,
            EventKind::Malformed(_) => None,
        };
        match (&event.verdict.person, &event.subject) {
            (_, EventKind::Malformed(_)) => None,
            (Some(id), _) => Some(Self::new(id)),
            (None, _) => credential.map(Self::anonymous),
        }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing but a credential is known.
    pub fn is_anonymous(&self) -> bool {
        self.0.starts_with(ANONYMOUS)
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(…)")
    }
}

impl Sighting {
    /// What the event, encrypted or not, tells of somebody at a door; `None` where it was no scan and no helper's word.
    pub fn of(event: &Event) -> Option<Self> {
        let seen = seen(&event.subject)?;
        let verdict = &event.verdict;
        let late = verdict.outcome == Outcome::Recorded && !verdict.open;
        let (at, clock_doubtful) = (event.when(), late && seen.clock != ClockQuality::Good);
        let zone: Arc<str> = verdict.zone.as_deref().unwrap_or_default().into();
        // What may be a scan that was kept before moves nobody.
        let counts = !event.is_marked(Mark::ResendUnverified);
        let passed = (verdict.open || late) && counts && !zone.is_empty();
        let (number, door) = (event.number, event.door.as_str().into());
        let direction = seen.direction;
        Some(Self { passed, passage: Passage { number, at, zone, door, direction, late, clock_doubtful } })
    }
}

impl Passage {
    /// The passage that the event tells of. Who was not let through has not passed.
    pub fn of(event: &Event) -> Option<Self> {
        Sighting::of(event).filter(|sighting| sighting.passed).map(|sighting| sighting.passage)
    }

    /// By what passages are sorted: their time, then the order in which they were kept.
    pub fn order(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

fn seen(subject: &EventKind) -> Option<Seen> {
    match subject {
        EventKind::Scan(scan) => Some(Seen { direction: scan.direction, clock: scan.clock }),
        EventKind::Assist(word) => Some(Seen { direction: word.direction, clock: ClockQuality::Good }),
        EventKind::Malformed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Encrypted, SealedPart, Verdict};

    use super::*;
    use base::testing;

    fn event(change: impl FnOnce(&mut Event)) -> Event {
        let mut event = testing::event(7);
        event.verdict.zone = Some("main".into());
        event.verdict.person = Some("P-0001".into());
        change(&mut event);
        event
    }

    fn late(scanned_at: &str, clock: ClockQuality) -> Event {
        event(|event| {
            event.verdict.outcome = Outcome::Recorded;
            event.verdict.open = false;
            let EventKind::Scan(scan) = &mut event.subject else { panic!() };
            scan.scanned_at = scanned_at.parse().unwrap();
            scan.clock = clock;
        })
    }

    #[test]
    fn who_is_let_through_has_passed_at_the_time_of_the_decision() {
        let event = event(|_| ());
        let passage = Passage::of(&event).unwrap();
        assert_eq!((passage.number, passage.at), (7, event.decided_at));
        assert_eq!(Person::of(&event).unwrap().as_str(), "P-0001");
        assert_eq!((&*passage.zone, &*passage.door, passage.direction), ("main", "main-in", Direction::In));
        assert!(!passage.late && !passage.clock_doubtful);
    }

    #[test]
    fn who_is_turned_away_has_not_passed_but_was_seen() {
        for outcome in [Outcome::Denied, Outcome::Assist] {
            let event = event(|event| {
                event.verdict.outcome = outcome;
                event.verdict.open = false;
            });
            assert_eq!(Passage::of(&event), None);
            assert!(!Sighting::of(&event).unwrap().passed);
        }
    }

    #[test]
    fn a_late_scan_counts_at_the_readers_time_but_not_after_it_arrived() {
        let passage = Passage::of(&late("2026-11-20T08:00:00Z", ClockQuality::Good)).unwrap();
        assert_eq!(passage.at, "2026-11-20T08:00:00Z".parse().unwrap());
        assert!(passage.late && !passage.clock_doubtful);
        let ahead = late("2030-01-01T00:00:00Z", ClockQuality::Ahead);
        let passage = Passage::of(&ahead).unwrap();
        assert_eq!(passage.at, ahead.received_at);
        assert!(passage.clock_doubtful);
    }

    #[test]
    fn who_is_unknown_is_traced_by_the_credential() {
        let unknown = event(|event| event.verdict.person = None);
        let person = Person::of(&unknown).unwrap();
        assert_eq!(person.as_str(), "~07070707070707070707070707070707");
        assert!(person.is_anonymous() && !Person::new("P-0001").is_anonymous());
        assert_eq!(format!("{person:?}"), "Person(…)");
    }

    #[test]
    fn a_sealed_event_tells_as_much_of_a_passage() {
        let open = event(|_| ());
        let encrypted = event(|event| {
            event.verdict.person = None;
            event.encrypted = Some(Encrypted { person: Some(SealedPart { of: 41, bytes: Vec::new() }), helper: None });
        });
        assert_eq!(Sighting::of(&encrypted), Sighting::of(&open));
    }

    #[test]
    fn a_door_without_a_zone_leads_nowhere() {
        assert_eq!(Passage::of(&event(|event| event.verdict = Verdict { zone: None, ..event.verdict.clone() })), None);
    }
}
