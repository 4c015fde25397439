//! The way in: an actix request becomes a [`ReceivedRequest`]. External URI, trusted proxies, body limit, and the one
//! reading of the clock.
//!
//! actix's `ConnectionInfo` believes anybody's forwarded headers and `full_url()` can panic: neither is used. The
//! target is taken as it was sent; nothing is decoded here.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Payload};

use crate::auth::verdict::Refusal;
use crate::config::{HttpAuthSettings, Network, ServerSettings};
use crate::protocol::base_string::split_authority;
use crate::protocol::request::{Headers, ReceivedRequest, UriScheme, means_method};
use crate::time::Clock;
use crate::web::spool::Spool;

/// What the rim has to know to tell what the client sent from what proxies say.
#[derive(Clone)]
pub struct Rim {
    public: Option<ExternalOrigin>,
    /// The scheme of our own listener.
    scheme: UriScheme,
    trusted_proxies: Vec<Network>,
    client_key_headers: Vec<String>,
    buffer_bytes: usize,
    spool: Arc<Spool>,
    clock: Clock,
}

/// Scheme and authority of the URI that the client used.
#[derive(Clone)]
pub struct ExternalOrigin {
    /// `http` or `https`.
    pub scheme: UriScheme,
    /// Host, and port where it was sent.
    pub authority: String,
}

impl std::fmt::Display for ExternalOrigin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}://{}", self.scheme.as_str(), self.authority)
    }
}

impl Rim {
    /// `tls`: whether we serve TLS ourselves. `buffer_bytes`: the most of a body that is read before judging.
    pub fn new(
        server: &ServerSettings,
        http_auth: &HttpAuthSettings,
        tls: bool,
        buffer_bytes: usize,
        clock: Clock,
    ) -> Self {
        Self {
            public: server
                .public_url
                .as_ref()
                .map(|public| ExternalOrigin { scheme: public.scheme(), authority: public.authority() }),
            scheme: if tls { UriScheme::Https } else { UriScheme::Http },
            trusted_proxies: server.trusted_proxies.clone(),
            client_key_headers: http_auth.lower_client_key_headers(),
            buffer_bytes,
            spool: Arc::new(Spool::new(buffer_bytes, std::env::temp_dir())),
            clock,
        }
    }

    /// The clock of this server.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether this address may speak for clients.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }

    /// The origin that the client used: the configured one, else what a trusted proxy `told`.
    pub fn origin_told(&self, told: ExternalOrigin) -> ExternalOrigin {
        self.public.clone().unwrap_or(told)
    }

    /// The origin that the client used, from configuration, a trusted proxy or the Host header, in this order.
    pub fn origin(&self, request: &HttpRequest) -> ExternalOrigin {
        if let Some(public) = &self.public {
            return public.clone();
        }
        let headers = request.headers();
        let proxied = self.trusts(peer_of(request));
        let forwarded = |name: &str| if proxied { last_of_list(headers, name) } else { None };
        let scheme = if proxied { forwarded_scheme(headers) } else { None }.unwrap_or(self.scheme);
        let host = forwarded("x-forwarded-host").unwrap_or_else(|| host_of(request));
        let port = forwarded("x-forwarded-port")
            .filter(|port| split_authority(host).1.is_none() && *port != scheme.default_port());
        let authority = match port {
            Some(port) if port.bytes().all(|octet| octet.is_ascii_digit()) => format!("{host}:{port}"),
            Some(_) | None => host.to_owned(),
        };
        ExternalOrigin { scheme, authority }
    }

