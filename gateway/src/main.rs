//! The gateway: parses its arguments, does as told, and exits.

fn main() -> std::process::ExitCode {
    gateway::cli::main(std::env::args_os())
}
