//! What a proxy says of the request that it asks about, one reading for each family of proxies.
//!
//! Each reads its own headers and no other: what it does not read, a client can't put there. Missing or doubled metadata
//! is refused, never guessed. Targets are taken byte for byte.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;

use crate::protocol::header::is_token;
use crate::protocol::request::UriScheme;
use crate::web::request::ExternalOrigin;

/// Which contract an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `/authz/forward`: Traefik, Caddy, and whatever can set headers and send a body.
    Forward,
    /// `/authz/nginx`: `auth_request`, which can send no body.
    Nginx,
    /// `/authz/envoy/…`: `ext_authz` over HTTP, with the path behind a prefix.
    Envoy,
}

/// What stands before the path that Envoy asks about.
const ENVOY_PREFIX: &str = "/authz/envoy";

/// The request line of the client, as its proxy tells it.
pub struct Described<'a> {
    /// As the client sent it.
    pub method: &'a str,
    /// Scheme and Host.
    pub origin: ExternalOrigin,
    /// As it was sent; begins with a slash.
    pub path: &'a str,
    /// Behind the first `?`.
    pub query: Option<&'a str>,
}

/// Whether the client's body came along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyIs<'a> {
    /// It is the body of the question.
    Own,
    /// In `X-Original-Body`, in base64.
    Header(&'a str),
    /// The client sent none, or an empty one.
    Empty,
    /// It did not come along, and the proxy does not say whether there is one.
    Missing,
    /// The client sent one, which did not come along.
    Withheld,
    /// Only a part of it came along.
    Cut,
}

impl Family {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
        }
    }

    /// What the proxy says; `Err` names what is missing, for the operator's log.
    pub fn describe<'a>(self, request: &'a HttpRequest) -> Result<Described<'a>, &'static str> {
        let headers = request.headers();
        match self {
            Self::Forward => {
                let method = single(headers, "x-forwarded-method").ok_or("X-Forwarded-Method")?;
                let scheme = single(headers, "x-forwarded-proto").and_then(scheme).ok_or("X-Forwarded-Proto")?;
                let host = single(headers, "x-forwarded-host").ok_or("X-Forwarded-Host")?;
                let target = single(headers, "x-forwarded-uri").ok_or("X-Forwarded-Uri")?;
                describe(method, scheme, host, target).ok_or("an X-Forwarded-Uri that begins with a slash")
            }
            Self::Nginx => {
                let method = single(headers, "x-original-method").ok_or("X-Original-Method")?;
                let url = single(headers, "x-original-url").ok_or("X-Original-URL")?;
                let (before, rest) = url.split_once("://").ok_or("an X-Original-URL with scheme and host")?;
                let scheme = scheme(before).ok_or("an X-Original-URL of http or https")?;
                let slash = rest.find('/').ok_or("an X-Original-URL with a path")?;
                let (host, target) = rest.split_at(slash);
                describe(method, scheme, host, target).ok_or("an X-Original-URL with a path")
            }
            Self::Envoy => {
                let scheme = single(headers, "x-forwarded-proto").and_then(scheme).ok_or("X-Forwarded-Proto")?;
                let host = single(headers, "host").ok_or("Host")?;
                let target = request.uri().path_and_query().map_or("", |target| target.as_str());
                let target = target.strip_prefix(ENVOY_PREFIX).ok_or("the path behind /authz/envoy")?;
                describe(request.method().as_str(), scheme, host, target).ok_or("the path behind /authz/envoy")
            }
        }
    }

    /// Where the client's body is. `Own` means: if the question has one.
    pub fn body<'a>(self, request: &'a HttpRequest) -> BodyIs<'a> {
        let headers = request.headers();
        let has_own = headers.contains_key("transfer-encoding")
            || single(headers, "content-length").is_some_and(|length| length.trim() != "0");
        let not_here = match single(headers, "x-original-content-length") {
            Some("0") => BodyIs::Empty,
            None | Some("") => BodyIs::Missing,
            Some(_) => BodyIs::Withheld,
        };
        match self {
            Self::Forward => match (headers.contains_key("x-original-body"), has_own) {
                (true, false) => single(headers, "x-original-body").map_or(BodyIs::Missing, BodyIs::Header),
                (false, true) => BodyIs::Own,
                (false, false) => not_here,
                // Which of the two the upstream gets can't be told.
                (true, true) => BodyIs::Withheld,
            },
            Self::Nginx => not_here,
            Self::Envoy => {
                let cut = headers.get_all("x-envoy-auth-partial-body").any(|cut| cut != "false");
                match (has_own, cut) {
                    (_, true) => BodyIs::Cut,
                    (true, false) => BodyIs::Own,
                    (false, false) => not_here,
                }
            }
        }
    }

    /// The setting that makes a body come along, for the log.
    pub const fn body_setting(self) -> &'static str {
        match self {
            Self::Forward => {
                "the body did not come along: in Traefik set forwardBody and maxBodySize, in Caddy from 2.11 send \
                 {http.request.body_base64} as X-Original-Body"
            }
            Self::Nginx => {
                "no body can come along with auth_request, and a form's only with njs and /authz/forward, as in docs/deploy/nginx-njs; \
                 say X-Original-Content-Length"
            }
            Self::Envoy => "the body did not come along whole: set with_request_body and raise max_request_bytes",
        }
    }
}

