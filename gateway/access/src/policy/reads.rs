//! Which of the facts that change with every scan a policy set reads: what none reads need not tell two questions apart.

use cedar_policy::PolicySet;
use serde_json::Value;

/// What the policies of a set read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) minute_of_day: bool,
    pub(super) occupancy: bool,
    pub(super) status_age_hours: bool,
    pub(super) directory_age_hours: bool,
    pub(super) door: bool,
}

impl Reads {
    /// What the policies of this set read. A set that cannot be looked through is said to read everything.
    pub(super) fn of(policies: &PolicySet) -> Self {
        let mut reads = Self::default();
        for policy in policies.policies() {
            match policy.to_json() {
                Ok(json) => reads.look_through(&json),
                Err(_) => return Self::everything(),
            }
        }
        reads
    }

    pub(super) const fn everything() -> Self {
        Self { minute_of_day: true, occupancy: true, status_age_hours: true, directory_age_hours: true, door: true }
    }

    /// What either reads.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            minute_of_day: self.minute_of_day || other.minute_of_day,
            occupancy: self.occupancy || other.occupancy,
            status_age_hours: self.status_age_hours || other.status_age_hours,
            directory_age_hours: self.directory_age_hours || other.directory_age_hours,
            door: self.door || other.door,
        }
    }

    fn look_through(&mut self, json: &Value) {
        match json {
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                match (name.as_str(), value.as_str()) {
                    ("attr", Some("minute_of_day")) => self.minute_of_day = true,
                    ("attr", Some("occupancy")) => self.occupancy = true,
                    ("attr", Some("status_age_hours")) => self.status_age_hours = true,
                    ("attr", Some("directory_age_hours")) => self.directory_age_hours = true,
                    ("type", Some("Gapura::Door")) => self.door = true,
                    _ => {}
                }
                self.look_through(value);
            }),
            Value::Array(values) => values.iter().for_each(|value| self.look_through(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn what_a_policy_reads_is_found_wherever_it_stands() {
        let reads = |condition: &str| {
            let text = format!("permit (principal, action, resource) when {{ {condition} }};");
            Reads::of(&PolicySet::from_str(&text).unwrap())
        };
        let nothing = Reads::default();
        assert_eq!(reads("context.weekday == 1"), nothing);
        assert_eq!(
            reads("1 + (if context.holiday then context.minute_of_day else 3) < 5"),
            Reads { minute_of_day: true, ..nothing }
        );
        assert_eq!(reads("context[\"occupancy\"] > 3"), Reads { occupancy: true, ..nothing });
        assert_eq!(reads("context has status_age_hours"), Reads { status_age_hours: true, ..nothing });
        assert_eq!(reads("[context.directory_age_hours].contains(3)"), Reads { directory_age_hours: true, ..nothing });
        assert_eq!(reads("resource == Gapura::Door::\"main-in\""), Reads { door: true, ..nothing });
        let scope = PolicySet::from_str("permit (principal, action, resource == Gapura::Door::\"x\");").unwrap();
        assert!(Reads::of(&scope).door);
    }
}
