//! Why a command failed, in words that are said as they stand.

use crate::auth::hashing::PasswordError;
use crate::config::ConfigurationError;
use crate::opening::OpeningError;
use crate::store::accounts::AccountError;
use crate::store::api_keys::ApiKeyError;
use crate::store::clients::ClientError;
use crate::store::delegations::DelegationError;
use crate::store::error::StoreError;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong in a way that its grammar can't tell.
    #[error("{0}")]
    Usage(String),
    /// The settings are wrong.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// It could not, or must not, be done.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// Whether other arguments or settings are needed, rather than another state of the world.
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::Usage(_) | Self::Configuration(_) => true,
            Self::Refused(_) => false,
        }
    }
}

/// Each of these is said as it stands.
macro_rules! refused {
    ($($error:ty),+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Refused(format!("{error:#}"))
            }
        })+
    };
}
refused!(
    std::io::Error,
    StoreError,
    OpeningError,
    AccountError,
    ClientError,
    ApiKeyError,
    DelegationError,
    PasswordError,
    anyhow::Error
);
