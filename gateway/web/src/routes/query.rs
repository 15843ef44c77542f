//! Reading a request's parameters: what is wrong is named with what is allowed. A person's id is never repeated.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use jiff::civil::Date;
use protocol::Instant;
use protocol::api::{ATTENDANCE_DAYS_MAX, PERSON_CHARS_MAX, PURPOSE_CHARS_MAX};

use crate::problem::{Refusal, shown};

/// Longest name of a zone, a token or a reason in a query, in characters.
pub(super) const NAME_CHARS_MAX: usize = 128;

/// The largest number behind which a page can begin; what clients count with has no room for more.
const AFTER_MAX: u64 = i64::MAX as u64;

/// The values of the `known` query parameters, in that order.
pub(super) fn parameters(uri: &Uri, known: &[&str]) -> Result<Vec<Option<String>>, Refusal> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| Refusal::bad_query(format!("the query cannot be read: {error}")))?;
    let mut values = vec![None; known.len()];
    for (name, value) in pairs {
        let Some((_, slot)) = known.iter().zip(&mut values).find(|(known, _)| **known == name) else {
            let offer = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(Refusal::bad_query(format!("{} is no parameter here; known: {offer}", shown(&name))));
        };
        if slot.replace(value).is_some() {
            return Err(Refusal::bad_query(format!("{} is given twice", shown(&name))));
        }
    }
    Ok(values)
}

/// A parameter that is given or not: `?verbose`, `?verbose=true`, `?verbose=false`.
pub(super) fn switch(name: &str, value: Option<&str>) -> Result<Option<bool>, Refusal> {
    match value {
        None => Ok(None),
        Some("false" | "0") => Ok(Some(false)),
        Some("" | "true" | "1") => Ok(Some(true)),
        Some(other) => Err(Refusal::bad_query(format!("{name} is {}, allowed are true and false", shown(other)))),
    }
}

/// One of these words, and what it stands for.
pub(super) fn choice<T: Copy>(name: &str, value: Option<String>, words: &[(&str, T)]) -> Result<Option<T>, Refusal> {
    let Some(text) = value else { return Ok(None) };
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.map(Some).ok_or_else(|| {
        let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Refusal::bad_query(format!("{name} is {}, allowed are {}", shown(&text), allowed.join(", ")))
    })
}

/// A number in its range.
pub(super) fn number<T: FromStr + PartialOrd + Display>(
    name: &str,
    value: Option<String>,
    range: RangeInclusive<T>,
) -> Result<Option<T>, Refusal> {
    let Some(text) = value else { return Ok(None) };
    text.parse().ok().filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
        let (start, end) = (range.start(), range.end());
        Refusal::bad_query(format!("{name} is {}, allowed are {start} to {end}", shown(&text)))
    })
}

/// The number of an event or audit record, behind which a page begins.
pub(super) fn after(value: Option<String>, of: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = value else { return Ok(None) };
    text.parse().ok().filter(|after| *after <= AFTER_MAX).map(Some).ok_or_else(|| {
        Refusal::bad_query(format!("after is {}, allowed is {of} number, 0 for the first", shown(&text)))
    })
}

/// A moment in RFC 3339.
pub(super) fn moment(name: &str, value: Option<String>) -> Result<Option<Instant>, Refusal> {
    let Some(text) = value else { return Ok(None) };
    // A plus that was not escaped arrives as a space.
    let parsed = text.parse::<Instant>().or_else(|_| text.replace(' ', "+").parse());
    parsed.map(Some).map_err(|_| {
        let detail = format!("{name} is {}, allowed is a moment like 2026-11-23T07:31:04+08:00", shown(&text));
        Refusal::bad_query(detail)
    })
}

/// A day, such as 2026-11-23.
pub(super) fn day(name: &str, value: Option<String>) -> Result<Option<Date>, Refusal> {
    let Some(text) = value else { return Ok(None) };
    let parsed = if text.len() == 10 { text.parse::<Date>().ok() } else { None };
    parsed
        .map(Some)
        .ok_or_else(|| Refusal::bad_query(format!("{name} is {}, allowed is a day like 2026-11-23", shown(&text))))
}

