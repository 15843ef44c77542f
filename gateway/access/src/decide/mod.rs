//! The decision: a pure function of what is known and what was shown.

mod holder;
mod malformed;
mod moment;

#[cfg(test)]
mod tests;

use protocol::{
    CredentialHash, Direction, DoorId, HealthStatus, Instant, Mode, Outcome, PersonClass, Scan, ScanRecord,
    ShadowVerdict, Text, Verdict,
};

use self::holder::{Health, Holder};
use self::moment::{Moment, Times};
use super::policy::{Judgement, Question};
use super::presence::{Attempt, Presence, Who};
use super::{Door, Snapshot};
use crate::passes::Fault;

pub use self::malformed::{ShownMalformed, decide_malformed};

const HOUR_MS: i64 = 3_600_000;

/// Shown at another door a moment ago.
const REPLAYED: &str = "pass-replayed";

/// A pass that admits once, and has.
const USED: &str = "pass-used";

/// Every reason for which a pass does not count: what is wrong with the pass itself, and that it was shown before.
pub fn pass_faults() -> impl Iterator<Item = &'static str> {
    Fault::ALL.iter().map(|fault| fault.as_str()).chain([REPLAYED, USED])
}

/// One scan as it is put to the decision.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The door, as its certificate says.
    pub door: &'a DoorId,
    /// The gateway's clock when the scan arrived.
    pub received_at: Instant,
    /// The reader's clock minus the gateway's in milliseconds, where the reader has told its time.
    pub clock_offset_ms: Option<i64>,
    /// Whether the reader may have held the scan back: it has just connected, or sends what it has stored.
    pub maybe_buffered: bool,
    /// What was read.
    pub scan: &'a Scan,
}

impl Shown<'_> {
    fn times(&self) -> Times {
        let Self { received_at, clock_offset_ms, maybe_buffered, scan, .. } = *self;
        Times { scanned_at: Some(scan.scanned_at), received_at, clock_offset_ms, maybe_buffered }
    }
}

/// What was decided of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The scan.
    pub record: ScanRecord,
    /// When it happened, by the gateway's clock.
    pub happened_at: Instant,
    /// The decision.
    pub verdict: Verdict,
}

/// Decides one scan. No I/O, no clock, no chance: the same arguments give the same answer.
pub fn decide(snapshot: &Snapshot, presence: &Presence, shown: &Shown<'_>, now: Instant) -> Decided {
    let moment = Moment::of(&snapshot.rules, shown.times(), now);
    let credential = &shown.scan.credential;
    let checked = snapshot.passes.check(credential, moment.happened_at);
    let pass_id = |id: &[u8; 16]| snapshot.key.hash_pass(id);
    let hash = snapshot.key.hash(credential);
    let holder = Holder::of(&snapshot.directory, credential, hash, checked.as_ref(), pass_id, moment.happened_at);
    decide_of(snapshot, presence, shown, holder, moment, now)
}

/// A decision that nobody waits for, and what it was made from.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The scan.
    pub record: ScanRecord,
    /// What was decided.
    pub verdict: Verdict,
    /// What the policy set was told, by name; empty where the door is not registered.
    pub facts: Vec<(&'static str, String)>,
}

/// Decides one scan and says on what grounds: of `person`, an id of the directory, whatever was shown, or else of whom the
/// scan shows. `None` when the directory does not know the person.
pub fn explain(
    snapshot: &Snapshot,
    presence: &Presence,
    shown: &Shown<'_>,
    person: Option<&str>,
    now: Instant,
) -> Option<Explained> {
    let moment = Moment::of(&snapshot.rules, shown.times(), now);
    let at = moment.happened_at;
    let (credential, pass_id) = (&shown.scan.credential, |id: &[u8; 16]| snapshot.key.hash_pass(id));
    let (checked, hash) = (snapshot.passes.check(credential, at), snapshot.key.hash(credential));
    let holder = match person {
        Some(id) => Holder::of_person(snapshot.directory.person(id)?, hash, at),
        None => Holder::of(&snapshot.directory, credential, hash, checked.as_ref(), pass_id, at),
    };
    let Decided { record, verdict, .. } = decide_of(snapshot, presence, shown, holder, moment, now);
    let facts = snapshot.doors.get(shown.door).map(|settings| {
        let asked = IdentifiedScan::of(snapshot, presence, (shown.door, settings), holder, &record, at);
        asked.question().facts()
    });
    Some(Explained { facts: facts.unwrap_or_default(), record, verdict })
}

