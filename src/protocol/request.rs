//! What was received, as it was sent: method, external URI, raw query, the headers that matter, body, time of arrival.
//!
//! The rim fills this once per request and everything above reads it. Nothing here is decoded, sorted or tidied:
//! the raw text is what the client signed (RFC 5849 §3.4.1).

use std::borrow::Cow;
use std::net::IpAddr;

use super::cookies::Cookies;
use super::encoding::{self, Plus};
use crate::time::Timestamp;

/// The scheme of the URI that the client used, which a proxy in front may have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UriScheme {
    /// `http`, default port 80.
    Http,
    /// `https`, default port 443.
    Https,
}

impl UriScheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Reads that, in any case (RFC 3986 §3.1); `None`: another scheme.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
    }

    /// The port that RFC 5849 §3.4.1.2 leaves out of the base string URI.
    pub const fn default_port(self) -> &'static str {
        match self {
            Self::Http => "80",
            Self::Https => "443",
        }
    }
}

/// How often a header or parameter was sent that may come once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sent<T> {
    /// Not at all.
    #[default]
    Never,
    /// Once.
    Once(T),
    /// Once, in octets that are no UTF-8.
    Unreadable,
    /// More than once, with different values: which one counts can't be told.
    Repeatedly,
}

impl<T: Copy + PartialEq> Sent<T> {
    /// Notes one more value.
    pub fn add(&mut self, value: T) {
        *self = match *self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Unreadable | Self::Repeatedly => Self::Repeatedly,
        };
    }

    /// Notes one more value, which is no UTF-8.
    pub fn add_unreadable(&mut self) {
        *self = match *self {
            Self::Never => Self::Unreadable,
            Self::Once(_) | Self::Unreadable | Self::Repeatedly => Self::Repeatedly,
        };
    }

    /// Notes one more value; the same one again changes nothing.
    pub fn add_unless_same(&mut self, value: T) {
        match *self {
            Self::Once(first) if first == value => {}
            Self::Never | Self::Once(_) | Self::Unreadable | Self::Repeatedly => self.add(value),
        }
    }

    /// The value, if there is exactly one.
    pub const fn once(self) -> Option<T> {
        match self {
            Self::Once(value) => Some(value),
            Self::Never | Self::Unreadable | Self::Repeatedly => None,
        }
    }
}

/// The headers that decide something, in the text that was sent. Values that are no UTF-8 never get here but one; of those
/// that may come once, it is known that they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `Authorization` (RFC 9110 §11.6.2).
    pub authorization: Sent<&'a str>,
    /// The octets of an `Authorization` that are no UTF-8.
    pub authorization_octets: Option<&'a [u8]>,
    /// `Host`, or what a trusted proxy says that it was; the external URI may have another. Nothing is decided by it.
    pub host: Option<&'a str>,
    /// The client key from any of the configured headers; the same key in two of them counts once.
    pub client_key: Sent<&'a str>,
    /// `Cookie`, all of it.
    pub cookies: Cookies<'a>,
    /// `User-Agent`, when it is not empty.
    pub user_agent: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
    /// `X-CSRF-Token`.
    pub csrf_token: Option<&'a str>,
    /// `X-OAuth-Scope`.
    pub oauth_scope: Option<&'a str>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Access-Control-Request-Method`.
    pub requested_method: Option<&'a str>,
    /// Whether `Content-Encoding` says that the body is another text than its octets.
    pub encoded: bool,
    /// Whether a trusted proxy says that the client came without TLS, whatever scheme the public URL has.
    pub came_in_clear: bool,
    /// Whether it asks to become a WebSocket (RFC 6455 §4.1).
    pub websocket: bool,
    /// Whether a small body follows that nobody has read yet, because the judgement does not depend on it.
    pub unread_body: bool,
    /// `X-HTTP-Method-Override`, `X-HTTP-Method`, `X-Method-Override`: methods that a request says it means.
    pub meant_methods: [Option<&'a str>; MEANT_METHODS],
}

/// One request as it was received from outside.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedRequest<'a> {
    /// As it was sent, e.g. `GET`.
    pub method: &'a str,
    /// Of the external URI.
    pub scheme: UriScheme,
    /// Host and port of the external URI, e.g. `api.example.com:8080` or `[::1]`.
    pub authority: &'a str,
    /// The path as it was sent, escapes and all; never empty.
    pub path: &'a str,
    /// What stands behind the first `?`, undecoded; `None` without a `?`.
    pub query: Option<&'a str>,
    /// The headers that matter.
    pub headers: Headers<'a>,
    /// The whole body, where it was read before judging; `None` when it is still streaming or did not come along.
    pub body: Option<&'a [u8]>,
    /// The address of the client: the peer, or what a trusted proxy said of it.
    pub client_address: IpAddr,
    /// When the head had been received.
    pub arrived: Timestamp,
}

impl<'a> ReceivedRequest<'a> {
    /// Whether the content type is that of a single-part form (RFC 5849 §3.4.1.3.1).
    pub fn has_form_type(&self) -> bool {
        self.headers.content_type.is_some_and(is_form_type)
    }

