//! The replay store over each of its stores: nothing is accepted twice, nothing that was acknowledged is lost (RFC 5849 §3.3).
//!
//! Every test in `on_every_store!` runs over the SQLite journal, PostgreSQL and Redis.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use countersign::store::replay::{ClaimRefused, NonceClaim, NonceRemembered, OpenError, ReplayOptions, ReplayStore};
use countersign::time::Timestamp;
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};

use crate::servers::{End, Folder, Postgres, Redis, wait_until};

/// Where nonces are kept, and the way to open a node on it.
enum Place {
    Journal(Folder),
    Postgres(Arc<Postgres>, String),
    Redis(Redis),
}

impl Place {
    fn journal() -> Option<Self> {
        Some(Self::Journal(Folder::new("replay")))
    }

    fn postgres() -> Option<Self> {
        let server = Postgres::shared()?;
        let url = server.new_database();
        migrate(&server, &url);
        Some(Self::Postgres(server, url))
    }

    /// With a server of its own, which the test may stop.
    fn own_postgres() -> Option<Self> {
        let server = Arc::new(Postgres::start()?);
        let url = server.new_database();
        migrate(&server, &url);
        Some(Self::Postgres(server, url))
    }

    fn redis() -> Option<Self> {
        Some(Self::Redis(Redis::start()?))
    }

    fn url(&self) -> String {
        match self {
            Self::Journal(folder) => folder.path().join("replay.db").display().to_string(),
            Self::Postgres(_, url) => url.clone(),
            Self::Redis(server) => server.url(),
        }
    }

    fn open(&self, now: Timestamp) -> ReplayStore {
        self.open_with(&options(), now).expect("the replay store opens")
    }

    fn open_with(&self, options: &ReplayOptions, now: Timestamp) -> Result<ReplayStore, OpenError> {
        open_url(&self.url(), options, now)
    }

    /// Many nodes, where there can be many.
    fn open_nodes(&self, now: Timestamp) -> Vec<ReplayStore> {
        let nodes = if matches!(self, Self::Journal(_)) { 1 } else { 3 };
        (0..nodes).map(|_| self.open(now)).collect()
    }
}

fn migrate(server: &Postgres, url: &str) {
    let database = url.rsplit('/').next().expect("the URL names a database");
    let sql = include_str!("../../migrations/postgres/00000000000002_replay/up.sql");
    server.execute(database, sql);
}

fn open_url(url: &str, options: &ReplayOptions, now: Timestamp) -> Result<ReplayStore, OpenError> {
    if url.starts_with("postgres:") {
        ReplayStore::open_postgres(url, options, now)
    } else if url.starts_with("redis:") {
        ReplayStore::open_redis(url, None, options, now)
    } else {
        ReplayStore::open_journal(&PathBuf::from(url), options, now)
    }
}

/// These tests travel in time, which the clocks of shared stores don't.
fn options() -> ReplayOptions {
    let mut options = ReplayOptions::default();
    options.clock_difference_seconds = 10_000;
    options
}

/// Redis lets keys expire by its own clock, so these tests live in the present.
fn present() -> Timestamp {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    Timestamp::from_unix(i64::try_from(since_1970.as_secs()).expect("not that far"))
}

fn after(moment: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_unix(moment.unix() + seconds)
}

/// As an actix worker: one thread, many tasks.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

async fn claim(
    store: &ReplayStore,
    nonce: &str,
    timestamp: Timestamp,
    now: Timestamp,
) -> Result<NonceRemembered, ClaimRefused> {
    let claim =
        NonceClaim { client_key: "dpf43f3p2l4k3l03", token: "nnch734d00sl2jdk", timestamp, nonce: nonce.as_bytes() };
    store.claim(claim, now).await
}

fn claim_now(store: &ReplayStore, nonce: &str, now: Timestamp) -> Result<NonceRemembered, ClaimRefused> {
    block_on(claim(store, nonce, now, now))
}

/// Runs each test over each store.
macro_rules! on_every_store {
    ($($test:ident),* $(,)?) => {
        mod journal {
            $(#[test] fn $test() { if let Some(place) = super::Place::journal() { super::$test(&place) } })*
        }
        mod postgres {
            $(#[test] fn $test() { if let Some(place) = super::Place::postgres() { super::$test(&place) } })*
        }
        mod redis {
            $(#[test] fn $test() { if let Some(place) = super::Place::redis() { super::$test(&place) } })*
        }
    };
}

on_every_store! {
    a_used_nonce_is_refused,
    a_nonce_claimed_by_many_at_once_is_accepted_once,
    a_used_nonce_is_refused_after_a_restart,
    a_used_nonce_is_refused_by_every_node,
    a_process_that_is_killed_loses_nothing_it_acknowledged,
    a_clock_that_steps_lets_nothing_through_twice,
    a_window_that_grows_lets_nothing_through_twice,
    a_minute_that_left_the_window_is_given_back,
    a_closed_store_has_everything_that_it_acknowledged,
}

fn a_used_nonce_is_refused(place: &Place) {
    let now = present();
    let store = place.open(now);
    assert!(claim_now(&store, "a", now).is_ok());
    assert_eq!(claim_now(&store, "a", now), Err(ClaimRefused::Used));
    assert!(claim_now(&store, "b", now).is_ok());
    assert!(block_on(claim(&store, "a", after(now, 1), now)).is_ok());
}

fn a_nonce_claimed_by_many_at_once_is_accepted_once(place: &Place) {
    const NONCES: usize = 60;
    const COPIES: usize = 25;
    let now = present();
    let nodes = place.open_nodes(now);
    let accepted: Vec<AtomicUsize> = (0..NONCES).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let store = &nodes[worker % nodes.len()];
            let accepted = &accepted;
            scope.spawn(move || {
                block_on(async {
                    let claims = (0..NONCES * COPIES).map(|n| async move {
                        let nonce = n % NONCES;
                        match claim(store, &nonce.to_string(), now, now).await {
                            Ok(_) => {
                                accepted[nonce].fetch_add(1, Ordering::Relaxed);
                            }
                            Err(refused) => assert_eq!(refused, ClaimRefused::Used),
                        }
                    });
                    futures_util::future::join_all(claims).await;
                });
            });
        }
    });
    assert!(accepted.iter().all(|count| count.load(Ordering::Relaxed) == 1));
}

