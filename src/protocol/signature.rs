//! The seven signature methods: sign, and verify in constant time (RFC 5849 §3.4.2–3.4.4).
//!
//! [`verify`] returns a proof, not a `bool`: only this file can make a [`SignatureVerified`]. SHA-256 and SHA-512 are
//! the extensions that providers and libraries agree on; they differ from the RFC's methods in the hash alone.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::DecodePrivateKey;
use rsa::pkcs8::der::asn1::AnyRef;
use rsa::pkcs8::der::pem::decode_vec;
use rsa::pkcs8::der::{self, Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use rsa::pkcs8::spki::SubjectPublicKeyInfoRef;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::base_string::SignatureBaseString;
use super::encoding;

/// How a request is signed: the value of `oauth_signature_method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureMethod {
    /// RFC 5849 §3.4.2.
    HmacSha1,
    /// As §3.4.2, with SHA-256.
    HmacSha256,
    /// As §3.4.2, with SHA-512.
    HmacSha512,
    /// RFC 5849 §3.4.3.
    RsaSha1,
    /// As §3.4.3, with SHA-256.
    RsaSha256,
    /// As §3.4.3, with SHA-512.
    RsaSha512,
    /// RFC 5849 §3.4.4: the secrets themselves, for TLS only.
    Plaintext,
}

impl SignatureMethod {
    /// All seven.
    pub const ALL: [Self; 7] = [
        Self::HmacSha1,
        Self::HmacSha256,
        Self::HmacSha512,
        Self::RsaSha1,
        Self::RsaSha256,
        Self::RsaSha512,
        Self::Plaintext,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacSha256 => "HMAC-SHA256",
            Self::HmacSha512 => "HMAC-SHA512",
            Self::RsaSha1 => "RSA-SHA1",
            Self::RsaSha256 => "RSA-SHA256",
            Self::RsaSha512 => "RSA-SHA512",
            Self::Plaintext => "PLAINTEXT",
        }
    }

    /// Whether the client signs with an RSA private key instead of the shared secrets.
    pub const fn is_rsa(self) -> bool {
        match self {
            Self::RsaSha1 | Self::RsaSha256 | Self::RsaSha512 => true,
            Self::HmacSha1 | Self::HmacSha256 | Self::HmacSha512 | Self::Plaintext => false,
        }
    }

    /// The hash of these octets that the method is named after; SHA-1 for PLAINTEXT, which has none.
    pub(super) fn hash_of(self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::HmacSha1 | Self::RsaSha1 | Self::Plaintext => Sha1::digest(octets).to_vec(),
            Self::HmacSha256 | Self::RsaSha256 => Sha256::digest(octets).to_vec(),
            Self::HmacSha512 | Self::RsaSha512 => Sha512::digest(octets).to_vec(),
        }
    }
}

impl fmt::Display for SignatureMethod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A name that is none of the seven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not a signature method: use HMAC-SHA1, HMAC-SHA256, HMAC-SHA512, RSA-SHA1, RSA-SHA256, RSA-SHA512 or PLAINTEXT"
)]
pub struct UnknownSignatureMethod;

impl FromStr for SignatureMethod {
    type Err = UnknownSignatureMethod;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|method| method.as_str() == name).ok_or(UnknownSignatureMethod)
    }
}

/// The two secrets that a client shares with the server; an empty one is absent.
#[derive(Clone, Copy)]
pub struct SharedSecrets<'a> {
    /// `client_secret`: of the client credentials. Without one (a client that has only an RSA key) nothing verifies.
    pub client: &'a str,
    /// `token_secret`: of the temporary or token credentials.
    pub token: &'a str,
}

impl SharedSecrets<'_> {
    /// Both, encoded and joined by `&` (§3.4.2): the key of HMAC, and the whole signature of PLAINTEXT.
    fn key(&self) -> Zeroizing<String> {
        let mut key = Zeroizing::new(String::with_capacity(160));
        encoding::encode_into(&mut key, self.client);
        key.push('&');
        encoding::encode_into(&mut key, self.token);
        key
    }
}

