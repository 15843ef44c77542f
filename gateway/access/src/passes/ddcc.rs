//! The WHO's Digital Documentation of COVID-19 Certificates: the core data set of vaccinations and tests.
//!
//! The WHO publishes the data set as a logical model, and leaves its CBOR form to the implementers: names are those of
//! the model, a coded value is a text or a map with `code`, an identifier a text or a map with `value`.

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
    let valid_until = period.field("end").or_else(|| period.field("validUntil")).and_then(moment_or_day);
    let statement = match (core.field("vaccination"), core.field("test")) {
        (Some(value), None) => Statement::Vaccination(vaccination(value)?),
        (None, Some(value)) => Statement::Test(test(value)?),
        _ => return Err(Refusal::claims("there is not exactly one of vaccination and test")),
    };
    let birth_date = core.field("birthDate").and_then(day).map(|day| day.to_string()).unwrap_or_default();
    let holder = Holder { standard_name: String::new(), name, birth_date, certificate_id: id };
    Ok(Attested { holder, statement, valid_until })
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
    Ok(Test {
        disease: None,
        kind: match required("type")?.as_str() {
            "LP6464-4" | "94500-6" => TestKind::Naat,
            "LP217198-3" | "94558-4" => TestKind::Antigen,
            _ => TestKind::Other,
        },
        sampled: value.field("sampleDate").and_then(moment_or_day).ok_or_else(|| missing("sampleDate"))?,
        result: match required("result")?.as_str() {
            "260373001" => TestResult::Positive,
            "260415000" => TestResult::Negative,
            _ => TestResult::Other,
        },
        country: required("country")?,
    })
}

fn moment_or_day(value: &Value<'_>) -> Option<Instant> {
    moment(value).or_else(|| midnight(day(value)?))
}

/// A text, or the code or value of a map.
fn coded(value: &Value<'_>, field: &str) -> Option<String> {
    let value = value.field(field)?;
    let text = value.text().or_else(|| value.field("code")?.text()).or_else(|| value.field("value")?.text())?;
    (1..=TEXT_CHARS_MAX).contains(&text.chars().count()).then(|| text.to_owned())
}