fn a_used_nonce_is_refused_after_a_restart(place: &Place) {
    let now = present();
    assert!(claim_now(&place.open(now), "a", now).is_ok());
    let store = place.open(after(now, 5));
    assert_eq!(block_on(claim(&store, "a", now, after(now, 5))), Err(ClaimRefused::Used));
    assert!(claim_now(&store, "b", now).is_ok());
    assert!(claim_now(&store, "a", after(now, 5)).is_ok());
}

fn a_used_nonce_is_refused_by_every_node(place: &Place) {
    let now = present();
    let nodes = place.open_nodes(now);
    for (number, node) in nodes.iter().enumerate() {
        assert!(claim_now(node, &number.to_string(), now).is_ok());
    }
    for node in &nodes {
        for number in 0..nodes.len() {
            assert_eq!(claim_now(node, &number.to_string(), now), Err(ClaimRefused::Used));
        }
    }
}

fn a_closed_store_has_everything_that_it_acknowledged(place: &Place) {
    let now = present();
    let store = place.open(now);
    block_on(async {
        let names: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        let claims: Vec<_> = names.iter().map(|nonce| claim(&store, nonce, now, now)).collect();
        let closing = async { store.close() };
        let (answers, ()) = tokio::join!(futures_util::future::join_all(claims), closing);
        // All were taken in before the store closed, so all are committed.
        assert!(answers.iter().all(Result::is_ok));
    });
    drop(store);
    let store = place.open(now);
    for nonce in 0..200 {
        assert_eq!(claim_now(&store, &nonce.to_string(), now), Err(ClaimRefused::Used));
    }
}

fn a_clock_that_steps_lets_nothing_through_twice(place: &Place) {
    let now = present();
    let ahead = after(now, 3_600);
    let store = place.open(now);
    assert!(claim_now(&store, "a", now).is_ok());
    // Redis compares clocks and may refuse, before or after the memory has the new nonce; whatever it does, both
    // minutes are not remembered for long.
    let stepped = claim_now(&store, "ahead", ahead);
    wait_until("the old minute is dropped", &PathBuf::new(), || store.statistics().live <= 1);
    assert!(claim_now(&store, "a", now).is_err());
    drop(store);
    let store = place.open(now);
    assert!(claim_now(&store, "a", now).is_err());
    if stepped.is_ok() {
        assert!(block_on(claim(&store, "ahead", ahead, ahead)).is_err());
    }
}

fn a_window_that_grows_lets_nothing_through_twice(place: &Place) {
    let now = present();
    let mut narrow = options();
    narrow.past_seconds = 60;
    let store = place.open_with(&narrow, now).expect("opens");
    assert!(claim_now(&store, "a", now).is_ok());
    let later = after(now, 200);
    // A run of the journal is removed only when a newer one has begun.
    assert!(claim_now(&store, "b", later).is_ok());
    wait_until("the old minute is dropped", &PathBuf::new(), || store.statistics().live == 1);
    drop(store);
    let store = place.open(later);
    let again = block_on(claim(&store, "a", now, later));
    assert!(again.is_err(), "{again:?}");
}

fn a_minute_that_left_the_window_is_given_back(place: &Place) {
    let now = present();
    let mut store = place.open(now);
    for nonce in 0..50 {
        assert!(claim_now(&store, &nonce.to_string(), now).is_ok());
    }
    assert_eq!(store.statistics().live, 50);
    let later = after(now, 240);
    if matches!(place, Place::Redis(_)) {
        // By the clock of Redis nothing expires within a test; only the memory is looked at.
        let mut narrow = options();
        narrow.past_seconds = 60;
        drop(store);
        store = place.open_with(&narrow, now).expect("opens");
        assert!(claim_now(&store, "more", now).is_ok());
        assert!(claim_now(&store, "last", later).is_ok());
        wait_until("the memory is given back", &PathBuf::new(), || store.statistics().live == 1);
        return;
    }
    let much_later = after(now, 900);
    assert!(claim_now(&store, "last", much_later).is_ok());
    wait_until("the memory is given back", &PathBuf::new(), || store.statistics().live == 1);
}

/// What [`a_child_that_is_killed`] is told by its parent.
const CHILD: &str = "REPLAY_TEST_CHILD_URL";

fn a_process_that_is_killed_loses_nothing_it_acknowledged(place: &Place) {
    let before = present();
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "replay::a_child_that_is_killed", "--ignored", "--nocapture"])
        .env(CHILD, place.url())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let lines = BufReader::new(child.stdout.take().expect("it has an output")).lines();
    let mut acknowledged = Vec::new();
    for line in lines.map_while(Result::ok) {
        if let Some(nonce) = line.strip_prefix("acknowledged ") {
            acknowledged.push(nonce.to_owned());
        }
        if acknowledged.len() == 500 {
            // In the middle of a batch: what it wrote before it died is read to the end.
            child.kill().expect("SIGKILL");
        }
    }
    child.wait().expect("it ended");
    assert!(acknowledged.len() >= 500, "only {}", acknowledged.len());
    let now = present();
    let store = place.open(now);
    for nonce in &acknowledged {
        let (signed, nonce) = nonce.split_once(' ').expect("timestamp and nonce");
        let signed = Timestamp::from_unix(signed.parse().expect("a number"));
        assert!(signed >= before);
        let again = block_on(claim(&store, nonce, signed, now));
        assert_eq!(again, Err(ClaimRefused::Used), "nonce {nonce}");
    }
    assert!(claim_now(&store, "new", now).is_ok());
}

/// Claims without end and says which claims were acknowledged, until its parent kills it.
#[test]
#[ignore = "runs as a child process of other tests"]
fn a_child_that_is_killed() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let now = present();
    let mut options = options();
    options.commit_delay = Duration::from_millis(1);
    let store = open_url(&url, &options, now).expect("opens");
    block_on(async {
        let tasks = (0..64).map(|task| {
            let store = &store;
            async move {
                for n in 0.. {
                    let nonce = format!("{task}-{n}");
                    if claim(store, &nonce, now, now).await.is_ok() {
                        let line = format!("acknowledged {} {nonce}\n", now.unix());
                        // One write a line, so that a killed process leaves at most the last one incomplete.
                        std::io::stdout().write_all(line.as_bytes()).expect("the parent reads");
                    }
                }
            }
        });
        futures_util::future::join_all(tasks).await;
    });
}

