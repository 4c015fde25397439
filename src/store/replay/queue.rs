//! What requests and lanes share: the queue of records that wait, and what each lane is at, where the watch can see it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::fingerprint::Record;
use super::ticket::{self, ThreadNumber, Ticket};
use crate::time::Timestamp;

/// The most records in one commit.
const BATCH: usize = 4096;

/// What waits before a second lane is woken beside one that works.
const LONG_QUEUE: usize = 64;

/// A lane that has been at work for so long may be stuck: another one is woken also for a short queue. Longer than a commit
/// takes on a busy machine, where few large batches do better than many small ones.
const SLOW: Duration = Duration::from_millis(100);

/// How long a commit may take before the watch refuses its batch, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_secs(1);

/// How long a record may wait for its commit to begin: what stores keep longer than they must, for clocks that differ, less the difference
/// that is allowed. Older ones are of a process that froze.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

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

/// One for all lanes of a store.
pub struct Shared {
    queue: Mutex<Queue>,
    /// Where idle lanes sleep.
    pub arrived: Condvar,
    /// Where lanes sleep that recover: apart, so that none of them takes a wake that is meant for an idle one.
    pub closing: Condvar,
    /// What the queue says, for readers without its lock.
    takes_in: AtomicBool,
    /// The time when last told.
    pub now: AtomicI64,
    /// Buckets before this one are expired.
    pub first_kept: AtomicI64,
    pub counts: Counts,
    pub commit_delay: Duration,
    /// What each lane is at.
    flights: Box<[Mutex<Flight>]>,
}

/// The records that wait.
pub struct Queue {
    pub waiting: VecDeque<Pending>,
    /// How many of them, from the front, a lane may take.
    pub released: usize,
    /// Threads that will release what waits.
    pub releasing: Vec<ThreadNumber>,
    /// Lanes asleep for want of work, and how many of them were sent a wake.
    pub idle: usize,
    pub woken: usize,
    /// Lanes whose store works.
    healthy: usize,
    pub closing: bool,
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

/// A record, and who waits for it.
pub struct Pending {
    pub record: Record,
    pub ticket: Arc<Ticket>,
    /// When it was decided in memory.
    pub since: Instant,
}

impl Queue {
    pub fn takes_in(&self) -> bool {
        self.healthy > 0 && !self.closing
    }

    /// Is there a lane to wake, and is it worth it?
    pub fn wants_a_wake(&self, has_slow_lane: impl FnOnce() -> bool) -> bool {
        let asleep = self.idle.saturating_sub(self.woken);
        asleep > 0 && self.released > 0 && (asleep >= self.healthy || self.released >= LONG_QUEUE || has_slow_lane())
    }

    /// What a lane commits next, and what has waited for too long.
    pub fn take(&mut self) -> (Vec<Pending>, Vec<Pending>) {
        let size = self.released.min(BATCH);
        self.released -= size;
        let now = Instant::now();
        self.waiting.drain(..size).partition(|pending| now.saturating_duration_since(pending.since) < LONGEST_WAIT)
    }
}

impl Flight {
    fn new() -> Self {
        Self { healthy: true, at_work: false, began: Instant::now(), batch: Vec::new() }
    }
}

impl Shared {
    /// Of so many lanes, whose stores work. `commit_delay` is added to every commit.
    pub fn new(lanes: usize, commit_delay: Duration, now: Timestamp) -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                released: 0,
                releasing: Vec::new(),
                idle: 0,
                woken: 0,
                healthy: lanes,
                closing: false,
            }),
            arrived: Condvar::new(),
            closing: Condvar::new(),
            takes_in: AtomicBool::new(lanes > 0),
            now: AtomicI64::new(now.unix()),
            first_kept: AtomicI64::new(i64::MIN),
            counts: Counts::default(),
            commit_delay,
            flights: (0..lanes).map(|_| Mutex::new(Flight::new())).collect(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is anything taken in? Without the queue's lock.
    pub fn takes_in(&self) -> bool {
        self.takes_in.load(Ordering::Relaxed)
    }

    pub fn publish(&self, queue: &Queue) {
        self.takes_in.store(queue.takes_in(), Ordering::Relaxed);
    }

    pub fn wake_all(&self) {
        // Under the lock, so that no lane is between looking and sleeping.
        let _queue = self.lock();
        self.arrived.notify_all();
    }

    #[expect(clippy::indexing_slicing, reason = "there is a flight for each lane")]
    fn flight(&self, lane: usize) -> MutexGuard<'_, Flight> {
        self.flights[lane].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is a lane at work that may be stuck?
    pub fn has_slow_lane(&self) -> bool {
        (0..self.flights.len()).any(|lane| {
            let flight = self.flight(lane);
            flight.at_work && flight.began.elapsed() >= SLOW
        })
    }

    /// Takes the lane out of the count, once. The last lane to leave refuses what waits.
    pub fn leave_the_healthy(&self, lane: usize) {
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

    /// The beginning of a lane's work.
    pub fn take_off(&self, lane: usize, batch: Vec<Pending>) {
        let mut flight = self.flight(lane);
        flight.at_work = true;
        flight.began = Instant::now();
        flight.batch = batch;
    }

    /// The end of a lane's work; what is still of its batch.
    pub fn land(&self, lane: usize) -> Vec<Pending> {
        let mut flight = self.flight(lane);
        flight.at_work = false;
        std::mem::take(&mut flight.batch)
    }

    pub fn join_the_healthy(&self, lane: usize) {
        if std::mem::replace(&mut self.flight(lane).healthy, true) {
            return;
        }
        let mut queue = self.lock();
        queue.healthy += 1;
        self.publish(&queue);
    }

    /// Refuses the batches of stores that do not answer. A store that answers too late has recovered by that.
    pub fn watch(&self) {
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

    pub fn refuse_late(&self, patience: Duration) {
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
    pub fn refuse_everything(&self) -> usize {
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

    pub fn count(counter: &AtomicU64, more: usize) {
        counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Answers that nothing is known of these.
pub fn refuse(batch: impl IntoIterator<Item = Pending>) {
    ticket::complete(batch.into_iter().map(|pending| (pending.ticket, None)));
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::{Bucket, ClientSlot, Fingerprint};
    use super::*;

    #[test]
    fn what_has_waited_for_too_long_is_not_committed() {
        let shared = Shared::new(1, Duration::ZERO, Timestamp::from_unix(1_700_000_000));
        let mut queue = shared.lock();
        let frozen = Instant::now().checked_sub(LONGEST_WAIT).expect("the machine runs for longer");
        for (bits, since) in [(1, frozen), (2, Instant::now()), (3, frozen)] {
            let record = Record { bucket: Bucket(0), fingerprint: Fingerprint::from_bits(bits), client: ClientSlot(0) };
            queue.waiting.push_back(Pending { record, ticket: ticket::pair().0, since });
        }
        queue.released = 3;
        let bits =
            |batch: &[Pending]| batch.iter().map(|pending| pending.record.fingerprint.bits()).collect::<Vec<_>>();
        let (batch, late) = queue.take();
        assert_eq!((bits(&batch), bits(&late)), (vec![2], vec![1, 3]));
    }
}
