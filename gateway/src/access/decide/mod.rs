//! The decision: a pure function of what is known and what was shown.

#[cfg(test)]
mod tests;

use protocol::{
    ClockQuality, Direction, DoorId, HealthStatus, Instant, Mode, Outcome, Scan, ScanRecord, Text, Verdict,
};

use super::policy::Question;
use super::{Person, Snapshot};

/// One scan as it is put to the decision.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The door, as its certificate says.
    pub door: &'a DoorId,
    /// The gateway's clock when the scan arrived.
    pub received_at: Instant,
    /// The reader's clock minus the gateway's in milliseconds, where the reader has told its time.
    pub clock_offset_ms: Option<i64>,
    /// What was read.
    pub scan: &'a Scan,
}

/// Decides one scan. No I/O, no clock, no chance: the same arguments give the same answer.
pub fn decide(snapshot: &Snapshot, shown: &Shown<'_>, now: Instant) -> (ScanRecord, Verdict) {
    let Snapshot { directory, policy, doors, key, rules } = snapshot;
    let scan = shown.scan;
    let scanned_at = corrected(scan.scanned_at, shown.clock_offset_ms);
    // What was held while the log did not work is late as well: nobody stands at the door any more.
    let age_ms = now.max(shown.received_at).ms_since(scanned_at);
    let late = age_ms > i64::try_from(rules.late_after_ms).unwrap_or(i64::MAX);
    // A late scan is judged by the time at which the person stood there.
    let judged_at = if late { scanned_at } else { now };

    let record = ScanRecord {
        id: scan.id(),
        scanned_at: scan.scanned_at,
        direction: scan.direction,
        credential: key.hash(&scan.credential),
        clock: clock_quality(shown, rules.clock_tolerance_ms),
    };
    let Some(door) = doors.get(shown.door) else {
        return (record, refused("unknown-door", Text::new("Pintu tidak terdaftar", "This door is not registered")));
    };
    let person = directory.find(&record.credential);
    let (status, status_expired) = status_at(person.as_ref(), judged_at);
    let local = judged_at.timestamp().to_zoned_datetime(rules.time_zone.clone());
    let judgement = policy.judge(&Question {
        class: person.as_ref().map_or("unknown", |person| person.class.as_str()),
        opd: person.as_ref().map_or("", |person| person.opd),
        known: person.is_some(),
        status: status.map_or("unknown", HealthStatus::as_str),
        status_expired,
        door: shown.door.as_str(),
        zone: &door.zone,
        direction: scan.direction,
        weekday: i64::from(local.weekday().to_monday_one_offset()),
        minute_of_day: i64::from(local.hour()) * 60 + i64::from(local.minute()),
    });

    let (outcome, open) = binding(judgement.outcome, door.mode, scan.direction, late);
    let (reason, text) = if late {
        ("late-scan".into(), Text::new("Pemindaian terlambat, hanya dicatat", "Late scan, recorded only"))
    } else {
        (judgement.reason, judgement.text)
    };
    let verdict = Verdict {
        outcome,
        open,
        reason,
        text,
        mode: door.mode,
        would_be: (outcome != judgement.outcome).then_some(judgement.outcome),
        person: person.as_ref().map(|person| person.id.to_owned()),
        class: person.as_ref().map(|person| person.class),
        status,
        policies: judgement.policies,
        policy_set: Some(policy.set_hash().to_owned()),
        zone: Some(door.zone.clone()),
    };
    (record, verdict)
}

/// What a payload that is no scan is answered, in every mode.
pub fn refuse_malformed(snapshot: &Snapshot, door: &DoorId) -> Verdict {
    let door = snapshot.doors.get(door);
    Verdict {
        mode: door.map_or(Mode::Enforce, |door| door.mode),
        zone: door.map(|door| door.zone.clone()),
        ..refused("malformed-scan", Text::new("Data pemindaian tidak terbaca", "The scan could not be read"))
    }
}

/// What the policy's outcome comes to at this door: the outcome that is answered, and whether the door opens.
fn binding(judged: Outcome, mode: Mode, direction: Direction, late: bool) -> (Outcome, bool) {
    match (judged, mode, direction) {
        _ if late => (Outcome::Recorded, false),
        (_, Mode::Observe, _) => (Outcome::Recorded, true),
        (Outcome::Granted, Mode::Enforce, Direction::Out) => (Outcome::Recorded, true),
        (judged, Mode::Enforce, _) => (judged, judged == Outcome::Granted),
    }
}

/// A reader's time on the gateway's clock.
fn corrected(reader: Instant, offset_ms: Option<i64>) -> Instant {
    Instant::from_unix_ms(reader.unix_ms().saturating_sub(offset_ms.unwrap_or(0)))
}

/// A reader whose clock is off is flagged; nothing else depends on it.
fn clock_quality(shown: &Shown<'_>, tolerance_ms: u64) -> ClockQuality {
    let tolerance_ms = i64::try_from(tolerance_ms).unwrap_or(i64::MAX);
    match shown.clock_offset_ms {
        Some(offset) if offset > tolerance_ms => ClockQuality::Ahead,
        Some(offset) if offset < -tolerance_ms => ClockQuality::Behind,
        Some(_) => ClockQuality::Good,
        // A scan cannot be made after it has arrived.
        None if shown.scan.scanned_at.ms_since(shown.received_at) > tolerance_ms => ClockQuality::Ahead,
        None => ClockQuality::Unknown,
    }
}

/// The person's status at a moment, and whether one was known and has expired.
fn status_at(person: Option<&Person<'_>>, at: Instant) -> (Option<HealthStatus>, bool) {
    match person {
        Some(Person { status: Some(_), status_until: Some(until), .. }) if *until < at => (None, true),
        Some(person) => (person.status, false),
        None => (None, false),
    }
}

/// A refusal by the gateway itself.
fn refused(reason: &str, text: Text) -> Verdict {
    Verdict {
        outcome: Outcome::Denied,
        open: false,
        reason: reason.into(),
        text,
        mode: Mode::Enforce,
        would_be: None,
        person: None,
        class: None,
        status: None,
        policies: Vec::new(),
        policy_set: None,
        zone: None,
    }
}
