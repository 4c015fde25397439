//! Clients (RFC 5849 §1.1) and where they may send people back to (§2.1, `oauth_callback`).
//!
//! A callback is compared as text, part by part, and never normalized beyond case of scheme and host, default port
//! and an empty path. Secrets are not part of a client: who may see the client may not see those.

use std::fmt;

use super::account::{Account, AccountRefusal};
use super::credentials::{AccountId, ClientKey, InvalidName, check_line};
use super::scope::Scopes;
use crate::protocol::signature::{RsaKeyError, RsaVerificationKey, SignatureMethod, UnknownSignatureMethod};
use crate::time::Timestamp;

/// A registered app.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    pub client_key: ClientKey,
    pub owner: AccountId,
    /// For people, on the consent page.
    pub name: String,
    pub callbacks: Vec<Callback>,
    /// The ceiling of its tokens, and what they get when the client asks for nothing.
    pub scopes: Scopes,
    pub signature_methods: SignatureMethods,
    pub rsa_public_key: Option<RsaPublicKey>,
    /// Whether the key is good for Basic and Digest. Off for apps that are published.
    pub http_auth: bool,
    pub status: ClientStatus,
    pub created_at: Timestamp,
}

impl Client {
    /// `Ok` if the client and its owner may use the API, else why not.
    pub fn standing(&self, owner: &Account) -> Result<(), ClientRefusal> {
        match self.status {
            ClientStatus::Active => owner.standing().map_err(ClientRefusal::Owner),
            ClientStatus::Disabled | ClientStatus::Suspended | ClientStatus::Barred => Err(ClientRefusal::Disabled),
        }
    }

    /// Checks `oauth_callback` as it was sent, decoded, against what is registered; returns it for the redirect.
    ///
    /// `oob` is admitted if it is registered or nothing is.
    pub fn admit_callback(&self, requested: &str) -> Result<Callback, CallbackRefusal> {
        let requested = Callback::parse(requested).map_err(CallbackRefusal::Invalid)?;
        let admitted = match &requested {
            Callback::OutOfBand => self.callbacks.is_empty() || self.callbacks.contains(&Callback::OutOfBand),
            Callback::Uri(uri) => self.callbacks.iter().any(|registered| match registered {
                Callback::OutOfBand => false,
                Callback::Uri(registered) => registered.admits(uri),
            }),
        };
        if admitted { Ok(requested) } else { Err(CallbackRefusal::NotRegistered) }
    }
}

/// The most callbacks that a client has.
pub const MOST_CALLBACKS: usize = 32;

/// Whether a client may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientStatus {
    Active,
    /// By its owner, who may enable it again.
    Disabled,
    /// By who administers its company: its owner can't enable it.
    Suspended,
    /// By who administers the server: nobody else can enable it.
    Barred,
}

impl ClientStatus {
    /// Whether its owner can't enable it.
    pub const fn is_suspended(self) -> bool {
        matches!(self, Self::Suspended | Self::Barred)
    }

    /// `active`, `disabled`, `suspended` or `barred`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Suspended => "suspended",
            Self::Barred => "barred",
        }
    }

    /// Reads that; `None`: it is none of the four.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Disabled, Self::Suspended, Self::Barred].into_iter().find(|status| status.as_str() == text)
    }
}

/// Why a client and its tokens rest.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientRefusal {
    #[error("the client is disabled")]
    Disabled,
    #[error("the client's owner may not use the API: {0}")]
    Owner(AccountRefusal),
}

/// Checks the name that people see on the consent page: one line of at most 200 bytes.
pub fn check_name(name: &str) -> Result<(), InvalidName> {
    check_line("a client's name", name, 200)
}

/// A client's RSA public key (§3.4.3) as PEM that is known to be good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RsaPublicKey {
    pem: String,
    bits: usize,
    fingerprint: String,
}

impl RsaPublicKey {
    /// Takes PKCS#1, SPKI or a certificate in PEM, 2048 to 8192 bits.
    pub fn parse(pem: &str) -> Result<Self, RsaKeyError> {
        let key = RsaVerificationKey::from_pem(pem)?;
        Ok(Self { pem: pem.trim().to_owned(), bits: key.bits(), fingerprint: key.fingerprint().to_owned() })
    }

    /// The PEM as it was given, without white space around it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Bits of the modulus.
    pub const fn bits(&self) -> usize {
        self.bits
    }

    /// For people to compare keys: see [`RsaVerificationKey::fingerprint`].
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// The signature methods (RFC 5849 §3.4) that a client may use, as far as the server admits them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SignatureMethods(u8);

impl SignatureMethods {
    /// Whatever the server admits.
    pub const ANY: Self = Self(0b111_1111);

