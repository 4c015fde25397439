//! Requests as bytes, signed before the run, so that the generator's own arithmetic is not measured.
//!
//! The signer is written anew here and shares no line with the server. It signs GET requests by the Authorization header
//! (RFC 5849 section 3.5.1, RFC 7616 section 3.4) and nothing else.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use serde::Deserialize;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};

/// What the requests carry.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Credential {
    /// The same header lines in every request: nothing, Basic, Bearer.
    Fixed { headers: Vec<(String, String)> },
    /// A signature and a nonce of its own for every request.
    Oauth1 {
        method: String,
        consumer_key: String,
        consumer_secret: String,
        token: String,
        token_secret: String,
        /// PEM, PKCS#8; for the RSA methods.
        rsa_private_key: Option<String>,
    },
    /// The same for many clients and tokens that share their secrets: token `bench-token-N` belongs to client
    /// `bench-client-(N mod clients)`. Requests are signed with `in_use` of the tokens, evenly among all.
    Oauth1Many { secret: String, token_secret: String, clients: usize, tokens: usize, in_use: usize },
    /// Basic with another wrong password, for another name, in every request: what a flood of guesses looks like.
    Guesses { headers: Vec<(String, String)> },
    /// One server nonce for each connection, counted up.
    Digest { username: String, password: String, algorithm: String, headers: Vec<(String, String)> },
}

/// RFC 5849 section 3.6.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The head of a request without a body, up to and without the empty line.
pub fn head(address: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n")
}

fn lines(headers: &[(String, String)]) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// A request that carries the same as every other.
pub fn fixed(address: SocketAddr, path: &str, headers: &[(String, String)]) -> Vec<u8> {
    format!("{}{}\r\n", head(address, path), lines(headers)).into_bytes()
}

/// A guess at a password that nobody has tried before.
pub fn guess(address: SocketAddr, path: &str, headers: &[(String, String)], number: usize) -> Vec<u8> {
    let words = BASE64.encode(format!("guessed{number}@example.com:wrong {number}"));
    format!("{}{}Authorization: Basic {words}\r\n\r\n", head(address, path), lines(headers)).into_bytes()
}

/// Makes signatures with one key: the part of the work that needs doing once.
pub enum Key {
    HmacSha1(Hmac<Sha1>),
    HmacSha256(Hmac<Sha256>),
    HmacSha512(Hmac<Sha512>),
    RsaSha1(Box<RsaPrivateKey>),
    RsaSha256(Box<RsaPrivateKey>),
}

impl Key {
    /// `method` by its name in RFC 5849; the secrets are those of client and token.
    pub fn new(method: &str, secret: &str, token_secret: &str, pem: Option<&str>) -> anyhow::Result<Self> {
        let shared = format!("{}&{}", escape(secret), escape(token_secret));
        let private = || -> anyhow::Result<Box<RsaPrivateKey>> {
            let key = RsaPrivateKey::from_pkcs8_pem(pem.context("RSA needs rsa_private_key")?)?;
            Ok(Box::new(key))
        };
        Ok(match method {
            "HMAC-SHA1" => Self::HmacSha1(Hmac::new_from_slice(shared.as_bytes())?),
            "HMAC-SHA256" => Self::HmacSha256(Hmac::new_from_slice(shared.as_bytes())?),
            "HMAC-SHA512" => Self::HmacSha512(Hmac::new_from_slice(shared.as_bytes())?),
            "RSA-SHA1" => Self::RsaSha1(private()?),
            "RSA-SHA256" => Self::RsaSha256(private()?),
            _ => bail!("no signature method {method}"),
        })
    }

