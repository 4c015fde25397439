//! The suite's own signer (RFC 5849 §3.4), sharing nothing with any server, and the mistakes that real clients make.
//!
//! Written from the RFC's text and checked against its examples, OAuth Core 1.0a's, oauthlib and the crate `oauth1-request`.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::encoding::{Pair, encode};
use crate::http::Origin;

/// The realm that styles write into the header.
pub const REALM: &str = "Conformance suite";

/// A signature method (RFC 5849 §3.4), with the SHA-2 ones that providers have added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureMethod {
    /// HMAC with a hash.
    Hmac(Hash),
    /// RSASSA-PKCS1-v1_5 with a hash.
    Rsa(Hash),
    /// The key itself.
    Plaintext,
}

/// The hash below a signature method or a body hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1
    Sha1,
    /// SHA-256
    Sha256,
    /// SHA-512
    Sha512,
}

impl SignatureMethod {
    /// Reads the wire name. A name that nobody knows is `None`: a case that sends one signs with the default method.
    pub fn parse(name: &str) -> Option<SignatureMethod> {
        Some(match name {
            "HMAC-SHA1" => SignatureMethod::Hmac(Hash::Sha1),
            "HMAC-SHA256" => SignatureMethod::Hmac(Hash::Sha256),
            "HMAC-SHA512" => SignatureMethod::Hmac(Hash::Sha512),
            "RSA-SHA1" => SignatureMethod::Rsa(Hash::Sha1),
            "RSA-SHA256" => SignatureMethod::Rsa(Hash::Sha256),
            "RSA-SHA512" => SignatureMethod::Rsa(Hash::Sha512),
            "PLAINTEXT" => SignatureMethod::Plaintext,
            _ => return None,
        })
    }

    /// The hash that `oauth_body_hash` uses beside this method (Body Hash §3.2).
    pub fn body_hash(self) -> Hash {
        match self {
            SignatureMethod::Hmac(hash) | SignatureMethod::Rsa(hash) => hash,
            SignatureMethod::Plaintext => Hash::Sha1,
        }
    }
}

impl Hash {
    /// The digest of some bytes.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(bytes).to_vec(),
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
            Hash::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn mac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        fn run<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
            // HMAC takes keys of any length, so this can't fail; an empty result would be refused by any server.
            <M as KeyInit>::new_from_slice(key)
                .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
                .unwrap_or_default()
        }
        match self {
            Hash::Sha1 => run::<Hmac<Sha1>>(key, text),
            Hash::Sha256 => run::<Hmac<Sha256>>(key, text),
            Hash::Sha512 => run::<Hmac<Sha512>>(key, text),
        }
    }

    /// The DER head of a `DigestInfo` (RFC 8017 §9.2 note 1).
    fn padding(self) -> Pkcs1v15Sign {
        let (hash_len, prefix): (usize, &[u8]) = match self {
            Hash::Sha1 => (20, b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"),
            Hash::Sha256 => (32, b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"),
            Hash::Sha512 => (64, b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"),
        };
        Pkcs1v15Sign { hash_len: Some(hash_len), prefix: prefix.into() }
    }
}

/// What the client signs with.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// The client's shared secret, empty when it has none.
    pub client_secret: String,
    /// The token's shared secret, empty without a token.
    pub token_secret: String,
    /// The client's private key, for the RSA methods.
    pub rsa: Option<RsaPrivateKey>,
}

/// A mistake in making a signature, as clients are known to make them. Without one the signature is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// Parameters in the order sent.
    Unsorted,
    /// Parameters sorted by name only, values in the order sent.
    ValuesUnsorted,
    /// Names sorted in reverse.
    SortedBackwards,
    /// A space written as `+` where `%20` belongs.
    PlusForSpace,
    /// Escapes with lower-case digits.
    LowerCaseEscapes,
    /// Names and values not encoded at all before joining.
    NotEncoded,
    /// Names and values encoded once too often.
    EncodedTwice,
    /// The `~` encoded, as old libraries did.
    TildeEncoded,
    /// The query left out.
    QueryLeftOut,
    /// The form body left out.
    BodyLeftOut,
    /// The protocol parameters left out.
    ProtocolLeftOut,
    /// Parameters without a value left out.
    EmptyLeftOut,
    /// Only the first of parameters with one name.
    FirstOfEach,
    /// Method in lower case.
    MethodLowerCase,
    /// Host in upper case.
    HostUpperCase,
    /// The scheme's own port written, or the port in use left out.
    PortWrong,
    /// The other scheme.
    SchemeWrong,
    /// The query left in the address too.
    QueryInAddress,
    /// The path decoded once.
    PathDecoded,
    /// The path encoded once too often.
    PathEncodedTwice,
    /// The path in lower case.
    PathLowerCase,
    /// A final slash added.
    SlashAdded,
    /// Only the path, without scheme and host.
    PathOnly,
    /// The base string's three parts joined without encoding them.
    PartsNotEncoded,
    /// `realm` signed like a parameter.
    RealmIncluded,
    /// The token's secret left out of the key.
    TokenSecretLeftOut,
    /// The client's secret left out of the key.
    ClientSecretLeftOut,
    /// The two secrets in the wrong order.
    SecretsSwapped,
    /// The `&` left out where there is no token secret or both are joined.
    AmpersandLeftOut,
    /// Secrets not encoded.
    SecretsNotEncoded,
    /// The signature in hexadecimal instead of base64.
    Hexadecimal,
    /// base64 with the letters of URLs.
    UrlSafe,
    /// base64 without its final `=`.
    Unpadded,
    /// One bit of the signature changed.
    BitFlipped,
    /// Half of the signature.
    Truncated,
    /// The signature followed by more.
    Extended,
    /// No characters at all.
    Empty,
    /// Letters in the other case.
    CaseChanged,
}

