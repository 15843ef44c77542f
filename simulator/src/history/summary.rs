//! What a history came to.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::compare::Shares;
use super::compare::attendance::AttendanceCheck;
use super::compare::contacts::ContactsCheck;
use super::regency::Regency;
use crate::load;

/// What a history came to.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// People.
    pub staff: u32,
    /// Zones.
    pub zones: u16,
    /// Days.
    pub days: usize,
    /// Scans that the readers sent, repetitions left out.
    pub scans: u64,
    /// Scans that readers had kept and gave up before they sent them.
    pub unsent: u64,
    /// Of those that were sent, acknowledged ones.
    pub acknowledged: u64,
    /// Events in the gateway's log.
    pub stored: u64,
    /// Scans that were not acknowledged, or are not in the log.
    pub lost: u64,
    /// Decisions, by outcome: all are late.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Scans a second.
    pub rate: f64,
    /// How long the readers sent.
    pub seconds: f64,
    /// How long the ledgers took to take all of it in, after the last scan.
    pub catch_up_seconds: f64,
    /// How long the questions took.
    pub question_seconds: f64,
    /// Rows of attendance.
    pub attendance_rows: u64,
    /// How many times such a row was wrong, missing or one too many.
    pub attendance_mismatches: u64,
    /// The same by kind.
    pub mismatches: BTreeMap<&'static str, u64>,
    /// Days that somebody left unseen.
    pub missing_exit: Shares,
    /// Days that somebody came unseen.
    pub missing_entry: Shares,
    /// People whose contacts were asked for.
    pub queries: u64,
    /// Contacts that were named.
    pub contacts: u64,
    /// Contacts that are said to be certain.
    pub contacts_certain: Shares,
    /// Contacts that are said to be certain or possible.
    pub contacts_any: Shares,
    /// How often the truth is outside of the minutes that were said.
    pub bounds_violations: u64,
    /// Of those, more minutes are said to be proven than there were.
    pub minutes_min_too_high: u64,
    /// Of those, fewer minutes are said to be possible than there were.
    pub minutes_max_too_low: u64,
    /// People who are said to be inside long after everybody has left.
    pub still_inside: u64,
    /// What is wrong, in words; empty when nothing is.
    pub problems: Vec<String>,
}

/// What the gateway answered, compared.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// Attendance.
    pub attendance: AttendanceCheck,
    /// Contacts.
    pub contacts: ContactsCheck,
    /// People whose contacts were asked for.
    pub queries: u64,
    /// People who are said to be inside.
    pub still_inside: u64,
    /// How long the ledgers took to take everything in.
    pub catch_up_seconds: f64,
    /// How long the questions took.
    pub question_seconds: f64,
}

impl Summary {
    /// Puts together how many scans readers had kept, what they say, what is in the log, and what was answered.
    pub fn new(regency: &Regency, kept: u64, fleet: &load::Report, stored: u64, answered: &Answered) -> Self {
        let (attendance, contacts) = (&answered.attendance, &answered.contacts);
        let mut summary = Self {
            staff: regency.staff,
            zones: regency.zones,
            days: regency.month.len(),
            scans: fleet.scans,
            unsent: kept.saturating_sub(fleet.scans),
            acknowledged: fleet.acked,
            stored,
            lost: fleet.scans.saturating_sub(fleet.acked.min(stored)),
            outcomes: fleet.outcomes.clone(),
            rate: fleet.rate,
            seconds: fleet.seconds,
            catch_up_seconds: rounded(answered.catch_up_seconds),
            question_seconds: rounded(answered.question_seconds),
            attendance_rows: attendance.rows,
            attendance_mismatches: attendance.mismatched(),
            mismatches: attendance.mismatches.clone(),
            missing_exit: attendance.missing_exit.shares(),
            missing_entry: attendance.missing_entry.shares(),
            queries: answered.queries,
            contacts: contacts.contacts,
            contacts_certain: contacts.certain.shares(),
            contacts_any: contacts.any.shares(),
            bounds_violations: contacts.bounds_violations(),
            minutes_min_too_high: contacts.min_too_high,
            minutes_max_too_low: contacts.max_too_low,
            still_inside: answered.still_inside,
            problems: fleet.problems(),
        };
        summary.find_problems();
        summary
    }

