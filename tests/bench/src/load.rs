//! The load generator: one thread, one epoll, keep-alive connections with one request in flight on each.
//!
//! Without a rate it is a closed loop: a connection that got its answer sends the next request, which finds the most that
//! the server can do. With a rate requests are due at fixed times, and latency counts from the time at which a request was
//! due, so a server that stalls can't hide it. Every answer's status is checked. It sends to loopback addresses only, and
//! stops by itself when its time or its requests are used up.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::process;
use crate::sign::{self, Challenge, Credential, Key, Signer};

const MOST_SECONDS: f64 = 60.0;
const MOST_CONNECTIONS: usize = 4096;
const MOST_REQUESTS: usize = 3_000_000;
/// After the last request was sent: how long answers are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to send, where, and for how long.
#[derive(Deserialize)]
pub struct Job {
    pub address: SocketAddr,
    pub path: String,
    pub credential: Credential,
    pub connections: usize,
    /// Measured time, after `warmup` seconds that count nothing.
    pub seconds: f64,
    pub warmup: f64,
    /// Requests a second for the open loop; none for as many as possible.
    pub rate: Option<f64>,
    /// How many requests a second are signed in advance in the closed loop. The run ends early when they are used up.
    pub expected_rate: f64,
    /// The status that every answer should have; others are counted in `unexpected`.
    pub expect: u16,
    /// Processes whose CPU time and memory are the server's, with their descendants.
    pub pids: Vec<u32>,
}

/// What was measured.
#[derive(Serialize)]
pub struct Report {
    pub requests: usize,
    pub seconds: f64,
    pub requests_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// Answers with another status than the expected, by status.
    pub unexpected: std::collections::BTreeMap<u16, usize>,
    /// Connections that broke.
    pub broken: usize,
    pub cpu_us_per_request: f64,
    pub resident_mib: f64,
    /// The open loop could not keep its rate: this share of requests was sent late by more than a millisecond.
    pub late: f64,
    /// The requests signed in advance were used up before the time was.
    pub used_up: bool,
}

/// Signs, connects, sends, measures.
pub fn run(job: &Job) -> anyhow::Result<Report> {
    ensure!(job.address.ip().is_loopback(), "only loopback addresses are a target");
    ensure!(job.seconds + job.warmup <= MOST_SECONDS, "at most {MOST_SECONDS} seconds");
    ensure!((1..=MOST_CONNECTIONS).contains(&job.connections), "1 to {MOST_CONNECTIONS} connections");
    let supply = Supply::new(job)?;
    Generator::new(job, supply)?.run()
}

/// The requests, made in advance.
struct Supply {
    requests: Vec<Vec<u8>>,
    order: Order,
}

enum Order {
    /// Any request on any connection, each once.
    Shared { next: usize },
    /// The first request again and again.
    Same,
    /// Each connection its own share, since a Digest nonce is counted up.
    Own { next: Vec<usize>, share: usize },
}

