//! The program `countersign`: parses the command line, runs it, and turns the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use countersign::cli::{self, Cli};

/// 0 done, 1 refused or failed, 2 wrong usage (clap says 2 by itself).
fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("countersign: {failure}");
            ExitCode::from(if failure.is_usage() { 2 } else { 1 })
        }
    }
}