    /// The body as text where RFC 5849 §3.4.1.3.1 makes it a source of parameters: form content type, and read.
    ///
    /// Octets that are no UTF-8 can't be in a form (they would be escaped): such a body is no source.
    pub fn form(&self) -> Option<&'a str> {
        let body = self.body.filter(|_| self.has_form_type())?;
        std::str::from_utf8(body).ok()
    }

    /// Whether the body is said to be a form and can't be read as one here, though a reader behind us may: then nobody knows
    /// what a signature covers, nor which method the form means.
    pub fn is_unreadable_form(&self) -> bool {
        self.has_form_type()
            && self.body.is_some_and(|body| !body.is_empty())
            && (self.headers.encoded || self.is_in_foreign_charset() || self.form().is_none())
    }

    /// Whether the content type names a character set in which ASCII is written otherwise, or may be: UTF-16, UTF-7, EBCDIC.
    fn is_in_foreign_charset(&self) -> bool {
        let parameters = self.headers.content_type.unwrap_or_default().split([';', ',']).skip(1);
        parameters
            .filter_map(|parameter| parameter.split_once('='))
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .any(|(_, charset)| writes_ascii_otherwise(charset.trim().trim_matches(['"', '\''])))
    }

    /// The methods that the request says it means, in capitals: by headers, or by `_method` in its query or form. Some
    /// readers take one of several between commas. A body of a form's type counts although it is no text: what is behind
    /// us may not mind.
    pub fn meant_methods(&self) -> Vec<String> {
        let form = self.body.filter(|_| self.has_form_type()).map(String::from_utf8_lossy);
        // Rack took `;` for `&`.
        let fields = [self.query, form.as_deref()].into_iter().flatten().flat_map(|text| text.split(['&', ';']));
        let fields = fields.filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let is_method = encoding::decode(name, Plus::IsSpace).is_ok_and(|name| is_method_field(&name));
            is_method.then(|| encoding::decode(value, Plus::IsSpace).unwrap_or(Cow::Borrowed(value.as_bytes())))
        });
        let headers = self.headers.meant_methods.into_iter().flatten().map(|method| Cow::Borrowed(method.as_bytes()));
        headers
            .chain(fields)
            .flat_map(|methods| {
                let methods = String::from_utf8_lossy(&methods).to_ascii_uppercase();
                methods.split(',').map(|method| method.trim().to_owned()).collect::<Vec<_>>()
            })
            .filter(|method| !method.is_empty())
            .collect()
    }

    /// Whether a browser says that another site's page made it (Fetch Metadata; `Origin` where that is missing).
    pub fn is_from_elsewhere(&self) -> bool {
        match (self.headers.fetch_site, self.headers.origin) {
            (Some(site), _) => !matches!(site, "same-origin" | "none"),
            (None, Some(origin)) => origin != format!("{}://{}", self.scheme.as_str(), self.authority),
            // No browser: scripts send neither.
            (None, None) => false,
        }
    }

    /// Whether it came by TLS, as far as the public URL and the proxies say.
    pub fn is_by_tls(&self) -> bool {
        self.scheme == UriScheme::Https && !self.headers.came_in_clear
    }

    /// Whether the request may change something, also for a reader behind us who believes that it means another method.
    pub fn may_change_something(&self) -> bool {
        changes_something(self.method) || self.meant_methods().iter().any(|method| changes_something(method))
    }
}

/// Whether a header, or a field that some readers take for one, says that the request means another method than it was sent with,
/// spelled as any reader behind us could understand it: CGI and its heirs can't tell `_` from `-`.
pub fn means_method(name: &[u8]) -> bool {
    let known: &[u8] = match name.len() {
        13 => b"x-http-method",
        17 => b"x-method-override",
        22 => b"x-http-method-override",
        _ => return false,
    };
    name.iter()
        .zip(known)
        .all(|(sent, known)| sent.eq_ignore_ascii_case(known) || (*known == b'-' && !sent.is_ascii_alphanumeric()))
}

/// Whether a reader behind us could take this for the field `_method`: PHP drops leading spaces, ends a name at a NUL, and
/// writes `_` for signs that its variables can't have; Slim asks for `_METHOD`. ASP.NET takes a field for the header too.
fn is_method_field(name: &[u8]) -> bool {
    let name = name.split(|octet| *octet == 0).next().unwrap_or_default().trim_ascii_start();
    if means_method(name) {
        return true;
    }
    name.strip_prefix(b"_")
        .or_else(|| name.strip_prefix(b"."))
        .or_else(|| name.strip_prefix(b"["))
        .is_some_and(|rest| rest.eq_ignore_ascii_case(b"method"))
}

/// How many headers of one request may say that it means another method.
pub const MEANT_METHODS: usize = 4;

