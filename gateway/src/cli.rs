//! The command line of `gapura`.

mod api;
mod attendance;
mod contacts;
mod devices;
mod events;
mod ledger;
mod pages;
mod pass;
mod people;
mod policy;
mod presence;
mod privacy;
mod run;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod tokens;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, Parser, Subcommand};
use protocol::{Instant, SiteId};

use crate::app;
use crate::config::Config;
use access::DEFAULT_POLICY;
use base::clock::Clock;
use base::site::{self, InitOptions, SiteFolder};

/// Events that an export reads at once.
const EXPORT_EVENTS: usize = 4096;

/// Gapura, an edge gateway for door scanners.
#[derive(Debug, Parser)]
#[command(name = "gapura", version, max_term_width = 100)]
struct Arguments {
    /// The site's configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = "gapura.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a site: certificate authority, certificates, configuration, policy and an administrator's token.
    Init(Init),
    /// Add, list or revoke doors.
    #[command(subcommand)]
    Door(devices::Door),
    /// Add or revoke monitors, which watch all doors' decisions.
    #[command(subcommand)]
    Monitor(devices::MonitorCommand),
    /// Add or revoke the devices of helpers, who say by hand who passes.
    #[command(subcommand)]
    Helper(devices::HelperCommand),
    /// Add, list or revoke access tokens for HTTP.
    #[command(subcommand)]
    Token(tokens::Token),
    /// Check policies and try them out.
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(flatten)]
    Ledger(ledger::LedgerCommand),
    /// Give the gateway a new certificate.
    Renew {
        /// Name or address under which doors reach the gateway; may be given several times.
        #[arg(long = "host-name", value_name = "NAME")]
        host_names: Vec<String>,
    },
    /// Check the configuration and everything that it names, and change nothing.
    CheckConfig,
    /// Bring people in.
    #[command(subcommand)]
    Import(people::Import),
    /// Write people out.
    #[command(subcommand)]
    Export(people::Export),
    /// Make keys and passes, and judge passes and health certificates.
    #[command(subcommand)]
    Pass(pass::PassCommand),
    /// Look at the log; the gateway must not be running.
    #[command(subcommand)]
    Log(LogCommand),
    /// Run the gateway until SIGTERM or SIGINT; SIGHUP reads every file again.
    Run,
}

#[derive(Debug, Args)]
struct Init {
    /// The site's folder: absent or empty.
    dir: PathBuf,
    /// The site's name: 1 to 32 of a-z, 0-9 and '-'.
    #[arg(long)]
    site: SiteId,
    /// Where the site is, an IANA time zone.
    #[arg(long, default_value = "Asia/Makassar")]
    time_zone: String,
    /// Name or address under which doors reach the gateway; may be given several times.
    #[arg(long = "host-name", value_name = "NAME")]
    host_names: Vec<String>,
    /// Print the token as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Read every event and every link of the chain.
    Verify,
    /// Write every event as a line of JSON.
    Export,
}

/// The command line as it is read: for what must know it without running anything.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Does what `arguments` say, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    log_to_stderr();
    match perform(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gapura: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(Arguments { config, command }: Arguments) -> Result<()> {
    let clock = Clock::system();
    let now = clock.now();
    let folder = SiteFolder::of_configuration(&config);
    let read = || Config::read(&config, std::env::vars()).map_err(anyhow::Error::from);
    match command {
        Command::Init(init) => make_site(init, now),
        Command::Door(command) => devices::perform_door(&folder, command, read, now),
        Command::Monitor(command) => devices::perform_monitor(&folder, command, now),
        Command::Helper(command) => devices::perform_helper(&folder, command, now),
        Command::Token(command) => tokens::perform(&folder, command, now),
        Command::Policy(command) => policy::perform(&read()?, command, now),
        Command::Ledger(command) => ledger::perform_at_terminal(&read()?, command),
        Command::Renew { host_names } => devices::tell(&site::renew_gateway(&folder, &host_names, now)?),
        Command::CheckConfig => check(&read()?),
        Command::Import(import) => people::import(&read()?, import, now),
        Command::Export(export) => people::export(&read()?, &export),
        Command::Pass(command) => pass::perform(command, now, &mut io::stdout().lock()),
        Command::Log(command) => look_at_log(&read()?, command),
        Command::Run => run::run(read()?, clock),
    }
}

fn make_site(init: Init, now: Instant) -> Result<()> {
    let options = InitOptions {
        site: init.site,
        time_zone: init.time_zone,
        host_names: init.host_names,
        policy_files: DEFAULT_POLICY,
    };
    let made = site::init(&init.dir, &options, now)?;
    let token = made.admin_token.reveal();
    if init.json {
        return say(format_args!("{}", serde_json::json!({ "admin_token": token })));
    }
    say(format_args!(
        "The site {} is in {}.\n\nThe administrator's token, shown this once:\n\n  {token}\n\nNext:\n  \
         gapura --config {config} door add main-in --zone main\n  gapura --config {config} import people people.csv\n  \
         gapura --config {config} run",
        options.site,
        init.dir.display(),
        config = made.folder.gapura_toml().display(),
    ))
}

/// Everything that `run` would read, read once.
fn check(config: &Config) -> Result<()> {
    let snapshot = app::read_snapshot(config)?;
    app::view_rules(config, &snapshot)?;
    app::door_tls(&config.folder())?;
    app::http_tls(config)?;
    let tokens = app::tokens(&config.folder())?;
    if let Some(upstream) = &config.upstream {
        app::upstream_client(upstream)?;
    }
    say(format_args!(
        "{}: all well: {} doors, {} credentials, {} policies ({}), {} tokens",
        config.site.name,
        snapshot.doors.len(),
        snapshot.directory.credentials(),
        snapshot.policy.len(),
        snapshot.policy.set_hash(),
        tokens.len(),
    ))
}

fn look_at_log(config: &Config, command: LogCommand) -> Result<()> {
    // The chain holds or does not, whoever the events are about.
    let keys = if matches!(command, LogCommand::Verify) { app::Keys::NotNeeded } else { app::Keys::Wanted };
    let (_log, reader) = app::open_log_to_look(config, keys)?;
    match command {
        LogCommand::Verify => {
            let verified = reader.verify()?;
            let store::log::Verified { segments, events, seal } = verified;
            say(format_args!("{events} events in {segments} segments, all well; the newest is sealed {seal}"))
        }
        LogCommand::Export => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            let mut after = 0;
            loop {
                let events = reader.read(after, EXPORT_EVENTS, usize::MAX)?;
                let Some(last) = events.last() else { return Ok(out.flush()?) };
                after = last.number;
                for event in &events {
                    serde_json::to_writer(&mut out, event)?;
                    out.write_all(b"\n")?;
                }
            }
        }
    }
}

fn log_to_stderr() {
    // rustls warns of oddities in what clients send, as often as they send it.
    let filter = "info,rumqttd=off,rustls=error";
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| filter.into());
    let ansi = io::stderr().is_terminal();
    // A second one in the same process is refused, and the first stays.
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(ansi).try_init().ok();
}

/// A line for whoever called; nobody may be listening any more.
fn say(line: std::fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output is closed")
}
