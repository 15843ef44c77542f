//! The comparison itself, one record at a time.

use std::collections::{HashMap, HashSet};

use protocol::{Event, EventKind, Outcome, ScanId};

use super::{Forwarded, Report};
use crate::load::ledger::AckedScan;
use crate::load::mix::Kind;

/// An audit in progress: first every event of the log, then the acknowledged scans, and last the upstream's ledger.
///
/// Keeps a few dozen bytes for every event, and nothing of a line once it is read.
#[derive(Debug, Default)]
pub struct Audit {
    report: Report,
    doors: HashMap<String, u32>,
    stored: HashMap<(u32, u32, u64), Stored>,
    last_number: u64,
    numbers: HashSet<u64>,
    /// Events of a door that nobody can tell apart: only their number can be compared.
    unidentified: HashMap<u32, u64>,
    acked_unidentified: HashMap<u32, HashSet<(u32, u64)>>,
    acked: HashSet<(u32, u32, u64)>,
    forwarded: Option<HashMap<String, HashSet<u64>>>,
    highest_forwarded: HashMap<String, u64>,
    quarantined: Vec<(u64, u64)>,
    refused: HashSet<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    number: u64,
    outcome: Outcome,
}

impl Audit {
    /// Takes the next event of the log.
    pub fn event(&mut self, event: &Event) {
        self.report.stored += 1;
        if event.number != self.last_number + 1 {
            self.report.out_of_order += 1;
            let (last, number) = (self.last_number, event.number);
            self.report.example(|| format!("event {number} follows event {last}"));
        }
        self.last_number = event.number;
        self.numbers.insert(event.number);
        let door = self.door(event.door.as_str());
        let ScanId { epoch, seq } = match &event.subject {
            EventKind::Scan(scan) => scan.id,
            EventKind::Malformed(malformed) => match malformed.id {
                Some(id) => id,
                None => {
                    *self.unidentified.entry(door).or_default() += 1;
                    return;
                }
            },
            EventKind::Assist(_) => return,
        };
        let stored = Stored { number: event.number, outcome: event.verdict.outcome };
        let first = self.stored.entry((door, epoch, seq)).or_insert(stored).number;
        if first != event.number {
            self.report.duplicated += 1;
            let (door, number) = (&event.door, event.number);
            self.report.example(|| format!("{door} {epoch}/{seq} is event {first} and event {number}"));
        }
    }

    /// Takes the next scan that was acknowledged.
    pub fn acked(&mut self, scan: &AckedScan<'_>) {
        let door = self.door(&scan.door);
        let (name, epoch, seq) = (&scan.door, scan.epoch, scan.seq);
        if scan.kind == Kind::Unidentified {
            self.acked_unidentified.entry(door).or_default().insert((epoch, seq));
            return;
        }
        let first = self.acked.insert((door, epoch, seq));
        let Some(stored) = self.stored.get(&(door, epoch, seq)) else {
            if first {
                self.report.not_stored += 1;
                self.report.example(|| format!("{name} {epoch}/{seq} was acknowledged and is not in the log"));
            }
            return;
        };
        let other_outcome = scan.outcome.is_some_and(|outcome| outcome != stored.outcome);
        let other_event = scan.event.is_some_and(|number| number != stored.number);
        if other_outcome || other_event {
            self.report.conflicting += 1;
            let seen = scan.outcome.map_or("unknown", Outcome::as_str);
            let Stored { number, outcome } = *stored;
            self.report.example(|| {
                let event = scan.event.unwrap_or(number);
                format!(
                    "{name} {epoch}/{seq} was answered {seen} (event {event}), the log has {outcome} (event {number})"
                )
            });
        }
    }

    /// From now on, events that are not in the ledger count as not forwarded.
    pub fn expect_forwarding(&mut self) {
        self.forwarded.get_or_insert_default();
    }

    /// Events from the first number to the second, both included, that the upstream refused for good.
    pub fn quarantine(&mut self, first: u64, last: u64) {
        self.quarantined.push((first, last));
    }

    /// Takes the next line of the ledger.
    pub fn forwarded(&mut self, forwarded: &Forwarded) {
        let id = forwarded.id;
        if forwarded.refused.is_some() {
            self.refused.insert(id);
            return;
        }
        let seen = self.forwarded.get_or_insert_default().entry(forwarded.source.clone()).or_default();
        if !seen.insert(id) {
            self.report.forwarded_again += 1;
            return;
        }
        let highest = self.highest_forwarded.entry(forwarded.source.clone()).or_default();
        if id < *highest {
            self.report.out_of_order += 1;
            let highest = *highest;
            self.report.example(|| format!("event {id} arrived upstream after event {highest}"));
        } else {
            *highest = id;
        }
    }

