//! The command line of `gapura`.

mod api;
mod pass;
mod people;
mod policy;
mod tokens;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::{DoorId, Instant, Mode, SiteId};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::access::DEFAULT_POLICY;
use crate::app::{self, Addresses, Signals};
use crate::clock::Clock;
use crate::config::Config;
use crate::site::{self, AfterRevocation, HandedOut, InitOptions, NewDoor, SiteFolder};

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
    Door(Door),
    /// Add or revoke monitors, which watch all doors' decisions.
    #[command(subcommand)]
    Monitor(MonitorCommand),
    /// Add or revoke the devices of helpers, who say by hand who passes.
    #[command(subcommand)]
    Helper(HelperCommand),
    /// Add, list or revoke access tokens for HTTP.
    #[command(subcommand)]
    Token(tokens::Token),
    /// Check policies and try them out.
    #[command(subcommand)]
    Policy(policy::Policy),
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
enum Door {
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
}

#[derive(Debug, Subcommand)]
enum MonitorCommand {
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
enum HelperCommand {
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

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Read every event and every link of the chain.
    Verify,
    /// Write every event as a line of JSON.
    Export,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArgument {
    Off,
    Observe,
    Warn,
    Enforce,
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
    let read = || Config::read(&config, std::env::vars());
    match command {
        Command::Init(init) => make_site(init, now),
        Command::Door(Door::Add { doors, zone, mode, csr }) => add_doors(&folder, doors, &zone, mode, csr, now),
        Command::Door(Door::List) => list_doors(&folder, &read()?, now),
        Command::Door(Door::Renew { door, csr }) => tell(&site::reissue_door(&folder, &door, csr.as_deref(), now)?),
        Command::Door(Door::Revoke { door, reissue }) => revoke_door(&folder, &door, reissue, now),
        Command::Monitor(MonitorCommand::Add { name, csr }) => {
            tell(&site::add_monitor(&folder, &name, csr.as_deref(), now)?)
        }
        Command::Monitor(MonitorCommand::Revoke { name }) => {
            let revoked = site::revoke_monitor(&folder, &name, now)?;
            say(format_args!("{name}: {revoked} certificates revoked"))
        }
        Command::Helper(HelperCommand::Add { name, csr }) => {
            tell(&site::add_helper(&folder, &name, csr.as_deref(), now)?)
        }
        Command::Helper(HelperCommand::Revoke { name }) => {
            let revoked = site::revoke_helper(&folder, &name, now)?;
            say(format_args!("{name}: {revoked} certificates revoked"))
        }
        Command::Token(command) => tokens::perform(&folder, command, now),
        Command::Policy(command) => policy::perform(&read()?, command, now),
        Command::Renew { host_names } => tell(&site::renew_gateway(&folder, &host_names, now)?),
        Command::CheckConfig => check(&read()?),
        Command::Import(import) => people::import(&read()?, import, now),
        Command::Export(export) => people::export(&read()?, &export),
        Command::Pass(command) => pass::perform(command, now, &mut io::stdout().lock()),
        Command::Log(command) => look_at_log(&read()?, command),
        Command::Run => run(read()?, clock),
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
    site::add_doors(folder, &doors, now)?.iter().try_for_each(tell)
}

fn list_doors(folder: &SiteFolder, config: &Config, now: Instant) -> Result<()> {
    let time_zone = config.time_zone().map_err(|reason| anyhow!(reason))?;
    say(format_args!("{:<32}  {:<32}  {:<8}  {:<25}  SERIAL", "DOOR", "ZONE", "MODE", "CERTIFICATE UNTIL"))?;
    for door in site::list_doors(folder)? {
        let (until, serial) = match door.certificate {
            None => ("none".to_owned(), String::new()),
            Some(certificate) if certificate.revoked => ("revoked".to_owned(), certificate.serial),
            Some(certificate) => (certificate.not_after.to_string(), certificate.serial),
        };
        let mode = door.mode.and_then(|plan| plan.at(now, &time_zone)).map_or("by zone", Mode::as_str);
        let name = door.door.as_str();
        say(format_args!("{name:<32}  {:<32}  {mode:<8}  {until:<25}  {serial}", door.zone))?;
    }
    Ok(())
}

fn revoke_door(folder: &SiteFolder, door: &DoorId, reissue: bool, now: Instant) -> Result<()> {
    let after = if reissue { AfterRevocation::Reissue(None) } else { AfterRevocation::Nothing };
    let done = site::revoke_door(folder, door, after, now)?;
    say(format_args!("{door}: {} certificates revoked", done.newly_revoked))?;
    done.reissued.as_ref().map_or(Ok(()), tell)
}

/// Everything that `run` would read, read once.
fn check(config: &Config) -> Result<()> {
    let snapshot = app::read_snapshot(config)?;
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
            let crate::log::Verified { segments, events, seal } = verified;
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

fn run(config: Config, clock: Clock) -> Result<()> {
    raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let signals = signals()?;
        app::run(config, clock, signals, announce).await
    })
}

/// SIGTERM and SIGINT stop, SIGHUP reloads.
fn signals() -> Result<Signals> {
    let (stop, stopped) = watch::channel(false);
    let (reload, reloads) = watch::channel(0);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hang_up = signal(SignalKind::hangup())?;
    // With a handler, a file that reaches its size limit is a failed commit instead of the end of the process.
    let file_size = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    tokio::spawn(async move {
        let _file_size = file_size;
        loop {
            tokio::select! {
                _ = terminate.recv() => stop.send_replace(true),
                _ = interrupt.recv() => stop.send_replace(true),
                _ = hang_up.recv() => { reload.send_modify(|times| *times += 1); false }
            };
        }
    });
    Ok(Signals { stop: stopped, reload: reloads })
}

fn announce(addresses: Addresses) {
    #[derive(serde::Serialize)]
    struct Listening {
        event: &'static str,
        #[serde(flatten)]
        addresses: Addresses,
    }
    let line = serde_json::to_string(&Listening { event: "listening", addresses }).unwrap_or_default();
    say(format_args!("{line}")).ok();
    sd_notify::notify(&[sd_notify::NotifyState::Ready]).ok();
    tracing::info!(mqtt = %addresses.mqtt, http = %addresses.http, "listening");
}

/// Every door is an open file.
fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
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

fn tell(handed_out: &HandedOut) -> Result<()> {
    let HandedOut { role, certificate, key, not_after } = handed_out;
    match key {
        Some(key) => say(format_args!("{role}: {} and {}, until {not_after}", certificate.display(), key.display())),
        None => say(format_args!("{role}: {}, until {not_after}", certificate.display())),
    }
}

/// A line for whoever called; nobody may be listening any more.
fn say(line: std::fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output is closed")
}
