//! The nonces that could still come back, in memory: the decision of every claim (RFC 5849 §3.3).
//!
//! Sets of fingerprints by minute of `oauth_timestamp`, spread over 256 locks that are held for a few dozen nanoseconds each.
//! A minute that has left the timestamp window is dropped whole. Nothing else is ever dropped: at the capacity a claim is
//! refused, because forgetting a nonce early would let its replay pass.
//!
//! One client cannot fill the memory: it may hold as many nonces as there are places left. So a lone client gets half of
//! everything, two greedy ones a third each, and a newcomer always finds room.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fingerprint::{Bucket, ClientSlot, Record};
use super::set::FingerprintSet;

/// Locks that the fingerprints are spread over.
const SHARDS: usize = 256;

/// Why the memory refuses a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It is remembered.
    Used,
    /// Its minute is below the floor: what was used then is no longer known.
    BelowFloor,
    /// Its client holds as many nonces as there are places left.
    ShareTaken,
    /// As many nonces as configured are remembered.
    Full,
}

/// The memory of one node.
pub struct Window {
    shards: Box<[Mutex<Shard>]>,
    shares: Shares,
    /// Records below this bucket are refused.
    floor: AtomicI64,
    live: AtomicU64,
    capacity: u64,
}

/// The live minutes of one shard: about a dozen, so a search from the newest end beats a map.
#[derive(Default)]
struct Shard {
    buckets: Vec<(Bucket, FingerprintSet)>,
}

impl Window {
    /// `capacity`: nonces that may be remembered at once; `buckets`: minutes that can be live at once.
    #[must_use]
    pub fn new(capacity: u64, buckets: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shares: Shares::new(buckets),
            floor: AtomicI64::new(i64::MIN),
            live: AtomicU64::new(0),
            capacity,
        }
    }

    /// Remembers the record, or says why not. Atomic: of many equal claims exactly one is admitted.
    pub fn admit(&self, record: Record) -> Result<(), Refusal> {
        let mut shard = self.shard(record);
        // Under the lock, so that `raise_floor` followed by `drop_before` leaves no gap between the two.
        if record.bucket < self.floor() {
            return Err(Refusal::BelowFloor);
        }
        let set = shard.set(record.bucket);
        if set.contains(record.fingerprint) {
            return Err(Refusal::Used);
        }
        let live = self.live.load(Ordering::Relaxed);
        let free = self.capacity.saturating_sub(live);
        if free == 0 {
            return Err(Refusal::Full);
        }
        if self.shares.held_by(record.client) >= free {
            return Err(Refusal::ShareTaken);
        }
        set.insert(record.fingerprint);
        drop(shard);
        self.live.fetch_add(1, Ordering::Relaxed);
        self.shares.add(record);
        Ok(())
    }

    /// Takes in what a store held already.
    #[must_use]
    pub fn refill(&self) -> Refill<'_> {
        Refill { window: self, bins: (0..SHARDS).map(|_| Vec::new()).collect(), held: 0 }
    }

    /// From now on records below `floor` are refused. A floor never sinks.
    pub fn raise_floor(&self, floor: Bucket) {
        self.floor.fetch_max(floor.0, Ordering::SeqCst);
    }

    /// The lowest bucket that is not refused.
    #[must_use]
    pub fn floor(&self) -> Bucket {
        Bucket(self.floor.load(Ordering::SeqCst))
    }

    /// Drops the minutes before `first_kept`. The memory is given back outside the locks, on the calling thread.
    pub fn drop_before(&self, first_kept: Bucket) {
        for shard in &self.shards {
            let expired: Vec<_> = {
                let mut shard = lock(shard);
                shard.buckets.extract_if(.., |(bucket, _)| *bucket < first_kept).collect()
            };
            for (bucket, set) in expired {
                let count = u64::try_from(set.len()).unwrap_or(u64::MAX);
                self.live.fetch_sub(count, Ordering::Relaxed);
                self.shares.forget(bucket);
            }
        }
    }

    /// Nonces remembered now.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// Bytes that the remembered nonces take.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                let shard = lock(shard);
                shard.buckets.iter().map(|(_, set)| set.heap_bytes()).sum::<usize>()
            })
            .sum()
    }

    #[expect(clippy::indexing_slicing, reason = "there are as many as a byte has values")]
    fn shard(&self, record: Record) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard_of(record)])
    }
}