    /// Everything about the request but its body. The request target and headers stay where they are; `origin` is
    /// what [`Self::origin`] said of the same request.
    ///
    /// # Errors
    /// [`Refusal::Target`]: a Host that is none, or a header that readers behind us could take for something else than we do.
    pub fn receive<'a>(
        &self,
        request: &'a HttpRequest,
        origin: &'a ExternalOrigin,
    ) -> Result<ReceivedRequest<'a>, Refusal> {
        if !is_authority(&origin.authority) {
            return Err(Refusal::Target("the Host header is missing or is no host name"));
        }
        let mut headers = self.headers(request.headers())?;
        if self.trusts(peer_of(request)) {
            headers.came_in_clear = forwarded_scheme(request.headers()) == Some(UriScheme::Http);
            headers.host = last_of_list(request.headers(), "x-forwarded-host").or(headers.host);
        }
        Ok(ReceivedRequest {
            method: request.method().as_str(),
            scheme: origin.scheme,
            authority: &origin.authority,
            path: request.uri().path(),
            query: request.uri().query(),
            headers,
            body: None,
            client_address: self.client_address(request),
            arrived: self.clock.now(),
        })
    }

    /// The headers that decide something, in one pass over all.
    ///
    /// # Errors
    /// [`Refusal::Target`]: a header that readers behind us could take for something else than we do.
    fn headers<'a>(&self, map: &'a HeaderMap) -> Result<Headers<'a>, Refusal> {
        let mut headers = Headers::default();
        for (name, value) in map {
            self.sort_in(&mut headers, name, value)?;
        }
        let brings_body =
            || map.contains_key("transfer-encoding") || map.get("content-length").is_some_and(|length| length != "0");
        if headers.websocket && brings_body() {
            // Whoever passes a connection on as a tunnel, and whoever still reads HTTP from it, would not agree where the body ends.
            return Err(Refusal::Target("a request for a WebSocket has no body"));
        }
        Ok(headers)
    }

    fn sort_in<'a>(&self, headers: &mut Headers<'a>, name: &HeaderName, value: &'a HeaderValue) -> Result<(), Refusal> {
        let text = std::str::from_utf8(value.as_bytes()).ok();
        match name.as_str() {
            "authorization" => match text {
                Some(text) => headers.authorization.add(text),
                None => {
                    headers.authorization.add_unreadable();
                    headers.authorization_octets = Some(value.as_bytes());
                }
            },
            "host" => headers.host = text,
            "cookie" => {
                let added = headers.cookies.add(text.unwrap_or_default());
                added.map_err(|_| Refusal::Target("more Cookie headers than this server reads: send one"))?;
            }
            "user-agent" => headers.user_agent = text.filter(|text| !text.trim().is_empty()),
            "content-type" => {
                // Readers behind us may take another of two, or read one that we can't.
                let one = text.filter(|_| headers.content_type.is_none());
                headers.content_type =
                    Some(one.ok_or(Refusal::Target("the Content-Type is unreadable or there twice"))?);
            }
            "origin" => headers.origin = text,
            "sec-fetch-site" => headers.fetch_site = text,
            "x-csrf-token" => headers.csrf_token = text,
            "x-oauth-scope" => headers.oauth_scope = text,
            "accept" => headers.accept = text,
            "content-encoding" => {
                headers.encoded |= text.is_none_or(|text| !text.trim().eq_ignore_ascii_case("identity"));
            }
            "access-control-request-method" => headers.requested_method = text,
            "upgrade" => headers.websocket |= names_websocket(value),
            // What is left of the wish when a proxy asks about it: `Upgrade` is of the connection.
            "sec-websocket-key" | "sec-websocket-version" => headers.websocket = true,
            name if means_method(name.as_bytes()) => {
                let free = headers.meant_methods.iter_mut().find(|meant| meant.is_none());
                match (free, text) {
                    (Some(free), Some(text)) => *free = Some(text),
                    (None, _) | (_, None) => return Err(Refusal::Target("the headers that name another method")),
                }
            }
            other => {
                if !value.is_empty() && self.client_key_headers.iter().any(|configured| configured == other) {
                    match text {
                        Some(text) => headers.client_key.add_unless_same(text),
                        None => headers.client_key.add_unreadable(),
                    }
                }
            }
        }
        Ok(())
    }

    /// The peer, or the last hop in `X-Forwarded-For` that is not itself a trusted proxy.
    pub fn client_address(&self, request: &HttpRequest) -> IpAddr {
        let peer = peer_of(request);
        if self.trusted_proxies.is_empty() || !self.trusts(peer) {
            return peer;
        }
        // What a client wrote in front may be any octets; the proxy's own words stand behind it.
        let lines = request.headers().get_all("x-forwarded-for");
        let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        let hops: Vec<&str> = lines.iter().flat_map(|list| list.split(',')).map(str::trim).collect();
        let known = hops.iter().rev().map_while(|hop| parse_hop(hop));
        let mut client = peer;
        for hop in known {
            client = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        client
    }

    /// Whether a body of so many bytes, which came in another way than as a body, may be judged.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLarge`].
    pub const fn holds(&self, length: usize) -> Result<(), Refusal> {
        if length > self.buffer_bytes { Err(Refusal::BodyTooLarge { limit: self.buffer_bytes }) } else { Ok(()) }
    }

    /// Reads a body that must be judged, up to `gateway.buffer_bytes`. What lies beyond is not read.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLarge`], at once when the length is announced; [`Refusal::Target`] when the body breaks off or is
    /// too slow; [`Refusal::Unavailable`] while as many bodies are held as there is room for.
    pub async fn read_body(&self, request: &HttpRequest, payload: &mut Payload) -> Result<Bytes, Refusal> {
        self.read_body_up_to(self.buffer_bytes, request, payload).await
    }

    /// The same up to a limit of the caller's, if it is the lower one.
    ///
    /// # Errors
    /// As [`Self::read_body`].
    pub async fn read_body_up_to(
        &self,
        limit: usize,
        request: &HttpRequest,
        payload: &mut Payload,
    ) -> Result<Bytes, Refusal> {
        if is_endless(request) {
            return Ok(Bytes::new());
        }
        let limit = limit.min(self.buffer_bytes);
        if announced_length(request).is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > limit)) {
            return Err(Refusal::BodyTooLarge { limit });
        }
        self.spool.read(limit, self.client_address(request), payload).await
    }
}

