//! `gapura privacy`: the audit trail, everything about one person, restriction, erasure, and how long data is kept.

use std::io::{BufRead, Write};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use protocol::Instant;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::{Api, Request, parse};
use super::inquiry::Inquiry;
use super::output::{Format, Output, one_of};
use super::pages::{self, Span};
use super::table::{Table, count, printable};
use super::times::{Whole, Zone};

/// Who may do this; `admin` may do everything.
const OFFICERS: &[&str] = &["privacy-officer"];

/// What a privacy officer does.
#[derive(Debug, Subcommand)]
pub(super) enum Privacy {
    /// The audit trail: who has looked at whose data, and why.
    Audit(Audit),
    /// Everything that is kept about one person: a summary, or with --json or --out the whole as JSON.
    Export(Export),
    /// Restrict what is done with one person's data.
    Restrict {
        #[command(flatten)]
        whose: Whose,
        /// Why; kept with the restriction.
        #[arg(long, value_name = "WHY")]
        reason: String,
        /// Print the gateway's JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lift a restriction.
    Lift {
        #[command(flatten)]
        whose: Whose,
    },
    /// Erase one person for ever: the keys of the person's events in the log, the entry in the directory, and what was derived.
    Erase(Erase),
    /// How long data is kept, and when data that was too old was last deleted.
    Retention {
        /// Print the gateway's JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        api: Api,
    },
}

/// Somebody, and the gateway that knows them.
#[derive(Debug, Args)]
pub(super) struct Whose {
    /// The person's id.
    person: String,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// By the bearer of the token with this name.
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// About this person.
    #[arg(long, value_name = "ID")]
    person: Option<String>,
    /// From when: a day or time of the site, 2026-11-23 or 2026-11-23T07:30, or RFC 3339.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when; a day as a whole.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    span: Span,
    /// How it is written; json and ndjson are the same here, one record a line.
    #[arg(long, value_parser = one_of(&[Format::Table, Format::Json, Format::Ndjson]))]
    format: Option<Format>,
    /// Print the gateway's JSON, one record a line.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    whose: Whose,
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "WHY")]
    purpose: String,
    /// Print the gateway's JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Erase {
    #[command(flatten)]
    whose: Whose,
    /// Why; kept in the audit trail.
    #[arg(long, value_name = "WHY")]
    purpose: String,
    /// Also when the person is inside.
    #[arg(long)]
    force: bool,
    /// Do not ask for the person's id again.
    #[arg(long)]
    yes: bool,
    /// Print the gateway's JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct AuditRecord {
    number: u64,
    at: Instant,
    token: String,
    role: String,
    what: String,
    purpose: Option<String>,
    person: Option<String>,
    status: u16,
}

#[derive(Deserialize)]
struct Retention {
    purposes: Vec<RetentionPurpose>,
    #[serde(default)]
    last_run: Value,
}

#[derive(Deserialize)]
struct RetentionPurpose {
    purpose: String,
    days: u64,
}

impl Privacy {
    pub(super) fn api(&self) -> &Api {
        match self {
            Self::Audit(audit) => &audit.api,
            Self::Export(export) => &export.whose.api,
            Self::Restrict { whose, .. } | Self::Lift { whose } => &whose.api,
            Self::Erase(erase) => &erase.whose.api,
            Self::Retention { api, .. } => api,
        }
    }
}

pub(super) fn perform(
    inquiry: &mut Inquiry,
    out: &mut dyn Write,
    typed: Option<&mut dyn BufRead>,
    command: &Privacy,
) -> Result<()> {
    match command {
        Privacy::Audit(command) => audit(inquiry, out, command),
        Privacy::Export(command) => export(inquiry, out, command),
        Privacy::Restrict { whose, reason, json } => {
            let request = whose.asked(Method::PUT, &["restriction"])?.with_body(json!({ "reason": reason }));
            let answer = inquiry.ask(request)?;
            if *json {
                return answer.copy_to(out);
            }
            Ok(writeln!(out, "{}: restricted; `gapura privacy lift` ends it", whose.person)?)
        }
        Privacy::Lift { whose } => {
            inquiry.ask(whose.asked(Method::DELETE, &["restriction"])?)?;
            Ok(writeln!(out, "{}: no longer restricted", whose.person)?)
        }
        Privacy::Erase(command) => erase(inquiry, out, typed, command),
        Privacy::Retention { json, .. } => retention(inquiry, out, *json),
    }
}

impl Whose {
    fn asked(&self, method: Method, below: &[&str]) -> Result<Request> {
        let person = self.person.as_str();
        if ["", ".", ".."].contains(&person) {
            bail!("{person:?} is no person's id");
        }
        Ok(Request::new(method, &[&["privacy", "people", person], below].concat(), OFFICERS))
    }
}

