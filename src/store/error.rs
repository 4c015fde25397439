//! What goes wrong in the store, and what diesel's errors mean.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why a unit of work came to nothing. Names no secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More work waits than the queue takes; nothing was done.
    #[error("the database is busy")]
    Busy,
    /// There is no connection, or it broke; what was under way was not acknowledged.
    #[error("the database can't be reached: {0}")]
    Unavailable(String),
    /// The database refused a statement.
    #[error("the database refused: {0}")]
    Refused(String),
    /// The server only reads; whichever is asked for a write says so, and the questions for the migrations and whether we are ready.
    #[error(
        "the database server only reads: it is a standby, or default_transaction_read_only is on; database.url must \
         name the one that writes (target_session_attrs=read-write finds it among several hosts)"
    )]
    OnlyReads,
    /// A right is missing.
    #[error(
        "the database refused: {0}: the role of database.url must own the database's tables and may create others in their \
         schema (docs/OPERATIONS.md, \"Rights in PostgreSQL\", has what to run)"
    )]
    Rights(String),
    /// Another file lies where ours was opened, or none: whatever is written there, nobody finds again.
    #[error(
        "the database file {0} was moved or replaced while this server had it open: stop the server, see that the right \
         file lies there with its -wal, and start it again"
    )]
    Moved(String),
    /// A row holds what this version doesn't write.
    #[error("the database holds an unreadable {what}")]
    Corrupt {
        /// Table and column.
        what: &'static str,
    },
    /// A sealed secret doesn't open: another master key, or somebody changed the row.
    #[error("a sealed {what} can't be opened: is this the right master key?")]
    Sealed {
        /// Table and column.
        what: &'static str,
    },
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                information,
            ) => Self::Unavailable(information.message().trim().to_owned()),
            // libpq has no code for a connection that is gone, only these words.
            DieselError::DatabaseError(DatabaseErrorKind::Unknown, information)
                if ["connection", "the database system is"]
                    .iter()
                    .any(|words| information.message().contains(words)) =>
            {
                Self::Unavailable(information.message().trim().to_owned())
            }
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => Self::OnlyReads,
            DieselError::BrokenTransactionManager => Self::Unavailable("the transaction broke off".to_owned()),
            // The message alone: details can repeat values.
            DieselError::DatabaseError(_, information) if is_about_rights(information.message()) => {
                Self::Rights(information.message().to_owned())
            }
            DieselError::DatabaseError(_, information) => Self::Refused(information.message().to_owned()),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// PostgreSQL's words for a missing right: diesel passes no code on.
pub(super) fn is_about_rights(message: &str) -> bool {
    message.contains("permission denied") || message.contains("must be owner of")
}

/// Whether an insert lost against a row with the same key.
pub(super) fn is_taken(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
}

/// Whether a row points at one that isn't there.
pub(super) fn is_dangling(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _))
}

/// Lets `?` carry diesel's errors into an error that has [`StoreError`] as a variant.
macro_rules! carries_diesel {
    ($error:ty) => {
        impl From<diesel::result::Error> for $error {
            fn from(error: diesel::result::Error) -> Self {
                $crate::store::error::StoreError::from(error).into()
            }
        }
    };
}
pub(super) use carries_diesel;
