//! The database: SQLite or PostgreSQL behind one type, worked on by a few threads of its own.
//!
//! A closure on a thread always ends, where a dropped async handler could leave a transaction half open. The queue in
//! front is bounded: a database that falls behind is answered with [`StoreError::Busy`], not with growing memory.
//! SQLite has one thread that writes and a few that read; PostgreSQL threads do both, each with one connection.
//! No query of ours stands here but those that announce changes and lock.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::migration::{Migration, MigrationVersion};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::sync::oneshot;

use super::changes::Change;

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The channel of PostgreSQL's NOTIFY that carries changes.
pub(super) const CHANNEL: &str = "countersign";

/// The key of the advisory lock under which PostgreSQL is migrated: any number that is ours.
const MIGRATION_LOCK: i64 = 0x636f_756e_7465_7273;

/// The key of the one under which login names are handed out.
const NAMES_LOCK: i64 = 7_163_384;

/// How long a connection may lie idle before it is tried with a ping: a server that restarted meanwhile is noticed
/// without failing the next unit of work.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// One connection to either database.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    /// PostgreSQL.
    Postgres(PgConnection),
    /// SQLite.
    Sqlite(SqliteConnection),
}

/// Which database an address names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatabaseUrl {
    /// A throw-away database in memory: `sqlite::memory:`.
    Memory,
    /// A file: `sqlite://relative.db` or `sqlite:///absolute/path.db`.
    File(PathBuf),
    /// `postgres://…` or `postgresql://…`, as libpq reads it.
    Postgres(String),
}

impl DatabaseUrl {
    /// Reads an address.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        if url == "sqlite::memory:" || url == "sqlite://:memory:" {
            return Ok(Self::Memory);
        }
        if let Some(path) = url.strip_prefix("sqlite://") {
            // SQLite would read `file:` and `?` as an address of its own.
            if path.is_empty() || path.starts_with("file:") || path.contains(['?', '\0']) {
                return Err(OpenError::Url);
            }
            return Ok(Self::File(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err(OpenError::Url)
    }

    /// The address for libpq, with limits where the operator gave none: a server that is gone without a word must
    /// not hold a thread for minutes.
    fn for_libpq(url: &str) -> String {
        let mut url = url.to_owned();
        let limits = [("connect_timeout", "5"), ("tcp_user_timeout", "5000"), ("application_name", "countersign")];
        for (name, value) in limits {
            if !url.contains(&format!("{name}=")) {
                let separator = if url.contains('?') { '&' } else { '?' };
                url.push_str(&format!("{separator}{name}={value}"));
            }
        }
        url
    }
}

/// How many threads and how long a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DatabaseSettings {
    /// Threads that read SQLite, or connections to PostgreSQL. 1 to 64.
    pub connections: usize,
    /// Units of work that may wait before [`StoreError::Busy`].
    pub queue: usize,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self { connections: 4, queue: 4096 }
    }
}

/// Why a database can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not one of our addresses. The address isn't repeated: it may hold a password.
    #[error("a database URL is sqlite://file.db, sqlite:///absolute/file.db, sqlite::memory: or postgres://…")]
    Url,
    /// The database said no, or isn't there.
    #[error("can't open the database: {0}")]
    Connect(String),
    /// No thread could be started.
    #[error("can't start a thread for the database: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a unit of work came to nothing. Names no secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More work waits than the queue takes; nothing was done.
    #[error("the database is busy")]
    Busy,
    /// There is no connection, or it broke; what was under way was not acknowledged.
    #[error("the database can't be reached: {0}")]
    Unavailable(String),
    /// The database refused a statement.
    #[error("the database refused: {0}")]
    Refused(String),
    /// A row holds what this version doesn't write.
    #[error("the database holds an unreadable {what}")]
    Corrupt {
        /// Table and column.
        what: &'static str,
    },
    /// A sealed secret doesn't open: another master key, or somebody changed the row.
    #[error("a sealed {what} can't be opened: is this the right master key?")]
    Sealed {
        /// Table and column.
        what: &'static str,
    },
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                information,
            ) => Self::Unavailable(information.message().trim().to_owned()),
            // libpq has no code for a connection that is gone, only these words.
            DieselError::DatabaseError(DatabaseErrorKind::Unknown, information)
                if ["connection", "the database system is"]
                    .iter()
                    .any(|words| information.message().contains(words)) =>
            {
                Self::Unavailable(information.message().trim().to_owned())
            }
            DieselError::BrokenTransactionManager => Self::Unavailable("the transaction broke off".to_owned()),
            // The message alone: details can repeat values.
            DieselError::DatabaseError(_, information) => Self::Refused(information.message().to_owned()),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// Whether an insert lost against a row with the same key.