fn decide_of(
    snapshot: &Snapshot,
    presence: &Presence,
    shown: &Shown<'_>,
    holder: Holder<'_>,
    Moment { happened_at, late, clock }: Moment,
    now: Instant,
) -> Decided {
    let scan = shown.scan;
    let record = ScanRecord {
        id: scan.id(),
        scanned_at: scan.scanned_at,
        direction: scan.direction,
        credential: holder.credential,
        clock,
        kind: Some(holder.kind),
        pass: holder.pass,
    };
    let Some(door) = snapshot.doors.get(shown.door) else {
        let verdict = refused("unknown-door", own_text(snapshot, "unknown-door", shown.door));
        return Decided { record, happened_at, verdict };
    };
    let asked = IdentifiedScan::of(snapshot, presence, (shown.door, door), holder, &record, happened_at);
    let verdict = match snapshot.mode_at(door, now) {
        Mode::Off => asked.unasked(late),
        mode => asked.judged(mode, late),
    };
    Decided { record, happened_at, verdict }
}

/// A scan with what is known of it.
struct IdentifiedScan<'a> {
    snapshot: &'a Snapshot,
    presence: &'a Presence,
    door_id: &'a DoorId,
    door: &'a Door,
    holder: Holder<'a>,
    direction: Direction,
    credential: CredentialHash,
    /// The time by which it is judged.
    at: Instant,
}

impl<'a> IdentifiedScan<'a> {
    fn of(
        snapshot: &'a Snapshot,
        presence: &'a Presence,
        (door_id, door): (&'a DoorId, &'a Door),
        holder: Holder<'a>,
        record: &ScanRecord,
        at: Instant,
    ) -> Self {
        let ScanRecord { direction, credential, .. } = *record;
        Self { snapshot, presence, door_id, door, holder, direction, credential, at }
    }

    /// The verdict of a door that judges nobody.
    fn unasked(&self, late: bool) -> Verdict {
        let (reason, text) = if late { self.late_scan() } else { ("off".into(), self.welcome()) };
        Verdict { outcome: Outcome::Recorded, open: !late, reason, text, mode: Mode::Off, ..self.blank() }
    }