impl Supply {
    fn new(job: &Job) -> anyhow::Result<Self> {
        let Job { address, path, .. } = job;
        let rate = job.rate.unwrap_or(job.expected_rate);
        let count = (rate * (job.seconds + job.warmup) * 1.02) as usize + job.connections;
        let count = count.min(MOST_REQUESTS);
        match &job.credential {
            Credential::Fixed { headers } => {
                Ok(Self { requests: vec![sign::fixed(*address, path, headers)], order: Order::Same })
            }
            Credential::Oauth1 { method, consumer_key, consumer_secret, token, token_secret, rsa_private_key } => {
                let key = Key::new(method, consumer_secret, token_secret, rsa_private_key.as_deref())?;
                let signer = Signer { key: &key, method, consumer_key, token };
                Self::signed(count, rate, |_, nonce, due| sign::oauth1(*address, path, &signer, nonce, due))
            }
            Credential::Oauth1Many { secret, token_secret, clients, tokens, in_use } => {
                let key = Key::new("HMAC-SHA1", secret, token_secret, None)?;
                Self::signed(count, rate, |number, nonce, due| {
                    let (consumer_key, token) = sign::one_of_many(*clients, *tokens, *in_use, number);
                    let signer = Signer { key: &key, method: "HMAC-SHA1", consumer_key: &consumer_key, token: &token };
                    sign::oauth1(*address, path, &signer, nonce, due)
                })
            }
            Credential::Guesses { headers } => {
                let requests = (0..count).map(|number| sign::guess(*address, path, headers, number)).collect();
                Ok(Self { requests, order: Order::Shared { next: 0 } })
            }
            Credential::Digest { username, password, algorithm, headers } => {
                let share = count / job.connections + 1;
                let mut requests = Vec::with_capacity(share * job.connections);
                for _ in 0..job.connections {
                    let challenge = challenge(job, headers, algorithm)?;
                    for number in 1..=share {
                        let count = u32::try_from(number)?;
                        let names = (username.as_str(), password.as_str(), algorithm.as_str());
                        requests.push(sign::digest(*address, path, names, headers, &challenge, count));
                    }
                }
                Ok(Self { requests, order: Order::Own { next: vec![0; job.connections], share } })
            }
        }
    }

    /// Requests that are good for once. `sign` gets the request's number, its nonce and its timestamp.
    fn signed(
        count: usize,
        rate: f64,
        sign: impl Fn(usize, &str, u64) -> anyhow::Result<Vec<u8>> + Sync,
    ) -> anyhow::Result<Self> {
        let run = format!("{:x}-{:x}", std::process::id(), sign::now());
        let start = sign::now();
        // Two threads sign, since an RSA signature takes a millisecond.
        let half = |numbers: std::ops::Range<usize>| -> anyhow::Result<Vec<Vec<u8>>> {
            numbers
                .map(|number| {
                    let due = start + (number as f64 / rate) as u64;
                    sign(number, &format!("{run}-{number:x}"), due)
                })
                .collect()
        };
        let requests = std::thread::scope(|scope| -> anyhow::Result<Vec<Vec<u8>>> {
            let second = scope.spawn(|| half(count / 2..count));
            let mut requests = half(0..count / 2)?;
            match second.join() {
                Ok(more) => requests.extend(more?),
                Err(_) => bail!("the second signing thread panicked"),
            }
            Ok(requests)
        })?;
        Ok(Self { requests, order: Order::Shared { next: 0 } })
    }

    /// The next request for a connection, or none when they are used up.
    fn next(&mut self, connection: usize) -> Option<&[u8]> {
        let place = match &mut self.order {
            Order::Same => 0,
            Order::Shared { next } => {
                *next += 1;
                *next - 1
            }
            Order::Own { next, share } => {
                let own = next.get_mut(connection)?;
                if own == share {
                    return None;
                }
                *own += 1;
                connection * *share + *own - 1
            }
        };
        self.requests.get(place).map(Vec::as_slice)
    }
}

