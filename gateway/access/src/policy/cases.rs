//! The policy-test file: by example, what a policy set means. A case may name several values of a fact, and then holds for
//! each combination.

use std::path::Path;

use jiff::civil::DateTime;
use protocol::{Direction, Outcome};
use serde::Deserialize;

use super::{Judgement, Policy, Question};
use base::file_error::{FileError, line_of};

/// The name of the file in a policy folder.
pub const CASES_FILE: &str = "tests.toml";

/// Combinations that one case may stand for.
const COMBINATIONS_MAX: usize = 10_000;

/// The cases of one file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
}

/// One case. What it does not say is: staff of no office, known, green, entering by a badge on a Monday at eight.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "asn")]
    class: OneOrMore,
    #[serde(default = "nothing")]
    opd: OneOrMore,
    #[serde(default)]
    groups: Vec<Box<str>>,
    /// Absent: unless the class is `unknown`, or a pass is at fault.
    known: Option<bool>,
    #[serde(default = "open")]
    validity: OneOrMore,
    #[serde(default)]
    has_host: bool,
    #[serde(default = "badge")]
    credential: OneOrMore,
    #[serde(default = "nothing")]
    pass_fault: OneOrMore,
    #[serde(default = "green")]
    status: OneOrMore,
    #[serde(default)]
    status_expired: bool,
    status_age_hours: Option<i64>,
    #[serde(default = "main")]
    door: OneOrMore,
    #[serde(default = "main")]
    zone: OneOrMore,
    #[serde(default)]
    around: Vec<String>,
    #[serde(default)]
    zone_opd: String,
    #[serde(default = "inward")]
    direction: OneOrMore,
    /// Local times like `2026-11-23T08:00`.
    #[serde(default = "monday")]
    at: OneOrMore,
    #[serde(default)]
    holiday: bool,
    #[serde(default)]
    occupancy: i64,
    capacity: Option<i64>,
    #[serde(default)]
    zone_full: bool,
    #[serde(default)]
    passback: bool,
    #[serde(default)]
    directory_age_hours: i64,
    #[serde(default)]
    directory_expired: bool,
    expect: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    outcome: Outcome,
    /// Absent: any.
    reason: Option<String>,
}

/// A combination that was judged in another way than expected.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// Which combination of its values.
    pub combination: String,
    /// What was expected: outcome and, where it matters, reason.
    pub expected: String,
    /// What the policy set says.
    pub judged: Judgement,
}

/// What became of the cases.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Combinations that were tried.
    pub tried: usize,
    /// Those that were judged in another way than expected.
    pub failures: Vec<Failure>,
}

impl Cases {
    /// Reads a file of cases.
    ///
    /// # Errors
    /// Names the line of what is wrong, or the case that cannot be put to a policy set.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| FileError::new(path, format!("cannot be read ({error})")))?;
        let cases: Self = toml::from_str(&text).map_err(|error| {
            let line = line_of(&text, error.span().map_or(0, |span| span.start));
            FileError::at_line(path, line, format!("{}; see the cases of the default policy", error.message().trim()))
        })?;
        for case in &cases.cases {
            case.check().map_err(|reason| FileError::new(path, format!("case {:?}: {reason}", case.name)))?;
        }
        Ok(cases)
    }

    /// Puts every combination of every case to `policy`.
    pub fn run(&self, policy: &Policy) -> Ran {
        let mut ran = Ran::default();
        for case in &self.cases {
            for combination in case.combinations() {
                ran.tried += 1;
                let Some(question) = case.question(&combination) else { continue };
                let judged = policy.judge(&question);
                let Expected { outcome, reason } = &case.expect;
                if judged.outcome == *outcome && reason.as_ref().is_none_or(|reason| *reason == judged.reason) {
                    continue;
                }
                let expected = reason.as_ref().map_or(outcome.to_string(), |reason| format!("{outcome}: {reason}"));
                let combination = combination.join(", ");
                ran.failures.push(Failure { case: case.name.clone(), combination, expected, judged });
            }
        }
        ran
    }
}

impl Case {
    /// The facts of which a case may name several values, in the order of a combination.
    fn several(&self) -> [&OneOrMore; 10] {
        let Self { class, opd, validity, credential, pass_fault, status, door, zone, direction, at, .. } = self;
        [class, opd, validity, credential, pass_fault, status, door, zone, direction, at]
    }

    /// Every way to choose one value of each.
    fn combinations(&self) -> Vec<Vec<&str>> {
        self.several().into_iter().fold(vec![Vec::new()], |chosen, values| {
            let extended = chosen.iter().flat_map(|chosen: &Vec<&str>| {
                values.all().iter().map(move |value| [chosen.as_slice(), &[value.as_str()]].concat())
            });
            extended.collect()
        })
    }

    fn check(&self) -> Result<(), String> {
        let combinations: usize = self.several().iter().map(|values| values.all().len()).product();
        if !(1..=COMBINATIONS_MAX).contains(&combinations) {
            return Err(format!("stands for {combinations} combinations, allowed are 1 to {COMBINATIONS_MAX}"));
        }
        for (fact, values, allowed) in [
            ("class", &self.class, &["asn", "non-asn", "visitor", "unknown"][..]),
            ("validity", &self.validity, &["open", "early", "over"]),
            ("credential", &self.credential, &["badge", "id-number", "pass", "health-certificate"]),
            ("status", &self.status, &["green", "yellow", "red", "black", "unknown"]),
            ("direction", &self.direction, &["in", "out"]),
        ] {
            if let Some(other) = values.all().iter().find(|value| !allowed.contains(&value.as_str())) {
                return Err(format!("{fact} {other:?} is unknown; allowed are {}", allowed.join(", ")));
            }
        }
        match self.at.all().iter().find(|at| at.parse::<DateTime>().is_err()) {
            Some(at) => Err(format!("at {at:?} must be a local time like 2026-11-23T08:00")),
            None => Ok(()),
        }
    }

