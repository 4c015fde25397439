//! Logs: to stderr, readable on a terminal and JSON elsewhere. `RUST_LOG` chooses what is said.
//!
//! Who answers a request writes its line at once, but does not wait for a reader that has stopped reading: then lines are dropped,
//! and counted in the first one that is read again.

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing_subscriber::EnvFilter;

/// What is said when nobody chose.
const USUAL: &str = "warn,countersign=info";

/// How long the first line waits for a reader that is slow.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A pipe that takes anything takes as much without waiting (`PIPE_BUF` of Linux).
const PIECE_BYTES: usize = 4096;

/// Starts logging for this process; a second start changes nothing.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let is_json = !io::stderr().is_terminal();
    let lines = Lines { to: io::stderr(), is_json, is_stuck: false, lost: 0 };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Mutex::new(lines));
    // Somebody may have started logging before us, as tests do.
    let _ = if is_json { logs.json().try_init() } else { logs.try_init() };
}

/// Writes whole lines, or drops them.
struct Lines<To> {
    to: To,
    is_json: bool,
    /// Did the reader let the last line wait in vain?
    is_stuck: bool,
    /// Lines dropped since the last that was written.
    lost: u64,
}

impl<To: AsFd + Write> Lines<To> {
    /// `false` when not all of it went out.
    fn put(&mut self, line: &[u8]) -> io::Result<bool> {
        for piece in line.chunks(PIECE_BYTES) {
            let patience = if self.is_stuck { Timespec::default() } else { PATIENCE };
            // A poll that fails says nothing about the reader.
            self.is_stuck = poll(&mut [PollFd::new(&self.to, PollFlags::OUT)], Some(&patience)) == Ok(0);
            if self.is_stuck {
                return Ok(false);
            }
            self.to.write_all(piece)?;
        }
        Ok(true)
    }

    fn confess(&self) -> String {
        let text = format!("{} lines of log were lost, as nobody read them", self.lost);
        match self.is_json {
            true => format!("{{\"level\":\"WARN\",\"fields\":{{\"message\":\"{text}\"}}}}\n"),
            false => format!("{text}\n"),
        }
    }
}

impl<To: AsFd + Write> Write for Lines<To> {
    /// `line` is the whole line of an event.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lost > 0 && self.put(self.confess().as_bytes())? {
            self.lost = 0;
        }
        if self.lost > 0 || !self.put(line)? {
            self.lost = self.lost.saturating_add(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_reader_that_stops_reading_loses_lines_and_holds_nobody_up() {
        let (mut reader, to) = io::pipe().unwrap();
        let mut lines = Lines { to, is_json: true, is_stuck: false, lost: 0 };
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        let mut sent = 0_u64;
        while lines.lost < 3 {
            lines.write_all(&line).unwrap();
            sent += 1;
        }
        let mut room = vec![0; 32_000];
        reader.read_exact(&mut room).unwrap();
        lines.write_all(b"again\n").unwrap();
        drop(lines);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        let last: Vec<&str> = rest.lines().rev().take(2).collect();
        assert_eq!(last[0], "again");
        assert!(last[1].contains("\"message\":\"3 lines of log were lost"), "{last:?}");
        assert!(sent > 40);
    }
}
