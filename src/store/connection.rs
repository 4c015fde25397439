//! The database: SQLite or PostgreSQL behind one type, worked on by a few threads of its own.
//!
//! A closure on a thread always ends, where a dropped async handler could leave a transaction half open. The queue in
//! front is bounded: a database that falls behind is answered with [`StoreError::Busy`], not with growing memory.
//! SQLite has one thread that writes and a few that read; PostgreSQL threads do both, each with one connection, and all
//! of them but one may write at once. No query of ours stands here but those that announce changes and lock.

mod address;
mod migrations;
mod worker;

use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::sql_types::Bool;
use diesel::{PgConnection, RunQueryDsl, SqliteConnection};

use address::{Access, OpenedFile, connect};
use worker::{Queue, Worker, submit};

pub(super) use address::OUR_COMMITS;
pub(super) use worker::is_closed;

use super::changes::Change;
use super::ending::join_within;
use super::error::StoreError;
use super::hearing::Hearing;
use crate::config::DatabaseUrl;

/// The channel of PostgreSQL's NOTIFY that carries changes.
pub(super) const CHANNEL: &str = "countersign";

/// The key of the one under which login names are handed out.
const NAMES_LOCK: i64 = 7_163_384;

/// The name of the threads that only read.
const READER: &str = "store-read";

/// How long units of work that are under way or wait may take to end when the last clone is dropped.
const CLOSING: Duration = Duration::from_secs(2);

/// One connection to either database.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    /// PostgreSQL.
    Postgres(PgConnection),
    /// SQLite.
    Sqlite(SqliteConnection),
}

/// How many threads and how long a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DatabaseOptions {
    /// Threads that read SQLite, or connections to PostgreSQL. 1 to 64.
    pub connections: usize,
    /// Units of work that may wait before [`StoreError::Busy`].
    pub queue: usize,
    /// How long an asker waits for an answer before [`StoreError::Unavailable`]: a database may hang and be connected all the same.
    pub patience: Option<Duration>,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { connections: 4, queue: 4096, patience: None }
    }
}

/// Why a database can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database said no, or isn't there.
    #[error("can't open the database: {0}")]
    Connect(String),
    /// No thread could be started.
    #[error("can't start a thread for the database: {0}")]
    Thread(#[from] std::io::Error),
}

type Subscriber = Box<dyn Fn(&Change) + Send + Sync>;

/// The database of one server or command. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct Database(Arc<Shared>);

/// Tells the subscribers of this process, without keeping the database open.
#[derive(Clone, Default)]
pub(super) struct Announcer(Arc<RwLock<Vec<Subscriber>>>);

impl Announcer {
    fn subscribe(&self, subscriber: Subscriber) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(subscriber);
    }

    pub(super) fn announce(&self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let subscribers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            for subscriber in subscribers.iter() {
                subscriber(change);
            }
        }
    }
}

struct Shared {
    url: DatabaseUrl,
    file: OpenedFile,
    reads: Arc<Queue>,
    writes: Arc<Queue>,
    announcer: Announcer,
    hearing: Arc<Hearing>,
    patience: Option<Duration>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The last clone may be dropped by a unit of work itself.
        self.threads.retain(|thread| thread.thread().id() != std::thread::current().id());
        let is_reader = |thread: &mut JoinHandle<()>| thread.thread().name() == Some(READER);
        let readers = self.threads.extract_if(.., is_reader).collect();
        // The last connection to a SQLite file moves the log into it; of two that end at once each takes the other for the last.
        let begun = Instant::now();
        self.reads.close();
        let mut left = join_within(CLOSING, readers);
        self.writes.close();
        left += join_within(CLOSING.saturating_sub(begun.elapsed()), std::mem::take(&mut self.threads));
        if left > 0 {
            tracing::error!(threads = left, "the database does not answer: what it was asked last is in doubt");
        }
    }
}

