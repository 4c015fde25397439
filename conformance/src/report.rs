//! What is told about a run: on a terminal, and as JSON, JUnit XML, HTML and Markdown, all made from one [`Summary`].

pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod terminal;

use std::collections::BTreeSet;

use crate::case::Level;
use crate::catalogue::Catalogue;
use crate::expectations::Expectations;
use crate::http::Response;
use crate::line::Exchange;
use crate::redact::redact;
use crate::run::{Result as CaseResult, Verdict};

/// A run with everything that reports need.
#[derive(Debug)]
pub struct Summary<'a> {
    /// The target's name.
    pub target: &'a str,
    /// The cases and sections.
    pub catalogue: &'a Catalogue,
    /// Results in the order of the cases.
    pub results: &'a [CaseResult],
    /// Known deviations.
    pub expectations: &'a Expectations,
    /// What must not be shown.
    pub secrets: BTreeSet<String>,
}

/// How many cases went how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Passed.
    pub passed: usize,
    /// Failed or unclear, and not expected to.
    pub bad: usize,
    /// Failed or unclear as expected.
    pub known: usize,
    /// Not run.
    pub skipped: usize,
}

impl Count {
    /// One word for all of them.
    pub fn verdict(self) -> &'static str {
        match self {
            Count { bad: 1.., .. } => "fails",
            Count { known: 1.., .. } => "deviates",
            Count { passed: 1.., .. } => "passes",
            _ => "not run",
        }
    }
}

impl Summary<'_> {
    /// The reason why a result is a known deviation, if it is one.
    pub fn known(&self, result: &CaseResult) -> Option<&str> {
        let deviation = self.expectations.find(self.target, &result.case.id)?;
        let shows = result.verdict.is_bad() || (deviation.sometimes && result.verdict == Verdict::Passed);
        shows.then_some(deviation.reason.as_str())
    }

    /// Counts some results.
    pub fn count<'b>(&self, results: impl Iterator<Item = &'b CaseResult>) -> Count {
        let mut count = Count::default();
        for result in results {
            match &result.verdict {
                _ if self.known(result).is_some() => count.known += 1,
                Verdict::Passed => count.passed += 1,
                Verdict::Skipped(_) => count.skipped += 1,
                _ => count.bad += 1,
            }
        }
        count
    }

    /// The count of one level.
    pub fn level(&self, level: Level) -> Count {
        self.count(self.results.iter().filter(|r| r.case.level == level))
    }

    /// The results of each section that has any, in the order of the sections.
    pub fn by_section(&self) -> Vec<(&crate::catalogue::Section, Vec<&CaseResult>)> {
        let of = |id: &str| self.results.iter().filter(|r| r.case.rfc == id).collect::<Vec<_>>();
        self.catalogue.sections.iter().map(|s| (s, of(&s.id))).filter(|(_, results)| !results.is_empty()).collect()
    }

    /// Results that are neither passed nor known.
    pub fn bad(&self) -> impl Iterator<Item = &CaseResult> {
        self.results.iter().filter(|r| r.verdict.is_bad() && self.known(r).is_none())
    }

    /// Whether a MUST fails or an attack succeeds, or a known deviation no longer shows.
    pub fn is_failure(&self) -> bool {
        self.bad().any(|r| matches!(r.case.level, Level::Must | Level::Attack))
            || !self.expectations.stale(self.target, self.results).is_empty()
    }

    /// A verdict's reason, secrets hidden.
    pub fn reason(&self, result: &CaseResult) -> String {
        redact(result.verdict.reason(), &self.secrets)
    }

    /// A request as sent, secrets hidden.
    pub fn request(&self, exchange: &Exchange) -> String {
        shorten(redact(&String::from_utf8_lossy(&exchange.request), &self.secrets))
    }

    /// The answer as received, or why there is none.
    pub fn answer(&self, exchange: &Exchange) -> String {
        match &exchange.answer {
            Ok(Response { head, body, .. }) => {
                shorten(redact(&format!("{head}\r\n\r\n{}", String::from_utf8_lossy(body)), &self.secrets))
            }
            Err(error) => format!("({error})"),
        }
    }
}

fn shorten(text: String) -> String {
    const MOST: usize = 6000;
    if text.chars().count() <= MOST {
        return text;
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{start}\n… ({} characters in all)", text.chars().count())
}

/// The levels in the order of reports.
pub const LEVELS: [Level; 4] = [Level::Must, Level::Attack, Level::Should, Level::May];
