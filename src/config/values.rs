//! The kinds of text that settings hold, parsed once: what is wrong with them, words, header names, paths, keys.
//!
//! Errors say what should be there and never repeat the text, which may hold a password.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::scope::Scope;
use crate::protocol::encoding::{Plus, decode};

/// Why a text is not what its key needs.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidValue {
    #[error("should be an IP address and a port, such as 127.0.0.1:8080 or [::]:8080")]
    Listen,
    #[error(
        "should be a scheme and a host, with a port if it is not the scheme's own, such as https://api.example.com: {0}"
    )]
    Origin(&'static str),
    #[error("should be an address or a network, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8")]
    Network,
    #[error(
        "should be sqlite://relative.db, sqlite:///absolute/path.db, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    DatabaseUrl,
    #[error("should be redis://HOST:PORT, or rediss://HOST:PORT with TLS")]
    RedisUrl,
    #[error("should be an address that begins with https:// or http://, or mailto:")]
    Link,
    #[error("should be base64 of exactly 32 bytes, as `head -c 32 /dev/urandom | base64` makes it")]
    MasterKey,
    #[error("should be the name of an HTTP header: letters, digits and hyphens")]
    HeaderName,
    #[error(
        "should be a path such as {0}: it begins with a slash, has no slash at its end, and neither `?`, `#`, `*`, nor empty or dot segments"
    )]
    PathPrefix(&'static str),
    #[error("should be a query parameter with its value, such as auth=session")]
    SessionQuery,
    #[error(
        "should be the name of a query parameter, as it is written in a query: letters, digits, `-`, `_`, `.` or `~`"
    )]
    QueryName,
    #[error("must not be empty")]
    Empty,
    #[error("must be visible ASCII and spaces, without quotes and backslashes")]
    Realm,
    #[error("should be one of {0}")]
    Word(String),
    #[error(
        "should be a scope, noun:verb, such as account:read: at most 128 letters of visible ASCII without comma, quote or backslash"
    )]
    Scope,
    #[error("should be an HTTP method in capitals, such as GET, or * for all that are not named")]
    Method,
    #[error(
        "should be a path, such as /members/{{username}}/tokens: without `*`, `?`, `#`, `%`, a slash at its end, or any variable but {{username}}"
    )]
    AliasPath,
    #[error("should be a path pattern, such as /v2/**: {0}")]
    PathPattern(&'static str),
    #[error(
        "should be a host name, perhaps with * for any letters, such as api-*.example.com; without scheme, port and path"
    )]
    HostPattern,
    #[error("should be an origin such as https://app.example.com, or *")]
    CorsOrigin,
}

/// Makes an enum of the words that a key admits.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All words, in the order in which the documentation names them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word as it is written in the file.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::config::values::InvalidValue;

            fn from_str(text: &str) -> Result<$name, Self::Err> {
                $name::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| {
                    let words: Vec<String> = $name::ALL.iter().map(|word| format!("`{}`", word.as_str())).collect();
                    $crate::config::values::InvalidValue::Word(words.join(", "))
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use words;

/// A socket address to listen on. `localhost:8080` is taken as 127.0.0.1:8080.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listen(pub SocketAddr);

impl FromStr for Listen {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Listen, InvalidValue> {
        let text = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        text.parse().map(Listen).map_err(|_| InvalidValue::Listen)
    }
}

pub(super) fn is_name(text: &str, also: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also(byte))
}

/// The master key as text: base64 of 32 bytes; while it is being changed, several of them with white space between. Silent, and
/// wiped when dropped.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretText {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<SecretText, InvalidValue> {
        let is_key = |word| STANDARD.decode(word).map(Zeroizing::new).is_ok_and(|bytes| bytes.len() == 32);
        let text = text.trim();
        if !text.is_empty() && text.split_ascii_whitespace().all(is_key) {
            Ok(SecretText(Zeroizing::new(text.into())))
        } else {
            Err(InvalidValue::MasterKey)
        }
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// The query parameter that asks for the session instead of a credential, such as `auth=session`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionQuery {
    pub name: String,
    pub value: String,
}

impl SessionQuery {
    /// Whether a pair of the query, still encoded, is this one.
    pub fn asks(&self, name: &str, value: &str) -> bool {
        let is = |sent, known: &str| decode(sent, Plus::IsSpace).is_ok_and(|sent| *sent == *known.as_bytes());
        is(name, &self.name) && is(value, &self.value)
    }

    pub(super) fn usual() -> SessionQuery {
        SessionQuery { name: "auth".into(), value: "session".into() }
    }
}

