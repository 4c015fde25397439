//! Which known client mistake makes the signature that failed: the answer to "signature invalid".
//!
//! It puts the base string (RFC 5849 §3.4.1) and the key (§3.4.2) together as clients do that err in a known way, one
//! way at a time and then two, until one of them makes the signature that was presented. It finds out *how* a client
//! signed and admits nobody: no proof comes from here. It shows no secret, neither one that it was given nor one that
//! the client put into its request by mistake. The cost is bounded; how often it may be asked is decided above.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::base_string::{SignatureBaseString, split_authority};
use super::encoding::{encode, encode_into};
use super::oauth::{CALLBACK, SIGNATURE};
use super::parameters::{Parameter, Parameters, Source};
use super::request::{ReceivedRequest, UriScheme};
use super::signature::{SharedSecrets, SignatureMethod, VerificationKey, reproduces, verify};

/// The most signatures that are computed for one question.
pub const MAXIMUM_SIGNATURES: usize = 400;
/// The most RSA signatures that are checked for one question, each some 20 µs.
pub const MAXIMUM_RSA_SIGNATURES: usize = 100;
/// The most octets of base strings that are written for one question.
const MAXIMUM_TEXT: usize = 4 * 1024 * 1024;
/// The longest body that is read as what it is not.
const MAXIMUM_BODY: usize = 64 * 1024;

/// A mistake that clients are known to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "`advice` says what each one is")]
pub enum Mistake {
    QueryParametersLeftOut,
    BodyParametersLeftOut,
    BodyWronglyIncluded,
    DoubleEncoded,
    SpaceAsPlus,
    HttpScheme,
    PortIncluded,
    PortLeftOut,
    HostCase,
    TokenSecretMissing,
    SecretNotEncoded,
    SecretsSwapped,
    MethodLowerCase,
    ParametersUnsorted,
    ParametersRepeatedInHeader,
    RealmIncluded,
    PathReencoded,
    ParametersNotEncoded,
    SignatureNotEncoded,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::QueryParametersLeftOut,
        Self::BodyParametersLeftOut,
        Self::BodyWronglyIncluded,
        Self::DoubleEncoded,
        Self::SpaceAsPlus,
        Self::HttpScheme,
        Self::PortIncluded,
        Self::PortLeftOut,
        Self::HostCase,
        Self::TokenSecretMissing,
        Self::SecretNotEncoded,
        Self::SecretsSwapped,
        Self::MethodLowerCase,
        Self::ParametersUnsorted,
        Self::ParametersRepeatedInHeader,
        Self::RealmIncluded,
        Self::PathReencoded,
        Self::ParametersNotEncoded,
        Self::SignatureNotEncoded,
    ];

    /// The mistake of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mistake| mistake.as_str() == word)
    }

    /// The word for it, as programs and people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueryParametersLeftOut => "query-parameters-left-out",
            Self::BodyParametersLeftOut => "body-parameters-left-out",
            Self::BodyWronglyIncluded => "body-wrongly-included",
            Self::DoubleEncoded => "double-encoded",
            Self::SpaceAsPlus => "space-as-plus",
            Self::HttpScheme => "http-scheme",
            Self::PortIncluded => "port-included",
            Self::PortLeftOut => "port-left-out",
            Self::HostCase => "host-case",
            Self::TokenSecretMissing => "token-secret-missing",
            Self::SecretNotEncoded => "secret-not-encoded",
            Self::SecretsSwapped => "secrets-swapped",
            Self::MethodLowerCase => "method-lower-case",
            Self::ParametersUnsorted => "parameters-unsorted",
            Self::ParametersRepeatedInHeader => "parameters-repeated-in-header",
            Self::RealmIncluded => "realm-included",
            Self::PathReencoded => "path-reencoded",
            Self::ParametersNotEncoded => "parameters-not-encoded",
            Self::SignatureNotEncoded => "signature-not-encoded",
        }
    }

    /// What happened and what to do, in one sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::QueryParametersLeftOut => {
                "The parameters of the query were not signed: sort them in with the oauth_ parameters, and leave them out of the URL."
            }
            Self::BodyParametersLeftOut => {
                "The parameters of the form body were not signed: sort them in with the oauth_ parameters."
            }
            Self::BodyWronglyIncluded => {
                "The body was signed as parameters, but only one that is sent as application/x-www-form-urlencoded is; JSON and multipart bodies stay out."
            }
            Self::DoubleEncoded => {
                "Something was percent-encoded once too often before it was signed or sent: encode names and values once, and their joined list once more."
            }
            Self::SpaceAsPlus => {
                "A space was signed as + (or a + as itself): sign a space as %20 and a plus as %2B, as RFC 3986 encodes them."
            }
            Self::HttpScheme => {
                "Another scheme was signed than the one that the request came by: sign http or https as the server is reached from outside."
            }
            Self::PortIncluded => "The default port was signed: leave :80 out of http and :443 out of https URLs.",
            Self::PortLeftOut => "The port was left out: one that is not the default port of the scheme is signed.",
            Self::HostCase => "The host was signed with capital letters: sign it in lower case.",
            Self::TokenSecretMissing => {
                "The key has no token secret: it is the client secret, & and the token secret, and the & stays where there is no token."
            }
            Self::SecretNotEncoded => {
                "The secrets went into the key as they are: percent-encode each before they are joined by &."
            }
            Self::SecretsSwapped => "The secrets are in the wrong order: first the client's, then the token's.",
            Self::MethodLowerCase => "The method was not signed in upper case.",
            Self::ParametersUnsorted => {
                "The parameters were not sorted, or not by octets: sort by encoded name, then by encoded value."
            }
            Self::ParametersRepeatedInHeader => {
                "Parameters of the query or body were sent again in the Authorization header and signed once: only oauth_ parameters belong there."
            }
            Self::RealmIncluded => "The realm was signed: it is the one parameter of the header that is not.",
            Self::PathReencoded => {
                "The path was decoded or encoded again before it was signed: sign it exactly as it is sent."
            }
            Self::ParametersNotEncoded => {
                "Names or values were joined without percent-encoding each of them first: encode each, join them, and encode the whole."
            }
            Self::SignatureNotEncoded => {
                "The oauth_signature was sent with a bare +, which is a space in a query or form: percent-encode it as %2B."
            }
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What was found out about a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is right: there is nothing to explain.
    Right,
    /// These mistakes together, one or two, make it.
    Mistakes(Vec<Mistake>),
    /// None of the known ones makes it: most likely a secret is another one.
    Unknown,
}

