//! Reading a request's parameters: what is wrong is named with what is allowed. A person's id is never repeated.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::civil::Date;
use protocol::Instant;

use crate::problem::{ProblemDetails, shown};
use store::audit::{PERSON_CHARS_MAX, PURPOSE_CHARS_MAX};

/// Most days that one answer about attendance covers.
const DAYS_MAX: i32 = 92;

/// One of these words, and what it stands for.
pub(super) fn choice<T: Copy>(
    name: &str,
    value: Option<String>,
    words: &[(&str, T)],
) -> Result<Option<T>, ProblemDetails> {
    let Some(text) = value else { return Ok(None) };
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.map(Some).ok_or_else(|| {
        let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        ProblemDetails::bad_query(format!("{name} is {}, allowed are {}", shown(&text), allowed.join(", ")))
    })
}

/// A number in its range.
pub(super) fn number<T: FromStr + PartialOrd + Display>(
    name: &str,
    value: Option<String>,
    range: RangeInclusive<T>,
) -> Result<Option<T>, ProblemDetails> {
    let Some(text) = value else { return Ok(None) };
    text.parse().ok().filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
        let (start, end) = (range.start(), range.end());
        ProblemDetails::bad_query(format!("{name} is {}, allowed are {start} to {end}", shown(&text)))
    })
}

/// The number of an event or look, behind which a page begins; 0 for the beginning.
pub(super) fn after(value: Option<String>, of: &str) -> Result<u64, ProblemDetails> {
    let Some(text) = value else { return Ok(0) };
    text.parse().map_err(|_| {
        ProblemDetails::bad_query(format!("after is {}, allowed is {of} number, 0 for the first", shown(&text)))
    })
}

/// A moment in RFC 3339.
pub(super) fn moment(name: &str, value: Option<String>) -> Result<Option<Instant>, ProblemDetails> {
    let Some(text) = value else { return Ok(None) };
    // A plus that was not escaped arrives as a space.
    let parsed = text.parse::<Instant>().or_else(|_| text.replace(' ', "+").parse());
    parsed.map(Some).map_err(|_| {
        let detail = format!("{name} is {}, allowed is a moment like 2026-11-23T07:31:04+08:00", shown(&text));
        ProblemDetails::bad_query(detail)
    })
}

/// A day, such as 2026-11-23.
pub(super) fn day(name: &str, value: Option<String>) -> Result<Option<Date>, ProblemDetails> {
    let Some(text) = value else { return Ok(None) };
    let parsed = if text.len() == 10 { text.parse::<Date>().ok() } else { None };
    parsed.map(Some).ok_or_else(|| {
        ProblemDetails::bad_query(format!("{name} is {}, allowed is a day like 2026-11-23", shown(&text)))
    })
}

/// The first and the last day, today where nothing else is said.
pub(super) fn days(from: Option<String>, to: Option<String>, today: Date) -> Result<(Date, Date), ProblemDetails> {
    let from = day("from", from)?.unwrap_or(today);
    let to = day("to", to)?.unwrap_or(from);
    let days = from.until(to).map_or(i32::MAX, |span| span.get_days()).saturating_add(1);
    if (1..=DAYS_MAX).contains(&days) {
        return Ok((from, to));
    }
    let detail = format!("from {from} to {to} is not allowed: to is not before from, and at most {DAYS_MAX} days are");
    Err(ProblemDetails::bad_query(detail))
}

/// Moments in their order, the first before the second.
pub(super) fn in_order(from: Option<Instant>, to: Option<Instant>) -> Result<(), ProblemDetails> {
    match (from, to) {
        (Some(from), Some(to)) if from >= to => {
            Err(ProblemDetails::bad_query(format!("to is {to}, allowed is what comes after from, which is {from}")))
        }
        _ => Ok(()),
    }
}

/// What must be there.
pub(super) fn needed<T>(name: &str, value: Option<T>, allowed: &str) -> Result<T, ProblemDetails> {
    value.ok_or_else(|| ProblemDetails::bad_query(format!("{name} is missing, it must be {allowed}")))
}

/// The id of a person. It is not repeated when it is wrong.
pub(super) fn person(value: Option<String>) -> Result<Option<String>, ProblemDetails> {
    bounded("person", value, "an id", PERSON_CHARS_MAX)
}

/// Why somebody looks, where that must be said.
pub(super) fn purpose_needed(value: Option<String>) -> Result<(), ProblemDetails> {
    let purpose = needed("purpose", value, &format!("why you look, 1 to {PURPOSE_CHARS_MAX} characters"))?;
    purpose_allowed(Some(purpose))
}

/// Why somebody looks, where that may be said.
pub(super) fn purpose_allowed(value: Option<String>) -> Result<(), ProblemDetails> {
    bounded("purpose", value, "why you look", PURPOSE_CHARS_MAX).map(drop)
}

fn bounded(name: &str, value: Option<String>, what: &str, chars_max: usize) -> Result<Option<String>, ProblemDetails> {
    match value {
        Some(text) if text.trim().is_empty() || text.chars().count() > chars_max => {
            Err(ProblemDetails::bad_query(format!("{name} must be {what}, 1 to {chars_max} characters")))
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
            let given = |value: &str| (!value.is_empty()).then(|| value.to_owned());
            days(given(from), given(to), today).ok()
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
