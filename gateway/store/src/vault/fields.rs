//! Which fields of an event tell who it is about, whose keys they are encrypted with, and where they go back.

use std::fmt::Write as _;

use jiff::tz::Offset;
use minicbor::{Decode, Encode};
use protocol::{AssistRecord, CredentialHash, Event, EventKind, Instant, PassRecord};

/// What the subjects of credentials that belong to nobody begin with.
const CARRIER: char = '~';

/// What the subjects of helpers begin with.
const HELPER: &str = "helper:";

/// What the subjects of malformed scans begin with; a day in UTC follows.
pub(super) const MALFORMED: &str = "malformed:";

/// The fields of one part. A field that is absent was absent, or stands in the other part.
#[derive(Debug, Default, Encode, Decode)]
pub(super) struct Fields<'b> {
    #[b(0)]
    person: Option<&'b str>,
    #[n(1)]
    credential: Option<CredentialHash>,
    #[n(2)]
    pass: Option<PassRecord>,
    #[b(3)]
    helper: Option<&'b str>,
    #[b(4)]
    reason: Option<&'b str>,
    /// Whom the helper has named.
    #[b(5)]
    named: Option<&'b str>,
    #[b(6)]
    #[cbor(with = "minicbor::bytes")]
    payload_head: Option<&'b [u8]>,
    #[n(7)]
    payload_hash: Option<CredentialHash>,
}

/// Whose keys a part is encrypted with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose<'e> {
    Person(&'e str),
    Carrier(CredentialHash),
    Helper(&'e str),
    /// Nobody knows whose data a malformed payload holds: all those of a day have one key.
    Malformed(Instant),
}

/// Which of an event's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Person,
    Helper,
}

/// What is to be encrypted together.
pub(super) struct FieldGroup<'e> {
    pub side: Side,
    pub whose: Whose<'e>,
    pub fields: Fields<'e>,
}

impl Whose<'_> {
    /// The subject's name; `scratch` is where one that must be put together is written.
    pub fn subject<'s>(&'s self, scratch: &'s mut String) -> &'s str {
        scratch.clear();
        let written = match self {
            Self::Person(id) => return id,
            Self::Carrier(credential) => write!(scratch, "{CARRIER}{credential}"),
            Self::Helper(name) => write!(scratch, "{HELPER}{name}"),
            Self::Malformed(at) => write!(scratch, "{MALFORMED}{}", day(*at)),
        };
        // Nothing fails that writes to a string.
        written.map_or("", |()| scratch.as_str())
    }
}

/// The day of `at` in UTC, as in the names of the subjects of malformed scans.
pub(super) fn day(at: Instant) -> jiff::civil::Date {
    Offset::UTC.to_datetime(at.timestamp()).date()
}

/// The parts of an event, at most one of each side.
pub(super) fn parts(event: &Event) -> impl Iterator<Item = FieldGroup<'_>> {
    let person = event.verdict.person.as_deref();
    let part = |side, whose, fields| Some(FieldGroup { side, whose, fields });
    let (first, second) = match &event.subject {
        EventKind::Scan(scan) => {
            let whose = person.map_or(Whose::Carrier(scan.credential), Whose::Person);
            let fields = Fields { person, credential: Some(scan.credential), pass: scan.pass, ..Fields::default() };
            (part(Side::Person, whose, fields), None)
        }
        EventKind::Malformed(malformed) => {
            let payload_head = Some(malformed.payload_head.as_slice()).filter(|head| !head.is_empty());
            let whose = person.map_or(Whose::Malformed(event.decided_at), Whose::Person);
            let payload_hash = malformed.payload_hash;
            let fields = Fields { person, payload_head, payload_hash, ..Fields::default() };
            let any = person.is_some() || payload_head.is_some() || payload_hash.is_some();
            (part(Side::Person, whose, fields).filter(|_| any), None)
        }
        EventKind::Assist(word) => {
            // The reason tells of whoever was let through, where that is known.
            let about = Fields {
                person,
                credential: word.credential,
                pass: word.pass,
                helper: None,
                reason: Some(&word.reason),
                named: word.person.as_deref(),
                payload_head: None,
                payload_hash: None,
            };
            let helper = Some(word.helper.as_str());
            match about_whom(person, word) {
                Some(whose) => {
                    let said = Fields { helper, ..Fields::default() };
                    (part(Side::Person, whose, about), part(Side::Helper, Whose::Helper(&word.helper), said))
                }
                None => (None, part(Side::Helper, Whose::Helper(&word.helper), Fields { helper, ..about })),
            }
        }
    };
    first.into_iter().chain(second)
}

/// The event without what its parts hold.
pub(super) fn bare(event: &Event) -> Event {
    let mut bare = event.clone();
    bare.verdict.person = None;
    match &mut bare.subject {
        EventKind::Scan(scan) => (scan.credential, scan.pass) = (CredentialHash::SEALED, None),
        EventKind::Malformed(malformed) => (malformed.payload_head, malformed.payload_hash) = (Vec::new(), None),
        EventKind::Assist(word) => {
            (word.helper, word.reason) = (String::new(), String::new());
            (word.person, word.credential, word.pass) = (None, None, None);
        }
    }
    bare
}

/// Puts fields back where they were; whether they are fields of such an event.
pub(super) fn put_back(event: &mut Event, bytes: &[u8]) -> bool {
    let Ok(fields) = minicbor::decode::<Fields<'_>>(bytes) else { return false };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    if fields.person.is_some() {
        event.verdict.person = owned(fields.person);
    }
    match &mut event.subject {
        EventKind::Scan(scan) => {
            scan.credential = fields.credential.unwrap_or(CredentialHash::SEALED);
            scan.pass = fields.pass;
        }
        EventKind::Malformed(malformed) => {
            malformed.payload_head = fields.payload_head.unwrap_or_default().to_vec();
            malformed.payload_hash = fields.payload_hash;
        }
        EventKind::Assist(word) => {
            word.helper = owned(fields.helper).unwrap_or_else(|| std::mem::take(&mut word.helper));
            word.reason = owned(fields.reason).unwrap_or_else(|| std::mem::take(&mut word.reason));
            word.person = owned(fields.named).or_else(|| word.person.take());
            word.credential = fields.credential.or(word.credential);
            word.pass = fields.pass.or(word.pass);
        }
    }
    true
}

/// Whom a helper's word is about: the person whom the gateway has found, or else whom the helper has named, or else whoever
/// carries the credential.
fn about_whom<'e>(person: Option<&'e str>, word: &'e AssistRecord) -> Option<Whose<'e>> {
    // A name that no person of the directory can have must not be taken for another kind of subject.
    let named = word.person.as_deref().filter(|named| !named.contains([CARRIER, ':']));
    let known = person.or(named).map(Whose::Person);
    known.or(word.credential.map(Whose::Carrier))
}
