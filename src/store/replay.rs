//! Remembers a nonce, or learns that it was used (RFC 5849 §3.3).
//!
//! Decide in memory, make durable by a log, answer after the commit: a claim is decided at once in the memory of this node
//! (`window`), waits for the next group commit (`committer`), and is answered when a store has it durably. Three stores stand
//! behind one seam (`journal`): a SQLite file for a single node, PostgreSQL or Redis for many. A single node never asks its
//! store whether a nonce is new; with many, the store decides between the nodes and the memory only says "used" sooner.
//!
//! Nothing is accepted twice and nothing that was accepted is forgotten while its timestamp could be accepted again. Where the
//! store cannot know (the clock stepped, a backup came back, Redis started anew), it refuses. It deliberately has no switch to
//! do less, evicts nothing, and does not judge signatures: only a request with a good one may claim.

mod fingerprint;
mod journal;
mod ticket;
mod set;
mod window;
mod queue;
mod lane;
mod committer;
mod expiry;
mod sqlite;
mod postgres;
mod redis;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::config::Durability;
use crate::time::Timestamp;
use committer::Committer;
use expiry::Expiry;
use fingerprint::{BUCKET_SECONDS, Bucket, FingerprintKey};
use journal::{Journal, JournalError, Outcome, SharedTimes};
use postgres::PostgresJournal;
use redis::RedisJournal;
use sqlite::{SqliteJournal, SqliteOpenError};
use ticket::Waiting;
use window::{Refusal, Window};

/// The widest window that is taken: a day and a half each way. More would be remembered for nobody's good.
const MAX_WINDOW_SECONDS: u32 = 129_600;

/// Whose nonce it is and what it is: unique per client, token and timestamp (RFC 5849 §3.3).
#[derive(Clone, Copy, Debug)]
pub struct NonceClaim<'a> {
    /// `oauth_consumer_key`, decoded.
    pub client_key: &'a str,
    /// `oauth_token`, decoded; empty when the request is two-legged.
    pub token: &'a str,
    /// `oauth_timestamp`.
    pub timestamp: Timestamp,
    /// `oauth_nonce`, decoded.
    pub nonce: &'a [u8],
}

/// Proof that a nonce was new and is remembered durably. Only [`ReplayStore::claim`] makes one.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct NonceRemembered(());

/// Why a claim is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClaimRefused {
    /// The nonce was used with this client, token and timestamp (RFC 5849 §3.3; `nonce_used`).
    #[error("the nonce was used already")]
    Used,
    /// The timestamp is outside the window, or so old that its nonces are no longer known (`timestamp_refused`).
    /// After a loss of memory `from` may lie ahead of the clock: then nothing is accepted until that moment.
    #[error("the timestamp is not between {} and {}", from.unix(), until.unix())]
    TimestampRefused {
        /// The oldest timestamp that is accepted now.
        from: Timestamp,
        /// The newest timestamp that is accepted now.
        until: Timestamp,
    },
    /// This client holds as many nonces as the memory has places left (503).
    #[error("the client holds its share of the remembered nonces")]
    ClientShareExhausted,
    /// As many nonces are remembered as configured (503).
    #[error("as many nonces are remembered as configured")]
    Full,
    /// The store does not work; the nonce counts as used where it may have been written (503).
    #[error("the replay store does not work")]
    Unavailable,
}

/// How the store works. Made by `default()` and changed field by field.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReplayOptions {
    /// Seconds that a timestamp may lie in the past; at most 129,600.
    pub past_seconds: u32,
    /// Seconds that a timestamp may lie in the future; at most 129,600.
    pub future_seconds: u32,
    /// What a commit to the SQLite journal survives.
    pub durability: Durability,
    /// Nonces remembered at once on this node, 11 to 16 bytes each; beyond it claims are refused.
    pub capacity: u64,
    /// Connections to PostgreSQL, each with a thread; 1 to 16.
    pub postgres_connections: u8,
    /// Replicas of Redis that must have a batch before it is answered (`WAIT`); 0 asks for none.
    pub redis_wait_replicas: u32,
    /// Added to every commit, for tests and measurements of slow disks (`replay.commit_delay_microseconds`).
    #[doc(hidden)]
    pub commit_delay: Duration,
    /// How far this node's clock may be from a shared store's, for tests that travel in time.
    #[doc(hidden)]
    pub clock_difference_seconds: u32,
}

