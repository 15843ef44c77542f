//! The command line: which part runs, and the exit code.

use std::ffi::OsString;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::audit::command::AuditArgs;
use crate::demo::{self, DemoArgs};
use crate::history::{self, HistoryArgs};
use crate::load::args::LoadArgs;
use crate::load::idle::Idle;
use crate::load::monitors::Monitors;
use crate::load::{Fleet, Report};
use crate::signals::Interrupts;
use crate::upstream;

/// Plays a fleet of door readers against the gateway, and proves that nothing was lost.
#[derive(Debug, Parser)]
#[command(name = "gapura-sim", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Readers that scan
    Load(Box<LoadArgs>),
    /// Compares what readers had acknowledged, the gateway's log and the upstream's ledger
    Audit(AuditArgs),
    /// Stands in for head office: takes the gateway's events over mTLS, and keeps a ledger
    Upstream(upstream::Arguments),
    /// All of that on loopback, with a gateway and a temporary site of its own
    Demo(DemoArgs),
    /// A month of a regency of which everything is known, sent through a gateway of its own, and its answers compared
    History(HistoryArgs),
    /// The gateway's own command line, for the demo
    #[command(hide = true, disable_help_flag = true)]
    Gapura {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Runs what the command line says. Exit code 1: it did not work, or something was lost.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Load(args) => in_runtime(load(&args)),
        Command::Audit(args) => in_runtime(audit(&args)),
        Command::Upstream(args) => in_runtime(upstream(args)),
        Command::Demo(args) => {
            // Both ends of every connection: the gateway inherits the limit.
            files_for(args.doors.saturating_mul(2));
            in_runtime(demo::run(&args))
        }
        Command::History(args) => {
            // Two doors for each zone and gate, and both ends of every connection.
            files_for(4 * (u32::from(args.zones) + args.staff / 500));
            in_runtime(history::run(&args))
        }
        Command::Gapura { arguments } => Ok(gapura(arguments)),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn gapura(arguments: Vec<OsString>) -> ExitCode {
    gateway::cli::main(std::iter::once("gapura".into()).chain(arguments))
}

fn in_runtime(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    let done = runtime.block_on(work);
    // A read of standard input may still be pending, and cannot be called off.
    runtime.shutdown_background();
    done
}

async fn load(args: &LoadArgs) -> Result<ExitCode> {
    files_for(args.doors.saturating_add(args.monitors.into()));
    if args.idle {
        return idle(args).await;
    }
    let mut interrupts = Interrupts::catch()?;
    let plan = args.plan()?;
    let mut monitors = Monitors::connect(&plan, &args.monitor_plan()?).await?;
    let fleet = tokio::select! {
        fleet = Fleet::connect(plan) => fleet?,
        () = interrupts.next() => bail!("interrupted while the readers were connecting"),
    };
    monitors.begin();
    let mut report = tokio::select! {
        report = fleet.scan() => report?,
        () = interrupts.next() => fleet.report()?,
    };
    if args.monitors > 0 {
        report.monitors = Some(monitors.leave().await?);
    }
    fleet.leave().await?;
    print(&report, args.json)?;
    let problems = report.problems();
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Raises the limit of open files as far as this many connections need and the system allows.
fn files_for(connections: u32) {
    let needed = u64::from(connections) + 256;
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    if limit.current.is_some_and(|current| current < enough) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(enough), maximum: limit.maximum });
        if raised.is_err() || enough < needed {
            eprintln!("warning: {connections} connections need {needed} open files, see `ulimit -n`");
        }
    }
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

async fn audit(args: &AuditArgs) -> Result<ExitCode> {
    let report = args.run().await?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn upstream(args: upstream::Arguments) -> Result<ExitCode> {
    upstream::run(args).await?;
    Ok(ExitCode::SUCCESS)
}

async fn idle(args: &LoadArgs) -> Result<ExitCode> {
    let mut interrupts = Interrupts::catch()?;
    let plan = args.plan()?;
    let idle = Idle::connect(&plan).await?;
    println!("{}", serde_json::json!({ "connected": idle.connected() }));
    if let Some(first) = idle.failures().first() {
        eprintln!("error: {} did not connect; the first: {first:#}", idle.failures().len());
    }
    let hold = args.hold_s.map_or(Duration::MAX, Duration::from_secs);
    tokio::select! {
        () = tokio::time::sleep(hold) => {}
        () = enter() => {}
        () = interrupts.next() => {}
    }
    Ok(if idle.failures().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns when Enter is pressed; never when there is nobody to press it.
async fn enter() {
    let pressed = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0; 1]));
    if !matches!(pressed.await, Ok(Ok(1..))) {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn refusal(arguments: &str) -> String {
        Cli::try_parse_from(format!("gapura-sim {arguments}").split(' ')).unwrap_err().to_string()
    }

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_command_line_says_what_is_wrong() {
        let plain = "load --site s --plaintext";
        for (arguments, words) in [
            (format!("{plain} --mix good=90,unknown=5"), "the percentages come to 95, they must come to 100"),
            (format!("{plain} --address 127.0.0.1"), "give HOST:PORT"),
            (format!("{plain} --address ::1:1883"), "the host is a name or an IPv4 address"),
            (format!("{plain} --address h:99999"), "the port is a number"),
            (format!("{plain} --rate=-1"), "allowed are 0 to"),
            (format!("{plain} --qos 3"), "3 is not in 0..=2"),
            (format!("{plain} --doors 0"), "0 is not in 1..=100000"),
            (format!("{plain} --scans 5 --duration-s 5"), "cannot be used with"),
            (format!("{plain} --hold-s 5"), "--idle"),
            (format!("{plain} --ca x"), "cannot be used with"),
            (format!("{plain} --monitors 1001"), "1001 is not in 0..=1000"),
            (format!("{plain} --monitors 2 --monitors-certificates d"), "cannot be used with"),
            ("load --site s".into(), "--certificates"),
            ("load --site s --certificates d".into(), "--ca"),
            ("load --site S --plaintext".into(), "use 1 to 32 of the characters"),
            ("audit --acked a".into(), "--events"),
            ("audit --gateway http://127.0.0.1:1".into(), "--token"),
        ] {
            let refusal = refusal(&arguments);
            assert!(refusal.contains(words), "{arguments}: {refusal}");
        }
    }

    #[test]
    fn a_token_may_begin_with_a_hyphen() {
        for token in ["-eXyz", "--Xyz", "Xyz"] {
            let arguments = ["gapura-sim", "audit", "--gateway", "http://127.0.0.1:1", "--token", token];
            Cli::try_parse_from(arguments).unwrap();
        }
    }

    #[test]
    fn the_gateways_own_arguments_are_passed_on_as_they_are() {
        let cli = Cli::try_parse_from(["gapura-sim", "gapura", "init", "dir", "--json", "--help"]).unwrap();
        let Command::Gapura { arguments } = cli.command else { panic!("another command") };
        assert_eq!(arguments, ["init", "dir", "--json", "--help"]);
    }
}