#[test]
fn a_journal_on_a_full_disk_refuses_and_comes_back_when_there_is_room() {
    let folder = Folder::new("replay-full");
    let url = folder.path().join("replay.db").display().to_string();
    // A file may grow to 256 KiB, and the signal that says otherwise is ignored: writes fail as on a full disk.
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 512; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "replay::a_child_on_a_full_disk", "--ignored", "--nocapture"])
        .env(CHILD, &url)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let lines = BufReader::new(child.stdout.take().expect("it has an output")).lines();
    let mut seen = Vec::new();
    for line in lines.map_while(Result::ok) {
        if line == "full" {
            let pid = child.id().to_string();
            let raised = Command::new("prlimit").args(["--fsize=unlimited:", "--pid", &pid]).status();
            assert!(raised.expect("prlimit runs").success());
        }
        seen.push(line);
    }
    assert!(child.wait().expect("it ends").success(), "{seen:#?}");
    let now = present();
    let store = open_url(&url, &options(), now).expect("opens");
    let acknowledged: Vec<_> = seen.iter().filter_map(|line| line.strip_prefix("acknowledged ")).collect();
    assert!(acknowledged.len() > 1, "{seen:#?}");
    for nonce in acknowledged {
        let (signed, nonce) = nonce.split_once(' ').expect("timestamp and nonce");
        let signed = Timestamp::from_unix(signed.parse().expect("a number"));
        assert_eq!(block_on(claim(&store, nonce, signed, now)), Err(ClaimRefused::Used));
    }
}

/// Claims until the disk is full, says so, and goes on when there is room again.
#[test]
#[ignore = "runs as a child process of other tests"]
fn a_child_on_a_full_disk() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let now = present();
    let store = open_url(&url, &options(), now).expect("opens");
    let say = |line: &str| std::io::stdout().write_all(line.as_bytes()).expect("the parent reads");
    let refused = (0..100_000)
        .map(|n| format!("filling-{n}"))
        .find(|nonce| match claim_now(&store, nonce, now) {
            Ok(_) => {
                say(&format!("acknowledged {} {nonce}\n", now.unix()));
                false
            }
            Err(refused) => {
                assert_eq!(refused, ClaimRefused::Unavailable);
                true
            }
        })
        .expect("the disk is full at last");
    assert!(!store.is_ready());
    assert_eq!(claim_now(&store, "while full", now), Err(ClaimRefused::Unavailable));
    say("full\n");
    wait_until("the store works again", &PathBuf::new(), || store.is_ready());
    // It may have been written after all, so it stays used; what was refused before it was looked at is not burnt.
    assert_eq!(claim_now(&store, &refused, now), Err(ClaimRefused::Used));
    assert!(claim_now(&store, "while full", now).is_ok());
    say(&format!("acknowledged {} while full\n", now.unix()));
}

/// Claims fresh nonces together until one is refused; what was acknowledged before.
fn fill_until_refused(store: &ReplayStore, now: Timestamp) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for round in 0..1_000 {
        let names: Vec<String> = (0..500).map(|n| format!("filling-{round}-{n}")).collect();
        let claims = names.iter().map(|nonce| claim(store, nonce, now, now));
        let answers = block_on(futures_util::future::join_all(claims));
        let before = acknowledged.len();
        for (name, answer) in names.into_iter().zip(answers) {
            match answer {
                Ok(_) => acknowledged.push(name),
                Err(refused) => assert_eq!(refused, ClaimRefused::Unavailable),
            }
        }
        if acknowledged.len() < before + 500 {
            return acknowledged;
        }
    }
    panic!("the disk was never full");
}

#[test]
fn a_postgresql_on_a_full_disk_refuses_and_comes_back_when_there_is_room() {
    let Some(place) = Place::own_postgres() else {
        return;
    };
    let Place::Postgres(server, _) = &place else { unreachable!("made so") };
    let now = present();
    // As long as a segment of the write-ahead log, so that only the table has no room.
    server.limit_files(Some(1 << 20));
    let store = place.open(now);
    let mut acknowledged = fill_until_refused(&store, now);
    assert!(acknowledged.len() > 500);
    // A page may still have room for a single row where there was none for a batch: what is taken is kept, all else is refused.
    for n in 0..10 {
        let nonce = format!("while full {n}");
        match claim_now(&store, &nonce, now) {
            Ok(_) => acknowledged.push(nonce),
            Err(refused) => assert_eq!(refused, ClaimRefused::Unavailable),
        }
    }
    server.limit_files(None);
    let mut tries = 0;
    wait_until("the store works again", &PathBuf::new(), || {
        tries += 1;
        claim_now(&store, &format!("room {tries}"), now).is_ok()
    });
    let other = place.open(now);
    for nonce in &acknowledged {
        assert_eq!(claim_now(&other, nonce, now), Err(ClaimRefused::Used));
    }
    assert_eq!(claim_now(&other, &format!("room {tries}"), now), Err(ClaimRefused::Used));
}

#[test]
fn a_redis_on_a_full_disk_refuses_and_comes_back_when_there_is_room() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    let now = present();
    let store = place.open(now);
    server.limit_files(Some(1 << 18));
    let acknowledged = fill_until_refused(&store, now);
    assert!(acknowledged.len() > 500);
    for n in 0..10 {
        assert_eq!(claim_now(&store, &format!("while full {n}"), now), Err(ClaimRefused::Unavailable));
    }
    assert!(!store.is_ready());
    server.limit_files(None);
    wait_until("the store works again", &PathBuf::new(), || store.is_ready());
    let other = place.open(now);
    for nonce in &acknowledged {
        assert_eq!(claim_now(&other, nonce, now), Err(ClaimRefused::Used));
    }
    assert!(claim_now(&store, "room", now).is_ok());
}

#[test]
fn a_redis_that_dies_on_a_full_disk_accepts_nothing_that_it_could_not_write() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    let now = present();
    let store = place.open(now);
    server.limit_files(Some(1 << 18));
    let acknowledged = fill_until_refused(&store, now);
    // The last batch was acknowledged before Redis knew that its file is full.
    server.stop(End::Crash);
    server.start_again();
    wait_until("the store works again", &PathBuf::new(), || store.is_ready());
    let other = place.open(now);
    for nonce in &acknowledged {
        assert!(claim_now(&other, nonce, now).is_err_and(|refused| refused != ClaimRefused::Unavailable));
    }
}

#[test]
fn a_postgresql_that_crashes_under_load_loses_nothing_that_it_acknowledged() {
    let Some(place) = Place::own_postgres() else {
        return;
    };
    let Place::Postgres(server, _) = &place else { unreachable!("made so") };
    let now = present();
    let store = place.open(now);
    let acknowledged = crash_under_load(&store, now, || {
        server.stop(End::Crash);
        server.start_again();
    });
    let other = place.open(now);
    for nonce in &acknowledged {
        assert_eq!(claim_now(&other, nonce, now), Err(ClaimRefused::Used));
    }
    assert!(claim_now(&other, "new", now).is_ok());
}

