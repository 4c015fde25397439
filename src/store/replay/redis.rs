//! Redis or Valkey as the replay store of many nodes: `SET key 1 NX PXAT` decides which node was first.
//!
//! A batch is one pipeline. A key lives until its minute has left the window by the clock of Redis, and by that of every node that is
//! served: one whose clock differs by more is not. Redis says OK also to a key whose time is over, so the pipeline asks for the time:
//! a node that froze in the middle brings nonces which have expired. Eviction must be off, as it would forget nonces early.
//!
//! How much of its memory Redis keeps over a crash is its own affair: with `appendfsync everysec` up to a second is lost, at a
//! failover what the replica had not got. So what Redis is, is written into it, and compared on every new connection and once a minute: after a
//! restart (another run id), a promotion (another past) or a flush every timestamp that could have been accepted until then is refused. Each batch asks
//! for what is written, which a flush removes, and for the name of its connection, which a proxy that keeps ours and makes one of its own to
//! another server does not bring along. One that answers for the name itself hides a failover from us, for up to a minute. An empty Redis is
//! taken for a new one only by an installation that never had one: the key of the fingerprints is known to the main database.
//!
//! Each minute has a mark, which expires when its nonces do. Where a mark is missing before its time, the clock of Redis was ahead
//! and has taken nonces along, and they count as lost too. Redis removes what expired one by one, so a jump of moments may spare the mark.
//!
//! It deliberately does not speak the cluster protocol: one address, which may be a proxy's that follows the primary.

use std::time::Duration;

use redis::{Client, Connection, FromRedisValue, Value, cmd, pipe};

use super::fingerprint::{BUCKET_SECONDS, Bucket, FingerprintKey, Record};
use super::journal::{CLOCK_TOLERANCE_SECONDS, Journal, JournalError, Outcome, SharedTimes, in_doubt};
use crate::time::Timestamp;

/// The key of what Redis is: a hash.
const STATE: &str = "countersign:replay";

/// In front of the 8 bytes of a fingerprint. Short, as Redis holds millions of them.
const NONCE: &[u8] = b"cs:n:";

/// How long connecting or `WAIT` may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long an answer may, which may come after a `WAIT`.
const LONG_PATIENCE: Duration = Duration::from_secs(6);

/// The floor of a Redis that never lost anything. Lua counts in floating point, so it is no extreme number.
const NO_FLOOR: Bucket = Bucket(-1_000_000_000);

/// In front of how long a minute's nonces live, and of the minute: a mark.
const MARK: &str = "cs:m:";

/// Minutes that are marked ahead of the newest that is acceptable. Marks are made once a minute.
const MARKED_AHEAD: i64 = 5;

/// Makes or checks the state in one step, as other nodes may do so too.
///
/// Arguments: the hash key, `1` if it is known to have been in use, what tells this Redis from another, its clock in seconds, the window in
/// seconds back and ahead, the tolerance of clocks, the minutes to mark ahead, how many keys it ever evicted. Answers: hash key, floor, and how far back nonces must be remembered: where
/// windows differ, the widest rules until Redis is emptied.
const SETTLE: &str = "
local own_key, in_use, own_name = ARGV[1], ARGV[2] == '1', ARGV[3]
local now, own_past, own_future, tolerance = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local state = redis.call('HMGET', KEYS[1], 'hash_key', 'name', 'floor', 'past', 'future', 'first', 'marked', 'run_id', 'evicted')
local hash_key, name, floor = state[1], state[2], tonumber(state[3] or -1000000000)
-- The version before knew the run alone.
if not name and state[8] and own_name:find(state[8] .. '/', 1, true) == 1 then name = own_name end
local past, future = tonumber(state[4] or own_past), tonumber(state[5] or own_future)
local marked_first, marked_last = tonumber(state[6] or 1), tonumber(state[7] or 0)
if in_use and hash_key and hash_key ~= own_key then return {hash_key, floor, past} end
-- What was written for a smaller window expires by that; and who noticed a loss may have known a smaller one.
local is_wider = past < own_past or future < own_future
local evicted = ARGV[9]
local lost = hash_key and (name ~= own_name or is_wider or tonumber(evicted) > tonumber(state[9] or evicted)) or not hash_key and in_use
if past < own_past then marked_first, marked_last = 1, 0 end
past, future = math.max(past, own_past), math.max(future, own_future)
local unforeseen = math.floor((now + tolerance + future) / 60) + 1
local kept = 60 + past + tolerance
local first, last = math.floor((now - tolerance - past) / 60), math.floor((now + tolerance + future) / 60) + tonumber(ARGV[8])
for minute = first, last do
  local mark = KEYS[2] .. kept .. ':' .. string.format('%.0f', minute)
  local expires = string.format('%.0f', (minute * 60 + kept) * 1000)
  local was_missing = redis.call('SET', mark, 1, 'NX', 'PXAT', expires)
  -- One that ends just now may end between our look at the clock and this.
  local is_over = minute * 60 + kept <= now + 10
  if was_missing and not is_over and marked_first <= minute and minute <= marked_last then lost = true end
