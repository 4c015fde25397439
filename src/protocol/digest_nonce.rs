//! The server's nonces for Digest, and which counts of them were used (RFC 7616 §3.3, §3.4, §5.4).
//!
//! A nonce carries its own proof: time, issuer and random octets under a MAC, so that a stranger can't make one and
//! the server keeps nothing until somebody has used one well. Nothing here hashes passwords or asks for the time.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::time::{Lifetime, Timestamp};

/// Makes and reads nonces. Nodes share the key and differ in the issuer.
#[derive(Clone)]
pub struct NonceMint {
    keyed: Hmac<Sha256>,
    issuer: Issuer,
}

/// Which process made a nonce: random, made anew at each start.
pub type Issuer = [u8; 8];

/// The random octets that tell nonces of one issuer and second apart.
pub type Randomness = [u8; 12];

impl NonceMint {
    /// `key`: 32 secret octets that all nodes share; `issuer`: random, of this process alone.
    pub fn new(key: &[u8; 32], issuer: Issuer) -> Self {
        // HMAC fills a short key up with zeros itself (RFC 2104 §2); a whole block is the form that can't fail.
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self { keyed: Hmac::new((&*block).into()), issuer }
    }

    /// A new nonce: 59 characters that need no quoting or escaping anywhere.
    pub fn issue(&self, now: Timestamp, randomness: Randomness) -> String {
        let mut octets = Vec::with_capacity(SIZE);
        octets.extend(now.unix().to_be_bytes());
        octets.extend(self.issuer);
        octets.extend(randomness);
        let mac = self.mac(&octets);
        octets.extend(mac);
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// Reads a nonce back.
    ///
    /// # Errors
    /// [`NonceRefused::Forged`] for what no holder of the key made, [`NonceRefused::Stale`] for one that is older than
    /// `lifetime`: answer that with a new one and `stale=true`, so that nobody is asked for a password again.
    pub fn read(&self, nonce: &str, now: Timestamp, lifetime: Lifetime) -> Result<ServerNonce, NonceRefused> {
        let octets = URL_SAFE_NO_PAD.decode(nonce).map_err(|_| NonceRefused::Forged)?;
        let (content, mac) = octets.split_last_chunk::<16>().ok_or(NonceRefused::Forged)?;
        if !bool::from(self.mac(content).ct_eq(mac)) {
            return Err(NonceRefused::Forged);
        }
        let (time, content) = content.split_first_chunk().ok_or(NonceRefused::Forged)?;
        let (issuer, content) = content.split_first_chunk::<8>().ok_or(NonceRefused::Forged)?;
        let randomness = Randomness::try_from(content).map_err(|_| NonceRefused::Forged)?;
        let issued = Timestamp::from_unix(i64::from_be_bytes(*time));
        let expires = issued + lifetime;
        if expires < now {
            return Err(NonceRefused::Stale);
        }
        let origin = if *issuer == self.issuer { IssuedBy::Us } else { IssuedBy::AnotherNode };
        Ok(ServerNonce { issued, expires, randomness, origin })
    }

    /// 128 bits of HMAC-SHA-256; the first octets keep this use of the key apart from any other.
    fn mac(&self, content: &[u8]) -> [u8; 16] {
        let mac = self.keyed.clone().chain_update(b"digest nonce\0").chain_update(content).finalize().into_bytes();
        let mut truncated = [0; 16];
        truncated.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        truncated
    }
}

const SIZE: usize = 8 + 8 + 12 + 16;

/// Why a nonce is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NonceRefused {
    /// Nobody with the key made it.
    #[error("the nonce is not one of this server's")]
    Forged,
    /// It was good once (RFC 7616 §3.3, `stale`).
    #[error("the nonce is too old")]
    Stale,
}

/// A nonce that a holder of the key made, and that is young enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerNonce {
    /// When it was made.
    pub issued: Timestamp,
    /// The last second in which it is taken.
    pub expires: Timestamp,
    /// Tells nonces of one second apart.
    pub randomness: Randomness,
    /// Whether this process can know which counts were used.
    pub origin: IssuedBy,
}

/// Where a nonce was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuedBy {
    /// By this process: [`CountWindows`] knows every count that was used.
    Us,
    /// On another node, or before a restart: this process can't know the counts. Either a store that all share
    /// remembers them, or the answer is `stale=true` with a nonce of our own.
    AnotherNode,
}