/// What a signature is checked with.
#[derive(Clone, Copy)]
pub enum VerificationKey<'a> {
    /// For the HMAC methods and PLAINTEXT.
    Shared(SharedSecrets<'a>),
    /// For the RSA methods.
    Rsa(&'a RsaVerificationKey),
}

/// Proof that a signature was checked and is good. Nothing but [`verify`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct SignatureVerified(());

/// The signature is not the one that this key makes over this base string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature does not match")]
pub struct SignatureMismatch;

/// Checks `presented`, the decoded `oauth_signature`, over `base_string` (RFC 5849 §3.2). Secrets are compared in
/// constant time.
///
/// # Errors
/// [`SignatureMismatch`]; also for a method of the other kind of key, and for text that is no base64.
pub fn verify(
    method: SignatureMethod,
    base_string: &SignatureBaseString,
    key: VerificationKey<'_>,
    presented: &str,
) -> Result<SignatureVerified, SignatureMismatch> {
    let text = base_string.as_str().as_bytes();
    let good = match (method, key) {
        // Anybody can sign with the empty secret of a client that has none.
        (_, VerificationKey::Shared(SharedSecrets { client: "", token: _ })) => false,
        (_, VerificationKey::Shared(secrets)) => reproduces(method, base_string.as_str(), &secrets.key(), presented),
        (SignatureMethod::RsaSha1, VerificationKey::Rsa(key)) => key.admits(&key.sha1, text, presented),
        (SignatureMethod::RsaSha256, VerificationKey::Rsa(key)) => key.admits(&key.sha256, text, presented),
        (SignatureMethod::RsaSha512, VerificationKey::Rsa(key)) => key.admits(&key.sha512, text, presented),
        (_, VerificationKey::Rsa(_)) => false,
    };
    if good { Ok(SignatureVerified(())) } else { Err(SignatureMismatch) }
}

/// Whether `key`, however a client put it together, makes `presented` over `text`: what [`super::diagnosis`] asks. It
/// gives no proof, and an RSA method is never true.
pub(super) fn reproduces(method: SignatureMethod, text: &str, key: &str, presented: &str) -> bool {
    let (key, text) = (key.as_bytes(), text.as_bytes());
    match method {
        SignatureMethod::HmacSha1 => equal_mac::<Hmac<Sha1>>(key, text, presented),
        SignatureMethod::HmacSha256 => equal_mac::<Hmac<Sha256>>(key, text, presented),
        SignatureMethod::HmacSha512 => equal_mac::<Hmac<Sha512>>(key, text, presented),
        SignatureMethod::Plaintext => bool::from(key.ct_eq(presented.as_bytes())),
        SignatureMethod::RsaSha1 | SignatureMethod::RsaSha256 | SignatureMethod::RsaSha512 => false,
    }
}

fn hmac<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Option<M> {
    // HMAC takes a key of any length; the error is for MACs that don't.
    let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac)
}

/// The length is public (it follows from the method); the octets are compared in constant time.
fn equal_mac<M: Mac + KeyInit>(key: &[u8], text: &[u8], presented: &str) -> bool {
    unbase64(presented)
        .is_some_and(|presented| hmac::<M>(key, text).is_some_and(|computed| computed.verify_slice(&presented).is_ok()))
}

/// The octets of a signature. RFC 2045 §6.8 lets base64 be broken into lines, and some clients do.
fn unbase64(presented: &str) -> Option<Vec<u8>> {
    if presented.bytes().any(|octet| octet == b'\r' || octet == b'\n') {
        return STANDARD.decode(presented.replace(['\r', '\n'], "")).ok();
    }
    STANDARD.decode(presented).ok()
}

/// An RSA public key, parsed once and kept, for the three RSA methods.
pub struct RsaVerificationKey {
    sha1: ParsedPublicKey,
    sha256: ParsedPublicKey,
    sha512: ParsedPublicKey,
    public: RsaPublicKey,
    bits: usize,
    fingerprint: String,
}

