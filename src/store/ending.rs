//! How threads of the store end: waited for, but not for as long as a database hangs.
//!
//! A thread that is left ends with the process. Nothing is lost by that: what was acknowledged is durable, and what was
//! not is in doubt anyway.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is looked whether they have ended.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits until all have ended, or patience has; gives how many have not.
pub(super) fn join_within(patience: Duration, mut threads: Vec<JoinHandle<()>>) -> usize {
    let start = Instant::now();
    loop {
        for thread in threads.extract_if(.., |thread| thread.is_finished()) {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!(name, "a thread of the store panicked");
            }
        }
        if threads.is_empty() || start.elapsed() >= patience {
            return threads.len();
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_thread_that_hangs_is_left_and_the_others_are_waited_for() {
        let (go_on, waits) = channel::<()>();
        let hanging = std::thread::spawn(move || waits.recv().unwrap_or_default());
        let others = [std::thread::spawn(|| {}), std::thread::spawn(|| panic!("a test panic"))];
        let threads = others.into_iter().chain([hanging]).collect();
        assert_eq!(join_within(Duration::from_secs(1), threads), 1);
        drop(go_on);
        assert_eq!(join_within(Duration::ZERO, Vec::new()), 0);
    }
}
