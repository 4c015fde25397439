//! The threads between the requests and the store: group commit without artificial delay.
//!
//! Each lane is a thread that owns one [`Journal`]. It takes everything that waits, up to [`BATCH`] records, has it made
//! durable, and only then completes the requests. While it commits, the next batch gathers. When its store fails, its batch is
//! refused, and the lane tries to recover with growing pauses; when no lane works any more, nothing is taken in at all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::fingerprint::{Bucket, Record};
use super::journal::{Journal, JournalError};
use super::ticket::{self, Ticket, Waiting};
use crate::time::Timestamp;

/// The most records in one commit.
const BATCH: usize = 4096;

/// Commits between two steps of expiry when there is always something to commit.
const COMMITS_PER_EXPIRY: u32 = 32;

/// The pauses between attempts to recover: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// The requests' way to the lanes.
pub struct Committer {
    shared: Arc<Shared>,
    lanes: Mutex<Vec<JoinHandle<()>>>,
}

/// Nothing is taken in: every lane's store fails, or the committer is closing.
#[derive(Debug, PartialEq, Eq)]
pub struct NotTakenIn;

/// What the lanes have done so far.
#[derive(Default)]
pub struct Counts {
    /// Batches made durable.
    pub commits: AtomicU64,
    /// Records in those batches.
    pub records: AtomicU64,
    /// Batches that a store failed to take.
    pub failures: AtomicU64,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// What the queue says, for readers without its lock.
    takes_in: AtomicBool,
    /// The time of the last claim.
    now: AtomicI64,
    /// Buckets before this one are expired.
    first_kept: AtomicI64,
    counts: Counts,
    commit_delay: Duration,
}

struct Queue {
    waiting: VecDeque<Pending>,
    /// Lanes asleep for want of work.
    idle: usize,
    /// Lanes whose store works.
    healthy: usize,
    closing: bool,
}

struct Pending {
    record: Record,
    ticket: Arc<Ticket>,
}

/// What a lane does next.
enum Work {
    Commit(Vec<Pending>),
    Expire,
    Close,
}

