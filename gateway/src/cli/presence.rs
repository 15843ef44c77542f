//! `gapura presence`: how full the zones are, who is in them, and the list for an evacuation.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use protocol::Instant;
use serde::Deserialize;

use super::api::{Api, Request, parse};
use super::inquiry::Inquiry;
use super::output::{Format, Output, one_of};
use super::table::{Table, count, printable};
use super::times::Zone;

/// Who may see counts; `admin` may see everything.
const COUNTERS: &[&str] = &["viewer", "operator", "attendance", "tracer", "privacy-officer"];

/// Who may see names.
const OPERATORS: &[&str] = &["operator"];

/// How full the zones are, or who is in them.
#[derive(Debug, Args)]
pub(super) struct PresenceCommand {
    /// Who is inside, by name.
    #[arg(long)]
    people: bool,
    /// The list for an evacuation, zone by zone: text for standard output, a page for printing with --out.
    #[arg(long, conflicts_with = "people")]
    muster: bool,
    /// This zone only, with the zones in it.
    #[arg(long)]
    zone: Option<String>,
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "WHY")]
    purpose: Option<String>,
    /// How it is written; csv and html are for --people and --muster.
    #[arg(long, value_parser = one_of(&[Format::Table, Format::Json, Format::Csv, Format::Html]))]
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
struct Zones {
    at: Instant,
    zones: Vec<Occupancy>,
}

#[derive(Deserialize)]
struct Occupancy {
    zone: String,
    capacity: Option<u32>,
    people: u32,
    weak: u32,
}

#[derive(Deserialize)]
struct People {
    at: Instant,
    people: Vec<Present>,
}

#[derive(Deserialize)]
struct Present {
    person: String,
    name: Option<String>,
    opd: Option<String>,
    zone: String,
    since: Bounds,
    evidence: String,
}

#[derive(Deserialize)]
struct Bounds {
    earliest: Instant,
    latest: Instant,
}

pub(super) fn perform(inquiry: &mut Inquiry, out: &mut dyn Write, command: &PresenceCommand) -> Result<()> {
    let default = if command.muster && command.output.is_file() { Format::Html } else { Format::Table };
    let format = Format::of(command.format, command.json, default);
    let by_name = command.people || command.muster;
    match format {
        Format::Csv | Format::Html if !by_name => bail!("--format {} needs --people or --muster", format.as_str()),
        Format::Json if !by_name && command.zone.is_some() => {
            bail!("--zone does not go with the JSON of all zones: take it from there, or ask with --people")
        }
        _ if !by_name && command.purpose.is_some() => bail!("--purpose is for --people and --muster"),
        _ => command.output.check()?,
    }
    let request = if by_name {
        let asked = if format == Format::Table { Format::Json } else { format };
        Request::get(&["presence", "people"], OPERATORS)
            .with("zone", command.zone.as_ref())
            .with("format", Some(asked.as_str()))
            .with("purpose", command.purpose.as_ref())
    } else {
        Request::get(&["presence"], COUNTERS)
    };
    let answer = inquiry.ask(request)?;
    if format != Format::Table {
        return command.output.write(out, |out| answer.copy_to(out));
    }
    let body = answer.bytes()?;
    command.output.write(out, |out| match (command.people, command.muster) {
        (true, _) => write_people(out, &inquiry.zone, &parse(&body)?),
        (_, true) => write_muster(out, &inquiry.zone, &parse(&body)?),
        _ => write_zones(out, &inquiry.zone, parse(&body)?, command.zone.as_deref()),
    })
}

fn write_zones(out: &mut dyn Write, zone: &Zone, Zones { at, mut zones }: Zones, only: Option<&str>) -> Result<()> {
    if let Some(only) = only {
        zones.retain(|occupancy| occupancy.zone == only);
        if zones.is_empty() {
            bail!("there is no zone {only:?}; gapura presence lists them");
        }
    }
    let mut table = Table::new(&["ZONE", ">PEOPLE", ">CAPACITY", ">FREE", "NOTES"]);
    let mut full = 0;
    for Occupancy { zone, capacity, people, weak } in &zones {
        let mut notes = Vec::new();
        match capacity {
            Some(capacity) if people > capacity => notes.push(format!("{} too many", people - capacity)),
            Some(capacity) if people == capacity => notes.push("full".to_owned()),
            _ => {}
        }
        full += usize::from(!notes.is_empty());
        if *weak > 0 {
            notes.push(format!("{weak} more, not seen leaving"));
        }
        let free = capacity.map(|capacity| capacity.saturating_sub(*people).to_string()).unwrap_or_default();
        let capacity = capacity.map(|capacity| capacity.to_string()).unwrap_or_default();
        table.row([zone.clone(), people.to_string(), capacity, free, notes.join(", ")]);
    }
    writeln!(out, "{}; each zone with the zones inside it\n", zone.exact(at))?;
    table.write(out)?;
    Ok(writeln!(out, "\n{}, {full} full", count(zones.len(), "zone", "zones"))?)
}

fn write_people(out: &mut dyn Write, zone: &Zone, People { at, people }: &People) -> Result<()> {
    writeln!(out, "{}\n", zone.exact(*at))?;
    let mut table = Table::new(&["PERSON", "NAME", "OPD", "ZONE", "SINCE", "EVIDENCE"]);
    for present in people {
        let Present { person, name, opd, zone: inside, since, evidence } = present;
        let since = if since.earliest == since.latest {
            zone.minute(since.latest)
        } else {
            zone.span(since.earliest, since.latest)
        };
        let (name, opd) = (name.as_deref().unwrap_or_default(), opd.as_deref().unwrap_or_default());
        table.row([person, name, opd, inside, &since, evidence_text(evidence)]);
    }
    table.write(out)?;
    Ok(writeln!(out, "{}{}", if people.is_empty() { "" } else { "\n" }, total(people))?)
}

fn write_muster(out: &mut dyn Write, zone: &Zone, People { at, people }: &People) -> Result<()> {
    writeln!(out, "Muster list, {}\n", zone.exact(*at))?;
    let mut zones: Vec<&str> = people.iter().map(|present| present.zone.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    for name in &zones {
        let inside: Vec<_> = people.iter().filter(|present| present.zone == *name).collect();
        writeln!(out, "{}: {}", printable(name), count(inside.len(), "person", "people"))?;
        let mut table = Table::new(&["   ", "PERSON", "NAME", "OPD", "SINCE", "EVIDENCE"]);
        for Present { person, name, opd, since, evidence, .. } in inside {
            let since = zone.minute(since.latest);
            let (name, opd) = (name.as_deref().unwrap_or_default(), opd.as_deref().unwrap_or_default());
            table.row(["[ ]", person, name, opd, &since, evidence_text(evidence)]);
        }
        table.write(out)?;
        writeln!(out)?;
    }
    Ok(writeln!(out, "{}, {}", total(people), count(zones.len(), "zone", "zones"))?)
}

fn total(people: &[Present]) -> String {
    let weak = people.iter().filter(|present| present.evidence != "inside").count();
    let unsure = if weak > 0 { format!(", {weak} of them not seen leaving") } else { String::new() };
    format!("{}{unsure}", count(people.len(), "person", "people"))
}

/// How it is known that somebody is inside.
fn evidence_text(evidence: &str) -> &str {
    match evidence {
        "inside" => "inside",
        "rule" => "shift over, not seen leaving",
        other => other,
    }
}