    /// Whether everything went as it must.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    fn find_problems(&mut self) {
        let recorded = self.outcomes.get("recorded").copied().unwrap_or(0);
        let kinds: Vec<String> = self.mismatches.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        for (count, words) in [
            (self.unsent, "scans were never sent: readers gave up".to_owned()),
            (self.lost, "scans are lost".into()),
            (self.stored.saturating_sub(self.scans), "events are in the log that nobody scanned".into()),
            (self.scans.saturating_sub(recorded), "scans were not recorded as late ones".into()),
            (self.attendance_mismatches, format!("mismatches in attendance: {}", kinds.join(", "))),
            (
                self.bounds_violations,
                format!(
                    "contacts outside their bounds: {} with too many minutes proven, {} with too few possible",
                    self.minutes_min_too_high, self.minutes_max_too_low
                ),
            ),
            (self.still_inside, "people are said to be inside long after everybody has left".into()),
        ] {
            if count > 0 {
                self.problems.push(format!("{count} {words}"));
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.2} %", share * 100.0));
        let found = |shares: Shares| {
            let (precision, recall) = (share(shares.precision), share(shares.recall));
            format!("{} said, {} true: precision {precision}, recall {recall}", shares.said, shares.truth)
        };
        for (name, value) in [
            ("regency", format!("{} people, {} zones, {} days", self.staff, self.zones, self.days)),
            ("scans", format!("{} ({} acknowledged, {} lost)", self.scans, self.acknowledged, self.lost)),
            ("rate", format!("{:.0} scans/s over {:.1} s", self.rate, self.seconds)),
            ("ledgers", format!("{:.1} s behind, {:.1} s of questions", self.catch_up_seconds, self.question_seconds)),
            ("attendance", format!("{} rows, {} mismatches", self.attendance_rows, self.attendance_mismatches)),
            ("missing exit", found(self.missing_exit)),
            ("missing entry", found(self.missing_entry)),
            ("contacts", format!("{} of {} people", self.contacts, self.queries)),
            ("certain contacts", found(self.contacts_certain)),
            ("all contacts", found(self.contacts_any)),
            (
                "outside bounds",
                format!(
                    "{} ({} too high, {} too low)",
                    self.bounds_violations, self.minutes_min_too_high, self.minutes_max_too_low
                ),
            ),
            ("still inside", self.still_inside.to_string()),
        ] {
            writeln!(f, "{name:<18}{value}")?;
        }
        for problem in &self.problems {
            writeln!(f, "PROBLEM           {problem}")?;
        }
        Ok(())
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::compare::Score;
    use super::super::testing::regency;
    use super::*;
    use crate::load::tally::Tally;

    fn fleet() -> load::Report {
        let mut tally = Tally::new().unwrap();
        (tally.scans, tally.acked, tally.decisions, tally.connected) = (3, 3, 3, 1);
        tally.outcomes.insert("recorded", 3);
        load::Report::new(1, tally)
    }

    #[test]
    fn a_summary_has_what_scripts_read() {
        let mut answered = Answered::default();
        answered.contacts.certain = Score { said: 2, truth: 4, right: 2 };
        let summary = Summary::new(&regency(60, 5, 3), 3, &fleet(), 3, &answered);
        assert!(summary.is_clean(), "{summary}");
        let json = serde_json::to_value(&summary).unwrap();
        for (name, value) in [("scans", 3), ("acknowledged", 3), ("days", 3), ("lost", 0), ("bounds_violations", 0)] {
            assert_eq!(json[name], value, "{name}");
        }
        assert_eq!(json["contacts_certain"]["recall"], 0.5);
        assert!(json["missing_exit"]["precision"].is_null());
        assert!(summary.to_string().contains("2 said, 4 true: precision 100.00 %, recall 50.00 %"), "{summary}");
    }

    #[test]
    fn whatever_is_wrong_is_a_problem() {
        type Change = fn(&mut load::Report, &mut u64, &mut Answered);
        let table: [(&str, Change); 6] = [
            ("1 scans are lost", |_, stored, _| *stored = 2),
            ("1 events are in the log that nobody scanned", |_, stored, _| *stored = 4),
            ("2 scans were not recorded", |fleet, _, _| fleet.outcomes = [("recorded", 1), ("granted", 2)].into()),
            ("1 mismatches in attendance: 1 no_row", |_, _, answered| {
                answered.attendance.mismatches.insert("no_row", 1);
            }),
            ("3 contacts outside their bounds", |_, _, answered| {
                (answered.contacts.min_too_high, answered.contacts.max_too_low) = (1, 2);
            }),
            ("7 people are said to be inside", |_, _, answered| answered.still_inside = 7),
        ];
        for (words, change) in table {
            let (mut fleet, mut stored, mut answered) = (fleet(), 3, Answered::default());
            change(&mut fleet, &mut stored, &mut answered);
            let summary = Summary::new(&regency(60, 5, 3), 3, &fleet, stored, &answered);
            assert!(summary.problems.len() == 1 && summary.to_string().contains(words), "{words}: {summary}");
        }
        let summary = Summary::new(&regency(60, 5, 3), 5, &fleet(), 3, &Answered::default());
        assert_eq!(summary.problems, ["2 scans were never sent: readers gave up"]);
    }
}