end
if lost and floor < unforeseen then floor = unforeseen end
redis.call('HSET', KEYS[1], 'hash_key', hash_key or own_key, 'name', own_name, 'floor', floor, 'past', past, 'future', future,
  'first', first, 'marked', last, 'evicted', evicted)
return {hash_key or own_key, floor, past}
";

/// A connection, and what it knows of Redis.
pub struct RedisJournal {
    client: Client,
    times: SharedTimes,
    wait_replicas: u32,
    /// How far back nonces are remembered: as far as the node with the widest window accepts them.
    past_seconds: i64,
    key: FingerprintKey,
    /// `None` after a failure, until the next attempt.
    connection: Option<Connection>,
    /// Were nonces remembered under this key? Then a Redis without it has lost them.
    in_use: bool,
    floor: Bucket,
    /// What the connection is called at the server.
    name: String,
}

impl RedisJournal {
    /// Connects, and makes or checks what is stored. `known`: the key under which this installation remembers nonces.
    pub fn open(
        url: &str,
        known: Option<FingerprintKey>,
        times: SharedTimes,
        wait_replicas: u32,
        now: Timestamp,
    ) -> Result<Self, JournalError> {
        let mut journal = Self {
            client: Client::open(url).map_err(JournalError::Redis)?,
            name: String::new(),
            times,
            wait_replicas,
            past_seconds: times.past_seconds,
            in_use: known.is_some(),
            key: known.unwrap_or_else(FingerprintKey::random),
            connection: None,
            floor: NO_FLOOR,
        };
        match journal.connect(now) {
            Ok(()) => Ok(journal),
            Err(error) => Err(journal.at_address(error)),
        }
    }

    /// The key of the fingerprints, the same on all nodes.
    pub fn key(&self) -> FingerprintKey {
        self.key.clone()
    }

    /// Below it, nonces may have been forgotten.
    pub fn floor(&self) -> Bucket {
        self.floor
    }

    /// With where Redis is, for the log: without user and password.
    fn at_address(&self, error: JournalError) -> JournalError {
        JournalError::At { address: self.client.get_connection_info().addr().to_string(), error: Box::new(error) }
    }

    fn connect(&mut self, now: Timestamp) -> Result<(), JournalError> {
        self.connection = None;
        let connected = self.client.get_connection_with_timeout(PATIENCE);
        let mut connection = connected.map_err(|error| failed(error, PATIENCE))?;
        for set in [Connection::set_read_timeout, Connection::set_write_timeout] {
            set(&connection, Some(LONG_PATIENCE)).map_err(JournalError::Redis)?;
        }
        self.name = format!("countersign-{:016x}", rand::random::<u64>());
        let mut call = cmd("CLIENT");
        call.arg("SETNAME").arg(&self.name);
        let () = ask(&mut connection, call)?;
        self.settle(&mut connection, now)?;
        self.connection = Some(connection);
        Ok(())
    }

