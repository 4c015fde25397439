//! What the replay store remembers of a nonce: 64 bits, and the minute it belongs to (RFC 5849 §3.3).
//!
//! A nonce is unique per client, token and timestamp. All four go through SipHash-2-4 under a secret 128-bit key, each with
//! its length in front, so that no two claims share an input and no client can aim at another's fingerprint. Two different
//! claims collide with odds of about (live nonces) / 2^64, and a collision refuses a good request; a replay never passes.
//!
//! It deliberately does not keep the nonce itself: nobody needs to read it back.

use std::hash::Hasher;
use std::num::NonZeroU64;

use siphasher::sip::SipHasher24;

use crate::time::Timestamp;

/// Length of a [`Bucket`] in seconds of `oauth_timestamp`.
pub const BUCKET_SECONDS: i64 = 60;

/// A minute of `oauth_timestamp`: what the memory and every store are divided and expired by. Counted from 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Bucket(pub i64);

impl Bucket {
    /// The bucket that `timestamp` falls into.
    #[must_use]
    pub fn of(timestamp: Timestamp) -> Self {
        Self(timestamp.unix().div_euclid(BUCKET_SECONDS))
    }

    /// The bucket after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The first second of the bucket.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_unix(self.0.saturating_mul(BUCKET_SECONDS))
    }
}

/// The 64 bits by which a nonce is known. Never zero, so that zero can mark an empty place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint(pub NonZeroU64);

impl Fingerprint {
    /// Zero becomes one: half as good a fingerprint for one claim in 2^64.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    /// The 64 bits, never zero.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0.get()
    }
}

/// Where a client is counted (see `window.rs`): 16 keyed bits of its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientSlot(pub u16);

/// One nonce as every store sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// The minute of its `oauth_timestamp`.
    pub bucket: Bucket,
    /// The nonce with everything that makes it unique.
    pub fingerprint: Fingerprint,
    /// Whose share of the memory it takes.
    pub client: ClientSlot,
}

/// The secret key of the fingerprints. It lives with the data: with another key everything remembered would be forgotten.
#[derive(Clone)]
pub struct FingerprintKey {
    bytes: [u8; 16],
    hasher: SipHasher24,
}

impl FingerprintKey {
    /// `bytes`: 128 random bits.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self { hasher: SipHasher24::new_with_key(&bytes), bytes }
    }

    /// A fresh key from the generator of the operating system.
    #[must_use]
    pub fn random() -> Self {
        Self::from_bytes(rand::random())
    }

    /// The 128 bits, to be kept with the data.
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        self.bytes
    }

    /// The record of a claim. `token` is empty when the request is two-legged.
    #[must_use]
    pub fn record(&self, client_key: &str, token: &str, timestamp: Timestamp, nonce: &[u8]) -> Record {
        let mut hasher = self.hasher;
        write_with_length(&mut hasher, client_key.as_bytes());
        let [_, _, _, _, _, _, high, low] = hasher.finish().to_be_bytes();
        write_with_length(&mut hasher, token.as_bytes());
        hasher.write(&timestamp.unix().to_le_bytes());
        write_with_length(&mut hasher, nonce);
        Record {
            bucket: Bucket::of(timestamp),
            fingerprint: Fingerprint::from_bits(hasher.finish()),
            client: ClientSlot(u16::from_be_bytes([high, low])),
        }
    }
}

fn write_with_length(hasher: &mut SipHasher24, bytes: &[u8]) {
    hasher.write(&bytes.len().to_le_bytes());
    hasher.write(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(client: &str, token: &str, timestamp: i64, nonce: &[u8]) -> Record {
        FingerprintKey::from_bytes([7; 16]).record(client, token, Timestamp::from_unix(timestamp), nonce)
    }

    #[test]
    fn each_part_of_the_claim_changes_the_fingerprint() {
        let base = record("client", "token", 600, b"nonce").fingerprint;
        assert_eq!(base, record("client", "token", 600, b"nonce").fingerprint);
        assert_ne!(base, record("client2", "token", 600, b"nonce").fingerprint);
        assert_ne!(base, record("client", "", 600, b"nonce").fingerprint);
        assert_ne!(base, record("client", "token", 601, b"nonce").fingerprint);
        assert_ne!(base, record("client", "token", 600, b"nonce2").fingerprint);
    }

    #[test]
    fn letters_cannot_move_from_one_part_to_the_next() {
        let left = record("ab", "c", 600, b"n").fingerprint;
        let right = record("a", "bc", 600, b"n").fingerprint;
        assert_ne!(left, right);
    }

    #[test]
    fn another_key_gives_another_fingerprint() {
        let timestamp = Timestamp::from_unix(600);
        let other = FingerprintKey::from_bytes([8; 16]).record("c", "t", timestamp, b"n");
        assert_ne!(other.fingerprint, record("c", "t", 600, b"n").fingerprint);
    }

    #[test]
    fn a_client_keeps_its_slot_whatever_it_signs() {
        assert_eq!(record("c", "t", 600, b"n").client, record("c", "u", 700, b"m").client);
    }

    #[test]
    fn a_bucket_is_a_minute_also_before_1970() {
        assert_eq!(Bucket::of(Timestamp::from_unix(59)), Bucket(0));
        assert_eq!(Bucket::of(Timestamp::from_unix(60)), Bucket(1));
        assert_eq!(Bucket::of(Timestamp::from_unix(-1)), Bucket(-1));
        assert_eq!(Bucket(2).start(), Timestamp::from_unix(120));
    }
}
