//! Digest (RFC 7616): the challenge, the `Authorization` header taken apart, and its response verified.
//!
//! For whoever judges a request the order is: [`DigestCredentials::parse`], [`DigestCredentials::names`] the target of
//! the request, the nonce read by [`super::digest_nonce::NonceMint`], the account found by [`Username`],
//! [`DigestCredentials::verify`] with its [`Ha1`], and the count used up last. Nothing here looks up an account,
//! remembers anything or asks for the time. SHA-512/256 is not offered: hardly a client knows it.

use std::borrow::Cow;

use md5::Md5;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::encoding::{Plus, decode_text};
use super::header::{Challenge, Credentials, HeaderError};
use super::request::ReceivedRequest;

/// The longest value of a parameter, in octets; the `uri` is as long as the request's own.
const MAXIMUM_VALUE: usize = 16 * 1024;

/// The hashes that are offered, in the order of the challenges: what a stored [`Ha1`] was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestHash {
    /// SHA-256.
    Sha256,
    /// MD5, for clients that know nothing better.
    Md5,
}

impl DigestHash {
    /// Both, the better one first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Md5];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// The length of its lower-case hexadecimal text.
    const fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Md5 => 32,
        }
    }

    /// `H(parts joined by ":")` in lower-case hexadecimal (§3.4.1).
    fn hex<const N: usize>(self, parts: [&[u8]; N]) -> Zeroizing<String> {
        match self {
            Self::Sha256 => hex_of::<Sha256, N>(parts),
            Self::Md5 => hex_of::<Md5, N>(parts),
        }
    }
}

fn hex_of<D: Digest, const N: usize>(parts: [&[u8]; N]) -> Zeroizing<String> {
    let mut hash = D::new();
    for (position, part) in parts.into_iter().enumerate() {
        if position > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    let mut text = Zeroizing::new(String::with_capacity(64));
    let digits = hash.finalize().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
    text.extend(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)));
    text
}

/// The challenge of one hash (§3.3); a 401 carries one for each, on separate lines.
///
/// `opaque`: any text without quotes; `stale`: the nonce of the request was too old, its password was not judged.
///
/// ```
/// use countersign::protocol::digest::{DigestHash, challenge};
/// assert_eq!(
///     challenge(DigestHash::Md5, "api", "n0nce", "0paque", true).to_string(),
///     r#"Digest realm="api", qop="auth,auth-int", algorithm=MD5, nonce="n0nce", opaque="0paque", stale=true, charset=UTF-8, userhash=true"#
/// );
/// ```
pub fn challenge(hash: DigestHash, realm: &str, nonce: &str, opaque: &str, stale: bool) -> Challenge {
    let challenge = Challenge::new("Digest")
        .quoted("realm", realm)
        // Without a space: some clients split at the comma and don't trim.
        .quoted("qop", "auth,auth-int")
        .token("algorithm", hash.as_str())
        .quoted("nonce", nonce)
        .quoted("opaque", opaque);
    let challenge = if stale { challenge.token("stale", "true") } else { challenge };
    challenge.token("charset", "UTF-8").token("userhash", "true")
}

/// `H(username ":" realm)`, what a client sends for a name that it hides (§3.4.4): store it to find the account.
pub fn user_hash(hash: DigestHash, username: &str, realm: &str) -> String {
    hash.hex([username.as_bytes(), realm.as_bytes()]).to_string()
}

/// `H(username ":" realm ":" password)` (§3.4.2): as good as the password in this realm, so it is stored sealed.
pub struct Ha1 {
    hash: DigestHash,
    hex: Zeroizing<String>,
}

impl Ha1 {
    /// From the password, when it is set.
    pub fn new(hash: DigestHash, username: &str, realm: &str, password: &str) -> Self {
        Self { hash, hex: hash.hex([username.as_bytes(), realm.as_bytes(), password.as_bytes()]) }
    }

    /// From what [`Self::as_hex`] gave; `None` when it is not of that hash.
    pub fn from_hex(hash: DigestHash, hex: &str) -> Option<Self> {
        let fits = hex.len() == hash.digits() && hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self { hash, hex: Zeroizing::new(hex.to_owned()) })
    }

    /// What it was made with.
    pub const fn hash(&self) -> DigestHash {
        self.hash
    }

    /// Lower-case hexadecimal, 64 or 32 digits, to be sealed.
    pub fn as_hex(&self) -> &str {
        &self.hex
    }
}

