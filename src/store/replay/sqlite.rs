//! The journal of a single node: a SQLite file of its own that is only ever read at start.
//!
//! A batch is one row: its first and last minute, its length, and 12 bytes for each record (fingerprint, minute counted from
//! the first, client slot; little-endian). With WAL and `synchronous=FULL` the commit of that row is one write and one sync.
//! Whether a nonce is new is decided in memory; the file exists so that the memory can be refilled.
//!
//! Three things guard against a file that knows less than the server once did. The lock: one process owns the journal. The
//! horizon: minutes that were removed stay refused, also when the clock steps back or the window grows. The floor file beside
//! the journal: it holds the newest minute ever accepted, written ahead of use, so a journal that was restored from a backup
//! is found to be older than its floor file, and everything up to that minute is refused until it has left the window. Within
//! one minute it is found by the number of the last start, which both files hold, and by the last row of an orderly end.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::fingerprint::{Bucket, ClientSlot, Fingerprint, FingerprintKey, Record};
use super::journal::{Journal, JournalError, Outcome};
use super::window::Window;
use crate::config::Durability;
use crate::time::Timestamp;

/// Rows that are removed together, in one step of expiry.
const ROWS_PER_RUN: u32 = 256;

/// The newest minute of a server that never accepted anything.
const NEVER: Bucket = Bucket(i64::MIN);

/// Bytes of a packed record.
const RECORD_BYTES: usize = 12;

diesel::table! {
    /// One row a commit.
    batch (id) {
        id -> BigInt,
        first_bucket -> BigInt,
        max_bucket -> BigInt,
        count -> Integer,
        records -> Binary,
    }
}

diesel::table! {
    /// One row.
    state (id) {
        id -> Integer,
        hash_key -> Binary,
        /// Below it, rows were removed.
        horizon -> BigInt,
        /// The newest minute ever accepted; the floor file's is never older.
        newest -> BigInt,
        /// The file itself: a restored one has another number.
        inode -> BigInt,
        /// Written to learn whether the disk takes writes again.
        probes -> BigInt,
        /// A random number of the last start; the floor file has the same.
        opened -> BigInt,
    }
}

/// Why the journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SqliteOpenError {
    /// Another process has it.
    #[error("the replay journal {0} is in use by another process: one server owns it")]
    InUse(PathBuf),
    /// The floor file cannot be read or written.
    #[error("{0}: {1}")]
    FloorFile(PathBuf, std::io::Error),
    /// SQLite, or what is in the file.
    #[error("{0}: {1}")]
    Journal(PathBuf, JournalError),
}

/// The file with its lock.
pub struct SqliteJournal {
    path: PathBuf,
    durability: Durability,
    /// `None` after a failure, until it is opened again.
    connection: Option<SqliteConnection>,
    floor_file: FloorFile,
    newest: Bucket,
    next_id: i64,
    /// Runs of rows in the order they were written, so that expiry needs no index and no search.
    runs: VecDeque<Run>,
}

/// Up to [`ROWS_PER_RUN`] rows that are removed together.
struct Run {
    last_id: i64,
    rows: u32,
    max_bucket: Bucket,
}

/// What opening found.
pub struct Opened {
    pub journal: SqliteJournal,
    pub key: FingerprintKey,
    /// Below it, nonces may have been forgotten.
    pub floor: Bucket,
}

impl SqliteJournal {
    /// Opens or makes the journal, and locks it.
    ///
    /// `unforeseen`: above everything that could have been accepted until now; the floor of a journal that lost its memory.
    pub fn open(path: &Path, durability: Durability, unforeseen: Bucket) -> Result<Opened, SqliteOpenError> {
        let mut floor_file = FloorFile::lock(path)?;
        let broken = |error| SqliteOpenError::Journal(path.to_owned(), error);
        // SQLite keeps the mode of an empty file, and gives it to its log.
        open_private(path).map_err(|error| broken(JournalError::File(error)))?;
        // Asked before SQLite makes another. After an end that was not orderly the last commits are nowhere else.
        let has_log = has_log(path);
        let mut connection = connect(path, durability).map_err(broken)?;
        let (key, floor) = settle(&mut connection, path, &mut floor_file, has_log, unforeseen).map_err(broken)?;
        let mut journal = Self {
            path: path.to_owned(),
            durability,
            connection: Some(connection),
            newest: floor_file.newest,
            floor_file,
            next_id: 1,
            runs: VecDeque::new(),
        };
        journal.next_id = journal.with(last_id).map_err(broken)?.saturating_add(1);
        Ok(Opened { journal, key, floor })
    }