fn audit(inquiry: &mut Inquiry, out: &mut dyn Write, command: &Audit) -> Result<()> {
    let format = Format::of(command.format, command.json, Format::Table);
    let from = inquiry.zone.moment("--from", command.from.as_deref(), Whole::Begins)?;
    let to = inquiry.zone.moment("--to", command.to.as_deref(), Whole::Ends)?;
    command.output.check()?;
    let request = Request::get(&["privacy", "looks"], OFFICERS)
        .with("token", command.token.as_ref())
        .with("person", command.person.as_ref())
        .with("from", from)
        .with("to", to);
    let zone = inquiry.zone.clone();
    let mut table = Table::new(&[">RECORD", "TIME", "TOKEN", "ROLE", "WHAT", "PERSON", "PURPOSE", "ANSWER"]);
    command.output.write(out, |out| {
        let records = pages::read(inquiry, &request, &command.span, |lines| {
            if format != Format::Table {
                return Ok(lines.iter().try_for_each(|line| out.write_all(line))?);
            }
            for line in lines {
                let AuditRecord { number, at, token, role, what, purpose, person, status } = parse(line)?;
                let answer = match status {
                    100 => "begun".to_owned(),
                    101..=399 => "done".to_owned(),
                    401 | 403 => format!("refused ({status})"),
                    _ => format!("failed ({status})"),
                };
                let (person, purpose) = (person.unwrap_or_default(), purpose.unwrap_or_default());
                table.row([number.to_string(), zone.second(at), token, role, what, person, purpose, answer]);
            }
            Ok(table.write(out)?)
        })?;
        if format == Format::Table {
            writeln!(out, "{}{}", if records == 0 { "" } else { "\n" }, count(records, "record", "records"))?;
        }
        Ok(())
    })
}

fn export(inquiry: &mut Inquiry, out: &mut dyn Write, command: &Export) -> Result<()> {
    command.output.check()?;
    let answer = inquiry.ask(command.whose.asked(Method::GET, &[])?.with("purpose", Some(&command.purpose)))?;
    if command.json || command.output.is_file() {
        return command.output.write(out, |out| answer.copy_to(out));
    }
    let everything: Map<String, Value> = answer.json()?;
    everything.iter().try_for_each(|(name, value)| print_field(out, name, value, &inquiry.zone))?;
    Ok(writeln!(out, "\nthe whole: with --out FILE, or --json")?)
}

fn erase(inquiry: &mut Inquiry, out: &mut dyn Write, typed: Option<&mut dyn BufRead>, command: &Erase) -> Result<()> {
    let person = command.whose.person.as_str();
    let request = command
        .whose
        .asked(Method::DELETE, &[])?
        .with("purpose", Some(&command.purpose))
        .with("force", command.force.then_some(true))
        .on_conflict((!command.force).then_some("--force erases all the same"));
    if !command.yes {
        let Some(typed) = typed else { bail!("there is no terminal to confirm this at: say so with --yes") };
        write!(
            inquiry.errors,
            "Everything about {} will be erased for ever. Type the id again to confirm: ",
            printable(person)
        )?;
        inquiry.errors.flush()?;
        let mut line = String::new();
        typed.read_line(&mut line)?;
        if line.trim() != person {
            bail!("that is another id: nothing was erased");
        }
    }
    let answer = inquiry.ask(request)?;
    if command.json {
        return answer.copy_to(out);
    }
    let done: Map<String, Value> = answer.json()?;
    writeln!(out, "{}: erased", printable(person))?;
    done.iter()
        .filter(|(name, _)| *name != "person")
        .try_for_each(|(name, value)| print_field(out, name, value, &inquiry.zone))
}

fn retention(inquiry: &mut Inquiry, out: &mut dyn Write, json: bool) -> Result<()> {
    let answer = inquiry.ask(Request::get(&["privacy", "retention"], OFFICERS))?;
    if json {
        return answer.copy_to(out);
    }
    let Retention { purposes, last_run } = answer.json()?;
    let mut table = Table::new(&["KEPT FOR", ">DAYS"]);
    purposes.iter().for_each(|RetentionPurpose { purpose, days }| table.row([purpose.clone(), days.to_string()]));
    table.write(out)?;
    writeln!(out)?;
    match &last_run {
        Value::Null => Ok(writeln!(out, "nothing was deleted yet")?),
        run => print_field(out, "last run", run, &inquiry.zone),
    }
}

/// One line for each field, however deep it stands; of records, how many there are.
fn print_field(out: &mut dyn Write, name: &str, value: &Value, zone: &Zone) -> Result<()> {
    let value = match value {
        Value::Object(fields) => {
            let deeper = |(field, value): (&String, &Value)| print_field(out, &format!("{name} {field}"), value, zone);
            return fields.iter().try_for_each(deeper);
        }
        Value::Array(records) if records.iter().all(Value::is_object) => {
            count(records.len() as u64, "record", "records")
        }
        value => text_of(value, zone),
    };
    Ok(writeln!(out, "{:<28}  {}", printable(&name.replace('_', " ")), printable(&value))?)
}

/// A value of the answer as people read it; times in the site's time zone.
fn text_of(value: &Value, zone: &Zone) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(is) => if *is { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.parse::<Instant>().map_or_else(|_| text.clone(), |moment| zone.exact(moment)),
        Value::Array(values) => values.iter().map(|value| text_of(value, zone)).collect::<Vec<_>>().join(", "),
        Value::Object(_) => value.to_string(),
    }
}