/// What is wrong with the form of Digest credentials: 400 (§3.4).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DigestError {
    /// The header does not parse.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A parameter that was sent twice: which one counts can't be told.
    #[error("{0} was sent more than once in the Authorization header")]
    Repeated(&'static str),
    /// A parameter without which nothing can be verified.
    #[error("the Authorization header has no {0}")]
    Absent(&'static str),
    /// §3.4: one of the algorithms of the challenge.
    #[error("algorithm must be SHA-256, SHA-256-sess, MD5 or MD5-sess")]
    Algorithm,
    /// §3.4: one of the protections of the challenge.
    #[error("qop must be auth or auth-int")]
    Qop,
    /// §3.4: eight hexadecimal digits, from 1 on.
    #[error("nc must have eight hexadecimal digits and begin at 00000001")]
    Count,
    /// §3.4: `username*` is an extended value of RFC 5987 in UTF-8, and stands instead of `username`, unhashed.
    #[error("username* must be UTF-8''percent-encoded, without username and without userhash")]
    Username,
    /// Longer than any client writes it.
    #[error("{0} is too long")]
    TooLong(&'static str),
}

/// Who says to be calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Username<'a> {
    /// The name itself, from `username` or `username*`.
    Plain(Cow<'a, str>),
    /// [`user_hash`] of the name, in lower case (`userhash=true`).
    Hashed(String),
}

impl Username<'_> {
    /// The text that the client sent, name or hash.
    pub fn as_sent(&self) -> &str {
        match self {
            Self::Plain(name) => name,
            Self::Hashed(hash) => hash,
        }
    }
}

/// How much the response protects (§3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop {
    /// Method and target.
    Auth,
    /// The body as well.
    AuthInt,
}

/// The credentials of a Digest request, in the right form; nothing is verified yet.
#[derive(Clone)]
pub struct DigestCredentials<'a> {
    /// Who.
    pub username: Username<'a>,
    /// As the client understood it; it is in the hash anyway.
    pub realm: Cow<'a, str>,
    /// The server's nonce, to be read by [`super::digest_nonce::NonceMint::read`].
    pub nonce: Cow<'a, str>,
    /// The hash of the algorithm, with or without `-sess`: which [`Ha1`] is needed.
    pub hash: DigestHash,
    session: bool,
    uri: Cow<'a, str>,
    response: Cow<'a, str>,
    protection: Option<Protection<'a>>,
}

/// `qop` and what comes with it. The texts are hashed as they were sent.
#[derive(Clone)]
struct Protection<'a> {
    qop: Qop,
    qop_text: Cow<'a, str>,
    count: u32,
    count_text: Cow<'a, str>,
    cnonce: Cow<'a, str>,
}

/// Proof that the response was made by somebody who knows the password. Nothing but [`DigestCredentials::verify`]
/// makes one. It says nothing about the nonce, its count or the target.
#[derive(Clone, Copy, Debug)]
pub struct DigestVerified(());

/// Why a response is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DigestRefused {
    /// It is not the one that this password makes over this request.
    #[error("the digest response does not match")]
    Mismatch,
    /// `auth-int` covers the body, and the body was not read.
    #[error("the body did not come along, so qop=auth-int can't be checked")]
    BodyUnread,
}

impl<'a> DigestCredentials<'a> {
    /// Takes the header apart. Values come quoted or bare, names and `algorithm` in any case; what RFC 7616 does not
    /// name is passed over.
    ///
    /// # Errors
    /// [`DigestError`].
    pub fn parse(header: &Credentials<'a>) -> Result<Self, DigestError> {
        let mut sent = SentParameters::default();
        for parameter in header.parameters() {
            let parameter = parameter?;
            sent.add(parameter.name, parameter.value)?;
        }
        sent.into_credentials()
    }

