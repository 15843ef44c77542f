//! One person as the outside writes them: in an NDJSON line, over HTTP, in an export. Here they are checked.

use jiff::civil::Date;
use jiff::tz::TimeZone;
pub use protocol::api::PersonRecord;
use protocol::{CredentialHash, HealthStatus, Instant, Language, PersonClass};
use thiserror::Error;

use super::record::Record;
use crate::CredentialKey;
use crate::credential::{ID_NUMBER, normal_id_number};
use base::file_error::FileError;
use base::nearest::nearest;

const NAME_CHARS_MAX: usize = 128;
const OPD_CHARS_MAX: usize = 256;
const HOST_CHARS_MAX: usize = 64;
const GROUPS_MAX: usize = 16;
const GROUP_BYTES_MAX: usize = 32;
const CREDENTIALS_MAX: usize = 32;
const BADGE_CHARS_MAX: usize = 256;
const ID_NUMBER_BYTES_MAX: usize = 64;
/// What a credential's hash is written behind.
const HASH: &str = "b3:";

/// A person cannot be put into the directory.
#[derive(Debug, Error)]
pub enum PersonError {
    /// A field is wrong. The reason repeats nothing of it.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Something ends before it begins.
    #[error(transparent)]
    Order(FieldError),
    /// A credential is somebody else's.
    #[error(transparent)]
    Taken(FieldError),
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] FileError),
}

/// What is wrong with which field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct FieldError {
    /// The field of [`PersonRecord`].
    pub field: &'static str,
    /// What is allowed.
    pub reason: String,
}

/// Which end of a day a date means.
#[derive(Clone, Copy)]
enum Day {
    Begins,
    Ends,
}

/// The person as the file keeps them.
pub(crate) fn check(person: &PersonRecord, key: &CredentialKey, time_zone: &TimeZone) -> Result<Record, PersonError> {
    if !is_id(&person.id) {
        return Err(wrong("id", "must be 1 to 64 of letters, digits, '.', '_' and '-'").into());
    }
    let moment = |field, text: &Option<String>, day| moment(field, text, day, time_zone);
    let class = PersonClass::ALL.into_iter().find(|class| class.as_str() == person.class.trim());
    let record = Record {
        name: text("name", &person.name, NAME_CHARS_MAX)?,
        class: class
            .ok_or_else(|| wrong("class", must_be(&person.class, &PersonClass::ALL.map(PersonClass::as_str))))?,
        opd: text("opd", &person.opd, OPD_CHARS_MAX)?.unwrap_or_default(),
        groups: checked_groups(person)?,
        status: one_of("status", &person.status, &HealthStatus::ALL.map(HealthStatus::as_str), |word| {
            HealthStatus::ALL.into_iter().find(|status| status.as_str() == word)
        })?,
        status_since: moment("status_since", &person.status_since, Day::Begins)?,
        status_until: moment("status_until", &person.status_until, Day::Ends)?,
        valid_from: moment("valid_from", &person.valid_from, Day::Begins)?,
        valid_until: moment("valid_until", &person.valid_until, Day::Ends)?,
        host: text("host", &person.host, HOST_CHARS_MAX)?,
        language: one_of("language", &person.language, &Language::ALL.map(Language::as_str), |word| {
            Language::ALL.into_iter().find(|language| language.as_str() == word)
        })?,
        credentials: checked_credentials(person, key)?,
        id_number: checked_id_number(person, key)?,
    };
    for (field, from, until) in [
        ("status_until", record.status_since, record.status_until),
        ("valid_until", record.valid_from, record.valid_until),
    ] {
        if from.zip(until).is_some_and(|(from, until)| until < from) {
            return Err(PersonError::Order(wrong(field, "must not lie before it begins")));
        }
    }
    Ok(record)
}

/// The person whom the file keeps as `record`.
pub(crate) fn shown(id: &str, record: &Record) -> PersonRecord {
    let moment = |moment: Option<Instant>| moment.map(|moment| moment.to_string());
    PersonRecord {
        id: id.into(),
        name: record.name.clone(),
        class: record.class.as_str().into(),
        opd: Some(record.opd.clone()).filter(|opd| !opd.is_empty()),
        groups: record.groups.clone().unwrap_or_default(),
        status: record.status.map(|status| status.as_str().into()),
        status_since: moment(record.status_since),
        status_until: moment(record.status_until),
        valid_from: moment(record.valid_from),
        valid_until: moment(record.valid_until),
        host: record.host.clone(),
        language: record.language.map(|language| language.as_str().into()),
        badges: Vec::new(),
        id_number: record.id_number.as_ref().map(written),
        credentials: record.credentials.iter().map(written).collect(),
    }
}

/// Which field gave this credential to `record`.
pub(crate) fn field_of(person: &PersonRecord, record: &Record, credential: &CredentialHash) -> &'static str {
    match record.id_number {
        Some(id_number) if id_number == *credential => "id_number",
        _ if person.badges.is_empty() => "credentials",
        _ => "badges",
    }
}

fn checked_groups(person: &PersonRecord) -> Result<Option<Vec<String>>, FieldError> {
    let mut groups: Vec<String> = words(&person.groups).map(Into::into).collect();
    groups.sort_unstable();
    groups.dedup();
    let good = |group: &String| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        group.len() <= GROUP_BYTES_MAX && group.bytes().all(allowed)
    };
    if groups.len() > GROUPS_MAX || !groups.iter().all(good) {
        let reason = format!("may be {GROUPS_MAX} words of 1 to {GROUP_BYTES_MAX} of a-z, 0-9, '_' and '-'");
        return Err(wrong("groups", reason));
    }
    Ok(Some(groups).filter(|groups| !groups.is_empty()))
}

