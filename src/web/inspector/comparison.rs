//! What the client signed beside what the server would have: two base strings, taken apart (RFC 5849 §3.4.1.1).

use std::borrow::Cow;

use crate::protocol::encoding::{self, Plus};
use crate::web::texts::Texts;

/// Two base strings, taken apart.
pub struct Comparison {
    pub rows: Vec<ComparedRow>,
    pub client: MarkedText,
    pub server: MarkedText,
}

/// Method, URI or a parameter on both sides; nothing: absent there.
pub struct ComparedRow {
    pub name: String,
    pub client: Option<String>,
    pub server: Option<String>,
    pub differs: bool,
}

/// A text with the part where it differs.
pub struct MarkedText {
    pub before: String,
    pub differing: String,
    pub after: String,
}

/// Two base strings side by side: taken apart where they have the three parts, and as they are with the difference
/// marked. An empty client's one is one that nobody knows.
pub fn compare(client: &str, server: &str, text: &Texts) -> Comparison {
    let (before, after) = if client.is_empty() { (server.len(), 0) } else { common(client, server) };
    let rows = match (Parts::of(client), Parts::of(server)) {
        (Some(client), Some(server)) => client.beside(&server, text),
        (None, Some(server)) if client.is_empty() => server.alone(text),
        _ => Vec::new(),
    };
    let client = if client.is_empty() {
        MarkedText { before: text.words.unknown.to_owned(), differing: String::new(), after: String::new() }
    } else {
        MarkedText::of(client, before, after)
    };
    Comparison { rows, client, server: MarkedText::of(server, before, after) }
}

/// The lengths in bytes of the beginning and of the end that both texts share, without overlap.
fn common(one: &str, other: &str) -> (usize, usize) {
    let same = |(left, right): &(char, char)| left == right;
    let before: usize = one.chars().zip(other.chars()).take_while(same).map(|(letter, _)| letter.len_utf8()).sum();
    let (one, other) = (one.get(before..).unwrap_or_default(), other.get(before..).unwrap_or_default());
    let behind = one.chars().rev().zip(other.chars().rev()).take_while(same);
    (before, behind.map(|(letter, _)| letter.len_utf8()).sum())
}

impl MarkedText {
    fn of(text: &str, before: usize, after: usize) -> Self {
        let (start, rest) = text.split_at_checked(before).unwrap_or((text, ""));
        let (differing, end) = rest.split_at_checked(rest.len() - after.min(rest.len())).unwrap_or((rest, ""));
        Self { before: start.to_owned(), differing: differing.to_owned(), after: end.to_owned() }
    }
}

/// A base string, decoded: method, URI, parameters (RFC 5849 §3.4.1.1).
pub struct Parts {
    method: String,
    pub uri: String,
    parameters: Vec<(String, String)>,
}

impl Parts {
    /// Takes it apart; `None`: it has no three parts.
    pub fn of(base_string: &str) -> Option<Self> {
        let mut parts = base_string.splitn(3, '&');
        let (method, uri, parameters) = (parts.next()?, parts.next()?, parts.next()?);
        let parameters = decode(parameters);
        let parameters = parameters.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Some(Self { method: decode(method), uri: decode(uri), parameters: parameters.collect() })
    }

    /// One row for each part: equal parameters side by side, in the server's order, then those that only the client has.
    fn beside(&self, server: &Self, text: &Texts) -> Vec<ComparedRow> {
        let mut rows = vec![
            ComparedRow::new(text.inspector.method, Some(&self.method), Some(&server.method)),
            ComparedRow::new(text.inspector.uri, Some(&self.uri), Some(&server.uri)),
        ];
        let mut left: Vec<&(String, String)> = self.parameters.iter().collect();
        for (name, value) in &server.parameters {
            // The same pair if there is one, else one of the same name.
            let found = left
                .iter()
                .position(|pair| pair.0 == *name && pair.1 == *value)
                .or_else(|| left.iter().position(|pair| pair.0 == *name));
            let own = found.map(|index| left.remove(index));
            rows.push(ComparedRow::new(name, own.map(|pair| &pair.1), Some(value)));
        }
        rows.extend(left.into_iter().map(|(name, value)| ComparedRow::new(name, Some(value), None)));
        rows
    }

    /// The same rows where nobody knows what the client signed.
    fn alone(&self, text: &Texts) -> Vec<ComparedRow> {
        let mut rows = self.beside(self, text);
        for row in &mut rows {
            row.client = Some(text.words.unknown.to_owned());
        }
        rows
    }
}

impl ComparedRow {
    fn new(name: &str, client: Option<&String>, server: Option<&String>) -> Self {
        Self { name: name.to_owned(), differs: client != server, client: client.cloned(), server: server.cloned() }
    }
}

/// Decoded, or as it is where it can't be.
fn decode(text: &str) -> String {
    match encoding::decode(text, Plus::IsPlus) {
        Ok(Cow::Borrowed(octets)) => String::from_utf8_lossy(octets).into_owned(),
        Ok(Cow::Owned(octets)) => String::from_utf8_lossy(&octets).into_owned(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Language;

    const SERVER: &str = "GET&https%3A%2F%2Fa.example%2Fv2&a%3D1%26b%3Dx%2520y";

    #[test]
    fn the_first_difference_is_marked() {
        let client = SERVER.replace("https", "http");
        let compared = compare(&client, SERVER, Language::English.texts());
        assert_eq!(compared.client.before, "GET&http");
        assert_eq!((compared.client.differing.as_str(), compared.server.differing.as_str()), ("", "s"));
        assert_eq!(compared.server.after, "%3A%2F%2Fa.example%2Fv2&a%3D1%26b%3Dx%2520y");
        let uri = &compared.rows[1];
        assert!(uri.differs && uri.client.as_deref() == Some("http://a.example/v2"));
        assert!(compared.rows.iter().filter(|row| row.differs).count() == 1);
    }

    #[test]
    fn parameters_stand_beside_their_like() {
        let client = "GET&https%3A%2F%2Fa.example%2Fv2&b%3Dx%252By%26c%3D3";
        let rows = compare(client, SERVER, Language::English.texts()).rows;
        let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        assert_eq!((row("a").client.as_deref(), row("a").server.as_deref()), (None, Some("1")));
        assert_eq!((row("b").client.as_deref(), row("b").server.as_deref()), (Some("x+y"), Some("x y")));
        assert_eq!((row("c").client.as_deref(), row("c").server.as_deref()), (Some("3"), None));
    }

    #[test]
    fn what_nobody_knows_is_called_unknown_and_marked_nowhere() {
        let text = Language::English.texts();
        let compared = compare("", SERVER, text);
        assert!(compared.rows.iter().all(|row| row.client.as_deref() == Some(text.words.unknown) && !row.differs));
        let server: Vec<_> = compared.rows.iter().filter_map(|row| row.server.as_deref()).collect();
        assert_eq!(server, ["GET", "https://a.example/v2", "1", "x y"]);
    }

    #[test]
    fn texts_that_share_everything_or_nothing_are_marked_right() {
        assert_eq!(common("abc", "abc"), (3, 0));
        assert_eq!(common("aaa", "aa"), (2, 0));
        assert_eq!(common("xäy", "xöy"), (1, 1));
        let marked = MarkedText::of("xäy", 1, 1);
        assert_eq!((marked.before.as_str(), marked.differing.as_str(), marked.after.as_str()), ("x", "ä", "y"));
    }
}
