//! PostgreSQL as the replay store of many nodes: the primary key decides which node was first.
//!
//! Each lane has a connection and inserts a batch by one statement, sorted by key so that two nodes never wait for each other
//! in a circle. What comes back is new; the rest was used. The table is divided into partitions of ten minutes, because dropping a
//! table costs nothing where deleting its rows would cost as much as writing them.
//!
//! The horizon makes dropping safe: it is raised in the transaction that drops, and a partition below it is never made
//! again. So a node whose clock is behind is refused and cannot write into the void. A cluster with another identifier or timeline
//! than the stored one is a restored backup or a promoted standby, another table or database a copy, which may have lost the newest
//! rows: then every timestamp that could have been accepted until now is refused.
//!
//! The tables come from the migrations; this file deliberately makes only partitions.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Text};

use super::fingerprint::{BUCKET_SECONDS, Bucket, FingerprintKey, Record};
use super::journal::{CLOCK_PATIENCE, Journal, JournalError, Outcome, Running, SharedTimes, in_doubt};
use crate::store::connection::{OUR_COMMITS, is_closed};
use crate::time::Timestamp;

/// Minutes in a partition.
const PARTITION_BUCKETS: i64 = 10;

/// The advisory lock under which partitions and the horizon change: "cs.reply" in ASCII.
const LOCK: i64 = 0x6373_2e72_6570_6c79;

/// How often it is looked how far the database's log is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a batch is tried when a connection or a partition has gone away.
const ATTEMPTS: u32 = 3;

/// One connection, and what it knows of the database.
pub struct PostgresJournal {
    url: String,
    times: SharedTimes,
    key: FingerprintKey,
    /// `None` after a failure, until the next attempt.
    connection: Option<PgConnection>,
    /// Partitions that were there when last looked.
    partitions: BTreeSet<i64>,
    /// The horizon when last looked; it only rises.
    horizon: Bucket,
    /// Does this lane drop what is expired? One of each node does.
    keeper: bool,
    /// How much of its log the database had on its disk when last looked. One with less was put back to an earlier state.
    logged: i64,
    looked: Instant,
}

impl PostgresJournal {
    /// Connects as many lanes as asked for. The tables must be there.
    pub fn open(url: &str, connections: u8, times: SharedTimes, now: Timestamp) -> Result<Vec<Self>, JournalError> {
        let url = with_timeouts(url);
        let key = key_of(&mut connect(&url)?)?;
        (0..connections.max(1))
            .map(|lane| {
                let mut journal = Self {
                    url: url.clone(),
                    times,
                    key: key.clone(),
                    connection: None,
                    partitions: BTreeSet::new(),
                    horizon: Bucket(i64::MIN),
                    keeper: lane == 0,
                    logged: 0,
                    looked: Instant::now(),
                };
                journal.connect(now.into())?;
                Ok(journal)
            })
            .collect()
    }

    /// The key of the fingerprints, the same on all nodes.
    pub fn key(&self) -> FingerprintKey {
        self.key.clone()
    }

    /// Below it, nonces may have been forgotten.
    pub fn horizon(&self) -> Bucket {
        self.horizon
    }

    fn connect(&mut self, now: Running) -> Result<(), JournalError> {
        self.connection = None;
        self.partitions.clear();
        let mut connection = connect(&self.url)?;
        if key_of(&mut connection)?.bytes() != self.key.bytes() {
            return Err(JournalError::Damaged("the database is another one; restart the server"));
        }
        if !makes_partitions(&mut connection).map_err(JournalError::Database)? {
            return Err(JournalError::Damaged(
                "the role of database.url must own the table replay_nonces and may create others in its schema \
                 (docs/OPERATIONS.md, \"Rights in PostgreSQL\", has what to run)",
            ));
        }
        let (store_now, is_recent) = clock_of(&mut connection).map_err(JournalError::Database)?;
        if !is_recent {
            return Err(JournalError::Damaged("PostgreSQL takes seconds to tell its time"));
        }
        self.times.check(store_now, now.now())?;
        let logged = logged(&mut connection).map_err(JournalError::Database)?;
        let was_put_back = logged < self.logged;
        self.horizon = self.horizon.max(settle(&mut connection, self.times.unforeseen(store_now), was_put_back)?);
        (self.logged, self.looked) = (logged, Instant::now());
        self.connection = Some(connection);
        Ok(())
    }

