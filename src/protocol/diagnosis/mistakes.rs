//! The mistakes by their words, and what to do about each.

use std::fmt;

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
    BodyHashWrong,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 20] = [
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
        Self::BodyHashWrong,
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
            Self::BodyHashWrong => "body-hash-wrong",
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
                "The key ends too early: it is the client secret, & and the token secret; where there is no token, it still ends with the &."
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
            Self::BodyHashWrong => {
                "The oauth_body_hash is not the hash of the body that arrived: hash the octets that are sent, as they are, and make its base64."
            }
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