pub(super) fn is_taken(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
}

/// Whether a row points at one that isn't there.
pub(super) fn is_dangling(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _))
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
    reads: Arc<Queue>,
    writes: Arc<Queue>,
    announcer: Announcer,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.reads.close();
        self.writes.close();
        for thread in self.threads.drain(..) {
            // The last clone may be dropped by a unit of work itself.
            if thread.thread().id() != std::thread::current().id() {
                // A thread that panicked has nothing left to say.
                drop(thread.join());
            }
        }
    }
}

impl Database {
    /// Connects and starts the threads. Migrates nothing. Blocks for as long as one connection takes.
    pub fn open(url: &str, settings: DatabaseSettings) -> Result<Self, OpenError> {
        let url = DatabaseUrl::parse(url)?;
        let connections = settings.connections.clamp(1, 64);
        let mut threads = Vec::new();
        let writes = Arc::new(Queue::new(settings.queue));
        // The first one is opened here, so that what is wrong is said here.
        let first = connect(&url, Access::Write).map_err(|error| OpenError::Connect(error.to_string()))?;
        let writer = Worker::new(url.clone(), Access::Write, Some(first));
        threads.push(writer.start("store-write", &writes)?);
        let reads = match &url {
            // Each connection to :memory: would be a database of its own.
            DatabaseUrl::Memory => writes.clone(),
            DatabaseUrl::File(_) => {
                let reads = Arc::new(Queue::new(settings.queue));
                for _ in 0..connections {
                    threads.push(Worker::new(url.clone(), Access::Read, None).start("store-read", &reads)?);
                }
                reads
            }
            DatabaseUrl::Postgres(_) => {
                for _ in 1..connections {
                    threads.push(Worker::new(url.clone(), Access::Write, None).start("store", &writes)?);
                }
                writes.clone()
            }
        };
        Ok(Self(Arc::new(Shared { url, reads, writes, announcer: Announcer::default(), threads })))
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
        submit(&self.0.reads, move |worker| work(worker.connection()?)).await
    }