/// The low byte chooses the shard; the set below uses the high bits.
fn shard_of(record: Record) -> usize {
    let [low, ..] = record.fingerprint.bits().to_le_bytes();
    usize::from(low)
}

/// Fills a window, many records of a shard at a time, so that the processor finds their sets in its caches.
pub struct Refill<'a> {
    window: &'a Window,
    bins: Box<[Vec<Record>]>,
    held: usize,
}

/// Records that a refill holds before it moves them to their shards: 24 MiB.
const HELD: usize = 1 << 20;

impl Refill<'_> {
    /// Remembers the record. Beyond the capacity too: it was accepted once.
    pub fn push(&mut self, record: Record) {
        #[expect(clippy::indexing_slicing, reason = "there is a bin for each shard")]
        self.bins[shard_of(record)].push(record);
        self.held += 1;
        if self.held >= HELD {
            self.flush();
        }
    }

    /// Moves the rest.
    pub fn finish(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        for (shard, bin) in self.window.shards.iter().zip(&mut self.bins) {
            {
                let mut shard = lock(shard);
                bin.retain(|record| shard.set(record.bucket).insert(record.fingerprint));
            }
            let count = u64::try_from(bin.len()).unwrap_or(u64::MAX);
            self.window.live.fetch_add(count, Ordering::Relaxed);
            // Apart from the sets: an atomic addition would wait for each of them to arrive from memory.
            for record in bin.drain(..) {
                self.window.shares.add(record);
            }
        }
        self.held = 0;
    }
}

