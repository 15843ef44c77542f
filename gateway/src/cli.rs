//! The command line of `gapura`.

mod acknowledge;
mod api;
mod attendance;
mod check;
mod contacts;
mod devices;
mod events;
mod inquiry;
mod output;
mod pages;
mod pass;
mod people;
mod policy;
mod presence;
mod privacy;
mod queries;
mod run;
mod stderr;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod tokens;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use protocol::{Instant, SiteId};

use crate::config::Config;
use crate::inputs;
use access::DEFAULT_POLICY;
use base::clock::Clock;
use base::site::{self, InitOptions, SiteFolder};

use self::output::print_line;
use self::stderr::Stderr;

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
    /// Add, list or revoke doors; acknowledge what one is missing.
    #[command(subcommand)]
    Door(devices::Door),
    /// Add or revoke monitors, which watch all doors' decisions.
    #[command(subcommand)]
    Monitor(devices::MonitorCommand),
    /// Add or revoke the devices of helpers, who confirm, refuse or admit people at a door.
    #[command(subcommand)]
    Helper(devices::HelperCommand),
    /// Add, list or revoke access tokens for HTTP.
    #[command(subcommand)]
    Token(tokens::Token),
    /// Check policies and try them out.
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(flatten)]
    Query(queries::Query),
    /// Give the gateway a new certificate.
    Renew {
        /// Name or address under which doors reach the gateway; may be given several times.
        #[arg(long = "host-name", value_name = "NAME")]
        host_names: Vec<String>,
    },
    /// Check the configuration and everything that it names, and change nothing.
    CheckConfig,
    /// Import people.
    #[command(subcommand)]
    Import(people::Import),
    /// Export people.
    #[command(subcommand)]
    Export(people::Export),
    /// Make keys and passes; verify passes and health certificates.
    #[command(subcommand)]
    Pass(pass::PassCommand),
    /// Verify or export the log; the gateway must not be running.
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
    /// Read every event, and check that each segment links to the one before.
    Verify,
    /// Write every event as a line of JSON.
    Export,
}

/// The command line as it is read: for what must know it without running anything.
pub fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// Does what `arguments` say, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    log_to_stderr();
    match perform(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(Stderr, "gapura: {error:#}").unwrap_or_default();
            ExitCode::FAILURE
        }
    }
}

fn perform(Arguments { config, command }: Arguments) -> Result<()> {
    let clock = Clock::system();
    let now = clock.now();
    let folder = SiteFolder::of_configuration(&config);
    let read = || Config::read(&config, environment()).map_err(anyhow::Error::from);
    match command {
        Command::Init(init) => make_site(init, now),
        Command::Door(command) => devices::perform_door(&folder, command, read, now),
        Command::Monitor(command) => devices::perform_monitor(&folder, command, now),
        Command::Helper(command) => devices::perform_helper(&folder, command, now),
        Command::Token(command) => tokens::perform(&folder, command, now),
        Command::Policy(command) => policy::perform(&read()?, command, now),
        Command::Query(command) => queries::perform_at_terminal(&read()?, command),
        Command::Renew { host_names } => devices::print_handed_out(&site::renew_gateway(&folder, &host_names, now)?),
        Command::CheckConfig => check::check(&read()?),
        Command::Import(import) => people::import(&read()?, import, now),
        Command::Export(export) => people::export(&read()?, &export),
        Command::Pass(command) => pass::perform(command, now, &mut io::stdout().lock()),
        Command::Log(command) => read_log(&read()?, command),
        Command::Run => run::run(read()?, clock),
    }
}

/// The variables that can be settings: whatever else is there need not be text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
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
        return print_line(format_args!("{}", serde_json::json!({ "admin_token": token })));
    }
    print_line(format_args!(
        "The site {} is in {}.\n\nThe administrator's token, shown this once:\n\n  {token}\n\nNext:\n  \
         gapura --config {config} door add main-in --zone main\n  gapura --config {config} import people people.csv\n  \
         gapura --config {config} run",
        options.site,
        init.dir.display(),
        config = made.folder.gapura_toml().display(),
    ))
}

fn read_log(config: &Config, command: LogCommand) -> Result<()> {
    // The chain holds or does not, whoever the events are about.
    let keys = if matches!(command, LogCommand::Verify) { inputs::Keys::NotNeeded } else { inputs::Keys::Wanted };
    let (_log, reader) = inputs::open_log_read_only(config, keys)?;
    match command {
        LogCommand::Verify => {
            let verified = reader.verify()?;
            let store::log::Verified { segments, events, link } = verified;
            print_line(format_args!(
                "{events} events in {segments} segments, all well; the hash of the newest segment is {link}"
            ))
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
    let filter = "info,rustls=error";
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| filter.into());
    let ansi = io::stderr().is_terminal();
    // A second one in the same process is refused, and the first stays.
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(Stderr::default).with_ansi(ansi).try_init().ok();
}
