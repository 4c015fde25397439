//! The threads that hold the connections, and the bounded queue in front of them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::PgConnection;
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::result::Error as DieselError;
use tokio::sync::oneshot;

use super::address::{Access, OpenedFile, connect};
use super::{AnyConnection, Transaction, record};
use crate::config::DatabaseUrl;
use crate::store::changes::Change;
use crate::store::error::StoreError;

/// How long a connection may lie idle before it is tried with a ping: a server that restarted meanwhile is noticed
/// without failing the next unit of work.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

struct Job {
    access: Access,
    run: Box<dyn FnOnce(&mut Worker) + Send>,
}

/// Puts a unit of work into the queue and waits for its outcome.
pub(super) async fn submit<T, E, F>(queue: &Queue, access: Access, work: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: FnOnce(&mut Worker) -> Result<T, E> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let run = Box::new(move |worker: &mut Worker| {
        let outcome = work(worker);
        worker.suspicious |= outcome.is_err();
        // Nobody may be waiting any more; the work is done all the same.
        drop(sender.send(outcome));
    });
    queue.push(Job { access, run })?;
    match receiver.await {
        Ok(outcome) => outcome,
        Err(_) => Err(StoreError::Unavailable("the unit of work broke off".to_owned()).into()),
    }
}

/// Work that waits, first come, first served; but no more writes are under way at once than `writers`, so that those
/// which wait for each other's locks leave a thread to the reads.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    limit: usize,
    writers: usize,
}