    /// Fills the memory with what is in the file from `first_kept` on.
    pub fn refill(&mut self, window: &Window, first_kept: Bucket) -> Result<(), JournalError> {
        let mut runs = VecDeque::new();
        let mut refill = window.refill();
        self.with(|connection| {
            let rows = batch::table
                .order(batch::id)
                .select((batch::id, batch::first_bucket, batch::max_bucket, batch::records))
                .load_iter::<(i64, i64, i64, Vec<u8>), diesel::connection::DefaultLoadingMode>(connection)?;
            for row in rows {
                let (id, first_bucket, max_bucket, records) = row?;
                note_row(&mut runs, id, Bucket(max_bucket));
                if Bucket(max_bucket) < first_kept {
                    continue;
                }
                for record in unpack(first_bucket, &records) {
                    if record.bucket >= first_kept {
                        refill.push(record);
                    }
                }
            }
            Ok(())
        })?;
        refill.finish();
        self.runs = runs;
        Ok(())
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>) -> Result<T, JournalError> {
        match &mut self.connection {
            Some(connection) => work(connection).map_err(JournalError::Database),
            None => Err(JournalError::Damaged("the journal is closed after a failure")),
        }
    }
}

impl Journal for SqliteJournal {
    fn commit(&mut self, batch: &[Record], _now: Timestamp) -> Result<Vec<Outcome>, JournalError> {
        let Some(newest) = batch.iter().map(|record| record.bucket).max() else {
            return Ok(Vec::new());
        };
        let rises = newest > self.newest;
        if rises {
            self.floor_file.write(newest).map_err(JournalError::File)?;
        }
        let rows = pack(batch);
        let first_id = self.next_id;
        self.with(|connection| match rows.as_slice() {
            [row] if !rises => insert(connection, first_id, row),
            rows => connection.transaction(|connection| {
                for (id, row) in (first_id..).zip(rows) {
                    insert(connection, id, row)?;
                }
                diesel::update(state::table)
                    .set(state::newest.eq(newest.0))
                    .filter(state::newest.lt(newest.0))
                    .execute(connection)?;
                Ok(())
            }),
        })?;
        for row in rows {
            note_row(&mut self.runs, self.next_id, row.max_bucket);
            self.next_id = self.next_id.saturating_add(1);
        }
        self.newest = self.newest.max(newest);
        Ok(vec![Outcome::Fresh; batch.len()])
    }

    fn recover(&mut self, _now: Timestamp) -> Result<(), JournalError> {
        // After an I/O error nothing that the connection holds can be trusted, so the file is opened and recovered anew.
        let last_written = self.next_id.saturating_sub(1);
        let expected = self.runs.back().is_some_and(|run| run.last_id == last_written);
        self.connection = None;
        self.connection = Some(connect(&self.path, self.durability)?);
        let found = self.with(|connection| {
            diesel::update(state::table).set(state::probes.eq(state::probes + 1)).execute(connection)?;
            last_id(connection)
        });
        match found {
            Ok(id) if expected && id < last_written => {
                self.connection = None;
                Err(JournalError::Damaged("acknowledged rows are gone; restart the server"))
            }
            // A row of a failed commit may be there all the same: it is kept, and the next one comes after it.
            Ok(id) => {
                self.next_id = id.max(last_written).saturating_add(1);
                Ok(())
            }
            Err(error) => {
                self.connection = None;
                Err(error)
            }
        }
    }

    fn expire(&mut self, first_kept: Bucket, _now: Timestamp) -> Result<bool, JournalError> {
        let Some(run) = self.runs.front().filter(|run| run.max_bucket < first_kept) else {
            return Ok(false);
        };
        let last_id = run.last_id;
        self.with(|connection| {
            connection.transaction(|connection| {
                // First said, then done: what is removed here stays refused, whatever the clock or the window do.
                diesel::update(state::table)
                    .set(state::horizon.eq(first_kept.0))
                    .filter(state::horizon.lt(first_kept.0))
                    .execute(connection)?;
                diesel::delete(batch::table.filter(batch::id.le(last_id))).execute(connection)
            })
        })?;
        self.runs.pop_front();
        Ok(self.runs.front().is_some_and(|run| run.max_bucket < first_kept))
    }

