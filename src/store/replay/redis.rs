//! Redis or Valkey as the replay store of many nodes: `SET key 1 NX PXAT` decides which node was first.
//!
//! A batch is one pipeline. A key lives until its minute has left the window by the clock of Redis, with a margin for clocks that
//! differ; a node whose clock differs by more than the margin is not served. Eviction must be off, as it would forget nonces early.
//!
//! How much of its memory Redis keeps over a crash is its own affair: with `appendfsync everysec` up to a second is lost, at a
//! failover what the replica had not got. So what Redis is, is written into it, and asked with every batch: after a
//! restart (another run id) or a flush every timestamp that could have been accepted until then is refused. An empty Redis is
//! taken for a new one only by an installation that never had one: the key of the fingerprints is known to the main database.
//!
//! Each minute has a mark, which expires with its nonces. Where a mark is missing before its time, the clock of Redis was ahead
//! and has taken nonces along, and they count as lost too.
//!
//! It deliberately does not speak the cluster protocol: one address, which may be a proxy's that follows the primary.

use std::time::Duration;

use redis::{Client, Connection, FromRedisValue, Value, cmd, pipe};

use super::fingerprint::{BUCKET_SECONDS, Bucket, FingerprintKey, Record};
use super::journal::{Journal, JournalError, Outcome, in_doubt};
use crate::time::Timestamp;

/// The key of what Redis is: a hash.
const STATE: &str = "countersign:replay";

/// In front of the 8 bytes of a fingerprint. Short, as Redis holds millions of them.
const NONCE: &[u8] = b"cs:n:";

/// How long connecting, an answer or `WAIT` may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The least difference of clocks that is borne.
const LEAST_MARGIN_SECONDS: i64 = 60;

/// Minutes that are marked ahead of the newest that is acceptable. Marks are made once a minute.
const MARKED_AHEAD: i64 = 5;

/// Makes or checks the state in one step, as other nodes may do so too.
///
/// Arguments: the hash key, `1` if it is known to have been in use, the run id, the window in seconds, the floor after a loss, the
/// first and the last minute to mark, the seconds from a minute's start until its nonces expire. Answers: hash key, floor.
const SETTLE: &str = "
local own_key, in_use, own_run, own_past, unforeseen, first, last, own_kept = unpack(ARGV)
local state = redis.call('HMGET', KEYS[1], 'hash_key', 'run_id', 'floor', 'past', 'kept', 'marked')
local hash_key, run_id, floor, past, kept, marked = unpack(state)
local lost
if hash_key then
  -- What was written for a smaller window expires by that.
  lost = run_id ~= own_run or tonumber(past) < tonumber(own_past)
else
  hash_key, floor, lost = own_key, '-1000000000', in_use == '1'
end
for minute = tonumber(first), tonumber(last) do
  local name = KEYS[2] .. string.format('%.0f', minute)
  local expires = string.format('%.0f', (minute * 60 + tonumber(own_kept)) * 1000)
  local was_missing = redis.call('SET', name, 1, 'NX', 'PXAT', expires)
  if was_missing and kept == own_kept and minute <= tonumber(marked) then lost = true end
end
if lost and tonumber(floor) < tonumber(unforeseen) then floor = unforeseen end
redis.call('HSET', KEYS[1], 'hash_key', hash_key, 'run_id', own_run, 'floor', floor,
  'past', own_past, 'kept', own_kept, 'marked', last)
return {hash_key, floor}
";

/// A connection, and what it knows of Redis.
pub struct RedisJournal {
    client: Client,
    past_seconds: i64,
    future_seconds: i64,
    wait_replicas: u32,
    key: FingerprintKey,
    /// `None` after a failure, until the next attempt.
    connection: Option<Connection>,
    /// Were nonces remembered under this key? Then a Redis without it has lost them.
    in_use: bool,
    floor: Bucket,
}

impl RedisJournal {
    /// Connects, and makes or checks what is stored. `known`: the key under which this installation remembers nonces.
    pub fn open(
        url: &str,
        known: Option<FingerprintKey>,
        past_seconds: u32,
        future_seconds: u32,
        wait_replicas: u32,
        now: Timestamp,
    ) -> Result<Self, JournalError> {
        let mut journal = Self {
            client: Client::open(url).map_err(JournalError::Redis)?,
            past_seconds: i64::from(past_seconds),
            future_seconds: i64::from(future_seconds),
            wait_replicas,
            in_use: known.is_some(),
            key: known.unwrap_or_else(FingerprintKey::random),
            connection: None,
            floor: Bucket(i64::MIN),
        };
        journal.connect(now)?;
        Ok(journal)
    }

