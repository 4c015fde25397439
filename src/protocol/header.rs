//! Grammar of `Authorization` and `WWW-Authenticate` (RFC 9110 §11): scheme, parameters with duplicates kept, challenges.
//!
//! It takes text apart and puts it together. It does not decode percent-escapes ([`super::parameters`] does) and
//! judges nothing.

use std::borrow::Cow;
use std::fmt::Write as _;

use thiserror::Error;

/// What is wrong with the text of an `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// RFC 9110 §11.6.2: an auth-param is `name=value` or `name="value"`.
    #[error("the Authorization header has a parameter without '='")]
    ParameterWithoutValue,
    /// RFC 9110 §5.6.4.
    #[error("the Authorization header has a quoted value that does not end")]
    UnterminatedQuote,
    /// RFC 9110 §5.6.1: list elements are separated by commas.
    #[error("the Authorization header needs a comma between its parameters")]
    MissingComma,
    /// Octets that are no UTF-8.
    #[error("the Authorization header is not valid UTF-8 text")]
    NotText,
    /// RFC 9110 §5.3: no list, so it may stand once.
    #[error("there is more than one Authorization header: send one")]
    Repeated,
}

/// One `Authorization` header, cut into its scheme and the rest (RFC 9110 §11.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// As it was sent; compare without regard to case.
    pub scheme: &'a str,
    /// All behind the scheme and its spaces.
    pub rest: &'a str,
}

/// Whether it is a token: a method, or the name of a header (RFC 9110 §5.6.2).
pub fn is_token(text: &str) -> bool {
    let is_tchar = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    !text.is_empty() && text.bytes().all(is_tchar)
}

impl<'a> Credentials<'a> {
    /// Cuts behind the scheme: `OAuth realm="x"` gives `OAuth` and `realm="x"`.
    pub fn parse(header: &'a str) -> Self {
        let header = header.trim_matches([' ', '\t']);
        let (scheme, rest) = header.split_once([' ', '\t']).unwrap_or((header, ""));
        Self { scheme, rest: rest.trim_start_matches([' ', '\t']) }
    }

    /// Whether this is the scheme `name`, in any case (RFC 9110 §11.1).
    pub fn is(&self, name: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(name)
    }

    /// The auth-params in the order sent, duplicates kept.
    pub const fn parameters(&self) -> AuthParameters<'a> {
        AuthParameters { rest: self.rest, first: true }
    }
}

/// One `name=value` of a header. The quotes are gone, percent-escapes are still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthParameter<'a> {
    /// As it was sent.
    pub name: &'a str,
    /// Without quotes and quoted-pairs.
    pub value: Cow<'a, str>,
}

/// Iterates over auth-params; see [`Credentials::parameters`].
///
/// ```
/// use countersign::protocol::header::Credentials;
/// let header = Credentials::parse(r#"OAuth realm="Photos", oauth_consumer_key="dpf43f3p2l4k3l03""#);
/// let names: Vec<_> = header.parameters().map(|parameter| parameter.unwrap().name).collect();
/// assert_eq!(names, ["realm", "oauth_consumer_key"]);
/// ```
#[derive(Clone, Debug)]
pub struct AuthParameters<'a> {
    rest: &'a str,
    first: bool,
}

impl<'a> Iterator for AuthParameters<'a> {
    type Item = Result<AuthParameter<'a>, HeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        let listed = self.rest.trim_start_matches([' ', '\t']);
        // Empty list elements are allowed (RFC 9110 §5.6.1.2), a missing comma is not.
        let start = listed.trim_start_matches([' ', '\t', ',']);
        if start.is_empty() {
            self.rest = "";
            return None;
        }
        if !self.first && start.len() == listed.len() {
            self.rest = "";
            return Some(Err(HeaderError::MissingComma));
        }
        self.first = false;
        let parsed = parse_parameter(start);
        self.rest = parsed.as_ref().map_or("", |(_, rest)| rest);
        Some(parsed.map(|(parameter, _)| parameter))
    }
}

fn parse_parameter(text: &str) -> Result<(AuthParameter<'_>, &str), HeaderError> {
    let (name, behind) = split_before(text, |octet| matches!(octet, b'=' | b',' | b'"' | b' ' | b'\t'));
    let behind = behind.trim_start_matches([' ', '\t']).strip_prefix('=').ok_or(HeaderError::ParameterWithoutValue)?;
    if name.is_empty() {
        return Err(HeaderError::ParameterWithoutValue);
    }
    let behind = behind.trim_start_matches([' ', '\t']);
    let (value, rest) = match behind.strip_prefix('"') {
        Some(quoted) => parse_quoted(quoted)?,
        None => {
            let (value, rest) = split_before(behind, |octet| matches!(octet, b',' | b' ' | b'\t'));
            (Cow::Borrowed(value), rest)
        }
    };
    Ok((AuthParameter { name, value }, rest))
}

