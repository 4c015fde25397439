//! The threads between the requests and the store: group commit without artificial delay.
//!
//! Each lane is a thread that owns one [`Journal`]. It takes everything that is released, up to [`BATCH`] records, has it made
//! durable, and only then completes the requests. While it commits, the next batch gathers; another lane is woken only when
//! that has grown long, because few large batches cost a store less than many small ones.
//!
//! A record is released when the event loop that it came from has nothing more at hand, or enough for a batch ([`Release`]).
//! Nobody waits for that: the loop is at work all the time. Without it a lane would wake for the first of many requests that
//! are already there, and commit it alone.
//!
//! When a store fails, its batch is refused, and the lane tries to recover with growing pauses. When a store does not answer,
//! the watch refuses the batch in its place. When no lane works any more, nothing is taken in at all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::fingerprint::{Bucket, Record};
use super::journal::{Journal, JournalError};
use super::ticket::{self, ThreadNumber, Ticket, Waiting};
use crate::store::ending::join_within;
use crate::time::Timestamp;

/// The most records in one commit.
const BATCH: usize = 4096;

/// What waits before a second lane is woken beside one that works.
const LONG_QUEUE: usize = 64;

/// What is worth a commit while more may be at hand. A commit costs as much CPU time as a few requests, so one for each turn of
/// the loop (some 30 requests) is too many; but with only 64 connections a batch of all of them leaves the loop nothing to do.
const ENOUGH: usize = 32;

/// A lane that has been at work for so long may be stuck: another one is woken also for a short queue. Longer than a commit
/// takes on a busy machine, where few large batches do better than many small ones.
const SLOW: Duration = Duration::from_millis(100);

/// How long a commit may take before the watch refuses its batch, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_secs(1);

/// How long the last commits may take when the committer is closed.
const CLOSING: Duration = Duration::from_secs(5);

/// Commits between two steps of expiry when there is always something to commit.
const COMMITS_PER_EXPIRY: u32 = 32;

/// The pauses between attempts to recover: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// The requests' way to the lanes.
pub struct Committer {
    shared: Arc<Shared>,
    /// The lanes, and the watch.
    threads: Mutex<Vec<JoinHandle<()>>>,
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
    /// Where idle lanes sleep.
    arrived: Condvar,
    /// Where lanes sleep that recover: apart, so that none of them takes a wake that is meant for an idle one.
    closing: Condvar,
    /// What the queue says, for readers without its lock.
    takes_in: AtomicBool,
    /// The time when last told.
    now: AtomicI64,
    /// Buckets before this one are expired.
    first_kept: AtomicI64,
    counts: Counts,
    commit_delay: Duration,
    /// What each lane is at.
    flights: Box<[Mutex<Flight>]>,
}

struct Queue {
    waiting: VecDeque<Pending>,
    /// How many of them, from the front, a lane may take.
    released: usize,
    /// Threads that will release what waits.
    releasing: Vec<ThreadNumber>,
    /// Lanes asleep for want of work, and how many of them were sent a wake.
    idle: usize,
    woken: usize,
    /// Lanes whose store works.
    healthy: usize,
    closing: bool,
}

