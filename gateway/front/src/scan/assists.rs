//! Assist requests: which scans wait for one, which were made before, and what a new one comes to. Derived from the log, like
//! everything else that the spine remembers.

use std::collections::{HashMap, VecDeque};

use minicbor::{Decode, Encode};
use protocol::{
    AnsweredScan, Assist, AssistAction, AssistRecord, CredentialHash, Direction, DoorId, Event, EventKind,
    HealthStatus, Instant, Language, Outcome, PassRecord, PersonClass, ScanId, ScanRecord, Text, Verdict, Via,
};

use super::arrival::AssistRequest;
use access::Snapshot;

/// Scans of one door that are remembered as waiting for a helper; beyond, the oldest is forgotten.
const WAITING_MAX: usize = 32;

/// How long a scan is remembered as waiting, so that a late request is told from one about no scan, in milliseconds.
const WAITING_KEEP_MS: i64 = 3_600_000;

/// Requests at one door that are known again when they are sent again; beyond, the oldest is forgotten.
const ASSISTS_MAX: usize = 128;

/// What doors' helpers were asked and have answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Assists {
    #[n(0)]
    doors: HashMap<DoorId, AtDoor>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct AtDoor {
    /// The oldest first.
    #[n(0)]
    waiting: VecDeque<WaitingScan>,
    /// The oldest first.
    #[n(1)]
    recorded: VecDeque<RecordedAssist>,
}

/// A scan whose event says that a helper must confirm.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct WaitingScan {
    #[n(0)]
    id: ScanId,
    #[n(1)]
    event: u64,
    #[n(2)]
    decided_at: Instant,
    #[n(3)]
    direction: Direction,
    #[n(4)]
    person: Option<String>,
    #[n(5)]
    class: Option<PersonClass>,
    #[n(6)]
    status: Option<HealthStatus>,
    #[n(7)]
    language: Option<Language>,
    #[n(8)]
    credential: CredentialHash,
    #[n(9)]
    pass: Option<PassRecord>,
}

/// A request that is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct RecordedAssist {
    #[n(0)]
    event: u64,
    #[n(1)]
    device: DoorId,
    #[n(2)]
    via: Via,
    #[n(3)]
    action: AssistAction,
    #[n(4)]
    scan: Option<ScanId>,
    #[n(5)]
    id: Option<String>,
    /// Whether it has decided about its scan: no other may any more.
    #[n(6)]
    settles: bool,
    /// Whether its scan waited for a helper.
    #[n(7)]
    found: bool,
    #[n(8)]
    person: Option<String>,
    /// The event of its scan, where that waited for a helper.
    #[n(9)]
    answered: Option<u64>,
}

/// A request as it is put to the judgement.
#[derive(Clone, Copy, Debug)]
pub struct AssistCase<'a> {
    /// Where the helper stands.
    pub door: &'a DoorId,
    /// When the request arrived.
    pub received_at: Instant,
    /// What the helper asks.
    pub request: &'a AssistRequest,
}

/// What a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AssistFinding {
    Admitted,
    Refused,
    Expired,
    UnknownScan,
    Answered,
    UnknownPerson,
    UnknownDoor,
}

impl Assists {
    /// The event of the same request, made before: the same device has given it the same id, or has done the same about the same
    /// scan.
    pub fn lookup(&self, door: &DoorId, request: &AssistRequest) -> Option<u64> {
        let here = self.doors.get(door)?;
        let (assist, scan) = (&request.assist, request.assist.scan());
        let wanted = assist.event.or_else(|| here.wanted(assist).map(|scan| scan.event));
        let again = here.recorded.iter().rev().find(|earlier| {
            let same_id = assist.id.is_some() && earlier.id == assist.id;
            // Another scan may wait under the same number by now.
            let same_event = wanted.is_none_or(|wanted| earlier.answered.is_none_or(|answered| answered == wanted));
            let same_scan = scan.is_some() && earlier.scan == scan && same_event && earlier.action == assist.action;
            // One that came to nothing may be mended: with another id or person, or once its scan is there.
            let same_details = earlier.person == assist.person && earlier.id == assist.id;
            let same_answer = earlier.settles || (same_details && (earlier.found || !here.waits(scan)));
            earlier.device == request.device && earlier.via == request.via && (same_id || (same_scan && same_answer))
        });
        again.map(|earlier| earlier.event)
    }