    fn sign(&self, text: &str) -> anyhow::Result<String> {
        // The DigestInfo prefixes of RFC 8017 section 9.2, note 1.
        const SHA1_PREFIX: &[u8] = b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14";
        const SHA256_PREFIX: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
        let text = text.as_bytes();
        Ok(BASE64.encode(match self {
            Self::HmacSha1(mac) => mac.clone().chain_update(text).finalize().into_bytes().to_vec(),
            Self::HmacSha256(mac) => mac.clone().chain_update(text).finalize().into_bytes().to_vec(),
            Self::HmacSha512(mac) => mac.clone().chain_update(text).finalize().into_bytes().to_vec(),
            Self::RsaSha1(key) => key.sign(padding(20, SHA1_PREFIX), &Sha1::digest(text))?,
            Self::RsaSha256(key) => key.sign(padding(32, SHA256_PREFIX), &Sha256::digest(text))?,
        }))
    }
}

/// PKCS#1 v1.5 with a digest of a newer generation than the `rsa` crate's own.
fn padding(length: usize, prefix: &[u8]) -> Pkcs1v15Sign {
    Pkcs1v15Sign { hash_len: Some(length), prefix: prefix.into() }
}

/// Names one client and token for [`oauth1`].
pub struct Signer<'a> {
    pub key: &'a Key,
    pub method: &'a str,
    pub consumer_key: &'a str,
    pub token: &'a str,
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A request signed by RFC 5849, with the nonce `nonce` at `timestamp`.
pub fn oauth1(
    address: SocketAddr,
    path: &str,
    signer: &Signer<'_>,
    nonce: &str,
    timestamp: u64,
) -> anyhow::Result<Vec<u8>> {
    let Signer { method, consumer_key, token, .. } = signer;
    let (consumer_key, token) = (escape(consumer_key), escape(token));
    let parameters = format!(
        "oauth_consumer_key={consumer_key}&oauth_nonce={nonce}&oauth_signature_method={method}\
         &oauth_timestamp={timestamp}&oauth_token={token}&oauth_version=1.0"
    );
    let uri = escape(&format!("http://{address}{path}"));
    let signature = escape(&signer.key.sign(&format!("GET&{uri}&{}", escape(&parameters)))?);
    let header = format!(
        "Authorization: OAuth oauth_consumer_key=\"{consumer_key}\", oauth_nonce=\"{nonce}\", \
         oauth_signature_method=\"{method}\", oauth_timestamp=\"{timestamp}\", oauth_token=\"{token}\", \
         oauth_version=\"1.0\", oauth_signature=\"{signature}\"\r\n"
    );
    Ok(format!("{}{header}\r\n", head(address, path)).into_bytes())
}

/// The client key and the token of request `number`: the requests go through the tokens in use in an order without a
/// pattern, each as often as any other.
pub fn one_of_many(clients: usize, tokens: usize, in_use: usize, number: usize) -> (String, String) {
    let in_use = in_use.clamp(1, tokens.max(1));
    // A multiplication by an odd number of the golden ratio's bits scatters what was counted.
    let scattered = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let chosen = usize::try_from(scattered).unwrap_or(0) % in_use;
    let token = chosen * (tokens.max(1) / in_use);
    (format!("bench-client-{}", token % clients.max(1)), format!("bench-token-{token}"))
}

/// A server's Digest challenge, as far as a client needs it.
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
}

impl Challenge {
    /// Reads the challenge for `algorithm` out of a response's head.
    pub fn find(head: &str, algorithm: &str) -> Option<Self> {
        let line = head.lines().find(|line| {
            let lower = line.to_ascii_lowercase();
            lower.starts_with("www-authenticate: digest ") && field(line, "algorithm").as_deref() == Some(algorithm)
        })?;
        Some(Self { realm: field(line, "realm")?, nonce: field(line, "nonce")?, opaque: field(line, "opaque") })
    }
}

/// A parameter of a challenge, with or without quotes.
fn field(line: &str, name: &str) -> Option<String> {
    let start = line
        .match_indices(&format!("{name}="))
        .find(|(at, _)| line.get(..*at).is_some_and(|before| before.ends_with([' ', ','])))?;
    let value = line.get(start.0 + name.len() + 1..)?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().map(str::to_owned),
        None => value.split([',', ' ', '\r']).next().map(str::to_owned),
    }
}