    /// Notes every second how far the log is.
    fn look(&mut self, now: Running) -> Result<(), JournalError> {
        self.connection(now)?;
        if self.looked.elapsed() >= LOOK_EVERY {
            self.logged = logged(self.connection(now)?).map_err(JournalError::Database)?;
            self.looked = Instant::now();
        }
        Ok(())
    }

    fn connection(&mut self, now: Running) -> Result<&mut PgConnection, JournalError> {
        if self.connection.is_none() {
            self.connect(now)?;
        }
        self.connection.as_mut().ok_or(JournalError::Damaged("not connected"))
    }

    /// One attempt: returns which of the keys were new. `keys`: sorted, each once.
    fn insert(&mut self, keys: &[(i64, i64)], now: Running) -> Result<BTreeSet<(i64, i64)>, JournalError> {
        self.look(now)?;
        let wanted: BTreeSet<i64> = keys.iter().map(|(bucket, _)| partition_of(*bucket)).collect();
        for partition in wanted {
            self.ensure(partition, now)?;
        }
        let (buckets, fingerprints): (Vec<i64>, Vec<i64>) =
            keys.iter().filter(|(bucket, _)| *bucket >= self.horizon.0).copied().unzip();
        if buckets.is_empty() {
            return Ok(BTreeSet::new());
        }
        let insert = InsertNew { buckets: &buckets, fingerprints: &fingerprints };
        let new: Vec<(i64, i64)> = insert.load(self.connection(now)?).map_err(JournalError::Database)?;
        Ok(new.into_iter().collect())
    }

    /// Makes the partition unless it is there, or below the horizon.
    fn ensure(&mut self, partition: i64, now: Running) -> Result<(), JournalError> {
        if self.partitions.contains(&partition) {
            return Ok(());
        }
        let first = partition.saturating_mul(PARTITION_BUCKETS);
        let end = first.saturating_add(PARTITION_BUCKETS);
        let table = table_of(partition);
        let horizon = self
            .connection(now)?
            .transaction(|connection| {
                let horizon = locked_state(connection)?.horizon;
                let is_there: Exists = sql_query("SELECT to_regclass($1) IS NOT NULL AS found")
                    .bind::<Text, _>(&table)
                    .get_result(connection)?;
                if horizon < end && !is_there.found {
                    // Made first and attached then: attaching does not wait for a dump of the database, nor block the other nodes.
                    connection.batch_execute(&format!(
                        "CREATE TABLE {table} (LIKE replay_nonces INCLUDING ALL) WITH (autovacuum_enabled = off); \
                         ALTER TABLE replay_nonces ATTACH PARTITION {table} FOR VALUES FROM ({first}) TO ({end})"
                    ))?;
                }
                QueryResult::Ok(horizon)
            })
            .map_err(JournalError::Database)?;
        self.horizon = self.horizon.max(Bucket(horizon));
        if horizon < end {
            self.partitions.insert(partition);
        }
        Ok(())
    }
}

impl Journal for PostgresJournal {
    fn commit(&mut self, batch: &[Record], now: Timestamp) -> Result<Vec<Outcome>, JournalError> {
        let now = Running::from(now);
        // Found out before anything is sent, so that no outcome is in doubt for it.
        if self.connection.as_mut().is_some_and(is_closed) {
            self.connection = None;
        }
        let mut keys: Vec<(i64, i64)> = batch.iter().map(key_columns).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut doubtful = false;
        let mut attempts_left = ATTEMPTS;
        let mut new = loop {
            attempts_left -= 1;
            let error = match self.insert(&keys, now) {
                Ok(new) => break new,
                Err(error) => error,
            };
            match &error {
                JournalError::Database(_) if attempts_left == 0 => {}
                // Another node dropped a partition: what is there is looked up again. Nothing was written.
                JournalError::Database(cause) if is_partition_gone(cause) => {
                    self.partitions.clear();
                    continue;
                }
                // A connection that the server or the network closed while it was idle: once more on a new one.
                JournalError::Database(cause) if !doubtful && is_connection_gone(&mut self.connection, cause) => {
                    doubtful = true;
                    self.connection = None;
                    continue;
                }
                _ => {}
            }
            self.connection = None;
            return Err(error);
        };
        Ok(batch
            .iter()
            .map(|record| {
                if record.bucket < self.horizon {
                    Outcome::BelowFloor(self.horizon)
                } else if new.remove(&key_columns(record)) {
                    Outcome::Fresh
                } else {
                    in_doubt(doubtful)
                }
            })
            .collect())
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), JournalError> {
        let now = Running::from(now);
        self.connect(now)?;
        // A lock on the row is a write: a server that only reads, a standby, is no use.
        // And one whose table somebody else holds: it would take no nonce.
        self.connection(now)?
            .transaction(|connection| {
                connection.batch_execute("LOCK TABLE replay_nonces IN ROW EXCLUSIVE MODE")?;
                sql_query("UPDATE replay_state SET horizon = horizon WHERE id = 1").execute(connection)
            })
            .map_err(JournalError::Database)?;
        Ok(())
    }

