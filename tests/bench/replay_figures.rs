//! Figures of the replay store by itself, printed. Build it with `--release`; `docs/PERFORMANCE.md` says what came out.
//!
//!     replay_figures claims JOURNAL|URL TASKS SECONDS [COMMIT_DELAY_MICROSECONDS] [WORK_NANOSECONDS]
//!     replay_figures memory JOURNAL NONCES
//!
//! `claims`: one thread with so many tasks, each claiming as fast as it is answered, as one worker of the server does. Between
//! two claims a task works for a while, where a request would be read and verified. `memory`: fills a journal, then reads it back.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use countersign::store::replay::{NonceClaim, OpenError, ReplayOptions, ReplayStore};
use countersign::time::Timestamp;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| -> anyhow::Result<u64> {
        Ok(arguments.get(index).map_or(Ok(default), |text| text.parse())?)
    };
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["claims", place, _, _, ..] => {
            let mut options = ReplayOptions::default();
            options.commit_delay = Duration::from_micros(number(4, 0)?);
            let store = Arc::new(open(place, &options)?);
            claims(&store, number(2, 0)?, number(3, 0)?, Duration::from_nanos(number(5, 0)?));
        }
        ["memory", place, _] => memory(place, number(2, 0)?)?,
        _ => anyhow::bail!("usage: claims PLACE TASKS SECONDS [DELAY_US] [WORK_NS] | memory JOURNAL NONCES"),
    }
    Ok(())
}

fn open(place: &str, options: &ReplayOptions) -> Result<ReplayStore, OpenError> {
    if place.starts_with("postgres") {
        ReplayStore::open_postgres(place, options, now())
    } else if place.starts_with("redis") {
        ReplayStore::open_redis(place, None, options, now())
    } else {
        ReplayStore::open_journal(Path::new(place), options, now())
    }
}

fn now() -> Timestamp {
    let elapsed = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_unix(i64::try_from(elapsed.as_secs()).unwrap_or(0))
}

fn claims(store: &Arc<ReplayStore>, tasks: u64, seconds: u64, work: Duration) {
    let run = now().unix();
    let begin = Instant::now();
    let cpu_before = cpu_seconds();
    let end = begin + Duration::from_secs(seconds);
    let counts = block_on(tasks, |task| {
        let store = Arc::clone(store);
        async move {
            let mut accepted = 0_u64;
            let mut slowest = Duration::ZERO;
            while Instant::now() < end {
                let asked = Instant::now();
                while asked.elapsed() < work {}
                accepted += u64::from(accept(&store, run, task, accepted).await);
                slowest = slowest.max(asked.elapsed());
            }
            (accepted, slowest)
        }
    });
    let accepted: u64 = counts.iter().map(|(accepted, _)| accepted).sum();
    let slowest = counts.iter().map(|(_, slowest)| *slowest).max().unwrap_or_default();
    let statistics = store.statistics();
    let per_claim = |seconds: f64| seconds * 1e6 / accepted as f64;
    println!(
        "{tasks} tasks: {:.0} claims/s, {:.2} us CPU a claim, {:.1} a commit, slowest {slowest:?}",
        accepted as f64 / begin.elapsed().as_secs_f64(),
        per_claim(cpu_seconds() - cpu_before),
        statistics.committed as f64 / statistics.commits.max(1) as f64,
    );
}

fn memory(place: &str, nonces: u64) -> anyhow::Result<()> {
    const TASKS: u64 = 4_096;
    let options = ReplayOptions::default();
    let store = Arc::new(open(place, &options)?);
    let run = now().unix();
    let begin = Instant::now();
    block_on(TASKS, |task| {
        let store = Arc::clone(&store);
        async move {
            for n in 0..nonces / TASKS {
                accept(&store, run, task, n).await;
            }
        }
    });
    let live = store.statistics().live;
    println!("filled {live} in {:?}", begin.elapsed());
    println!("{:.1} bytes a nonce", store.heap_bytes() as f64 / live as f64);
    drop(store);
    println!("{} bytes of journal", std::fs::metadata(place)?.len());
    let before = resident_kib();
    let begin = (Instant::now(), cpu_seconds());
    let store = open(place, &options)?;
    println!(
        "read {} back in {:?}, {:.2} s of CPU",
        store.statistics().live,
        begin.0.elapsed(),
        cpu_seconds() - begin.1
    );
    println!("resident: {before} KiB before, {} KiB after", resident_kib());
    Ok(())
}

/// Timestamps are spread over the ten minutes of the window, as the live nonces of a server are.
async fn accept(store: &ReplayStore, run: i64, task: u64, n: u64) -> bool {
    let now = now();
    let offset = i64::try_from((task * 31 + n * 7) % 580).unwrap_or(0) - 290;
    let nonce = format!("{task:x}-{n:x}-{run:x}");
    let claim = NonceClaim {
        client_key: "dpf43f3p2l4k3l03",
        token: "nnch734d00sl2jdk",
        timestamp: Timestamp::from_unix(now.unix() + offset),
        nonce: nonce.as_bytes(),
    };
    store.claim(claim, now).await.is_ok()
}

/// As a worker of actix: one thread, a local task for each connection.
fn block_on<T: 'static, F: Future<Output = T> + 'static>(tasks: u64, task: impl Fn(u64) -> F) -> Vec<T> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
        return Vec::new();
    };
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let tasks: Vec<_> = (0..tasks).map(|number| tokio::task::spawn_local(task(number))).collect();
        futures_util::future::join_all(tasks).await.into_iter().flatten().collect()
    })
}

/// Processor time of this process, from `/proc`.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds: f64 = threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<f64>().ok())
        .sum();
    if text.is_empty() { 0.0 } else { nanoseconds / 1e9 }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