impl ReplayOptions {
    fn shared_times(&self) -> SharedTimes {
        SharedTimes {
            past_seconds: i64::from(self.past_seconds),
            future_seconds: i64::from(self.future_seconds),
            clock_difference_seconds: i64::from(self.clock_difference_seconds),
        }
    }
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            past_seconds: 300,
            future_seconds: 300,
            durability: Durability::Power,
            capacity: 1 << 25,
            postgres_connections: 3,
            redis_wait_replicas: 0,
            commit_delay: Duration::ZERO,
            // Less than what is remembered longer: a commit comes a moment after its claim.
            clock_difference_seconds: 50,
        }
    }
}

/// Why a replay store cannot be opened. The text names the file or the server and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns the journal.
    #[error(transparent)]
    Journal(#[from] SqliteOpenError),
    /// What the journal holds cannot be read.
    #[error("the replay journal: {0}")]
    Refill(JournalError),
    /// PostgreSQL cannot be used.
    #[error("replay store on PostgreSQL (are the migrations done?): {0}")]
    Postgres(JournalError),
    /// Redis cannot be used.
    #[error("replay store on Redis: {0}")]
    Redis(JournalError),
    /// No thread could be started.
    #[error("no thread for the replay store: {0}")]
    Thread(#[from] std::io::Error),
    /// The options ask for a window that is not taken.
    #[error("the timestamp window is longer than {MAX_WINDOW_SECONDS} seconds")]
    WindowTooLong,
}

/// What the store has done and holds, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplayStatistics {
    /// Nonces remembered in memory.
    pub live: u64,
    /// The most that may be.
    pub capacity: u64,
    /// Claims that wait for a commit to begin.
    pub waiting: usize,
    /// Commits since the start.
    pub commits: u64,
    /// Nonces in those commits.
    pub committed: u64,
    /// Commits that failed.
    pub failures: u64,
    /// Is it ready to take claims?
    pub ready: bool,
}

/// The replay store of one node. Share it by `Arc` or actix `Data`; dropping it flushes and closes it.
pub struct ReplayStore {
    key: FingerprintKey,
    past_seconds: i64,
    future_seconds: i64,
    capacity: u64,
    memory: Arc<Memory>,
    committer: Arc<Committer>,
    expiry: Expiry,
}

/// The window, and what it is to the store.
struct Memory {
    window: Window,
    /// Is what the memory has dropped gone for good, so that its minutes must be refused?
    authoritative: bool,
}

impl Memory {
    /// Of a store that decides by itself: a memory of what is known to be used.
    fn in_front(window: Window) -> Self {
        Self { window, authoritative: false }
    }
}

impl ReplayStore {
    /// A single node's store: a SQLite file of its own at `path`, with `path-floor`, `path-wal` beside it.
    ///
    /// Reads what is live at `now` back into memory before it returns.
    ///
    /// # Errors
    /// [`OpenError::Journal`] when another process owns the file or it cannot be used.
    pub fn open_journal(path: &Path, options: &ReplayOptions, now: Timestamp) -> Result<Self, OpenError> {
        let times = Times::of(options, now)?;
        let mut opened = SqliteJournal::open(path, options.durability, times.unforeseen)?;
        let window = Window::new(options.capacity, times.live_buckets);
        window.raise_floor(opened.floor.max(times.first_kept));
        opened.journal.refill(&window, times.first_kept).map_err(OpenError::Refill)?;
        let memory = Memory { window, authoritative: true };
        Self::start(opened.key, memory, vec![Box::new(opened.journal)], options, now)
    }

