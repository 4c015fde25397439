//! One of the committer's threads: it takes what is released, has its journal make it durable, and answers.
//!
//! A lane whose store fails leaves the healthy ones, and tries to recover with growing pauses.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::fingerprint::{Bucket, Record};
use super::journal::{Journal, JournalError, Running};
use super::queue::{Pending, Shared, refuse};
use super::ticket;
use crate::time::Timestamp;

/// Commits between two steps of expiry when there is always something to commit.
const COMMITS_PER_EXPIRY: u32 = 32;

/// The pauses between attempts to recover: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// What a lane does next.
enum Work {
    /// These, and refuse those, which have waited for too long.
    Commit(Vec<Pending>, Vec<Pending>),
    Expire,
    Close,
}

/// One thread with its store.
pub struct Lane {
    shared: Arc<Shared>,
    /// Which of the flights is its own.
    number: usize,
    journal: Box<dyn Journal>,
    time: Running,
    /// Everything before this bucket is removed from the store.
    expired_to: i64,
    commits_since_expiry: u32,
    /// The minute in which the store last compared clocks: when it was opened, or in a step of expiry.
    compared: Bucket,
}

impl Lane {
    /// The lane of this number, which is that of its flight. Not begun.
    pub fn new(shared: Arc<Shared>, number: usize, journal: Box<dyn Journal>) -> Self {
        let now = Timestamp::from_unix(shared.now.load(Ordering::Relaxed));
        let compared = Bucket::of(now);
        Self { shared, number, journal, time: now.into(), expired_to: i64::MIN, commits_since_expiry: 0, compared }
    }

    /// What its thread does, until the committer is closed.
    pub fn run(mut self) {
        loop {
            let done = match self.next() {
                Work::Commit(batch, late) => {
                    refuse(late);
                    if batch.is_empty() { Ok(()) } else { self.commit(batch) }
                }
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
            // A clock that stepped: first the stores compare theirs with it.
            if queue.released > 0 && Bucket::of(now(&mut self.time, &self.shared)).0.abs_diff(self.compared.0) > 1 {
                return Work::Expire;
            }
            if queue.released > 0 && (busy || !expiry_due) {
                let (batch, late) = queue.take();
                return Work::Commit(batch, late);
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
        self.shared.take_off(self.number, batch);
        let now = now(&mut self.time, &self.shared);
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
        let now = now(&mut self.time, &self.shared);
        self.compared = Bucket::of(now);
        self.shared.take_off(self.number, Vec::new());
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
            let now = now(&mut self.time, &self.shared);
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
        refuse(self.shared.land(self.number));
    }
}

/// The time that was last told, run on: a server that is not ready gets no requests that would tell it.
fn now(time: &mut Running, shared: &Shared) -> Timestamp {
    time.told(Timestamp::from_unix(shared.now.load(Ordering::Relaxed)))
}
