//! The command line of the suite. Exit codes: 0 every MUST holds and no attack succeeds, 1 one doesn't, 2 wrong usage or no usable target.

use clap::Parser;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use countersign_conformance::case::{Case, Level};
use countersign_conformance::catalogue::{Catalogue, FEATURES};
use countersign_conformance::expectations::Expectations;
use countersign_conformance::report::{self, Summary, terminal::Progress};
use countersign_conformance::run::Run;
use countersign_conformance::start::Started;
use countersign_conformance::target::Target;

/// Holds an OAuth 1.0a provider against RFC 5849 and its companions.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The target file.
    #[arg(required_unless_present_any = ["list", "features"])]
    target: Option<PathBuf>,
    /// Only cases whose id begins with this; may be given more than once.
    #[arg(long, value_name = "PREFIX")]
    only: Vec<String>,
    /// Only cases of this level: MUST, attack, SHOULD or MAY; may be given more than once.
    #[arg(long, value_name = "LEVEL", value_parser = read_level)]
    level: Vec<Level>,
    /// Lists the cases and runs none.
    #[arg(long)]
    list: bool,
    /// Lists the features that a target may claim.
    #[arg(long)]
    features: bool,
    /// Known deviations and their reasons.
    #[arg(long, value_name = "FILE")]
    expectations: Option<PathBuf>,
    /// Cases from a folder instead of the built-in ones.
    #[arg(long, value_name = "FOLDER")]
    cases: Option<PathBuf>,
    /// Writes a JSON report.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes a JUnit XML report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes a self-contained HTML report.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes a Markdown report.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// The Python that a provider of the suite's own runs with, instead of a temporary virtual environment.
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Seconds for the whole run; cases that come later are unclear.
    #[arg(long, value_name = "SECONDS", default_value_t = 110)]
    deadline: u64,
    /// Neither progress nor table.
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            let _ = writeln!(io::stderr(), "countersign-conformance: {why}");
            ExitCode::from(2)
        }
    }
}

/// `Ok(true)` when nothing that counts failed; `Err` when the suite could not be used.
fn run(arguments: &Arguments) -> Result<bool, String> {
    if arguments.features {
        return list(FEATURES.iter().map(|(name, what)| format!("{name:<22} {what}"))).map(|()| true);
    }
    let catalogue = match &arguments.cases {
        None => Catalogue::built_in()?,
        Some(folder) => Catalogue::from_folder(folder)?,
    };
    let chosen: Vec<Case> = catalogue.cases.iter().filter(|c| is_chosen(c, arguments)).cloned().collect();
    if chosen.is_empty() {
        return Err("no case is chosen by --only and --level; --list shows them all".into());
    }
    if arguments.list {
        let line = |c: &Case| format!("{:<7} {:<22} {:<52} {}", c.level.name(), c.rfc, c.id, c.title);
        return list(chosen.iter().map(line)).map(|()| true);
    }
    let file = arguments.target.as_deref().ok_or("no target file is given")?;
    let expectations = match &arguments.expectations {
        None => Expectations::default(),
        Some(file) => Expectations::load(file)?,
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    let started = match Target::load_start(file).map_err(|e| e.to_string())? {
        None => None,
        Some(start) => Some(Started::start(&start, folder, arguments.python.as_deref(), &[])?),
    };
    let target = Target::load(file, started.as_ref().map(|s| s.address.as_str())).map_err(|e| e.to_string())?;
    if let Some(unknown) = target.claims.iter().find(|c| !FEATURES.iter().any(|(f, _)| f == c)) {
        return Err(format!("the target file: no feature is called `{unknown}`; --features lists them"));
    }

    let run = Run::new(&target, Instant::now() + Duration::from_secs(arguments.deadline));
    run.preflight()?;
    let progress = Progress::new(chosen.len(), arguments.quiet);
    let results = run.all(&chosen, &|result| progress.tell(result));
    progress.end();

    let secrets = run.secrets.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let summary = Summary {
        target: &target.name,
        catalogue: &catalogue,
        results: &results,
        expectations: &expectations,
        secrets,
    };
    write_file(arguments.json.as_deref(), || report::json::write(&summary))?;
    write_file(arguments.junit.as_deref(), || report::junit::write(&summary))?;
    write_file(arguments.html.as_deref(), || report::html::write(&summary))?;
    write_file(arguments.markdown.as_deref(), || report::markdown::write(&summary))?;
    if !arguments.quiet {
        tolerant(report::terminal::write(&mut io::stdout().lock(), &summary))?;
    }
    Ok(!summary.is_failure())
}

fn is_chosen(case: &Case, arguments: &Arguments) -> bool {
    let named = arguments.only.is_empty() || arguments.only.iter().any(|p| case.id.starts_with(p.as_str()));
    named && (arguments.level.is_empty() || arguments.level.contains(&case.level))
}

fn read_level(text: &str) -> Result<Level, String> {
    let known = report::LEVELS.into_iter().find(|l| l.name().eq_ignore_ascii_case(text));
    known.ok_or_else(|| "a level is MUST, attack, SHOULD or MAY".to_owned())
}

fn list(lines: impl Iterator<Item = String>) -> Result<(), String> {
    let mut out = io::stdout().lock();
    for line in lines {
        tolerant(writeln!(out, "{}", line.trim_end()))?;
    }
    Ok(())
}

/// Output that nobody reads on (`… | head`) is no mistake.
fn tolerant(written: io::Result<()>) -> Result<(), String> {
    match written {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {e}")),
        _ => Ok(()),
    }
}

fn write_file(file: Option<&Path>, text: impl FnOnce() -> String) -> Result<(), String> {
    match file {
        None => Ok(()),
        Some(file) => std::fs::write(file, text()).map_err(|e| format!("{}: {e}", file.display())),
    }
}
