//! The one way to connect to each database.

use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};

use super::AnyConnection;
use crate::config::DatabaseUrl;
use crate::store::error::StoreError;

/// The address for libpq, with limits where the operator gave none: a server that is gone without a word must
/// not hold a thread for minutes.
fn for_libpq(url: &str) -> String {
    let mut url = url.to_owned();
    let limits = [("connect_timeout", "5"), ("tcp_user_timeout", "5000"), ("application_name", "countersign")];
    for (name, value) in limits {
        if !url.contains(&format!("{name}=")) {
            let separator = if url.contains('?') { '&' } else { '?' };
            url.push_str(&format!("{separator}{name}={value}"));
        }
    }
    url
}

/// What a commit is on PostgreSQL, whatever the server's defaults are: never one that fails because of another, and on the disk before it
/// is acknowledged. What waits for standbys too stays as the operator set it.
pub(in crate::store) const OUR_COMMITS: &str = "SET default_transaction_isolation = 'read committed'; \
     SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') IN ('off', 'local')";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

pub(super) fn connect(url: &DatabaseUrl, access: Access) -> Result<AnyConnection, StoreError> {
    let unavailable = |error: diesel::ConnectionError| StoreError::Unavailable(error.to_string());
    match url {
        DatabaseUrl::Memory => {
            let mut connection = SqliteConnection::establish(":memory:").map_err(unavailable)?;
            connection.batch_execute("PRAGMA foreign_keys = ON")?;
            Ok(AnyConnection::Sqlite(connection))
        }
        DatabaseUrl::File(path) => {
            let mut connection = open_file(path)?;
            if access == Access::Read {
                connection.batch_execute("PRAGMA query_only = ON")?;
            }
            Ok(AnyConnection::Sqlite(connection))
        }
        DatabaseUrl::Postgres(url) => {
            let mut connection = PgConnection::establish(&for_libpq(url)).map_err(unavailable)?;
            // A process that freezes inside a transaction (a paused virtual machine) keeps its locks until the server
            // ends it. Whoever waits for them waits longer than that, and less long than a request does.
            connection.batch_execute(
                "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '3s'; \
                 SET lock_timeout = '5s'; SET client_min_messages = warning",
            )?;
            connection.batch_execute(OUR_COMMITS)?;
            Ok(AnyConnection::Postgres(connection))
        }
    }
}

/// Opens a SQLite file as we use it: write-ahead log, each commit on the disk before it is acknowledged, foreign keys
/// on, and ten seconds of patience with another process that writes.
fn open_file(path: &Path) -> Result<SqliteConnection, StoreError> {
    let name = path.to_str().ok_or_else(|| StoreError::Unavailable("the path isn't UTF-8".to_owned()))?;
    create_for_owner(path).map_err(|error| StoreError::Unavailable(format!("{name}: {error}")))?;
    // A leading `./` keeps a relative name that looks like an address from being read as one.
    let name = if path.is_absolute() { name.to_owned() } else { format!("./{name}") };
    let mut connection =
        SqliteConnection::establish(&name).map_err(|error| StoreError::Unavailable(format!("{name}: {error}")))?;
    connection.batch_execute(
        "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
    )?;
    Ok(connection)
}

/// The file that a database was opened as, if it is one. SQLite goes on with a file that was moved or deleted, and a connection that is
/// opened later has another one.
#[derive(Clone)]
pub(in crate::store) struct OpenedFile(Option<(PathBuf, (u64, u64))>);

impl OpenedFile {
    /// The one that is there now.
    pub(super) fn of(url: &DatabaseUrl) -> std::io::Result<Self> {
        match url {
            DatabaseUrl::File(path) => Ok(Self(Some((path.clone(), identity(path)?)))),
            DatabaseUrl::Memory | DatabaseUrl::Postgres(_) => Ok(Self(None)),
        }
    }

    /// Whether it still is.
    ///
    /// # Errors
    /// [`StoreError::Moved`].
    pub(in crate::store) fn is_in_place(&self) -> Result<(), StoreError> {
        match &self.0 {
            Some((path, opened)) if identity(path).ok() != Some(*opened) => {
                Err(StoreError::Moved(path.display().to_string()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Which file that is, whatever its name: device and inode.
#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Elsewhere an open file can't be moved.
#[cfg(not(unix))]
fn identity(_: &Path) -> std::io::Result<(u64, u64)> {
    Ok((0, 0))
}

/// Makes the file, if it isn't there, so that its owner alone can read it; SQLite gives its side files the same mode.
///
/// One that is there is not even opened: to close it would free the locks that SQLite holds on it, which are the process's
/// (POSIX fcntl), and the next program that closes the file would take itself for its last user and remove the log.
fn create_for_owner(path: &Path) -> std::io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_limits_unless_it_has_its_own() {
        let url = for_libpq("postgres://db/x?connect_timeout=1");
        assert!(url.starts_with("postgres://db/x?connect_timeout=1&tcp_user_timeout="), "{url}");
        assert!(for_libpq("postgres://db/x").starts_with("postgres://db/x?connect_timeout="));
    }
}