    fn settle(&mut self, connection: &mut Connection, now: Timestamp) -> Result<(), JournalError> {
        let (store_now, _microseconds): (i64, i64) = ask(connection, cmd("TIME"))?;
        self.times.check(Timestamp::from_unix(store_now), now)?;
        let info: String = ask(connection, cmd("INFO"))?;
        if is_evicting(&info) {
            return Err(JournalError::Damaged(
                "Redis may evict nonces before their time: set its maxmemory-policy to noeviction",
            ));
        }
        // The second pair names whom it last was promoted from; a first replica changes nothing of it.
        let names = ["run_id", "master_replid2", "second_repl_offset"].map(|name| field(&info, name));
        let [Some(run), Some(promoted_from), Some(promoted_at)] = names else {
            return Err(JournalError::Damaged(
                "Redis does not say who it is: INFO must answer with run_id and master_replid2",
            ));
        };
        // Forbidden a moment ago, and done a moment before that.
        let evicted = field(&info, "evicted_keys").unwrap_or("0");
        let mut settle = cmd("EVAL");
        settle
            .arg(SETTLE)
            .arg(2)
            .arg(STATE)
            .arg(MARK)
            .arg(self.key.bytes().as_slice())
            .arg(i32::from(self.in_use))
            .arg(format!("{run}/{promoted_from}/{promoted_at}"))
            .arg(store_now)
            .arg(self.times.past_seconds)
            .arg(self.times.future_seconds)
            .arg(CLOCK_TOLERANCE_SECONDS)
            .arg(MARKED_AHEAD)
            .arg(evicted);
        let (key, floor, past_seconds): (Vec<u8>, i64, i64) = ask(connection, settle)?;
        let key =
            <[u8; 16]>::try_from(key.as_slice()).map_err(|_| JournalError::Damaged("the hash key has not 16 bytes"))?;
        if self.in_use && key != self.key.bytes() {
            return Err(JournalError::Damaged(
                "this Redis remembers for another installation: give each one of its own, or empty it (FLUSHDB)",
            ));
        }
        let is_felt = Bucket(floor).start().unix() > now.unix().saturating_sub(self.times.past_seconds);
        if Bucket(floor) > self.floor && is_felt {
            tracing::warn!(
                acceptable_from_unix = Bucket(floor).start().unix(),
                "Redis may have lost nonces: older timestamps are refused"
            );
        }
        self.key = FingerprintKey::from_bytes(key);
        self.floor = self.floor.max(Bucket(floor));
        self.past_seconds = past_seconds;
        self.in_use = true;
        // Ready is who would take a nonce.
        if self.wait_replicas > 0 {
            let mut wait = cmd("WAIT");
            wait.arg(self.wait_replicas).arg(millis(PATIENCE));
            self.confirm(ask(connection, wait)?)?;
        }
        Ok(())
    }

    fn confirm(&self, confirmed: u32) -> Result<(), JournalError> {
        let wanted = self.wait_replicas;
        if confirmed < wanted { Err(JournalError::Replicas { confirmed, wanted }) } else { Ok(()) }
    }

    /// The mark of a minute. One of other times expires with other nonces.
    fn mark(&self, minute: Bucket) -> String {
        format!("{MARK}{}:{}", self.kept_seconds(), minute.0)
    }

    /// From the start of a minute until its nonces may go.
    fn kept_seconds(&self) -> i64 {
        BUCKET_SECONDS + self.past_seconds + CLOCK_TOLERANCE_SECONDS
    }

    /// The time, by the clock of Redis, from which on a nonce of this minute may have gone.
    fn expires_at(&self, minute: Bucket) -> i64 {
        minute.start().unix().saturating_add(self.kept_seconds())
    }

