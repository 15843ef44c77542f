//! `gapura events`: what the log holds, found by person, door, zone, time or verdict.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use protocol::Instant;
use serde::Deserialize;

use super::api::{Api, Request, parse};
use super::inquiry::Inquiry;
use super::output::{Format, Output, one_of};
use super::pages::{self, Span};
use super::table::{Table, count};
use super::times::{Whole, Zone};

/// Who may see events; `admin` may see everything.
const OPERATORS: &[&str] = &["operator"];

/// Which events.
#[derive(Debug, Args)]
pub(super) struct EventsCommand {
    /// About this person; needs --purpose.
    #[arg(long, value_name = "ID", requires = "purpose")]
    person: Option<String>,
    /// At this door.
    #[arg(long)]
    door: Option<String>,
    /// At the doors of this zone.
    #[arg(long)]
    zone: Option<String>,
    /// From when: a day or time of the site, 2026-11-23 or 2026-11-23T07:30, or RFC 3339.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when; a day as a whole.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// With this outcome: granted, denied, assist or recorded.
    #[arg(long)]
    outcome: Option<String>,
    /// For this reason.
    #[arg(long)]
    reason: Option<String>,
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "WHY")]
    purpose: Option<String>,
    #[command(flatten)]
    span: Span,
    /// How it is written; json and ndjson are the same here, one event a line.
    #[arg(long, value_parser = one_of(&[Format::Table, Format::Json, Format::Ndjson]))]
    format: Option<Format>,
    /// Print the gateway's JSON, one event a line.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    pub(super) api: Api,
}

/// What a table shows of an event; what was erased is not there.
#[derive(Deserialize)]
struct Event {
    number: u64,
    door: String,
    decided_at: Instant,
    subject: Subject,
    verdict: Verdict,
    #[serde(default)]
    erased: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Subject {
    Scan(Scan),
    Malformed {},
    Assist(Assist),
}

#[derive(Deserialize)]
struct Scan {
    direction: String,
}

#[derive(Deserialize)]
struct Assist {
    action: String,
    direction: String,
    person: Option<String>,
}

#[derive(Deserialize)]
struct Verdict {
    outcome: String,
    reason: String,
    would_be: Option<String>,
    person: Option<String>,
    zone: Option<String>,
}

pub(super) fn perform(inquiry: &mut Inquiry, out: &mut dyn Write, command: &EventsCommand) -> Result<()> {
    let format = Format::of(command.format, command.json, Format::Table);
    let from = inquiry.zone.moment("--from", command.from.as_deref(), Whole::Begins)?;
    let to = inquiry.zone.moment("--to", command.to.as_deref(), Whole::Ends)?;
    if from.zip(to).is_some_and(|(from, to)| to <= from) {
        bail!("--to must be after --from");
    }
    command.output.check()?;
    let request = Request::get(&["events"], OPERATORS)
        .with("person", command.person.as_ref())
        .with("door", command.door.as_ref())
        .with("zone", command.zone.as_ref())
        .with("from", from)
        .with("to", to)
        .with("outcome", command.outcome.as_ref())
        .with("reason", command.reason.as_ref())
        .with("purpose", command.purpose.as_ref());
    let zone = inquiry.zone.clone();
    let mut table = Table::new(&[">EVENT", "TIME", "DOOR", "ZONE", "WAY", "OUTCOME", "REASON", "PERSON", "NOTES"]);
    command.output.write(out, |out| {
        let events = pages::read(inquiry, &request, &command.span, |lines| {
            if format != Format::Table {
                return Ok(lines.iter().try_for_each(|line| out.write_all(line))?);
            }
            for line in lines {
                row(&mut table, &zone, &parse(line)?);
            }
            Ok(table.write(out)?)
        })?;
        if format == Format::Table {
            writeln!(out, "{}{}", if events == 0 { "" } else { "\n" }, count(events, "event", "events"))?;
        }
        Ok(())
    })
}

fn row(table: &mut Table, zone: &Zone, event: &Event) {
    let Event { number, door, decided_at, subject, verdict, erased } = event;
    let mut notes = Vec::new();
    let (way, named) = match subject {
        Subject::Scan(Scan { direction }) => (direction.as_str(), None),
        Subject::Assist(Assist { action, direction, person }) => {
            notes.push(format!("assist request: {action}"));
            (direction.as_str(), person.as_deref())
        }
        Subject::Malformed {} => {
            notes.push("was no scan".to_owned());
            ("", None)
        }
    };
    if let Some(judged) = &verdict.would_be {
        notes.push(format!("by policy {judged}"));
    }
    let person = if *erased { "(erased)" } else { verdict.person.as_deref().or(named).unwrap_or_default() };
    table.row([
        &number.to_string(),
        &zone.second(*decided_at),
        door,
        verdict.zone.as_deref().unwrap_or_default(),
        way,
        &verdict.outcome,
        &verdict.reason,
        person,
        &notes.join(", "),
    ]);
}