impl Database {
    /// Connects and starts the threads. Migrates nothing. Blocks for as long as one connection takes.
    pub fn open(url: DatabaseUrl, options: DatabaseOptions) -> Result<Self, OpenError> {
        let connections = options.connections.clamp(1, 64);
        let mut threads = Vec::new();
        let writers = match &url {
            DatabaseUrl::Memory | DatabaseUrl::File(_) => 1,
            // The last one is for reads, a probe's ping among them.
            DatabaseUrl::Postgres(_) => connections - 1,
        };
        let writes = Arc::new(Queue::new(options.queue, writers));
        // The first one is opened here, so that what is wrong is said here.
        let first = connect(&url, Access::Write).map_err(|error| OpenError::Connect(error.to_string()))?;
        let file = OpenedFile::of(&url).map_err(|error| OpenError::Connect(error.to_string()))?;
        let worker = |access, connection| Worker::new(url.clone(), file.clone(), access, connection);
        let writer = worker(Access::Write, Some(first));
        threads.push(writer.start("store-write", &writes)?);
        let reads = match &url {
            // Each connection to :memory: would be a database of its own.
            DatabaseUrl::Memory => writes.clone(),
            DatabaseUrl::File(_) => {
                let reads = Arc::new(Queue::new(options.queue, 0));
                for _ in 0..connections {
                    threads.push(worker(Access::Read, None).start(READER, &reads)?);
                }
                reads
            }
            DatabaseUrl::Postgres(_) => {
                for _ in 1..connections {
                    threads.push(worker(Access::Write, None).start("store", &writes)?);
                }
                writes.clone()
            }
        };
        Ok(Self(Arc::new(Shared {
            url,
            file,
            reads,
            writes,
            announcer: Announcer::default(),
            hearing: Arc::new(Hearing::new()),
            patience: options.patience,
            threads,
        })))
    }

    /// The address.
    pub fn url(&self) -> &DatabaseUrl {
        &self.0.url
    }

    /// Reads, outside a transaction: each statement sees what is committed when it starts.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut AnyConnection) -> Result<T, E> + Send + 'static,
    {
        self.in_time(submit(&self.0.reads, Access::Read, move |worker| work(worker.connection()?))).await
    }

    /// Reads everything as it is at one moment, however long that takes and whatever is written meanwhile.
    pub async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut AnyConnection) -> Result<T, E> + Send + 'static,
    {
        submit(&self.0.reads, Access::Read, move |worker| worker.look(work)).await
    }

    /// One unit of work in one transaction: all of it is durable before this returns `Ok`, or none of it happened.
    ///
    /// With [`StoreError::Unavailable`] a commit may have been made whose acknowledgement was lost.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let announcer = self.announcer();
        // Told by the thread that committed: whoever asked may have gone away meanwhile.
        let written = submit(&self.0.writes, Access::Write, move |worker| {
            let (outcome, changes) = worker.transact(work)?;
            announcer.announce(&changes);
            Ok(outcome)
        });
        self.in_time(written).await
    }

    /// What is not answered in time may be done all the same, later.
    pub(super) async fn in_time<T, E: From<StoreError>>(
        &self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(patience) = self.0.patience else { return answer.await };
        let late = |_| Err(StoreError::Unavailable(format!("no answer in {} s", patience.as_secs())).into());
        tokio::time::timeout(patience, answer).await.unwrap_or_else(late)
    }

    /// Has `subscriber` told of each change: before [`write`](Self::write) returns on this node, and within a second
    /// when another process made it and a [`watch`](super::watch) runs.
    pub fn subscribe(&self, subscriber: impl Fn(&Change) + Send + Sync + 'static) {
        self.0.announcer.subscribe(Box::new(subscriber));
    }

    /// The file that was opened, for a watch.
    pub(super) fn file(&self) -> OpenedFile {
        self.0.file.clone()
    }

    /// For a watch that tells what others have changed.
    pub(super) fn announcer(&self) -> Announcer {
        self.0.announcer.clone()
    }

    /// Since when what others change is heard.
    pub(super) fn hearing(&self) -> Arc<Hearing> {
        self.0.hearing.clone()
    }

    /// Brings the database to this version; gives the names of what was applied. Two that migrate at once do no harm.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        submit(&self.0.writes, Access::Write, |worker| migrations::migrate(worker.connection()?)).await
    }

    /// Names of migrations that this version has and the database doesn't.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        submit(&self.0.writes, Access::Write, |worker| migrations::pending(worker.connection()?)).await
    }

    /// `Ok` if the database answers and may be written: for `/health/ready`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read(takes_writes).await
    }
}