/// What is signed: the request as it will be sent.
#[derive(Debug, Clone)]
pub struct Signable<'a> {
    /// Method in upper case.
    pub method: &'a str,
    /// The origin that the request names.
    pub origin: &'a Origin,
    /// Path as sent, still encoded.
    pub path: &'a str,
    /// Query as sent, for the mistakes that need it.
    pub raw_query: &'a str,
    /// Decoded parameters of the query.
    pub query: &'a [Pair],
    /// Decoded parameters of a form body.
    pub form: &'a [Pair],
    /// Protocol parameters, decoded, with neither `realm` nor `oauth_signature`.
    pub protocol: &'a [Pair],
}

/// The base string (RFC 5849 §3.4.1), with mistakes if any are asked for.
pub fn base_string(request: &Signable<'_>, mistakes: &[Mistake]) -> String {
    let wrong = |mistake| mistakes.contains(&mistake);
    let method =
        if wrong(Mistake::MethodLowerCase) { request.method.to_ascii_lowercase() } else { request.method.to_owned() };
    let address = address(request, &wrong);
    let parameters = normalized(request, &wrong);
    let part = |text: &str| {
        if wrong(Mistake::PartsNotEncoded) {
            text.to_owned()
        } else if wrong(Mistake::LowerCaseEscapes) {
            lower_case_escapes(&encode(text))
        } else {
            encode(text)
        }
    };
    format!("{}&{}&{}", part(&method), part(&address), part(&parameters))
}

/// RFC 5849 §3.4.1.2.
fn address(request: &Signable<'_>, wrong: &dyn Fn(Mistake) -> bool) -> String {
    let scheme = match (request.origin.secure, wrong(Mistake::SchemeWrong)) {
        (true, false) | (false, true) => "https",
        (false, false) | (true, true) => "http",
    };
    let mut host = request.origin.host.to_ascii_lowercase();
    if wrong(Mistake::HostUpperCase) {
        host = host.to_ascii_uppercase();
    }
    let with_port = request.origin.has_default_port() == wrong(Mistake::PortWrong);
    if with_port {
        host = format!("{host}:{}", request.origin.port);
    }
    let mut path = request.path.to_owned();
    if wrong(Mistake::PathDecoded) {
        path = crate::encoding::decode(&path);
    }
    if wrong(Mistake::PathEncodedTwice) {
        path = path.split('/').map(encode).collect::<Vec<_>>().join("/");
    }
    if wrong(Mistake::PathLowerCase) {
        path = path.to_ascii_lowercase();
    }
    if wrong(Mistake::SlashAdded) {
        path.push('/');
    }
    if wrong(Mistake::QueryInAddress) {
        path = format!("{path}?{}", request.raw_query);
    }
    if wrong(Mistake::PathOnly) { path } else { format!("{scheme}://{host}{path}") }
}

