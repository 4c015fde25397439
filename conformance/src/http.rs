//! A raw HTTP/1.1 client (RFC 9112): it sends exactly the bytes it is given, so that malformed requests can be sent too.
//!
//! Every exchange has one deadline for everything, and the answer's head and body are bounded: a server that hangs, dribbles or
//! answers garbage costs time up to the deadline and nothing more. It keeps no connection, follows no redirect and adds no header.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The largest answer head that is read, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;
/// The largest answer body that is read, in bytes.
pub const MAX_BODY: usize = 2 * 1024 * 1024;

/// Why no answer could be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// The name of the host has no address.
    #[error("the host `{0}` has no address")]
    Resolve(String),
    /// Nobody listens there, or the connection broke while it was made.
    #[error("no connection to {0}: {1}")]
    Connect(String, String),
    /// The deadline passed before the answer was complete.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// The server ended the connection without a complete answer.
    #[error("the server closed the connection without a complete answer")]
    Closed,
    /// What came back is not HTTP/1.x.
    #[error("the answer is not HTTP: {0}")]
    Garbage(String),
    /// The head or the body is larger than this client reads.
    #[error("the answer's {0} is larger than {1} bytes")]
    TooLarge(&'static str, usize),
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(String),
}

/// Where a server is: scheme, host and port of its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whether the scheme is `https`.
    pub secure: bool,
    /// Host name or address as written, an IPv6 address in brackets.
    pub host: String,
    /// The port, also when it is the scheme's own.
    pub port: u16,
}

impl Origin {
    /// Splits an absolute `http` or `https` address into its origin and the rest (path and query, `/` when empty).
    ///
    /// `None` when it is no such address.
    ///
    /// ```
    /// use countersign_conformance::http::Origin;
    /// let (origin, rest) = Origin::parse("http://Example.com:8080/a?b").unwrap();
    /// assert_eq!((origin.authority().as_str(), rest.as_str()), ("Example.com:8080", "/a?b"));
    /// ```
    pub fn parse(address: &str) -> Option<(Origin, String)> {
        let (scheme, rest) = address.split_once("://")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let default = if secure { 443 } else { 80 };
        let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match authority.get(after_bracket..)?.rfind(':') {
            Some(colon) => {
                let (host, port) = authority.split_at(after_bracket + colon);
                (host, port.strip_prefix(':')?.parse().ok()?)
            }
            None => (authority, default),
        };
        if host.is_empty() || host.contains(['@', ' ']) {
            return None;
        }
        let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        Some((Origin { secure, host: host.to_owned(), port }, rest))
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Whether the port is the scheme's own, and so never written in a base string (RFC 5849 §3.4.1.2).
    pub fn has_default_port(&self) -> bool {
        self.port == if self.secure { 443 } else { 80 }
    }

    /// What belongs into the Host header: the host, and the port unless it is the scheme's own.
    pub fn authority(&self) -> String {
        if self.has_default_port() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The origin as an address without a final slash.
    pub fn address(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority())
    }
}

/// An answer as it was received, with its transfer coding undone.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code, 200 to 999.
    pub status: u16,
    /// Header fields in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The head as received, for reports.
    pub head: String,
}

impl Response {
    /// The first field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Every field of this name, in order.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How to reach one server.
#[derive(Debug, Clone)]
pub struct Client {
    origin: Origin,
    timeout: Duration,
    tls: Option<Tls>,
}

impl Client {
    /// A client for one origin. `timeout` is for a whole exchange.
    ///
    /// Fails when the origin is `https` and TLS can't be set up; `certificates` is a PEM file with the roots to trust instead of
    /// the system's.
    pub fn new(origin: Origin, timeout: Duration, certificates: Option<&std::path::Path>) -> Result<Client, HttpError> {
        let tls = if origin.secure { Some(Tls::new(certificates)?) } else { None };
        Ok(Client { origin, timeout, tls })
    }