    /// These methods. None given: [`ANY`](Self::ANY).
    pub fn of(methods: impl IntoIterator<Item = SignatureMethod>) -> Self {
        match methods.into_iter().fold(0, |bits, method| bits | Self::bit(method)) {
            0 => Self::ANY,
            bits => Self(bits),
        }
    }

    /// From wire names. None given: [`ANY`](Self::ANY).
    pub fn from_names<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Result<Self, UnknownSignatureMethod> {
        let methods: Vec<SignatureMethod> =
            names.into_iter().map(|name| name.as_ref().parse()).collect::<Result<_, _>>()?;
        Ok(Self::of(methods))
    }

    /// Whether `method` is among them.
    pub const fn admits(self, method: SignatureMethod) -> bool {
        self.0 & Self::bit(method) != 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = SignatureMethod> {
        SignatureMethod::ALL.into_iter().filter(move |method| self.admits(*method))
    }

    const fn bit(method: SignatureMethod) -> u8 {
        match method {
            SignatureMethod::HmacSha1 => 1,
            SignatureMethod::HmacSha256 => 1 << 1,
            SignatureMethod::HmacSha512 => 1 << 2,
            SignatureMethod::RsaSha1 => 1 << 3,
            SignatureMethod::RsaSha256 => 1 << 4,
            SignatureMethod::RsaSha512 => 1 << 5,
            SignatureMethod::Plaintext => 1 << 6,
        }
    }
}

/// Where the account holder goes after the decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Callback {
    /// `oob`: a page shows the verifier.
    OutOfBand,
    /// A redirect.
    Uri(CallbackUri),
}

impl Callback {
    /// `oob` (in this spelling, RFC 5849 §2.1) or an absolute URI.
    pub fn parse(text: &str) -> Result<Self, InvalidCallback> {
        if text == "oob" {
            return Ok(Self::OutOfBand);
        }
        CallbackUri::parse(text).map(Self::Uri)
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        match self {
            Self::OutOfBand => "oob",
            Self::Uri(uri) => uri.as_str(),
        }
    }
}

impl fmt::Display for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An absolute URI (RFC 3986 §3) that can stand in a `Location` header as it is.
#[derive(Clone, Debug)]
pub struct CallbackUri {
    text: String,
    /// Lower case.
    scheme: String,
    /// Lower case, an IPv6 address in brackets; nothing for `app:/path`.
    host: Option<String>,
    port: Option<u16>,
    /// Path and query, byte for byte.
    target: String,
}

/// Why a text is no callback.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCallback {
    #[error("a callback is oob or an absolute URI such as https://app.example.com/callback")]
    NotAbsolute,
    #[error("a callback is at most 2048 bytes long")]
    TooLong,
    #[error("a callback can't contain {0:?}; encode it")]
    Character(char),
    #[error("the scheme {0} can't be used in a callback")]
    Scheme(String),
    #[error("a callback has no fragment (#…)")]
    Fragment,
    #[error("a callback has no user name before its host")]
    UserInfo,
    #[error("the host or port of the callback is malformed")]
    Host,
}

/// Why a client's `oauth_callback` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackRefusal {
    #[error(transparent)]
    Invalid(InvalidCallback),
    #[error("this callback isn't registered for the client")]
    NotRegistered,
}

