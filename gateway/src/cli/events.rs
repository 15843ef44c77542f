//! `gapura events`: what the log holds, found by person, door, zone, time or verdict.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use protocol::api::EventsQuery;
use protocol::{AssistRecord, ClockQuality, Direction, DoorId, Event, EventKind, MalformedScan, Outcome, ScanRecord};

use super::api::{Api, Request, parse};
use super::inquiry::Inquiry;
use super::output::{Format, Output, one_of};
use super::pages::{self, Span};
use super::table::{Table, count};
use super::times::{Whole, Zone};

/// Which events.
#[derive(Debug, Args)]
pub(super) struct EventsCommand {
    /// About this person; needs --purpose.
    #[arg(long, value_name = "ID", requires = "purpose")]
    person: Option<String>,
    /// At this door.
    #[arg(long)]
    door: Option<DoorId>,
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
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
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

pub(super) fn perform(inquiry: &mut Inquiry, out: &mut dyn Write, command: &EventsCommand) -> Result<()> {
    let format = Format::of(command.format, command.json, Format::Table);
    let from = inquiry.zone.moment("--from", command.from.as_deref(), Whole::Begins)?;
    let to = inquiry.zone.moment("--to", command.to.as_deref(), Whole::Ends)?;
    if from.zip(to).is_some_and(|(from, to)| to <= from) {
        bail!("--to must be after --from");
    }
    command.output.check()?;
    let query = EventsQuery {
        person: command.person.clone(),
        door: command.door.clone(),
        zone: command.zone.clone(),
        from,
        to,
        outcome: command.outcome,
        reason: command.reason.clone(),
        purpose: command.purpose.clone(),
        ..EventsQuery::default()
    };
    let request = |after, limit| {
        Request::get(&["events"]).query(&EventsQuery { after: Some(after), limit: Some(limit), ..query.clone() })
    };
    let zone = inquiry.zone.clone();
    let mut table = Table::new(&[">EVENT", "TIME", "DOOR", "ZONE", "WAY", "OUTCOME", "REASON", "PERSON", "NOTES"]);
    command.output.write(out, |out| {
        let events = pages::read(inquiry, request, &command.span, |lines| {
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
    let Event { number, door, subject, verdict, encrypted, marks, .. } = event;
    let mut notes = Vec::new();
    let (way, named) = match subject {
        EventKind::Scan(ScanRecord { direction, .. }) => (direction.as_str(), None),
        EventKind::Assist(AssistRecord { action, direction, person, .. }) => {
            notes.push(format!("assist request: {}", action.as_str()));
            (direction.as_str(), person.as_deref())
        }
        EventKind::Malformed(MalformedScan { direction, fault, .. }) => {
            let fault = fault.as_ref().map(|fault| format!(": {fault}"));
            notes.push(format!("was no scan{}", fault.unwrap_or_default()));
            (direction.map_or("", Direction::as_str), None)
        }
    };
    notes.extend(marks.0.iter().map(|mark| mark.as_str().to_owned()));
    if let EventKind::Scan(ScanRecord { clock: ClockQuality::Doubtful, .. }) = subject {
        notes.push("reader's time not believed".to_owned());
    }
    if let Some(judged) = verdict.would_be {
        notes.push(format!("by policy {judged}"));
    }
    let person = if encrypted.is_some() { "(erased)" } else { verdict.person.as_deref().or(named).unwrap_or_default() };
    table.row([
        &number.to_string(),
        &zone.second(event.when()),
        door.as_str(),
        verdict.zone.as_deref().unwrap_or_default(),
        way,
        verdict.outcome.as_str(),
        &verdict.reason,
        person,
        &notes.join(", "),
    ]);
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let found = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    found.ok_or_else(|| format!("must be one of {}", Outcome::ALL.map(Outcome::as_str).join(", ")))
}
