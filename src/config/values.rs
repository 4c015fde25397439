//! The kinds of text that settings hold, parsed once: origins, networks, addresses of stores, header names, words.
//!
//! Errors say what should be there and never repeat the text, which may hold a password.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

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
    #[error("must not hold quotes, backslashes or control characters")]
    Realm,
    #[error("should be one of {0}")]
    Word(String),
    #[error("should be a scope, such as account:read: visible ASCII without comma, quote or backslash")]
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

/// Scheme, host and port of a URL (RFC 6454): what the base string's URI begins with. `Display` writes it as base strings do:
/// lower case, without the scheme's own port, without a final slash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    https: bool,
    /// Lower case; IPv6 in brackets.
    host: String,
    /// Only when it is not the scheme's own.
    port: Option<u16>,
}

impl Origin {
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Lower case; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also when it is the scheme's own.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
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
        write!(f, "{}://{}", self.scheme(), self.authority())
    }
}

impl FromStr for Origin {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Origin, InvalidValue> {
        let lower = text.to_ascii_lowercase();
        let (https, rest) = match (lower.strip_prefix("https://"), lower.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(InvalidValue::Origin("it begins with neither https:// nor http://")),
        };
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
        let own = if https { 443 } else { 80 };
        Ok(Origin { https, host: host.to_owned(), port: port.filter(|port| *port != own) })
    }
}

fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(text, |byte| byte == b'-' || byte == b'.' || byte == b'_'),
    }
}

fn is_name(text: &str, also: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also(byte))
}

/// A network in CIDR form. An IPv4 address that arrives mapped into IPv6 (`::ffff:10.0.0.1`) is the IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether it is every address there is.
    pub const fn is_everybody(&self) -> bool {
        self.prefix == 0
    }

    /// Whether `address` lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                same_prefix(u32::from(ours).into(), u32::from(theirs).into(), 32 - u32::from(self.prefix))
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                same_prefix(ours.into(), theirs.into(), 128 - u32::from(self.prefix))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Whether two addresses are equal above their lowest `host_bits` bits.
fn same_prefix(one: u128, other: u128, host_bits: u32) -> bool {
    let shifted = |address: u128| address.checked_shr(host_bits).unwrap_or(0);
    shifted(one) == shifted(other)
}

