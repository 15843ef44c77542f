//! An event: one scan and its decision, as the gateway keeps them on disk.
//!
//! Longer than 400 lines: one record's format, with the number of each field.
//!
//! Events are written as CBOR arrays with numbered fields. A field may be added with a new number and as an `Option`;
//! a number is never used again for something else, and no field becomes mandatory.

#[cfg(test)]
mod tests;

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{AssistAction, Direction, DoorId, HealthStatus, Instant, Language, Mode, Outcome, ScanError, ScanId, Text};

/// Longest piece of a malformed payload that is kept, in bytes.
pub const MALFORMED_BYTES_KEPT: usize = 512;

/// One scan and its decision.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// The event's number: 1 for the first, rising by one without a gap.
    #[n(0)]
    pub number: u64,
    /// The door whose certificate sent the scan.
    #[n(1)]
    pub door: DoorId,
    /// The gateway's clock when the scan arrived.
    #[n(2)]
    pub received_at: Instant,
    /// The gateway's clock when it decided.
    #[n(3)]
    pub decided_at: Instant,
    /// What was received.
    #[n(4)]
    pub subject: EventKind,
    /// What was decided.
    #[n(5)]
    pub verdict: Verdict,
    /// What tells who the event was about, as it is on disk. Absent in an event that can be read as a whole: one that still
    /// has it tells nothing of anybody, because the keys were destroyed.
    #[n(6)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<bool>))]
    #[serde(
        rename = "erased",
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "erased",
        deserialize_with = "was_erased"
    )]
    pub encrypted: Option<Encrypted>,
    /// When it happened, by the gateway's clock: when it arrived, or for a scan that arrived late the reader's time, corrected.
    /// What decisions, ledgers, search and the upstream go by; absent in events of earlier versions: see [`Event::when`].
    #[n(7)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened_at: Option<Instant>,
    /// What is remarkable about it, whatever was decided.
    #[n(8)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Mark>, required = false))]
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub marks: Marks,
}

/// What is remarkable about an event; mostly nothing, which then takes no room on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marks(pub Vec<Mark>);

/// What is remarkable about an event, whatever was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum Mark {
    /// Its epoch and sequence number were used before by another scan of the door, which is kept as well.
    #[n(0)]
    NumberReused,
    /// It may be a scan that was sent before: what was kept under its number cannot be read any more, so nobody can tell.
    /// It opens nothing.
    #[n(1)]
    ResendUnverified,
}

/// The fields of an event that tell who it was about, encrypted under keys of these people's own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Encrypted {
    /// About whoever stood at the door.
    #[n(0)]
    pub person: Option<SealedPart>,
    /// About the helper whose word it is.
    #[n(1)]
    pub helper: Option<SealedPart>,
}

/// Encrypted fields about one person.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SealedPart {
    /// The person's number in the vault of keys, which alone knows whose it is.
    #[n(0)]
    pub of: u64,
    /// The fields.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// What was received of a door.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A scan.
    #[n(0)]
    Scan(#[n(0)] ScanRecord),
    /// A payload that is no scan.
    #[n(1)]
    Malformed(#[n(0)] MalformedScan),
    /// A helper's word.
    #[n(2)]
    Assist(#[n(0)] AssistRecord),
}

/// A scan without what was shown: that is kept only as a keyed hash.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScanRecord {
    /// Which scan of its door this is.
    #[n(0)]
    #[serde(flatten)]
    pub id: ScanId,
    /// The reader's clock when it saw the credential.
    #[n(1)]
    pub scanned_at: Instant,
    /// Which way the person wanted to go.
    #[n(2)]
    pub direction: Direction,
    /// The credential.
    #[n(3)]
    pub credential: CredentialHash,
    /// How far the reader's clock can be trusted.
    #[n(4)]
    pub clock: ClockQuality,
    /// What kind of credential it is.
    #[n(5)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<CredentialKind>,
    /// The pass, where a genuine one was shown.
    #[n(6)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<PassRecord>,
}

/// A genuine pass, as far as it must be recognised when it is shown again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PassRecord {
    /// Keyed hash of the issuer and the pass's id: the same however the pass is encoded.
    #[n(0)]
    pub id: CredentialHash,
    /// Until when a pass that admits once must be remembered; absent for a pass that admits as often as it is shown.
    #[n(1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_time_until: Option<Instant>,
}

/// A payload that is no scan, kept so that its sender can be mended.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MalformedScan {
    /// Which scan it would have been, where that much was readable.
    #[n(0)]
    #[serde(flatten)]
    pub id: Option<ScanId>,
    /// Length of the payload, in bytes.
    #[n(1)]
    pub payload_bytes: u32,
    /// Its first [`MALFORMED_BYTES_KEPT`] bytes. Not in JSON: they may hold personal data.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    #[serde(skip)]
    pub payload_head: Vec<u8>,
    /// What is wrong with it, for people; repeats nothing of the credential.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Which way the person wanted to go, where that was readable.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The reader's clock when it saw the credential, where that was readable.
    #[n(5)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned_at: Option<Instant>,
    /// How far the reader's clock can be trusted, where its time was readable.
    #[n(6)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockQuality>,
    /// Keyed hash of the payload, by which it is recognised when it is sent again. Not in JSON.
    #[n(7)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    #[serde(skip)]
    pub payload_hash: Option<CredentialHash>,
}

