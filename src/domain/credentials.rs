//! Secrets, identifiers and how they are made (RFC 5849 §1.1, §4.8: unguessable).
//!
//! Everything that is generated uses letters and digits only, so that it survives every client library,
//! shell and form without escaping. This file seals nothing and stores nothing.

use std::borrow::Borrow;
use std::fmt;

use rand::CryptoRng;
use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Text that must not be seen: no `Debug`, no `Display`, no serde; wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// A new secret of 43 letters and digits: 256 bits.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Zeroizing::new(alphanumeric(rng, 43)))
    }

    /// The text itself. Each call is a place where the secret leaves its shell.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this secret, in a time that depends on the lengths alone.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(presented).into()
    }

    /// The SHA-256 of the text, for secrets that are only ever compared.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

/// How long a password is that somebody chooses on a page, in characters. The command line and the API take shorter ones.
pub const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 8..=1024;

/// Why a text can't be one of our identifiers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing was given.
    #[error("{what} is empty")]
    Empty { what: &'static str },
    /// More bytes than are stored.
    #[error("{what} is longer than {limit} bytes")]
    TooLong { what: &'static str, limit: usize },
    /// A character that would be misread in a header, a URL or a Basic credential.
    #[error("{what} can't contain {character:?}")]
    Character { what: &'static str, character: char },
    /// White space at an end is invisible and would make two names look the same.
    #[error("{what} can't begin or end with white space")]
    Padded { what: &'static str },
    /// Not put together as it must be.
    #[error("{what} is written {shape}")]
    Shape { what: &'static str, shape: &'static str },
}

/// Checks the length in bytes and each character.
fn check(what: &'static str, text: &str, limit: usize, admits: impl Fn(char) -> bool) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty { what });
    }
    if text.len() > limit {
        return Err(InvalidName::TooLong { what, limit });
    }
    if let Some(character) = text.chars().find(|&character| !admits(character)) {
        return Err(InvalidName::Character { what, character });
    }
    if text.trim() != text {
        return Err(InvalidName::Padded { what });
    }
    Ok(())
}

/// One line of text for people: 1 to `limit` bytes, any script, no control characters, nothing that can't be seen or turns
/// the text around it, not padded.
pub fn check_line(what: &'static str, text: &str, limit: usize) -> Result<(), InvalidName> {
    check(what, text, limit, |character| !character.is_control() && !disguises(character))
}

/// Whether a character makes a name look like another, or like none: zero-width spaces and joiners of words, fillers, marks and
/// embeddings of direction, tags (Unicode's Default_Ignorable_Code_Point, and the blank of Braille). Not U+200C, U+200D
/// and the variation selectors, which some scripts and pictures are written with.
const fn disguises(character: char) -> bool {
    matches!(
        character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180E}'
            | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}'
            | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E00FF}'
    )
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal, $generated:literal, $admits:expr) => {
        identifier!($(#[$doc])* $name, $what, $limit, $admits);

        impl $name {
            #[doc = concat!("A new one of ", stringify!($generated), " letters and digits.")]
            pub fn generate(rng: &mut impl CryptoRng) -> Self {
                Self(alphanumeric(rng, $generated))
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal, $admits:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Checks and takes 1 to ", stringify!($limit), " bytes.")]
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                check($what, &text, $limit, $admits)?;
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }
    };
}

fn visible(character: char) -> bool {
    character.is_ascii_graphic()
}

fn company_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

identifier!(
    /// The client identifier, `oauth_consumer_key` on the wire (RFC 5849 §3.1). Visible ASCII; case counts.
    ClientKey, "a client key", 255, 24, visible
);
identifier!(
    /// The public half of an API key. No `:` or `+`, because it stands where a username stands.
    PublicKey, "a public key", 128, 24,
    |character| visible(character) && character != ':' && character != '+'
);
identifier!(
    /// The opaque id of an account. No `:` or `+`, because it stands where a username stands.
    AccountId, "an account id", 64, 20,
    |character| visible(character) && !matches!(character, ':' | '+' | '/')
);
identifier!(
    /// The short id of a company, such as `acme`: letters, digits, `.`, `_` and `-`.
    CompanyId, "a company id", 64, company_character
);
identifier!(
    /// What a token is listed and revoked by; tells nothing about the token itself.
    TokenId, "a token id", 64, 20, company_character
);
identifier!(
    /// The id of a grant.
    GrantId, "a grant id", 64, 20, company_character
);
identifier!(
    /// The id of a session.
    SessionId, "a session id", 64, 20, company_character
);
identifier!(
    /// What an account logs in with: any UTF-8 without `:` (RFC 7617 §2) and control characters. Case counts.
    Username, "a username", 255,
    |character| character != ':' && !character.is_control()
);

impl Username {
    /// The two halves around the first `+`, if this may be read as `company+username`.
    ///
    /// `acme+jo+x` gives (`acme`, `jo+x`); `acme+` and `+jo` give nothing.
    pub fn split_company(text: &str) -> Option<(&str, &str)> {
        text.split_once('+').filter(|(company, rest)| !company.is_empty() && !rest.is_empty())
    }
}

/// The SHA-256 of a token's text: what a token is looked up by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hashes the token as the client sends it.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// From the 32 bytes as stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hex digits.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From 64 hex digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        let mut bytes = [0_u8; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = hex.get(index * 2..index * 2 + 2)?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// The end of a token or key by which its owner recognises it in a list: the last four characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hint(String);

impl Hint {
    /// The last four characters of `text`; nothing of a text so short that four would give it away.
    pub fn of(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let shown = if characters.len() < 12 { 0 } else { 4 };
        Self(characters.iter().skip(characters.len() - shown).collect())
    }

    /// As it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text, 0 or 4 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A new token, 32 letters and digits: 190 bits (RFC 5849 §4.8).
pub fn generate_token(rng: &mut impl CryptoRng) -> Secret {
    Secret::new(alphanumeric(rng, 32))
}

/// A new verifier, 24 letters and digits: 142 bits (RFC 5849 §2.2).
pub fn generate_verifier(rng: &mut impl CryptoRng) -> Secret {
    Secret::new(alphanumeric(rng, 24))
}

fn alphanumeric(rng: &mut impl CryptoRng, length: usize) -> String {
    Alphanumeric.sample_string(rng, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_matches_itself_alone() {
        let secret = Secret::new("kd94hf93k423kf44");
        assert!(secret.matches(b"kd94hf93k423kf44"));
        assert!(!secret.matches(b"kd94hf93k423kf45"));
        assert!(!secret.matches(b"kd94hf93k423kf4"));
        assert!(!secret.matches(b""));
    }

    #[test]
    fn generated_values_have_their_length_and_alphabet_and_differ() {
        let mut rng = rand::rng();
        let first = Secret::generate(&mut rng);
        let second = Secret::generate(&mut rng);
        assert_eq!(first.expose().len(), 43);
        assert!(first.expose().chars().all(|c| c.is_ascii_alphanumeric()));
        assert!(!first.matches(second.expose().as_bytes()));
        assert_eq!(generate_token(&mut rng).expose().len(), 32);
        assert_eq!(generate_verifier(&mut rng).expose().len(), 24);
        assert_eq!(ClientKey::generate(&mut rng).as_str().len(), 24);
    }

    #[test]
    fn a_username_holds_an_address_and_any_script_but_no_colon() {
        assert!(Username::parse("jo+x@example.com").is_ok());
        assert!(Username::parse("Jürgen 東").is_ok());
        assert!(matches!(Username::parse("a:b"), Err(InvalidName::Character { character: ':', .. })));
        assert!(matches!(Username::parse(""), Err(InvalidName::Empty { .. })));
        assert!(matches!(Username::parse(" jo"), Err(InvalidName::Padded { .. })));
        assert!(Username::parse("a\0b").is_err());
        assert!(matches!(Username::parse("x".repeat(256)), Err(InvalidName::TooLong { limit: 255, .. })));
    }

    #[test]
    fn a_name_for_people_holds_nothing_that_disguises_it() {
        let checked = |text: &str| check_line("a name", text, 200);
        for text in [
            "Photos\u{202E}",
            "Pho\u{200B}tos",
            "\u{2066}Photos",
            "Pho\u{AD}tos",
            "\u{3164}",
            "Pho\u{34F}tos",
            "\u{61C}Photos",
            "Pho\u{E0041}tos",
            "a\nb",
        ] {
            assert!(matches!(checked(text), Err(InvalidName::Character { .. })), "{text:?}");
        }
        for text in ["عکس\u{200C}ها", "👩\u{200D}🚀", "Jürgen 東", "葛\u{E0100}城"] {
            assert_eq!(checked(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn a_company_is_split_off_at_the_first_plus() {
        assert_eq!(Username::split_company("acme+jo+x"), Some(("acme", "jo+x")));
        assert_eq!(Username::split_company("acme+"), None);
        assert_eq!(Username::split_company("+jo"), None);
        assert_eq!(Username::split_company("jo"), None);
    }

    #[test]
    fn a_public_key_can_not_be_read_as_company_and_name() {
        assert!(PublicKey::parse("acme+key").is_err());
        assert!(PublicKey::parse("a:b").is_err());
        assert!(PublicKey::parse("AKIA123").is_ok());
    }

    #[test]
    fn a_token_hash_survives_hex() {
        let hash = TokenHash::of("hh5s93j4hdidpola");
        assert_eq!(TokenHash::from_hex(&hash.to_hex()), Some(hash));
        assert_eq!(TokenHash::from_hex("zz"), None);
        assert_eq!(TokenHash::from_hex(&"é".repeat(32)), None);
    }

    #[test]
    fn a_hint_shows_four_characters_of_a_long_text_only() {
        assert_eq!(Hint::of("hh5s93j4hdidpola").as_str(), "pola");
        assert_eq!(Hint::of("short").as_str(), "");
    }
}
