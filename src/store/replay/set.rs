//! A set of fingerprints in 11 to 16 bytes each.
//!
//! The fingerprints are keyed hashes already, so the set hashes nothing: the high bits are the place, and a taken place means
//! the next one. It grows by half when three quarters are taken, and growing keeps the order, so it reads and writes straight
//! through the memory. It deliberately cannot forget a single member: whole sets expire.

use std::num::NonZeroU64;

use super::fingerprint::Fingerprint;

/// Places of a set when its first member arrives.
const FIRST_PLACES: usize = 8;

/// A set of fingerprints. Nothing is allocated while it is empty.
#[derive(Default)]
pub struct FingerprintSet {
    places: Vec<Option<NonZeroU64>>,
    taken: usize,
}

impl FingerprintSet {
    /// Is it a member?
    #[must_use]
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        let home = home(fingerprint.0, self.places.len());
        let (before, after) = self.places.split_at(home.min(self.places.len()));
        after.iter().chain(before).map_while(|place| *place).any(|member| member == fingerprint.0)
    }

    /// Makes it a member; `false` when it was one already.
    pub fn insert(&mut self, fingerprint: Fingerprint) -> bool {
        if self.taken >= self.places.len() / 4 * 3 {
            self.grow();
        }
        let is_new = put(&mut self.places, fingerprint.0);
        self.taken += usize::from(is_new);
        is_new
    }

    /// How many members it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.places.capacity() * size_of::<Option<NonZeroU64>>()
    }

    fn grow(&mut self) {
        let places = (self.places.len() / 2 * 3).max(FIRST_PLACES);
        let mut larger = vec![None; places];
        for member in self.places.iter().flatten() {
            put(&mut larger, *member);
        }
        self.places = larger;
    }
}

/// The place where a fingerprint is looked for first: its share of 2^64 as a share of `places`.
fn home(fingerprint: NonZeroU64, places: usize) -> usize {
    let places = u128::try_from(places).unwrap_or(0);
    usize::try_from((u128::from(fingerprint.get()) * places) >> 64).unwrap_or(0)
}

/// `false` when it was there.
fn put(places: &mut [Option<NonZeroU64>], fingerprint: NonZeroU64) -> bool {
    let home = home(fingerprint, places.len()).min(places.len());
    let (before, after) = places.split_at_mut(home);
    for place in after.iter_mut().chain(before) {
        match place {
            Some(member) if *member == fingerprint => return false,
            Some(_) => {}
            None => {
                *place = Some(fingerprint);
                return true;
            }
        }
    }
    // Not reached: a quarter of the places is always free.
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator that gives every 64-bit number once.
    fn scattered(n: u64) -> Fingerprint {
        Fingerprint::from_bits(n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31))
    }

    #[test]
    fn every_member_is_found_and_no_other() {
        let mut set = FingerprintSet::default();
        for n in 1..20_000 {
            assert!(!set.contains(scattered(n)));
            assert!(set.insert(scattered(n)));
            assert!(!set.insert(scattered(n)));
        }
        assert!((1..20_000).all(|n| set.contains(scattered(n))));
        assert!((20_000..40_000).all(|n| !set.contains(scattered(n))));
        assert_eq!(set.len(), 19_999);
    }

    #[test]
    fn members_at_the_very_end_wrap_round_to_the_start() {
        let mut set = FingerprintSet::default();
        for n in 0..1_000 {
            assert!(set.insert(Fingerprint::from_bits(u64::MAX - n)));
        }
        assert!((0..1_000).all(|n| set.contains(Fingerprint::from_bits(u64::MAX - n))));
        assert!(!set.contains(Fingerprint::from_bits(5)));
    }

    #[test]
    fn a_member_takes_at_most_twenty_four_bytes() {
        let mut set = FingerprintSet::default();
        for n in 1..100_000_usize {
            set.insert(scattered(u64::try_from(n).expect("fits")));
            assert!(n < 8 || set.heap_bytes() <= 24 * n, "{n} members");
        }
    }
}