#[test]
fn a_redis_that_crashes_under_load_loses_nothing_that_it_acknowledged() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    let now = present();
    let store = place.open(now);
    let acknowledged = crash_under_load(&store, now, || {
        server.stop(End::Crash);
        server.start_again();
    });
    let other = place.open(now);
    for nonce in &acknowledged {
        assert!(claim_now(&other, nonce, now).is_err_and(|refused| refused != ClaimRefused::Unavailable));
    }
}

/// Claims by many tasks while the server dies and comes back; what was acknowledged before and after.
fn crash_under_load(store: &ReplayStore, now: Timestamp, crash: impl FnOnce()) -> Vec<String> {
    let acknowledged = std::sync::Mutex::new(Vec::new());
    let (count, ended) = (AtomicUsize::new(0), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (acknowledged, count, ended) = (&acknowledged, &count, &ended);
            scope.spawn(move || {
                block_on(async {
                    let tasks = (0..32).map(|task| async move {
                        for n in 0.. {
                            if ended.load(Ordering::Relaxed) {
                                return;
                            }
                            let nonce = format!("{worker}-{task}-{n}");
                            if claim(store, &nonce, now, now).await.is_ok() {
                                acknowledged.lock().expect("nobody panics with it").push(nonce);
                                count.fetch_add(1, Ordering::Relaxed);
                            } else {
                                tokio::task::yield_now().await;
                            }
                        }
                    });
                    futures_util::future::join_all(tasks).await;
                });
            });
        }
        wait_until("there is load", &PathBuf::new(), || count.load(Ordering::Relaxed) > 500);
        crash();
        wait_until("the store works again", &PathBuf::new(), || store.is_ready());
        ended.store(true, Ordering::Relaxed);
    });
    acknowledged.into_inner().expect("nobody panics with it")
}

/// Requests are not held as long as a store hangs: they are refused, and what was written all the same counts as used.
fn refuses_while_it_hangs(place: &Place, hang: impl FnOnce(), go_on: impl FnOnce()) {
    let now = present();
    let store = place.open(now);
    assert!(claim_now(&store, "a", now).is_ok());
    hang();
    assert_eq!(claim_now(&store, "hanging", now), Err(ClaimRefused::Unavailable));
    go_on();
    let mut tries = 0;
    wait_until("the store works again", &PathBuf::new(), || {
        tries += 1;
        claim_now(&store, &format!("after {tries}"), now).is_ok()
    });
    for nonce in ["a", "hanging"] {
        assert_eq!(claim_now(&store, nonce, now), Err(ClaimRefused::Used));
    }
}

#[test]
fn a_postgresql_that_hangs_is_not_waited_for_by_requests() {
    let Some(place) = Place::own_postgres() else {
        return;
    };
    let Place::Postgres(server, url) = &place else { unreachable!("made so") };
    let database = url.rsplit('/').next().expect("the URL names a database");
    let signal = |name: &'static str| move || server.signal_connections(database, name);
    refuses_while_it_hangs(&place, signal("STOP"), signal("CONT"));
}

#[test]
fn a_postgresql_that_was_slow_to_tell_its_time_has_no_wrong_clock() {
    let Some(place) = Place::own_postgres() else {
        return;
    };
    let Place::Postgres(server, url) = &place else { unreachable!("made so") };
    let database = url.rsplit('/').next().expect("the URL names a database");
    let mut options = options();
    options.clock_difference_seconds = 4;
    let now = present();
    let store = place.open_with(&options, now).expect("opens");
    server.signal_connections(database, "STOP");
    // The first time that it is told is a new minute, at whose beginning clocks are compared.
    store.expire(now);
    wait_until("eight seconds without an answer", &PathBuf::new(), || !store.is_ready());
    server.signal_connections(database, "CONT");
    wait_until("it answers", &PathBuf::new(), || store.is_ready());
    assert!(claim_now(&store, "a", present()).is_ok());
    store.close();
    assert_eq!(store.statistics().failures, 0);
}

#[test]
fn a_redis_that_hangs_is_not_waited_for_by_requests() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    refuses_while_it_hangs(&place, || server.signal("STOP"), || server.signal("CONT"));
}

#[test]
fn a_journal_is_owned_by_one_process_and_free_when_that_was_killed() {
    let place = Place::journal().expect("needs nothing");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "replay::a_child_that_is_killed", "--ignored", "--nocapture"])
        .env(CHILD, place.url())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it has an output")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("acknowledged ")));
    let refused = place.open_with(&options(), present()).err().expect("is refused").to_string();
    assert!(refused.contains("in use by another process"), "{refused}");
    child.kill().expect("SIGKILL");
    child.wait().expect("it ended");
    assert!(claim_now(&place.open(present()), "a", present()).is_ok());
}

#[test]
fn a_postgresql_that_stops_is_waited_for() {
    for end in [End::Orderly, End::Crash] {
        let Some(place) = Place::own_postgres() else {
            return;
        };
        let Place::Postgres(server, _) = &place else { unreachable!("made so") };
        let now = present();
        let store = place.open(now);
        assert!(claim_now(&store, "a", now).is_ok());
        server.stop(end);
        assert_eq!(claim_now(&store, "b", now), Err(ClaimRefused::Unavailable));
        // The lanes find out one by one.
        for n in 0..3 {
            assert_eq!(claim_now(&store, &format!("c{n}"), now), Err(ClaimRefused::Unavailable));
        }
        assert!(!store.is_ready());
        server.start_again();
        wait_until("the store works again", &PathBuf::new(), || store.is_ready());
        assert_eq!(claim_now(&store, "a", now), Err(ClaimRefused::Used));
        assert!(claim_now(&store, "d", now).is_ok());
        let other = place.open(now);
        assert_eq!(claim_now(&other, "a", now), Err(ClaimRefused::Used));
        assert_eq!(claim_now(&other, "d", now), Err(ClaimRefused::Used));
    }
}

#[test]
fn a_postgresql_connection_that_was_closed_is_made_anew_without_a_failure() {
    let Some(place) = Place::postgres() else {
        return;
    };
    let Place::Postgres(server, _) = &place else { unreachable!("made so") };
    let now = present();
    let [store, other] = [place.open(now), place.open(now)];
    for n in 0..6 {
        assert!(claim_now(&store, &n.to_string(), now).is_ok());
    }
    let database = place.url().rsplit('/').next().expect("named").to_owned();
    server.execute(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"),
    );
    for n in 6..12 {
        assert!(claim_now(&store, &n.to_string(), now).is_ok());
    }
    assert_eq!(store.statistics().failures, 0);
    // It was found out before anything was sent, so it is known that the other node had the nonce, and nothing is in doubt.
    for n in 0..12 {
        assert_eq!(claim_now(&other, &n.to_string(), now), Err(ClaimRefused::Used));
    }
}

