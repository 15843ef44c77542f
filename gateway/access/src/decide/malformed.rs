//! The decision on a payload that is no scan: what of a scan is readable in it counts as in any other.

use protocol::{CredentialHash, CredentialKind, Direction, DoorId, Instant, MalformedScan, Mode, Outcome, Verdict};

use super::holder::{Health, Holder};
use super::moment::{Moment, Times};
use super::{IdentifiedScan, binding, own_text, refused};
use crate::{Presence, Snapshot};

/// Why it is answered as it is.
const MALFORMED: &str = "malformed-scan";

/// A payload that is no scan, as it is put to the decision.
#[derive(Clone, Copy, Debug)]
pub struct ShownMalformed<'a> {
    /// The door, as its certificate says.
    pub door: &'a DoorId,
    /// The gateway's clock when it arrived.
    pub received_at: Instant,
    /// The reader's clock minus the gateway's in milliseconds, where the reader has told its time.
    pub clock_offset_ms: Option<i64>,
    /// Whether the reader may have held it back.
    pub maybe_buffered: bool,
    /// What was readable.
    pub scan: &'a MalformedScan,
}

/// Decides on a payload that is no scan, and tells when it happened. The door's mode and the direction hold as for a scan: who
/// leaves is judged by the policy as somebody unknown, who enters is denied where decisions bind. No I/O, no clock.
pub fn decide_malformed(
    snapshot: &Snapshot,
    presence: &Presence,
    shown: &ShownMalformed<'_>,
    now: Instant,
) -> (MalformedScan, Instant, Verdict) {
    let ShownMalformed { door, received_at, clock_offset_ms, maybe_buffered, scan } = *shown;
    let times = Times { scanned_at: scan.scanned_at, received_at, clock_offset_ms, maybe_buffered };
    let Moment { happened_at, late, clock } = Moment::of(&snapshot.rules, times, now);
    let record = MalformedScan { clock: scan.scanned_at.map(|_| clock), ..scan.clone() };
    let text = own_text(snapshot, MALFORMED, door);
    let Some(settings) = snapshot.doors.get(door) else { return (record, happened_at, refused(MALFORMED, text)) };
    let mode = snapshot.mode_at(settings, now);
    let direction = scan.direction.unwrap_or(Direction::In);
    let asked = IdentifiedScan {
        snapshot,
        presence,
        door_id: door,
        door: settings,
        holder: nobody(),
        direction,
        credential: CredentialHash::SEALED,
        at: happened_at,
    };
    let judgement =
        (direction == Direction::Out && mode != Mode::Off).then(|| snapshot.policy.judge(&asked.question()));
    let judged = judgement.as_ref().map_or(Outcome::Denied, |judgement| judgement.outcome);
    let (outcome, open) = binding(judged, mode, direction, late);
    // Nobody is told what would have been where it does not hold.
    let welcome = open && (mode != Mode::Warn || judged == Outcome::Granted);
    let verdict = Verdict {
        outcome,
        open,
        text: if welcome { asked.welcome() } else { text },
        mode,
        would_be: (outcome != judged && mode != Mode::Off).then_some(judged),
        policy_set: judgement.as_ref().map(|_| snapshot.policy.set_hash().to_owned()),
        policies: judgement.map(|judgement| judgement.policies).unwrap_or_default(),
        zone: Some(settings.zone.clone()),
        ..refused(MALFORMED, own_text(snapshot, MALFORMED, door))
    };
    (record, happened_at, verdict)
}

/// Whom a credential shows that could not be read.
fn nobody<'a>() -> Holder<'a> {
    Holder {
        credential: CredentialHash::SEALED,
        kind: CredentialKind::Badge,
        person: None,
        class: None,
        opd: "",
        groups: &[],
        has_host: false,
        language: None,
        validity: "open",
        health: Health::default(),
        pass: None,
        fault: None,
    }
}
