//! Real PostgreSQL and Redis servers for tests: on free ports of 127.0.0.1, in temporary folders, ended by their pid.
//!
//! A machine without them runs the rest of the suite: `start` says so on stderr, past the capture of test output, and the test
//! returns. It deliberately uses nothing that is installed as a service.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long a server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of its own, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// `name`: for a reader of the folder's listing.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("countersign-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// As its service manager would.
    Orderly,
    /// At once, without writing anything more.
    Crash,
}

/// A PostgreSQL cluster. Its superuser is `countersign`, without a password.
pub struct Postgres {
    programs: PathBuf,
    folder: Folder,
    port: u16,
    child: Mutex<Option<Child>>,
    databases: AtomicUsize,
}

impl Postgres {
    /// A server of its own; `None` where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let Some(programs) = postgres_programs() else {
            not_run("PostgreSQL");
            return None;
        };
        let server = Self {
            programs,
            folder: Folder::new("postgres"),
            port: free_port(),
            child: Mutex::default(),
            databases: AtomicUsize::new(0),
        };
        // It refuses to run as root, so it gets a folder that it may enter as somebody else.
        let folder = server.folder.path();
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("own folder");
        if is_root() {
            let owner = Command::new("chown").arg("postgres").arg(folder).status();
            assert!(owner.expect("chown runs").success(), "the user postgres exists");
        }
        let made = server
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=countersign"])
            // Small segments, so that a file may be limited in size without ending the write-ahead log.
            .args(["--encoding=UTF8", "--locale=C", "--wal-segsize=1", "-D"])
            .arg(server.data())
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb runs").success(), "initdb succeeds");
        server.start_again();
        Some(server)
    }

    /// The server that the tests running now share; it ends with the last of them.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// Makes an empty database and returns its URL.
    pub fn new_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database on this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://countersign@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL by `psql`; what it answers, a line for each row.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        let done = self
            .command("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command", sql])
            .arg(self.url(database))
            .stderr(Stdio::inherit())
            .output()
            .expect("psql runs");
        assert!(done.status.success(), "{sql}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Limits how long a file may become for the connections that begin from now on: as on a disk that is full by then.
    pub fn limit_files(&self, bytes: Option<u64>) {
        // Only its owner may.
        limit_files(self.owners("prlimit".as_ref()), &self.child, bytes);
    }

    /// Sends a signal to the processes that serve a database: STOP and they hang, CONT and they go on.
    pub fn signal_connections(&self, database: &str, name: &str) {
        let sql = format!("SELECT pid FROM pg_stat_activity WHERE datname = '{database}'");
        for pid in self.execute("postgres", &sql).lines() {
            signal(pid.parse().expect("a process id"), name);
        }
    }

    /// Starts the stopped server on its old port and data.
    pub fn start_again(&self) {
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &format!("port={}", self.port)])
            // Tests crash the server, never the machine.
            .args(["-c", "fsync=off", "-c", "shared_buffers=32MB"])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.log()).expect("a log file"))
            .spawn()
            .expect("postgres starts");
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let probe = || {
            let mut isready = self.command("pg_isready");
            isready.args(["--quiet", "--timeout=1", "--dbname=postgres", "--host=127.0.0.1"]);
            isready.arg(format!("--port={}", self.port)).status().is_ok_and(|status| status.success())
        };
        wait_until("PostgreSQL answers", &self.log(), probe);
    }

    /// Ends the server and waits until it has ended.
    pub fn stop(&self, end: End) {
        let signal = match end {
            End::Orderly => "INT",
            // The immediate shutdown: no checkpoint, recovery at the next start.
            End::Crash => "QUIT",
        };
        end_child(&self.child, signal);
    }

    /// Keeps a copy of the stopped server's files, as a snapshot of its disk would.
    pub fn keep_copy(&self) {
        self.copy(&self.data(), &self.folder.path().join("copy"));
    }

    /// Puts the copy in the place of the stopped server's files.
    pub fn put_back(&self) {
        std::fs::remove_dir_all(self.data()).expect("own files");
        self.copy(&self.folder.path().join("copy"), &self.data());
    }

    fn copy(&self, from: &Path, to: &Path) {
        let copied = self.owners("cp".as_ref()).arg("-a").args([from, to]).status();
        assert!(copied.expect("cp runs").success());
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// One of PostgreSQL's programs.
    fn command(&self, program: &str) -> Command {
        self.owners(&self.programs.join(program))
    }

    /// A program as a user that PostgreSQL accepts. `setpriv` becomes the program, so the pid is the program's.
    fn owners(&self, program: &Path) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop(End::Crash);
    }
}

