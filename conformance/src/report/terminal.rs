//! The table and the progress bar of a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use super::{LEVELS, Summary};
use crate::run::{Result as CaseResult, Verdict};

/// A bar on standard error, drawn only on a terminal.
#[derive(Debug)]
pub struct Progress {
    total: usize,
    state: Mutex<(usize, usize)>,
    drawn: bool,
}

impl Progress {
    /// A bar for so many cases.
    pub fn new(total: usize, quiet: bool) -> Progress {
        Progress { total, state: Mutex::new((0, 0)), drawn: !quiet && io::stderr().is_terminal() }
    }

    /// One more case is done.
    pub fn tell(&self, result: &CaseResult) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 += 1;
        state.1 += usize::from(result.verdict.is_bad());
        if self.drawn {
            let filled = state.0 * 30 / self.total.max(1);
            let bar = format!("{}{}", "█".repeat(filled), "░".repeat(30_usize.saturating_sub(filled)));
            let _ = write!(io::stderr(), "\r{bar} {}/{}  {} not passed ", state.0, self.total, state.1);
        }
    }

    /// Wipes the bar away.
    pub fn end(&self) {
        if self.drawn {
            let _ = write!(io::stderr(), "\r{}\r", " ".repeat(70));
        }
    }
}

/// The table of a run.
pub fn write(out: &mut dyn Write, summary: &Summary<'_>) -> io::Result<()> {
    writeln!(out, "{}\n", summary.target)?;
    writeln!(out, "{:<26} {:<44} {:>7} {:>7} {:>6} {:>8}", "section", "", "passed", "failed", "known", "not run")?;
    for (section, results) in summary.by_section() {
        let count = summary.count(results.into_iter());
        let title: String = section.title.chars().take(44).collect();
        writeln!(
            out,
            "{:<26} {title:<44} {:>7} {:>7} {:>6} {:>8}",
            section.id,
            count.passed,
            dash(count.bad),
            dash(count.known),
            dash(count.skipped)
        )?;
    }
    writeln!(out)?;
    for level in LEVELS {
        let count = summary.level(level);
        writeln!(
            out,
            "{:<71} {:>7} {:>7} {:>6} {:>8}",
            level.name(),
            count.passed,
            dash(count.bad),
            dash(count.known),
            dash(count.skipped)
        )?;
    }
    if summary.bad().next().is_some() {
        writeln!(out, "\nNot passed:")?;
    }
    for result in summary.bad() {
        writeln!(out, "\n  {:<7} {}  ({})", result.case.level.name(), result.case.id, result.case.rfc)?;
        writeln!(out, "          {}", result.case.title)?;
        let kind = if matches!(result.verdict, Verdict::Unclear(_)) { "unclear: " } else { "" };
        writeln!(out, "          {kind}{}", summary.reason(result))?;
        if let Some(why) = &result.case.disputed {
            writeln!(out, "          disputed: {why}")?;
        }
    }
    let known: Vec<_> = summary.results.iter().filter_map(|r| Some((r, summary.known(r)?))).collect();
    if !known.is_empty() {
        writeln!(out, "\nKnown deviations:")?;
    }
    for (result, why) in known {
        writeln!(out, "  {:<7} {}: {why}", result.case.level.name(), result.case.id)?;
    }
    for stale in summary.expectations.stale(summary.target, summary.results) {
        writeln!(out, "\n  {} is expected to deviate and does not: take it out of the expectations", stale.case)?;
    }
    Ok(())
}

fn dash(count: usize) -> String {
    if count == 0 { "–".into() } else { count.to_string() }
}