/// What is told of a signature that failed. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What was found out.
    pub finding: Finding,
    /// The base string that should have been signed; none for PLAINTEXT, which signs none.
    pub expected: Option<String>,
    /// The base string that the client signed, when it was found out.
    pub signed: Option<String>,
    /// The first character, counted from 0, at which the two differ; none when they are equal: then it is the key.
    pub first_difference: Option<usize>,
}

impl Diagnosis {
    /// The finding for people.
    pub fn sentence(&self) -> String {
        match &self.finding {
            Finding::Right => "The signature is right.".to_owned(),
            Finding::Mistakes(mistakes) => mistakes.iter().map(|mistake| mistake.advice()).collect::<Vec<_>>().join(" "),
            Finding::Unknown => {
                "None of the known mistakes makes this signature: compare the base string with your own, and check that both secrets are the right ones.".to_owned()
            }
        }
    }
}

/// Finds out how `presented`, the decoded `oauth_signature`, was made.
///
/// `parameters`: all of `request`; `key`: the right one. At most [`MAXIMUM_SIGNATURES`] signatures are computed
/// (RSA: [`MAXIMUM_RSA_SIGNATURES`] checked).
pub fn diagnose(
    request: &ReceivedRequest<'_>,
    parameters: &Parameters<'_>,
    method: SignatureMethod,
    key: VerificationKey<'_>,
    presented: &str,
) -> Diagnosis {
    let evidence = Evidence { request, parameters, method, key, presented };
    let right = evidence.rebuild(&Recipe::default());
    let found = match key {
        // With the empty secret of a client that has none, anybody's signature would seem right.
        VerificationKey::Shared(SharedSecrets { client: "", token: _ }) => None,
        VerificationKey::Shared(_) | VerificationKey::Rsa(_) => evidence.search(&right, &mut Budget::new(method)),
    };
    let show = |attempt: &Attempt| match method {
        SignatureMethod::Plaintext => None,
        SignatureMethod::HmacSha1
        | SignatureMethod::HmacSha256
        | SignatureMethod::HmacSha512
        | SignatureMethod::RsaSha1
        | SignatureMethod::RsaSha256
        | SignatureMethod::RsaSha512 => without_secrets(&attempt.text, key),
    };
    let expected = show(&right);
    let (finding, signed) = match found {
        None => (Finding::Unknown, None),
        Some((mistakes, attempt)) if mistakes.is_empty() => (Finding::Right, show(&attempt)),
        Some((mistakes, attempt)) => (Finding::Mistakes(mistakes), show(&attempt)),
    };
    let first_difference = expected.as_deref().zip(signed.as_deref()).and_then(|(one, other)| differ_at(one, other));
    Diagnosis { finding, expected, signed, first_difference }
}

fn differ_at(one: &str, other: &str) -> Option<usize> {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    (one != other).then_some(same)
}

/// How a client put its signature together. The default is right in everything.
#[derive(Clone, Debug, Default)]
struct Recipe {
    method: MethodText,
    other_scheme: bool,
    port: Port,
    host: Host,
    path: PathText,
    query: QueryPart,
    body: BodyPart,
    realm: bool,
    header_once: bool,
    spelling: Spelling,
    encoded_again: EncodedAgain,
    order: Order,
    key: KeyText,
    signature: SignatureText,
}

impl Recipe {
    fn spoilt(ways: &[Spoil]) -> Self {
        let mut recipe = Self::default();
        ways.iter().for_each(|spoil| spoil(&mut recipe));
        recipe
    }
}

#[derive(Clone, Copy, Debug, Default)]
enum MethodText {
    #[default]
    Upper,
    Lower,
    Capitalized,
}

#[derive(Clone, Copy, Debug, Default)]
enum Port {
    #[default]
    UnlessDefault,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, Default)]
enum Host {
    #[default]
    Lower,
    AsSent,
    Upper,
}

#[derive(Clone, Copy, Debug, Default)]
enum PathText {
    #[default]
    AsSent,
    Canonical,
    Decoded,
    EncodedAgain,
    /// As `encodeURI` of JavaScript writes it.
    EncodeUri,
    UpperEscapes,
}

#[derive(Clone, Copy, Debug, Default)]
enum QueryPart {
    #[default]
    Signed,
    LeftOut,
    InUri,
    InUriAndSigned,
}

#[derive(Clone, Copy, Debug, Default)]
enum BodyPart {
    #[default]
    Right,
    LeftOut,
    AsForm,
    AsJson,
    AsMultipart,
    AsName,
}

/// How names and values are written before they are joined.
#[derive(Clone, Copy, Debug, Default)]
enum Spelling {
    #[default]
    Canonical,
    PlusForSpace,
    /// As `URLEncoder` of Java writes them.
    UrlEncoder,
    PlusIsPlus,
    AllTwice,
    OthersTwice,
    CallbackTwice,
    AllRaw,
    OthersRaw,
    CallbackRaw,
}

#[derive(Clone, Copy, Debug, Default)]
enum EncodedAgain {
    #[default]
    Nothing,
    Parameters,
    Everything,
}