#[test]
fn a_restored_or_promoted_postgresql_accepts_nothing_that_it_may_have_forgotten() {
    let Some(place) = Place::postgres() else {
        return;
    };
    let Place::Postgres(server, url) = &place else { unreachable!("made so") };
    let now = present();
    assert!(claim_now(&place.open(now), "a", now).is_ok());
    // As after the restore of an older backup: the rows are gone and the cluster is another.
    let database = url.rsplit('/').next().expect("named");
    server.execute(database, "TRUNCATE replay_nonces; UPDATE replay_state SET cluster = 'another/00000002'");
    let store = place.open(now);
    let again = claim_now(&store, "a", now);
    assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{again:?}");
    let later = after(now, 500);
    assert!(claim_now(&store, "b", later).is_ok());
}

#[test]
fn a_postgresql_that_was_put_back_to_an_earlier_state_accepts_nothing_that_it_has_forgotten() {
    let Some(place) = Place::own_postgres() else {
        return;
    };
    let Place::Postgres(server, url) = &place else { unreachable!("made so") };
    let now = present();
    drop(place.open(now));
    server.stop(End::Orderly);
    server.keep_copy();
    server.start_again();
    // Enough that the log is longer than it is after another start.
    let database = url.rsplit('/').next().expect("named");
    server.execute(database, "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 2000)");
    let store = place.open(now);
    assert!(claim_now(&store, "a", now).is_ok());
    server.stop(End::Orderly);
    server.put_back();
    server.start_again();
    let mut outcome = Err(ClaimRefused::Unavailable);
    let mut numbers = 0..;
    wait_until("the store works again", &PathBuf::new(), || {
        outcome = claim_now(&store, &numbers.next().expect("endless").to_string(), now);
        outcome != Err(ClaimRefused::Unavailable)
    });
    assert!(matches!(outcome, Err(ClaimRefused::TimestampRefused { .. })), "{outcome:?}");
    let again = claim_now(&place.open(now), "a", now);
    assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{again:?}");
}

#[test]
fn a_copy_of_a_database_that_took_its_place_accepts_nothing_that_it_has_forgotten() {
    let Some(place) = Place::postgres() else {
        return;
    };
    let Place::Postgres(server, url) = &place else { unreachable!("made so") };
    let database = url.rsplit('/').next().expect("named");
    let now = present();
    assert!(claim_now(&place.open(now), "a", now).is_ok());
    server.execute("postgres", &format!("CREATE DATABASE {database}_copy TEMPLATE {database}"));
    assert!(claim_now(&place.open(now), "b", now).is_ok());
    server.execute("postgres", &format!("ALTER DATABASE {database} RENAME TO {database}_before"));
    server.execute("postgres", &format!("ALTER DATABASE {database}_copy RENAME TO {database}"));
    let again = claim_now(&place.open(now), "b", now);
    assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{again:?}");
}

#[test]
fn an_expired_partition_is_dropped_and_never_made_again() {
    let Some(place) = Place::postgres() else {
        return;
    };
    // Both an hour behind the database, so that it agrees to the dropping.
    let now = after(present(), -7_200);
    let later = after(now, 3_600);
    let [ahead, behind] = [place.open(now), place.open(now)];
    assert!(claim_now(&ahead, "a", now).is_ok());
    assert!(claim_now(&ahead, "b", later).is_ok());
    // Once a commit after the expiry is answered, the expiry is done or comes with the next one.
    wait_until("the partition is dropped", &PathBuf::new(), || {
        let n = ahead.statistics().committed.to_string();
        assert!(claim_now(&ahead, &n, later).is_ok());
        matches!(claim_now(&behind, &n, now), Err(ClaimRefused::TimestampRefused { .. }))
    });
    let again = claim_now(&behind, "a", now);
    assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{again:?}");
    assert!(claim_now(&behind, "c", later).is_ok());
}

#[test]
fn a_redis_that_stops_is_waited_for_and_trusted_with_new_timestamps_only() {
    for end in [End::Orderly, End::Crash] {
        let Some(place) = Place::redis() else {
            return;
        };
        let Place::Redis(server) = &place else { unreachable!("made so") };
        let now = present();
        let store = place.open(now);
        assert!(claim_now(&store, "a", now).is_ok());
        server.stop(end);
        assert_eq!(claim_now(&store, "b", now), Err(ClaimRefused::Unavailable));
        assert!(!store.is_ready());
        server.start_again();
        wait_until("the store works again", &PathBuf::new(), || store.is_ready());
        for nonce in ["a", "b", "c"] {
            assert!(claim_now(&store, nonce, now).is_err());
        }
        let other = place.open(now);
        let Err(ClaimRefused::TimestampRefused { from, .. }) = claim_now(&other, "c", now) else {
            panic!("an old timestamp was accepted");
        };
        assert!(from > after(now, 300));
        let later = after(now, 200);
        assert!(block_on(claim(&other, "c", from, later)).is_ok());
        assert_eq!(block_on(claim(&store, "c", from, later)), Err(ClaimRefused::Used));
    }
}

#[test]
fn a_redis_that_is_flushed_accepts_nothing_that_it_has_forgotten() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    let now = present();
    let [one, two] = [place.open(now), place.open(now)];
    assert!(claim_now(&one, "a", now).is_ok());
    assert_eq!(server.command("FLUSHALL").expect("flushes"), "+OK");
    for store in [&two, &one] {
        let again = claim_now(store, "a", now);
        assert!(again.is_err(), "{again:?}");
        assert!(claim_now(store, "b", now).is_err());
    }
}

#[test]
fn a_redis_that_was_emptied_while_no_node_ran_accepts_nothing_that_it_has_forgotten() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    let now = present();
    let open = |known| ReplayStore::open_redis(&place.url(), known, &options(), now);
    let store = open(None).expect("opens");
    let known = store.hash_key();
    assert!(claim_now(&store, "a", now).is_ok());
    drop(store);
    assert_eq!(server.command("FLUSHALL").expect("flushes"), "+OK");
    let store = open(Some(known)).expect("opens");
    assert_eq!(store.hash_key(), known);
    let again = claim_now(&store, "a", now);
    assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{again:?}");
    let another = open(Some([7; 16])).err().expect("is refused").to_string();
    assert!(another.contains("another installation"), "{another}");
}

