//! The way to the replay store: Redis if there is one, else PostgreSQL if that is the database, else a journal file beside the SQLite
//! file.
//!
//! The database remembers which it was: another one, or a new journal, or a Redis that was emptied while no node ran, knows nothing of
//! what was accepted before.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::{Configuration, DatabaseUrl};
use crate::domain::credentials::Secret;
use crate::store::Store;
use crate::store::replay::{ReplayOptions, ReplayStore};
use crate::time::Timestamp;

/// The setting that holds [`Remembered`].
const NAME: &str = "replay_store";

/// Opens the configured store.
///
/// # Errors
/// What can't be opened, with what to do about it; or another node of this database remembers elsewhere.
pub async fn open_replay(configuration: &Configuration, store: &Store, now: Timestamp) -> anyhow::Result<ReplayStore> {
    let kind = match (&configuration.redis.url, configuration.database.url.is_postgres()) {
        (Some(_), _) => Kind::Redis,
        (None, true) => Kind::PostgreSql,
        (None, false) => Kind::Journal,
    };
    let known = match store.settings.get(NAME).await? {
        Some(setting) => Some(setting.value.expose().parse::<Remembered>()?),
        None => None,
    };
    let known_key = known.filter(|known| known.kind == kind).map(|known| known.key);
    let opened = open(configuration, known_key, now)?;
    let this = Remembered { kind, key: opened.hash_key(), since: None };
    let first = store.settings.establish(NAME, this.to_secret(), now).await?;
    let mut known: Remembered = first.value.expose().parse()?;
    if !known.is(this) {
        // Opened with the key that was known, a Redis has it: this one is another's, who began at the same time.
        ensure!(
            kind != Kind::Redis || known.kind != Kind::Redis,
            "redis.url: other nodes use another Redis; it must be the same for all nodes of one database"
        );
        tracing::warn!(store = %kind, "nonces are remembered elsewhere than before: older timestamps are refused");
        let changed = Remembered { since: Some(now), ..this };
        known = store.settings.replace(NAME, first.value, changed.to_secret(), now).await?.value.expose().parse()?;
    }
    ensure!(
        known.is(this),
        "another node remembers nonces elsewhere: redis.url must be the same for all nodes of one database"
    );
    if let Some(since) = known.since {
        // A clock that was ahead when it changed must not refuse for ever.
        opened.refuse_accepted_until(since.min(now));
    }
    Ok(opened)
}

/// `known_key`: the hash key that a store of this kind had.
fn open(configuration: &Configuration, known_key: Option<[u8; 16]>, now: Timestamp) -> anyhow::Result<ReplayStore> {
    let options = options(configuration);
    match (&configuration.redis.url, &configuration.database.url) {
        (Some(redis), _) => Ok(ReplayStore::open_redis(redis.expose(), known_key, &options, now)?),
        (None, DatabaseUrl::Postgres(url)) => Ok(ReplayStore::open_postgres(url, &options, now)?),
        (None, DatabaseUrl::File(database)) => {
            // One database has one journal, by whatever link it is reached.
            let database = database.canonicalize().with_context(|| format!("can't find {}", database.display()))?;
            Ok(ReplayStore::open_journal(&super::beside(&database, ".nonces"), &options, now)?)
        }
        (None, DatabaseUrl::Memory) => {
            // A database in memory is gone with the process; so may its nonces be.
            let folder = tempfile::tempdir()?;
            let opened = ReplayStore::open_journal(&folder.path().join("nonces"), &options, now)?;
            // The open files live on without a name.
            folder.close()?;
            Ok(opened)
        }
    }
}

fn options(configuration: &Configuration) -> ReplayOptions {
    let window = configuration.oauth.timestamp_window_seconds;
    let mut options = ReplayOptions::default();
    (options.past_seconds, options.future_seconds) = (window, window);
    options.durability = configuration.replay.durability;
    options.redis_wait_replicas = configuration.redis.wait_replicas;
    options.capacity = configuration.replay.capacity;
    options.commit_delay = Duration::from_micros(u64::from(configuration.replay.commit_delay_microseconds));
    options
}

/// Where nonces are remembered, as the database knows it: kind, hash key, and since when, after another store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Remembered {
    kind: Kind,
    key: [u8; 16],
    since: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Journal,
    PostgreSql,
    Redis,
}

impl Remembered {
    /// Whether it is the same store, since whenever.
    fn is(self, other: Self) -> bool {
        (self.kind, self.key) == (other.kind, other.key)
    }

    fn to_secret(self) -> Secret {
        Secret::new(self.to_string())
    }
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.kind, STANDARD.encode(self.key))?;
        match self.since {
            Some(since) => write!(f, "{}", since.unix()),
            None => f.write_str("-"),
        }
    }
}

impl FromStr for Remembered {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let read = || {
            let mut words = text.split(' ');
            let word = words.next()?;
            let kind = [Kind::Journal, Kind::PostgreSql, Kind::Redis].into_iter().find(|kind| kind.as_str() == word)?;
            let key = STANDARD.decode(words.next()?).ok()?.try_into().ok()?;
            let since = match words.next()? {
                "-" => None,
                seconds => Some(Timestamp::from_unix(seconds.parse().ok()?)),
            };
            Some(Self { kind, key, since })
        };
        read().context("the stored name of the replay store can't be read")
    }
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::PostgreSql => "postgresql",
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nonces_are_remembered_is_written_and_read() {
        for since in [None, Some(Timestamp::from_unix(1_700_000_000))] {
            let remembered = Remembered { kind: Kind::Redis, key: [7; 16], since };
            assert_eq!(remembered.to_string().parse::<Remembered>().unwrap(), remembered);
        }
        for text in ["", "redis", "redis BwcHBwcHBwcHBwcHBwcHBw==", "disk BwcHBwcHBwcHBwcHBwcHBw== -", "redis BwcH -"] {
            assert!(text.parse::<Remembered>().is_err(), "{text}");
        }
    }
}
