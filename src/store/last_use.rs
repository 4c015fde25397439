//! When a token, key or client was last used: noted in memory on the hot path, written in batches beside it.
//!
//! For people to look at; nothing is decided by it. A crash loses at most the notes since the last batch.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

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
    pub(super) async fn write(&self, database: &Database) -> Result<usize, StoreError> {
        let notes = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let count = notes.len();
        let mut notes: Vec<(Used, i64)> = notes.into_iter().collect();
        // In one order on every node, so that two that write at once can't wait for each other.
        notes.sort_by(|(left, _), (right, _)| rank(left).cmp(&rank(right)));
        while !notes.is_empty() {
            // Small transactions: somebody else may wait to write.
            let rest = notes.split_off(notes.len().min(500));
            let batch = std::mem::replace(&mut notes, rest);
            database
                .write(move |transaction| {
                    for (used, at) in batch {
                        write(transaction.connection, &used, at)?;
                    }
                    Ok::<(), StoreError>(())
                })
                .await?;
        }
        Ok(count)
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