    fn close(&mut self) {
        if let Ok(last_row) = self.with(last_id)
            && let Err(error) = self.floor_file.write_last_row(last_row)
        {
            tracing::warn!(%error, "the end of the replay journal is not noted");
        }
        // Dropping the connection moves the write-ahead log into the file; dropping the floor file frees the lock.
        self.connection = None;
    }
}

fn connect(path: &Path, durability: Durability) -> Result<SqliteConnection, JournalError> {
    let Some(name) = path.to_str() else {
        return Err(JournalError::Damaged("the path is not UTF-8"));
    };
    let mut connection = SqliteConnection::establish(name).map_err(JournalError::Connect)?;
    let level = match durability {
        // On the disk before it is answered.
        Durability::Power => "FULL",
        // With the operating system before it is answered.
        Durability::Process => "NORMAL",
    };
    // Exclusive: no other process reads or writes, so the log's index needs no shared memory.
    diesel::connection::SimpleConnection::batch_execute(
        &mut connection,
        &format!(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = {level}; \
             CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY NOT NULL, first_bucket BIGINT NOT NULL, \
             max_bucket BIGINT NOT NULL, count INTEGER NOT NULL, records BLOB NOT NULL); \
             CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1), hash_key BLOB NOT NULL, \
             horizon BIGINT NOT NULL, newest BIGINT NOT NULL, inode BIGINT NOT NULL, probes BIGINT NOT NULL, \
             opened BIGINT NOT NULL DEFAULT 0);"
        ),
    )
    .map_err(JournalError::Database)?;
    // A journal of a version that did not number its starts.
    let has_numbers: i64 = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(
        "(SELECT count(*) FROM pragma_table_info('state') WHERE name = 'opened')",
    ))
    .get_result(&mut connection)
    .map_err(JournalError::Database)?;
    if has_numbers == 0 {
        let add = "ALTER TABLE state ADD COLUMN opened BIGINT NOT NULL DEFAULT 0";
        diesel::sql_query(add).execute(&mut connection).map_err(JournalError::Database)?;
    }
    Ok(connection)
}