    /// The key of the fingerprints, the same on all nodes.
    pub fn key(&self) -> FingerprintKey {
        self.key.clone()
    }

    /// Below it, nonces may have been forgotten.
    pub fn floor(&self) -> Bucket {
        self.floor
    }

    fn connect(&mut self, now: Timestamp) -> Result<(), JournalError> {
        self.connection = None;
        let mut connection = self.client.get_connection_with_timeout(PATIENCE).map_err(JournalError::Redis)?;
        for set in [Connection::set_read_timeout, Connection::set_write_timeout] {
            set(&connection, Some(PATIENCE * 2)).map_err(JournalError::Redis)?;
        }
        self.settle(&mut connection, now)?;
        self.connection = Some(connection);
        Ok(())
    }

    fn settle(&mut self, connection: &mut Connection, now: Timestamp) -> Result<(), JournalError> {
        self.check_clock(connection, now)?;
        let info: String = ask(connection, cmd("INFO"))?;
        if is_evicting(&info) {
            return Err(JournalError::Damaged(
                "Redis may evict nonces before their time: set its maxmemory-policy to noeviction",
            ));
        }
        let at = |seconds: i64| Bucket::of(Timestamp::from_unix(now.unix().saturating_add(seconds)));
        let unforeseen = at(self.future_seconds).next();
        let mut settle = cmd("EVAL");
        settle
            .arg(SETTLE)
            .arg(2)
            .arg(STATE)
            .arg(self.mark())
            .arg(self.key.bytes().as_slice())
            .arg(i32::from(self.in_use))
            .arg(field(&info, "run_id").unwrap_or_default())
            .arg(self.past_seconds)
            .arg(unforeseen.0)
            .arg(at(-self.past_seconds).0)
            .arg(unforeseen.0.saturating_add(MARKED_AHEAD))
            .arg(self.kept_seconds());
        let (key, floor): (Vec<u8>, i64) = ask(connection, settle)?;
        let key =
            <[u8; 16]>::try_from(key.as_slice()).map_err(|_| JournalError::Damaged("the hash key has not 16 bytes"))?;
        if self.in_use && key != self.key.bytes() {
            return Err(JournalError::Damaged(
                "this Redis remembers for another installation: give each one of its own, or empty it (FLUSHDB)",
            ));
        }
        if self.in_use && Bucket(floor) > self.floor {
            tracing::warn!(
                acceptable_from_unix = Bucket(floor).start().unix(),
                "Redis may have lost nonces: older timestamps are refused"
            );
        }
        self.key = FingerprintKey::from_bytes(key);
        self.floor = self.floor.max(Bucket(floor));
        self.in_use = true;
        Ok(())
    }

    fn check_clock(&self, connection: &mut Connection, now: Timestamp) -> Result<(), JournalError> {
        let (seconds, _microseconds): (i64, i64) = ask(connection, cmd("TIME"))?;
        let offset_seconds = seconds.saturating_sub(now.unix());
        if offset_seconds.saturating_abs() > self.margin_seconds() {
            return Err(JournalError::Clock { offset_seconds, allowed_seconds: self.margin_seconds() });
        }
        Ok(())
    }

    /// In front of the number of a minute. A mark of other settings expires at another time.
    fn mark(&self) -> String {
        format!("cs:m:{}:", self.kept_seconds())
    }

    /// From the start of a minute until its nonces may go.
    fn kept_seconds(&self) -> i64 {
        BUCKET_SECONDS + self.past_seconds + self.margin_seconds()
    }

    fn margin_seconds(&self) -> i64 {
        self.future_seconds.max(LEAST_MARGIN_SECONDS)
    }

