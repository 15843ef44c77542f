//! The WHO's Digital Documentation of COVID-19 Certificates: the core data set of vaccinations and tests.
//!
//! The WHO publishes the data set as a logical model, and leaves its CBOR form to the implementers: names are those of
//! the model, a coded value is a text or a map with `code`, an identifier a text or a map with `value`.

use jiff::Span;
use protocol::Instant;

use super::cbor::Value;
use super::claims::{Attested, Holder, Statement, Test, TestKind, TestResult, Vaccination};
use super::dcc::{TEXT_CHARS_MAX, day, midnight, moment};
use super::fault::Refusal;

/// Whether this is a core data set, rather than an EU DCC.
pub(super) fn is_core_data(value: &Value<'_>) -> bool {
    value.field("certificate").is_some() && (value.field("vaccination").is_some() || value.field("test").is_some())
}

/// Reads and validates a core data set.
pub(super) fn read(core: &Value<'_>) -> Result<Attested, Refusal> {
    let name = coded(core, "name").ok_or_else(|| Refusal::claims("name is missing or not a short text"))?;
    let certificate = core.field("certificate").unwrap_or(&Value::Null);
    let id = coded(certificate, "hcid").ok_or_else(|| Refusal::claims("certificate.hcid is missing"))?;
    let period = certificate.field("period").unwrap_or(certificate);
    let bound = |names: [&str; 2], side: Side| {
        let written = names.iter().find_map(|name| period.field(name)).filter(|value| **value != Value::Null);
        let read = |value| bound(value, side).ok_or_else(|| Refusal::claims("certificate.period is not of two dates"));
        written.map(read).transpose()
    };
    let valid_from = bound(["start", "validFrom"], Side::Begins)?;
    let valid_until = bound(["end", "validUntil"], Side::Ends)?;
    let statement = match (core.field("vaccination"), core.field("test")) {
        (Some(value), None) => Statement::Vaccination(vaccination(value)?),
        (None, Some(value)) => Statement::Test(test(value)?),
        _ => return Err(Refusal::claims("there is not exactly one of vaccination and test")),
    };
    let birth_date = core.field("birthDate").and_then(day).map(|day| day.to_string()).unwrap_or_default();
    let holder = Holder { standard_name: String::new(), name, birth_date, certificate_id: id };
    Ok(Attested { holder, statement, valid_from, valid_until })
}

fn vaccination(value: &Value<'_>) -> Result<Vaccination, Refusal> {
    let missing = |field: &str| Refusal::claims(format!("vaccination.{field} is missing or not what it should be"));
    let required = |field: &str| coded(value, field).ok_or_else(|| missing(field));
    let count = |field: &str| {
        value
            .field(field)
            .and_then(Value::integer)
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| *count > 0)
    };
    Ok(Vaccination {
        disease: coded(value, "disease"),
        vaccine: required("vaccine")?,
        product: required("brand")?,
        dose: count("dose").ok_or_else(|| missing("dose"))?,
        doses: count("totalDoses"),
        date: value.field("date").and_then(day).ok_or_else(|| missing("date"))?,
        country: required("country")?,
    })
}

fn test(value: &Value<'_>) -> Result<Test, Refusal> {
    let missing = |field: &str| Refusal::claims(format!("test.{field} is missing or not what it should be"));
    let required = |field: &str| coded(value, field).ok_or_else(|| missing(field));
    // Before the model was final, implementers wrote `sampleDate`.
    let sampled = value.field("date").or_else(|| value.field("sampleDate"));
    Ok(Test {
        disease: Some(coded(value, "pathogen").or_else(|| coded(value, "disease")).ok_or_else(|| missing("pathogen"))?),
        kind: match code(&required("type")?) {
            "1334426561" | "LP6464-4" | "94500-6" => TestKind::Naat,
            "2056159157" | "LP217198-3" | "94558-4" => TestKind::Antigen,
            _ => TestKind::Other,
        },
        sampled: sampled.and_then(moment_or_day).ok_or_else(|| missing("date"))?,
        result: match value.field("result").filter(|result| **result != Value::Null) {
            None => TestResult::Other,
            Some(_) => match code(&required("result")?) {
                "RA01.0" | "260373001" | "10828004" => TestResult::Positive,
                "QA02" | "260415000" | "260385009" => TestResult::Negative,
                _ => TestResult::Other,
            },
        },
        country: required("country")?,
    })
}

/// The code at the end of an address of the ICD-11, or the code itself.
fn code(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

fn moment_or_day(value: &Value<'_>) -> Option<Instant> {
    moment(value).or_else(|| midnight(day(value)?))
}

/// Which end of a period a date stands for.
#[derive(Clone, Copy)]
enum Side {
    Begins,
    Ends,
}

/// A bound of a period: a moment, or a year, month or day, all of which is in the period (FHIR, `Period.end`).
fn bound(value: &Value<'_>, side: Side) -> Option<Instant> {
    if let Some(moment) = moment(value) {
        return Some(moment);
    }
    let text = value.text().unwrap_or_default();
    let (first, span) = match text.len() {
        4 => (format!("{text}-01-01").parse().ok()?, Span::new().years(1)),
        7 => (format!("{text}-01").parse().ok()?, Span::new().months(1)),
        _ => (day(value)?, Span::new().days(1)),
    };
    match side {
        Side::Begins => midnight(first),
        // The end of a health certificate is its last moment.
        Side::Ends => {
            let after = midnight(first.checked_add(span).ok()?)?;
            Some(Instant::from_unix_ms(after.unix_ms().saturating_sub(1)))
        }
    }
}

/// A text, or the code or value of a map.
fn coded(value: &Value<'_>, field: &str) -> Option<String> {
    let value = value.field(field)?;
    let text = value.text().or_else(|| value.field("code")?.text()).or_else(|| value.field("value")?.text())?;
    (1..=TEXT_CHARS_MAX).contains(&text.chars().count()).then(|| text.to_owned())
}
