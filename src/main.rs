//! The program `countersign`: parses the command line, runs it, and turns the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use countersign::cli::{self, Cli};
use mimalloc::MiMalloc;

/// A request that waits for its commit is several blocks of memory for some milliseconds: a tenth of what a signed request costs
/// beyond hello world went into glibc's lists of free blocks.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