/// A helper's word: who lets whom through, or not, and why.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AssistRecord {
    /// What the helper does.
    #[n(0)]
    pub action: AssistAction,
    /// The helper's own name.
    #[n(1)]
    pub helper: String,
    /// Why.
    #[n(2)]
    pub reason: String,
    /// The directory's id of the person, as the helper has named it; absent when unknown.
    #[n(3)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The scan that it answers; absent when there was none.
    #[n(4)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnsweredScan>,
    /// Which way the person goes.
    #[n(5)]
    pub direction: Direction,
    /// The name of the certificate or token that it came with.
    #[n(6)]
    pub device: DoorId,
    /// The way it came.
    #[n(7)]
    pub via: Via,
    /// What tells it from every other word of the device; absent where the helper has not said.
    #[n(8)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What was shown in the scan that it answers.
    #[n(9)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialHash>,
    /// The pass that was shown in it.
    #[n(10)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<PassRecord>,
}

/// The scan that a helper's word answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnsweredScan {
    /// Which scan of the door.
    #[n(0)]
    #[serde(flatten)]
    pub id: ScanId,
    /// The event that keeps it; absent when no such scan waited for a helper.
    #[n(1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
}

/// The way by which a helper's word came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Via {
    /// From a device with a certificate.
    #[n(0)]
    Mqtt,
    /// With an access token.
    #[n(1)]
    Http,
}

/// What was decided, and on what grounds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verdict {
    /// What the door was answered.
    #[n(0)]
    pub outcome: Outcome,
    /// Whether the door was told to open.
    #[n(1)]
    pub open: bool,
    /// Why, as a stable word.
    #[n(2)]
    pub reason: String,
    /// Why, for the door's display.
    #[n(3)]
    pub text: Text,
    /// The mode of the door.
    #[n(4)]
    pub mode: Mode,
    /// What the policy would have decided, where the outcome does not follow it (observing doors, late scans).
    #[n(5)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_be: Option<Outcome>,
    /// The directory's id of the person, where one was found.
    #[n(6)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The person's class.
    #[n(7)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<PersonClass>,
    /// The person's health status.
    #[n(8)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<HealthStatus>,
    /// Ids of the policies that decided.
    #[n(9)]
    pub policies: Vec<String>,
    /// Hash of the policy set, `b3:` and hexadecimal digits; absent where no policy was asked.
    #[n(10)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_set: Option<String>,
    /// The zone that the door leads into.
    #[n(11)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What a candidate for the next policy set would have decided, where one was tried.
    #[n(12)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowVerdict>,
    /// The person's language, where it is known.
    #[n(13)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
}

/// What a candidate policy set says of a scan; it never binds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShadowVerdict {
    /// Hash of the candidate, `b3:` and hexadecimal digits.
    #[n(0)]
    pub policy_set: String,
    /// `granted`, `denied` or `assist`.
    #[n(1)]
    pub outcome: Outcome,
    /// Why, as a stable word.
    #[n(2)]
    pub reason: String,
}

/// Keyed BLAKE3 hash of a credential, the first 16 bytes: tells credentials apart without telling what they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct CredentialHash(
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub [u8; 16],
);

/// Which kind of person a credential belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cbor(index_only)]
pub enum PersonClass {
    /// Civil servant (*aparatur sipil negara*).
    #[n(0)]
    #[serde(rename = "asn")]
    Asn,
    /// Contract staff.
    #[n(1)]
    #[serde(rename = "non-asn")]
    NonAsn,
    /// Visitor.
    #[n(2)]
    #[serde(rename = "visitor")]
    Visitor,
}

/// What kind of credential was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum CredentialKind {
    /// A static code that the directory may know.
    #[n(0)]
    Badge,
    /// An ID number, typed in for a person without a phone.
    #[n(1)]
    IdNumber,
    /// A signed pass of the site's own kind.
    #[n(2)]
    Pass,
    /// A signed health certificate.
    #[n(3)]
    HealthCertificate,
}

/// How far a reader's clock can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum ClockQuality {
    /// Within the tolerance of the gateway's clock.
    #[n(0)]
    Good,
    /// Ahead of the gateway's clock.
    #[n(1)]
    Ahead,
    /// Behind the gateway's clock.
    #[n(2)]
    Behind,
    /// The reader has not told its time since it connected.
    #[n(3)]
    Unknown,
    /// The time that it told is none that a reader of this site can have: the time of arrival stands in its place.
    #[n(4)]
    Doubtful,
}

impl Event {
    /// Which scan of its door the event keeps, where that was readable. A helper's word is none, although it may answer one.
    pub fn scan_id(&self) -> Option<ScanId> {
        match &self.subject {
            EventKind::Scan(scan) => Some(scan.id),
            EventKind::Malformed(malformed) => malformed.id,
            EventKind::Assist(_) => None,
        }
    }

