//! The decision: a pure function of what is known and what was shown.

#[cfg(test)]
mod tests;

use protocol::{
    ClockQuality, CredentialKind, Direction, DoorId, HealthStatus, Instant, Mode, Outcome, Scan, ScanRecord,
    ShadowVerdict, Text, Verdict,
};

use super::policy::{Judgement, Question};
use super::presence::{Attempt, Presence, Who};
use super::{Door, Person, Snapshot};

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
pub fn decide(snapshot: &Snapshot, presence: &Presence, shown: &Shown<'_>, now: Instant) -> (ScanRecord, Verdict) {
    let scan = shown.scan;
    let credential = snapshot.key.hash(&scan.credential);
    let record = ScanRecord {
        id: scan.id(),
        scanned_at: scan.scanned_at,
        direction: scan.direction,
        credential,
        clock: clock_quality(shown, snapshot.rules.clock_tolerance_ms),
        kind: Some(CredentialKind::Badge),
        pass: None,
    };
    let Some(door) = snapshot.doors.get(shown.door) else {
        return (record, refused("unknown-door", Text::new("Pintu tidak terdaftar", "This door is not registered")));
    };
    let scanned_at = corrected(scan.scanned_at, shown.clock_offset_ms);
    // What was held while the log did not work is late as well: nobody stands at the door any more.
    let age_ms = now.max(shown.received_at).ms_since(scanned_at);
    let late = age_ms > i64::try_from(snapshot.rules.late_after_ms).unwrap_or(i64::MAX);
    // A late scan is judged by the time at which the person stood there.
    let at = if late { scanned_at } else { now };

    let person = snapshot.directory.find(&credential);
    let mode = snapshot.mode_at(door, now);
    let asked = Asked { snapshot, presence, shown, door, person, record: &record, at };
    let verdict = match mode {
        Mode::Off => asked.unasked(late),
        mode => asked.judged(mode, late),
    };
    (record, verdict)
}

/// A scan with what is known of it.
struct Asked<'a> {
    snapshot: &'a Snapshot,
    presence: &'a Presence,
    shown: &'a Shown<'a>,
    door: &'a Door,
    person: Option<Person<'a>>,
    record: &'a ScanRecord,
    /// The time by which it is judged.
    at: Instant,
}