/// What a lane is at, where the watch can see it.
struct Flight {
    /// Counted in the queue's `healthy`.
    healthy: bool,
    /// Between the beginning and the end of a commit, or of a step of expiry.
    at_work: bool,
    /// When that began.
    began: Instant,
    batch: Vec<Pending>,
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
    pub fn start(journals: Vec<Box<dyn Journal>>, commit_delay: Duration, now: Timestamp) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                released: 0,
                releasing: Vec::new(),
                idle: 0,
                woken: 0,
                healthy: journals.len(),
                closing: false,
            }),
            arrived: Condvar::new(),
            closing: Condvar::new(),
            takes_in: AtomicBool::new(!journals.is_empty()),
            now: AtomicI64::new(now.unix()),
            first_kept: AtomicI64::new(i64::MIN),
            counts: Counts::default(),
            commit_delay,
            flights: journals.iter().map(|_| Mutex::new(Flight::new())).collect(),
        });
        let committer = Self { shared: Arc::clone(&shared), threads: Mutex::default() };
        for (number, journal) in journals.into_iter().enumerate() {
            let lane = Lane {
                shared: Arc::clone(&shared),
                number,
                journal,
                time: RunningTime::from(now.unix()),
                expired_to: i64::MIN,
                commits_since_expiry: 0,
            };
            committer.spawn("replay-commit", move || lane.run())?;
        }
        committer.spawn("replay-watch", move || shared.watch())?;
        Ok(committer)
    }

    /// Tells the lanes what time it is.
    pub fn note_time(&self, now: Timestamp) {
        // Mostly it is the same second: then the line of memory stays shared between the workers.
        if self.shared.now.load(Ordering::Relaxed) != now.unix() {
            self.shared.now.store(now.unix(), Ordering::Relaxed);
        }
    }

    /// Queues a record for the next commit.
    pub fn submit(&self, record: Record) -> Result<Waiting, NotTakenIn> {
        let (ticket, waiting) = ticket::pair();
        let thread = ticket.thread();
        let mut queue = self.shared.lock();
        if !queue.takes_in() {
            return Err(NotTakenIn);
        }
        queue.waiting.push_back(Pending { record, ticket });
        if !queue.releasing.contains(&thread) {
            queue.releasing.push(thread);
            drop(queue);
            Release { shared: Arc::clone(&self.shared), thread }.when_gathered();
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
    /// When a store does not answer, what it did not acknowledge is refused.
    pub fn close(&self) {
        self.close_within(CLOSING);
    }

    fn close_within(&self, patience: Duration) {
        {
            let mut queue = self.shared.lock();
            queue.closing = true;
            queue.released = queue.waiting.len();
            self.shared.publish(&queue);
        }
        self.shared.wake_all();
        self.shared.closing.notify_all();
        let threads = std::mem::take(&mut *self.lock_threads());
        let left = join_within(patience, threads);
        if left > 0 {
            let refused = self.shared.refuse_everything();
            tracing::error!(threads = left, refused, "the replay store does not answer: it is closed without it");
        }
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let thread = Builder::new().name(name.into()).spawn(run)?;
        self.lock_threads().push(thread);
        Ok(())
    }

    fn lock_threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The promise of a thread to release what waits; kept when it is dropped, so that a runtime that ends keeps it too.
struct Release {
    shared: Arc<Shared>,
    thread: ThreadNumber,
}

impl Release {
    /// When the event loop has nothing more at hand, or enough for a batch; at once where there is no event loop.
    fn when_gathered(self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let mut gathered = 0;
                loop {
                    let waiting = self.shared.lock().waiting.len();
                    if waiting <= gathered || waiting >= ENOUGH {
                        break;
                    }
                    gathered = waiting;
                    tokio::task::yield_now().await;
                }
                drop(self);
            });
        }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let wake = {
            let mut queue = self.shared.lock();
            queue.releasing.retain(|thread| *thread != self.thread);
            queue.released = queue.waiting.len();
            let wake = queue.wants_a_wake(|| self.shared.has_slow_lane());
            queue.woken += usize::from(wake);
            wake
        };
        if wake {
            self.shared.arrived.notify_one();
        }
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

    /// Is there a lane to wake, and is it worth it?
    fn wants_a_wake(&self, has_slow_lane: impl FnOnce() -> bool) -> bool {
        let asleep = self.idle.saturating_sub(self.woken);
        asleep > 0 && self.released > 0 && (asleep >= self.healthy || self.released >= LONG_QUEUE || has_slow_lane())
    }

    /// What a lane commits next.
    fn take(&mut self) -> Vec<Pending> {
        let size = self.released.min(BATCH);
        self.released -= size;
        self.waiting.drain(..size).collect()
    }
}

impl Flight {
    fn new() -> Self {
        Self { healthy: true, at_work: false, began: Instant::now(), batch: Vec::new() }
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
        // Under the lock, so that no lane is between looking and sleeping.
        let _queue = self.lock();
        self.arrived.notify_all();
    }

