//! Times on the command line: read and shown in the site's time zone.

use anyhow::{Result, anyhow};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use protocol::Instant;

/// The site's time zone.
#[derive(Clone)]
pub(super) struct Zone(pub(super) TimeZone);

/// What a day without a time means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// Its first moment.
    Begins,
    /// The first moment of the next day.
    Ends,
}

impl Zone {
    /// The moment that the argument `name` says: RFC 3339, or a day or time of the site.
    ///
    /// # Errors
    /// Says which argument is no time, and what is allowed.
    pub(super) fn moment(&self, name: &str, text: Option<&str>, whole: Whole) -> Result<Option<Instant>> {
        text.map(|text| {
            let moment = self.read(text, whole);
            moment.ok_or_else(|| {
                let zone = self.0.iana_name().unwrap_or("the site's time zone");
                anyhow!(
                    "{name} is {text:?}: it must be a day like 2026-11-23 or a time like 2026-11-23T07:30, both in {zone}, \
                     or a time with its offset like 2026-11-23T07:30:00+08:00"
                )
            })
        })
        .transpose()
    }

    fn read(&self, text: &str, whole: Whole) -> Option<Instant> {
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Some(moment.into());
        }
        let local = match date(text) {
            Some(day) if whole == Whole::Ends => day.tomorrow().ok()?.to_datetime(Time::midnight()),
            Some(day) => day.to_datetime(Time::midnight()),
            // A time of the day in it, and nothing behind it that would be passed over.
            None => {
                Some(text).filter(|text| text.contains(['T', ' ']) && !text.contains(['[', '+', 'Z']))?.parse().ok()?
            }
        };
        self.0.to_timestamp(local).ok().map(Instant::from)
    }

    /// `2026-11-23 07:31`
    pub(super) fn minute(&self, moment: Instant) -> String {
        self.zoned(moment).strftime("%F %H:%M").to_string()
    }

    /// `2026-11-23 07:31:04`
    pub(super) fn second(&self, moment: Instant) -> String {
        self.zoned(moment).strftime("%F %T").to_string()
    }

    /// `2026-11-23 07:31:04 +08:00`
    pub(super) fn exact(&self, moment: Instant) -> String {
        self.zoned(moment).strftime("%F %T %:z").to_string()
    }

    /// The time of a moment that belongs to `day`: `07:31`, on the next day `02:10 +1d`.
    pub(super) fn time_of(&self, day: Date, moment: Instant) -> String {
        let zoned = self.zoned(moment);
        let time = zoned.strftime("%H:%M");
        let later = day.until(zoned.date()).map_or(0, |span| span.get_days());
        if later == 0 { time.to_string() } else { format!("{time} {later:+}d") }
    }

    /// From one moment to another, the day only once where it is the same.
    pub(super) fn span(&self, from: Instant, to: Instant) -> String {
        let (start, end) = (self.zoned(from), self.zoned(to));
        let pattern = if start.date() == end.date() { "%H:%M" } else { "%F %H:%M" };
        format!("{}-{}", start.strftime("%F %H:%M"), end.strftime(pattern))
    }

    fn zoned(&self, moment: Instant) -> ZonedDateTime {
        moment.timestamp().to_zoned_datetime(self.0.clone())
    }
}

/// The day that the argument `name` says.
///
/// # Errors
/// Says which argument is no day, and what is allowed.
pub(super) fn day(name: &str, text: Option<&str>) -> Result<Option<Date>> {
    let day = |text: &str| date(text).ok_or_else(|| anyhow!("{name} is {text:?}: it must be a day like 2026-11-23"));
    text.map(day).transpose()
}

/// A day and nothing but a day.
fn date(text: &str) -> Option<Date> {
    let exact = |text: &&str| text.len() == "2026-11-23".len() && !text.contains(['T', ' ', ':']);
    Some(text).filter(exact)?.parse::<DateTime>().ok().map(DateTime::date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        Zone(TimeZone::get("Asia/Makassar").unwrap())
    }

    #[test]
    fn a_day_or_a_time_without_offset_is_the_sites() {
        for (text, whole, utc) in [
            ("2026-11-23", Whole::Begins, "2026-11-22T16:00:00Z"),
            ("2026-11-23", Whole::Ends, "2026-11-23T16:00:00Z"),
            ("2026-11-23T07:30", Whole::Begins, "2026-11-22T23:30:00Z"),
            ("2026-11-23T07:30", Whole::Ends, "2026-11-22T23:30:00Z"),
            ("2026-11-23 07:30:15", Whole::Begins, "2026-11-22T23:30:15Z"),
            ("2026-11-23T07:30:00+07:00", Whole::Begins, "2026-11-23T00:30:00Z"),
            ("2026-11-23T07:30:00Z", Whole::Ends, "2026-11-23T07:30:00Z"),
        ] {
            let read = zone().moment("--from", Some(text), whole).unwrap();
            assert_eq!(read, Some(utc.parse().unwrap()), "{text}");
        }
        assert_eq!(zone().moment("--from", None, Whole::Begins).unwrap(), None);
    }

    #[test]
    fn what_is_no_time_is_named_with_what_is_allowed() {
        for text in
            ["", "yesterday", "2026-13-01", "2026-11", "07:30", "2026-11-23T", "20261123", "2026-11-23T07:30[UTC]"]
        {
            let error = zone().moment("--to", Some(text), Whole::Ends).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--to is {text:?}: it must be a day like")), "{error}");
            assert!(error.contains("Asia/Makassar") && error.contains("2026-11-23T07:30:00+08:00"), "{error}");
        }
        assert!(day("--from", Some("2026-11-23T07:30")).is_err());
        let error = day("--from", Some("23-11-2026")).unwrap_err().to_string();
        assert_eq!(error, "--from is \"23-11-2026\": it must be a day like 2026-11-23");
    }

    #[test]
    fn times_are_shown_in_the_sites_time_zone() {
        let at: Instant = "2026-11-22T23:31:04.5Z".parse().unwrap();
        let later: Instant = "2026-11-23T18:10:00Z".parse().unwrap();
        let day = jiff::civil::date(2026, 11, 23);
        assert_eq!(zone().exact(at), "2026-11-23 07:31:04 +08:00");
        assert_eq!(zone().second(at), "2026-11-23 07:31:04");
        assert_eq!((zone().time_of(day, at), zone().time_of(day, later)), ("07:31".into(), "02:10 +1d".into()));
        assert_eq!(zone().span(at, later), "2026-11-23 07:31-2026-11-24 02:10");
        assert_eq!(zone().span(at, at), "2026-11-23 07:31-07:31");
    }
}