#[derive(Clone, Copy, Debug, Default)]
enum Order {
    #[default]
    Sorted,
    AsSent([Source; 3]),
    ByName,
    WithoutCase,
    Decoded,
    ByPair,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum KeyText {
    #[default]
    Right,
    ClientAlone,
    ClientAndAmpersand,
    Raw,
    Swapped,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum SignatureText {
    #[default]
    AsSent,
    EncodedTwice,
    BarePlus,
}

/// Turns a recipe that is right in one thing into one that is wrong in it.
type Spoil = fn(&mut Recipe);

/// Every way to err, the likeliest first.
const WAYS: &[Way] = {
    use Source::{Body, Header, Query};
    &[
        (Mistake::TokenSecretMissing, |recipe| recipe.key = KeyText::ClientAndAmpersand),
        (Mistake::TokenSecretMissing, |recipe| recipe.key = KeyText::ClientAlone),
        (Mistake::SecretNotEncoded, |recipe| recipe.key = KeyText::Raw),
        (Mistake::SecretsSwapped, |recipe| recipe.key = KeyText::Swapped),
        (Mistake::QueryParametersLeftOut, |recipe| recipe.query = QueryPart::LeftOut),
        (Mistake::QueryParametersLeftOut, |recipe| recipe.query = QueryPart::InUri),
        (Mistake::QueryParametersLeftOut, |recipe| recipe.query = QueryPart::InUriAndSigned),
        (Mistake::BodyParametersLeftOut, |recipe| recipe.body = BodyPart::LeftOut),
        (Mistake::BodyWronglyIncluded, |recipe| recipe.body = BodyPart::AsForm),
        (Mistake::BodyWronglyIncluded, |recipe| recipe.body = BodyPart::AsJson),
        (Mistake::BodyWronglyIncluded, |recipe| recipe.body = BodyPart::AsMultipart),
        (Mistake::BodyWronglyIncluded, |recipe| recipe.body = BodyPart::AsName),
        (Mistake::HttpScheme, |recipe| recipe.other_scheme = true),
        (Mistake::PortIncluded, |recipe| recipe.port = Port::Always),
        (Mistake::PortLeftOut, |recipe| recipe.port = Port::Never),
        (Mistake::SignatureNotEncoded, |recipe| recipe.signature = SignatureText::BarePlus),
        (Mistake::DoubleEncoded, |recipe| recipe.signature = SignatureText::EncodedTwice),
        (Mistake::DoubleEncoded, |recipe| recipe.spelling = Spelling::AllTwice),
        (Mistake::DoubleEncoded, |recipe| recipe.spelling = Spelling::OthersTwice),
        (Mistake::DoubleEncoded, |recipe| recipe.spelling = Spelling::CallbackTwice),
        (Mistake::DoubleEncoded, |recipe| recipe.encoded_again = EncodedAgain::Parameters),
        (Mistake::DoubleEncoded, |recipe| recipe.encoded_again = EncodedAgain::Everything),
        (Mistake::SpaceAsPlus, |recipe| recipe.spelling = Spelling::PlusForSpace),
        (Mistake::SpaceAsPlus, |recipe| recipe.spelling = Spelling::UrlEncoder),
        (Mistake::SpaceAsPlus, |recipe| recipe.spelling = Spelling::PlusIsPlus),
        (Mistake::ParametersNotEncoded, |recipe| recipe.spelling = Spelling::AllRaw),
        (Mistake::ParametersNotEncoded, |recipe| recipe.spelling = Spelling::OthersRaw),
        (Mistake::ParametersNotEncoded, |recipe| recipe.spelling = Spelling::CallbackRaw),
        (Mistake::ParametersRepeatedInHeader, |recipe| recipe.header_once = true),
        (Mistake::RealmIncluded, |recipe| recipe.realm = true),
        (Mistake::PathReencoded, |recipe| recipe.path = PathText::Canonical),
        (Mistake::PathReencoded, |recipe| recipe.path = PathText::Decoded),
        (Mistake::PathReencoded, |recipe| recipe.path = PathText::EncodedAgain),
        (Mistake::PathReencoded, |recipe| recipe.path = PathText::EncodeUri),
        (Mistake::PathReencoded, |recipe| recipe.path = PathText::UpperEscapes),
        (Mistake::ParametersUnsorted, |recipe| recipe.order = Order::AsSent([Header, Query, Body])),
        (Mistake::ParametersUnsorted, |recipe| recipe.order = Order::AsSent([Query, Header, Body])),
        (Mistake::ParametersUnsorted, |recipe| recipe.order = Order::AsSent([Query, Body, Header])),
        (Mistake::ParametersUnsorted, |recipe| recipe.order = Order::AsSent([Body, Query, Header])),
        (Mistake::ParametersUnsorted, |recipe| recipe.order = Order::AsSent([Body, Header, Query])),
        (Mistake::ParametersUnsorted, |recipe| recipe.order = Order::AsSent([Header, Body, Query])),
        (Mistake::ParametersUnsorted, |recipe| recipe.order = Order::ByName),
        (Mistake::ParametersUnsorted, |recipe| recipe.order = Order::WithoutCase),
        (Mistake::ParametersUnsorted, |recipe| recipe.order = Order::Decoded),
        (Mistake::ParametersUnsorted, |recipe| recipe.order = Order::ByPair),
        (Mistake::HostCase, |recipe| recipe.host = Host::AsSent),
        (Mistake::HostCase, |recipe| recipe.host = Host::Upper),
        (Mistake::MethodLowerCase, |recipe| recipe.method = MethodText::Lower),
        (Mistake::MethodLowerCase, |recipe| recipe.method = MethodText::Capitalized),
    ]
};

type Way = (Mistake, Spoil);

/// Each two ways of different mistakes, the likeliest two first: where the budget ends, it ends at the rarest.
fn likeliest_pairs(ways: &[Way]) -> Vec<(&Way, &Way)> {
    let ranked = || ways.iter().enumerate();
    let mut pairs: Vec<_> = ranked()
        .flat_map(|(rank, first)| ranked().skip(rank + 1).map(move |(other, second)| (rank + other, first, second)))
        .filter(|(_, first, second)| first.0 != second.0)
        .collect();
    pairs.sort_by_key(|(rank, _, _)| *rank);
    pairs.into_iter().map(|(_, first, second)| (first, second)).collect()
}

/// What one recipe comes to: two recipes with the same attempt need one signature.
#[derive(Clone, PartialEq, Eq)]
struct Attempt {
    text: String,
    key: Zeroizing<String>,
    presented: String,
}

impl Hash for Attempt {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.text, self.key.as_str(), &self.presented).hash(state);
    }
}