/// A request with Digest, `qop=auth`, counted `count` under the challenge's nonce.
pub fn digest(
    address: SocketAddr,
    path: &str,
    (username, password, algorithm): (&str, &str, &str),
    headers: &[(String, String)],
    challenge: &Challenge,
    count: u32,
) -> Vec<u8> {
    let hash = |text: String| match algorithm {
        "MD5" => hex(&Md5::digest(text)),
        _ => hex(&Sha256::digest(text)),
    };
    let Challenge { realm, nonce, opaque } = challenge;
    let secret = hash(format!("{username}:{realm}:{password}"));
    let request = hash(format!("GET:{path}"));
    let response = hash(format!("{secret}:{nonce}:{count:08x}:0a4f113b:auth:{request}"));
    let opaque = opaque.as_ref().map(|value| format!(", opaque=\"{value}\"")).unwrap_or_default();
    let header = format!(
        "Authorization: Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{path}\", \
         response=\"{response}\", algorithm={algorithm}, qop=auth, nc={count:08x}, cnonce=\"0a4f113b\"{opaque}\r\n"
    );
    format!("{}{}{header}\r\n", head(address, path), lines(headers)).into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_response_is_that_of_rfc_7616() {
        let challenge = Challenge { realm: "r".into(), nonce: "n".into(), opaque: None };
        let address = ([127, 0, 0, 1], 80).into();
        for (algorithm, response) in [
            // Computed with md5sum and sha256sum by the formulas of section 3.4.1.
            ("MD5", "e75f9e9977e0f8f0b76021fc40864afc"),
            ("SHA-256", "1d9345f1ec8c96d1874e62866384e390fa5b419211f76636d675b50a3fd0b7c8"),
        ] {
            let made = digest(address, "/x", ("u", "p", algorithm), &[], &challenge, 1);
            let text = String::from_utf8(made).expect("ASCII");
            assert!(text.contains(&format!("response=\"{response}\"")), "{text}");
        }
    }

    #[test]
    fn a_challenge_is_read_by_its_algorithm() {
        let head = "HTTP/1.1 401 Unauthorized\r\n\
                    www-authenticate: Digest realm=\"a b\", nonce=\"n1\", algorithm=SHA-256, opaque=\"o\"\r\n\
                    www-authenticate: Digest realm=\"a b\", nonce=\"n2\", algorithm=MD5\r\n";
        let found = Challenge::find(head, "MD5").expect("there is one");
        assert_eq!((found.realm.as_str(), found.nonce.as_str(), found.opaque), ("a b", "n2", None));
        assert_eq!(Challenge::find(head, "SHA-256").expect("there is one").opaque.as_deref(), Some("o"));
    }

    #[test]
    fn many_requests_are_spread_over_the_tokens_in_use_and_no_others() {
        let used: std::collections::BTreeSet<_> = (0..10_000).map(|number| one_of_many(10, 50, 25, number)).collect();
        assert_eq!(used.len(), 25);
        assert!(used.contains(&("bench-client-8".to_owned(), "bench-token-48".to_owned())));
        assert!(!used.iter().any(|(_, token)| token == "bench-token-49"));
    }

    #[test]
    fn the_signature_is_that_of_the_base_string() {
        let key = Key::new("HMAC-SHA1", "kd94hf93k423kf44", "pfkkdhi9sl3r4s00", None).expect("a method");
        // Computed with `openssl dgst -sha1 -hmac`.
        let text = "GET&http%3A%2F%2Fphotos.example.net%2Fphotos&file%3Dvacation.jpg%26oauth_consumer_key%3Ddpf43f3p2l4k3l03%26oauth_nonce%3Dkllo9940pd9333jh%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D1191242096%26oauth_token%3Dnnch734d00sl2jdk%26oauth_version%3D1.0%26size%3Doriginal";
        assert_eq!(key.sign(text).expect("signed"), "tR3+Ty81lMeYAr/Fid0kMTYa/WM=");
    }
}