impl Shard {
    fn set(&mut self, bucket: Bucket) -> &mut FingerprintSet {
        let found = self.buckets.iter().rposition(|(live, _)| *live == bucket);
        let position = found.unwrap_or_else(|| {
            self.buckets.push((bucket, FingerprintSet::default()));
            self.buckets.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut self.buckets[position].1
    }
}

/// A panic while a lock was held cannot leave a set half changed, so a poisoned lock is taken all the same.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many nonces each client holds, near enough: two rows of 256 counters, and the client's count is the smaller of its two.
///
/// It may count too much (by the odds of both counters being shared with a greedy client, 1 in 65,536), never too little while
/// the clock runs forward. In return it needs two additions per claim, 2 KiB a minute, and no memory per client.
struct Shares {
    totals: Counters,
    /// What each live minute added to the totals, to be taken back when it is forgotten.
    by_bucket: Box<[Counters]>,
}

/// The first row, then the second.
struct Counters(Box<[AtomicU32]>);

impl Counters {
    fn new() -> Self {
        Self((0..2 * 256).map(|_| AtomicU32::new(0)).collect())
    }

    #[expect(clippy::indexing_slicing, reason = "a byte is below the length of a row")]
    fn pair(&self, client: ClientSlot) -> [&AtomicU32; 2] {
        let [first, second] = client.0.to_be_bytes();
        [&self.0[usize::from(first)], &self.0[256 + usize::from(second)]]
    }
}

impl Shares {
    fn new(buckets: usize) -> Self {
        Self { totals: Counters::new(), by_bucket: (0..buckets.max(1)).map(|_| Counters::new()).collect() }
    }

    fn held_by(&self, client: ClientSlot) -> u64 {
        let [first, second] = self.totals.pair(client);
        u64::from(first.load(Ordering::Relaxed).min(second.load(Ordering::Relaxed)))
    }

    fn add(&self, record: Record) {
        for counters in [&self.totals, self.bucket(record.bucket)] {
            for counter in counters.pair(record.client) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes back what the minute added. A second call finds nothing left.
    fn forget(&self, bucket: Bucket) {
        for (total, added) in self.totals.0.iter().zip(&self.bucket(bucket).0) {
            // Read first: most counters are zero, and the 256 shards each report the same minute.
            if added.load(Ordering::Relaxed) != 0 {
                total.fetch_sub(added.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    /// Minutes share a place when the clock has jumped; then each is counted until the other is forgotten.
    fn bucket(&self, bucket: Bucket) -> &Counters {
        let places = i64::try_from(self.by_bucket.len()).unwrap_or(i64::MAX);
        let place = usize::try_from(bucket.0.rem_euclid(places)).unwrap_or(0);
        #[expect(clippy::indexing_slicing, reason = "a remainder is below the length")]
        &self.by_bucket[place]
    }
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::Fingerprint;
    use super::*;

    fn record(bucket: i64, n: u64, client: u16) -> Record {
        Record {
            bucket: Bucket(bucket),
            fingerprint: Fingerprint::from_bits(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            client: ClientSlot(client),
        }
    }

    #[test]
    fn a_record_is_admitted_once() {
        let window = Window::new(100, 12);
        assert_eq!(window.admit(record(5, 1, 0)), Ok(()));
        assert_eq!(window.admit(record(5, 1, 0)), Err(Refusal::Used));
        assert_eq!(window.live(), 1);
    }

    #[test]
    fn of_many_threads_with_the_same_record_one_wins() {
        let window = Window::new(100_000, 12);
        let won: usize = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (1..2_000).filter(|n| window.admit(record(5, *n, 0)).is_ok()).count()))
                .collect();
            racers.into_iter().map(|racer| racer.join().expect("no panic")).sum()
        });
        assert_eq!(won, 1_999);
    }

    #[test]
    fn a_dropped_minute_is_refused_below_the_floor() {
        let window = Window::new(100, 12);
        window.admit(record(5, 1, 0)).expect("new");
        window.admit(record(6, 2, 0)).expect("new");
        window.raise_floor(Bucket(6));
        window.drop_before(Bucket(6));
        assert_eq!(window.admit(record(5, 1, 0)), Err(Refusal::BelowFloor));
        assert_eq!(window.admit(record(6, 2, 0)), Err(Refusal::Used));
        assert_eq!(window.live(), 1);
    }

    #[test]
    fn a_floor_never_sinks() {
        let window = Window::new(100, 12);
        window.raise_floor(Bucket(6));
        window.raise_floor(Bucket(3));
        assert_eq!(window.floor(), Bucket(6));
    }

    #[test]
    fn nothing_is_evicted_at_the_capacity() {
        let window = Window::new(8, 12);
        for n in 0..8 {
            // Each by a client of its own, so that no share is exhausted.
            let client = u16::try_from(n).expect("small") * 0x0101;
            assert_eq!(window.admit(record(5, n + 1, client)), Ok(()));
        }
        assert_eq!(window.admit(record(5, 99, 0x3333)), Err(Refusal::Full));
        assert_eq!(window.admit(record(5, 1, 0)), Err(Refusal::Used));
    }

    #[test]
    fn a_greedy_client_leaves_room_for_others_until_its_minutes_are_forgotten() {
        let window = Window::new(1_000, 12);
        let greedy = (1..=1_000).filter(|n| window.admit(record(5, *n, 0x0101)).is_ok()).count();
        assert_eq!(greedy, 500);
        assert_eq!(window.admit(record(5, 5_000, 0x0101)), Err(Refusal::ShareTaken));
        let modest = (2_000..2_100).filter(|n| window.admit(record(6, *n, 0x0202)).is_ok()).count();
        assert_eq!(modest, 100);
        window.raise_floor(Bucket(6));
        window.drop_before(Bucket(6));
        assert_eq!(window.live(), 100);
        assert_eq!(window.admit(record(6, 5_000, 0x0101)), Ok(()));
    }

    #[test]
    fn what_a_store_held_is_restored_beyond_the_capacity() {
        let window = Window::new(1, 12);
        let mut refill = window.refill();
        for bits in [1, 2, 2] {
            refill.push(record(5, bits, 0));
        }
        refill.finish();
        assert_eq!(window.live(), 2);
        assert_eq!(window.admit(record(5, 2, 0)), Err(Refusal::Used));
        assert_eq!(window.admit(record(5, 3, 1)), Err(Refusal::Full));
    }
}
