//! Writes one signed request (RFC 5849 §3.1 to §3.5) as bytes: drawn up, signed, and then, when a case asks for it, tampered with.
//!
//! The order is the point. `Draft` is what an honest client wants to send; `Tamper` is what happens to it after it was signed.
//! How parameters are written in the header is `Style`, which never changes what they mean unless its name says so.

use serde::Deserialize;
use std::collections::BTreeMap;

use crate::encoding::{Pair, decode_form, encode, encode_form};
use crate::http::Origin;
use crate::signer::{Keys, Mistake, REALM, Signable, SignatureMethod, base_string, lower_case_escapes, sign};

const USER_AGENT: &str = concat!("countersign-conformance/", env!("CARGO_PKG_VERSION"));

/// Where the protocol parameters travel (RFC 5849 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// The Authorization header, §3.5.1.
    #[default]
    Header,
    /// The form body, §3.5.2.
    Form,
    /// The query, §3.5.3.
    Query,
}

/// A way of writing the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// `oauth` for the scheme.
    SchemeLowerCase,
    /// `OAUTH` for the scheme.
    SchemeUpperCase,
    /// `realm` before the protocol parameters.
    RealmFirst,
    /// `realm` after them.
    RealmLast,
    /// Commas without a space.
    NoSpaces,
    /// Spaces and tabs around commas.
    WideSpaces,
    /// The signature with its `+`, `/` and `=` unescaped.
    RawSignature,
    /// Escapes with lower-case digits.
    LowerCaseEscapes,
    /// Letters escaped that needn't be.
    NeedlessEscapes,
    /// Parameters in reverse order.
    Reversed,
    /// Two equal Authorization headers.
    TwoHeaders,
    /// Everything but the signature in the header, the signature in the query.
    SplitQuery,
    /// Token and nonce in the form body, the rest in the header.
    SplitForm,
    /// The parameters in the header and once more in the query.
    DoubledInQuery,
    /// The parameters in the header and once more in the form body.
    DoubledInForm,
    /// No User-Agent.
    NoUserAgent,
    /// A POST without a body and without Content-Length.
    NoLength,
    /// No `Connection: close`.
    KeepAlive,
    /// The name of the scheme alone.
    NoParameters,
    /// A quote that is never closed.
    OpenQuote,
    /// Values without quotes.
    Unquoted,
    /// A comma after the last parameter.
    FinalComma,
}

/// What a client wants to send.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Method in upper case.
    pub method: String,
    /// The origin that is signed and named in the Host header.
    pub origin: Origin,
    /// Path as sent.
    pub path: String,
    /// Query as sent, without `?`; empty when there is none.
    pub query: String,
    /// A form body as sent.
    pub form: Option<String>,
    /// Another body.
    pub body: Option<String>,
    /// Content type, when it is not the form's own or when there is another body.
    pub content_type: Option<String>,
    /// More header lines.
    pub headers: Vec<String>,
    /// Protocol parameters but the signature, in the order sent.
    pub protocol: Vec<Pair>,
    /// How to sign.
    pub signature_method: SignatureMethod,
    /// Where the parameters go.
    pub via: Via,
    /// How they are written.
    pub styles: Vec<Style>,
    /// Mistakes in the signature.
    pub mistakes: Vec<Mistake>,
}

/// What happens to a request after it was signed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tamper {
    /// Another method.
    pub method: Option<String>,
    /// Another path.
    pub path: Option<String>,
    /// Another query.
    pub query: Option<String>,
    /// Another form body.
    pub form: Option<String>,
    /// Another body.
    pub body: Option<String>,
    /// Another content type.
    pub content_type: Option<String>,
    /// Another Host header.
    pub host: Option<String>,
    /// Protocol parameters that get another value, or are added.
    pub set: BTreeMap<String, String>,
    /// Protocol parameters added, `name=value`, also when there is one of the name.
    pub add: Vec<String>,
    /// Protocol parameters removed.
    pub drop: Vec<String>,
    /// Header lines added.
    pub headers: Vec<String>,
}

/// Signs a draft, tampers with it and writes it. `Err` says what is missing to sign.
pub fn write(draft: &Draft, keys: &Keys, tamper: &Tamper) -> Result<Vec<u8>, String> {
    let form_fields = draft.form.as_deref().map(decode_form).unwrap_or_default();
    let base = base_string(
        &Signable {
            method: &draft.method,
            origin: &draft.origin,
            path: &draft.path,
            raw_query: &draft.query,
            query: &decode_form(&draft.query),
            form: &form_fields,
            protocol: &draft.protocol,
        },
        &draft.mistakes,
    );
    let signature = sign(&base, draft.signature_method, keys, &draft.mistakes)?;
    let mut protocol = draft.protocol.clone();
    protocol.push(("oauth_signature".into(), signature));
    alter(&mut protocol, &tamper.drop, &tamper.set, &tamper.add);

    let mut sent = Sent {
        method: tamper.method.clone().unwrap_or_else(|| draft.method.clone()),
        path: tamper.path.clone().unwrap_or_else(|| draft.path.clone()),
        query: tamper.query.clone().unwrap_or_else(|| draft.query.clone()),
        form: tamper.form.clone().or_else(|| draft.form.clone()),
        headers: Vec::new(),
    };
    place(&mut sent, protocol, draft);
    Ok(sent.bytes(draft, tamper))
}

