//! The failure budget per account *and* address: guessing from one place never locks the owner out elsewhere.
//!
//! Memory is bounded: when the table is full, what is over and then the older half of those that may still try makes room. IPv6 addresses count
//! by their /64, the smallest block that a provider gives to one customer (RFC 6177). Signed requests are not throttled:
//! an HMAC can't be guessed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};

use crate::auth::verdict::{Refusal, Rejection};
use crate::time::{Lifetime, Timestamp};

/// Entries that are kept at most: about 4 MB.
const CAPACITY: usize = 100_000;

/// How many pairs may be written down in an hour as held up, those with a name that somebody has and the others: who
/// has many addresses and thinks up names can't fill the log, nor hide in it who guesses at a real account.
const WRITTEN_DOWN: [u32; 2] = [100, 20];
const HOUR: Lifetime = Lifetime::from_seconds(3600);

/// How many single failures at the login page may be written down in an hour, by the same two kinds.
const FAILURES_NOTED: [u32; 2] = [10_000, 500];

/// Counts failures; see the file's head.
pub struct Throttle {
    failures: u32,
    window: Lifetime,
    key: (u64, u64),
    table: Mutex<HashMap<u64, Failures>>,
    /// How many entries the table has: while nobody guesses, no request waits for the lock.
    entries: AtomicUsize,
    /// Since when how many were written down, by whether the name is somebody's.
    written_down: Mutex<(Timestamp, [u32; 2])>,
    /// The same of single failures at the login page.
    failures_noted: Mutex<(Timestamp, [u32; 2])>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    since: Timestamp,
}

impl Throttle {
    /// `failures` within `window` are forgiven; 1 or more.
    pub fn new(failures: u32, window: Lifetime, key: (u64, u64)) -> Self {
        Self {
            failures,
            window,
            key,
            table: Mutex::new(HashMap::new()),
            entries: AtomicUsize::new(0),
            written_down: Mutex::new((Timestamp::from_unix(0), [0; 2])),
            failures_noted: Mutex::new((Timestamp::from_unix(0), [0; 2])),
        }
    }

    /// Whether this account may try from this address now.
    ///
    /// # Errors
    /// [`Refusal::Throttled`], with the time until the window has passed.
    pub fn check(&self, username: &str, address: IpAddr, now: Timestamp) -> Result<(), Rejection> {
        if self.is_empty() {
            return Ok(());
        }
        let Some(failures) = self.lock().get(&self.entry(username, address)).copied() else { return Ok(()) };
        let ends = failures.since + self.window;
        if failures.count < self.failures || ends <= now {
            return Ok(());
        }
        let seconds = u32::try_from(ends.unix() - now.unix()).unwrap_or(1).max(1);
        Err(Refusal::Throttled { retry_after: Lifetime::from_seconds(seconds) }.into())
    }

    /// Counts one failure. `true` for the one in a window that spends the budget: the pair is held up from now on.
    pub fn failed(&self, username: &str, address: IpAddr, now: Timestamp) -> bool {
        let entry = self.entry(username, address);
        let mut table = self.lock();
        if table.len() >= CAPACITY && !table.contains_key(&entry) {
            self.make_room(&mut table, now);
        }
        let failures = table.entry(entry).or_insert(Failures { count: 0, since: now });
        if failures.since + self.window <= now {
            *failures = Failures { count: 0, since: now };
        }
        failures.count = failures.count.saturating_add(1);
        let spent = failures.count == self.failures;
        self.entries.store(table.len(), Ordering::Relaxed);
        spent
    }

    /// Whether one more pair that is held up may be written down now; it is counted then. `known`: its name is
    /// somebody's.
    pub fn may_be_written_down(&self, known: bool, now: Timestamp) -> bool {
        one_more(&self.written_down, WRITTEN_DOWN, known, now)
    }

    /// The same of a single failure at the login page.
    pub fn may_note_failure(&self, known: bool, now: Timestamp) -> bool {
        one_more(&self.failures_noted, FAILURES_NOTED, known, now)
    }

    /// Forgets the failures of an account from an address: it has proved itself.
    pub fn succeeded(&self, username: &str, address: IpAddr) {
        if self.is_empty() {
            return;
        }
        let mut table = self.lock();
        table.remove(&self.entry(username, address));
        self.entries.store(table.len(), Ordering::Relaxed);
    }

    fn is_empty(&self) -> bool {
        self.entries.load(Ordering::Relaxed) == 0
    }

    /// How many pairs are over their budget.
    pub fn throttled(&self, now: Timestamp) -> usize {
        self.lock()
            .values()
            .filter(|failures| failures.count >= self.failures && failures.since + self.window > now)
            .count()
    }

    fn make_room(&self, table: &mut HashMap<u64, Failures>, now: Timestamp) {
        table.retain(|_, failures| failures.since + self.window > now);
        if table.len() >= CAPACITY {
            // Half of the table goes, the older half; first those that may still try, so that nobody gets new tries by
            // thinking up names.
            let age = |failures: &Failures| (failures.count >= self.failures, failures.since);
            let mut ages: Vec<_> = table.values().map(age).collect();
            let middle = ages.len() / 2;
            let median = *ages.select_nth_unstable(middle).1;
            let mut surplus = CAPACITY / 2;
            table.retain(|_, failures| {
                let goes = surplus > 0 && age(failures) <= median;
                surplus -= usize::from(goes);
                !goes
            });
        }
    }

