//! Both ends of a probe: a client that sends targets byte for byte, and an echo in the place of the API.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::gateway::upstream;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// A refusal of ours is shorter.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// A client without cookies, redirects and opinions.
pub struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// As a challenge of ours has it.
    realm: String,
    /// Whether the echo stands in the API's place, which never refuses.
    echoes: bool,
}

/// What came back.
pub struct Answer {
    /// E.g. 200.
    pub status: u16,
    /// As they came.
    pub headers: HeaderMap,
    /// Why Countersign refused, where it says so: its word for it.
    pub reason: Option<String>,
    fate: Fate,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passed,
    Refused,
    /// A refusal without a sign of Countersign's: the API's own, if it was asked.
    Unclear,
}

/// An answer that may be the API's as well as the gateway's.
#[derive(Debug, thiserror::Error)]
#[error("the API answered {0}: choose another --path, or let --echo stand in its place")]
pub struct Unclear(u16);

/// The JSON of our refusals.
#[derive(Deserialize)]
struct Refusal {
    status: u16,
    code: String,
    #[serde(rename = "additional")]
    _additional: String,
    #[serde(rename = "reference")]
    _reference: String,
}

impl Answer {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the gateway let the request through: what the API made of it does not matter.
    ///
    /// # Errors
    /// [`Unclear`].
    pub const fn passed(&self) -> Result<bool, Unclear> {
        match self.fate {
            Fate::Passed => Ok(true),
            Fate::Refused => Ok(false),
            Fate::Unclear => Err(Unclear(self.status)),
        }
    }

    /// Whether it is certain that the gateway refused it.
    pub const fn is_refused(&self) -> bool {
        matches!(self.fate, Fate::Refused)
    }

    /// The status, with the reason where there is one: for a finding.
    pub fn seen(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{} ({reason})", self.status),
            None => self.status.to_string(),
        }
    }
}

impl Sender {
    /// `https`: whether certificates will have to be checked. `realm`: `http_auth.realm`. `echoes`: whether the echo
    /// stands in the API's place.
    ///
    /// # Errors
    /// There is nothing to check them by.
    pub fn new(https: bool, realm: &str, echoes: bool) -> anyhow::Result<Self> {
        let connector = HttpsConnectorBuilder::new().with_tls_config(upstream::client_tls(https)?);
        let connector = connector.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, realm: format!("realm=\"{realm}\""), echoes })
    }

    /// Sends one request; `headers`: their values in Latin-1; `form`: the body, with the content type of a form.
    ///
    /// # Errors
    /// Nobody answered.
    pub async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        form: Option<&str>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(url).header("user-agent", "countersign-doctor");
        for (name, value) in headers {
            let octets: Vec<u8> = value.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect();
            request = request.header(*name, octets);
        }
        if form.is_some() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let body = Full::new(Bytes::copy_from_slice(form.unwrap_or_default().as_bytes()));
        let answer = tokio::time::timeout(PATIENCE, self.client.request(request.body(body)?)).await;
        let answer =
            answer.with_context(|| format!("{url}: no answer"))?.with_context(|| format!("{url}: nobody answers"))?;
        Ok(self.read(answer).await)
    }

    /// Countersign says why it refuses in `X-Auth-Error`, in its JSON, or at least by a challenge of its realm.
    async fn read(&self, answer: Response<Incoming>) -> Answer {
        let (head, body) = answer.into_parts();
        let (status, headers) = (head.status.as_u16(), head.headers);
        let told = headers.get("x-auth-error").and_then(|reason| reason.to_str().ok());
        let reason = match told.filter(|reason| !reason.is_empty()) {
            Some(reason) => Some(reason.to_owned()),
            None if status >= 400 && is_json(&headers) => refusal_in(body, status).await,
            None => None,
        };
        let mut challenges = headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
        let is_ours = reason.is_some() || challenges.any(|challenge| challenge.contains(&self.realm));
        let fate = match status {
            _ if is_ours => Fate::Refused,
            // The API has no such method (RFC 9110 §15.6.2), so it was asked.
            501 => Fate::Passed,
            400 | 401 | 403 | 500.. if self.echoes => Fate::Refused,
            400 | 401 | 403 | 500.. => Fate::Unclear,
            _ => Fate::Passed,
        };
        Answer { status, headers, reason, fate }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// The word for a refusal, if the body is one of ours.
async fn refusal_in(body: Incoming, status: u16) -> Option<String> {
    let read = tokio::time::timeout(PATIENCE, Limited::new(body, LONGEST_REFUSAL).collect()).await;
    let refusal: Refusal = serde_json::from_slice(&read.ok()?.ok()?.to_bytes()).ok()?;
    (refusal.status == status).then_some(refusal.code)
}

/// One request as the API got it.
#[derive(Clone, Debug, Default)]
pub struct Arrived {
    /// As it came.
    pub method: String,
    /// As it came.
    pub target: String,
    /// Names in lower case, values as they came.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: String,
}

impl Arrived {
    /// The value of a header, spelled exactly so.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Stands where the API stands, says yes to everything, and remembers the last request.
#[derive(Clone)]
pub struct Echo(Arc<Mutex<Option<Arrived>>>);

impl Echo {
    /// Listens until the process ends.
    ///
    /// # Errors
    /// The address is taken: the API itself still runs there.
    pub async fn start(address: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("can't listen on {address}: stop the API for the time of this check, so that its place is free")
        })?;
        let echo = Self(Arc::default());
        let remembered = echo.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let remembered = remembered.clone();
                tokio::spawn(async move { remembered.answer(connection).await });
            }
        });
        Ok(echo)
    }

    /// The last request since the last question.
    pub fn take(&self) -> Option<Arrived> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers one request and closes: a proxy that keeps connections makes another.
    async fn answer(&self, connection: TcpStream) -> std::io::Result<()> {
        let mut connection = BufReader::new(connection);
        let line = next_line(&mut connection).await?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut arrived = Arrived { method, target, ..Arrived::default() };
        loop {
            let line = next_line(&mut connection).await?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            arrived.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = arrived.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        (&mut connection).take(length).read_to_string(&mut arrived.body).await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(arrived);
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
        connection.shutdown().await
    }
}

/// What is no UTF-8 in it is replaced.
async fn next_line(connection: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = Vec::new();
    connection.read_until(b'\n', &mut line).await?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}
