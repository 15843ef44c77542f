//! Where people were last seen, as far as decisions need it: occupancy, anti-passback, and passes shown before. Derived
//! from events alone, so that it can be rebuilt from the log.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use minicbor::{Decode, Encode};
use protocol::{
    AssistRecord, CredentialHash, Direction, DoorId, Event, EventKind, Instant, Mark, Outcome, ScanRecord, Verdict,
};

use base::door_list::Zones;

/// How long somebody is believed to be where they were last seen, unless the configuration says otherwise.
pub const KEEP_HOURS: u32 = 14;

/// Time between two looks for what is too old to be believed.
const PURGE_INTERVAL_MS: i64 = 60_000;

/// How long the last use of a pass that admits as often as it is shown is remembered.
const PASS_KEEP_MS: i64 = 3_600_000;

/// One-time passes whose use is remembered; beyond, those that end first are forgotten.
const PASSES_MAX: usize = 200_000;

/// Who was last seen where.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Presence {
    #[n(0)]
    people: HashMap<CredentialHash, LastPassage>,
    #[n(1)]
    passes: HashMap<CredentialHash, PassUse>,
    #[n(2)]
    purged_at: Option<Instant>,
    #[cbor(skip)]
    occupancy: Occupancy,
    #[cbor(skip)]
    keep_ms: i64,
}

/// How many people were last seen at the doors of each zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occupancy(HashMap<String, Counts>);

/// Somebody's last passage.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct LastPassage {
    /// The zone that the door leads into.
    #[n(0)]
    zone: String,
    #[n(1)]
    door: DoorId,
    #[n(2)]
    direction: Direction,
    #[n(3)]
    at: Instant,
}

/// The last use of a pass.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct PassUse {
    #[n(0)]
    door: DoorId,
    #[n(1)]
    at: Instant,
    /// Zones that a one-time pass has opened, with the door and the time of the first entry.
    #[n(2)]
    entered: Vec<LastPassage>,
    #[n(3)]
    one_time_until: Option<Instant>,
}

/// People whose last passage was into a zone, or out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    entered: u32,
    left: u32,
}

/// Whom a scan is about: a person of the directory, or else a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who(CredentialHash);

/// A scan that could repeat one before.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Who.
    pub who: Who,
    /// Where.
    pub door: &'a DoorId,
    /// The zone that it leads into.
    pub zone: &'a str,
    /// Which way.
    pub direction: Direction,
    /// When.
    pub at: Instant,
}

impl Presence {
    /// Nobody was seen yet; who is seen is believed to be there for `keep_ms`.
    pub fn new(keep_ms: i64) -> Self {
        Self {
            people: HashMap::new(),
            passes: HashMap::new(),
            purged_at: None,
            occupancy: Occupancy::default(),
            keep_ms,
        }
    }

    /// Brings back what a checkpoint leaves out.
    pub fn restored(mut self, keep_ms: i64) -> Self {
        self.keep_ms = keep_ms;
        self.occupancy.0.clear();
        for place in self.people.values() {
            self.occupancy.count(place, 1);
        }
        self
    }

    /// Takes note of an event: who has passed, or was recorded late, is where the door leads. Nobody has, where the event does
    /// not tell any more who it was.
    pub fn remember(&mut self, event: &Event) {
        let now = event.decided_at;
        if self.purged_at.is_none_or(|before| now.ms_since(before) >= PURGE_INTERVAL_MS) {
            self.purge(now);
        }
        let verdict = &event.verdict;
        // What may be a scan that was kept before moves nobody.
        let counts = !event.is_erased() && !event.is_marked(Mark::ResendUnverified);
        let Some(zone) = verdict.zone.as_ref().filter(|_| counts) else { return };
        let scan = match &event.subject {
            EventKind::Scan(scan) => scan,
            EventKind::Malformed(_) => return,
            EventKind::Assist(word) => return self.remember_word(event, word, zone),
        };
        let late = verdict.outcome == Outcome::Recorded && !verdict.open;
        let (door, direction, at) = (event.door.clone(), scan.direction, event.when());
        let place = LastPassage { zone: zone.clone(), door, direction, at };
        if let Some(pass) = &scan.pass {
            self.remember_pass(pass.id, pass.one_time_until, &place, verdict.open);
        }
        if verdict.open || late {
            self.move_to(Who::of(verdict, scan).0, place);
        }
    }

