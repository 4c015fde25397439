//! What a recipe comes to for one request: the base string (RFC 5849 §3.4.1), the key (§3.4.2), and the signature as it
//! would have to be.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::ways::{
    BodyPart, EncodedAgain, Host, KeyText, MethodText, Order, PathText, Port, QueryPart, Recipe, Space, Whose,
};
use crate::protocol::base_string::split_authority;
use crate::protocol::body_hash::body_hash;
use crate::protocol::encoding::{encode, encode_into};
use crate::protocol::oauth::{BODY_HASH, CALLBACK, SIGNATURE};
use crate::protocol::parameters::{Parameter, Parameters, Source};
use crate::protocol::request::{ReceivedRequest, UriScheme};
use crate::protocol::signature::{SignatureMethod, VerificationKey};

/// The longest body that is read as what it is not.
const MAXIMUM_BODY: usize = 64 * 1024;

/// What one recipe comes to: two recipes with the same attempt need one signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    pub text: String,
    pub key: Zeroizing<String>,
    pub presented: String,
}

impl Hash for Attempt {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.text, self.key.as_str(), &self.presented).hash(state);
    }
}

/// All that is known of the request.
pub struct Evidence<'a> {
    pub request: &'a ReceivedRequest<'a>,
    pub parameters: &'a Parameters<'a>,
    pub method: SignatureMethod,
    pub key: VerificationKey<'a>,
    pub presented: &'a str,
}

