//! How much of bodies is held while requests are judged: a bound for all of them together, of which one address may have a
//! part, so that nobody's slow uploads keep everybody's forms out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use actix_web::web::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::throttle::block;

/// What one address may have, as a part of the whole; again, one body always fits.
const PART: usize = 8;

/// The bound, and what is taken of it.
pub struct Room {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// IPv6 by its /64.
    by_address: HashMap<IpAddr, usize>,
}

impl Room {
    /// `all`: the bound, in octets, unless one body alone may take more: `largest`.
    pub fn new(all: usize, largest: usize) -> Arc<Self> {
        let all = all.max(largest);
        Arc::new(Self { all, each: (all / PART).max(largest), taken: Mutex::default() })
    }

    /// A place without anything in it yet, for a body from this address.
    pub fn place(self: &Arc<Self>, from: IpAddr) -> Place {
        Place { room: Arc::clone(self), from: block(from), octets: 0 }
    }

    /// What is taken.
    #[cfg(test)]
    pub fn octets(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Each change is whole in itself.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one body; given back when it is dropped.
pub struct Place {
    room: Arc<Room>,
    from: IpAddr,
    octets: usize,
}

impl Place {
    /// Whether there is room for the body as it is now, of so many octets; then it is taken. A place grows only.
    pub fn reach(&mut self, octets: usize) -> bool {
        let more = octets.saturating_sub(self.octets);
        if more == 0 {
            return true;
        }
        let mut taken = self.room.lock();
        let mine = taken.by_address.get(&self.from).copied().unwrap_or(0);
        if taken.all + more > self.room.all || mine + more > self.room.each {
            return false;
        }
        taken.all += more;
        taken.by_address.insert(self.from, mine + more);
        self.octets = octets;
        true
    }

    /// The body in this place: the last copy of it gives the place back.
    pub fn hold(self, body: Bytes) -> Bytes {
        Bytes::from_owner(Held { body, _place: self })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        taken.all -= self.octets;
        if let Entry::Occupied(mut mine) = taken.by_address.entry(self.from) {
            *mine.get_mut() -= self.octets;
            if *mine.get() == 0 {
                mine.remove();
            }
        }
    }
}

struct Held {
    body: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// The same bounds for those who can wait until there is room.
pub struct Turns {
    all: Arc<Semaphore>,
    each: usize,
    /// IPv6 by its /64; those that have or wait for a turn.
    by_address: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// Ends when it is dropped.
pub struct Turn {
    _own: OwnedSemaphorePermit,
    _common: OwnedSemaphorePermit,
}

/// The octets that one permit of a semaphore is for.
const UNIT: usize = 1024;

impl Turns {
    /// As [`Room::new`].
    pub fn new(all: usize, largest: usize) -> Self {
        let (all, largest) = (all.max(largest).div_ceil(UNIT), largest.div_ceil(UNIT));
        Self { all: Arc::new(Semaphore::new(all)), each: (all / PART).max(largest), by_address: Mutex::default() }
    }

    /// Waits for room for so many octets, first behind those of the same address: who has much under way waits for
    /// itself. `None`: there never will be.
    pub async fn take(&self, octets: usize, from: IpAddr) -> Option<Turn> {
        let units = u32::try_from(octets.div_ceil(UNIT)).ok()?;
        let own = self.of(block(from)).acquire_many_owned(units).await.ok()?;
        let common = Arc::clone(&self.all).acquire_many_owned(units).await.ok()?;
        Some(Turn { _own: own, _common: common })
    }

    fn of(&self, from: IpAddr) -> Arc<Semaphore> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_address.get(&from).and_then(Weak::upgrade) {
            return known;
        }
        by_address.retain(|_, semaphore| semaphore.strong_count() > 0);
        let semaphore = Arc::new(Semaphore::new(self.each));
        by_address.insert(from, Arc::downgrade(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const MIB: usize = 1024 * 1024;

    fn address(host: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, host).into()
    }

    #[test]
    fn one_address_has_a_part_and_all_of_them_the_whole() {
        let room = Room::new(128 * MIB, MIB);
        let mut held: Vec<_> = (0..8).map(|host| room.place(address(host))).collect();
        assert!(held.iter_mut().all(|place| place.reach(16 * MIB)));
        assert!(!held[0].reach(16 * MIB + 1), "its part is full");
        assert!(!room.place(address(9)).reach(1), "the whole is full");
        drop(held.pop());
        assert!(room.place(address(9)).reach(16 * MIB));
        assert!(!room.place(address(0)).reach(1), "its part is full still");
    }

    #[test]
    fn a_place_is_given_back_with_the_last_copy_of_its_body() {
        let room = Room::new(128 * MIB, MIB);
        let mut place = room.place(address(1));
        assert!(place.reach(3));
        let body = place.hold(Bytes::from_static(b"a=1"));
        let copy = body.slice(1..);
        drop(body);
        let taken = || room.lock().by_address.get(&address(1)).copied();
        assert_eq!(taken(), Some(3));
        drop(copy);
        assert_eq!(taken(), None);
        assert_eq!(room.octets(), 0);
    }

    #[test]
    fn the_largest_body_that_is_admitted_fits() {
        let room = Room::new(128 * MIB, 1024 * MIB);
        assert!(room.place(address(1)).reach(1024 * MIB));
    }
    #[actix_web::test]
    async fn who_has_its_part_under_way_waits_for_itself_and_for_nobody_else() {
        use futures_util::FutureExt as _;
        let turns = Turns::new(8 * MIB, MIB);
        let first = turns.take(MIB, address(1)).await.unwrap();
        assert!(turns.take(1, address(1)).now_or_never().is_none(), "its part is taken");
        let others: Vec<_> =
            (2..9).filter_map(|host| turns.take(MIB, address(host)).now_or_never().flatten()).collect();
        assert_eq!(others.len(), 7);
        assert!(turns.take(1, address(9)).now_or_never().is_none(), "the whole is taken");
        drop(first);
        assert!(turns.take(MIB, address(1)).now_or_never().is_some());
        drop(others);
        assert!(turns.take(1, address(9)).now_or_never().flatten().is_some());
        assert_eq!(turns.by_address.lock().unwrap().len(), 1, "who has no turn is forgotten");
    }
}
