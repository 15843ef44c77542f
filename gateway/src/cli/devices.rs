//! The commands about certificates' holders: doors, monitors and helpers.

use std::io;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Subcommand, ValueEnum};
use protocol::{DoorId, Instant, Mode};

use super::acknowledge::{self, AcknowledgeCommand};
use super::inquiry::Inquiry;
use super::output::print_line;
use crate::config::Config;
use base::site::{self, AfterRevocation, HandedOut, NewDoor, SiteFolder};

#[derive(Debug, Subcommand)]
pub(super) enum Door {
    /// Add doors, with a certificate for the reader of each.
    Add {
        /// Their names.
        #[arg(required = true)]
        doors: Vec<DoorId>,
        /// The zone that they lead into.
        #[arg(long)]
        zone: String,
        /// Whether their decisions bind.
        #[arg(long, value_enum, default_value = "observe")]
        mode: ModeArgument,
        /// A certificate signing request that was made on the reader; for one door.
        #[arg(long, value_name = "FILE")]
        csr: Option<PathBuf>,
    },
    /// List the doors and their certificates.
    List,
    /// Make a new certificate for a door; the earlier ones stay valid.
    Renew {
        /// Its name.
        door: DoorId,
        /// A certificate signing request that was made on the reader.
        #[arg(long, value_name = "FILE")]
        csr: Option<PathBuf>,
    },
    /// Revoke every certificate of a door; its session ends within a second.
    Revoke {
        /// Its name.
        door: DoorId,
        /// Make a new certificate in their place.
        #[arg(long)]
        reissue: bool,
    },
    /// Take note that somebody knows of the scans that a door is missing. Asks the running gateway.
    Acknowledge(AcknowledgeCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum MonitorCommand {
    /// Make a monitor's certificate.
    Add {
        /// Its name, also its MQTT client id.
        name: DoorId,
        /// A certificate signing request that was made on its machine.
        #[arg(long, value_name = "FILE")]
        csr: Option<PathBuf>,
    },
    /// Revoke every certificate of a monitor.
    Revoke {
        /// Its name.
        name: DoorId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum HelperCommand {
    /// Make the certificate of a helper's device.
    Add {
        /// Its name, also its MQTT client id.
        name: DoorId,
        /// A certificate signing request that was made on the device.
        #[arg(long, value_name = "FILE")]
        csr: Option<PathBuf>,
    },
    /// Revoke every certificate of a helper's device; its session ends within a second.
    Revoke {
        /// Its name.
        name: DoorId,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ModeArgument {
    Off,
    Observe,
    Warn,
    Enforce,
}

pub(super) fn perform_door(
    folder: &SiteFolder,
    command: Door,
    config: impl FnOnce() -> Result<Config>,
    now: Instant,
) -> Result<()> {
    match command {
        Door::Add { doors, zone, mode, csr } => add_doors(folder, doors, &zone, mode, csr, now),
        Door::List => list_doors(folder, &config()?, now),
        Door::Renew { door, csr } => print_handed_out(&site::reissue_door(folder, &door, csr.as_deref(), now)?),
        Door::Revoke { door, reissue } => revoke_door(folder, &door, reissue, now),
        Door::Acknowledge(command) => {
            let mut errors = io::stderr();
            let mut inquiry = Inquiry::new(&command.api, &config()?, &mut errors)?;
            acknowledge::perform(&mut inquiry, &mut io::stdout().lock(), &command)
        }
    }
}

pub(super) fn perform_monitor(folder: &SiteFolder, command: MonitorCommand, now: Instant) -> Result<()> {
    match command {
        MonitorCommand::Add { name, csr } => print_handed_out(&site::add_monitor(folder, &name, csr.as_deref(), now)?),
        MonitorCommand::Revoke { name } => {
            let revoked = site::revoke_monitor(folder, &name, now)?;
            print_line(format_args!("{name}: {revoked} certificates revoked"))
        }
    }
}

pub(super) fn perform_helper(folder: &SiteFolder, command: HelperCommand, now: Instant) -> Result<()> {
    match command {
        HelperCommand::Add { name, csr } => print_handed_out(&site::add_helper(folder, &name, csr.as_deref(), now)?),
        HelperCommand::Revoke { name } => {
            let revoked = site::revoke_helper(folder, &name, now)?;
            print_line(format_args!("{name}: {revoked} certificates revoked"))
        }
    }
}

fn add_doors(
    folder: &SiteFolder,
    doors: Vec<DoorId>,
    zone: &str,
    mode: ModeArgument,
    csr: Option<PathBuf>,
    now: Instant,
) -> Result<()> {
    if csr.is_some() && doors.len() > 1 {
        return Err(anyhow!("--csr holds one reader's key: add its door alone"));
    }
    let mode = match mode {
        ModeArgument::Off => Mode::Off,
        ModeArgument::Observe => Mode::Observe,
        ModeArgument::Warn => Mode::Warn,
        ModeArgument::Enforce => Mode::Enforce,
    };
    let doors: Vec<_> =
        doors.into_iter().map(|door| NewDoor { door, zone: zone.into(), mode, csr: csr.clone() }).collect();
    site::add_doors(folder, &doors, now)?.iter().try_for_each(print_handed_out)
}

fn list_doors(folder: &SiteFolder, config: &Config, now: Instant) -> Result<()> {
    let time_zone = config.time_zone()?;
    print_line(format_args!("{:<32}  {:<32}  {:<8}  {:<25}  SERIAL", "DOOR", "ZONE", "MODE", "CERTIFICATE UNTIL"))?;
    for door in site::list_doors(folder)? {
        let (until, serial) = match door.certificate {
            None => ("none".to_owned(), String::new()),
            Some(certificate) if certificate.revoked => ("revoked".to_owned(), certificate.serial),
            Some(certificate) => (certificate.not_after.to_string(), certificate.serial),
        };
        let mode = door.mode.and_then(|plan| plan.at(now, &time_zone)).map_or("by zone", Mode::as_str);
        let name = door.door.as_str();
        print_line(format_args!("{name:<32}  {:<32}  {mode:<8}  {until:<25}  {serial}", door.zone))?;
    }
    Ok(())
}

fn revoke_door(folder: &SiteFolder, door: &DoorId, reissue: bool, now: Instant) -> Result<()> {
    let after = if reissue { AfterRevocation::Reissue(None) } else { AfterRevocation::Nothing };
    let done = site::revoke_door(folder, door, after, now)?;
    print_line(format_args!("{door}: {} certificates revoked", done.newly_revoked))?;
    done.reissued.as_ref().map_or(Ok(()), print_handed_out)
}

/// Prints where the certificate and the key are.
pub(super) fn print_handed_out(handed_out: &HandedOut) -> Result<()> {
    let HandedOut { role, certificate, key, not_after } = handed_out;
    match key {
        Some(key) => {
            print_line(format_args!("{role}: {} and {}, until {not_after}", certificate.display(), key.display()))
        }
        None => print_line(format_args!("{role}: {}, until {not_after}", certificate.display())),
    }
}