/// Asks the server for a Digest challenge with a request that carries no credential.
fn challenge(job: &Job, headers: &[(String, String)], algorithm: &str) -> anyhow::Result<Challenge> {
    let mut stream = Blocking::connect(job.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut all = headers.to_vec();
    all.push(("Connection".into(), "close".into()));
    stream.write_all(&sign::fixed(job.address, &job.path, &all))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Challenge::find(&String::from_utf8_lossy(&answer), algorithm).context("the server sent no Digest challenge")
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    /// When the request in flight was due (open loop) or sent (closed loop); none while idle.
    since: Option<Instant>,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr, token: usize, poll: &Poll) -> anyhow::Result<Self> {
        // Connected before it is non-blocking, so that the run begins with every connection established.
        let stream = Blocking::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, answer: Vec::with_capacity(8192), since: None, unsent: Vec::new() })
    }

    fn send(&mut self, request: &[u8]) -> std::io::Result<()> {
        match self.stream.write(request) {
            Ok(sent) if sent == request.len() => Ok(()),
            Ok(sent) => {
                self.unsent.extend_from_slice(request.get(sent..).unwrap_or_default());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.unsent.extend_from_slice(request);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn send_rest(&mut self) -> std::io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there; the status when the answer is complete.
    fn receive(&mut self) -> std::io::Result<Option<u16>> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.answer.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    if let Some((status, end)) = complete(&self.answer) {
                        self.answer.drain(..end);
                        return Ok(Some(status));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The status and length of the answer at the start of `bytes`, if all of it is there. Answers here carry a
/// Content-Length, or no body at all; a chunked one is complete with its last chunk.
fn complete(bytes: &[u8]) -> Option<(u16, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let status: u16 = head.get(9..12)?.parse().ok()?;
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    if header("transfer-encoding").is_some() {
        let rest = bytes.get(end..)?;
        return rest.ends_with(b"0\r\n\r\n").then_some((status, bytes.len()));
    }
    let total = end + header("content-length").map_or(0, |value| value.parse().unwrap_or(0));
    (bytes.len() >= total).then_some((status, total))
}

struct Generator<'a> {
    job: &'a Job,
    supply: Supply,
    poll: Poll,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    report: Report,
    latencies: Vec<u32>,
    sent: usize,
    late: usize,
    in_flight: usize,
}

impl<'a> Generator<'a> {
    fn new(job: &'a Job, supply: Supply) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(job.connections);
        for number in 0..job.connections {
            connections.push(Connection::open(job.address, number, &poll)?);
        }
        let report = Report {
            requests: 0,
            seconds: 0.0,
            requests_per_second: 0.0,
            p50_ms: 0.0,
            p99_ms: 0.0,
            max_ms: 0.0,
            unexpected: Default::default(),
            broken: 0,
            cpu_us_per_request: 0.0,
            resident_mib: 0.0,
            late: 0.0,
            used_up: false,
        };
        let idle = (0..job.connections).rev().collect();
        Ok(Self { job, supply, poll, connections, idle, report, latencies: Vec::new(), sent: 0, late: 0, in_flight: 0 })
    }

    fn run(mut self) -> anyhow::Result<Report> {
        let mut events = Events::with_capacity(1024);
        let start = Instant::now();
        let warm = start + Duration::from_secs_f64(self.job.warmup);
        let end = warm + Duration::from_secs_f64(self.job.seconds);
        let mut measured: Option<(Instant, process::Usage)> = None;
        let mut last = start;

        loop {
            let now = Instant::now();
            if measured.is_none() && now >= warm {
                measured = Some((now, process::usage(&self.job.pids)));
                self.latencies.clear();
                self.late = 0;
                self.sent = 0;
            }
            if now >= end || self.report.used_up {
                break;
            }
            let timeout = self.feed(start, now)?;
            self.poll.poll(&mut events, Some(timeout))?;
            for event in &events {
                let number = event.token().0;
                self.progress(number, event.is_readable() || event.is_read_closed())?;
            }
            last = Instant::now();
        }

        let (begun, before) = measured.context("all requests were used up in the warm-up")?;
        let after = process::usage(&self.job.pids);
        self.drain(&mut events)?;
        Ok(self.finish(last.saturating_duration_since(begun), before, after))
    }

    /// Sends what is due, and says how long to wait for the next.
    fn feed(&mut self, start: Instant, now: Instant) -> anyhow::Result<Duration> {
        let Some(rate) = self.job.rate else {
            while let Some(number) = self.idle.pop() {
                if !self.send(number, Instant::now())? {
                    break;
                }
            }
            return Ok(Duration::from_millis(50));
        };
        let due = |place: usize| start + Duration::from_secs_f64(place as f64 / rate);
        let mut place = self.report.requests;
        while due(place) <= now {
            let Some(number) = self.idle.pop() else { return Ok(Duration::from_millis(50)) };
            if now.duration_since(due(place)) > Duration::from_millis(1) {
                self.late += 1;
            }
            if !self.send(number, due(place))? {
                break;
            }
            place += 1;
            self.report.requests = place;
        }
        // epoll waits in whole milliseconds, so the last of them is spent asking.
        let wait = due(place).saturating_duration_since(now);
        Ok(if wait < Duration::from_millis(2) { Duration::ZERO } else { wait - Duration::from_millis(1) })
    }

    /// Sends the next request on a connection; false when there is none left.
    fn send(&mut self, number: usize, since: Instant) -> anyhow::Result<bool> {
        let Some(request) = self.supply.next(number) else {
            self.report.used_up = true;
            return Ok(false);
        };
        let connection = self.connections.get_mut(number).context("a connection")?;
        connection.since = Some(since);
        self.in_flight += 1;
        if connection.send(request).is_err() {
            self.reopen(number)?;
        } else {
            self.sent += 1;
        }
        Ok(true)
    }

    fn progress(&mut self, number: usize, readable: bool) -> anyhow::Result<()> {
        let connection = self.connections.get_mut(number).context("a connection")?;
        if !connection.unsent.is_empty() && connection.send_rest().is_err() {
            return self.reopen(number);
        }
        if !readable {
            return Ok(());
        }
        match connection.receive() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                if let Some(since) = connection.since.take() {
                    self.in_flight -= 1;
                    let nanoseconds = since.elapsed().as_nanos();
                    self.latencies.push(u32::try_from(nanoseconds).unwrap_or(u32::MAX));
                    if status != self.job.expect {
                        *self.report.unexpected.entry(status).or_default() += 1;
                    }
                }
                if self.job.rate.is_some() {
                    self.idle.push(number);
                } else {
                    self.send(number, Instant::now())?;
                }
                Ok(())
            }
            Err(_) => self.reopen(number),
        }
    }

    /// A connection that broke is counted and replaced.
    fn reopen(&mut self, number: usize) -> anyhow::Result<()> {
        self.report.broken += 1;
        ensure!(self.report.broken < 10_000, "the server closes every connection");
        let fresh = Connection::open(self.job.address, number, &self.poll)?;
        let old = self.connections.get_mut(number).context("a connection")?;
        if std::mem::replace(old, fresh).since.is_some() {
            self.in_flight -= 1;
        }
        self.idle.push(number);
        Ok(())
    }

    /// Takes the answers that are still under way, so that the server ends the run at rest.
    fn drain(&mut self, events: &mut Events) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while self.in_flight > 0 && Instant::now() < end {
            self.poll.poll(events, Some(Duration::from_millis(50)))?;
            for event in &*events {
                let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
                let _ = connection.send_rest();
                if !matches!(connection.receive(), Ok(None)) && connection.since.take().is_some() {
                    self.in_flight -= 1;
                }
            }
        }
        self.report.broken += self.in_flight;
        Ok(())
    }

    fn finish(mut self, time: Duration, before: process::Usage, after: process::Usage) -> Report {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let at = |share: f64| {
            let place = ((count as f64 * share) as usize).min(count.saturating_sub(1));
            self.latencies.get(place).map_or(0.0, |nanoseconds| f64::from(*nanoseconds) / 1e6)
        };
        let (p50_ms, p99_ms, max_ms) = (at(0.50), at(0.99), at(1.0));
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        Report {
            requests: count,
            seconds: time.as_secs_f64(),
            requests_per_second: count as f64 / time.as_secs_f64(),
            p50_ms,
            p99_ms,
            max_ms,
            cpu_us_per_request: cpu * 1e6 / (count.max(1) as f64),
            resident_mib: after.resident_kib as f64 / 1024.0,
            late: self.late as f64 / (self.sent.max(1) as f64),
            ..self.report
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_length() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(complete(text), Some((200, text.len())));
        assert_eq!(complete(&text[..text.len() - 1]), None);
        assert_eq!(complete(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, 27)));
        assert_eq!(complete(b"HTTP/1.1 200 OK\r\n"), None);
    }

    #[test]
    fn a_chunked_answer_is_complete_with_its_last_chunk() {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
        assert_eq!(complete(head.as_bytes()), None);
        let whole = format!("{head}0\r\n\r\n");
        assert_eq!(complete(whole.as_bytes()), Some((200, whole.len())));
    }
}