    /// Sends `request` and reads the answer. `head_only` is for HEAD, whose answer has no body.
    pub fn exchange(&self, request: &[u8], head_only: bool) -> Result<Response, HttpError> {
        let mut connection = self.connect()?;
        connection.send(request)?;
        connection.receive(head_only)
    }

    /// Opens a connection. The deadline of the exchange begins here.
    pub fn connect(&self) -> Result<Connection, HttpError> {
        let deadline = Instant::now() + self.timeout;
        let host = self.origin.host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (host, self.origin.port).to_socket_addrs().map_err(|_| HttpError::Resolve(host.to_owned()))?;
        let mut last = HttpError::Resolve(host.to_owned());
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(socket) => {
                    let broken = |e: io::Error| HttpError::Connect(address.to_string(), e.to_string());
                    socket.set_nodelay(true).map_err(broken)?;
                    let stream = match &self.tls {
                        None => Stream::Plain(socket),
                        Some(tls) => tls.wrap(host, socket)?,
                    };
                    return Ok(Connection { stream, deadline, timeout: self.timeout });
                }
                Err(e) if e.kind() == io::ErrorKind::TimedOut => last = HttpError::Timeout(self.timeout),
                Err(e) => last = HttpError::Connect(address.to_string(), e.to_string()),
            }
        }
        Err(last)
    }
}

/// One open connection for one exchange.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    deadline: Instant,
    timeout: Duration,
}

impl Connection {
    /// Sends bytes as they are. A server that answers early and stops reading is no error: the answer is still to be read.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.arm()?;
            match self.stream.write(rest) {
                Ok(0) => return Ok(()),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(e) if would_wait(&e) => return Err(HttpError::Timeout(self.timeout)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(()),
            }
        }
        self.arm()?;
        match self.stream.flush() {
            Err(e) if would_wait(&e) => Err(HttpError::Timeout(self.timeout)),
            _ => Ok(()),
        }
    }

    /// Reads one final answer; interim ones (1xx) are passed over.
    pub fn receive(&mut self, head_only: bool) -> Result<Response, HttpError> {
        let mut buffer = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = find(&buffer, b"\r\n\r\n") {
                    break end;
                }
                if buffer.len() > MAX_HEAD {
                    return Err(HttpError::TooLarge("head", MAX_HEAD));
                }
                // A server that speaks something else is told apart from its first bytes, not after a timeout.
                let start = buffer.get(..5.min(buffer.len())).unwrap_or_default();
                if !b"HTTP/".starts_with(start) {
                    return Err(HttpError::Garbage(excerpt(&buffer)));
                }
                if self.read_more(&mut buffer)? == 0 {
                    return Err(HttpError::Closed);
                }
            };
            let mut rest = buffer.split_off(end + 4);
            let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).into_owned();
            let (status, headers) = parse_head(&head)?;
            if (100..200).contains(&status) && status != 101 {
                buffer = std::mem::take(&mut rest);
                continue;
            }
            let mut response = Response { status, headers, body: Vec::new(), head };
            if !head_only && status != 204 && status != 304 {
                response.body = self.read_body(&response, rest)?;
            }
            return Ok(response);
        }
    }

    fn read_body(&mut self, response: &Response, mut buffer: Vec<u8>) -> Result<Vec<u8>, HttpError> {
        let chunked = response
            .headers_named("transfer-encoding")
            .any(|v| v.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked")));
        if chunked {
            return self.read_chunks(buffer);
        }
        let Some(length) = response.header("content-length") else {
            while self.read_more(&mut buffer)? > 0 {
                if buffer.len() > MAX_BODY {
                    return Err(HttpError::TooLarge("body", MAX_BODY));
                }
            }
            return Ok(buffer);
        };
        let length: usize =
            length.trim().parse().map_err(|_| HttpError::Garbage(format!("Content-Length: {length}")))?;
        if length > MAX_BODY {
            return Err(HttpError::TooLarge("body", MAX_BODY));
        }
        while buffer.len() < length {
            if self.read_more(&mut buffer)? == 0 {
                return Err(HttpError::Closed);
            }
        }
        buffer.truncate(length);
        Ok(buffer)
    }

    fn read_chunks(&mut self, mut buffer: Vec<u8>) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(at) = find(&buffer, b"\r\n") {
                    break at;
                }
                if buffer.len() > 1024 {
                    return Err(HttpError::Garbage("a chunk without a size".into()));
                }
                if self.read_more(&mut buffer)? == 0 {
                    return Err(HttpError::Closed);
                }
            };
            let line = String::from_utf8_lossy(buffer.get(..line_end).unwrap_or_default()).into_owned();
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size =
                usize::from_str_radix(digits, 16).map_err(|_| HttpError::Garbage(format!("chunk size {digits:?}")))?;
            if size == 0 {
                return Ok(body);
            }
            if size > MAX_BODY || body.len() + size > MAX_BODY {
                return Err(HttpError::TooLarge("body", MAX_BODY));
            }
            while buffer.len() < line_end + 2 + size + 2 {
                if self.read_more(&mut buffer)? == 0 {
                    return Err(HttpError::Closed);
                }
            }
            let rest = buffer.split_off(line_end + 2 + size + 2);
            body.extend_from_slice(buffer.get(line_end + 2..line_end + 2 + size).unwrap_or_default());
            buffer = rest;
        }
    }

    fn read_more(&mut self, buffer: &mut Vec<u8>) -> Result<usize, HttpError> {
        let mut piece = [0; 16 * 1024];
        loop {
            self.arm()?;
            match self.stream.read(&mut piece) {
                Ok(n) => {
                    buffer.extend_from_slice(piece.get(..n).unwrap_or_default());
                    return Ok(n);
                }
                Err(e) if would_wait(&e) => return Err(HttpError::Timeout(self.timeout)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // A reset, or TLS ended without goodbye: there is nothing more to read.
                Err(_) => return Ok(0),
            }
        }
    }

    /// Gives the socket what is left of the deadline.
    fn arm(&mut self) -> Result<(), HttpError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(HttpError::Timeout(self.timeout));
        }
        let socket = self.stream.socket();
        socket
            .set_read_timeout(Some(left))
            .and_then(|()| socket.set_write_timeout(Some(left)))
            .map_err(|e| HttpError::Connect("the socket".into(), e.to_string()))
    }
}