    /// Reads everything as it is at one moment, however long that takes and whatever is written meanwhile.
    pub async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut AnyConnection) -> Result<T, E> + Send + 'static,
    {
        submit(&self.0.reads, move |worker| {
            let connection = worker.connection()?;
            let begun = match connection {
                AnyConnection::Sqlite(connection) => AnsiTransactionManager::begin_transaction(connection),
                AnyConnection::Postgres(connection) => AnsiTransactionManager::begin_transaction_sql(
                    connection,
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                ),
            };
            begun.map_err(StoreError::from)?;
            let outcome = work(connection);
            if rollback(connection).is_err() {
                worker.abandon();
            }
            outcome
        })
        .await
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
        submit(&self.0.writes, move |worker| {
            let (outcome, changes) = worker.transact(work)?;
            announcer.announce(&changes);
            Ok(outcome)
        })
        .await
    }

    /// Has `subscriber` told of each change: before [`write`](Self::write) returns on this node, and within a second
    /// when another process made it and a [`watch`](super::watch) runs.
    pub fn subscribe(&self, subscriber: impl Fn(&Change) + Send + Sync + 'static) {
        self.0.announcer.subscribe(Box::new(subscriber));
    }

    /// For a watch that tells what others have changed.
    pub(super) fn announcer(&self) -> Announcer {
        self.0.announcer.clone()
    }

    /// Brings the database to this version; gives the names of what was applied. Two that migrate at once do no harm.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        submit(&self.0.writes, |worker| migrate(worker.connection()?)).await
    }

    /// Names of migrations that this version has and the database doesn't.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        submit(&self.0.writes, |worker| {
            Ok(match worker.connection()? {
                AnyConnection::Sqlite(connection) => {
                    names(&connection.pending_migrations(SQLITE_MIGRATIONS).map_err(migration_error)?)
                }
                AnyConnection::Postgres(connection) => {
                    names(&connection.pending_migrations(POSTGRES_MIGRATIONS).map_err(migration_error)?)
                }
            })
        })
        .await
    }

    /// Versions of the migrations that the database has had, newest first.
    pub async fn applied_migrations(&self) -> Result<Vec<String>, StoreError> {
        submit(&self.0.writes, |worker| {
            let applied: Vec<MigrationVersion<'static>> = match worker.connection()? {
                AnyConnection::Sqlite(connection) => connection.applied_migrations().map_err(migration_error)?,
                AnyConnection::Postgres(connection) => connection.applied_migrations().map_err(migration_error)?,
            };
            Ok(applied.iter().map(ToString::to_string).collect())
        })
        .await
    }

    /// `Ok` if the database answers: for `/health/ready`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            diesel::sql_query("SELECT 1").execute(connection)?;
            Ok(())
        })
        .await
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
        if !self.changes.contains(&change) {
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

fn migrate(connection: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    // All pending migrations in one transaction, under a lock, so that two servers starting together apply them once.
    match connection {
        AnyConnection::Sqlite(connection) => connection.immediate_transaction(|connection| {
            let applied = connection.run_pending_migrations(SQLITE_MIGRATIONS).map_err(migration_error)?;
            Ok(applied.iter().map(ToString::to_string).collect())
        }),
        AnyConnection::Postgres(connection) => connection.transaction(|connection| {
            diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
                .bind::<diesel::sql_types::BigInt, _>(MIGRATION_LOCK)
                .execute(connection)?;
            let applied = connection.run_pending_migrations(POSTGRES_MIGRATIONS).map_err(migration_error)?;
            Ok(applied.iter().map(ToString::to_string).collect())
        }),
    }
}

fn migration_error(error: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Refused(format!("a migration failed: {error}"))
}

fn names<DB: diesel::backend::Backend>(migrations: &[Box<dyn Migration<DB>>]) -> Vec<String> {
    migrations.iter().map(|migration| migration.name().to_string()).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

fn connect(url: &DatabaseUrl, access: Access) -> Result<AnyConnection, StoreError> {
    let unavailable = |error: diesel::ConnectionError| StoreError::Unavailable(error.to_string());
    match url {
        DatabaseUrl::Memory => {
            let mut connection = SqliteConnection::establish(":memory:").map_err(unavailable)?;
            connection.batch_execute("PRAGMA foreign_keys = ON")?;
            Ok(AnyConnection::Sqlite(connection))
        }
        DatabaseUrl::File(path) => {
            let mut connection = open_file(path)?;
            if access == Access::Read {
                connection.batch_execute("PRAGMA query_only = ON")?;
            }
            Ok(AnyConnection::Sqlite(connection))
        }
        DatabaseUrl::Postgres(url) => {
            let mut connection = PgConnection::establish(&DatabaseUrl::for_libpq(url)).map_err(unavailable)?;
            connection.batch_execute(
                "SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET client_min_messages = warning",
            )?;
            Ok(AnyConnection::Postgres(connection))
        }
    }
}

/// Opens a SQLite file as we use it: write-ahead log, each commit on the disk before it is acknowledged, foreign keys
/// on, and ten seconds of patience with another process that writes.
fn open_file(path: &Path) -> Result<SqliteConnection, StoreError> {
    let name = path.to_str().ok_or_else(|| StoreError::Unavailable("the path isn't UTF-8".to_owned()))?;
    create_for_owner(path).map_err(|error| StoreError::Unavailable(format!("{name}: {error}")))?;
    // A leading `./` keeps a relative name that looks like an address from being read as one.
    let name = if path.is_absolute() { name.to_owned() } else { format!("./{name}") };
    let mut connection =
        SqliteConnection::establish(&name).map_err(|error| StoreError::Unavailable(format!("{name}: {error}")))?;
    connection.batch_execute(
        "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
    )?;
    Ok(connection)
}

/// Makes the file, if it isn't there, so that its owner alone can read it; SQLite gives its side files the same mode.
fn create_for_owner(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// One more connection to the same database, for a thread that watches. Reads only.
pub(super) fn connect_watcher(url: &DatabaseUrl) -> Result<AnyConnection, StoreError> {
    connect(url, Access::Read)
}

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// Puts a unit of work into the queue and waits for its outcome.
async fn submit<T, E, F>(queue: &Queue, work: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: FnOnce(&mut Worker) -> Result<T, E> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    queue.push(Box::new(move |worker| {
        let outcome = work(worker);
        worker.suspicious |= outcome.is_err();
        // Nobody may be waiting any more; the work is done all the same.
        drop(sender.send(outcome));
    }))?;
    match receiver.await {
        Ok(outcome) => outcome,
        Err(_) => Err(StoreError::Unavailable("the unit of work broke off".to_owned()).into()),
    }
}

/// Work that waits, first come, first served.
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    limit: usize,
}

struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    fn new(limit: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting { jobs: VecDeque::new(), closed: false }),
            arrived: Condvar::new(),
            limit: limit.max(1),
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
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }
}