impl FromStr for SessionQuery {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<SessionQuery, InvalidValue> {
        let (name, value) = text.split_once('=').ok_or(InvalidValue::SessionQuery)?;
        if is_query_word(name) && is_query_word(value) {
            Ok(SessionQuery { name: name.into(), value: value.into() })
        } else {
            Err(InvalidValue::SessionQuery)
        }
    }
}

fn is_query_word(text: &str) -> bool {
    is_name(text, |byte| b"-_.~".contains(&byte))
}

/// Makes a newtype around a text that a rule admits.
macro_rules! checked_text {
    ($(#[$about:meta])* $name:ident, $admits:expr, $error:expr) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::config::values::InvalidValue;

            fn from_str(text: &str) -> Result<$name, Self::Err> {
                let admits: fn(&str) -> bool = $admits;
                if admits(text) { Ok($name(text.to_owned())) } else { Err($error) }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(super) use checked_text;

checked_text!(
    /// The name of an HTTP header (RFC 9110 §5.1), in the case in which it was written.
    HeaderName,
    |text| is_name(text, |byte| byte == b'-' || byte == b'_'),
    InvalidValue::HeaderName
);

impl HeaderName {
    pub(super) fn of_client_keys() -> Vec<HeaderName> {
        ["X-Client-Key", "X-App-Key"].map(|name| HeaderName(name.into())).into()
    }
}

checked_text!(
    /// The name of a query parameter, which needs no escapes.
    QueryName,
    is_query_word,
    InvalidValue::QueryName
);

impl QueryName {
    pub(super) fn of_client_keys() -> Vec<QueryName> {
        vec![QueryName("client_key".into())]
    }
}

checked_text!(
    /// A path that others begin with, such as `/oauth`: it begins with a slash and doesn't end with one.
    PathPrefix,
    |text| text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain_segment)),
    InvalidValue::PathPrefix("/oauth")
);

/// Whether everybody reads this segment of a path alike: no dots to resolve, nothing that ends a path, no escape, no pattern.
pub(super) fn is_plain_segment(segment: &str) -> bool {
    let is_plain = |octet: u8| octet.is_ascii_graphic() && !b"?#*%\\\"<>{}".contains(&octet);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain)
}

impl PathPrefix {
    /// `/oauth`, which is always there.
    pub fn oauth() -> PathPrefix {
        PathPrefix("/oauth".into())
    }
}

checked_text!(
    /// An address that answers and pages point to: `https:`, `http:` or `mailto:`.
    Link,
    |text| ["https://", "http://", "mailto:"].iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))),
    InvalidValue::Link
);

checked_text!(
    /// A realm (RFC 9110 §11.5), written between quotes in challenges without any escape.
    Realm,
    |text| !text.is_empty() && text.bytes().all(|byte| (byte == b' ' || byte.is_ascii_graphic()) && byte != b'"' && byte != b'\\'),
    InvalidValue::Realm
);

impl Realm {
    pub(super) fn usual() -> Realm {
        Realm("Countersign".into())
    }
}

checked_text!(
    /// The name of a scope.
    ScopeName,
    |text| Scope::parse(text).is_ok(),
    InvalidValue::Scope
);

checked_text!(
    /// Text that is not empty.
    Words,
    |text| !text.trim().is_empty(),
    InvalidValue::Empty
);

/// A path of this machine, as given; relative to the working directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilePath(pub PathBuf);

impl FromStr for FilePath {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<FilePath, InvalidValue> {
        if text.is_empty() { Err(InvalidValue::Empty) } else { Ok(FilePath(text.into())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_has_exactly_32_bytes() {
        let good = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert!(format!("{good}\n{good}\n").parse::<SecretText>().is_ok());
        assert!(!format!("{:?}", good.parse::<SecretText>()).contains("AAAA"), "and is not shown");
        assert!(format!("{good}\nAAAA").parse::<SecretText>().is_err());
        assert!("".parse::<SecretText>().is_err());
        assert!("AAAA".parse::<SecretText>().is_err());
        assert!("not base64 at all, not base64 at all, not base64".parse::<SecretText>().is_err());
    }

    #[test]
    fn a_prefix_is_a_clean_path() {
        assert!("/v2/oauth".parse::<PathPrefix>().is_ok());
        for text in ["", "/", "oauth", "/oauth/", "/a//b", "/../a", "/a?b", "/a%2fb", "/a b", "/**"] {
            assert!(text.parse::<PathPrefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn localhost_means_the_loopback_address() {
        assert_eq!("localhost:80".parse::<Listen>().unwrap().0, SocketAddr::from(([127, 0, 0, 1], 80)));
        assert!("8080".parse::<Listen>().is_err());
    }
}
