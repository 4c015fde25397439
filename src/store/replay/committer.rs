//! The threads between the requests and the store: group commit without artificial delay.
//!
//! Each lane is a thread that owns one [`Journal`]. It takes everything that is released, up to 4,096 records, has it made
//! durable, and only then completes the requests. While it commits, the next batch gathers; another lane is woken only when
//! that has grown long, because few large batches cost a store less than many small ones.
//!
//! A record is released when the event loop that it came from has nothing more at hand, or enough for a batch ([`Release`]).
//! Nobody waits for that: the loop is at work all the time. Without it a lane would wake for the first of many requests that
//! are already there, and commit it alone.
//!
//! When a store fails, its batch is refused, and the lane tries to recover with growing pauses. When a store does not answer,
//! the watch refuses the batch in its place. When no lane works any more, nothing is taken in at all.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::fingerprint::{Bucket, Record};
use super::journal::Journal;
use super::lane::Lane;
use super::queue::{Counts, Pending, Shared};
use super::ticket::{self, ThreadNumber, Waiting};
use crate::store::ending::join_within;
use crate::time::Timestamp;

/// What is worth a commit while more may be at hand. A commit costs as much CPU time as a few requests, so one for each turn of
/// the loop (some 30 requests) is too many; but with only 64 connections a batch of all of them leaves the loop nothing to do.
const ENOUGH: usize = 32;

/// How long the last commits may take when the committer is closed.
const CLOSING: Duration = Duration::from_secs(5);

/// The requests' way to the lanes.
pub struct Committer {
    shared: Arc<Shared>,
    /// The lanes, and the watch.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Nothing is taken in: every lane's store fails, or the committer is closing.
#[derive(Debug, PartialEq, Eq)]
pub struct NotTakenIn;

impl Committer {
    /// Starts a thread for each journal. `commit_delay` is added to every commit: zero but in tests and measurements.
    pub fn start(journals: Vec<Box<dyn Journal>>, commit_delay: Duration, now: Timestamp) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(journals.len(), commit_delay, now));
        let committer = Self { shared: Arc::clone(&shared), threads: Mutex::default() };
        for (number, journal) in journals.into_iter().enumerate() {
            let lane = Lane::new(Arc::clone(&shared), number, journal);
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
        let (thread, since) = (ticket.thread(), Instant::now());
        let mut queue = self.shared.lock();
        if !queue.takes_in() {
            return Err(NotTakenIn);
        }
        queue.waiting.push_back(Pending { record, ticket, since });
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
        self.shared.takes_in()
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::fingerprint::{ClientSlot, Fingerprint};
    use super::super::journal::{JournalError, Outcome};
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

    /// Reported in the place of a length.
    const EXPIRY: usize = usize::MAX;

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
            let _ = self.begun.send(EXPIRY);
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
    fn after_a_step_of_the_clock_the_store_compares_clocks_before_it_commits() {
        for step in [3_600, -3_600] {
            let (journal, say, batches) = scripted(true);
            let committer = start(vec![journal]);
            drop(say);
            committer.note_time(Timestamp::from_unix(NOW.unix() + step));
            let first = committer.submit(record(1)).expect("taken in");
            assert_eq!(batches.recv(), Ok(EXPIRY));
            assert_eq!(batches.recv(), Ok(1));
            assert_eq!(wait(first), Some(Outcome::Fresh));
        }
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
