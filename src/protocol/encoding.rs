//! Percent-encoding as RFC 5849 §3.6 wants it, and decoding of what clients send, once and only once.
//!
//! Text stays *encoded* on its way through the house: [`canonical`] brings what was sent into the one spelling that
//! §3.6 allows, without a copy where the sender already used it. It works on octets: what a name or value decodes to
//! need not be UTF-8 to be signed.

use std::borrow::Cow;

use thiserror::Error;

/// An escape that is not `%` followed by two hexadecimal digits (RFC 3986 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an invalid percent escape: write each % that is text as %25")]
pub struct InvalidEscape;

/// What `+` stands for in the text that is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plus {
    /// A space: query and form body (`application/x-www-form-urlencoded`, RFC 5849 §3.4.1.3.1).
    IsSpace,
    /// Itself: the Authorization header (RFC 5849 §3.5.1).
    IsPlus,
}

/// Appends the RFC 5849 §3.6 encoding of `text`: everything but `A-Z a-z 0-9 - . _ ~` becomes `%XX`, upper case.
///
/// ```
/// let mut out = String::new();
/// countersign::protocol::encoding::encode_into(&mut out, "Ladies + Gentlemen");
/// assert_eq!(out, "Ladies%20%2B%20Gentlemen");
/// ```
pub fn encode_into(out: &mut String, text: &str) {
    let octets = text.as_bytes();
    let mut from = 0;
    while let Some(run) = octets.get(from..).map(unreserved_run) {
        // A run is ASCII, so it ends where a character ends.
        out.push_str(text.get(from..from + run).unwrap_or_default());
        from += run;
        let Some(&octet) = octets.get(from) else { return };
        out.push_str(escape(octet));
        from += 1;
    }
}

/// The RFC 5849 §3.6 encoding of `text`; borrowed when nothing has to change.
pub fn encode(text: &str) -> Cow<'_, str> {
    if unreserved_run(text.as_bytes()) == text.len() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    encode_into(&mut out, text);
    Cow::Owned(out)
}

/// Decodes `%XX` (either case) and, where `plus` says so, `+`; borrowed when nothing has to change.
///
/// # Errors
/// [`InvalidEscape`]: a `%` that two hexadecimal digits do not follow.
pub fn decode(text: &str, plus: Plus) -> Result<Cow<'_, [u8]>, InvalidEscape> {
    let octets = text.as_bytes();
    if !octets.iter().any(|octet| *octet == b'%' || (*octet == b'+' && plus == Plus::IsSpace)) {
        return Ok(Cow::Borrowed(octets));
    }
    let mut out = Vec::with_capacity(octets.len());
    let mut rest = octets.iter();
    while let Some(octet) = rest.next() {
        out.push(match octet {
            b'%' => unescape(rest.next(), rest.next())?,
            b'+' if plus == Plus::IsSpace => b' ',
            plain => *plain,
        });
    }
    Ok(Cow::Owned(out))
}

/// What [`decode`] gives, as text; `None`: an invalid escape, or octets that are no UTF-8.
pub fn decode_text(text: &str, plus: Plus) -> Option<Cow<'_, str>> {
    match decode(text, plus).ok()? {
        Cow::Borrowed(_) => Some(Cow::Borrowed(text)),
        Cow::Owned(octets) => String::from_utf8(octets).ok().map(Cow::Owned),
    }
}

/// Decodes and encodes again: the one spelling of RFC 5849 §3.6, in which parameters are sorted and signed.
/// Borrowed when the sender already used it.
///
/// ```
/// use countersign::protocol::encoding::{canonical, Plus};
/// assert_eq!(canonical("r+b%2b%7e", Plus::IsSpace).unwrap(), "r%20b%2B~");
/// ```
///
/// # Errors
/// [`InvalidEscape`], as [`decode`].
pub fn canonical(text: &str, plus: Plus) -> Result<Cow<'_, str>, InvalidEscape> {
    if is_canonical(text.as_bytes()) {
        return Ok(Cow::Borrowed(text));
    }
    let decoded = decode(text, plus)?;
    let mut out = String::with_capacity(decoded.len() + 16);
    for octet in decoded.iter().copied() {
        if is_unreserved(octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(escape(octet));
        }
    }
    Ok(Cow::Owned(out))
}

/// Whether the octet stands for itself (RFC 3986 §2.3).
#[expect(clippy::indexing_slicing, reason = "the table has a place for each octet")]
pub const fn is_unreserved(octet: u8) -> bool {
    UNRESERVED[octet as usize]
}

/// Asked for every octet of every signed request: a look into a table costs a third of the comparisons.
const UNRESERVED: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0_u8;
    loop {
        table[octet as usize] = octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~');
        if octet == u8::MAX {
            break table;
        }
        octet += 1;
    }
};

/// How many octets at the start stand for themselves.
fn unreserved_run(octets: &[u8]) -> usize {
    octets.iter().position(|octet| !is_unreserved(*octet)).unwrap_or(octets.len())
}

