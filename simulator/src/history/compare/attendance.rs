//! Attendance beside the truth, day by day.

use std::collections::{BTreeMap, HashMap};

use protocol::Instant;
use protocol::api::AttendanceRow;

use super::Score;
use crate::history::passages::{clocks, passages};
use crate::history::regency::Regency;
use crate::history::truth::{self, Moment, TrueDay};

/// What is true of every person and day.
#[derive(Debug)]
pub struct TrueAttendance(Vec<HashMap<u32, TrueDay>>);

/// What came of the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttendanceCheck {
    /// Rows that were compared.
    pub rows: u64,
    /// What was wrong, by kind.
    pub mismatches: BTreeMap<&'static str, u64>,
    /// Days on which somebody left the complex unseen, and days that are marked so.
    pub missing_exit: Score,
    /// Days on which somebody came into the complex unseen, and days that are marked so.
    pub missing_entry: Score,
}

/// How far a time may be off, in milliseconds: less than a second.
const EXACT_MS: u64 = 999;

impl TrueAttendance {
    /// The whole month.
    pub fn of(regency: &Regency) -> Self {
        let clocks = clocks(regency);
        let mut days = vec![HashMap::new(); regency.month.len()];
        for person in 0..regency.staff {
            for (day, truth) in truth::days(&passages(regency, person), &clocks) {
                if let Some(people) = days.get_mut(day) {
                    people.insert(person, truth);
                }
            }
        }
        Self(days)
    }

    /// What is true of a day.
    pub fn day(&self, day: usize) -> impl Iterator<Item = (u32, &TrueDay)> {
        self.0.get(day).into_iter().flatten().map(|(person, truth)| (*person, truth))
    }

    fn get(&self, day: usize, person: u32) -> Option<&TrueDay> {
        self.0.get(day)?.get(&person)
    }
}

impl AttendanceCheck {
    /// Compares all rows of one day.
    pub fn day(&mut self, regency: &Regency, truth: &TrueAttendance, day: usize, rows: &[AttendanceRow]) {
        let mut found: HashMap<u32, u32> = HashMap::new();
        for row in rows {
            self.rows += 1;
            let Some(person) = regency.person(&row.person) else {
                self.mismatch("unknown_person");
                continue;
            };
            *found.entry(person).or_default() += 1;
            if regency.month.date(day) != Some(row.day) {
                self.mismatch("another_day");
                continue;
            }
            match truth.get(day, person) {
                None => self.mismatch("nobody_came"),
                Some(truth) => self.row(truth, row),
            }
        }
        for (person, truth) in truth.day(day) {
            match found.get(&person) {
                None if truth.seen => self.mismatch("no_row"),
                Some(2..) => self.mismatch("two_rows"),
                _ => {}
            }
        }
    }

    /// How much was wrong.
    pub fn mismatched(&self) -> u64 {
        self.mismatches.values().sum()
    }

    fn row(&mut self, truth: &TrueDay, row: &AttendanceRow) {
        let TrueDay { first_in, last_out, .. } = truth;
        // Where the way in was missed, the next scan may stand for it, but nothing before.
        let first_right = match row.first_in {
            Some(said) if first_in.seen => is(first_in, said),
            Some(said) => said.unix_ms() > first_in.at_ms,
            None => !first_in.seen,
        };
        let last_right = match row.last_out {
            Some(said) => last_out.seen && is(last_out, said),
            None => !last_out.seen,
        };
        if !first_right {
            self.mismatch("first_in");
        }
        if !last_right {
            self.mismatch("last_out");
        }
        if truth.known_minutes.is_some_and(|minutes| minutes != row.worked_minutes) {
            self.mismatch("worked_minutes");
        }
        self.missing_exit.add(row.flags.missing_exit, truth.missed_exits > 0);
        self.missing_entry.add(row.flags.missing_entry, truth.missed_entries > 0);
    }

    fn mismatch(&mut self, kind: &'static str) {
        *self.mismatches.entry(kind).or_default() += 1;
    }
}

/// Whether that is the moment, as exactly as the reader's clock allows.
fn is(moment: &Moment, said: Instant) -> bool {
    let off = said.unix_ms().saturating_sub(moment.at_ms).unsigned_abs();
    off <= moment.clock_ahead_ms.unsigned_abs() + EXACT_MS
}

#[cfg(test)]
mod tests {
    use protocol::api::AttendanceFlags;

    use super::*;
    use crate::history::testing::regency;