#[test]
fn a_redis_whose_clock_was_ahead_accepts_nothing_that_it_has_forgotten() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    // What a clock that is ahead does to every key with an end, and to no other.
    let let_expire = "EVAL \"for _, k in ipairs(redis.call('KEYS', '*')) do \
                      if redis.call('PTTL', k) > 0 then redis.call('DEL', k) end end\" 0";
    let now = present();
    for restarted in [false, true] {
        assert_eq!(server.command("FLUSHALL").expect("flushes"), "+OK");
        let mut store = place.open(now);
        assert!(claim_now(&store, "a", now).is_ok());
        let other = place.open(now);
        server.command(let_expire).expect("is done");
        if restarted {
            store = place.open(now);
        }
        for node in [&store, &other] {
            let again = claim_now(node, "a", now);
            assert!(again.is_err(), "{again:?}");
            let new = claim_now(node, "b", now);
            assert!(matches!(new, Err(ClaimRefused::TimestampRefused { .. })), "{new:?}");
        }
    }
}

#[test]
fn a_redis_that_was_written_for_a_smaller_window_is_refused_what_expires_too_early() {
    let Some(place) = Place::redis() else {
        return;
    };
    let now = present();
    let mut wide = options();
    wide.past_seconds = 3_000;
    assert!(claim_now(&place.open(now), "a", now).is_ok());
    let store = place.open_with(&wide, now).expect("opens");
    let new = claim_now(&store, "b", now);
    assert!(matches!(new, Err(ClaimRefused::TimestampRefused { .. })), "{new:?}");
}

#[test]
fn after_a_loss_no_node_accepts_what_the_fastest_may_have_accepted() {
    let places = [Place::redis(), Place::own_postgres()];
    for place in places.into_iter().flatten() {
        let now = present();
        let (fast, mut slow) = (place.open(after(now, 55)), place.open(after(now, -55)));
        let ahead = after(now, 350);
        assert!(block_on(claim(&fast, "a", ahead, after(now, 55))).is_ok());
        match &place {
            Place::Redis(server) => {
                server.command("FLUSHALL").expect("flushes");
            }
            Place::Postgres(server, url) => {
                let database = url.rsplit('/').next().expect("the URL names a database");
                server.execute(database, "DELETE FROM replay_nonces; UPDATE replay_state SET cluster = 'another/1/1'");
                slow = place.open(after(now, -55));
            }
            Place::Journal(_) => unreachable!("not among them"),
        }
        // The slow one notices first.
        drop(block_on(claim(&slow, "b", now, after(now, -55))));
        let again = block_on(claim(&place.open(after(now, 55)), "a", ahead, after(now, 55)));
        assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{again:?}");
    }
}

#[test]
fn nodes_whose_clocks_differ_a_little_may_start_in_any_order() {
    for offsets in [[0, -59], [-59, 0], [59, -59], [0, -2]] {
        let Some(place) = Place::redis() else {
            return;
        };
        let now = present();
        let nodes = offsets.map(|offset| (place.open(after(now, offset)), after(now, offset)));
        for (number, (node, now)) in nodes.iter().enumerate() {
            let new = block_on(claim(node, &number.to_string(), *now, *now));
            assert!(new.is_ok(), "{offsets:?}: {new:?}");
        }
    }
}

#[test]
fn after_a_loss_the_widest_window_counts_whoever_comes_first() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    let now = present();
    let mut wide = options();
    wide.future_seconds = 1_000;
    let far = place.open_with(&wide, now).expect("opens");
    let narrow = place.open(now);
    let ahead = after(now, 900);
    assert!(block_on(claim(&far, "a", ahead, now)).is_ok());
    let known = Some(far.hash_key());
    server.command("FLUSHALL").expect("flushes");
    assert!(claim_now(&narrow, "b", now).is_err());
    let again = ReplayStore::open_redis(&place.url(), known, &wide, now).expect("opens");
    let again = block_on(claim(&again, "a", ahead, now));
    assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{again:?}");
}

#[test]
fn another_installations_redis_is_left_as_it_is() {
    let Some(place) = Place::redis() else {
        return;
    };
    let now = present();
    let mut wide = options();
    wide.past_seconds = 3_000;
    let store = place.open(now);
    assert!(ReplayStore::open_redis(&place.url(), Some([7; 16]), &wide, now).is_err());
    assert!(claim_now(&store, "a", now).is_ok());
}

#[test]
fn a_node_whose_clock_is_wrong_is_not_served() {
    for place in [Place::redis(), Place::postgres()].into_iter().flatten() {
        let refused = place.open_with(&ReplayOptions::default(), after(present(), 200)).err().expect("is refused");
        assert!(refused.to_string().contains("ahead of this machine's"), "{refused}");
    }
}

#[test]
fn a_redis_that_was_a_replica_for_a_while_accepts_nothing_that_it_has_forgotten() {
    let (Some(place), Some(Place::Redis(other))) = (Place::redis(), Place::redis()) else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    let now = present();
    let follow = |one: &Redis, of: &Redis| {
        one.command(&format!("REPLICAOF 127.0.0.1 {}", of.port())).expect("follows");
        wait_until("it has all", &PathBuf::new(), || synced(one));
        one.command("REPLICAOF NO ONE").expect("leads");
    };
    drop(place.open(now));
    follow(&other, server);
    let store = place.open(now);
    assert!(claim_now(&store, "a", now).is_ok());
    drop(store);
    follow(server, &other);
    let again = claim_now(&place.open(now), "a", now);
    assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{again:?}");
}

/// Whether a replica has got everything from its primary.
fn synced(replica: &Redis) -> bool {
    let link = "EVAL \"return {ok = redis.call('INFO', 'replication'):match('master_link_status:(%a+)')}\" 0";
    replica.command(link).is_ok_and(|answer| answer == "+up")
}

#[test]
fn nodes_with_different_windows_remember_as_long_as_the_widest() {
    let Some(place) = Place::redis() else {
        return;
    };
    let now = present();
    let mut wide = options();
    wide.past_seconds = 3_000;
    let narrow = place.open(now);
    let later = |store: &ReplayStore| match block_on(claim(store, "x", now, now)) {
        Err(ClaimRefused::TimestampRefused { from, .. }) => from,
        other => panic!("{other:?}"),
    };
    let first = later(&place.open_with(&wide, now).expect("opens"));
    // What the narrow one would forget too early is not accepted; then it has learnt.
    assert!(claim_now(&narrow, "y", now).is_err());
    wait_until("the store works again", &PathBuf::new(), || narrow.is_ready());
    assert_eq!(later(&narrow), first, "one loss, and not one a minute");
    assert_eq!(later(&place.open(now)), first);
}