    /// What the audit found.
    pub fn finish(mut self) -> Report {
        for (door, acked) in &self.acked_unidentified {
            let missing = (acked.len() as u64).saturating_sub(self.unidentified.get(door).copied().unwrap_or(0));
            if missing > 0 {
                self.report.not_stored += missing;
                let name = self.doors.iter().find(|(_, index)| *index == door).map_or("", |(name, _)| name.as_str());
                self.report.example(|| {
                    format!("{missing} malformed scans of {name} were acknowledged and are not in the log")
                });
            }
        }
        let unidentified: usize = self.acked_unidentified.values().map(HashSet::len).sum();
        self.report.acked = (self.acked.len() + unidentified) as u64;
        if let Some(forwarded) = self.forwarded.take() {
            self.compare_upstream(&forwarded);
        }
        self.report.lost = self.report.not_stored + self.report.not_forwarded;
        self.report
    }

    fn compare_upstream(&mut self, forwarded: &HashMap<String, HashSet<u64>>) {
        let arrived: HashSet<u64> = forwarded.values().flatten().copied().collect();
        self.report.forwarded = Some(arrived.len() as u64);
        let mut missing: Vec<u64> = self.numbers.difference(&arrived).copied().collect();
        missing.sort_unstable();
        for number in missing {
            if self.refused.contains(&number)
                || self.quarantined.iter().any(|(first, last)| (*first..=*last).contains(&number))
            {
                self.report.quarantined += 1;
            } else {
                self.report.not_forwarded += 1;
                self.report.example(|| format!("event {number} is not upstream"));
            }
        }
        let mut foreign: Vec<u64> = arrived.difference(&self.numbers).copied().collect();
        foreign.sort_unstable();
        for number in foreign {
            self.report.only_upstream += 1;
            self.report.example(|| format!("event {number} is upstream and not in the log"));
        }
    }

    fn door(&mut self, name: &str) -> u32 {
        if let Some(index) = self.doors.get(name) {
            return *index;
        }
        let index = u32::try_from(self.doors.len()).unwrap_or(u32::MAX);
        self.doors.insert(name.to_owned(), index);
        index
    }
}

#[cfg(test)]
mod tests {
    use protocol::{
        AssistAction, AssistRecord, ClockQuality, CredentialHash, Direction, Instant, MalformedScan, ScanRecord, Text,
        Verdict, Via,
    };

    use super::super::audit;
    use super::*;

    fn of(number: u64, subject: EventKind) -> Event {
        let at = Instant::from_unix_ms(1_795_390_264_000);
        let verdict = Verdict::own(Outcome::Granted, "staff", Text::default());
        let door = "d1".parse().unwrap();
        Event {
            number,
            door,
            received_at: at,
            decided_at: at,
            subject,
            verdict,
            encrypted: None,
            happened_at: None,
            marks: protocol::event::Marks::default(),
        }
    }

    fn event(number: u64, seq: u64) -> Event {
        let scan = ScanRecord {
            id: ScanId { epoch: 1, seq },
            scanned_at: Instant::from_unix_ms(1_795_390_264_000),
            direction: Direction::In,
            credential: CredentialHash([7; 16]),
            clock: ClockQuality::Good,
            kind: None,
            pass: None,
        };
        of(number, EventKind::Scan(scan))
    }

    fn garbage(number: u64) -> Event {
        of(number, EventKind::Malformed(MalformedScan { id: None, payload_bytes: 9, ..MalformedScan::default() }))
    }

    fn assist(number: u64) -> Event {
        let assist = AssistRecord {
            action: AssistAction::Admit,
            helper: "Contoh".into(),
            reason: "forgot".into(),
            person: None,
            answers: None,
            direction: Direction::In,
            device: "lobby".parse().unwrap(),
            via: Via::Http,
            id: None,
            credential: None,
            pass: None,
        };
        of(number, EventKind::Assist(assist))
    }