    fn attempt(&mut self, batch: &[Record], now: Timestamp) -> Result<Vec<bool>, JournalError> {
        if self.connection.is_none() {
            self.connect(now)?;
        }
        let mut pipeline = pipe();
        for record in batch {
            let expires = record.bucket.start().unix().saturating_add(self.kept_seconds());
            let key = [NONCE, &record.fingerprint.bits().to_be_bytes()].concat();
            let set = pipeline.cmd("SET").arg(key).arg(1).arg("NX");
            set.arg("PXAT").arg(expires.saturating_mul(1000));
        }
        // Last, so that a flush in the middle is seen. What expires too early, expires first in the oldest minute.
        pipeline.cmd("HMGET").arg(STATE).arg("hash_key").arg("floor");
        let judged = batch.iter().map(|record| record.bucket).filter(|bucket| *bucket >= self.floor);
        let oldest = judged.min().unwrap_or(self.floor).0;
        pipeline.cmd("EXISTS").arg(format!("{}{oldest}", self.mark()));
        if self.wait_replicas > 0 {
            pipeline.cmd("WAIT").arg(self.wait_replicas).arg(millis(PATIENCE));
        }
        let Some(connection) = self.connection.as_mut() else {
            return Err(JournalError::Damaged("not connected"));
        };
        let answers: Vec<Value> = pipeline.query(connection).map_err(JournalError::Redis)?;
        let (sets, rest) = answers.split_at_checked(batch.len()).ok_or(SHORT_ANSWER)?;
        let [state, mark, rest @ ..] = rest else {
            return Err(SHORT_ANSWER);
        };
        if let [confirmed] = rest {
            let confirmed: u32 = parse(confirmed)?;
            if confirmed < self.wait_replicas {
                return Err(JournalError::Replicas { confirmed, wanted: self.wait_replicas });
            }
        }
        match parse::<(Option<Vec<u8>>, Option<i64>)>(state)? {
            (Some(key), Some(floor)) if key == self.key.bytes() && parse::<bool>(mark)? => {
                self.floor = self.floor.max(Bucket(floor));
            }
            // Flushed or expired early: settled with anew, which raises the floor above everything in this batch. Or
            // the minute has no mark yet, which settling makes.
            _ => self.connect(now)?,
        }
        Ok(sets.iter().map(|answer| *answer == Value::Okay).collect())
    }
}

impl Journal for RedisJournal {
    fn commit(&mut self, batch: &[Record], now: Timestamp) -> Result<Vec<Outcome>, JournalError> {
        let mut doubtful = false;
        let new = loop {
            match self.attempt(batch, now) {
                Ok(new) => break new,
                // A connection that the server or the network closed while it was idle: once more on a new one.
                Err(JournalError::Redis(error)) if error.is_connection_dropped() && !doubtful => {
                    doubtful = true;
                    self.connection = None;
                }
                Err(error) => {
                    self.connection = None;
                    return Err(error);
                }
            }
        };
        let outcome = |(record, new): (&Record, bool)| {
            if record.bucket < self.floor {
                Outcome::BelowFloor(self.floor)
            } else if new {
                Outcome::Fresh
            } else {
                in_doubt(doubtful)
            }
        };
        Ok(batch.iter().zip(new).map(outcome).collect())
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), JournalError> {
        // Settling writes, so a replica or a full server is found out.
        self.connect(now)
    }

    fn expire(&mut self, _first_kept: Bucket, now: Timestamp) -> Result<bool, JournalError> {
        // Redis expires by itself. Once a minute is a good time to compare clocks and settings.
        let checked = match self.connection.take() {
            Some(mut connection) => {
                let settled = self.settle(&mut connection, now);
                self.connection = Some(connection);
                settled
            }
            None => self.connect(now),
        };
        match checked {
            // As in a commit: an idle connection may be closed without harm.
            Err(JournalError::Redis(error)) if error.is_connection_dropped() => self.connect(now)?,
            Err(error) => {
                self.connection = None;
                return Err(error);
            }
            Ok(()) => {}
        }
        Ok(false)
    }

    fn close(&mut self) {
        self.connection = None;
    }
}

const SHORT_ANSWER: JournalError = JournalError::Damaged("Redis answered fewer commands than were sent");

fn ask<T: FromRedisValue>(connection: &mut Connection, command: redis::Cmd) -> Result<T, JournalError> {
    command.query(connection).map_err(JournalError::Redis)
}

fn parse<T: FromRedisValue>(value: &Value) -> Result<T, JournalError> {
    T::from_redis_value_ref(value).map_err(|error| JournalError::Redis(error.into()))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A line `name:value` of the answer to `INFO`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn is_evicting(info: &str) -> bool {
    let limited = field(info, "maxmemory").is_some_and(|bytes| bytes != "0");
    limited && field(info, "maxmemory_policy").is_some_and(|policy| policy != "noeviction")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_may_evict_is_found_out() {
        let info = |limit, policy| format!("# Memory\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n");
        assert!(is_evicting(&info(1000, "volatile-lru")));
        assert!(!is_evicting(&info(0, "volatile-lru")));
        assert!(!is_evicting(&info(1000, "noeviction")));
    }
}
