//! Attendance: when a person came and went on a working day, and how long they were there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use protocol::Instant;
pub use protocol::api::{AttendanceFlags, AttendanceSession};
use serde::Serialize;

use super::stays::{Evidence, Session};
use super::{Person, Rules};

/// One person's working day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attendance {
    /// Who.
    pub person: Person,
    /// The working day; a night shift belongs to the day on which it begins.
    pub day: Date,
    /// When work was to begin; absent on a day off.
    pub shift_start: Option<Instant>,
    /// When work was to end; absent on a day off.
    pub shift_end: Option<Instant>,
    /// When the person came; absent where that was not seen.
    pub first_in: Option<Instant>,
    /// When the person left for the last time; absent where that was not seen.
    pub last_out: Option<Instant>,
    /// From coming to going, in order.
    pub sessions: Vec<AttendanceSession>,
    /// Whole minutes of the person's presence that scans prove.
    pub worked_minutes: i64,
    /// Whole minutes when what was not seen is filled in by rule.
    pub worked_minutes_by_rule: i64,
    /// Whole minutes that the person came after the start of the shift; absent on a day off or where unknown.
    pub late_minutes: Option<i64>,
    /// Whole minutes that the person left before the end of the shift; absent on a day off or where unknown.
    pub early_minutes: Option<i64>,
    /// What to look at by hand.
    #[serde(flatten)]
    pub flags: AttendanceFlags,
}

/// The day of everybody who came, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayTable {
    /// The working day.
    pub day: Date,
    /// Everybody who came, by person; nobody who is known by a credential only.
    pub rows: Vec<Attendance>,
    /// Each OPD of the staff, by name.
    pub opds: Vec<OpdSummary>,
    /// All of them together.
    pub total: OpdSummary,
}

/// What a day comes to for one OPD.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OpdSummary {
    /// The OPD; empty for all together.
    pub opd: Arc<str>,
    /// How many people belong to it.
    pub staff: usize,
    /// How many of them came: staff who use the doors' readers.
    pub came: usize,
    /// How many came late.
    pub late: usize,
    /// How many left early.
    pub early: usize,
    /// How many were not seen leaving.
    pub missing_exit: usize,
    /// How many were not seen coming.
    pub missing_entry: usize,
    /// Minutes of all together, by rule where a scan is missing.
    pub worked_minutes_by_rule: i64,
}

/// The person's working day out of their sessions, of which those of other days are left out; `None` when they did not
/// come.
pub fn attendance(person: &Person, day: Date, sessions: &[Session], rules: &Rules) -> Option<Attendance> {
    let sessions: Vec<&Session> = sessions.iter().filter(|session| session.day == day).collect();
    let (first, last) = (*sessions.first()?, *sessions.last()?);
    let shift = rules.shift_times(person, day);
    let first_in = first.entry_seen.then_some(first.from.latest);
    let last_out = (last.evidence == Evidence::Exit).then_some(last.to.earliest);
    let minutes = |ms: i64| ms.max(0) / 60_000;
    Some(Attendance {
        person: person.clone(),
        day,
        shift_start: shift.map(|(start, _)| start),
        shift_end: shift.map(|(_, end)| end),
        first_in,
        last_out,
        worked_minutes: minutes(sessions.iter().map(|session| session.seen_ms()).sum()),
        worked_minutes_by_rule: minutes(sessions.iter().map(|session| session.by_rule_ms()).sum()),
        late_minutes: shift.zip(first_in).map(|((start, _), came)| minutes(came.ms_since(start))),
        early_minutes: shift.zip(last_out).map(|((_, end), left)| minutes(end.ms_since(left))),
        flags: flags(&sessions),
        sessions: sessions.into_iter().map(shown).collect(),
    })
}

/// Each working day from `from` to `to` on which the person came.
pub fn working_days(person: &Person, from: Date, to: Date, sessions: &[Session], rules: &Rules) -> Vec<Attendance> {
    // Working days of consecutive sessions may go back: who leaves only, at noon, may belong to the night before.
    let mut days: Vec<Date> = sessions.iter().map(|session| session.day).collect();
    days.retain(|day| (from..=to).contains(day));
    days.sort_unstable();
    days.dedup();
    days.into_iter().filter_map(|day| attendance(person, day, sessions, rules)).collect()
}

impl DayTable {
    /// The table of `rows`, summed up for the staff: each person's id and OPD.
    pub fn new<'a>(day: Date, mut rows: Vec<Attendance>, staff: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        rows.retain(|row| !row.person.is_anonymous());
        rows.sort_by(|one, other| one.person.cmp(&other.person));
        let came: HashMap<&str, &Attendance> = rows.iter().map(|row| (row.person.as_str(), row)).collect();
        let (mut opds, mut total) = (BTreeMap::<&str, OpdSummary>::new(), OpdSummary::default());
        for (person, opd) in staff {
            let row = came.get(person).copied();
            opds.entry(opd).or_insert_with(|| OpdSummary { opd: opd.into(), ..OpdSummary::default() }).add(row);
            total.add(row);
        }
        Self { day, opds: opds.into_values().collect(), total, rows }
    }
}

impl OpdSummary {
    /// The share of the staff who came, in percent: how far the readers are in use.
    #[expect(clippy::cast_precision_loss, reason = "people are fewer than 2^53")]
    pub fn adoption_percent(&self) -> f64 {
        if self.staff == 0 { 0.0 } else { self.came as f64 * 100.0 / self.staff as f64 }
    }

    fn add(&mut self, row: Option<&Attendance>) {
        self.staff += 1;
        let Some(row) = row else { return };
        self.came += 1;
        self.late += usize::from(row.late_minutes.is_some_and(|minutes| minutes > 0));
        self.early += usize::from(row.early_minutes.is_some_and(|minutes| minutes > 0));
        self.missing_exit += usize::from(row.flags.missing_exit);
        self.missing_entry += usize::from(row.flags.missing_entry);
        self.worked_minutes_by_rule += row.worked_minutes_by_rule;
    }
}

impl Session {
    /// How long the person was there for certain, in milliseconds.
    fn seen_ms(&self) -> i64 {
        self.to.earliest.ms_since(self.from.latest)
    }

    fn by_rule_ms(&self) -> i64 {
        self.end_by_rule.ms_since(self.from.earliest)
    }
}

/// What of a day to look at by hand.
fn flags(sessions: &[&Session]) -> AttendanceFlags {
    let any = |test: fn(&Session) -> bool| sessions.iter().any(|session| test(session));
    AttendanceFlags {
        missing_exit: any(|session| matches!(session.evidence, Evidence::Rule | Evidence::NextDoor)),
        missing_entry: any(|session| session.entry_missed),
        closed_by_rule: any(|session| session.evidence == Evidence::Rule),
        late_scan: any(|session| session.stays.iter().any(|stay| stay.late)),
        doubtful_clock: any(|session| session.stays.iter().any(|stay| stay.clock_doubtful)),
    }
}

fn shown(session: &Session) -> AttendanceSession {
    let Session { from, entry_seen, end_by_rule, evidence, .. } = *session;
    AttendanceSession { from: from.earliest, from_seen: entry_seen, to: end_by_rule, evidence }
}
