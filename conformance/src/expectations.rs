//! `expectations.toml`: deviations that are known, each with its reason. A deviation that no longer shows is told, so that the file
//! stays honest.

use serde::Deserialize;
use std::path::Path;

use crate::run::Result as CaseResult;

/// The deviations of one or more targets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Every known deviation.
    #[serde(default)]
    pub deviation: Vec<Deviation>,
}

/// A case that a target is known not to pass.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// The target's name.
    pub target: String,
    /// The case's id.
    pub case: String,
    /// Why, and whether reading the standard confirms it.
    pub reason: String,
    /// Whether it shows in some runs only, as a lost race does. It is then reported as a deviation in every run.
    #[serde(default)]
    pub sometimes: bool,
}

impl Expectations {
    /// Reads a file.
    pub fn load(file: &Path) -> Result<Expectations, String> {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let expectations: Expectations =
            toml::from_str(&text).map_err(|e| format!("{}: {}", file.display(), e.message()))?;
        match expectations.deviation.iter().find(|d| d.reason.trim().is_empty()) {
            Some(bare) => Err(format!("{}: the deviation of case {} has no reason", file.display(), bare.case)),
            None => Ok(expectations),
        }
    }

    /// The deviation of a target in a case, if it is known.
    pub fn find(&self, target: &str, case: &str) -> Option<&Deviation> {
        self.deviation.iter().find(|d| d.target == target && d.case == case)
    }

    /// Deviations of this target that did not show although their cases were run.
    pub fn stale(&self, target: &str, results: &[CaseResult]) -> Vec<&Deviation> {
        let passed = |id: &str| results.iter().any(|r| r.case.id == id && !r.verdict.is_bad());
        self.deviation.iter().filter(|d| d.target == target && !d.sometimes && passed(&d.case)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deviation_needs_a_reason() {
        let file = std::env::temp_dir().join(format!("expectations-{}.toml", std::process::id()));
        std::fs::write(&file, "[[deviation]]\ntarget = 't'\ncase = 'c'\nreason = ' '\n").unwrap();
        let read = Expectations::load(&file);
        std::fs::remove_file(&file).unwrap();
        assert!(read.unwrap_err().contains("no reason"));
    }
}