    #[expect(clippy::indexing_slicing, reason = "there is a flight for each lane")]
    fn flight(&self, lane: usize) -> MutexGuard<'_, Flight> {
        self.flights[lane].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is a lane at work that may be stuck?
    fn has_slow_lane(&self) -> bool {
        (0..self.flights.len()).any(|lane| {
            let flight = self.flight(lane);
            flight.at_work && flight.began.elapsed() >= SLOW
        })
    }

    /// Takes the lane out of the count, once. The last lane to leave refuses what waits.
    fn leave_the_healthy(&self, lane: usize) {
        if std::mem::replace(&mut self.flight(lane).healthy, false) {
            self.count_one_less();
        }
    }

    fn count_one_less(&self) {
        let refused = {
            let mut queue = self.lock();
            queue.healthy = queue.healthy.saturating_sub(1);
            self.publish(&queue);
            if queue.healthy > 0 {
                // The others have not been woken for what waited for this one.
                self.arrived.notify_all();
                return;
            }
            queue.released = 0;
            std::mem::take(&mut queue.waiting)
        };
        refuse(refused);
    }

    /// The end of a lane's work; what is still of its batch.
    fn land(&self, lane: usize) -> Vec<Pending> {
        let mut flight = self.flight(lane);
        flight.at_work = false;
        std::mem::take(&mut flight.batch)
    }

    fn join_the_healthy(&self, lane: usize) {
        if std::mem::replace(&mut self.flight(lane).healthy, true) {
            return;
        }
        let mut queue = self.lock();
        queue.healthy += 1;
        self.publish(&queue);
    }

    /// Refuses the batches of stores that do not answer. A store that answers too late has recovered by that.
    fn watch(&self) {
        let mut queue = self.lock();
        loop {
            (queue, _) = self
                .closing
                .wait_timeout_while(queue, LOOK, |queue| !queue.closing)
                .unwrap_or_else(PoisonError::into_inner);
            if queue.closing {
                return;
            }
            // Who waits behind a lane that is stuck waits for nobody's next release.
            if queue.wants_a_wake(|| self.has_slow_lane()) {
                queue.woken += 1;
                self.arrived.notify_one();
            }
            drop(queue);
            self.refuse_late(PATIENCE);
            queue = self.lock();
        }
    }

    fn refuse_late(&self, patience: Duration) {
        for lane in 0..self.flights.len() {
            // Decided and taken in one: a lane whose work ends meanwhile finds itself out of the count, and joins it again.
            let late = {
                let mut flight = self.flight(lane);
                let is_late = flight.at_work && flight.began.elapsed() >= patience;
                is_late.then(|| (std::mem::replace(&mut flight.healthy, false), std::mem::take(&mut flight.batch)))
            };
            if let Some((was_healthy, batch)) = late {
                if was_healthy {
                    self.count_one_less();
                    tracing::error!(waited_seconds = patience.as_secs(), "the replay store does not answer");
                }
                refuse(batch);
            }
        }
    }

    /// What waits, and what lanes are at. Who asked may still wait.
    fn refuse_everything(&self) -> usize {
        let mut all: Vec<Pending> = {
            let mut queue = self.lock();
            queue.released = 0;
            queue.waiting.drain(..).collect()
        };
        for lane in 0..self.flights.len() {
            all.append(&mut self.flight(lane).batch);
        }
        let refused = all.len();
        refuse(all);
        refused
    }