/// What an RSA signature holds.
pub(super) enum Opened {
    /// Another key made it.
    Nothing,
    /// The right key, but no hash of one of the three methods.
    OtherHash,
    /// A hash, by the method that has it.
    Hash(SignatureMethod, Vec<u8>),
}

/// The sizes of RSA keys that are taken, in bits.
const RSA_KEY_BITS: RangeInclusive<usize> = 2048..=8192;

/// Why a text is no RSA public key that a client may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RsaKeyError {
    /// Neither PKCS#1, SPKI nor a certificate.
    #[error(
        "not an RSA public key: give PEM that begins with BEGIN PUBLIC KEY, BEGIN RSA PUBLIC KEY or BEGIN CERTIFICATE"
    )]
    Unreadable,
    /// A private key was given where only the public one belongs.
    #[error("this is a private key: keep it to yourself and give the public key (openssl rsa -in key.pem -pubout)")]
    Private,
    /// No private key in PKCS#1 or PKCS#8.
    #[error(
        "not an RSA private key: give PEM that begins with BEGIN PRIVATE KEY or BEGIN RSA PRIVATE KEY, without a passphrase"
    )]
    UnreadablePrivate,
    /// A public key was given where the private one is needed.
    #[error("this is a public key: signing needs the private key that belongs to it (BEGIN PRIVATE KEY)")]
    Public,
    /// Fewer than 2048 bits, or more than 8192.
    #[error("the RSA key has {0} bits: 2048 to 8192 are taken")]
    Size(usize),
}

impl RsaVerificationKey {
    /// Reads PKCS#1 (`BEGIN RSA PUBLIC KEY`), SPKI (`BEGIN PUBLIC KEY`) or a certificate, in PEM; 2048 to 8192 bits.
    ///
    /// # Errors
    /// [`RsaKeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, RsaKeyError> {
        Self::of(&read_public_key(pem.trim())?)
    }

    fn of(key: &RsaPublicKey) -> Result<Self, RsaKeyError> {
        let bits = key.n().bits();
        if !RSA_KEY_BITS.contains(&bits) {
            return Err(RsaKeyError::Size(bits));
        }
        let der = key.to_pkcs1_der().map_err(|_| RsaKeyError::Unreadable)?;
        let der = der.as_bytes();
        let parsed = |algorithm| ParsedPublicKey::new(algorithm, der).map_err(|_| RsaKeyError::Unreadable);
        Ok(Self {
            sha1: parsed(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY)?,
            sha256: parsed(&RSA_PKCS1_2048_8192_SHA256)?,
            sha512: parsed(&RSA_PKCS1_2048_8192_SHA512)?,
            public: key.clone(),
            bits,
            fingerprint: STANDARD.encode(Sha256::digest(der)),
        })
    }

    /// Size of the modulus, 2048 to 8192.
    pub const fn bits(&self) -> usize {
        self.bits
    }

    /// SHA-256 of the PKCS#1 DER, in base64: for people to compare keys.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What the private key that belongs to this one signed, if it made these octets (RFC 8017 §8.2.2): what
    /// [`super::diagnosis`] asks. It gives no proof.
    pub(super) fn open(&self, signature: &[u8]) -> Opened {
        let length = self.bits.div_ceil(8);
        let number = rsa::BigUint::from_bytes_be(signature);
        if signature.len() != length || &number >= self.public.n() {
            return Opened::Nothing;
        }
        // 0x00 0x01 0xFF… 0x00 and the rest; the first is lost with the number.
        let block = number.modpow(self.public.e(), self.public.n()).to_bytes_be();
        let Some(padded) = block.strip_prefix(b"\x01").filter(|_| block.len() + 1 == length) else {
            return Opened::Nothing;
        };
        let padding = padded.iter().take_while(|octet| **octet == 0xFF).count();
        let Some(signed) = padded.get(padding..).and_then(|rest| rest.strip_prefix(b"\x00")) else {
            return Opened::Nothing;
        };
        let known = [
            (SignatureMethod::RsaSha1, SHA1_DIGEST_INFO),
            (SignatureMethod::RsaSha256, SHA256_DIGEST_INFO),
            (SignatureMethod::RsaSha512, SHA512_DIGEST_INFO),
        ];
        let hash = known.iter().find_map(|(method, info)| Some((*method, signed.strip_prefix(*info)?.to_vec())));
        hash.map_or(Opened::OtherHash, |(method, hash)| Opened::Hash(method, hash))
    }

    fn admits(&self, key: &ParsedPublicKey, text: &[u8], presented: &str) -> bool {
        unbase64(presented).is_some_and(|signature| key.verify_sig(text, &signature).is_ok())
    }
}