/// Removes and changes parameters by their names, and adds each `name=value`.
pub fn alter(protocol: &mut Vec<Pair>, drop: &[String], set: &BTreeMap<String, String>, add: &[String]) {
    protocol.retain(|(name, _)| !drop.contains(name));
    for (name, value) in set {
        match protocol.iter_mut().find(|(n, _)| n == name) {
            Some(pair) => pair.1.clone_from(value),
            None => protocol.push((name.clone(), value.clone())),
        }
    }
    for pair in add {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        protocol.push((name.to_owned(), value.to_owned()));
    }
}

/// Distributes the protocol parameters over header, query and body.
fn place(sent: &mut Sent, protocol: Vec<Pair>, draft: &Draft) {
    let styled = |style| draft.styles.contains(&style);
    let (mut header, mut query, mut form) = (Vec::new(), Vec::new(), Vec::new());
    for pair in protocol {
        match draft.via {
            Via::Query => query.push(pair),
            Via::Form => form.push(pair),
            Via::Header if styled(Style::SplitQuery) && pair.0 == "oauth_signature" => query.push(pair),
            Via::Header if styled(Style::SplitForm) && matches!(pair.0.as_str(), "oauth_token" | "oauth_nonce") => {
                form.push(pair)
            }
            Via::Header => header.push(pair),
        }
    }
    if styled(Style::DoubledInQuery) {
        query.extend(header.iter().cloned());
    }
    if styled(Style::DoubledInForm) {
        form.extend(header.iter().cloned());
    }
    if !query.is_empty() {
        let joined = join_parameters(&sent.query, &encode_form(&query));
        sent.query = joined;
    }
    if !form.is_empty() {
        let before = sent.form.clone().unwrap_or_default();
        sent.form = Some(join_parameters(&before, &encode_form(&form)));
    }
    if !header.is_empty() {
        let line = format!("Authorization: {}", header_value(&header, &draft.styles));
        if styled(Style::TwoHeaders) {
            sent.headers.push(line.clone());
        }
        sent.headers.push(line);
    }
}

fn join_parameters(before: &str, added: &str) -> String {
    if before.is_empty() { added.to_owned() } else { format!("{before}&{added}") }
}

/// The Authorization header of RFC 5849 §3.5.1.
fn header_value(parameters: &[Pair], styles: &[Style]) -> String {
    let styled = |style| styles.contains(&style);
    let scheme = if styled(Style::SchemeLowerCase) {
        "oauth"
    } else if styled(Style::SchemeUpperCase) {
        "OAUTH"
    } else {
        "OAuth"
    };
    if styled(Style::NoParameters) {
        return scheme.to_owned();
    }
    let mut written: Vec<String> = parameters
        .iter()
        .map(|(name, value)| {
            let mut value =
                if styled(Style::RawSignature) && name == "oauth_signature" { value.clone() } else { encode(value) };
            if styled(Style::LowerCaseEscapes) {
                value = lower_case_escapes(&value);
            }
            if styled(Style::NeedlessEscapes) {
                value = value.replace('a', "%61").replace('-', "%2D");
            }
            if styled(Style::Unquoted) { format!("{name}={value}") } else { format!("{name}=\"{value}\"") }
        })
        .collect();
    if styled(Style::Reversed) {
        written.reverse();
    }
    if styled(Style::RealmFirst) {
        written.insert(0, format!("realm=\"{REALM}\""));
    }
    if styled(Style::RealmLast) {
        written.push(format!("realm=\"{REALM}\""));
    }
    let comma = if styled(Style::NoSpaces) {
        ","
    } else if styled(Style::WideSpaces) {
        " ,\t  "
    } else {
        ", "
    };
    let mut list = written.join(comma);
    if styled(Style::OpenQuote) {
        list.truncate(list.len().saturating_sub(1));
    }
    if styled(Style::FinalComma) {
        list.push(',');
    }
    format!("{scheme} {list}")
}

struct Sent {
    method: String,
    path: String,
    query: String,
    form: Option<String>,
    headers: Vec<String>,
}