/// Whether the text is already spelled as §3.6 wants: unreserved octets, and upper-case escapes of all others.
fn is_canonical(octets: &[u8]) -> bool {
    let mut rest = octets;
    loop {
        match rest.get(unreserved_run(rest)..) {
            None | Some([]) => return true,
            Some([b'%', high, low, behind @ ..]) => match unescape(Some(high), Some(low)) {
                Ok(meant) if !is_unreserved(meant) && !high.is_ascii_lowercase() && !low.is_ascii_lowercase() => {
                    rest = behind;
                }
                Ok(_) | Err(InvalidEscape) => return false,
            },
            Some(_) => return false,
        }
    }
}

fn unescape(high: Option<&u8>, low: Option<&u8>) -> Result<u8, InvalidEscape> {
    Ok(hex_value(high)? * 16 + hex_value(low)?)
}

const fn hex_value(digit: Option<&u8>) -> Result<u8, InvalidEscape> {
    match digit {
        Some(digit @ b'0'..=b'9') => Ok(*digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(*digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(*digit - b'A' + 10),
        Some(_) | None => Err(InvalidEscape),
    }
}

/// `%XX`, upper case.
fn escape(octet: u8) -> &'static str {
    let at = 3 * usize::from(octet);
    ESCAPES.get(at..at + 3).unwrap_or_default()
}

/// `%00%01…%FF`
const ESCAPES: &str = {
    const TEXT: [u8; 3 * 256] = {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut text = [b'%'; 3 * 256];
        let mut octet = 0;
        while octet < 256 {
            text[3 * octet + 1] = DIGITS[octet / 16];
            text[3 * octet + 2] = DIGITS[octet % 16];
            octet += 1;
        }
        text
    };
    match std::str::from_utf8(&TEXT) {
        Ok(text) => text,
        Err(_) => panic!("the digits are ASCII"),
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str) -> String {
        encode(text).into_owned()
    }

    #[test]
    fn unreserved_characters_stand_for_themselves() {
        let unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
        assert!(matches!(encode(unreserved), Cow::Borrowed(same) if same == unreserved));
    }

    #[test]
    fn everything_else_becomes_an_upper_case_escape() {
        assert_eq!(encoded("%"), "%25");
        assert_eq!(encoded("+"), "%2B");
        assert_eq!(encoded("&=*"), "%26%3D%2A");
        assert_eq!(encoded("\n"), "%0A");
        assert_eq!(encoded(" "), "%20");
        assert_eq!(encoded("\u{7f}"), "%7F");
        assert_eq!(encoded("\u{80}"), "%C2%80");
        assert_eq!(encoded("\u{3001}"), "%E3%80%81");
    }

    #[test]
    fn a_plus_is_a_space_in_a_form_and_itself_in_a_header() {
        assert_eq!(decode("a+b", Plus::IsSpace).unwrap().as_ref(), b"a b");
        assert_eq!(decode("a+b", Plus::IsPlus).unwrap().as_ref(), b"a+b");
    }

    #[test]
    fn a_broken_escape_is_refused() {
        for broken in ["%", "%4", "%zz", "a%", "%+1", "%%41"] {
            assert_eq!(decode(broken, Plus::IsSpace), Err(InvalidEscape), "{broken}");
            assert_eq!(canonical(broken, Plus::IsSpace), Err(InvalidEscape), "{broken}");
        }
    }

    #[test]
    fn lower_case_and_needless_escapes_are_brought_into_one_spelling() {
        assert_eq!(canonical("%2b%41%7E", Plus::IsPlus).unwrap(), "%2BA~");
        assert!(matches!(canonical("a%2Bb", Plus::IsPlus), Ok(Cow::Borrowed("a%2Bb"))));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(text: String) {
            let encoded = encode(&text);
            prop_assert_eq!(decode(&encoded, Plus::IsSpace).unwrap().into_owned(), text.as_bytes());
            prop_assert!(matches!(canonical(&encoded, Plus::IsSpace), Ok(Cow::Borrowed(_))));
        }

        #[test]
        fn any_octets_have_one_spelling(octets: Vec<u8>) {
            let escaped: String = octets.iter().map(|octet| format!("%{octet:02x}")).collect();
            let spelled = canonical(&escaped, Plus::IsSpace).unwrap().into_owned();
            prop_assert_eq!(decode(&spelled, Plus::IsSpace).unwrap().into_owned(), octets);
            prop_assert!(matches!(canonical(&spelled, Plus::IsSpace), Ok(Cow::Borrowed(_))));
        }

        #[test]
        fn the_canonical_spelling_means_the_same(text in "[ -~]{0,40}") {
            if let Ok(spelled) = canonical(&text, Plus::IsSpace) {
                prop_assert_eq!(decode(&spelled, Plus::IsPlus), decode(&text, Plus::IsSpace));
            }
        }
    }
}