    fn question<'a>(&'a self, combination: &[&'a str]) -> Option<Question<'a>> {
        let [class, opd, validity, credential, pass_fault, status, door, zone, direction, at] = *combination else {
            return None;
        };
        let at: DateTime = at.parse().ok()?;
        Some(Question {
            class,
            opd,
            groups: &self.groups,
            known: self.known.unwrap_or(class != "unknown" && pass_fault.is_empty()),
            validity,
            has_host: self.has_host,
            credential,
            pass_fault,
            status,
            status_expired: self.status_expired,
            status_age_hours: self.status_age_hours,
            door,
            zone,
            around: &self.around,
            zone_opd: &self.zone_opd,
            direction: if direction == "in" { Direction::In } else { Direction::Out },
            weekday: i64::from(at.weekday().to_monday_one_offset()),
            minute_of_day: i64::from(at.hour()) * 60 + i64::from(at.minute()),
            holiday: self.holiday,
            occupancy: self.occupancy,
            capacity: self.capacity,
            zone_full: self.zone_full,
            passback: self.passback,
            directory_age_hours: self.directory_age_hours,
            directory_expired: self.directory_expired,
        })
    }
}

impl OneOrMore {
    fn all(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::More(values) => values,
        }
    }
}

fn one(value: &str) -> OneOrMore {
    OneOrMore::One(value.to_owned())
}

fn asn() -> OneOrMore {
    one("asn")
}

fn nothing() -> OneOrMore {
    one("")
}

fn open() -> OneOrMore {
    one("open")
}

fn badge() -> OneOrMore {
    one("badge")
}

fn green() -> OneOrMore {
    one("green")
}

fn main() -> OneOrMore {
    one("main")
}

fn inward() -> OneOrMore {
    one("in")
}

fn monday() -> OneOrMore {
    one("2026-11-23T08:00")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{default_policy, policy_of};

    const SHIPPED: &str = include_str!("../../../../deploy/policy/tests.toml");

    fn cases(text: &str) -> Result<Cases, FileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Cases::read(file.path())
    }

    #[test]
    fn the_shipped_cases_hold_for_the_shipped_policy() {
        let ran = cases(SHIPPED).unwrap().run(&default_policy());
        assert_eq!(ran.failures, []);
        assert!(ran.tried > 300, "{} combinations", ran.tried);
    }

    #[test]
    fn every_policy_of_the_shipped_set_decides_a_shipped_case() {
        let policy = default_policy();
        let cases = cases(SHIPPED).unwrap();
        let mut missing: std::collections::BTreeSet<_> = policy.reasons().map(|(id, ..)| id.to_owned()).collect();
        for case in &cases.cases {
            for combination in case.combinations() {
                for id in policy.judge(&case.question(&combination).unwrap()).policies {
                    missing.remove(&id);
                }
            }
        }
        assert!(missing.is_empty(), "no case asks {missing:?}");
    }

    #[test]
    fn a_case_that_does_not_hold_is_told_with_its_combination_and_what_was_judged() {
        let text = "[[case]]\nname = \"weekends\"\nclass = [\"asn\", \"visitor\"]\nat = [\"2026-11-28T08:00\"]\n\
                    expect = { outcome = \"granted\", reason = \"all\" }\n";
        let policy = policy_of(
            "@id(\"all\") permit (principal, action, resource);\n\
             @id(\"closed\") forbid (principal, action, resource) when { context.weekday > 5 && principal.class == \"visitor\" };",
        )
        .unwrap();
        let ran = cases(text).unwrap().run(&policy);
        assert_eq!((ran.tried, ran.failures.len()), (2, 1));
        let failure = &ran.failures[0];
        assert_eq!((failure.case.as_str(), failure.expected.as_str()), ("weekends", "granted: all"));
        assert!(failure.combination.contains("visitor") && failure.combination.contains("2026-11-28T08:00"));
        assert_eq!((failure.judged.outcome, failure.judged.reason.as_str()), (Outcome::Denied, "closed"));
    }

    #[test]
    fn a_case_that_cannot_be_tried_is_named() {
        for (text, word) in [
            ("[[case]]\nname = \"x\"\n", "expect"),
            ("[[case]]\nname = \"x\"\ncolour = \"red\"\nexpect = { outcome = \"granted\" }\n", ":3"),
            ("[[case]]\nname = \"x\"\nstatus = \"blue\"\nexpect = { outcome = \"granted\" }\n", "blue"),
            ("[[case]]\nname = \"x\"\nat = \"soon\"\nexpect = { outcome = \"granted\" }\n", "soon"),
            ("[[case]]\nname = \"x\"\nclass = []\nexpect = { outcome = \"granted\" }\n", "0 combinations"),
            ("[[case]]\nname = \"x\"\nexpect = { outcome = \"maybe\" }\n", ":3"),
        ] {
            let error = cases(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }
}
