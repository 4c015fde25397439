//! What a recipe comes to for one request: the base string (RFC 5849 §3.4.1), the key (§3.4.2), and the signature as it
//! would have to be.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use zeroize::Zeroizing;

use super::ways::{
    BodyPart, Characters, Charset, Empty, EncodedAgain, Escapes, Host, KeyText, MethodText, Order, PartRaw, PathText,
    Port, Prefix, QueryPart, Recipe, Repeated, Space, Whose,
};
use crate::protocol::base_string::split_authority;
use crate::protocol::body_hash::body_hash;
use crate::protocol::encoding::encode;
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
    /// Of PLAINTEXT alone: whether another one is in the right form is seen before anything is computed.
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
        let key = self.key_text(recipe);
        if self.method != SignatureMethod::Plaintext {
            return Attempt { text: self.base_string(recipe), key, presented: String::new() };
        }
        let mut presented = self.presented.to_owned();
        if recipe.signature_twice {
            presented = decode_freely(&presented);
        }
        if recipe.signature_bare {
            presented = presented.replace(' ', "+");
        }
        Attempt { text: String::new(), key, presented }
    }

    fn key_text(&self, recipe: &Recipe) -> Zeroizing<String> {
        let VerificationKey::Shared(secrets) = self.key else { return Zeroizing::default() };
        let write = |secret: &str, (before, after): (&str, &str)| {
            // Nothing stands around a secret that is not there.
            let (before, after) = if secret.is_empty() { ("", "") } else { (before, after) };
            let read = Zeroizing::new(format!("{before}{secret}{after}"));
            if recipe.key_raw { read } else { Zeroizing::new(encode(&read).into_owned()) }
        };
        let (token, between) = match recipe.key {
            KeyText::Both => (secrets.token, "&"),
            KeyText::ClientAndAmpersand => ("", "&"),
            KeyText::ClientAlone => ("", ""),
            KeyText::WithoutAmpersand => (secrets.token, ""),
        };
        let (client, token) = (write(secrets.client, recipe.around.client), write(token, recipe.around.token));
        let (first, second) = if recipe.key_swapped { (token, client) } else { (client, token) };
        Zeroizing::new(format!("{}{between}{}", *first, *second))
    }

    fn base_string(&self, recipe: &Recipe) -> String {
        let method = self.request.method;
        let mut uri = String::with_capacity(128);
        self.write_uri(recipe, &mut uri);
        let mut list = String::with_capacity(512);
        for (position, pair) in self.pairs(recipe).iter().enumerate() {
            let _ = write!(list, "{}{}", if position > 0 { "&" } else { "" }, pair.name);
            if !(pair.value.is_empty() && recipe.empty == Empty::WithoutEquals) {
                let _ = write!(list, "={}", pair.value);
            }
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
            MethodText::Other(other) => other.to_owned(),
        };
        for (part, raw) in [(uri, PartRaw::Uri), (list, PartRaw::Parameters)] {
            text.push('&');
            if recipe.part_raw == raw || recipe.part_raw == PartRaw::Both {
                text.push_str(&part);
            } else {
                text.push_str(&spell_part(encode(&part), recipe));
            }
        }
        text
    }

    fn write_uri(&self, recipe: &Recipe, uri: &mut String) {
        let scheme = match (self.request.scheme, recipe.other_scheme) {
            (UriScheme::Http, false) | (UriScheme::Https, true) => UriScheme::Http,
            (UriScheme::Https, false) | (UriScheme::Http, true) => UriScheme::Https,
        };
        let authority = match recipe.host {
            Host::OfHeader => self.request.headers.host.unwrap_or(self.request.authority),
            Host::Lower | Host::AsSent | Host::Upper => self.request.authority,
        };
        let (host, port) = split_authority(authority);
        let port = port.filter(|port| !port.is_empty());
        let host = match recipe.host {
            Host::Lower | Host::OfHeader => Cow::Owned(host.to_ascii_lowercase()),
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
        uri.push_str(&move_path(spell_path(self.request.path, recipe.path), recipe));
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
        if let Some((name, value)) = recipe.added
            && !self.parameters.iter().any(|parameter| parameter.name == name)
        {
            pairs.push(Pair { name: name.to_owned(), value: value.to_owned(), source: Source::Header });
        }
        if recipe.empty == Empty::LeftOut {
            pairs.retain(|pair| !pair.value.is_empty());
        }
        if recipe.repeated != Repeated::All {
            pairs = merge(pairs, recipe.repeated);
        }
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
        if parameter.name == SIGNATURE || recipe.left_out.is_some_and(|name| parameter.name == name) {
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
    let text = recode(text, recipe.charset);
    let raw = is_in(recipe.raw);
    let (text, space, plus) = if raw { (decode_freely(&text), " ", "+") } else { (text.into_owned(), "%20", "%2B") };
    let text = match recipe.space {
        Space::Encoded => text,
        Space::Plus => text.replace(space, "+"),
        Space::PlusIsPlus if parameter.source != Source::Header => text.replace(space, plus),
        Space::PlusIsPlus => text,
    };
    let text = if raw { text } else { spell_characters(text, recipe.characters) };
    let text = match recipe.escapes {
        Escapes::Upper | Escapes::LowerOutside => text,
        Escapes::Lower | Escapes::LowerInside => with_escapes(&text, str::to_ascii_lowercase),
    };
    if is_in(recipe.twice) { encode(&text).into_owned() } else { text }
}

/// One of the two encoded parts of the base string, as this client's encoder writes it.
fn spell_part<'a>(part: Cow<'a, str>, recipe: &Recipe) -> Cow<'a, str> {
    let part = match recipe.characters {
        Characters::Right | Characters::MarksInside => part,
        Characters::Tilde | Characters::Marks | Characters::UrlEncoder => {
            Cow::Owned(spell_characters(part.into_owned(), recipe.characters))
        }
    };
    match recipe.escapes {
        Escapes::Upper | Escapes::LowerInside => part,
        Escapes::Lower | Escapes::LowerOutside => Cow::Owned(with_escapes(&part, str::to_ascii_lowercase)),
    }
}

