//! The protocol parameters by name and meaning (RFC 5849 §2, §3.1), and the words for what is wrong with them
//! (Problem Reporting extension).
//!
//! Every wire name of OAuth 1.0a stands here. Whether a credential exists or a signature is good is not decided here.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use thiserror::Error;

use super::encoding;
use super::parameters::{Parameter, Parameters, ParametersError};
use super::signature::SignatureMethod;
use crate::time::Timestamp;

/// `oauth_consumer_key`.
pub const CONSUMER_KEY: &str = "oauth_consumer_key";
/// `oauth_token`.
pub const TOKEN: &str = "oauth_token";
/// `oauth_token_secret`, in answers only.
pub const TOKEN_SECRET: &str = "oauth_token_secret";
/// `oauth_signature_method`.
pub const SIGNATURE_METHOD: &str = "oauth_signature_method";
/// `oauth_signature`.
pub const SIGNATURE: &str = "oauth_signature";
/// `oauth_timestamp`.
pub const TIMESTAMP: &str = "oauth_timestamp";
/// `oauth_nonce`.
pub const NONCE: &str = "oauth_nonce";
/// `oauth_version`.
pub const VERSION: &str = "oauth_version";
/// `oauth_callback`.
pub const CALLBACK: &str = "oauth_callback";
/// `oauth_callback_confirmed`, in answers only.
pub const CALLBACK_CONFIRMED: &str = "oauth_callback_confirmed";
/// `oauth_verifier`.
pub const VERIFIER: &str = "oauth_verifier";
/// `oauth_body_hash` (Request Body Hash extension).
pub const BODY_HASH: &str = "oauth_body_hash";
/// `scope`: not of the RFC; the signed way to ask for fewer scopes.
pub const SCOPE: &str = "scope";
/// `oauth_problem`, in answers only (Problem Reporting).
pub const PROBLEM: &str = "oauth_problem";
/// `oauth_problem_advice`, in answers only (Problem Reporting).
pub const PROBLEM_ADVICE: &str = "oauth_problem_advice";
/// `oauth_parameters_absent`, in answers only (Problem Reporting): names, joined by `&`.
pub const PARAMETERS_ABSENT: &str = "oauth_parameters_absent";
/// `oauth_parameters_rejected`, in answers only (Problem Reporting).
pub const PARAMETERS_REJECTED: &str = "oauth_parameters_rejected";
/// `oauth_acceptable_timestamps`, in answers only (Problem Reporting): a range.
pub const ACCEPTABLE_TIMESTAMPS: &str = "oauth_acceptable_timestamps";
/// `oauth_acceptable_versions`, in answers only (Problem Reporting): a range.
pub const ACCEPTABLE_VERSIONS: &str = "oauth_acceptable_versions";
/// `oauth_version` as RFC 5849 §3.1 has it, and as node-oauth's own examples write it.
const VERSIONS: [&str; 2] = ["1.0", "1.0A"];
/// The longest value of a protocol parameter; an RSA signature of 8192 bits has 1368 characters.
pub const MAXIMUM_VALUE: usize = 4096;
/// The longest nonce, in characters.
pub const MAXIMUM_NONCE: usize = 255;

/// The words of the Problem Reporting extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the word on the wire")]
pub enum Problem {
    VersionRejected,
    ParameterAbsent,
    ParameterRejected,
    TimestampRefused,
    NonceUsed,
    SignatureMethodRejected,
    SignatureInvalid,
    ConsumerKeyUnknown,
    ConsumerKeyRefused,
    TokenUsed,
    TokenExpired,
    TokenRevoked,
    TokenRejected,
    VerifierInvalid,
    PermissionDenied,
    AdditionalAuthorizationRequired,
}

