//! The command line: which part runs, and the exit code.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::load::args::LoadArgs;
use crate::load::idle::Idle;
use crate::load::{Fleet, Report};

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
}

/// Runs what the command line says. Exit code 1: it did not work, or something was lost.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Load(args) => in_runtime(load(&args)),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn in_runtime(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    let done = runtime.block_on(work);
    // A read of standard input may still be pending, and cannot be called off.
    runtime.shutdown_background();
    done
}

async fn load(args: &LoadArgs) -> Result<ExitCode> {
    if args.idle {
        return idle(args).await;
    }
    let fleet = tokio::select! {
        fleet = Fleet::connect(args.plan()?) => fleet?,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            bail!("interrupted while the readers were connecting");
        }
    };
    let report = tokio::select! {
        report = fleet.scan() => report?,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            fleet.report()?
        }
    };
    fleet.leave().await?;
    print(&report, args.json)?;
    let problems = report.problems();
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

async fn idle(args: &LoadArgs) -> Result<ExitCode> {
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
        signal = tokio::signal::ctrl_c() => signal?,
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