struct Waiting {
    jobs: VecDeque<Job>,
    /// Writes under way.
    writing: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limit: usize, writers: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting { jobs: VecDeque::new(), writing: 0, closed: false }),
            arrived: Condvar::new(),
            limit: limit.max(1),
            writers: writers.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code of ours panics while it holds the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), StoreError> {
        let mut waiting = self.lock();
        if waiting.closed || waiting.jobs.len() >= self.limit {
            return Err(StoreError::Busy);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next unit of work; nothing when the queue is closed and empty.
    fn take(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            let may_write = waiting.writing < self.writers;
            let next = waiting.jobs.iter().position(|job| may_write || job.access == Access::Read);
            if let Some(job) = next.and_then(|place| waiting.jobs.remove(place)) {
                waiting.writing += usize::from(job.access == Access::Write);
                return Some(job);
            }
            if waiting.closed && waiting.jobs.is_empty() {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A write has ended: the next one may begin.
    fn wrote(&self) {
        let mut waiting = self.lock();
        waiting.writing -= 1;
        if waiting.closed || !waiting.jobs.is_empty() {
            self.arrived.notify_all();
        }
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }
}

/// One thread's connection.
pub(super) struct Worker {
    url: DatabaseUrl,
    file: OpenedFile,
    access: Access,
    connection: Option<AnyConnection>,
    used: Instant,
    /// The last unit of work failed, perhaps because the connection is gone.
    suspicious: bool,
}

impl Worker {
    pub(super) fn new(url: DatabaseUrl, file: OpenedFile, access: Access, connection: Option<AnyConnection>) -> Self {
        Self { url, file, access, connection, used: Instant::now(), suspicious: false }
    }

    pub(super) fn start(mut self, name: &str, queue: &Arc<Queue>) -> Result<JoinHandle<()>, std::io::Error> {
        let queue = queue.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = queue.take() {
                // A panic in one unit of work must not take the thread from all others; its connection is in an
                // unknown state and goes. In memory the connection is the database, so it stays.
                if catch_unwind(AssertUnwindSafe(|| (job.run)(&mut self))).is_err() {
                    tracing::error!("a unit of work panicked");
                    self.abandon();
                }
                self.used = Instant::now();
                if job.access == Access::Write {
                    queue.wrote();
                }
            }
        })
    }

    /// The connection, opened anew if it is gone.
    pub(super) fn connection(&mut self) -> Result<&mut AnyConnection, StoreError> {
        self.file.is_in_place()?;
        let doubtful = std::mem::take(&mut self.suspicious) || self.used.elapsed() > TRUSTED_IDLE;
        if let Some(AnyConnection::Postgres(connection)) = &mut self.connection {
            let broken = AnsiTransactionManager::is_broken_transaction_manager(connection)
                || is_closed(connection)
                || (doubtful && connection.batch_execute("SELECT 1").is_err());
            if broken {
                self.connection = None;
            }
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(connect(&self.url, self.access)?)),
        }
    }

    /// Reads at one moment.
    pub(super) fn look<T, E, F>(&mut self, work: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: FnOnce(&mut AnyConnection) -> Result<T, E>,
    {
        let connection = self.connection()?;
        let begun = match connection {
            AnyConnection::Sqlite(connection) => AnsiTransactionManager::begin_transaction(connection),
            // Whoever takes what was read may be slow, a pipe for instance; and nobody waits for a transaction that
            // reads.
            AnyConnection::Postgres(connection) => AnsiTransactionManager::begin_transaction_sql(
                connection,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0",
            ),
        };
        begun.map_err(StoreError::from)?;
        let outcome = work(connection);
        if rollback(connection).is_err() {
            self.abandon();
        }
        outcome
    }

    /// One unit of work in one transaction, with the changes that it made.
    pub(super) fn transact<T, E, F>(&mut self, work: F) -> Result<(T, Vec<Change>), E>
    where
        E: From<StoreError>,
        F: FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    {
        // A PostgreSQL that restarted since is noticed here, where nothing is lost by trying once more.
        if begin(self.connection()?).is_err() {
            self.abandon();
            begin(self.connection()?).map_err(StoreError::from)?;
        }
        let connection = self.connection.as_mut().ok_or_else(|| StoreError::Unavailable("it is gone".to_owned()))?;
        let mut transaction = Transaction { connection, changes: Vec::new() };
        let outcome = work(&mut transaction);
        let mut changes = transaction.changes;
        let outcome = outcome.and_then(|value| {
            record(connection, &mut changes)?;
            commit(connection).map_err(StoreError::from)?;
            Ok(value)
        });
        if outcome.is_err() && rollback(connection).is_err() {
            self.abandon();
        }
        outcome.map(|value| (value, changes))
    }

    fn abandon(&mut self) {
        match (&self.url, &mut self.connection) {
            (DatabaseUrl::Memory, Some(connection)) => {
                // Nothing open, nothing to roll back: that is fine too.
                drop(rollback(connection));
            }
            (DatabaseUrl::Memory | DatabaseUrl::File(_) | DatabaseUrl::Postgres(_), _) => self.connection = None,
        }
    }
}

/// Whether the server has closed the connection: what it sent meanwhile is looked at, and nothing is asked. A server that
/// restarted just now, or an operator who ended its connections, fails nobody's work by that.
pub(in crate::store) fn is_closed(connection: &mut PgConnection) -> bool {
    // The first look takes in the server's last words, the second finds the end behind them.
    (0..2).any(|_| connection.notifications_iter().any(|heard| heard.is_err()))
}

fn begin(connection: &mut AnyConnection) -> Result<(), DieselError> {
    match connection {
        // IMMEDIATE takes the right to write at once: a reader that wants to become a writer halfway can't wait for it.
        AnyConnection::Sqlite(connection) => {
            AnsiTransactionManager::begin_transaction_sql(connection, "BEGIN IMMEDIATE")
        }
        AnyConnection::Postgres(connection) => AnsiTransactionManager::begin_transaction(connection),
    }
}

fn commit(connection: &mut AnyConnection) -> Result<(), DieselError> {
    match connection {
        AnyConnection::Sqlite(connection) => AnsiTransactionManager::commit_transaction(connection),
        AnyConnection::Postgres(connection) => AnsiTransactionManager::commit_transaction(connection),
    }
}

/// Rolls back what is open; a failed commit may have done so already.
fn rollback(connection: &mut AnyConnection) -> Result<(), DieselError> {
    let outcome = match connection {
        AnyConnection::Sqlite(connection) => AnsiTransactionManager::rollback_transaction(connection),
        AnyConnection::Postgres(connection) => AnsiTransactionManager::rollback_transaction(connection),
    };
    match outcome {
        Err(DieselError::NotInTransaction) => Ok(()),
        other => other,
    }
}