impl Problem {
    /// The value of `oauth_problem`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VersionRejected => "version_rejected",
            Self::ParameterAbsent => "parameter_absent",
            Self::ParameterRejected => "parameter_rejected",
            Self::TimestampRefused => "timestamp_refused",
            Self::NonceUsed => "nonce_used",
            Self::SignatureMethodRejected => "signature_method_rejected",
            Self::SignatureInvalid => "signature_invalid",
            Self::ConsumerKeyUnknown => "consumer_key_unknown",
            Self::ConsumerKeyRefused => "consumer_key_refused",
            Self::TokenUsed => "token_used",
            Self::TokenExpired => "token_expired",
            Self::TokenRevoked => "token_revoked",
            Self::TokenRejected => "token_rejected",
            Self::VerifierInvalid => "verifier_invalid",
            Self::PermissionDenied => "permission_denied",
            Self::AdditionalAuthorizationRequired => "additional_authorization_required",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What is wrong with the form of the protocol parameters; all of it is 400 (RFC 5849 §3.2).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The parameters could not be collected.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// RFC 5849 §3.1: each parameter MUST NOT appear more than once per request.
    #[error("{0} was sent more than once: send each oauth_ parameter in one place only")]
    Repeated(String),
    /// RFC 5849 §3.1: required parameters, by name.
    #[error("missing: {}", .0.join(", "))]
    Absent(Vec<&'static str>),
    /// RFC 5849 §3.1: `oauth_version` MUST be `1.0`, if it is there.
    #[error("oauth_version must be 1.0 or left out")]
    Version,
    /// RFC 5849 §3.2: unsupported signature method.
    #[error(
        "this oauth_signature_method is unknown here: use HMAC-SHA1, HMAC-SHA256, HMAC-SHA512, RSA-SHA1, RSA-SHA256, RSA-SHA512 or PLAINTEXT"
    )]
    SignatureMethod,
    /// RFC 5849 §3.3: a positive integer, in seconds.
    #[error("oauth_timestamp must be a positive whole number: seconds since 1970-01-01 00:00 UTC")]
    Timestamp,
    /// 1 to 255 printable characters.
    #[error("oauth_nonce must have 1 to {MAXIMUM_NONCE} printable characters")]
    Nonce,
    /// RFC 5849 §3.5.1 has double quotes; with single ones, every value is another.
    #[error(
        "{0} has single quotes around its value: put double quotes around values in the Authorization header, or none"
    )]
    SingleQuotes(&'static str),
    /// The value is no UTF-8, longer than [`MAXIMUM_VALUE`], or holds a NUL, which no database takes as text.
    #[error("{0} must be text of at most {MAXIMUM_VALUE} characters, none of them NUL")]
    Value(&'static str),
}

impl ProtocolError {
    /// The word for it.
    pub const fn problem(&self) -> Problem {
        match self {
            Self::Absent(_) => Problem::ParameterAbsent,
            Self::Version => Problem::VersionRejected,
            Self::SignatureMethod => Problem::SignatureMethodRejected,
            Self::Parameters(_)
            | Self::Repeated(_)
            | Self::Timestamp
            | Self::Nonce
            | Self::SingleQuotes(_)
            | Self::Value(_) => Problem::ParameterRejected,
        }
    }
}

/// The protocol parameters of a signed request, decoded and of the right form.
#[derive(Clone, Debug)]
pub struct ProtocolParameters<'a> {
    /// `oauth_consumer_key`: identifier of the client credentials.
    pub client_key: Cow<'a, str>,
    /// `oauth_token`; an empty one is none (RFC 5849 §3.1).
    pub token: Option<Cow<'a, str>>,
    /// `oauth_signature_method`.
    pub signature_method: SignatureMethod,
    /// `oauth_signature`, decoded once.
    pub signature: Cow<'a, str>,
    /// `oauth_timestamp` and `oauth_nonce`; PLAINTEXT may come without (RFC 5849 §3.1).
    pub freshness: Option<Freshness<'a>>,
    /// `oauth_callback`.
    pub callback: Option<Cow<'a, str>>,
    /// `oauth_verifier`; an empty one is none.
    pub verifier: Option<Cow<'a, str>>,
    /// `oauth_body_hash`.
    pub body_hash: Option<Cow<'a, str>>,
}

/// What makes a request fresh (RFC 5849 §3.3).
#[derive(Clone, Debug)]
pub struct Freshness<'a> {
    /// `oauth_timestamp`.
    pub timestamp: Timestamp,
    /// `oauth_nonce`: 1 to 255 printable characters.
    pub nonce: Cow<'a, str>,
}