impl FromStr for Network {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Network, InvalidValue> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| InvalidValue::Network)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = match prefix {
            Some(digits) => {
                digits.trim().parse().ok().filter(|prefix| *prefix <= longest).ok_or(InvalidValue::Network)?
            }
            None => longest,
        };
        // A listener of both families hears IPv4 in this spelling, and addresses are compared in their own.
        match address.to_canonical() {
            IpAddr::V4(mapped) if address.is_ipv6() => match prefix.checked_sub(96) {
                Some(prefix) => Ok(Network { address: mapped.into(), prefix }),
                None => Err(InvalidValue::Network),
            },
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(Network { address, prefix }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Where the data live. Silent: `Display` and `Debug` leave a password out.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The address as it was given, with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_postgres(&self) -> bool {
        !self.0.starts_with("sqlite:")
    }

    /// The SQLite file, as given (relative to the working directory); `None` for `sqlite::memory:` and PostgreSQL.
    pub fn sqlite_path(&self) -> Option<&Path> {
        self.0.strip_prefix("sqlite://").filter(|path| *path != ":memory:").map(Path::new)
    }

    /// A SQLite file.
    pub fn sqlite(path: &Path) -> Option<DatabaseUrl> {
        path.to_str().and_then(|path| format!("sqlite://{path}").parse().ok())
    }
}

impl DatabaseUrl {
    /// `sqlite://countersign.db`, the default.
    pub fn usual() -> DatabaseUrl {
        DatabaseUrl("sqlite://countersign.db".into())
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<DatabaseUrl, InvalidValue> {
        let is_file = text.strip_prefix("sqlite://").is_some_and(|path| {
            !path.is_empty() && !path.ends_with('/') && !path.starts_with("file:") && !path.contains(['\0', '?'])
        });
        let is_postgres = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if is_file || is_postgres || text == "sqlite::memory:" {
            Ok(DatabaseUrl(text.into()))
        } else {
            Err(InvalidValue::DatabaseUrl)
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// Where Redis is. Silent: `Display` and `Debug` leave a password out.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The address as it was given, with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for RedisUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<RedisUrl, InvalidValue> {
        let known = ["redis://", "rediss://"]
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if known { Ok(RedisUrl(text.into())) } else { Err(InvalidValue::RedisUrl) }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// Leaves out everything that may hold a password: what stands between the user name and the last `@`, and the query (libpq takes
/// `?password=` too).
fn without_password(url: &str) -> String {
    let (shown, query) = match url.split_once('?') {
        Some((shown, _)) => (shown, "?…"),
        None => (url, ""),
    };
    let Some((scheme, rest)) = shown.split_once("://") else { return url.to_owned() };
    // A password may itself hold an unescaped `@` or `/`; only what follows the last `@` is certain to be the address.
    let rest = match rest.rsplit_once('@') {
        Some((user, address)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:…@{address}"),
            None => format!("{user}@{address}"),
        },
        None => rest.to_owned(),
    };
    format!("{scheme}://{rest}{query}")
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
    |text| {
        let clean = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#*%\\\"<>{}".contains(&byte));
        text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(clean))
    },
    InvalidValue::PathPrefix("/oauth")
);

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
    /// The name of a scope: visible ASCII without space, comma, quote and backslash.
    ScopeName,
    |text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b",\"\\".contains(&byte)),
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
        assert_eq!("https://a.example".parse::<Origin>().unwrap().port(), 443);
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

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.255.1".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!(!network.contains("::1".parse().unwrap()));
        let mapped: Network = "::ffff:10.1.0.0/112".parse().unwrap();
        assert_eq!(mapped, network);
        assert!("::ffff:10.1.0.0/95".parse::<Network>().is_err());
        let single: Network = "fd00::1".parse().unwrap();
        assert!(single.contains("fd00::1".parse().unwrap()));
        assert!(!single.contains("fd00::2".parse().unwrap()));
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("localhost".parse::<Network>().is_err());
    }

    #[test]
    fn a_database_address_tells_its_kind_and_its_file() {
        assert_eq!("sqlite://a/b.db".parse::<DatabaseUrl>().unwrap().sqlite_path(), Some(Path::new("a/b.db")));
        assert_eq!("sqlite:///a/b.db".parse::<DatabaseUrl>().unwrap().sqlite_path(), Some(Path::new("/a/b.db")));
        assert_eq!("sqlite::memory:".parse::<DatabaseUrl>().unwrap().sqlite_path(), None);
        assert!("postgres://u@h/d".parse::<DatabaseUrl>().unwrap().is_postgres());
        for text in ["", "countersign.db", "sqlite://", "sqlite:a.db", "mysql://h/d", "postgres://"] {
            assert!(text.parse::<DatabaseUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for text in
            ["postgres://u:hunter2@h/d", "postgres://u:hun/ter2@x@h/d", "postgres://h/d?user=u&password=hunter2"]
        {
            let url: DatabaseUrl = text.parse().unwrap();
            assert!(!format!("{url} {url:?}").contains("ter2"), "{url}");
        }
        let redis: RedisUrl = "redis://:hunter2@h:6379/0".parse().unwrap();
        assert_eq!(redis.to_string(), "redis://:…@h:6379/0");
        let key: SecretText = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".parse().unwrap();
        assert!(!format!("{key:?}").contains("AAAA"));
    }

    #[test]
    fn a_master_key_has_exactly_32_bytes() {
        let good = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert!(format!("{good}\n{good}\n").parse::<SecretText>().is_ok());
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