    /// Whether somebody goes in where they are already, entered less than `within_ms` ago, and were seen nowhere else since:
    /// a badge handed back. Not the same door within `double_scan_ms`: that is one scan too many.
    pub fn is_passback(&self, attempt: &Attempt<'_>, within_ms: i64, double_scan_ms: i64) -> bool {
        let Some(last) = self.people.get(&attempt.who.0) else { return false };
        let age_ms = attempt.at.ms_since(last.at);
        let double = last.door == *attempt.door && age_ms <= double_scan_ms;
        (attempt.direction, last.direction) == (Direction::In, Direction::In)
            && last.zone == attempt.zone
            && (0..within_ms).contains(&age_ms)
            && !double
    }

    /// Whether a pass was shown at another door less than `within_ms` ago.
    pub fn is_elsewhere(&self, pass: CredentialHash, attempt: &Attempt<'_>, within_ms: i64) -> bool {
        let Some(last) = self.passes.get(&pass) else { return false };
        last.door != *attempt.door && (0..within_ms).contains(&attempt.at.ms_since(last.at))
    }

    /// Whether a one-time pass has let its holder into this zone before; not the same door within `double_scan_ms`.
    pub fn is_used(&self, pass: CredentialHash, attempt: &Attempt<'_>, double_scan_ms: i64) -> bool {
        let Some(last) = self.passes.get(&pass) else { return false };
        let before = last.entered.iter().find(|place| place.zone == attempt.zone && place.at <= attempt.at);
        attempt.direction == Direction::In
            && before
                .is_some_and(|before| before.door != *attempt.door || attempt.at.ms_since(before.at) > double_scan_ms)
    }

    /// Forgets a person, and credentials and passes with these hashes, as if they had never been seen.
    pub fn forget(&mut self, person: &str, credentials: &[CredentialHash]) {
        let carriers = credentials.iter().map(|credential| Who::carrier(*credential));
        for who in carriers.chain([Who::person(person)]) {
            if let Some(place) = self.people.remove(&who.0) {
                self.occupancy.count(&place, -1);
            }
            self.passes.remove(&who.0);
        }
    }

    /// How many people are where.
    pub fn occupancy(&self) -> &Occupancy {
        &self.occupancy
    }

    /// Whether `zone`, or one around it, has no room for one more; who is inside already takes none.
    pub fn is_full(&self, who: Who, zone: &str, zones: &Zones) -> bool {
        let last = self.people.get(&who.0);
        let position = last.and_then(|place| match place.direction {
            Direction::In => Some(place.zone.as_str()),
            Direction::Out => zones.around(&place.zone).first().map(String::as_str),
        });
        std::iter::once(zone).chain(zones.around(zone).iter().map(String::as_str)).any(|zone| {
            let Some(capacity) = zones.get(zone).and_then(|zone| zone.capacity) else { return false };
            let is_inside = position.is_some_and(|at| at == zone || zones.inside(zone).iter().any(|inner| inner == at));
            !is_inside && self.occupancy.of(zone, zones) >= capacity
        })
    }

    /// Whom a helper has let through has passed, where it is known who that was.
    fn remember_word(&mut self, event: &Event, word: &AssistRecord, zone: &str) {
        let Verdict { open: true, person, .. } = &event.verdict else { return };
        let (zone, door, direction, at) = (zone.to_owned(), event.door.clone(), word.direction, event.when());
        let place = LastPassage { zone, door, direction, at };
        if let Some(pass) = &word.pass {
            self.remember_pass(pass.id, pass.one_time_until, &place, true);
        }
        let who = person.as_deref().map(Who::person).or(word.credential.map(Who::carrier));
        if let Some(who) = who {
            self.move_to(who.0, place);
        }
    }