impl Committer {
    /// Starts a thread for each journal. `commit_delay` is added to every commit: zero but in tests and measurements.
    pub fn start(
        journals: Vec<Box<dyn Journal>>,
        commit_delay: Duration,
        now: Timestamp,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                idle: 0,
                healthy: journals.len(),
                closing: false,
            }),
            arrived: Condvar::new(),
            takes_in: AtomicBool::new(!journals.is_empty()),
            now: AtomicI64::new(now.unix()),
            first_kept: AtomicI64::new(i64::MIN),
            counts: Counts::default(),
            commit_delay,
        });
        let committer = Self {
            shared: Arc::clone(&shared),
            lanes: Mutex::default(),
        };
        for journal in journals {
            let lane = Lane {
                shared: Arc::clone(&shared),
                journal,
                healthy: true,
                expired_to: i64::MIN,
                commits_since_expiry: 0,
            };
            let thread = Builder::new()
                .name("replay-commit".into())
                .spawn(move || lane.run())?;
            committer.lock_lanes().push(thread);
        }
        Ok(committer)
    }

    /// Queues a record for the next commit.
    pub fn submit(&self, record: Record, now: Timestamp) -> Result<Waiting, NotTakenIn> {
        let (ticket, waiting) = ticket::pair();
        self.shared.now.store(now.unix(), Ordering::Relaxed);
        let mut queue = self.shared.lock();
        if !queue.takes_in() {
            return Err(NotTakenIn);
        }
        queue.waiting.push_back(Pending { record, ticket });
        let wake = queue.idle > 0;
        if wake {
            queue.idle -= 1;
        }
        drop(queue);
        if wake {
            self.shared.arrived.notify_one();
        }
        Ok(waiting)
    }

    /// From now on the stores may remove what lies before `first_kept`.
    pub fn expire(&self, first_kept: Bucket) {
        self.shared.first_kept.store(first_kept.0, Ordering::SeqCst);
        self.shared.wake_all();
    }

    /// Does at least one lane take records in?
    pub fn is_ready(&self) -> bool {
        self.shared.takes_in.load(Ordering::Relaxed)
    }

    /// Records that wait for a lane.
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// What the lanes have done so far.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Takes nothing more in, commits what waits, and returns when every lane has ended. A second call does nothing.
    pub fn close(&self) {
        {
            let mut queue = self.shared.lock();
            queue.closing = true;
            self.shared.publish(&queue);
        }
        self.shared.wake_all();
        for lane in std::mem::take(&mut *self.lock_lanes()) {
            if lane.join().is_err() {
                tracing::error!("a commit thread of the replay store panicked");
            }
        }
    }

    fn lock_lanes(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn takes_in(&self) -> bool {
        self.healthy > 0 && !self.closing
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, queue: &Queue) {
        self.takes_in.store(queue.takes_in(), Ordering::Relaxed);
    }

    fn wake_all(&self) {
        self.lock().idle = 0;
        self.arrived.notify_all();
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.now.load(Ordering::Relaxed))
    }

    fn count(counter: &AtomicU64, more: usize) {
        counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// One thread with its store.
struct Lane {
    shared: Arc<Shared>,
    journal: Box<dyn Journal>,
    /// Counted in the queue's `healthy`.
    healthy: bool,
    /// Everything before this bucket is removed from the store.
    expired_to: i64,
    commits_since_expiry: u32,
}

impl Lane {
    fn run(mut self) {
        loop {
            let done = match self.next() {
                Work::Commit(batch) => self.commit(batch),
                Work::Expire => self.expire(),
                Work::Close => break,
            };
            if let Err(error) = done
                && !self.recover(&error)
            {
                break;
            }
        }
        self.journal.close();
    }

    /// Sleeps until there is something to do.
    fn next(&mut self) -> Work {
        let mut queue = self.shared.lock();
        loop {
            let expiry_due = self.expired_to != self.shared.first_kept.load(Ordering::SeqCst);
            let busy = self.commits_since_expiry < COMMITS_PER_EXPIRY;
            if !queue.waiting.is_empty() && (busy || !expiry_due) {
                let size = queue.waiting.len().min(BATCH);
                return Work::Commit(queue.waiting.drain(..size).collect());
            }
            if queue.closing && queue.waiting.is_empty() {
                return Work::Close;
            }
            if expiry_due {
                return Work::Expire;
            }
            queue.idle += 1;
            queue = self
                .shared
                .arrived
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn commit(&mut self, batch: Vec<Pending>) -> Result<(), JournalError> {
        self.commits_since_expiry = self.commits_since_expiry.saturating_add(1);
        let mut unanswered = Unanswered(batch);
        let records: Vec<Record> = unanswered.0.iter().map(|pending| pending.record).collect();
        let outcomes = self.journal.commit(&records, self.shared.now())?;
        if !self.shared.commit_delay.is_zero() {
            std::thread::sleep(self.shared.commit_delay);
        }
        Shared::count(&self.shared.counts.commits, 1);
        Shared::count(&self.shared.counts.records, records.len());
        let batch = std::mem::take(&mut unanswered.0);
        let mut outcomes = outcomes.into_iter();
        // A store that gives too few outcomes leaves the rest refused, never accepted.
        ticket::complete(
            batch
                .into_iter()
                .map(|pending| (pending.ticket, outcomes.next())),
        );
        Ok(())
    }

    fn expire(&mut self) -> Result<(), JournalError> {
        self.commits_since_expiry = 0;
        let first_kept = self.shared.first_kept.load(Ordering::SeqCst);
        if !self.journal.expire(Bucket(first_kept), self.shared.now())? {
            self.expired_to = first_kept;
        }
        Ok(())
    }

    /// Tries until the store works again. `false`: the committer closed meanwhile.
    fn recover(&mut self, error: &JournalError) -> bool {
        tracing::error!(%error, "the replay store failed: requests are refused until it works again");
        Shared::count(&self.shared.counts.failures, 1);
        self.leave_the_healthy();
        let mut pause = FIRST_PAUSE;
        loop {
            {
                let queue = self.shared.lock();
                let (queue, _) = self
                    .shared
                    .arrived
                    .wait_timeout_while(queue, pause, |queue| !queue.closing)
                    .unwrap_or_else(PoisonError::into_inner);
                if queue.closing {
                    // What waits is another lane's, or was refused when the last lane failed.
                    return false;
                }
            }
            match self.journal.recover(self.shared.now()) {
                Ok(()) => {
                    self.join_the_healthy();
                    tracing::info!("the replay store works again");
                    return true;
                }
                Err(error) => tracing::warn!(%error, "the replay store still fails"),
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// The last lane to leave refuses what waits.
    fn leave_the_healthy(&mut self) {
        if !std::mem::replace(&mut self.healthy, false) {
            return;
        }
        let refused = {
            let mut queue = self.shared.lock();
            queue.healthy = queue.healthy.saturating_sub(1);
            self.shared.publish(&queue);
            if queue.healthy > 0 {
                return;
            }
            std::mem::take(&mut queue.waiting)
        };
        drop(Unanswered(refused.into()));
    }

    fn join_the_healthy(&mut self) {
        self.healthy = true;
        let mut queue = self.shared.lock();
        queue.healthy += 1;
        self.shared.publish(&queue);
    }
}

/// However its thread ends, a panic in a store included, nobody may wait for a lane in vain.
impl Drop for Lane {
    fn drop(&mut self) {
        self.leave_the_healthy();
    }
}

/// A batch that is refused unless it was answered: also when a store panics.
struct Unanswered(Vec<Pending>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        ticket::complete(self.0.drain(..).map(|pending| (pending.ticket, None)));
    }
}