impl Asked<'_> {
    /// The verdict of a door that judges nobody.
    fn unasked(&self, late: bool) -> Verdict {
        let (reason, text) = if late { late_scan() } else { ("off".into(), welcome(self.record.direction)) };
        Verdict { outcome: Outcome::Recorded, open: !late, reason, text, mode: Mode::Off, ..self.blank() }
    }

    /// The policy's verdict, as far as it binds.
    fn judged(&self, mode: Mode, late: bool) -> Verdict {
        let policy = &self.snapshot.policy;
        let (judgement, shadow) = self.judgements(late);
        let (outcome, open) = binding(judgement.outcome, mode, self.record.direction, late);
        let judged = judgement.outcome;
        let (reason, text) = match mode {
            _ if late => late_scan(),
            // Nobody is told what would have been: it does not hold yet.
            Mode::Observe if judged != Outcome::Granted => (judgement.reason, welcome(self.record.direction)),
            _ => (judgement.reason, judgement.text),
        };
        Verdict {
            outcome,
            open,
            reason,
            text,
            mode,
            would_be: (outcome != judged).then_some(judged),
            policies: judgement.policies,
            policy_set: Some(policy.set_hash().to_owned()),
            shadow,
            ..self.blank()
        }
    }

    /// What the policy set says, and its candidate where there is one. A late scan shows nobody who could be let in.
    fn judgements(&self, late: bool) -> (Judgement, Option<ShadowVerdict>) {
        let Snapshot { zones, calendar, rules, policy, shadow, .. } = self.snapshot;
        let zone = self.door.zone.as_str();
        let listed = zones.get(zone);
        let (status, status_expired) = status_at(self.person.as_ref(), self.at);
        let local = self.at.timestamp().to_zoned_datetime(rules.time_zone.clone());
        let who = self.who();
        let attempt = Attempt { who, door: self.shown.door, zone, direction: self.record.direction, at: self.at };
        let question = Question {
            class: self.person.as_ref().map_or("unknown", |person| person.class.as_str()),
            opd: self.person.as_ref().map_or("", |person| person.opd),
            groups: &[],
            known: self.person.is_some(),
            validity: "open",
            has_host: false,
            credential: self.record.kind.unwrap_or(CredentialKind::Badge).as_str(),
            pass_fault: "",
            status: status.map_or("unknown", HealthStatus::as_str),
            status_expired,
            status_age_hours: None,
            door: self.shown.door.as_str(),
            zone,
            around: zones.around(zone),
            zone_opd: listed.and_then(|zone| zone.opd.as_deref()).unwrap_or_default(),
            direction: self.record.direction,
            weekday: i64::from(local.weekday().to_monday_one_offset()),
            minute_of_day: i64::from(local.hour()) * 60 + i64::from(local.minute()),
            holiday: calendar.holiday(local.date()).is_some(),
            occupancy: i64::from(self.presence.occupancy(zone, zones)),
            capacity: listed.and_then(|zone| zone.capacity).map(i64::from),
            zone_full: self.presence.is_full(who, zone, zones),
            passback: self.presence.is_passback(&attempt, rules.passback_ms, rules.double_scan_ms),
            directory_age_hours: 0,
            directory_expired: false,
        };
        let shadow = shadow.as_ref().filter(|_| !late).map(|candidate| {
            let Judgement { outcome, reason, .. } = candidate.judge(&question);
            ShadowVerdict { policy_set: candidate.set_hash().to_owned(), outcome, reason }
        });
        (policy.judge(&question), shadow)
    }

    fn who(&self) -> Who {
        let person = self.person.as_ref();
        person.map_or_else(|| Who::carrier(self.record.credential), |person| Who::person(person.id))
    }

    /// What every verdict on this scan says.
    fn blank(&self) -> Verdict {
        let person = self.person.as_ref();
        Verdict {
            person: person.map(|person| person.id.to_owned()),
            class: person.map(|person| person.class),
            status: status_at(person, self.at).0,
            zone: Some(self.door.zone.clone()),
            ..refused("", Text::default())
        }
    }
}

/// What a payload that is no scan is answered, in every mode.
pub fn refuse_malformed(snapshot: &Snapshot, door: &DoorId, now: Instant) -> Verdict {
    let door = snapshot.doors.get(door);
    Verdict {
        mode: door.map_or(Mode::Enforce, |door| snapshot.mode_at(door, now)),
        zone: door.map(|door| door.zone.clone()),
        ..refused("malformed-scan", Text::new("Data pemindaian tidak terbaca", "The scan could not be read"))
    }
}

/// What the policy's outcome comes to at this door: the outcome that is answered, and whether the door opens.
fn binding(judged: Outcome, mode: Mode, direction: Direction, late: bool) -> (Outcome, bool) {
    match (judged, mode, direction) {
        _ if late => (Outcome::Recorded, false),
        (_, Mode::Off | Mode::Observe, _) => (Outcome::Recorded, true),
        (Outcome::Granted, Mode::Warn | Mode::Enforce, Direction::Out) => (Outcome::Recorded, true),
        (Outcome::Granted, Mode::Warn, Direction::In) => (Outcome::Granted, true),
        (_, Mode::Warn, _) => (Outcome::Recorded, true),
        (judged, Mode::Enforce, _) => (judged, judged == Outcome::Granted),
    }
}

fn late_scan() -> (String, Text) {
    ("late-scan".into(), Text::new("Pemindaian terlambat, hanya dicatat", "Late scan, recorded only"))
}

/// What somebody reads whom nobody judges.
fn welcome(direction: Direction) -> Text {
    match direction {
        Direction::In => Text::new("Silakan masuk", "Please come in"),
        Direction::Out => Text::new("Terima kasih, sampai jumpa", "Thank you, goodbye"),
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
        shadow: None,
        language: None,
    }
}