    fn acked(seq: u64) -> AckedScan<'static> {
        AckedScan {
            door: "d1".into(),
            epoch: 1,
            seq,
            kind: Kind::Good,
            outcome: Some(Outcome::Granted),
            event: None,
            acked: true,
        }
    }

    fn upstream(ids: &[u64]) -> Option<Vec<Forwarded>> {
        Some(ids.iter().map(|id| Forwarded { source: "s".into(), id: *id, refused: None }).collect())
    }

    fn found(report: &Report) -> [u64; 6] {
        [
            report.not_stored,
            report.not_forwarded,
            report.duplicated,
            report.out_of_order,
            report.conflicting,
            report.only_upstream,
        ]
    }

    #[test]
    fn a_clean_run_is_clean() {
        let report = audit([acked(1), acked(2)], [event(1, 1), event(2, 2), garbage(3)], upstream(&[1, 2, 2, 1, 3]));
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.acked, report.stored, report.forwarded, report.forwarded_again), (2, 3, Some(3), 2));
        assert!(report.examples.is_empty());
    }

    #[test]
    fn an_assist_request_is_an_event_and_no_scan() {
        let report = audit([acked(1)], [event(1, 1), assist(2), assist(3)], upstream(&[1, 2, 3]));
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.stored, 3);
        assert!(!audit([acked(1)], [event(1, 1), assist(2)], upstream(&[1])).is_clean());
    }

    #[test]
    fn each_kind_of_damage_is_found_and_named() {
        let other = AckedScan { outcome: Some(Outcome::Denied), ..acked(1) };
        let other_event = AckedScan { event: Some(9), ..acked(1) };
        let malformed = AckedScan { kind: Kind::Unidentified, outcome: None, ..acked(8) };
        let other_door = AckedScan { door: "d2".into(), ..acked(1) };
        let log = || vec![event(1, 1), event(2, 2)];
        for (name, report, expected) in [
            ("not in the log", audit([acked(1), acked(3)], log(), upstream(&[1, 2])), [1, 0, 0, 0, 0, 0]),
            ("another door's", audit([other_door], log(), upstream(&[1, 2])), [1, 0, 0, 0, 0, 0]),
            ("malformed, lost", audit([malformed.clone()], log(), upstream(&[1, 2])), [1, 0, 0, 0, 0, 0]),
            ("malformed, kept", audit([malformed], [garbage(1)], upstream(&[1])), [0; 6]),
            ("not upstream", audit([acked(1)], log(), upstream(&[1])), [0, 1, 0, 0, 0, 0]),
            ("twice", audit([acked(1)], vec![event(1, 1), event(2, 1)], upstream(&[1, 2])), [0, 0, 1, 0, 0, 0]),
            ("a gap", audit([acked(1)], vec![event(1, 1), event(3, 2)], upstream(&[1, 3])), [0, 0, 0, 1, 0, 0]),
            ("late upstream", audit([acked(1)], log(), upstream(&[2, 1])), [0, 0, 0, 1, 0, 0]),
            ("another outcome", audit([other], log(), upstream(&[1, 2])), [0, 0, 0, 0, 1, 0]),
            ("another event", audit([other_event], log(), upstream(&[1, 2])), [0, 0, 0, 0, 1, 0]),
            ("only upstream", audit([acked(1)], log(), upstream(&[1, 2, 3])), [0, 0, 0, 0, 0, 1]),
        ] {
            assert_eq!(found(&report), expected, "{name}: {report}");
            assert_eq!(report.is_clean(), expected == [0; 6], "{name}");
            assert_eq!(report.examples.is_empty(), expected == [0; 6], "{name}");
            assert_eq!(report.lost, report.not_stored + report.not_forwarded, "{name}");
        }
    }

    #[test]
    fn what_the_upstream_refused_is_quarantined_not_lost() {
        let mut audit = Audit::default();
        for number in 1..=4 {
            audit.event(&event(number, number));
        }
        audit.quarantine(2, 3);
        audit.expect_forwarding();
        audit.event(&event(5, 5));
        for (id, refused) in [(1, None), (5, Some(422)), (4, None)] {
            audit.forwarded(&Forwarded { source: "s".into(), id, refused });
        }
        let report = audit.finish();
        assert_eq!((report.quarantined, report.forwarded, report.lost), (3, Some(2), 0));
        assert!(report.is_clean(), "{report}");
    }

    #[test]
    fn without_a_ledger_nothing_is_said_of_the_way_upstream() {
        let report = audit([acked(1)], [event(1, 1)], None::<Vec<Forwarded>>);
        assert_eq!((report.forwarded, report.is_clean()), (None, true));
    }

    #[test]
    fn a_scan_in_two_records_counts_once() {
        let report = audit([acked(1), acked(1), acked(3), acked(3)], [event(1, 1)], None::<Vec<Forwarded>>);
        assert_eq!((report.acked, report.not_stored), (2, 1));
    }

    #[test]
    fn examples_are_few() {
        let report = audit((1..1_000).map(acked), [], None::<Vec<Forwarded>>);
        assert_eq!((report.lost, report.examples.len()), (999, super::super::EXAMPLES_MAX));
    }
}
