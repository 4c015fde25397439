//! What a refusal is called: its status, and the texts of its answer.

use std::borrow::Cow;

use actix_web::http::StatusCode;

use crate::auth::verdict::{OAuthRefusal, Refusal};
use crate::protocol::oauth::Problem;

/// The status of a refusal.
pub const fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Target(_) | Refusal::UserAgentRequired | Refusal::SeveralCredentials | Refusal::ClientKeyRequired => {
            StatusCode::BAD_REQUEST
        }
        Refusal::NoRoute | Refusal::NoUpstream => StatusCode::NOT_FOUND,
        Refusal::LoginRequired
        | Refusal::NoCredential
        | Refusal::MethodNotAdmitted { .. }
        | Refusal::BadCredentials { .. }
        | Refusal::KeyEnded { .. }
        | Refusal::MalformedCredentials(_)
        | Refusal::StaleNonce
        | Refusal::BadToken(_) => StatusCode::UNAUTHORIZED,
        Refusal::TlsRequired
        | Refusal::AccountLocked(_)
        | Refusal::AccountDisabled(_)
        | Refusal::ClientKeyRefused
        | Refusal::CrossSite(_)
        | Refusal::BodyUnavailable
        | Refusal::ImpersonationRefused
        | Refusal::ScopeMissing { .. } => StatusCode::FORBIDDEN,
        Refusal::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::OAuth(refusal) => oauth_status(refusal.problem),
    }
}

/// RFC 5849 §3.2: 400 for what the request is made of, 401 for what it does not prove; 403 where permission lacks.
const fn oauth_status(problem: Problem) -> StatusCode {
    match problem {
        Problem::VersionRejected
        | Problem::ParameterAbsent
        | Problem::ParameterRejected
        | Problem::SignatureMethodRejected => StatusCode::BAD_REQUEST,
        Problem::TimestampRefused
        | Problem::NonceUsed
        | Problem::SignatureInvalid
        | Problem::ConsumerKeyUnknown
        | Problem::TokenUsed
        | Problem::TokenExpired
        | Problem::TokenRevoked
        | Problem::TokenRejected
        | Problem::VerifierInvalid => StatusCode::UNAUTHORIZED,
        Problem::ConsumerKeyRefused | Problem::PermissionDenied | Problem::AdditionalAuthorizationRequired => {
            StatusCode::FORBIDDEN
        }
    }
}

/// Message and additional text of a refusal.
pub fn words(refusal: &Refusal) -> (String, String) {
    let plain = |message: &str| (message.to_owned(), String::new());
    let with = |message: &str, additional: &str| (message.to_owned(), additional.to_owned());
    match refusal {
        Refusal::Target(oddity) => (String::from("The request can not be judged"), format!("{oddity}.")),
        Refusal::NoRoute => plain("No route matches this path."),
        Refusal::NoUpstream => {
            with("There is nothing at this path", "This server has no API behind it: its operator sets upstream.url.")
        }
        Refusal::TlsRequired => plain("SSL is required."),
        Refusal::UserAgentRequired => {
            plain("A User-Agent header is required: name your company, application and version.")
        }
        Refusal::SeveralCredentials => with(
            "More than one credential was sent",
            "Send one only: an Authorization header, oauth_ parameters, a session or its cookies.",
        ),
        Refusal::NoCredential | Refusal::LoginRequired => plain("Credentials are required."),
        Refusal::ClientKeyRequired => {
            plain("Must give an app key via X-Client-Key header or client_key query string parameter")
        }
        Refusal::Throttled { .. } => with("Too many failed attempts", "Wait as long as Retry-After says."),
        Refusal::MethodNotAdmitted { sent } => {
            (format!("{sent} is not admitted here."), "WWW-Authenticate lists what is.".to_owned())
        }
        Refusal::KeyEnded { username, why } => with(&format!("Could not authenticate: {username}"), why),
        Refusal::BadCredentials { username } => (format!("Could not authenticate: {username}"), String::new()),
        Refusal::MalformedCredentials(what) => plain(what),
        Refusal::CrossSite(what) => plain(what),
        Refusal::StaleNonce => plain("The Digest nonce is too old: answer the new challenge."),
        Refusal::BadToken(what) => with("The token is not accepted.", what),
        Refusal::OAuth(refusal) => (oauth_message(refusal.problem).to_owned(), refusal.advice.clone()),
        Refusal::AccountLocked(reason) => with(
            "No API Access",
            reason.as_deref().unwrap_or("The authenticated account is locked due to an unpaid balance."),
        ),
        Refusal::AccountDisabled(reason) => with(
            "API Access is disabled",
            reason.as_deref().unwrap_or("API access has been disabled for this user due to API terms violation."),
        ),
        Refusal::ClientKeyRefused => with(
            "The client key can not be used with this account",
            "It is unknown, disabled, not meant for HTTP authentication, or another account's.",
        ),
        Refusal::ScopeMissing { scopes, .. } => (format!("Missing scope: {scopes}"), String::new()),
        Refusal::ImpersonationRefused => with(
            "This account can not act for that one",
            "Integrators and admins may, for members of their own company.",
        ),
        Refusal::BodyTooLarge { limit } => {
            (format!("A body that must be checked may have {limit} bytes at most."), String::new())
        }
        Refusal::BodyUnavailable => plain("The body did not come along with the question."),
        Refusal::Unavailable => plain("The server can not decide at the moment: try again."),
    }
}

/// What a refusal is called at the OAuth endpoints.
pub fn in_oauth_words(refusal: &Refusal) -> Option<Cow<'_, OAuthRefusal>> {
    let problem = match refusal {
        Refusal::OAuth(refusal) => return Some(Cow::Borrowed(refusal)),
        Refusal::AccountLocked(_) | Refusal::AccountDisabled(_) => Problem::PermissionDenied,
        Refusal::Target(_) | Refusal::BodyTooLarge { .. } | Refusal::SeveralCredentials => Problem::ParameterRejected,
        _ => return None,
    };
    let (message, additional) = words(refusal);
    Some(Cow::Owned(OAuthRefusal::new(problem, format!("{message} {additional}").trim_end())))
}

const fn oauth_message(problem: Problem) -> &'static str {
    match problem {
        Problem::VersionRejected => "This OAuth version is not spoken here.",
        Problem::ParameterAbsent => "A required OAuth parameter is missing.",
        Problem::ParameterRejected => "An OAuth parameter can not be accepted.",
        Problem::TimestampRefused => "The timestamp is too far from this server's clock.",
        Problem::NonceUsed => "This nonce was used before.",
        Problem::SignatureMethodRejected => "This signature method is not admitted.",
        Problem::SignatureInvalid => "The signature is not valid.",
        Problem::ConsumerKeyUnknown => "The client key is unknown.",
        Problem::ConsumerKeyRefused => "The client may not be used at present.",
        Problem::TokenUsed => "The request token was used before.",
        Problem::TokenExpired => "The token has expired.",
        Problem::TokenRevoked => "The token was revoked.",
        Problem::TokenRejected => "The token is not accepted.",
        Problem::VerifierInvalid => "The verifier is not valid.",
        Problem::PermissionDenied => "The account holder did not allow it.",
        Problem::AdditionalAuthorizationRequired => "The client key does not have this scope.",
    }
}
