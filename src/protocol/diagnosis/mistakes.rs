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
    OtherOrigin,
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
    CharactersWronglyEncoded,
    EscapesLowerCase,
    NotUtf8,
    RepeatedParametersMerged,
    EmptyParametersLeftOut,
    ProtocolParametersDiffer,
    BaseStringNotEncoded,
    OtherMethod,
    TrailingSlash,
    PathPrefix,
    SecretNotTrimmed,
    AmpersandMissing,
    SignatureInHex,
    SignatureNotBase64,
    SignatureLengthWrong,
    OtherSignatureMethod,
    OtherRsaKey,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 38] = [
        Self::QueryParametersLeftOut,
        Self::BodyParametersLeftOut,
        Self::BodyWronglyIncluded,
        Self::DoubleEncoded,
        Self::SpaceAsPlus,
        Self::HttpScheme,
        Self::PortIncluded,
        Self::PortLeftOut,
        Self::HostCase,
        Self::OtherOrigin,
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
        Self::CharactersWronglyEncoded,
        Self::EscapesLowerCase,
        Self::NotUtf8,
        Self::RepeatedParametersMerged,
        Self::EmptyParametersLeftOut,
        Self::ProtocolParametersDiffer,
        Self::BaseStringNotEncoded,
        Self::OtherMethod,
        Self::TrailingSlash,
        Self::PathPrefix,
        Self::SecretNotTrimmed,
        Self::AmpersandMissing,
        Self::SignatureInHex,
        Self::SignatureNotBase64,
        Self::SignatureLengthWrong,
        Self::OtherSignatureMethod,
        Self::OtherRsaKey,
    ];

    /// The mistake of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mistake| mistake.as_str() == word)
    }

    /// Whether it shows in the signature itself, whatever was signed.
    pub const fn is_of_form(self) -> bool {
        matches!(
            self,
            Self::DoubleEncoded
                | Self::SignatureNotEncoded
                | Self::SignatureInHex
                | Self::SignatureNotBase64
                | Self::SignatureLengthWrong
                | Self::OtherSignatureMethod
                | Self::OtherRsaKey
        )
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
            Self::OtherOrigin => "other-origin",
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
            Self::CharactersWronglyEncoded => "characters-wrongly-encoded",
            Self::EscapesLowerCase => "escapes-lower-case",
            Self::NotUtf8 => "not-utf-8",
            Self::RepeatedParametersMerged => "repeated-parameters-merged",
            Self::EmptyParametersLeftOut => "empty-parameters-left-out",
            Self::ProtocolParametersDiffer => "protocol-parameters-differ",
            Self::BaseStringNotEncoded => "base-string-not-encoded",
            Self::OtherMethod => "other-method",
            Self::TrailingSlash => "trailing-slash",
            Self::PathPrefix => "path-prefix",
            Self::SecretNotTrimmed => "secret-not-trimmed",
            Self::AmpersandMissing => "ampersand-missing",
            Self::SignatureInHex => "signature-in-hex",
            Self::SignatureNotBase64 => "signature-not-base64",
            Self::SignatureLengthWrong => "signature-length-wrong",
            Self::OtherSignatureMethod => "other-signature-method",
            Self::OtherRsaKey => "other-rsa-key",
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
            Self::CharactersWronglyEncoded => {
                "Characters were encoded that must not be, or left as they are: encode all but letters, digits, -, ., _ and ~ (RFC 3986); that is %2A for *, and ~ for itself."
            }
            Self::EscapesLowerCase => {
                "Escapes were signed in lower case: write their digits in capitals, %3A and not %3a."
            }
            Self::NotUtf8 => {
                "Letters beyond ASCII were signed in another character set than they were sent in: encode names and values as UTF-8, once, for both."
            }
            Self::RepeatedParametersMerged => {
                "Of parameters with the same name only one was signed, or all were joined to one: sign each of them, sorted by name and then by value."
            }
            Self::EmptyParametersLeftOut => {
                "Parameters without a value were left out, or signed without their =: sign them as the name and =."
            }
            Self::ProtocolParametersDiffer => {
                "The oauth_ parameters that were signed are not those that were sent: sign every one that is sent but oauth_signature, and no other."
            }
            Self::BaseStringNotEncoded => {
                "The address or the joined parameters went into the base string as they are: percent-encode each of the two before they are joined by &."
            }
            Self::OtherMethod => {
                "Another HTTP method was signed than the request was sent with: sign the one that goes out."
            }
            Self::TrailingSlash => {
                "The path was signed with a / at its end that was not sent, or without one that was: sign the path exactly as it is sent."
            }
            Self::OtherOrigin => {
                "It was signed for the address that the request was sent to: sign the scheme and host by which this server is known to its clients (server.public_url), whatever way the request takes."
            }
            Self::PathPrefix => {
                "The path was signed with another beginning than it arrived with: sign the path that the server sees; a proxy on the way must not change it."
            }
            Self::SecretNotTrimmed => {
                "A secret was used with a line end, a space or quotes around it: take these off when it is read from a file or the environment."
            }
            Self::AmpersandMissing => {
                "The two secrets were joined without the & between them: the key is the client secret, & and the token secret."
            }
            Self::SignatureInHex => {
                "The signature was sent in hexadecimal, or as the base64 of that: make base64 of the octets themselves (in PHP, hash_hmac with true as its fourth argument)."
            }
            Self::SignatureNotBase64 => {
                "The oauth_signature is not base64 as it is wanted: with the letters + and / (not - and _), and with the = at its end."
            }
            Self::SignatureLengthWrong => {
                "The oauth_signature has another length than its method makes: it was cut short, or it is another value."
            }
            Self::OtherSignatureMethod => {
                "The signature was made by another method, or with another hash, than oauth_signature_method names: let the two agree."
            }
            Self::OtherRsaKey => {
                "The signature was made with another private key than the one that belongs to the registered public key (or with other padding than PKCS#1 v1.5): sign with its own, or register the public key that belongs to yours."
            }
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