/// One thread's connection.
struct Worker {
    url: DatabaseUrl,
    access: Access,
    connection: Option<AnyConnection>,
    used: Instant,
    /// The last unit of work failed, perhaps because the connection is gone.
    suspicious: bool,
}

impl Worker {
    fn new(url: DatabaseUrl, access: Access, connection: Option<AnyConnection>) -> Self {
        Self { url, access, connection, used: Instant::now(), suspicious: false }
    }

    fn start(mut self, name: &str, queue: &Arc<Queue>) -> Result<JoinHandle<()>, std::io::Error> {
        let queue = queue.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = queue.take() {
                // A panic in one unit of work must not take the thread from all others; its connection is in an
                // unknown state and goes. In memory the connection is the database, so it stays.
                if catch_unwind(AssertUnwindSafe(|| job(&mut self))).is_err() {
                    tracing::error!("a unit of work panicked");
                    self.abandon();
                }
                self.used = Instant::now();
            }
        })
    }

    /// The connection, opened anew if it is gone.
    fn connection(&mut self) -> Result<&mut AnyConnection, StoreError> {
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

    fn transact<T, E, F>(&mut self, work: F) -> Result<(T, Vec<Change>), E>
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
pub(super) fn is_closed(connection: &mut PgConnection) -> bool {
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

/// Lets `?` carry diesel's errors into an error that has [`StoreError`] as a variant.
macro_rules! carries_diesel {
    ($error:ty) => {
        impl From<diesel::result::Error> for $error {
            fn from(error: diesel::result::Error) -> Self {
                $crate::store::connection::StoreError::from(error).into()
            }
        }
    };
}
pub(super) use carries_diesel;

#[cfg(test)]
mod tests {
    use super::super::schema::settings;
    use super::*;
    use diesel::{ExpressionMethods, QueryDsl};
    use std::sync::mpsc;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(future)
    }

    fn memory() -> Database {
        let database = Database::open("sqlite::memory:", DatabaseSettings::default()).expect("a database");
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
    fn an_address_names_a_database() {
        let parse = |url| DatabaseUrl::parse(url).ok();
        assert_eq!(parse("sqlite::memory:"), Some(DatabaseUrl::Memory));
        assert_eq!(parse("sqlite://a.db"), Some(DatabaseUrl::File("a.db".into())));
        assert_eq!(parse("sqlite:///a/b.db"), Some(DatabaseUrl::File("/a/b.db".into())));
        assert!(matches!(parse("postgres://jo:secret@db/x"), Some(DatabaseUrl::Postgres(_))));
        for wrong in ["", "sqlite://", "sqlite://file:a?mode=ro", "mysql://x", "a.db"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_gets_limits_unless_it_has_its_own() {
        let url = DatabaseUrl::for_libpq("postgres://db/x?connect_timeout=1");
        assert!(url.starts_with("postgres://db/x?connect_timeout=1&tcp_user_timeout="), "{url}");
        assert!(DatabaseUrl::for_libpq("postgres://db/x").starts_with("postgres://db/x?connect_timeout="));
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
        let settings = DatabaseSettings { queue: 1, ..DatabaseSettings::default() };
        let database = Database::open("sqlite::memory:", settings).expect("a database");
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
            for number in 0..=TOLD_SINGLY {
                transaction.note(Change::Username(number.to_string()));
            }
            Ok::<_, StoreError>(())
        }))
        .expect("written");
        assert_eq!(*heard.lock().expect("no panic"), [Change::Everything]);
    }

    #[cfg(unix)]
    #[test]
    fn a_database_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("countersign-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder).expect("a temporary folder can be made");
        let path = folder.join("main.db");
        let url = format!("sqlite://{}", path.display());
        let database = Database::open(&url, DatabaseSettings::default()).expect("a database");
        block_on(database.migrate()).expect("the migrations apply");
        for entry in std::fs::read_dir(&folder).expect("the folder is there") {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        }
        drop(database);
        std::fs::remove_dir_all(&folder).expect("the folder can be removed");
    }

    #[test]
    fn the_migrations_can_be_taken_back() {
        let database = memory();
        block_on(database.read(|connection| {
            let AnyConnection::Sqlite(connection) = connection else { return Err(StoreError::Busy) };
            connection.revert_all_migrations(SQLITE_MIGRATIONS).map_err(migration_error)?;
            connection.run_pending_migrations(SQLITE_MIGRATIONS).map_err(migration_error)?;
            Ok(())
        }))
        .expect("down and up again");
    }
}
