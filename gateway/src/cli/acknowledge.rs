//! `gapura door acknowledge`: an operator knows of the scans that a door is missing.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use protocol::DoorId;
use protocol::api::Acknowledgement;
use reqwest::Method;

use super::api::{Api, Request};
use super::inquiry::Inquiry;
use super::table::count;

#[derive(Debug, Args)]
pub(super) struct AcknowledgeCommand {
    /// The door.
    door: DoorId,
    /// Print the gateway's JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) api: Api,
}

/// Asks the gateway to take note, and says how many scans were missing.
pub(super) fn perform(inquiry: &mut Inquiry<'_>, out: &mut dyn Write, command: &AcknowledgeCommand) -> Result<()> {
    let path = ["doors", command.door.as_str(), "acknowledge"];
    let answer = inquiry.ask(Request::new(Method::POST, &path))?;
    if command.json {
        answer.copy_to(out)?;
        return Ok(writeln!(out)?);
    }
    let Acknowledgement { door, acknowledged_scans } = answer.json()?;
    Ok(writeln!(out, "{door}: {} acknowledged", count(acknowledged_scans, "missing scan", "missing scans"))?)
}
