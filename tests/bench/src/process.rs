//! What a process has used, from /proc: CPU time and resident memory, of the process and all that it started.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// Linux counts CPU time in hundredths of a second on every architecture that this runs on.
const TICK: Duration = Duration::from_millis(10);

/// CPU time and resident memory of some processes and their descendants.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// User and system time since the processes started.
    pub cpu: Duration,
    /// Resident memory now, in KiB. Pages that processes share are counted for each.
    pub resident_kib: u64,
}

/// Reads the usage of `roots` and everything below them. A process that is gone counts nothing.
pub fn usage(roots: &[u32]) -> Usage {
    let mut total = Usage::default();
    for pid in family(roots) {
        total.cpu += cpu(pid).unwrap_or_default();
        total.resident_kib += resident_kib(pid).unwrap_or_default();
    }
    total
}

fn family(roots: &[u32]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = field(pid, 1) {
            children.entry(parent as u32).or_default().push(pid);
        }
    }
    let mut found = roots.to_vec();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children.get(&pid).into_iter().flatten());
        next += 1;
    }
    found
}

fn cpu(pid: u32) -> Option<Duration> {
    Some(TICK * u32::try_from(field(pid, 11)? + field(pid, 12)?).ok()?)
}

/// A number of /proc/PID/stat, counted from the state letter, which comes after the name in parentheses.
fn field(pid: u32, place: usize) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(place)?.parse().ok()
}

fn resident_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
