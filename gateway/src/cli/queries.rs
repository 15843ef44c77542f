//! The commands that ask the running gateway.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Result;
use clap::Subcommand;

use super::inquiry::Inquiry;
use super::{attendance, contacts, events, presence, privacy};
use crate::config::Config;

/// The commands that ask the running gateway.
#[derive(Debug, Subcommand)]
pub(super) enum Query {
    /// How full the zones are, who is in them, and the list for an evacuation. Asks the running gateway.
    Presence(presence::PresenceCommand),
    /// When people came and went, and what a day comes to. Asks the running gateway.
    Attendance(attendance::AttendanceCommand),
    /// Who shared a zone with a person. Asks the running gateway.
    Contacts(contacts::ContactsCommand),
    /// Find events. Asks the running gateway.
    Events(events::EventsCommand),
    /// The audit trail, everything about one person, restriction, erasure, retention. Asks the running gateway.
    #[command(subcommand)]
    Privacy(privacy::Privacy),
}

/// The keyboard and the screen of whoever calls.
pub(super) struct Terminal<'a> {
    /// Standard output.
    pub(super) out: &'a mut dyn Write,
    /// Standard error.
    pub(super) errors: &'a mut dyn Write,
    /// What is typed; absent where nobody sits at a terminal.
    pub(super) typed: Option<&'a mut dyn BufRead>,
}

/// Does what the command says, for whoever called this process.
pub(super) fn perform_at_terminal(config: &Config, command: Query) -> Result<()> {
    let mut keyboard = io::stdin().lock();
    let typed: Option<&mut dyn BufRead> = if keyboard.is_terminal() { Some(&mut keyboard) } else { None };
    let terminal = Terminal { out: &mut io::stdout().lock(), errors: &mut io::stderr(), typed };
    match perform(config, command, terminal) {
        // Whoever reads has had enough.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        performed => performed,
    }
}

/// Does what the command says.
pub(super) fn perform(config: &Config, command: Query, terminal: Terminal<'_>) -> Result<()> {
    let Terminal { out, errors, typed } = terminal;
    let api = match &command {
        Query::Presence(command) => &command.api,
        Query::Attendance(command) => &command.api,
        Query::Contacts(command) => &command.api,
        Query::Events(command) => &command.api,
        Query::Privacy(command) => command.api(),
    };
    let mut inquiry = Inquiry::new(api, config, errors)?;
    match command {
        Query::Presence(command) => presence::perform(&mut inquiry, out, &command),
        Query::Attendance(command) => attendance::perform(&mut inquiry, out, &command),
        Query::Contacts(command) => contacts::perform(&mut inquiry, out, &command),
        Query::Events(command) => events::perform(&mut inquiry, out, &command),
        Query::Privacy(command) => privacy::perform(&mut inquiry, out, typed, &command),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
