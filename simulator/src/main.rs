//! The simulator's command line: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    simulator::cli::run(simulator::cli::Cli::parse())
}