impl<'a> ProtocolParameters<'a> {
    /// Picks the protocol parameters out of all.
    ///
    /// # Errors
    /// [`ProtocolError`]: repeated first, then absent, then what is of the wrong form.
    pub fn read(parameters: &'a Parameters<'_>) -> Result<Self, ProtocolError> {
        let mut named = Named::default();
        for parameter in parameters.iter() {
            named.add(parameter)?;
        }
        named.into_parameters()
    }
}

/// `scope`, the parameter by which a request token is asked for. No protocol parameter: elsewhere it is the operator's own.
///
/// # Errors
/// [`ProtocolError::Repeated`], [`ProtocolError::Value`].
pub fn requested_scope<'a>(parameters: &'a Parameters<'_>) -> Result<Option<Cow<'a, str>>, ProtocolError> {
    let mut named = parameters.iter().filter(|parameter| parameter.name == SCOPE);
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(ProtocolError::Repeated(SCOPE.to_owned())),
        (first, None) => text(first, SCOPE),
    }
}

/// Whether undecoded query or form text holds an `oauth_` parameter: a look without collecting anything.
pub fn mentions_oauth(form: &str) -> bool {
    form.split('&').any(|pair| {
        // The name alone: a broken escape in the value must not hide it.
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        name.starts_with("oauth_")
            || (name.contains('%')
                && encoding::decode(name, encoding::Plus::IsSpace).is_ok_and(|name| name.starts_with(b"oauth_")))
    })
}

#[derive(Default)]
struct Named<'a> {
    client_key: Option<&'a Parameter<'a>>,
    token: Option<&'a Parameter<'a>>,
    signature_method: Option<&'a Parameter<'a>>,
    signature: Option<&'a Parameter<'a>>,
    timestamp: Option<&'a Parameter<'a>>,
    nonce: Option<&'a Parameter<'a>>,
    version: Option<&'a Parameter<'a>>,
    callback: Option<&'a Parameter<'a>>,
    verifier: Option<&'a Parameter<'a>>,
    body_hash: Option<&'a Parameter<'a>>,
    /// `oauth_` names that nobody here knows: signed, otherwise without effect, but not repeated either.
    unknown: BTreeSet<&'a str>,
}

impl<'a> Named<'a> {
    fn add(&mut self, parameter: &'a Parameter<'_>) -> Result<(), ProtocolError> {
        let place = match parameter.name.as_ref() {
            CONSUMER_KEY => &mut self.client_key,
            TOKEN => &mut self.token,
            SIGNATURE_METHOD => &mut self.signature_method,
            SIGNATURE => &mut self.signature,
            TIMESTAMP => &mut self.timestamp,
            NONCE => &mut self.nonce,
            VERSION => &mut self.version,
            CALLBACK => &mut self.callback,
            VERIFIER => &mut self.verifier,
            BODY_HASH => &mut self.body_hash,
            name if name.starts_with("oauth_") => {
                if self.unknown.insert(name) {
                    return Ok(());
                }
                return Err(ProtocolError::Repeated(name.to_owned()));
            }
            _ => return Ok(()),
        };
        match place.replace(parameter) {
            None => Ok(()),
            Some(_) => Err(ProtocolError::Repeated(parameter.name.clone().into_owned())),
        }
    }