    /// Takes note of an event.
    pub fn remember(&mut self, event: &Event) {
        match &event.subject {
            EventKind::Scan(scan) if event.verdict.outcome == Outcome::Assist => self.wait(event, scan),
            EventKind::Scan(_) | EventKind::Malformed(_) => {}
            EventKind::Assist(request) => self.record(event, request),
        }
    }

    /// Forgets who a person's scans and requests were about, as if their events did not tell it any more.
    pub fn forget(&mut self, person: &str, credentials: &[CredentialHash]) {
        let is_theirs = |of: Option<&str>, shown: Option<&CredentialHash>| {
            of.map_or_else(|| shown.is_some_and(|shown| credentials.contains(shown)), |of| of == person)
        };
        for here in self.doors.values_mut() {
            for scan in &mut here.waiting {
                if is_theirs(scan.person.as_deref(), Some(&scan.credential)) {
                    (scan.person, scan.credential, scan.pass) = (None, CredentialHash::SEALED, None);
                }
            }
            for request in &mut here.recorded {
                request.person.take_if(|named| named == person);
            }
        }
    }

    /// Judges a request that was not made before. Pure: the same arguments give the same verdict.
    pub fn judge(
        &self,
        snapshot: &Snapshot,
        case: &AssistCase<'_>,
        within_ms: u64,
        now: Instant,
    ) -> (AssistRecord, Verdict) {
        let AssistCase { door, request, .. } = case;
        let assist = &request.assist;
        let here = self.doors.get(*door);
        let asked = assist.scan();
        let waiting = here.and_then(|here| here.wanted(assist));
        let named = assist.person.as_deref().map(|id| snapshot.directory.person(id));

        let asks = asked.is_some() || assist.event.is_some();
        let settled = asks && waiting.is_none() && here.is_some_and(|here| here.is_settled(asked, assist.event));
        let within_ms = i64::try_from(within_ms).unwrap_or(i64::MAX);
        // A request that was held while the log did not work is late as well: nobody stands at the door any more.
        let late = |since: Instant| now.ms_since(since) > within_ms;
        let finding = if snapshot.doors.get(door).is_none() {
            AssistFinding::UnknownDoor
        } else if settled {
            AssistFinding::Answered
        } else if asks && waiting.is_none() {
            AssistFinding::UnknownScan
        } else if late(case.received_at) || waiting.is_some_and(|scan| late(scan.decided_at)) {
            AssistFinding::Expired
        } else if named == Some(None) {
            AssistFinding::UnknownPerson
        } else {
            match assist.action {
                AssistAction::Admit => AssistFinding::Admitted,
                AssistAction::Refuse => AssistFinding::Refused,
            }
        };
        let direction = assist.direction.or(waiting.map(|scan| scan.direction)).unwrap_or(Direction::In);
        let record = AssistRecord {
            action: assist.action,
            helper: assist.helper.clone(),
            reason: assist.reason.clone(),
            person: assist.person.clone(),
            answers: asked
                .or(waiting.map(|scan| scan.id))
                .map(|id| AnsweredScan { id, event: waiting.map(|scan| scan.event) }),
            direction,
            device: request.device.clone(),
            via: request.via,
            id: assist.id.clone(),
            credential: waiting.map(|scan| scan.credential).filter(|shown| *shown != CredentialHash::SEALED),
            pass: waiting.and_then(|scan| scan.pass),
        };
        let mut verdict = finding.verdict(direction);
        if let Some(door) = snapshot.doors.get(door) {
            verdict.mode = snapshot.mode_at(door, now);
            verdict.zone = Some(door.zone.clone());
        }
        match (named, waiting) {
            (Some(Some(person)), _) => {
                verdict.person = Some(person.id.to_owned());
                verdict.class = Some(person.class);
                verdict.status = person.status.filter(|_| person.status_until.is_none_or(|until| until >= now));
            }
            (Some(None), _) | (None, None) => {}
            (None, Some(scan)) => {
                verdict.person.clone_from(&scan.person);
                (verdict.class, verdict.status, verdict.language) = (scan.class, scan.status, scan.language);
            }
        }
        (record, verdict)
    }

    fn wait(&mut self, event: &Event, scan: &ScanRecord) {
        let verdict = &event.verdict;
        let here = self.door(&event.door);
        while here.waiting.front().is_some_and(|old| event.decided_at.ms_since(old.decided_at) > WAITING_KEEP_MS)
            || here.waiting.len() >= WAITING_MAX
        {
            here.waiting.pop_front();
        }
        here.waiting.push_back(WaitingScan {
            id: scan.id,
            event: event.number,
            decided_at: event.decided_at,
            direction: scan.direction,
            person: verdict.person.clone(),
            class: verdict.class,
            status: verdict.status,
            language: verdict.language,
            credential: scan.credential,
            pass: scan.pass,
        });
    }

