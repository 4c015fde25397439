//! The connections to the operator's API: pooled, kept alive, HTTP/1.1 or HTTP/2 (by ALPN, over TLS).
//!
//! Targets go out byte for byte; how long the upstream may think before it
//! answers is bounded, how long an answer may take is not: a peer that is gone is found by TCP's own probes.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::config::{Origin, UpstreamSettings};
use crate::gateway::upload::{Outgoing, Upload};

/// A connection that can't be made within this time is a failure.
const CONNECT: Duration = Duration::from_secs(10);

/// Idle connections are closed after this time, before most servers do it from their side.
const IDLE: Duration = Duration::from_secs(50);

/// When a silent connection is probed, and how often.
const PROBE: Duration = Duration::from_secs(30);

/// What a client that does not read may leave lying of one answer over HTTP/2, in bytes, and all of them on one connection: far more
/// than they can fill, so that nobody waits for somebody else's reader (RFC 9113 §5.2).
const UNREAD: u32 = 256 * 1024;
const UNREAD_TOGETHER: u32 = 1024 * UNREAD;

/// HTTP/2 connections of one thread, and the exchanges after which the next one is used: servers take 100 at once at the least
/// (RFC 9113 §6.5.2), and what is beyond would wait for others' answers to end.
const CONNECTIONS: usize = 16;
const EXCHANGES: usize = 100;

/// Header lines that an answer may have.
const HEADER_LINES: usize = 512;

/// The upstream, as one worker thread sees it: connections belong to the thread that opened them.
pub struct Upstream {
    origin: Origin,
    tls: ClientConfig,
    /// The first is used until it has as many exchanges as one HTTP/2 connection takes.
    lines: Vec<Line>,
    /// For upgrades, which HTTP/2 does not have.
    one_dot_one: Client<HttpsConnector<HttpConnector>, Outgoing>,
    patience: Duration,
}

/// A pool of connections, or one that many exchanges share where the upstream speaks HTTP/2.
struct Line {
    client: Client<HttpsConnector<HttpConnector>, Outgoing>,
    /// Under way on it.
    exchanges: Arc<AtomicUsize>,
}

impl Line {
    fn under_way(&self) -> usize {
        self.exchanges.load(Ordering::Relaxed)
    }
}

/// An exchange under way: it lives as long as its answer.
pub struct Exchange(Arc<AtomicUsize>);

impl Exchange {
    fn uncounted() -> Self {
        Self(Arc::new(AtomicUsize::new(1)))
    }

    fn on(line: &Line) -> Self {
        line.exchanges.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&line.exchanges))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why there is no upstream.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// The operating system's certificates are needed for https.
    #[error("there is no certificate authority to check https by (set SSL_CERT_FILE): {reason}")]
    NoRoots {
        /// What the system said.
        reason: String,
    },
}

/// Why a request got no answer.
#[derive(Debug, Error)]
pub enum Unanswered {
    /// No connection, or it broke before the head of an answer.
    #[error("the upstream can not be reached: {0}")]
    Broken(#[from] hyper_util::client::legacy::Error),
    /// No head of an answer in time.
    #[error("the upstream did not answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// It was the client from whom nothing more came.
    #[error("the client did not go on with its upload within {} s", .0.as_secs())]
    Stalled(Duration),
}

impl Upstream {
    /// Without a connection yet. `Ok(None)`: no `upstream.url`.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn new(settings: &UpstreamSettings) -> Result<Option<Self>, UpstreamError> {
        let Some(origin) = &settings.url else { return Ok(None) };
        let patience = Duration::from_secs(u64::from(settings.timeout_seconds));
        Ok(Some(Self::over(origin.clone(), client_tls(origin.is_https())?, patience)))
    }

    /// The same upstream, without a connection yet.
    pub fn for_this_thread(&self) -> Self {
        Self::over(self.origin.clone(), self.tls.clone(), self.patience)
    }

    fn over(origin: Origin, tls: ClientConfig, patience: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_keepalive(Some(PROBE));
        tcp.set_keepalive_interval(Some(PROBE));
        let connector = || HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        let mut pool = Client::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(256);
        pool.http1_max_headers(HEADER_LINES);
        pool.http2_initial_stream_window_size(UNREAD).http2_initial_connection_window_size(UNREAD_TOGETHER);
        let connections = if origin.is_https() { CONNECTIONS } else { 1 };
        let client = || pool.build(connector().enable_all_versions().wrap_connector(tcp.clone()));
        let lines = (0..connections).map(|_| Line { client: client(), exchanges: Arc::default() }).collect();
        let one_dot_one = pool.build(connector().enable_http1().wrap_connector(tcp));
        Self { origin, tls, lines, one_dot_one, patience }
    }