/// A Redis server with an append-only file, synced every second.
pub struct Redis {
    folder: Folder,
    port: u16,
    child: Mutex<Option<Child>>,
}

impl Redis {
    /// A server of its own; `None` where Redis is not installed.
    pub fn start() -> Option<Self> {
        if !Command::new("redis-server")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
        {
            not_run("Redis");
            return None;
        }
        let server = Self { folder: Folder::new("redis"), port: free_port(), child: Mutex::default() };
        server.start_again();
        Some(server)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Sends one command without quotes in it, and returns the first line of the answer.
    pub fn command(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte)? == 1 && byte != *b"\r" {
            answer.extend(byte);
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Starts the stopped server on its old port and data.
    pub fn start_again(&self) {
        let log = self.folder.path().join("log");
        // It does not ignore by itself the signal that says that a file grew too long.
        let child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec redis-server \"$@\"", "redis-server"])
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir"])
            .arg(self.folder.path())
            .stdout(std::fs::File::create(&log).expect("a log file"))
            .spawn()
            .expect("redis-server starts");
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        let probe = || self.command("PING").is_ok_and(|answer| answer == "+PONG");
        wait_until("Redis answers", &log, probe);
    }

    /// Limits how long its files may become: as on a disk that is full by then.
    pub fn limit_files(&self, bytes: Option<u64>) {
        limit_files(Command::new("prlimit"), &self.child, bytes);
    }

    /// Sends a signal to it: STOP and it hangs, CONT and it goes on.
    pub fn signal(&self, name: &str) {
        signal(child_id(&self.child), name);
    }

    /// Ends the server and waits until it has ended.
    pub fn stop(&self, end: End) {
        let signal = match end {
            End::Orderly => "TERM",
            End::Crash => "KILL",
        };
        end_child(&self.child, signal);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop(End::Crash);
    }
}

/// Sends a signal to a process by its id.
pub fn signal(pid: u32, signal: &str) {
    let sent = Command::new("kill").args(["-s", signal, &pid.to_string()]).status();
    assert!(sent.expect("kill runs").success(), "process {pid} is there");
}

/// Waits until `is_so`, and fails after a while with the end of the log.
pub fn wait_until(what: &str, log: &Path, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        let log = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}\n{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn child_id(child: &Mutex<Option<Child>>) -> u32 {
    child.lock().unwrap_or_else(PoisonError::into_inner).as_ref().expect("the server runs").id()
}

fn limit_files(mut prlimit: Command, child: &Mutex<Option<Child>>, bytes: Option<u64>) {
    let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let limited = prlimit.args([&format!("--fsize={limit}:"), "--pid", &child_id(child).to_string()]).status();
    assert!(limited.expect("prlimit runs").success());
}

fn end_child(child: &Mutex<Option<Child>>, signal_name: &str) {
    let child = child.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut child) = child
        && let Ok(None) = child.try_wait()
    {
        signal(child.id(), signal_name);
        child.wait().expect("the server ends");
    }
}

/// Debian and Ubuntu keep the programs out of the path, by version; the newest is taken.
fn postgres_programs() -> Option<PathBuf> {
    let is_complete = |folder: &PathBuf| {
        ["initdb", "postgres", "psql", "pg_isready"].iter().all(|program| folder.join(program).exists())
    };
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .map(|version| version.path().join("bin"))
        .filter(is_complete)
        .max()
        .or_else(|| std::env::split_paths(&in_path).find(is_complete))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.trim_ascii() == b"0"
}

/// Said past the capture of test output, so that nobody takes a test for run.
fn not_run(what: &str) {
    let _ = writeln!(std::io::stderr(), "not run: {what} is not installed");
}
