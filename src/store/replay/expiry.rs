//! What has left the window is dropped by a thread of its own: from the memory, and then from the store.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::Memory;
use super::committer::Committer;
use super::fingerprint::Bucket;

/// The thread that drops what has left the window, so that no request pays for it.
pub struct Expiry {
    shared: Arc<ExpiryShared>,
    thread: Option<JoinHandle<()>>,
    /// The first bucket that is kept, as last told to the thread.
    noticed: AtomicI64,
}

#[derive(Default)]
struct ExpiryShared {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Default)]
struct Wanted {
    first_kept: Option<Bucket>,
    ending: bool,
}

impl Expiry {
    pub fn start(memory: Arc<Memory>, committer: Arc<Committer>) -> std::io::Result<Self> {
        let shared = Arc::new(ExpiryShared::default());
        let thread = std::thread::Builder::new().name("replay-expiry".into()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                while let Some(first_kept) = shared.next() {
                    if memory.authoritative {
                        memory.window.raise_floor(first_kept);
                    }
                    memory.window.drop_before(first_kept);
                    committer.expire(first_kept);
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread), noticed: AtomicI64::new(i64::MIN) })
    }

    /// Tells the thread when a minute has left the window. One load and one comparison, but for once a minute.
    ///
    /// `only_forward`: a clock that steps back does not bring back what was dropped. A store that decides by itself lets the
    /// memory follow the clock back, by more than a rounding apart.
    pub fn notice(&self, first_kept: Bucket, only_forward: bool) {
        let noticed = self.noticed.load(Ordering::Relaxed);
        let stepped_back = !only_forward && first_kept.0 < noticed.saturating_sub(1);
        if first_kept.0 <= noticed && !stepped_back {
            return;
        }
        let claimed = self.noticed.compare_exchange(noticed, first_kept.0, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_ok() {
            self.shared.lock().first_kept = Some(first_kept);
            self.shared.changed.notify_one();
        }
    }
}

impl ExpiryShared {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next bucket to expire to; `None` at the end.
    fn next(&self) -> Option<Bucket> {
        let mut wanted = self
            .changed
            .wait_while(self.lock(), |wanted| wanted.first_kept.is_none() && !wanted.ending)
            .unwrap_or_else(PoisonError::into_inner);
        if wanted.ending {
            return None;
        }
        wanted.first_kept.take()
    }
}

impl Drop for Expiry {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the expiry thread of the replay store panicked");
        }
    }
}