impl Evidence<'_> {
    /// What this recipe comes to.
    pub fn rebuild(&self, recipe: &Recipe) -> Attempt {
        let text = match self.method {
            SignatureMethod::Plaintext => String::new(),
            SignatureMethod::HmacSha1
            | SignatureMethod::HmacSha256
            | SignatureMethod::HmacSha512
            | SignatureMethod::RsaSha1
            | SignatureMethod::RsaSha256
            | SignatureMethod::RsaSha512 => self.base_string(recipe),
        };
        let mut presented = self.presented.to_owned();
        if recipe.signature_twice {
            presented = decode_freely(&presented);
        }
        if recipe.signature_bare {
            presented = presented.replace(' ', "+");
        }
        Attempt { text, key: self.key_text(recipe), presented }
    }

    fn key_text(&self, recipe: &Recipe) -> Zeroizing<String> {
        let VerificationKey::Shared(secrets) = self.key else { return Zeroizing::default() };
        let write =
            |secret: &str| Zeroizing::new(if recipe.key_raw { secret.to_owned() } else { encode(secret).into_owned() });
        let (token, between) = match recipe.key {
            KeyText::Both => (secrets.token, "&"),
            KeyText::ClientAndAmpersand => ("", "&"),
            KeyText::ClientAlone => ("", ""),
        };
        let (client, token) = (write(secrets.client), write(token));
        let (first, second) = if recipe.key_swapped { (token, client) } else { (client, token) };
        Zeroizing::new(format!("{}{between}{}", *first, *second))
    }

    fn base_string(&self, recipe: &Recipe) -> String {
        let method = self.request.method;
        let mut uri = String::with_capacity(128);
        self.write_uri(recipe, &mut uri);
        let mut list = String::with_capacity(512);
        for (position, pair) in self.pairs(recipe).iter().enumerate() {
            let _ = write!(list, "{}{}={}", if position > 0 { "&" } else { "" }, pair.name, pair.value);
        }
        let again = |text: String| encode(&text).into_owned();
        let (uri, list) = match recipe.encoded_again {
            EncodedAgain::Nothing => (uri, list),
            EncodedAgain::Parameters => (uri, again(list)),
            EncodedAgain::Everything => (again(uri), again(list)),
        };
        let mut text = match recipe.method {
            MethodText::Upper => method.to_ascii_uppercase(),
            MethodText::Lower => method.to_ascii_lowercase(),
            MethodText::Capitalized => {
                let (first, rest) = method.split_at_checked(1).unwrap_or((method, ""));
                first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
            }
        };
        text.push('&');
        encode_into(&mut text, &uri);
        text.push('&');
        encode_into(&mut text, &list);
        text
    }

    fn write_uri(&self, recipe: &Recipe, uri: &mut String) {
        let scheme = match (self.request.scheme, recipe.other_scheme) {
            (UriScheme::Http, false) | (UriScheme::Https, true) => UriScheme::Http,
            (UriScheme::Https, false) | (UriScheme::Http, true) => UriScheme::Https,
        };
        let (host, port) = split_authority(self.request.authority);
        let port = port.filter(|port| !port.is_empty());
        let host = match recipe.host {
            Host::Lower => Cow::Owned(host.to_ascii_lowercase()),
            Host::AsSent => Cow::Borrowed(host),
            Host::Upper => Cow::Owned(host.to_ascii_uppercase()),
        };
        let _ = write!(uri, "{}://{host}", scheme.as_str());
        let port = match recipe.port {
            Port::UnlessDefault => port.filter(|port| *port != scheme.default_port()),
            Port::Always => Some(port.unwrap_or(scheme.default_port())),
            Port::Never => None,
        };
        if let Some(port) = port {
            let _ = write!(uri, ":{port}");
        }
        uri.push_str(&spell_path(self.request.path, recipe.path));
        match recipe.query {
            QueryPart::Signed | QueryPart::LeftOut => {}
            QueryPart::InUri | QueryPart::InUriAndSigned => {
                let _ = write!(uri, "?{}", self.request.query.unwrap_or_default());
            }
        }
    }

    /// Names and values as the client joins them, in its order.
    fn pairs(&self, recipe: &Recipe) -> Vec<Pair> {
        let signed = self.parameters.iter().filter(|parameter| self.is_signed(parameter, recipe));
        let from_body = self.body_parameters(recipe.body);
        let mut pairs: Vec<Pair> =
            signed.chain(from_body.iter()).map(|parameter| self.pair(parameter, recipe)).collect();
        match recipe.order {
            Order::Sorted => pairs.sort_by(|one, other| (&one.name, &one.value).cmp(&(&other.name, &other.value))),
            Order::AsSent(sources) => {
                pairs.sort_by_key(|pair| sources.iter().position(|source| *source == pair.source));
            }
            Order::ByName => pairs.sort_by(|one, other| one.name.cmp(&other.name)),
            Order::WithoutCase => {
                pairs.sort_by_cached_key(|pair| (pair.name.to_lowercase(), pair.value.to_lowercase()))
            }
            Order::Decoded => {
                pairs.sort_by_cached_key(|pair| (decode_freely(&pair.name), decode_freely(&pair.value)));
            }
            Order::ByPair => pairs.sort_by_cached_key(|pair| format!("{}={}", pair.name, pair.value)),
        }
        pairs
    }

    fn is_signed(&self, parameter: &Parameter<'_>, recipe: &Recipe) -> bool {
        let own = parameter.name.starts_with("oauth_");
        if parameter.name == SIGNATURE {
            return false;
        }
        match parameter.source {
            Source::Header if parameter.name.eq_ignore_ascii_case("realm") => recipe.realm,
            Source::Header => own || !(recipe.header_once && self.is_sent_elsewhere(parameter)),
            Source::Query => {
                own || match recipe.query {
                    QueryPart::Signed | QueryPart::InUriAndSigned => true,
                    QueryPart::LeftOut | QueryPart::InUri => false,
                }
            }
            Source::Body => {
                own || match recipe.body {
                    BodyPart::LeftOut => false,
                    BodyPart::Right
                    | BodyPart::AsForm
                    | BodyPart::AsJson
                    | BodyPart::AsMultipart
                    | BodyPart::AsName => true,
                }
            }
        }
    }

    fn pair(&self, parameter: &Parameter<'_>, recipe: &Recipe) -> Pair {
        let value = match self.request.body.filter(|_| recipe.right_body_hash && parameter.name == BODY_HASH) {
            Some(body) => encode(&body_hash(self.method, body)).into_owned(),
            None => spell(&parameter.value, parameter, recipe),
        };
        Pair { name: spell(&parameter.name, parameter, recipe), value, source: parameter.source }
    }

    fn is_sent_elsewhere(&self, repeated: &Parameter<'_>) -> bool {
        self.parameters.iter().any(|parameter| {
            parameter.source != Source::Header
                && (&parameter.name, &parameter.value) == (&repeated.name, &repeated.value)
        })
    }

    /// The parameters that a client sees in a body that has none.
    fn body_parameters(&self, reading: BodyPart) -> Parameters<'_> {
        let mut seen = Parameters::default();
        let body = self
            .request
            .body
            .filter(|body| !self.request.has_form_type() && !body.is_empty() && body.len() <= MAXIMUM_BODY);
        let Some(body) = body.and_then(|body| std::str::from_utf8(body).ok()) else { return seen };
        let mut add = |name: &str, value: &str| seen.add_decoded(name, value, Source::Body);
        match reading {
            BodyPart::Right | BodyPart::LeftOut => {}
            BodyPart::AsForm => return Parameters::of_form(body, Source::Body).unwrap_or_default(),
            BodyPart::AsJson => json_members(body, add),
            BodyPart::AsMultipart => multipart_fields(body, add),
            BodyPart::AsName => add(body, ""),
        }
        seen
    }
}