    /// Whether `uri` is the target of this request (§3.4.6): path and query octet by octet, or the whole URI as it is
    /// sent to a proxy. Otherwise a response for one thing would open another.
    pub fn names(&self, request: &ReceivedRequest<'_>) -> bool {
        let is_origin = |text: &str| {
            let (scheme, authority) = (request.scheme.as_str(), request.authority);
            text.split_once("://")
                .is_some_and(|(sent, rest)| sent.eq_ignore_ascii_case(scheme) && rest.eq_ignore_ascii_case(authority))
        };
        let origin = request.scheme.as_str().len() + "://".len() + request.authority.len();
        let target = match self.uri.split_at_checked(origin) {
            Some((start, target)) if is_origin(start) => target,
            Some(_) | None => &self.uri,
        };
        match target.split_once('?') {
            Some((path, query)) => path == request.path && Some(query) == request.query,
            None => target == request.path && request.query.is_none(),
        }
    }

    /// The count of this use of the nonce (`nc`). A client of RFC 2069 sends none: its nonce is good once, as if it
    /// had counted 1.
    pub fn count(&self) -> u32 {
        self.protection.as_ref().map_or(1, |protection| protection.count)
    }

    /// Computes the response (§3.4.1) and compares it in constant time. `method`: as it was sent; `body`: the whole
    /// one, `None` if it was not read.
    ///
    /// With `-sess` the session key is made from the nonces of this request, as every client in use does.
    ///
    /// # Errors
    /// [`DigestRefused`]; an [`Ha1`] of the other hash is a mismatch.
    pub fn verify(&self, ha1: &Ha1, method: &str, body: Option<&[u8]>) -> Result<DigestVerified, DigestRefused> {
        let hash = self.hash;
        let expected = match &self.protection {
            None => {
                let ha2 = hash.hex([method.as_bytes(), self.uri.as_bytes()]);
                hash.hex([ha1.hex.as_bytes(), self.nonce.as_bytes(), ha2.as_bytes()])
            }
            Some(protection) => {
                let ha2 = match (protection.qop, body) {
                    (Qop::Auth, _) => hash.hex([method.as_bytes(), self.uri.as_bytes()]),
                    (Qop::AuthInt, Some(body)) => {
                        hash.hex([method.as_bytes(), self.uri.as_bytes(), hash.hex([body]).as_bytes()])
                    }
                    (Qop::AuthInt, None) => return Err(DigestRefused::BodyUnread),
                };
                let (nonce, cnonce) = (self.nonce.as_bytes(), protection.cnonce.as_bytes());
                let session = self.session.then(|| hash.hex([ha1.hex.as_bytes(), nonce, cnonce]));
                hash.hex([
                    session.as_ref().unwrap_or(&ha1.hex).as_bytes(),
                    nonce,
                    protection.count_text.as_bytes(),
                    cnonce,
                    protection.qop_text.as_bytes(),
                    ha2.as_bytes(),
                ])
            }
        };
        let presented = self.response.to_ascii_lowercase();
        let equal = ha1.hash == hash && bool::from(expected.as_bytes().ct_eq(presented.as_bytes()));
        if equal { Ok(DigestVerified(())) } else { Err(DigestRefused::Mismatch) }
    }
}

/// The parameters of §3.4 as they come in.
#[derive(Default)]
struct SentParameters<'a>([Option<Cow<'a, str>>; NAMES.len()]);

const NAMES: [&str; 12] = [
    "username",
    "username*",
    "userhash",
    "realm",
    "nonce",
    "uri",
    "response",
    "algorithm",
    "qop",
    "nc",
    "cnonce",
    "opaque",
];

impl<'a> SentParameters<'a> {
    fn add(&mut self, name: &str, value: Cow<'a, str>) -> Result<(), DigestError> {
        let known = NAMES.iter().zip(&mut self.0).find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((known, place)) = known else { return Ok(()) };
        if value.len() > MAXIMUM_VALUE {
            return Err(DigestError::TooLong(known));
        }
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(DigestError::Repeated(known)),
        }
    }

    fn into_credentials(self) -> Result<DigestCredentials<'a>, DigestError> {
        let [username, extended, userhash, realm, nonce, uri, response, algorithm, qop, nc, cnonce, _opaque] = self.0;
        let hashed = userhash.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let (hash, session) = parse_algorithm(algorithm.as_deref())?;
        let protection = qop.map(|qop| parse_protection(qop, nc, cnonce)).transpose()?;
        if session && protection.is_none() {
            return Err(DigestError::Absent("qop"));
        }
        Ok(DigestCredentials {
            username: parse_username(username, extended, hashed)?,
            realm: realm.ok_or(DigestError::Absent("realm"))?,
            nonce: nonce.ok_or(DigestError::Absent("nonce"))?,
            hash,
            session,
            uri: uri.ok_or(DigestError::Absent("uri"))?,
            response: response.ok_or(DigestError::Absent("response"))?,
            protection,
        })
    }
}