fn read_public_key(pem: &str) -> Result<RsaPublicKey, RsaKeyError> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(RsaKeyError::Private);
    }
    // Of a chain the first is the client's own; text behind it is nobody's.
    let end = pem.find("-----END ").and_then(|end| Some(end + 9 + pem.get(end + 9..)?.find("-----")? + 5));
    let first = pem.get(..end.unwrap_or(pem.len())).unwrap_or(pem);
    let (label, der) = decode_vec(first.as_bytes()).map_err(|_| RsaKeyError::Unreadable)?;
    let key = match label {
        "RSA PUBLIC KEY" => read_pkcs1(&der),
        "PUBLIC KEY" => read_spki(&der),
        "CERTIFICATE" => read_certificate(&der),
        _ => return Err(RsaKeyError::Unreadable),
    };
    key.map_err(|_| RsaKeyError::Unreadable)
}

/// `RSAPublicKey` of PKCS#1 (RFC 8017 §A.1.1). The numbers are taken out by hand, because the crate's own reader stops
/// at 4096 bits.
fn read_pkcs1(der: &[u8]) -> der::Result<RsaPublicKey> {
    let key = rsa::pkcs1::RsaPublicKey::from_der(der)?;
    let number = |octets: &[u8]| rsa::BigUint::from_bytes_be(octets);
    RsaPublicKey::new_with_max_size(
        number(key.modulus.as_bytes()),
        number(key.public_exponent.as_bytes()),
        // Twice as much as is taken, so that a key that is merely too large is told its size.
        2 * RSA_KEY_BITS.end(),
    )
    .map_err(|_| Tag::Integer.value_error())
}

/// `SubjectPublicKeyInfo` (RFC 5280 §4.1), for RSA alone.
fn read_spki(der: &[u8]) -> der::Result<RsaPublicKey> {
    let info = SubjectPublicKeyInfoRef::from_der(der)?;
    info.algorithm.assert_algorithm_oid(rsa::pkcs1::ALGORITHM_OID).map_err(|_| Tag::ObjectIdentifier.value_error())?;
    read_pkcs1(info.subject_public_key.as_bytes().unwrap_or_default())
}

/// The subject's public key of an X.509 certificate (RFC 5280 §4.1): the certificate is only a wrapper here, its
/// signature and dates decide nothing.
fn read_certificate(der: &[u8]) -> der::Result<RsaPublicKey> {
    AnyRef::from_der(der)?.sequence(|outer: &mut SliceReader<'_>| {
        let body = AnyRef::decode(outer)?;
        let key = body.sequence(|fields: &mut SliceReader<'_>| {
            // version [0] (optional), serial, signature algorithm, issuer, validity, subject: passed over.
            let first = AnyRef::decode(fields)?;
            let versioned = first.tag() == Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
            for _ in 0..(if versioned { 5 } else { 4 }) {
                AnyRef::decode(fields)?;
            }
            let key = read_spki(fields.tlv_bytes()?)?;
            while !fields.is_finished() {
                AnyRef::decode(fields)?;
            }
            Ok(key)
        })?;
        while !outer.is_finished() {
            AnyRef::decode(outer)?;
        }
        Ok(key)
    })
}