fn checked_credentials(person: &PersonRecord, key: &CredentialKey) -> Result<Vec<CredentialHash>, FieldError> {
    let mut credentials = Vec::with_capacity(person.badges.len() + person.credentials.len());
    for badge in words(&person.badges) {
        if protocol::normal_code(badge).is_empty() {
            return Err(wrong("badges", "a badge's code has nothing but what scanners put around one"));
        }
        if badge.chars().count() > BADGE_CHARS_MAX {
            return Err(wrong("badges", format!("a badge's code may have {BADGE_CHARS_MAX} characters")));
        }
        credentials.push(key.hash(badge));
    }
    for hash in words(&person.credentials) {
        let form = "must be b3: and 32 hexadecimal digits, as an export has them";
        credentials.push(read_hash(hash).ok_or_else(|| wrong("credentials", form))?);
    }
    credentials.sort_unstable();
    credentials.dedup();
    if credentials.len() > CREDENTIALS_MAX {
        let field = if person.badges.is_empty() { "credentials" } else { "badges" };
        return Err(wrong(field, format!("may be {CREDENTIALS_MAX} for one person")));
    }
    Ok(credentials)
}

fn checked_id_number(person: &PersonRecord, key: &CredentialKey) -> Result<Option<CredentialHash>, FieldError> {
    let Some(number) = filled(&person.id_number) else { return Ok(None) };
    if number.starts_with(HASH) {
        let hash = read_hash(number);
        return hash
            .map(Some)
            .ok_or_else(|| wrong("id_number", "is no hash of an export: b3: and 32 hexadecimal digits"));
    }
    let prefix = number.split_at_checked(ID_NUMBER.len());
    let bare = prefix.filter(|(prefix, _)| prefix.eq_ignore_ascii_case(ID_NUMBER)).map_or(number, |(_, bare)| bare);
    let bare = normal_id_number(bare);
    if !(1..=ID_NUMBER_BYTES_MAX).contains(&bare.len()) || !bare.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let reason =
            format!("must be 1 to {ID_NUMBER_BYTES_MAX} letters and digits; spaces, dots and dashes do not count");
        return Err(wrong("id_number", reason));
    }
    Ok(Some(key.hash(&format!("{ID_NUMBER}{bare}"))))
}

/// Whether this can be a person's id.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn wrong(field: &'static str, reason: impl Into<String>) -> FieldError {
    FieldError { field, reason: reason.into() }
}

/// Without the space around it, and not empty.
fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

fn words(list: &[String]) -> impl Iterator<Item = &str> {
    list.iter().map(|word| word.trim()).filter(|word| !word.is_empty())
}

fn text(field: &'static str, text: &Option<String>, chars_max: usize) -> Result<Option<String>, FieldError> {
    match filled(text) {
        Some(text) if text.chars().count() > chars_max => Err(wrong(field, format!("may have {chars_max} characters"))),
        text => Ok(text.map(Into::into)),
    }
}

fn one_of<T>(
    field: &'static str,
    text: &Option<String>,
    known: &[&str],
    find: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, FieldError> {
    let found =
        filled(text).map(|word| find(word).ok_or_else(|| wrong(field, must_be(word, &[known, &["empty"]].concat()))));
    found.transpose()
}

/// What a word must be that is none of those that are known.
fn must_be(word: &str, known: &[&str]) -> String {
    let near = nearest(word, known.iter().copied()).map(|near| format!("; the nearest is {near}")).unwrap_or_default();
    match known {
        [first @ .., last] if !first.is_empty() => format!("must be {} or {last}{near}", first.join(", ")),
        _ => format!("must be {}{near}", known.join("")),
    }
}

/// A moment, or an end of a day.
fn moment(
    field: &'static str,
    text: &Option<String>,
    day: Day,
    time_zone: &TimeZone,
) -> Result<Option<Instant>, FieldError> {
    let Some(text) = filled(text) else { return Ok(None) };
    let form = "must be a date like 2026-12-31, a moment like 2026-12-31T16:00:00+08:00, or empty";
    let moment = text.parse().ok().or_else(|| end_of_day(text, day, time_zone));
    moment.map(Some).ok_or_else(|| wrong(field, form))
}

fn end_of_day(text: &str, day: Day, time_zone: &TimeZone) -> Option<Instant> {
    // A date's parser takes a time behind it and forgets it.
    let date: Date = text.parse().ok().filter(|_| text.len() == "2026-12-31".len())?;
    let begins = |date: Date| Some(Instant::from(date.to_zoned_datetime(time_zone.clone()).ok()?.timestamp()));
    match day {
        Day::Begins => begins(date),
        Day::Ends => Some(Instant::from_unix_ms(begins(date.tomorrow().ok()?)?.unix_ms() - 1)),
    }
}

fn written(hash: &CredentialHash) -> String {
    format!("{HASH}{hash}")
}

fn read_hash(text: &str) -> Option<CredentialHash> {
    let digits = text.strip_prefix(HASH).filter(|digits| digits.len() == 32)?;
    let number = digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u128::from_str_radix(digits, 16))?;
    number.ok().map(|number| CredentialHash(number.to_be_bytes()))
}
