//! How this node hears what other processes change: a thread with a connection of its own that looks five times a
//! second.
//!
//! SQLite: `PRAGMA data_version` tells cheaply whether anybody else has committed; then the new rows of `changes` are
//! read, whose ids are in commit order because there is one writer. PostgreSQL: LISTEN, and a question at each look,
//! because diesel's iterator doesn't wait, and silence alone may be a connection that hangs. Whenever something may
//! have been missed, everything is forgotten.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::changes::Change;
use super::connection::{Announcer, AnyConnection, CHANNEL, Database, connect_watcher};
use super::ending::join_within;
use super::error::StoreError;
use super::hearing::Hearing;
use super::schema::changes;
use crate::config::DatabaseUrl;

/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a connection is trusted after the last question that it answered. With two pauses no more than a second, in
/// which everybody is to see a change; several questions long, so that a server that is only slow is not taken for one
/// that hangs.
const TRUSTED: Duration = Duration::from_millis(600);

/// How often it is said that it hangs.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// How long a look may take to end when the watch is dropped.
const CLOSING: Duration = Duration::from_secs(1);

/// How long a change stays in SQLite's table, in seconds: far longer than anybody pauses between looks.
const KEPT_SECONDS: i64 = 3600;

/// A running watch. It ends when this is dropped.
pub struct Watch {
    ends: Vec<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Starts watching; what others change is announced to the subscribers of `database`.
    ///
    /// To be started before anything is cached, and changes that are committed after this returns are heard; what was
    /// cached before is forgotten. A database in memory has nobody else to hear of.
    pub fn start(database: &Database) -> Result<Self, StoreError> {
        let (url, file) = (database.url().clone(), database.file());
        if url == DatabaseUrl::Memory {
            return Ok(Self { ends: Vec::new(), threads: Vec::new() });
        }
        let (end, ended) = channel();
        let mut listener = Listener::new(connect_watcher(&url)?)?;
        // The threads must not keep the database open, so they hold what they need and no more.
        let caches = Caches { announcer: database.announcer(), hearing: database.hearing() };
        caches.forget();
        let (end_of_guard, guard) = guard(caches.clone())?;
        let thread = std::thread::Builder::new()
            .name("store-watch".to_owned())
            .spawn(move || {
                let mut warned = Warned::default();
                while pause(&ended) {
                    // Not when it is answered: we may have been frozen since the answer.
                    let asked = Instant::now();
                    match file.is_in_place().and_then(|()| listener.hear()) {
                        Ok(heard) => {
                            caches.announcer.announce(&heard);
                            caches.hearing.note(asked);
                        }
                        Err(error) => {
                            if warned.is_due() {
                                tracing::error!(%error, "changes that others make are not heard");
                            }
                            // Until it is back nobody tells us anything: whatever is cached lives one pause.
                            caches.forget();
                            let fresh = file.is_in_place().and_then(|()| connect_watcher(&url));
                            if let Ok(fresh) = fresh.and_then(Listener::new) {
                                listener = fresh;
                                warned = Warned::default();
                                caches.forget();
                                tracing::info!("changes are heard again");
                            }
                        }
                    }
                }
            })
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { ends: vec![end, end_of_guard], threads: vec![thread, guard] })
    }
}

/// Looks after the thread that listens: a connection that hangs, of a machine that is there and says nothing, is noticed by
/// nothing else for long. Until it is heard again, whatever is cached lives less than a second.
fn guard(caches: Caches) -> Result<(Sender<()>, JoinHandle<()>), StoreError> {
    let (end, ended) = channel();
    let guard = move || {
        let mut warned = Warned::default();
        while pause(&ended) {
            if caches.hearing.silence(Instant::now()) >= TRUSTED {
                if warned.is_due() {
                    tracing::warn!(
                        "the database takes long to answer, or the connection that hears of changes hangs: meanwhile nothing is cached for long"
                    );
                }
                caches.forget();
            }
        }
    };
    let thread = std::thread::Builder::new().name("store-guard".to_owned()).spawn(guard);
    Ok((end, thread.map_err(|error| StoreError::Unavailable(error.to_string()))?))
}

/// What has to be told.
#[derive(Clone)]
struct Caches {
    announcer: Announcer,
    hearing: Arc<Hearing>,
}

impl Caches {
    /// Something may have been missed.
    fn forget(&self) {
        let now = Instant::now();
        self.announcer.announce(&[Change::Everything]);
        self.hearing.note(now);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ends.clear();
        if join_within(CLOSING, std::mem::take(&mut self.threads)) > 0 {
            tracing::warn!("the connection that hears of changes hangs: it is left");
        }
    }
}

/// When something was said last that need not be said all the time.
#[derive(Default)]
struct Warned(Option<Instant>);

impl Warned {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|warned| warned.elapsed() >= WARN_EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// Waits; `false` when the watch was dropped.
fn pause(ended: &Receiver<()>) -> bool {
    matches!(ended.recv_timeout(PAUSE), Err(RecvTimeoutError::Timeout))
}

enum Listener {
    Sqlite { connection: AnyConnection, data_version: i64, last: i64 },
    Postgres(AnyConnection),
}

#[derive(QueryableByName)]
struct DataVersion {
    #[diesel(sql_type = BigInt)]
    data_version: i64,
}

impl Listener {
    fn new(mut connection: AnyConnection) -> Result<Self, StoreError> {
        match &mut connection {
            AnyConnection::Sqlite(_) => {
                let data_version = data_version(&mut connection)?;
                let last = newest(&mut connection)?;
                Ok(Self::Sqlite { connection, data_version, last })
            }
            AnyConnection::Postgres(_) => {
                connection.batch_execute(&format!("LISTEN {CHANNEL}"))?;
                Ok(Self::Postgres(connection))
            }
        }
    }