    fn count(counter: &AtomicU64, more: usize) {
        counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// One thread with its store.
struct Lane {
    shared: Arc<Shared>,
    /// Which of the flights is its own.
    number: usize,
    journal: Box<dyn Journal>,
    time: RunningTime,
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
        loop {
            // Where requests wait for this processor, they come first and join the batch; else this costs nothing.
            std::thread::yield_now();
            let mut queue = self.shared.lock();
            let expiry_due = self.expired_to != self.shared.first_kept.load(Ordering::SeqCst);
            let busy = self.commits_since_expiry < COMMITS_PER_EXPIRY;
            if queue.released > 0 && (busy || !expiry_due) {
                return Work::Commit(queue.take());
            }
            if queue.closing && queue.waiting.is_empty() {
                return Work::Close;
            }
            if expiry_due {
                return Work::Expire;
            }
            queue.idle += 1;
            queue = self.shared.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
            queue.woken = queue.woken.saturating_sub(1);
        }
    }

    fn commit(&mut self, batch: Vec<Pending>) -> Result<(), JournalError> {
        self.commits_since_expiry = self.commits_since_expiry.saturating_add(1);
        let records: Vec<Record> = batch.iter().map(|pending| pending.record).collect();
        {
            let mut flight = self.shared.flight(self.number);
            flight.at_work = true;
            flight.began = Instant::now();
            flight.batch = batch;
        }
        let now = self.time.now(&self.shared);
        let outcomes = self.journal.commit(&records, now);
        if !self.shared.commit_delay.is_zero() {
            std::thread::sleep(self.shared.commit_delay);
        }
        if outcomes.is_err() {
            // Before the batch is refused, so that whoever is refused finds the store not ready.
            self.shared.leave_the_healthy(self.number);
        }
        // Empty when the watch has refused it meanwhile.
        let batch = self.shared.land(self.number);
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => {
                refuse(batch);
                return Err(error);
            }
        };
        self.shared.join_the_healthy(self.number);
        Shared::count(&self.shared.counts.commits, 1);
        Shared::count(&self.shared.counts.records, records.len());
        let mut outcomes = outcomes.into_iter();
        // A store that gives too few outcomes leaves the rest refused, never accepted.
        ticket::complete(batch.into_iter().map(|pending| (pending.ticket, outcomes.next())));
        Ok(())
    }

    fn expire(&mut self) -> Result<(), JournalError> {
        self.commits_since_expiry = 0;
        let first_kept = self.shared.first_kept.load(Ordering::SeqCst);
        let now = self.time.now(&self.shared);
        {
            let mut flight = self.shared.flight(self.number);
            flight.at_work = true;
            flight.began = Instant::now();
        }
        let expired = self.journal.expire(Bucket(first_kept), now);
        self.shared.land(self.number);
        if !expired? {
            self.expired_to = first_kept;
        }
        self.shared.join_the_healthy(self.number);
        Ok(())
    }

