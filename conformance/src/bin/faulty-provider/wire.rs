//! HTTP/1.1 as the faulty provider hears and speaks it. One request a connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::defects::Defect;

pub type Pair = (String, String);

/// A request as received.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<Pair>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn count(&self, name: &str) -> usize {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).count()
    }

    pub fn is_form(&self) -> bool {
        let content_type = self.header("content-type").unwrap_or_default().to_ascii_lowercase();
        content_type.split(';').next().is_some_and(|t| t.trim() == "application/x-www-form-urlencoded")
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.header("cookie")?.split(';').filter_map(|c| c.trim().split_once('='));
        pairs.into_iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    pub fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }
}

/// An answer to send.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<Pair>,
    pub body: String,
}

impl Reply {
    pub fn new(status: u16, content_type: &str, body: impl Into<String>) -> Reply {
        Reply { status, headers: vec![("Content-Type".into(), content_type.into())], body: body.into() }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Reads one request; `Err` is the answer to a broken one, `None` a connection that says nothing.
pub fn read(stream: &mut TcpStream, defect: Defect) -> Result<Option<Request>, Reply> {
    let broken = || {
        let status = if defect.is("crashes-on-garbage") { 500 } else { 400 };
        Reply::new(status, "text/plain", "broken request")
    };
    if stream.set_read_timeout(Some(Duration::from_secs(5))).is_err() {
        return Ok(None);
    }
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > 64 * 1024 {
            return Err(Reply::new(431, "text/plain", "too large"));
        }
        if more(stream, &mut buffer) == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(broken()) };
        }
    };
    let mut body = buffer.split_off(end + 4);
    let head = String::from_utf8(buffer.split_off(0)).map_err(|_| broken())?;
    let mut lines = head.trim_end().split("\r\n");
    let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = first.as_slice() else { return Err(broken()) };
    let good_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_alphabetic());
    if !matches!(*version, "HTTP/1.1" | "HTTP/1.0") || !target.starts_with('/') || !good_method {
        return Err(broken());
    }
    let mut request = Request { method: (*method).to_owned(), ..Request::default() };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (request.path, request.query) = (path.to_owned(), query.to_owned());
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(broken)?;
        if name.is_empty() || name.contains([' ', '\t']) || value.contains(['\0', '\r', '\n']) {
            return Err(broken());
        }
        request.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    if request.count("host") != 1 && *version == "HTTP/1.1" {
        return Err(broken());
    }
    let chunked = request.header("transfer-encoding").is_some_and(|t| t.eq_ignore_ascii_case("chunked"));
    if request.header("transfer-encoding").is_some() && (!chunked || request.count("content-length") > 0) {
        return Err(broken());
    }
    if request.count("content-length") > 1 && !defect.is("framing-ignored") {
        return Err(broken());
    }
    if chunked {
        while !body.ends_with(b"0\r\n\r\n") {
            if more(stream, &mut body) == 0 {
                return Err(broken());
            }
        }
        request.body = unchunk(&body).ok_or_else(broken)?;
        return Ok(Some(request));
    }
    let length: usize = match request.header("content-length") {
        None => 0,
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().map_err(|_| broken())?,
        Some(_) => return Err(broken()),
    };
    if length > 1024 * 1024 {
        return Err(Reply::new(413, "text/plain", "too large"));
    }
    while body.len() < length {
        if more(stream, &mut body) == 0 {
            return Err(broken());
        }
    }
    body.truncate(length);
    request.body = body;
    Ok(Some(request))
}

fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> usize {
    let mut piece = [0; 8192];
    let n = stream.read(&mut piece).unwrap_or(0);
    buffer.extend_from_slice(piece.get(..n).unwrap_or_default());
    n
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(rest.get(..end)?).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 2 + size + 2..)?;
    }
}

/// Sends an answer and ends the connection.
pub fn write(stream: &mut TcpStream, reply: &Reply, head_only: bool) {
    let mut head =
        format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    if !head_only {
        head.push_str(&reply.body);
    }
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.shutdown(std::net::Shutdown::Write);
    // What the client still sends is drained, so that no reset overtakes the answer.
    let mut rest = [0; 4096];
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    while stream.read(&mut rest).is_ok_and(|n| n > 0) {}
}

/// Decodes escapes; `None` for broken ones and for what is no UTF-8.
pub fn unescape(text: &str, plus: bool, latin1: bool) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            b'+' if plus => out.push(b' '),
            b => out.push(b),
        }
    }
    if latin1 { Some(out.into_iter().map(char::from).collect()) } else { String::from_utf8(out).ok() }
}

/// Splits a query or form into decoded pairs.
pub fn pairs(text: &str, plus: bool, latin1: bool) -> Option<Vec<Pair>> {
    let mut found = Vec::new();
    for piece in text.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        found.push((unescape(name, plus, latin1)?, unescape(value, plus, latin1)?));
    }
    Some(found)
}

/// Escapes everything that RFC 3986 does not leave alone.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// Escapes text for HTML.
pub fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