/// What a proxy says of the client's scheme.
fn forwarded_scheme(headers: &HeaderMap) -> Option<UriScheme> {
    let said = last_of_list(headers, "x-forwarded-proto").or_else(|| last_of_list(headers, "x-forwarded-scheme"))?;
    // Traefik writes `wss` for what began as `https` (RFC 6455 §3).
    let is_secure = ["https", "wss"].iter().any(|secure| said.eq_ignore_ascii_case(secure));
    Some(if is_secure { UriScheme::Https } else { UriScheme::Http })
}

/// The length of the body in octets, as the client announced it.
pub fn announced_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get("content-length")?.to_str().ok()?.trim().parse().ok()
}

/// Whether actix reads all that follows as one body without an end: what comes after a request to switch to WebSocket
/// is another protocol. Other upgrades (`h2c`, which Java's client offers with every request) are not taken, and their
/// bodies are bodies.
pub fn is_endless(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.get_all("upgrade").any(names_websocket) && !headers.contains_key("transfer-encoding")
}

fn names_websocket(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|value| value.trim().eq_ignore_ascii_case("websocket"))
}

/// Whether some proxy says that it speaks for another address; it need not be one that we trust.
pub fn is_forwarded(request: &HttpRequest) -> bool {
    ["x-forwarded-for", "forwarded", "x-real-ip", "via"].iter().any(|name| request.headers().contains_key(*name))
}

/// The address at the other end of the connection.
pub fn peer_of(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| canonical(peer.ip()))
}

/// An IPv4 address in IPv6 clothes is an IPv4 address.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn host_of(request: &HttpRequest) -> &str {
    // An absolute-form target replaces the Host header (RFC 9112 §3.2.2).
    if let Some(authority) = request.uri().authority() {
        return authority.as_str();
    }
    request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// The last element of a list header: what the nearest proxy wrote.
fn last_of_list<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get_all(name).last()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim).filter(|value| !value.is_empty())
}

fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim_matches('"');
    hop.parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
        .map(canonical)
}

