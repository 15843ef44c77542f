//! `gapura contacts`: who shared a zone with a person, when and for how long.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use protocol::Instant;
use serde::Deserialize;

use super::api::{Api, Request, parse};
use super::inquiry::Inquiry;
use super::output::{Format, Output, one_of};
use super::table::{Table, count, printable};
use super::times::{Whole, Zone};

/// Who may trace; `admin` may do everything.
const TRACERS: &[&str] = &["tracer"];

/// Whose contacts, and which.
#[derive(Debug, Args)]
pub(super) struct ContactsCommand {
    /// The person's id.
    person: String,
    /// From when: a day or time of the site, 2026-11-23 or 2026-11-23T07:30, or RFC 3339.
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Until when; a day as a whole.
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "WHY")]
    purpose: String,
    /// How many minutes within 24 hours make a contact; as in [contacts] of the gateway's configuration if not given.
    #[arg(long, value_name = "N")]
    minutes: Option<u32>,
    /// Who was in the same building or complex too, not only in the same innermost zone.
    #[arg(long)]
    around: bool,
    /// The contacts' contacts too.
    #[arg(long)]
    second: bool,
    /// How it is written.
    #[arg(long, value_parser = one_of(&[Format::Table, Format::Json, Format::Csv, Format::Svg]))]
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
struct Contacts {
    person: String,
    from: Instant,
    to: Instant,
    minutes: u32,
    contacts: Vec<Contact>,
}

#[derive(Deserialize)]
struct Contact {
    generation: u8,
    of: String,
    person: String,
    grade: String,
    minutes_min: i64,
    minutes_max: i64,
    reached_at: Instant,
    encounters: Vec<Encounter>,
}

#[derive(Deserialize)]
struct Encounter {
    from: Instant,
    to: Instant,
    certain: Option<(Instant, Instant)>,
    zone: String,
    evidence_of: String,
    evidence: String,
    late: bool,
    clock_doubtful: bool,
}

pub(super) fn perform(inquiry: &mut Inquiry, out: &mut dyn Write, command: &ContactsCommand) -> Result<()> {
    let format = Format::of(command.format, command.json, Format::Table);
    let from = inquiry.zone.moment("--from", Some(&command.from), Whole::Begins)?;
    let to = inquiry.zone.moment("--to", Some(&command.to), Whole::Ends)?;
    if to <= from {
        bail!("--to must be after --from");
    }
    if command.purpose.trim().is_empty() {
        bail!("--purpose is empty: say why, it is kept in the audit trail");
    }
    command.output.check()?;
    let asked = if format == Format::Table { Format::Json } else { format };
    let request = Request::get(&["contacts"], TRACERS)
        .with("person", Some(&command.person))
        .with("from", from)
        .with("to", to)
        .with("minutes", command.minutes)
        .with("scope", command.around.then_some("around"))
        .with("generations", command.second.then_some(2))
        .with("format", Some(asked.as_str()))
        .with("purpose", Some(&command.purpose));
    let answer = inquiry.ask(request)?;
    if format != Format::Table {
        return command.output.write(out, |out| answer.copy_to(out));
    }
    let body = answer.bytes()?;
    command.output.write(out, |out| write_contacts(out, &inquiry.zone, &parse(&body)?))
}

/// One row for each encounter; what is the same as in the row above is left out.
fn write_contacts(out: &mut dyn Write, zone: &Zone, answer: &Contacts) -> Result<()> {
    let Contacts { person, from, to, minutes, contacts } = answer;
    let (from, to) = (zone.exact(*from), zone.exact(*to));
    writeln!(out, "Contacts of {}, {from} to {to}\n{minutes} minutes or more within 24 hours\n", printable(person))?;
    let titles = ["PERSON", "CONTACT OF", "SURE", ">MINUTES", "REACHED", "ZONE", "TOGETHER", "NOTES"];
    let mut table = Table::new(&titles);
    for contact in contacts {
        let Contact { of, person, grade, minutes_min: min, minutes_max: max, reached_at, .. } = contact;
        let minutes = if min == max { min.to_string() } else { format!("{min}-{max}") };
        let reached = zone.minute(*reached_at);
        let mut about = [person.as_str(), of, grade, &minutes, &reached];
        for encounter in &contact.encounters {
            let (together, notes) = (zone.span(encounter.from, encounter.to), notes(zone, contact, encounter));
            table.row(about.iter().copied().chain([encounter.zone.as_str(), &together, &notes]));
            about = [""; 5];
        }
    }
    table.write(out)?;
    let number = |is: &dyn Fn(&Contact) -> bool| contacts.iter().filter(|contact| is(contact)).count();
    let second = number(&|contact| contact.generation > 1);
    let of_those = if second > 0 { format!("; {second} of them contacts of contacts") } else { String::new() };
    Ok(writeln!(
        out,
        "{}{}: {} certain, {} possible{of_those}",
        if contacts.is_empty() { "" } else { "\n" },
        count(contacts.len(), "contact", "contacts"),
        number(&|contact| contact.grade == "certain"),
        number(&|contact| contact.grade != "certain"),
    )?)
}

/// How far an encounter can be relied on.
fn notes(zone: &Zone, contact: &Contact, encounter: &Encounter) -> String {
    let mut notes = Vec::new();
    match encounter.certain {
        Some((from, to)) if (from, to) != (encounter.from, encounter.to) => {
            notes.push(format!("certain {}", zone.span(from, to)));
        }
        Some(_) => {}
        None => notes.push("not certain".to_owned()),
    }
    for (evidence, who) in [(&encounter.evidence_of, &contact.of), (&encounter.evidence, &contact.person)] {
        match evidence.as_str() {
            "rule" => notes.push(format!("{who} not seen leaving, end by rule")),
            "inside" => notes.push(format!("{who} still inside")),
            "next_door" => notes.push(format!("{who} seen next at another door")),
            _ => {}
        }
    }
    if encounter.late {
        notes.push("a scan came late".to_owned());
    }
    if encounter.clock_doubtful {
        notes.push("a reader's clock was off".to_owned());
    }
    notes.join("; ")
}