    /// What a gateway that sees everything says of a day.
    fn perfect(regency: &Regency, truth: &TrueAttendance, day: usize) -> Vec<AttendanceRow> {
        let seen = |moment: Moment| moment.seen.then(|| Instant::from_unix_ms(moment.at_ms));
        let row = |(person, truth): (u32, &TrueDay)| AttendanceRow {
            person: regency.person_id(person),
            day: regency.month.date(day).unwrap(),
            first_in: seen(truth.first_in),
            last_out: seen(truth.last_out),
            worked_minutes: truth.known_minutes.unwrap_or(0),
            flags: AttendanceFlags {
                missing_exit: truth.missed_exits > 0,
                missing_entry: truth.missed_entries > 0,
                ..AttendanceFlags::default()
            },
            shift_start: None,
            shift_end: None,
            sessions: Vec::new(),
            worked_minutes_by_rule: 0,
            late_minutes: None,
            early_minutes: None,
            name: None,
            opd: None,
        };
        truth.day(day).filter(|(_, truth)| truth.seen).map(row).collect()
    }

    fn checked(change: impl FnOnce(&mut Vec<AttendanceRow>)) -> AttendanceCheck {
        let regency = regency(300, 5, 2);
        let truth = TrueAttendance::of(&regency);
        let mut rows = perfect(&regency, &truth, 0);
        let whole = |row: &AttendanceRow| row.first_in.is_some() && row.last_out.is_some() && !row.flags.missing_exit;
        let place = rows.iter().position(whole).unwrap();
        rows.swap(0, place);
        change(&mut rows);
        let mut check = AttendanceCheck::default();
        check.day(&regency, &truth, 0, &rows);
        check
    }

    #[test]
    fn a_right_answer_is_right() {
        let check = checked(|_| ());
        assert_eq!((check.mismatched(), check.rows > 150), (0, true), "{check:?}");
        let exits = check.missing_exit;
        assert!(exits.truth > 0 && exits.said == exits.truth && exits.right == exits.truth);
    }

    #[test]
    fn every_mistake_is_counted_by_its_kind() {
        let later = |at: Option<Instant>, ms| at.map(|at| Instant::from_unix_ms(at.unix_ms() + ms));
        type Change = Box<dyn FnOnce(&mut Vec<AttendanceRow>)>;
        let table: [(&str, Change); 9] = [
            ("worked_minutes", Box::new(|rows| rows[0].worked_minutes -= 1)),
            ("first_in", Box::new(move |rows| rows[0].first_in = later(rows[0].first_in, 1_000))),
            ("first_in", Box::new(|rows| rows[0].first_in = None)),
            ("last_out", Box::new(move |rows| rows[0].last_out = later(rows[0].last_out, -1_000))),
            ("last_out", Box::new(|rows| rows[0].last_out = None)),
            ("no_row", Box::new(|rows| drop(rows.remove(0)))),
            ("two_rows", Box::new(|rows| rows.push(rows[0].clone()))),
            ("unknown_person", Box::new(|rows| rows.push(AttendanceRow { person: "X".into(), ..rows[0].clone() }))),
            ("another_day", Box::new(|rows| rows[0].day = rows[0].day.tomorrow().unwrap())),
        ];
        for (kind, change) in table {
            let check = checked(change);
            assert_eq!(check.mismatches, BTreeMap::from([(kind, 1)]), "{kind}");
        }
    }

    #[test]
    fn a_row_of_somebody_who_stayed_away_is_a_mistake_and_so_is_a_wrong_flag() {
        let check = checked(|rows| {
            let present: Vec<&str> = rows.iter().map(|row| row.person.as_str()).collect();
            let absent = (1..=300).map(|n| format!("S-{n:05}")).find(|id| !present.contains(&id.as_str())).unwrap();
            rows.push(AttendanceRow { person: absent, ..rows[0].clone() });
            rows[0].flags.missing_exit = true;
        });
        assert_eq!(check.mismatches, BTreeMap::from([("nobody_came", 1)]));
        assert_eq!(check.missing_exit.said, check.missing_exit.right + 1);
    }

    #[test]
    fn a_clock_that_is_off_excuses_as_much_as_it_is_off() {
        let moment = Moment { at_ms: 100_000, seen: true, clock_ahead_ms: -9_000 };
        assert!(is(&moment, Instant::from_unix_ms(90_500)) && !is(&moment, Instant::from_unix_ms(89_000)));
    }
}
