//! What a candidate policy set would change: its verdicts on live scans, which events keep beside those in force, added up.

use std::collections::{BTreeMap, HashSet};

use protocol::api::{ShadowChange, ShadowJudgement, ShadowReport};
use protocol::{Event, EventKind, Instant, Outcome};

/// Events that are read at once.
const READ_EVENTS: usize = 4096;

/// Where the events come from.
pub struct Events<'a> {
    /// Number of the newest.
    pub newest: u64,
    /// At most so many (second) events that come after a number (first), in order.
    pub read: &'a dyn Fn(u64, usize) -> Result<Vec<Event>, String>,
}

/// Scans, and the people who made them.
#[derive(Default)]
struct Tally<'a> {
    scans: u64,
    people: HashSet<std::borrow::Cow<'a, str>>,
}

/// Adds up what `candidate` has said of scans since then. Reads the log in pieces, and nothing before `since`.
///
/// # Errors
/// When the log cannot be read.
pub fn report(
    events: &Events<'_>,
    policy_set: &str,
    candidate: Option<&str>,
    since: Instant,
    until: Instant,
) -> Result<ShadowReport, String> {
    let policy_set = policy_set.to_owned();
    let nothing =
        ShadowReport { candidate: None, policy_set, since, until, compared: 0, agreed: 0, changes: Vec::new() };
    let Some(candidate) = candidate else { return Ok(nothing) };
    let mut report = ShadowReport { candidate: Some(candidate.to_owned()), ..nothing };
    let mut changes: BTreeMap<(String, ShadowJudgement, ShadowJudgement), Tally<'static>> = BTreeMap::new();
    let mut after = events.first_since(since)?.saturating_sub(1);
    loop {
        let read = (events.read)(after, READ_EVENTS)?;
        let Some(last) = read.last() else { break };
        after = last.number;
        for event in read.iter().filter(|event| (since..=until).contains(&event.decided_at)) {
            let shadow = event.verdict.shadow.as_ref().filter(|shadow| shadow.policy_set == candidate);
            let Some(shadow) = shadow else { continue };
            report.compared += 1;
            let verdict = &event.verdict;
            let from = judgement(verdict.judged(), &verdict.reason);
            let to = judgement(shadow.outcome, &shadow.reason);
            if from.outcome == to.outcome {
                report.agreed += 1;
                continue;
            }
            let tally = changes.entry((event.door.to_string(), from, to)).or_default();
            tally.scans += 1;
            tally.people.insert(who(event).into());
        }
    }
    report.changes = changes
        .into_iter()
        .map(|((door, from, to), Tally { scans, people })| ShadowChange {
            door,
            from,
            to,
            scans,
            people: people.len() as u64,
        })
        .collect();
    report.changes.sort_by_key(|change| std::cmp::Reverse(change.scans));
    Ok(report)
}

impl Events<'_> {
    /// The number of the first event that was decided at `since` or later. Events stand in the order in which they were
    /// decided.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn first_since(&self, since: Instant) -> Result<u64, String> {
        let (mut low, mut high) = (1, self.newest.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let event = (self.read)(middle - 1, 1)?;
            if event.first().is_some_and(|event| event.decided_at < since) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

fn judgement(outcome: Outcome, reason: &str) -> ShadowJudgement {
    ShadowJudgement { outcome, reason: reason.to_owned() }
}

fn who(event: &Event) -> String {
    match (&event.verdict.person, &event.subject) {
        (Some(person), _) => person.clone(),
        (None, EventKind::Scan(scan)) => format!("~{}", scan.credential),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Mode, ShadowVerdict};

    use super::*;
    use base::testing::event;

    const START_MS: i64 = 1_795_390_264_000;

    fn at(number: u64) -> Instant {
        Instant::from_unix_ms(START_MS + i64::try_from(number).unwrap() * 1_000)
    }

    /// Event `number`: what is said now, and what `candidate` says.
    fn judged(number: u64, person: &str, now: Outcome, candidate: &str, then: Outcome) -> Event {
        let mut event = Event { decided_at: at(number), ..event(number) };
        event.verdict.outcome = Outcome::Recorded;
        event.verdict.mode = Mode::Observe;
        event.verdict.would_be = Some(now);
        event.verdict.reason = format!("{now}-now");
        event.verdict.person = Some(person.into());
        event.verdict.shadow =
            Some(ShadowVerdict { policy_set: candidate.into(), outcome: then, reason: format!("{then}-then") });
        event
    }

    fn report(log: &[Event], candidate: Option<&str>, since: u64, until: u64) -> ShadowReport {
        let read = |after: u64, max: usize| {
            Ok(log.iter().filter(|event| event.number > after).take(max.min(3)).cloned().collect())
        };
        let events = Events { newest: log.len() as u64, read: &read };
        super::report(&events, "b3:now", candidate, at(since), at(until)).unwrap()
    }

    fn said(outcome: &str, when: &str) -> ShadowJudgement {
        ShadowJudgement {
            outcome: Outcome::ALL.into_iter().find(|known| known.as_str() == outcome).unwrap(),
            reason: format!("{outcome}-{when}"),
        }
    }

    #[test]
    fn what_would_change_is_told_by_door_and_reason() {
        let (granted, denied, assist) = (Outcome::Granted, Outcome::Denied, Outcome::Assist);
        let log = [
            judged(1, "P-1", granted, "b3:next", denied),
            judged(2, "P-2", granted, "b3:next", granted),
            judged(3, "P-1", granted, "b3:next", denied),
            judged(4, "P-2", granted, "b3:next", denied),
            judged(5, "P-3", denied, "b3:next", assist),
            judged(6, "P-4", granted, "b3:older", denied),
            event(7),
        ];
        let all = report(&log, Some("b3:next"), 0, 9);
        assert_eq!((all.compared, all.agreed), (5, 1));
        let change = |from, to, scans, people| ShadowChange {
            door: "main-in".into(),
            from: said(from, "now"),
            to: said(to, "then"),
            scans,
            people,
        };
        assert_eq!(all.changes, [change("granted", "denied", 3, 2), change("denied", "assist", 1, 1)]);
        let some = report(&log, Some("b3:next"), 3, 4);
        assert_eq!((some.compared, some.changes), (2, vec![change("granted", "denied", 2, 2)]));
        let none = report(&log, None, 0, 9);
        assert_eq!((none.candidate, none.compared, none.policy_set.as_str()), (None, 0, "b3:now"));
    }

    #[test]
    fn nothing_before_the_period_is_read() {
        let log: Vec<Event> = (1..=200).map(|number| Event { decided_at: at(number), ..event(number) }).collect();
        for since in [0, 1, 2, 100, 199, 200, 201] {
            let reads = std::cell::Cell::new(0);
            let read = |after: u64, max: usize| {
                reads.set(reads.get() + 1);
                Ok(log.iter().filter(|event| event.number > after).take(max).cloned().collect())
            };
            let first = Events { newest: 200, read: &read }.first_since(at(since)).unwrap();
            assert_eq!(first, since.clamp(1, 201));
            assert!(reads.get() <= 9, "{} reads", reads.get());
        }
        let empty = |_: u64, _: usize| Ok(Vec::new());
        assert_eq!(Events { newest: 0, read: &empty }.first_since(at(5)), Ok(1));
    }
}
