//! Hides secrets in what reports show: as they are, percent-encoded once or twice, and in base64 behind `Basic`.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::BTreeSet;

use crate::encoding::{encode, encode_form};

const HIDDEN: &str = "[hidden]";

/// Replaces every secret of a text.
pub fn redact(text: &str, secrets: &BTreeSet<String>) -> String {
    let mut needles: Vec<String> = Vec::new();
    for secret in secrets {
        let once = encode(secret);
        needles.push(encode(&once));
        needles.push(once);
        needles.push(encode_form(&[(String::new(), secret.clone())]).trim_start_matches('=').replace("%20", "+"));
        needles.push(secret.clone());
    }
    // The longest first: a secret may hold another.
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    let mut out = text.to_owned();
    for needle in &needles {
        out = out.replace(needle.as_str(), HIDDEN);
    }
    out.split_inclusive('\n').map(|line| redact_line(line, secrets)).collect()
}

/// Cookies and Basic credentials hide as a whole; a base64 text hides when what is in it holds a secret.
fn redact_line(line: &str, secrets: &BTreeSet<String>) -> String {
    let lower = line.to_ascii_lowercase();
    let ending = if line.ends_with("\r\n") { "\r\n" } else { "\n" };
    if lower.starts_with("cookie:") {
        return format!("Cookie: {HIDDEN}{ending}");
    }
    if lower.starts_with("set-cookie:") {
        let (name, rest) = line.split_once('=').unwrap_or((line, ""));
        let attributes = rest.split_once(';').map_or(String::new(), |(_, a)| format!(";{}", a.trim_end()));
        return format!("{name}={HIDDEN}{attributes}{ending}");
    }
    if lower.starts_with("authorization: basic ") {
        let value = line.get("authorization: basic ".len()..).unwrap_or_default().trim();
        let inside = STANDARD.decode(value).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        if secrets.iter().any(|s| inside.contains(s.as_str())) {
            return format!("Authorization: Basic {HIDDEN}{ending}");
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_secret_is_shown() {
        let secrets = BTreeSet::from(["s3cr/t&x".to_owned()]);
        let text = "a=s3cr/t&x b=s3cr%2Ft%26x c=s3cr%252Ft%2526x\r\nCookie: x=1\r\nSet-Cookie: sid=abc; HttpOnly\r\n\
                    Authorization: Basic dTpzM2NyL3QmeA==\r\n";
        let shown = redact(text, &secrets);
        assert_eq!(
            shown,
            "a=[hidden] b=[hidden] c=[hidden]\r\nCookie: [hidden]\r\nSet-Cookie: sid=[hidden]; HttpOnly\r\n\
             Authorization: Basic [hidden]\r\n"
        );
    }
}