/// What a client signs with.
pub enum SigningKey<'a> {
    /// For the HMAC methods and PLAINTEXT.
    Shared(SharedSecrets<'a>),
    /// For the RSA methods.
    Rsa(&'a RsaSigningKey),
}

/// An RSA private key, for those who sign: the command line and the tests. The server holds none.
pub struct RsaSigningKey(RsaPrivateKey);

impl RsaSigningKey {
    /// Reads PKCS#1 or PKCS#8, unencrypted, in PEM.
    ///
    /// # Errors
    /// [`RsaKeyError::UnreadablePrivate`], [`RsaKeyError::Public`].
    pub fn from_pem(pem: &str) -> Result<Self, RsaKeyError> {
        let is_public = pem.contains("PUBLIC KEY-----") || pem.contains("CERTIFICATE-----");
        RsaPrivateKey::from_pkcs8_pem(pem)
            .or_else(|_| RsaPrivateKey::from_pkcs1_pem(pem).map_err(|_| ()))
            .map(Self)
            .map_err(|()| if is_public { RsaKeyError::Public } else { RsaKeyError::UnreadablePrivate })
    }

    /// The public half.
    ///
    /// # Errors
    /// [`RsaKeyError::Size`].
    pub fn verification_key(&self) -> Result<RsaVerificationKey, RsaKeyError> {
        RsaVerificationKey::of(self.0.as_ref())
    }
}

/// The method needs the other kind of key, or the RSA key is too short for its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this signature method needs {}", if *.0 { "an RSA private key" } else { "the client secret" })]
pub struct UnsuitableKey(bool);

/// Signs `base_string`: the value of `oauth_signature` before it is percent-encoded (RFC 5849 §3.4).
///
/// # Errors
/// [`UnsuitableKey`].
pub fn sign(
    method: SignatureMethod,
    base_string: &SignatureBaseString,
    key: &SigningKey<'_>,
) -> Result<String, UnsuitableKey> {
    let text = base_string.as_str().as_bytes();
    let octets = match (method, key) {
        (SignatureMethod::HmacSha1, SigningKey::Shared(secrets)) => mac_octets::<Hmac<Sha1>>(secrets, text),
        (SignatureMethod::HmacSha256, SigningKey::Shared(secrets)) => mac_octets::<Hmac<Sha256>>(secrets, text),
        (SignatureMethod::HmacSha512, SigningKey::Shared(secrets)) => mac_octets::<Hmac<Sha512>>(secrets, text),
        (SignatureMethod::Plaintext, SigningKey::Shared(secrets)) => return Ok(secrets.key().to_string()),
        (SignatureMethod::RsaSha1, SigningKey::Rsa(key)) => key.sign(SHA1_DIGEST_INFO, &Sha1::digest(text))?,
        (SignatureMethod::RsaSha256, SigningKey::Rsa(key)) => key.sign(SHA256_DIGEST_INFO, &Sha256::digest(text))?,
        (SignatureMethod::RsaSha512, SigningKey::Rsa(key)) => key.sign(SHA512_DIGEST_INFO, &Sha512::digest(text))?,
        (_, SigningKey::Shared(_) | SigningKey::Rsa(_)) => return Err(UnsuitableKey(method.is_rsa())),
    };
    Ok(STANDARD.encode(octets))
}

fn mac_octets<M: Mac + KeyInit>(secrets: &SharedSecrets<'_>, text: &[u8]) -> Vec<u8> {
    hmac::<M>(secrets.key().as_bytes(), text).map_or_else(Vec::new, |mac| mac.finalize().into_bytes().to_vec())
}

// DigestInfo prefixes of RFC 8017 §9.2, note 1. They are written out because rsa 0.9 knows only the hashes of an
// older generation by type.
const SHA1_DIGEST_INFO: &[u8] = b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14";
const SHA256_DIGEST_INFO: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
const SHA512_DIGEST_INFO: &[u8] = b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40";

impl RsaSigningKey {
    fn sign(&self, digest_info: &[u8], digest: &[u8]) -> Result<Vec<u8>, UnsuitableKey> {
        let padding = Pkcs1v15Sign { hash_len: Some(digest.len()), prefix: digest_info.into() };
        self.0.sign(padding, digest).map_err(|_| UnsuitableKey(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::base_string::BaseStringUri;
    use crate::protocol::parameters::{Parameters, Source};
    use crate::protocol::request::{Headers, ReceivedRequest, Sent, UriScheme};
    use crate::time::Timestamp;
    use proptest::prelude::*;

    const SECRETS: SharedSecrets<'_> = SharedSecrets { client: "kd94hf93k423kf44", token: "pfkkdhi9sl3r4s00" };

    fn base_string() -> SignatureBaseString {
        SignatureBaseString::new("GET", &BaseStringUri::new(UriScheme::Http, "h", "/"), &Parameters::default())
    }

    #[test]
    fn what_each_shared_secret_method_signs_it_verifies() {
        for method in SignatureMethod::ALL.into_iter().filter(|method| !method.is_rsa()) {
            let signature = sign(method, &base_string(), &SigningKey::Shared(SECRETS)).unwrap();
            assert!(verify(method, &base_string(), VerificationKey::Shared(SECRETS), &signature).is_ok(), "{method}");
        }
    }

    #[test]
    fn another_secret_another_text_or_another_method_is_a_mismatch() {
        let signature = sign(SignatureMethod::HmacSha1, &base_string(), &SigningKey::Shared(SECRETS)).unwrap();
        let other = SharedSecrets { client: "x", ..SECRETS };
        let verified = verify(SignatureMethod::HmacSha1, &base_string(), VerificationKey::Shared(other), &signature);
        assert_eq!(verified.unwrap_err(), SignatureMismatch);
        let verified =
            verify(SignatureMethod::HmacSha256, &base_string(), VerificationKey::Shared(SECRETS), &signature);
        assert_eq!(verified.unwrap_err(), SignatureMismatch);
    }

    #[test]
    fn text_that_is_no_base64_is_a_mismatch() {
        for presented in ["", "=", "a b", "\u{e4}"] {
            let key = VerificationKey::Shared(SECRETS);
            assert!(verify(SignatureMethod::HmacSha1, &base_string(), key, presented).is_err(), "{presented}");
        }
    }

    #[test]
    fn a_signature_may_be_broken_into_lines() {
        let signature = sign(SignatureMethod::HmacSha512, &base_string(), &SigningKey::Shared(SECRETS)).unwrap();
        let broken = format!("{}\r\n{}\n", &signature[..76], &signature[76..]);
        let key = VerificationKey::Shared(SECRETS);
        assert!(verify(SignatureMethod::HmacSha512, &base_string(), key, &broken).is_ok());
    }

    #[test]
    fn plaintext_is_both_secrets_encoded_and_joined() {
        let secrets = SharedSecrets { client: "djr9rjt0jd78jf88", token: "jjd99$tj88uiths3" };
        let signature = sign(SignatureMethod::Plaintext, &base_string(), &SigningKey::Shared(secrets)).unwrap();
        assert_eq!(signature, "djr9rjt0jd78jf88&jjd99%24tj88uiths3");
    }

    #[test]
    fn a_shared_secret_never_verifies_an_rsa_method() {
        let key = VerificationKey::Shared(SECRETS);
        assert!(verify(SignatureMethod::RsaSha1, &base_string(), key, "").is_err());
        assert!(sign(SignatureMethod::RsaSha1, &base_string(), &SigningKey::Shared(SECRETS)).is_err());
    }

    #[test]
    fn without_a_client_secret_nothing_verifies() {
        let secrets = SharedSecrets { client: "", token: "pfkkdhi9sl3r4s00" };
        for method in SignatureMethod::ALL.into_iter().filter(|method| !method.is_rsa()) {
            let signature = sign(method, &base_string(), &SigningKey::Shared(secrets)).unwrap();
            assert!(verify(method, &base_string(), VerificationKey::Shared(secrets), &signature).is_err(), "{method}");
        }
    }

    /// The vectors that sign any text, as only this file can (`kind` is `mac`); the rest is in `tests/suite/vectors.rs`.
    #[test]
    fn the_published_macs_hold() {
        let file = include_str!("../../tests/vectors/oauth-test-cases.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        let macs: Vec<_> =
            file["vectors"].as_array().unwrap().iter().filter(|vector| vector["kind"] == "mac").collect();
        assert_eq!(macs.len(), 3);
        for vector in macs {
            let text = |name: &str| vector[name].as_str().unwrap();
            let secret = |place: usize| vector["secrets"][place].as_str().unwrap();
            let key = SigningKey::Shared(SharedSecrets { client: secret(0), token: secret(1) });
            let base_string = SignatureBaseString::of_text(text("base_string").to_owned());
            let signature = sign(text("signature_method").parse().unwrap(), &base_string, &key).unwrap();
            assert_eq!(signature, text("signature"), "{}", text("name"));
        }
    }

    #[test]
    fn a_private_key_and_other_text_are_no_public_key() {
        let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        assert_eq!(RsaVerificationKey::from_pem(private).err(), Some(RsaKeyError::Private));
        assert_eq!(RsaVerificationKey::from_pem("ssh-rsa AAAA").err(), Some(RsaKeyError::Unreadable));
    }
    proptest! {
        /// A client that knows only meanings signs; the server sees only the text that travelled.
        #[test]
        fn what_is_signed_verifies_in_the_header_the_query_and_the_body(
            place in prop::sample::select(vec![Source::Header, Source::Query, Source::Body]),
            method in prop::sample::select(vec![SignatureMethod::HmacSha1, SignatureMethod::HmacSha512]),
            pairs in prop::collection::vec((any::<String>(), any::<String>()), 0..6),
            client in "\\PC{1,12}", token in "\\PC{0,12}",
        ) {
            let mut meant = Parameters::default();
            let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (format!("p{name}"), value)).collect();
            pairs.iter().for_each(|(name, value)| meant.add_decoded(name, value, place));
            let uri = BaseStringUri::new(UriScheme::Https, "h", "/");
            let key = SharedSecrets { client: &client, token: &token };
            let signature = sign(method, &SignatureBaseString::new("POST", &uri, &meant), &SigningKey::Shared(key)).unwrap();

            let join = |quote: &str, comma: &str| {
                let pair = |(name, value): &(String, String)| {
                    format!("{}={quote}{}{quote}", encoding::encode(name), encoding::encode(value))
                };
                pairs.iter().map(pair).collect::<Vec<_>>().join(comma)
            };
            let (header, form) = (format!("OAuth realm=\"r\", {}", join("\"", ", ")), join("", "&").replace("%20", "+"));
            let request = ReceivedRequest {
                method: "POST",
                scheme: UriScheme::Https,
                authority: "H:443",
                path: "",
                query: (place == Source::Query).then_some(&form),
                headers: Headers {
                    authorization: if place == Source::Header { Sent::Once(&header) } else { Sent::Never },
                    content_type: Some("application/x-www-form-urlencoded"),
                    ..Headers::default()
                },
                body: (place == Source::Body).then_some(form.as_bytes()),
                client_address: [127, 0, 0, 1].into(),
                arrived: Timestamp::from_unix(0),
            };
            let received = SignatureBaseString::of(&request, &Parameters::collect(&request).unwrap());
            prop_assert!(verify(method, &received, VerificationKey::Shared(key), &signature).is_ok(), "{}", received);
            let other = SharedSecrets { token: "other secret", ..key };
            prop_assert!(verify(method, &received, VerificationKey::Shared(other), &signature).is_err());
        }
    }

    #[test]
    fn a_public_key_of_8192_bits_is_taken() {
        assert_eq!(RsaVerificationKey::from_pem(PUBLIC_8192).map(|key| key.bits()).ok(), Some(8192));
    }

    const PUBLIC_8192: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIEIjANBgkqhkiG9w0BAQEFAAOCBA8AMIIECgKCBAEAreHqmTQZdOs8PM5Um1KA\n\
Pe5IbqOudtILXOkHN/hTwdpYDYFNspk3oqM0u2htiCikCjtwmo6AHRKMNKTVAvM/\n\
wozftneblg6HuJv40OPHdapGUzR6k7/j90ZHtxpDDILNsuN4Vf6S0t784RXrotV8\n\
BrWvUdo75RBL6QYeZ8CDH+H7nUG4h89pvnYUQpAWyCU0ZiFHIcsOSoetCigtRcE+\n\
t+fp7+Dl0651Y5MKIGVXh/S+cMEEYBKkRhBdI5YhVi/ZUrXE/3mieM8f9fZHd6+h\n\
NAxT3606hGCwc/fvgenmJMC10wZJ8Z0FvPfyrnekvvt8jCJjF+tAv3RJ8ZCAaOej\n\
a5Rxt4kmhVZAe8210q4qTn1BnlJAVd4eAHBOHVyLxEcSMjKnBvLNlRdp0fuASoPE\n\
a7u1fBANPIesVZtuNoYNMnbHMrlT53UJxqiPbiZ78vT8R1sBIsi2PRGjA6+m/1Z6\n\
mF7rt1iiI0U39SArHtlJQRHxQY9KvUIlqro8GPhtbhl1xE02yCzHDihqDuCMQOf/\n\
wi0RwAj9UKY0bA1CpIqnjIO/GEbkUMgdmcWJAv418tnjQZRrhneVgbbWECmjDbCK\n\
D032sqjHARUHWgA9oLWgpS0wGoXZIoo8PuvN+aNIM7nYFKPSXMY2E4tWZ0kyBLsS\n\
4VwZKcc+nnqsQHFiwn0ubnRv0RlKceGNOIibV4Hi4fq4s+TAFWPRfe1GtNuKX+bh\n\
fMfvx1H+cBO+mqsUcV3+8MKUV0ZtBE3KTWjnYDVebw61/SCQw7gVB9pbwlSa5KsK\n\
Bv2Z7v+gzpJpKctvkpRQmIfiDGavYuN9iRs+aI+QU9NgKFrRNqXTmgjgoBX/8s/0\n\
sGdhO8utBBV3L5OK7JiUAhri6FTndB93cZ0H+YNB9zrzksYAAhMba9AgY55v77tx\n\
l1V0Itq4DsKmjPdBGmRJ2ytoBkcels8odzM1+BbA8+caVAMS8SKpfiGBh+f3v+hz\n\
2pe+8VLKHmn4fQGVvm5onmMzk2YmwQMV0WsgwbD1BaIP1/SJzYP9AGNxSkxjE+xk\n\
oG9/BRDfmKbnNBHNcZTQ+Z4f0x+C0n7UCXOZ8Vrnp9GrOSTUq9qkkj+0V63ExLnS\n\
Ly5iCnwMoAn8lhgOduG9CfxXjjYCBfGhFcb0SHjVzzGohwp8KCu74GIGKqL7uMML\n\
yFTXFsUWZomez3sHworAdEywo3+wgOzWLNbIt3EWhGxhs1LOu41aVxKXhdgD9y54\n\
AsUqMd+aTObOU3XHUIJsbm27tGXPWdUgPGiGLwJJdzV7OWsY7BawWnpTAnyEv/ab\n\
xgvwoA4Qob9aV2wDdQfQGDdmypepXfva6fNTD2OM3VFfoDokYtdBsogg4EPNF220\n\
LQIDAQAB\n\
-----END PUBLIC KEY-----";
}
