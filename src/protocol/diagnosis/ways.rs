//! The known ways to err, as recipes: what a client does differently, one field for each thing that it can do wrong
//! beside the others.

use super::mistakes::Mistake;
use crate::protocol::parameters::Source;

/// How a client put its signature together. The default is right in everything.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    pub method: MethodText,
    pub other_scheme: bool,
    pub port: Port,
    pub host: Host,
    pub path: PathText,
    pub query: QueryPart,
    pub body: BodyPart,
    pub realm: bool,
    pub header_once: bool,
    /// Whose names and values are joined as they are.
    pub raw: Whose,
    pub space: Space,
    /// Whose names and values are encoded once more; after all else.
    pub twice: Whose,
    pub encoded_again: EncodedAgain,
    pub order: Order,
    pub key: KeyText,
    pub key_raw: bool,
    pub key_swapped: bool,
    /// The signature was encoded once more before it was sent.
    pub signature_twice: bool,
    /// The signature was sent with a bare `+`.
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

/// How a space is written in names and values.
#[derive(Clone, Copy, Debug, Default)]
pub enum Space {
    #[default]
    Encoded,
    Plus,
    /// As `URLEncoder` of Java writes all.
    UrlEncoder,
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
}

/// Turns a recipe that is right in one thing into one that is wrong in it.
pub type Spoil = fn(&mut Recipe);

/// Every way to err, the likeliest first.
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
        (Mistake::SignatureNotEncoded, |recipe| recipe.signature_bare = true),
        (Mistake::DoubleEncoded, |recipe| recipe.signature_twice = true),
        (Mistake::DoubleEncoded, |recipe| recipe.twice = Whose::Everybodys),
        (Mistake::DoubleEncoded, |recipe| recipe.twice = Whose::Others),
        (Mistake::DoubleEncoded, |recipe| recipe.twice = Whose::Callbacks),
        (Mistake::DoubleEncoded, |recipe| recipe.encoded_again = EncodedAgain::Parameters),
        (Mistake::DoubleEncoded, |recipe| recipe.encoded_again = EncodedAgain::Everything),
        (Mistake::SpaceAsPlus, |recipe| recipe.space = Space::Plus),
        (Mistake::SpaceAsPlus, |recipe| recipe.space = Space::UrlEncoder),
        (Mistake::SpaceAsPlus, |recipe| recipe.space = Space::PlusIsPlus),
        (Mistake::ParametersNotEncoded, |recipe| recipe.raw = Whose::Everybodys),
        (Mistake::ParametersNotEncoded, |recipe| recipe.raw = Whose::Others),
        (Mistake::ParametersNotEncoded, |recipe| recipe.raw = Whose::Callbacks),
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
