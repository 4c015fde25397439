//! The Basic scheme (RFC 7617): a user-id and a password, joined by a colon, in base64.
//!
//! It takes the credentials apart. Who the user-id is, and whether the password is good, is decided elsewhere.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;
use zeroize::Zeroizing;

/// Standard alphabet; clients that leave the padding out are understood.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why the text behind `Basic` is no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{}", self.advice())]
pub enum BasicError {
    /// RFC 7617 §2: token68 in base64.
    Base64,
    /// RFC 7617 §2.1: we say charset="UTF-8".
    Utf8,
    /// RFC 7617 §2: user-id and password are joined by a colon.
    Colon,
}

impl BasicError {
    /// What to change, as a sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Base64 => "Basic credentials must be base64: encode username:password and send it behind \"Basic \".",
            Self::Utf8 => "Basic credentials must be UTF-8 text.",
            Self::Colon => "Basic credentials need a colon between username and password, before they are encoded.",
        }
    }
}

/// A user-id and a password as they were sent.
pub struct BasicCredentials {
    text: Zeroizing<String>,
    colon: usize,
}

impl BasicCredentials {
    /// Reads the text behind the scheme.
    ///
    /// ```
    /// use countersign::protocol::basic::BasicCredentials;
    /// let credentials = BasicCredentials::parse("QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
    /// assert_eq!((credentials.user_id(), credentials.password()), ("Aladdin", "open sesame"));
    /// ```
    ///
    /// # Errors
    /// [`BasicError`].
    pub fn parse(token68: &str) -> Result<Self, BasicError> {
        let octets = BASE64.decode(token68.trim()).map_err(|_| BasicError::Base64)?;
        let text = Zeroizing::new(String::from_utf8(octets).map_err(|_| BasicError::Utf8)?);
        let colon = text.find(':').ok_or(BasicError::Colon)?;
        Ok(Self { text, colon })
    }

    /// All before the first colon; never percent-decoded.
    pub fn user_id(&self) -> &str {
        self.text.get(..self.colon).unwrap_or_default()
    }

    /// All behind the first colon; further colons belong to it.
    pub fn password(&self) -> &str {
        self.text.get(self.colon + 1..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(String, String), BasicError> {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        BasicCredentials::parse(&encoded).map(|it| (it.user_id().to_owned(), it.password().to_owned()))
    }

    #[test]
    fn the_example_of_section_2_1_is_utf_8() {
        let credentials = BasicCredentials::parse("dGVzdDoxMjPCow==").unwrap();
        assert_eq!((credentials.user_id(), credentials.password()), ("test", "123\u{a3}"));
    }

    #[test]
    fn the_password_holds_all_behind_the_first_colon() {
        assert_eq!(parsed("jo+x@example.com:a:b:").unwrap(), ("jo+x@example.com".into(), "a:b:".into()));
        assert_eq!(parsed(":").unwrap(), (String::new(), String::new()));
    }

    #[test]
    fn padding_may_be_missing_and_broken_text_is_named() {
        assert!(BasicCredentials::parse("QWxhZGRpbjpvcGVuIHNlc2FtZQ").is_ok());
        assert_eq!(BasicCredentials::parse("!").err(), Some(BasicError::Base64));
        assert_eq!(BasicCredentials::parse("/w==").err(), Some(BasicError::Utf8));
        assert_eq!(parsed("nocolon").err(), Some(BasicError::Colon));
    }
}