fn spell_characters(text: String, characters: Characters) -> String {
    match characters {
        Characters::Right => text,
        Characters::Tilde => text.replace('~', "%7E"),
        Characters::Marks | Characters::MarksInside => {
            [("%21", "!"), ("%2A", "*"), ("%27", "'"), ("%28", "("), ("%29", ")")]
                .into_iter()
                .fold(text, |text, (escape, mark)| text.replace(escape, mark))
        }
        Characters::UrlEncoder => text.replace('~', "%7E").replace("%2A", "*"),
    }
}

/// All but what RFC 5849 §3.6 leaves.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The encoded text in another character set; as it is, where it can't be.
fn recode(text: Cow<'_, str>, charset: Charset) -> Cow<'_, str> {
    if matches!(charset, Charset::AsSent) || !text.contains('%') {
        return text;
    }
    let octets: Vec<u8> = percent_decode_str(&text).collect();
    if octets.is_ascii() {
        return text;
    }
    let of_latin1 = || octets.iter().copied().map(char::from).collect::<String>().into_bytes();
    let recoded = match (charset, std::str::from_utf8(&octets)) {
        (Charset::AsSent, _) => return text,
        (Charset::Twice, _) | (Charset::Other, Err(_)) => of_latin1(),
        (Charset::Other, Ok(letters)) => match letters.chars().map(|letter| u8::try_from(letter).ok()).collect() {
            Some(octets) => octets,
            None => return text,
        },
    };
    Cow::Owned(percent_encode(&recoded, RESERVED).to_string())
}

/// One pair for each name, where its first one stands.
fn merge(pairs: Vec<Pair>, repeated: Repeated) -> Vec<Pair> {
    let mut places: HashMap<String, usize> = HashMap::with_capacity(pairs.len());
    let mut merged: Vec<Pair> = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let place = *places.entry(pair.name.clone()).or_insert(merged.len());
        match (merged.get_mut(place), repeated) {
            (None, _) => merged.push(pair),
            (Some(kept), Repeated::Last) => kept.value = pair.value,
            (Some(kept), Repeated::Joined) => kept.value = format!("{}%2C{}", kept.value, pair.value),
            (Some(_), Repeated::First | Repeated::All) => {}
        }
    }
    merged
}

/// The path as it was before a proxy changed its beginning, with or without the slash at its end.
fn move_path<'a>(path: Cow<'a, str>, recipe: &Recipe) -> Cow<'a, str> {
    let path = match recipe.prefix {
        Prefix::AsSent => path,
        Prefix::Added => {
            let rest = path.get(1..).and_then(|path| path.find('/')).and_then(|end| path.get(end + 1..));
            Cow::Owned(rest.unwrap_or("/").to_owned())
        }
        Prefix::Removed(prefix) => Cow::Owned(format!("{prefix}{path}")),
    };
    match (recipe.other_slash, path.strip_suffix('/')) {
        (false, _) => path,
        (true, Some(without)) => Cow::Owned(without.to_owned()),
        (true, None) => Cow::Owned(format!("{path}/")),
    }
}

/// The text with its escapes, each without its `%`, changed.
fn with_escapes(text: &str, change: fn(&str) -> String) -> String {
    let mut changed = String::with_capacity(text.len());
    for (position, piece) in text.split('%').enumerate() {
        let (escape, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        if position > 0 {
            let _ = write!(changed, "%{}{rest}", change(escape));
        } else {
            changed.push_str(piece);
        }
    }
    changed
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
        PathText::UpperEscapes => Cow::Owned(with_escapes(path, str::to_ascii_uppercase)),
    }
}

const fn is_left_by_encode_uri(character: char) -> bool {
    matches!(character, ';' | ',' | '/' | '?' | ':' | '@' | '&' | '=' | '+' | '$' | '#' | '!' | '*' | '\'' | '(' | ')')
}

/// As [`decode_freely`], where the escapes are letters in Latin-1.
pub fn decode_latin1(text: &str) -> String {
    percent_decode_str(text).map(char::from).collect()
}

/// Decodes once whatever can be decoded, and lets the rest be.
pub fn decode_freely(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