    /// Tries until the store works again. `false`: the committer closed meanwhile.
    fn recover(&mut self, error: &JournalError) -> bool {
        tracing::error!(%error, "the replay store failed: requests are refused until it works again");
        Shared::count(&self.shared.counts.failures, 1);
        self.shared.leave_the_healthy(self.number);
        let mut pause = FIRST_PAUSE;
        loop {
            {
                let queue = self.shared.lock();
                let (queue, _) = self
                    .shared
                    .closing
                    .wait_timeout_while(queue, pause, |queue| !queue.closing)
                    .unwrap_or_else(PoisonError::into_inner);
                if queue.closing {
                    // What waits is another lane's, or was refused when the last lane failed.
                    return false;
                }
            }
            let now = self.time.now(&self.shared);
            match self.journal.recover(now) {
                Ok(()) => {
                    self.shared.join_the_healthy(self.number);
                    tracing::info!("the replay store works again");
                    return true;
                }
                Err(error) => tracing::warn!(%error, "the replay store still fails"),
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

/// However its thread ends, a panic in a store included, nobody may wait for a lane in vain.
impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.leave_the_healthy(self.number);
        refuse(std::mem::take(&mut self.shared.flight(self.number).batch));
    }
}

/// The time that was last told, run on: a server that is not ready gets no requests that would tell it.
struct RunningTime {
    told: i64,
    at: Instant,
}

impl From<i64> for RunningTime {
    fn from(told: i64) -> Self {
        Self { told, at: Instant::now() }
    }
}

impl RunningTime {
    fn now(&mut self, shared: &Shared) -> Timestamp {
        let told = shared.now.load(Ordering::Relaxed);
        if told != self.told {
            *self = Self::from(told);
        }
        let since = i64::try_from(self.at.elapsed().as_secs()).unwrap_or(0);
        Timestamp::from_unix(self.told.saturating_add(since))
    }
}

fn refuse(batch: impl IntoIterator<Item = Pending>) {
    ticket::complete(batch.into_iter().map(|pending| (pending.ticket, None)));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::fingerprint::{ClientSlot, Fingerprint};
    use super::super::journal::Outcome;
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_700_000_000);

    fn record(bits: u64) -> Record {
        Record { bucket: Bucket::of(NOW), fingerprint: Fingerprint::from_bits(bits), client: ClientSlot(0) }
    }

    /// What a scripted store does with its next batch.
    enum Next {
        Keep,
        Fail,
        Panic,
    }

    /// Asks the script before each batch and reports its length; keeps everything when the script has ended.
    struct Scripted {
        script: Receiver<Next>,
        begun: Sender<usize>,
        recovers: bool,
    }

    impl Journal for Scripted {
        fn commit(&mut self, batch: &[Record], _: Timestamp) -> Result<Vec<Outcome>, JournalError> {
            let _ = self.begun.send(batch.len());
            match self.script.recv().unwrap_or(Next::Keep) {
                Next::Keep => Ok(vec![Outcome::Fresh; batch.len()]),
                Next::Fail => Err(JournalError::Damaged("as scripted")),
                Next::Panic => panic!("as scripted"),
            }
        }

        fn recover(&mut self, _: Timestamp) -> Result<(), JournalError> {
            if self.recovers { Ok(()) } else { Err(JournalError::Damaged("as scripted")) }
        }

        fn expire(&mut self, _: Bucket, _: Timestamp) -> Result<bool, JournalError> {
            Ok(false)
        }

        fn close(&mut self) {}
    }

    fn scripted(recovers: bool) -> (Box<dyn Journal>, Sender<Next>, Receiver<usize>) {
        let (say, script) = channel();
        let (begun, batches) = channel();
        let journal = Scripted { script, begun, recovers };
        (Box::new(journal), say, batches)
    }

    fn start(journals: Vec<Box<dyn Journal>>) -> Committer {
        Committer::start(journals, Duration::ZERO, NOW).expect("threads start")
    }

    fn wait(waiting: Waiting) -> ticket::Answer {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(waiting)
    }

    #[test]
    fn what_arrives_during_a_commit_is_one_batch() {
        let (journal, say, batches) = scripted(true);
        let committer = start(vec![journal]);
        let first = committer.submit(record(1)).expect("taken in");
        assert_eq!(batches.recv(), Ok(1));
        let rest: Vec<_> = (2..100).map(|bits| committer.submit(record(bits)).expect("taken in")).collect();
        drop(say);
        assert_eq!(wait(first), Some(Outcome::Fresh));
        assert_eq!(batches.recv(), Ok(98));
        assert!(rest.into_iter().all(|waiting| wait(waiting) == Some(Outcome::Fresh)));
        assert_eq!(committer.counts().commits.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_an_event_loop_has_at_hand_is_one_batch() {
        let (journal, say, batches) = scripted(true);
        let committer = start(vec![journal]);
        drop(say);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let few = (1..=20).map(|bits| committer.submit(record(bits)).expect("taken in"));
            assert!(futures_util::future::join_all(few).await.into_iter().all(|answer| answer == Some(Outcome::Fresh)));
        });
        assert_eq!(batches.recv(), Ok(20));
    }

    #[test]
    fn a_runtime_that_ends_releases_what_waits() {
        let (journal, say, _batches) = scripted(true);
        let committer = start(vec![journal]);
        drop(say);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let waiting = {
            let _inside = runtime.enter();
            committer.submit(record(1)).expect("taken in")
        };
        drop(runtime);
        assert_eq!(wait(waiting), Some(Outcome::Fresh));
    }

    #[test]
    fn a_failed_batch_and_what_waits_behind_it_are_refused() {
        let (journal, say, batches) = scripted(false);
        let committer = start(vec![journal]);
        let first = committer.submit(record(1)).expect("taken in");
        assert_eq!(batches.recv(), Ok(1));
        let second = committer.submit(record(2)).expect("taken in");
        say.send(Next::Fail).expect("it listens");
        assert_eq!(wait(first), None);
        assert_eq!(wait(second), None);
        assert!(!committer.is_ready());
        assert!(committer.submit(record(3)).is_err());
    }

    #[test]
    fn what_waits_behind_a_stuck_lane_is_taken_by_another() {
        let (one, say_one, batches_one) = scripted(true);
        let (other, say_other, batches_other) = scripted(true);
        let committer = start(vec![one, other]);
        let first = committer.submit(record(1)).expect("taken in");
        let begun = |batches: &Receiver<usize>| batches.recv_timeout(Duration::from_millis(10)).is_ok();
        let one_is_stuck = loop {
            if begun(&batches_one) {
                break true;
            } else if begun(&batches_other) {
                break false;
            }
        };
        let second = committer.submit(record(2)).expect("taken in");
        let (free, say_free, say_stuck) =
            if one_is_stuck { (&batches_other, say_other, say_one) } else { (&batches_one, say_one, say_other) };
        assert_eq!(free.recv_timeout(Duration::from_secs(20)), Ok(1), "though the first has not ended");
        drop(say_free);
        assert_eq!(wait(second), Some(Outcome::Fresh));
        drop(say_stuck);
        assert_eq!(wait(first), Some(Outcome::Fresh));
    }

    #[test]
    fn a_lane_that_recovers_takes_no_wake_from_one_that_works() {
        let (failing, say_failing, _batches) = scripted(false);
        let (working, say_working, _more_batches) = scripted(true);
        let committer = start(vec![failing, working]);
        drop(say_working);
        say_failing.send(Next::Fail).expect("it listens");
        drop(say_failing);
        // Of the first few one fails; each of the others has to wake the lane that works.
        let answers = (1..2_000).map(|bits| wait(committer.submit(record(bits)).expect("ready")));
        let refused = answers.filter(|answer| *answer != Some(Outcome::Fresh)).count();
        assert!(refused <= 1, "{refused} refused");
        assert!(committer.is_ready());
    }

    #[test]
    fn a_panic_in_a_store_leaves_nobody_waiting() {
        let (journal, say, batches) = scripted(true);
        let committer = start(vec![journal]);
        let first = committer.submit(record(1)).expect("taken in");
        assert_eq!(batches.recv(), Ok(1));
        let second = committer.submit(record(2)).expect("taken in");
        say.send(Next::Panic).expect("it listens");
        assert_eq!(wait(first), None);
        assert_eq!(wait(second), None);
        assert!(!committer.is_ready());
    }

    #[test]
    fn a_store_that_does_not_answer_leaves_nobody_waiting_and_may_answer_later() {
        let (journal, say, batches) = scripted(true);
        let committer = start(vec![journal]);
        let first = committer.submit(record(1)).expect("taken in");
        assert_eq!(batches.recv(), Ok(1));
        let second = committer.submit(record(2)).expect("taken in");
        committer.shared.refuse_late(Duration::ZERO);
        assert_eq!(wait(first), None);
        assert_eq!(wait(second), None);
        assert!(!committer.is_ready());
        drop(say);
        while !committer.is_ready() {
            std::thread::yield_now();
        }
        let third = committer.submit(record(3)).expect("taken in");
        assert_eq!(wait(third), Some(Outcome::Fresh));
    }

    #[test]
    fn closing_does_not_wait_for_a_store_that_does_not_answer_and_leaves_nobody_waiting() {
        let (journal, say, batches) = scripted(true);
        let committer = start(vec![journal]);
        let first = committer.submit(record(1)).expect("taken in");
        assert_eq!(batches.recv(), Ok(1));
        let second = committer.submit(record(2)).expect("taken in");
        committer.close_within(Duration::ZERO);
        assert_eq!(wait(first), None);
        assert_eq!(wait(second), None);
        assert!(committer.submit(record(3)).is_err());
        drop(say);
    }

    #[test]
    fn closing_commits_what_waits() {
        let (journal, say, batches) = scripted(true);
        let committer = start(vec![journal]);
        let first = committer.submit(record(1)).expect("taken in");
        assert_eq!(batches.recv(), Ok(1));
        let second = committer.submit(record(2)).expect("taken in");
        drop(say);
        committer.close();
        assert_eq!(wait(first), Some(Outcome::Fresh));
        assert_eq!(wait(second), Some(Outcome::Fresh));
        assert!(committer.submit(record(3)).is_err());
    }
}