/// Whether there is a write-ahead log with something in it: it stays until the journal is closed in an orderly way.
fn has_log(path: &Path) -> bool {
    // Beside the file itself, where the path is a link to it.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut log = path.into_os_string();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// Reads the state of the file, or makes it, and finds the floor.
fn settle(
    connection: &mut SqliteConnection,
    path: &Path,
    floor_file: &mut FloorFile,
    has_log: bool,
    unforeseen: Bucket,
) -> Result<(FingerprintKey, Bucket), JournalError> {
    // A number of the file system, compared for equality only.
    let inode = std::fs::metadata(path).map_err(JournalError::File)?.ino().cast_signed();
    let last_row = last_id(connection).map_err(JournalError::Database)?;
    let known: Option<(Vec<u8>, i64, i64, i64, i64)> = state::table
        .select((state::hash_key, state::horizon, state::newest, state::inode, state::opened))
        .first(connection)
        .optional()
        .map_err(JournalError::Database)?;
    let (key, horizon, newest) = match known {
        // Without a floor file this server has never accepted anything.
        None => (FingerprintKey::random(), floor_file.newest.next(), NEVER),
        Some((key, horizon, newest, known_inode, opened)) => {
            let key = <[u8; 16]>::try_from(key.as_slice())
                .map_err(|_| JournalError::Damaged("the hash key has not 16 bytes"))?;
            let is_another = known_inode != inode
                || floor_file.opened != opened
                || floor_file.last_row.is_some_and(|known| known != last_row)
                // Versions before noted no end.
                || floor_file.last_row.is_none() && opened != 0 && !has_log
                || floor_file.newest == NEVER && newest > NEVER.0;
            let floor = if is_another {
                // Copied or restored, at an unknown time; or nothing tells whether it was.
                unforeseen
            } else if floor_file.newest.0 > newest {
                floor_file.newest.next()
            } else {
                NEVER
            };
            (FingerprintKey::from_bytes(key), floor.max(Bucket(horizon)), Bucket(newest))
        }
    };
    let newest = newest.max(floor_file.newest);
    // The journal first: if only that is done, the next start finds the two different and is careful.
    let opened = i64::from(rand::random::<u32>().max(1));
    diesel::replace_into(state::table)
        .values((
            state::id.eq(1),
            state::hash_key.eq(key.bytes().to_vec()),
            state::horizon.eq(horizon.0),
            state::newest.eq(newest.0),
            state::inode.eq(inode),
            state::probes.eq(0_i64),
            state::opened.eq(opened),
        ))
        .execute(connection)
        .map_err(JournalError::Database)?;
    floor_file.begin(newest, opened).map_err(JournalError::File)?;
    Ok((key, horizon))
}

fn last_id(connection: &mut SqliteConnection) -> QueryResult<i64> {
    let id: Option<i64> = batch::table.select(diesel::dsl::max(batch::id)).first(connection)?;
    Ok(id.unwrap_or(0))
}

fn insert(connection: &mut SqliteConnection, id: i64, row: &Row) -> QueryResult<()> {
    diesel::insert_into(batch::table)
        .values((
            batch::id.eq(id),
            batch::first_bucket.eq(row.first_bucket),
            batch::max_bucket.eq(row.max_bucket.0),
            batch::count.eq(i32::try_from(row.records.len() / RECORD_BYTES).unwrap_or(i32::MAX)),
            batch::records.eq(row.records.as_slice()),
        ))
        .execute(connection)?;
    Ok(())
}

/// Adds a row to the newest run, or begins another.
fn note_row(runs: &mut VecDeque<Run>, id: i64, max_bucket: Bucket) {
    match runs.back_mut() {
        // A run of one minute only, so that a quiet server's rows do not wait for the run to fill.
        Some(run) if run.rows < ROWS_PER_RUN && run.max_bucket >= max_bucket => {
            run.rows += 1;
            run.last_id = id;
        }
        _ => runs.push_back(Run { last_id: id, rows: 1, max_bucket }),
    }
}

/// A batch, packed.
struct Row {
    /// What the records' minutes are counted from: a multiple of 65,536.
    first_bucket: i64,
    max_bucket: Bucket,
    records: Vec<u8>,
}

/// One row, or two when the batch lies across the end of 65,536 minutes, or more when the clock jumped that far.
fn pack(batch: &[Record]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::with_capacity(1);
    for record in batch {
        let [b0, b1, rest @ ..] = record.bucket.0.to_le_bytes();
        let [r0, r1, r2, r3, r4, r5] = rest;
        let first_bucket = i64::from_le_bytes([0, 0, r0, r1, r2, r3, r4, r5]);
        let row = match rows.iter_mut().position(|row| row.first_bucket == first_bucket) {
            Some(position) => rows.get_mut(position),
            None => {
                rows.push(Row {
                    first_bucket,
                    max_bucket: record.bucket,
                    records: Vec::with_capacity(batch.len() * RECORD_BYTES),
                });
                rows.last_mut()
            }
        };
        if let Some(row) = row {
            row.max_bucket = row.max_bucket.max(record.bucket);
            row.records.extend(record.fingerprint.bits().to_le_bytes());
            row.records.extend([b0, b1]);
            row.records.extend(record.client.0.to_le_bytes());
        }
    }
    rows
}

fn unpack(first_bucket: i64, records: &[u8]) -> impl Iterator<Item = Record> + '_ {
    let (records, _) = records.as_chunks::<RECORD_BYTES>();
    records.iter().map(move |packed| {
        let [f0, f1, f2, f3, f4, f5, f6, f7, b0, b1, c0, c1] = *packed;
        Record {
            bucket: Bucket(first_bucket.saturating_add(i64::from(u16::from_le_bytes([b0, b1])))),
            fingerprint: Fingerprint::from_bits(u64::from_le_bytes([f0, f1, f2, f3, f4, f5, f6, f7])),
            client: ClientSlot(u16::from_le_bytes([c0, c1])),
        }
    })
}