    /// Where it is.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sends a request and waits for the head of the answer. Time that passes while the client still uploads is not
    /// the upstream's. A request that a kept connection lost is sent once more if `again` makes another.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn send(
        &self,
        request: Request<Outgoing>,
        upgrade: bool,
        upload: &Upload,
        again: impl FnOnce() -> Option<Request<Outgoing>>,
    ) -> Result<(Response<Incoming>, Exchange), Unanswered> {
        let (client, exchange) = match self.free_line().filter(|_| !upgrade) {
            Some(line) => (&line.client, Exchange::on(line)),
            None => (&self.one_dot_one, Exchange::uncounted()),
        };
        let answer = match self.await_head(client.request(request), upload).await {
            Err(Unanswered::Broken(error)) if broke_while_kept(&error) => match again() {
                Some(request) => self.await_head(client.request(request), upload).await,
                None => Err(error.into()),
            },
            outcome => outcome,
        };
        Ok((answer?, exchange))
    }

    /// The first that takes one more exchange, or the one with the fewest.
    fn free_line(&self) -> Option<&Line> {
        let free = self.lines.iter().find(|line| line.under_way() < EXCHANGES);
        free.or_else(|| self.lines.iter().min_by_key(|line| line.under_way()))
    }

    async fn await_head(
        &self,
        answer: impl Future<Output = Result<Response<Incoming>, hyper_util::client::legacy::Error>>,
        upload: &Upload,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut answer = pin!(answer);
        loop {
            match timeout_at(upload.last_moved() + self.patience, answer.as_mut()).await {
                Ok(answer) => return Ok(answer?),
                Err(_) if upload.last_moved() + self.patience > Instant::now() => {}
                Err(_) if upload.waits_for_client() => return Err(Unanswered::Stalled(self.patience)),
                Err(_) => return Err(Unanswered::Slow(self.patience)),
            }
        }
    }
}

/// Whether the upstream closed a connection that it had kept, before it said a word: it did not take the request.
fn broke_while_kept(error: &hyper_util::client::legacy::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<hyper::Error>());
    !error.is_connect() && cause.is_some_and(|cause| cause.is_incomplete_message() || cause.is_canceled())
}

/// What certificates are checked by: the operating system's authorities, or `SSL_CERT_FILE`. `https`: whether there
/// will be any to check.
///
/// # Errors
/// [`UpstreamError`].
pub fn client_tls(https: bool) -> Result<ClientConfig, UpstreamError> {
    let mut roots = RootCertStore::empty();
    if https {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let reason = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
            return Err(UpstreamError::NoRoots { reason });
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| UpstreamError::NoRoots { reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// An upstream that answers the first request of each connection, and closes on the second without a word.
    async fn forgetful() -> (Upstream, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::task::spawn_local(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                tokio::task::spawn_local(async move {
                    let mut head = [0; 4096];
                    let _ = connection.read(&mut head).await;
                    let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    let _ = connection.read(&mut head).await;
                });
            }
        });
        let settings = UpstreamSettings { url: Some(url.parse().unwrap()), timeout_seconds: 5 };
        (Upstream::new(&settings).unwrap().unwrap(), serving)
    }

    fn request(upstream: &Upstream) -> Request<Outgoing> {
        Request::get(format!("{}/a", upstream.origin())).body(Outgoing::default()).unwrap()
    }

    async fn get(upstream: &Upstream, repeatable: bool) -> Result<u16, Unanswered> {
        let again = || repeatable.then(|| request(upstream));
        let (answer, _exchange) = upstream.send(request(upstream), false, &Upload::none(), again).await?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await.unwrap();
        Ok(status)
    }

    #[actix_web::test]
    async fn a_request_that_a_kept_connection_lost_is_sent_once_more_if_it_may() {
        let (upstream, serving) = forgetful().await;
        for _ in 0..4 {
            assert_eq!(get(&upstream, true).await.unwrap(), 200);
        }
        assert!(matches!(get(&upstream, false).await, Err(Unanswered::Broken(_))));
        serving.abort();
    }

    #[test]
    fn a_line_that_is_full_leaves_the_next_exchange_to_another() {
        let settings = UpstreamSettings { url: Some("https://localhost:1".parse().unwrap()), timeout_seconds: 5 };
        let upstream = Upstream::new(&settings).unwrap().unwrap();
        let first = upstream.free_line().unwrap();
        let full: Vec<Exchange> = (0..EXCHANGES).map(|_| Exchange::on(first)).collect();
        assert!(!std::ptr::eq(upstream.free_line().unwrap(), first));
        drop(full);
        assert!(std::ptr::eq(upstream.free_line().unwrap(), first));
    }

    #[actix_web::test]
    async fn nobody_there_is_told_from_slow() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let settings = UpstreamSettings { url: Some(url.parse().unwrap()), timeout_seconds: 5 };
        let upstream = Upstream::new(&settings).unwrap().unwrap();
        assert!(matches!(get(&upstream, true).await, Err(Unanswered::Broken(_))));
    }
}