/// # Errors
/// [`StoreError::OnlyReads`].
fn takes_writes(connection: &mut AnyConnection) -> Result<(), StoreError> {
    match connection {
        AnyConnection::Sqlite(connection) => {
            diesel::sql_query("SELECT 1").execute(connection)?;
            Ok(())
        }
        AnyConnection::Postgres(connection) => {
            // On a standby it is on, whatever the default.
            let question = diesel::dsl::sql::<Bool>("SELECT current_setting('transaction_read_only')::boolean");
            if question.get_result(connection)? { Err(StoreError::OnlyReads) } else { Ok(()) }
        }
    }
}

/// The inside of one [`Database::write`].
pub struct Transaction<'c> {
    /// For the queries.
    pub connection: &'c mut AnyConnection,
    changes: Vec<Change>,
}

impl Transaction<'_> {
    /// Notes a change. It is told to everybody if the transaction commits, and to nobody if not.
    pub fn note(&mut self, change: Change) {
        // More than that are told as one.
        if self.changes.len() <= TOLD_SINGLY && !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    /// Makes transactions that hand out or check login names wait for each other, so that what is checked stays true
    /// until the commit. SQLite has one writer at a time anyway.
    pub(super) fn serialize_names(&mut self) -> Result<(), StoreError> {
        if let AnyConnection::Postgres(connection) = &mut *self.connection {
            diesel::sql_query(format!("SELECT pg_advisory_xact_lock({NAMES_LOCK})")).execute(connection)?;
        }
        Ok(())
    }
}

/// The most changes that are told one by one.
const TOLD_SINGLY: usize = 200;

/// Writes the changes into the transaction that makes them.
fn record(connection: &mut AnyConnection, changes: &mut Vec<Change>) -> Result<(), StoreError> {
    use super::schema::changes::dsl;
    use diesel::ExpressionMethods;

    if changes.len() > TOLD_SINGLY {
        *changes = vec![Change::Everything];
    }
    for change in &*changes {
        match connection {
            AnyConnection::Sqlite(connection) => {
                // The only use of the machine's clock down here: it decides nothing but when the notice is deleted.
                let at = chrono::Utc::now().timestamp();
                diesel::insert_into(dsl::changes)
                    .values((dsl::at.eq(at), dsl::change.eq(change.encode())))
                    .execute(connection)?;
            }
            AnyConnection::Postgres(connection) => {
                diesel::sql_query("SELECT pg_notify($1, $2)")
                    .bind::<diesel::sql_types::Text, _>(CHANNEL)
                    .bind::<diesel::sql_types::Text, _>(change.encode())
                    .execute(connection)?;
            }
        }
    }
    Ok(())
}