/// The type of a form (RFC 5849 §3.4.1.3.1).
pub const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// Whether a `Content-Type` names [`FORM_TYPE`], in any case and with any parameters. A comma or a
/// space ends the name as well: PHP reads such a body as a form.
pub fn is_form_type(content_type: &str) -> bool {
    content_type
        .trim_start()
        .split([';', ',', ' ', '\t'])
        .next()
        .is_some_and(|media| media.trim().eq_ignore_ascii_case(FORM_TYPE))
}

/// Whether a character set (IANA's registry, and names that readers know besides) has other octets for ASCII, or is one of a family
/// that has.
fn writes_ascii_otherwise(charset: &str) -> bool {
    const FAMILIES: [&str; 9] = ["utf", "ucs", "unicode", "iso10646", "iso2022", "hz", "ebcdic", "ibm", "cp"];
    const AS_ASCII: [&str; 2] = ["utf8", "cp125"];
    const PAGES_AS_ASCII: [&str; 12] =
        ["437", "775", "850", "852", "855", "866", "874", "932", "936", "949", "950", "1361"];
    let name: String = charset.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let name = name.strip_prefix("cs").or_else(|| name.strip_prefix('x')).unwrap_or(&name);
    let page = name.trim_start_matches(|character: char| !character.is_ascii_digit());
    FAMILIES.iter().any(|family| name.starts_with(family))
        && !AS_ASCII.iter().any(|known| name.starts_with(known))
        && !PAGES_AS_ASCII.contains(&page)
}

/// Whether a method may change something (RFC 9110 §9.2.1).
pub fn changes_something(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(body: &[u8]) -> ReceivedRequest<'_> {
        ReceivedRequest {
            method: "POST",
            scheme: UriScheme::Https,
            authority: "h",
            path: "/",
            query: None,
            headers: Headers::default(),
            body: Some(body),
            client_address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            arrived: Timestamp::from_unix(1),
        }
    }

    #[test]
    fn every_method_that_a_request_says_it_means_is_found() {
        let mut request = posted(b"_method=PATCH&x_method=no");
        request.query = Some("a=1&%5fmethod=put&_method");
        request.headers.meant_methods = [None, Some(" delete "), Some("get, TRACE"), None];
        assert_eq!(request.meant_methods(), ["DELETE", "GET", "TRACE", "PUT"]);
        request.headers.content_type = Some("application/x-www-form-urlencoded");
        assert_eq!(request.meant_methods(), ["DELETE", "GET", "TRACE", "PUT", "PATCH"]);
        request.body = Some(b"\xff=1&_METHOD=PATCH");
        assert_eq!(request.meant_methods(), ["DELETE", "GET", "TRACE", "PUT", "PATCH"]);
    }

    #[test]
    fn a_form_in_another_alphabet_than_ascii_is_unreadable() {
        let is_unreadable = |parameter: &str| {
            let content_type = format!("application/x-www-form-urlencoded{parameter}");
            let mut request = posted(b"a=1");
            request.headers.content_type = Some(&content_type);
            request.is_unreadable_form()
        };
        for read in [
            "",
            "; charset=UTF-8",
            "; charset=\"utf-8\"",
            ";charset=ISO-8859-1",
            "; charset=windows-1252",
            "; charset=latin1",
            "; charset=Shift-JIS",
            "; charset=cp1252",
            "; charset=IBM850",
            "; charset=",
            "; v=1",
        ] {
            assert!(!is_unreadable(read), "{read}");
        }
        for unread in [
            "; charset=utf-16",
            "; Charset = UTF-7",
            "; v=1; charset='ibm037'",
            ", charset=utf-16le",
            "; charset=csUTF16",
            "; charset=ISO-2022-JP",
            "; charset=cp500",
        ] {
            assert!(is_unreadable(unread), "{unread}");
        }
    }

    #[test]
    fn a_field_that_is_called_as_the_header_means_a_method_too() {
        let mut request = posted(b"");
        request.query = Some("X-HTTP-Method-Override=DELETE&x_http_method=PUT&X-HTTP-Methods=no");
        assert_eq!(request.meant_methods(), ["DELETE", "PUT"]);
    }

    #[test]
    fn safe_methods_change_nothing() {
        assert!(!changes_something("GET") && !changes_something("HEAD"));
        assert!(changes_something("POST") && changes_something("DELETE") && changes_something("get"));
    }

    #[test]
    fn a_form_is_recognized_with_parameters_and_in_any_case() {
        assert!(is_form_type("application/x-www-form-urlencoded"));
        assert!(is_form_type("Application/X-WWW-Form-Urlencoded ; charset=UTF-8"));
        assert!(is_form_type(" application/x-www-form-urlencoded, text/plain"));
        assert!(is_form_type("application/x-www-form-urlencoded x"));
        assert!(!is_form_type("multipart/form-data; boundary=x"));
        assert!(!is_form_type("application/x-www-form-urlencoded2"));
    }

    #[test]
    fn a_second_value_is_told_from_one() {
        let mut sent = Sent::Never;
        sent.add_unless_same("k");
        sent.add_unless_same("k");
        assert_eq!(sent, Sent::Once("k"));
        sent.add_unless_same("l");
        assert_eq!(sent.once(), None);
    }
}
