//! How far decisions bind, and from when: a mode, or a list of modes with the days from which they hold.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use protocol::{Instant, Mode};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The most steps of one plan.
const STEPS_MAX: usize = 32;

/// A door's or a zone's modes in the order in which they come into force. In TOML either `"observe"`, or
/// `[{ mode = "warn", from = "2026-12-01" }, { mode = "enforce", from = "2026-12-15T12:00:00+08:00" }]`; a date is the
/// day's start in the site's time zone, and a step without `from`, which only the first may be, holds from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModePlan(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    mode: Mode,
    #[serde(default, deserialize_with = "from")]
    from: From,
}

/// From when a step holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    #[default]
    Start,
    Day(Date),
    Moment(Instant),
}

impl ModePlan {
    /// One mode, for ever.
    pub fn always(mode: Mode) -> Self {
        Self(vec![Step { mode, from: From::Start }])
    }

    /// The mode in force at a moment; `None` before the first step.
    pub fn at(&self, now: Instant, time_zone: &TimeZone) -> Option<Mode> {
        let begun = |step: &&Step| match step.from {
            From::Start => true,
            From::Day(day) => day <= now.timestamp().to_zoned_datetime(time_zone.clone()).date(),
            From::Moment(moment) => moment <= now,
        };
        self.0.iter().rev().find(begun).map(|step| step.mode)
    }

    /// The moment after `now` at which the next step begins; `None` when the last has begun.
    pub fn next_change(&self, now: Instant, time_zone: &TimeZone) -> Option<Instant> {
        let begins = |step: &Step| match step.from {
            From::Start => None,
            From::Day(day) => time_zone.to_timestamp(day.to_datetime(Time::midnight())).ok().map(Instant::from),
            From::Moment(moment) => Some(moment),
        };
        self.0.iter().filter_map(begins).filter(|begin| *begin > now).min()
    }
}

impl<'de> Deserialize<'de> for ModePlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlanVisitor)
    }
}

struct PlanVisitor;

impl<'de> Visitor<'de> for PlanVisitor {
    type Value = ModePlan;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "a mode (\"off\", \"observe\", \"warn\", \"enforce\"), or a list of { mode = …, from = \"2026-12-01\" }",
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ModePlan, E> {
        let mode = Mode::ALL.into_iter().find(|mode| mode.as_str() == text);
        let shown: String = text.chars().take(32).collect();
        mode.map(ModePlan::always)
            .ok_or_else(|| E::custom(format!("mode {shown:?} is unknown; allowed are off, observe, warn and enforce")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut steps: A) -> Result<ModePlan, A::Error> {
        let mut plan: Vec<Step> = Vec::new();
        while let Some(step) = steps.next_element::<Step>()? {
            if plan.len() == STEPS_MAX {
                return Err(A::Error::custom(format!("a plan may have {STEPS_MAX} modes")));
            }
            match (plan.last().map(|before| before.from), step.from) {
                (None, _) => {}
                (Some(_), From::Start) => {
                    return Err(A::Error::custom("only the first mode of a list may be without `from`"));
                }
                (Some(From::Day(before)), From::Day(day)) if before >= day => {
                    return Err(A::Error::custom(format!("the modes of a list go forward in time: {day} does not")));
                }
                (Some(From::Moment(before)), From::Moment(moment)) if before >= moment => {
                    return Err(A::Error::custom(format!("the modes of a list go forward in time: {moment} does not")));
                }
                _ => {}
            }
            plan.push(step);
        }
        if plan.is_empty() { Err(A::Error::custom("a list of modes needs at least one")) } else { Ok(ModePlan(plan)) }
    }
}

fn from<'de, D: Deserializer<'de>>(deserializer: D) -> Result<From, D::Error> {
    let text = String::deserialize(deserializer)?;
    if let Ok(moment) = text.parse() {
        return Ok(From::Moment(moment));
    }
    // A date's parser takes a time behind it and forgets it.
    let day = text.parse().ok().filter(|_| text.len() == "2026-12-01".len());
    day.map(From::Day).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        D::Error::custom(format!(
            "from {shown:?} must be a day like \"2026-12-01\" or a moment like \"2026-12-01T12:00:00+08:00\""
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Holder {
        mode: ModePlan,
    }

    fn plan(value: &str) -> Result<ModePlan, String> {
        toml::from_str::<Holder>(&format!("mode = {value}"))
            .map(|holder| holder.mode)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_mode_holds_from_its_day_in_the_sites_time_zone() {
        let wita = TimeZone::get("Asia/Makassar").unwrap();
        let plan = plan(
            r#"[{ mode = "observe", from = "2026-12-01" }, { mode = "warn", from = "2026-12-15" },
                { mode = "enforce", from = "2027-01-01T12:00:00+08:00" }]"#,
        )
        .unwrap();
        for (now, mode) in [
            ("2026-11-30T23:59:59.999+08:00", None),
            ("2026-12-01T00:00:00+08:00", Some(Mode::Observe)),
            ("2026-12-14T23:59:59+08:00", Some(Mode::Observe)),
            ("2026-12-14T16:00:00Z", Some(Mode::Warn)),
            ("2027-01-01T11:59:59+08:00", Some(Mode::Warn)),
            ("2027-01-01T12:00:00+08:00", Some(Mode::Enforce)),
        ] {
            assert_eq!(plan.at(now.parse().unwrap(), &wita), mode, "{now}");
        }
        for (now, next) in [
            ("2026-11-30T23:59:59.999+08:00", Some("2026-12-01T00:00:00+08:00")),
            ("2026-12-01T00:00:00+08:00", Some("2026-12-15T00:00:00+08:00")),
            ("2026-12-15T00:00:00+08:00", Some("2027-01-01T12:00:00+08:00")),
            ("2027-01-01T12:00:00+08:00", None),
        ] {
            assert_eq!(plan.next_change(now.parse().unwrap(), &wita), next.map(|next| next.parse().unwrap()), "{now}");
        }
        for mode in Mode::ALL {
            assert_eq!(ModePlan::always(mode).next_change(Instant::from_unix_ms(0), &wita), None);
            let always = super::tests::plan(&format!("\"{}\"", mode.as_str())).unwrap();
            assert_eq!(always.at(Instant::from_unix_ms(0), &wita), Some(mode));
        }
    }

    #[test]
    fn a_plan_that_cannot_be_meant_is_refused() {
        for (value, word) in [
            ("\"strict\"", "strict"),
            ("[]", "at least one"),
            ("7", "a mode"),
            (r#"[{ mode = "warn", from = "tomorrow" }]"#, "2026-12-01"),
            (r#"[{ mode = "warn", from = "2026-12-01T25:00" }]"#, "2026-12-01"),
            (r#"[{ mode = "warn", from = "2026-12-02" }, { mode = "enforce", from = "2026-12-01" }]"#, "forward"),
            (r#"[{ mode = "warn", from = "2026-12-02" }, { mode = "enforce" }]"#, "first"),
            (r#"[{ mode = "warn", form = "2026-12-02" }]"#, "form"),
        ] {
            let error = plan(value).unwrap_err();
            assert!(error.contains(word), "{value}: {error}");
        }
    }
}