    /// When it happened, by the gateway's clock: see [`Event::happened_at`].
    pub fn when(&self) -> Instant {
        self.happened_at.unwrap_or_else(|| match &self.subject {
            EventKind::Scan(scan) if self.verdict.outcome == Outcome::Recorded && !self.verdict.open => {
                scan.scanned_at.min(self.received_at)
            }
            _ => self.decided_at,
        })
    }

    /// Whether it is marked as `mark`.
    pub fn is_marked(&self, mark: Mark) -> bool {
        self.marks.0.contains(&mark)
    }

    /// Whether it does not tell any more who stood at the door, because that person's keys were destroyed.
    pub fn is_erased(&self) -> bool {
        self.encrypted.as_ref().is_some_and(|encrypted| encrypted.person.is_some())
    }
}

impl Marks {
    /// Whether there is nothing remarkable.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<C> Encode<C> for Marks {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        self.0.encode(e, context)
    }

    fn is_nil(&self) -> bool {
        self.is_empty()
    }
}

impl<'b, C> Decode<'b, C> for Marks {
    fn decode(d: &mut minicbor::Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        Vec::decode(d, context).map(Self)
    }

    fn nil() -> Option<Self> {
        Some(Self::default())
    }
}

impl MalformedScan {
    /// What is kept of a payload of `bytes` bytes that begins with `head` and is no scan, as `error` says.
    pub fn new(error: ScanError, bytes: usize, head: &[u8]) -> Self {
        Self {
            id: error.id,
            payload_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            payload_head: head.iter().take(MALFORMED_BYTES_KEPT).copied().collect(),
            fault: Some(error.error.message),
            direction: error.direction,
            scanned_at: error.scanned_at,
            clock: None,
            payload_hash: None,
        }
    }
}

impl Mark {
    /// The mark as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NumberReused => "number-reused",
            Self::ResendUnverified => "resend-unverified",
        }
    }
}

impl CredentialHash {
    /// Stands in an event in place of a credential that is encrypted.
    pub const SEALED: Self = Self([0; 16]);
}

impl Verdict {
    /// A verdict of the gateway's own, about nobody and of no policy: it binds, and the door opens when it grants.
    pub fn own(outcome: Outcome, reason: impl Into<String>, text: Text) -> Self {
        Self {
            outcome,
            open: outcome == Outcome::Granted,
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

    /// The same verdict, which only records and opens nothing, for this reason.
    #[must_use]
    pub fn recorded_only(self, reason: &str) -> Self {
        let would_be = (self.outcome != Outcome::Recorded).then_some(self.outcome).or(self.would_be);
        let text = Text::new("Hanya dicatat, silakan pindai lagi", "Recorded only, please scan again");
        Self { outcome: Outcome::Recorded, open: false, reason: reason.into(), text, would_be, ..self }
    }

    /// What the policy said: the outcome, unless the door's mode or the scan's age made something else of it.
    pub fn judged(&self) -> Outcome {
        self.would_be.unwrap_or(self.outcome)
    }

    /// Whether the door opened although the policy would not let the person in, and its display warns of that.
    pub fn is_warning(&self) -> bool {
        self.mode == Mode::Warn && self.open && self.judged() != Outcome::Granted
    }
}

impl CredentialKind {
    /// The kind as it stands in JSON and policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Badge => "badge",
            Self::IdNumber => "id-number",
            Self::Pass => "pass",
            Self::HealthCertificate => "health-certificate",
        }
    }
}

impl PersonClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Asn, Self::NonAsn, Self::Visitor];

    /// The class as it stands in JSON, imports and policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asn => "asn",
            Self::NonAsn => "non-asn",
            Self::Visitor => "visitor",
        }
    }
}

impl fmt::Debug for AssistRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssistRecord")
            .field("action", &self.action)
            .field("answers", &self.answers)
            .field("device", &self.device)
            .field("via", &self.via)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SealedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedPart").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for MalformedScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MalformedScan")
            .field("id", &self.id)
            .field("payload_bytes", &self.payload_bytes)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CredentialHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CredentialHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for CredentialHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CredentialHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = if digits { u128::from_str_radix(&text, 16).ok() } else { None };
        // The text may be anything, so it is not repeated.
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| {
            serde::de::Error::invalid_value(serde::de::Unexpected::Other("other text"), &"32 hexadecimal digits")
        })
    }
}

/// Encrypted fields mean nothing to anybody else.
fn erased<S: serde::Serializer>(_: &Option<Encrypted>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(true)
}

/// What was encrypted does not travel: that it was is all that JSON tells.
fn was_erased<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Encrypted>, D::Error> {
    let erased = Option::<bool>::deserialize(deserializer)?.unwrap_or_default();
    let nothing = || Encrypted { person: Some(SealedPart { of: 0, bytes: Vec::new() }), helper: None };
    Ok(erased.then(nothing))
}
