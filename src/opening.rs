//! The way to the data, by the configuration: database, master key, vault, replay store. `serve` and every command that touches
//! data begin here.
//!
//! SQLite is migrated on the way; PostgreSQL only by `countersign migrate`, because several nodes of different versions may share it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::{Configuration, Durability, RedisUrl};
use crate::domain::credentials::Secret;
use crate::store::Store;
use crate::store::connection::{Database, DatabaseSettings, OpenError, StoreError};
use crate::store::master_key;
use crate::store::replay::{self, ReplaySettings, ReplayStore};
use crate::store::vault::{MasterKey, MasterKeyError, MasterKeys, Vault};
use crate::time::{Clock, Timestamp};

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
    let settings = DatabaseSettings { connections, patience, ..DatabaseSettings::default() };
    Database::open(configuration.database.url.expose(), settings)
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
    configuration.database.url.sqlite_path().map(master_key_path)
}

/// `countersign.db` → `countersign.db.key`, in the same folder.
pub fn master_key_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".key");
    path.into()
}

/// Redis if there is one, else PostgreSQL if that is the database, else a journal file beside the SQLite file.
///
/// The database remembers which it was: another one, or a new journal, knows nothing of what was accepted before.
pub async fn open_replay(configuration: &Configuration, store: &Store, now: Timestamp) -> anyhow::Result<ReplayStore> {
    let opened = open_configured_replay(configuration, store, now).await?;
    let kind = match (&configuration.redis.url, configuration.database.url.is_postgres()) {
        (Some(_), _) => "redis",
        (None, true) => "postgresql",
        (None, false) => "journal",
    };
    let this = format!("{kind} {}", STANDARD.encode(opened.hash_key()));
    let changed = format!("{this} {}", now.unix());
    let mut known = store.settings.establish(REPLAY_STORE, Secret::new(format!("{this} -")), now).await?;
    if !known.value.expose().starts_with(&this) {
        tracing::warn!(store = kind, "nonces are remembered elsewhere than before: older timestamps are refused");
        known = store.settings.replace(REPLAY_STORE, known.value, Secret::new(changed), now).await?;
    }
    let since = known.value.expose().strip_prefix(&this).and_then(|since| since.trim().parse().ok());
    ensure!(
        known.value.expose().starts_with(&this),
        "another node remembers nonces elsewhere: redis.url must be the same for all nodes of one database"
    );
    if let Some(since) = since {
        // A clock that was ahead when it changed must not refuse for ever.
        opened.refuse_accepted_until(Timestamp::from_unix(since).min(now));
    }
    Ok(opened)
}

/// The setting that names the replay store, its hash key, and since when after another one.
const REPLAY_STORE: &str = "replay_store";

async fn open_configured_replay(
    configuration: &Configuration,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<ReplayStore> {
    let window = configuration.oauth.timestamp_window_seconds;
    let mut settings = ReplaySettings::default();
    (settings.past_seconds, settings.future_seconds) = (window, window);
    settings.durability = match configuration.replay.durability {
        Durability::Power => replay::Durability::Power,
        Durability::Process => replay::Durability::Process,
    };
    settings.redis_wait_replicas = configuration.redis.wait_replicas;
    settings.capacity = configuration.replay.capacity;
    settings.commit_delay = Duration::from_micros(u64::from(configuration.replay.commit_delay_microseconds));
    if let Some(redis) = &configuration.redis.url {
        return open_redis(redis, &settings, store, now).await;
    }
    let url = &configuration.database.url;
    match url.sqlite_path() {
        Some(database) => {
            // One database has one journal, by whatever link it is reached.
            let database = database.canonicalize().with_context(|| format!("can't find {}", database.display()))?;
            Ok(ReplayStore::open_journal(&journal_path(&database), &settings, now)?)
        }
        None if url.is_postgres() => Ok(ReplayStore::open_postgres(url.expose(), &settings, now)?),
        None => {
            // A database in memory is gone with the process; so may its nonces be.
            let folder = std::env::temp_dir().join(format!("countersign-{:016x}", rand::random::<u64>()));
            std::fs::create_dir(&folder)?;
            let opened = ReplayStore::open_journal(&folder.join("nonces"), &settings, now);
            // The open files live on without a name.
            std::fs::remove_dir_all(&folder)?;
            Ok(opened?)
        }
    }
}

/// The database remembers which key Redis had, so that a Redis that was emptied while no node ran is not taken for a new one.
async fn open_redis(
    url: &RedisUrl,
    settings: &ReplaySettings,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<ReplayStore> {
    const NAME: &str = "replay_hash_key";
    let known = store.settings.get(NAME).await?.map(|setting| replay_key(&setting.value)).transpose()?;
    let opened = ReplayStore::open_redis(url.expose(), known, settings, now)?;
    let candidate = Secret::new(STANDARD.encode(opened.hash_key()));
    let established = store.settings.establish(NAME, candidate, now).await?;
    ensure!(
        replay_key(&established.value)? == opened.hash_key(),
        "redis.url: other nodes use another Redis; it must be the same for all nodes of one database"
    );
    Ok(opened)
}

fn replay_key(stored: &Secret) -> anyhow::Result<[u8; 16]> {
    let bytes = STANDARD.decode(stored.expose()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).context("the stored key of the replay store has not 16 bytes")
}

/// `countersign.db` → `countersign.db.nonces`, in the same folder.
fn journal_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".nonces");
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