impl Sent {
    fn bytes(mut self, draft: &Draft, tamper: &Tamper) -> Vec<u8> {
        let form_type = self.form.as_ref().map(|_| "application/x-www-form-urlencoded".to_owned());
        let content_type = tamper.content_type.clone().or_else(|| draft.content_type.clone()).or(form_type);
        let body = tamper.body.clone().or(self.form.take()).or_else(|| draft.body.clone());
        if let Some(content_type) = content_type {
            self.headers.push(format!("Content-Type: {content_type}"));
        }
        self.headers.extend(draft.headers.iter().cloned());
        self.headers.extend(tamper.headers.iter().cloned());
        let host = tamper.host.clone().unwrap_or_else(|| draft.origin.authority());
        let target = if self.query.is_empty() { self.path } else { format!("{}?{}", self.path, self.query) };
        plain_request(&self.method, &target, &host, self.headers, body.as_deref().map(str::as_bytes), &draft.styles)
    }
}

/// Writes a request that is signed elsewhere or not at all.
pub fn plain_request(
    method: &str,
    target: &str,
    host: &str,
    headers: Vec<String>,
    body: Option<&[u8]>,
    styles: &[Style],
) -> Vec<u8> {
    let mut lines = vec![format!("{method} {target} HTTP/1.1"), format!("Host: {host}")];
    if !styles.contains(&Style::NoUserAgent) {
        lines.push(format!("User-Agent: {USER_AGENT}"));
    }
    if !styles.contains(&Style::KeepAlive) {
        lines.push("Connection: close".to_owned());
    }
    lines.extend(headers);
    let wants_length = matches!(method, "POST" | "PUT" | "PATCH") && !styles.contains(&Style::NoLength);
    let has_own = lines.iter().any(|l| {
        let name = l.split(':').next().unwrap_or_default();
        name.eq_ignore_ascii_case("transfer-encoding") || name.eq_ignore_ascii_case("content-length")
    });
    match body {
        _ if has_own => {}
        Some(body) => lines.push(format!("Content-Length: {}", body.len())),
        None if wants_length => lines.push("Content-Length: 0".to_owned()),
        None => {}
    }
    let mut bytes = lines.join("\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signer::Hash;

    fn draft(styles: &[Style], via: Via) -> Draft {
        Draft {
            method: "POST".into(),
            origin: Origin { secure: false, host: "h".into(), port: 80 },
            path: "/p".into(),
            query: "a=1".into(),
            form: None,
            body: None,
            content_type: None,
            headers: vec![],
            protocol: vec![("oauth_nonce".into(), "a b".into()), ("oauth_token".into(), "t".into())],
            signature_method: SignatureMethod::Hmac(Hash::Sha1),
            via,
            styles: styles.to_vec(),
            mistakes: vec![],
        }
    }

    fn text(styles: &[Style], via: Via, tamper: &Tamper) -> String {
        String::from_utf8(write(&draft(styles, via), &Keys::default(), tamper).unwrap()).unwrap()
    }

    #[test]
    fn parameters_travel_where_they_are_asked_to() {
        let header = text(&[], Via::Header, &Tamper::default());
        assert!(header.starts_with("POST /p?a=1 HTTP/1.1\r\nHost: h\r\n"), "{header}");
        assert!(
            header.contains("Authorization: OAuth oauth_nonce=\"a%20b\", oauth_token=\"t\", oauth_signature=\""),
            "{header}"
        );
        let query = text(&[], Via::Query, &Tamper::default());
        assert!(query.starts_with("POST /p?a=1&oauth_nonce=a%20b&oauth_token=t&oauth_signature="), "{query}");
        let form = text(&[], Via::Form, &Tamper::default());
        assert!(form.contains("\r\n\r\noauth_nonce=a%20b&oauth_token=t&oauth_signature="), "{form}");
        assert!(form.contains("Content-Type: application/x-www-form-urlencoded"), "{form}");
    }

    #[test]
    fn tampering_comes_after_signing() {
        let value =
            |request: &str| request.split("oauth_signature=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let tamper =
            Tamper { query: Some("a=2".into()), set: [("oauth_token".into(), "x".into())].into(), ..Tamper::default() };
        let (honest, tampered) = (text(&[], Via::Header, &Tamper::default()), text(&[], Via::Header, &tamper));
        assert!(tampered.contains("/p?a=2 ") && tampered.contains("oauth_token=\"x\""));
        assert_eq!(value(&honest), value(&tampered));
    }

    #[test]
    fn a_style_changes_the_writing_and_not_the_signature() {
        let plain = text(&[], Via::Header, &Tamper::default());
        let styled =
            text(&[Style::SchemeLowerCase, Style::RealmLast, Style::NoSpaces], Via::Header, &Tamper::default());
        assert!(styled.contains("Authorization: oauth oauth_nonce=\"a%20b\",oauth_token="), "{styled}");
        assert!(styled.contains(&format!("realm=\"{REALM}\"")));
        let signature = plain.split("oauth_signature=").nth(1).unwrap().split('\r').next().unwrap();
        assert!(styled.contains(signature));
    }

    #[test]
    fn a_length_is_sent_unless_it_is_left_out() {
        assert!(text(&[], Via::Header, &Tamper::default()).contains("Content-Length: 0\r\n"));
        assert!(!text(&[Style::NoLength], Via::Header, &Tamper::default()).contains("Content-Length"));
    }
}
