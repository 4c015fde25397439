//! `WWW-Authenticate` taken apart (RFC 9110 §11.6.1): several challenges may stand on one line or on many.

use crate::encoding::Pair;
use crate::http::Response;

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme as sent.
    pub scheme: String,
    /// Its parameters, quotes removed.
    pub parameters: Vec<Pair>,
}

impl Challenge {
    /// The value of a parameter; names know no case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// Every challenge of an answer, in order.
pub fn challenges(response: &Response) -> Vec<Challenge> {
    response.headers_named("www-authenticate").flat_map(parse).collect()
}

/// The challenges of one line.
pub fn parse(line: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    for item in items(line) {
        // `Scheme`, `Scheme name=value` or `name=value`: a space before the `=` begins a new challenge.
        let head = item.split(['=', '"']).next().unwrap_or_default();
        let (scheme, parameter) = match head.trim_end().split_once([' ', '\t']) {
            Some((scheme, _)) => (Some(scheme), item.get(scheme.len()..).unwrap_or_default().trim()),
            None if item.contains('=') => (None, item.trim()),
            None => (Some(item.trim()), ""),
        };
        if let Some(scheme) = scheme {
            found.push(Challenge { scheme: scheme.to_owned(), parameters: vec![] });
        }
        if let (Some(challenge), Some((name, value))) = (found.last_mut(), parameter.split_once('=')) {
            challenge.parameters.push((name.trim().to_owned(), unquote(value.trim())));
        }
    }
    found
}

/// Splits at commas that stand outside of quotes.
fn items(line: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in line.chars() {
        match c {
            ',' if !quoted => {
                items.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        if let Some(last) = items.last_mut() {
            last.push(c);
        }
    }
    items.into_iter().map(|i| i.trim().to_owned()).filter(|i| !i.is_empty()).collect()
}

fn unquote(value: &str) -> String {
    let Some(inside) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut out = String::new();
    let mut escaped = false;
    for c in inside.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            out.push(c);
            escaped = false;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_on_one_line_are_told_apart() {
        let found = parse(r#"Digest realm="a, \"b\"", qop="auth,auth-int", algorithm=MD5, Basic realm=x, Negotiate"#);
        let schemes: Vec<_> = found.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["Digest", "Basic", "Negotiate"]);
        assert_eq!(found[0].get("REALM"), Some("a, \"b\""));
        assert_eq!(found[0].get("qop"), Some("auth,auth-int"));
        assert_eq!(found[1].get("realm"), Some("x"));
    }

    #[test]
    fn garbage_gives_no_panic() {
        for line in ["", ",", "=", "\"", "a=\"", " x = y ", "é é=é"] {
            let _ = parse(line);
        }
    }
}