/// All that is known of the request.
struct Evidence<'a> {
    request: &'a ReceivedRequest<'a>,
    parameters: &'a Parameters<'a>,
    method: SignatureMethod,
    key: VerificationKey<'a>,
    presented: &'a str,
}

impl Evidence<'_> {
    /// The mistakes that make the signature, none if it is right, and what they come to.
    fn search(&self, right: &Attempt, budget: &mut Budget) -> Option<(Vec<Mistake>, Attempt)> {
        if budget.allows(right) && self.holds(right) {
            return Some((Vec::new(), right.clone()));
        }
        // Most ways change nothing about a given request. Those that do are tried alone, then in pairs.
        let mut effective: Vec<Way> = Vec::new();
        for (mistake, spoil) in WAYS {
            if budget.is_spent() {
                return None;
            }
            let attempt = self.rebuild(&Recipe::spoilt(&[*spoil]));
            if budget.allows(&attempt) {
                if self.holds(&attempt) {
                    return Some((vec![*mistake], attempt));
                }
                effective.push((*mistake, *spoil));
            }
        }
        for ((first, spoil_first), (second, spoil_second)) in likeliest_pairs(&effective) {
            if budget.is_spent() {
                return None;
            }
            let attempt = self.rebuild(&Recipe::spoilt(&[*spoil_first, *spoil_second]));
            if budget.allows(&attempt) && self.holds(&attempt) {
                return Some((vec![*first, *second], attempt));
            }
        }
        None
    }

    fn holds(&self, attempt: &Attempt) -> bool {
        match self.key {
            VerificationKey::Shared(_) => reproduces(self.method, &attempt.text, &attempt.key, &attempt.presented),
            VerificationKey::Rsa(_) => {
                let text = SignatureBaseString::of_text(attempt.text.clone());
                verify(self.method, &text, self.key, &attempt.presented).is_ok()
            }
        }
    }

    fn rebuild(&self, recipe: &Recipe) -> Attempt {
        let text = match self.method {
            SignatureMethod::Plaintext => String::new(),
            SignatureMethod::HmacSha1
            | SignatureMethod::HmacSha256
            | SignatureMethod::HmacSha512
            | SignatureMethod::RsaSha1
            | SignatureMethod::RsaSha256
            | SignatureMethod::RsaSha512 => self.base_string(recipe),
        };
        let presented = match recipe.signature {
            SignatureText::AsSent => self.presented.to_owned(),
            SignatureText::EncodedTwice => decode_freely(self.presented),
            SignatureText::BarePlus => self.presented.replace(' ', "+"),
        };
        Attempt { text, key: self.key_text(recipe.key), presented }
    }

    fn key_text(&self, key: KeyText) -> Zeroizing<String> {
        let VerificationKey::Shared(secrets) = self.key else { return Zeroizing::default() };
        let encoded = |secret: &str| Zeroizing::new(encode(secret).into_owned());
        let (client, token) = (encoded(secrets.client), encoded(secrets.token));
        Zeroizing::new(match key {
            KeyText::Right => format!("{}&{}", *client, *token),
            KeyText::ClientAlone => (*client).clone(),
            KeyText::ClientAndAmpersand => format!("{}&", *client),
            KeyText::Raw => format!("{}&{}", secrets.client, secrets.token),
            KeyText::Swapped => format!("{}&{}", *token, *client),
        })
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
        let mut pairs: Vec<Pair> = self
            .parameters
            .iter()
            .filter(|parameter| self.is_signed(parameter, recipe))
            .map(|parameter| Pair {
                name: spell(&parameter.name, parameter, recipe.spelling),
                value: spell(&parameter.value, parameter, recipe.spelling),
                source: parameter.source,
            })
            .collect();
        pairs.extend(self.body_pairs(recipe.body));
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

    fn is_sent_elsewhere(&self, repeated: &Parameter<'_>) -> bool {
        self.parameters.iter().any(|parameter| {
            parameter.source != Source::Header
                && (&parameter.name, &parameter.value) == (&repeated.name, &repeated.value)
        })
    }

    /// The parameters that a client sees in a body that has none.
    fn body_pairs(&self, reading: BodyPart) -> Vec<Pair> {
        let body = self
            .request
            .body
            .filter(|body| !self.request.has_form_type() && !body.is_empty() && body.len() <= MAXIMUM_BODY);
        let Some(body) = body.and_then(|body| std::str::from_utf8(body).ok()) else { return Vec::new() };
        match reading {
            BodyPart::Right | BodyPart::LeftOut => Vec::new(),
            BodyPart::AsForm => Parameters::of_form(body, Source::Body).map_or_else(
                |_| Vec::new(),
                |parameters| {
                    let pair = |parameter: &Parameter<'_>| Pair {
                        name: parameter.name.clone().into_owned(),
                        value: parameter.value.clone().into_owned(),
                        source: Source::Body,
                    };
                    parameters.iter().map(pair).collect()
                },
            ),
            BodyPart::AsJson => json_members(body),
            BodyPart::AsMultipart => multipart_fields(body),
            BodyPart::AsName => vec![Pair::of(body, "")],
        }
    }
}

