//! The form of `oauth_signature`: base64 (RFC 5849 §3.4.2, §3.4.3) of as many octets as the method makes. It is looked
//! at before anything is computed: what is wrong with it is certain, and the octets, where they can be had, are
//! explained as if they had come in the right form.
//!
//! A signature that was cut short is never compared with the beginning of the right one: who may ask often could guess
//! it octet by octet.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::mistakes::Mistake;
use super::rebuilding::decode_freely;
use crate::protocol::signature::{
    Opened, RsaVerificationKey, SharedSecrets, SignatureMethod, VerificationKey, reproduces,
};

/// Base64 without its padding, also where it was cut within an octet.
const LOOSE: GeneralPurpose = {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&alphabet::STANDARD, config.with_decode_padding_mode(DecodePaddingMode::RequireNone))
};

/// What the octets of a signature are.
pub enum Made {
    /// The secrets themselves.
    Plaintext,
    /// Those of this HMAC method, in base64.
    Mac(SignatureMethod, String),
    /// The hash that was signed with the right key.
    Hash(SignatureMethod, Vec<u8>),
}

/// A signature by its form.
#[derive(Default)]
pub struct Form {
    /// What is wrong with it.
    pub mistakes: Vec<Mistake>,
    /// None: no base string can be found that makes it.
    pub made: Option<Made>,
}

/// The octets that HMAC makes, with SHA-1, SHA-256 and SHA-512.
const MACS: [(usize, SignatureMethod); 3] =
    [(20, SignatureMethod::HmacSha1), (32, SignatureMethod::HmacSha256), (64, SignatureMethod::HmacSha512)];
/// The octets that RSA makes with keys of the usual sizes.
const RSA: [usize; 5] = [128, 256, 384, 512, 1024];

impl Form {
    /// Of `presented`, the decoded `oauth_signature`.
    pub fn of(method: SignatureMethod, key: VerificationKey<'_>, right_key: &str, presented: &str) -> Self {
        match (method, key) {
            // With the empty secret of a client that has none, anybody's signature would seem right.
            (_, VerificationKey::Shared(SharedSecrets { client: "", token: _ })) => Self::default(),
            (SignatureMethod::Plaintext, _) => Self { mistakes: Vec::new(), made: Some(Made::Plaintext) },
            (_, VerificationKey::Shared(_)) if method.is_rsa() => Self::default(),
            (_, VerificationKey::Shared(_)) if reproduces(SignatureMethod::Plaintext, "", right_key, presented) => {
                Self { mistakes: vec![Mistake::OtherSignatureMethod], made: None }
            }
            (_, VerificationKey::Shared(_)) => {
                let mut form = Self::default();
                form.made = form.read(presented, is_of_mac).and_then(|octets| form.of_mac(method, &octets));
                form
            }
            (_, VerificationKey::Rsa(key)) => {
                let mut form = Self::default();
                let octets = form.read(presented, |length| length == octets_of(key));
                form.made = octets.and_then(|octets| form.of_rsa(method, key, &octets));
                form
            }
        }
    }

    /// The octets, out of whatever they were written in.
    fn read(&mut self, presented: &str, is_right: impl Fn(usize) -> bool) -> Option<Vec<u8>> {
        // RFC 2045 §6.8 lets base64 be broken into lines.
        let mut text = presented.replace(['\r', '\n'], "");
        if text.contains('%') {
            self.mistakes.push(Mistake::DoubleEncoded);
            text = decode_freely(&text);
        }
        if text.contains(' ') {
            self.mistakes.push(Mistake::SignatureNotEncoded);
            text = text.replace(' ', "+");
        }
        let of_hex = |text: &[u8]| of_hex(text).filter(|octets| is_right(octets.len()));
        let strict = STANDARD.decode(&text).ok();
        if let Some(octets) = of_hex(text.as_bytes()).or_else(|| of_hex(strict.as_deref()?)) {
            self.mistakes.push(Mistake::SignatureInHex);
            return Some(octets);
        }
        if strict.is_some() {
            return strict;
        }
        let letters = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
        // One letter over four holds no octet.
        let whole = if letters.len() % 4 == 1 { letters.split_at_checked(letters.len() - 1) } else { None };
        let loose = LOOSE.decode(whole.map_or(letters.as_str(), |(whole, _)| whole)).ok();
        // Of another length, it is the length that is told.
        if loose.as_ref().is_none_or(|octets| is_right(octets.len())) {
            self.mistakes.push(Mistake::SignatureNotBase64);
        }
        loose
    }

    fn of_mac(&mut self, method: SignatureMethod, octets: &[u8]) -> Option<Made> {
        let Some((_, by)) = MACS.iter().find(|(length, _)| *length == octets.len()) else {
            let of_rsa = RSA.contains(&octets.len());
            self.mistakes.push(if of_rsa { Mistake::OtherSignatureMethod } else { Mistake::SignatureLengthWrong });
            return None;
        };
        if *by != method {
            self.mistakes.push(Mistake::OtherSignatureMethod);
        }
        Some(Made::Mac(*by, STANDARD.encode(octets)))
    }

    fn of_rsa(&mut self, method: SignatureMethod, key: &RsaVerificationKey, octets: &[u8]) -> Option<Made> {
        let mistake = match key.open(octets) {
            Opened::Hash(by, hash) => {
                if by != method {
                    self.mistakes.push(Mistake::OtherSignatureMethod);
                }
                return Some(Made::Hash(by, hash));
            }
            Opened::OtherHash => Mistake::OtherSignatureMethod,
            Opened::Nothing if octets.len() == octets_of(key) || RSA.contains(&octets.len()) => Mistake::OtherRsaKey,
            Opened::Nothing if is_of_mac(octets.len()) => Mistake::OtherSignatureMethod,
            Opened::Nothing => Mistake::SignatureLengthWrong,
        };
        self.mistakes.push(mistake);
        None
    }
}

fn is_of_mac(length: usize) -> bool {
    MACS.iter().any(|(of_mac, _)| *of_mac == length)
}

const fn octets_of(key: &RsaVerificationKey) -> usize {
    key.bits().div_ceil(8)
}

/// The octets of a text in hexadecimal digits.
fn of_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    let octets = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { octets.collect() } else { None }
}
