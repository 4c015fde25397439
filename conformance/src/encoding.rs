//! Percent-encoding and form encoding (RFC 5849 §3.6 and §3.4.1.3.1), the suite's own.

/// A decoded name and value.
pub type Pair = (String, String);

/// Encodes as RFC 5849 §3.6 wants it: everything but letters, digits, `-`, `.`, `_` and `~`, with upper-case digits.
///
/// ```
/// assert_eq!(countersign_conformance::encoding::encode("Ladies + Gentlemen"), "Ladies%20%2B%20Gentlemen");
/// ```
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Decodes percent-escapes and leaves everything else, also `+` and broken escapes, as it is. Bytes that are no UTF-8 are replaced.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape =
            if byte == b'%' { text.get(at + 1..at + 3).and_then(|d| u8::from_str_radix(d, 16).ok()) } else { None };
        match escape {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Splits a query or a form body into decoded pairs; `+` is a space, a name without `=` has the empty value.
///
/// ```
/// let pairs = countersign_conformance::encoding::decode_form("a+b=%3D&c");
/// assert_eq!(pairs, [("a b".into(), "=".into()), ("c".into(), String::new())]);
/// ```
pub fn decode_form(text: &str) -> Vec<Pair> {
    let plain = |piece: &str| decode(&piece.replace('+', " "));
    text.split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| match piece.split_once('=') {
            Some((name, value)) => (plain(name), plain(value)),
            None => (plain(piece), String::new()),
        })
        .collect()
}

/// Writes pairs as a form body or query.
pub fn encode_form(pairs: &[Pair]) -> String {
    pairs.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_undoes_encoding() {
        let text = "a b+c&d=é/~%";
        assert_eq!(decode(&encode(text)), text);
        assert_eq!(decode_form(&encode_form(&[(text.into(), text.into())])), [(text.to_owned(), text.to_owned())]);
    }

    #[test]
    fn a_broken_escape_stays() {
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%é"), "%é");
    }
}