fn describe<'a>(method: &'a str, scheme: UriScheme, host: &str, target: &'a str) -> Option<Described<'a>> {
    // White space and control characters are in no request line (RFC 9112 §3.2); a reader behind would end the target there.
    let is_line = !target.bytes().any(|octet| octet <= b' ' || octet == 0x7f);
    if !target.starts_with('/') || !is_line || !is_token(method) {
        return None;
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    Some(Described { method, origin: ExternalOrigin { scheme, authority: host.to_owned() }, path, query })
}

/// The header's text, if it was sent once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    // A target may hold octets that are no ASCII: they are UTF-8 or they are not signed.
    std::str::from_utf8(first.as_bytes()).ok()
}

/// Traefik writes `ws` and `wss` for what began as `http` and `https` (RFC 6455 §3).
fn scheme(text: &str) -> Option<UriScheme> {
    match text.to_ascii_lowercase().as_str() {
        "http" | "ws" => Some(UriScheme::Http),
        "https" | "wss" => Some(UriScheme::Https),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    const FORWARD: [(&str, &str); 4] = [
        ("x-forwarded-method", "PUT"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api.example.com:8443"),
        ("x-forwarded-uri", "/a%2Fb//c?x=%20&y=/?"),
    ];

    fn with(headers: &[(&'static str, &'static str)]) -> HttpRequest {
        headers.iter().fold(TestRequest::default(), |request, header| request.append_header(*header)).to_http_request()
    }

    fn told(family: Family, request: &HttpRequest) -> Result<String, &'static str> {
        let described = family.describe(request)?;
        let query = described.query.map(|query| format!("?{query}")).unwrap_or_default();
        Ok(format!("{} {}{}{query}", described.method, described.origin, described.path))
    }

    #[test]
    fn forward_metadata_is_taken_byte_for_byte() {
        let expected = "PUT https://api.example.com:8443/a%2Fb//c?x=%20&y=/?";
        assert_eq!(told(Family::Forward, &with(&FORWARD)).unwrap(), expected);
    }

    #[test]
    fn a_target_that_no_request_line_can_hold_is_refused() {
        for target in ["/a?_method=DELETE x", "/a b", "/a?\tb"] {
            let mut headers = FORWARD;
            headers[3].1 = target;
            assert!(told(Family::Forward, &with(&headers)).is_err(), "{target:?}");
        }
    }

    #[test]
    fn any_missing_or_doubled_metadata_is_refused() {
        for missing in 0..FORWARD.len() {
            let mut headers = FORWARD.to_vec();
            let (name, value) = headers.remove(missing);
            assert!(told(Family::Forward, &with(&headers)).is_err(), "without {name}");
            headers.extend([(name, value), (name, value)]);
            assert!(told(Family::Forward, &with(&headers)).is_err(), "two of {name}");
        }
    }

    #[test]
    fn nginx_metadata_is_one_url() {
        let request = |url| with(&[("x-original-method", "GET"), ("x-original-url", url)]);
        assert_eq!(told(Family::Nginx, &request("http://h:8080/a?b")).unwrap(), "GET http://h:8080/a?b");
        for url in ["/a", "http://h", "h/a", "ftp://h/a", ""] {
            assert!(told(Family::Nginx, &request(url)).is_err(), "{url}");
        }
    }

    #[test]
    fn one_family_does_not_read_what_another_is_told() {
        assert!(told(Family::Nginx, &with(&FORWARD)).is_err());
        let nginx = with(&[("x-original-method", "GET"), ("x-original-url", "http://h/a")]);
        assert!(told(Family::Forward, &nginx).is_err());
    }

    #[test]
    fn envoy_metadata_is_the_request_line_behind_the_prefix() {
        let request = |target: &str| {
            let host = ("host", "api.example.com");
            TestRequest::with_uri(target)
                .insert_header(host)
                .insert_header(("x-forwarded-proto", "https"))
                .to_http_request()
        };
        assert_eq!(
            told(Family::Envoy, &request("/authz/envoy/a%2Fb?c")).unwrap(),
            "GET https://api.example.com/a%2Fb?c"
        );
        assert!(told(Family::Envoy, &request("/authz/envoy")).is_err());
        assert!(told(Family::Envoy, &request("/authz/envoyage")).is_err());
    }

    #[test]
    fn web_sockets_are_http() {
        let mut headers = FORWARD;
        headers[1].1 = "wss";
        assert!(told(Family::Forward, &with(&headers)).unwrap().starts_with("PUT https://"));
    }

    #[test]
    fn a_body_is_there_empty_or_missing() {
        let is =
            |family: Family, headers: &[(&'static str, &'static str)]| format!("{:?}", family.body(&with(headers)));
        assert_eq!(is(Family::Forward, &[("content-length", "3")]), "Own");
        assert_eq!(is(Family::Forward, &[("x-original-body", "YQ==")]), "Header(\"YQ==\")");
        assert_eq!(is(Family::Forward, &[("x-original-body", "YQ=="), ("content-length", "3")]), "Withheld");
        assert_eq!(is(Family::Forward, &[("x-original-content-length", "3")]), "Withheld");
        assert_eq!(is(Family::Forward, &[("x-original-content-length", "0")]), "Empty");
        assert_eq!(is(Family::Forward, &[]), "Missing");
        assert_eq!(is(Family::Nginx, &[("x-original-body", "YQ==")]), "Missing");
        assert_eq!(is(Family::Nginx, &[("x-original-content-length", "0")]), "Empty");
        let cut = ("x-envoy-auth-partial-body", "true");
        assert_eq!(is(Family::Envoy, &[("content-length", "3"), cut]), "Cut");
        assert_eq!(is(Family::Envoy, &[("content-length", "3"), cut, ("x-envoy-auth-partial-body", "false")]), "Cut");
        assert_eq!(is(Family::Envoy, &[("content-length", "0")]), "Missing");
    }
}