#[test]
fn who_may_make_no_partitions_is_told_what_to_do_at_the_start() {
    let Some(place) = Place::postgres() else {
        return;
    };
    let Place::Postgres(server, url) = &place else { unreachable!("made so") };
    let database = url.rsplit('/').next().expect("named");
    let role = format!("writer_of_{database}");
    let rights = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public";
    server.execute(database, &format!("CREATE ROLE {role} LOGIN; {rights} TO {role}"));
    let open = || open_url(&url.replace("countersign@", &format!("{role}@")), &options(), present());
    let refused = open().err().expect("is refused").to_string();
    assert!(refused.contains("must own"), "{refused}");
    let all = "GRANT CREATE, USAGE ON SCHEMA public";
    let own = format!("ALTER TABLE replay_nonces OWNER TO {role}; ALTER TABLE replay_state OWNER TO {role}");
    server.execute(database, &format!("{all} TO {role}; {own}"));
    assert!(claim_now(&open().expect("opens"), "a", present()).is_ok());
}

#[test]
fn a_postgresql_whose_table_is_locked_by_somebody_is_not_ready() {
    let Some(place) = Place::postgres() else {
        return;
    };
    let now = present();
    let mut one_lane = options();
    one_lane.postgres_connections = 1;
    let store = place.open_with(&one_lane, now).expect("opens");
    let mut outsider = PgConnection::establish(&place.url()).expect("connects");
    outsider.batch_execute("BEGIN; LOCK TABLE replay_nonces").expect("locks");
    assert_eq!(claim_now(&store, "a", now), Err(ClaimRefused::Unavailable));
    for _ in 0..20 {
        assert!(!store.is_ready());
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(outsider);
    wait_until("the store works again", &PathBuf::new(), || claim_now(&store, "b", now).is_ok());
}

#[test]
fn a_redis_without_room_refuses_and_comes_back() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    let now = present();
    let store = place.open(now);
    assert!(claim_now(&store, "a", now).is_ok());
    assert_eq!(server.command("CONFIG SET maxmemory 1").expect("is set"), "+OK");
    assert_eq!(claim_now(&store, "b", now), Err(ClaimRefused::Unavailable));
    assert!(!store.is_ready());
    assert_eq!(server.command("CONFIG SET maxmemory 0").expect("is set"), "+OK");
    wait_until("the store works again", &PathBuf::new(), || store.is_ready());
    assert_eq!(claim_now(&store, "a", now), Err(ClaimRefused::Used));
    assert!(claim_now(&store, "c", now).is_ok());
}

#[test]
fn a_redis_that_may_evict_is_not_used() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    for setting in ["maxmemory 100mb", "maxmemory-policy volatile-ttl"] {
        assert_eq!(server.command(&format!("CONFIG SET {setting}")).expect("is set"), "+OK");
    }
    let refused = place.open_with(&options(), present()).err().expect("is refused").to_string();
    assert!(refused.contains("noeviction"), "{refused}");
}

#[test]
fn a_redis_that_evicted_for_a_while_is_found_out() {
    let Some(place) = Place::redis() else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    let now = present();
    let store = place.open(now);
    assert!(claim_now(&store, "a", now).is_ok());
    store.close();
    // Others of shorter lives go first: the nonce itself stays, and its mark, and nothing but the count tells.
    for number in 0..3000 {
        let other = format!("SET other:{number} {} EX 60", "x".repeat(1000));
        assert_eq!(server.command(&other).expect("is set"), "+OK");
    }
    for setting in ["maxmemory-policy volatile-ttl", "maxmemory 3mb", "maxmemory 0", "maxmemory-policy noeviction"] {
        assert_eq!(server.command(&format!("CONFIG SET {setting}")).expect("is set"), "+OK");
    }
    assert!(matches!(claim_now(&place.open(now), "a", now), Err(ClaimRefused::TimestampRefused { .. })));
}

#[test]
fn replicas_that_are_asked_for_and_missing_are_a_failure() {
    let Some(place) = Place::redis() else {
        return;
    };
    let now = present();
    let mut options = options();
    options.redis_wait_replicas = 1;
    let refused = place.open_with(&options, now).err().expect("is refused").to_string();
    assert!(refused.contains("redis.wait_replicas"), "{refused}");
}

#[test]
fn a_store_whose_replicas_went_away_is_not_ready_until_they_are_back() {
    let (Some(place), Some(Place::Redis(replica))) = (Place::redis(), Place::redis()) else {
        return;
    };
    let Place::Redis(server) = &place else { unreachable!("made so") };
    let follow = format!("REPLICAOF 127.0.0.1 {}", server.port());
    let now = present();
    let mut options = options();
    options.redis_wait_replicas = 1;
    replica.command(&follow).expect("follows");
    wait_until("it has all", &PathBuf::new(), || synced(&replica));
    let store = place.open_with(&options, now).expect("opens");
    assert!(claim_now(&store, "a", now).is_ok());
    replica.stop(End::Crash);
    assert_eq!(claim_now(&store, "b", now), Err(ClaimRefused::Unavailable));
    for _ in 0..20 {
        assert!(!store.is_ready());
        std::thread::sleep(Duration::from_millis(50));
    }
    replica.start_again();
    replica.command(&follow).expect("follows");
    wait_until("the store works again", &PathBuf::new(), || store.is_ready());
    assert!(claim_now(&store, "c", now).is_ok());
}

#[test]
fn what_redis_would_have_forgotten_by_now_is_never_fresh() {
    let Some(place) = Place::redis() else {
        return;
    };
    // A node that froze with a claim goes on with it when its minute has gone.
    let now = after(present(), -600);
    for store in [place.open(now), place.open(now)] {
        assert_eq!(claim_now(&store, "a", now), Err(ClaimRefused::Unavailable));
    }
}

