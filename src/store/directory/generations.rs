//! How an entry is known to be true: each remembers the generation that its key had before its row was read, and a change
//! raises the generation. One atomic load tells whether the two are still equal.
//!
//! Keys that hash alike share a generation, which costs a needless reload now and then.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::Timestamp;

/// How many generations there are: a power of two. 64 KiB.
const GENERATIONS: usize = 8192;

/// When an entry was read, and what generation its key had before.
#[derive(Clone, Copy)]
pub(super) struct Freshness {
    pub(super) slot: usize,
    pub(super) generation: u64,
    pub(super) loaded_at: i64,
    pub(super) expires_at: i64,
}

/// What is looked up, so that equal texts of different kinds have generations of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Account,
    Username,
    Client,
    Token,
    ApiKey,
    PrivateKey,
    Session,
    /// A user name of Digest: who has no hash there may be known by name all the same.
    Digest,
}

/// One counter for all keys that hash to it.
pub(super) struct Generations {
    counters: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Generations {
    pub(super) fn new() -> Self {
        Self { counters: (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect(), hasher: RandomState::new() }
    }

    /// The key among all kinds, as a number that nobody outside can foresee.
    pub(super) fn fingerprint<K: Hash + ?Sized>(&self, kind: Kind, key: &K) -> u64 {
        self.hasher.hash_one((kind, key))
    }

    pub(super) fn slot(&self, fingerprint: u64) -> usize {
        usize::try_from(fingerprint % (GENERATIONS as u64)).unwrap_or(0)
    }

    pub(super) fn of(&self, slot: usize) -> u64 {
        self.counters.get(slot).map_or(0, |counter| counter.load(Ordering::Acquire))
    }

    pub(super) fn raise<K: Hash + ?Sized>(&self, kind: Kind, key: &K) {
        if let Some(counter) = self.counters.get(self.slot(self.fingerprint(kind, key))) {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn raise_all(&self) {
        for counter in &self.counters {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn hold(&self, freshness: &Freshness, now: Timestamp) -> bool {
        // A clock that was set back would otherwise keep an entry alive for as long.
        freshness.loaded_at <= now.unix()
            && now.unix() < freshness.expires_at
            && self.of(freshness.slot) == freshness.generation
    }
}
