//! The known ways to err, as recipes: what a client does differently, one field for each thing that it can do wrong
//! beside the others.

use super::mistakes::Mistake;
use crate::protocol::oauth::{
    BODY_HASH, CALLBACK, CONSUMER_KEY, NONCE, SIGNATURE_METHOD, TIMESTAMP, TOKEN, VERIFIER, VERSION,
};
use crate::protocol::parameters::Source;

/// How a client put its signature together. The default is right in everything.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    pub method: MethodText,
    pub other_scheme: bool,
    pub port: Port,
    pub host: Host,
    pub path: PathText,
    /// With the slash at its end that is not there, or without the one that is.
    pub other_slash: bool,
    pub prefix: Prefix,
    pub query: QueryPart,
    pub body: BodyPart,
    pub realm: bool,
    pub header_once: bool,
    /// The name of a protocol parameter that is not signed.
    pub left_out: Option<&'static str>,
    /// A protocol parameter, name and value, that is signed and was not sent.
    pub added: Option<(&'static str, &'static str)>,
    pub repeated: Repeated,
    pub empty: Empty,
    /// Whose names and values are joined as they are.
    pub raw: Whose,
    pub charset: Charset,
    pub space: Space,
    pub characters: Characters,
    pub escapes: Escapes,
    /// Whose names and values are encoded once more; after all else.
    pub twice: Whose,
    pub encoded_again: EncodedAgain,
    /// Which of the two parts of the base string goes into it as it is.
    pub part_raw: PartRaw,
    pub order: Order,
    pub key: KeyText,
    pub key_raw: bool,
    pub key_swapped: bool,
    pub around: Around,
    /// The secrets of PLAINTEXT were encoded once more before they were sent.
    pub signature_twice: bool,
    /// They were sent with a bare `+`.
    pub signature_bare: bool,
    /// The hash of the body that arrived, in place of the one that was sent.
    pub right_body_hash: bool,
}