/// Cuts before the first octet that is `wanted`, which must be an ASCII one; the second half is empty without it.
fn split_before(text: &str, wanted: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(wanted).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The quoted-string that begins behind its opening quote (RFC 9110 §5.6.4), and what follows the closing one.
fn parse_quoted(quoted: &str) -> Result<(Cow<'_, str>, &str), HeaderError> {
    let (plain, mut rest) = split_before(quoted, |octet| matches!(octet, b'"' | b'\\'));
    if let Some(behind) = rest.strip_prefix('"') {
        return Ok((Cow::Borrowed(plain), behind));
    }
    let mut value = String::from(plain);
    loop {
        let mut characters = rest.chars();
        match characters.next().ok_or(HeaderError::UnterminatedQuote)? {
            '"' => return Ok((Cow::Owned(value), characters.as_str())),
            '\\' => value.push(characters.next().ok_or(HeaderError::UnterminatedQuote)?),
            plain => value.push(plain),
        }
        rest = characters.as_str();
    }
}

/// One challenge of a 401 (RFC 9110 §11.6.1), written parameter by parameter.
///
/// ```
/// use countersign::protocol::header::Challenge;
/// let challenge = Challenge::new("Basic").quoted("realm", "Countersign").quoted("charset", "UTF-8");
/// assert_eq!(challenge.to_string(), r#"Basic realm="Countersign", charset="UTF-8""#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// A challenge of that scheme, without parameters yet.
    pub fn new(scheme: &str) -> Self {
        Self(scheme.to_owned())
    }

    /// Adds `name="value"`; control characters, which no header may hold, are left out.
    #[must_use]
    pub fn quoted(mut self, name: &str, value: &str) -> Self {
        self.separate();
        let _ = write!(self.0, "{name}=\"");
        for character in value.chars().filter(|character| !character.is_control()) {
            if matches!(character, '"' | '\\') {
                self.0.push('\\');
            }
            self.0.push(character);
        }
        self.0.push('"');
        self
    }

    /// Adds `name=value`, for parameters that RFC 7616 §3.3 wants without quotes.
    #[must_use]
    pub fn token(mut self, name: &str, value: &str) -> Self {
        self.separate();
        let _ = write!(self.0, "{name}={value}");
        self
    }

    fn separate(&mut self) {
        self.0.push_str(if self.0.contains(' ') { ", " } else { " " });
    }
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameters(header: &str) -> Result<Vec<(String, String)>, HeaderError> {
        Credentials::parse(header)
            .parameters()
            .map(|parameter| parameter.map(|parameter| (parameter.name.to_owned(), parameter.value.into_owned())))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_scheme_is_compared_without_regard_to_case() {
        assert!(Credentials::parse("oAuTh realm=\"x\"").is("OAuth"));
        assert!(!Credentials::parse("OAuth2 x").is("OAuth"));
        assert_eq!(Credentials::parse("Basic").rest, "");
    }

    #[test]
    fn values_come_quoted_or_bare_with_any_white_space_around_them() {
        assert_eq!(
            parameters("OAuth a=\"1\",b=2 ,\t c = \"3\"").unwrap(),
            pairs(&[("a", "1"), ("b", "2"), ("c", "3")])
        );
    }

    #[test]
    fn duplicates_and_empty_values_are_kept() {
        assert_eq!(parameters("OAuth a=\"\",a=\"1\",a=").unwrap(), pairs(&[("a", ""), ("a", "1"), ("a", "")]));
    }

    #[test]
    fn empty_list_elements_are_passed_over() {
        assert_eq!(parameters("OAuth , a=1,, b=2,").unwrap(), pairs(&[("a", "1"), ("b", "2")]));
        assert_eq!(parameters("OAuth").unwrap(), pairs(&[]));
    }

    #[test]
    fn quoted_pairs_and_commas_inside_quotes_belong_to_the_value() {
        assert_eq!(
            parameters(r#"OAuth realm="a \"b\", c\\", x=1"#).unwrap(),
            pairs(&[("realm", r#"a "b", c\"#), ("x", "1")])
        );
    }

    #[test]
    fn raw_base64_in_a_value_stays_as_it_was_sent() {
        assert_eq!(
            parameters("OAuth oauth_signature=\"tR3+Ty81lMeYAr/Fid0kMTYa/WM=\"").unwrap(),
            pairs(&[("oauth_signature", "tR3+Ty81lMeYAr/Fid0kMTYa/WM=")])
        );
        assert_eq!(parameters("OAuth s=tR3+a/WM=").unwrap(), pairs(&[("s", "tR3+a/WM=")]));
    }

    #[test]
    fn broken_grammar_is_named() {
        assert_eq!(parameters("OAuth a"), Err(HeaderError::ParameterWithoutValue));
        assert_eq!(parameters("OAuth =1"), Err(HeaderError::ParameterWithoutValue));
        assert_eq!(parameters("OAuth a=\"1"), Err(HeaderError::UnterminatedQuote));
        assert_eq!(parameters("OAuth a=\"1\\"), Err(HeaderError::UnterminatedQuote));
        assert_eq!(parameters("OAuth a=\"1\" b=\"2\""), Err(HeaderError::MissingComma));
    }

    #[test]
    fn a_challenge_escapes_quotes_and_drops_control_characters() {
        assert_eq!(Challenge::new("Basic").quoted("realm", "a\"b\\c\r\n").to_string(), r#"Basic realm="a\"b\\c""#);
    }

    proptest! {
        #[test]
        fn no_header_makes_parsing_panic_or_go_on_for_ever(header in "(?s)[\"\\\\=, \ta-c%]{0,40}|.{0,40}") {
            prop_assert!(Credentials::parse(&header).parameters().count() <= header.len());
        }

        #[test]
        fn what_a_challenge_quotes_is_read_back(value in "[ -~äß]{0,40}") {
            let text = Challenge::new("OAuth").quoted("realm", &value).to_string();
            prop_assert_eq!(parameters(&text).unwrap(), pairs(&[("realm", &value)]));
        }
    }
}