/// The hash, and whether a session key is made with it; without the parameter it is MD5 (§3.4).
fn parse_algorithm(name: Option<&str>) -> Result<(DigestHash, bool), DigestError> {
    let name = name.unwrap_or("MD5").to_ascii_lowercase();
    match name.as_str() {
        "sha-256" => Ok((DigestHash::Sha256, false)),
        "sha-256-sess" => Ok((DigestHash::Sha256, true)),
        "md5" => Ok((DigestHash::Md5, false)),
        "md5-sess" => Ok((DigestHash::Md5, true)),
        _ => Err(DigestError::Algorithm),
    }
}

fn parse_protection<'a>(
    qop_text: Cow<'a, str>,
    count: Option<Cow<'a, str>>,
    cnonce: Option<Cow<'a, str>>,
) -> Result<Protection<'a>, DigestError> {
    let qop = if qop_text.eq_ignore_ascii_case("auth") {
        Qop::Auth
    } else if qop_text.eq_ignore_ascii_case("auth-int") {
        Qop::AuthInt
    } else {
        return Err(DigestError::Qop);
    };
    let count_text = count.ok_or(DigestError::Absent("nc"))?;
    let digits = count_text.len() == 8 && count_text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let count = if digits { u32::from_str_radix(&count_text, 16).unwrap_or(0) } else { 0 };
    if count == 0 {
        return Err(DigestError::Count);
    }
    Ok(Protection { qop, qop_text, count, count_text, cnonce: cnonce.ok_or(DigestError::Absent("cnonce"))? })
}

fn parse_username<'a>(
    plain: Option<Cow<'a, str>>,
    extended: Option<Cow<'a, str>>,
    hashed: bool,
) -> Result<Username<'a>, DigestError> {
    match (plain, extended, hashed) {
        (Some(name), None, false) => Ok(Username::Plain(name)),
        (Some(name), None, true) => Ok(Username::Hashed(name.to_ascii_lowercase())),
        (None, Some(name), false) => decode_extended(&name).map(|name| Username::Plain(Cow::Owned(name))),
        (None, Some(_), true) | (Some(_), Some(_), _) => Err(DigestError::Username),
        (None, None, _) => Err(DigestError::Absent("username")),
    }
}

