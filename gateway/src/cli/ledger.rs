//! What the commands of the ledgers have in common: whom they ask, and where and how the answer goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::api::{Answer, Api, Gateway, Request};
use super::times::Zone;
use super::{attendance, contacts, events, presence, privacy};
use crate::config::Config;

/// The commands of the ledgers.
#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
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

/// The gateway's ledgers, as one command asks for them.
pub(super) struct Ledger<'a> {
    gateway: Gateway,
    /// The site's time zone.
    pub(super) zone: Zone,
    /// Standard error.
    pub(super) errors: &'a mut dyn Write,
    warned: bool,
}

/// Where the answer goes.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// Write to this new file, which only its owner may read, instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file where there is one already.
    #[arg(long, requires = "out")]
    force: bool,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
    Html,
    Svg,
}

/// Does what the command says, for whoever called this process.
pub(super) fn perform_at_terminal(config: &Config, command: LedgerCommand) -> Result<()> {
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
pub(super) fn perform(config: &Config, command: LedgerCommand, terminal: Terminal<'_>) -> Result<()> {
    let Terminal { out, errors, typed } = terminal;
    let api = match &command {
        LedgerCommand::Presence(command) => &command.api,
        LedgerCommand::Attendance(command) => &command.api,
        LedgerCommand::Contacts(command) => &command.api,
        LedgerCommand::Events(command) => &command.api,
        LedgerCommand::Privacy(command) => command.api(),
    };
    let mut ledger = Ledger::new(api, config, errors)?;
    match command {
        LedgerCommand::Presence(command) => presence::perform(&mut ledger, out, &command),
        LedgerCommand::Attendance(command) => attendance::perform(&mut ledger, out, &command),
        LedgerCommand::Contacts(command) => contacts::perform(&mut ledger, out, &command),
        LedgerCommand::Events(command) => events::perform(&mut ledger, out, &command),
        LedgerCommand::Privacy(command) => privacy::perform(&mut ledger, out, typed, &command),
    }
}

impl<'a> Ledger<'a> {
    /// Gets ready to ask, and asks nothing yet.
    pub(super) fn new(api: &Api, config: &Config, errors: &'a mut dyn Write) -> Result<Self> {
        let zone = Zone(config.time_zone().map_err(|reason| anyhow!(reason))?);
        Ok(Self { gateway: api.gateway(config)?, zone, errors, warned: false })
    }

    /// Asks, and warns once where the answer leaves out events.
    pub(super) fn ask(&mut self, request: Request) -> Result<Answer> {
        let answer = self.gateway.ask(request)?;
        if let (Some((behind, through)), false) = (answer.behind, self.warned) {
            self.warned = true;
            let (events, are) = if behind == 1 { ("event", "is") } else { ("events", "are") };
            writeln!(
                self.errors,
                "gapura: warning: the newest {behind} {events} {are} not in this answer, which ends with event {through}; \
                 ask again for all"
            )?;
        }
        Ok(answer)
    }
}

impl Format {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Svg => "svg",
        }
    }

    /// The format that was named, JSON where `--json` was given; else `default`.
    pub(super) fn of(named: Option<Self>, json: bool, default: Self) -> Self {
        named.unwrap_or(if json { Self::Json } else { default })
    }
}

/// Reads one of the formats that a command offers.
pub(super) fn one_of(formats: &'static [Format]) -> impl TypedValueParser<Value = Format> {
    let names = formats.iter().map(|format| format.as_str());
    PossibleValuesParser::new(names).try_map(|name| {
        let named = formats.iter().copied().find(|format| format.as_str() == name);
        named.ok_or("is not offered")
    })
}

impl Output {
    /// Whether the answer goes to a file.
    pub(super) fn is_file(&self) -> bool {
        self.out.is_some()
    }

    /// Refuses before the gateway is asked, which would keep a record of the request.
    pub(super) fn check(&self) -> Result<()> {
        match &self.out {
            Some(file) if !self.force && file.symlink_metadata().is_ok() => {
                bail!("{} is there already: choose another name, or replace it with --force", file.display())
            }
            _ => Ok(()),
        }
    }

    /// Has the answer written; a file is there as a whole or not at all.
    pub(super) fn write(&self, out: &mut dyn Write, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let Some(file) = &self.out else {
            fill(out)?;
            return Ok(out.flush()?);
        };
        let unfinished = unfinished(file);
        let written = create(&unfinished).and_then(|created| {
            let mut created = BufWriter::new(created);
            fill(&mut created)?;
            created.flush()?;
            created.get_ref().sync_all()?;
            self.check()?;
            Ok(fs::rename(&unfinished, file)?)
        });
        if written.is_err() {
            fs::remove_file(&unfinished).ok();
        }
        written.with_context(|| format!("{} was not written", file.display()))
    }
}

/// Where the file stands until it is complete: beside it.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.unfinished", std::process::id()));
    file.with_file_name(name)
}

fn create(file: &Path) -> Result<File> {
    Ok(OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
