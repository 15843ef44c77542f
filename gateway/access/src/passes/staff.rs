//! The claims of a staff or visitor pass (`GP1:`), written and read.

use protocol::{HealthStatus, Instant, PersonClass};

use super::cbor::{self, Value};
use super::claims::{Claims, hex, id_of};
use super::cose::{Sign1, encoded};
use super::fault::Refusal;

/// Registered claims (RFC 8392).
pub(super) const ISSUER: i64 = 1;
pub(super) const SUBJECT: i64 = 2;
pub(super) const AUDIENCE: i64 = 3;
pub(super) const EXPIRES: i64 = 4;
pub(super) const NOT_BEFORE: i64 = 5;
pub(super) const ISSUED: i64 = 6;
pub(super) const ID: i64 = 7;

/// Private claims: RFC 8392 leaves the labels below -65536 to whoever agrees on them.
pub(super) const STATUS: i64 = -70001;
pub(super) const STATUS_SINCE: i64 = -70002;
pub(super) const CLASS: i64 = -70003;
pub(super) const OPD: i64 = -70004;
pub(super) const ONE_TIME: i64 = -70005;
pub(super) const HOST: i64 = -70006;

/// Longest text of a claim, in characters.
pub(super) const TEXT_CHARS_MAX: usize = 64;

/// Shortest and longest id, in bytes.
pub(super) const ID_BYTES: std::ops::RangeInclusive<usize> = 8..=32;

/// What a new pass shall say.
#[derive(Clone, PartialEq, Eq)]
pub struct NewPass {
    /// Who issues it, 1 to 64 characters.
    pub issuer: String,
    /// Whom it is for, 1 to 64 characters.
    pub subject: String,
    /// Its id among the issuer's passes, 8 to 32 bytes.
    pub id: Vec<u8>,
    /// When it is issued.
    pub issued: Instant,
    /// The first moment of its validity; absent: at once.
    pub valid_from: Option<Instant>,
    /// The first moment at which it is over.
    pub valid_until: Instant,
    /// The person's class.
    pub class: Option<PersonClass>,
    /// The person's office.
    pub opd: Option<String>,
    /// Whom a visitor visits.
    pub host: Option<String>,
    /// The person's colour, and since when.
    pub status: Option<(HealthStatus, Instant)>,
    /// Whether it lets its holder in once only.
    pub one_time: bool,
}

impl NewPass {
    /// The claims as they are signed, in ascending order of their encoding (RFC 8949, section 4.2).
    pub(super) fn payload(&self) -> Vec<u8> {
        let seconds = |moment: Instant| moment.unix_ms().div_euclid(1000);
        let place = |found: Option<usize>| found.map(|place| place as u64);
        let colour =
            self.status.and_then(|(status, _)| place(HealthStatus::ALL.iter().position(|colour| *colour == status)));
        let class = self.class.and_then(|class| place(PersonClass::ALL.iter().position(|other| *other == class)));
        let optional = [
            self.valid_from.is_some(),
            self.class.is_some(),
            self.opd.is_some(),
            self.host.is_some(),
            self.one_time,
            self.status.is_some(),
            self.status.is_some(),
        ];
        let entries = 5 + optional.iter().filter(|present| **present).count();
        encoded(|e| {
            e.map(entries as u64)?.i64(ISSUER)?.str(&self.issuer)?.i64(SUBJECT)?.str(&self.subject)?;
            e.i64(EXPIRES)?.i64(seconds(self.valid_until))?;
            if let Some(from) = self.valid_from {
                e.i64(NOT_BEFORE)?.i64(seconds(from))?;
            }
            e.i64(ISSUED)?.i64(seconds(self.issued))?.i64(ID)?.bytes(&self.id)?;
            if let (Some(colour), Some((_, since))) = (colour, self.status) {
                e.i64(STATUS)?.u64(colour)?.i64(STATUS_SINCE)?.i64(seconds(since))?;
            }
            if let Some(class) = class {
                e.i64(CLASS)?.u64(class)?;
            }
            if let Some(opd) = &self.opd {
                e.i64(OPD)?.str(opd)?;
            }
            if self.one_time {
                e.i64(ONE_TIME)?.bool(true)?;
            }
            if let Some(host) = &self.host {
                e.i64(HOST)?.str(host)?;
            }
            Ok(())
        })
    }
}

