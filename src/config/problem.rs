//! What may be wrong with a configuration. Every problem says where it stands and what to do; no problem repeats a secret.

use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// The configuration file; lines count from 1.
    File { path: PathBuf, line: usize },
    /// An environment variable, by its full name.
    Variable(String),
    /// A flag, such as `--listen`.
    Flag(&'static str),
    /// Nowhere: a default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Place::Variable(name) => write!(f, "environment variable {name}"),
            Place::Flag(name) => write!(f, "{name}"),
            Place::Default => write!(f, "default"),
        }
    }
}

/// One thing to put right.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{place}: {reason}")]
    Syntax { place: Place, reason: String },
    /// A key that the program does not know. `nearest` is written as the place would write it.
    #[error("{place}: unknown key `{key}`{}", suggestion(nearest))]
    UnknownKey { place: Place, key: String, nearest: Option<String> },
    #[error("{place}: `{key}`: {reason}")]
    Invalid { place: Place, key: String, reason: String },
    #[error("{place}: `{key}` is missing: {reason}")]
    Missing { place: Place, key: String, reason: &'static str },
    /// Two environment variables that mean the same setting.
    #[error("environment variables {first} and {second} set the same thing: keep one")]
    SetTwice { first: String, second: String },
    /// Keys that do not go together.
    #[error("{0}")]
    Conflict(String),
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// All that is wrong, at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigurationError {
    pub problems: Vec<Problem>,
}

impl std::error::Error for ConfigurationError {}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "{only}"),
            several => {
                write!(f, "the configuration has {} problems:", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}
