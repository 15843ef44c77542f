//! `gapura attendance`: who came and went when, and what a day comes to for each OPD.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use jiff::civil::Date;
use protocol::Instant;
use serde::Deserialize;

use super::api::{Api, Request, parse};
use super::inquiry::Inquiry;
use super::output::{Format, Output, one_of};
use super::table::{Table, count, hours};
use super::times::{Zone, day};

/// Who may see the summary; `admin` may see everything.
const COUNTERS: &[&str] = &["viewer", "operator", "attendance", "tracer", "privacy-officer"];

/// Who may see people's days.
const OFFICERS: &[&str] = &["attendance"];

/// When people came and went.
#[derive(Debug, Args)]
pub(super) struct AttendanceCommand {
    /// The first day, 2026-11-23; today if not given.
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// The last day; the first if not given.
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// One person's days.
    #[arg(long, value_name = "ID", conflicts_with = "summary")]
    person: Option<String>,
    /// One OPD's people.
    #[arg(long, conflicts_with = "summary")]
    opd: Option<String>,
    /// Only what each day comes to, OPD by OPD, without people.
    #[arg(long)]
    summary: bool,
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "WHY", conflicts_with = "summary")]
    purpose: Option<String>,
    /// How it is written; ndjson and csv are not for --summary.
    #[arg(long, value_parser = one_of(&[Format::Table, Format::Json, Format::Ndjson, Format::Csv]))]
    format: Option<Format>,
    /// Print the gateway's JSON.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    pub(super) api: Api,
}

#[derive(Deserialize)]
struct Attendance {
    from: Date,
    to: Date,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    person: String,
    name: Option<String>,
    opd: Option<String>,
    day: Date,
    shift_start: Option<Instant>,
    first_in: Option<Instant>,
    last_out: Option<Instant>,
    sessions: Vec<Session>,
    worked_minutes: i64,
    worked_minutes_by_rule: i64,
    late_minutes: Option<i64>,
    early_minutes: Option<i64>,
    missing_exit: bool,
    missing_entry: bool,
    closed_by_rule: bool,
    late_scan: bool,
    doubtful_clock: bool,
}

#[derive(Deserialize)]
struct Session {
    evidence: String,
}

#[derive(Deserialize)]
struct Summary {
    days: Vec<Day>,
}

#[derive(Deserialize)]
struct Day {
    day: Date,
    opds: Vec<OfOpd>,
    total: OfOpd,
}

#[derive(Deserialize)]
struct OfOpd {
    #[serde(default)]
    opd: String,
    staff: u64,
    came: u64,
    late: u64,
    early: u64,
    missing_exit: u64,
    missing_entry: u64,
    worked_minutes_by_rule: i64,
    adoption_percent: Option<f64>,
}

pub(super) fn perform(inquiry: &mut Inquiry, out: &mut dyn Write, command: &AttendanceCommand) -> Result<()> {
    let format = Format::of(command.format, command.json, Format::Table);
    if command.summary && !matches!(format, Format::Table | Format::Json) {
        bail!("--format {} is not for --summary: take table or json", format.as_str());
    }
    let (from, to) = (day("--from", command.from.as_deref())?, day("--to", command.to.as_deref())?);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        bail!("--to is before --from: the last day cannot be before the first");
    }
    command.output.check()?;
    let request = if command.summary {
        Request::get(&["attendance", "summary"], COUNTERS).with("from", from).with("to", to)
    } else {
        let asked = if format == Format::Table { Format::Json } else { format };
        Request::get(&["attendance"], OFFICERS)
            .with("from", from)
            .with("to", to)
            .with("person", command.person.as_ref())
            .with("opd", command.opd.as_ref())
            .with("format", Some(asked.as_str()))
            .with("purpose", command.purpose.as_ref())
    };
    let answer = inquiry.ask(request)?;
    if format != Format::Table {
        return command.output.write(out, |out| answer.copy_to(out));
    }
    let body = answer.bytes()?;
    command.output.write(out, |out| {
        if command.summary {
            write_summary(out, &parse(&body)?)
        } else {
            write_rows(out, &inquiry.zone, &parse(&body)?)
        }
    })
}