/// One name and value as they are joined.
struct Pair {
    name: String,
    value: String,
    source: Source,
}

impl Pair {
    /// Of a decoded name and value in the body.
    fn of(name: &str, value: &str) -> Self {
        Self { name: encode(name).into_owned(), value: encode(value).into_owned(), source: Source::Body }
    }
}

/// The members of a JSON object as a script turns them into text.
fn json_members(body: &str) -> Vec<Pair> {
    let Ok(serde_json::Value::Object(members)) = serde_json::from_str(body) else { return Vec::new() };
    members
        .iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => Pair::of(name, text),
            other => Pair::of(name, &other.to_string()),
        })
        .collect()
}

/// The text fields of a multipart body (RFC 7578); files are left out.
fn multipart_fields(body: &str) -> Vec<Pair> {
    let Some((boundary, _)) = body.split_once("\r\n").filter(|(line, _)| line.starts_with("--")) else {
        return Vec::new();
    };
    body.split(boundary)
        .filter_map(|part| {
            let (head, content) = part.split_once("\r\n\r\n")?;
            let (_, name) = head.split_once("name=\"")?;
            let (name, _) = name.split_once('"')?;
            (!head.contains("filename")).then(|| Pair::of(name, content.strip_suffix("\r\n").unwrap_or(content)))
        })
        .collect()
}