    /// The policy's verdict, as far as it binds.
    fn judged(&self, mode: Mode, late: bool) -> Verdict {
        let policy = &self.snapshot.policy;
        let (judgement, shadow) = self.judgements(late);
        let (outcome, open) = binding(judgement.outcome, mode, self.direction, late);
        let judged = judgement.outcome;
        let (reason, text) = match mode {
            _ if late => self.late_scan(),
            // Nobody is told what would have been: it does not hold yet.
            Mode::Observe if judged != Outcome::Granted => (judgement.reason, self.welcome()),
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
        let Snapshot { policy, shadow, .. } = self.snapshot;
        let question = self.question();
        let shadow = shadow.as_ref().filter(|_| !late).map(|candidate| {
            let Judgement { outcome, reason, .. } = candidate.judge(&question);
            ShadowVerdict { policy_set: candidate.set_hash().to_owned(), outcome, reason }
        });
        (policy.judge(&question), shadow)
    }

    /// Why the pass that was shown does not count: what it is, or that it was shown before.
    fn fault(&self, attempt: &Attempt<'_>) -> Option<&'static str> {
        let (holder, rules) = (&self.holder, &self.snapshot.rules);
        holder.fault.or_else(|| {
            let pass = holder.pass?;
            if self.presence.is_elsewhere(pass.id, attempt, rules.pass_replay_ms) {
                return Some(REPLAYED);
            }
            let used = pass.one_time_until.is_some() && self.presence.is_used(pass.id, attempt, rules.double_scan_ms);
            used.then_some(USED)
        })
    }

    /// What the policy set is asked.
    fn question(&self) -> Question<'a> {
        let Snapshot { zones, calendar, rules, directory, .. } = self.snapshot;
        let (holder, zone, at) = (&self.holder, self.door.zone.as_str(), self.at);
        let listed = zones.get(zone);
        let local = at.timestamp().to_zoned_datetime(rules.time_zone.clone());
        let attempt = self.attempt();
        let fault = self.fault(&attempt);
        let known = holder.is_known() && fault.is_none();
        let health = if fault.is_none() { holder.health } else { Health::default() };
        let directory_age_ms = directory.synced_at().map_or(0, |synced| at.ms_since(synced).max(0));
        Question {
            class: holder.class.filter(|_| known).map_or("unknown", PersonClass::as_str),
            opd: if known { holder.opd } else { "" },
            groups: if known { holder.groups } else { &[] },
            known,
            validity: if known { holder.validity } else { "open" },
            has_host: known && holder.has_host,
            credential: holder.kind.as_str(),
            pass_fault: fault.unwrap_or_default(),
            status: health.status.map_or("unknown", HealthStatus::as_str),
            status_expired: health.expired,
            status_age_hours: health.since.map(|since| at.ms_since(since).max(0) / HOUR_MS),
            door: self.door_id.as_str(),
            zone,
            around: zones.around(zone),
            zone_opd: listed.and_then(|zone| zone.opd.as_deref()).unwrap_or_default(),
            direction: self.direction,
            weekday: i64::from(local.weekday().to_monday_one_offset()),
            minute_of_day: i64::from(local.hour()) * 60 + i64::from(local.minute()),
            holiday: calendar.holiday(local.date()).is_some(),
            occupancy: i64::from(self.presence.occupancy().of(zone, zones)),
            capacity: listed.and_then(|zone| zone.capacity).map(i64::from),
            zone_full: self.presence.is_full(attempt.who, zone, zones),
            passback: self.presence.is_passback(&attempt, rules.passback_ms, rules.double_scan_ms),
            directory_age_hours: directory_age_ms / HOUR_MS,
            directory_expired: directory_age_ms > rules.directory_age_ms_max,
        }
    }

    fn late_scan(&self) -> (String, Text) {
        ("late-scan".into(), own_text(self.snapshot, "late-scan", self.door_id))
    }

    /// What somebody reads whom nobody judges.
    fn welcome(&self) -> Text {
        let reason = match self.direction {
            Direction::In => "welcome",
            Direction::Out => "goodbye",
        };
        own_text(self.snapshot, reason, self.door_id)
    }

    fn attempt(&self) -> Attempt<'a> {
        let carrier = || Who::carrier(self.credential);
        Attempt {
            who: self.holder.person.map_or_else(carrier, Who::person),
            door: self.door_id,
            zone: &self.door.zone,
            direction: self.direction,
            at: self.at,
        }
    }

    /// What every verdict on this scan says.
    fn blank(&self) -> Verdict {
        let holder = &self.holder;
        Verdict {
            person: holder.person.map(str::to_owned),
            class: holder.class,
            status: holder.health.status,
            zone: Some(self.door.zone.clone()),
            language: holder.language,
            ..refused("", Text::default())
        }
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

/// What the gateway itself says at a door.
fn own_text(snapshot: &Snapshot, reason: &str, door: &DoorId) -> Text {
    snapshot.policy.texts().own(reason, door.as_str())
}

/// A refusal by the gateway itself.
fn refused(reason: &str, text: Text) -> Verdict {
    Verdict::own(Outcome::Denied, reason, text)
}