fn write_rows(out: &mut dyn Write, zone: &Zone, attendance: &Attendance) -> Result<()> {
    let Attendance { from, to, rows } = attendance;
    let titles = ["DAY", "PERSON", "NAME", "OPD", ">IN", ">OUT", ">PROVED", ">BY RULE", ">LATE", ">EARLY", "NOTES"];
    let mut table = Table::new(&titles);
    for row in rows {
        let time = |moment: Option<Instant>| moment.map(|moment| zone.time_of(row.day, moment)).unwrap_or_default();
        let minutes = |minutes: Option<i64>| minutes.filter(|minutes| *minutes > 0).map(hours).unwrap_or_default();
        table.row([
            row.day.to_string(),
            row.person.clone(),
            row.name.clone().unwrap_or_default(),
            row.opd.clone().unwrap_or_default(),
            time(row.first_in),
            time(row.last_out),
            hours(row.worked_minutes),
            hours(row.worked_minutes_by_rule),
            minutes(row.late_minutes),
            minutes(row.early_minutes),
            notes(row),
        ]);
    }
    if from == to {
        writeln!(out, "{from}\n")?;
    } else {
        writeln!(out, "{from} to {to}\n")?;
    }
    table.write(out)?;
    if rows.is_empty() {
        return Ok(writeln!(out, "nobody came")?);
    }
    let people: BTreeSet<&str> = rows.iter().map(|row| row.person.as_str()).collect();
    let number = |is: fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
    let minutes = |of: fn(&Row) -> i64| hours(rows.iter().map(of).sum());
    Ok(writeln!(
        out,
        "\n{}, {}: {} proved, {} by rule; {} late, {} early, {} without a scan out, {} without a scan in",
        count(people.len(), "person", "people"),
        count(rows.len(), "working day", "working days"),
        minutes(|row| row.worked_minutes),
        minutes(|row| row.worked_minutes_by_rule),
        number(|row| row.late_minutes.is_some_and(|minutes| minutes > 0)),
        number(|row| row.early_minutes.is_some_and(|minutes| minutes > 0)),
        number(|row| row.missing_exit),
        number(|row| row.missing_entry),
    )?)
}

/// What to look at by hand.
fn notes(row: &Row) -> String {
    let inside = row.sessions.last().is_some_and(|session| session.evidence == "inside");
    let notes = [
        (inside, "still inside"),
        (row.shift_start.is_none(), "day off"),
        (row.missing_exit, "no scan out"),
        (row.missing_entry, "no scan in"),
        (row.closed_by_rule, "end by rule"),
        (row.late_scan, "a scan came late"),
        (row.doubtful_clock, "a reader's clock was off"),
    ];
    let notes: Vec<_> = notes.into_iter().filter_map(|(is, note)| is.then_some(note)).collect();
    notes.join(", ")
}

fn write_summary(out: &mut dyn Write, Summary { days }: &Summary) -> Result<()> {
    let titles = [
        "DAY",
        "OPD",
        ">STAFF",
        ">CAME",
        ">PERCENT",
        ">LATE",
        ">EARLY",
        ">NO SCAN OUT",
        ">NO SCAN IN",
        ">HOURS BY RULE",
    ];
    let mut table = Table::new(&titles);
    let row = |table: &mut Table, day: Date, name: &str, of: &OfOpd| {
        table.row([
            day.to_string(),
            name.to_owned(),
            of.staff.to_string(),
            of.came.to_string(),
            of.adoption_percent.map(|percent| format!("{percent:.1}")).unwrap_or_default(),
            of.late.to_string(),
            of.early.to_string(),
            of.missing_exit.to_string(),
            of.missing_entry.to_string(),
            hours(of.worked_minutes_by_rule),
        ]);
    };
    for Day { day, opds, total } in days {
        opds.iter().for_each(|of| row(&mut table, *day, &of.opd, of));
        row(&mut table, *day, "all", total);
    }
    table.write(out)?;
    let sum = |of: fn(&OfOpd) -> u64| days.iter().map(|day| of(&day.total)).sum::<u64>();
    let (came, staff) = (sum(|total| total.came), sum(|total| total.staff));
    let percent = if staff == 0 { 0.0 } else { 100.0 * came as f64 / staff as f64 };
    let days = count(days.len(), "day", "days");
    Ok(writeln!(out, "\n{days}: of {staff} who could come {came} came ({percent:.1} %)")?)
}