/// `text`, the encoded name or value of `parameter`, as this client writes it.
fn spell(text: &str, parameter: &Parameter<'_>, spelling: Spelling) -> String {
    let own = parameter.name.starts_with("oauth_");
    let callback = parameter.name == CALLBACK;
    // The realm is kept as it was sent; everything else is canonical.
    let text = if parameter.source == Source::Header && parameter.name.eq_ignore_ascii_case("realm") {
        encode(text)
    } else {
        Cow::Borrowed(text)
    };
    let again = |applies: bool| if applies { encode(&text).into_owned() } else { text.clone().into_owned() };
    let raw = |applies: bool| if applies { decode_freely(&text) } else { text.clone().into_owned() };
    match spelling {
        Spelling::Canonical => text.into_owned(),
        Spelling::PlusForSpace => text.replace("%20", "+"),
        Spelling::UrlEncoder => text.replace("%20", "+").replace("%2A", "*").replace('~', "%7E"),
        Spelling::PlusIsPlus if parameter.source != Source::Header => text.replace("%20", "%2B"),
        Spelling::PlusIsPlus => text.into_owned(),
        Spelling::AllTwice => again(true),
        Spelling::OthersTwice => again(!own),
        Spelling::CallbackTwice => again(callback),
        Spelling::AllRaw => raw(true),
        Spelling::OthersRaw => raw(!own),
        Spelling::CallbackRaw => raw(callback),
    }
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
fn decode_freely(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What may still be spent on one question.
struct Budget {
    signatures: usize,
    octets: usize,
    tried: HashSet<Attempt>,
}

impl Budget {
    fn new(method: SignatureMethod) -> Self {
        let signatures = if method.is_rsa() { MAXIMUM_RSA_SIGNATURES } else { MAXIMUM_SIGNATURES };
        Self { signatures, octets: MAXIMUM_TEXT, tried: HashSet::new() }
    }

    /// Whether this attempt is new and may be paid for; it is paid for then. Writing a text that was tried before has
    /// its price too.
    fn allows(&mut self, attempt: &Attempt) -> bool {
        if self.is_spent() {
            return false;
        }
        self.octets = self.octets.saturating_sub(attempt.text.len());
        if !self.tried.insert(attempt.clone()) {
            return false;
        }
        self.signatures -= 1;
        true
    }

    const fn is_spent(&self) -> bool {
        self.signatures == 0 || self.octets == 0
    }
}

/// The text with every trace of the secrets struck out; `None` when one could still be read out of it.
///
/// A client may send its secret as a parameter by mistake, and then it is in the base string, encoded once or more.
pub fn without_secrets(text: &str, key: VerificationKey<'_>) -> Option<String> {
    let VerificationKey::Shared(SharedSecrets { client, token }) = key else { return Some(text.to_owned()) };
    let secrets: Vec<&str> = [client, token].into_iter().filter(|secret| !secret.is_empty()).collect();
    let mut shown = Zeroizing::new(text.to_owned());
    for secret in &secrets {
        let mut spelled = vec![Zeroizing::new((*secret).to_owned())];
        for _ in 0..DEPTH {
            let deeper = spelled.last().map(|last| Zeroizing::new(encode(last).into_owned()));
            spelled.extend(deeper);
        }
        // The longest spelling first: a shorter one may be a part of it.
        for spelled in spelled.iter().rev() {
            shown = Zeroizing::new(shown.replace(spelled.as_str(), STRUCK_OUT));
        }
    }
    let readable = [false, true].into_iter().any(|plus_is_space| {
        let mut reading = shown.clone();
        (0..=DEPTH).any(|_| {
            let read = secrets.iter().any(|secret| reading.contains(secret));
            let spaced = if plus_is_space { reading.replace('+', "%20") } else { (*reading).clone() };
            reading = Zeroizing::new(decode_freely(&spaced));
            read || secrets.iter().any(|secret| reading.contains(secret))
        })
    });
    (!readable).then(|| shown.to_string())
}

/// What stands for a secret: no letter, so that no secret of letters and digits can be a part of it.
const STRUCK_OUT: &str = "***";
/// How often a value can be encoded in any base string that is written here.
const DEPTH: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Headers, Sent};
    use crate::protocol::signature::{RsaSigningKey, RsaVerificationKey, SigningKey, sign};
    use crate::time::Timestamp;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;
    use sha1::Sha1;

    const SECRETS: SharedSecrets<'_> = SharedSecrets { client: "cl$ent-s3cret", token: "t0ken&s3cret" };
    const KEY: &str = "cl%24ent-s3cret&t0ken%26s3cret";
    const HEADER: &str = concat!(
        "OAuth realm=\"R s\", oauth_consumer_key=\"k\", oauth_token=\"t\", oauth_signature_method=\"HMAC-SHA1\", ",
        "oauth_timestamp=\"1\", oauth_nonce=\"n1\""
    );
    const OWN: &str =
        "oauth_consumer_key=k&oauth_nonce=n1&oauth_signature_method=HMAC-SHA1&oauth_timestamp=1&oauth_token=t";
    const FORM: &str = "application/x-www-form-urlencoded";

    /// `POST https://API.example.com:8443/a%2fb/~x%20y?z=1&q=a%20b`, with the form `n=v+w&f=1`.
    fn request() -> ReceivedRequest<'static> {
        ReceivedRequest {
            method: "POST",
            scheme: UriScheme::Https,
            authority: "API.example.com:8443",
            path: "/a%2fb/~x%20y",
            query: Some("z=1&q=a%20b"),
            headers: Headers { authorization: Sent::Once(HEADER), content_type: Some(FORM), ..Headers::default() },
            body: Some(b"n=v+w&f=1"),
            client_address: [127, 0, 0, 1].into(),
            arrived: Timestamp::from_unix(0),
        }
    }

    const URI: &str = "https://api.example.com:8443/a%2fb/~x%20y";

    fn list() -> String {
        format!("f=1&n=v%20w&{OWN}&q=a%20b&z=1")
    }

    fn base(method: &str, uri: &str, list: &str) -> String {
        format!("{method}&{}&{}", encode(uri), encode(list))
    }

    fn mac(key: &str, text: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    fn diagnosed(request: &ReceivedRequest<'_>, method: SignatureMethod, presented: &str) -> Diagnosis {
        let parameters = Parameters::collect(request).unwrap();
        diagnose(request, &parameters, method, VerificationKey::Shared(SECRETS), presented)
    }

    /// The words for a request that was signed with this base string and key.
    fn found(request: &ReceivedRequest<'_>, text: &str, key: &str) -> Vec<Mistake> {
        let diagnosis = diagnosed(request, SignatureMethod::HmacSha1, &mac(key, text));
        match &diagnosis.finding {
            Finding::Mistakes(mistakes) => {
                assert_eq!(diagnosis.signed.as_deref(), Some(text));
                mistakes.clone()
            }
            Finding::Right | Finding::Unknown => Vec::new(),
        }
    }

    #[test]
    fn a_right_signature_is_called_right_and_a_strange_one_unknown() {
        let text = base("POST", URI, &list());
        let right = diagnosed(&request(), SignatureMethod::HmacSha1, &mac(KEY, &text));
        assert_eq!((right.finding, right.expected.as_deref()), (Finding::Right, Some(text.as_str())));
        let unknown = diagnosed(&request(), SignatureMethod::HmacSha1, &mac("other&secret", &text));
        assert_eq!((unknown.finding, unknown.signed), (Finding::Unknown, None));
    }

    #[test]
    fn each_mistake_in_the_base_string_is_recognized() {
        use Mistake::*;
        let list = list();
        for (mistake, method, uri, list) in [
            (QueryParametersLeftOut, "POST", URI, format!("f=1&n=v%20w&{OWN}")),
            (QueryParametersLeftOut, "POST", "https://api.example.com:8443/a%2fb/~x%20y?z=1&q=a%20b", format!("f=1&n=v%20w&{OWN}")),
            (BodyParametersLeftOut, "POST", URI, format!("{OWN}&q=a%20b&z=1")),
            (DoubleEncoded, "POST", URI, list.replace('%', "%25")),
            (DoubleEncoded, "POST", URI, encode(&list).into_owned()),
            (SpaceAsPlus, "POST", URI, list.replace("%20", "+")),
            (SpaceAsPlus, "POST", URI, list.replace("%20", "%2B")),
            (HttpScheme, "POST", "http://api.example.com:8443/a%2fb/~x%20y", list.clone()),
            (PortLeftOut, "POST", "https://api.example.com/a%2fb/~x%20y", list.clone()),
            (HostCase, "POST", "https://API.example.com:8443/a%2fb/~x%20y", list.clone()),
            (MethodLowerCase, "post", URI, list.clone()),
            (MethodLowerCase, "Post", URI, list.clone()),
            (ParametersUnsorted, "POST", URI, "oauth_consumer_key=k&oauth_token=t&oauth_signature_method=HMAC-SHA1&oauth_timestamp=1&oauth_nonce=n1&z=1&q=a%20b&n=v%20w&f=1".to_owned()),
            (ParametersUnsorted, "POST", URI, "n=v%20w&f=1&z=1&q=a%20b&oauth_consumer_key=k&oauth_token=t&oauth_signature_method=HMAC-SHA1&oauth_timestamp=1&oauth_nonce=n1".to_owned()),
            (RealmIncluded, "POST", URI, list.replace("&z=1", "&realm=R%20s&z=1")),
            (PathReencoded, "POST", "https://api.example.com:8443/a%2Fb/~x%20y", list.clone()),
            (PathReencoded, "POST", "https://api.example.com:8443/a/b/~x y", list.clone()),
            (PathReencoded, "POST", "https://api.example.com:8443/a%252fb/~x%2520y", list.clone()),
            (ParametersNotEncoded, "POST", URI, list.replace("%20", " ")),
        ] {
            assert_eq!(found(&request(), &base(method, uri, &list), KEY), [mistake], "{method} {uri} {list}");
        }
    }

    #[test]
    fn each_mistake_in_the_key_is_recognized_and_the_base_strings_agree() {
        let text = base("POST", URI, &list());
        for (mistake, key) in [
            (Mistake::TokenSecretMissing, "cl%24ent-s3cret&"),
            (Mistake::TokenSecretMissing, "cl%24ent-s3cret"),
            (Mistake::SecretNotEncoded, "cl$ent-s3cret&t0ken&s3cret"),
            (Mistake::SecretsSwapped, "t0ken%26s3cret&cl%24ent-s3cret"),
        ] {
            let diagnosis = diagnosed(&request(), SignatureMethod::HmacSha1, &mac(key, &text));
            assert_eq!(diagnosis.finding, Finding::Mistakes(vec![mistake]), "{key}");
            assert_eq!((diagnosis.expected, diagnosis.first_difference), (diagnosis.signed, None));
        }
    }

    #[test]
    fn the_default_port_must_not_be_signed() {
        let request = ReceivedRequest { authority: "api.example.com", ..request() };
        let text = base("POST", "https://api.example.com:443/a%2fb/~x%20y", &list());
        assert_eq!(found(&request, &text, KEY), [Mistake::PortIncluded]);
    }

    #[test]
    fn a_body_that_is_no_form_must_not_be_signed() {
        let of = |content_type: &'static str, body: &'static str| ReceivedRequest {
            headers: Headers { content_type: Some(content_type), ..request().headers },
            body: Some(body.as_bytes()),
            ..request()
        };
        let json = r#"{"name":"a b","count":3,"on":true}"#;
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na b\r\n--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n...\r\n--x--\r\n";
        for (content_type, body, list) in [
            ("text/plain", "name=a+b", format!("name=a%20b&{OWN}&q=a%20b&z=1")),
            ("application/json", json, format!("count=3&name=a%20b&{OWN}&on=true&q=a%20b&z=1")),
            ("application/json", json, format!("{}=&{OWN}&q=a%20b&z=1", encode(json))),
            ("multipart/form-data; boundary=x", multipart, format!("name=a%20b&{OWN}&q=a%20b&z=1")),
        ] {
            let text = base("POST", URI, &list);
            assert_eq!(found(&of(content_type, body), &text, KEY), [Mistake::BodyWronglyIncluded], "{list}");
        }
    }

    #[test]
    fn parameters_that_stand_in_the_header_as_well_are_signed_twice() {
        let header = format!("{HEADER}, q=\"a%20b\"");
        let request = ReceivedRequest {
            headers: Headers { authorization: Sent::Once(&header), ..request().headers },
            ..request()
        };
        let text = base("POST", URI, &list());
        assert_eq!(found(&request, &text, KEY), [Mistake::ParametersRepeatedInHeader]);
    }

    #[test]
    fn a_signature_that_was_spoilt_on_its_way_is_recognized() {
        let text = base("POST", URI, &list());
        // One with + and / in it: the nonce of the request stays, so the path is varied.
        let (request, signature) = ('a'..='z')
            .map(|letter| format!("{URI}/{letter}"))
            .map(|uri| {
                (
                    uri.strip_prefix("https://api.example.com:8443").unwrap().to_owned(),
                    text.replace(&*encode(URI), &encode(&uri)),
                )
            })
            .map(|(path, text)| (path, mac(KEY, &text)))
            .find(|(_, signature)| signature.contains('+'))
            .unwrap();
        let request = ReceivedRequest { path: &request, ..self::request() };
        let of = |presented: &str| diagnosed(&request, SignatureMethod::HmacSha1, presented).finding;
        assert_eq!(of(&signature), Finding::Right);
        assert_eq!(of(&encode(&signature)), Finding::Mistakes(vec![Mistake::DoubleEncoded]));
        assert_eq!(of(&signature.replace('+', " ")), Finding::Mistakes(vec![Mistake::SignatureNotEncoded]));
    }

    #[test]
    fn two_mistakes_at_once_are_recognized() {
        use Mistake::*;
        let text = base("POST", "http://api.example.com/a%2fb/~x%20y", &list());
        assert_eq!(found(&request(), &text, KEY), [HttpScheme, PortLeftOut]);
        let text = base("POST", URI, &format!("{OWN}&q=a%20b&z=1"));
        assert_eq!(found(&request(), &text, "cl%24ent-s3cret&"), [TokenSecretMissing, BodyParametersLeftOut]);
        let text = base("POST", URI, &format!("f=1&n=v+w&{OWN}"));
        assert_eq!(found(&request(), &text, KEY), [QueryParametersLeftOut, SpaceAsPlus]);
    }

    #[test]
    fn both_base_strings_and_the_first_difference_are_told() {
        let text = base("POST", "http://api.example.com:8443/a%2fb/~x%20y", &list());
        let diagnosis = diagnosed(&request(), SignatureMethod::HmacSha1, &mac(KEY, &text));
        assert_eq!(diagnosis.first_difference, Some("POST&http".len()));
        assert_eq!(diagnosis.expected, Some(base("POST", URI, &list())));
        assert_eq!(diagnosis.signed, Some(text));
        assert_eq!(diagnosis.sentence(), Mistake::HttpScheme.advice());
    }

    #[test]
    fn plaintext_shows_no_base_string() {
        for (presented, finding) in [
            (KEY, Finding::Right),
            ("cl%24ent-s3cret&", Finding::Mistakes(vec![Mistake::TokenSecretMissing])),
            ("cl$ent-s3cret&t0ken&s3cret", Finding::Mistakes(vec![Mistake::SecretNotEncoded])),
            ("t0ken%26s3cret&cl%24ent-s3cret", Finding::Mistakes(vec![Mistake::SecretsSwapped])),
            ("cl%2524ent-s3cret%26t0ken%2526s3cret", Finding::Mistakes(vec![Mistake::DoubleEncoded])),
            ("wrong&wrong", Finding::Unknown),
        ] {
            let diagnosis = diagnosed(&request(), SignatureMethod::Plaintext, presented);
            let silent = Diagnosis { finding, expected: None, signed: None, first_difference: None };
            assert_eq!(diagnosis, silent, "{presented}");
        }
    }

    #[test]
    fn a_client_without_a_secret_is_never_called_right() {
        let secrets = SharedSecrets { client: "", token: "" };
        let parameters = Parameters::collect(&request()).unwrap();
        let presented = mac("&", &base("POST", URI, &list()));
        let key = VerificationKey::Shared(secrets);
        let diagnosis = diagnose(&request(), &parameters, SignatureMethod::HmacSha1, key, &presented);
        assert_eq!(diagnosis.finding, Finding::Unknown);
    }

    #[test]
    fn an_rsa_signature_is_explained_by_verifying() {
        let file = include_str!("../../tests/vectors/signature-methods.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        let pem = |name: &str| file["vectors"][0][name][0].as_str().unwrap().to_owned();
        let private = RsaSigningKey::from_pem(&pem("private_keys")).unwrap();
        let public = RsaVerificationKey::from_pem(&pem("public_keys")).unwrap();
        let text = base("POST", "https://api.example.com/a%2fb/~x%20y", &format!("{OWN}&q=a%20b&z=1"));
        let signed = SignatureBaseString::of_text(text.clone());
        let presented = sign(SignatureMethod::RsaSha256, &signed, &SigningKey::Rsa(&private)).unwrap();
        let parameters = Parameters::collect(&request()).unwrap();
        let key = VerificationKey::Rsa(&public);
        let diagnosis = diagnose(&request(), &parameters, SignatureMethod::RsaSha256, key, &presented);
        assert_eq!(diagnosis.signed, Some(text));
        assert_eq!(diagnosis.finding, Finding::Mistakes(vec![Mistake::BodyParametersLeftOut, Mistake::PortLeftOut]));
    }

    #[test]
    fn a_secret_that_was_sent_as_a_parameter_is_struck_out() {
        let query = "client_secret=cl%24ent-s3cret&double=t0ken%2526s3cret&plus=x";
        let request = ReceivedRequest { query: Some(query), ..request() };
        let shown = diagnosed(&request, SignatureMethod::HmacSha1, "").expected.unwrap();
        assert!(shown.contains("client_secret%3D***%26double%3D***%26"), "{shown}");
    }

    #[test]
    fn a_secret_that_could_still_be_read_keeps_the_base_string_back() {
        // Needlessly escaped inside a value: no spelling of the secret, but it decodes to it.
        let query = "x=cl%2524ent%252Ds3cret";
        let request = ReceivedRequest { query: Some(query), ..request() };
        assert_eq!(diagnosed(&request, SignatureMethod::HmacSha1, "").expected, None);
        let lower = ReceivedRequest { query: Some("x=t0ken%2526s3%2563ret"), ..request };
        assert_eq!(diagnosed(&lower, SignatureMethod::HmacSha1, "").expected, None);
    }

    #[test]
    fn no_more_is_computed_than_the_budget_allows() {
        // So much can go wrong here that not every pair can be tried.
        let header = format!("{HEADER}, q=\"a%20b\", oauth_callback=\"http%3A%2F%2Fh%2F\"");
        let headers = Headers { authorization: Sent::Once(&header), ..request().headers };
        let request = ReceivedRequest { headers, query: Some("z=1&q=a%20b&q=~&Q=*&q%21=%2a"), ..request() };
        let parameters = Parameters::collect(&request).unwrap();
        let (method, key, presented) = (SignatureMethod::HmacSha1, VerificationKey::Shared(SECRETS), "A%41 AA");
        let evidence = Evidence { request: &request, parameters: &parameters, method, key, presented };
        let right = evidence.rebuild(&Recipe::default());
        let mut budget = Budget::new(method);
        assert!(evidence.search(&right, &mut budget).is_none());
        assert_eq!((budget.signatures, budget.tried.len()), (0, MAXIMUM_SIGNATURES));
        // The text that is written has its price too, also when it was tried before.
        let mut budget = Budget { octets: 3 * right.text.len(), ..Budget::new(method) };
        assert!(budget.allows(&right) && !budget.allows(&right));
        assert!(evidence.search(&right, &mut budget).is_none());
        assert!(budget.is_spent() && budget.tried.len() <= 3);
    }

    #[test]
    fn every_word_has_its_own_advice() {
        let words: HashSet<_> = WAYS.iter().map(|(mistake, _)| mistake.as_str()).collect();
        let advice: HashSet<_> = WAYS.iter().map(|(mistake, _)| mistake.advice()).collect();
        assert_eq!((words.len(), advice.len()), (19, 19));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_request_makes_it_panic_or_tell_a_secret(
            method in "[A-Za-z]{0,6}", authority in "\\PC{0,12}", path in "\\PC{0,20}", query in "\\PC{0,30}",
            body: Vec<u8>, header in "\\PC{0,30}", presented in "\\PC{0,40}", client in "[a-z$ +%]{1,3}",
        ) {
            let header = format!("OAuth {header}");
            let request = ReceivedRequest {
                method: &method, authority: &authority, path: &path, query: Some(&query), body: Some(&body),
                headers: Headers { authorization: Sent::Once(&header), ..request().headers },
                ..request()
            };
            if let Ok(parameters) = Parameters::collect(&request) {
                let key = VerificationKey::Shared(SharedSecrets { client: &client, token: "" });
                let diagnosis = diagnose(&request, &parameters, SignatureMethod::HmacSha1, key, &presented);
                for text in diagnosis.expected.iter().chain(&diagnosis.signed) {
                    prop_assert!(!text.contains(&client) && !decode_freely(text).contains(&client), "{}", text);
                }
            }
        }
    }
}