/// Why a count (`nc`) is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CountRefused {
    /// The count was used before: a replay (RFC 7616 §5.5).
    #[error("this count was used before")]
    Repeated,
    /// So far behind the highest one, or so long ago, that it isn't known any more: say `stale=true`.
    #[error("this count is no longer remembered")]
    Forgotten,
}

/// Which counts of one nonce were used: the highest one and the 127 below it. Parallel requests arrive out of order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountWindow {
    highest: u32,
    /// Bit *n* stands for the count `highest - n`.
    used: u128,
}

impl CountWindow {
    /// Uses a count up. Zero is no count (RFC 7616 §3.4: the first one is 1) and taken for a repeated one.
    ///
    /// # Errors
    /// [`CountRefused`].
    pub fn take(&mut self, count: u32) -> Result<(), CountRefused> {
        if count == 0 {
            return Err(CountRefused::Repeated);
        }
        if let Some(ahead) = count.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.highest = count;
            self.used = self.used.checked_shl(ahead).unwrap_or(0) | 1;
            return Ok(());
        }
        let bit = 1_u128.checked_shl(self.highest - count).ok_or(CountRefused::Forgotten)?;
        if self.used & bit != 0 {
            return Err(CountRefused::Repeated);
        }
        self.used |= bit;
        Ok(())
    }
}

/// The windows of many nonces, in bounded memory: about 80 octets for each.
///
/// When it is full the oldest nonce is dropped, and with it every nonce of its second or before that isn't known:
/// they are refused as [`CountRefused::Forgotten`], never taken twice.
#[derive(Clone, Debug)]
pub struct CountWindows {
    capacity: usize,
    windows: BTreeMap<(Timestamp, Randomness), CountWindow>,
    forgotten: Option<Timestamp>,
    lifetime: Lifetime,
}

impl CountWindows {
    /// For at most `capacity` nonces (at least one), each of which lives for `lifetime`.
    pub const fn new(capacity: usize, lifetime: Lifetime) -> Self {
        Self { capacity, windows: BTreeMap::new(), forgotten: None, lifetime }
    }

    /// Uses up a count of a nonce that was made here. Call it last, after the response was verified: then a stranger
    /// can neither burn counts nor fill the memory.
    ///
    /// # Errors
    /// [`CountRefused`].
    pub fn take(&mut self, nonce: &ServerNonce, count: u32, now: Timestamp) -> Result<(), CountRefused> {
        let key = (nonce.issued, nonce.randomness);
        if let Some(window) = self.windows.get_mut(&key) {
            return window.take(count);
        }
        if self.forgotten.is_some_and(|forgotten| nonce.issued <= forgotten) {
            return Err(CountRefused::Forgotten);
        }
        let mut window = CountWindow::default();
        window.take(count)?;
        self.windows.insert(key, window);
        self.forget(now);
        Ok(())
    }