    /// The store of many nodes in PostgreSQL, whose migrations are done. The window must be the same on all nodes.
    ///
    /// # Errors
    /// [`OpenError::Postgres`] when it cannot be reached or lacks the tables.
    pub fn open_postgres(url: &str, options: &ReplayOptions, now: Timestamp) -> Result<Self, OpenError> {
        let times = Times::of(options, now)?;
        let journals =
            PostgresJournal::open(url, options.postgres_connections.clamp(1, 16), options.shared_times(), now)
                .map_err(OpenError::Postgres)?;
        let window = Window::new(options.capacity, times.live_buckets);
        let mut key = FingerprintKey::random();
        for journal in &journals {
            window.raise_floor(journal.horizon());
            key = journal.key();
        }
        let journals = journals.into_iter().map(|journal| Box::new(journal) as Box<dyn Journal>);
        Self::start(key, Memory::in_front(window), journals.collect(), options, now)
    }

    /// The store of many nodes in Redis or Valkey (6.2 or newer), `redis://` or `rediss://`. The window must be the same on all
    /// nodes. Redis must not evict; what its persistence may lose after a crash is covered by refusing for a while.
    ///
    /// `known` is the [`hash_key`](Self::hash_key) that this installation uses, kept outside of Redis; `None` before the first time.
    /// A Redis that lacks it has lost nonces.
    ///
    /// # Errors
    /// [`OpenError::Redis`] when it cannot be reached, may evict, has another hash key, or its clock is too far off.
    pub fn open_redis(
        url: &str,
        known: Option<[u8; 16]>,
        options: &ReplayOptions,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let times = Times::of(options, now)?;
        let known = known.map(FingerprintKey::from_bytes);
        let journal = RedisJournal::open(url, known, options.shared_times(), options.redis_wait_replicas, now)
            .map_err(OpenError::Redis)?;
        let window = Window::new(options.capacity, times.live_buckets);
        window.raise_floor(journal.floor());
        let key = journal.key();
        Self::start(key, Memory::in_front(window), vec![Box::new(journal)], options, now)
    }

    fn start(
        key: FingerprintKey,
        memory: Memory,
        journals: Vec<Box<dyn Journal>>,
        options: &ReplayOptions,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let memory = Arc::new(memory);
        let committer = Arc::new(Committer::start(journals, options.commit_delay, now)?);
        let expiry = Expiry::start(Arc::clone(&memory), Arc::clone(&committer))?;
        Ok(Self {
            key,
            past_seconds: i64::from(options.past_seconds),
            future_seconds: i64::from(options.future_seconds),
            capacity: options.capacity,
            memory,
            committer,
            expiry,
        })
    }

    /// Claims a nonce: `Ok` when nobody had it and it is durably remembered. Only for a request whose signature is good.
    ///
    /// It is decided in memory before this returns; awaiting it waits for the commit. A claim that is dropped unawaited counts
    /// as used all the same. Await it where it is made, not beside other work: it wakes its neighbours when it is polled.
    ///
    /// # Errors
    /// See [`ClaimRefused`].
    pub fn claim(&self, claim: NonceClaim<'_>, now: Timestamp) -> Claiming<'_> {
        let state = match self.decide(claim, now) {
            Ok(waiting) => State::Waiting(waiting),
            Err(refused) => State::Refused(refused),
        };
        Claiming { window: &self.memory.window, until: self.newest_acceptable(now), state }
    }

    fn decide(&self, claim: NonceClaim<'_>, now: Timestamp) -> Result<Waiting, ClaimRefused> {
        let oldest = self.note_time(now);
        // Asked before the memory, so that a store that fails does not fill the memory with nonces that nobody remembers.
        if !self.committer.is_ready() {
            return Err(ClaimRefused::Unavailable);
        }
        let out_of_window = ClaimRefused::TimestampRefused {
            from: oldest.max(self.memory.window.floor().start()),
            until: self.newest_acceptable(now),
        };
        if claim.timestamp < oldest || claim.timestamp > self.newest_acceptable(now) {
            return Err(out_of_window);
        }
        let record = self.key.record(claim.client_key, claim.token, claim.timestamp, claim.nonce);
        self.memory.window.admit(record).map_err(|refusal| match refusal {
            Refusal::Used => ClaimRefused::Used,
            Refusal::BelowFloor => out_of_window,
            Refusal::ShareTaken => ClaimRefused::ClientShareExhausted,
            Refusal::Full => ClaimRefused::Full,
        })?;
        self.committer.submit(record).map_err(|_| ClaimRefused::Unavailable)
    }

    /// Passes the time on to those who expire; returns the oldest timestamp in the window.
    fn note_time(&self, now: Timestamp) -> Timestamp {
        let oldest = Timestamp::from_unix(now.unix().saturating_sub(self.past_seconds));
        self.committer.note_time(now);
        self.expiry.notice(Bucket::of(oldest), self.memory.authoritative);
        oldest
    }

    fn newest_acceptable(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_unix(now.unix().saturating_add(self.future_seconds))
    }

    /// Gives back what has left the window at `now`. Every claim does so too; this is for a server that gets none.
    pub fn expire(&self, now: Timestamp) {
        self.note_time(now);
    }

    /// Refuses every timestamp that any node can have accepted until `time`, in another store than this one.
    pub fn refuse_accepted_until(&self, time: Timestamp) {
        let latest = time.unix().saturating_add(journal::CLOCK_TOLERANCE_SECONDS).saturating_add(self.future_seconds);
        self.memory.window.raise_floor(Bucket::of(Timestamp::from_unix(latest)).next());
    }

    /// The secret key under which nonces are hashed, 128 bits. All nodes have the same.
    #[must_use]
    pub fn hash_key(&self) -> [u8; 16] {
        self.key.bytes()
    }

    /// Do other nodes remember here too? Then a nonce may have been used by them.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        !self.memory.authoritative
    }

