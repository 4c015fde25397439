//! Logs: to stderr, readable on a terminal and JSON elsewhere. `RUST_LOG` chooses what is said.
//!
//! A thread of its own writes them, so that nobody who answers a request waits for a reader that is slow, hangs or has gone. What
//! such a reader leaves no room for is lost, and counted.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// What is said when nobody chose. actix's words are about requests that can't be read: any stranger could fill the log with them.
const USUAL: &str = "warn,countersign=info,actix_http=off";

/// Lines that may wait for their reader: some megabytes.
const WAITING: usize = 10_000;

/// How long the end of the process waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(2);

/// The logs of this process. Dropping them writes what waits, if its reader takes it.
pub struct Logs {
    lost: ErrorCounter,
    thread: Option<WorkerGuard>,
}

/// The lines that were lost, so that it can be said.
pub struct Losses {
    lost: ErrorCounter,
    told: usize,
}

/// Starts logging for this process; a second start changes nothing.
pub fn start() -> Logs {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let (lines, thread) = NonBlockingBuilder::default().buffered_lines_limit(WAITING).finish(io::stderr());
    let lost = lines.error_counter();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines).log_internal_errors(false);
    // Somebody may have started logging before us, as tests do.
    let _ = if io::stderr().is_terminal() { logs.try_init() } else { logs.json().try_init() };
    Logs { lost, thread: Some(thread) }
}

impl Logs {
    /// What is lost from now on.
    pub fn losses(&self) -> Losses {
        Losses { lost: self.lost.clone(), told: self.lost.dropped_lines() }
    }
}

/// Ending the thread may wait for a reader that never comes: not for longer than a moment.
impl Drop for Logs {
    fn drop(&mut self) {
        let (ended, end) = mpsc::channel();
        let thread = self.thread.take();
        std::thread::spawn(move || {
            drop(thread);
            // Nobody may be waiting any more.
            let _ = ended.send(());
        });
        let _ = end.recv_timeout(PATIENCE);
    }
}

impl Losses {
    /// Says how many lines were lost since this was last said.
    pub fn confess(&mut self) {
        let lost = self.lost.dropped_lines();
        if lost > self.told {
            tracing::warn!(lines = lost.saturating_sub(self.told), "log lines were lost: nobody read them in time");
            self.told = lost;
        }
    }
}
