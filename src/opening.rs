//! The way to the data, by the configuration: database, master key, vault. `serve` and every command that touches data begin here.
//!
//! SQLite is migrated on the way; PostgreSQL only by `countersign migrate`, because several nodes of different versions may share it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Configuration;
use crate::store::connection::{Database, DatabaseSettings, OpenError, StoreError};
use crate::store::vault::{MasterKey, MasterKeyError, MasterKeys, Vault};

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
    #[error("a PostgreSQL database needs a master key: set COUNTERSIGN_MASTER_KEY or COUNTERSIGN_MASTER_KEY_FILE")]
    NoMasterKey,
}

/// Opens the database, migrates it if it is SQLite, and gets the master key: the configured one, or the file beside a SQLite database, which
/// is made if it isn't there.
///
/// # Errors
/// [`OpeningError`]. Nothing was changed but, perhaps, an empty SQLite file made.
pub async fn open(configuration: &Configuration) -> Result<Opened, OpeningError> {
    let is_new = configuration.database.url.sqlite_path().is_some_and(|path| !path.exists());
    let database = open_database(configuration)?;
    if configuration.database.url.is_postgres() {
        let pending = database.pending_migrations().await?;
        if !pending.is_empty() {
            return Err(OpeningError::NotMigrated(pending));
        }
    } else {
        database.migrate().await?;
    }
    let keys = master_keys(configuration)?;
    Ok(Opened { database, vault: Arc::new(keys.vault()), master_key: keys.active().clone(), is_new })
}

/// Opens the database as it is.
///
/// # Errors
/// [`OpenError`].
pub fn open_database(configuration: &Configuration) -> Result<Database, OpenError> {
    let settings = DatabaseSettings { connections: configuration.database.connections, ..DatabaseSettings::default() };
    Database::open(configuration.database.url.expose(), settings)
}

fn master_keys(configuration: &Configuration) -> Result<MasterKeys, OpeningError> {
    match (&configuration.master_key, configuration.database.url.sqlite_path()) {
        (Some(given), _) => Ok(MasterKeys::from_base64(given.expose())?),
        (None, Some(database)) => Ok(MasterKeys::load_or_create(&master_key_path(database))?),
        (None, None) if configuration.database.url.is_postgres() => Err(OpeningError::NoMasterKey),
        // What a database in memory holds is gone with its key.
        (None, None) => Ok(MasterKeys::generate()),
    }
}

/// `countersign.db` → `countersign.db.key`, in the same folder.
pub fn master_key_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".key");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_key_lies_beside_the_database() {
        assert_eq!(master_key_path(Path::new("/var/lib/x.db")), Path::new("/var/lib/x.db.key"));
    }
}
