//! `doctor`: checks a live deployment from outside, as a client sees it, and names the line to change.
//!
//! It makes an account, a client and an access token for itself in the configured database, sends requests through the
//! proxy, and takes all of it away again. What the API hears can only be checked in its place (`--echo`). It changes no
//! configuration.

mod wire;
mod patient;
mod checks;
mod claims;
mod heard;

use actix_web::rt::signal::unix::{SignalKind, signal};
use clap::Args;
use serde::Serialize;

use super::operator::Operator;
use super::output::{self, FormatArgs, Shape};
use super::{Failure, SourceArgs};
use patient::Patient;

const ENDED: &str = "ended before the examination was; the account and all that was made for it is taken away again";

#[derive(Args)]
pub struct DoctorArgs {
    /// Where clients reach the API: the proxy's address, such as https://api.example.com
    #[arg(long, value_name = "URL")]
    proxy: String,
    /// A path whose route admits oauth1; the API may answer anything there but a refusal of its own
    #[arg(long, default_value = "/countersign-doctor")]
    path: String,
    /// Stand in the API's place at this address while checking (stop the API first): shows what it would hear
    #[arg(long, value_name = "ADDR")]
    echo: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

/// One finding.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    result: Verdict,
    /// What was seen.
    seen: String,
    /// The line to change; empty when all is well.
    change: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Bad,
    /// Nothing can be said.
    Unknown,
}

impl Shape for Finding {
    const COLUMNS: &'static [&'static str] = &["check", "result", "seen", "change"];
}

/// Checks the deployment; fails if anything is bad.
///
/// # Errors
/// [`Failure`]: settings, nobody answers, or a bad finding.
pub fn run(args: DoctorArgs, sources: SourceArgs) -> Result<(), Failure> {
    let format = args.format.format();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(async {
        let operator = Operator::new(sources).await?;
        // From here on, a signal is no end yet: what was made is taken away first.
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let patient = Patient::admit(&args, &operator).await?;
        let findings = tokio::select! {
            findings = patient.examine(&operator) => findings,
            _ = interrupt.recv() => Err(anyhow::anyhow!(ENDED)),
            _ = terminate.recv() => Err(anyhow::anyhow!(ENDED)),
        };
        patient.discharge(&operator).await?;
        Ok::<_, Failure>(findings?)
    })?;
    output::list(format, &findings)?;
    match findings.iter().filter(|finding| finding.result == Verdict::Bad).count() {
        0 => Ok(()),
        bad => Err(Failure::Refused(format!("{bad} of {} checks found something to change", findings.len()))),
    }
}