    /// What was committed since the last look.
    fn hear(&mut self) -> Result<Vec<Change>, StoreError> {
        match self {
            Self::Sqlite { connection, data_version: seen, last } => {
                let version = data_version(connection)?;
                if version == *seen {
                    return Ok(Vec::new());
                }
                let rows: Vec<(i64, String)> = changes::table
                    .filter(changes::id.gt(*last))
                    .order(changes::id)
                    .limit(10_000)
                    .select((changes::id, changes::change))
                    .load(connection)?;
                // Ids have no gaps. If one is missing, rows were deleted before they were read.
                let complete = match rows.first() {
                    Some((first, _)) => *first == *last + 1,
                    None => {
                        let newest = newest(connection)?;
                        std::mem::replace(last, newest) == newest
                    }
                };
                let all_read = rows.len() < 10_000;
                if all_read {
                    *seen = version;
                }
                if let Some((newest, _)) = rows.last() {
                    *last = *newest;
                }
                if complete {
                    Ok(rows.iter().map(|(_, change)| Change::decode(change)).collect())
                } else {
                    Ok(vec![Change::Everything])
                }
            }
            Self::Postgres(connection) => {
                // In these words, so that an operator who looks at the connections knows this one.
                connection.batch_execute("SELECT 'listens'")?;
                let AnyConnection::Postgres(connection) = connection else { return Ok(Vec::new()) };
                let mut heard = Vec::new();
                for notification in connection.notifications_iter() {
                    heard.push(Change::decode(&notification?.payload));
                }
                Ok(heard)
            }
        }
    }
}

fn data_version(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    let row: DataVersion = diesel::sql_query("PRAGMA data_version").get_result(connection)?;
    Ok(row.data_version)
}

fn newest(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    #[derive(QueryableByName)]
    struct Newest {
        #[diesel(sql_type = BigInt)]
        seq: i64,
    }
    // The table's own counter, which is right also after the rows were deleted.
    let row: Option<Newest> = diesel::sql_query("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
        .get_result(connection)
        .optional()?;
    Ok(row.map_or(0, |row| row.seq))
}

/// Deletes changes that everybody has heard of; tells how many. PostgreSQL keeps none.
pub async fn delete_heard(database: &Database, now: crate::time::Timestamp) -> Result<usize, StoreError> {
    database
        .write(move |transaction| match &mut *transaction.connection {
            AnyConnection::Sqlite(connection) => {
                let old = changes::table.filter(changes::at.lt(now.unix() - KEPT_SECONDS));
                Ok(diesel::delete(old).execute(connection)?)
            }
            AnyConnection::Postgres(_) => Ok(0),
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::super::connection::DatabaseOptions;
    use super::*;
    use crate::time::Timestamp;
    use tempfile::TempDir;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(future)
    }

    fn file() -> (TempDir, Database) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let database = Database::open(DatabaseUrl::File(folder.path().join("main.db")), DatabaseOptions::default())
            .expect("a database");
        block_on(database.migrate()).expect("the migrations apply");
        (folder, database)
    }

    fn change(database: &Database, name: &str) {
        let change = Change::Username(name.to_owned());
        block_on(database.write(|transaction| {
            transaction.note(change);
            Ok::<_, StoreError>(())
        }))
        .expect("written");
    }

    fn listener(database: &Database) -> Listener {
        connect_watcher(database.url()).and_then(Listener::new).expect("a listener")
    }

    #[test]
    fn what_was_committed_since_is_heard_once_and_in_order() {
        let (_files, database) = file();
        change(&database, "before");
        let mut listener = listener(&database);
        assert!(listener.hear().expect("an answer").is_empty());
        change(&database, "a");
        change(&database, "b");
        let heard = listener.hear().expect("an answer");
        assert_eq!(heard, [Change::Username("a".to_owned()), Change::Username("b".to_owned())]);
        assert!(listener.hear().expect("an answer").is_empty());
    }

    #[test]
    fn a_change_that_was_deleted_unheard_means_everything() {
        let (_files, database) = file();
        let mut listener = listener(&database);
        change(&database, "a");
        let later = Timestamp::from_unix(chrono::Utc::now().timestamp() + KEPT_SECONDS + 60);
        assert_eq!(block_on(delete_heard(&database, later)).expect("deleted"), 1);
        assert_eq!(listener.hear().expect("an answer"), [Change::Everything]);
        change(&database, "a");
        block_on(delete_heard(&database, later)).expect("deleted");
        change(&database, "b");
        assert_eq!(listener.hear().expect("an answer"), [Change::Everything]);
        change(&database, "c");
        assert_eq!(listener.hear().expect("an answer"), [Change::Username("c".to_owned())]);
    }

    #[test]
    fn a_table_that_was_emptied_says_nothing_to_a_new_listener() {
        let (_files, database) = file();
        change(&database, "a");
        let later = Timestamp::from_unix(chrono::Utc::now().timestamp() + KEPT_SECONDS + 60);
        block_on(delete_heard(&database, later)).expect("deleted");
        let mut listener = listener(&database);
        change(&database, "b");
        assert_eq!(listener.hear().expect("an answer"), [Change::Username("b".to_owned())]);
    }
}