impl Recipe {
    pub fn spoilt(ways: &[Spoil]) -> Self {
        let mut recipe = Self::default();
        ways.iter().for_each(|spoil| spoil(&mut recipe));
        recipe
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub enum MethodText {
    #[default]
    Upper,
    Lower,
    Capitalized,
    Other(&'static str),
}

#[derive(Clone, Copy, Debug, Default)]
pub enum Port {
    #[default]
    UnlessDefault,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, Default)]
pub enum Host {
    #[default]
    Lower,
    AsSent,
    Upper,
    /// That of the Host header, with its port, where the server is known by another.
    OfHeader,
}

#[derive(Clone, Copy, Debug, Default)]
pub enum PathText {
    #[default]
    AsSent,
    Canonical,
    Decoded,
    EncodedAgain,
    /// As `encodeURI` of JavaScript writes it.
    EncodeUri,
    UpperEscapes,
}

/// What a proxy did to the beginning of the path.
#[derive(Clone, Copy, Debug, Default)]
pub enum Prefix {
    #[default]
    AsSent,
    /// It put a segment before the one that was signed.
    Added,
    /// It took this one away.
    Removed(&'static str),
}

#[derive(Clone, Copy, Debug, Default)]
pub enum QueryPart {
    #[default]
    Signed,
    LeftOut,
    InUri,
    InUriAndSigned,
}

#[derive(Clone, Copy, Debug, Default)]
pub enum BodyPart {
    #[default]
    Right,
    LeftOut,
    AsForm,
    AsJson,
    AsMultipart,
    AsName,
}

/// Whose names and values.
#[derive(Clone, Copy, Debug, Default)]
pub enum Whose {
    #[default]
    Nobodys,
    Everybodys,
    /// All but those of the protocol.
    Others,
    Callbacks,
}

/// What becomes of parameters with the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeated {
    #[default]
    All,
    Last,
    First,
    /// One value, with commas.
    Joined,
}

/// What becomes of parameters without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Empty {
    #[default]
    Signed,
    LeftOut,
    WithoutEquals,
}

/// How letters beyond ASCII become octets before they are encoded.
#[derive(Clone, Copy, Debug, Default)]
pub enum Charset {
    #[default]
    AsSent,
    /// Latin-1 where UTF-8 was sent, and the reverse.
    Other,
    /// UTF-8 that was taken for Latin-1 and made UTF-8 once more.
    Twice,
}

/// Which characters an encoder encodes that must not be, and which it leaves.
#[derive(Clone, Copy, Debug, Default)]
pub enum Characters {
    #[default]
    Right,
    /// `~` is encoded.
    Tilde,
    /// `!*'()` are left, as `encodeURIComponent` of JavaScript does.
    Marks,
    /// The same in names and values alone: the parts of the base string are encoded rightly.
    MarksInside,
    /// `~` is encoded and `*` is left, as `URLEncoder` of Java does.
    UrlEncoder,
}

/// Whose escapes are in lower case.
#[derive(Clone, Copy, Debug, Default)]
pub enum Escapes {
    #[default]
    Upper,
    Lower,
    /// Those of names and values alone.
    LowerInside,
    /// Those of the two parts of the base string alone.
    LowerOutside,
}

/// How a space is written in names and values.
#[derive(Clone, Copy, Debug, Default)]
pub enum Space {
    #[default]
    Encoded,
    Plus,
    /// As itself, if it was sent as a plus.
    PlusIsPlus,
}

#[derive(Clone, Copy, Debug, Default)]
pub enum EncodedAgain {
    #[default]
    Nothing,
    Parameters,
    Everything,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartRaw {
    #[default]
    Neither,
    Both,
    Uri,
    Parameters,
}

#[derive(Clone, Copy, Debug, Default)]
pub enum Order {
    #[default]
    Sorted,
    AsSent([Source; 3]),
    ByName,
    WithoutCase,
    Decoded,
    ByPair,
}

/// Which secrets are in the key.
#[derive(Clone, Copy, Debug, Default)]
pub enum KeyText {
    #[default]
    Both,
    ClientAlone,
    ClientAndAmpersand,
    WithoutAmpersand,
}

/// What stands around a secret that was read from a file or a variable, and is no part of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around {
    pub client: (&'static str, &'static str),
    pub token: (&'static str, &'static str),
}

/// Turns a recipe that is right in one thing into one that is wrong in it.
pub type Spoil = fn(&mut Recipe);

/// Every way to err, the likeliest first. Of two that come to the same for a request, the first is told.
pub const WAYS: &[Way] = {
    use Source::{Body, Header, Query};
    &[
        (Mistake::TokenSecretMissing, |recipe| recipe.key = KeyText::ClientAndAmpersand),
        (Mistake::TokenSecretMissing, |recipe| recipe.key = KeyText::ClientAlone),
        (Mistake::SecretNotEncoded, |recipe| recipe.key_raw = true),
        (Mistake::SecretsSwapped, |recipe| recipe.key_swapped = true),
        // Where everything is repeated, leaving the query or the body out comes to the same.
        (Mistake::ParametersRepeatedInHeader, |recipe| recipe.header_once = true),
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
        (Mistake::OtherOrigin, |recipe| recipe.host = Host::OfHeader),
        (Mistake::OtherOrigin, |recipe| (recipe.host, recipe.other_scheme) = (Host::OfHeader, true)),
        (Mistake::SignatureNotEncoded, |recipe| recipe.signature_bare = true),
        (Mistake::DoubleEncoded, |recipe| recipe.signature_twice = true),
        (Mistake::DoubleEncoded, |recipe| recipe.twice = Whose::Everybodys),
        (Mistake::DoubleEncoded, |recipe| recipe.twice = Whose::Others),
        (Mistake::DoubleEncoded, |recipe| recipe.twice = Whose::Callbacks),
        (Mistake::DoubleEncoded, |recipe| recipe.encoded_again = EncodedAgain::Parameters),
        (Mistake::DoubleEncoded, |recipe| recipe.encoded_again = EncodedAgain::Everything),
        (Mistake::SpaceAsPlus, |recipe| recipe.space = Space::Plus),
        (Mistake::CharactersWronglyEncoded, |recipe| recipe.characters = Characters::Tilde),
        (Mistake::CharactersWronglyEncoded, |recipe| recipe.characters = Characters::Marks),
        (Mistake::CharactersWronglyEncoded, |recipe| recipe.characters = Characters::MarksInside),
        (Mistake::CharactersWronglyEncoded, |recipe| recipe.characters = Characters::UrlEncoder),
        // What `URLEncoder` of Java makes of all.
        (Mistake::SpaceAsPlus, |recipe| (recipe.space, recipe.characters) = (Space::Plus, Characters::UrlEncoder)),
        (Mistake::SpaceAsPlus, |recipe| recipe.space = Space::PlusIsPlus),
        (Mistake::MethodLowerCase, |recipe| recipe.method = MethodText::Lower),
        (Mistake::HostCase, |recipe| recipe.host = Host::AsSent),
        (Mistake::TrailingSlash, |recipe| recipe.other_slash = true),
        (Mistake::EscapesLowerCase, |recipe| recipe.escapes = Escapes::Lower),
        (Mistake::ParametersNotEncoded, |recipe| recipe.raw = Whose::Everybodys),
        (Mistake::ParametersNotEncoded, |recipe| recipe.raw = Whose::Others),
        (Mistake::ParametersNotEncoded, |recipe| recipe.raw = Whose::Callbacks),
        (Mistake::OtherMethod, |recipe| recipe.method = MethodText::Other("GET")),
        (Mistake::OtherMethod, |recipe| recipe.method = MethodText::Other("POST")),
        (Mistake::AmpersandMissing, |recipe| recipe.key = KeyText::WithoutAmpersand),
        (Mistake::EscapesLowerCase, |recipe| recipe.escapes = Escapes::LowerInside),
        (Mistake::EscapesLowerCase, |recipe| recipe.escapes = Escapes::LowerOutside),
        (Mistake::EmptyParametersLeftOut, |recipe| recipe.empty = Empty::LeftOut),
        (Mistake::EmptyParametersLeftOut, |recipe| recipe.empty = Empty::WithoutEquals),
        (Mistake::RepeatedParametersMerged, |recipe| recipe.repeated = Repeated::Last),
        (Mistake::RepeatedParametersMerged, |recipe| recipe.repeated = Repeated::First),
        (Mistake::RepeatedParametersMerged, |recipe| recipe.repeated = Repeated::Joined),
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.left_out = Some(VERSION)),
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.left_out = Some(TOKEN)),
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.left_out = Some(CALLBACK)),
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.left_out = Some(BODY_HASH)),
        (Mistake::PathPrefix, |recipe| recipe.prefix = Prefix::Added),
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
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.left_out = Some(VERIFIER)),
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.added = Some((VERSION, "1.0"))),
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.added = Some((TOKEN, ""))),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around.client = AROUND[0]),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around.token = AROUND[0]),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around = Around { client: AROUND[0], token: AROUND[0] }),
        (Mistake::BaseStringNotEncoded, |recipe| recipe.part_raw = PartRaw::Both),
        (Mistake::BaseStringNotEncoded, |recipe| recipe.part_raw = PartRaw::Uri),
        (Mistake::BaseStringNotEncoded, |recipe| recipe.part_raw = PartRaw::Parameters),
        (Mistake::HostCase, |recipe| recipe.host = Host::Upper),
        (Mistake::MethodLowerCase, |recipe| recipe.method = MethodText::Capitalized),
        (Mistake::NotUtf8, |recipe| recipe.charset = Charset::Other),
        (Mistake::NotUtf8, |recipe| recipe.charset = Charset::Twice),
        // From here on, what is rare and pairs with nothing in particular.
        (Mistake::SecretNotTrimmed, |recipe| recipe.around.client = AROUND[1]),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around.token = AROUND[1]),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around = Around { client: AROUND[1], token: AROUND[1] }),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around.client = AROUND[2]),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around.token = AROUND[2]),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around = Around { client: AROUND[2], token: AROUND[2] }),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around.client = AROUND[3]),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around.token = AROUND[3]),
        (Mistake::SecretNotTrimmed, |recipe| recipe.around = Around { client: AROUND[3], token: AROUND[3] }),
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.left_out = Some(SIGNATURE_METHOD)),
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.left_out = Some(TIMESTAMP)),
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.left_out = Some(NONCE)),
        (Mistake::ProtocolParametersDiffer, |recipe| recipe.left_out = Some(CONSUMER_KEY)),
        (Mistake::OtherMethod, |recipe| recipe.method = MethodText::Other("PUT")),
        (Mistake::OtherMethod, |recipe| recipe.method = MethodText::Other("PATCH")),
        (Mistake::OtherMethod, |recipe| recipe.method = MethodText::Other("DELETE")),
        (Mistake::OtherMethod, |recipe| recipe.method = MethodText::Other("HEAD")),
        // The segments that proxies are known to take away: any other can't be guessed.
        (Mistake::PathPrefix, |recipe| recipe.prefix = Prefix::Removed("/api")),
        (Mistake::PathPrefix, |recipe| recipe.prefix = Prefix::Removed("/v1")),
    ]
};

/// What is left around a secret by who reads a file or a variable, the likeliest first.
const AROUND: [(&str, &str); 4] = [("", "\n"), ("", " "), ("", "\r\n"), ("\"", "\"")];

pub type Way = (Mistake, Spoil);

/// Each two ways of different mistakes, the likeliest two first: where the budget ends, it ends at the rarest. `true`
/// beside a way: it changes something. Of two that change nothing alone, none wakes the other.
pub fn likeliest_pairs(ways: &[(Way, bool)]) -> Vec<(Way, Way)> {
    let ranked = || ways.iter().enumerate();
    let mut pairs: Vec<_> = ranked()
        .flat_map(|(rank, first)| ranked().skip(rank + 1).map(move |(other, second)| (rank + other, first, second)))
        .filter(|(_, (first, first_changes), (second, second_changes))| {
            first.0 != second.0 && (*first_changes || *second_changes)
        })
        .collect();
    pairs.sort_by_key(|(rank, _, _)| *rank);
    pairs.into_iter().map(|(_, (first, _), (second, _))| (*first, *second)).collect()
}