fn would_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

type Head = (u16, Vec<(String, String)>);

fn parse_head(head: &str) -> Result<Head, HttpError> {
    let garbage = || HttpError::Garbage(excerpt(head.as_bytes()));
    let mut lines = head.split("\r\n");
    let status = lines.next().ok_or_else(garbage)?;
    let (version, rest) = status.split_once(' ').ok_or_else(garbage)?;
    if version != "HTTP/1.1" && version != "HTTP/1.0" {
        return Err(garbage());
    }
    let status = rest.get(..3).and_then(|s| s.parse().ok()).filter(|s| (100..1000).contains(s)).ok_or_else(garbage)?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(garbage)?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok((status, headers))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..60.min(bytes.len())).unwrap_or_default()).into_owned();
    format!("{text:?}")
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => &stream.sock,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(buffer),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

#[cfg(feature = "tls")]
#[derive(Debug, Clone)]
struct Tls(std::sync::Arc<rustls::ClientConfig>);

#[cfg(feature = "tls")]
impl Tls {
    fn new(certificates: Option<&std::path::Path>) -> Result<Tls, HttpError> {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let broken = |e: &dyn std::fmt::Display| HttpError::Tls(e.to_string());
        let mut roots = rustls::RootCertStore::empty();
        match certificates {
            Some(file) => {
                for certificate in CertificateDer::pem_file_iter(file).map_err(|e| broken(&e))? {
                    roots.add(certificate.map_err(|e| broken(&e))?).map_err(|e| broken(&e))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| broken(&e))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Tls(std::sync::Arc::new(config)))
    }

    fn wrap(&self, host: &str, socket: TcpStream) -> Result<Stream, HttpError> {
        let name =
            rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(|e| HttpError::Tls(e.to_string()))?;
        let connection =
            rustls::ClientConnection::new(self.0.clone(), name).map_err(|e| HttpError::Tls(e.to_string()))?;
        Ok(Stream::Tls(Box::new(rustls::StreamOwned::new(connection, socket))))
    }
}

#[cfg(not(feature = "tls"))]
#[derive(Debug, Clone)]
struct Tls;

#[cfg(not(feature = "tls"))]
impl Tls {
    fn new(_: Option<&std::path::Path>) -> Result<Tls, HttpError> {
        Err(HttpError::Tls("this build speaks plain HTTP only; build it with the feature `tls`".into()))
    }