/// Opens or makes a file that only its owner may read: the key of the fingerprints is nobody else's.
fn open_private(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The file beside the journal: the lock, and a line of numbers: the newest minute ever accepted, the start that wrote it, and
/// after an orderly end the last row.
struct FloorFile {
    file: File,
    newest: Bucket,
    /// As in the journal; 0 before the first start.
    opened: i64,
    /// While the server runs, and after it was killed, nothing.
    last_row: Option<i64>,
}

impl FloorFile {
    /// Locks the floor file of the journal at `journal`, and reads it.
    fn lock(journal: &Path) -> Result<Self, SqliteOpenError> {
        let mut path = journal.as_os_str().to_owned();
        path.push("-floor");
        let path = PathBuf::from(path);
        let broken = |error| SqliteOpenError::FloorFile(path.clone(), error);
        let file = open_private(&path).map_err(broken)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(SqliteOpenError::InUse(journal.to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(broken(error)),
        }
        let text = std::fs::read_to_string(&path).map_err(broken)?;
        let numbers: Result<Vec<i64>, _> = text.split_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(|_| broken(std::io::ErrorKind::InvalidData.into()))?;
        Ok(Self {
            file,
            newest: numbers.first().map_or(NEVER, |newest| Bucket(*newest)),
            opened: numbers.get(1).copied().unwrap_or(0),
            last_row: numbers.get(2).copied().filter(|row| *row >= 0),
        })
    }

    /// Another start: what follows is not at its end.
    fn begin(&mut self, newest: Bucket, opened: i64) -> std::io::Result<()> {
        (self.opened, self.last_row) = (opened, None);
        self.write(newest)
    }

    /// An orderly end.
    fn write_last_row(&mut self, last_row: i64) -> std::io::Result<()> {
        self.last_row = Some(last_row);
        self.write(self.newest)
    }

    /// Writes ahead of use, and returns when it is on the disk.
    fn write(&mut self, newest: Bucket) -> std::io::Result<()> {
        // Of a fixed length, within one sector: a power cut leaves the old number or the new one.
        let last_row = self.last_row.unwrap_or(-1);
        let line = format!("{:020} {:020} {last_row:020}\n", newest.0, self.opened);
        self.file.write_all_at(line.as_bytes(), 0)?;
        self.file.sync_all()?;
        self.newest = newest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_of_a_version_without_numbers_of_starts_is_taken_over_as_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("journal");
        let open = || SqliteJournal::open(&path, Durability::Power, Bucket(1_000_000)).expect("opens");
        let mut first = open();
        first.journal.commit(&[record(29, 7, 0)], Timestamp::from_unix(0)).expect("kept");
        let older = |connection: &mut SqliteConnection| {
            diesel::sql_query("ALTER TABLE state DROP COLUMN opened").execute(connection)
        };
        first.journal.with(older).expect("as it was");
        drop(first);
        let floor = PathBuf::from(format!("{}-floor", path.display()));
        std::fs::write(&floor, format!("{:020}\n", 29)).expect("as it was");
        let second = open();
        assert!(second.floor < Bucket(29), "nothing is refused: {:?}", second.floor);
        drop(second);
    }

    #[test]
    fn a_journal_that_was_killed_and_lost_its_log_accepts_nothing_that_it_may_have_forgotten() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("journal");
        let open = || SqliteJournal::open(&path, Durability::Power, Bucket(1_000_000)).expect("opens");
        let mut first = open();
        first.journal.commit(&[record(29, 7, 0)], Timestamp::from_unix(0)).expect("kept");
        first.journal.close();
        drop(first);
        let second = open();
        assert!(second.floor < Bucket(29), "after an orderly end there is none");
        // Without the note of an orderly end; SQLite removes the log, as somebody may who clears up after a crash.
        drop(second);
        assert_eq!(open().floor, Bucket(1_000_000));
    }

    fn record(bucket: i64, bits: u64, client: u16) -> Record {
        Record { bucket: Bucket(bucket), fingerprint: Fingerprint::from_bits(bits), client: ClientSlot(client) }
    }

    #[test]
    fn packed_records_come_back_as_they_were() {
        let batch = [record(29_000_000, u64::MAX, 7), record(29_000_011, 1, u16::MAX)];
        let rows = pack(&batch);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].records.len(), 24);
        assert_eq!(rows[0].max_bucket, Bucket(29_000_011));
        let back: Vec<_> = unpack(rows[0].first_bucket, &rows[0].records).collect();
        assert_eq!(back, batch);
    }

    #[test]
    fn a_batch_across_a_far_jump_of_the_clock_takes_more_rows() {
        let batch = [record(65_535, 1, 0), record(65_536, 2, 0), record(-1, 3, 0)];
        let rows = pack(&batch);
        assert_eq!(rows.len(), 3);
        let mut back: Vec<_> =
            rows.iter().flat_map(|row| unpack(row.first_bucket, &row.records).collect::<Vec<_>>()).collect();
        back.sort_by_key(|record| record.fingerprint);
        assert_eq!(back, batch);
    }
}
