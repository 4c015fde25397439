//! The signature base string: method, base string URI and normalized parameters (RFC 5849 §3.4.1).
//!
//! It is made from what was received, in one pass, and says nothing about whether a signature over it is good.

use std::borrow::Cow;
use std::fmt;

use super::encoding::encode_into;
use super::parameters::Parameters;
use super::request::{ReceivedRequest, UriScheme};

/// Scheme, authority and path of the request, without default port, query and fragment (RFC 5849 §3.4.1.2).
///
/// ```
/// use countersign::protocol::{base_string::BaseStringUri, request::UriScheme};
/// let uri = BaseStringUri::new(UriScheme::Http, "EXAMPLE.COM:80", "/r%20v/X");
/// assert_eq!(uri.to_string(), "http://example.com/r%20v/X");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseStringUri<'a> {
    scheme: UriScheme,
    host: Cow<'a, str>,
    port: Option<&'a str>,
    path: &'a str,
}

impl<'a> BaseStringUri<'a> {
    /// `authority`: host and port as sent; `path`: as sent, never decoded.
    pub fn new(scheme: UriScheme, authority: &'a str, path: &'a str) -> Self {
        let (host, port) = split_authority(authority);
        Self {
            scheme,
            host: if host.bytes().any(|octet| octet.is_ascii_uppercase()) {
                Cow::Owned(host.to_ascii_lowercase())
            } else {
                Cow::Borrowed(host)
            },
            port: port.filter(|port| !port.is_empty() && *port != scheme.default_port()),
            path: if path.is_empty() { "/" } else { path },
        }
    }

    fn encode_into(&self, out: &mut String) {
        out.push_str(match self.scheme {
            UriScheme::Http => "http%3A%2F%2F",
            UriScheme::Https => "https%3A%2F%2F",
        });
        encode_into(out, &self.host);
        if let Some(port) = self.port {
            out.push_str("%3A");
            encode_into(out, port);
        }
        encode_into(out, self.path);
    }
}

impl fmt::Display for BaseStringUri<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme.as_str(), self.host)?;
        if let Some(port) = self.port {
            write!(formatter, ":{port}")?;
        }
        formatter.write_str(self.path)
    }
}

/// Host and port of an authority; the colons inside `[…]` belong to the host (RFC 3986 §3.2).
pub fn split_authority(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    }
}

/// The text that is signed (RFC 5849 §3.4.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureBaseString(String);

impl SignatureBaseString {
    /// Of a request as it was received and its parameters.
    pub fn of(request: &ReceivedRequest<'_>, parameters: &Parameters<'_>) -> Self {
        let uri = BaseStringUri::new(request.scheme, request.authority, request.path);
        Self::new(request.method, &uri, parameters)
    }

    /// From its three parts. The method is written in upper case.
    pub fn new(method: &str, uri: &BaseStringUri<'_>, parameters: &Parameters<'_>) -> Self {
        let mut text = String::with_capacity(512);
        encode_into(&mut text, method);
        text.make_ascii_uppercase();
        text.push('&');
        uri.encode_into(&mut text);
        text.push('&');
        for (position, parameter) in parameters.normalized().into_iter().enumerate() {
            if position > 0 {
                text.push_str("%26");
            }
            encode_into(&mut text, &parameter.name);
            text.push_str("%3D");
            encode_into(&mut text, &parameter.value);
        }
        Self(text)
    }

    /// Of a text that was put together otherwise, never for what admits.
    #[cfg(test)]
    pub(super) const fn of_text(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SignatureBaseString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(scheme: UriScheme, authority: &str, path: &str) -> String {
        BaseStringUri::new(scheme, authority, path).to_string()
    }

    #[test]
    fn only_the_default_port_of_the_scheme_is_left_out() {
        assert_eq!(uri(UriScheme::Https, "www.example.net:8080", "/"), "https://www.example.net:8080/");
        assert_eq!(uri(UriScheme::Https, "example.com:443", "/"), "https://example.com/");
        assert_eq!(uri(UriScheme::Https, "example.com:80", "/"), "https://example.com:80/");
        assert_eq!(uri(UriScheme::Http, "example.com:", "/"), "http://example.com/");
    }

    #[test]
    fn the_colons_of_an_ip_literal_are_no_port() {
        assert_eq!(uri(UriScheme::Http, "[::1]", "/x"), "http://[::1]/x");
        assert_eq!(uri(UriScheme::Http, "[::1]:80", "/x"), "http://[::1]/x");
        assert_eq!(uri(UriScheme::Http, "[2001:DB8::1]:8080", "/x"), "http://[2001:db8::1]:8080/x");
    }

    #[test]
    fn the_path_stays_as_it_was_sent_and_an_empty_one_is_a_slash() {
        assert_eq!(uri(UriScheme::Http, "h", "/a%2fB/%7e;x//"), "http://h/a%2fB/%7e;x//");
        assert_eq!(uri(UriScheme::Http, "h", ""), "http://h/");
    }

    #[test]
    fn the_method_is_written_in_upper_case() {
        let uri = BaseStringUri::new(UriScheme::Http, "h", "/");
        let text = SignatureBaseString::new("patch", &uri, &Parameters::default());
        assert_eq!(text.as_str(), "PATCH&http%3A%2F%2Fh%2F&");
    }
}