    fn record(&mut self, event: &Event, request: &AssistRecord) {
        let scan = request.answers.map(|answers| answers.id);
        let answered = request.answers.and_then(|answers| answers.event);
        let settles = AssistFinding::settles(&event.verdict);
        let here = self.door(&event.door);
        if settles {
            here.waiting.retain(|waiting| Some(waiting.event) != answered);
        }
        if here.recorded.len() >= ASSISTS_MAX {
            here.recorded.pop_front();
        }
        here.recorded.push_back(RecordedAssist {
            event: event.number,
            device: request.device.clone(),
            via: request.via,
            action: request.action,
            scan,
            id: request.id.clone(),
            settles,
            found: answered.is_some(),
            person: request.person.clone(),
            answered,
        });
    }

    fn door(&mut self, door: &DoorId) -> &mut AtDoor {
        self.doors.entry(door.clone()).or_default()
    }
}

impl AtDoor {
    fn waits(&self, scan: Option<ScanId>) -> bool {
        self.waiting.iter().any(|waiting| Some(waiting.id) == scan)
    }

    /// The scan that a request is about: the one whose event it names, else the newest that waits under the number.
    fn wanted(&self, assist: &Assist) -> Option<&WaitingScan> {
        let (id, event) = (assist.scan(), assist.event);
        let fits = |scan: &&WaitingScan| match (event, id) {
            (Some(event), id) => scan.event == event && id.is_none_or(|id| scan.id == id),
            (None, Some(id)) => scan.id == id,
            (None, None) => false,
        };
        self.waiting.iter().rev().find(fits)
    }

    fn is_settled(&self, scan: Option<ScanId>, event: Option<u64>) -> bool {
        let is_it = |earlier: &RecordedAssist| match event {
            Some(event) => earlier.answered == Some(event),
            None => earlier.scan == scan,
        };
        self.recorded.iter().any(|earlier| earlier.settles && is_it(earlier))
    }
}

impl AssistFinding {
    const fn reason(self) -> &'static str {
        match self {
            Self::Admitted => "helper-admitted",
            Self::Refused => "helper-refused",
            Self::Expired => "assist-expired",
            Self::UnknownScan => "assist-unknown-scan",
            Self::Answered => "assist-answered",
            Self::UnknownPerson => "assist-unknown-person",
            Self::UnknownDoor => "unknown-door",
        }
    }

    /// Whether a verdict says whether somebody passes, and not only that the request could not be taken.
    fn settles(verdict: &Verdict) -> bool {
        [Self::Admitted, Self::Refused].iter().any(|finding| finding.reason() == verdict.reason)
    }

    fn text(self, direction: Direction) -> Text {
        let (id, en) = match (self, direction) {
            (Self::Admitted, Direction::In) => {
                ("Diizinkan petugas, silakan masuk", "Admitted by a helper, please come in")
            }
            (Self::Admitted, Direction::Out) => ("Diizinkan petugas, sampai jumpa", "Let out by a helper, goodbye"),
            (Self::Refused, _) => ("Petugas tidak mengizinkan", "A helper has refused passage"),
            (Self::Expired, _) => ("Sudah terlalu lama, silakan pindai lagi", "Too long ago, please scan again"),
            (Self::UnknownScan, _) => ("Tidak ada pindaian yang menunggu petugas", "No such scan waits for a helper"),
            (Self::Answered, _) => ("Pindaian ini sudah dijawab petugas", "A helper has already answered this scan"),
            (Self::UnknownPerson, _) => ("Orang ini tidak terdaftar", "This person is not in the directory"),
            (Self::UnknownDoor, _) => ("Pintu tidak terdaftar", "This door is not registered"),
        };
        Text::new(id, en)
    }

    fn verdict(self, direction: Direction) -> Verdict {
        let outcome = if self == Self::Admitted { Outcome::Granted } else { Outcome::Denied };
        Verdict::own(outcome, self.reason(), self.text(direction))
    }
}

/// Whether the door is to hear of a kept request: one that says who passes, as long as somebody may still stand there.
pub fn is_for_the_door(event: &Event, within_ms: u64, now: Instant) -> bool {
    let within_ms = i64::try_from(within_ms).unwrap_or(i64::MAX);
    AssistFinding::settles(&event.verdict) && now.ms_since(event.decided_at) <= within_ms
}