impl CallbackUri {
    /// Schemes that a browser would run or read locally.
    const NEVER: [&'static str; 7] = ["javascript", "data", "vbscript", "file", "about", "blob", "filesystem"];

    fn parse(text: &str) -> Result<Self, InvalidCallback> {
        if text.len() > 2048 {
            return Err(InvalidCallback::TooLong);
        }
        // A browser reads `\` as `/` and drops tabs and line ends, so what we compared would not be where it goes.
        if let Some(character) = text
            .chars()
            .find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '<' | '>' | '`' | '{' | '}' | '|' | '^'))
        {
            return Err(InvalidCallback::Character(character));
        }
        let (scheme, rest) = text.split_once(':').ok_or(InvalidCallback::NotAbsolute)?;
        let mut letters = scheme.chars();
        let well_formed = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        if !well_formed {
            return Err(InvalidCallback::NotAbsolute);
        }
        let scheme = scheme.to_ascii_lowercase();
        if Self::NEVER.contains(&scheme.as_str()) {
            return Err(InvalidCallback::Scheme(scheme));
        }
        if text.contains('#') {
            return Err(InvalidCallback::Fragment);
        }
        let is_web = matches!(scheme.as_str(), "http" | "https");
        let (host, port, target) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, target) = rest.split_at(end);
                let (host, port) = host_and_port(authority)?;
                if is_web && host.is_empty() {
                    return Err(InvalidCallback::Host);
                }
                (Some(host.to_ascii_lowercase()), port, target)
            }
            None if is_web || rest.is_empty() => return Err(InvalidCallback::NotAbsolute),
            None => (None, None, rest),
        };
        let default_port = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        // RFC 3986 §6.2.3: an empty path is the same as "/".
        let target = if is_web && !target.starts_with('/') { format!("/{target}") } else { target.to_owned() };
        Ok(Self { text: text.to_owned(), scheme, host, port: port.or(default_port), target })
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host in lower case, for the consent page; nothing for `app:/path`.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref().filter(|host| !host.is_empty())
    }

    /// Scheme, host and port as given, without path: what `form-action` lists. `app:` where there is no host.
    pub fn origin(&self) -> String {
        match (&self.host, self.scheme.as_str(), self.port) {
            (None, scheme, _) => format!("{scheme}:"),
            // CSP has no way to write an IPv6 address (CSP Level 3 §2.3.1), and browsers pass over what they can't read. Other
            // signs that a host may have (RFC 3986 §3.2.2) mean something there.
            (Some(host), scheme, _)
                if !host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet)) =>
            {
                format!("{scheme}:")
            }
            (Some(host), "http", Some(80)) => format!("http://{host}"),
            (Some(host), "https", Some(443)) => format!("https://{host}"),
            (Some(host), scheme @ ("http" | "https"), Some(port)) => format!("{scheme}://{host}:{port}"),
            (Some(_), scheme, _) => format!("{scheme}:"),
        }
    }

    /// The callback with these parameters added to its query; names and values must be form-encoded already.
    pub fn with_query(&self, encoded: &str) -> String {
        let separator = match self.text.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        format!("{}{separator}{encoded}", self.text)
    }

    /// Whether `requested` may be used where this one is registered: equal in scheme, host, port, path and query;
    /// on a loopback host any port, because a desktop app takes a free one (RFC 8252 §7.3).
    fn admits(&self, requested: &Self) -> bool {
        self.scheme == requested.scheme
            && self.host == requested.host
            && (self.port == requested.port || self.is_loopback())
            && self.target == requested.target
    }

    fn is_loopback(&self) -> bool {
        if !matches!(self.scheme.as_str(), "http" | "https") {
            return false;
        }
        let host = self.host.as_deref().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl PartialEq for CallbackUri {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for CallbackUri {}

/// Host and port of `host`, `host:port` or `[::1]:port`.
fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), InvalidCallback> {
    if authority.contains('@') {
        return Err(InvalidCallback::UserInfo);
    }
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']').ok_or(InvalidCallback::Host)? + 1;
        let (host, port) = authority.split_at(end);
        let address = host.trim_start_matches('[').trim_end_matches(']');
        address.parse::<std::net::Ipv6Addr>().map_err(|_| InvalidCallback::Host)?;
        match port {
            "" => (host, None),
            port => (host, Some(port.strip_prefix(':').ok_or(InvalidCallback::Host)?)),
        }
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.contains(['[', ']', '%']) && !host.starts_with('[') {
        return Err(InvalidCallback::Host);
    }
    match port {
        None | Some("") => Ok((host, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().map(|port| (host, Some(port))).map_err(|_| InvalidCallback::Host)
        }
        Some(_) => Err(InvalidCallback::Host),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::account::tests::account;
    use crate::domain::account::{AccountStatus, Role};

    pub(crate) fn client(callbacks: &[&str], scopes: &str) -> Client {
        Client {
            client_key: ClientKey::parse("dpf43f3p2l4k3l03").expect("test key"),
            owner: AccountId::parse("owner").expect("test id"),
            name: "Printer".to_owned(),
            callbacks: callbacks.iter().map(|text| Callback::parse(text).expect("test callback")).collect(),
            scopes: Scopes::parse(scopes).expect("test scopes"),
            signature_methods: SignatureMethods::ANY,
            rsa_public_key: None,
            http_auth: true,
            status: ClientStatus::Active,
            created_at: Timestamp::from_unix(0),
        }
    }

    fn admits(registered: &str, requested: &str) -> bool {
        client(&[registered], "").admit_callback(requested).is_ok()
    }

    #[test]
    fn a_host_that_means_something_in_a_content_security_policy_is_left_out_of_it() {
        let origin = |callback: &str| match Callback::parse(callback).unwrap() {
            Callback::Uri(uri) => uri.origin(),
            Callback::OutOfBand => String::new(),
        };
        assert_eq!(origin("https://a_b.example:8443/x"), "https://a_b.example:8443");
        for odd in ["https://a;sandbox/x", "https://a,b/x", "https://a'b/x", "https://[::1]/x"] {
            assert_eq!(origin(odd), "https:", "{odd}");
        }
    }

    #[test]
    fn a_callback_equals_the_registered_one_in_every_part() {
        let registered = "https://printer.example.com/ready?a=1";
        assert!(admits(registered, "https://printer.example.com/ready?a=1"));
        assert!(admits(registered, "HTTPS://Printer.Example.com:443/ready?a=1"));
        for other in [
            "http://printer.example.com/ready?a=1",
            "https://printer.example.com:8443/ready?a=1",
            "https://printer.example.com.evil.test/ready?a=1",
            "https://printer.example.com/ready",
            "https://printer.example.com/ready?a=1&b=2",
            "https://printer.example.com/ready/?a=1",
            "https://printer.example.com/Ready?a=1",
            "https://printer.example.com/x/../ready?a=1",
        ] {
            assert!(!admits(registered, other), "{other}");
        }
    }

    #[test]
    fn an_empty_path_is_the_root() {
        assert!(admits("https://a.example", "https://a.example/"));
        assert!(admits("https://a.example/?x", "https://a.example?x"));
    }

    #[test]
    fn a_loopback_host_may_use_any_port() {
        assert!(admits("http://localhost/cb", "http://localhost:49152/cb"));
        assert!(admits("http://127.0.0.1:80/cb", "http://127.0.0.1:49152/cb"));
        assert!(admits("http://[::1]/cb", "http://[::1]:49152/cb"));
        assert!(!admits("http://127.0.0.1/cb", "http://localhost/cb"));
        assert!(!admits("http://localhost.example/cb", "http://localhost.example:1/cb"));
    }

    #[test]
    fn a_custom_scheme_must_be_registered() {
        assert!(admits("com.example.app:/oauth", "com.example.app:/oauth"));
        assert!(admits("myapp://done", "myapp://done"));
        assert!(!admits("myapp://done", "otherapp://done"));
    }

    #[test]
    fn schemes_that_a_browser_would_run_are_never_taken() {
        for text in
            ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd"]
        {
            assert!(matches!(Callback::parse(text), Err(InvalidCallback::Scheme(_))), "{text}");
        }
    }

    #[test]
    fn what_a_browser_reads_differently_is_refused() {
        for text in [
            "https://a.example\\@evil.test/",
            "https://a.example/\r\nSet-Cookie: x",
            "https://a.example/ ",
            "https://jo@a.example/",
            "https://a.example/#part",
            "https:///cb",
            "https:cb",
            "//a.example/cb",
            "/cb",
            "",
            "https://a.example:99999/",
            "https://a.example:+80/",
            "https://[::1/",
            "https://%61.example/",
            "OOB",
        ] {
            assert!(Callback::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn oob_needs_registering_beside_others_only() {
        assert!(client(&[], "").admit_callback("oob").is_ok());
        assert!(client(&["oob", "https://a.example/"], "").admit_callback("oob").is_ok());
        assert_eq!(client(&["https://a.example/"], "").admit_callback("oob"), Err(CallbackRefusal::NotRegistered));
        assert_eq!(client(&[], "").admit_callback("https://a.example/"), Err(CallbackRefusal::NotRegistered));
    }

    #[test]
    fn parameters_are_added_to_a_callback_that_may_have_some() {
        let with = |text: &str| match Callback::parse(text).expect("test callback") {
            Callback::Uri(uri) => uri.with_query("oauth_token=x"),
            Callback::OutOfBand => unreachable!("the test gives URIs"),
        };
        assert_eq!(with("https://a.example/cb"), "https://a.example/cb?oauth_token=x");
        assert_eq!(with("https://a.example/cb?a=1"), "https://a.example/cb?a=1&oauth_token=x");
        assert_eq!(with("https://a.example/cb?"), "https://a.example/cb?oauth_token=x");
    }

    #[test]
    fn signature_methods_have_exact_names_and_none_means_any() {
        let methods = SignatureMethods::from_names(["RSA-SHA1"]).expect("known");
        assert!(methods.admits(SignatureMethod::RsaSha1) && !methods.admits(SignatureMethod::HmacSha1));
        assert_eq!(methods.iter().collect::<Vec<_>>(), [SignatureMethod::RsaSha1]);
        assert_eq!(SignatureMethods::from_names::<&str>([]), Ok(SignatureMethods::ANY));
        assert_eq!(SignatureMethods::ANY.iter().count(), 7);
        assert!(SignatureMethods::from_names(["hmac-sha1"]).is_err());
    }

    #[test]
    fn a_client_rests_with_its_owner() {
        let mut owner = account("owner", None, Role::Member);
        let mut app = client(&[], "");
        assert_eq!(app.standing(&owner), Ok(()));
        owner.status = AccountStatus::Disabled { reason: None };
        assert!(matches!(app.standing(&owner), Err(ClientRefusal::Owner(_))));
        app.status = ClientStatus::Disabled;
        assert_eq!(app.standing(&owner), Err(ClientRefusal::Disabled));
    }
}