    fn expire(&mut self, first_kept: Bucket, now: Timestamp) -> Result<bool, JournalError> {
        let now = Running::from(now);
        let store_now = clock_of(self.connection(now)?);
        match store_now {
            Ok((store_now, true)) => self.times.check(store_now, now.now())?,
            Ok((_, false)) => {
                tracing::debug!("PostgreSQL took seconds to tell its time: clocks are compared next time")
            }
            // Closed while it was idle, or hanging: found out below.
            Err(error) => tracing::debug!(%error, "the clock of PostgreSQL could not be read"),
        }
        if !self.keeper {
            return Ok(false);
        }
        let past_seconds = self.times.past_seconds;
        let dropped =
            self.connection(now)?.transaction(|connection| drop_expired(connection, first_kept, past_seconds));
        match dropped {
            Ok(horizon) => {
                self.horizon = self.horizon.max(horizon);
                self.partitions = self.partitions.split_off(&partition_of(self.horizon.0));
            }
            // A dump of the database holds the tables, or two nodes drop at once: next minute, then.
            Err(error) if !is_connection_gone(&mut self.connection, &error) => {
                tracing::warn!(%error, "expired nonces could not be dropped yet");
            }
            // Closed while it was idle; what is expired can wait for the next minute.
            Err(_) => self.connect(now)?,
        }
        Ok(false)
    }

    fn close(&mut self) {
        self.connection = None;
    }
}

/// Inserts the keys and returns those that were new. Written out, so that diesel prepares it once a connection.
struct InsertNew<'a> {
    buckets: &'a [i64],
    fingerprints: &'a [i64],
}

impl QueryId for InsertNew<'_> {
    type QueryId = InsertNew<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for InsertNew<'_> {
    type SqlType = (BigInt, BigInt);
}

impl QueryFragment<Pg> for InsertNew<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO replay_nonces (bucket, fingerprint) SELECT * FROM unnest(");
        out.push_bind_param::<Array<BigInt>, _>(&self.buckets)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.fingerprints)?;
        out.push_sql(") ON CONFLICT DO NOTHING RETURNING bucket, fingerprint");
        Ok(())
    }
}

impl RunQueryDsl<PgConnection> for InsertNew<'_> {}