/// RFC 5849 §3.4.1.3.2.
fn normalized(request: &Signable<'_>, wrong: &dyn Fn(Mistake) -> bool) -> String {
    let mut pairs: Vec<Pair> = Vec::new();
    if !wrong(Mistake::QueryLeftOut) {
        pairs.extend_from_slice(request.query);
    }
    if !wrong(Mistake::ProtocolLeftOut) {
        pairs.extend_from_slice(request.protocol);
    }
    if !wrong(Mistake::BodyLeftOut) {
        pairs.extend_from_slice(request.form);
    }
    if wrong(Mistake::RealmIncluded) {
        pairs.push(("realm".into(), REALM.into()));
    }
    if wrong(Mistake::EmptyLeftOut) {
        pairs.retain(|(_, value)| !value.is_empty());
    }
    if wrong(Mistake::FirstOfEach) {
        let mut seen = Vec::new();
        pairs.retain(|(name, _)| {
            let new = !seen.contains(name);
            seen.push(name.clone());
            new
        });
    }
    let write = |text: &str| {
        if wrong(Mistake::NotEncoded) {
            text.to_owned()
        } else if wrong(Mistake::EncodedTwice) {
            encode(&encode(text))
        } else if wrong(Mistake::PlusForSpace) {
            encode(text).replace("%20", "+")
        } else if wrong(Mistake::TildeEncoded) {
            encode(text).replace('~', "%7E")
        } else if wrong(Mistake::LowerCaseEscapes) {
            lower_case_escapes(&encode(text))
        } else {
            encode(text)
        }
    };
    let mut written: Vec<Pair> = pairs.iter().map(|(name, value)| (write(name), write(value))).collect();
    if wrong(Mistake::ValuesUnsorted) {
        written.sort_by(|a, b| a.0.cmp(&b.0));
    } else if wrong(Mistake::SortedBackwards) {
        written.sort_by(|a, b| b.cmp(a));
    } else if !wrong(Mistake::Unsorted) {
        written.sort();
    }
    written.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Signs a base string. `Err` names what is missing: an RSA method needs the client's private key.
pub fn sign(base: &str, method: SignatureMethod, keys: &Keys, mistakes: &[Mistake]) -> Result<String, String> {
    let wrong = |mistake| mistakes.contains(&mistake);
    let key = shared_key(keys, &wrong);
    let mut bytes = match method {
        SignatureMethod::Plaintext => return Ok(plaintext(key, &wrong)),
        SignatureMethod::Hmac(hash) => hash.mac(key.as_bytes(), base.as_bytes()),
        SignatureMethod::Rsa(hash) => {
            let private = keys.rsa.as_ref().ok_or("the client has no RSA private key in the target file")?;
            private.sign(hash.padding(), &hash.digest(base.as_bytes())).map_err(|e| format!("RSA: {e}"))?
        }
    };
    if wrong(Mistake::BitFlipped)
        && let Some(last) = bytes.last_mut()
    {
        *last ^= 1;
    }
    if wrong(Mistake::Truncated) {
        bytes.truncate(bytes.len() / 2);
    }
    let mut text = STANDARD.encode(&bytes);
    if wrong(Mistake::Hexadecimal) {
        text = bytes.iter().map(|b| format!("{b:02x}")).collect();
    }
    if wrong(Mistake::UrlSafe) {
        text = text.replace('+', "-").replace('/', "_");
    }
    if wrong(Mistake::Unpadded) {
        text = text.trim_end_matches('=').to_owned();
    }
    if wrong(Mistake::Extended) {
        text.push_str("AAAA");
    }
    if wrong(Mistake::Empty) {
        text.clear();
    }
    if wrong(Mistake::CaseChanged) {
        text = swap_case(&text);
    }
    Ok(text)
}

/// The two secrets as RFC 5849 §3.4.2 and §3.4.4 join them.
fn shared_key(keys: &Keys, wrong: &dyn Fn(Mistake) -> bool) -> String {
    let write = |secret: &str| if wrong(Mistake::SecretsNotEncoded) { secret.to_owned() } else { encode(secret) };
    let mut client = write(&keys.client_secret);
    let mut token = write(&keys.token_secret);
    if wrong(Mistake::TokenSecretLeftOut) {
        token.clear();
    }
    if wrong(Mistake::ClientSecretLeftOut) {
        client.clear();
    }
    if wrong(Mistake::SecretsSwapped) {
        std::mem::swap(&mut client, &mut token);
    }
    let join = if wrong(Mistake::AmpersandLeftOut) { "" } else { "&" };
    format!("{client}{join}{token}")
}

fn plaintext(key: String, wrong: &dyn Fn(Mistake) -> bool) -> String {
    if wrong(Mistake::Empty) {
        String::new()
    } else if wrong(Mistake::Truncated) {
        key.chars().take(key.chars().count() / 2).collect()
    } else if wrong(Mistake::Extended) {
        format!("{key}A")
    } else if wrong(Mistake::CaseChanged) {
        swap_case(&key)
    } else if wrong(Mistake::EncodedTwice) {
        encode(&key)
    } else {
        key
    }
}

fn swap_case(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect()
}

/// Writes the digits of escapes in lower case and leaves the rest.
pub fn lower_case_escapes(text: &str) -> String {
    let mut left = 0;
    text.chars()
        .map(|c| match c {
            '%' => {
                left = 2;
                c
            }
            _ if left > 0 => {
                left -= 1;
                c.to_ascii_lowercase()
            }
            _ => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::decode_form;

    fn pairs(list: &[(&str, &str)]) -> Vec<Pair> {
        list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    struct Example {
        method: &'static str,
        address: &'static str,
        form: &'static str,
        protocol: Vec<Pair>,
    }

    impl Example {
        fn base_string(&self, mistakes: &[Mistake]) -> String {
            let (origin, rest) = Origin::parse(self.address).unwrap();
            let (path, query) = rest.split_once('?').unwrap_or((&rest, ""));
            base_string(
                &Signable {
                    method: self.method,
                    origin: &origin,
                    path,
                    raw_query: query,
                    query: &decode_form(query),
                    form: &decode_form(self.form),
                    protocol: &self.protocol,
                },
                mistakes,
            )
        }
    }

    /// RFC 5849 §3.4.1.1: the request of §3.4.1 with `c2` and `a3` in the body.
    fn section_3_4_1() -> Example {
        Example {
            method: "POST",
            address: "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b",
            form: "c2&a3=2+q",
            protocol: pairs(&[
                ("oauth_consumer_key", "9djdj82h48djs9d2"),
                ("oauth_token", "kkk9d7dh3k39sjv7"),
                ("oauth_signature_method", "HMAC-SHA1"),
                ("oauth_timestamp", "137131201"),
                ("oauth_nonce", "7d8f3e4a"),
            ]),
        }
    }

    #[test]
    fn the_base_string_of_section_3_4_1_1_is_made() {
        assert_eq!(
            section_3_4_1().base_string(&[]),
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26oau\
             th_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D1371312\
             01%26oauth_token%3Dkkk9d7dh3k39sjv7"
                .replace(' ', "")
        );
    }

    /// RFC 5849 §1.2, the three signed requests of the printer and the photos.
    #[test]
    fn the_signatures_of_section_1_2_are_made() {
        let common = |more: &[(&str, &str)]| {
            let mut list =
                pairs(&[("oauth_consumer_key", "dpf43f3p2l4k3l03"), ("oauth_signature_method", "HMAC-SHA1")]);
            list.extend(pairs(more));
            list
        };
        let examples = [
            (
                "POST",
                "https://photos.example.net/initiate",
                common(&[
                    ("oauth_timestamp", "137131200"),
                    ("oauth_nonce", "wIjqoS"),
                    ("oauth_callback", "http://printer.example.com/ready"),
                ]),
                "",
                None,
            ),
            (
                "POST",
                "https://photos.example.net/token",
                common(&[
                    ("oauth_token", "hh5s93j4hdidpola"),
                    ("oauth_timestamp", "137131201"),
                    ("oauth_nonce", "walatlh"),
                    ("oauth_verifier", "hfdp7dh39dks9884"),
                ]),
                "hdhd0244k9j7ao03",
                Some("gKgrFCywp7rO0OXSjdot/IHF7IU="),
            ),
            (
                "GET",
                "http://photos.example.net/photos?file=vacation.jpg&size=original",
                common(&[
                    ("oauth_token", "nnch734d00sl2jdk"),
                    ("oauth_timestamp", "137131202"),
                    ("oauth_nonce", "chapoH"),
                ]),
                "pfkkdhi9sl3r4s00",
                Some("MdpQcU8iPSUjWoN/UDMsK2sui9I="),
            ),
        ];
        for (method, address, protocol, token_secret, expected) in examples {
            let base = Example { method, address, form: "", protocol }.base_string(&[]);
            let keys = Keys { client_secret: "kd94hf93k423kf44".into(), token_secret: token_secret.into(), rsa: None };
            let signature = sign(&base, SignatureMethod::Hmac(Hash::Sha1), &keys, &[]).unwrap();

            assert_eq!(signature, expected.unwrap_or("74KNZJeDHnMBp0EMJ9ZHt/XKycU="), "{address}");
        }
    }

    /// OAuth Core 1.0a, appendix A.5.
    #[test]
    fn the_signature_of_oauth_core_is_made() {
        let example = Example {
            method: "GET",
            address: "http://photos.example.net/photos?file=vacation.jpg&size=original",
            form: "",
            protocol: pairs(&[
                ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
                ("oauth_token", "nnch734d00sl2jdk"),
                ("oauth_signature_method", "HMAC-SHA1"),
                ("oauth_timestamp", "1191242096"),
                ("oauth_nonce", "kllo9940pd9333jh"),
                ("oauth_version", "1.0"),
            ]),
        };
        let keys =
            Keys { client_secret: "kd94hf93k423kf44".into(), token_secret: "pfkkdhi9sl3r4s00".into(), rsa: None };
        let signature = sign(&example.base_string(&[]), SignatureMethod::Hmac(Hash::Sha1), &keys, &[]).unwrap();
        assert_eq!(signature, "tR3+Ty81lMeYAr/Fid0kMTYa/WM=");
        assert_eq!(sign("", SignatureMethod::Plaintext, &keys, &[]).unwrap(), "kd94hf93k423kf44&pfkkdhi9sl3r4s00");
    }

    #[test]
    fn secrets_are_encoded_in_the_key() {
        let keys =
            Keys { client_secret: "djr9rjt0jd78jf88".into(), token_secret: "jjd99$tj88uiths3".into(), rsa: None };
        assert_eq!(sign("", SignatureMethod::Plaintext, &keys, &[]).unwrap(), "djr9rjt0jd78jf88&jjd99%24tj88uiths3");
    }

    #[test]
    fn every_mistake_in_the_base_string_changes_it() {
        let mut example = section_3_4_1();
        example.address = "http://EXAMPLE.COM:8080/re%20Quest?b5=%3D%253D&a3=a&c%40=&a2=r%20b&a3=0~";
        let right = example.base_string(&[]);
        for mistake in [
            Mistake::Unsorted,
            Mistake::ValuesUnsorted,
            Mistake::SortedBackwards,
            Mistake::PlusForSpace,
            Mistake::LowerCaseEscapes,
            Mistake::NotEncoded,
            Mistake::EncodedTwice,
            Mistake::TildeEncoded,
            Mistake::QueryLeftOut,
            Mistake::BodyLeftOut,
            Mistake::ProtocolLeftOut,
            Mistake::EmptyLeftOut,
            Mistake::FirstOfEach,
            Mistake::MethodLowerCase,
            Mistake::HostUpperCase,
            Mistake::PortWrong,
            Mistake::SchemeWrong,
            Mistake::QueryInAddress,
            Mistake::PathDecoded,
            Mistake::PathEncodedTwice,
            Mistake::PathLowerCase,
            Mistake::SlashAdded,
            Mistake::PathOnly,
            Mistake::PartsNotEncoded,
            Mistake::RealmIncluded,
        ] {
            assert_ne!(example.base_string(&[mistake]), right, "{mistake:?}");
        }
    }

    #[test]
    fn every_mistake_in_the_signature_changes_it() {
        let keys = Keys { client_secret: "a b".into(), token_secret: "c/d".into(), rsa: None };
        // A base string whose signature holds `+` and `/`, so that every way of writing base64 shows.
        let base = (0..).map(|n| n.to_string()).find(|base| {
            let text = sign(base, SignatureMethod::Hmac(Hash::Sha1), &keys, &[]).unwrap();
            text.contains('+') && text.contains('/')
        });
        let base = base.unwrap();
        let right = sign(&base, SignatureMethod::Hmac(Hash::Sha1), &keys, &[]).unwrap();
        for mistake in [
            Mistake::TokenSecretLeftOut,
            Mistake::ClientSecretLeftOut,
            Mistake::SecretsSwapped,
            Mistake::AmpersandLeftOut,
            Mistake::SecretsNotEncoded,
            Mistake::Hexadecimal,
            Mistake::UrlSafe,
            Mistake::Unpadded,
            Mistake::BitFlipped,
            Mistake::Truncated,
            Mistake::Extended,
            Mistake::Empty,
            Mistake::CaseChanged,
        ] {
            assert_ne!(
                sign(&base, SignatureMethod::Hmac(Hash::Sha1), &keys, &[mistake]).unwrap(),
                right,
                "{mistake:?}"
            );
        }
    }

    #[test]
    fn an_rsa_method_without_a_key_is_told() {
        assert!(sign("x", SignatureMethod::Rsa(Hash::Sha1), &Keys::default(), &[]).is_err());
    }
}