    fn wrap(&self, _: &str, socket: TcpStream) -> Result<Stream, HttpError> {
        Ok(Stream::Plain(socket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    fn answering(answer: &'static [u8], hold: bool) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut piece = [0; 1024];
            let _ = socket.read(&mut piece);
            let _ = socket.write_all(answer);
            while hold && socket.read(&mut piece).is_ok_and(|n| n > 0) {}
        });
        let origin = Origin { secure: false, host: "127.0.0.1".into(), port };
        Client::new(origin, Duration::from_millis(300), None).unwrap()
    }

    fn ask(client: &Client) -> Result<Response, HttpError> {
        client.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false)
    }

    #[test]
    fn a_body_is_framed_by_its_length() {
        let response = ask(&answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", false)).unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "abc"));
    }

    #[test]
    fn chunks_are_joined() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(ask(&answering(answer, true)).unwrap().text(), "abcde");
    }

    #[test]
    fn an_interim_answer_is_passed_over() {
        let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(ask(&answering(answer, true)).unwrap().status, 204);
    }

    #[test]
    fn a_server_that_hangs_is_a_timeout() {
        assert!(matches!(ask(&answering(b"HTTP/1.1 200 OK\r\n", true)), Err(HttpError::Timeout(_))));
    }

    #[test]
    fn a_server_that_speaks_something_else_is_garbage() {
        assert!(matches!(ask(&answering(b"SSH-2.0-x\r\n", true)), Err(HttpError::Garbage(_))));
        assert!(matches!(ask(&answering(b"HTTP/1.1 abc\r\n\r\n", true)), Err(HttpError::Garbage(_))));
        assert!(matches!(ask(&answering(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", true)), Err(HttpError::Garbage(_))));
    }

    #[test]
    fn a_server_that_hangs_up_is_told_apart() {
        assert!(matches!(ask(&answering(b"", false)), Err(HttpError::Closed)));
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
        assert!(matches!(ask(&answering(short, false)), Err(HttpError::Closed)));
    }

    #[test]
    fn an_endless_body_is_not_read() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
        assert!(matches!(ask(&answering(answer, false)), Err(HttpError::TooLarge("body", _))));
        let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n";
        assert!(matches!(ask(&answering(chunk, false)), Err(HttpError::TooLarge("body", _))));
    }

    #[test]
    fn a_closed_port_is_a_failed_connection() {
        let origin = Origin { secure: false, host: "127.0.0.1".into(), port: 1 };
        let client = Client::new(origin, Duration::from_millis(300), None).unwrap();
        assert!(matches!(ask(&client), Err(HttpError::Connect(..))));
    }

    #[test]
    fn addresses_are_split_at_the_authority() {
        let (origin, rest) = Origin::parse("https://[::1]:8443/x").unwrap();
        assert_eq!((origin.host.as_str(), origin.port, rest.as_str()), ("[::1]", 8443, "/x"));
        assert_eq!(Origin::parse("http://h").unwrap().0.authority(), "h");
        assert_eq!(Origin::parse("http://h?x").unwrap().1, "/?x");
        for wrong in ["ftp://h/", "h/", "http://", "http://h:x/", "http://u@h/"] {
            assert_eq!(Origin::parse(wrong), None, "{wrong}");
        }
    }
}