/// A proxy that keeps a client's connection whichever server it leads to; its port, and the server's, which may be changed.
fn keeping_proxy(server: u16) -> (u16, Arc<AtomicU16>) {
    let target = Arc::new(AtomicU16::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    let leads_to = Arc::clone(&target);
    let serve = move |mut client: TcpStream| {
        let mut upstream: Option<(u16, TcpStream)> = None;
        let mut bytes = [0; 4096];
        loop {
            let length = client.read(&mut bytes)?;
            let target = leads_to.load(Ordering::SeqCst);
            if length == 0 {
                return Ok::<_, std::io::Error>(());
            }
            if upstream.as_ref().is_none_or(|(port, _)| *port != target) {
                let server = TcpStream::connect(("127.0.0.1", target))?;
                let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
                std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
                upstream = Some((target, server));
            }
            if let Some((_, server)) = &mut upstream {
                server.write_all(&bytes[..length])?;
            }
        }
    };
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            std::thread::spawn(move || serve(client));
        }
    });
    (port, target)
}

#[test]
fn a_failover_behind_a_proxy_that_keeps_our_connection_lets_nothing_in_twice() {
    let (Some(Place::Redis(primary)), Some(Place::Redis(replica))) = (Place::redis(), Place::redis()) else {
        return;
    };
    let (port, target) = keeping_proxy(primary.port());
    let url = format!("redis://127.0.0.1:{port}/");
    let now = present();
    let [one, two] = [0, 1].map(|_| open_url(&url, &options(), now).expect("opens"));
    replica.command(&format!("REPLICAOF 127.0.0.1 {}", primary.port())).expect("follows");
    wait_until("it has all", &PathBuf::new(), || synced(&replica));
    replica.command("REPLICAOF NO ONE").expect("leads");
    assert!(claim_now(&one, "lost", now).is_ok());
    assert_eq!(claim_now(&two, "lost", now), Err(ClaimRefused::Used));
    assert!(claim_now(&one, "lost too", now).is_ok());
    target.store(replica.port(), Ordering::SeqCst);
    assert!(claim_now(&two, "lost too", now).is_err());
    for store in [&one, &two] {
        let again = claim_now(store, "another", now);
        assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{again:?}");
    }
}

#[test]
fn a_redis_that_can_not_be_used_is_named_without_its_password() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let silent = silent.local_addr().expect("it has an address").port();
    let open = |port: u16| {
        let url = format!("redis://jo:hunter2@127.0.0.1:{port}/");
        let error = open_url(&url, &options(), present()).err().expect("is refused");
        assert!(std::error::Error::source(&error).is_none(), "its cause is said already");
        let error = error.to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}: ")) && !error.contains("hunter2"), "{error}");
        error
    };
    assert!(open(crate::servers::free_port()).contains("refused"));
    assert!(open(silent).contains("does it speak TLS?"));
}

#[test]
fn a_journal_that_was_restored_accepts_nothing_that_it_has_forgotten() {
    let place = Place::journal().expect("needs nothing");
    let journal = PathBuf::from(place.url());
    let backup = journal.with_extension("backup");
    let now = present();
    assert!(claim_now(&place.open(now), "before", now).is_ok());
    std::fs::copy(&journal, &backup).expect("a backup");
    let later = after(now, 120);
    assert!(claim_now(&place.open(later), "after", later).is_ok());
    // Over the same file, as `cp` does: only the floor file knows better.
    std::fs::copy(&backup, &journal).expect("a restored backup");
    let store = place.open(later);
    let again = claim_now(&store, "after", later);
    assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{again:?}");
    assert!(claim_now(&store, "new", after(later, 360)).is_ok());
    drop(store);
    let later = after(later, 300);
    // As another file, with the floor file restored too: everything that could have been accepted is refused.
    std::fs::rename(&backup, &journal).expect("a restored backup");
    let store = place.open(after(later, 60));
    assert!(claim_now(&store, "new", after(later, 60)).is_err());
    assert!(claim_now(&store, "newer", after(later, 60 + 360)).is_ok());
}

#[test]
fn a_journal_that_was_restored_within_the_minute_is_found_by_its_start_or_its_end() {
    for copied_while_running in [true, false] {
        let place = Place::journal().expect("needs nothing");
        let journal = PathBuf::from(place.url());
        let backup = journal.with_extension("backup");
        let now = present();
        let store = place.open(now);
        assert!(claim_now(&store, "before", now).is_ok());
        if !copied_while_running {
            drop(store);
            std::fs::copy(&journal, &backup).expect("a backup");
            let store = place.open(now);
            assert!(claim_now(&store, "after", now).is_ok());
        } else {
            // What is in the log is not in the file.
            std::fs::copy(&journal, &backup).expect("a backup");
            assert!(claim_now(&store, "after", now).is_ok());
            drop(store);
        }
        std::fs::copy(&backup, &journal).expect("a restored backup");
        let _ = std::fs::remove_file(journal.with_extension("db-wal"));
        let again = claim_now(&place.open(now), "after", now);
        assert!(matches!(again, Err(ClaimRefused::TimestampRefused { .. })), "{copied_while_running}: {again:?}");
    }
}

#[test]
fn an_orderly_restart_forgets_nothing_and_refuses_nothing() {
    let place = Place::journal().expect("needs nothing");
    let now = present();
    for round in 0..3 {
        let store = place.open(now);
        assert_eq!(claim_now(&store, "again", now).is_ok(), round == 0);
        assert!(claim_now(&store, &round.to_string(), now).is_ok());
    }
}

#[test]
fn a_journal_that_was_deleted_accepts_nothing_that_it_has_forgotten() {
    let place = Place::journal().expect("needs nothing");
    let now = present();
    assert!(claim_now(&place.open(now), "a", now).is_ok());
    std::fs::remove_file(place.url()).expect("deleted");
    let store = place.open(now);
    assert!(claim_now(&store, "a", now).is_err());
    assert!(claim_now(&store, "a", after(now, 60)).is_ok());
}

#[test]
fn a_journal_gives_back_the_rows_of_expired_minutes() {
    let place = Place::journal().expect("needs nothing");
    let now = present();
    let store = place.open(now);
    for minute in 0..60 {
        let moment = after(now, minute * 60);
        for n in 0..20 {
            assert!(claim_now(&store, &n.to_string(), moment).is_ok());
        }
    }
    let end = after(now, 60 * 60);
    wait_until("the memory is given back", &PathBuf::new(), || {
        let _ = claim_now(&store, "tick", end);
        store.statistics().live <= 6 * 20 + 1
    });
    drop(store);
    let store = place.open(end);
    assert!(store.statistics().live <= 6 * 20 + 1);
    let file = std::fs::metadata(place.url()).expect("the journal").len();
    // 1,200 rows of a hundred bytes each would be more; removed rows leave their pages to new ones.
    assert!(file < 100_000, "{file} bytes");
}
