//! The run as a part of a Markdown page. It holds nothing that changes from run to run, so that a page regenerated is a page compared.

use std::fmt::Write;

use super::{LEVELS, Summary};

/// Totals, sections and whatever did not pass.
pub fn write(summary: &Summary<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "## {}\n", summary.target);
    let _ = writeln!(out, "| level | passed | failed | known deviations | not run |\n| --- | --: | --: | --: | --: |");
    for level in LEVELS {
        let c = summary.level(level);
        let _ = writeln!(out, "| {} | {} | {} | {} | {} |", level.name(), c.passed, c.bad, c.known, c.skipped);
    }
    let _ = writeln!(out, "\n| section | about | verdict | passed | of |\n| --- | --- | --- | --: | --: |");
    for (section, results) in summary.by_section() {
        let c = summary.count(results.iter().copied());
        let of = c.passed + c.bad + c.known;
        let _ = writeln!(out, "| {} | {} | {} | {} | {of} |", section.id, section.title, c.verdict(), c.passed);
    }
    let bad: Vec<_> = summary.bad().collect();
    if !bad.is_empty() {
        out.push_str("\nNot passed:\n\n");
    }
    for result in bad {
        let _ = writeln!(
            out,
            "- **{}** `{}` ({}): {}.{}",
            result.case.level.name(),
            result.case.id,
            result.case.rfc,
            result.case.title,
            result.case.disputed.as_ref().map(|d| format!(" Disputed: {d}")).unwrap_or_default()
        );
    }
    let known: Vec<_> = summary.results.iter().filter_map(|r| Some((r, summary.known(r)?))).collect();
    if !known.is_empty() {
        out.push_str("\nKnown deviations:\n\n");
    }
    for (result, why) in known {
        let _ = writeln!(
            out,
            "- **{}** `{}` ({}): {}. {why}",
            result.case.level.name(),
            result.case.id,
            result.case.rfc,
            result.case.title
        );
    }
    out
}