    fn into_parameters(self) -> Result<ProtocolParameters<'a>, ProtocolError> {
        self.check_presence()?;
        // Two whose values are known: elsewhere single quotes may belong to the value.
        for (name, parameter) in [(SIGNATURE_METHOD, self.signature_method), (VERSION, self.version)] {
            if parameter.is_some_and(|parameter| parameter.value.starts_with("%27") && parameter.value.ends_with("%27"))
            {
                return Err(ProtocolError::SingleQuotes(name));
            }
        }
        if self.version.is_some_and(|version| !VERSIONS.contains(&version.value.as_ref())) {
            return Err(ProtocolError::Version);
        }
        let signature_method =
            required(self.signature_method, SIGNATURE_METHOD)?.parse().map_err(|_| ProtocolError::SignatureMethod)?;
        let freshness = match (self.timestamp, self.nonce) {
            (Some(timestamp), Some(nonce)) => {
                Some(Freshness { timestamp: parse_timestamp(&timestamp.value)?, nonce: parse_nonce(nonce)? })
            }
            (Some(_) | None, _) => None,
        };
        Ok(ProtocolParameters {
            client_key: required(self.client_key, CONSUMER_KEY)?,
            token: text(self.token, TOKEN)?.filter(|token| !token.is_empty()),
            signature_method,
            signature: required(self.signature, SIGNATURE)?,
            freshness,
            callback: text(self.callback, CALLBACK)?,
            verifier: text(self.verifier, VERIFIER)?.filter(|verifier| !verifier.is_empty()),
            body_hash: text(self.body_hash, BODY_HASH)?,
        })
    }

    /// All that is missing at once, so that nobody has to send a request for each.
    fn check_presence(&self) -> Result<(), ProtocolError> {
        let plaintext = self.signature_method.is_some_and(|method| method.value == SignatureMethod::Plaintext.as_str());
        let may_miss_both = plaintext && self.timestamp.is_none() && self.nonce.is_none();
        let required = [
            (CONSUMER_KEY, self.client_key.is_some_and(|key| !key.value.is_empty())),
            (SIGNATURE_METHOD, self.signature_method.is_some()),
            (SIGNATURE, self.signature.is_some()),
            (TIMESTAMP, may_miss_both || self.timestamp.is_some()),
            (NONCE, may_miss_both || self.nonce.is_some()),
        ];
        let absent: Vec<_> = required.into_iter().filter(|(_, present)| !present).map(|(name, _)| name).collect();
        if absent.is_empty() { Ok(()) } else { Err(ProtocolError::Absent(absent)) }
    }
}

fn required<'a>(parameter: Option<&'a Parameter<'a>>, name: &'static str) -> Result<Cow<'a, str>, ProtocolError> {
    text(parameter, name)?.ok_or_else(|| ProtocolError::Absent(vec![name]))
}

fn text<'a>(parameter: Option<&'a Parameter<'a>>, name: &'static str) -> Result<Option<Cow<'a, str>>, ProtocolError> {
    parameter
        .map(|parameter| {
            parameter
                .decoded()
                .filter(|text| text.len() <= MAXIMUM_VALUE && !text.contains('\0'))
                .ok_or(ProtocolError::Value(name))
        })
        .transpose()
}

fn parse_timestamp(value: &str) -> Result<Timestamp, ProtocolError> {
    let digits = (1..=18).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_digit());
    let seconds: i64 = if digits { value.parse().unwrap_or(0) } else { 0 };
    if seconds > 0 { Ok(Timestamp::from_unix(seconds)) } else { Err(ProtocolError::Timestamp) }
}