/// One more connection to the same database, for a thread that watches. Reads only.
pub(super) fn connect_watcher(url: &DatabaseUrl) -> Result<AnyConnection, StoreError> {
    connect(url, Access::Read)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::schema::settings;
    use super::*;
    use diesel::{ExpressionMethods, QueryDsl};
    use std::sync::mpsc;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(future)
    }

    fn memory() -> Database {
        let database = Database::open(DatabaseUrl::Memory, DatabaseOptions::default()).expect("a database");
        block_on(database.migrate()).expect("the migrations apply");
        database
    }

    fn insert(transaction: &mut Transaction<'_>, name: &str) -> Result<(), StoreError> {
        diesel::insert_into(settings::table)
            .values((settings::name.eq(name), settings::sealed_value.eq(vec![0]), settings::created_at.eq(0)))
            .execute(transaction.connection)?;
        transaction.note(Change::Username(name.to_owned()));
        Ok(())
    }

    fn count(database: &Database) -> i64 {
        block_on(database.read(|connection| Ok::<_, StoreError>(settings::table.count().get_result(connection)?)))
            .expect("a count")
    }

    #[test]
    fn what_fails_leaves_nothing_and_is_not_announced() {
        let database = memory();
        let heard: Arc<Mutex<Vec<Change>>> = Arc::default();
        let ears = heard.clone();
        database.subscribe(move |change| ears.lock().expect("no panic").push(change.clone()));
        let failed: Result<(), StoreError> = block_on(database.write(|transaction| {
            insert(transaction, "a")?;
            Err(StoreError::Busy)
        }));
        assert!(failed.is_err());
        assert_eq!(count(&database), 0);
        assert!(heard.lock().expect("no panic").is_empty());
        block_on(database.write(|transaction| insert(transaction, "b"))).expect("written");
        assert_eq!(*heard.lock().expect("no panic"), [Change::Username("b".to_owned())]);
    }

    #[test]
    fn a_panic_in_one_unit_of_work_is_rolled_back_and_harms_no_other() {
        let database = memory();
        block_on(database.write(|transaction| insert(transaction, "kept"))).expect("written");
        let broken: Result<(), StoreError> = block_on(database.write(|transaction| {
            insert(transaction, "lost")?;
            panic!("a test panic")
        }));
        assert!(matches!(broken, Err(StoreError::Unavailable(_))));
        assert_eq!(count(&database), 1);
        block_on(database.write(|transaction| insert(transaction, "next"))).expect("written");
        assert_eq!(count(&database), 2);
    }

    #[test]
    fn more_than_the_queue_takes_is_refused_at_once() {
        let options = DatabaseOptions { queue: 1, ..DatabaseOptions::default() };
        let database = Database::open(DatabaseUrl::Memory, options).expect("a database");
        let (release, wait) = mpsc::channel::<()>();
        let (began, begins) = mpsc::channel::<()>();
        block_on(async {
            let blocker = database.read(move |_| {
                began.send(()).expect("the test waits");
                wait.recv().expect("the test releases");
                Ok::<_, StoreError>(())
            });
            let rest = async {
                begins.recv().expect("the blocker runs");
                let waiting = database.ping();
                let refused = async {
                    let refused = database.ping().await;
                    release.send(()).expect("the blocker waits");
                    refused
                };
                tokio::join!(waiting, refused)
            };
            let (blocked, (waited, refused)) = tokio::join!(blocker, rest);
            assert!(blocked.is_ok() && waited.is_ok());
            assert!(matches!(refused, Err(StoreError::Busy)));
        });
    }

    #[test]
    fn very_many_changes_are_told_as_one() {
        let database = memory();
        let heard: Arc<Mutex<Vec<Change>>> = Arc::default();
        let ears = heard.clone();
        database.subscribe(move |change| ears.lock().expect("no panic").push(change.clone()));
        block_on(database.write(|transaction| {
            for number in 0..5 * TOLD_SINGLY {
                transaction.note(Change::Username(number.to_string()));
            }
            assert_eq!(transaction.changes.len(), TOLD_SINGLY + 1, "each is compared with all before it");
            Ok::<_, StoreError>(())
        }))
        .expect("written");
        assert_eq!(*heard.lock().expect("no panic"), [Change::Everything]);
    }

    #[cfg(unix)]
    #[test]
    fn a_database_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("main.db");
        let database = Database::open(DatabaseUrl::File(path.clone()), DatabaseOptions::default()).expect("a database");
        block_on(database.migrate()).expect("the migrations apply");
        for entry in std::fs::read_dir(folder.path()).expect("the folder is there") {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        }
    }

    #[test]
    fn a_file_that_was_moved_away_is_neither_read_nor_written_until_it_is_back() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (path, elsewhere) = (folder.path().join("main.db"), folder.path().join("elsewhere.db"));
        let database = Database::open(DatabaseUrl::File(path.clone()), DatabaseOptions::default()).expect("a database");
        block_on(async {
            database.migrate().await.expect("the migrations apply");
            std::fs::rename(&path, &elsewhere).expect("moved");
            assert!(matches!(database.ping().await, Err(StoreError::Moved(_))));
            std::fs::copy(&elsewhere, &path).expect("replaced");
            assert!(matches!(database.ping().await, Err(StoreError::Moved(_))));
            let written = database.write(|_| Ok::<_, StoreError>(())).await;
            assert!(matches!(written, Err(StoreError::Moved(_))));
            std::fs::rename(&elsewhere, &path).expect("put back");
            database.ping().await.expect("it answers again");
        });
    }
}
