//! Origins (RFC 6454): what the URI of a base string begins with.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::values::{InvalidValue, is_name};
use crate::protocol::request::UriScheme;

/// Scheme, host and port of a URL (RFC 6454): what the base string's URI begins with. `Display` writes it as base strings do:
/// lower case, without the scheme's own port, without a final slash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    scheme: UriScheme,
    /// Lower case; IPv6 in brackets.
    host: String,
    /// Only when it is not the scheme's own.
    port: Option<u16>,
}

impl Origin {
    pub fn is_https(&self) -> bool {
        self.scheme == UriScheme::Https
    }

    pub fn scheme(&self) -> UriScheme {
        self.scheme
    }

    /// Lower case; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What a `Host` header holds: the host, and the port if it is not the scheme's own.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

impl FromStr for Origin {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Origin, InvalidValue> {
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = lower
            .split_once("://")
            .and_then(|(scheme, rest)| Some((UriScheme::parse(scheme)?, rest)))
            .ok_or(InvalidValue::Origin("it begins with neither https:// nor http://"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(InvalidValue::Origin("it has a path or a query"));
        }
        if authority.contains('@') {
            return Err(InvalidValue::Origin("it has a user name"));
        }
        let host_end = if authority.starts_with('[') {
            authority.find(']').map_or(0, |at| at + 1)
        } else {
            authority.find(':').unwrap_or(authority.len())
        };
        let (host, port) = authority.split_at(host_end);
        if !is_host(host) {
            return Err(InvalidValue::Origin(
                "the host is no name and no address (names beyond ASCII are written xn--…)",
            ));
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(
                digits
                    .parse::<u16>()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or(InvalidValue::Origin("the port is not from 1 to 65535"))?,
            ),
            _ => return Err(InvalidValue::Origin("the port is not from 1 to 65535")),
        };
        let port = port.filter(|port| port.to_string() != scheme.default_port());
        Ok(Origin { scheme, host: host.to_owned(), port })
    }
}

fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(text, |byte| byte == b'-' || byte == b'.' || byte == b'_'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_base_strings_write_it() {
        for (given, written) in [
            ("https://API.Example.com/", "https://api.example.com"),
            ("https://api.example.com:443", "https://api.example.com"),
            ("http://api.example.com:443", "http://api.example.com:443"),
            ("HTTP://[::1]:8080", "http://[::1]:8080"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
        ] {
            assert_eq!(given.parse::<Origin>().unwrap().to_string(), written);
        }
        assert_eq!("https://a.example".parse::<Origin>().unwrap().authority(), "a.example");
        assert_eq!("http://a.example:8080".parse::<Origin>().unwrap().authority(), "a.example:8080");
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for text in [
            "",
            "api.example.com",
            "ftp://a",
            "https://",
            "https://a/v2",
            "https://a?b",
            "https://u@a",
            "https://a:0",
            "https://a:65536",
            "https://a:",
            "https://[::1",
            "https://ä.example",
            "https://a:+80",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