#[derive(QueryableByName)]
struct StoredState {
    #[diesel(sql_type = BigInt)]
    horizon: i64,
    #[diesel(sql_type = Text)]
    cluster: String,
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    found: bool,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct HashKey {
    #[diesel(sql_type = Binary)]
    hash_key: Vec<u8>,
}

fn connect(url: &str) -> Result<PgConnection, JournalError> {
    let mut connection = PgConnection::establish(url).map_err(JournalError::Connect)?;
    // The locks of a node that froze are waited for until the server has ended its transaction, as in
    // `connection::address`.
    connection
        .batch_execute(
            "SET statement_timeout = '5s'; SET client_min_messages = warning; \
             SET idle_in_transaction_session_timeout = '3s'; SET lock_timeout = '4s'",
        )
        .and_then(|()| connection.batch_execute(OUR_COMMITS))
        .map_err(JournalError::Database)?;
    Ok(connection)
}

/// A server that is gone must be noticed within seconds, which TCP alone does not do. What the URL says itself is kept.
fn with_timeouts(url: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in [
        ("connect_timeout", "3"),
        ("tcp_user_timeout", "5000"),
        ("keepalives_idle", "5"),
        ("keepalives_interval", "2"),
        ("keepalives_count", "3"),
    ] {
        if !url.contains(&format!("{name}=")) {
            let separator = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{separator}{name}={value}");
        }
    }
    url
}

/// The key of the fingerprints; the first node that asks makes it.
fn key_of(connection: &mut PgConnection) -> Result<FingerprintKey, JournalError> {
    sql_query(
        "INSERT INTO replay_state (id, hash_key, horizon, cluster) VALUES (1, $1, $2, '') ON CONFLICT DO NOTHING",
    )
    .bind::<Binary, _>(FingerprintKey::random().bytes().to_vec())
    .bind::<BigInt, _>(i64::MIN)
    .execute(connection)
    .map_err(JournalError::Database)?;
    let stored: HashKey = sql_query("SELECT hash_key FROM replay_state WHERE id = 1")
        .get_result(connection)
        .map_err(JournalError::Database)?;
    let bytes = <[u8; 16]>::try_from(stored.hash_key.as_slice())
        .map_err(|_| JournalError::Damaged("the hash key has not 16 bytes"))?;
    Ok(FingerprintKey::from_bytes(bytes))
}

/// Whether it has the rights for it.
fn makes_partitions(connection: &mut PgConnection) -> QueryResult<bool> {
    let question = "SELECT pg_has_role(relowner, 'USAGE') AND has_schema_privilege(relnamespace, 'CREATE') AS found \
                    FROM pg_class WHERE oid = 'replay_nonces'::regclass";
    Ok(sql_query(question).get_result::<Exists>(connection)?.found)
}

/// What its clock shows, and whether it still does.
fn clock_of(connection: &mut PgConnection) -> QueryResult<(Timestamp, bool)> {
    let asked = Instant::now();
    let clock: Number =
        sql_query("SELECT extract(epoch FROM clock_timestamp())::bigint AS number").get_result(connection)?;
    Ok((Timestamp::from_unix(clock.number), asked.elapsed() < CLOCK_PATIENCE))
}

/// The state, with the lock under which it changes held until the transaction ends.
fn locked_state(connection: &mut PgConnection) -> QueryResult<StoredState> {
    sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(LOCK).execute(connection)?;
    sql_query("SELECT horizon, cluster FROM replay_state WHERE id = 1").get_result(connection)
}

/// How many bytes of its log the database has on its disk, since it was made.
fn logged(connection: &mut PgConnection) -> QueryResult<i64> {
    let log = "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint AS number";
    Ok(sql_query(log).get_result::<Number>(connection)?.number)
}

/// Compares the cluster with the stored one; returns the horizon, raised to `unforeseen` when it is another, or the same as it
/// was at an earlier time.
fn settle(connection: &mut PgConnection, unforeseen: Bucket, was_put_back: bool) -> Result<Bucket, JournalError> {
    // A dump that was restored, also into the same cluster, has made the table anew; a database that was copied as a template is
    // another with the same tables.
    let identity = "SELECT system_identifier::text || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) \
                    || '/' || 'replay_state'::regclass::oid::text || '/' || pg_database.oid::text AS name \
                    FROM pg_control_system(), pg_database WHERE datname = current_database()";
    connection
        .transaction(|connection| {
            let stored = locked_state(connection)?;
            let here: Name = sql_query(identity).get_result(connection)?;
            if stored.cluster == here.name && !was_put_back {
                return Ok(Bucket(stored.horizon));
            }
            let first_use = !was_put_back && is_beginning(&stored.cluster, &here.name);
            let horizon = if first_use { Bucket(stored.horizon) } else { unforeseen.max(Bucket(stored.horizon)) };
            sql_query("UPDATE replay_state SET horizon = $1, cluster = $2 WHERE id = 1")
                .bind::<BigInt, _>(horizon.0)
                .bind::<Text, _>(&here.name)
                .execute(connection)?;
            if !first_use {
                tracing::warn!(
                    acceptable_from_unix = horizon.start().unix(),
                    "the database is another cluster or timeline, or an earlier state: older timestamps are refused"
                );
            }
            Ok(horizon)
        })
        .map_err(JournalError::Database)
}

/// Whether what is stored is nobody's yet, or written by a version that did not name the database, or the table.
fn is_beginning(stored: &str, here: &str) -> bool {
    stored.is_empty() || here.strip_prefix(stored).is_some_and(|rest| rest.starts_with('/'))
}

/// Drops every partition that ends at or before `first_kept`, by this node's clock and by the database's.
fn drop_expired(connection: &mut PgConnection, first_kept: Bucket, past_seconds: i64) -> QueryResult<Bucket> {
    connection.batch_execute("SET LOCAL lock_timeout = '100ms'")?;
    let stored = locked_state(connection)?;
    // A node whose clock is ahead must not drop what the others still need.
    let by_database: Number = sql_query("SELECT floor((extract(epoch FROM now()) - $1) / $2)::bigint AS number")
        .bind::<BigInt, _>(past_seconds)
        .bind::<BigInt, _>(BUCKET_SECONDS)
        .get_result(connection)?;
    let end = partition_of(first_kept.0.min(by_database.number));
    let partitions: Vec<Name> = sql_query(
        "SELECT relname::text AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
         WHERE inhparent = 'replay_nonces'::regclass",
    )
    .load(connection)?;
    let expired: Vec<String> = partitions
        .into_iter()
        .filter_map(|partition| partition_named(&partition.name))
        .filter(|partition| *partition < end)
        .map(table_of)
        .collect();
    if expired.is_empty() {
        return Ok(Bucket(stored.horizon));
    }
    let horizon = stored.horizon.max(end.saturating_mul(PARTITION_BUCKETS));
    sql_query("UPDATE replay_state SET horizon = $1 WHERE id = 1").bind::<BigInt, _>(horizon).execute(connection)?;
    connection.batch_execute(&format!("DROP TABLE {}", expired.join(", ")))?;
    Ok(Bucket(horizon))
}

fn key_columns(record: &Record) -> (i64, i64) {
    (record.bucket.0, record.fingerprint.bits().cast_signed())
}

fn partition_of(bucket: i64) -> i64 {
    bucket.div_euclid(PARTITION_BUCKETS)
}

const TABLE_PREFIX: &str = "replay_nonces_";

fn table_of(partition: i64) -> String {
    // A minus sign is no part of a name.
    format!("{TABLE_PREFIX}{partition}").replace('-', "m")
}

fn partition_named(table: &str) -> Option<i64> {
    table.strip_prefix(TABLE_PREFIX)?.replace('m', "-").parse().ok()
}

/// "no partition of relation found for row", or the partition was dropped while the statement waited for it.
fn is_partition_gone(error: &Error) -> bool {
    match error {
        Error::DatabaseError(DatabaseErrorKind::CheckViolation, _) => true,
        Error::DatabaseError(_, information) => {
            information.message().contains("does not exist")
                || information.message().contains("could not open relation")
        }
        _ => false,
    }
}

fn is_connection_gone(connection: &mut Option<PgConnection>, error: &Error) -> bool {
    use diesel::r2d2::R2D2Connection;
    matches!(error, Error::BrokenTransactionManager | Error::DatabaseError(DatabaseErrorKind::ClosedConnection, _))
        || connection.as_mut().is_none_or(|connection| connection.ping().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_named_so_that_it_is_known_again() {
        for partition in [-3, 0, 2_833_333] {
            assert_eq!(partition_named(&table_of(partition)), Some(partition));
        }
        assert_eq!(partition_named("replay_state"), None);
    }

    #[test]
    fn a_name_that_an_older_version_wrote_is_known_again() {
        for stored in ["", "7/00000001", "7/00000001/16400"] {
            assert!(is_beginning(stored, "7/00000001/16400/5"), "{stored}");
        }
        for stored in ["7/00000001/16400/5", "7/00000002", "7/00000001/164", "7/00000001/16400/6"] {
            assert!(!is_beginning(stored, "7/00000001/16400/5"), "{stored}");
        }
    }

    #[test]
    fn what_the_url_says_about_timeouts_is_kept() {
        let url = with_timeouts("postgres://u@h/d?connect_timeout=9");
        assert!(url.contains("connect_timeout=9&tcp_user_timeout=5000"), "{url}");
        assert!(!url.contains("connect_timeout=3"), "{url}");
        assert!(with_timeouts("postgres://u@h/d").contains("/d?connect_timeout=3&"));
    }
}