/// Host and port in the letters that RFC 3986 §3.2 gives them, without userinfo.
fn is_authority(text: &str) -> bool {
    let (host, port) = split_authority(text);
    let port_is_number = port.is_none_or(|port| port.bytes().all(|octet| octet.is_ascii_digit()));
    let host = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).map_or(Cow::Borrowed(host), |inner| {
        // Inside brackets colons are allowed; without them the letters are those of a host name.
        Cow::Owned(inner.replace(':', "0"))
    });
    port_is_number
        && (1..=255).contains(&host.len())
        && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_' | b'~' | b'%'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Configuration;
    use actix_web::test::TestRequest;
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    fn rim(change: impl FnOnce(&mut Configuration)) -> Rim {
        let mut configuration = Configuration::default();
        change(&mut configuration);
        let clock = Clock::fixed(Arc::new(AtomicI64::new(1)));
        Rim::new(&configuration.server, &configuration.http_auth, false, 1024, clock)
    }

    fn behind_proxy() -> Rim {
        rim(|configuration| configuration.server.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()])
    }

    fn from(peer: &str) -> TestRequest {
        TestRequest::default().peer_addr(format!("{peer}:1").parse().unwrap()).insert_header(("host", "h:8080"))
    }

    #[test]
    fn the_host_header_is_the_origin_unless_the_configuration_says_otherwise() {
        let request = from("192.0.2.1").to_http_request();
        assert_eq!(rim(|_| ()).origin(&request).authority, "h:8080");
        let public = rim(|configuration| {
            configuration.server.public_url = Some("https://api.example.com".parse().unwrap());
        });
        assert_eq!(public.origin(&request).authority, "api.example.com");
        assert_eq!(public.origin(&request).scheme, UriScheme::Https);
    }

    #[test]
    fn forwarded_headers_count_only_from_listed_proxies() {
        let spoken = |peer| {
            let request = from(peer)
                .insert_header(("x-forwarded-proto", "https"))
                .insert_header(("x-forwarded-host", "api.example.com"))
                .insert_header(("x-forwarded-for", "203.0.113.9, 10.1.1.1"))
                .to_http_request();
            let rim = behind_proxy();
            (rim.origin(&request).scheme, rim.origin(&request).authority, rim.client_address(&request).to_string())
        };
        assert_eq!(spoken("10.0.0.1"), (UriScheme::Https, "api.example.com".into(), "203.0.113.9".into()));
        assert_eq!(spoken("192.0.2.1"), (UriScheme::Http, "h:8080".into(), "192.0.2.1".into()));
    }

    #[test]
    fn a_forged_hop_before_the_last_untrusted_one_is_not_believed() {
        let request = from("10.0.0.1").insert_header(("x-forwarded-for", "127.0.0.1, 203.0.113.9")).to_http_request();
        assert_eq!(behind_proxy().client_address(&request).to_string(), "203.0.113.9");
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port() {
        for host in ["h", "h:1", "[::1]", "[::1]:80", "a-b_c.example", "1.2.3.4:5"] {
            assert!(is_authority(host), "{host}");
        }
        for host in ["", "a b", "user@h", "h:x", "h/x", "a,b", ":80"] {
            assert!(!is_authority(host), "{host}");
        }
    }

    #[test]
    fn every_header_that_names_another_method_is_heard_in_any_spelling() {
        let heard = |headers: &[(&'static str, &'static str)]| {
            let request = headers.iter().fold(from("192.0.2.1"), |request, header| request.append_header(*header));
            let request = request.to_http_request();
            rim(|_| ()).headers(request.headers()).map(|headers| headers.meant_methods.into_iter().flatten().count())
        };
        let spellings = [("X-HTTP-Method-Override", "a"), ("x_http_method_override", "b"), ("X-Method_Override", "c")];
        assert_eq!(heard(&spellings), Ok(3));
        assert_eq!(heard(&[("X-HTTP-Method", "a"), ("X-HTTP-Method", "b")]), Ok(2));
        assert_eq!(heard(&[("X-HTTP-Methods", "a"), ("X-Method-Overrides", "b")]), Ok(0));
        assert!(heard(&[("X-HTTP-Method", "a"); 5]).is_err());
    }

    #[test]
    fn a_content_type_that_two_readers_could_take_differently_is_refused() {
        let headers = |values: &[&[u8]]| {
            let request = values.iter().fold(from("192.0.2.1"), |request, value| {
                request.append_header(("content-type", HeaderValue::from_bytes(value).unwrap()))
            });
            let request = request.to_http_request();
            rim(|_| ()).headers(request.headers()).map(|headers| headers.content_type.map(str::to_owned))
        };
        assert_eq!(headers(&[b"text/plain"]), Ok(Some("text/plain".into())));
        assert!(headers(&[b"application/x-www-form-urlencoded", b"text/plain"]).is_err());
        assert!(headers(&[b"application/x-www-form-urlencoded; x=\xff"]).is_err());
    }

    #[test]
    fn only_what_follows_a_switch_to_websocket_is_no_body() {
        let with = |headers: &[(&'static str, &'static str)]| {
            is_endless(
                &headers
                    .iter()
                    .fold(from("192.0.2.1"), |request, header| request.append_header(*header))
                    .to_http_request(),
            )
        };
        assert!(with(&[("upgrade", "WebSocket")]));
        assert!(!with(&[("upgrade", "h2c")]), "Java's client offers h2c with every request");
        assert!(!with(&[("upgrade", "websocket"), ("transfer-encoding", "chunked")]));
        assert!(!with(&[]));
    }

    #[test]
    fn a_request_for_a_websocket_that_brings_a_body_is_refused() {
        let is_taken = |header: (&'static str, &'static str)| {
            let request = from("192.0.2.1").insert_header(("upgrade", "websocket")).insert_header(header);
            rim(|_| ()).headers(request.to_http_request().headers()).is_ok()
        };
        assert!(is_taken(("content-length", "0")));
        assert!(!is_taken(("content-length", "5")));
        assert!(!is_taken(("transfer-encoding", "chunked")));
    }

    #[test]
    fn the_same_client_key_in_two_headers_counts_once() {
        let received = |second: &str| {
            let request = from("192.0.2.1")
                .insert_header(("X-Client-Key", "k"))
                .insert_header(("X-App-Key", second))
                .to_http_request();
            rim(|_| ()).headers(request.headers()).unwrap().client_key.once().map(str::to_owned)
        };
        assert_eq!(received("k").as_deref(), Some("k"));
        assert_eq!(received("l"), None);
    }
}
