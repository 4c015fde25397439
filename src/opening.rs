//! The way to the data, by the configuration: database, master key, vault, replay store. `serve` and every command that touches
//! data begin here.
//!
//! SQLite is migrated on the way; PostgreSQL only by `countersign migrate`, because several nodes of different versions may share it.

mod replay;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use replay::open_replay;

use crate::config::Configuration;
use crate::store::connection::{Database, DatabaseOptions, OpenError};
use crate::store::error::StoreError;
use crate::store::master_key;
use crate::store::vault::{MasterKey, MasterKeyError, MasterKeys, Vault};
use crate::time::Clock;

/// The opened store.
#[derive(Clone)]
pub struct Opened {
    pub database: Database,
    pub vault: Arc<Vault>,
    /// The one that seals.
    pub master_key: MasterKey,
    /// Whether there was no database file before.
    pub is_new: bool,
}

/// Why the store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    #[error(transparent)]
    Database(#[from] OpenError),
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// PostgreSQL is not at this version.
    #[error("the database lacks {} migration(s) of this version ({}): run `countersign migrate`", .0.len(), .0.join(", "))]
    NotMigrated(Vec<String>),
    /// Nothing was changed.
    #[error(
        "the database was sealed with another master key: give the right one by COUNTERSIGN_MASTER_KEY or \
         COUNTERSIGN_MASTER_KEY_FILE{}", .0.as_ref().map(|path| format!(", or put {} back", path.display())).unwrap_or_default()
    )]
    OtherMasterKey(Option<PathBuf>),
    #[error("a PostgreSQL database needs a master key: set COUNTERSIGN_MASTER_KEY or COUNTERSIGN_MASTER_KEY_FILE")]
    NoMasterKey,
}

/// Opens the database, migrates it if it is SQLite, and gets the master key: the configured one, or the file beside a SQLite database, which
/// is made if it isn't there. `patience`: how long an answer of the database is waited for; commands have time.
///
/// # Errors
/// [`OpeningError`]. Nothing was changed but, perhaps, an empty SQLite file made.
pub async fn open(configuration: &Configuration, patience: Option<Duration>) -> Result<Opened, OpeningError> {
    let is_new = configuration.database.url.sqlite_path().is_some_and(|path| !path.exists());
    let database = open_database(configuration, patience)?;
    if configuration.database.url.is_postgres() {
        let pending = database.pending_migrations().await?;
        if !pending.is_empty() {
            return Err(OpeningError::NotMigrated(pending));
        }
    } else {
        database.migrate().await?;
    }
    let keys = master_keys(configuration, &database).await?;
    let vault = Arc::new(keys.vault());
    match master_key::prove(&database, &vault, Clock::system().now()).await {
        Err(StoreError::Sealed { .. }) => return Err(OpeningError::OtherMasterKey(key_file(configuration))),
        proved => proved?,
    }
    Ok(Opened { database, vault, master_key: keys.active().clone(), is_new })
}

/// Opens the database as it is.
///
/// # Errors
/// [`OpenError`].
pub fn open_database(configuration: &Configuration, patience: Option<Duration>) -> Result<Database, OpenError> {
    let connections = configuration.database.connections;
    let options = DatabaseOptions { connections, patience, ..DatabaseOptions::default() };
    Database::open(configuration.database.url.clone(), options)
}

async fn master_keys(configuration: &Configuration, database: &Database) -> Result<MasterKeys, OpeningError> {
    match (&configuration.master_key, key_file(configuration)) {
        (Some(given), _) => Ok(MasterKeys::from_base64(given.expose())?),
        // A new key would open nothing of what is there.
        // Asked twice: another process may be making both.
        (None, Some(file)) if !file.exists() && master_key::is_in_use(database).await? && !file.exists() => {
            Err(OpeningError::OtherMasterKey(Some(file)))
        }
        (None, Some(file)) => Ok(MasterKeys::load_or_create(&file)?),
        (None, None) if configuration.database.url.is_postgres() => Err(OpeningError::NoMasterKey),
        // What a database in memory holds is gone with its key.
        (None, None) => Ok(MasterKeys::generate()),
    }
}

/// Where the key lies unless it is configured.
fn key_file(configuration: &Configuration) -> Option<PathBuf> {
    configuration.database.url.sqlite_path().map(|database| beside(database, ".key"))
}

/// `countersign.db` → `countersign.db.key`, in the same folder.
fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_key_lies_beside_the_database() {
        assert_eq!(beside(Path::new("/var/lib/x.db"), ".key"), Path::new("/var/lib/x.db.key"));
    }
}