    /// Drops what has expired, and the oldest of what is too much.
    fn forget(&mut self, now: Timestamp) {
        while let Some(oldest) = self.windows.first_entry() {
            let issued = oldest.key().0;
            if issued + self.lifetime >= now && self.windows.len() <= self.capacity.max(1) {
                return;
            }
            // Also for what has expired: a clock that is set back must not bring it to life again.
            self.forgotten = self.forgotten.max(Some(issued));
            self.windows.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const LIFETIME: Lifetime = Lifetime::from_seconds(300);
    const NOW: Timestamp = Timestamp::from_unix(1_000_000);

    fn mint() -> NonceMint {
        NonceMint::new(&KEY, [1; 8])
    }

    fn after(seconds: u32) -> Timestamp {
        NOW + Lifetime::from_seconds(seconds)
    }

    fn nonce(issued: Timestamp, randomness: u8) -> ServerNonce {
        let mint = mint();
        mint.read(&mint.issue(issued, [randomness; 12]), issued, LIFETIME).unwrap()
    }

    #[test]
    fn a_nonce_is_good_until_its_lifetime_is_over_and_then_stale() {
        let text = mint().issue(NOW, [2; 12]);
        assert_eq!(text.len(), 59);
        let read = mint().read(&text, after(300), LIFETIME).unwrap();
        assert_eq!((read.issued, read.expires, read.origin), (NOW, after(300), IssuedBy::Us));
        assert_eq!(mint().read(&text, after(301), LIFETIME), Err(NonceRefused::Stale));
    }

    #[test]
    fn another_node_or_a_restarted_one_reads_it_and_knows_that_it_came_from_elsewhere() {
        let text = mint().issue(NOW, [2; 12]);
        let other = NonceMint::new(&KEY, [9; 8]);
        assert_eq!(other.read(&text, NOW, LIFETIME).unwrap().origin, IssuedBy::AnotherNode);
        assert_eq!(other.read(&text, after(301), LIFETIME), Err(NonceRefused::Stale));
    }

    #[test]
    fn a_nonce_with_one_octet_changed_or_of_another_key_is_forged() {
        let text = mint().issue(NOW, [2; 12]);
        let octets = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for place in 0..octets.len() {
            let mut changed = octets.clone();
            changed[place] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(mint().read(&changed, NOW, LIFETIME), Err(NonceRefused::Forged), "octet {place}");
        }
        let other = NonceMint::new(&[8; 32], [1; 8]);
        assert_eq!(other.read(&text, NOW, LIFETIME), Err(NonceRefused::Forged));
        for text in ["", "AAAA", "=", "dcd98b7102dd2f0e8b11d0f600bfb0c093", &text[..58]] {
            assert_eq!(mint().read(text, NOW, LIFETIME), Err(NonceRefused::Forged), "{text}");
        }
    }

    #[test]
    fn counts_are_taken_in_any_order_and_once_each() {
        let mut window = CountWindow::default();
        for count in [1, 3, 2, 130, 129, 4] {
            assert_eq!(window.take(count), Ok(()), "{count}");
        }
        for count in [1, 3, 2, 130, 129, 4, 0] {
            let expected = if count == 1 || count == 2 { CountRefused::Forgotten } else { CountRefused::Repeated };
            assert_eq!(window.take(count), Err(expected), "{count}");
        }
    }

    #[test]
    fn a_count_that_leaps_ahead_leaves_the_old_ones_forgotten() {
        let mut window = CountWindow::default();
        assert_eq!(window.take(u32::MAX), Ok(()));
        assert_eq!(window.take(u32::MAX), Err(CountRefused::Repeated));
        assert_eq!(window.take(u32::MAX - 127), Ok(()));
        assert_eq!(window.take(u32::MAX - 128), Err(CountRefused::Forgotten));
    }

    #[test]
    fn each_nonce_has_its_own_counts() {
        let mut windows = CountWindows::new(10, LIFETIME);
        assert_eq!(windows.take(&nonce(NOW, 1), 1, NOW), Ok(()));
        assert_eq!(windows.take(&nonce(NOW, 2), 1, NOW), Ok(()));
        assert_eq!(windows.take(&nonce(NOW, 1), 1, NOW), Err(CountRefused::Repeated));
    }

    #[test]
    fn a_full_memory_forgets_the_oldest_nonce_and_never_takes_it_again() {
        let mut windows = CountWindows::new(2, LIFETIME);
        for second in 0..3 {
            assert_eq!(windows.take(&nonce(after(second), 1), 1, after(3)), Ok(()));
        }
        assert_eq!(windows.windows.len(), 2);
        assert_eq!(windows.take(&nonce(NOW, 1), 1, after(3)), Err(CountRefused::Forgotten));
        assert_eq!(windows.take(&nonce(NOW, 9), 1, after(3)), Err(CountRefused::Forgotten));
        assert_eq!(windows.take(&nonce(after(2), 1), 2, after(3)), Ok(()));
    }

    #[test]
    fn what_has_expired_is_dropped_and_stays_dead_when_the_clock_is_set_back() {
        let mut windows = CountWindows::new(10, LIFETIME);
        assert_eq!(windows.take(&nonce(NOW, 1), 1, NOW), Ok(()));
        assert_eq!(windows.take(&nonce(after(301), 2), 1, after(301)), Ok(()));
        assert_eq!(windows.windows.len(), 1);
        assert_eq!(windows.take(&nonce(NOW, 1), 1, NOW), Err(CountRefused::Forgotten));
    }
}
