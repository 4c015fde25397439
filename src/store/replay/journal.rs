//! The seam between the committer and the stores: a batch goes in, an outcome for each record comes out.

use std::time::{Duration, Instant};

use super::fingerprint::{Bucket, Record};
use crate::time::Timestamp;

/// What a store says about one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was new, and is durable now.
    Fresh,
    /// Another node had it already.
    Used,
    /// The store has forgotten its minute, or may have: everything below this bucket is refused.
    BelowFloor(Bucket),
    /// An attempt before this one may have written it, or it would have been forgotten by now, so whether it was new is not known.
    Unknown,
}

/// The outcome of a record that a store had already. `doubtful`: an earlier attempt of ours may have put it there.
pub fn in_doubt(doubtful: bool) -> Outcome {
    if doubtful { Outcome::Unknown } else { Outcome::Used }
}

/// Why a store failed. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite or PostgreSQL refused or failed.
    #[error("{0}")]
    Database(diesel::result::Error),
    /// The SQLite file or the PostgreSQL server cannot be opened.
    #[error("{0}")]
    Connect(diesel::ConnectionError),
    /// Redis refused or failed.
    #[error("{0}")]
    Redis(redis::RedisError),
    /// Redis is connected and says nothing.
    #[error("no answer in {seconds} s (does it speak TLS? then the address begins with rediss://)")]
    Silent {
        /// The wait.
        seconds: u64,
    },
    /// What failed, and where.
    #[error("{address}: {error}")]
    At {
        /// Host and port.
        address: String,
        /// What.
        error: Box<JournalError>,
    },
    /// The clocks of this machine and of the store's server are too far apart to agree on what has expired.
    #[error("the store's clock is {offset_seconds} s ahead of this machine's (allowed: {allowed_seconds} s)")]
    Clock {
        /// Negative when the store is behind.
        offset_seconds: i64,
        /// Either way.
        allowed_seconds: i64,
    },
    /// Fewer replicas than asked for have a batch.
    #[error("{confirmed} replicas of Redis have what was written, {wanted} were asked for (redis.wait_replicas)")]
    Replicas {
        /// What `WAIT` answered.
        confirmed: u32,
        /// `redis_wait_replicas`.
        wanted: u32,
    },
    /// The journal's file, or its floor file.
    #[error("{0}")]
    File(std::io::Error),
    /// What is stored is not what this program writes, or not fit for it.
    #[error("{0}")]
    Damaged(&'static str),
}

/// How far the clocks of nodes may be from that of the store that they share. What must be remembered is remembered as much longer,
/// and what may have been forgotten is refused as much longer.
pub const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// The times of a store that many nodes share. Seconds.
#[derive(Clone, Copy, Debug)]
pub struct SharedTimes {
    /// How long a timestamp may lie in the past.
    pub past_seconds: i64,
    /// And in the future.
    pub future_seconds: i64,
    /// How far this node's clock may be from the store's: some seconds less than [`CLOCK_TOLERANCE_SECONDS`], for commits that take a
    /// while; more in tests that travel in time.
    pub clock_difference_seconds: i64,
}

/// What time it is, run on from when a lane was last told: a store may keep it waiting for long.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    told: Timestamp,
    at: Instant,
}

impl From<Timestamp> for Running {
    fn from(told: Timestamp) -> Self {
        Self { told, at: Instant::now() }
    }
}

impl Running {
    /// Now, if `told` is what was told before; else it is that.
    pub fn told(&mut self, told: Timestamp) -> Timestamp {
        if told != self.told {
            *self = Self::from(told);
        }
        self.now()
    }

    /// Now.
    pub fn now(self) -> Timestamp {
        let since = i64::try_from(self.at.elapsed().as_secs()).unwrap_or(0);
        Timestamp::from_unix(self.told.unix().saturating_add(since))
    }
}

/// How long a store may take to tell its time. What it says after a longer pause, its own or this machine's, was true
/// at some moment of the pause: nothing to compare clocks by.
pub const CLOCK_PATIENCE: Duration = Duration::from_secs(3);

impl SharedTimes {
    /// Whether both clocks agree well enough. `store`: what the store's clock shows.
    pub fn check(self, store: Timestamp, now: Timestamp) -> Result<(), JournalError> {
        let offset_seconds = store.unix().saturating_sub(now.unix());
        if offset_seconds.saturating_abs() <= self.clock_difference_seconds {
            return Ok(());
        }
        Err(JournalError::Clock { offset_seconds, allowed_seconds: self.clock_difference_seconds })
    }

    /// Above everything that any node can have accepted until now, by the store's clock: the fastest node counts.
    pub fn unforeseen(self, store: Timestamp) -> Bucket {
        let latest = store.unix().saturating_add(CLOCK_TOLERANCE_SECONDS).saturating_add(self.future_seconds);
        Bucket::of(Timestamp::from_unix(latest)).next()
    }
}

/// A store that remembers nonces durably. One thread owns it and may block in it.
pub trait Journal: Send {
    /// Makes the batch durable and says of each record, in order, whether it was new.
    ///
    /// `Err`: it is not known what was kept; the caller refuses them all.
    fn commit(&mut self, batch: &[Record], now: Timestamp) -> Result<Vec<Outcome>, JournalError>;

    /// After a failure: comes back to work, or says that it still cannot. Writes something, to know.
    fn recover(&mut self, now: Timestamp) -> Result<(), JournalError>;

    /// Removes a little of what lies before `first_kept`; `true` when there is more to remove.
    fn expire(&mut self, first_kept: Bucket, now: Timestamp) -> Result<bool, JournalError>;

    /// The last call: nothing will follow.
    fn close(&mut self);
}