    /// Does the store take claims? `false` from a failed commit until the store works again.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.committer.is_ready()
    }

    /// What the store has done and holds.
    #[must_use]
    pub fn statistics(&self) -> ReplayStatistics {
        let counts = self.committer.counts();
        ReplayStatistics {
            live: self.memory.window.live(),
            capacity: self.capacity,
            waiting: self.committer.waiting(),
            commits: counts.commits.load(Ordering::Relaxed),
            committed: counts.records.load(Ordering::Relaxed),
            failures: counts.failures.load(Ordering::Relaxed),
            ready: self.is_ready(),
        }
    }

    /// Bytes of memory that the remembered nonces take. Visits every set: for measurements, not for every scrape.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.memory.window.heap_bytes()
    }

    /// Takes no more claims, commits what waits, and closes the store. Blocks meanwhile; dropping does the same.
    pub fn close(&self) {
        self.committer.close();
    }
}

impl Drop for ReplayStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// A claim that waits for its commit. See [`ReplayStore::claim`].
#[must_use = "a claim says nothing until it is awaited"]
pub struct Claiming<'a> {
    window: &'a Window,
    until: Timestamp,
    state: State,
}

enum State {
    Refused(ClaimRefused),
    Waiting(Waiting),
}

impl Future for Claiming<'_> {
    type Output = Result<NonceRemembered, ClaimRefused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waiting = match &mut self.state {
            State::Refused(refused) => return Poll::Ready(Err(*refused)),
            State::Waiting(waiting) => waiting,
        };
        Pin::new(waiting).poll(context).map(|answer| match answer {
            Some(Outcome::Fresh) => Ok(NonceRemembered(())),
            Some(Outcome::Used) => Err(ClaimRefused::Used),
            Some(Outcome::BelowFloor(floor)) => {
                self.window.raise_floor(floor);
                Err(ClaimRefused::TimestampRefused { from: floor.start(), until: self.until })
            }
            Some(Outcome::Unknown) | None => Err(ClaimRefused::Unavailable),
        })
    }
}

/// The buckets that matter at a moment.
struct Times {
    /// The oldest that is still in the window.
    first_kept: Bucket,
    /// Above everything that can have been accepted until now.
    unforeseen: Bucket,
    /// How many can be live at once.
    live_buckets: usize,
}