    fn remember_pass(&mut self, id: CredentialHash, one_time_until: Option<Instant>, place: &LastPassage, open: bool) {
        let used = self.passes.entry(id).or_insert_with(|| PassUse {
            door: place.door.clone(),
            at: place.at,
            entered: Vec::new(),
            one_time_until,
        });
        used.door.clone_from(&place.door);
        used.at = place.at;
        used.one_time_until = one_time_until;
        let enters = open && place.direction == Direction::In && one_time_until.is_some();
        if enters && !used.entered.iter().any(|before| before.zone == place.zone) {
            used.entered.push(place.clone());
        }
    }

    fn move_to(&mut self, who: CredentialHash, place: LastPassage) {
        if let Some(before) = self.people.get(&who) {
            // A late scan tells of the past: what is known since outweighs it.
            if before.at > place.at {
                return;
            }
            self.occupancy.count(before, -1);
        }
        self.occupancy.count(&place, 1);
        self.people.insert(who, place);
    }

    /// Forgets what is too old to be believed.
    fn purge(&mut self, now: Instant) {
        self.purged_at = Some(now);
        let Self { people, occupancy, keep_ms, .. } = self;
        people.retain(|_, place| {
            let keep = now.ms_since(place.at) <= *keep_ms;
            if !keep {
                occupancy.count(place, -1);
            }
            keep
        });
        self.passes.retain(|_, used| match used.one_time_until {
            Some(until) => until >= now,
            None => now.ms_since(used.at) <= PASS_KEEP_MS,
        });
        if self.passes.len() > PASSES_MAX {
            let mut ends: Vec<_> = self.passes.values().map(|used| used.one_time_until.unwrap_or(used.at)).collect();
            let surplus = ends.len() - PASSES_MAX;
            let (_, last_to_go, _) = ends.select_nth_unstable(surplus);
            let last_to_go = *last_to_go;
            self.passes.retain(|_, used| used.one_time_until.unwrap_or(used.at) > last_to_go);
        }
    }
}

impl Occupancy {
    /// People in `zone` and the zones inside it.
    pub fn of(&self, zone: &str, zones: &Zones) -> u32 {
        let counts = |zone: &str| self.0.get(zone).copied().unwrap_or_default();
        // Who has left a zone is in the one around it.
        let inside = zones.inside(zone).iter().filter(|inner| *inner != zone).map(|inner| counts(inner));
        counts(zone).entered + inside.map(|counts| counts.entered + counts.left).sum::<u32>()
    }

    /// Zones at whose doors somebody was last seen.
    pub fn zones(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Counts somebody in or out of where they were last seen.
    fn count(&mut self, place: &LastPassage, by: i32) {
        let here = match self.0.get_mut(&place.zone) {
            Some(here) => here,
            None => self.0.entry(place.zone.clone()).or_default(),
        };
        let side = match place.direction {
            Direction::In => &mut here.entered,
            Direction::Out => &mut here.left,
        };
        *side = side.saturating_add_signed(by);
        if *here == Counts::default() {
            self.0.remove(&place.zone);
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self::new(i64::from(KEEP_HOURS) * 3_600_000)
    }
}

impl Who {
    /// A person of the directory.
    pub fn person(id: &str) -> Self {
        let mut first = [0; 16];
        first.iter_mut().zip(blake3::hash(id.as_bytes()).as_bytes()).for_each(|(to, from)| *to = *from);
        Self(CredentialHash(first))
    }

    /// Whoever carries a credential that the directory does not know.
    pub fn carrier(credential: CredentialHash) -> Self {
        Self(credential)
    }

    fn of(verdict: &Verdict, scan: &ScanRecord) -> Self {
        verdict.person.as_deref().map_or(Self::carrier(scan.credential), Self::person)
    }
}