    fn entry(&self, username: &str, address: IpAddr) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        username.hash(&mut hasher);
        block(address).hash(&mut hasher);
        hasher.finish()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Failures>> {
        // Counting can't be left half done: a poisoned table is still a table.
        self.table.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Counts one more in this hour, and says whether it is within the bounds.
fn one_more(counted: &Mutex<(Timestamp, [u32; 2])>, bounds: [u32; 2], known: bool, now: Timestamp) -> bool {
    let mut counted = counted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if counted.0 + HOUR <= now {
        *counted = (now, [0; 2]);
    }
    let kind = usize::from(!known);
    counted.1[kind] = counted.1[kind].saturating_add(1);
    counted.1[kind] <= bounds[kind]
}

/// The address as it counts: IPv6 by its /64.
pub(crate) fn block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1000);

    fn throttle() -> Throttle {
        Throttle::new(3, Lifetime::from_seconds(60), (1, 2))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn after_the_budget_is_spent_the_pair_has_to_wait_for_the_rest_of_the_window() {
        let throttle = throttle();
        for _ in 0..3 {
            assert!(throttle.check("jo", address("192.0.2.1"), NOW).is_ok());
            throttle.failed("jo", address("192.0.2.1"), NOW);
        }
        let later = NOW + Lifetime::from_seconds(20);
        let refused = throttle.check("jo", address("192.0.2.1"), later).unwrap_err();
        assert_eq!(refused.public, Refusal::Throttled { retry_after: Lifetime::from_seconds(40) });
        assert!(throttle.check("jo", address("192.0.2.1"), NOW + Lifetime::from_seconds(60)).is_ok());
    }

    #[test]
    fn the_failure_that_spends_the_budget_is_told_once_a_window() {
        let throttle = throttle();
        let told = |at| (0..5).map(|_| throttle.failed("jo", address("192.0.2.1"), at)).collect::<Vec<_>>();
        assert_eq!(told(NOW), [false, false, true, false, false]);
        assert_eq!(told(NOW + Lifetime::from_seconds(60)), [false, false, true, false, false]);
    }

    #[test]
    fn single_failures_have_bounds_of_their_own_in_an_hour() {
        let throttle = throttle();
        let noted = |now| (0..600).filter(|_| throttle.may_note_failure(false, now)).count();
        assert_eq!((noted(NOW), noted(NOW), noted(NOW + HOUR)), (500, 0, 500));
        assert!(throttle.may_note_failure(true, NOW + HOUR) && throttle.may_be_written_down(false, NOW));
    }

    #[test]
    fn so_many_are_written_down_an_hour_and_unknown_names_take_no_place_from_known_ones() {
        let throttle = throttle();
        let now = NOW + HOUR;
        let written = |known, at| (0..200).filter(|_| throttle.may_be_written_down(known, at)).count();
        assert_eq!((written(false, now), written(true, now)), (20, 100));
        assert_eq!(written(true, now + Lifetime::from_seconds(3599)), 0);
        assert_eq!(written(true, now + HOUR), 100);
    }

    #[test]
    fn another_address_and_another_account_are_not_touched() {
        let throttle = throttle();
        for _ in 0..3 {
            throttle.failed("jo", address("192.0.2.1"), NOW);
        }
        assert!(throttle.check("jo", address("192.0.2.2"), NOW).is_ok());
        assert!(throttle.check("al", address("192.0.2.1"), NOW).is_ok());
    }

    #[test]
    fn ipv6_counts_by_its_64_bit_block() {
        let throttle = throttle();
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
            throttle.failed("jo", address(host), NOW);
        }
        assert!(throttle.check("jo", address("2001:db8::ffff"), NOW).is_err());
        assert!(throttle.check("jo", address("2001:db8:0:1::1"), NOW).is_ok());
    }

    #[test]
    fn a_success_clears_the_pair() {
        let throttle = throttle();
        for _ in 0..3 {
            throttle.failed("jo", address("192.0.2.1"), NOW);
        }
        throttle.succeeded("jo", address("192.0.2.1"));
        assert!(throttle.check("jo", address("192.0.2.1"), NOW).is_ok());
    }

    #[test]
    fn a_flood_of_names_does_not_grow_the_table_beyond_its_bound() {
        let throttle = throttle();
        for name in 0..CAPACITY + 10 {
            throttle.failed(&name.to_string(), address("192.0.2.1"), NOW);
        }
        assert!(throttle.lock().len() <= CAPACITY);
    }

    #[test]
    fn a_flood_of_names_gives_nobody_new_tries() {
        let throttle = throttle();
        for _ in 0..3 {
            throttle.failed("jo", address("192.0.2.1"), NOW);
        }
        for name in 0..CAPACITY * 2 {
            throttle.failed(&name.to_string(), address("192.0.2.1"), NOW + Lifetime::from_seconds(1));
        }
        assert!(throttle.check("jo", address("192.0.2.1"), NOW + Lifetime::from_seconds(2)).is_err());
    }
}