impl Times {
    fn of(options: &ReplayOptions, now: Timestamp) -> Result<Self, OpenError> {
        if options.past_seconds.max(options.future_seconds) > MAX_WINDOW_SECONDS {
            return Err(OpenError::WindowTooLong);
        }
        let past = i64::from(options.past_seconds);
        let future = i64::from(options.future_seconds);
        let at = |seconds| Bucket::of(Timestamp::from_unix(seconds));
        Ok(Self {
            first_kept: at(now.unix().saturating_sub(past)),
            unforeseen: at(now.unix().saturating_add(future)).next(),
            live_buckets: usize::try_from((past + future) / BUCKET_SECONDS + 3).unwrap_or(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_700_000_000);

    /// A folder of its own for each test, removed at its end.
    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a temporary folder can be made"))
        }

        fn journal(&self) -> PathBuf {
            self.0.path().join("replay.db")
        }

        fn open(&self, now: Timestamp) -> Result<ReplayStore, OpenError> {
            ReplayStore::open_journal(&self.journal(), &ReplayOptions::default(), now)
        }
    }

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_unix(NOW.unix() + seconds)
    }

    async fn claim(
        store: &ReplayStore,
        nonce: &str,
        timestamp: Timestamp,
        now: Timestamp,
    ) -> Result<NonceRemembered, ClaimRefused> {
        let claim = NonceClaim {
            client_key: "dpf43f3p2l4k3l03",
            token: "nnch734d00sl2jdk",
            timestamp,
            nonce: nonce.as_bytes(),
        };
        store.claim(claim, now).await
    }

    #[tokio::test]
    async fn a_used_nonce_is_refused() {
        let folder = Folder::new();
        let store = folder.open(NOW).expect("opens");
        assert_eq!(claim(&store, "a", NOW, NOW).await, Ok(NonceRemembered(())));
        assert_eq!(claim(&store, "a", NOW, NOW).await, Err(ClaimRefused::Used));
        assert_eq!(claim(&store, "b", NOW, NOW).await, Ok(NonceRemembered(())));
        assert_eq!(claim(&store, "a", after(1), NOW).await, Ok(NonceRemembered(())));
    }

    #[tokio::test]
    async fn a_timestamp_outside_the_window_is_refused_and_told_the_window() {
        let folder = Folder::new();
        let store = folder.open(NOW).expect("opens");
        let refused = Err(ClaimRefused::TimestampRefused { from: after(-300), until: after(300) });
        assert_eq!(claim(&store, "a", after(-301), NOW).await, refused);
        assert_eq!(claim(&store, "a", after(301), NOW).await, refused);
        assert!(claim(&store, "a", after(-300), NOW).await.is_ok());
        assert!(claim(&store, "a", after(300), NOW).await.is_ok());
    }

    #[tokio::test]
    async fn a_second_owner_of_the_journal_is_told_so() {
        let folder = Folder::new();
        let store = folder.open(NOW).expect("opens");
        let error = folder.open(NOW).err().expect("is in use").to_string();
        assert!(error.contains("in use by another process"), "{error}");
        drop(store);
        assert!(folder.open(NOW).is_ok());
    }

    #[tokio::test]
    async fn a_closed_store_takes_no_claims() {
        let folder = Folder::new();
        let store = folder.open(NOW).expect("opens");
        store.close();
        assert!(!store.is_ready());
        assert_eq!(claim(&store, "a", NOW, NOW).await, Err(ClaimRefused::Unavailable));
    }

    #[tokio::test]
    async fn a_claim_that_is_dropped_counts_as_used() {
        let folder = Folder::new();
        let store = folder.open(NOW).expect("opens");
        let claim_now = NonceClaim { client_key: "c", token: "", timestamp: NOW, nonce: b"a" };
        drop(store.claim(claim_now, NOW));
        assert_eq!(store.claim(claim_now, NOW).await, Err(ClaimRefused::Used));
    }

    #[test]
    fn a_window_without_measure_is_not_taken() {
        let folder = Folder::new();
        let options = ReplayOptions { past_seconds: 1_000_000, ..ReplayOptions::default() };
        let opened = ReplayStore::open_journal(&folder.journal(), &options, NOW);
        assert!(matches!(opened, Err(OpenError::WindowTooLong)));
    }
}