/// One name and value as they are joined.
struct Pair {
    name: String,
    value: String,
    source: Source,
}

/// The members of a JSON object as a script turns them into text.
fn json_members(body: &str, mut add: impl FnMut(&str, &str)) {
    let Ok(serde_json::Value::Object(members)) = serde_json::from_str(body) else { return };
    for (name, value) in &members {
        match value {
            serde_json::Value::String(text) => add(name, text),
            other => add(name, &other.to_string()),
        }
    }
}

/// The text fields of a multipart body (RFC 7578); files are left out.
fn multipart_fields(body: &str, mut add: impl FnMut(&str, &str)) {
    let Some((boundary, _)) = body.split_once("\r\n").filter(|(line, _)| line.starts_with("--")) else { return };
    for part in body.split(boundary) {
        let Some((head, content)) = part.split_once("\r\n\r\n").filter(|(head, _)| !head.contains("filename")) else {
            continue;
        };
        if let Some((name, _)) = head.split_once("name=\"").and_then(|(_, name)| name.split_once('"')) {
            add(name, content.strip_suffix("\r\n").unwrap_or(content));
        }
    }
}

/// `text`, the encoded name or value of `parameter`, as this client writes it.
fn spell(text: &str, parameter: &Parameter<'_>, recipe: &Recipe) -> String {
    let is_in = |whose: Whose| match whose {
        Whose::Nobodys => false,
        Whose::Everybodys => true,
        Whose::Others => !parameter.name.starts_with("oauth_"),
        Whose::Callbacks => parameter.name == CALLBACK,
    };
    // The realm is kept as it was sent; everything else is canonical.
    let text = if parameter.source == Source::Header && parameter.name.eq_ignore_ascii_case("realm") {
        encode(text)
    } else {
        Cow::Borrowed(text)
    };
    let raw = is_in(recipe.raw);
    let (text, space, plus) = if raw { (decode_freely(&text), " ", "+") } else { (text.into_owned(), "%20", "%2B") };
    let text = match recipe.space {
        Space::Encoded => text,
        Space::UrlEncoder if !raw => text.replace(space, "+").replace("%2A", "*").replace('~', "%7E"),
        Space::Plus | Space::UrlEncoder => text.replace(space, "+"),
        Space::PlusIsPlus if parameter.source != Source::Header => text.replace(space, plus),
        Space::PlusIsPlus => text,
    };
    if is_in(recipe.twice) { encode(&text).into_owned() } else { text }
}

fn spell_path(path: &str, spelling: PathText) -> Cow<'_, str> {
    let segments = |change: fn(&str) -> String| Cow::Owned(path.split('/').map(change).collect::<Vec<_>>().join("/"));
    match spelling {
        PathText::AsSent => Cow::Borrowed(path),
        PathText::Canonical => segments(|segment| encode(&decode_freely(segment)).into_owned()),
        PathText::Decoded => Cow::Owned(decode_freely(path)),
        PathText::EncodedAgain => segments(|segment| encode(segment).into_owned()),
        PathText::EncodeUri => Cow::Owned(
            decode_freely(path)
                .split_inclusive(is_left_by_encode_uri)
                .map(|run| match run.chars().next_back().filter(|last| is_left_by_encode_uri(*last)) {
                    Some(last) => encode(run.trim_end_matches(last)).into_owned() + &last.to_string(),
                    None => encode(run).into_owned(),
                })
                .collect(),
        ),
        PathText::UpperEscapes => {
            let mut upper = String::with_capacity(path.len());
            for (position, piece) in path.split('%').enumerate() {
                let (escape, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
                if position > 0 {
                    let _ = write!(upper, "%{}{rest}", escape.to_ascii_uppercase());
                } else {
                    upper.push_str(piece);
                }
            }
            Cow::Owned(upper)
        }
    }
}

const fn is_left_by_encode_uri(character: char) -> bool {
    matches!(character, ';' | ',' | '/' | '?' | ':' | '@' | '&' | '=' | '+' | '$' | '#' | '!' | '*' | '\'' | '(' | ')')
}

/// Decodes once whatever can be decoded, and lets the rest be.
pub fn decode_freely(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
