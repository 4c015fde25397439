//! How long ago it was known that everything cached is true: what others change is heard by a thread, and a process that was frozen
//! goes on with its requests before that thread has looked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Within so long everybody is to see a change.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// One for each database.
pub(super) struct Hearing {
    began: Instant,
    /// In milliseconds since it began. 0: nobody watches, as nobody else changes anything.
    true_at: AtomicU64,
}

impl Hearing {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), true_at: AtomicU64::new(0) }
    }

    /// What others had changed at that moment is forgotten by now.
    pub(super) fn note(&self, moment: Instant) {
        // After the forgetting, for whoever sees this.
        self.true_at.fetch_max(self.millis(moment).max(1), Ordering::AcqRel);
    }

    /// How long ago that was.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        match self.true_at.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            true_at => Duration::from_millis(self.millis(now).saturating_sub(true_at)),
        }
    }

    /// Whether what is cached may be used. A load and a look at the clock.
    pub(super) fn is_recent(&self) -> bool {
        self.silence(Instant::now()) < SEEN_WITHIN
    }

    fn millis(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_since_the_latest_moment_that_was_noted() {
        let hearing = Hearing::new();
        let after = |millis| hearing.began + Duration::from_millis(millis);
        assert_eq!(hearing.silence(after(5_000)), Duration::ZERO, "nobody watches");
        hearing.note(after(3_000));
        hearing.note(after(2_000));
        assert_eq!(hearing.silence(after(5_000)), Duration::from_secs(2));
    }
}