/// An ext-value of RFC 5987 §3.2: `UTF-8'language'percent-encoded`, the language as a rule empty.
fn decode_extended(value: &str) -> Result<String, DigestError> {
    let mut pieces = value.splitn(3, '\'');
    let (Some(charset), Some(_), Some(encoded)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err(DigestError::Username);
    };
    if !charset.eq_ignore_ascii_case("UTF-8") {
        return Err(DigestError::Username);
    }
    decode_text(encoded, Plus::IsPlus).map(Cow::into_owned).ok_or(DigestError::Username)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Headers, UriScheme};
    use crate::time::Timestamp;
    use proptest::prelude::*;

    const MUFASA: &str = r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;

    fn parse(header: &str) -> Result<DigestCredentials<'_>, DigestError> {
        DigestCredentials::parse(&Credentials::parse(header))
    }

    fn refused(header: &str) -> DigestError {
        parse(header).err().unwrap()
    }

    fn ha1() -> Ha1 {
        Ha1::new(DigestHash::Md5, "Mufasa", "http-auth@example.org", "Circle of Life")
    }

    #[test]
    fn the_example_of_the_rfc_verifies() {
        assert!(parse(MUFASA).unwrap().verify(&ha1(), "GET", None).is_ok());
    }

    #[test]
    fn real_clients_quote_more_or_less_than_the_rfc_and_shout() {
        let loud = MUFASA
            .replace("algorithm=MD5", "Algorithm=\"md5\"")
            .replace("qop=auth", "QOP=\"auth\"")
            .replace("nc=00000001", "nc=\"00000001\"")
            .replace("8ca523f5e9506fed4657c9700eebdbec", "8CA523F5E9506FED4657C9700EEBDBEC")
            .replace(", ", ",");
        assert!(parse(&loud).unwrap().verify(&ha1(), "GET", None).is_ok());
        let silent = MUFASA.replace("algorithm=MD5, ", "");
        assert!(parse(&silent).unwrap().verify(&ha1(), "GET", None).is_ok());
    }

    #[test]
    fn another_password_method_count_or_target_is_a_mismatch() {
        let wrong = Ha1::new(DigestHash::Md5, "Mufasa", "http-auth@example.org", "Circle of life");
        assert_eq!(parse(MUFASA).unwrap().verify(&wrong, "GET", None).err(), Some(DigestRefused::Mismatch));
        assert_eq!(parse(MUFASA).unwrap().verify(&ha1(), "POST", None).err(), Some(DigestRefused::Mismatch));
        for (from, to) in [("nc=00000001", "nc=00000002"), ("/dir/", "/DIR/"), ("cnonce=\"f2", "cnonce=\"f3")] {
            let changed = MUFASA.replace(from, to);
            let verified = parse(&changed).unwrap().verify(&ha1(), "GET", None);
            assert_eq!(verified.err(), Some(DigestRefused::Mismatch), "{to}");
        }
    }

    #[test]
    fn a_response_of_another_hash_is_a_mismatch() {
        let sha = Ha1::new(DigestHash::Sha256, "Mufasa", "http-auth@example.org", "Circle of Life");
        assert_eq!(parse(MUFASA).unwrap().verify(&sha, "GET", None).err(), Some(DigestRefused::Mismatch));
    }

    #[test]
    fn auth_int_needs_the_body_and_covers_it() {
        let hash = DigestHash::Sha256;
        let ha1 = Ha1::new(hash, "u", "r", "p");
        let ha2 = hash.hex([b"POST", b"/x", hash.hex([b"a=1"]).as_bytes()]);
        let response = hash.hex([ha1.as_hex().as_bytes(), b"n", b"0000000a", b"c", b"auth-int", ha2.as_bytes()]);
        let header = format!(
            "Digest username=u, realm=r, nonce=n, uri=\"/x\", algorithm=SHA-256, qop=auth-int, nc=0000000a, cnonce=c, response={}",
            response.as_str()
        );
        let credentials = parse(&header).unwrap();
        assert_eq!(credentials.count(), 10);
        assert!(credentials.verify(&ha1, "POST", Some(b"a=1")).is_ok());
        assert_eq!(credentials.verify(&ha1, "POST", Some(b"a=2")).err(), Some(DigestRefused::Mismatch));
        assert_eq!(credentials.verify(&ha1, "POST", None).err(), Some(DigestRefused::BodyUnread));
    }

    #[test]
    fn a_repeated_parameter_is_refused_in_any_case_also_with_the_same_value() {
        assert_eq!(refused(&format!("{MUFASA}, USERNAME=\"Mufasa\"")), DigestError::Repeated("username"));
        assert_eq!(refused(&format!("{MUFASA}, nc=00000001")), DigestError::Repeated("nc"));
        assert!(parse(&format!("{MUFASA}, extra=1, extra=2")).is_ok());
    }

    #[test]
    fn what_is_missing_or_of_the_wrong_form_is_named() {
        for (parameter, name) in [
            ("username=\"Mufasa\", ", "username"),
            ("realm=\"http-auth@example.org\", ", "realm"),
            ("nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", ", "nonce"),
            ("uri=\"/dir/index.html\", ", "uri"),
            ("nc=00000001, ", "nc"),
            ("cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", ", "cnonce"),
            ("response=\"8ca523f5e9506fed4657c9700eebdbec\", ", "response"),
        ] {
            // A header value stays in front of the name that it is taken out of: "nonce" also ends "cnonce".
            assert_eq!(refused(&MUFASA.replacen(&format!(" {parameter}"), " ", 1)), DigestError::Absent(name));
        }
        assert_eq!(refused(&MUFASA.replace("=MD5", "=SHA-512-256")), DigestError::Algorithm);
        assert_eq!(refused(&MUFASA.replace("qop=auth", "qop=\"auth,auth-int\"")), DigestError::Qop);
        for count in ["00000000", "1", "0000000g", "+0000001", "000000001"] {
            assert_eq!(refused(&MUFASA.replace("nc=00000001", &format!("nc={count}"))), DigestError::Count, "{count}");
        }
        assert_eq!(
            refused("Digest username=u, realm=r, nonce=n, uri=/, algorithm=MD5-sess, response=x"),
            DigestError::Absent("qop")
        );
    }

    #[test]
    fn an_extended_name_is_utf_8_and_stands_alone() {
        let named = |name: &str| MUFASA.replace("username=\"Mufasa\"", name);
        let plain = |name: &str| {
            parse(&named(name)).map(|credentials| match credentials.username {
                Username::Plain(name) => name.into_owned(),
                Username::Hashed(_) => unreachable!(),
            })
        };
        assert_eq!(plain("username*=UTF-8''J%C3%A4s%C3%B8n%20Doe").unwrap(), "Jäsøn Doe");
        assert_eq!(plain("username*=utf-8'de'a+b%27").unwrap(), "a+b'");
        for wrong in [
            "username*=ISO-8859-1''J%E4s",
            "username*=UTF-8''%FF",
            "username*=UTF-8''%4",
            "username*=Mufasa",
            "username*=UTF-8''M, userhash=true",
            "username*=UTF-8''M, username=M",
        ] {
            assert_eq!(plain(wrong), Err(DigestError::Username), "{wrong}");
        }
    }

    #[test]
    fn a_hidden_name_is_its_hash() {
        let hash = user_hash(DigestHash::Md5, "Mufasa", "http-auth@example.org");
        let named = format!("username=\"{}\", userhash=true", hash.to_ascii_uppercase());
        let header = MUFASA.replace("username=\"Mufasa\"", &named);
        assert_eq!(parse(&header).unwrap().username, Username::Hashed(hash));
    }

    #[test]
    fn the_uri_must_be_the_target_of_the_request() {
        let names = |uri: &str, path: &str, query: Option<&str>| {
            let header = MUFASA.replace("/dir/index.html", uri);
            let request = ReceivedRequest {
                method: "GET",
                scheme: UriScheme::Https,
                authority: "api.example.org:8080",
                path,
                query,
                headers: Headers::default(),
                body: None,
                client_address: [127, 0, 0, 1].into(),
                arrived: Timestamp::from_unix(0),
            };
            parse(&header).unwrap().names(&request)
        };
        assert!(names("/a/b", "/a/b", None));
        assert!(names("/a?x=%20&y", "/a", Some("x=%20&y")));
        assert!(names("/a?", "/a", Some("")));
        assert!(names("https://API.example.org:8080/a?x", "/a", Some("x")));
        assert!(!names("/a", "/a", Some("x")));
        assert!(!names("/a?x", "/a", None));
        assert!(!names("/a?", "/a", None));
        assert!(!names("/a%2fb", "/a%2Fb", None));
        assert!(!names("http://api.example.org:8080/a", "/a", None));
        assert!(!names("https://api.example.org:8081/a", "/a", None));
        assert!(!names("https://api.example.org:8080", "/", None));
    }

    #[test]
    fn a_stored_hash_comes_back_only_as_what_it_is() {
        let ha1 = ha1();
        let again = Ha1::from_hex(DigestHash::Md5, ha1.as_hex()).unwrap();
        assert!(parse(MUFASA).unwrap().verify(&again, "GET", None).is_ok());
        assert!(Ha1::from_hex(DigestHash::Sha256, ha1.as_hex()).is_none());
        assert!(Ha1::from_hex(DigestHash::Md5, &ha1.as_hex().to_uppercase()).is_none());
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "\\PC{0,200}") {
            let _ = parse(&header);
            let _ = parse(&format!("{MUFASA},{header}"));
        }
    }
}