fn parse_nonce<'a>(nonce: &'a Parameter<'a>) -> Result<Cow<'a, str>, ProtocolError> {
    nonce
        .decoded()
        .filter(|nonce| (1..=MAXIMUM_NONCE).contains(&nonce.chars().count()) && !nonce.contains(char::is_control))
        .ok_or(ProtocolError::Nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::parameters::Source;

    const COMPLETE: &str =
        "oauth_consumer_key=k&oauth_signature_method=HMAC-SHA1&oauth_signature=s&oauth_timestamp=1&oauth_nonce=n";

    /// The problem that the form of these parameters has, if any.
    fn refused(text: &str) -> Option<ProtocolError> {
        let parameters = Parameters::of_form(text, Source::Query).unwrap();
        ProtocolParameters::read(&parameters).err()
    }

    #[test]
    fn a_complete_request_is_read_and_an_empty_token_is_none() {
        let text = format!("{COMPLETE}&oauth_token=&oauth_version=1.0&oauth_callback=http%3A%2F%2Fh%2F&x=1&x=2");
        let parameters = Parameters::of_form(&text, Source::Query).unwrap();
        let read = ProtocolParameters::read(&parameters).unwrap();
        assert_eq!(read.client_key, "k");
        assert!(read.token.is_none());
        assert_eq!(read.callback.unwrap(), "http://h/");
        assert_eq!(read.freshness.unwrap().timestamp, Timestamp::from_unix(1));
    }

    #[test]
    fn every_absent_parameter_is_named_at_once() {
        assert_eq!(
            refused("oauth_consumer_key=&oauth_nonce=n"),
            Some(ProtocolError::Absent(vec![CONSUMER_KEY, SIGNATURE_METHOD, SIGNATURE, TIMESTAMP]))
        );
    }

    #[test]
    fn a_repeated_protocol_parameter_is_refused_also_with_the_same_value() {
        assert_eq!(refused(&format!("{COMPLETE}&oauth_nonce=n")), Some(ProtocolError::Repeated("oauth_nonce".into())));
        assert_eq!(
            refused(&format!("{COMPLETE}&oauth_x=1&oauth_x=1")),
            Some(ProtocolError::Repeated("oauth_x".into()))
        );
    }

    #[test]
    fn plaintext_alone_may_come_without_timestamp_and_nonce() {
        assert_eq!(refused("oauth_consumer_key=k&oauth_signature_method=PLAINTEXT&oauth_signature=s%26"), None);
        assert_eq!(
            refused("oauth_consumer_key=k&oauth_signature_method=PLAINTEXT&oauth_signature=s&oauth_nonce=n"),
            Some(ProtocolError::Absent(vec![TIMESTAMP]))
        );
    }

    #[test]
    fn version_method_timestamp_and_nonce_have_their_forms() {
        let with = |name: &str, value: &str| {
            let others: Vec<_> = COMPLETE.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
            refused(&format!("{}&{name}={value}", others.join("&")))
        };
        assert_eq!(with(VERSION, "2.0"), Some(ProtocolError::Version));
        assert_eq!(with(VERSION, ""), Some(ProtocolError::Version));
        assert_eq!(with(VERSION, "'1.0'"), Some(ProtocolError::SingleQuotes(VERSION)));
        assert_eq!(with(SIGNATURE_METHOD, "'HMAC-SHA1'"), Some(ProtocolError::SingleQuotes(SIGNATURE_METHOD)));
        assert_eq!(with(NONCE, "'n'"), None);
        assert_eq!(with(SIGNATURE_METHOD, "hmac-sha1"), Some(ProtocolError::SignatureMethod));
        for timestamp in ["0", "-1", "1.5", "+1", "", "1e9", "99999999999999999999"] {
            assert_eq!(with(TIMESTAMP, timestamp), Some(ProtocolError::Timestamp), "{timestamp}");
        }
        assert_eq!(with(NONCE, ""), Some(ProtocolError::Nonce));
        assert_eq!(with(NONCE, "%09"), Some(ProtocolError::Nonce));
        assert_eq!(with(NONCE, "%FF"), Some(ProtocolError::Nonce));
        assert_eq!(with(NONCE, &"%C3%A4".repeat(255)), None);
        assert_eq!(with(NONCE, &"n".repeat(256)), Some(ProtocolError::Nonce));
        assert_eq!(with(NONCE, &"n".repeat(255)), None);
    }

    #[test]
    fn a_scope_is_asked_for_once_and_else_is_the_operators_own() {
        let asked = |text: &str| {
            let parameters = Parameters::of_form(text, Source::Query).unwrap();
            ProtocolParameters::read(&parameters).unwrap();
            requested_scope(&parameters).map(|scope| scope.map(Cow::into_owned))
        };
        assert_eq!(asked(COMPLETE), Ok(None));
        assert_eq!(asked(&format!("{COMPLETE}&scope=a%3Ab")), Ok(Some("a:b".to_owned())));
        assert_eq!(asked(&format!("{COMPLETE}&scope=a&scope=a")), Err(ProtocolError::Repeated("scope".to_owned())));
        assert_eq!(asked(&format!("{COMPLETE}&scope=%FF")), Err(ProtocolError::Value("scope")));
    }

    #[test]
    fn a_value_that_no_database_takes_is_refused() {
        for value in ["%00", "a%00b", "%FF", &"v".repeat(MAXIMUM_VALUE + 1)] {
            assert_eq!(
                refused(&format!("{COMPLETE}&oauth_token={value}")),
                Some(ProtocolError::Value(TOKEN)),
                "{value}"
            );
        }
    }

    #[test]
    fn oauth_is_seen_in_raw_text_also_behind_escapes() {
        assert!(mentions_oauth("a=1&oauth_token=x"));
        assert!(mentions_oauth("%6Fauth_token=x"));
        assert!(mentions_oauth("%6Fauth_token=%zz"));
        assert!(!mentions_oauth("a=oauth_token"));
    }
}
