//! The claims of a health certificate (`HC1:`): the CBOR web token around the EU's or the WHO's statement.

use protocol::Instant;

use super::cbor::{self, Value};
use super::claims::{Attested, Claims, Statement, hex, id_of};
use super::cose::Sign1;
use super::fault::Refusal;
use super::keys::Usage;
use super::staff::{AUDIENCE, EXPIRES, ISSUED, ISSUER, NOT_BEFORE};
use super::{dcc, ddcc};

/// The claim that holds the health certificate.
const HEALTH_CERTIFICATE: i64 = -260;

/// The entry of that claim for the EU DCC.
const EU_DCC: i64 = 1;

/// The tag of a CBOR web token, which some issuers put inside the signature.
const CWT: u64 = 61;

/// The claims of a signed health certificate. Its colour is not among them: that depends on rules and time.
pub(super) fn read(message: &Sign1) -> Result<Claims, Refusal> {
    let mut payload = cbor::parse(&message.payload)?;
    if let Value::Tag(CWT, inner) = payload {
        payload = *inner;
    }
    if payload.map().is_none() {
        return Err(Refusal::malformed("the claims are no map"));
    }
    // Nobody here goes by the name of an audience (RFC 8392, 3.1.3).
    if payload.at(AUDIENCE).is_some_and(|audience| *audience != Value::Null) {
        return Err(Refusal::claims("it is for another audience (claim 3)"));
    }
    let moment = |label| match payload.at(label) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.numeric_date_ms() {
            Some(ms) => Ok(Some(Instant::from_unix_ms(ms))),
            None => Err(Refusal::claims(format!("claim {label} is not a number of seconds since 1970"))),
        },
    };
    let (expires, not_before, issued) = (moment(EXPIRES)?, moment(NOT_BEFORE)?, moment(ISSUED)?);
    let attested = attested(payload.at(HEALTH_CERTIFICATE).unwrap_or(&Value::Null), issued)?;
    // The statement's own period and the web token's are both to hold.
    let valid_until = expires.into_iter().chain(attested.valid_until).min();
    let valid_until = valid_until.ok_or_else(|| Refusal::claims("the end (claim 4) is missing"))?;
    let issuer = match payload.at(ISSUER) {
        Some(Value::Text(issuer)) if issuer.chars().count() <= dcc::TEXT_CHARS_MAX => issuer.to_string(),
        None | Some(Value::Null) => attested.statement.country().to_owned(),
        Some(_) => return Err(Refusal::claims("the issuer (claim 1) is not a short text")),
    };
    Ok(Claims {
        id: id_of("health certificate", &[attested.holder.certificate_id.as_bytes()]),
        issuer,
        subject: None,
        class: None,
        opd: None,
        host: None,
        status: None,
        status_since: attested.statement.since(),
        issued,
        valid_from: not_before.max(issued).max(attested.valid_from),
        valid_until,
        one_time: false,
        key_id: hex(&message.key_id),
        algorithm: message.algorithm.as_str(),
        issued_id: None,
        statement: Some(attested.statement),
        holder: Some(attested.holder),
    })
}

fn attested(claim: &Value<'_>, issued: Option<Instant>) -> Result<Attested, Refusal> {
    let entries = claim.map().ok_or_else(|| Refusal::claims("the health certificate (claim -260) is missing"))?;
    if let Some((_, core_data)) = entries.iter().find(|(_, value)| ddcc::is_core_data(value)) {
        return ddcc::read(core_data);
    }
    let dcc = claim.at(EU_DCC).ok_or_else(|| Refusal::claims("claim -260 holds no EU DCC (entry 1)"))?;
    dcc::read(dcc, issued)
}

impl Statement {
    /// Which signers may make it.
    pub(super) const fn usage(&self) -> Usage {
        match self {
            Self::Vaccination(_) => Usage::VACCINATION,
            Self::Test(_) => Usage::TEST,
            Self::Recovery(_) => Usage::RECOVERY,
        }
    }

    fn country(&self) -> &str {
        match self {
            Self::Vaccination(vaccination) => &vaccination.country,
            Self::Test(test) => &test.country,
            Self::Recovery(recovery) => &recovery.country,
        }
    }

    /// When what it attests happened; days begin at midnight UTC.
    pub(super) fn since(&self) -> Option<Instant> {
        match self {
            Self::Vaccination(vaccination) => dcc::midnight(vaccination.date),
            Self::Test(test) => Some(test.sampled),
            Self::Recovery(recovery) => dcc::midnight(recovery.first_positive),
        }
    }
}