/// The claims of a signed staff pass. Claims that are unknown here are passed over, as RFC 8392 asks.
pub(super) fn read(message: &Sign1) -> Result<Claims, Refusal> {
    let payload = cbor::parse(&message.payload)?;
    if payload.map().is_none() {
        return Err(Refusal::malformed("the claims are no map"));
    }
    if payload.at(AUDIENCE).is_some() {
        return Err(Refusal::claims("the pass is for another audience (claim 3)"));
    }
    let issuer = text(&payload, ISSUER, "issuer")?.ok_or_else(|| Refusal::claims("the issuer (claim 1) is missing"))?;
    let subject = text(&payload, SUBJECT, "subject")?;
    let subject = subject.ok_or_else(|| Refusal::claims("the subject (claim 2) is missing"))?;
    let valid_until = moment(&payload, EXPIRES)?.ok_or_else(|| Refusal::claims("the end (claim 4) is missing"))?;
    let (not_before, issued) = (moment(&payload, NOT_BEFORE)?, moment(&payload, ISSUED)?);
    let id = payload.at(ID).and_then(Value::bytes).filter(|id| ID_BYTES.contains(&id.len()));
    let id = id.ok_or_else(|| Refusal::claims("the id (claim 7) is missing or not 8 to 32 bytes long"))?;
    let status = one_of(&payload, STATUS, &HealthStatus::ALL)?;
    let status_since = moment(&payload, STATUS_SINCE)?;
    let one_time = match payload.at(ONE_TIME) {
        None => false,
        Some(Value::Bool(one_time)) => *one_time,
        Some(_) => return Err(Refusal::claims(format!("claim {ONE_TIME} is neither true nor false"))),
    };
    Ok(Claims {
        id: id_of("gapura pass", &[issuer.as_bytes(), id]),
        issuer,
        subject: Some(subject),
        class: one_of(&payload, CLASS, &PersonClass::ALL)?,
        opd: text(&payload, OPD, "office")?,
        host: text(&payload, HOST, "host")?,
        status_since: status.and(status_since.or(issued)),
        status,
        issued,
        valid_from: not_before.max(issued),
        valid_until,
        one_time,
        key_id: hex(&message.key_id),
        algorithm: message.algorithm.as_str(),
        issued_id: Some(hex(id)),
        statement: None,
        holder: None,
    })
}

fn text(payload: &Value<'_>, label: i64, name: &str) -> Result<Option<String>, Refusal> {
    let Some(value) = payload.at(label) else { return Ok(None) };
    let text = value.text().filter(|text| is_short_text(text));
    let text = text.ok_or_else(|| {
        Refusal::claims(format!("the {name} (claim {label}) is not a text of 1 to {TEXT_CHARS_MAX} characters"))
    })?;
    Ok(Some(text.to_owned()))
}

/// Whether a text may stand in a claim.
pub(super) fn is_short_text(text: &str) -> bool {
    (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Seconds since 1970; staff passes write them as integers only.
fn moment(payload: &Value<'_>, label: i64) -> Result<Option<Instant>, Refusal> {
    match payload.at(label) {
        None => Ok(None),
        Some(value @ Value::Int(_)) if value.numeric_date_ms().is_some() => {
            Ok(value.numeric_date_ms().map(Instant::from_unix_ms))
        }
        Some(_) => Err(Refusal::claims(format!("claim {label} is not a number of seconds since 1970"))),
    }
}

fn one_of<T: Copy>(payload: &Value<'_>, label: i64, choices: &[T]) -> Result<Option<T>, Refusal> {
    let Some(value) = payload.at(label) else { return Ok(None) };
    let chosen = match value {
        Value::Int(place) => usize::try_from(*place).ok().and_then(|place| choices.get(place)),
        _ => None,
    };
    let wrong = || Refusal::claims(format!("claim {label} is not a number from 0 to {}", choices.len() - 1));
    chosen.copied().map(Some).ok_or_else(wrong)
}