/// The first and the last day, today where nothing else is said.
pub(super) fn days(from: Option<Date>, to: Option<Date>, today: Date) -> Result<(Date, Date), Refusal> {
    let from = from.unwrap_or(today);
    let to = to.unwrap_or(from);
    let days = from.until(to).map_or(i32::MAX, |span| span.get_days()).saturating_add(1);
    if (1..=ATTENDANCE_DAYS_MAX).contains(&days) {
        return Ok((from, to));
    }
    let detail = format!(
        "from {from} to {to} is not allowed: to is not before from, and at most {ATTENDANCE_DAYS_MAX} days are"
    );
    Err(Refusal::out_of_order(detail))
}

/// Moments in their order, the first before the second.
pub(super) fn in_order(from: Option<Instant>, to: Option<Instant>) -> Result<(), Refusal> {
    match (from, to) {
        (Some(from), Some(to)) if from >= to => {
            Err(Refusal::out_of_order(format!("to is {to}, allowed is what comes after from, which is {from}")))
        }
        _ => Ok(()),
    }
}

/// What must be there.
pub(super) fn needed<T>(name: &str, value: Option<T>, allowed: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::bad_query(format!("{name} is missing, it must be {allowed}")))
}

/// The id of a person. It is not repeated when it is wrong.
pub(super) fn person(value: Option<String>) -> Result<Option<String>, Refusal> {
    bounded("person", value, "an id", PERSON_CHARS_MAX)
}

/// Why somebody looks, where that must be said.
pub(super) fn purpose_needed(value: Option<String>) -> Result<String, Refusal> {
    let purpose = needed("purpose", value, &format!("why you look, 1 to {PURPOSE_CHARS_MAX} characters"))?;
    self::purpose(Some(purpose)).map(Option::unwrap_or_default)
}

/// Why somebody looks, where that may be said.
pub(super) fn purpose(value: Option<String>) -> Result<Option<String>, Refusal> {
    bounded("purpose", value, "why you look", PURPOSE_CHARS_MAX)
}

/// A name of something.
pub(super) fn name(
    parameter: &str,
    value: Option<String>,
    what: &str,
    chars_max: usize,
) -> Result<Option<String>, Refusal> {
    match value {
        Some(text) if !(1..=chars_max).contains(&text.chars().count()) => {
            Err(Refusal::bad_query(format!("{parameter} must be {what}, 1 to {chars_max} characters")))
        }
        other => Ok(other),
    }
}

fn bounded(name: &str, value: Option<String>, what: &str, chars_max: usize) -> Result<Option<String>, Refusal> {
    match value {
        Some(text) if text.trim().is_empty() || text.chars().count() > chars_max => {
            Err(Refusal::bad_query(format!("{name} must be {what}, 1 to {chars_max} characters")))
        }
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn a_moment_reads_with_any_offset_also_when_the_plus_was_not_escaped() {
        let moment = |value: &str| moment("from", text(value)).ok().flatten().map(Instant::unix_ms);
        let wanted = moment("2026-11-22T23:31:04Z");
        assert!(wanted.is_some());
        assert_eq!(moment("2026-11-23T07:31:04+08:00"), wanted);
        assert_eq!(moment("2026-11-23T07:31:04 08:00"), wanted);
        assert_eq!(moment("2026-11-23 07:31:04+08:00"), wanted);
        assert_eq!(moment("2026-11-23"), None);
    }

    #[test]
    fn days_are_today_unless_said_and_not_too_many() {
        let today = date(2026, 11, 23);
        let days = |from: &str, to: &str| {
            let given = |name, value: &str| day(name, (!value.is_empty()).then(|| value.to_owned()));
            days(given("from", from).ok()?, given("to", to).ok()?, today).ok()
        };
        assert_eq!(days("", ""), Some((today, today)));
        assert_eq!(days("2026-11-01", ""), Some((date(2026, 11, 1), date(2026, 11, 1))));
        assert_eq!(days("2026-09-01", "2026-12-01"), Some((date(2026, 9, 1), date(2026, 12, 1))));
        for (from, to) in [
            ("2026-09-01", "2026-12-02"),
            ("", "2026-11-22"),
            ("2026-13-01", ""),
            ("2026-11-23T00:00", ""),
            ("-9999-01-01", "9999-01-01"),
        ] {
            assert_eq!(days(from, to), None, "{from} {to}");
        }
    }
}
