//! When a token, key or client was last used: noted in memory on the hot path, written in batches beside it.
//!
//! For people to look at; nothing is decided by it. A crash loses at most the notes since the last batch; a database
//! that fails loses none, they wait for the next one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use diesel::prelude::*;

use crate::domain::credentials::{ClientKey, PublicKey, TokenId};
use crate::time::Timestamp;

use super::connection::Database;
use super::error::StoreError;
use super::schema::{api_keys, clients, token_credentials};

/// How exact the notes are, in seconds: the hot path takes the lock once in this time for each thing.
const GRAIN: i64 = 60;

/// The most notes that wait; further things go unnoted until the next batch was written.
const MOST: usize = 100_000;

/// Notes in one transaction: somebody else may wait to write.
const BATCH: usize = 500;

/// What was used.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Used {
    Token(TokenId),
    ApiKey(PublicKey),
    Client(ClientKey),
}

/// Stands beside a cached thing and tells whether its use is worth noting again.
#[derive(Default)]
pub struct LastNoted(AtomicI64);

impl LastNoted {
    /// True once a minute.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let (last, now) = (self.0.load(Ordering::Relaxed), now.unix());
        now.saturating_sub(last) >= GRAIN
            && self.0.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Notes that wait to be written.
#[derive(Default)]
pub struct LastUses {
    waiting: Mutex<HashMap<Used, i64>>,
    /// Held while they are written, so that who writes before the end waits for what is under way.
    writing: tokio::sync::Mutex<()>,
}

impl LastUses {
    /// Notes a use.
    pub(super) fn note(&self, used: Used, now: Timestamp) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST || waiting.contains_key(&used) {
            waiting.insert(used, now.unix());
        }
    }

    /// Writes what waits; tells how many. To be called every few seconds, and once before the end.
    ///
    /// What the database did not take waits again.
    pub(super) async fn write(&self, database: &Database) -> Result<usize, StoreError> {
        let _turn = self.writing.lock().await;
        let notes = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut notes: Vec<(Used, i64)> = notes.into_iter().collect();
        // In one order on every node, so that two that write at once can't wait for each other.
        notes.sort_by(|(left, _), (right, _)| rank(left).cmp(&rank(right)));
        for (written, batch) in notes.chunks(BATCH).map(Arc::<[_]>::from).enumerate() {
            let outcome = database
                .write(move |transaction| {
                    for (used, at) in batch.iter() {
                        write(transaction.connection, used, *at)?;
                    }
                    Ok::<(), StoreError>(())
                })
                .await;
            if let Err(error) = outcome {
                self.wait_again(&notes[written * BATCH..]);
                return Err(error);
            }
        }
        Ok(notes.len())
    }

    fn wait_again(&self, notes: &[(Used, i64)]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (used, at) in notes {
            if waiting.len() >= MOST {
                return;
            }
            // What was noted meanwhile is later.
            waiting.entry(used.clone()).or_insert(*at);
        }
    }
}

fn rank(used: &Used) -> (u8, &str) {
    match used {
        Used::Token(id) => (0, id.as_str()),
        Used::ApiKey(key) => (1, key.as_str()),
        Used::Client(key) => (2, key.as_str()),
    }
}

fn write(connection: &mut super::connection::AnyConnection, used: &Used, at: i64) -> Result<(), StoreError> {
    // Another node may have noted a later use.
    match used {
        Used::Token(id) => {
            use token_credentials::dsl;
            let is_later = dsl::last_used_at.is_null().or(dsl::last_used_at.lt(at).assume_not_null());
            diesel::update(dsl::token_credentials.find(id.as_str()))
                .filter(is_later)
                .set(dsl::last_used_at.eq(at))
                .execute(connection)?;
        }
        Used::ApiKey(key) => {
            use api_keys::dsl;
            let is_later = dsl::last_used_at.is_null().or(dsl::last_used_at.lt(at).assume_not_null());
            diesel::update(dsl::api_keys.find(key.as_str()))
                .filter(is_later)
                .set(dsl::last_used_at.eq(at))
                .execute(connection)?;
        }
        Used::Client(key) => {
            use clients::dsl;
            let is_later = dsl::last_used_at.is_null().or(dsl::last_used_at.lt(at).assume_not_null());
            diesel::update(dsl::clients.find(key.as_str()))
                .filter(is_later)
                .set(dsl::last_used_at.eq(at))
                .execute(connection)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::connection::DatabaseOptions;
    use super::*;
    use crate::config::DatabaseUrl;
    use futures_util::future::join;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(future)
    }

    /// Notes of `count` tokens, and a database without tables.
    fn noted(count: i64) -> (LastUses, Database) {
        let uses = LastUses::default();
        for number in 0..count {
            uses.note(
                Used::Token(TokenId::parse(format!("t{number}")).expect("a test id")),
                Timestamp::from_unix(number),
            );
        }
        (uses, Database::open(DatabaseUrl::Memory, DatabaseOptions::default()).expect("a database"))
    }

    #[test]
    fn what_the_database_did_not_take_is_written_the_next_time() {
        let (uses, database) = noted(1200);
        block_on(uses.write(&database)).expect_err("there is no table");
        block_on(database.migrate()).expect("the migrations apply");
        assert_eq!(block_on(uses.write(&database)).expect("written"), 1200);
        assert_eq!(block_on(uses.write(&database)).expect("nothing to do"), 0);
    }

    #[test]
    fn who_writes_waits_for_what_is_under_way() {
        let (uses, database) = noted(1200);
        block_on(async {
            // Without tables both fail: the second one too has something to write only if it waited for the first.
            let (first, second) = join(uses.write(&database), uses.write(&database)).await;
            assert!(first.is_err() && second.is_err(), "{first:?} {second:?}");
        });
    }
}