    /// Which records were new; `None` where it can't be known.
    fn attempt(&mut self, batch: &[Record], now: Timestamp) -> Result<Vec<Option<bool>>, JournalError> {
        if self.connection.is_none() {
            self.connect(now)?;
        }
        let mut pipeline = pipe();
        for record in batch {
            let key = [NONCE, &record.fingerprint.bits().to_be_bytes()].concat();
            let set = pipeline.cmd("SET").arg(key).arg(1).arg("NX");
            set.arg("PXAT").arg(self.expires_at(record.bucket).saturating_mul(1000));
        }
        // After what it is to be compared with.
        pipeline.cmd("TIME");
        pipeline.cmd("CLIENT").arg("GETNAME");
        // Last, so that a flush in the middle is seen. What expires too early, expires first in the oldest minute.
        pipeline.cmd("HMGET").arg(STATE).arg("hash_key").arg("floor").arg("past");
        let judged = batch.iter().map(|record| record.bucket).filter(|bucket| *bucket >= self.floor);
        pipeline.cmd("EXISTS").arg(self.mark(judged.min().unwrap_or(self.floor)));
        if self.wait_replicas > 0 {
            pipeline.cmd("WAIT").arg(self.wait_replicas).arg(millis(PATIENCE));
        }
        let Some(connection) = self.connection.as_mut() else {
            return Err(JournalError::Damaged("not connected"));
        };
        let answers: Vec<Value> = pipeline.query(connection).map_err(|error| failed(error, LONG_PATIENCE))?;
        let (sets, rest) = answers.split_at_checked(batch.len()).ok_or(SHORT_ANSWER)?;
        let [time, name, state, mark, rest @ ..] = rest else {
            return Err(SHORT_ANSWER);
        };
        if let [confirmed] = rest {
            self.confirm(parse(confirmed)?)?;
        }
        if parse::<Option<String>>(name)?.as_ref() != Some(&self.name) {
            // Somebody in between has another server now, or had it meanwhile.
            self.connect(now)?;
            return Ok(vec![None; batch.len()]);
        }
        let (store_now, _microseconds): (i64, i64) = parse(time)?;
        let is_kept = |record: &Record| self.expires_at(record.bucket) > store_now;
        let new = batch.iter().zip(sets).map(|(record, set)| is_kept(record).then_some(*set == Value::Okay)).collect();
        match parse::<(Option<Vec<u8>>, Option<i64>, Option<i64>)>(state)? {
            (Some(_), Some(_), Some(past_seconds)) if past_seconds != self.past_seconds => {
                return Err(JournalError::Damaged(
                    "another node has another window: what is remembered lasts longer now",
                ));
            }
            (Some(key), Some(floor), _) if key == self.key.bytes() && parse::<bool>(mark)? => {
                self.floor = self.floor.max(Bucket(floor));
            }
            // Flushed or expired early: settled with anew, which raises the floor above everything in this batch. Or
            // the minute has no mark yet, which settling makes.
            _ => self.connect(now)?,
        }
        Ok(new)
    }

    fn try_commit(&mut self, batch: &[Record], now: Timestamp) -> Result<Vec<Outcome>, JournalError> {
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
        let outcome = |(record, new): (&Record, Option<bool>)| {
            if record.bucket < self.floor {
                return Outcome::BelowFloor(self.floor);
            }
            match new {
                Some(true) => Outcome::Fresh,
                Some(false) => in_doubt(doubtful),
                None => Outcome::Unknown,
            }
        };
        Ok(batch.iter().zip(new).map(outcome).collect())
    }

    fn try_expire(&mut self, now: Timestamp) -> Result<(), JournalError> {
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
            Err(JournalError::Redis(error)) if error.is_connection_dropped() => self.connect(now),
            Err(error) => {
                self.connection = None;
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Journal for RedisJournal {
    fn commit(&mut self, batch: &[Record], now: Timestamp) -> Result<Vec<Outcome>, JournalError> {
        self.try_commit(batch, now).map_err(|error| self.at_address(error))
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), JournalError> {
        // Settling writes, so a replica or a full server is found out, and replicas that are missing.
        self.connect(now).map_err(|error| self.at_address(error))
    }

    fn expire(&mut self, _first_kept: Bucket, now: Timestamp) -> Result<bool, JournalError> {
        // Redis expires by itself. Once a minute is a good time to compare clocks and settings.
        self.try_expire(now).map_err(|error| self.at_address(error))?;
        Ok(false)
    }

    fn close(&mut self) {
        self.connection = None;
    }
}

const SHORT_ANSWER: JournalError = JournalError::Damaged("Redis answered fewer commands than were sent");

fn ask<T: FromRedisValue>(connection: &mut Connection, command: redis::Cmd) -> Result<T, JournalError> {
    command.query(connection).map_err(|error| failed(error, LONG_PATIENCE))
}

/// `patience`: how long an answer was waited for.
fn failed(error: redis::RedisError, patience: Duration) -> JournalError {
    if error.is_timeout() { JournalError::Silent { seconds: patience.as_secs() } } else { JournalError::Redis(error) }
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
